/* optimize.c - the decoder under optimisation.  The agent edits this file and no other.

   Now: the library's own decoder, opened once, frame after frame. */
#include "autoopt.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct state {
    aopt_vae_decoder *decoder;
    int64_t T, h, w;
    float *video;                       /* of the call in progress, [3][F][16h][16w] */
} state;

/* aopt_frame_fn: a finished frame [3][H][W] into its place. */
static int place_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    const state *s = (const state *)user;
    const int64_t F = aopt_vae_frames(s->T);
    int64_t c;
    for (c = 0; c < 3; c++)
        memcpy(s->video + (c * F + index) * H * W, frame + c * H * W, (size_t)(H * W) * sizeof(float));
    return 0;
}

static aopt_status decode(void *ctx, const aopt_tensor *latent, aopt_tensor *video, aopt_error *err)
{
    state *s = (state *)ctx;
    s->video = (float *)video->data;
    aopt_vae_decoder_reset(s->decoder);
    return aopt_vae_decoder_step(s->decoder, (const float *)latent->data, s->T, s->T * s->h * s->w, place_frame, s, err);
}

static void close_decoder(void *ctx)
{
    state *s = (state *)ctx;
    aopt_vae_decoder_close(s->decoder);
    free(s);
}

aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    aopt_vae_options options;
    aopt_status st;
    state *s = (state *)malloc(sizeof *s);
    if (!s) return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    s->T = shape->dim[1];
    s->h = shape->dim[2];
    s->w = shape->dim[3];
    memset(&options, 0, sizeof options);
    options.threads = device->threads;
    options.profile = device->profile;
    st = aopt_vae_decoder_open((const aopt_vae *)model->bound, s->h, s->w, &options, &s->decoder, err);
    if (st != AOPT_OK) {
        free(s);
        return st;
    }
    out->ctx = s;
    out->decode = decode;
    out->close = close_decoder;
    snprintf(out->info, sizeof out->info, "the library's fp32 decoder, all latent frames in one step");
    return AOPT_OK;
}
