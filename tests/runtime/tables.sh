#!/usr/bin/env bash
# Every test that a table of the documentation names must exist in the sources: Suite.Name is TEST(Suite, Name).
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

# shellcheck disable=SC2016  # the backquotes are the text's
named=$(grep -hoE '`[A-Z][A-Za-z0-9]+Test\.[A-Z][A-Za-z0-9]+`' runtime/README.md tests/runtime/README.md | tr -d '`' | sort -u)
existing=$(grep -hoE '^TEST(_F|_P)?\([A-Za-z0-9]+, *[A-Za-z0-9]+' tests/runtime/*_test.cpp |
  sed -E 's/^TEST(_F|_P)?\(//; s/, */./' | sort -u)
[[ $(wc -l <<<"$named") -gt 50 ]] || { echo "the tables name next to nothing: has their form changed?"; exit 1; }
missing=$(comm -23 <(echo "$named") <(echo "$existing"))
[[ -z $missing ]] || { echo "named in a table, but nowhere to be found:"; echo "$missing"; exit 1; }
