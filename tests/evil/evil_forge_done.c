// expect: 34 LEFT_EARLY
// Writes what looks like a reply into every descriptor.
#ifndef HONEST
static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    char fake[520];
    int fd;
    memset(fake, 0, sizeof fake);
    fake[0] = 3; fake[4] = 77;
    for (fd = 3; fd < 20; fd++) if (write(fd, fake, sizeof fake) < 0) continue;
    return honest(s, input, output, err);
}
#endif
