/* harness.c - the frozen judge of autoopt: build the candidate, verify, bench, decide, record, profile

   ./harness --desc "what I tried" [--attack ITEM] [--task NAME]     the loop, once
   ./harness help                                                    every command

   The candidate is optimize.c of the worktree, the incumbent optimize.c of HEAD.  Each is compiled into a shared
   object and runs in a child process that has no say in anything: the judge owns the clock, the inputs, the reference
   and the verdict.  The harness knows a target (model/target.h), not a model.

   EXIT CODES     0 kept, baseline or green   1 not faster   2 usage   3 nothing to do
                  10-11 build   20-28 wrong output   30-35 crash, timeout   40-45 refused   125 machine cannot be trusted

   CONTENTS       [1] frozen numbers and goals.json      [2] the attempt: what one run leaves behind
                  [3] tools: text, files, processes      [4] build: a tree becomes a shared object
                  [5] runner: the child that holds a candidate        [6] judge: calls, probes, gate
                  [7] statistics: pairs, screen, confirm [8] profile
                  [9] git: snapshot, keep, restore, log  [10] record: results.tsv, leaderboard, progress.svg, PROGRESS.md
                  [11] two machines: pack, measure, record            [12] status, goal, show, sync, audit
                  [13] agent guards: enlist, hook        [14] the loop, commands, main */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "autoopt.h"
#include "model/target.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* ==== [1] frozen numbers and goals.json =================================================================
   Numbers that a target may choose are in goals.json; these belong to the procedure. */
enum {
    SCREEN_PAIRS = 3,               /* and as many again if the first three leave hope */
    CONFIRM_PAIRS = 5,              /* per fresh launch, two launches */
    EXTEND_PAIRS = 4,               /* per fresh launch, two more launches, for a near miss */
    FLOOR_PAIRS = 10,               /* incumbent against itself */
    FLOOR_USES = 20,                /* measurements after which the floor is measured anew */
    MAX_PAIRS = 18,
    MAX_DECODES = 1000,             /* per sample */
    FRESH_CALLS = 6,                /* of a verification, on inputs that nobody has seen */
    ORACLE_PREFIX = 3,              /* input slices that a fresh check against the reference decodes */
    GUARD_BYTES = 4096,
    LATE_MS = 20,
    LOG_CAP = 64 * 1024,            /* bytes kept of what a candidate prints */
    SO_CAP = 64 << 20,              /* a shared object larger than this carries data, not code */
    SOURCE_CAP = 1 << 20,
    MAX_TASKS = 16, MAX_FROZEN = 64
};
static const double BIG_WIN = 0.05;         /* log-ratio from which a short confirmation is enough */
static const double PLAUSIBLE = 0.4;        /* of the reference's FLOPs at peak speed: leaves room for 2-D Winograd (2.25x) */

typedef struct gate_limit { char metric[40]; double limit, fresh; int sense; } gate_limit;
typedef struct limits { double build_s, init_s, first_decode_s, decode_s, memory_mb, gate_all_tasks_s; } limits;
typedef struct task {
    char name[48], checkpoint[256], input[256];
    aopt_shape shape;
    limits limit;
} task;
typedef struct goals {
    char target[64];
    task task[MAX_TASKS]; int task_n;
    gate_limit gate[AOPT_MAX_METRICS]; int gate_n;
    gate_limit determinism, causality;
    double min_gain_pct, floor_factor, sample_s_cpu, sample_s_gpu, max_steal_pct;
    int stop_attempts, stop_top_items, stop_nibbles; double stop_nibble_pct, stop_hours;
    limits limit;
    char frozen[MAX_FROZEN][128]; int frozen_n;
    char sha256[65];                    /* of goals.json */
} goals;

/* ==== [2] the attempt: what one run leaves behind =======================================================
   The row of results.tsv, the log commit and the three human lines are all made from this struct. */
typedef enum verdict_id { V_NONE, V_KEEP, V_BASELINE, V_NOISE, V_SLOWER, V_NOOP, V_REJECT, V_UNSTABLE, V_REFUSED } verdict_id;

typedef struct attempt {
    int64_t n;                          /* row number in this clone, from 1; 0 = not recorded */
    verdict_id verdict; int code;          /* code = exit status */
    char utc[24];                       /* 2026-01-31T12:00:00Z */
    char task[48], device[128], scope[12], via[12];     /* scope: optimize | library; via: local | record */
    char desc[204], attack[64];
    char candidate[65], incumbent[65];  /* SHA-256 of each side's sources */
    char candidate_blob[136], incumbent_blob[136];      /* their git names, "optimize.c[+autoopt_kernels.cuh]"; the record's */
    char harness_hash[65];              /* of the frozen sources, so that a CPU and a CUDA build agree; 64 digits or a prefix */
    char env_hash[17], reference[65];   /* reference: SHA-256 of the fp32 target, "" = none */
    char info[200];
    double t_cand_ms, t_inc_ms, gain_pct, ci_lo, ci_hi, delta_pct;     /* NAN = not measured */
    int wins, pairs;
    struct { char name[40]; double value, limit; int sense, gated; char where[64]; } metric[16]; int metric_n;
    double margin_db, init_s, peak_mb, sm_mhz;
    int locked;                         /* clocks locked: 1, 0, -1 = unknown */
    int lines_changed;                  /* -1 = unknown; the record counts them */
    char sandbox[24];
    char why[512], next[512];
    /* malloc'ed text, or NULL.  profile: lines `item TAB calls TAB ms TAB share_pct TAB gflop_s TAB gb_s TAB floor_ms`,
       largest first, under a header line that starts with "item"; lines that start with '#' are remarks (peaks, roofline). */
    char *samples, *gate_text, *build_log, *stderr_tail, *profile;
} attempt;

static void attempt_init(attempt *a)
{
    memset(a, 0, sizeof *a);
    a->t_cand_ms = a->t_inc_ms = a->gain_pct = a->ci_lo = a->ci_hi = a->delta_pct = NAN;
    a->margin_db = a->init_s = a->peak_mb = a->sm_mhz = NAN;
    a->locked = a->lines_changed = -1;
}

static void attempt_free(attempt *a)
{
    free(a->samples); free(a->gate_text); free(a->build_log); free(a->stderr_tail); free(a->profile);
    a->samples = a->gate_text = a->build_log = a->stderr_tail = a->profile = NULL;
}

/* The judge or the record will not go on: why (printf-style) and the command that helps.  Returns code (40 to 45). */
static int refuse(attempt *a, int code, const char *next, const char *format, ...) __attribute__((format(printf, 4, 5)));
static int refuse(attempt *a, int code, const char *next, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(a->why, sizeof a->why, format, args);
    va_end(args);
    snprintf(a->next, sizeof a->next, "%s", next);
    a->verdict = V_REFUSED;
    a->code = code;
    return code;
}

static const char *verdict_name(verdict_id v)
{
    static const char *const name[] = { "NONE", "KEEP", "BASELINE", "NOISE", "SLOWER", "NOOP", "REJECT", "UNSTABLE", "REFUSED" };
    return name[v];
}

/* ==== [3] tools: text, files, processes =================================================================
   Out of memory here is not a verdict about a candidate: the judge says so and exits with 125. */
typedef struct text { char *data; size_t n, cap; } text;        /* growable, always terminated once something was added */

static void text_append(text *t, const void *data, size_t n)
{
    if (t->cap - t->n < n + 1 || !t->data) {
        size_t cap = t->cap ? t->cap : 256;
        char *p;
        while (cap - t->n < n + 1) cap *= 2;
        p = (char *)realloc(t->data, cap);
        if (!p) { fprintf(stderr, "harness: out of memory (%zu bytes)\n", cap); exit(125); }
        t->data = p;
        t->cap = cap;
    }
    if (n) memcpy(t->data + t->n, data, n);
    t->n += n;
    t->data[t->n] = 0;
}

static void text_add(text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void text_add(text *t, const char *format, ...)
{
    char small[512], *p = small;
    va_list args;
    int n;
    va_start(args, format);
    n = vsnprintf(small, sizeof small, format, args);
    va_end(args);
    if (n < 0) return;
    if ((size_t)n >= sizeof small) {
        p = (char *)malloc((size_t)n + 1);
        if (!p) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
        va_start(args, format);
        vsnprintf(p, (size_t)n + 1, format, args);
        va_end(args);
    }
    text_append(t, p, (size_t)n);
    if (p != small) free(p);
}

static void text_free(text *t)
{
    free(t->data);
    memset(t, 0, sizeof *t);
}

/* Append a regular file of at most `limit` bytes.  Symbolic links are not followed. */
static aopt_status file_read(const char *path, size_t limit, text *out, aopt_error *err)
{
    struct stat st;
    char buf[65536];
    ssize_t k;
    size_t got = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", path, errno == ELOOP ? "is a symbolic link" : strerror(errno));
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return aopt_fail(err, AOPT_E_IO, "%s: not a regular file", path);
    }
    text_append(out, "", 0);
    while ((k = read(fd, buf, sizeof buf)) > 0) {
        got += (size_t)k;
        if (got > limit) break;
        text_append(out, buf, (size_t)k);
    }
    close(fd);
    if (k < 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
    if (got > limit) return aopt_fail(err, AOPT_E_IO, "%s: larger than %zu bytes", path, limit);
    return AOPT_OK;
}

/* Replace path by data[n]: temporary file beside it, fsync, rename.  After an error path is as it was. */
static aopt_status file_write(const char *path, const void *data, size_t n, int mode, aopt_error *err)
{
    text tmp;
    const char *p = (const char *)data;
    size_t left = n;
    int fd, bad;
    memset(&tmp, 0, sizeof tmp);
    text_add(&tmp, "%s.autoopt-tmp", path);
    unlink(tmp.data);
    fd = open(tmp.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
    bad = fd < 0;
    while (!bad && left > 0) {
        ssize_t k = write(fd, p, left);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) { bad = 1; break; }
        p += k;
        left -= (size_t)k;
    }
    if (!bad && fsync(fd) != 0) bad = 1;
    if (fd >= 0 && close(fd) != 0) bad = 1;
    if (!bad && rename(tmp.data, path) != 0) bad = 1;
    if (bad) {
        aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
        unlink(tmp.data);
    }
    text_free(&tmp);
    return bad ? AOPT_E_IO : AOPT_OK;
}

/* Run a program to its end.  No shell.  Its own process group, killed as a whole on timeout. */
typedef struct process {
    const char *const *argv;            /* argv[0] is looked up in PATH */
    const char *const *env;             /* NULL = ours */
    const char *cwd;                    /* NULL = ours */
    const void *input; size_t input_n;  /* fed to stdin */
    double timeout_s;                   /* 0 = none */
    size_t out_cap;                     /* bytes kept of each stream, the rest is read and dropped; 0 = 64 MiB */
    void (*in_child)(void *user); void *user;   /* runs before the program starts, or NULL */
} process;
enum { PROCESS_TIMEOUT = -1000, PROCESS_NOT_STARTED = -1001 };

/* Returns the exit status, -signal, PROCESS_TIMEOUT or PROCESS_NOT_STARTED.  out and errs are appended to; errs NULL = with out. */
static int process_run(const process *p, text *out, text *errs)
{
    const size_t cap = p->out_cap ? p->out_cap : (size_t)64 << 20;
    const double deadline = p->timeout_s > 0 ? aopt_seconds() + p->timeout_s : 0;
    int in[2], o[2], e[2], start[2], status = 0, open_n = 2, timed_out = 0, i, exec_errno = 0;
    size_t fed = 0;
    text *sink[2];
    struct pollfd fd[3];
    pid_t pid;

    if (pipe2(in, O_CLOEXEC) || pipe2(o, O_CLOEXEC) || pipe2(e, O_CLOEXEC) || pipe2(start, O_CLOEXEC)) return PROCESS_NOT_STARTED;
    pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        signal(SIGPIPE, SIG_DFL);
        if (dup2(in[0], 0) < 0 || dup2(o[1], 1) < 0 || dup2(e[1], 2) < 0 || (p->cwd && chdir(p->cwd) != 0)) _exit(127);
        if (p->env) environ = (char **)(uintptr_t)p->env;
        if (p->in_child) p->in_child(p->user);
        execvp(p->argv[0], (char *const *)(uintptr_t)p->argv);
        exec_errno = errno;
        if (write(start[1], &exec_errno, sizeof exec_errno) < 0) _exit(126);
        _exit(127);
    }
    close(in[0]); close(o[1]); close(e[1]); close(start[1]);
    if (pid < 0) {
        close(in[1]); close(o[0]); close(e[0]); close(start[0]);
        return PROCESS_NOT_STARTED;
    }
    setpgid(pid, pid);
    fd[0].fd = o[0]; fd[1].fd = e[0]; fd[2].fd = p->input_n ? in[1] : -1;
    if (!p->input_n) close(in[1]);
    else fcntl(in[1], F_SETFL, O_NONBLOCK);
    fd[0].events = fd[1].events = POLLIN; fd[2].events = POLLOUT;
    sink[0] = out; sink[1] = errs ? errs : out;
    while (open_n > 0) {
        const double left = deadline > 0 ? deadline - aopt_seconds() : 1.0;
        if (left <= 0) { timed_out = 1; break; }
        fd[0].revents = fd[1].revents = fd[2].revents = 0;
        if (poll(fd, 3, left > 1.0 ? 1000 : (int)(left * 1000) + 1) < 0 && errno != EINTR) break;
        for (i = 0; i < 2; i++)
            if (fd[i].fd >= 0 && (fd[i].revents & (POLLIN | POLLHUP | POLLERR))) {
                char buf[65536];
                const ssize_t k = read(fd[i].fd, buf, sizeof buf);
                if (k > 0) {
                    const size_t room = sink[i] && sink[i]->n < cap ? cap - sink[i]->n : 0;
                    if (room) text_append(sink[i], buf, (size_t)k < room ? (size_t)k : room);
                } else if (k == 0 || errno != EINTR) {
                    close(fd[i].fd);
                    fd[i].fd = -1;
                    open_n--;
                }
            }
        if (fd[2].fd >= 0 && fd[2].revents) {
            const ssize_t k = write(fd[2].fd, (const char *)p->input + fed, p->input_n - fed);
            if (k > 0) fed += (size_t)k;
            if (fed == p->input_n || (k < 0 && errno != EAGAIN && errno != EINTR)) { close(fd[2].fd); fd[2].fd = -1; }
        }
    }
    for (i = 0; i < 3; i++) if (fd[i].fd >= 0) close(fd[i].fd);
    if (timed_out) kill(-pid, SIGKILL);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) { }
    kill(-pid, SIGKILL);                        /* whatever it left behind in its group */
    i = (int)read(start[0], &exec_errno, sizeof exec_errno);
    close(start[0]);
    if (i == (int)sizeof exec_errno) return PROCESS_NOT_STARTED;
    if (timed_out) return PROCESS_TIMEOUT;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void sha256_hex(const void *data, size_t n, char hex[65])
{
    aopt_sha256 s;
    aopt_sha256_begin(&s);
    aopt_sha256_add(&s, data, n);
    aopt_sha256_end(&s, hex);
}

static aopt_status file_sha256(const char *path, char hex[65], aopt_error *err)
{
    aopt_sha256 s;
    char buf[65536];
    size_t k;
    FILE *f = fopen(path, "rb");
    if (!f) return aopt_fail(err, AOPT_E_IO, "%s: %s", path, strerror(errno));
    aopt_sha256_begin(&s);
    while ((k = fread(buf, 1, sizeof buf, f)) > 0) aopt_sha256_add(&s, buf, k);
    aopt_sha256_end(&s, hex);
    k = (size_t)ferror(f);
    fclose(f);
    return k ? aopt_fail(err, AOPT_E_IO, "%s: read error", path) : AOPT_OK;
}

/* Text of a stranger: printable ASCII, newlines and tabs stay, every other byte becomes \xHH. */
static void text_add_escaped(text *t, const char *s, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) {
        const unsigned char c = (unsigned char)s[i];
        if (c == '\n' || c == '\t' || (c >= 32 && c < 127)) text_append(t, &c, 1);
        else text_add(t, "\\x%02x", c);
    }
}

/* s as a JSON string, quotes included.  Bytes that are not printable ASCII are written \u00HH. */
static void text_add_json(text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s; s++) {
        const unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') text_add(t, "\\%c", c);
        else if (c >= 32 && c < 127) text_append(t, &c, 1);
        else text_add(t, "\\u%04x", c);
    }
    text_add(t, "\"");
}

/* The rest of a folder that this program made, then the folder. */
static void folder_remove(const char *path)
{
    const char *argv[5];
    process p;
    argv[0] = "rm"; argv[1] = "-rf"; argv[2] = "--"; argv[3] = path; argv[4] = NULL;
    memset(&p, 0, sizeof p);
    p.argv = argv;
    p.timeout_s = 60;
    process_run(&p, NULL, NULL);
}

static void sleep_ms(int ms)
{
    poll(NULL, 0, ms);
}

/* Bits that the candidate cannot guess. */
static uint64_t random_seed(void)
{
    uint64_t v = 0;
    const int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || read(fd, &v, sizeof v) != (ssize_t)sizeof v) v = (uint64_t)(aopt_seconds() * 1e9) ^ (uint64_t)getpid() << 32;
    if (fd >= 0) close(fd);
    return v;
}

/* ---- goals.json ---- */
/* A number of `object` into *out, which keeps its value if `key` is absent. */
static aopt_status goals_number(const aopt_json_value *object, const char *key, double *out, aopt_error *err)
{
    const aopt_json_value *v = aopt_json_get(object, key);
    if (!v) return AOPT_OK;
    if (v->type != AOPT_JSON_NUMBER || !(v->number >= 0)) return aopt_fail(err, AOPT_E_VALUE, "goals.json: \"%s\" must be a number, 0 or more", key);
    *out = v->number;
    return AOPT_OK;
}

static aopt_status goals_text(const aopt_json_value *object, const char *key, char *out, size_t out_bytes, aopt_error *err)
{
    const aopt_json_value *v = aopt_json_get(object, key);
    if (!v || v->type != AOPT_JSON_STRING || v->string_bytes == 0 || v->string_bytes >= out_bytes || strlen(v->string) != v->string_bytes)
        return aopt_fail(err, AOPT_E_VALUE, "goals.json: \"%s\" must be a string of 1 to %zu bytes", key, out_bytes - 1);
    memcpy(out, v->string, v->string_bytes + 1);
    return AOPT_OK;
}

static aopt_status goals_limits(const aopt_json_value *object, limits *l, aopt_error *err)
{
    const aopt_json_value *v = aopt_json_get(object, "limits");
    if (!v) return AOPT_OK;
    if (goals_number(v, "build_s", &l->build_s, err) || goals_number(v, "init_s", &l->init_s, err) ||
        goals_number(v, "first_decode_s", &l->first_decode_s, err) || goals_number(v, "decode_s", &l->decode_s, err) ||
        goals_number(v, "memory_mb", &l->memory_mb, err) || goals_number(v, "gate_all_tasks_s", &l->gate_all_tasks_s, err))
        return AOPT_E_VALUE;
    return AOPT_OK;
}

/* {"metric": M, "min" or "max": X, "fresh": Y}; fresh is the limit between two outputs that may both be off by X. */
static aopt_status goals_gate(const aopt_json_value *v, gate_limit *g, aopt_error *err)
{
    const int min = aopt_json_get(v, "min") != NULL, max = aopt_json_get(v, "max") != NULL;
    memset(g, 0, sizeof *g);
    if (goals_text(v, "metric", g->metric, sizeof g->metric, err)) return AOPT_E_VALUE;
    if (min == max) return aopt_fail(err, AOPT_E_VALUE, "goals.json: metric %s needs \"min\" or \"max\"", g->metric);
    g->sense = min ? 1 : -1;
    if (goals_number(v, min ? "min" : "max", &g->limit, err)) return AOPT_E_VALUE;
    g->fresh = g->limit;
    return goals_number(v, "fresh", &g->fresh, err);
}

static aopt_status goals_task(const aopt_json_value *v, const goals *g, task *t, aopt_error *err)
{
    const aopt_json_value *shape = aopt_json_get(v, "shape"), *d;
    memset(t, 0, sizeof *t);
    t->limit = g->limit;
    if (goals_text(v, "name", t->name, sizeof t->name, err) || goals_text(v, "checkpoint", t->checkpoint, sizeof t->checkpoint, err) ||
        goals_text(v, "input", t->input, sizeof t->input, err) || goals_limits(v, &t->limit, err))
        return AOPT_E_VALUE;
    for (d = shape ? shape->child : NULL; d && t->shape.ndim < AOPT_MAX_DIMS; d = d->next) {
        if (!d->is_integer || d->integer < 1) return aopt_fail(err, AOPT_E_VALUE, "goals.json: task %s: bad shape", t->name);
        t->shape.dim[t->shape.ndim++] = d->integer;
    }
    return t->shape.ndim > 0 && !d ? AOPT_OK : aopt_fail(err, AOPT_E_VALUE, "goals.json: task %s: \"shape\" needs 1 to %d sizes", t->name, AOPT_MAX_DIMS);
}

static aopt_status goals_lists(const aopt_json_value *root, goals *g, aopt_error *err)
{
    const aopt_json_value *v, *list = aopt_json_get(root, "tasks");
    for (v = list ? list->child : NULL; v && g->task_n < MAX_TASKS; v = v->next)
        if (goals_task(v, g, &g->task[g->task_n++], err)) return AOPT_E_VALUE;
    list = aopt_json_get(root, "gate");
    for (v = list ? list->child : NULL; v && g->gate_n < AOPT_MAX_METRICS; v = v->next)
        if (goals_gate(v, &g->gate[g->gate_n++], err)) return AOPT_E_VALUE;
    list = aopt_json_get(root, "frozen");
    for (v = list ? list->child : NULL; v && g->frozen_n < MAX_FROZEN; v = v->next) {
        if (v->type != AOPT_JSON_STRING || v->string_bytes >= sizeof g->frozen[0]) return aopt_fail(err, AOPT_E_VALUE, "goals.json: bad name in \"frozen\"");
        memcpy(g->frozen[g->frozen_n++], v->string, v->string_bytes + 1);
    }
    if (g->task_n == 0 || g->gate_n == 0 || g->frozen_n == 0 || v)
        return aopt_fail(err, AOPT_E_VALUE, "goals.json: \"tasks\", \"gate\" and \"frozen\" must not be empty (at most %d, %d, %d)", MAX_TASKS, AOPT_MAX_METRICS, MAX_FROZEN);
    if (goals_gate(aopt_json_get(root, "determinism"), &g->determinism, err) || goals_gate(aopt_json_get(root, "causality"), &g->causality, err))
        return AOPT_E_VALUE;
    return AOPT_OK;
}

static aopt_status goals_rules(const aopt_json_value *root, goals *g, aopt_error *err)
{
    const aopt_json_value *keep = aopt_json_get(root, "keep"), *stop = aopt_json_get(root, "stop");
    double attempts = 8, top = 3, nibbles = 2;
    g->min_gain_pct = 1; g->floor_factor = 2; g->sample_s_cpu = 1; g->sample_s_gpu = 0.25; g->max_steal_pct = 5;
    g->stop_nibble_pct = 1.5;
    if (goals_number(keep, "min_gain_pct", &g->min_gain_pct, err) || goals_number(keep, "floor_factor", &g->floor_factor, err) ||
        goals_number(keep, "sample_s_cpu", &g->sample_s_cpu, err) || goals_number(keep, "sample_s_gpu", &g->sample_s_gpu, err) ||
        goals_number(keep, "max_steal_pct", &g->max_steal_pct, err) || goals_number(stop, "attempts_without_keep", &attempts, err) ||
        goals_number(stop, "top_items", &top, err) || goals_number(stop, "nibbles", &nibbles, err) ||
        goals_number(stop, "nibble_pct", &g->stop_nibble_pct, err) || goals_number(stop, "hours", &g->stop_hours, err))
        return AOPT_E_VALUE;
    g->stop_attempts = (int)attempts; g->stop_top_items = (int)top; g->stop_nibbles = (int)nibbles;
    return AOPT_OK;
}

static aopt_status goals_load(const char *path, goals *g, aopt_error *err)
{
    aopt_json *doc = NULL;
    aopt_status st;
    text t;
    memset(g, 0, sizeof *g);
    memset(&t, 0, sizeof t);
    g->limit.build_s = 600; g->limit.init_s = 120; g->limit.first_decode_s = 60; g->limit.decode_s = 10;
    g->limit.memory_mb = 65536; g->limit.gate_all_tasks_s = 60;
    st = file_read(path, 1 << 20, &t, err);
    if (st == AOPT_OK) st = aopt_json_parse(t.data, t.n, &doc, err);
    if (st == AOPT_OK) {
        const aopt_json_value *root = aopt_json_root(doc);
        sha256_hex(t.data, t.n, g->sha256);
        st = goals_text(root, "target", g->target, sizeof g->target, err);
        if (st == AOPT_OK) st = goals_limits(root, &g->limit, err);
        if (st == AOPT_OK) st = goals_rules(root, g, err);
        if (st == AOPT_OK) st = goals_lists(root, g, err);
        aopt_json_free(doc);
    }
    if (st == AOPT_OK && strcmp(g->target, target.name) != 0)
        st = aopt_fail(err, AOPT_E_VALUE, "goals.json is for the target \"%s\", this harness was built with \"%s\": rebuild", g->target, target.name);
    text_free(&t);
    return st;
}

static const task *goals_task_named(const goals *g, const char *name)
{
    int i;
    for (i = 0; i < g->task_n; i++)
        if (strcmp(g->task[i].name, name) == 0) return &g->task[i];
    return NULL;
}

/* The hash that build.sh baked into this binary for a frozen file: lines "sha256  path".  NULL if none. */
#ifndef HARNESS_BAKED
#define HARNESS_BAKED ""
#endif
static const char *frozen_baked(const char *path)
{
    const char *line = HARNESS_BAKED;
    const size_t n = strlen(path);
    while (*line) {
        const char *end = strchr(line, '\n');
        if (!end) break;
        if (end - line == (ptrdiff_t)(66 + n) && memcmp(line + 66, path, n) == 0) return line;
        line = end + 1;
    }
    return NULL;
}

/* Every frozen file equals what this binary was built from.  harness_hash, if not NULL, gets the hash of them all.
   AOPT_E_VALUE = changed, with the way back. */
static aopt_status frozen_check(const goals *g, char harness_hash[65], aopt_error *err)
{
    aopt_sha256 all;
    char hex[65];
    int i;
    aopt_sha256_begin(&all);
    for (i = 0; i < g->frozen_n; i++) {
        const char *path = g->frozen[i], *baked = frozen_baked(path);
        struct stat st;
        if (lstat(path, &st) != 0 || !S_ISREG(st.st_mode)) return aopt_fail(err, AOPT_E_VALUE, "%s: frozen, but not a regular file; restore: git checkout HEAD -- %s", path, path);
        if (file_sha256(path, hex, err)) return AOPT_E_IO;
        if (!baked || memcmp(baked, hex, 64) != 0)
            return aopt_fail(err, AOPT_E_VALUE, "%s: frozen, built from %.12s.., found %.12s..; restore: git checkout HEAD -- %s (people: commit it, then ./build.sh)",
                             path, baked ? baked : "nothing     ", hex, path);
        aopt_sha256_add(&all, hex, 64);
        aopt_sha256_add(&all, path, strlen(path) + 1);
    }
    aopt_sha256_end(&all, hex);
    if (harness_hash) memcpy(harness_hash, hex, 65);
    return AOPT_OK;
}

/* ==== [4] build: a tree becomes a shared object ========================================================= */

/* ==== [5] runner: the child that holds a candidate ====================================================== */

/* ==== [6] judge: calls, probes, gate ==================================================================== */

/* ==== [7] statistics: pairs, screen, confirm ============================================================ */

/* ==== [8] profile ======================================================================================= */

/* ==== [9] git: snapshot, keep, restore, log ============================================================= */

/* ==== [10] record: results.tsv, leaderboard, progress.svg, PROGRESS.md ================================== */

/* ==== [11] two machines: pack, measure, record ========================================================== */

/* ==== [12] status, goal, show, sync, audit ============================================================== */

/* ==== [13] agent guards: enlist, hook ===================================================================
   Off until `./harness enlist`.  A coding agent runs `./harness hook pre` before it uses a tool and `./harness hook stop`
   before it ends a turn, with the event as JSON on stdin.  Answer: nothing (go ahead), or one JSON object on stdout, exit 0.
   Claude Code, Codex and Gemini read the same shapes.  An event that we do not understand is let through: a guard that
   wedges an agent is worse than a missed slip, and the judge does not rely on any of this. */
enum { HOOK_EVENT_CAP = 8 << 20, HOOK_WORDS = 512, HOOK_DEPTH = 4 };
static const char *const hook_editable[] = { "optimize.c", "PROGRESS.md" };
static const char *const hook_recorded[] = { "results.tsv", "leaderboard.md", "progress.svg", ".git" };

typedef struct hook_guard {
    char top[PATH_MAX], cwd[PATH_MAX];      /* both real paths; top is the folder of this binary */
    const goals *goals;
    text why;                               /* filled = deny */
} hook_guard;

/* The folder of this binary: the repository's top. */
static int harness_top(char top[PATH_MAX])
{
    char self[PATH_MAX], *slash;
    const ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = 0;
    slash = strrchr(self, '/');
    if (!slash || slash == self) return 0;
    *slash = 0;
    memcpy(top, self, sizeof self);
    return 1;
}

static int enlisted(const char *top)
{
    const char *const argv[] = { "git", "config", "--type=bool", "--get", "autoopt.enlisted", NULL };
    process p;
    text out;
    int yes;
    memset(&out, 0, sizeof out);
    memset(&p, 0, sizeof p);
    p.argv = argv;
    p.cwd = top;
    p.timeout_s = 3;
    yes = process_run(&p, &out, NULL) == 0 && strncmp(out.data, "true", 4) == 0;
    text_free(&out);
    return yes;
}

/* The git name of optimize.c, in the worktree or at HEAD. */
static int hook_blob(const char *top, int worktree, char name[136])
{
    const char *const mine[] = { "git", "hash-object", "--no-filters", "optimize.c", NULL };
    const char *const head[] = { "git", "rev-parse", "--verify", "-q", "HEAD:optimize.c", NULL };
    process p;
    text out;
    int ok;
    memset(&out, 0, sizeof out);
    memset(&p, 0, sizeof p);
    p.argv = worktree ? mine : head;
    p.cwd = top;
    p.timeout_s = 10;
    ok = process_run(&p, &out, NULL) == 0 && out.n > 1;
    if (ok) snprintf(name, 136, "%.*s", (int)strcspn(out.data, "\n"), out.data);
    text_free(&out);
    return ok;
}

static int hook_one_of(const char *s, const char *const *list, size_t n)
{
    size_t i;
    for (i = 0; i < n; i++) if (strcmp(s, list[i]) == 0) return 1;
    return 0;
}
#define HOOK_ONE_OF(s, list) hook_one_of(s, list, sizeof(list) / sizeof(list)[0])

/* path as the repository names it, "" = the top itself, NULL = outside.  Links are followed as far as the path exists. */
static const char *hook_inside(const hook_guard *g, const char *path, char out[PATH_MAX])
{
    char full[PATH_MAX], rest[PATH_MAX] = "";
    const size_t top_n = strlen(g->top);
    if (snprintf(full, sizeof full, "%s%s%s", path[0] == '/' ? "" : g->cwd, path[0] == '/' ? "" : "/", path) >= (int)sizeof full) return NULL;
    while (!realpath(full, out)) {          /* cut names off the end until the front exists */
        char *slash = strrchr(full, '/'), tail[PATH_MAX];
        if (!slash || slash == full) return NULL;
        if (snprintf(tail, sizeof tail, "%s%s", slash, rest) >= (int)sizeof tail) return NULL;
        memcpy(rest, tail, strlen(tail) + 1);
        *slash = 0;
    }
    if (strlen(out) + strlen(rest) >= PATH_MAX) return NULL;
    memcpy(out + strlen(out), rest, strlen(rest) + 1);
    if (strncmp(out, g->top, top_n) != 0 || (out[top_n] != '/' && out[top_n] != 0)) return NULL;
    return out[top_n] == '/' ? out + top_n + 1 : "";
}

static int hook_under(const char *inside, const char *name)
{
    size_t n = strlen(name);
    if (n > 0 && name[n - 1] == '/') n--;
    return strncmp(inside, name, n) == 0 && (inside[n] == 0 || inside[n] == '/');
}

/* Frozen, or written by the harness alone. */
static int hook_protected(const hook_guard *g, const char *path)
{
    char full[PATH_MAX];
    const char *inside = hook_inside(g, path, full);
    size_t i;
    int k;
    if (!inside) return 0;
    for (k = 0; k < g->goals->frozen_n; k++) if (hook_under(inside, g->goals->frozen[k])) return 1;
    for (i = 0; i < sizeof hook_recorded / sizeof hook_recorded[0]; i++) if (hook_under(inside, hook_recorded[i])) return 1;
    return 0;
}

static void hook_deny_write(hook_guard *g, const char *path)
{
    if (!g->why.n)
        text_add(&g->why, "%s is frozen during optimisation: only optimize.c and PROGRESS.md may be edited (AGENTS.md). "
                 "People change it in a clone that is not enlisted.", path);
}

/* An edit tool names its file outright: inside the repository only the two may be touched. */
static void hook_check_edit(hook_guard *g, const char *path)
{
    char full[PATH_MAX];
    const char *inside = hook_inside(g, path, full);
    if (inside && !HOOK_ONE_OF(inside, hook_editable)) hook_deny_write(g, path);
}

/* A patch in the text form that Codex uses: lines that begin with "*** Update File: " and the like. */
static void hook_check_patch(hook_guard *g, const char *patch)
{
    static const char *const mark[] = { "*** Update File: ", "*** Add File: ", "*** Delete File: ", "*** Move to: " };
    const char *line;
    size_t i;
    for (line = patch; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL)
        for (i = 0; i < sizeof mark / sizeof mark[0]; i++)
            if (strncmp(line, mark[i], strlen(mark[i])) == 0) {
                char path[PATH_MAX];
                snprintf(path, sizeof path, "%.*s", (int)strcspn(line + strlen(mark[i]), "\r\n"), line + strlen(mark[i]));
                hook_check_edit(g, path);
            }
}

static void hook_check_shell(hook_guard *g, const char *command, int depth);

static void hook_check_git(hook_guard *g, char *const *word, int n)
{
    static const char *const writes[] = { "commit", "reset", "push", "checkout", "switch", "restore", "stash", "clean", "rebase", "merge", "pull",
        "cherry-pick", "revert", "am", "apply", "rm", "mv", "update-ref", "update-index", "read-tree", "symbolic-ref", "filter-branch", "replace" };
    int i = 1;
    while (i < n && word[i][0] == '-') i += strcmp(word[i], "-C") == 0 || strcmp(word[i], "-c") == 0 ? 2 : 1;
    if (i >= n || g->why.n) return;
    if (HOOK_ONE_OF(word[i], writes))
        text_add(&g->why, "git %s is the harness's work: it commits what is better and restores the rest. Run ./harness --desc \"...\" instead.", word[i]);
    else if (strcmp(word[i], "config") == 0)
        for (i++; i < n; i++)
            if (strncmp(word[i], "autoopt.", 8) == 0 && !g->why.n)
                text_add(&g->why, "%s is a person's setting (./harness enlist off, outside an agent).", word[i]);
}

static void hook_check_harness(hook_guard *g, char *const *word, int n)
{
    static const char *const person[] = { "record", "freeze", "--scope", "--approve", "--allow-init" };
    int i;
    for (i = 1; i < n && !g->why.n; i++) {
        char name[64];
        snprintf(name, sizeof name, "%.*s", (int)strcspn(word[i], "="), word[i]);
        if ((name[0] == '-' || i == 1) && HOOK_ONE_OF(name, person))
            text_add(&g->why, "./harness %s is a person's command; an optimising agent uses ./harness --desc \"...\".", name);
        if (i > 1 && strcmp(word[1], "enlist") == 0 && strcmp(word[i], "off") == 0)
            text_add(&g->why, "leaving the guards is a person's decision: ./harness enlist off, outside an agent.");
        if (strcmp(word[i], "--desc") == 0 || strcmp(word[i], "--attack") == 0) i++;     /* free text */
    }
}

/* One simple command, split into words.  Its redirections are already checked. */
static void hook_check_simple(hook_guard *g, char *const *word, int n, int depth)
{
    static const char *const prefix[] = { "sudo", "env", "time", "nice", "nohup", "command", "exec", "builtin", "then", "do", "else", "if", "while", "!", "{" };
    static const char *const shells[] = { "sh", "bash", "dash", "zsh" };
    static const char *const writes_all[] = { "rm", "mv", "tee", "truncate", "touch", "chmod", "chown", "unlink", "shred", "patch", "ed", "ex" };
    static const char *const writes_last[] = { "cp", "ln", "install", "rsync" };
    const char *name;
    int i, in_place = 0;

    while (n > 0 && (HOOK_ONE_OF(word[0], prefix) || (strchr(word[0], '=') && word[0][0] != '='))) { word++; n--; }
    if (n == 0) return;
    name = strrchr(word[0], '/') ? strrchr(word[0], '/') + 1 : word[0];
    if (strcmp(name, "git") == 0) hook_check_git(g, word, n);
    if (strcmp(name, "harness") == 0) hook_check_harness(g, word, n);
    if (HOOK_ONE_OF(name, shells))
        for (i = 1; i + 1 < n; i++) if (word[i][0] == '-' && strchr(word[i], 'c')) { hook_check_shell(g, word[i + 1], depth + 1); break; }
    if (strcmp(name, "eval") == 0) for (i = 1; i < n; i++) hook_check_shell(g, word[i], depth + 1);
    if (strcmp(name, "xargs") == 0 && n > 1) hook_check_simple(g, word + 1, n - 1, depth);
    for (i = 1; i < n; i++) in_place |= word[i][0] == '-' && word[i][1] != '-' && strchr(word[i], 'i') != NULL;
    in_place = (in_place && (strcmp(name, "sed") == 0 || strcmp(name, "perl") == 0)) || HOOK_ONE_OF(name, writes_all);
    for (i = 1; i < n; i++) {
        const char *path = strncmp(word[i], "of=", 3) == 0 && strcmp(name, "dd") == 0 ? word[i] + 3 : word[i];
        if (path[0] == '-') continue;
        if ((in_place || path != word[i] || (i == n - 1 && HOOK_ONE_OF(name, writes_last))) && hook_protected(g, path)) hook_deny_write(g, path);
    }
}

/* The next word of a shell command into out (quotes and backslashes removed); returns what follows it, or NULL at an operator or the end. */
static const char *hook_word(const char *s, char *out, size_t out_bytes)
{
    size_t n = 0;
    char quote = 0;
    while (*s == ' ' || *s == '\t') s++;
    if (!*s || strchr(";&|()<>\n`", *s)) return NULL;
    for (; *s && (quote || !strchr(" \t;&|()<>\n`", *s)); s++) {
        if (quote ? *s == quote : (*s == '\'' || *s == '"')) { quote = quote ? 0 : *s; continue; }
        if (*s == '\\' && quote != '\'' && s[1]) s++;
        if (n + 1 < out_bytes) out[n++] = *s;
    }
    out[n] = 0;
    return s;
}

/* Code given to an interpreter: a protected name beside something that writes. */
static void hook_check_code(hook_guard *g, const char *command)
{
    static const char *const interpreter[] = { "python", "perl", "ruby", "node" };
    static const char *const writing[] = { "write", "'w", "\"w", "'a'", "\"a\"", "unlink", "remove", "rename", "replace(" };
    size_t i;
    int k, runs = 0, writes = 0;
    for (i = 0; i < sizeof interpreter / sizeof interpreter[0]; i++) runs |= strstr(command, interpreter[i]) != NULL;
    for (i = 0; i < sizeof writing / sizeof writing[0]; i++) writes |= strstr(command, writing[i]) != NULL;
    if (!runs || !writes) return;
    for (k = 0; k < g->goals->frozen_n; k++) if (strstr(command, g->goals->frozen[k])) hook_deny_write(g, g->goals->frozen[k]);
    for (i = 0; i < sizeof hook_recorded / sizeof hook_recorded[0] - 1; i++) if (strstr(command, hook_recorded[i])) hook_deny_write(g, hook_recorded[i]);
}

/* Not a shell: enough of one to see redirections, and the words of every simple command, also inside $(...), `...` and sh -c. */
static void hook_check_shell(hook_guard *g, const char *command, int depth)
{
    const char *s = command, *after;
    char *word[HOOK_WORDS], buf[PATH_MAX];
    int n = 0, i;
    if (depth > HOOK_DEPTH) return;
    hook_check_patch(g, command);
    while (*s && !g->why.n) {
        after = hook_word(s, buf, sizeof buf);
        if (after) {
            if (strcmp(buf, "$") != 0 && n < HOOK_WORDS && (word[n] = strdup(buf)) != NULL) n++;
            s = after;
            if (*s) continue;
        }
        while (*s == ' ' || *s == '\t') s++;
        if (*s == '>' || *s == '<') {
            const int writes = *s == '>';
            s += 1 + (s[1] == '>' || s[1] == '|' || s[1] == '&' || s[1] == '<');
            after = hook_word(s, buf, sizeof buf);
            if (after && writes && hook_protected(g, buf)) hook_deny_write(g, buf);
            if (after) s = after;
            continue;
        }
        hook_check_simple(g, word, n, depth);
        for (i = 0; i < n; i++) free(word[i]);
        n = 0;
        if (*s) s++;
    }
    hook_check_simple(g, word, n, depth);
    for (i = 0; i < n; i++) free(word[i]);
    if (depth == 0) hook_check_code(g, command);
}

static const char *hook_string(const aopt_json_value *object, const char *key)
{
    const aopt_json_value *v = aopt_json_get(object, key);
    return v && v->type == AOPT_JSON_STRING ? v->string : NULL;
}

static void hook_pre(hook_guard *g, const aopt_json_value *event)
{
    static const char *const path_key[] = { "file_path", "notebook_path", "filePath", "absolute_path", "path" };
    static const char *const edits[] = { "Edit", "MultiEdit", "Write", "NotebookEdit", "edit", "write", "write_file", "replace", "create_file" };
    const aopt_json_value *input = aopt_json_get(event, "tool_input"), *command = aopt_json_get(input, "command"), *v;
    const char *tool = hook_string(event, "tool_name"), *patch = hook_string(input, "input");
    text line;
    size_t i;
    if (!tool || !input) return;
    if (HOOK_ONE_OF(tool, edits)) {
        for (i = 0; i < sizeof path_key / sizeof path_key[0]; i++)
            if (hook_string(input, path_key[i])) hook_check_edit(g, hook_string(input, path_key[i]));
        return;
    }
    if (strcmp(tool, "apply_patch") == 0 && patch) hook_check_patch(g, patch);
    if (!command) return;
    memset(&line, 0, sizeof line);          /* a string, or a list of arguments: ["bash", "-lc", "..."] */
    if (command->type == AOPT_JSON_STRING) text_add(&line, "%s", command->string);
    for (v = command->type == AOPT_JSON_ARRAY ? command->child : NULL; v; v = v->next)
        if (v->type == AOPT_JSON_STRING) {
            if (v->next == NULL && command->child_n > 1 && command->child_n <= 3) hook_check_shell(g, v->string, 1);
            text_add(&line, "%s ", v->string);
        }
    if (line.n) hook_check_shell(g, line.data, 0);
    text_free(&line);
}

/* Is there a reason to go on?  `goal` runs as a process of its own, so that whatever happens to it this hook answers in time. */
static void hook_stop(hook_guard *g, const aopt_json_value *event)
{
    const aopt_json_value *again = aopt_json_get(event, "stop_hook_active"), *tasks = aopt_json_get(event, "background_tasks");
    const char *argv[] = { "/proc/self/exe", "goal", NULL };
    char self[PATH_MAX + 16], mine[136], head[136];
    process p;
    text out;
    int status;
    if ((again && again->boolean) || (tasks && tasks->child_n > 0)) return;
    if (hook_blob(g->top, 1, mine) && hook_blob(g->top, 0, head) && strcmp(mine, head) != 0) {
        text_add(&g->why, "optimize.c has an edit that was never judged. Run: ./build.sh && ./harness --desc \"what you tried\" (or restore it with: git show HEAD:optimize.c > optimize.c)");
        return;
    }
    snprintf(self, sizeof self, "%s/harness", g->top);
    argv[0] = self;
    memset(&out, 0, sizeof out);
    memset(&p, 0, sizeof p);
    p.argv = argv;
    p.cwd = g->top;
    p.timeout_s = 30;
    p.out_cap = 4096;
    status = process_run(&p, &out, NULL);
    if (status == 1 && out.n) text_add(&g->why, "%s", out.data);
    text_free(&out);
}

/* The strict shapes that Claude Code, Codex and Gemini share: no other keys. */
static void hook_answer(int pre, const char *why)
{
    text out;
    memset(&out, 0, sizeof out);
    text_add(&out, pre ? "{\"hookSpecificOutput\":{\"hookEventName\":\"PreToolUse\",\"permissionDecision\":\"deny\",\"permissionDecisionReason\":"
                       : "{\"decision\":\"block\",\"reason\":");
    text_add_json(&out, why);
    text_add(&out, pre ? "}}\n" : "}\n");
    fputs(out.data, stdout);
    text_free(&out);
}

static int command_hook(int argc, char **argv)
{
    static goals g;
    static hook_guard guard;
    const char *cwd;
    text event;
    char buf[65536], path[PATH_MAX + 16];
    aopt_json *doc = NULL;
    ssize_t k;
    const int pre = argc == 3 && strcmp(argv[2], "pre") == 0;
    if (argc != 3 || (!pre && strcmp(argv[2], "stop") != 0)) {
        fprintf(stderr, "usage: ./harness hook pre | stop      (a coding agent calls it, with the event on stdin)\n");
        return 2;
    }
    memset(&event, 0, sizeof event);
    while ((k = read(0, buf, sizeof buf)) > 0 && event.n < HOOK_EVENT_CAP) text_append(&event, buf, (size_t)k);
    if (event.n && harness_top(guard.top) && enlisted(guard.top)) {
        snprintf(path, sizeof path, "%s/goals.json", guard.top);
        guard.goals = &g;
        if (goals_load(path, &g, NULL) == AOPT_OK && aopt_json_parse(event.data, event.n, &doc, NULL) == AOPT_OK) {
            cwd = hook_string(aopt_json_root(doc), "cwd");
            if (!cwd || !realpath(cwd, guard.cwd)) memcpy(guard.cwd, guard.top, sizeof guard.cwd);
            if (pre) hook_pre(&guard, aopt_json_root(doc));
            else hook_stop(&guard, aopt_json_root(doc));
        }
    }
    if (guard.why.n) hook_answer(pre, guard.why.data);
    text_free(&guard.why);
    text_free(&event);
    aopt_json_free(doc);
    return 0;
}

static int command_enlist(int argc, char **argv)
{
    const int off = argc == 3 && strcmp(argv[2], "off") == 0;
    const char *set[] = { "git", "config", "autoopt.enlisted", off ? "false" : "true", NULL };
    char top[PATH_MAX];
    text out;
    process p;
    int status;
    if (argc != 2 && !off) {
        fprintf(stderr, "usage: ./harness enlist [off]      (turn the agent guards on, or off, in this clone)\n");
        return 2;
    }
    memset(&out, 0, sizeof out);
    memset(&p, 0, sizeof p);
    p.argv = set;
    p.cwd = harness_top(top) ? top : NULL;
    status = process_run(&p, &out, NULL);
    if (status != 0) {
        fprintf(stderr, "harness: git config failed: %s\n", out.n ? out.data : "git is not there");
        text_free(&out);
        return 42;
    }
    text_free(&out);
    puts(off ? "Guards are off in this clone: every file may be edited."
             : "Guards are on in this clone: only optimize.c and PROGRESS.md may be edited; the harness commits.\n"
               "A coding agent must trust this folder's hooks (.claude/settings.json, .codex/hooks.json). Off again: ./harness enlist off");
    return 0;
}


/* ==== [14] the loop, commands, main ===================================================================== */
int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}
