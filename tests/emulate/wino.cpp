/* wino.cpp - kernels.inc and tests.inc, cut out of autoopt_kernels.cuh and test_fast.cu by test_wino_emulated.sh, on the CPU. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "autoopt.h"
#include "check.h"
#include <cuda_fp16.h>
#include <algorithm>
using std::min;

static int emulate_late;                /* groups by which waits fall short: a negative control */
static inline int64_t aopt__opaque(int64_t x) { return x; }
static inline uint32_t aopt__opaque32(uint32_t x) { return x; }
static inline float aopt__ex2(float x) { return exp2f(x); }
static inline float aopt__rcp(float x) { return 1.0f / x; }
static inline void aopt__copy16(uint32_t smem, const void *p, int bytes) { emulate_copy(smem, p, 16, (size_t)bytes); }
static inline void aopt__copy4(uint32_t smem, const void *p, int bytes) { emulate_copy(smem, p, 4, (size_t)bytes); }
static inline void aopt__copy_commit() { emulate_commit(); }
template <int N> static inline void aopt__copy_wait() { emulate_wait(N + emulate_late); }
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
}

int main(void)
{
    RUN(test_wino_matrices);
    RUN(test_wino_input);
    RUN(test_wino_output);
    RUN(test_short_waits_show);
    return check_report();
}
