#!/bin/sh
# Keeps one BIRD running, as PID 1 of its container, and stops it so that its neighbours keep the routes.
#
#   BIRD dies          started again at once; 0.2 s .. 5 s later when it keeps dying
#   BIRD ends well     somebody told it to, perhaps a preStop hook: started again 2 s later unless SIGTERM comes
#   SIGTERM, SIGINT    `graceful restart`: BIRD leaves without closing its sessions, then this script ends
#
# -R always: without it a restarted BIRD tells its neighbours to flush what they kept. It costs nothing at the first
# start, when the configuration has no session yet and so nothing to wait for.
set -u

dir=${FAIRLEAD_BIRD_DIR:-/run/fairlead/bird}
config=$dir/bird.conf
control=$dir/bird.ctl
bird=
stopping=

say() { echo "bird-supervisor: $*" >&2; }

write_start_config() {
    # The agent replaces it with the node's configuration; the description says that it has not yet.
    umask 077
    cat >"$config.start" <<'CONFIG'
log stderr all;
router id 0.0.0.1;
protocol device fairlead { description "start"; scan time 10; }
CONFIG
    mv "$config.start" "$config"
}

# BIRD must come up to take a better configuration, so one that it cannot read is put aside.
ensure_config() {
    if [ ! -s "$config" ]; then
        write_start_config
    elif ! bird -p -c "$config"; then
        say "$config is refused by this BIRD; kept as $config.refused"
        mv "$config" "$config.refused"
        write_start_config
    fi
}

stop() {
    stopping=yes
    [ -n "$bird" ] || return 0
    timeout 2 birdc -s "$control" graceful restart >&2 || kill -KILL "$bird" 2>/dev/null
}

# Waits for BIRD although a signal ends `wait` early.
await_bird() {
    while kill -0 "$bird" 2>/dev/null; do
        wait "$bird"
        status=$?
    done
}

# A signal ends the pause, which `sleep` alone would not allow.
pause() {
    sleep "$1" &
    wait $!
}

next_delay() {
    case $1 in
    0) echo 0.2 ;;
    0.2) echo 1 ;;
    1) echo 2 ;;
    *) echo 5 ;;
    esac
}

trap stop TERM INT
mkdir -p "$dir"
chmod 700 "$dir"
delay=0
while [ -z "$stopping" ]; do
    ensure_config
    started=$(date +%s)
    status=0
    bird -f -R -c "$config" -s "$control" &
    bird=$!
    # A signal between the two lines above found no BIRD to stop.
    [ -z "$stopping" ] || stop
    await_bird
    bird=
    [ -z "$stopping" ] || break
    [ $(($(date +%s) - started)) -lt 10 ] || delay=0
    [ "$status" -ne 0 ] || delay=2
    say "BIRD ended with status $status; starting it again in $delay s"
    pause "$delay"
    delay=$(next_delay "$delay")
done
say "stopped"
