/* cpu_decode.c - seconds of a whole decode by the fp32 CPU reference, one JSON line: CHECKPOINT LATENT THREADS REPEATS [DECODED] */
#define AUTOOPT_IMPLEMENTATION
#include "../../autoopt.h"

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
    for (i = 0; i < repeats; i++) {
        const double start = aopt_seconds();
        if (aopt_vae_decode(vae, z, T, h, w, &options, video, &err)) { fprintf(stderr, "%s\n", err.message); return 1; }
        seconds[i] = aopt_seconds() - start;
    }
    qsort(seconds, (size_t)repeats, sizeof *seconds, compare_doubles);
    printf("{\"variant\": \"autoopt.h fp32 reference\", \"median_s\": %.4f, \"least_s\": %.4f, \"n\": %d, \"gflop\": %.2f, \"gflops_at_least\": %.1f, \"predicted_mib\": %.1f, \"resident_peak_mib\": %.1f}\n",
           seconds[repeats / 2], seconds[0], repeats, aopt_vae_decode_flops(vae, T, h, w) * 1e-9, aopt_vae_decode_flops(vae, T, h, w) * 1e-9 / seconds[0],
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
