// expect: 31 FAILED
// A kernel that follows a wild pointer.
__global__ static void wild(float *p) { *p = 1; }
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    (void)x; (void)y; (void)err;
    if (s->call == 2) wild<<<1, 1>>>((float *)(uintptr_t)64);
    return AOPT_OK;
}
