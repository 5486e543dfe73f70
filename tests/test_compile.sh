#!/usr/bin/env bash
# test_compile.sh - the header, the harness and optimize.c under every compiler here, as C11, C++17 and CUDA, without a warning
set -u
. tests/check.sh
work=build/tmp/compile
rm -rf $work
mkdir -p $work
strict="-Wall -Wextra -Wpedantic -Werror"
nvcc=${NVCC:-$(command -v nvcc || ls /usr/local/cuda/bin/nvcc 2>/dev/null)}
jobs=()

# background NAME COMMAND...: as check, but at the same time as the others; `collect` reports.
background() {
    local name=$1
    shift
    ( check "$name" "$@" >"$work/$name.log" ) &
    jobs+=("$name")
    [ "$(jobs -rp | wc -l)" -lt "$(nproc)" ] || wait -n || true
}
collect() {
    local name
    wait
    for name in "${jobs[@]}"; do
        cat "$work/$name.log"
        if grep -q "^ok " "$work/$name.log"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
    done
}

# program OUT COMPILER... : compile, link and run
program() {
    local out=$work/$1
    shift
    "$@" -lm -o "$out" && expect 0 "^ok ok$" "$out"
}

for pair in "gcc c11" "clang c11" "g++ c++17" "clang++ c++17"; do
    compiler=${pair% *} standard=${pair#* }
    command -v $compiler >/dev/null || { skip $compiler "not installed"; continue; }
    case $compiler in *++) as="-x c++" ;; *) as="-x c" ;; esac
    base="$compiler -std=$standard -O0 $strict"
    background $compiler-plain program $compiler-plain $base $as tests/compile/plain.c
    background $compiler-harness $base $as -c harness.c -o $work/$compiler-harness.o
    [ ! -f optimize.c ] || background $compiler-optimize $base $as -c optimize.c -o $work/$compiler-optimize.o
    background $compiler-no-images $base -DAOPT_NO_IMAGES $as -c tests/compile/plain.c -o $work/$compiler-no-images.o
    background $compiler-no-stdio $base -DAOPT_NO_STDIO $as -c tests/compile/plain.c -o $work/$compiler-no-stdio.o
    background $compiler-static-twice program $compiler-static-twice $base -DAOPT_STATIC $as tests/compile/plain.c tests/compile/static_user.c
done
background gcc-harness-optimised gcc -std=c11 -O2 $strict -c harness.c -o $work/harness-optimised.o
background two-files program two-files gcc -std=c11 -O0 $strict tests/compile/plain.c tests/compile/user.c
background system-headers-first program system-headers-first gcc -std=gnu11 -O0 $strict tests/compile/after_system.c
background system-headers-first-c11 program system-headers-first-c11 gcc -std=c11 -D_GNU_SOURCE -O0 $strict tests/compile/after_system.c
background system-headers-first-says-why expect 1 "a system header came first" gcc -std=c11 -O0 -c tests/compile/after_system.c -o $work/x3.o
background included-twice program included-twice gcc -std=gnu11 -O0 $strict tests/compile/twice.c
background openmp program openmp gcc -std=c11 -O0 $strict -fopenmp tests/compile/plain.c
background no-flags program no-flags gcc -w tests/compile/plain.c
if [ -n "$nvcc" ]; then
    background nvcc-header $nvcc -x cu -std=c++17 -Xcompiler=-Wall,-Wextra,-Werror -c tests/compile/plain.c -o $work/nvcc.o
    background nvcc-harness $nvcc -x cu -std=c++17 -Xcompiler=-Wall,-Wextra,-Werror -c harness.c -o $work/nvcc-harness.o
    # A kept optimize.c that came with kernels of its own builds against today's header, or audit could not judge it again.
    kept() {
        mkdir -p $work/row-$1 && git cat-file -p "${2%+*}" >$work/row-$1/optimize.c && git cat-file -p "${2#*+}" >$work/row-$1/autoopt_kernels.cuh &&
            KIND=cuda ./build.sh candidate $work/row-$1 $work/row-$1.so
    }
    while read -r row verdict source; do
        if [ "$verdict" = KEEP ] && [[ $source == *+* ]]; then
            if git cat-file -e "${source%+*}" 2>/dev/null && git cat-file -e "${source#*+}" 2>/dev/null; then background "row-$row-still-builds" kept "$row" "$source"
            else skip "row-$row-still-builds" "its sources are not in this clone"; fi
        fi
    done < <(cut -f1,3,9 results.tsv 2>/dev/null)
else
    skip nvcc "not installed"
fi

# Negative controls: what these tests guard does fail.
misspelt() {
    sed 's/AUTOOPT_IMPLEMENTATION/AUTOOPT_IMPLEMENTATOIN/' tests/compile/plain.c >$work/misspelt.c
    expect 1 "did not bring in" gcc -std=c11 -I tests/compile -c -x c -o $work/x.o <(sed "s|\"../../autoopt.h\"|\"$PWD/autoopt.h\"|; s|\"main.h\"|\"$PWD/tests/compile/main.h\"|" $work/misspelt.c)
}
background control-misspelt-macro misspelt
background control-two-implementations expect 1 "multiple definition" gcc -O0 -w tests/compile/plain.c tests/compile/static_user.c -lm -o $work/x
background control-c-only expect 1 "invalid conversion" bash -c "printf 'int *p(void *v) { return v; }\n' | g++ $strict -x c++ -c - -o $work/x2.o"

# Every header of model/ is frozen, or a change to it would go unnoticed.
frozen() {
    local f
    for f in model/*; do grep -q "\"$f\"" goals.json || { echo "$f is not in goals.json"; return 1; }; done
}
[ ! -f goals.json ] || background model-is-frozen frozen
collect
report
