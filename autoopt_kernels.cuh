/* autoopt_kernels.cuh - CUDA kernels of autoopt.h and their launchers

   Included by autoopt.h where AUTOOPT_IMPLEMENTATION and AUTOOPT_CUDA are defined; never on its own.
   Two halves.  The first is the judge's: plain fp32, written to be checked by reading; its text is frozen during
   an experiment.  Speed belongs to the second.

   A name has up to three forms: aopt_ref_X on the CPU, aopt_k_X the kernel, aopt_cuda_X the launcher.  Contracts
   stand at the launchers' prototypes, autoopt.h [A12]; here stand the launch shape and the whys.

   Every element-wise kernel has one launch shape: a warp per row or position, its lanes along the channels, eight
   warps a block, so that the division of an index into (t, y, x) is paid once per 32 channels and neighbouring lanes
   touch neighbouring floats.  All of them are bound by memory bandwidth, and take a few per cent of a decode. */

/* ======================================== first half: the judge's own kernels, frozen ======================================== */

/* tests/emulate defines its own launch and runs this file on a CPU. */
#ifndef AOPT__LAUNCH
#define AOPT__LAUNCH(kernel, blocks, threads, stream, ...) kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__)
#endif

enum { AOPT__WARP = 32, AOPT__WARPS = 8, AOPT__THREADS = AOPT__WARP * AOPT__WARPS };

/* A status from any failed call, with the call and the place.  The pending error is cleared, or the next launch anywhere in the
   process would be blamed for it. */
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
    cudaGetLastError();
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

__global__ static void aopt_k_nonfinite(const uint32_t *x, int64_t n, unsigned long long *count, unsigned long long *first)
{
    const int64_t i = aopt__warp_index() * AOPT__WARP + threadIdx.x;
    if (i >= n || (x[i] & 0x7f800000u) != 0x7f800000u) return;
    atomicAdd(count, 1ull);
    atomicMin(first, (unsigned long long)i);
}

AOPT__DEF aopt_status aopt_cuda_nonfinite(const float *x, int64_t n, uint64_t *result, struct CUstream_st *stream, aopt_error *err)
{
    AOPT__CUDA(cudaMemsetAsync(result, 0, sizeof *result, stream));
    AOPT__CUDA(cudaMemsetAsync(result + 1, 0xff, sizeof *result, stream));
    AOPT__LAUNCH_WARPS(aopt_k_nonfinite, aopt__warps_of(n, 1), stream, (const uint32_t *)x, n, (unsigned long long *)result, (unsigned long long *)(result + 1));
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

/* ======================================== end of the judge's half ======================================== */

/* ======================================== second half: the fast decoder's kernels ======================================== */
/* fp16 operands, f32 arithmetic, channels-last.  Contracts stand at the launchers' prototypes, autoopt.h [A12]; the mates, in double with
   the same rounding points, in tests/test_fast.cu.  Only nvcc reads all of this half; tests/emulate runs its transforms. */
#ifdef __CUDACC__
extern "C++" {              /* templates; autoopt.h includes this file inside extern "C" */
#include <cuda.h>
#include <cuda_fp16.h>

/* ---- PTX ---- */
/* Defined only while compiling for sm_90a; wgmma and the TMA kernels exist there alone. */
#if defined(__CUDA_ARCH_FEAT_SM90_ALL)
#define AOPT__SM90A 1
#else
#define AOPT__SM90A 0
#endif
/* 1 in a module that holds the sm_90a kernels; read by aopt_cuda_has_wgmma. */
static __device__ const int aopt__module_has_wgmma = AOPT__SM90A;

/* Hide a loop-invariant stride from the compiler, which would otherwise keep dozens of multiples of it in registers. */
static __device__ __forceinline__ int64_t aopt__opaque(int64_t x) { asm volatile("" : "+l"(x)); return x; }
static __device__ __forceinline__ uint32_t aopt__opaque32(uint32_t x) { asm volatile("" : "+r"(x)); return x; }

static __device__ __forceinline__ float aopt__ex2(float x) { float y; asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
static __device__ __forceinline__ float aopt__rcp(float x) { float y; asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }
static __device__ __forceinline__ float aopt__tanh(float x) { float y; asm("tanh.approx.f32 %0, %1;" : "=f"(y) : "f"(x)); return y; }

/* Asynchronous copies to shared memory, sm_80 on; `bytes` of them are read (0: zeros are written). */
static __device__ __forceinline__ void aopt__copy16(uint32_t smem, const void *p, int bytes)
{
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" :: "r"(smem), "l"(p), "r"(bytes) : "memory");
}
static __device__ __forceinline__ void aopt__copy4(uint32_t smem, const void *p, int bytes)
{
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" :: "r"(smem), "l"(p), "r"(bytes) : "memory");
}
static __device__ __forceinline__ void aopt__copy_commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
template <int N> static __device__ __forceinline__ void aopt__copy_wait() { asm volatile("cp.async.wait_group %0;" :: "n"(N) : "memory"); }

/* Tensor cores from sm_80 on.  d[16x8] += a[16x16] * b[16x8], fp16 operands: lane 4g + t has d rows g, g + 8 (columns 2t, 2t + 1 each), a rows g, g + 8 by turns (columns 2t,
   2t + 1, then 2t + 8, 2t + 9), b rows 2t, 2t + 1, then 2t + 8, 2t + 9 of column g. */
static __device__ __forceinline__ void aopt__mma_m16n8k16(float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    asm("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3]) : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
/* Four 8x8 matrices, matrix i's rows at the addresses of lanes 8i .. 8i+7: lane 4g + t gets rows 2t, 2t + 1 of column g. */
static __device__ __forceinline__ void aopt__ldmatrix_x4_trans(uint32_t smem, uint32_t (&r)[4])
{
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];" : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3]) : "r"(smem) : "memory");
}

/* scale * x * sigmoid(x), scale a power of two and given inverted; 2 ulp or so.  x = -inf side: exp overflows to inf, 1/inf = 0. */
static __device__ __forceinline__ float aopt__silu(float x, float inverse_scale)
{
    return x * aopt__rcp(fmaf(aopt__ex2(x * -1.4426950408889634f), inverse_scale, inverse_scale));
}
/* silu(2h): h * (1 + tanh(h)), the tanh to 2^-11: for large negative h the error is much of the little that is left. */
static __device__ __forceinline__ float aopt__silu_fast(float h)
{
    return fmaf(h, aopt__tanh(h), h);
}

#if AOPT__SM90A
static __device__ __forceinline__ void aopt__bar_init(uint32_t bar, uint32_t count)
{
    asm volatile("mbarrier.init.shared::cta.b64 [%0], %1;" :: "r"(bar), "r"(count) : "memory");
}
static __device__ __forceinline__ void aopt__bar_expect(uint32_t bar, uint32_t bytes)
{
    asm volatile("mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" :: "r"(bar), "r"(bytes) : "memory");
}
static __device__ __forceinline__ void aopt__bar_arrive(uint32_t bar)
{
    asm volatile("mbarrier.arrive.shared::cta.b64 _, [%0];" :: "r"(bar) : "memory");
}
/* On the barrier at the same address in block `rank` of the cluster.  Not .release.cluster: that waits for all memory of the GPU, every step. */
static __device__ __forceinline__ void aopt__bar_arrive_at(uint32_t bar, int rank)
{
    asm volatile("{\n\t.reg .b32 at;\n\tmapa.shared::cluster.u32 at, %0, %1;\n\tmbarrier.arrive.shared::cluster.b64 _, [at];\n\t}"
                 :: "r"(bar), "r"(rank) : "memory");
}
/* try_wait may time out, hence the loop. */
static __device__ __forceinline__ void aopt__bar_wait(uint32_t bar, uint32_t parity)
{
    asm volatile("{\n\t.reg .pred p;\n"
                 "AGAIN:\n\tmbarrier.try_wait.parity.shared::cta.b64 p, [%0], %1;\n\t@p bra DONE;\n\tbra AGAIN;\n"
                 "DONE:\n\t}" :: "r"(bar), "r"(parity) : "memory");
}
static __device__ __forceinline__ void aopt__tma_load(uint32_t smem, const CUtensorMap *map, uint32_t bar, int c0, int c1, int c2, int c3)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes [%0], [%1, {%3, %4, %5, %6}], [%2];"
                 :: "r"(smem), "l"(map), "r"(bar), "r"(c0), "r"(c1), "r"(c2), "r"(c3) : "memory");
}
static __device__ __forceinline__ void aopt__tma_prefetch(const CUtensorMap *map, int c0, int c1, int c2, int c3)      /* to L2 */
{
    asm volatile("cp.async.bulk.prefetch.tensor.4d.L2.global.tile [%0, {%1, %2, %3, %4}];" :: "l"(map), "r"(c0), "r"(c1), "r"(c2), "r"(c3) : "memory");
}
/* To the same place in the blocks of the cluster whose bits are set, each told by its own barrier. */
static __device__ __forceinline__ void aopt__tma_load_all(uint32_t smem, const CUtensorMap *map, uint32_t bar, int c0, int c1, int c2, int c3, int blocks)
{
    asm volatile("cp.async.bulk.tensor.4d.shared::cluster.global.tile.mbarrier::complete_tx::bytes.multicast::cluster [%0], [%1, {%3, %4, %5, %6}], [%2], %7;"
                 :: "r"(smem), "l"(map), "r"(bar), "r"(c0), "r"(c1), "r"(c2), "r"(c3), "h"((uint16_t)blocks) : "memory");
}
static __device__ __forceinline__ void aopt__cluster_sync()
{
    asm volatile("barrier.cluster.arrive.release;\n\tbarrier.cluster.wait.acquire;" ::: "memory");
}
static __device__ __forceinline__ void aopt__tma_store(const CUtensorMap *map, uint32_t smem, int c0, int c1, int c2, int c3)
{
    asm volatile("cp.async.bulk.tensor.4d.global.shared::cta.tile.bulk_group [%0, {%2, %3, %4, %5}], [%1];"
                 :: "l"(map), "r"(smem), "r"(c0), "r"(c1), "r"(c2), "r"(c3) : "memory");
}
static __device__ __forceinline__ void aopt__warpgroup_sync(int barrier)
{
    asm volatile("bar.sync %0, 128;" :: "r"(barrier) : "memory");
}

static __device__ __forceinline__ void aopt__wgmma_fence() { asm volatile("wgmma.fence.sync.aligned;" ::: "memory"); }
static __device__ __forceinline__ void aopt__wgmma_commit() { asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory"); }
template <int N> static __device__ __forceinline__ void aopt__wgmma_wait() { asm volatile("wgmma.wait_group.sync.aligned %0;" :: "n"(N) : "memory"); }

/* Shared-memory matrix descriptor of K-major rows of 128 bytes in the 128-byte swizzle, a pattern of 8 rows = 1024 bytes.
   Rows start at a multiple of the pattern; k16 steps inside the row add 32 bytes. */
static __device__ __forceinline__ uint64_t aopt__wgmma_desc(uint32_t smem)
{
    return (1ull << 62) | (64ull << 32) | (1ull << 16) | (uint64_t)((smem & 0x3ffffu) >> 4);
}

#define AOPT__D4(d, i) "+f"(d[i]), "+f"(d[i + 1]), "+f"(d[i + 2]), "+f"(d[i + 3])
#define AOPT__D16(d, i) AOPT__D4(d, i), AOPT__D4(d, i + 4), AOPT__D4(d, i + 8), AOPT__D4(d, i + 12)
/* d[64x128] = a[64x16] * b[128x16]^T + (keep ? d : 0), fp16 operands, f32 accumulation; asynchronous. */
static __device__ __forceinline__ void aopt__wgmma_m64n128k16(float (&d)[64], uint64_t a, uint64_t b, int keep)
{
    asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %66, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n128k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63}, "
        "%64, %65, p, 1, 1, 0, 0;\n\t}"
        : AOPT__D16(d, 0), AOPT__D16(d, 16), AOPT__D16(d, 32), AOPT__D16(d, 48)
        : "l"(a), "l"(b), "r"(keep));
}
/* The same of d[64x256] and b[256x16]. */
static __device__ __forceinline__ void aopt__wgmma_m64n256k16(float (&d)[128], uint64_t a, uint64_t b, int keep)
{
    asm volatile("{\n\t.reg .pred p;\n\tsetp.ne.b32 p, %130, 0;\n\t"
        "wgmma.mma_async.sync.aligned.m64n256k16.f32.f16.f16 {"
        "%0, %1, %2, %3, %4, %5, %6, %7, %8, %9, %10, %11, %12, %13, %14, %15, "
        "%16, %17, %18, %19, %20, %21, %22, %23, %24, %25, %26, %27, %28, %29, %30, %31, "
        "%32, %33, %34, %35, %36, %37, %38, %39, %40, %41, %42, %43, %44, %45, %46, %47, "
        "%48, %49, %50, %51, %52, %53, %54, %55, %56, %57, %58, %59, %60, %61, %62, %63, "
        "%64, %65, %66, %67, %68, %69, %70, %71, %72, %73, %74, %75, %76, %77, %78, %79, "
        "%80, %81, %82, %83, %84, %85, %86, %87, %88, %89, %90, %91, %92, %93, %94, %95, "
        "%96, %97, %98, %99, %100, %101, %102, %103, %104, %105, %106, %107, %108, %109, %110, %111, "
        "%112, %113, %114, %115, %116, %117, %118, %119, %120, %121, %122, %123, %124, %125, %126, %127}, "
        "%128, %129, p, 1, 1, 0, 0;\n\t}"
        : AOPT__D16(d, 0), AOPT__D16(d, 16), AOPT__D16(d, 32), AOPT__D16(d, 48), AOPT__D16(d, 64), AOPT__D16(d, 80), AOPT__D16(d, 96), AOPT__D16(d, 112)
        : "l"(a), "l"(b), "r"(keep));
}
static __device__ __forceinline__ void aopt__stmatrix_x4(uint32_t smem, uint32_t r0, uint32_t r1, uint32_t r2, uint32_t r3)
{
    asm volatile("stmatrix.sync.aligned.m8n8.x4.shared.b16 [%0], {%1, %2, %3, %4};"
                 :: "r"(smem), "r"(r0), "r"(r1), "r"(r2), "r"(r3) : "memory");
}
#endif /* AOPT__SM90A */

/* ---- tap GEMM ---- */

enum { AOPT__TG_K = 64, AOPT__TG_THREADS = 384, AOPT__TG_ROW = 2 * AOPT__TG_K, AOPT__TG_W_PART = 128 * AOPT__TG_ROW,
       AOPT__TG_C_BYTES = 2 * 128 * 64 * 2, AOPT__TG_BARRIER_BYTES = 512, AOPT__TG_MAX_STAGES = 12 };
/* A tile of sums is 256 x 128 or, wide, 128 x 256. */
static __host__ __device__ constexpr int aopt__tg_m(bool wide) { return wide ? 128 : 256; }
static __host__ __device__ constexpr int aopt__tg_n(bool wide) { return wide ? 256 : 128; }
static __host__ __device__ constexpr int aopt__tg_w_bytes(bool wide) { return aopt__tg_n(wide) * AOPT__TG_ROW; }

typedef struct aopt__tapgemm_params {
    int taps, k_steps, tile_rows, tile_frames, n_tiles, row_tiles, tiles, frame_tiles;
    int a_stages, w_stages, a_bytes, n, cluster, part_rows, part_frames;
    int frames, zeros, single;          /* frames: of c, where a's first and last frames lie elsewhere, else 0; zeros: the first are zeros; single: frames come one by one */
    float alpha;
    const float *bias;
} aopt__tapgemm_params;
/* part: of a, a block's share of a box; where a's first and last frames lie elsewhere, also of those and of what they leave of a part.  Each of one frame if these do not
   begin and end with parts (`single`). */
typedef struct aopt__tapgemm_maps { CUtensorMap part, first, last, rest, w, c; } aopt__tapgemm_maps;

#if AOPT__SM90A
typedef struct aopt__tile { int n, row, frame, batch; } aopt__tile;
/* n fastest: the blocks at work together share rows of a through L2; then rows, frames, batch.  Those of a cluster, next to each other, have the same rows or, wide, the
   same columns of rows below each other; `tiles` counts a tile beyond the last row then where rows are odd in number: all zeros, never stored. */
template <bool WIDE>
static __device__ __forceinline__ aopt__tile aopt__tile_at(const aopt__tapgemm_params &p, int i)
{
    const int together = WIDE ? p.cluster : 1;
    aopt__tile t;
    i /= together;
    t.n = i % p.n_tiles * aopt__tg_n(WIDE); i /= p.n_tiles;
    t.row = i % (p.row_tiles / together) * (together * p.tile_rows); i /= p.row_tiles / together;
    t.frame = i % p.frame_tiles * p.tile_frames;
    t.batch = i / p.frame_tiles;
    return t;
}
template <bool WIDE>
static __device__ __forceinline__ aopt__tile aopt__tile_first(const aopt__tapgemm_params &p)
{
    aopt__tile t = aopt__tile_at<WIDE>(p, (int)blockIdx.x);
    if (WIDE) t.row += (int)blockIdx.x % p.cluster * p.tile_rows;
    return t;
}
/* From tile i to i + j, given that of j: a loop over tiles without the divisions, whose 130 instructions wait for each other. */
template <bool WIDE>
static __device__ __forceinline__ void aopt__tile_advance(const aopt__tapgemm_params &p, aopt__tile &t, const aopt__tile &by)
{
    const int n_end = p.n_tiles * aopt__tg_n(WIDE), row_end = p.row_tiles * p.tile_rows, frame_end = p.frame_tiles * p.tile_frames;
    t.n += by.n; t.row += by.row; t.frame += by.frame; t.batch += by.batch;
    if (t.n >= n_end) { t.n -= n_end; t.row += p.tile_rows * (WIDE ? p.cluster : 1); }
    if (t.row >= row_end) { t.row -= row_end; t.frame += p.tile_frames; }
    if (t.frame >= frame_end) { t.frame -= frame_end; t.batch++; }
}
static __device__ __forceinline__ void aopt__ring_next(int &slot, uint32_t &phase, int stages)
{
    if (++slot == stages) { slot = 0; phase ^= 1; }
}
#endif

#if AOPT__SM90A
/* Shared-memory addresses: the staging tile, rings of data, and a full and an empty barrier per slot. */
typedef struct aopt__tapgemm_smem {
    uint32_t c_stage, a_ring, w_ring, a_full, a_empty, w_full, w_empty;
} aopt__tapgemm_smem;

/* One thread: fill the ring of a, each slot the box of one k step.  Blocks of a cluster have the same rows: each brings its part of them, for all.  For zeros it asks for
   frames that are not there, as it does past the last. */
template <bool WIDE>
static __device__ __forceinline__ void aopt__tapgemm_load_a(const aopt__tapgemm_params &p, const aopt__tapgemm_smem &s, const aopt__tapgemm_maps &map)
{
    const int part = WIDE ? 0 : (int)blockIdx.x % p.cluster, bytes = WIDE ? p.a_bytes : p.a_bytes / p.cluster, ends = p.taps - 1, rest = p.part_frames - ends, frame_bytes = p.tile_rows * AOPT__TG_ROW;
    int slot = 0; uint32_t phase = 1;
    const aopt__tile by = aopt__tile_at<WIDE>(p, (int)gridDim.x);
    aopt__tile t = aopt__tile_first<WIDE>(p);
    for (int i = (int)blockIdx.x; i < p.tiles; i += (int)gridDim.x, aopt__tile_advance<WIDE>(p, t, by)) {
        const int row = t.row + part * p.part_rows, f = t.frame + part * p.part_frames;
        for (int k = 0; k < p.k_steps; k++) {
            const uint32_t to = s.a_ring + slot * p.a_bytes + part * bytes, full = s.a_full + 8 * slot;
            const auto load = [&](const CUtensorMap *from, int frame, int frames_before) {
                const uint32_t at = to + (uint32_t)(frames_before * frame_bytes);
                if (!WIDE && p.cluster > 1) aopt__tma_load_all(at, from, full, k * AOPT__TG_K, row, frame, t.batch, (1 << p.cluster) - 1);
                else aopt__tma_load(at, from, full, k * AOPT__TG_K, row, frame, t.batch);
                if (p.taps > 1 && k + p.a_stages < p.k_steps) aopt__tma_prefetch(from, (k + p.a_stages) * AOPT__TG_K, row, frame, t.batch);     /* so few boxes fit that memory would be late */
            };
            aopt__bar_wait(s.a_empty + 8 * slot, phase);        /* in every block that has the rows */
            aopt__bar_expect(full, (uint32_t)p.a_bytes);
            if (!p.frames) load(&map.part, f, 0);
            else if (p.single) {
                for (int j = 0; j < p.part_frames; j++) {
                    const int g = f + j;
                    load(g < ends ? &map.first : g < p.frames ? &map.part : &map.last, g < ends ? (p.zeros ? ends : g) : g < p.frames ? g - ends : g - p.frames, j);
                }
            } else if (f == 0) {
                load(&map.first, p.zeros ? ends : 0, 0);
                load(&map.rest, 0, ends);
            } else if (f + p.part_frames > p.frames) {
                load(&map.rest, f - ends, 0);
                load(&map.last, 0, rest);
            } else load(&map.part, f - ends, 0);
            aopt__ring_next(slot, phase, p.a_stages);
        }
    }
}
/* One thread: fill the ring of w, a slot per k step and tap, in parts of 128 columns.  Blocks of a cluster that have the same columns bring a part each, for all. */
template <bool WIDE>
static __device__ __forceinline__ void aopt__tapgemm_load_w(const aopt__tapgemm_params &p, const aopt__tapgemm_smem &s, const CUtensorMap *map)
{
    enum { BYTES = aopt__tg_w_bytes(WIDE) };
    const int part = (int)blockIdx.x % p.cluster;
    int slot = 0; uint32_t phase = 1;
    const aopt__tile by = aopt__tile_at<WIDE>(p, (int)gridDim.x);
    aopt__tile t = aopt__tile_first<WIDE>(p);
    for (int i = (int)blockIdx.x; i < p.tiles; i += (int)gridDim.x, aopt__tile_advance<WIDE>(p, t, by)) {
        for (int k = 0; k < p.k_steps; k++)
            for (int j = 0; j < p.taps; j++) {
                const uint32_t to = s.w_ring + slot * BYTES, full = s.w_full + 8 * slot;
                aopt__bar_wait(s.w_empty + 8 * slot, phase);
                aopt__bar_expect(full, BYTES);
                if (WIDE && p.cluster > 1) aopt__tma_load_all(to + part * AOPT__TG_W_PART, map, full, k * AOPT__TG_K, t.n + part * 128, j, t.batch, (1 << p.cluster) - 1);
                else
                    for (int h = 0; h < aopt__tg_n(WIDE) / 128; h++) aopt__tma_load(to + h * AOPT__TG_W_PART, map, full, k * AOPT__TG_K, t.n + h * 128, j, t.batch);
                aopt__ring_next(slot, phase, p.w_stages);
            }
    }
}
/* A warpgroup's sums in fp16, in the halves that leave together.  128 x 128: [64 columns][16 columns][64 rows][8x8 matrices: columns + 8 in bit 1, rows + 8 in bit 0].
   64 x 256: [128 columns][16 columns of 64][64 columns][8x8 matrices].  Lane l holds columns 2*(l%4), +1 of rows l/4 and l/4 + 8 of every 8 columns of its warp's 16 rows. */
typedef struct aopt__packed { uint32_t v[2][4][2][4]; } aopt__packed;
template <bool RAW, bool WIDE>
static __device__ __forceinline__ void aopt__tapgemm_pack(const aopt__tapgemm_params &p, int first_n, const float (&acc)[128], aopt__packed &to)
{
    const int lane = (int)threadIdx.x & 31;
#pragma unroll
    for (int half = 0; half < 2; half++)
#pragma unroll
        for (int q = 0; q < 4; q++) {
            float b[4] = { 0.0f, 0.0f, 0.0f, 0.0f };
#pragma unroll
            for (int h = 0; h < 2; h++) {
                const int n = first_n + (WIDE ? half * 128 + h * 64 : half * 64) + q * 16 + 2 * (lane & 3);
                if (!RAW && p.bias && (WIDE || h == 0))
#pragma unroll
                    for (int e = 0; e < 4; e++) {
                        const int col = n + (e >> 1) * 8 + (e & 1);
                        if (col < p.n) b[e] = p.bias[col];
                    }
#pragma unroll
                for (int e = 0; e < 4; e++) {
                    const int d = (WIDE ? half * 64 + h * 32 : h * 64 + half * 32) + (q * 2 + (e >> 1)) * 4 + (e & 1) * 2;
                    const float x = acc[d], y = acc[d + 1];
                    const __half2 h2 = RAW ? __floats2half2_rn(x, y)
                                           : __floats2half2_rn(fmaf(x, p.alpha, b[e & 2]), fmaf(y, p.alpha, b[(e & 2) + 1]));
                    to.v[half][q][h][e] = *(const uint32_t *)&h2;
                }
            }
        }
}
/* A warpgroup: half of them to its half of the staging tile, two boxes of 64 rows and columns, once what was there has left ... */
template <int HALF>
static __device__ __forceinline__ void aopt__tapgemm_stage(uint32_t stage, int group, const aopt__packed &c)
{
    const int warp = ((int)threadIdx.x >> 5) & 3, lane = (int)threadIdx.x & 31;
    if (warp == 0 && lane == 0) asm volatile("cp.async.bulk.wait_group.read 0;" ::: "memory");
    aopt__warpgroup_sync(group);
#pragma unroll
    for (int q = 0; q < 4; q++)
#pragma unroll
        for (int h = 0; h < 2; h++) {
            const int row = h * 64 + warp * 16 + (lane & 15), chunk = 2 * q + (lane >> 4);
            const uint32_t (&v)[4] = c.v[HALF][q][h];
            aopt__stmatrix_x4(stage + row * 128 + ((chunk ^ (row & 7)) << 4), v[0], v[1], v[2], v[3]);
        }
}
/* ... and out by TMA, which clips the edges. */
template <int HALF, bool WIDE>
static __device__ __forceinline__ void aopt__tapgemm_send(const aopt__tapgemm_params &p, const CUtensorMap *map, const aopt__tile &t, int group, uint32_t stage)
{
    const int n = t.n + HALF * (aopt__tg_n(WIDE) / 2);
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    aopt__warpgroup_sync(group);
    if ((threadIdx.x & 127) == 0) {
        for (int h = 0; h < (WIDE ? 2 : 1); h++)                /* 256 x 128: both in one box of 128 rows */
            if (n + 64 * h < p.n) aopt__tma_store(map, stage + h * 64 * 128, n + 64 * h, t.row, t.frame, t.batch);
        asm volatile("cp.async.bulk.commit_group;" ::: "memory");
    }
}
/* A warp has read slot `held` (-1: none) of a ring that SHARED says all blocks of the cluster fill. */
template <bool SHARED>
static __device__ __forceinline__ void aopt__tapgemm_free(const aopt__tapgemm_params &p, uint32_t empty, int held)
{
    const int lane = (int)threadIdx.x & 31;
    if (lane < (SHARED ? p.cluster : 1) && held >= 0) {
        if (SHARED) aopt__bar_arrive_at(empty + 8 * held, lane);
        else aopt__bar_arrive(empty + 8 * held);
    }
}
/* A warpgroup: multiply and store its half of the rows of every tile.  A group's slots are given back one step later, when the next is in flight.  A tile's sums, packed, leave
   during the next tile's steps from the second on, a piece to a step and while two groups are in flight: a group is 512 to 1024 clocks of the tensor cores, a piece 300 to 500. */
template <bool RAW, bool WIDE>
static __device__ __forceinline__ void aopt__tapgemm_multiply(const aopt__tapgemm_params &p, const aopt__tapgemm_smem &s, const CUtensorMap *map, int group)
{
    enum { W_BYTES = aopt__tg_w_bytes(WIDE) };
    const int m0 = (group - 1) * (aopt__tg_m(WIDE) / 2), m0_row = m0 % p.tile_rows, m0_frame = m0 / p.tile_rows;
    const uint32_t stage = s.c_stage + (group - 1) * (AOPT__TG_C_BYTES / 2);
    float acc[128];
    aopt__packed done;
    const aopt__tile by = aopt__tile_at<WIDE>(p, (int)gridDim.x);
    aopt__tile t = aopt__tile_first<WIDE>(p), of_done = t;
    int a_slot = 0, w_slot = 0, pieces = 0; uint32_t a_phase = 0, w_phase = 0;         /* pieces: of storing `done`, still to do */
    const auto store_piece = [&]() {
        if (pieces == 4) aopt__tapgemm_stage<0>(stage, group, done);
        else if (pieces == 3) aopt__tapgemm_send<0, WIDE>(p, map, of_done, group, stage);
        else if (pieces == 2) aopt__tapgemm_stage<1>(stage, group, done);
        else if (pieces == 1) aopt__tapgemm_send<1, WIDE>(p, map, of_done, group, stage);
        pieces -= pieces > 0;
    };

    for (int i = (int)blockIdx.x; i < p.tiles; i += (int)gridDim.x, aopt__tile_advance<WIDE>(p, t, by)) {
        int keep = 0, w_held = -1, a_held = -1;     /* slots that the group in flight reads */
        const auto release = [&]() {
            aopt__tapgemm_free<WIDE>(p, s.w_empty, w_held);
            aopt__tapgemm_free<!WIDE>(p, s.a_empty, a_held);
        };
        for (int k = 0; k < p.k_steps; k++) {
            const uint32_t a_rows = s.a_ring + a_slot * p.a_bytes + m0 * AOPT__TG_ROW;
            aopt__bar_wait(s.a_full + 8 * a_slot, a_phase);
            for (int j = 0; j < p.taps; j++) {
                const uint64_t a = aopt__wgmma_desc(a_rows + j * p.tile_rows * AOPT__TG_ROW), w = aopt__wgmma_desc(s.w_ring + w_slot * W_BYTES);
                aopt__bar_wait(s.w_full + 8 * w_slot, w_phase);
                aopt__wgmma_fence();
#pragma unroll
                for (int c = 0; c < AOPT__TG_K / 16; c++) {     /* k16 steps of 32 bytes; addresses in units of 16 */
                    if constexpr (WIDE) aopt__wgmma_m64n256k16(acc, a + 2 * c, w + 2 * c, keep);
                    else {
                        aopt__wgmma_m64n128k16(*(float (*)[64])acc, a + 2 * c, w + 2 * c, keep);
                        aopt__wgmma_m64n128k16(*(float (*)[64])(acc + 64), a + 64 * AOPT__TG_ROW / 16 + 2 * c, w + 2 * c, keep);
                    }
                    keep = 1;
                }
                aopt__wgmma_commit();
                if (w_held >= 0 && (p.taps == 1 || a_held < 0)) store_piece();     /* no piece delays the return of one of few slots of a */
                aopt__wgmma_wait<1>();              /* all but the group just issued are done */
                release();
                w_held = w_slot; a_held = -1;
                aopt__ring_next(w_slot, w_phase, p.w_stages);
            }
            a_held = a_slot;
            aopt__ring_next(a_slot, a_phase, p.a_stages);
        }
        while (pieces > 0) store_piece();           /* where a tile has fewer steps */
        aopt__wgmma_wait<0>();
        release();
        aopt__tapgemm_pack<RAW, WIDE>(p, t.n, acc, done);
        of_done = t;
        of_done.row += m0_row; of_done.frame += m0_frame;
        pieces = 4;
    }
    while (pieces > 0) store_piece();
    if ((threadIdx.x & 127) == 0) asm volatile("cp.async.bulk.wait_group 0;" ::: "memory");
}
#endif

/* The tap GEMM on Hopper.  Reference: gemm_ref in tests/test_fast.cu.
   Block      256 x 128 outputs, persistent.  Warpgroup 0 loads (warp 0: a, warp 1: w); warpgroups 1 and 2 multiply
              128 rows each as two m64n128 halves.  A cluster is one block or two side by side along n.
              WIDE (RAW alone): 128 x 256, 64 rows each as m64n256, which reads a sixth less of shared memory.  A cluster is one block or two below each other, which bring half of w each, for both.
   Why        one box of a, tile_frames + taps - 1 frames of tile_rows rows and 64 k, serves all taps: a tap is a shift of
              tile_rows*128 bytes, a multiple of the swizzle's 1024.  The two blocks of a pair bring half a box each, for both.  Per k64 step of
              1024 clocks a block takes 16 KB of w from L2, and of a 16 KB (one tap) or 7 KB (three taps, tile_rows 32) in a pair, 32 or 13 KB alone.
              Under steady load the limit is the chip's power: clocks fall to 1.2 to 1.6 GHz.
   Order      sums over k in steps of 64, taps inside, then k16: fixed, so results do not depend on grid, stages or tile shape.
   Launch     384 threads, clusters of 1 or 2, one block per multiprocessor, up to 227 KB of shared memory.
   RAW        alpha is 1 and there is no bias.
   Traffic    a: (tile_frames + taps - 1) / tile_frames * n_tiles / cluster times through L2, once from DRAM where the tiles of
              one wave fit there; w: once; c: written once. */
template <bool RAW, bool WIDE>
__global__ void __launch_bounds__(AOPT__TG_THREADS, 1)
aopt_k_tapgemm(const __grid_constant__ aopt__tapgemm_maps maps, const aopt__tapgemm_params p)
{
#if AOPT__SM90A
    extern __shared__ __align__(1024) unsigned char aopt__smem[];
    const int group = __shfl_sync(0xffffffffu, (int)threadIdx.x >> 7, 0);    /* the same in all of a warp, which the compiler then knows: descriptors in uniform registers */
    aopt__tapgemm_smem s;
    s.c_stage = ((uint32_t)__cvta_generic_to_shared(aopt__smem) + 1023u) & ~1023u;
    s.a_ring = s.c_stage + AOPT__TG_C_BYTES;
    s.w_ring = s.a_ring + p.a_stages * p.a_bytes;
    s.a_full = s.w_ring + p.w_stages * aopt__tg_w_bytes(WIDE);
    s.a_empty = s.a_full + 8 * AOPT__TG_MAX_STAGES;
    s.w_full = s.a_empty + 8 * AOPT__TG_MAX_STAGES;
    s.w_empty = s.w_full + 8 * AOPT__TG_MAX_STAGES;

    if (threadIdx.x == 0) {
        for (int i = 0; i < AOPT__TG_MAX_STAGES; i++) {
            aopt__bar_init(s.a_full + 8 * i, 1);
            aopt__bar_init(s.w_full + 8 * i, 1);
            aopt__bar_init(s.a_empty + 8 * i, WIDE ? 8 : 8 * p.cluster);    /* one arrival per multiplying warp, of the cluster where all of it reads what comes */
            aopt__bar_init(s.w_empty + 8 * i, WIDE ? 8 * p.cluster : 8);
        }
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
    aopt__cluster_sync();
    if (group > 0) {                                    /* 128 sums, 64 packed ones and 40 more.  256*232 + 128*40 = 384*168, what the launch gave: more would wait forever */
        asm volatile("setmaxnreg.inc.sync.aligned.u32 232;");
        aopt__tapgemm_multiply<RAW, WIDE>(p, s, &maps.c, group);
    } else {
        asm volatile("setmaxnreg.dec.sync.aligned.u32 40;");
        if (threadIdx.x == 0) aopt__tapgemm_load_a<WIDE>(p, s, maps);
        else if (threadIdx.x == 32) aopt__tapgemm_load_w<WIDE>(p, s, &maps.w);
    }
    aopt__cluster_sync();                               /* another block still sends rows and arrivals here */
#endif
}

/* c[p][n] += bias[n].  c fp16 [P] rows c_row apart.  Launch: one thread per element, grid-stride. */
__global__ static void aopt_k_add_bias(__half *c, const float *bias, int64_t P, int64_t n, int64_t c_row)
{
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < P * n; i += step) {
        __half *v = c + i / n * c_row + i % n;
        *v = __float2half_rn(__half2float(*v) + bias[i % n]);
    }
}

/* ---- weights ---- */
/* F(M,3): y = A^T [(G g) * (B^T d)].  Points: 0, pairs +-p, infinity; found by minimising the noise of fp16 operands and products: F(4) has 3.5 dB less
   of it than 0, +-1, +-2 give, which makes it better than direct bf16; over two axes F(6) has 13 dB more than F(4).
   Rows of B^T are monic polynomials times `row`, norms 0.9 to 1.9; A^T is the Vandermonde matrix of the points; G takes the inverse. */
template <int M> struct aopt__wino;
template <> struct aopt__wino<4> { static constexpr double a = AOPT__WINO_A, b = AOPT__WINO_B, c = 0.0, row = AOPT__WINO_ROW; };
template <> struct aopt__wino<6> { static constexpr double a = 0.506, b = 1.0, c = 1.978, row = 0.25; };
/* The positive point of pair q of M / 2. */
template <int M> static __host__ __device__ constexpr double aopt__wino_point(int q) { return q == 0 ? aopt__wino<M>::a : q == 1 ? aopt__wino<M>::b : aopt__wino<M>::c; }

/* One thread per (t, co, ci); u NULL: only the maximum.  w f32 [co][ci][kt][taps] on the device.
   max: largest |sum| as the bits of a float, unscaled.  Launch: grid-stride. */
__global__ static void aopt_k_conv_weights(const float *w, const double *form, int products, int taps, int kt, int co, int ci,
                                    int64_t product_step, int64_t frame_step, double scale, __half *u, unsigned int *max)
{
    const int64_t n = (int64_t)kt * co * ci, step = (int64_t)gridDim.x * blockDim.x;
    float top = 0.0f;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const int64_t pair = i % ((int64_t)co * ci);
        const int t = (int)(i / ((int64_t)co * ci));
        double g[27];
        for (int j = 0; j < taps; j++) g[j] = (double)w[(pair * kt + t) * taps + j];
        for (int p = 0; p < products; p++) {
            double sum = 0.0;
            for (int j = 0; j < taps; j++) sum += form[p * taps + j] * g[j];
            if (u) u[p * product_step + t * frame_step + pair] = __double2half(sum * scale);
            top = fabs(sum) <= 3e38 ? fmaxf(top, fabsf((float)sum)) : INFINITY;     /* fmaxf alone would drop NaN */
        }
    }
    if (max) atomicMax(max, __float_as_uint(top));      /* non-negative floats order as their bits; max is order-free */
}

/* With a carry: one thread per (t, co, ci), product by product; the errors so far are in shared memory.  Launch: 32 threads, products * 256 bytes; grid-stride. */
__global__ static void __launch_bounds__(32) aopt_k_carry_weights(const float *w, const double *form, const double *carry, int products, int taps, int kt, int co, int ci,
                                                                  int64_t product_step, int64_t frame_step, double scale, __half *u)
{
    extern __shared__ __align__(16) unsigned char aopt__ring[];
    double *const error = (double *)aopt__ring + threadIdx.x;       /* of product p at 32 * p */
    const int64_t n = (int64_t)kt * co * ci, step = (int64_t)gridDim.x * 32;
    for (int64_t i = (int64_t)blockIdx.x * 32 + threadIdx.x; i < n; i += step) {
        const int64_t pair = i % ((int64_t)co * ci);
        const int t = (int)(i / ((int64_t)co * ci));
        double g[27];
        for (int j = 0; j < taps; j++) g[j] = (double)w[(pair * kt + t) * taps + j] * scale;
        for (int p = 0; p < products; p++) {
            double sum = 0.0;
            for (int j = 0; j < taps; j++) sum += form[p * taps + j] * g[j];
            for (int q = 0; q < p; q++) sum -= carry[p * products + q] * error[32 * q];
            const __half h = __double2half(sum);
            error[32 * p] = (double)__half2float(h) - sum;
            u[p * product_step + t * frame_step + pair] = h;
        }
    }
}

/* ---- norm ---- */
/* Sum 16 per-pixel values over the 32 lanes: lane l returns the sum for pixel l/2.  A fixed tree: deterministic. */
template <int N> static __device__ __forceinline__ void aopt__reduce_step(float (&v)[16])
{
    const bool high = (threadIdx.x & (2 * N)) != 0;
#pragma unroll
    for (int i = 0; i < N; i++) {
        const float give = high ? v[i] : v[i + N], keep = high ? v[i + N] : v[i];
        v[i] = keep + __shfl_xor_sync(0xffffffffu, give, 2 * N);
    }
}
static __device__ __forceinline__ float aopt__reduce16(float (&v)[16])
{
    aopt__reduce_step<8>(v);
    aopt__reduce_step<4>(v);
    aopt__reduce_step<2>(v);
    aopt__reduce_step<1>(v);
    return v[0] + __shfl_xor_sync(0xffffffffu, v[0], 1);
}
static __device__ __forceinline__ float aopt__norm_factor(float sum_sq, float sqrt_c)
{
    return sqrt_c / fmaxf(sqrtf(sum_sq), 1e-12f);
}

/* Launch: one warp per position, 8 per block.  Traffic: 2*P*C bytes. */
__global__ static void aopt_k_norm_factor(const __half *x, float *r, int64_t P, int C, float sqrt_c)
{
    const int lane = (int)threadIdx.x & 31;
    const int64_t p = (int64_t)blockIdx.x * 8 + (threadIdx.x >> 5);
    float ss = 0.0f;
    if (p >= P) return;
    for (int c = 2 * lane; c < C; c += 64) {
        const float2 v = __half22float2(*(const __half2 *)(x + p * C + c));
        ss = fmaf(v.x, v.x, fmaf(v.y, v.y, ss));
    }
    for (int d = 16; d > 0; d >>= 1) ss += __shfl_xor_sync(0xffffffffu, ss, d);
    if (lane == 0) r[p] = aopt__norm_factor(ss, sqrt_c);
}

/* Launch: 8 channels per thread.  Traffic: 4*P*C bytes. */
template <bool SILU>
__global__ void aopt_k_norm(const __half *x, const float *r, const float *gamma, __half *y, int64_t P, int C)
{
    const unsigned id = blockIdx.x * 256u + threadIdx.x, n = (unsigned)C / 8u;
    const int64_t i = id;
    if (i >= P * n) return;
    const int c = (int)(id % n) * 8;
    const float k = r[id / n];
    union { uint4 q; __half h[8]; } v;
    v.q = *(const uint4 *)(x + i * 8);
#pragma unroll
    for (int j = 0; j < 8; j++) {
        const float x1 = __half2float(v.h[j]) * (k * gamma[c + j]);
        v.h[j] = __float2half_rn(SILU ? aopt__silu(x1, 1.0f) : x1);
    }
    *(uint4 *)(y + i * 8) = v.q;
}

/* y = a + b and r of y as stored.  Launch: one warp per position, 8 per block.  Traffic: 6*P*C bytes. */
__global__ static void aopt_k_add_norm(const __half *a, const __half *b, __half *y, float *r, int64_t P, int C, float sqrt_c)
{
    const int lane = (int)threadIdx.x & 31;
    const int64_t p = (int64_t)blockIdx.x * 8 + (threadIdx.x >> 5);
    float ss = 0.0f;
    if (p >= P) return;
    for (int c = 2 * lane; c < C; c += 64) {
        const float2 u = __half22float2(*(const __half2 *)(a + p * C + c)), v = __half22float2(*(const __half2 *)(b + p * C + c));
        const __half2 h = __floats2half2_rn(u.x + v.x, u.y + v.y);
        const float2 s = __half22float2(h);
        *(__half2 *)(y + p * C + c) = h;
        ss = fmaf(s.x, s.x, fmaf(s.y, s.y, ss));
    }
    for (int d = 16; d > 0; d >>= 1) ss += __shfl_xor_sync(0xffffffffu, ss, d);
    if (lane == 0) r[p] = aopt__norm_factor(ss, sqrt_c);
}

/* max |x| as the bits of a float; NaN is larger than all.  Launch: grid-stride. */
__global__ static void aopt_k_max_abs(const __half *x, int64_t n, unsigned int *max)
{
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    unsigned int top = 0;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < n; i += step) {
        const unsigned int bits = __float_as_uint(fabsf(__half2float(x[i])));
        if (bits > top) top = bits;
    }
    for (int d = 16; d > 0; d >>= 1) { const unsigned int other = __shfl_xor_sync(0xffffffffu, top, d); if (other > top) top = other; }
    if ((threadIdx.x & 31) == 0) atomicMax(max, top);
}

/* ---- the latent, attention ---- */
/* One thread per position and group of 8 outputs; a position's inputs are read once per group, from caches.  Launch: grid-stride. */
__global__ static void aopt_k_point_in(const float *x, int64_t x_channel, const float *w, const float *bias, __half *y, int64_t P, int ci, int C)
{
    const int groups = C / 8;
    const int64_t step = (int64_t)gridDim.x * blockDim.x;
    for (int64_t i = (int64_t)blockIdx.x * blockDim.x + threadIdx.x; i < P * groups; i += step) {
        const int64_t p = i % P;
        const int c = (int)(i / P) * 8;
        float o[8];
        union { uint4 q; __half h[8]; } v;
        for (int j = 0; j < 8; j++) o[j] = bias[c + j];
        for (int k = 0; k < ci; k++) {
            const float e = x[k * x_channel + p];
            for (int j = 0; j < 8; j++) o[j] = fmaf(w[k * C + c + j], e, o[j]);
        }
        for (int j = 0; j < 8; j++) v.h[j] = __float2half_rn(o[j]);
        *(uint4 *)(y + p * C + c) = v.q;
    }
}

/* Launch: 256 threads a row.  Three passes; the row stays in cache between them.  Fixed trees: deterministic. */
__global__ static void __launch_bounds__(256) aopt_k_softmax_half(const float *x, __half *y, int64_t columns, float scale, float out_scale)
{
    __shared__ float part[8];
    const float *v = x + (int64_t)blockIdx.x * columns;
    __half *o = y + (int64_t)blockIdx.x * columns;
    float top = -INFINITY, sum = 0.0f;
    for (int64_t i = threadIdx.x; i < columns; i += 256) top = fmaxf(top, v[i] * scale);
    for (int d = 16; d > 0; d >>= 1) top = fmaxf(top, __shfl_xor_sync(0xffffffffu, top, d));
    if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = top;
    __syncthreads();
    for (int i = 0; i < 8; i++) top = fmaxf(top, part[i]);
    for (int64_t i = threadIdx.x; i < columns; i += 256) sum += expf(v[i] * scale - top);
    for (int d = 16; d > 0; d >>= 1) sum += __shfl_xor_sync(0xffffffffu, sum, d);
    __syncthreads();
    if ((threadIdx.x & 31) == 0) part[threadIdx.x >> 5] = sum;
    __syncthreads();
    sum = 0.0f;
    for (int i = 0; i < 8; i++) sum += part[i];
    sum = out_scale / sum;
    for (int64_t i = threadIdx.x; i < columns; i += 256) o[i] = __float2half_rn(expf(v[i] * scale - top) * sum);
}

/* ---- Winograd transforms ---- */

/* Coefficient of x^2k in the product of x^2 - p^2 over all pairs but `but`. */
template <int M> static __host__ __device__ constexpr double aopt__wino_poly(int but, int k)
{
    double c[4] = { 1.0, 0.0, 0.0, 0.0 };
    for (int q = 0; q < M / 2; q++)
        if (q != but)
            for (int i = 3; i >= 0; i--) c[i] = (i ? c[i - 1] : 0.0) - aopt__wino_point<M>(q) * aopt__wino_point<M>(q) * c[i];
    return c[k];
}
/* That polynomial of d[0], d[2], ... times scale; its leading coefficient is 1. */
template <int M, int BUT, int K = 0> static __device__ __forceinline__ float aopt__wino_even(const float *d, float scale)
{
    if constexpr (K == M / 2 - (BUT >= 0)) return scale * d[2 * K];
    else {
        constexpr float c = (float)aopt__wino_poly<M>(BUT, K);
        return fmaf(c * scale, d[2 * K], aopt__wino_even<M, BUT, K + 1>(d, scale));
    }
}
template <int M, int Q> static __device__ __forceinline__ void aopt__wino_pair(const float *d, float *o, float scale)
{
    constexpr float p = (float)aopt__wino_point<M>(Q);
    const float even = aopt__wino_even<M, Q>(d, 1.0f), odd = aopt__wino_even<M, Q>(d + 1, scale);
    o[2 * Q] = fmaf(p * scale, even, odd);
    o[2 * Q + 1] = fmaf(-p * scale, even, odd);
}
/* scale * B^T d along one axis, rows monic (`row` is in a scale, here or in the data): 12 and 24 FMA for M = 4 and 6, and two products for a scale, a constant, which is not 1. */
template <int M> static __device__ __forceinline__ void aopt__wino_bt(const float (&d)[M + 2], float (&o)[M + 2], float scale = 1.0f)
{
    o[0] = aopt__wino_even<M, -1>(d, scale);
    aopt__wino_pair<M, 0>(d + 1, o + 1, scale);                     /* but for the point 0, every polynomial has the factor x */
    aopt__wino_pair<M, 1>(d + 1, o + 1, scale);
    if constexpr (M == 6) aopt__wino_pair<M, 2>(d + 1, o + 1, scale);
    o[M + 1] = aopt__wino_even<M, -1>(d + 1, scale);
}

enum { AOPT__WINO_STAGES = 3, AOPT__WINO_PX = 128 /* bytes of the 64 channels of a position */ };

/* Input transform: warps of a block. */
template <int M> static __host__ __device__ constexpr int aopt__wino_warps() { return M == 6 ? 4 : 8; }

/* Two channels as f32. */
static __device__ __forceinline__ float2 aopt__load2(const void *p) { return __half22float2(*(const __half2 *)p); }
/* One row of a tile's window, M + 2 positions of 64 channels in shared memory: norm, SiLU, scale, B^T along W, of two channels.  M = 6: gamma is half of it, SiLU by tanh. */
template <bool NORM, int M>
static __device__ __forceinline__ void aopt__wino_row(const char *x, const float *r, float2 gamma, float (&row)[2][M + 2])
{
    constexpr float scale = (float)(aopt__wino<M>::row * aopt__wino<M>::row);
    float d[2][M + 2];
#pragma unroll
    for (int j = 0; j < M + 2; j++) {
        const float2 u = aopt__load2(x + j * AOPT__WINO_PX);
        if constexpr (!NORM) { d[0][j] = u.x; d[1][j] = u.y; }
        else {
            const float s = u.x * (r[j] * gamma.x), t = u.y * (r[j] * gamma.y);
            d[0][j] = M == 6 ? aopt__silu_fast(s) : aopt__silu(s, 1.0f / scale);
            d[1][j] = M == 6 ? aopt__silu_fast(t) : aopt__silu(t, 1.0f / scale);
        }
    }
#pragma unroll
    for (int i = 0; i < 2; i++) aopt__wino_bt<M>(d[i], row[i], NORM && M == 4 ? 1.0f : scale);
}

/* Reference: wino_input_ref in tests/test_fast.cu.  Norm, SiLU (M = 6: by tanh.approx) and both passes in f32, one rounding.
   Launch     8 warps (M = 6: 4) walk down a strip of tiles, SLICES slices of 64 channels and warps/SLICES tiles wide; a warp has one slice of one tile,
              two channels a lane.  x comes in groups of M rows (Mg+1 .. Mg+M: tile row ty needs group ty and the end of group
              ty-1) through a ring of STAGES in shared memory; the two rows that successive tiles share stay in registers,
              transformed; the two columns that neighbours share are computed twice.
   Traffic    x read (Mn+2)/Mn times, n = warps/SLICES (once from DRAM), v written once: 2*C + 4.5*C bytes a position, 2*C + 3.6*C for M = 6. */
template <bool NORM, int SLICES, int M>
__global__ void __launch_bounds__(32 * aopt__wino_warps<M>(), M == 6 ? 3 : 2) aopt_k_wino_input(const aopt_wino_input a, int strip)
{
    enum { STAGES = AOPT__WINO_STAGES, N = M + 2, WARPS = aopt__wino_warps<M>(), THREADS = 32 * WARPS, TILES = WARPS / SLICES, PX = M * TILES + 2,
           ROW_BYTES = PX * AOPT__WINO_PX, SLICE_BYTES = M * ROW_BYTES, SLOT_BYTES = SLICES * SLICE_BYTES };
    extern __shared__ __align__(16) unsigned char aopt__ring[];     /* [STAGES][SLICES][M][PX][64] fp16, then [STAGES][M][PX] f32 */
    float *const ring_r = (float *)(aopt__ring + STAGES * SLOT_BYTES);
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    const int C = a.C, H = (int)a.H, W = (int)a.W, tiles_y = (H + M - 1) / M, tiles_x = (W + M - 1) / M;
    const int slice_blocks = (C + 64 * SLICES - 1) / (64 * SLICES);
    const int c0 = (int)blockIdx.x % slice_blocks * SLICES * 64, tx0 = (int)blockIdx.x / slice_blocks * TILES;
    const int c = c0 + warp % SLICES * 64 + 2 * lane, tx = tx0 + warp / SLICES;
    const int ty0 = (int)blockIdx.y * strip, ty1 = min(ty0 + strip, tiles_y);
    const bool mine = c < C && tx < tiles_x;
    const int64_t f = (int64_t)blockIdx.z - (a.v_last ? 0 : 2), P = (int64_t)H * W, tiles = (int64_t)tiles_y * tiles_x;
    const float *r = !NORM ? NULL : f >= 0 ? a.r + f * P : a.history ? a.r_history + (f + 2) * P : a.r;
    const bool last = a.v_last && f >= a.frames - 2, frame_in = f >= 0 || a.history;    /* no history: every row is outside */
    const int frames_of_v = last ? 2 : (int)a.frames + (a.v_last ? -2 : 2);
    const __half *const x = f >= 0 ? a.x + f * P * C : a.history ? a.history + (f + 2) * P * C : a.x;

    const auto fetch = [&](int g) {                                 /* rows Mg+1 .. Mg+M into their slot */
        const int slot = (g + STAGES) % STAGES;
        if (g < ty1) {
            const uint32_t to = (uint32_t)__cvta_generic_to_shared(aopt__ring) + (uint32_t)(slot * SLOT_BYTES);
            for (int q = (int)threadIdx.x; q < SLICES * PX * 8; q += THREADS) {     /* 16 bytes of each row */
                const int px = M * tx0 - 1 + q / 8 % PX, ch = c0 + q / (8 * PX) * 64 + q % 8 * 8;
                const bool in = px >= 0 && px < W && ch < C;
                const __half *from = x + ((M * g + 1) * W + px) * C + ch;
#pragma unroll
                for (int i = 0; i < M; i++) {
                    const bool here = in && frame_in && (unsigned)(M * g + 1 + i) < (unsigned)H;
                    aopt__copy16(to + q / (8 * PX) * SLICE_BYTES + i * ROW_BYTES + q % (8 * PX) * 16, here ? from : x, here ? 16 : 0);
                    from += W * C;
                }
            }
            if (NORM)
                for (int q = (int)threadIdx.x; q < M * PX; q += THREADS) {
                    const int y = M * g + 1 + q / PX, px = M * tx0 - 1 + q % PX;
                    const bool in = frame_in && (unsigned)y < (unsigned)H && (unsigned)px < (unsigned)W;
                    aopt__copy4((uint32_t)__cvta_generic_to_shared(ring_r + slot * M * PX + q), in ? r + y * W + px : r, in ? 4 : 0);
                    if (M * PX <= THREADS) break;
                }
        }
        aopt__copy_commit();                                        /* a group even if empty: the wait counts groups */
    };

    float row[N][2][N];
    const float half = M == 6 ? 0.5f : 1.0f;
    const float2 gamma = NORM && mine ? make_float2(half * a.gamma[c], half * a.gamma[c + 1]) : make_float2(0.0f, 0.0f);
    __half *v = (last ? a.v_last : a.v) + ((last ? f + 2 - a.frames : a.v_last ? f : f + 2) * tiles + (int64_t)ty0 * tiles_x + tx) * C + c;
#pragma unroll
    for (int s = 0; s < STAGES - 1; s++) fetch(ty0 - 1 + s);
    for (int g = ty0 - 1; g < ty1; g++) {
        const int slot = (g + STAGES) % STAGES;
        const char *xs = (const char *)aopt__ring + slot * SLOT_BYTES + warp % SLICES * SLICE_BYTES + warp / SLICES * M * AOPT__WINO_PX + lane * 4;
        const float *rs = ring_r + slot * M * PX + warp / SLICES * M;
        aopt__copy_wait<STAGES - 2>();
        __syncthreads();
        fetch(g + STAGES - 1);                                      /* into the slot that all have just left */
        if (g >= ty0 && mine) {
            const uint32_t plane = aopt__opaque32((uint32_t)(frames_of_v * tiles * C * 2));
#pragma unroll
            for (int i = 0; i < M; i++) aopt__wino_row<NORM, M>(xs + i * ROW_BYTES, rs + i * PX, gamma, row[i + 2]);
#pragma unroll
            for (int l = 0; l < N; l++) {
                float o[2][N];
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float d[N];
#pragma unroll
                    for (int k = 0; k < N; k++) d[k] = row[k][i][l];
                    aopt__wino_bt<M>(d, o[i]);
                    row[0][i][l] = row[M][i][l];
                    row[1][i][l] = row[M + 1][i][l];
                }
#pragma unroll
                for (int k = 0; k < N; k++) *(__half2 *)((char *)v + (uint64_t)plane * (uint32_t)(N * k + l)) = __floats2half2_rn(o[0][k], o[1][k]);
            }
            v += (int64_t)tiles_x * C;
        } else if (mine) {
#pragma unroll
            for (int i = 0; i < 2; i++) aopt__wino_row<NORM, M>(xs + (i + M - 2) * ROW_BYTES, rs + (i + M - 2) * PX, gamma, row[i]);
        }
    }
}

/* Round two channels to fp16, store them, return the sum of squares of what was stored. */
static __device__ __forceinline__ float aopt__store2(__half *p, float x, float y)
{
    const __half2 h = __floats2half2_rn(x, y);
    const float2 f = __half22float2(h);
    *(__half2 *)p = h;
    return fmaf(f.x, f.x, f.y * f.y);
}
static __device__ __forceinline__ void aopt__load4(const __half *p, float (&o)[4])
{
    union { uint2 q; __half2 h[2]; } u;
    u.q = *(const uint2 *)p;
    const float2 x = __half22float2(u.h[0]), y = __half22float2(u.h[1]);
    o[0] = x.x; o[1] = x.y; o[2] = y.x; o[3] = y.y;
}
static __device__ __forceinline__ void aopt__store4(__half *p, const float (&v)[4])
{
    union { uint2 q; __half2 h[2]; } u;
    u.h[0] = __floats2half2_rn(v[0], v[1]);
    u.h[1] = __floats2half2_rn(v[2], v[3]);
    *(uint2 *)p = u.q;
}
/* The norm factor of up to 16 pixels of a patch whose channels are spread over the lanes and blockDim.y warps: sum is
   aopt__reduce16's.  Lanes 0..15 of warp y = 0 return pixel `lane`.  Blocks are (32, warps, patches); every thread must call. */
static __device__ __forceinline__ float aopt__patch_norm(float (&part)[8][16], float sum, float sqrt_c)
{
    const int lane = (int)threadIdx.x, warp = (int)threadIdx.y + (int)blockDim.y * (int)threadIdx.z;
    float total = 0.0f;
    if (!(lane & 1)) part[warp][lane >> 1] = sum;
    __syncthreads();
    if (threadIdx.y == 0 && lane < 16)
        for (int i = 0; i < (int)blockDim.y; i++) total += part[warp + i][lane];
    return aopt__norm_factor(total, sqrt_c);
}

/* The point of pair q to the power k, up to 5.  No loop: q and k are constants once their loops are unrolled, and a loop of doubles would stay. */
template <int M> static __host__ __device__ constexpr float aopt__wino_power(int q, int k)
{
    const double p = aopt__wino_point<M>(q), even = k < 2 ? 1.0 : k < 4 ? p * p : p * p * p * p;
    return (float)(k & 1 ? even * p : even);
}

/* o = A^T d along one axis, two channels. */
template <int M> static __device__ __forceinline__ void aopt__wino_at(const float2 (&d)[M + 2], float2 (&o)[M])
{
    enum { N = M + 2, PAIRS = M / 2 };
#define AOPT__AXIS(x) do { \
        float even[PAIRS], odd[PAIRS]; \
        _Pragma("unroll") for (int q = 0; q < PAIRS; q++) { even[q] = d[1 + 2 * q].x + d[2 + 2 * q].x; odd[q] = d[1 + 2 * q].x - d[2 + 2 * q].x; } \
        o[0].x = d[0].x + even[0]; \
        _Pragma("unroll") for (int q = 1; q < PAIRS; q++) o[0].x += even[q]; \
        _Pragma("unroll") for (int k = 1; k < M; k++) { \
            const float last = (k & 1 ? odd : even)[PAIRS - 1], p = aopt__wino_power<M>(PAIRS - 1, k); \
            o[k].x = k == M - 1 ? fmaf(p, last, d[N - 1].x) : p * last; \
            _Pragma("unroll") for (int q = PAIRS - 2; q >= 0; q--) o[k].x = fmaf(aopt__wino_power<M>(q, k), (k & 1 ? odd : even)[q], o[k].x); \
        } } while (0)
    AOPT__AXIS(x);
    AOPT__AXIS(y);
#undef AOPT__AXIS
}
/* The same along H for column l of a tile, m in shared memory, `bytes` from product to product. */
template <int M> static __device__ __forceinline__ void aopt__wino_column(const char *m, int bytes, int l, float2 (&o)[M])
{
    enum { N = M + 2 };
    float2 d[N];
#pragma unroll
    for (int k = 0; k < N; k++) d[k] = aopt__load2(m + (N * k + l) * bytes);
    aopt__wino_at<M>(d, o);
}
/* o[i][j] = A^T m A of a tile, two channels.  A column adds into the M output columns at once, points +-p in pairs, so
   that only the sums stay in registers. */
template <int M> static __device__ __forceinline__ void aopt__wino_patch(const char *m, int bytes, float2 (&o)[M][M])
{
    float2 t[M], u[M];
    aopt__wino_column<M>(m, bytes, 0, t);
#pragma unroll
    for (int i = 0; i < M; i++) {
        o[i][0] = t[i];
#pragma unroll
        for (int j = 1; j < M; j++) o[i][j] = make_float2(0.0f, 0.0f);
    }
#pragma unroll
    for (int q = 0; q < M / 2; q++) {
        aopt__wino_column<M>(m, bytes, 1 + 2 * q, t);
        aopt__wino_column<M>(m, bytes, 2 + 2 * q, u);
#define AOPT__AXIS(x) do { \
            const float even = t[i].x + u[i].x, odd = t[i].x - u[i].x; \
            o[i][0].x += even; \
            _Pragma("unroll") for (int j = 1; j < M; j++) o[i][j].x = fmaf(aopt__wino_power<M>(q, j), j & 1 ? odd : even, o[i][j].x); } while (0)
#pragma unroll
        for (int i = 0; i < M; i++) { AOPT__AXIS(x); AOPT__AXIS(y); }
#undef AOPT__AXIS
    }
    aopt__wino_column<M>(m, bytes, M + 1, t);
#pragma unroll
    for (int i = 0; i < M; i++) { o[i][M - 1].x += t[i].x; o[i][M - 1].y += t[i].y; }
}

/* The rest of a tile of which `rows` x `columns` positions exist (WHOLE: all): y = alpha * o + bias + residual, stored, or with ACT left in o.
   res: the residual, `bytes` from position to position, or NULL.  to: the tile's first position, `line` and `step` bytes from row to row and position to position.
   sum_sq: of the sums, R rows of the tile at a time, over a warp's channels: lane 2i has position i. */
template <bool WHOLE, bool ACT, int M, int PARTS>
static __device__ __forceinline__ void aopt__wino_finish(const char *res, int bytes, float alpha, float2 bias, char *to, uint32_t line, uint32_t step,
                                                         int rows, int columns, float2 (&o)[M][M], float (&sum_sq)[PARTS])
{
    enum { R = M / PARTS };
#pragma unroll
    for (int k = 0; k < PARTS; k++) {
        float ss[16];
#pragma unroll
        for (int i = 0; i < 16; i++) {
            const int y = k * R + i / M, x = i % M;
            ss[i] = 0.0f;
            if (i >= R * M || (!WHOLE && (y >= rows || x >= columns))) continue;
            float2 add = bias, &v = o[y][x];
            if (res) { const float2 e = aopt__load2(res + (y * M + x) * bytes); add.x += e.x; add.y += e.y; }
            v = make_float2(fmaf(v.x, alpha, add.x), fmaf(v.y, alpha, add.y));
            if (ACT) ss[i] = fmaf(v.x, v.x, v.y * v.y);
            else ss[i] = aopt__store2((__half *)(to + (uint64_t)line * (uint32_t)y + (uint64_t)step * (uint32_t)x), v.x, v.y);
        }
        sum_sq[k] += aopt__reduce16(ss);
    }
}

/* Threads of a block: with M = 6 its 50 KB of products and residual let four blocks share a multiprocessor. */
template <int M> static __host__ __device__ constexpr int aopt__wino_threads() { return M == 6 ? 128 : 256; }

/* Reference: wino_output_ref in tests/test_fast.cu.  Everything in f32, one rounding; r from the rounded values.
   Launch     blocks (32, warps, tiles) of 256 or 128: `warps` warps share a tile's channels, 2 a lane, and loop if those are more.
              Products and residual, 52 KB (M = 6: 50), arrive by asynchronous copies; three blocks (M = 6: four) to a multiprocessor overlap copies with
              arithmetic.  Squares are added up for 16 or 12 positions at a time.
   ACT        y = silu(norm * gamma) instead of the sum itself; one pass only, C <= 2 * threads, and no r.
   Traffic    4.5*C (M = 6: 3.6*C) + 2*C (residual) + 2*C bytes a position, each once. */
template <bool ACT, int M>
__global__ void __launch_bounds__(aopt__wino_threads<M>(), M == 6 ? 4 : 3) aopt_k_wino_output(const aopt_wino_output a, float sqrt_c)
{
    enum { PRODUCTS = (M + 2) * (M + 2), ROW = 4 * aopt__wino_threads<M>(), CHUNKS = ROW / 16, R = 16 / M, PARTS = M / R };
    extern __shared__ __align__(16) unsigned char stage[];          /* [PRODUCTS] rows of products, [M*M] of residual pixels, ROW bytes each */
    __shared__ float part[PARTS][8][16];
    const int C = a.C, H = (int)a.H, W = (int)a.W, tiles_x = (W + M - 1) / M, tiles = tiles_x * ((H + M - 1) / M);
    const int tile0 = (int)blockIdx.x * (int)blockDim.z, tile = tile0 + (int)threadIdx.z, ty = tile / tiles_x, tx = tile % tiles_x;
    const int id = (int)threadIdx.x + 32 * (int)(threadIdx.y + blockDim.y * threadIdx.z), width = 64 * (int)blockDim.y;
    const int64_t f = (int64_t)blockIdx.y;
    const char *mine = (const char *)stage + 4 * id;
    float sum_sq[PARTS];
#pragma unroll
    for (int k = 0; k < PARTS; k++) sum_sq[k] = 0.0f;

    for (int c0 = 0; c0 < C; c0 += width) {
        const int c = c0 + 2 * ((int)threadIdx.x + 32 * (int)threadIdx.y);
        {
            const int chunk = id % CHUNKS, first = id / CHUNKS, t = tile0 + chunk / (width / 8), ch = c0 + chunk % (width / 8) * 8;      /* first: 0 to 3 */
            const bool in = t < tiles && ch < C;
            const int64_t plane = aopt__opaque(a.frames * tiles * C);
            const __half *from = a.m + (in ? (f * tiles + t) * C + ch : 0) + first * plane;
            const uint32_t to = (uint32_t)__cvta_generic_to_shared(stage) + id * 16;
            if (c0) __syncthreads();
#pragma unroll
            for (int k = 0; k < PRODUCTS / 4; k++) aopt__copy16(to + k * 4 * ROW, from + k * 4 * plane, in ? 16 : 0);
            if (a.residual) {
                const int x0 = t % tiles_x * M, y0 = t / tiles_x * M;
#pragma unroll
                for (int k = 0; k < M * M / 4; k++) {
                    const int q = first + 4 * k, y = y0 + (M == 4 ? k : q / M), x = x0 + (M == 4 ? first : q % M);
                    const bool inside = in && y < H && x < W;
                    aopt__copy16(to + (PRODUCTS + k * 4) * ROW, a.residual + (inside ? ((f * H + y) * W + x) * C + ch : 0), inside ? 16 : 0);
                }
            }
            aopt__copy_commit();
        }
        const int rows = tile < tiles && c < C ? H - M * ty : 0, columns = W - M * tx;
        const uint32_t line = aopt__opaque32((uint32_t)W * (uint32_t)C * 2), step = aopt__opaque32((uint32_t)C * 2);
        char *const to = (char *)((f >= a.tail_at ? a.y_tail : a.y) + ((f * H + M * ty) * W + M * tx) * C + c);
        aopt__copy_wait<0>();
        __syncthreads();
        const float2 bias = rows ? *(const float2 *)(a.bias + c) : make_float2(0.0f, 0.0f);
        float2 o[M][M];
        aopt__wino_patch<M>(mine, ROW, o);
        const char *const res = a.residual ? mine + PRODUCTS * ROW : NULL;
        if (__all_sync(0xffffffffu, rows >= M && columns >= M))
            aopt__wino_finish<true, ACT, M>(res, ROW, a.alpha, bias, to, line, step, rows, columns, o, sum_sq);
        else aopt__wino_finish<false, ACT, M>(res, ROW, a.alpha, bias, to, line, step, rows, columns, o, sum_sq);
        if (ACT) {
            const float2 scale = rows ? *(const float2 *)(a.gamma + c) : make_float2(0.0f, 0.0f);
            const int row = (int)blockDim.y * (int)threadIdx.z;
#pragma unroll
            for (int k = 0; k < PARTS; k++) {                       /* the factor takes the place of the first warp's sum, which its lane alone has read */
                const float mean = aopt__patch_norm(part[k], sum_sq[k], sqrt_c);
                if (threadIdx.y == 0 && threadIdx.x < 16) part[k][row][threadIdx.x] = mean;
            }
            __syncthreads();
#pragma unroll
            for (int i = 0; i < M * M; i++) {
                if (i / M >= rows || i % M >= columns) continue;
                const float2 v = o[i / M][i % M];
                const float factor = part[i / (R * M)][row][i % (R * M)];
                *(__half2 *)(to + (uint64_t)line * (uint32_t)(i / M) + (uint64_t)step * (uint32_t)(i % M)) = __floats2half2_rn(aopt__silu(v.x * (factor * scale.x), 1.0f), aopt__silu(v.y * (factor * scale.y), 1.0f));
            }
            return;
        }
    }
    if (a.r) {
#pragma unroll
        for (int k = 0; k < PARTS; k++) {
            const float r = aopt__patch_norm(part[k], sum_sq[k], sqrt_c);
            const int p = (int)threadIdx.x, i = k * R + p / M, j = p % M;
            if (threadIdx.y == 0 && p < R * M && tile < tiles && M * ty + i < H && M * tx + j < W) a.r[(f * H + M * ty + i) * W + M * tx + j] = r;
        }
    }
}

/* ---- tiles of time ---- */
/* Along time F(4,3), with the matrices of M = 4, times F(M,3) along H and W: six combinations q of frames 4g-2 .. 4g+3 make frames 4g .. 4g+3. */

enum { AOPT__WINO_TIME_M = 4, AOPT__WINO_TIME_N = AOPT_WINO_TIME_PRODUCTS, AOPT__WINO_TIME_THREADS = 384, AOPT__WINO_TIME_CHANNELS = 64, AOPT__WINO_TIME_TILES = 2, AOPT__WINO_TIME_WARPS = 4, AOPT__WINO_TIME_SLOTS = 8,
       AOPT__WINO_TIME_R = 8 /* floats a position: r of six frames, and what aligns the next */, AOPT__WINO_TIME_BOX = 2 /* rows */ };

/* Boxes of a frame of x, its tail and its history: BOX rows, the positions that a block looks at, 64 channels.  Read where AOPT__SM90A. */
typedef struct aopt__wino_time_maps { CUtensorMap x, tail, history; } aopt__wino_time_maps;

/* Reference: wino_time_input_ref in tests/test_fast.cu.  SiLU by tanh.approx; the rest in f32, one rounding.
   Launch     12 warps, one block to a multiprocessor, walk down a strip of tiles as aopt_k_wino_input does: 64 channels of 2 tiles.  Rows Mg+1 .. Mg+M of six
              frames come into shared memory, on sm_90a in boxes; first a warp takes a position at a time, norm, SiLU and B^T along time, to f32 beside them; then it makes one
              combination of a tile, 2 channels a lane, while the next rows arrive.
   Traffic    x read 1.5 * (2M+2)/2M times (1.5 times from DRAM), v written once: with M = 4, 6 that is 3*C + 6.8*C, 3*C + 5.3*C bytes a position. */
template <int M>
__global__ void __launch_bounds__(AOPT__WINO_TIME_THREADS, 1) aopt_k_wino_time_input(const __grid_constant__ aopt__wino_time_maps maps, const aopt_wino_input a, int strip)
{
    enum { N = M + 2, FRAMES = AOPT__WINO_TIME_N, THREADS = AOPT__WINO_TIME_THREADS, CHANNELS = AOPT__WINO_TIME_CHANNELS, TILES = AOPT__WINO_TIME_TILES, PX = M * TILES + 2, FRAME_PX = M * PX,
           ALL_PX = FRAMES * FRAME_PX, R_ROW = AOPT__WINO_TIME_R };
    constexpr float scale = (float)(aopt__wino<M>::row * aopt__wino<M>::row * aopt__wino<4>::row);
    extern __shared__ __align__(128) unsigned char aopt__boxes[];   /* combinations f32 [FRAMES][M][PX][CHANNELS], x fp16 likewise, r f32 [M][PX][R_ROW] */
    float *const combined = (float *)aopt__boxes;
    const __half *const raw = (const __half *)(combined + ALL_PX * CHANNELS);
    const float *const raw_r = (const float *)(raw + ALL_PX * CHANNELS);
    __shared__ const float *r[FRAMES];
#if AOPT__SM90A
    __shared__ uint64_t full;
    const uint32_t bar = (uint32_t)__cvta_generic_to_shared(&full);
    uint32_t phase = 0;
#else
    __shared__ const __half *x[FRAMES];
    (void)maps;
#endif
    const int lane = (int)threadIdx.x & 31, warp = (int)threadIdx.x >> 5;
    const int C = a.C, H = (int)a.H, W = (int)a.W, tiles_y = (H + M - 1) / M, tiles_x = (W + M - 1) / M;
    const int slice_blocks = (C + CHANNELS - 1) / CHANNELS;
    const int c0 = (int)blockIdx.x % slice_blocks * CHANNELS, tx0 = (int)blockIdx.x / slice_blocks * TILES;
    const int q = warp / TILES, tx = tx0 + warp % TILES, c = c0 + 2 * lane;         /* the combination, the tile, the first channel that a thread makes */
    const int ty0 = (int)blockIdx.y * strip, ty1 = min(ty0 + strip, tiles_y);
    const bool mine = c < C && tx < tiles_x;
    const int64_t group = (int64_t)blockIdx.z, P = (int64_t)H * W, tiles = (int64_t)tiles_y * tiles_x;

    const auto frame_in = [&](int64_t f) { return f < a.frames && (f >= 0 || (f >= -2 && a.history)); };
    if (threadIdx.x < FRAMES) {
        const int64_t f = AOPT__WINO_TIME_M * group + (int)threadIdx.x - 2 - a.front;
        r[threadIdx.x] = !frame_in(f) ? NULL : f >= 0 ? a.r + f * P : a.r_history + (f + 2) * P;
#if !AOPT__SM90A
        x[threadIdx.x] = !frame_in(f) ? NULL : f >= a.tail_at ? a.tail + f * P * C : f >= 0 ? a.x + f * P * C : a.history + (f + 2) * P * C;
#endif
    }
#if AOPT__SM90A
    if (threadIdx.x == 0) {
        aopt__bar_init(bar, FRAMES);
        asm volatile("fence.mbarrier_init.release.cluster;" ::: "memory");
    }
#endif
    __syncthreads();

    const auto fetch = [&](int g, int skip) {                       /* rows Mg+1+skip .. Mg+M of all frames */
#if AOPT__SM90A
        if (warp < FRAMES && lane == 0) {                           /* a warp takes a frame */
            const int f = AOPT__WINO_TIME_M * (int)group + warp - 2 - a.front;
            const bool in = frame_in(f), tail = f >= a.tail_at;
            const CUtensorMap *const map = tail ? &maps.tail : f >= 0 ? &maps.x : &maps.history;
            const int at = !in ? -1 : tail ? f - (int)a.tail_at : f >= 0 ? f : f + 2;
            aopt__bar_expect(bar, (uint32_t)((M - skip) * PX * CHANNELS * 2));
#pragma unroll 1
            for (int row = skip; row < M; row += AOPT__WINO_TIME_BOX)
                aopt__tma_load((uint32_t)__cvta_generic_to_shared(raw + (warp * M + row) * PX * CHANNELS), map, bar, c0, M * tx0 - 1, M * g + 1 + row, at);
        }
        __syncwarp();
#else
        for (int i = warp; i < FRAMES * (M - skip); i += THREADS / 32) {    /* a warp takes a row of a frame */
            const int frame = i / (M - skip), row = skip + i % (M - skip), y = M * g + 1 + row;
            const __half *const from = x[frame];
            const uint32_t to = (uint32_t)__cvta_generic_to_shared(raw + (frame * M + row) * PX * CHANNELS);
#pragma unroll
            for (int k = 0; k < (PX * (CHANNELS / 8) + 31) / 32; k++) {
                const int at = lane + 32 * k, px = M * tx0 - 1 + at / (CHANNELS / 8), ch = c0 + at % (CHANNELS / 8) * 8;
                const bool in = from && (unsigned)y < (unsigned)H && (unsigned)px < (unsigned)W && ch < C;
                if (at < PX * (CHANNELS / 8)) aopt__copy16(to + at * 16, in ? from + (y * W + px) * C + ch : a.x, in ? 16 : 0);
            }
        }
#endif
#pragma unroll 1
        for (int i = (int)threadIdx.x / 16; i < FRAMES * M; i += THREADS / 16) {    /* half a warp takes r of a row of a frame */
            const int row = i % M, y = M * g + 1 + row, at = lane % 16, px = M * tx0 - 1 + at;
            const float *const from = r[i / M];
            const bool in = from && (unsigned)y < (unsigned)H && (unsigned)px < (unsigned)W;
            if (at < PX) aopt__copy4((uint32_t)__cvta_generic_to_shared(raw_r + (row * PX + at) * R_ROW + i / M), in ? from + y * W + px : a.r, in ? 4 : 0);
        }
        aopt__copy_commit();
    };

    const float2 half_gamma = c < C ? make_float2(0.5f * a.gamma[c], 0.5f * a.gamma[c + 1]) : make_float2(0.0f, 0.0f);
    float row[N][2][N];
    fetch(ty0 - 1, M - 2);
    for (int g = ty0 - 1; g < ty1; g++) {
        aopt__copy_wait<0>();
#if AOPT__SM90A
        aopt__bar_wait(bar, phase);
        phase ^= 1;
#endif
        __syncthreads();                                            /* also: all have used the combinations of the rows before */
        for (int p = warp + (g < ty0 ? (M - 2) * PX : 0); p < FRAME_PX; p += THREADS / 32) {
            float d[2][FRAMES], o[2][FRAMES];
            float2 *const to = (float2 *)(combined + p * CHANNELS) + lane;
            const float4 norm4 = *(const float4 *)(raw_r + p * R_ROW);
            const float2 norm2 = *(const float2 *)(raw_r + p * R_ROW + 4);
            const float norms[FRAMES] = { norm4.x, norm4.y, norm4.z, norm4.w, norm2.x, norm2.y };
#pragma unroll
            for (int k = 0; k < FRAMES; k++) {
                const float2 u = __half22float2(*(const __half2 *)(raw + (k * FRAME_PX + p) * CHANNELS + 2 * lane));
                const float norm = norms[k], s = u.x * (norm * half_gamma.x), t = u.y * (norm * half_gamma.y);
                d[0][k] = aopt__silu_fast(s);
                d[1][k] = aopt__silu_fast(t);
            }
            aopt__wino_bt<AOPT__WINO_TIME_M>(d[0], o[0], scale);
            aopt__wino_bt<AOPT__WINO_TIME_M>(d[1], o[1], scale);
#pragma unroll
            for (int k = 0; k < FRAMES; k++) to[k * (FRAME_PX * CHANNELS / 2)] = make_float2(o[0][k], o[1][k]);
        }
        __syncthreads();
        if (g + 1 < ty1) fetch(g + 1, 0);
        if (!mine) continue;
        const float2 *const from = (const float2 *)(combined + (q * FRAME_PX + (tx - tx0) * M) * CHANNELS) + lane;
#pragma unroll
        for (int i = 0; i < M; i++) {
            if (i < M - 2 && g < ty0) continue;                     /* of the rows above the strip, the last two */
            float d[2][N];
#pragma unroll
            for (int j = 0; j < N; j++) { const float2 u = from[(i * PX + j) * (CHANNELS / 2)]; d[0][j] = u.x; d[1][j] = u.y; }
            aopt__wino_bt<M>(d[0], row[i + 2][0]);
            aopt__wino_bt<M>(d[1], row[i + 2][1]);
        }
        if (g >= ty0) {
            const uint32_t plane = aopt__opaque32((uint32_t)C * (2 * AOPT_WINO_BLOCK));
            const int64_t place = group * tiles + (int64_t)g * tiles_x + tx;
            char *const to = (char *)(a.v + ((place / AOPT_WINO_BLOCK * FRAMES + q) * (N * N * AOPT_WINO_BLOCK) + place % AOPT_WINO_BLOCK) * C + c);
#pragma unroll
            for (int l = 0; l < N; l++) {
                float o[2][N];
#pragma unroll
                for (int i = 0; i < 2; i++) {
                    float d[N];
#pragma unroll
                    for (int k = 0; k < N; k++) d[k] = row[k][i][l];
                    aopt__wino_bt<M>(d, o[i]);
                }
#pragma unroll
                for (int k = 0; k < N; k++) *(__half2 *)(to + (uint64_t)plane * (uint32_t)(N * k + l)) = __floats2half2_rn(o[0][k], o[1][k]);
            }
        }
#pragma unroll
        for (int l = 0; l < 2 * N; l++) { row[0][l / N][l % N] = row[M][l / N][l % N]; row[1][l / N][l % N] = row[M + 1][l / N][l % N]; }
    }
}

/* Row k of A^T, the column of one product: its point to the power k; infinity counts in the last row alone. */
template <int M> static __device__ __forceinline__ float aopt__wino_at_entry(int k, int product)
{
    if (product == 0 || product == M + 1) return k == (product ? M - 1 : 0) ? 1.0f : 0.0f;
    const float size = product < 3 ? aopt__wino_power<M>(0, 1) : product < 5 ? aopt__wino_power<M>(1, 1) : aopt__wino_power<M>(2, 1), point = product & 1 ? size : -size;
    float power = 1.0f;
    for (int i = 0; i < k; i++) power *= point;
    return power;
}
/* A^T along time and along H at once, [4*M rows: frame, line][6*N products of a column], times SCALE, as fragments of m16n8k16: fp16 values and what their rounding has left,
   22 bits together; SCALE keeps both above the subnormals.  TILES of 16 rows for each K16 products: rows 0..15; their remainders; M = 6: rows 16..23 and their remainders. */
template <int M> struct aopt__wino_time_rows { enum { TILES = M / 2, K16 = 3, FRAGMENTS = K16 * TILES * 4, SCALE = 512 }; };
/* Register `fragment` of `lane`. */
template <int M> static __device__ __forceinline__ uint32_t aopt__wino_time_fragment(int fragment, int lane)
{
    enum { N = M + 2, TILES = aopt__wino_time_rows<M>::TILES };
    constexpr double p = aopt__wino_point<AOPT__WINO_TIME_M>(1), q = aopt__wino_point<M>(M / 2 - 1), top = p * p * p * q * q * q * (M == 6 ? q * q : 1.0);
    static_assert(aopt__wino_time_rows<M>::SCALE * top < 65504.0, "a power of the last points overflows fp16");
    const int tile = fragment / 4 % TILES, lower = fragment & 1, row = tile == 2 ? 16 + lane / 4 : 8 * lower + lane / 4, rest = tile == 2 ? lower : tile;
    union { uint32_t bits; __half h[2]; } u;
    u.bits = 0;
    for (int i = 0; i < 2; i++) {
        const int k = fragment / 4 / TILES * 16 + (fragment & 2) * 4 + lane % 4 * 2 + i;
        const float v = k < AOPT__WINO_TIME_N * N ? aopt__wino_time_rows<M>::SCALE * aopt__wino_at_entry<AOPT__WINO_TIME_M>(row / M, k / N) * aopt__wino_at_entry<M>(row % M, k % N) : 0.0f;
        const __half h = __float2half_rn(v);
        u.h[i] = rest ? __float2half_rn(v - __half2float(h)) : h;
    }
    return u.bits;
}
/* SCALE * A^T along time and H of two columns of a tile, 8 channels: o[column][rows lane/4 + 8i][channels 2*(lane%4), +1].  from, last: where the lane's line of the first and of
   the last 16 products starts in shared memory, lanes 16 on for the second column; BYTES: from line to line. */
template <int M, int BYTES>
static __device__ __forceinline__ void aopt__wino_time_columns(const uint32_t (&a)[aopt__wino_time_rows<M>::K16][aopt__wino_time_rows<M>::TILES][4], uint32_t from, uint32_t last, float (&o)[2][M / 2][2])
{
    enum { K16 = aopt__wino_time_rows<M>::K16 };
    float d[2][2][4];
#pragma unroll
    for (int i = 0; i < 16; i++) d[i / 8][i / 4 % 2][i % 4] = 0.0f;
#pragma unroll
    for (int k = 0; k < K16; k++) {
        uint32_t lines[4];
        aopt__ldmatrix_x4_trans(k < K16 - 1 ? from + k * 16 * BYTES : last, lines);
#pragma unroll
        for (int i = 0; i < 2; i++) {
            const uint32_t b[2] = { lines[2 * i], lines[2 * i + 1] };
            aopt__mma_m16n8k16(d[i][0], a[k][0], b);
            aopt__mma_m16n8k16(d[i][0], a[k][1], b);
            if constexpr (M == 6) aopt__mma_m16n8k16(d[i][1], a[k][2], b);
        }
    }
#pragma unroll
    for (int i = 0; i < 4; i++) {
        o[i / 2][0][i % 2] = d[i / 2][0][i % 2];
        o[i / 2][1][i % 2] = d[i / 2][0][2 + i % 2];
        if constexpr (M == 6) o[i / 2][2][i % 2] = d[i / 2][1][i % 2] + d[i / 2][1][2 + i % 2];
    }
}

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 900
#define AOPT__WINO_TIME_ANEW 1          /* what says where a thread's copies come from is found anew for the residual: kept, it is two registers more than there are */
#else
#define AOPT__WINO_TIME_ANEW 0
#endif

/* Reference: wino_time_output_ref in tests/test_fast.cu.  Coefficients of 22 bits, sums f32, one rounding; r from the rounded values.  A product that is not finite leaves
   nothing finite of its channel in the columns that it contributes to, in any line and frame of the tile.
   Launch     persistent blocks of 4 warps, two to a multiprocessor (M = 4: three), 128 channels of a tile of a group at a time, 32 a warp.  Tensor cores make A^T along
              time and H, a column of the tile at a time; A^T along W follows in registers, a lane having rows (frame, line) lane/4 + 8i and 8 channels.
              Products come column by column, 6*(M+2) lines of 256 bytes, then the residual, 8 rows at a time, through a ring in shared memory that runs on from tile
              to tile.  Columns are taken in pairs, points +-p.  What a step has read is filled anew once all have come to the next.  Results take the place of
              the residual (or of none) in the ring and leave from there in whole lines.  The 16-byte chunks of a line are permuted, so that banks do not collide.
   Traffic    the products, the residual and y, each once: with M = 4, 6 that is 6.8*C, 5.3*C + 2*C + 2*C bytes a position. */
template <int M> static __host__ __device__ constexpr int aopt__wino_time_blocks() { return (M == 6 ? 8 : 12) / AOPT__WINO_TIME_WARPS; }      /* of a multiprocessor */
template <bool RESIDUAL, int M>
__global__ void __launch_bounds__(32 * AOPT__WINO_TIME_WARPS, aopt__wino_time_blocks<M>()) aopt_k_wino_time_output(const aopt_wino_output a, int groups, float sqrt_c)
{
    enum { N = M + 2, FRAMES = AOPT__WINO_TIME_M, COLUMN = AOPT__WINO_TIME_N * N, WARPS = AOPT__WINO_TIME_WARPS, THREADS = 32 * WARPS, WIDTH = 32 * WARPS, ROW = 2 * WIDTH, CHUNKS = ROW / 16,
           SLOT = COLUMN * ROW, SLOTS = AOPT__WINO_TIME_SLOTS, OCTETS = FRAMES * M / 8, K16 = aopt__wino_time_rows<M>::K16, TILES = aopt__wino_time_rows<M>::TILES };
    extern __shared__ __align__(16) unsigned char stage[];          /* [SLOTS][COLUMN] lines */
    __shared__ float part[WARPS][FRAMES * M * M];
    const int C = a.C, H = (int)a.H, W = (int)a.W, tiles_x = (W + M - 1) / M, tiles = tiles_x * ((H + M - 1) / M), total = groups * tiles;
    const int id = (int)threadIdx.x, lane = id & 31, warp = id >> 5, row = lane / 4;
    const int chunk = id % CHUNKS, line = id / CHUNKS, swizzled = (chunk ^ line) * 16;      /* that a thread copies, of 8 lines at once */

    /* An item is a tile of a group of frames.  item_in, c_in, step_in: what is fetched next, into slot_in; a step is a column of products or 8 rows of the residual. */
    int item_in = (int)blockIdx.x, c_in = 0, step_in = 0, slot_in = 0, slot_out = 0;
    const char *from = (const char *)a.m;
    int y_in = 0, x_in = 0, frame_in = 0;
    bool in = false;
    const auto start = [&]() {                                      /* from, in: the thread's line of the first column */
        const int ch = c_in + chunk * 8, t = item_in % tiles;
        in = ch < C;
        y_in = t / tiles_x * M; x_in = t % tiles_x * M; frame_in = item_in / tiles * FRAMES - a.front;
        from = (const char *)(a.m + ((int64_t)(item_in / AOPT_WINO_BLOCK) * (AOPT__WINO_TIME_N * N * N * AOPT_WINO_BLOCK) + item_in % AOPT_WINO_BLOCK + line * (N * AOPT_WINO_BLOCK)) * C + (in ? ch : 0));
    };
    const auto fetch = [&]() {
        if (item_in < (AOPT__WINO_TIME_ANEW ? (int)aopt__opaque32((uint32_t)groups) * tiles : total)) {
            const uint32_t slot = (uint32_t)__cvta_generic_to_shared(stage) + (uint32_t)(slot_in * SLOT + swizzled), to = slot + (uint32_t)(line * ROW);
            if (step_in == 0) start();
            if (step_in < N) {                                      /* columns 0, N - 1, 1, 2, .. */
                const uint32_t plane = aopt__opaque32((uint32_t)C * (2 * AOPT_WINO_BLOCK));
                const char *p = from + (uint64_t)plane * (uint32_t)(step_in == 0 ? 0 : step_in == 1 ? N - 1 : step_in - 1);
#pragma unroll
                for (int i = 0; i < (COLUMN + 7) / 8; i++) {        /* lines: combination line / N, line % N along H */
                    if (8 * i + 8 <= COLUMN || line < COLUMN - 8 * i) aopt__copy16(to + i * 8 * ROW, p, in ? 16 : 0);
                    p += (uint64_t)plane * (8 * N);
                }
            } else if (RESIDUAL) {
                const int anew = AOPT__WINO_TIME_ANEW ? (int)aopt__opaque32((uint32_t)item_in) : 0, t = anew % tiles;
                const int x0 = AOPT__WINO_TIME_ANEW ? t % tiles_x * M : x_in, y0 = AOPT__WINO_TIME_ANEW ? t / tiles_x * M : y_in, first = AOPT__WINO_TIME_ANEW ? anew / tiles * FRAMES - a.front : frame_in;
                const int r = 8 * (step_in - N) + line, f = first + r / M, y = y0 + r % M;
                const int columns = in && f >= 0 && f < (int)a.frames && y < H ? W - x0 : 0;
                const uint32_t pixel = aopt__opaque32((uint32_t)C * 2), to = slot + (uint32_t)(line * M * ROW);
                const char *p = (const char *)(columns > 0 ? (f >= a.tail_at ? a.residual_tail : a.residual) + (((int64_t)f * H + y) * W + x0) * C + c_in + chunk * 8 : a.residual);
#pragma unroll
                for (int x = 0; x < M; x++) {
                    aopt__copy16(to + x * ROW, p, x < columns ? 16 : 0);
                    p += x + 1 < columns ? pixel : 0;
                }
            }
            if (++step_in == N + OCTETS) {
                step_in = 0;
                c_in += WIDTH;
                if (c_in >= C) { c_in = 0; item_in += (int)gridDim.x; }
            }
        }
        aopt__copy_commit();                                        /* a group even if empty: the wait counts groups */
        slot_in = slot_in + 1 == SLOTS ? 0 : slot_in + 1;
    };
    const auto next = [&]() { const int s = slot_out * SLOT; slot_out = slot_out + 1 == SLOTS ? 0 : slot_out + 1; return s; };
    /* After the wait for a step's slots: all threads' copies are there, and all have read the slots of the step before, which are filled anew. */
    const auto step = [&](int before) {
        __syncthreads();
#pragma unroll 1
        for (int k = 0; k < before; k++) fetch();
    };

    for (int s = 0; s < SLOTS - 1; s++) fetch();
    uint32_t at[K16][TILES][4];
    {
        uint32_t *const table = (uint32_t *)(stage + (SLOTS - 1) * SLOT);       /* where nothing arrives before the first step */
#pragma unroll 1
        for (int i = id; i < 32 * aopt__wino_time_rows<M>::FRAGMENTS; i += THREADS) table[i] = aopt__wino_time_fragment<M>(i / 32, i % 32);
        __syncthreads();
#pragma unroll
        for (int i = 0; i < aopt__wino_time_rows<M>::FRAGMENTS; i++) at[i / 4 / TILES][i / 4 % TILES][i % 4] = table[32 * i + lane];
    }
    const float alpha = a.alpha * (1.0f / aopt__wino_time_rows<M>::SCALE);
    /* The lane's line for ldmatrix in its slot: lane % 16, chunk 4*warp.  M = 4: the last 16 products are 4, and those again with coefficients 0. */
    const uint32_t at_line = (uint32_t)((lane & 15) * ROW + (4 * warp ^ (lane & 7)) * 16),
                   at_last = M == 6 ? at_line + (K16 - 1) * 16 * ROW : (uint32_t)(((K16 - 1) * 16 + (lane & 3)) * ROW + (4 * warp ^ (lane & 3)) * 16);
    for (int item = (int)blockIdx.x; item < total; item += (int)gridDim.x) {
        int y0, x0, first;                                          /* found anew where they are asked for: registers are scarce before */
        const auto find = [&]() {
            const int i = (int)aopt__opaque32((uint32_t)item), in_group = i % tiles;
            y0 = in_group / tiles_x * M; x0 = in_group % tiles_x * M; first = i / tiles * FRAMES - a.front;
        };
        for (int c0 = 0; c0 < C; c0 += WIDTH) {
            float o[4][OCTETS][2][M];                               /* 8 channels each, rows, the lane's two of 8 channels, x */
#pragma unroll
            for (int i = 0; i < 8 * OCTETS * M; i++) o[i / M / 2 / OCTETS][i / M / 2 % OCTETS][i / M % 2][i % M] = 0.0f;
#pragma unroll 1
            for (int q = 0; q < N / 2; q++) {                       /* points 0 and infinity, a and -a, .. */
                if (q == 0) aopt__copy_wait<SLOTS - 3>(); else aopt__copy_wait<SLOTS - 4>();
                step(q == 0 ? 1 : 2);
                const int plus = next(), minus = next();
                const uint32_t slot = (uint32_t)__cvta_generic_to_shared(stage) + (uint32_t)(lane < 16 ? plus : minus);
                float power[M];
                power[1] = q < 2 ? aopt__wino_power<M>(0, 1) : q < 3 ? aopt__wino_power<M>(1, 1) : aopt__wino_power<M>(2, 1);
#pragma unroll
                for (int x = 2; x < M; x++) power[x] = power[x - 1] * power[1];
#pragma unroll
                for (int j = 0; j < 4; j++) {                       /* 8 channels, chunk 4*warp + j */
                    float d[2][OCTETS][2];
                    aopt__wino_time_columns<M, ROW>(at, (at_line ^ 16 * j) + slot, (at_last ^ 16 * j) + slot, d);
#pragma unroll
                    for (int i = 0; i < 2 * OCTETS; i++) {
                        float (&to)[M] = o[j][i / 2][i % 2];
                        const float u = d[0][i / 2][i % 2], v = d[1][i / 2][i % 2];
                        if (q == 0) { to[0] += u; to[M - 1] += v; }
                        else {
                            to[0] += u + v;
#pragma unroll
                            for (int x = 1; x < M; x++) to[x] = fmaf(power[x], x & 1 ? u - v : u + v, to[x]);
                        }
                    }
                }
            }
            find();
            const int c = c0 + 32 * warp + lane % 4 * 2;
            float2 bias[4];
#pragma unroll
            for (int j = 0; j < 4; j++) bias[j] = c + 8 * j < C ? *(const float2 *)(a.bias + c + 8 * j) : make_float2(0.0f, 0.0f);
            const bool here = c0 + chunk * 8 < C;
            const uint32_t pixel = aopt__opaque32((uint32_t)C * 2);
#pragma unroll
            for (int i = 0; i < OCTETS; i++) {                      /* rows 8i .. 8i+7 */
                if (i == 0) aopt__copy_wait<SLOTS - 3>(); else aopt__copy_wait<SLOTS - 2>();
                step(i == 0 ? 2 : 1);
                unsigned char *const slot = stage + next(), *const mine = slot + row * M * ROW + lane % 4 * 4;
                float ss[M];
#pragma unroll
                for (int x = 0; x < M; x++) {
                    ss[x] = 0.0f;
#pragma unroll
                    for (int j = 0; j < 4; j++) {
                        unsigned char *const word = mine + x * ROW + ((4 * warp + j) ^ row) * 16;
                        const float2 e = RESIDUAL ? aopt__load2(word) : make_float2(0.0f, 0.0f);
                        ss[x] += aopt__store2((__half *)word, fmaf(o[j][i][0][x], alpha, bias[j].x + e.x), fmaf(o[j][i][1][x], alpha, bias[j].y + e.y));
                    }
                }
                if (a.r) {
                    float *const sum = part[warp] + (8 * i + row) * M;
#pragma unroll
                    for (int x = 0; x < M; x++) {
                        ss[x] += __shfl_xor_sync(0xffffffffu, ss[x], 1);
                        ss[x] += __shfl_xor_sync(0xffffffffu, ss[x], 2);
                        if (lane % 4 == 0) sum[x] = c0 > 0 ? sum[x] + ss[x] : ss[x];
                    }
                }
                __syncthreads();
                const int r = (int)aopt__opaque32((uint32_t)(8 * i + line)), f = first + r / M, y = y0 + r % M;
                const int columns = here && f >= 0 && f < (int)a.frames && y < H ? W - x0 : 0;
                char *const to = (char *)((f >= a.tail_at ? a.y_tail : a.y) + (((int64_t)f * H + y) * W + x0) * C + c0 + chunk * 8);
#pragma unroll
                for (int x = 0; x < M; x++) {
                    const uint4 v = *(const uint4 *)(slot + (line * M + x) * ROW + swizzled);
                    if (x < columns) *(uint4 *)(to + (uint64_t)pixel * (uint32_t)x) = v;
                }
            }
        }
        if (!a.r) continue;
        find();
        __syncthreads();                                            /* before the sums are written again, others follow in step() */
        for (int i = id; i < FRAMES * M * M; i += THREADS) {
            const int y = y0 + i / M % M, x = x0 + i % M, frame = first + i / (M * M);
            float sum = 0.0f;
            for (int k = 0; k < WARPS; k++) sum += part[k][i];
            if (frame >= 0 && frame < (int)a.frames && y < H && x < W) a.r[((int64_t)frame * H + y) * W + x] = aopt__norm_factor(sum, sqrt_c);
        }
    }
}

/* ---- upsample transforms ---- */

/* Differences in f32, one rounding.  Reference: upsample_input_ref.  Launch: 4 channels per thread, frames along y.
   Traffic: x once from DRAM (2.25 times through caches), v written once: 2*C + 4.5*C bytes a low-resolution position. */
__global__ static void __launch_bounds__(256) aopt_k_upsample_input(const aopt_upsample_input a)
{
    const int lanes = a.C / 4, cw = (int)a.W / 2 + 1, centres = cw * ((int)a.H / 2 + 1);
    const int id = (int)blockIdx.x * 256 + (int)threadIdx.x, f = (int)blockIdx.y;
    const int c = id % lanes * 4, centre = id / lanes, j = centre % cw, i = centre / cw;
    if (centre >= centres) return;
    const __half *x = a.x + ((int64_t)(f / a.phases) * a.H * a.W * a.phases + f % a.phases) * a.C + c;
    float d[3][3][4], h[3][3][4];
#pragma unroll
    for (int y = 0; y < 3; y++)
#pragma unroll
        for (int k = 0; k < 3; k++) {
            const int py = 2 * i - 1 + y, px = 2 * j - 1 + k;
#pragma unroll
            for (int v = 0; v < 4; v++) d[y][k][v] = 0.0f;
            if (py >= 0 && py < a.H && px >= 0 && px < a.W) aopt__load4(x + ((int64_t)py * a.W + px) * a.phases * a.C, d[y][k]);
        }
#pragma unroll
    for (int v = 0; v < 4; v++) {
#pragma unroll
        for (int y = 0; y < 3; y++) { h[y][0][v] = d[y][1][v]; h[y][1][v] = d[y][0][v] - d[y][1][v]; h[y][2][v] = d[y][1][v] - d[y][2][v]; }
#pragma unroll
        for (int k = 0; k < 3; k++) { d[0][k][v] = h[1][k][v]; d[1][k][v] = h[0][k][v] - h[1][k][v]; d[2][k][v] = h[1][k][v] - h[2][k][v]; }
    }
    __half *v = a.v + ((int64_t)f * centres + centre) * a.C + c;
#pragma unroll
    for (int y = 0; y < 3; y++)
#pragma unroll
        for (int k = 0; k < 3; k++) {
            const int plane = y == 0 ? k : k == 0 ? 2 + y : 2 + 2 * y + k;
            aopt__store4(v + plane * a.v_plane, d[y][k]);
        }
}

/* The output transform of tiles of 2 stages its products in shared memory, [products][512] halfs: 256 threads with 2 channels each, in the
   block's order (patch, warp, lane).  16-byte copies: AOPT__PATCH_CHUNKS of them make a product's row. */
enum { AOPT__PATCH_ROW = 1024, AOPT__PATCH_CHUNKS = 64 };

/* Start the copies of a block's products and shortcut positions, channels c0 .. c0 + width - 1; id: the thread, 0..255. */
template <int RATIO>
static __device__ __forceinline__ void aopt__upsample_stage(const aopt_upsample_output &a, const __half *shortcut, int64_t f, int centre0, int c0, int width,
                                                            int id, uint32_t stage)
{
    const int C = a.C, H = (int)a.H, W = (int)a.W, cw = W / 2 + 1, centres = cw * (H / 2 + 1);
    const int me = (int)aopt__opaque(id), sub = me / AOPT__PATCH_CHUNKS, chunk = me % AOPT__PATCH_CHUNKS;
    const int t = centre0 + chunk / (width / 8), ch = c0 + chunk % (width / 8) * 8;
    const bool in = t < centres && ch < C;
    const int64_t row = in ? f * centres + t : 0, plane = aopt__opaque(a.frames * centres * C);
    const __half *m0 = a.m + row * C + (in ? ch : 0), *m1 = m0 + plane + row * C, *m2 = m0 + 9 * plane + 3 * row * C;
    const uint32_t to = stage + chunk * 16;
    if (c0) __syncthreads();
#pragma unroll
    for (int k = 0; k < 7; k++) {           /* product p: m0, then rows of two products in m1, then rows of four in m2 */
        const int p = 4 * k + sub;
        const __half *from = p == 0 ? m0 : p < 9 ? m1 + (p - 1) / 2 * 2 * plane + (p - 1) % 2 * C : m2 + (p - 9) / 4 * 4 * plane + (p - 9) % 4 * C;
        if (p < AOPT_UPSAMPLE_PRODUCTS) aopt__copy16(to + p * AOPT__PATCH_ROW, from, in ? 16 : 0);
    }
    const int low_y = 2 * (t / cw) - 1, low_x = 2 * (t % cw) - 1;
#pragma unroll
    for (int k = 0; k < 9 * RATIO; k += 4) {        /* 16-byte piece i of low-resolution position q */
        const int piece = k + sub, q = piece / (RATIO ? RATIO : 1), i = piece % (RATIO ? RATIO : 1);
        const int y = low_y + q / 3, x = low_x + q % 3, from = ch * RATIO + i * 8;
        const bool inside = in && y >= 0 && y < H && x >= 0 && x < W && from < a.shortcut_c;
        const uint32_t at = stage + (AOPT_UPSAMPLE_PRODUCTS + q * RATIO) * AOPT__PATCH_ROW + (chunk * RATIO + i) * 16;
        if (piece < 9 * RATIO) aopt__copy16(at, shortcut + (inside ? (y * W + x) * a.shortcut_c + from : 0), inside ? 16 : 0);
    }
    aopt__copy_commit();
}

/* Reference: upsample_output_ref.  Launch as aopt_k_wino_output with tiles of 4: a patch is the 4x4 outputs of a centre, staged are its 25 products and
   the 3x3 low-resolution positions of the shortcut.  RATIO: 0 without shortcut, else a.ratio.
   Traffic: 3.125*C (m) + 0.5*shortcut_c (shortcut, from caches after the first) + 2*C bytes an output position. */
template <int RATIO>
__global__ void __launch_bounds__(256, 3) aopt_k_upsample_output(const aopt_upsample_output a, float sqrt_c)
{
    __shared__ float part[8][16];
    extern __shared__ __align__(16) unsigned char stage[];          /* [25] rows of products, [9*RATIO] of shortcut positions */
    const int C = a.C, H = (int)a.H, W = (int)a.W, cw = W / 2 + 1, centres = cw * (H / 2 + 1);
    const int centre0 = (int)blockIdx.x * (int)blockDim.z, centre = centre0 + (int)threadIdx.z, ci = centre / cw, cj = centre % cw;
    const int id = (int)threadIdx.x + 32 * (int)(threadIdx.y + blockDim.y * threadIdx.z), width = 64 * (int)blockDim.y;
    const int64_t f = (int64_t)blockIdx.y;
    const int y0 = 4 * ci - 1, x0 = 4 * cj - 1, u = (int)((f + a.skip) % a.factor_t);
    const __half *shortcut = RATIO ? a.shortcut + (f + a.skip) / a.factor_t * H * W * a.shortcut_c : NULL;
    const char *mine = (const char *)stage + 4 * id;
    float sum_sq = 0.0f;

    for (int c0 = 0; c0 < C; c0 += width) {
        const int c = c0 + 2 * ((int)threadIdx.x + 32 * (int)threadIdx.y);
        aopt__upsample_stage<RATIO>(a, shortcut, f, centre0, c0, width, id, (uint32_t)__cvta_generic_to_shared(stage));
        const int rows = centre < centres && c < C ? 2 * H - y0 : 0, columns = 2 * W - x0;     /* of the patch; the first of each may be -1 */
        aopt__copy_wait<0>();
        __syncthreads();
        const float2 bias = rows ? *(const float2 *)(a.bias + c) : make_float2(0.0f, 0.0f);
        float ss[16];
        float2 top[4];                              /* xx and xa, xb: what all rows of the patch share */
        const float2 mid = aopt__load2(mine);
#pragma unroll
        for (int s = 0; s < 4; s++) { const float2 e = aopt__load2(mine + (1 + s) * AOPT__PATCH_ROW); top[s] = make_float2(mid.x + e.x, mid.y + e.y); }
        const int line = (int)aopt__opaque(2 * W * C);
        __half *out = (f >= a.tail_at ? a.y_tail : a.y) + ((f * 2 * H + y0) * 2 * W + x0) * C + c;
#pragma unroll
        for (int i = 0; i < 4; i++) {
            const float2 side = aopt__load2(mine + (5 + i) * AOPT__PATCH_ROW);
#pragma unroll
            for (int s = 0; s < 4; s++) {
                const float2 e = aopt__load2(mine + (9 + (i >> 1) * 8 + (s >> 1) * 4 + (i & 1) * 2 + (s & 1)) * AOPT__PATCH_ROW);
                const char *low = (const char *)stage + AOPT_UPSAMPLE_PRODUCTS * AOPT__PATCH_ROW + ((i + 1) / 2 * 3 + (s + 1) / 2) * RATIO * AOPT__PATCH_ROW + 4 * id * RATIO;
                float2 t = make_float2(0.0f, 0.0f);
                ss[4 * i + s] = 0.0f;
                if (y0 + i < 0 || i >= rows || x0 + s < 0 || s >= columns) continue;
                if (RATIO == 1) t = aopt__load2(low);
                if (RATIO == 2) {                /* the odd or even ones of four channels; row y0 + i is odd where i is even */
                    const float2 e0 = aopt__load2(low), e1 = aopt__load2(low + 4);
                    t = (a.factor_t == 2 ? u : !(i & 1)) ? make_float2(e0.y, e1.y) : make_float2(e0.x, e1.x);
                }
                ss[4 * i + s] = aopt__store2(out + (i * line + s * C), fmaf(e.x + (top[s].x + side.x), a.alpha, fmaf(t.x, a.shortcut_scale, bias.x)),
                                             fmaf(e.y + (top[s].y + side.y), a.alpha, fmaf(t.y, a.shortcut_scale, bias.y)));
            }
        }
        if (a.r) sum_sq += aopt__reduce16(ss);
    }
    if (a.r) {
        const float r = aopt__patch_norm(part, sum_sq, sqrt_c);
        const int y = y0 + ((int)threadIdx.x >> 2), x = x0 + ((int)threadIdx.x & 3);
        if (threadIdx.y == 0 && threadIdx.x < 16 && centre < centres && y >= 0 && y < 2 * H && x >= 0 && x < 2 * W) a.r[(f * 2 * H + y) * 2 * W + x] = r;
    }
}

/* Tiles of 4x4 low-resolution positions (see aopt__upsample4_matrices): the points 1 A 1/A B 1/B, and scales that bring the rows of B^T and
   of G near norm 1. */
#define AOPT__UP4_A (-1.75)
#define AOPT__UP4_B 5.0
#define AOPT__UP4_ROW_1 (1.0 / 96.0)
#define AOPT__UP4_ROW_A (1.0 / 60.0)
#define AOPT__UP4_ROW_B (1.0 / 20.0)
#define AOPT__UP4_G_A 0.5
#define AOPT__UP4_G_B 0.2
/* What is left for point p's column of A^T, q the other of A and B: one over both scales times the polynomial of p's row of B^T at p. */
#define AOPT__UP4_OUT(p, q, row, g) (1.0 / ((row) * (g) * ((p) - 1.0) * ((p) * (p) - 1.0) * ((q) * ((p) * (p) + 1.0) - ((q) * (q) + 1.0) * (p))))

/* One axis of B^T: the points and their reciprocals make mirrored rows, so sums and differences of mirrored positions do.  21 operations a channel. */
static __device__ __forceinline__ void aopt__upsample4_bt(const float2 (&x)[5], float2 (&o)[5])
{
    const double a = AOPT__UP4_A, b = AOPT__UP4_B, ma = -(a * a + 1.0), mb = -(b * b + 1.0);
    const double sa = 0.5 * AOPT__UP4_ROW_A * (1.0 + a), da = 0.5 * AOPT__UP4_ROW_A * (1.0 - a), sb = 0.5 * AOPT__UP4_ROW_B * (1.0 + b), db = 0.5 * AOPT__UP4_ROW_B * (1.0 - b);
#define AOPT__AXIS(x_) do { \
        const float s0 = x[0].x_ + x[4].x_, d0 = x[0].x_ - x[4].x_, s1 = x[1].x_ + x[3].x_, d1 = x[1].x_ - x[3].x_, mid = x[2].x_; \
        const float ea = fmaf((float)(sa * b), s0, fmaf((float)(sa * (mb - 2.0 * b)), s1, (float)(sa * 2.0 * (b - mb)) * mid)), oa = fmaf((float)(da * b), d0, (float)(da * mb) * d1); \
        const float eb = fmaf((float)(sb * a), s0, fmaf((float)(sb * (ma - 2.0 * a)), s1, (float)(sb * 2.0 * (a - ma)) * mid)), ob = fmaf((float)(db * a), d0, (float)(db * ma) * d1); \
        o[0].x_ = fmaf((float)(AOPT__UP4_ROW_1 * a * b), s0, fmaf((float)(AOPT__UP4_ROW_1 * (a * mb + b * ma)), s1, (float)(AOPT__UP4_ROW_1 * (2.0 * a * b + ma * mb)) * mid)); \
        o[1].x_ = ea + oa; o[2].x_ = ea - oa; \
        o[3].x_ = eb + ob; o[4].x_ = eb - ob; } while (0)
    AOPT__AXIS(x);
    AOPT__AXIS(y);
#undef AOPT__AXIS
}

/* Transforms in f32, one rounding.  Reference: upsample_input_ref.
   Launch     blocks (32, warps, tiles) of 256 on a grid (slices of channels and tiles along W, tiles along H, frames): a slice is 64
              channels for each of the `warps` that share a tile, 2 a lane.
   Traffic    x once from DRAM (1.5625 times through caches), v written once: 2*C + 3.125*C bytes a low-resolution position. */
__global__ static void __launch_bounds__(256, 3) aopt_k_upsample4_input(const aopt_upsample_input a, int slices)
{
    const int H = (int)a.H, W = (int)a.W, C = a.C, pixel = a.phases * C, tiles_x = W / 4 + 1, f = (int)blockIdx.z, ty = (int)blockIdx.y;
    const int group = (int)blockIdx.x / slices, tx = group * (int)blockDim.z + (int)threadIdx.z, tile = (f * (H / 4 + 1) + ty) * tiles_x + tx;
    const int c = (((int)blockIdx.x - group * slices) * (int)blockDim.y + (int)threadIdx.y) * 64 + 2 * (int)threadIdx.x;
    const __half *row = a.x + (((int64_t)(f / a.phases) * H + 4 * ty - 1) * W + 4 * tx - 1) * pixel + f % a.phases * C + c;
    const int64_t plane = aopt__opaque(a.v_plane);
    float2 h[5][5];
    if (tx >= tiles_x || c >= C) return;
#pragma unroll
    for (int y = 0; y < 5; y++, row += (int64_t)W * pixel) {
        const bool inside = (unsigned)(4 * ty - 1 + y) < (unsigned)H;
        float2 d[5];
#pragma unroll
        for (int k = 0; k < 5; k++) d[k] = inside && (unsigned)(4 * tx - 1 + k) < (unsigned)W ? aopt__load2(row + k * pixel) : make_float2(0.0f, 0.0f);
        aopt__upsample4_bt(d, h[y]);
    }
    __half *v = a.v + (int64_t)tile * C + c;
#pragma unroll
    for (int l = 0; l < 5; l++, v += plane) {
        float2 d[5], o[5];
#pragma unroll
        for (int y = 0; y < 5; y++) d[y] = h[y][l];
        aopt__upsample4_bt(d, o);
#pragma unroll
        for (int k = 0; k < 5; k++) *(__half2 *)(v + (k == 0 ? 0 : l == 0 ? 4 + k : 4 + 4 * k) * plane) = __floats2half2_rn(o[k].x, o[k].y);
    }
}

static __device__ __forceinline__ float2 aopt__add2(float2 x, float2 y) { return make_float2(x.x + y.x, x.y + y.y); }
static __device__ __forceinline__ float2 aopt__sub2(float2 x, float2 y) { return make_float2(x.x - y.x, x.y - y.y); }
static __device__ __forceinline__ float2 aopt__fma2(float k, float2 x, float2 y) { return make_float2(fmaf(k, x.x, y.x), fmaf(k, x.y, y.y)); }

/* Sums of A^T's four outputs over products, kept as (o0+o3)/2, (o1+o2)/2, (o0-o3)/2, (o1-o2)/2: to these a pair of products at p and 1/p
   adds through its sum and difference. */
static __device__ __forceinline__ void aopt__upsample4_start(float2 m, float2 (&o)[4])
{
    o[0] = o[1] = m;
    o[2] = o[3] = make_float2(0.0f, 0.0f);
}
static __device__ __forceinline__ void aopt__upsample4_pair(int which, float2 m, float2 reciprocal, float2 (&o)[4])
{
    const double p = which ? AOPT__UP4_B : AOPT__UP4_A;
    const double k = 0.5 * (which ? AOPT__UP4_OUT(AOPT__UP4_B, AOPT__UP4_A, AOPT__UP4_ROW_B, AOPT__UP4_G_B) : AOPT__UP4_OUT(AOPT__UP4_A, AOPT__UP4_B, AOPT__UP4_ROW_A, AOPT__UP4_G_A));
    const float2 sum = aopt__add2(m, reciprocal), difference = aopt__sub2(m, reciprocal);
    o[0] = aopt__fma2((float)(k * (1.0 + p * p * p)), sum, o[0]);
    o[1] = aopt__fma2((float)(k * (p + p * p)), sum, o[1]);
    o[2] = aopt__fma2((float)(k * (1.0 - p * p * p)), difference, o[2]);
    o[3] = aopt__fma2((float)(k * (p - p * p)), difference, o[3]);
}
static __device__ __forceinline__ void aopt__upsample4_end(float2 (&o)[4])
{
    const float2 e0 = o[0], e1 = o[1], d0 = o[2], d1 = o[3];
    o[0] = aopt__add2(e0, d0); o[3] = aopt__sub2(e0, d0);
    o[1] = aopt__add2(e1, d1); o[2] = aopt__sub2(e1, d1);
}
/* A^T along H of a column of products: the one of point 1, then four rows that are `step` apart. */
static __device__ __forceinline__ void aopt__upsample4_column(const char *first, const char *m, int step, float2 (&o)[4])
{
    aopt__upsample4_start(aopt__load2(first), o);
    aopt__upsample4_pair(0, aopt__load2(m), aopt__load2(m + step), o);
    aopt__upsample4_pair(1, aopt__load2(m + 2 * step), aopt__load2(m + 3 * step), o);
    aopt__upsample4_end(o);
}

/* A warp's part of shared memory, in rows of 64 channels: product (0,0), then (0,l) and (k,0) of both phases, then twice (k,l) of one
   quarter, then the 5x5 low-resolution positions of the shortcut, RATIO rows each. */
enum { AOPT__UP4_LINE = 128, AOPT__UP4_ROW = 1, AOPT__UP4_COLUMN = 9, AOPT__UP4_SLOT = 17, AOPT__UP4_SHORTCUT = 49 };
#define AOPT__UP4_WARP(ratio) ((AOPT__UP4_SHORTCUT + 25 * (ratio)) * AOPT__UP4_LINE)

/* Start the copies of products (k,l) of quarter q = 2*(phase along H) + (phase along W); m: the product (1, 1 + lane/8) of quarter 0. */
static __device__ __forceinline__ void aopt__upsample4_quarter(const __half *m, int64_t plane, int C, int q, bool in, uint32_t to)
{
#pragma unroll
    for (int k = 0; k < 4; k++) aopt__copy16(to + (AOPT__UP4_SLOT + (q & 1) * 16 + 4 * k) * AOPT__UP4_LINE + threadIdx.x * 16, m + k * 16 * plane + q * C, in ? 16 : 0);
    aopt__copy_commit();
}
/* Of the products that quarters share; m0: (0,0), m1: (0, 1 + lane/8) of phase 0. */
static __device__ __forceinline__ void aopt__upsample4_shared(const __half *m0, const __half *m1, int64_t plane, int C, bool in, uint32_t to)
{
    if (threadIdx.x < 8) aopt__copy16(to + threadIdx.x * 16, m0, in ? 16 : 0);
#pragma unroll
    for (int k = 0; k < 4; k++) aopt__copy16(to + (AOPT__UP4_ROW + 4 * k) * AOPT__UP4_LINE + threadIdx.x * 16, m1 + k / 2 * 8 * plane + k % 2 * C, in ? 16 : 0);
}

/* The shortcut's window at low-resolution position (y0, x0), channels from `channel` on: 8*RATIO lanes to a position, the fifth column last. */
template <int RATIO>
static __device__ __forceinline__ void aopt__upsample4_window(const aopt_upsample_output &a, const __half *shortcut, int y0, int x0, int channel, bool in, uint32_t to)
{
    enum { LANES = 8 * RATIO, AT_ONCE = 32 / LANES };
    const int lane = (int)threadIdx.x, mine = lane / LANES, piece = lane % LANES, H = (int)a.H, W = (int)a.W;
    const __half *const from = shortcut + channel + 8 * piece;
    in = in && channel + 8 * piece < a.shortcut_c;
    to += AOPT__UP4_SHORTCUT * AOPT__UP4_LINE + piece * 16;
    const auto copy = [&](int y, int x) {
        const bool inside = in && y0 + y >= 0 && y0 + y < H && x0 + x >= 0 && x0 + x < W;
        aopt__copy16(to + (5 * y + x) * RATIO * AOPT__UP4_LINE, inside ? from + ((y0 + y) * W + x0 + x) * a.shortcut_c : shortcut, inside ? 16 : 0);
    };
#pragma unroll 1
    for (int y = 0; y < 5; y++)
#pragma unroll
        for (int x = 0; x < 4; x += AT_ONCE) copy(y, x + mine);
#pragma unroll 1
    for (int y = mine; y < 5; y += AT_ONCE) copy(y, 4);
}

/* Reference: upsample_output_ref.  The 8x8 outputs of a tile are four quarters, by the parity of row and column; a quarter is 4x4 outputs
   from 5x5 products, of which (0,0), (0,l) and (k,0) are shared with other quarters.
   Launch     blocks (32, warps, tiles) of 256 on a grid (tiles along W, tiles along H, frames): `warps` warps share a tile's channels, 2 a
              lane, and loop if those are more.  Every warp copies for itself, a quarter ahead, so that warps wait for each other only where r is
              summed.  RATIO: 0 without shortcut, else a.ratio; three blocks to a multiprocessor, or two where the shortcut takes more room.
   Traffic    2.53*C (m) + 0.78*shortcut_c (shortcut, from caches after the first 0.5) + 2*C bytes an output position. */
template <int RATIO>
__global__ void __launch_bounds__(256, RATIO == 2 ? 2 : 3) aopt_k_upsample4_output(const aopt_upsample_output a, float sqrt_c)
{
    extern __shared__ __align__(16) unsigned char stage[];
    const int H = (int)a.H, W = (int)a.W, C = a.C, tx = (int)(blockIdx.x * blockDim.z + threadIdx.z), ty = (int)blockIdx.y, tiles_x = W / 4 + 1;
    const int lane = (int)threadIdx.x, warp = (int)(threadIdx.y + blockDim.y * threadIdx.z);
    const int64_t f = (int64_t)blockIdx.z;
    const int y0 = 8 * ty - 1, x0 = 8 * tx - 1, tiles = (H / 4 + 1) * tiles_x, tile = tx < tiles_x ? ((int)f * (H / 4 + 1) + ty) * tiles_x + tx : 0;
    const int odd = ((int)f + a.skip) % a.factor_t;
    char *const rows = (char *)stage + warp * AOPT__UP4_WARP(RATIO);
    const char *mine = rows + 4 * lane;
    const uint32_t to = (uint32_t)__cvta_generic_to_shared(rows);
    float sum_sq[2] = { 0.0f, 0.0f };               /* by qx; even lanes hold qy 0, odd ones qy 1 */

    for (int c0 = 64 * (int)threadIdx.y; c0 < C; c0 += 64 * (int)blockDim.y) {
        const int ch = c0 + lane % 8 * 8, c = c0 + 2 * lane;
        const bool in = tx < tiles_x && ch < C;
        const int64_t plane = aopt__opaque(a.frames * tiles * C), row_at = aopt__opaque((int64_t)tile * C);
        const __half *const m0 = a.m + row_at + (in ? ch : 0), *const m = m0 + 17 * plane + 3 * row_at + lane / 8 * 4 * plane;
        __syncwarp();                               /* the slots are free again */
        if (RATIO) {
            const int64_t source = ((int)aopt__opaque(f) + a.skip) / a.factor_t;        /* its frame; opaque: not worth a register until here */
            aopt__upsample4_window<RATIO ? RATIO : 1>(a, a.shortcut + source * H * W * a.shortcut_c, 4 * ty - 1, 4 * tx - 1, c0 * RATIO, tx < tiles_x, to);
        }
        aopt__upsample4_shared(m0, m0 + plane + row_at + lane / 8 * 2 * plane, plane, C, in, to);
        aopt__upsample4_quarter(m, plane, C, 0, in, to);
        const bool writes = tx < tiles_x && c < C;
#pragma unroll 1
        for (int q = 0; q < 4; q++) {
            const int qy = q >> 1, qx = q & 1;
            const char *row = mine + (AOPT__UP4_ROW + 4 * qx) * AOPT__UP4_LINE, *column = mine + (AOPT__UP4_COLUMN + 4 * qy) * AOPT__UP4_LINE;
            const char *rest = mine + (AOPT__UP4_SLOT + 16 * qx) * AOPT__UP4_LINE;
            aopt__copy_wait<0>();
            __syncwarp();
            if (q < 3) aopt__upsample4_quarter(m, plane, C, q + 1, in, to);
            float2 o[4][4], t[4], reciprocal[4];
            float ss[16];
            aopt__upsample4_column(mine, column, AOPT__UP4_LINE, t);
#pragma unroll
            for (int i = 0; i < 4; i++) aopt__upsample4_start(t[i], o[i]);
#pragma unroll
            for (int l = 0; l < 4; l += 2) {
                aopt__upsample4_column(row + l * AOPT__UP4_LINE, rest + l * AOPT__UP4_LINE, 4 * AOPT__UP4_LINE, t);
                aopt__upsample4_column(row + (l + 1) * AOPT__UP4_LINE, rest + (l + 1) * AOPT__UP4_LINE, 4 * AOPT__UP4_LINE, reciprocal);
#pragma unroll
                for (int i = 0; i < 4; i++) aopt__upsample4_pair(l / 2, t[i], reciprocal[i], o[i]);
            }
            const char *low = rows + (AOPT__UP4_SHORTCUT + (5 * qy + qx) * RATIO) * AOPT__UP4_LINE + 4 * RATIO * lane;
            char *out = (char *)(f >= a.tail_at ? a.y_tail : a.y) + 2 * (((f * 2 * H + y0 + qy) * 2 * W + x0 + qx) * C + c);
            const int64_t step = aopt__opaque(4 * C);           /* bytes to the next column of the quarter */
            const float2 bias = writes ? *(const float2 *)(a.bias + c) : make_float2(0.0f, 0.0f);
#pragma unroll
            for (int i = 0; i < 4; i++, out += 2 * W * step) {
                aopt__upsample4_end(o[i]);
#pragma unroll
                for (int s = 0; s < 4; s++) {
                    const int y = y0 + qy + 2 * i, x = x0 + qx + 2 * s;
                    const bool inside = writes && y >= 0 && y < 2 * H && x >= 0 && x < 2 * W;
                    float2 e = make_float2(0.0f, 0.0f);
                    if (RATIO == 1) e = aopt__load2(low + (5 * i + s) * AOPT__UP4_LINE);
                    if (RATIO == 2) {               /* the odd or even ones of four channels */
                        float four[4];
                        aopt__load4((const __half *)(low + (5 * i + s) * 2 * AOPT__UP4_LINE), four);
                        e = (a.factor_t == 2 ? odd : qy == 0) ? make_float2(four[1], four[3]) : make_float2(four[0], four[2]);
                    }
                    const __half2 h = __floats2half2_rn(fmaf(o[i][s].x, a.alpha, fmaf(e.x, a.shortcut_scale, bias.x)),
                                                        fmaf(o[i][s].y, a.alpha, fmaf(e.y, a.shortcut_scale, bias.y)));
                    e = __half22float2(h);
                    if (inside) *(__half2 *)(out + s * step) = h;
                    ss[4 * i + s] = inside ? fmaf(e.x, e.x, e.y * e.y) : 0.0f;
                }
            }
            if (a.r) {
                const float sum = aopt__reduce16(ss);
#pragma unroll
                for (int k = 0; k < 2; k++) if (k == qx && (lane & 1) == qy) sum_sq[k] += sum;
            }
        }
    }
    if (!a.r) return;
    __syncwarp();                                   /* the first products make room for the sums of 64 positions */
#pragma unroll
    for (int k = 0; k < 2; k++) ((float *)rows)[32 * (lane & 1) + 16 * k + lane / 2] = sum_sq[k];
    __syncthreads();
    if (threadIdx.y || tx >= tiles_x) return;
#pragma unroll
    for (int k = lane; k < 64; k += 32) {
        const int y = y0 + 2 * (k >> 2 & 3) + (k >> 5), x = x0 + 2 * (k & 3) + (k >> 4 & 1);
        float total = 0.0f;
        for (int i = 0; i < (int)blockDim.y; i++) total += ((const float *)(rows + i * AOPT__UP4_WARP(RATIO)))[k];
        if (y >= 0 && y < 2 * H && x >= 0 && x < 2 * W) a.r[(f * 2 * H + y) * 2 * W + x] = aopt__norm_factor(total, sqrt_c);
    }
}

/* ---- head ---- */
/* Reference: head_ref in tests/test_fast.cu.  Launch: one thread per position, frames along y.  Traffic: 216 + 48 bytes a position. */
__global__ static void __launch_bounds__(256) aopt_k_head(const __half *g, float alpha, const float *bias, float *video, int64_t video_channel, int H, int W)
{
    const int at = (int)blockIdx.x * 256 + (int)threadIdx.x, x = at % W, y = at / W;
    const int64_t f = (int64_t)blockIdx.y, p = f * H * W + at;
    if (y >= H) return;
    float o[12];
#pragma unroll
    for (int i = 0; i < 12; i++) o[i] = 0.0f;
#pragma unroll
    for (int tap = 0; tap < 9; tap++) {
        const int dy = tap / 3 - 1, dx = tap % 3 - 1;
        if (y + dy < 0 || y + dy >= H || x + dx < 0 || x + dx >= W) continue;
#pragma unroll
        for (int i = 0; i < 3; i++) {
            float v[4];
            aopt__load4(g + (p + (int64_t)dy * W + dx) * AOPT_HEAD_ROW + tap * 12 + 4 * i, v);
#pragma unroll
            for (int k = 0; k < 4; k++) o[4 * i + k] += v[k];
        }
    }
    float *out = video + (f * H + y) * 4 * W + 2 * x;
#pragma unroll
    for (int c = 0; c < 3; c++)
#pragma unroll
        for (int q = 0; q < 2; q++) {
            const float v0 = fmaf(o[4 * c + q], alpha, bias[4 * c + q]), v1 = fmaf(o[4 * c + 2 + q], alpha, bias[4 * c + 2 + q]);
            *(float2 *)(out + c * video_channel + q * 2 * (int64_t)W) = make_float2(fminf(fmaxf(v0, -1.0f), 1.0f), fminf(fmaxf(v1, -1.0f), 1.0f));
        }
}

/* ---- launch of the one kernel with many shapes ---- */
static inline int64_t aopt__div_up(int64_t a, int64_t b) { return (a + b - 1) / b; }
template <bool NORM, int SLICES, int M>
static void aopt__wino_input_launch(const aopt_wino_input *a, int strip, cudaStream_t stream)
{
    enum { WARPS = aopt__wino_warps<M>(), THREADS = 32 * WARPS, TILES = WARPS / SLICES, PX = M * TILES + 2, CHANNELS = SLICES * 64, SMEM = AOPT__WINO_STAGES * M * PX * (CHANNELS * 2 + 4) };
    const dim3 grid((unsigned)(aopt__div_up(a->C, CHANNELS) * aopt__div_up(aopt__div_up(a->W, M), TILES)),
                    (unsigned)aopt__div_up(aopt__div_up(a->H, M), strip), (unsigned)(a->frames + (a->v_last ? 0 : 2)));
    cudaFuncSetAttribute(aopt_k_wino_input<NORM, SLICES, M>, cudaFuncAttributeMaxDynamicSharedMemorySize, SMEM);
    aopt_k_wino_input<NORM, SLICES, M><<<grid, THREADS, SMEM, stream>>>(*a, strip);
}
/* Blocks of 128 channels by 4 tiles of 4, or by 2 of 6, were fastest, strips of about 16 tiles; narrow tensors take 64 by 8 tiles of 4. */
template <int M> static void aopt__wino_input_launch(const aopt_wino_input *a, cudaStream_t stream)
{
    const int64_t tiles_y = aopt__div_up(a->H, M);
    const int strip = (int)aopt__div_up(tiles_y, aopt__div_up(tiles_y, 16));
    if constexpr (M == 6) aopt__wino_input_launch<true, 2, M>(a, strip, stream);
    else if (a->C > 64 && a->r) aopt__wino_input_launch<true, 2, M>(a, strip, stream);
    else if (a->C > 64) aopt__wino_input_launch<false, 2, M>(a, strip, stream);
    else if (a->r) aopt__wino_input_launch<true, 1, M>(a, strip, stream);
    else aopt__wino_input_launch<false, 1, M>(a, strip, stream);
}
/* Block of an output transform: (32, warps that share a patch, patches). */
static dim3 aopt__patch_block(int C, int threads)
{
    int warps = 1;
    while (warps < threads / 32 && warps * 64 < C) warps *= 2;
    return dim3(32, (unsigned)warps, (unsigned)(threads / 32 / warps));
}
template <int M> static void aopt__wino_output_launch(const aopt_wino_output *a, int64_t tiles, cudaStream_t stream)
{
    enum { PRODUCTS = (M + 2) * (M + 2), ROW = 4 * aopt__wino_threads<M>() };
    void (*const kernel)(aopt_wino_output, float) = a->gamma ? aopt_k_wino_output<true, M> : aopt_k_wino_output<false, M>;
    const dim3 block = aopt__patch_block(a->C, aopt__wino_threads<M>()), grid((unsigned)aopt__div_up(tiles, block.z), (unsigned)a->frames);
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (PRODUCTS + M * M) * ROW);
    kernel<<<grid, block, (a->residual ? PRODUCTS + M * M : PRODUCTS) * ROW, stream>>>(*a, sqrtf((float)a->norm_c));
}

static int aopt__device_attribute(cudaDeviceAttr which)
{
    int device = 0, value = 0;
    cudaGetDevice(&device);
    cudaDeviceGetAttribute(&value, which, device);
    return value;
}
/* Kernels see a tail as the place where frame 0, n elements, would be if all frames lay as those do from `tail_at` on: y itself if there is none. */
template <typename T> static T *aopt__tail_base(T *y, T *tail, int64_t tail_at, int64_t n) { return tail ? (T *)((uintptr_t)tail - (uintptr_t)(tail_at * n * (int64_t)sizeof(T))) : y; }
static int aopt__multiprocessors(void) { return aopt__device_attribute(cudaDevAttrMultiProcessorCount); }
static int aopt__shared_memory(void) { return aopt__device_attribute(cudaDevAttrMaxSharedMemoryPerBlockOptin); }
/* Dynamic shared memory of the input transform over time. */
template <int M> static constexpr int aopt__wino_time_shared() { return AOPT__WINO_TIME_N * M * (M * AOPT__WINO_TIME_TILES + 2) * 6 * AOPT__WINO_TIME_CHANNELS + 4 * AOPT__WINO_TIME_R * M * (M * AOPT__WINO_TIME_TILES + 2); }
template <int M> static void aopt__wino_time_input_launch(const aopt__wino_time_maps *maps, const aopt_wino_input *a, cudaStream_t stream)
{
    enum { SMEM = aopt__wino_time_shared<M>() };
    const int64_t tiles_y = aopt__div_up(a->H, M), columns = aopt__div_up(a->C, AOPT__WINO_TIME_CHANNELS) * aopt__div_up(aopt__div_up(a->W, M), AOPT__WINO_TIME_TILES);
    const int64_t groups = aopt__div_up(a->front + a->frames, AOPT__WINO_TIME_M), sm = aopt__multiprocessors();
    int64_t best = INT64_MAX, n;
    int strip = 1;
    for (n = 1; n <= tiles_y; n++) {            /* rows of tiles of a block; the two rows above a strip cost about a third of a row of tiles */
        const int64_t cost = aopt__div_up(columns * groups * aopt__div_up(tiles_y, n), sm) * (3 * n + 1);
        if (cost < best) { best = cost; strip = (int)n; }
    }
    const dim3 grid((unsigned)columns, (unsigned)aopt__div_up(tiles_y, strip), (unsigned)groups);
    cudaFuncSetAttribute(aopt_k_wino_time_input<M>, cudaFuncAttributeMaxDynamicSharedMemorySize, SMEM);
    aopt_k_wino_time_input<M><<<grid, AOPT__WINO_TIME_THREADS, SMEM, stream>>>(*maps, *a, strip);
}
template <int M> static void aopt__wino_time_output_launch(const aopt_wino_output *a, int64_t tiles, cudaStream_t stream)
{
    enum { THREADS = 32 * AOPT__WINO_TIME_WARPS, SMEM = AOPT__WINO_TIME_SLOTS * AOPT__WINO_TIME_N * (M + 2) * 64 * AOPT__WINO_TIME_WARPS };
    const int64_t groups = aopt__div_up(a->front + a->frames, AOPT__WINO_TIME_M), most = (int64_t)aopt__multiprocessors() * aopt__wino_time_blocks<M>();
    void (*const kernel)(aopt_wino_output, int, float) = a->residual ? aopt_k_wino_time_output<true, M> : aopt_k_wino_time_output<false, M>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, SMEM);
    const dim3 grid((unsigned)(groups * tiles < most ? groups * tiles : most));
    kernel<<<grid, THREADS, SMEM, stream>>>(*a, (int)groups, sqrtf((float)a->norm_c));
}

template <int M> static void aopt__wino_matrices(double (&at)[M][M + 2], double (&g)[M + 2][3], double (&bt)[M + 2][M + 2])
{
    const double row = aopt__wino<M>::row;
    double point[M + 1] = { 0.0 };
    int p, q, i, n;
    for (q = 0; q < M / 2; q++) { point[2 * q + 1] = aopt__wino_point<M>(q); point[2 * q + 2] = -point[2 * q + 1]; }
    memset(at, 0, sizeof at); memset(g, 0, sizeof g); memset(bt, 0, sizeof bt);
    for (p = 0; p < M + 2; p++) {               /* row p of B^T: the polynomial of all points but its own; infinity: of all */
        double scale = row;
        bt[p][0] = row;
        for (q = 0, n = 0; q < M + 1; q++) {
            if (q == p) continue;
            for (i = ++n; i > 0; i--) bt[p][i] = bt[p][i - 1] - point[q] * bt[p][i];
            bt[p][0] *= -point[q];
            if (p < M + 1) scale *= point[p] - point[q];
        }
        for (i = 0; i < M; i++) at[i][p] = p < M + 1 ? (i ? at[i - 1][p] * point[p] : 1.0) : i == M - 1;
        for (i = 0; i < 3; i++) g[p][i] = p < M + 1 ? (i ? g[p][i - 1] * point[p] : 1.0 / scale) : (i == 2) / row;
    }
}
/* How the error of a product along one axis is best carried into those after it: with K[p][q] = <A^T columns p, q> * <B^T rows p, q>, the expected product of their errors
   in an output, and p's error 1, the others q > p are to be -carry[q][p] where K restricted to them has its least; carry[p][p] = 1. */
template <int M> static void aopt__wino_axis_carry(double *carry)
{
    enum { N = M + 2 };
    double at[M][N], g[N][3], bt[N][N], k[N][N];
    int p, q, i, j;
    aopt__wino_matrices(at, g, bt);
    for (p = 0; p < N; p++)
        for (q = 0; q < N; q++) {
            double a = 0.0, b = 0.0;
            for (i = 0; i < M; i++) a += at[i][p] * at[i][q];
            for (i = 0; i < N; i++) b += bt[p][i] * bt[q][i];
            k[p][q] = a * b;
        }
    for (p = 0; p < N; p++) {                   /* K without rows and columns 0 .. p times x = K's column p: elimination of a positive definite matrix */
        double m[N][N + 1];
        for (i = p + 1; i < N; i++) {
            for (j = p + 1; j < N; j++) m[i][j] = k[i][j];
            m[i][N] = k[i][p];
        }
        for (q = p + 1; q < N; q++)
            for (i = p + 1; i < N; i++) {
                const double f = m[i][q] / m[q][q];
                if (i == q) continue;
                for (j = q; j <= N; j++) m[i][j] -= f * m[q][j];
            }
        for (q = 0; q < N; q++) carry[q * N + p] = q < p ? 0.0 : q == p ? 1.0 : m[q][N] / m[q][q];
    }
}
template <int M> static void aopt__wino_form(double *form)
{
    enum { N = M + 2 };
    double at[M][N], g[N][3], bt[N][N];
    int i;
    aopt__wino_matrices(at, g, bt);
    for (i = 0; i < N * N * 9; i++) form[i] = g[i / 9 / N][i % 9 / 3] * g[i / 9 % N][i % 3];
}
}                           /* extern "C++" */

static inline aopt_status aopt__launched(const char *what, aopt_error *err)
{
    const cudaError_t e = cudaGetLastError();
    return e == cudaSuccess ? AOPT_OK : aopt_fail(err, AOPT_E_CUDA, "%s: %s", what, cudaGetErrorString(e));
}

AOPT__DEF int aopt_cuda_has_wgmma(void)
{
    int device = 0, major = 0, minor = 0, built = 0;
    if (cudaGetDevice(&device) != cudaSuccess) return 0;
    cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
    cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device);
    if (major != 9 || minor != 0) return 0;
    if (cudaMemcpyFromSymbol(&built, aopt__module_has_wgmma, sizeof built) != cudaSuccess) { (void)cudaGetLastError(); return 0; }
    return built;
}

/* ---- tensor maps ---- */

/* The driver's encoder of tensor maps, looked up through the runtime so that nothing links against libcuda. */
typedef CUresult (*aopt__encode_fn)(CUtensorMap *, CUtensorMapDataType, cuuint32_t, void *, const cuuint64_t *, const cuuint64_t *,
                                    const cuuint32_t *, const cuuint32_t *, CUtensorMapInterleave, CUtensorMapSwizzle,
                                    CUtensorMapL2promotion, CUtensorMapFloatOOBfill);

static aopt__encode_fn aopt__encoder(void)
{
    void *f = NULL;
    cudaDriverEntryPointQueryResult found;
    if (cudaGetDriverEntryPointByVersion("cuTensorMapEncodeTiled", &f, 12000, cudaEnableDefault, &found) != cudaSuccess ||
        found != cudaDriverEntryPointSuccess) { (void)cudaGetLastError(); return NULL; }
    return (aopt__encode_fn)f;
}

/* fp16 [d3][d2][d1][d0] with byte strides of d1..d3; boxes of 64 x b1 x b2 x 1, zeros outside. */
static aopt_status aopt__tensor_map(aopt__encode_fn encode, CUtensorMap *map, const char *name, const void *base,
                                    const int64_t dim[4], const int64_t row[3], int b1, int b2, CUtensorMapSwizzle swizzle, aopt_error *err)
{
    cuuint64_t size[4], stride[3];
    const cuuint32_t box[4] = { 64, (cuuint32_t)b1, (cuuint32_t)b2, 1 }, step[4] = { 1, 1, 1, 1 };
    int i;
    for (i = 0; i < 4; i++) size[i] = (cuuint64_t)dim[i];
    for (i = 0; i < 3; i++) stride[i] = (cuuint64_t)row[i] * 2;
    const CUresult e = encode(map, CU_TENSOR_MAP_DATA_TYPE_FLOAT16, 4, (void *)base, size, stride, box, step, CU_TENSOR_MAP_INTERLEAVE_NONE,
                              swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
    if (e != CUDA_SUCCESS)
        return aopt_fail(err, AOPT_E_CUDA, "%s [%lld][%lld][%lld][%lld]: no tensor map with boxes of %d x %d: driver error %d", name,
                         (long long)dim[3], (long long)dim[2], (long long)dim[1], (long long)dim[0], b1, b2, (int)e);
    return AOPT_OK;
}

/* For the input transform over time: only cc 9 reads them, elsewhere they are zeros.  One without a tensor is never asked for a frame that there is: any other stands for it. */
static aopt_status aopt__wino_time_make_maps(const aopt_wino_input *a, aopt__wino_time_maps *map, aopt_error *err)
{
    const aopt__encode_fn encode = aopt__encoder();
    const int64_t row = a->W * a->C, main = a->tail && a->tail_at < a->frames ? a->tail_at : a->frames, frames[3] = { main, a->frames - main, a->history ? 2 : 0 };
    const int64_t stride[3] = { a->C, row, a->H * row };
    const __half *const base[3] = { a->x, a->tail, a->history };
    CUtensorMap *const maps[3] = { &map->x, &map->tail, &map->history };
    aopt_status st = AOPT_OK;
    int i;
    memset(map, 0, sizeof *map);
    if (aopt__device_attribute(cudaDevAttrComputeCapabilityMajor) != 9) return AOPT_OK;
    if (!encode) return aopt_fail(err, AOPT_E_UNSUPPORTED, "Winograd input: the driver has no cuTensorMapEncodeTiled");
    for (i = 0; i < 3 && !st; i++) {
        const int64_t dim[4] = { a->C, a->W, a->H, frames[i] };
        if (frames[i] > 0) st = aopt__tensor_map(encode, maps[i], i == 0 ? "Winograd input: x" : i == 1 ? "Winograd input: the tail" : "Winograd input: the history", base[i], dim, stride, a->tile * AOPT__WINO_TIME_TILES + 2, AOPT__WINO_TIME_BOX,
                                                 CU_TENSOR_MAP_SWIZZLE_NONE, err);
    }
    if (frames[0] < 1) map->x = map->tail;
    if (frames[1] < 1) map->tail = map->x;      /* the kernel then takes all frames for the tail */
    if (frames[2] < 1) map->history = map->x;   /* asked for a frame that is not there */
    return st;
}

/* ---- tap GEMM ---- */

static aopt_status aopt__tapgemm_check(const aopt_tapgemm *g, aopt_error *err)
{
    int64_t tiles;
    if (g->batch < 1 || g->frames < 1 || g->rows < 1 || g->n < 1 || g->k < 1 || g->taps < 1)
        return aopt_fail(err, AOPT_E_ARG, "tap GEMM: batch %lld, frames %lld, rows %lld, n %lld, k %lld, taps %d: all must be at least 1",
                         (long long)g->batch, (long long)g->frames, (long long)g->rows, (long long)g->n, (long long)g->k, g->taps);
    if ((g->a_row | g->w_row | g->c_row) % 8 || g->a_row < g->k || g->w_row < g->k || g->c_row < g->n ||
        (g->a_frame | g->c_frame) % 8 || (g->a_frame && g->a_frame < g->rows * g->a_row) || (g->c_frame && g->c_frame < g->rows * g->c_row) || (g->batch > 1 && (g->a_batch | g->w_batch | g->c_batch) % 8))
        return aopt_fail(err, AOPT_E_ARG, "tap GEMM: strides a %lld/%lld/%lld, w %lld/%lld, c %lld/%lld/%lld for k %lld, n %lld, %lld rows: multiples of 8 that hold a row, or a frame's rows",
                         (long long)g->a_row, (long long)g->a_frame, (long long)g->a_batch, (long long)g->w_row, (long long)g->w_batch, (long long)g->c_row,
                         (long long)g->c_frame, (long long)g->c_batch, (long long)g->k, (long long)g->n, (long long)g->rows);
    if (g->a_first && !g->a_last) return aopt_fail(err, AOPT_E_ARG, "tap GEMM: the first frames of a lie elsewhere, so must the last");
    if (((uintptr_t)g->a | (uintptr_t)g->a_first | (uintptr_t)g->a_last | (uintptr_t)g->w | (uintptr_t)g->c) % 16)
        return aopt_fail(err, AOPT_E_ARG, "tap GEMM: operands must be 16-byte aligned");
    if (!aopt__mul(aopt__div_up(g->rows, 32), aopt__div_up(g->n, 128), &tiles) || !aopt__mul(tiles, g->frames, &tiles) ||
        !aopt__mul(tiles, g->batch, &tiles) || tiles > INT32_MAX || g->rows > INT32_MAX || g->k > INT32_MAX)
        return aopt_fail(err, AOPT_E_SHAPE, "tap GEMM: batch %lld x frames %lld x rows %lld is too large for one launch",
                         (long long)g->batch, (long long)g->frames, (long long)g->rows);
    return AOPT_OK;
}

/* Blocks of a cluster: two if they can share out a box of a, its frames or, if it is one frame, its rows; wide, if there are two tiles of rows. */
static int aopt__tapgemm_cluster(const aopt_tapgemm *g, bool wide, const aopt_tapgemm_plan *plan, int64_t row_tiles)
{
    const int box_frames = aopt__tg_m(wide) / plan->tile_rows + g->taps - 1;
    if (plan->grid % 2) return 1;
    if (wide) return row_tiles > 1 ? 2 : 1;
    return aopt__div_up(g->n, aopt__tg_n(wide)) % 2 == 0 && (box_frames == 1 || box_frames % 2 == 0) ? 2 : 1;
}
/* Fill the zero fields of plan: the tile shape with the fewest tiles (ties: most frames, least traffic of a), then the
   deepest rings that fit beside the staging tile. */
static void aopt__tapgemm_plan(const aopt_tapgemm *g, bool wide, aopt_tapgemm_plan *plan)
{
    const int tile_m = aopt__tg_m(wide), w_bytes = aopt__tg_w_bytes(wide);
    int64_t best = INT64_MAX;
    int rows, box_frames, room;
    if (plan->tile_rows == 0)
        for (rows = tile_m / 8; rows <= tile_m; rows *= 2) {
            const int64_t tiles = aopt__div_up(g->rows, rows) * aopt__div_up(g->frames, tile_m / rows);
            if (rows == tile_m && g->taps > 1) break;   /* the box would hold taps whole tiles: no room for a ring */
            if (tiles < best) { best = tiles; plan->tile_rows = rows; }
        }
    if (plan->tile_rows > tile_m) plan->tile_rows = tile_m;
    box_frames = tile_m / plan->tile_rows + g->taps - 1;
    room = 232448 - 1024 - AOPT__TG_BARRIER_BYTES - AOPT__TG_C_BYTES;
    if (plan->a_stages == 0) plan->a_stages = g->taps == 1 ? 4 : plan->tile_rows * box_frames <= (wide ? 160 : 288) ? 3 : 2;
    room -= plan->a_stages * plan->tile_rows * box_frames * AOPT__TG_ROW;
    if (plan->w_stages == 0) plan->w_stages = room / w_bytes < AOPT__TG_MAX_STAGES ? room / w_bytes : AOPT__TG_MAX_STAGES;
}

/* Whether a's first and last frames, if they lie elsewhere, are the beginning and the end of parts, which are then two boxes or one. */
static int aopt__tapgemm_parts_fit(const aopt_tapgemm *g, int tile_frames, int part_frames)
{
    const int64_t ends = g->taps - 1;
    int64_t t, f;
    for (t = 0; t < g->frames; t += tile_frames)
        for (f = t; f < t + tile_frames + ends; f += part_frames)
            if ((f > 0 && f < ends) || (f + part_frames > g->frames && (f == 0 || f + part_frames != g->frames + ends))) return 0;
    return part_frames > ends;
}
static aopt_status aopt__tapgemm_make_maps(const aopt_tapgemm *g, bool wide, const aopt__tapgemm_params *p, aopt__tapgemm_maps *map, aopt_error *err)
{
    const aopt__encode_fn encode = aopt__encoder();
    const int half = wide ? 64 : 128, store_rows = p->tile_rows < half ? p->tile_rows : half, ends = g->taps - 1, rows = p->part_rows ? p->part_rows : p->tile_rows, frames = p->single || p->part_rows ? 1 : p->part_frames;
    const int64_t frame_a = g->a_frame, frame_c = g->c_frame, tap_w = g->n * g->w_row, frame_e = g->rows * g->a_row;
    const int64_t dim_a[4] = { g->k, g->rows, g->a_last ? g->frames - ends : g->frames + ends, g->batch }, row_a[3] = { g->a_row, frame_a, g->batch > 1 ? g->a_batch : frame_a };
    const int64_t dim_e[4] = { g->k, g->rows, ends, g->batch }, row_e[3] = { g->a_row, frame_e, ends * frame_e };
    const int64_t dim_w[4] = { g->k, g->n, g->taps, g->batch }, row_w[3] = { g->w_row, tap_w, g->batch > 1 ? g->w_batch : tap_w };
    const int64_t dim_c[4] = { g->n, g->rows, g->frames, g->batch }, row_c[3] = { g->c_row, frame_c, g->batch > 1 ? g->c_batch : frame_c };
    aopt_status st;

    if (!encode) return aopt_fail(err, AOPT_E_UNSUPPORTED, "tap GEMM: the driver has no cuTensorMapEncodeTiled");
    if (g->a_last && ((st = aopt__tensor_map(encode, &map->first, "tap GEMM: a's first frames", g->a_first ? g->a_first : g->a_last, dim_e, row_e, rows, p->single ? 1 : ends, CU_TENSOR_MAP_SWIZZLE_128B, err)) != AOPT_OK ||
                      (st = aopt__tensor_map(encode, &map->last, "tap GEMM: a's last frames", g->a_last, dim_e, row_e, rows, p->single ? 1 : ends, CU_TENSOR_MAP_SWIZZLE_128B, err)) != AOPT_OK)) return st;
    if (g->a_last && g->frames <= ends) map->part = map->last;      /* nothing lies between them, and a may be NULL */
    else if ((st = aopt__tensor_map(encode, &map->part, "tap GEMM: a", g->a, dim_a, row_a, rows, frames, CU_TENSOR_MAP_SWIZZLE_128B, err)) != AOPT_OK) return st;
    if (!g->a_last) map->first = map->last = map->part;
    map->rest = map->part;
    if (g->a_last && !p->single && (st = aopt__tensor_map(encode, &map->rest, "tap GEMM: a", g->a, dim_a, row_a, rows, frames - ends, CU_TENSOR_MAP_SWIZZLE_128B, err)) != AOPT_OK) return st;
    if ((st = aopt__tensor_map(encode, &map->w, "tap GEMM: w", g->w, dim_w, row_w, 128, 1, CU_TENSOR_MAP_SWIZZLE_128B, err)) != AOPT_OK) return st;
    return aopt__tensor_map(encode, &map->c, "tap GEMM: c", g->c, dim_c, row_c, store_rows, half / store_rows, CU_TENSOR_MAP_SWIZZLE_128B, err);
}

AOPT__DEF aopt_status aopt_cuda_tapgemm_planned(const aopt_tapgemm *gemm, const aopt_tapgemm_plan *wanted, cudaStream_t stream, aopt_error *err)
{
    aopt_tapgemm g = *gemm;
    aopt_tapgemm_plan plan;
    aopt__tapgemm_params p;
    aopt__tapgemm_maps maps;
    aopt_status st = aopt__tapgemm_check(&g, err);
    int smem, box_frames;

    if (st != AOPT_OK) return st;
    if (g.a_frame == 0) g.a_frame = g.rows * g.a_row;
    if (g.c_frame == 0) g.c_frame = g.rows * g.c_row;
    if (g.taps == 1) g.a_first = g.a_last = NULL;
    if (g.taps == 1 && g.a_frame == g.rows * g.a_row && g.c_frame == g.rows * g.c_row) { g.rows *= g.frames; g.frames = 1; }      /* one long matrix */
    memset(&plan, 0, sizeof plan);
    if (wanted) plan = *wanted;
    const bool raw = g.alpha == 1.0f && !g.bias, wide = raw && g.n % aopt__tg_n(true) == 0;        /* a tile of columns that is not full would waste more */
    aopt__tapgemm_plan(&g, wide, &plan);
    p.taps = g.taps; p.tile_rows = plan.tile_rows; p.tile_frames = aopt__tg_m(wide) / plan.tile_rows;
    box_frames = p.tile_frames + g.taps - 1;
    p.k_steps = (int)aopt__div_up(g.k, AOPT__TG_K);
    p.n_tiles = (int)aopt__div_up(g.n, aopt__tg_n(wide));
    p.row_tiles = (int)aopt__div_up(g.rows, plan.tile_rows);
    p.cluster = aopt__tapgemm_cluster(&g, wide, &plan, p.row_tiles);
    if (wide) p.row_tiles = (int)aopt__div_up(p.row_tiles, p.cluster) * p.cluster;
    p.frame_tiles = (int)aopt__div_up(g.frames, p.tile_frames);
    p.tiles = (int)(g.batch * p.frame_tiles * p.row_tiles * p.n_tiles);
    p.a_stages = plan.a_stages; p.w_stages = plan.w_stages;
    const int shares = wide ? 1 : p.cluster;            /* of a box of a */
    p.part_rows = box_frames == 1 ? plan.tile_rows / shares : 0; p.part_frames = box_frames / shares;
    p.a_bytes = plan.tile_rows * box_frames * AOPT__TG_ROW;
    p.frames = g.a_last ? (int)g.frames : 0; p.zeros = !g.a_first; p.single = g.a_last && !aopt__tapgemm_parts_fit(&g, p.tile_frames, p.part_frames);
    p.n = (int)g.n; p.alpha = g.alpha; p.bias = g.bias;
    smem = 1024 + AOPT__TG_BARRIER_BYTES + AOPT__TG_C_BYTES + p.a_stages * p.a_bytes + p.w_stages * aopt__tg_w_bytes(wide);
    if (p.a_stages < 2 || p.w_stages < 2 || p.a_stages > AOPT__TG_MAX_STAGES || p.w_stages > AOPT__TG_MAX_STAGES || smem > 232448 ||
        box_frames > 256)
        return aopt_fail(err, AOPT_E_ARG, "tap GEMM: %d and %d stages of %d x %d rows need %d bytes of shared memory, of 232448",
                         p.a_stages, p.w_stages, plan.tile_rows, box_frames, smem);
    if ((st = aopt__tapgemm_make_maps(&g, wide, &p, &maps, err)) != AOPT_OK) return st;
    if (plan.grid == 0) plan.grid = aopt__multiprocessors() / p.cluster * p.cluster;
    if (plan.grid > p.tiles) plan.grid = p.tiles;
    void (*const kernel)(aopt__tapgemm_maps, aopt__tapgemm_params) = !raw ? aopt_k_tapgemm<false, false> : wide ? aopt_k_tapgemm<true, true> : aopt_k_tapgemm<true, false>;
    cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, smem);
    cudaLaunchAttribute cluster = {};
    cudaLaunchConfig_t launch = {};
    cluster.id = cudaLaunchAttributeClusterDimension; cluster.val.clusterDim.x = (unsigned)p.cluster; cluster.val.clusterDim.y = cluster.val.clusterDim.z = 1;
    launch.gridDim = dim3((unsigned)plan.grid); launch.blockDim = dim3(AOPT__TG_THREADS); launch.dynamicSmemBytes = (size_t)smem; launch.stream = stream;
    launch.attrs = &cluster; launch.numAttrs = 1;
    cudaLaunchKernelEx(&launch, kernel, maps, p);
    return aopt__launched("tap GEMM", err);
}

/* One strided-batched product per tap, beta = 1 from the second on: about 2 dB below one rounding.  Frames that do not follow each other: for each. */
static aopt_status aopt__tapgemm_cublas(cublasHandle_t handle, const aopt_tapgemm *g, cudaStream_t stream, aopt_error *err)
{
    const int64_t a_frame = g->a_frame ? g->a_frame : g->rows * g->a_row, c_frame = g->c_frame ? g->c_frame : g->rows * g->c_row;
    const int64_t together = a_frame == g->rows * g->a_row && c_frame == g->rows * g->c_row ? g->frames : 1, ends = g->taps - 1, end_batch = ends * g->rows * g->a_row;
    aopt_status st = aopt__tapgemm_check(g, err);
    int64_t b, f, n;
    int j;
    if (st != AOPT_OK) return st;
    if (together * g->rows > INT32_MAX) return aopt_fail(err, AOPT_E_SHAPE, "tap GEMM: %lld rows are too many for cuBLAS", (long long)(together * g->rows));
    cublasSetStream(handle, stream);
    for (j = 0; j < g->taps; j++)
        for (f = 0; f < g->frames; f += n) {
            const int64_t in = f + j, place = !g->a_last || ends == 0 ? 0 : in < ends ? -1 : in >= g->frames;      /* between the ends, at the first, at the last */
            const __half *const a = place < 0 ? (g->a_first ? g->a_first + in * g->rows * g->a_row : g->a_last) : place ? g->a_last + (in - g->frames) * g->rows * g->a_row
                                              : g->a + (g->a_last ? in - ends : in) * a_frame;
            const float beta = j > 0 ? 1.0f : 0.0f, alpha = place < 0 && !g->a_first ? 0.0f : g->alpha;
            n = place < 0 ? ends - in : place || !g->a_last ? g->frames - f : g->frames - in;
            if (n > together) n = together;
            if (n > g->frames - f) n = g->frames - f;
            const cublasStatus_t e = cublasGemmStridedBatchedEx(handle, CUBLAS_OP_T, CUBLAS_OP_N, (int)g->n, (int)(n * g->rows), (int)g->k, &alpha,
                g->w + j * g->n * g->w_row, CUDA_R_16F, (int)g->w_row, g->w_batch, a, CUDA_R_16F, (int)g->a_row, place ? end_batch : g->a_batch,
                &beta, g->c + f * c_frame, CUDA_R_16F, (int)g->c_row, g->c_batch, (int)g->batch, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
            if (e != CUBLAS_STATUS_SUCCESS) return aopt_fail(err, AOPT_E_CUDA, "tap GEMM: cuBLAS status %d", (int)e);
        }
    for (b = 0; g->bias && b < g->batch; b++)
        for (f = 0; f < g->frames; f += together) {
            aopt_k_add_bias<<<1024, 256, 0, stream>>>(g->c + b * g->c_batch + f * c_frame, g->bias, together * g->rows, g->n, g->c_row);
            if ((st = aopt__launched("add bias", err)) != AOPT_OK) return st;
        }
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_tapgemm(cublasHandle_t blas, const aopt_tapgemm *g, cudaStream_t stream, aopt_error *err)
{
    return blas ? aopt__tapgemm_cublas(blas, g, stream, err) : aopt_cuda_tapgemm_planned(g, NULL, stream, err);
}

/* ---- weights ---- */

AOPT__DEF void aopt_wino_form_tile(int tile, double *form)
{
    if (tile == 6) aopt__wino_form<6>(form);
    if (tile == 4) aopt__wino_form<4>(form);
}
AOPT__DEF void aopt_wino_time_form(int tile, double *form)
{
    double at[4][6], g[6][3], bt[6][6], space[AOPT_WINO6_PRODUCTS * 9];
    const int products = (tile + 2) * (tile + 2);
    int i;
    if (tile != 4 && tile != 6) return;
    aopt_wino_form_tile(tile, space);
    aopt__wino_matrices(at, g, bt);
    for (i = 0; i < AOPT_WINO_TIME_PRODUCTS * products * 27; i++) form[i] = g[i / 27 / products][i % 27 / 9] * space[i / 27 % products * 9 + i % 9];
}
/* What an error does along all axes is the product of what it does along each: -carry, and 1 to itself. */
AOPT__DEF void aopt_wino_carry(int tile, int time_tile, double *carry)
{
    double space[8 * 8], time[6 * 6] = { 1.0 };
    const int n = tile + 2, planes = n * n, times = time_tile ? 6 : 1;
    int64_t p, q;
    if ((tile != 4 && tile != 6) || (time_tile != 0 && time_tile != 4)) return;
    if (tile == 6) aopt__wino_axis_carry<6>(space);
    else aopt__wino_axis_carry<4>(space);
    if (time_tile) aopt__wino_axis_carry<4>(time);
    for (p = 0; p < times * planes; p++)
        for (q = 0; q < times * planes; q++) {
            const int64_t i = p % planes, j = q % planes;
            const double t = time[p / planes * times + q / planes], h = space[i / n * n + j / n], w = space[i % n * n + j % n];
            carry[p * times * planes + q] = p == q ? 1.0 : -(p / planes == q / planes ? t : -t) * (i / n == j / n ? h : -h) * (i % n == j % n ? w : -w);
        }
}
AOPT__DEF void aopt_wino_form(double form[AOPT_WINO_PRODUCTS * 9]) { aopt_wino_form_tile(4, form); }

/* Nearest-upsample by 2, then 3 taps w0 w1 w2, around low-resolution pixel i (every second one), with
   a = x[i-1] - x[i], b = x[i] - x[i+1], S = w0+w1+w2 (x outside is 0):
      y[2i-1] = S x[i] + (w0+w1) a    y[2i] = S x[i] + w0 a    y[2i+1] = S x[i] - w2 b    y[2i+2] = S x[i] - (w1+w2) b
   Five products for four outputs; over height and width 25 for 16.  Product (y,x), each 0..4 in the order of the sum
   above, multiplies the input combination (kind[y], kind[x]) with kind 0 = x, 1 = a, 2 = b.
   Products are stored by combination: xx | xa xb ax bx, 2 each | aa ab ba bb, 4 each, so that nine GEMMs of N = C, 2C, 4C do
   it.  product[p] = 5*y + x. */
static const signed char aopt__upsample_product[AOPT_UPSAMPLE_PRODUCTS] = {
    0, 1, 2, 3, 4, 5, 10, 15, 20, 6, 7, 11, 12, 8, 9, 13, 14, 16, 17, 21, 22, 18, 19, 23, 24 };

/* The same over five low-resolution pixels x[i-1] .. x[i+3], every fourth i, for the eight outputs y[2i-1] .. y[2i+6]:
      y[2j+1] = (w0+w1) x[j] + w2 x[j+1], j = i-1 .. i+2      y[2j] = w0 x[j-1] + (w1+w2) x[j], j = i .. i+3
   two filters of two taps over one window, each F(4,2) by Toom and Cook: at[4][5] (g[5][taps] w . bt[5][5] x), by evaluation at the points 1,
   A, 1/A, B, 1/B.  At the point 1 both filters are w0+w1+w2 and share the product: nine products for eight outputs; over height and width 81
   for 64.  A and B give the least fp16 noise on white input, to 0.03 dB: over height and width 9.0 dB, 14.2 at the corners of a tile, where
   tiles of two make 6.0 and 7.4; on input with correlation 0.9 between neighbours 2.5 dB and 0.8.
   g[0]: the filter of y[2i-1], y[2i+1] ..; g[1]: of y[2i], y[2i+2] ..  Rows of bt at p and 1/p are mirrored, as are at's columns. */
static void aopt__upsample4_matrices(double at[4][5], double g[2][5][3], double bt[5][5])
{
    static const double point[2] = { AOPT__UP4_A, AOPT__UP4_B }, row[3] = { AOPT__UP4_ROW_1, AOPT__UP4_ROW_A, AOPT__UP4_ROW_B }, scale[2] = { AOPT__UP4_G_A, AOPT__UP4_G_B };
    static const double rest[2] = { AOPT__UP4_OUT(AOPT__UP4_A, AOPT__UP4_B, AOPT__UP4_ROW_A, AOPT__UP4_G_A), AOPT__UP4_OUT(AOPT__UP4_B, AOPT__UP4_A, AOPT__UP4_ROW_B, AOPT__UP4_G_B) };
    const double a = AOPT__UP4_A, b = AOPT__UP4_B, square = (a - 1.0) * (a - 1.0) * (b - 1.0) * (b - 1.0);
    double q[3][3];
    int i, j, k, p;
    for (i = 0; i < 2; i++) { q[i][0] = q[i][2] = point[i]; q[i][1] = -(point[i] * point[i] + 1.0); }     /* zero at the point and at its reciprocal */
    memset(bt, 0, 25 * sizeof(double));
    for (j = 0; j < 3; j++) for (k = 0; k < 3; k++) bt[0][j + k] += row[0] * q[0][j] * q[1][k];
    for (j = 0; j < 3; j++) for (i = 0; i < 2; i++) g[i][0][j] = 1.0 / (row[0] * square);
    for (i = 0; i < 4; i++) at[i][0] = 1.0;
    for (p = 0; p < 2; p++) {
        const double x = point[p], own[3] = { 1.0, -(x + 1.0), x };           /* zero at 1 and at 1/x */
        const double tap[2][3] = { { 1.0, 1.0, x }, { 1.0, x, x } };
        for (j = 0; j < 3; j++) for (k = 0; k < 3; k++) {
            bt[1 + 2 * p][j + k] += row[1 + p] * own[j] * q[1 - p][k];
            bt[2 + 2 * p][4 - j - k] += row[1 + p] * own[j] * q[1 - p][k];
        }
        for (i = 0; i < 2; i++) for (j = 0; j < 3; j++) {
            g[i][1 + 2 * p][j] = scale[p] * tap[i][j];
            g[i][2 + 2 * p][j] = scale[p] * tap[1 - i][2 - j];
        }
        for (i = 0; i < 4; i++) {
            at[i][1 + 2 * p] = rest[p] * pow(x, i);
            at[3 - i][2 + 2 * p] = rest[p] * pow(x, i);
        }
    }
}

/* The point k and phase f along H, l and e along W of product p: (0,0) | (0,l) of both phases, (k,0) | (k,l) of all four. */
static void aopt__upsample4_product(int p, int *k, int *f, int *l, int *e)
{
    *k = p < 9 ? 0 : p < 17 ? (p - 9) / 2 + 1 : (p - 17) / 16 + 1;
    *l = p < 1 ? 0 : p < 9 ? (p - 1) / 2 + 1 : p < 17 ? 0 : (p - 17) / 4 % 4 + 1;
    *f = p < 9 ? 0 : p < 17 ? (p - 9) % 2 : (p - 17) / 2 % 2;
    *e = p < 1 ? 0 : p < 9 ? (p - 1) % 2 : p < 17 ? 0 : (p - 17) % 2;
}

AOPT__DEF void aopt_upsample_form_tile(int tile, double *form)
{
    static const double tap[5][3] = { { 1, 1, 1 }, { 1, 1, 0 }, { 1, 0, 0 }, { 0, 0, -1 }, { 0, -1, -1 } };
    double at[4][5], g[2][5][3], bt[5][5];
    int i, k, f, l, e;
    if (tile != 2 && tile != 4) return;
    aopt__upsample4_matrices(at, g, bt);
    for (i = 0; i < (2 * tile + 1) * (2 * tile + 1) * 9; i++)
        if (tile == 4) {
            aopt__upsample4_product(i / 9, &k, &f, &l, &e);
            form[i] = g[f][k][i % 9 / 3] * g[e][l][i % 3];
        } else {
            const int product = aopt__upsample_product[i / 9];
            form[i] = tap[product / 5][i % 9 / 3] * tap[product % 5][i % 3];
        }
}
AOPT__DEF void aopt_upsample_form(double form[AOPT_UPSAMPLE_PRODUCTS * 9]) { aopt_upsample_form_tile(2, form); }

/* The taps themselves, as nine products: the head sums them after the GEMM. */
AOPT__DEF void aopt_head_form(double form[AOPT_HEAD_PRODUCTS * 9])
{
    int i;
    for (i = 0; i < AOPT_HEAD_PRODUCTS * 9; i++) form[i] = i / 9 == i % 9;
}

AOPT__DEF aopt_status aopt_cuda_conv_weights(const aopt_conv_form *f, const float *w, int co, int ci, int kt, __half *u, float *alpha, aopt_error *err)
{
    const int64_t pair = (int64_t)co * ci;
    const size_t form_bytes = sizeof(double) * (size_t)(f->products * f->taps), carry_bytes = f->carry ? sizeof(double) * (size_t)(f->products * f->products) : 0;
    unsigned char *scratch = NULL;
    unsigned int bits = 0;
    float top;
    int e = 0;
    aopt_status st;
    cudaError_t c = cudaMalloc((void **)&scratch, form_bytes + carry_bytes + sizeof bits);
    if (c != cudaSuccess) return aopt_fail(err, AOPT_E_CUDA, "conv weights: %s", cudaGetErrorString(c));
    unsigned int *max = (unsigned int *)(scratch + form_bytes + carry_bytes);
    const int64_t product_step = f->frames_first ? pair : kt * pair, frame_step = f->frames_first ? f->products * pair : pair;
    cudaMemcpy(scratch, f->form, form_bytes, cudaMemcpyHostToDevice);
    cudaMemset(max, 0, sizeof bits);
    aopt_k_conv_weights<<<2048, 256>>>(w, (const double *)scratch, f->products, f->taps, kt, co, ci, product_step, frame_step, 1.0, NULL, max);
    c = cudaMemcpy(&bits, max, sizeof bits, cudaMemcpyDeviceToHost);
    memcpy(&top, &bits, sizeof top);
    if (c == cudaSuccess && top > 0.0f && top <= 3e38f) frexp((double)top, &e);     /* top = m * 2^e, m in [1/2, 1) */
    if (f->carry) {
        cudaMemcpy(scratch + form_bytes, f->carry, carry_bytes, cudaMemcpyHostToDevice);
        cudaFuncSetAttribute(aopt_k_carry_weights, cudaFuncAttributeMaxDynamicSharedMemorySize, f->products * 256);
        aopt_k_carry_weights<<<8192, 32, (size_t)f->products * 256>>>(w, (const double *)scratch, (const double *)(scratch + form_bytes), f->products, f->taps, kt, co, ci,
                                                                      product_step, frame_step, ldexp(1.0, -e), u);
    } else aopt_k_conv_weights<<<2048, 256>>>(w, (const double *)scratch, f->products, f->taps, kt, co, ci, product_step, frame_step, ldexp(1.0, -e), u, NULL);
    st = aopt__launched("conv weights", err);
    if (st == AOPT_OK && (c = cudaDeviceSynchronize()) != cudaSuccess) st = aopt_fail(err, AOPT_E_CUDA, "conv weights: %s", cudaGetErrorString(c));
    if (st == AOPT_OK && !(top <= 3e38f)) st = aopt_fail(err, AOPT_E_VALUE, "conv weights: NaN or infinity among %d x %d x %d weights", co, ci, kt);
    cudaFree(scratch);
    *alpha = (float)ldexp(1.0, e);
    return st;
}

/* ---- norm ---- */

AOPT__DEF aopt_status aopt_cuda_norm_factor(const __half *x, float *r, int64_t P, int C, int norm_c, cudaStream_t stream, aopt_error *err)
{
    aopt_k_norm_factor<<<(unsigned)aopt__div_up(P, 8), 256, 0, stream>>>(x, r, P, C, sqrtf((float)norm_c));
    return aopt__launched("norm factor", err);
}

static aopt_status aopt__norm_launch(void (*kernel)(const __half *, const float *, const float *, __half *, int64_t, int), const __half *x, const float *r, const float *gamma,
                              __half *y, int64_t P, int C, cudaStream_t stream, aopt_error *err)
{
    if (C % 8 || P < 1 || P * (C / 8) > INT32_MAX) return aopt_fail(err, AOPT_E_ARG, "norm: %lld positions of %d channels: too many, or C is no multiple of 8", (long long)P, C);
    kernel<<<(unsigned)aopt__div_up(P * (C / 8), 256), 256, 0, stream>>>(x, r, gamma, y, P, C);
    return aopt__launched("norm", err);
}

AOPT__DEF aopt_status aopt_cuda_norm_silu(const __half *x, const float *r, const float *gamma, __half *y, int64_t P, int C, cudaStream_t stream, aopt_error *err)
{
    return aopt__norm_launch(aopt_k_norm<true>, x, r, gamma, y, P, C, stream, err);
}

AOPT__DEF aopt_status aopt_cuda_norm(const __half *x, const float *r, const float *gamma, __half *y, int64_t P, int C, cudaStream_t stream, aopt_error *err)
{
    return aopt__norm_launch(aopt_k_norm<false>, x, r, gamma, y, P, C, stream, err);
}

AOPT__DEF aopt_status aopt_cuda_add_norm(const __half *a, const __half *b, __half *y, float *r, int64_t P, int C, int norm_c, cudaStream_t stream, aopt_error *err)
{
    if (C % 8 || P < 1 || P > INT32_MAX) return aopt_fail(err, AOPT_E_ARG, "add and norm: %lld positions of %d channels", (long long)P, C);
    aopt_k_add_norm<<<(unsigned)aopt__div_up(P, 8), 256, 0, stream>>>(a, b, y, r, P, C, sqrtf((float)norm_c));
    return aopt__launched("add and norm", err);
}

AOPT__DEF aopt_status aopt_cuda_max_abs(const __half *x, int64_t n, float *max, cudaStream_t stream, aopt_error *err)
{
    aopt_k_max_abs<<<1024, 256, 0, stream>>>(x, n, (unsigned int *)max);
    return aopt__launched("max abs", err);
}

/* ---- the latent, attention ---- */

AOPT__DEF aopt_status aopt_cuda_point_in(const float *x, int64_t x_channel, const float *w, const float *bias, __half *y, int64_t P, int ci, int C,
                                         cudaStream_t stream, aopt_error *err)
{
    if (C % 8 || C < 8 || P < 1 || ci < 1) return aopt_fail(err, AOPT_E_ARG, "point convolution: %lld positions, %d to %d channels", (long long)P, ci, C);
    aopt_k_point_in<<<(unsigned)(P * (C / 8) / 256 < 4096 ? aopt__div_up(P * (C / 8), 256) : 4096), 256, 0, stream>>>(x, x_channel, w, bias, y, P, ci, C);
    return aopt__launched("point convolution", err);
}

AOPT__DEF aopt_status aopt_cuda_softmax_half(const float *x, __half *y, int64_t rows, int64_t columns, float scale, float out_scale, cudaStream_t stream, aopt_error *err)
{
    if (rows < 1 || rows > INT32_MAX || columns < 1) return aopt_fail(err, AOPT_E_ARG, "softmax: %lld rows of %lld", (long long)rows, (long long)columns);
    aopt_k_softmax_half<<<(unsigned)rows, 256, 0, stream>>>(x, y, columns, scale, out_scale);
    return aopt__launched("softmax", err);
}

/* ---- Winograd transforms ---- */

/* What both transforms ask of their sizes. */
static aopt_status aopt__wino_check(const char *what, int64_t frames, int64_t H, int64_t W, int C, int tile, int time_tile, int front, int64_t least_front, aopt_error *err)
{
    if ((tile != 4 && tile != 6) || C % 8 || C < 8 || frames < 1 || H < 1 || W < 1 || frames > 65533 || W > INT32_MAX / C / tile || aopt__div_up(H, tile) > INT32_MAX / aopt__div_up(W, tile))
        return aopt_fail(err, AOPT_E_ARG, "Winograd %s: [%lld][%lld][%lld][%d], tile %d: C must be a multiple of 8, frames 1 to 65533, tile 4 or 6",
                         what, (long long)frames, (long long)H, (long long)W, C, tile);
    if ((time_tile != 0 && time_tile != 4) || front < (time_tile ? least_front : 0) || front > (time_tile ? 3 : 0))
        return aopt_fail(err, AOPT_E_ARG, "Winograd %s: a time tile of %d, %d frames in front: must be 0 with none, or 4 with %lld to 3", what, time_tile, front, (long long)least_front);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_cuda_wino_input(const aopt_wino_input *input, cudaStream_t stream, aopt_error *err)
{
    aopt_wino_input of_kernel = *input;
    const aopt_wino_input *const a = &of_kernel;
    aopt_status st = aopt__wino_check("input", a->frames, a->H, a->W, a->C, a->tile, a->time_tile, a->front, 1 - a->frames, err);
    int64_t tiles;
    if (st != AOPT_OK) return st;
    if (((a->tile == 6 || a->time_tile) && !a->r) || (a->front > 0 && a->history) || (a->v_last && (a->time_tile || a->history)) || (a->tail && !a->time_tile) || a->H * a->W > INT32_MAX / a->C)
        return aopt_fail(err, AOPT_E_ARG, "Winograd input: [%lld][%lld][%lld][%d], tile %d, time tile %d: a frame must be below 2^31 values, tiles of 6 and over time need a norm, frames in front no history, last frames of v apart neither a history nor a time tile, a tail does",
                         (long long)a->frames, (long long)a->H, (long long)a->W, a->C, a->tile, a->time_tile);
    tiles = aopt__div_up(a->H, a->tile) * aopt__div_up(a->W, a->tile);
    if (!a->time_tile && (a->frames + 2) * tiles > UINT32_MAX / 2 / a->C)
        return aopt_fail(err, AOPT_E_ARG, "Winograd input: %lld frames of %lld tiles of %d channels make a product of 4 GB or more: take fewer frames at a time",
                         (long long)a->frames, (long long)tiles, a->C);
    if (a->time_tile && aopt__shared_memory() < (a->tile == 6 ? aopt__wino_time_shared<6>() : aopt__wino_time_shared<4>()))
        return aopt_fail(err, AOPT_E_UNSUPPORTED, "Winograd input: a time tile with tiles of %d needs more shared memory than the %d bytes that a block can have here", a->tile, aopt__shared_memory());
    of_kernel.tail = aopt__tail_base(a->x, a->tail, a->tail_at, a->H * a->W * a->C);
    if (!input->tail) of_kernel.tail_at = 0;
    if (a->time_tile) {
        aopt__wino_time_maps maps;
        if ((st = aopt__wino_time_make_maps(input, &maps, err)) != AOPT_OK) return st;
        if (a->tile == 6) aopt__wino_time_input_launch<6>(&maps, a, stream); else aopt__wino_time_input_launch<4>(&maps, a, stream);
    }
    else if (a->tile == 6) aopt__wino_input_launch<6>(a, stream);
    else aopt__wino_input_launch<4>(a, stream);
    return aopt__launched("Winograd input", err);
}

AOPT__DEF aopt_status aopt_cuda_wino_output(const aopt_wino_output *output, cudaStream_t stream, aopt_error *err)
{
    aopt_wino_output of_kernel = *output;
    const aopt_wino_output *const a = &of_kernel;
    aopt_status st = aopt__wino_check("output", a->frames, a->H, a->W, a->C, a->tile, a->time_tile, a->front, 0, err);
    const int most = a->time_tile ? 0 : a->tile == 6 ? 2 * aopt__wino_threads<6>() : 2 * aopt__wino_threads<4>();
    int64_t tiles;
    if (st != AOPT_OK) return st;
    if (a->time_tile && aopt__div_up(a->H, a->tile) * aopt__div_up(a->W, a->tile) > INT32_MAX / (a->front + a->frames))
        return aopt_fail(err, AOPT_E_ARG, "Winograd output: %lld frames of %lld x %lld are too many tiles: take fewer frames at a time", (long long)a->frames, (long long)a->H, (long long)a->W);
    if (a->residual_tail && !a->time_tile) return aopt_fail(err, AOPT_E_ARG, "Winograd output: a residual's tail without a time tile");
    if (a->gamma && a->C > most)
        return aopt_fail(err, AOPT_E_ARG, "Winograd output: the activation of %d channels, tile %d, time tile %d: at most %d here", a->C, a->tile, a->time_tile, most);
    tiles = aopt__div_up(a->H, a->tile) * aopt__div_up(a->W, a->tile);
    of_kernel.residual_tail = aopt__tail_base(a->residual, a->residual_tail, a->tail_at, a->H * a->W * a->C);
    of_kernel.y_tail = aopt__tail_base(a->y, a->y_tail, a->tail_at, a->H * a->W * a->C);
    if (a->time_tile) { if (a->tile == 6) aopt__wino_time_output_launch<6>(a, tiles, stream); else aopt__wino_time_output_launch<4>(a, tiles, stream); }
    else if (a->tile == 6) aopt__wino_output_launch<6>(a, tiles, stream);
    else aopt__wino_output_launch<4>(a, tiles, stream);
    return aopt__launched("Winograd output", err);
}

/* ---- upsample transforms ---- */

/* The kernels count tiles in 32 bits, and rows of tiles along the grid's y. */
static int aopt__upsample4_fits(int64_t frames, int64_t H, int64_t W) { return H / 4 < 65535 && (H / 4 + 1) * (W / 4 + 1) <= INT32_MAX / frames; }
static dim3 aopt__upsample4_grid(dim3 block, int slices, int64_t frames, int64_t H, int64_t W)
{
    return dim3((unsigned)(slices * aopt__div_up(W / 4 + 1, block.z)), (unsigned)(H / 4 + 1), (unsigned)frames);
}

AOPT__DEF aopt_status aopt_cuda_upsample_input(const aopt_upsample_input *a, cudaStream_t stream, aopt_error *err)
{
    const int64_t n = (a->H / 2 + 1) * (a->W / 2 + 1) * (a->C / 4);
    if (a->C % 8 || a->C < 8 || a->phases < 1 || a->frames < 1 || a->frames > 65535 || a->frames % a->phases || a->v_plane % 8 || n > INT32_MAX - 256 ||
        (a->tile != 2 && a->tile != 4) || (a->tile == 4 && !aopt__upsample4_fits(a->frames, a->H, a->W)))
        return aopt_fail(err, AOPT_E_ARG, "upsample input: %lld frames in %d phases, C %d, plane %lld, tile %d: C and plane must be multiples of 8, the tile 2 or 4",
                         (long long)a->frames, a->phases, a->C, (long long)a->v_plane, a->tile);
    if (a->tile == 4) {
        const dim3 block = aopt__patch_block(a->C, 256);
        const int slices = (int)aopt__div_up(a->C, 64 * block.y);
        const dim3 grid = aopt__upsample4_grid(block, slices, a->frames, a->H, a->W);
        aopt_k_upsample4_input<<<grid, block, 0, stream>>>(*a, slices);
    } else {
        const dim3 grid((unsigned)aopt__div_up(n, 256), (unsigned)a->frames);
        aopt_k_upsample_input<<<grid, 256, 0, stream>>>(*a);
    }
    return aopt__launched("upsample input", err);
}

AOPT__DEF aopt_status aopt_cuda_upsample_gemm_tile(cublasHandle_t blas, const __half *v, int64_t v_plane, const __half *u, __half *m, int64_t R,
                                                   int ci, int co, int tile, cudaStream_t stream, aopt_error *err)
{
    const int batch[3] = { 1, 2 * tile, tile * tile }, wide[3] = { 1, 2, 4 };
    aopt_status st = AOPT_OK;
    int i;
    if (tile != 2 && tile != 4) return aopt_fail(err, AOPT_E_ARG, "upsample GEMM: tile %d: 2 or 4", tile);
    for (i = 0; i < 3 && st == AOPT_OK; i++) {
        aopt_tapgemm g;
        memset(&g, 0, sizeof g);
        g.batch = batch[i]; g.frames = 1; g.rows = R; g.taps = 1;
        g.n = (int64_t)wide[i] * co; g.k = ci; g.alpha = 1.0f;
        g.a = v; g.a_row = ci; g.a_batch = v_plane;
        g.w = u; g.w_row = ci; g.w_batch = g.n * ci;
        g.c = m; g.c_row = g.n; g.c_batch = R * g.n;
        st = aopt_cuda_tapgemm(blas, &g, stream, err);
        v += batch[i] * v_plane;
        u += batch[i] * g.n * ci;
        m += batch[i] * R * g.n;
    }
    return st;
}
AOPT__DEF aopt_status aopt_cuda_upsample_gemm(cublasHandle_t blas, const __half *v, int64_t v_plane, const __half *u, __half *m, int64_t R,
                                           int ci, int co, cudaStream_t stream, aopt_error *err)
{
    return aopt_cuda_upsample_gemm_tile(blas, v, v_plane, u, m, R, ci, co, 2, stream, err);
}

AOPT__DEF aopt_status aopt_cuda_upsample_output(const aopt_upsample_output *output, cudaStream_t stream, aopt_error *err)
{
    aopt_upsample_output of_kernel = *output;
    const aopt_upsample_output *const a = &of_kernel;
    const int64_t centres = (a->H / 2 + 1) * (a->W / 2 + 1);
    const dim3 block = aopt__patch_block(a->C, 256);
    if (a->C % 8 || a->C < 8 || a->frames < 1 || a->H < 1 || a->W < 1 || a->frames > 65535 || centres > INT32_MAX || a->factor_t < 1 ||
        (a->shortcut && (a->shortcut_c % 8 || a->ratio < 1 || a->ratio > 2 || a->H * a->W > INT32_MAX / a->shortcut_c)) ||
        (a->tile != 2 && a->tile != 4) || (a->tile == 4 && !aopt__upsample4_fits(a->frames, a->H, a->W)))
        return aopt_fail(err, AOPT_E_ARG, "upsample output: [%lld][%lld][%lld][%d], shortcut %d channels, ratio %d, tile %d: channels must be multiples of 8, ratio 1 or 2, the tile 2 or 4",
                         (long long)a->frames, (long long)a->H, (long long)a->W, a->C, a->shortcut_c, a->ratio, a->tile);
    const int ratio = a->shortcut ? a->ratio : 0;
    of_kernel.y_tail = aopt__tail_base(a->y, a->y_tail, a->tail_at, 4 * a->H * a->W * a->C);
    if (a->tile == 4) {
        const dim3 grid = aopt__upsample4_grid(block, 1, a->frames, a->H, a->W);
        const int bytes = 8 * AOPT__UP4_WARP(ratio);
        void (*const kernel)(aopt_upsample_output, float) = ratio == 0 ? aopt_k_upsample4_output<0> : ratio == 1 ? aopt_k_upsample4_output<1> : aopt_k_upsample4_output<2>;
        cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
        kernel<<<grid, block, bytes, stream>>>(*a, sqrtf((float)a->norm_c));
    } else {
        const dim3 grid((unsigned)aopt__div_up(centres, block.z), (unsigned)a->frames);
        void (*const kernel)(aopt_upsample_output, float) = ratio == 0 ? aopt_k_upsample_output<0> : ratio == 1 ? aopt_k_upsample_output<1> : aopt_k_upsample_output<2>;
        kernel<<<grid, block, (AOPT_UPSAMPLE_PRODUCTS + 9 * ratio) * AOPT__PATCH_ROW, stream>>>(*a, sqrtf((float)a->norm_c));
    }
    return aopt__launched("upsample output", err);
}

/* ---- head ---- */

AOPT__DEF aopt_status aopt_cuda_head(const __half *g, float alpha, const float *bias, float *video, int64_t video_channel, int64_t frames,
                                  int64_t H, int64_t W, cudaStream_t stream, aopt_error *err)
{
    if (frames < 1 || frames > 65535 || H * W > INT32_MAX - 256) return aopt_fail(err, AOPT_E_ARG, "head: [%lld][%lld][%lld] is too large", (long long)frames, (long long)H, (long long)W);
    aopt_k_head<<<dim3((unsigned)aopt__div_up(H * W, 256), (unsigned)frames), 256, 0, stream>>>(g, alpha, bias, video, video_channel, (int)H, (int)W);
    return aopt__launched("head", err);
}
#endif /* __CUDACC__ */
