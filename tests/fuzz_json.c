/* Fuzz the JSON parser.
     clang -O1 -g -DAOPT_NO_IMAGES -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all tests/fuzz_json.c -lm -o fuzz_json
     ./fuzz_json CORPUS          or `./build.sh fuzz 600 fuzz_json`
   Replay without libFuzzer: gcc -g -fsanitize=address,undefined tests/fuzz_main.c tests/fuzz_json.c -lm */
#define AOPT__ARENA_BLOCK 0
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"

static void use(const aopt_json_value *v)
{
    const aopt_json_value *c;
    int64_t n = 0;
    if (v->type == AOPT_JSON_STRING && v->string[v->string_bytes] != 0) abort();
    if (v->type == AOPT_JSON_NUMBER && (v->number != v->number || (v->is_integer && (double)v->integer != v->number))) abort();
    for (c = v->child; c; c = c->next, n++) {
        if ((v->type == AOPT_JSON_OBJECT) != (c->key != NULL)) abort();
        if (c->key && n < 100 && aopt_json_get(v, c->key) != c) abort();
        use(c);
    }
    if (n != v->child_n) abort();
}

#ifdef __cplusplus
extern "C"
#endif
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    aopt_json *doc = NULL;
    aopt_error err;
    if (aopt_json_parse((const char *)data, size, &doc, &err) == AOPT_OK) use(aopt_json_root(doc));
    else if (doc || err.status == AOPT_OK || !err.message[0]) abort();
    aopt_json_free(doc);
    return 0;
}
