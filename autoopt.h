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
   AOPT_NO_IMAGES     impl        no PNG/JPEG, so no stb needed; y4m stays
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

/* ==== [A9] frames ======================================================================================= */

/* ==== [A10] small tools =================================================================================
   JSON (RFC 8259), strict: UTF-8 checked, duplicate keys refused, depth at most 64, at most 4194304 values, numbers that a
   double holds, nothing after the value. */
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
#if defined(__BYTE_ORDER__) && defined(__ORDER_LITTLE_ENDIAN__) && __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "autoopt.h: tensors are viewed in the file, so the machine must be little-endian"
#endif

/* ---- arena: many small things, freed in one go */
#ifndef AOPT__ARENA_BLOCK
#define AOPT__ARENA_BLOCK 16384     /* tests make it 0: then every allocation is a malloc of its own, which a sanitizer can watch */
#endif
enum { AOPT__BLOCK_HEAD = 32 };
typedef struct aopt__block { struct aopt__block *next; int64_t used, size; } aopt__block;
typedef struct aopt__arena { aopt__block *head; } aopt__arena;      /* start from memset 0 */

/* n elements of `size` bytes, zeroed, aligned to 16; NULL if the product does not fit or memory is short. */
static void *aopt__arena_alloc(aopt__arena *a, int64_t n, int64_t size)
{
    int64_t bytes;
    unsigned char *p;
    if (!aopt__mul(n, size, &bytes) || bytes > INT64_MAX / 2) return NULL;
    bytes = (bytes + 15) & ~(int64_t)15;
    if (!a->head || bytes > a->head->size - a->head->used) {
        const int64_t room = bytes > AOPT__ARENA_BLOCK ? bytes : AOPT__ARENA_BLOCK;
        aopt__block *b = (aopt__block *)aopt__alloc(room + AOPT__BLOCK_HEAD, 1);
        if (!b) return NULL;
        b->next = a->head;
        b->used = 0;
        b->size = room;
        a->head = b;
    }
    p = (unsigned char *)a->head + AOPT__BLOCK_HEAD + a->head->used;
    a->head->used += bytes;
    memset(p, 0, (size_t)bytes);
    return p;
}

static void aopt__arena_free(aopt__arena *a)
{
    while (a->head) {
        aopt__block *b = a->head;
        a->head = b->next;
        AOPT_FREE(b);
    }
}

/* ---- text from files */

/* Bytes of the UTF-8 sequence at s, of which n > 0 are left; 0 if it is overlong, a surrogate, too large or cut short. */
static int aopt__utf8_length(const unsigned char *s, size_t n)
{
    const unsigned c = s[0];
    unsigned low = 0x80, high = 0xBF;
    int i, k;
    if (c < 0x80) return 1;
    if (c < 0xC2 || c > 0xF4) return 0;
    k = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (c == 0xE0) low = 0xA0;
    if (c == 0xED) high = 0x9F;
    if (c == 0xF0) low = 0x90;
    if (c == 0xF4) high = 0x8F;
    if ((size_t)k > n || s[1] < low || s[1] > high) return 0;
    for (i = 2; i < k; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    return k;
}

enum { AOPT__QUOTE = 96 };
/* Make text[n] fit for a message: printable ASCII stays, the rest becomes \xNN, what does not fit ends in "...".  Returns out. */
static char *aopt__quote(const void *text, size_t n, char out[AOPT__QUOTE])
{
    const unsigned char *s = (const unsigned char *)text;
    size_t i, used = 0;
    for (i = 0; i < n && used < AOPT__QUOTE - 8; i++) {
        if (s[i] >= 0x20 && s[i] < 0x7F) out[used++] = (char)s[i];
        else used += (size_t)snprintf(out + used, 5, "\\x%02x", (unsigned)s[i]);
    }
    snprintf(out + used, 4, "%s", i < n ? "..." : "");
    return out;
}

/* ---- tensor to f32 */

static float aopt__f32_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static float aopt__f32_of_f16(unsigned h)
{
    const uint32_t sign = (uint32_t)(h & 0x8000u) << 16, exponent = (h >> 10) & 31u, mantissa = h & 0x3FFu;
    if (exponent == 0) return (sign ? -1.0f : 1.0f) * (float)mantissa * 0x1p-24f;
    return aopt__f32_of_bits(sign | (exponent == 31 ? 0x7F800000u : (exponent + 112u) << 23) | mantissa << 13);
}

/* n elements that lie `step` elements apart; from need not be aligned. */
static void aopt__row_to_f32(aopt_dtype dtype, const unsigned char *from, int64_t step, int64_t n, float *out)
{
#define AOPT__ROW(type, expression) do { const unsigned char *p = from; type x; int64_t i; \
        for (i = 0; i < n; i++, p += step * (int64_t)sizeof x) { memcpy(&x, p, sizeof x); out[i] = expression; } } while (0)
    switch (dtype) {
    case AOPT_F32:  AOPT__ROW(float, x); break;
    case AOPT_F16:  AOPT__ROW(uint16_t, aopt__f32_of_f16(x)); break;
    case AOPT_BF16: AOPT__ROW(uint16_t, aopt__f32_of_bits((uint32_t)x << 16)); break;
    case AOPT_F64:  AOPT__ROW(double, (float)x); break;
    case AOPT_I64:  AOPT__ROW(int64_t, (float)x); break;
    case AOPT_I32:  AOPT__ROW(int32_t, (float)x); break;
    case AOPT_I16:  AOPT__ROW(int16_t, (float)x); break;
    case AOPT_I8:   AOPT__ROW(int8_t, (float)x); break;
    case AOPT_U8:   AOPT__ROW(uint8_t, (float)x); break;
    case AOPT_BOOL: AOPT__ROW(uint8_t, x ? 1.0f : 0.0f); break;
    default: break;
    }
#undef AOPT__ROW
}

AOPT__DEF aopt_status aopt_tensor_to_f32(const aopt_tensor *t, float *out, int64_t n, aopt_error *err)
{
    int64_t at[AOPT_MAX_DIMS], row, done;
    char text[AOPT__QUOTE];
    const char *name = t && t->name ? t->name : "tensor";
    int i, last;
    if (!t || (n > 0 && !out)) return aopt_fail(err, AOPT_E_ARG, "aopt_tensor_to_f32: NULL argument");
    if (t->ndim < 0 || t->ndim > AOPT_MAX_DIMS || aopt_dtype_bytes((int)t->dtype) == 0)
        return aopt_fail(err, AOPT_E_ARG, "%s: not a tensor (dtype %d, %d dimensions)", name, (int)t->dtype, t->ndim);
    if (t->device != AOPT_HOST) return aopt_fail(err, AOPT_E_ARG, "%s: in the memory of CUDA device %d, expected host memory", name, t->device);
    if (aopt_tensor_numel(t) != n)
        return aopt_fail(err, AOPT_E_SHAPE, "%s: %s has %lld elements, expected %lld", name, aopt_tensor_describe(t, text, sizeof text),
                         (long long)aopt_tensor_numel(t), (long long)n);
    if (n == 0) return AOPT_OK;
    if (!t->data) return aopt_fail(err, AOPT_E_ARG, "%s: no data", name);

    /* Row after row along the last dimension; a contiguous tensor is one row. */
    memset(at, 0, sizeof at);
    last = aopt_tensor_contiguous(t) ? -1 : t->ndim - 1;
    row = last < 0 ? n : t->shape[last];
    for (done = 0; done < n; done += row) {
        int64_t offset = 0;
        for (i = 0; i < last; i++) offset += at[i] * t->stride[i];
        aopt__row_to_f32(t->dtype, (const unsigned char *)t->data + offset * aopt_dtype_bytes((int)t->dtype),
                         last < 0 ? 1 : t->stride[last], row, out + done);
        for (i = last - 1; i >= 0 && ++at[i] == t->shape[i]; i--) at[i] = 0;
    }
    return AOPT_OK;
}

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
        const int64_t rows = H - top < AOPT_COMPARE_TILE ? H - top : AOPT_COMPARE_TILE, columns = W - left < AOPT_COMPARE_TILE ? W - left : AOPT_COMPARE_TILE;
        const double psnr = aopt_psnr_db(tile[i] / (3.0 * (double)(rows * columns)));
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

/* ==== [I11] JSON, SHA-256, random numbers =============================================================== */
enum { AOPT__JSON_DEPTH = 64, AOPT__JSON_NUMBER = 100, AOPT__JSON_VALUES = 1 << 22 };
struct aopt_json { aopt__arena arena; aopt_json_value *root; };

typedef struct aopt__json_parser {
    const unsigned char *text;
    size_t n, at;
    aopt__arena *arena;
    int64_t values_left;
    aopt_error *err;
} aopt__json_parser;

static aopt_status aopt__json_value(aopt__json_parser *p, int depth, aopt_json_value *v);

static aopt_status aopt__json_fail(const aopt__json_parser *p, const char *expected)
{
    char found[AOPT__QUOTE];
    if (p->at >= p->n) return aopt_fail(p->err, AOPT_E_FORMAT, "JSON: expected %s at byte %lld, found the end", expected, (long long)p->at);
    return aopt_fail(p->err, AOPT_E_FORMAT, "JSON: expected %s at byte %lld, found '%s'", expected, (long long)p->at,
                     aopt__quote(p->text + p->at, 1, found));
}

/* The byte at p->at, 0 at the end. */
static int aopt__json_peek(const aopt__json_parser *p) { return p->at < p->n ? p->text[p->at] : 0; }

static void aopt__json_space(aopt__json_parser *p)
{
    while (p->at < p->n && (p->text[p->at] == ' ' || p->text[p->at] == '\t' || p->text[p->at] == '\n' || p->text[p->at] == '\r')) p->at++;
}

/* The four digits at p->at, -1 if they are not. */
static long aopt__json_hex4(aopt__json_parser *p)
{
    long x = 0;
    int i;
    for (i = 0; i < 4; i++, p->at++) {
        const int c = aopt__json_peek(p), low = c | 0x20;
        if (c >= '0' && c <= '9') x = x * 16 + (c - '0');
        else if (low >= 'a' && low <= 'f') x = x * 16 + (low - 'a' + 10);
        else return -1;
    }
    return x;
}

/* The escape whose backslash lies before p->at; *used bytes of out are filled. */
static aopt_status aopt__json_escape(aopt__json_parser *p, char *out, size_t *used)
{
    static const char code[] = "\"\\/bfnrt", plain[] = "\"\\/\b\f\n\r\t";
    const int c = aopt__json_peek(p);
    const char *known = c ? strchr(code, c) : NULL;
    long x, second;
    char *o = out + *used;
    if (!known && c != 'u') return aopt__json_fail(p, "an escape");
    p->at++;
    if (known) {
        out[(*used)++] = plain[known - code];
        return AOPT_OK;
    }
    if ((x = aopt__json_hex4(p)) < 0) return aopt__json_fail(p, "four hexadecimal digits");
    if (x >= 0xD800 && x < 0xE000) {                    /* half of a pair */
        if (x >= 0xDC00 || p->n - p->at < 6 || p->text[p->at] != '\\' || p->text[p->at + 1] != 'u') return aopt__json_fail(p, "a surrogate pair");
        p->at += 2;
        if ((second = aopt__json_hex4(p)) < 0xDC00 || second > 0xDFFF) return aopt__json_fail(p, "the second half of a surrogate pair");
        x = 0x10000 + ((x - 0xD800) << 10) + (second - 0xDC00);
    }
    if (x < 0x80) *o++ = (char)x;
    else {
        if (x < 0x800) *o++ = (char)(0xC0 | x >> 6);
        else {
            if (x < 0x10000) *o++ = (char)(0xE0 | x >> 12);
            else { *o++ = (char)(0xF0 | x >> 18); *o++ = (char)(0x80 | (x >> 12 & 63)); }
            *o++ = (char)(0x80 | (x >> 6 & 63));
        }
        *o++ = (char)(0x80 | (x & 63));
    }
    *used = (size_t)(o - out);
    return AOPT_OK;
}

static aopt_status aopt__json_string(aopt__json_parser *p, const char **text, size_t *bytes)
{
    size_t end, used = 0;
    char *out;
    aopt_status st;
    if (aopt__json_peek(p) != '"') return aopt__json_fail(p, "a string");
    p->at++;
    for (end = p->at; end < p->n && p->text[end] != '"'; end++)
        if (p->text[end] == '\\') end++;
    out = (char *)aopt__arena_alloc(p->arena, (int64_t)(end - p->at) + 1, 1);       /* no escape is longer than what it stands for */
    if (!out) return aopt_fail(p->err, AOPT_E_MEMORY, "JSON: out of memory");
    while (p->at < p->n && p->text[p->at] != '"') {
        const int k = aopt__utf8_length(p->text + p->at, p->n - p->at);
        if (k == 0) return aopt__json_fail(p, "UTF-8");
        if (p->text[p->at] < 0x20) return aopt__json_fail(p, "no control character in a string");
        if (p->text[p->at] == '\\') {
            p->at++;
            if ((st = aopt__json_escape(p, out, &used)) != AOPT_OK) return st;
        } else {
            memcpy(out + used, p->text + p->at, (size_t)k);
            used += (size_t)k;
            p->at += (size_t)k;
        }
    }
    if (p->at >= p->n) return aopt__json_fail(p, "'\"'");
    p->at++;
    *text = out;
    *bytes = used;
    return AOPT_OK;
}

/* Copy digits at p->at to out; how many, 0 if there is none or no room. */
static int aopt__json_digits(aopt__json_parser *p, char *out, int room)
{
    int k = 0;
    while (p->at < p->n && p->text[p->at] >= '0' && p->text[p->at] <= '9') {
        if (k == room) return 0;
        out[k++] = (char)p->text[p->at++];
    }
    return k;
}

/* strtod reads a '.' only in some locales, so 1.25e3 is handed to it as 125e1. */
static aopt_status aopt__json_number(aopt__json_parser *p, aopt_json_value *v)
{
    char text[2 * AOPT__JSON_NUMBER + 32], exponent[AOPT__JSON_NUMBER + 1];
    const size_t start = p->at;
    long scale = 0;
    int k, used = 0, i, negative = 0;
    uint64_t magnitude = 0;
    v->type = AOPT_JSON_NUMBER;
    v->is_integer = 1;
    if (aopt__json_peek(p) == '-') text[used++] = (char)p->text[p->at++];
    if ((k = aopt__json_digits(p, text + used, AOPT__JSON_NUMBER)) == 0) return aopt__json_fail(p, "1 to 100 digits");
    if (k > 1 && text[used] == '0') { p->at = start; return aopt__json_fail(p, "a number without leading zeros"); }
    for (i = used; i < used + k; i++) {
        const uint64_t digit = (uint64_t)(text[i] - '0');
        if (magnitude > (UINT64_MAX - digit) / 10) v->is_integer = 0;
        magnitude = magnitude * 10 + digit;
    }
    used += k;
    if (aopt__json_peek(p) == '.') {
        v->is_integer = 0;
        p->at++;
        if ((k = aopt__json_digits(p, text + used, AOPT__JSON_NUMBER)) == 0) return aopt__json_fail(p, "1 to 100 digits");
        used += k;
        scale = -k;
    }
    if ((aopt__json_peek(p) | 0x20) == 'e') {
        v->is_integer = 0;
        p->at++;
        if (aopt__json_peek(p) == '-' || aopt__json_peek(p) == '+') negative = p->text[p->at++] == '-';
        if ((k = aopt__json_digits(p, exponent, 9)) == 0) return aopt__json_fail(p, "1 to 9 digits of exponent");
        exponent[k] = 0;
        scale += negative ? -strtol(exponent, NULL, 10) : strtol(exponent, NULL, 10);
    }
    snprintf(text + used, sizeof text - (size_t)used, "e%ld", scale);
    v->number = strtod(text, NULL);
    if (v->number > 1.7976931348623157e308 || v->number < -1.7976931348623157e308) { p->at = start; return aopt__json_fail(p, "a number that fits a double"); }
    negative = text[0] == '-';
    if (magnitude > (uint64_t)INT64_MAX + (uint64_t)negative) v->is_integer = 0;
    if (v->is_integer) v->integer = negative ? -(int64_t)(magnitude - 1) - 1 : (int64_t)magnitude;
    return AOPT_OK;
}

static int aopt__json_by_key(const void *a, const void *b)
{
    return strcmp((*(const aopt_json_value *const *)a)->key, (*(const aopt_json_value *const *)b)->key);
}

static aopt_status aopt__json_unique(aopt__json_parser *p, const aopt_json_value *object)
{
    const aopt_json_value **sorted, *v;
    char key[AOPT__QUOTE];
    aopt_status st = AOPT_OK;
    int64_t i = 0;
    if (object->child_n < 2) return AOPT_OK;
    sorted = (const aopt_json_value **)aopt__alloc(object->child_n, (int64_t)sizeof *sorted);
    if (!sorted) return aopt_fail(p->err, AOPT_E_MEMORY, "JSON: out of memory");
    for (v = object->child; v; v = v->next) sorted[i++] = v;
    qsort(sorted, (size_t)object->child_n, sizeof *sorted, aopt__json_by_key);
    for (i = 1; i < object->child_n && st == AOPT_OK; i++)
        if (strcmp(sorted[i - 1]->key, sorted[i]->key) == 0)
            st = aopt_fail(p->err, AOPT_E_FORMAT, "JSON: duplicate key '%s' in the object that ends at byte %lld",
                           aopt__quote(sorted[i]->key, strlen(sorted[i]->key), key), (long long)p->at);
    AOPT_FREE(sorted);
    return st;
}

static aopt_status aopt__json_key(aopt__json_parser *p, aopt_json_value *v)
{
    size_t bytes;
    aopt_status st = aopt__json_string(p, &v->key, &bytes);
    if (st != AOPT_OK) return st;
    if (strlen(v->key) != bytes) return aopt__json_fail(p, "no NUL in the key before");
    aopt__json_space(p);
    if (aopt__json_peek(p) != ':') return aopt__json_fail(p, "':'");
    p->at++;
    return AOPT_OK;
}

/* The array or object that opens at p->at. */
static aopt_status aopt__json_container(aopt__json_parser *p, int depth, aopt_json_value *v)
{
    const int object = p->text[p->at] == '{', close = object ? '}' : ']';
    const aopt_json_value **tail = &v->child;
    aopt_status st;
    if (depth == AOPT__JSON_DEPTH) return aopt__json_fail(p, "at most 64 levels");
    v->type = object ? AOPT_JSON_OBJECT : AOPT_JSON_ARRAY;
    p->at++;
    aopt__json_space(p);
    if (aopt__json_peek(p) == close) { p->at++; return AOPT_OK; }
    for (;;) {
        aopt_json_value *child;
        if (p->values_left-- == 0) return aopt__json_fail(p, "at most 4194304 values");
        child = (aopt_json_value *)aopt__arena_alloc(p->arena, 1, (int64_t)sizeof *child);
        if (!child) return aopt_fail(p->err, AOPT_E_MEMORY, "JSON: out of memory");
        *tail = child;
        tail = &child->next;
        v->child_n++;
        aopt__json_space(p);
        if (object && (st = aopt__json_key(p, child)) != AOPT_OK) return st;
        if ((st = aopt__json_value(p, depth + 1, child)) != AOPT_OK) return st;
        if (aopt__json_peek(p) == close) break;
        if (aopt__json_peek(p) != ',') return aopt__json_fail(p, object ? "',' or '}'" : "',' or ']'");
        p->at++;
    }
    p->at++;
    return object ? aopt__json_unique(p, v) : AOPT_OK;
}

static aopt_status aopt__json_word(aopt__json_parser *p, const char *word)
{
    const size_t n = strlen(word);
    if (p->n - p->at < n || memcmp(p->text + p->at, word, n) != 0) return aopt__json_fail(p, "a value");
    p->at += n;
    return AOPT_OK;
}

/* One value and the space around it. */
static aopt_status aopt__json_value(aopt__json_parser *p, int depth, aopt_json_value *v)
{
    aopt_status st;
    int c;
    aopt__json_space(p);
    c = aopt__json_peek(p);
    if (c == '{' || c == '[') st = aopt__json_container(p, depth, v);
    else if (c == '"') { v->type = AOPT_JSON_STRING; st = aopt__json_string(p, &v->string, &v->string_bytes); }
    else if (c == '-' || (c >= '0' && c <= '9')) st = aopt__json_number(p, v);
    else if (c == 't' || c == 'f') { v->type = AOPT_JSON_BOOL; v->boolean = c == 't'; st = aopt__json_word(p, c == 't' ? "true" : "false"); }
    else st = aopt__json_word(p, "null");
    aopt__json_space(p);
    return st;
}

AOPT__DEF aopt_status aopt_json_parse(const char *text, size_t n, aopt_json **out, aopt_error *err)
{
    aopt__json_parser p;
    aopt_json *doc;
    aopt_status st;
    if (!out || (n > 0 && !text)) return aopt_fail(err, AOPT_E_ARG, "aopt_json_parse: NULL argument");
    *out = NULL;
    doc = (aopt_json *)aopt__alloc(1, (int64_t)sizeof *doc);
    if (!doc) return aopt_fail(err, AOPT_E_MEMORY, "JSON: out of memory");
    memset(doc, 0, sizeof *doc);
    memset(&p, 0, sizeof p);
    p.text = (const unsigned char *)text;
    p.n = n;
    p.arena = &doc->arena;
    p.values_left = AOPT__JSON_VALUES;
    p.err = err;
    doc->root = (aopt_json_value *)aopt__arena_alloc(&doc->arena, 1, (int64_t)sizeof *doc->root);
    if (!doc->root) st = aopt_fail(err, AOPT_E_MEMORY, "JSON: out of memory");
    else st = aopt__json_value(&p, 0, doc->root);
    if (st == AOPT_OK && p.at < n) st = aopt__json_fail(&p, "the end");
    if (st != AOPT_OK) aopt_json_free(doc);
    else *out = doc;
    return st;
}

AOPT__DEF void aopt_json_free(aopt_json *doc)
{
    if (!doc) return;
    aopt__arena_free(&doc->arena);
    AOPT_FREE(doc);
}

AOPT__DEF const aopt_json_value *aopt_json_root(const aopt_json *doc) { return doc ? doc->root : NULL; }

AOPT__DEF const aopt_json_value *aopt_json_get(const aopt_json_value *object, const char *key)
{
    const aopt_json_value *v;
    if (!object || object->type != AOPT_JSON_OBJECT) return NULL;
    for (v = object->child; v && strcmp(v->key, key) != 0; v = v->next) { }
    return v;
}

static uint32_t aopt__rotate_right(uint32_t x, int k) { return x >> k | x << (32 - k); }

static void aopt__sha256_block(uint32_t state[8], const unsigned char *block)
{
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
        0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
        0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
        0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
        0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
        0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
        0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
        0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2 };
    uint32_t w[64], v[8];
    int i;
    for (i = 0; i < 16; i++)
        w[i] = (uint32_t)block[4 * i] << 24 | (uint32_t)block[4 * i + 1] << 16 | (uint32_t)block[4 * i + 2] << 8 | block[4 * i + 3];
    for (; i < 64; i++) {
        const uint32_t a = w[i - 15], b = w[i - 2];
        w[i] = w[i - 16] + w[i - 7] + (aopt__rotate_right(a, 7) ^ aopt__rotate_right(a, 18) ^ a >> 3)
             + (aopt__rotate_right(b, 17) ^ aopt__rotate_right(b, 19) ^ b >> 10);
    }
    memcpy(v, state, sizeof v);
    /* Eight rounds at a time: after that many the variables stand in their first places again, so nothing is moved. */
#define AOPT__ROUND(a, b, c, d, e, f, g, h, j) do { \
        const uint32_t t = h + (aopt__rotate_right(e, 6) ^ aopt__rotate_right(e, 11) ^ aopt__rotate_right(e, 25)) \
                         + ((e & f) ^ (~e & g)) + k[i + j] + w[i + j]; \
        d += t; \
        h = t + (aopt__rotate_right(a, 2) ^ aopt__rotate_right(a, 13) ^ aopt__rotate_right(a, 22)) + ((a & b) ^ (a & c) ^ (b & c)); \
    } while (0)
    for (i = 0; i < 64; i += 8) {
        AOPT__ROUND(v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7], 0);
        AOPT__ROUND(v[7], v[0], v[1], v[2], v[3], v[4], v[5], v[6], 1);
        AOPT__ROUND(v[6], v[7], v[0], v[1], v[2], v[3], v[4], v[5], 2);
        AOPT__ROUND(v[5], v[6], v[7], v[0], v[1], v[2], v[3], v[4], 3);
        AOPT__ROUND(v[4], v[5], v[6], v[7], v[0], v[1], v[2], v[3], 4);
        AOPT__ROUND(v[3], v[4], v[5], v[6], v[7], v[0], v[1], v[2], 5);
        AOPT__ROUND(v[2], v[3], v[4], v[5], v[6], v[7], v[0], v[1], 6);
        AOPT__ROUND(v[1], v[2], v[3], v[4], v[5], v[6], v[7], v[0], 7);
    }
#undef AOPT__ROUND
    for (i = 0; i < 8; i++) state[i] += v[i];
}

AOPT__DEF void aopt_sha256_begin(aopt_sha256 *s)
{
    static const uint32_t start[8] = { 0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19 };
    memset(s, 0, sizeof *s);
    memcpy(s->state, start, sizeof start);
}

AOPT__DEF void aopt_sha256_add(aopt_sha256 *s, const void *data, size_t n)
{
    const unsigned char *p = (const unsigned char *)data;
    while (n > 0) {
        const size_t held = (size_t)(s->bytes & 63), take = n < 64 - held ? n : 64 - held;
        if (take == 64) aopt__sha256_block(s->state, p);
        else {
            memcpy(s->block + held, p, take);
            if (held + take == 64) aopt__sha256_block(s->state, s->block);
        }
        s->bytes += take;
        p += take;
        n -= take;
    }
}

AOPT__DEF void aopt_sha256_end(aopt_sha256 *s, char hex[65])
{
    static const unsigned char pad[64] = { 0x80 };
    const uint64_t bits = s->bytes * 8;
    unsigned char length[8];
    int i;
    for (i = 0; i < 8; i++) length[i] = (unsigned char)(bits >> (56 - 8 * i));
    aopt_sha256_add(s, pad, 1 + (size_t)((119 - s->bytes % 64) % 64));      /* up to 56 bytes past a multiple of 64 */
    aopt_sha256_add(s, length, 8);
    for (i = 0; i < 8; i++) snprintf(hex + 8 * i, 9, "%08lx", (unsigned long)s->state[i]);
}

/* The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection in which every input bit moves every output bit. */
static uint64_t aopt__mix64(uint64_t x)
{
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

AOPT__DEF uint64_t aopt_random_u64(uint64_t seed, uint64_t index)
{
    const uint64_t golden = 0x9e3779b97f4a7c15u;
    return aopt__mix64(aopt__mix64(seed + golden) + index * golden);
}

AOPT__DEF float aopt_random_uniform(uint64_t seed, uint64_t index)
{
    return (float)(aopt_random_u64(seed, index) >> 40) * 0x1p-24f;
}

/* Twelve integers of 21 bits: their sum less its mean is below 2^24, so the float holds it exactly. */
AOPT__DEF float aopt_random_normal(uint64_t seed, uint64_t index)
{
    const uint64_t own = aopt__mix64(~seed);        /* a stream apart from that of aopt_random_uniform(seed, ...) */
    int32_t sum = 0;
    uint64_t k;
    for (k = 0; k < 4; k++) {
        const uint64_t x = aopt_random_u64(own, 4 * index + k);
        sum += (int32_t)(x & 0x1FFFFF) + (int32_t)(x >> 21 & 0x1FFFFF) + (int32_t)(x >> 42 & 0x1FFFFF);
    }
    return (float)(sum - 6 * 0x1FFFFF) * 0x1p-21f;
}

#ifdef __cplusplus
}
#endif

/* ==== [I12] licence =====================================================================================
   MIT; the text is in LICENSE beside this file and at https://opensource.org/license/mit */
#endif /* AUTOOPT_IMPLEMENTED */
#endif /* AUTOOPT_IMPLEMENTATION */
