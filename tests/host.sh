# host.sh: a throw-away "host" for scripts. Source it, call enterHost "$@" first thing, and the rest of the script runs
# as root in network, mount, process and IPC namespaces of its own: /run, /var/lib and /opt are empty, /etc is a copy,
# and whatever the script starts, mounts or wires is gone when it ends, however it ends. `work` is a directory for it.
# Needs: bash, util-linux, iproute2. Bounded by hostLimit seconds (120).
# shellcheck shell=bash

readonly kSkip=77  # ctest's SKIP_RETURN_CODE

note() { printf '%s\n' "$*" >&2; }
die() { note "FAILED: $*"; exit 1; }
skip() { note "skipped: $*"; exit "$kSkip"; }
need() {
  local tool
  for tool in "$@"; do
    command -v "$tool" >/dev/null || skip "$tool is not installed; ./x setup test installs it"
  done
}

# enterHost runs the calling script again inside the host, cleans up after it and exits with its status.
enterHost() {
  if [[ -z ${FAIRLEAD_HOST:-} ]]; then
    ((EUID == 0)) || skip "needs root to make namespaces"
    local status=0
    work=$(mktemp -d "${TMPDIR:-/tmp}/fairlead-host.XXXXXX")
    FAIRLEAD_HOST=$work timeout --signal=KILL "${hostLimit:-120}" \
      unshare --net --mount --pid --ipc --fork --kill-child --mount-proc --propagation private -- "$0" "$@" || status=$?
    leaveCgroups "$work"
    rm -rf "$work"
    ((status != 137)) || note "FAILED: killed after ${hostLimit:-120} s"
    exit "$status"
  fi
  work=$FAIRLEAD_HOST
  # Configuration of the caller's must not reach what is tested.
  unset FAIRLEAD_HOST CNI_PATH CNI_ARGS XDG_RUNTIME_DIR
  cp -a /etc "$work/etc"
  mount --bind "$work/etc" /etc
  local dir
  for dir in /run /var/lib /opt; do mount -t tmpfs -o mode=755 tmpfs "$dir"; done
  mkdir -p /run/lock /run/netns
  ip link set lo up
}

# cgroupParent is the control group below which clients put their containers; it outlives the namespaces, so enterHost
# removes it at the end.
cgroupParent() { basename "$work"; }
leaveCgroups() {
  local try
  for try in 1 2 3 4 5 6 7 8 9 10; do
    find /sys/fs/cgroup -depth -type d -path "*/$(basename "$1")*" -exec rmdir {} + 2>/dev/null || true
    [[ -n $(find /sys/fs/cgroup -type d -name "$(basename "$1")") ]] || return 0
    ((try < 10)) && sleep 0.1  # dying processes still hold it
  done
}

# waitFor SECONDS COMMAND... asks every 20 ms until the command succeeds; fails when it never does.
waitFor() {
  local end=$((SECONDS + $1 + 1))
  shift
  until "$@"; do
    ((SECONDS < end)) || return 1
    sleep 0.02
  done
}

# snapshot prints the state that wiring a container changes, one thing per line: links, addresses, routes, rules,
# netfilter, files. Two of them can be compared with diff. Counters, indices and lifetimes are left out.
snapshot() {
  ip -j link show | jq -r '.[] | "link \(.ifname) master=\(.master // "-")"'
  ip -j addr show | jq -r '.[] | .ifname as $dev | .addr_info[] | "address \(.local)/\(.prefixlen) dev \($dev)"'
  { ip -j route show table all; ip -j -6 route show table all; } |
    jq -r '.[] | "route \(.dst) dev \(.dev) table \(.table // "main") \(.gateway // "")"' | sort
  { ip rule; ip -6 rule; } | sed 's/^/rule /'
  nft --stateless list ruleset | sed 's/^/nft /'
  local dir
  for dir in /run /var/lib /etc/cni /opt; do [[ ! -d $dir ]] || find "$dir" -mindepth 1 -xdev | sed 's/^/file /'; done | sort
}

# leftByContainers CONFLIST BEFORE: prints what the state has that neither the snapshot in the file BEFORE had nor the
# network's containers share: the bridge with its address, host-local's lock and memory of the last address, nft tables
# without a rule for anybody. Fails if there is anything.
leftByContainers() {
  local network bridge addresses
  network=$(jq -r .name "$1") bridge=$(jq -r '.plugins[0].bridge // "-"' "$1")
  addresses=$(jq -r '.plugins[0].ipam.dataDir // "/var/lib/cni/networks"' "$1")
  ! {
    snapshot | diff "$2" - | grep '^[<>]' | grep -v -x \
      -e "> link $bridge master=-" -e "> \(address\|route\) .* dev $bridge .*" -e "> address .* dev $bridge" -e '> nft .*' \
      -e "> file /run/fairlead\(/$network\|/lock\|\)" -e '> file /var/lib/cni\(/results\|\)' \
      -e "> file $addresses\(/$network\|/$network/lock\|/$network/last_reserved_ip\.[0-9]*\|\)"
    nft --stateless list ruleset | grep -E 'masquerade|elements|saddr [0-9a-f]*[.:]' | grep -v -F -f <(sed -n 's/^nft //p' "$2")
  } | grep .
}

# removeNetwork CONFLIST [RUN] takes away what the network's containers shared: `fairlead gc`, a function of the caller,
# does, but for the files that host-local's contract on disk leaves. RUN, if given, runs each command.
removeNetwork() {
  local addresses
  addresses=$(jq -r '.plugins[0].ipam.dataDir // "/var/lib/cni/networks"' "$1")
  ${2:-} fairlead gc "$1"
  ${2:-} rm -rf "$addresses" /var/lib/cni /run/fairlead
}
