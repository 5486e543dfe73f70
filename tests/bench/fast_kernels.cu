/* fast_kernels.cu - time of each kernel of the fast decoder at the shapes of the 720p task, on one GPU

   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA -O3 -gencode=arch=compute_90a,code=sm_90a tests/bench/fast_kernels.cu -o build/bench_fast -lcublas
   build/bench_fast [plans | all] [only=LAYER [once]] [turns] [tiles=4,4,6,6] [times=0,4,4,0] [frames-per-chunk of the last stages, 16]
   tiles, times: outputs of a Winograd tile along H and W and along time (0: taps in the GEMM), by level; `all` times the other tiles too.
   once: each kernel runs once, untimed, for a profiler: ncu --clock-control none -k regex:wino build/bench_fast "only=level 2 3x3x3" once.
   turns: of the 3x3x3 layers also each kernel repeated alone and after the two others, as a decode runs them, at the clock that those leave.
   Per layer and chunk: input transform (GB/s of the least traffic), GEMM (TFLOP/s, beside cuBLAS with the same M, N, K),
   output transform; then the sum over the whole decode, chunks scaled to the clip.  `plans` times GEMM cuts instead.
   Medians of repetitions of at least 0.2 s in all; random data. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "../../autoopt.h"
#include <algorithm>
#include <functional>
#include <vector>

#define TRY(x) do { const cudaError_t e_ = (x); if (e_ != cudaSuccess) { printf("%s: %s\n", #x, cudaGetErrorString(e_)); exit(1); } } while (0)
static aopt_error err;
#define RUN(x) do { if ((x) != AOPT_OK) { printf("%s\n", err.message); exit(1); } } while (0)

static __device__ __forceinline__ float noise(uint64_t i, uint64_t seed)        /* about normal, deviation 1 */
{
    uint64_t x = i * 0x9e3779b97f4a7c15u + seed * 0xbf58476d1ce4e5b9u;
    x ^= x >> 30; x *= 0xbf58476d1ce4e5b9u; x ^= x >> 27; x *= 0x94d049bb133111ebu; x ^= x >> 31;
    const float s = (float)(x & 0xffff) + (float)(x >> 16 & 0xffff) + (float)(x >> 32 & 0xffff) + (float)(x >> 48);
    return (s - 131070.0f) * (1.7320508f / 65536.0f);
}
__global__ void fill_half(__half *p, int64_t n, float scale, uint64_t seed)
{
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) p[i] = __float2half_rn(scale * noise((uint64_t)i, seed));
}
__global__ void fill_float(float *p, int64_t n, float scale, float mean, uint64_t seed)
{
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += (int64_t)gridDim.x * blockDim.x) p[i] = mean + scale * noise((uint64_t)i, seed);
}

/* One arena, carved anew for each layer. */
static char *arena; static size_t arena_bytes, arena_used;
template <typename T> static T *take(int64_t n)
{
    const size_t bytes = ((size_t)n * sizeof(T) + 1023) & ~(size_t)1023;
    if (arena_used + bytes > arena_bytes) { printf("arena of %.1f GB is too small\n", (double)arena_bytes * 1e-9); exit(1); }
    T *p = (T *)(arena + arena_used);
    arena_used += bytes;
    return p;
}
static __half *take_half(int64_t n, float scale, uint64_t seed) { __half *p = take<__half>(n); fill_half<<<2048, 256>>>(p, n, scale, seed); return p; }
static float *take_float(int64_t n, float scale, float mean, uint64_t seed) { float *p = take<float>(n); fill_float<<<2048, 256>>>(p, n, scale, mean, seed); return p; }

static bool once, turns;
/* Median time of f, each time after `before`, which does not count. */
static double time_ms(const std::function<void()> &f, const std::function<void()> &before = nullptr)
{
    if (once) { f(); TRY(cudaDeviceSynchronize()); return 1.0; }
    cudaEvent_t a, b;
    std::vector<float> ms;
    float total = 0;
    TRY(cudaEventCreate(&a)); TRY(cudaEventCreate(&b));
    f(); f();
    while (total < 200.0f || ms.size() < 5) {
        float t;
        if (before) before();
        TRY(cudaEventRecord(a)); f(); TRY(cudaEventRecord(b)); TRY(cudaEventSynchronize(b));
        TRY(cudaEventElapsedTime(&t, a, b));
        ms.push_back(t); total += t;
    }
    TRY(cudaEventDestroy(a)); TRY(cudaEventDestroy(b));
    std::sort(ms.begin(), ms.end());
    return ms[ms.size() / 2];
}

static cublasHandle_t blas;
static double cublas_ms(int64_t batch, int64_t rows, int64_t n, int64_t k)      /* [batch] rows x n x k, K = taps*C contiguous */
{
    const size_t mark = arena_used;
    __half *a = take_half(batch * rows * k, 0.5f, 7), *w = take_half(batch * n * k, 0.3f, 8), *c = take<__half>(batch * rows * n);
    const float one = 1.0f, zero = 0.0f;
    const double ms = time_ms([&] {
        if (cublasGemmStridedBatchedEx(blas, CUBLAS_OP_T, CUBLAS_OP_N, (int)n, (int)rows, (int)k, &one, w, CUDA_R_16F, (int)k, n * k, a, CUDA_R_16F, (int)k, rows * k,
                                       &zero, c, CUDA_R_16F, (int)n, rows * n, (int)batch, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) != CUBLAS_STATUS_SUCCESS) { printf("cuBLAS failed\n"); exit(1); }
    });
    arena_used = mark;
    return ms;
}

typedef struct layer { const char *name; int kind, count, ci, co, H, W, frames, level; } layer;     /* H, W: of the input; frames: of the clip */
enum { WINO, UPSAMPLE, UPSAMPLE4, TAPS3, POINT, HEAD };
static const layer layers[] = {                 /* count 0: another way, not in the sum */
    { "level 0 3x3x3", WINO, 10, 1024, 1024, 44, 80, 31, 0 }, { "time conv 0", TAPS3, 1, 1024, 2048, 44, 80, 30, 0 }, { "upsample 0", UPSAMPLE, 1, 1024, 1024, 44, 80, 61, 1 },
    { "  tiles of 4", UPSAMPLE4, 0, 1024, 1024, 44, 80, 61, 1 },
    { "level 1 3x3x3", WINO, 6, 1024, 1024, 88, 160, 61, 1 }, { "time conv 1", TAPS3, 1, 1024, 2048, 88, 160, 60, 1 }, { "upsample 1", UPSAMPLE4, 1, 1024, 1024, 88, 160, 121, 2 },
    { "  tiles of 2", UPSAMPLE, 0, 1024, 1024, 88, 160, 121, 2 },
    { "level 2 first", WINO, 1, 1024, 512, 176, 320, 121, 2 }, { "shortcut 2", POINT, 1, 1024, 512, 176, 320, 121, 2 }, { "level 2 3x3x3", WINO, 5, 512, 512, 176, 320, 121, 2 },
    { "upsample 2", UPSAMPLE4, 1, 512, 512, 176, 320, 121, 2 }, { "  tiles of 2", UPSAMPLE, 0, 512, 512, 176, 320, 121, 2 },
    { "level 3 first", WINO, 1, 512, 256, 352, 640, 121, 2 }, { "shortcut 3", POINT, 1, 512, 256, 352, 640, 121, 2 }, { "level 3 3x3x3", WINO, 5, 256, 256, 352, 640, 121, 2 },
    { "head", HEAD, 1, 256, 12, 352, 640, 121, 2 } };

typedef struct cost { double in_ms, gemm_ms, out_ms, in_bytes, out_bytes, flops, blas_ms; } cost;

static void gemm_defaults(aopt_tapgemm *g, int64_t batch, int64_t frames, int64_t rows, int64_t n, int64_t k, int taps, const __half *a, const __half *w, __half *c)
{
    memset(g, 0, sizeof *g);
    g->batch = batch; g->frames = frames; g->rows = rows; g->n = n; g->k = k; g->taps = taps; g->alpha = 1.0f;
    g->a = a; g->a_row = k; g->a_batch = (frames + taps - 1) * rows * k;
    g->w = w; g->w_row = k; g->w_batch = (int64_t)taps * n * k;
    g->c = c; g->c_row = (n + 7) / 8 * 8; g->c_batch = frames * rows * g->c_row;
}
static double gemm_flops(const aopt_tapgemm *g) { return 2.0 * (double)g->batch * (double)g->frames * (double)g->rows * (double)g->n * (double)g->k * g->taps; }

static void plans(const aopt_tapgemm *g, double flops)
{
    static const aopt_tapgemm_plan list[] = { { 0, 0, 0, 0 }, { 0, 2, 5, 0 }, { 0, 3, 4, 0 }, { 64, 0, 0, 0 }, { 128, 2, 4, 0 }, { 64, 4, 4, 0 }, { 64, 2, 8, 0 }, { 0, 0, 0, 128 }, { 0, 0, 0, 0 } };
    for (const aopt_tapgemm_plan &p : list) {
        const double ms = aopt_cuda_tapgemm_planned(g, &p, 0, &err) == AOPT_OK ? time_ms([&] { RUN(aopt_cuda_tapgemm_planned(g, &p, 0, &err)); }) : NAN;
        printf("    tile rows %3d, stages a %d w %d, grid %3d: %8.3f ms %6.1f TFLOP/s\n", p.tile_rows, p.a_stages, p.w_stages, p.grid, ms, flops / ms * 1e-9);
    }
}

static cost bench_wino(const layer &l, int T, int tile, int time, bool tune)
{
    static double form[AOPT_WINO_TIME_PRODUCTS * 64 * 27];
    const int products = (tile + 2) * (tile + 2) * (time ? 6 : 1), taps = time ? 1 : 3;
    const int64_t B = AOPT_WINO_BLOCK, groups = (T + 3) / 4;
    const aopt_conv_form f = { form, products, time ? 27 : 9, 0, NULL };
    const int64_t P = (int64_t)l.H * l.W, tiles = aopt__div_up(l.H, tile) * aopt__div_up(l.W, tile);
    const int64_t blocks = (groups * tiles + B - 1) / B, in_rows = time ? blocks * B : (T + 2) * tiles, out_rows = time ? blocks * B : T * tiles;      /* of a product */
    cost k;
    float alpha;
    memset(&k, 0, sizeof k);
    arena_used = 0;
    if (time) aopt_wino_time_form(tile, form);
    else aopt_wino_form_tile(tile, form);
    __half *x = take_half((T + 2) * P * l.ci, 1.0f, 1), *u = take<__half>((int64_t)taps * products * l.co * l.ci), *v = take<__half>(products * in_rows * l.ci);
    __half *m = take<__half>(products * out_rows * l.co), *y = take<__half>(T * P * l.co), *res = take_half(T * P * l.co, 1.0f, 2);
    float *r = take<float>((T + 2) * P), *gamma = take_float(l.ci, 0.2f, 1.0f, 3), *bias = take_float(l.co, 0.01f, 0.0f, 4), *ry = take<float>(T * P);
    float *w = take_float((int64_t)27 * l.co * l.ci, 0.577f / sqrtf(27.0f * (float)l.ci), 0.0f, 5);
    RUN(aopt_cuda_norm_factor(x, r, (T + 2) * P, l.ci, l.ci, 0, &err));
    RUN(aopt_cuda_conv_weights(&f, w, l.co, l.ci, taps, u, &alpha, &err));
    aopt_wino_input in; aopt_wino_output out; aopt_tapgemm g;
    memset(&in, 0, sizeof in); memset(&out, 0, sizeof out);
    in.history = x; in.x = x + 2 * P * l.ci; in.r_history = r; in.r = r + 2 * P; in.gamma = gamma; in.v = v; in.frames = T; in.H = l.H; in.W = l.W; in.C = l.ci; in.tile = out.tile = tile; in.time_tile = out.time_tile = time;
    out.m = m; out.alpha = alpha; out.bias = bias; out.residual = res; out.y = y; out.r = ry; out.frames = T; out.H = l.H; out.W = l.W; out.C = out.norm_c = l.co;
    gemm_defaults(&g, products, time ? blocks : T, time ? B : tiles, l.co, l.ci, taps, v, u, m);
    if (time) { g.a_batch = B * l.ci; g.a_frame = products * g.a_batch; g.c_batch = B * l.co; g.c_frame = products * g.c_batch; }
    k.flops = gemm_flops(&g);
    k.in_bytes = 2.0 * (double)l.ci * ((double)(T + 2) * (double)P + (double)(products * in_rows));
    k.out_bytes = 2.0 * (double)l.co * ((double)(products * out_rows) + 2.0 * (double)T * (double)P);
    k.in_ms = time_ms([&] { RUN(aopt_cuda_wino_input(&in, 0, &err)); });
    if (tune) {
        plans(&g, k.flops);
        return k;
    }
    k.gemm_ms = time_ms([&] { RUN(aopt_cuda_tapgemm_planned(&g, NULL, 0, &err)); });
    k.out_ms = time_ms([&] { RUN(aopt_cuda_wino_output(&out, 0, &err)); });
    if (turns) {
        const std::function<void()> input = [&] { RUN(aopt_cuda_wino_input(&in, 0, &err)); };
        const std::function<void()> gemm = [&] { RUN(aopt_cuda_tapgemm_planned(&g, NULL, 0, &err)); };
        const std::function<void()> output = [&] { RUN(aopt_cuda_wino_output(&out, 0, &err)); };
        const auto in_turn = [&](const char *what, const std::function<void()> &f, const std::function<void()> &others) {
            const double alone = time_ms(f), turn = time_ms(f, others);
            printf(", %s %.3f %.3f", what, alone, turn);
        };
        printf("%s, alone and in turn, ms", l.name);
        in_turn("input", input, [&] { gemm(); output(); });
        in_turn("GEMM", gemm, [&] { output(); input(); });
        in_turn("output", output, [&] { input(); gemm(); });
        out.residual = NULL;
        in_turn("without residual", output, [&] { input(); gemm(); });
        printf("\n");
    }
    arena_used = 0;
    k.blas_ms = cublas_ms(products, out_rows, l.co, taps * l.ci);
    return k;
}
static cost bench_upsample(const layer &l, int T, int tile)
{
    static double form[81 * 9];
    const int products = (2 * tile + 1) * (2 * tile + 1), planes = (tile + 1) * (tile + 1);
    const aopt_conv_form f = { form, products, 9, 0, NULL };
    const int64_t P = (int64_t)l.H * l.W, R = T * (int64_t)(l.H / tile + 1) * (l.W / tile + 1);
    const int C = l.ci, ft = l.level < 2 || l.H == 88 ? 2 : 1, sc = l.H == 176 ? 2 * C : C;
    cost k;
    float alpha;
    memset(&k, 0, sizeof k);
    arena_used = 0;
    aopt_upsample_form_tile(tile, form);
    __half *x = take_half(T * P * C, 1.0f, 1), *u = take<__half>((int64_t)products * C * C), *v = take<__half>(planes * R * C), *m = take<__half>(products * R * C);
    __half *y = take<__half>(4 * T * P * C), *s = take_half((T / ft + 1) * P * sc, 1.0f, 2);
    float *bias = take_float(C, 0.01f, 0.0f, 4), *r = take<float>(4 * T * P), *w = take_float((int64_t)9 * C * C, 0.577f / sqrtf(9.0f * (float)C), 0.0f, 5);
    RUN(aopt_cuda_conv_weights(&f, w, C, C, 1, u, &alpha, &err));
    aopt_upsample_input in; aopt_upsample_output out;
    memset(&in, 0, sizeof in); memset(&out, 0, sizeof out);
    in.x = x; in.v = v; in.v_plane = R * C; in.frames = T; in.H = l.H; in.W = l.W; in.C = C; in.phases = ft; in.tile = out.tile = tile;
    out.m = m; out.alpha = alpha; out.bias = bias; out.y = y; out.r = r; out.frames = T; out.H = l.H; out.W = l.W; out.C = out.norm_c = C;
    out.shortcut = s; out.shortcut_c = sc; out.shortcut_scale = 1.0f; out.factor_t = ft; out.ratio = sc / C;
    k.flops = 2.0 * products * (double)R * C * C;
    k.in_bytes = 2.0 * C * ((double)T * (double)P + planes * (double)R);
    k.out_bytes = 2.0 * (products * (double)R * C + 4.0 * (double)T * (double)P * C + (double)(T / ft) * (double)P * sc);
    k.in_ms = time_ms([&] { RUN(aopt_cuda_upsample_input(&in, 0, &err)); });
    k.gemm_ms = time_ms([&] { RUN(aopt_cuda_upsample_gemm_tile(NULL, v, in.v_plane, u, m, R, C, C, tile, 0, &err)); });
    k.out_ms = time_ms([&] { RUN(aopt_cuda_upsample_output(&out, 0, &err)); });
    k.blas_ms = time_ms([&] { RUN(aopt_cuda_upsample_gemm_tile(blas, v, in.v_plane, u, m, R, C, C, tile, 0, &err)); });
    return k;
}
static cost bench_plain(const layer &l, int T)
{
    const int taps = l.kind == POINT ? 1 : 3, n = l.kind == HEAD ? AOPT_HEAD_N : l.co;
    const int64_t P = (int64_t)l.H * l.W;
    cost k;
    aopt_tapgemm g;
    memset(&k, 0, sizeof k);
    arena_used = 0;
    __half *x = take_half((T + taps - 1) * P * l.ci, 1.0f, 1), *u = take_half((int64_t)taps * n * l.ci, 0.3f, 2), *c = take<__half>(T * P * (n + 7));
    float *bias = take_float(n, 0.01f, 0.0f, 4);
    gemm_defaults(&g, 1, T, P, n, l.ci, taps, x, u, c);
    if (l.kind != HEAD) g.bias = bias;
    k.flops = gemm_flops(&g);
    if (l.kind == HEAD) {
        float *r = take_float((T + 2) * P, 0.1f, 1.0f, 5), *gamma = take_float(l.ci, 0.2f, 1.0f, 6), *video = take<float>(12 * T * P);
        __half *act = take<__half>((T + 2) * P * l.ci);
        g.a = act;
        k.in_bytes = 4.0 * (double)(T + 2) * (double)P * l.ci;
        k.out_bytes = (double)T * (double)P * (216.0 + 48.0);
        k.in_ms = time_ms([&] { RUN(aopt_cuda_norm_silu(x, r, gamma, act, (T + 2) * P, l.ci, 0, &err)); });
        k.out_ms = time_ms([&] { RUN(aopt_cuda_head(c, 0.1f, bias, video, 4 * T * P, T, l.H, l.W, 0, &err)); });
    }
    k.gemm_ms = time_ms([&] { RUN(aopt_cuda_tapgemm_planned(&g, NULL, 0, &err)); });
    arena_used = 0;
    k.blas_ms = cublas_ms(1, T * P, g.n, taps * l.ci);
    return k;
}

int main(int argc, char **argv)
{
    const bool tune = argc > 1 && strcmp(argv[1], "plans") == 0, all = argc > 1 && strcmp(argv[1], "all") == 0;
    int tile[4] = { 4, 4, 6, 6 }, time[4] = { 0, 4, 4, 0 };
    const int chunk = argc > 1 && atoi(argv[argc - 1]) > 0 ? atoi(argv[argc - 1]) : 16;
    const char *only = NULL;
    size_t room = 0, total = 0;
    cudaDeviceProp prop;
    for (int i = 1; i < argc; i++) { if (strncmp(argv[i], "only=", 5) == 0) only = argv[i] + 5; once |= strcmp(argv[i], "once") == 0; turns |= strcmp(argv[i], "turns") == 0; }
    for (int i = 1; i < argc; i++) if (sscanf(argv[i], "tiles=%d,%d,%d,%d", &tile[0], &tile[1], &tile[2], &tile[3]) < 1) sscanf(argv[i], "times=%d,%d,%d,%d", &time[0], &time[1], &time[2], &time[3]);
    double sum_ms = 0, sum_flops = 0;
    TRY(cudaGetDeviceProperties(&prop, 0));
    TRY(cudaMemGetInfo(&room, &total));
    arena_bytes = once ? (size_t)12 << 30 : room - ((size_t)2 << 30);          /* a profiler keeps copies of it */
    TRY(cudaMalloc((void **)&arena, arena_bytes));
    if (cublasCreate(&blas) != CUBLAS_STATUS_SUCCESS || !aopt_cuda_has_wgmma()) { printf("needs cuBLAS and a GPU of compute capability 9.0, built for sm_90a\n"); return 1; }
    {
        const size_t n = (size_t)4 << 30;
        const double ms = time_ms([&] { TRY(cudaMemcpyAsync(arena + n, arena, n, cudaMemcpyDeviceToDevice)); });
        printf("%s, %d multiprocessors; device copy %.0f GB/s (read + write); chunk of %d frames at the last levels\n", prop.name, prop.multiProcessorCount, 2.0 * (double)n / ms * 1e-6, chunk);
        const double big = cublas_ms(1, 8192, 8192, 8192);
        printf("cuBLAS 8192^3 fp16: %.0f TFLOP/s\n", 2.0 * 8192.0 * 8192.0 * 8192.0 / big * 1e-9);
    }
    printf("%-14s %3s %3s | %8s %6s | %8s %6s %6s | %8s %6s | whole clip ms\n", "layer", "n", "T", "in ms", "GB/s", "gemm ms", "TF/s", "cuBLAS", "out ms", "GB/s");
    for (const layer &l : layers) {
        const int T = std::max(2, l.level == 0 ? chunk / 4 : l.level == 1 ? chunk / 2 : chunk);
        if (only && strcmp(only, l.name) != 0) continue;
        if (tune && (l.kind != WINO || l.level == 0)) continue;
        if (tune) printf("%s, T %d\n", l.name, T);
        const int stage = l.H == 44 ? 0 : l.H == 88 ? 1 : l.H == 176 ? 2 : 3;
        for (int way = 0; way < (all && l.kind == WINO ? 4 : 1); way++) {           /* way 0: the chosen tile, the only one in the sum */
            const int m = way & 1 ? 10 - tile[stage] : tile[stage], t = way & 2 ? 4 - time[stage] : time[stage];
            const cost k = l.kind == WINO ? bench_wino(l, T, m, t, tune)
                : l.kind == UPSAMPLE || l.kind == UPSAMPLE4 ? bench_upsample(l, T, l.kind == UPSAMPLE4 ? 4 : 2) : bench_plain(l, T);
            char name[32];
            if (tune) continue;
            if (way) snprintf(name, sizeof name, "  tiles %dx%dx%d", m, m, t);
            else snprintf(name, sizeof name, "%s", l.name);
            const double ms = k.in_ms + k.gemm_ms + k.out_ms, whole = ms * l.frames / T * (way ? std::max(1, l.count) : l.count);
            printf("%-14s %3d %3d | %8.3f %6.0f | %8.3f %6.1f %6.1f | %8.3f %6.0f | %8.2f\n", name, l.count, T, k.in_ms, k.in_ms > 0 ? k.in_bytes / k.in_ms * 1e-6 : 0.0,
                   k.gemm_ms, k.flops / k.gemm_ms * 1e-9, k.flops / k.blas_ms * 1e-9, k.out_ms, k.out_ms > 0 ? k.out_bytes / k.out_ms * 1e-6 : 0.0, whole);
            fflush(stdout);
            if (way) continue;
            sum_ms += whole;
            sum_flops += k.flops * l.frames / T * l.count;
        }
    }
    if (!tune) printf("sum %.1f ms for %.1f TFLOP of matrix work; attention and the first convolution are not included\n", sum_ms, sum_flops * 1e-12);
    return 0;
}
