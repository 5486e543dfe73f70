/* record_judge.h - a judge for the tests of the record: it builds and runs nothing, and takes its verdict from a comment of the
   candidate, such as   test: verdict KEEP gain 4.2 ms 95.8 psnr 71.5 profile conv3d=61,norm=20,copy=9
   so that every path of the record is reached in milliseconds, with the same figures every time. */
static double test_number(const char *source, const char *key, double otherwise)
{
    const char *p = strstr(source, "test:");
    char *end;
    double v;
    p = p ? strstr(p, key) : NULL;
    if (!p) return otherwise;
    v = strtod(p + strlen(key), &end);
    return end == p + strlen(key) ? otherwise : v;
}

static void test_profile(const char *source, double ms, attempt *a)
{
    const char *p = strstr(source, " profile ");
    text t;
    char name[40];
    double share;
    int n;
    memset(&t, 0, sizeof t);
    for (p = p ? p + 9 : NULL; p && sscanf(p, "%39[^=]=%lf%n", name, &share, &n) == 2; p += n + 1) {
        if (!t.n) text_add(&t, "item\tcalls\tms\tshare_pct\tgflop_s\tgb_s\tfloor_ms\n");
        text_add(&t, "%s\t4\t%.3f\t%.1f\t100.0\t10.0\t%.3f\n", name, ms * share / 100, share, ms * share / 300);
        if (p[n] != ',') break;
    }
    if (t.n) text_add(&t, "# peak 130 GFLOP/s, 20 GB/s, measured in the same run\n");
    a->profile = t.data;
}

static void test_device_name(char *out, size_t out_bytes) { snprintf(out, out_bytes, "%s", getenv("TEST_DEVICE") ? getenv("TEST_DEVICE") : "test CPU, 2 cores"); }

static aopt_status test_judge_attempt(const judge_job *job, attempt *a, aopt_error *err)
{
    static const char *const verdicts[] = { "KEEP", "NOISE", "SLOWER", "REJECT", "UNSTABLE" };
    char path[PATH_BYTES];
    const char *p;
    text t;
    double ms;
    int i;
    memset(&t, 0, sizeof t);
    path_join(path, job->candidate_dir, "optimize.c");
    if (file_read(path, 1 << 20, &t, err) != AOPT_OK) return AOPT_E_IO;
    for (i = 0, p = strstr(t.data, " verdict "); i < 5 && !(p && strncmp(p + 9, verdicts[i], strlen(verdicts[i])) == 0); i++) { }
    a->verdict = job->baseline ? V_BASELINE : i == 0 ? V_KEEP : i == 1 ? V_NOISE : i == 2 ? V_SLOWER : i == 3 ? V_REJECT : i == 4 ? V_UNSTABLE : V_NOISE;
    a->code = a->verdict == V_NOISE || a->verdict == V_SLOWER ? 1 : a->verdict == V_REJECT ? (int)test_number(t.data, " code ", 20) : a->verdict == V_UNSTABLE ? 125 : 0;
    if (strstr(t.data, " unapproved ") && !job->approve) { a->verdict = V_REJECT; a->code = 28; }
    if (strstr(t.data, " slow init ") && !job->allow_init) { a->verdict = V_REJECT; a->code = 33; }
    test_device_name(a->device, sizeof a->device);
    snprintf(a->env_hash, sizeof a->env_hash, "0123456789abcdef");
    snprintf(a->utc, sizeof a->utc, "2026-01-31T12:00:00Z");
    ms = test_number(t.data, " ms ", 100);
    if (job->baseline) { a->t_inc_ms = 200; a->t_cand_ms = ms; }
    else if (a->verdict != V_REJECT && a->verdict != V_UNSTABLE) {
        a->gain_pct = test_number(t.data, " gain ", 0);
        a->t_cand_ms = ms; a->t_inc_ms = ms / (1 - a->gain_pct / 100);
        a->ci_lo = a->gain_pct - 0.5; a->ci_hi = a->gain_pct + 0.5;
        a->wins = 10; a->pairs = 10; a->delta_pct = 1;
    }
    snprintf(a->metric[0].name, sizeof a->metric[0].name, "psnr_db");
    a->metric[0].value = test_number(t.data, " psnr ", 70); a->metric[0].limit = 60; a->metric[0].sense = 1; a->metric[0].gated = 1;
    a->metric_n = 1;
    a->margin_db = a->metric[0].value - 60;
    snprintf(a->sandbox, sizeof a->sandbox, "none");
    snprintf(a->why, sizeof a->why, "the test said so: %s", verdict_name(a->verdict));
    a->gate_text = strdup("psnr_db 70 limit 60\n");
    a->samples = strdup("n\tt_ns\n1\t1000\n");
    if (a->verdict == V_REJECT) a->stderr_tail = strdup("Segmentation fault\n");
    if (strstr(t.data, " run touch") && system("echo '/* edited */' >> optimize.c") != 0) return AOPT_E_IO;     /* somebody edits during the run */
    if (strstr(t.data, " run sleep")) usleep(2000000);
    text_free(&t);
    return AOPT_OK;
}

static aopt_status test_judge_profile(const judge_job *job, attempt *a, aopt_error *err)
{
    char path[PATH_BYTES];
    text t;
    memset(&t, 0, sizeof t);
    path_join(path, job->candidate_dir, "optimize.c");
    if (file_read(path, 1 << 20, &t, err) != AOPT_OK) return AOPT_E_IO;
    test_profile(t.data, test_number(t.data, " ms ", 100), a);
    text_free(&t);
    return AOPT_OK;
}
#define device_name test_device_name
#define judge_attempt test_judge_attempt
#define judge_profile test_judge_profile
