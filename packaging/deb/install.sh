#!/usr/bin/env bash
# Install Falaj's Debian package, wait until it is well, and say where the admin page is. As root.
#   install.sh --deb FILE      this package; what it depends on comes from Debian
#   install.sh --offline DIR   all from DIR, which packaging/deb/bundle.sh made; no network is used
# ./install.sh of the checkout calls this; a bundle has it beside its packages.
set -euo pipefail

say() { printf '%s\n' "$*" >&2; }
die() { say "install.sh: $1"; say "            $2"; exit 1; }
export DEBIAN_FRONTEND=noninteractive
APT=(apt-get -qq -y --no-install-recommends -o APT::Sandbox::User=root -o Dpkg::Use-Pty=0)

from_file() {
    [ -f "$1" ] || die "There is no file $1." "Build it with packaging/deb/build.sh, which writes it to dist/."
    "${APT[@]}" update
    "${APT[@]}" install "$(readlink -f "$1")" >/dev/null
}

# apt sees DIR as its only source, so it takes what this machine lacks, and nothing else.
from_folder() {
    local folder state
    folder=$(readlink -f "$1")
    [ -f "$folder/Packages" ] || die "$1 is no bundle of Falaj." "Make one, where there is a network: packaging/deb/bundle.sh $1"
    state=$(mktemp -d)
    mkdir -p "$state/lists/partial" "$state/archives/partial"
    echo "deb [trusted=yes] file:${folder// /%20} ./" >"$state/sources.list"
    APT+=(-o "Dir::Etc::sourcelist=$state/sources.list" -o Dir::Etc::sourceparts=/dev/null
        -o "Dir::State::lists=$state/lists" -o "Dir::Cache::archives=$state/archives")
    "${APT[@]}" update
    "${APT[@]}" install falaj >/dev/null
    rm -rf "$state"
}

wait_until_well() {
    local _
    for _ in $(seq 240); do
        falaj status --json 2>/dev/null | grep -q '^{"ready": true' && return
        sleep 0.5
    done
    say "install.sh: Falaj is installed, but was not ready within two minutes. What it says:"
    journalctl --no-pager --quiet --output cat --priority warning --unit 'falaj-*' --lines 2 >&2
    say "            More: sudo falaj doctor, and sudo journalctl --unit 'falaj-*'"
    exit 1
}

tell() {
    local page
    page=$(falaj status --json | sed 's/.*"admin": {[^}]*"address": "\([^"]*\)".*/\1/')
    say ""
    say "Falaj runs, and starts with this machine. The admin page:"
    say ""
    falaj setup-code 2>/dev/null | sed 's/^/  /' >&2 || say "  $page"
    say ""
    say "It can be opened on this machine only. To let the others of the office in:"
    say "  sudo falaj config set admin.host 0.0.0.0"
    say "and read /usr/share/doc/falaj/network.md"
}

[ "$(id -u)" = 0 ] || die "Installing needs root." "Use: sudo $0 $*"
command -v apt-get >/dev/null || die "This system has no apt-get." "Falaj is packaged for Debian 12 and later."
case "${1:-}:${2:-}" in
--deb:?*) from_file "$2" ;;
--offline:?*) from_folder "$2" ;;
*) die "Which package?" "Use: install.sh --deb FILE, or install.sh --offline DIR" ;;
esac
if [ -d /run/systemd/system ]; then
    wait_until_well
    tell
else
    say "Falaj is installed. systemd does not run here now: the services start with the next boot."
fi
