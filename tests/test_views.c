/* test_views.c - the record's pure parts: escaping, results.tsv, leaderboard.md, progress.svg, the block of PROGRESS.md, attempt.tsv */
#define AUTOOPT_IMPLEMENTATION
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "../autoopt.h"
#define AUTOOPT_TARGET_H                /* no model here */
static const aopt_target target = { "test", "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
#define HARNESS_NO_MAIN
#pragma GCC diagnostic ignored "-Wunused-function"
#include "../harness.c"
#include "check.h"

static text rows;

static void row_add(const char *task_name, const char *device, verdict_id verdict, double ms, double gain, const char *desc)
{
    aopt_error err;
    attempt a;
    table t;
    int i;
    if (!rows.n) for (i = 0; i < COLUMN_N; i++) text_add(&rows, "%s%c", column_name[i], i + 1 < COLUMN_N ? '\t' : '\n');
    CHECK(table_parse(rows.data, rows.n, &t, &err) == AOPT_OK, "%s", err.message);
    attempt_init(&a);
    a.n = t.n + 1;
    a.verdict = verdict;
    snprintf(a.utc, sizeof a.utc, "2026-01-31T12:00:00Z");
    snprintf(a.task, sizeof a.task, "%s", task_name);
    snprintf(a.device, sizeof a.device, "%s", device);
    snprintf(a.desc, sizeof a.desc, "%s", desc);
    a.t_cand_ms = ms;
    a.t_inc_ms = verdict == V_BASELINE ? 2 * ms : ms / (1 - gain / 100);
    a.gain_pct = gain;
    row_make(&a, &t, &rows);
    table_free(&t);
}

static void rows_fill(void)
{
    char desc[64];
    int i;
    rows.n = 0;
    row_add("big", "GPU <1> & co", V_BASELINE, 8000, NAN, "baseline");
    for (i = 1; i <= 40; i++) {
        snprintf(desc, sizeof desc, "idea %d | with `marks` <and> a long description of it", i);
        if (i % 4 == 0) row_add("big", "GPU <1> & co", V_KEEP, 8000 * pow(0.8, i / 4), 20, desc);
        else if (i % 5 == 0) row_add("big", "GPU <1> & co", V_REJECT, NAN, NAN, desc);
        else row_add("big", "GPU <1> & co", V_NOISE, 8000 * pow(0.8, i / 4) * (1 + 0.1 * (i % 3)), 0.2, desc);
    }
    row_add("small", "CPU", V_BASELINE, 12, NAN, "baseline");
    row_add("small", "CPU", V_NOISE, 11.9, 0.5, "x");
}

static void test_escape(void)
{
    static const char *const s[] = { "plain", "a\tb\nc\rd\\e\x01\x7f", "-", "=1+1", "+x", "@y", "\xc3\xa9t\xc3\xa9 \xe2\x88\x92", "\xff\xfe bad \xc3", "", " =x" };
    char back[300];
    text t;
    size_t i;
    memset(&t, 0, sizeof t);
    for (i = 0; i < sizeof s / sizeof s[0]; i++) {
        t.n = 0;
        field_escape(&t, s[i], 200);
        field_unescape(t.data, t.n, back, sizeof back);
        CHECK(i == 9 || strcmp(back, s[i]) == 0, "\"%s\" came back as \"%s\"", t.data, back);
        CHECK(!strpbrk(t.data, "\t\n\r\x01\xff") && !strchr("=+@", t.data[0]), "\"%s\"", t.data);
        CHECK(s[i][0] ? strcmp(t.data, "-") != 0 : strcmp(t.data, "-") == 0, "- is for what is missing, found \"%s\"", t.data);
    }
    t.n = 0;
    for (i = 0; i < 150; i++) strcpy(back + 2 * i < back + 298 ? back + 2 * i : back + 298, i < 149 ? "\xc3\xa9" : "");
    field_escape(&t, back, 199);
    CHECK(t.n == 198, "cut between characters: %zu bytes", t.n);
    text_free(&t);
}

static void test_table(void)
{
    aopt_error err;
    table t;
    char *copy;
    rows_fill();
    CHECK(table_parse(rows.data, rows.n, &t, &err) == AOPT_OK && t.n == 43, "%d rows", t.n);
    CHECK(baseline_ms(&t, t.n, &t.rows[0]) == 16000, "%g", baseline_ms(&t, t.n, &t.rows[0]));
    CHECK(fabs(row_number(&t.rows[40], C_SPEEDUP) - 18.626) < 1e-3 && isnan(row_number(&t.rows[5], C_T_CAND)), "%s %s", t.rows[40].field[C_SPEEDUP], t.rows[5].field[C_T_CAND]);
    table_free(&t);
    copy = strdup(rows.data);
    copy[strcspn(copy, "\n") + 1] = '9';                        /* row 9 before row 2 */
    CHECK(table_parse(copy, rows.n, &t, &err) == AOPT_E_FORMAT, "numbers that fall were accepted");
    free(copy);
    CHECK(table_parse(rows.data, rows.n - 1, &t, &err) == AOPT_E_FORMAT, "half a row was accepted");
    CHECK(table_parse("n\tutc\n", 6, &t, &err) == AOPT_E_FORMAT, "another header was accepted");
}

/* The SVG is well formed (tags balance, no raw < & in text), no number is NaN, nothing lies outside, labels do not overlap. */
static void test_progress(void)
{
    aopt_error err;
    table t;
    text svg;
    const char *p;
    double x[64], y[64];
    int depth = 0, n = 0, i, k;
    memset(&svg, 0, sizeof svg);
    rows_fill();
    table_parse(rows.data, rows.n, &t, &err);
    progress_make(&t, &svg);
    for (p = svg.data; (p = strchr(p, '<')) != NULL; p++) {
        const char *end = strchr(p, '>');
        CHECK(end != NULL, "open tag at %.30s", p);
        if (!end) break;
        if (p[1] == '/') depth--;
        else if (end[-1] != '/') depth++;
    }
    CHECK(depth == 0, "%d tags stay open", depth);
    CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"), "a number is not finite");
    CHECK(strstr(svg.data, "GPU &lt;1&gt; &amp; co") != NULL, "the device is not in the title");
    CHECK(strstr(svg.data, "small on CPU") != NULL, "the second task is missing");
    for (p = svg.data; (p = strstr(p, "<text class=\"label\"")) != NULL && n < 64; p++, n++) sscanf(p, "<text class=\"label\" x=\"%lf\" y=\"%lf\"", &x[n], &y[n]);
    CHECK(n >= 6, "%d labels", n);
    for (i = 0; i < n; i++)
        for (k = 0; k < i; k++) CHECK(fabs(y[i] - y[k]) >= 15 || fabs(x[i] - x[k]) > 40, "labels %d and %d overlap", i, k);
    svg.n = 0;
    table_free(&t);
    rows.n = 0;
    row_add("one", "CPU", V_BASELINE, 5, NAN, "only a baseline");
    table_parse(rows.data, rows.n, &t, &err);
    progress_make(&t, &svg);
    CHECK(!strstr(svg.data, "nan") && !strstr(svg.data, "inf"), "one row: a number is not finite");
    table_free(&t);
    text_free(&svg);
}

static void test_leaderboard(void)
{
    aopt_error err;
    table t;
    text md;
    const char *first, *second;
    memset(&md, 0, sizeof md);
    rows_fill();
    table_parse(rows.data, rows.n, &t, &err);
    leaderboard_make(&t, &md);
    first = strstr(md.data, "| 1 | ");
    second = strstr(md.data, "| 2 | ");
    CHECK(first && second && strstr(first, "859.0 ms") < second && strstr(first, "18.63x") < second, "%.300s", first ? first : md.data);
    CHECK(strstr(md.data, "idea 40 \\| with \\`marks\\` &lt;and&gt;") != NULL, "a description is not escaped");
    CHECK(strstr(md.data, "idea 5 ") == NULL, "a reject is ranked");
    table_free(&t);
    text_free(&md);
}

static void test_splice(void)
{
    text a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    progress_splice("# Notes\nmine", "<!-- autoopt:profile -->\none\n<!-- /autoopt:profile -->\n", &a);
    CHECK(strcmp(a.data, "# Notes\nmine\n\n<!-- autoopt:profile -->\none\n<!-- /autoopt:profile -->\n") == 0, "%s", a.data);
    text_add(&a, "after\n");
    progress_splice(a.data, "<!-- autoopt:profile -->\ntwo\n<!-- /autoopt:profile -->\n", &b);
    CHECK(strcmp(b.data, "# Notes\nmine\n\n<!-- autoopt:profile -->\ntwo\n<!-- /autoopt:profile -->\nafter\n") == 0, "%s", b.data);
    text_free(&a);
    text_free(&b);
}

static void test_attempt_text(void)
{
    attempt a, b;
    text t, u;
    memset(&t, 0, sizeof t);
    memset(&u, 0, sizeof u);
    attempt_init(&a);
    a.verdict = V_REJECT; a.code = 20;
    snprintf(a.desc, sizeof a.desc, "tab\there, line\nbreak, -");
    snprintf(a.why, sizeof a.why, "-1 dB");
    a.gain_pct = 1.0 / 3;
    a.metric_n = 1;
    strcpy(a.metric[0].name, "psnr_db"); a.metric[0].value = -INFINITY; a.metric[0].limit = 60; strcpy(a.metric[0].where, "frame 3");
    attempt_text(&a, &t);
    CHECK(attempt_parse(t.data, &b), "not read back:\n%s", t.data);
    attempt_text(&b, &u);
    CHECK(strcmp(t.data, u.data) == 0, "differs:\n%s\n%s", t.data, u.data);
    CHECK(b.gain_pct == a.gain_pct && isnan(b.t_cand_ms) && strcmp(b.desc, a.desc) == 0 && b.metric[0].value < 0, "%g %s", b.gain_pct, b.desc);
    *strstr(t.data, "wins") = 'v';
    CHECK(!attempt_parse(t.data, &b), "a missing field went unnoticed");
    text_free(&t);
    text_free(&u);
}

int main(void)
{
    RUN(test_escape);
    RUN(test_table);
    RUN(test_progress);
    RUN(test_leaderboard);
    RUN(test_splice);
    RUN(test_attempt_text);
    return check_report();
}
