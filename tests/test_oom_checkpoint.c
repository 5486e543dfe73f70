/* Memory runs out at the n-th allocation, for every n, while checkpoints are opened and written: the answer is AOPT_E_MEMORY,
   nothing leaks (every block is counted), and once memory suffices all is as without the fault. */
static void *test_malloc(unsigned long n);
static void *test_realloc(void *p, unsigned long n);
static void test_free(void *p);
#define AOPT_MALLOC(n) test_malloc(n)
#define AOPT_REALLOC(p, n) test_realloc(p, n)
#define AOPT_FREE(p) test_free(p)
#define AOPT__ARENA_BLOCK 256       /* several blocks even for a small file */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"

static long until_failure = -1, blocks;     /* allocations that still succeed, -1 = all; blocks in use */

static int allowed(void)
{
    if (until_failure == 0) return 0;
    if (until_failure > 0) until_failure--;
    return 1;
}

static void *test_malloc(unsigned long n)
{
    void *p = allowed() ? malloc(n) : NULL;
    blocks += p != NULL;
    return p;
}

static void *test_realloc(void *p, unsigned long n)
{
    void *q = allowed() ? realloc(p, n) : NULL;
    blocks += q != NULL && p == NULL;
    return q;
}

static void test_free(void *p)
{
    blocks -= p != NULL;
    free(p);
}

/* Open path with the n-th allocation failing, n = 1, 2, ... until it succeeds; how many faults it took. */
static long starve_open(const char *path)
{
    aopt_status st = AOPT_E_MEMORY;
    long n;
    for (n = 0; n < 100000 && st == AOPT_E_MEMORY; n++) {
        aopt_checkpoint *ck = NULL;
        aopt_error err;
        err.message[0] = 0;
        until_failure = n;
        st = aopt_checkpoint_open(path, NULL, &ck, &err);
        until_failure = -1;
        CHECK(st == AOPT_OK ? ck != NULL : st == AOPT_E_MEMORY && !ck, "%s, allocation %ld: %s", path, n, aopt_status_name((int)st));
        CHECK(st == AOPT_OK || strncmp(err.message, path, strlen(path)) == 0, "%s, allocation %ld: the message does not name the file: %s", path, n, err.message);
        aopt_checkpoint_close(ck);
        CHECK(blocks == 0, "%s, allocation %ld: %ld blocks leak", path, n, blocks);
        if (blocks != 0) return n;
    }
    CHECK(st == AOPT_OK, "%s: %s", path, aopt_status_name((int)st));
    return n - 1;
}

static void test_open(void)
{
    static const char *const file[] = { "dict.pth", "views.pth", "dtypes.pth", "module.pth", "nested.pth", "many.pth", "protocol4.pth", "zip64.pth",
                                        "dtypes.safetensors", "metadata.safetensors", "shapes.safetensors" };
    char path[100];
    size_t i;
    for (i = 0; i < sizeof file / sizeof file[0]; i++) {
        long faults;
        snprintf(path, sizeof path, "tests/fixtures/zoo/%s", file[i]);
        faults = starve_open(path);
        CHECK(faults >= 5, "%s: only %ld allocations", path, faults);
    }
}

static void test_write(void)
{
    static const int64_t shape[1] = { 3 };
    static const char *const meta[] = { "format", "pt" };
    float x[3] = { 1, 2, 3 };
    char path[] = "/tmp/autoopt-oom-XXXXXX";
    const int fd = mkstemp(path);
    aopt_tensor t[2];
    aopt_status st = AOPT_E_MEMORY;
    long n;
    if (fd < 0) { CHECK(0, "no file in /tmp"); return; }
    close(fd);
    t[0] = aopt_tensor_make("a", AOPT_F32, 1, shape, x, AOPT_HOST);
    t[1] = aopt_tensor_make("b", AOPT_F32, 1, shape, x, AOPT_HOST);
    for (n = 0; n < 1000 && st == AOPT_E_MEMORY; n++) {
        struct stat s;
        until_failure = n;
        st = aopt_safetensors_write(path, t, 2, meta, 1, NULL);
        until_failure = -1;
        CHECK(blocks == 0, "allocation %ld: %ld blocks leak", n, blocks);
        CHECK(stat(path, &s) == 0 && (s.st_size > 0) == (st == AOPT_OK), "allocation %ld: the file changed", n);
    }
    CHECK(st == AOPT_OK && n > 5, "%ld allocations: %s", n, aopt_status_name((int)st));
    unlink(path);
}

/* Negative control: a block that is not freed shows. */
static void test_counter(void)
{
    void *p = aopt__alloc(1, 1);
    CHECK(blocks == 1, "%ld blocks", blocks);
    AOPT_FREE(p);
    CHECK(blocks == 0, "%ld blocks", blocks);
    until_failure = 0;
    CHECK(aopt__alloc(1, 1) == NULL, "the fault was not injected");
    until_failure = -1;
}

int main(void)
{
    RUN(test_counter);
    RUN(test_open);
    RUN(test_write);
    return check_report();
}
