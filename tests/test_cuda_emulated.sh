#!/usr/bin/env bash
# test_cuda_emulated.sh - the CUDA sources on machines without a GPU: test_cuda.cu over tests/emulate, and the code that nvcc makes.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
result() { if [ "$2" = 0 ]; then passed=$((passed + 1)); echo "ok $1"; else failed=$((failed + 1)); echo "FAIL $1"; fi; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Some distributions switch _FORTIFY_SOURCE on, which takes the emulation's jumps between stacks for an attack.
# CXXFLAGS="-O1 -fsanitize=address,undefined" checks the memory of every kernel too, in a few minutes.
${CXX:-g++} -x c++ -std=c++17 -Wall -Wextra -Werror -U_FORTIFY_SOURCE ${CXXFLAGS:--O2} -I tests/emulate -DAUTOOPT_CUDA tests/test_cuda.cu -o "$work/test_cuda" -lm
result "the CUDA sources compile as C++ over the emulation" $?
if [ -x "$work/test_cuda" ]; then
    "$work/test_cuda" | tee "$work/log"
    read -r p _ f _ <<<"$(tail -n 1 "$work/log")"
    passed=$((passed + p)) failed=$((failed + f))
fi

nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
if [ -x "$nvcc" ]; then
    for arch in 90a 80; do
        "$nvcc" -x cu -std=c++17 -DAUTOOPT_CUDA -DAUTOOPT_IMPLEMENTATION -DAOPT_NO_IMAGES -O3 -gencode=arch=compute_$arch,code=sm_$arch -Xptxas -v \
            -Xcompiler=-Wall,-Wextra,-Werror -c autoopt.h -o "$work/autoopt.o" 2>"$work/ptxas"
        result "nvcc compiles for sm_$arch without a warning" $?
        if [ -s "$work/ptxas" ] && grep -E 'spill|error|warning' "$work/ptxas" | grep -v ' 0 bytes spill stores, 0 bytes spill loads'; then result "no register spills on sm_$arch" 1; else result "no register spills on sm_$arch" 0; fi
    done
else
    echo "skip nvcc: not found"
    skipped=1
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ $failed -eq 0 ]
