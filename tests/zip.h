/* zip.h - build small checkpoints in memory, whole or broken on purpose, for the loader's tests and nothing else.
   Include after autoopt.h, of which it uses private parts (the CRC). */
#ifndef TEST_ZIP_H
#define TEST_ZIP_H

typedef struct bytes { unsigned char *b; size_t n; } bytes;
enum { ZIP_MAX = 8 };
typedef struct zip {
    bytes out, directory;
    int n;
    size_t local[ZIP_MAX], data[ZIP_MAX], central[ZIP_MAX], end;    /* where entry i's headers and data begin; where the end record does */
} zip;

static void put(bytes *to, const void *s, size_t n)
{
    to->b = (unsigned char *)realloc(to->b, to->n + n + 1);
    if (n > 0) memcpy(to->b + to->n, s, n);
    to->n += n;
}

static void set16(unsigned char *p, unsigned x) { p[0] = (unsigned char)x; p[1] = (unsigned char)(x >> 8); }
static void set32(unsigned char *p, uint32_t x) { set16(p, x & 0xFFFF); set16(p + 2, x >> 16); }

/* An entry as torch.save writes it: stored, sizes and CRC behind the data. */
static void zip_add(zip *z, const char *name, const void *data, size_t n)
{
    static uint32_t table[8][256];
    unsigned char local[30], central[46], descriptor[16];
    uint32_t crc;
    aopt__crc_tables(table);
    crc = aopt__crc_add((const uint32_t (*)[256])table, 0, (const unsigned char *)data, n);
    memset(local, 0, sizeof local);
    memset(central, 0, sizeof central);
    set32(local, 0x04034B50);
    set16(local + 6, 0x808);
    set16(local + 26, (unsigned)strlen(name));
    set32(central, 0x02014B50);
    set16(central + 8, 0x808);
    set32(central + 16, crc);
    set32(central + 20, (uint32_t)n);
    set32(central + 24, (uint32_t)n);
    set16(central + 28, (unsigned)strlen(name));
    set32(central + 42, (uint32_t)z->out.n);
    set32(descriptor, 0x08074B50);
    set32(descriptor + 4, crc);
    set32(descriptor + 8, (uint32_t)n);
    set32(descriptor + 12, (uint32_t)n);
    z->local[z->n] = z->out.n;
    z->central[z->n] = z->directory.n;
    put(&z->out, local, 30);
    put(&z->out, name, strlen(name));
    z->data[z->n++] = z->out.n;
    put(&z->out, data, n);
    put(&z->out, descriptor, 16);
    put(&z->directory, central, 46);
    put(&z->directory, name, strlen(name));
}

static void zip_end(zip *z)
{
    unsigned char end[22];
    int i;
    memset(end, 0, sizeof end);
    set32(end, 0x06054B50);
    set16(end + 8, (unsigned)z->n);
    set16(end + 10, (unsigned)z->n);
    set32(end + 12, (uint32_t)z->directory.n);
    set32(end + 16, (uint32_t)z->out.n);
    for (i = 0; i < z->n; i++) z->central[i] += z->out.n;
    put(&z->out, z->directory.b, z->directory.n);
    z->end = z->out.n;
    put(&z->out, end, 22);
    free(z->directory.b);
}

/* Entries 0 to 3: a/data.pkl, a/byteorder, a/data/0 (the floats 1 2 3 4), a/version. */
static zip pth_make(const void *pickle, size_t n)
{
    static const float four[4] = { 1, 2, 3, 4 };
    zip z;
    memset(&z, 0, sizeof z);
    zip_add(&z, "a/data.pkl", pickle, n);
    zip_add(&z, "a/byteorder", "little", 6);
    zip_add(&z, "a/data/0", four, sizeof four);
    zip_add(&z, "a/version", "3\n", 2);
    zip_end(&z);
    return z;
}

/* Pieces of pickles, as string literals.  Lengths and numbers below 128. */
#define P_STR(n, s) "X" n "\0\0\0" s
#define P_PID(type, key, count) "(" P_STR("\7", "storage") "c" type "\n" P_STR("\1", key) P_STR("\3", "cpu") count "tQ"
#define P_FLOATS P_PID("torch\nFloatStorage", "0", "K\4")
#define P_V2 "ctorch._utils\n_rebuild_tensor_v2\n"
#define P_ORDERED "ccollections\nOrderedDict\n)R"
#define P_TENSOR(storage, offset, size, stride) P_V2 "(" storage offset size stride "\x89" P_ORDERED "tR"
#define P_T4 P_TENSOR(P_FLOATS, "K\0", "K\4\x85", "K\1\x85")        /* all four floats */
#define P_START "\x80\2"
#endif
