/* fast.c - the optimised decoder in another program: gcc fast.c optimize.c -lm; arguments as for app.c */
#define AUTOOPT_IMPLEMENTATION
#include "autoopt.h"
static float latent[48 * 3 * 2 * 3], video[3 * 9 * 32 * 48], want[3 * 9 * 32 * 48];
int main(int argc, char **argv)
{
    const aopt_shape shape = { 4, { 48, 3, 2, 3 } }, frames = { 4, { 3, 9, 32, 48 } };
    const aopt_device device = { AOPT_HOST, 0, NULL };
    aopt_tensor in = aopt_tensor_make("latent", AOPT_F32, 4, shape.dim, latent, AOPT_HOST), out = aopt_tensor_make("video", AOPT_F32, 4, frames.dim, video, AOPT_HOST);
    aopt_checkpoint *ck = NULL, *data = NULL; aopt_vae *vae = NULL; aopt_model model; aopt_decoder decoder; aopt_comparison c; aopt_error err;
    if (argc != 3 || aopt_checkpoint_open(argv[1], NULL, &ck, &err) || aopt_vae_open(ck, &vae, &err) || aopt_checkpoint_open(argv[2], NULL, &data, &err)) return 1;
    if (aopt_tensor_to_f32(aopt_checkpoint_find(data, "latent"), latent, 48 * 3 * 2 * 3, &err)) return 1;
    if (aopt_tensor_to_f32(aopt_checkpoint_find(data, "decoded"), want, 3 * 9 * 32 * 48, &err)) return 1;
    model.checkpoint = ck;
    model.bound = vae;
    if (build_decoder(&model, &shape, &device, &decoder, &err) || decoder.decode(decoder.ctx, &in, &out, &err)) return 1;
    decoder.close(decoder.ctx);
    if (aopt_compare(video, want, 9, 32, 48, &c, &err)) return 1;
    printf("PSNR %.1f dB with: %s\n", c.psnr_db, decoder.info);
    return !(c.psnr_db >= 60);
}
