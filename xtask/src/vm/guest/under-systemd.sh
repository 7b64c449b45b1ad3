# Runs each test executable in a unit of its own to which systemd has delegated its cgroup.
. /load/common.sh
prepare
cat /proc/1/comm /proc/self/cgroup
for t in /load/tests/*; do
  name=$(basename "$t")
  run_test "$name" systemd-run --quiet --wait --pipe --collect --unit="hull-vm-$name" \
    -p Delegate=yes -E HULL_TEST_DELEGATED=1 -E HULL_TEST_SLOW=1 -E RUST_BACKTRACE=1 -E HULL_BIN="$HULL_BIN" \
    "$t" --test-threads "$(threads)" "${FILTERS[@]}"
done
finish
