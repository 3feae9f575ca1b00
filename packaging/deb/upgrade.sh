# An upgrade that can't hurt: what preinst and postinst do around the unpacking. See docs/upgrades.md.
#
# preinst carries a copy of this file, since it runs before the package is there; postinst and `falaj upgrade
# retry` read /usr/lib/falaj/upgrade.sh. POSIX sh, no network, no questions. Nothing here fails an installation
# but a copy that can't be made, and then nothing has been changed.
#
#   preinst upgrade OLD NEW        before_unpack OLD NEW
#   postinst configure OLD         after_unpack OLD NEW, in place of any start or restart
#   postinst abort-upgrade         not_unpacked

lib=/usr/lib/falaj
data=/var/lib/falaj
state=/var/lib/falaj-upgrade
booted=/run/systemd/system # there where systemd runs, sd_booted(3)
# the same as in /usr/lib/falaj/start
unset PYTHONPATH PYTHONHOME
export PYTHONSAFEPATH=1 PYTHONNOUSERSITE=1 PYTHONDONTWRITEBYTECODE=1
longest=30m # for a step: a program that hangs must not hold the package manager for ever
mute="Its endpoint did not start."
unknown="The new program could not be run, or took too long."
unready="It has not been set up yet."
stopped="falaj-admin.socket falaj-admin.service falaj-worker.service falaj-egress.socket falaj-egress.service"

before_unpack() { # OLD NEW: the versions
    # What is held runs from `previous` already; what lies in `venv` then has never run.
    if [ -d "$lib/venv" ] && ! { [ -e "$state/held" ] && [ -d "$lib/previous" ]; }; then
        rm -rf "$lib/previous.new"
        # hard links: dpkg replaces files, it does not write into them
        if ! cp -al "$lib/venv" "$lib/previous.new"; then
            rm -rf "$lib/previous.new"
            echo "falaj: the program that runs could not be kept, so nothing was changed. Free some space." >&2
            return 1
        fi
        rm -rf "$lib/previous"
        mv "$lib/previous.new" "$lib/previous"
        # Whatever starts before all is set up, by a crash or after a power cut, starts what is whole and proven.
        hold "$1" "$2" "$unready"
    fi
    stop_changing
}

not_unpacked() { # dpkg has put the files of before back
    if grep -qsF "$unready" "$state/held"; then rm -f "$state/held"; fi
    go_on || true
}

after_unpack() { # OLD NEW: the versions
    old=$1 answered=
    if [ -d "$booted" ] && systemctl --quiet is-active falaj-inference.service; then answered=yes; fi
    if grep -qsF "$mute" "$state/held"; then answered=yes; fi # it was tried before, and cut short in going back
    if [ -e "$state/held" ]; then # what dpkg replaced has never run
        old=$(sed -n 's/.*"from": "\([^"]*\)".*/\1/p' "$state/held")
    fi
    stop_changing
    # What is not held any more is the new version's: cut short behind that, it migrates at its start.
    if ! why=$(new upgrade "$old" "$2"); then
        hold "$old" "$2" "${why:-$unknown}"
        go_on || true
    elif ! { rm -f "$state/held" && sync "$state" && why=$(new migrate "$old" "$2"); }; then
        take_back "$old" "$2" "${why:-$unknown}" || return 0 # one of two databases may be the new version's
    # An endpoint that did not answer before is no fault of the new version's.
    elif go_on || [ -z "$answered" ]; then
        echo "falaj: version $2 takes over."
        return 0
    else
        take_back "$old" "$2" "$mute" || return 0
    fi
    why=$(sed -n 's/.*"why": "\(.*\)", "at": .*/\1/p' "$state/held")
    echo "falaj: version $2 could not take over: $why Version $old goes on. See: falaj upgrade show" >&2
}

take_back() { # OLD NEW WHY: what the new version has changed already is put back; fails when it can't be
    running=
    if [ -d "$booted" ] && systemctl --quiet is-active falaj.target; then running=yes; fi
    if [ -d "$booted" ]; then systemctl stop falaj.target 'falaj-*.service' 'falaj-*.socket' || true; fi
    hold "$1" "$2" "$3" # first: cut short, the version before goes on with it when it starts
    said= back=
    known=$("$lib/previous/bin/python3" -m appliance.daemon migrations --home "$data") &&
        said=$(new take-back "$1" "$2" --known "$known") && back=done
    if [ -z "$back" ]; then
        rm -f "$state/held"
        echo "falaj: version $2 does not work here: $3 Going back has failed too: ${said:-$unknown} See: falaj doctor" >&2
    fi
    if [ -n "$running" ]; then systemctl start falaj.target || true; fi
    [ -n "$back" ]
}

new() { # STEP OLD NEW: a step of the new program; its line is the reason when it fails
    step=$1 from=$2 to=$3
    shift 3
    timeout --kill-after=10 "$longest" \
        "$lib/venv/bin/python3" -m appliance.daemon "$step" --home "$data" --from "$from" --to "$to" "$@"
}

hold() { # OLD NEW WHY
    mkdir -p "$state" || true
    # on a full disk it is empty; that it is there is what counts
    printf '{"from": "%s", "to": "%s", "why": "%s", "at": "%s"}\n' \
        "$(escaped "$1")" "$(escaped "$2")" "$(escaped "$3")" "$(date -u +%Y-%m-%dT%H:%M:%S.000Z)" \
        >"$state/held.new" || true
    chmod 0644 "$state/held.new" || true
    sync "$state/held.new" 2>/dev/null || true
    mv "$state/held.new" "$state/held"
}

escaped() {
    printf '%s' "$1" | tr '\n' ' ' | tr -d '\001-\037' | sed 's/\\/\\\\/g; s/"/\\"/g'
}

stop_changing() {
    # The endpoint goes on, and its socket stays open: who asks while it is restarted waits.
    if [ -d "$booted" ]; then systemctl stop $stopped || true; fi
}

go_on() { # fails when the endpoint does not start
    if [ ! -d "$booted" ]; then return 0; fi
    systemctl daemon-reload
    # What the owner had stopped stays stopped.
    if ! systemctl --quiet is-active falaj.target; then return 0; fi
    # Not falaj-prepare: all that it makes is there, and every role would go down with it. The endpoint also when
    # the new version is held: the workers that it starts later would be of that one.
    started=yes
    systemctl restart falaj-inference.service || started=
    systemctl start --no-block $stopped || true
    [ -n "$started" ]
}
