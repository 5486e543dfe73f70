// expect: 22 UNWRITTEN
// Does nothing and hopes that the right answer is still in the buffer.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    (void)s; (void)input; (void)output; (void)err;
    return AOPT_OK;
}
#endif
