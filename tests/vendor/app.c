/* app.c - a whole program around the one header: gcc app.c -lm; ./app CHECKPOINT FIXTURE (tensors `latent` and `decoded`, nano's sizes) */
#define AUTOOPT_IMPLEMENTATION
#include "autoopt.h"
static float latent[48 * 3 * 2 * 3], video[3 * 9 * 32 * 48], want[3 * 9 * 32 * 48];
int main(int argc, char **argv)
{
    static aopt_profile profile;
    static aopt_vae_options options;
    aopt_checkpoint *ck = NULL, *data = NULL; aopt_vae *vae = NULL; aopt_comparison c; aopt_error err; double ms[3]; int i;
    options.profile = &profile;
    if (argc != 3 || aopt_checkpoint_open(argv[1], NULL, &ck, &err) || aopt_vae_open(ck, &vae, &err) || aopt_checkpoint_open(argv[2], NULL, &data, &err)) return 1;
    if (aopt_tensor_to_f32(aopt_checkpoint_find(data, "latent"), latent, 48 * 3 * 2 * 3, &err)) return 1;
    if (aopt_tensor_to_f32(aopt_checkpoint_find(data, "decoded"), want, 3 * 9 * 32 * 48, &err)) return 1;
    for (i = 0; i < 3; i++) {
        const double begin = aopt_seconds();
        if (aopt_vae_decode(vae, latent, 3, 2, 3, &options, video, &err)) return 1;
        ms[i] = 1e3 * (aopt_seconds() - begin);
    }
    if (aopt_compare(video, want, 9, 32, 48, &c, &err)) return 1;
    printf("PSNR %.1f dB, median %.2f ms, %d profile items, first %s\n", c.psnr_db, aopt_median(ms, 3), profile.n, profile.item[0].name);
    return !(c.psnr_db >= 100) || profile.n < 3;
}
