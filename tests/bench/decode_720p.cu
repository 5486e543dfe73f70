/* decode_720p.cu - optimize.c's decoder at the size of the 720p task, on one GPU

   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA -O3 -gencode=arch=compute_90a,code=sm_90a tests/bench/decode_720p.cu -o build/decode_720p -lcublas
   build/decode_720p [T h w [PREFIX [WEIGHTS LATENT TRUTH]]]     latent 31x44x80
   Full-width random weights and a latent, made here unless WEIGHTS and LATENT are files.  Median of five decodes; device memory; time of each step, from a run
   that waits after every step.  The library's fp32 decoder makes the video of the first PREFIX (9; 0 = none) latent frames, which the network being causal
   determine the same frames.  PSNR of our video, and of that prefix, against TRUTH (tensor `decoded`, the whole video); without TRUTH, of our prefix against it.
   tests/bench/table.sh reads the lines that start with "row". */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "../../autoopt.h"
#include "../../optimize.c"
#undef TRY
#include "../../model/target.h"
#include <algorithm>
#include <unistd.h>
#include <vector>

static aopt_error err;
#define MUST(call) do { if ((call) != AOPT_OK) { printf("%s: %s\n", #call, err.message); exit(1); } } while (0)
#define GPU(call) do { const cudaError_t e_ = (call); if (e_ != cudaSuccess) { printf("%s: %s\n", #call, cudaGetErrorString(e_)); exit(1); } } while (0)

static double used_gib(void)
{
    size_t available = 0, total = 0;
    cudaMemGetInfo(&available, &total);
    return (double)(total - available) / (1 << 30);
}

static const aopt_vae *open_weights(const char *path)
{
    aopt_checkpoint *file;
    aopt_vae *vae;
    MUST(aopt_checkpoint_open(path, NULL, &file, &err));
    MUST(aopt_vae_open(file, &vae, &err));
    return vae;
}

static const aopt_vae *made_weights(void)
{
    static weight_list list;
    char path[] = "/tmp/autoopt-weights-XXXXXX.safetensors";
    const int fd = mkstemps(path, 12);
    if (fd >= 0) close(fd);
    weights_list(&list, 4, 256);
    MUST(weights_write(path, &list, 1, &err));
    const aopt_vae *vae = open_weights(path);
    unlink(path);
    return vae;
}

/* Tensor `name` of a file, f32 of this shape. */
static const float *from_file(const char *path, const char *name, const int64_t shape[4])
{
    aopt_checkpoint *file;
    MUST(aopt_checkpoint_open(path, NULL, &file, &err));
    const aopt_tensor *t = aopt_checkpoint_find(file, name);
    if (!t || t->dtype != AOPT_F32 || t->ndim != 4 || memcmp(t->shape, shape, 4 * sizeof shape[0]) != 0) { printf("%s: no f32 tensor %s of the right shape\n", path, name); exit(1); }
    return (const float *)t->data;
}

static float *device_copy(const float *from, size_t n)
{
    float *to;
    GPU(cudaMalloc((void **)&to, n * 4));
    GPU(cudaMemcpy(to, from, n * 4, cudaMemcpyDefault));
    return to;
}

/* The first frames of each of three channels. */
static void prefix(const float *video, int64_t frames, int64_t total, int64_t pixels, float *out)
{
    for (int c = 0; c < 3; c++) GPU(cudaMemcpy(out + c * frames * pixels, video + c * total * pixels, (size_t)(frames * pixels) * 4, cudaMemcpyDeviceToDevice));
}

static aopt_comparison agreement(const char *what, const float *got, const float *want, int64_t F, int64_t H, int64_t W)
{
    aopt_comparison c;
    MUST(aopt_cuda_compare(got, want, F, H, W, &c, NULL, &err));
    printf("%s, %lld video frames: %.2f dB, worst frame %.2f dB (%lld), worst tile %.2f dB, max |diff| %.3g, not finite %lld\n",
           what, (long long)F, c.psnr_db, c.psnr_frame_min_db, (long long)c.frame_min, c.psnr_tile_min_db, c.max_abs, (long long)c.nonfinite);
    return c;
}

/* A row of the table, with the command that made it.  JSON has no number for what is not finite. */
static void row(const char *name, int ours, const std::vector<double> &ms, double gib, const aopt_comparison &c, char **argv)
{
    printf("row {\"variant\": \"%s\", \"ours\": %s, \"median_s\": %.5f, \"least_s\": %.5f, \"n\": %d, \"device_gib\": %.2f, ", name, ours ? "true" : "false",
           ms[ms.size() / 2] * 1e-3, ms[0] * 1e-3, (int)ms.size(), gib);
    if (!c.nonfinite) printf("\"psnr_db\": %.2f, \"worst_frame_db\": %.2f, \"max_abs\": %.3g, ", c.psnr_db, c.psnr_frame_min_db, c.max_abs);
    printf("\"command\": \"");
    for (int i = 0; argv[i]; i++) printf("%s%s", i ? " " : "", strrchr(argv[i], '/') ? strrchr(argv[i], '/') + 1 : argv[i]);
    printf("\"}\n");
}

static bool slower(const aopt_profile_item &a, const aopt_profile_item &b) { return a.seconds > b.seconds; }
static void table(aopt_profile *p)
{
    double sum = 0.0;
    std::sort(p->item, p->item + p->n, slower);
    for (int i = 0; i < p->n; i++) sum += p->item[i].seconds;
    printf("%-32s %5s %9s %6s %8s\n", "step", "calls", "ms", "%", "TFLOP/s");
    for (int i = 0; i < p->n; i++)
        printf("%-32s %5lld %9.2f %6.1f %8.1f\n", p->item[i].name, (long long)p->item[i].calls, p->item[i].seconds * 1e3, 100.0 * p->item[i].seconds / sum,
               p->item[i].flops / p->item[i].seconds * 1e-12);
    printf("sum %.1f ms, waiting after every step\n", sum * 1e3);
}

int main(int argc, char **argv)
{
    int64_t shape[4] = { AOPT_VAE_Z, 31, 44, 80 };
    static aopt_profile profile;
    aopt_model model;
    aopt_shape s;
    aopt_device device;
    aopt_decoder d;
    cudaDeviceProp prop;
    std::vector<double> ms;
    float *in, *out;
    int bad = 0;
    for (int i = 0; i < 3 && argc > 3; i++) shape[i + 1] = atoll(argv[i + 1]);
    const int64_t H = 16 * shape[2], W = 16 * shape[3], video[4] = { 3, aopt_vae_frames(shape[1]), H, W }, video_n = 3 * video[1] * H * W;
    const int64_t n = std::min(shape[1], argc > 4 ? (int64_t)atoll(argv[4]) : 9), frames = n ? aopt_vae_frames(n) : 0;
    const float *truth = argc > 7 ? from_file(argv[7], "decoded", video) : NULL;
    memset(&model, 0, sizeof model); memset(&s, 0, sizeof s); memset(&device, 0, sizeof device); memset(&d, 0, sizeof d);
    GPU(cudaGetDeviceProperties(&prop, 0));
    double start = aopt_seconds();
    const aopt_vae *vae = argc > 7 ? open_weights(argv[5]) : made_weights();
    std::vector<float> latent((size_t)(shape[0] * shape[1] * shape[2] * shape[3]));
    const float *given = argc > 7 ? from_file(argv[6], "latent", shape) : NULL;
    for (size_t i = 0; i < latent.size(); i++) latent[i] = given ? given[i] : aopt_random_normal(2, i);
    printf("%s; weights and latent there in %.1f s\n", prop.name, aopt_seconds() - start);
    in = device_copy(latent.data(), latent.size());
    GPU(cudaMalloc((void **)&out, (size_t)video_n * 4));
    GPU(cudaMemset(out, 0xff, (size_t)video_n * 4));
    model.bound = vae;
    s.ndim = 4;
    for (int i = 0; i < 4; i++) s.dim[i] = shape[i];
    device.profile = &profile;
    aopt_tensor x = aopt_tensor_make("latent", AOPT_F32, 4, shape, in, 0), y = aopt_tensor_make("video", AOPT_F32, 4, video, out, 0);
    start = aopt_seconds();
    MUST(build_decoder(&model, &s, &device, &d, &err));
    printf("built in %.1f s: %s\n", aopt_seconds() - start, d.info);
    MUST(d.decode(d.ctx, &x, &y, &err));        /* profiled */
    GPU(cudaDeviceSynchronize());
    if (d.decode == decode_gpu) {
        gpu *g = (gpu *)d.ctx;
        printf("exponents:");
        for (int i = 0; i < SCALES; i++) printf(" %d", g->exponent[i]);
        printf("; work space %.2f GiB\n", (double)g->work_n / (1 << 30));
        g->profile = NULL;
    }
    for (int i = 0; i < 6; i++) {
        start = aopt_seconds();
        MUST(d.decode(d.ctx, &x, &y, &err));
        const double launched = aopt_seconds() - start;
        GPU(cudaDeviceSynchronize());
        ms.push_back((aopt_seconds() - start) * 1e3);
        printf("decode %.1f ms (launched in %.1f)\n", ms.back(), launched * 1e3);
    }
    ms.erase(ms.begin());
    std::sort(ms.begin(), ms.end());
    printf("48x%lldx%lldx%lld: median of %d %.1f ms, device memory in use %.2f GiB\n", (long long)shape[1], (long long)shape[2], (long long)shape[3], (int)ms.size(), ms[ms.size() / 2], used_gib());
    const double gib = used_gib();
    table(&profile);
    fflush(stdout);
    d.close(d.ctx);

    float *want = truth ? device_copy(truth, (size_t)video_n) : NULL, *some = NULL;
    if (want) {
        const aopt_comparison c = agreement("ours against the truth", out, want, video[1], H, W);
        row("optimize.c", 1, ms, gib, c, argv);
    }
    if (n > 0) {
        std::vector<float> first;
        aopt_cuda_vae *fp32;
        float *part;
        GPU(cudaMalloc((void **)&some, (size_t)(3 * frames * H * W) * 4));
        GPU(cudaMalloc((void **)&part, (size_t)(3 * frames * H * W) * 4));
        for (int k = 0; k < AOPT_VAE_Z; k++) first.insert(first.end(), latent.begin() + k * shape[1] * shape[2] * shape[3], latent.begin() + (k * shape[1] + n) * shape[2] * shape[3]);
        MUST(aopt_cuda_vae_decoder_open(vae, shape[2], shape[3], NULL, &fp32, &err));
        start = aopt_seconds();
        MUST(aopt_cuda_vae_decode(fp32, first.data(), n, some, &err));
        const std::vector<double> once(1, (aopt_seconds() - start) * 1e3);
        const double others = (double)(video_n * (want ? 2 : 1) + 3 * frames * H * W) * 4 / (1 << 30), fp32_gib = used_gib() - others;
        printf("fp32 took %.1f s for %lld of %lld latent frames\n", once[0] * 1e-3, (long long)n, (long long)shape[1]);
        aopt_cuda_vae_close(fp32);
        prefix(want ? want : out, frames, video[1], H * W, part);
        const aopt_comparison c = agreement(want ? "the library's fp32 against the truth" : "ours against the library's fp32", want ? some : part, want ? part : some, frames, H, W);
        if (want && n == shape[1]) row("autoopt.h, fp32", 0, once, fp32_gib, c, argv);
        bad = want && !(c.psnr_db >= 100.0);
    }
    return bad;
}
