/* test_oom_vae.c - the n-th allocation fails, for every n, in everything that opens, decodes or encodes: a clean error, nothing leaks.
   Run it under AddressSanitizer. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <stdint.h>
#include <stdlib.h>

static int64_t fail_at, calls, live;
static void *failing_malloc(size_t n)
{
    void *p;
    if (++calls == fail_at) return NULL;
    p = malloc(n);
    live += p != NULL;
    return p;
}
static void *failing_realloc(void *q, size_t n)
{
    void *p;
    if (++calls == fail_at) return NULL;
    p = realloc(q, n);
    live += q == NULL && p != NULL;
    return p;
}
static void counting_free(void *p)
{
    live -= p != NULL;
    free(p);
}
#define AOPT_MALLOC(n) failing_malloc(n)
#define AOPT_REALLOC(p, n) failing_realloc(p, n)
#define AOPT_FREE(p) counting_free(p)
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"

static float latent[48 * 6], video[3 * 32 * 48], again[48 * 6], qkv[15 * 24], y[15 * 8];

static aopt_status everything(aopt_error *err)
{
    aopt_checkpoint *ck = NULL;
    aopt_vae *vae = NULL;
    aopt_vae_decoder *d = NULL;
    aopt_vae_encoder *e = NULL;
    aopt_vae_options o;
    aopt_ref_conv c;
    aopt_status st;
    memset(&o, 0, sizeof o);
    o.threads = 1;
    c.ci = c.co = 8; c.kt = c.kh = c.kw = 3; c.weight = video; c.bias = NULL;
    st = aopt_checkpoint_open("tests/fixtures/nano.pth", NULL, &ck, err);
    if (st == AOPT_OK) st = aopt_vae_open(ck, &vae, err);
    if (st == AOPT_OK) st = aopt_vae_decoder_open(vae, 2, 3, &o, &d, err);
    if (st == AOPT_OK) st = aopt_vae_encoder_open(vae, 32, 48, &o, &e, err);
    if (st == AOPT_OK) st = aopt_vae_decode(vae, latent, 1, 2, 3, &o, video, err);
    if (st == AOPT_OK) st = aopt_vae_encode(vae, video, 1, 32, 48, &o, again, err);
    if (st == AOPT_OK) st = aopt_ref_conv3d(&c, qkv, 1, 3, 5, NULL, y, 1, err);
    if (st == AOPT_OK) st = aopt_ref_attention(qkv, 15, 8, y, 1, err);
    aopt_vae_encoder_close(e);
    aopt_vae_decoder_close(d);
    aopt_vae_close(vae);
    aopt_checkpoint_close(ck);
    return st;
}

static void test_every_allocation(void)
{
    aopt_error err;
    aopt_status st = AOPT_E_MEMORY;
    int64_t n;
    void *held = AOPT_MALLOC(1);
    CHECK(live == 1, "a held block goes unnoticed");
    AOPT_FREE(held);
    for (n = 1; st == AOPT_E_MEMORY && n < 100000; n++) {
        memset(&err, 0, sizeof err);
        fail_at = n;
        calls = 0;
        st = everything(&err);
        CHECK(live == 0, "allocation %lld failed and %lld blocks leak", (long long)n, (long long)live);
        CHECK(st == AOPT_OK || (st == AOPT_E_MEMORY && err.status == st && err.message[0]), "allocation %lld failed: status '%s', message '%s'",
              (long long)n, aopt_status_name((int)st), err.message);
    }
    CHECK(st == AOPT_OK && n > 10, "ended after %lld with '%s'", (long long)n, aopt_status_name((int)st));
    CHECK(calls < fail_at, "%lld allocations, the last to fail was number %lld", (long long)calls, (long long)fail_at);
    printf("    %lld allocations, each failed once\n", (long long)calls);
}

int main(void)
{
    RUN(test_every_allocation);
    return check_report();
}
