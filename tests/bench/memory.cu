/* memory.cu - what memory gives to kernels that only move data as the transforms of the fast decoder do, on one GPU

   nvcc -std=c++17 -O3 -arch=sm_90 tests/bench/memory.cu -o build/bench_memory && build/bench_memory
   Streams with other shares of reads and writes; then "planes": a warp copies the 36 positions of a tile of 6x6, 32, 64 or 128 channels wide, to shared memory and writes
   64 values of each channel to 64 planes, as an input transform does, with no arithmetic; "256" writes such lines of 256 bytes and reads nothing.  Medians of at least 0.12 s; GB/s of reads and writes together.  36 GB of memory. */
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <vector>

#define TRY(x) do { const cudaError_t e_ = (x); if (e_ != cudaSuccess) { printf("%s: %s\n", #x, cudaGetErrorString(e_)); exit(1); } } while (0)

static double time_ms(const std::function<void()> &f)
{
    cudaEvent_t a, b;
    std::vector<float> ms;
    float total = 0;
    TRY(cudaEventCreate(&a)); TRY(cudaEventCreate(&b));
    f(); f();
    while (total < 120.0f || ms.size() < 5) {
        float t;
        TRY(cudaEventRecord(a)); f(); TRY(cudaEventRecord(b)); TRY(cudaEventSynchronize(b));
        TRY(cudaEventElapsedTime(&t, a, b));
        ms.push_back(t); total += t;
    }
    TRY(cudaGetLastError());
    TRY(cudaEventDestroy(a)); TRY(cudaEventDestroy(b));
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
}

__global__ void read_only(const uint4 *x, uint4 *y, int64_t n)
{
    uint4 s = make_uint4(0, 0, 0, 0);
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) { const uint4 v = x[i]; s.x ^= v.x; s.y ^= v.y; s.z ^= v.z; s.w ^= v.w; }
    if (s.x == 12345) y[0] = s;
}
template <int WRITES> __global__ void one_to(const uint4 *x, uint4 *y, int64_t n)
{
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) {
        const uint4 v = x[i];
#pragma unroll
        for (int k = 0; k < WRITES; k++) y[k * n + i] = v;
    }
}

enum { POSITIONS = 36, PLANES = 64, LINES = 8 };
/* Writes alone: a warp's line of 256 bytes in each of 64 planes, 8 bytes a lane; or 4 bytes a lane, the halves of a line in a row or all second halves after all first ones. */
enum halves { WHOLE, IN_A_ROW, LATER };
template <halves HOW> __global__ void __launch_bounds__(64) lines_of_256(char *v, int64_t tiles, int units)
{
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    const int64_t row = (int64_t)units * 256, plane = tiles * row;
    for (int64_t w = (int64_t)blockIdx.x * 2 + warp; w < tiles * units; w += (int64_t)gridDim.x * 2) {
        char *const to = v + w * 256;
        if constexpr (HOW == WHOLE)
#pragma unroll
            for (int p = 0; p < PLANES; p++) *(float2 *)(to + p * plane + lane * 8) = make_float2((float)p, (float)w);
        else
#pragma unroll
            for (int i = 0; i < 2 * PLANES; i++) {
                const int p = HOW == IN_A_ROW ? i / 2 : i % PLANES, half = HOW == IN_A_ROW ? i % 2 : i / PLANES;
                *(float *)(to + p * plane + half * 128 + lane * 4) = (float)(p + w);
            }
    }
}
template <typename T> struct warps_of { enum { N = sizeof(T) > 4 ? 2 : 4 }; };           /* of a block: what fits in 48 KB */
enum how { DIRECT, GATHERED, BULK };
/* x [tiles][POSITIONS][slices*32], v [PLANES][tiles][slices*32] of T; reads are asynchronous copies of 16 bytes a lane.  DIRECT: a lane stores its T.  GATHERED: LINES planes'
   32 values meet in shared memory and leave 16 bytes a lane.  BULK: the same, each plane's line by one bulk copy. */
template <typename T, how HOW> __global__ void __launch_bounds__(32 * warps_of<T>::N) planes(const T *x, T *v, int64_t tiles, int slices)
{
    enum { WARPS = warps_of<T>::N };
    __shared__ __align__(128) T tile[WARPS][POSITIONS][32], gather[WARPS][2][LINES][32];
    enum { BYTES = 32 * sizeof(T), CHUNKS = BYTES / 16, PER_STORE = 32 / CHUNKS };
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    const int64_t row = (int64_t)slices * 32, plane = tiles * row;
    for (int64_t w = (int64_t)blockIdx.x * WARPS + warp; w < tiles * slices; w += (int64_t)gridDim.x * WARPS) {
        const int64_t t = w / slices, s = w % slices;
        T *const to = v + t * row + s * 32;
        __syncwarp();
        for (int i = lane; i < POSITIONS * CHUNKS; i += 32)
            asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" :: "r"((uint32_t)__cvta_generic_to_shared(tile[warp][i / CHUNKS]) + i % CHUNKS * 16),
                         "l"((const char *)(x + (t * POSITIONS + i / CHUNKS) * row + s * 32) + i % CHUNKS * 16) : "memory");
        asm volatile("cp.async.commit_group;\n\tcp.async.wait_group 0;" ::: "memory");
        __syncwarp();
        if constexpr (HOW == DIRECT) {
#pragma unroll
            for (int p = 0; p < PLANES; p++) to[p * plane + lane] = tile[warp][p % POSITIONS][lane];
        } else
#pragma unroll
        for (int l = 0; l < PLANES / LINES; l++) {
            T (*const lines)[32] = gather[warp][l & 1];
            if (HOW == BULK) { asm volatile("cp.async.bulk.wait_group.read 1;" ::: "memory"); __syncwarp(); }
#pragma unroll
            for (int k = 0; k < LINES; k++) lines[k][lane] = tile[warp][(l * LINES + k) % POSITIONS][lane];
            if (HOW == BULK) asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
            __syncwarp();
            if (HOW == BULK) {
                if (lane < LINES)
                    asm volatile("cp.async.bulk.global.shared::cta.bulk_group [%0], [%1], %2;"
                                 :: "l"(to + (l * LINES + lane) * plane), "r"((uint32_t)__cvta_generic_to_shared(lines[lane])), "r"((uint32_t)BYTES) : "memory");
                asm volatile("cp.async.bulk.commit_group;" ::: "memory");
            } else
#pragma unroll
                for (int k = 0; k < LINES; k += PER_STORE)
                    *(uint4 *)((char *)(to + (l * LINES + k + lane / CHUNKS) * plane) + lane % CHUNKS * 16) = *(const uint4 *)((const char *)lines[k] + lane * 16);
        }
    }
    if (HOW == BULK) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}

static void say(const char *what, double bytes, double ms) { printf("%-44s %8.3f ms %6.0f GB/s\n", what, ms, bytes / ms * 1e-6); fflush(stdout); }

static const int64_t tiles = (int64_t)107 * 59 * 16;        /* level 3 of 720p, 16 frames, 256 channels of 2 bytes */
static int processors;
template <typename T, how HOW> static void bench_planes(const char *what, const char *x, char *v)
{
    const int slices = 512 / (32 * (int)sizeof(T));
    const int threads = 32 * warps_of<T>::N;
    int blocks = 0;
    TRY(cudaOccupancyMaxActiveBlocksPerMultiprocessor(&blocks, planes<T, HOW>, threads, 0));
    if (blocks * threads > 512) blocks = 512 / threads;     /* 16 warps, as the transforms have */
    say(what, (double)tiles * 512 * (POSITIONS + PLANES), time_ms([&] { planes<T, HOW><<<processors * blocks, threads>>>((const T *)x, (T *)v, tiles, slices); }));
}
template <halves HOW> static void bench_lines(const char *what, char *v)
{
    say(what, (double)tiles * 512 * PLANES, time_ms([&] { lines_of_256<HOW><<<processors * 8, 64>>>(v, tiles, 2); }));
}

int main()
{
    const size_t bytes = (size_t)12 << 30, part = (size_t)4 << 30;
    const int64_t n = (int64_t)(part / 16);
    cudaDeviceProp prop;
    char *a, *b;
    TRY(cudaGetDeviceProperties(&prop, 0));
    processors = prop.multiProcessorCount;
    TRY(cudaMalloc((void **)&a, bytes)); TRY(cudaMalloc((void **)&b, 2 * bytes));
    TRY(cudaMemset(a, 1, bytes)); TRY(cudaMemset(b, 2, 2 * bytes));
    printf("%s, %d multiprocessors\n", prop.name, prop.multiProcessorCount);
    say("memset", 2.0 * (double)part, time_ms([&] { TRY(cudaMemsetAsync(b, 0, 2 * part)); }));
    say("read", (double)bytes, time_ms([&] { read_only<<<processors * 16, 256>>>((const uint4 *)a, (uint4 *)b, (int64_t)(bytes / 16)); }));
    say("copy, by the driver", 2.0 * (double)part, time_ms([&] { TRY(cudaMemcpyAsync(b, a, part, cudaMemcpyDeviceToDevice)); }));
    say("1 read : 1 write", 2.0 * (double)part, time_ms([&] { one_to<1><<<processors * 16, 256>>>((const uint4 *)a, (uint4 *)b, n); }));
    say("1 : 2", 3.0 * (double)part, time_ms([&] { one_to<2><<<processors * 16, 256>>>((const uint4 *)a, (uint4 *)b, n); }));
    say("1 : 4", 5.0 * (double)part, time_ms([&] { one_to<4><<<processors * 16, 256>>>((const uint4 *)a, (uint4 *)b, n); }));
    bench_planes<uint16_t, DIRECT>("planes, 64 bytes a warp", a, b);
    bench_planes<uint32_t, DIRECT>("planes, 128 bytes a warp", a, b);
    bench_planes<uint64_t, DIRECT>("planes, 256 bytes a warp", a, b);
    bench_planes<uint16_t, GATHERED>("planes, 8 lines of 64 bytes a store", a, b);
    bench_planes<uint32_t, GATHERED>("planes, 4 lines of 128 bytes a store", a, b);
    bench_planes<uint64_t, GATHERED>("planes, 2 lines of 256 bytes a store", a, b);
    bench_planes<uint16_t, BULK>("planes, lines of 64 bytes by bulk copies", a, b);
    bench_planes<uint32_t, BULK>("planes, lines of 128 bytes by bulk copies", a, b);
    bench_planes<uint64_t, BULK>("planes, lines of 256 bytes by bulk copies", a, b);
    bench_lines<WHOLE>("256, written whole", b);
    bench_lines<IN_A_ROW>("256, halves in a row", b);
    bench_lines<LATER>("256, second halves after all first ones", b);
    return 0;
}
