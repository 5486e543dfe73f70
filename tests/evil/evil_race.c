// expect: 25 NONDETERMINISTIC
// A little of the answer depends on the call, not on the input.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const aopt_status st = honest(s, input, output, err);
    float *y = (float *)output->data;
    int64_t i;
    for (i = 0; i < s->n; i++) y[i] *= 1 - 0.0004f * (float)(s->call * 7 % 11);
    return st;
}
#endif
