#!/usr/bin/env bash
# Put the package, every Debian package it depends on and install.sh into a folder: all that a machine without
# network needs. Run it where there is one, on the same distribution and processor.
#   packaging/deb/bundle.sh DIR [FILE.deb]      then there: sudo DIR/install.sh --offline DIR
set -euo pipefail
here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
[ $# -ge 1 ] || { echo "bundle.sh: which folder? Use: packaging/deb/bundle.sh DIR [FILE.deb]" >&2 && exit 2; }
mkdir -p "$1"
folder=$(readlink -f "$1")
deb=${2:-$(ls -t "$here"/../../dist/falaj_*.deb | head -n 1)}
deb=$(readlink -f "$deb")

# An apt that believes nothing is installed: it fetches the whole closure, whatever this machine has.
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
mkdir -p "$state/lists/partial" "$folder/partial"
touch "$state/status"
apt=(apt-get -qq -y --no-install-recommends -o APT::Sandbox::User=root -o "Dir::State::lists=$state/lists"
    -o "Dir::State::status=$state/status" -o "Dir::Cache::archives=$folder" -o Dir::Cache::pkgcache=
    -o Dir::Cache::srcpkgcache=)
"${apt[@]}" update
"${apt[@]}" install --download-only "$deb" >/dev/null
rm -rf "$folder/partial" "$folder/lock"
cp "$deb" "$folder/"
cp "$here/install.sh" "$folder/install.sh"
(cd "$folder" && dpkg-scanpackages --multiversion . >Packages 2>/dev/null)
echo "$(find "$folder" -name '*.deb' | wc -l) packages, $(du -sh "$folder" | cut -f1): take $folder along, then" >&2
echo "  sudo $folder/install.sh --offline $folder" >&2
