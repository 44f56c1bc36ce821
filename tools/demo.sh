#!/bin/bash
# Builds larder, starts a master and three volumes in a temporary directory, stores a file and reads
# it back, then says what to type next and runs until Ctrl-C. Usage: demo.sh [--once] [--masters N]
#   --once       stops after the check; exit status 0 where everything worked
#   --masters N  N masters of one store, over three nodes of etcd
# Nothing is left behind: neither processes nor files.
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1

once=
masters=
usage()
{
    echo "Usage: demo.sh [--once] [--masters N]" >&2
    exit 2
}
while [ $# -gt 0 ]; do
    case "$1" in
    --once) once=yes ;;
    --masters)
        shift
        masters=${1:-}
        case "$masters" in [1-9]) ;; *) usage ;; esac
        ;;
    *) usage ;;
    esac
    shift
done

dir=
pids=()
launched=()  # which do not answer yet
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
    pids+=("${launched[@]}")
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

# launch NAME COMMAND...: starts a server in the background, its output into NAME.log; adds it to
# `launched`.
launch()
{
    local name=$1
    shift
    "${guard[@]}" "$@" </dev/null >"$dir/$name.log" 2>&1 &
    launched+=("$!")
}

# answers URL [TEXT]: waits until it does (with TEXT in the answer), then what was launched goes into
# `pids`. Fails where a part of that ends meanwhile, or half a minute is over: then all of it is ended.
answers()
{
    local i pid said
    for ((i = 0; i < 300; i++)); do
        for pid in "${launched[@]}"; do kill -0 "$pid" 2>/dev/null || break 2; done
        if said=$(curl -sf --noproxy '*' -m 2 "$1") && [[ "$said" == *"${2:-}"* ]]; then
            pids+=("${launched[@]}")
            launched=()
            return 0
        fi
        sleep 0.1
    done
    kill -KILL "${launched[@]}" 2>/dev/null
    wait "${launched[@]}" 2>/dev/null
    launched=()
    return 1
}

# start NAME READY-PATH PROGRAM ARGUMENT...: sets $port; adds --port to the arguments.
start()
{
    local name=$1 ready=$2 tries
    shift 2
    for ((tries = 0; tries < 5; tries++)); do
        free_port
        launch "$name" "$@" --port "$port"
        answers "http://127.0.0.1:$port$ready" && return 0
    done
    fail "$name does not start"
}

# start_etcds: three nodes of etcd that know each other; sets $etcds. A port that is taken meanwhile
# makes a node end at once, and all three are started anew.
start_etcds()
{
    local n tries cluster ports
    for ((tries = 0; tries < 5; tries++)); do
        cluster= etcds= ports=()
        for n in 0 1 2; do
            free_port && ports+=("$port")
            free_port && ports+=("$port")
            cluster="$cluster${cluster:+,}etcd$n=http://127.0.0.1:$port"
            etcds="$etcds${etcds:+,}http://127.0.0.1:${ports[2 * n]}"
        done
        for n in 0 1 2; do
            rm -rf "$dir/etcd$n"
            launch "etcd$n" etcd --name "etcd$n" --data-dir "$dir/etcd$n" --log-level error \
                --listen-client-urls "http://127.0.0.1:${ports[2 * n]}" \
                --advertise-client-urls "http://127.0.0.1:${ports[2 * n]}" \
                --listen-peer-urls "http://127.0.0.1:${ports[2 * n + 1]}" \
                --initial-advertise-peer-urls "http://127.0.0.1:${ports[2 * n + 1]}" \
                --initial-cluster "$cluster" --initial-cluster-state new
        done
        answers "http://127.0.0.1:${ports[0]}/health" true && return 0
    done
    fail "etcd does not start"
}

if [ -n "$masters" ]; then
    tools/deps.sh masters || exit 1
else
    tools/deps.sh build || exit 1
fi
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
urls=
if [ -n "$masters" ]; then
    start_etcds
    for ((n = 1; n <= masters; n++)); do
        start "master$n" /admin/ready bin/larder-master --db "$dir/index$n" --volumes "$volumes" \
            --replicas 3 --cluster "$etcds"
        urls="$urls${urls:+,}http://127.0.0.1:$port"
    done
else
    start master /admin/ready bin/larder-master --db "$dir/index" --volumes "$volumes" \
        --replicas 3
    urls=http://127.0.0.1:$port
fi
url=${urls%%,*}  # where it is written; the last one is read from
last=${urls##*,}

head -c 3000000 /dev/urandom >"$dir/sent" || fail "cannot write to $dir"
curl -sSf --noproxy '*' -m 60 -L -T "$dir/sent" "$url/demo/file" || fail "the PUT failed"
curl -sSf --noproxy '*' -m 60 -L -o "$dir/received" "$last/demo/file" || fail "the GET failed"
cmp "$dir/sent" "$dir/received" || fail "what came back is not what was sent"
echo "Stored a file of 3,000,000 bytes on three volumes, and read the same bytes back."
if [ -n "$masters" ]; then
    bin/larder verify --masters -m "$urls" || fail "the masters do not have the same index"
fi
[ -z "$once" ] || exit 0

cat <<END

Masters: $urls; three volumes: $volumes, files below
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
