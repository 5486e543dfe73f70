// expect: 10 BUILD
// Compiles a file of the repository into itself.
#ifndef HONEST
extern const char stolen[] __attribute__((visibility("hidden")));
__asm__(".section .rodata\nstolen: .incbin \"" ROOT "/goals.json\"\n.text\n");

static aopt_status decode(state *s, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    return stolen[0] == 1 ? AOPT_E_INTERNAL : honest(s, input, output, err);
}
#endif
