#!/usr/bin/env bash
# What the pages say is true: every command in them exists with its options, the cheap ones run in a fresh clone as printed, links and files
# are there, and what they print looks as on the page.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/check.sh
. tests/clone.sh
alone
no_gpu "$work/bin"
pages="README.md AGENTS.md program.md assets/README.md .claude/agents/model-optimizer.md"

clone_into "$work/clone" && cd "$work/clone" || { echo "FAIL clone"; report; exit 1; }
./build.sh >"$work/build" 2>&1 || { cat "$work/build"; echo "FAIL build"; report; exit 1; }
./harness help >"$work/help"
./build.sh help >"$work/build-help"
assets/fetch.sh >"$work/fetch-help" 2>&1

# --- words and options ------------------------------------------------------------------------------------------
# commands PAGE: each command of the page's code, one a line: indented lines and `spans`, cut at && ; | and at three blanks
commands() {
    { awk '/^```/ { fence = !fence } fence || /^    / { print }' "$1"; grep -oE '`[^`]+`' "$1" | tr -d '`'; } |
        awk '{ sub(/ +\\$/, ""); sub(/^ *(\$ )?/, ""); sub(/   .*/, ""); gsub(/ (&&|\||;) /, "\n"); print }' |
        sed -E 's/^.*run: //; s/[}]+\]*$//; s/^[A-Z]+=[^ ]* //; s/ > .*//' | grep -E '^(\./harness|\./build\.sh|assets/fetch\.sh|tests/[a-z_/]*\.sh|\.ci/run)( |$)' | sort -u
}
# known COMMAND...: the word is in the program's help, and so is each option, on the word's own line for the harness
known() {
    local program=$1 word=${2:-} usage option
    case $program in
        ./harness)
            [ -n "$word" ] || return 0
            case $word in --*) word=--desc ;; esac
            usage=$(grep -E -e "^\./harness $word( |$)" "$work/help") || { echo "./harness help has no $word"; return 1; }
            for option in "${@:2}"; do
                case $option in --*) grep -qE -e "(^|[ [])${option%%=*}([] ,=]|$)" <<<"$usage" || { echo "$word has no $option: $usage"; return 1; } ;; esac
            done ;;
        ./build.sh) [ -z "$word" ] || [ "$word" = help ] || grep -qE "^  (.*\| )?$word( |$)" "$work/build-help" || { echo "./build.sh help has no $word"; return 1; } ;;
        assets/fetch.sh) for word in "${@:2}"; do grep -qE "(^  |\[)$word " "$work/fetch-help" || { echo "assets/fetch.sh has no $word"; return 1; }; done ;;
        *) [ -x "$program" ] || { echo "$program is not there"; return 1; } ;;
    esac
}
page_is_known() {
    local line bad=0 n=0
    while IFS= read -r line; do
        eval "set -- $(sed 's/[][<>()|{}*…;&$]/\\&/g' <<<"$line")" 2>/dev/null || { echo "cannot be read: $line"; bad=1; continue; }
        n=$((n + 1))
        known "$@" || { echo "    in: $line"; bad=1; }
    done < <(commands "$1")
    [ $n -gt 0 ] || { echo "no command in $1"; bad=1; }
    return $bad
}
for page in $pages; do check "commands of $page" page_is_known "$page"; done
commands_explain() {        # ./harness COMMAND --help is the command's line of ./harness help
    local word bad=0
    for word in $(sed -nE 's|^\./harness ([a-z][a-z-]*).*|\1|p' "$work/help" | sort -u); do
        [ "$(./harness "$word" --help)" = "$(grep -E -e "^\./harness $word( |$)" "$work/help")" ] || { echo "$word --help"; bad=1; }
    done
    return $bad
}
check "every command explains itself" commands_explain
for line in '`./harness fly`' '    ./harness verify --fast' '`./build.sh tset`' '`assets/fetch.sh wights`' '    ./build.sh && ./harness --desc "x" --atack "y"'; do
    printf 'text\n\n%s\n' "$line" >"$work/page"
    check "control: $line" expect 1 'has no' page_is_known "$work/page"
done

# --- names -------------------------------------------------------------------------------------------------------
files_exist() {
    local f bad=0
    for f in $(grep -oE '\]\([^)#:]+\)' "$1" | tr -d ']()') $(grep -oE '`[A-Za-z_./-]+\.(c|h|cuh|sh|md|json|tsv|svg)`' "$1" | tr -d '`'); do
        case $f in app.c) continue ;; fetch.sh|tiny/*|nano/*) f=assets/$f ;; esac
        [ -e "$f" ] || { echo "$1 names $f"; bad=1; }
    done
    return $bad
}
for page in $pages; do check "files of $page" files_exist "$page"; done
check "the picture is a picture" expect 0 '^<svg ' head -n 1 progress.svg
check "AGENTS.md is below 8 KB" [ "$(wc -c <AGENTS.md)" -lt 8192 ]
check "CLAUDE.md is AGENTS.md" cmp CLAUDE.md AGENTS.md
codes_known() {     # every code of the harness's failure table has a row in AGENTS.md
    local code bad=0 n=0
    for code in $(sed -n '/^static const struct { int code/,/^};/p' harness.c | grep -oE '\{ [0-9]+,' | tr -d '{, '); do
        n=$((n + 1))
        grep -oE '^\| [0-9 ,to]+ \|' AGENTS.md | awk -v c="$code" '{ gsub(/[|]/, ""); if ($2 == "to") { if (c >= $1 && c <= $3) ok = 1 } else { n = split($0, v, /[ ,]+/); for (i = 1; i <= n; i++) if (v[i] == c) ok = 1 } }
            END { exit !ok }' || { echo "code $code is not in AGENTS.md"; bad=1; }
    done
    [ $n -gt 10 ] && return $bad
}
check "AGENTS.md has every exit code" codes_known
check "the nibble rule is that of goals.json" grep -qF "below $(sed -n 's/.*"nibble_pct": \([0-9.]*\).*/\1/p' goals.json) % each" AGENTS.md

# --- as printed ----------------------------------------------------------------------------------------------------
# shape: numbers, and what depends on the machine, made equal
shape() { sed -E 's/sandbox [a-z]+/sandbox S/; s/[0-9]+(\.[0-9]+)?/#/g; s/ +/ /g'; }
# first_screen: each `$ command` runs, and each line below it is in its output; "..." ends a line that goes on
first_screen() {
    local line bad=0 n=0
    : >"$work/out"
    while IFS= read -r line; do
        case $line in
            '$ '*)  line=${line#\$ }
                    bash -c "${line/.\/build.sh deps && /}" >"$work/out" 2>&1 || { echo "status $?: $line"; cat "$work/out"; bad=1; } ;;
            ...)    ;;
            *)      n=$((n + 1))
                    shape <<<"${line%...}" >"$work/want"
                    shape <"$work/out" | grep -qF -f "$work/want" || { echo "not printed: $line"; cat "$work/out"; bad=1; } ;;
        esac
    done < <(awk '/^    \$ / { on = 1 } on && !/^    / { exit } on { print substr($0, 5) }' README.md)
    [ $n -ge 4 ] && return $bad
}
check "README: the first screen" first_screen
check "README: 17 pictures" [ "$(ls frames 2>/dev/null | wc -l)" = 17 ]
run_lines() {       # run_lines STATUS_PATTERN: stdin's commands, each ends with a status that matches
    local line status bad=0
    while IFS= read -r line; do
        line=${line%%   *}
        status=0
        bash -c "$line" >"$work/out" 2>&1 || status=$?
        grep -qxE "$1" <<<"$status" || { echo "status $status: $line"; cat "$work/out"; bad=1; }
    done
    return $bad
}
page_commands README.md Commands | grep -v ' bench' >"$work/lines"
check "README: the commands" run_lines 0 <"$work/lines"
check "README: bench of unchanged code has nothing to do" expect 3 '^NOOP' ./harness bench
c_code() { awk '/^```c$/ { on = 1; next } /^```/ { on = 0 } on' README.md >"$work/app.c" && [ -s "$work/app.c" ] && gcc -std=c11 -Wall -Wextra -Werror -c "$work/app.c" -I. -o "$work/app.o"; }
check "README: the program compiles" c_code
grep -E '^    \./' AGENTS.md | sed 's/^ *//' >"$work/lines"
check "AGENTS.md: the commands before the first edit" run_lines '[013]' <"$work/lines"
check "AGENTS.md: the guards are on" expect 0 true git config autoopt.enlisted
sed -n 's/^    5\. judge *//p' AGENTS.md >"$work/lines"
check "AGENTS.md: the attempt; unchanged code has nothing to do" run_lines 3 <"$work/lines"
page_commands program.md '1. Setting up' | grep -E '^\./harness make-latent --shape 9' >"$work/lines"
check "program.md: the small input" run_lines 0 <"$work/lines"
check "it is where goals.json looks" [ -s "$(grep '"wan22-medium"' goals.json | sed -n 's/.*"input": "\([^"]*\)".*/\1/p')" ]
check "status speaks of this machine's row" expect 0 '^ +[0-9]+ +BASELINE +0 .* baseline' ./harness status

# --- the workflow: shallow and detached -------------------------------------------------------------------------------
git clone -q --depth 1 "file://$work/clone" "$work/shallow" && cd "$work/shallow" && git checkout -q --detach || { echo "FAIL shallow clone"; report; exit 1; }
cp -r "$work/clone/build" . && cp "$work/clone/harness" .
sed -n 's/.*{run: \(.*\)}\].*/\1/p' "$root/README.md" | sed 's/\.\/build.sh deps && //' >"$work/lines"
check "README: the workflow" [ -s "$work/lines" ]
check "the workflow runs in a shallow, detached clone" run_lines 0 <"$work/lines"

# --- the record of this branch, as a clone gets it -----------------------------------------------------------------------
rows_of_log() { ./harness status | sed -n 's/^branch .*, \([0-9]*\) rows.*/\1/p'; }
if git -C "$root" rev-parse -q --verify HEAD >/dev/null 2>&1 && [ "$(git -C "$root" rev-parse --is-shallow-repository)" = false ]; then
    git clone -q "$root" "$work/history" && cd "$work/history" && cp -r "$work/clone/build" . && cp "$work/clone/harness" . || { echo "FAIL clone with its history"; report; exit 1; }
    check "all rows of results.tsv come with the branch (else ./harness sync)" [ "$(grep -c '^[0-9]' results.tsv)" = "$(rows_of_log)" ]
else skip "all rows of results.tsv come with the branch" "no history here"; fi
report
