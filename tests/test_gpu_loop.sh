#!/usr/bin/env bash
# test_gpu_loop.sh - the judge on a GPU: verify, profile, dishonest candidates, sides that do not fit together
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
ok() { echo "ok $1"; passed=$((passed + 1)); }
bad() { echo "FAIL $1"; sed 's/^/    /' "$work/out"; failed=$((failed + 1)); }
finish() { echo "$passed passed, $failed failed, $skipped skipped"; [ $failed = 0 ]; exit; }
if ! nvidia-smi -L 2>/dev/null | grep -q GPU || [ ! -f build/cuda/harness ] || ! cmp -s harness build/cuda/harness; then
    skipped=1
    echo "skip: no GPU, or ./harness is not the CUDA build"
    finish
fi
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# expect NAME CODE WORD COMMAND...
expect() {
    local name=$1 code=$2 word=$3 status=0
    shift 3
    timeout 120 "$@" >"$work/out" 2>&1 </dev/null || status=$?
    if [ "$status" = "$code" ] && grep -qE -- "$word" "$work/out"; then ok "$name"; else echo "status $status, expected $code and $word" >>"$work/out"; bad "$name"; fi
}

# a harness with a scripted clock that believes that two sides never fit, made meanwhile
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
"$nvcc" -x cu -std=c++17 -DAUTOOPT_CUDA -DAUTOOPT_TEST_CLOCK -DSWAP_FACTOR=2e6 -DAOPT_NO_IMAGES -O1 -include build/frozen.h -c harness.c -o "$work/harness.o" -Xcompiler=-fPIC >"$work/nvcc" 2>&1 &&
    "$nvcc" "$work/harness.o" build/cuda/autoopt.o -o "$work/harness" -Xcompiler=-fopenmp -lcublas -ldl >>"$work/nvcc" 2>&1 & clock=$!

expect "the shipped decoder passes" 0 '^PASS' ./harness verify --task nano
expect "profile: kernels without the candidate's help" 0 '^aopt_k_' ./harness profile --task tiny
# The sum is of a decode long enough that the pipe's share of it is small; weights of half the width do, if there are none.
weights=assets/generated/weights.safetensors latent=assets/generated/wan22-medium.safetensors made=()
[ -f assets/Wan2.2_VAE.pth ] || [ -f $weights ] || { made+=($weights); ./harness make-weights --decoder-width 128 --encoder-width 32 --out $weights >"$work/out" 2>&1 || bad "no weights"; }
[ -f $latent ] || { made+=($latent); ./harness make-latent --shape 9,22,40 --out $latent >"$work/out" 2>&1 || bad "no latent"; }
expect "profile of wan22-medium" 0 '^aopt_k_' ./harness profile --task wan22-medium
share=$(sed -n 's/.* with gaps of .* ms \([0-9.]*\) % of .*/\1/p' "$work/out")
if awk -v s="${share:-0}" 'BEGIN { exit !(s > 97 && s < 103) }'; then ok "kernels and gaps add up to the wall within 3 % ($share %)"; else bad "kernels and gaps are ${share:-no} % of the wall"; fi
[ ${#made[@]} = 0 ] || rm -f "${made[@]}" assets/generated/reference-wan22-medium-random-*
{ echo '#define HONEST'; cat tests/evil/gpu.h; } >"$work/honest.c"
expect "honest twin" 0 '^PASS' ./harness verify --task nano --candidate "$work/honest.c"
for file in tests/evil/gpu_*.c; do
    name=$(basename "${file%.c}")
    read -r _ _ code word < <(head -n 1 "$file")
    { grep '^#define' "$file"; cat tests/evil/gpu.h; grep -v "^#define" "$file"; } >"$work/evil.c"
    expect "$name: $code $word" "$code" "$word" ./harness verify --task nano --candidate "$work/evil.c"
done

wait $clock || { cp "$work/nvcc" "$work/out"; bad "harness with a scripted clock"; finish; }
printf 'floor 0.002\npair 100 97\n' >"$work/gain"
printf 'floor 0.002\npair 100 103\n' >"$work/loss"
expect "one side at a time: a gain is kept" 0 '^KEEP.* \+3' "$work/harness" bench --task nano --candidate "$work/honest.c" --incumbent optimize.c --test-clock "$work/gain"
expect "one side at a time: a loss is not" 1 '^SLOWER' "$work/harness" bench --task nano --candidate "$work/honest.c" --incumbent optimize.c --test-clock "$work/loss"
finish
