#!/usr/bin/env bash
# build.sh - the whole build system.  Writes build/ and ./harness, nothing else.
set -eu
cd "$(dirname "$0")"

usage() {
    cat <<'END'
usage: ./build.sh [WORD]
  (no word)            cuda if nvcc and a GPU are there, else cpu
  deps                 install gcc, git and libstb-dev (apt-get), or print what to install
  cpu | cuda | debug   build ./harness
  test [NAME ...]      build and run tests/test_*; NAME keeps those whose name contains it
  asan [NAME ...]      the same under the address and undefined-behaviour sanitizers
  fuzz [SECONDS [NAME ...]]   fuzz each tests/fuzz_*.c for SECONDS (default 10)
  candidate TREE OUT   compile TREE/optimize.c into the shared object OUT
  clean                remove build/ and ./harness
variables: CC (gcc), CXX (g++), CLANG (clang), NVCC, CUDA_HOME, ARCH (80, 89, 90a, ...)
END
}

say() { printf 'build: %s\n' "$*"; }
fail() { printf 'build: %s\n' "$*" >&2; exit 1; }

# --- detect ---------------------------------------------------------------------------------------------
CC=${CC:-gcc} CXX=${CXX:-g++} CLANG=${CLANG:-clang}
cores=$(nproc 2>/dev/null || echo 2)

# Does `COMPILER FLAGS` compile and link this C source?
probe() {
    mkdir -p build
    printf '%s\n' "$2" | $1 -x c - -o "build/probe.$$" 2>/dev/null && rm -f "build/probe.$$"
}

find_nvcc() {
    local p
    for p in "${NVCC:-}" "${CUDA_HOME:+$CUDA_HOME/bin/nvcc}" "$(command -v nvcc || true)" /usr/local/cuda/bin/nvcc; do
        if [ -n "$p" ] && [ -x "$p" ]; then echo "$p"; return; fi
    done
}

# The compute capability of the first GPU, like 9.0; empty without one.
gpu_capability() { nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2>/dev/null | grep -m 1 -E '^[0-9]+\.[0-9]+$' || true; }

detect() {
    command -v "$CC" >/dev/null || fail "no C compiler ($CC): ./build.sh deps"
    openmp=-fopenmp images=
    probe "$CC -fopenmp" 'int main(void) { return 0; }' || { openmp=; say "$CC has no OpenMP: one thread"; }
    probe "$CC -fsyntax-only -include stb/stb_image.h -include stb/stb_image_write.h" 'int x;' ||
        { images=-DAOPT_NO_IMAGES; say "no stb headers: building without PNG and JPEG (AOPT_NO_IMAGES); ./build.sh deps installs them"; }
}

detect_cuda() {
    local cap
    nvcc=$(find_nvcc)
    [ -n "$nvcc" ] || fail "no nvcc (looked at NVCC, CUDA_HOME, PATH, /usr/local/cuda)"
    cap=$(gpu_capability)
    arch=${ARCH:-${cap/./}}
    arch=${arch:-90a}
    [ "$arch" != 90 ] || arch=90a           # wgmma and TMA need the a
    say "nvcc $nvcc, GPU ${cap:-none, compiling only}, sm_$arch"
}

# --- flags ----------------------------------------------------------------------------------------------
# -std=c11 also switches off FMA contraction, so that results do not depend on -march.
strict="-std=c11 -Wall -Wextra -Wpedantic"
cflags="-O2 -g $strict"
flags_for() {
    case $1 in
        cpu)   compile="$CC $cflags $openmp $images -fPIC" link="$CC $openmp" libs="-lm -ldl" ;;
        debug) compile="$CC -O0 -g3 $strict $openmp $images -fPIC" link="$CC $openmp" libs="-lm -ldl" ;;
        asan)  sanitize="-fsanitize=address,undefined -fno-sanitize-recover=all -fno-omit-frame-pointer"
               compile="$CC -O1 -g $strict $openmp $images $sanitize" link="$CC $openmp $sanitize" libs="-lm -ldl" ;;
        cuda)  compile="$nvcc -x cu -std=c++17 -DAUTOOPT_CUDA $images -O3 -g -lineinfo -gencode=arch=compute_$arch,code=sm_$arch"
               compile+=" -Xptxas=--warn-on-spills -Xcompiler=-fPIC,-Wall,-Wextra${openmp:+,$openmp}"
               link="$nvcc ${openmp:+-Xcompiler=$openmp}" libs="-lcublas -ldl" ;;
    esac
}

# --- compile --------------------------------------------------------------------------------------------
# build_once OUT COMMAND...: run COMMAND unless it made OUT before and nothing that OUT came from is newer.
# OUT.d holds the compiler's list of sources, OUT.cmd the command.
build_once() {
    local out=$1 command f
    shift
    command="$* # $("$1" --version 2>/dev/null | tail -n 2 | tr '\n' ' ')"
    if [ -f "$out" ] && [ -f "$out.cmd" ] && [ "$(cat "$out.cmd")" = "$command" ]; then
        for f in $(sed -e 's/^[^ ]* *: *//' -e 's/\\$//' "$out.d"); do
            if [ ! -e "$f" ] || [ "$f" -nt "$out" ]; then command=; break; fi
        done
        [ -z "$command" ] || return 0
    fi
    rm -f "$out" "$out.cmd"
    mkdir -p "$(dirname "$out")"
    "$@" -o "$out" -MMD -MF "$out.d" || { printf 'build: failed: %s\n' "$*" >&2; return 1; }
    printf '%s' "$* # $("$1" --version 2>/dev/null | tail -n 2 | tr '\n' ' ')" >"$out.cmd"
}

# The hashes of the files that goals.json freezes, for the harness to compare with: FILE is rewritten only if they changed.
freeze() {
    local name list=
    mkdir -p "$(dirname "$1")"
    for name in $(sed -n '/"frozen"/,/\]/p' goals.json 2>/dev/null | grep -o '"[^"]*"' | tr -d '"' | tail -n +2); do
        list+="    \"$(sha256sum "$name" 2>/dev/null | cut -c 1-64)  $name\\n\" \\"$'\n'
    done
    printf '#define HARNESS_BAKED \\\n%s    ""\n' "$list" >"$1.new"
    if cmp -s "$1.new" "$1"; then rm "$1.new"; else mv "$1.new" "$1"; fi
}

# build_harness KIND [OUT]: the library and the harness are one object each, in parallel; -fPIC because candidates link the first.
build_harness() {
    local dir=build/$1 out=${2:-harness} pid as=
    flags_for "$1"
    [ "$1" = cuda ] || as="-x c"
    freeze build/frozen.h
    build_once "$dir/autoopt.o" $compile $as -DAUTOOPT_IMPLEMENTATION -c autoopt.h & pid=$!
    build_once "$dir/harness.o" $compile -include build/frozen.h -c harness.c || { wait $pid; return 1; }
    wait $pid || return 1
    if [ ! -f "$dir/harness" ] || [ "$dir/autoopt.o" -nt "$dir/harness" ] || [ "$dir/harness.o" -nt "$dir/harness" ]; then
        $link "$dir/harness.o" "$dir/autoopt.o" -o "$dir/harness" $libs
    fi
    cmp -s "$dir/harness" "$out" || { cp "$dir/harness" "$out.autoopt-tmp" && mv -f "$out.autoopt-tmp" "$out"; }
    say "$1: ./$out is up to date"
}

# The kind of build for this machine: cuda or cpu.
detect_kind() {
    local found
    found=$(find_nvcc)
    kind=cpu
    if [ -z "$found" ]; then say "cpu: no nvcc"
    elif [ -z "$(gpu_capability)" ]; then say "cpu: nvcc is there ($found), but no GPU; ./build.sh cuda compiles for one"
    else kind=cuda; detect_cuda
    fi
}

# --- candidate ------------------------------------------------------------------------------------------
# build_candidate TREE OUT: TREE/optimize.c (and TREE/autoopt_kernels.cuh, if it has one) into the shared object OUT, which
# exports build_decoder alone.  KIND = cpu or cuda, else as detected.  Equal sources, flags and compiler give equal bytes, and
# are taken from build/cache.  Exit status 3: the source defines another external name.
build_candidate() {
    local tree=$1 out=$2 lib flags key cached extra as=
    [ -f "$tree/optimize.c" ] || fail "$tree/optimize.c: no such file"
    kind=${KIND:-}
    if [ -z "$kind" ]; then detect_kind >/dev/null; elif [ "$kind" = cuda ]; then detect_cuda >/dev/null; fi
    flags_for "$kind"
    lib=build/$kind/autoopt.o
    [ "$kind" = cuda ] || as="-x c"
    build_once "$lib" $compile $as -DAUTOOPT_IMPLEMENTATION -c autoopt.h
    flags="${compile/ -g / } -Werror=date-time"
    [ "$kind" != cuda ] || flags="${compile/ -g / } -Xcompiler=-Werror=date-time"
    key=$({ echo "$flags"; "${compile%% *}" --version
            cat "$tree/optimize.c" autoopt.h "$lib.cmd" model/*.h
            cat "$tree/autoopt_kernels.cuh" || cat autoopt_kernels.cuh || true; } 2>/dev/null | sha256sum)
    cached=build/cache/${key%% *}.so
    if [ ! -f "$cached" ]; then
        work=$(mktemp -d "${TMPDIR:-/tmp}/autoopt.XXXXXX")
        trap 'rm -rf "$work"' EXIT
        mkdir -p build/cache "$work/model"
        cp autoopt.h "$work/"
        cp model/*.h "$work/model/"
        [ ! -f autoopt_kernels.cuh ] || cp autoopt_kernels.cuh "$work/"
        [ ! -f "$tree/autoopt_kernels.cuh" ] || cp "$tree/autoopt_kernels.cuh" "$work/"
        cp "$tree/optimize.c" "$work/"
        lib=$PWD/$lib
        if [ "$kind" = cuda ] && ! cmp -s autoopt_kernels.cuh "$work/autoopt_kernels.cuh"; then
            (cd "$work" && $compile -DAUTOOPT_IMPLEMENTATION -c autoopt.h -o library.o) || return 1
            lib=library.o
        fi
        printf '{ global: build_decoder; local: *; };\n' >"$work/exports"
        (cd "$work" && $flags -I. -c optimize.c -o optimize.o) || return 1
        extra=$(nm -g --defined-only "$work/optimize.o" |
            awk '$2 ~ /[TDBRCGSi]/ && $3 != "build_decoder" && $3 !~ /^(_Z|__nv|__fatbin|__device_stub|__cuda)/ { print $3 }' | tr '\n' ' ')
        if [ -n "$extra" ]; then
            printf 'optimize.c: error: exports %s; only build_decoder may be an external name: make it static\n' "$extra" >&2
            exit 3
        fi
        (cd "$work" && $link -shared optimize.o "$lib" -o candidate.so $(linker "$kind" --version-script=exports -z defs --build-id=none -s) $libs) || return 1
        cp "$work/candidate.so" "$cached.$$" && mv -f "$cached.$$" "$cached"
    fi
    cp "$cached" "$out"
}

# linker KIND OPTION...: options for the linker, spelled for the compiler driver.
linker() {
    local option prefix=-Wl,
    [ "$1" != cuda ] || prefix=-Xlinker=
    shift
    for option in "$@"; do printf '%s%s ' "$prefix" "$option"; done
}

# --- test -----------------------------------------------------------------------------------------------
# Does NAME contain one of the words (or are there none)?
selected() {
    local name=$1 word
    shift
    [ $# -gt 0 ] || return 0
    for word in "$@"; do case $name in *"$word"*) return 0 ;; esac; done
    return 1
}

# run_tests KIND WORD...: compile in parallel, run one after another (some use every core), add up the last lines.
run_tests() {
    local kind=$1 dir=build/$1-test source name out status line running=0 passed=0 failed=0 skipped=0 start p f s
    local -a programs=()
    shift
    rm -rf "$dir/log"
    mkdir -p "$dir/log"
    for source in tests/test_*.c tests/test_*.cu tests/test_*.sh; do
        [ -e "$source" ] && selected "$(basename "$source")" "$@" || continue
        name=$(basename "${source%.*}")
        case $source in
            *.sh) # under the sanitizers only scripts that take the binary from HARNESS
                [ "$kind" != asan ] || grep -q 'HARNESS:-' "$source" || continue
                programs+=("$source"); continue ;;
            *.cu) [ "$kind" = cuda ] || continue ;;
        esac
        programs+=("$dir/$name")
        (
            flags_for "$kind"
            [ "$kind" != cuda ] || [ "${source##*.}" = cu ] || flags_for cpu
            case $source in *.c) compile+=" -Werror" ;; esac
            build_once "$dir/$name" $compile "$source" $libs
        ) >"$dir/log/$name.build" 2>&1 &
        running=$((running + 1))
        if [ $running -ge "$cores" ]; then wait -n || true; running=$((running - 1)); fi
    done
    wait
    for p in ${programs[@]+"${programs[@]}"}; do
        name=$(basename "${p%.sh}") out=$dir/log/$(basename "${p%.sh}").out status=0 start=$SECONDS
        case $p in
            *.sh) timeout 900 bash "$p" >"$out" 2>&1 </dev/null || status=$? ;;
            *)  if [ -x "$p" ]; then timeout 900 "./$p" >"$out" 2>&1 </dev/null || status=$?
                else status=build; cp "$dir/log/$name.build" "$out"; fi ;;
        esac
        line=$(tail -n 1 "$out")
        if [[ $line =~ ^([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)?$ ]]; then
            p=${BASH_REMATCH[1]} f=${BASH_REMATCH[2]} s=${BASH_REMATCH[4]:-0}
        else p=0 f=1 s=0 line="no last line of the form 'N passed, N failed'"
        fi
        if [ "$status" != 0 ] && [ "$f" -eq 0 ]; then f=1; line+=", but its status is $status"; fi
        if [ "$f" -gt 0 ]; then sed 's/^/    /' "$out"; fi
        printf '%-22s %s (%d s)\n' "$name" "$line" $((SECONDS - start))
        passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    done
    line="$passed passed, $failed failed"
    [ $skipped -eq 0 ] || line+=", $skipped skipped"
    echo "$line"
    [ $failed -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
}

# --- fuzz -----------------------------------------------------------------------------------------------
# The corpus of fuzz_X starts from the small fixtures that end in .X; without libFuzzer they are only replayed.
run_fuzz() {
    local seconds=${1:-10} source name dir=build/fuzz corpus engine=libFuzzer
    [[ $seconds =~ ^[0-9]+$ ]] || { usage >&2; exit 2; }
    [ $# -eq 0 ] || shift
    if ! probe "$CLANG -fsanitize=fuzzer,address,undefined" '#include <stddef.h>
        int LLVMFuzzerTestOneInput(const unsigned char *p, size_t n) { return p && n > 99999; }'; then
        engine=replay
        say "$CLANG has no libFuzzer: the corpus is replayed once"
    fi
    for source in tests/fuzz_*.c; do
        name=$(basename "${source%.c}")
        [ "$name" != fuzz_main ] && selected "$name" "$@" || continue
        corpus=$dir/corpus/$name
        mkdir -p "$corpus"
        find tests assets -name "*.${name#fuzz_}" -size -128k -exec cp -n {} "$corpus/" \; 2>/dev/null || true
        say "$name: $engine, $(find "$corpus" -type f | wc -l) files"
        if [ $engine = libFuzzer ]; then
            build_once "$dir/$name" $CLANG -O1 -g $images -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all "$source" -lm
            "$dir/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 -print_final_stats=0 -verbosity=0 \
                -artifact_prefix="$dir/$name-" "$corpus" || fail "$name found something: $dir/$name-*"
        else
            flags_for asan
            build_once "$dir/$name" $compile -Wno-pedantic tests/fuzz_main.c "$source" $libs
            find "$corpus" -type f -exec "$dir/$name" {} + || fail "$name failed on its corpus"
        fi
    done
    say "fuzz: nothing found"
}

# --- deps -----------------------------------------------------------------------------------------------
install_deps() {
    local packages="gcc libc6-dev git libstb-dev" root=
    if command -v gcc >/dev/null && command -v git >/dev/null && [ -e /usr/include/stb/stb_image_write.h ]; then
        say "gcc, git and the stb headers are there"
        return
    fi
    if ! command -v apt-get >/dev/null; then
        fail "no apt-get here.  Install gcc, git and the stb headers (stb_image.h, stb_image_write.h in /usr/include/stb) another way"
    fi
    if [ "$(id -u)" != 0 ]; then
        command -v sudo >/dev/null || fail "not root and no sudo.  As root: apt-get install -y $packages"
        root=sudo
    fi
    $root apt-get update -qq || say "apt-get update failed; trying with the lists at hand"
    DEBIAN_FRONTEND=noninteractive $root apt-get install -y --no-install-recommends $packages
}

# --- main -----------------------------------------------------------------------------------------------
word=${1:-}
[ $# -eq 0 ] || shift
case $word in
    test|asan|fuzz) ;;
    candidate) [ $# -eq 2 ] || { usage >&2; exit 2; } ;;
    *) [ $# -eq 0 ] || { printf 'build: too many words after %s\n' "$word" >&2; usage >&2; exit 2; } ;;
esac
case $word in
    "")        detect; detect_kind; build_harness "$kind" ;;
    deps)      install_deps ;;
    cpu|debug) detect; build_harness "$word" ;;
    cuda)      detect; detect_cuda; build_harness cuda ;;
    candidate) detect; build_candidate "$@" ;;
    test)      detect; detect_kind; build_harness "$kind"; run_tests "$kind" "$@" ;;
    asan)      detect; export HARNESS=build/asan/harness.san; build_harness asan "$HARNESS"; run_tests asan "$@" ;;
    fuzz)      detect; run_fuzz "$@" ;;
    clean)     rm -rf build harness ;;
    help|-h|--help) usage ;;
    *)         printf 'build: unknown word: %s\n' "$word" >&2; usage >&2; exit 2 ;;
esac
