#!/usr/bin/env bash
# unpack.sh OUT - the candidates that wait for a GPU or for a person, each a folder in OUT (which must not exist), and the line that packs them.
# They are cumulative: each patch applies to HEAD after the ones before it.  Once a candidate is recorded, its patch leaves this folder, unless it waits for
# a person's word, or was faster by less than can be told from noise and the next is to stand on it.  PROGRESS.md says what is expected of them.
set -eu
[ $# = 1 ] && [ ! -e "$1" ] || { sed -n '2,4p' "$0"; exit 2; }
root=$(cd "$(dirname "$0")/.." && pwd)
mkdir -p "$1"
out=$(cd "$1" && pwd)
cp -r "$root/tests" "$root/autoopt.h" "$root/autoopt_kernels.cuh" "$root/optimize.c" "$out/"
line="./harness pack JOB --task wan22-720p --scope library"
for patch in "$root"/candidates/*.patch; do
    name=$(basename "${patch%.patch}")
    (cd "$out" && GIT_CEILING_DIRECTORIES=$(dirname "$out") git apply "$patch")    # OUT may lie in a checkout, whose paths these are not
    mkdir "$out/$name"
    cp "$out/optimize.c" "$out/autoopt_kernels.cuh" "$out/$name/"
    line+=" --desc \"$(grep -m 1 '^desc: ' "$patch" | cut -c7-)\" $out/$name"
done
echo "$line"
