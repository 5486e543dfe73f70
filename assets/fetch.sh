#!/usr/bin/env bash
# fetch.sh - download the files that are too big for the repository, into assets/
set -eu

usage() {
    cat <<'END'
usage: assets/fetch.sh [--from BASE_URL] [--into FOLDER] WORD...
  weights                     Wan2.2_VAE.pth, the official checkpoint (2.8 GB, Apache-2.0)
  clip                        tears_of_steel_720p.mov, a real film to encode (372 MB, CC BY 3.0)
  file URL BYTES SHA256       anything else; - for BYTES or SHA256 = not known
A download continues where it stopped.  A file that is there is checked, never overwritten.
--from: take the two files from BASE_URL/NAME instead (a mirror).
END
    exit 2
}

say() { printf 'fetch: %s\n' "$*"; }
fail() { printf 'fetch: %s\n' "$*" >&2; exit 1; }
sha256() { sha256sum "$1" | cut -d ' ' -f 1; }

# check FILE NAME BYTES SHA256: is FILE what NAME must be?  An unknown SHA-256 is the one recorded beside NAME at its first
# download, if any.  Sets `sum`.
check() {
    local want=$4 bytes
    bytes=$(wc -c <"$1")
    [ "$3" = - ] || [ "$bytes" -eq "$3" ] || { say "$1: $bytes bytes, expected $3"; return 1; }
    sum=$(sha256 "$1")
    [ "$want" != - ] || want=$(cut -d ' ' -f 1 "$2.sha256" 2>/dev/null || echo "$sum")
    [ "$sum" = "$want" ] || { say "$1: SHA-256 $sum, expected $want"; return 1; }
}

# fetch URL BYTES SHA256: into FOLDER, through NAME.part
fetch() {
    local url=$1 bytes=$2 want=$3 name=$into/${1##*/} status=0 code
    if [ -e "$name" ]; then
        check "$name" "$name" "$bytes" "$want" || fail "$name is not the expected file: move it away and try again"
        say "$name is there, SHA-256 $sum"
    else
        command -v curl >/dev/null || fail "curl is needed (apt-get install curl)"
        say "$url"
        [ ! -e "$name.part" ] || say "continuing after $(wc -c <"$name.part") bytes"
        code=$(curl -fL --retry 3 --connect-timeout 30 -C - -o "$name.part" -w '%{http_code}' "$url") || status=$?
        # 33: the server cannot continue a download; 416: nothing is left to send
        if [ $status -eq 33 ]; then
            say "the server cannot continue a download: from the start"
            rm -f "$name.part"
            status=0
            curl -fL --retry 3 --connect-timeout 30 -o "$name.part" "$url" || status=$?
        elif [ "$code" = 416 ] && [ -s "$name.part" ]; then
            status=0
        fi
        [ $status -eq 0 ] || fail "$url: curl failed with status $status; what has arrived is kept in $name.part"
        check "$name.part" "$name" "$bytes" "$want" || { rm -f "$name.part"; fail "$url is not the expected file; the download is removed"; }
        mv "$name.part" "$name"
        say "$name, $(wc -c <"$name") bytes, SHA-256 $sum"
    fi
    printf '%s  %s\n' "$sum" "${name##*/}" >"$name.sha256"
}

into=$(dirname "$0") from=
while [ $# -gt 0 ]; do
    case $1 in
        --from) [ $# -ge 2 ] || usage; from=${2%/}; shift ;;
        --into) [ $# -ge 2 ] || usage; into=$2; shift ;;
        *) break ;;
    esac
    shift
done
[ $# -gt 0 ] || usage
while [ $# -gt 0 ]; do
    case $1 in
        weights)
            fetch "${from:-https://huggingface.co/Wan-AI/Wan2.2-TI2V-5B/resolve/main}/Wan2.2_VAE.pth" 2818839170 \
                20eb789667fa5e60e7516bf509512f6cb61f01b0aa0695eadaea930c13892b36 ;;
        clip)
            fetch "${from:-https://download.blender.org/demo/movies/ToS}/tears_of_steel_720p.mov" 372178639 \
                efa9062d9cdb7a338e40ad530dfdf234806743f29ae6a1a136b97ece4e588e8f
            say "attribution: Tears of Steel, (CC) Blender Foundation | mango.blender.org, CC BY 3.0" ;;
        file)
            [ $# -ge 4 ] || usage
            fetch "$2" "$3" "$4"
            shift 3 ;;
        *) usage ;;
    esac
    shift
done
