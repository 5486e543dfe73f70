// expect: 27 STALE
// Remembers the first answer, because the pointers are the same on every call.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    if (s->call == 1) {
        const aopt_status st = honest(s, input, output, err);
        memcpy(s->keep, output->data, (size_t)s->n * sizeof(float));
        return st;
    }
    memcpy(output->data, s->keep, (size_t)s->n * sizeof(float));
    return AOPT_OK;
}
#endif
