/* test_target.c - model/target.h: shapes, cost, fixed and fresh inputs, the reference whole and by prefix, the metrics */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "../model/target.h"
#include "check.h"

#define NANO "assets/nano/nano_vae.pth"
#define FIXTURE "tests/fixtures/nano.safetensors"
enum { Z = 48, T = 3, H = 2, W = 3, F = 9, LATENT = Z * T * H * W, FRAME = 32 * 48, VIDEO = 3 * F * FRAME };

static aopt_error err;
static aopt_model model;
static aopt_shape shape;
static aopt_tensor input, output;
static float latent[LATENT], video[VIDEO], want[VIDEO];

static void test_open(void)
{
    const int64_t dim[4] = { Z, T, H, W };
    aopt_model none;
    aopt_cost cost;
    memset(&cost, 0, sizeof cost);
    CHECK(target.open(NANO, &model, &err) == AOPT_OK, "%s", err.message);
    shape.ndim = 4;
    memcpy(shape.dim, dim, sizeof dim);
    CHECK(target.tensors(&model, &shape, &input, &output, &err) == AOPT_OK, "%s", err.message);
    CHECK(output.ndim == 4 && output.shape[0] == 3 && output.shape[1] == F && output.shape[2] == 32 && output.shape[3] == 48, "output shape");
    CHECK(target.cost(&model, &shape, &cost, &err) == AOPT_OK && cost.flops > 1e8 && cost.flops < 1e9 && cost.bytes > 4.0 * (LATENT + VIDEO) && cost.memory > 0,
          "%g FLOP, %g bytes, %lld", cost.flops, cost.bytes, (long long)cost.memory);
    shape.dim[0] = 16;
    CHECK(target.tensors(&model, &shape, &input, &output, &err) == AOPT_E_SHAPE, "16 channels were taken");
    shape.dim[0] = Z;
    shape.dim[2] = 0;
    CHECK(target.tensors(&model, &shape, &input, &output, &err) == AOPT_E_SHAPE, "h = 0 was taken");
    shape.dim[2] = H;
    target.tensors(&model, &shape, &input, &output, &err);
    CHECK(target.open("assets/absent.pth", &none, &err) == AOPT_E_IO && none.bound == NULL, "%s", err.message);
    CHECK(target.open(FIXTURE, &none, &err) != AOPT_OK && none.checkpoint == NULL, "a fixture was taken for a checkpoint");
}

static void test_inputs(void)
{
    static float fresh[LATENT], again[LATENT];
    aopt_tensor a = input, b = input, wrong = input;
    int i, same = 0;
    input.data = latent;
    output.data = video;
    a.data = fresh;
    b.data = again;
    wrong.shape[3] = 4;
    CHECK(target.load_input(&model, FIXTURE, &input, &err) == AOPT_OK && latent[0] == latent[0], "%s", err.message);
    CHECK(target.load_input(&model, FIXTURE, &wrong, &err) == AOPT_E_SHAPE && strstr(err.message, "[3]") && strstr(err.message, "[4]"), "%s", err.message);
    CHECK(target.fresh_input(&model, &input, 5, &a, &err) == AOPT_OK && target.fresh_input(&model, &input, 5, &b, &err) == AOPT_OK, "%s", err.message);
    CHECK(memcmp(fresh, again, sizeof fresh) == 0, "one seed gave two inputs");
    CHECK(target.fresh_input(&model, &input, 6, &b, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < LATENT; i++) same += fresh[i] == again[i];
    CHECK(same < LATENT / 100, "two seeds agree in %d of %d values", same, (int)LATENT);
}

static int cancel(void *user, const char *what, int64_t done, int64_t total)
{
    (void)user; (void)what; (void)total;
    return done == 1;
}

static void test_reference(void)
{
    aopt_metric metric[AOPT_MAX_METRICS];
    aopt_checkpoint *ck;
    aopt_device device;
    aopt_tensor expected = output;
    int i, n, written = 0;
    memset(&device, 0, sizeof device);
    device.cuda = AOPT_HOST;
    CHECK(aopt_checkpoint_open(FIXTURE, NULL, &ck, &err) == AOPT_OK && aopt_tensor_to_f32(aopt_checkpoint_find(ck, "decoded"), want, VIDEO, &err) == AOPT_OK, "%s", err.message);
    aopt_checkpoint_close(ck);
    expected.data = want;
    CHECK(target.reference(&model, &device, &input, 0, &output, NULL, NULL, &err) == AOPT_OK, "%s", err.message);
    n = target.compare(&expected, &output, 0, metric);
    CHECK(n > 3 && n <= AOPT_MAX_METRICS && strcmp(metric[0].name, "psnr_db") == 0 && metric[0].value > 100, "%s %g", metric[0].name, metric[0].value);

    /* Two latent frames determine five video frames; the rest of the output is left alone. */
    for (i = 0; i < VIDEO; i++) video[i] = 7;
    CHECK(target.reference(&model, &device, &input, 2, &output, NULL, NULL, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < VIDEO; i++) written += video[i] != 7;
    CHECK(written == 3 * 5 * FRAME, "%d values written, expected %d", written, 3 * 5 * FRAME);
    n = target.compare(&expected, &output, 2, metric);
    CHECK(metric[0].value > 100, "prefix: %g dB", metric[0].value);
    n = target.compare(&expected, &output, 3, metric);
    CHECK(!(metric[0].value >= 20), "unwritten frames went unnoticed: %g dB", metric[0].value);
    video[0] = NAN;
    for (i = 0, n = target.compare(&expected, &output, 2, metric); i < n; i++)
        if (strcmp(metric[i].name, "nonfinite") != 0) CHECK(metric[i].value != metric[i].value, "%s is %g with a NaN in the video", metric[i].name, metric[i].value);
    CHECK(target.reference(&model, &device, &input, 0, &output, cancel, NULL, &err) == AOPT_E_CANCELLED, "not stopped");
}

/* Names and shapes of make-weights are those of a checkpoint written by the official code (encoder width 4, decoder width 8). */
static void test_weight_list(void)
{
    static weight_list list;
    int i, k;
    weights_list(&list, 4, 8);
    CHECK(list.n == aopt_checkpoint_count(model.checkpoint), "%d tensors, expected %d", list.n, (int)aopt_checkpoint_count(model.checkpoint));
    for (i = 0; i < list.n; i++) {
        const weight *w = &list.w[i];
        const aopt_tensor *t = aopt_checkpoint_find(model.checkpoint, w->name);
        CHECK(t != NULL, "%s is not in the checkpoint", w->name);
        CHECK(!t || t->ndim == w->ndim, "%s: %d dimensions, expected %d", w->name, w->ndim, t->ndim);
        for (k = 0; t && k < w->ndim && k < t->ndim; k++) CHECK(t->shape[k] == w->shape[k], "%s: dimension %d is %d, expected %d", w->name, k, (int)w->shape[k], (int)t->shape[k]);
    }
    weights_list(&list, 160, 256);
    for (i = 0, k = 0; i < list.n; i++) k += (int)weight_numel(&list.w[i]);
    CHECK(k == 704688668, "%d parameters at full size, the official model has 704688668", k);
}

/* Statistics of the drawn values. */
static void test_weight_values(void)
{
    enum { N = 100000 };
    double sum[3] = { 0, 0, 0 }, squares[3] = { 0, 0, 0 };
    float lo = 9, hi = -9;
    int i, k;
    for (i = 0; i < N; i++)
        for (k = 0; k < 3; k++) {
            const float v = weight_value((weight_kind)k, 0.5f, 3, (uint64_t)i);
            sum[k] += v;
            squares[k] += (double)v * v;
            if (k == WEIGHT_GAMMA) { lo = fminf(lo, v); hi = fmaxf(hi, v); }
        }
    CHECK(fabs(sum[0] / N) < 0.005 && fabs(sqrt(squares[0] / N) - 0.5 / sqrt(3.0)) < 0.005, "uniform: %g %g", sum[0] / N, sqrt(squares[0] / N));
    CHECK(fabs(sum[1] / N) < 0.01 && fabs(sqrt(squares[1] / N) - 0.5) < 0.01, "normal: %g %g", sum[1] / N, sqrt(squares[1] / N));
    CHECK(fabs(sum[2] / N - 1) < 0.005 && lo >= 0.7f && lo < 0.701f && hi < 1.3f && hi > 1.299f, "gamma: %g in %g..%g", sum[2] / N, lo, hi);
}

static void test_hours(void)
{
    CHECK(command_check_time(1e9, 1, 0, &err) == AOPT_OK, "a short job was refused");
    CHECK(command_check_time(1e18, 1, 0, &err) == AOPT_E_UNSUPPORTED && strstr(err.message, "hours") && strstr(err.message, "--yes"), "%s", err.message);
    CHECK(command_check_time(1e18, 1, 1, &err) == AOPT_OK, "--yes was ignored");
}

int main(void)
{
    RUN(test_open);
    RUN(test_inputs);
    RUN(test_reference);
    RUN(test_weight_list);
    RUN(test_weight_values);
    RUN(test_hours);
    target.close(&model);
    return check_report();
}
