#!/usr/bin/env bash
# test_wino_emulated.sh - the Winograd and upsample transforms of the fast decoder on machines without a GPU: their text in
# autoopt_kernels.cuh and their tests in test_fast.cu over tests/emulate.  KERNELS and TESTS name other files to take them from.
# CXXFLAGS="-O1 -fsanitize=address,undefined" checks the memory of every kernel too.
set -u
cd "$(dirname "$0")/.."
kernels=${KERNELS:-autoopt_kernels.cuh} tests=${TESTS:-tests/test_fast.cu}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
between() { awk -v from="$2" -v to="$3" 'index($0, to) && on { on = 0 } index($0, from) { on = 1 } on' "$1"; }     # first line of FROM to the line before TO, each time

# What nvcc alone understands: PTX (the emulation has its own), launches, and shared memory of a size that the launch says.
{
    between "$kernels" '/* scale * x * sigmoid(x)' '#if AOPT__SM90A'
    between "$kernels" '/* F(' '/* One thread per (t, co, ci); u NULL'
    between "$kernels" '/* Sum 16 per-pixel values' '/* Launch: one warp per position'
    between "$kernels" '/* ---- Winograd transforms ---- */' '/* ---- upsample' | awk '/^\/\* ---- Winograd/ { n++ } n == 1'
    between "$kernels" '/* ---- upsample transforms ---- */' '/* ---- head ---- */' | awk '/^\/\* ---- upsample transforms/ { n++ } n == 1'
    between "$kernels" '/* ---- launch of the one kernel with many shapes ---- */' '}                           /* extern "C++" */'
    echo 'static aopt_status aopt__launched(const char *what, aopt_error *e) { return cudaGetLastError() == cudaSuccess ? AOPT_OK : aopt_fail(e, AOPT_E_CUDA, "%s", what); }'
    between "$kernels" 'AOPT__DEF void aopt_wino_form_tile(' 'AOPT__DEF void aopt_wino_form('
    between "$kernels" '/* ---- Winograd transforms ---- */' '/* ---- upsample' | awk '/^\/\* ---- Winograd/ { n++ } n == 2'
    between "$kernels" '/* Nearest-upsample by 2, then 3 taps' '/* The taps themselves'
    between "$kernels" '/* ---- upsample transforms ---- */' '/* ---- head ---- */' | awk '/^\/\* ---- upsample transforms/ { n++ } n == 2'
} | sed -E 's/extern __shared__ __align__\([0-9]+\) unsigned char (\w+)\[\];/unsigned char *const \1 = (unsigned char *)emulate_shared;/
            s/^( *)(\S.*)<<<(\S+), (\S+), (.*), stream>>>\((.*)\);/\1emulate_launch(\3, \4, [\&]() { \2(\6); }, (size_t)(\5)); (void)stream;/' >"$work/kernels.inc"
{
    between "$tests" 'typedef std::vector<double> vec;' '/* ---- tap GEMM ---'
    between "$tests" '/* u[p][t][co][ci]' 'static void test_conv_weights'
    between "$tests" 'static double silu(double x)' 'static void test_norm(void)'
    between "$tests" '/* ---- Winograd ---' '/* A whole convolution'
    between "$tests" 'static vec direct_conv' 'static void test_wino_conv'
    between "$tests" '/* ---- upsample ---' '/* ---- small layers'
} >"$work/tests.inc"
cp tests/emulate/wino.cpp "$work/wino.cpp"
${CXX:-g++} -x c++ -std=c++17 -Wall -Wextra -Werror -Wno-unused-function -Wno-unused-variable -Wno-unknown-pragmas -U_FORTIFY_SOURCE ${CXXFLAGS:--O2} -I tests/emulate -I tests -I . -DAUTOOPT_CUDA "$work/wino.cpp" -o "$work/wino" -lm && "$work/wino"
