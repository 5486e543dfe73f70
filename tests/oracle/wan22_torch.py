"""The Wan 2.2 VAE in plain PyTorch: an independent oracle, and a peer to be measured against, in one file.

Written from the published network (names and conventions follow Wan-Video/Wan2.2, wan/modules/vae2_2.py); agrees with the
official code to 1e-5 in strict fp32.  Needs only torch (and numpy for .safetensors).

  python3 wan22_torch.py decode --checkpoint F.pth|F.safetensors --latent L.safetensors --out O.safetensors
      strict fp32 decode of tensor `latent` [48][T][h][w] (normalised) -> `decoded` [3][F][16h][16w] in [-1,1]
  python3 wan22_torch.py encode --checkpoint F --clip C.safetensors --out O.safetensors
      strict fp32 encode of tensor `clip` [3][F][H][W] in [-1,1], or `clip_u8` [F][H][W][3] -> `latent` [48][T][h][w] (normalised)
  python3 wan22_torch.py bench  [--checkpoint F --latent L | --shape 31,44,80] [--variants fp32,fp32cl,tf32,bf16,compiled] [--iters N] [--seconds S] [--threads N]
      one JSON line per variant: median and least seconds of N whole decodes, fewer once S are over; PSNR against strict fp32
  python3 wan22_torch.py weights --out F.pth [--dec 256] [--seed 1] [--enc 160]
      a random full-size (or other) checkpoint, torch.save layout; --enc 0 leaves the encoder out

`compiled` is the strongest plain-PyTorch recipe: explicit per-layer caches (no host bookkeeping in the graph), channels-last,
bf16, torch.compile, one CUDA graph over the whole decode.
"""
import argparse, gc, json, math, statistics as st, struct, time
import torch, torch.nn.functional as F

MEAN = [-0.2289, -0.0052, -0.1323, -0.2339, -0.2799, 0.0174, 0.1838, 0.1557, -0.1382, 0.0542, 0.2813, 0.0891, 0.1570, -0.0098, 0.0375, -0.1825,
        -0.2246, -0.1207, -0.0698, 0.5109, 0.2665, -0.2108, -0.2158, 0.2502, -0.2055, -0.0322, 0.1109, 0.1567, -0.0729, 0.0899, -0.2799, -0.1230,
        -0.0313, -0.1649, 0.0117, 0.0723, -0.2839, -0.2083, -0.0520, 0.3748, 0.0152, 0.1957, 0.1433, -0.2944, 0.3573, -0.0548, -0.1681, -0.0667]
STD = [0.4765, 1.0364, 0.4514, 1.1677, 0.5313, 0.4990, 0.4818, 0.5013, 0.8158, 1.0344, 0.5894, 1.0901, 0.6885, 0.6165, 0.8454, 0.4978,
       0.5759, 0.3523, 0.7135, 0.6804, 0.5833, 1.4146, 0.8986, 0.5659, 0.7069, 0.5338, 0.4889, 0.4917, 0.4069, 0.4999, 0.6866, 0.4093,
       0.5709, 0.6065, 0.6415, 0.4944, 0.5726, 1.2042, 0.5458, 1.6887, 0.3971, 1.0600, 0.3943, 0.5537, 0.5444, 0.4089, 0.7468, 0.7744]
UP3D = [True, True, False]                   # which upsampling stages double time
DOWN3D = [False, True, True]                 # which downsampling stages halve it


def decoder_shapes(dec=256, z=48):
    """Names and shapes of the decoder's tensors, in the official naming."""
    d = [4 * dec, 4 * dec, 4 * dec, 2 * dec, dec]; s = {}
    def conv(p, o, i, *k): s[p + ".weight"] = (o, i) + k; s[p + ".bias"] = (o,)
    def norm(p, c, nd=3): s[p + ".gamma"] = (c,) + (1,) * nd
    def res(p, i, o):
        norm(p + ".residual.0", i); conv(p + ".residual.2", o, i, 3, 3, 3); norm(p + ".residual.3", o); conv(p + ".residual.6", o, o, 3, 3, 3)
        if i != o: conv(p + ".shortcut", o, i, 1, 1, 1)
    conv("conv2", z, z, 1, 1, 1); conv("decoder.conv1", d[0], z, 3, 3, 3)
    res("decoder.middle.0", d[0], d[0]); norm("decoder.middle.1.norm", d[0], 2)
    conv("decoder.middle.1.to_qkv", 3 * d[0], d[0], 1, 1); conv("decoder.middle.1.proj", d[0], d[0], 1, 1); res("decoder.middle.2", d[0], d[0])
    for i in range(4):
        for j in range(3): res(f"decoder.upsamples.{i}.upsamples.{j}", d[i] if j == 0 else d[i + 1], d[i + 1])
        if i < 3:
            p = f"decoder.upsamples.{i}.upsamples.3"; conv(p + ".resample.1", d[i + 1], d[i + 1], 3, 3)
            if UP3D[i]: conv(p + ".time_conv", 2 * d[i + 1], d[i + 1], 3, 1, 1)
    norm("decoder.head.0", dec); conv("decoder.head.2", 12, dec, 3, 3, 3)
    return s


def encoder_shapes(enc=160, z=48):
    d = [enc, enc, 2 * enc, 4 * enc, 4 * enc]; s = {}
    def conv(p, o, i, *k): s[p + ".weight"] = (o, i) + k; s[p + ".bias"] = (o,)
    def norm(p, c, nd=3): s[p + ".gamma"] = (c,) + (1,) * nd
    def res(p, i, o):
        norm(p + ".residual.0", i); conv(p + ".residual.2", o, i, 3, 3, 3); norm(p + ".residual.3", o); conv(p + ".residual.6", o, o, 3, 3, 3)
        if i != o: conv(p + ".shortcut", o, i, 1, 1, 1)
    conv("encoder.conv1", d[0], 12, 3, 3, 3)
    for i in range(4):
        for j in range(2): res(f"encoder.downsamples.{i}.downsamples.{j}", d[i] if j == 0 else d[i + 1], d[i + 1])
        if i < 3:
            p = f"encoder.downsamples.{i}.downsamples.2"; conv(p + ".resample.1", d[i + 1], d[i + 1], 3, 3)
            if DOWN3D[i]: conv(p + ".time_conv", d[i + 1], d[i + 1], 3, 1, 1)
    res("encoder.middle.0", d[4], d[4]); norm("encoder.middle.1.norm", d[4], 2)
    conv("encoder.middle.1.to_qkv", 3 * d[4], d[4], 1, 1); conv("encoder.middle.1.proj", d[4], d[4], 1, 1); res("encoder.middle.2", d[4], d[4])
    norm("encoder.head.0", d[4]); conv("encoder.head.2", 2 * z, d[4], 3, 3, 3); conv("conv1", 2 * z, 2 * z, 1, 1, 1)
    return s


def random_weights(dec=256, seed=1, enc=0):
    g = torch.Generator().manual_seed(seed); sd = {}
    for k, s in {**decoder_shapes(dec), **(encoder_shapes(enc) if enc else {})}.items():
        if k.endswith("gamma"): sd[k] = 0.7 + 0.6 * torch.rand(s, generator=g)
        elif k.endswith("weight"):
            b = 1 / math.sqrt(math.prod(s[1:]))
            sd[k] = torch.randn(s, generator=g) * b if "proj" in k else (2 * torch.rand(s, generator=g) - 1) * b; last = b
        else: sd[k] = (2 * torch.rand(s, generator=g) - 1) * last
    return sd


class Network:
    """What encoder and decoder share.  The caches are explicit values: c are those of the last chunk, nc those for the next."""
    parts = ()
    def __init__(s, sd, dtype, device, channels_last):
        s.dev = device; s.cl = channels_last; s.sd = {}
        for k, v in sd.items():
            if not k.startswith(s.parts): continue
            v = v.to(device, dtype)
            if channels_last and v.dim() == 5: v = v.contiguous(memory_format=torch.channels_last_3d)
            if channels_last and v.dim() == 4 and v.shape[-1] == 3: v = v.contiguous(memory_format=torch.channels_last)
            s.sd[k] = v

    def fmt(s, x): return x.contiguous(memory_format=torch.channels_last_3d) if s.cl else x.contiguous()

    def zeros(s, x): return s.fmt(torch.zeros((1, x.shape[1], 2) + tuple(x.shape[3:]), device=x.device, dtype=x.dtype))

    def conv(s, p, x, c, nc):
        w, b = s.sd[p + ".weight"], s.sd[p + ".bias"]
        if w.shape[2] == 1: return F.conv3d(x, w, b)
        x = torch.cat([c.pop(0) if c is not None else s.zeros(x), x], 2)
        nc.append(s.fmt(x[:, :, -2:]))
        return F.conv3d(x, w, b, padding=(0, w.shape[3] // 2, w.shape[4] // 2))

    def norm(s, p, x): return F.normalize(x, dim=1) * (x.shape[1] ** 0.5) * s.sd[p + ".gamma"]

    def res(s, p, x, c, nc):
        h = s.conv(p + ".shortcut", x, c, nc) if p + ".shortcut.weight" in s.sd else x
        x = s.conv(p + ".residual.2", F.silu(s.norm(p + ".residual.0", x)), c, nc)
        return s.conv(p + ".residual.6", F.silu(s.norm(p + ".residual.3", x)), c, nc) + h

    def attn(s, p, x):
        b, ch, t, h, w = x.shape
        y = s.norm(p + ".norm", x.permute(0, 2, 1, 3, 4).reshape(b * t, ch, h, w))
        q, k, v = F.conv2d(y, s.sd[p + ".to_qkv.weight"], s.sd[p + ".to_qkv.bias"]).reshape(b * t, 1, ch * 3, -1).permute(0, 1, 3, 2).contiguous().chunk(3, -1)
        y = F.scaled_dot_product_attention(q, k, v).squeeze(1).permute(0, 2, 1).reshape(b * t, ch, h, w)
        y = F.conv2d(y, s.sd[p + ".proj.weight"], s.sd[p + ".proj.bias"])
        return y.reshape(b, t, ch, h, w).permute(0, 2, 1, 3, 4) + x


class Decoder(Network):
    """One chunk (= one latent frame) at a time."""
    parts = ("decoder.", "conv2.")

    def __init__(s, *a):
        super().__init__(*a); s.dims = [s.sd[f"decoder.upsamples.{i}.upsamples.2.residual.6.weight"].shape[0] for i in range(4)]

    def dup(s, x, out_ch, ft, first):
        b, ch, t, h, w = x.shape
        x = x.repeat_interleave(out_ch * ft * 4 // ch, dim=1).view(b, out_ch, ft, 2, 2, t, h, w)
        x = x.permute(0, 1, 5, 2, 6, 3, 7, 4).reshape(b, out_ch, t * ft, h * 2, w * 2)
        return x[:, :, ft - 1:] if first else x

    def chunk(s, x, caches, first):
        c = list(caches) if caches is not None else None; nc = []
        x = s.conv("decoder.conv1", x, c, nc)
        x = s.res("decoder.middle.0", x, c, nc); x = s.attn("decoder.middle.1", x); x = s.res("decoder.middle.2", x, c, nc)
        for i in range(4):
            short = x
            for j in range(3): x = s.res(f"decoder.upsamples.{i}.upsamples.{j}", x, c, nc)
            if i < 3:
                p = f"decoder.upsamples.{i}.upsamples.3"
                if UP3D[i] and first: nc.append(s.zeros(x))
                elif UP3D[i]:
                    b, ch, t, h, w = x.shape
                    x = s.conv(p + ".time_conv", x, c, nc).reshape(b, 2, ch, t, h, w).permute(0, 2, 3, 1, 4, 5).reshape(b, ch, 2 * t, h, w)
                b, ch, t, h, w = x.shape
                y = F.interpolate(x.permute(0, 2, 1, 3, 4).reshape(b * t, ch, h, w), scale_factor=2.0, mode="nearest-exact")
                y = F.conv2d(y, s.sd[p + ".resample.1.weight"], s.sd[p + ".resample.1.bias"], padding=1)
                x = y.reshape(b, t, ch, 2 * h, 2 * w).permute(0, 2, 1, 3, 4) + s.dup(short, s.dims[i], 2 if UP3D[i] else 1, first)
        x = s.conv("decoder.head.2", F.silu(s.norm("decoder.head.0", x)), c, nc)
        b, ch, t, h, w = x.shape
        x = x.view(b, 3, 2, 2, t, h, w).permute(0, 1, 4, 5, 3, 6, 2).reshape(b, 3, t, 2 * h, 2 * w)
        return x.clamp(-1, 1), nc

    def enter(s, z):
        """Undo the latent normalisation and apply conv2."""
        v = lambda l: torch.tensor(l, device=s.dev, dtype=torch.float32).view(1, -1, 1, 1, 1)
        z = (z.float() * v(STD) + v(MEAN)).to(s.sd["conv2.weight"].dtype)
        return s.fmt(F.conv3d(z, s.sd["conv2.weight"], s.sd["conv2.bias"]))

    def decode(s, z, step=None, first=None):
        step = step or (lambda x, c: s.chunk(x, c, False)); first = first or (lambda x: s.chunk(x, None, True))
        z = s.enter(z); T = z.shape[2]
        out = torch.empty(1, 3, 4 * T - 3, 16 * z.shape[3], 16 * z.shape[4], device=s.dev, dtype=z.dtype)
        o, c = first(z[:, :, :1]); out[:, :, :1] = o
        for i in range(1, T): o, c = step(z[:, :, i:i + 1], c); out[:, :, 4 * i - 3:4 * i + 1] = o
        return out


class Encoder(Network):
    """Chunks of 1, 4, 4, ... video frames, a latent frame from each."""
    parts = ("encoder.", "conv1.")

    def avg(s, x, out_ch, ft, fs):
        b, ch, t, h, w = x.shape; x = F.pad(x, (0, 0, 0, 0, -t % ft, 0)); t = x.shape[2]
        x = x.reshape(b, ch, t // ft, ft, h // fs, fs, w // fs, fs).permute(0, 1, 3, 5, 7, 2, 4, 6)
        return x.reshape(b, out_ch, ch * ft * fs * fs // out_ch, t // ft, h // fs, w // fs).mean(2)

    def chunk(s, x, caches):
        c = list(caches) if caches is not None else None; nc = []
        x = s.conv("encoder.conv1", x, c, nc)
        for i in range(4):
            short = x
            for j in range(2): x = s.res(f"encoder.downsamples.{i}.downsamples.{j}", x, c, nc)
            if i < 3:
                p = f"encoder.downsamples.{i}.downsamples.2"; b, ch, t, h, w = x.shape
                y = F.pad(x.permute(0, 2, 1, 3, 4).reshape(b * t, ch, h, w), (0, 1, 0, 1))
                y = F.conv2d(y, s.sd[p + ".resample.1.weight"], s.sd[p + ".resample.1.bias"], stride=2)
                x = y.reshape(b, t, ch, h // 2, w // 2).permute(0, 2, 1, 3, 4)
                if DOWN3D[i]:
                    last = c.pop(0) if c is not None else None; nc.append(x[:, :, -1:])
                    if last is not None: x = F.conv3d(torch.cat([last, x], 2), s.sd[p + ".time_conv.weight"], s.sd[p + ".time_conv.bias"], stride=(2, 1, 1))
            x = x + s.avg(short, x.shape[1], 2 if i < 3 and DOWN3D[i] else 1, 2 if i < 3 else 1)
        x = s.res("encoder.middle.0", x, c, nc); x = s.attn("encoder.middle.1", x); x = s.res("encoder.middle.2", x, c, nc)
        return s.conv("encoder.head.2", F.silu(s.norm("encoder.head.0", x)), c, nc), nc

    def encode(s, clip):
        b, ch, f, h, w = clip.shape
        x = clip.reshape(b, ch, f, h // 2, 2, w // 2, 2).permute(0, 1, 6, 4, 2, 3, 5).reshape(b, 4 * ch, f, h // 2, w // 2)
        out = []; o, c = s.chunk(x[:, :, :1], None); out.append(o)
        for i in range(1, f, 4): o, c = s.chunk(x[:, :, i:i + 4], c); out.append(o)
        mu = F.conv3d(torch.cat(out, 2), s.sd["conv1.weight"], s.sd["conv1.bias"])[:, :48]
        v = lambda l: torch.tensor(l, device=s.dev, dtype=torch.float32).view(1, -1, 1, 1, 1)
        return (mu - v(MEAN)) / v(STD)


def agreement(x, ref):
    """x against ref, [..][3][F][H][W] in [-1,1], frame by frame on x's device: PSNR of all, of the worst frame, which that is, largest difference."""
    frames, worst = [], 0.0; db = lambda mse: 10 * math.log10(4 / mse) if mse > 0 else math.inf if mse == 0 else math.nan
    for f in range(ref.shape[-3]):
        d = x[..., f, :, :].double() - ref[..., f, :, :].to(x.device).double(); frames.append(d.pow(2).mean().item()); worst = max(worst, d.abs().max().item())
    least = max(range(len(frames)), key=lambda f: frames[f] if frames[f] == frames[f] else math.inf)
    return dict(psnr_db=round(db(sum(frames) / len(frames)), 2), worst_frame_db=round(db(frames[least]), 2), worst_frame=least, max_abs=float(f"{worst:.3g}"))


def load_safetensors(path):
    import numpy as np
    with open(path, "rb") as f: raw = f.read()
    n, = struct.unpack("<Q", raw[:8]); hdr = json.loads(raw[8:8 + n]); out = {}
    for k, e in hdr.items():
        if k == "__metadata__": continue
        a, b = e["data_offsets"]; buf = np.frombuffer(raw, dtype={"F32": "<f4", "F16": "<f2", "BF16": "<u2", "U8": "u1"}[e["dtype"]], count=(b - a) // {"F32": 4, "F16": 2, "BF16": 2, "U8": 1}[e["dtype"]], offset=8 + n + a)
        t = torch.from_numpy(buf.astype("<i2") if e["dtype"] == "BF16" else buf.copy())
        out[k] = (t.view(torch.bfloat16) if e["dtype"] == "BF16" else t).reshape(e["shape"])
    return out


def save_safetensors(path, tensors):
    hdr, blobs, off = {}, [], 0
    for k, t in tensors.items():
        b = t.detach().cpu().float().contiguous().numpy(); hdr[k] = {"dtype": "F32", "shape": list(t.shape), "data_offsets": [off, off + b.nbytes]}
        blobs.append(b); off += b.nbytes
    j = json.dumps(hdr).encode(); j += b" " * (-len(j) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(j)) + j)
        for b in blobs: b.tofile(f)


def load(path): return load_safetensors(path) if path.endswith(".safetensors") else torch.load(path, map_location="cpu", weights_only=True)


def strict():
    torch.backends.cudnn.allow_tf32 = False; torch.backends.cuda.matmul.allow_tf32 = False


NAMES = dict(fp32="strict fp32 eager", fp32cl="fp32 eager channels-last", tf32="fp32 eager, tf32 convolutions", bf16="bf16 eager channels-last", fp16="fp16 eager channels-last",
             compiled="torch.compile bf16 + CUDA graph (the recipe to beat)", compiled16="torch.compile fp16 + CUDA graph")


def record(d, z):
    """The whole decode compiled and in one CUDA graph: a function that replays it.  Five chunks of this very tensor are every stride there is;
    a stride that changed later would be compiled once more, and as a variable."""
    first = torch.compile(lambda x: d.chunk(x, None, True), fullgraph=True, dynamic=False); step = torch.compile(lambda x, c: d.chunk(x, c, False), fullgraph=True, dynamic=False)
    zz = d.enter(z); T = zz.shape[2]; out = torch.empty(1, 3, 4 * T - 3, 16 * zz.shape[3], 16 * zz.shape[4], device=z.device, dtype=zz.dtype)
    def run(T):
        o, c = first(zz[:, :, :1]); out[:, :, :1] = o
        for i in range(1, T): o, c = step(zz[:, :, i:i + 1], c); out[:, :, 4 * i - 3:4 * i + 1] = o
    run(min(T, 5)); torch.cuda.synchronize(); side = torch.cuda.Stream(); side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side): run(min(T, 5))
    torch.cuda.current_stream().wait_stream(side); g = torch.cuda.CUDAGraph()
    with torch.cuda.graph(g): run(T)
    def replay(): g.replay(); return out
    return replay


def measure(sd, z, variants, iters, seconds=math.inf, ref=None):
    """A row of figures and the video, for each variant in turn.  Warmed up by three latent frames, then by one whole decode, which is the figure
    itself if nothing comes after it: iters more, until `seconds` have passed.  fp32 is the reference of those after it, unless there is one.
    peak_gib: tensors; device_gib: all that the process holds afterwards.  Let go of the video before the next, or it counts there."""
    dev = z.device.type; sync = torch.cuda.synchronize if dev == "cuda" else (lambda: None)
    for v in variants:
        strict(); torch.backends.cudnn.benchmark = v != "fp32"; torch.backends.cudnn.allow_tf32 = v not in ("fp32", "fp32cl")
        begin = time.perf_counter()
        if dev == "cuda": gc.collect(); torch.cuda.empty_cache(); torch.cuda.reset_peak_memory_stats()
        dtype = torch.float32 if v in ("fp32", "fp32cl", "tf32") else torch.float16 if v in ("fp16", "compiled16") else torch.bfloat16
        d = Decoder(sd, dtype, dev, v not in ("fp32", "tf32"))
        if v.startswith("compiled"): fn = record(d, z)
        else: d.decode(z[:, :, :3]); fn = lambda: d.decode(z)
        sync(); ready = time.perf_counter() - begin; ts = []
        for _ in range(iters + 1):
            t = time.perf_counter(); o = fn(); sync(); ts.append(time.perf_counter() - t)
            if sum(ts) > seconds: break
        ts = ts[1:] or ts
        r = dict(variant=NAMES[v], median_s=round(st.median(ts), 4), least_s=round(min(ts), 4), n=len(ts), ready_s=round(ready, 1))
        if dev == "cuda":
            free, total = torch.cuda.mem_get_info()
            r.update(peak_gib=round(torch.cuda.max_memory_allocated() / 2**30, 1), device_gib=round((total - free) / 2**30, 1))
        if ref is not None: r.update(agreement(o, ref))
        elif v == "fp32": ref = o.cpu()
        yield v, r, o
        del d, fn, o


def bench(a):
    if a.threads: torch.set_num_threads(a.threads)
    dev = "cuda" if torch.cuda.is_available() else "cpu"; T, H, W = map(int, a.shape.split(","))
    sd = load(a.checkpoint) if a.checkpoint else random_weights(a.dec); torch.manual_seed(5)
    z = load(a.latent)["latent"][None].to(dev).float() if a.latent else torch.randn(1, 48, T, H, W, device=dev)
    print(json.dumps(dict(torch=torch.__version__, device=torch.cuda.get_device_name() if dev == "cuda" else f"cpu x{torch.get_num_threads()}")), flush=True)
    for _, r, video in measure(sd, z, a.variants.split(","), a.iters, a.seconds): print(json.dumps(r), flush=True); del video


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=["bench", "decode", "encode", "weights"]); ap.add_argument("--shape", default="31,44,80"); ap.add_argument("--variants", default="fp32,tf32,bf16,compiled")
    ap.add_argument("--iters", type=int, default=3); ap.add_argument("--seconds", type=float, default=math.inf); ap.add_argument("--threads", type=int, default=0); ap.add_argument("--checkpoint"); ap.add_argument("--latent"); ap.add_argument("--clip")
    ap.add_argument("--out"); ap.add_argument("--dec", type=int, default=256); ap.add_argument("--enc", type=int, default=160); ap.add_argument("--seed", type=int, default=1)
    a = ap.parse_args(); strict(); dev = "cuda" if torch.cuda.is_available() else "cpu"
    with torch.no_grad():
        if a.cmd == "bench": bench(a)
        elif a.cmd == "weights": torch.save(random_weights(a.dec, a.seed, a.enc), a.out)
        elif a.cmd == "decode": save_safetensors(a.out, {"decoded": Decoder(load(a.checkpoint), torch.float32, dev, False).decode(load(a.latent)["latent"][None].to(dev).float())[0]})
        else:
            t = load(a.clip); clip = t["clip"].float() if "clip" in t else t["clip_u8"].float().permute(3, 0, 1, 2) / 127.5 - 1
            save_safetensors(a.out, {"latent": Encoder(load(a.checkpoint), torch.float32, dev, False).encode(clip[None].to(dev))[0]})
