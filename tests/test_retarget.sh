#!/usr/bin/env bash
# Another model: README.md's page of that name, typed in as it stands, then a keep, a reject and a stop.  No time is asserted.
set -u
cd "$(dirname "$0")/.." || exit 1
. tests/check.sh
. tests/clone.sh
alone
clone_into "$work/clone" && cd "$work/clone" || { echo "FAIL clone"; report; exit 1; }

vae_word() { grep -nwiE 'vae|wan|wan2|wan22|latents?|unpatchify|aopt_vae[a-z_]*|z ?= ?(16|48)' "$1"; }
check "harness.c has no word of the first model" expect 1 '^$' vae_word "$root/harness.c"
check "control: model/target.h has" expect 0 'vae' vae_word "$root/model/target.h"

# --- the page ---------------------------------------------------------------------------------------------
page_commands "$root/README.md" "Another model" >"$work/page"
check "the page swaps model, assets, optimize.c, goals.json" bash -c '
    for word in model assets optimize.c goals.json "./build.sh" "./harness verify" "--desc \"baseline\""; do grep -qF -- "$word" "$1" || { echo "no $word"; exit 1; }; done' - "$work/page"
typed=0
while IFS= read -r line; do
    typed=$((typed + 1))
    check "typed: $line" bash -c "$line"
done <"$work/page"
check "it has commands" [ "$typed" -ge 5 ]
check "the harness now knows the other model" expect 0 '"target": "residual-mlp"' cat goals.json
check "no command of the first model is left" bash -c '! ./harness help | grep -q decode'
check "verify is green by the other model's metric" expect 0 'snr_db .*>= 60' ./harness verify --task nano
check "the baseline is a row of the other task" expect 0 '^task +small on ' ./harness status

# --- keep, reject, stop, under a scripted clock -------------------------------------------------------------
clock_build "$work/clocked" || { echo "FAIL build of the scripted clock"; report; exit 1; }
attempt() { printf 'floor 0.002\npair 100 %s\n' "$1" >"$work/times"; "$work/clocked" --task nano --test-clock "$work/times" --desc "$2" --attack "$3"; }

check "the baseline of the nano task" expect 0 '^BASELINE' attempt 100 baseline ""
cp tests/retarget/fast.c optimize.c
check "a faster optimize.c is kept" expect 0 '^KEEP \+20.00' attempt 80 "weights transposed" "mlp block"
check "and is HEAD's now" git diff --quiet HEAD -- optimize.c
sed -i 's/y\[i\] > 1 ? 1/y[i] > 0.9f ? 0.9f/' optimize.c
check "a coarser one is rejected by the model's own metric" expect 20 '^WHY .*snr_db = .*must be >= ' attempt 50 "clamp at 0.9" decode
check "and restored" git diff --quiet HEAD -- optimize.c
check "the row stays" expect 0 'REJECT +20 .*clamp at 0.9' ./harness status
check "goal: go on" expect 1 '^GO ON: 1 of 3 attempts' ./harness goal
for i in 1 2; do
    sed -i "s/weights transposed[ 0-9]*/weights transposed $i/" optimize.c
    check "no gain, attempt $i" expect 1 '^NOISE' attempt 100 "renamed $i" decode
done
check "goal: may stop" expect 0 '^MAY STOP: plateau: 3 attempts' ./harness goal
report
