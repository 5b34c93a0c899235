#!/usr/bin/env bash
# The C++ programs of runtime/COMING_FROM_GO.md are those of coming_from_go_test.cpp, word for word and in its order.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

# What is between `// [name]` and `// [end]`, less the marker's indentation; several of one name are one program.
tested() {
  awk '
    /^ *\/\/ \[end\]$/ { name = ""; next }
    /^ *\/\/ \[[a-z]+\]$/ { name = $2; indent = index($0, "/"); print name == last ? "" : "program"; last = name; next }
    name != "" { print substr($0, indent) }' tests/runtime/coming_from_go_test.cpp
}
onThePage() {
  awk '/^```cpp$/ { inside = 1; print "program"; next } /^```$/ { inside = 0 } inside' runtime/COMING_FROM_GO.md
}
(($(onThePage | grep -c '^program$') == 12)) || { echo "the page has not twelve programs"; exit 1; }
diff <(onThePage) <(tested) || { echo "< the page and > the tests differ"; exit 1; }
