#!/bin/bash
# Builds larder, starts a master and three volumes in a temporary directory, stores a file and reads
# it back, then says what to type next and runs until Ctrl-C. Usage: demo.sh [--once]
#   --once   stops after the check; exit status 0 where everything worked
# Nothing is left behind: neither processes nor files.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

once=
case "${1:-}" in
'') ;;
--once) once=yes ;;
*)
    echo "Usage: demo.sh [--once]" >&2
    exit 2
    ;;
esac

dir=
pids=()
fail()
{
    echo "demo.sh: $*" >&2
    for log in "$dir"/*.log; do
        [ -s "$log" ] && { echo "--- ${log##*/}"; tail -n 20 "$log"; } >&2
    done
    exit 1
}

# Runs at every exit: a polite end first, then a sure one.
finish()
{
    trap '' INT TERM HUP
    for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null; done
    for ((i = 0; i < 100; i++)); do
        alive=
        for pid in "${pids[@]}"; do kill -0 "$pid" 2>/dev/null && alive=yes; done
        [ -n "$alive" ] || break
        sleep 0.1
    done
    for pid in "${pids[@]}"; do kill -KILL "$pid" 2>/dev/null; done
    wait 2>/dev/null
    [ -z "$dir" ] || rm -rf "$dir"
}
trap finish EXIT
trap 'echo; echo "Stopping."; exit 0' INT TERM HUP

# A port on which nobody answers now. Should somebody take it before our server does, that server
# ends at once, and start() tries another.
free_port()
{
    local p
    for ((p = 0; p < 200; p++)); do
        port=$((10000 + RANDOM % 20000))
        (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || return 0
    done
    fail "no free port was found between 10000 and 30000"
}

# With setpriv the servers end even when this script is killed in a way that no trap sees.
guard=()
command -v setpriv >/dev/null 2>&1 && guard=(setpriv --pdeathsig TERM)

# start NAME READY-PATH PROGRAM ARGUMENT...: sets $port; adds --port to the arguments.
start()
{
    local name=$1 ready=$2 tries
    shift 2
    for ((tries = 0; tries < 5; tries++)); do
        free_port
        "${guard[@]}" "$@" --port "$port" </dev/null >"$dir/$name.log" 2>&1 &
        local pid=$! i
        for ((i = 0; i < 300; i++)); do
            kill -0 "$pid" 2>/dev/null || break
            if curl -sf --noproxy '*' -m 2 -o /dev/null "http://127.0.0.1:$port$ready"; then
                pids+=("$pid")
                return 0
            fi
            sleep 0.1
        done
        kill -KILL "$pid" 2>/dev/null
        wait "$pid" 2>/dev/null
    done
    fail "$name does not start"
}

tools/deps.sh build || exit 1
echo "Building…"
build_log=$(mktemp) || exit 1
if ! make -j"$(nproc)" >"$build_log" 2>&1; then
    cat "$build_log" >&2
    rm -f "$build_log"
    echo "demo.sh: the build failed" >&2
    exit 1
fi
rm -f "$build_log"

dir=$(mktemp -d "${TMPDIR:-/tmp}/larder-demo.XXXXXX") || exit 1
volumes=
for n in 1 2 3; do
    start "volume$n" /admin/health bin/larder-volume --dir "$dir/volume$n"
    volumes="$volumes${volumes:+,}127.0.0.1:$port"
done
start master /admin/ready bin/larder-master --db "$dir/index" --volumes "$volumes" --replicas 3
url=http://127.0.0.1:$port

head -c 3000000 /dev/urandom >"$dir/sent" || fail "cannot write to $dir"
curl -sSf --noproxy '*' -m 60 -L -T "$dir/sent" "$url/demo/file" || fail "the PUT failed"
curl -sSf --noproxy '*' -m 60 -L -o "$dir/received" "$url/demo/file" || fail "the GET failed"
cmp "$dir/sent" "$dir/received" || fail "what came back is not what was sent"
echo "Stored a file of 3,000,000 bytes on three volumes, and read the same bytes back."
[ -z "$once" ] || exit 0

cat <<END

A master at $url, three volumes at $volumes, files below
$dir/volume1 and so on. Try, in another terminal:

  curl -L -X PUT -d 'hello world' $url/greeting     # store a value
  curl -L $url/greeting                             # read it
  curl -L -T /etc/hostname $url/files/hostname      # store a file
  curl -L '$url/files/?list'                        # list keys
  curl -L -X DELETE $url/greeting                   # delete it
  curl $url/admin/volumes                           # how the volumes are
  find $dir/volume1 -type f                         # the values are plain files

Ctrl-C stops everything and removes the files.
END
wait -n "${pids[@]}"
fail "a server ended by itself"
