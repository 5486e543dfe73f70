// expect: 33 INIT
// command: bench
// Honest work, after a preparation that nobody would wait for: it starts when the object is loaded.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    return honest(s, input, output, err);
}

__attribute__((constructor)) static void prepare(void)
{
    sleep(2);
}
#endif
