#!/usr/bin/env bash
# demo.sh PLUGIN-DIR [--conf FILE]: what a person at a shell does with Fairlead, in a throw-away host; see `./x demo --help`.
# Fails when something does not work or is left behind, so it is a test as well.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/host.sh
source "$here/../host.sh"
need jq nft ping
enterHost "$@"

plugins=$(readlink -f "$1")
shift
conf=conf/10-bridge.conflist
while (($#)); do
  case $1 in
    --conf) conf=${2:?--conf needs a file}; shift 2 ;;
    *) note "demo: no option $1"; exit 2 ;;
  esac
done
readonly kReference=/usr/lib/cni  # where Debian's containernetworking-plugins are


bold='' faint='' plain=''
if [[ -t 1 && -z ${NO_COLOR:-} ]]; then bold=$'\e[1m' faint=$'\e[2m' plain=$'\e[0m'; fi
exec 3>&1  # what the person reads, also while a command's output goes elsewhere
title() { printf '\n%s%s%s\n' "$bold" "$*" "$plain" >&3; }
prompt() { printf '%s$ %s%s\n' "$faint" "$*" "$plain" >&3; }
show() { prompt "$@"; "$@"; }
fairlead() { "$plugins/fairlead" "$@"; }

# timed ARRAY COMMAND... runs the command and appends the milliseconds that it took to the array.
timed() {
  local -n took=$1
  shift
  local began=${EPOCHREALTIME/./} micros
  "$@"
  micros=$((${EPOCHREALTIME/./} - began))
  took+=("$((micros / 1000)).$((micros / 100 % 10))")
}
# verb VERB BOX OPTION... is one call of the command line, shown and timed.
declare -A ours=() theirs=()
verb() {
  local times=()
  prompt "fairlead $1 $conf --netns $2 ${*:3}"
  timed times fairlead "$1" "$conf" --netns "$2" "${@:3}"
  ours[$1]+="${times[0]} ms  "
}

# reference VERB BOX calls the reference plugin for the list in $conf as a runtime would, and keeps its result.
reference() {
  local result=$work/result-$2 times=() previous='{}'
  [[ ! -s $result ]] || previous=$(jq '{prevResult: .}' "$result")
  jq -c --argjson previous "$previous" '.plugins[0] + {name, cniVersion: "1.0.0"} + $previous' "$conf" >"$work/input"
  timed times env "CNI_COMMAND=${1^^}" "CNI_CONTAINERID=$2" "CNI_NETNS=/run/netns/$2" CNI_IFNAME=eth0 \
    "CNI_PATH=$kReference" "$kReference/$(jq -r '.plugins[0].type' "$conf")" <"$work/input" >"$work/answer" ||
    die "the reference plugin: $(cat "$work/answer")"
  [[ $1 != add ]] || cp "$work/answer" "$result"
  theirs[$1]+="${times[0]} ms  "
}

bridge=$(jq -r '.plugins[0].bridge' "$conf")
ip netns add alpha
ip netns add beta
snapshot >"$work/before"

title "Two containers, alpha and beta, and a network for them: $conf"
cat "$conf"

title "Wire both"
verb add alpha --verbose
echo "(main) is the process's first thread: its id is the process id. goMain is locked to it, and only it enters the"
echo "container, for a few calls at a time."
verb add beta

title "What they have got"
for box in alpha beta; do
  show ip -n "$box" -brief address show
  show ip -n "$box" route show
done
show fairlead ls

title "They reach each other, and the gateway"
# addressOf IP-ARGUMENTS...: the first address of what `ip addr show` is asked for.
addressOf() { ip -j "$@" scope global | jq -r '.[0].addr_info[0].local'; }
show ip netns exec alpha ping -c 2 -i 0.2 -W 2 "$(addressOf -n beta addr show dev eth0)"
show ip netns exec alpha ping -c 1 -W 2 "$(addressOf addr show dev "$bridge")"

title "Is everything as it was made?"
for box in alpha beta; do verb check "$box"; done

title "Take both down"
for box in alpha beta; do verb del "$box"; done

title "What is left"
[[ -z $(fairlead ls --json | jq '.[]') ]] || die "attachments are left: $(fairlead ls)"
leftByContainers "$conf" "$work/before" || die "something of a container is left"
echo "Of the containers: nothing. What they shared stays for the next one. Taken away, too:"
removeNetwork "$conf" show
snapshot >"$work/after"
diff "$work/before" "$work/after" || die "something is left"
echo "No link, address, route, rule or file: $(wc -l <"$work/after") lines of state, the same as before"

if [[ -x $kReference/bridge ]]; then
  for step in add check del; do
    for box in alpha beta; do reference "$step" "$box"; done
  done
fi
title "What each verb took, for alpha and for beta"
for step in add check del; do
  printf '%-6s fairlead %-22s' "$step" "${ours[$step]}"
  [[ -z ${theirs[$step]:-} ]] || printf 'reference plugins %s' "${theirs[$step]}"
  echo
done
[[ -x $kReference/bridge ]] || echo "(install containernetworking-plugins to see what the reference plugins take)"
