#!/bin/sh
# Measures larder beside its limits, in one run and in turns; `make bench` builds what it needs first.
# Usage: bench.sh [ROW]...   (a row's name or the beginning of it; --list tells them)
#   FULL=1           the large rows, too: half an hour, and 25 GB of disk
#   PEER=URL         another server of this API (minikeyvalue, say), measured in the same turns
#   BENCH_TURNS      of each comparison (3; FULL: 5)
#   BENCH_SECONDS    of each measurement (1; FULL: 3)
#   TMPDIR           where the servers' directories are: its disk is what is measured
# Writes build/bench.md and build/bench.svg. It needs nginx; gnuplot for the plot.
root=$(cd "$(dirname "$0")/.." && pwd)
: "${LARDER_BIN:=$root/bin}"
: "${BENCH_TOOLS:=$root/build/release/tests/bench}"
export LARDER_BIN BENCH_TOOLS
exec python3 -B "$root/tests/bench/run.py" "$@"
