# `vm test`: every test executable on the load disk, in the order of its names.
. /load/common.sh
. /load/plain.sh
prepare
for t in /load/tests/*; do
  run_test "$(basename "$t")" "$t" --color never --test-threads "$(threads)" "${FILTERS[@]}"
done
finish
