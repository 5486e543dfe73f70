/* optimize.c - the decoder that the scripted agent of tests/test_agent.sh starts from: it decodes every clip twice. */
#include "autoopt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct state { const aopt_vae *vae; aopt_vae_options options; } state;

static aopt_status decode(void *ctx, const aopt_tensor *latent, aopt_tensor *video, aopt_error *err)
{
    const state *s = (const state *)ctx;
    const int64_t *n = latent->shape;
    int pass, passes = 2;
    for (pass = 0; pass < passes; pass++) {
        const aopt_status st = aopt_vae_decode(s->vae, (const float *)latent->data, n[1], n[2], n[3], &s->options, (float *)video->data, err);
        if (st != AOPT_OK) return st;
    }
    return AOPT_OK;
}

aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    state *s = (state *)calloc(1, sizeof *s);
    (void)shape;
    if (!s) return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    s->vae = (const aopt_vae *)model->bound;
    s->options.threads = device->threads;
    s->options.profile = device->profile;
    out->ctx = s;
    out->decode = decode;
    out->close = free;
    snprintf(out->info, sizeof out->info, "plain");
    return AOPT_OK;
}
