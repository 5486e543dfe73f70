/* autoopt_kernels.cuh - CUDA kernels of autoopt.h and their launchers

   Included by autoopt.h where AUTOOPT_IMPLEMENTATION and AUTOOPT_CUDA are defined; never on its own.
   Two halves.  The first is the judge's: plain fp32, written to be checked by reading; its text is frozen during
   an experiment.  Speed belongs to the second.

   A name has up to three forms: aopt_ref_X on the CPU, aopt_k_X the kernel, aopt_cuda_X the launcher.  Contracts
   stand at the launchers' prototypes, autoopt.h [A12]; here stand the launch shape and the whys.

   Every element-wise kernel has one launch shape: a warp per row or position, its lanes along the channels, eight
   warps a block, so that the division of an index into (t, y, x) is paid once per 32 channels and neighbouring lanes
   touch neighbouring floats.  All of them are bound by memory bandwidth, and take a few per cent of a decode. */

/* ======================================== frozen half: the judge's own kernels ======================================== */

/* tests/emulate defines its own launch and runs this file on a CPU. */
#ifndef AOPT__LAUNCH
#define AOPT__LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__)
#endif

enum { AOPT__WARP = 32, AOPT__WARPS = 8, AOPT__THREADS = AOPT__WARP * AOPT__WARPS };

/* A status from any failed call, with the call and the place.  A shortage of memory is not sticky: it is cleared. */
static aopt_status aopt__cuda_fail(aopt_error *err, cudaError_t e, const char *call, const char *file, int line)
{
    const char *slash = strrchr(file, '/');
    cudaGetLastError();
    return aopt_fail(err, e == cudaErrorMemoryAllocation ? AOPT_E_MEMORY : AOPT_E_CUDA, "%s (%s) at %s:%d: %.200s",
                     cudaGetErrorString(e), cudaGetErrorName(e), slash ? slash + 1 : file, line, call);
}

static aopt_status aopt__cublas_fail(aopt_error *err, cublasStatus_t s, const char *call, const char *file, int line)
{
    const char *slash = strrchr(file, '/');
    return aopt_fail(err, s == CUBLAS_STATUS_ALLOC_FAILED ? AOPT_E_MEMORY : AOPT_E_CUDA, "%s (%d) at %s:%d: %.200s",
                     cublasGetStatusString(s), (int)s, slash ? slash + 1 : file, line, call);
}

/* For functions that return aopt_status and have `err` in scope. */
#define AOPT__CUDA(call) \
    do { const cudaError_t aopt__e = (call); if (aopt__e != cudaSuccess) return aopt__cuda_fail(err, aopt__e, #call, __FILE__, __LINE__); } while (0)
#define AOPT__CUBLAS(call) \
    do { const cublasStatus_t aopt__s = (call); if (aopt__s != CUBLAS_STATUS_SUCCESS) return aopt__cublas_fail(err, aopt__s, #call, __FILE__, __LINE__); } while (0)
/* n warps of work, eight a block, then the check of the launch itself. */
#define AOPT__LAUNCH_WARPS(kernel, n, stream, ...) \
    do { \
        const int64_t aopt__blocks = ((n) + AOPT__WARPS - 1) / AOPT__WARPS; \
        if (aopt__blocks > INT_MAX) return aopt_fail(err, AOPT_E_SHAPE, #kernel ": %lld blocks, the grid holds %d", (long long)aopt__blocks, INT_MAX); \
        if (aopt__blocks > 0) { \
            AOPT__LAUNCH(kernel, dim3((unsigned)aopt__blocks), dim3(AOPT__WARP, AOPT__WARPS), stream, __VA_ARGS__); \
            AOPT__CUDA(cudaGetLastError()); \
        } \
    } while (0)

static __device__ int64_t aopt__warp_index(void) { return (int64_t)blockIdx.x * AOPT__WARPS + threadIdx.y; }

/* ---- rows ---- */

AOPT__DEF int64_t aopt_rows_per_frame(const aopt_rows *x) { return (x->H + x->border) * (x->W + x->border); }
AOPT__DEF int64_t aopt_rows_count(const aopt_rows *x)
{
    return x->frames * aopt_rows_per_frame(x) + x->border * (x->W + x->border + 1);
}

/* The row of pixel (y, x) of frame t. */
static __device__ int64_t aopt__row(aopt_rows r, int64_t t, int64_t y, int64_t x)
{
    return (t * (r.H + r.border) + y + r.border) * (r.W + r.border) + x + r.border;
}

/* Where row `row` lies; 0 if it is border. */
static __device__ int aopt__pixel_of_row(aopt_rows r, int64_t row, int64_t *t, int64_t *y, int64_t *x)
{
    const int64_t pitch = r.W + r.border, per_frame = (r.H + r.border) * pitch, in_frame = row % per_frame;
    *t = row / per_frame;
    *y = in_frame / pitch - r.border;
    *x = in_frame % pitch - r.border;
    return *t < r.frames && *y >= 0 && *x >= 0;
}

/* Position p, counted over pixels alone. */
static __device__ void aopt__pixel_of_position(aopt_rows r, int64_t p, int64_t *t, int64_t *y, int64_t *x)
{
    *t = p / (r.H * r.W);
    *y = p / r.W % r.H;
    *x = p % r.W;
}

static __device__ float aopt__warp_sum(float v)
{
    int d;
    for (d = AOPT__WARP / 2; d > 0; d >>= 1) v += __shfl_xor_sync(0xffffffffu, v, d);
    return v;
}

static __device__ float aopt__warp_max(float v)
{
    int d;
    for (d = AOPT__WARP / 2; d > 0; d >>= 1) v = fmaxf(v, __shfl_xor_sync(0xffffffffu, v, d));
    return v;
}

/* ---- element-wise layers; a warp per row of the output (those that write borders) or per position ---- */

__global__ static void aopt_k_fill_rows(const float *value, float *y, int64_t rows, int C)
{
    const int64_t row = aopt__warp_index();
    int c;
    if (row >= rows) return;
    for (c = (int)threadIdx.x; c < C; c += AOPT__WARP) y[row * C + c] = value[c];
}

__global__ static void aopt_k_rms_norm(aopt_rows x, const float *gamma, int silu, aopt_rows y, int64_t rows)
{
    const int64_t row = aopt__warp_index();
    const int lane = (int)threadIdx.x, C = x.C;
    int64_t t, py, px;
    const float *in;
    float *out = y.data + row * C, sum = 0.0f, scale, v;
    int c;
    if (row >= rows) return;                            /* the same for the whole warp, like every branch on `row` */
    if (!aopt__pixel_of_row(y, row, &t, &py, &px)) {
        for (c = lane; c < C; c += AOPT__WARP) out[c] = 0.0f;
        return;
    }
    in = x.data + aopt__row(x, t, py, px) * C;
    for (c = lane; c < C; c += AOPT__WARP) sum += in[c] * in[c];
    scale = sqrtf((float)C) / fmaxf(sqrtf(aopt__warp_sum(sum)), 1e-12f);
    for (c = lane; c < C; c += AOPT__WARP) {
        v = in[c] * scale * gamma[c];
        out[c] = silu ? v / (1.0f + expf(-v)) : v;
    }
}

__global__ static void aopt_k_upsample_nearest(aopt_rows x, int factor, aopt_rows y, int64_t rows)
{
    const int64_t row = aopt__warp_index();
    int64_t t, py, px, from;
    int c, inside;
    if (row >= rows) return;
    inside = aopt__pixel_of_row(y, row, &t, &py, &px);
    from = inside ? aopt__row(x, t, py / factor, px / factor) : 0;
    for (c = (int)threadIdx.x; c < y.C; c += AOPT__WARP) y.data[row * y.C + c] = inside ? x.data[from * x.C + c] : 0.0f;
}

__global__ static void aopt_k_add(aopt_rows a, aopt_rows b, aopt_rows out)
{
    const int64_t p = aopt__warp_index();
    int64_t t, y, x, ia, ib, io;
    int c;
    if (p >= out.frames * out.H * out.W) return;
    aopt__pixel_of_position(out, p, &t, &y, &x);
    ia = aopt__row(a, t, y, x) * out.C; ib = aopt__row(b, t, y, x) * out.C; io = aopt__row(out, t, y, x) * out.C;
    for (c = (int)threadIdx.x; c < out.C; c += AOPT__WARP) out.data[io + c] = a.data[ia + c] + b.data[ib + c];
}

/* Output channel c at sub-frame a and sub-pixel (sy, sx) repeats input channel ((c*ft + a)*4 + sy*2 + sx) / repeats. */
__global__ static void aopt_k_dup_up(aopt_rows x, int ft, int64_t drop, aopt_rows b, aopt_rows out)
{
    const int64_t p = aopt__warp_index(), repeats = (int64_t)out.C * ft * 4 / x.C;
    int64_t t, py, px, sub, from, ib, io;
    int c;
    if (p >= out.frames * out.H * out.W) return;
    aopt__pixel_of_position(out, p, &t, &py, &px);
    sub = (t + drop) % ft * 4 + py % 2 * 2 + px % 2;
    from = aopt__row(x, (t + drop) / ft, py / 2, px / 2) * x.C;
    ib = aopt__row(b, t, py, px) * out.C; io = aopt__row(out, t, py, px) * out.C;
    for (c = (int)threadIdx.x; c < out.C; c += AOPT__WARP)
        out.data[io + c] = b.data[ib + c] + x.data[from + ((int64_t)c * ft * 4 + sub) / repeats];
}

/* Output channel c is the mean of `group` neighbours among the C*ft*fs*fs sub-channels, in the order (channel, time, y, x);
   frames before the first are zero. */
__global__ static void aopt_k_avg_down(aopt_rows x, int ft, int fs, int64_t pad, aopt_rows b, aopt_rows out)
{
    const int64_t p = aopt__warp_index();
    const int subs = ft * fs * fs, group = (int)((int64_t)x.C * subs / out.C);
    int64_t t, py, px, from_t, ib, io;
    int c, g, k, sub;
    float sum;
    if (p >= out.frames * out.H * out.W) return;
    aopt__pixel_of_position(out, p, &t, &py, &px);
    ib = aopt__row(b, t, py, px) * out.C; io = aopt__row(out, t, py, px) * out.C;
    for (c = (int)threadIdx.x; c < out.C; c += AOPT__WARP) {
        for (sum = 0.0f, g = 0; g < group; g++) {
            k = c * group + g;
            sub = k % subs;
            from_t = t * ft + sub / (fs * fs) - pad;
            if (from_t >= 0) sum += x.data[aopt__row(x, from_t, py * fs + sub / fs % fs, px * fs + sub % fs) * x.C + k / subs];
        }
        out.data[io + c] = b.data[ib + c] + sum / (float)group;
    }
}

__global__ static void aopt_k_interleave_time(aopt_rows x, aopt_rows y)
{
    const int64_t p = aopt__warp_index();
    int64_t t, py, px, from, to;
    int c;
    if (p >= y.frames * y.H * y.W) return;
    aopt__pixel_of_position(y, p, &t, &py, &px);
    from = aopt__row(x, t / 2, py, px) * x.C + t % 2 * y.C;
    to = aopt__row(y, t, py, px) * y.C;
    for (c = (int)threadIdx.x; c < y.C; c += AOPT__WARP) y.data[to + c] = x.data[from + c];
}

/* A warp per row.  Three passes; the row (at most one frame's positions) stays in cache between them. */
__global__ static void aopt_k_softmax(float *x, int64_t rows, int64_t columns, float scale)
{
    const int64_t row = aopt__warp_index();
    float *v = x + row * columns, top = -INFINITY, sum = 0.0f;
    int64_t i;
    if (row >= rows) return;
    for (i = threadIdx.x; i < columns; i += AOPT__WARP) top = fmaxf(top, v[i] * scale);
    top = aopt__warp_max(top);
    for (i = threadIdx.x; i < columns; i += AOPT__WARP) { v[i] = expf(v[i] * scale - top); sum += v[i]; }
    sum = 1.0f / aopt__warp_sum(sum);
    for (i = threadIdx.x; i < columns; i += AOPT__WARP) v[i] *= sum;
}

/* ---- layouts ---- */

/* Lanes along positions, so that the channels-first side is the coalesced one; the other side is small or cached. */
__global__ static void aopt_k_channels_last(const float *x, int64_t channel_stride, const float *scale, const float *shift, aopt_rows y)
{
    const int64_t n = y.frames * y.H * y.W, blocks = (n + AOPT__WARP - 1) / AOPT__WARP, w = aopt__warp_index();
    const int64_t c = w / blocks, p = w % blocks * AOPT__WARP + threadIdx.x;
    int64_t t, py, px;
    if (c >= y.C || p >= n) return;
    aopt__pixel_of_position(y, p, &t, &py, &px);
    y.data[aopt__row(y, t, py, px) * y.C + c] = x[c * channel_stride + p] * (scale ? scale[c] : 1.0f) + (shift ? shift[c] : 0.0f);
}

__global__ static void aopt_k_channels_first(aopt_rows x, int C, const float *scale, const float *shift, float *y, int64_t channel_stride)
{
    const int64_t n = x.frames * x.H * x.W, blocks = (n + AOPT__WARP - 1) / AOPT__WARP, w = aopt__warp_index();
    const int64_t c = w / blocks, p = w % blocks * AOPT__WARP + threadIdx.x;
    int64_t t, py, px;
    if (c >= C || p >= n) return;
    aopt__pixel_of_position(x, p, &t, &py, &px);
    y[c * channel_stride + p] = (x.data[aopt__row(x, t, py, px) * x.C + c] - (shift ? shift[c] : 0.0f)) / (scale ? scale[c] : 1.0f);
}

/* Channel (c*2 + r)*2 + q of position (y, x) is colour c of pixel (2y + q, 2x + r).  Lanes along the pixels of the video. */
__global__ static void aopt_k_patchify(const float *video, int64_t channel_stride, aopt_rows y)
{
    const int64_t W = 2 * y.W, n = y.frames * 2 * y.H * W, blocks = (n + AOPT__WARP - 1) / AOPT__WARP, w = aopt__warp_index();
    const int64_t c = w / blocks, i = w % blocks * AOPT__WARP + threadIdx.x, py = i / W % (2 * y.H), px = i % W;
    if (c >= y.C / 4 || i >= n) return;
    y.data[aopt__row(y, i / W / (2 * y.H), py / 2, px / 2) * y.C + (c * 2 + px % 2) * 2 + py % 2] = video[c * channel_stride + i];
}

__global__ static void aopt_k_unpatchify(aopt_rows x, float *video, int64_t channel_stride)
{
    const int64_t W = 2 * x.W, n = x.frames * 2 * x.H * W, blocks = (n + AOPT__WARP - 1) / AOPT__WARP, w = aopt__warp_index();
    const int64_t c = w / blocks, i = w % blocks * AOPT__WARP + threadIdx.x, py = i / W % (2 * x.H), px = i % W;
    float v;
    if (c >= x.C / 4 || i >= n) return;
    v = x.data[aopt__row(x, i / W / (2 * x.H), py / 2, px / 2) * x.C + (c * 2 + px % 2) * 2 + py % 2];
    video[c * channel_stride + i] = v < -1.0f ? -1.0f : v > 1.0f ? 1.0f : v;      /* NaN stays NaN, unlike with fminf */
}

__global__ static void aopt_k_pack_conv(const float *w, int64_t co, int64_t ci, int64_t taps, float *packed)
{
    const int64_t i = aopt__warp_index() * AOPT__WARP + threadIdx.x;
    if (i >= co * ci * taps) return;
    packed[i] = w[(i % co * ci + i / co % ci) * taps + i / co / ci];
}

/* ---- launchers of the layers ---- */

static aopt_status aopt__same_geometry(const char *what, const aopt_rows *a, const aopt_rows *b, aopt_error *err)
{
    if (a->frames == b->frames && a->H == b->H && a->W == b->W && a->C == b->C) return AOPT_OK;
    return aopt_fail(err, AOPT_E_SHAPE, "%s: [%lld][%lld][%lld][%d] against [%lld][%lld][%lld][%d]", what,
                     (long long)a->frames, (long long)a->H, (long long)a->W, a->C, (long long)b->frames, (long long)b->H, (long long)b->W, b->C);
}

AOPT__DEF aopt_status aopt_cuda_rms_norm(const aopt_rows *x, const float *gamma, int silu, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err)
{
    const int64_t rows = aopt_rows_count(y);
    const aopt_status st = aopt__same_geometry("rms_norm", x, y, err);
    if (st) return st;
    AOPT__LAUNCH_WARPS(aopt_k_rms_norm, rows, stream, *x, gamma, silu, *y, rows);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_upsample_nearest(const aopt_rows *x, int factor, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err)
{
    const int64_t rows = aopt_rows_count(y);
    aopt_rows want = *x;
    aopt_status st;
    want.H *= factor;
    want.W *= factor;
    st = aopt__same_geometry("upsample_nearest", &want, y, err);
    if (st) return st;
    AOPT__LAUNCH_WARPS(aopt_k_upsample_nearest, rows, stream, *x, factor, *y, rows);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_add(const aopt_rows *a, const aopt_rows *b, const aopt_rows *out, struct CUstream_st *stream, aopt_error *err)
{
    aopt_status st = aopt__same_geometry("add", a, b, err);
    if (!st) st = aopt__same_geometry("add", a, out, err);
    if (st) return st;
    AOPT__LAUNCH_WARPS(aopt_k_add, out->frames * out->H * out->W, stream, *a, *b, *out);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_dup_up(const aopt_rows *x, int ft, int first, const aopt_rows *b, const aopt_rows *out, struct CUstream_st *stream, aopt_error *err)
{
    const int64_t drop = first ? ft - 1 : 0;
    aopt_rows want = *x;
    aopt_status st = aopt__same_geometry("dup_up", b, out, err);
    want.frames = x->frames * ft - drop;
    want.H *= 2;
    want.W *= 2;
    want.C = out->C;
    if (!st) st = aopt__same_geometry("dup_up", &want, out, err);
    if (st) return st;
    if (((int64_t)out->C * ft * 4) % x->C != 0) return aopt_fail(err, AOPT_E_SHAPE, "dup_up: %d channels do not divide %d*%d*4", x->C, out->C, ft);
    AOPT__LAUNCH_WARPS(aopt_k_dup_up, out->frames * out->H * out->W, stream, *x, ft, drop, *b, *out);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_avg_down(const aopt_rows *x, int ft, int fs, const aopt_rows *b, const aopt_rows *out, struct CUstream_st *stream, aopt_error *err)
{
    const int64_t pad = (ft - x->frames % ft) % ft;
    aopt_rows want = *x;
    aopt_status st = aopt__same_geometry("avg_down", b, out, err);
    want.frames = (x->frames + pad) / ft;
    want.H /= fs;
    want.W /= fs;
    want.C = out->C;
    if (!st) st = aopt__same_geometry("avg_down", &want, out, err);
    if (st) return st;
    if (((int64_t)x->C * ft * fs * fs) % out->C != 0) return aopt_fail(err, AOPT_E_SHAPE, "avg_down: %d channels do not divide %d*%d*%d*%d", out->C, x->C, ft, fs, fs);
    AOPT__LAUNCH_WARPS(aopt_k_avg_down, out->frames * out->H * out->W, stream, *x, ft, fs, pad, *b, *out);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_interleave_time(const aopt_rows *x, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err)
{
    aopt_rows want = *x;
    aopt_status st;
    want.frames *= 2;
    want.C /= 2;
    st = aopt__same_geometry("interleave_time", &want, y, err);
    if (st) return st;
    AOPT__LAUNCH_WARPS(aopt_k_interleave_time, y->frames * y->H * y->W, stream, *x, *y);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_softmax(float *x, int64_t rows, int64_t columns, float scale, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__LAUNCH_WARPS(aopt_k_softmax, rows, stream, x, rows, columns, scale);
    return AOPT_OK;
}

/* Warps that take 32 of n elements each, for each of `channels`. */
static int64_t aopt__warps_of(int64_t n, int64_t channels) { return (n + AOPT__WARP - 1) / AOPT__WARP * channels; }

AOPT__DEF aopt_status aopt_cuda_channels_last(const float *x, int64_t channel_stride, const float *scale, const float *shift, const aopt_rows *y,
                                              struct CUstream_st *stream, aopt_error *err)
{
    AOPT__LAUNCH_WARPS(aopt_k_channels_last, aopt__warps_of(y->frames * y->H * y->W, y->C), stream, x, channel_stride, scale, shift, *y);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_channels_first(const aopt_rows *x, int C, const float *scale, const float *shift, float *y, int64_t channel_stride,
                                               struct CUstream_st *stream, aopt_error *err)
{
    if (C > x->C) return aopt_fail(err, AOPT_E_SHAPE, "channels_first: %d channels wanted, %d there", C, x->C);
    AOPT__LAUNCH_WARPS(aopt_k_channels_first, aopt__warps_of(x->frames * x->H * x->W, C), stream, *x, C, scale, shift, y, channel_stride);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_patchify(const float *video, int64_t channel_stride, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err)
{
    if (y->C % 4 != 0) return aopt_fail(err, AOPT_E_SHAPE, "patchify: %d channels, expected a multiple of 4", y->C);
    AOPT__LAUNCH_WARPS(aopt_k_patchify, aopt__warps_of(y->frames * y->H * y->W * 4, y->C / 4), stream, video, channel_stride, *y);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_unpatchify(const aopt_rows *x, float *video, int64_t channel_stride, struct CUstream_st *stream, aopt_error *err)
{
    if (x->C % 4 != 0) return aopt_fail(err, AOPT_E_SHAPE, "unpatchify: %d channels, expected a multiple of 4", x->C);
    AOPT__LAUNCH_WARPS(aopt_k_unpatchify, aopt__warps_of(x->frames * x->H * x->W * 4, x->C / 4), stream, *x, video, channel_stride);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_pack_conv(const float *w, int64_t co, int64_t ci, int64_t taps, float *packed, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__LAUNCH_WARPS(aopt_k_pack_conv, aopt__warps_of(co * ci * taps, 1), stream, w, co, ci, taps, packed);
    return AOPT_OK;
}

/* y[b][m][co] += x[b][m*step][ci] * w[ci][co].  cuBLAS is column-major, so it is given the transposed product. */
static aopt_status aopt__cuda_gemm_add(cublasHandle_t blas, const float *x, int64_t step, int64_t x_stride, const float *w, float *y, int64_t y_stride,
                                       int64_t rows, int64_t batch, int ci, int co, aopt_error *err)
{
    const float one = 1.0f;
    if (rows > INT_MAX || batch > INT_MAX || step * ci > INT_MAX)
        return aopt_fail(err, AOPT_E_SHAPE, "conv: %lld rows, %lld batches, a step of %lld: cuBLAS takes %d", (long long)rows, (long long)batch, (long long)(step * ci), INT_MAX);
    AOPT__CUBLAS(cublasSgemmStridedBatched(blas, CUBLAS_OP_N, CUBLAS_OP_N, co, (int)rows, ci, &one, w, co, 0,
                                           x, (int)(step * ci), x_stride, &one, y, co, y_stride, (int)batch));
    return AOPT_OK;
}

static aopt_status aopt__conv_check(const aopt_rows *x, const aopt_conv_shape *c, const aopt_rows *y, aopt_error *err)
{
    const int b = c->kh == 3;
    const int flat = c->stride_s == 1;
    if (x->C != c->ci || y->C != c->co || x->border != b || y->border != (flat ? b : 0) || x->frames != (y->frames - 1) * c->stride_t + c->kt
        || y->H != x->H / c->stride_s || y->W != x->W / c->stride_s || y->frames < 1 || y->H < 1 || y->W < 1)
        return aopt_fail(err, AOPT_E_SHAPE, "conv %dx%dx%d %d->%d stride %d,%d: [%lld][%lld][%lld][%d] border %d does not give [%lld][%lld][%lld][%d] border %d",
                         c->kt, c->kh, c->kw, c->ci, c->co, c->stride_t, c->stride_s, (long long)x->frames, (long long)x->H, (long long)x->W, x->C, x->border,
                         (long long)y->frames, (long long)y->H, (long long)y->W, y->C, y->border);
    return AOPT_OK;
}

/* Without strides one product per tap covers all frames: from the first pixel of the first to the last of the last, rows
   between them included, whose results are garbage.  With strides, one product per tap and frame: a batch over the rows
   of pixels where space is halved. */
AOPT__DEF aopt_status aopt_cuda_conv(struct cublasContext *blas, const aopt_rows *x, const aopt_conv_shape *c, const float *packed, const float *bias, const aopt_rows *y,
                                     struct CUstream_st *stream, aopt_error *err)
{
    const int64_t pitch = x->W + x->border, frame = aopt_rows_per_frame(x), origin = (pitch + 1) * x->border, y_frame = aopt_rows_per_frame(y);
    const int strided = c->stride_t > 1 || c->stride_s > 1, space = c->stride_s > 1;
    const int64_t calls = strided ? y->frames : 1, batch = space ? y->H : 1;
    const int64_t rows = space ? y->W : (y->frames - calls) * frame + (x->H - 1) * pitch + x->W;
    const int64_t corner = space ? 0 : -(pitch + 1) * x->border;     /* tap (0, 0) against its pixel; a stride of 2 pads right and bottom only */
    int64_t k, dt, dy, dx;
    aopt_status st = aopt__conv_check(x, c, y, err);
    if (st) return st;
    AOPT__CUBLAS(cublasSetStream(blas, stream));
    AOPT__LAUNCH_WARPS(aopt_k_fill_rows, aopt_rows_count(y), stream, bias, y->data, aopt_rows_count(y), y->C);
    for (k = 0; k < calls; k++)
        for (dt = 0; dt < c->kt; dt++)
            for (dy = 0; dy < c->kh; dy++)
                for (dx = 0; dx < c->kw; dx++) {
                    const int64_t row = (k * c->stride_t + dt) * frame + origin + corner + dy * pitch + dx;
                    st = aopt__cuda_gemm_add(blas, x->data + row * c->ci, c->stride_s, c->stride_s * pitch * c->ci,
                                             packed + ((dt * c->kh + dy) * c->kw + dx) * c->ci * c->co,
                                             y->data + (k * y_frame + (space ? 0 : origin)) * c->co, y->W * c->co, rows, batch, c->ci, c->co, err);
                    if (st) return st;
                }
    return AOPT_OK;
}

/* Per frame: scores of a group of queries against all keys, softmax, weighted sum of the values. */
AOPT__DEF aopt_status aopt_cuda_attention(struct cublasContext *blas, const aopt_rows *qkv, float *scores, int64_t scores_n, const aopt_rows *out,
                                          struct CUstream_st *stream, aopt_error *err)
{
    const int64_t P = qkv->H * qkv->W, C = out->C, group = P > 0 && scores_n / P < P ? scores_n / P : P;
    const float one = 1.0f, zero = 0.0f;
    int64_t t, q;
    if (qkv->C != 3 * C || qkv->border || out->border || out->frames != qkv->frames || out->H != qkv->H || out->W != qkv->W || P > INT_MAX || group < 1)
        return aopt_fail(err, AOPT_E_SHAPE, "attention: qkv [%lld][%lld][%lld][%d] into %d channels with %lld scores at a time",
                         (long long)qkv->frames, (long long)qkv->H, (long long)qkv->W, qkv->C, out->C, (long long)scores_n);
    AOPT__CUBLAS(cublasSetStream(blas, stream));
    for (t = 0; t < qkv->frames; t++)
        for (q = 0; q < P; q += group) {
            const int n = (int)(P - q < group ? P - q : group);
            const float *f = qkv->data + t * P * 3 * C;
            aopt_status st;
            AOPT__CUBLAS(cublasSgemm(blas, CUBLAS_OP_T, CUBLAS_OP_N, (int)P, n, (int)C, &one, f + C, (int)(3 * C), f + q * 3 * C, (int)(3 * C), &zero, scores, (int)P));
            st = aopt_cuda_softmax(scores, n, P, 1.0f / sqrtf((float)C), stream, err);
            if (st) return st;
            AOPT__CUBLAS(cublasSgemm(blas, CUBLAS_OP_N, CUBLAS_OP_N, (int)C, n, (int)P, &one, f + 2 * C, (int)(3 * C), scores, (int)P, &zero,
                                     out->data + (t * P + q) * C, (int)C));
        }
    return AOPT_OK;
}

/* ---- the judge's buffers ---- */

__global__ static void aopt_k_poison(uint32_t *x, int64_t n, uint32_t bits)
{
    const int64_t i = aopt__warp_index() * AOPT__WARP + threadIdx.x;
    if (i < n) x[i] = bits;
}

AOPT__DEF aopt_status aopt_cuda_poison(float *x, int64_t n, uint32_t payload, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__LAUNCH_WARPS(aopt_k_poison, aopt__warps_of(n, 1), stream, (uint32_t *)x, n, aopt_poison_bits(payload));
    return AOPT_OK;
}

__global__ static void aopt_k_guard_fill(uint32_t *x, int64_t n, uint64_t seed)
{
    const int64_t i = aopt__warp_index() * AOPT__WARP + threadIdx.x;
    if (i < n) x[i] = (uint32_t)aopt__mix(seed, (uint64_t)i);
}

AOPT__DEF aopt_status aopt_cuda_guard_fill(uint32_t *x, int64_t n, uint64_t seed, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__LAUNCH_WARPS(aopt_k_guard_fill, aopt__warps_of(n, 1), stream, x, n, seed);
    return AOPT_OK;
}

__global__ static void aopt_k_guard_check(const uint32_t *x, int64_t n, uint64_t seed, unsigned long long *changed, unsigned long long *first)
{
    const int64_t i = aopt__warp_index() * AOPT__WARP + threadIdx.x;
    if (i >= n || x[i] == (uint32_t)aopt__mix(seed, (uint64_t)i)) return;
    atomicAdd(changed, 1ull);
    atomicMin(first, (unsigned long long)i);
}

AOPT__DEF aopt_status aopt_cuda_guard_check(const uint32_t *x, int64_t n, uint64_t seed, uint64_t *result, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__CUDA(cudaMemsetAsync(result, 0, sizeof *result, stream));
    AOPT__CUDA(cudaMemsetAsync(result + 1, 0xff, sizeof *result, stream));
    AOPT__LAUNCH_WARPS(aopt_k_guard_check, aopt__warps_of(n, 1), stream, x, n, seed, (unsigned long long *)result, (unsigned long long *)(result + 1));
    return AOPT_OK;
}

/* A sum modulo 2^64 does not depend on the order of its terms, so neither does the result on the scheduling of blocks.
   A warp takes 32 * AOPT__HASH_RUN elements: one atomic per warp. */
enum { AOPT__HASH_RUN = 64 };
__global__ static void aopt_k_fingerprint(const uint32_t *x, int64_t n, uint64_t seed, unsigned long long *result)
{
    const int64_t start = aopt__warp_index() * AOPT__WARP * AOPT__HASH_RUN + threadIdx.x;
    unsigned long long sum = 0;
    int k, d;
    for (k = 0; k < AOPT__HASH_RUN; k++) {
        const int64_t i = start + (int64_t)k * AOPT__WARP;
        if (i < n) sum += aopt__mix(seed ^ x[i], (uint64_t)i);
    }
    for (d = AOPT__WARP / 2; d > 0; d >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    if (threadIdx.x == 0) atomicAdd(result, sum);
}

AOPT__DEF aopt_status aopt_cuda_fingerprint(const float *x, int64_t n, uint64_t seed, uint64_t *result, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__CUDA(cudaMemsetAsync(result, 0, sizeof *result, stream));
    AOPT__LAUNCH_WARPS(aopt_k_fingerprint, (n + AOPT__WARP * AOPT__HASH_RUN - 1) / (AOPT__WARP * AOPT__HASH_RUN), stream,
                       (const uint32_t *)x, n, seed, (unsigned long long *)result);
    return AOPT_OK;
}

__global__ static void aopt_k_unwritten(const uint32_t *x, int64_t n, uint32_t poison, unsigned long long *count, unsigned long long *first)
{
    const int64_t i = aopt__warp_index() * AOPT__WARP + threadIdx.x;
    if (i >= n || x[i] != poison) return;
    atomicAdd(count, 1ull);
    atomicMin(first, (unsigned long long)i);
}

AOPT__DEF aopt_status aopt_cuda_unwritten(const float *x, int64_t n, uint32_t payload, uint64_t *result, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__CUDA(cudaMemsetAsync(result, 0, sizeof *result, stream));
    AOPT__CUDA(cudaMemsetAsync(result + 1, 0xff, sizeof *result, stream));
    AOPT__LAUNCH_WARPS(aopt_k_unwritten, aopt__warps_of(n, 1), stream, (const uint32_t *)x, n, aopt_poison_bits(payload),
                       (unsigned long long *)result, (unsigned long long *)(result + 1));
    return AOPT_OK;
}

/* What one tile of one frame adds to a comparison, all three channels.  Indices are flat in [3][F][H][W]. */
typedef struct aopt__compare_part {
    double error, motion, gradient_video, gradient_reference, shift[3];     /* shift: sum of video - reference per channel */
    double max_abs;
    int64_t max_abs_at, nonfinite, nonfinite_at, reference_nonfinite, reference_nonfinite_at;       /* *_at: INT64_MAX if there is none */
} aopt__compare_part;

static __device__ double aopt__square_of(double x) { return x * x; }

/* The terms of element `at` = (c, f, y, x), as in aopt_compare. */
static __device__ void aopt__compare_element(aopt__compare_part *p, const float *video, const float *reference, int64_t at, int c, int64_t f, int64_t y, int64_t x,
                                             int64_t H, int64_t W)
{
    const double a = video[at], b = reference[at], d = a - b;
    p->error += d * d;
    p->shift[c] += d;
    if (x > 0) {
        p->gradient_video += aopt__square_of(a - video[at - 1]);
        p->gradient_reference += aopt__square_of(b - reference[at - 1]);
    }
    if (y > 0) {
        p->gradient_video += aopt__square_of(a - video[at - W]);
        p->gradient_reference += aopt__square_of(b - reference[at - W]);
    }
    if (f > 0) p->motion += aopt__square_of(d - ((double)video[at - H * W] - reference[at - H * W]));
    if (fabs(d) > p->max_abs) { p->max_abs = fabs(d); p->max_abs_at = at; }
    if (!isfinite(video[at])) { p->nonfinite++; if (at < p->nonfinite_at) p->nonfinite_at = at; }
    if (!isfinite(reference[at])) { p->reference_nonfinite++; if (at < p->reference_nonfinite_at) p->reference_nonfinite_at = at; }
}

static __device__ void aopt__compare_merge(aopt__compare_part *p, const aopt__compare_part *q)
{
    int c;
    p->error += q->error;
    p->motion += q->motion;
    p->gradient_video += q->gradient_video;
    p->gradient_reference += q->gradient_reference;
    for (c = 0; c < 3; c++) p->shift[c] += q->shift[c];
    if (q->max_abs > p->max_abs || (q->max_abs == p->max_abs && q->max_abs_at < p->max_abs_at)) { p->max_abs = q->max_abs; p->max_abs_at = q->max_abs_at; }
    p->nonfinite += q->nonfinite;
    p->reference_nonfinite += q->reference_nonfinite;
    if (q->nonfinite_at < p->nonfinite_at) p->nonfinite_at = q->nonfinite_at;
    if (q->reference_nonfinite_at < p->reference_nonfinite_at) p->reference_nonfinite_at = q->reference_nonfinite_at;
}

/* One block per tile and frame.  Each thread walks its elements in a fixed order and the block sums in a fixed tree, so the
   result has the same bits on every run. */
__global__ static void aopt_k_compare(const float *video, const float *reference, int64_t F, int64_t H, int64_t W, aopt__compare_part *out)
{
    __shared__ aopt__compare_part part[AOPT__THREADS];
    const int id = (int)(threadIdx.y * AOPT__WARP + threadIdx.x);
    const int64_t tiles_x = (W + AOPT_COMPARE_TILE - 1) / AOPT_COMPARE_TILE, tiles_y = (H + AOPT_COMPARE_TILE - 1) / AOPT_COMPARE_TILE;
    const int64_t f = blockIdx.x / (tiles_x * tiles_y), top = blockIdx.x / tiles_x % tiles_y * AOPT_COMPARE_TILE, left = blockIdx.x % tiles_x * AOPT_COMPARE_TILE;
    aopt__compare_part p;
    int i, c, d;
    p.error = p.motion = p.gradient_video = p.gradient_reference = p.shift[0] = p.shift[1] = p.shift[2] = 0.0;
    p.max_abs = -1.0;
    p.max_abs_at = p.nonfinite_at = p.reference_nonfinite_at = INT64_MAX;
    p.nonfinite = p.reference_nonfinite = 0;
    for (c = 0; c < 3; c++)
        for (i = id; i < AOPT_COMPARE_TILE * AOPT_COMPARE_TILE; i += AOPT__THREADS) {
            const int64_t y = top + i / AOPT_COMPARE_TILE, x = left + i % AOPT_COMPARE_TILE;
            if (y < H && x < W) aopt__compare_element(&p, video, reference, ((c * F + f) * H + y) * W + x, c, f, y, x, H, W);
        }
    part[id] = p;
    for (d = AOPT__THREADS / 2; d > 0; d /= 2) {
        __syncthreads();
        if (id < d) aopt__compare_merge(&part[id], &part[id + d]);
    }
    if (id == 0) out[blockIdx.x] = part[0];
}

/* Tiles of every frame, [F][tiles_y][tiles_x], to the figures of aopt_compare. */
static void aopt__compare_finish(const aopt__compare_part *part, int64_t F, int64_t H, int64_t W, aopt_comparison *out)
{
    const int64_t tile = AOPT_COMPARE_TILE, tiles_x = (W + tile - 1) / tile, tiles = tiles_x * ((H + tile - 1) / tile);
    int64_t first = INT64_MAX, reference_first = INT64_MAX, best = INT64_MAX, f, i;
    double error = 0.0, motion = 0.0, gv = 0.0, gr = 0.0, shift[3] = { 0.0, 0.0, 0.0 };
    int c;
    memset(out, 0, sizeof *out);
    out->max_abs = -1.0;
    out->psnr_frame_min_db = out->psnr_tile_min_db = INFINITY;
    for (f = 0; f < F; f++) {
        double frame = 0.0, db;
        for (i = 0; i < tiles; i++) {
            const aopt__compare_part *p = part + f * tiles + i;
            const int64_t top = i / tiles_x * tile, left = i % tiles_x * tile;
            const int64_t h = H - top < tile ? H - top : tile, w = W - left < tile ? W - left : tile;
            frame += p->error;
            motion += p->motion;
            gv += p->gradient_video;
            gr += p->gradient_reference;
            for (c = 0; c < 3; c++) shift[c] += p->shift[c];
            out->nonfinite += p->nonfinite;
            out->reference_nonfinite += p->reference_nonfinite;
            if (p->nonfinite_at < first) first = p->nonfinite_at;
            if (p->reference_nonfinite_at < reference_first) reference_first = p->reference_nonfinite_at;
            /* The CPU meets frames first, then channels: among equals of one frame the lower index is the earlier. */
            if (p->max_abs > out->max_abs || (p->max_abs == out->max_abs && best / (H * W) % F == f && p->max_abs_at < best)) { out->max_abs = p->max_abs; best = p->max_abs_at; }
            db = aopt_psnr_db(p->error / (3.0 * (double)(h * w)));
            if (db < out->psnr_tile_min_db) { out->psnr_tile_min_db = db; out->tile_min[0] = f; out->tile_min[1] = top; out->tile_min[2] = left; }
        }
        error += frame;
        db = aopt_psnr_db(frame / (3.0 * (double)(H * W)));
        if (db < out->psnr_frame_min_db) { out->psnr_frame_min_db = db; out->frame_min = f; }
    }
    for (i = 0; i < 4; i++) {
        const int64_t step = i == 0 ? F * H * W : i == 1 ? H * W : i == 2 ? W : 1, size = i == 0 ? 3 : i == 1 ? F : i == 2 ? H : W;
        if (out->nonfinite) out->nonfinite_at[i] = first / step % size;
        if (out->reference_nonfinite) out->reference_nonfinite_at[i] = reference_first / step % size;
        if (best < INT64_MAX) out->max_abs_at[i] = best / step % size;
    }
    for (c = 0; c < 3; c++)
        if (c == 0 || fabs(shift[c]) > fabs(out->mean_shift * (double)(F * H * W))) { out->mean_shift = shift[c] / (double)(F * H * W); out->mean_shift_channel = c; }
    out->mse = error / (3.0 * (double)(F * H * W));
    out->psnr_db = aopt_psnr_db(out->mse);
    out->psnr_motion_db = aopt_psnr_db(F > 1 ? motion / (3.0 * (double)((F - 1) * H * W)) : 0.0);
    out->gradient_ratio = gr > 0 ? gv / gr : gv > 0 ? INFINITY : 1.0;
    if (!out->nonfinite && !out->reference_nonfinite) return;
    memset(out->max_abs_at, 0, sizeof out->max_abs_at);
    memset(out->tile_min, 0, sizeof out->tile_min);
    out->frame_min = out->mean_shift_channel = 0;
    out->mse = out->psnr_db = out->psnr_frame_min_db = out->psnr_tile_min_db = NAN;
    out->max_abs = out->mean_shift = out->psnr_motion_db = out->gradient_ratio = NAN;
}

static aopt_status aopt__compare_run(const float *video, const float *reference, int64_t F, int64_t H, int64_t W, int64_t n, aopt__compare_part *device, aopt__compare_part *host,
                                     struct CUstream_st *stream, aopt_error *err)
{
    AOPT__LAUNCH(aopt_k_compare, dim3((unsigned)n), dim3(AOPT__WARP, AOPT__WARPS), stream, video, reference, F, H, W, device);
    AOPT__CUDA(cudaGetLastError());
    AOPT__CUDA(cudaMemcpyAsync(host, device, (size_t)n * sizeof *host, cudaMemcpyDeviceToHost, stream));
    AOPT__CUDA(cudaStreamSynchronize(stream));
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_compare(const float *video, const float *reference, int64_t F, int64_t H, int64_t W, aopt_comparison *out,
                                        struct CUstream_st *stream, aopt_error *err)
{
    aopt__compare_part *host, *device = NULL;
    int64_t n, pixels;
    aopt_status st;
    if (!video || !reference || !out) return aopt_fail(err, AOPT_E_ARG, "compare: a pointer is NULL");
    if (F < 1 || H < 1 || W < 1 || !aopt__mul(H, W, &pixels) || !aopt__mul(pixels, F, &pixels) || !aopt__mul(pixels, 3 * (int64_t)sizeof(float), &pixels))
        return aopt_fail(err, AOPT_E_SHAPE, "compare: cannot be [3][%lld][%lld][%lld]", (long long)F, (long long)H, (long long)W);
    n = F * ((H - 1) / AOPT_COMPARE_TILE + 1) * ((W - 1) / AOPT_COMPARE_TILE + 1);
    if (n > INT_MAX) return aopt_fail(err, AOPT_E_SHAPE, "compare: %lld tiles, the grid holds %d", (long long)n, INT_MAX);
    host = (aopt__compare_part *)aopt__alloc(n, (int64_t)sizeof *host);
    if (!host) return aopt_fail(err, AOPT_E_MEMORY, "compare: no host memory for %lld tiles", (long long)n);
    if (cudaMalloc((void **)&device, (size_t)n * sizeof *device) != cudaSuccess) {
        AOPT_FREE(host);
        return aopt__cuda_fail(err, cudaErrorMemoryAllocation, "aopt_cuda_compare: tiles", __FILE__, __LINE__);
    }
    st = aopt__compare_run(video, reference, F, H, W, n, device, host, stream, err);
    if (!st) aopt__compare_finish(host, F, H, W, out);
    cudaFree(device);
    AOPT_FREE(host);
    return st;
}

/* ======================================== end of the frozen half ======================================== */
