#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs what is missing; says SKIPPED where something can't run.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0

step() {
  local name=$1
  shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; fi
}

skip() {
  skipped=$((skipped + 1))
  echo "SKIPPED: $1: $2"
}

install_browser() {
  [ -x /usr/bin/chromium ] && return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq chromium >/dev/null
}

step "format" cargo fmt --all --check
step "lint" cargo clippy --all-targets --quiet -- -D warnings
step "lint, library alone" cargo clippy --lib --no-default-features --quiet -- -D warnings
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
step "tests" cargo test --quiet
if cargo deny --version >/dev/null 2>&1; then
  step "licences, advisories, bans" cargo deny --offline check licenses bans sources
else
  skip "licences, advisories, bans" "cargo-deny is not installed (cargo install cargo-deny)"
fi

if ! command -v python3 >/dev/null; then
  skip "framing" "python3 is not installed"
elif ! servers=$(tests/framing/run.sh --can-run); then
  skip "framing" "$servers"
else
  step "framing" tests/framing/run.sh
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  skip "browser" "node and npm are not installed"
elif ! install_browser; then
  skip "browser" "chromium can't be installed"
else
  (cd tests/browser && npm ci --silent --no-audit --no-fund) && step "browser" bash tests/browser/run.sh || failed=$((failed + 1))
fi

echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]
