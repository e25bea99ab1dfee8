#!/usr/bin/env bash
# Unpacks Rack 3 into target/interop/rack3, from the Debian release that has it, for this machine's own ruby. Debian 12 has
# Rack 2. The package is found through the sources that apt uses here, with another suite.
set -euo pipefail
cd "$(dirname "$0")/../.."
suite=trixie
to=$PWD/target/interop/rack3
[ -e "$to/rack.rb" ] && exit
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{sources,state/lists/partial,cache/archives/partial,package}
address=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' | grep -v security | head -1)
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $address $suite main" >"$work/sources/debian.list"
apt() {
  apt-get -qq -o Dir::Etc::sourcelist=/dev/null -o Dir::Etc::sourceparts="$work/sources" \
    -o Dir::State="$work/state" -o Dir::State::status=/var/lib/dpkg/status -o Dir::Cache="$work/cache" \
    -o APT::Sandbox::User=root "$@"
}
apt update
(cd "$work/package" && apt download ruby-rack)
dpkg-deb -x "$work"/package/ruby-rack_*.deb "$work/unpacked"
mkdir -p "$(dirname "$to")"
mv "$work"/unpacked/usr/share/rubygems-integration/all/gems/rack-3*/lib "$to"
