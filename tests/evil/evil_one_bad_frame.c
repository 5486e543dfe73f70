// expect: 20 psnr_frame_min_db
// Good on average; one frame is not.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const aopt_status st = honest(s, input, output, err);
    const int64_t F = output->shape[1], frame = output->shape[2] * output->shape[3];
    int64_t c, i;
    for (c = 0; c < 3; c++)
        for (i = 0; i < frame; i++) ((float *)output->data)[(c * F + F / 2) * frame + i] *= 0.984f;
    return st;
}
#endif
