// expect: 35 LEFTOVER
// Leaves a process behind that waits for the next run.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    if (s->call == 1 && fork() == 0) {
        setsid();
        for (;;) pause();
    }
    return honest(s, input, output, err);
}
#endif
