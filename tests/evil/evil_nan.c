// expect: 21 NONFINITE
// NaN passes a check that is written as `if (difference > limit) fail`.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const aopt_status st = honest(s, input, output, err);
    const uint32_t nan = 0x7fc00000u;
    memcpy((float *)output->data + s->n / 2, &nan, 4);
    return st;
}
#endif
