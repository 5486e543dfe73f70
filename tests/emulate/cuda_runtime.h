/* cuda_runtime.h - as much of the CUDA runtime as autoopt uses, on one CPU thread: for machines without a GPU.

   g++ -I tests/emulate ... finds this file and cublas_v2.h in the place of NVIDIA's, so the very text of autoopt_kernels.cuh and
   of the CUDA host part runs under a host debugger, and under AddressSanitizer, which sees device memory as heap blocks.
   It shows that indexing, shapes, order of work and error paths are right.  It cannot show races, launch limits or speed.

   A block's threads are run one after the other.  Where one meets a barrier or a shuffle, the block starts again with coroutines,
   which take turns there; so up to its first barrier a kernel must not change what it reads. */
#ifndef EMULATE_CUDA_RUNTIME_H
#define EMULATE_CUDA_RUNTIME_H
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <ucontext.h>
#include <functional>

#define __global__
#define __device__
#define __host__
#define __shared__ static
#define __launch_bounds__(...)

struct dim3 { unsigned x, y, z; dim3(unsigned a = 1, unsigned b = 1, unsigned c = 1) : x(a), y(b), z(c) {} };
static dim3 threadIdx, blockIdx, blockDim, gridDim;

enum cudaError_t { cudaSuccess, cudaErrorInvalidValue, cudaErrorMemoryAllocation };
enum cudaMemcpyKind { cudaMemcpyHostToHost, cudaMemcpyHostToDevice, cudaMemcpyDeviceToHost, cudaMemcpyDeviceToDevice, cudaMemcpyDefault };
typedef struct CUstream_st *cudaStream_t;

static size_t emulate_device_bytes = (size_t)4 << 30, emulate_device_used;      /* settable: a small device */
static int emulate_fail_after = -1;                                             /* the n-th call from now fails; -1: none */

static inline cudaError_t emulate_call(void) { return emulate_fail_after >= 0 && emulate_fail_after-- == 0 ? cudaErrorInvalidValue : cudaSuccess; }
static inline const char *cudaGetErrorName(cudaError_t e) { return e == cudaSuccess ? "cudaSuccess" : e == cudaErrorMemoryAllocation ? "cudaErrorMemoryAllocation" : "cudaErrorInvalidValue"; }
static inline const char *cudaGetErrorString(cudaError_t e) { return e == cudaErrorMemoryAllocation ? "out of memory" : e == cudaSuccess ? "no error" : "invalid argument"; }
static inline cudaError_t cudaGetLastError(void) { return emulate_call(); }
static inline cudaError_t cudaGetDevice(int *d) { *d = 0; return cudaSuccess; }
static inline cudaError_t cudaSetDevice(int d) { return d == 0 ? emulate_call() : cudaErrorInvalidValue; }
static inline cudaError_t cudaGetDeviceCount(int *n) { *n = 1; return cudaSuccess; }
static inline cudaError_t cudaDeviceSynchronize(void) { return emulate_call(); }
static inline cudaError_t cudaStreamSynchronize(cudaStream_t) { return emulate_call(); }
static inline cudaError_t cudaMemGetInfo(size_t *available, size_t *total) { *available = emulate_device_bytes - emulate_device_used; *total = emulate_device_bytes; return emulate_call(); }
/* Every block is filled with NaN, so that what nobody wrote shows. */
static inline cudaError_t cudaMalloc(void **p, size_t n)
{
    size_t *block;
    *p = NULL;
    if (n > emulate_device_bytes - emulate_device_used || emulate_call() != cudaSuccess) return cudaErrorMemoryAllocation;
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
static inline cudaError_t cudaMemsetAsync(void *to, int v, size_t n, cudaStream_t) { memset(to, v, n); return emulate_call(); }

static inline unsigned __float_as_uint(float f) { unsigned u; memcpy(&u, &f, 4); return u; }
static inline unsigned long long atomicAdd(unsigned long long *p, unsigned long long v) { const unsigned long long old = *p; *p += v; return old; }
static inline unsigned long long atomicMin(unsigned long long *p, unsigned long long v) { const unsigned long long old = *p; if (v < old) *p = v; return old; }

enum { EMULATE_THREADS = 1024, EMULATE_STACK = 16 << 10 };
static ucontext_t emulate_scheduler, emulate_thread[EMULATE_THREADS];
static char *emulate_stack[EMULATE_THREADS];
static int emulate_done[EMULATE_THREADS], emulate_current;
static unsigned long long emulate_slot[EMULATE_THREADS];
static const std::function<void()> *emulate_kernel;
struct emulate_barrier {};
static int emulate_turns;           /* coroutines are running */

static inline void emulate_yield(void)
{
    if (!emulate_turns) throw emulate_barrier();
    swapcontext(&emulate_thread[emulate_current], &emulate_scheduler);
}
static inline void __syncthreads(void) { emulate_yield(); }
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

static void emulate_entry(void)
{
    (*emulate_kernel)();
    emulate_done[emulate_current] = 1;
}

static void emulate_select(int i)
{
    emulate_current = i;
    threadIdx = dim3((unsigned)i % blockDim.x, (unsigned)i / blockDim.x);
}

static void emulate_block_in_turns(int threads)
{
    for (int i = 0; i < threads; i++) {
        if (!emulate_stack[i]) emulate_stack[i] = (char *)malloc(EMULATE_STACK);
        getcontext(&emulate_thread[i]);
        emulate_thread[i].uc_stack.ss_sp = emulate_stack[i];
        emulate_thread[i].uc_stack.ss_size = EMULATE_STACK;
        emulate_thread[i].uc_link = &emulate_scheduler;
        makecontext(&emulate_thread[i], emulate_entry, 0);
        emulate_done[i] = 0;
    }
    for (int again = 1; again;) {
        again = 0;
        for (int i = 0; i < threads; i++) {
            if (emulate_done[i]) continue;
            emulate_select(i);
            swapcontext(&emulate_scheduler, &emulate_thread[i]);
            again |= !emulate_done[i];
        }
    }
}

static void emulate_launch(dim3 blocks, dim3 threads, const std::function<void()> &kernel)
{
    const int n = (int)(threads.x * threads.y);
    gridDim = blocks;
    blockDim = threads;
    emulate_kernel = &kernel;
    emulate_turns = 0;
    for (blockIdx = dim3(0); blockIdx.x < blocks.x; blockIdx.x++) {
        if (!emulate_turns) {
            try {
                for (int i = 0; i < n; i++) { emulate_select(i); kernel(); }
                continue;
            } catch (const emulate_barrier &) { emulate_turns = 1; }
        }
        emulate_block_in_turns(n);
    }
}
#define AOPT__LAUNCH(kernel, blocks, threads, stream, ...) ((void)(stream), emulate_launch((blocks), (threads), [&]() { kernel(__VA_ARGS__); }))
#endif
