#!/usr/bin/env bash
# Builds the release binary, installs nginx and wrk where they are missing, and prints every figure as a ratio.
set -euo pipefail
cd "$(dirname "$0")/../.."
if ! command -v nginx >/dev/null || ! command -v wrk >/dev/null; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq nginx-light wrk >/dev/null
fi
cargo test --release --quiet --lib auth::speed -- --ignored --nocapture --test-threads=1
cargo build --release --quiet
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/benches/spine.py "$@"
