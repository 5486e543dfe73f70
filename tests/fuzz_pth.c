/* Fuzz the .pth loader: zip, pickle, tensor bounds.
     clang -O1 -g -DAOPT_NO_IMAGES -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all tests/fuzz_pth.c -lm -o fuzz_pth
     ./fuzz_pth CORPUS          or `./build.sh fuzz 600 fuzz_pth`
   Replay without libFuzzer: gcc -g -fsanitize=address,undefined tests/fuzz_main.c tests/fuzz_pth.c -lm
   Input that is not a zip is taken as a data.pkl and wrapped into one, so that its pickle can change length. */
#define AOPT__ARENA_BLOCK 0
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "zip.h"

/* Look at every byte that a tensor claims to have, through the API. */
static void use(const aopt_checkpoint *ck)
{
    aopt_error err;
    int64_t i;
    for (i = 0; i < aopt_checkpoint_count(ck); i++) {
        const aopt_tensor *t = aopt_checkpoint_at(ck, i);
        const int64_t n = aopt_tensor_numel(t);
        if (aopt_checkpoint_find(ck, t->name) != t) abort();
        if (n >= 0 && n <= 1 << 16) {
            float *x = (float *)malloc((size_t)n * sizeof *x + 1);
            if (aopt_tensor_to_f32(t, x, n, &err) != AOPT_OK) abort();
            free(x);
        }
    }
}

#ifdef __cplusplus
extern "C"
#endif
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    aopt_checkpoint_options options;
    aopt_checkpoint *ck = NULL;
    aopt_error err;
    const int is_zip = size >= 2 && data[0] == 'P' && data[1] == 'K';
    zip z;
    memset(&options, 0, sizeof options);
    memset(&z, 0, sizeof z);
    options.skip_crc = is_zip;
    if (!is_zip) z = pth_make(data, size);
    if (aopt_checkpoint_open_memory(is_zip ? data : z.out.b, is_zip ? size : z.out.n, "fuzz", &options, &ck, &err) == AOPT_OK) use(ck);
    aopt_checkpoint_close(ck);
    free(z.out.b);
    return 0;
}
