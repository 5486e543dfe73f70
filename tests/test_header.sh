#!/usr/bin/env bash
# test_header.sh - what the head of autoopt.h promises: its contents list is true, its program compiles and runs as printed
set -u
. tests/check.sh
work=$PWD/build/tmp/header
rm -rf "$work"
mkdir -p "$work"
cp autoopt.h "$work/"

# contents FILE: the tags of the list and those of the banners are the same, in the same order.
contents() {
    diff <(sed -n '/CONTENTS/,/^\*\//s/^ *\(\[[AI][0-9]*\]\).*/\1/p' "$1") <(sed -n 's,^/\* ==== \(\[[AI][0-9]*\]\).*,\1,p' "$1")
}
check contents_are_the_banners contents autoopt.h
sed '/==== \[I7\]/d' autoopt.h >"$work/without.h"
check control_missing_banner expect 1 'I7' contents "$work/without.h"

# program FILE: the program in the head, without its indentation.
program() { sed -n '/DECODE A CLIP/,/DOES NOT/p' "$1" | sed -e '1d' -e '$d' -e 's/^      //'; }
program autoopt.h >"$work/app.c"
as_printed() { cd "$work" && [ "$(wc -l <app.c)" -gt 10 ] && "$@" -Wall -Wextra -Wpedantic -Werror app.c -lm -o app; }
check program_c11 as_printed gcc -std=c11
if command -v g++ >/dev/null; then check program_cpp17 as_printed g++ -std=c++17; else skip program_cpp17 "no g++"; fi
runs() { cp assets/nano/nano_vae.pth "$work/Wan2.2_VAE.pth" && cd "$work" && expect 0 '^$' ./app; }
check program_runs runs
lacks_file() { cd "$work" && rm Wan2.2_VAE.pth && expect 1 'Wan2.2_VAE.pth: cannot open: No such file' ./app; }
check program_says_what_is_missing lacks_file

# A file may use stb beside the header, in either order.
stb() { printf '#define AUTOOPT_IMPLEMENTATION\n%s\nint main(void) { return 0; }\n' "$1" | (cd "$work" && gcc -w -D_GNU_SOURCE -I. -x c - -lm -o stb); }
if [ -e /usr/include/stb/stb_image_write.h ]; then
    check stb_after stb '#include "autoopt.h"
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>'
    check stb_before stb '#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image.h>
#include <stb/stb_image_write.h>
#include "autoopt.h"'
else
    skip stb_beside "no stb headers"
fi
report
