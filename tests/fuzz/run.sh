#!/usr/bin/env bash
# The fuzz targets: as every run of the tests has them, or for minutes and with other random numbers each time.
set -euo pipefail
cd "$(dirname "$0")/../.."
[ "${1:-}" = --long ] || exec cargo test --quiet --lib fuzz
export TRANSOM_FUZZ_INPUTS=${TRANSOM_FUZZ_INPUTS:-1000000} TRANSOM_FUZZ_SEED=${TRANSOM_FUZZ_SEED:-$RANDOM}
echo "$TRANSOM_FUZZ_INPUTS inputs for each target, TRANSOM_FUZZ_SEED=$TRANSOM_FUZZ_SEED"
exec cargo test --quiet --profile gate --lib fuzz
