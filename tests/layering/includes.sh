#!/usr/bin/env bash
# Who may include whom. Prints every line that breaks a rule, and fails if there is one.
#
#   runtime <- netns <- plugin      a layer includes itself and the public headers of those to its left
#   *.h that begins "// Internal"   is for its own layer only; nobody but the sources of that layer
#   netns/libnl.h                   the only file with <netlink/...>, and included by netns/*.cpp only
#   nlohmann, CLI11                 plugin only
#   <iostream>                      nowhere but plugin/cli11.h: its static initialisation costs every call 60 to 100 us
#   setns, unshare                  not in plugin: it says what it wants in which namespace
#   CNI, IPAM, JSON                 are not words of netns
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

bad=0
# forbid RULE PATTERN FILE...: no line of the files may match the extended regular expression.
forbid() {
  local rule=$1 pattern=$2
  shift 2
  (($#)) || return 0
  if grep -E -n -H "$pattern" "$@"; then
    echo "  ^ $rule" >&2
    bad=1
  fi
}
inc='^[[:space:]]*#[[:space:]]*include[[:space:]]*'

runtime=(runtime/*.h runtime/*.cpp)
netns=(netns/*.h netns/*.cpp)
plugin=(plugin/*.h plugin/*.cpp)
without() {  # without FILE FILES...: prints the files but that one
  local but=$1
  shift
  printf '%s\n' "$@" | grep -v -x "$but"
}
mapfile -t no_libnl < <(without netns/libnl.h "${runtime[@]}" "${netns[@]}" "${plugin[@]}")
mapfile -t no_cli11 < <(without plugin/cli11.h "${runtime[@]}" "${netns[@]}" "${plugin[@]}")
mapfile -t netns_headers < <(printf '%s\n' netns/*.h)

forbid "our headers are included from the root of the tree" "$inc\"[^/]*\"" "${runtime[@]}" "${netns[@]}" "${plugin[@]}"
forbid "runtime includes nothing of ours" "$inc\"(netns|plugin|tests)/" "${runtime[@]}"
forbid "netns includes nothing of plugin" "$inc\"(plugin|tests)/" "${netns[@]}"
forbid "plugin includes nothing of the tests" "$inc\"tests/" "${plugin[@]}"
forbid "<netlink/...> belongs in netns/libnl.h" "$inc<netlink/" "${no_libnl[@]}"
forbid "netns/libnl.h is for netns/*.cpp" "$inc\"netns/libnl.h\"" "${netns_headers[@]}" "${runtime[@]}" "${plugin[@]}"
forbid "JSON and the command line belong in plugin" "$inc<(nlohmann|CLI)/" "${runtime[@]}" "${netns[@]}"
forbid "<iostream> costs every call its static initialisation" "$inc<iostream>" "${no_cli11[@]}"
forbid "plugin changes no namespace" '(^|[^[:alnum:]_])(setns|unshare)[[:space:]]*\(' "${plugin[@]}"
forbid "netns does not know about CNI" '(^|[^[:alnum:]_])(CNI|IPAM|JSON)([^[:alnum:]_]|$)' "${netns[@]}"

# An internal header says so in its first line.
for header in runtime/*.h netns/*.h plugin/*.h; do
  head -n 1 "$header" | grep -q -i '^// *internal' || continue
  mapfile -t others < <(printf '%s\n' "${runtime[@]}" "${netns[@]}" "${plugin[@]}" | grep -v "^$(dirname "$header")/")
  forbid "$header is internal to $(dirname "$header")" "$inc\"$header\"" "${others[@]}"
done
exit "$bad"
