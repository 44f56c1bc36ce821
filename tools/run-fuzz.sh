#!/bin/sh
# Runs libFuzzer targets, each for SECONDS. Usage: run-fuzz.sh SECONDS PROGRAM...
# With SECONDS 0 it goes round and round, a minute each, until Ctrl-C or a crash.
# What they find interesting is kept in build/fuzz/corpus/NAME and used again the next time, beside
# the seeds in tests/fuzz/corpus/NAME. Prints a line each, and last: "fuzz: N passed, N failed".
seconds=$1
shift
slice=$seconds
[ "$seconds" -eq 0 ] && slice=60
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT

finish() {
    echo "fuzz: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}
trap finish INT TERM

run_one() {
    name=$(basename "$1")
    seeds=tests/fuzz/corpus/$name
    mkdir -p "build/fuzz/corpus/$name" "$seeds"
    if "$1" -max_total_time="$slice" -max_len=20000 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="build/fuzz/crash-$name-" "build/fuzz/corpus/$name" "$seeds" >"$log" 2>&1; then
        runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
        echo "ok   $name (${runs:-0} runs)"
        passed=$((passed + 1))
    else
        echo "FAIL $name"
        grep -v '^#' "$log" | tail -60
        failed=$((failed + 1))
    fi
}

while :; do
    for program in "$@"; do
        run_one "$program"
    done
    if [ "$seconds" -ne 0 ] || [ "$failed" -ne 0 ]; then
        finish
    fi
done
