/* JSON: what RFC 8259 allows is read right, everything else is refused at the right byte, and short memory is survived. */
static void *test_malloc(unsigned long n);
#define AOPT_MALLOC(n) test_malloc(n)
#define AOPT_REALLOC(p, n) realloc(p, n)
#define AOPT_FREE(p) free(p)
#define AOPT__ARENA_BLOCK 0
#define AUTOOPT_IMPLEMENTATION
#include "../autoopt.h"
#include "check.h"

static long mallocs_left = -1;      /* -1: unlimited */
static void *test_malloc(unsigned long n)
{
    if (mallocs_left == 0) return NULL;
    if (mallocs_left > 0) mallocs_left--;
    return malloc(n);
}

static aopt_json *parse(const char *text)
{
    aopt_error err;
    aopt_json *doc = NULL;
    const aopt_status st = aopt_json_parse(text, strlen(text), &doc, &err);
    CHECK(st == AOPT_OK, "%s: %s", text, err.message);
    return doc;
}

static void refused_n(const char *text, size_t n, const char *fragment)
{
    aopt_error err;
    aopt_json *doc = NULL;
    aopt_status st;
    char *copy = (char *)malloc(n ? n : 1);         /* exactly n bytes, so that ASan sees a read past the end */
    memcpy(copy, text, n);
    err.message[0] = 0;
    st = aopt_json_parse(copy, n, &doc, &err);
    CHECK(st == AOPT_E_FORMAT && !doc, "%.60s: status %s", text, aopt_status_name((int)st));
    CHECK(strstr(err.message, fragment) != NULL, "%.60s: expected '%s' in '%s'", text, fragment, err.message);
    free(copy);
    aopt_json_free(doc);
}
static void refused(const char *text, const char *fragment) { refused_n(text, strlen(text), fragment); }

static void test_values(void)
{
    aopt_json *doc = parse(" { \"a\" : [ 1 , -2.5e1, true, false, null, \"x\" ] , \"b\" : { } , \"c\":[]} ");
    const aopt_json_value *root = aopt_json_root(doc), *v = aopt_json_get(root, "a");
    if (!v) { CHECK(0, "no 'a'"); return; }
    CHECK(root->type == AOPT_JSON_OBJECT && root->child_n == 3, "%lld children", (long long)root->child_n);
    CHECK(v->type == AOPT_JSON_ARRAY && v->child_n == 6 && strcmp(v->key, "a") == 0, "%lld elements", (long long)v->child_n);
    v = v->child;
    CHECK(v->type == AOPT_JSON_NUMBER && v->is_integer && v->integer == 1 && v->number == 1.0 && !v->key, "%g", v->number);
    v = v->next;
    CHECK(v->type == AOPT_JSON_NUMBER && !v->is_integer && v->number == -25.0, "%g", v->number);
    v = v->next;
    CHECK(v->type == AOPT_JSON_BOOL && v->boolean == 1 && v->next->boolean == 0, "booleans");
    v = v->next->next;
    CHECK(v->type == AOPT_JSON_NULL, "null");
    v = v->next;
    CHECK(v->type == AOPT_JSON_STRING && strcmp(v->string, "x") == 0 && v->string_bytes == 1 && !v->next, "string");
    CHECK(aopt_json_get(root, "b")->type == AOPT_JSON_OBJECT && aopt_json_get(root, "b")->child_n == 0, "empty object");
    CHECK(aopt_json_get(root, "z") == NULL && aopt_json_get(v, "a") == NULL && aopt_json_get(NULL, "a") == NULL, "absent keys");
    aopt_json_free(doc);
    aopt_json_free(NULL);
}

static void test_numbers(void)
{
    static const struct { const char *text; double number; int is_integer; int64_t integer; } c[] = {
        { "0", 0, 1, 0 }, { "-0", 0, 1, 0 }, { "123", 123, 1, 123 }, { "-7", -7, 1, -7 }, { "1.5", 1.5, 0, 0 }, { "1.0", 1, 0, 0 },
        { "1e2", 100, 0, 0 }, { "1E+2", 100, 0, 0 }, { "25e-1", 2.5, 0, 0 }, { "0.1", 0.1, 0, 0 }, { "-0.000123e+4", -1.23, 0, 0 },
        { "9223372036854775807", 9223372036854775807.0, 1, INT64_MAX }, { "-9223372036854775808", -9223372036854775808.0, 1, INT64_MIN },
        { "9223372036854775808", 9223372036854775808.0, 0, 0 }, { "18446744073709551616", 18446744073709551616.0, 0, 0 },
        { "1e-400", 0, 0, 0 }, { "1.7976931348623157e308", 1.7976931348623157e308, 0, 0 }, { "4.9e-324", 4.9e-324, 0, 0 } };
    size_t i;
    for (i = 0; i < sizeof c / sizeof c[0]; i++) {
        aopt_json *doc = parse(c[i].text);
        const aopt_json_value *v = aopt_json_root(doc);
        if (!v) continue;
        CHECK(v->number == c[i].number, "%s: %.17g", c[i].text, v->number);
        CHECK(v->is_integer == c[i].is_integer && v->integer == c[i].integer, "%s: integer %d %lld", c[i].text, v->is_integer, (long long)v->integer);
        aopt_json_free(doc);
    }
    refused("01", "leading zeros at byte 0");
    refused("-", "digits at byte 1, found the end");
    refused("+1", "a value at byte 0, found '+'");
    refused(".5", "a value");
    refused("1.", "digits");
    refused("1.e5", "digits");
    refused("1e", "exponent");
    refused("1e+", "exponent");
    refused("1e0000000001", "exponent");
    refused("0x10", "the end at byte 1, found 'x'");
    refused("NaN", "a value");
    refused("-Infinity", "digits");
    refused("1e309", "fits a double");
    refused("-1e309", "fits a double");
    refused("11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111111", "1 to 100 digits");
}

static void test_strings(void)
{
    static const struct { const char *text, *want; } c[] = {
        { "\"\"", "" }, { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" }, { "\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac" },
        { "\"\\ud83d\\ude00\"", "\xf0\x9f\x98\x80" }, { "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\"", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf" },
        { "\"a/b\x7f\"", "a/b\x7f" } };
    size_t i;
    aopt_json *doc;
    for (i = 0; i < sizeof c / sizeof c[0]; i++) {
        doc = parse(c[i].text);
        if (!doc) continue;
        CHECK(strcmp(aopt_json_root(doc)->string, c[i].want) == 0, "%s: '%s'", c[i].text, aopt_json_root(doc)->string);
        CHECK(aopt_json_root(doc)->string_bytes == strlen(c[i].want), "%s: bytes", c[i].text);
        aopt_json_free(doc);
    }
    doc = parse("\"a\\u0000b\"");
    if (doc) CHECK(aopt_json_root(doc)->string_bytes == 3 && memcmp(aopt_json_root(doc)->string, "a\0b", 4) == 0, "NUL in a string");
    aopt_json_free(doc);
    refused("\"", "'\"' at byte 1, found the end");
    refused("\"abc", "found the end");
    refused("\"\\", "an escape at byte 2, found the end");
    refused("\"\\x\"", "an escape");
    refused("\"\\u12", "hexadecimal");
    refused("\"\\u12g4\"", "hexadecimal digits at byte 5, found 'g'");
    refused("\"\\ud800\"", "a surrogate pair");
    refused("\"\\ud800\\n\"", "a surrogate pair");
    refused("\"\\ud800\\u0041\"", "second half");
    refused("\"\\udc00\"", "a surrogate pair");
    refused("\"a\nb\"", "control character in a string at byte 2, found '\\x0a'");
    refused("\"\x80\"", "UTF-8 at byte 1, found '\\x80'");
    refused("\"\xc0\xaf\"", "UTF-8");
    refused("\"\xe0\x80\xaf\"", "UTF-8");
    refused("\"\xed\xa0\x80\"", "UTF-8");
    refused("\"\xf4\x90\x80\x80\"", "UTF-8");
    refused("\"\xf5\x80\x80\x80\"", "UTF-8");
    refused("\"\xe2\x82\"", "UTF-8");
    refused("\"\xe2", "UTF-8");
}

static void test_structure(void)
{
    refused("", "a value at byte 0, found the end");
    refused("   ", "found the end");
    refused("\xef\xbb\xbf{}", "a value at byte 0, found '\\xef'");
    refused("{", "a string");
    refused("[", "a value at byte 1, found the end");
    refused("[1", "',' or ']' at byte 2, found the end");
    refused("[1,]", "a value at byte 3, found ']'");
    refused("[1 2]", "',' or ']' at byte 3, found '2'");
    refused("[1}", "',' or ']'");
    refused("{\"a\"}", "':'");
    refused("{\"a\":1,}", "a string at byte 7, found '}'");
    refused("{a:1}", "a string");
    refused("{\"a\":1 \"b\":2}", "',' or '}'");
    refused("{} {}", "the end at byte 3, found '{'");
    refused("[1]//", "the end");
    refused("tru", "a value");
    refused("True", "a value");
    refused("nul", "a value");
    refused("nulll", "the end");
    refused_n("1\0", 2, "the end at byte 1, found '\\x00'");
    refused_n("\0", 1, "a value");
    refused("{\"a\":1,\"b\":2,\"a\":3}", "duplicate key 'a'");
    refused("{\"a\":1,\"\\u0061\":3}", "duplicate key 'a'");
    refused("[{\"k\":{\"x\":0,\"x\":0}}]", "duplicate key 'x'");
    refused("{\"a\\u0000\":1}", "no NUL in the key");
}

static void test_depth(void)
{
    char text[300];
    aopt_json *doc;
    memset(text, '[', 64);
    memset(text + 64, ']', 64);
    text[128] = 0;
    doc = parse(text);
    aopt_json_free(doc);
    memset(text, '[', 65);
    memset(text + 65, ']', 65);
    text[130] = 0;
    refused(text, "at most 64 levels at byte 64");
    memset(text, '[', 299);
    refused_n(text, 299, "at most 64 levels");
}

/* 4194304 values below the root are the most; a million take no quadratic time. */
static void test_many(void)
{
    const size_t n = 4194304;
    char *text = (char *)malloc(2 * n + 4);
    aopt_json *doc = NULL;
    aopt_error err;
    size_t i;
    for (i = 0; i <= n; i++) { text[2 * i] = i ? ',' : '['; text[2 * i + 1] = '1'; }
    text[2 * n + 2] = ']';
    CHECK(aopt_json_parse(text, 2 * n + 3, &doc, &err) == AOPT_E_FORMAT && strstr(err.message, "at most 4194304 values"), "%s", err.message);
    aopt_json_free(doc);
    free(text);
}

static void test_short_memory(void)
{
    static const char text[] = "{\"a\":[1,2,{\"k\":\"v\",\"l\":null}],\"b\":\"text\",\"c\":{}}";
    aopt_status st = AOPT_E_MEMORY;
    long k;
    for (k = 0; k < 1000 && st == AOPT_E_MEMORY; k++) {
        aopt_json *doc = NULL;
        aopt_error err;
        mallocs_left = k;
        st = aopt_json_parse(text, sizeof text - 1, &doc, &err);
        mallocs_left = -1;
        CHECK(st == AOPT_OK || (st == AOPT_E_MEMORY && !doc), "allocation %ld: %s", k, aopt_status_name((int)st));
        aopt_json_free(doc);
    }
    CHECK(st == AOPT_OK && k > 15, "%ld allocations, %s", k, aopt_status_name((int)st));
    CHECK(aopt_json_parse(NULL, 1, NULL, NULL) == AOPT_E_ARG, "NULL arguments");
}

int main(void)
{
    RUN(test_values);
    RUN(test_numbers);
    RUN(test_strings);
    RUN(test_structure);
    RUN(test_depth);
    RUN(test_many);
    RUN(test_short_memory);
    return check_report();
}
