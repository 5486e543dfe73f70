// expect: 32 MEMORY
// Two gigabytes of the device, where one is the limit.
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    void *p = NULL;
    (void)x; (void)y; (void)err;
    if (s->call == 1) cudaMalloc(&p, (size_t)2 << 30);
    usleep(100000);
    return AOPT_OK;
}
