"""testcontainers for Python: a container per test, waited for and removed, and two on a network."""
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network
from testcontainers.core.waiting_utils import wait_for_logs

with DockerContainer("busybox").with_command("sh -c 'echo it is ready; exec sleep 1000'").with_env("A", "b") as one:
    wait_for_logs(one, "it is ready", timeout=100)
    assert one.exec(["sh", "-c", "echo $A"]).output == b"b\n"
    assert one.get_logs()[0] == b"it is ready\n"

serve = "sh -c 'mkdir /www; echo served >/www/index.html; echo up; exec httpd -f -p 80 -h /www'"
with Network() as network:
    server = DockerContainer("busybox").with_command(serve).with_network(network).with_network_aliases("server")
    with server:
        wait_for_logs(server, "up", timeout=100)
        with DockerContainer("busybox").with_command("sleep 1000").with_network(network) as asking:
            script = "until wget -qO- http://server/ 2>/dev/null; do sleep 0.1; done"
            assert asking.exec(["sh", "-c", script]).output == b"served\n"
print("testcontainers is content")
