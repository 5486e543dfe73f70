/* check.h - the whole test framework.  A test is `static void test_x(void)` full of CHECKs; main RUNs each and returns check_report().
   Tests run from the repository root.  A case that cannot run here calls SKIP("why") and returns. */
#ifndef CHECK_H
#define CHECK_H
#include <stdio.h>

static int check_passed, check_failed, check_skipped, check_bad, check_skip;

/* Message arguments are printf-style and required: say what was expected and what was found. */
#define CHECK(cond, ...) do { if (!(cond)) { check_bad++; printf("    %s:%d: %s: ", __FILE__, __LINE__, #cond); printf(__VA_ARGS__); printf("\n"); } } while (0)
#define SKIP(...) do { check_skip = 1; printf("    skipped: "); printf(__VA_ARGS__); printf("\n"); } while (0)
#define RUN(fn) do { check_bad = check_skip = 0; fn(); printf("%s %s\n", check_bad ? "FAIL" : check_skip ? "skip" : "ok", #fn); fflush(stdout); \
    if (check_bad) check_failed++; else if (check_skip) check_skipped++; else check_passed++; } while (0)

static int check_report(void)
{
    printf("%d passed, %d failed", check_passed, check_failed);
    if (check_skipped) printf(", %d skipped", check_skipped);
    printf("\n");
    return check_failed != 0 || check_passed + check_skipped == 0;
}
#endif
