/* test_cpu.c - the fast CPU layers against plain loops in double: every scheme, kernel set, cut and number of threads, at sizes that fit no tile */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"

static float *fill(int64_t n, uint64_t seed)
{
    float *x = (float *)malloc((size_t)n * sizeof *x);
    int64_t i;
    for (i = 0; i < n; i++) x[i] = 2.0f * aopt_random_uniform(seed, (uint64_t)i) - 1.0f;
    return x;
}

/* NaN everywhere, aligned to 64 bytes: a value never written must not pass, and scratch need not be cleared. */
static float *blank(int64_t n)
{
    const size_t bytes = ((size_t)n * sizeof(float) + 63) / 64 * 64 + 64;
    float *x = (float *)aligned_alloc(64, bytes);
    memset(x, 0xff, bytes);
    return x;
}

/* [n][C] with the channels padded by zeros. */
static float *padded(const float *x, int64_t n, int64_t C)
{
    const int64_t wide = aopt_cpu_pad(C);
    float *y = (float *)calloc((size_t)(n * wide), sizeof *y);
    int64_t i;
    for (i = 0; i < n; i++) memcpy(y + i * wide, x + i * C, (size_t)C * sizeof *y);
    return y;
}

static const struct set { const char *name; const aopt__fast_fns *fns; } set[] = {
#if defined(__x86_64__) && !defined(AOPT_NO_VECTORS)
    { "avx512", &aopt__fast_avx512 }, { "avx2", &aopt__fast_avx2 },
#endif
    { "baseline", &AOPT__FAST_BASELINE },
};
enum { SETS = sizeof set / sizeof set[0] };

static int runs_here(int i)
{
#if defined(__x86_64__) && !defined(AOPT_NO_VECTORS)
    if (i == 0) return __builtin_cpu_supports("avx512f");
    if (i == 1) return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return i == SETS - 1;
}

/* The convolution, its bias and `add` [..][co] in double, x [T][H][W][ci]; with upsample x is read at half the place. */
static double *plain(const aopt_ref_conv *c, const float *x, int64_t T, int64_t H, int64_t W, int upsample, const float *add)
{
    const int64_t h = H << upsample, w = W << upsample;
    double *y = (double *)malloc((size_t)(T * h * w * c->co) * sizeof *y);
    int64_t t, i, j, o, k;
    int a, b, d;
    for (t = 0; t < T; t++) for (i = 0; i < h; i++) for (j = 0; j < w; j++) for (o = 0; o < c->co; o++) {
        const int64_t at = ((t * h + i) * w + j) * c->co + o;
        double sum = (double)c->bias[o] + (add ? (double)add[at] : 0.0);
        for (a = 0; a < c->kt; a++) for (b = 0; b < c->kh; b++) for (d = 0; d < c->kw; d++) {
            const int64_t s = t + a - (c->kt - 1), p = i + b - c->kh / 2, q = j + d - c->kw / 2;
            if (s < 0 || p < 0 || p >= h || q < 0 || q >= w) continue;
            for (k = 0; k < c->ci; k++)
                sum += (double)x[((s * H + (p >> upsample)) * W + (q >> upsample)) * c->ci + k] * (double)c->weight[(((o * c->ci + k) * c->kt + a) * c->kh + b) * c->kw + d];
        }
        y[at] = sum;
    }
    return y;
}

/* norm and SiLU in double. */
static double *plain_norm(const double *x, int64_t P, int64_t C, const float *gamma, int silu)
{
    double *y = (double *)malloc((size_t)(P * C) * sizeof *y);
    int64_t p, c;
    for (p = 0; p < P; p++) {
        double sum = 0, v;
        for (c = 0; c < C; c++) sum += x[p * C + c] * x[p * C + c];
        sum = sqrt(sum) < 1e-12 ? 1e-12 : sqrt(sum);
        for (c = 0; c < C; c++) {
            v = x[p * C + c] / sum * sqrt((double)C) * (double)gamma[c];
            y[p * C + c] = silu ? v / (1 + exp(-v)) : v;
        }
    }
    return y;
}

/* Largest difference; infinite if anything is NaN or a padded channel is not zero. */
static double distance(const float *got, const double *want, int64_t P, int64_t C)
{
    const int64_t wide = aopt_cpu_pad(C);
    double worst = 0;
    int64_t p, c;
    for (p = 0; p < P; p++)
        for (c = 0; c < wide; c++) {
            const double d = fabs((double)got[p * wide + c] - (c < C ? want[p * C + c] : 0.0));
            if (c >= C ? d != 0 : !(d <= worst)) worst = d == d && c < C ? d : HUGE_VAL;
        }
    return worst;
}

static const struct shape { int64_t ci, co, T, H, W; int kt, k; } shape[] = {
    { 1, 1, 1, 1, 1, 3, 3 }, { 3, 5, 4, 3, 7, 3, 3 }, { 17, 33, 2, 5, 4, 3, 3 }, { 12, 16, 3, 1, 9, 3, 3 }, { 5, 20, 5, 8, 1, 3, 3 }, { 64, 50, 3, 9, 13, 3, 3 },
    { 7, 50, 3, 4, 5, 1, 1 }, { 6, 4, 5, 3, 2, 3, 1 }, { 9, 11, 2, 6, 7, 1, 3 }, { 33, 70, 1, 14, 30, 1, 3 },
};
enum { SHAPES = sizeof shape / sizeof shape[0] };

/* Everything of one shape that the runs share. */
typedef struct job { aopt_ref_conv conv; float *x, *wide, *add, *wide_add, *gamma, *wide_gamma; int64_t P; double *y, *act; } job;

static job open_job(const struct shape *s, int upsample)
{
    const int64_t n = s->co * s->ci * s->kt * s->k * s->k;
    job j;
    j.P = (s->T * s->H * s->W) << (2 * upsample);
    j.conv.ci = s->ci; j.conv.co = s->co; j.conv.kt = s->kt; j.conv.kh = j.conv.kw = s->k;
    j.conv.weight = fill(n, 1); j.conv.bias = fill(s->co, 2);
    j.x = fill(s->T * s->H * s->W * s->ci, 3); j.wide = padded(j.x, s->T * s->H * s->W, s->ci);
    j.add = fill(j.P * s->co, 4); j.wide_add = padded(j.add, j.P, s->co);
    j.gamma = fill(s->co, 5); j.wide_gamma = padded(j.gamma, 1, s->co);
    j.y = plain(&j.conv, j.x, s->T, s->H, s->W, upsample, upsample ? NULL : j.add);
    j.act = plain_norm(j.y, j.P, s->co, j.gamma, 1);
    return j;
}

static void close_job(job *j)
{
    free((void *)(uintptr_t)j->conv.weight); free((void *)(uintptr_t)j->conv.bias);
    free(j->x); free(j->wide); free(j->add); free(j->wide_add); free(j->gamma); free(j->wide_gamma); free(j->y); free(j->act);
}

static aopt_cpu_run run_of(const job *j, const struct shape *s)
{
    aopt_cpu_run r;
    memset(&r, 0, sizeof r);
    r.x = j->wide; r.frames = s->T; r.H = s->H; r.W = s->W;
    r.norm.gamma = j->wide_gamma; r.norm.norm_c = s->co; r.norm.silu = 1;
    return r;
}

static void run(const aopt__fast_fns *fns, const aopt_cpu_conv *c, aopt_cpu_run *r)
{
    float *work = blank(aopt_cpu_work(c, r));
    r->work = work;
    aopt__fast_run(fns, c, r);
    free(work);
}

static void test_conv(void)
{
    static const struct { int64_t tiles, step; int threads; } cut[] = { { 0, 0, 1 }, { 1, 1, 2 }, { 5, 2, 1 }, { 3, 9, 5 }, { 0, 0, 7 } };
    int i, k, n, scheme;
    size_t q;
    for (i = 0; i < SHAPES; i++) {
        const struct shape *s = &shape[i];
        const int64_t wide = aopt_cpu_pad(s->co), frame = s->H * s->W * wide;
        const double limit = 4e-6 * sqrt((double)(s->ci * s->kt * s->k * s->k));
        job j = open_job(s, 0);
        for (scheme = AOPT_CPU_DIRECT; scheme <= AOPT_CPU_F4; scheme++) {
            aopt_cpu_conv *c = NULL;
            aopt_error err;
            if (s->k == 1 && scheme != AOPT_CPU_DIRECT) continue;
            CHECK(aopt_cpu_conv_open(&j.conv, scheme, 0, &c, &err) == AOPT_OK, "%s", err.message);
            for (k = 0; k < SETS && c; k++) {
                float *first, *y, *act, *alone;
                double d;
                if (!runs_here(k)) continue;
                first = blank(j.P * wide); y = blank(j.P * wide); act = blank(j.P * wide); alone = blank(j.P * wide);
                for (q = 0; q < sizeof cut / sizeof cut[0]; q++) {
                    aopt_cpu_run r = run_of(&j, s);
                    r.add = j.wide_add;
                    r.y = q ? y : first; r.act = act;
                    r.tiles = cut[q].tiles; r.step = cut[q].step; r.threads = cut[q].threads;
                    run(set[k].fns, c, &r);
                    if (q) CHECK(memcmp(y, first, (size_t)(j.P * wide) * sizeof *y) == 0, "%s, %s, shape %d: cut %d changes bits", set[k].name, aopt_cpu_scheme_name(scheme), i, (int)q);
                }
                d = distance(first, j.y, j.P, s->co);
                CHECK(d <= limit, "%s, %s, shape %d: off by %g, limit %g", set[k].name, aopt_cpu_scheme_name(scheme), i, d, limit);
                d = distance(act, j.act, j.P, s->co);
                CHECK(d <= 30 * limit, "%s, %s, shape %d, norm: off by %g", set[k].name, aopt_cpu_scheme_name(scheme), i, d);
                first[j.P * wide / 2 / wide * wide] += 1e-3f;
                CHECK(distance(first, j.y, j.P, s->co) > limit, "shape %d: a broken value went unnoticed", i);
                first[j.P * wide / 2 / wide * wide] -= 1e-3f;
                {                                       /* the norm alone, and without y */
                    aopt_cpu_run r = run_of(&j, s);
                    r.add = j.wide_add; r.act = alone;
                    run(set[k].fns, c, &r);
                    CHECK(memcmp(act, alone, (size_t)(j.P * wide) * sizeof *act) == 0, "%s, %s, shape %d: act depends on y", set[k].name, aopt_cpu_scheme_name(scheme), i);
                }
                for (n = s->kt == 3 ? 2 : 1; n < s->T && n < 4; n++) {  /* in two calls, frames of y two frames apart; the second finds its past in front of it */
                    aopt_cpu_run r = run_of(&j, s);
                    float *sparse = blank(2 * j.P * wide);
                    int64_t t, same = 0;
                    r.threads = 2;
                    r.add = j.wide_add; r.frames = n; r.y = sparse; r.y_frame = 2 * frame;
                    run(set[k].fns, c, &r);
                    r.x += n * s->H * s->W * aopt_cpu_pad(s->ci); r.add += n * frame; r.y += 2 * n * frame;
                    r.frames = s->T - n; r.past = 2;
                    run(set[k].fns, c, &r);
                    for (t = 0; t < s->T; t++) same += memcmp(sparse + 2 * t * frame, y + t * frame, (size_t)frame * sizeof *y) == 0;
                    CHECK(same == s->T, "%s, %s, shape %d: cut after frame %d, %d of %d frames equal", set[k].name, aopt_cpu_scheme_name(scheme), i, n, (int)same, (int)s->T);
                    if (s->kt == 3) {
                        r.past = 0;                     /* control: a forgotten past shows */
                        run(set[k].fns, c, &r);
                        CHECK(memcmp(sparse + 2 * n * frame, y + n * frame, (size_t)frame * sizeof *y) != 0, "shape %d: the past is not looked at", i);
                    }
                    free(sparse);
                }
                free(first); free(y); free(act); free(alone);
            }
            aopt_cpu_conv_close(c);
        }
        close_job(&j);
    }
}

/* After nearest-upsample, with DupUp3D of a stage's input as the residual. */
static void test_upsample(void)
{
    static const struct { struct shape s; int64_t add_c; int ft, skip; } up[] = {
        { { 1, 1, 1, 1, 1, 1, 3 }, 1, 1, 0 }, { { 5, 7, 3, 3, 4, 1, 3 }, 7, 2, 1 }, { { 18, 18, 4, 5, 2, 1, 3 }, 36, 2, 0 }, { { 40, 24, 2, 4, 7, 1, 3 }, 48, 1, 0 },
        { { 16, 8, 2, 6, 6, 1, 3 }, 4, 2, 0 }, { { 32, 32, 1, 13, 11, 1, 3 }, 0, 1, 0 },
    };
    size_t i;
    int k, scheme;
    for (i = 0; i < sizeof up / sizeof up[0]; i++) {
        const struct shape *s = &up[i].s;
        const int64_t wide = aopt_cpu_pad(s->co), sources = (s->T + up[i].skip) / up[i].ft, add_c = up[i].add_c;
        job j = open_job(s, 1);
        float *source = add_c ? fill(sources * s->H * s->W * add_c, 9) : NULL, *wide_source = source ? padded(source, sources * s->H * s->W, add_c) : NULL;
        const double limit = 6e-6 * sqrt((double)(s->ci * 9));
        double d;
        if (source) {
            float *spread = (float *)malloc((size_t)(j.P * s->co) * sizeof *spread);
            int64_t q;
            aopt_ref_dup_up(source, sources, s->H, s->W, add_c, s->co, up[i].ft, 2, up[i].skip, spread, 1);
            for (q = 0; q < j.P * s->co; q++) j.y[q] += (double)spread[q];
            free(spread);
        }
        for (scheme = 0; scheme < AOPT_CPU_SCHEMES; scheme++) {
            aopt_cpu_conv *c = NULL;
            aopt_error err;
            const int status = aopt_cpu_conv_open(&j.conv, scheme, 1, &c, &err);
            if (scheme == AOPT_CPU_F2 || scheme == AOPT_CPU_F4) {
                CHECK(status == AOPT_E_ARG && !c, "%s after upsample was not refused", aopt_cpu_scheme_name(scheme));
                continue;
            }
            CHECK(status == AOPT_OK, "%s", err.message);
            for (k = 0; k < SETS && c; k++) {
                float *y, *again;
                aopt_cpu_run r = run_of(&j, s);
                if (!runs_here(k)) continue;
                y = blank(j.P * wide); again = blank(j.P * wide);
                r.add = wide_source; r.add_c = aopt_cpu_pad(add_c); r.add_real = add_c; r.add_ft = up[i].ft; r.add_skip = up[i].skip;
                r.y = y;
                run(set[k].fns, c, &r);
                d = distance(y, j.y, j.P, s->co);
                CHECK(d <= limit, "%s, %s, case %d: off by %g, limit %g", set[k].name, aopt_cpu_scheme_name(scheme), (int)i, d, limit);
                r.y = again; r.threads = 3; r.tiles = 2;
                run(set[k].fns, c, &r);
                CHECK(memcmp(y, again, (size_t)(j.P * wide) * sizeof *y) == 0, "%s, %s, case %d: the cut changes bits", set[k].name, aopt_cpu_scheme_name(scheme), (int)i);
                y[0] += 1e-3f;
                CHECK(distance(y, j.y, j.P, s->co) > limit, "case %d: a broken value went unnoticed", (int)i);
                free(y); free(again);
            }
            aopt_cpu_conv_close(c);
        }
        free(source); free(wide_source);
        close_job(&j);
    }
}

/* A weight off by a thousandth shows through every scheme. */
static void test_control_weight(void)
{
    const struct shape *s = &shape[5];
    job j = open_job(s, 0);
    float *y = blank(j.P * aopt_cpu_pad(s->co));
    int scheme;
    for (scheme = AOPT_CPU_DIRECT; scheme <= AOPT_CPU_F4; scheme++) {
        float *w = (float *)(uintptr_t)j.conv.weight;
        aopt_cpu_conv *c = NULL;
        aopt_cpu_run r = run_of(&j, s);
        r.add = j.wide_add; r.y = y;
        w[s->co * s->ci * 27 / 2] += 1e-3f;
        CHECK(aopt_cpu_conv_open(&j.conv, scheme, 0, &c, NULL) == AOPT_OK, "scheme %d", scheme);
        run(aopt__fast_pick(), c, &r);
        CHECK(distance(y, j.y, j.P, s->co) > 2e-4, "scheme %d: a broken weight went unnoticed", scheme);
        w[s->co * s->ci * 27 / 2] -= 1e-3f;
        aopt_cpu_conv_close(c);
    }
    free(y);
    close_job(&j);
}

static void test_norm(void)
{
    static const int64_t channels[] = { 1, 16, 23, 64, 130 };
    size_t i;
    int silu;
    for (i = 0; i < sizeof channels / sizeof channels[0]; i++)
        for (silu = 0; silu < 2; silu++) {
            const int64_t C = channels[i], wide = aopt_cpu_pad(C), P = 150;
            float *x = fill(P * C, 1), *gamma = fill(C, 2), *wide_x, *wide_gamma = padded(gamma, 1, C), *y = blank(P * wide);
            double *in = (double *)malloc((size_t)(P * C) * sizeof *in), *want;
            const aopt_cpu_norm norm = { wide_gamma, C, silu };
            int64_t k;
            for (k = 0; k < C; k++) { x[k] = 0; x[C + k] *= 1e-15f; x[2 * C + k] *= 1e15f; }
            for (k = 0; k < P * C; k++) in[k] = (double)x[k];
            wide_x = padded(x, P, C);
            want = plain_norm(in, P, C, gamma, silu);
            aopt_cpu_norm_run(&norm, wide_x, P, wide, y, 3);
            CHECK(distance(y, want, P, C) <= 4e-6, "%d channels, silu %d: off by %g", (int)C, silu, distance(y, want, P, C));
            y[P / 2 * wide] += 1e-4f;
            CHECK(distance(y, want, P, C) > 4e-6, "%d channels: a broken value went unnoticed", (int)C);
            wide_x[0] = (float)NAN;
            aopt_cpu_norm_run(&norm, wide_x, P, wide, y, 1);
            CHECK(y[0] != y[0], "NaN became %g", (double)y[0]);
            free(x); free(gamma); free(wide_x); free(wide_gamma); free(y); free(in); free(want);
        }
}

static void test_video(void)
{
    enum { F = 3, H = 5, W = 7, C = 16, FRAME = 3 * 4 * H * W };
    float *x = fill(F * H * W * C, 1), *video = blank(F * FRAME), one[FRAME], *bare = (float *)malloc(H * W * 12 * sizeof *bare);
    int64_t f, p, c, wrong = 0;
    for (p = 0; p < F * H * W * C; p++) x[p] *= 1.5f;
    aopt_cpu_video(x, F, H, W, C, video, F * 4 * H * W, 2);
    for (f = 0; f < F; f++) {
        for (p = 0; p < H * W; p++) memcpy(bare + p * 12, x + (f * H * W + p) * C, 12 * sizeof *bare);
        aopt_ref_unpatchify(bare, H, W, one, 1);
        for (c = 0; c < 3; c++) wrong += memcmp(video + (c * F + f) * 4 * H * W, one + c * 4 * H * W, 4 * H * W * sizeof *one) != 0;
    }
    CHECK(wrong == 0, "%d of %d planes differ", (int)wrong, 3 * F);
    CHECK(memcmp(video, one, sizeof one / 3) != 0, "frames 0 and 2 look the same");
    free(x); free(video); free(bare);
}

static void test_refusals(void)
{
    float w[27 * 2] = { 0 }, b[2] = { 0 };
    aopt_ref_conv conv = { 1, 1, 3, 3, 3, w, b };
    aopt_cpu_conv *c = NULL;
    aopt_error err;
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_F4, 0, &c, &err) == AOPT_OK && c, "control: %s", err.message);
    aopt_cpu_conv_close(c);
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_SCHEMES, 0, &c, &err) == AOPT_E_ARG && !c, "scheme out of range");
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_UP, 0, &c, &err) == AOPT_E_ARG && !c, "upsample scheme without upsample");
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_UP, 1, &c, &err) == AOPT_E_ARG && !c, "time taps after upsample");
    conv.kh = conv.kw = 1;
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_F2, 0, &c, &err) == AOPT_E_ARG && !c, "Winograd of a 3x1x1 kernel");
    conv.kt = 2;
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_DIRECT, 0, &c, &err) == AOPT_E_ARG && !c, "a kernel of 2 in time");
    conv.kt = 1; conv.ci = 0;
    CHECK(aopt_cpu_conv_open(&conv, AOPT_CPU_DIRECT, 0, &c, &err) == AOPT_E_ARG && !c, "no channels");
    CHECK(strcmp(aopt_cpu_scheme_name(AOPT_CPU_F4), "F(4x4)") == 0 && strcmp(aopt_cpu_scheme_name(-1), "unknown scheme") == 0, "names");
    aopt_cpu_conv_close(NULL);
}

int main(void)
{
    RUN(test_conv);
    RUN(test_upsample);
    RUN(test_control_weight);
    RUN(test_norm);
    RUN(test_video);
    RUN(test_refusals);
    return check_report();
}
