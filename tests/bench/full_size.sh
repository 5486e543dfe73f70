#!/usr/bin/env bash
# full_size.sh - one latent frame of 8x8 through the decoder at full width (256), with random weights: agrees with PyTorch to 1e-4,
# peaks below 8 GiB.  Needs torch and numpy, 3 GB of disk, 8 GB of memory, minutes; so it is not part of ./build.sh test.
#   tests/bench/full_size.sh [CHECKPOINT]      default: ./harness make-weights; PYTHON=python3 chooses the interpreter
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3} work=$(mktemp -d build/full_size.XXXXXX)
trap 'rm -rf "$work"' EXIT
checkpoint=${1:-$work/weights.safetensors}
[ $# -gt 0 ] || ./harness make-weights --out "$checkpoint"
${CC:-gcc} -O2 -fopenmp tests/bench/cpu_decode.c -o build/cpu_decode -lm
"$python" - "$work" <<'PY'
import sys, torch
sys.path.insert(0, "tests/oracle")
import wan22_torch as W
torch.manual_seed(7); W.save_safetensors(sys.argv[1] + "/latent.safetensors", {"latent": torch.randn(48, 1, 8, 8)})
PY
build/cpu_decode "$checkpoint" "$work/latent.safetensors" 0 1 "$work/ours.safetensors" | tee "$work/ours.json"
"$python" tests/oracle/wan22_torch.py decode --checkpoint "$checkpoint" --latent "$work/latent.safetensors" --out "$work/theirs.safetensors"
"$python" - "$work" <<'PY'
import json, sys
sys.path.insert(0, "tests/oracle")
import wan22_torch as W
work = sys.argv[1]
ours, theirs = (W.load_safetensors(f"{work}/{name}.safetensors")["decoded"] for name in ("ours", "theirs"))
diff = (ours - theirs).abs().max().item(); peak = json.load(open(work + "/ours.json"))["resident_peak_mib"] / 1024
print(f"max |difference| {diff:.3g} (limit 1e-4), standard deviation of the picture {theirs.std().item():.3f}, peak {peak:.2f} GiB (limit 8, mapped file included)")
sys.exit(not (diff <= 1e-4 and peak < 8))
PY
echo "ok full_size"
