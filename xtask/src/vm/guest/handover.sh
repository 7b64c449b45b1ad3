#!/bin/busybox sh
# The initrd's first process, after the lines that load its modules: finds the disks and hands over.
/bin/busybox mount -t devtmpfs dev /dev
tries=0
while [ ! -b /dev/vdc ]; do
  tries=$((tries + 1))
  if [ $tries -gt 600 ]; then echo "hull-vm: no disks within 30 s"; /bin/busybox poweroff -f; fi
  /bin/busybox sleep 0.05
done
/bin/busybox mount -t ext4 /dev/vda /root
/bin/busybox mkdir -p /root/load
/bin/busybox mount -t ext4 /dev/vdb /root/load
exec /bin/busybox switch_root /root /bin/bash /load/init
