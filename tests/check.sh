# check.sh - the test framework for scripts: source it, call `check NAME COMMAND...` for each case, end with `report`.
passed=0 failed=0 skipped=0

# A case passes if COMMAND succeeds; its output is shown when it does not.
check() {
    local name=$1 out
    shift
    if out=$("$@" 2>&1); then passed=$((passed + 1)); echo "ok $name"
    else failed=$((failed + 1)); printf '%s\n' "$out" | sed 's/^/    /'; echo "FAIL $name"; fi
}

skip() { skipped=$((skipped + 1)); echo "skip $1: $2"; }

# COMMAND must end with STATUS and print a match of the regular expression PATTERN.
expect() {
    local status=$1 pattern=$2 out code=0
    shift 2
    out=$("$@" 2>&1) || code=$?
    [ "$code" -eq "$status" ] || { printf 'status %s, expected %s: %s\n%s\n' "$code" "$status" "$*" "$out"; return 1; }
    printf '%s\n' "$out" | grep -qE -e "$pattern" || { printf 'no match of /%s/ in the output of: %s\n%s\n' "$pattern" "$*" "$out"; return 1; }
}

report() {
    printf '%d passed, %d failed' $passed $failed
    [ $skipped -eq 0 ] || printf ', %d skipped' $skipped
    echo
    [ $failed -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
}
