#!/usr/bin/env bash
# instrument.sh [A_A SLOWER FASTER] - does the instrument tell noise, loss and gain apart on this machine, in real time?
# A_A runs of optimize.c against itself and SLOWER runs of a 3 % slower one: none may be kept.  FASTER runs of a 10 % faster one:
# at least nine of ten must be.  Default 20 10 10, on the tiny task (TASK=nano for a quick look); about 12 minutes.
# On a GPU: TASK=wan22-medium FASTER_BY=0.03.
set -u
cd "$(dirname "$0")/../.."
aa=${1:-20} slower=${2:-10} faster=${3:-10} task=${TASK:-tiny} by=${FASTER_BY:-0.1}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# variant SHARE NAME: optimize.c whose decode stays busy for SHARE of its own time
variant() {
    sed 's/build_decoder(/build_inner(/; s/^aopt_status build_inner/static aopt_status build_inner/' optimize.c
    cat <<END

static aopt_decoder inner;
static aopt_status slow_decode(void *ctx, const aopt_tensor *input, aopt_tensor *output, aopt_error *err)
{
    const double begin = aopt_seconds();
    const aopt_status st = inner.decode(ctx, input, output, err);
#ifdef AUTOOPT_CUDA
    cudaDeviceSynchronize();
#endif
    const double until = aopt_seconds() + $1 * (aopt_seconds() - begin);
    while ($1 > 0 && aopt_seconds() < until) { }
    return st;
}
aopt_status build_decoder(const aopt_model *model, const aopt_shape *shape, const aopt_device *device, aopt_decoder *out, aopt_error *err)
{
    const aopt_status st = build_inner(model, shape, device, &inner, err);
    *out = inner;
    out->decode = slow_decode;
    snprintf(out->info, sizeof out->info, "$2");
    return st;
}
END
}
variant 0.0 "as it is" >"$work/plain.c"
variant 0.0 "as it is, once more" >"$work/again.c"
variant 0.03 "slower by 0.03" >"$work/slower.c"
variant "$(awk -v g="$by" 'BEGIN { print g / (1 - g) }')" "what the other side gains" >"$work/inc.c"

# runs N CANDIDATE INCUMBENT: verdict lines, and in $kept how many were kept
runs() {
    local i line
    kept=0 judged=0
    for ((i = 0; i < $1; i++)); do
        line=$(./harness bench --task "$task" --candidate "$work/$2.c" --incumbent "$work/$3.c" 2>/dev/null | grep -E '^(KEEP|NOISE|SLOWER|UNSTABLE|REJECT|NOOP|WHY)' | tr '\n' ' ')
        echo "    $2 against $3: $line"
        case $line in KEEP*) kept=$((kept + 1)) ;; esac
        case $line in KEEP*|NOISE*|SLOWER*) judged=$((judged + 1)) ;; esac
    done
}
failed=0
verdict() { if [ "$2" = 1 ]; then echo "ok $1"; else echo "FAIL $1"; failed=$((failed + 1)); fi; }
runs "$aa" again plain;       verdict "$aa runs against itself: $kept kept" $((kept == 0 && judged == aa))
runs "$slower" slower plain;  verdict "$slower runs of a 3 % slower one: $kept kept" $((kept == 0 && judged == slower))
runs "$faster" plain inc;     verdict "$faster runs of one that is faster by $by: $kept kept" $((10 * kept >= 9 * faster))
for f in build/floor-"$task"-*; do [ -f "$f" ] && echo "noise floor of this machine: $(cut -d' ' -f1 "$f" | awk '{ printf "%.2f %%", 100 * $1 }')"; done
echo "$((3 - failed)) passed, $failed failed"
[ $failed = 0 ]
