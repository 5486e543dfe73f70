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

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
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
    char seal[65];                      /* of its result in a JOB folder, "" = none */
    char commit[65];                    /* on the branch, "" = none */
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

/* ==== [9] git: snapshot, keep, restore, log =============================================================
   Plumbing and compare-and-swap only: nothing here runs reset, checkout, clean, stash, rebase or `add -A`, and of the
   worktree it touches optimize.c (scope library: autoopt_kernels.cuh too), the record and the marked block of PROGRESS.md.

   refs/autoopt/log   one commit an attempt; its tree holds the source, the row, the samples, what was printed, and results.tsv
                      as it stood after the attempt, which is the truth that the worktree's copy must equal.
   <git dir>/autoopt  lock, pending (a step of the record under way), job (the run under way), adopted (rows that came by clone). */
#ifndef RECORD_STEP
#define RECORD_STEP() ((void)0)         /* the test that kills the record at each step defines it */
#endif
#ifndef RECORD_WAIT_S
#define RECORD_WAIT_S 10                /* patience with a lock that another git holds */
#endif
enum { PATH_BYTES = 4096, SOURCE_LIMIT = 1 << 20, LOG_TEXT_LIMIT = 64 << 10, RESULTS_LIMIT = 64 << 20, SPACE_NEEDED_MB = 16 };

typedef struct record {
    char root[PATH_BYTES], prefix[PATH_BYTES];  /* the tree that holds optimize.c; its path inside the repository, "" or "a/b/" */
    char gitdir[PATH_BYTES], dir[PATH_BYTES];   /* of this worktree; <common git dir>/autoopt */
    char branch[256], head[65];                 /* refs/heads/..., "" = detached; a commit */
    char log[65];                               /* tip of refs/autoopt/log, "" = none yet */
    char name[256], email[256];                 /* who commits */
    int64_t adopted;                            /* rows up to this one were measured in another clone */
    text results;                               /* results.tsv as the log has it */
    int lock;
} record;

typedef struct git_extra { const char *index, *date; const void *input; size_t input_n; } git_extra;

/* Run git in the root: its output is appended to out, its complaints to errs; NULL = dropped.  Hooks, filters, monitors, signing and the
   caller's GIT_* variables have no say.  Returns git's exit status, or negative. */
static int git_run(const record *r, const git_extra *x, text *out, text *errs, const char *const *args)
{
    static const char *const fixed[] = { "git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgsign=false",
        "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fsync=committed,reference", "-c", "i18n.commitEncoding=UTF-8",
        "-c", "core.quotePath=false", "-c", "core.safecrlf=false" };
    enum { FIXED = sizeof fixed / sizeof fixed[0] };
    const char *argv[FIXED + 48];
    const char **env;
    char var[7][PATH_BYTES + 40];
    text ignored;
    process p;
    int i, n = 0, rc, var_n = 0;

    for (i = 0; i < FIXED; i++) argv[i] = fixed[i];
    for (i = 0; args[i] && i < 47; i++) argv[FIXED + i] = args[i];
    argv[FIXED + i] = NULL;
    while (environ[n]) n++;
    env = (const char **)malloc((size_t)(n + 16) * sizeof *env);
    if (!env) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    for (i = n = 0; environ[i]; i++)
        if (strncmp(environ[i], "GIT_", 4) != 0 && strncmp(environ[i], "LC_ALL=", 7) != 0 && strncmp(environ[i], "LANGUAGE=", 9) != 0) env[n++] = environ[i];
    env[n++] = "LC_ALL=C";
    env[n++] = "GIT_OPTIONAL_LOCKS=0";
    env[n++] = "GIT_TERMINAL_PROMPT=0";
    env[n++] = "GIT_NO_REPLACE_OBJECTS=1";
    if (x && x->index) snprintf(var[var_n++], sizeof var[0], "GIT_INDEX_FILE=%s", x->index);
    if (x && x->date) {
        snprintf(var[var_n++], sizeof var[0], "GIT_AUTHOR_DATE=%s", x->date);
        snprintf(var[var_n++], sizeof var[0], "GIT_COMMITTER_DATE=%s", x->date);
    }
    if (r->name[0]) {
        snprintf(var[var_n++], sizeof var[0], "GIT_AUTHOR_NAME=%s", r->name);
        snprintf(var[var_n++], sizeof var[0], "GIT_AUTHOR_EMAIL=%s", r->email);
        snprintf(var[var_n++], sizeof var[0], "GIT_COMMITTER_NAME=%s", r->name);
        snprintf(var[var_n++], sizeof var[0], "GIT_COMMITTER_EMAIL=%s", r->email);
    }
    for (i = 0; i < var_n; i++) env[n++] = var[i];
    env[n] = NULL;

    memset(&p, 0, sizeof p);
    memset(&ignored, 0, sizeof ignored);
    p.argv = argv; p.env = env; p.cwd = r->root; p.timeout_s = 600;
    if (x) { p.input = x->input; p.input_n = x->input_n; }
    rc = process_run(&p, out ? out : &ignored, errs ? errs : &ignored);
    text_free(&ignored);
    free((void *)env);
    return rc;
}

enum { GIT_ARGS = 24 };
static void git_collect(const char **args, const char *first, va_list rest)
{
    int i = 0;
    for (args[i++] = first; i < GIT_ARGS - 1 && (args[i] = va_arg(rest, const char *)) != NULL; i++) { }
    args[GIT_ARGS - 1] = NULL;
}

/* The arguments end with NULL.  Exit status only. */
static int git(const record *r, const char *arg, ...)
{
    const char *args[GIT_ARGS];
    va_list rest;
    va_start(rest, arg);
    git_collect(args, arg, rest);
    va_end(rest);
    return git_run(r, NULL, NULL, NULL, args);
}

/* One line of output (an object's name, a ref) into out.  1 = git said yes and the line fits. */
static int git_line(const record *r, char *out, size_t out_bytes, const char *arg, ...)
{
    const char *args[GIT_ARGS];
    va_list rest;
    text t;
    int ok;
    va_start(rest, arg);
    git_collect(args, arg, rest);
    va_end(rest);
    memset(&t, 0, sizeof t);
    ok = git_run(r, NULL, &t, NULL, args) == 0;
    if (t.n > 0 && t.data[t.n - 1] == '\n') t.data[--t.n] = 0;
    ok = ok && t.n < out_bytes && !(t.data && strchr(t.data, '\n'));
    out[0] = 0;
    if (ok && t.data) memcpy(out, t.data, t.n + 1);
    text_free(&t);
    return ok;
}

/* The bytes of a blob such as "HEAD:./optimize.c", appended.  1 = ok. */
static int git_blob(const record *r, const char *name, text *out)
{
    const char *const args[] = { "cat-file", "blob", name, NULL };
    text_append(out, "", 0);
    return git_run(r, NULL, out, NULL, args) == 0;
}

/* Name and mode of the blob at a path of the root, in a commit, or in the index (commit = NULL).  1 = there is one. */
static int git_entry(const record *r, const char *commit, const char *name, char hex[65], char mode[8])
{
    char line[PATH_BYTES], kind[16];
    hex[0] = mode[0] = 0;
    if (commit) return git_line(r, line, sizeof line, "ls-tree", commit, "--", name, (const char *)NULL) && sscanf(line, "%7s %15s %64s", mode, kind, hex) == 3;
    return git_line(r, line, sizeof line, "ls-files", "-s", "--", name, (const char *)NULL) && sscanf(line, "%7s %64s", mode, hex) == 2;
}

/* Store bytes as a blob; its name into hex[65].  write = 0: only the name. */
static int git_hash(const record *r, const void *data, size_t n, int write, char *hex)
{
    const char *args[5];
    git_extra x;
    text t;
    int ok, i = 0;
    memset(&x, 0, sizeof x);
    memset(&t, 0, sizeof t);
    x.input = data; x.input_n = n;
    args[i++] = "hash-object";
    if (write) args[i++] = "-w";
    args[i++] = "--no-filters"; args[i++] = "--stdin"; args[i] = NULL;
    hex[0] = 0;
    ok = git_run(r, &x, &t, NULL, args) == 0 && t.data && sscanf(t.data, "%64s", hex) == 1;
    text_free(&t);
    return ok;
}

static void path_join(char *out, const char *a, const char *b)
{
    if (snprintf(out, PATH_BYTES, "%s/%s", a, b) >= PATH_BYTES) { fprintf(stderr, "harness: path too long: %s/%s\n", a, b); exit(125); }
}

static void now_utc(char out[24])
{
    const time_t t = time(NULL);
    struct tm tm;
    gmtime_r(&t, &tm);
    strftime(out, 24, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

/* Lines `key TAB value`, values escaped as in results.tsv: the format of pending, job.tsv and attempt.tsv. */
static void field_escape(text *out, const char *s, size_t limit);
static void field_unescape(const char *s, size_t n, char *out, size_t out_bytes);

static void kv_add(text *t, const char *key, const char *value)
{
    text_add(t, "%s\t", key);
    field_escape(t, value, (size_t)-1);
    text_append(t, "\n", 1);
}

static int kv_get(const char *data, const char *key, char *out, size_t out_bytes)
{
    const size_t k = strlen(key);
    out[0] = 0;
    while (data && *data) {
        const char *end = strchr(data, '\n');
        if (!end) end = data + strlen(data);
        if (strncmp(data, key, k) == 0 && data[k] == '\t') {
            field_unescape(data + k + 1, (size_t)(end - data) - k - 1, out, out_bytes);
            return 1;
        }
        data = *end ? end + 1 : NULL;
    }
    return 0;
}

/* Take an advisory lock that dies with this process.  Returns its descriptor, or -1 with a->why set (code 43). */
static int lock_take(const char *path, const char *what, attempt *a)
{
    char line[128] = "", since[24];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);             /* another user's file in a sticky folder */
    if (fd < 0) { refuse(a, 42, "mend the permissions of that file", "%s: %s", path, strerror(errno)); return -1; }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        const ssize_t k = pread(fd, line, sizeof line - 1, 0);
        line[k > 0 ? k : 0] = 0;
        line[strcspn(line, "\n")] = 0;
        refuse(a, 43, "wait for it to end, then run this again", "another harness is using %s: %s", what, line[0] ? line : "it does not say which");
        close(fd);
        return -1;
    }
    now_utc(since);
    snprintf(line, sizeof line, "pid %ld, since %s\n", (long)getpid(), since);
    if (ftruncate(fd, 0) == 0 && pwrite(fd, line, strlen(line), 0) < 0) { }     /* only a courtesy to whoever waits */
    return fd;
}

/* Lock one GPU against every clone on this machine; keep the descriptor open while measuring. */
static int lock_gpu(const char *uuid, attempt *a)
{
    char path[160];
    snprintf(path, sizeof path, "/tmp/autoopt-gpu-%.80s.lock", uuid);
    return lock_take(path, "this GPU", a);
}

static int git_locate(record *r, attempt *a)
{
    const char *const args[] = { "rev-parse", "--is-inside-work-tree", "--show-prefix", "--absolute-git-dir", "--git-common-dir", NULL };
    char common[PATH_BYTES], *line[4], *p;
    text out, errs;
    int i, rc;
    memset(&out, 0, sizeof out);
    memset(&errs, 0, sizeof errs);
    if (!getcwd(r->root, sizeof r->root)) return refuse(a, 42, "run from the folder of optimize.c", "current folder: %s", strerror(errno));
    rc = git_run(r, NULL, &out, &errs, args);
    if (rc == PROCESS_NOT_STARTED) refuse(a, 42, "./build.sh deps", "git: not found; the record needs it (verify and bench do not)");
    else if (rc != 0 || !out.data || strncmp(out.data, "true\n", 5) != 0)
        refuse(a, 42, "git init && git add . && git commit -m start", "no git worktree here: %.*s", (int)strcspn(errs.data ? errs.data : "", "\n"), errs.data ? errs.data : "");
    else {
        for (i = 0, p = out.data; i < 4; i++) {
            line[i] = p;
            p += strcspn(p, "\n");
            if (*p) *p++ = 0;
        }
        snprintf(r->prefix, sizeof r->prefix, "%s", line[1]);
        snprintf(r->gitdir, sizeof r->gitdir, "%s", line[2]);
        if (line[3][0] == '/') snprintf(common, sizeof common, "%s", line[3]);
        else path_join(common, r->root, line[3]);
        p = realpath(common, NULL);
        path_join(r->dir, p ? p : common, "autoopt");
        free(p);
        rc = 0;
        if (mkdir(r->dir, 0777) != 0 && errno != EEXIST) rc = refuse(a, 42, "mend the permissions", "%s: %s", r->dir, strerror(errno));
    }
    text_free(&out);
    text_free(&errs);
    return rc == 0 ? 0 : a->code;
}

/* Whose name stands on the commits: git's own settings, else the harness's. */
static void git_identity(record *r)
{
    char name[256], email[256];
    const int both = git_line(r, name, sizeof name, "config", "user.name", (const char *)NULL) && name[0]
                   && git_line(r, email, sizeof email, "config", "user.email", (const char *)NULL) && email[0];
    snprintf(r->name, sizeof r->name, "%s", both ? name : "autoopt harness");
    snprintf(r->email, sizeof r->email, "%s", both ? email : "harness@autoopt.invalid");
}

/* HEAD as it is now: branch (or detached), commit, and that optimize.c is a plain file in it. */
static int git_head(record *r, attempt *a)
{
    char hex[65], mode[8];
    if (!git_line(r, r->branch, sizeof r->branch, "symbolic-ref", "-q", "HEAD", (const char *)NULL)) r->branch[0] = 0;
    if (!git_line(r, r->head, sizeof r->head, "rev-parse", "-q", "--verify", "HEAD^{commit}", (const char *)NULL))
        return refuse(a, 42, "git add . && git commit -m start", "this branch has no commit yet: the incumbent is optimize.c at HEAD");
    if (!git_entry(r, "HEAD", "optimize.c", hex, mode) || strncmp(mode, "100", 3) != 0)
        return refuse(a, 42, "git add optimize.c && git commit -m 'optimize.c' -- optimize.c", "optimize.c is not a plain file of HEAD");
    return 0;
}

/* Nothing half done by git itself, nobody else's lock, room to write. */
static int git_state(const record *r, attempt *a)
{
    static const struct { const char *file, *what, *next; } busy[] = {
        { "rebase-merge", "a rebase is in progress", "git rebase --continue (or git rebase --abort)" },
        { "rebase-apply", "a rebase or git am is in progress", "git rebase --continue (or git rebase --abort; git am --abort)" },
        { "MERGE_HEAD", "a merge is in progress", "git merge --continue (or git merge --abort)" },
        { "CHERRY_PICK_HEAD", "a cherry-pick is in progress", "git cherry-pick --continue (or git cherry-pick --abort)" },
        { "REVERT_HEAD", "a revert is in progress", "git revert --continue (or git revert --abort)" },
        { "BISECT_LOG", "a bisect is in progress", "git bisect reset" } };
    char path[PATH_BYTES];
    struct stat st;
    struct statvfs fs;
    size_t i;
    int wait;
    for (i = 0; i < sizeof busy / sizeof busy[0]; i++) {
        path_join(path, r->gitdir, busy[i].file);
        if (stat(path, &st) == 0) return refuse(a, 42, busy[i].next, "%s", busy[i].what);
    }
    path_join(path, r->gitdir, "index.lock");
    for (wait = 0; stat(path, &st) == 0; wait++) {
        if (wait >= RECORD_WAIT_S * 10)
            return refuse(a, 42, "end the git that holds it, or remove that file if none runs", "%s: held for %lld s", path, (long long)(time(NULL) - st.st_mtime));
        usleep(100000);
    }
    if ((statvfs(r->dir, &fs) == 0 && (double)fs.f_bavail * (double)fs.f_frsize < SPACE_NEEDED_MB * 1048576.0)
        || (statvfs(r->root, &fs) == 0 && (double)fs.f_bavail * (double)fs.f_frsize < SPACE_NEEDED_MB * 1048576.0))
        return refuse(a, 42, "free some space", "disk full: %.1f MB free, %d needed", (double)fs.f_bavail * (double)fs.f_frsize / 1048576.0, (int)SPACE_NEEDED_MB);
    return 0;
}

/* Move a ref from old ("" = it must not exist) to new, or find it there already.  1 = it is at new; 0 = it is elsewhere or stays locked. */
static int git_move(const record *r, const char *ref, const char *to, const char *from, const char *why)
{
    char at[65], zero[65];
    int wait;
    memset(zero, '0', 64);
    zero[strlen(to)] = 0;
    for (wait = 0; ; wait++) {
        if (!git_line(r, at, sizeof at, "rev-parse", "-q", "--verify", ref, (const char *)NULL)) at[0] = 0;
        if (strcmp(at, to) == 0) return 1;
        if (strcmp(at, from) != 0) return 0;
        if (git(r, "update-ref", "--create-reflog", "-m", why, ref, to, from[0] ? from : zero, (const char *)NULL) == 0) return 1;
        if (wait >= RECORD_WAIT_S * 10) return 0;
        usleep(100000);
    }
}

/* The log that this clone goes on with.  A plain clone has no refs/autoopt/log, but its branch carries it as second parent of the
   last KEEP; a shallow one may have neither, and then the committed results.tsv is where the log starts. */
static int git_find_log(record *r, int write, attempt *a)
{
    char carried[65], path[PATH_BYTES], next[300];
    text t;
    memset(&t, 0, sizeof t);
    if (!git_line(r, r->log, sizeof r->log, "rev-parse", "-q", "--verify", "refs/autoopt/log^{commit}", (const char *)NULL)) r->log[0] = 0;
    if (!git_line(r, carried, sizeof carried, "log", "-1", "--grep=^Autoopt-Log: ", "--format=%(trailers:key=Autoopt-Log,valueonly,separator=)", "HEAD", (const char *)NULL)
        || git(r, "cat-file", "-e", carried, (const char *)NULL) != 0) carried[0] = 0;
    path_join(path, r->dir, "adopted");
    if (carried[0] && strcmp(carried, r->log) != 0 && (!r->log[0] || git(r, "merge-base", "--is-ancestor", carried, r->log, (const char *)NULL) != 0)) {
        if (r->log[0] && git(r, "merge-base", "--is-ancestor", r->log, carried, (const char *)NULL) != 0) {
            snprintf(next, sizeof next, "to go on with the branch's: git update-ref refs/autoopt/mine refs/autoopt/log && git update-ref refs/autoopt/log %s && ./harness sync", carried);
            return refuse(a, 42, next, "this clone and its branch carry different logs of attempts (%.12s and %.12s)", r->log, carried);
        }
        if (write && !git_move(r, "refs/autoopt/log", carried, r->log, "autoopt: carried by the branch"))
            return refuse(a, 42, "run this again", "refs/autoopt/log is locked");
        snprintf(r->log, sizeof r->log, "%s", carried);
        if (write) unlink(path);
    }
    if (file_read(path, 64, &t, NULL) == AOPT_OK) r->adopted = strtoll(t.data, NULL, 10);
    else r->adopted = -1;
    text_free(&t);
    return 0;
}

/* ---- a step of the record: everything is made first, then `pending` says it, then it is done, and redone after a kill ---- */
typedef struct pending {
    int64_t n;
    char verdict[16], root[PATH_BYTES], gitdir[PATH_BYTES];
    char branch[256], old_head[65], new_head[65];       /* new_head "" = no commit on the branch */
    char old_log[65], new_log[65];
    char candidate[2][65], head_blob[2][65];            /* optimize.c, autoopt_kernels.cuh ("" = not part of it) */
    char strict[2];                                     /* "1" = this worktree was judged: say 45 if it was edited meanwhile */
} pending;
static const char *const source_name[2] = { "optimize.c", "autoopt_kernels.cuh" };

static aopt_status pending_write(const record *r, const pending *p, aopt_error *err)
{
    char path[PATH_BYTES], number[24];
    aopt_status st;
    text t;
    memset(&t, 0, sizeof t);
    snprintf(number, sizeof number, "%lld", (long long)p->n);
    kv_add(&t, "n", number); kv_add(&t, "verdict", p->verdict);
    kv_add(&t, "root", p->root); kv_add(&t, "gitdir", p->gitdir);
    kv_add(&t, "branch", p->branch); kv_add(&t, "old_head", p->old_head); kv_add(&t, "new_head", p->new_head);
    kv_add(&t, "old_log", p->old_log); kv_add(&t, "new_log", p->new_log);
    kv_add(&t, "candidate0", p->candidate[0]); kv_add(&t, "candidate1", p->candidate[1]);
    kv_add(&t, "head0", p->head_blob[0]); kv_add(&t, "head1", p->head_blob[1]); kv_add(&t, "strict", p->strict);
    path_join(path, r->dir, "pending");
    st = file_write(path, t.data, t.n, 0666, err);
    text_free(&t);
    return st;
}

static int pending_read(const record *r, pending *p)
{
    char path[PATH_BYTES], number[24];
    text t;
    int ok;
    memset(&t, 0, sizeof t);
    memset(p, 0, sizeof *p);
    path_join(path, r->dir, "pending");
    ok = file_read(path, 1 << 16, &t, NULL) == AOPT_OK;
    if (ok) {
        kv_get(t.data, "n", number, sizeof number);
        p->n = strtoll(number, NULL, 10);
        kv_get(t.data, "verdict", p->verdict, sizeof p->verdict);
        kv_get(t.data, "root", p->root, sizeof p->root); kv_get(t.data, "gitdir", p->gitdir, sizeof p->gitdir);
        kv_get(t.data, "branch", p->branch, sizeof p->branch);
        kv_get(t.data, "old_head", p->old_head, sizeof p->old_head); kv_get(t.data, "new_head", p->new_head, sizeof p->new_head);
        kv_get(t.data, "old_log", p->old_log, sizeof p->old_log); kv_get(t.data, "new_log", p->new_log, sizeof p->new_log);
        kv_get(t.data, "candidate0", p->candidate[0], 65); kv_get(t.data, "candidate1", p->candidate[1], 65);
        kv_get(t.data, "head0", p->head_blob[0], 65); kv_get(t.data, "head1", p->head_blob[1], 65);
        kv_get(t.data, "strict", p->strict, sizeof p->strict);
    }
    text_free(&t);
    return ok;
}

/* Replace a source in the worktree, but only the version `from` (by `to`; both are blobs).  0 = it is `to` now; 45 = it is something
   else, somebody edited it meanwhile, and it stays; 42 = cannot. */
static int source_settle(const record *r, const char *name, const char *from, const char *to, attempt *a)
{
    char path[PATH_BYTES], hex[65];
    text t;
    aopt_error err;
    struct stat st;
    int rc = 0;
    memset(&t, 0, sizeof t);
    path_join(path, r->root, name);
    if (file_read(path, SOURCE_LIMIT, &t, NULL) != AOPT_OK || !git_hash(r, t.data, t.n, 0, hex) || (strcmp(hex, from) != 0 && strcmp(hex, to) != 0))
        rc = refuse(a, 45, "look at it; ./harness show has the version that was judged", "%s was changed during the run and is left as it is", name);
    else if (strcmp(hex, to) != 0) {
        t.n = 0;
        if (!git_blob(r, to, &t)) rc = refuse(a, 42, "git fsck", "cannot read %s (blob %s)", name, to);
        else if (file_write(path, t.data, t.n, stat(path, &st) == 0 ? (int)(st.st_mode & 0777) : 0644, &err) != AOPT_OK)
            rc = refuse(a, 42, "free some space, then run this again", "%s", err.message);
    }
    text_free(&t);
    return rc;
}

/* Entries of the user's real index, only of files that the harness has just committed or restored.  What somebody staged of a source
   or of PROGRESS.md stays.  1 = done. */
static int index_update(const record *r, const pending *p)
{
    static const char *const name[] = { "results.tsv", "leaderboard.md", "progress.svg", "optimize.c", "autoopt_kernels.cuh", "PROGRESS.md" };
    enum { OWN = 3 };
    const char *const args[] = { "update-index", "--add", "-z", "--index-info", NULL };
    char staged[65], was[65], now[65], mode[8];
    text t;
    git_extra x;
    int i, ok = 1, wait;
    memset(&t, 0, sizeof t);
    for (i = 0; i < 6; i++) {
        git_entry(r, NULL, name[i], staged, mode);
        if (p->new_head[0]) {
            git_entry(r, p->old_head, name[i], was, mode);
            if (!git_entry(r, p->new_head, name[i], now, mode)) continue;
        } else {                                /* restored: an attempt that was staged leaves the index too */
            if (i != OWN && i != OWN + 1) continue;
            snprintf(was, sizeof was, "%s", p->candidate[i - OWN]);
            snprintf(now, sizeof now, "%s", p->head_blob[i - OWN]);
            if (!was[0]) continue;
        }
        if (strcmp(staged, now) == 0 || (i >= OWN && strcmp(staged, was) != 0)) continue;
        text_add(&t, "%s %s\t%s%s", mode[0] ? mode : "100644", now, r->prefix, name[i]);
        text_append(&t, "", 1);
    }
    if (t.n > 0) {
        memset(&x, 0, sizeof x);
        x.input = t.data; x.input_n = t.n;
        for (wait = 0; (ok = git_run(r, &x, NULL, NULL, args) == 0) == 0 && wait < RECORD_WAIT_S * 10; wait++) usleep(100000);
    }
    text_free(&t);
    return ok;
}

static int results_load(record *r, attempt *a);
static int results_complete(const record *r, attempt *a);
static int views_write(const record *r, attempt *a);

/* Do, or finish, a step that `pending` describes.  Every part first looks whether it is done.  0, or a->code:
   42 with pending left (run again), 45 = done, but a file that somebody edited was left alone. */
static int pending_apply(record *r, const pending *p, attempt *a)
{
    char path[PATH_BYTES], at[65], why[64], spec[80];
    int i, rc = 0, k, keep;
    snprintf(why, sizeof why, "autoopt: row %lld, %s", (long long)p->n, p->verdict);
    if (!git_move(r, "refs/autoopt/log", p->new_log, p->old_log, why))
        return refuse(a, 42, "git reflog refs/autoopt/log tells what moved it", "refs/autoopt/log is neither %.12s nor %.12s, or is locked", p->old_log, p->new_log);
    RECORD_STEP();
    snprintf(r->log, sizeof r->log, "%s", p->new_log);
    r->results.n = 0;
    snprintf(spec, sizeof spec, "%s:results.tsv", r->log);
    if (!git_blob(r, spec, &r->results)) return refuse(a, 42, "git fsck", "cannot read results.tsv of %s", r->log);
    if ((rc = results_complete(r, a)) != 0) return rc;
    RECORD_STEP();
    if (p->new_head[0]) {
        if (!git_move(r, p->branch, p->new_head, p->old_head, why)) {
            if (!git_line(r, at, sizeof at, "rev-parse", "-q", "--verify", p->branch, (const char *)NULL)) at[0] = 0;
            if (strcmp(at, p->old_head) == 0) return refuse(a, 42, "end the git that holds it, then run this again", "%s is locked", p->branch);
            rc = refuse(a, 45, "run it again on the branch as it is now", "%s moved to %.12s during the run; row %lld is recorded, its commit %.12s is not on the branch",
                        p->branch, at, (long long)p->n, p->new_head);
        }
        RECORD_STEP();
    }
    keep = strcmp(p->verdict, "KEEP") == 0;
    for (i = 0; i < 2 && rc == 0; i++)
        if (p->candidate[i][0] && (p->new_head[0] || !keep)) {
            k = keep ? source_settle(r, source_name[i], p->head_blob[i], p->candidate[i], a) : source_settle(r, source_name[i], p->candidate[i], p->head_blob[i], a);
            if (k == 42 || (k == 45 && !keep && p->strict[0])) rc = k;
        }
    RECORD_STEP();
    if (rc == 42) return rc;
    if (rc == 0 && !index_update(r, p)) return refuse(a, 42, "end the git that holds it, then run this again", "%s/index.lock is held; row %lld is recorded", r->gitdir, (long long)p->n);
    RECORD_STEP();
    if ((k = views_write(r, a)) != 0) return k;
    RECORD_STEP();
    path_join(path, r->dir, "pending");
    if (unlink(path) != 0) return refuse(a, 42, "mend the permissions", "%s: %s", path, strerror(errno));
    RECORD_STEP();
    return rc;
}

/* Finish what a killed run left.  The step may belong to another worktree of this clone. */
static int record_recover(record *r, attempt *a)
{
    record there;
    pending p;
    int rc;
    if (!pending_read(r, &p)) return 0;
    there = *r;
    memset(&there.results, 0, sizeof there.results);
    if (strcmp(p.gitdir, r->gitdir) != 0 && access(p.root, F_OK) == 0 && access(p.gitdir, F_OK) == 0) {
        snprintf(there.root, sizeof there.root, "%s", p.root);
        snprintf(there.gitdir, sizeof there.gitdir, "%s", p.gitdir);
    }
    rc = pending_apply(&there, &p, a);
    text_free(&there.results);
    if (rc == 45) return 0;             /* said by the run that was killed, or by the row; nothing more to do */
    return rc;
}

static void record_close(record *r)
{
    if (r->lock >= 0) close(r->lock);
    r->lock = -1;
    text_free(&r->results);
}

/* Find the repository and the log.  write = 1: take the clone's lock, check git's state, finish what a killed run left, and check that
   results.tsv is what the log says.  0, or the exit code with a->why and a->next.  record_close in any case. */
static int record_open(record *r, int write, attempt *a)
{
    char path[PATH_BYTES];
    int rc;
    memset(r, 0, sizeof *r);
    r->lock = -1;
    if ((rc = git_locate(r, a)) != 0) return rc;
    git_identity(r);
    if (write) {
        path_join(path, r->dir, "lock");
        if ((r->lock = lock_take(path, "this clone", a)) < 0) return a->code;
        if ((rc = git_state(r, a)) != 0 || (rc = record_recover(r, a)) != 0) return rc;
    }
    if ((rc = git_head(r, a)) != 0 || (rc = git_find_log(r, write, a)) != 0) return rc;
    return results_load(r, a);
}

/* ==== [10] record: results.tsv, leaderboard, progress.svg, PROGRESS.md ==================================
   results.tsv: the header, then one row an attempt, TAB between fields, numbers as C prints them, `-` = not measured (never 0).
   In text fields \, control bytes and invalid UTF-8 are written \xHH, and a leading = + - @ gets a space before it.
   gain, ci, delta in percent; t in milliseconds; base = the fastest measured baseline of the row's task and device. */
#define COLUMNS(X) X(N, "n") X(UTC, "utc") X(VERDICT, "verdict") X(CODE, "code") X(TASK, "task") X(DEVICE, "device") X(SCOPE, "scope") X(VIA, "via") \
    X(CANDIDATE, "candidate") X(PARENT, "parent") X(GAIN, "gain_pct") X(CI_LO, "ci_lo") X(CI_HI, "ci_hi") X(WINS, "wins") X(PAIRS, "pairs") \
    X(T_CAND, "t_cand_ms") X(T_INC, "t_inc_ms") X(SPEEDUP, "speedup_base") X(PSNR, "psnr") X(PSNR_FRAME, "psnr_frame_min") \
    X(PSNR_TILE, "psnr_tile_min") X(MAX_ABS, "max_abs") X(MARGIN, "margin_db") X(INIT, "init_s") X(PEAK, "peak_mb") X(SM_MHZ, "sm_mhz") \
    X(LOCKED, "locked") X(DELTA, "delta_pct") X(ENV, "env_hash") X(HARNESS, "harness_hash") X(REFERENCE, "reference") X(SANDBOX, "sandbox") \
    X(LINES, "lines_changed") X(ATTACK, "attack") X(DESC, "desc")
#define COLUMN(id, text) C_##id,
enum column { COLUMNS(COLUMN) COLUMN_N };
#undef COLUMN
#define COLUMN(id, text) text,
static const char *const column_name[COLUMN_N] = { COLUMNS(COLUMN) };
#undef COLUMN

typedef struct row { const char *field[COLUMN_N]; } row;
typedef struct table { char *text; row *row; int n; } table;    /* rows point into text */

/* Length of the UTF-8 character at s[n], 0 if it is none. */
static size_t utf8_length(const unsigned char *s, size_t n)
{
    const size_t k = s[0] < 0x80 ? 1 : s[0] >= 0xc2 && s[0] < 0xe0 ? 2 : s[0] >= 0xe0 && s[0] < 0xf0 ? 3 : s[0] >= 0xf0 && s[0] < 0xf5 ? 4 : 0;
    size_t i;
    if (k == 0 || k > n) return 0;
    for (i = 1; i < k; i++) if ((s[i] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] >= 0xa0) || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] >= 0x90)) return 0;
    return k;
}

/* At most `limit` bytes of s, cut between characters; "" becomes "-". */
static void field_escape(text *out, const char *s, size_t limit)
{
    const unsigned char *p = (const unsigned char *)s;
    size_t n = strlen(s), k;
    if (n == 0) { text_append(out, "-", 1); return; }
    if (strchr("=+-@", s[0])) text_append(out, " ", 1);
    for (; n > 0 && limit > 0; p += k, n -= k) {
        k = utf8_length(p, n);
        if (k > limit) break;
        limit -= k ? k : 1;
        if (k == 0 || p[0] < 32 || p[0] == 127 || p[0] == '\\') { text_add(out, "\\x%02x", p[0]); k = 1; }
        else text_append(out, p, k);
    }
}

static int hex_digit(char c) { return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1; }

static void field_unescape(const char *s, size_t n, char *out, size_t out_bytes)
{
    size_t i = 0, k = 0;
    if (n == 1 && s[0] == '-') n = 0;
    if (n > 1 && s[0] == ' ' && strchr("=+-@", s[1])) i = 1;
    for (; i < n && k + 1 < out_bytes; i++) {
        if (s[i] == '\\' && i + 3 < n && s[i + 1] == 'x' && hex_digit(s[i + 2]) >= 0 && hex_digit(s[i + 3]) >= 0) {
            out[k++] = (char)(hex_digit(s[i + 2]) * 16 + hex_digit(s[i + 3]));
            i += 3;
        } else out[k++] = s[i];
    }
    out[k] = 0;
}

static void table_free(table *t)
{
    free(t->text);
    free(t->row);
    memset(t, 0, sizeof *t);
}

/* Parse results.tsv.  AOPT_E_FORMAT names the line. */
static aopt_status table_parse(const char *data, size_t n, table *out, aopt_error *err)
{
    text header;
    char *p, *end;
    size_t h;
    int i, cap = 1;
    memset(out, 0, sizeof *out);
    memset(&header, 0, sizeof header);
    for (i = 0; i < COLUMN_N; i++) text_add(&header, "%s%c", column_name[i], i + 1 < COLUMN_N ? '\t' : '\n');
    h = header.n;
    i = n >= h && memcmp(data, header.data, h) == 0;
    text_free(&header);
    if (!i) return aopt_fail(err, AOPT_E_FORMAT, "results.tsv: the first line is not the header of this version (%d columns, n to desc)", COLUMN_N);
    out->text = (char *)malloc(n - h + 1);
    for (p = (char *)(uintptr_t)data + h; p < data + n; p++) cap += *p == '\n';
    out->row = (row *)malloc((size_t)cap * sizeof *out->row);
    if (!out->text || !out->row) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    memcpy(out->text, data + h, n - h);
    out->text[n - h] = 0;
    for (p = out->text; *p; p = end + 1) {
        end = strchr(p, '\n');
        if (!end || out->n + 1 > cap) break;
        *end = 0;
        for (i = 0; i < COLUMN_N && p; i++) {
            out->row[out->n].field[i] = p;
            p = strchr(p, '\t');
            if (p) *p++ = 0;
        }
        if (i != COLUMN_N || p || strtoll(out->row[out->n].field[C_N], NULL, 10) <= (out->n ? strtoll(out->row[out->n - 1].field[C_N], NULL, 10) : 0)) break;
        out->n++;
    }
    if (*p || !p) {
        aopt_fail(err, AOPT_E_FORMAT, "results.tsv: line %d is not a row: %d fields and a rising number are expected", out->n + 2, COLUMN_N);
        table_free(out);
        return AOPT_E_FORMAT;
    }
    return AOPT_OK;
}

static double row_number(const row *r, int column)
{
    char *end;
    const double v = strtod(r->field[column], &end);
    return end == r->field[column] || *end ? NAN : v;
}
static int row_is(const row *r, int column, const char *value) { return strcmp(r->field[column], value) == 0; }
static int row_keep(const row *r) { return row_is(r, C_VERDICT, "KEEP"); }
static int row_baseline(const row *r) { return row_is(r, C_VERDICT, "BASELINE"); }
static int row_group(const row *r, const row *other) { return row_is(r, C_TASK, other->field[C_TASK]) && row_is(r, C_DEVICE, other->field[C_DEVICE]); }

/* The fastest measured baseline of a row's task and device, milliseconds, over the first n rows; NAN = none.  Where a device has two
   (strict fp32 and TF32), the faster is the honest one to compare with. */
static double baseline_ms(const table *t, int n, const row *like)
{
    double best = NAN;
    int i;
    for (i = 0; i < n && i < t->n; i++)
        if (row_baseline(&t->row[i]) && row_group(&t->row[i], like)) {
            const double v = row_number(&t->row[i], C_T_INC);
            if (v > 0 && !(best <= v)) best = v;
        }
    return best;
}

/* A figure of the gate by the name of its column: a target may say psnr, psnr_db or snr_db.  NAN = not among them. */
static double quality_metric(const attempt *a, const char *name)
{
    const size_t n = strlen(name);
    int i;
    for (i = 0; i < a->metric_n; i++) {
        const char *m = a->metric[i].name;
        const char *want = name[0] == 'p' && m[0] != 'p' ? name + 1 : name;
        const size_t k = n - (size_t)(want - name);
        if (strncmp(m, want, k) == 0 && (m[k] == 0 || strcmp(m + k, "_db") == 0)) return a->metric[i].value;
    }
    return NAN;
}

static void add_number(text *out, double v, int digits)
{
    if (isfinite(v)) text_add(out, "%.*f\t", digits, v);
    else text_append(out, "-\t", 2);
}

static void add_text(text *out, const char *s, size_t limit)
{
    field_escape(out, s, limit);
    text_append(out, "\t", 1);
}

/* The row of an attempt, with its newline.  before: the rows that came before it. */
static void row_make(const attempt *a, const table *before, text *out)
{
    row like;
    double base;
    text key;
    char field[2][256];
    memset(&key, 0, sizeof key);
    memset(&like, 0, sizeof like);
    add_text(&key, a->task, 200);
    snprintf(field[0], sizeof field[0], "%.*s", (int)key.n - 1, key.data);
    key.n = 0;
    add_text(&key, a->device, 200);
    snprintf(field[1], sizeof field[1], "%.*s", (int)key.n - 1, key.data);
    text_free(&key);
    like.field[C_TASK] = field[0];
    like.field[C_DEVICE] = field[1];
    base = baseline_ms(before, before->n, &like);
    if (a->verdict == V_BASELINE && !(base <= a->t_inc_ms)) base = a->t_inc_ms;

    text_add(out, "%lld\t%s\t%s\t%d\t%s\t%s\t", (long long)a->n, a->utc, verdict_name(a->verdict), a->code, field[0], field[1]);
    add_text(out, a->scope, 12); add_text(out, a->via, 12); add_text(out, a->candidate_blob, 136); add_text(out, a->incumbent_blob, 136);
    add_number(out, a->gain_pct, 2); add_number(out, a->ci_lo, 2); add_number(out, a->ci_hi, 2);
    add_number(out, a->pairs > 0 ? a->wins : NAN, 0); add_number(out, a->pairs > 0 ? a->pairs : NAN, 0);
    add_number(out, a->t_cand_ms, 3); add_number(out, a->t_inc_ms, 3); add_number(out, base / a->t_cand_ms, 3);
    add_number(out, quality_metric(a, "psnr"), 2); add_number(out, quality_metric(a, "psnr_frame_min"), 2);
    add_number(out, quality_metric(a, "psnr_tile_min"), 2); add_number(out, quality_metric(a, "max_abs"), 6);
    add_number(out, a->margin_db, 2); add_number(out, a->init_s, 2); add_number(out, a->peak_mb, 0); add_number(out, a->sm_mhz, 0);
    add_number(out, a->locked >= 0 ? a->locked : NAN, 0); add_number(out, a->delta_pct, 2);
    add_text(out, a->env_hash, 16); add_text(out, a->harness_hash, 64); add_text(out, a->reference, 64); add_text(out, a->sandbox, 23);
    add_number(out, a->lines_changed >= 0 ? a->lines_changed : NAN, 0); add_text(out, a->attack, 63); add_text(out, a->desc, 200);
    out->data[out->n - 1] = '\n';
}

/* r->results from the log, else from HEAD, else an empty table. */
static int results_load(record *r, attempt *a)
{
    char spec[80];
    table t;
    aopt_error err;
    int i;
    r->results.n = 0;
    snprintf(spec, sizeof spec, "%s:results.tsv", r->log);
    if (r->log[0] && !git_blob(r, spec, &r->results)) return refuse(a, 42, "git fsck", "cannot read results.tsv of the log (%s)", r->log);
    if (!r->log[0] && !git_blob(r, "HEAD:./results.tsv", &r->results)) r->results.n = 0;
    if (r->results.n == 0) for (i = 0; i < COLUMN_N; i++) text_add(&r->results, "%s%c", column_name[i], i + 1 < COLUMN_N ? '\t' : '\n');
    if (table_parse(r->results.data, r->results.n, &t, &err) != AOPT_OK) return refuse(a, 44, "git log -p results.tsv", "%s", err.message);
    table_free(&t);
    return 0;
}

/* Where the worktree's results.tsv departs from the log's: the row and the field. */
static int results_refuse(const text *file, const text *truth, attempt *a)
{
    static const char next[] = "./harness sync writes results.tsv again from the log";
    size_t i = 0, start = 0, fields = 0, k, end;
    long long n;
    while (i < file->n && i < truth->n && file->data[i] == truth->data[i]) {
        fields = truth->data[i] == '\n' ? 0 : fields + (truth->data[i] == '\t');
        if (truth->data[i++] == '\n') start = i;
    }
    if (start == 0) return refuse(a, 44, next, "the header of results.tsv differs from the log");
    n = strtoll((start < truth->n ? truth->data : file->data) + start, NULL, 10);
    if (i >= truth->n) return refuse(a, 44, next, "row %lld of results.tsv is not in the log", n);
    k = i;
    while (k > start && truth->data[k - 1] != '\t') k--;
    for (end = k; end < truth->n && !strchr("\t\n", truth->data[end]); end++) { }
    return refuse(a, 44, next, "row %lld of results.tsv differs from the log: %s is %.*s there and %.*s here", n, column_name[fields < COLUMN_N ? fields : 0],
                  (int)(end - k), truth->data + k, (int)strcspn(file->data + k, "\t\n"), file->data + k);
}

/* Make the worktree's results.tsv equal to the log's, by one append of what it lacks (rows, half a row, or the last newline).
   Anything else in it is refused: 44. */
static int results_complete(const record *r, attempt *a)
{
    char path[PATH_BYTES];
    text file;
    aopt_error err;
    int rc = 0, fd;
    memset(&file, 0, sizeof file);
    text_append(&file, "", 0);
    path_join(path, r->root, "results.tsv");
    if (access(path, F_OK) == 0 && file_read(path, RESULTS_LIMIT, &file, &err) != AOPT_OK) rc = refuse(a, 44, "./harness sync", "%s", err.message);
    else if (file.n > r->results.n || memcmp(file.data, r->results.data, file.n) != 0) rc = results_refuse(&file, &r->results, a);
    else if (file.n < r->results.n) {
        const size_t rest = r->results.n - file.n;
        fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
        if (fd < 0 || write(fd, r->results.data + file.n, rest) != (ssize_t)rest || fsync(fd) != 0)
            rc = refuse(a, 42, "free some space, then run this again: the row is safe in the log", "%s: %s", path, strerror(errno));
        if (fd >= 0) close(fd);
    }
    text_free(&file);
    return rc;
}

/* ---- leaderboard.md ---- */
static void add_ms(text *t, double ms)
{
    if (!isfinite(ms)) text_add(t, "-");
    else if (ms >= 10000) text_add(t, "%.2f s", ms / 1000);
    else if (ms >= 1000) text_add(t, "%.3f s", ms / 1000);
    else if (ms >= 100) text_add(t, "%.1f ms", ms);
    else text_add(t, "%.3g ms", ms);
}

/* Text of a row for Markdown (markup = '|') or XML (markup = '<'), at most `limit` bytes of it. */
static void add_escaped(text *t, const char *s, char markup, size_t limit)
{
    size_t k;
    for (; *s; s += k) {
        k = utf8_length((const unsigned char *)s, strlen(s));
        if (k == 0) k = 1;
        if (k > limit) { text_add(t, "\xe2\x80\xa6"); return; }
        limit -= k;
        if (*s == '<') text_add(t, "&lt;");
        else if (*s == '&') text_add(t, "&amp;");
        else if (*s == '>' ) text_add(t, "&gt;");
        else if (markup == '<' && *s == '"') text_add(t, "&quot;");
        else if (markup == '|' && strchr("|`*_[]\\", *s)) text_add(t, "\\%c", *s);
        else text_append(t, s, k);
    }
}

static const table *sort_table;
static int by_time(const void *x, const void *y)
{
    const row *a = &sort_table->row[*(const int *)x], *b = &sort_table->row[*(const int *)y];
    const double ta = row_number(a, C_T_CAND), tb = row_number(b, C_T_CAND);
    if (ta != tb) return ta < tb ? -1 : 1;
    return *(const int *)x - *(const int *)y;
}

/* First row of each task and device, in the order of their newest attempts, the newest first.  Returns how many. */
static int table_groups(const table *t, int *first, int max)
{
    int i, k, n = 0;
    for (i = t->n - 1; i >= 0 && n < max; i--) {
        for (k = 0; k < n && !row_group(&t->row[first[k]], &t->row[i]); k++) { }
        if (k == n) first[n++] = i;
    }
    for (k = 0; k < n; k++)
        for (i = 0; i < t->n; i++) if (row_group(&t->row[i], &t->row[first[k]])) { first[k] = i; break; }
    return n;
}

typedef struct group_count { int attempts, keeps, baselines; double base, best; int best_row; } group_count;
static group_count group_of(const table *t, const row *like)
{
    group_count g;
    int i;
    memset(&g, 0, sizeof g);
    g.best_row = -1;
    g.base = baseline_ms(t, t->n, like);
    g.best = NAN;
    for (i = 0; i < t->n; i++) {
        const row *w = &t->row[i];
        const double v = row_number(w, C_T_CAND);
        if (!row_group(w, like)) continue;
        if (row_baseline(w)) g.baselines++; else g.attempts++;
        g.keeps += row_keep(w);
        if ((row_keep(w) || row_baseline(w)) && v > 0 && !(g.best <= v)) { g.best = v; g.best_row = i; }
    }
    return g;
}

enum { GROUPS = 64 };
static void leaderboard_make(const table *t, text *out)
{
    int first[GROUPS], k, i, n;
    const int groups = table_groups(t, first, GROUPS);
    int *order = (int *)malloc((size_t)(t->n + 1) * sizeof *order);
    if (!order) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    text_add(out, "# Leaderboard\n\nWritten by the harness from results.tsv: what was kept, fastest first. Times are medians measured by the judge, speed-up is over the\n"
                  "fastest measured baseline (the frozen fp32 decoder) of the same task on the same device. `./harness show ROW` prints an attempt.\n");
    for (k = 0; k < groups; k++) {
        const row *like = &t->row[first[k]];
        const group_count g = group_of(t, like);
        text_add(out, "\n## ");
        add_escaped(out, like->field[C_TASK], '|', 80); text_add(out, " on "); add_escaped(out, like->field[C_DEVICE], '|', 200);
        text_add(out, "\n\nBaseline ");
        add_ms(out, g.base);
        text_add(out, "; %d attempt%s, %d kept.\n\n", g.attempts, g.attempts == 1 ? "" : "s", g.keeps);
        text_add(out, "| rank | time | speed-up | gain | 95 %% interval | PSNR dB | worst frame | peak MB | row | date | what |\n"
                      "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|\n");
        for (i = n = 0; i < t->n; i++)
            if (row_group(&t->row[i], like) && (row_keep(&t->row[i]) || row_baseline(&t->row[i])) && row_number(&t->row[i], C_T_CAND) > 0) order[n++] = i;
        sort_table = t;
        qsort(order, (size_t)n, sizeof *order, by_time);
        for (i = 0; i < n; i++) {
            const row *w = &t->row[order[i]];
            const double speedup = g.base / row_number(w, C_T_CAND);
            text_add(out, "| %d | ", i + 1);
            add_ms(out, row_number(w, C_T_CAND));
            if (isfinite(speedup)) text_add(out, " | %.2fx", speedup); else text_add(out, " | -");
            if (row_keep(w)) text_add(out, " | %s %% | %s to %s", w->field[C_GAIN], w->field[C_CI_LO], w->field[C_CI_HI]); else text_add(out, " | - | -");
            text_add(out, " | %s | %s | %s | %s | %.10s | ", w->field[C_PSNR], w->field[C_PSNR_FRAME], w->field[C_PEAK], w->field[C_N], w->field[C_UTC]);
            add_escaped(out, w->field[C_DESC], '|', 200);
            text_add(out, " |\n");
        }
    }
    free(order);
}

/* ---- progress.svg: for each task and device, every attempt a dot, what was kept joined as a staircase ---- */
enum { PLOT_W = 960, PLOT_H = 420, PLOT_LEFT = 78, PLOT_RIGHT = 880, PLOT_TOP = 92, PLOT_BOTTOM = 356, PLOT_MAX = 6, LABEL_MAX = 12 };
typedef struct plot {
    double lo, hi; int log;             /* of the vertical axis, milliseconds */
    int n;                              /* attempts */
    double x[2], y0;                    /* first and last dot; offset of the panel in the page */
} plot;
typedef struct box { double x0, y0, x1, y1; } box;
typedef struct dot { double x, y, ms; int row, keep, timed; } dot;

static double plot_x(const plot *p, int i) { return PLOT_LEFT + 26 + (p->n > 1 ? (PLOT_RIGHT - PLOT_LEFT - 52) * (double)i / (p->n - 1) : 0); }
static double plot_y(const plot *p, double ms)
{
    const double v = ms > p->hi ? p->hi : ms < p->lo ? p->lo : ms;
    const double f = p->log ? log(v / p->lo) / log(p->hi / p->lo) : (v - p->lo) / (p->hi - p->lo);
    return p->y0 + PLOT_BOTTOM - f * (PLOT_BOTTOM - PLOT_TOP);
}
static int box_cross(const box *a, const box *b) { return a->x0 < b->x1 && b->x0 < a->x1 && a->y0 < b->y1 && b->y0 < a->y1; }

/* The vertical range: from below the best to above the slower of baseline and first incumbent; what is slower is drawn at the edge. */
static void plot_range(plot *p, const dot *d, int n, double base)
{
    double lo = INFINITY, hi = base > 0 ? base : 0;
    int i;
    for (i = 0; i < n; i++) {
        if (!d[i].timed) continue;
        if (d[i].ms < lo) lo = d[i].ms;
        if (d[i].keep && d[i].ms > hi) hi = d[i].ms;
    }
    if (!isfinite(lo)) lo = hi > 0 ? hi : 1;
    if (!(hi > lo)) hi = lo * 1.1;
    p->log = hi / lo > 3;
    if (p->log) { p->lo = lo / pow(hi / lo, 0.10); p->hi = hi * pow(hi / lo, 0.06); }
    else { p->lo = lo - 0.25 * (hi - lo); p->hi = hi + 0.12 * (hi - lo); if (p->lo < 0) p->lo = 0; }
}

static void plot_axes(const plot *p, text *out)
{
    static const double few[] = { 1, 2, 5 }, many[] = { 1, 1.5, 2, 3, 4, 5, 7 };
    double v, step;
    int i, k, n = p->log && p->hi / p->lo < 12 ? 7 : 3;
    const double *m = n == 7 ? many : few;
    if (p->log) {
        for (k = (int)floor(log10(p->lo)); k <= (int)ceil(log10(p->hi)); k++)
            for (i = 0; i < n; i++) {
                v = m[i] * pow(10, k);
                if (v < p->lo || v > p->hi) continue;
                text_add(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"mute\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", PLOT_LEFT, plot_y(p, v), PLOT_RIGHT, PLOT_LEFT - 10, plot_y(p, v) + 4);
                text_add(out, v >= 1000 ? "%g s</text>\n" : "%g ms</text>\n", v >= 1000 ? v / 1000 : v);
            }
    } else {
        step = pow(10, floor(log10((p->hi - p->lo) / 4)));
        while ((p->hi - p->lo) / step > 6) step *= (p->hi - p->lo) / step > 12 ? 5 : 2;
        for (v = ceil(p->lo / step) * step; v <= p->hi; v += step) {
            text_add(out, "<path class=\"grid\" d=\"M%d %.1fH%d\"/><text class=\"mute\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">", PLOT_LEFT, plot_y(p, v), PLOT_RIGHT, PLOT_LEFT - 10, plot_y(p, v) + 4);
            text_add(out, v >= 1000 ? "%.6g s</text>\n" : "%.6g ms</text>\n", v >= 1000 ? v / 1000 : v);
        }
    }
    for (k = 1; p->n / k > 12; k = k % 10 == 1 || k == 1 ? k * 5 : k * 2) { }
    for (i = 0; i < p->n; i += k)
        text_add(out, "<text class=\"mute\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%d</text>\n", plot_x(p, i), p->y0 + PLOT_BOTTOM + 20, i);
    text_add(out, "<text class=\"mute\" x=\"%d\" y=\"%.1f\" text-anchor=\"middle\">attempt</text>\n", (PLOT_LEFT + PLOT_RIGHT) / 2, p->y0 + PLOT_BOTTOM + 42);
}

/* What a label at b would hide: another label or the staircase (infinite), dots (1 each). */
static double label_cost(const plot *p, const box *b, const box *taken, int taken_n, const dot *d, int n)
{
    double cost = 0, at = NAN, from = 0;
    box s;
    int i;
    if (b->x0 < PLOT_LEFT + 4 || b->x1 > PLOT_RIGHT + 70 || b->y0 < p->y0 + PLOT_TOP - 14 || b->y1 > p->y0 + PLOT_BOTTOM - 14) return INFINITY;
    for (i = 0; i < taken_n; i++) if (box_cross(b, &taken[i])) return INFINITY;
    for (i = 0; i <= n; i++) {
        if (i < n) {
            s.x0 = d[i].x - 4; s.x1 = d[i].x + 4; s.y0 = d[i].y - 4; s.y1 = d[i].y + 4;
            if (box_cross(b, &s)) cost += d[i].keep ? INFINITY : 1;
        }
        if (i < n && !d[i].keep) continue;
        if (isfinite(at)) {                     /* the tread up to here, and the riser */
            s.x0 = from; s.x1 = i < n ? d[i].x : PLOT_RIGHT; s.y0 = at - 2; s.y1 = at + 2;
            if (box_cross(b, &s)) return INFINITY;
            if (i < n) {
                s.x0 = d[i].x - 2; s.x1 = d[i].x + 2; s.y0 = at < d[i].y ? at : d[i].y; s.y1 = at < d[i].y ? d[i].y : at;
                if (box_cross(b, &s)) return INFINITY;
            }
        }
        if (i < n) { at = d[i].y; from = d[i].x; }
    }
    return cost;
}

/* Label the largest steps, largest first, each where it hides least: above to the right of its step, else below to the left. */
static void plot_labels(const plot *p, const table *t, const dot *d, int n, box *taken, int taken_n, text *out)
{
    double gain[2] = { INFINITY, 0 };
    int shown, i, level;
    for (shown = 0; shown < LABEL_MAX; shown++) {
        double before = NAN, best = INFINITY, width, gain_at = -1, x = 0, y = 0;
        int pick = -1, side = 0, chars = 0, tied;
        const char *s;
        box b, at;
        memset(&at, 0, sizeof at);
        for (i = 0, tied = -1; i < n; i++) {            /* the next smaller step; equal ones by position */
            if (!d[i].keep) continue;
            gain[1] = isfinite(before) ? log(before / d[i].ms) : -1;
            if (gain[1] > 0.015 && gain[1] < gain[0] && gain[1] > gain_at) { pick = i; gain_at = gain[1]; tied = 0; }
            before = d[i].ms;
        }
        (void)tied;
        if (pick < 0) return;
        gain[0] = gain_at;
        for (s = t->row[d[pick].row].field[C_DESC]; *s && chars < 36; s++) chars += ((unsigned char)*s & 0xc0) != 0x80;
        width = 6.3 * (chars + 1) + 44;
        for (level = 0; level < 12; level++) {
            const int right = level < 8, k = right ? level : level - 8;
            const double lx = right ? d[pick].x + 8 : d[pick].x - 8 - width, ly = right ? d[pick].y - 9 - 15 * k : d[pick].y + 19 + 15 * k;
            double cost;
            b.x0 = lx - 2; b.x1 = lx + width + 2; b.y0 = ly - 11; b.y1 = ly + 4;
            cost = label_cost(p, &b, taken, taken_n, d, n) + 0.4 * k + (right ? 0 : 0.5);
            if (cost < best) { best = cost; at = b; x = lx; y = ly; side = k > 0 ? (right ? 1 : -1) : 0; }
        }
        if (!isfinite(best) || taken_n >= LABEL_MAX + 4) continue;
        taken[taken_n++] = at;
        if (side) text_add(out, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", d[pick].x, d[pick].y, side > 0 ? x - 2 : x + width, side > 0 ? y + 2 : y - 9);
        text_add(out, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\"%s><tspan class=\"b\">\xe2\x88\x92%.*f %%</tspan> ", side < 0 || x < d[pick].x ? x + width : x, y,
                 side < 0 || x < d[pick].x ? " text-anchor=\"end\"" : "", exp(-gain_at) > 0.9 ? 1 : 0, 100 * (1 - exp(-gain_at)));
        add_escaped(out, t->row[d[pick].row].field[C_DESC], '<', 36);
        text_add(out, "</text>\n");
    }
}

static void plot_stairs(const plot *p, const dot *d, int n, text *out)
{
    text line;
    int i, first = 1;
    double last = 0, x0 = 0;
    memset(&line, 0, sizeof line);
    for (i = 0; i < n; i++) {
        if (!d[i].keep) continue;
        text_add(&line, first ? "M%.1f %.1f" : "H%.1fV%.1f", d[i].x, d[i].y);
        if (first) x0 = d[i].x;
        first = 0;
        last = d[i].y;
    }
    if (!first) {
        text_add(&line, "H%d", PLOT_RIGHT);
        text_add(out, "<path class=\"area\" d=\"%sV%.1fH%.1fZ\"/>\n<path class=\"stair\" d=\"%s\"/>\n", line.data, p->y0 + PLOT_BOTTOM, x0, line.data);
    }
    (void)last;
    text_free(&line);
}

static void plot_panel(const table *t, int first, double y0, text *out)
{
    const row *like = &t->row[first];
    const group_count g = group_of(t, like);
    dot *d = (dot *)malloc((size_t)t->n * sizeof *d);
    box taken[LABEL_MAX + 6];
    plot p;
    int i, n = 0, taken_n = 0;
    double now = NAN;
    if (!d) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    memset(&p, 0, sizeof p);
    p.y0 = y0;
    for (i = 0; i < t->n; i++) {
        if (!row_group(&t->row[i], like)) continue;
        d[n].row = i;
        d[n].ms = row_number(&t->row[i], C_T_CAND);
        d[n].timed = d[n].ms > 0;
        d[n].keep = d[n].timed && (row_keep(&t->row[i]) || row_baseline(&t->row[i]));
        if (d[n].keep) now = d[n].ms;
        n++;
    }
    p.n = n;
    plot_range(&p, d, n, g.base);
    for (i = 0; i < n; i++) {
        d[i].x = plot_x(&p, i);
        d[i].y = d[i].timed ? plot_y(&p, d[i].ms) : y0 + PLOT_BOTTOM - 7;
    }
    text_add(out, "<text class=\"title\" x=\"%d\" y=\"%.1f\">", PLOT_LEFT, y0 + 38);
    add_escaped(out, like->field[C_TASK], '<', 60); text_add(out, " on "); add_escaped(out, like->field[C_DEVICE], '<', 60);
    text_add(out, "</text>\n<text class=\"mute sub\" x=\"%d\" y=\"%.1f\">", PLOT_LEFT, y0 + 60);
    if (g.base > 0 && g.best > 0) {
        text_add(out, "baseline ");
        add_ms(out, g.base); text_add(out, ", best "); add_ms(out, g.best);
        text_add(out, ": <tspan class=\"b good\">%.*fx faster</tspan>; ", g.base / g.best < 10 ? 2 : 1, g.base / g.best);
    }
    text_add(out, "%d attempt%s, %d kept</text>\n", g.attempts, g.attempts == 1 ? "" : "s", g.keeps);
    plot_axes(&p, out);
    plot_stairs(&p, d, n, out);
    if (g.base > 0) {
        const double y = plot_y(&p, g.base);
        text_add(out, "<path class=\"base\" d=\"M%d %.1fH%d\"/>\n<text class=\"baset\" x=\"%d\" y=\"%.1f\" text-anchor=\"end\">baseline ", PLOT_LEFT, y, PLOT_RIGHT, PLOT_RIGHT, y - 6);
        add_ms(out, g.base);
        text_add(out, "</text>\n");
        taken[taken_n].x0 = PLOT_RIGHT - 130; taken[taken_n].x1 = PLOT_RIGHT; taken[taken_n].y0 = y - 18; taken[taken_n++].y1 = y + 2;
    }
    for (i = 0; i < n; i++) {
        const row *w = &t->row[d[i].row];
        text_add(out, "<g><title>row %s, %s", w->field[C_N], w->field[C_VERDICT]);
        if (row_keep(w)) text_add(out, " %s %%", w->field[C_GAIN]);
        if (d[i].timed) { text_add(out, ", "); add_ms(out, d[i].ms); }
        text_add(out, ": ");
        add_escaped(out, w->field[C_DESC], '<', 200);
        text_add(out, "</title>");
        if (!d[i].timed) text_add(out, "<path class=\"cross\" d=\"M%.1f %.1fl6 6m0-6l-6 6\"/></g>\n", d[i].x - 3, d[i].y - 3);
        else text_add(out, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"%s\"/></g>\n", d[i].keep ? "keep" : "drop", d[i].x, d[i].y, d[i].keep ? "4.5" : "3.2");
    }
    if (now > 0) {
        text_add(out, "<text class=\"now\" x=\"%d\" y=\"%.1f\">", PLOT_RIGHT + 8, plot_y(&p, now) + 4);
        add_ms(out, now);
        text_add(out, "</text>\n");
        taken[taken_n].x0 = PLOT_RIGHT + 4; taken[taken_n].x1 = PLOT_W; taken[taken_n].y0 = plot_y(&p, now) - 10; taken[taken_n++].y1 = plot_y(&p, now) + 8;
    }
    plot_labels(&p, t, d, n, taken, taken_n, out);
    free(d);
}

static void progress_make(const table *t, text *out)
{
    int first[PLOT_MAX], k;
    const int groups = table_groups(t, first, PLOT_MAX), height = (groups ? groups : 1) * PLOT_H;
    text_add(out, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" role=\"img\">\n"
        "<title>Every attempt, and what was kept</title>\n<style>\n"
        "text{font:12px -apple-system,BlinkMacSystemFont,'Segoe UI','DejaVu Sans',Helvetica,Arial,sans-serif;fill:#1f2328}\n"
        ".title{font-size:18px;font-weight:600}.sub{font-size:13px}.label{font-size:11.5px;paint-order:stroke;stroke:#fff;stroke-width:3px;stroke-linejoin:round}\n"
        ".b{font-weight:600}.now{font-weight:600;font-size:13px}.now,.good{fill:#1a7f37}.mute{fill:#59636e}.baset{fill:#9a6700}\n"
        ".bg{fill:#fff}.grid{stroke:#e7ebef;fill:none}.base{stroke:#bf8700;stroke-dasharray:6 4;fill:none}.stair{stroke:#1a7f37;stroke-width:2.2;fill:none;stroke-linejoin:round}\n"
        ".area{fill:#1a7f37;fill-opacity:.07}.keep{fill:#1a7f37;stroke:#fff;stroke-width:1.5}.drop{fill:#fff;stroke:#9aa4af;stroke-width:1.4}\n"
        ".cross{stroke:#cf222e;stroke-opacity:.65;stroke-width:1.4;fill:none}.lead{stroke:#9aa4af;stroke-width:.8;fill:none}\n"
        "@media (prefers-color-scheme:dark){text{fill:#e6edf3}.label{stroke:#0d1117}.now,.good{fill:#3fb950}.mute{fill:#9198a1}.baset{fill:#d29922}.bg{fill:#0d1117}\n"
        ".grid{stroke:#21262d}.base{stroke:#9e6a03}.stair{stroke:#3fb950}.area{fill:#3fb950;fill-opacity:.10}.keep{fill:#3fb950;stroke:#0d1117}.drop{fill:#0d1117;stroke:#6e7681}\n"
        ".cross{stroke:#f85149}.lead{stroke:#6e7681}}\n</style>\n<rect class=\"bg\" width=\"%d\" height=\"%d\"/>\n", PLOT_W, height, PLOT_W, height, PLOT_W, height);
    if (groups == 0) text_add(out, "<text class=\"mute\" x=\"%d\" y=\"%d\" text-anchor=\"middle\">no attempt yet</text>\n", PLOT_W / 2, PLOT_H / 2);
    for (k = 0; k < groups; k++) plot_panel(t, first[k], (double)k * PLOT_H, out);
    text_add(out, "</svg>\n");
}

/* ---- PROGRESS.md: the block that is the harness's ---- */
static const char progress_begin[] = "<!-- autoopt:profile -->", progress_end[] = "<!-- /autoopt:profile -->";

typedef struct profile_item { char name[64]; double calls, ms, share, gflop_s, gb_s, floor_ms; } profile_item;

/* The items of a profile text (see attempt.profile), at most max, largest first. */
static int profile_items(const char *profile, profile_item *item, int max)
{
    int n = 0;
    const char *p = profile;
    for (; p && *p && n < max; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        profile_item *it = &item[n];
        memset(it, 0, sizeof *it);
        it->gflop_s = it->gb_s = it->floor_ms = NAN;
        if (*p == '#' || strncmp(p, "item\t", 5) == 0) continue;
        if (sscanf(p, "%63[^\t\n]\t%lf\t%lf\t%lf\t%lf\t%lf\t%lf", it->name, &it->calls, &it->ms, &it->share, &it->gflop_s, &it->gb_s, &it->floor_ms) >= 4) n++;
    }
    return n;
}

/* The block for a row and its profile: top items with share, rates and distance from the roofline, then the remarks. */
static void progress_block(const row *w, const char *profile, text *out)
{
    enum { TOP = 12 };
    profile_item item[AOPT_PROFILE_MAX];
    const int n = profile_items(profile, item, AOPT_PROFILE_MAX);
    double total = 0, floor_ms = 0;
    const char *p;
    int i;
    text_add(out, "%s\n## Latest profile\n\nRow %s, ", progress_begin, w->field[C_N]);
    add_escaped(out, w->field[C_TASK], '|', 80); text_add(out, " on "); add_escaped(out, w->field[C_DEVICE], '|', 200);
    text_add(out, ", ");
    add_ms(out, row_number(w, C_T_CAND));
    text_add(out, ": ");
    add_escaped(out, w->field[C_DESC], '|', 200);
    text_add(out, "\n\n| item | calls | time | share | GFLOP/s | GB/s | x over its roofline |\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (i = 0; i < n; i++) {
        total += item[i].ms;
        if (isfinite(item[i].floor_ms)) floor_ms += item[i].floor_ms;
        if (i >= TOP) continue;
        text_add(out, "| ");
        add_escaped(out, item[i].name, '|', 63);
        text_add(out, " | %.0f | ", item[i].calls);
        add_ms(out, item[i].ms);
        text_add(out, " | %.1f %% | ", item[i].share);
        text_add(out, isfinite(item[i].gflop_s) ? "%.1f | " : "- | ", item[i].gflop_s);
        text_add(out, isfinite(item[i].gb_s) ? "%.1f | " : "- | ", item[i].gb_s);
        text_add(out, item[i].floor_ms > 0 ? "%.1f |\n" : "- |\n", item[i].ms / item[i].floor_ms);
    }
    if (n > TOP) text_add(out, "\n%d smaller items are in `./harness show %s`.\n", n - TOP, w->field[C_N]);
    if (floor_ms > 0) {
        text_add(out, "\nWhole task: ");
        add_ms(out, total); text_add(out, " in items whose floor is "); add_ms(out, floor_ms);
        text_add(out, ", %.1fx from the roofline.\n", total / floor_ms);
    }
    for (p = profile; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL)
        if (*p == '#') { text_add(out, "\n"); text_append(out, p + 1 + (p[1] == ' '), strcspn(p + 1 + (p[1] == ' '), "\n")); text_add(out, "\n"); }
    text_add(out, "%s\n", progress_end);
}

/* page with its block replaced, or with the block at its end if it has none. */
static void progress_splice(const char *page, const char *block, text *out)
{
    const char *from = page ? strstr(page, progress_begin) : NULL, *to = from ? strstr(from, progress_end) : NULL;
    if (!to) {
        text_add(out, "%s%s%s", page && *page ? page : "# Progress\n", page && *page && page[strlen(page) - 1] != '\n' ? "\n\n" : "\n", block);
        return;
    }
    to += strlen(progress_end);
    if (*to == '\n') to++;
    text_append(out, page, (size_t)(from - page));
    text_add(out, "%s%s", block, to);
}

/* The newest profile that the log has, and the row it belongs to.  1 = there is one. */
static int log_profile(const record *r, text *profile, int64_t *n)
{
    char spec[96], number[24];
    snprintf(spec, sizeof spec, "%s:latest.profile", r->log);
    if (!r->log[0] || !git_blob(r, spec, profile) || !kv_get(profile->data, "row", number, sizeof number)) return 0;
    *n = strtoll(number, NULL, 10);
    return 1;
}

/* The block for the log's newest profile, "" if there is none. */
static void progress_block_latest(const record *r, const table *t, text *out)
{
    text profile;
    int64_t n;
    int i;
    memset(&profile, 0, sizeof profile);
    text_append(out, "", 0);
    if (log_profile(r, &profile, &n))
        for (i = 0; i < t->n; i++)
            if (strtoll(t->row[i].field[C_N], NULL, 10) == n) progress_block(&t->row[i], profile.data, out);
    text_free(&profile);
}

static aopt_status file_update(const char *path, const text *want, aopt_error *err)
{
    text have;
    int same;
    memset(&have, 0, sizeof have);
    same = file_read(path, RESULTS_LIMIT, &have, NULL) == AOPT_OK && have.n == want->n && memcmp(have.data, want->data, have.n) == 0;
    text_free(&have);
    return same ? AOPT_OK : file_write(path, want->data, want->n, 0644, err);
}

/* leaderboard.md, progress.svg and the block of PROGRESS.md in the worktree, from the log's rows.  0, or 42. */
static int views_write(const record *r, attempt *a)
{
    char path[PATH_BYTES];
    text view, block, page;
    aopt_error err;
    table t;
    int bad;
    memset(&view, 0, sizeof view);
    memset(&block, 0, sizeof block);
    memset(&page, 0, sizeof page);
    if (table_parse(r->results.data, r->results.n, &t, &err) != AOPT_OK) return refuse(a, 44, "git log -p results.tsv", "%s", err.message);
    leaderboard_make(&t, &view);
    path_join(path, r->root, "leaderboard.md");
    bad = file_update(path, &view, &err) != AOPT_OK;
    view.n = 0;
    progress_make(&t, &view);
    path_join(path, r->root, "progress.svg");
    bad = bad || file_update(path, &view, &err) != AOPT_OK;
    progress_block_latest(r, &t, &block);
    path_join(path, r->root, "PROGRESS.md");
    if (block.n > 0 && !bad) {
        view.n = 0;
        if (access(path, F_OK) == 0 && file_read(path, RESULTS_LIMIT, &page, &err) != AOPT_OK) bad = 1;
        else {
            progress_splice(page.data, block.data, &view);
            bad = file_update(path, &view, &err) != AOPT_OK;
        }
    }
    table_free(&t);
    text_free(&view); text_free(&block); text_free(&page);
    return bad ? refuse(a, 42, "mend it, then ./harness sync: the row is safe in the log", "%s", err.message) : 0;
}

/* ---- one attempt into the log and, if kept, onto the branch ---- */
static int blob_line(const record *r, text *tree, const char *name, const char *data, size_t n)
{
    char hex[65];
    if (!git_hash(r, data, n, 1, hex)) return 0;
    text_add(tree, "100644 blob %s\t%s\n", hex, name);
    return 1;
}

static int git_commit(const record *r, const char *tree, const char *parent1, const char *parent2, const char *date, const text *message, char hex[65])
{
    const char *args[10];
    git_extra x;
    text t;
    int i = 0, ok;
    memset(&x, 0, sizeof x);
    memset(&t, 0, sizeof t);
    x.date = date; x.input = message->data; x.input_n = message->n;
    args[i++] = "commit-tree"; args[i++] = tree;
    if (parent1[0]) { args[i++] = "-p"; args[i++] = parent1; }
    if (parent2[0]) { args[i++] = "-p"; args[i++] = parent2; }
    args[i++] = "-F"; args[i++] = "-"; args[i] = NULL;
    hex[0] = 0;
    ok = git_run(r, &x, &t, NULL, args) == 0 && t.data && sscanf(t.data, "%64s", hex) == 1;
    text_free(&t);
    return ok;
}

static void attempt_text(const attempt *a, text *out);

/* The commit of an attempt on the log: everything that one run leaves behind. */
static int log_commit(const record *r, const attempt *a, const text *source, const text *row_text, char hex[65])
{
    const char *const args[] = { "mktree", NULL };
    const struct { const char *name, *data; } part[] = { { "gate.txt", a->gate_text }, { "samples.tsv", a->samples }, { "build.log", a->build_log },
                                                          { "stderr.tail", a->stderr_tail }, { "profile.txt", a->profile } };
    char tree_hex[65] = "", spec[96];
    text tree, t;
    git_extra x;
    size_t i, n;
    int ok = 1;
    memset(&tree, 0, sizeof tree);
    memset(&t, 0, sizeof t);
    for (i = 0; i < 2; i++) if (source[i].data) ok = ok && blob_line(r, &tree, source_name[i], source[i].data, source[i].n);
    ok = ok && blob_line(r, &tree, "row.tsv", row_text->data, row_text->n);
    text_append(&t, r->results.data, r->results.n);
    text_append(&t, row_text->data, row_text->n);
    ok = ok && blob_line(r, &tree, "results.tsv", t.data, t.n);
    t.n = 0;
    attempt_text(a, &t);
    ok = ok && blob_line(r, &tree, "attempt.tsv", t.data, t.n);
    for (i = 0; i < sizeof part / sizeof part[0]; i++) {
        if (!part[i].data || !part[i].data[0]) continue;
        n = strlen(part[i].data);
        ok = ok && (n > LOG_TEXT_LIMIT && i != 1 ? blob_line(r, &tree, part[i].name, part[i].data + n - LOG_TEXT_LIMIT, LOG_TEXT_LIMIT)
                                                 : blob_line(r, &tree, part[i].name, part[i].data, n));
    }
    t.n = 0;
    if (a->profile && a->profile[0]) text_add(&t, "row\t%lld\n%s", (long long)a->n, a->profile);
    else {
        snprintf(spec, sizeof spec, "%s:latest.profile", r->log);
        if (!r->log[0] || !git_blob(r, spec, &t)) t.n = 0;
    }
    if (t.n > 0) ok = ok && blob_line(r, &tree, "latest.profile", t.data, t.n);
    memset(&x, 0, sizeof x);
    x.input = tree.data; x.input_n = tree.n;
    t.n = 0;
    ok = ok && git_run(r, &x, &t, NULL, args) == 0 && t.data && sscanf(t.data, "%64s", tree_hex) == 1;
    t.n = 0;
    text_add(&t, "%lld %s %s: ", (long long)a->n, verdict_name(a->verdict), a->task);
    field_escape(&t, a->desc, 200);
    text_add(&t, "\n\n");
    field_escape(&t, a->why, sizeof a->why);
    text_add(&t, "\n\nAutoopt-Row: %lld\nAutoopt-Candidate: %s\nAutoopt-Parent: %s\n", (long long)a->n, a->candidate_blob, a->incumbent_blob);
    if (a->seal[0]) text_add(&t, "Autoopt-Seal: %s\n", a->seal);
    ok = ok && git_commit(r, tree_hex, r->log, "", a->utc, &t, hex);
    text_free(&tree);
    text_free(&t);
    return ok;
}

/* A commit on the branch: HEAD's tree with `n` files replaced; the log's tip is its second parent. */
static int branch_commit(const record *r, const char *const *name, const text *data, int n, const char *log, const char *date, const text *message, char hex[65])
{
    const char *const args[] = { "update-index", "--add", "-z", "--index-info", NULL };
    char index[PATH_BYTES], lock[PATH_BYTES], blob[65], was[65], mode[8], tree[65];
    const char *read_args[] = { "read-tree", "HEAD", NULL }, *write_args[] = { "write-tree", NULL };
    git_extra x;
    text t;
    int i, ok = 1;
    memset(&x, 0, sizeof x);
    memset(&t, 0, sizeof t);
    path_join(index, r->dir, "index");
    path_join(lock, r->dir, "index.lock");      /* ours alone, left by a killed run */
    unlink(index);
    unlink(lock);
    read_args[1] = r->head;
    x.index = index;
    ok = git_run(r, &x, NULL, NULL, read_args) == 0;
    for (i = 0; i < n && ok; i++) {
        ok = git_hash(r, data[i].data, data[i].n, 1, blob);
        git_entry(r, r->head, name[i], was, mode);
        text_add(&t, "%s %s\t%s%s", strncmp(mode, "100", 3) == 0 ? mode : "100644", blob, r->prefix, name[i]);
        text_append(&t, "", 1);
    }
    x.input = t.data; x.input_n = t.n;
    ok = ok && git_run(r, &x, NULL, NULL, args) == 0;
    x.input = NULL; x.input_n = 0;
    t.n = 0;
    ok = ok && git_run(r, &x, &t, NULL, write_args) == 0 && t.data && sscanf(t.data, "%64s", tree) == 1;
    ok = ok && git_commit(r, tree, r->head, log, date, message, hex);
    unlink(index);
    text_free(&t);
    return ok;
}

/* The commit of a KEEP or a BASELINE: sources, record and views as they will be once the log stands at `log`. */
static int keep_commit(const record *r, const attempt *a, const text *source, const char *log, char hex[65])
{
    const char *name[6];
    text data[6], message, page, block;
    record after = *r;
    aopt_error err;
    table t;
    int n = 0, i, ok;
    memset(data, 0, sizeof data);
    memset(&message, 0, sizeof message);
    memset(&page, 0, sizeof page);
    memset(&block, 0, sizeof block);
    snprintf(after.log, sizeof after.log, "%s", log);
    memset(&after.results, 0, sizeof after.results);
    if (a->verdict == V_KEEP)
        for (i = 0; i < 2; i++)
            if (source[i].data) { name[n] = source_name[i]; text_append(&data[n++], source[i].data, source[i].n); }
    { char spec[80]; snprintf(spec, sizeof spec, "%s:results.tsv", log); ok = git_blob(r, spec, &after.results); }
    if (!ok || table_parse(after.results.data, after.results.n, &t, &err) != AOPT_OK) { text_free(&after.results); return 0; }
    name[n] = "results.tsv"; text_append(&data[n++], after.results.data, after.results.n);
    name[n] = "leaderboard.md"; leaderboard_make(&t, &data[n++]);
    name[n] = "progress.svg"; progress_make(&t, &data[n++]);
    progress_block_latest(&after, &t, &block);
    if (block.n > 0) {
        if (!git_blob(r, "HEAD:./PROGRESS.md", &page)) page.n = 0;
        if (page.data) page.data[page.n] = 0;
        name[n] = "PROGRESS.md"; progress_splice(page.data, block.data, &data[n++]);
    }
    if (a->verdict == V_KEEP) {
        text_add(&message, "optimize: ");
        field_escape(&message, a->desc, 200);
        text_add(&message, ", %.2f -> %.2f ms\n\n%.2f %% faster (%.2f to %.2f, %d of %d pairs) on %s, task %s.\n", a->t_inc_ms, a->t_cand_ms,
                 a->gain_pct, a->ci_lo, a->ci_hi, a->wins, a->pairs, a->device, a->task);
    } else
        text_add(&message, "record: baseline of %s on %s, %.2f ms, optimize.c %.2f ms\n", a->task, a->device, a->t_inc_ms, a->t_cand_ms);
    text_add(&message, "\nAutoopt-Row: %lld\nAutoopt-Log: %s\nAutoopt-Candidate: %s\nAutoopt-Parent: %s\nAutoopt-Harness: %s\n", (long long)a->n, log,
             a->candidate_blob, a->incumbent_blob, a->harness_hash);
    ok = branch_commit(r, name, data, n, log, a->utc, &message, hex);
    for (i = 0; i < n; i++) text_free(&data[i]);
    text_free(&message); text_free(&page); text_free(&block); text_free(&after.results);
    table_free(&t);
    return ok;
}

/* "a+b" -> a, b; "" where there is none. */
static void blob_split(const char *joined, char out[2][65])
{
    const char *plus = strchr(joined, '+');
    snprintf(out[0], 65, "%.*s", plus ? (int)(plus - joined) : 64, joined);
    snprintf(out[1], 65, "%s", plus ? plus + 1 : "");
}

/* Name of HEAD's sources in the scope of an attempt: "optimize.c's blob[+autoopt_kernels.cuh's]". */
static void head_blobs(const record *r, int library, char out[136])
{
    char hex[65], mode[8];
    git_entry(r, "HEAD", source_name[0], hex, mode);
    snprintf(out, 136, "%s", hex);
    if (library && git_entry(r, "HEAD", source_name[1], hex, mode)) snprintf(out + strlen(out), 136 - strlen(out), "+%s", hex);
}

static int record_count_lines(const record *r, const attempt *a)
{
    char from[2][65], to[2][65], line[256];
    long long plus, minus, sum = 0;
    int i;
    blob_split(a->incumbent_blob, from);
    blob_split(a->candidate_blob, to);
    for (i = 0; i < 2; i++) {
        if (!from[i][0] || !to[i][0] || strcmp(from[i], to[i]) == 0) continue;
        if (!git_line(r, line, sizeof line, "diff", "--no-ext-diff", "--no-textconv", "--numstat", from[i], to[i], (const char *)NULL)
            || sscanf(line, "%lld %lld", &plus, &minus) != 2) return -1;
        sum += plus + minus;
    }
    return (int)sum;
}

/* Record one judged attempt: row, log commit, and for KEEP and BASELINE a commit on the branch; any other verdict puts HEAD's sources back.
   dir holds the sources that were judged.  strict = they came from this worktree, so that an edit since then is reported (45).
   0, or a code >= 40 with a->why.  Nothing is changed before everything has been made and written down in `pending`. */
static int record_finish(record *r, attempt *a, const char *dir, int strict)
{
    char path[PATH_BYTES], head[136], branch[256], number[24], got[136];
    const int library = strchr(a->candidate_blob, '+') != NULL, commits = a->verdict == V_KEEP || a->verdict == V_BASELINE;
    text source[2], row_text;
    aopt_error err;
    pending p;
    table t;
    int i, rc;

    memset(&p, 0, sizeof p);
    memset(source, 0, sizeof source);
    memset(&row_text, 0, sizeof row_text);
    snprintf(branch, sizeof branch, "%s", r->branch);
    if ((rc = git_head(r, a)) != 0) return rc;
    head_blobs(r, library, head);
    if (strcmp(branch, r->branch) != 0 || (commits && strcmp(head, a->incumbent_blob) != 0))
        return refuse(a, 45, "run it again", "HEAD changed during the run: nothing is recorded, and optimize.c is as you left it");
    if (table_parse(r->results.data, r->results.n, &t, &err) != AOPT_OK) return refuse(a, 44, "./harness sync", "%s", err.message);
    a->n = t.n ? strtoll(t.row[t.n - 1].field[C_N], NULL, 10) + 1 : 1;
    got[0] = 0;
    for (i = 0; i < 1 + library && rc == 0; i++) {
        path_join(path, dir, source_name[i]);
        if (file_read(path, SOURCE_LIMIT, &source[i], &err) != AOPT_OK) rc = refuse(a, 44, "run it again", "%s", err.message);
        else if (!git_hash(r, source[i].data, source[i].n, 1, p.candidate[i])) rc = refuse(a, 42, "free some space", "git cannot store %s", path);
        else snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "+" : "", p.candidate[i]);
    }
    if (rc == 0 && strcmp(got, a->candidate_blob) != 0) rc = refuse(a, 44, "run it again", "%s is not what was judged: %s, expected %s", dir, got, a->candidate_blob);
    if (rc == 0) {
        a->lines_changed = record_count_lines(r, a);
        row_make(a, &t, &row_text);
        p.n = a->n;
        blob_split(head, p.head_blob);
        snprintf(p.verdict, sizeof p.verdict, "%s", verdict_name(a->verdict));
        snprintf(p.root, sizeof p.root, "%s", r->root); snprintf(p.gitdir, sizeof p.gitdir, "%s", r->gitdir);
        snprintf(p.branch, sizeof p.branch, "%s", r->branch); snprintf(p.old_head, sizeof p.old_head, "%s", r->head);
        snprintf(p.old_log, sizeof p.old_log, "%s", r->log);
        snprintf(p.strict, sizeof p.strict, "%s", strict ? "1" : "");
        if (a->verdict == V_BASELINE) memset(p.candidate, 0, sizeof p.candidate);
        RECORD_STEP();
        if (!log_commit(r, a, source, &row_text, p.new_log) || (commits && r->branch[0] && !keep_commit(r, a, source, p.new_log, p.new_head)))
            rc = refuse(a, 42, "free some space, see git fsck, then run this again", "git cannot store the attempt; nothing was changed");
    }
    if (rc == 0) {
        snprintf(number, sizeof number, "%lld\n", (long long)r->adopted);
        path_join(path, r->dir, "adopted");
        if ((access(path, F_OK) != 0 && file_write(path, number, strlen(number), 0666, &err) != AOPT_OK) || pending_write(r, &p, &err) != AOPT_OK)
            rc = refuse(a, 42, "free some space, then run this again", "%s", err.message);
        RECORD_STEP();
    }
    if (rc == 0) rc = pending_apply(r, &p, a);
    snprintf(a->commit, sizeof a->commit, "%s", p.new_head);
    table_free(&t);
    for (i = 0; i < 2; i++) text_free(&source[i]);
    text_free(&row_text);
    return rc;
}

/* ==== [11] two machines: pack, measure, record ==========================================================
   JOB/  job.tsv      parent commit, task, scope, harness, blobs and SHA-256 of every tree, sealed by a SHA-256 of its lines
         results.tsv  the rows so far, so that the measuring machine knows what was measured before
         incumbent/   candidate-1/ candidate-2/ ...     optimize.c (scope library: and autoopt_kernels.cuh)
         result-0/    the baseline, if it is due        result-1/ ...: attempt.tsv, what the judge printed, seal
   pack needs git and no GPU, measure a GPU and no git, record git again.  A local run is the three in one, its JOB in <git dir>/autoopt.
   A candidate that is kept becomes the incumbent of the next.  Seals reveal an edit; they cannot prove who ran the judge: audit does. */
#ifdef AUTOOPT_TEST_JUDGE
#include AUTOOPT_TEST_JUDGE             /* a judge that reads its verdicts from comments of the candidate */
#endif
#define ATTEMPT_TEXTS(X) X(utc) X(task) X(device) X(scope) X(via) X(desc) X(attack) X(candidate) X(incumbent) X(candidate_blob) X(incumbent_blob) \
    X(harness_hash) X(env_hash) X(reference) X(info) X(sandbox) X(why) X(next)
#define ATTEMPT_NUMBERS(X) X(t_cand_ms) X(t_inc_ms) X(gain_pct) X(ci_lo) X(ci_hi) X(delta_pct) X(margin_db) X(init_s) X(peak_mb) X(sm_mhz)
#define ATTEMPT_INTS(X) X(code) X(wins) X(pairs) X(locked)
#define ATTEMPT_FILES(X) X(samples, "samples.tsv") X(gate_text, "gate.txt") X(build_log, "build.log") X(stderr_tail, "stderr.tail") X(profile, "profile.txt")

/* All of an attempt but its long texts, as lines `key TAB value`. */
static void attempt_text(const attempt *a, text *out)
{
    int i;
    kv_add(out, "verdict", verdict_name(a->verdict));
#define X(name) kv_add(out, #name, a->name);
    ATTEMPT_TEXTS(X)
#undef X
#define X(name) text_add(out, isfinite(a->name) ? #name "\t%.17g\n" : #name "\t-\n", a->name);
    ATTEMPT_NUMBERS(X)
#undef X
#define X(name) text_add(out, #name "\t%d\n", a->name);
    ATTEMPT_INTS(X)
#undef X
    for (i = 0; i < a->metric_n; i++) {
        text_add(out, "metric%d\t%.17g %.17g %d %d %s ", i, a->metric[i].value, a->metric[i].limit, a->metric[i].sense, a->metric[i].gated, a->metric[i].name);
        field_escape(out, a->metric[i].where, sizeof a->metric[i].where);
        text_append(out, "\n", 1);
    }
}

/* The reverse.  0 = a field is absent or not readable. */
static int attempt_parse(const char *data, attempt *a)
{
    char v[600], key[16], where[80];
    int i, ok = kv_get(data, "verdict", v, sizeof v);
    attempt_init(a);
    for (i = V_NONE; i <= V_REFUSED && strcmp(verdict_name((verdict_id)i), v) != 0; i++) { }
    if (i > V_REFUSED) return 0;
    a->verdict = (verdict_id)i;
#define X(name) ok = ok && kv_get(data, #name, a->name, sizeof a->name);
    ATTEMPT_TEXTS(X)
#undef X
#define X(name) ok = ok && kv_get(data, #name, v, sizeof v); a->name = v[0] ? strtod(v, NULL) : NAN;
    ATTEMPT_NUMBERS(X)
#undef X
#define X(name) ok = ok && kv_get(data, #name, v, sizeof v); a->name = atoi(v);
    ATTEMPT_INTS(X)
#undef X
    for (i = 0; i < (int)(sizeof a->metric / sizeof a->metric[0]); i++) {
        snprintf(key, sizeof key, "metric%d", i);
        if (!kv_get(data, key, v, sizeof v)) break;
        where[0] = 0;
        if (sscanf(v, "%lf %lf %d %d %39s %63[^\n]", &a->metric[i].value, &a->metric[i].limit, &a->metric[i].sense, &a->metric[i].gated, a->metric[i].name, where) < 5) return 0;
        field_unescape(where, strlen(where), a->metric[i].where, sizeof a->metric[i].where);
        a->metric_n = i + 1;
    }
    return ok;
}

typedef struct job {
    char dir[PATH_BYTES], parent[65], task[48], scope[12], harness_hash[65], incumbent[136], seal[65];
    int64_t adopted;
    int n;                              /* candidates, numbered from 1 */
    text text;                          /* job.tsv */
    table known;                        /* results.tsv as it was packed */
} job;

static void job_free(job *j)
{
    text_free(&j->text);
    table_free(&j->known);
}

static void tree_remove(const char *path)
{
    const char *argv[] = { "rm", "-rf", "--", NULL, NULL };
    process p;
    argv[3] = path;
    memset(&p, 0, sizeof p);
    p.argv = argv;
    process_run(&p, NULL, NULL);
}

/* SHA-256 of the sources in a folder.  1 = ok. */
static int tree_hash(const char *dir, int library, char hex[65], aopt_error *err)
{
    char path[PATH_BYTES];
    aopt_sha256 s;
    text t;
    int i, ok = 1;
    memset(&t, 0, sizeof t);
    aopt_sha256_begin(&s);
    for (i = 0; i < 1 + library && ok; i++) {
        t.n = 0;
        path_join(path, dir, source_name[i]);
        ok = file_read(path, SOURCE_LIMIT, &t, err) == AOPT_OK;
        aopt_sha256_add(&s, source_name[i], strlen(source_name[i]) + 1);
        if (ok) aopt_sha256_add(&s, t.data, t.n);
    }
    aopt_sha256_end(&s, hex);
    text_free(&t);
    return ok;
}

/* One tree into the JOB, and its lines into job.tsv: key (blobs) and key_hash.  from = NULL: HEAD's sources; else a folder, or the path of an optimize.c. */
static int pack_tree(const record *r, const char *job_dir, const char *name, const char *from, int library, text *lines, attempt *a)
{
    char dir[PATH_BYTES], path[PATH_BYTES], source[PATH_BYTES], blob[65], joined[136] = "", hex[65], key[64];
    struct stat st;
    text t;
    aopt_error err;
    int i, rc = 0;
    memset(&t, 0, sizeof t);
    path_join(dir, job_dir, name);
    if (mkdir(dir, 0777) != 0) return refuse(a, 42, "free some space, mend the permissions", "%s: %s", dir, strerror(errno));
    for (i = 0; i < 1 + library && rc == 0; i++) {
        t.n = 0;
        if (from && stat(from, &st) == 0 && S_ISDIR(st.st_mode)) path_join(source, from, source_name[i]);
        else snprintf(source, sizeof source, "%s", from && i == 0 ? from : source_name[i]);
        snprintf(path, sizeof path, "HEAD:./%s", source_name[i]);
        if (!from && !git_blob(r, path, &t)) rc = refuse(a, 42, "git add it, and commit", "%s is not in HEAD", source_name[i]);
        else if (from && file_read(source, SOURCE_LIMIT, &t, &err) != AOPT_OK)
            rc = refuse(a, 42, strcmp(source, source_name[i]) == 0 ? "git checkout HEAD -- optimize.c" : "mend the path", "%s", err.message);
        path_join(path, dir, source_name[i]);
        if (rc == 0 && (!git_hash(r, t.data, t.n, 0, blob) || file_write(path, t.data, t.n, 0644, &err) != AOPT_OK))
            rc = refuse(a, 42, "free some space", "cannot write %s", path);
        if (rc == 0) snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%s", i ? "+" : "", blob);
    }
    text_free(&t);
    if (rc == 0 && !tree_hash(dir, library, hex, &err)) rc = refuse(a, 42, "run this again", "%s", err.message);
    if (rc == 0) {
        kv_add(lines, name, joined);
        snprintf(key, sizeof key, "%s_hash", name);
        kv_add(lines, key, hex);
    }
    return rc;
}

typedef struct pack_item { const char *from, *desc, *attack; } pack_item;

/* Write a JOB: HEAD's sources as the incumbent, the items in order.  dir must not exist. */
static int job_pack(const record *r, const char *dir, const char *task_name, const char *scope, const char *harness_hash,
                    const pack_item *item, int n, attempt *a)
{
    const int library = strcmp(scope, "library") == 0;
    char name[64], key[80], number[24], hex[65], path[PATH_BYTES];
    aopt_error err;
    aopt_sha256 s;
    text t;
    int i, rc = 0;
    memset(&t, 0, sizeof t);
    if (mkdir(dir, 0777) != 0) return refuse(a, 2, "name a folder that does not exist yet", "%s: %s", dir, strerror(errno));
    kv_add(&t, "format", "1");
    kv_add(&t, "parent", r->head); kv_add(&t, "task", task_name); kv_add(&t, "scope", scope); kv_add(&t, "harness_hash", harness_hash);
    snprintf(number, sizeof number, "%lld", (long long)r->adopted); kv_add(&t, "adopted", number);
    snprintf(number, sizeof number, "%d", n); kv_add(&t, "candidates", number);
    rc = pack_tree(r, dir, "incumbent", NULL, library, &t, a);
    for (i = 0; i < n && rc == 0; i++) {
        snprintf(name, sizeof name, "candidate-%d", i + 1);
        rc = pack_tree(r, dir, name, item[i].from, library, &t, a);
        snprintf(key, sizeof key, "%s_desc", name); kv_add(&t, key, item[i].desc);
        snprintf(key, sizeof key, "%s_attack", name); kv_add(&t, key, item[i].attack ? item[i].attack : "");
    }
    path_join(path, dir, "results.tsv");
    if (rc == 0 && file_write(path, r->results.data, r->results.n, 0644, &err) != AOPT_OK) rc = refuse(a, 42, "free some space", "%s", err.message);
    aopt_sha256_begin(&s);
    aopt_sha256_add(&s, r->results.data, r->results.n);
    aopt_sha256_end(&s, hex);
    kv_add(&t, "results_hash", hex);
    aopt_sha256_begin(&s);
    aopt_sha256_add(&s, t.data, t.n);
    aopt_sha256_end(&s, hex);
    kv_add(&t, "seal", hex);
    path_join(path, dir, "job.tsv");
    if (rc == 0 && file_write(path, t.data, t.n, 0644, &err) != AOPT_OK) rc = refuse(a, 42, "free some space", "%s", err.message);
    text_free(&t);
    return rc;
}

/* Open a JOB and check every hash in it.  job_free in any case. */
static int job_load(job *j, const char *dir, attempt *a)
{
    static const char next[] = "pack it again";
    char path[PATH_BYTES], name[64], key[80], want[65], hex[65], number[24];
    aopt_error err;
    aopt_sha256 s;
    text t;
    const char *seal;
    int i;
    memset(j, 0, sizeof *j);
    memset(&t, 0, sizeof t);
    snprintf(j->dir, sizeof j->dir, "%s", dir);
    path_join(path, dir, "job.tsv");
    if (file_read(path, RESULTS_LIMIT, &j->text, &err) != AOPT_OK) return refuse(a, 2, "./harness pack JOB makes one", "%s", err.message);
    seal = strstr(j->text.data, "\nseal\t");
    aopt_sha256_begin(&s);
    if (seal) aopt_sha256_add(&s, j->text.data, (size_t)(seal + 1 - j->text.data));
    aopt_sha256_end(&s, hex);
    if (!kv_get(j->text.data, "seal", j->seal, sizeof j->seal) || strcmp(hex, j->seal) != 0) return refuse(a, 44, next, "%s was edited after it was packed", path);
    if (!kv_get(j->text.data, "format", number, sizeof number) || strcmp(number, "1") != 0) return refuse(a, 44, next, "%s: format %s, expected 1", path, number);
    kv_get(j->text.data, "parent", j->parent, sizeof j->parent); kv_get(j->text.data, "task", j->task, sizeof j->task);
    kv_get(j->text.data, "scope", j->scope, sizeof j->scope); kv_get(j->text.data, "harness_hash", j->harness_hash, sizeof j->harness_hash);
    kv_get(j->text.data, "incumbent", j->incumbent, sizeof j->incumbent);
    kv_get(j->text.data, "adopted", number, sizeof number); j->adopted = strtoll(number, NULL, 10);
    kv_get(j->text.data, "candidates", number, sizeof number); j->n = atoi(number);
    for (i = 0; i <= j->n; i++) {
        snprintf(name, sizeof name, i ? "candidate-%d" : "incumbent", i);
        snprintf(key, sizeof key, "%s_hash", name);
        path_join(path, dir, name);
        if (!kv_get(j->text.data, key, want, sizeof want) || !tree_hash(path, strcmp(j->scope, "library") == 0, hex, &err) || strcmp(hex, want) != 0)
            return refuse(a, 44, next, "%s is not what was packed: SHA-256 %.12s, expected %.12s", path, hex, want);
    }
    path_join(path, dir, "results.tsv");
    if (file_read(path, RESULTS_LIMIT, &t, &err) != AOPT_OK || table_parse(t.data, t.n, &j->known, &err) != AOPT_OK) refuse(a, 44, next, "%s", err.message);
    else {
        aopt_sha256_begin(&s);
        aopt_sha256_add(&s, t.data, t.n);
        aopt_sha256_end(&s, hex);
        if (!kv_get(j->text.data, "results_hash", want, sizeof want) || strcmp(hex, want) != 0) refuse(a, 44, next, "%s was edited after it was packed", path);
        else { text_free(&t); return 0; }
    }
    text_free(&t);
    return a->code;
}

static void job_tree(const job *j, int k, char out[PATH_BYTES])
{
    char name[64];
    snprintf(name, sizeof name, k ? "candidate-%d" : "incumbent", k);
    path_join(out, j->dir, name);
}

/* Seal of a result: its texts, tied to the job and to the result that made its incumbent. */
static void result_seal(const job *j, const char *before, const attempt *a, char hex[65])
{
    aopt_sha256 s;
    text t;
    memset(&t, 0, sizeof t);
    aopt_sha256_begin(&s);
    aopt_sha256_add(&s, j->seal, strlen(j->seal));
    aopt_sha256_add(&s, before, strlen(before));
    attempt_text(a, &t);
    aopt_sha256_add(&s, t.data, t.n);
#define X(member, file) aopt_sha256_add(&s, file, sizeof file); if (a->member) aopt_sha256_add(&s, a->member, strlen(a->member));
    ATTEMPT_FILES(X)
#undef X
    aopt_sha256_end(&s, hex);
    text_free(&t);
}

/* Write result-k whole or not at all. */
static int result_write(const job *j, int k, const char *before, attempt *a)
{
    char name[64], dir[PATH_BYTES], path[PATH_BYTES], final[PATH_BYTES];
    attempt failed;
    aopt_error err;
    text t;
    int bad;
    memset(&t, 0, sizeof t);
    snprintf(name, sizeof name, "result-%d", k);
    path_join(final, j->dir, name);
    snprintf(name, sizeof name, "result-%d.tmp", k);
    path_join(dir, j->dir, name);
    tree_remove(dir);
    bad = mkdir(dir, 0777) != 0;
    if (bad) aopt_fail(&err, AOPT_E_IO, "%s: %s", dir, strerror(errno));
    attempt_text(a, &t);
    path_join(path, dir, "attempt.tsv");
    bad = bad || file_write(path, t.data, t.n, 0644, &err) != AOPT_OK;
#define X(member, file) if (!bad && a->member) { path_join(path, dir, file); bad = file_write(path, a->member, strlen(a->member), 0644, &err) != AOPT_OK; }
    ATTEMPT_FILES(X)
#undef X
    result_seal(j, before, a, a->seal);
    path_join(path, dir, "seal");
    bad = bad || file_write(path, a->seal, strlen(a->seal), 0644, &err) != AOPT_OK;
    if (!bad && rename(dir, final) != 0) bad = 1, aopt_fail(&err, AOPT_E_IO, "%s: %s", final, strerror(errno));
    text_free(&t);
    attempt_init(&failed);
    return bad ? refuse(a, 42, "free some space", "%s", err.message) : 0;
}

/* Read result-k.  -1 = not measured yet, 0 = read, 44 = it was edited. */
static int result_read(const job *j, int k, const char *before, attempt *a)
{
    char name[64], dir[PATH_BYTES], path[PATH_BYTES], hex[65];
    aopt_error err;
    text t;
    int ok;
    memset(&t, 0, sizeof t);
    snprintf(name, sizeof name, "result-%d", k);
    path_join(dir, j->dir, name);
    if (access(dir, F_OK) != 0) return -1;
    path_join(path, dir, "attempt.tsv");
    ok = file_read(path, RESULTS_LIMIT, &t, &err) == AOPT_OK && attempt_parse(t.data, a);
#define X(member, file) t.n = 0; path_join(path, dir, file); if (ok && access(path, F_OK) == 0) { ok = file_read(path, RESULTS_LIMIT, &t, &err) == AOPT_OK; a->member = ok ? strdup(t.data) : NULL; }
    ATTEMPT_FILES(X)
#undef X
    t.n = 0;
    path_join(path, dir, "seal");
    result_seal(j, before, a, hex);
    ok = ok && file_read(path, 64, &t, &err) == AOPT_OK && strcmp(t.data, hex) == 0;
    memcpy(a->seal, hex, 65);
    text_free(&t);
    return ok ? 0 : refuse(a, 44, "measure it again: remove that folder, then ./harness measure", "%s was edited after it was measured", dir);
}

/* The row that makes an attempt a NOOP, 0 if none: same sides, harness, task and device, measured in this clone.  Unchanged code
   counts as measured if it was kept or taken as baseline. */
static int64_t job_known(const job *j, const attempt *a)
{
    const int same = strcmp(a->candidate_blob, a->incumbent_blob) == 0;
    char task_name[256], device[256];
    int64_t n = 0;
    int i;
    for (i = 0; i < j->known.n; i++) {
        const row *w = &j->known.row[i];
        field_unescape(w->field[C_TASK], strlen(w->field[C_TASK]), task_name, sizeof task_name);
        field_unescape(w->field[C_DEVICE], strlen(w->field[C_DEVICE]), device, sizeof device);
        if (strtoll(w->field[C_N], NULL, 10) <= j->adopted || strcmp(task_name, a->task) != 0 || strcmp(device, a->device) != 0
            || !row_is(w, C_HARNESS, a->harness_hash) || !row_is(w, C_CANDIDATE, a->candidate_blob)) continue;
        if (same ? row_keep(w) || row_baseline(w) : row_is(w, C_PARENT, a->incumbent_blob)) n = strtoll(w->field[C_N], NULL, 10);
    }
    return n;
}

/* Whether this clone has a baseline of the attempt's task and device. */
static int job_has_baseline(const job *j, const attempt *a)
{
    char task_name[256], device[256];
    int i;
    for (i = 0; i < j->known.n; i++) {
        const row *w = &j->known.row[i];
        field_unescape(w->field[C_TASK], strlen(w->field[C_TASK]), task_name, sizeof task_name);
        field_unescape(w->field[C_DEVICE], strlen(w->field[C_DEVICE]), device, sizeof device);
        if (row_baseline(w) && strtoll(w->field[C_N], NULL, 10) > j->adopted && strcmp(task_name, a->task) == 0 && strcmp(device, a->device) == 0) return 1;
    }
    return 0;
}

/* Judge candidate k against the tree `incumbent` (0 = the packed one; k = 0: the baseline of the incumbent).  Fills a; 0, or the judge's
   or our refusal. */
static int job_judge(const job *j, const goals *g, int k, int incumbent, attempt *a)
{
    char candidate_dir[PATH_BYTES], incumbent_dir[PATH_BYTES], key[80], name[64];
    judge_job jj;
    aopt_error err;
    int64_t known;
    attempt_init(a);
    memset(&jj, 0, sizeof jj);
    job_tree(j, k, candidate_dir);
    job_tree(j, incumbent, incumbent_dir);
    snprintf(name, sizeof name, k ? "candidate-%d" : "incumbent", k);
    kv_get(j->text.data, name, a->candidate_blob, sizeof a->candidate_blob);
    snprintf(key, sizeof key, "%s_hash", name);
    kv_get(j->text.data, key, a->candidate, sizeof a->candidate);
    snprintf(key, sizeof key, "%s_desc", name);
    kv_get(j->text.data, key, a->desc, sizeof a->desc);
    snprintf(key, sizeof key, "%s_attack", name);
    kv_get(j->text.data, key, a->attack, sizeof a->attack);
    snprintf(name, sizeof name, incumbent ? "candidate-%d" : "incumbent", incumbent);
    kv_get(j->text.data, name, a->incumbent_blob, sizeof a->incumbent_blob);
    snprintf(key, sizeof key, "%s_hash", name);
    kv_get(j->text.data, key, a->incumbent, sizeof a->incumbent);
    if (k == 0) snprintf(a->desc, sizeof a->desc, "baseline");
    snprintf(a->scope, sizeof a->scope, "%s", j->scope);
    snprintf(a->via, sizeof a->via, "local");
    snprintf(a->task, sizeof a->task, "%s", j->task);
    now_utc(a->utc);
    jj.task = goals_task_named(g, j->task);
    if (!jj.task) return refuse(a, 2, "the tasks are in goals.json", "no task %s", j->task);
    if (judge_identify(jj.task, a, &err) != AOPT_OK) return refuse(a, 125, "./harness verify", "%s", err.message);
    snprintf(a->harness_hash, sizeof a->harness_hash, "%s", j->harness_hash);
    known = job_known(j, a);
    if (k == 0 && j->n > 0 ? job_has_baseline(j, a) : known > 0 || (k > 0 && strcmp(a->candidate_blob, a->incumbent_blob) == 0)) {
        a->verdict = V_NOOP;
        a->code = 3;
        snprintf(a->why, sizeof a->why, "this code was measured here before%s", known ? "" : ": it is the incumbent");
        if (known) snprintf(a->why + strlen(a->why), sizeof a->why - strlen(a->why), ": row %lld", (long long)known);
        snprintf(a->next, sizeof a->next, "edit optimize.c");
        return 0;
    }
    jj.incumbent_dir = incumbent_dir; jj.candidate_dir = candidate_dir; jj.desc = a->desc;
    jj.scope_library = strcmp(j->scope, "library") == 0; jj.baseline = k == 0;
    if (getentropy(&jj.seed, sizeof jj.seed) != 0) return refuse(a, 125, "mend /dev/urandom", "no random seed: %s", strerror(errno));
    if (judge_attempt(&jj, a, &err) != AOPT_OK && a->code == 0) refuse(a, 125, "./harness verify", "%s", err.message);
    return a->verdict == V_REFUSED ? a->code : 0;
}

static int verdict_recorded(verdict_id v) { return v == V_KEEP || v == V_BASELINE || v == V_NOISE || v == V_SLOWER || v == V_REJECT; }

static void advise(const record *r, const goals *g, attempt *a);

/* The chain.  measure: judge what has no result yet, until budget_s is over.  r != NULL: record what has a result (strict = from this
   worktree).  Prints each verdict; a ends as the last one.  Returns the exit status. */
static int job_run(job *j, record *r, const goals *g, int measure, double budget_s, int strict, attempt *a)
{
    char before[65] = "", dir[PATH_BYTES];
    const double start = aopt_seconds();
    double slowest = 0;
    text seals;
    const char *const args[] = { "log", "--format=%(trailers:key=Autoopt-Seal,valueonly)", "--first-parent", r && r->log[0] ? r->log : "HEAD", NULL };
    int k, rc = 0, incumbent = 0, recorded = 0, done = 0;
    memset(&seals, 0, sizeof seals);
    text_append(&seals, "", 0);
    if (r && !strict) git_run(r, NULL, &seals, NULL, args);
    for (k = 0; k <= j->n && rc == 0; k++) {
        attempt_free(a);
        if ((rc = result_read(j, k, before, a)) > 0) break;
        if (rc < 0) {
            const double began = aopt_seconds();
            rc = 0;
            if (!measure || (budget_s > 0 && done > 0 && aopt_seconds() - start + slowest > budget_s)) break;
            attempt_free(a);
            if ((rc = job_judge(j, g, k, incumbent, a)) != 0 || (rc = result_write(j, k, before, a)) != 0) break;
            RECORD_STEP();
            if (a->verdict != V_NOOP) done++;
            if (aopt_seconds() - began > slowest) slowest = aopt_seconds() - began;
        } else if (strcmp(a->harness_hash, j->harness_hash) != 0) {
            rc = refuse(a, 44, "pack it again", "result-%d was measured by another harness", k);
            break;
        }
        if (r && verdict_recorded(a->verdict) && !strstr(seals.data, a->seal)) {
            snprintf(a->via, sizeof a->via, "%s", strict ? "local" : "record");
            job_tree(j, k, dir);
            if ((rc = record_finish(r, a, dir, strict)) != 0) break;
            recorded++;
        }
        if (a->verdict == V_KEEP) { incumbent = k; memcpy(before, a->seal, 65); }
        if (r && !strict && a->n == 0) continue;
        if (r) advise(r, g, a);
        if (a->verdict != V_NOOP || k == j->n) verdict_print(a);
        if (a->verdict == V_UNSTABLE && k == 0) break;
    }
    if (rc > 0) verdict_print(a);
    else if (r && !strict) printf("%d of %d results recorded%s\n", recorded, k, recorded < k ? "; the rest was before, or has no row (NOOP, UNSTABLE)" : "");
    text_free(&seals);
    return a->code;
}

/* goals.json, and that nothing frozen was touched: 40. */
static int goals_open(goals *g, char harness_hash[65], attempt *a)
{
    aopt_error err;
    if (goals_load("goals.json", g, &err) != AOPT_OK) return refuse(a, 40, "git checkout HEAD -- goals.json", "%s", err.message);
    if (frozen_check(g, harness_hash, &err) != AOPT_OK) return refuse(a, 40, "restore it as said, or (people) commit it and ./build.sh", "%s", err.message);
    return 0;
}

typedef struct run_options { const char *desc, *attack, *task, *scope; } run_options;   /* task NULL = the default; scope "optimize" or "library" */

/* The loop, once: judge the worktree's optimize.c against HEAD's, keep or restore, record, print.  Returns the exit status. */
static int record_run(const run_options *o)
{
    char harness_hash[65], path[PATH_BYTES], candidate[136];
    static goals g;
    pack_item item;
    const task *t;
    record r;
    attempt a;
    job j;
    int rc;
    attempt_init(&a);
    memset(&j, 0, sizeof j);
    rc = record_open(&r, 1, &a);
    RECORD_STEP();
    if (rc == 0) rc = goals_open(&g, harness_hash, &a);
    if (rc == 0) rc = results_complete(&r, &a);
    if (rc == 0 && !(t = task_choose(&g, o->task, &a))) rc = a.code;
    if (rc == 0) {
        path_join(path, r.dir, "job");
        tree_remove(path);
        item.from = "optimize.c"; item.desc = o->desc; item.attack = o->attack;
        if (strcmp(o->scope, "library") == 0) item.from = ".";
        rc = job_pack(&r, path, t->name, o->scope, harness_hash, &item, 1, &a);
        RECORD_STEP();
        if (rc == 0) rc = job_load(&j, path, &a);
    }
    if (rc == 0) {
        kv_get(j.text.data, "candidate-1", candidate, sizeof candidate);
        if (strcmp(candidate, j.incumbent) == 0) j.n = 0;       /* unchanged code: the baseline alone */
        rc = job_run(&j, &r, &g, 1, 0, 1, &a);
    } else verdict_print(&a);
    attempt_free(&a);
    job_free(&j);
    record_close(&r);
    return rc;
}

static int usage_error(const char *line)
{
    fprintf(stderr, "usage: ./harness %s\n", line);
    return 2;
}

/* pack JOB [--task NAME] [--scope library] {[--desc TEXT] [--attack ITEM] CANDIDATE.c} ...: a --desc holds for the next candidate. */
static int command_pack(int argc, char **argv)
{
    enum { MAX_ITEMS = 256 };
    static pack_item item[MAX_ITEMS];
    static goals g;
    static const char usage[] = "pack JOB [--task NAME] [--scope optimize|library] [--desc TEXT] [--attack ITEM] [CANDIDATE.c ...]";
    const char *desc = NULL, *attack = NULL, *task_name = NULL, *scope = "optimize", *dir = NULL, *base;
    char harness_hash[65];
    const task *t = NULL;
    attempt a;
    record r;
    int i, n = 0, rc;
    for (i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--", 2) == 0) {
            if (i + 1 >= argc) return usage_error(usage);
            if (strcmp(argv[i], "--desc") == 0) desc = argv[++i];
            else if (strcmp(argv[i], "--attack") == 0) attack = argv[++i];
            else if (strcmp(argv[i], "--task") == 0) task_name = argv[++i];
            else if (strcmp(argv[i], "--scope") == 0) scope = argv[++i];
            else return usage_error(usage);
        } else if (!dir) dir = argv[i];
        else if (n < MAX_ITEMS) {
            base = strrchr(argv[i], '/');
            item[n].from = argv[i];
            item[n].desc = desc ? desc : base ? base + 1 : argv[i];
            item[n++].attack = attack;
            desc = attack = NULL;
        }
    }
    if (!dir || (strcmp(scope, "optimize") != 0 && strcmp(scope, "library") != 0)) return usage_error(usage);
    if (n == 0) { item[0].from = strcmp(scope, "library") == 0 ? "." : "optimize.c"; item[0].desc = desc ? desc : "optimize.c"; item[n++].attack = attack; }
    attempt_init(&a);
    rc = record_open(&r, 1, &a);
    if (rc == 0) rc = goals_open(&g, harness_hash, &a);
    if (rc == 0) rc = results_complete(&r, &a);
    if (rc == 0 && task_name && !(t = goals_task_named(&g, task_name))) rc = refuse(&a, 2, "the tasks are in goals.json", "no task %s", task_name);
    if (rc == 0 && !t && !(t = task_choose(&g, NULL, &a))) rc = a.code;
    if (rc == 0) rc = job_pack(&r, dir, t->name, scope, harness_hash, item, n, &a);
    if (rc == 0) printf("packed %d candidate%s for %s on %.12s: on the other machine  ./harness measure %s --budget SECONDS\n", n, n == 1 ? "" : "s", t->name, r.head, dir);
    else verdict_print(&a);
    record_close(&r);
    return rc;
}

/* measure JOB [--budget SECONDS] */
static int command_measure(int argc, char **argv)
{
    static goals g;
    char harness_hash[65], path[PATH_BYTES];
    const char *dir = NULL;
    double budget = 0;
    attempt a;
    job j;
    int i, rc, lock;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--budget") == 0 && i + 1 < argc) budget = atof(argv[++i]);
        else if (argv[i][0] != '-' && !dir) dir = argv[i];
        else return usage_error("measure JOB [--budget SECONDS]");
    }
    if (!dir) return usage_error("measure JOB [--budget SECONDS]");
    attempt_init(&a);
    rc = job_load(&j, dir, &a);
    path_join(path, dir, "lock");
    if (rc == 0 && (lock = lock_take(path, "this JOB", &a)) < 0) rc = a.code;
    if (rc == 0) rc = goals_open(&g, harness_hash, &a);
    if (rc == 0 && strcmp(harness_hash, j.harness_hash) != 0)
        rc = refuse(&a, 40, "build the harness of the commit that was packed", "packed by harness %.12s, this is %.12s", j.harness_hash, harness_hash);
    if (rc == 0) {
        job_run(&j, NULL, &g, 1, budget, 0, &a);
        for (i = 0, rc = 0; i <= j.n; i++) {
            char name[64];
            snprintf(name, sizeof name, "result-%d", i);
            path_join(path, dir, name);
            rc += access(path, F_OK) == 0;
        }
        printf("%d of %d measured%s\n", rc > 0 ? rc - 1 : 0, j.n, rc == j.n + 1 ? ": ./harness record it where git is" : "; run this again to go on");
        rc = a.verdict == V_REFUSED || a.verdict == V_UNSTABLE ? a.code : rc == j.n + 1 ? 0 : 1;
    } else verdict_print(&a);
    attempt_free(&a);
    job_free(&j);
    return rc;
}

/* record JOB */
static int command_record(int argc, char **argv)
{
    static goals g;
    char harness_hash[65], head[136];
    attempt a;
    record r;
    job j;
    int rc;
    if (argc != 2 || argv[1][0] == '-') return usage_error("record JOB");
    attempt_init(&a);
    memset(&j, 0, sizeof j);
    rc = record_open(&r, 1, &a);
    if (rc == 0) rc = goals_open(&g, harness_hash, &a);
    if (rc == 0) rc = results_complete(&r, &a);
    if (rc == 0) rc = job_load(&j, argv[1], &a);
    if (rc == 0 && strcmp(harness_hash, j.harness_hash) != 0)
        rc = refuse(&a, 40, "build the harness of the commit that was packed", "packed by harness %.12s, this is %.12s", j.harness_hash, harness_hash);
    if (rc == 0 && git(&r, "merge-base", "--is-ancestor", j.parent, "HEAD", (const char *)NULL) != 0)
        rc = refuse(&a, 42, "git checkout the branch it was packed on", "parent %.12s is not in the history of HEAD", j.parent);
    if (rc == 0) {
        head_blobs(&r, strcmp(j.scope, "library") == 0, head);
        if (strcmp(head, j.incumbent) != 0 && strcmp(r.head, j.parent) == 0)
            rc = refuse(&a, 44, "pack it again", "the incumbent of %s is not optimize.c of its parent %.12s", argv[1], j.parent);
    }
    if (rc == 0) job_run(&j, &r, &g, 0, 0, 0, &a);
    else verdict_print(&a);
    rc = a.code == 1 || a.code == 3 || (a.code >= 10 && a.code < 40) ? 0 : a.code;       /* recorded; the verdicts are the candidates' */
    attempt_free(&a);
    job_free(&j);
    record_close(&r);
    return rc;
}

/* ==== [12] status, goal, show, sync, audit ============================================================== */
typedef struct goal_state {
    int since_keep, nibbles, may_stop, top_n;
    profile_item top[8]; int attacked[8];
    char reason[300];
} goal_state;

/* Whether the loop may stop on a row's task and device.  since_keep: attempts after the newest keep; nibbles: newest keeps in a row, each
   below the nibble threshold; an item counts as attacked if one of these attempts named it. */
static void goal_of(const record *r, const goals *g, const table *t, const row *like, goal_state *s)
{
    text profile;
    int64_t n;
    int i, k, left = 0, want;
    double hours = 0;
    struct tm tm;
    memset(s, 0, sizeof *s);
    memset(&profile, 0, sizeof profile);
    want = g->stop_top_items < 8 ? g->stop_top_items : 8;
    if (log_profile(r, &profile, &n)) s->top_n = profile_items(profile.data, s->top, want);
    text_free(&profile);
    for (i = 0; i < t->n; i++) {
        const row *w = &t->row[i];
        if (!row_group(w, like)) continue;
        if (hours <= 0 && strtoll(w->field[C_N], NULL, 10) > r->adopted) {
            memset(&tm, 0, sizeof tm);
            if (strptime(w->field[C_UTC], "%Y-%m-%dT%H:%M:%SZ", &tm)) hours = (double)(time(NULL) - timegm(&tm)) / 3600;
        }
        if (row_keep(w)) {
            s->nibbles = row_number(w, C_GAIN) < g->stop_nibble_pct ? s->nibbles + 1 : 0;
            s->since_keep = 0;
            memset(s->attacked, 0, sizeof s->attacked);
        } else if (!row_baseline(w)) {
            s->since_keep++;
            for (k = 0; k < s->top_n; k++) if (strcasecmp(w->field[C_ATTACK], s->top[k].name) == 0) s->attacked[k] = 1;
        }
    }
    for (k = s->top_n - 1; k >= 0; k--) if (!s->attacked[k]) left = k + 1;
    if (g->stop_hours > 0 && hours >= g->stop_hours) {
        s->may_stop = 1;
        snprintf(s->reason, sizeof s->reason, "the budget of %g hours is spent (%.1f)", g->stop_hours, hours);
    } else if (s->since_keep < g->stop_attempts)
        snprintf(s->reason, sizeof s->reason, "%d of %d attempts without a keep", s->since_keep, g->stop_attempts);
    else if (left) snprintf(s->reason, sizeof s->reason, "%d attempts without a keep, but %s (%.1f %%) was not attacked: --attack \"%s\"", s->since_keep,
                            s->top[left - 1].name, s->top[left - 1].share, s->top[left - 1].name);
    else {
        s->may_stop = 1;
        snprintf(s->reason, sizeof s->reason, "plateau: %d attempts without a keep, every one of the top %d items attacked", s->since_keep, s->top_n);
    }
}

/* The item to work on next: the largest that was not attacked since the last keep, else the largest. */
static const profile_item *goal_item(const goal_state *s)
{
    int k;
    for (k = 0; k < s->top_n; k++) if (!s->attacked[k]) return &s->top[k];
    return s->top_n ? &s->top[0] : NULL;
}

/* The third line of a recorded verdict, from the record: the judge does not know what came before. */
static void advise(const record *r, const goals *g, attempt *a)
{
    const profile_item *item;
    goal_state s;
    table t;
    aopt_error err;
    char to[120] = "";
    if (!verdict_recorded(a->verdict) || table_parse(r->results.data, r->results.n, &t, &err) != AOPT_OK) return;
    goal_of(r, g, &t, &t.row[t.n - 1], &s);
    item = goal_item(&s);
    if (item) snprintf(to, sizeof to, "%.60s (%.1f %% of the time)", item->name, item->share);
    if (a->verdict == V_KEEP && !a->commit[0]) snprintf(a->next, sizeof a->next, "HEAD is detached: not committed, optimize.c stays as it is; git switch -c NAME, then run again");
    else if (a->verdict == V_KEEP && s.nibbles >= g->stop_nibbles && g->stop_nibbles > 0)
        snprintf(a->next, sizeof a->next, "%d keeps in a row below %g %%: make a structural change (algorithm, layout, schedule) against the top item%s%s", s.nibbles,
                 g->stop_nibble_pct, item ? ", " : "", item ? s.top[0].name : "");
    else if (s.may_stop) snprintf(a->next, sizeof a->next, "you may stop: %s", s.reason);
    else if (a->verdict == V_KEEP || a->verdict == V_BASELINE) snprintf(a->next, sizeof a->next, "edit optimize.c%s%s", item ? ": attack " : "", to);
    else if (a->verdict == V_NOISE || a->verdict == V_SLOWER)
        snprintf(a->next, sizeof a->next, "another idea%s%s; %s", item ? " against " : "", to, s.reason);
    else if (a->n > 0) snprintf(a->next + strlen(a->next), sizeof a->next - strlen(a->next), "%s./harness show %lld has all of it", a->next[0] ? "; " : "", (long long)a->n);
    table_free(&t);
}

/* Open for reading, with goals.json and the rows.  0, or the exit status after the refusal was printed.  view_close in any case. */
typedef struct view { record r; goals g; table t; } view;
static int view_open(view *v)
{
    attempt a;
    aopt_error err;
    int rc;
    attempt_init(&a);
    memset(&v->t, 0, sizeof v->t);
    rc = record_open(&v->r, 0, &a);
    if (rc == 0 && goals_load("goals.json", &v->g, &err) != AOPT_OK) rc = refuse(&a, 40, "git checkout HEAD -- goals.json", "%s", err.message);
    if (rc == 0 && table_parse(v->r.results.data, v->r.results.n, &v->t, &err) != AOPT_OK) rc = refuse(&a, 44, "git log -p results.tsv", "%s", err.message);
    if (rc == 0 && v->r.adopted < 0) v->r.adopted = v->t.n ? strtoll(v->t.row[v->t.n - 1].field[C_N], NULL, 10) : 0;
    if (rc != 0) fprintf(stderr, "harness: %s\nNEXT %s\n", a.why, a.next);
    return rc;
}

static void view_close(view *v)
{
    table_free(&v->t);
    record_close(&v->r);
}

/* The newest row, of a task if one is named; NULL = none. */
static const row *view_row(const view *v, const char *task_name)
{
    int i;
    for (i = v->t.n - 1; i >= 0; i--) if (!task_name || row_is(&v->t.row[i], C_TASK, task_name)) return &v->t.row[i];
    return NULL;
}

/* Rows that the branch does not carry yet. */
static int view_uncommitted(const view *v)
{
    text t;
    int n = v->t.n;
    size_t i;
    memset(&t, 0, sizeof t);
    if (git_blob(&v->r, "HEAD:./results.tsv", &t)) for (i = 0, n++; i < t.n; i++) n -= t.data[i] == '\n';
    text_free(&t);
    return n > 0 ? n : 0;
}

static void json_text(text *out, const char *s)
{
    size_t k;
    text_append(out, "\"", 1);
    for (; *s; s += k) {
        k = utf8_length((const unsigned char *)s, strlen(s));
        if (k == 0) { text_add(out, "\\ufffd"); k = 1; }
        else if (*s == '"' || *s == '\\') text_add(out, "\\%c", *s);
        else if ((unsigned char)*s < 32) text_add(out, "\\u%04x", *s);
        else text_append(out, s, k);
    }
    text_append(out, "\"", 1);
}

static void json_number(text *out, const char *key, double v)
{
    if (isfinite(v)) text_add(out, ",\"%s\":%.10g", key, v);
    else text_add(out, ",\"%s\":null", key);
}

static void status_json(const view *v, const row *like, const group_count *g, const goal_state *s, text *out)
{
    int i, k, shown = 0;
    text_add(out, "{\"branch\":");
    json_text(out, v->r.branch[0] ? v->r.branch : "(detached)");
    text_add(out, ",\"head\":\"%s\",\"rows\":%d,\"uncommitted_rows\":%d", v->r.head, v->t.n, view_uncommitted(v));
    if (like) {
        text_add(out, ",\"task\":"); json_text(out, like->field[C_TASK]);
        text_add(out, ",\"device\":"); json_text(out, like->field[C_DEVICE]);
        json_number(out, "baseline_ms", g->base); json_number(out, "best_ms", g->best); json_number(out, "speedup", g->base / g->best);
        json_number(out, "best_row", g->best_row >= 0 ? row_number(&v->t.row[g->best_row], C_N) : NAN);
        text_add(out, ",\"attempts\":%d,\"keeps\":%d,\"since_keep\":%d,\"nibbles\":%d,\"may_stop\":%s,\"reason\":", g->attempts, g->keeps, s->since_keep, s->nibbles, s->may_stop ? "true" : "false");
        json_text(out, s->reason);
        text_add(out, ",\"top\":[");
        for (k = 0; k < s->top_n; k++) {
            text_add(out, "%s{\"item\":", k ? "," : "");
            json_text(out, s->top[k].name);
            text_add(out, ",\"share_pct\":%.10g,\"attacked\":%s}", s->top[k].share, s->attacked[k] ? "true" : "false");
        }
        text_add(out, "],\"last\":[");
        for (i = v->t.n - 1; i >= 0 && shown < 5; i--) {
            const row *w = &v->t.row[i];
            if (!row_group(w, like)) continue;
            text_add(out, "%s{\"n\":%s,\"verdict\":\"%s\",\"code\":%s", shown++ ? "," : "", w->field[C_N], w->field[C_VERDICT], w->field[C_CODE]);
            json_number(out, "gain_pct", row_number(w, C_GAIN)); json_number(out, "t_cand_ms", row_number(w, C_T_CAND));
            text_add(out, ",\"desc\":");
            json_text(out, w->field[C_DESC]);
            text_add(out, "}");
        }
        text_add(out, "]");
    }
    text_add(out, "}\n");
}

static void status_text(const view *v, const row *like, const group_count *g, const goal_state *s, text *out)
{
    int i, k, from = v->t.n, shown = 0;
    text_add(out, "branch    %s at %.12s, %d row%s, %d not committed\n", v->r.branch[0] ? v->r.branch + (strncmp(v->r.branch, "refs/heads/", 11) ? 0 : 11) : "(detached)", v->r.head,
             v->t.n, v->t.n == 1 ? "" : "s", view_uncommitted(v));
    if (!like) { text_add(out, "record    empty: ./harness --desc \"baseline\"\n"); return; }
    text_add(out, "task      %s on %s\nbaseline  ", like->field[C_TASK], like->field[C_DEVICE]);
    add_ms(out, g->base); text_add(out, "\nbest      "); add_ms(out, g->best);
    if (g->best_row >= 0) text_add(out, ", %.2fx, row %s: %s", g->base / g->best, v->t.row[g->best_row].field[C_N], v->t.row[g->best_row].field[C_DESC]);
    text_add(out, "\nattempts  %d, %d kept, %d since the last keep\n", g->attempts, g->keeps, s->since_keep);
    while (from > 0 && shown < 5) shown += row_group(&v->t.row[--from], like);
    for (i = from; i < v->t.n; i++) {
        const row *w = &v->t.row[i];
        if (!row_group(w, like)) continue;
        text_add(out, "  %4s  %-8s %3s  %8s %%  ", w->field[C_N], w->field[C_VERDICT], w->field[C_CODE], w->field[C_GAIN]);
        add_ms(out, row_number(w, C_T_CAND));
        text_add(out, "  %s\n", w->field[C_DESC]);
    }
    for (k = 0; k < s->top_n; k++) text_add(out, "%s  %5.1f %%  %s%s\n", k ? "        " : "profile ", s->top[k].share, s->top[k].name, s->attacked[k] ? " (attacked since the last keep)" : "");
    text_add(out, "goal      %s: %s\n", s->may_stop ? "may stop" : "go on", s->reason);
}

/* status [--json] [--task NAME]; goal [--task NAME]: exit status 0 = the loop may stop, 1 = go on. */
static int command_status(int argc, char **argv)
{
    static view v;
    const char *task_name = NULL;
    const int is_goal = strcmp(argv[0], "goal") == 0;
    const profile_item *item;
    const row *like;
    goal_state s;
    group_count g;
    text out;
    int i, json = 0, rc;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 && !is_goal) json = 1;
        else if (strcmp(argv[i], "--task") == 0 && i + 1 < argc) task_name = argv[++i];
        else return usage_error(is_goal ? "goal [--task NAME]" : "status [--json] [--task NAME]");
    }
    memset(&out, 0, sizeof out);
    memset(&s, 0, sizeof s);
    memset(&g, 0, sizeof g);
    rc = view_open(&v);
    if (rc == 0) {
        like = view_row(&v, task_name);
        if (like) { g = group_of(&v.t, like); goal_of(&v.r, &v.g, &v.t, like, &s); }
        item = goal_item(&s);
        if (is_goal) {
            if (!like) printf("GO ON: nothing is measured yet: ./harness --desc \"baseline\"\n");
            else if (s.may_stop) printf("MAY STOP: %s\n", s.reason);
            else if (item) printf("GO ON: %s; attack %s (%.1f %% of the time)\n", s.reason, item->name, item->share);
            else printf("GO ON: %s; ./harness profile says where the time goes\n", s.reason);
            rc = !s.may_stop;
        } else {
            if (json) status_json(&v, like, &g, &s, &out); else status_text(&v, like, &g, &s, &out);
            fputs(out.data, stdout);
        }
    }
    text_free(&out);
    view_close(&v);
    return rc;
}

/* report: the whole record for people, as Markdown. */
static int command_report(int argc, char **argv)
{
    static view v;
    int first[GROUPS], k, i, rc, groups;
    text out;
    if (argc != 1) return usage_error("report");
    (void)argv;
    memset(&out, 0, sizeof out);
    rc = view_open(&v);
    groups = rc == 0 ? table_groups(&v.t, first, GROUPS) : 0;
    for (k = 0; k < groups; k++) {
        const row *like = &v.t.row[first[k]];
        const group_count g = group_of(&v.t, like);
        double chained = 1, at_start = NAN;
        text_add(&out, "%s## %s on %s\n\n%d attempts, %d kept", k ? "\n" : "", like->field[C_TASK], like->field[C_DEVICE], g.attempts, g.keeps);
        if (g.base > 0 && g.best > 0) { text_add(&out, "; baseline "); add_ms(&out, g.base); text_add(&out, ", best "); add_ms(&out, g.best); text_add(&out, ", %.2fx", g.base / g.best); }
        text_add(&out, "\n\n");
        for (i = 0; i < v.t.n; i++) {
            const row *w = &v.t.row[i];
            if (!row_group(w, like)) continue;
            if (row_baseline(w)) { at_start = row_number(w, C_T_CAND); chained = 1; }
            else if (row_keep(w)) chained *= 1 - row_number(w, C_GAIN) / 100;
            text_add(&out, "%s %s. %s %s %%: ", row_keep(w) ? "**kept**" : "-", w->field[C_N], w->field[C_VERDICT], w->field[C_GAIN]);
            add_escaped(&out, w->field[C_DESC], '|', 200);
            text_add(&out, "\n");
        }
        if (g.keeps && at_start > 0) text_add(&out, "\nThe gains multiply to %.2fx since the last baseline; measured: %.2fx.\n", 1 / chained, at_start / g.best);
    }
    if (rc == 0) fputs(out.n ? out.data : "nothing is recorded yet\n", stdout);
    text_free(&out);
    view_close(&v);
    return rc;
}

/* show N [FILE]: an attempt as the log has it; FILE names one of its parts (optimize.c, samples.tsv, ...), --diff its change. */
static int command_show(int argc, char **argv)
{
    static view v;
    static const char *const part[] = { "attempt.tsv", "gate.txt", "profile.txt", "build.log", "stderr.tail" };
    char commit[65], spec[PATH_BYTES], field[2][140];
    const char *args[8];
    text t;
    long long n, last;
    int i, rc;
    if (argc < 2 || argc > 3 || sscanf(argv[1], "%lld", &n) != 1) return usage_error("show N [FILE | --diff]");
    rc = view_open(&v);
    memset(&t, 0, sizeof t);
    if (rc == 0) {
        last = v.t.n ? strtoll(v.t.row[v.t.n - 1].field[C_N], NULL, 10) : 0;
        snprintf(spec, sizeof spec, "%s~%lld", v.r.log, last - n);
        if (n < 1 || n > last || !v.r.log[0] || !git_line(&v.r, commit, sizeof commit, "rev-parse", "-q", "--verify", spec, (const char *)NULL)) {
            fprintf(stderr, "harness: no row %lld in the log of this clone\n", n);
            rc = 2;
        } else if (argc == 3 && strcmp(argv[2], "--diff") == 0) {
            for (i = 0; i < v.t.n && strtoll(v.t.row[i].field[C_N], NULL, 10) != n; i++) { }
            snprintf(field[0], sizeof field[0], "%.*s", (int)strcspn(v.t.row[i].field[C_PARENT], "+"), v.t.row[i].field[C_PARENT]);
            snprintf(field[1], sizeof field[1], "%.*s", (int)strcspn(v.t.row[i].field[C_CANDIDATE], "+"), v.t.row[i].field[C_CANDIDATE]);
            args[0] = "diff"; args[1] = "--no-ext-diff"; args[2] = "--no-textconv"; args[3] = field[0]; args[4] = field[1]; args[5] = NULL;
            rc = git_run(&v.r, NULL, &t, NULL, args) == 0 ? 0 : 2;
        } else if (argc == 3) {
            snprintf(spec, sizeof spec, "%s:%s", commit, argv[2]);
            rc = git_blob(&v.r, spec, &t) ? 0 : 2;
            if (rc) fprintf(stderr, "harness: row %lld has no %s\n", n, argv[2]);
        } else {
            for (i = 0; i < (int)(sizeof part / sizeof part[0]); i++) {
                size_t at = t.n;
                text_add(&t, "%s---- %s\n", i ? "\n" : "", part[i]);
                snprintf(spec, sizeof spec, "%s:%s", commit, part[i]);
                if (!git_blob(&v.r, spec, &t)) t.data[t.n = at] = 0;
            }
            text_add(&t, "\nsource: ./harness show %lld optimize.c; its change: ./harness show %lld --diff\n", n, n);
        }
        if (rc == 0) fwrite(t.data, 1, t.n, stdout);
    }
    text_free(&t);
    view_close(&v);
    return rc;
}

/* sync: write results.tsv and its views again from the log, and commit them, with the journal (PROGRESS.md), if the branch lacks them. */
static int command_sync(int argc, char **argv)
{
    static const char *const name[] = { "results.tsv", "leaderboard.md", "progress.svg", "PROGRESS.md" };
    char path[PATH_BYTES], utc[24];
    text data[4], head, message;
    pending p;
    attempt a;
    record r;
    aopt_error err;
    int i, rc, differs = 0, n = 0;
    if (argc != 1) return usage_error("sync");
    (void)argv;
    memset(data, 0, sizeof data);
    memset(&head, 0, sizeof head);
    memset(&message, 0, sizeof message);
    memset(&p, 0, sizeof p);
    attempt_init(&a);
    rc = record_open(&r, 1, &a);
    path_join(path, r.root, "results.tsv");
    if (rc == 0 && file_update(path, &r.results, &err) != AOPT_OK) rc = refuse(&a, 42, "free some space, mend the permissions", "%s", err.message);
    if (rc == 0) rc = views_write(&r, &a);
    for (i = 0; i < 4 && rc == 0; i++) {
        char spec[64];
        path_join(path, r.root, name[i]);
        if (access(path, F_OK) != 0) break;
        if (file_read(path, RESULTS_LIMIT, &data[i], &err) != AOPT_OK) rc = refuse(&a, 42, "mend it", "%s", err.message);
        snprintf(spec, sizeof spec, "HEAD:./%s", name[i]);
        head.n = 0;
        if (!git_blob(&r, spec, &head) || head.n != data[i].n || memcmp(head.data, data[i].data, head.n) != 0) differs = 1;
        n++;
    }
    if (rc == 0 && differs && r.log[0] && r.branch[0]) {
        now_utc(utc);
        text_add(&message, "record: bring the branch up to date\n\nAutoopt-Log: %s\n", r.log);
        snprintf(p.verdict, sizeof p.verdict, "SYNC");
        snprintf(p.root, sizeof p.root, "%s", r.root); snprintf(p.gitdir, sizeof p.gitdir, "%s", r.gitdir);
        snprintf(p.branch, sizeof p.branch, "%s", r.branch); snprintf(p.old_head, sizeof p.old_head, "%s", r.head);
        snprintf(p.old_log, sizeof p.old_log, "%s", r.log); snprintf(p.new_log, sizeof p.new_log, "%s", r.log);
        if (!branch_commit(&r, name, data, n, git(&r, "merge-base", "--is-ancestor", r.log, "HEAD", (const char *)NULL) == 0 ? "" : r.log, utc, &message, p.new_head)
            || pending_write(&r, &p, &err) != AOPT_OK) rc = refuse(&a, 42, "free some space", "git cannot store the commit; nothing was changed");
        RECORD_STEP();
        if (rc == 0) rc = pending_apply(&r, &p, &a);
    }
    if (rc != 0) fprintf(stderr, "harness: %s\nNEXT %s\n", a.why, a.next);
    else printf("%s\n", p.new_head[0] ? "the record is committed" : differs && r.log[0] ? "HEAD is detached: the files are up to date, not committed" : "the record is up to date");
    for (i = 0; i < 4; i++) text_free(&data[i]);
    text_free(&head);
    text_free(&message);
    record_close(&r);
    return rc;
}

/* ---- audit: a clean clone of HEAD, built there, checks the chain and judges every kept source again ---- */
typedef struct audit { int bad, checked, judged; } audit;
static void audit_say(audit *u, int ok, const char *format, ...) __attribute__((format(printf, 3, 4)));
static void audit_say(audit *u, int ok, const char *format, ...)
{
    va_list args;
    u->checked++;
    u->bad += !ok;
    if (ok) return;
    printf("AUDIT FAIL ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    printf("\n");
}

/* The log, oldest first: each results.tsv is the one before and one row, and each row names the source beside it. */
static void audit_log(const record *r, audit *u)
{
    const char *const list[] = { "rev-list", "--first-parent", "--reverse", r->log, NULL };
    char spec[PATH_BYTES], hex[65], mode[8], commit[65], blobs[2][65], candidate[140];
    text commits, row_text, all, before;
    const char *p;
    int i;
    memset(&commits, 0, sizeof commits);
    memset(&row_text, 0, sizeof row_text);
    memset(&all, 0, sizeof all);
    memset(&before, 0, sizeof before);
    git_run(r, NULL, &commits, NULL, list);
    for (p = commits.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        const char *f;
        long long n;
        snprintf(commit, sizeof commit, "%.*s", (int)strcspn(p, "\n"), p);
        row_text.n = all.n = 0;
        snprintf(spec, sizeof spec, "%s:row.tsv", commit);
        if (!git_blob(r, spec, &row_text)) row_text.n = 0;
        snprintf(spec, sizeof spec, "%s:results.tsv", commit);
        if (!git_blob(r, spec, &all)) all.n = 0;
        n = row_text.n ? strtoll(row_text.data, NULL, 10) : 0;
        audit_say(u, row_text.n > 0 && all.n > row_text.n && memcmp(all.data + all.n - row_text.n, row_text.data, row_text.n) == 0
                  && (!before.n || (before.n == all.n - row_text.n && memcmp(before.data, all.data, before.n) == 0)),
                  "row %lld: results.tsv of log commit %.12s is not the one before it and this row", n, commit);
        for (f = row_text.data, i = 0; f && i < C_CANDIDATE; i++) { f = strchr(f, '\t'); if (f) f++; }
        snprintf(candidate, sizeof candidate, "%.*s", f ? (int)strcspn(f, "\t") : 0, f ? f : "");
        blob_split(candidate, blobs);
        for (i = 0; i < 2; i++)
            if (blobs[i][0]) {
                git_entry(r, commit, source_name[i], hex, mode);
                audit_say(u, strcmp(hex, blobs[i]) == 0, "row %lld: its %s is blob %.12s, the log has %.12s", n, source_name[i], blobs[i], hex);
            }
        before.n = 0;
        text_append(&before, all.data, all.n);
    }
    text_free(&commits); text_free(&row_text); text_free(&all); text_free(&before);
}

/* The branch: HEAD's results.tsv against the log's, its views against what its rows give, and the source of every KEEP commit. */
static void audit_branch(const record *r, const table *t, audit *u)
{
    const char *const list[] = { "log", "--first-parent", "--format=%H %(trailers:key=Autoopt-Row,valueonly,separator=) %(trailers:key=Autoopt-Candidate,valueonly,separator=)", "HEAD", NULL };
    char commit[65], candidate[140], hex[65], mode[8], blobs[2][65];
    text head, want, have, commits;
    attempt a;
    table at_head;
    aopt_error err;
    const char *p;
    long long n;
    int i, k;
    memset(&head, 0, sizeof head);
    memset(&want, 0, sizeof want);
    memset(&have, 0, sizeof have);
    memset(&commits, 0, sizeof commits);
    attempt_init(&a);
    if (git_blob(r, "HEAD:./results.tsv", &head) && (head.n > r->results.n || memcmp(head.data, r->results.data, head.n) != 0)) {
        results_refuse(&head, &r->results, &a);
        audit_say(u, 0, "%s (here = HEAD)", a.why);
    } else u->checked++;
    if (head.n && table_parse(head.data, head.n, &at_head, &err) == AOPT_OK) {
        leaderboard_make(&at_head, &want);
        audit_say(u, git_blob(r, "HEAD:./leaderboard.md", &have) && have.n == want.n && memcmp(have.data, want.data, want.n) == 0, "leaderboard.md at HEAD is not what its rows give: ./harness sync");
        want.n = have.n = 0;
        progress_make(&at_head, &want);
        audit_say(u, git_blob(r, "HEAD:./progress.svg", &have) && have.n == want.n && memcmp(have.data, want.data, want.n) == 0, "progress.svg at HEAD is not what its rows give: ./harness sync");
        table_free(&at_head);
    }
    git_run(r, NULL, &commits, NULL, list);
    for (p = commits.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        if (sscanf(p, "%64[0-9a-f] %lld %139[0-9a-f+]", commit, &n, candidate) != 3) continue;
        for (i = 0; i < t->n && strtoll(t->row[i].field[C_N], NULL, 10) != n; i++) { }
        audit_say(u, i < t->n && row_is(&t->row[i], C_CANDIDATE, candidate), "row %lld: commit %.12s names source %.12s, the row another", n, commit, candidate);
        blob_split(candidate, blobs);
        for (k = 0; k < 2; k++)
            if (blobs[k][0] && git_entry(r, commit, source_name[k], hex, mode))
                audit_say(u, strcmp(hex, blobs[k]) == 0, "row %lld: commit %.12s has another %s than was judged", n, commit, source_name[k]);
    }
    text_free(&head); text_free(&want); text_free(&have); text_free(&commits);
}

/* Judge a kept row again: the frozen decoder against its source.  It must pass the gate; on the row's own device the speed-up over the
   baseline must come out within tolerance_pct, and the quality within 1 dB anywhere. */
static void audit_row(const record *r, const goals *g, const table *t, int i, const char *work, double tolerance_pct, audit *u)
{
    const row *w = &t->row[i];
    char dir[PATH_BYTES], path[PATH_BYTES], blobs[2][65], task_name[64], device[256];
    judge_job jj;
    attempt a;
    aopt_error err;
    text source;
    double was, now;
    int k, ok = 1;
    memset(&source, 0, sizeof source);
    memset(&jj, 0, sizeof jj);
    attempt_init(&a);
    field_unescape(w->field[C_TASK], strlen(w->field[C_TASK]), task_name, sizeof task_name);
    field_unescape(w->field[C_DEVICE], strlen(w->field[C_DEVICE]), device, sizeof device);
    jj.task = goals_task_named(g, task_name);
    path_join(dir, work, "tree");
    tree_remove(dir);
    blob_split(w->field[C_CANDIDATE], blobs);
    ok = mkdir(dir, 0777) == 0;
    for (k = 0; k < 2 && ok; k++)
        if (blobs[k][0]) {
            source.n = 0;
            path_join(path, dir, source_name[k]);
            ok = git_blob(r, blobs[k], &source) && file_write(path, source.data, source.n, 0644, &err) == AOPT_OK;
        }
    text_free(&source);
    if (!ok || !jj.task) { audit_say(u, 0, "row %s: its source or its task %s is gone", w->field[C_N], task_name); return; }
    jj.incumbent_dir = jj.candidate_dir = dir; jj.baseline = 1; jj.desc = "audit"; jj.scope_library = blobs[1][0] != 0;
    snprintf(a.task, sizeof a.task, "%s", task_name);
    if (getentropy(&jj.seed, sizeof jj.seed) != 0 || judge_identify(jj.task, &a, &err) != AOPT_OK || judge_attempt(&jj, &a, &err) != AOPT_OK || a.verdict != V_BASELINE)
        audit_say(u, 0, "row %s: judged again it gives %s %d: %s", w->field[C_N], verdict_name(a.verdict), a.code, a.why);
    else {
        const double psnr = quality_metric(&a, "psnr");
        u->judged++;
        was = row_number(w, C_PSNR);
        audit_say(u, !(fabs(was - psnr) > 1), "row %s: psnr is %.2f there, %.2f judged again", w->field[C_N], was, psnr);
        was = baseline_ms(t, t->n, w) / row_number(w, C_T_CAND);
        now = a.t_inc_ms / a.t_cand_ms;
        if (strcmp(device, a.device) == 0)
            audit_say(u, fabs(now / was - 1) * 100 <= tolerance_pct, "row %s: %.3fx over the baseline there, %.3fx measured again (tolerance %g %%)", w->field[C_N], was, now, tolerance_pct);
        printf("audit row %s: gate green, %.3fx over the baseline (record %.3fx%s)\n", w->field[C_N], now, was, strcmp(device, a.device) == 0 ? "" : ", another device");
        fflush(stdout);
    }
    attempt_free(&a);
}

/* Inside the clean clone. */
static int audit_here(double tolerance_pct)
{
    static goals g;
    char harness_hash[65];
    attempt a;
    record r;
    table t;
    audit u;
    aopt_error err;
    int i, rc;
    memset(&u, 0, sizeof u);
    attempt_init(&a);
    rc = record_open(&r, 0, &a);
    if (rc == 0) rc = goals_open(&g, harness_hash, &a);
    if (rc == 0 && table_parse(r.results.data, r.results.n, &t, &err) != AOPT_OK) rc = refuse(&a, 44, "git log -p results.tsv", "%s", err.message);
    if (rc != 0) printf("AUDIT FAIL %s\nNEXT %s\n", a.why, a.next);
    else {
        if (r.log[0]) audit_log(&r, &u);
        audit_branch(&r, &t, &u);
        for (i = 0; i < t.n; i++) if (row_keep(&t.row[i])) audit_row(&r, &g, &t, i, r.dir, tolerance_pct, &u);
        printf("audit: %d rows, %d facts checked, %d kept sources judged again, %d wrong\n", t.n, u.checked, u.judged, u.bad);
        rc = u.bad ? 44 : 0;
        table_free(&t);
    }
    record_close(&r);
    return rc;
}

/* Files that git does not carry (checkpoints, references) are lent to the clone. */
static void audit_assets(const char *from, const char *to)
{
    char source[PATH_BYTES], target_path[PATH_BYTES];
    struct dirent *e;
    DIR *d = opendir(from);
    if (!d) return;
    mkdir(to, 0777);
    while ((e = readdir(d)) != NULL) {
        if (e->d_name[0] == '.') continue;
        path_join(source, from, e->d_name);
        path_join(target_path, to, e->d_name);
        if (access(target_path, F_OK) != 0 && symlink(source, target_path) != 0) printf("audit: %s: %s\n", target_path, strerror(errno));
    }
    closedir(d);
}

/* audit [--tolerance PCT]: nothing of this worktree or its build is trusted, only the commits. */
static int command_audit(int argc, char **argv)
{
    double tolerance_pct = 15;
    char work[PATH_BYTES], clone[PATH_BYTES], source[PATH_BYTES], from[PATH_BYTES], number[32];
    const char *build_argv[] = { "./build.sh", NULL }, *audit_argv[] = { "./harness", "audit", "--here", "--tolerance", NULL, NULL };
    process p;
    attempt a;
    record r;
    text out;
    int i, rc, here = 0;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--here") == 0) here = 1;
        else if (strcmp(argv[i], "--tolerance") == 0 && i + 1 < argc) tolerance_pct = atof(argv[++i]);
        else return usage_error("audit [--tolerance PERCENT]");
    }
    if (here) return audit_here(tolerance_pct);
    attempt_init(&a);
    memset(&out, 0, sizeof out);
    memset(&p, 0, sizeof p);
    if ((rc = record_open(&r, 0, &a)) != 0) { printf("AUDIT FAIL %s\nNEXT %s\n", a.why, a.next); record_close(&r); return rc; }
    snprintf(work, sizeof work, "%s/autoopt-audit.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(work)) { printf("AUDIT FAIL %s: %s\n", work, strerror(errno)); record_close(&r); return 42; }
    path_join(clone, work, "clone");
    snprintf(from, sizeof from, "%.*s", (int)(strlen(r.dir) - strlen("/autoopt")), r.dir);
    rc = 42;
    if (git(&r, "clone", "-q", "--no-hardlinks", "--no-checkout", from, clone, (const char *)NULL) != 0) printf("AUDIT FAIL git clone %s\n", r.root);
    else {
        record c = r;
        memset(&c.results, 0, sizeof c.results);
        snprintf(c.root, sizeof c.root, "%s", clone);
        if (git(&c, "checkout", "-q", "--detach", r.head, (const char *)NULL) != 0
            || (r.log[0] && git(&c, "fetch", "-q", "origin", "+refs/autoopt/log:refs/autoopt/log", (const char *)NULL) != 0 && git(&c, "update-ref", "refs/autoopt/log", r.log, (const char *)NULL) != 0))
            printf("AUDIT FAIL git checkout %s in the clone\n", r.head);
        else {
            if (snprintf(source, sizeof source, "%s/%s", clone, r.prefix) >= (int)sizeof source) rc = 42;
            path_join(from, r.root, "assets");
            path_join(clone, source, "assets");
            audit_assets(from, clone);
            p.argv = build_argv; p.cwd = source;
            if (process_run(&p, &out, NULL) != 0) printf("%s\nAUDIT FAIL ./build.sh in a clean clone\n", out.data ? out.data : "");
            else {
                snprintf(number, sizeof number, "%g", tolerance_pct);
                audit_argv[4] = number;
                out.n = 0;
                p.argv = audit_argv;
                rc = process_run(&p, &out, NULL);
                fputs(out.data ? out.data : "", stdout);
            }
        }
    }
    tree_remove(work);
    text_free(&out);
    record_close(&r);
    return rc < 0 ? 42 : rc;
}

/* ==== [13] agent guards: enlist, hook =================================================================== */

/* ==== [14] the loop, commands, main ===================================================================== */
int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}
