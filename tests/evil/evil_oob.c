// expect: 24 OUT_OF_BOUNDS
// One element past the end.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const aopt_status st = honest(s, input, output, err);
    ((float *)output->data)[s->n] = 0;
    return st;
}
#endif
