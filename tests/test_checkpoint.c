/* The checkpoint loader: every file of the zoo gives what torch found in it, every hostile file is refused with the right status
   and a message that names what was found, the writer's files come back.  tests/oracle/make_zoo.py makes the zoo. */
#define AOPT__ARENA_BLOCK 0         /* each small allocation by itself, so that ASan sees its bounds */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"
#include "zip.h"
#include <dirent.h>

#define ZOO "tests/fixtures/zoo/"

/* SHA-256 of a tensor's values as f32. */
static void values_hash(const aopt_tensor *t, char hex[65])
{
    const int64_t n = aopt_tensor_numel(t);
    float *x = (float *)malloc((size_t)(n > 0 ? n : 1) * sizeof *x);
    aopt_error err;
    aopt_sha256 s;
    aopt_sha256_begin(&s);
    if (aopt_tensor_to_f32(t, x, n, &err) == AOPT_OK) aopt_sha256_add(&s, x, (size_t)n * sizeof *x);
    aopt_sha256_end(&s, hex);
    free(x);
}

/* Does t look like "NAME DTYPE [d0,d1] HASH"? */
static int matches(const aopt_tensor *t, const char *want)
{
    char got[900], hex[65];
    int i, used = snprintf(got, sizeof got, "%s %s [", t->name, aopt_dtype_name((int)t->dtype));
    for (i = 0; i < t->ndim; i++) used += snprintf(got + used, sizeof got - (size_t)used, i ? ",%lld" : "%lld", (long long)t->shape[i]);
    values_hash(t, hex);
    snprintf(got + used, sizeof got - (size_t)used, "] %s", hex);
    return strcmp(got, want) == 0;
}

static void test_zoo(void)
{
    char line[1000], path[300];
    aopt_checkpoint *ck = NULL;
    aopt_error err;
    long long count = 0;
    int files = 0, tensors = 0, i = 0;
    FILE *f = fopen(ZOO "zoo.txt", "r");
    if (!f) { CHECK(0, "no %szoo.txt", ZOO); return; }
    while (fgets(line, sizeof line, f)) {
        line[strcspn(line, "\n")] = 0;
        if (strncmp(line, "file ", 5) == 0) {
            aopt_checkpoint_close(ck);
            files++;
            i = 0;
            snprintf(path, sizeof path, ZOO "%.*s", (int)strcspn(line + 5, " "), line + 5);
            count = atoll(strchr(line + 5, ' '));
            err.message[0] = 0;
            CHECK(aopt_checkpoint_open(path, NULL, &ck, &err) == AOPT_OK, "%s", err.message);
            if (!ck) break;
            CHECK(aopt_checkpoint_count(ck) == count, "%s: %lld tensors, expected %lld", path, (long long)aopt_checkpoint_count(ck), count);
            CHECK(strcmp(aopt_checkpoint_path(ck), path) == 0, "path %s", aopt_checkpoint_path(ck));
        } else {
            const aopt_tensor *t = aopt_checkpoint_at(ck, i++);
            char name[300];
            if (!t) { CHECK(0, "%s: too few tensors: %s", path, line); continue; }
            CHECK(matches(t, line + 7), "%s: '%s' is not %s", path, t->name, line + 7);
            snprintf(name, sizeof name, "%s", t->name);
            CHECK(aopt_checkpoint_find(ck, name) == t, "%s: cannot find '%s'", path, name);
            if (tensors++ == 0) {                                   /* negative control: the last digit of the hash */
                line[strlen(line) - 1] = line[strlen(line) - 1] == '0' ? '1' : '0';
                CHECK(!matches(t, line + 7), "a wrong hash went unnoticed");
            }
        }
    }
    CHECK(ck && aopt_checkpoint_find(ck, "no such name") == NULL && aopt_checkpoint_find(ck, NULL) == NULL, "found what is not there");
    CHECK(ck && aopt_checkpoint_at(ck, -1) == NULL && aopt_checkpoint_at(ck, aopt_checkpoint_count(ck)) == NULL, "at() out of range");
    aopt_checkpoint_close(ck);
    aopt_checkpoint_close(NULL);
    fclose(f);
    CHECK(files >= 25 && tensors >= 350, "the zoo has only %d files and %d tensors", files, tensors);
}

/* Whole models: every tensor converts, and each is found by its name. */
static void test_models(void)
{
    static const char *const file[] = { "assets/tiny/tiny_vae.pth", "tests/fixtures/nano.pth", "tests/fixtures/odd.pth" };
    size_t i;
    for (i = 0; i < sizeof file / sizeof file[0]; i++) {
        aopt_checkpoint *ck = NULL;
        aopt_error err;
        int64_t k;
        CHECK(aopt_checkpoint_open(file[i], NULL, &ck, &err) == AOPT_OK && aopt_checkpoint_count(ck) == 196, "%s", ck ? file[i] : err.message);
        for (k = 0; ck && k < aopt_checkpoint_count(ck); k++) {
            const aopt_tensor *t = aopt_checkpoint_at(ck, k);
            const int64_t n = aopt_tensor_numel(t);
            float *x = (float *)malloc((size_t)n * sizeof *x);
            CHECK(aopt_tensor_to_f32(t, x, n, &err) == AOPT_OK && aopt_checkpoint_find(ck, t->name) == t, "%s: %s", file[i], t->name);
            free(x);
        }
        aopt_checkpoint_close(ck);
    }
}

static int count_calls(void *user, const char *what, int64_t done, int64_t total)
{
    int *calls = (int *)user;
    CHECK(strcmp(what, "verify checkpoint") == 0 && done > 0 && done <= total, "%s %lld of %lld", what, (long long)done, (long long)total);
    return ++*calls == 3;
}

static void test_options(void)
{
    zip z = pth_make(P_START P_T4 ".", sizeof(P_START P_T4 ".") - 1);
    aopt_checkpoint_options options;
    aopt_checkpoint *ck = NULL;
    aopt_error err;
    int calls = 0;
    memset(&options, 0, sizeof options);
    options.progress = count_calls;
    options.progress_user = &calls;
    CHECK(aopt_checkpoint_open_memory(z.out.b, z.out.n, "m", &options, &ck, &err) == AOPT_E_CANCELLED && !ck && calls == 3, "%d calls", calls);
    z.out.b[z.data[2]] ^= 1;
    CHECK(aopt_checkpoint_open_memory(z.out.b, z.out.n, "m", NULL, &ck, &err) == AOPT_E_FORMAT, "a wrong CRC went unnoticed");
    options.skip_crc = 1;
    CHECK(aopt_checkpoint_open_memory(z.out.b, z.out.n, NULL, &options, &ck, &err) == AOPT_OK && calls == 3, "skip_crc: %s", err.message);
    CHECK(ck && strcmp(aopt_checkpoint_path(ck), "(memory)") == 0 && strcmp(aopt_checkpoint_at(ck, 0)->name, "tensor") == 0, "bare tensor");
    aopt_checkpoint_close(ck);
    CHECK(aopt_checkpoint_open_memory(NULL, 1, NULL, NULL, &ck, NULL) == AOPT_E_ARG && aopt_checkpoint_open(NULL, NULL, &ck, NULL) == AOPT_E_ARG, "NULL");
    CHECK(aopt_checkpoint_open("tests", NULL, &ck, &err) == AOPT_E_IO && strstr(err.message, "not a regular file"), "%s", err.message);
    CHECK(aopt_checkpoint_open("no/such.pth", NULL, &ck, &err) == AOPT_E_IO && strstr(err.message, "no/such.pth: cannot open"), "%s", err.message);
    free(z.out.b);
}

/* ---- hostile */
static void refused(const char *what, const void *data, size_t n, aopt_status status, const char *fragment)
{
    unsigned char *copy = (unsigned char *)malloc(n ? n : 1);       /* exactly n bytes */
    aopt_checkpoint *ck = NULL;
    aopt_error err;
    aopt_status st;
    if (n > 0) memcpy(copy, data, n);
    err.message[0] = 0;
    st = aopt_checkpoint_open_memory(copy, n, "bad", NULL, &ck, &err);
    CHECK(st == status && !ck, "%s: %s (%s), expected %s", what, aopt_status_name((int)st), err.message, aopt_status_name((int)status));
    CHECK(strstr(err.message, fragment) != NULL && strncmp(err.message, "bad: ", 5) == 0, "%s: expected '%s' in '%s'", what, fragment, err.message);
    aopt_checkpoint_close(ck);
    free(copy);
}

typedef struct pickle_case { const char *what, *pickle; size_t n; aopt_status status; const char *fragment; } pickle_case;
#define CASE(what, pickle, status, fragment) { what, pickle, sizeof(pickle) - 1, status, fragment }

static void test_pickle_refused(void)
{
    static const pickle_case c[] = {
        CASE("os.system", P_START "cos\nsystem\n" P_STR("\2", "id") "\x85R.", AOPT_E_UNSUPPORTED, "data.pkl byte 2: global 'os.system'"),
        CASE("stack global", "\x80\4\x8c\2os\x8c\6system\x93.", AOPT_E_UNSUPPORTED, "global 'os.system'"),
        CASE("hostile name", P_START "co\x1b[2J\nx\xff\n.", AOPT_E_UNSUPPORTED, "global 'o\\x1b[2J.x\\xff'"),
        CASE("subclass of a known module", P_START "ctorch\nload\n.", AOPT_E_UNSUPPORTED, "global 'torch.load'"),
        CASE("fp8", P_START "ctorch\nfloat8_e4m3fn\n.", AOPT_E_UNSUPPORTED, "global 'torch.float8_e4m3fn'"),
        CASE("complex", P_START P_PID("torch\nComplexFloatStorage", "0", "K\2") ".", AOPT_E_UNSUPPORTED, "global 'torch.ComplexFloatStorage'"),
        CASE("global without end", P_START "ctorch", AOPT_E_FORMAT, "without an end of line"),
        CASE("global of ints", P_START "K\1K\2\x93.", AOPT_E_FORMAT, "name is not a string"),
        CASE("INST", P_START "(ios\nsystem\n.", AOPT_E_UNSUPPORTED, "byte 3: pickle opcode INST (0x69)"),
        CASE("OBJ", P_START "(o.", AOPT_E_UNSUPPORTED, "opcode OBJ"),
        CASE("NEWOBJ", P_START ")\x81.", AOPT_E_UNSUPPORTED, "opcode NEWOBJ (0x81)"),
        CASE("NEWOBJ_EX", P_START ")\x92.", AOPT_E_UNSUPPORTED, "opcode NEWOBJ_EX"),
        CASE("EXT1", P_START "\x82\1.", AOPT_E_UNSUPPORTED, "opcode EXT1"),
        CASE("PERSID", P_START "Px\n.", AOPT_E_UNSUPPORTED, "opcode PERSID"),
        CASE("POP", P_START "N0.", AOPT_E_UNSUPPORTED, "opcode POP (0x30)"),
        CASE("LONG4", P_START "\x8b\1\0\0\0\1.", AOPT_E_UNSUPPORTED, "opcode LONG4"),
        CASE("no opcode", P_START "\xff.", AOPT_E_UNSUPPORTED, "opcode unknown (0xff)"),
        CASE("protocol 0", "\x80\0N.", AOPT_E_UNSUPPORTED, "protocol 0, expected 2 to 5"),
        CASE("protocol 6", "\x80\6N.", AOPT_E_UNSUPPORTED, "protocol 6"),
        CASE("empty", "", AOPT_E_FORMAT, "data.pkl byte 0: cut short"),
        CASE("no stop", P_START "N", AOPT_E_FORMAT, "byte 3: cut short"),
        CASE("short argument", P_START "J\1\2", AOPT_E_FORMAT, "cut short: 4 more bytes expected, 2 left"),
        CASE("long string", P_START "X\xff\xff\xff\xff" "abc.", AOPT_E_FORMAT, "cut short: 4294967295 more bytes"),
        CASE("longer string", "\x80\4\x8d\xff\xff\xff\xff\xff\xff\xff\xff" "abc.", AOPT_E_FORMAT, "cut short: 18446744073709551615 more bytes"),
        CASE("long int", P_START "\x8a\x10" "abc.", AOPT_E_FORMAT, "cut short: 16 more"),
        CASE("after the end", P_START P_T4 ".N", AOPT_E_FORMAT, "1 bytes after the end of the pickle"),
        CASE("two objects", P_START P_T4 "N.", AOPT_E_FORMAT, "2 objects are left on the stack"),
        CASE("no object", P_START ".", AOPT_E_FORMAT, "0 objects are left"),
        CASE("only a mark", P_START "(.", AOPT_E_FORMAT, "1 objects are left"),
        CASE("top is an int", P_START "K\1.", AOPT_E_FORMAT, "holds an int, expected a tensor or a dict"),
        CASE("top is a global", P_START "ctorch\nFloatStorage\n.", AOPT_E_FORMAT, "holds a global"),
        CASE("top is a storage", P_START P_FLOATS ".", AOPT_E_FORMAT, "holds a storage"),
        CASE("memo never stored", P_START "h\5.", AOPT_E_FORMAT, "memo number 5 was never stored"),
        CASE("memo far", P_START "j\xff\xff\xff\xff.", AOPT_E_FORMAT, "memo number 4294967295 was never stored"),
        CASE("memo bomb", P_START "Nr\xff\xff\xff\x7f.", AOPT_E_FORMAT, "memo number 2147483647 in a pickle of"),
        CASE("memo of nothing", P_START "q\0.", AOPT_E_FORMAT, "the stack holds no object"),
        CASE("memo of a mark", P_START "(q\0.", AOPT_E_FORMAT, "the stack holds no object"),
        CASE("tuple of nothing", P_START "\x85.", AOPT_E_FORMAT, "too few objects"),
        CASE("tuple over a mark", P_START "N(N\x87.", AOPT_E_FORMAT, "a mark inside a tuple"),
        CASE("tuple without mark", P_START "NNt.", AOPT_E_FORMAT, "no mark"),
        CASE("setitem on an int", P_START "K\1K\2K\3s.", AOPT_E_FORMAT, "items for a dict are put into an int"),
        CASE("setitem on a tensor", P_START P_T4 P_STR("\1", "a") "K\3s.", AOPT_E_FORMAT, "items for a dict are put into a tensor"),
        CASE("setitem on a list", P_START "]K\0K\3s.", AOPT_E_FORMAT, "items for a dict are put into a list"),
        CASE("setitem on nothing", P_START "K\0s.", AOPT_E_FORMAT, "put into nothing"),
        CASE("setitems on nothing", P_START "(K\0K\1u.", AOPT_E_FORMAT, "put into nothing"),
        CASE("setitems, odd", P_START "}(K\0u.", AOPT_E_FORMAT, "a key without a value"),
        CASE("setitem of a mark", P_START "}K\0(s.", AOPT_E_FORMAT, "a mark among the items"),
        CASE("append to a dict", P_START "}K\0a.", AOPT_E_FORMAT, "items for a list are put into a dict"),
        CASE("reduce an int", P_START "K\1)R.", AOPT_E_FORMAT, "REDUCE of an int with a tuple"),
        CASE("reduce without tuple", P_START "ccollections\nOrderedDict\nNR.", AOPT_E_FORMAT, "REDUCE of a global with None"),
        CASE("reduce nothing", P_START ")R.", AOPT_E_FORMAT, "the stack holds no object"),
        CASE("reduce a storage type", P_START "ctorch\nFloatStorage\n)R.", AOPT_E_FORMAT, "with 0 arguments that do not belong to it"),
        CASE("OrderedDict of items", P_START "ccollections\nOrderedDict\n]\x85R.", AOPT_E_FORMAT, "with 1 arguments"),
        CASE("Size of an int", P_START "ctorch\nSize\nK\1\x85R.", AOPT_E_FORMAT, "with 1 arguments"),
        CASE("Parameter of None", P_START "ctorch._utils\n_rebuild_parameter\nN\x89N\x87R.", AOPT_E_FORMAT, "with 3 arguments"),
        CASE("build a tensor", P_START P_T4 "}b.", AOPT_E_FORMAT, "BUILD of a tensor with a dict"),
        CASE("build with an int", P_START "}K\1b.", AOPT_E_FORMAT, "BUILD of a dict with an int"),
        CASE("same name twice", P_START "}" P_STR("\1", "w") P_T4 "s" P_STR("\1", "w") P_T4 "s.", AOPT_E_FORMAT, "two tensors are named 'w'"),
        CASE("same joined name", P_START "}" P_STR("\3", "a.b") P_T4 "s" P_STR("\1", "a") "}" P_STR("\1", "b") P_T4 "ss.", AOPT_E_FORMAT, "two tensors are named 'a.b'"),
        CASE("key None", P_START "}N" P_T4 "s.", AOPT_E_FORMAT, "a tensor's key is None"),
        CASE("key empty", P_START "}" P_STR("\0", "") P_T4 "s.", AOPT_E_FORMAT, "a tensor's key is a string ''"),
        CASE("key not UTF-8", P_START "}" P_STR("\2", "w\xff") P_T4 "s.", AOPT_E_FORMAT, "'w\\xff', expected UTF-8"),
        CASE("key with NUL", P_START "}" P_STR("\3", "w\0x") P_T4 "s.", AOPT_E_FORMAT, "'w\\x00x', expected UTF-8"),
        CASE("key with newline", P_START "}" P_STR("\2", "w\n") P_T4 "s.", AOPT_E_FORMAT, "tensor 'w\\x0a' has a control character"),
        CASE("dict in itself", P_START "}q\0" P_STR("\1", "d") "h\0s.", AOPT_E_FORMAT, "deeper than 32 levels") };
    size_t i;
    for (i = 0; i < sizeof c / sizeof c[0]; i++) {
        zip z = pth_make(c[i].pickle, c[i].n);
        refused(c[i].what, z.out.b, z.out.n, c[i].status, c[i].fragment);
        free(z.out.b);
    }
}

static void test_tensor_refused(void)
{
#define V2(storage, offset, size, stride) P_START P_TENSOR(storage, offset, size, stride) "."
#define BIG "\x8a\x08\0\0\0\0\0\0\0\x40"           /* 2^62 */
    static const pickle_case c[] = {
        CASE("storage too long", V2(P_PID("torch\nFloatStorage", "0", "K\5"), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "storage '0': 5 elements of F32 do not fit its zip entry of 16 bytes"),
        CASE("storage too wide", V2(P_PID("torch\nDoubleStorage", "0", "K\4"), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "4 elements of F64"),
        CASE("storage overflow", V2(P_PID("torch\nFloatStorage", "0", BIG), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "do not fit"),
        CASE("storage negative", V2(P_PID("torch\nFloatStorage", "0", "J\xff\xff\xff\xff"), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "-1 elements"),
        CASE("storage absent", V2(P_PID("torch\nFloatStorage", "7", "K\4"), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "the zip has no entry data/7"),
        CASE("storage of another type", V2(P_PID("torch\nfloat32", "0", "K\4"), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "persistent id is not"),
        CASE("persistent id of 2", P_START "NN\x86Q.", AOPT_E_FORMAT, "persistent id is not"),
        CASE("persistent id an int", P_START "K\1Q.", AOPT_E_FORMAT, "persistent id is not"),
        CASE("untyped in v2", V2(P_PID("torch.storage\nUntypedStorage", "0", "K\x10"), "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "arguments of _rebuild_tensor_v2"),
        CASE("one too many", V2(P_FLOATS, "K\0", "K\5\x85", "K\1\x85"), AOPT_E_FORMAT, "F32 [5] at offset 0 reaches outside its storage of 4 elements"),
        CASE("offset too far", V2(P_FLOATS, "K\1", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "at offset 1 reaches outside"),
        CASE("offset negative", V2(P_FLOATS, "J\xff\xff\xff\xff", "K\1\x85", "K\1\x85"), AOPT_E_FORMAT, "at offset -1 reaches outside"),
        CASE("offset huge", V2(P_FLOATS, BIG, "K\1\x85", "K\1\x85"), AOPT_E_FORMAT, "reaches outside"),
        CASE("offset of an empty tensor", V2(P_FLOATS, "K\5", "K\0\x85", "K\1\x85"), AOPT_E_FORMAT, "reaches outside"),
        CASE("scalar past the end", V2(P_FLOATS, "K\4", ")", ")"), AOPT_E_FORMAT, "reaches outside"),
        CASE("stride too far", V2(P_FLOATS, "K\0", "K\2\x85", "K\4\x85"), AOPT_E_FORMAT, "reaches outside"),
        CASE("stride overflow", V2(P_FLOATS, "K\0", "K\5\x85", BIG "\x85"), AOPT_E_FORMAT, "reaches outside"),
        CASE("strides add up", V2(P_FLOATS, "K\0", "K\2K\2\x86", "K\2K\2\x86"), AOPT_E_FORMAT, "reaches outside"),
        CASE("stride negative", V2(P_FLOATS, "K\3", "K\4\x85", "J\xff\xff\xff\xff\x85"), AOPT_E_FORMAT, "dimension 0 of a tensor: size 4, stride -1"),
        CASE("size negative", V2(P_FLOATS, "K\0", "J\xff\xff\xff\xff\x85", "K\1\x85"), AOPT_E_FORMAT, "size -1, stride 1"),
        CASE("size a float", V2(P_FLOATS, "K\0", "G\0\0\0\0\0\0\0\0\x85", "K\1\x85"), AOPT_E_FORMAT, "expected two ints"),
        CASE("size overflow", V2(P_FLOATS, "K\0", BIG BIG "\x86", "K\0K\0\x86"), AOPT_E_FORMAT, "more than 63 bits"),
        CASE("bytes overflow", V2(P_FLOATS, "K\0", BIG "\x85", "K\0\x85"), AOPT_E_FORMAT, "more than 63 bits"),
        CASE("size and stride differ", V2(P_FLOATS, "K\0", "K\4\x85", "K\1K\1\x86"), AOPT_E_FORMAT, "two tuples of one length"),
        CASE("size a list", V2(P_FLOATS, "K\0", "]", ")"), AOPT_E_FORMAT, "two tuples of one length"),
        CASE("nine dimensions", V2(P_FLOATS, "K\0", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t", "(K\1K\1K\1K\1K\1K\1K\1K\1K\1t"), AOPT_E_UNSUPPORTED, "a tensor of 9 dimensions"),
        CASE("no storage", V2("N", "K\0", "K\4\x85", "K\1\x85"), AOPT_E_FORMAT, "arguments of _rebuild_tensor_v2"),
        CASE("five arguments", P_START P_V2 "(" P_FLOATS "K\0))\x89tR.", AOPT_E_FORMAT, "arguments of _rebuild_tensor_v2"),
        CASE("negative view", P_START P_V2 "(" P_FLOATS "K\0))\x89" P_ORDERED "}" P_STR("\3", "neg") "\x88stR.", AOPT_E_UNSUPPORTED, "a tensor with metadata"),
        CASE("v3 without dtype", P_START "ctorch._utils\n_rebuild_tensor_v3\n(" P_FLOATS "K\0))\x89" P_ORDERED "K\1tR.", AOPT_E_FORMAT, "arguments of _rebuild_tensor_v3"),
        CASE("v3 wider than its storage", P_START "ctorch._utils\n_rebuild_tensor_v3\n(" P_FLOATS "K\0K\4\x85K\1\x85\x89" P_ORDERED "ctorch\nfloat64\ntR.", AOPT_E_FORMAT,
             "F64 [4] at offset 0 reaches outside its storage of 2 elements") };
    size_t i;
    for (i = 0; i < sizeof c / sizeof c[0]; i++) {
        zip z = pth_make(c[i].pickle, c[i].n);
        refused(c[i].what, z.out.b, z.out.n, c[i].status, c[i].fragment);
        free(z.out.b);
    }
}

/* Small files that would cost a careless reader all its memory or its stack. */
static void test_bombs(void)
{
    static const size_t n = 5000000;
    bytes p;
    zip z;
    int i, leaf;
    memset(&p, 0, sizeof p);
    for (leaf = 0; leaf < 2; leaf++) {                              /* a pair of pairs of pairs ... of a tensor, or of an int */
        p.n = 0;
        put(&p, P_START "(", 3);
        put(&p, leaf ? "K\1\x85q\0" : P_T4 "\x85q\0", leaf ? 5 : sizeof(P_T4 "\x85q\0") - 1);
        for (i = 0; i < 25; i++) put(&p, "h\0h\0\x86q\0", 7);
        put(&p, "t.", 2);
        z = pth_make(p.b, p.n);
        refused("repeated tuples", z.out.b, z.out.n, AOPT_E_FORMAT, leaf ? "more than 4194304 items" : "more than 131072 tensors");
        free(z.out.b);
    }
    p.n = 0;
    put(&p, P_START, 2);
    p.b = (unsigned char *)realloc(p.b, n + 3);
    memset(p.b + 2, '(', n);
    p.n = n + 2;
    z = pth_make(p.b, p.n);
    refused("marks", z.out.b, z.out.n, AOPT_E_FORMAT, "more than 4194304 objects on the stack");
    free(z.out.b);
    p.b[2] = ')';                                                   /* a tuple in a tuple in a tuple ... */
    memset(p.b + 3, 0x85, n - 1);
    z = pth_make(p.b, p.n);
    refused("tuples", z.out.b, z.out.n, AOPT_E_FORMAT, "more than 4194304 objects");
    free(z.out.b);
    p.b[2] = ']';                                                   /* lists as deep as allowed by number, then the end */
    memset(p.b + 3, 0x85, 1000000);
    p.b[1000003] = '.';
    z = pth_make(p.b, 1000004);
    refused("nested", z.out.b, z.out.n, AOPT_E_FORMAT, "deeper than 32 levels");
    free(z.out.b);
    p.n = 0;                                                        /* a name of 600 bytes */
    put(&p, P_START "}X\x58\2\0\0", 8);
    for (i = 0; i < 600; i++) put(&p, "k", 1);
    put(&p, P_T4 "s.", sizeof(P_T4 "s.") - 1);
    z = pth_make(p.b, p.n);
    refused("long name", z.out.b, z.out.n, AOPT_E_FORMAT, "a tensor name of more than 510 bytes, it ends in 'kkk");
    free(z.out.b);
    free(p.b);
}

/* Change one field of a good file. */
typedef struct field_case { const char *what; char where; int entry, at, bytes; uint32_t value; aopt_status status; const char *fragment; } field_case;

static void test_zip_refused(void)
{
    static const field_case c[] = {     /* where: l local header, c central, d data, e end record */
        { "encrypted", 'c', 2, 8, 2, 0x809, AOPT_E_UNSUPPORTED, "zip entry 'a/data/0' is encrypted" },
        { "strongly encrypted", 'c', 2, 8, 2, 0x849, AOPT_E_UNSUPPORTED, "is encrypted" },
        { "encrypted local only", 'l', 2, 6, 2, 0x809, AOPT_E_FORMAT, "has other flags in its local header" },
        { "deflated", 'c', 2, 10, 2, 8, AOPT_E_UNSUPPORTED, "is compressed (deflate)" },
        { "bzip2", 'c', 2, 10, 2, 12, AOPT_E_UNSUPPORTED, "is compressed" },
        { "deflated local only", 'l', 2, 8, 2, 8, AOPT_E_FORMAT, "another method in its local header" },
        { "two sizes", 'c', 2, 20, 4, 15, AOPT_E_FORMAT, "stored, but with two different sizes" },
        { "size local", 'l', 2, 22, 4, 15, AOPT_E_FORMAT, "another size in its local header" },
        { "CRC local", 'l', 2, 14, 4, 15, AOPT_E_FORMAT, "another CRC in its local header" },
        { "CRC central", 'c', 2, 16, 4, 15, AOPT_E_FORMAT, "data descriptor that is missing or disagrees" },
        { "descriptor signature", 'd', 2, 16, 4, 0, AOPT_E_FORMAT, "data descriptor" },
        { "descriptor size", 'd', 2, 24, 4, 17, AOPT_E_FORMAT, "data descriptor" },
        { "data", 'd', 2, 3, 1, 0x40, AOPT_E_FORMAT, "zip entry 'a/data/0' is damaged: CRC " },
        { "pickle", 'd', 0, 3, 1, 0x40, AOPT_E_FORMAT, "zip entry 'a/data.pkl' is damaged: CRC " },
        { "big-endian", 'd', 1, 0, 4, 0x20676962, AOPT_E_UNSUPPORTED, "zip entry 'a/byteorder' does not say 'little'" },
        { "name local", 'l', 2, 30, 1, 'b', AOPT_E_FORMAT, "another name in its local header" },
        { "name length local", 'l', 2, 26, 2, 7, AOPT_E_FORMAT, "another name" },
        { "name length local far", 'l', 2, 26, 2, 0xFFFF, AOPT_E_FORMAT, "runs past the directory" },
        { "extra length local", 'l', 3, 28, 2, 0xFFFF, AOPT_E_FORMAT, "runs past the directory" },
        { "extra local", 'l', 0, 28, 2, 3, AOPT_E_FORMAT, "damaged extra field in its local header" },
        { "local signature", 'l', 2, 0, 4, 0, AOPT_E_FORMAT, "no local header where the directory says" },
        { "local offset", 'c', 2, 42, 4, 1, AOPT_E_FORMAT, "overlaps the entry before it" },
        { "local offset far", 'c', 2, 42, 4, 0x7FFFFFFF, AOPT_E_FORMAT, "no local header where" },
        { "local offset saturated", 'c', 2, 42, 4, 0xFFFFFFFF, AOPT_E_FORMAT, "damaged extra field in the directory" },
        { "size saturated", 'c', 2, 24, 4, 0xFFFFFFFF, AOPT_E_FORMAT, "damaged extra field in the directory" },
        { "central signature", 'c', 2, 0, 4, 0, AOPT_E_FORMAT, "zip directory: no entry at byte" },
        { "central name length", 'c', 3, 28, 2, 0xFFFF, AOPT_E_FORMAT, "runs past the end" },
        { "central extra length", 'c', 3, 30, 2, 1, AOPT_E_FORMAT, "runs past the end" },
        { "name with control character", 'c', 2, 46, 1, 7, AOPT_E_FORMAT, "'\\x07/data/0' has a control character" },
        { "entry twice", 'c', 3, 42, 4, 0, AOPT_E_FORMAT, "overlaps" },
        { "entries few", 'e', 0, 8, 4, 0x00030003, AOPT_E_FORMAT, "after the last of 3 entries" },
        { "entries many", 'e', 0, 8, 4, 0x00050005, AOPT_E_FORMAT, "of 222 bytes cannot hold 5 entries" },
        { "entries far too many", 'e', 0, 8, 4, 0xFFFFFFFF, AOPT_E_FORMAT, "cannot hold 65535 entries" },
        { "volumes", 'e', 0, 4, 2, 1, AOPT_E_UNSUPPORTED, "several volumes" },
        { "directory size", 'e', 0, 12, 4, 1, AOPT_E_FORMAT, "does not end at" },
        { "directory far", 'e', 0, 16, 4, 0xFFFFFF00, AOPT_E_FORMAT, "does not end at" },
        { "end signature", 'e', 0, 0, 4, 0, AOPT_E_FORMAT, "no end of a zip directory" },
        { "comment length", 'e', 0, 20, 2, 1, AOPT_E_FORMAT, "no end of a zip directory" } };
    size_t i;
    for (i = 0; i < sizeof c / sizeof c[0]; i++) {
        zip z = pth_make(P_START P_T4 ".", sizeof(P_START P_T4 ".") - 1);
        const size_t base = c[i].where == 'l' ? z.local[c[i].entry] : c[i].where == 'c' ? z.central[c[i].entry] : c[i].where == 'd' ? z.data[c[i].entry] : z.end;
        unsigned char *p = z.out.b + base + c[i].at;
        if (c[i].bytes == 1) *p = (unsigned char)c[i].value;
        if (c[i].bytes == 2) set16(p, c[i].value);
        if (c[i].bytes == 4) set32(p, c[i].value);
        refused(c[i].what, z.out.b, z.out.n, c[i].status, c[i].fragment);
        free(z.out.b);
    }
}

/* The zoo's zip64.pth: its last 98 bytes are the zip64 end record (56), its locator (20) and the end record (22). */
static void test_zip64_refused(void)
{
    static const struct { const char *what; int at; uint32_t value; const char *fragment; } c[] = {
        { "locator", -34, 1, "the zip64 end record is not at 1, where its locator says" }, { "locator far", -30, 0x7FFFFFFF, "the zip64 end record is not at" },
        { "record signature", -98, 0, "the zip64 end record is not at" }, { "entries on this disk", -74, 1, "end record disagree" },
        { "small start", -6, 1, "end record disagree" }, { "start", -50, 1, "does not end at" }, { "start far", -46, 0x80000000u, "does not end at" } };
    unsigned char b[8192], *p;
    FILE *f = fopen(ZOO "zip64.pth", "rb");
    const size_t n = f ? fread(b, 1, sizeof b, f) : 0;
    size_t i;
    if (f) fclose(f);
    if (n < 98) { CHECK(0, "no zip64.pth"); return; }
    for (i = 0; i < sizeof c / sizeof c[0]; i++) {
        unsigned char keep[4];
        p = b + n + c[i].at;
        memcpy(keep, p, 4);
        set32(p, c[i].value);
        refused(c[i].what, b, n, AOPT_E_FORMAT, c[i].fragment);
        memcpy(p, keep, 4);
    }
}

static void refused_entries(const char *what, const char *const *names, int n, aopt_status status, const char *fragment)
{
    zip z;
    int i;
    memset(&z, 0, sizeof z);
    for (i = 0; i < n; i++) zip_add(&z, names[i], P_START "}.", 4);
    zip_end(&z);
    refused(what, z.out.b, z.out.n, status, fragment);
    free(z.out.b);
}

static void test_layout_refused(void)
{
    static const char *const none[] = { "a/data", "b/x.pkl" }, *const bare[] = { "data.pkl" }, *const two[] = { "a/data.pkl", "b/data.pkl" };
    static const char *const twice[] = { "a/data.pkl", "a/data/0", "a/data/0" }, *const script[] = { "a/code/x.py", "a/data.pkl" };
    static const char *const constants[] = { "a/constants.pkl", "a/data.pkl" };
    static const unsigned char legacy[] = { 0x80, 2, 0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, '.' };
    char tar[512];
    zip z;
    refused_entries("no data.pkl", none, 2, AOPT_E_FORMAT, "a zip of 2 entries, none of them */data.pkl");
    refused_entries("data.pkl at the top", bare, 1, AOPT_E_FORMAT, "none of them */data.pkl");
    refused_entries("two data.pkl", two, 2, AOPT_E_FORMAT, "zip entry 'b/data.pkl' is a second data.pkl");
    refused_entries("an entry twice", twice, 3, AOPT_E_FORMAT, "zip entry 'a/data/0' is there twice");
    refused_entries("TorchScript", script, 2, AOPT_E_UNSUPPORTED, "zip entry 'a/code/x.py' makes this a TorchScript archive");
    refused_entries("TorchScript, constants", constants, 2, AOPT_E_UNSUPPORTED, "zip entry 'a/constants.pkl' makes this a TorchScript archive");
    refused_entries("empty zip", none, 0, AOPT_E_FORMAT, "a zip of 0 entries");
    z = pth_make(P_START P_T4 ".", sizeof(P_START P_T4 ".") - 1);     /* real ones compress their code: it is named all the same */
    memcpy(z.out.b + z.central[2] + 46, "a/code/0", 8);
    set16(z.out.b + z.central[2] + 10, 8);
    refused("TorchScript, deflated", z.out.b, z.out.n, AOPT_E_UNSUPPORTED, "makes this a TorchScript archive");
    free(z.out.b);
    refused("legacy", legacy, sizeof legacy, AOPT_E_UNSUPPORTED, "before 1.6");
    refused("pickle", "\x80\4N.", 4, AOPT_E_UNSUPPORTED, "a bare pickle");
    memset(tar, 0, sizeof tar);
    memcpy(tar + 257, "ustar", 5);
    refused("tar", tar, sizeof tar, AOPT_E_UNSUPPORTED, "a tar archive");
    refused("empty file", "", 0, AOPT_E_FORMAT, "0 bytes");
    refused("text", "version https://git-lfs.github.com/spec/v1\n", 43, AOPT_E_FORMAT, "start with 'version https://'");
    refused("half a signature", "PK\3", 3, AOPT_E_FORMAT, "neither .pth");
    refused("only a signature", "PK\3\4", 4, AOPT_E_FORMAT, "cut short");
}

/* Every prefix of a good file is refused; every changed byte is refused or changes nothing that counts.  ASan watches. */
static void sweep(const unsigned char *b, size_t n)
{
    size_t i;
    int bit;
    for (i = 0; i < n; i++) {
        unsigned char *copy = (unsigned char *)malloc(i ? i : 1);
        aopt_checkpoint *ck = NULL;
        memcpy(copy, b, i);
        CHECK(aopt_checkpoint_open_memory(copy, i, "cut", NULL, &ck, NULL) != AOPT_OK, "the first %d bytes pass", (int)i);
        aopt_checkpoint_close(ck);
        free(copy);
    }
    for (i = 0; i < n; i++)
        for (bit = 0; bit < 8; bit++) {
            unsigned char *copy = (unsigned char *)malloc(n);
            aopt_checkpoint_options options;
            aopt_checkpoint *ck = NULL;
            memset(&options, 0, sizeof options);
            options.skip_crc = bit & 1;
            memcpy(copy, b, n);
            copy[i] ^= (unsigned char)(1 << bit);
            if (aopt_checkpoint_open_memory(copy, n, "bit", &options, &ck, NULL) == AOPT_OK) {
                int64_t k;
                char hex[65];
                for (k = 0; k < aopt_checkpoint_count(ck); k++) values_hash(aopt_checkpoint_at(ck, k), hex);
            }
            aopt_checkpoint_close(ck);
            free(copy);
        }
}

static void test_sweep(void)
{
    static const char header[] = "{\"a\":{\"dtype\":\"U8\",\"shape\":[2],\"data_offsets\":[0,2]}} ";
    unsigned char st[8 + sizeof header - 1 + 2];
    zip z = pth_make(P_START "}(" P_STR("\1", "w") P_T4 P_STR("\1", "v") P_T4 "u.", sizeof(P_START "}(" P_STR("\1", "w") P_T4 P_STR("\1", "v") P_T4 "u.") - 1);
    memset(st, 0, sizeof st);
    st[0] = (unsigned char)(sizeof header - 1);
    memcpy(st + 8, header, sizeof header - 1);
    sweep(z.out.b, z.out.n);
    sweep(st, sizeof st);
    free(z.out.b);
}

/* ---- safetensors */
static void refused_header(const char *header, size_t data_n, aopt_status status, const char *fragment)
{
    bytes f;
    unsigned char length[8];
    char *data = (char *)calloc(data_n + 1, 1);
    memset(&f, 0, sizeof f);
    memset(length, 0, 8);
    set32(length, (uint32_t)strlen(header));
    put(&f, length, 8);
    put(&f, header, strlen(header));
    put(&f, data, data_n);
    refused(header, f.b, f.n, status, fragment);
    free(f.b);
    free(data);
}

static void test_safetensors_refused(void)
{
#define T(dtype, shape, offsets) "{\"dtype\":\"" dtype "\",\"shape\":" shape ",\"data_offsets\":" offsets "}"
    static const struct { const char *header; int data_n; aopt_status status; const char *fragment; } c[] = {
        { "{\"a\":" T("F32", "[2]", "[0,8]") "}", 7, AOPT_E_FORMAT, "'a': data_offsets [0, 8] do not lie in the 7 bytes" },
        { "{\"a\":" T("F32", "[2]", "[0,8]") "}", 9, AOPT_E_FORMAT, "end at byte 8 of the data, the file at 9" },
        { "{\"a\":" T("F32", "[3]", "[0,8]") "}", 8, AOPT_E_FORMAT, "hold 8 bytes, its shape and dtype F32 need another" },
        { "{\"a\":" T("F32", "[2]", "[8,0]") "}", 8, AOPT_E_FORMAT, "[8, 0] do not lie" },
        { "{\"a\":" T("F32", "[2]", "[-8,0]") "}", 8, AOPT_E_FORMAT, "[-8, 0] do not lie" },
        { "{\"a\":" T("F32", "[-2]", "[0,8]") "}", 8, AOPT_E_FORMAT, "dimension 0 is not an integer" },
        { "{\"a\":" T("F32", "[2.0]", "[0,8]") "}", 8, AOPT_E_FORMAT, "dimension 0 is not an integer" },
        { "{\"a\":" T("F32", "[1,\"2\"]", "[0,8]") "}", 8, AOPT_E_FORMAT, "dimension 1 is not an integer" },
        { "{\"a\":" T("U8", "[4611686018427387904,4]", "[0,0]") "}", 0, AOPT_E_FORMAT, "need another" },
        { "{\"a\":" T("F64", "[4611686018427387904]", "[0,0]") "}", 0, AOPT_E_FORMAT, "need another" },
        { "{\"a\":" T("U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1, AOPT_E_UNSUPPORTED, "9 dimensions, at most 8" },
        { "{\"a\":" T("F8_E4M3", "[2]", "[0,2]") "}", 2, AOPT_E_UNSUPPORTED, "'a' has dtype 'F8_E4M3'" },
        { "{\"a\":" T("f32", "[2]", "[0,8]") "}", 8, AOPT_E_UNSUPPORTED, "dtype 'f32'" },
        { "{\"a\":" T("?", "[2]", "[0,8]") "}", 8, AOPT_E_UNSUPPORTED, "dtype '?'" },
        { "{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[1,3]") "}", 3, AOPT_E_FORMAT, "'b' begins at byte 1 of the data, expected 2 (an overlap)" },
        { "{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[3,5]") "}", 5, AOPT_E_FORMAT, "'b' begins at byte 3 of the data, expected 2 (a hole)" },
        { "{\"a\":" T("U8", "[2]", "[0,2]") ",\"b\":" T("U8", "[2]", "[0,2]") "}", 2, AOPT_E_FORMAT, "(an overlap)" },
        { "{\"a\":" T("U8", "[2]", "[1,3]") "}", 3, AOPT_E_FORMAT, "begins at byte 1 of the data, expected 0" },
        { "{\"a\":" T("U8", "[1]", "[0,1]") ",\"a\":" T("U8", "[1]", "[1,2]") "}", 2, AOPT_E_FORMAT, "duplicate key 'a'" },
        { "{\"a\\n\":" T("U8", "[1]", "[0,1]") "}", 1, AOPT_E_FORMAT, "tensor 'a\\x0a' has a control character" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1]}}", 1, AOPT_E_FORMAT, "'a' is not {dtype, shape" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1],\"x\":1}}", 1, AOPT_E_FORMAT, "'a' is not {dtype, shape" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0]}}", 1, AOPT_E_FORMAT, "'a' is not {dtype, shape" },
        { "{\"a\":{\"dtype\":\"U8\",\"shape\":[1],\"data_offsets\":[0,1.5]}}", 1, AOPT_E_FORMAT, "'a' is not {dtype, shape" },
        { "{\"a\":{\"dtype\":7,\"shape\":[1],\"data_offsets\":[0,1]}}", 1, AOPT_E_FORMAT, "'a' is not {dtype, shape" },
        { "{\"a\":7}", 0, AOPT_E_FORMAT, "'a' is not {dtype, shape" },
        { "{\"__metadata__\":{\"k\":7}}", 0, AOPT_E_FORMAT, "__metadata__ is not an object of strings" },
        { "{\"__metadata__\":[]}", 0, AOPT_E_FORMAT, "__metadata__ is not an object of strings" },
        { "{\"a\":}", 0, AOPT_E_FORMAT, "header: JSON: expected a value at byte 5" },
        { "{} {}", 0, AOPT_E_FORMAT, "header: JSON: expected the end" },
        { "[]", 0, AOPT_E_FORMAT, "neither .pth" } };
    static const unsigned char huge[] = { 0, 0, 0, 0, 0, 0, 0, 0x80, '{', '}' }, above[] = { 1, 0xE1, 0xF5, 5, 0, 0, 0, 0, '{', '}' };
    size_t i;
    for (i = 0; i < sizeof c / sizeof c[0]; i++) refused_header(c[i].header, (size_t)c[i].data_n, c[i].status, c[i].fragment);
    refused("header length", huge, sizeof huge, AOPT_E_FORMAT, "a safetensors header of 9223372036854775808 bytes, expected at most 2");
    refused("header cap", above, sizeof above, AOPT_E_FORMAT, "a safetensors header of 100000001 bytes");
}

/* ---- writer */
static int temporaries(const char *folder)
{
    DIR *d = opendir(folder);
    struct dirent *e;
    int n = 0;
    while (d && (e = readdir(d)) != NULL) n += strstr(e->d_name, ".autoopt-tmp") != NULL;
    if (d) closedir(d);
    return n;
}

static void test_writer(void)
{
    static const int64_t two[2] = { 2, 3 }, seven[1] = { 7 }, none[2] = { 0, 5 };
    static const char *const meta[] = { "format", "pt", "quoted \"\\\n", "\xc3\xa9" };
    static const int64_t i64[1] = { -5 };
    float f[6];
    unsigned char u[7];
    char folder[] = "/tmp/autoopt-test-XXXXXX", path[64];
    aopt_tensor t[5];
    aopt_checkpoint *ck = NULL;
    aopt_error err;
    int i;
    for (i = 0; i < 7; i++) { u[i] = (unsigned char)(i * 40); f[i % 6] = (float)i * 0.25f; }
    if (!mkdtemp(folder)) { CHECK(0, "no folder in /tmp"); return; }
    snprintf(path, sizeof path, "%s/x.safetensors", folder);
    t[0] = aopt_tensor_make("bytes", AOPT_U8, 1, seven, u, AOPT_HOST);
    t[1] = aopt_tensor_make("floats \xc3\xa9\"\\", AOPT_F32, 2, two, f, AOPT_HOST);
    t[2] = aopt_tensor_make("scalar", AOPT_I64, 0, NULL, (void *)(size_t)i64, AOPT_HOST);
    t[3] = aopt_tensor_make("empty", AOPT_F16, 2, none, NULL, AOPT_HOST);
    t[4] = aopt_tensor_make("more", AOPT_BOOL, 1, seven, u, AOPT_HOST);
    CHECK(aopt_safetensors_write(path, t, 5, meta, 2, &err) == AOPT_OK, "%s", err.message);
    CHECK(aopt_checkpoint_open(path, NULL, &ck, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; ck && i < 5; i++) {
        const aopt_tensor *g = aopt_checkpoint_find(ck, t[i].name);
        const int64_t size = aopt_tensor_numel(&t[i]) * aopt_dtype_bytes((int)t[i].dtype);
        if (!g) { CHECK(0, "'%s' is lost", t[i].name); continue; }
        CHECK(g->dtype == t[i].dtype && g->ndim == t[i].ndim && memcmp(g->shape, t[i].shape, sizeof g->shape) == 0, "'%s' changed", t[i].name);
        CHECK(size == 0 || memcmp(g->data, t[i].data, (size_t)size) == 0, "'%s' has other bytes", t[i].name);
        CHECK((size_t)g->data % (size_t)aopt_dtype_bytes((int)g->dtype) == 0, "'%s' is not aligned", t[i].name);
    }
    aopt_checkpoint_close(ck);
    ck = NULL;
    CHECK(aopt_safetensors_write(path, t, 1, NULL, 0, &err) == AOPT_OK, "over an old file: %s", err.message);
    t[1].name = "bytes";
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "duplicate key 'bytes'"), "%s", err.message);
    t[1].name = NULL;
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG, "no name");
    t[1].name = "__metadata__";
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG, "__metadata__ as a name");
    t[1].name = "x\xff";
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "UTF-8"), "%s", err.message);
    t[1].name = "x\ny";
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "control character"), "%s", err.message);
    t[1].name = "x";
    t[1].stride[0] = 1;
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "not contiguous"), "%s", err.message);
    t[1].stride[0] = 3;
    t[1].ndim = 9;
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "no valid dtype and shape"), "%s", err.message);
    t[1].ndim = 2;
    t[1].device = 0;
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "host"), "%s", err.message);
    t[1].device = AOPT_HOST;
    t[1].data = NULL;
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_ARG && strstr(err.message, "no data"), "%s", err.message);
    t[1].data = (void *)8;                                          /* a bad address: the write itself fails half way */
    CHECK(aopt_safetensors_write(path, t, 2, NULL, 0, &err) == AOPT_E_IO && strstr(err.message, "cannot write"), "%s", err.message);
    CHECK(aopt_checkpoint_open(path, NULL, &ck, &err) == AOPT_OK && aopt_checkpoint_count(ck) == 1, "after errors the old file is not as before");
    aopt_checkpoint_close(ck);
    CHECK(temporaries(folder) == 0, "%d temporary files are left", temporaries(folder));
    CHECK(aopt_safetensors_write("/no/such/folder/x", t, 0, NULL, 0, &err) == AOPT_E_IO && strstr(err.message, "cannot create"), "%s", err.message);
    CHECK(aopt_safetensors_write(folder, t, 0, NULL, 0, &err) == AOPT_E_IO, "onto a folder");
    CHECK(aopt_safetensors_write(path, NULL, 0, NULL, 0, &err) == AOPT_OK && aopt_checkpoint_open(path, NULL, &ck, &err) == AOPT_OK, "no tensors: %s", err.message);
    aopt_checkpoint_close(ck);
    unlink(path);
    CHECK(rmdir(folder) == 0, "%s is not empty", folder);
    snprintf(path, sizeof path, "%s.%ld-0.autoopt-tmp", folder, (long)getpid());
    CHECK(access(path, F_OK) != 0, "%s is left", path);
}

int main(void)
{
    RUN(test_zoo);
    RUN(test_models);
    RUN(test_options);
    RUN(test_pickle_refused);
    RUN(test_tensor_refused);
    RUN(test_bombs);
    RUN(test_zip_refused);
    RUN(test_zip64_refused);
    RUN(test_layout_refused);
    RUN(test_sweep);
    RUN(test_safetensors_refused);
    RUN(test_writer);
    return check_report();
}
