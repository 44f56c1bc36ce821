#!/bin/sh
# Runs the tests with real processes. Usage: run-cluster.sh [test_NAME[.CLASS[.METHOD]]]...
# Prints what each file said where it failed, and last: "cluster: N passed, N failed".
#   LARDER_BIN       where the programs are (default: bin/)
#   CLUSTER_JOBS     files of tests at a time (default: two a processor)
#   CLUSTER_ROUNDS   rounds of kill -9 (default 10)
#   CLUSTER_SMALL    smaller values and fewer of them, for sanitizers
#   CLUSTER_SEED     repeats a run of the random tests
root=$(cd "$(dirname "$0")/.." && pwd)
: "${LARDER_BIN:=$root/bin}"
export LARDER_BIN
exec python3 -B "$root/tests/cluster/run.py" "$@"
