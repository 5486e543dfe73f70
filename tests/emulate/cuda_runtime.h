/* cuda_runtime.h - as much of the CUDA runtime as autoopt uses, on one CPU thread: for machines without a GPU.

   g++ -I tests/emulate ... finds this file and cublas_v2.h in the place of NVIDIA's, so the very text of autoopt_kernels.cuh and
   of the CUDA host part runs under a host debugger, and under AddressSanitizer, which sees device memory as heap blocks.
   It shows that indexing, shapes, order of work and error paths are right.  It cannot show races, launch limits or speed.

   Kernels that copy asynchronously into shared memory find emulate_copy, emulate_commit and emulate_wait for cp.async: a copy happens at the
   wait that asks for it, so that reading too early shows, as NaN.

   A block's threads are run one after the other.  Where one meets a barrier or a shuffle, the block starts again with coroutines,
   which take turns there; so up to its first barrier a kernel must not change what it reads. */
#ifndef EMULATE_CUDA_RUNTIME_H
#define EMULATE_CUDA_RUNTIME_H
#include <setjmp.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <functional>
#include <vector>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)
#define __forceinline__ inline
#define __align__(n) __attribute__((aligned(n)))

struct alignas(8) float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
struct alignas(8) uint2 { unsigned x, y; };
struct alignas(16) uint4 { unsigned x, y, z, w; };
static inline float2 make_float2(float x, float y) { float2 v; v.x = x; v.y = y; return v; }

struct dim3 { unsigned x, y, z; dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue, cudaErrorMemoryAllocation };
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
typedef struct CUstream_st *cudaStream_t;

static size_t emulate_device_bytes = (size_t)4 << 30, emulate_device_used;      /* settable: a small device */
static int emulate_fail_after = -1;                                             /* the n-th call from now fails; -1: none */

static cudaError_t emulate_last;                                                 /* as cudaGetLastError gives it, once */

static inline cudaError_t emulate_error(cudaError_t e) { if (e != cudaSuccess) emulate_last = e; return e; }
static inline cudaError_t emulate_call(void) { return emulate_error(emulate_fail_after >= 0 && emulate_fail_after-- == 0 ? cudaErrorInvalidValue : cudaSuccess); }
static inline const char *cudaGetErrorName(cudaError_t e) { return e == cudaSuccess ? "cudaSuccess" : e == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorInvalidValue"; }
static inline const char *cudaGetErrorString(cudaError_t e) { return e == cudaErrorMemoryAllocation ? "out of memory" : e == cudaSuccess ? "no error" : "invalid argument"; }
static inline cudaError_t cudaGetLastError(void) { cudaError_t e; emulate_call(); e = emulate_last; emulate_last = cudaSuccess; return e; }
static inline cudaError_t cudaGetDevice(int *d) { *d = 0; return cudaSuccess; }
static inline cudaError_t cudaSetDevice(int d) { return d == 0 ? emulate_call() : emulate_error(cudaErrorInvalidValue); }
enum cudaDeviceAttr { cudaDevAttrMultiProcessorCount, cudaDevAttrMaxSharedMemoryPerBlockOptin };
static int emulate_shared_bytes = 232448;                                       /* settable: another device */
static inline cudaError_t cudaDeviceGetAttribute(int *v, cudaDeviceAttr a, int) { *v = a == cudaDevAttrMultiProcessorCount ? 3 : emulate_shared_bytes; return cudaSuccess; }
static inline cudaError_t cudaGetDeviceCount(int *n) { *n = 1; return cudaSuccess; }
static inline cudaError_t cudaDeviceSynchronize(void) { return emulate_call(); }
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return emulate_call(); }
static inline cudaError_t cudaMemGetInfo(size_t *available, size_t *total) { *available = emulate_device_bytes - emulate_device_used; *total = emulate_device_bytes; return emulate_call(); }
/* Every block is filled with NaN, so that what nobody wrote shows. */
static inline cudaError_t cudaMalloc(void **p, size_t n)
{
    size_t *block;
    *p = NULL;
    if (n > emulate_device_bytes - emulate_device_used || emulate_call() != cudaSuccess) return emulate_error(cudaErrorMemoryAllocation);
    block = (size_t *)malloc(n + 256);
    if (!block) return cudaErrorMemoryAllocation;
    block[0] = n;
    emulate_device_used += n;
    *p = (char *)block + 256;
    memset(*p, 0xff, n);
    return cudaSuccess;
}
static inline cudaError_t cudaFree(void *p)
{
    if (!p) return cudaSuccess;
    emulate_device_used -= *(size_t *)(void *)((char *)p - 256);
    free((char *)p - 256);
    return cudaSuccess;
}
static inline cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t n, cudaMemcpyKind, cudaStream_t) { memcpy(to, from, n); return emulate_call(); }
static inline cudaError_t cudaMemcpy(void *to, const void *from, size_t n, cudaMemcpyKind) { memcpy(to, from, n); return emulate_call(); }
static inline cudaError_t cudaMemset(void *to, int v, size_t n) { memset(to, v, n); return emulate_call(); }
enum cudaFuncAttribute { cudaFuncAttributeMaxDynamicSharedMemorySize };
template <typename T> static inline cudaError_t cudaFuncSetAttribute(T, cudaFuncAttribute, int) { return emulate_call(); }
static inline cudaError_t cudaMemsetAsync(void *to, int v, size_t n, cudaStream_t) { memset(to, v, n); return emulate_call(); }

static inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
static inline unsigned long long atomicAdd(unsigned long long *p, unsigned long long v) { const unsigned long long old = *p; *p += v; return old; }
static inline unsigned long long atomicMin(unsigned long long *p, unsigned long long v) { const unsigned long long old = *p; if (v < old) *p = v; return old; }

enum { EMULATE_THREADS = 1024, EMULATE_STACK = 64 << 10 };
static jmp_buf emulate_scheduler, emulate_thread[EMULATE_THREADS];     /* after a coroutine's first turn: no system calls */
static ucontext_t emulate_start[EMULATE_THREADS];
static char *emulate_stack[EMULATE_THREADS];
static int emulate_done[EMULATE_THREADS], emulate_current;
static unsigned long long emulate_slot[EMULATE_THREADS];
static const std::function<void()> *emulate_kernel;
struct emulate_barrier {};
static int emulate_turns;           /* coroutines are running */

static inline void emulate_yield(void)
{
    if (!emulate_turns) throw emulate_barrier();
    if (!_setjmp(emulate_thread[emulate_current])) _longjmp(emulate_scheduler, 1);
}
/* A barrier opens between two rounds of turns, once all that are not done wait at it: warps may have taken more turns than others. */
static int emulate_waits[EMULATE_THREADS], emulate_opened;
static inline void __syncthreads(void)
{
    const int me = emulate_current, opened = emulate_opened;
    emulate_waits[me] = 1;
    while (emulate_opened == opened) emulate_yield();
}
static inline void __syncwarp(void) { emulate_yield(); }
/* Two turns: all have written before one reads, all have read before one writes again. */
template <typename T> static inline T __shfl_xor_sync(unsigned, T v, int mask)
{
    const int me = emulate_current;
    T out;
    memcpy(&emulate_slot[me], &v, sizeof v);
    emulate_yield();
    memcpy(&out, &emulate_slot[me ^ mask], sizeof out);
    emulate_yield();
    return out;
}
/* Byte i of the result is the byte of {x, y} that nibble i of s names, x first. */
static inline unsigned __byte_perm(unsigned x, unsigned y, unsigned s)
{
    const unsigned long long both = (unsigned long long)y << 32 | x;
    unsigned r = 0;
    for (int i = 0; i < 4; i++) r |= (unsigned)(both >> 8 * (s >> 4 * i & 7) & 255) << 8 * i;
    return r;
}
static inline bool __all_sync(unsigned, bool v)
{
    const int me = emulate_current, first = me / 32 * 32;
    bool all = true;
    emulate_slot[me] = v;
    emulate_yield();
    for (int i = first; i < first + 32; i++) all = all && emulate_slot[i];
    emulate_yield();
    return all;
}

/* Dynamic shared memory of the block that runs, a heap block of the size of the launch; addresses in it are offsets. */
static char *emulate_shared;
static inline size_t __cvta_generic_to_shared(const void *p) { return (size_t)((const char *)p - emulate_shared); }

typedef struct emulate_copy_t { char *to; const char *from; size_t size, bytes; int group; } emulate_copy_t;
static std::vector<emulate_copy_t> emulate_copies[EMULATE_THREADS];
static int emulate_groups[EMULATE_THREADS];
/* Of `size` bytes to shared memory the first `bytes` come from `from`, the rest are zeros; both addresses must be aligned to size. */
static inline void emulate_copy(uint32_t to, const void *from, size_t size, size_t bytes)
{
    emulate_copy_t c = { emulate_shared + to, (const char *)from, size, bytes, emulate_groups[emulate_current] };
    if ((to | (uintptr_t)from) % size) abort();
    emulate_copies[emulate_current].push_back(c);
}
static inline void emulate_commit(void) { emulate_groups[emulate_current]++; }
/* All groups but the last `but` are there. */
static inline void emulate_wait(int but)
{
    std::vector<emulate_copy_t> &q = emulate_copies[emulate_current], later;
    for (const emulate_copy_t &c : q) {
        if (c.group >= emulate_groups[emulate_current] - but) { later.push_back(c); continue; }
        memset(c.to, 0, c.size);
        if (c.bytes) memcpy(c.to, c.from, c.bytes);
    }
    q = later;
}

static void emulate_entry(void)
{
    for (;;) {                      /* a coroutine lives on, for the next block */
        (*emulate_kernel)();
        emulate_done[emulate_current] = 1;
        emulate_yield();
    }
}

static void emulate_select(int i)
{
    emulate_current = i;
    threadIdx = dim3((unsigned)i % blockDim.x, (unsigned)i / blockDim.x % blockDim.y, (unsigned)i / blockDim.x / blockDim.y);
}

__attribute__((noinline)) static void emulate_turn(int i)
{
    emulate_select(i);
    if (_setjmp(emulate_scheduler)) return;
    if (emulate_stack[i]) _longjmp(emulate_thread[i], 1);
    emulate_stack[i] = (char *)malloc(EMULATE_STACK);
    getcontext(&emulate_start[i]);
    emulate_start[i].uc_stack.ss_sp = emulate_stack[i];
    emulate_start[i].uc_stack.ss_size = EMULATE_STACK;
    makecontext(&emulate_start[i], emulate_entry, 0);
    setcontext(&emulate_start[i]);
}

static void emulate_block_in_turns(int threads)
{
    memset(emulate_done, 0, sizeof emulate_done);
    memset(emulate_waits, 0, sizeof emulate_waits);
    for (int again = 1; again;) {
        int open = 1;
        again = 0;
        for (int i = 0; i < threads; i++) {
            if (emulate_done[i]) continue;
            emulate_turn(i);
            again |= !emulate_done[i];
            open &= emulate_done[i] | emulate_waits[i];
        }
        if (open) { emulate_opened++; memset(emulate_waits, 0, sizeof emulate_waits); }
    }
}

static void emulate_block(int threads)
{
    for (int i = 0; i < threads; i++) emulate_copies[i].clear();
    if (!emulate_turns) {
        try {
            for (int i = 0; i < threads; i++) { emulate_select(i); (*emulate_kernel)(); }
            return;
        } catch (const emulate_barrier &) { emulate_turns = 1; emulate_copies[emulate_current].clear(); }
    }
    emulate_block_in_turns(threads);
}

static void emulate_launch(dim3 blocks, dim3 threads, const std::function<void()> &kernel, size_t shared = 0)
{
    gridDim = blocks;
    blockDim = threads;
    emulate_kernel = &kernel;
    emulate_turns = 0;
    for (unsigned b = 0; b < blocks.x * blocks.y * blocks.z; b++) {
        blockIdx = dim3(b % blocks.x, b / blocks.x % blocks.y, b / blocks.x / blocks.y);
        emulate_shared = (char *)malloc(shared);
        memset(emulate_shared, 0xff, shared);
        emulate_block((int)(threads.x * threads.y * threads.z));
        free(emulate_shared);
    }
}
#define AOPT__LAUNCH(kernel, blocks, threads, stream, ...) ((void)(stream), emulate_launch((blocks), (threads), [&]() { kernel(__VA_ARGS__); }))
#endif
