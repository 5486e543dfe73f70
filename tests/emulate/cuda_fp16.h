/* cuda_fp16.h - fp16 values and conversions, rounded to nearest even, in integer arithmetic; see cuda_runtime.h beside this file. */
#ifndef EMULATE_CUDA_FP16_H
#define EMULATE_CUDA_FP16_H
#include "cuda_runtime.h"
#include <math.h>

struct __half { uint16_t bits; inline operator float() const; };
struct __half2 { __half x, y; };

static inline float __half2float(__half h)
{
    const int e = h.bits >> 10 & 31, m = h.bits & 1023;
    const float v = e == 31 ? (m ? NAN : INFINITY) : ldexpf((float)(e ? m + 1024 : m), (e ? e : 1) - 25);
    return h.bits >> 15 ? -v : v;
}
inline __half::operator float() const { return __half2float(*this); }
/* One rounding, from double: nearbyint of the value in units of its last place. */
static inline __half __double2half(double x)
{
    const uint16_t sign = signbit(x) ? 0x8000 : 0;
    int e;
    __half h;
    x = fabs(x);
    if (x != x) { h.bits = 0x7fff; return h; }
    if (x >= 65520.0) { h.bits = (uint16_t)(sign | 0x7c00); return h; }
    frexp(x, &e);                                       /* x = m * 2^e, m in [1/2, 1); subnormal below 2^-14 */
    if (e < -13 || x == 0.0) e = -13;                   /* frexp gives 0 the exponent 0 */
    h.bits = (uint16_t)(sign | ((e + 13) * 1024 + (int)nearbyint(ldexp(x, 11 - e))));       /* a normal mantissa starts at 1024, which is one exponent */
    return h;
}
static inline __half __float2half_rn(float x) { return __double2half((double)x); }
static inline float2 __half22float2(__half2 h) { return make_float2(__half2float(h.x), __half2float(h.y)); }
static inline __half2 __floats2half2_rn(float x, float y) { __half2 h; h.x = __float2half_rn(x); h.y = __float2half_rn(y); return h; }
#endif
