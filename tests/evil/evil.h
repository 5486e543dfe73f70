/* evil.h - what every dishonest candidate shares.  run.sh puts this text in front of evil_X.c; with HONEST defined the same
   file must pass.  An evil_X.c defines decode(); its first line says what the harness must answer. */
#include "autoopt.h"
#include "model/target.h"
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct state {
    const aopt_model *model;
    aopt_device device;
    int call;                   /* 1 in the first decode */
    float *keep;                /* n floats of the candidate's own */
    int64_t n;                  /* elements of the output */
} state;

#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err);
#endif

static aopt_status honest(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    return target.reference(s->model, &s->device, input, 0, output, NULL, NULL, err);
}

static aopt_status decode_call(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    state *s = (state *)ctx;
    s->call++;
    s->n = aopt_tensor_numel(output);
    if (!s->keep) s->keep = (float *)calloc((size_t)s->n, sizeof(float));
#ifdef HONEST
    return honest(s, input, output, err);
#else
    return decode(s, input, output, err);
#endif
}

static void decode_close(void *ctx)
{
    free(((state *)ctx)->keep);
    free(ctx);
}

aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    state *s = (state *)calloc(1, sizeof *s);
    (void)shape;
    if (!s) return aopt_fail(err, AOPT_E_MEMORY, "out of memory");
    s->model = model;
    s->device = *device;
    out->ctx = s;
    out->decode = decode_call;
    out->close = decode_close;
    snprintf(out->info, sizeof out->info, "from the evil set");
    return AOPT_OK;
}
