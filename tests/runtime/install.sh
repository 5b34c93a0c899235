#!/usr/bin/env bash
# install.sh BUILD|--shared [CMAKE-OPTION]...: the examples, built with nothing but an installed runtime, and run.
#
# BUILD is a build directory that has the library; with --shared one is built from here, as a shared library. The
# options are for each configuration, such as -DCMAKE_CXX_COMPILER=g++-12.
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
build=$1
shift

configure() { cmake -G Ninja -DCMAKE_BUILD_TYPE=Release "$@" >"$work/log" || { cat "$work/log"; exit 1; }; }
compile() { cmake --build "$@" >"$work/log" || { cat "$work/log"; exit 1; }; }
fail() { echo "install.sh: $*"; exit 1; }
# expect WHAT WANTED FOUND
expect() { [[ $2 == "$3" ]] || fail "$1: wanted '$2', found '$3'"; }

kind=a
if [[ $build == --shared ]]; then
  kind=so
  build=$work/build
  configure -S "$root" -B "$build" -DBUILD_SHARED_LIBS=ON -DFAIRLEAD_TESTS=OFF "$@"
  compile "$build"
fi
cmake --install "$build" --component runtime --prefix "$work/prefix" >/dev/null
[[ -n $(find "$work/prefix" -name "libfairlead_runtime.$kind") ]] || fail "there is no libfairlead_runtime.$kind"
configure -S "$root/runtime/examples" -B "$work/examples" -DCMAKE_PREFIX_PATH="$work/prefix" \
  -DCMAKE_COMPILE_WARNING_AS_ERROR=ON "$@"
compile "$work/examples"
cd "$work/examples"

# ---- headers: all that a program may include
grep -L '^// Internal' "$work"/prefix/include/runtime/*.h | sed 's|.*/||; s|.*|#include "runtime/&"|' >all.cpp
[[ $(wc -l <all.cpp) -ge 20 ]] || fail "few headers are installed: $(cat all.cpp)"
"${CXX:-c++}" -std=c++23 -fsyntax-only -I"$work/prefix/include" all.cpp

# ---- ui: three calls from three goroutines, in any order
found=$(./ui | sort)
expect ui "3 circles, the first thread
circle 0, drawn by the right thread
circle 1, drawn by the right thread
circle 2, drawn by the right thread" "$found"

# ---- pool: answers in any order, and the first mistake
expect pool "15: 3
77: 7
97: 97" "$(./pool 15 77 97 | sort)"
status=0
found=$(./pool 15 x 77 97 101 103 107 2>&1) || status=$?
expect "status of pool" 1 "$status"
expect pool "pool: 'x' is no number greater than 1" "$found"

# ---- seeds: both variants come to an end
for variant in free locked; do
  found=$(./seeds "$variant" 1000 500)
  [[ $found =~ ^$variant:\ 1000\ values\ in\ [0-9.]+\ s$ ]] || fail "seeds says '$found'"
done

# ---- echo: two connections, one of them open when the signal comes
exec {output}< <(exec ./echo 2>&1)
server=$!
read -r -u "$output" line
port=${line##*:}
exec 3<>"/dev/tcp/127.0.0.1/$port" 4<>"/dev/tcp/127.0.0.1/$port"
for connection in 3 4; do
  echo "over $connection" >&"$connection"
  read -r -u "$connection" found
  expect echo "over $connection" "$found"
done
exec 3>&-
kill -INT "$server"
read -r -u "$output" found
expect "echo after SIGINT" "done" "$found"
wait "$server" || fail "echo ended with status $?"
found=$(cat <&4)
expect "what the open connection still got" "" "$found"
