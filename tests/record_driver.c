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

/* What main does, for the commands of the record: [--test-kill N] COMMAND ..., or --desc ... */
int main(int argc, char **argv)
{
    static const struct { const char *name; int (*run)(int, char **); } command[] = {
        { "pack", command_pack }, { "measure", command_measure }, { "record", command_record }, { "status", command_status }, { "goal", command_status },
        { "report", command_report }, { "show", command_show }, { "sync", command_sync }, { "audit", command_audit } };
    run_options o = { "", "", NULL, "optimize" };
    size_t k;
    int i;
    if (argc > 2 && strcmp(argv[1], "--test-kill") == 0) { test_kill = atoi(argv[2]); argc -= 2; argv += 2; }
    for (k = 0; k < sizeof command / sizeof command[0]; k++)
        if (argc > 1 && strcmp(argv[1], command[k].name) == 0) return command[k].run(argc - 1, argv + 1);
    for (i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--desc") == 0) o.desc = argv[i + 1];
        else if (strcmp(argv[i], "--attack") == 0) o.attack = argv[i + 1];
        else if (strcmp(argv[i], "--task") == 0) o.task = argv[i + 1];
        else if (strcmp(argv[i], "--scope") == 0) o.scope = argv[i + 1];
        else return 2;
    }
    return i == argc ? record_run(&o) : 2;
}
