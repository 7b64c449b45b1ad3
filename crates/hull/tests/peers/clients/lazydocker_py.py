"""lazydocker in a terminal: its panels, logs and figures that go on, what it shows of a container, and its keys that change one."""
import fcntl
import os
import pty
import select
import struct
import sys
import termios
import time

import docker
import pyte

COLUMNS, LINES, PATIENCE = 180, 50, 60
PROGRAM = os.path.join(os.environ["PYTHONPATH"], "bin/lazydocker")


class Terminal:
    """A program in a terminal, and what its screen shows."""

    def __init__(self, *words):
        self.screen = pyte.Screen(COLUMNS, LINES)
        self.stream = pyte.ByteStream(self.screen)
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.execve(words[0], words, {**os.environ, "TERM": "xterm-256color"})
        fcntl.ioctl(self.fd, termios.TIOCSWINSZ, struct.pack("HHHH", LINES, COLUMNS, 0, 0))

    def type(self, keys):
        os.write(self.fd, keys.encode())

    def shown(self):
        return "\n".join(line.rstrip() for line in self.screen.display)

    def read(self, seconds):
        if select.select([self.fd], [], [], seconds)[0]:
            self.stream.feed(os.read(self.fd, 1 << 16))

    def has(self, *words):
        """Reads until the screen shows all of them."""
        end = time.monotonic() + PATIENCE
        while not all(word in self.shown() for word in words):
            if time.monotonic() > end:
                sys.exit(f"{words}: not shown\n{self.shown()}")
            self.read(0.1)

    def end(self):
        """The exit code."""
        try:
            while True:
                self.read(PATIENCE)
        except OSError:
            return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


if __name__ == "__main__":
    client = docker.from_env(timeout=100)
    client.volumes.create("data")
    network = client.networks.create("inner", internal=True)
    one = client.containers.run(
        "busybox", ["sh", "-c", "n=0; while :; do n=$((n+1)); echo line-$n; sleep 0.2; done"], name="one", detach=True,
        network="inner", stop_signal="KILL", volumes={"data": {"bind": "/data"}}, environment={"COLOUR": "green"},
    )
    two = client.containers.create("busybox", ["true"], name="two", network="inner")
    lazy = Terminal(PROGRAM)
    lazy.has("running", "one", "created", "two", "busybox", "local data", "bridge inner")
    # The logs of the chosen container go on.
    lazy.has("line-1")
    now = len(one.logs().splitlines())
    lazy.has(f"line-{now + 3}")
    # Its other tabs: figures once a second, the environment, all that inspect says, its processes.
    lazy.type("]")
    lazy.has("CPU (%)", "Memory (%)")
    lazy.type("]")
    lazy.has("COLOUR", "green")
    lazy.type("]")
    lazy.has("Full details", one.id, "volume: data")
    lazy.type("]")
    lazy.has("PID", "CMD", "sh -c n=0")
    # Its keys.
    lazy.type("p")
    lazy.has("paused")
    one.reload()
    assert one.status == "paused", one.status
    lazy.type("p")
    lazy.has("running")
    lazy.type("s")
    lazy.has("stop this container?")
    lazy.type("\r")
    lazy.has("exited", "(137)")
    one.reload()
    assert one.status == "exited", one.status
    lazy.type("q")
    assert lazy.end() == 0
    for container in (one, two):
        container.remove()
    network.remove()
    client.volumes.get("data").remove()
    print("lazydocker is content")
