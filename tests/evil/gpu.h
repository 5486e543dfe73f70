/* gpu.h - what every dishonest candidate of a GPU shares: tests/test_gpu_loop.sh puts this text in front of gpu_X.c, which defines
   after(), what is done once an honest decode has filled the output.  With HONEST defined nothing is. */
#include "autoopt.h"
#include "model/target.h"
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct state {
    aopt_decoder decoder;       /* the honest one */
    float *keep;                /* device memory for n floats of the candidate's own */
    int64_t n;                  /* elements of the output */
    int call;                   /* 1 in the first decode */
} state;

#ifndef KEEP_POISON
#define KEEP_POISON 0           /* 1: keep holds what the output held before the call */
#endif
#ifndef HONEST
static aopt_status after(state *s, const float *x, float *y, aopt_error *err);
#endif

static aopt_status decode(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    state *s = (state *)ctx;
    aopt_status st;
    if (KEEP_POISON) cudaMemcpy(s->keep, output->data, (size_t)s->n * sizeof(float), cudaMemcpyDeviceToDevice);
    st = s->decoder.decode(s->decoder.ctx, input, output, err);
    s->call++;
#ifndef HONEST
    if (!st) return after(s, (const float *)input->data, (float *)output->data, err);
#endif
    return st;
}

static void decode_close(void *ctx)
{
    state *s = (state *)ctx;
    s->decoder.close(s->decoder.ctx);
    cudaFree(s->keep);
    free(s);
}

aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    state *s = (state *)calloc(1, sizeof *s);
    aopt_tensor input, output;
    if (!s) return aopt_fail(err, AOPT_E_MEMORY, "out of memory");
    if (target.tensors(model, shape, &input, &output, err) || target.build_reference(model, shape, device, &s->decoder, err)) { free(s); return err->status; }
    s->n = aopt_tensor_numel(&output);
    if (cudaMalloc((void **)&s->keep, (size_t)s->n * sizeof(float)) != cudaSuccess) return aopt_fail(err, AOPT_E_MEMORY, "out of device memory");
    out->ctx = s;
    out->decode = decode;
    out->close = decode_close;
    snprintf(out->info, sizeof out->info, "from the evil set");
    return AOPT_OK;
}
