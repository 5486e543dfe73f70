// expect: 26 LATE_WRITE
// Says done, and goes on writing from another thread.
static float *late_target;
static void *finish(void *user)
{
    (void)user;
    usleep(4000);
    cudaMemset(late_target, 0, 64 * sizeof(float));
    return NULL;
}

static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    pthread_t thread;
    (void)s; (void)x;
    late_target = y;
    if (pthread_create(&thread, NULL, finish, NULL) != 0) return aopt_fail(err, AOPT_E_INTERNAL, "no thread");
    pthread_detach(thread);
    return AOPT_OK;
}
