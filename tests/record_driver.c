/* record_driver.c - the harness with a judge made of comments, and a kill switch: for test_record.sh */
#define AUTOOPT_IMPLEMENTATION
#define AUTOOPT_TEST_JUDGE "tests/record_judge.h"
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <signal.h>
static int test_kill;                   /* SIGKILL at the n-th step of the record */
#define RECORD_STEP() do { if (test_kill > 0 && --test_kill == 0) raise(SIGKILL); } while (0)
#define RECORD_WAIT_S 1
#include "../autoopt.h"
#define AUTOOPT_TARGET_H
static const aopt_target target = { "test", "", "", 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 };
#define main harness_main
#include "../harness.c"
#undef main

/* [--test-kill N] and then what the harness takes */
int main(int argc, char **argv)
{
    if (argc > 2 && strcmp(argv[1], "--test-kill") == 0) {
        test_kill = atoi(argv[2]);
        argv[2] = argv[0];
        argc -= 2;
        argv += 2;
    }
    return harness_main(argc, argv);
}
