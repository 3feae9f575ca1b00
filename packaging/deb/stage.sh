#!/usr/bin/env bash
# Lay out the package's files under ROOT: environment, launchers, units, manual, licences.
#   packaging/deb/stage.sh ROOT        (called by debian/rules, in the root of the source)
set -euo pipefail
root=$1
here=packaging/deb
venv=$root/usr/lib/falaj/venv
doc=$root/usr/share/doc/falaj
report=$(mktemp)
trap 'rm -f "$report"' EXIT

$here/environment.sh "$venv" /usr/lib/falaj/venv "$report"
site=$(echo "$venv"/lib/python3.*/site-packages)
packaged() { "$venv/bin/python3" -B -E -s "$here/$1" "${@:2}"; }

install -D -m 755 $here/bin/falaj "$root/usr/bin/falaj"
install -D -m 644 $here/upgrade.sh "$root/usr/lib/falaj/upgrade.sh"
install -D -m 755 $here/bin/start "$root/usr/lib/falaj/start"

units=$root/usr/lib/systemd/system
mkdir -p "$units"
for unit in systemd/*.service systemd/*.socket systemd/*.slice systemd/*.target; do
    install -m 644 "$unit" "$units/"
done
for folder in systemd/*.d; do
    mkdir "$units/${folder##*/}"
    install -m 644 "$folder"/*.conf "$units/${folder##*/}/"
done
install -D -m 644 systemd/falaj.sysusers "$root/usr/lib/sysusers.d/falaj.conf"
install -D -m 644 systemd/falaj.tmpfiles "$root/usr/lib/tmpfiles.d/falaj.conf"
if [ -f systemd/falaj-generator ]; then
    install -D -m 755 systemd/falaj-generator "$root/usr/lib/systemd/system-generators/falaj"
fi

mkdir -p "$doc"
find docs -maxdepth 1 -name '*.md' -exec install -m 644 -t "$doc" {} +
install -m 644 CHANGELOG.md "$doc/changelog"
packaged sbom.py "$site" "$report" web >"$doc/sbom.cdx.json"
packaged licences.py "$site" "$report" web "$doc"
find "$site" \( -name RECORD -o -name INSTALLER -o -name REQUESTED -o -name direct_url.json \) -delete
find "$site" -depth -type d -empty -delete

packaged manual.py "$root/usr/share/man"
for shell in bash:bash-completion/completions/falaj zsh:zsh/vendor-completions/_falaj \
    fish:fish/vendor_completions.d/falaj.fish; do
    target=$root/usr/share/${shell#*:}
    mkdir -p "${target%/*}"
    _FALAJ_COMPLETE=${shell%%:*}_source "$venv/bin/python3" -B -I -m appliance.cli >"$target"
done
