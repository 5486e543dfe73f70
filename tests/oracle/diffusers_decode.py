"""A video of ours against diffusers' AutoencoderKLWan: a decoder that nobody here wrote.

Needs torch, numpy and diffusers (0.35 or later).  Exit status 0: at least --min-db; 1: less, or a tensor that diffusers has no place for.

  python3 diffusers_decode.py --checkpoint F.pth|F.safetensors --latent L.safetensors [--video V] [--out O.safetensors] [--min-db 100]
      strict fp32 decode of tensor `latent` [48][T][h][w] (normalised), against
      V: .safetensors with `decoded` [3][F][16h][16w] (./harness decode), or what ./harness make-reference wrote
"""
import argparse, math, sys, time
import torch
import wan22_torch as W
from diffusers import AutoencoderKLWan

BLOCK = {"residual.0": "norm1", "residual.2": "conv1", "residual.3": "norm2", "residual.6": "conv2", "shortcut": "conv_shortcut"}
MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}


def renamed(key):
    """Official name -> diffusers' name, of a decoder tensor."""
    name, leaf = key.rsplit(".", 1); p = name.split(".")
    layer = lambda q: BLOCK.get(".".join(q), ".".join(q))
    if p == ["conv2"]: new = "post_quant_conv"
    elif p[1] == "conv1": new = "decoder.conv_in"
    elif p[1] == "head": new = "decoder." + {"0": "norm_out", "2": "conv_out"}[p[2]]
    elif p[1] == "middle": new = f"decoder.mid_block.{MIDDLE[p[2]]}.{layer(p[3:])}"
    else: new = f"decoder.up_blocks.{p[2]}." + (f"resnets.{p[4]}." if p[4] < "3" else "upsampler.") + layer(p[5:])
    return f"{new}.{leaf}"


def build(sd, device):
    """AutoencoderKLWan in Wan 2.2's configuration at the widths of sd, its decoder alone.  Every tensor of the decoder must be there, and no other."""
    widths = [sd[f"decoder.upsamples.{i}.upsamples.0.residual.2.weight"].shape[0] for i in range(4)]
    base = math.gcd(*widths)
    with torch.device("meta"):
        vae = AutoencoderKLWan(base_dim=16, decoder_base_dim=base, z_dim=48, dim_mult=[w // base for w in widths[::-1]], num_res_blocks=2,
                               temperal_downsample=[False, True, True], is_residual=True, in_channels=12, out_channels=12, patch_size=2,
                               scale_factor_spatial=16, scale_factor_temporal=4)
    vae.encoder = vae.quant_conv = torch.nn.Identity()
    vae.load_state_dict({renamed(k): v.to(device, torch.float32) for k, v in sd.items() if k.startswith(("decoder.", "conv2."))}, strict=True, assign=True)
    return vae.eval()


def decode(vae, latent, device):
    """The latent's normalisation is the pipeline's business, not the model's."""
    mean, std = (torch.tensor(v, device=device).view(1, -1, 1, 1, 1) for v in (W.MEAN, W.STD))
    return vae.decode(latent[None].to(device).float() * std + mean).sample[0]


def video(path, shape):
    """A video file; make-reference's is 64 hexadecimal digits, a newline, and the numbers."""
    if path.endswith(".safetensors"): t = W.load_safetensors(path); t = t["decoded"] if "decoded" in t else next(iter(t.values()))
    else:
        import numpy as np
        t = torch.from_numpy(np.fromfile(path, dtype="<f4", offset=65))
        if t.numel() == math.prod(shape): t = t.reshape(shape)
    if tuple(t.shape) != tuple(shape): sys.exit(f"{path}: {tuple(t.shape)}, expected {tuple(shape)}")
    return t


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--checkpoint", required=True); ap.add_argument("--latent", required=True); ap.add_argument("--video"); ap.add_argument("--out")
    ap.add_argument("--min-db", type=float, default=100); ap.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    a = ap.parse_args(); W.strict()
    with torch.no_grad():
        try: vae = build(W.load(a.checkpoint), a.device)
        except (KeyError, RuntimeError) as e: sys.exit(f"{a.checkpoint}: {e}")
        z = W.load(a.latent)["latent"]; decode(vae, z[:, :1], a.device)
        if a.device == "cuda": torch.cuda.synchronize()
        start = time.perf_counter(); theirs = decode(vae, z, a.device).cpu(); seconds = time.perf_counter() - start
        if a.out: W.save_safetensors(a.out, {"decoded": theirs})
        if not a.video: sys.exit(0)
        r = W.agreement(video(a.video, theirs.shape), theirs); ok = r["psnr_db"] >= a.min_db
        print(f"{'ok' if ok else 'FAIL'}: {r['psnr_db']:.2f} dB (limit {a.min_db:g}), worst frame {r['worst_frame_db']:.2f} dB ({r['worst_frame']}), max |difference| {r['max_abs']:.3g}, "
              f"standard deviation of the picture {theirs.std().item():.3f}; {theirs.shape[1]} frames in {seconds:.2f} s by diffusers on {a.device}")
        sys.exit(not ok)
