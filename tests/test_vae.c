/* test_vae.c - decode and encode against the official PyTorch code, and everything the VAE promises besides: the same bits however
   a clip is cut and however many threads work, no allocation after open, honest predictions, errors that name what is wrong */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>

/* Every allocation of the library is counted. */
static int64_t live_bytes, alloc_calls;
static void *count_malloc(size_t n)
{
    int64_t *p = (int64_t *)malloc(n + 16);
    if (!p) return NULL;
    p[0] = (int64_t)n;
    live_bytes += (int64_t)n;
    alloc_calls++;
    return p + 2;
}
static void count_free(void *q)
{
    int64_t *p = (int64_t *)q;
    if (!p) return;
    live_bytes -= p[-2];
    free(p - 2);
}
static void *count_realloc(void *q, size_t n)
{
    int64_t *p;
    if (!q) return count_malloc(n);
    p = (int64_t *)realloc((int64_t *)q - 2, n + 16);
    if (!p) return NULL;
    live_bytes += (int64_t)n - p[0];
    p[0] = (int64_t)n;
    alloc_calls++;
    return p + 2;
}
#define AOPT_MALLOC(n) count_malloc(n)
#define AOPT_REALLOC(p, n) count_realloc(p, n)
#define AOPT_FREE(p) count_free(p)
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"
#include <unistd.h>

#define DECODE_LIMIT 2e-5
#define ENCODE_LIMIT 1e-4

/* ---- helpers ---- */

typedef struct model { aopt_checkpoint *ck; aopt_vae *vae; } model;

static aopt_error err;

static model model_open(const char *path)
{
    model m;
    if (aopt_checkpoint_open(path, NULL, &m.ck, &err) != AOPT_OK || aopt_vae_open(m.ck, &m.vae, &err) != AOPT_OK) {
        printf("FAIL %s\n", err.message);
        exit(1);
    }
    return m;
}

static void model_close(model *m)
{
    aopt_vae_close(m->vae);
    aopt_checkpoint_close(m->ck);
}

static aopt_checkpoint *fixture_open(const char *path)
{
    aopt_checkpoint *ck;
    if (aopt_checkpoint_open(path, NULL, &ck, &err) != AOPT_OK) { printf("FAIL %s\n", err.message); exit(1); }
    return ck;
}

/* A tensor of a fixture as f32; its shape into shape[4].  The caller frees. */
static float *take(const aopt_checkpoint *ck, const char *name, int64_t *shape)
{
    const aopt_tensor *t = aopt_checkpoint_find(ck, name);
    float *x;
    if (!t) { printf("FAIL no tensor %s in %s\n", name, aopt_checkpoint_path(ck)); exit(1); }
    x = (float *)malloc((size_t)aopt_tensor_numel(t) * sizeof *x);
    if (aopt_tensor_to_f32(t, x, aopt_tensor_numel(t), &err) != AOPT_OK) { printf("FAIL %s\n", err.message); exit(1); }
    if (shape) memcpy(shape, t->shape, 4 * sizeof *shape);
    return x;
}

static double distance(const float *a, const float *b, int64_t n)
{
    double worst = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        const double d = fabs((double)a[i] - (double)b[i]);
        if (!(d <= worst)) worst = d == d ? d : HUGE_VAL;
    }
    return worst;
}

static float *blank(int64_t n)
{
    float *x = (float *)malloc((size_t)n * sizeof *x);
    memset(x, 0xff, (size_t)n * sizeof *x);
    return x;
}

static aopt_vae_options one_thread(void)
{
    aopt_vae_options o;
    memset(&o, 0, sizeof o);
    o.threads = 1;
    return o;
}

/* ---- agreement with the official code ---- */

static void check_decode(const char *checkpoint, const char *latents, const char *latent, const char *wants, const char *decoded)
{
    model m = model_open(checkpoint);
    aopt_checkpoint *in = fixture_open(latents), *out = fixture_open(wants);
    const aopt_vae_options o = one_thread();
    int64_t z[4], v[4], n;
    float *x = take(in, latent, z), *want = take(out, decoded, v), *got;
    double d;
    n = 3 * v[1] * v[2] * v[3];
    got = blank(n);
    CHECK(v[0] == 3 && v[1] == aopt_vae_frames(z[1]) && v[2] == 16 * z[2] && v[3] == 16 * z[3], "%s: fixture of another shape", decoded);
    CHECK(aopt_vae_decode(m.vae, x, z[1], z[2], z[3], &o, got, &err) == AOPT_OK, "%s", err.message);
    d = distance(got, want, n);
    printf("    %s %s: max |difference| %.3g\n", checkpoint, decoded, d);
    CHECK(d <= DECODE_LIMIT, "off by %g, limit %g", d, DECODE_LIMIT);
    got[n / 3] += 1e-3f;
    CHECK(distance(got, want, n) > DECODE_LIMIT, "a broken pixel went unnoticed");
    free(x); free(want); free(got);
    aopt_checkpoint_close(in);
    aopt_checkpoint_close(out);
    model_close(&m);
}

static void check_encode(const char *checkpoint, const char *file, const char *clip, const char *encoded, double limit)
{
    model m = model_open(checkpoint);
    aopt_checkpoint *fx = fixture_open(file);
    const aopt_vae_options o = one_thread();
    int64_t z[4], v[4], n;
    float *x = take(fx, clip, v), *want = take(fx, encoded, z), *got;
    double d;
    n = 48 * z[1] * z[2] * z[3];
    got = blank(n);
    CHECK(aopt_vae_encode(m.vae, x, v[1], v[2], v[3], &o, got, &err) == AOPT_OK, "%s", err.message);
    d = distance(got, want, n);
    printf("    %s %s: max |difference| %.3g\n", checkpoint, encoded, d);
    CHECK(d <= limit, "off by %g, limit %g", d, limit);
    got[n / 3] += 1e-2f;
    CHECK(distance(got, want, n) > limit, "a broken value went unnoticed");
    free(x); free(want); free(got);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

#define NANO "tests/fixtures/nano.pth"
#define NANO_FX "tests/fixtures/nano.safetensors"
#define ODD "tests/fixtures/odd.pth"
#define ODD_FX "tests/fixtures/odd.safetensors"
#define THIN_FX "tests/fixtures/thin.safetensors"
#define TINY "assets/tiny/tiny_vae.pth"
#define TINY_LATENT "assets/tiny/tiny_latent.safetensors"

static void test_decode_nano(void) { check_decode(NANO, NANO_FX, "latent", NANO_FX, "decoded"); }
static void test_decode_odd(void)
{
    check_decode(ODD, ODD_FX, "latent", ODD_FX, "decoded");
    check_decode(ODD, ODD_FX, "encoded", ODD_FX, "recoded");
}
static void test_decode_tiny(void) { check_decode(TINY, TINY_LATENT, "latent", "tests/fixtures/tiny_decoded.safetensors", "decoded"); }
static void test_encode_nano(void) { check_encode(NANO, NANO_FX, "clip", "encoded", ENCODE_LIMIT); }
static void test_encode_odd(void) { check_encode(ODD, ODD_FX, "clip", "encoded", ENCODE_LIMIT); }
static void test_one_pixel(void)
{
    static const char *const name[] = { "wide", "tall", "dot" };
    char a[32], b[32], c[32];
    int i;
    for (i = 0; i < 3; i++) {
        snprintf(a, sizeof a, "%s.latent", name[i]);
        snprintf(b, sizeof b, "%s.decoded", name[i]);
        snprintf(c, sizeof c, "%s.encoded", name[i]);
        check_decode(NANO, THIN_FX, a, THIN_FX, b);
        check_encode(NANO, THIN_FX, b, c, ENCODE_LIMIT);
    }
}

/* The shipped latent is the encoding of the shipped clip. */
static void test_encode_tiny(void)
{
    model m = model_open(TINY);
    aopt_checkpoint *in = fixture_open("assets/tiny/tiny_clip.safetensors"), *out = fixture_open(TINY_LATENT);
    const aopt_vae_options o = one_thread();
    int64_t v[4], z[4], p, c;
    float *bytes = take(in, "clip_u8", v), *want = take(out, "latent", z), *clip, *got;
    const int64_t pixels = v[0] * v[1] * v[2], n = 48 * z[1] * z[2] * z[3];
    double d;
    clip = blank(3 * pixels);
    got = blank(n);
    for (p = 0; p < pixels; p++) for (c = 0; c < 3; c++) clip[c * pixels + p] = bytes[p * 3 + c] / 127.5f - 1.0f;
    CHECK(aopt_vae_encode(m.vae, clip, v[0], v[1], v[2], &o, got, &err) == AOPT_OK, "%s", err.message);
    d = distance(got, want, n);
    printf("    tiny clip: max |difference| %.3g\n", d);
    CHECK(d <= ENCODE_LIMIT, "off by %g, limit %g", d, ENCODE_LIMIT);
    free(bytes); free(want); free(clip); free(got);
    aopt_checkpoint_close(in);
    aopt_checkpoint_close(out);
    model_close(&m);
}

/* ---- taps: every module, every chunk ---- */

typedef struct tap_log {
    const aopt_checkpoint *fx;
    const float *head_gamma;
    int64_t chunk;
    struct { char module[48]; int64_t frames; } count[64];     /* frames seen of each module in this chunk */
    int count_n, seen;
    double worst;
    float resample[32 * 16 * 24];       /* what a stage made before its shortcut was added */
} tap_log;

static int64_t tap_frame(tap_log *t, const char *module, int64_t chunk)
{
    int i;
    if (chunk != t->chunk) t->count_n = 0;
    t->chunk = chunk;
    for (i = 0; i < t->count_n && strcmp(t->count[i].module, module) != 0; i++) { }
    if (i == t->count_n) {
        snprintf(t->count[i].module, sizeof t->count[i].module, "%s", module);
        t->count[t->count_n++].frames = 0;
    }
    return t->count[i].frames++;
}

static double tap_distance(const aopt_tensor *want, const float *x, int64_t frame, int64_t P, int64_t C)
{
    const float *w = (const float *)want->data;
    double worst = 0;
    int64_t p, c;
    if (want->shape[0] != C || frame >= want->shape[1] || P != want->shape[2] * want->shape[3]) return HUGE_VAL;
    for (p = 0; p < P; p++) for (c = 0; c < C; c++) {
        const double d = fabs((double)x[p * C + c] - (double)w[(c * want->shape[1] + frame) * P + p]);
        if (!(d <= worst)) worst = d == d ? d : HUGE_VAL;
    }
    return worst;
}

static void tap_check(tap_log *t, const char *module, int64_t chunk, const float *x, int64_t frame, int64_t P, int64_t C)
{
    char name[128];
    const aopt_tensor *want;
    double d;
    snprintf(name, sizeof name, "tap.%lld.%s", (long long)chunk, module);
    want = aopt_checkpoint_find(t->fx, name);
    CHECK(want != NULL, "no %s in the fixture", name);
    if (!want) return;
    d = tap_distance(want, x, frame, P, C);
    CHECK(d <= DECODE_LIMIT, "%s frame %lld is off by %g", name, (long long)frame, d);
    if (d > t->worst) t->worst = d;
    t->seen++;
}

/* The decoder adds a stage's shortcut in place and fuses head.0 with its SiLU: those two are rebuilt from their neighbours. */
static void tap(void *user, const char *module, int64_t chunk, const float *x, int64_t H, int64_t W, int64_t C)
{
    tap_log *t = (tap_log *)user;
    const int64_t frame = tap_frame(t, module, chunk), n = H * W * C;
    const int dots = (int)(strchr(module, '.') != NULL) + (strchr(module, '.') && strchr(strchr(module, '.') + 1, '.'));
    float rebuilt[32 * 16 * 24];
    char name[80];
    int64_t i;
    tap_check(t, module, chunk, x, frame, H * W, C);
    if (dots == 2 && strcmp(module + strlen(module) - 2, ".3") == 0) memcpy(t->resample, x, (size_t)n * sizeof *x);
    else if (strcmp(module, "upsamples.3") == 0) {
        aopt_ref_rms_norm(x, H * W, C, t->head_gamma, rebuilt, 1);
        tap_check(t, "head.0", chunk, rebuilt, frame, H * W, C);
    } else if (dots == 1 && strncmp(module, "upsamples.", 10) == 0) {
        for (i = 0; i < n; i++) rebuilt[i] = x[i] - t->resample[i];
        snprintf(name, sizeof name, "%s.avg_shortcut", module);
        tap_check(t, name, chunk, rebuilt, frame, H * W, C);
    }
}

static int ignore_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    (void)user; (void)frame; (void)index; (void)H; (void)W;
    return 0;
}

static void test_taps(void)
{
    model m = model_open(NANO);
    aopt_checkpoint *fx = fixture_open(NANO_FX);
    const aopt_vae_options o = one_thread();
    aopt_vae_decoder *d;
    static tap_log t;
    int64_t z[4], i, frames = 0;
    float *x = take(fx, "latent", z), *gamma = take(m.ck, "decoder.head.0.gamma", NULL);
    memset(&t, 0, sizeof t);
    t.fx = fx;
    t.head_gamma = gamma;
    CHECK(aopt_vae_decoder_open(m.vae, z[2], z[3], &o, &d, &err) == AOPT_OK, "%s", err.message);
    d->net.tap = tap;
    d->net.tap_user = &t;
    CHECK(aopt_vae_decoder_step(d, x, z[1], z[1] * z[2] * z[3], ignore_frame, NULL, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < aopt_checkpoint_count(fx); i++)
        if (strncmp(aopt_checkpoint_at(fx, i)->name, "tap.", 4) == 0) frames += aopt_checkpoint_at(fx, i)->shape[1];
    CHECK(t.seen == frames, "%d frames compared, the fixture has %lld", t.seen, (long long)frames);
    printf("    %d frames of all modules and chunks: max |difference| %.3g\n", t.seen, t.worst);
    free(x); free(gamma);
    aopt_vae_decoder_close(d);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

/* ---- the same bits however a clip is cut, and for any number of threads ---- */

typedef struct sink { float *data; int64_t planes, frames, n, plane; } sink;

static int sink_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    sink *s = (sink *)user;
    int64_t c;
    CHECK(index == s->n && s->n < s->frames && H * W == s->plane, "frame %lld of %lldx%lld comes as number %lld", (long long)index, (long long)H, (long long)W, (long long)s->n);
    for (c = 0; c < s->planes; c++) memcpy(s->data + (c * s->frames + index) * s->plane, frame + c * s->plane, (size_t)s->plane * sizeof *frame);
    s->n++;
    return 0;
}

/* cut: bit i set = a call ends after frame i */
static void decode_cut(aopt_vae_decoder *d, const float *x, const int64_t *z, unsigned cut, sink *s)
{
    int64_t t, from = 0;
    s->n = 0;
    memset(s->data, 0xff, (size_t)(s->planes * s->frames * s->plane) * sizeof *s->data);
    for (t = 1; t <= z[1]; t++)
        if (t == z[1] || (cut >> (t - 1) & 1)) {
            CHECK(aopt_vae_decoder_step(d, x + from * z[2] * z[3], t - from, z[1] * z[2] * z[3], sink_frame, s, &err) == AOPT_OK, "%s", err.message);
            from = t;
        }
}

static void test_decode_cuts(void)
{
    model m = model_open(ODD);
    aopt_checkpoint *fx = fixture_open(ODD_FX);
    const aopt_vae_options o = one_thread();
    aopt_vae_decoder *d;
    int64_t z[4], n, calls;
    float *x = take(fx, "latent", z), *whole;
    sink s;
    unsigned cut;
    s.planes = 3; s.frames = aopt_vae_frames(z[1]); s.plane = 256 * z[2] * z[3];
    n = 3 * s.frames * s.plane;
    whole = blank(n);
    s.data = blank(n);
    CHECK(aopt_vae_decode(m.vae, x, z[1], z[2], z[3], &o, whole, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_vae_decoder_open(m.vae, z[2], z[3], &o, &d, &err) == AOPT_OK, "%s", err.message);
    calls = alloc_calls;
    for (cut = 0; cut < 1u << (z[1] - 1); cut++) {
        decode_cut(d, x, z, cut, &s);
        CHECK(s.n == s.frames && memcmp(s.data, whole, (size_t)n * sizeof *whole) == 0, "cut %x differs from the whole clip", cut);
        aopt_vae_decoder_reset(d);
    }
    CHECK(alloc_calls == calls, "%lld allocations while decoding", (long long)(alloc_calls - calls));
    decode_cut(d, x, z, 0, &s);
    CHECK(aopt_vae_decoder_step(d, x, 1, z[1] * z[2] * z[3], ignore_frame, NULL, &err) == AOPT_OK, "%s", err.message);
    CHECK(memcmp(d->net.out, whole, (size_t)s.plane * sizeof *whole) != 0, "a decoder that was not reset went unnoticed");
    free(x); free(whole); free(s.data);
    aopt_vae_decoder_close(d);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

static void test_encode_cuts(void)
{
    static const int64_t cuts[][14] = { { 13 }, { 1, 4, 4, 4 }, { 1, 12 }, { 5, 8 }, { 9, 4 }, { 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1 }, { 2, 3, 7, 1 }, { 6, 7 } };
    model m = model_open(ODD);
    aopt_checkpoint *fx = fixture_open(ODD_FX);
    const aopt_vae_options o = one_thread();
    aopt_vae_encoder *e;
    int64_t v[4], n, calls;
    float *x = take(fx, "clip", v), *whole;
    sink s;
    size_t i;
    s.planes = 48; s.frames = aopt_vae_latent_frames(v[1]); s.plane = v[2] / 16 * (v[3] / 16);
    n = 48 * s.frames * s.plane;
    whole = blank(n);
    s.data = blank(n);
    CHECK(aopt_vae_encode(m.vae, x, v[1], v[2], v[3], &o, whole, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_vae_encoder_open(m.vae, v[2], v[3], &o, &e, &err) == AOPT_OK, "%s", err.message);
    calls = alloc_calls;
    for (i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        int64_t from = 0;
        int j;
        s.n = 0;
        memset(s.data, 0xff, (size_t)n * sizeof *s.data);
        for (j = 0; from < v[1]; from += cuts[i][j++])
            CHECK(aopt_vae_encoder_step(e, x + from * v[2] * v[3], cuts[i][j], v[1] * v[2] * v[3], sink_frame, &s, &err) == AOPT_OK, "%s", err.message);
        CHECK(s.n == s.frames && memcmp(s.data, whole, (size_t)n * sizeof *whole) == 0, "cut %d differs from the whole clip", (int)i);
        aopt_vae_encoder_reset(e);
    }
    CHECK(alloc_calls == calls, "%lld allocations while encoding", (long long)(alloc_calls - calls));
    free(x); free(whole); free(s.data);
    aopt_vae_encoder_close(e);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

/* Causality: the first frames do not depend on how long the clip is. */
static void test_short_clips(void)
{
    model m = model_open(NANO);
    aopt_checkpoint *fx = fixture_open(NANO_FX);
    const aopt_vae_options o = one_thread();
    int64_t z[4], T, c, t;
    float *x = take(fx, "latent", z), *want = take(fx, "decoded", NULL);
    const int64_t F = aopt_vae_frames(z[1]), plane = 256 * z[2] * z[3], P = z[2] * z[3];
    for (T = 1; T <= 2; T++) {
        float *cut = blank(48 * T * P), *got = blank(3 * aopt_vae_frames(T) * plane);
        for (c = 0; c < 48; c++) memcpy(cut + c * T * P, x + c * z[1] * P, (size_t)(T * P) * sizeof *x);
        CHECK(aopt_vae_decode(m.vae, cut, T, z[2], z[3], &o, got, &err) == AOPT_OK, "%s", err.message);
        for (c = 0; c < 3; c++) for (t = 0; t < aopt_vae_frames(T); t++) {
            const double d = distance(got + (c * aopt_vae_frames(T) + t) * plane, want + (c * F + t) * plane, plane);
            CHECK(d <= DECODE_LIMIT, "T = %lld: frame %lld is off by %g", (long long)T, (long long)t, d);
        }
        free(cut); free(got);
    }
    CHECK(aopt_vae_frames(1) == 1 && aopt_vae_frames(31) == 121 && aopt_vae_frames(0) == -1, "frames");
    CHECK(aopt_vae_latent_frames(1) == 1 && aopt_vae_latent_frames(121) == 31 && aopt_vae_latent_frames(2) == -1 && aopt_vae_latent_frames(0) == -1, "latent frames");
    free(x); free(want);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

static void test_threads(void)
{
    model m = model_open(TINY);
    aopt_checkpoint *in = fixture_open(TINY_LATENT);
    int64_t z[4], c;
    float *x = take(in, "latent", z), *cut, *video[3], *latent[3];
    const int64_t P = z[2] * z[3], n = 3 * 5 * 256 * P;
    int threads;
    cut = blank(48 * 2 * P);
    for (c = 0; c < 48; c++) memcpy(cut + c * 2 * P, x + c * z[1] * P, (size_t)(2 * P) * sizeof *x);
    for (threads = 1; threads <= 3; threads++) {
        aopt_vae_options o = one_thread();
        o.threads = threads;
        video[threads - 1] = blank(n);
        latent[threads - 1] = blank(48 * 2 * P);
        CHECK(aopt_vae_decode(m.vae, cut, 2, z[2], z[3], &o, video[threads - 1], &err) == AOPT_OK, "%s", err.message);
        CHECK(aopt_vae_encode(m.vae, video[0], 5, 16 * z[2], 16 * z[3], &o, latent[threads - 1], &err) == AOPT_OK, "%s", err.message);
        CHECK(memcmp(video[threads - 1], video[0], (size_t)n * sizeof *x) == 0, "decode: %d threads differ from 1", threads);
        CHECK(memcmp(latent[threads - 1], latent[0], (size_t)(48 * 2 * P) * sizeof *x) == 0, "encode: %d threads differ from 1", threads);
    }
    for (threads = 0; threads < 3; threads++) { free(video[threads]); free(latent[threads]); }
    free(x); free(cut);
    aopt_checkpoint_close(in);
    model_close(&m);
}

/* ---- options ---- */

static void test_raw_latent(void)
{
    model m = model_open(NANO);
    aopt_checkpoint *fx = fixture_open(NANO_FX);
    aopt_vae_options o = one_thread();
    int64_t z[4], v[4], c, i, per;
    float *x = take(fx, "latent", z), *clip = take(fx, "clip", v), *want = take(fx, "encoded", NULL), *got, *latent, *decoded = take(fx, "decoded", NULL);
    const int64_t n = 3 * v[1] * v[2] * v[3];
    per = z[1] * z[2] * z[3];
    got = blank(n);
    latent = blank(48 * per);
    o.raw_latent = 1;
    for (c = 0; c < 48; c++) for (i = 0; i < per; i++) x[c * per + i] = x[c * per + i] * m.vae->std[c] + m.vae->mean[c];
    CHECK(aopt_vae_decode(m.vae, x, z[1], z[2], z[3], &o, got, &err) == AOPT_OK, "%s", err.message);
    CHECK(distance(got, decoded, n) <= DECODE_LIMIT, "raw latent: off by %g", distance(got, decoded, n));
    CHECK(aopt_vae_encode(m.vae, clip, v[1], v[2], v[3], &o, latent, &err) == AOPT_OK, "%s", err.message);
    for (c = 0; c < 48; c++) for (i = 0; i < per; i++) latent[c * per + i] = (latent[c * per + i] - m.vae->mean[c]) / m.vae->std[c];
    CHECK(distance(latent, want, 48 * per) <= ENCODE_LIMIT, "raw encode: off by %g", distance(latent, want, 48 * per));
    free(x); free(clip); free(want); free(got); free(latent); free(decoded);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

typedef struct watch { int64_t calls, last, total, stop_after; int backwards, weights, stop_weights; } watch;

static int watch_progress(void *user, const char *what, int64_t done, int64_t total)
{
    watch *w = (watch *)user;
    if (strcmp(what, "weights") == 0) { w->last = 0; return ++w->weights == w->stop_weights; }
    if (done < w->last || done > total) w->backwards++;
    w->last = done;
    w->total = total;
    return ++w->calls == w->stop_after;
}

static int stop_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    (void)frame; (void)H; (void)W;
    return index == *(int64_t *)user;
}

static int stop_latent(void *user, const float *latent, int64_t index, int64_t h, int64_t w)
{
    (void)user; (void)latent; (void)h; (void)w;
    return index == 1;
}

static void test_progress_and_cancel(void)
{
    model m = model_open(TINY);
    aopt_checkpoint *in = fixture_open(TINY_LATENT);
    aopt_vae_options o = one_thread();
    aopt_vae_decoder *d;
    aopt_vae_encoder *e;
    watch w;
    int64_t z[4], stop = 0, live;
    float *x = take(in, "latent", z), *a = blank(3 * 256 * z[2] * z[3]), *b = blank(3 * 256 * z[2] * z[3]), *clip = blank(3 * 5 * 32 * 32);
    const int64_t stride = z[1] * z[2] * z[3];
    memset(&w, 0, sizeof w);
    o.progress = watch_progress;
    o.progress_user = &w;
    live = live_bytes;
    CHECK(aopt_vae_decoder_open(m.vae, z[2], z[3], &o, &d, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_vae_decoder_step(d, x, 1, stride, ignore_frame, NULL, &err) == AOPT_OK, "%s", err.message);
    CHECK(w.weights > 30 && w.calls > 30 && !w.backwards && w.last == w.total && w.total > 100, "%lld calls, %d backwards, ends at %lld of %lld",
          (long long)w.calls, w.backwards, (long long)w.last, (long long)w.total);
    memcpy(a, d->net.out, (size_t)(3 * 256 * z[2] * z[3]) * sizeof *a);

    w.calls = 0; w.stop_after = 20;
    CHECK(aopt_vae_decoder_step(d, x + z[2] * z[3], 1, stride, ignore_frame, NULL, &err) == AOPT_E_CANCELLED, "progress did not stop the decoder");
    CHECK(w.calls == 20, "%lld calls, the 20th said stop", (long long)w.calls);
    w.stop_after = 0;
    stop = 0;
    CHECK(aopt_vae_decoder_step(d, x, 1, stride, stop_frame, &stop, &err) == AOPT_E_CANCELLED && err.status == AOPT_E_CANCELLED, "the callback did not stop the decoder");
    CHECK(aopt_vae_decoder_step(d, x, 1, stride, ignore_frame, NULL, &err) == AOPT_OK, "%s", err.message);
    CHECK(memcmp(a, d->net.out, (size_t)(3 * 256 * z[2] * z[3]) * sizeof *a) == 0, "after a cancelled call the decoder is not as after reset");
    aopt_vae_decoder_close(d);
    w.weights = 0; w.stop_weights = 5;
    CHECK(aopt_vae_decoder_open(m.vae, z[2], z[3], &o, &d, &err) == AOPT_E_CANCELLED && !d && w.weights == 5, "progress did not stop the packing");

    memset(clip, 0, 3 * 5 * 32 * 32 * sizeof *clip);
    CHECK(aopt_vae_encoder_open(m.vae, 32, 32, NULL, &e, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_vae_encoder_step(e, clip, 5, 5 * 32 * 32, stop_latent, NULL, &err) == AOPT_E_CANCELLED, "the callback did not stop the encoder");
    aopt_vae_encoder_close(e);
    CHECK(live_bytes == live, "%lld bytes leak", (long long)(live_bytes - live));
    free(x); free(a); free(b); free(clip);
    aopt_checkpoint_close(in);
    model_close(&m);
}

static void test_memory(void)
{
    model m = model_open(ODD);
    aopt_vae_options o = one_thread();
    aopt_vae_decoder *d = NULL;
    aopt_vae_encoder *e = NULL;
    char number[32];
    int64_t need, before;
    int k;
    for (k = 0; k < 3; k++) {
        const int64_t h = k == 1 ? 1 : 3, w = k == 2 ? 17 : 4;
        need = aopt_vae_decode_peak_bytes(m.vae, h, w);
        o.memory_limit = need;
        before = live_bytes;
        CHECK(aopt_vae_decoder_open(m.vae, h, w, &o, &d, &err) == AOPT_OK, "%s", err.message);
        CHECK(live_bytes - before == need, "decoder: predicted %lld, allocated %lld", (long long)need, (long long)(live_bytes - before));
        aopt_vae_decoder_close(d);
        need = aopt_vae_encode_peak_bytes(m.vae, h, w);
        o.memory_limit = need;
        CHECK(aopt_vae_encoder_open(m.vae, 16 * h, 16 * w, &o, &e, &err) == AOPT_OK, "%s", err.message);
        CHECK(live_bytes - before == need, "encoder: predicted %lld, allocated %lld", (long long)need, (long long)(live_bytes - before));
        aopt_vae_encoder_close(e);
        CHECK(live_bytes == before, "%lld bytes leak", (long long)(live_bytes - before));
    }
    need = aopt_vae_decode_peak_bytes(m.vae, 3, 4);
    o.memory_limit = need - 1;
    CHECK(aopt_vae_decoder_open(m.vae, 3, 4, &o, &d, &err) == AOPT_E_MEMORY && d == NULL, "one byte too little was accepted");
    snprintf(number, sizeof number, "%lld", (long long)need);
    CHECK(strstr(err.message, number) != NULL, "no prediction in: %s", err.message);
    snprintf(number, sizeof number, "%lld", (long long)need - 1);
    CHECK(strstr(err.message, number) != NULL, "no limit in: %s", err.message);
    CHECK(aopt_vae_decoder_open(m.vae, 20000, 20000, NULL, &d, &err) == AOPT_E_MEMORY && strstr(err.message, "this machine has"), "terabytes were accepted: %s", err.message);
    CHECK(aopt_vae_decoder_open(m.vae, 1 << 20, 1 << 20, NULL, &d, &err) == AOPT_E_MEMORY || err.status == AOPT_E_SHAPE, "exabytes were accepted");
    CHECK(aopt_vae_decoder_open(m.vae, INT64_MAX, 2, NULL, &d, &err) == AOPT_E_SHAPE, "an absurd size was accepted");
    CHECK(aopt_vae_decode_peak_bytes(m.vae, 0, 1) == -1 && aopt_vae_encode_peak_bytes(m.vae, INT64_MAX, 1) == -1, "a bad size has a peak");
    model_close(&m);
}

static void test_profile(void)
{
    model m = model_open(NANO);
    aopt_checkpoint *fx = fixture_open(NANO_FX);
    aopt_vae_options o = one_thread();
    aopt_profile *p = (aopt_profile *)calloc(1, sizeof *p);
    int64_t z[4], v[4];
    float *x = take(fx, "latent", z), *clip = take(fx, "clip", v), *video = blank(3 * v[1] * v[2] * v[3]), *latent = blank(48 * z[1] * z[2] * z[3]);
    double flops = 0, bytes = 0, want = aopt_vae_decode_flops(m.vae, z[1], z[2], z[3]);
    int i, found = 0;
    o.profile = p;
    CHECK(aopt_vae_decode(m.vae, x, z[1], z[2], z[3], &o, video, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < p->n; i++) {
        flops += p->item[i].flops;
        bytes += p->item[i].bytes;
        found += strcmp(p->item[i].name, "decoder.upsamples.2.upsamples.0.residual.6") == 0 || strcmp(p->item[i].name, "decoder.head.0") == 0;
    }
    CHECK(found == 2 && p->n > 60 && bytes > 0, "%d items, %d of the two looked for", p->n, found);
    CHECK(fabs(flops - want) <= 1e-9 * want, "profile adds to %.6g FLOPs, predicted %.6g", flops, want);
    memset(p, 0, sizeof *p);
    flops = 0;
    want = aopt_vae_encode_flops(m.vae, z[1], z[2], z[3]);
    CHECK(aopt_vae_encode(m.vae, clip, v[1], v[2], v[3], &o, latent, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < p->n; i++) flops += p->item[i].flops;
    CHECK(fabs(flops - want) <= 1e-9 * want, "encode: profile adds to %.6g FLOPs, predicted %.6g", flops, want);
    free(p); free(x); free(clip); free(video); free(latent);
    aopt_checkpoint_close(fx);
    model_close(&m);
}

static void test_arguments(void)
{
    model m = model_open(NANO);
    aopt_vae_decoder *d;
    aopt_vae_options o = one_thread();
    float *x = (float *)calloc(48 * 6 + 3 * 9 * 32 * 48, sizeof *x);
    CHECK(aopt_vae_decode(m.vae, NULL, 1, 2, 3, &o, x, &err) == AOPT_E_ARG, "NULL latent");
    CHECK(aopt_vae_decode(m.vae, x, 1, 2, 3, &o, NULL, &err) == AOPT_E_ARG, "NULL video");
    CHECK(aopt_vae_decode(NULL, x, 1, 2, 3, &o, x + 48 * 6, &err) == AOPT_E_ARG, "NULL VAE");
    CHECK(aopt_vae_decode(m.vae, x, 1, 2, 3, &o, x + 48 * 6 - 1, &err) == AOPT_E_ARG, "overlapping buffers");
    CHECK(aopt_vae_decode(m.vae, x, 1, 2, 3, &o, x + 48 * 6, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_vae_decode(m.vae, x, 0, 2, 3, &o, x + 48 * 6, &err) == AOPT_E_SHAPE, "T = 0");
    CHECK(aopt_vae_decode(m.vae, x, 1, -2, 3, &o, x + 48 * 6, &err) == AOPT_E_SHAPE, "h = -2");
    CHECK(aopt_vae_decode(m.vae, x, INT64_MAX / 2, 2, 3, &o, x + 48 * 6, &err) == AOPT_E_SHAPE, "absurd T");
    CHECK(aopt_vae_encode(m.vae, x, 2, 32, 48, &o, x + 3 * 9 * 32 * 48, &err) == AOPT_E_SHAPE, "two video frames");
    CHECK(aopt_vae_encode(m.vae, x, 1, 33, 48, &o, x + 3 * 9 * 32 * 48, &err) == AOPT_E_SHAPE, "33 pixels");
    CHECK(aopt_vae_decoder_open(m.vae, 2, 3, NULL, NULL, &err) == AOPT_E_ARG, "out NULL");
    o.threads = 1 << 20;
    CHECK(aopt_vae_decode(m.vae, x, 1, 2, 3, &o, x + 48 * 6, &err) == AOPT_E_ARG, "a million threads");
    o.threads = -1;
    CHECK(aopt_vae_decode(m.vae, x, 1, 2, 3, &o, x + 48 * 6, &err) == AOPT_E_ARG, "-1 threads");
    CHECK(aopt_vae_decoder_open(m.vae, 2, 3, NULL, &d, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_vae_decoder_step(d, x, 0, 6, ignore_frame, NULL, &err) == AOPT_E_ARG, "no frames");
    CHECK(aopt_vae_decoder_step(d, x, 1, 6, NULL, NULL, &err) == AOPT_E_ARG, "no callback");
    aopt_vae_decoder_close(d);
    aopt_vae_decoder_close(NULL);
    aopt_vae_encoder_close(NULL);
    aopt_vae_close(NULL);
    free(x);
    model_close(&m);
}

/* ---- binding: what is wrong is named ---- */

enum { MAX_TENSORS = 256 };
typedef struct edit { aopt_tensor t[MAX_TENSORS]; int n; } edit;

static aopt_tensor *edit_find(edit *e, const char *name)
{
    int i;
    for (i = 0; i < e->n; i++) if (strcmp(e->t[i].name, name) == 0) return &e->t[i];
    printf("FAIL no tensor %s to edit\n", name);
    exit(1);
}

/* Write the edited tensors, open the result; the caller closes. */
static aopt_status edit_open(const edit *e, aopt_checkpoint **ck, aopt_vae **vae)
{
    char path[] = "/tmp/autoopt-test-XXXXXX";
    const int fd = mkstemp(path);
    aopt_status st;
    close(fd);
    *ck = NULL;
    *vae = NULL;
    st = aopt_safetensors_write(path, e->t, e->n, NULL, 0, &err);
    if (st == AOPT_OK) st = aopt_checkpoint_open(path, NULL, ck, &err);
    if (st == AOPT_OK) st = aopt_vae_open(*ck, vae, &err);
    unlink(path);
    return st;
}

static void expect(const char *what, const edit *e, aopt_status status, const char *a, const char *b)
{
    aopt_checkpoint *ck;
    aopt_vae *vae;
    const aopt_status st = edit_open(e, &ck, &vae);
    CHECK(st == status, "%s: expected '%s', found '%s' (%s)", what, aopt_status_name(status), aopt_status_name(st), st ? err.message : "");
    CHECK(strstr(err.message, a) && strstr(err.message, b), "%s: message lacks '%s' or '%s': %s", what, a, b, err.message);
    CHECK(vae == NULL, "%s: a VAE came out", what);
    aopt_vae_close(vae);
    aopt_checkpoint_close(ck);
}

static void edit_begin(edit *e, const aopt_checkpoint *ck)
{
    for (e->n = 0; e->n < (int)aopt_checkpoint_count(ck); e->n++) e->t[e->n] = *aopt_checkpoint_at(ck, e->n);
}

static void test_binding_errors(void)
{
    aopt_checkpoint *ck = fixture_open(NANO);
    edit e;
    aopt_tensor *t;
    static float zero[96 * 96 * 27];
    int64_t shape[5] = { 16, 16, 1, 1, 1 };

    edit_begin(&e, ck);
    *edit_find(&e, "decoder.middle.1.proj.bias") = e.t[e.n - 1];
    e.n--;
    expect("missing", &e, AOPT_E_MISSING, "decoder.middle.1.proj.bias", "[32]");

    edit_begin(&e, ck);
    *edit_find(&e, "encoder.downsamples.1.downsamples.2.time_conv.weight") = e.t[e.n - 1];
    e.n--;
    expect("missing in the encoder", &e, AOPT_E_MISSING, "encoder.downsamples.1.downsamples.2.time_conv.weight", "[8][8][3][1][1]");

    edit_begin(&e, ck);
    e.t[e.n] = aopt_tensor_make("decoder.middle.3.surprise", AOPT_F32, 1, shape, zero, AOPT_HOST);
    e.n++;
    expect("extra", &e, AOPT_E_VALUE, "decoder.middle.3.surprise", "no layer");

    edit_begin(&e, ck);
    t = edit_find(&e, "decoder.upsamples.2.upsamples.1.residual.2.weight");
    t->shape[1] = 15;
    *t = aopt_tensor_make(t->name, AOPT_F32, 5, t->shape, zero, AOPT_HOST);
    expect("misshapen", &e, AOPT_E_SHAPE, "[16][16][3][3][3]", "[16][15][3][3][3]");

    edit_begin(&e, ck);
    t = edit_find(&e, "decoder.conv1.weight");
    t->shape[0] = 0;
    *t = aopt_tensor_make(t->name, AOPT_F32, 5, t->shape, zero, AOPT_HOST);
    expect("no channels", &e, AOPT_E_SHAPE, "decoder.conv1.weight", "[0][48]");

    edit_begin(&e, ck);
    t = edit_find(&e, "decoder.head.0.gamma");
    *t = aopt_tensor_make(t->name, AOPT_I32, 4, t->shape, zero, AOPT_HOST);
    expect("integers", &e, AOPT_E_UNSUPPORTED, "decoder.head.0.gamma", "I32");

    edit_begin(&e, ck);
    t = edit_find(&e, "conv2.weight");
    *t = aopt_tensor_make(t->name, AOPT_F32, 5, shape, zero, AOPT_HOST);
    expect("the other VAE", &e, AOPT_E_SHAPE, "16 latent channels", "conv2.weight");

    e.t[0] = aopt_tensor_make("model.diffusion.weight", AOPT_F32, 5, shape, zero, AOPT_HOST);
    e.n = 1;
    expect("something else", &e, AOPT_E_MISSING, "decoder.*", "not a Wan 2.2 VAE");
    aopt_checkpoint_close(ck);
}

/* Only one half, converted to another dtype: fine.  The other half is reported when asked for. */
static void test_half_checkpoints(void)
{
    aopt_checkpoint *nano = fixture_open(NANO), *ck;
    aopt_vae *vae;
    edit e;
    float *x = (float *)calloc(3 * 5 * 32 * 48, sizeof *x), *y = (float *)calloc(3 * 5 * 32 * 48, sizeof *y);
    int i, decoder;
    for (decoder = 0; decoder < 2; decoder++) {
        edit_begin(&e, nano);
        for (i = 0; i < e.n; i++)
            if (strncmp(e.t[i].name, decoder ? "encoder." : "decoder.", 8) == 0) e.t[i--] = e.t[--e.n];
        CHECK(edit_open(&e, &ck, &vae) == AOPT_OK, "%s", err.message);
        CHECK(vae->decoder.present == decoder && vae->encoder.present == !decoder, "presence is wrong");
        CHECK(aopt_vae_decode(vae, x, 1, 2, 3, NULL, y, &err) == (decoder ? AOPT_OK : AOPT_E_MISSING), "decode with half a checkpoint: %s", err.message);
        CHECK(aopt_vae_encode(vae, x, 1, 32, 48, NULL, y, &err) == (decoder ? AOPT_E_MISSING : AOPT_OK), "encode with half a checkpoint: %s", err.message);
        CHECK(decoder ? aopt_vae_encode_flops(vae, 1, 2, 3) == 0 && aopt_vae_encode_peak_bytes(vae, 2, 3) == -1
                      : aopt_vae_decode_flops(vae, 1, 2, 3) == 0 && aopt_vae_decode_peak_bytes(vae, 2, 3) == -1, "numbers for a half that is not there");
        aopt_vae_close(vae);
        aopt_checkpoint_close(ck);
    }
    free(x); free(y);
    aopt_checkpoint_close(nano);
}

static void test_bad_weights(void)
{
    static const char *const name[] = { "decoder.upsamples.1.upsamples.3.time_conv.weight", "decoder.conv1.bias", "decoder.middle.2.residual.3.gamma" };
    static const float bad[] = { NAN, HUGE_VALF, -HUGE_VALF };
    aopt_checkpoint *nano = fixture_open(NANO), *ck;
    aopt_vae *vae;
    edit e;
    int i;
    for (i = 0; i < 3; i++) {
        int64_t n;
        float *copy;
        aopt_tensor *t;
        aopt_vae_decoder *d;
        edit_begin(&e, nano);
        t = edit_find(&e, name[i]);
        copy = take(nano, name[i], NULL);
        n = aopt_tensor_numel(t);
        copy[n - 1] = bad[i];
        *t = aopt_tensor_make(t->name, AOPT_F32, t->ndim, t->shape, copy, AOPT_HOST);
        CHECK(edit_open(&e, &ck, &vae) == AOPT_OK, "%s", err.message);
        CHECK(aopt_vae_decoder_open(vae, 2, 3, NULL, &d, &err) == AOPT_E_VALUE && strstr(err.message, name[i]), "a bad weight in %s: %s", name[i], err.message);
        CHECK(d == NULL, "a decoder came out");
        aopt_vae_close(vae);
        aopt_checkpoint_close(ck);
        free(copy);
    }
    aopt_checkpoint_close(nano);
}

/* ---- the full-size network, without its bytes: a sparse file with the real names and shapes ---- */

static aopt_checkpoint *full_size_open(void)
{
    aopt_checkpoint *nano = fixture_open(NANO), *ck;
    char path[] = "/tmp/autoopt-test-XXXXXX";
    const int fd = mkstemp(path);
    size_t cap = 1 << 20, used = 8;
    char *header = (char *)malloc(cap);
    int64_t i, at = 0;
    uint64_t length;
    int k;
    for (i = 0; i < aopt_checkpoint_count(nano); i++) {
        const aopt_tensor *t = aopt_checkpoint_at(nano, i);
        const int scale = strncmp(t->name, "decoder.", 8) == 0 ? 32 : strncmp(t->name, "encoder.", 8) == 0 ? 40 : 1;
        const int head = strstr(t->name, "coder.head.2.") != NULL, entry = strcmp(t->name + 8, "conv1.weight") == 0;
        int64_t n = 4;
        used += (size_t)snprintf(header + used, cap - used, "%s\"%s\":{\"dtype\":\"F32\",\"shape\":[", i ? "," : "{", t->name);
        for (k = 0; k < t->ndim; k++) {
            const int fixed = k > 1 || t->shape[k] == 1 || (k == 0 && head) || (k == 1 && entry);
            const int64_t size = t->shape[k] * (fixed ? 1 : scale);
            n *= size;
            used += (size_t)snprintf(header + used, cap - used, "%s%lld", k ? "," : "", (long long)size);
        }
        used += (size_t)snprintf(header + used, cap - used, "],\"data_offsets\":[%lld,%lld]}", (long long)at, (long long)(at + n));
        at += n;
    }
    header[used++] = '}';
    while (used % 8) header[used++] = ' ';
    length = used - 8;
    memcpy(header, &length, 8);
    if (write(fd, header, used) != (ssize_t)used || ftruncate(fd, (off_t)used + at) != 0) { printf("FAIL cannot write %s\n", path); exit(1); }
    close(fd);
    ck = fixture_open(path);
    unlink(path);
    free(header);
    aopt_checkpoint_close(nano);
    return ck;
}

static void test_full_size_numbers(void)
{
    aopt_checkpoint *ck = full_size_open();
    aopt_vae *vae = NULL;
    model tiny = model_open(TINY);
    double flops;
    CHECK(aopt_vae_open(ck, &vae, &err) == AOPT_OK, "%s", err.message);
    if (vae) {
        CHECK(vae->decoder.width[0] == 1024 && vae->decoder.width[4] == 256 && vae->encoder.width[0] == 160 && vae->encoder.width[4] == 640, "widths");
        flops = aopt_vae_decode_flops(vae, 31, 44, 80);
        CHECK(flops > 2.005e15 && flops < 2.015e15, "720p is %.4g FLOPs, expected 2.01e15", flops);
        CHECK(aopt_vae_decode_peak_bytes(vae, 8, 8) < (int64_t)4 << 30, "8x8 needs %lld bytes", (long long)aopt_vae_decode_peak_bytes(vae, 8, 8));
        printf("    full size: %.4g FLOPs for 31x44x80; peak %.2f GiB at 8x8, %.2f GiB at 44x80\n", flops,
               (double)aopt_vae_decode_peak_bytes(vae, 8, 8) / 1073741824, (double)aopt_vae_decode_peak_bytes(vae, 44, 80) / 1073741824);
    }
    flops = aopt_vae_decode_flops(tiny.vae, 5, 8, 12);
    CHECK(flops > 31.0e9 && flops < 32.0e9, "tiny is %.4g FLOPs, expected 31.5e9", flops);
    aopt_vae_close(vae);
    aopt_checkpoint_close(ck);
    model_close(&tiny);
}

int main(void)
{
    RUN(test_decode_nano);
    RUN(test_decode_odd);
    RUN(test_decode_tiny);
    RUN(test_encode_nano);
    RUN(test_encode_odd);
    RUN(test_encode_tiny);
    RUN(test_one_pixel);
    RUN(test_taps);
    RUN(test_decode_cuts);
    RUN(test_encode_cuts);
    RUN(test_short_clips);
    RUN(test_threads);
    RUN(test_raw_latent);
    RUN(test_progress_and_cancel);
    RUN(test_memory);
    RUN(test_profile);
    RUN(test_arguments);
    RUN(test_binding_errors);
    RUN(test_half_checkpoints);
    RUN(test_bad_weights);
    RUN(test_full_size_numbers);
    CHECK(live_bytes == 0, "%lld bytes leak", (long long)live_bytes);
    return check_report();
}
