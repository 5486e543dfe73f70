"""tests/fixtures/thin.safetensors: what the oracle makes of latents one pixel high, wide, or both, with the weights of nano.pth.

  python3 tests/oracle/make_thin.py      from the repository root; needs torch and numpy

The other fixtures (nano, odd, tiny_decoded) were made once with the official PyTorch code in strict fp32; their __metadata__
says so.  `encoded` here is the encoding of `decoded`.
"""
import torch, wan22_torch as W

W.strict(); torch.manual_seed(3); torch.set_num_threads(1)
sd = W.load("tests/fixtures/nano.pth"); out = {}
with torch.no_grad():
    dec, enc = W.Decoder(sd, torch.float32, "cpu", False), W.Encoder(sd, torch.float32, "cpu", False)
    for name, shape in dict(wide=(2, 1, 3), tall=(3, 2, 1), dot=(1, 1, 1)).items():
        z = torch.randn(1, 48, *shape); v = dec.decode(z)
        out[name + ".latent"], out[name + ".decoded"], out[name + ".encoded"] = z[0], v[0], enc.encode(v)[0]
W.save_safetensors("tests/fixtures/thin.safetensors", out)
