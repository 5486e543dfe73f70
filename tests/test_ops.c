/* test_ops.c - every aopt_ref_* op against a plain loop in double, at sizes that fit no tile, whole and cut into calls */
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

/* NaN everywhere: a value never written must not pass. */
static float *blank(int64_t n)
{
    float *x = (float *)malloc((size_t)n * sizeof *x);
    memset(x, 0xff, (size_t)n * sizeof *x);
    return x;
}

static double *zeros(int64_t n) { return (double *)calloc((size_t)n, sizeof(double)); }

/* Largest |got - want|; infinite if anything is NaN. */
static double distance(const float *got, const double *want, int64_t n)
{
    double worst = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        const double d = fabs((double)got[i] - want[i]);
        if (!(d <= worst)) worst = d == d ? d : HUGE_VAL;
    }
    return worst;
}

/* got is within `limit` of want, and would not be if one value were off. */
static void close_to(const char *what, float *got, const double *want, int64_t n, double limit)
{
    const double d = distance(got, want, n);
    CHECK(d <= limit, "%s: off by %g, limit %g", what, d, limit);
    got[n / 2] += (float)(8 * limit) + 1e-3f;
    CHECK(distance(got, want, n) > limit, "%s: a broken value went unnoticed", what);
    got[n / 2] -= (float)(8 * limit) + 1e-3f;
}

/* The convolution of the contract, straight from the formula.  step: in space; pad_before: zeros above and to the left;
   past [2][H][W][ci] before x, or NULL. */
static double *plain_conv(const aopt_ref_conv *c, const float *past, const float *x, int64_t T, int64_t H, int64_t W, int step, int pad_before)
{
    const int64_t h = H / step, w = W / step, frame = H * W * c->ci;
    double *y = zeros(T * h * w * c->co);
    int64_t t, i, j, o, k;
    int a, b, d;
    for (t = 0; t < T; t++) for (i = 0; i < h; i++) for (j = 0; j < w; j++) for (o = 0; o < c->co; o++) {
        double sum = c->bias ? (double)c->bias[o] : 0;
        for (a = 0; a < c->kt; a++) for (b = 0; b < c->kh; b++) for (d = 0; d < c->kw; d++) {
            const int64_t s = t + a - (c->kt - 1), p = i * step + b - pad_before, q = j * step + d - pad_before;
            const float *from;
            if (p < 0 || p >= H || q < 0 || q >= W || (s < 0 && !past)) continue;
            from = (s < 0 ? past + (s + 2) * frame : x + s * frame) + (p * W + q) * c->ci;
            for (k = 0; k < c->ci; k++)
                sum += (double)from[k] * (double)c->weight[((((o * c->ci + k) * c->kt + a) * c->kh + b) * c->kw) + d];
        }
        y[((t * h + i) * w + j) * c->co + o] = sum;
    }
    return y;
}

static const struct { int64_t ci, co, T, H, W; int kt, k; } conv_case[] = {
    { 1, 1, 1, 1, 1, 3, 3 }, { 3, 5, 4, 3, 7, 3, 3 }, { 17, 33, 2, 5, 4, 3, 3 }, { 12, 16, 3, 1, 9, 3, 3 }, { 5, 20, 2, 8, 1, 3, 3 },
    { 7, 50, 3, 4, 5, 1, 1 }, { 130, 18, 2, 3, 3, 3, 3 }, { 300, 3, 1, 2, 13, 3, 3 }, { 2100, 17, 1, 2, 5, 1, 1 }, { 6, 4, 5, 3, 2, 3, 1 }, { 9, 11, 2, 6, 7, 1, 3 },
};

static void test_conv3d(void)
{
    size_t i;
    for (i = 0; i < sizeof conv_case / sizeof conv_case[0]; i++) {
        const int64_t ci = conv_case[i].ci, co = conv_case[i].co, T = conv_case[i].T, H = conv_case[i].H, W = conv_case[i].W;
        const int kt = conv_case[i].kt, k = conv_case[i].k;
        float *x = fill(T * H * W * ci, 1), *weight = fill(co * ci * kt * k * k, 2), *bias = fill(co, 3), *past = fill(2 * H * W * ci, 4);
        float *history = fill(2 * H * W * ci, 4), *y = blank(T * H * W * co), *cut = blank(T * H * W * co);
        aopt_ref_conv c;
        double *want;
        aopt_error err;
        char name[80];
        int64_t t;
        c.ci = ci; c.co = co; c.kt = kt; c.kh = c.kw = k; c.weight = weight; c.bias = bias;
        snprintf(name, sizeof name, "conv %lld->%lld %dx%dx%d", (long long)ci, (long long)co, kt, k, k);
        want = plain_conv(&c, past, x, T, H, W, 1, k / 2);
        CHECK(aopt_ref_conv3d(&c, x, T, H, W, history, y, 0, &err) == AOPT_OK, "%s", err.message);
        close_to(name, y, want, T * H * W * co, 2e-6 * (double)(ci * kt * k * k) + 1e-5);
        free(want);

        memcpy(history, past, (size_t)(2 * H * W * ci) * sizeof *past);
        for (t = 0; t < T; t++)
            CHECK(aopt_ref_conv3d(&c, x + t * H * W * ci, 1, H, W, history, cut + t * H * W * co, 1 + (int)t % 3, &err) == AOPT_OK, "%s", err.message);
        CHECK(memcmp(y, cut, (size_t)(T * H * W * co) * sizeof *y) == 0, "%s: frame by frame differs", name);
        if (kt == 3 && T > 1)
            CHECK(memcmp(history, x + (T - 2) * H * W * ci, (size_t)(2 * H * W * ci) * sizeof *x) == 0, "%s: history is not the last two frames", name);

        c.bias = NULL;
        want = plain_conv(&c, NULL, x, T, H, W, 1, k / 2);
        CHECK(aopt_ref_conv3d(&c, x, T, H, W, NULL, y, 2, &err) == AOPT_OK, "%s", err.message);
        close_to(name, y, want, T * H * W * co, 2e-6 * (double)(ci * kt * k * k) + 1e-5);
        free(want); free(x); free(weight); free(bias); free(past); free(history); free(y); free(cut);
    }
}

static void test_conv2d_down(void)
{
    const int64_t ci = 11, co = 19, T = 2, H = 6, W = 10;
    float *x = fill(T * H * W * ci, 1), *weight = fill(co * ci * 9, 2), *bias = fill(co, 3), *y = blank(T * H * W / 4 * co);
    aopt_ref_conv c;
    double *want;
    aopt_error err;
    c.ci = ci; c.co = co; c.kt = 1; c.kh = c.kw = 3; c.weight = weight; c.bias = bias;
    want = plain_conv(&c, NULL, x, T, H, W, 2, 0);
    CHECK(aopt_ref_conv2d_down(&c, x, T, H, W, y, 0, &err) == AOPT_OK, "%s", err.message);
    close_to("conv2d_down", y, want, T * H * W / 4 * co, 1e-4);
    CHECK(aopt_ref_conv2d_down(&c, x, T, 5, W, y, 0, &err) == AOPT_E_ARG, "an odd height was accepted");
    free(want); free(x); free(weight); free(bias); free(y);
}

static void test_time_conv(void)
{
    const int64_t C = 13, T = 4, H = 3, W = 5, frame = H * W * C;
    float *x = fill(T * frame, 1), *weight = fill(2 * C * C * 3, 2), *bias = fill(2 * C, 3), *past = fill(2 * frame, 4), *history = fill(2 * frame, 4);
    float *y = blank(2 * T * frame);
    double *wide, *want = zeros(2 * T * frame);
    aopt_ref_conv c;
    aopt_error err;
    int64_t t, p, k;
    c.ci = C; c.co = 2 * C; c.kt = 3; c.kh = c.kw = 1; c.weight = weight; c.bias = bias;
    wide = plain_conv(&c, past, x, T, H, W, 1, 0);
    for (t = 0; t < T; t++) for (p = 0; p < H * W; p++) for (k = 0; k < 2 * C; k++)
        want[((2 * t + k / C) * H * W + p) * C + k % C] = wide[(t * H * W + p) * 2 * C + k];
    CHECK(aopt_ref_time_conv_up(&c, x, T, H, W, history, y, 0, &err) == AOPT_OK, "%s", err.message);
    close_to("time_conv_up", y, want, 2 * T * frame, 1e-4);
    CHECK(memcmp(history, x + (T - 2) * frame, (size_t)(2 * frame) * sizeof *x) == 0, "history is not the last two frames");
    free(wide);

    c.co = C;
    wide = plain_conv(&c, past, x, T, H, W, 1, 0);      /* its frame t sees x[t-2..t]: every second one, from t = 1 with the last past frame */
    for (t = 0; t < T / 2; t++) memcpy(want + t * frame, wide + (2 * t + 1) * frame, (size_t)frame * sizeof *want);
    CHECK(aopt_ref_time_conv_down(&c, past + frame, x, T, H, W, y, 0, &err) == AOPT_OK, "%s", err.message);
    close_to("time_conv_down", y, want, T / 2 * frame, 1e-4);
    CHECK(aopt_ref_time_conv_down(&c, past, x, 3, H, W, y, 0, &err) == AOPT_E_ARG, "an odd number of frames was accepted");
    free(wide); free(want); free(x); free(weight); free(bias); free(past); free(history); free(y);
}

static void test_bad_kernels(void)
{
    static const int k[][3] = { { 2, 3, 3 }, { 3, 5, 5 }, { 3, 3, 1 }, { 0, 1, 1 }, { 5, 1, 1 } };
    float v[64], y[64];
    aopt_ref_conv c;
    aopt_error err;
    size_t i;
    memset(v, 0, sizeof v);
    c.ci = c.co = 1; c.weight = v; c.bias = NULL;
    for (i = 0; i < sizeof k / sizeof k[0]; i++) {
        c.kt = k[i][0]; c.kh = k[i][1]; c.kw = k[i][2];
        CHECK(aopt_ref_conv3d(&c, v, 1, 2, 2, NULL, y, 1, &err) == AOPT_E_ARG, "kernel %dx%dx%d was accepted", c.kt, c.kh, c.kw);
    }
    c.kt = c.kh = c.kw = 3;
    CHECK(aopt_ref_conv3d(&c, v, 1, 0, 2, NULL, y, 1, &err) == AOPT_E_ARG, "height 0 was accepted");
    CHECK(aopt_ref_conv3d(&c, v, 1, INT64_MAX / 4, INT64_MAX / 4, NULL, y, 1, &err) == AOPT_E_ARG, "an absurd frame was accepted");
}

static void test_norm(void)
{
    static const int64_t channels[] = { 1, 3, 8, 13, 16, 31, 64, 100 };
    size_t i;
    for (i = 0; i < sizeof channels / sizeof channels[0]; i++) {
        const int64_t C = channels[i], P = 29;
        float *x = fill(P * C, 5), *gamma = fill(C, 6), *y = blank(P * C);
        double *norm = zeros(P * C), *silu = zeros(P * C);
        int64_t p, c;
        for (c = 0; c < C; c++) { x[c] = 0; x[C + c] = 1e-15f; x[2 * C + c] *= 1e4f; }      /* zero, below the floor, large */
        for (p = 0; p < P; p++) {
            double sum = 0;
            for (c = 0; c < C; c++) sum += (double)x[p * C + c] * (double)x[p * C + c];
            sum = sqrt(sum);
            for (c = 0; c < C; c++) {
                const double v = (double)x[p * C + c] / (sum > 1e-12 ? sum : 1e-12) * sqrt((double)C) * (double)gamma[c];
                norm[p * C + c] = v;
                silu[p * C + c] = v / (1 + exp(-v));
            }
        }
        aopt_ref_rms_norm(x, P, C, gamma, y, 2);
        close_to("rms_norm", y, norm, P * C, 4e-6);
        aopt_ref_rms_norm_silu(x, P, C, gamma, y, 0);
        close_to("rms_norm_silu", y, silu, P * C, 4e-6);
        x[P * C - 1] = NAN;
        aopt_ref_rms_norm_silu(x, P, C, gamma, y, 1);
        CHECK(y[P * C - 1] != y[P * C - 1], "a NaN vanished");
        free(x); free(gamma); free(y); free(norm); free(silu);
    }
}

static void test_exp(void)
{
    enum { N = 200003 };
    float *x = (float *)malloc(N * sizeof *x), *y = blank(N);
    double worst = 0;
    int i;
    for (i = 0; i < N; i++) x[i] = -87.0f + 174.0f * (float)i / (N - 1);
    aopt_ref_exp(x, N, y);
    for (i = 0; i < N; i++) {
        const double e = fabs((double)y[i] / exp((double)x[i]) - 1);
        if (!(e <= worst)) worst = e;
    }
    CHECK(worst < 2.5e-7, "relative error %g", worst);
    printf("    exp: largest relative error %.3g\n", worst);
    x[0] = -1000; x[1] = 1000; x[2] = NAN; x[3] = 0; x[4] = -HUGE_VALF; x[5] = HUGE_VALF;
    aopt_ref_exp(x, 6, y);
    CHECK(fabs((double)y[0] / exp(-87.0) - 1) < 1e-6 && fabs((double)y[1] / exp(88.0) - 1) < 1e-6, "limits are %g and %g", (double)y[0], (double)y[1]);
    CHECK(y[2] != y[2] && y[3] == 1.0f && y[4] == y[0] && y[5] == y[1], "NaN, 0, -inf, inf give %g %g %g %g", (double)y[2], (double)y[3], (double)y[4], (double)y[5]);
    free(x); free(y);
}

static void test_attention(void)
{
    static const int64_t size[][2] = { { 1, 1 }, { 7, 5 }, { 33, 16 }, { 250, 19 } };      /* P, C; 250 is more than one block of queries */
    size_t k;
    for (k = 0; k < sizeof size / sizeof size[0]; k++) {
        const int64_t P = size[k][0], C = size[k][1];
        float *qkv = fill(P * 3 * C, 7), *y = blank(P * C), *again = blank(P * C);
        double *want = zeros(P * C), *prob = zeros(P);
        aopt_error err;
        int64_t q, p, c;
        for (q = 0; q < 3 * C; q++) qkv[q] *= 30;           /* one query with scores far apart */
        for (q = 0; q < P; q++) {
            double top = -HUGE_VAL, sum = 0;
            for (p = 0; p < P; p++) {
                double s = 0;
                for (c = 0; c < C; c++) s += (double)qkv[q * 3 * C + c] * (double)qkv[p * 3 * C + C + c];
                prob[p] = s / sqrt((double)C);
                if (prob[p] > top) top = prob[p];
            }
            for (p = 0; p < P; p++) sum += prob[p] = exp(prob[p] - top);
            for (p = 0; p < P; p++) for (c = 0; c < C; c++) want[q * C + c] += prob[p] / sum * (double)qkv[p * 3 * C + 2 * C + c];
        }
        CHECK(aopt_ref_attention(qkv, P, C, y, 2, &err) == AOPT_OK, "%s", err.message);
        close_to("attention", y, want, P * C, 3e-5);
        CHECK(aopt_ref_attention(qkv, P, C, again, 1, &err) == AOPT_OK && memcmp(y, again, (size_t)(P * C) * sizeof *y) == 0, "1 and 2 threads differ");
        free(qkv); free(y); free(again); free(want); free(prob);
    }
}

static void test_upsample(void)
{
    const int64_t T = 2, H = 3, W = 5, C = 7;
    float *x = fill(T * H * W * C, 8), *y = blank(4 * T * H * W * C);
    double *want = zeros(4 * T * H * W * C);
    int64_t t, i, j, c;
    for (t = 0; t < T; t++) for (i = 0; i < 2 * H; i++) for (j = 0; j < 2 * W; j++) for (c = 0; c < C; c++)
        want[((t * 2 * H + i) * 2 * W + j) * C + c] = (double)x[((t * H + i / 2) * W + j / 2) * C + c];
    aopt_ref_upsample(x, T, H, W, C, y, 0);
    close_to("upsample", y, want, 4 * T * H * W * C, 0);
    free(x); free(y); free(want);
}

/* The formulas by which the official code builds both shortcuts: repeat_interleave, view, permute, slice; pad, view, permute, mean. */
static void test_shortcuts(void)
{
    static const int sizes[][5] = { { 4, 4, 2, 2, 0 }, { 4, 4, 2, 2, 1 }, { 8, 4, 1, 2, 0 }, { 6, 3, 2, 2, 1 }, { 3, 6, 2, 2, 0 }, { 5, 5, 1, 1, 0 }, { 16, 2, 2, 2, 0 } };
    const int64_t T = 3, H = 4, W = 6;
    size_t k;
    for (k = 0; k < sizeof sizes / sizeof sizes[0]; k++) {
        const int64_t ci = sizes[k][0], co = sizes[k][1];
        const int ft = sizes[k][2], fs = sizes[k][3], first = sizes[k][4], drop = first ? ft - 1 : 0;
        const int64_t n = (T * ft - drop) * fs * H * fs * W * co, groups = (T + ft - 1) / ft, m = groups * (H / fs) * (W / fs) * co;
        float *x = fill(T * H * W * ci, 9), *up = blank(n), *down = blank(m);
        double *want_up = zeros(n), *want_down = zeros(m);
        int64_t t, i, j, c;
        for (t = 0; t < T * ft - drop; t++) for (i = 0; i < fs * H; i++) for (j = 0; j < fs * W; j++) for (c = 0; c < co; c++) {
            const int64_t s = t + drop, repeated = ((c * ft + s % ft) * fs + i % fs) * fs + j % fs;
            want_up[((t * fs * H + i) * fs * W + j) * co + c] = (double)x[((s / ft * H + i / fs) * W + j / fs) * ci + repeated * ci / (co * ft * fs * fs)];
        }
        aopt_ref_dup_up(x, T, H, W, ci, co, ft, fs, first, up, 2);
        close_to("dup_up", up, want_up, n, 0);

        for (t = 0; t < groups * ft; t++) for (i = 0; i < H; i++) for (j = 0; j < W; j++) for (c = 0; c < ci; c++) {
            const int64_t s = t - (groups * ft - T), flat = ((c * ft + t % ft) * fs + i % fs) * fs + j % fs, group = ci * ft * fs * fs / co;
            if (s >= 0) want_down[((t / ft * (H / fs) + i / fs) * (W / fs) + j / fs) * co + flat / group] += (double)x[((s * H + i) * W + j) * ci + c] / (double)group;
        }
        aopt_ref_avg_down(x, T, H, W, ci, co, ft, fs, down, 0);
        close_to("avg_down", down, want_down, m, 1e-6);
        free(x); free(up); free(down); free(want_up); free(want_down);
    }
}

static void test_patchify(void)
{
    const int64_t H = 3, W = 5;
    float *frame = fill(3 * 4 * H * W, 10), *y = blank(H * W * 12), *back = blank(3 * 4 * H * W);
    double *want = zeros(H * W * 12), *want_back = zeros(3 * 4 * H * W);
    int64_t c, i, j;
    frame[5] = 3; frame[6] = -3;
    for (c = 0; c < 3; c++) for (i = 0; i < 2 * H; i++) for (j = 0; j < 2 * W; j++) {
        const double v = (double)frame[(c * 2 * H + i) * 2 * W + j];
        want[(i / 2 * W + j / 2) * 12 + (c * 2 + j % 2) * 2 + i % 2] = v;
        want_back[(c * 2 * H + i) * 2 * W + j] = v < -1 ? -1 : v > 1 ? 1 : v;
    }
    aopt_ref_patchify(frame, 4 * H * W, H, W, y, 0);
    close_to("patchify", y, want, H * W * 12, 0);
    aopt_ref_unpatchify(y, H, W, back, 0);
    close_to("unpatchify", back, want_back, 3 * 4 * H * W, 0);
    y[7] = NAN;
    aopt_ref_unpatchify(y, H, W, back, 0);
    CHECK(!(distance(back, want_back, 3 * 4 * H * W) < 1), "the clamp swallowed a NaN");
    free(frame); free(y); free(back); free(want); free(want_back);
}

/* The kernels of this CPU against those that every CPU has: only the rounding of fused multiply-adds may differ. */
static void test_baseline_kernels(void)
{
    enum { CI = 37, TAPS = 5, C = 43 };
    float *x = fill(6 * TAPS * CI, 11), *w = fill(TAPS * CI * 16, 12), acc[96], base[96], y[C], z[C];
    const float *at[6];
    int64_t tap[TAPS];
    double want[96], want_y[C];
    int i, j, k;
    for (k = 0; k < 6; k++) at[k] = x + k * TAPS * CI;
    for (i = 0; i < TAPS; i++) tap[i] = (TAPS - 1 - i) * CI;
    for (i = 0; i < 96; i++) acc[i] = base[i] = (float)i;
    for (k = 0; k < 6; k++) for (j = 0; j < 16; j++) {
        want[k * 16 + j] = k * 16 + j;
        for (i = 0; i < TAPS * CI; i++) want[k * 16 + j] += (double)at[k][tap[i / CI] + i % CI] * (double)w[i * 16 + j];
    }
    AOPT__PICK(tile)(at, tap, TAPS, CI, w, acc);
    aopt__tile_baseline(at, tap, TAPS, CI, w, base);
    close_to("tile", acc, want, 96, 1e-4);
    close_to("baseline tile", base, want, 96, 1e-4);
    AOPT__PICK(norm)(x, C, w, 1, y);
    AOPT__BASELINE_norm(x, C, w, 1, z);
    for (i = 0; i < C; i++) want_y[i] = (double)y[i];
    close_to("baseline norm", z, want_y, C, 2e-6);
    AOPT__PICK(exp)(x, C, y);
    AOPT__BASELINE_exp(x, C, z);
    for (i = 0; i < C; i++) want_y[i] = (double)y[i];
    close_to("baseline exp", z, want_y, C, 2e-6);
    free(x); free(w);
}

int main(void)
{
    RUN(test_conv3d);
    RUN(test_conv2d_down);
    RUN(test_time_conv);
    RUN(test_bad_kernels);
    RUN(test_norm);
    RUN(test_exp);
    RUN(test_attention);
    RUN(test_upsample);
    RUN(test_shortcuts);
    RUN(test_patchify);
    RUN(test_baseline_kernels);
    return check_report();
}
