#!/usr/bin/env bash
# test_build.sh - build.sh on a toy tree: words, rebuilding, and that the sum of the tests tells the truth
set -u
. tests/check.sh
work=build/tmp/build
rm -rf $work
mkdir -p $work/tests $work/model
cp build.sh $work/
cd $work || exit 1
printf '{ "frozen": ["autoopt.h"] }\n' >goals.json
printf 'int toy(void);\n#ifdef AUTOOPT_IMPLEMENTATION\nint toy(void) { return 3; }\n#endif\n' >autoopt.h
printf '#include "autoopt.h"\nint main(void) { return toy(); }\n' >harness.c
good='int main(void) { puts("ok a"); puts("2 passed, 0 failed, 1 skipped"); return 0; }'
program() { printf '#include <stdio.h>\n#include <stdlib.h>\n%s\n' "$2" >tests/test_"$1".c; }
tests() { rm -f tests/test_*; program good "$good"; }
export PATH=$PWD/bin:$PATH

check unknown_word expect 2 "unknown word: cpux" ./build.sh cpux
check too_many_words expect 2 "too many words" ./build.sh cpu cuda
check candidate_needs_two expect 2 "usage" ./build.sh candidate tree
check help expect 0 "usage" ./build.sh help
builds() { expect 0 "./harness is up to date" ./build.sh cpu && expect 3 "" ./harness; }
check cpu builds

unchanged() {
    local before
    before=$(stat -c %y build/cpu/harness.o build/cpu/autoopt.o harness)
    ./build.sh cpu >/dev/null && [ "$before" = "$(stat -c %y build/cpu/harness.o build/cpu/autoopt.o harness)" ]
}
check an_unchanged_tree_is_left_alone unchanged
changed() { sed -i 's/return 3/return 4/' autoopt.h && ./build.sh cpu >/dev/null && expect 4 "" ./harness; }
check a_changed_header_is_rebuilt changed
broken() {
    echo 'int main(void) { return nothing; }' >harness.c
    ./build.sh cpu >log 2>&1 && return 1
    grep -q "nothing" log && [ ! -e build/cpu/harness.o ] || return 1
    printf '#include "autoopt.h"\nint main(void) { return toy(); }\n' >harness.c
    ./build.sh cpu >/dev/null && expect 4 "" ./harness
}
check an_error_is_an_error_until_mended broken
debug() { expect 0 "debug" ./build.sh debug && [ -f build/debug/harness.o ] && ./build.sh cpu >/dev/null; }
check debug debug

sum() { tests; program other "$good"; expect 0 "^4 passed, 0 failed, 2 skipped$" ./build.sh test; }
check adds_up sum
filter() { expect 0 "^2 passed, 0 failed, 1 skipped$" ./build.sh test oth; }
check filter_by_name filter
nothing() { expect 1 "^0 passed, 0 failed$" ./build.sh test zzz; }
check no_test_is_a_failure nothing
failing() { tests; program bad 'int main(void) { puts("FAIL b"); puts("1 passed, 1 failed"); return 1; }'; expect 1 "^3 passed, 1 failed, 1 skipped$" ./build.sh test && expect 1 "^    FAIL b$" ./build.sh test; }
check a_failure_counts failing
liar() { tests; program liar 'int main(void) { puts("1 passed, 0 failed"); return 1; }'; expect 1 "^3 passed, 1 failed" ./build.sh test; }
check a_bad_status_counts liar
mute() { tests; program mute 'int main(void) { puts("all fine"); return 0; }'; expect 1 "^2 passed, 1 failed" ./build.sh test; }
check a_missing_last_line_counts mute
crash() { tests; program crash 'int main(void) { puts("1 passed, 0 failed"); fflush(stdout); abort(); }'; expect 1 "^3 passed, 1 failed" ./build.sh test; }
check a_crash_counts crash
warning() { tests; program warning 'int main(void) { int unused; puts("1 passed, 0 failed"); return 0; }'; expect 1 "unused" ./build.sh test && expect 1 "^2 passed, 1 failed" ./build.sh test; }
check a_warning_is_an_error warning
script() { tests; printf 'echo "3 passed, 0 failed"\n' >tests/test_script.sh; expect 0 "^5 passed, 0 failed" ./build.sh test; }
check scripts_run script
asan() {
    tests
    program leak 'int main(void) { volatile char *p = malloc(4); p[4] = 1; puts("1 passed, 0 failed"); return 0; }'
    expect 1 "^2 passed, 1 failed" ./build.sh asan && grep -qE "heap-buffer-overflow|insufficient space" build/asan-test/log/test_leak.out && expect 4 "" ./harness
}
check sanitizers_find_and_leave_the_binary asan

without_stb() {
    mkdir -p bin
    printf '#!/bin/bash\ncase "$*" in *stb/stb_image*) exit 1 ;; esac\nexec gcc "$@"\n' >bin/nostb
    printf '#!/bin/bash\ncase "$*" in *openmp*) exit 1 ;; esac\nexec gcc "$@"\n' >bin/noopenmp
    chmod +x bin/*
    CC=nostb expect 0 "no stb headers: .*AOPT_NO_IMAGES" ./build.sh cpu && grep -q AOPT_NO_IMAGES build/cpu/autoopt.o.cmd &&
        CC=noopenmp expect 0 "no OpenMP" ./build.sh cpu
}
check says_what_it_did_not_find without_stb
check no_compiler env CC=absent bash -c '. ../../../tests/check.sh; expect 1 "no C compiler .absent.: ./build.sh deps" ./build.sh cpu'
clean() { ./build.sh clean && [ ! -e build ] && [ ! -e harness ] && [ -e build.sh ]; }
check clean clean
report
