# common.sh: what the tests with real container runtimes share. Sourced after host.sh; `plugins` is the CNI_PATH.
# shellcheck shell=bash

# rootfs DIR makes a container's file system of nothing but busybox.
rootfs() {
  local applet
  mkdir -p "$1/bin" "$1/www" "$1/etc"
  cp "$(command -v busybox)" "$1/bin/busybox"
  for applet in sh ip ping nc sleep httpd ls cat; do ln -s busybox "$1/bin/$applet"; done
  echo "hello from a container" >"$1/www/index.html"
}

# answers ADDRESS [SECONDS]: does the container's web server there answer this host? Bash's own client: busybox-static's wget
# resolves names through shared libraries that it does not have, and dies of it.
answers() {
  # shellcheck disable=SC2016  # $1 belongs to the inner shell
  timeout "${2:-5}" bash -c 'exec 3<>"/dev/tcp/$1/80" && printf "GET / HTTP/1.0\r\n\r\n" >&3 && cat <&3' - "$1" 2>/dev/null |
    grep -q "hello from a container"
}

# attachments prints the lines of `fairlead ls`, without a header: one for every attachment that Fairlead knows.
attachments() { "${plugins:?}/fairlead" ls --json | jq -r '.[] | "\(.network) \(.containerID) \(.ifname)"'; }

# nothingLeft NETWORK BRIDGE: every trace of the containers is gone. What may stay is what belongs to the network: its
# bridge, host-local's lock and memory of the last address.
nothingLeft() {
  local left
  left=$(ip -j link show | jq -r --arg bridge "$2" '.[].ifname | select(. != "lo" and . != $bridge)')
  [[ -z $left ]] || die "links are left: $left"
  left=$(find "/var/lib/cni/networks/$1" -type f ! -name lock ! -name 'last_reserved_ip.*' 2>/dev/null || true)
  [[ -z $left ]] || die "addresses are still reserved: $left"
  left=$(find /var/lib/cni/results -type f 2>/dev/null || true)
  [[ -z $left ]] || die "results are still cached: $left"
  left=$(nft list ruleset | grep -i 'masquerade' || true)
  [[ -z $left ]] || die "masquerading is left: $left"
  left=$(find /run/netns -mindepth 1)
  [[ -z $left ]] || die "namespaces are left: $left"
  left=$(attachments)
  [[ -z $left ]] || die "attachments are left: $left"
}
