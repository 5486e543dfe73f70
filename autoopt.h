/* autoopt.h - v0.1 - the Wan 2.2 video VAE in C and CUDA, and the tools to prove a faster decoder of it equal

   DO THIS   in exactly one .c, .cpp or .cu file:
      #define AUTOOPT_IMPLEMENTATION
      #include "autoopt.h"
   gcc -O2 -fopenmp app.c -lm                                  CPU; -fopenmp and every other flag are optional
   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA app.c -lcublas         the same file, on an NVIDIA GPU

   DECODE A CLIP   a whole program: every call that can fail returns 0 on success and fills err otherwise
      #define AUTOOPT_IMPLEMENTATION
      #include "autoopt.h"
      enum { T = 5, h = 8, w = 8, F = 4 * T - 3 };          // latent frames, height, width; video frames
      static float latent[48 * T * h * w];                  // f32 [48][T][h][w], as the diffusion model makes it
      static float video[3 * F * 16 * h * 16 * w];          // f32 [3][F][16h][16w] in [-1, 1]
      int main(void)
      {
          aopt_checkpoint *ck = NULL; aopt_vae *vae = NULL; aopt_error err;
          const int failed = aopt_checkpoint_open("Wan2.2_VAE.pth", NULL, &ck, &err) || aopt_vae_open(ck, &vae, &err)
                          || aopt_vae_decode(vae, latent, T, h, w, NULL, video, &err);
          if (failed) fprintf(stderr, "%s\n", err.message);
          aopt_vae_close(vae); aopt_checkpoint_close(ck);
          return failed;
      }

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
      [A12] CUDA: the judge's buffers, the fp32 layers, decode and encode on a GPU, fast layers in fp16
      [A13] fast layers on a CPU: Winograd convolutions in fp32
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
      [I13] fast layers on a CPU
      [I14] licence
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
   AOPT_NO_VECTORS    impl        CPU reference in plain C, many times slower; what compilers without GNU vectors get
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
    char message[512];     /* one line: file, tensor, expected, found; of a longer one the end, after "..." */
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
AOPT_API const char *aopt_dtype_name(int dtype);                    /* "?" if it is none of them */
AOPT_API int aopt_dtype_bytes(int dtype);                           /* 0 if it is none of them */

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
/* "F32 [48][5][8][12]" into out (always terminated); returns out. */
AOPT_API char *aopt_tensor_describe(const aopt_tensor *t, char *out, size_t out_bytes);
/* Any dtype and stride -> contiguous f32 host memory out[n]; n must equal numel.  Integers convert by value, bools to 0 and 1.
   AOPT_E_ARG (NULL, device memory), AOPT_E_SHAPE (another n) */
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
   AOPT_E_ARG          path or out is NULL
   AOPT_E_IO           cannot open or map, or not a regular file
   AOPT_E_FORMAT       damaged or hostile (the message says what was found where)
   AOPT_E_UNSUPPORTED  TorchScript, tar, the pre-1.6 layout, compressed or encrypted entries, unknown pickle globals, opcodes or dtypes
   AOPT_E_CANCELLED    progress said so
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
   meta: 2*meta_n strings, key then value, for __metadata__; may be NULL.  After an error path is as it was before.
   AOPT_E_ARG (a tensor that is none of that, a name twice), AOPT_E_IO (also: path is a folder, device or pipe), AOPT_E_MEMORY,
   AOPT_E_UNSUPPORTED (AOPT_NO_STDIO) */
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
    int threads;                                /* 0 = all cores that this process may use; without OpenMP always 1.  GNU OpenMP's threads
                                                   spin while they wait: where other programs want the cores, OMP_WAIT_POLICY=passive */
    int raw_latent;                             /* 1 = latents are not normalised: no mean and std applied */
    int64_t memory_limit;                       /* bytes; refuse (AOPT_E_MEMORY, with the prediction) above; 0 = what the machine has free */
    aopt_progress progress; void *progress_user;
    struct aopt_profile *profile;               /* [A7], or NULL */
} aopt_vae_options;

/* Bind and check every tensor.  out: owned by the caller (aopt_vae_close); ck is borrowed until then.  A checkpoint with only a decoder (or only an encoder) is fine: the other half is `present` = 0.
   AOPT_E_MISSING  a tensor is absent (named)          AOPT_E_SHAPE  a shape does not fit (name, expected, found), or the z = 16 VAE
   AOPT_E_VALUE    a tensor that belongs to no layer (named)        AOPT_E_UNSUPPORTED  a dtype other than F32 F16 BF16 F64
   AOPT_E_ARG, AOPT_E_MEMORY.   NaN and infinity among the weights are found when a decoder or encoder is opened. */
AOPT_API aopt_status aopt_vae_open(const aopt_checkpoint *ck, aopt_vae **out, aopt_error *err);
AOPT_API void aopt_vae_close(aopt_vae *vae);                        /* NULL is fine */

AOPT_API int64_t aopt_vae_frames(int64_t T);                        /* video frames of T latent frames: 1 + 4*(T-1); -1 if T < 1 */
AOPT_API int64_t aopt_vae_latent_frames(int64_t F);                 /* latent frames of F video frames; -1 unless F = 1 + 4n */
/* FLOPs are 0, bytes -1, where the checkpoint lacks that half or a size is out of range (h, w: 1 to 1048576). */
AOPT_API double aopt_vae_decode_flops(const aopt_vae *vae, int64_t T, int64_t h, int64_t w);   /* 2 per multiply-add */
AOPT_API double aopt_vae_encode_flops(const aopt_vae *vae, int64_t T, int64_t h, int64_t w);
AOPT_API int64_t aopt_vae_decode_peak_bytes(const aopt_vae *vae, int64_t h, int64_t w);        /* packed weights, caches and work of one chunk */
AOPT_API int64_t aopt_vae_encode_peak_bytes(const aopt_vae *vae, int64_t h, int64_t w);

/* Whole clip, fp32 reference on the CPU.
   latent  in   f32 [48][T][h][w], contiguous host memory, in the diffusion model's scale (options->raw_latent: not normalised)
   video   out  f32 [3][F][16h][16w], clamped to [-1, 1]; must not overlap latent; unspecified after an error
   AOPT_E_SHAPE    a size < 1 or too large       AOPT_E_MISSING  no decoder in the checkpoint     AOPT_E_VALUE  NaN or infinity among the
   weights (tensor named)     AOPT_E_MEMORY (predicted and available bytes named), AOPT_E_ARG, AOPT_E_CANCELLED */
AOPT_API aopt_status aopt_vae_decode(const aopt_vae *vae, const float *latent, int64_t T, int64_t h, int64_t w,
                                     const aopt_vae_options *options, float *video, aopt_error *err);
/* video f32 [3][F][H][W] in [-1, 1] -> latent f32 [48][T][H/16][W/16]: the mean of the posterior, no sampling.  F = 1 + 4n, H and W
   multiples of 16, else AOPT_E_SHAPE; the other errors are those of decode. */
AOPT_API aopt_status aopt_vae_encode(const aopt_vae *vae, const float *video, int64_t F, int64_t H, int64_t W,
                                     const aopt_vae_options *options, float *latent, aopt_error *err);

/* Chunk by chunk, in the memory of one chunk, bit-equal to the whole clip.  One thread at a time per decoder.  open: *out is the
   caller's (close; NULL is fine), vae and its checkpoint are borrowed until then; the errors are those of aopt_vae_decode. */
typedef struct aopt_vae_decoder aopt_vae_decoder;
/* frame: f32 [3][16h][16w], valid during the call.  Nonzero return = stop (AOPT_E_CANCELLED). */
typedef int (*aopt_frame_fn)(void *user, const float *frame, int64_t index, int64_t H, int64_t W);
AOPT_API aopt_status aopt_vae_decoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_vae_options *options,
                                           aopt_vae_decoder **out, aopt_error *err);
/* The next n latent frames: f32 [48][n][h][w] with `channel_stride` elements from one channel to the next (n*h*w if contiguous).
   Calls frame() once for the first latent frame of a clip and four times for each later one.  Allocates nothing.
   After any error the decoder is as after reset. */
AOPT_API aopt_status aopt_vae_decoder_step(aopt_vae_decoder *d, const float *latent, int64_t n, int64_t channel_stride,
                                           aopt_frame_fn frame, void *user, aopt_error *err);
AOPT_API void aopt_vae_decoder_reset(aopt_vae_decoder *d);          /* the next step starts a new clip */
AOPT_API void aopt_vae_decoder_close(aopt_vae_decoder *d);

typedef struct aopt_vae_encoder aopt_vae_encoder;
/* latent: f32 [48][h][w] of one latent frame, valid during the call. */
typedef int (*aopt_latent_fn)(void *user, const float *latent, int64_t index, int64_t h, int64_t w);
AOPT_API aopt_status aopt_vae_encoder_open(const aopt_vae *vae, int64_t H, int64_t W, const aopt_vae_options *options,
                                           aopt_vae_encoder **out, aopt_error *err);
/* The next n video frames, f32 [3][n][H][W] with `channel_stride` elements from one channel to the next; any n >= 1.  Calls latent()
   when a latent frame is complete: after video frame 0, 4, 8, ...  Allocates nothing.  After any error as after reset. */
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
/* Add one call of `name`: seconds of wall time, FLOPs done, least bytes moved.  63 bytes of a name count; new names beyond
   AOPT_PROFILE_MAX are dropped.  Not thread-safe.  p NULL: nothing. */
AOPT_API void aopt_profile_add(aopt_profile *p, const char *name, double seconds, double flops, double bytes);
AOPT_API double aopt_seconds(void);                                /* monotonic clock */

/* ==== [A8] ops ==========================================================================================
   The fp32 CPU reference of each layer: what kernels are checked against, and what the decoder above is made of.
   Frames are f32 [T][H][W][C], contiguous, host memory; weights are f32 as in the checkpoint ([Co][Ci][kt][kh][kw]).
   threads = 0: all cores that this process may use.  The same bits for every number of threads and every way of
   cutting T into calls.  Outputs never overlap inputs.  Those that return a status need scratch memory (AOPT_E_MEMORY)
   or refuse sizes (AOPT_E_ARG); sizes must be >= 1. */
typedef struct aopt_ref_conv { int64_t ci, co; int kt, kh, kw; const float *weight, *bias; } aopt_ref_conv;

/* Causal convolution, kernel 1 or 3 in time and 1x1 or 3x3 in space, zero border: x [T][H][W][ci] -> y [T][H][W][co].
   history  in/out [2][H][W][ci]: the two frames before x, then the last two seen.  NULL: zeros, nothing kept; unused if kt = 1. */
AOPT_API aopt_status aopt_ref_conv3d(const aopt_ref_conv *conv, const float *x, int64_t T, int64_t H, int64_t W, float *history,
                                     float *y, int threads, aopt_error *err);
/* 3x3 with stride 2, zeros to the right and below only: x [T][H][W][ci] -> y [T][H/2][W/2][co]; H and W even. */
AOPT_API aopt_status aopt_ref_conv2d_down(const aopt_ref_conv *conv, const float *x, int64_t T, int64_t H, int64_t W,
                                          float *y, int threads, aopt_error *err);
/* Decoder, 3x1x1 with co = 2*ci, frames doubled: x [T][H][W][ci] -> y [2T][H][W][ci]; channels 0..ci-1 are the earlier frame. */
AOPT_API aopt_status aopt_ref_time_conv_up(const aopt_ref_conv *conv, const float *x, int64_t T, int64_t H, int64_t W, float *history,
                                           float *y, int threads, aopt_error *err);
/* Encoder, 3x1x1 with stride 2 in time: the last frame before x and x [T][H][W][ci] -> y [T/2][H][W][co]; T even. */
AOPT_API aopt_status aopt_ref_time_conv_down(const aopt_ref_conv *conv, const float *last, const float *x, int64_t T, int64_t H, int64_t W,
                                             float *y, int threads, aopt_error *err);
/* x / max(||x||, 1e-12) * sqrt(C) * gamma over the channels of each of P positions; the second also applies SiLU. */
AOPT_API void aopt_ref_rms_norm(const float *x, int64_t P, int64_t C, const float *gamma, float *y, int threads);
AOPT_API void aopt_ref_rms_norm_silu(const float *x, int64_t P, int64_t C, const float *gamma, float *y, int threads);
/* y = exp(x), n values.  Relative error below 2.5e-7 for |x| <= 87; outside, exp(-87) and exp(88) are the limits.  NaN stays NaN. */
AOPT_API void aopt_ref_exp(const float *x, int64_t n, float *y);
/* One head over the P positions of a frame: qkv [P][3C] (q, then k, then v) -> y [P][C] = softmax(q k^T / sqrt(C)) v. */
AOPT_API aopt_status aopt_ref_attention(const float *qkv, int64_t P, int64_t C, float *y, int threads, aopt_error *err);
/* Nearest neighbour, twice the size: x [T][H][W][C] -> y [T][2H][2W][C]. */
AOPT_API void aopt_ref_upsample(const float *x, int64_t T, int64_t H, int64_t W, int64_t C, float *y, int threads);
/* DupUp3D: repeat channels, then spread them over ft frames and fs x fs pixels.  x [T][H][W][ci] -> y [T*ft - drop][fs*H][fs*W][co]
   with drop = ft - 1 if `first` (the first chunk of a clip), else 0.  co*ft*fs*fs must be a multiple of ci. */
AOPT_API void aopt_ref_dup_up(const float *x, int64_t T, int64_t H, int64_t W, int64_t ci, int64_t co, int ft, int fs, int first,
                              float *y, int threads);
/* AvgDown3D: x [T][H][W][ci] -> y [ceil(T/ft)][H/fs][W/fs][co], the mean over groups of ci*ft*fs*fs/co values; zero frames are
   put in front to make T a multiple of ft.  H, W multiples of fs; ci*ft*fs*fs a multiple of co. */
AOPT_API void aopt_ref_avg_down(const float *x, int64_t T, int64_t H, int64_t W, int64_t ci, int64_t co, int ft, int fs,
                                float *y, int threads);
/* One frame: [3][2H][2W] channels-first <-> [H][W][12], channel (c*2 + column)*2 + row of the 2x2 patch. */
AOPT_API void aopt_ref_patchify(const float *frame, int64_t channel_stride, int64_t H, int64_t W, float *y, int threads);
AOPT_API void aopt_ref_unpatchify(const float *x, int64_t H, int64_t W, float *frame, int threads);     /* clamps to [-1, 1] */

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

/* Tensors are contiguous f32 with their data already allocated by the caller; inputs of these calls are in host memory, outputs and what
   compare reads where their `device` says.
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
    /* The frozen decoder, in the form of a candidate: what the baseline times. */
    aopt_status (*build_reference)(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err);
    /* The same at the precision that most people call fp32 (TF32 products), a second baseline; NULL = none. */
    aopt_status (*build_usual)(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err);
    /* The truth, fp32, by the first.  With a prefix the rest of output is left alone.  progress may be NULL. */
    aopt_status (*reference)(const aopt_model *model, const aopt_device *device, const aopt_tensor *input, int64_t prefix,
                             aopt_tensor *output, aopt_progress progress, void *user, aopt_error *err);
    /* Fill metric[] and return how many.  Must survive NaN and infinities: they make a value NaN, never a good one. */
    int (*compare)(const aopt_tensor *want, const aopt_tensor *got, int64_t prefix, aopt_metric metric[AOPT_MAX_METRICS]);
    const aopt_command *command; int command_n;
} aopt_target;

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
/* How many elements of x are NaN or infinite, by their bits; *first likewise. */
AOPT_API int64_t aopt_ref_nonfinite(const float *x, int64_t n, int64_t *first);

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
AOPT_API aopt_status aopt_cuda_nonfinite(const float *x, int64_t n, uint64_t *result, struct CUstream_st *stream, aopt_error *err);     /* likewise */
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

/* ---- Fast layers: fp16 operands, f32 arithmetic.
   A 3x3x3 causal convolution is three calls: input transform, tap GEMM, output transform.  Over height and width it is a
   2-D Winograd, F(4x4,3x3) with 36 products per 4x4 tile instead of 144 or F(6x6,3x3) with 64 per 6x6 instead of 324; the GEMM
   sums the three time taps.  Nearest-upsample and its 3x3 convolution are the same three calls with 25 products per 2x2
   low-resolution positions instead of 144, or 81 per 4x4 instead of 576.
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
   a     fp16 [batch][frames + taps - 1][rows] rows of k elements, a_row elements apart; frames a_frame apart, 0: they follow each other
   w     fp16 [batch][taps][n] rows of k elements, w_row apart
   c     fp16 [batch][frames][rows] rows of n elements, c_row apart, frames c_frame apart or, 0, following each other; elements from n to the next multiple of 8 may become anything finite
   bias  f32 [n], or NULL
   Any frames, rows, n, k >= 1.  Frames hold their rows.  a_row, w_row, c_row, frame and batch strides (unused where batch is 1) are multiples of 8, pointers of
   16 bytes.  One tap is an ordinary batched GEMM; three taps are a causal convolution over frames, two frames of history first.
   a_last  NULL, or where the last taps - 1 frames of a lie, and a_first, where the first do, NULL for zeros: fp16 [batch][taps - 1][rows] rows, a_row apart, without gaps
           between frames.  a then holds what is between them, [batch][frames - taps + 1][rows], and is unused (may be NULL) if that is nothing; a frame that is in
           both, of fewer than taps - 1, is read from the first.  So the last frames of one call are the first of the next without a copy.  Unused with one tap;
           a_first alone is AOPT_E_ARG */
typedef struct aopt_tapgemm {
    int64_t batch, frames, rows, n, k;
    int taps;
    const struct __half *a; int64_t a_row, a_frame, a_batch;
    const struct __half *a_first, *a_last;
    const struct __half *w; int64_t w_row, w_batch;
    struct __half *c; int64_t c_row, c_frame, c_batch;
    float alpha;
    const float *bias;
} aopt_tapgemm;
/* blas NULL: wgmma (the caller has asked aopt_cuda_has_wgmma).  Else cuBLAS, one call per tap, for other GPUs and as a check:
   each tap's product is rounded to fp16, then its sum with c; blas is left set to stream.
   AOPT_E_ARG  a size, stride or pointer is not as above    AOPT_E_SHAPE  too large for one launch */
AOPT_API aopt_status aopt_cuda_tapgemm(struct cublasContext *blas, const aopt_tapgemm *g, struct CUstream_st *stream, aopt_error *err);

/* How the wgmma launch is cut; the sums do not depend on it.  Zero fields are chosen. */
typedef struct aopt_tapgemm_plan {
    int tile_rows;                      /* 32, 64, 128 or 256: a tile is tile_rows rows of 256/tile_rows frames */
    int a_stages, w_stages;             /* depths of the rings in shared memory, at least 2 */
    int grid;                           /* blocks; 0 = one per multiprocessor.  An even number works in pairs that share a where ceil(n / 128) is even and 256 / tile_rows + taps - 1 is 1 or even */
} aopt_tapgemm_plan;
AOPT_API aopt_status aopt_cuda_tapgemm_planned(const aopt_tapgemm *g, const aopt_tapgemm_plan *plan, struct CUstream_st *stream, aopt_error *err);

/* Weights, once per layer, in double: u = 2^s * sum over the taps of form[p][tap] * w[co][ci][t][tap], rounded to fp16, with
   the s that brings max|u| into [1/2, 1): far from fp16's limits on both sides. */
enum { AOPT_WINO_BLOCK = 64, AOPT_WINO_TIME_PRODUCTS = 6, AOPT_WINO_PRODUCTS = 36, AOPT_WINO6_PRODUCTS = 64, AOPT_UPSAMPLE_PRODUCTS = 25, AOPT_UPSAMPLE4_PRODUCTS = 81,
       AOPT_HEAD_PRODUCTS = 9, AOPT_HEAD_N = 108, AOPT_HEAD_ROW = 112 };
typedef struct aopt_conv_form {
    const double *form; int products, taps;     /* host [products][taps]; taps 27 (3x3x3, with kt 1), 9 (3x3, row by row) or 1 */
    int frames_first;                           /* 0: u is [products][kt][co][ci]; 1: [kt][products][co][ci] */
    const double *carry;                        /* host [products][products], or NULL: each u is rounded on its own.  Else in order: of u[p] the rounding error of
                                                   every u[q < p] is taken off, times carry[p][q] */
} aopt_conv_form;
/* Host f64.  Of any other tile nothing is written. */
AOPT_API void aopt_wino_form_tile(int tile, double *form);                    /* 3x3x3 convolutions, [(tile+2)^2][9], tile 4 or 6 */
AOPT_API void aopt_wino_time_form(int tile, double *form);                    /* the same with a time tile of 4, kt 1; [6*(tile+2)^2][27] */
/* The carry of a Winograd form that makes the expected squared error of the outputs least, for white input: errors of products that meet in the same outputs
   cancel.  Of what the rounding of weights does to the outputs, 0.43 is left with tile 4, 0.19 with 6, over time 0.28 and 0.14 (test_wino_carry prints it).
   tile 4 or 6; time_tile 0 or 4; host f64 [n][n], n = (tile+2)^2, times 6 with a time tile.  The order of updates is GPTQ's (Frantar et al., 2022), the
   matrix that of the transforms. */
AOPT_API void aopt_wino_carry(int tile, int time_tile, double *carry);
AOPT_API void aopt_upsample_form_tile(int tile, double *form);                /* 3x3 after nearest-upsample, kt 1; [(2*tile+1)^2][9], tile 2 or 4 */
AOPT_API void aopt_head_form(double form[AOPT_HEAD_PRODUCTS * 9]);            /* the head, frames_first */
AOPT_API void aopt_wino_form(double form[AOPT_WINO_PRODUCTS * 9]);            /* with tiles of 4 */
AOPT_API void aopt_upsample_form(double form[AOPT_UPSAMPLE_PRODUCTS * 9]);    /* with tiles of 2 */
/* w  device f32 [co][ci][kt][taps]    u  device fp16, products*kt*co*ci elements    *alpha = 2^-s
   Blocks, and allocates a little device memory meanwhile.  AOPT_E_VALUE: NaN or infinity among the weights. */
AOPT_API aopt_status aopt_cuda_conv_weights(const aopt_conv_form *f, const float *w, int co, int ci, int kt, struct __half *u, float *alpha, aopt_error *err);

/* r of a tensor that no transform wrote.  x fp16 [P][C], r f32 [P]. */
AOPT_API aopt_status aopt_cuda_norm_factor(const struct __half *x, float *r, int64_t P, int C, int norm_c, struct CUstream_st *stream, aopt_error *err);
/* y = silu(x * r * gamma).  x, y fp16 [P][C] (y may be x), r f32 [P], gamma f32 [C]; P*C/8 < 2^31. */
AOPT_API aopt_status aopt_cuda_norm_silu(const struct __half *x, const float *r, const float *gamma, struct __half *y, int64_t P, int C,
                                         struct CUstream_st *stream, aopt_error *err);
/* The same without SiLU: y = x * r * gamma. */
AOPT_API aopt_status aopt_cuda_norm(const struct __half *x, const float *r, const float *gamma, struct __half *y, int64_t P, int C,
                                    struct CUstream_st *stream, aopt_error *err);
/* y = a + b and r of y, all fp16 [P][C] of one scale; y may be a or b. */
AOPT_API aopt_status aopt_cuda_add_norm(const struct __half *a, const struct __half *b, struct __half *y, float *r, int64_t P, int C, int norm_c,
                                        struct CUstream_st *stream, aopt_error *err);
/* *max = the larger of *max (device, >= 0) and every |x|, x fp16 [n]; NaN once there is a NaN. */
AOPT_API aopt_status aopt_cuda_max_abs(const struct __half *x, int64_t n, float *max, struct CUstream_st *stream, aopt_error *err);
/* A 1x1 convolution from f32 channels-first into fp16 channels-last: y[p][c] = bias[c] + sum over k < ci of w[k][c] * x[k*x_channel + p].
   w f32 [ci][C], bias f32 [C], y fp16 [P][C]. */
AOPT_API aopt_status aopt_cuda_point_in(const float *x, int64_t x_channel, const float *w, const float *bias, struct __half *y, int64_t P, int ci, int C,
                                        struct CUstream_st *stream, aopt_error *err);
/* y[row] = out_scale * softmax(scale * x[row]); x f32, y fp16 [rows][columns].  out_scale keeps small probabilities out of fp16's
   subnormal range; at most 32768. */
AOPT_API aopt_status aopt_cuda_softmax_half(const float *x, struct __half *y, int64_t rows, int64_t columns, float scale, float out_scale,
                                            struct CUstream_st *stream, aopt_error *err);

/* Winograd.  Tiles are m x m positions, m = 4 or 6, ceil(H/m) rows of ceil(W/m), counted row by row; n = m + 2; product p = n*k + l, k along H,
   l along W.  6: 1.78 products a position instead of 2.25, and 13 dB more noise on white input.
   v[p][f] = fp16(B^T d B) of d = silu(x * r * gamma), or of d = x where r is NULL; d outside the frame is 0.
   x          fp16 [frames][H][W][C]                     r          f32 [frames][H][W], or NULL
   history    fp16 [2][H][W][C], the two frames before   r_history  f32 [2][H][W]; both NULL at the start of a clip: zeros
   gamma      f32 [C], unused without r                  v          fp16 [n*n][frames + 2][tiles][C], history first; below 4 GB a product
   m = 6 only with r.
   Then a tap GEMM with batch n*n, rows = tiles, taps 3; then y = alpha * A^T m A + bias + residual, and r of y:
   m          fp16 [n*n][frames][tiles][C]               bias       f32 [C]
   residual   fp16 [frames][H][W][C] in y's scale, or NULL; may be y
   y          fp16 [frames][H][W][C]                     r          f32 [frames][H][W], or NULL
   gamma      f32 [C], or NULL.  Given, y = silu(norm of the sum * gamma) instead of the sum, in f32 up to the one rounding, and r is
              unused; C <= 512, with m = 6 <= 256
   time_tile  0, or 4: F(4,3) along time too, AOPT_WINO_TIME_PRODUCTS products per 4 frames instead of 12, one tap in the GEMM, and 5 to 7 dB more noise on white
              input.  Row g*tiles + t is tile t of frames 4g-2-front .. 4g+3-front, g < G = ceil((front + frames) / 4); rows lie in blocks of
              AOPT_WINO_BLOCK, v and m fp16 [ceil(G*tiles / BLOCK)][6*n*n][BLOCK][C], product q*n*n + p, q along time.  In the GEMM blocks are frames; what
              it makes of the rest of the last block, which nothing writes, no result depends on.  Needs r; no gamma in the output.  SiLU by
              tanh.approx, off by up to |x| * 2^-12, as it is with m = 6 and no time tile.
   front      with a time tile: 1 to 3 zero frames before the first, at the start of a clip only.  In the input also below 0: of `frames` frames the first
              -front are read, but the first tile of time starts after them; one must be left.  A cut changes no bits where front and the frames before it
              are whole tiles of time.
   v_last     NULL, or, without a time tile and a history, where the last two frames go, fp16 [n*n][2][tiles][C] (a single one into the second place): v is then
              [n*n][frames - 2][tiles][C], unused with one or two frames; for a_first and a_last of the GEMM, where the history is the v_last of the call before
   tail, y_tail, residual_tail   NULL, or where the frames of x, y or the residual (x and the residual: with a time tile only) from `tail_at` on lie instead, in the same
              layout, 16-byte aligned: so the last two of a chunk become the history of the next without a copy.  tail_at counts from the first
              frame of x or y, in an output from -1 on; r has no tail.  residual_tail may be y_tail
   All on the device; tile = m; frames up to 65533.  AOPT_E_ARG: a size, tile or combination that is not as above    AOPT_E_CUDA: the launch failed
   AOPT_E_UNSUPPORTED, input with a time tile: a block cannot have the 91 KB (m = 6: 191 KB) of shared memory that it needs; on Hopper also a driver before 12.0 */
typedef struct aopt_wino_input {
    const struct __half *x, *history;
    const float *r, *r_history, *gamma;
    struct __half *v;
    int64_t frames, H, W;
    int C, tile, time_tile, front;
    const struct __half *tail;
    int64_t tail_at;
    struct __half *v_last;
} aopt_wino_input;
typedef struct aopt_wino_output {
    const struct __half *m;
    float alpha;
    const float *bias;
    const struct __half *residual;
    struct __half *y;
    float *r;
    int64_t frames, H, W;
    int C, norm_c, tile, time_tile, front;
    const float *gamma;
    const struct __half *residual_tail;
    struct __half *y_tail;
    int64_t tail_at;
} aopt_wino_output;
AOPT_API aopt_status aopt_cuda_wino_input(const aopt_wino_input *a, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_wino_output(const aopt_wino_output *a, struct CUstream_st *stream, aopt_error *err);

/* Nearest-upsample by 2 and its 3x3 convolution, H W the low resolution, in tiles of 2x2 or 4x4 low-resolution positions: n = 2 or 4.
   (H/n + 1) rows of (W/n + 1) tiles: tile (i, j) reads low-resolution rows n*i-1 .. n*i+n-1 and makes output rows 2n*i-1 .. 2n*i+2n-2,
   columns likewise.  R = frames * tiles.  4: 81 products per 8x8 outputs instead of 25 per 4x4, and about 3 dB more noise on white input.
   v[k] = the (n+1)^2 combinations of a tile's window (see aopt_upsample_form_tile's definition), in the order 00 | 01 .. 0n 10 .. n0 | 11 .. 1n 21 .. nn:
   x         fp16 [frames/phases][H][W][phases*C]: frame f is phase f % phases of the channels, as a time convolution
             that doubles the frames leaves them; phases 1: [frames][H][W][C]
   v         fp16 [(n+1)^2] planes of [frames][tiles][C], v_plane elements apart (more than frames*tiles*C if it is filled in parts)
   All on the device; tile = n.  AOPT_E_ARG: a size or tile that is not as above, here and in the two calls below    AOPT_E_CUDA: a launch failed */
typedef struct aopt_upsample_input {
    const struct __half *x;
    struct __half *v;
    int64_t v_plane, frames, H, W;
    int C, phases, tile;
} aopt_upsample_input;
AOPT_API aopt_status aopt_cuda_upsample_input(const aopt_upsample_input *a, struct CUstream_st *stream, aopt_error *err);
/* Three GEMMs: u from aopt_upsample_form_tile, m fp16 [(2n+1)^2*R*co]: [R][co] | [2n][R][2co] | [n*n][R][4co].  blas as in aopt_cuda_tapgemm. */
AOPT_API aopt_status aopt_cuda_upsample_gemm_tile(struct cublasContext *blas, const struct __half *v, int64_t v_plane, const struct __half *u, struct __half *m,
                                                  int64_t R, int ci, int co, int tile, struct CUstream_st *stream, aopt_error *err);
AOPT_API aopt_status aopt_cuda_upsample_gemm(struct cublasContext *blas, const struct __half *v, int64_t v_plane, const struct __half *u, struct __half *m,
                                             int64_t R, int ci, int co, struct CUstream_st *stream, aopt_error *err);     /* with tiles of 2 */
/* y = alpha * (sums of products) + bias + shortcut_scale * shortcut, and r of y.
   y          fp16 [frames][2H][2W][C]                  r       f32 [frames][2H][2W], or NULL
   shortcut   fp16 [.][H][W][shortcut_c], the stage's input, or NULL.  The official DupUp3D as an index: output frame f is
              phase u = (f + skip) % factor_t of input frame (f + skip) / factor_t, and channel o of pixel (y, x) is, of pixel
              (y/2, x/2), channel o (ratio 1: as many input channels) or 2*o + (factor_t == 2 ? u : y%2) (ratio 2: twice as many)
   skip       factor_t - 1 in the chunk that starts a clip, else 0
   y_tail     NULL, or where frames of y from tail_at on go instead */
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
    int C, norm_c, tile;
    struct __half *y_tail;
    int64_t tail_at;
} aopt_upsample_output;
AOPT_API aopt_status aopt_cuda_upsample_output(const aopt_upsample_output *a, struct CUstream_st *stream, aopt_error *err);

/* The head, 12 outputs: a tap GEMM with n = AOPT_HEAD_N = 9*12 (the spatial taps as columns), c_row = AOPT_HEAD_ROW, taps 3; then
   video[c][f][2y+q][2x+s] = clamp(alpha * sum over ky, kx of g[f][y+ky-1][x+kx-1][(3*ky+kx)*12 + o] + bias[o], -1, 1), o = c*4 + s*2 + q.
   g      fp16 [frames][H][W][112]        bias   f32 [12]
   video  f32, 3 channels video_channel elements apart, each [frames][2H][2W] */
AOPT_API aopt_status aopt_cuda_head(const struct __half *g, float alpha, const float *bias, float *video, int64_t video_channel, int64_t frames,
                                    int64_t H, int64_t W, struct CUstream_st *stream, aopt_error *err);
#endif /* AUTOOPT_CUDA */

/* ==== [A13] fast layers on a CPU =========================================================================
   What a fast fp32 decoder is put together from.  Tensors are f32 [frames][H][W][C] in host memory, C padded with zeros to a multiple
   of AOPT_CPU_LANES (aopt_cpu_pad).  The same bits for every number of threads, every cut into blocks and every cut of a clip into
   calls.  A convolution may end with what follows it: bias, residual, norm and SiLU, while its output is still in the cache.
   AVX-512 or AVX2 with FMA where the CPU has them, else GNU vectors, else plain C. */
enum { AOPT_CPU_LANES = 16 };
AOPT_API int64_t aopt_cpu_pad(int64_t C);

#define AOPT_CPU_SCHEME_LIST(X) \
    X(AOPT_CPU_DIRECT, "direct")        /* every kernel of aopt_ref_conv; upsample: reads each pixel four times, 36 products per input pixel */ \
    X(AOPT_CPU_F2, "F(2x2)")            /* 3x3: 2-D Winograd, 16 products per 2x2 outputs; the sum over time taps and channels is a matrix product */ \
    X(AOPT_CPU_F4, "F(4x4)")            /* 3x3: 36 products per 4x4 outputs */ \
    X(AOPT_CPU_UP, "upsample")          /* 3x3 after nearest-upsample: 25 products per 4x4 outputs */
#define AOPT__X(id, text) id,
typedef enum aopt_cpu_scheme { AOPT_CPU_SCHEME_LIST(AOPT__X) AOPT_CPU_SCHEMES } aopt_cpu_scheme;
#undef AOPT__X
AOPT_API const char *aopt_cpu_scheme_name(int scheme);

/* Weights of a stride-1 convolution (the kernels of aopt_ref_conv3d) in the order of a scheme, transformed in double.
   upsample  1: after nearest-upsample by 2; AOPT_CPU_UP or AOPT_CPU_DIRECT, kernel 1x3x3
   *out      the caller's (close; NULL is fine); conv's arrays are not kept
   AOPT_E_ARG  a size, or a kernel that this scheme cannot do    AOPT_E_MEMORY */
typedef struct aopt_cpu_conv aopt_cpu_conv;
AOPT_API aopt_status aopt_cpu_conv_open(const aopt_ref_conv *conv, int scheme, int upsample, aopt_cpu_conv **out, aopt_error *err);
AOPT_API void aopt_cpu_conv_close(aopt_cpu_conv *c);

/* norm and SiLU of a position: silu(x / max(||x||, 1e-12) * sqrt(norm_c) * gamma) */
typedef struct aopt_cpu_norm {
    const float *gamma;                 /* [C], zeros behind the real ones */
    int64_t norm_c;                     /* channels that are not padding */
    int silu;                           /* 0: norm alone */
} aopt_cpu_norm;

/* One run.  Zero fields are absent or chosen. */
typedef struct aopt_cpu_run {
    const float *x; int64_t frames, H, W;       /* [frames][H][W][ci] */
    int past;                           /* 0 or 2: frames that lie in front of x; else zeros are taken.  Unused if kt = 1 */
    const float *add;                   /* residual.  Without upsample [frames][H][W][co], and may be y; with it the input of a stage, which DupUp3D spreads: */
    int64_t add_c, add_real;            /*   [(frames + add_skip)/add_ft][H][W][add_c], add_real of the channels not padding */
    int add_ft, add_skip;               /*   as ft and drop of aopt_ref_dup_up */
    float *y; int64_t y_frame;          /* output, bias and residual added; floats from frame to frame, 0 = contiguous.  NULL: only act */
    aopt_cpu_norm norm; float *act;     /* norm of the output, contiguous; NULL: none */
    int64_t tiles, step;                /* tiles of a block (direct: positions) and frames at a time */
    int threads;                        /* 0 = all cores that this process may use */
    float *work;                        /* aopt_cpu_work floats, aligned to 64 bytes; not shared by runs at the same time */
} aopt_cpu_run;
AOPT_API int64_t aopt_cpu_work(const aopt_cpu_conv *c, const aopt_cpu_run *run);        /* work itself, x, y, add and act are not looked at */
AOPT_API void aopt_cpu_conv_run(const aopt_cpu_conv *c, const aopt_cpu_run *run);
/* x [P][C] -> act [P][C] */
AOPT_API void aopt_cpu_norm_run(const aopt_cpu_norm *norm, const float *x, int64_t P, int64_t C, float *act, int threads);
/* The head's output x [frames][H][W][C], whose first 12 channels are 2x2 patches, clamped into video [3][..][2H][2W], channel_stride apart. */
AOPT_API void aopt_cpu_video(const float *x, int64_t frames, int64_t H, int64_t W, int64_t C, float *video, int64_t channel_stride, int threads);

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
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <strings.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#endif
#if !defined(CLOCK_MONOTONIC) || (!defined(AOPT_NO_STDIO) && !defined(O_CLOEXEC))
#error "autoopt.h: a system header came first and -std=c11 hid POSIX from it: include autoopt.h before it, or compile with -D_GNU_SOURCE or -std=gnu11"
#endif
#ifdef _OPENMP
#include <omp.h>
#endif
#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
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
#undef STB_IMAGE_IMPLEMENTATION                 /* or a later include would bring in a second copy */
#endif
#ifndef INCLUDE_STB_IMAGE_WRITE_H
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STBI_WRITE_NO_STDIO
#define STBIW_MALLOC(n) AOPT_MALLOC(n)
#define STBIW_REALLOC(p, n) AOPT_REALLOC(p, n)
#define STBIW_FREE(p) AOPT_FREE(p)
#include <stb/stb_image_write.h>
#undef STB_IMAGE_WRITE_IMPLEMENTATION
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

#ifdef __CUDACC__
#define AOPT__BOTH __host__ __device__          /* one text for a kernel and its CPU mate */
#else
#define AOPT__BOTH
#endif

AOPT__DEF double aopt_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#ifndef AOPT_NO_STDIO
/* The number behind `key` on the first line of folder/name that begins with it; -1 if there is none. */
static int64_t aopt__file_number(const char *folder, const char *name, const char *key)
{
    const size_t n = strlen(key);
    char path[4096], line[256];
    long long v = -1;
    FILE *f;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    f = fopen(path, "re");
    while (f && fgets(line, sizeof line, f))
        if (strncmp(line, key, n) == 0) {
            if (sscanf(line + n, "%lld", &v) != 1) v = -1;
            break;
        }
    if (f) fclose(f);
    return (int64_t)v;
}

/* Bytes that the limit of one control group leaves: the pages of files, which it counts as used, can be dropped.  INT64_MAX: no limit. */
static int64_t aopt__cgroup_left(const char *folder, int v1)
{
    const int64_t limit = aopt__file_number(folder, v1 ? "memory.limit_in_bytes" : "memory.max", "");
    const int64_t inactive = aopt__file_number(folder, "memory.stat", v1 ? "total_inactive_file " : "inactive_file ");
    const int64_t active = aopt__file_number(folder, "memory.stat", v1 ? "total_active_file " : "active_file ");
    int64_t used = aopt__file_number(folder, v1 ? "memory.usage_in_bytes" : "memory.current", "");
    if (limit < 0) return INT64_MAX;
    if (inactive > 0) used -= inactive;
    if (active > 0) used -= active;
    if (used < 0) used = 0;
    return limit > used ? limit - used : 0;
}
#endif

/* Bytes that this process can have: what the kernel calls available, and no more than the control groups it is in leave.  0 = unknown,
   and 1 at least where /proc is.  root: of /proc and /sys, "" but in tests. */
static int64_t aopt__memory_free(const char *root)
{
    int64_t bytes = 0;
#ifndef AOPT_NO_STDIO
    char folder[8192], line[4096], *list, *path, *slash;
    FILE *f;
    snprintf(folder, sizeof folder, "%s/proc", root);
    bytes = aopt__file_number(folder, "meminfo", "MemAvailable:");
    if (bytes < 0 || bytes > INT64_MAX / 1024) return 0;
    bytes *= 1024;
    snprintf(folder, sizeof folder, "%s/proc/self/cgroup", root);
    f = fopen(folder, "re");
    while (f && fgets(line, sizeof line, f)) {          /* "0::/a/b" in version 2, "4:cpu,memory:/a/b" in version 1 */
        int v1;
        list = strchr(line, ':');
        path = list ? strchr(list + 1, ':') : NULL;
        if (!path) continue;
        *path++ = 0;
        v1 = list[1] != 0;
        if (v1 && !strstr(list, "memory")) continue;
        path[strcspn(path, "\n")] = 0;
        snprintf(folder, sizeof folder, "%s/sys/fs/cgroup%s%s", root, v1 ? "/memory" : "", path);
        for (slash = folder; slash; *slash = 0) {       /* the group, then those above it; a container may see its own as the topmost */
            const int64_t left = aopt__cgroup_left(folder, v1);
            if (left < bytes) bytes = left;
            slash = strrchr(folder, '/');
            if (!slash || strcmp(slash, v1 ? "/memory" : "/cgroup") == 0) break;
        }
    }
    if (f) fclose(f);
    if (bytes < 1) bytes = 1;
#endif
    (void)root;
    return bytes;
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
        char text[6144];                    /* room for the longest path */
        size_t n;
        va_list args;
        va_start(args, format);
        vsnprintf(text, sizeof text, format, args);
        va_end(args);
        err->status = status;
        n = strlen(text);
        if (n < sizeof err->message) memcpy(err->message, text, n + 1);
        else snprintf(err->message, sizeof err->message, "...%s", text + n - (sizeof err->message - 4));
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

/* n elements of `size` bytes, NULL if the product does not fit or memory is short.  n = 0 gives a valid pointer. */
static void *aopt__alloc(int64_t n, int64_t size)
{
    int64_t bytes;
    if (!aopt__mul(n, size, &bytes) || (uint64_t)bytes > (uint64_t)SIZE_MAX / 2) return NULL;
    return AOPT_MALLOC((size_t)(bytes > 0 ? bytes : 1));
}

/* Index of the first NaN or infinity in x[n], n if there is none.  By its bits: -ffast-math may take isfinite for true. */
static int64_t aopt__first_nonfinite(const float *x, int64_t n)
{
    uint32_t bits;
    int64_t i;
    for (i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7F800000u) == 0x7F800000u) break;
    }
    return i;
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
        if (!aopt__mul(step, shape[i] > 0 ? shape[i] : 1, &step)) step = INT64_MAX;     /* numel is -1 then, and no such tensor exists */
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
        if (!aopt__mul(step, t->shape[i], &step)) return 0;
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

#ifndef AOPT_NO_STDIO
/* A file in the making: it is written under a fresh name beside its path, which it takes when whole.  After begin: keep or drop. */
typedef struct aopt__draft { FILE *file; char *name; } aopt__draft;

static aopt_status aopt__draft_begin(aopt__draft *d, const char *path, aopt_error *err)
{
    const size_t room = strlen(path) + 64;
    struct stat there;
    aopt_status st;
    int k;
    memset(d, 0, sizeof *d);
    if (stat(path, &there) == 0 && !S_ISREG(there.st_mode)) return aopt_fail(err, AOPT_E_IO, "%s: not a regular file, so it is not replaced", path);
    d->name = (char *)aopt__alloc((int64_t)room, 1);
    if (!d->name) return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    for (k = 0; k < 100; k++) {
        snprintf(d->name, room, "%s.%ld-%d.autoopt-tmp", path, (long)getpid(), k);
        d->file = fopen(d->name, "wbxe");       /* x: O_EXCL, so neither an existing file nor through a link; e: O_CLOEXEC */
        if (d->file) return AOPT_OK;
        if (errno != EEXIST) break;
    }
    st = aopt_fail(err, AOPT_E_IO, "%s: cannot create: %s", d->name, strerror(errno));
    AOPT_FREE(d->name);
    d->name = NULL;
    return st;
}

static void aopt__draft_drop(aopt__draft *d)
{
    if (d->file) fclose(d->file);
    if (d->name) unlink(d->name);
    AOPT_FREE(d->name);
    memset(d, 0, sizeof *d);
}

/* On the disk, then at its path.  After an error, that of an earlier write included, path is as it was and the draft is gone. */
static aopt_status aopt__draft_keep(aopt__draft *d, const char *path, aopt_error *err)
{
    aopt_status st = AOPT_OK;
    int failed;
    errno = EIO;                            /* an earlier write that failed has left no better reason */
    failed = ferror(d->file) || fflush(d->file) != 0 || fsync(fileno(d->file)) != 0;
    if (!failed) {
        failed = fclose(d->file) != 0 || rename(d->name, path) != 0;
        d->file = NULL;
    }
    if (failed) {
        st = aopt_fail(err, AOPT_E_IO, "%s: cannot write: %s", path, strerror(errno));
    } else {
        AOPT_FREE(d->name);
        d->name = NULL;
    }
    aopt__draft_drop(d);
    return st;
}
#endif

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

/* Only TorchScript has prefix/code/... and prefix/constants.pkl. */
static int aopt__zip_is_script(const aopt__zip_entry *e)
{
    const char *slash = (const char *)memchr(e->name, '/', e->name_n);
    const size_t n = slash ? e->name_n - (size_t)(slash + 1 - e->name) : 0;
    return (n >= 5 && memcmp(slash + 1, "code/", 5) == 0) || (n == 13 && memcmp(slash + 1, "constants.pkl", 13) == 0);
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
    if (aopt__zip_is_script(e)) return aopt__zip_fail(p, AOPT_E_UNSUPPORTED, e, "makes this a TorchScript archive; torch.save the state_dict instead");
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
    char number[24] = "", text[AOPT__QUOTE], before[AOPT__QUOTE];
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
        p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: a tensor name of more than %d bytes, it ends in '%s'", p->ck->label, (int)sizeof p->name - 2, text);
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
            p->status = aopt_fail(p->err, AOPT_E_FORMAT, "%s: its dicts hold more than %d items, counting shared ones each time", p->ck->label,
                                  (int)AOPT__PICKLE_OBJECTS);
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

/* Find <prefix>/data.pkl and check the byte order. */
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
    if (type == (int)AOPT_DTYPE_COUNT || strlen(dtype->string) != dtype->string_bytes)
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
    if (out) *out = NULL;
    if (!out || (n > 0 && !bytes)) return aopt_fail(err, AOPT_E_ARG, "aopt_checkpoint_open: NULL argument");
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
    if ((uint64_t)s.st_size > SIZE_MAX / 2) {
        close(fd);
        return aopt_fail(err, AOPT_E_IO, "%s: %lld bytes are too many to map", path, (long long)s.st_size);
    }
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
    if (out) *out = NULL;
    if (!out || !path) return aopt_fail(err, AOPT_E_ARG, "aopt_checkpoint_open: NULL argument");
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
    if (aopt_dtype_bytes((int)t->dtype) == 0 || t->ndim < 0 || t->ndim > AOPT_MAX_DIMS ||
        !aopt__mul(aopt_tensor_numel(t), aopt_dtype_bytes((int)t->dtype), &bytes))
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

/* Past the stream's buffer: write() answers a bad address with an error. */
static aopt_status aopt__safetensors_save(const char *path, const aopt__text *h, const aopt_tensor *const *order, int64_t n, aopt_error *err)
{
    aopt__draft d;
    aopt_status st = aopt__draft_begin(&d, path, err);
    int64_t i;
    int ok;
    if (st) return st;
    ok = aopt__write_all(fileno(d.file), h->s, h->n);
    for (i = 0; i < n && ok; i++)
        ok = aopt__write_all(fileno(d.file), order[i]->data, aopt_tensor_numel(order[i]) * aopt_dtype_bytes((int)order[i]->dtype));
    if (ok) return aopt__draft_keep(&d, path, err);
    st = aopt_fail(err, AOPT_E_IO, "%s: cannot write: %s", path, strerror(errno));
    aopt__draft_drop(&d);
    return st;
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

/* ==== [I4] CPU ops ======================================================================================
   Every convolution and matrix product is a run over one register tile: 6 positions x 16 output channels, weights packed
   [Co/16][tap][Ci][16].  The tile and the two loops with exponentials are written once, for GNU vectors of L floats, and
   compiled twice: for AVX2 with FMA, taken at run time where the CPU has it, and for what every CPU of the family has. */
enum { AOPT__TILE_P = 6, AOPT__TILE_C = 16, AOPT__PANEL = 2048, AOPT__QUERIES = 192 };

/* x0 to x5 at channel c, times w0 and w1, into a00 to a51: the inside of every matrix product. */
#define AOPT__SIX_ROWS(BROADCAST, FMA) \
    b = BROADCAST(x0 + c); a00 = FMA(b, w0, a00); a01 = FMA(b, w1, a01); \
    b = BROADCAST(x1 + c); a10 = FMA(b, w0, a10); a11 = FMA(b, w1, a11); \
    b = BROADCAST(x2 + c); a20 = FMA(b, w0, a20); a21 = FMA(b, w1, a21); \
    b = BROADCAST(x3 + c); a30 = FMA(b, w0, a30); a31 = FMA(b, w1, a31); \
    b = BROADCAST(x4 + c); a40 = FMA(b, w0, a40); a41 = FMA(b, w1, a41); \
    b = BROADCAST(x5 + c); a50 = FMA(b, w0, a50); a51 = FMA(b, w1, a51);

#ifdef _OPENMP
#define AOPT__PRAGMA(x) _Pragma(#x)
#define AOPT__PARALLEL_FOR AOPT__PRAGMA(omp parallel for schedule(dynamic) num_threads(threads))
#else
#define AOPT__PARALLEL_FOR
#endif

static int aopt__threads(int requested)
{
#ifdef _OPENMP
    return requested > 0 ? requested : omp_get_num_procs();
#else
    (void)requested;
    return 1;
#endif
}

/* Threads worth waking for `floats` values at about a nanosecond each.  Where other programs hold the cores, every parallel loop
   can cost a time slice. */
static int aopt__team(int threads, int64_t floats)
{
    const int64_t most = floats / 16384;
    return most < threads ? (most > 1 ? (int)most : 1) : threads;
}

#if !defined(AOPT_NO_VECTORS) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 9))
typedef float aopt__v4 __attribute__((vector_size(16)));
typedef float aopt__v4u __attribute__((vector_size(16), aligned(4), may_alias));
typedef int32_t aopt__v4i __attribute__((vector_size(16)));
typedef float aopt__v8 __attribute__((vector_size(32)));
typedef float aopt__v8u __attribute__((vector_size(32), aligned(4), may_alias));
typedef int32_t aopt__v8i __attribute__((vector_size(32)));

/* A debug build of the program must not make this part thirty times slower. */
#if !defined(__clang__) && !defined(__OPTIMIZE__)
#define AOPT__HOT __attribute__((optimize("O2")))
#else
#define AOPT__HOT
#endif

/* v = exp(v): v = n*log(2) + r with |r| <= log(2)/2 in two steps, then the Taylor polynomial of degree 7 (cut off below 6e-9)
   and n added to the exponent. */
#define AOPT__EXP(v, V, VI) do { \
    V z_, f_, p_, lo_, hi_; VI m_, n_; \
    memset(&lo_, 0, sizeof lo_); hi_ = lo_ + 88.0f; lo_ = lo_ - 87.0f; \
    m_ = v < lo_; z_ = (V)((m_ & (VI)lo_) | (~m_ & (VI)v)); \
    m_ = z_ > hi_; z_ = (V)((m_ & (VI)hi_) | (~m_ & (VI)z_)); \
    f_ = z_ * 1.44269504f; \
    f_ = f_ + (V)(((VI)f_ & INT32_MIN) | 0x3f000000); \
    n_ = __builtin_convertvector(f_, VI); \
    f_ = __builtin_convertvector(n_, V); \
    z_ = (z_ - f_ * 0.693359375f) + f_ * 2.12194440e-4f; \
    p_ = z_ * (1.0f / 5040) + 1.0f / 720; \
    p_ = p_ * z_ + 1.0f / 120; p_ = p_ * z_ + 1.0f / 24; p_ = p_ * z_ + 1.0f / 6; \
    p_ = p_ * z_ + 0.5f; p_ = p_ * z_ + 1.0f; p_ = p_ * z_ + 1.0f; \
    v = p_ * (V)((n_ + 127) << 23); \
} while (0)

/* tile: acc[6][16] (the first 2L columns) += over taps t and channels c of x[k][tap[t] + c] * w[t][c][16].
   norm: one position.  exp: n values.  B is what BROADCAST gives: a vector, or a float that the compiler spreads. */
#define AOPT__KERNELS(NAME, ATTR, V, L, B, BROADCAST, FMA) \
ATTR static void aopt__tile_##NAME(const float *const *x, const int64_t *tap, int64_t taps, int64_t ci, const float *w, float *acc) \
{ \
    V a00 = *(const V##u *)acc, a01 = *(const V##u *)(acc + L), a10 = *(const V##u *)(acc + 16), a11 = *(const V##u *)(acc + 16 + L); \
    V a20 = *(const V##u *)(acc + 32), a21 = *(const V##u *)(acc + 32 + L), a30 = *(const V##u *)(acc + 48), a31 = *(const V##u *)(acc + 48 + L); \
    V a40 = *(const V##u *)(acc + 64), a41 = *(const V##u *)(acc + 64 + L), a50 = *(const V##u *)(acc + 80), a51 = *(const V##u *)(acc + 80 + L); \
    int64_t t, c; \
    for (t = 0; t < taps; t++) { \
        const float *x0 = x[0] + tap[t], *x1 = x[1] + tap[t], *x2 = x[2] + tap[t], *x3 = x[3] + tap[t], *x4 = x[4] + tap[t], *x5 = x[5] + tap[t]; \
        for (c = 0; c < ci; c++, w += AOPT__TILE_C) { \
            const V w0 = *(const V##u *)w, w1 = *(const V##u *)(w + L); \
            B b; \
            AOPT__SIX_ROWS(BROADCAST, FMA) \
        } \
    } \
    *(V##u *)acc = a00;        *(V##u *)(acc + L) = a01;      *(V##u *)(acc + 16) = a10; *(V##u *)(acc + 16 + L) = a11; \
    *(V##u *)(acc + 32) = a20; *(V##u *)(acc + 32 + L) = a21; *(V##u *)(acc + 48) = a30; *(V##u *)(acc + 48 + L) = a31; \
    *(V##u *)(acc + 64) = a40; *(V##u *)(acc + 64 + L) = a41; *(V##u *)(acc + 80) = a50; *(V##u *)(acc + 80 + L) = a51; \
} \
ATTR static void aopt__norm_##NAME(const float *x, int64_t C, const float *gamma, int silu, float *y) \
{ \
    float lane[L], tail_x[L], tail_gamma[L], sum = 0, k; \
    int64_t c; \
    int j; \
    V s; \
    memset(&s, 0, sizeof s); \
    for (c = 0; c + L <= C; c += L) { const V v = *(const V##u *)(x + c); s = FMA(v, v, s); } \
    memcpy(lane, &s, sizeof lane); \
    for (j = 0; j < L; j++) sum += lane[j]; \
    for (; c < C; c++) sum += x[c] * x[c]; \
    k = sqrtf(sum); \
    k = sqrtf((float)C) / (k < 1e-12f ? 1e-12f : k); \
    for (c = 0; c < C; c += L) { \
        const int64_t m = C - c < L ? C - c : L; \
        const float *px = x + c, *pg = gamma + c; \
        V v; \
        if (m < L) { \
            memset(tail_x, 0, sizeof tail_x); memcpy(tail_x, px, (size_t)m * sizeof *px); px = tail_x; \
            memset(tail_gamma, 0, sizeof tail_gamma); memcpy(tail_gamma, pg, (size_t)m * sizeof *pg); pg = tail_gamma; \
        } \
        v = *(const V##u *)px * k * *(const V##u *)pg; \
        if (silu) { V e = -v; AOPT__EXP(e, V, V##i); v = v / (1.0f + e); } \
        if (m < L) { memcpy(lane, &v, sizeof lane); memcpy(y + c, lane, (size_t)m * sizeof *y); } \
        else *(V##u *)(y + c) = v; \
    } \
} \
ATTR static void aopt__exp_##NAME(const float *x, int64_t n, float *y) \
{ \
    float lane[L]; \
    int64_t i; \
    for (i = 0; i < n; i += L) { \
        const int64_t m = n - i < L ? n - i : L; \
        V v; \
        memset(lane, 0, sizeof lane); memcpy(lane, x + i, (size_t)m * sizeof *x); \
        memcpy(&v, lane, sizeof v); AOPT__EXP(v, V, V##i); memcpy(lane, &v, sizeof v); \
        memcpy(y + i, lane, (size_t)m * sizeof *y); \
    } \
}
#define AOPT__LOAD(p) (*(p))
#define AOPT__MULADD(b, w, a) ((a) + (w) * (b))
AOPT__KERNELS(half, AOPT__HOT, aopt__v4, 4, float, AOPT__LOAD, AOPT__MULADD)
static void aopt__tile_baseline(const float *const *x, const int64_t *tap, int64_t taps, int64_t ci, const float *w, float *acc)
{
    aopt__tile_half(x, tap, taps, ci, w, acc);
    aopt__tile_half(x, tap, taps, ci, w + 8, acc + 8);
}
#if defined(__x86_64__)
#define AOPT__FMA_AVX2(b, w, a) (aopt__v8)_mm256_fmadd_ps((__m256)(b), (__m256)(w), (__m256)(a))
AOPT__KERNELS(avx2, AOPT__HOT __attribute__((target("avx2,fma"))), aopt__v8, 8, aopt__v8, (aopt__v8)_mm256_broadcast_ss, AOPT__FMA_AVX2)
#define AOPT__PICK(op) (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? aopt__##op##_avx2 : AOPT__BASELINE_##op)
#endif
#define AOPT__BASELINE_norm aopt__norm_half
#define AOPT__BASELINE_exp aopt__exp_half

#else /* no GNU vectors */
static void aopt__tile_baseline(const float *const *x, const int64_t *tap, int64_t taps, int64_t ci, const float *w, float *acc)
{
    int64_t t, c;
    int k, j;
    for (t = 0; t < taps; t++)
        for (c = 0; c < ci; c++, w += AOPT__TILE_C)
            for (k = 0; k < AOPT__TILE_P; k++)
                for (j = 0; j < AOPT__TILE_C; j++) acc[k * AOPT__TILE_C + j] += x[k][tap[t] + c] * w[j];
}

static void aopt__exp_plain(const float *x, int64_t n, float *y)
{
    int64_t i;
    for (i = 0; i < n; i++) y[i] = expf(x[i] < -87.0f ? -87.0f : x[i] > 88.0f ? 88.0f : x[i]);
}

static void aopt__norm_plain(const float *x, int64_t C, const float *gamma, int silu, float *y)
{
    float sum = 0, k;
    int64_t c;
    for (c = 0; c < C; c++) sum += x[c] * x[c];
    k = sqrtf(sum);
    k = sqrtf((float)C) / (k < 1e-12f ? 1e-12f : k);
    for (c = 0; c < C; c++) {
        const float v = x[c] * k * gamma[c];
        y[c] = silu ? v / (1.0f + expf(-v)) : v;
    }
}
#define AOPT__BASELINE_norm aopt__norm_plain
#define AOPT__BASELINE_exp aopt__exp_plain
#endif
#define AOPT__BASELINE_tile aopt__tile_baseline
#ifndef AOPT__PICK
#define AOPT__PICK(op) AOPT__BASELINE_##op
#endif
typedef void (*aopt__tile_fn)(const float *const *x, const int64_t *tap, int64_t taps, int64_t ci, const float *w, float *acc);
typedef void (*aopt__norm_fn)(const float *x, int64_t C, const float *gamma, int silu, float *y);
typedef void (*aopt__exp_fn)(const float *x, int64_t n, float *y);

static int64_t aopt__min(int64_t a, int64_t b) { return a < b ? a : b; }
static int64_t aopt__max(int64_t a, int64_t b) { return a > b ? a : b; }
static int64_t aopt__blocks(int64_t n) { return (n + AOPT__TILE_C - 1) / AOPT__TILE_C; }

/* y [H*W][co] = bias + sum over taps and input channels (+ add).  Position (i, j) reads ci floats at x + i*row + j*col + tap[t].
   w [co/16][taps][ci][16] and bias [co/16][16] are padded with zeros; bias and add [H*W][co] may be NULL; add is not y. */
typedef struct aopt__product {
    const float *x; int64_t H, W, row, col;
    const int64_t *tap; int64_t taps, ci;
    const float *w, *bias; int64_t co;
    const float *add;
    float *y;
} aopt__product;

/* Positions p0 to p1 of one block of 16 channels.  A block's weights are taken in panels that stay in the L2 cache while all
   positions pass; sums between panels rest in y, so the order of additions is that of one long loop. */
static void aopt__product_strip(const aopt__product *g, aopt__tile_fn tile, int64_t block, int64_t p0, int64_t p1)
{
    const int64_t first_co = block * AOPT__TILE_C, co_n = aopt__min(AOPT__TILE_C, g->co - first_co);
    const int64_t tap_step = aopt__max(1, AOPT__PANEL / g->ci), ci_step = aopt__min(g->ci, AOPT__PANEL);
    float acc[AOPT__TILE_P * AOPT__TILE_C];
    const float *x[AOPT__TILE_P];
    int64_t t0, c0, p, k, j;

    for (t0 = 0; t0 < g->taps; t0 += tap_step)
        for (c0 = 0; c0 < g->ci; c0 += ci_step) {
            const int64_t tap_n = aopt__min(tap_step, g->taps - t0), ci_n = aopt__min(ci_step, g->ci - c0);
            const float *w = g->w + ((block * g->taps + t0) * g->ci + c0) * AOPT__TILE_C;
            const int first = t0 == 0 && c0 == 0, last = t0 + tap_n == g->taps && c0 + ci_n == g->ci;
            for (p = p0; p < p1; p += AOPT__TILE_P) {
                const int64_t n = aopt__min(AOPT__TILE_P, p1 - p);
                int64_t row = p / g->W, col = p % g->W;
                float *y = g->y + p * g->co + first_co;
                memset(acc, 0, sizeof acc);
                for (k = 0; k < AOPT__TILE_P; k++) {
                    x[k] = g->x + row * g->row + col * g->col + c0;
                    if (k + 1 < n && ++col == g->W) { col = 0; row++; }
                    if (k >= n) continue;
                    if (!first) memcpy(acc + k * AOPT__TILE_C, y + k * g->co, (size_t)co_n * sizeof *acc);
                    else if (g->bias) memcpy(acc + k * AOPT__TILE_C, g->bias + first_co, AOPT__TILE_C * sizeof *acc);
                }
                tile(x, g->tap + t0, tap_n, ci_n, w, acc);
                for (k = 0; k < n; k++) {
                    const float *add = last && g->add ? g->add + (p + k) * g->co + first_co : NULL;
                    if (!add) memcpy(y + k * g->co, acc + k * AOPT__TILE_C, (size_t)co_n * sizeof *y);
                    else for (j = 0; j < co_n; j++) y[k * g->co + j] = acc[k * AOPT__TILE_C + j] + add[j];
                }
            }
        }
}

static void aopt__product_run(const aopt__product *g, int threads)
{
    const aopt__tile_fn tile = AOPT__PICK(tile);
    const int64_t P = g->H * g->W, blocks = aopt__blocks(g->co);
    int64_t strip = 32 * AOPT__TILE_P, strips, i;
    threads = aopt__team(threads, P * g->co * g->taps * g->ci / 64);
    while (strip > 2 * AOPT__TILE_P && blocks * (P / strip) < 4 * (int64_t)threads) strip /= 2;
    strips = (P + strip - 1) / strip;
    AOPT__PARALLEL_FOR
    for (i = 0; i < blocks * strips; i++) {
        const int64_t p0 = i % strips * strip;
        aopt__product_strip(g, tile, i / strips, p0, aopt__min(P, p0 + strip));
    }
}

/* The last `slots` input frames of a convolution: data [slots][H + 2*border][W + 2*border][C] with a zero border, so that no tap
   needs a branch.  Whoever writes a frame puts it into the next slot; the n frames written so far are also the history. */
typedef struct aopt__ring { float *data; int64_t H, W, C; int border, slots; int64_t n; } aopt__ring;

static int64_t aopt__ring_line(const aopt__ring *r) { return (r->W + 2 * r->border) * r->C; }
static int64_t aopt__ring_frame(const aopt__ring *r) { return (r->H + 2 * r->border) * aopt__ring_line(r); }
static float *aopt__ring_slot(const aopt__ring *r, int64_t i) { return r->data + i % r->slots * aopt__ring_frame(r); }

/* Pixel 0 of row i in the next slot.  Zeroes the border cells beside the row, and the whole line above the first and below the last. */
static float *aopt__ring_row(const aopt__ring *r, int64_t i)
{
    const int64_t line = aopt__ring_line(r);
    float *start = aopt__ring_slot(r, r->n) + (i + r->border) * line, *pixel = start + r->border * r->C;
    if (r->border) {
        memset(start, 0, (size_t)r->C * sizeof *start);
        memset(pixel + r->W * r->C, 0, (size_t)r->C * sizeof *start);
        if (i == 0) memset(start - line, 0, (size_t)line * sizeof *start);
        if (i == r->H - 1) memset(start + line, 0, (size_t)line * sizeof *start);
    }
    return pixel;
}

/* A plain [H][W][C] frame seen as a ring that holds it. */
static aopt__ring aopt__ring_of(const float *x, int64_t H, int64_t W, int64_t C)
{
    aopt__ring r;
    memset(&r, 0, sizeof r);
    r.data = (float *)(uintptr_t)x;
    r.H = H; r.W = W; r.C = C;
    r.slots = 1; r.n = 1;
    return r;
}

static void aopt__frame_copy(const float *x, aopt__ring *to, int threads)
{
    const int64_t line = to->W * to->C;
    int64_t i;
    threads = aopt__team(threads, to->H * line);
    AOPT__PARALLEL_FOR
    for (i = 0; i < to->H; i++) memcpy(aopt__ring_row(to, i), x + i * line, (size_t)line * sizeof *x);
    to->n++;
}

static void aopt__frame_norm(const float *x, const float *gamma, int silu, aopt__ring *to, int threads)
{
    const aopt__norm_fn norm = AOPT__PICK(norm);
    const int64_t C = to->C;
    int64_t i;
    threads = aopt__team(threads, to->H * to->W * to->C);
    AOPT__PARALLEL_FOR
    for (i = 0; i < to->H; i++) {
        float *y = aopt__ring_row(to, i);
        int64_t j;
        for (j = 0; j < to->W; j++) norm(x + (i * to->W + j) * C, C, gamma, silu, y + j * C);
    }
    to->n++;
}

/* x [to->H/2][to->W/2][C] */
static void aopt__frame_upsample(const float *x, aopt__ring *to, int threads)
{
    const int64_t C = to->C, W = to->W / 2;
    int64_t i;
    threads = aopt__team(threads, to->H * to->W * to->C);
    AOPT__PARALLEL_FOR
    for (i = 0; i < to->H; i++) {
        float *y = aopt__ring_row(to, i);
        int64_t j;
        for (j = 0; j < to->W; j++) memcpy(y + j * C, x + (i / 2 * W + j / 2) * C, (size_t)C * sizeof *y);
    }
    to->n++;
}

static void aopt__frame_patchify(const float *frame, int64_t channel_stride, aopt__ring *to, int threads)
{
    int64_t i;
    threads = aopt__team(threads, to->H * to->W * to->C);
    AOPT__PARALLEL_FOR
    for (i = 0; i < to->H; i++) {
        float *y = aopt__ring_row(to, i);
        int64_t j, c, r, q;
        for (j = 0; j < to->W; j++)
            for (c = 0; c < 3; c++)
                for (r = 0; r < 2; r++)
                    for (q = 0; q < 2; q++) *y++ = frame[c * channel_stride + (2 * i + q) * 2 * to->W + 2 * j + r];
    }
    to->n++;
}

/* y [fs*H][fs*W][co] += sub-frame a (0..ft-1) of DupUp3D of x [H][W][ci]: output channel c, sub-pixel (p, q) comes from channel
   (((c*ft + a)*fs + p)*fs + q) / repeats. */
static void aopt__frame_dup_up(const float *x, int64_t H, int64_t W, int64_t ci, int64_t co, int ft, int fs, int a, float *y, int threads)
{
    const int64_t spread = (int64_t)ft * fs * fs, repeats = co * spread / ci;
    int64_t i;
    threads = aopt__team(threads, fs * H * fs * W * co);
    AOPT__PARALLEL_FOR
    for (i = 0; i < fs * H; i++) {
        int64_t j, c;
        for (j = 0; j < fs * W; j++) {
            const float *from = x + (i / fs * W + j / fs) * ci;
            float *to = y + (i * fs * W + j) * co;
            const int64_t start = ((int64_t)a * fs + i % fs) * fs + j % fs;
            int64_t channel = start / repeats, rest = start % repeats;
            for (c = 0; c < co; c++) {
                to[c] += from[channel];
                channel += spread / repeats;
                rest += spread % repeats;
                if (rest >= repeats) { rest -= repeats; channel++; }
            }
        }
    }
}

/* y [H/fs][W/fs][co] += the share of frame a (0..ft-1 of its group) in AvgDown3D of x [H][W][ci]: input channel c, sub-pixel (p, q)
   goes to channel (((c*ft + a)*fs + p)*fs + q) / group. */
static void aopt__frame_avg_down(const float *x, int64_t H, int64_t W, int64_t ci, int64_t co, int ft, int fs, int a, float *y, int threads)
{
    const int64_t group = ci * ft * fs * fs / co, h = H / fs, w = W / fs;
    const float share = 1.0f / (float)group;
    int64_t i;
    threads = aopt__team(threads, H * W * ci);
    AOPT__PARALLEL_FOR
    for (i = 0; i < h; i++) {
        int64_t j, c, p, q;
        for (j = 0; j < w; j++)
            for (p = 0; p < fs; p++)
                for (q = 0; q < fs; q++) {
                    const float *from = x + ((i * fs + p) * W + j * fs + q) * ci;
                    float *to = y + (i * w + j) * co;
                    for (c = 0; c < ci; c++) to[(((c * ft + a) * fs + p) * fs + q) / group] += from[c] * share;
                }
    }
}

/* Weights in the order of the tile. */
typedef struct aopt__conv { int64_t ci, co; int kt, k, stride; float *w, *bias; } aopt__conv;

static int64_t aopt__conv_taps(const aopt__conv *c) { return (int64_t)c->kt * c->k * c->k; }
static int64_t aopt__conv_floats(const aopt__conv *c) { return aopt__blocks(c->co) * aopt__conv_taps(c) * c->ci * AOPT__TILE_C; }

/* row [ci][taps] are the weights of output channel co; c->w was zeroed before. */
static void aopt__conv_pack(const aopt__conv *c, int64_t co, const float *row, float bias)
{
    const int64_t taps = aopt__conv_taps(c);
    float *w = c->w + co / AOPT__TILE_C * taps * c->ci * AOPT__TILE_C + co % AOPT__TILE_C;
    int64_t t, i;
    for (t = 0; t < taps; t++)
        for (i = 0; i < c->ci; i++, w += AOPT__TILE_C) *w = row[i * taps + t];
    c->bias[co] = bias;
}

/* y [H/stride][W/stride][co] = convolution of the last kt frames of `in` (+ add).  3x3 needs a border of 1; stride 2 pads to the right
   and below only, so it starts one pixel further in. */
static void aopt__conv_run(const aopt__conv *c, const aopt__ring *in, const float *add, float *y, int threads)
{
    const int64_t line = aopt__ring_line(in), skip = c->stride == 2 ? line + in->C : 0;
    int64_t tap[27], n = 0;
    aopt__product g;
    int t, i, j;
    for (t = 0; t < c->kt; t++)
        for (i = 0; i < c->k; i++)
            for (j = 0; j < c->k; j++)
                tap[n++] = aopt__ring_slot(in, in->n + in->slots - c->kt + t) - in->data + skip + i * line + j * in->C;
    g.x = in->data;
    g.H = in->H / c->stride; g.W = in->W / c->stride;
    g.row = line * c->stride; g.col = in->C * c->stride;
    g.tap = tap; g.taps = n;
    g.ci = c->ci; g.co = c->co;
    g.w = c->w; g.bias = c->bias;
    g.add = add; g.y = y;
    aopt__product_run(&g, threads);
}

/* Scratch of attention over P positions of C channels: packed k and v, and the scores of some queries against all keys. */
typedef struct aopt__attention { int64_t P, C; float *k, *v, *score; } aopt__attention;

/* Softmax of score [rows][P], scaled. */
static void aopt__softmax(float *score, int64_t rows, int64_t P, float scale, int threads)
{
    const aopt__exp_fn vexp = AOPT__PICK(exp);
    int64_t i;
    threads = aopt__team(threads, rows * P);
    AOPT__PARALLEL_FOR
    for (i = 0; i < rows; i++) {
        float *s = score + i * P, top = s[0], k;
        double sum = 0;
        int64_t j;
        for (j = 1; j < P; j++) if (s[j] > top) top = s[j];
        for (j = 0; j < P; j++) s[j] = (s[j] - top) * scale;
        vexp(s, P, s);
        for (j = 0; j < P; j++) sum += (double)s[j];
        k = (float)(1.0 / sum);
        for (j = 0; j < P; j++) s[j] *= k;
    }
}

/* Two products: queries times keys, then probabilities times values.  Keys and values take the place of weights. */
static void aopt__attention_run(const aopt__attention *a, const float *qkv, float *y, int threads)
{
    const int64_t P = a->P, C = a->C, key_blocks = aopt__blocks(P), value_blocks = aopt__blocks(C), zero_tap = 0;
    const int wanted = threads;
    aopt__product s, o;
    int64_t b, q;
    threads = aopt__team(wanted, P * C);
    AOPT__PARALLEL_FOR
    for (b = 0; b < key_blocks; b++) {
        int64_t c, j;
        for (c = 0; c < C; c++)
            for (j = 0; j < AOPT__TILE_C; j++) {
                const int64_t p = b * AOPT__TILE_C + j;
                a->k[(b * C + c) * AOPT__TILE_C + j] = p < P ? qkv[p * 3 * C + C + c] : 0.0f;
            }
    }
    AOPT__PARALLEL_FOR
    for (b = 0; b < value_blocks; b++) {
        int64_t p, j;
        for (p = 0; p < P; p++)
            for (j = 0; j < AOPT__TILE_C; j++) {
                const int64_t c = b * AOPT__TILE_C + j;
                a->v[(b * P + p) * AOPT__TILE_C + j] = c < C ? qkv[p * 3 * C + 2 * C + c] : 0.0f;
            }
    }
    memset(&s, 0, sizeof s);
    s.H = 1; s.tap = &zero_tap; s.taps = 1;
    o = s;
    s.col = 3 * C; s.ci = C; s.co = P; s.w = a->k; s.y = a->score;
    o.col = P;     o.ci = P; o.co = C; o.w = a->v; o.x = a->score;
    for (q = 0; q < P; q += AOPT__QUERIES) {
        s.W = o.W = aopt__min(AOPT__QUERIES, P - q);
        s.x = qkv + q * 3 * C;
        o.y = y + q * C;
        aopt__product_run(&s, wanted);
        aopt__softmax(a->score, s.W, P, 1.0f / sqrtf((float)C), wanted);
        aopt__product_run(&o, wanted);
    }
}

/* A public convolution: output channels co_first to co_first + co packed, and a ring for its input.  Freed with aopt__op_free. */
typedef struct aopt__op { aopt__conv conv; aopt__ring ring; float *memory; } aopt__op;

static aopt_status aopt__op_open(aopt__op *op, const aopt_ref_conv *conv, int64_t co_first, int64_t co, int stride, int64_t T, int64_t H, int64_t W,
                                 aopt_error *err)
{
    const int64_t taps = (int64_t)conv->kt * conv->kh * conv->kw;
    int64_t ring_floats, positions, weight_floats, i;
    memset(op, 0, sizeof *op);
    if ((conv->kt != 1 && conv->kt != 3) || (conv->kh != 1 && conv->kh != 3) || conv->kw != conv->kh)
        return aopt_fail(err, AOPT_E_ARG, "convolution: kernel %dx%dx%d is not 1 or 3 in time and 1x1 or 3x3 in space", conv->kt, conv->kh, conv->kw);
    if (conv->ci < 1 || co < 1 || T < 1 || H < 1 || W < 1 || H % stride || W % stride)
        return aopt_fail(err, AOPT_E_ARG, "convolution: bad size, %lld -> %lld channels, %lld frames of %lldx%lld, stride %d",
                         (long long)conv->ci, (long long)co, (long long)T, (long long)H, (long long)W, stride);
    op->conv.ci = conv->ci; op->conv.co = co;
    op->conv.kt = conv->kt; op->conv.k = conv->kh; op->conv.stride = stride;
    op->ring.H = H; op->ring.W = W; op->ring.C = conv->ci;
    op->ring.border = conv->kh / 2; op->ring.slots = conv->kt;
    if (H > INT64_MAX - 2 || W > INT64_MAX - 2 || !aopt__mul(H + 2, W + 2, &positions) || !aopt__mul(positions, conv->ci, &ring_floats) ||
        ring_floats > INT64_MAX / 64 || !aopt__mul(co, conv->ci, &weight_floats) || weight_floats > INT64_MAX / 4096)
        return aopt_fail(err, AOPT_E_ARG, "convolution: a frame of %lldx%lldx%lld to %lld channels is too large", (long long)H, (long long)W,
                         (long long)conv->ci, (long long)co);
    ring_floats = op->ring.slots * aopt__ring_frame(&op->ring);
    weight_floats = aopt__conv_floats(&op->conv);
    op->memory = (float *)aopt__alloc(ring_floats + weight_floats + aopt__blocks(co) * AOPT__TILE_C, sizeof(float));
    if (!op->memory) return aopt_fail(err, AOPT_E_MEMORY, "convolution: out of memory");
    op->ring.data = op->memory;
    op->conv.w = op->memory + ring_floats;
    op->conv.bias = op->conv.w + weight_floats;
    memset(op->memory, 0, (size_t)(ring_floats + weight_floats + aopt__blocks(co) * AOPT__TILE_C) * sizeof(float));
    for (i = 0; i < co; i++)
        aopt__conv_pack(&op->conv, i, conv->weight + (co_first + i) * conv->ci * taps, conv->bias ? conv->bias[co_first + i] : 0.0f);
    return AOPT_OK;
}

static void aopt__op_free(aopt__op *op) { AOPT_FREE(op->memory); }

/* Push the two frames before x; a ring starts with zeros. */
static void aopt__op_history(aopt__op *op, const float *history, int threads)
{
    const int64_t frame = op->ring.H * op->ring.W * op->ring.C;
    if (op->ring.slots < 3 || !history) return;
    aopt__frame_copy(history, &op->ring, threads);
    aopt__frame_copy(history + frame, &op->ring, threads);
}

/* history = its own tail and the last frames of x [T] */
static void aopt__history_keep(float *history, const float *x, int64_t T, int64_t frame)
{
    if (!history) return;
    if (T == 1) memmove(history, history + frame, (size_t)frame * sizeof *x);
    else memcpy(history, x + (T - 2) * frame, (size_t)frame * sizeof *x);
    memcpy(history + frame, x + (T - 1) * frame, (size_t)frame * sizeof *x);
}

AOPT__DEF aopt_status aopt_ref_conv3d(const aopt_ref_conv *conv, const float *x, int64_t T, int64_t H, int64_t W, float *history,
                                      float *y, int threads, aopt_error *err)
{
    aopt__op op;
    int64_t t;
    const aopt_status st = aopt__op_open(&op, conv, 0, conv->co, 1, T, H, W, err);
    if (st != AOPT_OK) return st;
    threads = aopt__threads(threads);
    aopt__op_history(&op, history, threads);
    for (t = 0; t < T; t++) {
        aopt__frame_copy(x + t * H * W * conv->ci, &op.ring, threads);
        aopt__conv_run(&op.conv, &op.ring, NULL, y + t * H * W * conv->co, threads);
    }
    if (conv->kt == 3) aopt__history_keep(history, x, T, H * W * conv->ci);
    aopt__op_free(&op);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_ref_conv2d_down(const aopt_ref_conv *conv, const float *x, int64_t T, int64_t H, int64_t W,
                                           float *y, int threads, aopt_error *err)
{
    aopt__op op;
    int64_t t;
    aopt_status st;
    if (conv->kt != 1 || conv->kh != 3) return aopt_fail(err, AOPT_E_ARG, "conv2d_down: kernel %dx%dx%d is not 1x3x3", conv->kt, conv->kh, conv->kw);
    st = aopt__op_open(&op, conv, 0, conv->co, 2, T, H, W, err);
    if (st != AOPT_OK) return st;
    threads = aopt__threads(threads);
    for (t = 0; t < T; t++) {
        aopt__frame_copy(x + t * H * W * conv->ci, &op.ring, threads);
        aopt__conv_run(&op.conv, &op.ring, NULL, y + t * (H / 2) * (W / 2) * conv->co, threads);
    }
    aopt__op_free(&op);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_ref_time_conv_up(const aopt_ref_conv *conv, const float *x, int64_t T, int64_t H, int64_t W, float *history,
                                            float *y, int threads, aopt_error *err)
{
    const int64_t frame = H * W * conv->ci;
    aopt__op op;
    int64_t t;
    int half;
    if (conv->kt != 3 || conv->kh != 1 || conv->co != 2 * conv->ci)
        return aopt_fail(err, AOPT_E_ARG, "time_conv_up: kernel %dx%dx%d, %lld -> %lld channels is not 3x1x1, C -> 2C",
                         conv->kt, conv->kh, conv->kw, (long long)conv->ci, (long long)conv->co);
    threads = aopt__threads(threads);
    for (half = 0; half < 2; half++) {
        const aopt_status st = aopt__op_open(&op, conv, half * conv->ci, conv->ci, 1, T, H, W, err);
        if (st != AOPT_OK) return st;
        aopt__op_history(&op, history, threads);
        for (t = 0; t < T; t++) {
            aopt__frame_copy(x + t * frame, &op.ring, threads);
            aopt__conv_run(&op.conv, &op.ring, NULL, y + (2 * t + half) * frame, threads);
        }
        aopt__op_free(&op);
    }
    aopt__history_keep(history, x, T, frame);
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_ref_time_conv_down(const aopt_ref_conv *conv, const float *last, const float *x, int64_t T, int64_t H, int64_t W,
                                              float *y, int threads, aopt_error *err)
{
    const int64_t frame = H * W * conv->ci;
    aopt__op op;
    aopt_status st;
    int64_t t;
    if (conv->kt != 3 || conv->kh != 1 || T % 2)
        return aopt_fail(err, AOPT_E_ARG, "time_conv_down: kernel %dx%dx%d is not 3x1x1, or %lld frames are not even",
                         conv->kt, conv->kh, conv->kw, (long long)T);
    st = aopt__op_open(&op, conv, 0, conv->co, 1, T, H, W, err);
    if (st != AOPT_OK) return st;
    threads = aopt__threads(threads);
    aopt__frame_copy(last, &op.ring, threads);
    for (t = 0; t < T; t++) {
        aopt__frame_copy(x + t * frame, &op.ring, threads);
        if (t % 2) aopt__conv_run(&op.conv, &op.ring, NULL, y + t / 2 * H * W * conv->co, threads);
    }
    aopt__op_free(&op);
    return AOPT_OK;
}

AOPT__DEF void aopt_ref_rms_norm(const float *x, int64_t P, int64_t C, const float *gamma, float *y, int threads)
{
    aopt__ring to = aopt__ring_of(y, P, 1, C);
    aopt__frame_norm(x, gamma, 0, &to, aopt__threads(threads));
}

AOPT__DEF void aopt_ref_rms_norm_silu(const float *x, int64_t P, int64_t C, const float *gamma, float *y, int threads)
{
    aopt__ring to = aopt__ring_of(y, P, 1, C);
    aopt__frame_norm(x, gamma, 1, &to, aopt__threads(threads));
}

AOPT__DEF void aopt_ref_exp(const float *x, int64_t n, float *y)
{
    AOPT__PICK(exp)(x, n, y);
}

AOPT__DEF aopt_status aopt_ref_attention(const float *qkv, int64_t P, int64_t C, float *y, int threads, aopt_error *err)
{
    const int64_t k_floats = aopt__blocks(P) * AOPT__TILE_C * C, v_floats = aopt__blocks(C) * AOPT__TILE_C * P;
    aopt__attention a;
    a.P = P; a.C = C;
    a.k = (float *)aopt__alloc(k_floats + v_floats + aopt__min(P, AOPT__QUERIES) * P, sizeof(float));
    if (!a.k) return aopt_fail(err, AOPT_E_MEMORY, "attention: out of memory");
    a.v = a.k + k_floats;
    a.score = a.v + v_floats;
    aopt__attention_run(&a, qkv, y, aopt__threads(threads));
    AOPT_FREE(a.k);
    return AOPT_OK;
}

AOPT__DEF void aopt_ref_upsample(const float *x, int64_t T, int64_t H, int64_t W, int64_t C, float *y, int threads)
{
    int64_t t;
    for (t = 0; t < T; t++) {
        aopt__ring to = aopt__ring_of(y + t * 4 * H * W * C, 2 * H, 2 * W, C);
        aopt__frame_upsample(x + t * H * W * C, &to, aopt__threads(threads));
    }
}

AOPT__DEF void aopt_ref_dup_up(const float *x, int64_t T, int64_t H, int64_t W, int64_t ci, int64_t co, int ft, int fs, int first,
                               float *y, int threads)
{
    const int64_t frame = fs * H * fs * W * co, drop = first ? ft - 1 : 0;
    int64_t t;
    memset(y, 0, (size_t)((T * ft - drop) * frame) * sizeof *y);
    for (t = drop; t < T * ft; t++)
        aopt__frame_dup_up(x + t / ft * H * W * ci, H, W, ci, co, ft, fs, (int)(t % ft), y + (t - drop) * frame, aopt__threads(threads));
}

AOPT__DEF void aopt_ref_avg_down(const float *x, int64_t T, int64_t H, int64_t W, int64_t ci, int64_t co, int ft, int fs,
                                 float *y, int threads)
{
    const int64_t groups = (T + ft - 1) / ft, pad = groups * ft - T, frame = (H / fs) * (W / fs) * co;
    int64_t t;
    memset(y, 0, (size_t)(groups * frame) * sizeof *y);
    for (t = pad; t < groups * ft; t++)
        aopt__frame_avg_down(x + (t - pad) * H * W * ci, H, W, ci, co, ft, fs, (int)(t % ft), y + t / ft * frame, aopt__threads(threads));
}

AOPT__DEF void aopt_ref_patchify(const float *frame, int64_t channel_stride, int64_t H, int64_t W, float *y, int threads)
{
    aopt__ring to = aopt__ring_of(y, H, W, 12);
    aopt__frame_patchify(frame, channel_stride, &to, aopt__threads(threads));
}

AOPT__DEF void aopt_ref_unpatchify(const float *x, int64_t H, int64_t W, float *frame, int threads)
{
    int64_t i;
    threads = aopt__team(aopt__threads(threads), H * W * 12);
    AOPT__PARALLEL_FOR
    for (i = 0; i < H; i++) {
        int64_t j, c, r, q;
        for (j = 0; j < W; j++)
            for (c = 0; c < 3; c++)
                for (r = 0; r < 2; r++)
                    for (q = 0; q < 2; q++) {
                        const float v = x[(i * W + j) * 12 + (c * 2 + r) * 2 + q];
                        frame[c * 4 * H * W + (2 * i + q) * 2 * W + 2 * j + r] = v < -1.0f ? -1.0f : v > 1.0f ? 1.0f : v;
                    }
    }
}

/* F(4,3) at the points 0, +-a, +-b, infinity: y = A^T [(G g) * (B^T d)].  In fp16 these points lose 3.5 dB less than
   0, +-1, +-2 and are what makes fp16 F(4x4) better than direct bf16.  Rows of B^T are monic polynomials times
   AOPT__WINO_ROW (norms 1.6, 1.5, 1.5, 1.0, 1.0, 1.6); A^T is the Vandermonde matrix of the points; G takes the inverse. */
#define AOPT__WINO_A 0.651
#define AOPT__WINO_B 1.535
#define AOPT__WINO_ROW 0.5

static void aopt__cpu_wino_matrices(double at[4][6], double g[6][3], double bt[6][6])
{
    static const double point[5] = { 0.0, AOPT__WINO_A, -AOPT__WINO_A, AOPT__WINO_B, -AOPT__WINO_B };
    int p, q, i, n;
    memset(at, 0, 24 * sizeof(double)); memset(g, 0, 18 * sizeof(double)); memset(bt, 0, 36 * sizeof(double));
    for (p = 0; p < 6; p++) {                   /* row p of B^T: the polynomial of all points but its own; infinity: of all */
        double scale = AOPT__WINO_ROW;
        bt[p][0] = AOPT__WINO_ROW;
        for (q = 0, n = 0; q < 5; q++) {
            if (q == p) continue;
            for (i = ++n; i > 0; i--) bt[p][i] = bt[p][i - 1] - point[q] * bt[p][i];
            bt[p][0] *= -point[q];
            if (p < 5) scale *= point[p] - point[q];
        }
        for (i = 0; i < 4; i++) at[i][p] = p < 5 ? (i ? at[i - 1][p] * point[p] : 1.0) : i == 3;
        for (i = 0; i < 3; i++) g[p][i] = p < 5 ? (i ? g[p][i - 1] * point[p] : 1.0 / scale) : (i == 2) / AOPT__WINO_ROW;
    }
}

/* ==== [I5] weight binding ===============================================================================
   The one table of upstream names.  Widths are read off a few tensors first; every shape is then checked against them. */
static const float aopt__latent_mean[AOPT_VAE_Z] = {
    -0.2289f, -0.0052f, -0.1323f, -0.2339f, -0.2799f, 0.0174f, 0.1838f, 0.1557f, -0.1382f, 0.0542f, 0.2813f, 0.0891f,
    0.1570f, -0.0098f, 0.0375f, -0.1825f, -0.2246f, -0.1207f, -0.0698f, 0.5109f, 0.2665f, -0.2108f, -0.2158f, 0.2502f,
    -0.2055f, -0.0322f, 0.1109f, 0.1567f, -0.0729f, 0.0899f, -0.2799f, -0.1230f, -0.0313f, -0.1649f, 0.0117f, 0.0723f,
    -0.2839f, -0.2083f, -0.0520f, 0.3748f, 0.0152f, 0.1957f, 0.1433f, -0.2944f, 0.3573f, -0.0548f, -0.1681f, -0.0667f };
static const float aopt__latent_std[AOPT_VAE_Z] = {
    0.4765f, 1.0364f, 0.4514f, 1.1677f, 0.5313f, 0.4990f, 0.4818f, 0.5013f, 0.8158f, 1.0344f, 0.5894f, 1.0901f,
    0.6885f, 0.6165f, 0.8454f, 0.4978f, 0.5759f, 0.3523f, 0.7135f, 0.6804f, 0.5833f, 1.4146f, 0.8986f, 0.5659f,
    0.7069f, 0.5338f, 0.4889f, 0.4917f, 0.4069f, 0.4999f, 0.6866f, 0.4093f, 0.5709f, 0.6065f, 0.6415f, 0.4944f,
    0.5726f, 1.2042f, 0.5458f, 1.6887f, 0.3971f, 1.0600f, 0.3943f, 0.5537f, 0.5444f, 0.4089f, 0.7468f, 0.7744f };

enum { AOPT__MAX_WIDTH = 1 << 20 };

/* What binding carries around.  After the first failure every call does nothing and status stays. */
typedef struct aopt__binder {
    const aopt_checkpoint *ck;
    unsigned char *used;        /* one flag per tensor of ck */
    int64_t used_n;
    char prefix[96];
    aopt_status status;
    aopt_error *err;
} aopt__binder;

/* The tensor called prefix + module + part + leaf. */
static const aopt_tensor *aopt__bind(aopt__binder *b, const char *module, const char *part, const char *leaf, int ndim, const int64_t *shape)
{
    char full[256], found[128], want[128];
    const aopt_tensor *t;
    aopt_tensor expected;
    int i, same;
    if (b->status != AOPT_OK) return NULL;
    snprintf(full, sizeof full, "%s%s%s%s", b->prefix, module, part, leaf);
    t = aopt_checkpoint_find(b->ck, full);
    expected = aopt_tensor_make(full, AOPT_F32, ndim, shape, NULL, AOPT_HOST);
    aopt_tensor_describe(&expected, want, sizeof want);
    if (!t) {
        b->status = aopt_fail(b->err, AOPT_E_MISSING, "%s: tensor %s is missing, expected%s", aopt_checkpoint_path(b->ck), full, strchr(want, ' '));
        return NULL;
    }
    for (same = t->ndim == ndim, i = 0; same && i < ndim; i++) same = t->shape[i] == shape[i];
    aopt_tensor_describe(t, found, sizeof found);
    if (!same)
        b->status = aopt_fail(b->err, AOPT_E_SHAPE, "%s: tensor %s: expected%s, found %s", aopt_checkpoint_path(b->ck), full, strchr(want, ' '), found);
    else if (t->dtype != AOPT_F32 && t->dtype != AOPT_F16 && t->dtype != AOPT_BF16 && t->dtype != AOPT_F64)
        b->status = aopt_fail(b->err, AOPT_E_UNSUPPORTED, "%s: tensor %s: expected a floating-point type, found %s", aopt_checkpoint_path(b->ck), full, found);
    else b->used[t - b->ck->tensor] = 1;
    return b->status == AOPT_OK ? t : NULL;
}

/* dims: 5 = [Co][Ci][kt][k][k]; 4 = [Co][Ci][k][k] */
static void aopt__bind_conv(aopt__binder *b, aopt_conv_weights *c, const char *module, const char *part, int64_t co, int64_t ci, int kt, int k, int dims)
{
    int64_t shape[5];
    shape[0] = co; shape[1] = ci;
    shape[2] = dims == 5 ? kt : k; shape[3] = k; shape[4] = k;
    c->weight = aopt__bind(b, module, part, ".weight", dims, shape);
    c->bias = aopt__bind(b, module, part, ".bias", 1, shape);
    c->ci = (int)ci; c->co = (int)co;
    c->kt = kt; c->kh = k; c->kw = k;
}

/* gamma is [C][1][1] in images, [C][1][1][1] in clips */
static void aopt__bind_norm(aopt__binder *b, aopt_norm_weights *n, const char *module, const char *part, int64_t c, int ndim)
{
    int64_t shape[4] = { 0, 1, 1, 1 };
    shape[0] = c;
    n->gamma = aopt__bind(b, module, part, ".gamma", ndim, shape);
    n->c = (int)c;
}

static void aopt__bind_resblock(aopt__binder *b, aopt_resblock_weights *r, const char *module, int ci, int co)
{
    r->ci = ci; r->co = co;
    aopt__bind_norm(b, &r->norm1, module, ".residual.0", ci, 4);
    aopt__bind_conv(b, &r->conv1, module, ".residual.2", co, ci, 3, 3, 5);
    aopt__bind_norm(b, &r->norm2, module, ".residual.3", co, 4);
    aopt__bind_conv(b, &r->conv2, module, ".residual.6", co, co, 3, 3, 5);
    if (ci != co) aopt__bind_conv(b, &r->shortcut, module, ".shortcut", co, ci, 1, 1, 5);
}

static void aopt__bind_middle(aopt__binder *b, aopt_coder_weights *c, int width)
{
    aopt__bind_resblock(b, &c->middle0, "middle.0", width, width);
    aopt__bind_norm(b, &c->middle1.norm, "middle.1", ".norm", width, 3);
    aopt__bind_conv(b, &c->middle1.to_qkv, "middle.1", ".to_qkv", 3 * (int64_t)width, width, 1, 1, 4);
    aopt__bind_conv(b, &c->middle1.proj, "middle.1", ".proj", width, width, 1, 1, 4);
    c->middle1.c = width;
    aopt__bind_resblock(b, &c->middle2, "middle.2", width, width);
}

/* Stages resample after their blocks: the decoder time in stages 0 and 1, the encoder in 1 and 2, both space in 0 to 2. */
static void aopt__bind_stages(aopt__binder *b, aopt_coder_weights *c, int decoder)
{
    const char *kind = decoder ? "upsamples" : "downsamples";
    int i, j;
    for (i = 0; i < AOPT_VAE_STAGES; i++) {
        aopt_stage_weights *s = &c->stage[i];
        char name[96];
        s->ci = c->width[i];
        s->co = c->width[i + 1];
        s->block_n = decoder ? 3 : 2;
        s->factor_s = i < 3 ? 2 : 1;
        s->factor_t = decoder ? (i < 2 ? 2 : 1) : (i == 1 || i == 2 ? 2 : 1);
        for (j = 0; j < s->block_n; j++) {
            snprintf(name, sizeof name, "%s.%d.%s.%d", kind, i, kind, j);
            aopt__bind_resblock(b, &s->block[j], name, j ? s->co : s->ci, s->co);
        }
        snprintf(name, sizeof name, "%s.%d.%s.%d", kind, i, kind, s->block_n);
        if (s->factor_s == 2) aopt__bind_conv(b, &s->resample, name, ".resample.1", s->co, s->co, 1, 3, 4);
        if (s->factor_t == 2) aopt__bind_conv(b, &s->time_conv, name, ".time_conv", decoder ? 2 * (int64_t)s->co : s->co, s->co, 3, 1, 5);
    }
}

/* Channels that the tensor `name` says there are; 0 after an error. */
static int aopt__bind_width(aopt__binder *b, const char *name)
{
    char full[256];
    const aopt_tensor *t;
    if (b->status != AOPT_OK) return 0;
    snprintf(full, sizeof full, "%s%s", b->prefix, name);
    t = aopt_checkpoint_find(b->ck, full);
    if (!t) b->status = aopt_fail(b->err, AOPT_E_MISSING, "%s: tensor %s is missing", aopt_checkpoint_path(b->ck), full);
    else if (t->ndim != 5 || t->shape[0] < 1 || t->shape[0] > AOPT__MAX_WIDTH) {
        char found[128];
        b->status = aopt_fail(b->err, AOPT_E_SHAPE, "%s: tensor %s: expected [Co][Ci][3][3][3] with Co <= %d, found %s", aopt_checkpoint_path(b->ck), full,
                              (int)AOPT__MAX_WIDTH, aopt_tensor_describe(t, found, sizeof found));
    }
    return b->status == AOPT_OK ? (int)t->shape[0] : 0;
}

/* DupUp3D and AvgDown3D need channel counts that divide. */
static void aopt__bind_check_shortcuts(aopt__binder *b, const aopt_coder_weights *c, int decoder)
{
    int i;
    for (i = 0; i < AOPT_VAE_STAGES && b->status == AOPT_OK; i++) {
        const aopt_stage_weights *s = &c->stage[i];
        const int64_t spread = (int64_t)s->factor_t * s->factor_s * s->factor_s;
        if (decoder ? (i < 3 && s->co * spread % s->ci) : s->ci * spread % s->co)
            b->status = aopt_fail(b->err, AOPT_E_SHAPE, "%s: %sstage %d has %d -> %d channels, which its shortcut cannot map",
                                  aopt_checkpoint_path(b->ck), b->prefix, i, s->ci, s->co);
    }
}

static void aopt__bind_coder(aopt__binder *b, aopt_coder_weights *c, int decoder)
{
    char name[96];
    int i;
    snprintf(b->prefix, sizeof b->prefix, "%s", decoder ? "decoder." : "encoder.");
    c->present = 1;
    c->width[0] = aopt__bind_width(b, "conv1.weight");
    for (i = 0; i < AOPT_VAE_STAGES; i++) {
        snprintf(name, sizeof name, "%s.%d.%s.0.residual.2.weight", decoder ? "upsamples" : "downsamples", i, decoder ? "upsamples" : "downsamples");
        c->width[i + 1] = aopt__bind_width(b, name);
    }
    if (b->status != AOPT_OK) return;
    aopt__bind_conv(b, &c->conv1, "conv1", "", c->width[0], decoder ? AOPT_VAE_Z : 3 * AOPT_VAE_PATCH * AOPT_VAE_PATCH, 3, 3, 5);
    aopt__bind_stages(b, c, decoder);
    aopt__bind_middle(b, c, decoder ? c->width[0] : c->width[AOPT_VAE_STAGES]);
    aopt__bind_norm(b, &c->head_norm, "head", ".0", c->width[AOPT_VAE_STAGES], 4);
    aopt__bind_conv(b, &c->head_conv, "head", ".2", decoder ? 3 * AOPT_VAE_PATCH * AOPT_VAE_PATCH : 2 * AOPT_VAE_Z, c->width[AOPT_VAE_STAGES], 3, 3, 5);
    aopt__bind_check_shortcuts(b, c, decoder);
    b->prefix[0] = 0;
}

static int aopt__bind_has(const aopt_checkpoint *ck, const char *prefix)
{
    int64_t i;
    for (i = 0; i < aopt_checkpoint_count(ck); i++)
        if (strncmp(aopt_checkpoint_at(ck, i)->name, prefix, strlen(prefix)) == 0) return 1;
    return 0;
}

/* The other VAE of the family has the same top-level names with 16 latent channels. */
static aopt_status aopt__bind_refuse_other(const aopt_checkpoint *ck, aopt_error *err)
{
    const aopt_tensor *t = aopt_checkpoint_find(ck, "conv2.weight");
    char found[128];
    if (!t) t = aopt_checkpoint_find(ck, "conv1.weight");
    if (t && t->ndim == 5 && (t->shape[0] == 16 || t->shape[0] == 32))
        return aopt_fail(err, AOPT_E_SHAPE, "%s: tensor %s is %s: this is the VAE with 16 latent channels (Wan 2.1, and the 14B models of 2.2); "
                         "expected the one with 48 (Wan2.2_VAE.pth)", aopt_checkpoint_path(ck), t->name, aopt_tensor_describe(t, found, sizeof found));
    if (!aopt__bind_has(ck, "decoder.") && !aopt__bind_has(ck, "encoder."))
        return aopt_fail(err, AOPT_E_MISSING, "%s: no tensor is named decoder.* or encoder.*: not a Wan 2.2 VAE", aopt_checkpoint_path(ck));
    return AOPT_OK;
}

static aopt_status aopt__bind_all(aopt__binder *b, aopt_vae *vae)
{
    int64_t i, extra = 0;
    const char *first = NULL;
    if (aopt__bind_has(b->ck, "decoder.")) {
        aopt__bind_conv(b, &vae->conv2, "conv2", "", AOPT_VAE_Z, AOPT_VAE_Z, 1, 1, 5);
        aopt__bind_coder(b, &vae->decoder, 1);
    }
    if (aopt__bind_has(b->ck, "encoder.")) {
        aopt__bind_conv(b, &vae->conv1, "conv1", "", 2 * AOPT_VAE_Z, 2 * AOPT_VAE_Z, 1, 1, 5);
        aopt__bind_coder(b, &vae->encoder, 0);
    }
    for (i = 0; i < b->used_n && b->status == AOPT_OK; i++) {
        const char *name = aopt_checkpoint_at(b->ck, i)->name;
        const int half = (!vae->encoder.present && strncmp(name, "conv1.", 6) == 0) || (!vae->decoder.present && strncmp(name, "conv2.", 6) == 0);
        if (b->used[i] || half) continue;
        if (!extra++) first = name;
    }
    if (extra)
        b->status = aopt_fail(b->err, AOPT_E_VALUE, "%s: tensor %s belongs to no layer of the VAE (%lld such tensor%s)", aopt_checkpoint_path(b->ck), first,
                              (long long)extra, extra == 1 ? "" : "s");
    return b->status;
}

AOPT__DEF aopt_status aopt_vae_open(const aopt_checkpoint *ck, aopt_vae **out, aopt_error *err)
{
    aopt__binder b;
    aopt_vae *vae;
    aopt_status st;
    if (!ck || !out) return aopt_fail(err, AOPT_E_ARG, "aopt_vae_open: checkpoint or out is NULL");
    *out = NULL;
    st = aopt__bind_refuse_other(ck, err);
    if (st != AOPT_OK) return st;
    memset(&b, 0, sizeof b);
    b.ck = ck;
    b.err = err;
    b.used_n = aopt_checkpoint_count(ck);
    vae = (aopt_vae *)aopt__alloc(1, sizeof *vae);
    b.used = (unsigned char *)aopt__alloc(b.used_n, 1);
    if (!vae || !b.used) {
        AOPT_FREE(vae);
        AOPT_FREE(b.used);
        return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", aopt_checkpoint_path(ck));
    }
    memset(b.used, 0, (size_t)b.used_n);
    memset(vae, 0, sizeof *vae);
    vae->checkpoint = ck;
    memcpy(vae->mean, aopt__latent_mean, sizeof vae->mean);
    memcpy(vae->std, aopt__latent_std, sizeof vae->std);
    st = aopt__bind_all(&b, vae);
    AOPT_FREE(b.used);
    if (st != AOPT_OK) AOPT_FREE(vae);
    else *out = vae;
    return st;
}

AOPT__DEF void aopt_vae_close(aopt_vae *vae) { AOPT_FREE(vae); }

/* ==== [I6] decoder and encoder ==========================================================================
   Both are causal in time, so both run frame by frame, depth first: a frame goes through the whole network before the next one
   starts.  Each causal convolution keeps its last three input frames in a ring; nothing else lives longer than a frame, except
   a stage's input while its second output frame is still to be made.  How a clip is cut into calls cannot change a bit.

   Memory is one block, laid out by aopt__plan, which runs twice: without memory to learn the size, then to hand out pointers. */
enum { AOPT__MAX_LAYERS = 96, AOPT__MAX_THREADS = 4096 };

typedef struct aopt__layer { aopt__conv conv; const aopt_conv_weights *from; int64_t co_first; } aopt__layer;
typedef struct aopt__norm { float *gamma; const aopt_norm_weights *from; } aopt__norm;
typedef struct aopt__resblock { aopt__norm norm1, norm2; aopt__layer conv1, conv2, shortcut; aopt__ring ring1, ring2; } aopt__resblock;
typedef struct aopt__stage {
    int64_t H, W, ci, co;               /* of the frames that come in */
    int block_n, ft, fs;
    float *in;                          /* [H][W][ci] */
    aopt__resblock block[AOPT_VAE_MAX_BLOCKS];
    aopt__layer resample, time[2];      /* the decoder's time_conv is two layers: earlier and later frame */
    aopt__ring ring;                    /* inputs of time_conv */
    float *shortcut;                    /* encoder: [H/fs][W/fs][co], filled by the ft frames of a group */
    int64_t frame_n;                    /* encoder: frames seen */
} aopt__stage;

typedef struct aopt__net {
    const aopt_vae *vae;
    const aopt_coder_weights *from;
    aopt_vae_options options;
    int threads, decoder;
    int64_t h, w, clip;                 /* latent size; latent frames (decoder) or video frames (encoder) since reset */

    aopt__layer latent_conv, conv1, qkv, proj, head_conv;
    aopt__norm attention_norm, head_norm;
    aopt__ring conv1_ring, head_ring;
    aopt__resblock middle0, middle2;
    aopt__attention attention;
    aopt__stage stage[AOPT_VAE_STAGES];
    float *a, *b, *t, *qkv_out, *padded, *out;  /* frames on their way; padded has a border; out is what the callback sees */

    char *memory;                       /* aligned into `block` */
    void *block;
    int64_t bytes, scratch, padded_floats;
    int too_large;
    aopt__layer *layer[AOPT__MAX_LAYERS]; aopt__norm *norm[AOPT__MAX_LAYERS]; aopt__ring *ring[AOPT__MAX_LAYERS];
    int layer_n, norm_n, ring_n;

    aopt_status status;                 /* of the running call; after a failure the rest of it falls through */
    aopt_error *err;
    aopt_frame_fn frame;                /* decoder's callback */
    aopt_latent_fn latent;              /* encoder's */
    void *user;
    int64_t emitted;
    double flops_done, flops_total;
    void (*tap)(void *user, const char *module, int64_t chunk, const float *x, int64_t H, int64_t W, int64_t C);    /* for tests */
    void *tap_user;
} aopt__net;

/* ---- plan ---- */

static int64_t aopt__floats(aopt__net *n, int64_t a, int64_t b, int64_t c)
{
    int64_t p;
    if (aopt__mul(a, b, &p) && aopt__mul(p, c, &p) && p < INT64_MAX / 256) return p;
    n->too_large = 1;
    return 0;
}

static float *aopt__take(aopt__net *n, int64_t floats)
{
    const int64_t at = n->bytes, size = (floats * (int64_t)sizeof(float) + 63) / 64 * 64;
    if (size > INT64_MAX / 4 - at) { n->too_large = 1; return NULL; }
    n->bytes = at + size;
    return n->memory ? (float *)(void *)(n->memory + at) : NULL;
}

static void aopt__plan_conv(aopt__net *n, aopt__layer *l, const aopt_conv_weights *from, int64_t co_first, int64_t co, int stride)
{
    AOPT_ASSERT(n->layer_n < AOPT__MAX_LAYERS);
    l->from = from;
    l->co_first = co_first;
    l->conv.ci = from->ci; l->conv.co = co;
    l->conv.kt = from->kt; l->conv.k = from->kh; l->conv.stride = stride;
    l->conv.w = aopt__take(n, aopt__conv_floats(&l->conv));
    l->conv.bias = aopt__take(n, aopt__blocks(co) * AOPT__TILE_C);
    n->scratch = aopt__max(n->scratch, l->conv.ci * aopt__conv_taps(&l->conv));
    n->layer[n->layer_n++] = l;
}

static void aopt__plan_norm(aopt__net *n, aopt__norm *m, const aopt_norm_weights *from)
{
    AOPT_ASSERT(n->norm_n < AOPT__MAX_LAYERS);
    m->from = from;
    m->gamma = aopt__take(n, from->c);
    n->norm[n->norm_n++] = m;
}

static void aopt__plan_ring(aopt__net *n, aopt__ring *r, int64_t H, int64_t W, int64_t C, int border)
{
    AOPT_ASSERT(n->ring_n < AOPT__MAX_LAYERS);
    r->H = H; r->W = W; r->C = C;
    r->border = border; r->slots = AOPT_VAE_HISTORY + 1;
    r->data = aopt__take(n, aopt__floats(n, aopt__floats(n, H + 2 * border, W + 2 * border, r->slots), C, 1));
    n->ring[n->ring_n++] = r;
}

static void aopt__plan_block(aopt__net *n, aopt__resblock *b, const aopt_resblock_weights *from, int64_t H, int64_t W)
{
    aopt__plan_norm(n, &b->norm1, &from->norm1);
    aopt__plan_conv(n, &b->conv1, &from->conv1, 0, from->co, 1);
    aopt__plan_ring(n, &b->ring1, H, W, from->ci, 1);
    aopt__plan_norm(n, &b->norm2, &from->norm2);
    aopt__plan_conv(n, &b->conv2, &from->conv2, 0, from->co, 1);
    aopt__plan_ring(n, &b->ring2, H, W, from->co, 1);
    if (from->shortcut.weight) aopt__plan_conv(n, &b->shortcut, &from->shortcut, 0, from->co, 1);
    n->scratch = aopt__max(n->scratch, aopt__floats(n, H, W, from->co));
}

static void aopt__plan_stage(aopt__net *n, int i)
{
    const aopt_stage_weights *from = &n->from->stage[i];
    aopt__stage *s = &n->stage[i];
    int j;
    s->H = n->decoder ? n->h << i : 8 * n->h >> i;
    s->W = n->decoder ? n->w << i : 8 * n->w >> i;
    s->ci = from->ci; s->co = from->co;
    s->block_n = from->block_n; s->ft = from->factor_t; s->fs = from->factor_s;
    s->in = aopt__take(n, aopt__floats(n, s->H, s->W, s->ci));
    for (j = 0; j < s->block_n; j++) aopt__plan_block(n, &s->block[j], &from->block[j], s->H, s->W);
    if (s->fs == 2) {
        const int64_t grown = n->decoder ? 2 : 1;
        aopt__plan_conv(n, &s->resample, &from->resample, 0, s->co, n->decoder ? 1 : 2);
        n->padded_floats = aopt__max(n->padded_floats, aopt__floats(n, grown * s->H + 2, grown * s->W + 2, s->co));
        if (!n->decoder) s->shortcut = aopt__take(n, aopt__floats(n, s->H / 2, s->W / 2, s->co));
    }
    if (s->ft == 2) {
        const int64_t shrunk = n->decoder ? 1 : 2;
        aopt__plan_conv(n, &s->time[0], &from->time_conv, 0, s->co, 1);
        if (n->decoder) aopt__plan_conv(n, &s->time[1], &from->time_conv, s->co, s->co, 1);
        aopt__plan_ring(n, &s->ring, s->H / shrunk, s->W / shrunk, s->co, 0);
    }
}

static void aopt__plan(aopt__net *n, char *memory)
{
    const aopt_coder_weights *from = n->from;
    const int64_t P = n->h * n->w, C = n->decoder ? from->width[0] : from->width[AOPT_VAE_STAGES];
    const int64_t in_scale = n->decoder ? 1 : 8, out_scale = n->decoder ? 8 : 1;
    int i;
    n->memory = memory;
    n->bytes = n->scratch = n->padded_floats = 0;
    n->layer_n = n->norm_n = n->ring_n = 0;
    aopt__plan_conv(n, &n->latent_conv, n->decoder ? &n->vae->conv2 : &n->vae->conv1, 0, AOPT_VAE_Z, 1);    /* of the encoder's 96 only the mean */
    aopt__plan_conv(n, &n->conv1, &from->conv1, 0, from->width[0], 1);
    aopt__plan_ring(n, &n->conv1_ring, in_scale * n->h, in_scale * n->w, from->conv1.ci, 1);
    for (i = 0; i < AOPT_VAE_STAGES; i++) aopt__plan_stage(n, i);
    aopt__plan_block(n, &n->middle0, &from->middle0, n->h, n->w);
    aopt__plan_block(n, &n->middle2, &from->middle2, n->h, n->w);
    aopt__plan_norm(n, &n->attention_norm, &from->middle1.norm);
    aopt__plan_conv(n, &n->qkv, &from->middle1.to_qkv, 0, 3 * C, 1);
    aopt__plan_conv(n, &n->proj, &from->middle1.proj, 0, C, 1);
    n->qkv_out = aopt__take(n, aopt__floats(n, P, C, 3));
    n->attention.P = P; n->attention.C = C;
    n->attention.k = aopt__take(n, aopt__floats(n, aopt__blocks(P), AOPT__TILE_C, C));
    n->attention.v = aopt__take(n, aopt__floats(n, aopt__blocks(C), AOPT__TILE_C, P));
    n->attention.score = aopt__take(n, aopt__floats(n, aopt__min(P, AOPT__QUERIES), P, 1));
    aopt__plan_norm(n, &n->head_norm, &from->head_norm);
    aopt__plan_conv(n, &n->head_conv, &from->head_conv, 0, from->head_conv.co, 1);
    aopt__plan_ring(n, &n->head_ring, out_scale * n->h, out_scale * n->w, from->width[AOPT_VAE_STAGES], 1);
    n->scratch = aopt__max(n->scratch, aopt__floats(n, aopt__floats(n, out_scale * n->h, out_scale * n->w, from->head_conv.co), 1, 1));
    n->scratch = aopt__max(n->scratch, aopt__floats(n, P, AOPT_VAE_Z, 1));
    n->a = aopt__take(n, n->scratch);
    n->b = aopt__take(n, n->scratch);
    n->t = aopt__take(n, n->scratch);
    n->padded = aopt__take(n, n->padded_floats);
    n->out = aopt__take(n, n->decoder ? aopt__floats(n, 3, 16 * n->h, 16 * n->w) : aopt__floats(n, AOPT_VAE_Z, P, 1));
}

static int aopt__latent_size_ok(int64_t h, int64_t w) { return h >= 1 && w >= 1 && h <= AOPT__MAX_WIDTH && w <= AOPT__MAX_WIDTH; }

/* Everything an open network allocates; -1 if it does not fit in 63 bits. */
static int64_t aopt__net_bytes(const aopt__net *n)
{
    return n->too_large ? -1 : n->bytes + 64 + (int64_t)sizeof *n;
}

static void aopt__net_init(aopt__net *n, const aopt_vae *vae, int decoder, int64_t h, int64_t w, const aopt_vae_options *options)
{
    memset(n, 0, sizeof *n);
    n->vae = vae;
    n->decoder = decoder;
    n->from = decoder ? &vae->decoder : &vae->encoder;
    if (options) n->options = *options;
    n->threads = aopt__threads(n->options.threads);
    n->h = h;
    n->w = w;
    aopt__plan(n, NULL);
}

/* ---- weights into tile order ---- */

/* Slice i of the first dimension, converted to f32 and checked. */
static void aopt__pack_slice(aopt__net *n, const aopt_tensor *t, int64_t i, float *out, int64_t count)
{
    aopt_tensor slice = *t;
    if (n->status != AOPT_OK) return;
    slice.data = (char *)t->data + i * t->stride[0] * aopt_dtype_bytes((int)t->dtype);
    slice.shape[0] = 1;
    n->status = aopt_tensor_to_f32(&slice, out, count, n->err);
    if (n->status == AOPT_OK && aopt__first_nonfinite(out, count) < count)
        n->status = aopt_fail(n->err, AOPT_E_VALUE, "%s: tensor %s holds NaN or infinity, expected finite weights", aopt_checkpoint_path(n->vae->checkpoint), t->name);
}

static void aopt__pack_layer(aopt__net *n, const aopt__layer *l)
{
    const int64_t count = l->conv.ci * aopt__conv_taps(&l->conv);
    int64_t co;
    float bias;
    memset(l->conv.w, 0, (size_t)aopt__conv_floats(&l->conv) * sizeof(float));
    memset(l->conv.bias, 0, (size_t)(aopt__blocks(l->conv.co) * AOPT__TILE_C) * sizeof(float));
    for (co = 0; co < l->conv.co && n->status == AOPT_OK; co++) {
        aopt__pack_slice(n, l->from->weight, l->co_first + co, n->t, count);
        aopt__pack_slice(n, l->from->bias, l->co_first + co, &bias, 1);
        if (n->status == AOPT_OK) aopt__conv_pack(&l->conv, co, n->t, bias);
    }
}

static void aopt__pack(aopt__net *n)
{
    int i;
    int64_t c;
    for (i = 0; i < n->norm_n; i++)
        for (c = 0; c < n->norm[i]->from->c; c++) aopt__pack_slice(n, n->norm[i]->from->gamma, c, n->norm[i]->gamma + c, 1);
    for (i = 0; i < n->layer_n && n->status == AOPT_OK; i++) {
        aopt__pack_layer(n, n->layer[i]);
        if (n->status == AOPT_OK && n->options.progress && n->options.progress(n->options.progress_user, "weights", i + 1, n->layer_n))
            n->status = aopt_fail(n->err, AOPT_E_CANCELLED, "cancelled");
    }
}

static void aopt__net_reset(aopt__net *n)
{
    int i;
    for (i = 0; i < n->ring_n; i++) {
        aopt__ring *r = n->ring[i];
        memset(r->data, 0, (size_t)(r->slots * aopt__ring_frame(r)) * sizeof(float));
        r->n = 0;
    }
    for (i = 0; i < AOPT_VAE_STAGES; i++) n->stage[i].frame_n = 0;
    n->clip = n->emitted = 0;
}

static void aopt__net_close(aopt__net *n)
{
    if (!n) return;
    AOPT_FREE(n->block);
    AOPT_FREE(n);
}

static aopt_status aopt__net_check(const aopt__net *n, const char *what, aopt_error *err)
{
    const int64_t limit = n->options.memory_limit > 0 ? n->options.memory_limit : aopt__memory_free(""), need = aopt__net_bytes(n);
    if (n->options.threads < 0 || n->options.threads > AOPT__MAX_THREADS)
        return aopt_fail(err, AOPT_E_ARG, "%s: %d threads, expected 0 to %d", what, n->options.threads, (int)AOPT__MAX_THREADS);
    if (need < 0) return aopt_fail(err, AOPT_E_SHAPE, "%s: a latent of %lldx%lld is too large", what, (long long)n->h, (long long)n->w);
    if (limit > 0 && need > limit)
        return aopt_fail(err, AOPT_E_MEMORY, "%s: a latent of %lldx%lld needs %.1f MiB (%lld bytes), %s %.1f MiB (%lld bytes)", what, (long long)n->h,
                         (long long)n->w, (double)need / 1048576, (long long)need, n->options.memory_limit > 0 ? "the limit is" : "this machine has",
                         (double)limit / 1048576, (long long)limit);
    return AOPT_OK;
}

static aopt_status aopt__net_open(const aopt_vae *vae, int decoder, int64_t h, int64_t w, const aopt_vae_options *options,
                                  aopt__net **out, aopt_error *err)
{
    const char *what = decoder ? "decoder" : "encoder";
    aopt__net plan, *n;
    aopt_status st;
    *out = NULL;
    if (!vae) return aopt_fail(err, AOPT_E_ARG, "%s: the VAE is NULL", what);
    if (!aopt__latent_size_ok(h, w))
        return aopt_fail(err, AOPT_E_SHAPE, "%s: a latent of %lldx%lld, expected 1 to %d each way", what, (long long)h, (long long)w, (int)AOPT__MAX_WIDTH);
    if (decoder ? !vae->decoder.present : !vae->encoder.present)
        return aopt_fail(err, AOPT_E_MISSING, "%s: the checkpoint has no %s", aopt_checkpoint_path(vae->checkpoint), what);
    aopt__net_init(&plan, vae, decoder, h, w, options);
    st = aopt__net_check(&plan, what, err);
    if (st != AOPT_OK) return st;
    n = (aopt__net *)aopt__alloc(1, sizeof *n);
    if (n) {
        *n = plan;
        n->block = aopt__alloc(plan.bytes + 64, 1);
    }
    if (!n || !n->block) {
        AOPT_FREE(n);
        return aopt_fail(err, AOPT_E_MEMORY, "%s: cannot allocate %lld bytes", what, (long long)aopt__net_bytes(&plan));
    }
    aopt__plan(n, (char *)n->block + (64 - (uintptr_t)n->block % 64) % 64);
    n->err = err;
    aopt__pack(n);
    st = n->status;
    if (st != AOPT_OK) aopt__net_close(n);
    else {
        aopt__net_reset(n);
        *out = n;
    }
    return st;
}

/* ---- layers, with their profile and progress ---- */

static void aopt__net_done(aopt__net *n, double start, double flops, double bytes, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 5, 6)))
#endif
    ;
static void aopt__net_done(aopt__net *n, double start, double flops, double bytes, const char *format, ...)
{
    if (n->options.profile) {
        char name[64];
        va_list args;
        va_start(args, format);
        vsnprintf(name, sizeof name, format, args);
        va_end(args);
        aopt_profile_add(n->options.profile, name, aopt_seconds() - start, flops, bytes);
    }
    n->flops_done = n->flops_done + flops < n->flops_total ? n->flops_done + flops : n->flops_total;    /* an encoder's total is of whole chunks */
    if (n->options.progress && flops > 0 &&
        n->options.progress(n->options.progress_user, n->decoder ? "decode" : "encode", (int64_t)(n->flops_done * 1e-6), (int64_t)(n->flops_total * 1e-6)))
        n->status = aopt_fail(n->err, AOPT_E_CANCELLED, "cancelled");
}

static void aopt__net_tap(aopt__net *n, const char *module, const float *x, int64_t H, int64_t W, int64_t C)
{
    if (n->tap && n->status == AOPT_OK) n->tap(n->tap_user, module, n->clip, x, H, W, C);
}

/* A tensor's name without its last part: the module. */
static int aopt__module_chars(const char *name)
{
    const char *dot = strrchr(name, '.');
    return (int)(dot ? dot - name : (ptrdiff_t)strlen(name));
}

static void aopt__net_conv(aopt__net *n, const aopt__layer *l, const aopt__ring *in, const float *add, float *y)
{
    const aopt__conv *c = &l->conv;
    const char *name = l->from->weight->name;
    const double positions = (double)(in->H / c->stride) * (double)(in->W / c->stride), weights = (double)(c->ci * c->co * aopt__conv_taps(c));
    const double start = aopt_seconds();
    if (n->status != AOPT_OK) return;
    aopt__conv_run(c, in, add, y, n->threads);
    aopt__net_done(n, start, 2 * weights * positions,
                   4 * ((double)(in->H * in->W * c->ci * c->kt) + weights + positions * (double)(c->co * (add ? 2 : 1))), "%.*s", aopt__module_chars(name), name);
}

static void aopt__net_norm(aopt__net *n, const aopt__norm *m, const float *x, int silu, aopt__ring *to)
{
    const char *name = m->from->gamma->name;
    const double start = aopt_seconds();
    if (n->status != AOPT_OK) return;
    aopt__frame_norm(x, m->gamma, silu, to, n->threads);
    aopt__net_done(n, start, 0, 8 * (double)(to->H * to->W * to->C), "%.*s", aopt__module_chars(name), name);
}

/* y is neither x nor n->t */
static void aopt__net_block(aopt__net *n, aopt__resblock *b, const float *x, float *y)
{
    const int64_t H = b->ring1.H, W = b->ring1.W;
    const float *skip = x;
    aopt__net_norm(n, &b->norm1, x, 1, &b->ring1);
    aopt__net_conv(n, &b->conv1, &b->ring1, NULL, n->t);
    aopt__net_norm(n, &b->norm2, n->t, 1, &b->ring2);
    if (b->shortcut.from) {
        const aopt__ring in = aopt__ring_of(x, H, W, b->ring1.C);
        aopt__net_conv(n, &b->shortcut, &in, NULL, n->t);
        skip = n->t;
    }
    aopt__net_conv(n, &b->conv2, &b->ring2, skip, y);
}

/* The residual blocks of a stage: from s->in to `last`, or to one of the two frame buffers if that is NULL. */
static const float *aopt__net_blocks(aopt__net *n, int i, float *last)
{
    aopt__stage *s = &n->stage[i];
    const float *x = s->in;
    int j;
    for (j = 0; j < s->block_n; j++) {
        float *y = j == s->block_n - 1 && last ? last : x == n->a ? n->b : n->a;
        char module[64];
        aopt__net_block(n, &s->block[j], x, y);
        snprintf(module, sizeof module, "upsamples.%d.upsamples.%d", i, j);
        aopt__net_tap(n, module, y, s->H, s->W, s->co);
        x = y;
    }
    return x;
}

/* Residual block, attention, residual block.  x is n->a or n->b and is overwritten; y is anything but x and n->t. */
static void aopt__net_middle(aopt__net *n, float *x, float *y)
{
    const int64_t P = n->attention.P, C = n->attention.C;
    float *other = x == n->a ? n->b : n->a;
    aopt__ring t = aopt__ring_of(n->t, n->h, n->w, C);
    double start;
    aopt__net_block(n, &n->middle0, x, other);
    aopt__net_tap(n, "middle.0", other, n->h, n->w, C);
    aopt__net_norm(n, &n->attention_norm, other, 0, &t);
    aopt__net_conv(n, &n->qkv, &t, NULL, n->qkv_out);
    start = aopt_seconds();
    if (n->status == AOPT_OK) {
        aopt__attention_run(&n->attention, n->qkv_out, n->t, n->threads);
        aopt__net_done(n, start, 4.0 * (double)P * (double)P * (double)C, 16.0 * (double)P * (double)C, "%s.middle.1.attention", n->decoder ? "decoder" : "encoder");
    }
    aopt__net_conv(n, &n->proj, &t, other, x);
    aopt__net_tap(n, "middle.1", x, n->h, n->w, C);
    aopt__net_block(n, &n->middle2, x, y);
    aopt__net_tap(n, "middle.2", y, n->h, n->w, C);
}

/* The scratch frame with a border, for a 3x3 convolution without history. */
static aopt__ring aopt__net_padded(const aopt__net *n, int64_t H, int64_t W, int64_t C)
{
    aopt__ring r = aopt__ring_of(n->padded, H, W, C);
    r.border = 1;
    r.n = 0;
    return r;
}

/* ---- FLOPs ---- */

static double aopt__conv_flops(const aopt_conv_weights *c, double positions)
{
    return c->weight ? 2.0 * c->co * (double)c->ci * c->kt * c->kh * c->kw * positions : 0;
}

static double aopt__resblock_flops(const aopt_resblock_weights *b, double positions)
{
    return aopt__conv_flops(&b->conv1, positions) + aopt__conv_flops(&b->conv2, positions) + aopt__conv_flops(&b->shortcut, positions);
}

/* One latent frame: the first of a clip, or a later one. */
static double aopt__chunk_flops(const aopt_vae *vae, int decoder, int first, double h, double w)
{
    const aopt_coder_weights *c = decoder ? &vae->decoder : &vae->encoder;
    const double P = h * w, C = c->middle1.c;
    double frames = decoder || first ? 1 : 4, positions = decoder ? P : 64 * P, flops;
    int i, j;
    flops = decoder ? aopt__conv_flops(&vae->conv2, P) : aopt__conv_flops(&vae->conv1, P) / 2;
    flops += aopt__conv_flops(&c->conv1, frames * positions);
    flops += aopt__resblock_flops(&c->middle0, P) + aopt__resblock_flops(&c->middle2, P);
    flops += aopt__conv_flops(&c->middle1.to_qkv, P) + aopt__conv_flops(&c->middle1.proj, P) + 4 * P * P * C;
    for (i = 0; i < AOPT_VAE_STAGES; i++) {
        const aopt_stage_weights *s = &c->stage[i];
        for (j = 0; j < s->block_n; j++) flops += aopt__resblock_flops(&s->block[j], frames * positions);
        if (decoder) {
            if (s->factor_t == 2 && !first) { flops += aopt__conv_flops(&s->time_conv, frames * positions); frames *= 2; }
            if (s->factor_s == 2) positions *= 4;
            flops += aopt__conv_flops(&s->resample, frames * positions);
        } else {
            if (s->factor_s == 2) positions /= 4;
            flops += aopt__conv_flops(&s->resample, frames * positions);
            if (s->factor_t == 2 && !first) { frames /= 2; flops += aopt__conv_flops(&s->time_conv, frames * positions); }
        }
    }
    return flops + aopt__conv_flops(&c->head_conv, frames * positions);
}

AOPT__DEF double aopt_vae_decode_flops(const aopt_vae *vae, int64_t T, int64_t h, int64_t w)
{
    if (!vae->decoder.present || T < 1 || !aopt__latent_size_ok(h, w)) return 0;
    return aopt__chunk_flops(vae, 1, 1, (double)h, (double)w) + (double)(T - 1) * aopt__chunk_flops(vae, 1, 0, (double)h, (double)w);
}

AOPT__DEF double aopt_vae_encode_flops(const aopt_vae *vae, int64_t T, int64_t h, int64_t w)
{
    if (!vae->encoder.present || T < 1 || !aopt__latent_size_ok(h, w)) return 0;
    return aopt__chunk_flops(vae, 0, 1, (double)h, (double)w) + (double)(T - 1) * aopt__chunk_flops(vae, 0, 0, (double)h, (double)w);
}

static int64_t aopt__peak_bytes(const aopt_vae *vae, int decoder, int64_t h, int64_t w)
{
    aopt__net n;
    if ((decoder ? !vae->decoder.present : !vae->encoder.present) || !aopt__latent_size_ok(h, w)) return -1;
    aopt__net_init(&n, vae, decoder, h, w, NULL);
    return aopt__net_bytes(&n);
}

AOPT__DEF int64_t aopt_vae_decode_peak_bytes(const aopt_vae *vae, int64_t h, int64_t w) { return aopt__peak_bytes(vae, 1, h, w); }
AOPT__DEF int64_t aopt_vae_encode_peak_bytes(const aopt_vae *vae, int64_t h, int64_t w) { return aopt__peak_bytes(vae, 0, h, w); }

AOPT__DEF int64_t aopt_vae_frames(int64_t T) { return T < 1 || T > INT64_MAX / 4 ? -1 : 1 + 4 * (T - 1); }
AOPT__DEF int64_t aopt_vae_latent_frames(int64_t F) { return F < 1 || (F - 1) % 4 ? -1 : 1 + (F - 1) / 4; }

/* ---- decoder ---- */

struct aopt_vae_decoder { aopt__net net; };
struct aopt_vae_encoder { aopt__net net; };

static void aopt__net_stopped(aopt__net *n)
{
    n->status = aopt_fail(n->err, AOPT_E_CANCELLED, "cancelled by the caller's callback");
}

/* A public call begins, with `frames` latent frames (decoder) or video frames (encoder) of input. */
static void aopt__net_begin(aopt__net *n, int64_t frames, void *user, aopt_error *err)
{
    const double h = (double)n->h, w = (double)n->w, later = aopt__chunk_flops(n->vae, n->decoder, 0, h, w) / (n->decoder ? 1 : 4);
    n->status = AOPT_OK;
    n->err = err;
    n->user = user;
    n->flops_done = 0;
    n->flops_total = later * (double)frames;
    if (n->clip == 0) n->flops_total += aopt__chunk_flops(n->vae, n->decoder, 1, h, w) - later;
}

/* The status of a public call.  A failure leaves the network as after reset. */
static aopt_status aopt__net_finish(aopt__net *n)
{
    if (n->status != AOPT_OK) aopt__net_reset(n);
    n->err = NULL;
    return n->status;
}

/* The last stage's frame becomes pixels. */
static void aopt__decode_head(aopt__net *n, const float *x)
{
    const int64_t H = n->head_ring.H, W = n->head_ring.W;
    double start;
    aopt__net_norm(n, &n->head_norm, x, 1, &n->head_ring);
    aopt__net_conv(n, &n->head_conv, &n->head_ring, NULL, n->t);
    aopt__net_tap(n, "head.2", n->t, H, W, n->head_conv.conv.co);
    if (n->status != AOPT_OK) return;
    start = aopt_seconds();
    aopt_ref_unpatchify(n->t, H, W, n->out, n->threads);
    aopt__net_done(n, start, 0, 96 * (double)(H * W), "decoder.unpatchify");
    if (n->status == AOPT_OK && n->frame(n->user, n->out, n->emitted++, 2 * H, 2 * W)) aopt__net_stopped(n);
}

/* Sub-frame `a` of what stage i made, x [H][W][co], becomes the next stage's input: twice the size, plus the stage's own input
   spread by DupUp3D. */
static void aopt__decode_grow(aopt__net *n, int i, int a, const float *x)
{
    aopt__stage *s = &n->stage[i];
    float *y = n->stage[i + 1].in;
    aopt__ring padded = aopt__net_padded(n, 2 * s->H, 2 * s->W, s->co);
    char module[64];
    double start = aopt_seconds();
    if (n->status != AOPT_OK) return;
    aopt__frame_upsample(x, &padded, n->threads);
    aopt__net_done(n, start, 0, 20 * (double)(s->H * s->W * s->co), "decoder.upsamples.%d.upsample", i);
    aopt__net_conv(n, &s->resample, &padded, NULL, y);
    snprintf(module, sizeof module, "upsamples.%d.upsamples.%d", i, s->block_n);
    aopt__net_tap(n, module, y, 2 * s->H, 2 * s->W, s->co);
    if (n->status != AOPT_OK) return;
    start = aopt_seconds();
    aopt__frame_dup_up(s->in, s->H, s->W, s->ci, s->co, s->ft, s->fs, a, y, n->threads);
    aopt__net_done(n, start, 0, 4 * (double)(s->H * s->W * (s->ci + 8 * s->co)), "decoder.upsamples.%d.avg_shortcut", i);
    snprintf(module, sizeof module, "upsamples.%d", i);
    aopt__net_tap(n, module, y, 2 * s->H, 2 * s->W, s->co);
}

/* One frame through stage i and all that follows.  The first latent frame is not doubled in time and leaves no history for
   time_conv, whose own first call thus sees zeros; of DupUp3D's frames it takes the last. */
static void aopt__decode_stage(aopt__net *n, int i)
{
    aopt__stage *s = &n->stage[i];
    const int twice = s->ft == 2 && n->clip > 0;
    const float *x = aopt__net_blocks(n, i, twice ? aopt__ring_slot(&s->ring, s->ring.n) : NULL);
    int a;
    if (i == AOPT_VAE_STAGES - 1) {
        aopt__net_tap(n, "upsamples.3", x, s->H, s->W, s->co);
        aopt__decode_head(n, x);
        return;
    }
    if (twice) s->ring.n++;
    for (a = twice ? 0 : s->ft - 1; a < s->ft && n->status == AOPT_OK; a++) {
        if (twice) {
            aopt__net_conv(n, &s->time[a], &s->ring, NULL, n->t);
            x = n->t;
        }
        aopt__decode_grow(n, i, a, x);
        aopt__decode_stage(n, i + 1);
    }
}

/* One latent frame: [48][h][w] with channel_stride -> 1 or 4 calls of the callback. */
static void aopt__decode_latent(aopt__net *n, const float *latent, int64_t channel_stride)
{
    const int64_t P = n->h * n->w;
    const aopt__ring z = aopt__ring_of(n->a, n->h, n->w, AOPT_VAE_Z);
    int64_t p;
    int c;
    for (p = 0; p < P; p++)
        for (c = 0; c < AOPT_VAE_Z; c++) {
            const float v = latent[c * channel_stride + p];
            n->a[p * AOPT_VAE_Z + c] = n->options.raw_latent ? v : v * n->vae->std[c] + n->vae->mean[c];
        }
    aopt__net_conv(n, &n->latent_conv, &z, NULL, n->b);
    aopt__frame_copy(n->b, &n->conv1_ring, n->threads);
    aopt__net_conv(n, &n->conv1, &n->conv1_ring, NULL, n->a);
    aopt__net_tap(n, "conv1", n->a, n->h, n->w, n->conv1.conv.co);
    aopt__net_middle(n, n->a, n->stage[0].in);
    aopt__decode_stage(n, 0);
    n->clip++;
}

AOPT__DEF aopt_status aopt_vae_decoder_open(const aopt_vae *vae, int64_t h, int64_t w, const aopt_vae_options *options,
                                            aopt_vae_decoder **out, aopt_error *err)
{
    aopt__net *n;
    aopt_status st;
    if (!out) return aopt_fail(err, AOPT_E_ARG, "decoder: out is NULL");
    st = aopt__net_open(vae, 1, h, w, options, &n, err);
    *out = (aopt_vae_decoder *)n;
    return st;
}

AOPT__DEF aopt_status aopt_vae_decoder_step(aopt_vae_decoder *d, const float *latent, int64_t n, int64_t channel_stride,
                                            aopt_frame_fn frame, void *user, aopt_error *err)
{
    aopt__net *net = (aopt__net *)d;
    int64_t i;
    if (!d || !latent || !frame || n < 1)
        return aopt_fail(err, AOPT_E_ARG, "aopt_vae_decoder_step: decoder, latent or frame is NULL, or %lld frames < 1", (long long)n);
    aopt__net_begin(net, n, user, err);
    net->frame = frame;
    for (i = 0; i < n && net->status == AOPT_OK; i++) aopt__decode_latent(net, latent + i * net->h * net->w, channel_stride);
    return aopt__net_finish(net);
}

AOPT__DEF void aopt_vae_decoder_reset(aopt_vae_decoder *d) { aopt__net_reset(&d->net); }
AOPT__DEF void aopt_vae_decoder_close(aopt_vae_decoder *d) { aopt__net_close((aopt__net *)d); }

typedef struct aopt__clip { float *data; int64_t frames; } aopt__clip;

static int aopt__clip_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    const aopt__clip *clip = (const aopt__clip *)user;
    int c;
    for (c = 0; c < 3; c++) memcpy(clip->data + (c * clip->frames + index) * H * W, frame + c * H * W, (size_t)(H * W) * sizeof *frame);
    return 0;
}

/* AOPT_OK if the bytes of latent [48][T][h][w] and video [3][F][16h][16w] can be counted. */
static aopt_status aopt__clip_check(const float *latent, const float *video, int64_t T, int64_t h, int64_t w, aopt_error *err)
{
    int64_t latent_bytes, video_bytes;
    if (!latent || !video) return aopt_fail(err, AOPT_E_ARG, "latent or video is NULL");
    if (T < 1 || h < 1 || w < 1)
        return aopt_fail(err, AOPT_E_SHAPE, "a latent of %lld frames of %lldx%lld, expected at least 1 each", (long long)T, (long long)h, (long long)w);
    if (aopt_vae_frames(T) < 0 || !aopt__mul(h, w, &latent_bytes) || !aopt__mul(latent_bytes, 256 * 3 * sizeof(float), &video_bytes) ||
        !aopt__mul(video_bytes, aopt_vae_frames(T), &video_bytes) || !aopt__mul(latent_bytes, T, &latent_bytes) ||
        !aopt__mul(latent_bytes, AOPT_VAE_Z * sizeof(float), &latent_bytes))
        return aopt_fail(err, AOPT_E_SHAPE, "a latent of %lld frames of %lldx%lld is too large", (long long)T, (long long)h, (long long)w);
    return AOPT_OK;
}

/* Of a clip that aopt__clip_check has seen.  Asked after the open, or a size beyond all memory would be called an overlap. */
static aopt_status aopt__clip_apart(const float *latent, const float *video, int64_t T, int64_t h, int64_t w, aopt_error *err)
{
    const uint64_t l = (uintptr_t)latent, v = (uintptr_t)video, P = (uint64_t)(h * w) * sizeof(float);
    if (l < v ? v - l < P * AOPT_VAE_Z * (uint64_t)T : l - v < P * 256 * 3 * (uint64_t)aopt_vae_frames(T)) return aopt_fail(err, AOPT_E_ARG, "latent and video overlap");
    return AOPT_OK;
}

AOPT__DEF aopt_status aopt_vae_decode(const aopt_vae *vae, const float *latent, int64_t T, int64_t h, int64_t w,
                                      const aopt_vae_options *options, float *video, aopt_error *err)
{
    aopt_vae_decoder *d;
    aopt__clip clip;
    aopt_status st = aopt__clip_check(latent, video, T, h, w, err);
    if (st == AOPT_OK) st = aopt_vae_decoder_open(vae, h, w, options, &d, err);
    if (st != AOPT_OK) return st;
    clip.data = video;
    clip.frames = aopt_vae_frames(T);
    st = aopt__clip_apart(latent, video, T, h, w, err);
    if (st == AOPT_OK) st = aopt_vae_decoder_step(d, latent, T, T * h * w, aopt__clip_frame, &clip, err);
    aopt_vae_decoder_close(d);
    return st;
}

/* ---- encoder ---- */

/* One frame into stage i.  1 if a frame for the next stage came out (in its `in`, or in n->b after the last stage).  Stages that halve
   time make one frame of the first frame, then one of every two. */
static int aopt__encode_stage(aopt__net *n, int i)
{
    aopt__stage *s = &n->stage[i];
    const int64_t frame = s->frame_n++, half = s->H / s->fs * (s->W / s->fs) * s->co;
    const int a = s->ft == 1 ? 0 : frame == 0 ? 1 : (int)((frame - 1) % 2);
    float *y = i + 1 < AOPT_VAE_STAGES ? n->stage[i + 1].in : n->b, *slot;
    aopt__ring padded = aopt__net_padded(n, s->H, s->W, s->co);
    const float *x;
    int64_t k;
    if (i + 1 == AOPT_VAE_STAGES) {
        aopt__net_blocks(n, i, NULL);
        aopt__frame_avg_down(s->in, s->H, s->W, s->ci, s->co, 1, 1, 0, y, n->threads);
        return 1;
    }
    if (frame == 0 || a == 0) memset(s->shortcut, 0, (size_t)half * sizeof(float));
    aopt__frame_avg_down(s->in, s->H, s->W, s->ci, s->co, s->ft, s->fs, a, s->shortcut, n->threads);
    x = aopt__net_blocks(n, i, NULL);
    aopt__frame_copy(x, &padded, n->threads);
    if (s->ft == 1) {
        aopt__net_conv(n, &s->resample, &padded, s->shortcut, y);
        return 1;
    }
    slot = aopt__ring_slot(&s->ring, s->ring.n++);
    aopt__net_conv(n, &s->resample, &padded, NULL, slot);
    if (frame == 0) for (k = 0; k < half; k++) y[k] = slot[k] + s->shortcut[k];
    else if (a == 1) aopt__net_conv(n, &s->time[0], &s->ring, s->shortcut, y);
    return a == 1;
}

/* What the last stage made, in n->b, becomes a latent frame. */
static void aopt__encode_head(aopt__net *n)
{
    const int64_t P = n->h * n->w;
    const aopt__ring moments = aopt__ring_of(n->t, n->h, n->w, 2 * AOPT_VAE_Z);
    int64_t p;
    int c;
    aopt__net_middle(n, n->b, n->a);
    aopt__net_norm(n, &n->head_norm, n->a, 1, &n->head_ring);
    aopt__net_conv(n, &n->head_conv, &n->head_ring, NULL, n->t);
    aopt__net_conv(n, &n->latent_conv, &moments, NULL, n->a);
    if (n->status != AOPT_OK) return;
    for (c = 0; c < AOPT_VAE_Z; c++)
        for (p = 0; p < P; p++) {
            const float v = n->a[p * AOPT_VAE_Z + c];
            n->out[c * P + p] = n->options.raw_latent ? v : (v - n->vae->mean[c]) / n->vae->std[c];
        }
    if (n->latent(n->user, n->out, n->emitted++, n->h, n->w)) aopt__net_stopped(n);
}

static void aopt__encode_frame(aopt__net *n, const float *frame, int64_t channel_stride)
{
    int i;
    aopt__frame_patchify(frame, channel_stride, &n->conv1_ring, n->threads);
    aopt__net_conv(n, &n->conv1, &n->conv1_ring, NULL, n->stage[0].in);
    n->clip++;
    for (i = 0; i < AOPT_VAE_STAGES && n->status == AOPT_OK; i++) if (!aopt__encode_stage(n, i)) return;
    if (n->status == AOPT_OK) aopt__encode_head(n);
}

AOPT__DEF aopt_status aopt_vae_encoder_open(const aopt_vae *vae, int64_t H, int64_t W, const aopt_vae_options *options,
                                            aopt_vae_encoder **out, aopt_error *err)
{
    aopt__net *n;
    aopt_status st;
    if (!out) return aopt_fail(err, AOPT_E_ARG, "encoder: out is NULL");
    *out = NULL;
    if (H < 1 || W < 1 || H % 16 || W % 16)
        return aopt_fail(err, AOPT_E_SHAPE, "encoder: frames of %lldx%lld, expected multiples of 16", (long long)H, (long long)W);
    st = aopt__net_open(vae, 0, H / 16, W / 16, options, &n, err);
    *out = (aopt_vae_encoder *)n;
    return st;
}

AOPT__DEF aopt_status aopt_vae_encoder_step(aopt_vae_encoder *e, const float *video, int64_t n, int64_t channel_stride,
                                            aopt_latent_fn latent, void *user, aopt_error *err)
{
    aopt__net *net = (aopt__net *)e;
    int64_t i;
    if (!e || !video || !latent || n < 1)
        return aopt_fail(err, AOPT_E_ARG, "aopt_vae_encoder_step: encoder, video or latent is NULL, or %lld frames < 1", (long long)n);
    aopt__net_begin(net, n, user, err);
    net->latent = latent;
    for (i = 0; i < n && net->status == AOPT_OK; i++) aopt__encode_frame(net, video + i * 256 * net->h * net->w, channel_stride);
    return aopt__net_finish(net);
}

AOPT__DEF void aopt_vae_encoder_reset(aopt_vae_encoder *e) { aopt__net_reset(&e->net); }
AOPT__DEF void aopt_vae_encoder_close(aopt_vae_encoder *e) { aopt__net_close((aopt__net *)e); }

static int aopt__clip_latent(void *user, const float *latent, int64_t index, int64_t h, int64_t w)
{
    const aopt__clip *clip = (const aopt__clip *)user;
    int c;
    for (c = 0; c < AOPT_VAE_Z; c++) memcpy(clip->data + (c * clip->frames + index) * h * w, latent + c * h * w, (size_t)(h * w) * sizeof *latent);
    return 0;
}

AOPT__DEF aopt_status aopt_vae_encode(const aopt_vae *vae, const float *video, int64_t F, int64_t H, int64_t W,
                                      const aopt_vae_options *options, float *latent, aopt_error *err)
{
    aopt_vae_encoder *e;
    aopt__clip clip;
    aopt_status st;
    if (aopt_vae_latent_frames(F) < 0)
        return aopt_fail(err, AOPT_E_SHAPE, "encoder: %lld video frames, expected 1 + 4n", (long long)F);
    if (H < 1 || W < 1 || H % 16 || W % 16)
        return aopt_fail(err, AOPT_E_SHAPE, "encoder: frames of %lldx%lld, expected multiples of 16", (long long)H, (long long)W);
    st = aopt__clip_check(latent, video, aopt_vae_latent_frames(F), H / 16, W / 16, err);
    if (st == AOPT_OK) st = aopt_vae_encoder_open(vae, H, W, options, &e, err);
    if (st != AOPT_OK) return st;
    clip.data = latent;
    clip.frames = aopt_vae_latent_frames(F);
    st = aopt__clip_apart(latent, video, clip.frames, H / 16, W / 16, err);
    if (st == AOPT_OK) st = aopt_vae_encoder_step(e, video, F, F * H * W, aopt__clip_latent, &clip, err);
    aopt_vae_encoder_close(e);
    return st;
}

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
    for (i = aopt__first_nonfinite(x, n); i < n; i += 1 + aopt__first_nonfinite(x + i + 1, n - i - 1))
        if (count++ == 0) {
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
    double choose = 1, p = 0;               /* n over k is choose * 2^exponent */
    int k, exponent = 0, e;
    for (k = 0; k < n / 2; k++) {
        p += ldexp(choose, exponent - n);
        if (p > alpha / 2) break;
        choose = frexp(choose * (n - k) / (k + 1), &e);
        exponent += e;
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
    double rho[AOPT_MAX_DIMS], keep, *mean, *dev;
    int64_t n, c_n, c_step, i;
    const float *x;
    aopt_tensor t;
    int axis;
    if (!fixed || !fixed->data || !out || fixed->device != AOPT_HOST || fixed->dtype != AOPT_F32 || fixed->ndim < 0 || fixed->ndim > AOPT_MAX_DIMS ||
        aopt_tensor_numel(fixed) < 1 || !aopt_tensor_contiguous(fixed) || channel < -1 || channel >= fixed->ndim)
        return aopt_fail(err, AOPT_E_ARG, "random_like: needs a contiguous f32 tensor in host memory, and -1 or one of its dimensions");
    t = aopt_tensor_make(fixed->name, AOPT_F32, fixed->ndim, fixed->shape, fixed->data, AOPT_HOST);     /* the stride of a dimension of 1 may be anything */
    x = (const float *)t.data;
    n = aopt_tensor_numel(&t);
    c_n = channel < 0 ? 1 : t.shape[channel];
    c_step = channel < 0 ? n : t.stride[channel];
    mean = (double *)aopt__alloc(2 * c_n, (int64_t)sizeof *mean);
    if (!mean) return aopt_fail(err, AOPT_E_MEMORY, "random_like: out of memory");
    dev = mean + c_n;
    for (i = 0; i < 2 * c_n; i++) mean[i] = 0;
    for (i = 0; i < n; i++) mean[i / c_step % c_n] += x[i];
    for (i = 0; i < c_n; i++) mean[i] /= (double)(n / c_n);
    for (i = 0; i < n; i++) {
        out[i] = (float)(x[i] - mean[i / c_step % c_n]);
        dev[i / c_step % c_n] += (double)out[i] * out[i];
    }
    for (i = 0; i < c_n; i++) dev[i] = sqrt(dev[i] / (double)(n / c_n));
    for (axis = 0; axis < t.ndim; axis++) rho[axis] = axis == channel ? 0 : aopt__lag1(&t, out, axis);
    for (i = 0; i < n; i++) out[i] = aopt_random_normal(seed, (uint64_t)i);
    for (axis = 0; axis < t.ndim; axis++) {
        if (rho[axis] <= 0) continue;
        keep = sqrt(1 - rho[axis] * rho[axis]);             /* first-order autoregression: deviation stays 1 */
        for (i = 0; i < n; i++)
            if (i / t.stride[axis] % t.shape[axis] > 0)
                out[i] = (float)(rho[axis] * out[i - t.stride[axis]] + keep * out[i]);
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
    int64_t bytes, want = *capacity + *capacity / 2 + 1;
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
    aopt__draft draft;                  /* of a y4m file; without a name: written in place (a pipe, a device) */
    int is_stdout, digits, zeros;       /* of %0Nd */
    char *path;
    char *tail;                         /* of a pattern: what follows the number; path ends where the number begins */
    unsigned char *bytes;               /* one frame: 6 + 3*H*W */
};

/* "a%04db.png" -> path "a", zeros and digits of the number, tail "b.png".  Exactly one %d or %0Nd with N in 1..9. */
static aopt_status aopt__pattern_split(aopt_frame_writer *w, aopt_error *err)
{
    char *percent = strchr(w->path, '%'), *p = percent + 1;
    if (*p == '0') { w->zeros = 1; p++; }
    if (*p >= '1' && *p <= '9') w->digits = *p++ - '0';
    if (*p != 'd' || (w->zeros && !w->digits) || (w->digits && !w->zeros) || strchr(p, '%') || strchr(p, '/'))
        return aopt_fail(err, AOPT_E_ARG, "%s: expected exactly one %%d or %%0Nd, in the file's name, as in frames/f%%04d.png", w->path);
    if (!aopt__ends_with(p, ".png")) return aopt_fail(err, AOPT_E_ARG, "%s: pictures are written as .png", w->path);
    *percent = 0;
    w->tail = p + 1;
    return AOPT_OK;
}

/* Make the folders that path's last '/' closes. */
static aopt_status aopt__make_folders(char *path, aopt_error *err)
{
    char *slash;
    for (slash = path; *slash && (slash = strchr(slash + 1, '/')) != NULL; *slash = '/') {
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
        if (stat(w->path, &info) == 0 && !S_ISREG(info.st_mode)) {
            w->file = fopen(w->path, "wbe");
            if (!w->file) return aopt_fail(err, AOPT_E_IO, "%s: %s", w->path, strerror(errno));
        } else {
            const aopt_status st = aopt__draft_begin(&w->draft, w->path, err);
            if (st) return st;
            w->file = w->draft.file;
        }
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
    w = (aopt_frame_writer *)aopt__alloc((int64_t)sizeof *w + n + 1 + 6 + 3 * H * W, 1);
    if (!w) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for a frame of %lldx%lld pixels", path, (long long)W, (long long)H);
    memset(w, 0, sizeof *w);
    w->H = H;
    w->W = W;
    w->path = (char *)(w + 1);
    w->bytes = (unsigned char *)(w->path + n + 1);
    memcpy(w->path, path, (size_t)n + 1);
    st = aopt__frame_writer_start(w, fps_num > 0 ? fps_num : 24, fps_den > 0 ? fps_den : 1, err);
    if (st) { aopt_frame_writer_close(w, 0, NULL); return st; }
    *out = w;
    return AOPT_OK;
}

static aopt_status aopt__frame_writer_picture(aopt_frame_writer *w, const float *frame, int64_t channel_stride, aopt_error *err)
{
    const int64_t pixels = w->H * w->W;
    char name[4096];
    aopt__draft d;
    aopt_status st;
    int64_t i;
    int n = snprintf(name, sizeof name, "%s%0*lld%s", w->path, w->digits, (long long)w->written, w->tail);
    if (n < 0 || n >= (int)sizeof name) return aopt_fail(err, AOPT_E_ARG, "%.100s...: the name is too long", w->path);
    for (i = 0; i < 3 * pixels; i++) w->bytes[i] = (unsigned char)aopt__quantise(frame[i % 3 * channel_stride + i / 3], 127.5f);
    st = aopt__draft_begin(&d, name, err);
    if (st) return st;
    if (!aopt__png_write(d.file, w->bytes, w->H, w->W)) return aopt__draft_keep(&d, name, err);
    aopt__draft_drop(&d);
    return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory to compress it", name);
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
    if (w->draft.name) {
        if (keep) st = aopt__draft_keep(&w->draft, w->path, err);
        else aopt__draft_drop(&w->draft);
    } else if (w->file) {
        const int lost = keep && ferror(w->file), bad = fflush(w->file) != 0, why = errno;
        if (bad) st = aopt_fail(err, why == EPIPE ? AOPT_E_CANCELLED : AOPT_E_IO, "%s: %s", w->path, strerror(why));
        else if (lost) st = aopt_fail(err, AOPT_E_IO, "%s: a frame could not be written", w->path);
        if (!w->is_stdout && fclose(w->file) != 0 && !st) st = aopt_fail(err, AOPT_E_IO, "%s: %s", w->path, strerror(errno));
    }
    AOPT_FREE(w);
    return st;
}
#endif /* AOPT_NO_STDIO */

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
    out = (char *)aopt__arena_alloc(p->arena, (int64_t)(end - p->at) + 1, 1);       /* an escape is never shorter than what it stands for */
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
AOPT__BOTH static uint64_t aopt__mix64(uint64_t x)
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
/* splitmix64 of a place: adjacent seeds and indices give unrelated words. */
AOPT__BOTH static uint64_t aopt__mix(uint64_t seed, uint64_t index) { return aopt__mix64(seed + (index + 1) * 0x9e3779b97f4a7c15u); }

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

AOPT__DEF int64_t aopt_ref_nonfinite(const float *x, int64_t n, int64_t *first)
{
    int64_t i, count = 0;
    uint32_t bits;
    *first = -1;
    for (i = 0; i < n; i++) {
        memcpy(&bits, x + i, sizeof bits);
        if ((bits & 0x7f800000u) == 0x7f800000u && count++ == 0) *first = i;
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
    if (v->planning) v->slot_n[AOPT__SLOT_SCORES] = P > AOPT__CUDA_SCORES ? P : P * P < AOPT__CUDA_SCORES ? P * P : AOPT__CUDA_SCORES;
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
    i = aopt__first_nonfinite(from, n);
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
    cudaGetDevice(&device);             /* where that fails, cudaSetDevice will, and says so */
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
    if (v->arena) {                         /* cuBLAS comes after the arena, so without it there is nothing on the device */
        cudaGetDevice(&device);
        cudaSetDevice(v->options.device);
        if (v->blas) cublasDestroy(v->blas);
        cudaFree(v->arena);
        cudaSetDevice(device);
    }
    AOPT_FREE(v);
}

} /* extern "C" */
#endif /* AUTOOPT_CUDA */

/* ==== [I13] fast layers on a CPU =========================================================================
   A convolution is a run over blocks: some tiles of the output at some frames.  In a block the tiles are transformed into planes
   v [plane][slot][tile][ci], then each product p is a matrix product m [p][position][co] of the rows of its plane with its weights,
   which sums over channels and time taps; then tiles are transformed back.  Direct convolutions are the same matrix product whose
   rows are the input itself.  A block passes through all frames of its part of the clip, so that the planes of a frame are made once
   and stay in the L2 cache for its two successors.

   The matrix product takes 12 positions and a panel of 32 output channels (the last: 16) at a time; weights are packed
   [product][panel][tap][ci][panel's width]. */
#ifdef __cplusplus
extern "C" {
#endif

enum { AOPT__FAST_P = 12, AOPT__FAST_W = 32, AOPT__FAST_AXIS = 6, AOPT__FAST_PIXELS = 16, AOPT__FAST_BYTES = 320 << 10 };

/* One axis: `in` pixels from `first` on, every `step`, become `kinds` values; products multiply kind[p]; `out` outputs from out_first on. */
typedef struct aopt__axis { int in, step, kinds, products, out, out_first, kind[AOPT__FAST_AXIS]; } aopt__axis;
static const aopt__axis aopt__axes[AOPT_CPU_SCHEMES] = {
    { 1, 1, 1, 1, 1, 0, { 0 } },
    { 4, 2, 4, 4, 2, 0, { 0, 1, 2, 3 } },
    { 6, 4, 6, 6, 4, 0, { 0, 1, 2, 3, 4, 5 } },
    { 3, 2, 3, 5, 4, -1, { 0, 1, 1, 2, 2 } },
};

/* in: the patch at x, `row` and `col` floats from pixel to pixel, to planes.  out: products to [out*out][co].
   tile: out [12][..] = sum over t < taps, c < ci of x[t][k][shift + c] * w[t][c][width].  end: n positions of v [n][C], scratch, plus bias
   and add. */
typedef void (*aopt__in_fn)(const float *x, int64_t row, int64_t col, int64_t ci, float *v, int64_t plane);
typedef void (*aopt__out_fn)(const float *m, int64_t plane, int64_t co, float *patch);
typedef void (*aopt__gemm_fn)(const float *const *x, int64_t shift, int64_t taps, int64_t ci, const float *w, int64_t width, float *out, int64_t row);
typedef void (*aopt__end_fn)(float *v, int64_t n, int64_t C, const float *bias, const float *add, float *y, const aopt_cpu_norm *norm, float *act);
typedef void (*aopt__fast_norm_fn)(const float *x, int64_t n, int64_t C, const aopt_cpu_norm *norm, float *act);
typedef struct aopt__fast_fns { aopt__in_fn in[AOPT_CPU_SCHEMES]; aopt__out_fn out[AOPT_CPU_SCHEMES]; aopt__gemm_fn tile; aopt__fast_norm_fn norm; aopt__end_fn end; } aopt__fast_fns;

/* One axis of B^T and of A^T.  F4: rows of B^T are the monic polynomials, see AOPT__WINO_A.  Upsample: see aopt_upsample_form_tile. */
#define AOPT__F2_IN(d, o, V, FMA) do { o[0] = d[0] - d[2]; o[1] = d[1] + d[2]; o[2] = d[2] - d[1]; o[3] = d[1] - d[3]; } while (0)
#define AOPT__F2_OUT(m, y, V, FMA) do { y[0] = m[0] + m[1] + m[2]; y[1] = m[1] - m[2] - m[3]; } while (0)
#define AOPT__F4_IN(d, o, V, FMA) do { \
    V e, f; \
    o[0] = FMA(d[0], ab, FMA(d[2], -sum, d[4])); o[5] = FMA(d[1], ab, FMA(d[3], -sum, d[5])); \
    e = FMA(d[2], -b2, d[4]); f = FMA(d[1], -b2, d[3]); o[1] = FMA(f, a1, e); o[2] = FMA(f, -a1, e); \
    e = FMA(d[2], -a2, d[4]); f = FMA(d[1], -a2, d[3]); o[3] = FMA(f, b1, e); o[4] = FMA(f, -b1, e); \
} while (0)
#define AOPT__F4_OUT(m, y, V, FMA) do { \
    V e, f; \
    e = m[1] + m[2]; f = m[3] + m[4]; y[0] = m[0] + e + f; y[2] = FMA(e, a2, f * b2); \
    e = m[1] - m[2]; f = m[3] - m[4]; y[1] = FMA(e, a1, f * b1); y[3] = FMA(e, a3, FMA(f, b3, m[5])); \
} while (0)
#define AOPT__UP_IN(d, o, V, FMA) do { o[0] = d[1]; o[1] = d[0] - d[1]; o[2] = d[1] - d[2]; } while (0)
#define AOPT__UP_OUT(m, y, V, FMA) do { y[0] = m[0] + m[1]; y[1] = m[0] + m[2]; y[2] = m[0] + m[3]; y[3] = m[0] + m[4]; } while (0)
#define AOPT__GET3(V, p, s) do { const float *p_ = (p); const int64_t s_ = (s); d[0] = *(const V##u *)p_; d[1] = *(const V##u *)(p_ + s_); d[2] = *(const V##u *)(p_ + 2 * s_); } while (0)
#define AOPT__GET4(V, p, s) do { AOPT__GET3(V, p, s); d[3] = *(const V##u *)((p) + 3 * (s)); } while (0)
#define AOPT__GET5(V, p, s) do { AOPT__GET4(V, p, s); d[4] = *(const V##u *)((p) + 4 * (s)); } while (0)
#define AOPT__GET6(V, p, s) do { AOPT__GET5(V, p, s); d[5] = *(const V##u *)((p) + 5 * (s)); } while (0)
#define AOPT__PUT2(V, p, s) do { *(V##u *)(p) = o[0]; *(V##u *)((p) + (s)) = o[1]; } while (0)
#define AOPT__PUT3(V, p, s) do { AOPT__PUT2(V, p, s); *(V##u *)((p) + 2 * (s)) = o[2]; } while (0)
#define AOPT__PUT4(V, p, s) do { AOPT__PUT3(V, p, s); *(V##u *)((p) + 3 * (s)) = o[3]; } while (0)
#define AOPT__PUT6(V, p, s) do { AOPT__PUT4(V, p, s); *(V##u *)((p) + 4 * (s)) = o[4]; *(V##u *)((p) + 5 * (s)) = o[5]; } while (0)
#define AOPT__FAST_CONSTANTS(V) \
    V zero; \
    memset(&zero, 0, sizeof zero); \
    const V a1 = zero + (float)AOPT__WINO_A, a2 = a1 * a1, a3 = a2 * a1, b1 = zero + (float)AOPT__WINO_B, b2 = b1 * b1, b3 = b2 * b1, ab = a2 * b2, sum = a2 + b2; \
    (void)a3; (void)b3; (void)ab; (void)sum
#define AOPT__FAST_IN(NAME, ATTR, V, L, FMA, IN, KINDS, GET, PUT, AXIS) \
ATTR static void aopt__fast_in_##NAME(const float *x, int64_t row, int64_t col, int64_t ci, float *v, int64_t plane) \
{ \
    float t[IN * KINDS * L]; \
    V d[6], o[6]; \
    int64_t c; \
    int i; \
    AOPT__FAST_CONSTANTS(V); \
    for (c = 0; c < ci; c += L) { \
        for (i = 0; i < IN; i++) { GET(V, x + c + i * col, row); AXIS(d, o, V, FMA); PUT(V, t + i * L, IN * L); } \
        for (i = 0; i < KINDS; i++) { GET(V, t + i * IN * L, L); AXIS(d, o, V, FMA); PUT(V, v + c + i * KINDS * plane, plane); } \
    } \
}
#define AOPT__FAST_OUT(NAME, ATTR, V, L, FMA, PRODUCTS, OUT, GET, PUT, AXIS) \
ATTR static void aopt__fast_out_##NAME(const float *m, int64_t plane, int64_t co, float *patch) \
{ \
    float t[PRODUCTS * OUT * L]; \
    V d[6], o[6]; \
    int64_t c; \
    int i; \
    AOPT__FAST_CONSTANTS(V); \
    for (c = 0; c < co; c += L) { \
        for (i = 0; i < PRODUCTS; i++) { GET(V, m + c + i * plane, PRODUCTS * plane); AXIS(d, o, V, FMA); PUT(V, t + i * L, PRODUCTS * L); } \
        for (i = 0; i < OUT; i++) { GET(V, t + i * PRODUCTS * L, L); AXIS(d, o, V, FMA); PUT(V, patch + i * OUT * co + c, co); } \
    } \
}
#define AOPT__FAST_GEMM(NAME, ATTR, V, L, B, BROADCAST, FMA) \
ATTR static void aopt__gemm_##NAME(const float *const *x, int64_t shift, int64_t taps, int64_t ci, const float *w, int64_t width, float *out, int64_t row) \
{ \
    int64_t half, column, t, c; \
    for (half = 0; half < AOPT__FAST_P; half += 6) \
        for (column = 0; column < width; column += 2 * L) { \
            const float *u = w + column; \
            float *to = out + half * row + column; \
            V a00, a01, a10, a11, a20, a21, a30, a31, a40, a41, a50, a51; \
            memset(&a00, 0, sizeof a00); \
            a01 = a10 = a11 = a20 = a21 = a30 = a31 = a40 = a41 = a50 = a51 = a00; \
            for (t = 0; t < taps; t++) { \
                const float *const *from = x + t * AOPT__FAST_P + half; \
                const float *x0 = from[0] + shift, *x1 = from[1] + shift, *x2 = from[2] + shift, *x3 = from[3] + shift, *x4 = from[4] + shift, *x5 = from[5] + shift; \
                for (c = 0; c < ci; c++, u += width) { \
                    const V w0 = *(const V##u *)u, w1 = *(const V##u *)(u + L); \
                    B b; \
                    AOPT__SIX_ROWS(BROADCAST, FMA) \
                } \
            } \
            *(V##u *)to = a00; *(V##u *)(to + L) = a01; to += row; \
            *(V##u *)to = a10; *(V##u *)(to + L) = a11; to += row; \
            *(V##u *)to = a20; *(V##u *)(to + L) = a21; to += row; \
            *(V##u *)to = a30; *(V##u *)(to + L) = a31; to += row; \
            *(V##u *)to = a40; *(V##u *)(to + L) = a41; to += row; \
            *(V##u *)to = a50; *(V##u *)(to + L) = a51; \
        } \
}
#define AOPT__FAST_KERNELS(NAME, ATTR, V, L, FMA, SUM, SILU) \
AOPT__FAST_IN(f2_##NAME, ATTR, V, L, FMA, 4, 4, AOPT__GET4, AOPT__PUT4, AOPT__F2_IN) \
AOPT__FAST_IN(f4_##NAME, ATTR, V, L, FMA, 6, 6, AOPT__GET6, AOPT__PUT6, AOPT__F4_IN) \
AOPT__FAST_IN(up_##NAME, ATTR, V, L, FMA, 3, 3, AOPT__GET3, AOPT__PUT3, AOPT__UP_IN) \
AOPT__FAST_OUT(f2_##NAME, ATTR, V, L, FMA, 4, 2, AOPT__GET4, AOPT__PUT2, AOPT__F2_OUT) \
AOPT__FAST_OUT(f4_##NAME, ATTR, V, L, FMA, 6, 4, AOPT__GET6, AOPT__PUT4, AOPT__F4_OUT) \
AOPT__FAST_OUT(up_##NAME, ATTR, V, L, FMA, 5, 4, AOPT__GET5, AOPT__PUT4, AOPT__UP_OUT) \
ATTR static void aopt__fast_norm_##NAME(const float *x, int64_t n, int64_t C, const aopt_cpu_norm *norm, float *act) \
{ \
    const float root = sqrtf((float)norm->norm_c); \
    int64_t i, c; \
    for (i = 0; i < n; i++, x += C, act += C) { \
        float k; \
        V s, a; \
        memset(&s, 0, sizeof s); \
        for (c = 0; c < C; c += L) { a = *(const V##u *)(x + c); s = FMA(a, a, s); } \
        k = sqrtf(SUM(s, L)); \
        k = root / (k < 1e-12f ? 1e-12f : k); \
        for (c = 0; c < C; c += L) { \
            a = *(const V##u *)(x + c) * k * *(const V##u *)(norm->gamma + c); \
            if (norm->silu) SILU(a, V, V##i); \
            *(V##u *)(act + c) = a; \
        } \
    } \
} \
ATTR static void aopt__fast_end_##NAME(float *v, int64_t n, int64_t C, const float *bias, const float *add, float *y, const aopt_cpu_norm *norm, float *act) \
{ \
    int64_t i, c; \
    for (i = 0; i < n * C; i += C) \
        for (c = 0; c < C; c += L) { \
            V a = *(const V##u *)(v + i + c) + *(const V##u *)(bias + c); \
            if (add) a = a + *(const V##u *)(add + i + c); \
            if (y) *(V##u *)(y + i + c) = a; \
            if (act) *(V##u *)(v + i + c) = a; \
        } \
    if (act) aopt__fast_norm_##NAME(v, n, C, norm, act); \
} \
static const aopt__fast_fns aopt__fast_##NAME = { \
    { NULL, aopt__fast_in_f2_##NAME, aopt__fast_in_f4_##NAME, aopt__fast_in_up_##NAME }, \
    { NULL, aopt__fast_out_f2_##NAME, aopt__fast_out_f4_##NAME, aopt__fast_out_up_##NAME }, aopt__gemm_##NAME, aopt__fast_norm_##NAME, aopt__fast_end_##NAME };

#if !defined(AOPT_NO_VECTORS) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 9))
#define AOPT__SUM(v, L) aopt__sum_##L((const float *)&(v))
static inline float aopt__sum_4(const float *v) { return (v[0] + v[2]) + (v[1] + v[3]); }
static inline float aopt__sum_8(const float *v) { return ((v[0] + v[4]) + (v[2] + v[6])) + ((v[1] + v[5]) + (v[3] + v[7])); }
#define AOPT__SILU(v, V, VI) do { V e_ = -v; AOPT__EXP(e_, V, VI); v = v / (1.0f + e_); } while (0)
AOPT__FAST_GEMM(half, AOPT__HOT, aopt__v4, 4, float, AOPT__LOAD, AOPT__MULADD)
AOPT__FAST_KERNELS(half, AOPT__HOT, aopt__v4, 4, AOPT__MULADD, AOPT__SUM, AOPT__SILU)
#define AOPT__FAST_BASELINE aopt__fast_half
#if defined(__x86_64__)
AOPT__FAST_GEMM(avx2, AOPT__HOT __attribute__((target("avx2,fma"))), aopt__v8, 8, aopt__v8, (aopt__v8)_mm256_broadcast_ss, AOPT__FMA_AVX2)
AOPT__FAST_KERNELS(avx2, AOPT__HOT __attribute__((target("avx2,fma"))), aopt__v8, 8, AOPT__FMA_AVX2, AOPT__SUM, AOPT__SILU)

typedef float aopt__v16 __attribute__((vector_size(64)));
typedef float aopt__v16u __attribute__((vector_size(64), aligned(4), may_alias));
#define AOPT__AVX512 AOPT__HOT __attribute__((target("avx512f")))
#define AOPT__FMA_AVX512(b, w, a) (aopt__v16)_mm512_fmadd_ps((__m512)(b), (__m512)(w), (__m512)(a))
#define AOPT__SUM_AVX512(v, L) aopt__sum_avx512((__m512)(v))
/* maskz, here and below: gcc 12 warns of the other forms, reduce_add among them. */
__attribute__((target("avx512f"))) static inline float aopt__sum_avx512(__m512 v)
{
    v = _mm512_add_ps(v, _mm512_maskz_shuffle_f32x4(0xffff, v, v, 0x4e));
    v = _mm512_add_ps(v, _mm512_maskz_shuffle_f32x4(0xffff, v, v, 0xb1));
    v = _mm512_add_ps(v, _mm512_maskz_permute_ps(0xffff, v, 0x4e));
    v = _mm512_add_ps(v, _mm512_maskz_permute_ps(0xffff, v, 0xb1));
    return _mm512_cvtss_f32(v);
}
/* As AOPT__EXP, by the instructions for it; 1/(1 + e) by an estimate and a Newton step. */
#define AOPT__SILU_AVX512(v, V, VI) do { \
    const __m512 x_ = (__m512)(v); \
    __m512 z_ = _mm512_maskz_min_ps(0xffff, _mm512_set1_ps(88.0f), _mm512_maskz_max_ps(0xffff, _mm512_set1_ps(-87.0f), _mm512_sub_ps(_mm512_setzero_ps(), x_))), n_, p_, r_; \
    n_ = _mm512_maskz_roundscale_ps(0xffff, _mm512_mul_ps(z_, _mm512_set1_ps(1.44269504f)), 0); \
    z_ = _mm512_fnmadd_ps(n_, _mm512_set1_ps(0.693359375f), z_); \
    z_ = _mm512_fmadd_ps(n_, _mm512_set1_ps(2.12194440e-4f), z_); \
    p_ = _mm512_fmadd_ps(z_, _mm512_set1_ps(1.0f / 5040), _mm512_set1_ps(1.0f / 720)); \
    p_ = _mm512_fmadd_ps(p_, z_, _mm512_set1_ps(1.0f / 120)); \
    p_ = _mm512_fmadd_ps(p_, z_, _mm512_set1_ps(1.0f / 24)); \
    p_ = _mm512_fmadd_ps(p_, z_, _mm512_set1_ps(1.0f / 6)); \
    p_ = _mm512_fmadd_ps(p_, z_, _mm512_set1_ps(0.5f)); \
    p_ = _mm512_fmadd_ps(p_, z_, _mm512_set1_ps(1.0f)); \
    p_ = _mm512_fmadd_ps(p_, z_, _mm512_set1_ps(1.0f)); \
    p_ = _mm512_add_ps(_mm512_maskz_scalef_ps(0xffff, p_, n_), _mm512_set1_ps(1.0f)); \
    r_ = _mm512_maskz_rcp14_ps(0xffff, p_); \
    r_ = _mm512_mul_ps(r_, _mm512_fnmadd_ps(p_, r_, _mm512_set1_ps(2.0f))); \
    v = (V)_mm512_mul_ps(x_, r_); \
} while (0)

/* 12 positions x 16*N columns. */
#define AOPT__ROWS12(R) R(0) R(1) R(2) R(3) R(4) R(5) R(6) R(7) R(8) R(9) R(10) R(11)
#define AOPT__R_BEGIN(k) __m512 a##k = _mm512_setzero_ps(), b##k = a##k;
#define AOPT__R_FROM(k) const float *x##k = x[k] + shift;
#define AOPT__R_2(k) v = _mm512_set1_ps(x##k[c]); a##k = _mm512_fmadd_ps(v, w0, a##k); b##k = _mm512_fmadd_ps(v, w1, b##k);
#define AOPT__R_1(k) a##k = _mm512_fmadd_ps(_mm512_set1_ps(x##k[c]), w0, a##k); b##k = a##k;
#define AOPT__R_PUT2(k) _mm512_storeu_ps(out + k * row, a##k); _mm512_storeu_ps(out + k * row + 16, b##k);
#define AOPT__R_PUT1(k) _mm512_storeu_ps(out + k * row, a##k); (void)b##k;
AOPT__AVX512 static void aopt__gemm_avx512(const float *const *x, int64_t shift, int64_t taps, int64_t ci, const float *w, int64_t width, float *out, int64_t row)
{
    __m512 w0, w1, v;
    int64_t c;
    AOPT__ROWS12(AOPT__R_BEGIN)
    if (width == 32) {
        for (; taps > 0; taps--, x += AOPT__FAST_P) {
            AOPT__ROWS12(AOPT__R_FROM)
            for (c = 0; c < ci; c++, w += 32) { w0 = _mm512_loadu_ps(w); w1 = _mm512_loadu_ps(w + 16); AOPT__ROWS12(AOPT__R_2) }
        }
        AOPT__ROWS12(AOPT__R_PUT2)
    } else {
        for (; taps > 0; taps--, x += AOPT__FAST_P) {
            AOPT__ROWS12(AOPT__R_FROM)
            for (c = 0; c < ci; c++, w += 16) { w0 = _mm512_loadu_ps(w); AOPT__ROWS12(AOPT__R_1) }
        }
        AOPT__ROWS12(AOPT__R_PUT1)
    }
}
AOPT__FAST_KERNELS(avx512, AOPT__AVX512, aopt__v16, 16, AOPT__FMA_AVX512, AOPT__SUM_AVX512, AOPT__SILU_AVX512)
#endif

#else /* no GNU vectors: vectors of one float */
typedef float aopt__v1, aopt__v1u;
#define AOPT__LOAD(p) (*(p))
#define AOPT__MULADD(b, w, a) ((a) + (w) * (b))
#define AOPT__SUM(v, L) (v)
#define AOPT__SILU(v, V, VI) (v = v / (1.0f + expf(-v)))
AOPT__FAST_GEMM(plain, , aopt__v1, 1, float, AOPT__LOAD, AOPT__MULADD)
AOPT__FAST_KERNELS(plain, , aopt__v1, 1, AOPT__MULADD, AOPT__SUM, AOPT__SILU)
#define AOPT__FAST_BASELINE aopt__fast_plain
#endif

static const aopt__fast_fns *aopt__fast_pick(void)
{
#if defined(__x86_64__) && !defined(AOPT_NO_VECTORS) && (defined(__clang__) || (defined(__GNUC__) && __GNUC__ >= 9))
    if (__builtin_cpu_supports("avx512f")) return &aopt__fast_avx512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return &aopt__fast_avx2;
#endif
    return &AOPT__FAST_BASELINE;
}

AOPT__DEF int64_t aopt_cpu_pad(int64_t C) { return (C + AOPT_CPU_LANES - 1) / AOPT_CPU_LANES * AOPT_CPU_LANES; }

AOPT__DEF const char *aopt_cpu_scheme_name(int scheme)
{
#define AOPT__X(id, text) text,
    static const char *const name[] = { AOPT_CPU_SCHEME_LIST(AOPT__X) };
#undef AOPT__X
    return scheme >= 0 && scheme < AOPT_CPU_SCHEMES ? name[scheme] : "unknown scheme";
}

struct aopt_cpu_conv {
    int scheme, upsample, kt, k;
    int64_t ci, co, real_co;            /* the first two padded */
    float *w, *bias, *zero;             /* zero: a pixel outside, [ci] */
    void *block;
};

static int64_t aopt__fast_planes(int scheme) { return aopt__axes[scheme].kinds * aopt__axes[scheme].kinds; }
static int64_t aopt__fast_products(int scheme) { return aopt__axes[scheme].products * aopt__axes[scheme].products; }

/* Matrix G of an axis: products from the three taps. */
static void aopt__fast_form(int scheme, double g[AOPT__FAST_AXIS][3])
{
    static const double f2[4][3] = { { 1, 0, 0 }, { 0.5, 0.5, 0.5 }, { 0.5, -0.5, 0.5 }, { 0, 0, 1 } };
    static const double up[5][3] = { { 1, 1, 1 }, { 1, 1, 0 }, { 1, 0, 0 }, { 0, 0, -1 }, { 0, -1, -1 } };
    double at[4][6], bt[6][6];
    int i;
    if (scheme == AOPT_CPU_F2) memcpy(g, f2, sizeof f2);
    else if (scheme == AOPT_CPU_UP) memcpy(g, up, sizeof up);
    else {
        aopt__cpu_wino_matrices(at, g, bt);
        for (i = 0; i < 18; i++) g[i / 3][i % 3] *= AOPT__WINO_ROW;         /* B^T is monic here */
    }
}

/* The weights of one output channel [ci][kt][k][k] of one input channel into w. */
static void aopt__fast_pack(const aopt_cpu_conv *c, double g[AOPT__FAST_AXIS][3], int64_t o, int64_t i, const float *from)
{
    const int64_t direct = c->scheme == AOPT_CPU_DIRECT, taps = direct ? c->kt * c->k * c->k : c->kt;
    const int64_t first = o / AOPT__FAST_W * AOPT__FAST_W, width = aopt__min(AOPT__FAST_W, c->co - first), n = aopt__axes[c->scheme].products;
    int64_t p, t;
    int k, l;
    for (p = 0; p < n * n; p++)
        for (t = 0; t < taps; t++) {
            double u = direct ? (double)from[t] : 0.0;
            for (k = 0; k < 3 && !direct; k++)
                for (l = 0; l < 3; l++) u += g[p / n][k] * g[p % n][l] * (double)from[(t * 3 + k) * 3 + l];
            c->w[(p * c->co + first) * taps * c->ci + (t * c->ci + i) * width + o - first] = (float)u;
        }
}

AOPT__DEF aopt_status aopt_cpu_conv_open(const aopt_ref_conv *conv, int scheme, int upsample, aopt_cpu_conv **out, aopt_error *err)
{
    const int64_t most = (int64_t)1 << 24, taps = conv->kt * conv->kh * conv->kw;
    double g[AOPT__FAST_AXIS][3];
    aopt_cpu_conv *c;
    int64_t weights, floats, o, i;
    *out = NULL;
    if (scheme < 0 || scheme >= AOPT_CPU_SCHEMES) return aopt_fail(err, AOPT_E_ARG, "convolution: scheme %d", scheme);
    if ((conv->kt != 1 && conv->kt != 3) || (conv->kh != 1 && conv->kh != 3) || conv->kw != conv->kh || conv->ci < 1 || conv->co < 1 || conv->ci > most || conv->co > most)
        return aopt_fail(err, AOPT_E_ARG, "convolution: kernel %dx%dx%d, %lld -> %lld channels; 1 or 3 in time, 1x1 or 3x3 in space, at least 1 channel",
                         conv->kt, conv->kh, conv->kw, (long long)conv->ci, (long long)conv->co);
    if ((scheme != AOPT_CPU_DIRECT && conv->kh != 3) || (upsample ? conv->kt != 1 || conv->kh != 3 || (scheme != AOPT_CPU_DIRECT && scheme != AOPT_CPU_UP) : scheme == AOPT_CPU_UP))
        return aopt_fail(err, AOPT_E_ARG, "convolution: scheme %s does not do a %dx%dx%d kernel %s upsample", aopt_cpu_scheme_name(scheme), conv->kt, conv->kh, conv->kw,
                         upsample ? "after" : "without");
    c = (aopt_cpu_conv *)aopt__alloc(1, sizeof *c);
    if (!c) return aopt_fail(err, AOPT_E_MEMORY, "convolution: out of memory");
    memset(c, 0, sizeof *c);
    c->scheme = scheme; c->upsample = upsample != 0;
    c->kt = conv->kt; c->k = conv->kh;
    c->ci = aopt_cpu_pad(conv->ci); c->co = aopt_cpu_pad(conv->co); c->real_co = conv->co;
    weights = aopt__fast_products(scheme) * (scheme == AOPT_CPU_DIRECT ? taps : conv->kt) * c->ci * c->co;
    floats = weights + c->co + c->ci + 16;
    c->block = aopt__alloc(floats, sizeof(float));
    if (!c->block) {
        AOPT_FREE(c);
        return aopt_fail(err, AOPT_E_MEMORY, "convolution: cannot allocate %lld bytes of weights", (long long)(floats * (int64_t)sizeof(float)));
    }
    c->w = (float *)c->block + (64 - (uintptr_t)c->block % 64) % 64 / sizeof(float);
    c->bias = c->w + weights;
    c->zero = c->bias + c->co;
    memset(c->w, 0, (size_t)(weights + c->co + c->ci) * sizeof(float));
    aopt__fast_form(scheme, g);
    for (o = 0; o < conv->co; o++) {
        for (i = 0; i < conv->ci; i++) aopt__fast_pack(c, g, o, i, conv->weight + (o * conv->ci + i) * taps);
        if (conv->bias) c->bias[o] = conv->bias[o];
    }
    *out = c;
    return AOPT_OK;
}

AOPT__DEF void aopt_cpu_conv_close(aopt_cpu_conv *c)
{
    if (c) AOPT_FREE(c->block);
    AOPT_FREE(c);
}

/* How a run is cut: `tiles` of a block, `step` frames at a time, `parts` of the clip, and the floats of a block's arrays. */
typedef struct aopt__cut {
    int threads;
    int64_t rows, columns, tiles, blocks, step, part, parts;        /* rows and columns of tiles; part: frames of one */
    int64_t slots, v_plane, m_plane, v, m, patch, table, floats;
} aopt__cut;

static aopt__cut aopt__fast_cut(const aopt_cpu_conv *c, const aopt_cpu_run *r)
{
    const aopt__axis *a = &aopt__axes[c->scheme];
    const int direct = c->scheme == AOPT_CPU_DIRECT, grown = direct && c->upsample ? 2 : 1;
    const int64_t bytes = direct ? 4 * c->co : 4 * (aopt__fast_planes(c->scheme) * c->ci + aopt__fast_products(c->scheme) * c->co);
    const int64_t good = aopt__max(2, aopt__min(16, (direct ? 65536 : AOPT__FAST_BYTES) / bytes / AOPT__FAST_P)) * AOPT__FAST_P;   /* positions of a block */
    int64_t all, n;
    aopt__cut k;
    memset(&k, 0, sizeof k);
    k.threads = aopt__threads(r->threads);
    k.rows = a->out_first ? r->H / a->step + 1 : (grown * r->H + a->step - 1) / a->step;
    k.columns = a->out_first ? r->W / a->step + 1 : (grown * r->W + a->step - 1) / a->step;
    all = k.rows * k.columns;
    n = (all + good - 1) / good;
    if (all / k.threads >= AOPT__FAST_P) n = (n + k.threads - 1) / k.threads * k.threads;
    k.tiles = r->tiles > 0 ? aopt__min(r->tiles, all) : (all + n - 1) / n;
    k.blocks = (all + k.tiles - 1) / k.tiles;
    k.parts = aopt__min(r->frames, (k.threads + k.blocks - 1) / k.blocks);
    if (direct) k.parts = r->frames;
    k.part = (r->frames + k.parts - 1) / k.parts;
    k.parts = (r->frames + k.part - 1) / k.part;
    k.step = direct ? 1 : aopt__max(1, aopt__min(k.part, r->step > 0 ? r->step : good / k.tiles));
    n = (k.step * k.tiles + AOPT__FAST_P - 1) / AOPT__FAST_P * AOPT__FAST_P;
    k.slots = k.step + c->kt - 1;
    k.v_plane = (k.slots * k.tiles * c->ci / AOPT_CPU_LANES | 1) * AOPT_CPU_LANES;  /* an odd number of cache lines: planes must not share sets */
    k.m_plane = (n * c->co / AOPT_CPU_LANES | 1) * AOPT_CPU_LANES;
    k.v = direct ? 0 : aopt__fast_planes(c->scheme) * k.v_plane;
    k.m = aopt__fast_products(c->scheme) * k.m_plane;
    k.patch = aopt__max(36 * c->ci, (AOPT__FAST_PIXELS + 4) * c->co);
    k.table = (direct ? (int64_t)c->kt * c->k * c->k * AOPT__FAST_P : c->kt * n) * (int64_t)sizeof(void *) / (int64_t)sizeof(float);
    k.table = (k.table + 15) / 16 * 16;
    k.floats = k.v + k.m + k.patch + k.table;
    return k;
}

AOPT__DEF int64_t aopt_cpu_work(const aopt_cpu_conv *c, const aopt_cpu_run *run)
{
    const aopt__cut k = aopt__fast_cut(c, run);
    return k.threads * k.floats;
}

/* Outputs v [n][co] of row i, columns j to j + n, of frame f.  spread: scratch of 4 positions, and n <= 4, where DupUp3D comes in. */
static void aopt__fast_end(const aopt_cpu_conv *c, const aopt_cpu_run *r, aopt__end_fn end, int64_t f, int64_t i, int64_t j, int64_t n, float *v, float *spread)
{
    const int64_t grown = c->upsample + 1, W = grown * r->W, frame = grown * r->H * W * c->co, at = (i * W + j) * c->co;
    const float *add = r->add ? r->add + f * frame + at : NULL;
    if (add && c->upsample) {
        const int64_t g = f + r->add_skip, sub = (g % r->add_ft * 2 + i % 2) * 2, all = r->add_ft * 4, repeats = c->real_co * all / r->add_real;
        int64_t q, k;
        for (q = 0; q < n; q++) {
            const float *from = r->add + ((g / r->add_ft * r->H + i / 2) * r->W + (j + q) / 2) * r->add_c;
            const int64_t start = sub + (j + q) % 2;
            float *to = spread + q * c->co;
            if (repeats == all) { memcpy(to, from, (size_t)c->co * sizeof *to); continue; }
            memset(to, 0, (size_t)c->co * sizeof *to);
            if (2 * repeats == all) for (k = 0, from += start / repeats; k < c->real_co; k++) to[k] = from[2 * k];
            else for (k = 0; k < c->real_co; k++) to[k] = from[(k * all + start) / repeats];
        }
        add = spread;
    }
    end(v, n, c->co, c->bias, add, r->y ? r->y + f * (r->y_frame ? r->y_frame : frame) + at : NULL, &r->norm, r->act ? r->act + f * frame + at : NULL);
}

/* Planes of frame f, tiles t0 to t1, into slot's place v. */
static void aopt__fast_input(const aopt_cpu_conv *c, const aopt_cpu_run *r, const aopt__cut *k, aopt__in_fn in, int64_t f, int64_t t0, int64_t t1, float *v, float *patch)
{
    const aopt__axis *a = &aopt__axes[c->scheme];
    const int64_t planes = aopt__fast_planes(c->scheme);
    const float *x = r->x + f * r->H * r->W * c->ci;
    int64_t t, p;
    for (t = t0; t < t1; t++, v += c->ci) {
        const int64_t i = t / k->columns * a->step - 1, j = t % k->columns * a->step - 1;
        if (f < 0 && !r->past)
            for (p = 0; p < planes; p++) memset(v + p * k->v_plane, 0, (size_t)c->ci * sizeof *v);
        else if (i >= 0 && j >= 0 && i + a->in <= r->H && j + a->in <= r->W) in(x + (i * r->W + j) * c->ci, r->W * c->ci, c->ci, c->ci, v, k->v_plane);
        else {                                  /* at a border: through a copy with zeros around */
            const int64_t j0 = aopt__max(0, -j), j1 = aopt__min(a->in, r->W - j);
            memset(patch, 0, (size_t)(a->in * a->in * c->ci) * sizeof *patch);
            for (p = aopt__max(0, -i); p < aopt__min(a->in, r->H - i) && j0 < j1; p++)
                memcpy(patch + (p * a->in + j0) * c->ci, x + ((i + p) * r->W + j + j0) * c->ci, (size_t)((j1 - j0) * c->ci) * sizeof *patch);
            in(patch, a->in * c->ci, c->ci, c->ci, v, k->v_plane);
        }
    }
}

static void aopt__fast_output(const aopt_cpu_conv *c, const aopt_cpu_run *r, const aopt__cut *k, const aopt__fast_fns *fns, int64_t f, int64_t t0, int64_t t1, const float *m, float *patch)
{
    const aopt__axis *a = &aopt__axes[c->scheme];
    const int64_t H = (c->upsample + 1) * r->H, W = (c->upsample + 1) * r->W;
    int64_t t, q;
    for (t = t0; t < t1; t++, m += c->co) {
        const int64_t i = t / k->columns * a->out + a->out_first, j = t % k->columns * a->out + a->out_first;
        const int64_t j0 = aopt__max(0, -j), j1 = aopt__min(a->out, W - j);
        fns->out[c->scheme](m, k->m_plane, c->co, patch);
        for (q = aopt__max(0, -i); q < aopt__min(a->out, H - i); q++)
            aopt__fast_end(c, r, fns->end, f, i + q, j + j0, j1 - j0, patch + (q * a->out + j0) * c->co, patch + AOPT__FAST_PIXELS * c->co);
    }
}

/* Tiles t0 to t1 of frames f0 to f1. */
static void aopt__fast_block(const aopt_cpu_conv *c, const aopt_cpu_run *r, const aopt__cut *k, const aopt__fast_fns *fns, int64_t t0, int64_t t1, int64_t f0, int64_t f1, float *work)
{
    const aopt__axis *a = &aopt__axes[c->scheme];
    const int64_t tiles = t1 - t0, back = c->kt - 1, products = aopt__fast_products(c->scheme);
    float *v = work, *m = v + k->v, *patch = m + k->m;
    const float **table = (const float **)(void *)(patch + k->patch);
    int64_t f, i, p, q, t, n;
    for (f = f0 - back; f < f0; f++)
        aopt__fast_input(c, r, k, fns->in[c->scheme], f, t0, t1, v + (f + back) % k->slots * k->tiles * c->ci, patch);
    for (f = f0; f < f1; f += n) {
        n = aopt__min(k->step, f1 - f);
        for (i = f; i < f + n; i++) aopt__fast_input(c, r, k, fns->in[c->scheme], i, t0, t1, v + (i + back) % k->slots * k->tiles * c->ci, patch);
        for (q = 0; q < n * tiles; q += AOPT__FAST_P)
            for (t = 0; t < c->kt; t++)
                for (i = 0; i < AOPT__FAST_P; i++) {
                    const int64_t position = aopt__min(q + i, n * tiles - 1);
                    table[q * c->kt + t * AOPT__FAST_P + i] = v + ((f + position / tiles + t) % k->slots * k->tiles + position % tiles) * c->ci;
                }
        for (p = 0; p < products; p++) {
            const int64_t plane = (a->kind[p / a->products] * a->kinds + a->kind[p % a->products]) * k->v_plane;
            for (i = 0; i < c->co; i += AOPT__FAST_W)
                for (q = 0; q < n * tiles; q += AOPT__FAST_P)
                    fns->tile(table + q * c->kt, plane, c->kt, c->ci, c->w + (p * c->co + i) * c->kt * c->ci, aopt__min(AOPT__FAST_W, c->co - i), m + p * k->m_plane + q * c->co + i, c->co);
        }
        for (i = 0; i < n; i++) aopt__fast_output(c, r, k, fns, f + i, t0, t1, m + i * tiles * c->co, patch);
    }
}

/* Positions p0 to p1 of frame f. */
static void aopt__fast_direct(const aopt_cpu_conv *c, const aopt_cpu_run *r, const aopt__cut *k, const aopt__fast_fns *fns, int64_t p0, int64_t p1, int64_t f, float *work)
{
    const int64_t W = k->columns, frame = r->H * r->W * c->ci, taps = (int64_t)c->kt * c->k * c->k;
    float *m = work + k->v, *patch = m + k->m;
    const float **table = (const float **)(void *)(patch + k->patch);
    int64_t p, q, t, i, n, a, b, y = p0 / W, x = p0 % W;     /* y, x: of position p + i, or the last one */
    for (p = p0; p < p1; p += AOPT__FAST_P) {
        for (i = 0; i < AOPT__FAST_P; i++) {
            const float **to = table + i;
            for (t = 0; t < c->kt; t++) {
                const int64_t g = f + t - (c->kt - 1);
                const float *from = g >= 0 || r->past ? r->x + g * frame : NULL;
                for (a = y - c->k / 2; a <= y + c->k / 2; a++)
                    for (b = x - c->k / 2; b <= x + c->k / 2; b++, to += AOPT__FAST_P)
                        *to = from && a >= 0 && a < k->rows && b >= 0 && b < W ? from + ((a >> c->upsample) * r->W + (b >> c->upsample)) * c->ci : c->zero;
            }
            if (p + i + 1 < p1 && ++x == W) { x = 0; y++; }
        }
        for (i = 0; i < c->co; i += AOPT__FAST_W)
            fns->tile(table, 0, taps, c->ci, c->w + i * taps * c->ci, aopt__min(AOPT__FAST_W, c->co - i), m + (p - p0) * c->co + i, c->co);
    }
    for (q = p0; q < p1; q += n) {                      /* along rows, and in fours where the residual must be spread */
        n = aopt__min(p1 - q, W - q % W);
        if (c->upsample) n = aopt__min(n, 4);
        aopt__fast_end(c, r, fns->end, f, q / W, q % W, n, m + (q - p0) * c->co, patch + AOPT__FAST_PIXELS * c->co);
    }
}

static void aopt__fast_run(const aopt__fast_fns *fns, const aopt_cpu_conv *c, const aopt_cpu_run *run)
{
    const aopt__cut k = aopt__fast_cut(c, run);
    const int64_t all = k.rows * k.columns, items = k.blocks * k.parts;
    const int threads = (int)aopt__min(k.threads, items);
    int64_t i;
    AOPT__PARALLEL_FOR
    for (i = 0; i < items; i++) {
        const int64_t t0 = i % k.blocks * k.tiles, f0 = i / k.blocks * k.part, t1 = aopt__min(all, t0 + k.tiles), f1 = aopt__min(run->frames, f0 + k.part);
#ifdef _OPENMP
        float *work = run->work + omp_get_thread_num() * k.floats;
#else
        float *work = run->work;
        (void)threads;
#endif
        if (c->scheme == AOPT_CPU_DIRECT) aopt__fast_direct(c, run, &k, fns, t0, t1, f0, work);
        else aopt__fast_block(c, run, &k, fns, t0, t1, f0, f1, work);
    }
}

AOPT__DEF void aopt_cpu_conv_run(const aopt_cpu_conv *c, const aopt_cpu_run *run) { aopt__fast_run(aopt__fast_pick(), c, run); }

AOPT__DEF void aopt_cpu_norm_run(const aopt_cpu_norm *norm, const float *x, int64_t P, int64_t C, float *act, int threads)
{
    enum { ROW = 64 };
    const aopt__fast_fns *fns = aopt__fast_pick();
    int64_t i;
    threads = aopt__team(aopt__threads(threads), P * C);
    AOPT__PARALLEL_FOR
    for (i = 0; i < P; i += ROW) fns->norm(x + i * C, aopt__min(ROW, P - i), C, norm, act + i * C);
}

AOPT__DEF void aopt_cpu_video(const float *x, int64_t frames, int64_t H, int64_t W, int64_t C, float *video, int64_t channel_stride, int threads)
{
    int64_t i;
    threads = aopt__team(aopt__threads(threads), frames * H * W * 12);
    AOPT__PARALLEL_FOR
    for (i = 0; i < frames * H; i++) {
        const float *from = x + i * W * C;
        int64_t j, c;
        for (c = 0; c < 6; c++) {                       /* channel c/2, row c%2 of the patch */
            float *to = video + c / 2 * channel_stride + (2 * i + c % 2) * 2 * W;
            for (j = 0; j < 2 * W; j++) {
                const float v = from[j / 2 * C + (c / 2 * 2 + j % 2) * 2 + c % 2];
                to[j] = v < -1.0f ? -1.0f : v > 1.0f ? 1.0f : v;
            }
        }
    }
}

#ifdef __cplusplus
} /* extern "C" */
#endif

/* ==== [I14] licence =====================================================================================
   MIT; the text is in LICENSE beside this file and at https://opensource.org/license/mit */
#endif /* AUTOOPT_IMPLEMENTED */
#endif /* AUTOOPT_IMPLEMENTATION */
