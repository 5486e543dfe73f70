#!/usr/bin/env bash
# cpu_decode.sh - the tiny decode: our fp32 reference beside PyTorch's (oneDNN, same threads), alternating in one run
#   tests/bench/cpu_decode.sh [THREADS [REPEATS]]      PYTHON=python3 chooses the interpreter, CFLAGS our compiler flags
set -eu
cd "$(dirname "$0")/../.."
threads=${1:-$(nproc)} repeats=${2:-5} python=${PYTHON:-python3}
checkpoint=assets/tiny/tiny_vae.pth latent=assets/tiny/tiny_latent.safetensors
mkdir -p build
${CC:-gcc} ${CFLAGS:--O2} -fopenmp tests/bench/cpu_decode.c -o build/cpu_decode -lm
echo "tiny decode (latent 48x5x8x12), $threads threads, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
peer=
"$python" -c 'import torch' 2>/dev/null && peer=1 || echo "PyTorch is not installed for $python: no peer, no ratio"
ours() { build/cpu_decode $checkpoint $latent "$threads" "$repeats"; }
theirs() { "$python" tests/oracle/wan22_torch.py bench --checkpoint $checkpoint --latent $latent --variants fp32 --threads "$threads" --iters "$repeats"; }
least() { sed -n 's/.*"least_s": \([0-9.]*\).*/\1/p' | sort -n | head -1; }
log=build/cpu_decode.log
: >$log
for round in 1 2 3; do
    ours | tee -a $log.ours | sed "s/^/$round  /"
    [ -z "$peer" ] || theirs | tee -a $log.theirs | sed "s/^/$round  /"
done
[ -z "$peer" ] || echo "least of each: autoopt.h $(least <$log.ours) s, PyTorch $(least <$log.theirs) s," \
    "PyTorch takes $(echo "$(least <$log.theirs) $(least <$log.ours)" | awk '{ printf "%.2f", $1 / $2 }') times as long"
rm -f $log $log.ours $log.theirs
