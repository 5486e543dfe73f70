# clone.sh - throw-away copies of this project for tests: source it after check.sh, from the repository root.

# alone: root is this folder, work a temporary one that goes at the end; HOME and git know nothing of this machine.
alone() {
    root=$PWD work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    export HOME=$work GIT_CONFIG_NOSYSTEM=1
    unset GIT_DIR GIT_WORK_TREE GIT_INDEX_FILE
}

# clone_into DIR: what git tracks (or would), as one commit in a new repository with a scripted committer.
clone_into() {
    mkdir -p "$1"
    if git rev-parse -q --verify HEAD >/dev/null 2>&1; then
        git ls-files -z --cached --others --exclude-standard | while IFS= read -r -d '' f; do
            if [ -e "$f" ] || [ -L "$f" ]; then cp -P --parents "$f" "$1/"; fi
        done
    else
        tar -c --exclude=./build --exclude=./harness --exclude=./.git . | tar -x -C "$1"
    fi
    ( cd "$1" && git init -q -b main . && git config user.name test && git config user.email test@example.invalid &&
        git add -A && git commit -qm start )
}

# clock_build OUT: the harness of the current folder, already built there, with scripted times (--test-clock FILE).
clock_build() { ${CC:-gcc} -std=c11 -O1 -fopenmp -DAUTOOPT_TEST_CLOCK -include build/frozen.h harness.c build/cpu/autoopt.o -o "$1" -lm -ldl; }

# page_commands FILE HEADING: the indented lines under a Markdown heading, up to the next heading.
page_commands() { awk -v h="## $2" '/^#+ / { on = $0 == h } on && /^    / { print substr($0, 5) }' "$1"; }

# no_gpu DIR: from here on ./build.sh finds no GPU, wherever the test runs.
no_gpu() { mkdir -p "$1" && printf '#!/bin/sh\nexit 1\n' >"$1/nvidia-smi" && chmod +x "$1/nvidia-smi" && PATH=$1:$PATH; }
