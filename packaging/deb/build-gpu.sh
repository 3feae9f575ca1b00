#!/usr/bin/env bash
# Build falaj-gpu: ONNX Runtime for NVIDIA cards, which takes the place of the module in the package falaj.
#   packaging/deb/build-gpu.sh [--out DIR]      amd64 alone: there are no such wheels for arm64
# CUDA and cuDNN are not in it: their licence does not let us hand them on. `falaj gpu enable` puts it to use.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/../.."
out=dist
if [ "${1:-}" = --out ]; then out=$2; fi
[ "$(dpkg --print-architecture)" = amd64 ] || { echo "build-gpu.sh: ONNX Runtime for NVIDIA cards is made for amd64 only." >&2; exit 1; }
mkdir -p "$out"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
umask 022
version=$(dpkg-parsechangelog -l packaging/deb/debian/changelog -S Version)
SOURCE_DATE_EPOCH=$(dpkg-parsechangelog -l packaging/deb/debian/changelog -S Timestamp)
export SOURCE_DATE_EPOCH PIP_DISABLE_PIP_VERSION_CHECK=1

/usr/bin/python3 -m venv "$work/tools"
root=$work/root
site=$root/usr/lib/falaj-gpu/site-packages
"$work/tools/bin/pip" install --quiet --no-compile --no-deps --only-binary :all: --require-hashes \
    --target "$site" -r packaging/lock-gpu.txt
licence=$(find "$site" -path '*dist-info*' -iname 'LICENSE*' -o -path '*/onnxruntime/LICENSE' | head -n 1)
[ -n "$licence" ] || { echo "build-gpu.sh: the wheel has no licence." >&2; exit 1; }
install -D -m 644 "$licence" "$root/usr/share/doc/falaj-gpu/copyright"
rm -rf "$site"/onnxruntime/{transformers,tools,datasets} "$site"/bin
find "$site" \( -name RECORD -o -name INSTALLER -o -name REQUESTED -o -name direct_url.json \) -delete
find "$root" -type f -exec chmod 644 {} +

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<CONTROL
Package: falaj-gpu
Version: $version
Architecture: amd64
Maintainer: $(sed -n 's/^Maintainer: //p' packaging/deb/debian/control)
Section: science
Priority: optional
Depends: falaj (= $version)
Installed-Size: $(du -sk "$root/usr" | cut -f1)
Description: ONNX Runtime for NVIDIA graphics cards, for Falaj
 Models of the Falaj appliance can be given to an NVIDIA card with it, once
 the driver, CUDA and cuDNN by NVIDIA are installed: sudo falaj gpu enable
CONTROL
find "$root" -newermt "@$SOURCE_DATE_EPOCH" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
dpkg-deb --root-owner-group --build -Zxz -z1 "$root" "$out/falaj-gpu_${version}_amd64.deb" >/dev/null
ls "$out/falaj-gpu_${version}_amd64.deb"
