#!/usr/bin/env bash
# test_fetch.sh - assets/fetch.sh against a server on this machine, with and without byte ranges
set -u
. tests/check.sh
work=$PWD/build/tmp/fetch
rm -rf "$work"
mkdir -p "$work/served" "$work/into"

if ! command -v curl >/dev/null || ! command -v python3 >/dev/null; then
    skip all "needs curl and python3"
    report
    exit
fi

head -c 300000 /dev/zero | tr '\0' 'x' >"$work/served/film.bin"
cp "$work/served/film.bin" "$work/served/Wan2.2_VAE.pth"
sum=$(sha256sum "$work/served/film.bin" | cut -d ' ' -f 1)
size=300000

# An HTTP server on a free port: prints it, logs the Range headers it gets, honours them if RANGES is 1.
cat >"$work/server.py" <<'END'
import http.server, os, sys
root, ranges = sys.argv[1], sys.argv[2] == "1"
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        path = os.path.join(root, os.path.basename(self.path))
        if not os.path.isfile(path): return self.send_error(404)
        data = open(path, "rb").read(); wanted = self.headers.get("Range")
        open(root + "/../ranges.log", "a").write("%s\n" % wanted)
        start = int(wanted[6:].split("-")[0]) if wanted and ranges else 0
        if start >= len(data): return self.send_error(416)
        self.send_response(206 if start else 200)
        if start: self.send_header("Content-Range", "bytes %d-%d/%d" % (start, len(data) - 1, len(data)))
        self.send_header("Content-Length", str(len(data) - start)); self.end_headers(); self.wfile.write(data[start:])
    def log_message(self, *a): pass
server = http.server.HTTPServer(("127.0.0.1", 0), Handler); print(server.server_port, flush=True); server.serve_forever()
END
serve() {
    python3 "$work/server.py" "$work/served" "$1" >"$work/port$1" &
    servers+=($!)
    for _ in $(seq 100); do [ -s "$work/port$1" ] && break; sleep 0.05; done
    base="http://127.0.0.1:$(cat "$work/port$1")"
}
servers=()
trap 'kill "${servers[@]}" 2>/dev/null' EXIT
fetch() { assets/fetch.sh --into "$work/into" "$@"; }
into=$work/into/film.bin

serve 1
same() { cmp "$work/served/film.bin" "$into"; }
fresh() {
    rm -f "$work"/into/*
    expect 0 "$sum" fetch file "$base/film.bin" $size "$sum" && same && [ ! -e "$into.part" ] && grep -q "^$sum  film.bin\$" "$into.sha256"
}
check fresh fresh

kept() {
    local before
    before=$(stat -c %i:%Y "$into")
    expect 0 "is there" fetch file "$base/film.bin" $size "$sum" && [ "$before" = "$(stat -c %i:%Y "$into")" ]
}
check good_file_is_kept kept

resumed() {
    rm -f "$work"/into/* "$work/ranges.log"
    head -c 100000 "$work/served/film.bin" >"$into.part"
    expect 0 "continuing after 100000" fetch file "$base/film.bin" $size "$sum" && same && grep -q 'bytes=100000-' "$work/ranges.log"
}
check resumed resumed

part_is_whole() {
    rm -f "$work"/into/*
    cp "$work/served/film.bin" "$into.part"
    expect 0 "$sum" fetch file "$base/film.bin" $size "$sum" && same
}
check whole_part_is_used part_is_whole

wrong_sum() {
    rm -f "$work"/into/*
    expect 1 "expected ${sum/?/-}|expected 0" fetch file "$base/film.bin" $size 0000000000000000000000000000000000000000000000000000000000000000 &&
        [ ! -e "$into" ] && [ ! -e "$into.part" ]
}
check wrong_sha256_is_refused wrong_sum

wrong_size() {
    rm -f "$work"/into/*
    expect 1 "300000 bytes, expected 299999" fetch file "$base/film.bin" 299999 - && [ ! -e "$into" ]
}
check wrong_size_is_refused wrong_size

# Unknown SHA-256: the first download is trusted and recorded, a different second one is refused.
first_use() {
    rm -f "$work"/into/*
    expect 0 "$sum" fetch file "$base/film.bin" - - && rm "$into" && echo changed >"$work/served/other" || return 1
    mv "$work/served/film.bin" "$work/served/keep" && mv "$work/served/other" "$work/served/film.bin"
    expect 1 "expected $sum" fetch file "$base/film.bin" - - && [ ! -e "$into" ]
    local status=$?
    mv "$work/served/keep" "$work/served/film.bin"
    return $status
}
check trust_on_first_use first_use

bad_file() {
    rm -f "$work"/into/*
    echo mine >"$into"
    expect 1 "move it away" fetch file "$base/film.bin" $size "$sum" && [ "$(cat "$into")" = mine ]
}
check foreign_file_is_never_overwritten bad_file

check missing_file expect 1 "curl failed with status 22" fetch file "$base/absent.bin" - -
check mirror_with_a_wrong_file expect 1 "300000 bytes, expected 2818839170" fetch --from "$base" weights
check usage expect 2 "usage" fetch
check unknown_word expect 2 "usage" fetch weight

serve 0
no_ranges() {
    rm -f "$work"/into/*
    head -c 1000 "$work/served/film.bin" >"$into.part"
    expect 0 "from the start" fetch file "$base/film.bin" $size "$sum" && same
}
check server_without_ranges no_ranges
report
