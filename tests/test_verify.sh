#!/usr/bin/env bash
# verify, bench, profile and selftest as commands, with real processes and, where time matters, a scripted clock.
# The target is the residual MLP of tests/retarget, put into a throw-away tree by the three swaps.
set -u
cd "$(dirname "$0")/.."
. tests/check.sh
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
tree=$work/tree
mkdir "$tree"
cp autoopt.h harness.c build.sh "$tree/"
cp -r tests/retarget/model tests/retarget/assets tests/retarget/optimize.c tests/retarget/goals.json "$tree/"
cp tests/retarget/fast.c "$work/fast.c"
cd "$tree"
./build.sh cpu >"$work/build" 2>&1 || { cat "$work/build"; echo "FAIL build of the retargeted tree"; echo "0 passed, 1 failed"; exit 1; }
clock=$work/clocked
gcc -std=c11 -O1 -fopenmp -DAUTOOPT_TEST_CLOCK -include build/frozen.h harness.c build/cpu/autoopt.o -o "$clock" -lm -ldl

verify() { ./harness verify --task nano "$@"; }

# bench_clock STATUS PATTERN LINES...: a bench whose pairs take the scripted times
bench_clock() {
    local status=$1 pattern=$2
    shift 2
    { echo "floor 0.002"; printf '%s\n' "$@"; } >"$work/times"
    expect "$status" "$pattern" "$clock" bench --task nano --candidate "$work/fast.c" --incumbent optimize.c --test-clock "$work/times"
}

check "verify: the shipped optimize.c passes" expect 0 '^PASS ' verify
check "verify: the last line is JSON" bash -c './harness verify --task nano 2>/dev/null | tail -n 1 | grep -q "^{\"verdict\":\"PASS\",\"code\":0,.*}$"'
check "verify: a task that does not exist" expect 2 'no task "none"' ./harness verify --task none
check "verify: an option without value" expect 2 'missing' ./harness verify --task
check "verify: a candidate that does not exist" expect 125 'no-such.c' verify --candidate no-such.c
ln -s optimize.c link.c
check "verify: a symbolic link is not read" expect 125 'symbolic link' verify --candidate link.c
check "bench: identical code is a NOOP" expect 3 '^NOOP' ./harness bench --task nano --incumbent optimize.c
sed 's/row by row/row by row, renamed/; s|^/\* optimize.c|/* comment|' optimize.c >"$work/comment.c"
sed 's|^/\* optimize.c|/* another comment, optimize.c|' optimize.c >"$work/same.c"
check "bench: a comment changes nothing" expect 3 '^NOOP' ./harness bench --task nano --candidate "$work/same.c" --incumbent optimize.c
check "bench: no incumbent and no git" expect 125 'incumbent' ./harness bench --task nano --candidate "$work/fast.c"

check "clock: faster is KEEP" bench_clock 0 '^KEEP \+3.00' 'pair 100 97'
check "clock: much faster, short confirmation" bench_clock 0 '4 of 4 pairs' 'pair 100 80'
check "clock: slower is SLOWER" bench_clock 1 '^SLOWER -5' 'pair 100 105'
check "clock: equal is NOISE" bench_clock 1 '^NOISE' 'pair 100 100'
check "clock: below the least gain is NOISE" bench_clock 1 '^NOISE' 'pair 100 99.5'
check "clock: a lucky screen is not confirmed" bench_clock 1 'do not confirm' 'pair 100 97' 'pair 100 97' 'pair 100 97' 'pair 100 97' 'pair 100 97' 'pair 100 97' 'pair 100 101'
check "clock: void pairs are drawn again" bench_clock 0 '^KEEP' 'pair 100 50 void' 'pair 100 97'
check "clock: only void pairs is UNSTABLE" bench_clock 125 '^UNSTABLE 125' 'pair 100 97 void'
check "clock: impossible speed waits for a person" bench_clock 28 'IMPLAUSIBLE' 'pair 100 0.0001'
printf 'floor 0.002\npair 100 0.0001\n' >"$work/times"
check "clock: and passes with --approve" expect 0 '^KEEP' "$clock" bench --approve --task nano --candidate "$work/fast.c" --incumbent optimize.c --test-clock "$work/times"
check "clock: ... which the row says" expect 0 'a person said --approve' "$clock" bench --approve --task nano --candidate "$work/fast.c" --incumbent optimize.c --test-clock "$work/times"
sed -i.kept 's/"max_steal_pct": 5/&, "plausible": 1e-9/' goals.json
./build.sh cpu >"$work/build" 2>&1 && gcc -std=c11 -O1 -fopenmp -DAUTOOPT_TEST_CLOCK -include build/frozen.h harness.c build/cpu/autoopt.o -o "$clock" -lm -ldl
check "clock: and with another bound in goals.json" bench_clock 0 '^KEEP' 'pair 100 0.0001'
sed -i 's/"plausible": 1e-9/"plausible": 0/' goals.json
check "clock: but not with none" bash -c './build.sh cpu >/dev/null 2>&1; ./harness verify --task nano 2>&1 | grep "plausible. is 0, expected"'
mv goals.json.kept goals.json
./build.sh cpu >"$work/build" 2>&1 && gcc -std=c11 -O1 -fopenmp -DAUTOOPT_TEST_CLOCK -include build/frozen.h harness.c build/cpu/autoopt.o -o "$clock" -lm -ldl
printf 'floor 0.02\npair 100 97\n' >"$work/times"
check "clock: a noisy machine needs more" expect 1 '^NOISE.*' "$clock" bench --task nano --candidate "$work/fast.c" --incumbent optimize.c --test-clock "$work/times"
printf 'floor 0.002\npair 400 200\n' >"$work/times"
check "clock: baseline of frozen decoder and candidate" expect 0 'frozen decoder 400 ms.*2.00x' "$clock" bench --baseline --task nano --candidate "$work/fast.c" --test-clock "$work/times"

# --- two sides that do not fit in memory together: a harness that believes so -----------------------------
gcc -std=c11 -O1 -fopenmp -DAUTOOPT_TEST_CLOCK -DSWAP_FACTOR=1e9 -include build/frozen.h harness.c build/cpu/autoopt.o -o "$work/apart" -lm -ldl
printf 'floor 0.002\npair 100 97\n' >"$work/times"
check "one side at a time: a gain is kept" expect 0 '^KEEP \+3' "$work/apart" bench --task nano --candidate "$work/fast.c" --incumbent optimize.c --test-clock "$work/times"
printf 'floor 0.002\npair 100 103\n' >"$work/times"
check "one side at a time: a loss is not" expect 1 '^SLOWER' "$work/apart" bench --task nano --candidate "$work/fast.c" --incumbent optimize.c --test-clock "$work/times"

check "profile: named items" expect 0 '^mlp block' ./harness profile --task nano
check "profile: a candidate that names nothing" expect 0 '^decode' ./harness profile --task nano --candidate "$work/fast.c"
check "profile: roofline of this machine" expect 0 '^# whole decode .*roofline' ./harness profile --task nano

# --- surroundings ---------------------------------------------------------------------------------------
check "2 MB stack" bash -c 'ulimit -s 2048; ./harness verify --task nano'
check "hostile environment" env CPATH=/nonexistent C_INCLUDE_PATH="$work" LD_PRELOAD= GIT_DIR=/nonexistent OMP_NUM_THREADS=977 TMPDIR=/nonexistent LC_ALL=de_DE.UTF-8 ./harness verify --task nano
check "no HOME" env -u HOME ./harness verify --task nano
cat >"$work/no_landlock.c" <<'END'
/* Runs a program on a kernel that seems to have no Landlock. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <unistd.h>
int main(int argc, char **argv)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, 444, 0, 2), BPF_JUMP(BPF_JMP | BPF_JGT | BPF_K, 446, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog program = { sizeof code / sizeof code[0], code };
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    if (argc < 2 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) != 0) return 77;
    execv(argv[1], argv + 1);
    return 78;
}
END
gcc "$work/no_landlock.c" -o "$work/no_landlock"
check "no Landlock: works, and says so" expect 0 'sandbox none' "$work/no_landlock" ./harness verify --task nano
if [ "$(id -u)" = 0 ] && command -v setpriv >/dev/null; then
    chmod 755 "$work"
    chown -R 65534:65534 "$tree"
    check "not root" setpriv --reuid=65534 --regid=65534 --clear-groups ./harness verify --task nano
    chown -R "$(id -u):$(id -g)" "$tree"
else
    skip "not root" "needs root and setpriv"
fi
gcc -std=c11 -O1 -DAOPT_NO_IMAGES -DAUTOOPT_IMPLEMENTATION -include build/frozen.h harness.c -o "$work/no_openmp" -lm -ldl
check "harness without OpenMP" expect 0 '^PASS' "$work/no_openmp" verify --task nano
check "no run leaves a folder behind" bash -c '! ls -d build/run.* build/snapshot.* 2>/dev/null'
runners() {         # of this tree; without a process of its own, which could be taken for one
    local f words found=0
    for f in /proc/[0-9]*/cmdline; do
        { mapfile -d '' -t words <"$f"; } 2>/dev/null || continue
        [[ " ${words[*]} " == *" --runner "* && "${words[*]}" == *"$tree"* ]] && { found=1; echo "${words[*]}"; }
    done
    return $found
}
check "no process is left behind" runners

# --- frozen files ---------------------------------------------------------------------------------------
cp goals.json "$work/goals.json"
sed -i 's/"min": 60/"min": 10/' goals.json
check "frozen: a lower gate is refused" expect 40 'goals.json: frozen.*git checkout HEAD -- goals.json' verify
cp "$work/goals.json" goals.json
rm model/target.h
check "frozen: a missing file is refused" expect 40 'model/target.h: frozen' verify
cp "$OLDPWD/tests/retarget/model/target.h" model/target.h
check "frozen: restored, it runs again" expect 0 '^PASS' verify
echo '{' >goals.json
check "goals.json that is no JSON" expect 125 'goals.json|JSON' verify
cp "$work/goals.json" goals.json
report
