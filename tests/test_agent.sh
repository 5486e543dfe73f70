#!/usr/bin/env bash
# A scripted agent: it knows AGENTS.md and reads the NEXT line of each verdict, nothing else.  It starts from a bad optimize.c, makes the
# mistakes that agents make, and ends when ./harness goal says so.  Its hook events are those of Claude Code.  Times are scripted.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/check.sh
. tests/clone.sh
alone
no_gpu "$work/bin"

# --- what a person sets up: one small task, a short stop rule, a bad incumbent ---------------------------------
clone_into "$work/clone" && cd "$work/clone" || { echo "FAIL clone"; report; exit 1; }
cp tests/agent/optimize.c optimize.c
sed -i -e '/"name": "nano"/!{/"name": /d}' -e 's/"attempts_without_keep": [0-9]*, "top_items": [0-9]*/"attempts_without_keep": 3, "top_items": 2/' goals.json
git commit -qam "a slow decoder" && ./build.sh >"$work/build" 2>&1 || { cat "$work/build"; echo "FAIL build"; report; exit 1; }
clock_build "$work/clocked" || { echo "FAIL build of the scripted clock"; report; exit 1; }

# --- the world: what each source costs, in milliseconds --------------------------------------------------------
cost() {
    awk '/passes = 2/ { t += 80 } /prefetch/ { t -= 1.3 } /aligned/ { t -= 1.2 } /fused/ { t -= 20 } END { print 100 + t }' "$1"
}
world() { git show HEAD:optimize.c >"$work/incumbent.c"; printf 'floor 0.002\npair %s %s\n' "$(cost "$work/incumbent.c")" "$(cost optimize.c)" >"$work/times"; }

# --- the agent -------------------------------------------------------------------------------------------------
event() { printf '{"session_id":"s","transcript_path":"/t","cwd":"%s","permission_mode":"default","hook_event_name":"%s",%s}' "$PWD" "$1" "$2"; }
may_edit() { [ -z "$(event PreToolUse "\"tool_name\":\"Edit\",\"tool_input\":{\"file_path\":\"$PWD/$1\",\"old_string\":\"a\",\"new_string\":\"b\"},\"tool_use_id\":\"t\"" | ./harness hook pre)" ]; }
may_run() { [ -z "$(event PreToolUse "\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"$1\"},\"tool_use_id\":\"t\"" | ./harness hook pre)" ]; }
stop() { event Stop '"stop_hook_active":false,"last_assistant_message":"done","background_tasks":[]' | ./harness hook stop; }
stop_blocked() { stop | grep -qE "^\{\"decision\":\"block\",\"reason\":\".*$1"; }

edit() { may_edit optimize.c && sed -i "$@" optimize.c; }
better() { edit "s/\"plain[^\"]*/&, $1/"; }           # change the text, and with it what the world says that it costs
attempts=0 next='' item='' status=0
journal() { may_edit PROGRESS.md && printf '\n### %s\nattacks: %s\nPredict: %s\n' "$1" "$item" "${2:-5 % faster}" >>PROGRESS.md; }
judge() {   # judge DESC: ./build.sh && ./harness --desc DESC --attack ITEM, and the status that it ended with
    attempts=$((attempts + 1)) status=0
    world
    if ! may_run "./build.sh && ./harness --desc \\\"$1\\\" --attack \\\"$item\\\""; then echo "the guard denies the command of AGENTS.md"; return 1; fi
    { ./build.sh && "$work/clocked" --desc "$1" --attack "$item" --test-clock "$work/times"; } >"$work/verdict" 2>&1 || status=$?
    next=$(sed -n 's/^NEXT  //p' "$work/verdict")
    case $next in
        *"structural change"*)      item=${next##*, }; mood=structural ;;
        "edit optimize.c: attack "*|"another idea against "*)
                                    item=$(sed 's/^edit optimize.c: attack //; s/^another idea against //; s/ ([0-9.]* % of the time).*//' <<<"$next"); mood=tune ;;
        "you may stop: "*)          mood=stop ;;
        *"./harness show "[0-9]*" has all of it"*)
                                    row=$(sed 's/.*harness show \([0-9]*\) has.*/\1/' <<<"$next"); mood=mend ;;
        *)                          mood=lost ;;
    esac
}
# attempt NAME STATUS MOOD DESC: one judged attempt; the agent must understand what comes next
attempt() {
    check "$1" bash -c '[ "$1" = "$2" ] && [ "$3" = "$4" ] || { echo "status $1 (expected $2), the agent read: $3 (expected $4)"; cat "$5"; exit 1; }' - \
        "$status" "$2" "$mood" "$3" "$work/verdict"
}

check "the guards go on, as AGENTS.md says" expect 0 'Guards are on' ./harness enlist
check "status is readable" expect 0 '^branch +main' ./harness status
check "goal names the first command" expect 1 'GO ON: .*--desc "baseline"' ./harness goal
check "the agent may not stop before anything is measured" stop_blocked 'baseline'
judge baseline
attempt "baseline; the next line names the item to attack" 0 tune
check "an item is named" [ -n "$item" ]
check "stop is blocked: goal says go on" stop_blocked 'GO ON'

denied() { ! "$@"; }
check "editing the judge is denied" denied may_edit harness.c
check "so is committing by hand" denied may_run 'git commit -am better'
better unrolled; journal "unrolled"
check "stop is blocked: an edit is not judged" stop_blocked 'never judged'
judge "unroll the outer loop"
attempt "no gain: another idea" 1 tune

edit '0,/    return AOPT_OK;/s//    ((float *)video->data)[7] += 0.3f;\n&/'; journal "coarser"
judge "skip a rounding"
attempt "wrong output: mend it" 20 mend
check "show has the metric" expect 0 'psnr_db|max_abs' ./harness show "$row"
check "optimize.c is restored" git diff --quiet HEAD -- optimize.c

edit 's/passes = 2/passes = 1 +/'; journal "decode once" "40 % faster"
judge "decode once"
attempt "a typing error: mend it" 10 mend
check "show has the compiler's words" expect 0 'error: expected' ./harness show "$row"
./harness show "$row" optimize.c >optimize.c
edit 's/passes = 1 +/passes = 1/'; judge "decode once, mended"
attempt "mended: kept" 0 tune
check "committed by the harness" bash -c 'git diff --quiet HEAD -- optimize.c && git log -1 --format=%B | grep -q "decode once, mended"'

better prefetch; journal prefetch "2 % faster"; judge "prefetch"
attempt "a small gain is kept" 0 tune
better aligned; journal aligned "2 % faster"; judge "align rows"
attempt "a second small gain: a structural change is asked for" 0 structural
better fused; journal fused "20 % faster"; judge "fuse the passes"
attempt "the structural change is kept" 0 tune

while [ "$mood" = tune ] && [ $attempts -lt 20 ]; do
    better "idea $attempts"; journal "idea $attempts"; judge "idea $attempts"
    [ "$status" = 1 ] || break
done
attempt "the plateau: the verdict says that it may stop" 1 stop
check "goal says the same" expect 0 '^MAY STOP: plateau' ./harness goal
check "stop is allowed" [ -z "$(stop)" ]
check "four keeps, all on the branch" expect 0 '^4$' bash -c 'git log --first-parent --format=%s | grep -c "^optimize: "'
check "no commit says nan" denied bash -c 'git log --format=%B | grep -w nan'
check "nothing but the record and the two files changed" bash -c '
    git diff --name-only "$(git rev-list --max-parents=0 --first-parent HEAD)" | grep -vxE "optimize.c|PROGRESS.md|results.tsv|leaderboard.md|progress.svg|goals.json" ; [ $? = 1 ]'
check "the journal is whole" expect 0 '^9$' grep -c '^Predict: ' PROGRESS.md
report
