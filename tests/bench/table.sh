#!/usr/bin/env bash
# table.sh - optimize.c's decoder on a GPU beside the peer and three other decoders in PyTorch: same weights, same latent, one table
#   tests/bench/table.sh [shape=31,44,80] [variants=fp32,tf32,bf16,compiled] [repeats=5] [prefix=T] [width=256]
# Needs nvcc, a GPU, python3 with torch and numpy (PYTHON), 4 GB of disk in WORK (a temporary folder if unset).  Random weights.
# The truth is PyTorch in strict fp32, one decode; the library's fp32 decoder is held against it (100 dB) over the first `prefix` latent frames.
# Without a GPU: the PyTorch rows alone, on the CPU (variants=fp32,bf16 shape=3,4,6 width=16).
set -eu -o pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} shape=31,44,80 variants=fp32,tf32,bf16,compiled repeats=5 prefix= width=256
for word in "$@"; do case $word in shape=*|variants=*|repeats=*|prefix=*|width=*) declare "${word%%=*}=${word#*=}" ;; *) sed -n '2,6p' "$0"; exit 2 ;; esac; done
case ,$variants, in *,fp32,*) ;; *) echo "table: fp32 must be among the variants: it is the truth" >&2; exit 2 ;; esac
if [ -z "${WORK:-}" ]; then WORK=$(mktemp -d); trap 'rm -rf "$WORK"' EXIT; fi
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | head -n 1 | tr -d .) || true
[ "$arch" != 90 ] || arch=90a
compiler=
if [ -n "$arch" ]; then     # while PyTorch makes the weights and its first, slow decode
    ${NVCC:-nvcc} -x cu -std=c++17 -DAUTOOPT_CUDA -O3 -gencode=arch=compute_$arch,code=sm_$arch tests/bench/decode_720p.cu -o "$WORK/decode_720p" -lcublas &
    compiler=$!
fi
rm -f "$WORK/rows"
status=0
"$python" tests/bench/table.py measure "$WORK" --shape "$shape" --variants "$variants" --repeats "$repeats" --width "$width"
if [ -n "$compiler" ]; then
    wait $compiler
    "$WORK/decode_720p" ${shape//,/ } "${prefix:-${shape%%,*}}" "$WORK/weights.safetensors" "$WORK/latent.safetensors" "$WORK/truth.safetensors" | tee "$WORK/ours" || status=1
    sed -n 's/^row //p' "$WORK/ours" >>"$WORK/rows"
else
    echo "no GPU: PyTorch alone"
fi
"$python" tests/bench/table.py print "$WORK"
exit $status
