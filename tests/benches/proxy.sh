#!/usr/bin/env bash
# Builds the release binary, installs nginx, HAProxy, wrk and h2load where they are missing, and prints every figure as a ratio.
set -euo pipefail
cd "$(dirname "$0")/../.."
missing=()
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v wrk >/dev/null || missing+=(wrk)
command -v h2load >/dev/null || missing+=(nghttp2-client)
if [ ${#missing[@]} -gt 0 ]; then
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
cargo build --release --quiet
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/benches/proxy.py "$@"
