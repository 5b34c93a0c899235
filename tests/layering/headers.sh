#!/usr/bin/env bash
# headers.sh COMPILER [FLAG]...: every header compiles alone, so that nobody depends on what was included before it.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

printf '%s\n' runtime/*.h netns/*.h plugin/*.h |
  xargs -P "$(nproc)" -I HEADER "$@" -fsyntax-only -I. -include HEADER -x c++ /dev/null
