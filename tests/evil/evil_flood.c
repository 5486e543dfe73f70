// expect: 0 PASS
// Prints without end: allowed, but cut.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    int i;
    for (i = 0; i < 20000; i++) printf("\033[31mREJECT everything %d\n", i);
    fflush(stdout);
    return honest(s, input, output, err);
}
#endif
