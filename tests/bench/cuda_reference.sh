#!/usr/bin/env bash
# cuda_reference.sh - the fp32 decoder and encoder on a GPU against plain PyTorch in strict fp32, on random full-size weights.
# Needs nvcc, a GPU, python3 with torch (PYTHON), 8 GB of disk in WORK (a temporary folder if unset; kept files are used again).
#   tests/bench/cuda_reference.sh [decode=31,44,80] [encode=9,30,52]     latent sizes; encode=- leaves the encoder out
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} decode=31,44,80 encode=9,30,52
for word in "$@"; do case $word in decode=*|encode=*) declare "${word%%=*}=${word#*=}" ;; *) sed -n '2,4p' "$0"; exit 2 ;; esac; done
if [ -z "${WORK:-}" ]; then WORK=$(mktemp -d); trap 'rm -rf "$WORK"' EXIT; fi
oracle="$python tests/oracle/wan22_torch.py"
arch=$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader | head -n 1 | tr -d .)
[ "$arch" != 90 ] || arch=90a
${NVCC:-nvcc} -x cu -std=c++17 -DAUTOOPT_CUDA -O3 -gencode=arch=compute_$arch,code=sm_$arch -Xcompiler=-fopenmp tests/bench/cuda_reference.cu -o "$WORK/cuda_reference" -lcublas -lgomp
[ -s "$WORK/weights.pth" ] || $oracle weights --out "$WORK/weights.pth"
$python - "$WORK" "$decode" "$encode" <<'PY'
import sys; sys.path.insert(0, "tests/oracle")
import torch, wan22_torch as o
work, decode, encode = sys.argv[1:]
torch.manual_seed(5)
T, h, w = map(int, decode.split(","))
o.save_safetensors(f"{work}/latent.safetensors", {"latent": torch.randn(48, T, h, w)})
if encode != "-":
    T, h, w = map(int, encode.split(","))
    coarse = torch.rand(1, 3, T, 2 * h, 2 * w) * 2 - 1
    o.save_safetensors(f"{work}/clip.safetensors", {"clip": torch.nn.functional.interpolate(coarse, size=(4 * T - 3, 16 * h, 16 * w), mode="trilinear")[0]})
PY
status=0
$oracle decode --checkpoint "$WORK/weights.pth" --latent "$WORK/latent.safetensors" --out "$WORK/decoded.safetensors"
"$WORK/cuda_reference" decode "$WORK/weights.pth" "$WORK/latent.safetensors" "$WORK/decoded.safetensors" fp32 || status=1
"$WORK/cuda_reference" decode "$WORK/weights.pth" "$WORK/latent.safetensors" "$WORK/decoded.safetensors" tf32 || status=1
if [ "$encode" != - ]; then
    $oracle encode --checkpoint "$WORK/weights.pth" --clip "$WORK/clip.safetensors" --out "$WORK/encoded.safetensors"
    "$WORK/cuda_reference" encode "$WORK/weights.pth" "$WORK/clip.safetensors" "$WORK/encoded.safetensors" fp32 || status=1
fi
exit $status
