#!/usr/bin/env bash
# Fill a virtual environment with the locked wheels and our own code, for use at another path.
#   packaging/deb/environment.sh VENV PATH REPORT
# VENV is where it is made, PATH where it will lie; REPORT gets pip's account of which wheels it took.
set -euo pipefail
venv=$1 path=$2 report=$3

/usr/bin/python3 -m venv --without-pip --symlinks "$venv"
options=(--quiet --no-compile --no-deps --only-binary :all: --require-hashes --report "$report")
if [ -n "${FALAJ_WHEELS:-}" ]; then options+=(--no-index --find-links "$FALAJ_WHEELS"); fi
"$FALAJ_TOOLS/bin/pip" --python "$venv/bin/python3" install "${options[@]}" -r packaging/lock.txt
site=$("$venv/bin/python3" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')

packaging/deb/prune.sh "$venv" "$site"
# The pages lie beside the code, as in a checkout.
cp -r appliance "$site/appliance"
mkdir "$site/web"
cp -r web/static web/templates web/locale "$site/web/"
rm "$site/web/static/vendor/.built"

# Nothing of the place or the way it was built.
find "$venv/bin" -mindepth 1 ! -name 'python*' -delete
cat >"$venv/pyvenv.cfg" <<CFG
home = /usr/bin
include-system-site-packages = false
version = $("$venv/bin/python3" -c 'import platform; print(platform.python_version())')
CFG
find "$site" -type f -exec chmod 644 {} +
# Compiled here, so that nothing is written on the owner's machine; never compared with the source's date.
"$venv/bin/python3" -m compileall -q -j 0 --invalidation-mode unchecked-hash -s "$venv" -p "$path" "$site" ||
    echo "Some modules could not be compiled; they are compiled in memory." >&2
