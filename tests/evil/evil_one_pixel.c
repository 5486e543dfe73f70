// expect: 20 max_abs
// One wrong pixel, which no average shows.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const aopt_status st = honest(s, input, output, err);
    ((float *)output->data)[s->n / 3] += 0.1f;
    return st;
}
#endif
