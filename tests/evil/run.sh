#!/usr/bin/env bash
# run.sh [NAME ...] - every dishonest candidate gets the code and the word that its first line expects; its honest twin passes.
# Runs from the repository root.  A second line `// command: bench` measures instead of verifying, under a scripted clock.
set -u
cd "$(dirname "$0")/../.."
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
clock=$work/harness
[ -f build/cpu/autoopt.o ] && [ -x ./harness ] || { echo "FAIL evil: ./build.sh cpu first"; echo "0 passed, 1 failed"; exit 1; }
. tests/clone.sh
clock_build "$clock" || exit 1
# Each half of the screen has as many disturbed pairs as it may: with two warm-ups, the fewest, fourteen calls of a launch, two more than a verification makes.
half='pair 100 80 void\npair 100 80 void\npair 100 80 void\npair 100 80\npair 100 80\npair 100 80\n'
printf "floor 0.002\n$half$half" >"$work/faster"
passed=0 failed=0
ok() { echo "ok $1"; passed=$((passed + 1)); }
bad() { echo "FAIL $1: $2"; sed 's/^/    /' "$work/out"; failed=$((failed + 1)); }

# judge FILE COMMAND: exit status in $status, output in $work/out
judge() {
    status=0
    case $2 in
        bench) timeout 120 "$clock" bench --task nano --candidate "$1" --incumbent optimize.c --test-clock "$work/faster" >"$work/out" 2>&1 </dev/null || status=$? ;;
        *) timeout 120 ./harness verify --task nano --candidate "$1" >"$work/out" 2>&1 </dev/null || status=$? ;;
    esac
}

for file in tests/evil/evil_*.c; do
    name=$(basename "${file%.c}")
    if [ $# -gt 0 ]; then case " $* " in *" $name "*|*" ${name#evil_} "*) ;; *) continue ;; esac; fi
    read -r _ _ code word < <(head -n 1 "$file")
    command=$(sed -n 's|^// command: ||p' "$file" | head -n 1)
    { printf '#define ROOT "%s"\n' "$root"; cat tests/evil/evil.h "$file"; } >"$work/evil.c"
    { echo '#define HONEST'; cat "$work/evil.c"; } >"$work/honest.c"
    judge "$work/evil.c" "${command:-verify}"
    if [ "$status" != "$code" ]; then bad "$name" "status $status, expected $code"
    elif ! grep -qF -- "$word" "$work/out"; then bad "$name" "status $status, but no word of $word"
    else ok "$name: $code $word"; fi
    judge "$work/honest.c" "${command:-verify}"
    if [ "$status" = 0 ]; then ok "$name: its honest twin passes"; else bad "$name, honest twin" "status $status"; fi
done
echo "$passed passed, $failed failed"
[ $failed = 0 ] && [ $passed -gt 0 ]
