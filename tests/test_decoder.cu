/* test_decoder.cu - optimize.c's decoder on a GPU against the official outputs and against the library's fp32 decoder

   nvcc -x cu -std=c++17 -DAUTOOPT_CUDA -O2 -gencode=arch=compute_90a,code=sm_90a tests/test_decoder.cu -o build/test_decoder -lcublas
   test_decoder          everything; `small`: the smallest fixture alone, for compute-sanitizer
   Without a GPU only the plan is tested. */
#define AUTOOPT_IMPLEMENTATION
#define AOPT_NO_IMAGES
#include "../autoopt.h"
#include "../optimize.c"
#undef TRY
#include "../model/target.h"
#include "check.h"
#include <unistd.h>
#include <vector>

typedef std::vector<float> floats;
static aopt_error err;
#define OK(call) do { err.message[0] = 0; const aopt_status s_ = (call); CHECK(s_ == AOPT_OK, "%s", err.message); } while (0)

struct model_file {
    aopt_checkpoint *file;
    aopt_vae *vae;
    explicit model_file(const char *path) : file(NULL), vae(NULL)
    {
        OK(aopt_checkpoint_open(path, NULL, &file, &err));
        if (file) OK(aopt_vae_open(file, &vae, &err));
    }
    ~model_file() { aopt_vae_close(vae); aopt_checkpoint_close(file); }
};

static floats tensor_of(const char *path, const char *name, int64_t shape[4])
{
    aopt_checkpoint *file = NULL;
    const aopt_tensor *t;
    floats v;
    OK(aopt_checkpoint_open(path, NULL, &file, &err));
    t = file ? aopt_checkpoint_find(file, name) : NULL;
    CHECK(t && t->ndim == 4, "%s: no %s of four dimensions", path, name);
    if (t && t->ndim == 4) {
        v.resize((size_t)aopt_tensor_numel(t));
        for (int i = 0; i < 4; i++) shape[i] = t->shape[i];
        OK(aopt_tensor_to_f32(t, v.data(), (int64_t)v.size(), &err));
    }
    aopt_checkpoint_close(file);
    return v;
}

/* NaN over all that a decode leaves behind: a layer that reads what nothing wrote in this decode shows. */
static void forget(gpu *g)
{
    cudaMemset(g->space, 0xff, (size_t)g->work_n);
    for (int i = 0; i < BUFFERS; i++) cudaMemset(g->r[i], 0xff, 4 * (size_t)g->r_n[i]);
    for (int i = 0; i < g->layer_n; i++) {
        const layer *l = &g->plan[i];
        if (l->history) cudaMemset(l->history, 0xff, 2 * (size_t)history_n(l));
        if (l->spare != NONE) cudaMemset(g->spare[l->spare], 0xff, 2 * (size_t)history_n(l));
        if (l->history_r) cudaMemset(l->history_r, 0xff, 8 * (size_t)(l->H * l->W));
    }
}

/* Two decodes by one decoder, which must agree to the bit; the video of the first. */
static floats decode_twice(const aopt_vae *vae, const floats &latent, const int64_t shape[4], const tuning *t)
{
    const int64_t video_n = 3 * aopt_vae_frames(shape[1]) * 256 * shape[2] * shape[3];
    floats video((size_t)video_n, NAN), again((size_t)video_n);
    aopt_shape s;
    aopt_device device;
    aopt_decoder d;
    float *in = NULL, *out = NULL;
    memset(&s, 0, sizeof s);
    memset(&device, 0, sizeof device);
    memset(&d, 0, sizeof d);
    s.ndim = 4;
    for (int i = 0; i < 4; i++) s.dim[i] = shape[i];
    OK(build_fast(vae, &s, &device, t, &d, &err));
    if (!d.ctx) return video;
    cudaMalloc((void **)&in, latent.size() * 4);
    cudaMalloc((void **)&out, (size_t)video_n * 4);
    cudaMemcpy(in, latent.data(), latent.size() * 4, cudaMemcpyHostToDevice);
    aopt_tensor x = aopt_tensor_make("latent", AOPT_F32, 4, shape, in, 0), y = aopt_tensor_make("video", AOPT_F32, 1, &video_n, out, 0);
    for (int i = 0; i < 2; i++) {
        cudaMemset(out, 0xff, (size_t)video_n * 4);
        forget((gpu *)d.ctx);
        OK(d.decode(d.ctx, &x, &y, &err));
        const cudaError_t e = cudaDeviceSynchronize();
        CHECK(e == cudaSuccess, "%s", cudaGetErrorString(e));
        cudaMemcpy((i ? again : video).data(), out, (size_t)video_n * 4, cudaMemcpyDeviceToHost);
    }
    CHECK(memcmp(video.data(), again.data(), video.size() * 4) == 0, "the second decode differs");
    d.close(d.ctx);
    cudaFree(in);
    cudaFree(out);
    return video;
}

static double psnr(const floats &a, const floats &b)
{
    double mse = 0.0;
    if (a.size() != b.size()) return -999.0;
    for (size_t i = 0; i < a.size(); i++) mse += ((double)a[i] - b[i]) * ((double)a[i] - b[i]) / (double)a.size();
    return mse == mse ? aopt_psnr_db(mse) : -999.0;
}

/* Every way to run it against `want`: chunk sizes (0: its own choice), all at once and in parts as small as they get.  Through wgmma all must agree to the bit; where some
   tiles are tiles of time, odd chunks cut them and round otherwise, but in parts as at once.  What may differ agrees to the limit, on a GPU without wgmma to 80 dB.
   wide: channels from which layers take the tiles of wide ones. */
static void compare(const char *name, const aopt_vae *vae, const floats &latent, const floats &want, const int64_t shape[4], double limit, int wide = shipped.wide)
{
    static gpu plan;
    bool over_time = false;
    floats first;
    for (int blas = aopt_cuda_has_wgmma() ? 0 : 1; blas < 2; blas++)
        for (int size = 0; size <= 5; size++) {
            floats whole;
            if (size > shape[1]) continue;
            for (int parts = 0; parts < 2; parts++) {
                const char *how = parts ? "in parts" : "at once";
                int64_t few, most;
                tuning t = shipped;
                t.chunk = size;
                t.cublas = blas;
                t.wide = wide;
                if (parts) t.memory = 0;                /* the least work space */
                memset(&plan, 0, sizeof plan);
                plan.over_time = aopt_cuda_has_wgmma(); plan.T = shape[1]; plan.h = shape[2]; plan.w = shape[3];
                plan_chunks(&plan, vae, &t, 1, &few, &most);
                for (int i = 0; i < plan.layer_n; i++) over_time |= plan.plan[i].time_tile > 0;
                const floats got = decode_twice(vae, latent, shape, &t);
                const double db = psnr(got, want);
                if (first.empty()) { first = got; printf("    %s: %.2f dB\n", name, db); }
                if (!parts) whole = got;
                CHECK(db >= limit, "%s, chunks of %d %s, %s: %.2f dB", name, size, how, blas ? "cuBLAS" : "wgmma", db);
                const bool as_whole = size || !parts || !over_time;      /* the own choice with the least memory is other chunks, of one frame */
                if (!blas && as_whole) CHECK(memcmp(got.data(), whole.data(), got.size() * 4) == 0, "%s: chunks of %d %s give other bits, %.2f dB", name, size, how, psnr(got, whole));
                if (!blas && as_whole && (!over_time || size % 2 == 0)) CHECK(memcmp(got.data(), first.data(), got.size() * 4) == 0, "%s: chunks of %d %s give other bits than the first, %.2f dB", name, size, how, psnr(got, first));
                else CHECK(psnr(got, first) >= (aopt_cuda_has_wgmma() ? limit : 80.0), "%s: chunks of %d %s, %s: %.2f dB beside the first", name, size, how, blas ? "cuBLAS" : "wgmma", psnr(got, first));
            }
        }
    if (aopt_cuda_has_wgmma() && shape[1] > 2) {            /* causal: what follows the first two latent frames changes no bit of the five that they make */
        const int64_t latent_frame = shape[2] * shape[3], frame = 256 * latent_frame, frames = aopt_vae_frames(shape[1]);
        floats other = latent;
        tuning causal = shipped;
        int differ = 0;
        causal.wide = wide;
        for (int64_t i = 0; i < (int64_t)other.size(); i++) if (i / latent_frame % shape[1] > 1) other[(size_t)i] += 0.25f;
        const floats got = decode_twice(vae, other, shape, &causal);
        for (int64_t c = 0; c < 3; c++) differ += memcmp(&got[(size_t)(c * frames * frame)], &first[(size_t)(c * frames * frame)], (size_t)(5 * frame) * sizeof(float)) != 0;
        CHECK(differ == 0, "%s: later latent frames change earlier video frames", name);
        CHECK(memcmp(&got[(size_t)(5 * frame)], &first[(size_t)(5 * frame)], (size_t)frame * sizeof(float)) != 0, "%s: later latent frames change nothing", name);
    }
    floats wrong = latent;
    tuning t = shipped;
    float top = 0.0f;
    t.wide = wide;
    for (float v : latent) top = fmaxf(top, fabsf(v));
    for (size_t i = 0; i < wrong.size(); i += 2) wrong[i] += 0.05f * top;
    CHECK(psnr(decode_twice(vae, wrong, shape, &t), want) < limit, "%s: another latent went unnoticed", name);
}

/* prefix: of the tensors' names. */
static void fixture(const char *name, const char *weights, const char *latent_file, const char *want_file, const char *prefix = "")
{
    int64_t shape[4] = { 0, 0, 0, 0 }, video[4];
    char x[64], y[64];
    model_file m(weights);
    snprintf(x, sizeof x, "%slatent", prefix);
    snprintf(y, sizeof y, "%sdecoded", prefix);
    const floats latent = tensor_of(latent_file, x, shape), want = tensor_of(want_file, y, video);
    if (!m.vae || latent.empty() || want.empty()) return;
    compare(name, m.vae, latent, want, shape, 60.0);
}
static void test_nano(void) { fixture("nano", "tests/fixtures/nano.pth", "tests/fixtures/nano.safetensors", "tests/fixtures/nano.safetensors"); }
static void test_odd(void) { fixture("odd", "tests/fixtures/odd.pth", "tests/fixtures/odd.safetensors", "tests/fixtures/odd.safetensors"); }
static void test_thin(void)
{
    static const char *const prefix[] = { "wide.", "tall.", "dot." };
    for (const char *p : prefix) fixture(p, "tests/fixtures/nano.pth", "tests/fixtures/thin.safetensors", "tests/fixtures/thin.safetensors", p);
}
static void test_tiny(void) { fixture("tiny", "assets/tiny/tiny_vae.pth", "assets/tiny/tiny_latent.safetensors", "tests/fixtures/tiny_decoded.safetensors"); }

/* Random weights of another width against the library's fp32 decoder. */
static void random_model(int width, int64_t T_, int64_t h, int64_t w, float gain, double limit = 60.0, int wide = shipped.wide)
{
    const int64_t shape[4] = { AOPT_VAE_Z, T_, h, w };
    char path[] = "/tmp/autoopt-decoder-XXXXXX.safetensors", name[64];
    const int fd = mkstemps(path, 12);
    static weight_list list;
    floats latent((size_t)(AOPT_VAE_Z * T_ * h * w)), want((size_t)(3 * aopt_vae_frames(T_) * 256 * h * w));
    aopt_cuda_vae *reference = NULL;
    if (fd >= 0) close(fd);
    weights_list(&list, 4, width);
    OK(weights_write(path, &list, 1, &err));
    {
        model_file m(path);
        for (size_t i = 0; i < latent.size(); i++) latent[i] = gain * aopt_random_normal(5, i);
        if (m.vae) OK(aopt_cuda_vae_decoder_open(m.vae, h, w, NULL, &reference, &err));
        if (reference) {
            OK(aopt_cuda_vae_decode(reference, latent.data(), T_, want.data(), &err));
            snprintf(name, sizeof name, "width %d, latent %lldx%lldx%lld times %g", width, (long long)T_, (long long)h, (long long)w, (double)gain);
            compare(name, m.vae, latent, want, shape, limit, wide);
        }
        aopt_cuda_vae_close(reference);
    }
    unlink(path);
}
static void test_random(void) { random_model(24, 5, 3, 7, 1.0f); random_model(7, 3, 5, 2, 1.0f); random_model(64, 6, 9, 10, 1.0f); }
static void test_wide_tiles(void) { random_model(32, 6, 9, 10, 1.0f, 57.0, 16); random_model(16, 7, 3, 8, 1.0f, 55.0, 16); random_model(32, 5, 4, 6, 1.0f, 57.0, 8); }
static void test_loud_latent(void) { random_model(16, 3, 4, 4, 100.0f); }

/* ---- the plan, without a device ---- */
static void set_conv(aopt_conv_weights *c, int ci, int co) { c->ci = ci; c->co = co; }
static void set_block(aopt_resblock_weights *b, int ci, int co, const aopt_tensor *weight)
{
    b->ci = b->norm1.c = ci;
    b->co = b->norm2.c = co;
    set_conv(&b->conv1, ci, co); set_conv(&b->conv2, co, co); set_conv(&b->shortcut, ci, co);
    b->shortcut.weight = ci == co ? NULL : weight;
    b->shortcut.kt = b->shortcut.kh = b->shortcut.kw = 1;
}
/* A bound model of other widths: of its weights only the shapes are read. */
static void set_widths(aopt_vae *v, const int (&width)[5])
{
    aopt_coder_weights *d = &v->decoder;
    const aopt_tensor *weight = v->conv2.weight;
    const int top = width[0];
    set_conv(&d->conv1, AOPT_VAE_Z, top);
    set_block(&d->middle0, top, top, weight); set_block(&d->middle2, top, top, weight);
    d->middle1.c = d->middle1.norm.c = top;
    set_conv(&d->middle1.to_qkv, top, 3 * top); set_conv(&d->middle1.proj, top, top);
    for (int i = 0; i < AOPT_VAE_STAGES; i++) {
        aopt_stage_weights *s = &d->stage[i];
        s->ci = width[i]; s->co = width[i + 1];
        for (int j = 0; j < s->block_n; j++) set_block(&s->block[j], j ? s->co : s->ci, s->co, weight);
        set_conv(&s->resample, s->co, s->co); set_conv(&s->time_conv, s->co, 2 * s->co);
    }
    d->head_norm.c = width[4];
    set_conv(&d->head_conv, width[4], 12);
}
/* Buffers that layer i reads, writes or leaves for later. */
static std::vector<int> buffers_in_use(const gpu &g, int i)
{
    const layer *l = &g.plan[i];
    std::vector<int> used;
    for (int b = 0; b < BUFFERS; b++) {
        bool mine = b == l->from || b == l->to || b == l->shortcut || b == l->add || (l->how == UPSAMPLE && l->factor_t == 2 && b == T + l->level), written = false, later = false;
        for (int k = 0; k < i; k++) written = written || g.plan[k].to == b;
        for (int k = i + 1; k < g.layer_n; k++) {
            const layer *m = &g.plan[k];
            later = m->from == b || m->add == b || m->shortcut == b || (m->how == UPSAMPLE && m->factor_t == 2 && T + m->level == b);
            if (later || m->to == b) break;
        }
        if (l->level > 0 && (b == X || b == Y || b == T)) mine = true;          /* level 0 outlasts the chunks of the others */
        if (mine || (written && later)) used.push_back(b);
    }
    return used;
}
/* Nothing that is in use shares memory, and parts fit.  Returns what is wrong. */
static int plan_faults(const gpu *g)
{
    int faults = 0;
    for (int i = 0; i < g->layer_n; i++) {
        const layer *l = &g->plan[i];
        const int64_t work = work_bytes(l, l->part);
        std::vector<int64_t> from(1, l->work_at), to(1, l->work_at + work);
        for (int b : buffers_in_use(*g, i)) {
            from.push_back((int64_t)(intptr_t)g->buffer[b]);
            to.push_back(from.back() + 2 * g->buffer_n[b]);
        }
        faults += work > l->room || l->part < 1 || (l->how == WINOGRAD && l->part < 2 && frames_out(g, l) > 1) || (l->from == l->to && l->add != l->to);
        for (size_t p = 0; p < from.size(); p++) {
            faults += from[p] < 0 || to[p] > g->work_n;
            for (size_t q = 0; q < p; q++) faults += from[p] < to[q] && from[q] < to[p];
        }
    }
    return faults;
}
/* Two chunks by the plan, of histories and spares only who wrote them and in which chunk: whoever reads a tensor whose last frames are in a spare must find them there, and
   a convolution those of the chunk before in its history.  Returns what is wrong. */
static int spare_faults(const gpu *g)
{
    struct frames { int writer, chunk; } history[LAYERS], spare[LAYERS];
    int faults = 0, writer[BUFFERS];
    for (int i = 0; i < LAYERS; i++) history[i] = spare[i] = { NONE, NONE };
    for (int chunk = 0; chunk < 2; chunk++) {
        std::fill(writer, writer + BUFFERS, NONE);
        for (int i = 0; i < g->layer_n; i++) {
            const layer *l = &g->plan[i];
            const auto reads = [&](int buffer, int tail_of, bool after) {       /* `after`: the layer that looks back at the tensor has run */
                const int j = buffer == NONE ? NONE : writer[buffer], k = j == NONE ? NONE : g->plan[j].out_tail;
                faults += k != tail_of;
                if (k == NONE || k != tail_of) return;
                const frames &at = after ? history[k] : spare[g->plan[k].spare];
                faults += at.writer != j || at.chunk != chunk || (i > k) != after;
            };
            const auto looks_back = [&](int j) {
                if (chunk > 0) faults += history[i].writer != j || history[i].chunk != chunk - 1;
                std::swap(history[i], spare[l->spare]);
            };
            reads(l->from, l->in_tail, false);
            reads(l->add, l->add_tail, true);
            reads(l->shortcut, NONE, true);
            if (l->how == PROJECT) reads(l->to, NONE, true);
            if ((l->time_tile || l->act_in) && l->in_tail != NONE) { faults += l->in_tail != i; looks_back(writer[l->from]); }
            if (l->how == WINOGRAD && !l->time_tile) { spare[l->spare] = { i, chunk }; looks_back(i); }
            if (l->out_tail != NONE) spare[g->plan[l->out_tail].spare] = { i, chunk };
            faults += (l->spare != NONE && g->spare_n[l->spare] != history_n(l)) || (l->in_tail != NONE && l->how != WINOGRAD && l->how != POINT && !(l->how == HEAD && l->act_in));
            if (l->to != NONE) writer[l->to] = i;
        }
    }
    return faults;
}
static void test_plan(void)
{
    static const int width[][5] = { { 1024, 1024, 1024, 512, 256 }, { 512, 512, 512, 256, 128 }, { 128, 128, 64, 64, 32 }, { 24, 24, 24, 24, 24 }, { 7, 7, 7, 7, 7 } };
    model_file m("tests/fixtures/nano.pth");
    static gpu g;
    uint64_t state = 1;
    const auto random = [&](int n) { state = state * 6364136223846793005u + 1442695040888963407u; return (int)(state >> 33) % n; };
    int faults = 0, wanted = 0, tails = 0, lost = 0;
    if (!m.vae) return;
    for (int k = 0; k < 2000; k++) {
        tuning t = shipped;
        int64_t few, most;
        set_widths(m.vae, width[random(5)]);
        memset(&g, 0, sizeof g);
        g.over_time = random(2); g.T = 1 + random(40); g.h = 1 + random(50); g.w = 1 + random(90);
        t.chunk = random(20); t.outer = 1 + random(20); t.wide = 8 << random(6);
        const int64_t fixed = plan_chunks(&g, m.vae, &t, t.chunk ? t.chunk : 1 + random(40), &few, &most);
        CHECK(few <= most && fixed > 0 && g.layer_n < LAYERS && g.plan[0].how == POINT_IN && g.plan[g.layer_n - 1].how == HEAD, "case %d: %d layers, space %lld to %lld", k, g.layer_n, (long long)few, (long long)most);
        g.work_n = (k % 3 == 0 ? few : k % 3 == 1 ? most : few + (most - few) / 1000 * random(1000)) / 1024 * 1024;
        cut(&g);
        place_buffers(&g, NULL);
        faults += plan_faults(&g);
        CHECK(spare_faults(&g) == 0, "case %d, %d channels: %d faults in what is looked back at", k, g.plan[0].co, spare_faults(&g));
        CHECK(faults == 0, "case %d, %d channels, %lldx%lldx%lld, chunk %d, outer %d: memory is shared or too small", k, g.plan[0].co, (long long)g.T, (long long)g.h, (long long)g.w, g.chunk, g.outer);
        if (faults) return;
        g.buffer[T + 3] = g.buffer[Y + 3];
        wanted += plan_faults(&g) > 0;
        int written = 0;
        while (written < g.layer_n && g.plan[written].out_tail == NONE) written++;
        if (written == g.layer_n) continue;
        tails++;
        g.plan[written].out_tail = NONE;
        lost += spare_faults(&g) > 0;
    }
    CHECK(tails > 100 && lost == tails, "a tail that nobody writes was noticed in %d of %d plans", lost, tails);
    CHECK(wanted == 2000, "two buffers in one place were noticed in %d of 2000 cases", wanted);
    static const int64_t size[][4] = { { 31, 44, 80, 4 }, { 9, 22, 40, 9 }, { 31, 22, 40, 8 } };       /* T, h, w and the chunk that 24 GiB allow */
    set_widths(m.vae, width[0]);
    for (const int64_t *s : size) {
        int64_t few, most, fixed;
        memset(&g, 0, sizeof g);
        g.over_time = 1; g.T = s[0]; g.h = s[1]; g.w = s[2];
        const int chunk = choose_chunk(&g, m.vae, &shipped, (int64_t)140 << 30, &fixed, &few, &most);
        CHECK(chunk == s[3] && g.outer % chunk <= 1, "%lldx%lldx%lld: chunk %d of %d, expected %lld", (long long)s[0], (long long)s[1], (long long)s[2], chunk, g.outer, (long long)s[3]);
    }
    memset(&g, 0, sizeof g);
    g.over_time = 1; g.T = 31; g.h = 44; g.w = 80;
    int64_t few, most, fixed;
    const int small = choose_chunk(&g, m.vae, &shipped, (int64_t)17 << 30, &fixed, &few, &most);
    CHECK(small < 4 && fixed + few <= (int64_t)17 << 30, "720p on 17 GiB: chunks of %d need %lld bytes", small, (long long)(fixed + few));
}

int main(int argc, char **argv)
{
    int n = 0;
    RUN(test_plan);
    if (cudaGetDeviceCount(&n) != cudaSuccess || n == 0) {
        printf("skip: no GPU\n");
        return check_report();
    }
    RUN(test_nano);
    if (argc > 1 && strcmp(argv[1], "small") == 0) return check_report();
    RUN(test_odd);
    RUN(test_thin);
    RUN(test_tiny);
    RUN(test_random);
    RUN(test_wide_tiles);
    RUN(test_loud_latent);
    return check_report();
}
