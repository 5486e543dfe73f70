// expect: 20 not causal
// Lets the last slices of the input leak into the first of the output, too little for the other limits.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const aopt_status st = honest(s, input, output, err);
    const float *x = (const float *)input->data;
    float *y = (float *)output->data;
    uint64_t hash = 0;
    int64_t i, n = aopt_tensor_numel(input);
    for (i = 0; i < n; i++) hash = aopt_random_u64(hash, (uint64_t)(int64_t)(x[i] * 1e6f));
    for (i = 0; i < s->n; i++) y[i] += aopt_random_u64(hash, (uint64_t)i) & 1 ? 0.0015f : -0.0015f;
    return st;
}
#endif
