#!/usr/bin/env bash
# test_without_gpu.sh - what test_fast.cu and test_decoder.cu can say with no device at all (the algebra of the transforms; 2000 plans of the decoder), wherever nvcc is there;
# and that a plan in which a tail is not read where it was written does not pass
set -u
cd "$(dirname "$0")/.."
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
[ -x "$nvcc" ] || { echo "skip nvcc: not found"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0
result() { if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok $1"; else failed=$((failed + 1)); echo "FAIL $1"; sed 's/^/    /' "$work/$3.log" | tail -20; fi; }
build() { "$nvcc" -x cu -std=c++17 -DAUTOOPT_CUDA -O1 -gencode=arch=compute_90a,code=sm_90a "$1" -o "$work/$2" -lcublas >"$work/$2.log" 2>&1; }
run() { [ -x "$work/$1" ] && CUDA_VISIBLE_DEVICES= "$work/$1" >"$work/$1.log" 2>&1; }

mkdir "$work/tree"
cp -r tests model autoopt.h autoopt_kernels.cuh "$work/tree"
sed 's/ || !tail_fits(g, j)) return;/) return;/' optimize.c >"$work/tree/optimize.c"
build tests/test_fast.cu fast & build tests/test_decoder.cu decoder
wait
build "$work/tree/tests/test_decoder.cu" broken
run fast
result "test_fast without a device" $? fast
run decoder && grep -q '^ok test_plan' "$work/decoder.log"
result "test_decoder without a device" $? decoder
! cmp -s optimize.c "$work/tree/optimize.c" && [ -x "$work/broken" ] && ! run broken && grep -q '^FAIL test_plan' "$work/broken.log"
result "a tail that is read where it is not fails test_plan" $? broken
echo "$passed passed, $failed failed"
[ $failed = 0 ]
