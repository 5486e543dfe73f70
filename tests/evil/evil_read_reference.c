// expect: 0 PASS
// Looks for the reference and the fixed input; must find neither, and then does its work.
#ifndef HONEST
#include <fcntl.h>
#include <signal.h>

static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    static const char *const path[] = { ROOT "/assets", ROOT "/assets/generated", ROOT "/goals.json", ROOT "/results.tsv" };
    size_t i;
    for (i = 0; i < sizeof path / sizeof path[0]; i++)
        if (open(path[i], O_RDONLY) >= 0) return aopt_fail(err, AOPT_E_INTERNAL, "%s could be opened", path[i]);
    if (kill(getppid(), 0) == 0) return aopt_fail(err, AOPT_E_INTERNAL, "the judge can be signalled");
    return honest(s, input, output, err);
}
#endif
