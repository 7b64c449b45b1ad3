"""A registry that misbehaves. The first part of a repository's name says how. Logs every request as a line of JSON."""
import gzip, hashlib, http.server, io, json, os, socketserver, ssl, sys, tarfile, threading, time

LOG = open(sys.argv[1], "a", buffering=1)
BIG = 20 << 20


def sha(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer(size):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        info = tarfile.TarInfo("file")
        info.size = size
        block = hashlib.sha512(b"seed").digest()
        data = bytearray()
        while len(data) < size:
            block = hashlib.sha512(block).digest()
            data += block * 1024 if size > BIG else block
        tar.addfile(info, io.BytesIO(bytes(data[:size])))
    return out.getvalue()


def image(size):
    plain = layer(size)
    # Level 0: the archive is as large as its content, so that sizes are known.
    packed = gzip.compress(plain, compresslevel=0, mtime=0)
    config = json.dumps({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]},
                         "rootfs": {"type": "layers", "diff_ids": [sha(plain)]}}).encode()
    describe = lambda kind, data: {"mediaType": "application/vnd.oci.image." + kind, "digest": sha(data), "size": len(data)}
    manifest = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": describe("config.v1+json", config), "layers": [describe("layer.v1.tar+gzip", packed)]}
    return {"manifest": manifest, "config": config, "layer": packed}


SMALL, LARGE = image(1 << 20), image(BIG + 5)
BLOBS = {sha(one[part]): one[part] for one in (SMALL, LARGE) for part in ("config", "layer")}
COUNT, LOCK = {}, threading.Lock()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def note(self):
        LOG.write(json.dumps({"host": self.server.server_address[0], "path": self.path, "method": self.command,
                              "auth": self.headers.get("Authorization"), "range": self.headers.get("Range")}) + "\n")

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def cut(self):
        self.close_connection = True
        self.wfile.flush()
        self.connection.close()

    def do_GET(self):
        self.note()
        path = self.path.split("?")[0]
        if path.startswith("/token"):
            return self.answer(200, b'{"token":"t"}')
        if path.startswith("/blob/"):
            return self.answer(200, BLOBS[path[6:]])
        if not path.startswith("/v2/") or path == "/v2/":
            return self.answer(200, b"{}")
        mode, what, name = path[4:].split("/")[0], path.split("/")[-2], path.split("/")[-1]
        if mode == "realm" and not self.headers.get("Authorization"):
            return self.answer(401, WWW_Authenticate='Bearer realm="http://127.0.0.2:6000/token",service="x"')
        if mode == "basic" and not self.headers.get("Authorization"):
            return self.answer(401, WWW_Authenticate='Basic realm="x"')
        if mode == "plainrealm":
            return self.answer(401, WWW_Authenticate='Bearer realm="http://%s:5000/token",service="x"' % self.server.server_address[0])
        if mode == "limited":
            return self.answer(429, b'{"errors":[{"code":"TOOMANYREQUESTS","message":"you have reached your limit"}]}', Retry_After="3541")
        if what == "manifests":
            return self.manifest(mode)
        return self.blob(mode, name)

    def manifest(self, mode):
        manifest = dict((LARGE if mode in ("liar", "large", "flaky", "slow") else SMALL)["manifest"])
        kind = manifest["mediaType"]
        if mode == "both":
            manifest["manifests"] = []
        if mode == "huge":
            manifest["annotations"] = {"x": "y" * (5 << 20)}
        if mode == "foreign":
            manifest["layers"] = [dict(manifest["layers"][0], mediaType="application/vnd.docker.image.rootfs.foreign.diff.tar.gzip")]
        if mode == "small":
            manifest["layers"] = [dict(manifest["layers"][0], size=10)]
        self.answer(200, json.dumps(manifest).encode(), Content_Type=kind)

    def blob(self, mode, name):
        data = BLOBS.get(name)
        if data is None:
            return self.answer(404, b"{}")
        if data in (SMALL["config"], LARGE["config"]):
            return self.answer(200, data)
        with LOCK:
            COUNT[mode] = COUNT.get(mode, 0) + 1
            count = COUNT[mode]
        if mode == "truncates":
            self.answer(200, data[: len(data) // 2], Content_Length=str(len(data)))
            return self.cut()
        if mode == "stalls":
            self.answer(200, data[: len(data) // 2], Content_Length=str(len(data)))
            self.wfile.flush()
            return time.sleep(600)
        if mode == "endless":
            self.endless(data)
            return self.cut()
        if mode in ("redirects", "basic"):
            return self.answer(307, Location="http://127.0.0.2:6000/blob/" + name)
        if mode == "downgrade":
            return self.answer(307, Location="http://%s:5000/blob/%s" % (self.server.server_address[0], name))
        if mode == "file":
            return self.answer(307, Location="file:///etc/passwd")
        if mode == "circle":
            return self.answer(307, Location=self.path)
        if mode == "wrong":
            return self.answer(200, bytes(len(data)))
        asked = self.headers.get("Range")
        if asked:
            first, last = (int(text) for text in asked.split("=")[1].split("-"))
            if mode == "liar":
                return self.answer(206, data[: last + 1 - first], Content_Range="bytes 0-%d/%d" % (last - first, len(data)))
            if mode == "flaky" and count % 2:
                self.answer(206, data[first : first + 1000000], Content_Range="bytes %d-%d/%d" % (first, last, len(data)),
                            Content_Length=str(last + 1 - first))
                return self.cut()
            if mode == "slow":
                time.sleep(0.3)
            return self.answer(206, data[first : last + 1], Content_Range="bytes %d-%d/%d" % (first, last, len(data)))
        if mode == "slow":
            time.sleep(0.3)
        self.answer(200, data)

    def endless(self, data):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in [data] + [bytes(1 << 16)] * 4096:
            try:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            except OSError:
                return


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 256


# Further ones: `address:port`, with `=certificate,key` for TLS.
others = [("127.0.0.2:6000", "")] + [more.partition("=")[::2] for more in sys.argv[2:]]
for place, proof in others:
    address, port = place.split(":")
    other = Server((address, int(port)), Handler)
    if proof:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*proof.split(","))
        other.socket = context.wrap_socket(other.socket, server_side=True)
    threading.Thread(target=other.serve_forever, daemon=True).start()
Server(("127.0.0.1", 5000), Handler).serve_forever()
