"""docker-py: images, a container's life, streams, archives, exec, volumes, networks, events."""
import io
import tarfile
import threading

import docker

client = docker.from_env(timeout=100)
assert client.ping()
assert client.version()["ApiVersion"]
assert "busybox:latest" in client.images.list()[0].tags

# Output, exit codes and errors become values and exceptions.
assert client.containers.run("busybox", ["echo", "said"], remove=True, network_mode="none") == b"said\n"
try:
    client.containers.run("busybox", ["sh", "-c", "echo wrong >&2; exit 3"], remove=True, network_mode="none")
    raise SystemExit("an exit code of 3 went unnoticed")
except docker.errors.ContainerError as error:
    assert error.exit_status == 3 and b"wrong" in error.stderr, error
try:
    client.containers.get("nosuch")
    raise SystemExit("nosuch was found")
except docker.errors.NotFound:
    pass

network = client.networks.create("inner", internal=True, labels={"kind": "test"})
volume = client.volumes.create("data", labels={"kind": "test"})
events = client.events(decode=True, filters={"type": "container"})
seen = []
reader = threading.Thread(target=lambda: seen.extend(iter(lambda: next(events)["Action"], "destroy")))
reader.start()
one = client.containers.run(
    "busybox", ["sh", "-c", "echo first; echo second >&2; exec sleep 1000"], name="one", detach=True, network="inner",
    volumes={"data": {"bind": "/data", "mode": "rw"}}, mem_limit="64m", environment={"A": "b"}, labels={"kind": "test"},
)
assert [c.id for c in client.containers.list(filters={"label": "kind=test"})] == [one.id]
code, output = one.exec_run(["sh", "-c", "echo $A; echo bad >&2; exit 4"], demux=True)
assert (code, output) == (4, (b"b\n", b"bad\n")), (code, output)
archive = io.BytesIO()
with tarfile.open(fileobj=archive, mode="w") as tar:
    entry = tarfile.TarInfo("file")
    entry.size = 4
    tar.addfile(entry, io.BytesIO(b"text"))
assert one.put_archive("/data", archive.getvalue())
chunks, stat = one.get_archive("/data/file")
with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
    assert stat["size"] == 4 and tar.extractfile("file").read() == b"text"
lines = one.logs(stream=True, follow=True)
assert sorted([next(lines), next(lines)]) == [b"first\n", b"second\n"]
assert one.stats(stream=False)["memory_stats"]["limit"] == 64 << 20
assert "sleep" in one.top()["Processes"][0][-1]
one.pause()
one.reload()
assert one.status == "paused"
one.unpause()
one.rename("two")
one.stop(timeout=0)
assert one.wait()["StatusCode"] == 137
image = one.commit("made", tag="v1")
assert client.images.get("made:v1").id == image.id
saved = b"".join(image.save(named=True))
client.images.remove("made:v1")
assert client.images.load(saved)[0].tags == ["made:v1"]
client.images.remove("made:v1")
one.remove()
reader.join()
events.close()
assert [a for a in seen if not a.startswith("exec")][:2] == ["create", "start"] and "die" in seen, seen
volume.remove()
network.remove()

# A terminal's socket: what is typed comes back.
typed = client.containers.create("busybox", ["cat"], tty=True, stdin_open=True, network_mode="none")
socket = typed.attach_socket(params={"stdin": 1, "stdout": 1, "stream": 1})
typed.start()
socket._sock.sendall(b"typed\n")
assert b"typed" in socket._sock.recv(100)
socket.close()
typed.remove(force=True)
print("docker-py is content")
