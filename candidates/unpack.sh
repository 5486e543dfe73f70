#!/usr/bin/env bash
# unpack.sh OUT - the candidates that wait for a GPU, each a folder in OUT (which must not exist), and the line that packs them.
# They are cumulative: each patch applies to HEAD after the ones before it, and one sed line each makes the others.
# Once a candidate is recorded, its patch leaves this folder; PROGRESS.md says what is expected of them.
set -eu
[ $# = 1 ] && [ ! -e "$1" ] || { sed -n '2,4p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tests"
cp "$root/optimize.c" "$root/autoopt_kernels.cuh" "$work/"
cp "$root/tests/test_fast.cu" "$work/tests/"
line="./harness pack JOB --task wan22-720p --scope library"
candidate() {           # NAME DESC: what $work holds now
    mkdir "$out/$1"
    cp "$work/optimize.c" "$work/autoopt_kernels.cuh" "$out/$1/"
    line+=" --desc \"$2\" $out/$1"
}
tiles() { sed -i "s/^\(static const int wino_tile\[AOPT_VAE_STAGES\] = \){.*};/\1{ $1 };/" "$work/optimize.c"; }
(cd "$work" && git apply "$root/candidates/1-level0-head.patch")
candidate 1-level0-head "GPU: level 0 in outer chunks of 16 latent frames; the last output transform writes silu(norm) for the head. Predicted -18 ms"
(cd "$work" && git apply "$root/candidates/2-f5-level3.patch")
candidate 2-f5-level3 "GPU: Winograd F(5x5) at level 3, 49 products per 25 outputs. Predicted -45 ms, -0.4 dB"
tiles "4, 4, 5, 5"
candidate 3-f5-levels-2-3 "GPU: F(5x5) at level 2 too. Predicted -30 ms, -0.3 dB"
tiles "4, 5, 5, 5"
candidate 4-f5-levels-1-2-3 "GPU: F(5x5) at level 1 too. Predicted -13 ms, -0.5 dB"
mkdir "$out/tests"
cp "$work/tests/test_fast.cu" "$out/tests/"
echo "$line"
