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
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif

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
    SO_CAP = 16 << 20,              /* a shared object larger than this carries data, not code */
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
    struct task task[MAX_TASKS]; int task_n;
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

/* A path of at most PATH_CAP - 1 bytes; a longer one is cut and will not be found. */
enum { PATH_CAP = 1024 };
static void path_set(char out[PATH_CAP], const char *format, ...) __attribute__((format(printf, 2, 3)));
static void path_set(char out[PATH_CAP], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, PATH_CAP, format, args);
    va_end(args);
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
enum { CONFINE_PATHS = 48 };

/* What a confined process may touch beneath; everything else it may not even read. */
typedef struct confinement {
    char read[CONFINE_PATHS][PATH_CAP]; int read_n;
    char write[8][PATH_CAP]; int write_n;
    int keep_signals;                   /* 0 = signals only to its own kind */
} confinement;

static void confine_read(confinement *c, const char *path)
{
    if (c->read_n < CONFINE_PATHS && path && *path == '/') path_set(c->read[c->read_n++], "%s", path);
}

static void confine_write(confinement *c, const char *path)
{
    if (c->write_n < 8) path_set(c->write[c->write_n++], "%s", path);
}

/* Every folder of a list like PATH, or its parent: a toolchain in /opt/x/bin needs /opt/x/lib. */
static void confine_read_list(confinement *c, const char *list, int parent)
{
    char one[PATH_CAP], *slash;
    const char *p = list, *end;
    for (; p && *p; p = *end ? end + 1 : end) {
        end = strchr(p, ':');
        if (!end) end = p + strlen(p);
        if (*p != '/' || (size_t)(end - p) >= sizeof one) continue;
        memcpy(one, p, (size_t)(end - p));
        one[end - p] = 0;
        slash = parent ? strrchr(one, '/') : NULL;
        if (slash && slash > one) *slash = 0;
        if (strcmp(one, "/") != 0) confine_read(c, one);
    }
}

static void confine_system(confinement *c)
{
    static const char *const path[] = { "/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/etc", "/opt", "/nix/store", "/proc", "/sys", "/run/nvidia-persistenced" };
    size_t i;
    memset(c, 0, sizeof *c);
    for (i = 0; i < sizeof path / sizeof path[0]; i++) confine_read(c, path[i]);
}

/* Landlock (security/landlock of the kernel's user-space API documentation); numbers are given here because older kernel
   headers lack the later ones.  Rights by bit: 0 execute, 1 write, 2 read, 3 list, 4-12 create and remove, 13 refer,
   14 truncate, 15 device ioctl. */
enum { LL_CREATE = 444, LL_ADD = 445, LL_RESTRICT = 446 };
static void landlock_allow(int ruleset, const char *path, uint64_t rights)
{
    struct { uint64_t rights; int32_t fd; } __attribute__((packed)) rule;
    const uint64_t file_rights = 1u | 1u << 1 | 1u << 2 | 1u << 14 | 1u << 15;
    struct stat st;
    const int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return;
    rule.fd = fd;
    rule.rights = fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) ? rights : rights & file_rights;
    syscall(LL_ADD, ruleset, 1, &rule, 0);
    close(fd);
}

/* Give up privileges for good; 1 if the file system is closed too, 0 if this kernel cannot. */
static int confine(const confinement *c)
{
    struct { uint64_t fs, net, scope; } attr;
    struct { uint32_t version; int32_t pid; } cap_header;
    uint32_t cap_data[6];
    const long abi = syscall(LL_CREATE, NULL, 0, 1);
    const uint64_t all = abi >= 5 ? 0xffff : abi >= 3 ? 0x7fff : abi == 2 ? 0x3fff : 0x1fff;
    int ruleset, i;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    for (i = 0; i < 64; i++) prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
    memset(cap_data, 0, sizeof cap_data);
    cap_header.version = 0x20080522;
    cap_header.pid = 0;
    syscall(SYS_capset, &cap_header, cap_data);
    if (abi < 1) return 0;
    memset(&attr, 0, sizeof attr);
    attr.fs = all;
    attr.net = abi >= 4 ? 3 : 0;                                /* no TCP bind, no connect */
    attr.scope = abi >= 6 ? (c->keep_signals ? 1 : 3) : 0;      /* no abstract sockets, no signals to strangers */
    ruleset = (int)syscall(LL_CREATE, &attr, (size_t)(abi >= 6 ? 24 : abi >= 4 ? 16 : 8), 0);
    if (ruleset < 0) return 0;
    for (i = 0; i < c->read_n; i++) landlock_allow(ruleset, c->read[i], all & (1u | 1u << 2 | 1u << 3));
    for (i = 0; i < c->write_n; i++) landlock_allow(ruleset, c->write[i], all);
    landlock_allow(ruleset, "/dev", all & (1u << 1 | 1u << 2 | 1u << 3 | 1u << 15));
    i = syscall(LL_RESTRICT, ruleset, 0) == 0;
    close(ruleset);
    return i;
}

static void confine_child(void *user)
{
    confine((const confinement *)user);
}

/* An environment made from nothing: `NAME=value` strings.  pass copies ours, if set. */
typedef struct environment { char *entry[32]; int n; } environment;
static void environment_add(environment *e, const char *name, const char *value)
{
    text t;
    if (!value || e->n >= 31) return;
    memset(&t, 0, sizeof t);
    text_add(&t, "%s=%s", name, value);
    e->entry[e->n++] = t.data;
    e->entry[e->n] = NULL;
}
static void environment_pass(environment *e, const char *name) { environment_add(e, name, getenv(name)); }
static void environment_free(environment *e)
{
    while (e->n > 0) free(e->entry[--e->n]);
}

#ifdef AUTOOPT_CUDA
#define HARNESS_KIND "cuda"
#else
#define HARNESS_KIND "cpu"
#endif

/* The lines of a compiler log that name an error, at most 20 of them; all of a short log without any. */
static void build_errors(const text *log, text *out)
{
    const char *p = log->data, *end;
    int n = 0;
    for (; p && *p && n < 20; p = *end ? end + 1 : end) {
        end = strchr(p, '\n');
        if (!end) end = p + strlen(p);
        if (memmem(p, (size_t)(end - p), "error", 5) || memmem(p, (size_t)(end - p), "undefined reference", 19)) {
            text_add_escaped(out, p, (size_t)(end - p));
            text_add(out, "\n");
            n++;
        }
    }
    if (n == 0 && log->n) text_add_escaped(out, log->data, log->n < 2000 ? log->n : 2000);
}

/* tree/optimize.c -> so, by build.sh, in a private folder `tmp`, unable to read anything but headers and toolchain.
   0, 10 (does not build) or 11 (takes too long); the compiler's words are appended to log. */
static int build_candidate(const char *tree, const char *so, const char *tmp, double timeout_s, text *log)
{
    const char *argv[5];
    char root[PATH_CAP], path[PATH_CAP];
    confinement c;
    environment e;
    process p;
    text source;
    aopt_error err;
    struct stat st;
    int rc;
    memset(&source, 0, sizeof source);
    path_set(path, "%s/optimize.c", tree);
    rc = file_read(path, SOURCE_CAP, &source, &err) != AOPT_OK;
    text_free(&source);
    if (rc) { text_add(log, "error: %s\n", err.message); return 10; }
    if (!getcwd(root, sizeof root)) { text_add(log, "error: no working directory\n"); return 10; }

    confine_system(&c);
    c.keep_signals = 1;
    confine_read_list(&c, getenv("PATH"), 1);
    confine_read(&c, getenv("CUDA_HOME"));
    confine_read(&c, tree);
    path_set(path, "%s/build.sh", root); confine_read(&c, path);
    path_set(path, "%s/autoopt.h", root); confine_read(&c, path);
    path_set(path, "%s/autoopt_kernels.cuh", root); confine_read(&c, path);
    path_set(path, "%s/model", root); confine_read(&c, path);
    path_set(path, "%s/build", root); confine_write(&c, path);
    confine_write(&c, tmp);

    memset(&e, 0, sizeof e);
    environment_pass(&e, "PATH"); environment_pass(&e, "CC"); environment_pass(&e, "NVCC"); environment_pass(&e, "CUDA_HOME"); environment_pass(&e, "ARCH");
    environment_add(&e, "HOME", tmp); environment_add(&e, "TMPDIR", tmp); environment_add(&e, "LC_ALL", "C"); environment_add(&e, "KIND", HARNESS_KIND);
    memset(&p, 0, sizeof p);
    argv[0] = "./build.sh"; argv[1] = "candidate"; argv[2] = tree; argv[3] = so; argv[4] = NULL;
    p.argv = argv;
    p.env = (const char *const *)e.entry;
    p.timeout_s = timeout_s;
    p.out_cap = 1 << 20;
    p.in_child = confine_child;
    p.user = &c;
    rc = process_run(&p, log, NULL);
    environment_free(&e);
    if (rc == PROCESS_TIMEOUT) return 11;
    if (rc == 0 && (stat(so, &st) != 0 || st.st_size > SO_CAP)) {
        text_add(log, "error: the shared object is missing or larger than %d MiB: code belongs in it, not data\n", SO_CAP >> 20);
        return 10;
    }
    return rc == 0 ? 0 : 10;
}

/* With --scope library, the judge's half of autoopt_kernels.cuh (all above the line that holds KERNELS_MARK) must be the
   repository's.  AOPT_E_VALUE if not. */
#define KERNELS_MARK "end of the judge's half"
static aopt_status build_check_kernels(const char *tree, aopt_error *err)
{
    char path[PATH_CAP];
    text ours, theirs;
    const char *a, *b;
    aopt_status st;
    memset(&ours, 0, sizeof ours);
    memset(&theirs, 0, sizeof theirs);
    path_set(path, "%s/autoopt_kernels.cuh", tree);
    if (access(path, F_OK) != 0) return AOPT_OK;
    st = file_read("autoopt_kernels.cuh", 16 << 20, &ours, err);
    if (st == AOPT_OK) st = file_read(path, 16 << 20, &theirs, err);
    if (st == AOPT_OK) {
        a = strstr(ours.data, KERNELS_MARK);
        b = strstr(theirs.data, KERNELS_MARK);
        if (!a || !b || a - ours.data != b - theirs.data || memcmp(ours.data, theirs.data, (size_t)(a - ours.data)) != 0)
            st = aopt_fail(err, AOPT_E_VALUE, "%s: the judge's half, above \"%s\", was changed", path, KERNELS_MARK);
    }
    text_free(&ours);
    text_free(&theirs);
    return st;
}

/* ==== [5] runner: the child that holds a candidate ======================================================
   `harness --runner SO CHECKPOINT THREADS FLAGS DELAY TMP DIM...` with six descriptors: commands in, replies out, and shared
   memory for input (read-only here), output (guards on both sides) and report.  It believes nothing and decides nothing. */
enum { FD_COMMAND = 3, FD_REPLY = 4, FD_INPUT = 5, FD_OUTPUT = 6, FD_REPORT = 7, FD_N = 8 };
enum { OP_READY = 1, OP_BUILD, OP_DECODE, OP_PING, OP_QUIT, OP_FAULT };
enum { RUN_PROFILE = 1 };
typedef struct command { uint32_t op, call; } command;
typedef struct reply {
    uint32_t op, call;
    int32_t status, sandbox;            /* of the operation; sandbox: 1 = Landlock */
    int32_t signal; uint32_t where;     /* OP_FAULT: where = 1 input, 2 output, 0 elsewhere */
    uint64_t address, offset;           /* offset in bytes from the start of that tensor */
    char text[480];                     /* error message, or the candidate's info */
} reply;

static struct { unsigned char *input, *output; size_t input_n, output_n; uint32_t call; } runner_map;      /* for the signal handler */

static void runner_say(reply *r, uint32_t op, uint32_t call)
{
    r->op = op;
    r->call = call;
    if (write(FD_REPLY, r, sizeof *r) != (ssize_t)sizeof *r) _exit(96);
}

/* Says where it hurt, then dies of the same signal. */
static void runner_fault(int sig, siginfo_t *info, void *context)
{
    reply r;
    const unsigned char *p = (const unsigned char *)info->si_addr;
    (void)context;
    memset(&r, 0, sizeof r);
    r.signal = sig;
    r.address = (uint64_t)(uintptr_t)p;
    if (runner_map.input && p >= runner_map.input && p < runner_map.input + runner_map.input_n) {
        r.where = 1;
        r.offset = (uint64_t)(p - runner_map.input);
    } else if (runner_map.output && p >= runner_map.output && p < runner_map.output + runner_map.output_n) r.where = 2;
    signal(sig, SIG_DFL);
    runner_say(&r, OP_FAULT, runner_map.call);
    raise(sig);
}

static void runner_signals(void)
{
    static const int sig[] = { SIGSEGV, SIGBUS, SIGFPE, SIGILL };
    static char stack[65536];
    stack_t alt;
    struct sigaction sa;
    size_t i;
    memset(&alt, 0, sizeof alt);
    alt.ss_sp = stack;
    alt.ss_size = sizeof stack;
    sigaltstack(&alt, NULL);
    memset(&sa, 0, sizeof sa);
    sa.sa_sigaction = runner_fault;
    sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
    for (i = 0; i < sizeof sig / sizeof sig[0]; i++) sigaction(sig[i], &sa, NULL);
}

static void runner_rlimit(int what, rlim_t value)
{
    struct rlimit r;
    if (getrlimit((__rlimit_resource_t)what, &r) != 0) return;
    if (r.rlim_max != RLIM_INFINITY && value > r.rlim_max) value = r.rlim_max;
    r.rlim_cur = r.rlim_max = value;
    setrlimit((__rlimit_resource_t)what, &r);
}

static int runner_confine(const char *so, const char *tmp)
{
    confinement c;
    char folder[PATH_CAP], *slash;
    confine_system(&c);
    confine_read_list(&c, getenv("LD_LIBRARY_PATH"), 0);
    confine_read(&c, getenv("CUDA_HOME"));
    path_set(folder, "%s", so);
    slash = strrchr(folder, '/');
    if (slash && slash > folder) { *slash = 0; confine_read(&c, folder); }
    confine_write(&c, tmp);
    runner_rlimit(RLIMIT_CORE, 0);
    runner_rlimit(RLIMIT_FSIZE, (rlim_t)256 << 20);
    runner_rlimit(RLIMIT_NPROC, 16384);
    return confine(&c);
}

/* The frozen decoder wears the candidate's clothes: SO is "-". */
typedef struct frozen_decoder { const aopt_model *model; aopt_device device; } frozen_decoder;
static aopt_status frozen_decode(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const frozen_decoder *f = (const frozen_decoder *)ctx;
    return target.reference(f->model, &f->device, input, 0, output, NULL, NULL, err);
}
static void frozen_close(void *ctx) { (void)ctx; }

typedef aopt_status (*build_decoder_fn)(const aopt_model *, const aopt_shape *, const aopt_device *, aopt_decoder *, aopt_error *);
static aopt_status runner_build(const char *so, const aopt_model *model, const aopt_shape *shape, const aopt_device *device,
                                aopt_decoder *out, aopt_error *err)
{
    static frozen_decoder frozen;
    build_decoder_fn build;
    void *handle, *symbol;
    memset(out, 0, sizeof *out);
    if (strcmp(so, "-") == 0) {
        frozen.model = model;
        frozen.device = *device;
        out->ctx = &frozen;
        out->decode = frozen_decode;
        out->close = frozen_close;
        snprintf(out->info, sizeof out->info, "frozen reference");
        return AOPT_OK;
    }
    handle = dlopen(so, RTLD_NOW | RTLD_LOCAL);
    symbol = handle ? dlsym(handle, "build_decoder") : NULL;
    if (!symbol) return aopt_fail(err, AOPT_E_IO, "%s", dlerror());
    memcpy(&build, &symbol, sizeof build);
    if (build(model, shape, device, out, err)) return err->status ? err->status : AOPT_E_INTERNAL;
    if (!out->decode || !out->close) return aopt_fail(err, AOPT_E_VALUE, "build_decoder left decode or close NULL");
    return AOPT_OK;
}

static void device_synchronize(const aopt_device *device)
{
    (void)device;                       /* a CPU decoder has returned when it is done */
}

/* Busy for `share` of the time since begin: the ruler of selftest. */
static void runner_delay(double begin, double share)
{
    const double until = aopt_seconds() + share * (aopt_seconds() - begin);
    while (share > 0 && aopt_seconds() < until) { }
}

static void runner_error(reply *r, const aopt_error *err, aopt_status st)
{
    r->status = (int32_t)st;
    snprintf(r->text, sizeof r->text, "%.470s", err->message);
}

static int runner_loop(const char *so, const aopt_model *model, const aopt_shape *shape, const aopt_device *device, double delay,
                       aopt_tensor *input, aopt_tensor *output)
{
    aopt_decoder decoder;
    aopt_error err;
    command c;
    memset(&decoder, 0, sizeof decoder);
    while (read(FD_COMMAND, &c, sizeof c) == (ssize_t)sizeof c) {
        const double begin = aopt_seconds();
        aopt_status st;
        reply r;
        memset(&r, 0, sizeof r);
        memset(&err, 0, sizeof err);
        runner_map.call = c.call;
        if (c.op == OP_BUILD) {
            st = runner_build(so, model, shape, device, &decoder, &err);
            if (st == AOPT_OK) { device_synchronize(device); snprintf(r.text, sizeof r.text, "%.199s", decoder.info); }
            else runner_error(&r, &err, st);
        } else if (c.op == OP_DECODE) {
            st = decoder.decode(decoder.ctx, input, output, &err);
            device_synchronize(device);
            runner_delay(begin, delay);
            if (st != AOPT_OK) runner_error(&r, &err, st);
        } else if (c.op == OP_QUIT && decoder.close) decoder.close(decoder.ctx);
        runner_say(&r, c.op, c.call);
        if (c.op == OP_QUIT) _exit(0);
    }
    return 97;                          /* the judge is gone */
}

static int runner_main(int argc, char **argv)
{
    aopt_tensor input, output;
    aopt_device device;
    aopt_shape shape;
    aopt_model model;
    aopt_error err;
    reply r;
    void *report;
    int i;
    if (argc < 9) return 2;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    memset(&r, 0, sizeof r);
    memset(&err, 0, sizeof err);
    memset(&shape, 0, sizeof shape);
    memset(&device, 0, sizeof device);
    for (i = 8; i < argc && shape.ndim < AOPT_MAX_DIMS; i++) shape.dim[shape.ndim++] = strtoll(argv[i], NULL, 10);
    report = mmap(NULL, sizeof(aopt_profile), PROT_READ | PROT_WRITE, MAP_SHARED, FD_REPORT, 0);
    device.cuda = AOPT_HOST;
    device.threads = atoi(argv[4]);
    device.profile = atoi(argv[5]) & RUN_PROFILE && report != MAP_FAILED ? (aopt_profile *)report : NULL;
    if (target.open(argv[3], &model, &err) || target.tensors(&model, &shape, &input, &output, &err)) {
        runner_error(&r, &err, err.status);
        runner_say(&r, OP_READY, 0);
        return 98;
    }
    runner_map.input_n = (size_t)aopt_tensor_numel(&input) * sizeof(float);
    runner_map.output_n = (size_t)aopt_tensor_numel(&output) * sizeof(float);
    runner_map.input = (unsigned char *)mmap(NULL, runner_map.input_n, PROT_READ, MAP_SHARED, FD_INPUT, 0);
    runner_map.output = (unsigned char *)mmap(NULL, runner_map.output_n + 2 * GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, FD_OUTPUT, 0);
    if ((void *)runner_map.input == MAP_FAILED || (void *)runner_map.output == MAP_FAILED) return 99;
    input.data = runner_map.input;
    runner_map.output += GUARD_BYTES;
    output.data = runner_map.output;
    runner_signals();
    r.sandbox = runner_confine(argv[2], argv[7]);
    runner_say(&r, OP_READY, 0);
    return runner_loop(argv[2], &model, &shape, &device, atof(argv[6]), &input, &output);
}

/* ==== [6] judge: calls, probes, gate ====================================================================
   One side = one runner process and the buffers that the judge shares with it.  All work below happens in the judge. */
typedef struct judge_job {
    const char *incumbent_dir, *candidate_dir;      /* source trees: each holds optimize.c (and autoopt_kernels.cuh with scope library) */
    const struct task *task;
    const struct goals *goals;
    int scope_library;
    int baseline;                       /* 1: measure the frozen decoder and the candidate, no decision */
    int verify_only;                    /* 1: gate and probes, no timing */
    int approve;                        /* 1: a person has looked at a time that seems impossible */
    const char *desc;
    uint64_t seed;                      /* 0 = from the system */
} judge_job;

enum { SEEN_MAX = 64, BUILD_CODE = 10 };
typedef struct region { int fd; size_t bytes; unsigned char *map; } region;
typedef struct side {
    const char *role;                   /* "incumbent" or "candidate" */
    pid_t pid;
    int command, reply, log, stopped;
    region input, output, report;       /* output: guard, tensor, guard */
    unsigned char guard[2 * GUARD_BYTES];
    uint32_t call, poison;
    uint64_t seen_input[SEEN_MAX], seen_output[SEEN_MAX]; int seen_n;
    uint64_t fingerprint;               /* of the last output */
    int threads;                        /* most that were alive after the first calls */
    double init_s, peak_mb, last_s;
    int sandbox;
    char info[200];
    text printed;
} side;

typedef struct judge {
    const judge_job *job;
    attempt *a;
    char dir[PATH_CAP];                 /* private, removed at the end */
    char so[2][PATH_CAP];               /* by side */
    aopt_model model; int model_open;
    aopt_device device;
    aopt_tensor input, output;
    size_t input_bytes, output_bytes;
    aopt_cost cost;
    float *fixed, *fresh, *reference;   /* the fixed input, the one in use, the truth for the fixed one */
    float *first, *work;                /* an output of the candidate, an output of the reference */
    struct side side[2];                     /* 0 = incumbent, 1 = candidate */
    uint64_t seed, drawn;
    double peak_flops, peak_bytes;      /* of this machine, per second; 0 = not measured yet */
    double oracle_s;                    /* spent on fresh references */
    text samples, gate;
    int launches;
} judge;

/* Every way in which a run can end badly: its code, its name, what to do next. */
static const struct { int code; const char *name, *next; } failure[] = {
    { 10, "BUILD", "fix optimize.c until it compiles: ./build.sh candidate . /tmp/candidate.so shows the whole log" },
    { 11, "BUILD_TIMEOUT", "make optimize.c compile faster" },
    { 20, "QUALITY", "the output is wrong or too coarse: restore the accuracy of the part you changed, check with ./harness verify" },
    { 21, "NONFINITE", "find the overflow or division by zero; ./harness verify repeats the check" },
    { 22, "UNWRITTEN", "write every element of the output on every call" },
    { 23, "INPUT_MUTATED", "treat the input as read-only: copy it first if you need scratch" },
    { 24, "OUT_OF_BOUNDS", "check the tails of your loops and tiles against the shape" },
    { 25, "NONDETERMINISTIC", "equal inputs must give equal outputs: look for a data race or uninitialised scratch" },
    { 26, "LATE_WRITE", "finish all work before decode returns: join threads, synchronise streams" },
    { 27, "STALE", "compute each call from its own input; never reuse an earlier result" },
    { 28, "IMPLAUSIBLE", "faster than this machine can compute: a person must look at it, then repeat with --approve" },
    { 30, "CRASH", "run ./harness verify under a debugger or ./build.sh debug" },
    { 31, "FAILED", "decode or build_decoder returned an error: read WHY" },
    { 32, "MEMORY", "use less memory: work in chunks, free what is not needed" },
    { 33, "TIMEOUT", "look for an endless loop or a deadlock" },
    { 34, "LEFT_EARLY", "decode must return, not exit, and must not touch descriptors that it did not open" },
    { 35, "LEFTOVER", "end every process and thread that you start" },
    { 125, "UNSTABLE", "nothing is wrong with the candidate: make the machine quiet and run again" }
};

static const char *failure_name(int code)
{
    size_t i;
    for (i = 0; i < sizeof failure / sizeof failure[0]; i++)
        if (failure[i].code == code) return failure[i].name;
    return "REFUSED";
}

/* The verdict is in: code and why (printf-style).  A broken incumbent (s = side 0) is not the candidate's fault: 125.  Returns the code. */
static int judge_fail(judge *j, const side *s, int code, const char *format, ...) __attribute__((format(printf, 4, 5)));
static int judge_fail(judge *j, const side *s, int code, const char *format, ...)
{
    char what[400];
    size_t i;
    va_list args;
    va_start(args, format);
    vsnprintf(what, sizeof what, format, args);
    va_end(args);
    if (s == &j->side[0] && code != 125) {
        snprintf(j->a->why, sizeof j->a->why, "the incumbent failed (%d %s): %.380s", code, failure_name(code), what);
        code = 125;
    } else snprintf(j->a->why, sizeof j->a->why, "%s", what);
    j->a->code = code;
    j->a->verdict = code == 125 ? V_UNSTABLE : V_REJECT;
    for (i = 0; i < sizeof failure / sizeof failure[0]; i++)
        if (failure[i].code == code) snprintf(j->a->next, sizeof j->a->next, "%s", failure[i].next);
    return code;
}

static uint64_t judge_random(judge *j)
{
    return aopt_random_u64(j->seed, j->drawn++);
}

/* "[2][0][17]" of element i. */
static const char *place_of(const aopt_tensor *t, int64_t i, char *out, size_t out_bytes)
{
    size_t used = 0;
    int axis;
    out[0] = 0;
    for (axis = 0; axis < t->ndim && used < out_bytes; axis++) {
        const int64_t at = t->stride[axis] > 0 ? i / t->stride[axis] % t->shape[axis] : 0;
        const int k = snprintf(out + used, out_bytes - used, "[%lld]", (long long)at);
        used += k > 0 ? (size_t)k : 0;
    }
    return out;
}

/* ---- buffers: the only part that knows where they live ---- */
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010
#endif
/* Shared memory; read_only: whoever gets the descriptor can only read it. */
static aopt_status region_open(region *r, size_t bytes, int read_only, aopt_error *err)
{
    r->bytes = bytes;
    r->map = NULL;
    r->fd = memfd_create("autoopt", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (r->fd < 0 || ftruncate(r->fd, (off_t)bytes) != 0) return aopt_fail(err, AOPT_E_MEMORY, "no shared memory of %zu bytes: %s", bytes, strerror(errno));
    r->map = (unsigned char *)mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
    if ((void *)r->map == MAP_FAILED) {
        r->map = NULL;
        return aopt_fail(err, AOPT_E_MEMORY, "cannot map %zu bytes: %s", bytes, strerror(errno));
    }
    fcntl(r->fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | (read_only ? F_SEAL_FUTURE_WRITE : 0));
    return AOPT_OK;
}

static void region_close(region *r)
{
    if (r->map) munmap(r->map, r->bytes);
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
    r->map = NULL;
}

static float *side_output(const side *s) { return (float *)(void *)(s->output.map + GUARD_BYTES); }

static void buffer_poison(float *p, size_t n, uint32_t bits)
{
    uint32_t *q = (uint32_t *)(void *)p;
    size_t i;
    for (i = 0; i < n; i++) q[i] = bits;
}

/* Elements that still hold `bits`, or (bits = 0) that are not finite; first = the first of them. */
static int64_t buffer_count(const float *p, size_t n, uint32_t bits, int64_t *first)
{
    const uint32_t *q = (const uint32_t *)(const void *)p;
    int64_t found = 0;
    size_t i;
    for (i = 0; i < n; i++)
        if (bits ? q[i] == bits : (q[i] & 0x7f800000u) == 0x7f800000u) {
            if (found == 0) *first = (int64_t)i;
            found++;
        }
    return found;
}

static uint64_t buffer_fingerprint(const float *p, size_t n, uint64_t seed)
{
    const uint32_t *q = (const uint32_t *)(const void *)p;
    uint64_t h[4];
    size_t i;
    for (i = 0; i < 4; i++) h[i] = seed + i;
    for (i = 0; i + 8 <= n; i += 8) {
        int k;
        for (k = 0; k < 4; k++) {
            const uint64_t v = q[i + 2 * (size_t)k] | (uint64_t)q[i + 2 * (size_t)k + 1] << 32;
            h[k] = (h[k] ^ v) * 0x9e3779b97f4a7c15u;
            h[k] ^= h[k] >> 29;
        }
    }
    for (; i < n; i++) h[0] = (h[0] ^ q[i]) * 0x9e3779b97f4a7c15u;
    return aopt_random_u64(h[0] ^ (h[1] << 1 | h[1] >> 63), h[2] ^ (h[3] << 7 | h[3] >> 57));
}

/* ---- processes ---- */
static int proc_count_threads(pid_t pid)
{
    char path[PATH_CAP];
    DIR *d;
    int n = 0;
    struct dirent *e;
    path_set(path, "/proc/%d/task", (int)pid);
    d = opendir(path);
    while (d && (e = readdir(d)) != NULL) n += e->d_name[0] != '.';
    if (d) closedir(d);
    return n;
}

/* A number in kB of /proc/PID/status as MB; NAN if the process is gone. */
static double proc_memory_mb(pid_t pid, const char *field)
{
    char path[PATH_CAP], line[256];
    double kb = NAN;
    FILE *f;
    path_set(path, "/proc/%d/status", (int)pid);
    f = fopen(path, "r");
    while (f && fgets(line, (int)sizeof line, f))
        if (strncmp(line, field, strlen(field)) == 0) kb = strtod(line + strlen(field), NULL);
    if (f) fclose(f);
    return kb / 1024;
}

/* Processes other than `pid` that belong to its session or are its children; orphans come to us because we are the subreaper. */
static int proc_leftover(pid_t pid, const judge *j, pid_t *which)
{
    DIR *d = opendir("/proc");
    struct dirent *e;
    int n = 0;
    while (d && (e = readdir(d)) != NULL) {
        char path[PATH_CAP], line[512], *p;
        int ppid = 0, pgrp = 0, session = 0;
        const pid_t other = (pid_t)atoi(e->d_name);
        char state = 0;
        FILE *f;
        if (other <= 0 || other == pid || other == getpid() || other == j->side[0].pid || other == j->side[1].pid) continue;
        path_set(path, "/proc/%s/stat", e->d_name);
        f = fopen(path, "r");
        if (!f) continue;
        p = fgets(line, (int)sizeof line, f) ? strrchr(line, ')') : NULL;
        fclose(f);
        if (!p || sscanf(p + 1, " %c %d %d %d", &state, &ppid, &pgrp, &session) != 4 || state == 'Z') continue;
        if (session == (int)pid || ppid == (int)pid || ppid == (int)getpid()) {
            n++;
            *which = other;
        }
    }
    if (d) closedir(d);
    return n;
}

static void side_drain(side *s)
{
    char buf[4096];
    ssize_t k;
    while ((k = read(s->log, buf, sizeof buf)) > 0)
        if (s->printed.n < LOG_CAP) text_add_escaped(&s->printed, buf, (size_t)k < LOG_CAP - s->printed.n ? (size_t)k : LOG_CAP - s->printed.n);
}

static void side_signal(side *s, int sig)
{
    if (s->pid > 0) kill(-s->pid, sig);
}

/* Wait up to timeout_s for the process to end; 1 and its status if it did. */
static int side_reap(side *s, double timeout_s, int *status)
{
    const double until = aopt_seconds() + timeout_s;
    for (;;) {
        const pid_t got = waitpid(s->pid, status, WNOHANG);
        if (got == s->pid || (got < 0 && errno == ECHILD)) { s->pid = -1; return 1; }
        if (aopt_seconds() > until) return 0;
        sleep_ms(2);
    }
}

/* SIGTERM, two seconds, SIGKILL to the whole group, reap.  Then everything else that it left behind. */
static void side_kill(judge *j, side *s)
{
    const pid_t pid = s->pid;
    int status, round;
    pid_t other = 0;
    if (pid <= 0) return;
    side_signal(s, SIGCONT);
    side_signal(s, SIGTERM);
    if (!side_reap(s, 2, &status)) {
        kill(-pid, SIGKILL);
        if (!side_reap(s, 15, &status)) fprintf(stderr, "harness: process %d does not die; a device may be wedged, not resetting it\n", (int)pid);
    }
    kill(-pid, SIGKILL);
    for (round = 0; round < 64 && proc_leftover(pid, j, &other) > 0; round++) {
        kill(other, SIGKILL);
        sleep_ms(5);
        waitpid(other, &status, WNOHANG);
    }
    side_drain(s);
    s->pid = 0;
}

static void side_close(judge *j, side *s)
{
    side_kill(j, s);
    if (s->command >= 0) close(s->command);
    if (s->reply >= 0) close(s->reply);
    if (s->log >= 0) close(s->log);
    s->command = s->reply = s->log = -1;
    region_close(&s->input);
    region_close(&s->output);
    region_close(&s->report);
}

static void side_init(side *s, const char *role)
{
    text printed = s->printed;
    memset(s, 0, sizeof *s);
    s->printed = printed;
    s->role = role;
    s->command = s->reply = s->log = s->input.fd = s->output.fd = s->report.fd = -1;
}

/* How it ended, as a verdict. */
static int side_died(judge *j, side *s, const reply *fault)
{
    char last[160];
    int status = 0;
    side_drain(s);
    snprintf(last, sizeof last, "%s", s->printed.n > 150 ? s->printed.data + s->printed.n - 150 : s->printed.n ? s->printed.data : "");
    if (fault && fault->where == 1 && fault->signal == SIGSEGV) {
        char place[64];
        side_kill(j, s);
        return judge_fail(j, s, 23, "call %u wrote to the %s at %s", s->call, target.input_name, place_of(&j->input, (int64_t)(fault->offset / 4), place, sizeof place));
    }
    if (!side_reap(s, 5, &status)) {
        side_kill(j, s);
        return judge_fail(j, s, 34, "closed its pipe during call %u", s->call);
    }
    if (WIFSIGNALED(status) || fault)
        return judge_fail(j, s, 30, "%s during call %u at address 0x%llx%s%s%s", strsignal(fault ? fault->signal : WTERMSIG(status)), s->call,
                          (unsigned long long)(fault ? fault->address : 0), fault && fault->where == 2 ? " (in the output)" : "", last[0] ? "; it said: " : "", last);
    return judge_fail(j, s, 34, "exited during call %u with status %d%s%s", s->call, WEXITSTATUS(status), last[0] ? "; it said: " : "", last);
}

/* The reply to operation op.  0, or the verdict. */
static int side_wait(judge *j, side *s, uint32_t op, double timeout_s, reply *r)
{
    const double until = aopt_seconds() + timeout_s;
    struct pollfd fd[2];
    fd[0].fd = s->reply; fd[1].fd = s->log;
    fd[0].events = fd[1].events = POLLIN;
    for (;;) {
        const double left = until - aopt_seconds();
        double mb;
        if (left <= 0) {
            side_kill(j, s);
            return judge_fail(j, s, 33, "%s did not end within %.0f s", op == OP_DECODE ? "decode" : op == OP_BUILD ? "build_decoder" : "the runner", timeout_s);
        }
        fd[0].revents = fd[1].revents = 0;
        poll(fd, 2, left < 0.2 ? (int)(left * 1000) + 1 : 200);
        if (fd[0].revents) {
            const ssize_t k = read(s->reply, r, sizeof *r);
            if (k != (ssize_t)sizeof *r) return side_died(j, s, NULL);
            r->text[sizeof r->text - 1] = 0;
            if (r->op == OP_FAULT) return side_died(j, s, r);
            if (r->op != op || (op == OP_DECODE && r->call != s->call)) {
                side_kill(j, s);
                return judge_fail(j, s, 34, "call %u: something else than the runner wrote to its pipe", s->call);
            }
            return 0;
        }
        if (fd[1].revents) {
            side_drain(s);
            if (fd[1].revents & (POLLHUP | POLLERR)) fd[1].fd = -1;
        }
        mb = proc_memory_mb(s->pid, "VmRSS:");
        if (mb > j->job->task->limit.memory_mb) {
            side_kill(j, s);
            return judge_fail(j, s, 32, "call %u: %.0f MB in use, the limit is %.0f MB", s->call, mb, j->job->task->limit.memory_mb);
        }
    }
}

static void side_tell(side *s, uint32_t op)
{
    command c;
    c.op = op;
    c.call = s->call;
    if (write(s->command, &c, sizeof c) != (ssize_t)sizeof c) { }       /* a dead runner shows at the next wait */
}

/* Stopped between its calls, a side can neither finish late nor get in the way of the other. */
static void side_pause(side *s)
{
    const double until = aopt_seconds() + 0.5;
    siginfo_t info;
    side_signal(s, SIGSTOP);
    do {
        memset(&info, 0, sizeof info);
        if (waitid(P_PID, (id_t)s->pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0) break;
    } while (info.si_pid == 0 && aopt_seconds() < until && sched_yield() == 0);
    s->stopped = 1;
}

static int side_resume(judge *j, side *s)
{
    reply r;
    if (s->stopped) side_signal(s, SIGCONT);
    s->stopped = 0;
    side_tell(s, OP_PING);
    return side_wait(j, s, OP_PING, 10, &r);
}

/* In the child: descriptors into place, everything else closed, then this program again as a runner. */
static void side_exec(const side *s, int command, int reply_fd, int log, char *const *argv, char *const *env)
{
    const int from[FD_N] = { log, log, log, command, reply_fd, s->input.fd, s->output.fd, s->report.fd };
    int high[FD_N], i;
    sigset_t none;
    setsid();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
    for (i = 0; i < FD_N; i++) high[i] = fcntl(from[i], F_DUPFD, 64);
    for (i = 0; i < FD_N; i++) if (high[i] < 0 || dup2(high[i], i) < 0) _exit(95);
    close(0);
    open("/dev/null", O_RDONLY);
    for (i = FD_N; i < 1024; i++) close(i);
    execve("/proc/self/exe", argv, env);
    _exit(95);
}

static void side_environment(judge *j, const char *tmp, environment *e)
{
    char number[24], pad[1025];
    size_t n = (size_t)(judge_random(j) % 1024);
    memset(e, 0, sizeof *e);
    memset(pad, 'x', sizeof pad);
    pad[n] = 0;
    snprintf(number, sizeof number, "%d", j->device.threads);
    environment_add(e, "PATH", "/usr/bin:/bin");
    environment_add(e, "HOME", tmp);
    environment_add(e, "TMPDIR", tmp);
    environment_add(e, "CUDA_CACHE_PATH", tmp);
    environment_add(e, "LC_ALL", "C");
    environment_add(e, "OMP_NUM_THREADS", number);
    environment_add(e, "OMP_DYNAMIC", "false");
    environment_pass(e, "LD_LIBRARY_PATH");
    environment_pass(e, "CUDA_HOME");
    environment_pass(e, "CUDA_VISIBLE_DEVICES");
    environment_add(e, "PAD", pad);             /* the size of the environment moves the stack, and with it the time */
}

static int side_fork(judge *j, side *s, const char *so, int flags, double delay, const char *tmp)
{
    char threads[16], flag[16], wait[32], dim[AOPT_MAX_DIMS][24];
    char *argv[8 + AOPT_MAX_DIMS + 1];
    int in[2], out[2], log[2], i, n = 0;
    const task *t = j->job->task;
    environment env;
    if (pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) || pipe2(log, O_CLOEXEC)) return judge_fail(j, s, 125, "no pipes: %s", strerror(errno));
    snprintf(threads, sizeof threads, "%d", j->device.threads);
    snprintf(flag, sizeof flag, "%d", flags);
    snprintf(wait, sizeof wait, "%.9f", delay);
    argv[n++] = (char *)"harness"; argv[n++] = (char *)"--runner"; argv[n++] = (char *)(uintptr_t)so; argv[n++] = (char *)(uintptr_t)t->checkpoint;
    argv[n++] = threads; argv[n++] = flag; argv[n++] = wait; argv[n++] = (char *)(uintptr_t)tmp;
    for (i = 0; i < t->shape.ndim; i++) {
        snprintf(dim[i], sizeof dim[i], "%lld", (long long)t->shape.dim[i]);
        argv[n++] = dim[i];
    }
    argv[n] = NULL;
    side_environment(j, tmp, &env);
    fflush(NULL);
    s->pid = fork();
    if (s->pid == 0) side_exec(s, in[0], out[1], log[1], argv, env.entry);
    environment_free(&env);
    close(in[0]); close(out[1]); close(log[1]);
    s->command = in[1]; s->reply = out[0]; s->log = log[0];
    fcntl(s->log, F_SETFL, O_NONBLOCK);
    return s->pid < 0 ? judge_fail(j, s, 125, "cannot fork: %s", strerror(errno)) : 0;
}

/* A fresh process for side `which` (0 incumbent, 1 candidate) holding shared object so ("-" = the frozen decoder), built and
   paused.  0, or the verdict. */
static int side_launch(judge *j, int which, const char *so, int flags, double delay)
{
    side *s = &j->side[which];
    char tmp[PATH_CAP];
    aopt_error err;
    double begin;
    reply r;
    int rc;
    side_close(j, s);
    side_init(s, which ? "candidate" : "incumbent");
    path_set(tmp, "%s/tmp%d", j->dir, j->launches++);
    if (mkdir(tmp, 0700) != 0 || region_open(&s->input, j->input_bytes, 1, &err) ||
        region_open(&s->output, j->output_bytes + 2 * GUARD_BYTES, 0, &err) || region_open(&s->report, sizeof(aopt_profile), 0, &err))
        return judge_fail(j, s, 125, "cannot prepare a run: %s", err.message);
    if ((rc = side_fork(j, s, so, flags, delay, tmp)) != 0 || (rc = side_wait(j, s, OP_READY, j->job->task->limit.init_s, &r)) != 0) return rc;
    if (r.status) return judge_fail(j, s, 125, "the runner cannot open the model: %s", r.text);
    s->sandbox = r.sandbox;
    snprintf(j->a->sandbox, sizeof j->a->sandbox, "%s", r.sandbox ? "landlock" : "none");
    begin = aopt_seconds();
    side_tell(s, OP_BUILD);
    if ((rc = side_wait(j, s, OP_BUILD, j->job->task->limit.init_s, &r)) != 0) return rc;
    s->init_s = aopt_seconds() - begin;
    if (r.status) return judge_fail(j, s, r.status == AOPT_E_MEMORY ? 32 : 31, "build_decoder: %s: %s", aopt_status_name(r.status), r.text);
    {
        text info;
        memset(&info, 0, sizeof info);
        text_add_escaped(&info, r.text, strcspn(r.text, "\r\n"));
        snprintf(s->info, sizeof s->info, "%s", info.data ? info.data : "");
        text_free(&info);
    }
    side_pause(s);
    return 0;
}

/* Longest that one decode may take: a first one includes lazy set-up; nobody waits five times the incumbent. */
static double side_patience(const judge *j, const side *s)
{
    const limits *l = &j->job->task->limit;
    const double least = j->cost.flops / 0.5e9, inc = j->side[0].last_s;        /* 0.5 GFLOP/s: plain loops on one slow core */
    const double t = s->call <= 1 ? fmax(l->first_decode_s, 20 * inc) : fmax(l->decode_s, 5 * inc);
    return s == &j->side[0] || inc <= 0 ? fmax(t, least) : t;
}

/* The output changed after "done": 26, else `code` with the given words. */
static int side_late(judge *j, side *s, int code, const char *what)
{
    const size_t n = j->output_bytes / sizeof(float);
    const uint64_t seed = judge_random(j), before = buffer_fingerprint(side_output(s), n, seed);
    if (s->pid > 0) {
        side_signal(s, SIGCONT);
        sleep_ms(LATE_MS);
        side_pause(s);
        if (buffer_fingerprint(side_output(s), n, seed) != before)
            return judge_fail(j, s, 26, "call %u: the %s still changed %d ms after decode returned", s->call, target.output_name, LATE_MS);
    }
    return code ? judge_fail(j, s, code, "%s", what) : 0;
}

/* Everything about one output that needs no second output: guards, survivors, finite, late, stale. */
static int side_check(judge *j, side *s, uint64_t id)
{
    const float *y = side_output(s);
    const size_t n = j->output_bytes / sizeof(float);
    char place[64], what[300];
    int64_t at = 0, count;
    int i, threads;
    if (memcmp(s->output.map, s->guard, GUARD_BYTES) != 0 || memcmp(s->output.map + s->output.bytes - GUARD_BYTES, s->guard + GUARD_BYTES, GUARD_BYTES) != 0) {
        const unsigned char *g = s->output.map;
        for (at = 0; at < GUARD_BYTES && g[at] == s->guard[at]; at++) { }
        return judge_fail(j, s, 24, "call %u wrote %s the %s", s->call, at < GUARD_BYTES ? "before the start of" : "past the end of", target.output_name);
    }
    count = buffer_count(y, n, s->poison, &at);
    if (count) {
        snprintf(what, sizeof what, "call %u: %.3g %% of the %s (%lld of %lld) was never written, first at %s", s->call, 100.0 * (double)count / (double)n, target.output_name,
                 (long long)count, (long long)n, place_of(&j->output, at, place, sizeof place));
        return side_late(j, s, 22, what);
    }
    count = buffer_count(y, n, 0, &at);
    if (count) return judge_fail(j, s, 21, "call %u: %lld non-finite values, first at %s", s->call, (long long)count, place_of(&j->output, at, place, sizeof place));
    s->fingerprint = buffer_fingerprint(y, n, j->seed);
    for (i = 0; i < SEEN_MAX && i < s->seen_n; i++)
        if (s->seen_output[i] == s->fingerprint && s->seen_input[i] != id)
            return judge_fail(j, s, 27, "STALE: call %u returned the bits of an earlier call with another %s", s->call, target.input_name);
    s->seen_input[s->seen_n % SEEN_MAX] = id;
    s->seen_output[s->seen_n++ % SEEN_MAX] = s->fingerprint;
    threads = proc_count_threads(s->pid);
    if (s->call <= 3 && threads > s->threads) s->threads = threads;
    if (threads > s->threads + 8) return judge_fail(j, s, 35, "threads grew from %d to %d: each call leaves some behind", s->threads, threads);
    return 0;
}

static int judge_pick_poison(judge *j, side *s)
{
    size_t i;
    uint64_t v = 0;
    s->poison = 0x7fc00001u | ((uint32_t)judge_random(j) & 0x003ffffeu);        /* a NaN with a payload that changes every call */
    for (i = 0; i < sizeof s->guard; i++) {
        if (i % 8 == 0) v = judge_random(j);
        s->guard[i] = (unsigned char)(v >> 8 * (i % 8));
    }
    buffer_poison(side_output(s), j->output_bytes / sizeof(float), s->poison);
    memcpy(s->output.map, s->guard, GUARD_BYTES);
    memcpy(s->output.map + s->output.bytes - GUARD_BYTES, s->guard + GUARD_BYTES, GUARD_BYTES);
    return 0;
}

/* One call on input x, which is called `id`; seconds by the judge's clock.  The clock starts before the input is visible and
   stops when "done" arrives; then the side is frozen, and only then is its output read.  0, or the verdict. */
static int side_decode(judge *j, side *s, const float *x, uint64_t id, double *seconds)
{
    double begin;
    reply r;
    int rc;
    if ((rc = side_resume(j, s)) != 0) return rc;
    s->call++;
    judge_pick_poison(j, s);
    begin = aopt_seconds();
    memcpy(s->input.map, x, j->input_bytes);
    side_tell(s, OP_DECODE);
    if ((rc = side_wait(j, s, OP_DECODE, side_patience(j, s), &r)) != 0) return rc;
    s->last_s = aopt_seconds() - begin;
    side_pause(s);
    if (seconds) *seconds = s->last_s;
    s->peak_mb = fmax(s->peak_mb, proc_memory_mb(s->pid, "VmHWM:"));
    if (r.status) return judge_fail(j, s, r.status == AOPT_E_MEMORY ? 32 : 31, "decode, call %u: %s: %s", s->call, aopt_status_name(r.status), r.text);
    if (memcmp(s->input.map, x, j->input_bytes) != 0) return judge_fail(j, s, 23, "call %u changed the %s", s->call, target.input_name);
    return side_check(j, s, id);
}

/* Ask it to close, and see that nothing stays behind.  0, or the verdict. */
static int side_quit(judge *j, side *s)
{
    pid_t other = 0;
    int status = 0, rc, n;
    const pid_t pid = s->pid;
    reply r;
    if ((rc = side_resume(j, s)) != 0) return rc;
    side_tell(s, OP_QUIT);
    if ((rc = side_wait(j, s, OP_QUIT, 20, &r)) != 0) return rc;
    if (!side_reap(s, 5, &status)) rc = judge_fail(j, s, 35, "the runner did not end after close");
    s->pid = pid;                               /* the group may outlive its leader */
    n = proc_leftover(pid, j, &other);
    if (rc == 0 && n > 0) rc = judge_fail(j, s, 35, "%d process(es) left behind, one is %d", n, (int)other);
    side_kill(j, s);
    return rc;
}

/* ---- the gate ---- */
static const aopt_metric *metric_named(const aopt_metric *m, int n, const char *name)
{
    int i;
    for (i = 0; i < n; i++)
        if (strcmp(m[i].name, name) == 0) return &m[i];
    return NULL;
}

/* Written so that NaN and a missing metric fail. */
static int gate_passes(const gate_limit *g, const aopt_metric *m, double limit)
{
    return m && (g->sense > 0 ? m->value >= limit : m->value <= limit);
}

/* The first gate that does not pass, or NULL. */
static const gate_limit *gate_failed(const goals *g, const aopt_metric *m, int n, int fresh)
{
    int i;
    for (i = 0; i < g->gate_n; i++)
        if (!gate_passes(&g->gate[i], metric_named(m, n, g->gate[i].metric), fresh ? g->gate[i].fresh : g->gate[i].limit)) return &g->gate[i];
    return NULL;
}

static int judge_gate_fail(judge *j, side *s, const gate_limit *g, const aopt_metric *m, int n, int fresh, const char *against)
{
    const aopt_metric *v = metric_named(m, n, g->metric);
    char what[300];
    if (!v) snprintf(what, sizeof what, "the target computes no metric called %s", g->metric);
    else snprintf(what, sizeof what, "call %u: %s = %.6g, must be %s %.6g (%s)%s%s", s->call, g->metric, v->value, g->sense > 0 ? ">=" : "<=",
                  fresh ? g->fresh : g->limit, against, v->where[0] ? ", worst at " : "", v->where);
    return side_late(j, s, 20, what);
}

/* Keep the figures of the fixed input in the attempt, and print all of them with their margins into gate_text. */
static void judge_note_metrics(judge *j, const char *task_name, const aopt_metric *m, int n, int keep)
{
    attempt *a = j->a;
    int i, k;
    if (keep) { a->metric_n = 0; a->margin_db = NAN; }
    for (i = 0; i < n; i++) {
        const gate_limit *g = NULL;
        for (k = 0; k < j->job->goals->gate_n; k++)
            if (strcmp(j->job->goals->gate[k].metric, m[i].name) == 0) g = &j->job->goals->gate[k];
        text_add(&j->gate, "%s\t%s\t%.9g\t", task_name, m[i].name, m[i].value);
        if (g) text_add(&j->gate, "%s %.9g\tmargin %.9g\t%s\n", g->sense > 0 ? ">=" : "<=", g->limit, (m[i].value - g->limit) * g->sense, m[i].where);
        else text_add(&j->gate, "-\t-\t%s\n", m[i].where);
        if (!keep || a->metric_n == (int)(sizeof a->metric / sizeof a->metric[0])) continue;
        snprintf(a->metric[a->metric_n].name, sizeof a->metric[0].name, "%s", m[i].name);
        snprintf(a->metric[a->metric_n].where, sizeof a->metric[0].where, "%s", m[i].where);
        a->metric[a->metric_n].value = m[i].value;
        a->metric[a->metric_n].sense = m[i].sense;
        a->metric[a->metric_n].limit = g ? g->limit : NAN;
        a->metric[a->metric_n++].gated = g != NULL;
        if (g && g->sense > 0 && strlen(g->metric) > 3 && strcmp(g->metric + strlen(g->metric) - 3, "_db") == 0 && !(m[i].value - g->limit >= a->margin_db))
            a->margin_db = m[i].value - g->limit;
    }
}

static int judge_compare(const judge *j, const float *want, const float *got, int64_t prefix, aopt_metric m[AOPT_MAX_METRICS])
{
    aopt_tensor a = j->output, b = j->output;
    a.data = (void *)(uintptr_t)want;
    b.data = (void *)(uintptr_t)got;
    return target.compare(&a, &b, prefix, m);
}

static aopt_status judge_fresh(judge *j, uint64_t seed, float *out, aopt_error *err)
{
    aopt_tensor fixed = j->input, x = j->input;
    fixed.data = j->fixed;
    x.data = out;
    return target.fresh_input(&j->model, &fixed, seed, &x, err);
}

static int64_t judge_prefix(const judge *j, int64_t most)
{
    return target.causal_axis < 0 || j->input.shape[target.causal_axis] <= most ? 0 : most;
}

static aopt_status judge_reference(judge *j, const float *x, int64_t prefix, float *out, aopt_progress progress, aopt_error *err)
{
    aopt_tensor in = j->input, y = j->output;
    in.data = (void *)(uintptr_t)x;
    y.data = out;
    return target.reference(&j->model, &j->device, &in, prefix, &y, progress, NULL, err);
}

/* The output of s for j->fresh against the fp32 truth of its first slices.  0, or the verdict. */
static int judge_oracle(judge *j, side *s, const char *against)
{
    const int64_t prefix = judge_prefix(j, ORACLE_PREFIX);
    const double begin = aopt_seconds();
    aopt_metric m[AOPT_MAX_METRICS];
    const gate_limit *g;
    aopt_error err;
    int n;
    if (judge_reference(j, j->fresh, prefix, j->work, NULL, &err)) return judge_fail(j, s, 125, "reference: %s", err.message);
    j->oracle_s += aopt_seconds() - begin;
    n = judge_compare(j, j->work, side_output(s), prefix, m);
    g = gate_failed(j->job->goals, m, n, 1);
    return g ? judge_gate_fail(j, s, g, m, n, 1, against) : 0;
}

/* ---- verification: one side, its own calls only ---- */
enum { PROBE_FIXED, PROBE_AGAIN, PROBE_ONE, PROBE_CAUSAL, PROBE_FRESH };

static int probe_fixed(judge *j, side *s, int again)
{
    aopt_metric m[AOPT_MAX_METRICS];
    const gate_limit *g;
    int rc, n;
    if ((rc = side_decode(j, s, j->fixed, 1, NULL)) != 0) return rc;
    if (again) {
        n = judge_compare(j, j->first, side_output(s), 0, m);
        g = &j->job->goals->determinism;
        if (!gate_passes(g, metric_named(m, n, g->metric), g->limit)) {
            const aopt_metric *v = metric_named(m, n, g->metric);
            return judge_fail(j, s, 25, "call %u: the same %s gave another %s: %s = %.4g, must be %s %.4g", s->call, target.input_name, target.output_name, g->metric,
                              v ? v->value : NAN, g->sense > 0 ? ">=" : "<=", g->limit);
        }
        return 0;
    }
    memcpy(j->first, side_output(s), j->output_bytes);
    n = judge_compare(j, j->reference, j->first, 0, m);
    judge_note_metrics(j, j->job->task->name, m, n, s == &j->side[1]);
    g = gate_failed(j->job->goals, m, n, 0);
    return g ? judge_gate_fail(j, s, g, m, n, 0, "fixed input, against the fp32 reference") : side_late(j, s, 0, NULL);
}

/* One random element moved by three standard deviations must change the output. */
static int probe_one(judge *j, side *s)
{
    const int64_t n = (int64_t)(j->input_bytes / sizeof(float));
    const int64_t i = (int64_t)(judge_random(j) % (uint64_t)n);
    double sum = 0, sum2 = 0;
    char place[64];
    int64_t k;
    int rc;
    for (k = 0; k < n; k++) { sum += j->fixed[k]; sum2 += (double)j->fixed[k] * j->fixed[k]; }
    memcpy(j->fresh, j->fixed, j->input_bytes);
    j->fresh[i] += (float)(3 * sqrt(fmax(sum2 / (double)n - sum / (double)n * (sum / (double)n), 1e-6)));
    rc = side_decode(j, s, j->fresh, judge_random(j), NULL);
    if (rc == 27) snprintf(j->a->why, sizeof j->a->why, "%sINSENSITIVE to %s%s: call %u returned the bits of another call", s == &j->side[0] ? "the incumbent is " : "",
                           target.input_name, place_of(&j->input, i, place, sizeof place), s->call);
    return rc;
}

/* Slices from a random one on replaced by others: the output before must stay, and something after must change. */
static int probe_causal(judge *j, side *s)
{
    const int axis = target.causal_axis;
    const int64_t n = (int64_t)(j->input_bytes / sizeof(float));
    const gate_limit *g = &j->job->goals->causality;
    aopt_metric m[AOPT_MAX_METRICS];
    const aopt_metric *v;
    aopt_error err;
    int64_t from, i;
    int rc, k;
    if (axis < 0 || j->input.shape[axis] < 2) return 0;
    from = 1 + (int64_t)(judge_random(j) % (uint64_t)(j->input.shape[axis] - 1));
    if (judge_fresh(j, judge_random(j), j->fresh, &err)) return judge_fail(j, s, 125, "fresh input: %s", err.message);
    for (i = 0; i < n; i++)
        if (i / j->input.stride[axis] % j->input.shape[axis] < from) j->fresh[i] = j->fixed[i];
    if ((rc = side_decode(j, s, j->fresh, judge_random(j), NULL)) != 0) return rc;
    k = judge_compare(j, j->first, side_output(s), from, m);
    v = metric_named(m, k, g->metric);
    if (!gate_passes(g, v, g->limit))
        return judge_fail(j, s, 20, "not causal: slices %lld and later of the %s change the %s that earlier slices determine: %s = %.4g, must be %s %.4g%s%s", (long long)from,
                          target.input_name, target.output_name, g->metric, v ? v->value : NAN, g->sense > 0 ? ">=" : "<=", g->limit,
                          v && v->where[0] ? ", worst at " : "", v ? v->where : "");
    return 0;
}

static int probe_fresh(judge *j, side *s)
{
    aopt_error err;
    int rc;
    if (judge_fresh(j, judge_random(j), j->fresh, &err)) return judge_fail(j, s, 125, "fresh input: %s", err.message);
    if ((rc = side_decode(j, s, j->fresh, judge_random(j), NULL)) != 0) return rc;
    return j->oracle_s < 5 ? judge_oracle(j, s, "unseen input, against the fp32 reference") : 0;
}

/* All probes in an order that the candidate cannot know.  s is launched and paused.  0, or the verdict. */
static int judge_verify(judge *j, side *s)
{
    int plan[FRESH_CALLS + 4], n = 0, i, rc = 0;
    const int lead = (int)(judge_random(j) % 3);
    for (i = 0; i < lead; i++) plan[n++] = PROBE_FRESH;
    plan[n++] = PROBE_FIXED;
    plan[n++] = PROBE_AGAIN; plan[n++] = PROBE_ONE; plan[n++] = PROBE_CAUSAL;
    while (n < FRESH_CALLS + 4) plan[n++] = PROBE_FRESH;
    for (i = n - 1; i > lead + 1; i--) {
        const int k = lead + 1 + (int)(judge_random(j) % (uint64_t)(i - lead)), t = plan[i];
        plan[i] = plan[k];
        plan[k] = t;
    }
    for (i = 0; i < n && rc == 0; i++)
        switch (plan[i]) {
            case PROBE_FIXED:  rc = probe_fixed(j, s, 0); break;
            case PROBE_AGAIN:  rc = probe_fixed(j, s, 1); break;
            case PROBE_ONE:    rc = probe_one(j, s); break;
            case PROBE_CAUSAL: rc = probe_causal(j, s); break;
            default:           rc = probe_fresh(j, s); break;
        }
    return rc;
}

/* ---- the task: model, inputs, reference ---- */
static int progress_line(void *user, const char *what, int64_t done, int64_t total)
{
    (void)user;
    if (isatty(2)) fprintf(stderr, "\r%s %lld of %lld%s", what, (long long)done, (long long)total, done == total ? "\n" : "   ");
    return 0;
}

/* Name of the file that keeps the reference of a task: all that the reference depends on goes into it. */
static aopt_status reference_path(const judge *j, char path[PATH_CAP], aopt_error *err)
{
    const task *t = j->job->task;
    struct stat st;
    text key;
    char hex[65];
    int i;
    if (stat(t->checkpoint, &st) != 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", t->checkpoint, strerror(errno));
    memset(&key, 0, sizeof key);
    sha256_hex(j->fixed, j->input_bytes, hex);
    text_add(&key, "%s %s %s %lld %lld %lld.%ld", target.name, t->checkpoint, hex, (long long)st.st_ino, (long long)st.st_size, (long long)st.st_mtim.tv_sec, (long)st.st_mtim.tv_nsec);
    for (i = 0; i < t->shape.ndim; i++) text_add(&key, " %lld", (long long)t->shape.dim[i]);
    text_add(&key, " %s %s %s", HARNESS_KIND, AOPT_VERSION, HARNESS_BAKED);
    sha256_hex(key.data, key.n, hex);
    text_free(&key);
    path_set(path, "assets/generated/reference-%s-%.16s.f32", t->name, hex);
    return AOPT_OK;
}

/* Raw f32 with the SHA-256 of the data, 64 digits and a newline, in front. */
static int reference_read(const judge *j, const char *path, char hex[65])
{
    char head[65];
    FILE *f = fopen(path, "rb");
    const int ok = f && fread(head, 1, 65, f) == 65 && fread(j->reference, 1, j->output_bytes, f) == j->output_bytes;
    if (f) fclose(f);
    if (!ok) return 0;
    sha256_hex(j->reference, j->output_bytes, hex);
    return memcmp(head, hex, 64) == 0;
}

static aopt_status reference_write(const judge *j, const char *path, char hex[65], aopt_error *err)
{
    aopt_status st;
    text t;
    memset(&t, 0, sizeof t);
    sha256_hex(j->reference, j->output_bytes, hex);
    text_add(&t, "%s\n", hex);
    text_append(&t, j->reference, j->output_bytes);
    mkdir("assets", 0777);
    mkdir("assets/generated", 0777);
    st = file_write(path, t.data, t.n, 0644, err);
    text_free(&t);
    return st;
}

static double judge_peaks(judge *j);

/* The truth for the fixed input: from its file, else computed and written if that takes less than limit_s. */
static aopt_status judge_load_reference(judge *j, double limit_s, aopt_error *err)
{
    char path[PATH_CAP], hex[65];
    double predicted;
    aopt_status st;
    int64_t at = 0, bad;
    if ((st = reference_path(j, path, err)) != AOPT_OK) return st;
    if (!reference_read(j, path, hex)) {
        predicted = j->cost.flops / (0.25 * judge_peaks(j));
        if (predicted > limit_s)
            return aopt_fail(err, AOPT_E_UNSUPPORTED, "task %s: its fp32 reference would take about %.0f s here%s", j->job->task->name, predicted,
                             predicted < 7200 ? ": ./harness make-reference makes it once" : "; choose a smaller task with --task, or a GPU");
        st = judge_reference(j, j->fixed, 0, j->reference, progress_line, err);
        if (st == AOPT_OK) st = reference_write(j, path, hex, err);
        if (st != AOPT_OK) return st;
    }
    bad = buffer_count(j->reference, j->output_bytes / sizeof(float), 0, &at);
    if (bad) return aopt_fail(err, AOPT_E_VALUE, "task %s: its reference has %lld non-finite values", j->job->task->name, (long long)bad);
    snprintf(j->a->reference, sizeof j->a->reference, "%s", hex);
    return AOPT_OK;
}

static int cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

/* "AMD EPYC 9654, 2 cores" */
static void device_name(char *out, size_t out_bytes)
{
    char line[256], *p, name[100] = "CPU";
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, (int)sizeof line, f))
        if (strncmp(line, "model name", 10) == 0 && (p = strchr(line, ':')) != NULL) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(p + 2, "\n"), p + 2);
            break;
        }
    if (f) fclose(f);
    snprintf(out, out_bytes, "%s, %d cores", name, cpu_count());
}

static aopt_status judge_buffers(judge *j, aopt_error *err)
{
    const int64_t in = aopt_tensor_numel(&j->input), out = aopt_tensor_numel(&j->output);
    if (in < 1 || out < 1 || in > ((int64_t)1 << 36) || out > ((int64_t)1 << 36)) return aopt_fail(err, AOPT_E_SHAPE, "task %s: shape too large", j->job->task->name);
    j->input_bytes = (size_t)in * sizeof(float);
    j->output_bytes = (size_t)out * sizeof(float);
    j->fixed = (float *)malloc(j->input_bytes);
    j->fresh = (float *)malloc(j->input_bytes);
    j->reference = (float *)malloc(j->output_bytes);
    j->first = (float *)malloc(j->output_bytes);
    j->work = (float *)malloc(j->output_bytes);
    return j->fixed && j->fresh && j->reference && j->first && j->work ? AOPT_OK : aopt_fail(err, AOPT_E_MEMORY, "task %s: out of memory", j->job->task->name);
}

/* The task of j->job, all but its reference. */
static aopt_status judge_open_task(judge *j, aopt_error *err)
{
    const task *t = j->job->task;
    aopt_tensor x;
    aopt_status st = target.open(t->checkpoint, &j->model, err);
    if (st != AOPT_OK) return st;
    j->model_open = 1;
    j->device.cuda = AOPT_HOST;
    j->device.threads = cpu_count();
    st = target.tensors(&j->model, &t->shape, &j->input, &j->output, err);
    if (st == AOPT_OK) st = target.cost(&j->model, &t->shape, &j->cost, err);
    if (st == AOPT_OK) st = judge_buffers(j, err);
    if (st != AOPT_OK) return st;
    x = j->input;
    x.data = j->fixed;
    return target.load_input(&j->model, t->input, &x, err);
}

static aopt_status judge_begin(judge *j, const judge_job *job, attempt *a, aopt_error *err)
{
    char root[PATH_CAP];
    memset(j, 0, sizeof *j);
    j->job = job;
    j->a = a;
    side_init(&j->side[0], "incumbent");
    side_init(&j->side[1], "candidate");
    j->seed = job->seed ? job->seed : random_seed();
    if (!getcwd(root, sizeof root)) return aopt_fail(err, AOPT_E_IO, "no working directory");
    mkdir("build", 0777);
    path_set(j->dir, "%s/build/run.XXXXXX", root);
    if (!mkdtemp(j->dir)) { j->dir[0] = 0; return aopt_fail(err, AOPT_E_IO, "build: cannot make a folder: %s", strerror(errno)); }
    prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    signal(SIGPIPE, SIG_IGN);
    return judge_open_task(j, err);
}

static char *text_take(text *t)
{
    char *p = t->data;
    memset(t, 0, sizeof *t);
    return p;
}

static void judge_end(judge *j)
{
    int i;
    for (i = 0; i < 2; i++) side_close(j, &j->side[i]);
    if (!j->a->stderr_tail && j->side[1].printed.n) j->a->stderr_tail = text_take(&j->side[1].printed);
    if (!j->a->samples && j->samples.n) j->a->samples = text_take(&j->samples);
    if (!j->a->gate_text && j->gate.n) j->a->gate_text = text_take(&j->gate);
    for (i = 0; i < 2; i++) text_free(&j->side[i].printed);
    text_free(&j->samples);
    text_free(&j->gate);
    if (j->model_open) target.close(&j->model);
    free(j->fixed); free(j->fresh); free(j->reference); free(j->first); free(j->work);
    if (j->dir[0]) folder_remove(j->dir);
}

/* ==== [7] statistics: pairs, screen, confirm ============================================================
   A is the incumbent, B the candidate; d = ln(tA/tB) of a pair, positive when B is faster.  The decision knows nothing of
   processes: it draws pairs from two functions, so that tests can feed it any machine. */
typedef struct pair { double a, b; int voided; } pair;          /* seconds per decode */
typedef struct bench {
    void *user;
    int (*launch)(void *user);                                  /* both sides afresh, warmed up; nonzero = verdict code, stop */
    int (*sample)(void *user, const char *stage, pair *out);    /* one pair; nonzero likewise */
    double delta, floor;                                        /* least log-ratio that counts; noise floor of this machine */
    double d[MAX_PAIRS], a[MAX_PAIRS], b[MAX_PAIRS]; int n;     /* the pairs that the report is about */
    int wins, voids;
    const char *reason;
} bench;
enum { BENCH_FAILED = -1 };                                     /* launch or sample said stop */

/* m more pairs that count, into b->d and company from index b->n.  V_NONE = got them. */
static int bench_collect(bench *b, const char *stage, int m)
{
    int got = 0, redo = 0;
    while (got < m) {
        pair p;
        if (b->sample(b->user, stage, &p)) return BENCH_FAILED;
        if (p.voided || !(p.a > 0) || !(p.b > 0)) {
            b->voids++;
            if (++redo > m) {
                b->reason = "more pairs were disturbed than were not";
                return V_UNSTABLE;
            }
            continue;
        }
        b->a[b->n] = p.a;
        b->b[b->n] = p.b;
        b->d[b->n++] = log(p.a / p.b);
        got++;
    }
    return V_NONE;
}

static int bench_wins(const bench *b)
{
    int i, n = 0;
    for (i = 0; i < b->n; i++) n += b->d[i] > 0;
    return n;
}

/* The pairs of the screen alone decide whether it is worth going on; V_NONE = it is. */
static int bench_screen(bench *b)
{
    int i, hope = 0, worse = 0, rc;
    if (b->launch(b->user)) return BENCH_FAILED;
    if ((rc = bench_collect(b, "screen", SCREEN_PAIRS)) != V_NONE) return rc;
    for (i = 0; i < b->n; i++) {
        hope += b->d[i] >= b->delta;
        worse += b->d[i] < -b->delta;
    }
    if (hope == 0) {
        b->reason = worse == b->n ? "slower in each of the first pairs" : "none of the first pairs gained enough";
        return worse == b->n ? V_SLOWER : V_NOISE;
    }
    if ((rc = bench_collect(b, "screen", SCREEN_PAIRS)) != V_NONE) return rc;
    if (bench_wins(b) < 2 * SCREEN_PAIRS - 1 || aopt_median(b->d, b->n) < b->delta) {
        b->reason = "the first six pairs do not gain enough";
        return V_NOISE;
    }
    return V_NONE;
}

static int bench_relaunch(bench *b, const char *stage, int launches, int pairs)
{
    int i, rc;
    for (i = 0; i < launches; i++) {
        if (b->launch(b->user)) return BENCH_FAILED;
        if ((rc = bench_collect(b, stage, pairs)) != V_NONE) return rc;
    }
    return V_NONE;
}

/* Screen, then confirm on fresh launches with fresh data: only these decide and are reported.
   V_KEEP, V_NOISE, V_SLOWER, V_UNSTABLE or BENCH_FAILED. */
static int bench_decide(bench *b)
{
    double median;
    int rc, big, keep;
    b->n = b->voids = b->wins = 0;
    b->reason = "";
    rc = bench_screen(b);
    b->wins = bench_wins(b);
    if (rc != V_NONE) return rc;
    median = aopt_median(b->d, b->n);
    big = b->wins == b->n && median >= BIG_WIN && median >= 10 * b->floor;
    b->n = 0;
    if ((rc = bench_relaunch(b, "confirm", 2, big ? 2 : CONFIRM_PAIRS)) != V_NONE) return rc;
    b->wins = bench_wins(b);
    median = aopt_median(b->d, b->n);
    keep = median >= b->delta && b->wins >= (big ? 4 : 9);
    if (!keep && !big && b->wins >= 8 && median >= 0.75 * b->delta) {
        if ((rc = bench_relaunch(b, "extend", 2, EXTEND_PAIRS)) != V_NONE) return rc;
        b->wins = bench_wins(b);
        keep = b->wins >= 14 && aopt_median(b->d, b->n) >= b->delta;
    }
    b->reason = keep ? "confirmed on fresh launches" : "fresh launches do not confirm the gain of the screen";
    return keep ? V_KEEP : V_NOISE;
}

/* ---- pairs from real processes ---- */
#ifdef AUTOOPT_TEST_CLOCK
/* Scripted times: lines "floor X" and "pair A_MS B_MS [void]"; the last line repeats. */
static struct { FILE *f; pair last; double floor; int on; } test_clock;
static int test_clock_next(pair *p)
{
    char line[200], word[32] = "";
    double a, b;
    if (!test_clock.on) return 0;
    while (fgets(line, (int)sizeof line, test_clock.f)) {
        if (sscanf(line, "floor %lf", &test_clock.floor) == 1) continue;
        if (sscanf(line, "pair %lf %lf %31s", &a, &b, word) < 2) continue;
        test_clock.last.a = a / 1000;
        test_clock.last.b = b / 1000;
        test_clock.last.voided = strcmp(word, "void") == 0;
        break;
    }
    *p = test_clock.last;
    return 1;
}
static int test_clock_open(const char *path)
{
    char line[200];
    test_clock.f = fopen(path, "r");
    test_clock.on = test_clock.f != NULL;
    if (test_clock.on && fgets(line, (int)sizeof line, test_clock.f) && sscanf(line, "floor %lf", &test_clock.floor) != 1) rewind(test_clock.f);
    return test_clock.on;
}
#endif

/* Share of CPU time that other guests of the host took since the last call, in percent. */
static double steal_pct(double last[2])
{
    double v[10], all = 0, pct;
    int i, n = 0;
    FILE *f = fopen("/proc/stat", "r");
    memset(v, 0, sizeof v);
    if (f) {
        n = fscanf(f, "cpu %lf %lf %lf %lf %lf %lf %lf %lf", &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]);
        fclose(f);
    }
    for (i = 0; i < 8; i++) all += v[i];
    pct = n == 8 && all > last[0] ? 100 * (v[7] - last[1]) / (all - last[0]) : 0;
    last[0] = all;
    last[1] = v[7];
    return pct;
}

typedef struct race {
    judge *j;
    const char *so[2];                  /* what each side runs; may be the same twice */
    double delay[2];
    int decodes;                        /* per sample and side */
    int first;                          /* which side begins the next pair */
    int launch, pair_n;
} race;

/* B's output against A's for the same fresh input.  When they differ too much, the truth says who is wrong. */
static int race_cross_check(race *r)
{
    judge *j = r->j;
    aopt_metric m[AOPT_MAX_METRICS];
    const gate_limit *g;
    aopt_error err;
    int n = judge_compare(j, side_output(&j->side[0]), side_output(&j->side[1]), 0, m), k;
    const gate_limit *bad = gate_failed(j->job->goals, m, n, 1);
    if (!bad) return 0;
    if (judge_reference(j, j->fresh, 0, j->work, NULL, &err)) return judge_fail(j, &j->side[1], 125, "reference: %s", err.message);
    for (k = 0; k < 2; k++) {
        n = judge_compare(j, j->work, side_output(&j->side[k]), 0, m);
        g = gate_failed(j->job->goals, m, n, 1);
        if (g) return judge_gate_fail(j, &j->side[k], g, m, n, 1, "unseen input while timed, against the fp32 reference");
    }
    return 0;
}

/* One pair: r->decodes decodes of each side, interleaved A B B A A B ..., each pair on an input that nobody has seen. */
static int race_sample(void *user, const char *stage, pair *out)
{
    race *r = (race *)user;
    judge *j = r->j;
    double sum[2] = { 0, 0 }, steal[2] = { 0, 0 }, pct, t;
    aopt_error err;
    uint64_t seed = 0;
    int i, h, rc;
    steal_pct(steal);
    for (i = 0; i < r->decodes; i++) {
        seed = judge_random(j);
        if (judge_fresh(j, seed, j->fresh, &err)) return judge_fail(j, &j->side[1], 125, "fresh input: %s", err.message);
        for (h = 0; h < 2; h++) {
            const int side_i = (h + r->first + i) & 1;
            if ((rc = side_decode(j, &j->side[side_i], j->fresh, seed, &t)) != 0) return rc;
            sum[side_i] += t;
        }
        if ((rc = race_cross_check(r)) != 0) return rc;
    }
    pct = steal_pct(steal);
    out->a = sum[0] / r->decodes;
    out->b = sum[1] / r->decodes;
    out->voided = pct > j->job->goals->max_steal_pct;
#ifdef AUTOOPT_TEST_CLOCK
    test_clock_next(out);
#endif
    text_add(&j->samples, "%s\t%d\t%d\t%c\t%d\t%.6f\t%.6f\t%016llx\t%.2f\t%s\n", stage, r->launch, r->pair_n++, r->first ? 'B' : 'A', r->decodes, out->a * 1e3, out->b * 1e3,
             (unsigned long long)seed, pct, out->voided ? "void" : "-");
    r->first = !r->first;
    return 0;
}

/* At least two decodes of a side, until two agree within 2 % (at most five, or 20 s). */
static int race_warm(judge *j, side *s, double *seconds)
{
    double t = 0, before, spent = 0;
    aopt_error err;
    int i, rc;
    for (i = 0; i < 5 && spent < 20; i++) {
        before = t;
        if (judge_fresh(j, judge_random(j), j->fresh, &err)) return judge_fail(j, s, 125, "fresh input: %s", err.message);
        if ((rc = side_decode(j, s, j->fresh, judge_random(j), &t)) != 0) return rc;
        spent += t;
        if (i > 0 && fabs(t - before) < 0.02 * t) break;
    }
    *seconds = t;
    return 0;
}

static int race_launch(void *user)
{
    race *r = (race *)user;
    judge *j = r->j;
    const int start = (int)(judge_random(j) & 1);
    double t[2] = { 0, 0 };
    int h, rc;
    for (h = 0; h < 2; h++) {
        const int i = h ^ start;
        if ((rc = side_launch(j, i, r->so[i], 0, r->delay[i])) != 0) return rc;
    }
    for (h = 0; h < 2; h++) if ((rc = race_warm(j, &j->side[h], &t[h])) != 0) return rc;
    if (r->decodes == 0) {              /* set once, from the first warm-up, so that it cannot be played with later */
        const double want = j->device.cuda == AOPT_HOST ? j->job->goals->sample_s_cpu : j->job->goals->sample_s_gpu;
        r->decodes = (int)ceil(want / fmax(fmin(t[0], t[1]), 1e-6));
        if (r->decodes > MAX_DECODES) r->decodes = MAX_DECODES;
#ifdef AUTOOPT_TEST_CLOCK
        if (test_clock.on) r->decodes = 1;
#endif
    }
    r->launch++;
    r->first = (int)(judge_random(j) & 1);
    return 0;
}

static void race_init(race *r, judge *j, const char *a, const char *b)
{
    memset(r, 0, sizeof *r);
    r->j = j;
    r->so[0] = a;
    r->so[1] = b;
}

static void bench_init(bench *b, race *r, double min_gain_pct, double factor, double floor)
{
    memset(b, 0, sizeof *b);
    b->user = r;
    b->launch = race_launch;
    b->sample = race_sample;
    b->floor = floor;
    b->delta = fmax(log(1 + min_gain_pct / 100), factor * floor);
}

/* The noise floor is kept per task, device and harness, and measured anew after FLOOR_USES uses. */
static void floor_path(const judge *j, char path[PATH_CAP])
{
    char hex[65];
    text key;
    memset(&key, 0, sizeof key);
    device_name(hex, sizeof hex);
    text_add(&key, "%s|%s|%s", j->job->task->name, hex, HARNESS_BAKED);
    sha256_hex(key.data, key.n, hex);
    text_free(&key);
    path_set(path, "build/floor-%.48s-%.12s", j->job->task->name, hex);
}

static int floor_read(const judge *j, double *floor, int *uses)
{
    char path[PATH_CAP];
    FILE *f;
    int ok;
#ifdef AUTOOPT_TEST_CLOCK
    if (test_clock.on) { *floor = test_clock.floor; *uses = 0; return 1; }
#endif
    floor_path(j, path);
    f = fopen(path, "r");
    ok = f && fscanf(f, "%lf %d", floor, uses) == 2 && *floor >= 0 && *uses >= 0 && *uses < FLOOR_USES;
    if (f) fclose(f);
    return ok;
}

static void floor_write(const judge *j, double floor, int uses)
{
    char path[PATH_CAP], line[64];
    int n;
#ifdef AUTOOPT_TEST_CLOCK
    if (test_clock.on) return;
#endif
    floor_path(j, path);
    n = snprintf(line, sizeof line, "%.9g %d\n", floor, uses);
    file_write(path, line, (size_t)n, 0644, NULL);
}

/* The incumbent against itself: the floor, and proof that the instrument takes no side.  0, or a verdict (125). */
static int floor_measure(judge *j, double *floor)
{
    race r;
    bench b;
    double median;
    int rc;
    race_init(&r, j, j->so[0], j->so[0]);
    bench_init(&b, &r, 0, 0, 0);
    if (race_launch(&r)) return j->a->code;
    rc = bench_collect(&b, "floor", FLOOR_PAIRS);
    if (rc == BENCH_FAILED) return j->a->code;
    if (rc != V_NONE) return judge_fail(j, NULL, 125, "%s while the noise floor was measured", b.reason);
    *floor = aopt_noise_floor(b.d, b.n);
    median = aopt_median(b.d, b.n);
    if (!(fabs(median) <= fmax(log(1.01) / 3, 3 * *floor)))
        return judge_fail(j, NULL, 125, "instrument biased: the incumbent against itself differs by %.2f %%, noise floor %.2f %%", 100 * median, 100 * *floor);
    floor_write(j, *floor, 0);
    return 0;
}

/* ---- the pieces of an attempt ---- */
static void judge_report(judge *j, const bench *b)
{
    attempt *a = j->a;
    double lo, hi;
    a->t_inc_ms = 1e3 * aopt_median(b->a, b->n);
    a->t_cand_ms = 1e3 * aopt_median(b->b, b->n);
    a->gain_pct = 100 * (1 - exp(-aopt_median(b->d, b->n)));
    if (aopt_median_ci(b->d, b->n, 0.05, &lo, &hi)) {
        a->ci_lo = 100 * (1 - exp(-lo));
        a->ci_hi = 100 * (1 - exp(-hi));
    }
    a->wins = b->wins;
    a->pairs = b->n;
    a->delta_pct = 100 * (1 - exp(-b->delta));
}

/* Too fast for the arithmetic that the model needs?  0 or 28. */
static int judge_plausible(judge *j)
{
    const double least_ms = 1e3 * PLAUSIBLE * j->cost.flops / judge_peaks(j);
    if (j->a->t_cand_ms >= least_ms || j->job->approve) return 0;
    return judge_fail(j, &j->side[1], 28, "%.4g ms, but %.3g GFLOP at this machine's %.3g GFLOP/s need %.4g ms even with 2.5 times fewer operations", j->a->t_cand_ms,
                      j->cost.flops * 1e-9, judge_peaks(j) * 1e-9, least_ms);
}

/* Seconds that the gate of another task would take here, or -1 if it cannot run. */
static double judge_task_cost(const task *t, double peak)
{
    aopt_model model;
    aopt_tensor in, out;
    aopt_cost cost;
    aopt_error err;
    double s = -1;
    if (access(t->checkpoint, R_OK) != 0 || access(t->input, R_OK) != 0 || target.open(t->checkpoint, &model, &err)) return -1;
    if (target.tensors(&model, &t->shape, &in, &out, &err) == AOPT_OK && target.cost(&model, &t->shape, &cost, &err) == AOPT_OK &&
        (double)cost.memory + 20.0 * (double)aopt_tensor_numel(&out) < 0.8 * (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE))
        s = (FRESH_CALLS + 6) * cost.flops / (0.25 * peak);
    target.close(&model);
    return s;
}

/* What would be kept must pass on every task that this build can run in the time that goals.json allows. */
static int judge_other_tasks(judge *j)
{
    const goals *g = j->job->goals;
    double left = g->limit.gate_all_tasks_s;
    int i, rc = 0;
    for (i = 0; i < g->task_n && rc == 0; i++) {
        const double s = strcmp(g->task[i].name, j->job->task->name) == 0 ? -1 : judge_task_cost(&g->task[i], judge_peaks(j));
        judge_job job = *j->job;
        attempt other;
        judge k;
        aopt_error err;
        if (s < 0 || s > left) continue;
        left -= s;
        job.task = &g->task[i];
        attempt_init(&other);
        if (judge_begin(&k, &job, &other, &err) || judge_load_reference(&k, s + 5, &err)) rc = judge_fail(j, NULL, 125, "task %s: %s", job.task->name, err.message);
        else if ((rc = side_launch(&k, 1, j->so[1], 0, 0)) == 0) rc = judge_verify(&k, &k.side[1]);
        if (k.gate.n) text_append(&j->gate, k.gate.data, k.gate.n);
        if (rc && rc != j->a->code) judge_fail(j, rc == 125 ? NULL : &j->side[1], rc, "task %s: %.380s", job.task->name, other.why);
        judge_end(&k);
        attempt_free(&other);
    }
    return rc;
}

/* Gate, probes, a clean end.  0, or the verdict. */
static int judge_stage_verify(judge *j)
{
    side *s = &j->side[1];
    int rc;
    if ((rc = side_launch(j, 1, j->so[1], 0, 0)) != 0 || (rc = judge_verify(j, s)) != 0 || (rc = side_quit(j, s)) != 0) return rc;
    snprintf(j->a->info, sizeof j->a->info, "%s", s->info);
    j->a->init_s = s->init_s;
    j->a->peak_mb = s->peak_mb;
    if (s->peak_mb > j->job->task->limit.memory_mb) return judge_fail(j, s, 32, "peak %.0f MB, the limit is %.0f MB", s->peak_mb, j->job->task->limit.memory_mb);
    return 0;
}

static void judge_stage_bench(judge *j)
{
    attempt *a = j->a;
    double floor = 0;
    int uses = 0, v;
    race r;
    bench b;
    if (!floor_read(j, &floor, &uses)) { if (floor_measure(j, &floor)) return; }
    else floor_write(j, floor, uses + 1);
    race_init(&r, j, j->so[0], j->so[1]);
    bench_init(&b, &r, j->job->goals->min_gain_pct, j->job->goals->floor_factor, floor);
    v = bench_decide(&b);
    if (v == BENCH_FAILED) return;                      /* the verdict stands in the attempt */
    if (b.n > 0) judge_report(j, &b);
    if (v == V_UNSTABLE) { judge_fail(j, NULL, 125, "%s (%d void)", b.reason, b.voids); return; }
    if (b.n > 0 && v != V_SLOWER && judge_plausible(j)) return;
    if (v == V_KEEP) {
        /* the runners of the last confirmation are still there */
        if (judge_fresh(j, judge_random(j), j->fresh, NULL) || side_decode(j, &j->side[1], j->fresh, judge_random(j), NULL) ||
            judge_oracle(j, &j->side[1], "unseen input before keeping, against the fp32 reference") || judge_other_tasks(j)) return;
        if (a->verdict == V_REJECT || a->verdict == V_UNSTABLE) return;
    }
    a->verdict = (verdict_id)v;
    a->code = v == V_KEEP ? 0 : 1;
    snprintf(a->why, sizeof a->why, "%s: %.4g ms against %.4g ms, %+.2f %% (%d of %d pairs won; least that counts here %.2f %%)", b.reason, a->t_cand_ms, a->t_inc_ms, a->gain_pct,
             a->wins, a->pairs, a->delta_pct);
    snprintf(a->next, sizeof a->next, "%s", v == V_KEEP ? "profile again and attack the largest item" : v == V_SLOWER ? "drop the idea or find what it costs: ./harness profile" :
             "the gain is below what can be told from noise: attack a larger item of the profile");
}

/* Baseline row: the frozen decoder and the candidate, one launch and one warm-up each, two to four decodes. */
static void judge_stage_baseline(judge *j)
{
    attempt *a = j->a;
    double t[2][4], warm, spent;
    aopt_error err;
    int side_i, n[2], rc;
    for (side_i = 0; side_i < 2; side_i++) {
        if (side_launch(j, side_i, side_i ? j->so[1] : "-", 0, 0)) return;
        if (judge_fresh(j, judge_random(j), j->fresh, &err) || side_decode(j, &j->side[side_i], j->fresh, judge_random(j), &warm)) return;
        for (n[side_i] = 0, spent = 0; n[side_i] < 2 || (n[side_i] < 4 && spent < 10); n[side_i]++) {
            if (judge_fresh(j, judge_random(j), j->fresh, &err)) return;
            if ((rc = side_decode(j, &j->side[side_i], j->fresh, judge_random(j), &t[side_i][n[side_i]])) != 0) return;
            spent += t[side_i][n[side_i]];
            text_add(&j->samples, "baseline\t%d\t%d\t%c\t1\t%.6f\t-\t-\t-\t-\n", side_i, n[side_i], side_i ? 'B' : 'A', t[side_i][n[side_i]] * 1e3);
        }
        side_pause(&j->side[side_i]);
    }
    a->t_inc_ms = 1e3 * aopt_median(t[0], n[0]);
    a->t_cand_ms = 1e3 * aopt_median(t[1], n[1]);
#ifdef AUTOOPT_TEST_CLOCK
    {
        pair p;
        if (test_clock_next(&p)) { a->t_inc_ms = 1e3 * p.a; a->t_cand_ms = 1e3 * p.b; }
    }
#endif
    a->gain_pct = 100 * (1 - a->t_cand_ms / a->t_inc_ms);
    a->pairs = n[1];
    a->verdict = V_BASELINE;
    a->code = 0;
    snprintf(a->why, sizeof a->why, "frozen decoder %.4g ms (n = %d), optimize.c %.4g ms (n = %d): %.2fx", a->t_inc_ms, n[0], a->t_cand_ms, n[1], a->t_inc_ms / a->t_cand_ms);
    snprintf(a->next, sizeof a->next, "edit optimize.c, then ./harness --desc \"what you changed\"; ./harness profile shows where the time goes");
}

/* SHA-256 over a tree's sources. */
static aopt_status tree_sha256(const char *tree, char hex[65], aopt_error *err)
{
    static const char *const name[] = { "optimize.c", "autoopt_kernels.cuh" };
    char path[PATH_CAP];
    text all;
    aopt_status st = AOPT_OK;
    int i;
    memset(&all, 0, sizeof all);
    for (i = 0; i < 2 && st == AOPT_OK; i++) {
        path_set(path, "%s/%s", tree, name[i]);
        if (i > 0 && access(path, F_OK) != 0) continue;
        text_add(&all, "%s\n", name[i]);
        st = file_read(path, 16 << 20, &all, err);
    }
    if (st == AOPT_OK) sha256_hex(all.data, all.n, hex);
    text_free(&all);
    return st;
}

/* What of the machine and its settings could change a time, as 16 digits. */
static void environment_hash(const judge *j, char out[17])
{
    struct utsname u;
    char hex[65], device[128];
    text t;
    memset(&t, 0, sizeof t);
    device_name(device, sizeof device);
    uname(&u);
    text_add(&t, "%s|%s|%s|%d|%s|%s", u.sysname, u.release, u.machine, j->device.threads, device, HARNESS_KIND);
    sha256_hex(t.data, t.n, hex);
    text_free(&t);
    snprintf(out, 17, "%.16s", hex);
}

static aopt_status judge_describe(judge *j, aopt_error *err)
{
    attempt *a = j->a;
    const judge_job *job = j->job;
    const time_t now = time(NULL);
    struct tm tm;
    if (gmtime_r(&now, &tm)) strftime(a->utc, sizeof a->utc, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(a->task, sizeof a->task, "%s", job->task->name);
    device_name(a->device, sizeof a->device);
    snprintf(a->scope, sizeof a->scope, "%s", job->scope_library ? "library" : "optimize");
    if (!a->via[0]) snprintf(a->via, sizeof a->via, "local");
    if (job->desc) snprintf(a->desc, sizeof a->desc, "%s", job->desc);
    environment_hash(j, a->env_hash);
    if (tree_sha256(job->candidate_dir, a->candidate, err)) return AOPT_E_IO;
    if (job->incumbent_dir && tree_sha256(job->incumbent_dir, a->incumbent, err)) return AOPT_E_IO;
    return AOPT_OK;
}

/* Both trees into j->so.  0, or the verdict. */
static int judge_build(judge *j)
{
    const char *tree[2];
    int i, rc;
    tree[0] = j->job->incumbent_dir;
    tree[1] = j->job->candidate_dir;
    for (i = 0; i < 2; i++) {
        char tmp[PATH_CAP], folder[PATH_CAP], real[PATH_MAX];
        text log, errors;
        if (!tree[i] || !realpath(tree[i], real)) {
            if (i == 1) return judge_fail(j, NULL, 125, "%s: no such folder", tree[i] ? tree[i] : "candidate");
            continue;
        }
        memset(&log, 0, sizeof log);
        memset(&errors, 0, sizeof errors);
        path_set(folder, "%s/so%d", j->dir, i);
        path_set(tmp, "%s/build%d", j->dir, i);
        path_set(j->so[i], "%s/side.so", folder);
        if (mkdir(folder, 0700) != 0 || mkdir(tmp, 0700) != 0) return judge_fail(j, NULL, 125, "%s: %s", folder, strerror(errno));
        rc = build_candidate(real, j->so[i], tmp, j->job->goals->limit.build_s, &log);
        if (rc) {
            build_errors(&log, &errors);
            judge_fail(j, &j->side[i], rc, "%.380s", errors.data ? errors.data : "build.sh said nothing");
        }
        if (i == 1) { text_add(&log, "%s", ""); j->a->build_log = text_take(&log); }
        text_free(&log);
        text_free(&errors);
        if (rc) return j->a->code;
    }
    return 0;
}

/* The same code and constants?  Builds are reproducible and carry neither names nor dates, so files can be compared. */
static int judge_same_binary(const judge *j)
{
    char a[65], b[65];
    return j->so[0][0] && file_sha256(j->so[0], a, NULL) == AOPT_OK && file_sha256(j->so[1], b, NULL) == AOPT_OK && strcmp(a, b) == 0;
}

static void judge_stages(judge *j, aopt_status *st, aopt_error *err)
{
    attempt *a = j->a;
    const judge_job *job = j->job;
    if (judge_build(j)) return;
    if (!job->baseline && !job->verify_only && judge_same_binary(j)) {
        a->verdict = V_NOOP;
        a->code = 3;
        snprintf(a->why, sizeof a->why, "the candidate compiles to the same code as the incumbent");
        snprintf(a->next, sizeof a->next, "change something in optimize.c");
        return;
    }
    if ((*st = judge_load_reference(j, 300, err)) != AOPT_OK || judge_stage_verify(j)) return;
    if (job->verify_only) {
        a->verdict = V_NONE;
        a->code = 0;
        snprintf(a->why, sizeof a->why, "all gates and probes pass%s", isnan(a->margin_db) ? "" : "; least margin below");
        snprintf(a->next, sizeof a->next, "./harness --desc \"what you changed\" measures it");
    } else if (job->baseline) judge_stage_baseline(j);
    else judge_stage_bench(j);
}

/* Judge one candidate.  What the candidate does wrong is a verdict in *a (started by attempt_init), not an error; an error means
   that nothing could be judged: a missing file, a bad task. */
static aopt_status judge_attempt(const judge_job *job, attempt *a, aopt_error *err)
{
    aopt_status st;
    judge j;
    st = judge_begin(&j, job, a, err);
    if (st == AOPT_OK) st = judge_describe(&j, err);
    if (st == AOPT_OK && job->scope_library) st = build_check_kernels(job->candidate_dir, err);
    if (st == AOPT_OK) {
        text_add(&j.samples, "stage\tlaunch\tpair\tfirst\tdecodes\tt_inc_ms\tt_cand_ms\tseed\tsteal_pct\tvoid\n");
        text_add(&j.gate, "task\tmetric\tvalue\tlimit\tmargin\twhere\n");
        judge_stages(&j, &st, err);
    }
    judge_end(&j);
    return st;
}

/* ---- what people and programs read ---- */
static const char *verdict_title(const attempt *a)
{
    return a->verdict == V_NONE ? "PASS" : verdict_name(a->verdict);
}

static void json_number(text *t, const char *key, double v)
{
    if (isfinite(v)) text_add(t, ",\"%s\":%.9g", key, v);
    else text_add(t, ",\"%s\":null", key);
}

static void json_text(text *t, const char *key, const char *v)
{
    text_add(t, ",\"%s\":", key);
    text_add_json(t, v);
}

/* One line of JSON, the last of every run. */
static void verdict_json(const attempt *a, text *t)
{
    int i;
    text_add(t, "{\"verdict\":\"%s\",\"code\":%d", verdict_title(a), a->code);
    if (a->verdict == V_REJECT || a->verdict == V_UNSTABLE) json_text(t, "name", failure_name(a->code));
    json_text(t, "task", a->task); json_text(t, "device", a->device); json_text(t, "desc", a->desc); json_text(t, "info", a->info);
    json_number(t, "gain_pct", a->gain_pct); json_number(t, "ci_lo_pct", a->ci_lo); json_number(t, "ci_hi_pct", a->ci_hi); json_number(t, "delta_pct", a->delta_pct);
    json_number(t, "t_cand_ms", a->t_cand_ms); json_number(t, "t_inc_ms", a->t_inc_ms);
    text_add(t, ",\"wins\":%d,\"pairs\":%d,\"metrics\":{", a->wins, a->pairs);
    for (i = 0; i < a->metric_n; i++) {
        text_add(t, "%s", i ? "," : "");
        text_add_json(t, a->metric[i].name);
        if (isfinite(a->metric[i].value)) text_add(t, ":%.9g", a->metric[i].value);
        else text_add(t, ":null");
    }
    text_add(t, "}");
    json_number(t, "margin_db", a->margin_db); json_number(t, "init_s", a->init_s); json_number(t, "peak_mb", a->peak_mb);
    json_text(t, "sandbox", a->sandbox); json_text(t, "why", a->why); json_text(t, "next", a->next);
    text_add(t, "}\n");
}

/* Verdict, why, what next, for people; then the same for programs. */
static void verdict_print(const attempt *a)
{
    text t;
    int i;
    memset(&t, 0, sizeof t);
    for (i = 0; i < a->metric_n; i++) {
        const double margin = (a->metric[i].value - a->metric[i].limit) * a->metric[i].sense;
        text_add(&t, "  %-20s %12.6g", a->metric[i].name, a->metric[i].value);
        if (a->metric[i].gated) text_add(&t, "  %s %-8.4g margin %-10.4g", a->metric[i].sense > 0 ? ">=" : "<=", a->metric[i].limit, margin);
        text_add(&t, "%s%s\n", a->metric[i].where[0] ? "  at " : "", a->metric[i].where);
    }
    text_add(&t, "%s", verdict_title(a));
    if (a->verdict == V_REJECT || a->verdict == V_UNSTABLE) text_add(&t, " %d %s", a->code, failure_name(a->code));
    else if (a->verdict == V_REFUSED) text_add(&t, " %d", a->code);
    else if (isfinite(a->gain_pct) && a->verdict != V_BASELINE) {
        text_add(&t, " %+.2f %%", a->gain_pct);
        if (isfinite(a->ci_lo)) text_add(&t, " [%+.2f, %+.2f]", a->ci_lo, a->ci_hi);
    }
    if (a->task[0]) text_add(&t, "  (task %s, sandbox %s)", a->task, a->sandbox[0] ? a->sandbox : "-");
    text_add(&t, "\nWHY   %s\nNEXT  %s\n", a->why, a->next);
    verdict_json(a, &t);
    fwrite(t.data, 1, t.n, stdout);
    fflush(stdout);
    text_free(&t);
}

/* ==== [8] profile =======================================================================================
   Peaks are measured in the same run as the profile: multiply-adds held in registers, and a copy much larger than the caches. */
enum { PEAK_CHAINS = 12, PEAK_ROUNDS = 2000000 };
#define PEAK_EACH(X) X(0) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11)
/* rounds times 12 independent multiply-adds on vectors of `type`; the sum keeps the compiler from dropping them. */
#define PEAK_KERNEL(name, attr, type, lanes, ZERO, STEP) \
    attr static double name(int64_t rounds) \
    { \
        float start[lanes]; \
        double sum = 0; \
        int64_t r; \
        int k; \
        type v[PEAK_CHAINS], m, c; \
        for (k = 0; k < (lanes); k++) start[k] = 0.999f; \
        memcpy(&m, start, sizeof m); \
        memcpy(&c, start, sizeof c); \
        PEAK_EACH(ZERO) \
        for (r = 0; r < rounds; r++) { PEAK_EACH(STEP) } \
        for (k = 0; k < PEAK_CHAINS; k++) { memcpy(start, &v[k], sizeof v[k]); sum += start[0]; } \
        return sum; \
    }
#define PEAK_ZERO(i) v[i] = m;
typedef float peak_v4 __attribute__((vector_size(16)));
#define PEAK_PLAIN(i) v[i] = v[i] * m + c;
PEAK_KERNEL(peak_plain, , peak_v4, 4, PEAK_ZERO, PEAK_PLAIN)
#ifdef __x86_64__
#define PEAK_AVX2(i) v[i] = _mm256_fmadd_ps(v[i], m, c);
#define PEAK_AVX512(i) v[i] = _mm512_fmadd_ps(v[i], m, c);
PEAK_KERNEL(peak_avx2, __attribute__((target("avx2,fma"))), __m256, 8, PEAK_ZERO, PEAK_AVX2)
PEAK_KERNEL(peak_avx512, __attribute__((target("avx512f"))), __m512, 16, PEAK_ZERO, PEAK_AVX512)
#endif

typedef struct peak_work { double (*kernel)(int64_t); int64_t rounds; float *from, *to; size_t bytes; double result; } peak_work;

static void *peak_thread(void *user)
{
    peak_work *w = (peak_work *)user;
    if (w->kernel) w->result = w->kernel(w->rounds);
    else memcpy(w->to, w->from, w->bytes);
    return NULL;
}

/* Seconds that n copies of work take on n threads, best of three. */
static double peak_time(peak_work *w, int n)
{
    pthread_t thread[256];
    double best = INFINITY, begin;
    int i, k, started;
    for (k = 0; k < 3; k++) {
        begin = aopt_seconds();
        for (i = 1, started = 1; i < n; i++, started++)
            if (pthread_create(&thread[i], NULL, peak_thread, &w[i]) != 0) break;
        peak_thread(&w[0]);
        for (i = 1; i < started; i++) pthread_join(thread[i], NULL);
        best = fmin(best, aopt_seconds() - begin);
    }
    return best;
}

/* Fill j->peak_flops and j->peak_bytes, both per second; returns the first. */
static double judge_peaks(judge *j)
{
    const int n = j->device.threads < 256 ? j->device.threads : 256;
    const size_t bytes = (size_t)64 << 20;
    peak_work *w;
    char *memory;
    double (*kernel)(int64_t) = peak_plain;
    int lanes = 4, i;
    if (j->peak_flops > 0) return j->peak_flops;
#ifdef __x86_64__
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) { kernel = peak_avx2; lanes = 8; }
    if (__builtin_cpu_supports("avx512f")) { kernel = peak_avx512; lanes = 16; }
#endif
    w = (peak_work *)calloc((size_t)n, sizeof *w);
    memory = (char *)malloc(2 * bytes);
    j->peak_flops = j->peak_bytes = 1e9;
    if (w && memory) {
        for (i = 0; i < n; i++) { w[i].kernel = kernel; w[i].rounds = PEAK_ROUNDS; }
        j->peak_flops = 2.0 * lanes * PEAK_CHAINS * (double)PEAK_ROUNDS * n / peak_time(w, n);
        memset(memory, 1, 2 * bytes);
        for (i = 0; i < n; i++) {
            w[i].kernel = NULL;
            w[i].bytes = bytes / (size_t)n;
            w[i].from = (float *)(void *)(memory + (size_t)i * w[i].bytes);
            w[i].to = (float *)(void *)(memory + bytes + (size_t)i * w[i].bytes);
        }
        j->peak_bytes = 2.0 * (double)(w[0].bytes * (size_t)n) / peak_time(w, n);
    }
    free(w);
    free(memory);
    return j->peak_flops;
}

static int profile_order(const void *a, const void *b)
{
    const double x = ((const aopt_profile_item *)a)->seconds, y = ((const aopt_profile_item *)b)->seconds;
    return x > y ? -1 : x < y;
}

static void profile_line(const judge *j, text *t, const char *name, int64_t calls, double s, double wall, double flops, double bytes)
{
    const double least = fmax(flops / j->peak_flops, bytes / j->peak_bytes);
    text_add_escaped(t, name, strcspn(name, "\t\n"));
    text_add(t, "\t%lld\t%.3f\t%.1f\t%.1f\t%.1f\t%.3f\n", (long long)calls, 1e3 * s, 100 * s / wall, s > 0 ? flops / s * 1e-9 : 0, s > 0 ? bytes / s * 1e-9 : 0, 1e3 * least);
}

/* The report is the candidate's word: cut to size and made safe before use.  n decodes of `wall` seconds each. */
static void profile_text(const judge *j, aopt_profile *p, int n, double wall, text *t)
{
    double named = 0;
    int i, k, m = p->n < 0 ? 0 : p->n > AOPT_PROFILE_MAX ? (int)AOPT_PROFILE_MAX : p->n;
    for (i = k = 0; i < m; i++) {
        aopt_profile_item *it = &p->item[i];
        it->name[sizeof it->name - 1] = 0;
        if (!(it->seconds >= 0) || !(it->flops >= 0) || !(it->bytes >= 0) || !isfinite(it->seconds + it->flops + it->bytes)) continue;
        it->seconds /= n; it->flops /= n; it->bytes /= n; it->calls /= n;
        named += it->seconds;
        p->item[k++] = *it;
    }
    qsort(p->item, (size_t)k, sizeof p->item[0], profile_order);
    text_add(t, "item\tcalls\tms\tshare_pct\tgflop_s\tgb_s\tfloor_ms\n");
    for (i = 0; i < k; i++) profile_line(j, t, p->item[i].name, p->item[i].calls, p->item[i].seconds, wall, p->item[i].flops, p->item[i].bytes);
    if (wall > named) profile_line(j, t, k ? "(not named)" : "decode", k ? 0 : 1, wall - named, wall, k ? 0 : j->cost.flops, k ? 0 : j->cost.bytes);
    text_add(t, "# whole decode %.3f ms, %.4g GFLOP, %.1f GFLOP/s; this machine: %.1f GFLOP/s, %.1f GB/s; roofline %.3f ms, %.1fx away\n", 1e3 * wall, j->cost.flops * 1e-9,
             j->cost.flops / wall * 1e-9, j->peak_flops * 1e-9, j->peak_bytes * 1e-9, 1e3 * fmax(j->cost.flops / j->peak_flops, j->cost.bytes / j->peak_bytes),
             wall / fmax(j->cost.flops / j->peak_flops, j->cost.bytes / j->peak_bytes));
}

/* Profile the candidate of job into a->profile.  The attempt keeps its verdict unless the candidate fails. */
static aopt_status judge_profile(const judge_job *job, attempt *a, aopt_error *err)
{
    aopt_status st;
    judge j;
    st = judge_begin(&j, job, a, err);
    if (st == AOPT_OK) st = judge_describe(&j, err);
    if (st == AOPT_OK && judge_build(&j) == 0 && side_launch(&j, 1, j.so[1], RUN_PROFILE, 0) == 0) {
        side *s = &j.side[1];
        aopt_profile *report = (aopt_profile *)(void *)s->report.map, *p = (aopt_profile *)malloc(sizeof *p);
        double t = 0, wall = 0;
        int n = 0, rc;
        text out;
        memset(&out, 0, sizeof out);
        judge_peaks(&j);
        rc = side_decode(&j, s, j.fixed, 1, NULL);
        memset(report, 0, sizeof *report);
        while (rc == 0 && n < 20 && (n == 0 || wall < 1)) {
            rc = side_decode(&j, s, j.fixed, 1, &t);
            wall += t;
            n++;
        }
        if (rc == 0 && p) {
            memcpy(p, report, sizeof *p);
            profile_text(&j, p, n, wall / n, &out);
            free(a->profile);
            a->profile = text_take(&out);
        }
        text_free(&out);
        free(p);
    }
    judge_end(&j);
    return st;
}

/* ==== [9] git: snapshot, keep, restore, log ============================================================= */

/* ==== [10] record: results.tsv, leaderboard, progress.svg, PROGRESS.md ================================== */

/* ==== [11] two machines: pack, measure, record ========================================================== */

/* ==== [12] status, goal, show, sync, audit ============================================================== */

/* ==== [13] agent guards: enlist, hook =================================================================== */

/* ==== [14] the loop, commands, main ===================================================================== */
typedef struct options {
    const char *task, *candidate, *incumbent, *desc, *attack;
    int scope_library, approve, baseline;
    uint64_t seed;
} options;

/* 0, or 2 after having said what is wrong. */
static int options_read(int argc, char **argv, options *o)
{
    int i;
    memset(o, 0, sizeof *o);
    for (i = 1; i < argc; i++) {
        const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(name, "--approve") == 0) { o->approve = 1; continue; }
        if (strcmp(name, "--baseline") == 0) { o->baseline = 1; continue; }
        if (!value) { fprintf(stderr, "harness: %s: unknown, or its value is missing; ./harness help\n", name); return 2; }
        i++;
        if (strcmp(name, "--task") == 0) o->task = value;
        else if (strcmp(name, "--candidate") == 0) o->candidate = value;
        else if (strcmp(name, "--incumbent") == 0) o->incumbent = value;
        else if (strcmp(name, "--desc") == 0) o->desc = value;
        else if (strcmp(name, "--attack") == 0) o->attack = value;
        else if (strcmp(name, "--seed") == 0) o->seed = strtoull(value, NULL, 0);
        else if (strcmp(name, "--scope") == 0 && strcmp(value, "library") == 0) o->scope_library = 1;
#ifdef AUTOOPT_TEST_CLOCK
        else if (strcmp(name, "--test-clock") == 0) {
            if (!test_clock_open(value)) { fprintf(stderr, "harness: %s: cannot be read\n", value); return 2; }
        }
#endif
        else { fprintf(stderr, "harness: unknown option %s %s; ./harness help\n", name, value); return 2; }
    }
    return 0;
}

/* The task that o names, or the first whose files exist and that fits this machine's memory and patience. */
static const task *choose_task(const goals *g, const options *o, aopt_error *err)
{
    judge peaks;
    int i;
    if (o->task) {
        const task *t = goals_task_named(g, o->task);
        if (!t) aopt_fail(err, AOPT_E_ARG, "goals.json has no task \"%s\"", o->task);
        return t;
    }
    memset(&peaks, 0, sizeof peaks);
    peaks.device.threads = cpu_count();
    for (i = 0; i < g->task_n; i++) {
        const double s = judge_task_cost(&g->task[i], judge_peaks(&peaks));
        if (s >= 0 && s < 600) return &g->task[i];
    }
    aopt_fail(err, AOPT_E_MISSING, "no task of goals.json can run here: its files are missing, or it is too large");
    return NULL;
}

/* Snapshot: file (or HEAD's optimize.c if file is NULL) as folder/name/optimize.c. */
static aopt_status snapshot(const char *file, const char *folder, const char *name, char tree[PATH_CAP], aopt_error *err)
{
    const char *argv[6];
    char path[PATH_CAP];
    aopt_status st = AOPT_OK;
    process p;
    text t;
    memset(&t, 0, sizeof t);
    path_set(tree, "%s/%s", folder, name);
    if (mkdir(tree, 0700) != 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", tree, strerror(errno));
    if (file) st = file_read(file, SOURCE_CAP, &t, err);
    else {
        argv[0] = "git"; argv[1] = "cat-file"; argv[2] = "blob"; argv[3] = "HEAD:./optimize.c"; argv[4] = NULL;
        memset(&p, 0, sizeof p);
        p.argv = argv;
        p.timeout_s = 30;
        if (process_run(&p, &t, NULL) != 0) st = aopt_fail(err, AOPT_E_MISSING, "HEAD has no optimize.c to compare with: name one with --incumbent FILE");
    }
    path_set(path, "%s/optimize.c", tree);
    if (st == AOPT_OK) st = file_write(path, t.data ? t.data : "", t.n, 0600, err);
    text_free(&t);
    return st;
}

enum { STAGE_VERIFY, STAGE_BENCH, STAGE_PROFILE };

/* verify, bench and profile: one stage on snapshots, nothing recorded.  An attempt that was not judged says why in err. */
static aopt_status run_stage(int stage, const options *o, const goals *g, const task *t, attempt *a, aopt_error *err)
{
    char folder[PATH_CAP], mine[PATH_CAP], theirs[PATH_CAP], root[PATH_CAP];
    judge_job job;
    aopt_status st;
    memset(&job, 0, sizeof job);
    if (!getcwd(root, sizeof root)) return aopt_fail(err, AOPT_E_IO, "no working directory");
    mkdir("build", 0777);
    path_set(folder, "%s/build/snapshot.XXXXXX", root);
    if (!mkdtemp(folder)) return aopt_fail(err, AOPT_E_IO, "build: cannot make a folder: %s", strerror(errno));
    st = snapshot(o->candidate ? o->candidate : "optimize.c", folder, "b", mine, err);
    job.candidate_dir = mine;
    if (st == AOPT_OK && stage == STAGE_BENCH && !o->baseline) {
        st = snapshot(o->incumbent, folder, "a", theirs, err);
        job.incumbent_dir = theirs;
    }
    job.goals = g; job.task = t; job.desc = o->desc; job.seed = o->seed; job.approve = o->approve; job.scope_library = o->scope_library;
    job.baseline = o->baseline;
    job.verify_only = stage == STAGE_VERIFY;
    if (st == AOPT_OK) st = stage == STAGE_PROFILE ? judge_profile(&job, a, err) : judge_attempt(&job, a, err);
    folder_remove(folder);
    return st;
}

/* Trouble of ours, not of the candidate: usage 2, a frozen file 40, else 125. */
static int trouble(const aopt_error *err)
{
    fprintf(stderr, "harness: %s\n", err->message);
    return err->status == AOPT_E_ARG ? 2 : 125;
}

static int begin_command(int argc, char **argv, options *o, goals *g, const task **t)
{
    attempt a;
    aopt_error err;
    if (options_read(argc, argv, o)) return 2;
    if (goals_load("goals.json", g, &err)) return trouble(&err);
    attempt_init(&a);
    if (frozen_check(g, NULL, &err)) {
        refuse(&a, 40, "restore the file, or commit it and rebuild", "%s", err.message);
        verdict_print(&a);
        return 40;
    }
    *t = choose_task(g, o, &err);
    if (!*t) return trouble(&err);
    fprintf(stderr, "harness: task %s\n", (*t)->name);
    return 0;
}

static int command_stage(int stage, int argc, char **argv)
{
    options o;
    goals g;
    const task *t;
    attempt a;
    aopt_error err;
    int rc = begin_command(argc, argv, &o, &g, &t);
    if (rc) return rc;
    attempt_init(&a);
    if (run_stage(stage, &o, &g, t, &a, &err)) rc = trouble(&err);
    else if (stage == STAGE_PROFILE && a.verdict == V_NONE) fputs(a.profile ? a.profile : "", stdout);
    else {
        if (a.stderr_tail && a.verdict == V_REJECT) fprintf(stderr, "---- the candidate printed ----\n%s\n", a.stderr_tail);
        verdict_print(&a);
        rc = a.code;
    }
    attempt_free(&a);
    return rc;
}

static int command_make_reference(int argc, char **argv)
{
    options o;
    goals g;
    const task *t;
    attempt a;
    judge_job job;
    judge j;
    aopt_error err;
    int rc = begin_command(argc, argv, &o, &g, &t);
    if (rc) return rc;
    attempt_init(&a);
    memset(&job, 0, sizeof job);
    job.goals = &g;
    job.task = t;
    if (judge_begin(&j, &job, &a, &err) || judge_load_reference(&j, 7200, &err)) rc = trouble(&err);
    else printf("reference of task %s: sha256 %s\n", t->name, a.reference);
    judge_end(&j);
    attempt_free(&a);
    return rc;
}

/* Does the arithmetic of the gate still tell NaN, infinities and small differences apart in this binary? */
static int selftest_arithmetic(void)
{
    volatile double zero = 0, one = 1;
    const double nan = zero / zero, tiny = 4.9406564584124654e-324;
    aopt_metric m;
    gate_limit g;
    volatile double half = tiny;
    memset(&m, 0, sizeof m);
    memset(&g, 0, sizeof g);
    strcpy(m.name, "m"); strcpy(g.metric, "m");
    g.sense = 1;
    m.value = nan;
    return !gate_passes(&g, &m, 0) && !gate_passes(&g, NULL, 0) && half > 0 && one + 1.1102230246251565e-16 == one && one + 2.220446049250313e-16 > one;
}

/* One bench of the incumbent against itself, one side slowed by `delay`; 1 if the verdict is `want`. */
static int selftest_bench(judge *j, double floor, double delay_a, double delay_b, verdict_id want, const char *name)
{
    race r;
    bench b;
    int v;
    race_init(&r, j, j->so[1], j->so[1]);
    r.delay[0] = delay_a;
    r.delay[1] = delay_b;
    bench_init(&b, &r, j->job->goals->min_gain_pct, j->job->goals->floor_factor, floor);
    v = bench_decide(&b);
    printf("%s %s: %s, median %+.2f %% of %d pairs (least that counts %.2f %%)\n", v == (int)want ? "ok" : "FAIL", name,
           v == BENCH_FAILED ? j->a->why : verdict_name((verdict_id)v), 100 * (1 - exp(-aopt_median(b.d, b.n))), b.n, 100 * (1 - exp(-b.delta)));
    return v == (int)want;
}

/* The instrument proves itself: arithmetic, no bias, a known loss reads SLOWER, a known gain KEEP. */
static int command_selftest(int argc, char **argv)
{
    options o;
    goals g;
    const task *t;
    attempt a;
    judge_job job;
    judge j;
    aopt_error err;
    char root[PATH_CAP];
    double floor = 0, step;
    int rc = begin_command(argc, argv, &o, &g, &t), bad = 0;
    if (rc) return rc;
    attempt_init(&a);
    memset(&job, 0, sizeof job);
    job.goals = &g; job.task = t; job.seed = o.seed;
    job.candidate_dir = getcwd(root, sizeof root);
    if (judge_begin(&j, &job, &a, &err)) rc = trouble(&err);
    else if (judge_build(&j) == 0) {
        memcpy(j.so[0], j.so[1], sizeof j.so[0]);
        bad += !selftest_arithmetic();
        printf("%s arithmetic\n", bad ? "FAIL" : "ok");
        if (floor_measure(&j, &floor)) { printf("FAIL floor: %s\n", a.why); bad++; }
        else {
            printf("ok floor: %.3f %%, the incumbent against itself\n", 100 * floor);
            step = fmax(0.03, 3 * fmax(log(1 + g.min_gain_pct / 100), g.floor_factor * floor));
            bad += !selftest_bench(&j, floor, 0, 0, V_NOISE, "same against same");
            bad += !selftest_bench(&j, floor, 0, step, V_SLOWER, "known slower");
            bad += !selftest_bench(&j, floor, step, 0, V_KEEP, "known faster");
        }
        rc = bad ? 125 : 0;
    } else { printf("FAIL build: %s\n", a.why); rc = 125; }
    judge_end(&j);
    attempt_free(&a);
    return rc;
}

static int command_help(void)
{
    int i;
    printf("./harness --desc \"what I tried\" [--attack ITEM] [--task NAME]     the loop, once\n"
           "./harness verify | bench | profile [--task NAME] [--candidate FILE] [--incumbent FILE]     one stage, nothing recorded\n"
           "./harness make-reference [--task NAME]     the fp32 truth of a task\n"
           "./harness selftest [--task NAME]           the instrument proves itself\n");
    for (i = 0; i < target.command_n; i++) printf("./harness %s\n", target.command[i].usage);
    return 0;
}

#ifndef HARNESS_NO_MAIN
int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "help";
    int i;
    if (strcmp(word, "--runner") == 0) return runner_main(argc, argv);
    if (strcmp(word, "verify") == 0) return command_stage(STAGE_VERIFY, argc - 1, argv + 1);
    if (strcmp(word, "bench") == 0) return command_stage(STAGE_BENCH, argc - 1, argv + 1);
    if (strcmp(word, "profile") == 0) return command_stage(STAGE_PROFILE, argc - 1, argv + 1);
    if (strcmp(word, "make-reference") == 0) return command_make_reference(argc - 1, argv + 1);
    if (strcmp(word, "selftest") == 0) return command_selftest(argc - 1, argv + 1);
    if (strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) return command_help();
    for (i = 0; i < target.command_n; i++)
        if (strcmp(word, target.command[i].name) == 0) return target.command[i].run(argc - 1, argv + 1);
    fprintf(stderr, "harness: unknown command %s; ./harness help\n", word);
    return 2;
}
#endif
