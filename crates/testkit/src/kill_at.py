"""Counts the calls with which a process and its threads change state, one after another whichever thread makes them, and kills
the process as it enters the one of that number. `kill_at.py PID NUMBER` says `attached`, then each call as it is entered. With 0
for the number, or when it is told to end, it lets go of the process."""
import ctypes
import os
import platform
import signal
import struct
import sys

SYSCALL, SEIZE, INTERRUPT, LISTEN, INFO = 24, 0x4206, 0x4207, 0x4208, 0x420E
# PTRACE_O_TRACESYSGOOD, PTRACE_O_TRACECLONE.
OPTIONS = 1 | 8
EVENT_STOP = 128
WALL = 0x40000000
NUMBERS = {
    "x86_64": {44: "sendto", 46: "sendmsg", 308: "setns", 74: "fsync", 75: "fdatasync"},
    "aarch64": {206: "sendto", 211: "sendmsg", 268: "setns", 82: "fsync", 83: "fdatasync"},
}[platform.machine()]

libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.restype = ctypes.c_long
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
info = ctypes.create_string_buffer(88)


def ptrace(request, tid, address=0, data=0):
    return libc.ptrace(request, tid, ctypes.c_void_p(address), ctypes.cast(data, ctypes.c_void_p))


def say(text):
    print(text, flush=True)


def entered(tid):
    """The name of the call that a thread enters, if it is one of those."""
    ptrace(INFO, tid, len(info), info)
    op, number, fd = info.raw[0], *struct.unpack("QQ", info.raw[24:40])
    name = NUMBERS.get(number) if op == 1 else None
    if name and name.startswith("send"):
        # Of messages, those to the kernel: sockets of netlink.
        try:
            inode = os.readlink(f"/proc/{tid}/fd/{fd}").strip("socket:[]")
            with open(f"/proc/{tid}/net/netlink") as sockets:
                inside = any(line.split()[-1] == inode for line in sockets)
            with open(f"/proc/{pid}/net/netlink") as sockets:
                return name if inside or any(line.split()[-1] == inode for line in sockets) else None
        except OSError:
            return None
    return name


def attach(pid):
    known = set()
    while True:
        threads = {int(name) for name in os.listdir(f"/proc/{pid}/task")} - known
        if not threads:
            return
        for tid in threads:
            if ptrace(SEIZE, tid, 0, OPTIONS) == 0:
                ptrace(INTERRUPT, tid)
        known |= threads


pid, wanted = int(sys.argv[1]), int(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
attach(pid)
say("attached")
count = 0
while True:
    try:
        tid, status = os.waitpid(-1, WALL)
    except ChildProcessError:
        break
    if not os.WIFSTOPPED(status):
        continue
    stop, event = os.WSTOPSIG(status), status >> 16
    if stop == signal.SIGTRAP | 0x80:
        name = entered(tid)
        if name:
            count += 1
            say(f"{count} {name}")
            if count == wanted:
                os.kill(pid, signal.SIGKILL)
        ptrace(SYSCALL, tid)
    elif event == EVENT_STOP:
        ptrace(LISTEN if stop in (signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU) else SYSCALL, tid)
    else:
        ptrace(SYSCALL, tid, 0, 0 if event else stop)
