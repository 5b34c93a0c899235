#!/usr/bin/env bash
# Who may include whom. Prints every line that breaks a rule, and fails if there is one.
#
#   runtime <- netns <- plugin      a layer includes itself and the public headers of those to its left
#   *.h that begins "// Internal"   is for its own layer only
#   netns/libnl.h                   the only file with <netlink/...>; in no header of netns that is not internal
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
internal() { head -n 1 "$1" | grep -q -i '^// *internal'; }
mapfile -t public_headers < <(for header in netns/*.h; do internal "$header" || echo "$header"; done)

forbid "our headers are included from the root of the tree" "$inc\"[^/]*\"" "${runtime[@]}" "${netns[@]}" "${plugin[@]}"
forbid "runtime includes nothing of ours" "$inc\"(netns|plugin|tests)/" "${runtime[@]}"
forbid "netns includes nothing of plugin" "$inc\"(plugin|tests)/" "${netns[@]}"
forbid "plugin includes nothing of the tests" "$inc\"tests/" "${plugin[@]}"
forbid "<netlink/...> belongs in netns/libnl.h" "$inc<netlink/" "${no_libnl[@]}"
forbid "netns/libnl.h appears in no public header" "$inc\"netns/libnl.h\"" "${public_headers[@]}" "${runtime[@]}" "${plugin[@]}"
forbid "JSON and the command line belong in plugin" "$inc<(nlohmann|CLI)/" "${runtime[@]}" "${netns[@]}"
forbid "<iostream> costs every call its static initialisation" "$inc<iostream>" "${no_cli11[@]}"
forbid "plugin changes no namespace" '(^|[^[:alnum:]_])(setns|unshare)[[:space:]]*\(' "${plugin[@]}"
forbid "netns does not know about CNI" '(^|[^[:alnum:]_])(CNI|IPAM|JSON)([^[:alnum:]_]|$)' "${netns[@]}"

for header in runtime/*.h netns/*.h plugin/*.h; do
  internal "$header" || continue
  mapfile -t others < <(printf '%s\n' "${runtime[@]}" "${netns[@]}" "${plugin[@]}" | grep -v "^$(dirname "$header")/")
  forbid "$header is internal to $(dirname "$header")" "$inc\"$header\"" "${others[@]}"
done
exit "$bad"
