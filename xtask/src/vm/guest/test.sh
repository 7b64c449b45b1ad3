# `vm test`: every test executable on the load disk, in the order of its names.
. /load/common.sh
. /load/plain.sh
prepare
for t in /load/tests/*; do
  # The OCI suite reads its repository and takes long under emulation: only when it is wished for. Other engines
  # are not in the guest.
  case $t in *.oci | *.peers) [ -s /load/filters ] || continue ;; esac
  name=$(basename "$t")
  # The keeper's own tests hold many descriptors at once, side by side in one process.
  case $name in *-launch) ulimit -Sn 4096 ;; *) ulimit -Sn 1024 ;; esac
  if arguments "$name" "$t"; then run_test "$name" "$t" "${ARGUMENTS[@]}"; fi
done
finish
