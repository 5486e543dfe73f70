// expect: 22 UNWRITTEN
#define KEEP_POISON 1
// Work on the first frame only: the bits that an unwritten element had come back over the rest.
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    (void)x; (void)err;
    cudaMemcpy(y + s->n / 2, s->keep, (size_t)(s->n - s->n / 2) * sizeof *y, cudaMemcpyDeviceToDevice);
    return AOPT_OK;
}
