# Runs each test executable as a service to which systemd has delegated its cgroup. `systemctl start`
# waits for the end of a oneshot service and needs no message bus.
. /load/common.sh

# Of hull's own tests those that are about systemd, unless others are wished for.
[ -s /load/filters ] || case ${1:-} in *-hull.suite) FILTERS=(systemd::) ;; *-hull.oci) FILTERS=(hull::systemd::) ;; esac

if [ -n "$1" ]; then
  # In that service.
  cd /var/tmp
  arguments "$(basename "$1")" "$1"
  HULL_TEST_SYSTEMD=1 HULL_TEST_DELEGATED=1 exec "$1" "${ARGUMENTS[@]}"
fi

prepare
echo "PID 1 is $(cat /proc/1/comm), this is $(cat /proc/self/cgroup)"
for t in /load/tests/*; do
  name=$(basename "$t")
  # Other engines are not about systemd.
  case $name in *-hull | *-hull.peers) continue ;; esac
  arguments "$name" "$t" || continue
  cat >"/run/systemd/system/hull-test-$name.service" <<UNIT
[Unit]
DefaultDependencies=no

[Service]
Type=oneshot
Delegate=yes
ExecStart=/bin/bash /load/under-systemd.sh $t
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
TimeoutStopSec=5
UNIT
  systemctl daemon-reload
  run_test "$name" systemctl start "hull-test-$name.service"
done
finish
