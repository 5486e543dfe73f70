/* target.h - what the harness must know about the model: the Wan 2.2 video VAE decoder

   input   "latent"  f32 [48][T][h][w], in the diffusion model's scale
   output  "video"   f32 [3][F][16h][16w] in [-1, 1], F = 1 + 4*(T-1)
   The first p latent frames determine the first 1 + 4*(p-1) video frames: causal along dimension 1 of the input. */
#ifndef AUTOOPT_TARGET_H
#define AUTOOPT_TARGET_H
#include "../autoopt.h"
#include "commands.h"

#ifdef AUTOOPT_CUDA
#include <cuda_runtime.h>
#endif
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
    if (!ok) {
        const aopt_tensor found = aopt_tensor_make("latent", AOPT_F32, shape->ndim < 0 || shape->ndim > AOPT_MAX_DIMS ? 0 : shape->ndim, shape->dim, NULL, AOPT_HOST);
        char text[128];
        return aopt_fail(err, AOPT_E_SHAPE, "latent: expected F32 [%d][T][h][w], each from 1 to %d, found %s", (int)AOPT_VAE_Z, 1 << 20,
                         aopt_tensor_describe(&found, text, sizeof text));
    }
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
#ifdef AUTOOPT_CUDA
    out->memory = aopt_cuda_vae_decode_bytes(vae, shape->dim[2], shape->dim[3], NULL);
#else
    out->memory = aopt_vae_decode_peak_bytes(vae, shape->dim[2], shape->dim[3]);
#endif
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

/* ---- the frozen decoder: the library's fp32 decoder, on a GPU where there is one ---- */
typedef struct target_decoder {
    aopt_vae_decoder *cpu;
#ifdef AUTOOPT_CUDA
    aopt_cuda_vae *gpu;                 /* or NULL */
#endif
    int64_t T, h, w;
} target_decoder;

/* The first n latent frames one by one, so that progress can be told; the bits are those of one step. */
static inline aopt_status target_steps(target_decoder *d, const float *latent, int64_t n, aopt_tensor *video, aopt_progress progress, void *user, aopt_error *err)
{
    const int64_t frame = d->h * d->w;
    aopt_status st = AOPT_OK;
    int64_t t;
    aopt_vae_decoder_reset(d->cpu);
    for (t = 0; t < n && !st; t++) {
        if (progress && progress(user, "fp32 reference", t, n)) st = aopt_fail(err, AOPT_E_CANCELLED, "stopped at latent frame %lld of %lld", (long long)t, (long long)n);
        else st = aopt_vae_decoder_step(d->cpu, latent + t * frame, 1, d->T * frame, target_place_frame, video, err);
    }
    return st;
}

#ifdef AUTOOPT_CUDA
/* The first n latent frames into the front of each channel of a longer video. */
static inline aopt_status target_prefix_gpu(target_decoder *d, const float *latent, int64_t n, aopt_tensor *video, aopt_error *err)
{
    const int64_t frame = d->h * d->w, from = aopt_vae_frames(n) * 256 * frame, to = video->shape[1] * 256 * frame;
    float *x = (float *)malloc((size_t)(AOPT_VAE_Z * n * frame) * sizeof(float)), *y = NULL;
    aopt_status st = AOPT_OK;
    int64_t c;
    if (!x || cudaMalloc((void **)&y, (size_t)(3 * from) * sizeof(float)) != cudaSuccess) {
        free(x);
        return aopt_fail(err, AOPT_E_MEMORY, "reference: no memory for %lld latent frames", (long long)n);
    }
    for (c = 0; c < AOPT_VAE_Z; c++) memcpy(x + c * n * frame, latent + c * d->T * frame, (size_t)(n * frame) * sizeof(float));
    st = aopt_cuda_vae_decode(d->gpu, x, n, y, err);
    for (c = 0; c < 3 && !st; c++)
        if (cudaMemcpy((float *)video->data + c * to, y + c * from, (size_t)from * sizeof(float), cudaMemcpyDefault) != cudaSuccess)
            st = aopt_fail(err, AOPT_E_CUDA, "reference: cannot copy the video: %s", cudaGetErrorString(cudaGetLastError()));
    cudaFree(y);
    free(x);
    return st;
}
#endif

static inline aopt_status target_decode(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    target_decoder *d = (target_decoder *)ctx;
#ifdef AUTOOPT_CUDA
    if (d->gpu) return aopt_cuda_vae_decode(d->gpu, (const float *)input->data, d->T, (float *)output->data, err);
#endif
    aopt_vae_decoder_reset(d->cpu);
    return aopt_vae_decoder_step(d->cpu, (const float *)input->data, d->T, d->T * d->h * d->w, target_place_frame, output, err);
}

static inline void target_decoder_close(void *ctx)
{
    target_decoder *d = (target_decoder *)ctx;
#ifdef AUTOOPT_CUDA
    aopt_cuda_vae_close(d->gpu);
#endif
    aopt_vae_decoder_close(d->cpu);
    free(d);
}

static inline aopt_status target_open_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, int tf32, aopt_progress progress, void *user,
                                              aopt_decoder *out, aopt_error *err)
{
    const aopt_vae *vae = (const aopt_vae *)model->bound;
    target_decoder *d = (target_decoder *)calloc(1, sizeof *d);
    aopt_vae_options options;
    aopt_status st;
    if (!d) return aopt_fail(err, AOPT_E_MEMORY, "reference: out of memory");
    d->T = shape->dim[1];
    d->h = shape->dim[2];
    d->w = shape->dim[3];
    memset(&options, 0, sizeof options);
    options.threads = device->threads;
    options.profile = device->profile;
#ifdef AUTOOPT_CUDA
    if (device->cuda != AOPT_HOST) {
        aopt_cuda_options gpu;
        memset(&gpu, 0, sizeof gpu);
        gpu.device = device->cuda;
        gpu.tf32 = tf32;
        gpu.progress = progress;
        gpu.progress_user = user;
        st = aopt_cuda_vae_decoder_open(vae, d->h, d->w, &gpu, &d->gpu, err);
    } else
#endif
    st = aopt_vae_decoder_open(vae, d->h, d->w, &options, &d->cpu, err);
    (void)progress; (void)user;
    if (st) { free(d); return st; }
    out->ctx = d;
    out->decode = target_decode;
    out->close = target_decoder_close;
    snprintf(out->info, sizeof out->info, "the frozen fp32 decoder%s", tf32 ? " with TF32 products" : "");
    return AOPT_OK;
}

static inline aopt_status target_build_reference(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    return target_open_decoder(model, shape, device, 0, NULL, NULL, out, err);
}

#ifdef AUTOOPT_CUDA
static inline aopt_status target_build_usual(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    return target_open_decoder(model, shape, device, 1, NULL, NULL, out, err);
}
#else
#define target_build_usual NULL
#endif

static inline aopt_status target_reference(const aopt_model *model, const aopt_device *device, const aopt_tensor *input, int64_t prefix,
                                           aopt_tensor *output, aopt_progress progress, void *user, aopt_error *err)
{
    const int64_t T = input->shape[1], n = prefix > 0 && prefix < T ? prefix : T;
    const float *latent = (const float *)input->data;
    target_decoder *d;
    aopt_decoder decoder;
    aopt_shape shape;
    aopt_status st;
    shape.ndim = input->ndim;
    memcpy(shape.dim, input->shape, sizeof shape.dim);
    st = target_open_decoder(model, &shape, device, 0, progress, user, &decoder, err);
    if (st) return st;
    d = (target_decoder *)decoder.ctx;
#ifdef AUTOOPT_CUDA
    if (d->gpu && n == T) st = target_decode(d, input, output, err);
    else if (d->gpu) st = target_prefix_gpu(d, latent, n, output, err);
    else
#endif
    st = target_steps(d, latent, n, output, progress, user, err);
    decoder.close(d);
    return st;
}

/* The first `frames` frames of a [3][F][H][W] video, contiguous, where the video is; NULL if memory is short. */
static inline float *target_first_frames(const aopt_tensor *video, int64_t frames)
{
    const int64_t pixels = video->shape[2] * video->shape[3];
    const size_t bytes = (size_t)(frames * pixels) * sizeof(float);
    float *p = NULL;
    int64_t c;
#ifdef AUTOOPT_CUDA
    if (video->device != AOPT_HOST) {
        if (cudaMalloc((void **)&p, 3 * bytes) != cudaSuccess) return NULL;
        for (c = 0; c < 3; c++)
            if (cudaMemcpy(p + c * frames * pixels, (const float *)video->data + c * video->shape[1] * pixels, bytes, cudaMemcpyDeviceToDevice) != cudaSuccess) { cudaFree(p); return NULL; }
        return p;
    }
#endif
    p = (float *)malloc(3 * bytes);
    for (c = 0; p && c < 3; c++) memcpy(p + c * frames * pixels, (const float *)video->data + c * video->shape[1] * pixels, bytes);
    return p;
}

static inline void target_free_frames(const aopt_tensor *video, float *p)
{
#ifdef AUTOOPT_CUDA
    if (video->device != AOPT_HOST) { cudaFree(p); return; }
#endif
    (void)video;
    free(p);
}

static inline aopt_status target_compare_videos(const aopt_tensor *video, const float *got, const float *want, int64_t frames, aopt_comparison *c)
{
#ifdef AUTOOPT_CUDA
    if (video->device != AOPT_HOST) return aopt_cuda_compare(got, want, frames, video->shape[2], video->shape[3], c, NULL, NULL);
#endif
    return aopt_compare(got, want, frames, video->shape[2], video->shape[3], c, NULL);
}

static inline int target_compare(const aopt_tensor *want, const aopt_tensor *got, int64_t prefix, aopt_metric metric[AOPT_MAX_METRICS])
{
    const int64_t frames = prefix > 0 && aopt_vae_frames(prefix) < want->shape[1] ? aopt_vae_frames(prefix) : want->shape[1];
    const int whole = frames == want->shape[1];
    float *a = whole ? (float *)want->data : target_first_frames(want, frames), *b = whole ? (float *)got->data : target_first_frames(got, frames);
    aopt_comparison c;
    const aopt_status st = a && b ? target_compare_videos(want, b, a, frames, &c) : AOPT_E_MEMORY;
    const int n = command_metrics(st ? NULL : &c, metric);
    if (!whole) { target_free_frames(want, a); target_free_frames(got, b); }
    return n;
}

static const aopt_target target = {
    "wan22-vae-decoder", "latent", "video", 1,
    target_open, target_close, target_tensors, target_cost, target_load_input, target_fresh_input, target_build_reference, target_build_usual, target_reference, target_compare,
    target_command, (int)(sizeof target_command / sizeof target_command[0])
};
#endif
