// expect: 34 LEFT_EARLY
// Leaves with status 0 in the hope that this counts as success.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    if (s->call == 2) exit(0);
    return honest(s, input, output, err);
}
#endif
