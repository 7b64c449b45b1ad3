# `vm shell`: a shell on the console; leaving it ends the machine.
. /load/common.sh
. /load/plain.sh
prepare
setsid -c bash -i </dev/ttyS0 >/dev/ttyS0 2>&1
busybox poweroff -f
