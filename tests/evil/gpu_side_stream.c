// expect: 0 PASS
// Not evil: the last copy runs on a stream that nobody but the device waits for, and is timed in full.
static aopt_status after(state *s, const float *x, float *y, aopt_error *err)
{
    static cudaStream_t stream;
    const size_t bytes = (size_t)s->n * sizeof *y;
    (void)x; (void)err;
    if (!stream) cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking);
    cudaMemcpy(s->keep, y, bytes, cudaMemcpyDeviceToDevice);
    cudaDeviceSynchronize();
    cudaMemset(y, 0, bytes);
    cudaDeviceSynchronize();
    cudaMemcpyAsync(y, s->keep, bytes, cudaMemcpyDeviceToDevice, stream);
    return AOPT_OK;
}
