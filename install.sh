#!/usr/bin/env bash
# Falaj on a Debian machine: try it here, test it, or install it.
#   ./install.sh try [--once] [--json]   set up this checkout, run the demo, keep running until Ctrl-C
#   ./install.sh test [--slow]           set up what the tests need and run all of them
#   sudo ./install.sh [--deb FILE]       build the Debian package, or take FILE, and install it
#   sudo ./install.sh --offline DIR      install from what packaging/deb/bundle.sh gathered, without network
# The first two put everything into this folder (.venv, var, web), but for system packages, which they name first.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")"

say() { printf '%s\n' "$*" >&2; }
die() { say "install.sh: $1"; say "            $2"; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"
    elif command -v sudo >/dev/null; then sudo "$@"
    else die "These system packages are missing: $MISSING" "Run as root: apt-get install $MISSING"
    fi
}

# Install Debian packages that are not there yet, saying which.
need_packages() {
    local package
    MISSING=
    for package in "$@"; do
        dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || MISSING="$MISSING $package"
    done
    [ -z "$MISSING" ] && return
    command -v apt-get >/dev/null || die "This needs:$MISSING" "Install them with this system's package manager."
    say "Installing system packages:$MISSING"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq update
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $MISSING >/dev/null
}

# The distribution's own Python: what the package will run on.
python_for_venv() {
    need_packages python3 python3-venv libgomp1
    PYTHON=/usr/bin/python3
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        die "Falaj needs Python 3.11 or newer; this system has $("$PYTHON" -V)." "Use Debian 12 or newer."
}

# One virtual environment, made anew whenever a lock has changed.
make_venv() {
    local wanted have
    wanted=$({ cat "$@"; /usr/bin/python3 -V; pwd; } 2>&1 | sha256sum | cut -d' ' -f1)
    have=$(cat .venv/.locked 2>/dev/null || true)
    [ "$wanted" = "$have" ] && return
    python_for_venv
    say "Setting up .venv (the first time takes a minute or two) ..."
    .venv/bin/python -m pip --version >/dev/null 2>&1 || "$PYTHON" -m venv --clear .venv
    rm -f .venv/.locked
    local lock
    for lock in "$@"; do
        .venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r "$lock"
    done
    link_checkout
    printf '%s' "$wanted" >.venv/.locked
}

# The checkout itself, importable and as a command; nothing is copied, nothing is built.
link_checkout() {
    pwd >"$(.venv/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/falaj.pth"
    cat >.venv/bin/falaj <<SCRIPT
#!$PWD/.venv/bin/python
import sys

try:
    from appliance.cli import main

    sys.exit(main())
except KeyboardInterrupt:
    sys.exit(130)
SCRIPT
    chmod +x .venv/bin/falaj
}

# The admin page's front-end files, from their own lock; with --dev also what its tests need.
make_web() {
    web/build.sh "$@" ||
        die "The admin page's files could not be fetched." "Is the npm registry within reach? Then start this again."
}

try() {
    local once='' json='' log status=0
    for option in "$@"; do
        case $option in
        --once) once=yes ;;
        --json) json=--json ;;
        *) die "There is no option '$option'." "Use: ./install.sh try [--once] [--json]" ;;
        esac
    done
    make_venv packaging/lock.txt
    make_web
    need_packages libgomp1
    export FALAJ_HOME="${FALAJ_HOME:-$PWD/var}"
    mkdir -p "$FALAJ_HOME/logs"
    log="$FALAJ_HOME/logs/falaj.log"
    if .venv/bin/falaj status >/dev/null 2>&1; then
        die "An appliance already runs from $FALAJ_HOME." "Use it (.venv/bin/falaj status), or stop it first."
    fi
    .venv/bin/falaj run >>"$log" 2>&1 &
    APPLIANCE=$!
    trap 'kill -TERM $APPLIANCE 2>/dev/null; wait $APPLIANCE 2>/dev/null' EXIT
    trap 'exit 130' INT TERM
    wait_until_ready "$log"
    .venv/bin/falaj demo $json || status=$?
    [ -n "$once" ] && exit "$status"
    how_to_use
    wait "$APPLIANCE"
}

wait_until_ready() {
    local _
    for _ in $(seq 300); do
        .venv/bin/falaj status --json 2>/dev/null | grep -q '^{"ready": true' && return
        if ! kill -0 "$APPLIANCE" 2>/dev/null; then
            tail -n 2 "$1" >&2
            exit 1
        fi
        sleep 0.2
    done
    die "The appliance did not become ready within a minute." "Read $1"
}

# Where the admin page is, with a set-up code as long as nobody has been set up.
admin_page() {
    local page
    page=$(.venv/bin/falaj status --json | sed 's/.*"admin": {[^}]*"address": "\([^"]*\)".*/\1/')
    .venv/bin/falaj setup-code 2>/dev/null | sed 's/^/  /' || printf '  %s\n' "$page"
}

how_to_use() {
    local endpoint trust='' authority=''
    endpoint=$(.venv/bin/falaj status --json | sed 's/.*"inference": {[^}]*"address": "\([^"]*\)".*/\1/')
    if [ "${endpoint#https}" != "$endpoint" ]; then
        trust=' --cacert falaj-ca.pem'
        authority='.venv/bin/falaj certificate ca --out falaj-ca.pem
  '
    fi
    cat >&2 <<TEXT

The appliance runs. The endpoint is $endpoint
The admin page:

$(admin_page)

In another terminal, in this folder:

  .venv/bin/falaj status
  .venv/bin/falaj predict breast-cancer --row '{"mean radius": 14.2, "worst texture": 25.1}'

An application asks over HTTP, with a token:

  ${authority}TOKEN=\$(.venv/bin/falaj token create --models '*' --expires 1d | head -n 1)
  curl -s$trust $endpoint/predict/breast-cancer -H "Authorization: Bearer \$TOKEN" \\
       -d '{"rows": [{"mean radius": 14.2, "worst texture": 25.1}]}'

Stop it with Ctrl-C. What it has learnt stays in $FALAJ_HOME
TEXT
}

run_tests() {
    make_venv packaging/lock.txt packaging/lock-dev.txt
    make_web --dev
    need_packages libgomp1 curl chromium chromium-driver wrk iproute2 openssl gcc libc6-dev e2fsprogs
    need_packages dpkg-dev debhelper python3-venv lintian mmdebstrap man-db systemd
    case " $* " in *' --slow '*) need_packages systemd-container procps qemu-system-x86 ;; esac
    exec .venv/bin/python -m tests "$@"
}

system_install() {
    [ "$(id -u)" = 0 ] || die "Installing needs root." "Use: sudo ./install.sh (or try it here first: ./install.sh try)"
    if [ $# = 0 ]; then
        need_packages dpkg-dev debhelper python3-venv libgomp1
        say "Building the package (a minute or two) ..."
        set -- --deb "$(packaging/deb/build.sh --fast)"
    fi
    exec packaging/deb/install.sh "$@"
}

case "${1:-}" in
try) shift && try "$@" ;;
test) shift && run_tests "$@" ;;
'' | --deb | --offline) system_install "$@" ;;
*) die "There is no '$1'." "Use: sudo ./install.sh, ./install.sh try, or ./install.sh test" ;;
esac
