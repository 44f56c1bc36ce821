#!/bin/sh
# Runs libFuzzer targets, each for SECONDS, one a processor at a time.
# Usage: run-fuzz.sh SECONDS PROGRAM...
# With SECONDS 0 it goes round and round, a minute each, until Ctrl-C or a crash.
# What they find interesting is kept in build/fuzz/corpus/NAME and used again the next time, beside
# the seeds in tests/fuzz/corpus/NAME. Prints a line each, and last: "fuzz: N passed, N failed".

# run-fuzz.sh --one DIR SECONDS PROGRAM: in a process of its own; says how it went, and leaves
# DIR/NAME.passed or DIR/NAME.failed.
run_one()
{
    name=$(basename "$3")
    log=$1/$name.log
    seeds=tests/fuzz/corpus/$name
    mkdir -p "build/fuzz/corpus/$name" "$seeds"
    if "$3" -max_total_time="$2" -max_len=20000 -timeout=10 -rss_limit_mb=1024 \
        -artifact_prefix="build/fuzz/crash-$name-" "build/fuzz/corpus/$name" "$seeds" >"$log" 2>&1; then
        : >"$1/$name.passed"
        runs=$(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$log")
        echo "ok   $name (${runs:-0} runs)"
    else
        : >"$1/$name.failed"
        { echo "FAIL $name"; grep -v '^#' "$log" | tail -60; } >"$log.end"
        cat "$log.end" # at once: others may be saying something, too
    fi
}

if [ "${1:-}" = --one ]; then
    trap 'exit 0' INT TERM # then it has neither passed nor failed
    run_one "$2" "$3" "$4"
    exit 0
fi

seconds=$1
shift
slice=$seconds
[ "$seconds" -eq 0 ] && slice=60
passed=0
failed=0
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# Adds up what the round has left.
count()
{
    passed=$((passed + $(find "$dir" -name '*.passed' | wc -l)))
    failed=$((failed + $(find "$dir" -name '*.failed' | wc -l)))
    rm -f "$dir"/*.passed "$dir"/*.failed
}

finish()
{
    count
    echo "fuzz: $passed passed, $failed failed"
    [ "$failed" -eq 0 ]
    exit
}
trap finish INT TERM

while :; do
    printf '%s\n' "$@" | xargs -P "$(nproc)" -n 1 "$0" --one "$dir" "$slice"
    count
    if [ "$seconds" -ne 0 ] || [ "$failed" -ne 0 ]; then
        finish
    fi
done
