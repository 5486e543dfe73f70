"""table.sh's two halves in Python: PyTorch's rows, and the table.

  python3 table.py measure WORK --shape T,h,w --variants fp32,... --repeats N --width 256
      writes WORK/weights.safetensors, latent.safetensors, truth.safetensors (strict fp32), and appends to WORK/rows, a JSON object a line
  python3 table.py print WORK
"""
import argparse, json, os, sys, time
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "oracle"))
SECONDS = 15                                 # no further decode of a variant after so many


def add(work, row):
    with open(f"{work}/rows", "a") as f: f.write(json.dumps(row) + "\n")


def measure(a):
    import torch, wan22_torch as W
    begin = time.perf_counter(); dev = "cuda" if torch.cuda.is_available() else "cpu"; T, h, w = map(int, a.shape.split(","))
    sd = W.random_weights(a.width); W.save_safetensors(f"{a.work}/weights.safetensors", sd)
    torch.manual_seed(5); z = torch.randn(48, T, h, w); W.save_safetensors(f"{a.work}/latent.safetensors", {"latent": z})
    name = torch.cuda.get_device_name() if dev == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    print(f"weights made in {time.perf_counter() - begin:.1f} s", flush=True)
    add(a.work, dict(title=f"Latent 48x{T}x{h}x{w}, {4 * T - 3} frames of {16 * w}x{16 * h}, random weights of width {a.width}, {name}, PyTorch {torch.__version__}"))
    order = sorted(a.variants.split(","), key=lambda v: v != "fp32")        # the truth first
    with torch.no_grad():
        for v, row, video in W.measure(sd, z[None].to(dev), order, a.repeats, SECONDS):
            if v == "fp32": W.save_safetensors(f"{a.work}/truth.safetensors", {"decoded": video[0]})
            row["command"] = f"wan22_torch.py bench --checkpoint weights.safetensors --latent latent.safetensors --variants {v} --iters {a.repeats} --seconds {SECONDS}"; add(a.work, row)
            print(f"{row} after {time.perf_counter() - begin:.1f} s", flush=True); del video


def show(a):
    with open(f"{a.work}/rows") as f: rows = [json.loads(line) for line in f]
    title = rows.pop(0)["title"]; ours = next((r["median_s"] for r in rows if r.get("ours")), None)
    number = lambda r, key, form: form.format(r[key]) if r.get(key) is not None else ""
    print(f"{title}\n\n| decoder | ms | least | runs | x ours | PSNR dB | worst frame dB | largest difference | GiB | command |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---|")
    for r in sorted(rows, key=lambda r: r["median_s"]):
        truth = r["variant"].startswith("strict fp32") and "psnr_db" not in r
        print("| " + " | ".join([r["variant"], f"{r['median_s'] * 1e3:.1f}", f"{r['least_s'] * 1e3:.1f}", str(r["n"]), f"{r['median_s'] / ours:.2f}" if ours else "",
                                 "the truth" if truth else number(r, "psnr_db", "{:.2f}"), number(r, "worst_frame_db", "{:.2f}"), number(r, "max_abs", "{:.3g}"),
                                 number(r, "device_gib", "{:.1f}"), f"`{r['command']}`"]) + " |")
    print(f"\nms: median of the runs; no further run after {SECONDS} s. PSNR: all frames, against PyTorch in strict fp32. GiB: device memory that the process holds after the runs, "
          "its context and the video included.")


if __name__ == "__main__":
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("cmd", choices=["measure", "print"]); ap.add_argument("work"); ap.add_argument("--shape", default="31,44,80"); ap.add_argument("--variants", default="fp32,tf32,bf16,compiled")
    ap.add_argument("--repeats", type=int, default=5); ap.add_argument("--width", type=int, default=256)
    a = ap.parse_args(); {"measure": measure, "print": show}[a.cmd](a)
