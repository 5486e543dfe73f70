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
      [A12] CUDA: the judge's buffers, the fp32 layers, decode and encode on a GPU
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
      [I12] CUDA host; includes autoopt_kernels.cuh
      [I13] licence
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
                  Top level: one tensor (then named "tensor"), a dict of tensors (nested dicts join their keys with '.', lists count as
                  dicts with keys 0, 1, ...), or {"state_dict": {...}} / {"model": {...}}, whose wrapper is peeled off with
                  all that lies beside it.  Numbers, strings and None are skipped.  Tensors may be views: strided, or of
                  one shared storage.
   .safetensors   F32 F16 BF16 F64 I64 I32 I16 I8 U8 BOOL.
   The file is memory-mapped and must not change while open.  Nothing is copied, nothing is executed.  Data is read-only and
   need not be aligned to its dtype: read it with aopt_tensor_to_f32 or memcpy.
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

/* ==== [A12] CUDA ========================================================================================
   The judge's buffers.  Each call has a CPU form and, with AUTOOPT_CUDA, a GPU form that gives the same numbers. */

/* Poison: what an output holds before a decoder may write it.  A quiet NaN; payload (22 bits used) tells the calls apart. */
AOPT_API uint32_t aopt_poison_bits(uint32_t payload);
AOPT_API void aopt_ref_poison(float *x, int64_t n, uint32_t payload);
/* Guards: words beside a buffer that must keep their value, a function of (seed, index).
   check: result[0] = words that changed, result[1] = index of the first of them, all ones if none. */
AOPT_API void aopt_ref_guard_fill(uint32_t *x, int64_t n, uint64_t seed);
AOPT_API void aopt_ref_guard_check(const uint32_t *x, int64_t n, uint64_t seed, uint64_t result[2]);
/* Fingerprint: 64 bits over the bit pattern and the place of every element, and over seed. */
AOPT_API uint64_t aopt_ref_fingerprint(const float *x, int64_t n, uint64_t seed);
/* How many elements of x are still the poison of this payload; *first = index of the first, -1 if none. */
AOPT_API int64_t aopt_ref_unwritten(const float *x, int64_t n, uint32_t payload, int64_t *first);

#ifdef AUTOOPT_CUDA
/* ---- GPU.  `stream` is a cudaStream_t, `blas` a cublasHandle_t: the CUDA headers are not needed to read this file.
   Calls named aopt_cuda_* and a layer only enqueue work; every pointer is device memory, read or written in stream order.
   AOPT_E_SHAPE  the shapes do not fit each other    AOPT_E_MEMORY  out of device memory
   AOPT_E_CUDA   a CUDA or cuBLAS call failed: the message has the call and its place */
struct CUstream_st;
struct cublasContext;

AOPT_API aopt_status aopt_cuda_poison(float *x, int64_t n, uint32_t payload, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_guard_fill(uint32_t *x, int64_t n, uint64_t seed, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_guard_check(const uint32_t *x, int64_t n, uint64_t seed, uint64_t *result, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_fingerprint(const float *x, int64_t n, uint64_t seed, uint64_t *result, struct CUstream_st *stream, aopt_error *err);
/* result[0] = elements that still are poison, result[1] = index of the first, all ones if none. */
AOPT_API aopt_status aopt_cuda_unwritten(const float *x, int64_t n, uint32_t payload, uint64_t *result, struct CUstream_st *stream, aopt_error *err);
/* aopt_compare over device memory: the same figures but for the order of the sums (1e-12, relative).  Takes about 1 % of the
   video's size in device memory for the duration of the call, and blocks. */
AOPT_API aopt_status aopt_cuda_compare(const float *video, const float *reference, int64_t F, int64_t H, int64_t W, aopt_comparison *out,
                                       struct CUstream_st *stream, aopt_error *err);

/* Rows: a channels-last activation as a matrix of rows, f32 [frames][H + border][W + border][C].
   border 1 puts a zero column left of each row of pixels and a zero row above each frame; the right neighbour of a row is
   the next row's column, and aopt_rows_count has W + 2 more zero rows below the last frame.  So a 3x3 tap is one constant shift
   of the row number and every convolution a sum of matrix products.  border 0 is plain channels-last. */
typedef struct aopt_rows { float *data; int64_t frames, H, W; int C, border; } aopt_rows;
AOPT_API int64_t aopt_rows_per_frame(const aopt_rows *x);
AOPT_API int64_t aopt_rows_count(const aopt_rows *x);

/* Layers.  x is read at its pixels alone.  y and out may have either border; rms_norm and upsample_nearest write zeros
   into y's, the rest leaves it alone. */
AOPT_API aopt_status aopt_cuda_rms_norm(const aopt_rows *x, const float *gamma, int silu, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_upsample_nearest(const aopt_rows *x, int factor, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err);   /* factor 1 = copy */
AOPT_API aopt_status aopt_cuda_add(const aopt_rows *a, const aopt_rows *b, const aopt_rows *out, struct CUstream_st *stream, aopt_error *err);     /* out may be a or b */
/* out = b + DupUp3D(x): channels repeated into ft x 2 x 2 sub-positions; first: the first ft - 1 frames are dropped.  out may be b. */
AOPT_API aopt_status aopt_cuda_dup_up(const aopt_rows *x, int ft, int first, const aopt_rows *b, const aopt_rows *out, struct CUstream_st *stream, aopt_error *err);
/* out = b + AvgDown3D(x): means over neighbouring sub-channels; frames padded with zeros in front to a multiple of ft.  out may be b. */
AOPT_API aopt_status aopt_cuda_avg_down(const aopt_rows *x, int ft, int fs, const aopt_rows *b, const aopt_rows *out, struct CUstream_st *stream, aopt_error *err);
/* [t][H][W][2C] -> [2t][H][W][C]: the first half of the channels is the earlier frame. */
AOPT_API aopt_status aopt_cuda_interleave_time(const aopt_rows *x, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err);
/* In place: x[rows][columns] = softmax of scale * x along each row. */
AOPT_API aopt_status aopt_cuda_softmax(float *x, int64_t rows, int64_t columns, float scale, struct CUstream_st *stream, aopt_error *err);
/* One head per frame: qkv [t][H][W][3C] -> out [t][H][W][C], no borders.  scores: f32 work space for at least H*W; more = fewer, larger products. */
AOPT_API aopt_status aopt_cuda_attention(struct cublasContext *blas, const aopt_rows *qkv, float *scores, int64_t scores_n, const aopt_rows *out,
                                         struct CUstream_st *stream, aopt_error *err);
/* Channels-first with channel_stride elements between channels: y = x*scale + shift, and back (x - shift)/scale of the first C
   channels.  scale and shift are f32 [C], or NULL for 1 and 0. */
AOPT_API aopt_status aopt_cuda_channels_last(const float *x, int64_t channel_stride, const float *scale, const float *shift, const aopt_rows *y,
                                             struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_channels_first(const aopt_rows *x, int C, const float *scale, const float *shift, float *y, int64_t channel_stride,
                                              struct CUstream_st *stream, aopt_error *err);
/* Video [3][frames][2H][2W] <-> rows [frames][H][W][12]; unpatchify clamps to [-1, 1]. */
AOPT_API aopt_status aopt_cuda_patchify(const float *video, int64_t channel_stride, const aopt_rows *y, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_unpatchify(const aopt_rows *x, float *video, int64_t channel_stride, struct CUstream_st *stream, aopt_error *err);
/* A convolution; kh is 1 or 3.  x has (y->frames - 1)*stride_t + kt frames: history is the caller's, in front.
   stride_s 1: x and y have border kh == 3, y's border holds garbage.   stride_s 2: 3x3, padded right and bottom only; y is plain.
   packed: f32 [kt][kh][kw][ci][co], which pack_conv makes of the checkpoint's [co][ci][taps]. */
typedef struct aopt_conv_shape { int ci, co, kt, kh, kw, stride_t, stride_s; } aopt_conv_shape;
AOPT_API aopt_status aopt_cuda_pack_conv(const float *w, int64_t co, int64_t ci, int64_t taps, float *packed, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_conv(struct cublasContext *blas, const aopt_rows *x, const aopt_conv_shape *c, const float *packed, const float *bias,
                                    const aopt_rows *y, struct CUstream_st *stream, aopt_error *err);

/* The fp32 VAE on a GPU: the truth at full size.  Chunks in time go through the whole network one after the other, feature
   caches stay on the device, so a clip of any length needs the memory of one chunk. */
typedef struct aopt_cuda_options {          /* NULL or all zero = defaults */
    int device;                             /* CUDA ordinal */
    int tf32;                               /* 1 = products on TF32 tensor cores: the second baseline, not the truth */
    int raw_latent;                         /* as in aopt_vae_options */
    int64_t chunk;                          /* latent frames per chunk after the first, which has one; 0 = 1 */
    int64_t memory_limit;                   /* bytes; refuse (AOPT_E_MEMORY, with the prediction) above; 0 = what the device has free */
    struct CUstream_st *stream;             /* NULL = the default stream */
    aopt_progress progress; void *progress_user;
} aopt_cuda_options;
typedef struct aopt_cuda_vae aopt_cuda_vae;     /* one direction, one size, one device; one thread at a time */

/* Weights packed and all memory taken; vae and its checkpoint are not needed afterwards.
   h, w      latent size, for both directions (frames are 16h x 16w)
   AOPT_E_MISSING  this checkpoint has no decoder (encoder)      AOPT_E_VALUE  NaN or Inf among the weights (tensor named)
   AOPT_E_MEMORY   host or device memory; predicted and available bytes are named where known */
AOPT_API aopt_status aopt_cuda_vae_decoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options, aopt_cuda_vae **out, aopt_error *err);
AOPT_API aopt_status aopt_cuda_vae_encoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options, aopt_cuda_vae **out, aopt_error *err);
/* Device memory that an open takes, without the CUDA context (about half a gigabyte) and the caller's buffers.  -1 on a bad argument. */
AOPT_API int64_t aopt_cuda_vae_decode_bytes(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options);
AOPT_API int64_t aopt_cuda_vae_encode_bytes(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options);
/* A whole clip.  latent f32 [48][T][h][w] and video f32 [3][F][16h][16w], F = 1 + 4*(T-1), each in device or host memory.
   Blocks until done; allocates nothing.  The output is unspecified after an error. */
AOPT_API aopt_status aopt_cuda_vae_decode(aopt_cuda_vae *d, const float *latent, int64_t T, float *video, aopt_error *err);
AOPT_API aopt_status aopt_cuda_vae_encode(aopt_cuda_vae *e, const float *video, int64_t F, float *latent, aopt_error *err);
AOPT_API void aopt_cuda_vae_close(aopt_cuda_vae *v);                        /* NULL is fine */
#endif /* AUTOOPT_CUDA */

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
#ifndef AOPT_NO_STDIO
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
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

/* ---- the opened file */
struct aopt_checkpoint {
    aopt__arena arena;              /* label, names, tensors */
    const char *label;              /* its path, or what open_memory was given */
    const unsigned char *bytes;
    size_t n;
    int mapped;                     /* bytes is a mapping of ours */
    aopt_tensor *tensor;            /* [count], sorted by name */
    int64_t count;
};

static int aopt__tensor_by_name(const void *a, const void *b)
{
    return strcmp(((const aopt_tensor *)a)->name, ((const aopt_tensor *)b)->name);
}

/* Names go into messages and file lists as they are, so control characters are refused. */
static int aopt__name_ok(const char *name)
{
    while (*name && (unsigned char)*name >= 0x20 && *name != 0x7F) name++;
    return *name == 0;
}

/* Sort the tensors by name; refuse a name that comes twice. */
static aopt_status aopt__checkpoint_sort(aopt_checkpoint *ck, aopt_error *err)
{
    char name[AOPT__QUOTE];
    int64_t i;
    for (i = 0; i < ck->count; i++)
        if (!aopt__name_ok(ck->tensor[i].name))
            return aopt_fail(err, AOPT_E_FORMAT, "%s: tensor '%s' has a control character in its name", ck->label,
                             aopt__quote(ck->tensor[i].name, strlen(ck->tensor[i].name), name));
    if (ck->count > 1) qsort(ck->tensor, (size_t)ck->count, sizeof *ck->tensor, aopt__tensor_by_name);
    for (i = 1; i < ck->count; i++)
        if (strcmp(ck->tensor[i - 1].name, ck->tensor[i].name) == 0)
            return aopt_fail(err, AOPT_E_FORMAT, "%s: two tensors are named '%s'", ck->label,
                             aopt__quote(ck->tensor[i].name, strlen(ck->tensor[i].name), name));
    return AOPT_OK;
}

static const char *aopt__arena_text(aopt__arena *a, const char *text, size_t n)
{
    char *copy = (char *)aopt__arena_alloc(a, (int64_t)n + 1, 1);
    if (copy) memcpy(copy, text, n);
    return copy;
}

static aopt_status aopt__no_memory(const aopt_checkpoint *ck, aopt_error *err)
{
    return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory while reading the list of tensors", ck->label);
}

/* Little-endian numbers at any address. */
static uint32_t aopt__le16(const unsigned char *p) { return (uint32_t)p[0] | (uint32_t)p[1] << 8; }
static uint32_t aopt__le32(const unsigned char *p) { return aopt__le16(p) | aopt__le16(p + 2) << 16; }
static uint64_t aopt__le64(const unsigned char *p) { return aopt__le32(p) | (uint64_t)aopt__le32(p + 4) << 32; }

/* ---- zip: stored entries only; every offset is compared by subtraction before it is used */
typedef struct aopt__zip_entry {
    const char *name; size_t name_n;    /* in the file, not terminated */
    uint32_t flags, method, crc;
    uint64_t size, local;               /* bytes of data; offset of the local header */
    const unsigned char *data;
    int used;                           /* its bytes are looked at, so its CRC counts */
} aopt__zip_entry;

/* What opening a .pth needs for a while.  status is that of the pickle machine: once set, it stops. */
typedef struct aopt__obj aopt__obj;
typedef struct aopt__pth {
    aopt_checkpoint *ck;
    const aopt_checkpoint_options *options;
    aopt_error *err;
    aopt__arena arena;                  /* entries, objects of the pickle */
    aopt__zip_entry *entry; int64_t entry_n;        /* sorted by name */
    const char *prefix; size_t prefix_n;            /* "archive/": what all names start with */
    uint32_t crc_table[8][256];
    const unsigned char *pickle; size_t pickle_n, at, op_at;
    aopt_status status;
    int stopped;                        /* STOP was executed */
    aopt__obj **stack; int64_t stack_n, stack_room; /* NULL = a mark */
    aopt__obj **memo; int64_t memo_n, memo_room;    /* memo_n of the memo_room numbers are taken */
    int64_t objects, visits;            /* objects made so far; items seen so far while names are collected */
    char name[512];                     /* of the tensor being collected */
    int64_t tensor_room;
} aopt__pth;

/* aopt_fail with "file: entry 'name'" in front. */
static aopt_status aopt__zip_fail(const aopt__pth *p, aopt_status status, const aopt__zip_entry *e, const char *what)
{
    char name[AOPT__QUOTE];
    return aopt_fail(p->err, status, "%s: zip entry '%s' %s", p->ck->label, aopt__quote(e->name, e->name_n, name), what);
}

/* The zip64 field (id 1) of extra[n] replaces those of size, packed and offset that are saturated.  0 if it is malformed or absent
   where it is needed. */
static int aopt__zip64_extra(const unsigned char *extra, size_t n, uint64_t *size, uint64_t *packed, uint64_t *offset)
{
    uint64_t *field[3];
    int i, missing = 0;
    field[0] = size;
    field[1] = packed;
    field[2] = offset;
    for (i = 0; i < 3; i++) missing += *field[i] == 0xFFFFFFFFu;
    while (n >= 4) {
        size_t left = aopt__le16(extra + 2);
        if (left > n - 4) return 0;
        if (aopt__le16(extra) == 1) {
            const unsigned char *v = extra + 4;
            size_t room = left;
            for (i = 0; i < 3; i++) {
                if (*field[i] != 0xFFFFFFFFu) continue;
                if (room < 8) return 0;
                *field[i] = aopt__le64(v);
                v += 8;
                room -= 8;
                missing--;
            }
        }
        extra += 4 + left;
        n -= 4 + left;
    }
    return n == 0 && missing == 0;
}

/* Find the central directory: *start, *bytes, *entries. */
static aopt_status aopt__zip_end(aopt__pth *p, uint64_t *start, uint64_t *bytes, uint64_t *entries)
{
    const unsigned char *b = p->ck->bytes, *e;
    const char *label = p->ck->label;
    const uint64_t n = p->ck->n;
    uint64_t comment = 0, limit, at;
    for (;; comment++) {
        if (n < 22 || comment > n - 22 || comment > 0xFFFF)
            return aopt_fail(p->err, AOPT_E_FORMAT, "%s: no end of a zip directory: the file is cut short (it has %llu bytes)", label, (unsigned long long)n);
        e = b + (n - 22 - comment);
        if (aopt__le32(e) == 0x06054B50 && aopt__le16(e + 20) == comment) break;
    }
    limit = n - 22 - comment;
    *entries = aopt__le16(e + 10);
    *bytes = aopt__le32(e + 12);
    *start = aopt__le32(e + 16);
    if (aopt__le16(e + 4) != 0 || aopt__le16(e + 6) != 0 || aopt__le16(e + 8) != *entries)
        return aopt_fail(p->err, AOPT_E_UNSUPPORTED, "%s: a zip of several volumes", label);
    if (limit >= 20 && aopt__le32(b + limit - 20) == 0x07064B50) {      /* zip64: its numbers hold, the small ones agree or are saturated */
        at = aopt__le64(b + limit - 12);
        if (limit - 20 < 56 || at > limit - 20 - 56 || aopt__le32(b + at) != 0x06064B50)
            return aopt_fail(p->err, AOPT_E_FORMAT, "%s: the zip64 end record is not at %llu, where its locator says", label, (unsigned long long)at);
        e = b + at;
        if ((*entries != 0xFFFF && *entries != aopt__le64(e + 32)) || (*bytes != 0xFFFFFFFFu && *bytes != aopt__le64(e + 40)) ||
            (*start != 0xFFFFFFFFu && *start != aopt__le64(e + 48)) || aopt__le64(e + 24) != aopt__le64(e + 32))
            return aopt_fail(p->err, AOPT_E_FORMAT, "%s: the zip end record and the zip64 end record disagree", label);
        *entries = aopt__le64(e + 32);
        *bytes = aopt__le64(e + 40);
        *start = aopt__le64(e + 48);
        limit = at;
    }
    if (*start > limit || *bytes != limit - *start)
        return aopt_fail(p->err, AOPT_E_FORMAT, "%s: zip directory of %llu bytes at %llu does not end at %llu, where its end record is",
                         label, (unsigned long long)*bytes, (unsigned long long)*start, (unsigned long long)limit);
    if (*entries > *bytes / 46)
        return aopt_fail(p->err, AOPT_E_FORMAT, "%s: a zip directory of %llu bytes cannot hold %llu entries", label,
                         (unsigned long long)*bytes, (unsigned long long)*entries);
    return AOPT_OK;
}

/* Read the directory's entry at *at, all of it before `end`, and step over it. */
static aopt_status aopt__zip_central(aopt__pth *p, uint64_t *at, uint64_t end, aopt__zip_entry *e)
{
    const unsigned char *c = p->ck->bytes + *at;
    uint64_t left = end - *at, packed;
    size_t extra_n, comment_n, i;
    if (left < 46 || aopt__le32(c) != 0x02014B50)
        return aopt_fail(p->err, AOPT_E_FORMAT, "%s: zip directory: no entry at byte %llu", p->ck->label, (unsigned long long)*at);
    left -= 46;
    e->flags = aopt__le16(c + 8);
    e->method = aopt__le16(c + 10);
    e->crc = aopt__le32(c + 16);
    packed = aopt__le32(c + 20);
    e->size = aopt__le32(c + 24);
    e->name = (const char *)c + 46;
    e->name_n = aopt__le16(c + 28);
    extra_n = aopt__le16(c + 30);
    comment_n = aopt__le16(c + 32);
    e->local = aopt__le32(c + 42);
    if (e->name_n + extra_n + comment_n > left)
        return aopt_fail(p->err, AOPT_E_FORMAT, "%s: zip directory: the entry at byte %llu runs past the end", p->ck->label, (unsigned long long)*at);
    *at += 46 + e->name_n + extra_n + comment_n;
    for (i = 0; i < e->name_n; i++)
        if ((unsigned char)e->name[i] < 0x20) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has a control character in its name");
    if (!aopt__zip64_extra(c + 46 + e->name_n, extra_n, &e->size, &packed, &e->local))
        return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has a damaged extra field in the directory");
    if (e->flags & 0x2041) return aopt__zip_fail(p, AOPT_E_UNSUPPORTED, e, "is encrypted");
    if (e->method != 0) return aopt__zip_fail(p, AOPT_E_UNSUPPORTED, e, e->method == 8 ? "is compressed (deflate)" : "is compressed");
    if (packed != e->size) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "is stored, but with two different sizes");
    return AOPT_OK;
}

/* Check the local header against the directory and find the data, which lies before `end`.  *next: the first byte after the entry. */
static aopt_status aopt__zip_local(aopt__pth *p, aopt__zip_entry *e, uint64_t end, uint64_t *next)
{
    const unsigned char *h, *d;
    uint64_t left, size, packed, none = 0;
    size_t name_n, extra_n;
    const int later = (e->flags & 8) != 0;          /* sizes and CRC stand behind the data; the header may hold zeros */
    if (end < 30 || e->local > end - 30 || aopt__le32(p->ck->bytes + e->local) != 0x04034B50)
        return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has no local header where the directory says");
    h = p->ck->bytes + e->local;
    left = end - e->local - 30;
    name_n = aopt__le16(h + 26);
    extra_n = aopt__le16(h + 28);
    if (name_n + extra_n > left) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has a local header that runs past the directory");
    left -= name_n + extra_n;
    if (name_n != e->name_n || memcmp(h + 30, e->name, name_n) != 0) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has another name in its local header");
    if (aopt__le16(h + 8) != e->method) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has another method in its local header");
    if (aopt__le16(h + 6) != e->flags) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has other flags in its local header");
    packed = aopt__le32(h + 18);
    size = aopt__le32(h + 22);
    if (!aopt__zip64_extra(h + 30 + name_n, extra_n, &size, &packed, &none))
        return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has a damaged extra field in its local header");
    if ((size != e->size || packed != e->size) && !(later && size == 0 && packed == 0))
        return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has another size in its local header");
    if (aopt__le32(h + 14) != e->crc && !(later && aopt__le32(h + 14) == 0))
        return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has another CRC in its local header");
    if (e->size > left) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "runs past the directory");
    left -= e->size;
    e->data = h + 30 + name_n + extra_n;
    *next = end - left;
    if (!later) return AOPT_OK;
    d = e->data + e->size;                          /* signature, CRC, two sizes of 4 or (zip64) 8 bytes */
    if (left >= 16 && aopt__le32(d) == 0x08074B50 && aopt__le32(d + 4) == e->crc) {
        if (aopt__le32(d + 8) == e->size && aopt__le32(d + 12) == e->size) { *next += 16; return AOPT_OK; }
        if (left >= 24 && aopt__le64(d + 8) == e->size && aopt__le64(d + 16) == e->size) { *next += 24; return AOPT_OK; }
    }
    return aopt__zip_fail(p, AOPT_E_FORMAT, e, "has a data descriptor that is missing or disagrees with the directory");
}

static int aopt__zip_by_local(const void *a, const void *b)
{
    const uint64_t x = ((const aopt__zip_entry *)a)->local, y = ((const aopt__zip_entry *)b)->local;
    return x < y ? -1 : x > y;
}

static int aopt__zip_by_name(const void *a, const void *b)
{
    const aopt__zip_entry *x = (const aopt__zip_entry *)a, *y = (const aopt__zip_entry *)b;
    const int order = memcmp(x->name, y->name, x->name_n < y->name_n ? x->name_n : y->name_n);
    return order != 0 ? order : x->name_n < y->name_n ? -1 : x->name_n > y->name_n;
}

/* Fill p->entry: every entry checked, none overlapping, all names different. */
static aopt_status aopt__zip_open(aopt__pth *p)
{
    uint64_t start = 0, bytes = 0, entries = 0, at, next = 0;
    aopt_status st = aopt__zip_end(p, &start, &bytes, &entries);
    int64_t i;
    if (st != AOPT_OK) return st;
    p->entry_n = (int64_t)entries;
    p->entry = (aopt__zip_entry *)aopt__arena_alloc(&p->arena, p->entry_n, (int64_t)sizeof *p->entry);
    if (!p->entry) return aopt__no_memory(p->ck, p->err);
    for (at = start, i = 0; i < p->entry_n; i++)
        if ((st = aopt__zip_central(p, &at, start + bytes, &p->entry[i])) != AOPT_OK) return st;
    if (at != start + bytes)
        return aopt_fail(p->err, AOPT_E_FORMAT, "%s: zip directory: %llu bytes after the last of %lld entries", p->ck->label,
                         (unsigned long long)(start + bytes - at), (long long)p->entry_n);
    qsort(p->entry, (size_t)p->entry_n, sizeof *p->entry, aopt__zip_by_local);
    for (i = 0; i < p->entry_n; i++) {
        if (p->entry[i].local < next) return aopt__zip_fail(p, AOPT_E_FORMAT, &p->entry[i], "overlaps the entry before it");
        if ((st = aopt__zip_local(p, &p->entry[i], start, &next)) != AOPT_OK) return st;
    }
    qsort(p->entry, (size_t)p->entry_n, sizeof *p->entry, aopt__zip_by_name);
    for (i = 1; i < p->entry_n; i++)
        if (aopt__zip_by_name(&p->entry[i - 1], &p->entry[i]) == 0) return aopt__zip_fail(p, AOPT_E_FORMAT, &p->entry[i], "is there twice");
    return AOPT_OK;
}

/* The entry named prefix + text[n], NULL if absent. */
static aopt__zip_entry *aopt__zip_find(const aopt__pth *p, const char *text, size_t n)
{
    int64_t low = 0, high = p->entry_n;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        aopt__zip_entry *e = &p->entry[middle];
        int order = memcmp(e->name, p->prefix, e->name_n < p->prefix_n ? e->name_n : p->prefix_n);
        if (order == 0 && e->name_n < p->prefix_n) order = -1;
        if (order == 0) {
            const size_t rest = e->name_n - p->prefix_n;
            order = memcmp(e->name + p->prefix_n, text, rest < n ? rest : n);
            if (order == 0) order = rest < n ? -1 : rest > n;
        }
        if (order == 0) return e;
        if (order < 0) low = middle + 1;
        else high = middle;
    }
    return NULL;
}

/* Tables of CRC-32 (polynomial 0xEDB88320) that take eight bytes at a time. */
static void aopt__crc_tables(uint32_t table[8][256])
{
    uint32_t x;
    int i, k;
    for (i = 0; i < 256; i++) {
        for (x = (uint32_t)i, k = 0; k < 8; k++) x = (x & 1) ? 0xEDB88320u ^ x >> 1 : x >> 1;
        table[0][i] = x;
    }
    for (i = 0; i < 256; i++)
        for (k = 1; k < 8; k++) table[k][i] = table[k - 1][i] >> 8 ^ table[0][table[k - 1][i] & 255];
}

/* crc of the bytes before (0 at first) -> crc with s[n] added. */
static uint32_t aopt__crc_add(const uint32_t table[8][256], uint32_t crc, const unsigned char *s, size_t n)
{
    crc = ~crc;
    for (; n >= 8; s += 8, n -= 8) {
        const uint32_t a = crc ^ aopt__le32(s), b = aopt__le32(s + 4);
        crc = table[7][a & 255] ^ table[6][a >> 8 & 255] ^ table[5][a >> 16 & 255] ^ table[4][a >> 24]
            ^ table[3][b & 255] ^ table[2][b >> 8 & 255] ^ table[1][b >> 16 & 255] ^ table[0][b >> 24];
    }
    for (; n > 0; s++, n--) crc = crc >> 8 ^ table[0][(crc ^ *s) & 255];
    return ~crc;
}

/* Check the CRC of an entry, in pieces so that progress can speak.  *done counts up to `total`. */
static aopt_status aopt__zip_verify(aopt__pth *p, const aopt__zip_entry *e, int64_t *done, int64_t total)
{
    const size_t piece = (size_t)16 << 20;
    const unsigned char *s = e->data;
    uint64_t left = e->size;
    uint32_t crc = 0;
    while (left > 0) {
        const size_t take = left < piece ? (size_t)left : piece;
        crc = aopt__crc_add((const uint32_t (*)[256])p->crc_table, crc, s, take);
        s += take;
        left -= take;
        *done += (int64_t)take;
        if (p->options->progress && p->options->progress(p->options->progress_user, "verify checkpoint", *done, total))
            return aopt_fail(p->err, AOPT_E_CANCELLED, "%s: stopped while its CRCs were verified", p->ck->label);
    }
    if (crc != e->crc) {
        char what[64];
        snprintf(what, sizeof what, "is damaged: CRC %08lx, expected %08lx", (unsigned long)crc, (unsigned long)e->crc);
        return aopt__zip_fail(p, AOPT_E_FORMAT, e, what);
    }
    return AOPT_OK;
}

/* In the order of the file, as disks like it.  p->entry is no longer sorted by name afterwards. */
static aopt_status aopt__zip_verify_used(aopt__pth *p)
{
    int64_t i, done = 0, total = 0;
    aopt_status st;
    qsort(p->entry, (size_t)p->entry_n, sizeof *p->entry, aopt__zip_by_local);
    for (i = 0; i < p->entry_n; i++) total += p->entry[i].used ? (int64_t)p->entry[i].size : 0;
    for (i = 0; i < p->entry_n; i++)
        if (p->entry[i].used && (st = aopt__zip_verify(p, &p->entry[i], &done, total)) != AOPT_OK) return st;
    return AOPT_OK;
}

/* ---- pickle: a stack of plain objects.  A global is a word of a fixed list, REDUCE builds what that word stands for, nothing is called. */
#define AOPT__PICKLE_OPS(X) \
    X(MARK, '(') X(STOP, '.') X(POP, '0') X(POP_MARK, '1') X(DUP, '2') X(FLOAT, 'F') X(INT, 'I') X(BININT, 'J') X(BININT1, 'K') \
    X(LONG, 'L') X(BININT2, 'M') X(NONE, 'N') X(PERSID, 'P') X(BINPERSID, 'Q') X(REDUCE, 'R') X(STRING, 'S') X(BINSTRING, 'T') \
    X(SHORT_BINSTRING, 'U') X(UNICODE, 'V') X(BINUNICODE, 'X') X(APPEND, 'a') X(BUILD, 'b') X(GLOBAL, 'c') X(DICT, 'd') \
    X(EMPTY_DICT, '}') X(APPENDS, 'e') X(GET, 'g') X(BINGET, 'h') X(INST, 'i') X(LONG_BINGET, 'j') X(LIST, 'l') X(EMPTY_LIST, ']') \
    X(OBJ, 'o') X(PUT, 'p') X(BINPUT, 'q') X(LONG_BINPUT, 'r') X(SETITEM, 's') X(TUPLE, 't') X(EMPTY_TUPLE, ')') X(SETITEMS, 'u') \
    X(BINFLOAT, 'G') X(BINBYTES, 'B') X(SHORT_BINBYTES, 'C') X(PROTO, 0x80) X(NEWOBJ, 0x81) X(EXT1, 0x82) X(EXT2, 0x83) X(EXT4, 0x84) \
    X(TUPLE1, 0x85) X(TUPLE2, 0x86) X(TUPLE3, 0x87) X(NEWTRUE, 0x88) X(NEWFALSE, 0x89) X(LONG1, 0x8a) X(LONG4, 0x8b) \
    X(SHORT_BINUNICODE, 0x8c) X(BINUNICODE8, 0x8d) X(BINBYTES8, 0x8e) X(EMPTY_SET, 0x8f) X(ADDITEMS, 0x90) X(FROZENSET, 0x91) \
    X(NEWOBJ_EX, 0x92) X(STACK_GLOBAL, 0x93) X(MEMOIZE, 0x94) X(FRAME, 0x95) X(BYTEARRAY8, 0x96) X(NEXT_BUFFER, 0x97) \
    X(READONLY_BUFFER, 0x98)
#define AOPT__X(id, code) AOPT__OP_##id = code,
enum { AOPT__PICKLE_OPS(AOPT__X) AOPT__OP_UNKNOWN = 256 };
#undef AOPT__X

#define AOPT__KINDS(X) \
    X(NONE, "None") X(BOOL, "a bool") X(INT, "an int") X(BIG_INT, "an int above 64 bits") X(FLOAT, "a float") X(STR, "a string") \
    X(TUPLE, "a tuple") X(LIST, "a list") X(DICT, "a dict") X(GLOBAL, "a global") X(STORAGE, "a storage") X(TENSOR, "a tensor")
#define AOPT__X(id, text) AOPT__KIND_##id,
typedef enum aopt__kind { AOPT__KINDS(AOPT__X) AOPT__KIND_COUNT } aopt__kind;
#undef AOPT__X

typedef enum aopt__global {
    AOPT__G_ORDERED_DICT, AOPT__G_SIZE, AOPT__G_PARAMETER, AOPT__G_TENSOR_V2, AOPT__G_TENSOR_V3, AOPT__G_STORAGE, AOPT__G_DTYPE
} aopt__global;
enum { AOPT__UNTYPED = -1 };            /* a storage of plain bytes */

typedef struct aopt__item { aopt__obj *key, *value; struct aopt__item *next; } aopt__item;     /* key: dicts only, else NULL */
struct aopt__obj {
    aopt__kind kind;
    aopt__global global;                /* GLOBAL */
    int dtype;                          /* STORAGE and GLOBAL of a storage or dtype: aopt_dtype or AOPT__UNTYPED */
    int64_t n;                          /* INT, BOOL: value.  STR: bytes.  TUPLE, LIST, DICT: items.  STORAGE: bytes */
    const char *text;                   /* STR: in the file, not terminated */
    aopt__item *first, *last;           /* TUPLE, LIST, DICT */
    aopt__zip_entry *entry;             /* STORAGE */
    aopt_tensor *tensor;                /* TENSOR, still without a name */
};

/* What a hostile file may cost: bytes of data.pkl, objects, stack, tensors, depth of dicts. */
enum { AOPT__PICKLE_BYTES = 64 << 20, AOPT__PICKLE_OBJECTS = 1 << 22, AOPT__PICKLE_STACK = 1 << 22, AOPT__PICKLE_TENSORS = 1 << 17, AOPT__PICKLE_DEPTH = 32 };

static void aopt__pickle_fail(aopt__pth *p, aopt_status status, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Stop the machine with "file: data.pkl byte N: ...". */
static void aopt__pickle_fail(aopt__pth *p, aopt_status status, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (p->status == AOPT_OK) p->status = aopt_fail(p->err, status, "%s: data.pkl byte %lld: %s", p->ck->label, (long long)p->op_at, text);
}

static void aopt__pickle_no_memory(aopt__pth *p)
{
    if (p->status == AOPT_OK) p->status = aopt__no_memory(p->ck, p->err);
}

static const char *aopt__kind_name(const aopt__obj *o)
{
#define AOPT__X(id, text) text,
    static const char *const name[] = { AOPT__KINDS(AOPT__X) "?" };
#undef AOPT__X
    return o ? name[o->kind] : "nothing";
}

/* The next n bytes of the pickle, NULL (and stopped) if there are fewer. */
static const unsigned char *aopt__pickle_take(aopt__pth *p, uint64_t n)
{
    const unsigned char *s = p->pickle + p->at;
    if (n > p->pickle_n - p->at) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "cut short: %llu more bytes expected, %llu left", (unsigned long long)n, (unsigned long long)(p->pickle_n - p->at));
        return NULL;
    }
    p->at += (size_t)n;
    return s;
}

/* A pointer table with room for `need`, the first *room of it kept, the rest NULL; NULL if memory is short (the old one stays). */
static aopt__obj **aopt__pickle_room(aopt__obj **table, int64_t *room, int64_t need)
{
    int64_t more = *room < 32 ? 64 : *room * 2;
    aopt__obj **bigger;
    if (need <= *room) return table;
    if (more < need) more = need;
    bigger = (aopt__obj **)AOPT_REALLOC(table, (size_t)more * sizeof *table);
    if (!bigger) return NULL;
    memset(bigger + *room, 0, (size_t)(more - *room) * sizeof *bigger);
    *room = more;
    return bigger;
}

static void aopt__pickle_push(aopt__pth *p, aopt__obj *o)
{
    aopt__obj **stack;
    if (p->stack_n == AOPT__PICKLE_STACK) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "more than %d objects on the stack", (int)AOPT__PICKLE_STACK);
        return;
    }
    stack = aopt__pickle_room(p->stack, &p->stack_room, p->stack_n + 1);
    if (!stack) { aopt__pickle_no_memory(p); return; }
    p->stack = stack;
    p->stack[p->stack_n++] = o;
}

/* The top object; NULL (and stopped) if there is none or it is a mark. */
static aopt__obj *aopt__pickle_top(aopt__pth *p)
{
    aopt__obj *o = p->stack_n > 0 ? p->stack[p->stack_n - 1] : NULL;
    if (!o) aopt__pickle_fail(p, AOPT_E_FORMAT, "the stack holds no object here");
    return o;
}

static aopt__obj *aopt__pickle_pop(aopt__pth *p)
{
    aopt__obj *o = aopt__pickle_top(p);
    if (o) p->stack_n--;
    return o;
}

/* A new object, NULL (and stopped) if there are too many or memory is short. */
static aopt__obj *aopt__pickle_new(aopt__pth *p, aopt__kind kind)
{
    aopt__obj *o;
    if (p->objects++ == AOPT__PICKLE_OBJECTS) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "more than %d objects", (int)AOPT__PICKLE_OBJECTS);
        return NULL;
    }
    o = (aopt__obj *)aopt__arena_alloc(&p->arena, 1, (int64_t)sizeof *o);
    if (!o) { aopt__pickle_no_memory(p); return NULL; }
    o->kind = kind;
    return o;
}

static void aopt__pickle_push_new(aopt__pth *p, aopt__kind kind, int64_t n)
{
    aopt__obj *o = aopt__pickle_new(p, kind);
    if (!o) return;
    o->n = n;
    aopt__pickle_push(p, o);
}

static void aopt__pickle_push_text(aopt__pth *p, uint64_t n)
{
    const unsigned char *s = aopt__pickle_take(p, n);
    aopt__obj *o = s ? aopt__pickle_new(p, AOPT__KIND_STR) : NULL;
    if (!o) return;
    o->text = (const char *)s;
    o->n = (int64_t)n;
    aopt__pickle_push(p, o);
}

static void aopt__pickle_add(aopt__pth *p, aopt__obj *to, aopt__obj *key, aopt__obj *value)
{
    aopt__item *item = (aopt__item *)aopt__arena_alloc(&p->arena, 1, (int64_t)sizeof *item);
    if (!item) { aopt__pickle_no_memory(p); return; }
    item->key = key;
    item->value = value;
    if (to->last) to->last->next = item;
    else to->first = item;
    to->last = item;
    to->n++;
}

/* Index of the topmost mark, -1 (and stopped) if there is none. */
static int64_t aopt__pickle_mark(aopt__pth *p)
{
    int64_t i = p->stack_n - 1;
    while (i >= 0 && p->stack[i]) i--;
    if (i < 0) aopt__pickle_fail(p, AOPT_E_FORMAT, "no mark on the stack");
    return i;
}

/* The objects from stack[from] become a tuple, which stands at stack[at]. */
static void aopt__pickle_tuple(aopt__pth *p, int64_t at, int64_t from)
{
    aopt__obj *o;
    int64_t i;
    if (at < 0) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "too few objects on the stack for a tuple");
        return;
    }
    o = aopt__pickle_new(p, AOPT__KIND_TUPLE);
    for (i = from; o && i < p->stack_n && p->status == AOPT_OK; i++) {
        if (!p->stack[i]) aopt__pickle_fail(p, AOPT_E_FORMAT, "a mark inside a tuple");
        else aopt__pickle_add(p, o, NULL, p->stack[i]);
    }
    p->stack_n = at;
    if (o && p->status == AOPT_OK) aopt__pickle_push(p, o);
}

/* The objects from stack[from] go into the list or dict at stack[to]; the stack ends there. */
static void aopt__pickle_fill(aopt__pth *p, aopt__kind kind, int64_t to, int64_t from)
{
    const int step = kind == AOPT__KIND_DICT ? 2 : 1;
    aopt__obj *o = to >= 0 ? p->stack[to] : NULL;
    int64_t i;
    if (p->status != AOPT_OK) return;
    if (!o || o->kind != kind) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "items for a %s are put into %s", step == 2 ? "dict" : "list", aopt__kind_name(o));
        return;
    }
    if ((p->stack_n - from) % step != 0) aopt__pickle_fail(p, AOPT_E_FORMAT, "a key without a value");
    for (i = from; i < p->stack_n && p->status == AOPT_OK; i += step) {
        aopt__obj *key = p->stack[i], *value = p->stack[i + step - 1];
        if (!key || !value) aopt__pickle_fail(p, AOPT_E_FORMAT, "a mark among the items");
        else aopt__pickle_add(p, o, step == 2 ? key : NULL, value);
    }
    p->stack_n = to + 1;
}

static void aopt__pickle_put(aopt__pth *p, int64_t i)
{
    aopt__obj *o = aopt__pickle_top(p), **memo;
    if (!o) return;
    if (i >= (int64_t)p->pickle_n) {                /* no pickler numbers higher than it has opcodes */
        aopt__pickle_fail(p, AOPT_E_FORMAT, "memo number %lld in a pickle of %lld bytes", (long long)i, (long long)p->pickle_n);
        return;
    }
    memo = aopt__pickle_room(p->memo, &p->memo_room, i + 1);
    if (!memo) { aopt__pickle_no_memory(p); return; }
    p->memo = memo;
    p->memo_n += p->memo[i] == NULL;
    p->memo[i] = o;
}

static void aopt__pickle_get(aopt__pth *p, int64_t i)
{
    if (i >= p->memo_room || !p->memo[i]) aopt__pickle_fail(p, AOPT_E_FORMAT, "memo number %lld was never stored", (long long)i);
    else aopt__pickle_push(p, p->memo[i]);
}

/* ---- pickle: globals, storages, tensors */

/* module and name, as GLOBAL and STACK_GLOBAL spell them; unknown ones are refused here and so never reach anything. */
static void aopt__pickle_global(aopt__pth *p, const char *module, size_t module_n, const char *name, size_t name_n)
{
    static const struct { const char *module, *name; aopt__global global; int dtype; } known[] = {
        { "collections", "OrderedDict", AOPT__G_ORDERED_DICT, 0 }, { "torch", "Size", AOPT__G_SIZE, 0 },
        { "torch._utils", "_rebuild_tensor_v2", AOPT__G_TENSOR_V2, 0 }, { "torch._utils", "_rebuild_tensor_v3", AOPT__G_TENSOR_V3, 0 },
        { "torch._utils", "_rebuild_parameter", AOPT__G_PARAMETER, 0 },
        { "torch", "FloatStorage", AOPT__G_STORAGE, AOPT_F32 }, { "torch", "HalfStorage", AOPT__G_STORAGE, AOPT_F16 },
        { "torch", "BFloat16Storage", AOPT__G_STORAGE, AOPT_BF16 }, { "torch", "DoubleStorage", AOPT__G_STORAGE, AOPT_F64 },
        { "torch", "LongStorage", AOPT__G_STORAGE, AOPT_I64 }, { "torch", "IntStorage", AOPT__G_STORAGE, AOPT_I32 },
        { "torch", "ShortStorage", AOPT__G_STORAGE, AOPT_I16 }, { "torch", "CharStorage", AOPT__G_STORAGE, AOPT_I8 },
        { "torch", "ByteStorage", AOPT__G_STORAGE, AOPT_U8 }, { "torch", "BoolStorage", AOPT__G_STORAGE, AOPT_BOOL },
        { "torch", "UntypedStorage", AOPT__G_STORAGE, AOPT__UNTYPED }, { "torch.storage", "UntypedStorage", AOPT__G_STORAGE, AOPT__UNTYPED },
        { "torch", "float32", AOPT__G_DTYPE, AOPT_F32 }, { "torch", "float16", AOPT__G_DTYPE, AOPT_F16 },
        { "torch", "bfloat16", AOPT__G_DTYPE, AOPT_BF16 }, { "torch", "float64", AOPT__G_DTYPE, AOPT_F64 },
        { "torch", "int64", AOPT__G_DTYPE, AOPT_I64 }, { "torch", "int32", AOPT__G_DTYPE, AOPT_I32 },
        { "torch", "int16", AOPT__G_DTYPE, AOPT_I16 }, { "torch", "int8", AOPT__G_DTYPE, AOPT_I8 },
        { "torch", "uint8", AOPT__G_DTYPE, AOPT_U8 }, { "torch", "bool", AOPT__G_DTYPE, AOPT_BOOL } };
    char m[AOPT__QUOTE], s[AOPT__QUOTE];
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strlen(known[i].module) == module_n && memcmp(known[i].module, module, module_n) == 0 &&
            strlen(known[i].name) == name_n && memcmp(known[i].name, name, name_n) == 0) {
            aopt__obj *o = aopt__pickle_new(p, AOPT__KIND_GLOBAL);
            if (!o) return;
            o->global = known[i].global;
            o->dtype = known[i].dtype;
            aopt__pickle_push(p, o);
            return;
        }
    aopt__pickle_fail(p, AOPT_E_UNSUPPORTED, "global '%s.%s' is not tensor data; nothing in a file is executed, so it is refused",
                      aopt__quote(module, module_n, m), aopt__quote(name, name_n, s));
}

/* The two lines after GLOBAL. */
static void aopt__pickle_global_lines(aopt__pth *p)
{
    const char *line[2];
    size_t n[2], i;
    for (i = 0; i < 2; i++) {
        const unsigned char *end = (const unsigned char *)memchr(p->pickle + p->at, '\n', p->pickle_n - p->at);
        if (!end) { aopt__pickle_fail(p, AOPT_E_FORMAT, "a global without an end of line"); return; }
        line[i] = (const char *)p->pickle + p->at;
        n[i] = (size_t)(end - (p->pickle + p->at));
        p->at += n[i] + 1;
    }
    aopt__pickle_global(p, line[0], n[0], line[1], n[1]);
}

static void aopt__pickle_stack_global(aopt__pth *p)
{
    const aopt__obj *name = aopt__pickle_pop(p), *module = name ? aopt__pickle_pop(p) : NULL;
    if (!module) return;
    if (name->kind != AOPT__KIND_STR || module->kind != AOPT__KIND_STR) aopt__pickle_fail(p, AOPT_E_FORMAT, "a global's name is not a string");
    else aopt__pickle_global(p, module->text, (size_t)module->n, name->text, (size_t)name->n);
}

/* Item i of a tuple, NULL if it has fewer. */
static aopt__obj *aopt__tuple_at(const aopt__obj *tuple, int64_t i)
{
    const aopt__item *item = tuple->first;
    while (item && i-- > 0) item = item->next;
    return item ? item->value : NULL;
}

static int aopt__obj_is(const aopt__obj *o, aopt__kind kind) { return o && o->kind == kind; }

/* ('storage', type, key, location, elements) -> the zip entry data/<key>, which must hold that many elements. */
static void aopt__pickle_storage(aopt__pth *p)
{
    const aopt__obj *id = aopt__pickle_pop(p), *word, *type, *key, *count;
    char path[80], text[AOPT__QUOTE];
    aopt__zip_entry *e;
    aopt__obj *o;
    int64_t bytes;
    if (!id) return;
    word = aopt__tuple_at(id, 0);
    type = aopt__tuple_at(id, 1);
    key = aopt__tuple_at(id, 2);
    count = aopt__tuple_at(id, 4);
    if (id->kind != AOPT__KIND_TUPLE || id->n != 5 || !aopt__obj_is(word, AOPT__KIND_STR) || word->n != 7 || memcmp(word->text, "storage", 7) != 0 ||
        !aopt__obj_is(type, AOPT__KIND_GLOBAL) || type->global != AOPT__G_STORAGE || !aopt__obj_is(key, AOPT__KIND_STR) ||
        !aopt__obj_is(aopt__tuple_at(id, 3), AOPT__KIND_STR) || !aopt__obj_is(count, AOPT__KIND_INT)) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "a persistent id is not ('storage', type, key, location, number of elements)");
        return;
    }
    aopt__quote(key->text, (size_t)key->n, text);
    if (key->n > 64) { aopt__pickle_fail(p, AOPT_E_FORMAT, "storage key '%s' is too long", text); return; }
    memcpy(path, "data/", 5);
    memcpy(path + 5, key->text, (size_t)key->n);
    e = aopt__zip_find(p, path, 5 + (size_t)key->n);
    if (!e) { aopt__pickle_fail(p, AOPT_E_FORMAT, "storage '%s': the zip has no entry data/%s", text, text); return; }
    if (!aopt__mul(count->n, type->dtype == AOPT__UNTYPED ? 1 : aopt_dtype_bytes(type->dtype), &bytes) || (uint64_t)bytes > e->size) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "storage '%s': %lld elements of %s do not fit its zip entry of %llu bytes", text, (long long)count->n,
                          type->dtype == AOPT__UNTYPED ? "1 byte" : aopt_dtype_name(type->dtype), (unsigned long long)e->size);
        return;
    }
    e->used = 1;
    o = aopt__pickle_new(p, AOPT__KIND_STORAGE);
    if (!o) return;
    o->dtype = type->dtype;
    o->n = bytes;
    o->entry = e;
    aopt__pickle_push(p, o);
}

/* Take shape and strides from two tuples of ints.  0 (and stopped) if they are not. */
static int aopt__pickle_layout(aopt__pth *p, aopt_tensor *t, const aopt__obj *size, const aopt__obj *stride)
{
    const aopt__item *a, *b;
    int64_t bytes;
    if (!aopt__obj_is(size, AOPT__KIND_TUPLE) || !aopt__obj_is(stride, AOPT__KIND_TUPLE) || size->n != stride->n) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "a tensor's size and stride are not two tuples of one length");
        return 0;
    }
    if (size->n > AOPT_MAX_DIMS) {
        aopt__pickle_fail(p, AOPT_E_UNSUPPORTED, "a tensor of %lld dimensions, at most %d are supported", (long long)size->n, (int)AOPT_MAX_DIMS);
        return 0;
    }
    for (a = size->first, b = stride->first; a && b; a = a->next, b = b->next) {
        if (a->value->kind != AOPT__KIND_INT || b->value->kind != AOPT__KIND_INT || a->value->n < 0 || b->value->n < 0) {
            aopt__pickle_fail(p, AOPT_E_FORMAT, "dimension %d of a tensor: size %lld, stride %lld; expected two ints that are not negative", t->ndim,
                              (long long)a->value->n, (long long)b->value->n);
            return 0;
        }
        t->shape[t->ndim] = a->value->n;
        t->stride[t->ndim++] = b->value->n;
    }
    if (!aopt__mul(aopt_tensor_numel(t), aopt_dtype_bytes((int)t->dtype), &bytes)) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "the sizes of a tensor multiply to more than 63 bits");
        return 0;
    }
    return 1;
}

/* Do all elements of t, the first of which is element `offset`, lie among the first `room` elements of the storage? */
static int aopt__tensor_fits(const aopt_tensor *t, int64_t offset, int64_t room)
{
    int64_t reach;
    int i;
    if (offset < 0 || offset > room) return 0;
    if (aopt_tensor_numel(t) == 0) return 1;
    room -= offset;                     /* from here on: how many elements the first one may be followed by, and itself */
    if (room < 1) return 0;
    room--;
    for (i = 0; i < t->ndim; i++) {
        if (!aopt__mul(t->shape[i] - 1, t->stride[i], &reach) || reach > room) return 0;
        room -= reach;
    }
    return 1;
}

/* (storage, offset, size, stride, requires_grad, hooks, [v3: dtype,] [metadata]); offset and stride count elements. */
static void aopt__pickle_tensor(aopt__pth *p, const aopt__obj *args, int v3)
{
    const aopt__obj *storage = aopt__tuple_at(args, 0), *offset = aopt__tuple_at(args, 1), *type = aopt__tuple_at(args, 6);
    const aopt__obj *metadata = aopt__tuple_at(args, 6 + v3);
    char text[AOPT__QUOTE];
    int64_t room;
    aopt_tensor *t;
    aopt__obj *o;
    if (args->n < 6 + v3 || args->n > 7 + v3 || !aopt__obj_is(storage, AOPT__KIND_STORAGE) || !aopt__obj_is(offset, AOPT__KIND_INT) ||
        (v3 && (!aopt__obj_is(type, AOPT__KIND_GLOBAL) || type->global != AOPT__G_DTYPE)) || (!v3 && storage->dtype == AOPT__UNTYPED)) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "the arguments of _rebuild_tensor_v%d are not (storage, offset, size, stride, ...)", 2 + v3);
        return;
    }
    if (metadata && metadata->kind != AOPT__KIND_NONE && (metadata->kind != AOPT__KIND_DICT || metadata->n > 0)) {
        aopt__pickle_fail(p, AOPT_E_UNSUPPORTED, "a tensor with metadata (a conjugate or negative view)");
        return;
    }
    t = (aopt_tensor *)aopt__arena_alloc(&p->arena, 1, (int64_t)sizeof *t);
    o = aopt__pickle_new(p, AOPT__KIND_TENSOR);
    if (!t || !o) { aopt__pickle_no_memory(p); return; }
    t->dtype = (aopt_dtype)(v3 ? type->dtype : storage->dtype);
    t->device = AOPT_HOST;
    if (!aopt__pickle_layout(p, t, aopt__tuple_at(args, 2), aopt__tuple_at(args, 3))) return;
    room = storage->n / aopt_dtype_bytes((int)t->dtype);
    if (!aopt__tensor_fits(t, offset->n, room)) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "a tensor %s at offset %lld reaches outside its storage of %lld elements",
                          aopt_tensor_describe(t, text, sizeof text), (long long)offset->n, (long long)room);
        return;
    }
    t->data = (void *)(size_t)(storage->entry->data + offset->n * aopt_dtype_bytes((int)t->dtype));
    o->tensor = t;
    aopt__pickle_push(p, o);
}

static void aopt__pickle_reduce(aopt__pth *p)
{
    aopt__obj *args = aopt__pickle_pop(p), *callee = args ? aopt__pickle_pop(p) : NULL, *first;
    if (!callee) return;
    if (callee->kind != AOPT__KIND_GLOBAL || args->kind != AOPT__KIND_TUPLE) {
        aopt__pickle_fail(p, AOPT_E_FORMAT, "REDUCE of %s with %s", aopt__kind_name(callee), aopt__kind_name(args));
        return;
    }
    first = aopt__tuple_at(args, 0);
    switch (callee->global) {
    case AOPT__G_TENSOR_V2: aopt__pickle_tensor(p, args, 0); return;
    case AOPT__G_TENSOR_V3: aopt__pickle_tensor(p, args, 1); return;
    case AOPT__G_ORDERED_DICT:
        if (args->n == 0) { aopt__pickle_push_new(p, AOPT__KIND_DICT, 0); return; }
        break;
    case AOPT__G_SIZE:
        if (args->n == 1 && first->kind == AOPT__KIND_TUPLE) { aopt__pickle_push(p, first); return; }
        break;
    case AOPT__G_PARAMETER:
        if (args->n == 3 && first->kind == AOPT__KIND_TENSOR) { aopt__pickle_push(p, first); return; }
        break;
    default: break;
    }
    aopt__pickle_fail(p, AOPT_E_FORMAT, "REDUCE of a known global with %lld arguments that do not belong to it", (long long)args->n);
}

/* The state of an OrderedDict: state_dict() hangs its _metadata there, which holds no tensor and is dropped. */
static void aopt__pickle_build(aopt__pth *p)
{
    const aopt__obj *state = aopt__pickle_pop(p), *to = state ? aopt__pickle_top(p) : NULL;
    if (to && (state->kind != AOPT__KIND_DICT || to->kind != AOPT__KIND_DICT))
        aopt__pickle_fail(p, AOPT_E_FORMAT, "BUILD of %s with %s", aopt__kind_name(to), aopt__kind_name(state));
}

/* ---- pickle: the machine */

static void aopt__pickle_unknown(aopt__pth *p, int op)
{
#define AOPT__X(id, code) { code, #id },
    static const struct { int code; const char *name; } known[] = { AOPT__PICKLE_OPS(AOPT__X) { AOPT__OP_UNKNOWN, "unknown" } };
#undef AOPT__X
    int i;
    for (i = 0; known[i].code != op && known[i].code != AOPT__OP_UNKNOWN; i++) { }
    aopt__pickle_fail(p, AOPT_E_UNSUPPORTED, "pickle opcode %s (0x%02x) is not needed for tensors and is refused", known[i].name, (unsigned)op);
}

/* LONG1: n bytes of two's complement, n < 256. */
static void aopt__pickle_long1(aopt__pth *p)
{
    const unsigned char *n = aopt__pickle_take(p, 1), *s = n ? aopt__pickle_take(p, *n) : NULL;
    uint64_t x = 0;
    int i;
    if (!s) return;
    if (*n > 8) { aopt__pickle_push_new(p, AOPT__KIND_BIG_INT, 0); return; }
    for (i = 0; i < 8; i++) x |= (uint64_t)(i < *n ? s[i] : *n > 0 && s[*n - 1] >= 0x80 ? 0xFF : 0) << (8 * i);
    aopt__pickle_push_new(p, AOPT__KIND_INT, (int64_t)x);
}

/* Opcodes with an argument in the bytes that follow; 0 if op is none of them. */
static int aopt__pickle_argument(aopt__pth *p, int op)
{
    const unsigned char *s;
    int bytes;
    switch (op) {
    case AOPT__OP_PROTO: case AOPT__OP_BININT1: case AOPT__OP_BINPUT: case AOPT__OP_BINGET: case AOPT__OP_SHORT_BINSTRING:
    case AOPT__OP_SHORT_BINUNICODE: bytes = 1; break;
    case AOPT__OP_BININT2: bytes = 2; break;
    case AOPT__OP_BININT: case AOPT__OP_LONG_BINPUT: case AOPT__OP_LONG_BINGET: case AOPT__OP_BINUNICODE: case AOPT__OP_BINSTRING: bytes = 4; break;
    case AOPT__OP_BINFLOAT: case AOPT__OP_BINUNICODE8: case AOPT__OP_FRAME: bytes = 8; break;
    default: return 0;
    }
    s = aopt__pickle_take(p, (uint64_t)bytes);
    if (!s) return 1;
    switch (op) {
    case AOPT__OP_PROTO: if (*s < 2 || *s > 5) aopt__pickle_fail(p, AOPT_E_UNSUPPORTED, "pickle protocol %d, expected 2 to 5", *s); break;
    case AOPT__OP_FRAME: break;                     /* only a hint about buffering */
    case AOPT__OP_BINFLOAT: aopt__pickle_push_new(p, AOPT__KIND_FLOAT, 0); break;
    case AOPT__OP_BININT1: aopt__pickle_push_new(p, AOPT__KIND_INT, *s); break;
    case AOPT__OP_BININT2: aopt__pickle_push_new(p, AOPT__KIND_INT, (int64_t)aopt__le16(s)); break;
    case AOPT__OP_BININT: aopt__pickle_push_new(p, AOPT__KIND_INT, (int32_t)aopt__le32(s)); break;
    case AOPT__OP_BINPUT: aopt__pickle_put(p, *s); break;
    case AOPT__OP_BINGET: aopt__pickle_get(p, *s); break;
    case AOPT__OP_LONG_BINPUT: aopt__pickle_put(p, (int64_t)aopt__le32(s)); break;
    case AOPT__OP_LONG_BINGET: aopt__pickle_get(p, (int64_t)aopt__le32(s)); break;
    case AOPT__OP_SHORT_BINSTRING: case AOPT__OP_SHORT_BINUNICODE: aopt__pickle_push_text(p, *s); break;
    case AOPT__OP_BINSTRING: case AOPT__OP_BINUNICODE: aopt__pickle_push_text(p, aopt__le32(s)); break;
    default: aopt__pickle_push_text(p, aopt__le64(s)); break;
    }
    return 1;
}

static void aopt__pickle_step(aopt__pth *p)
{
    const unsigned char *op = aopt__pickle_take(p, 1);
    int64_t mark;
    if (!op || aopt__pickle_argument(p, *op)) return;
    switch (*op) {
    case AOPT__OP_STOP: p->stopped = 1; break;
    case AOPT__OP_MARK: aopt__pickle_push(p, NULL); break;
    case AOPT__OP_NONE: aopt__pickle_push_new(p, AOPT__KIND_NONE, 0); break;
    case AOPT__OP_NEWTRUE: aopt__pickle_push_new(p, AOPT__KIND_BOOL, 1); break;
    case AOPT__OP_NEWFALSE: aopt__pickle_push_new(p, AOPT__KIND_BOOL, 0); break;
    case AOPT__OP_LONG1: aopt__pickle_long1(p); break;
    case AOPT__OP_EMPTY_TUPLE: aopt__pickle_push_new(p, AOPT__KIND_TUPLE, 0); break;
    case AOPT__OP_EMPTY_LIST: aopt__pickle_push_new(p, AOPT__KIND_LIST, 0); break;
    case AOPT__OP_EMPTY_DICT: aopt__pickle_push_new(p, AOPT__KIND_DICT, 0); break;
    case AOPT__OP_TUPLE1: case AOPT__OP_TUPLE2: case AOPT__OP_TUPLE3:
        mark = p->stack_n - 1 - (*op - AOPT__OP_TUPLE1);
        aopt__pickle_tuple(p, mark, mark);
        break;
    case AOPT__OP_TUPLE: if ((mark = aopt__pickle_mark(p)) >= 0) aopt__pickle_tuple(p, mark, mark + 1); break;
    case AOPT__OP_APPEND: aopt__pickle_fill(p, AOPT__KIND_LIST, p->stack_n - 2, p->stack_n - 1); break;
    case AOPT__OP_SETITEM: aopt__pickle_fill(p, AOPT__KIND_DICT, p->stack_n - 3, p->stack_n - 2); break;
    case AOPT__OP_APPENDS: if ((mark = aopt__pickle_mark(p)) >= 0) aopt__pickle_fill(p, AOPT__KIND_LIST, mark - 1, mark + 1); break;
    case AOPT__OP_SETITEMS: if ((mark = aopt__pickle_mark(p)) >= 0) aopt__pickle_fill(p, AOPT__KIND_DICT, mark - 1, mark + 1); break;
    case AOPT__OP_MEMOIZE: aopt__pickle_put(p, p->memo_n); break;
    case AOPT__OP_GLOBAL: aopt__pickle_global_lines(p); break;
    case AOPT__OP_STACK_GLOBAL: aopt__pickle_stack_global(p); break;
    case AOPT__OP_BINPERSID: aopt__pickle_storage(p); break;
    case AOPT__OP_REDUCE: aopt__pickle_reduce(p); break;
    case AOPT__OP_BUILD: aopt__pickle_build(p); break;
    default: aopt__pickle_unknown(p, *op); break;
    }
}

/* ---- pickle: from the top object to named tensors */

static void aopt__pth_add_tensor(aopt__pth *p, const aopt_tensor *t, size_t name_n)
{
    aopt_checkpoint *ck = p->ck;
    if (ck->count == AOPT__PICKLE_TENSORS) {
        p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: more than %d tensors", ck->label, (int)AOPT__PICKLE_TENSORS);
        return;
    }
    if (ck->count == p->tensor_room) {
        const int64_t room = p->tensor_room < 32 ? 64 : 2 * p->tensor_room;
        aopt_tensor *bigger = (aopt_tensor *)AOPT_REALLOC(ck->tensor, (size_t)room * sizeof *bigger);
        if (!bigger) { aopt__pickle_no_memory(p); return; }
        ck->tensor = bigger;
        p->tensor_room = room;
    }
    ck->tensor[ck->count] = *t;
    ck->tensor[ck->count].name = aopt__arena_text(&ck->arena, p->name, name_n);
    if (!ck->tensor[ck->count].name) aopt__pickle_no_memory(p);
    else ck->count++;
}

/* Append ".key" (or "key" at the start; a list's items are called 0, 1, ...) to p->name[n]; the new length, 0 (and stopped) if the
   key cannot be part of a name. */
static size_t aopt__pth_join(aopt__pth *p, size_t n, int depth, const aopt__obj *key, int64_t i)
{
    char number[24], text[AOPT__QUOTE], before[AOPT__QUOTE];
    const char *s = number;
    size_t k = 0, at, step;
    if (key && key->kind == AOPT__KIND_STR) {
        s = key->text;
        k = (size_t)key->n;
    } else if (!key || key->kind == AOPT__KIND_INT) {
        k = (size_t)snprintf(number, sizeof number, "%lld", (long long)(key ? key->n : i));
    }
    aopt__quote(s, k, text);
    for (at = 0; at < k; at += step) {
        step = (size_t)aopt__utf8_length((const unsigned char *)s + at, k - at);
        if (step == 0 || s[at] == 0) break;
    }
    if (k == 0 || at < k) {
        p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: in '%s': a tensor's key is %s '%s', expected UTF-8 text that is not empty",
                              p->ck->label, aopt__quote(p->name, n, before), aopt__kind_name(key), text);
        return 0;
    }
    if (k > sizeof p->name - 2 - n) {
        p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: a tensor name of more than %d bytes, it ends in '%s'", p->ck->label, (int)sizeof p->name, text);
        return 0;
    }
    if (depth > 0) p->name[n++] = '.';
    memcpy(p->name + n, s, k);
    return n + k;
}

/* Collect the tensors in o, whose own name is p->name[n].  Shared objects are legal and may make a small file mean a lot, and
   a dict may hold itself: so depth and items are counted. */
static void aopt__pth_collect(aopt__pth *p, const aopt__obj *o, size_t n, int depth)
{
    const aopt__item *item;
    int64_t i;
    if (depth > AOPT__PICKLE_DEPTH) {
        p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: dicts nest deeper than %d levels", p->ck->label, (int)AOPT__PICKLE_DEPTH);
        return;
    }
    if (o->kind == AOPT__KIND_TENSOR) { aopt__pth_add_tensor(p, o->tensor, n); return; }
    for (item = o->first, i = 0; item && p->status == AOPT_OK; item = item->next, i++) {
        const aopt__kind kind = item->value->kind;
        size_t longer;
        if (p->visits++ == AOPT__PICKLE_OBJECTS) {
            p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: its dicts hold more than %d items, counting shared ones each time", p->ck->label, (int)AOPT__PICKLE_OBJECTS);
            return;
        }
        if (kind != AOPT__KIND_TENSOR && !item->value->first) continue;        /* a number, a string, an empty dict */
        longer = aopt__pth_join(p, n, depth, item->key, i);
        if (longer > 0) aopt__pth_collect(p, item->value, longer, depth + 1);
    }
}

/* The dict inside {"state_dict": {...}, ...} or {"model": {...}, ...}, unless a tensor lies beside it; else top itself. */
static const aopt__obj *aopt__pth_unwrap(const aopt__obj *top)
{
    const aopt__obj *state = NULL, *model = NULL;
    const aopt__item *item;
    if (top->kind != AOPT__KIND_DICT) return top;
    for (item = top->first; item; item = item->next) {
        const aopt__obj *key = item->key;
        if (item->value->kind == AOPT__KIND_TENSOR) return top;
        if (item->value->kind != AOPT__KIND_DICT || key->kind != AOPT__KIND_STR) continue;
        if (key->n == 10 && memcmp(key->text, "state_dict", 10) == 0) state = item->value;
        if (key->n == 5 && memcmp(key->text, "model", 5) == 0) model = item->value;
    }
    return state ? state : model ? model : top;
}

static aopt_status aopt__pth_tensors(aopt__pth *p)
{
    const aopt__obj *top;
    while (p->status == AOPT_OK && !p->stopped) {
        p->op_at = p->at;
        aopt__pickle_step(p);
    }
    if (p->status != AOPT_OK) return p->status;
    if (p->stack_n != 1 || !p->stack[0]) aopt__pickle_fail(p, AOPT_E_FORMAT, "%lld objects are left on the stack, expected 1", (long long)p->stack_n);
    else if (p->at != p->pickle_n) aopt__pickle_fail(p, AOPT_E_FORMAT, "%lld bytes after the end of the pickle", (long long)(p->pickle_n - p->at));
    if (p->status != AOPT_OK) return p->status;
    top = aopt__pth_unwrap(p->stack[0]);
    if (top->kind == AOPT__KIND_TENSOR) memcpy(p->name, "tensor", 6);
    else if (top->kind != AOPT__KIND_DICT && top->kind != AOPT__KIND_LIST && top->kind != AOPT__KIND_TUPLE)
        return aopt_fail(p->err, AOPT_E_FORMAT, "%s: data.pkl holds %s, expected a tensor or a dict of tensors", p->ck->label, aopt__kind_name(top));
    aopt__pth_collect(p, top, top->kind == AOPT__KIND_TENSOR ? 6 : 0, 0);
    return p->status != AOPT_OK ? p->status : aopt__checkpoint_sort(p->ck, p->err);
}

/* Find <prefix>/data.pkl, refuse what only looks like a checkpoint, check the byte order. */
static aopt_status aopt__pth_locate(aopt__pth *p, aopt__zip_entry **pickle)
{
    aopt__zip_entry *order;
    int64_t i;
    *pickle = NULL;
    for (i = 0; i < p->entry_n; i++) {
        aopt__zip_entry *e = &p->entry[i];
        if (e->name_n < 10 || memcmp(e->name + e->name_n - 9, "/data.pkl", 9) != 0) continue;
        if (*pickle) return aopt__zip_fail(p, AOPT_E_FORMAT, e, "is a second data.pkl");
        *pickle = e;
    }
    if (!*pickle) return aopt_fail(p->err, AOPT_E_FORMAT, "%s: a zip of %lld entries, none of them */data.pkl: not what torch.save writes",
                                   p->ck->label, (long long)p->entry_n);
    p->prefix = (*pickle)->name;
    p->prefix_n = (*pickle)->name_n - 8;
    for (i = 0; i < p->entry_n; i++) {
        const aopt__zip_entry *e = &p->entry[i];
        if (e->name_n >= p->prefix_n + 5 && memcmp(e->name, p->prefix, p->prefix_n) == 0 && memcmp(e->name + p->prefix_n, "code/", 5) == 0)
            return aopt__zip_fail(p, AOPT_E_UNSUPPORTED, e, "makes this a TorchScript archive; save the state_dict with torch.save");
    }
    if (aopt__zip_find(p, "constants.pkl", 13))
        return aopt_fail(p->err, AOPT_E_UNSUPPORTED, "%s: a TorchScript archive (it has a constants.pkl); save the state_dict with torch.save", p->ck->label);
    order = aopt__zip_find(p, "byteorder", 9);
    if (order && (order->size != 6 || memcmp(order->data, "little", 6) != 0))
        return aopt__zip_fail(p, AOPT_E_UNSUPPORTED, order, "does not say 'little'");
    if (order) order->used = 1;
    if ((*pickle)->size > AOPT__PICKLE_BYTES) return aopt__zip_fail(p, AOPT_E_UNSUPPORTED, *pickle, "is larger than 64 MiB");
    return AOPT_OK;
}

static aopt_status aopt__pth_open(aopt_checkpoint *ck, const aopt_checkpoint_options *options, aopt_error *err)
{
    aopt__pth *p = (aopt__pth *)aopt__alloc(1, (int64_t)sizeof *p);
    aopt__zip_entry *pickle = NULL;
    aopt_status st;
    int64_t done = 0;
    if (!p) return aopt__no_memory(ck, err);
    memset(p, 0, sizeof *p);
    p->ck = ck;
    p->options = options;
    p->err = err;
    aopt__crc_tables(p->crc_table);
    st = aopt__zip_open(p);
    if (st == AOPT_OK) st = aopt__pth_locate(p, &pickle);
    if (st == AOPT_OK && !options->skip_crc) st = aopt__zip_verify(p, pickle, &done, (int64_t)pickle->size);
    if (st == AOPT_OK) {
        p->pickle = pickle->data;
        p->pickle_n = (size_t)pickle->size;
        st = aopt__pth_tensors(p);
    }
    if (st == AOPT_OK && !options->skip_crc) st = aopt__zip_verify_used(p);
    AOPT_FREE(p->stack);
    AOPT_FREE(p->memo);
    aopt__arena_free(&p->arena);
    AOPT_FREE(p);
    return st;
}

/* ---- safetensors: length of the header (8 bytes), header (JSON), data */
enum { AOPT__SAFETENSORS_HEADER = 100000000 };

static int aopt__tensor_by_place(const void *a, const void *b)
{
    const aopt_tensor *x = (const aopt_tensor *)a, *y = (const aopt_tensor *)b;
    const unsigned char *p = (const unsigned char *)x->data, *q = (const unsigned char *)y->data;
    if (p != q) return p < q ? -1 : 1;
    return (aopt_tensor_numel(x) > 0) - (aopt_tensor_numel(y) > 0);         /* empty ones first: they end where they begin */
}

/* "name": {"dtype": ..., "shape": [...], "data_offsets": [begin, end]}; data[data_n] is what follows the header. */
static aopt_status aopt__safetensors_entry(aopt_checkpoint *ck, const aopt_json_value *v, const unsigned char *data, int64_t data_n, aopt_error *err)
{
    const aopt_json_value *dtype = aopt_json_get(v, "dtype"), *shape = aopt_json_get(v, "shape"), *offsets = aopt_json_get(v, "data_offsets"), *x;
    aopt_tensor *t = &ck->tensor[ck->count];
    char name[AOPT__QUOTE], text[AOPT__QUOTE];
    int64_t begin, end, bytes, dim[AOPT_MAX_DIMS];
    int ndim = 0, type;
    aopt__quote(v->key, strlen(v->key), name);
    if (v->type != AOPT_JSON_OBJECT || v->child_n != 3 || !dtype || dtype->type != AOPT_JSON_STRING || !shape || shape->type != AOPT_JSON_ARRAY ||
        !offsets || offsets->type != AOPT_JSON_ARRAY || offsets->child_n != 2 || !offsets->child->is_integer || !offsets->child->next->is_integer)
        return aopt_fail(err, AOPT_E_FORMAT, "%s: tensor '%s' is not {dtype, shape, data_offsets: [begin, end]}", ck->label, name);
    for (type = 0; type < (int)AOPT_DTYPE_COUNT && strcmp(dtype->string, aopt_dtype_name(type)) != 0; type++) { }
    if (type == (int)AOPT_DTYPE_COUNT)
        return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: tensor '%s' has dtype '%s', which is not supported", ck->label, name,
                         aopt__quote(dtype->string, dtype->string_bytes, text));
    if (shape->child_n > AOPT_MAX_DIMS)
        return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: tensor '%s' has %lld dimensions, at most %d are supported", ck->label, name,
                         (long long)shape->child_n, (int)AOPT_MAX_DIMS);
    for (x = shape->child; x; x = x->next) {
        if (!x->is_integer || x->integer < 0)
            return aopt_fail(err, AOPT_E_FORMAT, "%s: tensor '%s': dimension %d is not an integer >= 0", ck->label, name, ndim);
        dim[ndim++] = x->integer;
    }
    begin = offsets->child->integer;
    end = offsets->child->next->integer;
    if (begin < 0 || end < begin || end > data_n)
        return aopt_fail(err, AOPT_E_FORMAT, "%s: tensor '%s': data_offsets [%lld, %lld] do not lie in the %lld bytes of data", ck->label, name,
                         (long long)begin, (long long)end, (long long)data_n);
    memset(t, 0, sizeof *t);
    t->ndim = ndim;
    memcpy(t->shape, dim, (size_t)ndim * sizeof dim[0]);
    if (!aopt__mul(aopt_tensor_numel(t), aopt_dtype_bytes(type), &bytes) || bytes != end - begin)
        return aopt_fail(err, AOPT_E_FORMAT, "%s: tensor '%s': data_offsets [%lld, %lld] hold %lld bytes, its shape and dtype %s need another number",
                         ck->label, name, (long long)begin, (long long)end, (long long)(end - begin), aopt_dtype_name(type));
    *t = aopt_tensor_make(aopt__arena_text(&ck->arena, v->key, strlen(v->key)), (aopt_dtype)type, ndim, dim, (void *)(size_t)(data + begin), AOPT_HOST);
    if (!t->name) return aopt__no_memory(ck, err);
    ck->count++;
    return AOPT_OK;
}

/* Sorted by place, each tensor must begin where the one before ends. */
static aopt_status aopt__safetensors_holes(aopt_checkpoint *ck, const unsigned char *data, int64_t data_n, aopt_error *err)
{
    char name[AOPT__QUOTE];
    int64_t i, at = 0;
    if (ck->count > 1) qsort(ck->tensor, (size_t)ck->count, sizeof *ck->tensor, aopt__tensor_by_place);
    for (i = 0; i < ck->count; i++) {
        const aopt_tensor *t = &ck->tensor[i];
        const int64_t begin = (const unsigned char *)t->data - data;
        if (begin != at)
            return aopt_fail(err, AOPT_E_FORMAT, "%s: tensor '%s' begins at byte %lld of the data, expected %lld (%s)", ck->label,
                             aopt__quote(t->name, strlen(t->name), name), (long long)begin, (long long)at, begin < at ? "an overlap" : "a hole");
        at = begin + aopt_tensor_numel(t) * aopt_dtype_bytes((int)t->dtype);
    }
    if (at != data_n)
        return aopt_fail(err, AOPT_E_FORMAT, "%s: the tensors end at byte %lld of the data, the file at %lld", ck->label, (long long)at, (long long)data_n);
    return AOPT_OK;
}

static aopt_status aopt__safetensors_tensors(aopt_checkpoint *ck, const aopt_json_value *root, const unsigned char *data, int64_t data_n, aopt_error *err)
{
    const aopt_json_value *v, *m;
    aopt_status st;
    if (root->type != AOPT_JSON_OBJECT) return aopt_fail(err, AOPT_E_FORMAT, "%s: the header is not a JSON object", ck->label);
    ck->tensor = (aopt_tensor *)aopt__alloc(root->child_n, (int64_t)sizeof *ck->tensor);
    if (!ck->tensor) return aopt__no_memory(ck, err);
    for (v = root->child; v; v = v->next) {
        if (strcmp(v->key, "__metadata__") != 0) {
            if ((st = aopt__safetensors_entry(ck, v, data, data_n, err)) != AOPT_OK) return st;
            continue;
        }
        for (m = v->child; m && m->type == AOPT_JSON_STRING; m = m->next) { }
        if (v->type != AOPT_JSON_OBJECT || m) return aopt_fail(err, AOPT_E_FORMAT, "%s: __metadata__ is not an object of strings", ck->label);
    }
    st = aopt__safetensors_holes(ck, data, data_n, err);
    return st != AOPT_OK ? st : aopt__checkpoint_sort(ck, err);
}

static aopt_status aopt__safetensors_open(aopt_checkpoint *ck, aopt_error *err)
{
    const uint64_t header_n = aopt__le64(ck->bytes), cap = AOPT__SAFETENSORS_HEADER, most = ck->n - 8 < cap ? ck->n - 8 : cap;
    aopt_json *doc = NULL;
    aopt_error inner;
    aopt_status st;
    if (header_n > most)
        return aopt_fail(err, AOPT_E_FORMAT, "%s: a safetensors header of %llu bytes, expected at most %llu", ck->label, (unsigned long long)header_n,
                         (unsigned long long)most);
    st = aopt_json_parse((const char *)ck->bytes + 8, (size_t)header_n, &doc, &inner);
    if (st != AOPT_OK) return aopt_fail(err, st, "%s: header: %s", ck->label, inner.message);
    st = aopt__safetensors_tensors(ck, aopt_json_root(doc), ck->bytes + 8 + header_n, (int64_t)(ck->n - 8 - header_n), err);
    aopt_json_free(doc);
    return st;
}

/* ---- open, close, find */

/* Tell the format by its first bytes. */
static aopt_status aopt__checkpoint_read(aopt_checkpoint *ck, const aopt_checkpoint_options *options, aopt_error *err)
{
    static const unsigned char legacy[] = { 0x80, 0x02, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19 };   /* 0x1950a86a20f9469cfc6c */
    const unsigned char *b = ck->bytes;
    char start[AOPT__QUOTE];
    if (ck->n >= 4 && b[0] == 'P' && b[1] == 'K' && ((b[2] == 3 && b[3] == 4) || (b[2] == 5 && b[3] == 6))) return aopt__pth_open(ck, options, err);
    if (ck->n >= 9 && b[8] == '{') return aopt__safetensors_open(ck, err);
    if (ck->n >= sizeof legacy && memcmp(b, legacy, sizeof legacy) == 0)
        return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: the layout of torch.save before 1.6; load it with PyTorch and torch.save it again", ck->label);
    if (ck->n >= 262 && memcmp(b + 257, "ustar", 5) == 0)
        return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: a tar archive (torch.save before 0.1.10?); load it with PyTorch and torch.save it again", ck->label);
    if (ck->n >= 2 && b[0] == 0x80 && b[1] >= 2 && b[1] <= 5)
        return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: a bare pickle, expected the zip that torch.save writes", ck->label);
    return aopt_fail(err, AOPT_E_FORMAT, "%s: neither .pth (a zip) nor .safetensors: %llu bytes that start with '%s'", ck->label,
                     (unsigned long long)ck->n, aopt__quote(b, ck->n < 16 ? ck->n : 16, start));
}

AOPT__DEF aopt_status aopt_checkpoint_open_memory(const void *bytes, size_t n, const char *label, const aopt_checkpoint_options *options,
                                                  aopt_checkpoint **out, aopt_error *err)
{
    aopt_checkpoint_options defaults;
    aopt_checkpoint *ck;
    aopt_status st;
    if (!out || (n > 0 && !bytes)) return aopt_fail(err, AOPT_E_ARG, "aopt_checkpoint_open: NULL argument");
    *out = NULL;
    memset(&defaults, 0, sizeof defaults);
    if (!label) label = "(memory)";
    ck = (aopt_checkpoint *)aopt__alloc(1, (int64_t)sizeof *ck);
    if (!ck) return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", label);
    memset(ck, 0, sizeof *ck);
    ck->label = aopt__arena_text(&ck->arena, label, strlen(label));
    ck->bytes = (const unsigned char *)bytes;
    ck->n = n;
    if (!ck->label) st = aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", label);
    else st = aopt__checkpoint_read(ck, options ? options : &defaults, err);
    if (st != AOPT_OK) aopt_checkpoint_close(ck);
    else *out = ck;
    return st;
}

#ifdef AOPT_NO_STDIO
AOPT__DEF aopt_status aopt_checkpoint_open(const char *path, const aopt_checkpoint_options *options, aopt_checkpoint **out, aopt_error *err)
{
    (void)options;
    if (out) *out = NULL;
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: built without file access (AOPT_NO_STDIO)", path ? path : "(NULL)");
}
#else
/* Map the regular file at path.  An empty one gives *bytes NULL. */
static aopt_status aopt__map(const char *path, void **bytes, size_t *n, aopt_error *err)
{
    struct stat s;
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);          /* NONBLOCK: a FIFO is refused below, not waited for */
    int failed;
    *bytes = NULL;
    *n = 0;
    if (fd < 0) return aopt_fail(err, AOPT_E_IO, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(fd, &s) != 0 || !S_ISREG(s.st_mode)) {
        close(fd);
        return aopt_fail(err, AOPT_E_IO, "%s: not a regular file", path);
    }
    *n = (size_t)s.st_size;
    if (*n > 0) *bytes = mmap(NULL, *n, PROT_READ, MAP_PRIVATE, fd, 0);
    failed = *bytes == MAP_FAILED;
    if (failed) aopt_fail(err, AOPT_E_IO, "%s: cannot map %llu bytes: %s", path, (unsigned long long)*n, strerror(errno));
    close(fd);
    return failed ? AOPT_E_IO : AOPT_OK;
}

AOPT__DEF aopt_status aopt_checkpoint_open(const char *path, const aopt_checkpoint_options *options, aopt_checkpoint **out, aopt_error *err)
{
    void *bytes;
    size_t n;
    aopt_status st;
    if (!out || !path) return aopt_fail(err, AOPT_E_ARG, "aopt_checkpoint_open: NULL argument");
    *out = NULL;
    if ((st = aopt__map(path, &bytes, &n, err)) != AOPT_OK) return st;
    st = aopt_checkpoint_open_memory(bytes, n, path, options, out, err);
    if (st == AOPT_OK) (*out)->mapped = 1;
    else if (bytes) munmap(bytes, n);
    return st;
}
#endif

AOPT__DEF void aopt_checkpoint_close(aopt_checkpoint *ck)
{
    if (!ck) return;
#ifndef AOPT_NO_STDIO
    if (ck->mapped) munmap((void *)(size_t)ck->bytes, ck->n);
#endif
    AOPT_FREE(ck->tensor);
    aopt__arena_free(&ck->arena);
    AOPT_FREE(ck);
}

AOPT__DEF const char *aopt_checkpoint_path(const aopt_checkpoint *ck) { return ck->label; }
AOPT__DEF int64_t aopt_checkpoint_count(const aopt_checkpoint *ck) { return ck->count; }

AOPT__DEF const aopt_tensor *aopt_checkpoint_at(const aopt_checkpoint *ck, int64_t i)
{
    return i >= 0 && i < ck->count ? &ck->tensor[i] : NULL;
}

AOPT__DEF const aopt_tensor *aopt_checkpoint_find(const aopt_checkpoint *ck, const char *name)
{
    aopt_tensor key;
    if (!name || ck->count == 0) return NULL;
    memset(&key, 0, sizeof key);
    key.name = name;
    return (const aopt_tensor *)bsearch(&key, ck->tensor, (size_t)ck->count, sizeof *ck->tensor, aopt__tensor_by_name);
}

/* ---- write .safetensors */
#ifdef AOPT_NO_STDIO
AOPT__DEF aopt_status aopt_safetensors_write(const char *path, const aopt_tensor *tensors, int64_t n,
                                             const char *const *meta, int meta_n, aopt_error *err)
{
    (void)tensors; (void)n; (void)meta; (void)meta_n;
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: built without file access (AOPT_NO_STDIO)", path ? path : "(NULL)");
}
#else
/* Text that grows; once `failed` (memory), it stays so. */
typedef struct aopt__text { char *s; int64_t n, room; int failed; } aopt__text;

static void aopt__text_add(aopt__text *t, const char *s, size_t n)
{
    if (t->room - t->n < (int64_t)n) {
        const int64_t room = 2 * t->room + (int64_t)n + 256;
        char *bigger = t->failed ? NULL : (char *)AOPT_REALLOC(t->s, (size_t)room);
        if (!bigger) { t->failed = 1; return; }
        t->s = bigger;
        t->room = room;
    }
    memcpy(t->s + t->n, s, n);
    t->n += (int64_t)n;
}

static void aopt__text_string(aopt__text *t, const char *s)
{
    char escape[8];
    aopt__text_add(t, "\"", 1);
    for (; *s; s++) {
        if (*s == '"' || *s == '\\') snprintf(escape, sizeof escape, "\\%c", *s);
        else if ((unsigned char)*s < 0x20) snprintf(escape, sizeof escape, "\\u%04x", (unsigned)*s);
        else snprintf(escape, sizeof escape, "%c", *s);
        aopt__text_add(t, escape, strlen(escape));
    }
    aopt__text_add(t, "\"", 1);
}

/* What aopt_safetensors_write asks of each tensor. */
static aopt_status aopt__safetensors_writable(const char *path, const aopt_tensor *t, aopt_error *err)
{
    int64_t bytes;
    if (!t->name || strcmp(t->name, "__metadata__") == 0 || !aopt__name_ok(t->name))
        return aopt_fail(err, AOPT_E_ARG, "%s: a tensor without a name, named __metadata__, or with a control character in its name", path);
    if (aopt_dtype_bytes((int)t->dtype) == 0 || t->ndim < 0 || t->ndim > AOPT_MAX_DIMS || !aopt__mul(aopt_tensor_numel(t), aopt_dtype_bytes((int)t->dtype), &bytes))
        return aopt_fail(err, AOPT_E_ARG, "%s: tensor '%s' has no valid dtype and shape", path, t->name);
    if (t->device != AOPT_HOST) return aopt_fail(err, AOPT_E_ARG, "%s: tensor '%s' is not in host memory", path, t->name);
    if (!aopt_tensor_contiguous(t)) return aopt_fail(err, AOPT_E_ARG, "%s: tensor '%s' is not contiguous", path, t->name);
    if (bytes > 0 && !t->data) return aopt_fail(err, AOPT_E_ARG, "%s: tensor '%s' has no data", path, t->name);
    return AOPT_OK;
}

/* Wide elements first, so that each tensor is aligned to its own; then by name. */
static int aopt__tensor_for_file(const void *a, const void *b)
{
    const aopt_tensor *x = *(const aopt_tensor *const *)a, *y = *(const aopt_tensor *const *)b;
    const int wider = aopt_dtype_bytes((int)y->dtype) - aopt_dtype_bytes((int)x->dtype);
    return wider != 0 ? wider : strcmp(x->name, y->name);
}

/* The 8 bytes of length and the JSON, padded with spaces to a multiple of 8. */
static void aopt__safetensors_header(aopt__text *h, const aopt_tensor *const *order, int64_t n, const char *const *meta, int meta_n)
{
    char text[64];
    int64_t i, at = 0;
    int d;
    aopt__text_add(h, "\0\0\0\0\0\0\0\0{", 9);
    for (i = 0; i < meta_n; i++) {
        aopt__text_add(h, i == 0 ? "\"__metadata__\":{" : ",", i == 0 ? 16 : 1);
        aopt__text_string(h, meta[2 * i]);
        aopt__text_add(h, ":", 1);
        aopt__text_string(h, meta[2 * i + 1]);
    }
    if (meta_n > 0) aopt__text_add(h, "},", n > 0 ? 2 : 1);
    for (i = 0; i < n; i++) {
        const aopt_tensor *t = order[i];
        const int64_t bytes = aopt_tensor_numel(t) * aopt_dtype_bytes((int)t->dtype);
        if (i > 0) aopt__text_add(h, ",", 1);
        aopt__text_string(h, t->name);
        snprintf(text, sizeof text, ":{\"dtype\":\"%s\",\"shape\":[", aopt_dtype_name((int)t->dtype));
        aopt__text_add(h, text, strlen(text));
        for (d = 0; d < t->ndim; d++) {
            snprintf(text, sizeof text, "%s%lld", d > 0 ? "," : "", (long long)t->shape[d]);
            aopt__text_add(h, text, strlen(text));
        }
        snprintf(text, sizeof text, "],\"data_offsets\":[%lld,%lld]}", (long long)at, (long long)(at + bytes));
        aopt__text_add(h, text, strlen(text));
        at += bytes;
    }
    aopt__text_add(h, "}", 1);
    while (h->n % 8 != 0 && !h->failed) aopt__text_add(h, " ", 1);
    for (i = 0; i < 8 && !h->failed; i++) h->s[i] = (char)((uint64_t)(h->n - 8) >> (8 * i));
}

static int aopt__write_all(int fd, const void *bytes, int64_t n)
{
    const char *p = (const char *)bytes;
    while (n > 0) {
        const ssize_t k = write(fd, p, n < (int64_t)1 << 30 ? (size_t)n : (size_t)1 << 30);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return 0;
        p += k;
        n -= (int64_t)k;
    }
    return 1;
}

/* Write h and the tensors to a file of a fresh name beside path, then give it that name. */
static aopt_status aopt__safetensors_save(const char *path, const aopt__text *h, const aopt_tensor *const *order, int64_t n, aopt_error *err)
{
    const size_t room = strlen(path) + 64;
    char *temporary = (char *)aopt__alloc((int64_t)room, 1);
    int fd = -1, k, failed = 0;
    int64_t i;
    if (!temporary) return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    for (k = 0; k < 100 && fd < 0; k++) {
        snprintf(temporary, room, "%s.%ld-%d.autoopt-tmp", path, (long)getpid(), k);
        fd = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd < 0) {
        aopt_fail(err, AOPT_E_IO, "%s: cannot create: %s", temporary, strerror(errno));
        AOPT_FREE(temporary);
        return AOPT_E_IO;
    }
    failed = !aopt__write_all(fd, h->s, h->n);
    for (i = 0; i < n && !failed; i++)
        failed = !aopt__write_all(fd, order[i]->data, aopt_tensor_numel(order[i]) * aopt_dtype_bytes((int)order[i]->dtype));
    if (!failed) failed = fsync(fd) != 0;
    if (failed) aopt_fail(err, AOPT_E_IO, "%s: cannot write: %s", temporary, strerror(errno));
    if (close(fd) != 0 && !failed) { failed = 1; aopt_fail(err, AOPT_E_IO, "%s: cannot write: %s", temporary, strerror(errno)); }
    if (!failed && rename(temporary, path) != 0) { failed = 1; aopt_fail(err, AOPT_E_IO, "%s: cannot rename to it: %s", path, strerror(errno)); }
    if (failed) unlink(temporary);
    AOPT_FREE(temporary);
    return failed ? AOPT_E_IO : AOPT_OK;
}

AOPT__DEF aopt_status aopt_safetensors_write(const char *path, const aopt_tensor *tensors, int64_t n,
                                             const char *const *meta, int meta_n, aopt_error *err)
{
    const aopt_tensor **order;
    aopt_json *doc = NULL;
    aopt_error inner;
    aopt__text header;
    aopt_status st = AOPT_OK;
    int64_t i;
    if (!path || n < 0 || (n > 0 && !tensors) || meta_n < 0 || (meta_n > 0 && !meta)) return aopt_fail(err, AOPT_E_ARG, "aopt_safetensors_write: bad argument");
    for (i = 0; i < n; i++)
        if ((st = aopt__safetensors_writable(path, &tensors[i], err)) != AOPT_OK) return st;
    for (i = 0; i < 2 * (int64_t)meta_n; i++)
        if (!meta[i]) return aopt_fail(err, AOPT_E_ARG, "%s: metadata string %lld is NULL", path, (long long)i);
    order = (const aopt_tensor **)aopt__alloc(n, (int64_t)sizeof *order);
    if (!order) return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    for (i = 0; i < n; i++) order[i] = &tensors[i];
    if (n > 1) qsort(order, (size_t)n, sizeof *order, aopt__tensor_for_file);
    memset(&header, 0, sizeof header);
    aopt__safetensors_header(&header, order, n, meta, meta_n);
    if (header.failed) st = aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    else if (header.n - 8 > AOPT__SAFETENSORS_HEADER) st = aopt_fail(err, AOPT_E_ARG, "%s: the header would have %lld bytes", path, (long long)header.n);
    else if ((st = aopt_json_parse(header.s + 8, (size_t)(header.n - 8), &doc, &inner)) != AOPT_OK)      /* as a reader will: names twice show here */
        st = aopt_fail(err, st == AOPT_E_FORMAT ? AOPT_E_ARG : st, "%s: header: %s", path, inner.message);
    else st = aopt__safetensors_save(path, &header, order, n, err);
    aopt_json_free(doc);
    AOPT_FREE(header.s);
    AOPT_FREE(order);
    return st;
}
#endif /* AOPT_NO_STDIO */

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

/* ==== [I12] CUDA host =================================================================================== */
#ifdef __CUDACC__
#define AOPT__BOTH __host__ __device__          /* one text for a kernel and its CPU mate */
#else
#define AOPT__BOTH
#endif

/* splitmix64 of a place: adjacent seeds and indices give unrelated words. */
AOPT__BOTH static uint64_t aopt__mix(uint64_t seed, uint64_t index)
{
    uint64_t z = seed + (index + 1) * 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

#ifdef __cplusplus
extern "C" {
#endif

AOPT__DEF uint32_t aopt_poison_bits(uint32_t payload) { return 0x7fc00000u | (payload & 0x3fffffu); }

AOPT__DEF void aopt_ref_poison(float *x, int64_t n, uint32_t payload)
{
    const uint32_t bits = aopt_poison_bits(payload);
    int64_t i;
    for (i = 0; i < n; i++) memcpy(x + i, &bits, sizeof bits);
}

AOPT__DEF void aopt_ref_guard_fill(uint32_t *x, int64_t n, uint64_t seed)
{
    int64_t i;
    for (i = 0; i < n; i++) x[i] = (uint32_t)aopt__mix(seed, (uint64_t)i);
}

AOPT__DEF void aopt_ref_guard_check(const uint32_t *x, int64_t n, uint64_t seed, uint64_t result[2])
{
    int64_t i;
    result[0] = 0;
    result[1] = UINT64_MAX;
    for (i = 0; i < n; i++) {
        if (x[i] == (uint32_t)aopt__mix(seed, (uint64_t)i)) continue;
        if (result[0]++ == 0) result[1] = (uint64_t)i;
    }
}

AOPT__DEF uint64_t aopt_ref_fingerprint(const float *x, int64_t n, uint64_t seed)
{
    uint64_t sum = 0;
    uint32_t bits;
    int64_t i;
    for (i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        sum += aopt__mix(seed ^ bits, (uint64_t)i);
    }
    return sum;
}

AOPT__DEF int64_t aopt_ref_unwritten(const float *x, int64_t n, uint32_t payload, int64_t *first)
{
    const uint32_t poison = aopt_poison_bits(payload);
    int64_t i, count = 0;
    uint32_t bits;
    *first = -1;
    for (i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        if (bits == poison && count++ == 0) *first = i;
    }
    return count;
}

#ifdef __cplusplus
}
#endif

#ifdef AUTOOPT_CUDA
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <limits.h>
extern "C" {
#include "autoopt_kernels.cuh"

/* One walk through the network serves two ends.  Planning, it launches nothing and notes what every step needs: which weights,
   how much history, how large each work buffer.  Running, it finds all of that in place.  So the plan cannot disagree with the work. */
enum { AOPT__CUDA_PARAMS = 256, AOPT__CUDA_WORKSPACE = 32 << 20 };
static const int64_t AOPT__CUDA_SCORES = 1 << 24;      /* floats of attention scores at a time */
enum { AOPT__SLOT_A, AOPT__SLOT_B, AOPT__SLOT_ROWS, AOPT__SLOT_Y, AOPT__SLOT_SCORES, AOPT__SLOT_IO, AOPT__SLOTS };

typedef struct aopt__cuda_param {
    const aopt_tensor *source;              /* key; read while opening, never afterwards */
    int64_t co, ci, taps;                   /* taps 0: a vector of co */
    int64_t history_n;                      /* floats: the last input frames of a causal convolution, borders included */
    float *data, *history;                  /* device */
} aopt__cuda_param;

struct aopt_cuda_vae {
    aopt_coder_weights coder;
    aopt_conv_weights outer;                /* conv1 of the encoder's side, conv2 of the decoder's */
    aopt_cuda_options options;
    int encoder, planning, first;           /* first: the chunk in work is the first of its clip */
    int64_t h, w;
    aopt__cuda_param param[AOPT__CUDA_PARAMS];
    int param_n;
    float *slot[AOPT__SLOTS];               /* work buffers, device */
    int64_t slot_n[AOPT__SLOTS];            /* floats */
    int x, next;                            /* the slots of the activation and of its successor */
    float *scale, *shift;                   /* f32 [48], device; NULL for raw latents */
    float *history;                         /* all histories, contiguous */
    int64_t history_n;
    float *workspace;
    char *arena;
    cublasHandle_t blas;
};

/* A view of a work buffer, and the demand for it. */
static aopt_status aopt__gpu_view(aopt_cuda_vae *v, int slot, int64_t frames, int64_t H, int64_t W, int C, int border, aopt_rows *out, aopt_error *err)
{
    int64_t n;
    out->data = v->slot[slot];
    out->frames = frames;
    out->H = H;
    out->W = W;
    out->C = C;
    out->border = border;
    if (!aopt__mul(aopt_rows_count(out), C, &n) || n > INT64_MAX / 64)
        return aopt_fail(err, AOPT_E_SHAPE, "activation [%lld][%lld][%lld][%d] is too large", (long long)frames, (long long)H, (long long)W, C);
    if (v->planning) {
        if (n > v->slot_n[slot]) v->slot_n[slot] = n;
    } else if (n > v->slot_n[slot]) {
        return aopt_fail(err, AOPT_E_INTERNAL, "work buffer %d: %lld floats planned, %lld needed", slot, (long long)v->slot_n[slot], (long long)n);
    }
    return AOPT_OK;
}

/* The parameter of a tensor; planning, it is entered. */
static aopt_status aopt__gpu_param(aopt_cuda_vae *v, const aopt_tensor *source, int64_t co, int64_t ci, int64_t taps, int64_t history_n,
                                   aopt__cuda_param **out, aopt_error *err)
{
    aopt__cuda_param *p;
    int i;
    for (i = 0; i < v->param_n && v->param[i].source != source; i++) { }
    p = &v->param[i];
    if (i == v->param_n) {
        if (!v->planning || i == AOPT__CUDA_PARAMS) return aopt_fail(err, AOPT_E_INTERNAL, "a tensor that was not planned for, after %d", i);
        memset(p, 0, sizeof *p);
        p->source = source;
        p->co = co;
        p->ci = ci;
        p->taps = taps;
        v->param_n++;
    }
    if (v->planning && history_n > p->history_n) p->history_n = history_n;
    *out = p;
    return AOPT_OK;
}

static aopt_status aopt__gpu_conv(aopt_cuda_vae *v, const aopt_conv_weights *w, const aopt_rows *x, int stride_t, int stride_s, int slot, aopt_rows *y, aopt_error *err)
{
    aopt_conv_shape c;
    aopt__cuda_param *weight = NULL, *bias = NULL;
    aopt_status st = aopt__gpu_view(v, slot, (x->frames - w->kt) / stride_t + 1, x->H / stride_s, x->W / stride_s, w->co, stride_s == 1 && w->kh == 3, y, err);
    if (!st) st = aopt__gpu_param(v, w->weight, w->co, w->ci, (int64_t)w->kt * w->kh * w->kw, 0, &weight, err);
    if (!st) st = aopt__gpu_param(v, w->bias, w->co, 1, 0, 0, &bias, err);
    if (st || v->planning) return st;
    c.ci = w->ci;
    c.co = w->co;
    c.kt = w->kt;
    c.kh = w->kh;
    c.kw = w->kw;
    c.stride_t = stride_t;
    c.stride_s = stride_s;
    return aopt_cuda_conv(v->blas, x, &c, weight->data, bias->data, y, v->options.stream, err);
}

static aopt_status aopt__gpu_copy(aopt_cuda_vae *v, const aopt_rows *x, int factor, const aopt_rows *y, aopt_error *err)
{
    return v->planning ? AOPT_OK : aopt_cuda_upsample_nearest(x, factor, y, v->options.stream, err);
}

static aopt_status aopt__gpu_add(aopt_cuda_vae *v, const aopt_rows *a, const aopt_rows *b, const aopt_rows *out, aopt_error *err)
{
    return v->planning ? AOPT_OK : aopt_cuda_add(a, b, out, v->options.stream, err);
}

/* The input rows of w: `past` frames of history, put in place, then `fresh`, for the caller to write. */
static aopt_status aopt__gpu_input(aopt_cuda_vae *v, const aopt_conv_weights *w, int past, const aopt_rows *x, aopt_rows *all, aopt_rows *fresh, aopt_error *err)
{
    aopt__cuda_param *p = NULL;
    int64_t history_n;
    aopt_status st = aopt__gpu_view(v, AOPT__SLOT_ROWS, past + x->frames, x->H, x->W, w->ci, w->kh == 3, all, err);
    if (st) return st;
    history_n = past * aopt_rows_per_frame(all) * w->ci;
    st = aopt__gpu_param(v, w->weight, w->co, w->ci, (int64_t)w->kt * w->kh * w->kw, history_n, &p, err);
    if (st) return st;
    *fresh = *all;
    fresh->frames = x->frames;
    if (v->planning) return AOPT_OK;
    fresh->data += history_n;
    if (past) AOPT__CUDA(cudaMemcpyAsync(all->data, p->history, (size_t)history_n * sizeof(float), cudaMemcpyDeviceToDevice, v->options.stream));
    return AOPT_OK;
}

/* Keep the last `past` frames of w's input for the next chunk. */
static aopt_status aopt__gpu_keep(aopt_cuda_vae *v, const aopt_conv_weights *w, int past, const aopt_rows *all, aopt_error *err)
{
    const int64_t frame_n = aopt_rows_per_frame(all) * w->ci;
    aopt__cuda_param *p = NULL;
    const aopt_status st = aopt__gpu_param(v, w->weight, w->co, w->ci, (int64_t)w->kt * w->kh * w->kw, past * frame_n, &p, err);
    if (st || v->planning || !past) return st;
    AOPT__CUDA(cudaMemcpyAsync(p->history, all->data + (all->frames - past) * frame_n, (size_t)(past * frame_n) * sizeof(float), cudaMemcpyDeviceToDevice, v->options.stream));
    return AOPT_OK;
}

/* Causal convolution of x, or of its norm (and SiLU), into slot Y. */
static aopt_status aopt__gpu_causal(aopt_cuda_vae *v, const aopt_norm_weights *norm, int silu, const aopt_conv_weights *w, const aopt_rows *x, aopt_rows *y, aopt_error *err)
{
    aopt_rows all, fresh;
    aopt__cuda_param *gamma = NULL;
    aopt_status st = aopt__gpu_input(v, w, w->kt - 1, x, &all, &fresh, err);
    if (!st && norm) st = aopt__gpu_param(v, norm->gamma, norm->c, 1, 0, 0, &gamma, err);
    if (!st && !norm) st = aopt__gpu_copy(v, x, 1, &fresh, err);
    else if (!st && !v->planning) st = aopt_cuda_rms_norm(x, gamma->data, silu, &fresh, v->options.stream, err);
    if (!st) st = aopt__gpu_conv(v, w, &all, 1, 1, AOPT__SLOT_Y, y, err);
    if (!st) st = aopt__gpu_keep(v, w, w->kt - 1, &all, err);
    return st;
}

/* x -> out in `slot`, which may be x's own where the channels stay. */
static aopt_status aopt__gpu_resblock(aopt_cuda_vae *v, const aopt_resblock_weights *b, const aopt_rows *x, int slot, aopt_rows *out, aopt_error *err)
{
    const aopt_rows in = *x;                /* out may be x */
    aopt_rows y, z;
    aopt_status st = aopt__gpu_causal(v, &b->norm1, 1, &b->conv1, &in, &y, err);
    if (!st) st = aopt__gpu_causal(v, &b->norm2, 1, &b->conv2, &y, &z, err);
    if (!st && b->shortcut.weight) {
        st = aopt__gpu_conv(v, &b->shortcut, &in, 1, 1, slot, out, err);
        return st ? st : aopt__gpu_add(v, out, &z, out, err);
    }
    if (!st) st = aopt__gpu_view(v, slot, in.frames, in.H, in.W, b->co, 0, out, err);
    return st ? st : aopt__gpu_add(v, &in, &z, out, err);
}

/* In place. */
static aopt_status aopt__gpu_attention(aopt_cuda_vae *v, const aopt_attention_weights *a, const aopt_rows *x, aopt_error *err)
{
    const int64_t P = x->H * x->W;
    aopt_rows qkv, o, y;
    aopt_status st = aopt__gpu_causal(v, &a->norm, 0, &a->to_qkv, x, &qkv, err);
    if (!st) st = aopt__gpu_view(v, AOPT__SLOT_ROWS, x->frames, x->H, x->W, a->c, 0, &o, err);
    if (st) return st;
    if (v->planning) v->slot_n[AOPT__SLOT_SCORES] = P > AOPT__CUDA_SCORES ? P : AOPT__CUDA_SCORES;
    else st = aopt_cuda_attention(v->blas, &qkv, v->slot[AOPT__SLOT_SCORES], v->slot_n[AOPT__SLOT_SCORES], &o, v->options.stream, err);
    if (!st) st = aopt__gpu_conv(v, &a->proj, &o, 1, 1, v->next, &y, err);
    return st ? st : aopt__gpu_add(v, x, &y, x, err);
}

static aopt_status aopt__gpu_middle(aopt_cuda_vae *v, aopt_rows *x, aopt_error *err)
{
    aopt_status st = aopt__gpu_resblock(v, &v->coder.middle0, x, v->x, x, err);
    if (!st) st = aopt__gpu_attention(v, &v->coder.middle1, x, err);
    if (!st) st = aopt__gpu_resblock(v, &v->coder.middle2, x, v->x, x, err);
    return st;
}

/* The residual blocks of a stage: x stays, for the shortcut of the stage; y is in slot `next`. */
static aopt_status aopt__gpu_blocks(aopt_cuda_vae *v, const aopt_stage_weights *s, const aopt_rows *x, aopt_rows *y, aopt_error *err)
{
    aopt_status st = AOPT_OK;
    int i;
    for (i = 0; i < s->block_n && !st; i++) st = aopt__gpu_resblock(v, &s->block[i], i == 0 ? x : y, v->next, y, err);
    return st;
}

static void aopt__gpu_swap(aopt_cuda_vae *v)
{
    const int slot = v->x;
    v->x = v->next;
    v->next = slot;
}

static aopt_status aopt__gpu_stage_up(aopt_cuda_vae *v, const aopt_stage_weights *s, aopt_rows *x, aopt_error *err)
{
    aopt_rows y, z, rows, out;
    aopt_status st = aopt__gpu_blocks(v, s, x, &y, err);
    if (!st && s->factor_t == 2 && !v->first) {
        st = aopt__gpu_causal(v, NULL, 0, &s->time_conv, &y, &z, err);
        if (!st) st = aopt__gpu_view(v, v->next, 2 * y.frames, y.H, y.W, s->co, 0, &y, err);
        if (!st && !v->planning) st = aopt_cuda_interleave_time(&z, &y, v->options.stream, err);
    }
    if (!st && s->factor_s == 2) {
        st = aopt__gpu_view(v, AOPT__SLOT_ROWS, y.frames, 2 * y.H, 2 * y.W, s->co, 1, &rows, err);
        if (!st) st = aopt__gpu_copy(v, &y, 2, &rows, err);
        if (!st) st = aopt__gpu_conv(v, &s->resample, &rows, 1, 1, AOPT__SLOT_Y, &z, err);
        if (!st) st = aopt__gpu_view(v, v->next, z.frames, z.H, z.W, s->co, 0, &out, err);
        if (!st && !v->planning) st = aopt_cuda_dup_up(x, s->factor_t, v->first, &z, &out, v->options.stream, err);
        y = out;
    }
    *x = y;
    aopt__gpu_swap(v);
    return st;
}

/* The first latent frame is one video frame: it passes time_conv by and becomes its history. */
static aopt_status aopt__gpu_halve_time(aopt_cuda_vae *v, const aopt_conv_weights *w, aopt_rows *y, aopt_error *err)
{
    aopt_rows all, fresh;
    aopt_status st;
    if (v->first) return aopt__gpu_keep(v, w, 1, y, err);
    st = aopt__gpu_input(v, w, 1, y, &all, &fresh, err);
    if (!st) st = aopt__gpu_copy(v, y, 1, &fresh, err);
    if (!st) st = aopt__gpu_conv(v, w, &all, 2, 1, AOPT__SLOT_Y, y, err);
    return st ? st : aopt__gpu_keep(v, w, 1, &all, err);
}

static aopt_status aopt__gpu_stage_down(aopt_cuda_vae *v, const aopt_stage_weights *s, aopt_rows *x, aopt_error *err)
{
    aopt_rows y, rows, out;
    aopt_status st = aopt__gpu_blocks(v, s, x, &y, err);
    if (!st && s->factor_s == 2) {
        st = aopt__gpu_view(v, AOPT__SLOT_ROWS, y.frames, y.H, y.W, s->co, 1, &rows, err);
        if (!st) st = aopt__gpu_copy(v, &y, 1, &rows, err);
        if (!st) st = aopt__gpu_conv(v, &s->resample, &rows, 1, 2, AOPT__SLOT_Y, &y, err);
        if (!st && s->factor_t == 2) st = aopt__gpu_halve_time(v, &s->time_conv, &y, err);
    }
    if (!st) st = aopt__gpu_view(v, v->next, y.frames, y.H, y.W, s->co, 0, &out, err);
    if (!st && !v->planning) st = aopt_cuda_avg_down(x, s->factor_t, s->factor_s, &y, &out, v->options.stream, err);
    *x = out;
    aopt__gpu_swap(v);
    return st;
}

/* Between the caller's tensor, `frames` whole frames of n floats from frame `at` on in each of `channels`, and slot IO. */
static aopt_status aopt__gpu_io(aopt_cuda_vae *v, int channels, const float *from, float *to, int64_t frame_n, int64_t frames, int64_t total, int64_t at, aopt_error *err)
{
    const int64_t n = frame_n * frames;
    int c;
    if (v->planning) {
        if (channels * n > v->slot_n[AOPT__SLOT_IO]) v->slot_n[AOPT__SLOT_IO] = channels * n;
        return AOPT_OK;
    }
    for (c = 0; c < channels; c++) {
        const int64_t theirs = (c * total + at) * frame_n;
        AOPT__CUDA(cudaMemcpyAsync(to ? to + theirs : v->slot[AOPT__SLOT_IO] + c * n, from ? from + theirs : v->slot[AOPT__SLOT_IO] + c * n,
                                   (size_t)n * sizeof(float), cudaMemcpyDefault, v->options.stream));
    }
    return AOPT_OK;
}

/* Latent frames [at, at + n) of T to their video frames. */
static aopt_status aopt__gpu_decode_chunk(aopt_cuda_vae *v, const float *latent, int64_t T, int64_t at, int64_t n, float *video, aopt_error *err)
{
    const int64_t F = 1 + 4 * (T - 1), f = at == 0 ? 0 : 4 * at - 3, frames = at == 0 ? 1 : 4 * n;
    struct CUstream_st *stream = v->options.stream;
    aopt_rows x, y;
    aopt_status st = aopt__gpu_io(v, AOPT_VAE_Z, latent, NULL, v->h * v->w, n, T, at, err);
    int i;
    v->first = at == 0;
    v->x = AOPT__SLOT_A;
    v->next = AOPT__SLOT_B;
    if (!st) st = aopt__gpu_view(v, v->next, n, v->h, v->w, AOPT_VAE_Z, 0, &x, err);
    if (!st && !v->planning) st = aopt_cuda_channels_last(v->slot[AOPT__SLOT_IO], n * v->h * v->w, v->scale, v->shift, &x, stream, err);
    if (!st) st = aopt__gpu_conv(v, &v->outer, &x, 1, 1, v->x, &y, err);
    if (!st) st = aopt__gpu_causal(v, NULL, 0, &v->coder.conv1, &y, &y, err);
    if (!st) st = aopt__gpu_view(v, v->x, n, v->h, v->w, v->coder.conv1.co, 0, &x, err);
    if (!st) st = aopt__gpu_copy(v, &y, 1, &x, err);
    if (!st) st = aopt__gpu_middle(v, &x, err);
    for (i = 0; i < AOPT_VAE_STAGES && !st; i++) st = aopt__gpu_stage_up(v, &v->coder.stage[i], &x, err);
    if (!st) st = aopt__gpu_causal(v, &v->coder.head_norm, 1, &v->coder.head_conv, &x, &y, err);
    if (!st && !v->planning) st = aopt_cuda_unpatchify(&y, v->slot[AOPT__SLOT_IO], frames * 4 * y.H * y.W, stream, err);
    return st ? st : aopt__gpu_io(v, 3, NULL, video, 256 * v->h * v->w, frames, F, f, err);
}

/* The video frames of latent frames [at, at + n) of T to these. */
static aopt_status aopt__gpu_encode_chunk(aopt_cuda_vae *v, const float *video, int64_t T, int64_t at, int64_t n, float *latent, aopt_error *err)
{
    const int64_t F = 1 + 4 * (T - 1), f = at == 0 ? 0 : 4 * at - 3, frames = at == 0 ? 1 : 4 * n;
    struct CUstream_st *stream = v->options.stream;
    aopt_rows x, y;
    aopt_status st = aopt__gpu_io(v, 3, video, NULL, 256 * v->h * v->w, frames, F, f, err);
    int i;
    v->first = at == 0;
    v->x = AOPT__SLOT_A;
    v->next = AOPT__SLOT_B;
    if (!st) st = aopt__gpu_view(v, v->x, frames, 8 * v->h, 8 * v->w, v->coder.conv1.ci, 0, &x, err);
    if (!st && !v->planning) st = aopt_cuda_patchify(v->slot[AOPT__SLOT_IO], frames * 256 * v->h * v->w, &x, stream, err);
    if (!st) st = aopt__gpu_causal(v, NULL, 0, &v->coder.conv1, &x, &y, err);
    if (!st) st = aopt__gpu_view(v, v->x, frames, y.H, y.W, y.C, 0, &x, err);
    if (!st) st = aopt__gpu_copy(v, &y, 1, &x, err);
    for (i = 0; i < AOPT_VAE_STAGES && !st; i++) st = aopt__gpu_stage_down(v, &v->coder.stage[i], &x, err);
    if (!st) st = aopt__gpu_middle(v, &x, err);
    if (!st) st = aopt__gpu_causal(v, &v->coder.head_norm, 1, &v->coder.head_conv, &x, &y, err);
    if (!st) st = aopt__gpu_view(v, v->x, n, v->h, v->w, y.C, 0, &x, err);
    if (!st) st = aopt__gpu_copy(v, &y, 1, &x, err);
    if (!st) st = aopt__gpu_conv(v, &v->outer, &x, 1, 1, v->next, &y, err);
    if (!st && !v->planning) st = aopt_cuda_channels_first(&y, AOPT_VAE_Z, v->scale, v->shift, v->slot[AOPT__SLOT_IO], n * v->h * v->w, stream, err);
    return st ? st : aopt__gpu_io(v, AOPT_VAE_Z, NULL, latent, v->h * v->w, n, T, at, err);
}

static aopt_status aopt__gpu_chunk(aopt_cuda_vae *v, const float *in, int64_t T, int64_t at, int64_t n, float *out, aopt_error *err)
{
    return v->encoder ? aopt__gpu_encode_chunk(v, in, T, at, n, out, err) : aopt__gpu_decode_chunk(v, in, T, at, n, out, err);
}

static float *aopt__gpu_take(char *base, int64_t *used, int64_t floats)
{
    float *p = base ? (float *)(void *)(base + *used) : NULL;
    *used += (floats * (int64_t)sizeof(float) + 255) / 256 * 256;
    return p;
}

/* Lay out the arena; base NULL only counts.  Returns its bytes. */
static int64_t aopt__gpu_place(aopt_cuda_vae *v, char *base)
{
    int64_t used = 0, start;
    int i;
    for (i = 0; i < v->param_n; i++) v->param[i].data = aopt__gpu_take(base, &used, v->param[i].co * v->param[i].ci * (v->param[i].taps ? v->param[i].taps : 1));
    start = used;
    v->history = base ? (float *)(void *)(base + start) : NULL;
    for (i = 0; i < v->param_n; i++) v->param[i].history = aopt__gpu_take(base, &used, v->param[i].history_n);
    v->history_n = (used - start) / (int64_t)sizeof(float);
    for (i = 0; i < AOPT__SLOTS; i++) v->slot[i] = aopt__gpu_take(base, &used, v->slot_n[i]);
    v->workspace = aopt__gpu_take(base, &used, AOPT__CUDA_WORKSPACE / (int64_t)sizeof(float));
    v->scale = v->options.raw_latent ? NULL : aopt__gpu_take(base, &used, AOPT_VAE_Z);
    v->shift = v->options.raw_latent ? NULL : aopt__gpu_take(base, &used, AOPT_VAE_Z);
    return used;
}

/* Everything that needs no device: *out on the host, filled, with the bytes of its arena. */
static aopt_status aopt__gpu_plan(const aopt_vae *vae, int encoder, int64_t h, int64_t w, const aopt_cuda_options *options, aopt_cuda_vae **out, int64_t *bytes, aopt_error *err)
{
    aopt_cuda_vae *v;
    aopt_status st;
    int i;
    if (!vae || !out) return aopt_fail(err, AOPT_E_ARG, "CUDA VAE: a pointer is NULL");
    if (!(encoder ? &vae->encoder : &vae->decoder)->present) return aopt_fail(err, AOPT_E_MISSING, "this checkpoint has no %s", encoder ? "encoder" : "decoder");
    if (h < 1 || w < 1 || h > 16384 || w > 16384 || (options && (options->chunk < 0 || options->chunk > 1024)))
        return aopt_fail(err, AOPT_E_SHAPE, "latent of %lldx%lld in chunks of %lld: sizes 1 to 16384, chunks to 1024", (long long)h, (long long)w, options ? (long long)options->chunk : 1LL);
    v = (aopt_cuda_vae *)aopt__alloc(1, (int64_t)sizeof *v);
    if (!v) return aopt_fail(err, AOPT_E_MEMORY, "CUDA VAE: no host memory");
    memset(v, 0, sizeof *v);
    v->coder = encoder ? vae->encoder : vae->decoder;
    v->outer = encoder ? vae->conv1 : vae->conv2;
    v->encoder = encoder;
    v->h = h;
    v->w = w;
    if (options) v->options = *options;
    if (v->options.chunk == 0) v->options.chunk = 1;
    v->planning = 1;
    st = aopt__gpu_chunk(v, NULL, 1 + v->options.chunk, 0, 1, NULL, err);
    if (!st) st = aopt__gpu_chunk(v, NULL, 1 + v->options.chunk, 1, v->options.chunk, NULL, err);
    if (st) { AOPT_FREE(v); return st; }
    v->planning = 0;
    for (i = 0; i < v->param_n; i++) {                  /* weights pass through this buffer on their way to be packed */
        const int64_t n = v->param[i].co * v->param[i].ci * v->param[i].taps;
        if (n > v->slot_n[AOPT__SLOT_ROWS]) v->slot_n[AOPT__SLOT_ROWS] = n;
    }
    *bytes = aopt__gpu_place(v, NULL);
    *out = v;
    return AOPT_OK;
}

/* One parameter to its place; host: room for it as f32, used where the tensor is not f32 already. */
static aopt_status aopt__gpu_upload(aopt_cuda_vae *v, aopt__cuda_param *p, float *host, aopt_error *err)
{
    const int64_t n = p->co * p->ci * (p->taps ? p->taps : 1);
    const float *from = host;
    float *to = p->taps ? v->slot[AOPT__SLOT_ROWS] : p->data;
    int64_t i;
    aopt_status st = AOPT_OK;
    if (p->source->dtype == AOPT_F32 && aopt_tensor_contiguous(p->source) && aopt_tensor_numel(p->source) == n) from = (const float *)p->source->data;
    else st = aopt_tensor_to_f32(p->source, host, n, err);
    if (st) return st;
    for (i = 0; i < n && isfinite(from[i]); i++) { }
    if (i < n) return aopt_fail(err, AOPT_E_VALUE, "%s: element %lld is not finite", p->source->name ? p->source->name : "weight", (long long)i);
    AOPT__CUDA(cudaMemcpyAsync(to, from, (size_t)n * sizeof(float), cudaMemcpyHostToDevice, v->options.stream));
    if (p->taps) st = aopt_cuda_pack_conv(to, p->co, p->ci, p->taps, p->data, v->options.stream, err);
    if (st) return st;
    AOPT__CUDA(cudaStreamSynchronize(v->options.stream));       /* host is reused */
    return AOPT_OK;
}

static aopt_status aopt__gpu_upload_all(aopt_cuda_vae *v, const float *mean, const float *std, aopt_error *err)
{
    int64_t most = 1;
    float *host;
    aopt_status st = AOPT_OK;
    int i;
    for (i = 0; i < v->param_n; i++) {
        const int64_t n = v->param[i].co * v->param[i].ci * (v->param[i].taps ? v->param[i].taps : 1);
        if (n > most) most = n;
    }
    host = (float *)aopt__alloc(most, (int64_t)sizeof *host);
    if (!host) return aopt_fail(err, AOPT_E_MEMORY, "CUDA VAE: no host memory for %lld weights", (long long)most);
    for (i = 0; i < v->param_n && !st; i++) st = aopt__gpu_upload(v, &v->param[i], host, err);
    AOPT_FREE(host);
    if (st || v->options.raw_latent) return st;
    AOPT__CUDA(cudaMemcpy(v->scale, std, AOPT_VAE_Z * sizeof(float), cudaMemcpyHostToDevice));
    AOPT__CUDA(cudaMemcpy(v->shift, mean, AOPT_VAE_Z * sizeof(float), cudaMemcpyHostToDevice));
    return AOPT_OK;
}

/* The device side of an open: memory, cuBLAS, weights.  What was taken before a failure is close's to give back. */
static aopt_status aopt__gpu_open(aopt_cuda_vae *v, int64_t bytes, const aopt_vae *vae, aopt_error *err)
{
    const char *what = v->encoder ? "encode" : "decode";
    size_t available, total;
    if (v->options.memory_limit > 0 && bytes > v->options.memory_limit)
        return aopt_fail(err, AOPT_E_MEMORY, "%s at latent %lldx%lld needs %lld bytes of device memory, the limit is %lld",
                         what, (long long)v->h, (long long)v->w, (long long)bytes, (long long)v->options.memory_limit);
    AOPT__CUDA(cudaSetDevice(v->options.device));
    AOPT__CUDA(cudaMemGetInfo(&available, &total));
    if ((uint64_t)bytes > available)
        return aopt_fail(err, AOPT_E_MEMORY, "%s at latent %lldx%lld needs %lld bytes of device memory, device %d has %llu free of %llu",
                         what, (long long)v->h, (long long)v->w, (long long)bytes, v->options.device, (unsigned long long)available, (unsigned long long)total);
    AOPT__CUDA(cudaMalloc((void **)&v->arena, (size_t)bytes));
    aopt__gpu_place(v, v->arena);
    AOPT__CUBLAS(cublasCreate(&v->blas));
    AOPT__CUBLAS(cublasSetStream(v->blas, v->options.stream));
    AOPT__CUBLAS(cublasSetWorkspace(v->blas, v->workspace, AOPT__CUDA_WORKSPACE));
    AOPT__CUBLAS(cublasSetMathMode(v->blas, v->options.tf32 ? CUBLAS_TF32_TENSOR_OP_MATH : CUBLAS_PEDANTIC_MATH));
    return aopt__gpu_upload_all(v, vae->mean, vae->std, err);
}

static aopt_status aopt__cuda_vae_open(const aopt_vae *vae, int encoder, int64_t h, int64_t w, const aopt_cuda_options *options, aopt_cuda_vae **out, aopt_error *err)
{
    aopt_cuda_vae *v = NULL;
    int64_t bytes = 0;
    int device = 0;
    aopt_status st;
    if (out) *out = NULL;
    st = aopt__gpu_plan(vae, encoder, h, w, options, out ? &v : NULL, &bytes, err);
    if (st) return st;
    AOPT__CUDA(cudaGetDevice(&device));
    st = aopt__gpu_open(v, bytes, vae, err);
    if (st) aopt_cuda_vae_close(v);
    else *out = v;
    cudaSetDevice(device);
    return st;
}

AOPT__DEF aopt_status aopt_cuda_vae_decoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options, aopt_cuda_vae **out, aopt_error *err)
{
    return aopt__cuda_vae_open(vae, 0, h, w, options, out, err);
}

AOPT__DEF aopt_status aopt_cuda_vae_encoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options, aopt_cuda_vae **out, aopt_error *err)
{
    return aopt__cuda_vae_open(vae, 1, h, w, options, out, err);
}

static int64_t aopt__cuda_vae_bytes(const aopt_vae *vae, int encoder, int64_t h, int64_t w, const aopt_cuda_options *options)
{
    aopt_cuda_vae *v = NULL;
    int64_t bytes = -1;
    if (aopt__gpu_plan(vae, encoder, h, w, options, &v, &bytes, NULL)) return -1;
    AOPT_FREE(v);
    return bytes;
}

AOPT__DEF int64_t aopt_cuda_vae_decode_bytes(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options)
{
    return aopt__cuda_vae_bytes(vae, 0, h, w, options);
}

AOPT__DEF int64_t aopt_cuda_vae_encode_bytes(const aopt_vae *vae, int64_t h, int64_t w, const aopt_cuda_options *options)
{
    return aopt__cuda_vae_bytes(vae, 1, h, w, options);
}

/* The first latent frame alone, then chunks; every clip starts from zero history. */
static aopt_status aopt__gpu_clip(aopt_cuda_vae *v, const float *in, int64_t T, float *out, aopt_error *err)
{
    int64_t at, n;
    AOPT__CUDA(cudaSetDevice(v->options.device));
    AOPT__CUDA(cudaMemsetAsync(v->history, 0, (size_t)v->history_n * sizeof(float), v->options.stream));
    for (at = 0; at < T; at += n) {
        aopt_status st;
        n = at == 0 ? 1 : T - at < v->options.chunk ? T - at : v->options.chunk;
        st = aopt__gpu_chunk(v, in, T, at, n, out, err);
        if (st) return st;
        if (!v->options.progress) continue;
        AOPT__CUDA(cudaStreamSynchronize(v->options.stream));
        if (v->options.progress(v->options.progress_user, v->encoder ? "encode" : "decode", at + n, T))
            return aopt_fail(err, AOPT_E_CANCELLED, "%s: stopped after %lld of %lld latent frames", v->encoder ? "encode" : "decode", (long long)(at + n), (long long)T);
    }
    AOPT__CUDA(cudaStreamSynchronize(v->options.stream));
    return AOPT_OK;
}

static aopt_status aopt__cuda_vae_run(aopt_cuda_vae *v, int encoder, const float *in, int64_t T, float *out, aopt_error *err)
{
    int device = 0;
    aopt_status st;
    if (!v || !in || !out || v->encoder != encoder) return aopt_fail(err, AOPT_E_ARG, "CUDA VAE: a pointer is NULL, or the %s was opened", encoder ? "decoder" : "encoder");
    if (T < 1 || T > INT_MAX) return aopt_fail(err, AOPT_E_SHAPE, "%lld latent frames", (long long)T);
    AOPT__CUDA(cudaGetDevice(&device));
    st = aopt__gpu_clip(v, in, T, out, err);
    cudaSetDevice(device);
    return st;
}

AOPT__DEF aopt_status aopt_cuda_vae_decode(aopt_cuda_vae *d, const float *latent, int64_t T, float *video, aopt_error *err)
{
    return aopt__cuda_vae_run(d, 0, latent, T, video, err);
}

AOPT__DEF aopt_status aopt_cuda_vae_encode(aopt_cuda_vae *e, const float *video, int64_t F, float *latent, aopt_error *err)
{
    if (F < 1 || F % 4 != 1) return aopt_fail(err, AOPT_E_SHAPE, "%lld video frames, expected 1 + 4n", (long long)F);
    return aopt__cuda_vae_run(e, 1, video, 1 + (F - 1) / 4, latent, err);
}

AOPT__DEF void aopt_cuda_vae_close(aopt_cuda_vae *v)
{
    int device = 0;
    if (!v) return;
    cudaGetDevice(&device);
    cudaSetDevice(v->options.device);
    if (v->blas) cublasDestroy(v->blas);
    cudaFree(v->arena);
    cudaSetDevice(device);
    AOPT_FREE(v);
}

} /* extern "C" */
#endif /* AUTOOPT_CUDA */

/* ==== [I13] licence =====================================================================================
   MIT; the text is in LICENSE beside this file and at https://opensource.org/license/mit */
#endif /* AUTOOPT_IMPLEMENTED */
#endif /* AUTOOPT_IMPLEMENTATION */
