/* cuda_reference.cu - time, memory and agreement of the fp32 VAE on a GPU
   usage: cuda_reference decode|encode CHECKPOINT IN.safetensors WANT.safetensors|- [fp32|tf32] [CHUNK]
   IN holds `latent` or `clip`; WANT what another implementation made of it (`decoded` or `latent`).  One line of key=value. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "../../autoopt.h"
#include <cuda_runtime.h>

static aopt_error err;
static int fail(void) { fprintf(stderr, "cuda_reference: %s: %s\n", aopt_status_name((int)err.status), err.message); return 1; }

static aopt_status load(const char *path, const char *name, aopt_checkpoint **ck, const aopt_tensor **t)
{
    const aopt_status st = aopt_checkpoint_open(path, NULL, ck, &err);
    if (st) return st;
    *t = aopt_checkpoint_find(*ck, name);
    return *t && (*t)->dtype == AOPT_F32 && (*t)->ndim == 4 ? AOPT_OK : aopt_fail(&err, AOPT_E_MISSING, "%s: no f32 tensor %s of four dimensions", path, name);
}

static double used_gib(void)
{
    size_t available = 0, total = 0;
    cudaMemGetInfo(&available, &total);
    return (double)(total - available) / (1 << 30);
}

/* PSNR of got against want, the second on the host. */
static int agreement(const float *got, const float *want_host, int64_t n, const int64_t shape[4], int encoder)
{
    aopt_comparison c;
    float *want = NULL;
    if (encoder) {                                      /* 48 channels, no video: plain sums on the host */
        float *host = (float *)malloc((size_t)n * 4);
        double mse = 0.0, worst = 0.0;
        if (cudaMemcpy(host, got, (size_t)n * 4, cudaMemcpyDeviceToHost) != cudaSuccess) return 1;
        for (int64_t i = 0; i < n; i++) {
            const double d = fabs((double)host[i] - want_host[i]);
            mse += d * d / (double)n;
            if (!(d <= worst)) worst = d;
        }
        printf(" psnr_db=%.2f max_abs=%.3g", aopt_psnr_db(mse), worst);
        free(host);
        return !(aopt_psnr_db(mse) >= 100.0);
    }
    if (cudaMalloc((void **)&want, (size_t)n * 4) != cudaSuccess || cudaMemcpy(want, want_host, (size_t)n * 4, cudaMemcpyHostToDevice) != cudaSuccess) return 1;
    const double start = aopt_seconds();
    if (aopt_cuda_compare(got, want, shape[1], shape[2], shape[3], &c, NULL, &err)) return fail();
    printf(" psnr_db=%.2f worst_frame_db=%.2f max_abs=%.3g compare_s=%.4f", c.psnr_db, c.psnr_frame_min_db, c.max_abs, aopt_seconds() - start);
    cudaFree(want);
    return !(c.psnr_db >= 100.0);
}

int main(int argc, char **argv)
{
    aopt_checkpoint_options fast;
    aopt_checkpoint *weights, *in_file, *want_file;
    const aopt_tensor *in, *want = NULL;
    aopt_vae *vae;
    aopt_cuda_vae *v = NULL;
    aopt_cuda_options o;
    float *x = NULL, *y = NULL;
    int bad = 0;
    if (argc < 5 || argc > 7) { fprintf(stderr, "usage: cuda_reference decode|encode CHECKPOINT IN WANT|- [fp32|tf32] [CHUNK]\n"); return 2; }
    const int encoder = strcmp(argv[1], "encode") == 0;
    memset(&o, 0, sizeof o);
    memset(&fast, 0, sizeof fast);
    fast.skip_crc = 1;
    o.tf32 = argc > 5 && strcmp(argv[5], "tf32") == 0;
    o.chunk = argc > 6 ? atoi(argv[6]) : 1;
    if (aopt_checkpoint_open(argv[2], &fast, &weights, &err) || aopt_vae_open(weights, &vae, &err)) return fail();
    if (load(argv[3], encoder ? "clip" : "latent", &in_file, &in)) return fail();
    if (strcmp(argv[4], "-") != 0 && load(argv[4], encoder ? "latent" : "decoded", &want_file, &want)) return fail();

    const int64_t T = encoder ? aopt_vae_latent_frames(in->shape[1]) : in->shape[1], F = aopt_vae_frames(T);
    const int64_t h = encoder ? in->shape[2] / 16 : in->shape[2], w = encoder ? in->shape[3] / 16 : in->shape[3];
    const int64_t latent_n = 48 * T * h * w, video_n = 3 * F * 256 * h * w, in_n = encoder ? video_n : latent_n, out_n = encoder ? latent_n : video_n;
    cudaDeviceProp device;
    if (cudaGetDeviceProperties(&device, 0) != cudaSuccess || cudaMalloc((void **)&x, (size_t)in_n * 4) != cudaSuccess || cudaMalloc((void **)&y, (size_t)out_n * 4) != cudaSuccess
        || cudaMemcpy(x, in->data, (size_t)in_n * 4, cudaMemcpyHostToDevice) != cudaSuccess || aopt_cuda_poison(y, out_n, 1, NULL, &err)) return fail();

    double start = aopt_seconds();
    if (encoder ? aopt_cuda_vae_encoder_open(vae, h, w, &o, &v, &err) : aopt_cuda_vae_decoder_open(vae, h, w, &o, &v, &err)) return fail();
    const double open_s = aopt_seconds() - start;
    if (encoder ? aopt_cuda_vae_encode(v, x, 5, y, &err) : aopt_cuda_vae_decode(v, x, 2, y, &err)) return fail();      /* warm-up: two latent frames */
    start = aopt_seconds();
    if (encoder ? aopt_cuda_vae_encode(v, x, F, y, &err) : aopt_cuda_vae_decode(v, x, T, y, &err)) return fail();
    const double seconds = aopt_seconds() - start, flops = encoder ? aopt_vae_encode_flops(vae, T, h, w) : aopt_vae_decode_flops(vae, T, h, w);
    printf("%s latent=48x%lldx%lldx%lld math=%s chunk=%lld device=\"%s\" seconds=%.3f tflops=%.1f open_s=%.2f planned_gib=%.2f used_gib=%.2f", argv[1], (long long)T, (long long)h, (long long)w,
           o.tf32 ? "tf32" : "fp32", (long long)o.chunk, device.name, seconds, flops / seconds * 1e-12, open_s,
           (double)(encoder ? aopt_cuda_vae_encode_bytes(vae, h, w, &o) : aopt_cuda_vae_decode_bytes(vae, h, w, &o)) / (1 << 30), used_gib());
    aopt_cuda_vae_close(v);
    if (want) bad = aopt_tensor_numel(want) != out_n || agreement(y, (const float *)want->data, out_n, want->shape, encoder);
    printf("\n");
    return bad && !o.tf32;
}
