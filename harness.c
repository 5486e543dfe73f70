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
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#ifdef __x86_64__
#include <immintrin.h>
#endif
#ifdef AUTOOPT_CUDA
#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <cxxabi.h>
#endif

/* ==== [1] frozen numbers and goals.json =================================================================
   Numbers that a target may choose are in goals.json; these belong to the procedure. */
enum {
    SCREEN_PAIRS = 3,               /* and as many again if the first three leave hope */
    CONFIRM_PAIRS = 5,              /* per fresh launch, two launches */
    EXTEND_PAIRS = 4,               /* per fresh launch, two more launches, for a near miss */
    FLOOR_LAUNCHES = 5, FLOOR_PAIRS = 2,    /* incumbent against itself: launches differ more than the pairs of one */
    FLOOR_USES = 20,                /* measurements after which the floor is measured anew */
    MAX_PAIRS = 18,
    MAX_DECODES = 100,             /* per sample */
    FRESH_CALLS = 6,                /* of a verification, on inputs that nobody has seen */
    ONE_CALLS = 3,                  /* of a verification, each with one element changed */
    ORACLE_PREFIX = 3,              /* input slices that a fresh check against the reference decodes */
    GUARD_BYTES = 4096,
    LATE_MS = 20, LATE_LOOKS = 50,
    INFRA_TRIES = 2, INFRA_WAIT_MS = 500,       /* for what is our own fault: no process, no memory */
    CRASHES = 3,                    /* of one source, recorded here: it is not run again */
    LOG_CAP = 64 * 1024,            /* bytes kept of what a candidate prints */
    SO_CAP = 16 << 20,              /* a shared object larger than this carries data, not code */
    SOURCE_CAP = 1 << 20,
    MAX_TASKS = 16, MAX_FROZEN = 64
};
static const double BIG_WIN = 0.05;         /* log-ratio from which a short confirmation is enough */
static const double INIT_FACTOR = 1.5, INIT_SLACK_S = 1;  /* how much longer than the incumbent a candidate to be kept may prepare */

typedef struct gate_limit { char metric[40]; double limit, fresh; int sense; } gate_limit;
typedef struct limits { double build_s, init_s, first_decode_s, decode_s, memory_mb, gate_all_tasks_s; } limits;
typedef struct task {
    char name[48], checkpoint[256], input[256];     /* name ends in "-random" when checkpoint is the stand-in */
    aopt_shape shape;
    limits limit;
} task;
typedef struct goals {
    char target[64];
    struct task task[MAX_TASKS]; int task_n;
    gate_limit gate[AOPT_MAX_METRICS]; int gate_n;
    gate_limit determinism, causality;
    double min_gain_pct, floor_factor, sample_s_cpu, sample_s_gpu, max_steal_pct;
    double plausible;                   /* of the time that the reference's FLOPs take at peak speed: whoever needs less waits for a person */
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

static text text_none(void)
{
    text t;
    memset(&t, 0, sizeof t);
    return t;
}

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
    text tmp = text_none();
    const char *p = (const char *)data;
    size_t left = n;
    int fd, bad;
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

/* The child: descriptors into place, then the program.  If that fails, errno goes to `start`. */
static void process_exec(const process *p, int in, int out, int errs, int start)
{
    int exec_errno;
    setpgid(0, 0);
    signal(SIGPIPE, SIG_DFL);
    if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(errs, 2) < 0 || (p->cwd && chdir(p->cwd) != 0)) _exit(127);
    if (p->env) environ = (char **)(uintptr_t)p->env;
    if (p->in_child) p->in_child(p->user);
    execvp(p->argv[0], (char *const *)(uintptr_t)p->argv);
    exec_errno = errno;
    if (write(start, &exec_errno, sizeof exec_errno) < 0) _exit(126);
    _exit(127);
}

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

    signal(SIGPIPE, SIG_IGN);                   /* a program may end before it has read its input */
    if (pipe2(in, O_CLOEXEC) || pipe2(o, O_CLOEXEC) || pipe2(e, O_CLOEXEC) || pipe2(start, O_CLOEXEC)) return PROCESS_NOT_STARTED;
    pid = fork();
    if (pid == 0) process_exec(p, in[0], o[1], e[1], start[1]);
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

/* Up to four words, run to the end in our environment; out may be NULL. */
static int process_words(const char *a, const char *b, const char *c, const char *d, text *out)
{
    const char *argv[5];
    process p;
    argv[0] = a; argv[1] = b; argv[2] = c; argv[3] = d; argv[4] = NULL;
    memset(&p, 0, sizeof p);
    p.argv = argv;
    p.timeout_s = 60;
    return process_run(&p, out, NULL);
}

/* The rest of a folder that this program made, then the folder. */
static void folder_remove(const char *path) { process_words("rm", "-rf", "--", path, NULL); }

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

/* A task whose checkpoint is absent takes its "stand_in" if that is there, and a name that says so in every row. */
#define STAND_IN "-random"
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
    if (access(t->checkpoint, F_OK) != 0 && aopt_json_get(v, "stand_in")) {
        char stand_in[sizeof t->checkpoint];
        if (goals_text(v, "stand_in", stand_in, sizeof stand_in, err)) return AOPT_E_VALUE;
        if (access(stand_in, F_OK) == 0 && strlen(t->name) + strlen(STAND_IN) < sizeof t->name) {
            memcpy(t->checkpoint, stand_in, sizeof stand_in);
            strcat(t->name, STAND_IN);
        }
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
    g->plausible = 0.4;                         /* leaves room for 2-D Winograd (2.25x) */
    g->stop_nibble_pct = 1.5;
    if (goals_number(keep, "min_gain_pct", &g->min_gain_pct, err) || goals_number(keep, "floor_factor", &g->floor_factor, err) ||
        goals_number(keep, "sample_s_cpu", &g->sample_s_cpu, err) || goals_number(keep, "sample_s_gpu", &g->sample_s_gpu, err) ||
        goals_number(keep, "max_steal_pct", &g->max_steal_pct, err) || goals_number(keep, "plausible", &g->plausible, err) ||
        goals_number(stop, "attempts_without_keep", &attempts, err) ||
        goals_number(stop, "top_items", &top, err) || goals_number(stop, "nibbles", &nibbles, err) ||
        goals_number(stop, "nibble_pct", &g->stop_nibble_pct, err) || goals_number(stop, "hours", &g->stop_hours, err))
        return AOPT_E_VALUE;
    if (!(g->plausible > 0 && g->plausible <= 1)) return aopt_fail(err, AOPT_E_VALUE, "goals.json: \"plausible\" is %g, expected more than 0, at most 1", g->plausible);
    g->stop_attempts = (int)attempts; g->stop_top_items = (int)top; g->stop_nibbles = (int)nibbles;
    return AOPT_OK;
}

static aopt_status goals_load(const char *path, goals *g, aopt_error *err)
{
    aopt_json *doc = NULL;
    aopt_status st;
    text t = text_none();
    memset(g, 0, sizeof *g);
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

/* With or without the word that stands for stand-in weights. */
static const task *goals_task_named(const goals *g, const char *name)
{
    int i;
    for (i = 0; i < g->task_n; i++) {
        const size_t n = strlen(name);
        if (strncmp(g->task[i].name, name, n) == 0 && (g->task[i].name[n] == 0 || strcmp(g->task[i].name + n, STAND_IN) == 0)) return &g->task[i];
    }
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
        if (!baked && lstat(path, &st) != 0 && errno == ENOENT) continue;       /* absent then and now */
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

/* ---- the device: what it is, how much memory it has ---- */
static int cpu_count(void)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    return sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
}

#ifdef AUTOOPT_CUDA
/* The first device that CUDA_VISIBLE_DEVICES leaves; its facts are 0 and "" if there is none. */
static const struct cudaDeviceProp *device_facts(void)
{
    static struct cudaDeviceProp facts;
    static int asked;
    if (!asked++ && cudaGetDeviceProperties(&facts, 0) != cudaSuccess) {
        memset(&facts, 0, sizeof facts);
        cudaGetLastError();
    }
    return &facts;
}

/* "GPU-5a5d1f3e-..." */
static const char *device_uuid(void)
{
    static char text_of[48];
    const unsigned char *b = (const unsigned char *)device_facts()->uuid.bytes;
    int i, n = 4;
    memcpy(text_of, "GPU-", 5);
    for (i = 0; i < 16; i++) n += snprintf(text_of + n, sizeof text_of - (size_t)n, "%02x%s", b[i], i == 3 || i == 5 || i == 7 || i == 9 ? "-" : "");
    return text_of;
}

static void device_name(char *out, size_t out_bytes) { snprintf(out, out_bytes, "%.60s", device_facts()->name); }

static double memory_total(void) { return (double)device_facts()->totalGlobalMem; }

static double memory_free(void)
{
    size_t left = 0, all = 0;
    cudaMemGetInfo(&left, &all);
    return (double)left;
}

static aopt_status device_check(cudaError_t e, const char *what, aopt_error *err)
{
    return e == cudaSuccess ? AOPT_OK : aopt_fail(err, e == cudaErrorMemoryAllocation ? AOPT_E_MEMORY : AOPT_E_CUDA, "%s: %s (%s)", what, cudaGetErrorName(e), cudaGetErrorString(e));
}

#else
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

static double memory_total(void) { return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE); }

/* Memory that this machine can still give, in bytes. */
static double memory_free(void)
{
    char line[256];
    double kb = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f && fgets(line, (int)sizeof line, f))
        if (strncmp(line, "MemAvailable:", 13) == 0) kb = strtod(line + 13, NULL);
    if (f) fclose(f);
    return kb > 0 ? kb * 1024 : memory_total();
}

#endif

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
    text t = text_none();
    if (!value || e->n >= 31) return;
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
   0, 10 (does not build), 11 (takes too long) or 125 (our fault); the compiler's words are appended to log. */
static int build_candidate(const char *tree, const char *so, const char *tmp, double timeout_s, text *log)
{
    const char *argv[5];
    char root[PATH_CAP], path[PATH_CAP];
    confinement c;
    environment e;
    process p;
    text source = text_none();
    aopt_error err;
    struct stat st;
#ifdef AUTOOPT_CUDA
    char arch[16];
#endif
    int rc, i;
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
    environment_pass(&e, "PATH"); environment_pass(&e, "CC"); environment_pass(&e, "NVCC"); environment_pass(&e, "CUDA_HOME"); 
#ifdef AUTOOPT_CUDA
    snprintf(arch, sizeof arch, "%d%d", device_facts()->major, device_facts()->minor);
    environment_add(&e, "ARCH", getenv("ARCH") ? getenv("ARCH") : arch);
#endif
    environment_add(&e, "HOME", tmp); environment_add(&e, "TMPDIR", tmp); environment_add(&e, "LC_ALL", "C"); environment_add(&e, "KIND", HARNESS_KIND);
    memset(&p, 0, sizeof p);
    argv[0] = "./build.sh"; argv[1] = "candidate"; argv[2] = tree; argv[3] = so; argv[4] = NULL;
    p.argv = argv;
    p.env = (const char *const *)e.entry;
    p.timeout_s = timeout_s;
    p.out_cap = 1 << 20;
    p.in_child = confine_child;
    p.user = &c;
    rc = PROCESS_NOT_STARTED;
    for (i = 0; i < INFRA_TRIES && rc == PROCESS_NOT_STARTED; i++) {
        if (i) sleep_ms(INFRA_WAIT_MS);
        rc = process_run(&p, log, NULL);
    }
    environment_free(&e);
    if (rc == PROCESS_NOT_STARTED) { text_add(log, "error: build.sh cannot be started\n"); return 125; }
    if (rc == PROCESS_TIMEOUT) return 11;
    if (rc == 0 && (stat(so, &st) != 0 || st.st_size > SO_CAP)) {
        text_add(log, "error: the shared object is missing or larger than %d MiB: code belongs in it, not data\n", SO_CAP >> 20);
        return 10;
    }
    return rc == 0 ? 0 : 10;
}

/* With --scope library, the frozen half of autoopt_kernels.cuh (all above the line that holds KERNELS_MARK) must be the
   repository's.  AOPT_E_VALUE if not. */
#define KERNELS_MARK "end of the judge's half"
static aopt_status build_check_kernels(const char *tree, const char *incumbent, aopt_error *err)
{
    char path[PATH_CAP], base[PATH_CAP];
    text ours = text_none(), theirs = text_none();
    const char *a, *b;
    aopt_status st;
    path_set(path, "%s/autoopt_kernels.cuh", tree);
    if (access(path, F_OK) != 0) return AOPT_OK;
    path_set(base, "%s/autoopt_kernels.cuh", incumbent ? incumbent : ".");
    st = file_read(base, 16 << 20, &ours, err);
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
   `harness --runner SO CHECKPOINT THREADS FLAGS DELAY TMP DIM...` with five descriptors: commands in, replies out, and shared
   memory for input (read-only here), output (guards on both sides) and report; on a GPU the handles of input and output.  It believes nothing and decides nothing. */
enum { FD_COMMAND = 3, FD_REPLY = 4, FD_INPUT = 5, FD_OUTPUT = 6, FD_REPORT = 7, FD_N = 8 };
enum { OP_READY = 1, OP_BUILD, OP_DECODE, OP_PING, OP_QUIT, OP_FAULT };
enum { RUN_PROFILE = 1 };
#define PROFILE_BUSY "(busy)"            /* items that are no kernels: the union of all kernels' times, and the time of the calls */
#define PROFILE_WALL "(wall)"
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
#ifdef AUTOOPT_CUDA
    confine_write(&c, "/proc/self/task");       /* the driver names its threads there, and does not start if it cannot */
#endif
    runner_rlimit(RLIMIT_CORE, 0);
    runner_rlimit(RLIMIT_FSIZE, (rlim_t)256 << 20);
    runner_rlimit(RLIMIT_NPROC, 16384);
    return confine(&c);
}

typedef aopt_status (*build_decoder_fn)(const aopt_model *, const aopt_shape *, const aopt_device *, aopt_decoder *, aopt_error *);
/* so = FROZEN or USUAL: the frozen decoder, opened and called like a candidate. */
#define FROZEN "-"
#define USUAL "--"
static aopt_status runner_build(const char *so, const aopt_model *model, const aopt_shape *shape, const aopt_device *device,
                                aopt_decoder *out, aopt_error *err)
{
    build_decoder_fn build = strcmp(so, FROZEN) == 0 ? target.build_reference : target.build_usual;
    memset(out, 0, sizeof *out);
    if (strcmp(so, FROZEN) != 0 && strcmp(so, USUAL) != 0) {
        void *handle = dlopen(so, RTLD_NOW | RTLD_LOCAL), *symbol = handle ? dlsym(handle, "build_decoder") : NULL;
        if (!symbol) return aopt_fail(err, AOPT_E_IO, "%s", dlerror());
        memcpy(&build, &symbol, sizeof build);
    }
    if (build(model, shape, device, out, err)) return err->status ? err->status : AOPT_E_INTERNAL;
    if (!out->decode || !out->close) return aopt_fail(err, AOPT_E_VALUE, "build_decoder left decode or close NULL");
    return AOPT_OK;
}

#ifdef AUTOOPT_CUDA
/* All streams of the process's context. */
static aopt_status device_synchronize(aopt_error *err) { return device_check(cudaDeviceSynchronize(), "device", err); }

/* The judge's buffer behind a descriptor that holds its handle. */
static aopt_status device_import(int fd, void **out, aopt_error *err)
{
    cudaIpcMemHandle_t handle;
    if (pread(fd, &handle, sizeof handle, 0) != (ssize_t)sizeof handle) return aopt_fail(err, AOPT_E_IO, "no handle of a device buffer");
    return device_check(cudaIpcOpenMemHandle(out, handle, cudaIpcMemLazyEnablePeerAccess), "device buffer", err);
}

/* ---- kernels as CUPTI sees them, whoever launches them ----
   CUPTI comes by dlopen.  Its records begin alike in every version since CUDA 8: kind at byte 0, start and end (ns) at 16 and 24, the name
   of a kernel at 104. */
enum { CUPTI_MEMCPY = 1, CUPTI_MEMSET = 2, CUPTI_KERNEL = 10, CUPTI_BUFFER = 8 << 20 };
typedef struct span { uint64_t start, end; } span;
static struct {
    int on;
    int (*flush)(uint32_t), (*now)(uint64_t *), (*next)(uint8_t *, size_t, void **);
    aopt_profile *report;
    span *span; size_t n, cap;          /* of what ran since the last collection */
    uint64_t wall, begin;               /* ns inside decode since then */
} cupti;

static void cupti_request(uint8_t **buffer, size_t *bytes, size_t *records)
{
    void *p = NULL;
    *bytes = posix_memalign(&p, 8, CUPTI_BUFFER) == 0 ? CUPTI_BUFFER : 0;
    *buffer = (uint8_t *)p;
    *records = 0;
}

/* Where the parameter list of a demangled kernel begins: item names are short, and template arguments tell the variants apart. */
static size_t cupti_parameters(const char *plain)
{
    int depth = 0;
    size_t i;
    for (i = 0; plain[i]; i++) {
        if (plain[i] == '(' && depth == 0 && strncmp(plain + i, "(anonymous", 10) != 0) break;
        depth += (plain[i] == '<') - (plain[i] == '>');
    }
    return i;
}

static void cupti_add(uint32_t kind, const char *mangled, uint64_t start, uint64_t end)
{
    char *plain = NULL, name[64];
    int status = 0;
    if (cupti.n == cupti.cap) {
        const size_t cap = cupti.cap ? 2 * cupti.cap : 4096;
        span *p = (span *)realloc(cupti.span, cap * sizeof *p);
        if (!p) return;
        cupti.span = p;
        cupti.cap = cap;
    }
    cupti.span[cupti.n].start = start;
    cupti.span[cupti.n++].end = end;
    if (kind == CUPTI_KERNEL) plain = abi::__cxa_demangle(mangled, NULL, NULL, &status);
    if (plain) plain[cupti_parameters(plain)] = 0;
    snprintf(name, sizeof name, "%.63s", kind == CUPTI_MEMCPY ? "copy" : kind == CUPTI_MEMSET ? "memset" : plain ? strncmp(plain, "void ", 5) == 0 ? plain + 5 : plain : mangled);
    free(plain);
    aopt_profile_add(cupti.report, name, 1e-9 * (double)(end - start), 0, 0);
}

static void cupti_complete(void *context, uint32_t stream, uint8_t *buffer, size_t bytes, size_t valid)
{
    void *record = NULL;
    (void)context; (void)stream; (void)bytes;
    while (valid > 0 && cupti.next(buffer, valid, &record) == 0) {
        const char *r = (const char *)record, *name = NULL;
        uint32_t kind;
        uint64_t start, end;
        memcpy(&kind, r, sizeof kind);
        if (kind != CUPTI_KERNEL && kind != CUPTI_MEMCPY && kind != CUPTI_MEMSET) continue;
        memcpy(&start, r + 16, sizeof start);
        memcpy(&end, r + 24, sizeof end);
        if (kind == CUPTI_KERNEL) memcpy(&name, r + 104, sizeof name);
        if (end >= start) cupti_add(kind, name ? name : "?", start, end);
    }
    free(buffer);
}

/* Before the context exists.  0 = there is no CUPTI here. */
static int cupti_open(aopt_profile *report)
{
    static const char *const file[] = { "libcupti.so", "libcupti.so.13", "libcupti.so.12", "/usr/local/cuda/lib64/libcupti.so", "/usr/local/cuda/extras/CUPTI/lib64/libcupti.so" };
    int (*callbacks)(void (*)(uint8_t **, size_t *, size_t *), void (*)(void *, uint32_t, uint8_t *, size_t, size_t)), (*enable)(int);
    void *handle = NULL;
    size_t i;
    for (i = 0; i < sizeof file / sizeof file[0] && !handle; i++) handle = dlopen(file[i], RTLD_NOW | RTLD_LOCAL);
    if (!handle || !report) return 0;
    *(void **)&callbacks = dlsym(handle, "cuptiActivityRegisterCallbacks");
    *(void **)&enable = dlsym(handle, "cuptiActivityEnable");
    *(void **)&cupti.flush = dlsym(handle, "cuptiActivityFlushAll");
    *(void **)&cupti.now = dlsym(handle, "cuptiGetTimestamp");
    *(void **)&cupti.next = dlsym(handle, "cuptiActivityGetNextRecord");
    cupti.report = report;
    cupti.on = callbacks && enable && cupti.flush && cupti.now && cupti.next && callbacks(cupti_request, cupti_complete) == 0 && enable(CUPTI_KERNEL) == 0 &&
               enable(CUPTI_MEMCPY) == 0 && enable(CUPTI_MEMSET) == 0;
    return cupti.on;
}

static int span_order(const void *a, const void *b)
{
    const uint64_t x = ((const span *)a)->start, y = ((const span *)b)->start;
    return x < y ? -1 : x > y;
}

/* What ran since the last call, into the report: the kernels, the union of their times (PROFILE_BUSY) and the time of the calls (PROFILE_WALL). */
static void cupti_collect(void)
{
    uint64_t busy = 0, until = 0;
    size_t i;
    if (!cupti.on) return;
    cupti.flush(1);
    qsort(cupti.span, cupti.n, sizeof *cupti.span, span_order);
    for (i = 0; i < cupti.n; i++) {
        const uint64_t from = cupti.span[i].start > until ? cupti.span[i].start : until;
        if (cupti.span[i].end > from) { busy += cupti.span[i].end - from; until = cupti.span[i].end; }
    }
    aopt_profile_add(cupti.report, PROFILE_BUSY, 1e-9 * (double)busy, 0, 0);
    aopt_profile_add(cupti.report, PROFILE_WALL, 1e-9 * (double)cupti.wall, 0, 0);
    cupti.n = 0;
    cupti.wall = 0;
}

static void cupti_mark(int end)
{
    uint64_t t = 0;
    if (!cupti.on || cupti.now(&t) != 0) return;
    if (end) cupti.wall += t - cupti.begin;
    else cupti.begin = t;
}

/* Device and buffers of the judge.  With a profile, the candidate need not help, if CUPTI is here. */
static aopt_status runner_device(aopt_device *device, aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    unsigned char *p = NULL;
    aopt_status st;
    device->cuda = 0;                   /* the only one that this process can see */
    if (device->profile && cupti_open(device->profile)) device->profile = NULL;
    st = device_check(cudaSetDevice(0), "device", err);
    cudaDeviceSetLimit(cudaLimitPersistingL2CacheSize, 0);
    cudaGetLastError();                 /* a device without that limit is fine */
    if (!st) st = device_import(FD_INPUT, &input->data, err);
    if (!st) st = device_import(FD_OUTPUT, (void **)&p, err);
    output->data = p + GUARD_BYTES;
    input->device = output->device = 0;
    return st;
}
#else
static aopt_status device_synchronize(aopt_error *err) { (void)err; return AOPT_OK; }       /* a CPU decoder has returned when it is done */
static void cupti_collect(void) { }
static void cupti_mark(int end) { (void)end; }

/* The judge's buffers, which are shared memory. */
static aopt_status runner_device(aopt_device *device, aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    device->cuda = AOPT_HOST;
    runner_map.input_n = (size_t)aopt_tensor_numel(input) * sizeof(float);
    runner_map.output_n = (size_t)aopt_tensor_numel(output) * sizeof(float);
    runner_map.input = (unsigned char *)mmap(NULL, runner_map.input_n, PROT_READ, MAP_SHARED, FD_INPUT, 0);
    runner_map.output = (unsigned char *)mmap(NULL, runner_map.output_n + 2 * GUARD_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, FD_OUTPUT, 0);
    if ((void *)runner_map.input == MAP_FAILED || (void *)runner_map.output == MAP_FAILED) return aopt_fail(err, AOPT_E_MEMORY, "cannot map the judge's buffers");
    runner_map.output += GUARD_BYTES;
    input->data = runner_map.input;
    output->data = runner_map.output;
    return AOPT_OK;
}
#endif

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
            if (st == AOPT_OK) st = device_synchronize(&err);
            if (st == AOPT_OK) snprintf(r.text, sizeof r.text, "%.199s", decoder.info);
            else runner_error(&r, &err, st);
        } else if (c.op == OP_DECODE) {
            cupti_mark(0);
            st = decoder.decode(decoder.ctx, input, output, &err);
            if (st == AOPT_OK) st = device_synchronize(&err);
            cupti_mark(1);
            runner_delay(begin, delay);
            if (st != AOPT_OK) runner_error(&r, &err, st);
        } else if (c.op == OP_PING) cupti_collect();
        else if (c.op == OP_QUIT && decoder.close) decoder.close(decoder.ctx);
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
    device.threads = atoi(argv[4]);
    device.profile = atoi(argv[5]) & RUN_PROFILE && report != MAP_FAILED ? (aopt_profile *)report : NULL;
    if (target.open(argv[3], &model, &err) || target.tensors(&model, &shape, &input, &output, &err)) {
        runner_error(&r, &err, err.status);
        runner_say(&r, OP_READY, 0);
        return 98;
    }
    runner_signals();
    r.sandbox = runner_confine(argv[2], argv[7]);
    if (runner_device(&device, &input, &output, &err)) runner_error(&r, &err, err.status);
    runner_say(&r, OP_READY, 0);
    if (r.status) return 99;
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
    int allow_init;                     /* 1: a person accepts a longer preparation */
    const char *desc;
    uint64_t seed;                      /* 0 = from the system */
} judge_job;

enum { SEEN_MAX = 64, BUILD_CODE = 10 };
typedef struct region { int fd, on_device; size_t bytes; unsigned char *map; } region;
typedef struct side {
    const char *role;                   /* "incumbent" or "candidate" */
    pid_t pid;
    int command, reply, log, stopped;
    region input, output, report;       /* output: guard, tensor, guard */
    uint64_t guard;                     /* seed of the guards: this before, the next number after */
    uint32_t call, poison;              /* poison: payload of this call */
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
    float *fixed, *fresh;               /* the fixed input and the one in use, in host memory; all outputs are where the device is */
    float *reference;                   /* the truth for the fixed input */
    float *first, *work;                /* an output of the candidate, an output of the reference */
    float *staged;                      /* GPU: the input in use, on the device */
    uint64_t *look;                     /* GPU: two words that a look leaves there */
    aopt_error trouble;                 /* status 0 = none */
    struct side side[2];                     /* 0 = incumbent, 1 = candidate */
    uint64_t seed, drawn;
    double peak_flops, peak_bytes;      /* of this machine, per second; 0 = not measured yet */
    double init_s[2];                   /* shortest build_decoder of each side */
    double oracle_s;                    /* spent on fresh references */
#ifdef AUTOOPT_CUDA
    cublasHandle_t heat_blas;
    uint16_t *heat;                     /* [3][HEAT_N][HEAT_N] fp16, from the first judge_heat on */
#endif
    int implausible, slow_init;         /* 1: to be kept, it needs a person's word: --approve, --allow-init */
    text samples, gate;
    int launches;
} judge;

/* Every way in which a run can end badly: its code, its name, what to do next. */
static const struct { int code; const char *name, *next; } failure[] = {
    { 10, "BUILD", "fix what the compiler says; ./harness verify tells when it compiles" },
    { 11, "BUILD_TIMEOUT", "make optimize.c compile faster" },
    { 20, "QUALITY", "the output is wrong or too coarse: restore the accuracy of the part you changed, check with ./harness verify" },
    { 21, "NONFINITE", "find the overflow or division by zero; ./harness verify repeats the check" },
    { 22, "UNWRITTEN", "write every element of the output on every call" },
    { 23, "INPUT_MUTATED", "treat the input as read-only: copy it first if you need scratch" },
    { 24, "OUT_OF_BOUNDS", "check the tails of your loops and tiles against the shape" },
    { 25, "NONDETERMINISTIC", "equal inputs must give equal outputs: look for a data race or uninitialised scratch" },
    { 26, "LATE_WRITE", "finish all work before decode returns: join threads, synchronise streams" },
    { 27, "STALE", "compute each call from its own input; never reuse an earlier result" },
    { 28, "IMPLAUSIBLE", "faster than this machine can compute: a person must look at it, then repeat with --approve, or set keep.plausible in goals.json" },
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
    r->on_device = 0;
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

#ifdef AUTOOPT_CUDA
/* Memory of the device in blocks of its own: whoever gets a handle gets the whole block. */
enum { DEVICE_BLOCK = 2 << 20 };
static void *buffer_new(size_t bytes)
{
    void *p = NULL;
    int i;
    for (i = 0; i < INFRA_TRIES; i++) {
        if (i) sleep_ms(INFRA_WAIT_MS);
        if (cudaMalloc(&p, (bytes + DEVICE_BLOCK - 1) / DEVICE_BLOCK * DEVICE_BLOCK) == cudaSuccess) return p;
        cudaGetLastError();
    }
    return NULL;
}

static void buffer_free(void *p) { cudaFree(p); }

static aopt_status buffer_copy(void *to, const void *from, size_t bytes, aopt_error *err)
{
    aopt_status st = device_check(cudaMemcpy(to, from, bytes, cudaMemcpyDefault), "copy", err);
    return st ? st : device_check(cudaDeviceSynchronize(), "copy", err);
}

/* A buffer of the device that a runner may open: the descriptor holds its handle. */
static aopt_status region_open_device(region *r, size_t bytes, aopt_error *err)
{
    cudaIpcMemHandle_t handle;
    unsigned char *p;
    aopt_status st = region_open(r, sizeof handle, 0, err);
    if (st) return st;
    p = (unsigned char *)buffer_new(bytes);
    if (!p) return aopt_fail(err, AOPT_E_MEMORY, "no device memory of %zu bytes", bytes);
    st = device_check(cudaIpcGetMemHandle(&handle, p), "handle", err);
    memcpy(r->map, &handle, sizeof handle);
    munmap(r->map, r->bytes);
    r->map = p;
    r->bytes = bytes;
    r->on_device = 1;
    return st;
}
#else
static void *buffer_new(size_t bytes)
{
    void *p = malloc(bytes);
    if (!p) sleep_ms(INFRA_WAIT_MS);
    return p ? p : malloc(bytes);
}

static void buffer_free(void *p) { free(p); }

static aopt_status buffer_copy(void *to, const void *from, size_t bytes, aopt_error *err)
{
    (void)err;
    memcpy(to, from, bytes);
    return AOPT_OK;
}
#endif

static void region_close(region *r)
{
    if (r->map && r->on_device) buffer_free(r->map);
    else if (r->map) munmap(r->map, r->bytes);
    r->on_device = 0;
    if (r->fd >= 0) close(r->fd);
    r->fd = -1;
    r->map = NULL;
}

static float *side_output(const side *s) { return (float *)(void *)(s->output.map + GUARD_BYTES); }
static uint32_t *side_guard(const side *s, int after) { return (uint32_t *)(void *)(s->output.map + (after ? s->output.bytes - GUARD_BYTES : 0)); }

/* ---- looks at a buffer where it is.  What fails here is the judge's own work: j->trouble, which side_decode reports ---- */
#ifdef AUTOOPT_CUDA
static void look_end(judge *j, aopt_status st, uint64_t r[2])
{
    r[0] = r[1] = 0;
    if (!st) device_check(cudaMemcpy(r, j->look, 2 * sizeof *r, cudaMemcpyDeviceToHost), "look at a buffer", &j->trouble);
}

static void look_poison(judge *j, side *s)
{
    int i;
    aopt_status st = aopt_cuda_poison(side_output(s), aopt_tensor_numel(&j->output), s->poison, NULL, &j->trouble);
    for (i = 0; i < 2 && !st; i++) st = aopt_cuda_guard_fill(side_guard(s, i), GUARD_BYTES / 4, s->guard + (uint64_t)i, NULL, &j->trouble);
    if (!st) device_check(cudaDeviceSynchronize(), "poison", &j->trouble);
}

static int look_guard(judge *j, side *s, int after)
{
    uint64_t r[2];
    look_end(j, aopt_cuda_guard_check(side_guard(s, after), GUARD_BYTES / 4, s->guard + (uint64_t)after, j->look, NULL, &j->trouble), r);
    return r[0] == 0;
}

static int64_t look_unwritten(judge *j, const side *s, int64_t *first)
{
    uint64_t r[2];
    look_end(j, aopt_cuda_unwritten(side_output(s), aopt_tensor_numel(&j->output), s->poison, j->look, NULL, &j->trouble), r);
    *first = (int64_t)r[1];
    return (int64_t)r[0];
}

static int64_t look_nonfinite(judge *j, const float *x, int64_t *first)
{
    uint64_t r[2];
    look_end(j, aopt_cuda_nonfinite(x, aopt_tensor_numel(&j->output), j->look, NULL, &j->trouble), r);
    *first = (int64_t)r[1];
    return (int64_t)r[0];
}

static uint64_t look_fingerprint(judge *j, const void *x, int64_t n, uint64_t seed)
{
    uint64_t r[2];
    look_end(j, aopt_cuda_fingerprint((const float *)x, n, seed, j->look, NULL, &j->trouble), r);
    return r[0];
}

/* The input where only the judge can see it, so that it becomes visible to the runner at once when the clock runs. */
static void input_stage(judge *j, const float *x) { buffer_copy(j->staged, x, j->input_bytes, &j->trouble); }
static void input_show(judge *j, side *s, const float *x) { (void)x; buffer_copy(s->input.map, j->staged, j->input_bytes, &j->trouble); }
static int input_changed(judge *j, side *s, const float *x)
{
    const uint64_t seed = judge_random(j);
    const int64_t n = aopt_tensor_numel(&j->input);
    (void)x;
    return look_fingerprint(j, s->input.map, n, seed) != look_fingerprint(j, j->staged, n, seed);
}
#else
static void look_poison(judge *j, side *s)
{
    int i;
    aopt_ref_poison(side_output(s), aopt_tensor_numel(&j->output), s->poison);
    for (i = 0; i < 2; i++) aopt_ref_guard_fill(side_guard(s, i), GUARD_BYTES / 4, s->guard + (uint64_t)i);
}

static int look_guard(judge *j, side *s, int after)
{
    uint64_t r[2];
    (void)j;
    aopt_ref_guard_check(side_guard(s, after), GUARD_BYTES / 4, s->guard + (uint64_t)after, r);
    return r[0] == 0;
}

static int64_t look_unwritten(judge *j, const side *s, int64_t *first) { return aopt_ref_unwritten(side_output(s), aopt_tensor_numel(&j->output), s->poison, first); }
static int64_t look_nonfinite(judge *j, const float *x, int64_t *first) { return aopt_ref_nonfinite(x, aopt_tensor_numel(&j->output), first); }
static uint64_t look_fingerprint(judge *j, const void *x, int64_t n, uint64_t seed) { (void)j; return aopt_ref_fingerprint((const float *)x, n, seed); }
static void input_stage(judge *j, const float *x) { (void)j; (void)x; }
static void input_show(judge *j, side *s, const float *x) { memcpy(s->input.map, x, j->input_bytes); }
static int input_changed(judge *j, side *s, const float *x) { return memcmp(s->input.map, x, j->input_bytes) != 0; }
#endif

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

/* ---- how the device fares ---- */
#ifdef AUTOOPT_CUDA
/* NVML comes by dlopen; without it clocks and temperatures are unknown.  A thread asks, so that no clock of the judge waits for an answer. */
typedef struct gauge { double mhz, temperature, watts; unsigned long long reasons; int n, strangers; } gauge;      /* sums over n looks; reasons: or */
enum { GAUGE_MS = 50, GAUGE_PROCESSES = 64 };
enum { REASON_POWER_CAP = 0x4, REASON_BAD = 0x8 | 0x20 | 0x40 | 0x80 };     /* hardware slowdown, software and hardware thermal, power brake */
typedef struct gauge_process { unsigned pid; unsigned long long bytes; unsigned gi, ci; } gauge_process;
static struct {
    int open, stop, active;             /* active: the side that decodes now, or -1 */
    pthread_t thread;
    pthread_mutex_t lock;
    gauge side[2];                      /* since gauge_reset */
    pid_t pid[2];
    double peak_mb[2], start_mb, max_mhz;       /* start_mb: in use on the device when no runner was there */
    void *device;
    int (*clock)(void *, int, unsigned *), (*temperature)(void *, int, unsigned *), (*power)(void *, unsigned *), (*reasons)(void *, unsigned long long *);
    int (*processes)(void *, unsigned *, gauge_process *);
} gauges;

static double device_used_mb(void)
{
    size_t left = 0, all = 0;
    return cudaMemGetInfo(&left, &all) == cudaSuccess ? (double)(all - left) / 1048576 : 0;
}

/* Memory by process where NVML sees our process numbers, else what the device lost since no runner was there. */
static void gauge_memory(gauge *g)
{
    gauge_process p[GAUGE_PROCESSES];
    unsigned n = GAUGE_PROCESSES, i, k;
    int seen = 0, strangers = 0;
    if (gauges.processes(gauges.device, &n, p) != 0) n = 0;
    for (i = 0; i < n; i++) seen |= p[i].pid == (unsigned)getpid();
    for (i = 0; seen && i < n; i++) {
        for (k = 0; k < 2; k++)
            if (gauges.pid[k] > 0 && p[i].pid == (unsigned)gauges.pid[k]) gauges.peak_mb[k] = fmax(gauges.peak_mb[k], (double)p[i].bytes / 1048576);
        strangers += p[i].pid != (unsigned)getpid() && p[i].pid != (unsigned)gauges.pid[0] && p[i].pid != (unsigned)gauges.pid[1];
    }
    for (k = 0; !seen && k < 2; k++)
        if (gauges.active == (int)k) gauges.peak_mb[k] = fmax(gauges.peak_mb[k], device_used_mb() - gauges.start_mb);
    if (g) g->strangers += strangers;
}

static void *gauge_thread(void *user)
{
    (void)user;
    while (!gauges.stop) {
        unsigned mhz = 0, celsius = 0, milliwatts = 0;
        unsigned long long reasons = 0;
        const int good = gauges.clock(gauges.device, 1, &mhz) == 0 && gauges.temperature(gauges.device, 0, &celsius) == 0 && gauges.power(gauges.device, &milliwatts) == 0 &&
                         gauges.reasons(gauges.device, &reasons) == 0;
        pthread_mutex_lock(&gauges.lock);
        if (gauges.active >= 0) {
            gauge *g = &gauges.side[gauges.active];
            if (good) { g->mhz += mhz; g->temperature += celsius; g->watts += 1e-3 * milliwatts; g->reasons |= reasons; g->n++; }
            gauge_memory(g);
        } else gauge_memory(NULL);
        pthread_mutex_unlock(&gauges.lock);
        sleep_ms(GAUGE_MS);
    }
    return NULL;
}

static void gauge_open(void)
{
    void *handle = dlopen("libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    int (*init)(void), (*by_uuid)(const char *, void **), (*max)(void *, int, unsigned *);
    unsigned mhz = 0;
    if (!handle || gauges.open) return;
    *(void **)&init = dlsym(handle, "nvmlInit_v2");
    *(void **)&by_uuid = dlsym(handle, "nvmlDeviceGetHandleByUUID");
    *(void **)&max = dlsym(handle, "nvmlDeviceGetMaxClockInfo");
    *(void **)&gauges.clock = dlsym(handle, "nvmlDeviceGetClockInfo");
    *(void **)&gauges.temperature = dlsym(handle, "nvmlDeviceGetTemperature");
    *(void **)&gauges.power = dlsym(handle, "nvmlDeviceGetPowerUsage");
    *(void **)&gauges.reasons = dlsym(handle, "nvmlDeviceGetCurrentClocksThrottleReasons");
    *(void **)&gauges.processes = dlsym(handle, "nvmlDeviceGetComputeRunningProcesses_v3");
    if (!init || !by_uuid || !max || !gauges.clock || !gauges.temperature || !gauges.power || !gauges.reasons || !gauges.processes || init() != 0 ||
        by_uuid(device_uuid(), &gauges.device) != 0) return;
    if (max(gauges.device, 1, &mhz) == 0) gauges.max_mhz = mhz;
    gauges.active = -1;
    gauges.stop = 0;
    gauges.start_mb = device_used_mb();
    pthread_mutex_init(&gauges.lock, NULL);
    gauges.open = pthread_create(&gauges.thread, NULL, gauge_thread, NULL) == 0;
}

static void gauge_close(void)
{
    if (!gauges.open) return;
    gauges.stop = 1;
    pthread_join(gauges.thread, NULL);
    gauges.open = 0;
}

/* From now on `side` decodes; -1 = none. */
static void gauge_watch(int side)
{
    if (!gauges.open) return;
    pthread_mutex_lock(&gauges.lock);
    gauges.active = side;
    pthread_mutex_unlock(&gauges.lock);
}

static void gauge_follow(int side, pid_t pid)
{
    if (!gauges.open) return;
    pthread_mutex_lock(&gauges.lock);
    gauges.pid[side] = pid;
    gauges.peak_mb[side] = 0;
    pthread_mutex_unlock(&gauges.lock);
}

/* What both sides did since the last call; NULL = only forget it. */
static void gauge_take(gauge out[2])
{
    memset(out, 0, 2 * sizeof *out);
    if (!gauges.open) return;
    pthread_mutex_lock(&gauges.lock);
    memcpy(out, gauges.side, sizeof gauges.side);
    memset(gauges.side, 0, sizeof gauges.side);
    pthread_mutex_unlock(&gauges.lock);
}

/* Why the pair says nothing, or NULL.  A clock that the power limit holds down is the candidate's own doing. */
static const char *gauge_void(const gauge g[2])
{
    const unsigned long long reasons = g[0].reasons | g[1].reasons;
    double a, b;
    if (reasons & REASON_BAD) return "throttled";
    if (g[0].strangers || g[1].strangers) return "shared";
    if (!g[0].n || !g[1].n || reasons & REASON_POWER_CAP) return NULL;
    a = g[0].mhz / g[0].n;
    b = g[1].mhz / g[1].n;
    return fabs(a - b) > 0.03 * fmax(a, b) ? "clocks" : fmin(a, b) < 0.75 * gauges.max_mhz ? "slow" : NULL;
}

static double side_memory_mb(const judge *j, const side *s) { return gauges.peak_mb[s == &j->side[1]]; }

static aopt_status device_open(aopt_device *device, aopt_error *err)
{
    int n = 0;
    const cudaError_t e = cudaGetDeviceCount(&n);
    device->cuda = 0;
    if (e != cudaSuccess || n < 1)
        return aopt_fail(err, AOPT_E_CUDA, "no GPU that this build can use (%s); ./build.sh cpu builds for the CPU", e != cudaSuccess ? cudaGetErrorString(e) : "none is visible");
    if (device_check(cudaSetDevice(0), "device", err) || device_check(cudaFree(NULL), "device", err)) return AOPT_E_CUDA;
    gauge_open();
    return AOPT_OK;
}
#else
typedef struct gauge { double mhz, temperature, watts; unsigned long long reasons; int n; } gauge;
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

static void gauge_close(void) { }
static void gauge_watch(int side) { (void)side; }
static void gauge_follow(int side, pid_t pid) { (void)side; (void)pid; }
static void gauge_take(gauge out[2]) { memset(out, 0, 2 * sizeof *out); }
static const char *gauge_void(const gauge g[2]) { (void)g; return NULL; }
static double side_memory_mb(const judge *j, const side *s) { (void)j; return proc_memory_mb(s->pid, "VmHWM:"); }

static aopt_status device_open(aopt_device *device, aopt_error *err)
{
    (void)err;
    device->cuda = AOPT_HOST;
    return AOPT_OK;
}
#endif

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
        mb = side_memory_mb(j, s);
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
    int looks = 0;
    side_signal(s, SIGSTOP);
    do {
        memset(&info, 0, sizeof info);
        if (waitid(P_PID, (id_t)s->pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) != 0) break;
        if (info.si_pid == 0 && ++looks > 50) sleep_ms(1);
    } while (info.si_pid == 0 && aopt_seconds() < until);
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

/* How long idle OpenMP threads spin (libgomp): the default burns whole time slices at every barrier when cores are shared. */
#define SPIN "20000"
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
    environment_add(e, "GOMP_SPINCOUNT", SPIN);
    environment_pass(e, "LD_LIBRARY_PATH");
    environment_pass(e, "CUDA_HOME");
#ifdef AUTOOPT_CUDA
    environment_add(e, "CUDA_VISIBLE_DEVICES", device_uuid());
#endif
    environment_add(e, "PAD", pad);             /* the size of the environment moves the stack, and with it the time */
}

/* Buffers, pipes and a process that runs so. */
static aopt_status side_start(judge *j, side *s, const char *so, int flags, double delay, aopt_error *err)
{
    char threads[16], flag[16], wait[32], dim[AOPT_MAX_DIMS][24];
    char *argv[8 + AOPT_MAX_DIMS + 1];
    int in[2], out[2], log[2], i, n = 0;
    const task *t = j->job->task;
    environment env;
    char tmp[PATH_CAP];
    path_set(tmp, "%s/tmp%d", j->dir, j->launches++);
    if (mkdir(tmp, 0700) != 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", tmp, strerror(errno));
#ifdef AUTOOPT_CUDA
    if (region_open_device(&s->input, j->input_bytes, err) || region_open_device(&s->output, j->output_bytes + 2 * GUARD_BYTES, err)) return err->status;
#else
    if (region_open(&s->input, j->input_bytes, 1, err) || region_open(&s->output, j->output_bytes + 2 * GUARD_BYTES, 0, err)) return err->status;
#endif
    if (region_open(&s->report, sizeof(aopt_profile), 0, err)) return err->status;
    if (pipe2(in, O_CLOEXEC)) return aopt_fail(err, AOPT_E_IO, "no pipe: %s", strerror(errno));
    s->command = in[1];
    if (pipe2(out, O_CLOEXEC)) { close(in[0]); return aopt_fail(err, AOPT_E_IO, "no pipe: %s", strerror(errno)); }
    s->reply = out[0];
    if (pipe2(log, O_CLOEXEC)) { close(in[0]); close(out[1]); return aopt_fail(err, AOPT_E_IO, "no pipe: %s", strerror(errno)); }
    s->log = log[0];
    snprintf(threads, sizeof threads, "%d", j->device.threads);
    snprintf(flag, sizeof flag, "%d", flags);
    snprintf(wait, sizeof wait, "%.9f", delay);
    argv[n++] = (char *)"harness"; argv[n++] = (char *)"--runner"; argv[n++] = (char *)(uintptr_t)so; argv[n++] = (char *)(uintptr_t)t->checkpoint;
    argv[n++] = threads; argv[n++] = flag; argv[n++] = wait; argv[n++] = tmp;
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
    fcntl(s->log, F_SETFL, O_NONBLOCK);
    gauge_follow(s == &j->side[1], s->pid);
    return s->pid < 0 ? aopt_fail(err, AOPT_E_IO, "cannot fork: %s", strerror(errno)) : AOPT_OK;
}

/* A fresh process for side `which` (0 incumbent, 1 candidate) holding shared object so ("-" = the frozen decoder), built and
   paused.  0, or the verdict. */
static int side_launch(judge *j, int which, const char *so, int flags, double delay)
{
    side *s = &j->side[which];
    aopt_status st = AOPT_E_IO;
    aopt_error err;
    double begin;
    text info = text_none();
    reply r;
    int rc, i;
    for (i = 0; i < INFRA_TRIES && st != AOPT_OK; i++) {
        if (i) sleep_ms(INFRA_WAIT_MS);
        side_close(j, s);
        side_init(s, which ? "candidate" : "incumbent");
        st = side_start(j, s, so, flags, delay, &err);
    }
    if (st != AOPT_OK) return judge_fail(j, s, 125, "cannot start a run: %s", err.message);
    if ((rc = side_wait(j, s, OP_READY, j->job->task->limit.init_s, &r)) != 0) return rc;
    if (r.status) return judge_fail(j, s, 125, "the runner cannot start: %s", r.text);
    s->sandbox = r.sandbox;
    snprintf(j->a->sandbox, sizeof j->a->sandbox, "%s", r.sandbox ? "landlock" : "none");
    begin = aopt_seconds();
    side_tell(s, OP_BUILD);
    if ((rc = side_wait(j, s, OP_BUILD, j->job->task->limit.init_s, &r)) != 0) return rc;
    s->init_s = aopt_seconds() - begin;
    j->init_s[which] = j->init_s[which] > 0 ? fmin(j->init_s[which], s->init_s) : s->init_s;
    if (r.status) return judge_fail(j, s, r.status == AOPT_E_MEMORY ? 32 : 31, "build_decoder: %s: %s", aopt_status_name(r.status), r.text);
    text_add_escaped(&info, r.text, strcspn(r.text, "\r\n"));
    snprintf(s->info, sizeof s->info, "%s", info.data ? info.data : "");
    text_free(&info);
    side_pause(s);
    return 0;
}

#ifdef AUTOOPT_CUDA
#define SLOWEST 5e12                    /* FLOP/s of a frozen decoder on an old GPU; on a CPU, plain loops on one slow core */
#define REFERENCE_SHARE 0.05            /* of the peak, which is that of half precision: what fp32 decoders reach */
#else
#define SLOWEST 0.5e9
#define REFERENCE_SHARE 0.25
#endif
/* Longest that one decode may take: a first one includes lazy set-up; nobody waits five times the incumbent. */
static double side_patience(const judge *j, const side *s)
{
    const limits *l = &j->job->task->limit;
    const double least = j->cost.flops / SLOWEST, inc = j->side[0].last_s;
    const double t = s->call <= 1 ? fmax(l->first_decode_s, 20 * inc) : fmax(l->decode_s, 5 * inc);
    return s == &j->side[0] || inc <= 0 ? fmax(t, least) : t;
}

/* The output changed after "done": 26, else `code` with the given words.  A good output (code 0) is given LATE_MS to change;
   a bad one is worth a longer look, because late work explains it. */
static int side_late(judge *j, side *s, int code, const char *what)
{
    const int64_t n = aopt_tensor_numel(&j->output);
    const uint64_t seed = judge_random(j), before = look_fingerprint(j, side_output(s), n, seed);
    int i;
    for (i = 0; s->pid > 0 && i < (code ? LATE_LOOKS : 1); i++) {
        side_signal(s, SIGCONT);
        sleep_ms(LATE_MS);
        side_pause(s);
        if (look_fingerprint(j, side_output(s), n, seed) != before)
            return judge_fail(j, s, 26, "call %u: the %s still changed %d ms after decode returned", s->call, target.output_name, (i + 1) * LATE_MS);
    }
    return code ? judge_fail(j, s, code, "%s", what) : 0;
}

/* Everything about one output that needs no second output: guards, survivors, finite, late, stale. */
static int side_check(judge *j, side *s, uint64_t id)
{
    const int64_t n = aopt_tensor_numel(&j->output);
    char place[64], what[300];
    int64_t at = 0, count;
    int i, threads;
    for (i = 0; i < 2; i++)
        if (!look_guard(j, s, i)) return judge_fail(j, s, 24, "call %u wrote %s the %s", s->call, i ? "past the end of" : "before the start of", target.output_name);
    count = look_unwritten(j, s, &at);
    if (count) {
        snprintf(what, sizeof what, "call %u: %.3g %% of the %s (%lld of %lld) was never written, first at %s", s->call, 100.0 * (double)count / (double)n, target.output_name,
                 (long long)count, (long long)n, place_of(&j->output, at, place, sizeof place));
        return side_late(j, s, 22, what);
    }
    count = look_nonfinite(j, side_output(s), &at);
    if (count) return judge_fail(j, s, 21, "call %u: %lld non-finite values, first at %s", s->call, (long long)count, place_of(&j->output, at, place, sizeof place));
    s->fingerprint = look_fingerprint(j, side_output(s), n, j->seed);
    if (j->trouble.status) return judge_fail(j, NULL, 125, "the judge cannot look at the %s: %.300s", target.output_name, j->trouble.message);
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

/* Poison the output and its guards. */
static void side_arm(judge *j, side *s)
{
    s->poison = (uint32_t)judge_random(j);
    s->guard = judge_random(j);
    look_poison(j, s);
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
    side_arm(j, s);
    input_stage(j, x);
    gauge_watch(s == &j->side[1]);
    begin = aopt_seconds();
    input_show(j, s, x);
    side_tell(s, OP_DECODE);
    if ((rc = side_wait(j, s, OP_DECODE, side_patience(j, s), &r)) != 0) return rc;
    s->last_s = aopt_seconds() - begin;
    gauge_watch(-1);
    side_pause(s);
    if (seconds) *seconds = s->last_s;
    s->peak_mb = fmax(s->peak_mb, side_memory_mb(j, s));
    if (r.status) return judge_fail(j, s, r.status == AOPT_E_MEMORY ? 32 : 31, "decode, call %u: %s: %s", s->call, aopt_status_name(r.status), r.text);
    if (input_changed(j, s, x)) return judge_fail(j, s, 23, "call %u changed the %s", s->call, target.input_name);
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
    a.device = b.device = j->device.cuda;
    return target.compare(&a, &b, prefix, m);
}

/* Into j->fresh an input that nobody has seen.  0, or 125. */
static int judge_fresh(judge *j, uint64_t seed)
{
    aopt_tensor fixed = j->input, x = j->input;
    aopt_error err;
    fixed.data = j->fixed;
    x.data = j->fresh;
    return target.fresh_input(&j->model, &fixed, seed, &x, &err) ? judge_fail(j, NULL, 125, "fresh input: %s", err.message) : 0;
}

/* A call on a new fresh input.  0, or the verdict. */
static int side_fresh(judge *j, side *s, double *seconds)
{
    const uint64_t seed = judge_random(j);
    const int rc = judge_fresh(j, seed);
    return rc ? rc : side_decode(j, s, j->fresh, seed, seconds);
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
    y.device = j->device.cuda;
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
enum { PROBE_FIXED, PROBE_AGAIN, PROBE_CAUSAL, PROBE_FRESH };

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
    if (buffer_copy(j->first, side_output(s), j->output_bytes, &j->trouble)) return judge_fail(j, NULL, 125, "%s", j->trouble.message);
    n = judge_compare(j, j->reference, j->first, 0, m);
    judge_note_metrics(j, j->job->task->name, m, n, s == &j->side[1]);
    g = gate_failed(j->job->goals, m, n, 0);
    return g ? judge_gate_fail(j, s, g, m, n, 0, "fixed input, against the fp32 reference") : side_late(j, s, 0, NULL);
}

/* Random elements moved by three standard deviations, one more in each call, must each change the output.  Several: whoever remembers answers by
   k of n elements is missed by one with probability k/n. */
static int probe_one(judge *j, side *s)
{
    const int64_t n = (int64_t)(j->input_bytes / sizeof(float));
    double sum = 0, sum2 = 0;
    char place[64];
    int64_t i, k;
    int rc = 0, call;
    for (k = 0; k < n; k++) { sum += j->fixed[k]; sum2 += (double)j->fixed[k] * j->fixed[k]; }
    memcpy(j->fresh, j->fixed, j->input_bytes);
    for (call = 0; call < ONE_CALLS && rc == 0; call++) {
        i = (int64_t)(judge_random(j) % (uint64_t)n);
        j->fresh[i] += (float)(3 * sqrt(fmax(sum2 / (double)n - sum / (double)n * (sum / (double)n), 1e-6)));
        rc = side_decode(j, s, j->fresh, judge_random(j), NULL);
        if (rc == 27) snprintf(j->a->why, sizeof j->a->why, "%sINSENSITIVE to %s%s: call %u returned the bits of another call", s == &j->side[0] ? "the incumbent is " : "",
                               target.input_name, place_of(&j->input, i, place, sizeof place), s->call);
    }
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
    int64_t from, i;
    int rc, k;
    if (axis < 0 || j->input.shape[axis] < 2) return 0;
    from = 1 + (int64_t)(judge_random(j) % (uint64_t)(j->input.shape[axis] - 1));
    if ((rc = judge_fresh(j, judge_random(j))) != 0) return rc;
    for (i = 0; i < n; i++)
        if (i / j->input.stride[axis] % j->input.shape[axis] < from) j->fresh[i] = j->fixed[i];
    if ((rc = side_decode(j, s, j->fresh, judge_random(j), NULL)) != 0) return rc;
    k = judge_compare(j, j->first, side_output(s), from, m);
    v = metric_named(m, k, g->metric);
    if (gate_passes(g, v, g->limit)) return 0;
    if ((rc = probe_fixed(j, s, 1)) != 0) return rc;        /* if even equal inputs differ, that is the fault to name */
    return judge_fail(j, s, 20, "not causal: slices %lld and later of the %s change the %s that earlier slices determine: %s = %.4g, must be %s %.4g%s%s", (long long)from,
                      target.input_name, target.output_name, g->metric, v ? v->value : NAN, g->sense > 0 ? ">=" : "<=", g->limit,
                      v && v->where[0] ? ", worst at " : "", v ? v->where : "");
}

/* Against the truth as long as that costs little; guards, finite values and staleness are always checked. */
static int probe_fresh(judge *j, side *s)
{
    const int rc = side_fresh(j, s, NULL);
    return rc ? rc : j->oracle_s < 5 ? judge_oracle(j, s, "unseen input, against the fp32 reference") : 0;
}

/* All probes in an order that the candidate cannot know.  s is launched and paused.  0, or the verdict. */
static int judge_verify(judge *j, side *s)
{
    int plan[FRESH_CALLS + 3], n = 0, i, rc = 0;
    const int lead = (int)(judge_random(j) % 3);
    for (i = 0; i < lead; i++) plan[n++] = PROBE_FRESH;
    plan[n++] = PROBE_FIXED;
    plan[n++] = PROBE_AGAIN;
    plan[n++] = PROBE_CAUSAL;
    while (n < FRESH_CALLS + 3) plan[n++] = PROBE_FRESH;
    for (i = n - 1; i > lead + 1; i--) {
        const int k = lead + 1 + (int)(judge_random(j) % (uint64_t)(i - lead)), t = plan[i];
        plan[i] = plan[k];
        plan[k] = t;
    }
    for (i = 0; i < n && rc == 0; i++)
        switch (plan[i]) {
            case PROBE_FIXED:  rc = probe_fixed(j, s, 0); break;
            case PROBE_AGAIN:           /* one element must make a difference right after the input that it belongs to */
                rc = probe_fixed(j, s, 1);
                if (rc == 0) rc = probe_one(j, s);
                break;
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
    text key = text_none();
    char hex[65];
    int i;
    if (stat(t->checkpoint, &st) != 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", t->checkpoint, strerror(errno));
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
    void *data = malloc(j->output_bytes);
    FILE *f = fopen(path, "rb");
    int ok = data && f && fread(head, 1, 65, f) == 65 && fread(data, 1, j->output_bytes, f) == j->output_bytes;
    if (f) fclose(f);
    if (ok) {
        sha256_hex(data, j->output_bytes, hex);
        ok = memcmp(head, hex, 64) == 0 && buffer_copy(j->reference, data, j->output_bytes, NULL) == AOPT_OK;
    }
    free(data);
    return ok;
}

static aopt_status reference_write(const judge *j, const char *path, char hex[65], aopt_error *err)
{
    const size_t head = 65;
    char *data = (char *)malloc(head + j->output_bytes);
    aopt_status st = data ? buffer_copy(data + head, j->reference, j->output_bytes, err) : aopt_fail(err, AOPT_E_MEMORY, "%s: out of memory", path);
    if (st == AOPT_OK) {
        sha256_hex(data + head, j->output_bytes, hex);
        memcpy(data, hex, 64);
        data[64] = '\n';
        mkdir("assets", 0777);
        mkdir("assets/generated", 0777);
        st = file_write(path, data, head + j->output_bytes, 0644, err);
    }
    free(data);
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
        predicted = j->cost.flops / (REFERENCE_SHARE * judge_peaks(j));
        if (predicted > limit_s)
            return aopt_fail(err, AOPT_E_UNSUPPORTED, "task %s: its fp32 reference would take about %.0f s here%s", j->job->task->name, predicted,
                             predicted < 7200 ? ": ./harness make-reference makes it once" : "; choose a smaller task with --task, or a GPU");
        st = judge_reference(j, j->fixed, 0, j->reference, progress_line, err);
        if (st == AOPT_OK) st = reference_write(j, path, hex, err);
        if (st != AOPT_OK) return st;
    }
    bad = look_nonfinite(j, j->reference, &at);
    if (j->trouble.status) return aopt_fail(err, j->trouble.status, "%s", j->trouble.message);
    if (bad) return aopt_fail(err, AOPT_E_VALUE, "task %s: its reference has %lld non-finite values", j->job->task->name, (long long)bad);
    snprintf(j->a->reference, sizeof j->a->reference, "%s", hex);
    return AOPT_OK;
}

/* ---- what the GPU does before a pair ----
   A GPU at its power limit gives more to the first after a pause, and outputs are compared before each pair: on an H200 the first of a pair gained 1 to 2 %, more
   than pairs differ by otherwise.  So before it the judge itself keeps the GPU busy, as long as a decode takes but HEAT_S at most, with products of random numbers:
   whoever is first starts as the second does, and no side has an untimed call just before the other's timed one.  0, or 125. */
#ifdef AUTOOPT_CUDA
enum { HEAT_N = 4096, HEAT_PRODUCTS = 16 };
static const double HEAT_S = 1;
static int heat_new(judge *j)
{
    const size_t bytes = (size_t)HEAT_N * HEAT_N * sizeof *j->heat;
    uint64_t *const m = (uint64_t *)malloc(2 * bytes);
    size_t i;
    int ok = m != NULL && cublasCreate(&j->heat_blas) == CUBLAS_STATUS_SUCCESS && cudaMalloc((void **)&j->heat, 3 * bytes) == cudaSuccess;
    for (i = 0; ok && i < 2 * bytes / sizeof *m; i++) m[i] = (aopt_random_u64(1, i) & 0x83ff83ff83ff83ffu) | 0x3000300030003000u;      /* four in fp16, +-0.125 to 0.25 */
    ok = ok && cudaMemcpy(j->heat, m, 2 * bytes, cudaMemcpyHostToDevice) == cudaSuccess;
    free(m);
    return ok;
}

static void heat_free(judge *j)
{
    if (j->heat_blas) cublasDestroy(j->heat_blas);
    cudaFree(j->heat);
}

static int judge_heat(judge *j, double seconds)
{
    const float one = 1, zero = 0;
    const size_t n = (size_t)HEAT_N * HEAT_N;
    double end;
    int i, ok = j->heat || heat_new(j);
    for (end = aopt_seconds() + fmin(seconds, HEAT_S); ok && aopt_seconds() < end; ok = ok && cudaDeviceSynchronize() == cudaSuccess)
        for (i = 0; ok && i < HEAT_PRODUCTS; i++)
            ok = cublasGemmEx(j->heat_blas, CUBLAS_OP_T, CUBLAS_OP_N, HEAT_N, HEAT_N, HEAT_N, &one, j->heat, CUDA_R_16F, HEAT_N, j->heat + n, CUDA_R_16F, HEAT_N, &zero, j->heat + 2 * n,
                              CUDA_R_16F, HEAT_N, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT) == CUBLAS_STATUS_SUCCESS;
    return ok ? 0 : judge_fail(j, NULL, 125, "the judge cannot keep the GPU busy before a pair: %s", cudaGetErrorString(cudaGetLastError()));
}
#else
static void heat_free(judge *j) { (void)j; }
static int judge_heat(judge *j, double seconds) { (void)j; (void)seconds; return 0; }
#endif

/* ---- buffers; a judge begins and ends ---- */

static aopt_status judge_buffers(judge *j, aopt_error *err)
{
    const int64_t in = aopt_tensor_numel(&j->input), out = aopt_tensor_numel(&j->output);
    if (in < 1 || out < 1 || in > ((int64_t)1 << 36) || out > ((int64_t)1 << 36)) return aopt_fail(err, AOPT_E_SHAPE, "task %s: shape too large", j->job->task->name);
    j->input_bytes = (size_t)in * sizeof(float);
    j->output_bytes = (size_t)out * sizeof(float);
    j->fixed = (float *)malloc(j->input_bytes);
    j->fresh = (float *)malloc(j->input_bytes);
    j->reference = (float *)buffer_new(j->output_bytes);
    j->first = (float *)buffer_new(j->output_bytes);
    j->work = (float *)buffer_new(j->output_bytes);
#ifdef AUTOOPT_CUDA
    j->staged = (float *)buffer_new(j->input_bytes);
    j->look = (uint64_t *)buffer_new(2 * sizeof *j->look);
    if (!j->staged || !j->look) return aopt_fail(err, AOPT_E_MEMORY, "task %s: out of device memory", j->job->task->name);
#endif
    return j->fixed && j->fresh && j->reference && j->first && j->work ? AOPT_OK : aopt_fail(err, AOPT_E_MEMORY, "task %s: out of memory", j->job->task->name);
}

/* Two runners, each with an output, and three outputs of the judge. */
static double memory_needed(const aopt_cost *cost, const aopt_tensor *output)
{
    return 3.0 * (double)cost->memory + 5.0 * (double)sizeof(float) * (double)aopt_tensor_numel(output);
}

/* The task of j->job, all but its reference. */
static aopt_status judge_open_task(judge *j, aopt_error *err)
{
    const task *t = j->job->task;
    aopt_tensor x;
    aopt_status st = target.open(t->checkpoint, &j->model, err);
    if (st != AOPT_OK) return st;
    j->model_open = 1;
    j->device.threads = cpu_count();
    st = device_open(&j->device, err);
    if (st == AOPT_OK) st = target.tensors(&j->model, &t->shape, &j->input, &j->output, err);
    if (st == AOPT_OK) st = target.cost(&j->model, &t->shape, &j->cost, err);
    if (st == AOPT_OK && memory_needed(&j->cost, &j->output) > memory_free())
        st = aopt_fail(err, AOPT_E_MEMORY, "task %s needs about %.1f GB of memory, %.1f GB are free: choose a smaller task with --task", t->name,
                       memory_needed(&j->cost, &j->output) * 1e-9, memory_free() * 1e-9);
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
    free(j->fixed); free(j->fresh);
    heat_free(j);
    buffer_free(j->reference); buffer_free(j->first); buffer_free(j->work); buffer_free(j->staged); buffer_free(j->look);
    gauge_close();
    if (j->dir[0]) folder_remove(j->dir);
}

/* ==== [7] statistics: pairs, screen, confirm ============================================================
   A is the incumbent, B the candidate; d = ln(tA/tB) of a pair, positive when B is faster.  The decision knows nothing of
   processes: it draws pairs from two functions, so that tests can feed it any machine. */
typedef struct pair { double a, b, clock; int voided; } pair;   /* seconds per decode; clock: ln(fA/fB) of the device's clocks, 0 = not known */
typedef struct bench {
    void *user;
    int (*launch)(void *user);                                  /* both sides afresh, warmed up; nonzero = verdict code, stop */
    int (*sample)(void *user, const char *stage, pair *out);    /* one pair, zeroed before; nonzero likewise */
    double delta, floor;                                        /* least log-ratio that counts; noise floor of this machine */
    double d[MAX_PAIRS], a[MAX_PAIRS], b[MAX_PAIRS]; int n;     /* the pairs that the report is about */
    double cycles[MAX_PAIRS];                                   /* d in clock cycles of the device */
    int wins, voids;
    const char *reason;
} bench;
enum { BENCH_FAILED = -1 };                                     /* launch or sample said stop */

/* m more pairs that count, into b->d and company from index b->n.  V_NONE = got them. */
static int bench_collect(bench *b, const char *stage, int m)
{
    int got = 0, redo = 0;
    while (got < m) {
        pair p = { 0, 0, 0, 0 };
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
        b->d[b->n] = log(p.a / p.b);
        b->cycles[b->n] = b->d[b->n] + p.clock;
        b->n++;
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
    int rc, big, keep, near_miss;
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
    near_miss = !keep && !big && b->wins >= 8 && median >= 0.75 * b->delta;
    if (near_miss || (keep && aopt_median(b->cycles, b->n) <= 0)) {     /* or all of the gain may be luck with the clocks */
        if ((rc = bench_relaunch(b, "extend", 2, EXTEND_PAIRS)) != V_NONE) return rc;
        b->wins = bench_wins(b);
        keep = 4 * b->wins >= 3 * b->n && aopt_median(b->d, b->n) >= b->delta;
    }
    b->reason = keep ? "confirmed on fresh launches" : "fresh launches do not confirm the gain of the screen";
    return keep ? V_KEEP : V_NOISE;
}

/* Both sides the same code, over several launches: a floor from one launch is blind to what differs from launch to launch. */
static int bench_floor(bench *b, double *floor)
{
    const int rc = bench_relaunch(b, "floor", FLOOR_LAUNCHES, FLOOR_PAIRS);
    if (rc == V_NONE) *floor = aopt_noise_floor(b->d, b->n);
    return rc;
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

#ifndef SWAP_FACTOR
#define SWAP_FACTOR 2.2                 /* two sides, and a tenth: of the candidate's peak, which the incumbent's resembles */
#endif
typedef struct race {
    judge *j;
    const char *so[2];                  /* what each side runs; may be the same twice */
    double delay[2];
    int decodes;                        /* per sample and side */
    int first;                          /* which side begins the next pair */
    int launch, pair_n;
    int swap;                           /* both sides do not fit in memory, so each pair launches them one after the other */
    gauge total;                        /* of the candidate, all pairs that count */
} race;

/* B's output against A's for the same fresh input.  When they differ too much, the truth says who is wrong. */
static int race_cross_check(judge *j, const float *a, const float *b)
{
    const float *const y[2] = { a, b };
    aopt_metric m[AOPT_MAX_METRICS];
    const gate_limit *g;
    aopt_error err;
    int n = judge_compare(j, a, b, 0, m), k;
    if (!gate_failed(j->job->goals, m, n, 1)) return 0;
    if (judge_reference(j, j->fresh, 0, j->work, NULL, &err)) return judge_fail(j, &j->side[1], 125, "reference: %s", err.message);
    for (k = 0; k < 2; k++) {
        n = judge_compare(j, j->work, y[k], 0, m);
        g = gate_failed(j->job->goals, m, n, 1);
        if (g) return judge_gate_fail(j, &j->side[k], g, m, n, 1, "unseen input while timed, against the fp32 reference");
    }
    return 0;
}

/* r->decodes decodes of each side, interleaved A B B A A B ..., each pair on an input that nobody has seen.  0, or the verdict. */
static int race_together(race *r, double sum[2], uint64_t *seed)
{
    judge *j = r->j;
    double t;
    int i, h, rc;
    for (i = 0; i < r->decodes; i++) {
        *seed = judge_random(j);
        if ((rc = judge_fresh(j, *seed)) != 0 || (rc = judge_heat(j, j->side[0].last_s)) != 0) return rc;
        for (h = 0; h < 2; h++) {
            const int side_i = (h + r->first + i) & 1;
            if ((rc = side_decode(j, &j->side[side_i], j->fresh, *seed, &t)) != 0) return rc;
            sum[side_i] += t;
        }
        if ((rc = race_cross_check(j, side_output(&j->side[0]), side_output(&j->side[1]))) != 0) return rc;
    }
    return 0;
}

/* The same with one side in memory at a time: launched, warmed up, timed, closed; the last outputs are compared. */
static int race_apart(race *r, double sum[2], uint64_t *last)
{
    judge *j = r->j;
    uint64_t seed[MAX_DECODES];
    double t;
    int i, h, rc;
    for (i = 0; i < r->decodes; i++) seed[i] = judge_random(j);
    *last = seed[r->decodes - 1];
    for (h = 0; h < 2; h++) {
        const int side_i = (h + r->first) & 1;
        side *s = &j->side[side_i];
        side_close(j, &j->side[!side_i]);
        if ((rc = side_launch(j, side_i, r->so[side_i], 0, r->delay[side_i])) != 0 || (rc = side_fresh(j, s, NULL)) != 0) return rc;
        for (i = 0; i < r->decodes; i++) {
            if ((rc = judge_fresh(j, seed[i])) != 0 || (rc = side_decode(j, s, j->fresh, seed[i], &t)) != 0) return rc;
            sum[side_i] += t;
        }
        if (h == 0 && buffer_copy(j->first, side_output(s), j->output_bytes, &j->trouble)) return judge_fail(j, NULL, 125, "%s", j->trouble.message);
        if (h == 1 && (rc = race_cross_check(j, side_i ? j->first : side_output(s), side_i ? side_output(s) : j->first)) != 0) return rc;
    }
    return 0;
}

/* One pair, with what disturbed it. */
static int race_sample(void *user, const char *stage, pair *out)
{
    race *r = (race *)user;
    judge *j = r->j;
    double sum[2] = { 0, 0 }, steal[2] = { 0, 0 }, pct;
    uint64_t seed = 0;
    const char *why;
    gauge g[2];
    int rc, i;
    gauge_take(g);
    steal_pct(steal);
    if ((rc = r->swap ? race_apart(r, sum, &seed) : race_together(r, sum, &seed)) != 0) return rc;
    pct = steal_pct(steal);
    gauge_take(g);
    out->a = sum[0] / r->decodes;
    out->b = sum[1] / r->decodes;
    why = pct > j->job->goals->max_steal_pct ? "steal" : gauge_void(g);
    out->voided = why != NULL;
    if (g[0].n && g[1].n) out->clock = log(g[0].mhz / g[0].n * g[1].n / g[1].mhz);
#ifdef AUTOOPT_TEST_CLOCK
    if (test_clock_next(out)) why = out->voided ? "void" : NULL;
#endif
    text_add(&j->samples, "%s\t%d\t%d\t%c\t%d\t%.6f\t%.6f\t%016llx\t%.2f\t%s", stage, r->launch, r->pair_n++, r->first ? 'B' : 'A', r->decodes, out->a * 1e3, out->b * 1e3,
             (unsigned long long)seed, pct, why ? why : "-");
    for (i = 0; i < 2; i++) {
        if (g[i].n) text_add(&j->samples, "\t%.0f\t%.0f\t%.0f", g[i].mhz / g[i].n, g[i].temperature / g[i].n, g[i].watts / g[i].n);
        else text_add(&j->samples, "\t-\t-\t-");
    }
    text_add(&j->samples, "\t%#llx\n", g[0].reasons | g[1].reasons);
    r->total.mhz += g[1].mhz;
    r->total.n += g[1].n;
    r->first = !r->first;
    return 0;
}

/* At least two decodes of a side, until two agree within 2 % (at most five, or 20 s). */
static int race_warm(judge *j, side *s, double *seconds)
{
    double t = 0, before, spent = 0;
    int i, rc;
    for (i = 0; i < 5 && spent < 20; i++) {
        before = t;
        if ((rc = side_fresh(j, s, &t)) != 0) return rc;
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
    for (h = 0; h < 2 && !r->swap; h++) {
        const int i = h ^ start;
        if ((rc = side_launch(j, i, r->so[i], 0, r->delay[i])) != 0) return rc;
    }
    for (h = 0; h < 2; h++) {
        if (r->swap && r->decodes) break;           /* each pair launches its own */
        if (r->swap) {
            side_close(j, &j->side[!h]);
            if ((rc = side_launch(j, h, r->so[h], 0, r->delay[h])) != 0) return rc;
        }
        if ((rc = race_warm(j, &j->side[h], &t[h])) != 0) return rc;
    }
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
    r->swap = SWAP_FACTOR * 1048576 * j->a->peak_mb > memory_total() - 5.0 * (double)j->output_bytes;
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
    text key = text_none();
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
    rc = bench_floor(&b, floor);
    if (rc == BENCH_FAILED) return j->a->code;
    if (rc != V_NONE) return judge_fail(j, NULL, 125, "%s while the noise floor was measured", b.reason);
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
    const double share = j->job->goals->plausible, least_ms = 1e3 * share * j->cost.flops / judge_peaks(j);
    if (j->a->t_cand_ms >= least_ms) return 0;
    j->implausible = 1;
    return j->job->approve ? 0 : judge_fail(j, &j->side[1], 28, "%.4g ms, but %.3g GFLOP at this machine's %.3g GFLOP/s need %.4g ms even with %.3g times fewer operations",
                                            j->a->t_cand_ms, j->cost.flops * 1e-9, judge_peaks(j) * 1e-9, least_ms, 1 / share);
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
        memory_needed(&cost, &out) < memory_free())
        s = (FRESH_CALLS + ONE_CALLS + 5) * cost.flops / (REFERENCE_SHARE * peak);
    target.close(&model);
    return s;
}

/* Does it buy its speed with a longer preparation?  0 or 33. */
static int judge_init(judge *j)
{
    const double most = INIT_FACTOR * j->init_s[0] + INIT_SLACK_S;
    if (j->init_s[1] <= most) return 0;
    j->slow_init = 1;
    if (j->job->allow_init) return 0;
    return judge_fail(j, &j->side[1], 33, "INIT: build_decoder takes %.2f s, the incumbent's %.2f s; the limit is %.2f s (people: --allow-init)", j->init_s[1], j->init_s[0], most);
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
    if (r.total.n) a->sm_mhz = r.total.mhz / r.total.n;
    if (v == V_UNSTABLE) { judge_fail(j, NULL, 125, "%s (%d void)", b.reason, b.voids); return; }
    if (b.n > 0 && v != V_SLOWER && judge_plausible(j)) return;
    if (v == V_KEEP) {
        if (judge_init(j)) return;
        if (r.swap && side_launch(j, 1, j->so[1], 0, 0)) return;
        if (side_fresh(j, &j->side[1], NULL) ||
            judge_oracle(j, &j->side[1], "unseen input before keeping, against the fp32 reference")) return;
        side_close(j, &j->side[0]);
        side_close(j, &j->side[1]);
        if (judge_other_tasks(j)) return;
    }
    a->verdict = (verdict_id)v;
    a->code = v == V_KEEP ? 0 : 1;
    snprintf(a->why, sizeof a->why, "%s: %.4g ms against %.4g ms, %+.2f %% (%d of %d pairs won; least that counts here %.2f %%)%s%s", b.reason, a->t_cand_ms, a->t_inc_ms, a->gain_pct,
             a->wins, a->pairs, a->delta_pct, v == V_KEEP && j->implausible ? "; implausibly fast, a person said --approve" : "",
             v == V_KEEP && j->slow_init ? "; a person said --allow-init" : "");
    snprintf(a->next, sizeof a->next, "%s", v == V_KEEP ? "profile again and attack the largest item" : v == V_SLOWER ? "drop the idea or find what it costs: ./harness profile" :
             "the gain is below what can be told from noise: attack a larger item of the profile");
}

/* One launch of so as side `which`, one warm-up, two to four timed decodes: their median in ms, or NAN = the verdict is in.
   A decode of more than ten seconds is its own warm-up: what is first about it does not show in it. */
static double baseline_time(judge *j, int which, const char *so, int *n)
{
    side *s = &j->side[which];
    double t[4], warm, spent = 0;
    side_close(j, &j->side[!which]);
    *n = 0;
    if (side_launch(j, which, so, 0, 0) || side_fresh(j, s, &warm)) return NAN;
    for (; *n < (warm > 10 ? 1 : 2) || (*n < 4 && spent < 10); ++*n) {
        if (*n == 0 && warm > 10) t[0] = warm;
        else if (side_fresh(j, s, &t[*n])) return NAN;
        spent += t[*n];
        text_add(&j->samples, "baseline\t%s\t%d\t%c\t1\t%.6f\n", which ? "optimize.c" : strcmp(so, FROZEN) == 0 ? "frozen" : "usual", *n, which ? 'B' : 'A', t[*n] * 1e3);
    }
    return 1e3 * aopt_median(t, *n);
}

/* Both sides resident, decodes taken in turns, so that a machine that drifts drifts for both: ms[2] and their number.  0, or the verdict stands. */
static int baseline_in_turns(judge *j, double ms[2], int *n)
{
    double t[2][12], spent = 0;
    int i, which;
    for (which = 0; which < 2; which++)
        if (side_launch(j, which, which ? j->so[1] : FROZEN, 0, 0) || side_fresh(j, &j->side[which], NULL)) return 1;
    for (*n = 0; *n < 2 || (*n < 12 && spent < 5); ++*n)
        for (i = 0; i < 2; i++) {
            which = i ^ (*n & 1);
            if (side_fresh(j, &j->side[which], &t[which][*n])) return 1;
            spent += t[which][*n];
            text_add(&j->samples, "baseline\t%s\t%d\t%c\t1\t%.6f\n", which ? "optimize.c" : "frozen", *n, which ? 'B' : 'A', t[which][*n] * 1e3);
        }
    for (which = 0; which < 2; which++) ms[which] = 1e3 * aopt_median(t[which], *n);
    return 0;
}

/* Baseline row: the frozen decoder, where it exists the one with the usual precision, which then is what headlines compare with, and the candidate. */
static void judge_stage_baseline(judge *j)
{
    attempt *a = j->a;
    char usual[64] = "";
    gauge g[2];
    double strict, ms[2];
    int n[3];
    if (!target.build_usual) {
        if (baseline_in_turns(j, ms, &n[0])) return;
        strict = a->t_inc_ms = ms[0];
        a->t_cand_ms = ms[1];
        n[2] = n[0];
    } else {
        if (!((strict = baseline_time(j, 0, FROZEN, &n[0])) > 0) || !((a->t_inc_ms = baseline_time(j, 0, USUAL, &n[1])) > 0)) return;
        snprintf(usual, sizeof usual, ", in the usual precision %.4g ms (n = %d)", a->t_inc_ms, n[1]);
        gauge_take(g);
        if (!((a->t_cand_ms = baseline_time(j, 1, j->so[1], &n[2])) > 0)) return;
    }
    gauge_take(g);
    if (g[1].n) a->sm_mhz = g[1].mhz / g[1].n;
#ifdef AUTOOPT_TEST_CLOCK
    {
        pair p;
        if (test_clock_next(&p)) { strict = a->t_inc_ms = 1e3 * p.a; a->t_cand_ms = 1e3 * p.b; }
    }
#endif
    a->gain_pct = 100 * (1 - a->t_cand_ms / a->t_inc_ms);
    a->pairs = n[2];
    a->verdict = V_BASELINE;
    a->code = 0;
    snprintf(a->why, sizeof a->why, "frozen decoder %.4g ms (n = %d)%s, optimize.c %.4g ms (n = %d): %.2fx", strict, n[0], usual, a->t_cand_ms, n[2], a->t_inc_ms / a->t_cand_ms);
    snprintf(a->next, sizeof a->next, "edit optimize.c, then ./harness --desc \"what you changed\"; ./harness profile shows where the time goes");
}

/* SHA-256 over a tree's sources. */
static aopt_status tree_sha256(const char *tree, char hex[65], aopt_error *err)
{
    static const char *const name[] = { "optimize.c", "autoopt_kernels.cuh" };
    char path[PATH_CAP];
    text all = text_none();
    aopt_status st = AOPT_OK;
    int i;
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
    text t = text_none();
    device_name(device, sizeof device);
    uname(&u);
#ifdef AUTOOPT_CUDA
    {
        int driver = 0, runtime = 0;
        cudaDriverGetVersion(&driver);
        cudaRuntimeGetVersion(&runtime);
        text_add(&t, "%d|%d|", driver, runtime);
    }
#endif
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
    if (!a->utc[0] && gmtime_r(&now, &tm)) strftime(a->utc, sizeof a->utc, "%Y-%m-%dT%H:%M:%SZ", &tm);
    snprintf(a->task, sizeof a->task, "%s", job->task->name);
    device_name(a->device, sizeof a->device);
    snprintf(a->scope, sizeof a->scope, "%s", job->scope_library ? "library" : "optimize");
    if (!a->via[0]) snprintf(a->via, sizeof a->via, "local");
    if (job->desc && job->desc != a->desc) snprintf(a->desc, sizeof a->desc, "%s", job->desc);
    environment_hash(j, a->env_hash);
    if (!a->candidate[0] && tree_sha256(job->candidate_dir, a->candidate, err)) return AOPT_E_IO;
    if (!a->incumbent[0] && job->incumbent_dir && tree_sha256(job->incumbent_dir, a->incumbent, err)) return AOPT_E_IO;
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
        text log = text_none(), errors = text_none();
        if (!tree[i] || !realpath(tree[i], real)) {
            if (i == 1) return judge_fail(j, NULL, 125, "%s: no such folder", tree[i] ? tree[i] : "candidate");
            continue;
        }
        path_set(folder, "%s/so%d", j->dir, i);
        path_set(tmp, "%s/build%d", j->dir, i);
        path_set(j->so[i], "%s/side.so", folder);
        if (mkdir(folder, 0700) != 0 || mkdir(tmp, 0700) != 0) return judge_fail(j, NULL, 125, "%s: %s", folder, strerror(errno));
        rc = build_candidate(real, j->so[i], tmp, j->job->goals->limit.build_s, &log);
        if (rc) {
            build_errors(&log, &errors);
            if (errors.n) errors.data[--errors.n] = 0;          /* the last newline */
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
    if (st == AOPT_OK && job->scope_library) st = build_check_kernels(job->candidate_dir, job->incumbent_dir, err);
    if (st == AOPT_OK) {
        text_add(&j.samples, "stage\tlaunch\tpair\tfirst\tdecodes\tt_inc_ms\tt_cand_ms\tseed\tsteal_pct\tvoid\tmhz_inc\tc_inc\tw_inc\tmhz_cand\tc_cand\tw_cand\treasons\n");
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
    text t = text_none();
    int i;
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
   Peaks are measured in the same run as the profile: multiply-adds held in registers, and a copy much larger than the caches;
   on a GPU a large product in half precision, and a copy. */
#ifdef AUTOOPT_CUDA
enum { PEAK_N = 8192, PEAK_PRODUCTS = 5, PEAK_BYTES = 512 << 20 };

/* Seconds of PEAK_PRODUCTS products or copies, best of three after one to warm up. */
static double peak_time(cublasHandle_t blas, char *m, int product)
{
    const float one = 1, zero = 0;
    const size_t step = (size_t)2 * PEAK_N * PEAK_N;
    double best = INFINITY, begin;
    int i, k;
    for (k = 0; k < 4; k++) {
        begin = aopt_seconds();
        for (i = 0; i < PEAK_PRODUCTS; i++)
            if (product) cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, PEAK_N, PEAK_N, PEAK_N, &one, m, CUDA_R_16F, PEAK_N, m + step, CUDA_R_16F, PEAK_N, &zero, m + 2 * step,
                                      CUDA_R_16F, PEAK_N, CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
            else cudaMemcpyAsync(m, m + PEAK_BYTES, PEAK_BYTES, cudaMemcpyDeviceToDevice, NULL);
        cudaDeviceSynchronize();
        if (k > 0) best = fmin(best, aopt_seconds() - begin);
    }
    return best;
}

/* Fill j->peak_flops and j->peak_bytes, both per second; returns the first. */
static double judge_peaks(judge *j)
{
    static double flops, bytes;         /* one device in one run */
    cublasHandle_t blas = NULL;
    char *m = NULL;
    if (!(flops > 0)) {
        flops = bytes = 1e9;
        if (cudaMalloc((void **)&m, 2 * (size_t)PEAK_BYTES) == cudaSuccess && cudaMemset(m, 0x11, 2 * (size_t)PEAK_BYTES) == cudaSuccess && cublasCreate(&blas) == CUBLAS_STATUS_SUCCESS) {
            flops = 2.0 * PEAK_PRODUCTS * PEAK_N * (double)PEAK_N * PEAK_N / peak_time(blas, m, 1);
            bytes = 2.0 * PEAK_PRODUCTS * (double)PEAK_BYTES / peak_time(blas, m, 0);
        }
        if (blas) cublasDestroy(blas);
        cudaFree(m);
        cudaGetLastError();
    }
    j->peak_flops = flops;
    j->peak_bytes = bytes;
    return flops;
}
#else
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

#endif

static int profile_order(const void *a, const void *b)
{
    const double x = ((const aopt_profile_item *)a)->seconds, y = ((const aopt_profile_item *)b)->seconds;
    return x > y ? -1 : x < y;
}

static void profile_line(const judge *j, text *t, const char *name, int64_t calls, double s, double wall, double flops, double bytes)
{
    const double least = fmax(flops / j->peak_flops, bytes / j->peak_bytes);
    text_add_escaped(t, name, strcspn(name, "\t\n"));
    text_add(t, "\t%lld\t%.3f\t%.1f", (long long)calls, 1e3 * s, 100 * s / wall);
    if (flops > 0 && s > 0) text_add(t, "\t%.1f", flops / s * 1e-9); else text_add(t, "\t-");          /* what a kernel computes, nobody says */
    if (bytes > 0 && s > 0) text_add(t, "\t%.1f", bytes / s * 1e-9); else text_add(t, "\t-");
    if (least > 0) text_add(t, "\t%.3f\n", 1e3 * least); else text_add(t, "\t-\n");
}

/* The report is the candidate's word: cut to size and made safe before use.  n decodes of `wall` seconds each. */
static void profile_text(const judge *j, aopt_profile *p, int n, double wall, text *t)
{
    double named = 0, busy = 0, calls = 0;     /* busy, calls: as CUPTI saw them */
    int i, k, m = p->n < 0 ? 0 : p->n > AOPT_PROFILE_MAX ? (int)AOPT_PROFILE_MAX : p->n;
    for (i = k = 0; i < m; i++) {
        aopt_profile_item *it = &p->item[i];
        it->name[sizeof it->name - 1] = 0;
        if (!(it->seconds >= 0) || !(it->flops >= 0) || !(it->bytes >= 0) || !isfinite(it->seconds + it->flops + it->bytes)) continue;
        it->seconds /= n; it->flops /= n; it->bytes /= n; it->calls /= n;
        if (strcmp(it->name, PROFILE_BUSY) == 0) busy = it->seconds;
        else if (strcmp(it->name, PROFILE_WALL) == 0) calls = it->seconds;
        else {
            named += it->seconds;
            p->item[k++] = *it;
        }
    }
    qsort(p->item, (size_t)k, sizeof p->item[0], profile_order);
    text_add(t, "item\tcalls\tms\tshare_pct\tgflop_s\tgb_s\tfloor_ms\n");
    for (i = 0; i < k; i++) profile_line(j, t, p->item[i].name, p->item[i].calls, p->item[i].seconds, wall, p->item[i].flops, p->item[i].bytes);
    if (busy > 0) {
        profile_line(j, t, "(gaps)", 0, calls > busy ? calls - busy : 0, wall, 0, 0);
        text_add(t, "# kernels %.3f ms, together %.3f ms; with gaps of %.3f ms %.2f %% of the judge's %.3f ms\n", 1e3 * named, 1e3 * busy, 1e3 * (calls - busy), 100 * calls / wall, 1e3 * wall);
    } else if (wall > named) profile_line(j, t, k ? "(not named)" : "decode", k ? 0 : 1, wall - named, wall, k ? 0 : j->cost.flops, k ? 0 : j->cost.bytes);
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
        text out = text_none();
        judge_peaks(&j);
        rc = side_decode(&j, s, j.fixed, 1, NULL);
        if (rc == 0) rc = side_resume(&j, s);       /* collects what it saw so far */
        memset(report, 0, sizeof *report);
        while (rc == 0 && n < 20 && (n == 0 || wall < 1)) {
            rc = side_decode(&j, s, j.fixed, 1, &t);
            wall += t;
            n++;
        }
        if (rc == 0) rc = side_resume(&j, s);
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

typedef struct git_extra { const char *index, *date; const void *input; size_t input_n; } git_extra;     /* all zero = nothing special */

/* The environment of git: ours without GIT_*, and whatever x and r say.  store holds the strings made here. */
static const char **git_environment(const record *r, const git_extra *x, char store[7][PATH_BYTES + 40])
{
    static const char *const fixed[] = { "LC_ALL=C", "GIT_OPTIONAL_LOCKS=0", "GIT_TERMINAL_PROMPT=0", "GIT_NO_REPLACE_OBJECTS=1" };
    const char *const key[7] = { "GIT_INDEX_FILE", "GIT_AUTHOR_DATE", "GIT_COMMITTER_DATE", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL" };
    const char *value[7];
    const char **env;
    int i, n = 0;
    value[0] = x ? x->index : NULL;
    value[1] = value[2] = x ? x->date : NULL;
    value[3] = value[5] = r->name[0] ? r->name : NULL;
    value[4] = value[6] = r->name[0] ? r->email : NULL;
    while (environ[n]) n++;
    env = (const char **)malloc((size_t)(n + 12) * sizeof *env);
    if (!env) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    for (i = n = 0; environ[i]; i++)
        if (strncmp(environ[i], "GIT_", 4) != 0 && strncmp(environ[i], "LC_ALL=", 7) != 0 && strncmp(environ[i], "LANGUAGE=", 9) != 0) env[n++] = environ[i];
    for (i = 0; i < 4; i++) env[n++] = fixed[i];
    for (i = 0; i < 7; i++)
        if (value[i]) {
            snprintf(store[i], PATH_BYTES + 40, "%s=%s", key[i], value[i]);
            env[n++] = store[i];
        }
    env[n] = NULL;
    return env;
}

/* Run git in the root; out gets its output, errs its complaints (appended; NULL = dropped).  words: separated by spaces, a word that is
   exactly %s stands for the next argument.  Hooks, filters, monitors, signing and the caller's GIT_* variables have no say.
   Returns git's exit status, or negative. */
static int git_words(const record *r, const git_extra *x, text *out, text *errs, const char *words, va_list rest)
{
    static const char *const fixed[] = { "git", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=false", "-c", "commit.gpgsign=false",
        "-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "core.fsync=committed,reference", "-c", "i18n.commitEncoding=UTF-8",
        "-c", "core.quotePath=false", "-c", "core.safecrlf=false" };
    enum { FIXED = sizeof fixed / sizeof fixed[0], WORDS = 24 };
    char copy[1024], store[7][PATH_BYTES + 40], *w, *save = NULL;
    const char *argv[FIXED + WORDS + 1];
    text dropped = text_none();
    process p;
    int i, rc;
    for (i = 0; i < FIXED; i++) argv[i] = fixed[i];
    snprintf(copy, sizeof copy, "%s", words);
    for (w = strtok_r(copy, " ", &save); w && i < FIXED + WORDS; w = strtok_r(NULL, " ", &save))
        argv[i++] = strcmp(w, "%s") == 0 ? va_arg(rest, const char *) : w;
    argv[i] = NULL;
    memset(&p, 0, sizeof p);
    p.argv = argv; p.env = git_environment(r, x, store); p.cwd = r->root; p.timeout_s = 600;
    if (x) { p.input = x->input; p.input_n = x->input_n; }
    rc = process_run(&p, out ? out : &dropped, errs ? errs : &dropped);
    text_free(&dropped);
    free((void *)(uintptr_t)p.env);
    return rc;
}

static int git_errs(const record *r, text *out, text *errs, const char *words, ...)
{
    va_list rest;
    int rc;
    va_start(rest, words);
    rc = git_words(r, NULL, out, errs, words, rest);
    va_end(rest);
    return rc;
}

/* Output to out (NULL = none). */
static int git_run(const record *r, const git_extra *x, text *out, const char *words, ...)
{
    va_list rest;
    int rc;
    va_start(rest, words);
    rc = git_words(r, x, out, NULL, words, rest);
    va_end(rest);
    return rc;
}

/* 1 = git says yes (exit status 0) and prints exactly one line, which goes into out, or (out NULL) prints whatever. */
static int git_line(const record *r, char *out, size_t out_bytes, const char *words, ...)
{
    va_list rest;
    text t = text_none();
    int ok;
    va_start(rest, words);
    ok = git_words(r, NULL, &t, NULL, words, rest) == 0;
    va_end(rest);
    if (out) {
        if (t.n > 0 && t.data[t.n - 1] == '\n') t.data[--t.n] = 0;
        ok = ok && t.n < out_bytes && !(t.data && strchr(t.data, '\n'));
        snprintf(out, out_bytes, "%s", ok && t.data ? t.data : "");
    }
    text_free(&t);
    return ok;
}
#define git_yes(r, ...) git_line(r, NULL, 0, __VA_ARGS__)

/* A command that prints the name of an object. */
static int git_object(const record *r, const git_extra *x, char hex[65], const char *words, ...)
{
    va_list rest;
    text t = text_none();
    int ok;
    va_start(rest, words);
    ok = git_words(r, x, &t, NULL, words, rest) == 0 && t.data && sscanf(t.data, "%64[0-9a-f]", hex) == 1;
    va_end(rest);
    if (!ok) hex[0] = 0;
    text_free(&t);
    return ok;
}

/* The bytes of a blob such as "HEAD:./optimize.c", appended.  1 = ok. */
static int git_blob(const record *r, const char *name, text *out)
{
    text_append(out, "", 0);
    return git_run(r, NULL, out, "cat-file blob %s", name) == 0;
}

/* Name and mode of the blob at a path of the root, in a commit, or in the index (commit = NULL).  1 = there is one. */
static int git_entry(const record *r, const char *commit, const char *name, char hex[65], char mode[8])
{
    char line[PATH_BYTES], kind[16];
    hex[0] = mode[0] = 0;
    if (commit) return git_line(r, line, sizeof line, "ls-tree %s -- %s", commit, name) && sscanf(line, "%7s %15s %64s", mode, kind, hex) == 3;
    return git_line(r, line, sizeof line, "ls-files -s -- %s", name) && sscanf(line, "%7s %64s", mode, hex) == 2;
}

static git_extra git_input(const void *data, size_t n)
{
    git_extra x;
    memset(&x, 0, sizeof x);
    x.input = data;
    x.input_n = n;
    return x;
}

/* Store bytes as a blob; its name into hex[65].  write = 0: only the name. */
static int git_hash(const record *r, const void *data, size_t n, int write, char *hex)
{
    const git_extra x = git_input(data, n);
    return git_object(r, &x, hex, write ? "hash-object -w --no-filters --stdin" : "hash-object --no-filters --stdin");
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

/* In a CUDA build: lock the GPU against every clone on this machine until this process ends.  0, or 43. */
static int lock_gpu(attempt *a)
{
#ifdef AUTOOPT_CUDA
    char path[96];
    snprintf(path, sizeof path, "/tmp/autoopt-gpu-%s.lock", device_uuid());
    return lock_take(path, "this GPU", a) < 0 ? a->code : 0;
#else
    (void)a;
    return 0;
#endif
}

static int git_locate(record *r, attempt *a)
{
    char common[PATH_BYTES], *line[4], *p;
    text out = text_none(), errs = text_none();
    int i, rc;
    if (!getcwd(r->root, sizeof r->root)) return refuse(a, 42, "run from the folder of optimize.c", "current folder: %s", strerror(errno));
    rc = git_errs(r, &out, &errs, "rev-parse --is-inside-work-tree --show-prefix --absolute-git-dir --git-common-dir");
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
    const int both = git_line(r, name, sizeof name, "config user.name") && name[0]
                   && git_line(r, email, sizeof email, "config user.email") && email[0];
    snprintf(r->name, sizeof r->name, "%s", both ? name : "autoopt harness");
    snprintf(r->email, sizeof r->email, "%s", both ? email : "harness@autoopt.invalid");
}

/* HEAD as it is now: branch (or detached), commit, and that optimize.c is a plain file in it. */
static int git_head(record *r, attempt *a)
{
    char hex[65], mode[8];
    if (!git_line(r, r->branch, sizeof r->branch, "symbolic-ref -q HEAD")) r->branch[0] = 0;
    if (!git_line(r, r->head, sizeof r->head, "rev-parse -q --verify HEAD^{commit}"))
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
        if (!git_line(r, at, sizeof at, "rev-parse -q --verify %s", ref)) at[0] = 0;
        if (strcmp(at, to) == 0) return 1;
        if (strcmp(at, from) != 0) return 0;
        if (git_yes(r, "update-ref --create-reflog -m %s %s %s %s", why, ref, to, from[0] ? from : zero)) return 1;
        if (wait >= RECORD_WAIT_S * 10) return 0;
        usleep(100000);
    }
}

/* The log that this clone goes on with.  A plain clone has no refs/autoopt/log, but its branch carries it as second parent of the
   last KEEP; a shallow one may have neither, and then the committed results.tsv is where the log starts. */
static int git_find_log(record *r, int write, attempt *a)
{
    char carried[65], path[PATH_BYTES], next[300];
    text t = text_none();
    if (!git_line(r, r->log, sizeof r->log, "rev-parse -q --verify refs/autoopt/log^{commit}")) r->log[0] = 0;
    if (!git_line(r, carried, sizeof carried, "log -1 %s --format=%(trailers:key=Autoopt-Log,valueonly,separator=) HEAD", "--grep=^Autoopt-Log: ")
        || !git_yes(r, "cat-file -e %s", carried)) carried[0] = 0;
    path_join(path, r->dir, "adopted");
    if (carried[0] && strcmp(carried, r->log) != 0 && (!r->log[0] || !git_yes(r, "merge-base --is-ancestor %s %s", carried, r->log))) {
        if (r->log[0] && !git_yes(r, "merge-base --is-ancestor %s %s", r->log, carried)) {
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
#define PENDING(X) X(n, 24) X(verdict, 16) X(root, PATH_BYTES) X(gitdir, PATH_BYTES) X(branch, 256) X(old_head, 65) X(new_head, 65) \
    X(old_log, 65) X(new_log, 65) X(judged, 136) X(wanted, 136) X(strict, 2)
typedef struct pending {                /* new_head "" = no commit on the branch; judged, wanted: blobs of the sources ("" = leave them) and */
#define X(name, size) char name[size];  /* of HEAD's; strict "1" = this worktree was judged: say 45 if it was edited meanwhile */
    PENDING(X)
#undef X
} pending;
static const char *const source_name[2] = { "optimize.c", "autoopt_kernels.cuh" };

static aopt_status pending_write(const record *r, const pending *p, aopt_error *err)
{
    char path[PATH_BYTES];
    aopt_status st;
    text t = text_none();
#define X(name, size) kv_add(&t, #name, p->name);
    PENDING(X)
#undef X
    path_join(path, r->dir, "pending");
    st = file_write(path, t.data, t.n, 0666, err);
    text_free(&t);
    return st;
}

static int pending_read(const record *r, pending *p)
{
    char path[PATH_BYTES];
    text t = text_none();
    int ok;
    path_join(path, r->dir, "pending");
    ok = file_read(path, 1 << 16, &t, NULL) == AOPT_OK;
#define X(name, size) kv_get(t.data, #name, p->name, size);
    PENDING(X)
#undef X
    text_free(&t);
    return ok;
}

/* "a+b" -> a, b; "" where there is none. */
static void blob_split(const char *joined, char out[2][65])
{
    const char *plus = strchr(joined, '+');
    snprintf(out[0], 65, "%.*s", plus ? (int)(plus - joined) : 64, joined);
    snprintf(out[1], 65, "%s", plus ? plus + 1 : "");
}

/* Replace a source in the worktree, but only the version `from` (by `to`; both are blobs).  0 = it is `to` now; 45 = it is something
   else, somebody edited it meanwhile, and it stays; 42 = cannot. */
static int source_settle(const record *r, const char *name, const char *from, const char *to, attempt *a)
{
    char path[PATH_BYTES], hex[65];
    text t = text_none();
    aopt_error err;
    struct stat st;
    int rc = 0;
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
    char staged[65], was[65], now[65], mode[8], judged[2][65], wanted[2][65];
    text t = text_none();
    git_extra x;
    int i, ok = 1, wait;
    blob_split(p->judged, judged);
    blob_split(p->wanted, wanted);
    for (i = 0; i < 6; i++) {
        git_entry(r, NULL, name[i], staged, mode);
        if (p->new_head[0]) {
            git_entry(r, p->old_head, name[i], was, mode);
            if (!git_entry(r, p->new_head, name[i], now, mode)) continue;
        } else {                                /* restored: an attempt that was staged leaves the index too */
            if (i != OWN && i != OWN + 1) continue;
            snprintf(was, sizeof was, "%s", judged[i - OWN]);
            snprintf(now, sizeof now, "%s", wanted[i - OWN]);
            if (!was[0]) continue;
        }
        if (strcmp(staged, now) == 0 || (i >= OWN && strcmp(staged, was) != 0)) continue;
        text_add(&t, "%s %s\t%s%s", mode[0] ? mode : "100644", now, r->prefix, name[i]);
        text_append(&t, "", 1);
    }
    x = git_input(t.data, t.n);
    for (wait = 0; t.n > 0 && (ok = git_run(r, &x, NULL, "update-index --add -z --index-info") == 0) == 0 && wait < RECORD_WAIT_S * 10; wait++) usleep(100000);
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
    char path[PATH_BYTES], at[65], why[64], spec[80], judged[2][65], wanted[2][65];
    int i, rc = 0, k, keep;
    blob_split(p->judged, judged);
    blob_split(p->wanted, wanted);
    snprintf(why, sizeof why, "autoopt: row %s, %s", p->n, p->verdict);
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
            if (!git_line(r, at, sizeof at, "rev-parse -q --verify %s", p->branch)) at[0] = 0;
            if (strcmp(at, p->old_head) == 0) return refuse(a, 42, "end the git that holds it, then run this again", "%s is locked", p->branch);
            rc = refuse(a, 45, "run it again on the branch as it is now", "%s moved to %.12s during the run; row %s is recorded, its commit %.12s is not on the branch",
                        p->branch, at, p->n, p->new_head);
        }
        RECORD_STEP();
    }
    keep = strcmp(p->verdict, "KEEP") == 0;
    for (i = 0; i < 2 && rc == 0; i++)
        if (judged[i][0] && (p->new_head[0] || !keep)) {
            attempt edited;
            k = source_settle(r, source_name[i], keep ? wanted[i] : judged[i], keep ? judged[i] : wanted[i], &edited);
            if (k == 42 || (k == 45 && !keep && p->strict[0])) rc = refuse(a, k, edited.next, "%s", edited.why);
        }
    RECORD_STEP();
    if (rc == 42) return rc;
    if (rc == 0 && !index_update(r, p)) return refuse(a, 42, "end the git that holds it, then run this again", "%s/index.lock is held; row %s is recorded", r->gitdir, p->n);
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
    there.results = text_none();
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
typedef struct table { char *text; row *rows; int n; } table;   /* rows point into text */

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

static void table_header(text *out)
{
    int i;
    for (i = 0; i < COLUMN_N; i++) text_add(out, "%s%c", column_name[i], i + 1 < COLUMN_N ? '\t' : '\n');
}

static void table_free(table *t)
{
    free(t->text);
    free(t->rows);
    memset(t, 0, sizeof *t);
}

/* Parse results.tsv.  AOPT_E_FORMAT names the line. */
static aopt_status table_parse(const char *data, size_t n, table *out, aopt_error *err)
{
    text header = text_none();
    char *p, *end;
    size_t h;
    int i, cap = 1;
    memset(out, 0, sizeof *out);
    table_header(&header);
    h = header.n;
    i = n >= h && memcmp(data, header.data, h) == 0;
    text_free(&header);
    if (!i) return aopt_fail(err, AOPT_E_FORMAT, "results.tsv: the first line is not the header of this version (%d columns, n to desc)", COLUMN_N);
    out->text = (char *)malloc(n - h + 1);
    for (p = (char *)(uintptr_t)data + h; p < data + n; p++) cap += *p == '\n';
    out->rows = (row *)malloc((size_t)cap * sizeof *out->rows);
    if (!out->text || !out->rows) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    memcpy(out->text, data + h, n - h);
    out->text[n - h] = 0;
    for (p = out->text; *p; p = end + 1) {
        row *w = &out->rows[out->n];
        char *f = p;
        end = strchr(p, '\n');
        if (end) *end = 0;
        for (i = 0; i < COLUMN_N && f; i++) {
            w->field[i] = f;
            f = strchr(f, '\t');
            if (f) *f++ = 0;
        }
        if (!end || i != COLUMN_N || f || strtoll(w->field[C_N], NULL, 10) <= (out->n ? strtoll(w[-1].field[C_N], NULL, 10) : 0)) {
            aopt_fail(err, AOPT_E_FORMAT, "results.tsv: line %d is not a row: %d fields and a rising number are expected", out->n + 2, COLUMN_N);
            table_free(out);
            return AOPT_E_FORMAT;
        }
        out->n++;
    }
    return AOPT_OK;
}

static double row_number(const row *r, int column)
{
    char *end;
    const double v = strtod(r->field[column], &end);
    return end == r->field[column] || *end ? NAN : v;
}
static int64_t row_n(const row *r) { return strtoll(r->field[C_N], NULL, 10); }
static int64_t table_last(const table *t) { return t->n ? strtoll(t->rows[t->n - 1].field[C_N], NULL, 10) : 0; }
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
        if (row_baseline(&t->rows[i]) && row_group(&t->rows[i], like)) {
            const double v = row_number(&t->rows[i], C_T_INC);
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
    text group = text_none();
    row like;
    double base;
    memset(&like, 0, sizeof like);
    field_escape(&group, a->task, 200);
    text_append(&group, "", 1);
    field_escape(&group, a->device, 200);
    like.field[C_TASK] = group.data;
    like.field[C_DEVICE] = group.data + strlen(group.data) + 1;
    base = baseline_ms(before, before->n, &like);
    if (a->verdict == V_BASELINE && !(base <= a->t_inc_ms)) base = a->t_inc_ms;

    text_add(out, "%lld\t%s\t%s\t%d\t%s\t%s\t", (long long)a->n, a->utc, verdict_name(a->verdict), a->code, like.field[C_TASK], like.field[C_DEVICE]);
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
    text_free(&group);
}

/* r->results from the log, else from HEAD, else an empty table. */
static int results_load(record *r, attempt *a)
{
    char spec[80];
    table t;
    aopt_error err;
    r->results.n = 0;
    snprintf(spec, sizeof spec, "%s:results.tsv", r->log);
    if (r->log[0] && !git_blob(r, spec, &r->results)) return refuse(a, 42, "git fsck", "cannot read results.tsv of the log (%s)", r->log);
    if (!r->log[0] && !git_blob(r, "HEAD:./results.tsv", &r->results)) r->results.n = 0;
    if (r->results.n == 0) table_header(&r->results);
    if (table_parse(r->results.data, r->results.n, &t, &err) != AOPT_OK) return refuse(a, 44, "git log -p results.tsv", "%s", err.message);
    if (r->adopted < 0) r->adopted = table_last(&t);
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
    text file = text_none();
    aopt_error err;
    int rc = 0, fd;
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
    else text_add(t, ms >= 100 ? "%.1f ms" : "%.4g ms", ms);
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
    const row *a = &sort_table->rows[*(const int *)x], *b = &sort_table->rows[*(const int *)y];
    const double ta = row_number(a, C_T_CAND), tb = row_number(b, C_T_CAND);
    if (ta != tb) return ta < tb ? -1 : 1;
    return *(const int *)x - *(const int *)y;
}

enum { GROUPS = 64 };
/* First row of each task and device, those with most keeps (then most attempts) first.  Returns how many. */
static int table_groups(const table *t, int *first, int max)
{
    int size[GROUPS], i, k, n = 0, swap;
    for (i = 0; i < t->n; i++) {
        for (k = 0; k < n && !row_group(&t->rows[first[k]], &t->rows[i]); k++) { }
        if (k == n && n == max) continue;
        if (k == n) { first[n] = i; size[n++] = 0; }
        size[k] += row_keep(&t->rows[i]) ? 1 << 16 : 1;
    }
    for (i = 1; i < n; i++)
        for (k = i; k > 0 && size[k] > size[k - 1]; k--) {
            swap = size[k]; size[k] = size[k - 1]; size[k - 1] = swap;
            swap = first[k]; first[k] = first[k - 1]; first[k - 1] = swap;
        }
    return n;
}

typedef struct group_count { int attempts, keeps, baselines; double base, best; int best_row, last_row; } group_count;      /* last_row: the newest that was kept or taken as baseline */
static group_count group_of(const table *t, const row *like)
{
    group_count g;
    int i;
    memset(&g, 0, sizeof g);
    g.best_row = g.last_row = -1;
    g.base = baseline_ms(t, t->n, like);
    g.best = NAN;
    for (i = 0; i < t->n; i++) {
        const row *w = &t->rows[i];
        const double v = row_number(w, C_T_CAND);
        if (!row_group(w, like)) continue;
        if (row_baseline(w)) g.baselines++; else g.attempts++;
        g.keeps += row_keep(w);
        if ((!row_keep(w) && !row_baseline(w)) || !(v > 0)) continue;
        g.last_row = i;
        if (!(g.best <= v)) { g.best = v; g.best_row = i; }
    }
    return g;
}

static void leaderboard_make(const table *t, text *out)
{
    int first[GROUPS], k, i, n;
    const int groups = table_groups(t, first, GROUPS);
    int *order = (int *)malloc((size_t)(t->n + 1) * sizeof *order);
    if (!order) { fprintf(stderr, "harness: out of memory\n"); exit(125); }
    text_add(out, "# Leaderboard\n\nWritten by the harness from results.tsv: what was kept, fastest first. Times are medians measured by the judge, speed-up is over the\n"
                  "fastest measured baseline (the frozen fp32 decoder) of the same task on the same device. A gain is measured in pairs, a time is not: devices of\n"
                  "one name differ by a few percent, so a row can stand below one that it beat. `./harness show ROW` prints an attempt.\n");
    for (k = 0; k < groups; k++) {
        const row *like = &t->rows[first[k]];
        const group_count g = group_of(t, like);
        text_add(out, "\n## ");
        add_escaped(out, like->field[C_TASK], '|', 80); text_add(out, " on "); add_escaped(out, like->field[C_DEVICE], '|', 200);
        text_add(out, "\n\nBaseline ");
        add_ms(out, g.base);
        text_add(out, "; %d attempt%s, %d kept", g.attempts, g.attempts == 1 ? "" : "s", g.keeps);
        if (g.last_row >= 0) text_add(out, "; latest of what follows: row %s", t->rows[g.last_row].field[C_N]);
        text_add(out, ".\n\n");
        text_add(out, "| rank | time | speed-up | gain | 95 %% interval | PSNR dB | worst frame | peak MB | row | date | what |\n"
                      "|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|---|\n");
        for (i = n = 0; i < t->n; i++)
            if (row_group(&t->rows[i], like) && (row_keep(&t->rows[i]) || row_baseline(&t->rows[i])) && row_number(&t->rows[i], C_T_CAND) > 0) order[n++] = i;
        sort_table = t;
        qsort(order, (size_t)n, sizeof *order, by_time);
        for (i = 0; i < n; i++) {
            const row *w = &t->rows[order[i]];
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
typedef struct dot { double x, y, ms, step; int row, keep, timed; } dot;       /* step: log-ratio to the keep before, 0 = none */

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
            s.x0 = from; s.x1 = i < n ? d[i].x : (double)PLOT_RIGHT; s.y0 = at - 2; s.y1 = at + 2;
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

/* Label the largest steps, largest first, each where it hides least: above to the right of its step, else to the left of it. */
static void plot_labels(const plot *p, const table *t, dot *d, int n, box *taken, int taken_n, text *out)
{
    int shown, i, level;
    for (shown = 0; shown < LABEL_MAX; shown++) {
        double best = INFINITY, x = 0, y = 0, width;
        int pick = -1, lead = 0, chars = 0;
        const char *s;
        box at;
        memset(&at, 0, sizeof at);
        for (i = 0; i < n; i++) if (d[i].step > 0.015 && (pick < 0 || d[i].step > d[pick].step)) pick = i;
        if (pick < 0) return;
        for (s = t->rows[d[pick].row].field[C_DESC]; *s && chars < 36; s++) chars += ((unsigned char)*s & 0xc0) != 0x80;
        width = 6.3 * (chars + 1) + 44;
        for (level = 0; level < 14; level++) {
            const int right = level < 8, k = right ? level : (level - 7) / 2;
            const double lx = right ? d[pick].x + 8 : d[pick].x - 9 - width, ly = right ? d[pick].y - 9 - 15 * k : d[pick].y + 4 + (level % 2 ? 15 : -15) * k;
            double cost;
            box b;
            b.x0 = lx - 2; b.x1 = lx + width + 2; b.y0 = ly - 11; b.y1 = ly + 4;
            cost = label_cost(p, &b, taken, taken_n, d, n) + 0.4 * k + (right ? 0 : 0.5);
            if (cost < best) { best = cost; at = b; x = right ? lx : lx + width; y = ly; lead = k; }
        }
        if (isfinite(best)) {
            const char *side = x < d[pick].x ? " text-anchor=\"end\"" : "";
            taken[taken_n++] = at;
            if (lead) text_add(out, "<path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", d[pick].x, d[pick].y, x, *side ? y - 4 : y + 2);
            text_add(out, "<text class=\"label\" x=\"%.1f\" y=\"%.1f\"%s><tspan class=\"b\">\xe2\x88\x92%.*f %%</tspan> ", x, y, side, d[pick].step < 0.1, 100 * (1 - exp(-d[pick].step)));
            add_escaped(out, t->rows[d[pick].row].field[C_DESC], '<', 36);
            text_add(out, "</text>\n");
        }
        d[pick].step = 0;
    }
}

static void plot_stairs(const plot *p, const dot *d, int n, text *out)
{
    text line = text_none();
    int i, first = 1;
    double x0 = 0;
    for (i = 0; i < n; i++) {
        if (!d[i].keep) continue;
        text_add(&line, first ? "M%.1f %.1f" : "H%.1fV%.1f", d[i].x, d[i].y);
        if (first) x0 = d[i].x;
        first = 0;
    }
    if (!first) {
        text_add(&line, "H%d", PLOT_RIGHT);
        text_add(out, "<path class=\"area\" d=\"%sV%.1fH%.1fZ\"/>\n<path class=\"stair\" d=\"%s\"/>\n", line.data, p->y0 + PLOT_BOTTOM, x0, line.data);
    }
    text_free(&line);
}

static void plot_panel(const table *t, int first, double y0, text *out)
{
    const row *like = &t->rows[first];
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
        if (!row_group(&t->rows[i], like)) continue;
        d[n].row = i;
        d[n].ms = row_number(&t->rows[i], C_T_CAND);
        d[n].timed = d[n].ms > 0;
        d[n].keep = d[n].timed && (row_keep(&t->rows[i]) || row_baseline(&t->rows[i]));
        d[n].step = d[n].keep && now > 0 ? log(now / d[n].ms) : 0;
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
        if (g.base > g.best) text_add(out, ": <tspan class=\"b good\">%.*fx faster</tspan>", g.base / g.best < 10 ? 2 : 1, g.base / g.best);
        text_add(out, "; ");
    }
    text_add(out, "%d attempt%s, %d kept</text>\n", g.attempts, g.attempts == 1 ? "" : "s", g.keeps);
    text_add(out, "<g transform=\"translate(%d %.1f)\"><circle class=\"keep\" cx=\"0\" cy=\"-4\" r=\"4.5\"/><text class=\"mute\" x=\"9\">kept</text>"
             "<circle class=\"drop\" cx=\"54\" cy=\"-4\" r=\"3.2\"/><text class=\"mute\" x=\"63\">not kept</text>"
             "<path class=\"cross\" d=\"M127 -7l6 6m0-6l-6 6\"/><text class=\"mute\" x=\"139\">not timed</text></g>\n", PLOT_RIGHT - 194, y0 + 60);
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
        const row *w = &t->rows[d[i].row];
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
    int first[GROUPS], k, height, groups = table_groups(t, first, GROUPS);
    if (groups > PLOT_MAX) groups = PLOT_MAX;
    while (groups > 1 && group_of(t, &t->rows[first[groups - 1]]).attempts == 0) groups--;
    height = (groups ? groups : 1) * PLOT_H;
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
        double *const rate[3] = { &it->gflop_s, &it->gb_s, &it->floor_ms };
        char word[3][24] = { "-", "-", "-" };
        int k;
        memset(it, 0, sizeof *it);
        if (*p == '#' || strncmp(p, "item\t", 5) == 0) continue;
        if (sscanf(p, "%63[^\t\n]\t%lf\t%lf\t%lf\t%23[^\t\n]\t%23[^\t\n]\t%23[^\t\n]", it->name, &it->calls, &it->ms, &it->share, word[0], word[1], word[2]) < 4) continue;
        for (k = 0; k < 3; k++) *rate[k] = strcmp(word[k], "-") == 0 ? NAN : strtod(word[k], NULL);
        n++;
    }
    return n;
}

/* The block for a row and its profile: top items with share, rates and distance from the roofline, then the remarks. */
static void progress_block(const row *w, const char *profile, text *out)
{
    enum { TOP = 12 };
    profile_item item[AOPT_PROFILE_MAX];
    const int n = profile_items(profile, item, AOPT_PROFILE_MAX);
    const char *p;
    int i;
    text_add(out, "%s\n## Latest profile\n\nRow %s, ", progress_begin, w->field[C_N]);
    add_escaped(out, w->field[C_TASK], '|', 80); text_add(out, " on "); add_escaped(out, w->field[C_DEVICE], '|', 200);
    text_add(out, ", ");
    add_ms(out, row_number(w, C_T_CAND));
    text_add(out, ": ");
    add_escaped(out, w->field[C_DESC], '|', 200);
    text_add(out, "\n\n| item | calls | time | share | GFLOP/s | GB/s | x over its roofline |\n|---|---:|---:|---:|---:|---:|---:|\n");
    for (i = 0; i < n && i < TOP; i++) {
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
    text profile = text_none();
    int64_t n;
    int i;
    text_append(out, "", 0);
    if (log_profile(r, &profile, &n))
        for (i = 0; i < t->n; i++)
            if (row_n(&t->rows[i]) == n) progress_block(&t->rows[i], profile.data, out);
    text_free(&profile);
}

static aopt_status file_update(const char *path, const text *want, aopt_error *err)
{
    text have = text_none();
    int same;
    same = file_read(path, RESULTS_LIMIT, &have, NULL) == AOPT_OK && have.n == want->n && memcmp(have.data, want->data, have.n) == 0;
    text_free(&have);
    return same ? AOPT_OK : file_write(path, want->data, want->n, 0644, err);
}

/* leaderboard.md, progress.svg and the block of PROGRESS.md in the worktree, from the log's rows.  0, or 42. */
static int views_write(const record *r, attempt *a)
{
    char path[PATH_BYTES];
    text view = text_none(), block = text_none(), page = text_none();
    aopt_error err;
    table t;
    int bad;
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

/* parent "" = none; parent2 only beside parent. */
static int git_commit(const record *r, const char *tree, const char *parent, const char *parent2, const char *date, const text *message, char hex[65])
{
    git_extra x = git_input(message->data, message->n);
    x.date = date;
    return git_object(r, &x, hex, parent2[0] ? "commit-tree %s -F - -p %s -p %s" : parent[0] ? "commit-tree %s -F - -p %s" : "commit-tree %s -F -", tree, parent, parent2);
}

static void attempt_text(const attempt *a, text *out);

/* The commit of an attempt on the log: everything that one run leaves behind. */
static int log_commit(const record *r, const attempt *a, const text *source, const text *row_text, char hex[65])
{
    const struct { const char *name, *data; } part[] = { { "gate.txt", a->gate_text }, { "samples.tsv", a->samples }, { "build.log", a->build_log },
                                                          { "stderr.tail", a->stderr_tail }, { "profile.txt", a->profile } };
    char tree_hex[65] = "", spec[96];
    text tree = text_none(), t = text_none();
    git_extra x;
    size_t i, n;
    int ok = 1;
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
    x = git_input(tree.data, tree.n);
    ok = ok && git_object(r, &x, tree_hex, "mktree");
    t.n = 0;
    text_add(&t, "%lld %s %s: ", (long long)a->n, verdict_name(a->verdict), a->task);
    field_escape(&t, a->desc, 200);
    text_add(&t, "\n\n");
    field_escape(&t, a->why, sizeof a->why);
    text_add(&t, "\n\nAutoopt-Row: %lld\nAutoopt-Candidate: %s\nAutoopt-Parent: %s\n", (long long)a->n, a->candidate_blob, a->incumbent_blob);
    if (strcmp(a->via, "record") == 0) text_add(&t, "Autoopt-Seal: %s\n", a->seal);
    ok = ok && git_commit(r, tree_hex, r->log, "", a->utc, &t, hex);
    text_free(&tree);
    text_free(&t);
    return ok;
}

/* A commit on the branch: HEAD's tree with `n` files replaced; the log's tip is its second parent. */
static int branch_commit(const record *r, const char *const *name, const text *data, int n, const char *log, const char *date, const text *message, char hex[65])
{
    char index[PATH_BYTES], lock[PATH_BYTES], blob[65], was[65], mode[8], tree[65];
    git_extra x;
    text t = text_none();
    int i, ok = 1;
    path_join(index, r->dir, "index");
    path_join(lock, r->dir, "index.lock");      /* ours alone, left by a killed run */
    unlink(index);
    unlink(lock);
    for (i = 0; i < n && ok; i++) {
        ok = git_hash(r, data[i].data, data[i].n, 1, blob);
        git_entry(r, r->head, name[i], was, mode);
        text_add(&t, "%s %s\t%s%s", strncmp(mode, "100", 3) == 0 ? mode : "100644", blob, r->prefix, name[i]);
        text_append(&t, "", 1);
    }
    x = git_input(t.data, t.n);
    x.index = index;
    ok = ok && git_run(r, &x, NULL, "read-tree %s", r->head) == 0 && git_run(r, &x, NULL, "update-index --add -z --index-info") == 0
         && git_object(r, &x, tree, "write-tree") && git_commit(r, tree, r->head, log, date, message, hex);
    unlink(index);
    text_free(&t);
    return ok;
}

/* The commit of a KEEP or a BASELINE: sources, record and views as they will be once the log stands at `log`. */
static int keep_commit(const record *r, const attempt *a, const text *source, const char *log, char hex[65])
{
    const char *name[6];
    text data[6], message = text_none(), page = text_none(), block = text_none();
    record after = *r;
    aopt_error err;
    table t;
    int n = 0, i, ok;
    memset(data, 0, sizeof data);
    snprintf(after.log, sizeof after.log, "%s", log);
    after.results = text_none();
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
        text_add(&message, ", %.2f -> %.2f ms\n\n%.2f %% faster (", a->t_inc_ms, a->t_cand_ms, a->gain_pct);
        if (isfinite(a->ci_lo)) text_add(&message, "%.2f to %.2f, ", a->ci_lo, a->ci_hi);
        text_add(&message, "%d of %d pairs) on %s, task %s.\n", a->wins, a->pairs, a->device, a->task);
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
        if (!git_line(r, line, sizeof line, "diff --no-ext-diff --no-textconv --numstat %s %s", from[i], to[i])
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
    char path[PATH_BYTES], head[136], branch[256], number[24], got[136], hex[65];
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
    a->n = table_last(&t) + 1;
    got[0] = 0;
    for (i = 0; i < 1 + library && rc == 0; i++) {
        path_join(path, dir, source_name[i]);
        if (file_read(path, SOURCE_LIMIT, &source[i], &err) != AOPT_OK) rc = refuse(a, 44, "run it again", "%s", err.message);
        else if (!git_hash(r, source[i].data, source[i].n, 1, hex)) rc = refuse(a, 42, "free some space", "git cannot store %s", path);
        else snprintf(got + strlen(got), sizeof got - strlen(got), "%s%s", i ? "+" : "", hex);
    }
    if (rc == 0 && strcmp(got, a->candidate_blob) != 0) rc = refuse(a, 44, "run it again", "%s is not what was judged: %s, expected %s", dir, got, a->candidate_blob);
    if (rc == 0) {
        a->lines_changed = record_count_lines(r, a);
        row_make(a, &t, &row_text);
        snprintf(p.n, sizeof p.n, "%lld", (long long)a->n);
        if (a->verdict != V_BASELINE) snprintf(p.judged, sizeof p.judged, "%s", got);
        snprintf(p.wanted, sizeof p.wanted, "%s", head);
        snprintf(p.verdict, sizeof p.verdict, "%s", verdict_name(a->verdict));
        snprintf(p.root, sizeof p.root, "%s", r->root); snprintf(p.gitdir, sizeof p.gitdir, "%s", r->gitdir);
        snprintf(p.branch, sizeof p.branch, "%s", r->branch); snprintf(p.old_head, sizeof p.old_head, "%s", r->head);
        snprintf(p.old_log, sizeof p.old_log, "%s", r->log);
        snprintf(p.strict, sizeof p.strict, "%s", strict ? "1" : "");
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
    char v[600], key[24], where[80];
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
    int approve, allow_init;            /* as in judge_job */
    text lines;                         /* job.tsv */
    table known;                        /* results.tsv as it was packed */
} job;

static void job_free(job *j)
{
    text_free(&j->lines);
    table_free(&j->known);
}

/* One tree into the JOB, and its lines into job.tsv: key (blobs) and key_hash.  from = NULL: HEAD's sources; else a folder, or the path of an optimize.c. */
static int pack_tree(const record *r, const char *job_dir, const char *name, const char *from, int library, text *lines, attempt *a)
{
    char dir[PATH_BYTES], path[PATH_BYTES], source[PATH_BYTES], blob[65], joined[136] = "", hex[65], key[64];
    struct stat st;
    text t = text_none();
    aopt_error err;
    int i, rc = 0;
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
    if (rc == 0 && tree_sha256(dir, hex, &err) != AOPT_OK) rc = refuse(a, 42, "run this again", "%s", err.message);
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
    text t = text_none();
    int i, rc = 0;
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
    sha256_hex(r->results.data, r->results.n, hex);
    kv_add(&t, "results_hash", hex);
    sha256_hex(t.data, t.n, hex);
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
    text t = text_none();
    const char *seal;
    int i;
    memset(j, 0, sizeof *j);
    snprintf(j->dir, sizeof j->dir, "%s", dir);
    path_join(path, dir, "job.tsv");
    if (file_read(path, RESULTS_LIMIT, &j->lines, &err) != AOPT_OK) return refuse(a, 2, "./harness pack JOB makes one", "%s", err.message);
    seal = strstr(j->lines.data, "\nseal\t");
    sha256_hex(j->lines.data, seal ? (size_t)(seal + 1 - j->lines.data) : 0, hex);
    if (!kv_get(j->lines.data, "seal", j->seal, sizeof j->seal) || strcmp(hex, j->seal) != 0) return refuse(a, 44, next, "%s was edited after it was packed", path);
    if (!kv_get(j->lines.data, "format", number, sizeof number) || strcmp(number, "1") != 0) return refuse(a, 44, next, "%s: format %s, expected 1", path, number);
    kv_get(j->lines.data, "parent", j->parent, sizeof j->parent); kv_get(j->lines.data, "task", j->task, sizeof j->task);
    kv_get(j->lines.data, "scope", j->scope, sizeof j->scope); kv_get(j->lines.data, "harness_hash", j->harness_hash, sizeof j->harness_hash);
    kv_get(j->lines.data, "incumbent", j->incumbent, sizeof j->incumbent);
    kv_get(j->lines.data, "adopted", number, sizeof number); j->adopted = strtoll(number, NULL, 10);
    kv_get(j->lines.data, "candidates", number, sizeof number); j->n = atoi(number);
    for (i = 0; i <= j->n; i++) {
        snprintf(name, sizeof name, i ? "candidate-%d" : "incumbent", i);
        snprintf(key, sizeof key, "%s_hash", name);
        path_join(path, dir, name);
        if (!kv_get(j->lines.data, key, want, sizeof want) || tree_sha256(path, hex, &err) != AOPT_OK || strcmp(hex, want) != 0)
            return refuse(a, 44, next, "%s is not what was packed: SHA-256 %.12s, expected %.12s", path, hex, want);
    }
    path_join(path, dir, "results.tsv");
    if (file_read(path, RESULTS_LIMIT, &t, &err) != AOPT_OK || table_parse(t.data, t.n, &j->known, &err) != AOPT_OK) refuse(a, 44, next, "%s", err.message);
    else {
        sha256_hex(t.data, t.n, hex);
        if (!kv_get(j->lines.data, "results_hash", want, sizeof want) || strcmp(hex, want) != 0) refuse(a, 44, next, "%s was edited after it was packed", path);
        else { text_free(&t); return 0; }
    }
    text_free(&t);
    return a->code;
}

/* Tree k (0 = incumbent) of a JOB: its folder; a line of job.tsv about it: "" = its blobs, _hash, _desc, _attack. */
static void job_tree(const job *j, int k, char out[PATH_BYTES])
{
    char name[64];
    snprintf(name, sizeof name, k ? "candidate-%d" : "incumbent", k);
    path_join(out, j->dir, name);
}
static void job_get(const job *j, int k, const char *what, char *out, size_t out_bytes)
{
    char key[80];
    if (k) snprintf(key, sizeof key, "candidate-%d%s", k, what);
    else snprintf(key, sizeof key, "incumbent%s", what);
    kv_get(j->lines.data, key, out, out_bytes);
}

/* Seal of a result: its texts, tied to the job and to the result that made its incumbent. */
static void result_seal(const job *j, const char *before, const attempt *a, char hex[65])
{
    aopt_sha256 s;
    text t = text_none();
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
    text t = text_none();
    int bad;
    snprintf(name, sizeof name, "result-%d", k);
    path_join(final, j->dir, name);
    snprintf(name, sizeof name, "result-%d.tmp", k);
    path_join(dir, j->dir, name);
    folder_remove(dir);
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
    text t = text_none();
    int ok;
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

/* The newest row of this clone that makes an attempt a NOOP, 0 if none: same sides, harness, task and device; unchanged code counts as
   measured if it was kept or taken as baseline, and what a person now allows does not.  baseline = 1: the newest baseline of the attempt's task and device. */
static int64_t job_known(const job *j, const attempt *a, int baseline)
{
    const int same = strcmp(a->candidate_blob, a->incumbent_blob) == 0;
    text task_name = text_none(), device = text_none();
    int64_t n = 0;
    int i;
    field_escape(&task_name, a->task, 200);
    field_escape(&device, a->device, 200);
    for (i = 0; i < j->known.n; i++) {
        const row *w = &j->known.rows[i];
        if (row_n(w) <= j->adopted || !row_is(w, C_TASK, task_name.data) || !row_is(w, C_DEVICE, device.data)) continue;
        if ((j->approve && row_is(w, C_CODE, "28")) || (j->allow_init && row_is(w, C_CODE, "33"))) continue;
        if (baseline ? row_baseline(w) : row_is(w, C_HARNESS, a->harness_hash) && row_is(w, C_CANDIDATE, a->candidate_blob)
            && (same ? row_keep(w) || row_baseline(w) : row_is(w, C_PARENT, a->incumbent_blob))) n = row_n(w);
    }
    text_free(&task_name);
    text_free(&device);
    return n;
}

/* How often this source crashed here, whatever it was measured against. */
static int job_crashes(const job *j, const attempt *a)
{
    int i, n = 0;
    for (i = 0; i < j->known.n; i++) n += row_is(&j->known.rows[i], C_CODE, "30") && row_is(&j->known.rows[i], C_CANDIDATE, a->candidate_blob);
    return n;
}

/* Judge tree k against the tree `incumbent` (k = 0: the baseline of the incumbent).  Fills a; 0, or a refusal. */
static int job_judge(const job *j, const goals *g, int k, int incumbent, attempt *a)
{
    char candidate_dir[PATH_BYTES], incumbent_dir[PATH_BYTES], desc[204];
    attempt profiled;
    judge_job jj;
    aopt_error err;
    int64_t known;
    attempt_init(a);
    memset(&jj, 0, sizeof jj);
    job_tree(j, k, candidate_dir);
    job_tree(j, incumbent, incumbent_dir);
    job_get(j, k, "", a->candidate_blob, sizeof a->candidate_blob);
    job_get(j, incumbent, "", a->incumbent_blob, sizeof a->incumbent_blob);
    job_get(j, k || j->n ? k : 1, "_desc", desc, sizeof desc);          /* unchanged code: what was said goes to the baseline */
    if (!desc[0]) snprintf(desc, sizeof desc, "baseline");
    snprintf(a->desc, sizeof a->desc, "%s", desc);
    job_get(j, k, "_attack", a->attack, sizeof a->attack);
    snprintf(a->scope, sizeof a->scope, "%s", j->scope);
    snprintf(a->via, sizeof a->via, "local");
    jj.task = goals_task_named(g, j->task);
    if (!jj.task) return refuse(a, 2, "the tasks are in goals.json", "no task %s", j->task);
    snprintf(a->task, sizeof a->task, "%s", jj.task->name);
    snprintf(a->harness_hash, sizeof a->harness_hash, "%s", j->harness_hash);
    now_utc(a->utc);
    device_name(a->device, sizeof a->device);
    known = job_known(j, a, k == 0 && j->n > 0);
    if (known || (k > 0 && strcmp(a->candidate_blob, a->incumbent_blob) == 0)) {
        a->verdict = V_NOOP;
        a->code = 3;
        snprintf(a->why, sizeof a->why, known ? "this code was measured here before: row %lld" : "this code is the incumbent", (long long)known);
        snprintf(a->next, sizeof a->next, "edit optimize.c");
        return 0;
    }
    if (k > 0 && job_crashes(j, a) >= CRASHES) {
        a->verdict = V_REJECT;
        a->code = 30;
        snprintf(a->why, sizeof a->why, "this source has crashed %d times: it is not run again", job_crashes(j, a));
        snprintf(a->next, sizeof a->next, "change optimize.c; ./harness verify still runs it, to find out why");
        return 0;
    }
    jj.goals = g; jj.incumbent_dir = incumbent_dir; jj.candidate_dir = candidate_dir; jj.desc = desc;
    jj.scope_library = strcmp(j->scope, "library") == 0; jj.baseline = k == 0;
    jj.approve = j->approve; jj.allow_init = j->allow_init;
    if (judge_attempt(&jj, a, &err) != AOPT_OK) return refuse(a, 125, "./harness verify", "%s", err.message);
    attempt_init(&profiled);
    if ((a->verdict == V_KEEP || a->verdict == V_BASELINE) && judge_profile(&jj, &profiled, &err) == AOPT_OK && profiled.verdict == V_NONE) {
        a->profile = profiled.profile;          /* a profile that fails costs nothing but itself */
        profiled.profile = NULL;
    }
    attempt_free(&profiled);
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
    text seals = text_none();
    int k, rc = 0, incumbent = 0, recorded = 0, done = 0;
    text_append(&seals, "", 0);
    if (measure) rc = lock_gpu(a);
    if (r && !strict) git_run(r, NULL, &seals, "log --format=%(trailers:key=Autoopt-Seal,valueonly) --first-parent %s", r->log[0] ? r->log : "HEAD");
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

/* Scope library: the kernels are the experiment.  Their first half, the judge's, is checked when they are built. */
static void goals_scope(goals *g, int library)
{
    int i, n = 0;
    for (i = 0; i < g->frozen_n; i++) {
        if (library && strcmp(g->frozen[i], source_name[1]) == 0) continue;
        if (n != i) memcpy(g->frozen[n], g->frozen[i], sizeof g->frozen[0]);
        n++;
    }
    g->frozen_n = n;
}

/* The frozen files, which equal what this binary was built from, are HEAD's too: what people change, they commit.  0 or 40. */
static int frozen_committed(const record *r, const goals *g, attempt *a)
{
    char spec[160], hex[65];
    int i, rc = 0;
    for (i = 0; i < g->frozen_n && rc == 0; i++) {
        const char *baked = frozen_baked(g->frozen[i]);
        text t = text_none();
        snprintf(spec, sizeof spec, "HEAD:./%s", g->frozen[i]);
        if (git_blob(r, spec, &t)) sha256_hex(t.data, t.n, hex);
        else hex[0] = 0;
        if (baked ? memcmp(baked, hex, 64) != 0 : hex[0] != 0)
            rc = refuse(a, 40, "people: commit it, then run this again; agents: git checkout HEAD -- it, then ./build.sh", "%s: frozen, but HEAD has %s", g->frozen[i], hex[0] ? "another version" : "no such file");
        text_free(&t);
    }
    return rc;
}

/* goals.json, and that nothing frozen was touched: 40. */
static int goals_open(goals *g, int library, char harness_hash[65], attempt *a)
{
    aopt_error err;
    if (goals_load("goals.json", g, &err) != AOPT_OK) return refuse(a, 40, "git checkout HEAD -- goals.json", "%s", err.message);
    goals_scope(g, library);
    if (frozen_check(g, harness_hash, &err) != AOPT_OK) return refuse(a, 40, "restore it as said, or (people) commit it and ./build.sh", "%s", err.message);
    return 0;
}

/* The loop, once: judge the worktree's optimize.c against HEAD's, keep or restore, record, print.  Returns the exit status. */
static int record_run(const goals *g, const task *t, const char *desc, const char *attack, int scope_library, int approve, int allow_init)
{
    char harness_hash[65], path[PATH_BYTES], candidate[136];
    pack_item item;
    aopt_error err;
    record r;
    attempt a;
    job j;
    int rc;
    attempt_init(&a);
    memset(&j, 0, sizeof j);
    rc = record_open(&r, 1, &a);
    RECORD_STEP();
    if (rc == 0) rc = results_complete(&r, &a);
    if (rc == 0 && frozen_check(g, harness_hash, &err) != AOPT_OK) rc = refuse(&a, 40, "restore it as said, or (people) commit it and ./build.sh", "%s", err.message);
    if (rc == 0) rc = frozen_committed(&r, g, &a);
    if (rc == 0) {
        path_join(path, r.dir, "job");
        folder_remove(path);
        item.from = scope_library ? "." : "optimize.c"; item.desc = desc; item.attack = attack;
        rc = job_pack(&r, path, t->name, scope_library ? "library" : "optimize", harness_hash, &item, 1, &a);
        RECORD_STEP();
        if (rc == 0) rc = job_load(&j, path, &a);
    }
    if (rc == 0) {
        j.approve = approve;
        j.allow_init = allow_init;
        job_get(&j, 1, "", candidate, sizeof candidate);
        if (strcmp(candidate, j.incumbent) == 0) j.n = 0;       /* unchanged code: the baseline alone */
        rc = job_run(&j, &r, g, 1, 0, 1, &a);
    } else verdict_print(&a);
    attempt_free(&a);
    job_free(&j);
    record_close(&r);
    return rc;
}

/* What pack and record start with. */
static int record_begin(record *r, goals *g, int library, char harness_hash[65], attempt *a)
{
    int rc = record_open(r, 1, a);
    if (rc == 0) rc = goals_open(g, library, harness_hash, a);
    if (rc == 0) rc = frozen_committed(r, g, a);
    return rc == 0 ? results_complete(r, a) : rc;
}

static const task *choose_task(const goals *g, const char *name, aopt_error *err);
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
    aopt_error err;
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
    rc = record_begin(&r, &g, strcmp(scope, "library") == 0, harness_hash, &a);
    if (rc == 0 && !(t = choose_task(&g, task_name, &err))) rc = refuse(&a, 2, "the tasks are in goals.json", "%s", err.message);
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
    int i, rc;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--budget") == 0 && i + 1 < argc) budget = atof(argv[++i]);
        else if (argv[i][0] != '-' && !dir) dir = argv[i];
        else return usage_error("measure JOB [--budget SECONDS]");
    }
    if (!dir) return usage_error("measure JOB [--budget SECONDS]");
    attempt_init(&a);
    rc = job_load(&j, dir, &a);
    path_join(path, dir, "lock");
    if (rc == 0 && lock_take(path, "this JOB", &a) < 0) rc = a.code;         /* held until this process ends */
    if (rc == 0) rc = goals_open(&g, strcmp(j.scope, "library") == 0, harness_hash, &a);
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
    r.lock = -1;
    r.results = text_none();
    rc = job_load(&j, argv[1], &a);
    if (rc == 0) rc = record_begin(&r, &g, strcmp(j.scope, "library") == 0, harness_hash, &a);
    if (rc == 0 && strcmp(harness_hash, j.harness_hash) != 0)
        rc = refuse(&a, 40, "build the harness of the commit that was packed", "packed by harness %.12s, this is %.12s", j.harness_hash, harness_hash);
    if (rc == 0 && !git_yes(&r, "merge-base --is-ancestor %s HEAD", j.parent))
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
    int own, since_keep, nibbles, may_stop, top_n;
    profile_item top[8]; int attacked[8];
    char reason[300];
} goal_state;

/* Whether the loop may stop on a row's task and device.  own: rows of this clone; only these count, so that a record which came by clone
   ends no loop.  since_keep: attempts after the newest keep; nibbles: newest keeps in a row, each below the nibble threshold; an item
   counts as attacked if one of these attempts named it. */
static void goal_of(const record *r, const goals *g, const table *t, const row *like, goal_state *s)
{
    text profile = text_none();
    int64_t n;
    int i, k, left = 0, want;
    double hours = 0;
    struct tm tm;
    memset(s, 0, sizeof *s);
    want = g->stop_top_items < 8 ? g->stop_top_items : 8;
    if (log_profile(r, &profile, &n)) s->top_n = profile_items(profile.data, s->top, want);
    text_free(&profile);
    for (i = 0; i < t->n; i++) {
        const row *w = &t->rows[i];
        if (!row_group(w, like) || row_n(w) <= r->adopted) continue;
        s->own++;
        if (hours <= 0) {
            memset(&tm, 0, sizeof tm);
            if (strptime(w->field[C_UTC], "%Y-%m-%dT%H:%M:%SZ", &tm)) hours = (double)(time(NULL) - timegm(&tm)) / 3600;
        }
        if (row_keep(w)) {
            s->nibbles = row_number(w, C_GAIN) < g->stop_nibble_pct ? s->nibbles + 1 : 0;
            s->since_keep = 0;
            memset(s->attacked, 0, sizeof s->attacked);
        } else if (!row_baseline(w) && row_number(w, C_CODE) != 10 && row_number(w, C_CODE) != 11) {     /* a source that does not build is no attempt */
            s->since_keep++;
            for (k = 0; k < s->top_n; k++) if (strcasecmp(w->field[C_ATTACK], s->top[k].name) == 0) s->attacked[k] = 1;
        }
    }
    for (k = s->top_n - 1; k >= 0; k--) if (!s->attacked[k]) left = k + 1;
    if (!s->own) snprintf(s->reason, sizeof s->reason, "nothing is measured in this clone yet: ./harness --desc \"baseline\"");
    else if (g->stop_hours > 0 && hours >= g->stop_hours) {
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
    goal_of(r, g, &t, &t.rows[t.n - 1], &s);
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
    else if (a->n > 0) snprintf(a->next + strlen(a->next), sizeof a->next - strlen(a->next), "%s./harness show %lld has all of it, ./harness show %lld optimize.c the source",
                               a->next[0] ? "; " : "", (long long)a->n, (long long)a->n);
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
    for (i = v->t.n - 1; i >= 0; i--) if (!task_name || row_is(&v->t.rows[i], C_TASK, task_name)) return &v->t.rows[i];
    return NULL;
}

/* Rows that the branch does not carry yet. */
static int view_uncommitted(const view *v)
{
    text t = text_none();
    int n = v->t.n;
    size_t i;
    if (git_blob(&v->r, "HEAD:./results.tsv", &t)) for (i = 0, n++; i < t.n; i++) n -= t.data[i] == '\n';
    text_free(&t);
    return n > 0 ? n : 0;
}

static void status_json(const view *v, const row *like, const group_count *g, const goal_state *s, text *out)
{
    int i, k, shown = 0;
    text_add(out, "{\"rows\":%d,\"uncommitted_rows\":%d", v->t.n, view_uncommitted(v));
    json_text(out, "branch", v->r.branch[0] ? v->r.branch : "(detached)");
    json_text(out, "head", v->r.head);
    if (like) {
        json_text(out, "task", like->field[C_TASK]);
        json_text(out, "device", like->field[C_DEVICE]);
        json_number(out, "baseline_ms", g->base); json_number(out, "best_ms", g->best); json_number(out, "speedup", g->base / g->best);
        json_number(out, "best_row", g->best_row >= 0 ? row_number(&v->t.rows[g->best_row], C_N) : NAN);
        json_number(out, "latest_ms", g->last_row >= 0 ? row_number(&v->t.rows[g->last_row], C_T_CAND) : NAN);
        json_number(out, "latest_row", g->last_row >= 0 ? row_number(&v->t.rows[g->last_row], C_N) : NAN);
        text_add(out, ",\"attempts\":%d,\"keeps\":%d,\"since_keep\":%d,\"nibbles\":%d,\"may_stop\":%s", g->attempts, g->keeps, s->since_keep, s->nibbles, s->may_stop ? "true" : "false");
        json_text(out, "reason", s->reason);
        text_add(out, ",\"top\":[");
        for (k = 0; k < s->top_n; k++) {
            text_add(out, "%s{\"attacked\":%s", k ? "," : "", s->attacked[k] ? "true" : "false");
            json_text(out, "item", s->top[k].name);
            json_number(out, "share_pct", s->top[k].share);
            text_add(out, "}");
        }
        text_add(out, "],\"last\":[");
        for (i = v->t.n - 1; i >= 0 && shown < 5; i--) {
            const row *w = &v->t.rows[i];
            if (!row_group(w, like)) continue;
            text_add(out, "%s{\"n\":%s,\"verdict\":\"%s\",\"code\":%s", shown++ ? "," : "", w->field[C_N], w->field[C_VERDICT], w->field[C_CODE]);
            json_number(out, "gain_pct", row_number(w, C_GAIN)); json_number(out, "t_cand_ms", row_number(w, C_T_CAND));
            json_text(out, "desc", w->field[C_DESC]);
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
    if (g->best_row >= 0) text_add(out, ", %.2fx, row %s: %s", g->base / g->best, v->t.rows[g->best_row].field[C_N], v->t.rows[g->best_row].field[C_DESC]);
    if (g->last_row >= 0 && g->last_row != g->best_row) {       /* what HEAD holds all the same: the machines of the two differ, or their days */
        text_add(out, "\nlatest    "); add_ms(out, row_number(&v->t.rows[g->last_row], C_T_CAND));
        text_add(out, ", row %s: %s", v->t.rows[g->last_row].field[C_N], v->t.rows[g->last_row].field[C_DESC]);
    }
    text_add(out, "\nattempts  %d, %d kept, %d since the last keep\n", g->attempts, g->keeps, s->since_keep);
    while (from > 0 && shown < 5) shown += row_group(&v->t.rows[--from], like);
    for (i = from; i < v->t.n; i++) {
        const row *w = &v->t.rows[i];
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
    text out = text_none();
    int i, json = 0, rc;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0 && !is_goal) json = 1;
        else if (strcmp(argv[i], "--task") == 0 && i + 1 < argc) task_name = argv[++i];
        else return usage_error(is_goal ? "goal [--task NAME]" : "status [--json] [--task NAME]");
    }
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
            else if (!s.own) printf("GO ON: %s\n", s.reason);
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
    text out = text_none();
    if (argc != 1) return usage_error("report");
    (void)argv;
    rc = view_open(&v);
    groups = rc == 0 ? table_groups(&v.t, first, GROUPS) : 0;
    for (k = 0; k < groups; k++) {
        const row *like = &v.t.rows[first[k]];
        const group_count g = group_of(&v.t, like);
        double chained = 1, at_start = NAN;
        text_add(&out, "%s## %s on %s\n\n%d attempts, %d kept", k ? "\n" : "", like->field[C_TASK], like->field[C_DEVICE], g.attempts, g.keeps);
        if (g.base > 0 && g.best > 0) { text_add(&out, "; baseline "); add_ms(&out, g.base); text_add(&out, ", best "); add_ms(&out, g.best); text_add(&out, ", %.2fx", g.base / g.best); }
        text_add(&out, "\n\n");
        for (i = 0; i < v.t.n; i++) {
            const row *w = &v.t.rows[i];
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
    text t = text_none();
    long long n, last;
    int i, rc;
    if (argc < 2 || argc > 3 || sscanf(argv[1], "%lld", &n) != 1) return usage_error("show N [FILE | --diff]");
    rc = view_open(&v);
    if (rc == 0) {
        last = table_last(&v.t);
        snprintf(spec, sizeof spec, "%s~%lld", v.r.log, last - n);
        if (n < 1 || n > last || !v.r.log[0] || !git_line(&v.r, commit, sizeof commit, "rev-parse -q --verify %s", spec)) {
            fprintf(stderr, "harness: no row %lld in the log of this clone\n", n);
            rc = 2;
        } else if (argc == 3 && strcmp(argv[2], "--diff") == 0) {
            for (i = 0; i < v.t.n && row_n(&v.t.rows[i]) != n; i++) { }
            snprintf(field[0], sizeof field[0], "%.*s", (int)strcspn(v.t.rows[i].field[C_PARENT], "+"), v.t.rows[i].field[C_PARENT]);
            snprintf(field[1], sizeof field[1], "%.*s", (int)strcspn(v.t.rows[i].field[C_CANDIDATE], "+"), v.t.rows[i].field[C_CANDIDATE]);
            rc = git_run(&v.r, NULL, &t, "diff --no-ext-diff --no-textconv %s %s", field[0], field[1]) == 0 ? 0 : 2;
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

/* sync: write results.tsv and its views again from the log, and commit them, with the journal (PROGRESS.md), if the branch lacks them or, as after a
   commit by hand, the log that they come from: a clone of the branch has no other. */
static int command_sync(int argc, char **argv)
{
    static const char *const name[] = { "results.tsv", "leaderboard.md", "progress.svg", "PROGRESS.md" };
    char path[PATH_BYTES], utc[24];
    text data[4], head, message;
    pending p;
    attempt a;
    record r;
    aopt_error err;
    int i, rc, differs = 0, has_log, n = 0;
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
    has_log = rc != 0 || !r.log[0] || git_yes(&r, "merge-base --is-ancestor %s HEAD", r.log);
    differs |= !has_log;
    if (rc == 0 && differs && r.log[0] && r.branch[0]) {
        now_utc(utc);
        text_add(&message, "record: bring the branch up to date\n\nAutoopt-Log: %s\n", r.log);
        snprintf(p.verdict, sizeof p.verdict, "SYNC");
        snprintf(p.root, sizeof p.root, "%s", r.root); snprintf(p.gitdir, sizeof p.gitdir, "%s", r.gitdir);
        snprintf(p.branch, sizeof p.branch, "%s", r.branch); snprintf(p.old_head, sizeof p.old_head, "%s", r.head);
        snprintf(p.old_log, sizeof p.old_log, "%s", r.log); snprintf(p.new_log, sizeof p.new_log, "%s", r.log);
        if (!branch_commit(&r, name, data, n, has_log ? "" : r.log, utc, &message, p.new_head)
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
typedef struct audit { int bad, checked, judged, elsewhere; } audit;   /* elsewhere: kept sources of tasks that cannot run here */
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
    char spec[PATH_BYTES], hex[65], mode[8], commit[65], blobs[2][65], candidate[140];
    text commits = text_none(), row_text = text_none(), all = text_none(), before = text_none();
    const char *p;
    int i;
    git_run(r, NULL, &commits, "rev-list --first-parent --reverse %s", r->log);
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
    char line[300], commit[65], candidate[140], hex[65], mode[8], blobs[2][65];
    text head = text_none(), want = text_none(), have = text_none(), commits = text_none();
    attempt a;
    table at_head;
    aopt_error err;
    const char *p;
    long long n;
    int i, k;
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
    git_run(r, NULL, &commits, "log --first-parent %s HEAD", "--format=%H %(trailers:key=Autoopt-Row,valueonly,separator=) %(trailers:key=Autoopt-Candidate,valueonly,separator=)");
    for (p = commits.data; p && *p; p = strchr(p, '\n') ? strchr(p, '\n') + 1 : NULL) {
        snprintf(line, sizeof line, "%.*s", (int)strcspn(p, "\n"), p);
        if (sscanf(line, "%64[0-9a-f] %lld %139[0-9a-f+]", commit, &n, candidate) != 3) continue;
        for (i = 0; i < t->n && row_n(&t->rows[i]) != n; i++) { }
        audit_say(u, i < t->n && row_is(&t->rows[i], C_CANDIDATE, candidate), "row %lld: commit %.12s names source %.12s, the row another", n, commit, candidate);
        blob_split(candidate, blobs);
        for (k = 0; k < 2; k++)
            if (blobs[k][0] && git_entry(r, commit, source_name[k], hex, mode))
                audit_say(u, strcmp(hex, blobs[k]) == 0, "row %lld: commit %.12s has another %s than was judged", n, commit, source_name[k]);
    }
    text_free(&head); text_free(&want); text_free(&have); text_free(&commits);
}

/* Is this row another machine's, of a task of goals.json that this one cannot run, for want of its files, of memory or of ten minutes? */
static int audit_elsewhere(const goals *g, const char *task_name, const char *device)
{
    const size_t n = strlen(task_name), tail = strlen(STAND_IN);
    const task *t = goals_task_named(g, task_name);
    char stem[48], here[128];
    judge peaks;
    double s;
    device_name(here, sizeof here);
    if (strcmp(device, here) == 0) return 0;
    snprintf(stem, sizeof stem, "%.*s", n > tail && strcmp(task_name + n - tail, STAND_IN) == 0 ? (int)(n - tail) : (int)n, task_name);
    if (!t) return goals_task_named(g, stem) != NULL;
    memset(&peaks, 0, sizeof peaks);
    peaks.device.threads = cpu_count();
    s = judge_task_cost(t, judge_peaks(&peaks));
    return s < 0 || s > 600;
}

/* Judge a kept row again: the frozen decoder against its source.  It must pass the gate; on the row's own device the speed-up over the
   baseline must come out within tolerance_pct, and the quality within 1 dB anywhere. */
static void audit_row(const record *r, const goals *g, const table *t, int i, const char *work, double tolerance_pct, audit *u)
{
    const row *w = &t->rows[i];
    char dir[PATH_BYTES], path[PATH_BYTES], blobs[2][65], task_name[48], device[256];
    judge_job jj;
    attempt a;
    aopt_error err;
    text source = text_none();
    double was, now;
    int k, ok = 1;
    memset(&jj, 0, sizeof jj);
    attempt_init(&a);
    field_unescape(w->field[C_TASK], strlen(w->field[C_TASK]), task_name, sizeof task_name);
    field_unescape(w->field[C_DEVICE], strlen(w->field[C_DEVICE]), device, sizeof device);
    jj.task = goals_task_named(g, task_name);
    path_join(dir, work, "tree");
    folder_remove(dir);
    blob_split(w->field[C_CANDIDATE], blobs);
    ok = mkdir(dir, 0777) == 0;
    for (k = 0; k < 2 && ok; k++)
        if (blobs[k][0]) {
            source.n = 0;
            path_join(path, dir, source_name[k]);
            ok = git_blob(r, blobs[k], &source) && file_write(path, source.data, source.n, 0644, &err) == AOPT_OK;
        }
    text_free(&source);
    if (ok && audit_elsewhere(g, task_name, device)) {
        u->elsewhere++;
        printf("audit row %s: not judged again, task %s cannot run here\n", w->field[C_N], task_name);
        return;
    }
    if (!ok || !jj.task) { audit_say(u, 0, "row %s: its source or its task %s is gone", w->field[C_N], task_name); return; }
    jj.candidate_dir = dir; jj.goals = g; jj.baseline = 1; jj.desc = "audit"; jj.scope_library = blobs[1][0] != 0;
    snprintf(a.task, sizeof a.task, "%s", task_name);
    if (judge_attempt(&jj, &a, &err) != AOPT_OK) audit_say(u, 0, "row %s: %s", w->field[C_N], err.message);
    else if (a.verdict != V_BASELINE)
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
    if (rc == 0) rc = goals_open(&g, 0, harness_hash, &a);
    if (rc == 0 && table_parse(r.results.data, r.results.n, &t, &err) != AOPT_OK) rc = refuse(&a, 44, "git log -p results.tsv", "%s", err.message);
    if (rc != 0) printf("AUDIT FAIL %s\nNEXT %s\n", a.why, a.next);
    else {
        if (r.log[0]) audit_log(&r, &u);
        audit_branch(&r, &t, &u);
        for (i = 0; i < t.n; i++) if (row_keep(&t.rows[i])) audit_row(&r, &g, &t, i, r.dir, tolerance_pct, &u);
        printf("audit: %d rows, %d facts checked, %d kept sources judged again, %d wrong", t.n, u.checked, u.judged, u.bad);
        if (u.elsewhere) printf(", %d of tasks that cannot run here", u.elsewhere);
        putchar('\n');
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
    text out = text_none();
    int i, rc, here = 0;
    for (i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--here") == 0) here = 1;
        else if (strcmp(argv[i], "--tolerance") == 0 && i + 1 < argc) tolerance_pct = atof(argv[++i]);
        else return usage_error("audit [--tolerance PERCENT]");
    }
    if (here) return audit_here(tolerance_pct);
    attempt_init(&a);
    memset(&p, 0, sizeof p);
    if ((rc = record_open(&r, 0, &a)) != 0) { printf("AUDIT FAIL %s\nNEXT %s\n", a.why, a.next); record_close(&r); return rc; }
    snprintf(work, sizeof work, "%s/autoopt-audit.XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    if (!mkdtemp(work)) { printf("AUDIT FAIL %s: %s\n", work, strerror(errno)); record_close(&r); return 42; }
    path_join(clone, work, "clone");
    snprintf(from, sizeof from, "%.*s", (int)(strlen(r.dir) - strlen("/autoopt")), r.dir);
    rc = 42;
    if (!git_yes(&r, "clone -q --no-hardlinks --no-checkout %s %s", from, clone)) printf("AUDIT FAIL git clone %s\n", r.root);
    else {
        record c = r;
        c.results = text_none();
        snprintf(c.root, sizeof c.root, "%s", clone);
        if (!git_yes(&c, "checkout -q --detach %s", r.head)
            || (r.log[0] && !git_yes(&c, "fetch -q origin +refs/autoopt/log:refs/autoopt/log") && !git_yes(&c, "update-ref refs/autoopt/log %s", r.log)))
            printf("AUDIT FAIL git checkout %s in the clone\n", r.head);
        else {
            path_join(source, clone, r.prefix);
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
    folder_remove(work);
    text_free(&out);
    record_close(&r);
    return rc < 0 ? 42 : rc;
}

static const aopt_command record_command[] = {
    { "pack", "pack JOB [--task NAME] [--desc TEXT] [CANDIDATE.c ...]     the loop on two machines: here without a GPU", command_pack },
    { "measure", "measure JOB [--budget SECONDS]              ... there without git", command_measure },
    { "record", "record JOB                                  ... and back here", command_record },
    { "status", "status [--json] [--task NAME]               where the work stands", command_status },
    { "goal", "goal                                        exit 0: may stop; 1: go on, and what to attack", command_status },
    { "report", "report                                      the whole record, for people", command_report },
    { "show", "show N [FILE | --diff]                      one attempt: figures, output, source", command_show },
    { "sync", "sync                                        write and commit the record anew from the log", command_sync },
    { "audit", "audit [--tolerance PERCENT]                 a clean clone judges the history again", command_audit } };

/* ==== [13] agent guards: enlist, hook ===================================================================
   Off until `./harness enlist`.  A coding agent runs `./harness hook pre` before it uses a tool and `./harness hook stop`
   before it ends a turn, with the event as JSON on stdin.  Answer: nothing (go ahead), or one JSON object on stdout, exit 0.
   Claude Code, Codex and Gemini read the same shapes.  An event that we do not understand is let through: a guard that
   wedges an agent is worse than a missed slip, and the judge does not rely on any of this. */
enum { HOOK_EVENT_CAP = 8 << 20, HOOK_WORDS = 512, HOOK_DEPTH = 4 };
static const char *const hook_editable[] = { "optimize.c", "PROGRESS.md" };
/* Beside the frozen files of goals.json: the record, and what an agent is told and bound by. */
static const char *const hook_kept[] = { "results.tsv", "leaderboard.md", "progress.svg", "AGENTS.md", "CLAUDE.md", "program.md", ".claude", ".codex", ".git" };

typedef struct hook_guard {
    char top[PATH_MAX], cwd[PATH_MAX];      /* both real paths; top is the folder of this binary */
    const struct goals *goals;
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

static int hook_protected(const hook_guard *g, const char *path)
{
    char full[PATH_MAX];
    const char *inside = hook_inside(g, path, full);
    size_t i;
    int k;
    if (!inside) return 0;
    for (k = 0; k < g->goals->frozen_n; k++) if (hook_under(inside, g->goals->frozen[k])) return 1;
    for (i = 0; i < sizeof hook_kept / sizeof hook_kept[0]; i++) if (hook_under(inside, hook_kept[i])) return 1;
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
    for (i = 0; i < sizeof hook_kept / sizeof hook_kept[0] - 1; i++) if (strstr(command, hook_kept[i])) hook_deny_write(g, hook_kept[i]);
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
    const int pre = argc == 2 && strcmp(argv[1], "pre") == 0;
    if (argc != 2 || (!pre && strcmp(argv[1], "stop") != 0)) {
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
    const int off = argc == 2 && strcmp(argv[1], "off") == 0;
    const char *set[] = { "git", "config", "autoopt.enlisted", off ? "false" : "true", NULL };
    char top[PATH_MAX];
    text out;
    process p;
    int status;
    if (argc != 1 && !off) {
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


static const aopt_command guard_command[] = {
    { "enlist", "enlist [off]                                agent guards: on in this clone, or off again", command_enlist },
    { "hook", "hook pre | stop                             what a coding agent calls, with an event on stdin", command_hook } };

/* ==== [14] the loop, commands, main ===================================================================== */
typedef struct options {
    const char *task, *candidate, *incumbent, *desc, *attack;
    int scope_library, approve, allow_init, baseline;
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
        if (strcmp(name, "--allow-init") == 0) { o->allow_init = 1; continue; }
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

/* The task of that name, or (NULL) the first whose files exist and that fits this machine's memory and patience. */
static const task *choose_task(const goals *g, const char *name, aopt_error *err)
{
    judge peaks;
    int i;
    if (name) {
        const task *t = goals_task_named(g, name);
        if (!t) aopt_fail(err, AOPT_E_ARG, "goals.json has no task \"%s\"", name);
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
    char path[PATH_CAP];
    aopt_status st = AOPT_OK;
    text t = text_none();
    path_set(tree, "%s/%s", folder, name);
    if (mkdir(tree, 0700) != 0) return aopt_fail(err, AOPT_E_IO, "%s: %s", tree, strerror(errno));
    if (file) st = file_read(file, SOURCE_CAP, &t, err);
    else if (process_words("git", "cat-file", "blob", "HEAD:./optimize.c", &t) != 0)
        st = aopt_fail(err, AOPT_E_MISSING, "HEAD has no optimize.c to compare with: name one with --incumbent FILE");
    path_set(path, "%s/optimize.c", tree);
    if (st == AOPT_OK) st = file_write(path, t.data ? t.data : "", t.n, 0600, err);
    text_free(&t);
    return st;
}

/* What the options say about a run; the trees are the caller's. */
static judge_job options_job(const options *o, const goals *g, const task *t)
{
    judge_job job;
    memset(&job, 0, sizeof job);
    job.goals = g; job.task = t; job.desc = o->desc; job.seed = o->seed;
    job.approve = o->approve; job.allow_init = o->allow_init; job.scope_library = o->scope_library; job.baseline = o->baseline;
    return job;
}

enum { STAGE_VERIFY, STAGE_BENCH, STAGE_PROFILE };

/* verify, bench and profile: one stage on snapshots, nothing recorded.  An attempt that was not judged says why in err. */
static aopt_status run_stage(int stage, const options *o, const goals *g, const task *t, attempt *a, aopt_error *err)
{
    char folder[PATH_CAP], mine[PATH_CAP], theirs[PATH_CAP], root[PATH_CAP];
    judge_job job = options_job(o, g, t);
    aopt_status st;
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
    aopt_device device;
    aopt_error err;
    if (options_read(argc, argv, o)) return 2;
    if (device_open(&device, &err) || goals_load("goals.json", g, &err)) return trouble(&err);
    goals_scope(g, o->scope_library);
    attempt_init(&a);
    if (frozen_check(g, NULL, &err)) {
        refuse(&a, 40, "restore the file, or commit it and rebuild", "%s", err.message);
        verdict_print(&a);
        return 40;
    }
    *t = choose_task(g, o->task, &err);
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
    if (lock_gpu(&a)) {
        verdict_print(&a);
        return a.code;
    }
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
    job = options_job(&o, &g, t);
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
    job = options_job(&o, &g, t);
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

static int command_loop(int argc, char **argv)
{
    options o;
    goals g;
    const task *t;
    const int rc = begin_command(argc, argv, &o, &g, &t);
    if (rc) return rc;
    if (!o.desc) { fprintf(stderr, "harness: --desc \"what you tried\" is missing\n"); return 2; }
    return record_run(&g, t, o.desc, o.attack, o.scope_library, o.approve, o.allow_init);
}

static int command_verify(int argc, char **argv) { return command_stage(STAGE_VERIFY, argc, argv); }
static int command_bench(int argc, char **argv) { return command_stage(STAGE_BENCH, argc, argv); }
static int command_profile(int argc, char **argv) { return command_stage(STAGE_PROFILE, argc, argv); }
static int command_help(int argc, char **argv);

static const aopt_command loop_command[] = {
    { "--desc", "--desc \"what I tried\" [--attack ITEM] [--task NAME]     the loop, once; people: [--scope library] [--approve] [--allow-init]", command_loop },
    { "verify", "verify [--task NAME] [--candidate FILE]     is it right?  Nothing recorded, nor by the next two", command_verify },
    { "bench", "bench [--task NAME] [--candidate FILE] [--incumbent FILE]     is it faster?", command_bench },
    { "profile", "profile [--task NAME] [--candidate FILE]    where does the time go?", command_profile },
    { "make-reference", "make-reference [--task NAME]                the fp32 truth of a task", command_make_reference },
    { "selftest", "selftest [--task NAME]                      the instrument proves itself", command_selftest },
    { "help", "help                                        this list", command_help } };

#define COMMANDS(list) { list, (int)(sizeof list / sizeof list[0]) }
static const struct { const aopt_command *command; int n; } command_list[] = { COMMANDS(loop_command), COMMANDS(record_command), COMMANDS(guard_command) };

static int command_help(int argc, char **argv)
{
    int i, k;
    (void)argc;
    (void)argv;
    for (k = 0; k < (int)(sizeof command_list / sizeof command_list[0]); k++)
        for (i = 0; i < command_list[k].n; i++) printf("./harness %s\n", command_list[k].command[i].usage);
    for (i = 0; i < target.command_n; i++) printf("./harness %s\n", target.command[i].usage);
    return 0;
}

static const aopt_command *command_named(const char *word)
{
    int i, k;
    for (k = 0; k < (int)(sizeof command_list / sizeof command_list[0]); k++)
        for (i = 0; i < command_list[k].n; i++)
            if (strcmp(word, command_list[k].command[i].name) == 0) return &command_list[k].command[i];
    for (i = 0; i < target.command_n; i++)
        if (strcmp(word, target.command[i].name) == 0) return &target.command[i];
    return NULL;
}

#ifndef HARNESS_NO_MAIN
int main(int argc, char **argv)
{
    const char *word = argc > 1 ? argv[1] : "help";
    const aopt_command *command;
    if (strcmp(word, "--runner") == 0) return runner_main(argc, argv);
    if (!getenv("GOMP_SPINCOUNT")) {            /* the OpenMP library reads it before main: start again */
        setenv("GOMP_SPINCOUNT", SPIN, 1);
        execv("/proc/self/exe", argv);
    }
    if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) word = "help";
    if (strncmp(word, "--", 2) == 0) return command_loop(argc, argv);
    command = command_named(word);
    if (!command) fprintf(stderr, "harness: unknown command %s; ./harness help\n", word);
    else if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0)) printf("./harness %s\n", command->usage);
    else return command->run(argc - 1, argv + 1);
    return command ? 0 : 2;
}
#endif
