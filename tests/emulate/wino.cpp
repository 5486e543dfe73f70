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
