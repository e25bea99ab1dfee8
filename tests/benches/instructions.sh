#!/usr/bin/env bash
# Builds Transom and the plain forwarder it is compared with, and counts instructions of both.
set -euo pipefail
cd "$(dirname "$0")/../.."
cargo build --profile gate --quiet -p transom -p plain
export PYTHONDONTWRITEBYTECODE=1
exec python3 tests/benches/instructions.py "$@"
