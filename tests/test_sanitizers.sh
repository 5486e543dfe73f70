#!/usr/bin/env bash
# test_sanitizers.sh - the kernels under compute-sanitizer: accesses out of bounds, reads of what nobody wrote, races in shared memory
# Left out: initcheck of test_fast, whose buffers are all written before a kernel sees them; initcheck of a whole decode, because
# the tool (2025.3) takes what a bulk tensor store wrote for unwritten: test_decoder fills the memory with NaN instead; racecheck
# of a whole decode, whose kernels are those of test_fast.
set -u
cd "$(dirname "$0")/.."
passed=0 failed=0 skipped=0
ok() { echo "ok $1"; passed=$((passed + 1)); }
bad() { echo "FAIL $1"; grep -v '^=* *$' "$2" | head -n 60 | sed 's/^/    /'; failed=$((failed + 1)); }
finish() { echo "$passed passed, $failed failed, $skipped skipped"; [ $failed = 0 ]; exit; }
no() { skipped=1; echo "skip: $1"; finish; }
nvcc=${NVCC:-$(command -v nvcc || echo /usr/local/cuda/bin/nvcc)}
sanitizer=$(command -v compute-sanitizer || echo "${nvcc%/*}/compute-sanitizer")
nvidia-smi -L 2>/dev/null | grep -q GPU || no "no GPU"
[ -x "$nvcc" ] && [ -x "$sanitizer" ] || no "no nvcc, or no compute-sanitizer beside it"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
[ "$arch" != 90 ] || arch=90a
compile() { "$nvcc" -x cu -std=c++17 -DAUTOOPT_CUDA -O3 -lineinfo "-gencode=arch=compute_$arch,code=sm_$arch" -Xcompiler=-fopenmp "$1" -o "$2" -lcublas -lgomp >"$2.build" 2>&1; }
# program NAME: the build's own test program if nothing that it was made of is newer, else one made here, into $work
program() {
    local made=build/cuda-test/$1
    if [ -x "$made" ] && ! find $(sed -e 's/^[^ ]* *: *//' -e 's/\\$//' "$made.d") -newer "$made" | grep -q .; then cp "$made" "$work/"; else compile "tests/$1.cu" "$work/$1"; fi
}

# start TOOL PROGRAM [WORD]: one more run, beside the others; its last line is its status
ports=49152 runs=()
start() {
    local name=$1-$2${3:+-$3}
    runs+=("$name")
    ports=$((ports + 16))
    {
        SECONDS=0
        timeout -k 5 120 "$sanitizer" --tool "$1" --port $ports --error-exitcode 9 "$work/${@:2}"
        echo "status $?, $SECONDS s"
    } >"$work/$name" 2>&1 </dev/null &
}
# A run is clean if the tool reached its end with nothing to report, and the program passed.
clean() { grep -q '^status 0,' "$1" && grep -qE '(ERROR|RACECHECK) SUMMARY: 0 ' "$1" && grep -qE '^[1-9][0-9]* passed, 0 failed' "$1"; }

cat >"$work/control.cu" <<'CU'
#include <cstdio>
#include <cstring>
__global__ void fine(int *p) { p[threadIdx.x] = 1; }
__global__ void bounds(int *p) { p[threadIdx.x + 1] = 1; }
__global__ void unset(int *p) { p[threadIdx.x] = p[threadIdx.x] > 0; }
__global__ void race(int *p)
{
    __shared__ int s[64];
    s[threadIdx.x] = (int)threadIdx.x;
    p[threadIdx.x] = s[63 - threadIdx.x];       /* the other warp's, without __syncthreads */
}
int main(int, char **argv)
{
    int *p;
    if (cudaMalloc((void **)&p, 64 * sizeof *p) != cudaSuccess) return 1;
    if (strcmp(argv[1], "fine") == 0) fine<<<1, 64>>>(p);
    if (strcmp(argv[1], "bounds") == 0) bounds<<<1, 64>>>(p);
    if (strcmp(argv[1], "unset") == 0) unset<<<1, 64>>>(p);
    if (strcmp(argv[1], "race") == 0) race<<<1, 64>>>(p);
    cudaDeviceSynchronize();
    printf("1 passed, 0 failed\n");
    return 0;
}
CU
tests=(test_cuda test_fast test_decoder)
for name in "${tests[@]}"; do program "$name" & done
compile "$work/control.cu" "$work/control"
wait
for name in "${tests[@]}" control; do [ -x "$work/$name" ] || bad "$name compiles" "$work/$name.build"; done
[ $failed = 0 ] || finish
start memcheck control fine
wait
clean "$work/memcheck-control-fine" || no "compute-sanitizer does not work here: $(grep -m 1 -iE 'error|not supported' "$work/memcheck-control-fine")"
ok "memcheck passes a kernel with nothing wrong"

start memcheck control bounds
start initcheck control unset
start racecheck control race
start racecheck control fine
start initcheck control fine
start memcheck test_cuda small
start initcheck test_cuda small
start racecheck test_cuda kernels
start memcheck test_fast small
start racecheck test_fast small
start memcheck test_decoder small
wait
# control RUN WORDS: the same check must fail, and for the reason that was planted
control() { if ! clean "$work/$1" && grep -q '^status 9,' "$work/$1" && grep -qi "$2" "$work/$1"; then ok "control: $1 is reported"; else bad "control: $1 went unnoticed" "$work/$1"; fi; }
control memcheck-control-bounds 'Invalid __global__ write'
control initcheck-control-unset 'Uninitialized'
control racecheck-control-race 'race reported\|hazard'
for run in "${runs[@]}"; do
    case $run in memcheck-control-*|*-control-unset|*-control-race) continue ;; esac
    if clean "$work/$run"; then ok "$run ($(sed -n 's/^status 0, //p' "$work/$run"))"; else bad "$run" "$work/$run"; fi
done
finish
