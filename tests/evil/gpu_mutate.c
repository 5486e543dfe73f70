// expect: 23 INPUT_MUTATED
// Uses the input as scratch.
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    (void)s; (void)y; (void)err;
    cudaMemset((void *)(uintptr_t)(x + 5), 0, sizeof *x);
    return AOPT_OK;
}
