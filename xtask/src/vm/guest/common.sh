# What both flavours of the guest share: the environment of tests, and how one test executable is run.
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8
export HULL_BIN=/load/hull HULL_TEST_SLOW=1 RUST_BACKTRACE=1
mapfile -t FILTERS </load/filters
# Without a wish everything runs but faults whose tests ask for much and nothing of this kernel: disks that are full, fail
# or lose their power, processes that lack memory, kills at each of many hundred calls, a thousand containers; nor what
# needs registries and clients that the small guest does not have, and what counts system calls. api_hostile and
# kernel_fallbacks pass here, in three minutes, but ask nothing of cgroups.
SKIPPED=(
  addresses::
  api_hostile::
  api_schema::
  api_versions::every_version
  by_hand::a_script
  by_hand_kinds::
  cli_parity::
  containers_get_the_proxies
  contexts::the_command_line
  copy_hostile::
  costs::
  debians_
  dockerd::dockerds_bounds
  dockerd::images_come
  dockerd::over_tcp
  explain_causes::
  explain_facts::
  faults_disk::
  faults_lack::
  faults_state::
  filters_choose
  joins::the_default_route
  kernel_fallbacks::
  killed_each::
  killed_networks::
  learn::
  logs::lines_are_handed_on_to_syslog_within_tls
  many::
  neighbours::
  network_settings::
  networks_on_links::a_macvlan_without
  networks_on_links::the_modes
  power::
  registry::
  registry_customs::
  registry_hostile::
  store::
  through_a_socket_that_may_change
  tools::
  traces::a_trace_tells_why
  what_a_person_stopped_comes_back
  what_would_be_in_rotated_files
  within_a_second
)
if [ "${#FILTERS[@]}" -eq 0 ]; then
  for name in "${SKIPPED[@]}"; do FILTERS+=(--skip "$name"); done
fi
. /load/limits.sh

prepare() {
  heartbeat
  tr -d '\0' </dev/vdc | grep . >/run/done
  modprobe -a overlay nf_tables veth bridge fuse nfsd nfsv4 2>/dev/null
  [ ! -e /load/docker ] || ln -sf /load/docker /usr/local/bin/docker
  local name path
  while read -r name path; do
    ln -sf "/load/$name" /usr/local/bin/
    mkdir -p "$(dirname "$path")" && ln -sf "/load/$name" "$path"
  done </load/links
  echo "kernel $(uname -r), $(nproc) processors, cgroup controllers: $(cat /sys/fs/cgroup/cgroup.controllers)"
}

# Says that the machine lives, whatever the tests say. The host boots it again when it does not.
heartbeat() { while sleep 5; do echo HULL-VM-ALIVE; done & }

# arguments NAME EXECUTABLE: which tests are to be run, in ARGUMENTS; fails if there are none. What an earlier
# boot of this round has done is on the third disk: lines of NAME, or NAME and a test.
arguments() {
  ARGUMENTS=(--color never --test-threads "$(threads)")
  if grep -qx "$1" /run/done; then return 1; fi
  if ! grep -q "^$1 " /run/done; then
    ARGUMENTS+=("${FILTERS[@]}")
    return 0
  fi
  local left
  mapfile -t left < <("$2" --list --format terse "${FILTERS[@]}" | sed -n 's/: test$//p' | grep -vxF -f <(sed -n "s/^$1 //p" /run/done))
  ARGUMENTS+=(--exact "${left[@]}")
  [ "${#left[@]}" -gt 0 ]
}

# run_test NAME COMMAND...: bounded in time, and when it fails, with what one would ask for next.
run_test() {
  local name=$1 code began=$SECONDS limit=$LIMIT
  shift
  case $name in *-hull.*) limit=$LIMIT_OF_SUITE ;; esac
  echo "HULL-VM-BEGIN $name"
  cd /var/tmp
  "$@" </dev/null &
  local pid=$!
  ( sleep "$limit"
    echo "$name does not end within $limit s; what runs:"
    ps -eo pid,ppid,stat,wchan:24,args --forest | grep -v '\[.*\]$'
    kill -KILL $pid ) 2>/dev/null &
  local watch=$!
  wait $pid
  code=$?
  kill $watch 2>/dev/null
  pkill -KILL -P $watch 2>/dev/null
  wait $watch 2>/dev/null
  if [ $code != 0 ]; then
    echo "the kernel's last words:"
    dmesg | tail -n 12
  fi
  echo "HULL-VM-EXIT $name $code $((SECONDS - began))"
}

# Processes wait more than they work here: one thread more than there are processors.
threads() { echo $(($(nproc) + 1)); }

finish() {
  find /sys/fs/cgroup -type d -name 'hull-*' ! -name '*.service' ! -name '*.slice' | sed 's/^/left behind: /'
  echo "HULL-VM-END"
  sync
  busybox poweroff -f
}
