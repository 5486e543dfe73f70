/* A plain main for the fuzz targets: runs each file named on the command line once.
     gcc -g -fsanitize=address,undefined tests/fuzz_main.c tests/fuzz_X.c -lm -o replay && ./replay FILE ... */
#include <stdio.h>
#include <stdlib.h>

#ifdef __cplusplus
extern "C"
#endif
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

int main(int argc, char **argv)
{
    int i;
    for (i = 1; i < argc; i++) {
        FILE *f = fopen(argv[i], "rb");
        unsigned char *data = NULL;
        size_t n = 0, room = 0, k = 1;
        if (!f) { perror(argv[i]); return 1; }
        while (k > 0) {
            if (n == room) data = (unsigned char *)realloc(data, room = 2 * room + 4096);
            if (!data) { fprintf(stderr, "%s: out of memory\n", argv[i]); return 1; }
            k = fread(data + n, 1, room - n, f);
            n += k;
        }
        fclose(f);
        data = (unsigned char *)realloc(data, n > 0 ? n : 1);     /* exactly n bytes, so that ASan sees a read past the end */
        LLVMFuzzerTestOneInput(data, n);
        free(data);
    }
    printf("%d files replayed\n", argc - 1);
    return 0;
}
