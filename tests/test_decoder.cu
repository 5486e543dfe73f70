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
        if (l->history) cudaMemset(l->history, 0xff, 4 * (size_t)(l->H * l->W * l->ci));
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

/* Every way to run it against `want`; all chunk sizes (0: its own choice) must agree to the bit through wgmma, to 80 dB through cuBLAS. */
static void compare(const char *name, const aopt_vae *vae, const floats &latent, const floats &want, const int64_t shape[4], double limit)
{
    floats first;
    for (int blas = aopt_cuda_has_wgmma() ? 0 : 1; blas < 2; blas++)
        for (int size = 0; size <= 5; size++) {
            tuning t = shipped;
            if (size > shape[1]) continue;
            t.chunk = size;
            t.cublas = blas;
            if (size % 2) t.memory = 0;         /* the least work space: layers in parts */
            const floats got = decode_twice(vae, latent, shape, &t);
            const double db = psnr(got, want);
            if (first.empty()) { first = got; printf("    %s: %.2f dB\n", name, db); }
            CHECK(db >= limit, "%s, chunks of %d, %s: %.2f dB", name, size, blas ? "cuBLAS" : "wgmma", db);
            if (!blas) CHECK(memcmp(got.data(), first.data(), got.size() * 4) == 0, "%s: chunks of %d give other bits, %.2f dB", name, size, psnr(got, first));
            else CHECK(psnr(got, first) >= (aopt_cuda_has_wgmma() ? 60.0 : 80.0), "%s: chunks of %d through cuBLAS: %.2f dB", name, size, psnr(got, first));
        }
    floats wrong = latent;
    tuning t = shipped;
    float top = 0.0f;
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
static void random_model(int width, int64_t T_, int64_t h, int64_t w, float gain)
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
            compare(name, m.vae, latent, want, shape, 60.0);
        }
        aopt_cuda_vae_close(reference);
    }
    unlink(path);
}
static void test_random(void) { random_model(24, 5, 3, 7, 1.0f); random_model(7, 3, 5, 2, 1.0f); random_model(64, 6, 9, 10, 1.0f); }
static void test_loud_latent(void) { random_model(16, 3, 4, 4, 100.0f); }

/* The plan at the size of the task, without a device: layers in order, buffers that chain, parts that fit. */
static void test_plan(void)
{
    model_file m("tests/fixtures/nano.pth");
    static gpu g;
    int64_t few, most, weights = 0;
    if (!m.vae) return;
    g.T = 31; g.h = 44; g.w = 80; g.chunk = 4;
    make_plan(&g, m.vae);
    measure(&g, &few, &most);
    CHECK(g.layer_n < LAYERS && g.plan[0].how == POINT_IN && g.plan[g.layer_n - 1].how == HEAD, "%d layers", g.layer_n);
    CHECK(few <= most && place(&g, NULL) > 0, "work space %lld to %lld", (long long)few, (long long)most);
    g.work_n = few;
    cut(&g);
    for (int i = 0; i < g.layer_n; i++) {
        const layer *l = &g.plan[i];
        weights += weights_n(l);
        CHECK(l->part >= 1 && work_bytes(l, l->part) <= few, "%s: %d frames need %lld bytes of %lld", l->name, l->part, (long long)work_bytes(l, l->part), (long long)few);
        CHECK(l->how != WINOGRAD || l->part >= 2, "%s: parts of %d frames have no history", l->name, l->part);
        CHECK(l->from != l->to || l->add == l->to, "%s overwrites its input", l->name);
    }
    CHECK(weights > 0, "no weights");
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
    RUN(test_loud_latent);
    return check_report();
}
