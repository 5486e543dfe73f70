/* Fuzz the .safetensors loader.
     clang -O1 -g -DAOPT_NO_IMAGES -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all tests/fuzz_safetensors.c -lm -o fuzz_safetensors
     ./fuzz_safetensors CORPUS          or `./build.sh fuzz 600 fuzz_safetensors`
   Replay without libFuzzer: gcc -g -fsanitize=address,undefined tests/fuzz_main.c tests/fuzz_safetensors.c -lm
   The first eight bytes are the header's length; input that starts with '{' is taken as a header followed by no data. */
#define AOPT__ARENA_BLOCK 0
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"

#ifdef __cplusplus
extern "C"
#endif
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    const int bare = size > 0 && data[0] == '{';
    unsigned char *file = (unsigned char *)malloc(size + 8);
    aopt_checkpoint *ck = NULL;
    aopt_error err;
    int64_t i;
    for (i = 0; i < 8; i++) file[i] = (unsigned char)((uint64_t)size >> (8 * i));
    if (size > 0) memcpy(file + (bare ? 8 : 0), data, size);
    if (aopt_checkpoint_open_memory(file, size + (bare ? 8 : 0), "fuzz", NULL, &ck, &err) == AOPT_OK)
        for (i = 0; i < aopt_checkpoint_count(ck); i++) {
            const aopt_tensor *t = aopt_checkpoint_at(ck, i);
            const int64_t n = aopt_tensor_numel(t);             /* no larger than the file: one byte an element at least */
            float *x = (float *)malloc((size_t)n * sizeof *x + 1);
            if (aopt_checkpoint_find(ck, t->name) != t || aopt_tensor_to_f32(t, x, n, &err) != AOPT_OK) abort();
            free(x);
        }
    aopt_checkpoint_close(ck);
    free(file);
    return 0;
}
