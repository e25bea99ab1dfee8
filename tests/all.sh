#!/usr/bin/env bash
# Everything that must hold before a change lands. Installs what is missing; says SKIPPED where something can't run.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0

step() {
  local name=$1 since=$SECONDS
  shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAILED: $name"; fi
  echo "   $((SECONDS - since)) s"
}

skip() {
  skipped=$((skipped + 1))
  echo "SKIPPED: $1: $2"
}

# Debian packages, when a command of theirs is missing. Whoever needs one skips when it can't be had.
install() {
  command -v "$1" >/dev/null && return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null 2>&1
}

browser() {
  (cd tests/browser && npm ci --silent --no-audit --no-fund) && bash tests/browser/run.sh
}

install strace strace || skip "strace" "it can't be installed; its test skips itself"
install slowhttptest slowhttptest || skip "slowhttptest" "it can't be installed; its test skips itself"
install h2load nghttp2-client || skip "h2load" "it can't be installed; its test skips itself"
install haproxy haproxy || skip "haproxy" "it can't be installed; its test skips itself"
install php php-cli || skip "PHP as a reader" "it can't be installed; its test skips itself"
{ install ruby ruby && { ruby -e 'require "rack"' 2>/dev/null || install rackup ruby-rack; }; } || skip "Rack as a reader" "it can't be installed; its test skips itself"
install nginx nginx-light || skip "nginx" "it can't be installed; its tests skip themselves"
install varnishd varnish || skip "varnish" "it can't be installed; its test skips itself"

step "format" cargo fmt --all --check
step "lint" cargo clippy --all-targets --quiet -- -D warnings
step "lint, library alone" cargo clippy --lib --no-default-features --quiet -- -D warnings
# The only other feature. Nothing but the command uses what it brings.
step "lint, server without the command" cargo clippy --lib --no-default-features --features server --quiet -- -D warnings -A dead_code
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
step "tests" cargo test --quiet
if cargo deny --version >/dev/null 2>&1; then
  step "licences, bans, sources" cargo deny --offline check licenses bans sources
else
  skip "licences, bans, sources" "cargo-deny is not installed (cargo install cargo-deny)"
fi

if ! command -v python3 >/dev/null; then
  skip "framing" "python3 is not installed"
elif ! servers=$(tests/framing/run.sh --can-run); then
  skip "framing" "$servers"
else
  step "framing" tests/framing/run.sh
fi

if ! command -v python3 >/dev/null; then
  skip "instructions" "python3 is not installed"
elif ! install valgrind valgrind; then
  skip "instructions" "valgrind can't be installed"
else
  step "instructions" tests/benches/instructions.sh
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null; then
  skip "browser" "node and npm are not installed"
elif ! install chromium chromium; then
  skip "browser" "chromium can't be installed"
else
  step "browser" browser
fi

echo "$passed passed, $failed failed, $skipped skipped, in $SECONDS s"
[ "$failed" -eq 0 ]
