/* target.h - what the harness must know about the model: the Wan 2.2 video VAE decoder

   input   "latent"  f32 [48][T][h][w], in the diffusion model's scale
   output  "video"   f32 [3][F][16h][16w] in [-1, 1], F = 1 + 4*(T-1)
   The first p latent frames determine the first 1 + 4*(p-1) video frames: causal along dimension 1 of the input. */
#ifndef AUTOOPT_TARGET_H
#define AUTOOPT_TARGET_H
#include "../autoopt.h"
#include "commands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static inline void target_close(aopt_model *model)
{
    aopt_vae_close((aopt_vae *)(uintptr_t)model->bound);
    aopt_checkpoint_close((aopt_checkpoint *)(uintptr_t)model->checkpoint);
    memset(model, 0, sizeof *model);
}

static inline aopt_status target_open(const char *path, aopt_model *model, aopt_error *err)
{
    aopt_checkpoint *ck = NULL;
    aopt_vae *vae = NULL;
    aopt_status st;
    memset(model, 0, sizeof *model);
    st = aopt_checkpoint_open(path, NULL, &ck, err);
    model->checkpoint = ck;
    if (!st) st = aopt_vae_open(ck, &vae, err);
    model->bound = vae;
    if (!st && !vae->decoder.present) st = aopt_fail(err, AOPT_E_MISSING, "%s: an encoder only; expected decoder.* tensors", path);
    if (st) target_close(model);
    return st;
}

static inline aopt_status target_tensors(const aopt_model *model, const aopt_shape *shape, aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    int64_t video[4];
    int i, ok = shape->ndim == 4 && shape->dim[0] == AOPT_VAE_Z;
    (void)model;
    for (i = 1; ok && i < 4; i++) ok = shape->dim[i] >= 1 && shape->dim[i] <= 1 << 20;
    if (!ok) return aopt_fail(err, AOPT_E_SHAPE, "latent: expected [%d][T][h][w]", (int)AOPT_VAE_Z);
    video[0] = 3;
    video[1] = aopt_vae_frames(shape->dim[1]);
    video[2] = 16 * shape->dim[2];
    video[3] = 16 * shape->dim[3];
    *input = aopt_tensor_make("latent", AOPT_F32, 4, shape->dim, NULL, AOPT_HOST);
    *output = aopt_tensor_make("video", AOPT_F32, 4, video, NULL, AOPT_HOST);
    if (aopt_tensor_numel(input) < 0 || aopt_tensor_numel(output) < 0) return aopt_fail(err, AOPT_E_SHAPE, "latent: too large");
    return AOPT_OK;
}

static inline aopt_status target_cost(const aopt_model *model, const aopt_shape *shape, aopt_cost *out, aopt_error *err)
{
    const aopt_vae *vae = (const aopt_vae *)model->bound;
    aopt_tensor input, output;
    double weights = 0;
    int64_t i;
    aopt_status st = target_tensors(model, shape, &input, &output, err);
    if (st) return st;
    for (i = 0; i < aopt_checkpoint_count(model->checkpoint); i++) {
        const aopt_tensor *t = aopt_checkpoint_at(model->checkpoint, i);
        if (strncmp(t->name, "decoder.", 8) == 0 || strncmp(t->name, "conv2.", 6) == 0) weights += (double)aopt_tensor_numel(t) * aopt_dtype_bytes((int)t->dtype);
    }
    out->flops = aopt_vae_decode_flops(vae, shape->dim[1], shape->dim[2], shape->dim[3]);
    out->bytes = weights + 4.0 * (double)(aopt_tensor_numel(&input) + aopt_tensor_numel(&output));
    out->memory = aopt_vae_decode_peak_bytes(vae, shape->dim[2], shape->dim[3]);
    return AOPT_OK;
}

static inline aopt_status target_load_input(const aopt_model *model, const char *path, aopt_tensor *input, aopt_error *err)
{
    int64_t shape[4];
    float *latent;
    aopt_status st = command_load_latent(path, &latent, shape, err);
    (void)model;
    if (st) return st;
    if (memcmp(shape, input->shape, sizeof shape) != 0) {
        char expected[128];
        st = aopt_fail(err, AOPT_E_SHAPE, "%s: latent [48][%lld][%lld][%lld], expected %s", path, (long long)shape[1], (long long)shape[2], (long long)shape[3],
                       aopt_tensor_describe(input, expected, sizeof expected));
    } else {
        memcpy(input->data, latent, (size_t)aopt_tensor_numel(input) * sizeof(float));
    }
    free(latent);
    return st;
}

static inline aopt_status target_fresh_input(const aopt_model *model, const aopt_tensor *fixed, uint64_t seed, aopt_tensor *input, aopt_error *err)
{
    (void)model;
    return aopt_random_like(fixed, 0, seed, (float *)input->data, err);
}

/* aopt_frame_fn: one frame into its place in a whole video. */
static inline int target_place_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    const aopt_tensor *video = (const aopt_tensor *)user;
    int64_t c;
    for (c = 0; c < 3; c++) memcpy((float *)video->data + (c * video->shape[1] + index) * H * W, frame + c * H * W, (size_t)(H * W) * sizeof(float));
    return 0;
}

static inline aopt_status target_reference(const aopt_model *model, const aopt_device *device, const aopt_tensor *input, int64_t prefix,
                                           aopt_tensor *output, aopt_progress progress, void *user, aopt_error *err)
{
    const int64_t T = input->shape[1], h = input->shape[2], w = input->shape[3], n = prefix > 0 && prefix < T ? prefix : T;
    const float *latent = (const float *)input->data;
    aopt_vae_decoder *decoder;
    aopt_vae_options options;
    aopt_status st;
    int64_t t;

    memset(&options, 0, sizeof options);
    options.threads = device->threads;
    options.profile = device->profile;
    st = aopt_vae_decoder_open((const aopt_vae *)model->bound, h, w, &options, &decoder, err);
    if (st) return st;
    for (t = 0; t < n && !st; t++) {
        if (progress && progress(user, "fp32 reference", t, n)) st = aopt_fail(err, AOPT_E_CANCELLED, "stopped at latent frame %lld of %lld", (long long)t, (long long)n);
        else st = aopt_vae_decoder_step(decoder, latent + t * h * w, 1, T * h * w, target_place_frame, output, err);
    }
    aopt_vae_decoder_close(decoder);
    return st;
}

/* The first `frames` frames of a [3][F][H][W] video, contiguous; NULL if memory is short. */
static inline float *target_first_frames(const aopt_tensor *video, int64_t frames)
{
    const int64_t pixels = video->shape[2] * video->shape[3];
    float *p = (float *)malloc((size_t)(3 * frames * pixels) * sizeof(float));
    int64_t c;
    for (c = 0; p && c < 3; c++)
        memcpy(p + c * frames * pixels, (const float *)video->data + c * video->shape[1] * pixels, (size_t)(frames * pixels) * sizeof(float));
    return p;
}

static inline int target_compare(const aopt_tensor *want, const aopt_tensor *got, int64_t prefix, aopt_metric metric[AOPT_MAX_METRICS])
{
    const int64_t frames = prefix > 0 && aopt_vae_frames(prefix) < want->shape[1] ? aopt_vae_frames(prefix) : want->shape[1];
    const int whole = frames == want->shape[1];
    float *a = whole ? (float *)want->data : target_first_frames(want, frames), *b = whole ? (float *)got->data : target_first_frames(got, frames);
    aopt_comparison c;
    const aopt_status st = aopt_compare(b, a, frames, want->shape[2], want->shape[3], &c, NULL);
    const int n = command_metrics(st ? NULL : &c, metric);
    if (!whole) { free(a); free(b); }
    return n;
}

static const aopt_target target = {
    "wan22-vae-decoder", "latent", "video", 1,
    target_open, target_close, target_tensors, target_cost, target_load_input, target_fresh_input, target_reference, target_compare,
    target_command, (int)(sizeof target_command / sizeof target_command[0])
};
#endif
