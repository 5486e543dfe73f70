// expect: 26 LATE_WRITE
// Returns at once and finishes in a thread, after the clock has stopped.
#ifndef HONEST
#include <pthread.h>
typedef struct job { state *s; const aopt_tensor *input; aopt_tensor *output; } job;
static void *later(void *user)
{
    job *j = (job *)user;
    usleep(3000);
    honest(j->s, j->input, j->output, NULL);
    return NULL;
}

static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    static job j;
    pthread_t t;
    (void)err;
    j.s = s; j.input = input; j.output = output;
    if (pthread_create(&t, NULL, later, &j) != 0) return AOPT_E_INTERNAL;
    pthread_detach(t);
    return AOPT_OK;
}
#endif
