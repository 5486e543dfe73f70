/* optimize.c - the decoder under optimisation.  The agent edits this file and no other.

   On a CPU: fp32, channels-last, through the library's fast layers; `cpu_plan` is the table of layers, `cpu_tuning` the scheme of each level.
   On a GPU: fp16, channels-last, through the library's fast layers; `make_plan` is the table of layers and the scheme of each.

   CONTENTS   ==== CPU       cpu_tuning; the plan; memory; running it
              ==== GPU       tuning; the plan, and in it spares; the space; running it; building it; what the fast layers cannot do
   build_decoder, what the judge calls, is the last function of the file. */
#include "autoopt.h"
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ==== CPU ===============================================================================================
   What may be tuned beside the plan: the scheme of the 3x3 convolutions of each level (the last row: of the head), of the one that follows the
   upsampling at its end, and how a run is cut into blocks (0 = the library chooses). */
static const struct { int conv, up; int64_t tiles, step; } cpu_tuning[AOPT_VAE_STAGES + 1] = {
    { AOPT_CPU_F2, AOPT_CPU_UP, 0, 0 },
    { AOPT_CPU_F4, AOPT_CPU_UP, 0, 0 },
    { AOPT_CPU_F4, AOPT_CPU_UP, 0, 0 },
    { AOPT_CPU_F4, 0, 0, 0 },
    { AOPT_CPU_F4, 0, 0, 0 },
};
enum { CPU_MEGABYTES = 32 };             /* as many latent frames go through the network together as keep a frame buffer about below this; at least one */

/* What lies between layers, f32 channels-last.  IN, INSIDE: normalised inputs of convolutions; STREAM: residual stream; STAGE, NEXT: a stage's input, by
   turns; WIDE: shortcuts, q k v, doubled frames, the head's output.  In front of each is room for two frames of history. */
enum { ABSENT = -1, IN, INSIDE, STREAM, STAGE, NEXT, WIDE, CPU_BUFFERS };
typedef enum cpu_op { CONVOLVE, LATENT_IN, ATTENTION, DOUBLE_EARLY, DOUBLE_LATE, VIDEO_OUT } cpu_op;

typedef struct cpu_layer {
    cpu_op op;
    char name[64];
    int level, from, to, act;           /* buffers; act: of the normalised output */
    int add, ft;                        /* residual; ft: frames per frame where it is the stage's input */
    int ci, co, out_level;              /* padded channels */
    aopt_cpu_conv *conv;
    aopt_cpu_run run;                   /* what stays the same from call to call */
    float *gamma;                       /* of the norm that follows */
    double flops;                       /* of a frame */
    float *history;                     /* the last two frames of the input, where three are looked at */
} cpu_layer;

enum { CPU_LAYERS = 80 };
typedef struct cpu_net {
    cpu_layer plan[CPU_LAYERS];
    int layer_n;
    const aopt_vae *vae;
    int64_t T, h, w, chunk;
    int threads;
    aopt_profile *profile;
    float *buffer[CPU_BUFFERS], *work, *arena;
    int64_t buffer_n[CPU_BUFFERS], work_n;
} cpu_net;

static int64_t positions(const cpu_net *n, int level) { return (n->h << level) * (n->w << level); }
static int64_t frames_at(int64_t latent_frames, int level, int first) { const int k = level < 2 ? level : 2; return (latent_frames << k) - (first ? (1 << k) - 1 : 0); }

/* ---- the plan ---- */

static cpu_layer *add_cpu(cpu_net *n, cpu_op op, const char *name, int level, int from, int to)
{
    cpu_layer *l = &n->plan[n->layer_n++];
    memset(l, 0, sizeof *l);
    l->op = op; l->level = l->out_level = level;
    snprintf(l->name, sizeof l->name, "%s", name);
    l->from = from; l->to = to; l->act = l->add = ABSENT;
    l->run.H = n->h << level; l->run.W = n->w << level;
    l->run.threads = n->threads;
    return l;
}

/* A convolution.  half: 0 = all output channels, 1 and 2 = the first and the second half.  next: the norm that follows. */
static aopt_status add_conv(cpu_net *n, cpu_op op, int level, int scheme, const aopt_conv_weights *w, int half, int from, int to, const aopt_norm_weights *next, int silu,
                            cpu_layer **out, aopt_error *err)
{
    const int64_t taps = (int64_t)w->kt * w->kh * w->kw, co = half ? w->co / 2 : w->co;
    cpu_layer *l = add_cpu(n, op, "", level, from, to);
    float *weight = (float *)malloc(sizeof(float) * (size_t)(w->co * (w->ci * taps + 1))), *bias = weight + w->co * w->ci * taps;
    aopt_ref_conv conv = { w->ci, co, w->kt, w->kh, w->kw, NULL, NULL };
    const char *name = w->weight->name ? w->weight->name : "";
    aopt_status st = weight ? aopt_tensor_to_f32(w->weight, weight, w->co * w->ci * taps, err) : aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    if (!st) st = aopt_tensor_to_f32(w->bias, bias, w->co, err);
    conv.weight = weight + (half == 2 ? co * w->ci * taps : 0);
    conv.bias = bias + (half == 2 ? co : 0);
    snprintf(l->name, sizeof l->name, "%.*s", (int)(strrchr(name, '.') ? strrchr(name, '.') - name : (ptrdiff_t)strlen(name)), name);
    l->ci = (int)aopt_cpu_pad(w->ci); l->co = (int)aopt_cpu_pad(co);
    l->out_level = level + (op == CONVOLVE && w->kt == 1 && w->kh == 3);
    l->flops = 2.0 * (double)(w->ci * co * taps) * (double)positions(n, l->out_level);
    if (!st) st = aopt_cpu_conv_open(&conv, w->kh == 3 ? scheme : AOPT_CPU_DIRECT, l->out_level > level, &l->conv, err);
    if (next && !st) {
        l->act = IN;
        l->run.norm.norm_c = next->c; l->run.norm.silu = silu;
        l->run.norm.gamma = l->gamma = (float *)calloc((size_t)l->co, sizeof(float));
        st = l->gamma ? aopt_tensor_to_f32(next->gamma, l->gamma, next->c, err) : aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    }
    free(weight);
    if (out) *out = l;
    return st;
}

static aopt_status add_cpu_block(cpu_net *n, int level, const aopt_resblock_weights *b, int from, int to, const aopt_norm_weights *next, int silu, aopt_error *err)
{
    const int scheme = cpu_tuning[level].conv;
    cpu_layer *l;
    aopt_status st = add_conv(n, CONVOLVE, level, scheme, &b->conv1, 0, IN, ABSENT, &b->norm2, 1, &l, err);
    l->act = INSIDE;
    if (!st && b->shortcut.weight) st = add_conv(n, CONVOLVE, level, scheme, &b->shortcut, 0, from, WIDE, NULL, 0, NULL, err);
    if (!st) st = add_conv(n, CONVOLVE, level, scheme, &b->conv2, 0, INSIDE, to, next, silu, &l, err);
    l->add = b->shortcut.weight ? WIDE : from;
    return st;
}

static aopt_status cpu_plan(cpu_net *n, aopt_error *err)
{
    const aopt_coder_weights *d = &n->vae->decoder;
    int i, j, stage = STAGE;
    cpu_layer *l;
    aopt_status st;
    add_cpu(n, LATENT_IN, "latent", 0, ABSENT, WIDE);
    st = add_conv(n, CONVOLVE, 0, 0, &n->vae->conv2, 0, WIDE, INSIDE, NULL, 0, NULL, err);
    if (!st) st = add_conv(n, CONVOLVE, 0, cpu_tuning[0].conv, &d->conv1, 0, INSIDE, stage, &d->middle0.norm1, 1, NULL, err);
    if (!st) st = add_cpu_block(n, 0, &d->middle0, stage, stage, &d->middle1.norm, 0, err);
    if (!st) st = add_conv(n, CONVOLVE, 0, 0, &d->middle1.to_qkv, 0, IN, WIDE, NULL, 0, NULL, err);
    l = add_cpu(n, ATTENTION, "decoder.middle.1.attention", 0, WIDE, INSIDE); l->ci = (int)aopt_cpu_pad(3 * d->middle1.c); l->co = (int)aopt_cpu_pad(d->middle1.c); l->run.norm.norm_c = d->middle1.c;
    if (!st) st = add_conv(n, CONVOLVE, 0, 0, &d->middle1.proj, 0, INSIDE, stage, &d->middle2.norm1, 1, &l, err);
    l->add = stage;
    if (!st) st = add_cpu_block(n, 0, &d->middle2, stage, stage, &d->stage[0].block[0].norm1, 1, err);
    for (i = 0; i < AOPT_VAE_STAGES && !st; i++) {
        const aopt_stage_weights *s = &d->stage[i];
        const int last = s->factor_s == 1;
        for (j = 0; j < s->block_n && !st; j++)
            st = add_cpu_block(n, i, &s->block[j], j ? (int)STREAM : stage, STREAM, j + 1 < s->block_n ? &s->block[j + 1].norm1 : last ? &d->head_norm : NULL, 1, err);
        if (st || last) break;
        if (s->factor_t == 2) {
            st = add_conv(n, DOUBLE_EARLY, i, 0, &s->time_conv, 1, STREAM, WIDE, NULL, 0, NULL, err);
            if (!st) st = add_conv(n, DOUBLE_LATE, i, 0, &s->time_conv, 2, STREAM, WIDE, NULL, 0, NULL, err);
        }
        if (!st) st = add_conv(n, CONVOLVE, i, cpu_tuning[i].up, &s->resample, 0, s->factor_t == 2 ? WIDE : STREAM, stage == STAGE ? NEXT : STAGE, &d->stage[i + 1].block[0].norm1, 1, &l, err);
        l->add = stage; l->ft = s->factor_t;
        l->run.add_c = aopt_cpu_pad(s->ci); l->run.add_real = s->ci; l->run.add_ft = s->factor_t;
        stage = l->to;
    }
    if (!st) st = add_conv(n, CONVOLVE, i, cpu_tuning[AOPT_VAE_STAGES].conv, &d->head_conv, 0, IN, WIDE, NULL, 0, NULL, err);
    l = add_cpu(n, VIDEO_OUT, "decoder.unpatchify", i, WIDE, ABSENT); l->ci = n->plan[n->layer_n - 2].co;
    return st;
}

/* ---- memory ---- */

static void cpu_demand(cpu_net *n, int buffer, int64_t floats) { if (buffer >= 0 && floats > n->buffer_n[buffer]) n->buffer_n[buffer] = floats; }

static aopt_status cpu_memory(cpu_net *n, aopt_error *err)
{
    int64_t total = 64, at, most = 1;
    int i;
    for (i = 0; i < n->layer_n; i++) {
        const int64_t floats = frames_at(1, n->plan[i].out_level, 0) * positions(n, n->plan[i].out_level) * n->plan[i].co;
        if (floats > most) most = floats;
    }
    n->chunk = ((int64_t)CPU_MEGABYTES << 18) / most;
    n->chunk = n->chunk < 1 ? 1 : n->chunk > n->T ? n->T : n->chunk;
    for (i = 0; i < n->layer_n; i++) {
        cpu_layer *l = &n->plan[i];
        const int row = l->op == CONVOLVE && l->from == IN && l->to == WIDE && l->level == AOPT_VAE_STAGES - 1 ? (int)AOPT_VAE_STAGES : l->level;
        const int64_t F = frames_at(n->chunk, l->level, 0), out = F * (l->op == DOUBLE_EARLY || l->op == DOUBLE_LATE || l->ft == 2 ? 2 : 1);
        if (l->op == LATENT_IN) l->co = AOPT_VAE_Z;
        l->run.frames = l->ft == 2 ? out : F;
        l->run.tiles = l->conv && l->out_level == l->level ? cpu_tuning[row].tiles : 0;
        l->run.step = cpu_tuning[row].step;
        cpu_demand(n, l->from, (l->run.frames + 2) * positions(n, l->level) * l->ci);
        cpu_demand(n, l->to, (out + 2) * positions(n, l->out_level) * l->co);
        cpu_demand(n, l->act, (out + 2) * positions(n, l->out_level) * l->co);
        for (at = l->run.frames; l->conv && at > 0; at--) {             /* the cut, and with it the work space, changes with the number of frames */
            const int64_t work = (l->run.frames = at, aopt_cpu_work(l->conv, &l->run));
            if (work > n->work_n) n->work_n = work;
        }
        if (l->op != LATENT_IN) total += 2 * positions(n, l->level) * l->ci;
    }
    for (i = 0; i < CPU_BUFFERS; i++) total += (n->buffer_n[i] + 15) / 16 * 16;
    n->arena = (float *)calloc((size_t)(total + n->work_n), sizeof(float));
    if (!n->arena) return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: cannot allocate %lld bytes", (long long)(total + n->work_n) * 4);
    at = (64 - (int64_t)((uintptr_t)n->arena % 64)) % 64 / 4;
    n->work = n->arena + at; at += n->work_n;
    for (i = 0; i < CPU_BUFFERS; i++) { n->buffer[i] = n->arena + at; at += (n->buffer_n[i] + 15) / 16 * 16; }
    for (i = 0; i < n->layer_n; i++) {
        cpu_layer *l = &n->plan[i];
        l->run.work = n->work;
        if (!l->conv || l->op == LATENT_IN) continue;
        l->history = n->arena + at; at += 2 * positions(n, l->level) * l->ci;
    }
    return AOPT_OK;
}

/* ---- running it ---- */

typedef struct cpu_chunk { const float *latent; int64_t channel, frames; float *video; int64_t video_channel; int first, last; } cpu_chunk;

/* Frame 0 of what a buffer holds. */
static float *cpu_at(const cpu_net *n, int buffer, int level, int C) { return buffer == ABSENT ? NULL : n->buffer[buffer] + 2 * positions(n, level) * C; }

static void cpu_latent(const cpu_net *n, const cpu_chunk *c, float *to)
{
    const int64_t P = positions(n, 0);
    int64_t p;
    int k;
    for (p = 0; p < c->frames * P; p++)
        for (k = 0; k < AOPT_VAE_Z; k++) to[p * AOPT_VAE_Z + k] = c->latent[k * c->channel + p] * n->vae->std[k] + n->vae->mean[k];
}

/* Frame by frame, through the library's reference, which takes unpadded channels. */
static aopt_status cpu_attention(const cpu_net *n, const cpu_layer *l, const cpu_chunk *c, aopt_error *err)
{
    const int64_t P = positions(n, 0), C = l->run.norm.norm_c;
    float *qkv = cpu_at(n, l->from, 0, l->ci), *y = cpu_at(n, l->to, 0, l->co);
    aopt_status st = AOPT_OK;
    int64_t t, p;
    for (t = 0; t < c->frames && !st; t++, qkv += P * l->ci, y += P * l->co) {
        for (p = 1; p < P && l->ci != 3 * C; p++) memmove(qkv + p * 3 * C, qkv + p * l->ci, sizeof(float) * (size_t)(3 * C));
        st = aopt_ref_attention(qkv, P, C, y, n->threads, err);
        for (p = P - 1; p >= 0 && l->co != C; p--) {
            memmove(y + p * l->co, y + p * C, sizeof(float) * (size_t)C);
            memset(y + p * l->co + C, 0, sizeof(float) * (size_t)(l->co - C));
        }
    }
    return st;
}

/* Returns the frames that it made. */
static int64_t cpu_convolve(cpu_net *n, cpu_layer *l, const cpu_chunk *c)
{
    const int64_t frame = positions(n, l->level) * l->ci, out_frame = positions(n, l->out_level) * l->co, F = frames_at(c->frames, l->level, c->first);
    float *x = cpu_at(n, l->from, l->level, l->ci), *y = cpu_at(n, l->to, l->out_level, l->co);
    const int twice = l->op == DOUBLE_EARLY || l->op == DOUBLE_LATE;
    aopt_cpu_run r = l->run;
    r.frames = l->ft == 2 ? 2 * F - c->first : F;
    r.add_skip = l->ft == 2 && c->first;
    if (twice && c->first) {                    /* the first latent frame is not doubled, and leaves no history */
        if (l->op == DOUBLE_EARLY) memcpy(y, x, sizeof(float) * (size_t)frame);
        x += frame; y += out_frame; r.frames--;
    }
    r.x = x; r.y = y; r.y_frame = twice ? 2 * out_frame : 0;
    if (l->op == DOUBLE_LATE) r.y += out_frame;
    r.add = l->ft ? cpu_at(n, l->add, l->level, (int)l->run.add_c) : cpu_at(n, l->add, l->level, l->co);
    r.act = cpu_at(n, l->act, l->out_level, l->co);
    r.past = c->first ? 0 : 2;
    if (!c->first) memcpy(x - 2 * frame, l->history, sizeof(float) * (size_t)(2 * frame));
    if (r.frames > 0) aopt_cpu_conv_run(l->conv, &r);
    if (c->last) return r.frames;
    if (c->first && r.frames < 2) memset(x - 2 * frame, 0, sizeof(float) * (size_t)(2 * frame));
    memcpy(l->history, x + (r.frames - 2) * frame, sizeof(float) * (size_t)(2 * frame));
    return r.frames;
}

static aopt_status decode_chunk(cpu_net *n, const cpu_chunk *c, aopt_error *err)
{
    aopt_status st = AOPT_OK;
    int i;
    for (i = 0; i < n->layer_n && !st; i++) {
        cpu_layer *l = &n->plan[i];
        const double start = n->profile ? aopt_seconds() : 0;
        int64_t made = 0;
        switch (l->op) {
            case LATENT_IN: cpu_latent(n, c, cpu_at(n, l->to, 0, l->co)); break;
            case ATTENTION: st = cpu_attention(n, l, c, err); break;
            case VIDEO_OUT: aopt_cpu_video(cpu_at(n, l->from, l->level, l->ci), frames_at(c->frames, l->level, c->first), n->h << l->level, n->w << l->level, l->ci, c->video, c->video_channel, n->threads); break;
            default:        made = cpu_convolve(n, l, c);
        }
        if (n->profile) aopt_profile_add(n->profile, l->name, aopt_seconds() - start, (double)made * l->flops, 0.0);
    }
    return st;
}

static aopt_status decode_cpu(void *ctx, const aopt_tensor *latent, aopt_tensor *video, aopt_error *err)
{
    cpu_net *n = (cpu_net *)ctx;
    const int64_t P = n->h * n->w;
    aopt_status st = AOPT_OK;
    int64_t t;
    for (t = 0; t < n->T && !st; t += n->chunk) {
        cpu_chunk c;
        c.frames = n->T - t < n->chunk ? n->T - t : n->chunk;
        c.latent = (const float *)latent->data + t * P;
        c.channel = n->T * P;
        c.video = (float *)video->data + (t ? 4 * t - 3 : 0) * 256 * P;
        c.video_channel = aopt_vae_frames(n->T) * 256 * P;
        c.first = t == 0;
        c.last = t + n->chunk >= n->T;
        st = decode_chunk(n, &c, err);
    }
    return st;
}

static void close_cpu(void *ctx)
{
    cpu_net *n = (cpu_net *)ctx;
    int i;
    for (i = 0; i < n->layer_n; i++) { aopt_cpu_conv_close(n->plan[i].conv); free(n->plan[i].gamma); }
    free(n->arena);
    free(n);
}

static aopt_status build_cpu(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    cpu_net *n = (cpu_net *)calloc(1, sizeof *n);
    aopt_status st = AOPT_OK;
    if (!n) return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    n->vae = (const aopt_vae *)model->bound;
    n->T = shape->dim[1]; n->h = shape->dim[2]; n->w = shape->dim[3];
    n->threads = device->threads;
    n->profile = device->profile;
    st = n->vae->decoder.present ? cpu_plan(n, err) : aopt_fail(err, AOPT_E_MISSING, "this checkpoint has no decoder");
    if (!st) st = cpu_memory(n, err);
    if (st) { close_cpu(n); return st; }
    out->ctx = n;
    out->decode = decode_cpu;
    out->close = close_cpu;
    snprintf(out->info, sizeof out->info, "fp32 on the CPU, %s, chunks of %d latent frames", aopt_cpu_scheme_name(cpu_tuning[AOPT_VAE_STAGES - 1].conv), (int)n->chunk);
    return AOPT_OK;
}

#ifdef __CUDACC__
/* ==== GPU =============================================================================================== */
#include <cublas_v2.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

/* What may be tuned beside the plan. */
typedef struct tuning {
    int chunk;                          /* latent frames that go through the network together; 0 = the most whose layers need no parts, CHUNK if
                                           memory holds that in parts, else fewer */
    int cublas;                         /* 1 = no wgmma even where there is some */
    int64_t memory;                     /* bytes on the device that the work space may fill up to */
    int outer;                          /* latent frames that go through level 0 together, at least, where memory holds them; a chunk may be more */
    int wide;                           /* channels from which a layer takes its level's tiles; four times as many into it: tiles of time */
} tuning;
static const tuning shipped = { 0, 0, (int64_t)23400 << 20, 16, 128 };
/* Positions along a side of a Winograd tile, 4 or 6, by level.  6: 1.78 products a position instead of 2.25, and 13 dB more noise; narrow layers keep 4. */
static const int wino_tile[AOPT_VAE_STAGES] = { 4, 6, 6, 6 };
/* The same where F(4,3) along time halves the products, for another 5 to 7 dB of noise; 0: not at this level.  The GEMM then has one tap, a third of its inner
   dimension, which pays from 512 input channels on.  Level 1 takes 4: 88 rows of 720p are no multiple of 6. */
static const int over_time_tile[AOPT_VAE_STAGES] = { 0, 4, 6, 6 };
enum { TIME_TILE = 4 };
/* Low-resolution positions along a side of an upsampling's tile, 2 or 4, by the level it starts from.  4: 19 % fewer products before tiles
   that overhang the image, which at level 0 are many, and 3 dB more noise. */
static const int up_tile[AOPT_VAE_STAGES - 1] = { 2, 4, 4 };
enum { CHUNK = 4 };
enum { STREAM_TOP = 6 };                            /* log2 of the largest |x| of a stream, as calibrated: fp16 ends at 2^16 */

/* What lies between layers, fp16 channels-last, for each level.  X: a stage's input; Y: the stream inside a stage, with two frames of
   room in front; T: inside a block. */
enum { NONE = -1, LATENT, X, Y = X + AOPT_VAE_STAGES, T = Y + AOPT_VAE_STAGES, BUFFERS = T + AOPT_VAE_STAGES };
/* Values that share a power of two, in the order of computation: scale 1 + 2*level is a level's stream, the next one the inside of its blocks. */
enum { LATENT_SCALE, SCALES = 9 };

typedef enum scheme {
    POINT_IN,       /* the latent's mean and std and its 1x1 convolution, in f32 */
    WINOGRAD,       /* 3x3x3, of silu(norm(x)) or of x: F(m x m,3x3) over height and width, m by level; time taps in the GEMM, or F(4,3) over time */
    POINT,          /* 1x1 */
    QKV, ATTEND, PROJECT,
    TIME,           /* 3x1x1 */
    UPSAMPLE,       /* nearest 2x and 3x3 as 25 products per 2x2 positions or 81 per 4x4, and the stage's shortcut */
    HEAD            /* 3x3x3 to 12 channels, clamp, video */
} scheme;

typedef struct layer {
    char name[40];
    scheme how;
    int level, from, to, add;           /* buffers; add: residual */
    const aopt_conv_weights *w;         /* read while building */
    const aopt_norm_weights *norm;
    int tile, time_tile;                /* WINOGRAD: positions along a side of a tile; frames of one, TIME_TILE or 0 */
    int groups;                         /* parts of the output channels that are padded each on its own */
    int in_scale, out_scale;            /* NONE: normalised, or not kept times anything */
    int shortcut, ratio, factor_t;      /* UPSAMPLE: the buffer of the stage's input, its channels over the output's, frames per frame */
    int up_tile;                        /* UPSAMPLE: 2 or 4 */
    int ci, co, norm_co;                /* channels, padded to multiples of 8; norm_co: real ones of the output */
    int shortcut_c;
    int act_out, act_in;                /* writes, reads silu(norm) of the stream instead of the stream, for the layer that follows alone */
    int64_t H, W;                       /* of the input */
    int x_is_dead;                      /* the stage's input is not read from here on: work space */
    int64_t work_at, room;              /* its work space, bytes in `space` */
    int part;                           /* frames that the work space holds at a time */
    float first_unit;                   /* WINOGRAD over time: 2^-s of the weights that the clip's first frame takes */
    int64_t gamma_at, bias_at, matrix_at;       /* in `params`; -1: none */
    float unit;                         /* 2^-s of the weights */
    __half *u, *history;                /* history: the last two frames of the input; of WINOGRAD without a time tile of the transformed one */
    float *history_r;
    int spare;                          /* of the gpu's spares, the one that the last two frames go to, to be the history of the next chunk; NONE: none is kept, or it is copied */
    int in_tail, out_tail, add_tail;    /* the layer to whose spare the last two frames of the input, the output, the residual went, or NONE: they are in the buffer */
} layer;

enum { LAYERS = 64 };
typedef struct gpu {
    layer plan[LAYERS];
    int layer_n;
    int64_t T, h, w;
    int chunk, outer, wide;
    int over_time;                      /* the device has the shared memory for tiles of time */
    __half *buffer[BUFFERS];
    float *r[BUFFERS];
    __half *spare[LAYERS];              /* as many as there are sizes of what is looked back at */
    int64_t spare_n[LAYERS];            /* elements; 0: unused */
    int64_t buffer_n[BUFFERS], r_n[BUFFERS];    /* elements */
    int exponent[SCALES];               /* a value is kept times 2^exponent */
    float *params, *host_params;        /* device; host, unscaled, with as much room again */
    int64_t params_n;
    char *arena, *space;                /* space: the buffers of the levels, and between them the work space */
    int64_t work_n;                     /* of the space */
    void *blas_work;
    cublasHandle_t blas, gemm_blas;     /* gemm_blas NULL: wgmma */
    float *top;                         /* device [SCALES], while calibrating; else NULL */
    aopt_profile *profile;
    double lap;
} gpu;

/* frames: of each level.  outer_at: latent frames of the outer chunk before this one; outer_first: the clip starts with the outer chunk. */
typedef struct chunk {
    const float *latent;
    float *video;
    int64_t latent_channel, video_channel, frames[AOPT_VAE_STAGES], outer_at;
    int first, outer_first;
} chunk;

#define TRY(call) do { const cudaError_t e_ = (call); if (e_ != cudaSuccess) return aopt_fail(err, e_ == cudaErrorMemoryAllocation ? AOPT_E_MEMORY : AOPT_E_CUDA, "%s: %s", #call, cudaGetErrorString(e_)); } while (0)
#define TRY_BLAS(call) do { const cublasStatus_t e_ = (call); if (e_ != CUBLAS_STATUS_SUCCESS) return aopt_fail(err, AOPT_E_CUDA, "%s: cuBLAS status %d", #call, (int)e_); } while (0)

static int64_t least(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
static int pad8(int c) { return (c + 7) / 8 * 8; }
/* The tile of a level's last 3x3x3 convolution: 4x4, or 4x4x4 with frames. */
static const char *tile_text(const gpu *g, int level, char (*text)[16])
{
    int i, tile = 0, time_tile = 0;
    for (i = 0; i < g->layer_n; i++) if (g->plan[i].level == level && g->plan[i].how == WINOGRAD) { tile = g->plan[i].tile; time_tile = g->plan[i].time_tile; }
    if (time_tile) snprintf(*text, sizeof *text, "%dx%dx%d", tile, tile, time_tile);
    else snprintf(*text, sizeof *text, "%dx%d", tile, tile);
    return *text;
}
static int64_t tiles_of(const layer *l) { return div_up(l->H, l->tile) * div_up(l->W, l->tile); }
static int products_of(const layer *l) { return (l->tile + 2) * (l->tile + 2) * (l->time_tile ? l->time_tile + 2 : 1); }
/* Of a 3x3x3 convolution: time taps of its GEMM; rows of a product of n frames, before and after it. */
static int gemm_taps_of(const layer *l) { return l->time_tile ? 1 : 3; }
static int64_t blocks_of(const layer *l, int64_t n) { return div_up(div_up(n, l->time_tile) * tiles_of(l), AOPT_WINO_BLOCK); }
static int64_t rows_in(const layer *l, int64_t n) { return l->time_tile ? blocks_of(l, n) * AOPT_WINO_BLOCK : n > 2 ? (n - 2) * tiles_of(l) : 0; }
static int64_t rows_out(const layer *l, int64_t n) { return l->time_tile ? rows_in(l, n) : n * tiles_of(l); }
/* Elements of a history. */
static int64_t history_n(const layer *l) { return l->how == WINOGRAD && !l->time_tile ? 2 * products_of(l) * tiles_of(l) * l->ci : 2 * l->H * l->W * l->ci; }
static int64_t align(int64_t bytes) { return (bytes + 1023) / 1024 * 1024; }
/* Of an upsampling: tiles of a frame, combinations of a tile's input, products. */
static int64_t up_tiles_of(const layer *l) { return (l->H / l->up_tile + 1) * (l->W / l->up_tile + 1); }
static int up_planes_of(const layer *l) { return (l->up_tile + 1) * (l->up_tile + 1); }
static int up_products_of(const layer *l) { return (2 * l->up_tile + 1) * (2 * l->up_tile + 1); }

/* ---- the plan ---- */

static layer *add_layer(gpu *g, scheme how, const char *name, int level, int from, int to, const aopt_conv_weights *w, const aopt_norm_weights *norm)
{
    layer *l = &g->plan[g->layer_n++];
    memset(l, 0, sizeof *l);
    l->how = how;
    snprintf(l->name, sizeof l->name, "%d %s", level, name);
    l->level = level; l->from = from; l->to = to; l->add = NONE; l->shortcut = NONE;
    l->spare = l->in_tail = l->out_tail = l->add_tail = NONE;
    l->w = w; l->norm = norm;
    l->groups = how == QKV ? 3 : how == TIME ? 2 : 1;
    l->ci = w ? pad8(w->ci) : 0;
    l->norm_co = w ? w->co / l->groups : 0;
    l->co = pad8(l->norm_co) * l->groups;
    l->H = g->h << level; l->W = g->w << level;
    l->time_tile = how == WINOGRAD && norm && l->ci >= 4 * g->wide && l->co >= g->wide && g->over_time && over_time_tile[level] ? TIME_TILE : 0;
    l->tile = l->time_tile ? over_time_tile[level] : norm && l->ci >= g->wide && l->co >= g->wide ? wino_tile[level] : 4;
    l->in_scale = norm ? NONE : from == LATENT ? (int)LATENT_SCALE : 1 + 2 * level;
    l->out_scale = to >= T && how == WINOGRAD ? 2 + 2 * level : 1 + 2 * level;
    return l;
}

/* The output of `l` is read by `next`, the layer after it, alone, and only as silu(norm).  An output transform must hold all channels of a position. */
static void fuse_activation(layer *l, layer *next)
{
    if (!l->time_tile && l->co <= (l->tile == 6 ? 256 : 512)) l->act_out = next->act_in = 1;
}

static void add_block(gpu *g, int level, const aopt_resblock_weights *b, int from, int to)
{
    const char *kind = b->ci == b->co ? "3x3x3" : "3x3x3 first";
    if (b->shortcut.weight) add_layer(g, POINT, "shortcut", level, from, to, &b->shortcut, NULL);
    add_layer(g, WINOGRAD, kind, level, from, T + level, &b->conv1, &b->norm1);
    add_layer(g, WINOGRAD, "3x3x3", level, T + level, to, &b->conv2, &b->norm2)->add = b->shortcut.weight ? to : from;
}

/* Spares: what a 3x3x3 convolution looks back at is not copied.  Whoever makes the last two frames writes them into a spare instead; once they are read, the spare is the
   history and the old history the spare.  Without a time tile these are frames of the input transform.  With one they are the "tail" of the input itself: the layer before
   writes it and all that read the input read it; so has the head's, if that is an activation.  Copied are the tail of a chunk of one frame, an input that is also read by
   what knows no tails (the upsampling's shortcut), and the norm's factors, which are small. */

/* A spare of n elements.  Layers share one: from its writing to the reading that takes it no other layer runs but a shortcut's POINT. */
static int spare_of(gpu *g, int64_t n)
{
    int k;
    for (k = 0; g->spare_n[k] && g->spare_n[k] != n; k++) { }
    g->spare_n[k] = n;
    return k;
}

/* Whether all that read what layer j put into its buffer can read a tail: 3x3x3 convolutions over time, the head, and what takes each frame alone. */
static int tail_fits(const gpu *g, int j)
{
    const int buffer = g->plan[j].to;
    int k;
    for (k = j + 1; k < g->layer_n; k++) {
        const layer *l = &g->plan[k];
        if ((l->from == buffer || l->add == buffer || l->shortcut == buffer || (l->to == buffer && l->how == PROJECT)) && !l->time_tile && l->how != POINT &&
            !(l->how == HEAD && l->act_in)) return 0;
        if (l->to == buffer) break;
    }
    return 1;
}

/* Give layer i's input a tail, if the layer that makes it can write one. */
static void link_tail(gpu *g, int i)
{
    layer *l = &g->plan[i];
    int j, k;
    for (j = i - 1; j >= 0 && g->plan[j].to != l->from; j--) { }
    if (j < 0 || (!g->plan[j].time_tile && !g->plan[j].act_out && g->plan[j].how != UPSAMPLE) || !tail_fits(g, j)) return;
    l->spare = spare_of(g, history_n(l));
    g->plan[j].out_tail = i;
    for (k = j + 1; k < g->layer_n; k++) {
        if (g->plan[k].from == l->from) g->plan[k].in_tail = i;
        if (g->plan[k].add == l->from) g->plan[k].add_tail = i;
        if (g->plan[k].to == l->from) break;
    }
}

static void make_plan(gpu *g, const aopt_vae *vae)
{
    const aopt_coder_weights *d = &vae->decoder;
    const aopt_attention_weights *a = &d->middle1;
    int i, j;
    layer *l;

    add_layer(g, POINT_IN, "latent", 0, NONE, LATENT, &vae->conv2, NULL)->out_scale = LATENT_SCALE;
    add_layer(g, WINOGRAD, "conv1", 0, LATENT, X, &d->conv1, NULL);
    add_block(g, 0, &d->middle0, X, X);
    l = add_layer(g, QKV, "qkv", 0, X, T, &a->to_qkv, &a->norm); l->out_scale = NONE;
    l = add_layer(g, ATTEND, "attention", 0, T, Y, NULL, NULL); l->ci = pad8(a->c); l->co = l->ci; l->norm_co = a->c; l->out_scale = NONE;
    l = add_layer(g, PROJECT, "projection", 0, Y, X, &a->proj, NULL); l->in_scale = NONE;
    add_block(g, 0, &d->middle2, X, X);
    for (i = 0; i < AOPT_VAE_STAGES; i++) {
        const aopt_stage_weights *s = &d->stage[i];
        for (j = 0; j < s->block_n; j++) {
            add_block(g, i, &s->block[j], j ? Y + i : X + i, Y + i);
            if (i == AOPT_VAE_STAGES - 1 && (j || s->block[j].shortcut.weight)) g->plan[g->layer_n - 1].x_is_dead = 1;
            if (i == AOPT_VAE_STAGES - 1 && j) g->plan[g->layer_n - 2].x_is_dead = 1;
        }
        if (s->factor_s == 1) break;
        if (s->factor_t == 2) add_layer(g, TIME, "time conv", i, Y + i, T + i, &s->time_conv, NULL);
        l = add_layer(g, UPSAMPLE, "upsample", i, Y + i, X + i + 1, &s->resample, NULL);
        l->shortcut = X + i; l->shortcut_c = pad8(s->ci); l->ratio = s->ci / s->co; l->factor_t = s->factor_t; l->out_scale = 1 + 2 * (i + 1);
        l->up_tile = l->ci >= g->wide ? up_tile[i] : 2;
    }
    l = add_layer(g, HEAD, "head", i, Y + i, NONE, &d->head_conv, &d->head_norm); l->out_scale = NONE; l->x_is_dead = 1;
    fuse_activation(l - 1, l);
    for (i = 0; i < g->layer_n; i++) {
        l = &g->plan[i];
        if (l->time_tile || l->act_in) link_tail(g, i);
        else if (l->how == WINOGRAD) l->spare = spare_of(g, history_n(l));
    }
}

/* NULL, or what of this model the fast layers cannot do. */
static const char *unsupported(const aopt_vae *vae)
{
    const aopt_coder_weights *d = &vae->decoder;
    int i;
    for (i = 0; i < AOPT_VAE_STAGES - 1; i++) {
        const aopt_stage_weights *s = &d->stage[i];
        if (s->factor_s != 2 || s->factor_t != (i < 2 ? 2 : 1)) return "other upsampling than 2x2x2 twice, then 1x2x2";
        if (s->ci != s->co && s->ci != 2 * s->co) return "a shortcut that is neither 1:1 nor 2:1";
    }
    return d->stage[i].factor_s != 1 || d->stage[i].factor_t != 1 || d->head_conv.co != 12 ? "another last stage" : NULL;
}

/* Bytes of work space for n frames. */
static int64_t work_bytes(const layer *l, int64_t n)
{
    const int64_t P = l->H * l->W;
    switch (l->how) {
        case WINOGRAD: return align(2 * products_of(l) * rows_in(l, n) * l->ci) + 2 * products_of(l) * rows_out(l, n) * l->co;
        case UPSAMPLE: return align(2 * up_planes_of(l) * n * up_tiles_of(l) * l->ci) + 2 * up_products_of(l) * n * up_tiles_of(l) * l->co;
        case HEAD:     return (l->act_in ? 0 : align(2 * (n + 2) * P * l->ci)) + 2 * n * P * AOPT_HEAD_ROW;
        case QKV:      return 2 * n * P * l->ci;
        case PROJECT:  return 2 * n * P * l->co;
        case ATTEND:   return align(4 * P * least(P, (1 << 26) / P + 1)) + 2 * P * least(P, (1 << 26) / P + 1);
        default:       return 0;
    }
}

/* Elements of u. */
static int64_t weights_n(const layer *l)
{
    const int64_t pair = (int64_t)l->co * l->ci;
    switch (l->how) {
        case WINOGRAD: return gemm_taps_of(l) * products_of(l) * pair;
        case UPSAMPLE: return up_products_of(l) * pair;
        case HEAD:     return 27 * 12 * (int64_t)l->ci;
        case TIME:     return 3 * pair;
        case POINT: case QKV: case PROJECT: return pair;
        default:       return 0;
    }
}

static int taps_of(const layer *l) { return l->w->kt * l->w->kh * l->w->kw; }
static int64_t most_frames(const gpu *g, int level) { return level ? (int64_t)g->chunk << (level < 2 ? level : 2) : g->outer > g->chunk ? g->outer : g->chunk; }
static int64_t frames_out(const gpu *g, const layer *l) { return most_frames(g, l->how == UPSAMPLE ? l->level + 1 : l->level); }
static int has_front(int buffer) { return buffer >= Y && buffer < T && buffer != Y + 2; }     /* what the GEMM reads with time taps */

static void demand(gpu *g, int buffer, int64_t frames, int64_t elsewhere, int64_t P, int C)
{
    if (buffer < 0) return;
    if ((frames - elsewhere) * P * C > g->buffer_n[buffer]) g->buffer_n[buffer] = (frames - elsewhere) * P * C;
    if (frames * P > g->r_n[buffer]) g->r_n[buffer] = frames * P;
}

static char *take(char *base, int64_t *used, int64_t bytes)
{
    char *p = base ? base + *used : NULL;
    *used += align(bytes);
    return p;
}

/* ---- the space: buffers of level 0 first, which outlast the chunks inside an outer one; then level 2 and Y and T of level 3 upwards, and
   from the end level 1 and X of level 3 downwards.  So an upsampling reads from one end and writes to the other, and whatever lies between
   the buffers in use is work space. ---- */

static int64_t buffer_bytes(const gpu *g, int buffer) { return align(2 * g->buffer_n[buffer]); }
/* Bytes of the levels' buffers at the start and at the end of the space that are in use when a layer of this level runs. */
static int64_t at_start(const gpu *g, int level) { return level == 2 ? buffer_bytes(g, X + 2) + buffer_bytes(g, Y + 2) + buffer_bytes(g, T + 2) : level == 3 ? buffer_bytes(g, Y + 3) + buffer_bytes(g, T + 3) : 0; }
static int64_t at_end(const gpu *g, int level) { return level == 1 ? buffer_bytes(g, X + 1) + buffer_bytes(g, Y + 1) + buffer_bytes(g, T + 1) : level == 3 ? buffer_bytes(g, X + 3) : 0; }
static int64_t level0_bytes(const gpu *g) { return buffer_bytes(g, LATENT) + buffer_bytes(g, X) + buffer_bytes(g, Y) + buffer_bytes(g, T); }
static void in_use(const gpu *g, const layer *l, int64_t *start, int64_t *end)
{
    *start = level0_bytes(g) + at_start(g, l->level);
    *end = l->x_is_dead ? 0 : at_end(g, l->level);
    if (l->how != UPSAMPLE) return;
    if (l->level == 1) *start += buffer_bytes(g, X + 2);
    else *end += l->level ? buffer_bytes(g, X + 3) : at_end(g, 1);
}

/* Buffers into the space, base NULL or not; work space of each layer. */
static void place_buffers(gpu *g, char *base)
{
    static const int up[] = { LATENT, X, Y, T, NONE, X + 2, Y + 2, T + 2, NONE, Y + 3, T + 3, NONE }, down[] = { X + 1, Y + 1, T + 1, NONE, X + 3, NONE };
    const int64_t level0 = level0_bytes(g);
    int64_t at = 0;
    int i;
    for (i = 0; i < (int)(sizeof up / sizeof *up); i++) {
        if (up[i] == NONE) { at = level0; continue; }
        g->buffer[up[i]] = (__half *)(base + at);
        at += buffer_bytes(g, up[i]);
    }
    for (i = 0, at = g->work_n; i < (int)(sizeof down / sizeof *down); i++) {
        if (down[i] == NONE) { at = g->work_n; continue; }
        at -= buffer_bytes(g, down[i]);
        g->buffer[down[i]] = (__half *)(base + at);
    }
}

/* Lay out the device memory but the space; base NULL only counts. */
static int64_t place(gpu *g, char *base)
{
    int64_t used = 0;
    int i;
    for (i = 0; i < BUFFERS; i++) g->r[i] = (float *)take(base, &used, 4 * g->r_n[i]);
    for (i = 0; i < LAYERS; i++) g->spare[i] = (__half *)take(base, &used, 2 * g->spare_n[i]);
    for (i = 0; i < g->layer_n; i++) {
        layer *l = &g->plan[i];
        const int64_t P = l->H * l->W;
        const int keeps = l->how == WINOGRAD || l->how == TIME || l->how == HEAD;
        l->u = (__half *)take(base, &used, 2 * weights_n(l));
        l->history = keeps ? (__half *)take(base, &used, 2 * history_n(l)) : NULL;
        l->history_r = keeps && l->norm && l->time_tile ? (float *)take(base, &used, 8 * P) : NULL;
    }
    g->params = (float *)take(base, &used, 4 * g->params_n);
    g->blas_work = take(base, &used, 32 << 20);
    return used;
}

/* Frames that a buffer needs no room for, though r does; chunks of one frame, which have no tail, must find theirs. */
static int64_t tail_frames(int64_t frames, int tail_of) { return tail_of != NONE && frames > 2 ? 2 : 0; }

/* Sizes of everything; no device needed.  Returns the least and the most space that the plan can use. */
static void measure(gpu *g, int64_t *least_space, int64_t *most_space)
{
    int64_t start, end, bytes;
    int i;
    *least_space = *most_space = 1;
    for (i = 0; i < g->layer_n; i++) {
        layer *l = &g->plan[i];
        const int64_t F = most_frames(g, l->level), P = l->H * l->W, out = frames_out(g, l);
        demand(g, l->from, F + (has_front(l->from) ? 2 : 0), tail_frames(F, l->in_tail), P, l->ci * (l->how == ATTEND ? 3 : 1));
        demand(g, l->to, out + (has_front(l->to) ? 2 : 0), tail_frames(out, l->out_tail), l->how == UPSAMPLE ? 4 * P : P, l->co);
        l->gamma_at = l->norm ? g->params_n : -1; g->params_n += l->norm ? l->ci : 0;
        l->bias_at = l->w ? g->params_n : -1; g->params_n += l->co;
        l->matrix_at = l->how == POINT_IN ? g->params_n : -1; g->params_n += l->how == POINT_IN ? l->ci * l->co : 0;
        g->params_n = (g->params_n + 3) / 4 * 4;
    }
    for (i = 0; i < g->layer_n; i++) {
        layer *l = &g->plan[i];
        in_use(g, l, &start, &end);
        bytes = start + end + align(work_bytes(l, least(frames_out(g, l), 2)));
        if (bytes > *least_space) *least_space = bytes;
        bytes = l->w ? 4 * (int64_t)l->co * l->ci * taps_of(l) : 0;                /* weights pass through the space */
        if (bytes > *least_space) *least_space = bytes;
        bytes = start + end + align(work_bytes(l, frames_out(g, l)));
        if (bytes > *most_space) *most_space = bytes;
    }
    bytes = level0_bytes(g) + at_start(g, 3) + at_end(g, 3);
    if (bytes > *least_space) *least_space = bytes;
    *least_space = align(*least_space);
    if (*most_space < *least_space) *most_space = *least_space;
}

/* Work space of each layer, and parts of about equal size that fit into it; even ones where frames come in pairs, whole tiles of time. */
static void cut(gpu *g)
{
    int64_t end;
    int i;
    for (i = 0; i < g->layer_n; i++) {
        layer *l = &g->plan[i];
        const int64_t F = frames_out(g, l), even = l->how == UPSAMPLE && l->factor_t == 2 ? 2 : l->time_tile ? l->time_tile : 1;
        int64_t n = div_up(F, even) * even;
        in_use(g, l, &l->work_at, &end);
        l->room = g->work_n - l->work_at - end;
        while (n > even && work_bytes(l, n) > l->room) n -= even;
        l->part = (int)(div_up(div_up(F, div_up(F, n)), even) * even);
    }
}

/* ---- running it ---- */

/* Profile: the time since the last call goes to this step. */
static void lap(gpu *g, const layer *l, const char *what, double flops)
{
    char name[64];
    double now;
    if (!g->profile) return;
    cudaDeviceSynchronize();
    now = aopt_seconds();
    snprintf(name, sizeof name, "%s%s%s", l->name, *what ? ", " : "", what);
    aopt_profile_add(g->profile, name, now - g->lap, flops, 0.0);
    g->lap = aopt_seconds();
}

static __half *data(const gpu *g, const layer *l, int buffer, int C) { return g->buffer[buffer] + (has_front(buffer) ? 2 * l->H * l->W * C : 0); }
static char *work(const gpu *g, const layer *l) { return g->space + l->work_at; }
static float power(const gpu *g, int scale) { return scale == NONE ? 1.0f : (float)ldexp(1.0, g->exponent[scale]); }
static float alpha_of(const gpu *g, const layer *l) { return l->unit * power(g, l->out_scale) / power(g, l->in_scale); }

static aopt_tapgemm tapgemm(int64_t batch, int64_t frames, int64_t rows, int n, int k, int taps, const __half *a, const __half *w, __half *c)
{
    aopt_tapgemm t;
    memset(&t, 0, sizeof t);
    t.batch = batch; t.frames = frames; t.rows = rows; t.n = n; t.k = k; t.taps = taps; t.alpha = 1.0f;
    t.a = a; t.a_row = k; t.a_batch = (frames + taps - 1) * rows * k;
    t.w = w; t.w_row = k; t.w_batch = (int64_t)taps * n * k;
    t.c = c; t.c_row = pad8(n); t.c_batch = frames * rows * t.c_row;
    return t;
}

static aopt_status gemm(const gpu *g, int64_t frames, int64_t rows, int n, int k, int taps, const __half *a, const __half *w, __half *c, float alpha, const float *bias, aopt_error *err)
{
    aopt_tapgemm t = tapgemm(1, frames, rows, n, k, taps, a, w, c);
    t.alpha = alpha; t.bias = bias;
    return aopt_cuda_tapgemm(g->gemm_blas, &t, 0, err);
}

/* All products of n frames of a 3x3x3 convolution; without a time tile after those in `before`, NULL at the start of a clip, and the last two of `last`. */
static aopt_status winograd_gemm(const gpu *g, const layer *l, int64_t n, const __half *before, const __half *v, const __half *last, __half *m, aopt_error *err)
{
    aopt_tapgemm t = l->time_tile ? tapgemm(products_of(l), blocks_of(l, n), AOPT_WINO_BLOCK, l->co, l->ci, 1, v, l->u, m)
                                  : tapgemm(products_of(l), n, tiles_of(l), l->co, l->ci, 3, v, l->u, m);
    if (l->time_tile) {                         /* blocks of rows, each of all products */
        t.a_batch = t.rows * l->ci; t.a_frame = t.batch * t.a_batch;
        t.c_batch = t.rows * l->co; t.c_frame = t.batch * t.c_batch;
    } else {
        t.a_batch = rows_in(l, n) * l->ci;
        t.a_first = before; t.a_last = last;
    }
    return aopt_cuda_tapgemm(g->gemm_blas, &t, 0, err);
}

/* All products of the clip's first frame, which has only zeros before it, where the others go in tiles of time: of the six products along time the last one is the last tap's
   alone, and so are its weights those of a convolution over height and width.  v: the second of two frames. */
static aopt_status first_frame_gemm(const gpu *g, const layer *l, const __half *v, __half *m, aopt_error *err)
{
    const int64_t products = products_of(l) / AOPT_WINO_TIME_PRODUCTS, frame = tiles_of(l) * l->ci;
    aopt_tapgemm t = tapgemm(products, 1, tiles_of(l), l->co, l->ci, 1, v + frame, l->u + (AOPT_WINO_TIME_PRODUCTS - 1) * products * l->co * l->ci, m);
    t.a_batch = 2 * frame;
    return aopt_cuda_tapgemm(g->gemm_blas, &t, 0, err);
}

/* The last two of F frames of n elements become the history; frames before the clip are zeros. */
static aopt_status keep(void *history, const void *x, int64_t F, int64_t bytes, int first, aopt_error *err)
{
    char *h = (char *)history;
    if (F >= 2) { TRY(cudaMemcpyAsync(h, (const char *)x + (F - 2) * bytes, 2 * bytes, cudaMemcpyDeviceToDevice, 0)); return AOPT_OK; }
    if (first) TRY(cudaMemsetAsync(h, 0, bytes, 0));
    else TRY(cudaMemcpyAsync(h, h + bytes, bytes, cudaMemcpyDeviceToDevice, 0));
    TRY(cudaMemcpyAsync(h + bytes, x, bytes, cudaMemcpyDeviceToDevice, 0));
    return AOPT_OK;
}

/* The spare, now that the last two frames are there, becomes the history. */
static void swap_spare(gpu *g, layer *l)
{
    __half *const history = l->history;
    l->history = g->spare[l->spare];
    g->spare[l->spare] = history;
}

/* Before one frame is transformed into `last`, the last of those `before` it, or zeros, goes in front of it. */
static aopt_status keep_one(const layer *l, const __half *before, __half *last, aopt_error *err)
{
    const size_t frame = 2 * (size_t)(tiles_of(l) * l->ci), products = (size_t)products_of(l);
    if (before) TRY(cudaMemcpy2DAsync(last, 2 * frame, (const char *)before + frame, 2 * frame, frame, products, cudaMemcpyDeviceToDevice, 0));
    else TRY(cudaMemset2DAsync(last, 2 * frame, 0, frame, products, 0));
    return AOPT_OK;
}

/* Where the last two frames of a tensor lie that has a tail, before and after the layer that looks back at them has run; NULL: in the buffer.  The head's single frame too. */
static __half *tail_before(const gpu *g, int layer_at, int64_t frames) { return layer_at == NONE || (frames < 2 && g->plan[layer_at].how != HEAD) ? NULL : g->spare[g->plan[layer_at].spare]; }
static __half *tail_after(const gpu *g, int layer_at, int64_t frames) { return layer_at == NONE || frames < 2 ? NULL : g->plan[layer_at].history; }

static aopt_status run_winograd(gpu *g, layer *l, const chunk *c, aopt_error *err)
{
    const int64_t P = l->H * l->W, F = c->frames[l->level];
    const __half *x = data(g, l, l->from, l->ci);
    const float *r = l->norm ? g->r[l->from] : NULL;
    __half *y = data(g, l, l->to, l->co), *const tail = tail_before(g, l->in_tail, F), *before = c->first ? NULL : l->history;
    aopt_status st = AOPT_OK;
    int64_t f, n, deep;
    int alone;
    if (tail) swap_spare(g, l);         /* at once: the output's last frames may take the place of the history, which the first part's input has read by then */
    for (f = 0; f < F && !st; f += n) {
        aopt_wino_input in;
        aopt_wino_output out;
        memset(&in, 0, sizeof in);
        memset(&out, 0, sizeof out);
        /* Of a whole tile of time the first latent frame makes one frame, which goes alone; of level 1's half a tile too, which gets a zero frame in front: later chunks start at whole tiles. */
        alone = l->time_tile && c->first && f == 0 && l->level > 1;
        out.front = l->time_tile && c->first && f == 0 && l->level == 1;
        n = alone ? 1 : least(l->part - out.front, F - f);
        deep = out.front + n;
        if (l->time_tile && !alone) {
            in.x = x; in.r = r; in.frames = f + n; in.front = f ? -(int)f : out.front;
            in.history = before; in.r_history = before ? l->history_r : NULL;
            in.tail = tail; in.tail_at = F - 2;
        } else {
            in.x = x + f * P * l->ci; in.r = r ? r + f * P : NULL; in.frames = n;
            in.v_last = alone ? (__half *)work(g, l) : g->spare[l->spare];
            if (n == 1 && !alone) st = keep_one(l, before, in.v_last, err);
        }
        in.gamma = r ? g->params + l->gamma_at : NULL;
        in.v = (__half *)work(g, l);
        in.H = l->H; in.W = l->W; in.C = l->ci; in.tile = l->tile; in.time_tile = alone ? 0 : l->time_tile;
        out.m = (__half *)(work(g, l) + align(2 * products_of(l) * rows_in(l, deep) * l->ci));
        out.alpha = alpha_of(g, l) * (alone ? l->first_unit / l->unit : 1.0f);
        out.bias = g->params + l->bias_at;
        out.residual = l->add == NONE ? NULL : data(g, l, l->add, l->co) + f * P * l->co;
        out.y = y + f * P * l->co;
        out.r = g->r[l->to] + f * P;
        out.frames = n; out.H = l->H; out.W = l->W; out.C = l->co; out.norm_c = l->norm_co; out.tile = l->tile; out.time_tile = in.time_tile;
        out.gamma = l->act_out ? g->params + l[1].gamma_at : NULL;
        if (!alone) { out.residual_tail = tail_after(g, l->add_tail, F); out.y_tail = tail_before(g, l->out_tail, F); out.tail_at = F - 2 - f; }      /* alone it is none of the last two, or the only one */
        if (!st) st = aopt_cuda_wino_input(&in, 0, err);
        lap(g, l, "input", 0.0);
        if (!st) st = alone ? first_frame_gemm(g, l, in.v_last, (__half *)out.m, err) : winograd_gemm(g, l, deep, before, in.v, in.v_last, (__half *)out.m, err);
        lap(g, l, "gemm", 2.0 * l->co * l->ci * (alone ? (double)(products_of(l) / AOPT_WINO_TIME_PRODUCTS * tiles_of(l)) : gemm_taps_of(l) * products_of(l) * (double)rows_out(l, deep)));
        if (!l->time_tile) { swap_spare(g, l); before = l->history; }
        if (!st) st = aopt_cuda_wino_output(&out, 0, err);
        lap(g, l, "output", 0.0);
    }
    if (!st && l->time_tile && !tail) st = keep(l->history, x, F, 2 * P * l->ci, c->first, err);
    if (!st && l->time_tile) st = keep(l->history_r, r, F, 4 * P, c->first, err);
    lap(g, l, "history", 0.0);
    return st;
}

/* A time convolution skips the clip's first frame and starts from zeros at the second: frame 0 moves out of the way for the upsampling. */
static aopt_status run_time(gpu *g, const layer *l, const chunk *c, aopt_error *err)
{
    const int64_t P = l->H * l->W, frame = P * l->ci, F = c->frames[l->level] - (c->first ? 1 : 0);
    __half *front = g->buffer[l->from];         /* two frames, then the stream */
    aopt_status st = AOPT_OK;
    if (c->first) {
        TRY(cudaMemcpyAsync(front, front + 2 * frame, 2 * frame, cudaMemcpyDeviceToDevice, 0));
        TRY(cudaMemsetAsync(front + frame, 0, 4 * frame, 0));
    } else {
        TRY(cudaMemcpyAsync(front, l->history, 4 * frame, cudaMemcpyDeviceToDevice, 0));
    }
    TRY(cudaMemcpyAsync(l->history, front + c->frames[l->level] * frame, 4 * frame, cudaMemcpyDeviceToDevice, 0));
    if (F > 0) st = gemm(g, F, P, l->co, l->ci, 3, front + (c->first ? frame : 0), l->u, g->buffer[l->to], alpha_of(g, l), g->params + l->bias_at, err);
    lap(g, l, "", 6.0 * (double)(F * P) * l->co * l->ci);
    return st;
}

/* The stage's frame that a chunk starts with; only level 0's buffers hold more than the chunk. */
static int64_t stage_frame(const layer *l, const chunk *c) { return l->level ? 0 : c->outer_at; }

/* Frames f to f+n of the upsampling's input into v. */
static aopt_status upsample_input(gpu *g, const layer *l, int64_t f, int64_t n, const chunk *c, __half *v, aopt_error *err)
{
    const int64_t P = l->H * l->W, R = up_tiles_of(l), plane = n * R * l->ci;
    aopt_upsample_input in;
    aopt_status st = AOPT_OK;
    memset(&in, 0, sizeof in);
    in.v = v; in.v_plane = plane; in.frames = n; in.H = l->H; in.W = l->W; in.C = l->ci; in.phases = l->factor_t; in.tile = l->up_tile;
    if (l->factor_t == 1) in.x = data(g, l, l->from, l->ci) + f * P * l->ci;
    else if (!c->first) in.x = g->buffer[T + l->level] + (f + 2 * stage_frame(l, c) - (!l->level && c->outer_first ? 2 : 0)) * P * l->ci;
    else if (f) in.x = g->buffer[T + l->level] + (f - 1) * P * l->ci;
    else {                                      /* the clip's first frame, which no time convolution saw */
        in.x = g->buffer[l->from];
        in.frames = in.phases = 1;
        st = aopt_cuda_upsample_input(&in, 0, err);
        if (n == 1 || st) return st;
        in.x = g->buffer[T + l->level];
        in.frames = n - 1; in.phases = 2;
        in.v = v + R * l->ci;
    }
    return aopt_cuda_upsample_input(&in, 0, err);
}

static aopt_status run_upsample(gpu *g, const layer *l, const chunk *c, aopt_error *err)
{
    const int64_t P = l->H * l->W, F = c->frames[l->level + 1], R = up_tiles_of(l), skip = c->first ? l->factor_t - 1 : 0;
    aopt_status st = AOPT_OK;
    int64_t f, n;
    for (f = 0; f < F && !st; f += n) {
        __half *v = (__half *)work(g, l), *m;
        aopt_upsample_output out;
        n = least(l->part - (f == 0 ? skip : 0), F - f);        /* parts start at the earlier frame of a pair */
        m = (__half *)(work(g, l) + align(2 * up_planes_of(l) * n * R * l->ci));
        memset(&out, 0, sizeof out);
        out.m = m; out.alpha = alpha_of(g, l); out.bias = g->params + l->bias_at;
        out.shortcut = g->buffer[l->shortcut] + (stage_frame(l, c) + (f + skip) / l->factor_t) * P * l->shortcut_c;
        out.shortcut_scale = power(g, l->out_scale) / power(g, l->in_scale);
        out.shortcut_c = l->shortcut_c; out.ratio = l->ratio;
        out.factor_t = l->factor_t; out.skip = (int)((f + skip) % l->factor_t);
        out.y = g->buffer[l->to] + f * 4 * P * l->co; out.r = g->r[l->to] + f * 4 * P;
        out.frames = n; out.H = l->H; out.W = l->W; out.C = l->co; out.norm_c = l->norm_co; out.tile = l->up_tile;
        out.y_tail = tail_before(g, l->out_tail, F); out.tail_at = F - 2 - f;
        st = upsample_input(g, l, f, n, c, v, err);
        lap(g, l, "input", 0.0);
        if (!st) st = aopt_cuda_upsample_gemm_tile(g->gemm_blas, v, n * R * l->ci, l->u, m, n * R, l->ci, l->co, l->up_tile, 0, err);
        lap(g, l, "gemm", 2.0 * up_products_of(l) * (double)(n * R) * l->co * l->ci);
        if (!st) st = aopt_cuda_upsample_output(&out, 0, err);
        lap(g, l, "output", 0.0);
    }
    return st;
}

/* softmax(q k / sqrt(C)) v per frame, q in groups that bound the scores; scores in f32, probabilities in fp16 times 2^15. */
static aopt_status run_attention(gpu *g, const layer *l, const chunk *c, aopt_error *err)
{
    const int64_t P = l->H * l->W, group = least(P, (1 << 26) / P + 1);
    const int C = l->ci, row = 3 * C;
    const float one = 1.0f, zero = 0.0f, down = 1.0f / 32768.0f;
    float *scores = (float *)work(g, l);
    __half *p = (__half *)(work(g, l) + align(4 * P * group)), *y = data(g, l, l->to, C);
    int64_t f, q;
    for (f = 0; f < c->frames[0]; f++)
        for (q = 0; q < P; q += group) {
            const __half *x = g->buffer[l->from] + f * P * row;
            const int n = (int)least(group, P - q);
            aopt_status st;
            TRY_BLAS(cublasGemmEx(g->blas, CUBLAS_OP_T, CUBLAS_OP_N, (int)P, n, C, &one, x + C, CUDA_R_16F, row, x + q * row, CUDA_R_16F, row, &zero,
                                  scores, CUDA_R_32F, (int)P, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
            st = aopt_cuda_softmax_half(scores, p, n, P, 1.0f / sqrtf((float)l->norm_co), 32768.0f, 0, err);
            if (st) return st;
            TRY_BLAS(cublasGemmEx(g->blas, CUBLAS_OP_N, CUBLAS_OP_N, C, n, (int)P, &down, x + 2 * C, CUDA_R_16F, row, p, CUDA_R_16F, (int)P, &zero,
                                  y + (f * P + q) * C, CUDA_R_16F, C, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
        }
    lap(g, l, "", 4.0 * (double)(c->frames[0] * P * P) * C);
    return AOPT_OK;
}

/* The head's GEMM of an activation whose last two frames are in the spare: parts read what is before and after them there, in the history or in the buffer. */
static aopt_status head_gemm(gpu *g, const layer *l, const chunk *c, const __half *x, int64_t f, int64_t n, __half *m, aopt_error *err)
{
    const int64_t P = l->H * l->W, frame = P * l->ci, F = c->frames[l->level];
    aopt_tapgemm t = tapgemm(1, n, P, AOPT_HEAD_N, l->ci, 3, x + f * frame, l->u, m);
    t.a_first = f ? x + (f - 2) * frame : c->first ? NULL : l->history;
    t.a_last = f + n == F ? g->spare[l->spare] : x + (f + n - 2) * frame;
    return aopt_cuda_tapgemm(g->gemm_blas, &t, 0, err);
}

static aopt_status run_head(gpu *g, layer *l, const chunk *c, aopt_error *err)
{
    const int64_t P = l->H * l->W, frame = P * l->ci, F = c->frames[l->level];
    const __half *x = data(g, l, l->from, l->ci);
    __half *act = (__half *)work(g, l), *m;
    aopt_status st = AOPT_OK;
    int64_t f, n;
    if (l->act_in && F == 1) {                  /* a single frame's history is one of before and itself */
        if (c->first) TRY(cudaMemsetAsync(g->spare[l->spare], 0, 2 * frame, 0));
        else TRY(cudaMemcpyAsync(g->spare[l->spare], l->history + frame, 2 * frame, cudaMemcpyDeviceToDevice, 0));
    }
    if (!l->act_in && c->first) TRY(cudaMemsetAsync(l->history, 0, 4 * frame, 0));
    for (f = 0; f < F && !st; f += n) {
        n = least(l->part, F - f);
        if (F - f - n == 1 && n > 1) n--;       /* a last part holds the whole tail */
        m = (__half *)(work(g, l) + (l->act_in ? 0 : align(2 * (n + 2) * frame)));
        if (!l->act_in) {
            TRY(cudaMemcpyAsync(act, l->history, 4 * frame, cudaMemcpyDeviceToDevice, 0));
            st = aopt_cuda_norm_silu(x + f * frame, g->r[l->from] + f * P, g->params + l->gamma_at, act + 2 * frame, n * P, l->ci, 0, err);
        }
        lap(g, l, "input", 0.0);
        if (!st) st = l->act_in ? head_gemm(g, l, c, x, f, n, m, err) : gemm(g, n, P, AOPT_HEAD_N, l->ci, 3, act, l->u, m, 1.0f, NULL, err);
        lap(g, l, "gemm", 6.0 * (double)(n * P) * AOPT_HEAD_N * l->ci);
        if (!st) st = aopt_cuda_head(m, alpha_of(g, l), g->params + l->bias_at, c->video + f * 4 * P, c->video_channel, n, l->H, l->W, 0, err);
        if (!l->act_in) TRY(cudaMemcpyAsync(l->history, act + n * frame, 4 * frame, cudaMemcpyDeviceToDevice, 0));
        lap(g, l, "output", 0.0);
    }
    if (l->act_in) swap_spare(g, l);
    return st;
}

static aopt_status run_point(gpu *g, const layer *l, const chunk *c, aopt_error *err)
{
    const int64_t n = c->frames[l->level] * l->H * l->W;
    __half *scratch = (__half *)work(g, l);
    aopt_status st = AOPT_OK;
    if (l->how == POINT_IN)
        st = aopt_cuda_point_in(c->latent, c->latent_channel, g->params + l->matrix_at, g->params + l->bias_at, g->buffer[LATENT], n, l->ci, l->co, 0, err);
    else if (l->how == POINT) {
        const __half *const tail = tail_before(g, l->in_tail, c->frames[l->level]);
        const int64_t last = tail ? 2 * l->H * l->W : 0;
        __half *const y = data(g, l, l->to, l->co);
        if (n > last) st = gemm(g, 1, n - last, l->co, l->ci, 1, data(g, l, l->from, l->ci), l->u, y, alpha_of(g, l), g->params + l->bias_at, err);
        if (tail && !st) st = gemm(g, 1, last, l->co, l->ci, 1, tail, l->u, y + (n - last) * l->co, alpha_of(g, l), g->params + l->bias_at, err);
    }
    else if (l->how == QKV) {
        st = aopt_cuda_norm(g->buffer[l->from], g->r[l->from], g->params + l->gamma_at, scratch, n, l->ci, 0, err);
        if (!st) st = gemm(g, 1, n, l->co, l->ci, 1, scratch, l->u, g->buffer[l->to], alpha_of(g, l), g->params + l->bias_at, err);
    } else {
        st = gemm(g, 1, n, l->co, l->ci, 1, data(g, l, l->from, l->ci), l->u, scratch, alpha_of(g, l), g->params + l->bias_at, err);
        if (!st) st = aopt_cuda_add_norm(g->buffer[l->to], scratch, g->buffer[l->to], g->r[l->to], n, l->co, l->norm_co, 0, err);
    }
    lap(g, l, "", 2.0 * (double)n * l->ci * l->co);
    return st;
}

static aopt_status run_layer(gpu *g, layer *l, const chunk *c, aopt_error *err)
{
    switch (l->how) {
        case WINOGRAD: return run_winograd(g, l, c, err);
        case ATTEND:   return run_attention(g, l, c, err);
        case TIME:     return run_time(g, l, c, err);
        case UPSAMPLE: return run_upsample(g, l, c, err);
        case HEAD:     return run_head(g, l, c, err);
        default:       return run_point(g, l, c, err);
    }
}

static aopt_status run_layers(gpu *g, const chunk *c, int from, int to, aopt_error *err)
{
    aopt_status st = AOPT_OK;
    int i;
    if (g->profile) { cudaDeviceSynchronize(); g->lap = aopt_seconds(); }
    for (i = from; i < to && !st; i++) {
        layer *l = &g->plan[i];
        st = run_layer(g, l, c, err);
        if (!st && g->top && l->out_scale != NONE && !l->act_out) {
            const int64_t F = c->frames[l->how == UPSAMPLE ? l->level + 1 : l->level] - (l->how == TIME && c->first ? 1 : 0), frame = l->H * l->W * l->co * (l->how == UPSAMPLE ? 4 : 1);
            const __half *const tail = tail_before(g, l->out_tail, F);
            const int64_t last = tail ? 2 : 0;
            if (F > last) st = aopt_cuda_max_abs(data(g, l, l->to, l->co), (F - last) * frame, g->top + l->out_scale, 0, err);
            if (tail && !st) st = aopt_cuda_max_abs(tail, last * frame, g->top + l->out_scale, 0, err);
        }
    }
    return st;
}

/* Latent frames at .. at + n of T: level 0 for all of them, the rest chunk by chunk. */
static aopt_status run_outer(gpu *g, const float *latent, int64_t T_all, int64_t at, int64_t n, float *video, aopt_error *err)
{
    const int64_t hw = g->h * g->w;
    aopt_status st;
    int64_t done, m;
    int i, inner;
    chunk c;
    for (inner = 0; g->plan[inner].how != UPSAMPLE; inner++) { }
    c.latent = latent + at * hw;
    c.latent_channel = T_all * hw;
    c.video_channel = aopt_vae_frames(T_all) * 256 * hw;
    c.first = c.outer_first = at == 0;
    c.outer_at = 0;
    c.frames[0] = n;
    st = run_layers(g, &c, 0, inner, err);
    for (done = 0; done < n && !st; done += m) {
        m = least(g->chunk, n - done);
        c.outer_at = done;
        c.video = video + (at + done ? 4 * (at + done) - 3 : 0) * 256 * hw;
        c.first = at + done == 0;
        for (i = 0; i < AOPT_VAE_STAGES; i++) c.frames[i] = i < 3 ? (m << i) - (c.first ? (1 << i) - 1 : 0) : c.frames[2];
        st = run_layers(g, &c, inner, g->layer_n, err);
    }
    return st;
}

static aopt_status decode_gpu(void *ctx, const aopt_tensor *latent, aopt_tensor *video, aopt_error *err)
{
    gpu *g = (gpu *)ctx;
    aopt_status st = AOPT_OK;
    int64_t at, n;
    for (at = 0; at < g->T && !st; at += n) {
        n = least(most_frames(g, 0), g->T - at);
        st = run_outer(g, (const float *)latent->data, g->T, at, n, (float *)video->data, err);
    }
    return st;
}

/* ---- building it ---- */

/* f32 [co][ci][taps] with channels padded by zeros, outputs group by group. */
static void pad_weights(const layer *l, const float *w, float *out)
{
    const int real = l->w->co / l->groups, taps = taps_of(l), padded = (l->how == HEAD ? 12 : l->co / l->groups);
    int o, i;
    memset(out, 0, sizeof(float) * (size_t)padded * (size_t)l->groups * (size_t)l->ci * (size_t)taps);
    for (o = 0; o < l->w->co; o++)
        for (i = 0; i < l->w->ci; i++)
            memcpy(out + ((int64_t)(o / real * padded + o % real) * l->ci + i) * taps, w + ((int64_t)o * l->w->ci + i) * taps, sizeof(float) * (size_t)taps);
}

/* u of a layer.  host: room for the weights twice. */
static aopt_status upload_weights(gpu *g, layer *l, float *host, aopt_error *err)
{
    static double wino[AOPT_WINO_TIME_PRODUCTS * AOPT_WINO6_PRODUCTS * 27], space[AOPT_WINO6_PRODUCTS * 9], carry[36 * AOPT_WINO6_PRODUCTS * AOPT_WINO6_PRODUCTS], up[AOPT_UPSAMPLE4_PRODUCTS * 9], head[AOPT_HEAD_PRODUCTS * 9], one = 1.0;
    const int64_t n = aopt_tensor_numel(l->w->weight), co = l->how == HEAD ? 12 : l->co;
    float *padded = host + (int64_t)l->co * l->ci * taps_of(l);
    aopt_conv_form form;
    aopt_error why;
    aopt_status st = aopt_tensor_to_f32(l->w->weight, host, n, err);
    if (st) return st;
    if (co * l->ci * taps_of(l) == n) padded = host;
    else pad_weights(l, host, padded);
    TRY(cudaMemcpy(g->space, padded, sizeof(float) * (size_t)(co * l->ci * taps_of(l)), cudaMemcpyHostToDevice));
    memset(&form, 0, sizeof form);
    form.taps = l->w->kh * l->w->kw;
    form.products = 1; form.form = &one;
    if (l->how == WINOGRAD) { form.form = wino; form.products = products_of(l); form.carry = carry; aopt_wino_carry(l->tile, l->time_tile, carry); }
    if (l->how == WINOGRAD && l->time_tile) { aopt_wino_time_form(l->tile, wino); form.taps = taps_of(l); }
    else if (l->how == WINOGRAD) aopt_wino_form_tile(l->tile, wino);
    if (l->how == UPSAMPLE) { aopt_upsample_form_tile(l->up_tile, up); form.form = up; form.products = up_products_of(l); }
    if (l->how == HEAD) { aopt_head_form(head); form.form = head; form.products = AOPT_HEAD_PRODUCTS; form.frames_first = 1; }
    st = aopt_cuda_conv_weights(&form, (const float *)g->space, (int)co, l->ci, l->time_tile ? 1 : l->w->kt, l->u, &l->unit, &why);
    if (l->time_tile) {                         /* the last product of all, which is the last tap's alone, with and without the factor of time */
        aopt_wino_form_tile(l->tile, space);
        l->first_unit = l->unit * (float)(space[products_of(l) / AOPT_WINO_TIME_PRODUCTS * 9 - 1] / wino[products_of(l) * 27 - 1]);
    }
    return st ? aopt_fail(err, st, "%s: %.400s", l->w->weight->name ? l->w->weight->name : "weight", why.message) : AOPT_OK;
}

/* Bias, gamma and the latent's matrix into host_params, unscaled. */
static aopt_status load_params(gpu *g, const layer *l, const aopt_vae *vae, float *host, aopt_error *err)
{
    float *bias = g->host_params + l->bias_at;
    aopt_status st = AOPT_OK;
    int i, k;
    if (l->norm) st = aopt_tensor_to_f32(l->norm->gamma, g->host_params + l->gamma_at, l->norm->c, err);
    if (st || !l->w) return st;
    st = aopt_tensor_to_f32(l->w->bias, host, l->w->co, err);
    for (i = 0; i < l->w->co && !st; i++) bias[i / l->norm_co * (l->co / l->groups) + i % l->norm_co] = host[i];
    if (st || l->how != POINT_IN) return st;
    st = aopt_tensor_to_f32(l->w->weight, host, (int64_t)l->w->co * l->w->ci, err);
    for (i = 0; i < l->w->co && !st; i++)
        for (k = 0; k < l->w->ci; k++) {
            bias[i] += host[i * l->w->ci + k] * vae->mean[k];
            g->host_params[l->matrix_at + (int64_t)k * l->co + i] = host[i * l->w->ci + k] * vae->std[k];
        }
    return st;
}

/* host_params to the device, in the scales of now. */
static aopt_status upload_params(gpu *g, aopt_error *err)
{
    float *scaled = g->host_params + g->params_n;
    int64_t k;
    int i;
    memcpy(scaled, g->host_params, sizeof(float) * (size_t)g->params_n);
    for (i = 0; i < g->layer_n; i++) {
        const layer *l = &g->plan[i];
        if (!l->w) continue;
        for (k = 0; k < l->co; k++) scaled[l->bias_at + k] *= power(g, l->out_scale);
        for (k = 0; l->matrix_at >= 0 && k < (int64_t)l->ci * l->co; k++) scaled[l->matrix_at + k] *= power(g, l->out_scale);
    }
    TRY(cudaMemcpy(g->params, scaled, sizeof(float) * (size_t)g->params_n, cudaMemcpyHostToDevice));
    return AOPT_OK;
}

/* One clip of noise through the network; largest |x| of each scale, as kept. */
static aopt_status calibration_pass(gpu *g, float *latent, float *video, int64_t frames, float top[SCALES], aopt_error *err)
{
    aopt_status st = upload_params(g, err);
    TRY(cudaMemset(g->top, 0, SCALES * sizeof(float)));
    if (!st) st = run_outer(g, latent, frames, 0, frames, video, err);
    if (!st) TRY(cudaMemcpy(top, g->top, SCALES * sizeof(float), cudaMemcpyDeviceToHost));
    return st;
}

/* Choose the exponents: the largest |x| comes just under 2^STREAM_TOP, a thousandth of fp16's limit.  From a pass that overflowed only the first
   overflow is believed. */
static aopt_status calibrate_on(gpu *g, float *latent, float *video, int64_t frames, aopt_error *err)
{
    float top[SCALES];
    int pass, i, e;
    for (pass = 0; pass < 20; pass++) {
        aopt_status st = calibration_pass(g, latent, video, frames, top, err);
        if (st) return st;
        for (i = 0; i < SCALES && top[i] < 30000.0f; i++) { }
        if (i < SCALES) {                       /* NaN too */
            g->exponent[i] -= 8;
            if (i > 0) g->exponent[i - 1] -= 8;
            continue;
        }
        for (i = 0; i < SCALES; i++) {
            if (!(top[i] > 0.0f)) continue;
            frexp((double)top[i], &e);
            g->exponent[i] += STREAM_TOP - e;
        }
        return upload_params(g, err);
    }
    return aopt_fail(err, AOPT_E_VALUE, "calibration: activations overflow fp16 at every scale; NaN or infinity among the weights?");
}

static aopt_status calibrate(gpu *g, float *host, aopt_error *err)
{
    const int64_t frames = least(g->chunk, 2), n = AOPT_VAE_Z * frames * g->h * g->w, video_n = 3 * aopt_vae_frames(frames) * 256 * g->h * g->w;
    float *latent = NULL, *video = NULL, *top = NULL;
    aopt_profile *profile = g->profile;
    aopt_status st;
    int64_t i;
    for (i = 0; i < n; i++) host[i] = aopt_random_normal(1, (uint64_t)i);
    if (cudaMalloc((void **)&latent, (size_t)n * 4) != cudaSuccess || cudaMalloc((void **)&video, (size_t)video_n * 4) != cudaSuccess ||
        cudaMalloc((void **)&top, SCALES * sizeof(float)) != cudaSuccess || cudaMemcpy(latent, host, (size_t)n * 4, cudaMemcpyHostToDevice) != cudaSuccess)
        st = aopt_fail(err, AOPT_E_MEMORY, "calibration: no device memory for %lld frames", (long long)frames);
    else {
        g->top = top;
        g->profile = NULL;
        st = calibrate_on(g, latent, video, frames, err);
        g->top = NULL;
        g->profile = profile;
    }
    cudaFree(top); cudaFree(video); cudaFree(latent);
    return st;
}

static aopt_status load(gpu *g, const aopt_vae *vae, aopt_error *err)
{
    int64_t most = AOPT_VAE_Z * least(g->chunk, 2) * g->h * g->w, n;
    aopt_status st = AOPT_OK;
    float *host;
    int i;
    for (i = 0; i < g->layer_n; i++)
        if (g->plan[i].w && (n = 2 * (int64_t)g->plan[i].co * g->plan[i].ci * taps_of(&g->plan[i])) > most) most = n;
    host = (float *)malloc((size_t)most * sizeof(float));
    g->host_params = (float *)calloc((size_t)(2 * g->params_n), sizeof(float));
    if (!host || !g->host_params) st = aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    for (i = 0; i < g->layer_n && !st; i++) {
        st = load_params(g, &g->plan[i], vae, host, err);
        if (!st && g->plan[i].w && g->plan[i].how != POINT_IN) st = upload_weights(g, &g->plan[i], host, err);
    }
    if (!st) st = calibrate(g, host, err);
    free(host);
    return st;
}

/* The plan for chunks of up to `chunk` latent frames, pieces of about equal size unless the tuning names one; returns the bytes outside the space. */
static int64_t plan_chunks(gpu *g, const aopt_vae *vae, const tuning *t, int chunk, int64_t *least_space, int64_t *most_space)
{
    const int64_t n = least(chunk, g->T), most = least(t->outer > n ? t->outer : n, g->T);
    gpu fresh;
    memset(&fresh, 0, sizeof fresh);
    fresh.T = g->T; fresh.h = g->h; fresh.w = g->w;
    fresh.outer = (int)div_up(g->T, div_up(g->T, most));
    fresh.chunk = (int)(t->chunk ? n : div_up(fresh.outer, div_up(fresh.outer, n)));
    fresh.wide = t->wide;
    fresh.over_time = g->over_time; fresh.profile = g->profile;
    *g = fresh;
    make_plan(g, vae);
    measure(g, least_space, most_space);
    return place(g, NULL);
}

static int64_t room_for(const tuning *t, int64_t available, int64_t fixed) { return least(t->memory, available - ((int64_t)256 << 20)) - fixed; }

/* The plan that `available` bytes allow; returns its chunk.  Where not even one latent frame at a time fits, level 0 takes fewer together. */
static int choose_chunk(gpu *g, const aopt_vae *vae, const tuning *t, int64_t available, int64_t *fixed, int64_t *least_space, int64_t *most_space)
{
    tuning less = *t;
    int chunk = t->chunk ? t->chunk : (int)least(g->T, 1 << 20);
    for (;; chunk > 1 ? chunk-- : (less.outer /= 2)) {
        *fixed = plan_chunks(g, vae, &less, chunk, least_space, most_space);
        if (t->chunk || (chunk == 1 && less.outer <= 1) || (chunk <= CHUNK ? *least_space : *most_space) <= room_for(t, available, *fixed)) return g->chunk;
    }
}

static aopt_status open_gpu(gpu *g, const aopt_vae *vae, const tuning *t, aopt_error *err)
{
    int64_t least_space, most_space, fixed, room;
    size_t available, total;
    TRY(cudaMemGetInfo(&available, &total));
    g->over_time = aopt_cuda_has_wgmma();       /* and with it the shared memory */
    choose_chunk(g, vae, t, (int64_t)available, &fixed, &least_space, &most_space);
    room = room_for(t, (int64_t)available, fixed);
    g->work_n = (most_space < room ? most_space : room > least_space ? room : least_space) / 1024 * 1024;
    if ((uint64_t)(fixed + g->work_n) > available)
        return aopt_fail(err, AOPT_E_MEMORY, "the decoder needs %lld bytes of device memory, %llu of %llu are free", (long long)(fixed + g->work_n), (unsigned long long)available, (unsigned long long)total);
    cut(g);
    TRY(cudaMalloc((void **)&g->arena, (size_t)(fixed + g->work_n)));
    place(g, g->arena);
    g->space = g->arena + fixed;
    place_buffers(g, g->space);
    TRY_BLAS(cublasCreate(&g->blas));
    TRY_BLAS(cublasSetWorkspace(g->blas, g->blas_work, 32 << 20));
    g->gemm_blas = aopt_cuda_has_wgmma() && !t->cublas ? NULL : g->blas;
    return load(g, vae, err);
}

static void close_gpu(void *ctx)
{
    gpu *g = (gpu *)ctx;
    if (g->blas) cublasDestroy(g->blas);
    cudaFree(g->arena);
    free(g->host_params);
    free(g);
}

/* ---- what the fast layers cannot do: the library's fp32 decoder ---- */

typedef struct plain { aopt_cuda_vae *vae; int64_t T; } plain;

static aopt_status decode_plain(void *ctx, const aopt_tensor *latent, aopt_tensor *video, aopt_error *err)
{
    plain *p = (plain *)ctx;
    return aopt_cuda_vae_decode(p->vae, (const float *)latent->data, p->T, (float *)video->data, err);
}

static void close_plain(void *ctx)
{
    plain *p = (plain *)ctx;
    aopt_cuda_vae_close(p->vae);
    free(p);
}

static aopt_status build_plain(const aopt_vae *vae, const aopt_shape *shape, const aopt_device *device, const char *why, aopt_decoder *out, aopt_error *err)
{
    plain *p = (plain *)calloc(1, sizeof *p);
    aopt_cuda_options options;
    aopt_status st;
    if (!p) return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    memset(&options, 0, sizeof options);
    options.device = device->cuda;
    p->T = shape->dim[1];
    st = aopt_cuda_vae_decoder_open(vae, shape->dim[2], shape->dim[3], &options, &p->vae, err);
    if (st) { free(p); return st; }
    out->ctx = p;
    out->decode = decode_plain;
    out->close = close_plain;
    snprintf(out->info, sizeof out->info, "the library's fp32 decoder on the GPU: %s", why);
    return AOPT_OK;
}

static aopt_status build_fast(const aopt_vae *vae, const aopt_shape *shape, const aopt_device *device, const tuning *t, aopt_decoder *out, aopt_error *err)
{
    gpu *g = (gpu *)calloc(1, sizeof *g);
    char text[AOPT_VAE_STAGES][16];
    aopt_status st;
    if (!g) return aopt_fail(err, AOPT_E_MEMORY, "build_decoder: out of memory");
    g->T = shape->dim[1]; g->h = shape->dim[2]; g->w = shape->dim[3];
    g->profile = device->profile;
    st = open_gpu(g, vae, t, err);
    if (st) { close_gpu(g); return st; }
    out->ctx = g;
    out->decode = decode_gpu;
    out->close = close_gpu;
    snprintf(out->info, sizeof out->info, "fp16 Winograd, tiles of %s %s %s %s, %s, chunks of %d latent frames, %.1f GB on the device",
             tile_text(g, 0, &text[0]), tile_text(g, 1, &text[1]), tile_text(g, 2, &text[2]), tile_text(g, 3, &text[3]), g->gemm_blas ? "cuBLAS" : "wgmma", g->chunk, (double)(g->space - g->arena + g->work_n) * 1e-9);
    return AOPT_OK;
}

static aopt_status build_gpu(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    const aopt_vae *vae = (const aopt_vae *)model->bound;
    const char *why;
    TRY(cudaSetDevice(device->cuda));
    if (!vae->decoder.present) return aopt_fail(err, AOPT_E_MISSING, "this checkpoint has no decoder");
    why = unsupported(vae);
    return why ? build_plain(vae, shape, device, why, out, err) : build_fast(vae, shape, device, &shipped, out, err);
}
#endif /* __CUDACC__ */

aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
#ifdef __CUDACC__
    if (device->cuda != AOPT_HOST) return build_gpu(model, shape, device, out, err);
#endif
    return build_cpu(model, shape, device, out, err);
}
