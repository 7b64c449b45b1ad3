# `vm test`: every test executable on the load disk, in the order of its names.
. /load/common.sh
. /load/plain.sh
prepare
WISHED=("${FILTERS[@]}")
for t in /load/tests/*; do
  FILTERS=("${WISHED[@]}")
  case $t in
    # Other engines are not in the guest: only when they are wished for.
    *.peers) [ -s /load/filters ] || continue ;;
    # The bundles of the specification are in the repository, which is not in the guest; kills at each of many hundred calls
    # ask nothing of this kernel.
    *.oci) [ -s /load/filters ] || FILTERS=(--skip ::schema:: --skip ::killed:: --skip ::costs:: --skip ::fallbacks::) ;;
  esac
  name=$(basename "$t")
  # The keeper's own tests hold many descriptors at once, side by side in one process.
  case $name in *-launch) ulimit -Sn 4096 ;; *) ulimit -Sn 1024 ;; esac
  if arguments "$name" "$t"; then run_test "$name" "$t" "${ARGUMENTS[@]}"; fi
done
finish
