#!/bin/sh
# Runs check programs one after the other; each gets 120 s. Usage: run-unit.sh PROGRAM...
# Prints what each said, and last: "unit: N passed, N failed".
passed=0
failed=0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
for program in "$@"; do
    CK_VERBOSITY=${CK_VERBOSITY:-normal} timeout 120 "$program" >"$log" 2>&1
    code=$?
    # check's summary: "100%: Checks: 7, Failures: 0, Errors: 0"
    counts=$(sed -n 's/^[0-9]*%: Checks: \([0-9]*\), Failures: \([0-9]*\), Errors: \([0-9]*\).*/\1 \2 \3/p' "$log" |
        awk '{c += $1; f += $2 + $3} END {print c + 0, f + 0}')
    checks=${counts% *}
    bad=${counts#* }
    if [ "$checks" -eq 0 ] || { [ "$code" -ne 0 ] && [ "$bad" -eq 0 ]; }; then
        echo "FAIL $program: exit status $code after $checks checks"
        cat "$log"
        failed=$((failed + 1))
    elif [ "$bad" -ne 0 ]; then
        echo "FAIL $program"
        cat "$log"
    else
        echo "ok   $program ($checks)"
    fi
    passed=$((passed + checks - bad))
    failed=$((failed + bad))
done
echo "unit: $passed passed, $failed failed"
[ "$failed" -eq 0 ]
