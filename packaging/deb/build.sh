#!/usr/bin/env bash
# Build the Debian package for the distribution and the processor it is run on.
#   packaging/deb/build.sh [--fast] [--wheels DIR] [--out DIR]
#     --fast         packed with zstd in seconds instead of with xz in minutes; for tests
#     --wheels DIR   take the locked wheels from DIR, which `pip download` filled; no registry is asked
#     --out DIR      where the package goes; dist/ otherwise
# The same source gives the same bytes, wherever it lies and whenever it is built.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."

out=$PWD/dist
while [ $# -gt 0 ]; do
    case $1 in
    --fast) export FALAJ_COMPRESSION="-Zzstd -z3" ;;
    --wheels) FALAJ_WHEELS=$(readlink -f "$2") && export FALAJ_WHEELS && shift ;;
    --out) mkdir -p "$2" && out=$(readlink -f "$2") && shift ;;
    *) echo "build.sh: there is no option '$1'." >&2 && exit 2 ;;
    esac
    shift
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONDONTWRITEBYTECODE=1 LC_ALL=C.UTF-8 TZ=UTC
umask 022

# The distribution's Python, with a pip that stays out of the package.
/usr/bin/python3 -m venv "$work/tools"
export FALAJ_TOOLS=$work/tools
PYTHON=$FALAJ_TOOLS/bin/python web/build.sh

source=$work/falaj
mkdir "$source"
tar --exclude=__pycache__ --exclude=node_modules -cf - LICENSE CHANGELOG.md appliance docs packaging systemd web |
    tar -C "$source" -xf -
mv "$source/packaging/deb/debian" "$source/debian"
# preinst runs before any file of the package is there
sed -i -e '/^#UPGRADE#$/{r packaging/deb/upgrade.sh' -e 'd}' "$source/debian/preinst"
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l "$source/debian/changelog" -S Timestamp)
export SOURCE_DATE_EPOCH

(cd "$source" && dpkg-buildpackage --build=binary --no-sign >"$work/log" 2>&1) || {
    cut -c -400 "$work/log" | grep -v '^WARNING: ' | tail -n 30 >&2
    exit 1
}
mv "$work"/falaj_*.deb "$out/"
ls "$out"/falaj_"$(dpkg-parsechangelog -l "$source/debian/changelog" -S Version)"_*.deb
