/* wino.cpp - kernels.inc and tests.inc, cut out of autoopt_kernels.cuh and test_fast.cu by test_wino_emulated.sh, on the CPU. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "autoopt.h"
#include "check.h"
#include <cublas_v2.h>
#include <cuda_fp16.h>
#include <algorithm>
using std::min;

#define EXACT_TANH 1
/* Of no GPU that copies boxes: maps are passed on, and nothing reads them. */
#define AOPT__SM90A 0
#define __grid_constant__
typedef struct CUtensorMap { char unused; } CUtensorMap;
template <typename T> static aopt_status aopt__wino_time_make_maps(const aopt_wino_input *, T *, aopt_error *) { return AOPT_OK; }
static int emulate_late;                /* groups by which waits fall short: a negative control */
static inline int64_t aopt__opaque(int64_t x) { return x; }
static inline uint32_t aopt__opaque32(uint32_t x) { return x; }
static inline float aopt__ex2(float x) { return exp2f(x); }
static inline float aopt__rcp(float x) { return 1.0f / x; }
static inline float aopt__tanh(float x) { return tanhf(x); }
static inline void aopt__copy16(uint32_t smem, const void *p, int bytes) { emulate_copy(smem, p, 16, (size_t)bytes); }
static inline void aopt__store16(void *p, uint4 v, bool here) { if (here) memcpy(p, &v, sizeof v); }
static inline void aopt__copy4(uint32_t smem, const void *p, int bytes) { emulate_copy(smem, p, 4, (size_t)bytes); }
static inline void aopt__copy_commit() { emulate_commit(); }
template <int N> static inline void aopt__copy_wait() { emulate_wait(N + emulate_late); }

/* Of a warp: each thread shows what it has, then all read.  One turn each: of two places they use one by turns, so that nobody writes where others still read. */
static float emulate_half(uint32_t bits)
{
    static std::vector<float> all;
    if (all.empty()) for (uint32_t i = 0; i < 65536; i++) { __half h; h.bits = (uint16_t)i; all.push_back(__half2float(h)); }
    return all[bits & 65535];
}
static int emulate_turn_of[EMULATE_THREADS];
static float emulate_a[2][EMULATE_THREADS / 32][16][16], emulate_b[2][EMULATE_THREADS / 32][8][16];
static inline void aopt__mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    const int me = emulate_current, g = me % 32 / 4, t = me % 4, place = emulate_turn_of[me];
    float (&as)[16][16] = emulate_a[place][me / 32], (&bs)[8][16] = emulate_b[place][me / 32];
    for (int i = 0; i < 8; i++) as[g + i / 2 % 2 * 8][2 * t + i / 4 * 8 + i % 2] = emulate_half(a[i / 2] >> i % 2 * 16);
    for (int i = 0; i < 4; i++) bs[g][2 * t + i / 2 * 8 + i % 2] = emulate_half(b[i / 2] >> i % 2 * 16);
    emulate_yield();
    emulate_turn_of[me] ^= 1;
    for (int i = 0; i < 4; i++) {
        const float *const x = as[g + i / 2 * 8], *const y = bs[2 * t + i % 2];
        float sum = d[i];
        for (int k = 0; k < 16; k++) sum += x[k] * y[k];
        d[i] = sum;
    }
}
static const char *emulate_row[2][EMULATE_THREADS];
static inline void aopt__ldmatrix_x4_trans(uint32_t smem, uint32_t (&r)[4])
{
    const int me = emulate_current, g = me % 32 / 4, t = me % 4, place = emulate_turn_of[me];
    if (smem % 16) abort();
    emulate_row[place][me] = emulate_shared + smem;
    emulate_yield();
    emulate_turn_of[me] ^= 1;
    for (int i = 0; i < 4; i++) {
        const char *const *const rows = emulate_row[place] + me / 32 * 32 + 8 * i + 2 * t;
        uint16_t v[2];
        for (int k = 0; k < 2; k++) memcpy(&v[k], rows[k] + 2 * g, 2);
        r[i] = v[0] | (uint32_t)v[1] << 16;
    }
}

/* Of the tap GEMM and the weights only what they compute: one tap without alpha and bias, one time tap. */
int aopt_cuda_has_wgmma(void) { return 1; }
aopt_status aopt_cuda_tapgemm(cublasHandle_t, const aopt_tapgemm *g, cudaStream_t, aopt_error *e)
{
    if (g->taps != 1 || g->alpha != 1.0f || g->bias) return aopt_fail(e, AOPT_E_UNSUPPORTED, "emulated tap GEMM");
    std::vector<float> a((size_t)g->k), w((size_t)(g->n * g->k));
    for (int64_t b = 0; b < g->batch; b++) {
        for (int64_t i = 0; i < g->n * g->k; i++) w[(size_t)i] = g->w[b * g->w_batch + i / g->k * g->w_row + i % g->k];
        for (int64_t r = 0; r < g->frames * g->rows; r++) {
            for (int64_t k = 0; k < g->k; k++) a[(size_t)k] = g->a[b * g->a_batch + r * g->a_row + k];
            for (int64_t n = 0; n < g->n; n++) {
                float sum = 0.0f;
                for (int64_t k = 0; k < g->k; k++) sum += a[(size_t)k] * w[(size_t)(n * g->k + k)];
                g->c[b * g->c_batch + r * g->c_row + n] = __float2half_rn(sum);
            }
        }
    }
    return AOPT_OK;
}
aopt_status aopt_cuda_conv_weights(const aopt_conv_form *f, const float *w, int co, int ci, int, __half *u, float *alpha, aopt_error *)
{
    const int64_t pair = (int64_t)co * ci;
    std::vector<double> all((size_t)(f->products * pair));
    double top = 0;
    int e;
    for (int64_t i = 0; i < f->products * pair; i++) {
        for (int k = 0; k < f->taps; k++) all[(size_t)i] += f->form[i / pair * f->taps + k] * w[i % pair * f->taps + k];
        top = std::max(top, fabs(all[(size_t)i]));
    }
    frexp(top, &e);
    for (int64_t i = 0; i < f->products * pair; i++) u[i] = __double2half(ldexp(all[(size_t)i], -e));
    *alpha = (float)ldexp(1.0, e);
    return AOPT_OK;
}
#include "kernels.inc"
#include "tests.inc"

/* A wait for one group less must show. */
static void control(void (*test)(void), const char *name)
{
    const int bad = check_bad;
    printf("    failures until the next line are wanted\n");
    emulate_late = 1;
    test();
    emulate_late = 0;
    printf("    %s with short waits: %d failures\n", name, check_bad - bad);
    const int found = check_bad > bad;
    check_bad = bad;
    CHECK(found, "%s does not see products that have not arrived", name);
}
static void test_short_waits_show(void)
{
    control(test_wino_input, "test_wino_input");
    control(test_wino_output, "test_wino_output");
    control(test_wino_time_input, "test_wino_time_input");
    control(test_wino_time_output, "test_wino_time_output");
    control(test_upsample, "test_upsample");
    control(test_upsample4, "test_upsample4");
}

static void test_little_shared_memory(void)
{
    aopt_wino_input a;
    __half h[8];
    float f[8];
    memset(&a, 0, sizeof a);
    a.x = a.v = h; a.r = a.gamma = f; a.frames = a.H = a.W = 1; a.C = 8; a.tile = 6; a.time_tile = 4;
    emulate_shared_bytes = 101376;                      /* of compute capability 8.9 */
    CHECK(aopt_cuda_wino_input(&a, 0, &err) == AOPT_E_UNSUPPORTED && strstr(err.message, "101376"), "%s", err.message);
    emulate_shared_bytes = 232448;
}

int main(void)
{
    small = 1;                          /* one path through the GEMM */
    RUN(test_wino_matrices);
    RUN(test_wino_carry);
    RUN(test_wino_input);
    RUN(test_wino_output);
    RUN(test_wino_time_input);
    RUN(test_wino_time_output);
    RUN(test_wino_time_large_activations);
    RUN(test_upsample_form);
    RUN(test_upsample4_matrices);
    RUN(test_upsample4_form);
    RUN(test_forms_refuse);
    RUN(test_upsample);
    RUN(test_upsample4);
    RUN(test_little_shared_memory);
    RUN(test_short_waits_show);
    return check_report();
}
