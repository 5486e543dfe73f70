/* autoopt.h - v0.1 - the Wan 2.2 video VAE in C and CUDA, and the tools to prove a faster decoder of it equal

   DO THIS   in exactly one .c, .cpp or .cu file:
      #define AUTOOPT_IMPLEMENTATION
      #include "autoopt.h"
   gcc -O2 -fopenmp app.c -lm                                  CPU; -fopenmp and every other flag are optional
   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA app.c -lcublas         the same file, on an NVIDIA GPU

   DECODE A CLIP   (error handling shortened: every call returns 0 on success and fills err otherwise)
      aopt_error err;  aopt_checkpoint *ck;  aopt_vae *vae;
      aopt_checkpoint_open("Wan2.2_VAE.pth", NULL, &ck, &err);
      aopt_vae_open(ck, NULL, &vae, &err);
      aopt_vae_decode(vae, latent, T, h, w, NULL, video, &err);      f32 [48][T][h][w] -> f32 [3][4T-3][16h][16w]
      aopt_vae_close(vae);  aopt_checkpoint_close(ck);

   DOES NOT   train, sample, run other VAEs (the z = 16 one of Wan 2.1 is refused by name), decompress, or execute
      anything found in a file: a pickle is read as data, and what is not tensor data is refused.

   CONTENTS   search for the tag
      [A1]  options: macros that change how this file compiles
      [A2]  status, error, dtype, tensor; the letters used for shapes
      [A3]  checkpoint: .pth and .safetensors, read; .safetensors, written
      [A4]  VAE: weights bound by name; decode and encode
      [A5]  compare: PSNR and its company
      [A6]  bench: clock, median, confidence interval
      [A7]  profile: time, FLOPs and bytes per named item
      [A8]  ops: the fp32 CPU reference of each layer
      [A9]  frames: PNG and JPEG folders, y4m streams
      [A10] small tools: JSON, SHA-256, reproducible random numbers
      [A11] the contract of a candidate (build_decoder) and of a target
      ---- end of the API; below is the implementation ----
      [I1]  platform: threads, files, vector types
      [I2]  errors, sizes, memory
      [I3]  checkpoint: zip, pickle, safetensors
      [I4]  CPU ops
      [I5]  weight binding
      [I6]  decoder and encoder: chunk loop, feature caches
      [I7]  compare
      [I8]  bench
      [I9]  profile
      [I10] frames
      [I11] JSON, SHA-256, random numbers
      [I12] licence
*/
#ifndef AUTOOPT_H
#define AUTOOPT_H

/* Before the first system header: an implementation compiled with -std=c11 still needs POSIX names. */
#if defined(AUTOOPT_IMPLEMENTATION) && !defined(_GNU_SOURCE)
#define _GNU_SOURCE
#endif
#include <stddef.h>
#include <stdint.h>

/* ==== [A1] options ======================================================================================
   Define before including.  "everywhere" = the same in every file that includes this header; "impl" = only
   where AUTOOPT_IMPLEMENTATION is defined.

   AOPT_STATIC        everywhere  all functions static: several files may each hold their own copy
   AUTOOPT_CUDA       everywhere  CUDA part on; needs nvcc, autoopt_kernels.cuh beside this file, cuBLAS
   AOPT_NO_STDIO      impl        no file access at all: *_open and *_write answer AOPT_E_UNSUPPORTED
   AOPT_NO_IMAGES     impl        no PNG/JPEG; y4m stays.  Set by itself where <stb/stb_image.h> or <stb/stb_image_write.h> is absent
   AOPT_MALLOC(n), AOPT_REALLOC(p,n), AOPT_FREE(p)   impl, all or none; malloc's contract, NULL = no memory
   AOPT_ASSERT(x)     impl        for bugs of this library only, never for input; default assert.h */
#ifdef AOPT_STATIC
#define AOPT_API static
#else
#define AOPT_API extern
#endif
#define AOPT_VERSION "0.1"

/* Functions of a static copy that a file happens not to use must not warn. */
#if defined(AOPT_STATIC) && (defined(__GNUC__) || defined(__clang__))
#pragma GCC diagnostic ignored "-Wunused-function"
#endif
#if defined(AOPT_STATIC) && defined(__CUDACC__)
#pragma nv_diag_suppress 177
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ==== [A2] status, error, dtype, tensor =================================================================
   Letters for shapes, slowest dimension first, dtype before the bracket:
      C Ci Co channels   T latent frames   F video frames, F = 1 + 4*(T-1)   h w latent size   H W size in pixels
      P positions (frames*H*W)   z latent channels (48)
   channels-first = [C][T][H][W], what callers see;  channels-last = [T][H][W][C], what the ops use. */

#define AOPT_STATUS_LIST(X) \
    X(AOPT_OK, "ok") \
    X(AOPT_E_ARG, "bad argument") \
    X(AOPT_E_MEMORY, "out of memory") \
    X(AOPT_E_IO, "input/output error") \
    X(AOPT_E_FORMAT, "malformed file") \
    X(AOPT_E_UNSUPPORTED, "unsupported") \
    X(AOPT_E_MISSING, "missing") \
    X(AOPT_E_SHAPE, "wrong shape") \
    X(AOPT_E_VALUE, "bad value") \
    X(AOPT_E_CUDA, "CUDA error") \
    X(AOPT_E_CANCELLED, "cancelled") \
    X(AOPT_E_INTERNAL, "internal error")
#define AOPT__X(id, text) id,
typedef enum aopt_status { AOPT_STATUS_LIST(AOPT__X) AOPT_STATUS_COUNT } aopt_status;
#undef AOPT__X

/* Filled by a call that fails; left alone by one that succeeds.  Every `err` may be NULL. */
typedef struct aopt_error {
    aopt_status status;
    char message[512];     /* one line: file, tensor, expected, found */
} aopt_error;

/* The short English name of a status, never NULL. */
AOPT_API const char *aopt_status_name(int status);

/* Fill err (printf-style) and return status: `return aopt_fail(err, AOPT_E_SHAPE, "...", ...)`. */
AOPT_API aopt_status aopt_fail(aopt_error *err, aopt_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* X(id, name in .safetensors, bytes) */
#define AOPT_DTYPE_LIST(X) \
    X(AOPT_F32, "F32", 4) X(AOPT_F16, "F16", 2) X(AOPT_BF16, "BF16", 2) X(AOPT_F64, "F64", 8) \
    X(AOPT_I64, "I64", 8) X(AOPT_I32, "I32", 4) X(AOPT_I16, "I16", 2) X(AOPT_I8, "I8", 1) \
    X(AOPT_U8, "U8", 1) X(AOPT_BOOL, "BOOL", 1)
#define AOPT__X(id, text, bytes) id,
typedef enum aopt_dtype { AOPT_DTYPE_LIST(AOPT__X) AOPT_DTYPE_COUNT } aopt_dtype;
#undef AOPT__X
AOPT_API const char *aopt_dtype_name(int dtype);
AOPT_API int aopt_dtype_bytes(int dtype);

enum { AOPT_MAX_DIMS = 8, AOPT_HOST = -1 };

/* A view: it owns neither name nor data. */
typedef struct aopt_tensor {
    const char *name;                   /* may be NULL */
    aopt_dtype dtype;
    int ndim;                           /* 0 = scalar */
    int64_t shape[AOPT_MAX_DIMS];
    int64_t stride[AOPT_MAX_DIMS];      /* in elements; contiguous unless said otherwise */
    void *data;
    int device;                         /* AOPT_HOST or a CUDA ordinal */
} aopt_tensor;

/* A contiguous view of `data`; shape has ndim entries (ndim <= AOPT_MAX_DIMS). */
AOPT_API aopt_tensor aopt_tensor_make(const char *name, aopt_dtype dtype, int ndim, const int64_t *shape, void *data, int device);
AOPT_API int64_t aopt_tensor_numel(const aopt_tensor *t);       /* product of shape; -1 if it does not fit int64 */
AOPT_API int aopt_tensor_contiguous(const aopt_tensor *t);      /* 1 if strides are those of aopt_tensor_make */
/* "f32 [48][5][8][12]" into out (always terminated); returns out. */
AOPT_API char *aopt_tensor_describe(const aopt_tensor *t, char *out, size_t out_bytes);
/* Any dtype and stride -> contiguous f32 host memory out[n]; n must equal numel.  Integers convert by value. */
AOPT_API aopt_status aopt_tensor_to_f32(const aopt_tensor *t, float *out, int64_t n, aopt_error *err);

/* Called now and then during long work, from the calling thread.  done runs from 0 to total.  Nonzero return = stop:
   the work answers AOPT_E_CANCELLED. */
typedef int (*aopt_progress)(void *user, const char *what, int64_t done, int64_t total);

/* ==== [A3] checkpoint =================================================================================== */
typedef struct aopt_checkpoint aopt_checkpoint;
typedef struct aopt_checkpoint_options {    /* NULL or all zero = defaults */
    int skip_crc;                           /* 1 = do not verify the CRC of zip entries (they cover every byte: seconds for gigabytes) */
    aopt_progress progress; void *progress_user;
} aopt_checkpoint_options;

/* Open a checkpoint; the format is told by content, not by name.
   .pth           what torch.save writes since 1.6: a zip of stored entries and a pickle that is interpreted as data.
                  Top level: one tensor, a dict of tensors (nested dicts join their keys with '.'), or
                  {"state_dict": ...} / {"model": ...}, whose wrapper is peeled off.
   .safetensors   F32 F16 BF16 F64 I64 I32 I16 I8 U8 BOOL.
   The file is memory-mapped and must not change while open.  Nothing is copied, nothing is executed.
   out   owned by the caller: aopt_checkpoint_close.  NULL after an error.
   AOPT_E_IO           cannot open, read or map
   AOPT_E_FORMAT       damaged or hostile (the message says what was found where)
   AOPT_E_UNSUPPORTED  TorchScript, tar, the pre-1.6 layout, compressed or encrypted entries, unknown pickle globals, opcodes or dtypes
   AOPT_E_MEMORY */
AOPT_API aopt_status aopt_checkpoint_open(const char *path, const aopt_checkpoint_options *options, aopt_checkpoint **out, aopt_error *err);
/* The same over bytes[n], which are borrowed until close.  label stands for the path in messages. */
AOPT_API aopt_status aopt_checkpoint_open_memory(const void *bytes, size_t n, const char *label, const aopt_checkpoint_options *options,
                                                 aopt_checkpoint **out, aopt_error *err);
AOPT_API void aopt_checkpoint_close(aopt_checkpoint *ck);                       /* NULL is fine; tensors of ck die with it */
AOPT_API const char *aopt_checkpoint_path(const aopt_checkpoint *ck);
AOPT_API int64_t aopt_checkpoint_count(const aopt_checkpoint *ck);
AOPT_API const aopt_tensor *aopt_checkpoint_at(const aopt_checkpoint *ck, int64_t i);         /* sorted by name; NULL if out of range */
AOPT_API const aopt_tensor *aopt_checkpoint_find(const aopt_checkpoint *ck, const char *name); /* NULL if absent */

/* Write tensors (contiguous host memory, unique names) as .safetensors: a temporary file in the same folder, fsync, rename.
   meta: 2*meta_n strings, key then value, for __metadata__; may be NULL.  After an error path is as it was before. */
AOPT_API aopt_status aopt_safetensors_write(const char *path, const aopt_tensor *tensors, int64_t n,
                                            const char *const *meta, int meta_n, aopt_error *err);

/* ==== [A4] VAE ==========================================================================================
   The z = 48, 16x16x4 VAE of Wan 2.2 (official code: Wan-Video/Wan2.2, wan/modules/vae2_2.py).  Names of parts follow it. */
enum { AOPT_VAE_Z = 48, AOPT_VAE_STAGES = 4, AOPT_VAE_MAX_BLOCKS = 3, AOPT_VAE_PATCH = 2, AOPT_VAE_HISTORY = 2 };

/* Weights bound to their tensors in the checkpoint: borrowed, in the file's dtype, [Co][Ci][kt][kh][kw] (2-D convs: kt = 1). */
typedef struct aopt_conv_weights { const aopt_tensor *weight, *bias; int ci, co, kt, kh, kw; } aopt_conv_weights;
typedef struct aopt_norm_weights { const aopt_tensor *gamma; int c; } aopt_norm_weights;
typedef struct aopt_resblock_weights {          /* norm1 SiLU conv1 norm2 SiLU conv2, plus x or shortcut(x) */
    aopt_norm_weights norm1, norm2;
    aopt_conv_weights conv1, conv2, shortcut;   /* shortcut.weight is NULL where ci == co */
    int ci, co;
} aopt_resblock_weights;
typedef struct aopt_attention_weights { aopt_norm_weights norm; aopt_conv_weights to_qkv, proj; int c; } aopt_attention_weights;
typedef struct aopt_stage_weights {
    aopt_resblock_weights block[AOPT_VAE_MAX_BLOCKS]; int block_n;   /* decoder 3, encoder 2 */
    int ci, co;
    int factor_s, factor_t;                     /* 1 or 2: how much this stage resamples space and time */
    aopt_conv_weights resample;                 /* 3x3, factor_s == 2 only */
    aopt_conv_weights time_conv;                /* 3x1x1, factor_t == 2 only; decoder C -> 2C, encoder C -> C with stride 2 */
} aopt_stage_weights;
typedef struct aopt_coder_weights {             /* encoder or decoder */
    int present;
    int width[AOPT_VAE_STAGES + 1];             /* channels before stage 0, then after each stage */
    aopt_conv_weights conv1;
    aopt_resblock_weights middle0, middle2; aopt_attention_weights middle1;
    aopt_stage_weights stage[AOPT_VAE_STAGES];
    aopt_norm_weights head_norm; aopt_conv_weights head_conv;
} aopt_coder_weights;

typedef struct aopt_vae {
    const aopt_checkpoint *checkpoint;          /* borrowed */
    aopt_conv_weights conv1, conv2;             /* 1x1x1: after the encoder (96 -> 96), before the decoder (48 -> 48) */
    aopt_coder_weights encoder, decoder;
    float mean[AOPT_VAE_Z], std[AOPT_VAE_Z];    /* of the latent, per channel: z = normalised*std + mean */
} aopt_vae;

typedef struct aopt_vae_options {               /* NULL or all zero = defaults */
    int threads;                                /* 0 = all cores that this process may use; without OpenMP always 1 */
    int raw_latent;                             /* 1 = latents are not normalised: no mean and std applied */
    int64_t memory_limit;                       /* bytes; refuse (AOPT_E_MEMORY, with the prediction) above; 0 = what the machine has free */
    aopt_progress progress; void *progress_user;
    struct aopt_profile *profile;               /* [A7], or NULL */
} aopt_vae_options;

/* Bind and check every tensor.  A checkpoint with only a decoder (or only an encoder) is fine: the other half is `present` = 0.
   AOPT_E_MISSING  a tensor is absent (named)          AOPT_E_SHAPE  a shape does not fit (name, expected, found), or the z = 16 VAE
   AOPT_E_VALUE    a tensor that belongs to no layer (named), or NaN/Inf among the weights (checked when they are packed for use) */
AOPT_API aopt_status aopt_vae_open(const aopt_checkpoint *ck, aopt_vae **out, aopt_error *err);
AOPT_API void aopt_vae_close(aopt_vae *vae);

AOPT_API int64_t aopt_vae_frames(int64_t T);                        /* video frames of T latent frames: 1 + 4*(T-1) */
AOPT_API int64_t aopt_vae_latent_frames(int64_t F);                 /* latent frames of F video frames; -1 unless F = 1 + 4n */
AOPT_API double aopt_vae_decode_flops(const aopt_vae *vae, int64_t T, int64_t h, int64_t w);   /* 2 per multiply-add */
AOPT_API double aopt_vae_encode_flops(const aopt_vae *vae, int64_t T, int64_t h, int64_t w);
AOPT_API int64_t aopt_vae_decode_peak_bytes(const aopt_vae *vae, int64_t h, int64_t w);        /* packed weights, caches and work of one chunk */
AOPT_API int64_t aopt_vae_encode_peak_bytes(const aopt_vae *vae, int64_t h, int64_t w);

/* Whole clip, fp32 reference on the CPU.
   latent  in   f32 [48][T][h][w], contiguous, in the diffusion model's scale (options->raw_latent: not normalised)
   video   out  f32 [3][F][16h][16w], clamped to [-1, 1]; must not overlap latent; unspecified after an error
   AOPT_E_ARG, AOPT_E_SHAPE (a size < 1 or too large), AOPT_E_MEMORY, AOPT_E_CANCELLED, AOPT_E_VALUE */
AOPT_API aopt_status aopt_vae_decode(const aopt_vae *vae, const float *latent, int64_t T, int64_t h, int64_t w,
                                     const aopt_vae_options *options, float *video, aopt_error *err);
/* video f32 [3][F][16h][16w] in [-1, 1] -> latent f32 [48][T][h][w]: the mean of the posterior, no sampling. */
AOPT_API aopt_status aopt_vae_encode(const aopt_vae *vae, const float *video, int64_t F, int64_t H, int64_t W,
                                     const aopt_vae_options *options, float *latent, aopt_error *err);

/* Chunk by chunk, in the memory of one chunk, bit-equal to the whole clip.  One thread at a time per decoder. */
typedef struct aopt_vae_decoder aopt_vae_decoder;
/* frame: f32 [3][16h][16w], valid during the call.  Nonzero return = stop (AOPT_E_CANCELLED). */
typedef int (*aopt_frame_fn)(void *user, const float *frame, int64_t index, int64_t H, int64_t W);
AOPT_API aopt_status aopt_vae_decoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_vae_options *options,
                                           aopt_vae_decoder **out, aopt_error *err);
/* The next n latent frames: f32 [48][n][h][w] with `channel_stride` elements from one channel to the next (n*h*w if contiguous).
   Calls frame() once for the first latent frame of a clip and four times for each later one.  Allocates nothing. */
AOPT_API aopt_status aopt_vae_decoder_step(aopt_vae_decoder *d, const float *latent, int64_t n, int64_t channel_stride,
                                           aopt_frame_fn frame, void *user, aopt_error *err);
AOPT_API void aopt_vae_decoder_reset(aopt_vae_decoder *d);          /* the next step starts a new clip */
AOPT_API void aopt_vae_decoder_close(aopt_vae_decoder *d);

typedef struct aopt_vae_encoder aopt_vae_encoder;
/* latent: f32 [48][h][w] of one latent frame, valid during the call. */
typedef int (*aopt_latent_fn)(void *user, const float *latent, int64_t index, int64_t h, int64_t w);
AOPT_API aopt_status aopt_vae_encoder_open(const aopt_vae *vae, int64_t H, int64_t W, const aopt_vae_options *options,
                                           aopt_vae_encoder **out, aopt_error *err);
/* The next n video frames, f32 [3][n][H][W]: 1 for the first step of a clip (or 1 + 4k), a multiple of 4 afterwards. */
AOPT_API aopt_status aopt_vae_encoder_step(aopt_vae_encoder *e, const float *video, int64_t n, int64_t channel_stride,
                                           aopt_latent_fn latent, void *user, aopt_error *err);
AOPT_API void aopt_vae_encoder_reset(aopt_vae_encoder *e);
AOPT_API void aopt_vae_encoder_close(aopt_vae_encoder *e);

/* ==== [A5] compare ======================================================================================
   How far a video is from a reference.  PSNR = 10*log10(4 / max(mse, 1e-12)) dB: the range of [-1, 1] is 2.  All sums
   are doubles in one fixed order.  A NaN or an infinity on either side makes every figure below NaN, so test limits
   as `if (!(x >= limit)) fail`. */
enum { AOPT_COMPARE_TILE = 32 };        /* pixels; the tiles at the right and bottom edge may be smaller */
typedef struct aopt_comparison {
    double mse, psnr_db;
    double psnr_frame_min_db;   int64_t frame_min;          /* the worst frame */
    double psnr_tile_min_db;    int64_t tile_min[3];        /* the worst tile over all channels: [f][y][x] of its first pixel */
    double max_abs;             int64_t max_abs_at[4];      /* largest |difference|, at [c][f][y][x] */
    double mean_shift;          int64_t mean_shift_channel; /* mean(video) - mean(reference) of the channel where it is largest */
    double psnr_motion_db;      /* PSNR of the changes from each frame to the next; 10*log10(4e12) if F = 1 */
    double gradient_ratio;      /* energy of neighbour differences, video / reference: below 1 is blur, above is noise */
    int64_t nonfinite, nonfinite_at[4];                     /* in video: how many, and the first as [c][f][y][x] */
    int64_t reference_nonfinite, reference_nonfinite_at[4];
} aopt_comparison;
/* video, reference  in  f32 [3][F][H][W], contiguous host memory
   AOPT_E_ARG (NULL), AOPT_E_SHAPE (a size < 1, or the product does not fit), AOPT_E_MEMORY */
AOPT_API aopt_status aopt_compare(const float *video, const float *reference, int64_t F, int64_t H, int64_t W,
                                  aopt_comparison *out, aopt_error *err);
AOPT_API double aopt_psnr_db(double mse);               /* the formula above; NaN stays NaN */

/* ==== [A6] bench ======================================================================================== */

/* ==== [A7] profile ====================================================================================== */
enum { AOPT_PROFILE_MAX = 256 };
typedef struct aopt_profile_item { char name[64]; int64_t calls; double seconds, flops, bytes; } aopt_profile_item;
typedef struct aopt_profile { aopt_profile_item item[AOPT_PROFILE_MAX]; int n; } aopt_profile;    /* start from memset 0 */
/* Add one call of `name`: seconds of wall time, FLOPs done, least bytes moved.  Not thread-safe.  p NULL: nothing. */
AOPT_API void aopt_profile_add(aopt_profile *p, const char *name, double seconds, double flops, double bytes);
AOPT_API double aopt_seconds(void);                                /* monotonic clock */

/* ==== [A8] ops ==========================================================================================
   fp32 reference of each layer, channels-last, threads = 0 for all.  Weights as in the checkpoint, f32. */

/* ==== [A9] frames =======================================================================================
   8-bit pictures and video <-> f32 in [-1, 1]: x = byte/127.5 - 1 and byte = round((x + 1)*127.5), clamped; NaN becomes 0.
   y4m is 8 bits per sample.  The format leaves the colour matrix open; here it is BT.601 with limited range (Y 16..235), or
   full range where the header says XCOLORRANGE=FULL.  Read: C420*, C422, C444, Cmono, progressive; chroma is repeated, not
   interpolated.  Written: C444. */
typedef struct aopt_clip {
    int64_t F, H, W;
    int fps_num, fps_den;               /* 24:1 where the source does not say */
    float *video;                       /* f32 [3][F][H][W], owned: aopt_clip_free */
} aopt_clip;
/* path: a folder (its .png, .jpg and .jpeg files, sorted by name), one such picture, a .y4m file, or "-" for y4m on stdin.
   AOPT_E_IO, AOPT_E_FORMAT, AOPT_E_SHAPE (pictures of different sizes; names the file), AOPT_E_MISSING (no picture or frame),
   AOPT_E_UNSUPPORTED (AOPT_NO_IMAGES, or a y4m feature by name), AOPT_E_MEMORY.  After an error out is all zero. */
AOPT_API aopt_status aopt_clip_read(const char *path, aopt_clip *out, aopt_error *err);
AOPT_API void aopt_clip_free(aopt_clip *clip);                      /* all zero is fine */

/* Write frame by frame.  path: "frames/f%04d.png" (one %d or %0Nd; missing folders are made; numbers start at 0), "x.y4m",
   or "-" for y4m on stdout.  Files appear under their names when whole; a y4m file when the writer is closed with keep = 1.
   AOPT_E_ARG   another kind of path, or stdout is a terminal
   AOPT_E_CANCELLED   the other end of the pipe is closed (the program must ignore SIGPIPE)
   AOPT_E_IO, AOPT_E_UNSUPPORTED (AOPT_NO_IMAGES), AOPT_E_MEMORY */
typedef struct aopt_frame_writer aopt_frame_writer;
AOPT_API aopt_status aopt_frame_writer_open(const char *path, int64_t H, int64_t W, int fps_num, int fps_den, aopt_frame_writer **out, aopt_error *err);
/* frame: f32 [3][H][W] with channel_stride elements from one channel to the next. */
AOPT_API aopt_status aopt_frame_writer_add(aopt_frame_writer *w, const float *frame, int64_t channel_stride, aopt_error *err);
/* Frees w, always (NULL is fine).  keep = 0: what is not yet under its name is removed. */
AOPT_API aopt_status aopt_frame_writer_close(aopt_frame_writer *w, int keep, aopt_error *err);

/* y4m over any source and sink. */
typedef struct aopt_y4m {
    int64_t H, W;
    int fps_num, fps_den, full_range;
    int chroma_w, chroma_h;             /* pixels per chroma sample, 1 or 2; 0 = mono */
} aopt_y4m;
/* Returns n, or fewer bytes at the end of the input, or a negative number after an error. */
typedef int64_t (*aopt_read_fn)(void *user, void *bytes, int64_t n);
/* label stands for the path in messages. */
AOPT_API aopt_status aopt_y4m_read_header(aopt_read_fn read, void *user, const char *label, aopt_y4m *out, aopt_error *err);
AOPT_API int64_t aopt_y4m_frame_bytes(const aopt_y4m *y);           /* of the planes of one frame */
/* planes: scratch of aopt_y4m_frame_bytes.  frame: f32 [3][H][W].  *end = 1 where the input ends before a frame begins. */
AOPT_API aopt_status aopt_y4m_read_frame(const aopt_y4m *y, aopt_read_fn read, void *user, const char *label,
                                         unsigned char *planes, float *frame, int *end, aopt_error *err);
AOPT_API int aopt_y4m_write_header(int64_t H, int64_t W, int fps_num, int fps_den, char out[128]);     /* returns its length */
/* One frame with its "FRAME\n" into out[6 + 3*H*W]. */
AOPT_API void aopt_y4m_write_frame(const float *frame, int64_t channel_stride, int64_t H, int64_t W, unsigned char *out);

/* ==== [A10] small tools =================================================================================
   JSON (RFC 8259), strict: UTF-8 checked, duplicate keys refused, depth at most 64, nothing after the value. */
typedef enum aopt_json_type { AOPT_JSON_NULL, AOPT_JSON_BOOL, AOPT_JSON_NUMBER, AOPT_JSON_STRING, AOPT_JSON_ARRAY, AOPT_JSON_OBJECT } aopt_json_type;
typedef struct aopt_json_value {
    aopt_json_type type;
    int boolean;
    int is_integer;                             /* the number is written without '.' and exponent and fits int64 */
    int64_t integer;
    double number;
    const char *key;                            /* in an object: unescaped, terminated; else NULL */
    const char *string; size_t string_bytes;    /* unescaped, terminated; may hold NUL, so mind string_bytes */
    int64_t child_n;
    const struct aopt_json_value *child, *next; /* first child; next sibling */
} aopt_json_value;
typedef struct aopt_json aopt_json;
/* AOPT_E_FORMAT names what was found at which byte.  The document owns every value; text may go away. */
AOPT_API aopt_status aopt_json_parse(const char *text, size_t n, aopt_json **out, aopt_error *err);
AOPT_API void aopt_json_free(aopt_json *doc);
AOPT_API const aopt_json_value *aopt_json_root(const aopt_json *doc);
AOPT_API const aopt_json_value *aopt_json_get(const aopt_json_value *object, const char *key);   /* NULL if absent, or not an object */

/* SHA-256 (FIPS 180-4).  hex: 64 digits and a terminator. */
typedef struct aopt_sha256 { uint32_t state[8]; uint64_t bytes; unsigned char block[64]; } aopt_sha256;
AOPT_API void aopt_sha256_begin(aopt_sha256 *s);
AOPT_API void aopt_sha256_add(aopt_sha256 *s, const void *data, size_t n);
AOPT_API void aopt_sha256_end(aopt_sha256 *s, char hex[65]);

/* Random numbers that every machine makes alike: a function of (seed, index), integer arithmetic and one exact
   scaling, no libm and nothing that FMA contraction could change. */
AOPT_API uint64_t aopt_random_u64(uint64_t seed, uint64_t index);
AOPT_API float aopt_random_uniform(uint64_t seed, uint64_t index);  /* [0, 1), 24 bits */
AOPT_API float aopt_random_normal(uint64_t seed, uint64_t index);   /* mean 0, deviation 1: sum of twelve uniforms, so |x| < 6 */

/* ==== [A11] the contract of a candidate and of a target =================================================
   A candidate is optimize.c: it exports build_decoder and nothing else.  A target (model/target.h) is all that the
   harness knows about the model. */
typedef struct aopt_model {             /* weights, as the target opened them */
    const aopt_checkpoint *checkpoint;
    const void *bound;                  /* the target's own struct; for the Wan 2.2 target a const aopt_vae * */
} aopt_model;
typedef struct aopt_shape { int ndim; int64_t dim[AOPT_MAX_DIMS]; } aopt_shape;    /* of the input; here [48][T][h][w] */
typedef struct aopt_device {
    int cuda;                           /* CUDA ordinal, or AOPT_HOST */
    int threads;                        /* CPU threads that the candidate may use */
    struct aopt_profile *profile;       /* NULL while timed; else the candidate may add its items */
} aopt_device;
typedef struct aopt_decoder {           /* what build_decoder returns */
    void *ctx;
    aopt_status (*decode)(void *ctx, const aopt_tensor *latent, aopt_tensor *video, aopt_error *err);
    void (*close)(void *ctx);
    char info[200];                     /* one line: what this variant does */
} aopt_decoder;
/* The one function of optimize.c.  Sees the model, the shape and the device; never a latent. */
aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err);

#ifdef __cplusplus
}
#endif
#endif /* AUTOOPT_H: end of the API; stop here unless you change the library */

#ifdef AUTOOPT_IMPLEMENTATION
#ifndef AUTOOPT_IMPLEMENTED
#define AUTOOPT_IMPLEMENTED

/* ==== [I1] platform ===================================================================================== */
#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#ifdef _OPENMP
#include <omp.h>
#endif
#ifndef AOPT_ASSERT
#define AOPT_ASSERT(x) assert(x)
#endif
#if defined(AOPT_MALLOC) && defined(AOPT_REALLOC) && defined(AOPT_FREE)
#elif !defined(AOPT_MALLOC) && !defined(AOPT_REALLOC) && !defined(AOPT_FREE)
#define AOPT_MALLOC(n) malloc(n)
#define AOPT_REALLOC(p, n) realloc(p, n)
#define AOPT_FREE(p) free(p)
#else
#error "autoopt.h: define all of AOPT_MALLOC, AOPT_REALLOC, AOPT_FREE, or none"
#endif
#ifndef AOPT_NO_STDIO
#include <dirent.h>
#include <errno.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
/* stb, [A9]: private copies of stb_image and stb_image_write.  A file that needs its own includes them first. */
#if !defined(AOPT_NO_IMAGES) && defined(__has_include)
#if !__has_include(<stb/stb_image.h>) || !__has_include(<stb/stb_image_write.h>)
#define AOPT_NO_IMAGES
#endif
#endif
#if !defined(AOPT_NO_IMAGES) && !defined(AOPT_NO_STDIO)
#if defined(__GNUC__) && !defined(__clang__) && !defined(__cplusplus)
#pragma GCC diagnostic ignored "-Wunused-function"      /* gcc's C warns at the end of the file, so no pop, of what stb declares static and omits */
#endif
#ifndef STBI_INCLUDE_STB_IMAGE_H
#define STB_IMAGE_STATIC
#define STB_IMAGE_IMPLEMENTATION
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_NO_STDIO
#define STBI_MALLOC(n) AOPT_MALLOC(n)
#define STBI_REALLOC(p, n) AOPT_REALLOC(p, n)
#define STBI_FREE(p) AOPT_FREE(p)
#include <stb/stb_image.h>
#endif
#ifndef INCLUDE_STB_IMAGE_WRITE_H
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_MALLOC(n) AOPT_MALLOC(n)
#define STBIW_REALLOC(p, n) AOPT_REALLOC(p, n)
#define STBIW_FREE(p) AOPT_FREE(p)
#include <stb/stb_image_write.h>
#endif
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The implementation of an extern function repeats the prototype without `extern`. */
#ifdef AOPT_STATIC
#define AOPT__DEF static
#else
#define AOPT__DEF
#endif

AOPT__DEF double aopt_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* ==== [I2] errors, sizes, memory ======================================================================== */
AOPT__DEF const char *aopt_status_name(int status)
{
#define AOPT__X(id, text) text,
    static const char *const name[] = { AOPT_STATUS_LIST(AOPT__X) "?" };
#undef AOPT__X
    return status >= 0 && status < (int)AOPT_STATUS_COUNT ? name[status] : "?";
}

AOPT__DEF aopt_status aopt_fail(aopt_error *err, aopt_status status, const char *format, ...)
{
    if (err) {
        va_list args;
        va_start(args, format);
        err->status = status;
        vsnprintf(err->message, sizeof err->message, format, args);
        va_end(args);
    }
    return status;
}

AOPT__DEF const char *aopt_dtype_name(int dtype)
{
#define AOPT__X(id, text, bytes) text,
    static const char *const name[] = { AOPT_DTYPE_LIST(AOPT__X) "?" };
#undef AOPT__X
    return dtype >= 0 && dtype < (int)AOPT_DTYPE_COUNT ? name[dtype] : "?";
}

AOPT__DEF int aopt_dtype_bytes(int dtype)
{
#define AOPT__X(id, text, bytes) bytes,
    static const int size[] = { AOPT_DTYPE_LIST(AOPT__X) 0 };
#undef AOPT__X
    return dtype >= 0 && dtype < (int)AOPT_DTYPE_COUNT ? size[dtype] : 0;
}

/* a*b into *out, 0 if it does not fit a non-negative int64. */
static int aopt__mul(int64_t a, int64_t b, int64_t *out)
{
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return 0;
    *out = a * b;
    return 1;
}

/* Private helpers that a build with fewer parts may leave unused. */
#if defined(__GNUC__)
#define AOPT__MAYBE_UNUSED __attribute__((unused))
#else
#define AOPT__MAYBE_UNUSED
#endif

/* n elements of `size` bytes, NULL if the product does not fit or memory is short.  n = 0 gives a valid pointer. */
AOPT__MAYBE_UNUSED static void *aopt__alloc(int64_t n, int64_t size)
{
    int64_t bytes;
    if (!aopt__mul(n, size, &bytes) || (uint64_t)bytes > (uint64_t)SIZE_MAX / 2) return NULL;
    return AOPT_MALLOC((size_t)(bytes > 0 ? bytes : 1));
}

AOPT__DEF aopt_tensor aopt_tensor_make(const char *name, aopt_dtype dtype, int ndim, const int64_t *shape, void *data, int device)
{
    aopt_tensor t;
    int64_t step = 1;
    int i;
    memset(&t, 0, sizeof t);
    t.name = name;
    t.dtype = dtype;
    t.ndim = ndim;
    t.data = data;
    t.device = device;
    for (i = ndim - 1; i >= 0; i--) {
        t.shape[i] = shape[i];
        t.stride[i] = step;
        step *= shape[i] > 0 ? shape[i] : 1;
    }
    return t;
}

AOPT__DEF int64_t aopt_tensor_numel(const aopt_tensor *t)
{
    int64_t n = 1;
    int i;
    for (i = 0; i < t->ndim; i++)
        if (!aopt__mul(n, t->shape[i], &n)) return -1;
    return n;
}

AOPT__DEF int aopt_tensor_contiguous(const aopt_tensor *t)
{
    int64_t step = 1;
    int i;
    for (i = t->ndim - 1; i >= 0; i--) {
        if (t->shape[i] > 1 && t->stride[i] != step) return 0;
        step *= t->shape[i];
    }
    return 1;
}

AOPT__DEF char *aopt_tensor_describe(const aopt_tensor *t, char *out, size_t out_bytes)
{
    size_t used;
    int i, k;
    if (out_bytes == 0) return out;
    k = snprintf(out, out_bytes, "%s", aopt_dtype_name((int)t->dtype));
    for (used = k > 0 ? (size_t)k : 0, i = 0; i < t->ndim && used < out_bytes; i++) {
        k = snprintf(out + used, out_bytes - used, i == 0 ? " [%lld]" : "[%lld]", (long long)t->shape[i]);
        used += k > 0 ? (size_t)k : 0;
    }
    return out;
}

/* ==== [I3] checkpoint: zip, pickle, safetensors ========================================================= */

/* ==== [I4] CPU ops ====================================================================================== */

/* ==== [I5] weight binding =============================================================================== */

/* ==== [I6] decoder and encoder ========================================================================== */

/* ==== [I7] compare ====================================================================================== */
AOPT__DEF double aopt_psnr_db(double mse)
{
    if (mse < 1e-12) mse = 1e-12;           /* false for NaN, which goes through */
    return 10.0 * log10(4.0 / mse);
}

/* What one frame of one channel adds. */
typedef struct aopt__compare_sums { double error, video, reference, motion, gradient_video, gradient_reference; } aopt__compare_sums;

static double aopt__square(double x) { return x * x; }

/* Count what is not finite in x = f32 [3][F][H][W] and find the first. */
static int64_t aopt__count_nonfinite(const float *x, int64_t F, int64_t H, int64_t W, int64_t at[4])
{
    const int64_t n = 3 * F * H * W;
    int64_t i, count = 0;
    for (i = 0; i < n; i++)
        if (!isfinite(x[i]) && count++ == 0) {
            at[0] = i / (F * H * W);
            at[1] = i / (H * W) % F;
            at[2] = i / W % H;
            at[3] = i % W;
        }
    return count;
}

/* One row: v against r = f32 [W].  v_up, r_up: the row above, or NULL; v_past, r_past: the same row one frame earlier, or
   NULL.  tile[W/32 rounded up] gains the squared errors.  Returns the x of the row's largest |difference|. */
static int64_t aopt__compare_row(const float *v, const float *r, const float *v_up, const float *r_up, const float *v_past, const float *r_past,
                                 int64_t W, aopt__compare_sums *sums, double *tile)
{
    int64_t x, worst = 0;
    double largest = -1.0;
    for (x = 0; x < W; x++) {
        const double a = v[x], b = r[x], d = a - b;
        tile[x / AOPT_COMPARE_TILE] += d * d;
        sums->error += d * d;
        sums->video += a;
        sums->reference += b;
        if (x > 0) {
            sums->gradient_video += aopt__square(a - v[x - 1]);
            sums->gradient_reference += aopt__square(b - r[x - 1]);
        }
        if (v_up) {
            sums->gradient_video += aopt__square(a - v_up[x]);
            sums->gradient_reference += aopt__square(b - r_up[x]);
        }
        if (v_past) sums->motion += aopt__square(d - ((double)v_past[x] - r_past[x]));
        if (fabs(d) > largest) { largest = fabs(d); worst = x; }
    }
    return worst;
}

/* Frame f of all channels: adds to total[3], lowers out's worst tile, raises its max_abs.  tile: scratch.  Returns the frame's squared error. */
static double aopt__compare_frame(const float *video, const float *reference, int64_t F, int64_t H, int64_t W, int64_t f,
                                  aopt__compare_sums *total, double *tile, aopt_comparison *out)
{
    const int64_t tiles_x = (W + AOPT_COMPARE_TILE - 1) / AOPT_COMPARE_TILE, tiles_y = (H + AOPT_COMPARE_TILE - 1) / AOPT_COMPARE_TILE;
    double error = 0;
    int64_t c, y, i;
    memset(tile, 0, (size_t)(tiles_x * tiles_y) * sizeof *tile);
    for (c = 0; c < 3; c++) {
        const float *v = video + (c * F + f) * H * W, *r = reference + (c * F + f) * H * W;
        aopt__compare_sums s;
        memset(&s, 0, sizeof s);
        for (y = 0; y < H; y++, v += W, r += W) {
            const int64_t x = aopt__compare_row(v, r, y ? v - W : NULL, y ? r - W : NULL, f ? v - H * W : NULL, f ? r - H * W : NULL,
                                                W, &s, tile + y / AOPT_COMPARE_TILE * tiles_x);
            const double d = fabs((double)v[x] - r[x]);
            if (d > out->max_abs) {
                out->max_abs = d;
                out->max_abs_at[0] = c; out->max_abs_at[1] = f; out->max_abs_at[2] = y; out->max_abs_at[3] = x;
            }
        }
        error += s.error;
        total[c].error += s.error;
        total[c].video += s.video;
        total[c].reference += s.reference;
        total[c].motion += s.motion;
        total[c].gradient_video += s.gradient_video;
        total[c].gradient_reference += s.gradient_reference;
    }
    for (i = 0; i < tiles_x * tiles_y; i++) {
        const int64_t top = i / tiles_x * AOPT_COMPARE_TILE, left = i % tiles_x * AOPT_COMPARE_TILE;
        const int64_t bottom = top + AOPT_COMPARE_TILE < H ? top + AOPT_COMPARE_TILE : H, right = left + AOPT_COMPARE_TILE < W ? left + AOPT_COMPARE_TILE : W;
        const double psnr = aopt_psnr_db(tile[i] / (3.0 * (double)((bottom - top) * (right - left))));
        if (psnr < out->psnr_tile_min_db) {
            out->psnr_tile_min_db = psnr;
            out->tile_min[0] = f; out->tile_min[1] = top; out->tile_min[2] = left;
        }
    }
    return error;
}

AOPT__DEF aopt_status aopt_compare(const float *video, const float *reference, int64_t F, int64_t H, int64_t W, aopt_comparison *out, aopt_error *err)
{
    aopt__compare_sums total[3];
    int64_t c, f, frame, bytes;
    double *tile, error = 0, motion = 0, gv = 0, gr = 0;

    if (!video || !reference || !out) return aopt_fail(err, AOPT_E_ARG, "compare: a pointer is NULL");
    if (F < 1 || H < 1 || W < 1 || !aopt__mul(H, W, &frame) || !aopt__mul(frame, F, &bytes) || !aopt__mul(bytes, 3 * (int64_t)sizeof(float), &bytes))
        return aopt_fail(err, AOPT_E_SHAPE, "compare: cannot be [3][%lld][%lld][%lld]", (long long)F, (long long)H, (long long)W);
    tile = (double *)aopt__alloc(((W - 1) / AOPT_COMPARE_TILE + 1) * ((H - 1) / AOPT_COMPARE_TILE + 1), sizeof *tile);
    if (!tile) return aopt_fail(err, AOPT_E_MEMORY, "compare: no memory for the tiles of %lldx%lld pixels", (long long)W, (long long)H);
    memset(out, 0, sizeof *out);
    memset(total, 0, sizeof total);
    out->psnr_frame_min_db = out->psnr_tile_min_db = INFINITY;
    out->max_abs = -1.0;
    out->nonfinite = aopt__count_nonfinite(video, F, H, W, out->nonfinite_at);
    out->reference_nonfinite = aopt__count_nonfinite(reference, F, H, W, out->reference_nonfinite_at);
    if (out->nonfinite || out->reference_nonfinite) {
        out->mse = out->psnr_db = out->psnr_frame_min_db = out->psnr_tile_min_db = NAN;
        out->max_abs = out->mean_shift = out->psnr_motion_db = out->gradient_ratio = NAN;
        AOPT_FREE(tile);
        return AOPT_OK;
    }
    for (f = 0; f < F; f++) {
        const double psnr = aopt_psnr_db(aopt__compare_frame(video, reference, F, H, W, f, total, tile, out) / (3.0 * (double)frame));
        if (psnr < out->psnr_frame_min_db) { out->psnr_frame_min_db = psnr; out->frame_min = f; }
    }
    AOPT_FREE(tile);
    for (c = 0; c < 3; c++) {
        const double shift = (total[c].video - total[c].reference) / (double)(F * frame);
        if (c == 0 || fabs(shift) > fabs(out->mean_shift)) { out->mean_shift = shift; out->mean_shift_channel = c; }
        error += total[c].error;
        motion += total[c].motion;
        gv += total[c].gradient_video;
        gr += total[c].gradient_reference;
    }
    out->mse = error / (3.0 * (double)(F * frame));
    out->psnr_db = aopt_psnr_db(out->mse);
    out->psnr_motion_db = aopt_psnr_db(F > 1 ? motion / (3.0 * (double)((F - 1) * frame)) : 0.0);
    out->gradient_ratio = gr > 0 ? gv / gr : gv > 0 ? INFINITY : 1.0;
    return AOPT_OK;
}

/* ==== [I8] bench ======================================================================================== */

/* ==== [I9] profile ====================================================================================== */
AOPT__DEF void aopt_profile_add(aopt_profile *p, const char *name, double seconds, double flops, double bytes)
{
    int i;
    if (!p) return;
    for (i = 0; i < p->n && strncmp(p->item[i].name, name, sizeof p->item[i].name - 1) != 0; i++) { }
    if (i == p->n) {
        if (p->n == AOPT_PROFILE_MAX) return;
        p->n++;
        memset(&p->item[i], 0, sizeof p->item[i]);
        snprintf(p->item[i].name, sizeof p->item[i].name, "%s", name);
    }
    p->item[i].calls++;
    p->item[i].seconds += seconds;
    p->item[i].flops += flops;
    p->item[i].bytes += bytes;
}

/* ==== [I10] frames ====================================================================================== */
enum { AOPT__MAX_SIDE = 16384 };            /* of a picture, in pixels */

/* (x + 1)*scale rounded, x clamped to [-1, 1]. */
static int aopt__quantise(float x, float scale)
{
    if (!(x > -1.0f)) return 0;             /* NaN too */
    return (int)((x < 1.0f ? x + 1.0f : 2.0f) * scale + 0.5f);
}

static float aopt__clamp1(float x) { return x < -1.0f ? -1.0f : x > 1.0f ? 1.0f : x; }

/* -- y4m -- */

/* Up to the next '\n', which is dropped.  *n: length; -1 = the input ended before the first byte. */
static aopt_status aopt__y4m_line(aopt_read_fn read, void *user, const char *label, char *line, int size, int *n, aopt_error *err)
{
    int64_t k;
    for (*n = 0; *n < size; ++*n) {
        k = read(user, line + *n, 1);
        if (k < 0) return aopt_fail(err, AOPT_E_IO, "%s: cannot be read", label);
        if (k == 0 && *n == 0) { *n = -1; return AOPT_OK; }
        if (k == 0) return aopt_fail(err, AOPT_E_FORMAT, "%s: ends inside a y4m header line", label);
        if (line[*n] == '\n') { line[*n] = 0; return AOPT_OK; }
        if (line[*n] == 0) return aopt_fail(err, AOPT_E_FORMAT, "%s: a zero byte in a y4m header line", label);
    }
    return aopt_fail(err, AOPT_E_FORMAT, "%s: a y4m header line is longer than %d bytes", label, size - 1);
}

/* A decimal number in 0..limit at *p, which moves past it; -1 if there is none. */
static int64_t aopt__y4m_number(const char **p, int64_t limit)
{
    int64_t v = 0;
    if (**p < '0' || **p > '9') return -1;
    for (; **p >= '0' && **p <= '9'; ++*p) {
        v = v * 10 + (**p - '0');
        if (v > limit) return -1;
    }
    return v;
}

static aopt_status aopt__y4m_colour(const char *s, const char *label, aopt_y4m *out, aopt_error *err)
{
    static const struct { const char *name; int w, h; } known[] = {
        { "420", 2, 2 }, { "420jpeg", 2, 2 }, { "420mpeg2", 2, 2 }, { "420paldv", 2, 2 }, { "422", 2, 1 }, { "444", 1, 1 }, { "mono", 0, 0 }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(s, known[i].name) == 0) {
            out->chroma_w = known[i].w;
            out->chroma_h = known[i].h;
            return AOPT_OK;
        }
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: y4m colour space C%.40s; C420*, C422, C444 and Cmono with 8 bits are read", label, s);
}

/* One parameter of the header, like "W832"; the letter says which. */
static aopt_status aopt__y4m_parameter(const char *s, const char *label, aopt_y4m *out, aopt_error *err)
{
    const char *p = s + 1;
    int64_t a, b;
    switch (s[0]) {
        case 'W': case 'H':
            a = aopt__y4m_number(&p, AOPT__MAX_SIDE);
            if (a < 1 || *p) return aopt_fail(err, AOPT_E_FORMAT, "%s: y4m size %.40s; expected 1 to %d", label, s, (int)AOPT__MAX_SIDE);
            *(s[0] == 'W' ? &out->W : &out->H) = a;
            return AOPT_OK;
        case 'F':
            a = aopt__y4m_number(&p, INT32_MAX);
            b = *p == ':' ? (p++, aopt__y4m_number(&p, INT32_MAX)) : -1;
            if (a < 0 || b < 0 || *p) return aopt_fail(err, AOPT_E_FORMAT, "%s: y4m frame rate %.40s; expected Fn:d", label, s);
            if (a > 0 && b > 0) { out->fps_num = (int)a; out->fps_den = (int)b; }
            return AOPT_OK;
        case 'I':
            if (strcmp(p, "p") == 0 || strcmp(p, "?") == 0) return AOPT_OK;
            return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: interlaced y4m (%.40s)", label, s);
        case 'C':
            return aopt__y4m_colour(p, label, out, err);
        case 'X':
            if (strcmp(p, "COLORRANGE=FULL") == 0) out->full_range = 1;
            return AOPT_OK;
        default:
            return AOPT_OK;                 /* A, the pixel's aspect, and what the format may add */
    }
}

AOPT__DEF aopt_status aopt_y4m_read_header(aopt_read_fn read, void *user, const char *label, aopt_y4m *out, aopt_error *err)
{
    static const char magic[] = "YUV4MPEG2";
    char line[1024], *s, *next;
    aopt_status st;
    int n;

    memset(out, 0, sizeof *out);
    out->fps_num = 24;
    out->fps_den = 1;
    out->chroma_w = out->chroma_h = 2;      /* what a header without C means */
    for (n = 0; n < (int)sizeof magic - 1; n++) {   /* byte by byte: another kind of file must not be called a long line */
        const int64_t k = read(user, line + n, 1);
        if (k < 0) return aopt_fail(err, AOPT_E_IO, "%s: cannot be read", label);
        if (k == 0 || line[n] != magic[n]) return aopt_fail(err, AOPT_E_FORMAT, "%s: not a y4m stream (it does not begin with %s)", label, magic);
    }
    st = aopt__y4m_line(read, user, label, line, (int)sizeof line, &n, err);
    if (st) return st;
    if (n < 1 || line[0] != ' ') return aopt_fail(err, AOPT_E_FORMAT, "%s: a y4m header without parameters", label);
    for (s = line; *s; s = next) {
        while (*s == ' ') s++;
        next = strchr(s, ' ');
        if (next) *next++ = 0;
        else next = s + strlen(s);
        if (*s && (st = aopt__y4m_parameter(s, label, out, err)) != AOPT_OK) return st;
    }
    if (!out->W || !out->H) return aopt_fail(err, AOPT_E_FORMAT, "%s: a y4m header without %s", label, out->W ? "H" : "W");
    return AOPT_OK;
}

/* Chroma samples of one plane. */
static int64_t aopt__y4m_chroma(const aopt_y4m *y, int64_t *row)
{
    if (!y->chroma_w) { *row = 0; return 0; }
    *row = (y->W + y->chroma_w - 1) / y->chroma_w;
    return *row * ((y->H + y->chroma_h - 1) / y->chroma_h);
}

AOPT__DEF int64_t aopt_y4m_frame_bytes(const aopt_y4m *y)
{
    int64_t row;
    return y->H * y->W + 2 * aopt__y4m_chroma(y, &row);
}

AOPT__DEF aopt_status aopt_y4m_read_frame(const aopt_y4m *y, aopt_read_fn read, void *user, const char *label,
                                          unsigned char *planes, float *frame, int *end, aopt_error *err)
{
    const int64_t bytes = aopt_y4m_frame_bytes(y), n = y->H * y->W;
    const float black = y->full_range ? 0.0f : 16.0f, luma = 2.0f / (y->full_range ? 255.0f : 219.0f), chroma = 2.0f / (y->full_range ? 255.0f : 224.0f);
    int64_t row, samples, got, i, j;
    char line[256];
    aopt_status st;
    int length;

    *end = 0;
    st = aopt__y4m_line(read, user, label, line, (int)sizeof line, &length, err);
    if (st) return st;
    if (length < 0) { *end = 1; return AOPT_OK; }
    if (strncmp(line, "FRAME", 5) != 0 || (line[5] && line[5] != ' ')) return aopt_fail(err, AOPT_E_FORMAT, "%s: expected a y4m FRAME header", label);
    got = read(user, planes, bytes);
    if (got < 0) return aopt_fail(err, AOPT_E_IO, "%s: cannot be read", label);
    if (got != bytes) return aopt_fail(err, AOPT_E_FORMAT, "%s: ends inside a frame: %lld of %lld bytes", label, (long long)got, (long long)bytes);
    samples = aopt__y4m_chroma(y, &row);
    for (i = 0; i < y->H; i++)
        for (j = 0; j < y->W; j++) {
            const int64_t p = i * y->W + j, q = samples ? n + i / y->chroma_h * row + j / y->chroma_w : 0;
            const float l = ((float)planes[p] - black) * luma - 1.0f;
            const float cb = samples ? ((float)planes[q] - 128.0f) * chroma : 0.0f, cr = samples ? ((float)planes[q + samples] - 128.0f) * chroma : 0.0f;
            frame[p] = aopt__clamp1(l + 1.402f * cr);
            frame[n + p] = aopt__clamp1(l - 0.344136f * cb - 0.714136f * cr);
            frame[2 * n + p] = aopt__clamp1(l + 1.772f * cb);
        }
    return AOPT_OK;
}

AOPT__DEF int aopt_y4m_write_header(int64_t H, int64_t W, int fps_num, int fps_den, char out[128])
{
    return snprintf(out, 128, "YUV4MPEG2 W%lld H%lld F%d:%d Ip A1:1 C444 XCOLORRANGE=LIMITED\n", (long long)W, (long long)H, fps_num, fps_den);
}

AOPT__DEF void aopt_y4m_write_frame(const float *frame, int64_t channel_stride, int64_t H, int64_t W, unsigned char *out)
{
    const int64_t n = H * W;
    int64_t i;
    memcpy(out, "FRAME\n", 6);
    out += 6;
    for (i = 0; i < n; i++) {
        const float r = (float)aopt__quantise(frame[i], 127.5f), g = (float)aopt__quantise(frame[channel_stride + i], 127.5f);
        const float b = (float)aopt__quantise(frame[2 * channel_stride + i], 127.5f), y = 0.299f * r + 0.587f * g + 0.114f * b;
        out[i] = (unsigned char)(16.5f + y * (219.0f / 255.0f));
        out[n + i] = (unsigned char)(128.5f + (b - y) * (224.0f / 255.0f / 1.772f));
        out[2 * n + i] = (unsigned char)(128.5f + (r - y) * (224.0f / 255.0f / 1.402f));
    }
}

AOPT__DEF void aopt_clip_free(aopt_clip *clip)
{
    AOPT_FREE(clip->video);
    memset(clip, 0, sizeof *clip);
}

#ifdef AOPT_NO_STDIO
AOPT__DEF aopt_status aopt_clip_read(const char *path, aopt_clip *out, aopt_error *err)
{
    memset(out, 0, sizeof *out);
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: built without file access (AOPT_NO_STDIO)", path);
}

AOPT__DEF aopt_status aopt_frame_writer_open(const char *path, int64_t H, int64_t W, int fps_num, int fps_den, aopt_frame_writer **out, aopt_error *err)
{
    (void)H; (void)W; (void)fps_num; (void)fps_den;
    *out = NULL;
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: built without file access (AOPT_NO_STDIO)", path);
}

AOPT__DEF aopt_status aopt_frame_writer_add(aopt_frame_writer *w, const float *frame, int64_t channel_stride, aopt_error *err)
{
    (void)w; (void)frame; (void)channel_stride;
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "built without file access (AOPT_NO_STDIO)");
}

AOPT__DEF aopt_status aopt_frame_writer_close(aopt_frame_writer *w, int keep, aopt_error *err)
{
    (void)w; (void)keep; (void)err;
    return AOPT_OK;
}
#else

static int64_t aopt__file_read(void *user, void *bytes, int64_t n)
{
    const size_t k = fread(bytes, 1, (size_t)n, (FILE *)user);
    return ferror((FILE *)user) ? -1 : (int64_t)k;
}

static int aopt__ends_with(const char *s, const char *ending)
{
    const size_t n = strlen(s), k = strlen(ending);
    return n >= k && strcasecmp(s + n - k, ending) == 0;
}

static int aopt__is_picture(const char *name)
{
    return aopt__ends_with(name, ".png") || aopt__ends_with(name, ".jpg") || aopt__ends_with(name, ".jpeg");
}

/* Frames arrive one by one in [F][3][H][W] and their number may be unknown: append, then reorder once. */
static aopt_status aopt__clip_grow(aopt_clip *clip, int64_t *capacity, const char *label, aopt_error *err)
{
    const int64_t frame = 3 * clip->H * clip->W;
    int64_t bytes, want = *capacity + *capacity / 2 + 8;
    float *p = NULL;
    if (clip->F < *capacity) return AOPT_OK;
    if (aopt__mul(frame * (int64_t)sizeof(float), want, &bytes) && (uint64_t)bytes <= SIZE_MAX / 2) p = (float *)AOPT_REALLOC(clip->video, (size_t)bytes);
    if (!p) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for %lld frames of %lldx%lld", label, (long long)want, (long long)clip->W, (long long)clip->H);
    clip->video = p;
    *capacity = want;
    return AOPT_OK;
}

/* [F][3][H][W] -> [3][F][H][W] */
static aopt_status aopt__clip_reorder(aopt_clip *clip, const char *label, aopt_error *err)
{
    const int64_t n = clip->H * clip->W;
    float *p = (float *)aopt__alloc(clip->F, 3 * n * (int64_t)sizeof(float));
    int64_t f, c;
    if (!p) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for %lld frames of %lldx%lld", label, (long long)clip->F, (long long)clip->W, (long long)clip->H);
    for (f = 0; f < clip->F; f++)
        for (c = 0; c < 3; c++) memcpy(p + (c * clip->F + f) * n, clip->video + (3 * f + c) * n, (size_t)n * sizeof(float));
    AOPT_FREE(clip->video);
    clip->video = p;
    return AOPT_OK;
}

static aopt_status aopt__clip_read_y4m(FILE *file, const char *label, aopt_clip *out, aopt_error *err)
{
    unsigned char *planes;
    int64_t capacity = 0;
    aopt_status st;
    aopt_y4m y;
    int end = 0;

    st = aopt_y4m_read_header(aopt__file_read, file, label, &y, err);
    if (st) return st;
    out->H = y.H; out->W = y.W; out->fps_num = y.fps_num; out->fps_den = y.fps_den;
    planes = (unsigned char *)aopt__alloc(aopt_y4m_frame_bytes(&y), 1);
    if (!planes) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for a frame of %lldx%lld", label, (long long)y.W, (long long)y.H);
    while (!st && !end) {
        st = aopt__clip_grow(out, &capacity, label, err);
        if (!st) st = aopt_y4m_read_frame(&y, aopt__file_read, file, label, planes, out->video + out->F * 3 * y.H * y.W, &end, err);
        if (!st && !end) out->F++;
    }
    AOPT_FREE(planes);
    return st;
}

#define AOPT__NO_IMAGES_TEXT "built without PNG and JPEG (stb_image.h, stb_image_write.h); use y4m or .safetensors"
#ifdef AOPT_NO_IMAGES
enum { AOPT__IMAGES = 0 };
static aopt_status aopt__clip_add_picture(const char *path, aopt_clip *out, int64_t *capacity, aopt_error *err)
{
    (void)out; (void)capacity;
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: " AOPT__NO_IMAGES_TEXT, path);
}

static aopt_status aopt__png_write(FILE *file, const unsigned char *rgb, int64_t H, int64_t W)
{
    (void)file; (void)rgb; (void)H; (void)W;
    return AOPT_E_UNSUPPORTED;
}
#else
enum { AOPT__IMAGES = 1 };

/* A whole file, at most 1 GiB.  The caller frees *bytes. */
static aopt_status aopt__slurp(const char *path, unsigned char **bytes, int *n, aopt_error *err)
{
    FILE *file = fopen(path, "rb");
    struct stat st;
    *bytes = NULL;
    if (!file) return aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
    if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size < 1 || st.st_size > (1 << 30)) {
        fclose(file);
        return aopt_fail(err, AOPT_E_FORMAT, "%s: not a picture: empty, larger than 1 GiB or not a regular file", path);
    }
    *n = (int)st.st_size;
    *bytes = (unsigned char *)aopt__alloc(*n, 1);
    if (*bytes && fread(*bytes, 1, (size_t)*n, file) == (size_t)*n) {
        fclose(file);
        return AOPT_OK;
    }
    fclose(file);
    if (!*bytes) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for %d bytes", path, *n);
    AOPT_FREE(*bytes);
    *bytes = NULL;
    return aopt_fail(err, AOPT_E_IO, "%s: cannot be read", path);
}

static aopt_status aopt__clip_add_picture(const char *path, aopt_clip *out, int64_t *capacity, aopt_error *err)
{
    unsigned char *bytes, *rgb = NULL;
    int n = 0, w = 0, h = 0, channels;
    aopt_status st = aopt__slurp(path, &bytes, &n, err);
    if (st) return st;
    if (!stbi_info_from_memory(bytes, n, &w, &h, &channels) || w < 1 || h < 1 || w > AOPT__MAX_SIDE || h > AOPT__MAX_SIDE) {
        st = aopt_fail(err, AOPT_E_FORMAT, "%s: not a PNG or JPEG of at most %d pixels a side", path, (int)AOPT__MAX_SIDE);
    } else if (out->F > 0 && (w != out->W || h != out->H)) {
        st = aopt_fail(err, AOPT_E_SHAPE, "%s: %dx%d pixels, but the pictures before it have %lldx%lld", path, w, h, (long long)out->W, (long long)out->H);
    } else {
        out->W = w;
        out->H = h;
        st = aopt__clip_grow(out, capacity, path, err);
        if (!st) {
            rgb = stbi_load_from_memory(bytes, n, &w, &h, &channels, 3);
            if (!rgb) st = aopt_fail(err, AOPT_E_FORMAT, "%s: damaged picture: %s", path, stbi_failure_reason());
        }
    }
    if (rgb) {
        const int64_t pixels = out->H * out->W;
        float *frame = out->video + out->F++ * 3 * pixels;
        int64_t i;
        for (i = 0; i < 3 * pixels; i++) frame[i % 3 * pixels + i / 3] = (float)rgb[i] / 127.5f - 1.0f;
        stbi_image_free(rgb);
    }
    AOPT_FREE(bytes);
    return st;
}

static void aopt__file_write(void *user, void *bytes, int n)
{
    fwrite(bytes, 1, (size_t)n, (FILE *)user);      /* the caller asks ferror */
}

static aopt_status aopt__png_write(FILE *file, const unsigned char *rgb, int64_t H, int64_t W)
{
    return stbi_write_png_to_func(aopt__file_write, file, (int)W, (int)H, 3, rgb, (int)W * 3) ? AOPT_OK : AOPT_E_MEMORY;
}
#endif

static int aopt__compare_names(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

/* The paths of the pictures in folder, sorted, NULL after the last; free each and the list. */
static aopt_status aopt__list_pictures(const char *folder, char ***out, aopt_error *err)
{
    const size_t base = strlen(folder);
    char **list = (char **)aopt__alloc(1, sizeof *list), **grown, *path;
    int64_t n = 0;
    struct dirent *e;
    DIR *dir = opendir(folder);
    int short_of_memory = !list;
    while (dir && !short_of_memory && (e = readdir(dir)) != NULL) {
        if (e->d_name[0] == '.' || !aopt__is_picture(e->d_name)) continue;
        path = (char *)aopt__alloc((int64_t)(base + strlen(e->d_name) + 2), 1);
        grown = (char **)AOPT_REALLOC(list, (size_t)(n + 2) * sizeof *list);
        if (grown) list = grown;
        if (path && grown) {
            sprintf(path, "%s%s%s", folder, base && folder[base - 1] == '/' ? "" : "/", e->d_name);
            list[n++] = path;
        } else {
            AOPT_FREE(path);
            short_of_memory = 1;
        }
    }
    if (dir) closedir(dir);
    if (list) list[n] = NULL;
    *out = list;
    if (short_of_memory) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for its list of files", folder);
    if (!dir) return aopt_fail(err, AOPT_E_IO, "%s: cannot be opened as a folder", folder);
    qsort(list, (size_t)n, sizeof *list, aopt__compare_names);
    return AOPT_OK;
}

static aopt_status aopt__clip_read_folder(const char *folder, aopt_clip *out, aopt_error *err)
{
    int64_t capacity = 0, i;
    char **list;
    aopt_status st = aopt__list_pictures(folder, &list, err);
    for (i = 0; !st && list[i]; i++) st = aopt__clip_add_picture(list[i], out, &capacity, err);
    for (i = 0; list && list[i]; i++) AOPT_FREE(list[i]);
    AOPT_FREE(list);
    return st;
}

AOPT__DEF aopt_status aopt_clip_read(const char *path, aopt_clip *out, aopt_error *err)
{
    const int is_stdin = strcmp(path, "-") == 0;
    int64_t capacity = 0;
    struct stat info;
    aopt_status st;
    FILE *file;

    memset(out, 0, sizeof *out);
    out->fps_num = 24;
    out->fps_den = 1;
    if (!is_stdin && stat(path, &info) != 0) {
        st = aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
    } else if (!is_stdin && S_ISDIR(info.st_mode)) {
        st = aopt__clip_read_folder(path, out, err);
    } else if (aopt__is_picture(path)) {
        st = aopt__clip_add_picture(path, out, &capacity, err);
    } else {
        file = is_stdin ? stdin : fopen(path, "rb");
        if (!file) st = aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
        else st = aopt__clip_read_y4m(file, is_stdin ? "stdin" : path, out, err);
        if (file && !is_stdin) fclose(file);
    }
    if (!st && out->F == 0) st = aopt_fail(err, AOPT_E_MISSING, "%s: no picture (.png, .jpg, .jpeg) and no y4m frame in it", path);
    if (!st) st = aopt__clip_reorder(out, path, err);
    if (st) aopt_clip_free(out);
    return st;
}

/* -- writer -- */
struct aopt_frame_writer {
    int64_t H, W, written;
    FILE *file;                         /* y4m; NULL for pictures */
    int is_stdout, digits, zeros;       /* of %0Nd */
    char *path, *temporary;             /* temporary NULL: written in place (a pipe, a device) */
    char *tail;                         /* of a pattern: what follows the number; path ends where the number begins */
    unsigned char *bytes;               /* one frame: 6 + 3*H*W */
};

/* "a%04db.png" -> path "a", zeros and digits of the number, tail "b.png".  Exactly one %d or %0Nd with N in 1..9. */
static aopt_status aopt__pattern_split(aopt_frame_writer *w, aopt_error *err)
{
    char *percent = strchr(w->path, '%'), *p = percent + 1;
    if (*p == '0') { w->zeros = 1; p++; }
    if (*p >= '1' && *p <= '9') w->digits = *p++ - '0';
    if (*p != 'd' || (w->zeros && !w->digits) || (w->digits && !w->zeros) || strchr(p, '%'))
        return aopt_fail(err, AOPT_E_ARG, "%s: expected exactly one %%d or %%0Nd, as in frames/f%%04d.png", w->path);
    if (!aopt__ends_with(p, ".png")) return aopt_fail(err, AOPT_E_ARG, "%s: pictures are written as .png", w->path);
    *percent = 0;
    w->tail = p + 1;
    return AOPT_OK;
}

/* Make the folders that path's last '/' closes. */
static aopt_status aopt__make_folders(char *path, aopt_error *err)
{
    char *slash;
    for (slash = path; (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
        *slash = 0;
        if (mkdir(path, 0777) != 0 && errno != EEXIST) {
            const aopt_status st = aopt_fail(err, AOPT_E_IO, "%s: cannot be made: %s", path, strerror(errno));
            *slash = '/';
            return st;
        }
    }
    return AOPT_OK;
}

static aopt_status aopt__frame_writer_start(aopt_frame_writer *w, int fps_num, int fps_den, aopt_error *err)
{
    struct stat info;
    char header[128];
    int n;

    if (strcmp(w->path, "-") == 0) {
        if (isatty(1)) return aopt_fail(err, AOPT_E_ARG, "-: stdout is a terminal; pipe the video into a program or give a file name");
        w->is_stdout = 1;
        w->file = stdout;
    } else if (strchr(w->path, '%')) {
        const aopt_status st = aopt__pattern_split(w, err);
        if (!st && !AOPT__IMAGES) return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: " AOPT__NO_IMAGES_TEXT, w->path);
        return st ? st : aopt__make_folders(w->path, err);
    } else if (aopt__ends_with(w->path, ".y4m")) {
        if (stat(w->path, &info) == 0 && !S_ISREG(info.st_mode)) *w->temporary = 0;
        else sprintf(w->temporary, "%s.autoopt-tmp", w->path);
        w->file = fopen(*w->temporary ? w->temporary : w->path, "wb");
        if (!w->file) return aopt_fail(err, AOPT_E_IO, "%s: %s", *w->temporary ? w->temporary : w->path, strerror(errno));
    } else {
        return aopt_fail(err, AOPT_E_ARG, "%s: expected NAME.y4m, a pattern like frames/f%%04d.png, or - for a pipe", w->path);
    }
    n = aopt_y4m_write_header(w->H, w->W, fps_num, fps_den, header);
    if (fwrite(header, 1, (size_t)n, w->file) != (size_t)n) return aopt_fail(err, errno == EPIPE ? AOPT_E_CANCELLED : AOPT_E_IO, "%s: %s", w->path, strerror(errno));
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_frame_writer_open(const char *path, int64_t H, int64_t W, int fps_num, int fps_den, aopt_frame_writer **out, aopt_error *err)
{
    const int64_t n = (int64_t)strlen(path);
    aopt_frame_writer *w;
    aopt_status st;
    *out = NULL;
    if (H < 1 || W < 1 || H > AOPT__MAX_SIDE || W > AOPT__MAX_SIDE)
        return aopt_fail(err, AOPT_E_SHAPE, "%s: frames of %lldx%lld pixels; expected 1 to %d a side", path, (long long)W, (long long)H, (int)AOPT__MAX_SIDE);
    w = (aopt_frame_writer *)aopt__alloc((int64_t)sizeof *w + 2 * n + 64 + 6 + 3 * H * W, 1);
    if (!w) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for a frame of %lldx%lld pixels", path, (long long)W, (long long)H);
    memset(w, 0, sizeof *w);
    w->H = H;
    w->W = W;
    w->path = (char *)(w + 1);
    w->temporary = w->path + n + 1;
    w->bytes = (unsigned char *)(w->temporary + n + 63);
    memcpy(w->path, path, (size_t)n + 1);
    *w->temporary = 0;
    st = aopt__frame_writer_start(w, fps_num > 0 ? fps_num : 24, fps_den > 0 ? fps_den : 1, err);
    if (st) { aopt_frame_writer_close(w, 0, NULL); return st; }
    *out = w;
    return AOPT_OK;
}

static aopt_status aopt__frame_writer_picture(aopt_frame_writer *w, const float *frame, int64_t channel_stride, aopt_error *err)
{
    const int64_t pixels = w->H * w->W;
    char name[4096], temporary[4096 + 16];
    aopt_status st = AOPT_OK;
    FILE *file;
    int64_t i;
    int n = snprintf(name, sizeof name, "%s%0*lld%s", w->path, w->digits, (long long)w->written, w->tail);
    if (n < 0 || n >= (int)sizeof name) return aopt_fail(err, AOPT_E_ARG, "%.100s...: the name is too long", w->path);
    for (i = 0; i < 3 * pixels; i++) w->bytes[i] = (unsigned char)aopt__quantise(frame[i % 3 * channel_stride + i / 3], 127.5f);
    snprintf(temporary, sizeof temporary, "%s.autoopt-tmp", name);
    file = fopen(temporary, "wb");
    if (!file) return aopt_fail(err, AOPT_E_IO, "%s: %s", temporary, strerror(errno));
    if (aopt__png_write(file, w->bytes, w->H, w->W)) st = aopt_fail(err, AOPT_E_MEMORY, "%s: no memory to compress it", name);
    if (!st && ferror(file)) st = aopt_fail(err, AOPT_E_IO, "%s: %s", name, strerror(errno));
    if (fclose(file) != 0 && !st) st = aopt_fail(err, AOPT_E_IO, "%s: %s", name, strerror(errno));
    if (!st && rename(temporary, name) != 0) st = aopt_fail(err, AOPT_E_IO, "%s: %s", name, strerror(errno));
    if (st) unlink(temporary);
    return st;
}

AOPT__DEF aopt_status aopt_frame_writer_add(aopt_frame_writer *w, const float *frame, int64_t channel_stride, aopt_error *err)
{
    const size_t n = (size_t)(6 + 3 * w->H * w->W);
    aopt_status st = AOPT_OK;
    if (!w->file) {
        st = aopt__frame_writer_picture(w, frame, channel_stride, err);
    } else {
        aopt_y4m_write_frame(frame, channel_stride, w->H, w->W, w->bytes);
        if (fwrite(w->bytes, 1, n, w->file) != n) st = aopt_fail(err, errno == EPIPE ? AOPT_E_CANCELLED : AOPT_E_IO, "%s: %s", w->path, strerror(errno));
    }
    if (!st) w->written++;
    return st;
}

AOPT__DEF aopt_status aopt_frame_writer_close(aopt_frame_writer *w, int keep, aopt_error *err)
{
    aopt_status st = AOPT_OK;
    if (!w) return AOPT_OK;
    if (w->file) {
        const int bad = fflush(w->file) != 0, why = errno;
        if (bad) st = aopt_fail(err, why == EPIPE ? AOPT_E_CANCELLED : AOPT_E_IO, "%s: %s", w->path, strerror(why));
        if (!w->is_stdout && fclose(w->file) != 0 && !st) st = aopt_fail(err, AOPT_E_IO, "%s: %s", w->path, strerror(errno));
        if (*w->temporary) {
            if (keep && !st && rename(w->temporary, w->path) != 0) st = aopt_fail(err, AOPT_E_IO, "%s: %s", w->path, strerror(errno));
            if (!keep || st) unlink(w->temporary);
        }
    }
    AOPT_FREE(w);
    return st;
}
#endif /* AOPT_NO_STDIO */

/* ==== [I11] JSON, SHA-256, random numbers =============================================================== */

#ifdef __cplusplus
}
#endif

/* ==== [I12] licence =====================================================================================
   MIT; the text is in LICENSE beside this file and at https://opensource.org/license/mit */
#endif /* AUTOOPT_IMPLEMENTED */
#endif /* AUTOOPT_IMPLEMENTATION */
