// expect: 26 LATE_WRITE
// Returns at once and finishes in a second process that shares the output.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    (void)err;
    if (fork() == 0) {
        usleep(3000);
        honest(s, input, output, NULL);
        _exit(0);
    }
    return AOPT_OK;
}
#endif
