/* A faster optimize.c for the residual MLP: weights transposed at build time, so that the inner loops run over neighbours. */
#include "autoopt.h"
#include "model/target.h"

typedef struct state { const mlp *m; int64_t frames, rows; float *memory, *w1, *v, *w2, *history, *u; } state;

/* out[n] += x * row[n] */
static void add_row(float *out, const float *row, float x, int64_t n)
{
    int64_t i;
    for (i = 0; i < n; i++) out[i] += x * row[i];
}

static void block(const state *s, int64_t b, float *y, float *past, int first)
{
    const int64_t d = s->m->d, h = s->m->h, step = b * h * d;
    float now[4096];
    int64_t k;
    memset(s->u, 0, (size_t)h * sizeof(float));
    for (k = 0; k < d; k++) add_row(s->u, s->w1 + step + k * h, y[k], h);
    for (k = 0; !first && k < d; k++) add_row(s->u, s->v + step + k * h, past[k], h);
    memcpy(now, y, (size_t)d * sizeof(float));
    for (k = 0; k < h; k++) if (s->u[k] > 0) add_row(y, s->w2 + step + k * d, s->u[k], d);
    memcpy(past, now, (size_t)d * sizeof(float));
}

static aopt_status decode(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const state *s = (const state *)ctx;
    const int64_t d = s->m->d;
    int64_t t, r, b, i;
    (void)err;
    for (t = 0; t < s->frames; t++)
        for (r = 0; r < s->rows; r++) {
            float *y = (float *)output->data + (t * s->rows + r) * d;
            memcpy(y, (const float *)input->data + (t * s->rows + r) * d, (size_t)d * sizeof(float));
            for (b = 0; b < s->m->blocks; b++) block(s, b, y, s->history + (b * s->rows + r) * d, t == 0);
            for (i = 0; i < d; i++) y[i] = y[i] < -1 ? -1 : y[i] > 1 ? 1 : y[i];
        }
    return AOPT_OK;
}

static void close_state(void *ctx)
{
    free(((state *)ctx)->memory);
    free(ctx);
}

aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    const mlp *m = (const mlp *)model->bound;
    const int64_t d = m->d, h = m->h, n = m->blocks * h * d;
    state *s = (state *)calloc(1, sizeof *s);
    int64_t b, i, k;
    (void)device;
    if (s) s->memory = (float *)malloc((size_t)(3 * n + m->blocks * shape->dim[1] * d + h) * sizeof(float));
    if (!s || !s->memory) { free(s); return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory"); }
    s->m = m; s->frames = shape->dim[0]; s->rows = shape->dim[1];
    s->w1 = s->memory; s->v = s->w1 + n; s->w2 = s->v + n; s->history = s->w2 + n; s->u = s->history + m->blocks * s->rows * d;
    for (b = 0; b < m->blocks; b++)
        for (i = 0; i < h; i++)
            for (k = 0; k < d; k++) {
                s->w1[b * h * d + k * h + i] = m->w1[b * h * d + i * d + k];
                s->v[b * h * d + k * h + i] = m->v[b * h * d + i * d + k];
                s->w2[b * h * d + i * d + k] = m->w2[b * h * d + k * h + i];
            }
    out->ctx = s; out->decode = decode; out->close = close_state;
    snprintf(out->info, sizeof out->info, "weights transposed");
    return AOPT_OK;
}
