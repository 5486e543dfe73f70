/* main.h - a main that uses the library, so that linking proves something; each file of this folder includes it last */
#ifndef AUTOOPT_IMPLEMENTED
#error "AUTOOPT_IMPLEMENTATION did not bring in the implementation"
#endif
#include <stdio.h>
#include <string.h>
int main(void)
{
    float video[3] = { 0, 0.5f, 1 };
    aopt_comparison c;
    aopt_error err;
    memset(&err, 0, sizeof err);
    if (aopt_compare(video, video, 1, 1, 1, &c, &err) != AOPT_OK || !(c.psnr_db > 100)) return 1;
    if (aopt_vae_frames(5) != 17 || aopt_vae_latent_frames(16) != -1) return 1;
    if (aopt_checkpoint_open_memory("PK", 2, "two bytes", NULL, NULL, &err) == AOPT_OK || !err.message[0]) return 1;
    printf("ok %s\n", aopt_status_name(AOPT_OK));
    return 0;
}
