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

/* ==== [1] frozen numbers and goals.json ================================================================= */

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

/* ==== [4] build: a tree becomes a shared object ========================================================= */

/* ==== [5] runner: the child that holds a candidate ====================================================== */

/* ==== [6] judge: calls, probes, gate ==================================================================== */

/* ==== [7] statistics: pairs, screen, confirm ============================================================ */

/* ==== [8] profile ======================================================================================= */

/* ==== [9] git: snapshot, keep, restore, log ============================================================= */

/* ==== [10] record: results.tsv, leaderboard, progress.svg, PROGRESS.md ================================== */

/* ==== [11] two machines: pack, measure, record ========================================================== */

/* ==== [12] status, goal, show, sync, audit ============================================================== */

/* ==== [13] agent guards: enlist, hook =================================================================== */

/* ==== [14] the loop, commands, main ===================================================================== */
int main(int argc, char **argv)
{
    (void)argc;
    (void)argv;
    return 2;
}
