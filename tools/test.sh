#!/bin/bash
# Everything that this project tests, from a bare Debian on: installs what is missing, builds without
# warnings, checks the style, runs the unit, flow and cluster tests and the short form of the fault
# suite, the tests under sanitizers, and fuzzes each parser for some seconds. The last line is "N passed,
# N failed"; a check of the style or a run under a sanitizer counts as one test. The logs stay in
# build/logs. Usage: test.sh [STEP]...
set -u
cd "$(dirname "${BASH_SOURCE[0]}")/.." || exit 1
logs=build/logs
mkdir -p "$logs" || exit 1
only=" $* "
passed=0
failed=0
current=
# The lines that name a failed test and why: of unittest, check, compilers, sanitizers and make.
errors='^(FAIL|ERROR)|^[A-Za-z.]*(Error|Exception|Interrupt)(:|$)|:[FE]:|(error|warning|SUMMARY|ended after|ran for more than)[: ]|\*\*\*'

# timeout leads a process group of its own: told to end, it ends the whole step.
stop()
{
    [ -z "$current" ] || kill -TERM "$current" 2>/dev/null
    wait
    exit 130
}
trap stop INT TERM HUP

# step KIND NAME SECONDS COMMAND...: runs a step with a limit, its output into logs/NAME.log.
#   KIND counted  the log ends in "WHAT: N passed, N failed", which are added
#        one      counts as one test
#        needed   counts only where it fails, and then nothing after it makes sense
step()
{
    local kind=$1 name=$2 limit=$3 log="$logs/$2.log" code counts began=$SECONDS
    shift 3
    if [ "$kind" != needed ] && [ "$only" != "  " ] && [[ "$only" != *" $name "* ]]; then
        return
    fi
    timeout --kill-after=20 "$limit" "$@" </dev/null >"$log" 2>&1 &
    current=$!
    wait "$current"
    code=$?
    current=
    counts="$((code == 0)) $((code != 0))"
    if [ "$kind" = counted ]; then
        counts=$(sed -n 's/^[a-z]*: \([0-9]*\) passed, \([0-9]*\) failed$/\1 \2/p' "$log" | tail -n 1)
        # A run that broke off, or says less than its exit status, is a failure too.
        [ -n "$counts" ] || counts="0 1"
        [ "$code" -eq 0 ] || [ "${counts#* }" -gt 0 ] || counts="${counts% *} 1"
    elif [ "$kind" = needed ] && [ "$code" -eq 0 ]; then
        counts="0 0"
    fi
    passed=$((passed + ${counts% *}))
    failed=$((failed + ${counts#* }))
    if [ "${counts#* }" -eq 0 ]; then
        echo "ok   $name ($((SECONDS - began)) s)$(sed -n '$s/^[a-z]*\(: [0-9]* passed.*\)$/\1/p' "$log")"
        return
    fi
    [ "$code" -ne 124 ] || echo "$name was ended after $limit s" >>"$log"
    echo "FAIL $name ($((SECONDS - began)) s), exit status $code; what $log says of errors, and its end:"
    grep -nE "$errors" "$log" | cut -c 1-300 | head -n 20
    echo ...
    tail -n 60 "$log"
    [ "$kind" != needed ] || finish
}

finish()
{
    echo "$passed passed, $failed failed"
    [ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
    exit
}

# The sanitizers map much memory at fixed places; without randomized addresses they always find them.
plain_addresses=
setarch -R true 2>/dev/null && plain_addresses="setarch -R"
export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0:${ASAN_OPTIONS:-}
export UBSAN_OPTIONS=print_stacktrace=1:${UBSAN_OPTIONS:-}
export TSAN_OPTIONS=halt_on_error=0:second_deadlock_stack=1:${TSAN_OPTIONS:-}
asan=address,undefined

step needed deps 900 tools/deps.sh test
step needed build 600 make -j2
step one format 120 make format-check
step one includes 60 make includes
step one tidy 900 make -j2 tidy
step counted unit 900 make -j2 unit
step counted cluster 1200 make -s cluster
step counted faults 1500 make -s faults
step one asan-unit 900 $plain_addresses make -j2 SAN=$asan unit
step one asan-cluster 1500 env CLUSTER_SMALL=1 $plain_addresses make SAN=$asan cluster
step one tsan-unit 900 $plain_addresses make -j2 SAN=thread unit
# Those of the cluster tests in which most goes on at the same time; `make tsan` runs all of them.
step one tsan-cluster 900 env CLUSTER_SMALL=1 $plain_addresses make SAN=thread cluster \
    TESTS="test_01_basic test_06_overwrite test_07_crash"
fuzzers=$(ls tests/fuzz/*.c 2>/dev/null | wc -l)
step counted fuzz 300 make -j2 fuzz FUZZ_SECONDS=$((60 / (fuzzers > 0 ? fuzzers : 1) + 1))
finish
