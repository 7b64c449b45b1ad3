# `vm systemd`: systemd as PID 1, with one service that runs the tests and ends the machine.
echo 0123456789abcdef0123456789abcdef >/etc/machine-id
echo vm >/etc/hostname
rm -f /etc/fstab
cat >/etc/systemd/system/hull-vm.service <<'UNIT'
[Unit]
DefaultDependencies=no

[Service]
Type=oneshot
ExecStart=/bin/bash /load/under-systemd.sh
StandardInput=null
StandardOutput=tty
StandardError=tty
TTYPath=/dev/ttyS0
TimeoutStartSec=infinity
UNIT
for unit in getty.target serial-getty@ttyS0.service systemd-networkd.service systemd-timesyncd.service \
    systemd-journald-audit.socket systemd-journal-flush.service systemd-logind.service systemd-update-utmp.service \
    apparmor.service nfs-server.service nfs-client.target rpcbind.service rpcbind.socket; do
  ln -sf /dev/null "/etc/systemd/system/$unit"
done
exec /lib/systemd/systemd --unit=hull-vm.service --show-status=no --log-target=null
