#!/usr/bin/env bash
# The viewer in Chromium, against $TRANSOM, else a build of this tree. One line per walk; all of it when it failed.
set -uo pipefail
cd "$(dirname "$0")"

if [ -z "${TRANSOM:-}" ]; then
  cargo build --quiet --bin transom || exit 1
  export TRANSOM=${CARGO_TARGET_DIR:-$PWD/../../target}/debug/transom
fi
[ -d node_modules ] || npm ci --silent --no-audit --no-fund || exit 1

failed=0
for walk in walk renewal trouble looks cache real-sdk; do
  if output=$(node "$walk.mjs" 2>&1); then
    echo "ok     browser: $walk"
  else
    failed=1
    echo "$output"
    echo "FAILED browser: $walk"
  fi
done
exit $failed
