// expect: 10 BUILD
// Does not compile.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    return honest(s, input, output, no_such_name);
}
#endif
