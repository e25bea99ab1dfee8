#!/usr/bin/env bash
# The library alone, as a service mounts it: how many crates it brings along, and that none of them is an HTTP server.
# Counted as Cargo.lock has them, which holds two back: `idna_adapter` 1.1, whose tables of Unicode are 6 crates and not
# 22, and `encoding_rs` 0.8.35, without the three crates of later ones. `cargo update` may be why this fails.
set -euo pipefail
cd "$(dirname "$0")/.."
most=150
tree() { cargo tree --locked --edges "$@" --no-default-features --prefix none --package transom; }
failed=0
for features in "" store-sled; do
  # The first line is Transom itself.
  crates=$(tree normal --features "$features" | tail -n +2 | sed 's/ (.*//' | sort -u | grep -vc '^transom ')
  echo "$crates crates with default-features = false${features:+, $features}; $most are allowed"
  [ "$crates" -le "$most" ] || failed=1
done
servers=$(tree normal,features --features store-sled |
  grep -E '^(hyper|hyper-util) feature "server|^(actix-web|axum|hyper-staticfile|poem|rouille|salvo|tide|tiny_http|tonic|warp) ' |
  sort -u || true)
if [ -n "$servers" ]; then
  echo "an HTTP server is among them: $servers"
  failed=1
fi
exit $failed
