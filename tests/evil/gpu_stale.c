// expect: 27 STALE
// Gives the first answer again, from its own memory.
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    const size_t bytes = (size_t)s->n * sizeof *y;
    (void)x; (void)err;
    if (s->call == 1) cudaMemcpy(s->keep, y, bytes, cudaMemcpyDeviceToDevice);
    else cudaMemcpy(y, s->keep, bytes, cudaMemcpyDeviceToDevice);
    return AOPT_OK;
}
