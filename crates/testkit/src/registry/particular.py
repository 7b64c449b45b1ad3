"""A registry with customs of its own, and a proxy before it. The first part of a repository's name says which custom:
chunks (uploads in pieces only), slow (blobs take their time), broken (large blobs never come), small (no body above 1 MiB), token (identity tokens), pages (tags one by one)."""
import base64, hashlib, http.client, http.server, json, re, socket, socketserver, sys, threading, time, urllib.parse

LOG = open(sys.argv[1], "a", buffering=1)
LIMIT = 1 << 20
LEAST = 9 << 20
BLOBS, MANIFESTS, UPLOADS = {}, {}, {}
BASIC = "Basic " + base64.b64encode(b"me:secret").decode()


BUSY, LOCK = {"GET": 0, "PUT": 0}, threading.Lock()


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def pump(one, other):
    try:
        while data := one.recv(1 << 16):
            other.sendall(data)
    except OSError:
        pass
    for end in (one, other):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self, **more):
        names = {"auth": "Authorization", "length": "Content-Length", "range": "Content-Range"}
        line = {"host": self.server.server_address[0], "method": self.command, "path": self.path}
        line.update({key: self.headers.get(name) for key, name in names.items()}, **more)
        LOG.write(json.dumps(line) + "\n")

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self):
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))


class Registry(Handler):
    def do_GET(self):
        if self.path.startswith("/token"):
            return self.token()
        self.note()
        url = urllib.parse.urlsplit(self.path)
        if url.path == "/v1/search":
            return self.search(urllib.parse.parse_qs(url.query)["q"][0])
        found = re.fullmatch(r"/v2/(.+?)/(manifests|blobs|tags)/(.+)", url.path)
        if not self.welcome(url.path):
            return
        if not found:
            return self.answer(200, b"{}")
        name, kind, which = found.groups()
        if kind == "tags":
            return self.tags(name, urllib.parse.parse_qs(url.query))
        if kind == "manifests" and (name, which) in MANIFESTS:
            media, data = MANIFESTS[name, which]
            return self.answer(200, data, Content_Type=media, Docker_Content_Digest=sha(data))
        blob = (name.split("/")[0], which)
        if kind == "blobs" and name.startswith("broken") and len(BLOBS.get(blob, b"")) > 10000:
            return self.answer(503)
        if kind == "blobs" and blob in BLOBS and name.startswith("slow") and self.command == "GET":
            self.linger()
        if kind == "blobs" and blob in BLOBS:
            return self.answer(200, BLOBS[blob])
        self.answer(404, b'{"errors":[{"code":"UNKNOWN","message":"unknown"}]}')

    do_HEAD = do_GET

    def linger(self):
        """Notes how many do so at the same time."""
        with LOCK:
            BUSY[self.command] += 1
            self.note(busy=BUSY[self.command])
        time.sleep(0.3)
        with LOCK:
            BUSY[self.command] -= 1

    def welcome(self, path):
        """Everything of token/ needs a token, and so does the front door when it is asked at 127.0.0.2."""
        guarded = path.startswith("/v2/token/") or self.server.server_address[0] == "127.0.0.2"
        if not guarded or self.headers.get("Authorization") == "Bearer access":
            return True
        host = "%s:%d" % self.server.server_address
        self.answer(401, WWW_Authenticate='Bearer realm="http://%s/token",service="x"' % host)
        return False

    def token(self):
        url = urllib.parse.urlsplit(self.path)
        form = urllib.parse.parse_qs(self.body().decode() if self.command == "POST" else url.query)
        self.note(form={key: values[0] for key, values in form.items()})
        if self.command == "POST":
            if form.get("grant_type") == ["refresh_token"] and form.get("refresh_token") == ["identity"]:
                return self.answer(200, b'{"access_token":"access"}')
            return self.answer(401, b"{}")
        if self.headers.get("Authorization") != BASIC:
            return self.answer(401, b"{}")
        answer = {"token": "access"}
        if form.get("offline_token") == ["true"]:
            answer["refresh_token"] = "identity"
        self.answer(200, json.dumps(answer).encode())

    def search(self, term):
        names = sorted({name for name, _ in MANIFESTS if term in name})
        found = [{"name": name, "description": "", "star_count": 1, "is_official": False} for name in names]
        self.answer(200, json.dumps({"num_results": len(found), "query": term, "results": found}).encode())

    def tags(self, name, query):
        tags = sorted(tag for known, tag in MANIFESTS if known == name and ":" not in tag)
        if not tags:
            return self.answer(404, b'{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known"}]}')
        if not name.startswith("pages"):
            return self.answer(200, json.dumps({"name": name, "tags": tags}).encode())
        last = query.get("last", [""])[0]
        page = [tag for tag in tags if tag > last][:1]
        link = {"Link": '</v2/%s/tags/list?last=%s>; rel="next"' % (name, page[0])} if page else {}
        self.answer(200, json.dumps({"name": name, "tags": page}).encode(), **link)

    def do_POST(self):
        if self.path.startswith("/token"):
            return self.token()
        self.note()
        self.body()
        if not self.welcome(self.path):
            return
        place = "/upload/%s/%d" % (self.path.split("/")[2], len(UPLOADS))
        UPLOADS[place] = b""
        least = {"OCI_Chunk_Min_Length": str(LEAST)} if place.startswith("/upload/chunks") else {}
        self.answer(202, Location=place, **least)

    def do_PATCH(self):
        self.note()
        data = self.body()
        first, last = (int(text) for text in self.headers["Content-Range"].split("-"))
        have = UPLOADS[self.path]
        if first != len(have) or last + 1 - first != len(data):
            return self.answer(416)
        UPLOADS[self.path] = have + data
        self.answer(202, Location=self.path, Range="0-%d" % last)

    def do_PUT(self):
        self.note()
        if not self.path.startswith("/upload/"):
            name, which = re.fullmatch(r"/v2/(.+?)/manifests/(.+)", self.path).groups()
            data = self.body()
            for key in (which, sha(data)):
                MANIFESTS[name, key] = (self.headers["Content-Type"], data)
            return self.answer(201, Docker_Content_Digest=sha(data))
        place, query = self.path.split("?")
        digest = urllib.parse.parse_qs(query)["digest"][0]
        if place.startswith("/upload/small") and int(self.headers["Content-Length"]) > LIMIT:
            self.body()
            return self.answer(413)
        if place.startswith("/upload/chunks") and int(self.headers["Content-Length"]) > 0:
            self.body()
            return self.answer(400)
        data = UPLOADS.pop(place) + self.body()
        if place.startswith("/upload/slow"):
            self.linger()
        UPLOADS[place] = b""
        if sha(data) != digest:
            return self.answer(400, b'{"errors":[{"code":"DIGEST_INVALID","message":"digest invalid"}]}')
        BLOBS[place.split("/")[2], digest] = data
        self.answer(201, Location="/v2/x/blobs/" + digest)


class Proxy(Handler):
    """Knows one registry, whatever its name."""

    def do_CONNECT(self):
        self.note()
        other = socket.create_connection(("127.0.0.1", 5000))
        self.send_response(200)
        self.end_headers()
        thread = threading.Thread(target=pump, args=(other, self.connection), daemon=True)
        thread.start()
        pump(self.connection, other)
        thread.join()
        self.close_connection = True

    def pass_on(self):
        self.note(proxy_auth=self.headers.get("Proxy-Authorization"))
        client = http.client.HTTPConnection("127.0.0.1", 5000)
        url = urllib.parse.urlsplit(self.path)
        headers = {name: value for name, value in self.headers.items() if name.lower() not in ("connection", "host")}
        client.request(self.command, url.path + ("?" + url.query if url.query else ""), self.body(), headers)
        answer = client.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("connection", "transfer-encoding", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", answer.getheader("Content-Length") or str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = pass_on


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


for address, handler in ((("127.0.0.2", 5000), Registry), (("127.0.0.3", 3128), Proxy)):
    threading.Thread(target=Server(address, handler).serve_forever, daemon=True).start()
Server(("127.0.0.1", 5000), Registry).serve_forever()
