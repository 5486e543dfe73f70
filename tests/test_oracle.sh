#!/usr/bin/env bash
# test_oracle.sh - ./harness decode against two decoders in PyTorch: wan22_torch.py, and diffusers' AutoencoderKLWan, which nobody here wrote
set -u
. tests/check.sh
harness=${HARNESS:-./harness} python=${PYTHON:-python3}
work=build/tmp/oracle
rm -rf $work
mkdir -p $work
latent=assets/nano/nano_latent.safetensors

decode() { expect 0 "^decoded " $harness decode --checkpoint "$1" --latent "$2" --out "$3"; }
# diffusers STATUS PATTERN CHECKPOINT LATENT VIDEO
diffusers() { expect "$1" "$2" "$python" tests/oracle/diffusers_decode.py --checkpoint "$3" --latent "$4" --video "$5" --min-db 110; }

plain() {
    "$python" tests/oracle/wan22_torch.py decode --checkpoint assets/nano/nano_vae.pth --latent $latent --out $work/plain.safetensors &&
        expect 0 "^psnr_db +1[1-9][0-9]\." $harness compare $work/plain.safetensors $work/nano.safetensors
}
nano() { diffusers 0 "^ok: 1[1-9][0-9]\." assets/nano/nano_vae.pth $latent $work/nano.safetensors; }
tiny() {
    decode assets/tiny/tiny_vae.pth assets/tiny/tiny_latent.safetensors $work/tiny.safetensors &&
        diffusers 0 "^ok: 1[1-9][0-9]\." assets/tiny/tiny_vae.pth assets/tiny/tiny_latent.safetensors $work/tiny.safetensors
}
odd() {
    $harness make-weights --out $work/odd.safetensors --decoder-width 7 --encoder-width 4 >/dev/null && decode $work/odd.safetensors $latent $work/odd_video.safetensors &&
        diffusers 0 "^ok: 1[1-9][0-9]\." $work/odd.safetensors $latent $work/odd_video.safetensors
}
reference_file() {
    "$python" - $work <<'PY' && diffusers 0 "^ok: 1[1-9][0-9]\." assets/nano/nano_vae.pth $latent $work/reference
import struct, sys
raw = open(sys.argv[1] + "/nano.safetensors", "rb").read(); n, = struct.unpack("<Q", raw[:8])
open(sys.argv[1] + "/reference", "wb").write(b"0" * 64 + b"\n" + raw[8 + n:])
PY
}

# nano's weights and its latent, each with one thing wrong
spoilt() {
    "$python" - $work <<'PY'
import sys; sys.path.insert(0, "tests/oracle")
import wan22_torch as W
sd = W.load("assets/nano/nano_vae.pth"); a, b = (f"decoder.upsamples.1.upsamples.{j}.residual.2.weight" for j in (1, 2))
one = sd[a].clone(); one.view(-1)[13] += 0.01
save = lambda name, tensors: W.save_safetensors(f"{sys.argv[1]}/{name}.safetensors", tensors)
save("swapped", {**sd, a: sd[b], b: sd[a]}); save("one_value", {**sd, a: one}); save("missing", {k: v for k, v in sd.items() if k != a})
save("surplus", {**sd, "decoder.upsamples.1.upsamples.2.shortcut.weight": one})
z = W.load("assets/nano/nano_latent.safetensors")["latent"]; z[5] += 0.001; save("latent", {"latent": z})
PY
}
control() { diffusers 1 "$2" $work/"$1".safetensors $latent $work/nano.safetensors; }
control_latent() { diffusers 1 "^FAIL: " assets/nano/nano_vae.pth $work/latent.safetensors $work/nano.safetensors; }

# table.sh without a GPU: the PyTorch half alone
table() { PYTHON=$python expect 0 "^\| bf16 eager channels-last \| [0-9.]+ \| [0-9.]+ \| 2 \|  \| [45][0-9]\." bash tests/bench/table.sh shape=2,3,4 width=16 variants=bf16,fp32 repeats=2; }

check decode decode assets/nano/nano_vae.pth $latent $work/nano.safetensors
if "$python" -c 'import torch, numpy' 2>/dev/null; then
    check plain-pytorch plain
    if command -v nvidia-smi >/dev/null; then skip table "there is a GPU: run tests/bench/table.sh"; else check table table; fi
else
    skip plain-pytorch "$python has no torch and numpy (PYTHON chooses the interpreter)"
fi
if "$python" -c 'import torch, numpy; from diffusers import AutoencoderKLWan' 2>/dev/null; then
    check diffusers-nano nano
    check diffusers-tiny tiny
    check diffusers-odd-widths odd
    check diffusers-reference-file reference_file
    check spoilt spoilt
    check control-swapped-tensors control swapped "^FAIL: "
    check control-one-value control one_value "^FAIL: "
    check control-missing-tensor control missing "Missing key"
    check control-surplus-tensor control surplus "Unexpected key"
    check control-latent control_latent
else
    skip diffusers "$python has no torch, numpy and diffusers 0.35 (PYTHON chooses the interpreter)"
fi
report
