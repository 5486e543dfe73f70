/* The judge without processes: statistics, decision, gate, goals.json, small tools. */
#define AUTOOPT_IMPLEMENTATION
#define AUTOOPT_TEST_CLOCK
#define HARNESS_BAKED "0000000000000000000000000000000000000000000000000000000000000000  LICENSE\n"
#define main harness_main
#include "../harness.c"
#undef main
#include "check.h"

/* ---- statistics ---- */
static void test_median(void)
{
    static const double v[] = { 5, 1, 4, 2, 3, 100 };
    double lo, hi;
    CHECK(aopt_median(v, 5) == 3, "%g", aopt_median(v, 5));
    CHECK(aopt_median(v, 6) == 3.5, "%g", aopt_median(v, 6));
    CHECK(v[0] == 5, "the input was sorted in place");
    CHECK(isnan(aopt_median(v, 0)), "no values must give NaN");
    CHECK(aopt_mad(v, 5) == 1, "%g", aopt_mad(v, 5));
    CHECK(fabs(aopt_noise_floor(v, 5) - 1.25 * 1.4826 / sqrt(5)) < 1e-12, "%g", aopt_noise_floor(v, 5));
    CHECK(!aopt_median_ci(v, 5, 0.05, &lo, &hi) && isnan(lo) && isnan(hi), "5 values cannot give 95 %%");
    CHECK(aopt_median_ci(v, 6, 0.05, &lo, &hi) && lo == 1 && hi == 100, "%g %g", lo, hi);
}

/* Ranks from the binomial distribution; the coverage of each is computed here a second time, by summing. */
static void test_ci_rank(void)
{
    static const int n[] = { 6, 8, 10, 12, 18, 20 }, rank[] = { 1, 1, 2, 3, 5, 6 };
    int i, k, r;
    for (i = 0; i < 6; i++) {
        double below = 0, next = 0;
        r = aopt_ci_rank(n[i], 0.05);
        CHECK(r == rank[i], "n = %d: rank %d, expected %d", n[i], r, rank[i]);
        for (k = 0; k <= r; k++) {
            const double p = exp(lgamma(n[i] + 1.0) - lgamma(k + 1.0) - lgamma(n[i] - k + 1.0) - n[i] * log(2.0));
            if (k < r) below += p;
            next += p;
        }
        CHECK(below <= 0.025 && next > 0.025, "n = %d: P = %g, next %g", n[i], below, next);
    }
    CHECK(aopt_ci_rank(5, 0.05) == 0, "five values have no 95 %% interval");
}

static void test_random_like(void)
{
    enum { C = 3, T = 40, W = 50, N = C * T * W };
    static float x[N], y[N], z[N];
    static const int64_t shape[] = { C, T, W };
    static const double mean[] = { 0.5, -2, 0 }, dev[] = { 1, 0.25, 3 };
    aopt_tensor t = aopt_tensor_make("x", AOPT_F32, 3, shape, x, AOPT_HOST);
    int c, i;
    for (i = 0; i < N; i++)
        x[i] = (float)(mean[i / (T * W)] + dev[i / (T * W)] * aopt_random_normal(9, (uint64_t)(i / W) * 7919u));      /* constant along W */
    CHECK(aopt_random_like(&t, 0, 1, y, NULL) == AOPT_OK && aopt_random_like(&t, 0, 1, z, NULL) == AOPT_OK, "failed");
    CHECK(memcmp(y, z, sizeof y) == 0, "not a function of the seed");
    CHECK(aopt_random_like(&t, 0, 2, z, NULL) == AOPT_OK && memcmp(y, z, sizeof y) != 0, "another seed gave the same");
    for (c = 0; c < C; c++) {
        double m = 0, v = 0, r = 0, m0 = 0, v0 = 0;
        for (i = 0; i < T * W; i++) { m += y[c * T * W + i]; m0 += x[c * T * W + i]; }
        m /= T * W; m0 /= T * W;
        for (i = 0; i < T * W; i++) {
            v += (y[c * T * W + i] - m) * (y[c * T * W + i] - m);
            v0 += (x[c * T * W + i] - m0) * (x[c * T * W + i] - m0);
            if (i % W + 1 < W) r += (y[c * T * W + i] - m) * (y[c * T * W + i + 1] - m);
        }
        CHECK(fabs(m - m0) < 0.6 * dev[c], "channel %d: mean %g, expected %g", c, m, m0);
        CHECK(v > 0.4 * v0 && v < 2 * v0, "channel %d: variance %g, expected %g", c, v, v0);
        CHECK(r / v > 0.9, "channel %d: neighbours correlate %g, the model's do fully", c, r / v);
    }
    t.dtype = AOPT_F64;
    CHECK(aopt_random_like(&t, 0, 1, y, NULL) == AOPT_E_ARG, "f64 accepted");
}

/* ---- the decision on scripted pairs ---- */
typedef struct script { const double *d; int n, next, launches, voids, fail_at; double clock; } script;
static int script_launch(void *user) { ((script *)user)->launches++; return 0; }
static int script_sample(void *user, const char *stage, pair *out)
{
    script *s = (script *)user;
    (void)stage;
    out->voided = 0;
    if (s->fail_at && s->next + 1 == s->fail_at) return 20;
    if (s->voids > 0) { s->voids--; out->voided = 1; return 0; }
    out->b = 0.1;
    out->a = 0.1 * exp(s->d[s->next < s->n ? s->next : s->n - 1]);
    out->clock = s->clock;
    s->next++;
    return 0;
}

static int run_script_at(double clock, const double *d, int n, int voids, int fail_at, bench *b, script *s)
{
    memset(s, 0, sizeof *s);
    s->clock = clock;
    memset(b, 0, sizeof *b);
    s->d = d; s->n = n; s->voids = voids; s->fail_at = fail_at;
    b->user = s; b->launch = script_launch; b->sample = script_sample;
    b->delta = log(1.01);
    b->floor = 0.001;
    return bench_decide(b);
}
static int run_script(const double *d, int n, int voids, int fail_at, bench *b, script *s) { return run_script_at(0, d, n, voids, fail_at, b, s); }

#define SCRIPT(want, pairs, starts, ...) do { \
    static const double d[] = { __VA_ARGS__ }; bench b; script s; \
    const int v = run_script(d, (int)(sizeof d / sizeof d[0]), 0, 0, &b, &s); \
    CHECK(v == (want), "%s, expected %s (%s)", verdict_name((verdict_id)v), verdict_name(want), b.reason); \
    CHECK(s.next == (pairs) && s.launches == (starts), "%d pairs, %d launches; expected %d, %d", s.next, s.launches, pairs, starts); } while (0)

static void test_decide(void)
{
    SCRIPT(V_SLOWER, 3, 1, -0.02);
    SCRIPT(V_NOISE, 3, 1, -0.02, -0.02, 0.001);
    SCRIPT(V_NOISE, 3, 1, 0.0);
    SCRIPT(V_NOISE, 3, 1, 0.0099, 0.0099, 0.0099);                                      /* just under ln 1.01 */
    SCRIPT(V_NOISE, 6, 1, 0.02, 0.001, 0.001);                                          /* hope, but the median is small */
    SCRIPT(V_NOISE, 6, 1, 0.02, 0.02, 0.02, 0.02, -0.01, -0.01);                        /* two losses in the screen */
    SCRIPT(V_KEEP, 16, 3, 0.02);                                                        /* six, then two launches of five */
    SCRIPT(V_KEEP, 16, 3, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, -0.01, 0.02);             /* 9 of 10 */
    SCRIPT(V_KEEP, 24, 5, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, -0.01, -0.01, 0.02);      /* 8 of 10, extended: 16 of 18 */
    SCRIPT(V_NOISE, 16, 3, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, -0.01, -0.01, -0.01, 0.02);                   /* 7 of 10 */
    SCRIPT(V_NOISE, 16, 3, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.005);                  /* won all, gained too little */
    SCRIPT(V_KEEP, 24, 5, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.008, 0.008, 0.008, 0.008, 0.008, 0.008, 0.008, 0.008, 0.012, 0.012, 0.03);
    SCRIPT(V_NOISE, 24, 5, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.008);                  /* near miss stays one */
    SCRIPT(V_KEEP, 10, 3, 0.2);                                                         /* big win: two launches of two */
    SCRIPT(V_NOISE, 10, 3, 0.2, 0.2, 0.2, 0.2, 0.2, 0.2, -0.01, 0.2);                   /* must win all four */
}

static void test_decide_trouble(void)
{
    static const double good[] = { 0.02 };
    bench b;
    script s;
    CHECK(run_script(good, 1, 2, 0, &b, &s) == V_KEEP && b.voids == 2, "two void pairs are made up for; voids %d", b.voids);
    CHECK(run_script(good, 1, 4, 0, &b, &s) == V_UNSTABLE, "more voids than pairs must be UNSTABLE");
    CHECK(run_script(good, 1, 0, 5, &b, &s) == BENCH_FAILED, "a failure in the screen must stop");
    CHECK(run_script(good, 1, 0, 12, &b, &s) == BENCH_FAILED, "a failure in the confirmation must stop");
}

/* Time gained, but no cycles: the clocks were higher for B, which must then win on more launches too. */
static void test_decide_clocks(void)
{
    static const double gain[] = { 0.02 }, big[] = { 0.2 }, luck[] = { 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, 0.02, -0.01 };
    bench b;
    script s;
    CHECK(run_script_at(-0.01, gain, 1, 0, 0, &b, &s) == V_KEEP && s.next == 16, "cycles gained too: %d pairs, expected 16", s.next);
    CHECK(run_script_at(-0.03, gain, 1, 0, 0, &b, &s) == V_KEEP && s.next == 24, "no cycles gained: %d pairs, expected 24", s.next);
    CHECK(run_script_at(-0.3, big, 1, 0, 0, &b, &s) == V_KEEP && s.next == 18, "no cycles gained, big: %d pairs, expected 18", s.next);
    CHECK(run_script_at(-0.03, luck, 17, 0, 0, &b, &s) == V_NOISE && s.next == 24, "more launches lose: %d pairs, expected 24", s.next);
    CHECK(run_script_at(-0.01, luck, 17, 0, 0, &b, &s) == V_KEEP && s.next == 16, "and nobody asks for them when cycles were gained: %d pairs", s.next);
}

/* What is reported comes from the confirmation alone: a lucky screen does not show in it. */
static void test_report_is_confirmation(void)
{
    static const double d[] = { 0.04, 0.04, 0.04, 0.04, 0.04, 0.04, 0.02 };
    bench b;
    script s;
    CHECK(run_script(d, 7, 0, 0, &b, &s) == V_KEEP && b.n == 10, "n = %d", b.n);
    CHECK(fabs(aopt_median(b.d, b.n) - 0.02) < 1e-12, "median %g", aopt_median(b.d, b.n));
}

/* ---- simulated machines ---- */
typedef struct machine { double gain, noise, drift, launch_noise, spike; uint64_t seed, n; double now, offset; } machine;
static double machine_random(machine *m) { return aopt_random_normal(m->seed, m->n++); }
static int machine_launch(void *user)
{
    machine *m = (machine *)user;
    m->offset = m->launch_noise * machine_random(m);
    return 0;
}
static int machine_sample(void *user, const char *stage, pair *out)
{
    machine *m = (machine *)user;
    double t[2];
    int h;
    (void)stage;
    for (h = 0; h < 2; h++) {
        m->now = 0.8 * m->now + m->drift * machine_random(m);
        t[h] = 1 + m->now + m->noise * machine_random(m);
        if (aopt_random_uniform(m->seed, m->n++) < 0.03f) t[h] += m->spike;
    }
    out->a = t[0];
    out->b = t[1] * exp(-m->gain + m->offset);
    out->voided = 0;
    return 0;
}

/* Noise floor of a machine, by the harness over its launches, or from as many pairs of one launch. */
static double floor_of(double noise, double launch_noise, int one_launch)
{
    machine m;
    bench b;
    double floor = 0;
    memset(&m, 0, sizeof m);
    memset(&b, 0, sizeof b);
    m.noise = noise; m.launch_noise = launch_noise; m.seed = 5;
    b.user = &m; b.launch = machine_launch; b.sample = machine_sample;
    if (!one_launch) return bench_floor(&b, &floor) == V_NONE ? floor : -1;
    return machine_launch(&m) == 0 && bench_collect(&b, "floor", FLOOR_LAUNCHES * FLOOR_PAIRS) == V_NONE ? aopt_noise_floor(b.d, b.n) : -1;
}

static void test_floor_sees_launches(void)
{
    double quiet = floor_of(0.001, 0, 0), launches = floor_of(0.001, 0.02, 0), blind = floor_of(0.001, 0.02, 1);
    CHECK(quiet > 0 && quiet < 0.002, "quiet: %g", quiet);
    CHECK(launches > 0.004, "launches that differ by 2 %%: %g", launches);
    CHECK(blind > 0 && blind < 0.002, "control, one launch does not see it: %g", blind);
}

static double kept(double gain, double noise, double drift, double launch_noise, double spike, double floor, int runs)
{
    machine m;
    int i, n = 0;
    memset(&m, 0, sizeof m);
    m.gain = log(1 + gain); m.noise = noise; m.drift = drift; m.launch_noise = launch_noise; m.spike = spike;
    for (i = 0; i < runs; i++) {
        bench b;
        m.seed = (uint64_t)i * 2654435761u + 17;
        m.n = 0;
        m.now = 0;
        memset(&b, 0, sizeof b);
        b.user = &m; b.launch = machine_launch; b.sample = machine_sample;
        b.floor = floor;
        b.delta = fmax(log(1.01), 2 * floor);
        n += bench_decide(&b) == V_KEEP;
    }
    return (double)n / runs;
}

static void test_error_rates(void)
{
    double p;
    p = kept(0, 0.003, 0, 0, 0, 0.001, 20000);                 CHECK(p <= 0.0001, "quiet, no gain: kept %g", p);
    p = kept(0.015, 0.003, 0, 0, 0, 0.001, 3000);              CHECK(p >= 0.97, "quiet, 1.5 %%: kept %g", p);
    p = kept(0.03, 0.003, 0, 0, 0, 0.001, 3000);               CHECK(p >= 0.99, "quiet, 3 %%: kept %g", p);
    p = kept(0, 0.003, 0.006, 0.003, 0.02, 0.002, 20000);      CHECK(p <= 0.0005, "boosting, no gain: kept %g", p);
    p = kept(-0.01, 0.003, 0.006, 0.003, 0.02, 0.002, 20000);  CHECK(p <= 0.0001, "boosting, 1 %% slower: kept %g", p);
    p = kept(0, 0.03, 0, 0, 0, 0.015, 20000);                  CHECK(p <= 0.001, "noisy CPU, no gain: kept %g", p);
    p = kept(0.1, 0.03, 0, 0, 0, 0.015, 3000);                 CHECK(p >= 0.9, "noisy CPU, 10 %%: kept %g", p);
    p = kept(0, 0.5, 0, 0, 0, 0, 20000);                       CHECK(p <= 0.0019 * 1.5, "coin flips: kept %g, the bound is 0.0019", p);
    CHECK(kept(0.05, 0.003, 0, 0, 0, 0.001, 200) > 0.9, "negative control: a real gain must be seen");
}

/* ---- gate ---- */
static void test_gate(void)
{
    gate_limit g;
    aopt_metric m;
    memset(&g, 0, sizeof g);
    memset(&m, 0, sizeof m);
    g.sense = 1; g.limit = 60;
    m.value = 60;       CHECK(gate_passes(&g, &m, 60), "the limit itself passes");
    m.value = 59.999;   CHECK(!gate_passes(&g, &m, 60), "below a minimum");
    m.value = NAN;      CHECK(!gate_passes(&g, &m, 60), "NaN passed a minimum");
    g.sense = -1;
    m.value = 0.06;     CHECK(gate_passes(&g, &m, 0.06), "the limit itself passes");
    m.value = 0.0601;   CHECK(!gate_passes(&g, &m, 0.06), "above a maximum");
    m.value = NAN;      CHECK(!gate_passes(&g, &m, 0.06), "NaN passed a maximum");
    m.value = INFINITY; CHECK(!gate_passes(&g, &m, 0.06), "infinity passed a maximum");
    CHECK(!gate_passes(&g, NULL, 0.06), "a metric that was not computed passed");
    CHECK(selftest_arithmetic(), "arithmetic of this binary");
}

static void test_buffers(void)
{
    float v[1003];
    uint64_t f;
    int64_t at = -1;
    int i;
    aopt_ref_poison(v, 1003, 0x12345u);
    CHECK(aopt_ref_unwritten(v, 1003, 0x12345u, &at) == 1003 && at == 0, "poison not seen");
    CHECK(aopt_ref_nonfinite(v, 1003, &at) == 1003 && at == 0, "poison is finite");
    for (i = 0; i < 1003; i++) v[i] = (float)i;
    CHECK(aopt_ref_unwritten(v, 1003, 0x12345u, &at) == 0 && aopt_ref_nonfinite(v, 1003, &at) == 0 && at == -1, "clean data flagged");
    f = aopt_ref_fingerprint(v, 1003, 5);
    for (i = 0; i < 1003; i++) {
        const float keep = v[i];
        v[i] += 0.5f;
        CHECK(aopt_ref_fingerprint(v, 1003, 5) != f, "element %d does not reach the fingerprint", i);
        v[i] = keep;
    }
    CHECK(aopt_ref_fingerprint(v, 1003, 5) == f && aopt_ref_fingerprint(v, 1003, 6) != f, "fingerprint");
    v[17] = INFINITY; v[900] = NAN;
    CHECK(aopt_ref_nonfinite(v, 1003, &at) == 2 && at == 17, "first non-finite at %lld", (long long)at);
}

/* ---- goals.json and frozen files ---- */
static aopt_status goals_from(const char *text_in, goals *g, aopt_error *err)
{
    char path[] = "/tmp/autoopt-goals.XXXXXX";
    const int fd = mkstemp(path);
    aopt_status st;
    if (fd < 0 || write(fd, text_in, strlen(text_in)) < 0) return AOPT_E_IO;
    close(fd);
    st = goals_load(path, g, err);
    unlink(path);
    return st;
}

#define GOALS(tasks, gate) "{\"target\": \"wan22-vae-decoder\", \"tasks\": [" tasks "], \"gate\": [" gate "], " \
    "\"determinism\": {\"metric\": \"a\", \"min\": 1}, \"causality\": {\"metric\": \"a\", \"min\": 1}, \"frozen\": [\"LICENSE\"]}"
#define TASK "{\"name\": \"t\", \"checkpoint\": \"c\", \"input\": \"i\", \"shape\": [48, 1, 2, 3], \"limits\": {\"init_s\": 7}}"
#define GATE "{\"metric\": \"psnr_db\", \"min\": 60, \"fresh\": 54}"

static void test_goals(void)
{
    goals g;
    aopt_error err;
    CHECK(goals_load("goals.json", &g, &err) == AOPT_OK, "goals.json of the repository: %s", err.message);
    CHECK(goals_task_named(&g, "tiny") && goals_task_named(&g, "nano") && !goals_task_named(&g, "tin"), "tasks");
    CHECK(g.stop_attempts == 8 && g.min_gain_pct == 1, "rules");
    CHECK(goals_from(GOALS(TASK, GATE), &g, &err) == AOPT_OK, "%s", err.message);
    CHECK(g.task[0].limit.init_s == 7 && g.task[0].limit.build_s == 600 && g.task[0].shape.ndim == 4, "task limits");
    CHECK(g.gate[0].sense == 1 && g.gate[0].limit == 60 && g.gate[0].fresh == 54, "gate");
    CHECK(goals_from(GOALS("", GATE), &g, &err) == AOPT_E_VALUE, "no task");
    CHECK(goals_from(GOALS(TASK, ""), &g, &err) == AOPT_E_VALUE, "no gate");
    CHECK(goals_from(GOALS(TASK, "{\"metric\": \"x\"}"), &g, &err) == AOPT_E_VALUE && strstr(err.message, "x"), "gate without a limit: %s", err.message);
    CHECK(goals_from(GOALS(TASK, "{\"metric\": \"x\", \"min\": 1, \"max\": 2}"), &g, &err) == AOPT_E_VALUE, "gate with both limits");
    CHECK(goals_from(GOALS("{\"name\": \"t\", \"checkpoint\": \"c\", \"input\": \"i\", \"shape\": [0]}", GATE), &g, &err) == AOPT_E_VALUE, "shape 0");
    CHECK(goals_from(GOALS("{\"name\": \"t\"}", GATE), &g, &err) == AOPT_E_VALUE, "task without files");
    CHECK(goals_from("[1]", &g, &err) != AOPT_OK && goals_from("{", &g, &err) != AOPT_OK, "not an object");
}

static void test_frozen(void)
{
    goals g;
    aopt_error err;
    memset(&g, 0, sizeof g);
    strcpy(g.frozen[g.frozen_n++], "LICENSE");
    CHECK(frozen_check(&g, NULL, &err) == AOPT_E_VALUE, "a wrong hash passed");
    CHECK(strstr(err.message, "git checkout HEAD -- LICENSE") != NULL, "says how to restore: %s", err.message);
    strcpy(g.frozen[0], "no-such-file");
    CHECK(frozen_check(&g, NULL, &err) == AOPT_OK, "a file absent then and now");
    strcpy(g.frozen[0], "tests");
    CHECK(frozen_check(&g, NULL, &err) == AOPT_E_VALUE, "a folder passed");
}

/* ---- text ---- */
static void test_text(void)
{
    static const char hostile[] = "ok\x1b[31m\xff\r\t\n";
    text t;
    memset(&t, 0, sizeof t);
    text_add_escaped(&t, hostile, sizeof hostile - 1);
    CHECK(strcmp(t.data, "ok\\x1b[31m\\xff\\x0d\t\n") == 0, "%s", t.data);
    t.n = 0;
    text_add_json(&t, "a\"b\\c\n\xc3");
    CHECK(strcmp(t.data, "\"a\\\"b\\\\c\\u000a\\u00c3\"") == 0, "%s", t.data);
    text_free(&t);
}

/* The last line is one JSON object that a strict parser takes, whatever the strings hold. */
static void test_verdict_json(void)
{
    const aopt_json_value *v;
    attempt a;
    aopt_json *doc = NULL;
    text t;
    memset(&t, 0, sizeof t);
    attempt_init(&a);
    a.verdict = V_REJECT;
    a.code = 26;
    a.metric_n = 1;
    strcpy(a.metric[0].name, "psnr_db");
    a.metric[0].value = NAN;
    strcpy(a.why, "\"quotes\"\n\x01\xe9");
    verdict_json(&a, &t);
    CHECK(aopt_json_parse(t.data, t.n, &doc, NULL) == AOPT_OK, "%s", t.data);
    v = aopt_json_get(aopt_json_root(doc), "name");
    CHECK(v && strcmp(v->string, "LATE_WRITE") == 0, "name");
    v = aopt_json_get(aopt_json_root(doc), "gain_pct");
    CHECK(v && v->type == AOPT_JSON_NULL, "a figure that was not measured is null, never 0");
    aopt_json_free(doc);
    text_free(&t);
}

static void test_place(void)
{
    static const int64_t shape[] = { 3, 5, 4, 7 };
    char place[64];
    aopt_tensor t = aopt_tensor_make("v", AOPT_F32, 4, shape, NULL, AOPT_HOST);
    CHECK(strcmp(place_of(&t, ((2 * 5 + 3) * 4 + 1) * 7 + 6, place, sizeof place), "[2][3][1][6]") == 0, "%s", place);
}

/* A candidate's report is hostile: sizes, names and figures. */
static void test_profile_hostile(void)
{
    static aopt_profile p;
    judge j;
    text t;
    memset(&j, 0, sizeof j);
    memset(&p, 0, sizeof p);
    memset(&t, 0, sizeof t);
    j.peak_flops = j.peak_bytes = 1e9;
    j.cost.flops = j.cost.bytes = 1e6;
    memset(p.item, 'x', sizeof p.item);                  /* no terminator, absurd numbers */
    p.n = 1 << 30;
    p.item[1].name[0] = '\t';
    p.item[1].seconds = 0.5; p.item[1].flops = 1e6; p.item[1].bytes = 0; p.item[1].calls = 2;
    p.item[2].seconds = NAN;
    profile_text(&j, &p, 1, 1.0, &t);
    CHECK(strncmp(t.data, "item\tcalls\tms\tshare_pct\tgflop_s\tgb_s\tfloor_ms\n", 46) == 0, "header: %.60s", t.data);
    CHECK(strstr(t.data, "nan") == NULL, "NaN in the profile");
    CHECK(judge_peaks(&j) == 1e9, "known peaks are kept");
    text_free(&t);
}

int main(void)
{
    RUN(test_median);
    RUN(test_ci_rank);
    RUN(test_random_like);
    RUN(test_decide);
    RUN(test_decide_trouble);
    RUN(test_decide_clocks);
    RUN(test_floor_sees_launches);
    RUN(test_report_is_confirmation);
    RUN(test_error_rates);
    RUN(test_gate);
    RUN(test_buffers);
    RUN(test_goals);
    RUN(test_frozen);
    RUN(test_text);
    RUN(test_verdict_json);
    RUN(test_place);
    RUN(test_profile_hostile);
    return check_report();
}
