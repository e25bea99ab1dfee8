#!/usr/bin/env bash
# Everything that must hold before a change lands; `--quick` is the part of it that finds most faults, in under five
# minutes on a machine that has built before. Installs what is missing. What can't run is said as SKIPPED, with the
# reason; in CI it fails, if a package registry can bring what it takes.
set -uo pipefail
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
tools=$PWD/target/tools

step() {
  local name=$1 since=$SECONDS
  shift
  echo "== $name"
  if "$@"; then passed=$((passed + 1)); else fail "$name"; fi
  echo "   $((SECONDS - since)) s"
}

fail() {
  failed=$((failed + 1))
  echo "FAILED: $*"
}

# For what no registry has: a database, a right, another machine.
skip() {
  skipped=$((skipped + 1))
  echo "SKIPPED: $1: $2"
}

# For what a registry has.
missing() {
  if [ -n "${CI:-}" ]; then fail "$1: $2"; else skip "$1" "$2"; fi
}

# A command of a Debian package.
install() {
  command -v "$1" >/dev/null && return
  apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$2" >/dev/null 2>&1
  command -v "$1" >/dev/null
}

install_deny() {
  export PATH="$tools/bin:$PATH"
  cargo deny --version 2>/dev/null | grep -q " $1\$" && return
  # Of a tool that runs for seconds, the build is what takes time: no whole-program optimization.
  CARGO_PROFILE_RELEASE_LTO=false CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install --quiet cargo-deny --version "$1" --locked --root "$tools" --target-dir "$tools/build" &&
    rm -rf "$tools/build"
}

features() {
  sed -n '/^\[features\]/,/^\[/s/^\([a-z][a-z0-9-]*\) = .*/\1/p' Cargo.toml | grep -vx default
}

clippy() {
  cargo clippy --quiet "$@" -- -D warnings
}

browser() {
  (cd tests/browser && npm ci --silent --no-audit --no-fund) && bash tests/browser/run.sh
}

finish() {
  echo "$passed passed, $failed failed, $skipped skipped, in $SECONDS s"
  [ "$failed" -eq 0 ]
  exit
}

if [ "${1:-}" = --quick ]; then
  step "format" cargo fmt --all --check
  step "lint" clippy --all-targets
  step "tests of the library" cargo test --quiet --lib
  # A document's way from its upload to its viewer, what is refused, and what a crash and a slow DWS leave behind.
  step "chosen acceptance tests" cargo test --quiet --test acceptance -- \
    capture:: correlate:: delivery:: faults:: identity:: mounted:: refusals:: sessions:: views::
  finish
fi

install strace strace || missing "strace" "it can't be installed"
install slowhttptest slowhttptest || missing "slowhttptest" "it can't be installed"
install h2load nghttp2-client || missing "h2load" "it can't be installed"
install haproxy haproxy || missing "haproxy" "it can't be installed"
install php php-cli || missing "PHP as a reader" "it can't be installed"
{ install ruby ruby && { ruby -e 'require "rack"' 2>/dev/null || install rackup ruby-rack; }; } || missing "Rack as a reader" "it can't be installed"
install nginx nginx-light || missing "nginx" "it can't be installed"
install varnishd varnish || missing "varnish" "it can't be installed"

step "format" cargo fmt --all --check
step "lint" clippy --all-targets
step "lint, library alone" clippy --lib --no-default-features
for feature in $(features); do
  step "lint, $feature alone" clippy --lib --no-default-features --features "$feature"
done
step "library alone, its crates" tests/lean.sh
step "documentation" env RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --quiet
step "tests" cargo test --quiet
step "tests, a store of one's own" cargo test --quiet --features store-conformance --test store_conformance

if ! install_deny 0.20.2; then
  missing "licences, bans, sources" "cargo-deny can't be installed (cargo install cargo-deny)"
else
  step "licences, bans, sources" cargo deny --log-level error --offline --all-features check licenses bans sources
  # The database is no package: it is fetched from where it is kept, which many networks don't let through.
  if timeout 120 cargo deny fetch db >/dev/null 2>&1; then
    step "advisories" cargo deny --all-features check --disable-fetch advisories
  else
    skip "advisories" "the RustSec database can't be reached from here (cargo deny fetch db)"
  fi
fi

if ! install python3 python3; then
  missing "framing" "python3 can't be installed"
elif [ "$(id -u)" != 0 ]; then
  skip "framing" "Apache's workers change their user, which needs root"
elif ! servers=$(tests/framing/run.sh --can-run); then
  missing "framing" "$servers"
else
  step "framing" tests/framing/run.sh
fi

if ! install python3 python3; then
  missing "instructions" "python3 can't be installed"
elif ! install valgrind valgrind; then
  missing "instructions" "valgrind can't be installed"
else
  step "instructions" tests/benches/instructions.sh
fi

if ! install node nodejs || ! install npm npm; then
  missing "browser" "node and npm can't be installed"
elif ! install chromium chromium; then
  missing "browser" "chromium can't be installed"
else
  step "browser" browser
fi

finish
