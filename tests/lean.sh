#!/usr/bin/env bash
# The library alone, as a service mounts it: how many crates it brings along, and that none of them is an HTTP server.
set -euo pipefail
cd "$(dirname "$0")/.."
most=186
tree() { cargo tree --locked --edges "$1" --no-default-features --prefix none --package transom; }
crates=$(tree normal | sed 's/ (.*//' | sort -u | wc -l)
servers=$(tree normal,features | grep -E '^(hyper|hyper-util) feature "server' | sort -u || true)
echo "$crates crates without default features; $most are allowed"
if [ -n "$servers" ]; then
  echo "an HTTP server is among them: $servers"
  exit 1
fi
[ "$crates" -le "$most" ]
