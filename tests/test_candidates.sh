#!/usr/bin/env bash
# test_candidates.sh - the candidates that wait for a GPU still apply to this tree, transform correctly over the emulation, and compile
set -u
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0 failed=0 skipped=0
result() { if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok $1"; else failed=$((failed + 1)); echo "FAIL $1"; sed 's/^/    /' "$work/log" | tail -20; fi; }
compgen -G "candidates/*.patch" >/dev/null || { echo "skip: no candidate waits"; echo "0 passed, 0 failed, 1 skipped"; exit 0; }
mkdir -p build
inside=$(mktemp -d build/candidates-XXXXXX)                         # in this checkout, where git apply would skip every path
trap 'rm -rf "$work" "$inside"' EXIT
candidates/unpack.sh "$work/out" >"$work/log" 2>&1 && candidates/unpack.sh "$inside/out" >>"$work/log" 2>&1
result "they apply to this tree" $?
alike=0
for tree in "$work"/out/[0-9]*/ "$inside"/out/[0-9]*/; do [ -f "$tree/optimize.c" ] || alike=1; cmp -s optimize.c "$tree/optimize.c" && cmp -s autoopt_kernels.cuh "$tree/autoopt_kernels.cuh" && alike=1; done
result "each differs from this tree" $alike
(cd "$work/out" && bash tests/test_wino_emulated.sh) >"$work/log" 2>&1
result "their transforms pass their tests over the emulation" $?
if [ -x "${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}" ]; then
    last=$(ls -d "$work"/out/[0-9]*/ | tail -n 1)
    KIND=cuda ./build.sh candidate "$last" "$work/last.so" >"$work/log" 2>&1 && ! grep -i -E 'spill|warning' "$work/log" | grep -q .
    result "the last compiles for a GPU, without a spill or a warning" $?
else
    echo "skip nvcc: not found"
    skipped=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed = 0 ]
