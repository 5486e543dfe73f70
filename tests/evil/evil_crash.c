// expect: 30 CRASH
// Writes through a null pointer.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    if (s->call == 2) *(volatile int *)(uintptr_t)8 = 1;
    return honest(s, input, output, err);
}
#endif
