#!/usr/bin/env bash
# podman.sh PLUGIN-DIR CONFLIST: podman (its CNI backend, runc) runs containers on a network of ours, and reaches them.
# usage: podman.sh build/cni conf/80-podman.conflist
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/host.sh
source "$here/../host.sh"
# shellcheck source=tests/client/common.sh
source "$here/common.sh"
need podman conmon runc busybox jq nft
enterHost "$@"

plugins=$(readlink -f "$1") conflist=$2
network=$(jq -r .name "$conflist") bridge=$(jq -r '.plugins[0].bridge' "$conflist")
fixedIP=$(jq -r '.plugins[0].ipam.ranges[0][0].subnet' "$conflist" | sed 's|\.0/.*|.77|')
readonly kFixedMac=02:11:22:33:44:55

# The runtime must be runc, which takes every layout of control groups, and the limits low: it may not raise them here.
cat >"$work/containers.conf" <<CONF
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
[network]
network_backend = "cni"
cni_plugin_dirs = ["$plugins"]
network_config_dir = "/etc/cni/net.d"
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
CONF
export CONTAINERS_CONF=$work/containers.conf
mkdir -p /etc/containers
echo '{"default": [{"type": "insecureAcceptAnything"}]}' >/etc/containers/policy.json
rm -rf /etc/cni/net.d
install -D -m 644 "$conflist" "/etc/cni/net.d/$(basename "$conflist")"

podman() {
  command podman --root "$work/storage" --runroot /run/containers --tmpdir /run/libpod --storage-driver vfs "$@"
}
# start NAME OPTION... runs the web server in a container of that name.
start() {
  local name=$1
  shift
  podman run --detach --name "$name" --network "$network" --cgroup-parent "/$(cgroupParent)" "$@" \
    bb:latest httpd -f -p 80 -h /www >/dev/null
}
addressOf() { podman inspect "$1" --format "{{(index .NetworkSettings.Networks \"$network\").IPAddress}}"; }

rootfs "$work/rootfs"
tar -C "$work/rootfs" -c . | podman import --quiet - bb:latest >/dev/null

start web
address=$(addressOf web)
note "podman: container web has $address"
waitFor 5 answers "$address" || die "the host does not reach the container's web server on $address"
[[ $(attachments) == "$network "*" eth0" ]] || die "fairlead ls does not show the container: $(attachments)"

start fixed --ip "$fixedIP" --mac-address "$kFixedMac"
[[ $(addressOf fixed) == "$fixedIP" ]] || die "podman run --ip $fixedIP gave $(addressOf fixed)"
podman exec fixed cat /sys/class/net/eth0/address | grep -q "$kFixedMac" || die "podman run --mac-address was not honoured"
waitFor 5 answers "$fixedIP" || die "the host does not reach $fixedIP"
podman exec fixed ping -c 1 -W 2 "$address" >/dev/null || die "container does not reach container"

podman rm --force --time 0 fixed >/dev/null
if answers "$fixedIP" 1; then die "the removed container still answers"; fi
podman rm --force --time 0 web >/dev/null
nothingLeft "$network" "$bridge"
note "podman: nothing is left"
