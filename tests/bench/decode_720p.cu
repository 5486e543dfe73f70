/* decode_720p.cu - optimize.c's decoder at the size of the 720p task, on one GPU

   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA -O3 -gencode=arch=compute_90a,code=sm_90a tests/bench/decode_720p.cu -o build/decode_720p -lcublas
   build/decode_720p [T h w [REFERENCE_FRAMES]]     latent 31x44x80; full-width random weights, made here
   PSNR of the first REFERENCE_FRAMES (9; 0 = none) latent frames' video against the library's fp32 decoder, which the network being
   causal determine the same frames; median of five decodes; device memory; time of each step, from a run that waits after every step. */
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

static const aopt_vae *weights(void)
{
    static weight_list list;
    char path[] = "/tmp/autoopt-weights-XXXXXX.safetensors";
    const int fd = mkstemps(path, 12);
    aopt_checkpoint *file;
    aopt_vae *vae;
    if (fd >= 0) close(fd);
    weights_list(&list, 4, 256);
    MUST(weights_write(path, &list, 1, &err));
    MUST(aopt_checkpoint_open(path, NULL, &file, &err));
    unlink(path);
    MUST(aopt_vae_open(file, &vae, &err));
    return vae;
}

/* The first frames of each of three channels. */
static void prefix(const float *video, int64_t frames, int64_t total, int64_t pixels, float *out)
{
    for (int c = 0; c < 3; c++) GPU(cudaMemcpy(out + c * frames * pixels, video + c * total * pixels, (size_t)(frames * pixels) * 4, cudaMemcpyDeviceToDevice));
}

static void agreement(const aopt_vae *vae, const std::vector<float> &latent, const int64_t s[4], int64_t frames, const float *video)
{
    const int64_t hw = s[2] * s[3], F = aopt_vae_frames(frames), n = 3 * F * 256 * hw;
    std::vector<float> some;
    float *want, *got;
    aopt_cuda_vae *reference;
    aopt_comparison c;
    double start = aopt_seconds();
    for (int k = 0; k < AOPT_VAE_Z; k++) some.insert(some.end(), latent.begin() + k * s[1] * hw, latent.begin() + (k * s[1] + frames) * hw);
    GPU(cudaMalloc((void **)&want, (size_t)n * 4));
    GPU(cudaMalloc((void **)&got, (size_t)n * 4));
    MUST(aopt_cuda_vae_decoder_open(vae, s[2], s[3], NULL, &reference, &err));
    const double opened = aopt_seconds() - start;
    start = aopt_seconds();
    MUST(aopt_cuda_vae_decode(reference, some.data(), frames, want, &err));
    prefix(video, F, aopt_vae_frames(s[1]), 256 * hw, got);
    MUST(aopt_cuda_compare(got, want, F, 16 * s[2], 16 * s[3], &c, NULL, &err));
    printf("against fp32, %lld video frames: %.2f dB, worst frame %.2f dB (%lld), worst tile %.2f dB, max |diff| %.4f, not finite %lld; fp32 took %.1f s, opening %.1f s\n",
           (long long)F, c.psnr_db, c.psnr_frame_min_db, (long long)c.frame_min, c.psnr_tile_min_db, c.max_abs, (long long)c.nonfinite, aopt_seconds() - start, opened);
    aopt_cuda_vae_close(reference);
    cudaFree(want);
    cudaFree(got);
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
    float *in, *video;
    for (int i = 0; i < 3 && argc > 3; i++) shape[i + 1] = atoll(argv[i + 1]);
    const int64_t reference_frames = std::min(shape[1], argc > 4 ? (int64_t)atoll(argv[4]) : 9), video_n = 3 * aopt_vae_frames(shape[1]) * 256 * shape[2] * shape[3];
    memset(&model, 0, sizeof model); memset(&s, 0, sizeof s); memset(&device, 0, sizeof device); memset(&d, 0, sizeof d);
    GPU(cudaGetDeviceProperties(&prop, 0));
    double start = aopt_seconds();
    const aopt_vae *vae = weights();
    std::vector<float> latent((size_t)(shape[0] * shape[1] * shape[2] * shape[3]));
    for (size_t i = 0; i < latent.size(); i++) latent[i] = aopt_random_normal(2, i);
    printf("%s; weights and latent made in %.1f s\n", prop.name, aopt_seconds() - start);
    GPU(cudaMalloc((void **)&in, latent.size() * 4));
    GPU(cudaMalloc((void **)&video, (size_t)video_n * 4));
    GPU(cudaMemcpy(in, latent.data(), latent.size() * 4, cudaMemcpyHostToDevice));
    GPU(cudaMemset(video, 0xff, (size_t)video_n * 4));
    model.bound = vae;
    s.ndim = 4;
    for (int i = 0; i < 4; i++) s.dim[i] = shape[i];
    device.profile = &profile;
    aopt_tensor x = aopt_tensor_make("latent", AOPT_F32, 4, shape, in, 0), y = aopt_tensor_make("video", AOPT_F32, 1, &video_n, video, 0);
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
    table(&profile);
    fflush(stdout);
    d.close(d.ctx);
    if (reference_frames > 0) agreement(vae, latent, shape, reference_frames, video);
    return 0;
}
