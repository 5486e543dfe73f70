#!/usr/bin/env bash
# The record against a scripted agent, in throw-away clones: right verdict, right commits, and the rest of the tree untouched.
# The judge is made of comments (record_judge.h), so nothing here depends on time or machine.
set -u
root=$PWD
work=$(mktemp -d "${TMPDIR:-/tmp}/autoopt-record.XXXXXX")
trap 'cd /; umount "$work/full" 2>/dev/null; rm -rf "$work"' EXIT
export HOME=$work/home XDG_CONFIG_HOME=$work/home GOMP_SPINCOUNT=1   # set: the harness need not start itself again
unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE GIT_CONFIG_COUNT
mkdir -p "$HOME"
passed=0 failed=0 skipped=0 name= bad=0
begin() { finish; name=$1 bad=0; }
finish() {
    [ -n "$name" ] || return 0
    if [ $bad = 0 ]; then echo "ok $name"; passed=$((passed + 1)); else echo "FAIL $name"; failed=$((failed + 1)); fi
    name=
}
skip() { echo "skip $name: $1"; skipped=$((skipped + 1)); name=; }
no() { bad=1; echo "    $name: $*"; }
is() { [ "$2" = "$3" ] || no "$1: expected '$3', found '$2'"; }
has() { case $2 in *"$3"*) ;; *) no "$1: no '$3' in: $(printf '%s' "$2" | head -c 600)" ;; esac; }

# --- the throw-away project -----------------------------------------------------------------------------
base=$work/base
mkdir -p "$base"
cat >"$base/goals.json" <<'END'
{
  "target": "test",
  "tasks": [ {"name": "nano", "checkpoint": "none", "input": "none", "shape": [1, 1]} ],
  "gate": [ {"metric": "psnr_db", "min": 60, "fresh": 54} ],
  "determinism": {"metric": "psnr_db", "min": 80},
  "causality": {"metric": "psnr_db", "min": 70},
  "keep": {"min_gain_pct": 1, "floor_factor": 2, "sample_s_cpu": 1, "sample_s_gpu": 0.25, "max_steal_pct": 5},
  "stop": {"attempts_without_keep": 8, "top_items": 3, "nibble_pct": 1.5, "nibbles": 2, "hours": 0},
  "limits": {"build_s": 600, "init_s": 120, "first_decode_s": 60, "decode_s": 10, "memory_mb": 65536, "gate_all_tasks_s": 60},
  "frozen": ["goals.json", "frozen.txt", "autoopt_kernels.cuh"]
}
END
echo 'do not touch' >"$base/frozen.txt"
echo '/* kernels */' >"$base/autoopt_kernels.cuh"
echo 'hello' >"$base/other.txt"
printf '#!/bin/sh\ncp %s/driver harness\n' "$work" >"$base/build.sh"
chmod +x "$base/build.sh"
printf '/harness\n/build/\n*.autoopt-tmp\n' >"$base/.gitignore"
printf '# Progress\n\nthe journal\n' >"$base/PROGRESS.md"
edit_in() { printf '/* test: %s */\nint build_decoder(void) { return 0; }\n' "$2" >"$1/optimize.c"; }
edit_in "$base" "ms 100 profile conv3d=61.5,norm=20,copy=9.5,rest=9"
( cd "$base" && for f in goals.json frozen.txt autoopt_kernels.cuh; do printf '%s  %s\\n" \\\n"' "$(sha256sum $f | cut -c1-64)" $f; done ) >"$work/baked"
printf '#define HARNESS_BAKED "%s"\n' "$(cat "$work/baked")" >"$work/frozen.h"
${CC:-gcc} -std=c11 -Wall -Wextra -Wno-unused-function -Wno-format-truncation -O1 -g -fopenmp -DAOPT_NO_IMAGES ${RECORD_CFLAGS:-} -include "$work/frozen.h" tests/record_driver.c -o "$work/driver" -lm -ldl ||
    { echo "FAIL the driver does not compile"; echo "0 passed, 1 failed"; exit 1; }

new() {     # new NAME: a repository with one commit, become its folder
    rm -rf "${work:?}/$1"
    cp -r "$base" "$work/$1"
    cd "$work/$1" || exit 1
    cp "$work/driver" harness
    git init -q -b main .
    git config user.name agent
    git config user.email agent@example.invalid
    git add -A
    git commit -q -m start
}
edit() { edit_in . "$1"; }
# run CODE ARGS...: run the harness, expect its exit status, leave what it said in $out
run() {
    local want=$1 rc
    shift
    out=$(./harness "$@" 2>&1)
    rc=$?
    [ $rc = "$want" ] || no "harness $*: expected exit $want, got $rc: $(printf '%s' "$out" | head -c 900)"
}
# killing N ARGS...: the same, killed at its n-th step
killing() { { ./harness --test-kill "$@" >/dev/null 2>&1; } 2>/dev/null; }
try() { local code=$1; shift; run "$code" --task nano --desc "$@"; }
# All that the harness must not touch: every other file, its index entry, refs, configuration.
rest() {
    find . -path ./.git -prune -o -type f ! -name optimize.c ! -name results.tsv ! -name leaderboard.md ! -name progress.svg ! -name PROGRESS.md ! -name 'harness' -print | sort | xargs sha256sum
    git ls-files -s | grep -v -E '	(optimize.c|results.tsv|leaderboard.md|progress.svg|PROGRESS.md)$'
    git status --porcelain | grep -v -E ' (optimize.c|results.tsv|leaderboard.md|progress.svg|PROGRESS.md)$'
    git stash list
    git config -l --local
    git for-each-ref | grep -v -E 'refs/heads/|refs/autoopt/'
}
rows() { tail -n +2 results.tsv | cut -f 1,3,4 | tr '\t\n' ' ;'; }
blob() { git rev-parse -q --verify "$1"; }

# --- the loop -------------------------------------------------------------------------------------------
begin "first run writes a baseline, the second is a NOOP"
new loop
before=$(rest)
try 0 baseline
has verdict "$out" BASELINE
is rows "$(rows)" "1 BASELINE 0;"
is "files of the commit" "$(git diff --name-only HEAD^ HEAD | tr '\n' ' ')" "PROGRESS.md leaderboard.md progress.svg results.tsv "
is status "$(git status --porcelain)" ""
try 3 "again"
has noop "$out" NOOP
is rows "$(rows)" "1 BASELINE 0;"
is rest "$(rest)" "$before"

begin "KEEP: exactly the files it says, log as second parent, trailers"
edit "verdict KEEP gain 4.2 ms 95.8 psnr 71 profile conv3d=55,norm=25,copy=20"
try 0 "fuse norm into conv" --attack conv3d
has verdict "$out" KEEP
is rows "$(rows)" "1 BASELINE 0;2 KEEP 0;"
is files "$(git diff --name-only HEAD^ HEAD | tr '\n' ' ')" "PROGRESS.md leaderboard.md optimize.c progress.svg results.tsv "
is "second parent" "$(blob HEAD^2)" "$(blob refs/autoopt/log)"
is trailer "$(git log -1 --format='%(trailers:key=Autoopt-Row,valueonly,separator=)')" 2
is status "$(git status --porcelain)" ""
is rest "$(rest)" "$before"
is "row's source" "$(tail -1 results.tsv | cut -f 9)" "$(blob HEAD:optimize.c)"
has leaderboard "$(cat leaderboard.md)" "1 attempt, 1 kept; latest of what follows: row 2."
is "first parent log" "$(git log --first-parent --format=%s | wc -l)" 3
has journal "$(cat PROGRESS.md)" "the journal"
has block "$(cat PROGRESS.md)" "| conv3d | 4 |"
is "log tree" "$(git ls-tree --name-only refs/autoopt/log | tr '\n' ' ')" "attempt.tsv gate.txt latest.profile optimize.c profile.txt results.tsv row.tsv samples.tsv "

begin "NOISE, SLOWER, REJECT, crash: restored, recorded, not committed"
kept=$(blob HEAD) source=$(git hash-object optimize.c)
edit "verdict NOISE gain 0.3 ms 95.5"; try 1 "same again" --attack conv3d
edit "verdict SLOWER gain -8 ms 104";  try 1 "=worse"
edit "verdict REJECT code 20 psnr 31"; try 20 $'blurred\tand\nbroken \xff | `x`'
edit "verdict REJECT code 30";         try 30 "crashes"
is rows "$(rows)" "1 BASELINE 0;2 KEEP 0;3 NOISE 1;4 SLOWER 1;5 REJECT 20;6 REJECT 30;"
is HEAD "$(blob HEAD)" "$kept"
is source "$(git hash-object optimize.c)" "$source"
is status "$(git status --porcelain | tr '\n' ' ')" " M leaderboard.md  M progress.svg  M results.tsv "
is rest "$(rest)" "$before"
is "missing is -" "$(sed -n 6p results.tsv | cut -f 11,17)" "-	-"
is "escapes" "$(sed -n 6p results.tsv | cut -f 35)" 'blurred\x09and\x0abroken \xff | `x`'
is "escapes =" "$(sed -n 5p results.tsv | cut -f 35)" " =worse"
is "columns" "$(awk -F '\t' '{ print NF }' results.tsv | sort -u)" 35
run 0 show 6
has show "$out" "Segmentation fault"
run 0 show 3 optimize.c
has "show source" "$out" "verdict NOISE"
run 0 show 3 --diff
has "show diff" "$out" "+/* test: verdict NOISE"
run 2 show 99

begin "UNSTABLE costs nothing and leaves the source"
edit "verdict UNSTABLE"
try 125 "busy machine"
is rows "$(rows | tr ';' '\n' | wc -l)" 6
has source "$(cat optimize.c)" UNSTABLE
git show HEAD:optimize.c >optimize.c

begin "the same attempt again is a NOOP"
edit "verdict NOISE gain 0.3 ms 95.5"
try 3 "same again"
has why "$out" "row 3"
git show HEAD:optimize.c >optimize.c

begin "sync commits the rows; status, goal, report"
run 0 sync
is status "$(git status --porcelain)" ""
run 0 sync
has again "$out" "up to date"
run 0 status
has status "$out" "row 2: fuse norm into conv"
run 0 status --json
printf '%s' "$out" | python3 -c 'import json,sys; d=json.load(sys.stdin); assert d["keeps"] == 1 and d["rows"] == 6 and d["uncommitted_rows"] == 0 and d["top"][0]["attacked"], d' 2>/dev/null ||
    { command -v python3 >/dev/null && no "status --json: $out"; }
run 1 goal
has goal "$out" "4 of 8 attempts"
run 0 report
has report "$out" "**kept** 2."
before=$(rest)

begin "plateau: 8 attempts and the top three attacked"
for k in 1 2 3 4; do edit "verdict NOISE gain 0.$k ms 95 k$k"; try 1 "idea $k" --attack norm; done
run 1 goal
has goal "$out" 'copy (20.0 %) was not attacked'
edit "verdict NOISE gain 0.1 ms 95 last"; try 1 "copy less" --attack copy
run 0 goal
has goal "$out" "MAY STOP"

begin "anti-nibble: two small keeps ask for a structural change"
edit "verdict KEEP gain 1.2 ms 94.6 profile conv3d=70,norm=20"; try 0 "nibble one"
case $out in *structural*) no "too early: $out" ;; esac
edit "verdict KEEP gain 1.1 ms 93.5 profile conv3d=70,norm=20"; try 0 "nibble two"
has next "$out" "structural change"
is rest "$(rest)" "$before"

begin "audit passes, and names the row when a figure is edited"
run 0 audit
has audit "$out" "3 kept sources judged again, 0 wrong"
export TEST_DEVICE="another machine"            # which has no checkpoint of the task
run 0 audit
unset TEST_DEVICE
has elsewhere "$out" "row 2: not judged again, task nano cannot run here"
has elsewhere "$out" "0 kept sources judged again, 0 wrong, 3 of tasks that cannot run here"
git clone -q . ../audited && cd ../audited || exit 1
git config user.name x; git config user.email x@example.invalid
cp "$work/driver" harness
run 0 audit
run 1 goal
has goal "$out" "nothing is measured in this clone yet"
sed -i '3s/95\.800/55.800/' results.tsv
git commit -q -am "better numbers"
run 44 audit
has row "$out" "row 2"
has field "$out" "t_cand_ms is 95.800 there and 55.800 here"
edit "verdict NOISE ms 99"
try 44 "on a forged record"
has sync "$out" "./harness sync"
run 0 sync
is "mended" "$(git diff HEAD~2 --stat -- results.tsv)" ""
run 0 audit
cd ../loop || exit 1

begin "audit judges again: a forged history that agrees with itself is found by measuring"
new forged
try 0 baseline
edit "verdict KEEP gain 50 ms 50"; try 0 "honest so far"
git show HEAD:optimize.c >optimize.c
sed -i 's/ ms 50 / ms 99 /; s/ ms 50\b/ ms 99/' optimize.c     # another source under the same row cannot be: the blob is named
git commit -q -am "swap" --trailer "Autoopt-Row: 2" --trailer "Autoopt-Candidate: $(tail -1 results.tsv | cut -f 9)"
run 44 audit
has audit "$out" "row 2: commit"

# --- the tree in every state ----------------------------------------------------------------------------
begin "dirty tree: staged, unstaged and untracked work is untouched"
new dirty
try 0 baseline
echo staged >staged.txt; git add staged.txt
echo changed >>other.txt
echo more >>other.txt; git add other.txt; echo evenmore >>other.txt
echo untracked >untracked.txt
printf 'my notes\n' >>PROGRESS.md
before=$(rest)
edit "verdict KEEP gain 5 ms 90 profile conv3d=90,norm=10"; try 0 "faster"
is rest "$(rest)" "$before"
has notes "$(cat PROGRESS.md)" "my notes"
case $(git show HEAD:PROGRESS.md) in *"my notes"*) no "the journal was committed" ;; esac
is "committed files" "$(git diff --name-only HEAD^ HEAD | tr '\n' ' ')" "PROGRESS.md leaderboard.md optimize.c progress.svg results.tsv "
edit "verdict NOISE gain 0 ms 90"; git add optimize.c; try 1 "staged attempt"
is rest "$(rest)" "$before"
is "index of optimize.c" "$(git diff --cached --name-only -- optimize.c)" ""

begin "touched frozen file: 40, with the way back"
new frozen
echo x >>frozen.txt
edit "verdict KEEP gain 5 ms 90"
try 40 "cheat"
has restore "$out" "git checkout HEAD -- frozen.txt"
has source "$(cat optimize.c)" "verdict KEEP"
is rows "$(ls results.tsv 2>/dev/null)" ""

begin "a frozen file that is right here but not in HEAD: 40"
new uncommitted
cp frozen.txt ../right; echo other >frozen.txt; git commit -qam "another version"; cp ../right frozen.txt
edit "verdict KEEP gain 5 ms 90"
try 40 "not committed"
has why "$out" "frozen.txt: frozen, but HEAD has another version"
run 40 pack ../uncommitted-job
git commit -qam "the right version"; try 0 "committed"

begin "a source that crashed three times is not run again"
new crashes
for i in 1 2 3; do
    edit "verdict REJECT code 30"; try 30 "crash $i"
    has ran "$out" "the test said so"
    edit "verdict KEEP gain 5 ms 9$i"; try 0 "another incumbent $i"
done
edit "verdict REJECT code 30"; try 30 "once more"
has why "$out" "this source has crashed 3 times"

begin "deleted, symlinked, fifo, huge optimize.c: 42"
new odd
before=$(rest)
rm optimize.c; try 42 "gone"; has next "$out" "git checkout HEAD -- optimize.c"
ln -s other.txt optimize.c; try 42 "link"; has why "$out" "symbolic link"
rm optimize.c; mkfifo optimize.c; try 42 "fifo"; has why "$out" "not a regular file"
rm optimize.c; head -c 2000000 /dev/zero >optimize.c; try 42 "huge"; has why "$out" "larger than"
git show HEAD:optimize.c >optimize.c
is rest "$(rest)" "$before"

begin "edited during the run: 45 after a reject, the edit stays"
new toctou
try 0 baseline
edit "verdict NOISE gain 0 ms 100 run touch"; try 45 "edited"
has edit "$(cat optimize.c)" "/* edited */"
is rows "$(rows)" "1 BASELINE 0;2 NOISE 1;"
edit "verdict KEEP gain 9 ms 91 run touch"; try 0 "edited but kept"
is "kept what was judged" "$(git show HEAD:optimize.c | grep -c edited)" 0
has "edit stays" "$(cat optimize.c)" "/* edited */"

begin "a second harness at the same time: 43 with pid"
new twice
try 0 baseline
edit "verdict NOISE gain 0 ms 100 run sleep"
./harness --task nano --desc slow >"$work/slow.out" 2>&1 & slow=$!
for _ in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; grep -q "pid $slow" .git/autoopt/lock 2>/dev/null && break; done
try 43 "at the same time"
has pid "$out" "pid $slow"
wait $slow; is "first one" $? 1
is rows "$(rows)" "1 BASELINE 0;2 NOISE 1;"

begin "detached HEAD: judged and logged, not committed"
new detached
git checkout -q --detach
edit "verdict KEEP gain 5 ms 90"; head=$(blob HEAD)
try 0 "detached"
has said "$out" "not committed"
is HEAD "$(blob HEAD)" "$head"
is rows "$(rows)" "1 BASELINE 0;2 KEEP 0;"
has source "$(cat optimize.c)" "verdict KEEP"

begin "rebase, merge, bisect, unborn branch, no repository: 42 with the command"
new states
git checkout -q -b side; echo a >other.txt; git commit -q -am a; git checkout -q main; echo b >other.txt; git commit -q -am b
edit "verdict NOISE ms 100"; cp optimize.c "$work/keep.c"; git show HEAD:optimize.c >optimize.c
git rebase side >/dev/null 2>&1; cp "$work/keep.c" optimize.c
try 42 "in a rebase"; has next "$out" "git rebase --continue"
git show HEAD:optimize.c >optimize.c; git rebase --abort
git merge side >/dev/null 2>&1; try 42 "in a merge"; has next "$out" "git merge --abort"; git merge --abort
git bisect start >/dev/null 2>&1; try 42 "in a bisect"; has next "$out" "git bisect reset"; git bisect reset >/dev/null 2>&1
git checkout -q --orphan fresh; try 42 "unborn"; has next "$out" "git commit"
git checkout -q -f main
rm -rf .git; try 42 "no git"; has next "$out" "git init"

begin "index.lock held: 42 naming file and age; the record waits for no one forever"
new locked
try 0 baseline
touch .git/index.lock
edit "verdict KEEP gain 5 ms 90"
try 42 "locked"
has file "$out" ".git/index.lock: held for"
rm .git/index.lock
try 0 "unlocked"

begin "no identity, hostile hooks, filters, autocrlf, fsmonitor, signing, GIT_ variables"
new hostile
git config --unset user.name; git config --unset user.email; git config user.useConfigOnly true
git config core.autocrlf true
printf '#!/bin/sh\ntouch %s/HOOK-RAN\n' "$work" >"$work/monitor"; chmod +x "$work/monitor"
before=$(rest)
mkdir -p .git/hooks
for h in pre-commit commit-msg post-commit reference-transaction post-index-change post-checkout pre-auto-gc; do
    printf '#!/bin/sh\ntouch %s/HOOK-RAN\nexit 1\n' "$work" >".git/hooks/$h"; chmod +x ".git/hooks/$h"; done
git config core.fsmonitor "$work/monitor"
git config commit.gpgsign true; git config gpg.program /bin/false
git config filter.up.clean 'tr a-z A-Z'; git config filter.up.smudge 'tr A-Z a-z'
mkdir -p .git/info; printf '*.c filter=up\n*.tsv filter=up\n' >.git/info/attributes
GIT_DIR=/nowhere GIT_INDEX_FILE=/nowhere/index GIT_AUTHOR_DATE=nonsense try 0 baseline
edit "verdict KEEP gain 5 ms 90"; printf 'int crlf;\r\n' >>optimize.c; want=$(git hash-object --no-filters optimize.c)
GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.bare GIT_CONFIG_VALUE_0=true try 0 "exact bytes"
is "bytes" "$(blob HEAD:optimize.c)" "$want"
edit "verdict NOISE gain 0 ms 90"; try 1 "noise"
is "restored bytes" "$(git hash-object --no-filters optimize.c)" "$want"
is author "$(git log -1 --format=%an)" "autoopt harness"
[ ! -e "$work/HOOK-RAN" ] || no "a hook or monitor ran"
rm -rf .git/hooks .git/info/attributes; git config --unset core.fsmonitor; git config --unset commit.gpgsign; git config --unset gpg.program
git config --remove-section filter.up
is rest "$(rest)" "$before"

begin "worktree, submodule, subfolder, shallow clone"
new many
git worktree add -q ../many-tree -b other
cd ../many-tree; cp "$work/driver" harness
try 0 baseline
edit "verdict KEEP gain 5 ms 90"; try 0 "in a worktree"
is rows "$(rows)" "1 BASELINE 0;2 KEEP 0;"
is "main stays" "$(git log --format=%s main | wc -l)" 1
mkdir -p "$work/super" && cd "$work/super" && git init -q -b main . && git config user.name s && git config user.email s@s &&
    git -c protocol.file.allow=always submodule add -q "$work/many" sub && git commit -q -m super
cd sub; cp "$work/driver" harness; git config user.name x; git config user.email x@x; git checkout -q main
try 0 baseline
edit "verdict KEEP gain 5 ms 90"; try 0 "in a submodule"
is "submodule head" "$(git log -1 --format=%s)" "optimize: in a submodule, 94.74 -> 90.00 ms"
mkdir -p "$work/mono/deep/er" && cd "$work/mono" && cp -r "$base/." deep/er/ && git init -q -b main . && git config user.name s && git config user.email s@s && echo top >optimize.c && git add -A && git commit -q -m mono
cd deep/er; cp "$work/driver" harness
try 0 baseline
edit "verdict KEEP gain 5 ms 90"; try 0 "in a subfolder"
is "top untouched" "$(git show HEAD:optimize.c)" top
is status "$(git status --porcelain)" ""
git clone -q --depth 1 "file://$work/many-tree" "$work/shallow" && cd "$work/shallow"; git config user.name x; git config user.email x@x
cp "$work/driver" harness
try 0 "shallow"
is "rows go on" "$(rows)" "1 BASELINE 0;2 KEEP 0;3 BASELINE 0;"
git clone -q "$work/many-tree" "$work/plain" && cd "$work/plain"; git config user.name x; git config user.email x@x
cp "$work/driver" harness
run 0 show 2 optimize.c
has "a plain clone carries every attempt" "$out" "gain 5 ms 90"

begin "scope library: kernels and optimize.c are judged, kept and restored together"
new library
try 0 baseline
edit "verdict KEEP gain 5 ms 90"; echo '/* faster kernels */' >autoopt_kernels.cuh
try 0 "both" --scope library
is "committed" "$(git diff --name-only HEAD^ HEAD | tr '\n' ' ')" "autoopt_kernels.cuh leaderboard.md optimize.c progress.svg results.tsv "
is "row" "$(tail -1 results.tsv | cut -f 7,9)" "library	$(blob HEAD:optimize.c)+$(blob HEAD:autoopt_kernels.cuh)"
echo '/* worse kernels */' >autoopt_kernels.cuh
edit "verdict NOISE gain 0 ms 90"
try 1 "noise" --scope library
is status "$(git status --porcelain -- optimize.c autoopt_kernels.cuh)" ""
is "both in the log" "$(git ls-tree --name-only refs/autoopt/log | grep -c -E '^(optimize.c|autoopt_kernels.cuh)$')" 2
edit "verdict NOISE gain 0 ms 91"
try 40 "without the scope they are frozen"

begin "disk full: 42, nothing moved, and the next run finishes"
if mkdir -p "$work/full" && mount -t tmpfs -o size=24m tmpfs "$work/full" 2>/dev/null; then
    cp -r "$work/base/." "$work/full/"; cd "$work/full"
    ln -s "$work/driver" harness 2>/dev/null; git init -q -b main . && git config user.name x && git config user.email x@x && git add -A && git commit -q -m start
    edit "verdict KEEP gain 5 ms 90"; head=$(blob HEAD)
    head -c 12000000 /dev/zero >fill
    try 42 "no space"
    has why "$out" "disk full"
    is HEAD "$(blob HEAD)" "$head"
    rm fill
    try 0 "space again"
    is rows "$(rows)" "1 BASELINE 0;2 KEEP 0;"
    cd /; umount "$work/full"
else skip "cannot mount a tmpfs here"; fi

# --- SIGKILL at every step ------------------------------------------------------------------------------
state() { git rev-parse HEAD refs/autoopt/log; git status --porcelain; sha256sum optimize.c results.tsv leaderboard.md progress.svg PROGRESS.md; ls .git/autoopt | grep pending; }
kill_series() {     # kill_series WHAT EDIT CODE [PREPARE]: the same end state wherever the run dies
    local k rc want steps=0
    new killed
    GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z git commit -q --amend --no-edit --reset-author
    [ "$1" = first ] || try 0 baseline
    rm -rf ../killed.start; cp -r . ../killed.start
    edit "$2"; try "$3" "killed $1"
    want=$(state)
    for k in $(seq 1 60); do
        cd "$work"; rm -rf killed; cp -r killed.start killed; cd killed
        edit "$2"
        killing "$k" --task nano --desc "killed $1"
        rc=$?
        steps=$k
        [ $rc = 137 ] || break
        ./harness --task nano --desc "killed $1" >"$work/again.out" 2>&1
        [ "$(state)" = "$want" ] || { no "killed at step $k: $(diff <(echo "$want") <(state) | head -5) $(head -3 "$work/again.out")"; return; }
    done
    is "ends by itself" "$rc" "$3"
    [ "$steps" -gt 8 ] || no "only $steps steps"
}
begin "SIGKILL at every step of a KEEP";           kill_series keep   "verdict KEEP gain 5 ms 90 profile conv3d=90,norm=10" 0
begin "SIGKILL at every step of a NOISE";          kill_series noise  "verdict NOISE gain 0 ms 100" 1
begin "SIGKILL at every step of a REJECT";         kill_series reject "verdict REJECT code 30" 30
begin "SIGKILL at every step of the first run";    kill_series first  "verdict KEEP gain 5 ms 90" 0
begin "SIGKILL at every step of sync"
new syncs
try 0 baseline
edit "verdict NOISE gain 0 ms 100"; try 1 "x"
for k in 1 2 3 4 5 6 7 8 9; do
    killing $k sync
    run 0 sync
    is "step $k" "$(git status --porcelain)" ""
    is "step $k rows" "$(git show HEAD:results.tsv | wc -l)" "$((k + 2))"
    edit "verdict NOISE gain 0 ms 100 $k"; try 1 "x$k"
done

begin "rows committed by hand: sync brings the log after them, and a clone goes on"
new byhand
try 0 baseline
edit "verdict NOISE gain 0 ms 100"; try 1 "x"
git commit -q -am "by hand"
run 0 sync
has first "$out" "the record is committed"
run 0 sync
has again "$out" "up to date"
git clone -q . ../cloned && cd ../cloned || exit 1
git config user.name x; git config user.email x@example.invalid
cp "$work/driver" harness
edit "verdict NOISE gain 0 ms 99"; try 1 "goes on"

begin "half a row, no last newline, no file: completed from the log"
new torn
try 0 baseline
edit "verdict NOISE gain 0 ms 100"; try 1 "x"
cp results.tsv "$work/whole.tsv"
for cut in 1 20 300; do
    head -c -$cut "$work/whole.tsv" >results.tsv
    edit "verdict NOISE gain 0 ms 100 $cut"; try 1 "after a cut of $cut"
    is "cut $cut" "$(head -c "$(stat -c %s "$work/whole.tsv")" results.tsv | cmp - "$work/whole.tsv" && echo same)" same
done
rm results.tsv; edit "verdict NOISE gain 0 ms 100 gone"; try 1 "after a loss"
is rows "$(rows | tr ';' '\n' | wc -l)" 6

begin "status names the best time and, if that is another, the latest row that was kept"
new latest
try 0 baseline; edit "verdict KEEP gain 10 ms 90 first"; try 0 first
run 0 status; has best "$out" "best      90 ms, 2.22x, row 2"; case $out in *latest*) no "the best is the latest, and both are named" ;; esac
edit "verdict KEEP gain 5 ms 92 on a slower machine"; try 0 second
run 0 status; has best "$out" "best      90 ms"; has latest "$out" "latest    92 ms, row 3: second"
run 0 status --json; has json "$out" '"latest_ms":92,"latest_row":3'

# --- a person's word --------------------------------------------------------------------------------------
begin "what waited for a person is judged again with --approve or --allow-init"
new person
try 0 baseline
edit "verdict KEEP gain 50 ms 50 unapproved x"; try 28 "too fast"; has name "$out" IMPLAUSIBLE
edit "verdict KEEP gain 50 ms 50 unapproved x"; try 3 "too fast, again"
edit "verdict KEEP gain 50 ms 50 unapproved x"; run 3 --task nano --desc "the wrong word" --allow-init
edit "verdict KEEP gain 50 ms 50 unapproved x"; run 0 --task nano --desc "too fast, approved" --approve; has kept "$out" "KEEP +50"
edit "verdict KEEP gain 5 ms 47 slow init x"; try 33 "long preparation"
edit "verdict KEEP gain 5 ms 47 slow init x"; run 0 --task nano --desc "long preparation, allowed" --allow-init
is rows "$(rows)" "1 BASELINE 0;2 REJECT 28;3 KEEP 0;4 REJECT 33;5 KEEP 0;"
run 2 pack ../JOB --task nano --approve ../fast.c                  # two machines: no word of a person in a file that anybody can edit

# --- two machines ---------------------------------------------------------------------------------------
begin "pack, measure without git, record: the rows and commits of a local run"
new local
GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z git commit -q --amend --no-edit --reset-author
cp -r . ../packed
one="verdict KEEP gain 5 ms 95 profile conv3d=90,norm=10" two="verdict NOISE gain 0 ms 95" three="verdict KEEP gain 10 ms 85.5 profile conv3d=80,norm=20"
edit "$one"; try 0 one; edit "$two"; try 1 two; edit "$three"; try 0 three
cd ../packed
for c in one two three; do edit_in . "${!c}"; cp optimize.c "../$c.c"; done; git show HEAD:optimize.c >optimize.c
run 0 pack ../JOB --task nano --desc one ../one.c --desc two ../two.c --desc three ../three.c
cp -r ../JOB ../JOB.packed
mkdir -p ../gpu && cp -r "$base/." ../gpu/ && cp "$work/driver" ../gpu/harness && cd ../gpu
run 0 measure ../JOB --budget 1000
has measured "$out" "3 of 3 measured"
run 0 measure ../JOB
cp -r ../JOB ../JOB.measured
cd ../packed
run 0 record ../JOB
is "rows" "$(cut -f 1,3-7,9- results.tsv)" "$(cut -f 1,3-7,9- ../local/results.tsv)"
is "via" "$(tail -n +2 results.tsv | cut -f 8 | sort -u)" record
is "commits" "$(git log --first-parent --format=%s)" "$(git -C ../local log --first-parent --format=%s)"
is "source" "$(blob HEAD:optimize.c)" "$(git -C ../local rev-parse HEAD:optimize.c)"
is "worktree" "$(git status --porcelain)" ""
head=$(blob HEAD)
run 0 record ../JOB
is "recorded once" "$(blob HEAD)" "$head"

begin "measure is resumable, a killed record too"
cd ../gpu; rm -rf ../JOB; cp -r ../JOB.packed ../JOB
killing 2 measure ../JOB
[ ! -e ../JOB/result-2 ] || no "was not killed"
mkdir -p ../JOB/result-2.tmp
run 0 measure ../JOB
cd ..; rm -rf again; cp -r killed.start again 2>/dev/null; rm -rf again; new again
GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z git commit -q --amend --no-edit --reset-author
for k in 3 9 14 20 25; do killing $k record ../JOB; done
run 0 record ../JOB
is rows "$(rows)" "1 BASELINE 0;2 KEEP 0;3 NOISE 1;4 KEEP 0;"
is "source" "$(blob HEAD:optimize.c)" "$(git -C ../local rev-parse HEAD:optimize.c)"

begin "a JOB with a wrong hash, parent or edited verdict is refused"
new refuse
GIT_AUTHOR_DATE=2026-01-01T00:00:00Z GIT_COMMITTER_DATE=2026-01-01T00:00:00Z git commit -q --amend --no-edit --reset-author
bad_job() { rm -rf ../BAD; cp -r ../JOB.measured ../BAD; }
bad_job; echo '/* x */' >>../BAD/candidate-1/optimize.c; run 44 record ../BAD; has hash "$out" "candidate-1 is not what was packed"
bad_job; sed -i 's/^verdict\tNOISE/verdict\tKEEP/' ../BAD/result-2/attempt.tsv; run 44 record ../BAD; has verdict "$out" "result-2 was edited"
bad_job; sed -i 's/^t_cand_ms\t95/t_cand_ms\t55/' ../BAD/result-1/attempt.tsv; run 44 record ../BAD; has figure "$out" "result-1 was edited"
bad_job; sed -i "s/^parent\t.*/parent\t$(git hash-object -t tree /dev/null)/" ../BAD/job.tsv; run 44 record ../BAD; has job "$out" "job.tsv was edited"
bad_job; echo x >>../BAD/result-1/samples.tsv; run 44 record ../BAD
git checkout -q --orphan elsewhere; git commit -q -m elsewhere; git branch -q -D main
run 42 record ../JOB.measured; has parent "$out" "is not in the history of HEAD"
run 2 record ../nowhere

finish
echo "$passed passed, $failed failed$([ $skipped = 0 ] || echo ", $skipped skipped")"
[ $failed = 0 ] && [ $passed -gt 0 ]
