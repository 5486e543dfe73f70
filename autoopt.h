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

/* ==== [A5] compare ====================================================================================== */

/* ==== [A6] bench ========================================================================================
   Medians and order statistics only: no assumption about the shape of a timing distribution. */
AOPT_API double aopt_median(const double *v, int64_t n);           /* v is left alone; NaN if n < 1 or memory is short */
AOPT_API double aopt_mad(const double *v, int64_t n);              /* median absolute deviation, not scaled */
/* The confidence interval of a median of n values is [sorted[r-1], sorted[n-r]] with r = aopt_ci_rank(n, alpha):
   the largest r with P(Binomial(n, 1/2) < r) <= alpha/2; 0 = n is too small for this alpha. */
AOPT_API int aopt_ci_rank(int n, double alpha);
/* That interval; returns 0 and sets both ends to NaN if n is too small. */
AOPT_API int aopt_median_ci(const double *v, int n, double alpha, double *lo, double *hi);
/* Standard error of the median of n paired log-ratios, from their own spread: 1.25 * 1.4826 MAD / sqrt(n). */
AOPT_API double aopt_noise_floor(const double *d, int n);
/* A random f32 tensor that looks like `fixed` (f32, host, contiguous): the same mean and deviation in each slice of dimension
   `channel` (-1 = over the whole tensor) and, along every other dimension, the same correlation of neighbours (clamped to
   [0, 0.98]).  Gaussian, a function of seed alone.  out[numel] must not overlap fixed.
   AOPT_E_ARG (dtype, layout), AOPT_E_MEMORY */
AOPT_API aopt_status aopt_random_like(const aopt_tensor *fixed, int channel, uint64_t seed, float *out, aopt_error *err);

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
    /* input -> output, both f32, contiguous, on the device of `build`; input must not be written.  Called many times, from one
       thread.  Returns when every element of output is written (on CUDA: when all that writes it is launched). */
    aopt_status (*decode)(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err);
    void (*close)(void *ctx);
    char info[200];                     /* one line: what this variant does */
} aopt_decoder;

#if defined(__GNUC__)
#define AOPT_EXPORT __attribute__((visibility("default")))
#else
#define AOPT_EXPORT
#endif
/* The one function of optimize.c, and its only external name.  Sees the model, the shape and the device; never an input. */
AOPT_EXPORT aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device,
                                      aopt_decoder *out, aopt_error *err);

enum { AOPT_MAX_METRICS = 16 };
typedef struct aopt_metric {            /* one figure of a comparison */
    char name[40];                      /* as in goals.json */
    double value;                       /* NaN passes no limit */
    int sense;                          /* +1 more is better, -1 less is better */
    char where[64];                     /* place of the worst element or frame; "" = nowhere in particular */
} aopt_metric;
typedef struct aopt_cost {              /* of one decode of a shape */
    double flops;                       /* as the reference counts them, 2 per multiply-add */
    double bytes;                       /* least traffic: weights and input read once, output written once */
    int64_t memory;                     /* peak bytes of the reference, beside input and output */
} aopt_cost;
typedef struct aopt_command {           /* an extra command of the harness; argv[0] is its name, returns the exit status */
    const char *name, *usage;
    int (*run)(int argc, char **argv);
} aopt_command;

/* Everything in host memory.  Tensors are contiguous f32 with their data already allocated by the caller.
   `prefix` counts slices along causal_axis of the input and means: only the part of the output that the first `prefix`
   slices determine; 0 = all of it.  model/target.h defines `static const aopt_target target`. */
typedef struct aopt_target {
    const char *name;                           /* "wan22-vae-decoder" */
    const char *input_name, *output_name;       /* in messages: "latent", "video" */
    int causal_axis;                            /* of the input: slices j, j+1, ... never change the output of prefix j; -1 = not causal */
    /* Weights from a file; close frees what open made. */
    aopt_status (*open)(const char *path, aopt_model *model, aopt_error *err);
    void (*close)(aopt_model *model);
    /* Shapes of input and output (data = NULL), or AOPT_E_SHAPE. */
    aopt_status (*tensors)(const aopt_model *model, const aopt_shape *shape, aopt_tensor *input, aopt_tensor *output, aopt_error *err);
    aopt_status (*cost)(const aopt_model *model, const aopt_shape *shape, aopt_cost *out, aopt_error *err);
    /* The fixed input of a task. */
    aopt_status (*load_input)(const aopt_model *model, const char *path, aopt_tensor *input, aopt_error *err);
    /* An input that nobody has seen, with the statistics and smoothness of the fixed one: a function of seed. */
    aopt_status (*fresh_input)(const aopt_model *model, const aopt_tensor *fixed, uint64_t seed, aopt_tensor *input, aopt_error *err);
    /* The truth, fp32.  With a prefix the rest of output is left alone.  progress may be NULL. */
    aopt_status (*reference)(const aopt_model *model, const aopt_device *device, const aopt_tensor *input, int64_t prefix,
                             aopt_tensor *output, aopt_progress progress, void *user, aopt_error *err);
    /* Fill metric[] and return how many.  Must survive NaN and infinities: they make a value NaN, never a good one. */
    int (*compare)(const aopt_tensor *want, const aopt_tensor *got, int64_t prefix, aopt_metric metric[AOPT_MAX_METRICS]);
    const aopt_command *command; int command_n;
} aopt_target;

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

/* ==== [I4] CPU ops ====================================================================================== */

/* ==== [I5] weight binding =============================================================================== */

/* ==== [I6] decoder and encoder ========================================================================== */

/* ==== [I7] compare ====================================================================================== */

/* ==== [I8] bench ======================================================================================== */
static int aopt__double_order(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double *aopt__sorted(const double *v, int64_t n)
{
    double *s = n < 1 ? NULL : (double *)aopt__alloc(n, (int64_t)sizeof *s);
    if (!s) return NULL;
    memcpy(s, v, (size_t)n * sizeof *s);
    qsort(s, (size_t)n, sizeof *s, aopt__double_order);
    return s;
}

AOPT__DEF double aopt_median(const double *v, int64_t n)
{
    double *s = aopt__sorted(v, n), m;
    if (!s) return NAN;
    m = n % 2 ? s[n / 2] : 0.5 * (s[n / 2 - 1] + s[n / 2]);
    AOPT_FREE(s);
    return m;
}

AOPT__DEF double aopt_mad(const double *v, int64_t n)
{
    double *s = aopt__sorted(v, n), m;
    int64_t i;
    if (!s) return NAN;
    m = aopt_median(v, n);
    for (i = 0; i < n; i++) s[i] = fabs(v[i] - m);
    m = aopt_median(s, n);
    AOPT_FREE(s);
    return m;
}

AOPT__DEF int aopt_ci_rank(int n, double alpha)
{
    double choose = 1, p = 0;
    int k;
    for (k = 0; k < n / 2; k++) {
        p += ldexp(choose, -n);
        if (p > alpha / 2) break;
        choose = choose * (n - k) / (k + 1);
    }
    return k;
}

AOPT__DEF int aopt_median_ci(const double *v, int n, double alpha, double *lo, double *hi)
{
    const int r = aopt_ci_rank(n, alpha);
    double *s = r > 0 ? aopt__sorted(v, n) : NULL;
    *lo = s ? s[r - 1] : NAN;
    *hi = s ? s[n - r] : NAN;
    if (s) AOPT_FREE(s);
    return s != NULL;
}

AOPT__DEF double aopt_noise_floor(const double *d, int n)
{
    return 1.25 * 1.4826 * aopt_mad(d, n) / sqrt((double)n);
}

/* Correlation of neighbours along dimension `axis` of x, which is centred already. */
static double aopt__lag1(const aopt_tensor *t, const float *x, int axis)
{
    const int64_t n = aopt_tensor_numel(t), step = t->stride[axis], len = t->shape[axis];
    double num = 0, den = 0;
    int64_t i;
    for (i = 0; i < n; i++) {
        den += (double)x[i] * x[i];
        if (i / step % len + 1 < len) num += (double)x[i] * x[i + step];
    }
    num = len > 1 && den > 0 ? num / den * (double)len / (double)(len - 1) : 0;
    return num > 0.98 ? 0.98 : num > 0 ? num : 0;
}

AOPT__DEF aopt_status aopt_random_like(const aopt_tensor *fixed, int channel, uint64_t seed, float *out, aopt_error *err)
{
    const int64_t n = aopt_tensor_numel(fixed), c_n = channel < 0 ? 1 : fixed->shape[channel];
    const int64_t c_step = channel < 0 ? n : fixed->stride[channel], per = c_n > 0 ? n / c_n : 0;
    const float *x = (const float *)fixed->data;
    double *mean, *dev;
    int64_t i;
    int axis;
    if (fixed->dtype != AOPT_F32 || !aopt_tensor_contiguous(fixed) || n < 1 || channel >= fixed->ndim)
        return aopt_fail(err, AOPT_E_ARG, "random_like: needs a contiguous f32 tensor");
    mean = (double *)aopt__alloc(2 * c_n, (int64_t)sizeof *mean);
    if (!mean) return aopt_fail(err, AOPT_E_MEMORY, "random_like: out of memory");
    dev = mean + c_n;
    for (i = 0; i < 2 * c_n; i++) mean[i] = 0;
    for (i = 0; i < n; i++) mean[i / c_step % c_n] += x[i];
    for (i = 0; i < c_n; i++) mean[i] /= (double)per;
    for (i = 0; i < n; i++) {
        out[i] = (float)(x[i] - mean[i / c_step % c_n]);
        dev[i / c_step % c_n] += (double)out[i] * out[i];
    }
    for (i = 0; i < c_n; i++) dev[i] = sqrt(dev[i] / (double)per);
    {
        double rho[AOPT_MAX_DIMS], keep;
        for (axis = 0; axis < fixed->ndim; axis++) rho[axis] = axis == channel ? 0 : aopt__lag1(fixed, out, axis);
        for (i = 0; i < n; i++) out[i] = aopt_random_normal(seed, (uint64_t)i);
        for (axis = 0; axis < fixed->ndim; axis++) {
            if (rho[axis] <= 0) continue;
            keep = sqrt(1 - rho[axis] * rho[axis]);             /* first-order autoregression: deviation stays 1 */
            for (i = 0; i < n; i++)
                if (i / fixed->stride[axis] % fixed->shape[axis] > 0)
                    out[i] = (float)(rho[axis] * out[i - fixed->stride[axis]] + keep * out[i]);
        }
    }
    for (i = 0; i < n; i++) out[i] = (float)(mean[i / c_step % c_n] + dev[i / c_step % c_n] * out[i]);
    AOPT_FREE(mean);
    return AOPT_OK;
}

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

#ifdef __cplusplus
}
#endif

/* ==== [I12] licence =====================================================================================
   MIT; the text is in LICENSE beside this file and at https://opensource.org/license/mit */
#endif /* AUTOOPT_IMPLEMENTED */
#endif /* AUTOOPT_IMPLEMENTATION */
