#!/usr/bin/env bash
# Builds Transom, installs nginx, HAProxy and Apache where they are missing, and compares how they read raw requests.
# `--can-run` stops before the comparison, and says why if it can't run here.
set -euo pipefail
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
  echo "Apache's workers change their user, which needs root"
  exit 1
fi
missing=()
command -v nginx >/dev/null || missing+=(nginx-light)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v apache2 >/dev/null || missing+=(apache2)
if [ ${#missing[@]} -gt 0 ]; then
  if ! { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"; } >/dev/null 2>&1; then
    echo "${missing[*]} can't be installed"
    exit 1
  fi
fi
[ "${1:-}" != --can-run ] || exit 0
cargo build --quiet --bin transom
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/framing/framing.py "$@"
