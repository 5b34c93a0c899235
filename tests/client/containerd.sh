#!/usr/bin/env bash
# containerd.sh PLUGIN-DIR CONFLIST: `ctr run --cni` runs a container on a network of ours, and the host reaches it.
# usage: containerd.sh build/cni conf/85-containerd.conflist
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
# shellcheck source=tests/host.sh
source "$here/../host.sh"
# shellcheck source=tests/client/common.sh
source "$here/common.sh"
need containerd ctr runc busybox jq nft
enterHost "$@"

plugins=$(readlink -f "$1") conflist=$2
network=$(jq -r .name "$conflist") bridge=$(jq -r '.plugins[0].bridge' "$conflist")

# ctr looks nowhere else.
mkdir -p /opt/cni /etc/cni
cp -a "$plugins" /opt/cni/bin
rm -rf /etc/cni/net.d
install -D -m 644 "$conflist" "/etc/cni/net.d/$(basename "$conflist")"

cat >"$work/config.toml" <<CONF
version = 2
root = "$work/containerd"
state = "/run/containerd"
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
  address = "/run/containerd/containerd.sock"
CONF
containerd --config "$work/config.toml" >"$work/containerd.log" 2>&1 &
waitFor 20 ctr version >/dev/null 2>&1 || { tail -n 20 "$work/containerd.log" >&2; die "containerd did not come up"; }

# image FILE packs the root file system as docker's archive format, which every version of containerd imports.
image() {
  local digest
  rootfs "$work/rootfs"
  mkdir "$work/image"
  tar -C "$work/rootfs" -cf "$work/image/layer.tar" .
  digest=sha256:$(sha256sum "$work/image/layer.tar" | cut -d ' ' -f 1)
  jq -n --arg digest "$digest" \
    '{architecture: "amd64", os: "linux", config: {}, rootfs: {type: "layers", diff_ids: [$digest]}}' \
    >"$work/image/config.json"
  echo '[{"Config": "config.json", "RepoTags": ["localhost/bb:latest"], "Layers": ["layer.tar"]}]' \
    >"$work/image/manifest.json"
  tar -C "$work/image" -cf "$1" .
}
image "$work/bb.tar"
ctr images import --snapshotter native "$work/bb.tar" >/dev/null

# Not detached: then ctr itself calls DEL when the container ends, without a namespace, as that is gone by then.
ctr run --rm --cni --snapshotter native --cgroup "/$(cgroupParent)/web" localhost/bb:latest web httpd -f -p 80 -h /www \
  >"$work/ctr.log" 2>&1 &
ctrPid=$!

address() {
  find "/var/lib/cni/networks/$network" -type f -name '[0-9]*' -printf '%f\n' 2>/dev/null | grep -m 1 .
}
waitFor 20 address >/dev/null || { cat "$work/ctr.log" >&2; die "ctr run --cni reserved no address"; }
address=$(address)
note "containerd: container web has $address"
waitFor 5 answers "$address" || { cat "$work/ctr.log" >&2; die "the host does not reach the container on $address"; }
[[ $(attachments) == "$network "*" eth0" ]] || die "fairlead ls does not show the container: $(attachments)"
ctr task exec --exec-id look web ip addr show lo | grep -q '127.0.0.1/8' || die "the container's loopback is down"

ctr task kill --signal KILL web
wait "$ctrPid" || true  # the container's status: it was killed
if answers "$address" 1; then die "the removed container still answers"; fi
nothingLeft "$network" "$bridge"
note "containerd: nothing is left"
