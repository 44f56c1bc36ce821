#!/bin/sh
# Runs check programs, UNIT_JOBS (default: two a processor, since they wait for disks and timers half
# of the time) at a time; each gets 120 s.
# Usage: run-unit.sh PROGRAM...
# Prints what those said that failed, and last: "unit: N passed, N failed".

# run-unit.sh --one DIR PROGRAM: in a process of its own; DIR/NAME.said is what is to be printed,
# DIR/NAME.count "PASSED FAILED".
run_one()
{
    name=$(echo "$2" | tr / _)
    log=$1/$name.log
    CK_VERBOSITY=${CK_VERBOSITY:-normal} timeout --kill-after=10 120 "$2" >"$log" 2>&1 </dev/null
    code=$?
    # check's summary: "100%: Checks: 7, Failures: 0, Errors: 0"
    counts=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' "$log" |
        awk '{c += $1; f += $2 + $3} END {print c + 0, f + 0}')
    checks=${counts% *}
    bad=${counts#* }
    passed=$((checks - bad))
    if [ "$checks" -eq 0 ] || { [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        echo "FAIL $2: exit status $code after $checks checks"
        cat "$log"
        bad=$((bad + 1))
    elif [ "$bad" -ne 0 ]; then
        echo "FAIL $2"
        cat "$log"
    else
        echo "ok   $2 ($checks)"
    fi >"$1/$name.said"
    echo "$passed $bad" >"$1/$name.count"
}

if [ "${1:-}" = --one ]; then
    run_one "$2" "$3"
    exit 0
fi

dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT
printf '%s\n' "$@" | xargs -P "${UNIT_JOBS:-$((2 * $(nproc)))}" -n 1 "$0" --one "$dir"
passed=0
failed=0
for program in "$@"; do
    name=$(echo "$program" | tr / _)
    cat "$dir/$name.said"
    read -r good bad <"$dir/$name.count" || { good=0; bad=1; }
    passed=$((passed + good))
    failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
