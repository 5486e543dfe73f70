// expect: 24 OUT_OF_BOUNDS
// One float too many.
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    (void)x; (void)err;
    cudaMemset(y + s->n, 0, sizeof *y);
    return AOPT_OK;
}
