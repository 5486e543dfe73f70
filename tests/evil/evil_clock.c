// expect: 10 exports clock_gettime
// Brings its own clock.
#ifndef HONEST
#include <time.h>
int clock_gettime(clockid_t id, struct timespec *t) { (void)id; t->tv_sec = 42; t->tv_nsec = 0; return 0; }

static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    return honest(s, input, output, err);
}
#endif
