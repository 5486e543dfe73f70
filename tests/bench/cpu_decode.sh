#!/usr/bin/env bash
# cpu_decode.sh - the tiny decode: optimize.c and our fp32 reference beside PyTorch (oneDNN, same threads), alternating in one run
#   tests/bench/cpu_decode.sh [THREADS [REPEATS]]      PYTHON=python3 chooses the interpreter, CFLAGS our compiler flags
set -eu
cd "$(dirname "$0")/../.."
threads=${1:-$(nproc)} repeats=${2:-5} python=${PYTHON:-python3}
checkpoint=assets/tiny/tiny_vae.pth latent=assets/tiny/tiny_latent.safetensors
mkdir -p build
${CC:-gcc} ${CFLAGS:--O2} -fopenmp tests/bench/cpu_decode.c -o build/cpu_decode -lm
${CC:-gcc} ${CFLAGS:--O2} -fopenmp -DOPTIMIZE -I. tests/bench/cpu_decode.c -o build/cpu_optimize -lm
echo "tiny decode (latent 48x5x8x12), $threads threads, $(sed -n 's/^model name[^:]*: //p' /proc/cpuinfo | head -1), load $(cut -d' ' -f1 /proc/loadavg)"
peer=
"$python" -c 'import torch' 2>/dev/null && peer=1 || echo "PyTorch is not installed for $python: no peer, no ratio"
ours() { build/cpu_decode $checkpoint $latent "$threads" "$repeats"; }
optimized() { build/cpu_optimize $checkpoint $latent "$threads" "$repeats"; }
theirs() { "$python" tests/oracle/wan22_torch.py bench --checkpoint $checkpoint --latent $latent --variants fp32 --threads "$threads" --iters "$repeats"; }
least() { sed -n 's/.*"least_s": \([0-9.]*\).*/\1/p' | sort -n | head -1; }
log=build/cpu_decode.log
: >$log
for round in 1 2 3; do
    ours | tee -a $log.ours | sed "s/^/$round  /"
    optimized | tee -a $log.optimized | sed "s/^/$round  /"
    [ -z "$peer" ] || theirs | tee -a $log.theirs | sed "s/^/$round  /"
done
echo "least of each: optimize.c $(least <$log.optimized) s, autoopt.h $(least <$log.ours) s${peer:+, PyTorch $(least <$log.theirs) s}"
[ -z "$peer" ] || echo "PyTorch takes $(echo "$(least <$log.theirs) $(least <$log.optimized) $(least <$log.ours)" | awk '{ printf "%.1f times as long as optimize.c, %.1f times as long as autoopt.h", $1 / $2, $1 / $3 }')"
rm -f $log $log.ours $log.optimized $log.theirs

# Processor time does not depend on what else the machine does.  Runs of 1 and of 1 + repeats decodes, so that start and loading cancel.
processor() {
    local one many
    TIMEFORMAT='%U %S'
    one=$({ time "$@" 1 >/dev/null 2>&1; } 2>&1)
    many=$({ time "$@" $((1 + repeats)) >/dev/null 2>&1; } 2>&1)
    echo "$one $many" | awk -v n="$repeats" '{ printf "%.2f", ($3 + $4 - $1 - $2) / n }'
}
ours=$(processor build/cpu_decode $checkpoint $latent 1)
echo "processor seconds per decode, one thread: autoopt.h $ours"
if [ -n "$peer" ]; then
    theirs=$(processor "$python" tests/oracle/wan22_torch.py bench --checkpoint $checkpoint --latent $latent --variants fp32 --threads 1 --iters)
    echo "processor seconds per decode, one thread: PyTorch $theirs, $(echo "$theirs $ours" | awk '{ printf "%.1f", $1 / $2 }') times as much"
fi
