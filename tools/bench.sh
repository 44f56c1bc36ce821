#!/bin/sh
# Times puts and gets of 1 KiB and 1 MiB on this machine, and in the same run what its disk does by
# itself. Usage: bench.sh [SECONDS]   (of each measurement, default 5)
root=$(cd "$(dirname "$0")/.." && pwd)
: "${LARDER_BIN:=$root/bin}"
export LARDER_BIN
exec python3 -B "$root/tests/cluster/bench.py" "$@"
