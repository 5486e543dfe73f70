/* test_fast.cu - the kernels of the fast decoder against double-precision emulations with the same rounding points

   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA -O2 -gencode=arch=compute_90a,code=sm_90a tests/test_fast.cu -o build/test_fast -lcublas
   The references (X_ref) are the mates of the kernels (aopt_k_X): plain loops in double, rounded to fp16 where the kernel
   stores fp16.  Without a GPU only the algebra of the transforms is tested.  `test_fast small` keeps to shapes that
   compute-sanitizer can afford. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "../autoopt.h"
#include "check.h"
#include <algorithm>
#include <vector>

typedef std::vector<double> vec;
static int small;                       /* 1: sanitizer-sized shapes only */
static cublasHandle_t blas;

/* ---- helpers --------------------------------------------------------------------------------------- */
static double half_of(double x) { return (double)__half2float(__double2half(x)); }
static void round_half(vec &v) { for (double &x : v) x = half_of(x); }
static vec random_vec(int64_t n, uint64_t seed, double scale)      /* roughly normal: sums of twelve uniforms */
{
    vec v((size_t)n);
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    for (double &x : v) {
        double sum = -6.0;
        for (int k = 0; k < 12; k++) { state = state * 6364136223846793005u + 1442695040888963407u; sum += (double)(state >> 40) * 0x1p-24; }
        x = scale * sum;
    }
    return v;
}
static vec random_half(int64_t n, uint64_t seed, double scale) { vec v = random_vec(n, seed, scale); round_half(v); return v; }

/* Device memory that frees itself. */
template <typename T> struct device {
    T *p; int64_t n;
    explicit device(int64_t n_) : p(NULL), n(n_) { if (cudaMalloc((void **)&p, (size_t)n * sizeof(T)) != cudaSuccess) { printf("cudaMalloc failed\n"); exit(1); } poison(); }
    device(const vec &v) : p(NULL), n((int64_t)v.size()) { cudaMalloc((void **)&p, (size_t)n * sizeof(T)); put(v); }
    ~device() { cudaFree(p); }
    device(const device &) = delete;
    void poison() { cudaMemset(p, 0xff, (size_t)n * sizeof(T)); }     /* NaN in every float format */
    void put(const vec &v);
    std::vector<T> raw() const { std::vector<T> h((size_t)n); cudaMemcpy(h.data(), p, (size_t)n * sizeof(T), cudaMemcpyDeviceToHost); return h; }
    vec get() const { std::vector<T> h = raw(); vec v((size_t)n); for (size_t i = 0; i < v.size(); i++) v[i] = (double)(float)h[i]; return v; }
};
template <> void device<float>::put(const vec &v) { std::vector<float> h(v.begin(), v.end()); cudaMemcpy(p, h.data(), h.size() * 4, cudaMemcpyHostToDevice); }
template <> void device<__half>::put(const vec &v)
{
    std::vector<__half> h(v.size());
    for (size_t i = 0; i < v.size(); i++) h[i] = __double2half(v[i]);
    cudaMemcpy(p, h.data(), h.size() * 2, cudaMemcpyHostToDevice);
}
template <typename T> static int same_bits(const std::vector<T> &a, const std::vector<T> &b)
{
    return a.size() == b.size() && memcmp(a.data(), b.data(), a.size() * sizeof(T)) == 0;
}
static double snr(const vec &got, const vec &want)
{
    double s = 0, e = 0;
    for (size_t i = 0; i < want.size(); i++) { const double d = got[i] - want[i]; s += want[i] * want[i]; e += d * d; }
    return e == e ? 10 * log10((s + 1e-300) / (e + 1e-300 + 1e-20 * s)) : -999.0;   /* NaN fails; 200 dB is exact */
}
/* got is as close to the exact values as the emulation is, to 0.5 dB. */
#define CHECK_SNR(got, emulated, exact, ...) do { const double f_ = snr(got, exact), p_ = snr(emulated, exact); \
    CHECK(got.size() == exact.size() && f_ >= p_ - 0.5, __VA_ARGS__); if (f_ < p_ - 0.5) printf("      SNR %.2f dB, emulation %.2f dB\n", f_, p_); } while (0)
static aopt_error err;
#define CALL(x) do { err.message[0] = 0; const aopt_status s_ = (x); CHECK(s_ == AOPT_OK, "%s", err.message); \
    const cudaError_t e_ = cudaDeviceSynchronize(); CHECK(e_ == cudaSuccess, "%s", cudaGetErrorString(e_)); if (e_ != cudaSuccess) exit(1); } while (0)

/* ---- algebra, no GPU ------------------------------------------------------------------------------- */
/* F(m,3) over one axis: at[m][n], g[n][3], bt[n][n], n = m + 2. */
template <int M> static void wino_fill(vec &at, vec &g, vec &bt)
{
    double a[M][M + 2], b[M + 2][3], c[M + 2][M + 2];
    aopt__wino_matrices(a, b, c);
    at.assign(&a[0][0], &a[0][0] + M * (M + 2)); g.assign(&b[0][0], &b[0][0] + (M + 2) * 3); bt.assign(&c[0][0], &c[0][0] + (M + 2) * (M + 2));
}
struct wino {
    int m, n;
    vec at, g, bt;
    explicit wino(int m_) : m(m_), n(m_ + 2) { if (m == 6) wino_fill<6>(at, g, bt); else wino_fill<4>(at, g, bt); }
};
static void test_wino_matrices(void)
{
    for (int m = 4; m <= 6; m += 2) {
        const wino w(m);
        const int n = w.n;
        for (int tap = 0; tap < 3; tap++)
            for (int d = 0; d < n; d++)
                for (int i = 0; i < m; i++) {       /* the coefficient of w[tap] * d[d] in y[i] */
                    double sum = 0;
                    for (int p = 0; p < n; p++) sum += w.at[(size_t)(i * n + p)] * w.g[(size_t)(p * 3 + tap)] * w.bt[(size_t)(p * n + d)];
                    CHECK(fabs(sum - (d == i + tap)) < 1e-13, "m %d: y%d w%d d%d: %.3g", m, i, tap, d, sum);
                }
        for (int p = 0; p < n; p++) {
            double norm = 0;
            for (int d = 0; d < n; d++) norm += w.bt[(size_t)(p * n + d)] * w.bt[(size_t)(p * n + d)];
            CHECK(norm > (m == 4 ? 0.9 : 0.8) && norm < (m == 4 ? 2.6 : 3.5), "m %d: row %d of B^T has squared norm %.3f", m, p, norm);
        }
    }
}
/* The expected product of the errors of two products in an output, for white input; q = 0 without time. */
static double meeting(const wino &w, int p, int q)
{
    double sum = 0, rows = 0;
    for (int i = 0; i < w.m; i++) sum += w.at[(size_t)(i * w.n + p)] * w.at[(size_t)(i * w.n + q)];
    for (int i = 0; i < w.n; i++) rows += w.bt[(size_t)(p * w.n + i)] * w.bt[(size_t)(q * w.n + i)];
    return sum * rows;
}
static void test_wino_carry(void)
{
    for (int mode = 0; mode < 4; mode++) {              /* bit 0: tiles of 6; bit 1: over time */
        const wino w(mode & 1 ? 6 : 4), time(4);
        const int nn = w.n * w.n, n = nn * (mode & 2 ? 6 : 1), at[] = { 0, 1, n / 2 + 3, n - 2, n - 1 };
        vec carry((size_t)n * n, NAN), k((size_t)n * n);
        aopt_wino_carry(w.m, mode & 2 ? 4 : 0, carry.data());
        for (int p = 0; p < n; p++) for (int q = 0; q < n; q++)
            k[(size_t)(p * n + q)] = meeting(w, p % nn / w.n, q % nn / w.n) * meeting(w, p % w.n, q % w.n) * (mode & 2 ? meeting(time, p / nn, q / nn) : 1.0);
        for (int p : at)                                /* an error of 1 in p, carried into all after it: no change of one of those makes the output better */
            for (int m = p + 1; m < n; m++) {
                double slope = k[(size_t)(m * n + p)], size = fabs(slope);
                for (int q = p + 1; q < n; q++) { slope -= k[(size_t)(m * n + q)] * carry[(size_t)(q * n + p)]; size += fabs(k[(size_t)(m * n + q)] * carry[(size_t)(q * n + p)]); }
                CHECK(fabs(slope) <= 1e-9 * size + 1e-12, "mode %d: slope %g of %d after an error in %d", mode, slope, m, p);
            }
        double plain = 0, carried = 0;
        for (int trial = 0; trial < 200; trial++) {     /* weights of the right sizes: G g of white filters */
            const vec g = random_vec(27, (uint64_t)trial + 100, 0.05);
            vec e((size_t)n), f((size_t)n), end((size_t)n);     /* rounded alone; as carried on; in the end */
            for (int p = 0; p < n; p++) {
                double u = 0;
                for (int j = 0; j < (mode & 2 ? 27 : 9); j++)
                    u += g[(size_t)j] * w.g[(size_t)(p % nn / w.n * 3 + j % 9 / 3)] * w.g[(size_t)(p % w.n * 3 + j % 3)] * (mode & 2 ? time.g[(size_t)(p / nn * 3 + j / 9)] : 1.0);
                double wanted = u;
                for (int q = 0; q < p; q++) wanted -= carry[(size_t)(p * n + q)] * f[(size_t)q];
                e[(size_t)p] = half_of(u) - u;
                f[(size_t)p] = half_of(wanted) - wanted;
                end[(size_t)p] = half_of(wanted) - u;
            }
            for (int p = 0; p < n; p++) for (int q = 0; q < n; q++) { plain += e[(size_t)p] * k[(size_t)(p * n + q)] * e[(size_t)q]; carried += end[(size_t)p] * k[(size_t)(p * n + q)] * end[(size_t)q]; }
        }
        CHECK(carried < 0.5 * plain, "mode %d: the carry leaves %.2f of the error", mode, carried / plain);
        printf("    %s, tiles of %d: the carry leaves %.2f of the weights' error\n", mode & 2 ? "over time" : "in space", w.m, carried / plain);
    }
}
static void test_upsample_form(void)
{
    double form[225];
    vec x = random_vec(25, 1, 1), w = random_vec(9, 2, 1);      /* 3x3 low-resolution positions inside 5x5 */
    aopt_upsample_form_tile(2, form);
    for (int y = 3; y < 7; y++)                                 /* centre (2,2): outputs 3..6 */
        for (int z = 3; z < 7; z++) {
            double want = 0, got = 0;
            for (int k = 0; k < 9; k++) want += w[(size_t)k] * x[(size_t)((y + k / 3 - 1) / 2 * 5 + (z + k % 3 - 1) / 2)];
            for (int p = 0; p < 25; p++) {
                const int py = aopt__upsample_product[p] / 5, px = aopt__upsample_product[p] % 5;
                double u = 0, v = 0;
                if ((py != 0 && py != y - 2) || (px != 0 && px != z - 2)) continue;
                for (int k = 0; k < 9; k++) u += form[p * 9 + k] * w[(size_t)k];
                for (int k = 0; k < 9; k++) {
                    static const double kind[3][3] = { { 0, 1, 0 }, { 1, -1, 0 }, { 0, 1, -1 } };
                    v += kind[(py + 1) / 2][k / 3] * kind[(px + 1) / 2][k % 3] * x[(size_t)((1 + k / 3) * 5 + 1 + k % 3)];
                }
                got += u * v;
            }
            CHECK(fabs(got - want) < 1e-13, "output %d,%d: %.6f, want %.6f", y, z, got, want);
        }
}
static void test_upsample4_matrices(void)
{
    double at[4][5], g[2][5][3], bt[5][5];
    aopt__upsample4_matrices(at, g, bt);
    for (int y = 0; y < 8; y++)                                 /* output 2i-1+y from low-resolution positions i-1 .. i+3 */
        for (int tap = 0; tap < 3; tap++)
            for (int d = 0; d < 5; d++) {
                double sum = 0;
                for (int p = 0; p < 5; p++) sum += at[y / 2][p] * g[y % 2][p][tap] * bt[p][d];
                CHECK(fabs(sum - (d == (y + tap) / 2)) < 1e-13, "y%d w%d d%d: %.3g", y, tap, d, sum);
            }
    for (int p = 0; p < 5; p++) {
        double row = 0, top = 0;
        for (int d = 0; d < 5; d++) row += bt[p][d] * bt[p][d];
        for (int i = 0; i < 4; i++) top = std::max(top, fabs(at[i][p]));
        CHECK(row > 0.9 && row < 1.1 && top >= 1 && top < 2.2, "row %d of B^T has squared norm %.3f, column of A^T goes up to %.3f", p, row, top);
    }
    for (int tap = 0; tap < 3; tap++) CHECK(g[0][0][tap] == g[1][0][tap], "the filters differ at the point 1");
}

/* Of a tile of 2 or 4: the coefficient of product p in output (y, x); of plane p in the combination of window position (y, x). */
static double upsample_at(int tile, int p, int y, int x)
{
    double at[4][5], g[2][5][3], bt[5][5];
    int k, f, l, e;
    if (tile == 2) {
        const int py = aopt__upsample_product[p] / 5, px = aopt__upsample_product[p] % 5;
        return (!py || py == y + 1) && (!px || px == x + 1);
    }
    aopt__upsample4_matrices(at, g, bt);
    aopt__upsample4_product(p, &k, &f, &l, &e);
    return (k && f != y % 2) || (l && e != x % 2) ? 0.0 : at[y / 2][k] * at[x / 2][l];
}
static double upsample_bt(int tile, int p, int y, int x)
{
    static const double kind[3][3] = { { 0, 1, 0 }, { 1, -1, 0 }, { 0, 1, -1 } };
    const int k = p <= tile ? 0 : p <= 2 * tile ? p - tile : (p - 1 - 2 * tile) / tile + 1, l = p <= tile ? p : p <= 2 * tile ? 0 : (p - 1 - 2 * tile) % tile + 1;
    double at[4][5], g[2][5][3], bt[5][5];
    if (tile == 2) return kind[k][y] * kind[l][x];
    aopt__upsample4_matrices(at, g, bt);
    return bt[k][y] * bt[l][x];
}
/* The plane of product p, the width of the plane's rows in channels, and where in a row p is. */
static void upsample_plane(int tile, int p, int *plane, int *wide, int *at)
{
    *wide = p < 1 ? 1 : p < 1 + 4 * tile ? 2 : 4;
    *plane = p < 1 ? 0 : p < 1 + 4 * tile ? 1 + (p - 1) / 2 : 1 + 2 * tile + (p - 1 - 4 * tile) / 4;
    *at = p < 1 ? 0 : p < 1 + 4 * tile ? (p - 1) % 2 : (p - 1 - 4 * tile) % 4;
}
static void test_forms_refuse(void)
{
    double form[64 * 9];
    std::fill(form, form + 64 * 9, 7.0);
    for (int tile : { 0, 3, 5, 8 }) { aopt_wino_form_tile(tile, form); aopt_wino_time_form(tile, form); aopt_wino_carry(tile, 0, form); aopt_upsample_form_tile(tile, form); }
    aopt_wino_carry(4, 2, form);
    CHECK(std::count(form, form + 64 * 9, 7.0) == 64 * 9, "a tile that there is none of was written");
}
static void test_upsample4_form(void)
{
    double form[81 * 9];
    vec x = random_vec(25, 1, 1), w = random_vec(9, 2, 1);      /* the window */
    aopt_upsample_form_tile(4, form);
    for (int y = 0; y < 8; y++)
        for (int z = 0; z < 8; z++) {
            double want = 0, got = 0;
            for (int k = 0; k < 9; k++) want += w[(size_t)k] * x[(size_t)((y + k / 3) / 2 * 5 + (z + k % 3) / 2)];
            for (int p = 0; p < 81; p++) {
                double u = 0, v = 0;
                int plane, wide, at;
                upsample_plane(4, p, &plane, &wide, &at);
                for (int k = 0; k < 9; k++) u += form[p * 9 + k] * w[(size_t)k];
                for (int k = 0; k < 25; k++) v += upsample_bt(4, plane, k / 5, k % 5) * x[(size_t)k];
                got += upsample_at(4, p, y, z) * u * v;
            }
            CHECK(fabs(got - want) < 1e-12, "output %d,%d: %.6f, want %.6f", y, z, got, want);
        }
}

/* ---- tap GEMM -------------------------------------------------------------------------------------- */
typedef struct gemm_case { int batch, frames, rows, n, k, taps, pad, gap; } gemm_case;     /* gap: rows between frames */
typedef struct gemm_data { vec a, w, bias, want, size; int64_t a_row, w_row, c_row, a_frame, c_frame, a_batch, w_batch, c_batch; } gemm_data;

static gemm_data gemm_ref(const gemm_case &c, double alpha, bool bias)
{
    gemm_data d;
    const int64_t fa = c.frames + c.taps - 1;
    d.a_row = (c.k + 7) / 8 * 8 + c.pad; d.w_row = (c.k + 7) / 8 * 8 + c.pad; d.c_row = (c.n + 7) / 8 * 8 + c.pad;
    d.a_frame = (c.rows + c.gap) * d.a_row; d.c_frame = (c.rows + 2 * c.gap) * d.c_row;
    d.a_batch = fa * d.a_frame; d.w_batch = c.taps * c.n * d.w_row; d.c_batch = c.frames * d.c_frame;
    d.a = random_half(c.batch * d.a_batch, 11, 1.0);
    d.w = random_half(c.batch * d.w_batch, 12, 0.2);
    d.bias = random_vec(c.n, 13, 1.0);
    for (double &b : d.bias) b = bias ? (double)(float)b : 0.0;
    d.want.assign((size_t)(c.batch * d.c_batch), NAN);
    d.size.assign(d.want.size(), 0.0);
    for (int64_t b = 0; b < c.batch; b++)
        for (int64_t r = 0; r < (int64_t)c.frames * c.rows; r++)
            for (int64_t n = 0; n < c.n; n++) {
                double sum = 0, size = 0;
                for (int64_t j = 0; j < c.taps; j++) {
                    const double *a = &d.a[(size_t)(b * d.a_batch + (r / c.rows + j) * d.a_frame + r % c.rows * d.a_row)], *w = &d.w[(size_t)(b * d.w_batch + (j * c.n + n) * d.w_row)];
                    for (int k = 0; k < c.k; k++) { sum += a[k] * w[k]; size += fabs(a[k] * w[k]); }
                }
                const size_t at = (size_t)(b * d.c_batch + r / c.rows * d.c_frame + r % c.rows * d.c_row + n);
                d.want[at] = alpha * sum + d.bias[(size_t)n];
                d.size[at] = alpha * size;
            }
    return d;
}
static aopt_tapgemm gemm_of(const gemm_case &c, const gemm_data &d, const device<__half> &a, const device<__half> &w, device<__half> &out, float alpha, const float *bias)
{
    aopt_tapgemm g;
    memset(&g, 0, sizeof g);
    g.batch = c.batch; g.frames = c.frames; g.rows = c.rows; g.n = c.n; g.k = c.k; g.taps = c.taps;
    g.a = a.p; g.a_row = d.a_row; g.a_batch = d.a_batch;
    g.w = w.p; g.w_row = d.w_row; g.w_batch = d.w_batch;
    g.c = out.p; g.c_row = d.c_row; g.c_batch = d.c_batch;
    if (c.gap) { g.a_frame = d.a_frame; g.c_frame = d.c_frame; }
    g.alpha = alpha; g.bias = bias;
    return g;
}
/* Elements off by more than one fp16 rounding plus the error of an f32 sum; elements past n, rounded up to 8, must still be poison. */
static int gemm_wrong(const gemm_data &d, int64_t n, const vec &got, int roundings, size_t *where)
{
    int wrong = 0;
    for (size_t i = 0; i < got.size(); i++) {
        const double tol = roundings * (fabs(d.want[i]) + (roundings > 1 ? d.size[i] : 0.0)) * 0x1p-11 + d.size[i] * 0x1p-18 + 0x1p-24;
        if ((int64_t)i % d.c_row >= n && (int64_t)i % d.c_row < (n + 7) / 8 * 8) continue;
        const bool bad = d.want[i] != d.want[i] ? got[i] == got[i] : !(fabs(got[i] - d.want[i]) <= tol);
        if (bad && wrong++ == 0) *where = i;
    }
    return wrong;
}
static const gemm_case gemm_cases[] = {
    { 1, 1, 1, 1, 8, 1, 0, 0 }, { 1, 1, 7, 13, 7, 1, 8, 0 }, { 2, 3, 37, 40, 72, 3, 0, 0 }, { 5, 2, 33, 136, 64, 3, 8, 0 }, { 1, 9, 70, 264, 200, 3, 0, 0 },
    { 3, 1, 515, 120, 96, 1, 0, 0 }, { 1, 4, 130, 128, 320, 3, 0, 0 }, { 2, 17, 65, 72, 136, 3, 0, 0 }, { 1, 3, 300, 256, 512, 2, 0, 0 }, { 3, 2, 290, 248, 192, 1, 0, 0 }, { 4, 1, 1, 8, 640, 3, 0, 0 },
    { 3, 5, 64, 40, 72, 1, 0, 128 }, { 2, 3, 37, 40, 72, 3, 8, 5 }, { 1, 2, 130, 136, 64, 1, 0, 1 },
    { 2, 1, 300, 512, 200, 1, 0, 0 }, { 2, 6, 64, 400, 72, 1, 0, 128 }, { 1, 3, 130, 512, 136, 3, 0, 0 } };       /* four tiles of columns, which blocks share in pairs */

static void gemm_paths(float alpha, bool with_bias)
{
    for (const gemm_case &c : gemm_cases) {
        const gemm_data d = gemm_ref(c, alpha, with_bias);
        device<__half> a(d.a), w(d.w), out((int64_t)d.want.size());
        device<float> bias(d.bias);
        const aopt_tapgemm g = gemm_of(c, d, a, w, out, alpha, with_bias ? bias.p : NULL);
        size_t at = 0;
        int wrong;
        if (aopt_cuda_has_wgmma()) {
            CALL(aopt_cuda_tapgemm(NULL, &g, 0, &err));
            wrong = gemm_wrong(d, c.n, out.get(), 1, &at);
            CHECK(wrong == 0, "wgmma %dx%dx%d n %d k %d taps %d: %d of %d wrong, first at %d: %g, want %g", c.batch, c.frames, c.rows, c.n, c.k, c.taps,
                  wrong, (int)d.want.size(), (int)at, out.get()[at], d.want[at]);
        }
        if (small) continue;
        out.poison();
        CALL(aopt_cuda_tapgemm(blas, &g, 0, &err));
        wrong = gemm_wrong(d, c.n, out.get(), 1 + c.taps, &at);
        CHECK(wrong == 0, "cuBLAS %dx%dx%d n %d k %d taps %d: %d of %d wrong, first at %d: %g, want %g", c.batch, c.frames, c.rows, c.n, c.k, c.taps,
              wrong, (int)d.want.size(), (int)at, out.get()[at], d.want[at]);
    }
}
static void test_tapgemm(void) { gemm_paths(1.0f, false); }
static void test_tapgemm_alpha(void) { gemm_paths(0.25f, false); }
static void test_tapgemm_alpha_bias(void) { gemm_paths(0.25f, true); }

/* a in three pieces, its first and last taps - 1 frames apart: the same sums through wgmma, whatever the plan; without the first frames those of zeros. */
static void gemm_ends(const gemm_case &c, const std::vector<aopt_tapgemm_plan> &plans)
{
    const gemm_data d = gemm_ref(c, 1.0, false);
    const int64_t ends = c.taps - 1, frame = c.rows * d.a_row, frames = c.frames + ends, kept = c.frames > ends ? c.frames - ends : 0;
    for (int zeros = 0; zeros < 2; zeros++) {
        vec whole = d.a, first, middle(1, NAN), last;
        if (zeros) for (int64_t b = 0; b < c.batch; b++) std::fill(whole.begin() + b * d.a_batch, whole.begin() + b * d.a_batch + ends * frame, 0.0);
        for (int64_t b = 0; b < c.batch; b++)
            for (int64_t f = 0; f < frames; f++) {
                const vec part(whole.begin() + b * d.a_batch + f * frame, whole.begin() + b * d.a_batch + (f + 1) * frame);
                vec &to = f < ends ? first : f >= c.frames ? last : middle;
                to.insert(to.end(), part.begin(), part.end());
                if (c.frames < ends && f < ends && f >= c.frames) last.insert(last.end(), part.size(), NAN);       /* also among the first, and read there */
            }
        if (middle.size() > 1) middle.erase(middle.begin());
        middle.resize(middle.size() + 8, NAN);
        device<__half> a(whole), a_first(first), a_middle(middle), a_last(last), w(d.w), out((int64_t)d.want.size());
        aopt_tapgemm g = gemm_of(c, d, a, w, out, 1.0f, NULL);
        if (aopt_cuda_has_wgmma()) {
            CALL(aopt_cuda_tapgemm(NULL, &g, 0, &err));
            const std::vector<__half> want = out.raw();
            g.a = kept ? a_middle.p : NULL; g.a_batch = kept * frame; g.a_frame = 0; g.a_first = zeros ? NULL : a_first.p; g.a_last = a_last.p;
            for (const aopt_tapgemm_plan &plan : plans) {
                out.poison();
                CALL(aopt_cuda_tapgemm_planned(&g, &plan, 0, &err));
                CHECK(same_bits(want, out.raw()), "ends apart, zeros %d, %d frames: tile_rows %d, stages %d %d, grid %d", zeros, c.frames, plan.tile_rows, plan.a_stages, plan.w_stages, plan.grid);
            }
        }
        if (small) continue;
        g = gemm_of(c, d, a, w, out, 1.0f, NULL);
        out.poison();
        CALL(aopt_cuda_tapgemm(blas, &g, 0, &err));
        const vec want = out.get();
        g.a = kept ? a_middle.p : NULL; g.a_batch = kept * frame; g.a_frame = 0; g.a_first = zeros ? NULL : a_first.p; g.a_last = a_last.p;
        out.poison();
        CALL(aopt_cuda_tapgemm(blas, &g, 0, &err));
        size_t same = 0, all = 0;
        const vec got = out.get();
        for (size_t i = 0; i < got.size(); i++) if ((int64_t)i % d.c_row < c.n) { all++; same += fabs(got[i] - want[i]) <= 0x1p-9 * (fabs(want[i]) + d.size[i] * 0x1p-4); }
        CHECK(same == all, "ends apart through cuBLAS, zeros %d, %d frames: %d of %d differ", zeros, c.frames, (int)(all - same), (int)all);
    }
    aopt_tapgemm g;
    device<__half> a(d.a), w(d.w), out((int64_t)d.want.size());
    g = gemm_of(c, d, a, w, out, 1.0f, NULL);
    g.a_first = a.p;
    CHECK(aopt_cuda_tapgemm(NULL, &g, 0, &err) == AOPT_E_ARG, "the first frames apart and not the last");
    g.a_last = a.p + 4;
    CHECK(aopt_cuda_tapgemm(NULL, &g, 0, &err) == AOPT_E_ARG, "last frames at 8 bytes");
}
static void test_tapgemm_ends(void)
{
    gemm_ends({ 3, 11, 90, 200, 328, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 32, 3, 4, 0 }, { 64, 2, 4, 8 }, { 128, 2, 2, 1 }, { 32, 2, 5, 6 } });
    gemm_ends({ 2, 16, 70, 200, 136, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 32, 2, 4, 0 }, { 32, 2, 2, 7 }, { 64, 2, 2, 0 }, { 64, 2, 2, 5 }, { 128, 2, 2, 0 }, { 128, 2, 2, 1 } });      /* ends fall on those of parts */
    gemm_ends({ 2, 1, 33, 136, 64, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 64, 2, 2, 2 }, { 32, 2, 2, 1 } });
    gemm_ends({ 2, 2, 40, 40, 72, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 32, 2, 3, 0 } });
    gemm_ends({ 1, 3, 70, 264, 40, 2, 0, 0 }, { { 0, 0, 0, 0 }, { 256, 2, 4, 3 }, { 64, 2, 4, 2 } });
    gemm_ends({ 2, 11, 90, 512, 328, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 0, 0, 0, 1 }, { 0, 0, 0, 2 }, { 0, 0, 0, 7 }, { 32, 2, 2, 4 }, { 64, 2, 2, 2 } });
}
static void plans_equal_bits(const gemm_case &c, const std::vector<aopt_tapgemm_plan> &plans)
{
    gemm_data d = gemm_ref(c, 1.0, false);
    device<__half> a(d.a), w(d.w), out((int64_t)d.want.size());
    const aopt_tapgemm g = gemm_of(c, d, a, w, out, 1.0f, NULL);
    CALL(aopt_cuda_tapgemm_planned(&g, NULL, 0, &err));
    const std::vector<__half> first = out.raw();
    size_t at = 0;
    CHECK(gemm_wrong(d, c.n, out.get(), 1, &at) == 0, "%d taps: wrong at %d", c.taps, (int)at);
    for (const aopt_tapgemm_plan &plan : plans) {
        out.poison();
        CALL(aopt_cuda_tapgemm_planned(&g, &plan, 0, &err));
        CHECK(same_bits(first, out.raw()), "%d taps: tile_rows %d, stages %d %d, grid %d", c.taps, plan.tile_rows, plan.a_stages, plan.w_stages, plan.grid);
    }
    const aopt_tapgemm_plan odd = { 32, 1, 4, 0 };   /* a ring of one slot would wait for itself */
    CHECK(aopt_cuda_tapgemm_planned(&g, &odd, 0, &err) == AOPT_E_ARG, "one stage");
                                                        /* negative control: one weight changed must show */
    d.w[5] += 1.0;
    w.put(d.w);
    CALL(aopt_cuda_tapgemm_planned(&g, NULL, 0, &err));
    CHECK(gemm_wrong(d, c.n, out.get(), 1, &at) > 0, "a wrong weight went unnoticed");
}
/* Plans: tile rows, stages of a and w, grid.  Two tiles of columns or four: blocks of an odd grid work alone, of an even one in pairs. */
static void test_tapgemm_plans_equal_bits(void)
{
    if (!aopt_cuda_has_wgmma()) { SKIP("needs compute capability 9.0 and a build for sm_90a"); return; }
    plans_equal_bits({ 3, 11, 90, 200, 328, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 32, 3, 4, 0 }, { 64, 2, 4, 8 }, { 128, 2, 2, 1 }, { 32, 2, 5, 6 }, { 64, 2, 2, 3 } });
    plans_equal_bits({ 2, 3, 300, 200, 40, 1, 0, 0 }, { { 0, 0, 0, 0 }, { 256, 2, 2, 1 }, { 128, 2, 2, 2 }, { 64, 2, 2, 4 } });      /* one step a tile, several tiles a block */
    plans_equal_bits({ 1, 5, 300, 200, 200, 2, 0, 0 }, { { 256, 2, 4, 0 }, { 256, 2, 4, 3 }, { 64, 2, 4, 2 } });                    /* a part is a frame of the box; none */
    plans_equal_bits({ 2, 6, 64, 400, 72, 1, 0, 128 }, { { 0, 0, 0, 0 }, { 64, 2, 2, 7 }, { 256, 4, 4, 0 }, { 128, 3, 5, 4 }, { 32, 4, 2, 1 } });
    /* columns that fill tiles of any width, many tiles a block, which work alone and in pairs */
    plans_equal_bits({ 2, 11, 90, 512, 328, 3, 0, 0 }, { { 0, 0, 0, 0 }, { 0, 0, 0, 1 }, { 0, 0, 0, 2 }, { 0, 0, 0, 6 }, { 0, 0, 0, 7 }, { 32, 2, 2, 4 }, { 64, 2, 2, 2 } });
    plans_equal_bits({ 2, 5, 64, 512, 200, 1, 0, 128 }, { { 0, 0, 0, 0 }, { 0, 0, 0, 1 }, { 0, 0, 0, 2 }, { 0, 0, 0, 7 }, { 32, 2, 2, 4 }, { 64, 2, 2, 2 }, { 128, 2, 2, 0 } });
}
static void test_tapgemm_refuses(void)
{
    aopt_tapgemm g;
    memset(&g, 0, sizeof g);
    CHECK(aopt_cuda_tapgemm(NULL, &g, 0, &err) == AOPT_E_ARG, "sizes of 0");
    g.batch = g.frames = g.rows = g.n = g.k = g.taps = 1; g.alpha = 1.0f;
    g.a_row = 4; g.w_row = g.c_row = 8;
    CHECK(aopt_cuda_tapgemm(NULL, &g, 0, &err) == AOPT_E_ARG, "a row stride of 4");
    g.a_row = 8; g.rows = 2; g.a_frame = 8;
    CHECK(aopt_cuda_tapgemm(NULL, &g, 0, &err) == AOPT_E_ARG && strstr(err.message, "8/8"), "frames of a that overlap: %s", err.message);
    g.a_frame = 0; g.c_frame = 8;
    CHECK(aopt_cuda_tapgemm(NULL, &g, 0, &err) == AOPT_E_ARG, "frames of c that overlap");
}

/* ---- weights --------------------------------------------------------------------------------------- */
/* u[p][t][co][ci] (or [t][p]...) in double, unscaled. */
static vec weights_ref(const vec &w, const aopt_conv_form &f, int co, int ci, int kt)
{
    vec u((size_t)f.products * kt * co * ci);
    for (int p = 0; p < f.products; p++)
        for (int t = 0; t < kt; t++)
            for (int i = 0; i < co * ci; i++) {
                double sum = 0;
                for (int k = 0; k < f.taps; k++) sum += f.form[p * f.taps + k] * w[(size_t)((i * kt + t) * f.taps + k)];
                u[(size_t)((f.frames_first ? t * f.products + p : p * kt + t) * co * ci + i)] = sum;
            }
    return u;
}
static void test_conv_weights(void)
{
    static double wino[36 * 9], up[25 * 9], up4[81 * 9], head[9 * 9];
    const double one = 1.0;
    aopt_wino_form_tile(4, wino); aopt_upsample_form_tile(2, up); aopt_upsample_form_tile(4, up4); aopt_head_form(head);
    const aopt_conv_form forms[] = { { wino, 36, 9, 0, NULL }, { up, 25, 9, 0, NULL }, { up4, 81, 9, 0, NULL }, { head, 9, 9, 1, NULL }, { &one, 1, 1, 0, NULL } };
    for (const aopt_conv_form &f : forms) {
        const int co = 10, ci = 24, kt = f.products == 25 || f.products == 81 ? 1 : 3;
        vec w = random_vec((int64_t)co * ci * kt * f.taps, 21, 0.01);
        for (double &x : w) x = (double)(float)x;
        vec u = weights_ref(w, f, co, ci, kt);
        device<float> dw(w);
        device<__half> du((int64_t)u.size());
        float alpha = 0;
        CALL(aopt_cuda_conv_weights(&f, dw.p, co, ci, kt, du.p, &alpha, &err));
        double top = 0, worst = 0;
        const vec got = du.get();
        for (size_t i = 0; i < u.size(); i++) {
            u[i] /= alpha;
            top = std::max(top, fabs(u[i]));
            worst = std::max(worst, fabs(got[i] - half_of(u[i])));
        }
        CHECK(top >= 0.5 && top < 1.0, "%d products: largest weight %g after scaling by 1/%g", f.products, top, alpha);
        CHECK(worst <= 0x1p-11 && snr(got, u) > 70, "%d products: off by %g, SNR %.1f", f.products, worst, snr(got, u));
        if (f.products == 36) {                 /* with a carry: the same steps in double; nothing but the order of a sum is left to differ */
            static double carry[36 * 36];
            aopt_conv_form c = f;
            vec want(u.size());
            size_t other = 0;
            c.carry = carry;
            aopt_wino_carry(4, 0, carry);
            for (size_t i = 0; i < (size_t)(kt * co * ci); i++) {
                double error[36];
                for (size_t p = 0; p < 36; p++) {
                    const size_t at = p * (size_t)(kt * co * ci) + i;
                    double sum = u[at];
                    for (size_t q = 0; q < p; q++) sum -= carry[p * 36 + q] * error[q];
                    want[at] = half_of(sum);
                    error[p] = want[at] - sum;
                }
            }
            CALL(aopt_cuda_conv_weights(&c, dw.p, co, ci, kt, du.p, &alpha, &err));
            const vec carried = du.get();
            for (size_t i = 0; i < u.size(); i++) other += carried[i] != want[i];
            CHECK(other <= u.size() / 1000, "%d of %d weights with a carry differ", (int)other, (int)u.size());
            CHECK(carried != got, "the carry changed nothing");
        }
        w[3] = NAN; dw.put(w);
        CHECK(aopt_cuda_conv_weights(&f, dw.p, co, ci, kt, du.p, &alpha, &err) == AOPT_E_VALUE, "NaN among the weights");
    }
}

/* ---- norm ------------------------------------------------------------------------------------------ */
static double silu(double x) { return x / (1 + exp(-x)); }
static vec norm_ref(const vec &x, int64_t C, int norm_c)
{
    vec r(x.size() / (size_t)C);
    for (size_t p = 0; p < r.size(); p++) {
        double ss = 0;
        for (int64_t c = 0; c < C; c++) ss += x[p * (size_t)C + (size_t)c] * x[p * (size_t)C + (size_t)c];
        r[p] = sqrt((double)norm_c) / std::max(sqrt(ss), 1e-12);
    }
    return r;
}
static void test_norm(void)
{
    static const int sizes[][3] = { { 1, 8, 8 }, { 37, 72, 70 }, { 100, 256, 256 }, { 9, 1032, 1032 } };   /* P, C, norm_c */
    for (const int *s : sizes) {
        const int P = s[0], C = s[1];
        vec x = random_half((int64_t)P * C, 31, 3.0), gamma = random_vec(C, 32, 1.0);
        for (int c = 0; c < C; c++) x[(size_t)c] = 0;           /* a zero position stays zero */
        const vec r = norm_ref(x, C, s[2]);
        vec want(x.size());
        for (size_t i = 0; i < x.size(); i++) want[i] = silu(x[i] * r[i / (size_t)C] * gamma[i % (size_t)C]);
        vec emulated = want;
        round_half(emulated);
        device<__half> dx(x), dy((int64_t)x.size());
        device<float> dr(P), dg(gamma);
        CALL(aopt_cuda_norm_factor(dx.p, dr.p, P, C, s[2], 0, &err));
        CHECK(snr(dr.get(), r) > 120, "r: %.1f dB", snr(dr.get(), r));
        CALL(aopt_cuda_norm_silu(dx.p, dr.p, dg.p, dy.p, P, C, 0, &err));
        CHECK_SNR(dy.get(), emulated, want, "norm and SiLU, P %d C %d", P, C);
    }
}

/* ---- Winograd -------------------------------------------------------------------------------------- */
/* Exact B^T d B of every tile, [n*n][frames][tiles][C]. */
static vec wino_input_ref(const wino &w, const vec &x, const vec *r, const vec &gamma, int frames, int H, int W, int C)
{
    const int m = w.m, n = w.n, ty_n = (H + m - 1) / m, tx_n = (W + m - 1) / m;
    vec v((size_t)n * n * frames * ty_n * tx_n * C);
    for (int f = 0; f < frames; f++)
        for (int t = 0; t < ty_n * tx_n; t++)
            for (int c = 0; c < C; c++) {
                double d[8][8], h[8][8];
                for (int i = 0; i < n * n; i++) {
                    const int y = t / tx_n * m - 1 + i / n, z = t % tx_n * m - 1 + i % n;
                    const size_t p = ((size_t)f * H + y) * W + z;
                    d[i / n][i % n] = y < 0 || y >= H || z < 0 || z >= W ? 0.0 : r ? silu(x[p * C + c] * (*r)[p] * gamma[(size_t)c]) : x[p * C + c];
                }
                for (int i = 0; i < n; i++) for (int l = 0; l < n; l++) { h[i][l] = 0; for (int j = 0; j < n; j++) h[i][l] += d[i][j] * w.bt[(size_t)(l * n + j)]; }
                for (int k = 0; k < n; k++) for (int l = 0; l < n; l++) {
                    double s = 0;
                    for (int i = 0; i < n; i++) s += w.bt[(size_t)(k * n + i)] * h[i][l];
                    v[(((size_t)(n * k + l) * frames + f) * ty_n * tx_n + t) * C + c] = s;
                }
            }
    return v;
}
/* alpha * A^T m A + bias + residual, exact. */
static vec wino_output_ref(const wino &w, const vec &m, double alpha, const vec &bias, const vec *residual, int frames, int H, int W, int C)
{
    const int M = w.m, n = w.n, ty_n = (H + M - 1) / M, tx_n = (W + M - 1) / M;
    vec y((size_t)frames * H * W * C);
    for (int f = 0; f < frames; f++)
        for (int p = 0; p < H * W; p++)
            for (int c = 0; c < C; c++) {
                const int i = p / W % M, j = p % W % M, t = p / W / M * tx_n + p % W / M;
                double s = 0;
                for (int k = 0; k < n * n; k++) s += w.at[(size_t)(i * n + k / n)] * w.at[(size_t)(j * n + k % n)] * m[(((size_t)k * frames + f) * ty_n * tx_n + t) * C + c];
                const size_t o = ((size_t)f * H * W + p) * C + c;
                y[o] = alpha * s + bias[(size_t)c] + (residual ? (*residual)[o] : 0.0);
            }
    return y;
}
/* [products][rows][C] to the blocks of rows that transforms over time make, what is left of the last one NaN; and back. */
static vec to_blocks(const vec &v, int products, int rows, int C)
{
    const int B = AOPT_WINO_BLOCK, blocks = (rows + B - 1) / B;
    vec out((size_t)blocks * products * B * C, NAN);
    for (int p = 0; p < products; p++) for (int r = 0; r < rows; r++) for (int c = 0; c < C; c++)
        out[(((size_t)(r / B) * products + p) * B + r % B) * C + c] = v[((size_t)p * rows + r) * C + c];
    return out;
}
static vec from_blocks(const vec &v, int products, int rows, int C)
{
    const int B = AOPT_WINO_BLOCK;
    vec out((size_t)products * rows * C);
    for (int p = 0; p < products; p++) for (int r = 0; r < rows; r++) for (int c = 0; c < C; c++)
        out[((size_t)p * rows + r) * C + c] = v[(((size_t)(r / B) * products + p) * B + r % B) * C + c];
    return out;
}
/* Over time too.  x holds two frames of history, then T; `front` zero frames are thought before the T.  [6][n*n][groups][tiles][C], exact but for the
   activation, which is rounded to fp16 if asked: it stands for the error of tanh.approx, of the same 2^-11.  The CPU's emulation has an exact tanh. */
#ifndef EXACT_TANH
#define EXACT_TANH 0
#endif
static vec wino_time_input_ref(const wino &w, const vec &x, const vec &r, const vec &gamma, int T, int front, int H, int W, int C, bool rounded)
{
    const wino time(4);
    const int groups = (front + T + 3) / 4;
    const size_t frame = (size_t)H * W * C;
    vec act(x.size()), v;
    for (size_t i = 0; i < x.size(); i++) { act[i] = silu(x[i] * r[i / (size_t)C] * gamma[i % (size_t)C]); if (rounded) act[i] = half_of(act[i]); }
    for (int q = 0; q < 6; q++) {
        vec d((size_t)groups * frame, 0.0);
        for (int g = 0; g < groups; g++)
            for (int k = 0; k < 6; k++) {
                const int f = 4 * g - front + k;                 /* of x */
                if (f < 0 || f >= T + 2) continue;
                for (size_t i = 0; i < frame; i++) d[(size_t)g * frame + i] += time.bt[(size_t)(q * 6 + k)] * act[(size_t)f * frame + i];
            }
        const vec part = wino_input_ref(w, d, NULL, gamma, groups, H, W, C);
        v.insert(v.end(), part.begin(), part.end());
    }
    return v;
}
static vec wino_time_output_ref(const wino &w, const vec &m, double alpha, const vec &bias, const vec *residual, int T, int front, int H, int W, int C)
{
    const wino time(4);
    const int groups = (front + T + 3) / 4, nn = w.n * w.n;
    const size_t frame = (size_t)((H + w.m - 1) / w.m) * ((W + w.m - 1) / w.m) * C;
    vec frames((size_t)nn * T * frame, 0.0);
    for (int p = 0; p < nn; p++) for (int f = 0; f < T; f++) for (int q = 0; q < 6; q++) for (size_t i = 0; i < frame; i++)
        frames[((size_t)p * T + f) * frame + i] += time.at[(size_t)((f + front) % 4 * 6 + q)] * m[(((size_t)q * nn + p) * groups + (f + front) / 4) * frame + i];
    return wino_output_ref(w, frames, alpha, bias, residual, T, H, W, C);
}
/* What a tensor holds from `kept` elements on, which are NaN in it from now on. */
static vec take_tail(vec &x, int64_t kept)
{
    const vec tail(x.begin() + kept, x.end());
    std::fill(x.begin() + kept, x.end(), NAN);
    return tail;
}
/* The input transform again, without history and with its last two frames elsewhere: the bits that are in v. */
static void check_last_frames(aopt_wino_input a, const device<__half> &v)
{
    const int products = (a.tile + 2) * (a.tile + 2);
    const int64_t frame = v.n / products / (a.frames + 2), kept = a.frames > 2 ? a.frames - 2 : 0;
    const std::vector<__half> want = v.raw();
    device<__half> dv(products * kept * frame + 1), last(products * 2 * frame);
    a.v = dv.p; a.v_last = last.p;
    if (a.history) CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "the last frames apart, and a history");
    a.history = NULL;
    CALL(aopt_cuda_wino_input(&a, 0, &err));
    const std::vector<__half> first = dv.raw(), second = last.raw();
    int wrong = 0;
    for (int p = 0; p < products; p++)
        for (int64_t f = 0; f < a.frames; f++)
            wrong += memcmp(&want[(size_t)((p * (a.frames + 2) + f + 2) * frame)], f < a.frames - 2 ? &first[(size_t)((p * kept + f) * frame)] : &second[(size_t)((2 * p + f + 2 - a.frames) * frame)],
                            (size_t)frame * sizeof(__half)) != 0;
    CHECK(wrong == 0, "last frames apart: %d of %d frames of a product differ, H %d W %d C %d tile %d", wrong, (int)(products * a.frames), (int)a.H, (int)a.W, a.C, a.tile);
    CHECK((float)first.back() != (float)first.back(), "written past the end of v");
    if (a.frames == 1) CHECK((float)second[0] != (float)second[0], "a single frame went to the first place");
}
/* The input transform again, of `x` from two frames before the first on, the last two elsewhere: the bits that are in v. */
static void check_input_tail(aopt_wino_input a, vec x, const device<__half> &v)
{
    const int64_t frame = a.H * a.W * a.C, at = a.frames - 2;
    if (at < 0) return;
    const std::vector<__half> want = v.raw();
    device<__half> tail(take_tail(x, (at + 2) * frame)), dx(x), dv((int64_t)want.size());
    a.x = dx.p + 2 * frame;
    if (a.history) a.history = dx.p;
    a.tail = tail.p; a.tail_at = at; a.v = dv.p;
    CALL(aopt_cuda_wino_input(&a, 0, &err));
    CHECK(same_bits(want, dv.raw()), "input tail: other bits, H %d W %d C %d tile %d front %d", (int)a.H, (int)a.W, a.C, a.tile, a.front);
    a.time_tile = a.front = 0;
    CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "a tail without a time tile");
}
/* The output transform again, its last two frames and, over time, the residual's elsewhere: the bits that are in y, and nothing where those frames were. */
static void check_output_tail(aopt_wino_output a, vec residual, const device<__half> &y)
{
    const int64_t frame = a.H * a.W * a.C;
    if (a.frames < 2) return;
    const std::vector<__half> want = y.raw();
    device<__half> dy(a.frames * frame), tail(2 * frame), residual_tail(take_tail(residual, (a.frames - 2) * frame)), dres(residual);
    if (a.residual && a.time_tile) { a.residual = dres.p; a.residual_tail = residual_tail.p; }
    a.y = dy.p; a.y_tail = tail.p; a.tail_at = a.frames - 2;
    CALL(aopt_cuda_wino_output(&a, 0, &err));
    std::vector<__half> got = dy.raw();
    const std::vector<__half> last = tail.raw();
    for (int64_t i = (a.frames - 2) * frame; i < a.frames * frame; i++) CHECK((float)got[(size_t)i] != (float)got[(size_t)i], "written past the tail's start");
    std::copy(last.begin(), last.end(), got.end() - 2 * frame);
    CHECK(same_bits(want, got), "output tail: other bits, H %d W %d C %d tile %d front %d", (int)a.H, (int)a.W, a.C, a.tile, a.front);
    a.time_tile = a.front = 0; a.residual_tail = residual_tail.p;
    CHECK(aopt_cuda_wino_output(&a, 0, &err) == AOPT_E_ARG, "a residual's tail without a time tile");
}
static void test_wino_input(void)
{
    static const int sizes[][4] = { { 1, 1, 1, 8 }, { 2, 4, 4, 24 }, { 3, 9, 6, 72 }, { 1, 13, 43, 136 }, { 2, 5, 18, 264 }, { 1, 87, 3, 8 } };
    for (const int *s : sizes)
        for (int mode = 0; mode < 8; mode++) {          /* bit 0: norm; bit 1: history; bit 2: tiles of 6 */
            const int T = s[0], H = s[1], W = s[2], C = s[3];
            const wino w(mode & 4 ? 6 : 4);
            const int64_t P = (int64_t)H * W;
            vec x = random_half((T + 2) * P * C, 41, 2.0), gamma = random_vec(C, 42, 1.0), r = norm_ref(x, C, C);
            for (double &q : r) q = (double)(float)q;
            for (double &q : gamma) q = (double)(float)q;
            if (!(mode & 2)) std::fill(x.begin(), x.begin() + 2 * P * C, 0.0);
            const vec want = wino_input_ref(w, x, mode & 1 ? &r : NULL, gamma, T + 2, H, W, C);
            vec emulated = want;
            round_half(emulated);
            device<__half> dx(x), dv((int64_t)want.size());
            device<float> dr(r), dg(gamma);
            aopt_wino_input a;
            memset(&a, 0, sizeof a);
            a.x = dx.p + 2 * P * C; a.history = mode & 2 ? dx.p : NULL;
            if (mode & 1) { a.r = dr.p + 2 * P; a.r_history = mode & 2 ? dr.p : NULL; }
            a.gamma = dg.p; a.v = dv.p; a.frames = T; a.H = H; a.W = W; a.C = C;
            a.tile = w.m;
            if (w.m > 4 && !a.r) { CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "tiles of %d without a norm", w.m); continue; }
            CALL(aopt_cuda_wino_input(&a, 0, &err));
            CHECK_SNR(dv.get(), emulated, want, "T %d H %d W %d C %d mode %d", T, H, W, C, mode);
            check_last_frames(a, dv);
        }
}
static void test_wino_output(void)
{
    static const int sizes[][4] = { { 1, 1, 1, 8 }, { 2, 4, 4, 24 }, { 3, 9, 6, 72 }, { 1, 13, 35, 136 }, { 1, 5, 11, 512 }, { 2, 5, 6, 1032 } };
    for (const int *s : sizes)
        for (int mode = 0; mode < 8; mode++) {          /* bit 0: residual; bit 1: r; bit 2: tiles of 6 */
            const wino w(mode & 4 ? 6 : 4);
            const int T = s[0], H = s[1], W = s[2], C = s[3], tiles = (H + w.m - 1) / w.m * ((W + w.m - 1) / w.m);
            const vec m = random_half((int64_t)w.n * w.n * T * tiles * C, 51, 20.0), bias = random_half(C, 52, 1.0), res = random_half((int64_t)T * H * W * C, 53, 1.0);
            const vec want = wino_output_ref(w, m, 0.125, bias, mode & 1 ? &res : NULL, T, H, W, C);
            vec emulated = want;
            round_half(emulated);
            device<__half> dm(m), dres(res), dy((int64_t)want.size());
            device<float> db(bias), dr((int64_t)T * H * W);
            aopt_wino_output a;
            memset(&a, 0, sizeof a);
            a.m = dm.p; a.alpha = 0.125f; a.bias = db.p; a.residual = mode & 1 ? dres.p : NULL; a.y = dy.p; a.r = mode & 2 ? dr.p : NULL;
            a.frames = T; a.H = H; a.W = W; a.C = C; a.norm_c = C - 1; a.tile = w.m;
            CALL(aopt_cuda_wino_output(&a, 0, &err));
            CHECK_SNR(dy.get(), emulated, want, "T %d H %d W %d C %d mode %d", T, H, W, C, mode);
            check_output_tail(a, res, dy);
            const vec r = norm_ref(dy.get(), C, C - 1);
            if (mode & 2) CHECK(snr(dr.get(), r) > 115, "r: %.1f dB, C %d mode %d", snr(dr.get(), r), C, mode);
            const vec gamma = random_half(C, 54, 1.0), factor = norm_ref(want, C, C - 1);
            device<float> dg(gamma);
            vec act = want;
            for (size_t i = 0; i < act.size(); i++) act[i] = silu(want[i] * factor[i / (size_t)C] * gamma[i % (size_t)C]);
            emulated = act;
            round_half(emulated);
            dy.poison();
            a.gamma = dg.p;
            if (C > (w.m == 6 ? 256 : 512)) { CHECK(aopt_cuda_wino_output(&a, 0, &err) == AOPT_E_ARG, "activation of %d channels", C); continue; }
            CALL(aopt_cuda_wino_output(&a, 0, &err));
            CHECK_SNR(dy.get(), emulated, act, "activation, T %d H %d W %d C %d mode %d", T, H, W, C, mode);
            check_output_tail(a, res, dy);
        }
}

static void test_wino_time_input(void)
{
    static const int sizes[][5] = { { 1, 0, 1, 1, 8 }, { 1, 3, 4, 4, 24 }, { 5, 0, 9, 6, 72 }, { 7, 1, 13, 27, 136 }, { 2, 2, 87, 3, 8 }, { 5, 0, 37, 40, 8 } };     /* T, front, H, W, C; the last: four and two blocks of rows */
    for (const int *s : sizes)
        for (int mode = 0; mode < 4; mode++) {          /* bit 0: history, where nothing is in front; bit 1: tiles of 6 */
            const int T = s[0], front = s[1], H = s[2], W = s[3], C = s[4], history = (mode & 1) && !front;
            const wino w(mode & 2 ? 6 : 4);
            const int64_t P = (int64_t)H * W;
            vec x = random_half((T + 2) * P * C, 41, 2.0), gamma = random_vec(C, 42, 1.0), r = norm_ref(x, C, C);
            for (double &q : r) q = (double)(float)q;
            for (double &q : gamma) q = (double)(float)q;
            if (!history) std::fill(x.begin(), x.begin() + 2 * P * C, 0.0);
            const vec want = wino_time_input_ref(w, x, r, gamma, T, front, H, W, C, false);
            vec emulated = wino_time_input_ref(w, x, r, gamma, T, front, H, W, C, !EXACT_TANH);
            round_half(emulated);
            const int products = 6 * w.n * w.n, rows = (int)want.size() / products / C;
            device<__half> dx(x), dv((int64_t)to_blocks(want, products, rows, C).size());
            device<float> dr(r), dg(gamma);
            aopt_wino_input a;
            memset(&a, 0, sizeof a);
            a.x = dx.p + 2 * P * C; a.r = dr.p + 2 * P;
            if (history) { a.history = dx.p; a.r_history = dr.p; }
            a.gamma = dg.p; a.v = dv.p; a.frames = T; a.H = H; a.W = W; a.C = C; a.tile = w.m; a.time_tile = 4; a.front = front;
            if (aopt__shared_memory() < (w.m == 6 ? aopt__wino_time_shared<6>() : aopt__wino_time_shared<4>())) { CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_UNSUPPORTED, "%s", err.message); continue; }
            CALL(aopt_cuda_wino_input(&a, 0, &err));
            CHECK_SNR(from_blocks(dv.get(), products, rows, C), emulated, want, "T %d front %d H %d W %d C %d mode %d", T, front, H, W, C, mode);
            check_input_tail(a, x, dv);
            if (front == 1 || (!front && T > 4)) {          /* what is left of a clip after its first tile of time, from the whole of it */
                const int later = 4 - front, rest = rows - rows / ((front + T + 3) / 4);
                vec second;
                for (int p = 0; p < products; p++) second.insert(second.end(), emulated.begin() + ((int64_t)p * rows + rows - rest) * C, emulated.begin() + (int64_t)(p + 1) * rows * C);
                dv.poison();
                a.front = -later;
                CALL(aopt_cuda_wino_input(&a, 0, &err));
                check_input_tail(a, x, dv);
                CHECK(snr(from_blocks(dv.get(), products, rest, C), second) > 60, "from frame %d of %d: %.1f dB", later, T, snr(from_blocks(dv.get(), products, rest, C), second));
            }
            a.front = -T;
            CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "all frames left out");
            a.r = NULL; a.front = 0;
            CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "over time without a norm");
            a.r = dr.p; a.front = 4;
            CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "a whole tile of frames in front");
            a.front = 0; a.time_tile = 2;
            CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_ARG, "a time tile of 2");
        }
}
static void test_wino_time_output(void)
{
    static const int sizes[][5] = { { 1, 0, 1, 1, 8 }, { 1, 3, 4, 4, 24 }, { 5, 0, 9, 6, 72 }, { 7, 1, 13, 15, 136 }, { 4, 0, 5, 11, 512 }, { 2, 2, 5, 6, 1032 }, { 5, 0, 37, 40, 8 } };
    for (const int *s : sizes)
        for (int mode = 0; mode < 8; mode++) {          /* bit 0: residual; bit 1: r; bit 2: tiles of 6 */
            const wino w(mode & 4 ? 6 : 4);
            const int T = s[0], front = s[1], H = s[2], W = s[3], C = s[4], tiles = (H + w.m - 1) / w.m * ((W + w.m - 1) / w.m), groups = (front + T + 3) / 4;
            const vec m = random_half((int64_t)6 * w.n * w.n * groups * tiles * C, 51, 20.0), bias = random_half(C, 52, 1.0), res = random_half((int64_t)T * H * W * C, 53, 1.0);
            const vec want = wino_time_output_ref(w, m, 0.125, bias, mode & 1 ? &res : NULL, T, front, H, W, C);
            vec emulated = want;
            round_half(emulated);
            device<__half> dm(to_blocks(m, 6 * w.n * w.n, groups * tiles, C)), dres(res), dy((int64_t)want.size());
            device<float> db(bias), dr((int64_t)T * H * W);
            aopt_wino_output a;
            memset(&a, 0, sizeof a);
            a.m = dm.p; a.alpha = 0.125f; a.bias = db.p; a.residual = mode & 1 ? dres.p : NULL; a.y = dy.p; a.r = mode & 2 ? dr.p : NULL;
            a.frames = T; a.H = H; a.W = W; a.C = C; a.norm_c = C - 1; a.tile = w.m; a.time_tile = 4; a.front = front;
            CALL(aopt_cuda_wino_output(&a, 0, &err));
            CHECK_SNR(dy.get(), emulated, want, "T %d front %d H %d W %d C %d mode %d", T, front, H, W, C, mode);
            check_output_tail(a, res, dy);
            const vec r = norm_ref(dy.get(), C, C - 1);
            if (mode & 2) CHECK(snr(dr.get(), r) > 115, "r: %.1f dB, C %d mode %d", snr(dr.get(), r), C, mode);
            a.gamma = db.p;
            CHECK(aopt_cuda_wino_output(&a, 0, &err) == AOPT_E_ARG, "an activation over time");
        }
}

static void test_wino_time_large_activations(void)
{
    const int T = 4, H = 8, W = 8, C = 64, P = H * W;
    vec x((size_t)T * P * C, 0.0), gamma((size_t)C, 1.3);
    for (int p = 0; p < T * P; p++) x[(size_t)(p * C + p % C)] = 1e4 * (p % 2 ? 1 : -1);     /* all energy in one channel: the largest |x * r| */
    const vec r = norm_ref(x, C, C);
    for (int tile = 4; tile <= 6; tile += 2) {
        const int tiles = (H + tile - 1) / tile * ((W + tile - 1) / tile), products = AOPT_WINO_TIME_PRODUCTS * (tile + 2) * (tile + 2);
        double top = 0;
        device<__half> dx(x), dv((int64_t)products * AOPT_WINO_BLOCK * C);
        device<float> dr(r), dg(gamma);
        aopt_wino_input a;
        memset(&a, 0, sizeof a);
        a.x = dx.p; a.r = dr.p; a.gamma = dg.p; a.v = dv.p; a.frames = T; a.H = H; a.W = W; a.C = C; a.tile = tile; a.time_tile = 4;
        if (aopt__shared_memory() < (tile == 6 ? aopt__wino_time_shared<6>() : aopt__wino_time_shared<4>())) { SKIP("not enough shared memory"); return; }
        CALL(aopt_cuda_wino_input(&a, 0, &err));
        for (double v : from_blocks(dv.get(), products, tiles, C)) top = v == v ? std::max(top, fabs(v)) : INFINITY;
        CHECK(top > 5 && top < 600, "over time, tiles of %d: largest transformed value %g", tile, top);
    }
}

/* A whole convolution: conv(silu(norm x)) + bias, three launches, against exact arithmetic and the emulation. */
static vec direct_conv(const vec &act, const vec &w, int T, int H, int W, int ci, int co, int kt)
{
    vec y((size_t)T * H * W * co);                      /* act holds kt - 1 frames of history */
    for (int f = 0; f < T; f++) for (int p = 0; p < H * W; p++) for (int o = 0; o < co; o++) {
        double s = 0;
        for (int t = 0; t < kt; t++) for (int k = 0; k < 9; k++) {
            const int yy = p / W + k / 3 - 1, xx = p % W + k % 3 - 1;
            if (yy < 0 || yy >= H || xx < 0 || xx >= W) continue;
            const double *a = &act[(((size_t)(f + t) * H + yy) * W + xx) * ci], *g = &w[(((size_t)o * ci) * kt + t) * 9 + k];
            for (int c = 0; c < ci; c++) s += a[c] * g[(size_t)c * kt * 9];
        }
        y[((size_t)f * H * W + p) * co + o] = s;
    }
    return y;
}
/* [batch][frames][rows][n] = sum over taps, all dense, rounded to fp16: once (wgmma), or for every tap its product and then the sum
   (cuBLAS: with fp16 output alpha*A*B is rounded before beta*C is added to it; 99.97 % of the elements agree to the bit). */
static vec emulated_gemm(const vec &v, const vec &u, int batch, int frames, int rows, int n, int k, int taps, bool every_tap)
{
    vec m((size_t)batch * frames * rows * n);
    for (size_t b = 0; b < (size_t)batch; b++) for (size_t r = 0; r < (size_t)frames * rows; r++) for (size_t o = 0; o < (size_t)n; o++) {
        double s = 0;
        for (size_t j = 0; j < (size_t)taps; j++) {
            double product = 0;
            for (size_t c = 0; c < (size_t)k; c++)
                product += v[((b * (frames + taps - 1) * rows) + r + j * rows) * k + c] * u[((b * taps + j) * n + o) * k + c];
            s = every_tap ? half_of(s + half_of(product)) : s + product;
        }
        m[(b * frames * rows + r) * n + o] = half_of(s);
    }
    return m;
}
/* conv(silu(norm x)) + bias of a whole clip, exact, and what it is made of; xh, rh: x, r after two frames of zeros. */
struct conv_data {
    vec x, gamma, w, bias, r, xh, rh, exact;
    conv_data(int T, int H, int W, int ci, int co)
    {
        const int64_t P = (int64_t)H * W;
        vec act;
        x = random_half(T * P * ci, 61, 1.0); gamma = random_vec(ci, 62, 1.0); w = random_vec((int64_t)co * ci * 27, 63, 0.02); bias = random_vec(co, 64, 0.1);
        for (double &q : w) q = (double)(float)q;
        for (double &q : gamma) q = (double)(float)q;
        r = norm_ref(x, ci, ci);
        xh.assign((size_t)(2 * P * ci), 0.0); rh.assign((size_t)(2 * P), 0.0);
        xh.insert(xh.end(), x.begin(), x.end()); rh.insert(rh.end(), r.begin(), r.end());
        for (size_t i = 0; i < xh.size(); i++) act.push_back(silu(xh[i] * rh[i / (size_t)ci] * gamma[i % (size_t)ci]));
        exact = direct_conv(act, w, T, H, W, ci, co, 3);
        for (size_t i = 0; i < exact.size(); i++) exact[i] += bias[i % (size_t)co];
    }
};
static void wino_conv(int tile)
{
    const wino transforms(tile);
    const int T = small ? 2 : 5, H = 10, W = 9, ci = 48, co = 40, P = H * W, tiles = (H + tile - 1) / tile * ((W + tile - 1) / tile), products = (tile + 2) * (tile + 2);
    static double form[64 * 9];
    const aopt_conv_form f = { form, products, 9, 0, NULL };
    aopt_wino_form_tile(tile, form);
    const conv_data d(T, H, W, ci, co);

    device<__half> dx(d.x), du((int64_t)products * 3 * co * ci), dv((int64_t)products * (T + 2) * tiles * ci), dm((int64_t)products * T * tiles * co), dy((int64_t)T * P * co);
    device<float> dr(d.r), dg(d.gamma), dw(d.w), db(d.bias), dry((int64_t)T * P);
    float alpha = 0;
    CALL(aopt_cuda_conv_weights(&f, dw.p, co, ci, 3, du.p, &alpha, &err));
    vec v = wino_input_ref(transforms, d.xh, &d.rh, d.gamma, T + 2, H, W, ci), u = weights_ref(d.w, f, co, ci, 3);
    for (double &q : u) q /= alpha;
    round_half(v); round_half(u);
    vec emulated[2];
    for (int every_tap = 0; every_tap < 2; every_tap++) {
        emulated[every_tap] = wino_output_ref(transforms, emulated_gemm(v, u, products, T, tiles, co, ci, 3, every_tap), alpha, d.bias, NULL, T, H, W, co);
        round_half(emulated[every_tap]);
    }

    aopt_wino_input in; aopt_tapgemm g; aopt_wino_output out;
    memset(&in, 0, sizeof in); memset(&g, 0, sizeof g); memset(&out, 0, sizeof out);
    in.x = dx.p; in.r = dr.p; in.gamma = dg.p; in.v = dv.p; in.frames = T; in.H = H; in.W = W; in.C = ci; in.tile = out.tile = tile;
    g.batch = products; g.frames = T; g.rows = tiles; g.n = co; g.k = ci; g.taps = 3; g.alpha = 1.0f;
    g.a = dv.p; g.a_row = ci; g.a_batch = (int64_t)(T + 2) * tiles * ci;
    g.w = du.p; g.w_row = ci; g.w_batch = (int64_t)3 * co * ci;
    g.c = dm.p; g.c_row = co; g.c_batch = (int64_t)T * tiles * co;
    out.m = dm.p; out.alpha = alpha; out.bias = db.p; out.y = dy.p; out.r = dry.p; out.frames = T; out.H = H; out.W = W; out.C = out.norm_c = co;
    std::vector<__half> first;
    for (int path = aopt_cuda_has_wgmma() ? 0 : 1; path < (small ? 1 : 3); path++) {         /* wgmma, cuBLAS, then again the first path */
        cublasHandle_t h = path == 1 || !aopt_cuda_has_wgmma() ? blas : NULL;
        dv.poison(); dm.poison(); dy.poison();
        CALL(aopt_cuda_wino_input(&in, 0, &err));
        CALL(aopt_cuda_tapgemm(h, &g, 0, &err));
        CALL(aopt_cuda_wino_output(&out, 0, &err));
        CHECK_SNR(dy.get(), emulated[h != NULL], d.exact, "convolution, tiles of %d, path %d", tile, path);
        printf("    convolution, tiles of %d, through %s: %.2f dB, emulation %.2f dB\n", tile, h ? "cuBLAS" : "wgmma", snr(dy.get(), d.exact), snr(emulated[h != NULL], d.exact));
        if (path == 0) first = dy.raw();
        if (path == 2 && !first.empty()) CHECK(same_bits(first, dy.raw()), "tiles of %d: repetition changed bits", tile);
    }
    if (small || first.empty()) return;
    /* the same clip in two chunks with history has the same bits */
    in.frames = g.frames = out.frames = 2;
    g.a_batch = (int64_t)4 * tiles * ci; g.c_batch = (int64_t)2 * tiles * co;
    dy.poison();
    for (int t = 0; t < T; t += (int)in.frames) {
        if (t) { in.frames = g.frames = out.frames = T - 2; g.a_batch = (int64_t)T * tiles * ci; g.c_batch = (int64_t)(T - 2) * tiles * co; }
        in.x = dx.p + (int64_t)t * P * ci; in.r = dr.p + (int64_t)t * P; out.y = dy.p + (int64_t)t * P * co; out.r = dry.p + (int64_t)t * P;
        if (t) { in.history = in.x - 2 * P * ci; in.r_history = in.r - 2 * P; }
        CALL(aopt_cuda_wino_input(&in, 0, &err));
        CALL(aopt_cuda_tapgemm(NULL, &g, 0, &err));
        CALL(aopt_cuda_wino_output(&out, 0, &err));
    }
    CHECK(same_bits(first, dy.raw()), "tiles of %d: chunks of 2 and %d frames differ from one of %d", tile, T - 2, T);
}
static void test_wino_conv(void) { wino_conv(4); wino_conv(6); }
/* The same over time too, in one batched GEMM of one tap; then cut in two where tiles of time meet. */
static void wino_time_conv(int tile)
{
    const wino transforms(tile);
    if (aopt__shared_memory() < (tile == 6 ? aopt__wino_time_shared<6>() : aopt__wino_time_shared<4>())) { SKIP("not enough shared memory"); return; }
    const int T = 9, front = 3, H = small ? 10 : 26, W = small ? 9 : 30, ci = 48, co = 40, P = H * W, tiles = (H + tile - 1) / tile * ((W + tile - 1) / tile), products = 6 * (tile + 2) * (tile + 2);
    static double form[AOPT_WINO_TIME_PRODUCTS * 64 * 27];
    const aopt_conv_form f = { form, products, 27, 0, NULL };
    aopt_wino_time_form(tile, form);
    const conv_data d(T, H, W, ci, co);

    const int64_t B = AOPT_WINO_BLOCK, blocks = (3 * tiles + B - 1) / B;
    device<__half> dx(d.x), du((int64_t)products * co * ci), dv(products * blocks * B * ci), dm(products * blocks * B * co), dy((int64_t)T * P * co);
    device<float> dr(d.r), dg(d.gamma), dw(d.w), db(d.bias), dry((int64_t)T * P);
    float alpha = 0;
    CALL(aopt_cuda_conv_weights(&f, dw.p, co, ci, 1, du.p, &alpha, &err));
    vec v = wino_time_input_ref(transforms, d.xh, d.rh, d.gamma, T, front, H, W, ci, !EXACT_TANH), u = weights_ref(d.w, f, co, ci, 1);
    for (double &q : u) q /= alpha;
    round_half(v); round_half(u);
    vec emulated = wino_time_output_ref(transforms, emulated_gemm(v, u, products, 3, tiles, co, ci, 1, false), alpha, d.bias, NULL, T, front, H, W, co);
    round_half(emulated);

    aopt_wino_input in; aopt_tapgemm g; aopt_wino_output out;
    memset(&in, 0, sizeof in); memset(&g, 0, sizeof g); memset(&out, 0, sizeof out);
    in.x = dx.p; in.r = dr.p; in.gamma = dg.p; in.v = dv.p; in.frames = T; in.H = H; in.W = W; in.C = ci; in.tile = out.tile = tile; in.time_tile = out.time_tile = 4; in.front = out.front = front;
    g.batch = products; g.frames = blocks; g.rows = B; g.n = co; g.k = ci; g.taps = 1; g.alpha = 1.0f;
    g.a = dv.p; g.a_row = ci; g.a_batch = B * ci; g.a_frame = products * g.a_batch;
    g.w = du.p; g.w_row = ci; g.w_batch = (int64_t)co * ci;
    g.c = dm.p; g.c_row = co; g.c_batch = B * co; g.c_frame = products * g.c_batch;
    out.m = dm.p; out.alpha = alpha; out.bias = db.p; out.y = dy.p; out.r = dry.p; out.frames = T; out.H = H; out.W = W; out.C = out.norm_c = co;
    std::vector<__half> first;
    for (int path = aopt_cuda_has_wgmma() ? 0 : 1; path < (small ? 1 : 2); path++) {
        dv.poison(); dm.poison(); dy.poison();
        CALL(aopt_cuda_wino_input(&in, 0, &err));
        CALL(aopt_cuda_tapgemm(path ? blas : NULL, &g, 0, &err));
        CALL(aopt_cuda_wino_output(&out, 0, &err));
        CHECK_SNR(dy.get(), emulated, d.exact, "convolution over time, tiles of %d, path %d", tile, path);
        printf("    convolution over time, tiles of %d, through %s: %.2f dB, emulation %.2f dB\n", tile, path ? "cuBLAS" : "wgmma", snr(dy.get(), d.exact), snr(emulated, d.exact));
        if (path == 0) first = dy.raw();
    }
    if (first.empty()) return;
    dy.poison();
    for (int t = 0; t < T; t += (int)in.frames) {
        in.front = out.front = t ? 0 : front;
        in.frames = out.frames = t ? T - t : 5;
        g.frames = ((in.front + in.frames) / 4 * tiles + B - 1) / B;
        in.x = dx.p + (int64_t)t * P * ci; in.r = dr.p + (int64_t)t * P; out.y = dy.p + (int64_t)t * P * co; out.r = dry.p + (int64_t)t * P;
        if (t) { in.history = in.x - 2 * P * ci; in.r_history = in.r - 2 * P; }
        CALL(aopt_cuda_wino_input(&in, 0, &err));
        CALL(aopt_cuda_tapgemm(NULL, &g, 0, &err));
        CALL(aopt_cuda_wino_output(&out, 0, &err));
    }
    CHECK(same_bits(first, dy.raw()), "over time, tiles of %d: a cut after frame 4 changes bits", tile);
}
static void test_wino_time_conv(void) { wino_time_conv(4); wino_time_conv(6); }
static void test_wino_large_activations(void)
{
    const int H = 8, W = 8, C = 64, P = H * W;
    vec x((size_t)P * C, 0.0), gamma((size_t)C, 1.3);
    for (int p = 0; p < P; p++) x[(size_t)(p * C + p % C)] = 1e4 * (p % 2 ? 1 : -1);     /* all energy in one channel: the largest |x * r| */
    device<__half> dx(x), dv((int64_t)64 * 3 * 4 * C);
    device<float> dr(P), dg(gamma);
    aopt_wino_input a;
    memset(&a, 0, sizeof a);
    CALL(aopt_cuda_norm_factor(dx.p, dr.p, P, C, C, 0, &err));
    a.x = dx.p; a.r = dr.p; a.gamma = dg.p; a.v = dv.p; a.frames = 1; a.H = H; a.W = W; a.C = C;
    for (int tile = 4; tile <= 6; tile += 2) {
        double top = 0;
        dv.poison();
        a.tile = tile;
        CALL(aopt_cuda_wino_input(&a, 0, &err));
        const vec v = dv.get();
        for (int64_t i = 0; i < (int64_t)(tile + 2) * (tile + 2) * 3 * 4 * C; i++) top = v[(size_t)i] == v[(size_t)i] ? std::max(top, fabs(v[(size_t)i])) : INFINITY;
        CHECK(top > 5 && top < 600, "tiles of %d: largest transformed value %g", tile, top);
    }
}

/* ---- upsample -------------------------------------------------------------------------------------- */
static vec upsample_input_ref(const vec &x, int frames, int phases, int H, int W, int C, int tile)
{
    const int th = H / tile + 1, tw = W / tile + 1, window = tile + 1, planes = window * window;
    vec v((size_t)planes * frames * th * tw * C), bt((size_t)planes * planes);
    for (int i = 0; i < planes * planes; i++) bt[(size_t)i] = upsample_bt(tile, i / planes, i % planes / window, i % planes % window);
    for (int p = 0; p < planes; p++) for (int f = 0; f < frames; f++) for (int t = 0; t < th * tw; t++) for (int c = 0; c < C; c++) {
        double s = 0;
        for (int k = 0; k < planes; k++) {
            const int y = t / tw * tile + k / window - 1, z = t % tw * tile + k % window - 1;
            if (y < 0 || y >= H || z < 0 || z >= W) continue;
            s += bt[(size_t)(p * planes + k)] * x[((((size_t)(f / phases) * H + y) * W + z) * phases + f % phases) * C + c];
        }
        v[(((size_t)p * frames + f) * th * tw + t) * C + c] = s;
    }
    return v;
}
/* From the products in the GEMMs' layout; shortcut and bias as the kernel's contract says. */
static vec upsample_output_ref(const vec &m, const aopt_upsample_output &a, const vec &bias, const vec &shortcut)
{
    const int H = (int)a.H, W = (int)a.W, C = a.C, out = 2 * a.tile, tw = W / a.tile + 1, th = H / a.tile + 1, products = (out + 1) * (out + 1);
    const size_t R = (size_t)a.frames * th * tw;
    vec y((size_t)a.frames * 4 * H * W * C), at((size_t)products * out * out);
    for (size_t i = 0; i < at.size(); i++) at[i] = upsample_at(a.tile, (int)i % products, (int)i / products / out, (int)i / products % out);
    for (size_t i = 0; i < y.size(); i++) {
        const int c = (int)(i % C), z = (int)(i / C % (2 * W)), q = (int)(i / C / (2 * W) % (2 * H)), f = (int)(i / C / (2 * W) / (2 * H));
        const size_t row = ((size_t)f * th + (q + 1) / out) * tw + (z + 1) / out, inside = (size_t)((q + 1) % out * out + (z + 1) % out);
        double s = 0;
        for (int p = 0, plane, wide, column; p < products; p++) {
            const double k = at[inside * products + p];
            if (k == 0.0) continue;
            upsample_plane(a.tile, p, &plane, &wide, &column);
            s += k * m[(size_t)(p - column) * R * C + row * wide * C + column * C + c];
        }
        const int u = (f + a.skip) % a.factor_t, t = (f + a.skip) / a.factor_t, repeat = 4 * a.factor_t / a.ratio;
        const int src = ((c * a.factor_t + u) * 4 + q % 2 * 2 + z % 2) / repeat;      /* the official formula */
        y[i] = a.alpha * s + bias[(size_t)c];
        if (a.shortcut) y[i] += a.shortcut_scale * shortcut[(((size_t)t * H + q / 2) * W + z / 2) * a.shortcut_c + src];
    }
    return y;
}
static void upsample_cases(int tile)
{
    /* H, W, C, frames out, shortcut channels, factor_t, skip */
    static const int cases[][7] = { { 5, 6, 24, 2, 24, 2, 0 }, { 4, 3, 16, 3, 32, 1, 0 }, { 6, 9, 40, 3, 40, 2, 1 }, { 2, 1, 16, 2, 32, 2, 0 },
                                    { 3, 4, 72, 2, 144, 2, 0 }, { 2, 3, 520, 1, 1040, 1, 0 }, { 1, 1, 8, 1, 0, 1, 0 },
                                    { 1, 9, 136, 1, 136, 1, 0 }, { 11, 1, 8, 1, 16, 1, 0 }, { 8, 12, 24, 1, 0, 1, 0 },
                                    { 9, 10, 64, 1, 128, 1, 0 }, { 10, 9, 64, 2, 64, 2, 0 } };        /* a whole tile, and all lanes have channels */
    static double form[81 * 9];
    const int products = (2 * tile + 1) * (2 * tile + 1), planes = (tile + 1) * (tile + 1);
    const aopt_conv_form f = { form, products, 9, 0, NULL };
    aopt_upsample_form_tile(tile, form);
    for (const int *s : cases) {
        const int H = s[0], W = s[1], C = s[2], T = s[3], sc = s[4], ft = s[5], skip = s[6], phases = T % 2 ? 1 : 2;
        const int R = T * (H / tile + 1) * (W / tile + 1), st = (T + skip + ft - 1) / ft;
        const vec x = random_half((int64_t)T * H * W * C, 71, 1.0), shortcut = random_half((int64_t)st * H * W * std::max(sc, 1), 72, 1.0), bias = random_half(C, 73, 0.1);
        vec w = random_vec((int64_t)C * C * 9, 74, 0.05);
        for (double &q : w) q = (double)(float)q;
        device<__half> dx(x), ds(shortcut), du((int64_t)products * C * C), dv((int64_t)planes * R * C), dm((int64_t)products * R * C), dy((int64_t)T * 4 * H * W * C);
        device<float> dw(w), db(bias), dr((int64_t)T * 4 * H * W);
        float alpha = 0;
        CALL(aopt_cuda_conv_weights(&f, dw.p, C, C, 1, du.p, &alpha, &err));
        vec v = upsample_input_ref(x, T, phases, H, W, C, tile), u = weights_ref(w, f, C, C, 1), m;
        const vec v_exact = v;
        for (double &q : u) q /= alpha;
        round_half(v); round_half(u);
        for (int p = 0, plane, wide, at; p < products; p += wide) {
            upsample_plane(tile, p, &plane, &wide, &at);
            const vec part = emulated_gemm(vec(v.begin() + (int64_t)plane * R * C, v.begin() + (int64_t)(plane + 1) * R * C),
                                           vec(u.begin() + (int64_t)p * C * C, u.begin() + (int64_t)(p + wide) * C * C), 1, 1, R, wide * C, C, 1, false);
            m.insert(m.end(), part.begin(), part.end());
        }
        aopt_upsample_input in; aopt_upsample_output out;
        memset(&in, 0, sizeof in); memset(&out, 0, sizeof out);
        in.x = dx.p; in.v = dv.p; in.v_plane = (int64_t)R * C; in.frames = T; in.H = H; in.W = W; in.C = C; in.phases = phases; in.tile = out.tile = tile;
        out.m = dm.p; out.alpha = alpha; out.bias = db.p; out.y = dy.p; out.r = dr.p; out.frames = T; out.H = H; out.W = W; out.C = out.norm_c = C;
        out.factor_t = ft; out.skip = skip; out.ratio = 1;
        if (sc) { out.shortcut = ds.p; out.shortcut_c = sc; out.shortcut_scale = 0.5f; out.ratio = sc / C; }
        vec emulated = upsample_output_ref(m, out, bias, shortcut);
        round_half(emulated);
        /* exact: upsample, convolve, add */
        vec up((size_t)T * 4 * H * W * C);
        for (size_t i = 0; i < up.size(); i++) {
            const int c = (int)(i % C), z = (int)(i / C % (2 * W)), q = (int)(i / C / (2 * W) % (2 * H)), t = (int)(i / C / (2 * W) / (2 * H));
            up[i] = x[((((size_t)(t / phases) * H + q / 2) * W + z / 2) * phases + t % phases) * C + c];
        }
        vec exact = direct_conv(up, w, T, 2 * H, 2 * W, C, C, 1), zero((size_t)products * R * C, 0.0);
        const vec rest = upsample_output_ref(zero, out, bias, shortcut);
        for (size_t i = 0; i < exact.size(); i++) exact[i] += rest[i];

        for (int path = aopt_cuda_has_wgmma() ? 0 : 1; path < (small ? 1 : 2); path++) {
                dv.poison(); dm.poison(); dy.poison();
                CALL(aopt_cuda_upsample_input(&in, 0, &err));
                CHECK_SNR(dv.get(), v, v_exact, "input, tile %d H %d W %d C %d", tile, H, W, C);
                CALL(aopt_cuda_upsample_gemm_tile(path ? blas : NULL, dv.p, in.v_plane, du.p, dm.p, R, C, C, tile, 0, &err));
                CALL(aopt_cuda_upsample_output(&out, 0, &err));
                CHECK_SNR(dy.get(), emulated, exact, "tile %d H %d W %d C %d frames %d shortcut %d path %d", tile, H, W, C, T, sc, path);
                const vec r = norm_ref(dy.get(), C, C);
                CHECK(snr(dr.get(), r) > 115, "r: %.1f dB", snr(dr.get(), r));
                const std::vector<__half> with_r = dy.raw();
                out.r = NULL;
                dy.poison();
                CALL(aopt_cuda_upsample_output(&out, 0, &err));
                CHECK(same_bits(with_r, dy.raw()), "without r: other bits");
                device<__half> tail((int64_t)4 * H * W * C);                  /* the last frame elsewhere */
                dy.poison();
                out.y_tail = tail.p; out.tail_at = T - 1;
                CALL(aopt_cuda_upsample_output(&out, 0, &err));
                std::vector<__half> got = dy.raw();
                const std::vector<__half> last = tail.raw();
                CHECK((float)got.back() != (float)got.back(), "written past the tail's start");
                std::copy(last.begin(), last.end(), got.end() - (int64_t)last.size());
                CHECK(same_bits(with_r, got), "tail: other bits");
                out.y_tail = NULL;
                out.r = dr.p;
            }
    }
}
static void test_upsample(void) { upsample_cases(2); }
static void test_upsample4(void)
{
    aopt_upsample_input in; aopt_upsample_output out;
    upsample_cases(4);
    memset(&in, 0, sizeof in); memset(&out, 0, sizeof out);
    in.frames = in.H = in.W = out.frames = out.H = out.W = 1; in.C = out.C = 8; in.phases = out.factor_t = 1; in.tile = out.tile = 3;
    CHECK(aopt_cuda_upsample_input(&in, 0, &err) == AOPT_E_ARG && aopt_cuda_upsample_output(&out, 0, &err) == AOPT_E_ARG &&
          aopt_cuda_upsample_gemm_tile(NULL, NULL, 8, NULL, NULL, 1, 8, 8, 3, 0, &err) == AOPT_E_ARG, "tiles of 3");
}

/* ---- small layers of the decoder -------------------------------------------------------------------- */
static void test_add_norm(void)
{
    static const int cases[][3] = { { 1, 8, 8 }, { 37, 24, 21 }, { 19, 1024, 1024 }, { 9, 1032, 1030 } };      /* P, C, norm_c */
    for (const int *s : cases) {
        const int P = s[0], C = s[1], norm_c = s[2];
        const vec a = random_half((int64_t)P * C, 91, 1.0), b = random_half((int64_t)P * C, 92, 3.0), gamma = random_vec(C, 93, 1.0);
        vec sum(a.size()), want(a.size());
        for (size_t i = 0; i < a.size(); i++) sum[i] = half_of(a[i] + b[i]);
        const vec r = norm_ref(sum, C, norm_c);
        device<__half> da(a), db(b), dy((int64_t)P * C);
        device<float> dr(P), dg(gamma);
        CALL(aopt_cuda_add_norm(da.p, db.p, dy.p, dr.p, P, C, norm_c, 0, &err));
        CHECK(dy.get() == sum, "P %d C %d: sums differ", P, C);
        CHECK(snr(dr.get(), r) > 115, "r: %.1f dB", snr(dr.get(), r));
        CALL(aopt_cuda_norm(dy.p, dr.p, dg.p, dy.p, P, C, 0, &err));
        for (size_t i = 0; i < a.size(); i++) want[i] = sum[i] * r[i / C] * (double)(float)gamma[i % C];
        vec rounded = want;
        round_half(rounded);
        CHECK_SNR(dy.get(), rounded, want, "norm, P %d C %d", P, C);
    }
}

static void test_max_abs(void)
{
    vec x = random_half(70001, 94, 1.0);
    device<float> top(vec(1, 0.0));
    x[70000] = -777.0;
    device<__half> d(x);
    CALL(aopt_cuda_max_abs(d.p, d.n, top.p, 0, &err));
    CHECK(top.get()[0] == 777.0, "%g", top.get()[0]);
    CALL(aopt_cuda_max_abs(d.p, 100, top.p, 0, &err));
    CHECK(top.get()[0] == 777.0, "a smaller maximum replaced it: %g", top.get()[0]);
    x[5] = NAN;
    d.put(x);
    CALL(aopt_cuda_max_abs(d.p, d.n, top.p, 0, &err));
    CHECK(top.get()[0] != top.get()[0], "NaN went unnoticed: %g", top.get()[0]);
}

static void test_point_in(void)
{
    const int P = 45, ci = 48, C = 56, stride = 61;
    const vec x = random_vec((int64_t)ci * stride, 95, 1.0), w = random_vec((int64_t)ci * C, 96, 0.2), bias = random_vec(C, 97, 0.5);
    vec want((size_t)P * C);
    for (int p = 0; p < P; p++)
        for (int c = 0; c < C; c++) {
            double s = (double)(float)bias[(size_t)c];
            for (int k = 0; k < ci; k++) s += (double)(float)w[(size_t)k * C + c] * (double)(float)x[(size_t)k * stride + p];
            want[(size_t)p * C + c] = s;
        }
    vec rounded = want;
    round_half(rounded);
    device<float> dx(x), dw(w), db(bias);
    device<__half> dy((int64_t)P * C);
    CALL(aopt_cuda_point_in(dx.p, stride, dw.p, db.p, dy.p, P, ci, C, 0, &err));
    CHECK_SNR(dy.get(), rounded, want, "point convolution");
}

static void test_softmax_half(void)
{
    static const int cases[][2] = { { 1, 1 }, { 3, 7 }, { 5, 1000 } };
    for (const int *s : cases) {
        const int rows = s[0], n = s[1];
        const vec x = random_vec((int64_t)rows * n, 98, 20.0);
        vec want(x.size());
        for (int i = 0; i < rows; i++) {
            double top = -1e300, sum = 0;
            for (int j = 0; j < n; j++) top = std::max(top, 0.25 * (double)(float)x[(size_t)i * n + j]);
            for (int j = 0; j < n; j++) sum += exp(0.25 * (double)(float)x[(size_t)i * n + j] - top);
            for (int j = 0; j < n; j++) want[(size_t)i * n + j] = 32768.0 * exp(0.25 * (double)(float)x[(size_t)i * n + j] - top) / sum;
        }
        vec rounded = want;
        round_half(rounded);
        device<float> dx(x);
        device<__half> dy((int64_t)rows * n);
        CALL(aopt_cuda_softmax_half(dx.p, dy.p, rows, n, 0.25f, 32768.0f, 0, &err));
        CHECK_SNR(dy.get(), rounded, want, "softmax, %d rows of %d", rows, n);
    }
}

/* ---- head ------------------------------------------------------------------------------------------ */
static void test_head(void)
{
    const int T = 3, H = 5, W = 7, ci = 40, P = H * W;
    static double form[81];
    const aopt_conv_form f = { form, 9, 9, 1, NULL };
    aopt_head_form(form);
    const vec act = random_half((int64_t)(T + 2) * P * ci, 81, 1.0), bias = random_vec(12, 82, 0.1);
    vec w = random_vec((int64_t)12 * ci * 27, 83, 0.03);
    for (double &q : w) q = (double)(float)q;
    vec conv = direct_conv(act, w, T, H, W, ci, 12, 3), exact((size_t)3 * T * 4 * P);
    vec u = weights_ref(w, f, 12, ci, 3), emulated(exact.size());
    device<__half> da(act), du((int64_t)27 * 12 * ci), dg((int64_t)T * P * AOPT_HEAD_ROW);
    device<float> dw(w), db(bias), dvideo((int64_t)exact.size());
    float alpha = 0;
    CALL(aopt_cuda_conv_weights(&f, dw.p, 12, ci, 3, du.p, &alpha, &err));
    for (double &q : u) q /= alpha;
    round_half(u);
    const vec m = emulated_gemm(act, u, 1, T, P, 108, ci, 3, !aopt_cuda_has_wgmma());
    for (size_t i = 0; i < exact.size(); i++) {
        const int z = (int)(i % (2 * W)), q = (int)(i / (2 * W) % (2 * H)), t = (int)(i / (4 * P) % T), c = (int)(i / (4 * P) / T), o = c * 4 + z % 2 * 2 + q % 2;
        double s = 0;
        for (int k = 0; k < 9; k++) {
            const int y = q / 2 + k / 3 - 1, x = z / 2 + k % 3 - 1;
            if (y >= 0 && y < H && x >= 0 && x < W) s += m[(((size_t)t * H + y) * W + x) * 108 + k * 12 + o];
        }
        emulated[i] = std::min(1.0, std::max(-1.0, alpha * s + bias[(size_t)o]));
        exact[i] = std::min(1.0, std::max(-1.0, conv[(((size_t)t * H + q / 2) * W + z / 2) * 12 + o] + bias[(size_t)o]));
    }
    aopt_tapgemm g;
    memset(&g, 0, sizeof g);
    g.batch = 1; g.frames = T; g.rows = P; g.n = AOPT_HEAD_N; g.k = ci; g.taps = 3; g.alpha = 1.0f;
    g.a = da.p; g.a_row = ci; g.w = du.p; g.w_row = ci; g.c = dg.p; g.c_row = AOPT_HEAD_ROW;
    CALL(aopt_cuda_tapgemm(aopt_cuda_has_wgmma() ? NULL : blas, &g, 0, &err));
    CALL(aopt_cuda_head(dg.p, alpha, db.p, dvideo.p, (int64_t)T * 4 * P, T, H, W, 0, &err));
    CHECK_SNR(dvideo.get(), emulated, exact, "head");
}

int main(int argc, char **argv)
{
    int gpus = 0;
    small = argc > 1 && strcmp(argv[1], "small") == 0;
    RUN(test_wino_matrices);
    RUN(test_wino_carry);
    RUN(test_upsample_form);
    RUN(test_upsample4_matrices);
    RUN(test_upsample4_form);
    RUN(test_forms_refuse);
    if (cudaGetDeviceCount(&gpus) != cudaSuccess || gpus == 0) {
        printf("no CUDA device: kernels not tested\n");
        return check_report();
    }
    printf("wgmma kernels: %s\n", aopt_cuda_has_wgmma() ? "yes" : "no");
    if (!small && cublasCreate(&blas) != CUBLAS_STATUS_SUCCESS) { printf("FAIL cublasCreate\n"); return 1; }
    RUN(test_tapgemm);
    RUN(test_tapgemm_alpha);
    RUN(test_tapgemm_alpha_bias);
    RUN(test_tapgemm_plans_equal_bits);
    RUN(test_tapgemm_ends);
    RUN(test_tapgemm_refuses);
    RUN(test_conv_weights);
    RUN(test_norm);
    RUN(test_wino_input);
    RUN(test_wino_output);
    RUN(test_wino_time_input);
    RUN(test_wino_time_output);
    RUN(test_wino_conv);
    RUN(test_wino_time_conv);
    RUN(test_wino_large_activations);
    RUN(test_wino_time_large_activations);
    RUN(test_upsample);
    RUN(test_upsample4);
    RUN(test_add_norm);
    RUN(test_max_abs);
    RUN(test_point_in);
    RUN(test_softmax_half);
    RUN(test_head);
    return check_report();
}
