/* autoopt_fast.h - the fast decoder's layers: contracts.  For the end of [A12] in autoopt.h, inside #ifdef AUTOOPT_CUDA. */
#ifndef AUTOOPT_FAST_H
#define AUTOOPT_FAST_H
#include "autoopt.h"
#ifdef __cplusplus
extern "C" {
#endif
#ifndef AUTOOPT_CUDA
struct CUstream_st;
struct cublasContext;
#endif

/* ---- Fast layers: fp16 operands, f32 arithmetic.
   A 3x3x3 causal convolution is three calls: input transform, tap GEMM, output transform.  Over height and width it is a
   2-D Winograd F(4x4,3x3), whose 36 products per 4x4 tile replace 144; the GEMM sums the three time taps.  Nearest-upsample
   and its 3x3 convolution are the same three calls with 25 products per 2x2 low-resolution positions instead of 144.
   Time convolutions, 1x1 shortcuts and the head use the GEMM directly.
   C        a multiple of 8; channels that are padding are zero; norm_c counts the others
   stream   what lies between convolutions, fp16 [T][H][W][C], may be kept times a power of two
   r        f32 [T][H][W], the norm's factor of a position: sqrt(norm_c) / max(||x||, 1e-12), of x as kept
   alpha    2^-s of the weights (aopt_cuda_conv_weights) times the change of the stream's scale; bias in the output's scale
   Unless it says so, a call only enqueues work and may be captured into a CUDA graph.  The same input gives the same bits,
   through wgmma also when a clip is cut into other chunks of frames. */
struct __half;

/* 1 if the current device has compute capability 9.0 and the library holds code for sm_90a; else the GEMM goes through cuBLAS. */
AOPT_API int aopt_cuda_has_wgmma(void);

/* Tap GEMM:  c[b][t][i][n] = alpha * sum over j < taps, k < K of a[b][t + j][i][k] * w[b][j][n][k]  +  bias[n]
   a     fp16 [batch][frames + taps - 1][rows] rows of k elements, a_row elements apart; frames follow each other
   w     fp16 [batch][taps][n] rows of k elements, w_row apart
   c     fp16 [batch][frames][rows] rows of n elements, c_row apart; elements from n to the next multiple of 8 may become anything finite
   bias  f32 [n], or NULL
   Any frames, rows, n, k >= 1.  a_row, w_row, c_row and the batch strides (unused where batch is 1) are multiples of 8, pointers of
   16 bytes.  One tap is an ordinary batched GEMM; three taps are a causal convolution over frames, two frames of history first. */
typedef struct aopt_tapgemm {
    int64_t batch, frames, rows, n, k;
    int taps;
    const struct __half *a; int64_t a_row, a_batch;
    const struct __half *w; int64_t w_row, w_batch;
    struct __half *c; int64_t c_row, c_batch;
    float alpha;
    const float *bias;
} aopt_tapgemm;
/* blas NULL: wgmma (the caller has asked aopt_cuda_has_wgmma).  Else cuBLAS, one call per tap, for other GPUs and as a check:
   c is rounded to fp16 after every tap, and blas is left set to stream.
   AOPT_E_ARG  a size, stride or pointer is not as above    AOPT_E_SHAPE  too large for one launch */
AOPT_API aopt_status aopt_cuda_tapgemm(struct cublasContext *blas, const aopt_tapgemm *g, struct CUstream_st *stream, aopt_error *err);

/* How the wgmma launch is cut; the sums do not depend on it.  Zero fields are chosen. */
typedef struct aopt_tapgemm_plan {
    int tile_rows;                      /* 32, 64, 128 or 256: a tile is tile_rows rows of 256/tile_rows frames */
    int a_stages, w_stages;             /* depths of the rings in shared memory, at least 2 */
    int grid;                           /* blocks; 0 = one per multiprocessor */
} aopt_tapgemm_plan;
AOPT_API aopt_status aopt_cuda_tapgemm_planned(const aopt_tapgemm *g, const aopt_tapgemm_plan *plan, struct CUstream_st *stream, aopt_error *err);

/* Weights, once per layer, in double: u = 2^s * sum over the taps of form[p][tap] * w[co][ci][t][tap], rounded to fp16, with
   the s that brings max|u| into [1/2, 1): far from fp16's limits on both sides. */
enum { AOPT_WINO_PRODUCTS = 36, AOPT_UPSAMPLE_PRODUCTS = 25, AOPT_HEAD_PRODUCTS = 9, AOPT_HEAD_N = 108, AOPT_HEAD_ROW = 112 };
typedef struct aopt_conv_form {
    const double *form; int products, taps;     /* host [products][taps]; taps 9 (3x3, row by row) or 1 */
    int frames_first;                           /* 0: u is [products][kt][co][ci]; 1: [kt][products][co][ci] */
} aopt_conv_form;
AOPT_API void aopt_wino_form(double form[AOPT_WINO_PRODUCTS * 9]);           /* 3x3x3 convolutions */
AOPT_API void aopt_upsample_form(double form[AOPT_UPSAMPLE_PRODUCTS * 9]);   /* 3x3 after nearest-upsample, kt 1 */
AOPT_API void aopt_head_form(double form[AOPT_HEAD_PRODUCTS * 9]);           /* the head, frames_first */
/* w  device f32 [co][ci][kt][taps]    u  device fp16, products*kt*co*ci elements    *alpha = 2^-s
   Blocks, and allocates a little device memory meanwhile.  AOPT_E_VALUE: NaN or infinity among the weights. */
AOPT_API aopt_status aopt_cuda_conv_weights(const aopt_conv_form *f, const float *w, int co, int ci, int kt, struct __half *u, float *alpha, aopt_error *err);

/* r of a tensor that no transform wrote.  x fp16 [P][C], r f32 [P]. */
AOPT_API aopt_status aopt_cuda_norm_factor(const struct __half *x, float *r, int64_t P, int C, int norm_c, struct CUstream_st *stream, aopt_error *err);
/* y = silu(x * r * gamma).  x, y fp16 [P][C] (y may be x), r f32 [P], gamma f32 [C]; P*C/8 < 2^31. */
AOPT_API aopt_status aopt_cuda_norm_silu(const struct __half *x, const float *r, const float *gamma, struct __half *y, int64_t P, int C,
                                         struct CUstream_st *stream, aopt_error *err);

/* Winograd.  Tiles are 4x4 positions, ceil(H/4) rows of ceil(W/4), counted row by row; product p = 6*k + l, k along H, l along W.
   v[p][f] = fp16(B^T d B) of d = silu(x * r * gamma), or of d = x where r is NULL; d outside the frame is 0.
   x          fp16 [frames][H][W][C]                     r          f32 [frames][H][W], or NULL
   history    fp16 [2][H][W][C], the two frames before   r_history  f32 [2][H][W]; both NULL at the start of a clip: zeros
   gamma      f32 [C], unused without r                  v          fp16 [36][frames + 2][tiles][C], history first
   Then a tap GEMM with batch 36, rows = tiles, taps 3; then y = alpha * A^T m A + bias + residual, and r of y:
   m          fp16 [36][frames][tiles][C]                bias       f32 [C]
   residual   fp16 [frames][H][W][C] in y's scale, or NULL; may be y
   y          fp16 [frames][H][W][C]                     r          f32 [frames][H][W], or NULL */
typedef struct aopt_wino_input {
    const struct __half *x, *history;
    const float *r, *r_history, *gamma;
    struct __half *v;
    int64_t frames, H, W;
    int C;
} aopt_wino_input;
typedef struct aopt_wino_output {
    const struct __half *m;
    float alpha;
    const float *bias;
    const struct __half *residual;
    struct __half *y;
    float *r;
    int64_t frames, H, W;
    int C, norm_c;
} aopt_wino_output;
AOPT_API aopt_status aopt_cuda_wino_input(const aopt_wino_input *a, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_wino_output(const aopt_wino_output *a, struct CUstream_st *stream, aopt_error *err);

/* Nearest-upsample by 2 and its 3x3 convolution, H W the low resolution.  Centres are the even low-resolution positions,
   (H/2 + 1) rows of (W/2 + 1): centre (i, j) is position (2i, 2j) and makes output rows 4i-1 .. 4i+2, columns 4j-1 .. 4j+2.
   R = frames * centres.
   v[k] = the nine combinations of x around each centre (see aopt_upsample_form's definition), xx | xa xb ax bx | aa ab ba bb:
   x         fp16 [frames/phases][H][W][phases*C]: frame f is phase f % phases of the channels, as a time convolution
             that doubles the frames leaves them; phases 1: [frames][H][W][C]
   v         fp16 [9] planes of [frames][centres][C], v_plane elements apart (more than frames*centres*C if it is filled in parts) */
typedef struct aopt_upsample_input {
    const struct __half *x;
    struct __half *v;
    int64_t v_plane, frames, H, W;
    int C, phases;
} aopt_upsample_input;
AOPT_API aopt_status aopt_cuda_upsample_input(const aopt_upsample_input *a, struct CUstream_st *stream, aopt_error *err);
/* Three GEMMs: u from aopt_upsample_form, m fp16 [25*R*co]: [R][co] | [4][R][2co] | [4][R][4co].  blas as in aopt_cuda_tapgemm. */
AOPT_API aopt_status aopt_cuda_upsample_gemm(struct cublasContext *blas, const struct __half *v, int64_t v_plane, const struct __half *u, struct __half *m,
                                             int64_t R, int ci, int co, struct CUstream_st *stream, aopt_error *err);
/* y = alpha * (sums of products) + bias + shortcut_scale * shortcut, and r of y.
   y          fp16 [frames][2H][2W][C]                  r       f32 [frames][2H][2W], or NULL
   shortcut   fp16 [.][H][W][shortcut_c], the stage's input, or NULL.  The official DupUp3D as an index: output frame f is
              phase u = (f + skip) % factor_t of input frame (f + skip) / factor_t, and channel o of pixel (y, x) is, of pixel
              (y/2, x/2), channel o (ratio 1: as many input channels) or 2*o + (factor_t == 2 ? u : y%2) (ratio 2: twice as many)
   skip       factor_t - 1 in the chunk that starts a clip, else 0 */
typedef struct aopt_upsample_output {
    const struct __half *m;
    float alpha;
    const float *bias;
    const struct __half *shortcut;
    float shortcut_scale;
    int shortcut_c, ratio, factor_t, skip;
    struct __half *y;
    float *r;
    int64_t frames, H, W;
    int C, norm_c;
} aopt_upsample_output;
AOPT_API aopt_status aopt_cuda_upsample_output(const aopt_upsample_output *a, struct CUstream_st *stream, aopt_error *err);

/* The head, 12 outputs: a tap GEMM with n = AOPT_HEAD_N = 9*12 (the spatial taps as columns), c_row = AOPT_HEAD_ROW, taps 3; then
   video[c][f][2y+q][2x+s] = clamp(alpha * sum over ky, kx of g[f][y+ky-1][x+kx-1][(3*ky+kx)*12 + o] + bias[o], -1, 1), o = c*4 + s*2 + q.
   g      fp16 [frames][H][W][112]        bias   f32 [12]
   video  f32, 3 channels video_channel elements apart, each [frames][2H][2W] */
AOPT_API aopt_status aopt_cuda_head(const struct __half *g, float alpha, const float *bias, float *video, int64_t video_channel, int64_t frames,
                                    int64_t H, int64_t W, struct CUstream_st *stream, aopt_error *err);

#ifdef __cplusplus
}
#endif
#endif
