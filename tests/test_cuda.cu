/* test_cuda.cu - every kernel against its CPU mate at odd sizes; decode and encode against the outputs of the official code.
   On a GPU through nvcc; without one through tests/emulate (see tests/test_cuda_emulated.sh).  Run from the repository root.
   `kernels` runs the kernels alone, `small` one fixture besides: for compute-sanitizer (test_sanitizers.sh), under which the rest is slow. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "../autoopt.h"
#include "check.h"
#include <cuda_runtime.h>
#include <cublas_v2.h>
#include <vector>

typedef std::vector<float> floats;
static aopt_error err;

#define OK(call) do { err.message[0] = 0; CHECK((call) == AOPT_OK, "%s", err.message); } while (0)

/* Device memory of a test, filled with NaN so that nothing passes by having been left alone. */
template <typename T> struct device {
    T *p;
    size_t n;
    explicit device(size_t count) : p(NULL), n(count) { CHECK(cudaMalloc((void **)&p, (n + 1) * sizeof(T)) == cudaSuccess, "no device memory"); cudaMemsetAsync(p, 0xff, n * sizeof(T), 0); }
    explicit device(const std::vector<T> &v) : p(NULL), n(v.size()) { CHECK(cudaMalloc((void **)&p, (n + 1) * sizeof(T)) == cudaSuccess, "no device memory"); cudaMemcpy(p, v.data(), n * sizeof(T), cudaMemcpyHostToDevice); }
    ~device() { cudaFree(p); }
    std::vector<T> get() const { std::vector<T> v(n); cudaMemcpy(v.data(), p, n * sizeof(T), cudaMemcpyDeviceToHost); return v; }
    device(const device &) = delete;
};

static floats noise(int64_t n, uint64_t seed)
{
    floats v((size_t)n);
    for (int64_t i = 0; i < n; i++) v[(size_t)i] = 2.0f * aopt_random_uniform(seed, (uint64_t)i) - 1.0f;
    return v;
}

static double max_diff(const floats &a, const floats &b)
{
    double worst = a.size() == b.size() ? 0.0 : INFINITY;
    for (size_t i = 0; i < a.size() && i < b.size(); i++) {
        const double d = fabs((double)a[i] - b[i]);
        if (!(d <= worst)) worst = d;                     /* NaN counts as the worst of all, and stays */
    }
    return worst;
}
#define CLOSE(a, b, limit) do { const double d_ = max_diff(a, b); CHECK(d_ <= (limit), "differs by %g", d_); } while (0)

/* An activation of [t][H][W][C] on the device, with or without border; a new one holds NaN everywhere. */
struct activation {
    aopt_rows rows;
    device<float> memory;
    static size_t size(int64_t t, int64_t H, int64_t W, int C, int border) { aopt_rows r = { NULL, t, H, W, C, border }; return (size_t)(aopt_rows_count(&r) * C); }
    activation(int64_t t, int64_t H, int64_t W, int C, int border) : memory(size(t, H, W, C, border)) { aopt_rows r = { memory.p, t, H, W, C, border }; rows = r; }
    int64_t at(int64_t t, int64_t y, int64_t x) const { return ((t * (rows.H + rows.border) + y + rows.border) * (rows.W + rows.border) + x + rows.border) * rows.C; }
    /* Pixels from plain channels-last; the border gets `edge`. */
    void put(const floats &plain, float edge)
    {
        floats all(memory.n, edge);
        size_t from = 0;
        for (int64_t t = 0; t < rows.frames; t++)
            for (int64_t y = 0; y < rows.H; y++)
                for (int64_t x = 0; x < rows.W; x++)
                    for (int c = 0; c < rows.C; c++) all[(size_t)(at(t, y, x) + c)] = plain[from++];
        cudaMemcpy(memory.p, all.data(), all.size() * sizeof(float), cudaMemcpyHostToDevice);
    }
    floats get() const
    {
        const floats all = memory.get();
        floats plain;
        for (int64_t t = 0; t < rows.frames; t++)
            for (int64_t y = 0; y < rows.H; y++)
                for (int64_t x = 0; x < rows.W; x++)
                    for (int c = 0; c < rows.C; c++) plain.push_back(all[(size_t)(at(t, y, x) + c)]);
        return plain;
    }
    /* Border elements that are not zero. */
    int64_t dirty() const
    {
        const floats all = memory.get(), pixels = get();
        int64_t nonzero = 0;
        for (size_t i = 0; i < all.size(); i++) nonzero += all[i] != 0.0f;
        for (size_t i = 0; i < pixels.size(); i++) nonzero -= pixels[i] != 0.0f;
        return nonzero;
    }
};

static const int64_t size_list[][4] = { { 1, 1, 1, 1 }, { 2, 3, 5, 7 }, { 3, 4, 1, 33 }, { 1, 9, 13, 64 } };      /* t, H, W, C */

/* ---- the judge's buffers ---- */

static void test_buffers(void)
{
    static const int64_t sizes[] = { 1, 31, 32, 2049, 70001 };
    for (int64_t n : sizes) {
        const floats v = noise(n, 5);
        device<float> x(v);
        device<uint64_t> result(2);
        int64_t first;
        std::vector<uint64_t> got;
        uint64_t want[2];

        OK(aopt_cuda_fingerprint(x.p, n, 77, result.p, 0, &err));
        CHECK(result.get()[0] == aopt_ref_fingerprint(v.data(), n, 77), "fingerprint of %lld elements", (long long)n);
        CHECK(result.get()[0] != aopt_ref_fingerprint(v.data(), n, 78), "the seed does not matter");

        OK(aopt_cuda_poison(x.p, n, 12345, 0, &err));
        floats poisoned((size_t)n);
        aopt_ref_poison(poisoned.data(), n, 12345);
        floats there = x.get();
        CHECK(memcmp(there.data(), poisoned.data(), (size_t)n * 4) == 0, "poison");
        CHECK(there[0] != there[0], "poison is no NaN");
        cudaMemcpy(x.p + n / 2, v.data(), 4, cudaMemcpyHostToDevice);
        there = x.get();
        OK(aopt_cuda_unwritten(x.p, n, 12345, result.p, 0, &err));
        got = result.get();
        CHECK(got[0] == (uint64_t)aopt_ref_unwritten(there.data(), n, 12345, &first) && got[0] == (uint64_t)n - 1, "%lld unwritten", (long long)got[0]);
        CHECK((int64_t)got[1] == first, "first at %lld, expected %lld", (long long)got[1], (long long)first);
        OK(aopt_cuda_unwritten(x.p, n, 12346, result.p, 0, &err));
        CHECK(result.get()[0] == 0 && result.get()[1] == UINT64_MAX, "another payload counts");

        device<uint32_t> guard((size_t)n);
        OK(aopt_cuda_guard_fill(guard.p, n, 9, 0, &err));
        std::vector<uint32_t> words((size_t)n), filled = guard.get();
        aopt_ref_guard_fill(words.data(), n, 9);
        CHECK(words == filled, "guard words");
        OK(aopt_cuda_guard_check(guard.p, n, 9, result.p, 0, &err));
        CHECK(result.get()[0] == 0 && result.get()[1] == UINT64_MAX, "a fresh guard is broken");
        words[(size_t)n - 1] ^= 1u;
        words[(size_t)n / 2] ^= 0x80000000u;
        cudaMemcpy(guard.p, words.data(), (size_t)n * 4, cudaMemcpyHostToDevice);
        OK(aopt_cuda_guard_check(guard.p, n, 9, result.p, 0, &err));
        aopt_ref_guard_check(words.data(), n, 9, want);
        got = result.get();
        CHECK(got[0] == want[0] && got[1] == want[1] && got[0] > 0, "guard: %lld changed, first %lld", (long long)got[0], (long long)got[1]);
    }
}

static void test_fingerprint_sees_place(void)
{
    floats v = noise(1000, 6);
    const uint64_t before = aopt_ref_fingerprint(v.data(), 1000, 1);
    std::swap(v[3], v[700]);
    device<float> x(v);
    device<uint64_t> result(1);
    OK(aopt_cuda_fingerprint(x.p, 1000, 1, result.p, 0, &err));
    CHECK(result.get()[0] != before, "two elements changed places unnoticed");
}

static int near(double a, double b) { return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= 1e-11 * (fabs(a) + fabs(b)); }

static void compare_case(const floats &a, const floats &b, int64_t F, int64_t H, int64_t W)
{
    device<float> x(a), y(b);
    aopt_comparison cpu, gpu;
    OK(aopt_compare(a.data(), b.data(), F, H, W, &cpu, &err));
    OK(aopt_cuda_compare(x.p, y.p, F, H, W, &gpu, 0, &err));
    CHECK(near(cpu.mse, gpu.mse) && near(cpu.psnr_db, gpu.psnr_db), "mse %g, %g", cpu.mse, gpu.mse);
    CHECK(near(cpu.psnr_frame_min_db, gpu.psnr_frame_min_db) && cpu.frame_min == gpu.frame_min, "frame %lld, %lld", (long long)cpu.frame_min, (long long)gpu.frame_min);
    CHECK(near(cpu.psnr_tile_min_db, gpu.psnr_tile_min_db) && memcmp(cpu.tile_min, gpu.tile_min, sizeof cpu.tile_min) == 0, "tile %g, %g", cpu.psnr_tile_min_db, gpu.psnr_tile_min_db);
    CHECK(near(cpu.max_abs, gpu.max_abs) && memcmp(cpu.max_abs_at, gpu.max_abs_at, sizeof cpu.max_abs_at) == 0, "max_abs %g, %g", cpu.max_abs, gpu.max_abs);
    CHECK(near(cpu.psnr_motion_db, gpu.psnr_motion_db), "motion %g, %g", cpu.psnr_motion_db, gpu.psnr_motion_db);
    CHECK(near(cpu.gradient_ratio, gpu.gradient_ratio), "gradient %g, %g", cpu.gradient_ratio, gpu.gradient_ratio);
    CHECK((isnan(cpu.mean_shift) && isnan(gpu.mean_shift)) || fabs(cpu.mean_shift - gpu.mean_shift) < 1e-12, "shift %g, %g", cpu.mean_shift, gpu.mean_shift);
    CHECK(cpu.nonfinite == gpu.nonfinite && cpu.reference_nonfinite == gpu.reference_nonfinite, "nonfinite %lld, %lld", (long long)cpu.nonfinite, (long long)gpu.nonfinite);
    CHECK(memcmp(cpu.nonfinite_at, gpu.nonfinite_at, sizeof cpu.nonfinite_at) == 0, "first NaN");
    CHECK(memcmp(cpu.reference_nonfinite_at, gpu.reference_nonfinite_at, sizeof cpu.nonfinite_at) == 0, "first NaN of the reference");
}

static void test_compare(void)
{
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 3, 45, 70 }, { 2, 32, 64 }, { 5, 7, 33 } };
    for (const int64_t *s : sizes) {
        const int64_t n = 3 * s[0] * s[1] * s[2];
        const floats b = noise(n, 1), d = noise(n, 2);
        floats a = b;
        compare_case(a, b, s[0], s[1], s[2]);
        for (int64_t i = 0; i < n; i++) a[(size_t)i] += 0.01f * d[(size_t)i];
        compare_case(a, b, s[0], s[1], s[2]);
        for (int64_t i = 0; i < n; i++) a[(size_t)i] = b[(size_t)i] > 0 ? b[(size_t)i] - 0.5f : b[(size_t)i] + 0.5f;       /* ties of max_abs */
        compare_case(floats((size_t)n, 0.25f), floats((size_t)n, -0.25f), s[0], s[1], s[2]);
        a[(size_t)n / 2] = NAN;
        a[(size_t)n - 1] = INFINITY;
        compare_case(a, b, s[0], s[1], s[2]);
        compare_case(b, a, s[0], s[1], s[2]);
    }
}

/* ---- layers ---- */

static void test_rms_norm(void)
{
    for (const int64_t *s : size_list)
        for (int borders = 0; borders < 4; borders++)
            for (int silu = 0; silu < 2; silu++) {
                const int64_t P = s[0] * s[1] * s[2];
                const int C = (int)s[3];
                floats in = noise(P * C, 3), gamma = noise(C, 4), want((size_t)(P * C));
                activation x(s[0], s[1], s[2], C, borders & 1), y(s[0], s[1], s[2], C, borders >> 1);
                device<float> g(gamma);
                if (silu) for (int c = 0; c < C; c++) in[(size_t)c] = 0.0f;                      /* a zero vector must give zero */
                x.put(in, NAN);
                OK(aopt_cuda_rms_norm(&x.rows, g.p, silu, &y.rows, 0, &err));
                (silu ? aopt_ref_rms_norm_silu : aopt_ref_rms_norm)(in.data(), P, C, gamma.data(), want.data(), 1);
                CLOSE(y.get(), want, 4e-6 * sqrt((double)C));
                CHECK(y.dirty() == 0, "%lld border elements are not zero", (long long)y.dirty());
            }
}

static void test_upsample_nearest(void)
{
    for (const int64_t *s : size_list)
        for (int borders = 0; borders < 4; borders++)
            for (int factor = 1; factor <= 2; factor++) {
                const int C = (int)s[3];
                const floats in = noise(s[0] * s[1] * s[2] * C, 3);
                floats want = in;
                activation x(s[0], s[1], s[2], C, borders & 1), y(s[0], s[1] * factor, s[2] * factor, C, borders >> 1);
                x.put(in, NAN);
                OK(aopt_cuda_upsample_nearest(&x.rows, factor, &y.rows, 0, &err));
                if (factor == 2) { want.resize(4 * in.size()); aopt_ref_upsample(in.data(), s[0], s[1], s[2], C, want.data(), 1); }
                CLOSE(y.get(), want, 0.0);
                CHECK(y.dirty() == 0, "%lld border elements are not zero", (long long)y.dirty());
            }
}

static void test_add(void)
{
    for (const int64_t *s : size_list) {
        const int64_t n = s[0] * s[1] * s[2] * s[3];
        const floats a = noise(n, 1), b = noise(n, 2);
        floats want((size_t)n);
        activation x(s[0], s[1], s[2], (int)s[3], 0), y(s[0], s[1], s[2], (int)s[3], 1), z(s[0], s[1], s[2], (int)s[3], 0);
        for (int64_t i = 0; i < n; i++) want[(size_t)i] = a[(size_t)i] + b[(size_t)i];
        x.put(a, NAN);
        y.put(b, NAN);
        OK(aopt_cuda_add(&x.rows, &y.rows, &z.rows, 0, &err));
        CLOSE(z.get(), want, 0.0);
        OK(aopt_cuda_add(&x.rows, &y.rows, &x.rows, 0, &err));
        CLOSE(x.get(), want, 0.0);
    }
}

static void test_dup_up(void)
{
    static const int cases[][4] = { { 8, 8, 2, 2 }, { 8, 4, 1, 2 }, { 6, 3, 2, 2 }, { 5, 5, 2, 1 }, { 33, 66, 2, 1 } };      /* ci, co, ft, frames */
    for (const int *k : cases)
        for (int first = 0; first < 2; first++) {
            const int64_t t = k[3], H = 3, W = 5, to = t * k[2] - (first ? k[2] - 1 : 0), n = to * 4 * H * W * k[1];
            const floats in = noise(t * H * W * k[0], 1), b = noise(n, 2);
            floats want((size_t)n);
            activation x(t, H, W, k[0], 0), y(to, 2 * H, 2 * W, k[1], 1), z(to, 2 * H, 2 * W, k[1], 0);
            x.put(in, NAN);
            y.put(b, NAN);
            OK(aopt_cuda_dup_up(&x.rows, k[2], first, &y.rows, &z.rows, 0, &err));
            aopt_ref_dup_up(in.data(), t, H, W, k[0], k[1], k[2], 2, first, want.data(), 1);
            for (int64_t i = 0; i < n; i++) want[(size_t)i] += b[(size_t)i];
            CLOSE(z.get(), want, 0.0);
        }
}

static void test_avg_down(void)
{
    static const int cases[][5] = { { 8, 8, 1, 2, 3 }, { 8, 16, 2, 2, 1 }, { 8, 16, 2, 2, 4 }, { 3, 6, 2, 2, 3 }, { 5, 5, 1, 1, 2 }, { 33, 11, 1, 2, 1 } };     /* ci, co, ft, fs, frames */
    for (const int *k : cases) {
        const int64_t t = k[4], H = 4, W = 6, to = (t + k[2] - 1) / k[2], n = to * (H / k[3]) * (W / k[3]) * k[1];
        const floats in = noise(t * H * W * k[0], 1), b = noise(n, 2);
        floats want((size_t)n);
        activation x(t, H, W, k[0], 0), y(to, H / k[3], W / k[3], k[1], 1), z(to, H / k[3], W / k[3], k[1], 0);
        x.put(in, NAN);
        y.put(b, NAN);
        OK(aopt_cuda_avg_down(&x.rows, k[2], k[3], &y.rows, &z.rows, 0, &err));
        aopt_ref_avg_down(in.data(), t, H, W, k[0], k[1], k[2], k[3], want.data(), 1);
        for (int64_t i = 0; i < n; i++) want[(size_t)i] += b[(size_t)i];
        CLOSE(z.get(), want, 1e-6);
    }
}

static void test_layouts(void)
{
    for (const int64_t *s : size_list) {
        const int64_t t = s[0], H = s[1], W = s[2], n = t * H * W, stride = n + 3;
        const int C = (int)s[3];
        const floats in = noise(C * stride, 1);
        floats scale = noise(C, 2), shift = noise(C, 3), want;
        device<float> x(in), sc(scale), sh(shift), back((size_t)(C * stride));
        activation y(t, H, W, C, 0);
        for (int64_t p = 0; p < n; p++) for (int c = 0; c < C; c++) want.push_back(in[(size_t)(c * stride + p)] * scale[(size_t)c] + shift[(size_t)c]);
        OK(aopt_cuda_channels_last(x.p, stride, sc.p, sh.p, &y.rows, 0, &err));
        CLOSE(y.get(), want, 1e-6);
        OK(aopt_cuda_channels_last(x.p, stride, NULL, NULL, &y.rows, 0, &err));
        OK(aopt_cuda_channels_first(&y.rows, C, NULL, NULL, back.p, stride, 0, &err));
        const floats got = back.get();
        for (int c = 0; c < C; c++) {
            CHECK(memcmp(&got[(size_t)(c * stride)], &in[(size_t)(c * stride)], (size_t)n * 4) == 0, "channel %d", c);
            CHECK(isnan(got[(size_t)(c * stride + n)]), "wrote past channel %d", c);
        }
        OK(aopt_cuda_channels_first(&y.rows, (C + 1) / 2, sc.p, sh.p, back.p, stride, 0, &err));
        CHECK(fabsf(back.get()[0] - (in[0] - shift[0]) / scale[0]) <= 1e-5f * fabsf(1.0f / scale[0]), "scale and shift");

        const int64_t pixels = t * 4 * H * W;
        floats video = noise(3 * pixels, 4), rows((size_t)(n * 12)), frame((size_t)(12 * H * W));
        for (size_t i = 0; i < video.size(); i++) video[i] *= 1.5f;
        device<float> v(video), out((size_t)(3 * pixels));
        activation z(t, H, W, 12, 0);
        OK(aopt_cuda_patchify(v.p, pixels, &z.rows, 0, &err));
        for (int64_t f = 0; f < t; f++) aopt_ref_patchify(video.data() + f * 4 * H * W, pixels, H, W, rows.data() + f * H * W * 12, 1);
        CLOSE(z.get(), rows, 0.0);
        OK(aopt_cuda_unpatchify(&z.rows, out.p, pixels, 0, &err));
        for (size_t i = 0; i < video.size(); i++) video[i] = video[i] < -1.0f ? -1.0f : video[i] > 1.0f ? 1.0f : video[i];
        CLOSE(out.get(), video, 0.0);
        rows[0] = NAN;
        z.put(rows, 0.0f);
        OK(aopt_cuda_unpatchify(&z.rows, out.p, pixels, 0, &err));
        CHECK(isnan(out.get()[0]), "the clamp made a number of NaN");
    }
}

static void test_interleave_time(void)
{
    const int64_t t = 3, H = 2, W = 5, C = 7;
    const floats in = noise(t * H * W * 2 * C, 1);
    floats want;
    activation x(t, H, W, 2 * C, 0), y(2 * t, H, W, C, 0);
    x.put(in, 0.0f);
    OK(aopt_cuda_interleave_time(&x.rows, &y.rows, 0, &err));
    for (int64_t f = 0; f < 2 * t; f++)
        for (int64_t p = 0; p < H * W; p++)
            for (int64_t c = 0; c < C; c++) want.push_back(in[(size_t)((f / 2 * H * W + p) * 2 * C + f % 2 * C + c)]);
    CLOSE(y.get(), want, 0.0);
}

static void test_softmax(void)
{
    static const int64_t sizes[][2] = { { 1, 1 }, { 5, 31 }, { 9, 100 } };
    for (const int64_t *s : sizes) {
        const floats in = noise(s[0] * s[1], 1);
        floats want((size_t)(s[0] * s[1]));
        device<float> x(in);
        for (int64_t r = 0; r < s[0]; r++) {
            double sum = 0.0;
            for (int64_t c = 0; c < s[1]; c++) sum += exp(30.0 * in[(size_t)(r * s[1] + c)]);
            for (int64_t c = 0; c < s[1]; c++) want[(size_t)(r * s[1] + c)] = (float)(exp(30.0 * in[(size_t)(r * s[1] + c)]) / sum);
        }
        OK(aopt_cuda_softmax(x.p, s[0], s[1], 30.0f, 0, &err));
        CLOSE(x.get(), want, 1e-5);
    }
}

struct blas_handle {
    cublasHandle_t h;
    blas_handle() { CHECK(cublasCreate(&h) == CUBLAS_STATUS_SUCCESS, "cublasCreate"); cublasSetMathMode(h, CUBLAS_PEDANTIC_MATH); }
    ~blas_handle() { cublasDestroy(h); }
};

/* x [past + t][H][W][ci] to y, by the launcher, weights in the checkpoint's order. */
static floats conv_on_device(const aopt_conv_shape &c, const floats &x, int64_t frames, int64_t H, int64_t W, const floats &weight, const floats &bias)
{
    static blas_handle blas;
    const int64_t taps = (int64_t)c.kt * c.kh * c.kw;
    device<float> raw(weight), packed(weight.size()), b(bias);
    activation in(frames, H, W, c.ci, c.kh == 3), out((frames - c.kt) / c.stride_t + 1, H / c.stride_s, W / c.stride_s, c.co, c.stride_s == 1 && c.kh == 3);
    in.put(x, 0.0f);
    OK(aopt_cuda_pack_conv(raw.p, c.co, c.ci, taps, packed.p, 0, &err));
    OK(aopt_cuda_conv(blas.h, &in.rows, &c, packed.p, b.p, &out.rows, 0, &err));
    return out.get();
}

static void test_conv(void)
{
    static const int cases[][4] = { { 3, 3, 5, 7 }, { 3, 3, 33, 12 }, { 1, 3, 8, 3 }, { 3, 1, 4, 8 }, { 1, 1, 9, 2 }, { 3, 3, 1, 1 } };    /* kt, kh = kw, ci, co */
    static const int64_t sizes[][3] = { { 1, 1, 1 }, { 2, 3, 5 }, { 4, 6, 1 }, { 1, 9, 8 } };
    for (const int *k : cases)
        for (const int64_t *s : sizes) {
            const aopt_conv_shape c = { k[2], k[3], k[0], k[1], k[1], 1, 1 };
            const int64_t frame = s[1] * s[2] * c.ci, past = c.kt - 1;
            const floats x = noise((past + s[0]) * frame, 1), weight = noise((int64_t)c.co * c.ci * c.kt * c.kh * c.kw, 2), bias = noise(c.co, 3);
            const aopt_ref_conv ref = { c.ci, c.co, c.kt, c.kh, c.kw, weight.data(), bias.data() };
            floats history(x.begin(), x.begin() + past * frame), want((size_t)(s[0] * s[1] * s[2] * c.co));
            OK(aopt_ref_conv3d(&ref, x.data() + past * frame, s[0], s[1], s[2], past ? history.data() : NULL, want.data(), 1, &err));
            const floats got = conv_on_device(c, x, past + s[0], s[1], s[2], weight, bias);
            CLOSE(got, want, 2e-6 * (1.0 + sqrt((double)(c.ci * c.kt * c.kh * c.kw))));
            want[want.size() / 2] += 1e-3f;
            CHECK(max_diff(got, want) > 5e-4, "a wrong element went unnoticed");
        }
}

static void test_conv_strided(void)
{
    static const int64_t sizes[][3] = { { 1, 2, 2 }, { 3, 6, 4 }, { 2, 10, 12 } };
    for (const int64_t *s : sizes) {
        const aopt_conv_shape space = { 5, 7, 1, 3, 3, 1, 2 }, time = { 6, 5, 3, 1, 1, 2, 1 };
        const floats x = noise(s[0] * s[1] * s[2] * 5, 1), weight = noise(7 * 5 * 9, 2), bias = noise(7, 3);
        const aopt_ref_conv ref = { 5, 7, 1, 3, 3, weight.data(), bias.data() };
        floats want((size_t)(s[0] * (s[1] / 2) * (s[2] / 2) * 7));
        OK(aopt_ref_conv2d_down(&ref, x.data(), s[0], s[1], s[2], want.data(), 1, &err));
        CLOSE(conv_on_device(space, x, s[0], s[1], s[2], weight, bias), want, 1e-5);

        const int64_t frame = s[1] * s[2] * 6, t = 2 * s[0];
        const floats z = noise((1 + t) * frame, 4), w = noise(5 * 6 * 3, 5), b = noise(5, 6);
        const aopt_ref_conv tref = { 6, 5, 3, 1, 1, w.data(), b.data() };
        want.resize((size_t)(s[0] * s[1] * s[2] * 5));
        OK(aopt_ref_time_conv_down(&tref, z.data(), z.data() + frame, t, s[1], s[2], want.data(), 1, &err));
        CLOSE(conv_on_device(time, z, 1 + t, s[1], s[2], w, b), want, 1e-5);
    }
}

static void test_attention(void)
{
    static blas_handle blas;
    static const int64_t cases[][4] = { { 1, 1, 1, 4 }, { 2, 3, 5, 7 }, { 1, 6, 7, 32 } };
    for (const int64_t *s : cases)
        for (int rows = 1; rows <= 64; rows *= 4) {
            const int64_t P = s[1] * s[2], C = s[3];
            floats qkv = noise(s[0] * P * 3 * C, 1), want((size_t)(s[0] * P * C));
            for (size_t i = 0; i < qkv.size(); i++) qkv[i] *= 3.0f;
            activation x(s[0], s[1], s[2], (int)(3 * C), 0), y(s[0], s[1], s[2], (int)C, 0);
            device<float> scores((size_t)(rows * P));
            x.put(qkv, 0.0f);
            OK(aopt_cuda_attention(blas.h, &x.rows, scores.p, rows * P, &y.rows, 0, &err));
            for (int64_t t = 0; t < s[0]; t++) OK(aopt_ref_attention(qkv.data() + t * P * 3 * C, P, C, want.data() + t * P * C, 1, &err));
            CLOSE(y.get(), want, 2e-5);
        }
}

static void test_shapes_refused(void)
{
    static blas_handle blas;
    activation x(2, 3, 5, 7, 1), y(2, 3, 5, 8, 1);
    const aopt_conv_shape c = { 7, 8, 3, 3, 3, 1, 1 };
    CHECK(aopt_cuda_add(&x.rows, &y.rows, &y.rows, 0, &err) == AOPT_E_SHAPE && strstr(err.message, "[2][3][5][7]"), "%s", err.message);
    CHECK(aopt_cuda_conv(blas.h, &x.rows, &c, NULL, NULL, &y.rows, 0, &err) == AOPT_E_SHAPE && strstr(err.message, "7->8"), "%s", err.message);
    CHECK(aopt_cuda_unpatchify(&x.rows, NULL, 0, 0, &err) == AOPT_E_SHAPE, "%s", err.message);
}

/* ---- the VAE ---- */

struct model {
    aopt_checkpoint *weights, *data;
    aopt_vae *vae;
    explicit model(const char *name) : weights(NULL), data(NULL), vae(NULL)
    {
        char path[200];
        snprintf(path, sizeof path, "tests/fixtures/%s.pth", name);
        OK(aopt_checkpoint_open(path, NULL, &weights, &err));
        snprintf(path, sizeof path, "tests/fixtures/%s.safetensors", name);
        OK(aopt_checkpoint_open(path, NULL, &data, &err));
        if (weights) OK(aopt_vae_open(weights, &vae, &err));
    }
    ~model() { aopt_vae_close(vae); aopt_checkpoint_close(data); aopt_checkpoint_close(weights); }
    const aopt_tensor *shape(const char *name) const { return aopt_checkpoint_find(data, name); }
    floats get(const char *name) const
    {
        const aopt_tensor *t = aopt_checkpoint_find(data, name);
        floats v(t ? (size_t)aopt_tensor_numel(t) : 0);
        CHECK(t, "no tensor %s", name);
        if (t) OK(aopt_tensor_to_f32(t, v.data(), (int64_t)v.size(), &err));
        return v;
    }
};

static floats decode(const model &m, const floats &latent, int64_t T, int64_t h, int64_t w, const aopt_cuda_options *o, int on_device)
{
    floats video((size_t)(3 * aopt_vae_frames(T) * 256 * h * w), NAN);
    device<float> in(latent), out(video);
    aopt_cuda_vae *d = NULL;
    OK(aopt_cuda_vae_decoder_open(m.vae, h, w, o, &d, &err));
    if (!d) return video;
    OK(aopt_cuda_vae_decode(d, on_device ? in.p : latent.data(), T, on_device ? out.p : video.data(), &err));
    if (on_device) video = out.get();
    aopt_cuda_vae_close(d);
    return video;
}

static floats encode(const model &m, const floats &video, int64_t T, int64_t h, int64_t w, const aopt_cuda_options *o, int on_device)
{
    floats latent((size_t)(48 * T * h * w), NAN);
    device<float> in(video), out(latent);
    aopt_cuda_vae *e = NULL;
    OK(aopt_cuda_vae_encoder_open(m.vae, h, w, o, &e, &err));
    if (!e) return latent;
    OK(aopt_cuda_vae_encode(e, on_device ? in.p : video.data(), aopt_vae_frames(T), on_device ? out.p : latent.data(), &err));
    if (on_device) latent = out.get();
    aopt_cuda_vae_close(e);
    return latent;
}

/* Both fixtures, both directions, every chunk size, either kind of memory.  Longer chunks must change nothing but the order of
   sums inside cuBLAS. */
static void fixture(const char *name)
{
    model m(name);
    const aopt_tensor *l = m.shape("latent");
    if (!m.vae || !l) return;
    const int64_t T = l->shape[1], h = l->shape[2], w = l->shape[3];
    const floats latent = m.get("latent"), video = m.get("decoded"), clip = m.get("clip"), encoded = m.get("encoded");
    aopt_cuda_options o;
    memset(&o, 0, sizeof o);
    for (o.chunk = 1; o.chunk <= 3; o.chunk++) {
        const floats got = decode(m, latent, T, h, w, &o, o.chunk & 1), back = encode(m, clip, T, h, w, &o, !(o.chunk & 1));
        printf("    %s, chunks of %lld: decode off by %.2g, encode by %.2g\n", name, (long long)o.chunk, max_diff(got, video), max_diff(back, encoded));
        CLOSE(got, video, 2e-5);
        CLOSE(back, encoded, 1e-4);
    }
    floats wrong = latent;
    wrong[0] += 0.1f;
    CHECK(max_diff(decode(m, wrong, T, h, w, NULL, 0), video) > 1e-4, "a changed latent went unnoticed");
}

static void test_fixture_nano(void) { fixture("nano"); }
static void test_fixture_odd(void) { fixture("odd"); }

static void test_prefix_and_raw(void)
{
    model m("nano");
    const aopt_tensor *l = m.shape("latent");
    if (!m.vae || !l) return;
    const int64_t T = l->shape[1], h = l->shape[2], w = l->shape[3], hw = h * w, H = 16 * h, W = 16 * w;
    const floats latent = m.get("latent"), video = m.get("decoded");
    floats two, raw = latent;
    aopt_cuda_options o;
    memset(&o, 0, sizeof o);
    for (int c = 0; c < 48; c++) two.insert(two.end(), latent.begin() + c * T * hw, latent.begin() + (c * T + 2) * hw);
    const floats prefix = decode(m, two, 2, h, w, NULL, 0);
    for (int c = 0; c < 3; c++)
        for (int64_t i = 0; i < 5 * H * W; i++)
            if (!(fabsf(prefix[(size_t)(c * 5 * H * W + i)] - video[(size_t)(c * aopt_vae_frames(T) * H * W + i)]) <= 2e-5f)) { CHECK(0, "prefix differs at %lld of channel %d", (long long)i, c); return; }
    for (int c = 0; c < 48; c++) for (int64_t i = 0; i < T * hw; i++) raw[(size_t)(c * T * hw + i)] = latent[(size_t)(c * T * hw + i)] * m.vae->std[c] + m.vae->mean[c];
    o.raw_latent = 1;
    CLOSE(decode(m, raw, T, h, w, &o, 1), video, 2e-5);
}

static int stop_after_two(void *user, const char *what, int64_t done, int64_t total)
{
    (void)what; (void)total;
    ++*(int *)user;
    return done == 2;
}

static void test_refusals(void)
{
    model m("nano");
    const aopt_tensor *l = m.shape("latent");
    if (!m.vae || !l) return;
    const int64_t T = l->shape[1], h = l->shape[2], w = l->shape[3];
    const floats latent = m.get("latent");
    floats video((size_t)(3 * aopt_vae_frames(T) * 256 * h * w));
    aopt_cuda_vae *d = NULL;
    aopt_cuda_options o;
    int calls = 0;
    memset(&o, 0, sizeof o);
    const int64_t bytes = aopt_cuda_vae_decode_bytes(m.vae, h, w, NULL);
    CHECK(bytes > 1000000, "%lld bytes", (long long)bytes);
    o.memory_limit = bytes - 1;
    CHECK(aopt_cuda_vae_decoder_open(m.vae, h, w, &o, &d, &err) == AOPT_E_MEMORY && !d && strstr(err.message, "the limit is"), "%s", err.message);
    o.memory_limit = bytes;
    OK(aopt_cuda_vae_decoder_open(m.vae, h, w, &o, &d, &err));
    CHECK(aopt_cuda_vae_encode(d, latent.data(), 9, video.data(), &err) == AOPT_E_ARG, "a decoder encodes");
    CHECK(aopt_cuda_vae_decode(d, latent.data(), 0, video.data(), &err) == AOPT_E_SHAPE, "no frames");
    aopt_cuda_vae_close(d);
    CHECK(aopt_cuda_vae_decoder_open(m.vae, 16384, 16384, NULL, &d, &err) == AOPT_E_MEMORY && !d && strstr(err.message, "free of"), "%s", err.message);
    CHECK(aopt_cuda_vae_decoder_open(m.vae, 0, 4, NULL, &d, &err) == AOPT_E_SHAPE, "%s", err.message);
    memset(&o, 0, sizeof o);
    o.device = 99;
    CHECK(aopt_cuda_vae_decoder_open(m.vae, h, w, &o, &d, &err) == AOPT_E_CUDA && strstr(err.message, "cudaSetDevice"), "%s", err.message);
    memset(&o, 0, sizeof o);
    o.progress = stop_after_two;
    o.progress_user = &calls;
    OK(aopt_cuda_vae_decoder_open(m.vae, h, w, &o, &d, &err));
    if (!d) return;
    CHECK(aopt_cuda_vae_decode(d, latent.data(), T, video.data(), &err) == AOPT_E_CANCELLED && calls == 2, "%d calls", calls);
    d->options.progress = NULL;
    OK(aopt_cuda_vae_decode(d, latent.data(), T, video.data(), &err));        /* a cancelled clip leaves no trace in the next */
    CLOSE(video, m.get("decoded"), 2e-5);
    aopt_cuda_vae_close(d);

    aopt_tensor t = *m.vae->decoder.conv1.weight;
    floats values((size_t)aopt_tensor_numel(&t));
    OK(aopt_tensor_to_f32(&t, values.data(), (int64_t)values.size(), &err));
    values[100] = NAN;
    aopt_vae changed = *m.vae;
    aopt_tensor bad = aopt_tensor_make("decoder.conv1.weight", AOPT_F32, t.ndim, t.shape, values.data(), AOPT_HOST);
    changed.decoder.conv1.weight = &bad;
    CHECK(aopt_cuda_vae_decoder_open(&changed, h, w, NULL, &d, &err) == AOPT_E_VALUE && !d && strstr(err.message, "decoder.conv1.weight: element 100"), "%s", err.message);
    changed.encoder.present = 0;
    CHECK(aopt_cuda_vae_encoder_open(&changed, h, w, NULL, &d, &err) == AOPT_E_MISSING && !d, "%s", err.message);
}

#ifdef EMULATE_CUDA_RUNTIME_H
/* Let each CUDA and cuBLAS call fail in turn: an error with its place comes back, and all memory. */
static void test_every_call_checked(void)
{
    model m("nano");
    const floats latent = noise(48 * 2, 8);
    floats video(3 * 256 * 5);
    const size_t used = emulate_device_used;
    int n, failed = 0;
    if (!m.vae) return;
    for (n = 0;; n += 1 + n / 16) {
        aopt_cuda_vae *d = NULL;
        emulate_fail_after = n;
        err.message[0] = 0;
        aopt_status st = aopt_cuda_vae_decoder_open(m.vae, 1, 1, NULL, &d, &err);
        if (!st) st = aopt_cuda_vae_decode(d, latent.data(), 2, video.data(), &err);
        const int reached = emulate_fail_after < 0;
        emulate_fail_after = -1;
        aopt_cuda_vae_close(d);
        CHECK(emulate_device_used == used, "call %d: device memory is lost", n);
        if (!reached) break;
        failed += st != AOPT_OK;
        CHECK(st == AOPT_OK || st == AOPT_E_CUDA || st == AOPT_E_MEMORY, "call %d: status %d", n, (int)st);
        CHECK(st == AOPT_OK || strchr(err.message, ':'), "call %d: %s", n, err.message);
        CHECK(st == AOPT_OK || cudaGetLastError() == cudaSuccess, "call %d: leaves an error behind for the next caller", n);
    }
    printf("    of about %d calls %d failed in turn\n", n, failed);
    CHECK(failed > 50, "only %d failed", failed);
}
#endif

int main(int argc, char **argv)
{
    const int kernels = argc > 1 && strcmp(argv[1], "kernels") == 0, small = argc > 1 && strcmp(argv[1], "small") == 0;
    int n = 0;
    if (cudaGetDeviceCount(&n) != cudaSuccess || n == 0) {
        printf("skip test_cuda: no GPU\n0 passed, 0 failed, 1 skipped\n");
        return 0;
    }
    RUN(test_buffers);
    RUN(test_fingerprint_sees_place);
    RUN(test_compare);
    RUN(test_rms_norm);
    RUN(test_upsample_nearest);
    RUN(test_add);
    RUN(test_dup_up);
    RUN(test_avg_down);
    RUN(test_layouts);
    RUN(test_interleave_time);
    RUN(test_softmax);
    RUN(test_conv);
    RUN(test_conv_strided);
    RUN(test_attention);
    RUN(test_shapes_refused);
    if (kernels) return check_report();
    RUN(test_fixture_nano);
    if (small) return check_report();
    RUN(test_fixture_odd);
    RUN(test_prefix_and_raw);
    RUN(test_refusals);
#ifdef EMULATE_CUDA_RUNTIME_H
    RUN(test_every_call_checked);
#endif
    return check_report();
}
