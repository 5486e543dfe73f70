"""Write tests/fixtures/zoo: small checkpoints as PyTorch and others write them, and zoo.txt, which says what a loader must find.

    python tests/oracle/make_zoo.py            needs torch 2.x and safetensors; run from the repository root

The committed files were made with torch 2.6.0 and safetensors 0.8.0.

zoo.txt has a line `file NAME COUNT` per file and a line `tensor NAME DTYPE [d0,d1,...] SHA256` per tensor, sorted by name.  The
hash is of the values as contiguous little-endian f32; torch makes it from what torch.load returns.
"""
import collections
import hashlib
import io
import os
import struct
import sys
import zipfile

import torch
import safetensors.torch

OUT = "tests/fixtures/zoo"
SEEDS = "tests/fixtures/fuzz"
NAMES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16", torch.float64: "F64", torch.int64: "I64",
         torch.int32: "I32", torch.int16: "I16", torch.int8: "I8", torch.uint8: "U8", torch.bool: "BOOL"}
listing = []


def line(name, t):
    values = t.detach().to(torch.float32).contiguous().numpy().astype("<f4").tobytes()
    shape = ",".join(str(d) for d in t.shape)
    return "tensor %s %s [%s] %s" % (name, NAMES[t.dtype], shape, hashlib.sha256(values).hexdigest())


def flatten(value, prefix=""):
    """The naming rule of the loader, written down a second time."""
    if isinstance(value, torch.Tensor):
        return {prefix or "tensor": value}
    found = {}
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, (list, tuple)) else ()
    for key, item in items:
        found.update(flatten(item, prefix + ("." if prefix else "") + str(key)))
    return found


def expect(file, tensors):
    listing.append("file %s %d" % (file, len(tensors)))
    listing.extend(line(k, tensors[k]) for k in sorted(tensors, key=lambda k: k.encode()))


def save(file, value, inner=lambda v: v, **options):
    path = os.path.join(OUT, file)
    torch.save(value, path, **options)
    expect(file, flatten(inner(torch.load(path, weights_only=False))))


def rewrite(source, file, keep=lambda name: True, zip64=False):
    """The same entries, written by Python's zipfile: no descriptors, other padding; zip64 puts real sizes into extra fields."""
    path = os.path.join(OUT, file)
    with zipfile.ZipFile(os.path.join(OUT, source)) as a, zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as b:
        for info in a.infolist():
            if keep(info.filename):
                with b.open(zipfile.ZipInfo(info.filename), "w", force_zip64=zip64) as f:
                    f.write(a.read(info))
    expect(file, flatten(torch.load(path, weights_only=False)))


def zip64_everywhere(source, file):
    """Saturated sizes and offsets in directory and local headers, true ones in zip64 fields, as entries beyond 4 GiB have them."""
    body, directory, count, big = b"", b"", 0, 0xFFFFFFFF
    with zipfile.ZipFile(os.path.join(OUT, source)) as a:
        for info in a.infolist():
            data, name = a.read(info), info.filename.encode()
            at = len(body)
            extra = struct.pack("<HHQQ", 1, 16, len(data), len(data))
            body += struct.pack("<IHHHHHIIIHH", 0x04034B50, 45, 0x808, 0, 0, 0, 0, big, big, len(name), len(extra)) + name + extra + data
            body += struct.pack("<IIQQ", 0x08074B50, info.CRC, len(data), len(data))
            extra = struct.pack("<HHQQQ", 1, 24, len(data), len(data), at)
            directory += struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 45, 45, 0x808, 0, 0, 0, info.CRC, big, big, len(name), len(extra), 0, 0, 0, 0, big)
            directory += name + extra
            count += 1
    end = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, 45, 45, 0, 0, count, count, len(directory), len(body))
    end += struct.pack("<IIQI", 0x07064B50, 0, len(body) + len(directory), 1)
    end += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, big, big, 0)
    with open(os.path.join(OUT, file), "wb") as f:
        f.write(body + directory + end)
    expect(file, flatten(torch.load(os.path.join(OUT, file), weights_only=False)))


class V3(torch.Tensor):
    """Pickled through _rebuild_tensor_v3, which torch itself takes for dtypes without a storage class."""

    def __reduce_ex__(self, protocol):
        return (torch._utils._rebuild_tensor_v3, (self._typed_storage(), self.storage_offset(), tuple(self.size()), self.stride(), False,
                                                   collections.OrderedDict(), self.dtype))


def torch_files():
    torch.manual_seed(1)
    base = torch.randn(6, 5)
    save("bare.pth", base)
    save("dict.pth", {"b.weight": torch.randn(2, 3), "a.bias": torch.randn(4)})
    save("dtypes.pth", {name.lower(): (torch.randn(3, 4) * 50).to(dtype) for dtype, name in NAMES.items()})
    save("nested.pth", {"net": {"up": {"weight": base, "steps": 3}, "down": collections.OrderedDict(weight=base + 1)}, "top": torch.ones(2), "empty": {}})
    save("lists.pth", {"list": [torch.ones(1), 5, torch.zeros(2)], "tuple": (torch.full((1,), 7.0), "text"), 3: torch.arange(3)})
    save("leaves.pth", {"t": torch.ones(1), "epoch": 12, "minus": -1, "short": 300, "int": 70000, "long": 1 << 40, "most": (1 << 63) - 1, "huge": 1 << 200,
                        "loss": 0.5, "name": "wan", "none": None, "yes": True, "no": False, "size": torch.Size([2, 3]), "ints": [1, 2, [3]]})
    wrapped = {"epoch": 3, "state_dict": collections.OrderedDict(w=base), "optimizer": {"state": {0: {"step": torch.tensor(4.0)}}, "groups": [{"lr": 1e-3}]}}
    save("state_dict.pth", wrapped, lambda v: v["state_dict"])
    save("model.pth", {"model": {"w": base}, "args": {"lr": 0.1}}, lambda v: v["model"])
    save("model_inside.pth", {"model": {"w": base}, "beside": torch.ones(1)})       # not a wrapper: a tensor lies beside it
    module = torch.nn.Sequential(torch.nn.Conv2d(2, 3, 3), torch.nn.BatchNorm2d(3))
    save("module.pth", module.state_dict())
    save("parameter.pth", {"p": torch.nn.Parameter(torch.randn(3)), "q": torch.nn.Parameter(torch.randn(2), requires_grad=False)})
    save("views.pth", {"base": base, "transposed": base.t(), "row": base[2], "column": base[:, 3], "step": base[::2, 1::2],
                       "expanded": base[1:2, :1].expand(4, 3), "broadcast": base[:, :1].expand(6, 3), "tied": base, "scalar": base[3, 4],
                       "permuted": torch.randn(2, 3, 4).permute(2, 0, 1), "overlapping": base.flatten().unfold(0, 4, 2)})
    save("shapes.pth", {"scalar": torch.tensor(2.5), "empty": torch.empty(0), "empty3": torch.empty(2, 0, 3), "deep": torch.randn(1, 2, 1, 2, 1, 2, 1, 2)})
    save("many.pth", {"t%03d" % i: base.flatten()[i % 30] for i in range(300)})
    save("names.pth", {"\u00e9\u4e2d\U0001f600": torch.ones(2), "a/c": torch.ones(3)})
    save("no_tensors.pth", {"epoch": 1})
    save("protocol4.pth", {"w": base, "o": collections.OrderedDict(x=torch.ones(2))}, pickle_protocol=4)
    save("protocol5.pth", {"w": base.to(torch.float16)}, pickle_protocol=5)
    save("v3.pth", {"f": torch.randn(3, 2).as_subclass(V3), "h": torch.randn(4).to(torch.bfloat16).as_subclass(V3)[1:]})
    buffer = io.BytesIO()                                                           # entries are called archive/...
    torch.save({"w": base}, buffer)
    with open(os.path.join(OUT, "buffer.pth"), "wb") as f:
        f.write(buffer.getvalue())
    expect("buffer.pth", {"w": base})
    rewrite("views.pth", "rezipped.pth", keep=lambda n: n.endswith(("data.pkl", "version")) or "/data/" in n)      # the entries of torch 1.6
    rewrite("dict.pth", "zip64_local.pth", zip64=True)
    zip64_everywhere("dtypes.pth", "zip64.pth")


def safetensors_files():
    def save_st(file, tensors, metadata=None):
        safetensors.torch.save_file(tensors, os.path.join(OUT, file), metadata)
        expect(file, safetensors.torch.load_file(os.path.join(OUT, file)))

    def save_raw(file, header, data, tensors):
        with open(os.path.join(OUT, file), "wb") as f:
            f.write(struct.pack("<Q", len(header)) + header + data)
        check = safetensors.torch.load_file(os.path.join(OUT, file))
        assert all(torch.equal(check[k], tensors[k]) for k in tensors) and len(check) == len(tensors)
        expect(file, check)

    torch.manual_seed(2)
    save_st("dtypes.safetensors", {name.lower(): (torch.randn(3, 4) * 50).to(dtype) for dtype, name in NAMES.items()})
    save_st("metadata.safetensors", {"w": torch.randn(2, 2)}, {"format": "pt", "note": "\u00e9 \"quoted\""})
    save_st("shapes.safetensors", {"scalar": torch.tensor(2.5), "empty": torch.empty(0), "empty3": torch.empty(2, 0, 3), "deep": torch.randn(1, 2, 1, 2, 1, 2, 1, 2)})
    save_st("none.safetensors", {})
    w = torch.randn(3)
    header = b'{ "b" : {"shape":[2],"data_offsets":[1,3],"dtype":"U8"}, "w":{"dtype":"F32","shape":[3],"data_offsets":[3,15]},"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]} } '
    save_raw("unaligned.safetensors", header, b"\xff\x01\x02" + w.numpy().tobytes(),
             {"a": torch.tensor([-1], dtype=torch.int8), "b": torch.tensor([1, 2], dtype=torch.uint8), "w": w})


def seeds():
    """Bare pickles and JSON from which the fuzz targets start."""
    os.makedirs(SEEDS, exist_ok=True)
    for name in ("dict", "leaves", "lists", "module", "parameter", "protocol4", "v3"):
        with zipfile.ZipFile(os.path.join(OUT, name + ".pth")) as z, open(os.path.join(SEEDS, name + ".pkl.pth"), "wb") as f:
            f.write(z.read(name + "/data.pkl"))
    with open(os.path.join(SEEDS, "all.json"), "w") as f:
        f.write('{"a":[1,-2.5e+10,0.125,true,false,null,[],{}],"\\u00e9\\ud83d\\ude00":"\\"\\\\\\/\\b\\f\\n\\r\\t","big":9223372036854775807}\n')


def main():
    os.makedirs(OUT, exist_ok=True)
    torch_files()
    safetensors_files()
    seeds()
    with open(os.path.join(OUT, "zoo.txt"), "w", encoding="utf-8") as f:
        f.write("\n".join(listing) + "\n")
    total = sum(os.path.getsize(os.path.join(OUT, n)) for n in os.listdir(OUT))
    print("torch %s: %d files, %d bytes" % (torch.__version__, len(os.listdir(OUT)), total))


sys.exit(main())
