#!/usr/bin/env bash
# run.sh PLUGIN-DIR CONFLIST: what a file in conf/ promises is so. In a throw-away host: ADD into two containers, look with
# ip, nft and ping, CHECK, spoil something and CHECK again, DEL twice, and compare with the state before.
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/host.sh
source "$here/../host.sh"
need jq nft ping
enterHost "$@"

plugins=$(readlink -f "$1") conf=$(readlink -f "$2")
# ask FILTER reads the configuration of the list's one plugin, or of a chain's first.
ask() { jq -r ".plugins[0] | if .type == \"fairlead\" then .plugins[0] else . end | $1" "$conf"; }
fairlead() { "$plugins/fairlead" "$@"; }  # with --json, only results are printed
type=$(ask .type) bridge=$(ask '.bridge // empty')
port() { ip -j -d link show master "$bridge" | jq -r ".[$1].ifname // empty"; }
# in BOX prints what one of ip's views of a container has, filtered by jq: in BOX FILTER IP-ARGUMENTS...
in_box() { ip -j -d -n "$1" "${@:3}" | jq -r "$2"; }

readonly kSettledAddress='.[].addr_info[] | select(.tentative | not) | "\(.local)/\(.prefixlen)"'
# addressesArrived BOX RESULT: every address of the result is on eth0 and usable.
addressesArrived() {
  local address
  for address in $(jq -r '.ips[]?.address' <<<"$2"); do
    in_box "$1" "$kSettledAddress" addr show dev "$ifname" | grep -q -x "$address" || die "$1 lacks $address"
  done
}
# gatewaysAnswer BOX RESULT
gatewaysAnswer() {
  local gateway
  for gateway in $(jq -r '.ips[]?.gateway // empty' <<<"$2"); do
    ip netns exec "$1" ping -q -c 1 -W 2 "$gateway" >/dev/null || die "gateway $gateway does not answer $1"
  done
}

checkBridge() {
  local result=$1 address mtu
  [[ $(ip -j -d link show "$bridge" | jq -r '.[0].linkinfo.info_kind') == bridge ]] || die "$bridge is no bridge"
  [[ $(in_box box '.[0].linkinfo.info_kind + " " + .[0].operstate' link show "$ifname") == "veth UP" ]] ||
    die "$ifname is not a veth that is UP"
  mtu=$(ask '.mtu // 1500')
  [[ $(in_box box '.[0].mtu' link show "$ifname") == "$mtu" ]] || die "mtu is not $mtu"
  addressesArrived box "$result"
  [[ $(ask '.isGateway or .isDefaultGateway // false') != true ]] || gatewaysAnswer box "$result"
  if [[ $(ask '.isDefaultGateway // false') == true || $(ask '.ipam.routes[0].dst // empty') == 0.0.0.0/0 ]]; then
    for address in $(jq -r '.ips[].address' <<<"$result"); do
      [[ -n $(in_box box '.[].gateway' "$([[ $address == *:* ]] && echo -6 || echo -4)" route show default) ]] ||
        die "no default route for $address"
    done
  fi
  [[ $(ip -j -d link show "$(port 0)" | jq '.[0].linkinfo.info_slave_data.hairpin') == "$(ask '.hairpinMode // false')" ]] ||
    die "hairpin mode is not as configured"
  [[ $(($(ip -j -d link show "$bridge" | jq '.[0].promiscuity') > 0)) == "$(ask 'if .promiscMode then 1 else 0 end')" ]] ||
    die "promiscuous mode is not as configured"
  if [[ $(ask '.ipMasq // false') == true ]]; then
    for address in $(jq -r '.ips[].address' <<<"$result"); do
      nft list ruleset | grep -F "${address%/*}" >/dev/null || die "$address is not masqueraded"
    done
  fi
}

# secondContainer wires another one and lets it talk to the first, where each gets an address of its own.
secondContainer() {
  local first=$1 second address
  second=$(fairlead add "$conf" --netns box2 --json)
  [[ $(jq -c .ips <<<"$first") != "$(jq -c .ips <<<"$second")" ]] || die "both containers have the same address"
  for address in $(jq -r '.ips[].address' <<<"$first"); do
    ip netns exec box2 ping -q -c 1 -W 2 "${address%/*}" >/dev/null || die "box2 does not reach ${address%/*}"
  done
  fairlead del "$conf" --netns box2
}

# spoil changes something that CHECK must notice.
spoil() {
  if [[ $type == loopback || -z $(ask '.ipam.type // empty') ]]; then
    ip -n box link set "$ifname" down
  else
    ip -n box addr flush dev "$ifname" scope global
  fi
}

ifname=eth0
[[ $type != loopback ]] || ifname=lo
ip netns add box
ip netns add box2
snapshot >"$work/before"

first=$(fairlead add "$conf" --netns box --ifname "$ifname" --json)
jq -e --arg name "$ifname" '.interfaces | any(.name == $name)' <<<"$first" >/dev/null || die "$ifname is not in the result"
case $type in
  bridge) checkBridge "$first" ;;
  loopback) ip netns exec box ping -q -c 1 -W 2 127.0.0.1 >/dev/null || die "loopback is down" ;;
  *) die "nobody checks what $type promises" ;;
esac
fairlead check "$conf" --netns box --ifname "$ifname" || die "check finds fault with a fresh attachment"
[[ $(ask '.ipam.type // empty') != host-local ]] || secondContainer "$first"
spoil
if fairlead check "$conf" --netns box --ifname "$ifname" 2>/dev/null; then die "check does not notice what changed"; fi
fairlead del "$conf" --netns box --ifname "$ifname"
fairlead del "$conf" --netns box --ifname "$ifname" || die "the second del fails"
[[ -z $(fairlead ls --json | jq '.[]') ]] || die "attachments are left: $(fairlead ls)"
leftByContainers "$conf" "$work/before" || die "something of a container is left"
removeNetwork "$conf" >/dev/null
snapshot | diff "$work/before" - || die "something is left"
