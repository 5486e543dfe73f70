/* test_frames.c - picture folders and y4m: values, order, every refusal; pipes that close */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#define DIRECTORY "build/tmp/frames"
static aopt_error err;

typedef struct bytes { const char *data; int64_t n, at; } bytes;
static int64_t read_bytes(void *user, void *out, int64_t n)
{
    bytes *b = (bytes *)user;
    if (n > b->n - b->at) n = b->n - b->at;
    memcpy(out, b->data + b->at, (size_t)n);
    b->at += n;
    return n;
}

static void write_file(const char *path, const void *data, size_t n)
{
    FILE *f = fopen(path, "wb");
    CHECK(f && fwrite(data, 1, n, f) == n, "%s cannot be written", path);
    if (f) fclose(f);
}

/* f32 [3][F][H][W] on the 8-bit grid: every value survives a PNG exactly. */
static void fill(float *video, int64_t n, unsigned seed)
{
    int64_t i;
    for (i = 0; i < n; i++) {
        seed = seed * 1664525u + 1013904223u;
        video[i] = (float)(seed >> 24) / 127.5f - 1.0f;
    }
}

static aopt_status write_clip(const char *path, const float *video, int F, int H, int W)
{
    aopt_frame_writer *w;
    aopt_status st = aopt_frame_writer_open(path, H, W, 24, 1, &w, &err);
    int f;
    for (f = 0; !st && f < F; f++) st = aopt_frame_writer_add(w, video + f * H * W, (int64_t)F * H * W, &err);
    return st ? st : aopt_frame_writer_close(w, 1, &err);
}

static void test_quantise(void)
{
    int i;
    for (i = 0; i < 256; i++) CHECK(aopt__quantise((float)i / 127.5f - 1.0f, 127.5f) == i, "byte %d", i);
    CHECK(aopt__quantise(-2, 127.5f) == 0 && aopt__quantise(2, 127.5f) == 255 && aopt__quantise(NAN, 127.5f) == 0, "clamping");
    CHECK(aopt__quantise(INFINITY, 127.5f) == 255 && aopt__quantise(-INFINITY, 127.5f) == 0 && aopt__quantise(0, 127.5f) == 128, "infinities, zero");
}

static void test_png_round_trip(void)
{
    enum { F = 12, H = 5, W = 7, N = 3 * F * H * W };
    static float video[N];
    aopt_clip clip;
    fill(video, N, 1);
    if (write_clip(DIRECTORY "/new/deep/f%d.png", video, 1, H, W) == AOPT_E_UNSUPPORTED) SKIP("built without stb");
    else {
        CHECK(write_clip(DIRECTORY "/round/f%04d.png", video, F, H, W) == AOPT_OK, "%s", err.message);
        CHECK(access(DIRECTORY "/new/deep/f0.png", R_OK) == 0 && access(DIRECTORY "/round/f0011.png", R_OK) == 0, "names");
        CHECK(aopt_clip_read(DIRECTORY "/round", &clip, &err) == AOPT_OK, "%s", err.message);
        CHECK(clip.F == F && clip.H == H && clip.W == W && clip.fps_num == 24 && clip.fps_den == 1, "%lld %lld %lld", (long long)clip.F, (long long)clip.H, (long long)clip.W);
        CHECK(clip.video && memcmp(clip.video, video, sizeof video) == 0, "a PNG folder did not come back as written");
        aopt_clip_free(&clip);
        CHECK(aopt_clip_read(DIRECTORY "/round/f0003.png", &clip, &err) == AOPT_OK && clip.F == 1, "%s", err.message);
        aopt_clip_free(&clip);
    }
}

static void test_png_refusals(void)
{
    static float video[3 * 16];
    aopt_clip clip;
    aopt_status st;
    fill(video, 3 * 16, 2);
    if (write_clip(DIRECTORY "/mixed/a%d.png", video, 1, 4, 4) == AOPT_E_UNSUPPORTED) { SKIP("built without stb"); return; }
    CHECK(write_clip(DIRECTORY "/mixed/b%d.png", video, 1, 2, 8) == AOPT_OK, "%s", err.message);
    st = aopt_clip_read(DIRECTORY "/mixed", &clip, &err);
    CHECK(st == AOPT_E_SHAPE && strstr(err.message, "b0.png") && strstr(err.message, "8x2") && strstr(err.message, "4x4"), "%s", err.message);
    CHECK(clip.video == NULL && clip.F == 0, "out is not zero after an error");
    write_file(DIRECTORY "/mixed/b0.png", "\x89PNG\r\n\x1a\n garbage", 17);
    st = aopt_clip_read(DIRECTORY "/mixed", &clip, &err);
    CHECK(st == AOPT_E_FORMAT && strstr(err.message, "b0.png"), "%s", err.message);
    write_file(DIRECTORY "/mixed/b0.png", "", 0);
    st = aopt_clip_read(DIRECTORY "/mixed", &clip, &err);
    CHECK(st == AOPT_E_FORMAT && strstr(err.message, "b0.png"), "%s", err.message);
}

static void test_paths(void)
{
    static const char *const bad[] = { "x/f%s.png", "x/f%n.png", "x/f%d%d.png", "x/f%%.png", "x/f%4d.png", "x/f%0d.png", "x/f%010d.png", "x/f%04d.jpg", "x/f%04d", "x.mp4", "x", "", "%" };
    aopt_frame_writer *w;
    aopt_clip clip;
    size_t i;
    for (i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        const aopt_status st = aopt_frame_writer_open(bad[i], 4, 4, 24, 1, &w, &err);
        CHECK(st == AOPT_E_ARG && w == NULL, "\"%s\" gave %s", bad[i], aopt_status_name(st));
        if (!st) aopt_frame_writer_close(w, 0, NULL);
    }
    CHECK(aopt_frame_writer_open(DIRECTORY "/x.y4m", 0, 4, 24, 1, &w, &err) == AOPT_E_SHAPE, "H = 0");
    CHECK(aopt_frame_writer_open(DIRECTORY "/x.y4m", 4, 16385, 24, 1, &w, &err) == AOPT_E_SHAPE, "W too large");
    CHECK(aopt_frame_writer_open("build/no/such/folder/x.y4m", 4, 4, 24, 1, &w, &err) == AOPT_E_IO, "%s", err.message);
    CHECK(aopt_clip_read(DIRECTORY "/absent", &clip, &err) == AOPT_E_IO, "%s", err.message);
    mkdir(DIRECTORY "/empty", 0777);
    CHECK(aopt_clip_read(DIRECTORY "/empty", &clip, &err) == AOPT_E_MISSING, "%s", err.message);
}

/* The error of one trip through C444 limited: half a step of Y, Cb and Cr each, in the worst channel. */
static void test_y4m_round_trip(void)
{
    enum { F = 3, H = 6, W = 10, N = 3 * F * H * W };
    static float video[N];
    aopt_clip clip;
    int64_t i;
    float worst = 0;
    fill(video, N, 3);
    CHECK(write_clip(DIRECTORY "/round.y4m", video, F, H, W) == AOPT_OK, "%s", err.message);
    CHECK(access(DIRECTORY "/round.y4m.autoopt-tmp", F_OK) != 0, "the temporary file is still there");
    CHECK(aopt_clip_read(DIRECTORY "/round.y4m", &clip, &err) == AOPT_OK && clip.F == F && clip.H == H && clip.W == W, "%s", err.message);
    for (i = 0; clip.video && i < N; i++)
        if (fabsf(clip.video[i] - video[i]) > worst) worst = fabsf(clip.video[i] - video[i]);
    CHECK(worst > 0 && worst <= 2.0f * (0.5f / 219 + 1.772f * 0.5f / 224) + 1e-5f, "largest difference %g", worst);
    aopt_clip_free(&clip);
}

/* Colours whose Y Cb Cr are known from BT.601. */
static void test_y4m_colours(void)
{
    static const struct { float r, g, b; int y, cb, cr; } known[] = {
        { -1, -1, -1, 16, 128, 128 }, { 1, 1, 1, 235, 128, 128 }, { 1, -1, -1, 81, 90, 240 }, { -1, 1, -1, 145, 54, 34 }, { -1, -1, 1, 41, 240, 110 }
    };
    size_t i;
    for (i = 0; i < sizeof known / sizeof known[0]; i++) {
        unsigned char out[9];
        float frame[3];
        frame[0] = known[i].r; frame[1] = known[i].g; frame[2] = known[i].b;
        aopt_y4m_write_frame(frame, 1, 1, 1, out);
        CHECK(memcmp(out, "FRAME\n", 6) == 0 && out[6] == known[i].y && out[7] == known[i].cb && out[8] == known[i].cr, "colour %d: %d %d %d, want %d %d %d", (int)i,
              out[6], out[7], out[8], known[i].y, known[i].cb, known[i].cr);
    }
}

static aopt_status read_y4m(const char *text, size_t n, aopt_y4m *y, float *frame, int *end)
{
    static unsigned char planes[4096];
    aopt_status st;
    bytes b;
    b.data = text; b.n = (int64_t)n; b.at = 0;
    *end = 0;
    st = aopt_y4m_read_header(read_bytes, &b, "test", y, &err);
    if (!st && aopt_y4m_frame_bytes(y) > (int64_t)sizeof planes) return AOPT_E_MEMORY;
    return st ? st : aopt_y4m_read_frame(y, read_bytes, &b, "test", planes, frame, end, &err);
}
#define READ(text) read_y4m(text, sizeof(text) - 1, &y, frame, &end)

static void test_y4m_layouts(void)
{
    float frame[3 * 16];
    aopt_y4m y;
    int end;
    /* 4:2:0 of 3x3: chroma planes are 2x2.  Y = 126 is mid-grey + a little: (126 - 16)*2/219 - 1 */
    CHECK(READ("YUV4MPEG2 W3 H3 F30000:1001 Ip A1:1 C420jpeg XYSCSS=420JPEG\nFRAME\n" "~~~~~~~~~" "\x80\x80\x80\xf0" "\x80\x80\x80\x80") == AOPT_OK, "%s", err.message);
    CHECK(y.fps_num == 30000 && y.fps_den == 1001 && y.chroma_w == 2 && y.chroma_h == 2 && !y.full_range, "header");
    CHECK(fabsf(frame[0] - 0.004566f) < 1e-5f && fabsf(frame[18] - 0.004566f) < 1e-5f && frame[18 + 8] > 0.9f && frame[18 + 4] < 0.1f, "%g %g %g %g", frame[0], frame[18], frame[26], frame[22]);
    CHECK(READ("YUV4MPEG2 H2 W3 C422\nFRAME Xwhatever\n" "\x10\x10\x10\xeb\xeb\xeb" "\x80\x80\x80\x80" "\x80\x80\x80\x80") == AOPT_OK, "%s", err.message);
    CHECK(y.chroma_h == 1 && y.fps_num == 24 && frame[0] == -1 && fabsf(frame[3] - 1) < 1e-6f, "%g %g", frame[0], frame[3]);
    CHECK(READ("YUV4MPEG2 W2 H1 Cmono XCOLORRANGE=FULL F0:0\nFRAME\n" "\x01\xff") == AOPT_OK, "%s", err.message);
    CHECK(y.full_range && y.fps_num == 24 && fabsf(frame[0] - (2.0f / 255 - 1)) < 1e-6f && frame[1] == 1 && frame[2] == frame[0] && frame[5] == 1, "%g %g", frame[0], frame[1]);
    CHECK(READ("YUV4MPEG2 W2 H2\n") == AOPT_OK && end == 1, "no frame is an end, not an error");
}

static void test_y4m_refusals(void)
{
    float frame[3 * 16];
    aopt_y4m y;
    int end;
    char longest[3000];
    CHECK(READ("") == AOPT_E_FORMAT && READ("YUV4MPEG") == AOPT_E_FORMAT && READ("RIFF....AVI \n") == AOPT_E_FORMAT, "not y4m");
    CHECK(READ("YUV4MPEG2\n") == AOPT_E_FORMAT && READ("YUV4MPEG2 W4\n") == AOPT_E_FORMAT && strstr(err.message, "H"), "%s", err.message);
    CHECK(READ("YUV4MPEG2 W0 H4\n") == AOPT_E_FORMAT && READ("YUV4MPEG2 W-4 H4\n") == AOPT_E_FORMAT && READ("YUV4MPEG2 W4x H4\n") == AOPT_E_FORMAT, "sizes");
    CHECK(READ("YUV4MPEG2 W16385 H4\n") == AOPT_E_FORMAT && READ("YUV4MPEG2 W99999999999999999999 H4\n") == AOPT_E_FORMAT, "large sizes");
    CHECK(READ("YUV4MPEG2 W4 H4 F24\n") == AOPT_E_FORMAT && READ("YUV4MPEG2 W4 H4 F:\n") == AOPT_E_FORMAT, "rates");
    CHECK(READ("YUV4MPEG2 W4 H4 C420p10\n") == AOPT_E_UNSUPPORTED && strstr(err.message, "C420p10"), "%s", err.message);
    CHECK(READ("YUV4MPEG2 W4 H4 It\n") == AOPT_E_UNSUPPORTED && strstr(err.message, "It"), "%s", err.message);
    CHECK(READ("YUV4MPEG2 W2 H2 Cmono\nFRAME\nabc") == AOPT_E_FORMAT && strstr(err.message, "3 of 4"), "%s", err.message);
    CHECK(READ("YUV4MPEG2 W2 H2 Cmono\nFRAMES\nabcd") == AOPT_E_FORMAT && READ("YUV4MPEG2 W2 H2 Cmono\nFRAM") == AOPT_E_FORMAT, "FRAME");
    CHECK(READ("YUV4MPEG2 W2 \0H2 Cmono\nFRAME\nabcd") == AOPT_E_FORMAT, "a zero byte");
    memset(longest, 'x', sizeof longest);
    memcpy(longest, "YUV4MPEG2 ", 10);
    CHECK(read_y4m(longest, sizeof longest, &y, frame, &end) == AOPT_E_FORMAT && strstr(err.message, "longer"), "%s", err.message);
}

/* A reader that goes away is a clean stop; an abandoned file leaves nothing behind. */
static void test_writer_stops(void)
{
    enum { H = 64, W = 64 };
    static float frame[3 * H * W];
    aopt_frame_writer *w;
    aopt_status st = AOPT_OK;
    int fd[2], saved, i;

    CHECK(aopt_frame_writer_open(DIRECTORY "/gone.y4m", H, W, 24, 1, &w, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_frame_writer_add(w, frame, H * W, &err) == AOPT_OK && aopt_frame_writer_close(w, 0, &err) == AOPT_OK, "%s", err.message);
    CHECK(access(DIRECTORY "/gone.y4m", F_OK) != 0 && access(DIRECTORY "/gone.y4m.autoopt-tmp", F_OK) != 0, "an abandoned file is there");

    signal(SIGPIPE, SIG_IGN);
    fflush(stdout);
    saved = dup(1);
    CHECK(saved >= 0 && pipe(fd) == 0 && dup2(fd[1], 1) == 1, "no pipe");
    close(fd[0]);
    close(fd[1]);
    st = aopt_frame_writer_open("-", H, W, 24, 1, &w, &err);
    for (i = 0; !st && i < 1000; i++) st = aopt_frame_writer_add(w, frame, H * W, &err);
    if (!st) st = aopt_frame_writer_close(w, 1, &err);
    else aopt_frame_writer_close(w, 0, NULL);
    dup2(saved, 1);
    close(saved);
    clearerr(stdout);
    CHECK(st == AOPT_E_CANCELLED, "%s: %s", aopt_status_name(st), err.message);
    CHECK(aopt_frame_writer_close(NULL, 0, NULL) == AOPT_OK, "close NULL");
}

/* stdout is a terminal: refused before a byte is written. */
static void test_terminal(void)
{
    const int master = posix_openpt(O_RDWR | O_NOCTTY);
    aopt_frame_writer *w = NULL;
    aopt_status st;
    int slave, saved;
    if (master < 0 || grantpt(master) || unlockpt(master) || (slave = open(ptsname(master), O_RDWR | O_NOCTTY)) < 0) { SKIP("no pseudo-terminal"); return; }
    fflush(stdout);
    saved = dup(1);
    dup2(slave, 1);
    st = aopt_frame_writer_open("-", 4, 4, 24, 1, &w, &err);
    dup2(saved, 1);
    close(saved);
    close(slave);
    close(master);
    CHECK(st == AOPT_E_ARG && strstr(err.message, "terminal"), "%s", err.message);
    if (!st) aopt_frame_writer_close(w, 0, NULL);
}

int main(void)
{
    if (system("rm -rf " DIRECTORY " && mkdir -p " DIRECTORY) != 0) return 1;
    RUN(test_quantise);
    RUN(test_png_round_trip);
    RUN(test_png_refusals);
    RUN(test_paths);
    RUN(test_y4m_round_trip);
    RUN(test_y4m_colours);
    RUN(test_y4m_layouts);
    RUN(test_y4m_refusals);
    RUN(test_writer_stops);
    RUN(test_terminal);
    return check_report();
}
