/* SHA-256, reproducible random numbers, and the conversion of any tensor to f32. */
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"

static void sha(const void *data, size_t n, size_t piece, char hex[65])
{
    const unsigned char *p = (const unsigned char *)data;
    aopt_sha256 s;
    aopt_sha256_begin(&s);
    for (; n > piece; p += piece, n -= piece) aopt_sha256_add(&s, p, piece);
    aopt_sha256_add(&s, p, n);
    aopt_sha256_end(&s, hex);
}

/* The examples of FIPS 180-4, then lengths around the block size against values from an independent implementation (sha256sum). */
static void test_sha256(void)
{
    static const char abc56[] = "abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
    static const struct { size_t n; const char *want; } a[] = {
        { 55, "9f4390f8d30c2dd92ec9f095b65e2b9ae9b0a925a5258e241c9f1e910f734318" },
        { 56, "b35439a4ac6f0948b6d6f9e3c6af0f5f590ce20f1bde7090ef7970686ec6738a" },
        { 63, "7d3e74a05d7db15bce4ad9ec0658ea98e3f06eeecf16b4c6fff2da457ddc2f34" },
        { 64, "ffe054fe7ae0cb6dc65c3af9b61d5209f439851db43d0ba5997337df154668eb" },
        { 65, "635361c48bb9eab14198e76ea8ab7f1a41685d6ad62aa9146d301d4f17eb0ae0" },
        { 1000000, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0" } };
    char *big = (char *)malloc(1000000), hex[65], other[65];
    size_t i;
    sha("", 0, 1, hex);
    CHECK(strcmp(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855") == 0, "%s", hex);
    sha("abc", 3, 64, hex);
    CHECK(strcmp(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad") == 0, "%s", hex);
    sha(abc56, 56, 64, hex);
    CHECK(strcmp(hex, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1") == 0, "%s", hex);
    memset(big, 'a', 1000000);
    for (i = 0; i < sizeof a / sizeof a[0]; i++) {
        sha(big, a[i].n, 1000000, hex);
        CHECK(strcmp(hex, a[i].want) == 0, "%d times 'a': %s", (int)a[i].n, hex);
    }
    for (i = 1; i < 200; i += 7) {
        sha(big, 100003, i, other);
        sha(big, 100003, 1000000, hex);
        CHECK(strcmp(hex, other) == 0, "pieces of %d", (int)i);
    }
    big[500000] = 'b';
    sha(big, 1000000, 1000000, hex);
    CHECK(strcmp(hex, a[5].want) != 0, "a changed byte went unnoticed");
    free(big);
}

/* Frozen values: synthetic weights everywhere depend on them. */
static void test_random(void)
{
    enum { N = 1 << 18 };
    double sum = 0, squares = 0, uniform = 0, fourth = 0, neighbour = 0, before = 0;
    int64_t i;
    CHECK(aopt_random_u64(0, 0) == 0x48218226ff3cd4bfu, "%016llx", (unsigned long long)aopt_random_u64(0, 0));
    CHECK(aopt_random_u64(42, 1000000) == 0xeb875d5a6b5c7be4u, "%016llx", (unsigned long long)aopt_random_u64(42, 1000000));
    CHECK(aopt_random_uniform(7, 3) == 0x1.1947960000000p-1f, "%a", (double)aopt_random_uniform(7, 3));
    CHECK(aopt_random_normal(7, 3) == -0x1.27d1100000000p-1f, "%a", (double)aopt_random_normal(7, 3));
    CHECK(aopt_random_u64(1, 5) != aopt_random_u64(2, 5) && aopt_random_u64(1, 5) != aopt_random_u64(1, 6), "seed or index is ignored");
    for (i = 0; i < N; i++) {
        const double u = (double)aopt_random_uniform(11, (uint64_t)i), x = (double)aopt_random_normal(11, (uint64_t)i);
        CHECK(u >= 0 && u < 1 && x > -6 && x < 6, "u %g x %g", u, x);
        uniform += u;
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
        neighbour += x * before;
        before = x;
    }
    CHECK(fabs(uniform / N - 0.5) < 0.003, "mean of uniforms %g", uniform / N);
    CHECK(fabs(sum / N) < 0.01, "mean %g", sum / N);
    CHECK(fabs(squares / N - 1) < 0.015, "variance %g", squares / N);
    CHECK(fabs(fourth / N - 2.9) < 0.08, "fourth moment %g (2.9 for twelve uniforms)", fourth / N);
    CHECK(fabs(neighbour / N) < 0.01, "correlation of neighbours %g", neighbour / N);
}

static void convert(aopt_dtype dtype, const void *data, int64_t n, const float *want)
{
    float got[16];
    aopt_error err;
    const aopt_tensor t = aopt_tensor_make("x", dtype, 1, &n, (void *)(size_t)data, AOPT_HOST);
    int64_t i;
    memset(got, 0xff, sizeof got);
    err.message[0] = 0;
    CHECK(aopt_tensor_to_f32(&t, got, n, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < n; i++)
        CHECK(memcmp(&got[i], &want[i], sizeof(float)) == 0 || (got[i] != got[i] && want[i] != want[i]), "%s[%d]: %g, expected %g",
              aopt_dtype_name((int)dtype), (int)i, (double)got[i], (double)want[i]);
}

static void test_dtypes(void)
{
    static const float f32[] = { 1.5f, -0.0f }, two[] = { 1, -2 }, small[] = { 0, 1, 255 }, bit[] = { 0, 1, 1 };
    static const uint16_t f16[] = { 0x0000, 0x8000, 0x0001, 0x03FF, 0x0400, 0x3C00, 0xC000, 0x7BFF, 0x7C00, 0xFC00, 0x7E00, 0x3555 };
    static const float f16_want[] = { 0.0f, -0.0f, 0x1p-24f, 0x1.ff8p-15f, 0x1p-14f, 1, -2, 65504, INFINITY, -INFINITY, NAN, 0x1.554p-2f };
    static const uint16_t bf16[] = { 0x3F80, 0xC000, 0x7F80, 0x7FC0, 0x0001, 0x8000 };
    static const float bf16_want[] = { 1, -2, INFINITY, NAN, 0x1p-133f, -0.0f };
    static const double f64[] = { 0.1, -1e300 };
    static const float f64_want[] = { 0.1f, -INFINITY };
    static const int64_t i64[] = { 1, -2 };
    static const int32_t i32[] = { 1, -2 };
    static const int16_t i16[] = { 1, -2 };
    static const int8_t i8[] = { 1, -2 };
    static const uint8_t u8[] = { 0, 1, 255 };
    unsigned char odd[9];
    memcpy(odd + 1, f32, 8);
    convert(AOPT_F32, f32, 2, f32);
    convert(AOPT_F32, odd + 1, 2, f32);             /* not aligned */
    convert(AOPT_F16, f16, 12, f16_want);
    convert(AOPT_BF16, bf16, 6, bf16_want);
    convert(AOPT_F64, f64, 2, f64_want);
    convert(AOPT_I64, i64, 2, two);
    convert(AOPT_I32, i32, 2, two);
    convert(AOPT_I16, i16, 2, two);
    convert(AOPT_I8, i8, 2, two);
    convert(AOPT_U8, u8, 3, small);
    convert(AOPT_BOOL, u8, 3, bit);
}

static void test_strides(void)
{
    static const int64_t shape[3] = { 2, 3, 4 };
    float data[24], got[24];
    aopt_tensor t, view;
    aopt_error err;
    int64_t i, j, k;
    for (i = 0; i < 24; i++) data[i] = (float)i;
    t = aopt_tensor_make("x", AOPT_F32, 3, shape, data, AOPT_HOST);
    view = t;                                       /* [4][2][3] of the [2][3][4] */
    view.shape[0] = 4; view.shape[1] = 2; view.shape[2] = 3;
    view.stride[0] = 1; view.stride[1] = 12; view.stride[2] = 4;
    CHECK(aopt_tensor_to_f32(&view, got, 24, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < 4; i++) for (j = 0; j < 2; j++) for (k = 0; k < 3; k++)
        CHECK(got[(i * 2 + j) * 3 + k] == data[(j * 3 + k) * 4 + i], "[%d][%d][%d]", (int)i, (int)j, (int)k);
    view.shape[0] = 2; view.shape[1] = 3; view.shape[2] = 4;
    view.stride[0] = 0; view.stride[1] = 1; view.stride[2] = 0;     /* expanded */
    CHECK(aopt_tensor_to_f32(&view, got, 24, &err) == AOPT_OK, "%s", err.message);
    for (i = 0; i < 24; i++) CHECK(got[i] == (float)(i / 4 % 3), "expanded [%d]: %g", (int)i, (double)got[i]);
    view = t;                                       /* rows backwards */
    view.data = data + 12;
    view.stride[0] = -12;
    CHECK(aopt_tensor_to_f32(&view, got, 24, &err) == AOPT_OK && got[0] == 12 && got[12] == 0, "%g %g", (double)got[0], (double)got[12]);
    view = t;
    view.ndim = 0;
    CHECK(aopt_tensor_to_f32(&view, got, 1, &err) == AOPT_OK && got[0] == 0, "scalar");
    view = t;
    view.shape[1] = 0;
    CHECK(aopt_tensor_to_f32(&view, NULL, 0, &err) == AOPT_OK, "empty");
    CHECK(aopt_tensor_to_f32(&t, got, 23, &err) == AOPT_E_SHAPE && strstr(err.message, "F32 [2][3][4] has 24 elements, expected 23"), "%s", err.message);
    view = t;
    view.device = 0;
    CHECK(aopt_tensor_to_f32(&view, got, 24, &err) == AOPT_E_ARG, "device memory");
    view.device = AOPT_HOST;
    view.data = NULL;
    CHECK(aopt_tensor_to_f32(&view, got, 24, &err) == AOPT_E_ARG, "no data");
    view.data = data;
    view.ndim = 9;
    CHECK(aopt_tensor_to_f32(&view, got, 24, &err) == AOPT_E_ARG && strstr(err.message, "not a tensor"), "%s", err.message);
    CHECK(aopt_tensor_to_f32(NULL, got, 24, NULL) == AOPT_E_ARG, "NULL");
}

int main(void)
{
    RUN(test_sha256);
    RUN(test_random);
    RUN(test_dtypes);
    RUN(test_strides);
    return check_report();
}
