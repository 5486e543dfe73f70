/* fuzz_y4m.c - any bytes as a y4m stream: an error or frames within [-1, 1], never more */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"

typedef struct input { const unsigned char *data; size_t n; } input;

static int64_t read_input(void *user, void *out, int64_t n)
{
    input *in = (input *)user;
    const size_t k = (size_t)n < in->n ? (size_t)n : in->n;
    memcpy(out, in->data, k);
    in->data += k;
    in->n -= k;
    return (int64_t)k;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    unsigned char *planes;
    float *frame;
    int64_t i, n;
    aopt_y4m y;
    input in;
    int end = 0;

    in.data = data;
    in.n = size;
    if (aopt_y4m_read_header(read_input, &in, "fuzz", &y, NULL) || y.H * y.W > 1 << 16) return 0;
    n = 3 * y.H * y.W;
    planes = (unsigned char *)malloc((size_t)aopt_y4m_frame_bytes(&y));
    frame = (float *)malloc((size_t)n * sizeof *frame);
    while (planes && frame && !end && aopt_y4m_read_frame(&y, read_input, &in, "fuzz", planes, frame, &end, NULL) == AOPT_OK)
        for (i = 0; !end && i < n; i++)
            if (!(frame[i] >= -1.0f && frame[i] <= 1.0f)) abort();
    free(planes);
    free(frame);
    return 0;
}
