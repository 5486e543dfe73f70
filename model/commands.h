/* commands.h - the target's own commands: decode, encode, compare, make-weights, make-latent

   Each returns its exit status: 0 done, 1 failed, 2 usage; compare 20 outside the gate, 21 not finite.
   Errors go to stderr as "harness COMMAND: message".  stdout stays clean where it carries video (--out -). */
#ifndef AUTOOPT_COMMANDS_H
#define AUTOOPT_COMMANDS_H
#include "../autoopt.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- arguments ---- */
typedef struct command_option {
    const char *name;               /* "--out" */
    const char **value;             /* NULL for a flag */
    int *flag;
} command_option;
#define COMMAND_COUNT(array) ((int)(sizeof (array) / sizeof (array)[0]))

/* Options may stand anywhere, as "--name value" or "--name=value"; "-o" is "--out".  The rest is positional: exactly
   `words` of them.  Returns 0, or 2 after saying what is wrong. */
static inline int command_parse(int argc, char **argv, const command_option *option, int option_n, const char **word, int words, const char *usage)
{
    int i, k, found = 0;
    for (i = 1; i < argc; i++) {
        const char *a = strcmp(argv[i], "-o") == 0 ? "--out" : argv[i], *equals = strchr(a, '=');
        const size_t n = equals ? (size_t)(equals - a) : strlen(a);
        if (strncmp(a, "--", 2) != 0) {
            if (found < words) { word[found++] = a; continue; }
            fprintf(stderr, "harness %s: unexpected \"%s\"\n", argv[0], a);
            break;
        }
        for (k = 0; k < option_n && !(strlen(option[k].name) == n && strncmp(option[k].name, a, n) == 0); k++) { }
        if (k == option_n) { fprintf(stderr, "harness %s: unknown option %.*s\n", argv[0], (int)n, a); break; }
        if (option[k].flag && !equals) *option[k].flag = 1;
        else if (option[k].value && equals) *option[k].value = equals + 1;
        else if (option[k].value && i + 1 < argc) *option[k].value = argv[++i];
        else { fprintf(stderr, "harness %s: %s %s\n", argv[0], option[k].name, option[k].flag ? "takes no value" : "needs a value"); break; }
    }
    if (i == argc && found == words) return 0;
    if (i == argc) fprintf(stderr, "harness %s: expected %d names, found %d\n", argv[0], words, found);
    fprintf(stderr, "usage: ./harness %s\n", usage);
    return 2;
}

static inline int command_usage(const char *usage, const char *format, ...) __attribute__((format(printf, 2, 3)));
static inline int command_usage(const char *usage, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "harness %.*s: ", (int)strcspn(usage, " "), usage);
    vfprintf(stderr, format, args);
    va_end(args);
    fprintf(stderr, "\nusage: ./harness %s\n", usage);
    return 2;
}

/* A whole number in lo..hi; 0 if text is anything else. */
static inline int command_number(const char *text, int64_t lo, int64_t hi, int64_t *out)
{
    char *end;
    long long v;
    errno = 0;
    v = strtoll(text, &end, 10);
    if (errno || end == text || *end || v < lo || v > hi) return 0;
    *out = v;
    return 1;
}

static inline int command_failed(const char *name, const aopt_error *err)
{
    fprintf(stderr, "harness %s: %s\n", name, err->message);
    return err->status == AOPT_E_ARG ? 2 : 1;
}

static inline int command_ends_with(const char *s, const char *ending)
{
    const size_t n = strlen(s), k = strlen(ending);
    return n >= k && strcasecmp(s + n - k, ending) == 0;
}

/* ---- progress, and the refusal of work that takes hours ---- */
typedef struct command_progress { const char *name; double begin, last; int64_t at, of; int terminal; } command_progress;

static inline void command_progress_begin(command_progress *p, const char *name, int64_t of)
{
    memset(p, 0, sizeof *p);
    p->name = name;
    p->of = of;
    p->begin = aopt_seconds();
    p->terminal = isatty(2);
}

/* aopt_progress: at/of steps are done, and done/total of the next. */
static inline int command_progress_step(void *user, const char *what, int64_t done, int64_t total)
{
    command_progress *p = (command_progress *)user;
    const double now = aopt_seconds(), part = total > 0 ? (double)done / (double)total : 0;
    if (!p->terminal || now - p->last < 0.1) return 0;
    p->last = now;
    fprintf(stderr, "\r%s: %s %3.0f%% (%d of %d), %.0f s\033[K", p->name, what, 100 * ((double)p->at + part) / (double)p->of, (int)p->at, (int)p->of, now - p->begin);
    return 0;
}

static inline double command_progress_end(const command_progress *p)
{
    if (p->terminal) fprintf(stderr, "\r\033[K");
    return aopt_seconds() - p->begin;
}

/* FLOP/s of the reference convolution here: half a second at most. */
static inline double command_probe(int threads)
{
    enum { C = 64, T = 2, H = 32, W = 32 };
    const double flops = 2.0 * 27 * C * C * T * H * W;
    float *x = (float *)calloc((size_t)T * H * W * C + C * C * 27 + C, sizeof(float)), *y = (float *)malloc(sizeof(float) * T * H * W * C);
    double best = 0, begin = aopt_seconds();
    aopt_ref_conv conv;
    memset(&conv, 0, sizeof conv);
    conv.ci = conv.co = C;
    conv.kt = conv.kh = conv.kw = 3;
    while (x && y && aopt_seconds() - begin < 0.25) {
        const double t = aopt_seconds();
        conv.weight = x + T * H * W * C;
        conv.bias = conv.weight + C * C * 27;
        if (aopt_ref_conv3d(&conv, x, T, H, W, NULL, y, threads, NULL)) break;
        if (flops / (aopt_seconds() - t) > best) best = flops / (aopt_seconds() - t);
    }
    free(x);
    free(y);
    return best;
}

/* Would `flops` take more than half an hour?  Then say so, unless --yes. */
static inline aopt_status command_check_time(double flops, int threads, int yes, aopt_error *err)
{
    double speed, hours;
    if (yes || flops < 1e12) return AOPT_OK;
    speed = command_probe(threads);
    hours = speed > 0 ? flops / speed / 3600 : 0;
    if (hours <= 0.5) return AOPT_OK;
    return aopt_fail(err, AOPT_E_UNSUPPORTED, "this is %.1f TFLOP, about %.1f hours at the %.0f GFLOP/s of this CPU; add --yes to start all the same", flops * 1e-12, hours, speed * 1e-9);
}

/* ---- tensors and clips from files ---- */

/* The tensor called `name`, or the only one of the file. */
static inline aopt_status command_pick(const aopt_checkpoint *ck, const char *name, const aopt_tensor **out, aopt_error *err)
{
    *out = aopt_checkpoint_find(ck, name);
    if (!*out && aopt_checkpoint_count(ck) == 1) *out = aopt_checkpoint_at(ck, 0);
    if (*out) return AOPT_OK;
    return aopt_fail(err, AOPT_E_MISSING, "%s: no tensor `%s` among its %lld", aopt_checkpoint_path(ck), name, (long long)aopt_checkpoint_count(ck));
}

/* t must be [channels][a][b][c], or [1][channels][a][b][c]: into a fresh f32 copy and shape.  The caller frees *data. */
static inline aopt_status command_load_4d(const aopt_checkpoint *ck, const aopt_tensor *t, int64_t channels, const char *expected, float **data, int64_t shape[4], aopt_error *err)
{
    const int batch = t->ndim == 5 && t->shape[0] == 1;
    const int64_t n = aopt_tensor_numel(t);
    char found[160];
    aopt_status st;
    *data = NULL;
    if (t->ndim - batch != 4 || t->shape[batch] != channels || n < 1)
        return aopt_fail(err, AOPT_E_SHAPE, "%s: tensor `%s` is %s, expected %s", aopt_checkpoint_path(ck), t->name, aopt_tensor_describe(t, found, sizeof found), expected);
    memcpy(shape, t->shape + batch, 4 * sizeof shape[0]);
    if (n <= (int64_t)(SIZE_MAX / 8)) *data = (float *)malloc((size_t)n * sizeof(float));
    if (!*data) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for tensor `%s`, %s", aopt_checkpoint_path(ck), t->name, aopt_tensor_describe(t, found, sizeof found));
    st = aopt_tensor_to_f32(t, *data, n, err);
    if (st) { free(*data); *data = NULL; }
    return st;
}

/* Tensor `latent`, or the only one, as f32 [48][T][h][w].  The caller frees *latent. */
static inline aopt_status command_load_latent(const char *path, float **latent, int64_t shape[4], aopt_error *err)
{
    aopt_checkpoint *ck;
    const aopt_tensor *t;
    aopt_status st = aopt_checkpoint_open(path, NULL, &ck, err);
    *latent = NULL;
    if (st) return st;
    st = command_pick(ck, "latent", &t, err);
    if (!st) st = command_load_4d(ck, t, AOPT_VAE_Z, "[48][T][h][w]", latent, shape, err);
    aopt_checkpoint_close(ck);
    return st;
}

/* clip_u8 [F][H][W][3] -> f32 [3][F][H][W] */
static inline aopt_status command_load_clip_u8(const aopt_checkpoint *ck, const aopt_tensor *t, aopt_clip *out, aopt_error *err)
{
    const int64_t n = aopt_tensor_numel(t), pixels = n / 3;
    float *interleaved;
    char found[160];
    aopt_status st;
    int64_t i;
    if (t->ndim != 4 || t->shape[3] != 3 || t->dtype != AOPT_U8 || n < 1)
        return aopt_fail(err, AOPT_E_SHAPE, "%s: tensor `%s` is %s, expected U8 [F][H][W][3]", aopt_checkpoint_path(ck), t->name, aopt_tensor_describe(t, found, sizeof found));
    interleaved = (float *)malloc((size_t)n * sizeof(float));
    out->video = (float *)malloc((size_t)n * sizeof(float));
    st = interleaved && out->video ? aopt_tensor_to_f32(t, interleaved, n, err)
                                   : aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for tensor `%s`", aopt_checkpoint_path(ck), t->name);
    for (i = 0; !st && i < n; i++) out->video[i % 3 * pixels + i / 3] = interleaved[i] / 127.5f - 1.0f;
    free(interleaved);
    out->F = t->shape[0]; out->H = t->shape[1]; out->W = t->shape[2];
    return st;
}

/* A clip or decoded video from anything: .safetensors or .pth (tensor `name`, `clip_u8`, or the only one), a folder of pictures, y4m.
   Free with aopt_clip_free: harness and library share malloc. */
static inline aopt_status command_load_clip(const char *path, const char *name, aopt_clip *out, aopt_error *err)
{
    aopt_checkpoint *ck;
    const aopt_tensor *t;
    int64_t shape[4];
    aopt_status st;

    memset(out, 0, sizeof *out);
    if (!command_ends_with(path, ".safetensors") && !command_ends_with(path, ".pth") && !command_ends_with(path, ".pt")) return aopt_clip_read(path, out, err);
    out->fps_num = 24;
    out->fps_den = 1;
    st = aopt_checkpoint_open(path, NULL, &ck, err);
    if (st) return st;
    t = aopt_checkpoint_find(ck, name);
    if (!t) t = aopt_checkpoint_find(ck, "clip_u8");
    if (!t) st = command_pick(ck, name, &t, err);
    if (!st && t->dtype == AOPT_U8) {
        st = command_load_clip_u8(ck, t, out, err);
    } else if (!st) {
        st = command_load_4d(ck, t, 3, "[3][F][H][W]", &out->video, shape, err);
        if (!st) { out->F = shape[1]; out->H = shape[2]; out->W = shape[3]; }
    }
    aopt_checkpoint_close(ck);
    if (st) aopt_clip_free(out);
    return st;
}

/* A checkpoint with its weights bound. */
static inline aopt_status command_open_vae(const char *path, int need_encoder, aopt_checkpoint **ck, aopt_vae **vae, aopt_error *err)
{
    aopt_status st = aopt_checkpoint_open(path, NULL, ck, err);
    *vae = NULL;
    if (!st) st = aopt_vae_open(*ck, vae, err);
    if (!st && !(need_encoder ? (*vae)->encoder.present : (*vae)->decoder.present))
        st = aopt_fail(err, AOPT_E_MISSING, "%s: expected %s tensors, found only the other half of the VAE", path, need_encoder ? "encoder.*" : "decoder.*");
    return st;
}

static inline int command_threads(const char *text, int64_t *threads)
{
    *threads = 0;
    return !text || command_number(text, 1, 4096, threads);
}

/* ---- decode ---- */
#define DECODE_USAGE "decode --checkpoint F --latent F --out F.safetensors|F.y4m|f%04d.png|- [--raw-latent] [--threads N] [--yes]"

typedef struct decode_sink {
    aopt_frame_writer *writer;      /* NULL: frames go to video */
    float *video;                   /* f32 [3][F][H][W] */
    int64_t F, n, clamped;
    double sum, sum_squares;
    aopt_status status;
    aopt_error *err;
} decode_sink;

/* aopt_frame_fn */
static inline int decode_frame(void *user, const float *frame, int64_t index, int64_t H, int64_t W)
{
    decode_sink *s = (decode_sink *)user;
    int64_t c, i;
    for (i = 0; i < 3 * H * W; i++) {
        s->sum += frame[i];
        s->sum_squares += (double)frame[i] * frame[i];
        s->clamped += frame[i] >= 1.0f || frame[i] <= -1.0f;
    }
    s->n += 3 * H * W;
    if (s->writer) s->status = aopt_frame_writer_add(s->writer, frame, H * W, s->err);
    else for (c = 0; c < 3; c++) memcpy(s->video + (c * s->F + index) * H * W, frame + c * H * W, (size_t)(H * W) * sizeof(float));
    return s->status != AOPT_OK;
}

static inline aopt_status decode_open_sink(decode_sink *s, const char *path, int64_t F, int64_t H, int64_t W, aopt_error *err)
{
    memset(s, 0, sizeof *s);
    s->F = F;
    s->err = err;
    if (!command_ends_with(path, ".safetensors")) return aopt_frame_writer_open(path, H, W, 24, 1, &s->writer, err);
    s->video = (float *)malloc((size_t)(3 * F * H * W) * sizeof(float));
    return s->video ? AOPT_OK : aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for a video of %lld frames of %lldx%lld; write y4m or pictures instead",
                                          path, (long long)F, (long long)W, (long long)H);
}

static inline aopt_status decode_close_sink(decode_sink *s, const char *path, int64_t H, int64_t W, aopt_status st, aopt_error *err)
{
    if (s->writer) {
        const aopt_status closed = aopt_frame_writer_close(s->writer, !st, st ? NULL : err);
        if (!st) st = closed;
    } else if (!st) {
        int64_t shape[4];
        aopt_tensor t;
        shape[0] = 3; shape[1] = s->F; shape[2] = H; shape[3] = W;
        t = aopt_tensor_make("decoded", AOPT_F32, 4, shape, s->video, AOPT_HOST);
        st = aopt_safetensors_write(path, &t, 1, NULL, 0, err);
    }
    free(s->video);
    return st;
}

/* latent f32 [48][T][h][w] -> path, one latent frame at a time. */
static inline aopt_status decode_run(const aopt_vae *vae, const float *latent, const int64_t shape[4], const char *path, const aopt_vae_options *given,
                                     decode_sink *sink, aopt_error *err)
{
    const int64_t T = shape[1], h = shape[2], w = shape[3];
    aopt_vae_options options = *given;
    aopt_vae_decoder *decoder;
    command_progress progress;
    aopt_status st;
    double seconds;

    command_progress_begin(&progress, "decode", T);
    options.progress = command_progress_step;
    options.progress_user = &progress;
    st = aopt_vae_decoder_open(vae, h, w, &options, &decoder, err);
    if (st) return st;
    st = decode_open_sink(sink, path, aopt_vae_frames(T), 16 * h, 16 * w, err);
    progress.begin = aopt_seconds();
    for (; !st && progress.at < T; progress.at++) {
        st = aopt_vae_decoder_step(decoder, latent + progress.at * h * w, 1, T * h * w, decode_frame, sink, err);
        if (sink->status) st = sink->status;        /* the writer's own reason, with its message */
    }
    seconds = command_progress_end(&progress);
    aopt_vae_decoder_close(decoder);
    st = decode_close_sink(sink, path, 16 * h, 16 * w, st, err);
    if (!st) {
        const double mean = sink->sum / (double)sink->n;
        fprintf(strcmp(path, "-") == 0 ? stderr : stdout, "decoded %lld frames of %lldx%lld in %.2f s (%.1f GFLOP/s), deviation %.3f, %.2f%% clamped: %s\n",
                (long long)sink->F, (long long)(16 * w), (long long)(16 * h), seconds, aopt_vae_decode_flops(vae, T, h, w) / seconds * 1e-9,
                sqrt(fmax(sink->sum_squares / (double)sink->n - mean * mean, 0)), 100.0 * (double)sink->clamped / (double)sink->n, path);
    }
    return st;
}

static inline int command_decode(int argc, char **argv)
{
    const char *checkpoint = NULL, *latent_path = NULL, *out = NULL, *threads_text = NULL;
    int raw = 0, yes = 0;
    const command_option option[] = {
        { "--checkpoint", &checkpoint, NULL }, { "--latent", &latent_path, NULL }, { "--out", &out, NULL }, { "--threads", &threads_text, NULL },
        { "--raw-latent", NULL, &raw }, { "--yes", NULL, &yes }
    };
    int64_t shape[4], threads;
    aopt_checkpoint *ck = NULL;
    aopt_vae *vae = NULL;
    aopt_vae_options options;
    decode_sink sink;
    float *latent = NULL;
    aopt_error err;
    aopt_status st;

    if (command_parse(argc, argv, option, COMMAND_COUNT(option), NULL, 0, DECODE_USAGE)) return 2;
    if (!checkpoint || !latent_path || !out) return command_usage(DECODE_USAGE, "--checkpoint, --latent and --out are needed");
    if (!command_threads(threads_text, &threads)) return command_usage(DECODE_USAGE, "--threads %s: expected a number from 1", threads_text);
    signal(SIGPIPE, SIG_IGN);           /* a closed pipe comes back as AOPT_E_CANCELLED */
    memset(&options, 0, sizeof options);
    memset(&sink, 0, sizeof sink);
    options.threads = (int)threads;
    options.raw_latent = raw;
    st = command_open_vae(checkpoint, 0, &ck, &vae, &err);
    if (!st) st = command_load_latent(latent_path, &latent, shape, &err);
    if (!st) st = command_check_time(aopt_vae_decode_flops(vae, shape[1], shape[2], shape[3]), options.threads, yes, &err);
    if (!st) st = decode_run(vae, latent, shape, out, &options, &sink, &err);
    free(latent);
    aopt_vae_close(vae);
    aopt_checkpoint_close(ck);
    if (st == AOPT_E_CANCELLED && strcmp(out, "-") == 0) {
        fprintf(stderr, "harness decode: the reader closed the pipe\n");
        return 0;
    }
    return st ? command_failed("decode", &err) : 0;
}

/* ---- encode ---- */
#define ENCODE_USAGE "encode --checkpoint F --clip F.safetensors|FOLDER|F.y4m --out F.safetensors [--raw-latent] [--threads N] [--yes]"

/* Sizes that the encoder can take, or an error that says which would do. */
static inline aopt_status command_check_clip(const char *path, const aopt_clip *c, aopt_error *err)
{
    if (aopt_vae_latent_frames(c->F) < 0) {
        const long long less = c->F - (c->F - 1) % 4;
        return aopt_fail(err, AOPT_E_SHAPE, "%s: %lld frames, expected 1 + 4n: %lld or %lld would do", path, (long long)c->F, less, less + 4);
    }
    if (c->H % 16 == 0 && c->W % 16 == 0) return AOPT_OK;
    return aopt_fail(err, AOPT_E_SHAPE, "%s: %lldx%lld pixels, expected multiples of 16: cut it to %lldx%lld", path, (long long)c->W, (long long)c->H,
                     (long long)(c->W < 16 ? 16 : c->W / 16 * 16), (long long)(c->H < 16 ? 16 : c->H / 16 * 16));
}

static inline aopt_status command_write_latent(const char *path, float *latent, int64_t T, int64_t h, int64_t w, aopt_error *err)
{
    int64_t shape[4];
    aopt_tensor t;
    shape[0] = AOPT_VAE_Z; shape[1] = T; shape[2] = h; shape[3] = w;
    t = aopt_tensor_make("latent", AOPT_F32, 4, shape, latent, AOPT_HOST);
    return aopt_safetensors_write(path, &t, 1, NULL, 0, err);
}

/* clip -> latent -> path */
static inline aopt_status encode_run(const char *checkpoint, const char *clip_path, const aopt_clip *clip, const char *out, const aopt_vae_options *given, int yes, aopt_error *err)
{
    const int64_t T = aopt_vae_latent_frames(clip->F), h = clip->H / 16, w = clip->W / 16;
    aopt_vae_options options = *given;
    aopt_checkpoint *ck = NULL;
    aopt_vae *vae = NULL;
    float *latent = NULL;
    command_progress progress;
    aopt_status st = command_check_clip(clip_path, clip, err);

    if (!st) st = command_open_vae(checkpoint, 1, &ck, &vae, err);
    if (!st) st = command_check_time(aopt_vae_encode_flops(vae, T, h, w), options.threads, yes, err);
    if (!st) {
        latent = (float *)malloc((size_t)(AOPT_VAE_Z * T * h * w) * sizeof(float));
        if (!latent) st = aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for its latent", clip_path);
    }
    command_progress_begin(&progress, "encode", 1);
    options.progress = command_progress_step;
    options.progress_user = &progress;
    if (!st) st = aopt_vae_encode(vae, clip->video, clip->F, clip->H, clip->W, &options, latent, err);
    if (!st) {
        const double seconds = command_progress_end(&progress);
        st = command_write_latent(out, latent, T, h, w, err);
        if (!st) printf("encoded %lld frames of %lldx%lld in %.2f s (%.1f GFLOP/s) to latent [48][%lld][%lld][%lld]: %s\n", (long long)clip->F, (long long)clip->W, (long long)clip->H,
                        seconds, aopt_vae_encode_flops(vae, T, h, w) / seconds * 1e-9, (long long)T, (long long)h, (long long)w, out);
    }
    free(latent);
    aopt_vae_close(vae);
    aopt_checkpoint_close(ck);
    return st;
}

static inline int command_encode(int argc, char **argv)
{
    const char *checkpoint = NULL, *clip_path = NULL, *out = NULL, *threads_text = NULL;
    int raw = 0, yes = 0;
    const command_option option[] = {
        { "--checkpoint", &checkpoint, NULL }, { "--clip", &clip_path, NULL }, { "--out", &out, NULL }, { "--threads", &threads_text, NULL },
        { "--raw-latent", NULL, &raw }, { "--yes", NULL, &yes }
    };
    int64_t threads;
    aopt_vae_options options;
    aopt_clip clip;
    aopt_error err;
    aopt_status st;

    if (command_parse(argc, argv, option, COMMAND_COUNT(option), NULL, 0, ENCODE_USAGE)) return 2;
    if (!checkpoint || !clip_path || !out) return command_usage(ENCODE_USAGE, "--checkpoint, --clip and --out are needed");
    if (!command_ends_with(out, ".safetensors")) return command_usage(ENCODE_USAGE, "--out %s: expected NAME.safetensors", out);
    if (!command_threads(threads_text, &threads)) return command_usage(ENCODE_USAGE, "--threads %s: expected a number from 1", threads_text);
    memset(&options, 0, sizeof options);
    options.threads = (int)threads;
    options.raw_latent = raw;
    st = command_load_clip(clip_path, "clip", &clip, &err);
    if (!st) st = encode_run(checkpoint, clip_path, &clip, out, &options, yes, &err);
    aopt_clip_free(&clip);
    return st ? command_failed("encode", &err) : 0;
}

/* ---- compare ---- */
#define COMPARE_USAGE "compare A B        video A against the reference B: .safetensors (tensor `decoded`), folders or y4m; limits from goals.json"

static inline void command_metric(aopt_metric *m, const char *name, double value, int sense, const char *format, const int64_t *place)
{
    memset(m, 0, sizeof *m);
    snprintf(m->name, sizeof m->name, "%s", name);
    m->value = value;
    m->sense = sense;
    if (place) snprintf(m->where, sizeof m->where, format, (long long)place[0], (long long)place[1], (long long)place[2], (long long)place[3]);
}

/* The figures of a comparison as the gate names them; c NULL (it failed): NaN. */
static inline int command_metrics(const aopt_comparison *c, aopt_metric metric[AOPT_MAX_METRICS])
{
    aopt_comparison none;
    int64_t place[4];
    int n = 0;
    if (!c) {
        memset(&none, 0, sizeof none);
        none.psnr_db = none.psnr_frame_min_db = none.psnr_tile_min_db = none.max_abs = none.mean_shift = none.psnr_motion_db = none.gradient_ratio = NAN;
        c = &none;
    }
    memset(place, 0, sizeof place);
    command_metric(&metric[n++], "psnr_db", c->psnr_db, 1, "", NULL);
    place[0] = c->frame_min;
    command_metric(&metric[n++], "psnr_frame_min_db", c->psnr_frame_min_db, 1, "frame %lld", place);
    command_metric(&metric[n++], "max_abs", c->max_abs, -1, "channel %lld frame %lld y %lld x %lld", c->max_abs_at);
    memcpy(place, c->tile_min, sizeof c->tile_min);
    command_metric(&metric[n++], "psnr_tile_min_db", c->psnr_tile_min_db, 1, "frame %lld y %lld x %lld", place);
    command_metric(&metric[n++], "psnr_motion_db", c->psnr_motion_db, 1, "", NULL);
    place[0] = c->mean_shift_channel;
    command_metric(&metric[n++], "mean_shift", fabs(c->mean_shift), -1, "channel %lld", place);
    command_metric(&metric[n++], "gradient_error", fabs(c->gradient_ratio - 1), -1, "", NULL);
    command_metric(&metric[n++], "nonfinite", (double)c->nonfinite, -1, "channel %lld frame %lld y %lld x %lld", c->nonfinite_at);
    return n;
}

/* The gate of goals.json: limit[i] and gated[i] for each metric.  AOPT_E_* with the file's name if it cannot be read. */
static inline aopt_status command_gate(const char *path, const aopt_metric *metric, int n, double *limit, int *gated, aopt_error *err)
{
    char text[65536];
    aopt_json *doc;
    const aopt_json_value *gate, *g;
    FILE *f = fopen(path, "rb");
    size_t bytes;
    aopt_status st;
    int i;

    if (!f) return aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
    bytes = fread(text, 1, sizeof text, f);
    fclose(f);
    st = aopt_json_parse(text, bytes, &doc, err);
    if (st) return st;
    gate = aopt_json_get(aopt_json_root(doc), "gate");
    for (g = gate ? gate->child : NULL; g && !st; g = g->next) {
        const aopt_json_value *name = aopt_json_get(g, "metric");
        const aopt_json_value *value = aopt_json_get(g, "min") ? aopt_json_get(g, "min") : aopt_json_get(g, "max");
        for (i = 0; i < n && !(name && name->string && strcmp(name->string, metric[i].name) == 0); i++) { }
        if (i == n || !value || value->type != AOPT_JSON_NUMBER) { st = aopt_fail(err, AOPT_E_VALUE, "%s: a gate that is not one of this target's metrics", path); break; }
        gated[i] = 1;
        limit[i] = value->number;
    }
    if (!gate) st = aopt_fail(err, AOPT_E_VALUE, "%s: no gate", path);
    aopt_json_free(doc);
    return st;
}

/* Print the table; 0 inside the gate, 20 outside, 21 if a value is not finite. */
static inline int compare_report(const aopt_comparison *c, aopt_error *err)
{
    aopt_metric metric[AOPT_MAX_METRICS];
    double limit[AOPT_MAX_METRICS];
    int gated[AOPT_MAX_METRICS], n = command_metrics(c, metric), i, failed = 0;
    aopt_status st;

    memset(gated, 0, sizeof gated);
    memset(limit, 0, sizeof limit);
    st = command_gate("goals.json", metric, n, limit, gated, err);
    for (i = 0; i < n; i++) {
        const int ok = !gated[i] || (metric[i].sense > 0 ? metric[i].value >= limit[i] : metric[i].value <= limit[i]);
        printf("%-18s %12.6g", metric[i].name, metric[i].value);
        if (gated[i]) printf("  %s %-6g %s", metric[i].sense > 0 ? ">=" : "<=", limit[i], ok ? "ok  " : "FAIL");
        else printf("%*s", 16, "");
        printf("  %s\n", metric[i].where);
        failed |= !ok;
    }
    if (c->nonfinite || c->reference_nonfinite) {
        printf("FAIL: %lld values of A and %lld of B are NaN or infinite\n", (long long)c->nonfinite, (long long)c->reference_nonfinite);
        return 21;
    }
    if (st) return command_failed("compare", err);
    printf(failed ? "FAIL: outside the gate\n" : "ok: inside the gate\n");
    return failed ? 20 : 0;
}

static inline int command_compare(int argc, char **argv)
{
    const char *path[2];
    aopt_clip a, b;
    aopt_comparison c;
    aopt_error err;
    aopt_status st;
    int code = 1;

    if (command_parse(argc, argv, NULL, 0, path, 2, COMPARE_USAGE)) return 2;
    memset(&b, 0, sizeof b);
    st = command_load_clip(path[0], "decoded", &a, &err);
    if (!st) st = command_load_clip(path[1], "decoded", &b, &err);
    if (!st && (a.F != b.F || a.H != b.H || a.W != b.W))
        st = aopt_fail(&err, AOPT_E_SHAPE, "%s has %lld frames of %lldx%lld, %s has %lld of %lldx%lld", path[0], (long long)a.F, (long long)a.W, (long long)a.H,
                       path[1], (long long)b.F, (long long)b.W, (long long)b.H);
    if (!st) st = aopt_compare(a.video, b.video, a.F, a.H, a.W, &c, &err);
    code = st ? command_failed("compare", &err) : compare_report(&c, &err);
    aopt_clip_free(&a);
    aopt_clip_free(&b);
    return code;
}

#include "synthetic.h"

static const aopt_command target_command[] = {
    { "decode", DECODE_USAGE, command_decode },
    { "encode", ENCODE_USAGE, command_encode },
    { "compare", COMPARE_USAGE, command_compare },
    { "make-weights", MAKE_WEIGHTS_USAGE, command_make_weights },
    { "make-latent", MAKE_LATENT_USAGE, command_make_latent }
};
#endif
