/* target.h - a second target for the same harness: a causal residual MLP on rows of frames

   x [T][R][D], T frames of R rows of D features.  Each block adds W2 relu(W1 x_t + V x_(t-1)) to x_t, where x_(t-1) is the
   block's own input one frame earlier (zero before the first); the last result is clamped to [-1, 1].
   A checkpoint is one line of text, "mlp D H BLOCKS SEED": the weights are drawn from the seed.  So is a fixed input, "rows SEED". */
#ifndef AUTOOPT_TARGET_H
#define AUTOOPT_TARGET_H
#include "../autoopt.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct mlp {
    int64_t d, h, blocks;
    float *w1, *v, *w2;             /* [blocks][H][D], [blocks][H][D], [blocks][D][H] */
    float *memory;
} mlp;

static inline aopt_status mlp_read(const char *path, const char *format, long long *a, long long *b, long long *c, long long *d, int want, aopt_error *err)
{
    char line[200];
    FILE *f = fopen(path, "rb");
    const int ok = f && fgets(line, (int)sizeof line, f) && sscanf(line, format, a, b, c, d) == want;
    if (f) fclose(f);
    return ok ? AOPT_OK : aopt_fail(err, AOPT_E_IO, "%s: cannot be read as \"%s\"", path, format);
}

static inline void mlp_close(aopt_model *model)
{
    mlp *m = (mlp *)(uintptr_t)model->bound;
    if (m) free(m->memory);
    free(m);
    memset(model, 0, sizeof *model);
}

static inline aopt_status mlp_open(const char *path, aopt_model *model, aopt_error *err)
{
    long long d, h, blocks, seed;
    int64_t n, i;
    mlp *m;
    memset(model, 0, sizeof *model);
    if (mlp_read(path, "mlp %lld %lld %lld %lld", &d, &h, &blocks, &seed, 4, err)) return AOPT_E_IO;
    if (d < 1 || h < 1 || blocks < 1 || d > 4096 || h > 4096 || blocks > 64) return aopt_fail(err, AOPT_E_VALUE, "%s: sizes out of range", path);
    n = blocks * h * d;
    m = (mlp *)calloc(1, sizeof *m);
    if (m) m->memory = (float *)malloc((size_t)(3 * n) * sizeof(float));
    model->bound = m;
    if (!m || !m->memory) {
        mlp_close(model);
        return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    }
    m->d = d; m->h = h; m->blocks = blocks;
    m->w1 = m->memory; m->v = m->w1 + n; m->w2 = m->v + n;
    for (i = 0; i < 3 * n; i++)
        m->memory[i] = (2 * aopt_random_uniform((uint64_t)seed, (uint64_t)i) - 1) / sqrtf((float)(i < 2 * n ? d : h));
    return AOPT_OK;
}

static inline aopt_status mlp_tensors(const aopt_model *model, const aopt_shape *shape, aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const mlp *m = (const mlp *)model->bound;
    if (shape->ndim != 3 || shape->dim[0] < 1 || shape->dim[1] < 1 || shape->dim[2] != m->d)
        return aopt_fail(err, AOPT_E_SHAPE, "rows: expected [T][R][%lld]", (long long)m->d);
    *input = aopt_tensor_make("rows", AOPT_F32, 3, shape->dim, NULL, AOPT_HOST);
    *output = aopt_tensor_make("result", AOPT_F32, 3, shape->dim, NULL, AOPT_HOST);
    return AOPT_OK;
}

static inline aopt_status mlp_cost(const aopt_model *model, const aopt_shape *shape, aopt_cost *out, aopt_error *err)
{
    const mlp *m = (const mlp *)model->bound;
    const double rows = (double)(shape->dim[0] * shape->dim[1]), weights = 3.0 * (double)(m->blocks * m->d * m->h);
    (void)err;
    out->flops = 2 * rows * weights;
    out->bytes = 4 * (weights + 2 * rows * (double)m->d);
    out->memory = 4 * (m->blocks * m->d * shape->dim[1] + m->h);
    return AOPT_OK;
}

/* A walk in time: neighbouring frames are alike, as those of a video are. */
static inline aopt_status mlp_load_input(const aopt_model *model, const char *path, aopt_tensor *input, aopt_error *err)
{
    const int64_t frame = input->shape[1] * input->shape[2];
    float *x = (float *)input->data;
    long long seed, unused;
    int64_t i;
    (void)model;
    if (mlp_read(path, "rows %lld", &seed, &unused, &unused, &unused, 1, err)) return AOPT_E_IO;
    for (i = 0; i < aopt_tensor_numel(input); i++)
        x[i] = (i >= frame ? 0.9f * x[i - frame] : 0) + 0.4f * aopt_random_normal((uint64_t)seed, (uint64_t)i);
    return AOPT_OK;
}

static inline aopt_status mlp_fresh_input(const aopt_model *model, const aopt_tensor *fixed, uint64_t seed, aopt_tensor *input, aopt_error *err)
{
    (void)model;
    return aopt_random_like(fixed, 2, seed, (float *)input->data, err);
}

/* One block for one row: y[D] = x + W2 relu(W1 x + V past).  u [H] is scratch; past may be NULL; y may be x. */
static inline void mlp_block(const mlp *m, int64_t b, const float *x, const float *past, float *u, float *y)
{
    const float *w1 = m->w1 + b * m->h * m->d, *v = m->v + b * m->h * m->d, *w2 = m->w2 + b * m->h * m->d;
    int64_t i, k;
    for (i = 0; i < m->h; i++) {
        float s = 0;
        for (k = 0; k < m->d; k++) s += w1[i * m->d + k] * x[k];
        for (k = 0; past && k < m->d; k++) s += v[i * m->d + k] * past[k];
        u[i] = s > 0 ? s : 0;
    }
    for (i = 0; i < m->d; i++) {
        float s = 0;
        for (k = 0; k < m->h; k++) s += w2[i * m->h + k] * u[k];
        y[i] = x[i] + s;
    }
}

/* Frames 0..frames-1.  history [blocks][R][D] and u [H] are scratch. */
static inline void mlp_run(const mlp *m, const float *x, int64_t frames, int64_t rows, float *history, float *u, float *y)
{
    const int64_t d = m->d;
    int64_t t, r, b, i;
    for (t = 0; t < frames; t++)
        for (r = 0; r < rows; r++) {
            float *out = y + (t * rows + r) * d;
            memcpy(out, x + (t * rows + r) * d, (size_t)d * sizeof(float));
            for (b = 0; b < m->blocks; b++) {
                float *past = history + (b * rows + r) * d, now[4096];
                memcpy(now, out, (size_t)d * sizeof(float));
                mlp_block(m, b, now, t > 0 ? past : NULL, u, out);
                memcpy(past, now, (size_t)d * sizeof(float));
            }
            for (i = 0; i < d; i++) out[i] = out[i] < -1 ? -1 : out[i] > 1 ? 1 : out[i];
        }
}

static inline aopt_status mlp_reference(const aopt_model *model, const aopt_device *device, const aopt_tensor *input, int64_t prefix,
                                        aopt_tensor *output, aopt_progress progress, void *user, aopt_error *err)
{
    const mlp *m = (const mlp *)model->bound;
    const int64_t rows = input->shape[1], frames = prefix > 0 ? prefix : input->shape[0];
    float *scratch = (float *)malloc((size_t)(m->blocks * rows * m->d + m->h) * sizeof(float));
    const double begin = aopt_seconds();
    if (!scratch) return aopt_fail(err, AOPT_E_MEMORY, "reference: out of memory");
    if (progress) progress(user, "reference", 0, frames);
    mlp_run(m, (const float *)input->data, frames, rows, scratch, scratch + m->blocks * rows * m->d, (float *)output->data);
    free(scratch);
    aopt_profile_add(device->profile, "mlp block", aopt_seconds() - begin, 6.0 * (double)(frames * rows * m->blocks * m->d * m->h),
                     12.0 * (double)(m->blocks * m->d * m->h));
    return AOPT_OK;
}

/* snr_db over all, over the worst frame, and the largest difference. */
static inline int mlp_compare(const aopt_tensor *want, const aopt_tensor *got, int64_t prefix, aopt_metric metric[AOPT_MAX_METRICS])
{
    const int64_t frames = prefix > 0 ? prefix : want->shape[0], per = want->shape[1] * want->shape[2];
    const float *a = (const float *)want->data, *b = (const float *)got->data;
    double noise_all = 0, signal_all = 0, worst = INFINITY, most = 0;
    int64_t t, i, worst_t = 0, most_i = 0;
    for (t = 0; t < frames; t++) {
        double noise = 0, signal = 0, db;
        for (i = t * per; i < (t + 1) * per; i++) {
            const double e = (double)a[i] - b[i];
            noise += e * e;
            signal += (double)a[i] * a[i];
            if (most == most && !(fabs(e) <= most)) {       /* once NaN, always NaN */
                most = fabs(e);
                most_i = i;
            }
        }
        db = 10 * log10(signal / (noise + 1e-12 * signal));
        if (worst == worst && !(db >= worst)) { worst = db; worst_t = t; }
        noise_all += noise;
        signal_all += signal;
    }
    memset(metric, 0, 3 * sizeof metric[0]);
    strcpy(metric[0].name, "snr_db"); metric[0].value = 10 * log10(signal_all / (noise_all + 1e-12 * signal_all)); metric[0].sense = 1;
    strcpy(metric[1].name, "snr_frame_min_db"); metric[1].value = worst; metric[1].sense = 1;
    snprintf(metric[1].where, sizeof metric[1].where, "frame %lld", (long long)worst_t);
    strcpy(metric[2].name, "max_abs"); metric[2].value = most; metric[2].sense = -1;
    snprintf(metric[2].where, sizeof metric[2].where, "[%lld][%lld][%lld]", (long long)(most_i / per), (long long)(most_i % per / want->shape[2]),
             (long long)(most_i % want->shape[2]));
    return 3;
}

static const aopt_target target = {
    "residual-mlp", "rows", "result", 0,
    mlp_open, mlp_close, mlp_tensors, mlp_cost, mlp_load_input, mlp_fresh_input, mlp_reference, mlp_compare,
    NULL, 0
};
#endif
