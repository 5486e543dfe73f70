/* cpu_decode.c - seconds of a whole decode on the CPU, one JSON line: CHECKPOINT LATENT THREADS REPEATS [DECODED]
   By the library's fp32 reference, or, with -DOPTIMIZE, by optimize.c. */
#define AUTOOPT_IMPLEMENTATION
#include "../../autoopt.h"
#ifdef OPTIMIZE
#include "../../optimize.c"
#endif

/* The most memory this process ever held, the mapped checkpoint included. */
static double resident_peak_mib(void)
{
    char line[256];
    double kib = 0;
    FILE *f = fopen("/proc/self/status", "r");
    while (f && fgets(line, sizeof line, f)) if (sscanf(line, "VmHWM: %lf kB", &kib) == 1) break;
    if (f) fclose(f);
    return kib / 1024;
}

static int compare_doubles(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
    aopt_error err;
    aopt_checkpoint *weights, *latents;
    aopt_vae *vae;
    aopt_vae_options options;
    const aopt_tensor *latent;
    float *z, *video;
    double seconds[64];
    int64_t T, h, w, n;
    int i, repeats;
#ifdef OPTIMIZE
    const char *const name = "optimize.c";
    aopt_model model;
    aopt_decoder decoder;
#else
    const char *const name = "autoopt.h fp32 reference";
#endif
    if (argc < 5) { fprintf(stderr, "usage: %s CHECKPOINT LATENT THREADS REPEATS [DECODED]\n", argv[0]); return 2; }
    repeats = atoi(argv[4]);
    if (repeats < 1 || repeats > 64) { fprintf(stderr, "repeats: 1 to 64\n"); return 2; }
    if (aopt_checkpoint_open(argv[1], NULL, &weights, &err) || aopt_checkpoint_open(argv[2], NULL, &latents, &err) || aopt_vae_open(weights, &vae, &err)) {
        fprintf(stderr, "%s\n", err.message);
        return 1;
    }
    latent = aopt_checkpoint_find(latents, "latent");
    if (!latent || latent->ndim != 4 || latent->shape[0] != AOPT_VAE_Z) { fprintf(stderr, "%s: no tensor latent [48][T][h][w]\n", argv[2]); return 1; }
    T = latent->shape[1]; h = latent->shape[2]; w = latent->shape[3];
    n = 3 * aopt_vae_frames(T) * 256 * h * w;
    z = (float *)malloc((size_t)aopt_tensor_numel(latent) * sizeof *z);
    video = (float *)malloc((size_t)n * sizeof *video);
    memset(&options, 0, sizeof options);
    options.threads = atoi(argv[3]);
    if (!z || !video || aopt_tensor_to_f32(latent, z, aopt_tensor_numel(latent), &err)) { fprintf(stderr, "%s\n", z && video ? err.message : "out of memory"); return 1; }
#ifdef OPTIMIZE
    {
        const aopt_shape shape = { 4, { AOPT_VAE_Z, T, h, w } };
        const aopt_device device = { AOPT_HOST, options.threads, NULL };
        model.checkpoint = weights;
        model.bound = vae;
        memset(&decoder, 0, sizeof decoder);
        if (build_decoder(&model, &shape, &device, &decoder, &err)) { fprintf(stderr, "%s\n", err.message); return 1; }
    }
#endif
    for (i = 0; i < repeats; i++) {
        const double start = aopt_seconds();
#ifdef OPTIMIZE
        const int64_t in_shape[4] = { AOPT_VAE_Z, T, h, w }, out_shape[4] = { 3, aopt_vae_frames(T), 16 * h, 16 * w };
        const aopt_tensor in = aopt_tensor_make("latent", AOPT_F32, 4, in_shape, z, AOPT_HOST);
        aopt_tensor out = aopt_tensor_make("decoded", AOPT_F32, 4, out_shape, video, AOPT_HOST);
        const aopt_status st = decoder.decode(decoder.ctx, &in, &out, &err);
#else
        const aopt_status st = aopt_vae_decode(vae, z, T, h, w, &options, video, &err);
#endif
        if (st) { fprintf(stderr, "%s\n", err.message); return 1; }
        seconds[i] = aopt_seconds() - start;
    }
#ifdef OPTIMIZE
    decoder.close(decoder.ctx);
#endif
    qsort(seconds, (size_t)repeats, sizeof *seconds, compare_doubles);
    printf("{\"variant\": \"%s\", \"median_s\": %.4f, \"least_s\": %.4f, \"n\": %d, \"gflop\": %.2f, \"gflops_at_least\": %.1f, \"predicted_mib\": %.1f, \"resident_peak_mib\": %.1f}\n",
           name, seconds[repeats / 2], seconds[0], repeats, aopt_vae_decode_flops(vae, T, h, w) * 1e-9, aopt_vae_decode_flops(vae, T, h, w) * 1e-9 / seconds[0],
           (double)aopt_vae_decode_peak_bytes(vae, h, w) / 1048576, resident_peak_mib());
    if (argc > 5) {
        const int64_t shape[4] = { 3, aopt_vae_frames(T), 16 * h, 16 * w };
        const aopt_tensor out = aopt_tensor_make("decoded", AOPT_F32, 4, shape, video, AOPT_HOST);
        if (aopt_safetensors_write(argv[5], &out, 1, NULL, 0, &err)) { fprintf(stderr, "%s\n", err.message); return 1; }
    }
    free(z);
    free(video);
    aopt_vae_close(vae);
    aopt_checkpoint_close(latents);
    aopt_checkpoint_close(weights);
    return 0;
}
