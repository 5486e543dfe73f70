#!/usr/bin/env bash
# The agent guards, fed with events as Claude Code, Codex and Gemini send them; no agent needed.
set -u
cd "$(dirname "$0")/.." || exit 1
root=$PWD
passed=0 failed=0
dir=$(mktemp -d) && trap 'rm -rf "$dir"' EXIT
export GIT_CONFIG_GLOBAL=/dev/null GIT_CONFIG_NOSYSTEM=1

# A clone in miniature: the guards look at names, goals.json, git and the harness, nothing else.
git init -q "$dir/c" && cd "$dir/c" || exit 1
cp "$root/harness" "$root/goals.json" . && mkdir -p model assets tests .claude build
for f in optimize.c PROGRESS.md harness.c autoopt.h autoopt_kernels.cuh build.sh AGENTS.md program.md results.tsv leaderboard.md progress.svg model/target.h .claude/settings.json; do
    echo "$f" > "$f"
done
git add -A && git -c user.name=t -c user.email=t@example.org commit -qm start

ok() { passed=$((passed + 1)); echo "ok $1"; }
fail() { failed=$((failed + 1)); echo "FAIL $1: expected $2, got: $3"; }
# expect NAME allow|deny|block KIND EVENT
expect() {
    local out status
    out=$(printf '%s' "$4" | ./harness hook "$3" 2>"$dir/err"); status=$?
    local got=other
    case $out in
        '') got=allow ;;
        '{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"deny","permissionDecisionReason":"'*'"}}') got=deny ;;
        '{"decision":"block","reason":"'?*'"}') got=block ;;
    esac
    if [ $status -ne 0 ]; then fail "$1" "exit 0" "exit $status, $(cat "$dir/err")"
    elif [ $got = "$2" ]; then ok "$1"
    else fail "$1" "$2" "$out"; fi
}
pre() { expect "$1" "$2" pre "$3"; }
edit() { pre "$1 $3 $4" "$2" "{\"session_id\":\"s\",\"hook_event_name\":\"PreToolUse\",\"cwd\":\"$PWD\",\"tool_name\":\"$3\",\"tool_input\":{\"$5\":\"$4\",\"content\":\"x\"},\"tool_use_id\":\"t\"}"; }
json() { local s=${1//\\/\\\\}; s=${s//\"/\\\"}; printf '%s' "${s//$'\n'/\\n}"; }
shell() { pre "shell $1: $2" "$1" "{\"cwd\":\"$PWD\",\"hook_event_name\":\"PreToolUse\",\"tool_name\":\"Bash\",\"tool_input\":{\"command\":\"$(json "$2")\"}}"; }

frozen=$(grep -o '"[^"]*"' goals.json | tr -d '"' | grep -E '^(harness\.c|autoopt\.h|build\.sh|goals\.json|model/target\.h|model/|AGENTS\.md|program\.md)$' | sort -u)

# --- not enlisted: nobody is blocked -----------------------------------------------------------------------
edit "not enlisted:" allow Edit "$PWD/harness.c" file_path
shell allow 'git commit -am x'
expect "not enlisted: stop" allow stop '{"hook_event_name":"Stop","stop_hook_active":false}'

./harness enlist >/dev/null || fail enlist 0 $?
[ "$(git config autoopt.enlisted)" = true ] && ok "enlist sets git config" || fail "enlist sets git config" true "$(git config autoopt.enlisted)"

# --- edits -------------------------------------------------------------------------------------------------
for tool in Edit Write MultiEdit; do
    for f in $frozen results.tsv leaderboard.md progress.svg .claude/settings.json tests/new.sh; do edit "enlisted:" deny $tool "$PWD/$f" file_path; done
    edit "enlisted:" allow $tool "$PWD/optimize.c" file_path
    edit "enlisted:" allow $tool "$PWD/PROGRESS.md" file_path
done
edit "notebook:" deny NotebookEdit "$PWD/harness.c" notebook_path
edit "relative:" deny Edit "./model/../harness.c" file_path
edit "relative:" allow Edit "optimize.c" file_path
edit "outside:" allow Write "$dir/elsewhere.c" file_path
edit "outside by dots:" allow Write "../elsewhere.c" file_path
ln -s "$PWD/harness.c" "$dir/alias.c"
edit "through a link:" deny Edit "$dir/alias.c" file_path
edit "gemini:" deny write_file "$PWD/goals.json" file_path
edit "read is no edit:" allow Read "$PWD/harness.c" file_path
patch='*** Begin Patch
*** Update File: harness.c
@@
-x
+y
*** End Patch'
pre "codex patch of a frozen file" deny "{\"cwd\":\"$PWD\",\"tool_name\":\"apply_patch\",\"tool_input\":{\"command\":\"$(json "$patch")\"}}"
pre "codex patch as input" deny "{\"cwd\":\"$PWD\",\"tool_name\":\"apply_patch\",\"tool_input\":{\"input\":\"$(json "$patch")\"}}"
pre "codex patch of optimize.c" allow "{\"cwd\":\"$PWD\",\"tool_name\":\"apply_patch\",\"tool_input\":{\"command\":\"$(json "${patch/harness.c/optimize.c}")\"}}"
pre "codex shell list" deny "{\"cwd\":\"$PWD\",\"tool_name\":\"shell\",\"tool_input\":{\"command\":[\"bash\",\"-lc\",\"sed -i s/a/b/ harness.c\"]}}"
pre "codex shell list, harmless" allow "{\"cwd\":\"$PWD\",\"tool_name\":\"shell\",\"tool_input\":{\"command\":[\"bash\",\"-lc\",\"sed -n 1,5p harness.c\"]}}"

# --- shell commands ----------------------------------------------------------------------------------------
for c in 'git commit -am x' 'git reset --hard' 'git push' 'cd . && git -C . checkout -- optimize.c' 'git -c a.b=c stash' 'git config autoopt.enlisted false' \
         'echo x > harness.c' 'echo x >> goals.json' 'cat a >| model/target.h' 'sed -i s/60/10/ goals.json' 'perl -pi -e 1 autoopt.h' 'tee results.tsv < x' \
         'cp /tmp/x harness.c' 'mv goals.json /tmp/' 'rm -f results.tsv' 'true; rm harness.c' 'ln -sf /tmp/x build.sh' 'dd if=/dev/zero of=autoopt.h' 'truncate -s 0 leaderboard.md' \
         'bash -c "rm harness.c"' "sh -c 'git commit -m x'" 'x=1 sudo git push origin main' 'echo $(rm harness.c)' 'find . | xargs rm harness.c' "sed -i 's/a/b/' \"harness.c\"" 'rm model/target.h' 'rm -r .git' 'sed -i s,a,b, AGENTS.md' 'rm .claude/settings.json' \
         "python3 -c \"open('goals.json','w').write('{}')\"" './harness record JOB' './build.sh && ./harness --scope library --desc x' './harness --scope=library --desc x' './harness --desc x --approve' './harness --allow-init --desc x' './harness enlist off' \
         "$(printf 'cat > harness.c <<E\nx\nE')" "$(printf 'apply_patch <<E\n%s\nE' "$patch")"; do shell deny "$c"; done
for c in 'git log --oneline' 'git diff HEAD' 'git show HEAD:optimize.c > optimize.c' 'git status' './build.sh && ./harness --desc "commit to record --scope"' './harness status' './harness verify 2>&1 | tail' \
         'cat harness.c' 'grep -n write harness.c > /tmp/x' 'cp harness.c /tmp/h.c' 'echo "rm harness.c"' 'sed -n 1,9p goals.json' 'sed -i s/a/b/ optimize.c' 'echo x >> PROGRESS.md' 'rm -rf build' \
         "python3 -c \"print(open('results.tsv').read())\"" 'ls > /dev/null 2>&1' ''; do shell allow "$c"; done

# --- stop --------------------------------------------------------------------------------------------------
echo edited > optimize.c
expect "stop with an edit that was never judged" block stop '{"hook_event_name":"Stop","stop_hook_active":false,"last_assistant_message":"done","permission_mode":"default"}'
expect "stop, codex fields" block stop "{\"cwd\":\"$PWD\",\"hook_event_name\":\"Stop\",\"model\":\"m\",\"turn_id\":\"1\",\"transcript_path\":null,\"last_assistant_message\":null,\"stop_hook_active\":false}"
expect "subagent stop" block stop '{"hook_event_name":"SubagentStop","stop_hook_active":false,"background_tasks":[],"session_crons":[]}'
expect "stop, fields missing" block stop '{}'
expect "stop when it already blocked" allow stop '{"hook_event_name":"Stop","stop_hook_active":true}'
expect "stop with work in the background" allow stop '{"hook_event_name":"Stop","stop_hook_active":false,"background_tasks":[{"id":"1"}]}'
git show HEAD:optimize.c > optimize.c

# --- events that nobody can read never wedge an agent --------------------------------------------------------
for e in '' 'garbage' '{' '[]' 'null' '"x"' '{"tool_name":3}' '{"tool_name":"Edit"}' '{"tool_name":"Edit","tool_input":[]}' '{"tool_name":"Edit","tool_input":{"file_path":7}}' \
         '{"tool_name":"Bash","tool_input":{"command":{}}}' '{"tool_name":"Bash","tool_input":{"command":[1,2]}}' '{"tool_name":"Bash","tool_input":{"command":"\"unclosed"}}'; do pre "garbage $e" allow "$e"; done
expect "stop, garbage" allow stop 'garbage'
out=$(head -c 300000 /dev/zero | tr '\0' '(' | sed 's/^/{"tool_name":"Bash","tool_input":{"command":"/;s/$/"}}/' | ./harness hook pre); [ $? -eq 0 ] && [ -z "$out" ] && ok "a very long command" || fail "a very long command" allow "$out"
./harness hook sideways </dev/null 2>/dev/null; [ $? -eq 2 ] && ok "usage" || fail usage 2 $?
./harness enlist off >/dev/null; shell allow 'git commit -am x'

# --- the wiring ----------------------------------------------------------------------------------------------
cd "$root" || exit 1
if command -v python3 >/dev/null; then
    if python3 - <<'PY'
import json, sys
for f in (".claude/settings.json", ".codex/hooks.json"):
    hooks = json.load(open(f))["hooks"]
    for event, word in (("PreToolUse", "hook pre"), ("Stop", "hook stop")):
        commands = [h["command"] for entry in hooks[event] for h in entry["hooks"]]
        assert len(commands) == 1 and commands[0].endswith("/harness " + word), (f, event, commands)
assert "deny" not in json.load(open(".claude/settings.json"))["permissions"]
PY
    then ok "settings parse and call one program"; else fail "settings parse and call one program" "" ""; fi
else echo "skip settings: no python3"; fi
[ "$(readlink CLAUDE.md)" = AGENTS.md ] && ok "CLAUDE.md is AGENTS.md" || fail "CLAUDE.md is AGENTS.md" AGENTS.md "$(readlink CLAUDE.md)"
[ "$(wc -c < AGENTS.md)" -lt 8192 ] && ok "AGENTS.md is under 8 KB" || fail "AGENTS.md is under 8 KB" "< 8192" "$(wc -c < AGENTS.md)"

echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
