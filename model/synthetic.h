/* synthetic.h - make-weights and make-latent: weights and inputs that every machine makes alike, bit for bit

   Weights have the names and shapes of the real checkpoint.  They are not trained and not variance-preserving; they decode
   noise to noise, at the cost and the memory of the real ones. */
#ifndef AUTOOPT_SYNTHETIC_H
#define AUTOOPT_SYNTHETIC_H

/* ---- the list of tensors ---- */
typedef enum weight_kind { WEIGHT_UNIFORM, WEIGHT_NORMAL, WEIGHT_GAMMA } weight_kind;
typedef struct weight {
    char name[128];
    int ndim;
    int64_t shape[5], fan_in;
    weight_kind kind;
} weight;
typedef struct weight_list { weight w[256]; int n; } weight_list;

static inline weight *weights_add(weight_list *l, const char *prefix, const char *name, weight_kind kind, int64_t fan_in)
{
    weight *w = &l->w[l->n++];
    snprintf(w->name, sizeof w->name, "%s%s", prefix, name);
    w->kind = kind;
    w->fan_in = fan_in;
    return w;
}

/* weight [co][ci][kt][kh][kw] (kt = 0: [co][ci][kh][kw]) and bias [co] */
static inline void weights_conv(weight_list *l, const char *prefix, int64_t co, int64_t ci, int kt, int kh, int kw, weight_kind kind)
{
    const int64_t fan_in = ci * (kt ? kt : 1) * kh * kw;
    weight *w = weights_add(l, prefix, ".weight", kind, fan_in);
    w->shape[w->ndim++] = co;
    w->shape[w->ndim++] = ci;
    if (kt) w->shape[w->ndim++] = kt;
    w->shape[w->ndim++] = kh;
    w->shape[w->ndim++] = kw;
    w = weights_add(l, prefix, ".bias", WEIGHT_UNIFORM, fan_in);
    w->shape[w->ndim++] = co;
}

/* gamma [c][1][1] or [c][1][1][1] */
static inline void weights_norm(weight_list *l, const char *prefix, int64_t c, int ndim)
{
    weight *w = weights_add(l, prefix, ".gamma", WEIGHT_GAMMA, 1);
    for (w->shape[0] = c, w->ndim = 1; w->ndim < ndim; w->ndim++) w->shape[w->ndim] = 1;
}

static inline void weights_resblock(weight_list *l, const char *prefix, int64_t ci, int64_t co)
{
    char p[80];
    snprintf(p, sizeof p, "%s.residual.0", prefix); weights_norm(l, p, ci, 4);
    snprintf(p, sizeof p, "%s.residual.2", prefix); weights_conv(l, p, co, ci, 3, 3, 3, WEIGHT_UNIFORM);
    snprintf(p, sizeof p, "%s.residual.3", prefix); weights_norm(l, p, co, 4);
    snprintf(p, sizeof p, "%s.residual.6", prefix); weights_conv(l, p, co, co, 3, 3, 3, WEIGHT_UNIFORM);
    snprintf(p, sizeof p, "%s.shortcut", prefix);
    if (ci != co) weights_conv(l, p, co, ci, 1, 1, 1, WEIGHT_UNIFORM);
}

static inline void weights_middle(weight_list *l, const char *coder, int64_t c)
{
    char p[80];
    snprintf(p, sizeof p, "%s.middle.0", coder); weights_resblock(l, p, c, c);
    snprintf(p, sizeof p, "%s.middle.1.norm", coder); weights_norm(l, p, c, 3);
    snprintf(p, sizeof p, "%s.middle.1.to_qkv", coder); weights_conv(l, p, 3 * c, c, 0, 1, 1, WEIGHT_UNIFORM);
    snprintf(p, sizeof p, "%s.middle.1.proj", coder); weights_conv(l, p, c, c, 0, 1, 1, WEIGHT_NORMAL);
    snprintf(p, sizeof p, "%s.middle.2", coder); weights_resblock(l, p, c, c);
}

/* One coder: `up` = decoder.  width[5]: channels before stage 0, then after each stage. */
static inline void weights_coder(weight_list *l, int up, const int64_t width[5])
{
    const char *coder = up ? "decoder" : "encoder", *stage = up ? "upsamples" : "downsamples";
    const int blocks = up ? 3 : 2;
    char p[80];
    int i, j;
    snprintf(p, sizeof p, "%s.conv1", coder);
    weights_conv(l, p, width[0], up ? AOPT_VAE_Z : 12, 3, 3, 3, WEIGHT_UNIFORM);
    if (up) weights_middle(l, coder, width[0]);
    for (i = 0; i < 4; i++) {
        const int64_t c = width[i + 1];
        for (j = 0; j < blocks; j++) {
            snprintf(p, sizeof p, "%s.%s.%d.%s.%d", coder, stage, i, stage, j);
            weights_resblock(l, p, j == 0 ? width[i] : c, c);
        }
        if (i == 3) break;
        snprintf(p, sizeof p, "%s.%s.%d.%s.%d.resample.1", coder, stage, i, stage, blocks);
        weights_conv(l, p, c, c, 0, 3, 3, WEIGHT_UNIFORM);
        snprintf(p, sizeof p, "%s.%s.%d.%s.%d.time_conv", coder, stage, i, stage, blocks);
        if (up ? i < 2 : i > 0) weights_conv(l, p, up ? 2 * c : c, c, 3, 1, 1, WEIGHT_UNIFORM);
    }
    if (!up) weights_middle(l, coder, width[4]);
    snprintf(p, sizeof p, "%s.head.0", coder);
    weights_norm(l, p, width[4], 4);
    snprintf(p, sizeof p, "%s.head.2", coder);
    weights_conv(l, p, up ? 12 : 2 * AOPT_VAE_Z, width[4], 3, 3, 3, WEIGHT_UNIFORM);
}

static inline void weights_list(weight_list *l, int64_t encoder_width, int64_t decoder_width)
{
    static const int down[5] = { 1, 1, 2, 4, 4 }, up[5] = { 4, 4, 4, 2, 1 };
    int64_t width[5];
    int i;
    memset(l, 0, sizeof *l);
    for (i = 0; i < 5; i++) width[i] = down[i] * encoder_width;
    weights_coder(l, 0, width);
    weights_conv(l, "conv1", 2 * AOPT_VAE_Z, 2 * AOPT_VAE_Z, 1, 1, 1, WEIGHT_UNIFORM);
    weights_conv(l, "conv2", AOPT_VAE_Z, AOPT_VAE_Z, 1, 1, 1, WEIGHT_UNIFORM);
    for (i = 0; i < 5; i++) width[i] = up[i] * decoder_width;
    weights_coder(l, 1, width);
}

static inline int64_t weight_numel(const weight *w)
{
    int64_t n = 1;
    int i;
    for (i = 0; i < w->ndim; i++) n *= w->shape[i];
    return n;
}

/* Element `index` of all weights.  Every step is one exactly rounded operation, so no compiler can change a bit. */
static inline float weight_value(weight_kind kind, float scale, uint64_t seed, uint64_t index)
{
    const float u = aopt_random_uniform(seed, index);
    switch (kind) {
        case WEIGHT_NORMAL: return aopt_random_normal(seed, index) * scale;
        case WEIGHT_GAMMA:  return (float)((double)(7 * 16777216 + 6 * (int64_t)(u * 16777216.0f)) / 167772160.0);   /* 0.7 + 0.6*u */
        default:            return (2.0f * u - 1.0f) * scale;
    }
}

/* ---- make-weights ---- */
#define MAKE_WEIGHTS_USAGE "make-weights --out F.safetensors [--decoder-width 256] [--encoder-width 160] [--seed 1]"

/* The header of a .safetensors file for the list; malloc'ed, *n bytes with its length prefix. */
static inline char *weights_header(const weight_list *l, size_t *n)
{
    const size_t room = 256 + (size_t)l->n * 320;
    char *text = (char *)malloc(room), *p;
    int64_t offset = 0;
    uint64_t length;
    int i, k;
    if (!text) return NULL;
    p = text + 8;
    p += sprintf(p, "{\"__metadata__\":{\"made_with\":\"autoopt make-weights: random, not trained\"}");
    for (i = 0; i < l->n; i++) {
        const weight *w = &l->w[i];
        const int64_t bytes = weight_numel(w) * (int64_t)sizeof(float);
        p += sprintf(p, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", w->name);
        for (k = 0; k < w->ndim; k++) p += sprintf(p, "%s%lld", k ? "," : "", (long long)w->shape[k]);
        p += sprintf(p, "],\"data_offsets\":[%lld,%lld]}", (long long)offset, (long long)(offset + bytes));
        offset += bytes;
    }
    *p++ = '}';
    while ((p - text) % 8) *p++ = ' ';
    *n = (size_t)(p - text);
    length = *n - 8;
    for (i = 0; i < 8; i++) text[i] = (char)(length >> (8 * i) & 255);
    return text;
}

/* Stream header and data into an open file.  Little-endian machines only, like all of the library. */
static inline int weights_stream(const weight_list *l, uint64_t seed, FILE *f)
{
    static float block[65536];
    uint64_t index = 0;
    command_progress progress;
    char *header;
    size_t n;
    int i, ok;
    header = weights_header(l, &n);
    ok = header && fwrite(header, 1, n, f) == n;
    free(header);
    command_progress_begin(&progress, "make-weights", l->n);
    for (i = 0; ok && i < l->n; i++) {
        const weight *w = &l->w[i];
        const float scale = (float)(1.0 / sqrt((double)w->fan_in));
        int64_t left = weight_numel(w), k, part;
        progress.at = i;
        for (; ok && left > 0; left -= part) {
            part = left < 65536 ? left : 65536;
            for (k = 0; k < part; k++) block[k] = weight_value(w->kind, scale, seed, index++);
            ok = fwrite(block, sizeof(float), (size_t)part, f) == (size_t)part;
            command_progress_step(&progress, w->name, 0, 1);
        }
    }
    command_progress_end(&progress);
    return ok;
}

static inline aopt_status weights_write(const char *path, const weight_list *l, uint64_t seed, aopt_error *err)
{
    char *temporary = (char *)malloc(strlen(path) + 16);
    FILE *f;
    int ok;
    if (!temporary) return aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    sprintf(temporary, "%s.autoopt-tmp", path);
    f = fopen(temporary, "wb");
    ok = f && weights_stream(l, seed, f) && fflush(f) == 0 && fsync(fileno(f)) == 0;
    if (f && fclose(f) != 0) ok = 0;
    if (ok && rename(temporary, path) != 0) ok = 0;
    if (!ok) {
        aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
        if (f) unlink(temporary);
    }
    free(temporary);
    return ok ? AOPT_OK : AOPT_E_IO;
}

static inline int command_make_weights(int argc, char **argv)
{
    const char *out = NULL, *decoder_text = "256", *encoder_text = "160", *seed_text = "1";
    const command_option option[] = { { "--out", &out, NULL }, { "--decoder-width", &decoder_text, NULL }, { "--encoder-width", &encoder_text, NULL }, { "--seed", &seed_text, NULL } };
    int64_t decoder_width, encoder_width, seed, count = 0;
    weight_list *list;
    aopt_error err;
    aopt_status st;
    int i;

    if (command_parse(argc, argv, option, COMMAND_COUNT(option), NULL, 0, MAKE_WEIGHTS_USAGE)) return 2;
    if (!out || !command_ends_with(out, ".safetensors")) return command_usage(MAKE_WEIGHTS_USAGE, "--out NAME.safetensors is needed");
    if (!command_number(decoder_text, 1, 1024, &decoder_width) || !command_number(encoder_text, 1, 1024, &encoder_width)) return command_usage(MAKE_WEIGHTS_USAGE, "widths go from 1 to 1024");
    if (!command_number(seed_text, 0, INT64_MAX, &seed)) return command_usage(MAKE_WEIGHTS_USAGE, "--seed %s: expected a number from 0", seed_text);
    list = (weight_list *)malloc(sizeof *list);
    if (!list) { fprintf(stderr, "harness make-weights: out of memory\n"); return 1; }
    weights_list(list, encoder_width, decoder_width);
    for (i = 0; i < list->n; i++) count += weight_numel(&list->w[i]);
    st = weights_write(out, list, (uint64_t)seed, &err);
    if (!st) printf("made %d tensors, %.1f million random weights (widths %lld, %lld; seed %lld; not trained): %s\n", list->n, (double)count * 1e-6,
                    (long long)encoder_width, (long long)decoder_width, (long long)seed, out);
    free(list);
    return st ? command_failed("make-weights", &err) : 0;
}

/* ---- make-latent ---- */
#define MAKE_LATENT_USAGE "make-latent --out F.safetensors [--seed N --shape T,h,w | --clip VIDEO --checkpoint F [--shape T,h,w] [--start SECONDS]] [--threads N] [--yes]"

/* "5,8,12" */
static inline int latent_shape(const char *text, int64_t shape[3])
{
    char number[32];
    int i;
    for (i = 0; i < 3; i++) {
        const size_t n = strcspn(text, ",");
        if (n >= sizeof number || (text[n] == ',') != (i < 2)) return 0;
        memcpy(number, text, n);
        number[n] = 0;
        if (!command_number(number, 1, 100000, &shape[i])) return 0;
        text += n + 1;
    }
    return shape[0] * shape[1] <= (int64_t)1 << 40 && shape[0] * shape[1] * shape[2] <= (int64_t)1 << 32;
}

static inline aopt_status latent_random(const char *out, uint64_t seed, const int64_t shape[3], aopt_error *err)
{
    const int64_t n = AOPT_VAE_Z * shape[0] * shape[1] * shape[2];
    float *latent = (float *)malloc((size_t)n * sizeof(float));
    aopt_status st;
    int64_t i;
    if (!latent) return aopt_fail(err, AOPT_E_MEMORY, "%s: no memory for %lld values", out, (long long)n);
    for (i = 0; i < n; i++) latent[i] = aopt_random_normal(seed, (uint64_t)i);
    st = command_write_latent(out, latent, shape[0], shape[1], shape[2], err);
    free(latent);
    if (!st) printf("made latent [48][%lld][%lld][%lld], N(0,1) from seed %llu: %s\n", (long long)shape[0], (long long)shape[1], (long long)shape[2], (unsigned long long)seed, out);
    return st;
}

/* Any video through the ffmpeg program: scaled to cover 16w x 16h, centre cut, the first 4T-3 frames from `start`, BT.601. */
static inline aopt_status latent_ffmpeg(const char *path, const int64_t shape[3], const char *start, aopt_clip *clip, aopt_error *err)
{
    char filter[256], frames[32], source[32];
    int fd[2], status = 0;
    aopt_status st;
    pid_t pid;
    snprintf(filter, sizeof filter, "scale=%lld:%lld:force_original_aspect_ratio=increase:out_color_matrix=bt601:out_range=limited,crop=%lld:%lld",
             (long long)(16 * shape[2]), (long long)(16 * shape[1]), (long long)(16 * shape[2]), (long long)(16 * shape[1]));
    snprintf(frames, sizeof frames, "%lld", (long long)aopt_vae_frames(shape[0]));
    if (pipe(fd) != 0) return aopt_fail(err, AOPT_E_IO, "pipe: %s", strerror(errno));
    pid = fork();
    if (pid == 0) {
        dup2(fd[1], 1);
        close(fd[0]);
        close(fd[1]);
        execlp("ffmpeg", "ffmpeg", "-nostdin", "-loglevel", "error", "-ss", start, "-i", path, "-vf", filter, "-frames:v", frames,
               "-pix_fmt", "yuv444p", "-f", "yuv4mpegpipe", "-", (char *)NULL);
        _exit(127);
    }
    close(fd[1]);
    snprintf(source, sizeof source, "/dev/fd/%d", fd[0]);
    st = pid > 0 ? aopt_clip_read(source, clip, err) : aopt_fail(err, AOPT_E_IO, "fork: %s", strerror(errno));
    close(fd[0]);
    if (pid > 0) while (waitpid(pid, &status, 0) < 0 && errno == EINTR) { }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        st = aopt_fail(err, AOPT_E_UNSUPPORTED, "%s: not a folder, y4m or .safetensors, and there is no ffmpeg program to read it with", path);
    else if (!st && status != 0) st = aopt_fail(err, AOPT_E_IO, "%s: ffmpeg failed", path);
    else if (st && pid > 0) st = aopt_fail(err, AOPT_E_IO, "%s: ffmpeg gave no video", path);
    if (st) aopt_clip_free(clip);
    return st;
}

static inline int latent_needs_ffmpeg(const char *path)
{
    struct stat info;
    return !(stat(path, &info) == 0 && S_ISDIR(info.st_mode)) && strcmp(path, "-") != 0 && !command_ends_with(path, ".y4m") &&
           !command_ends_with(path, ".safetensors") && !command_ends_with(path, ".pth");
}

static inline int command_make_latent(int argc, char **argv)
{
    const char *out = NULL, *seed_text = "1", *shape_text = NULL, *clip_path = NULL, *checkpoint = NULL, *start = "0", *threads_text = NULL;
    int yes = 0;
    const command_option option[] = {
        { "--out", &out, NULL }, { "--seed", &seed_text, NULL }, { "--shape", &shape_text, NULL }, { "--clip", &clip_path, NULL }, { "--checkpoint", &checkpoint, NULL },
        { "--start", &start, NULL }, { "--threads", &threads_text, NULL }, { "--yes", NULL, &yes }
    };
    int64_t seed, shape[3], threads;
    aopt_vae_options options;
    aopt_clip clip;
    aopt_error err;
    aopt_status st;

    if (command_parse(argc, argv, option, COMMAND_COUNT(option), NULL, 0, MAKE_LATENT_USAGE)) return 2;
    if (!out || !command_ends_with(out, ".safetensors")) return command_usage(MAKE_LATENT_USAGE, "--out NAME.safetensors is needed");
    if (!command_number(seed_text, 0, INT64_MAX, &seed)) return command_usage(MAKE_LATENT_USAGE, "--seed %s: expected a number from 0", seed_text);
    if (shape_text && !latent_shape(shape_text, shape)) return command_usage(MAKE_LATENT_USAGE, "--shape %s: expected T,h,w as in 31,44,80", shape_text);
    if (!command_threads(threads_text, &threads)) return command_usage(MAKE_LATENT_USAGE, "--threads %s: expected a number from 1", threads_text);
    if (!clip_path) {
        if (checkpoint) return command_usage(MAKE_LATENT_USAGE, "--checkpoint goes with --clip");
        if (!shape_text) return command_usage(MAKE_LATENT_USAGE, "--shape T,h,w (random) or --clip and --checkpoint (encoded) are needed");
        st = latent_random(out, (uint64_t)seed, shape, &err);
        return st ? command_failed("make-latent", &err) : 0;
    }
    if (!checkpoint) return command_usage(MAKE_LATENT_USAGE, "--clip needs --checkpoint");
    memset(&options, 0, sizeof options);
    memset(&clip, 0, sizeof clip);
    options.threads = (int)threads;
    if (!latent_needs_ffmpeg(clip_path)) st = command_load_clip(clip_path, "clip", &clip, &err);
    else if (!shape_text) return command_usage(MAKE_LATENT_USAGE, "%s: --shape T,h,w says how much of the video to take", clip_path);
    else st = latent_ffmpeg(clip_path, shape, start, &clip, &err);
    if (!st && shape_text && (clip.F != aopt_vae_frames(shape[0]) || clip.H != 16 * shape[1] || clip.W != 16 * shape[2]))
        st = aopt_fail(&err, AOPT_E_SHAPE, "%s: %lld frames of %lldx%lld, but --shape %s asks for %lld of %lldx%lld", clip_path, (long long)clip.F, (long long)clip.W, (long long)clip.H,
                       shape_text, (long long)aopt_vae_frames(shape[0]), (long long)(16 * shape[2]), (long long)(16 * shape[1]));
    if (!st) st = encode_run(checkpoint, clip_path, &clip, out, &options, yes, &err);
    aopt_clip_free(&clip);
    return st ? command_failed("make-latent", &err) : 0;
}
#endif
