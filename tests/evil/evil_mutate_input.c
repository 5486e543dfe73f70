// expect: 23 INPUT_MUTATED
// Changes the input so that a wrong answer fits.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    ((float *)input->data)[7] = 0;
    return honest(s, input, output, err);
}
#endif
