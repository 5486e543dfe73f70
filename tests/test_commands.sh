#!/usr/bin/env bash
# test_commands.sh - the target's commands end to end: decode, encode, compare, make-weights, make-latent
set -u
. tests/check.sh
harness=${HARNESS:-./harness}
work=build/tmp/commands
rm -rf $work
mkdir -p $work
nano=assets/nano/nano_vae.pth
fixture=tests/fixtures/nano.safetensors
tiny=assets/tiny/tiny_vae.pth

# Tensors of a fixture into files of their own: pick FILE TENSOR OUT [NAME]
pick() {
    python3 - "$@" <<'END'
import json, struct, sys
source, name, out = sys.argv[1:4]
raw = open(source, "rb").read(); n, = struct.unpack("<Q", raw[:8]); e = json.loads(raw[8:8 + n])[name]
a, b = e["data_offsets"]; data = raw[8 + n + a:8 + n + b]
header = json.dumps({(sys.argv + [name])[4] if len(sys.argv) > 4 else name: dict(e, data_offsets=[0, len(data)])}).encode(); header += b" " * (-len(header) % 8)
open(out, "wb").write(struct.pack("<Q", len(header)) + header + data)
END
}
images=yes
$harness decode --checkpoint $nano --latent $fixture --out $work/probe%d.png 2>&1 | grep -q 'without PNG' && images=

decode_safetensors() {
    expect 0 "decoded 9 frames of 48x32" $harness decode --checkpoint $nano --latent $fixture --out $work/nano.safetensors &&
        expect 0 "ok: inside the gate" $harness compare $work/nano.safetensors $fixture
}
check decode_safetensors decode_safetensors

if [ "$images" ]; then
    decode_pictures() {
        expect 0 "decoded 17 frames of 192x128" $harness decode --checkpoint $tiny --latent assets/tiny/tiny_latent.safetensors --out $work/new/folder/f%04d.png &&
            [ "$(ls $work/new/folder | wc -l)" -eq 17 ] && [ -s $work/new/folder/f0000.png ] && [ -s $work/new/folder/f0016.png ] &&
            expect 20 "psnr_db  .*FAIL" $harness compare $work/new/folder tests/fixtures/tiny_decoded.safetensors &&
            expect 0 "inside the gate" $harness compare $work/new/folder $work/new/folder
    }
    check decode_pictures decode_pictures
else
    skip decode_pictures "built without stb"
fi

decode_y4m() {
    expect 0 "decoded" $harness decode --checkpoint $nano --latent $fixture --out $work/nano.y4m || return 1
    $harness decode --checkpoint $nano --latent $fixture -o - 2>$work/log | cmp - $work/nano.y4m && grep -q "decoded 9 frames" $work/log
}
check decode_y4m_file_and_pipe decode_y4m

closed_pipe() {
    local status
    $harness decode --checkpoint $nano --latent $fixture --out - 2>$work/log | head -c 1 >/dev/null
    status=${PIPESTATUS[0]}
    [ "$status" -eq 0 ]
}
check reader_closes_the_pipe closed_pipe

threads() {
    expect 0 decoded $harness decode --checkpoint $nano --latent $fixture --out $work/one.safetensors --threads 1 &&
        expect 0 decoded $harness decode --checkpoint $nano --latent $fixture --out $work/two.safetensors --threads=2 && cmp $work/one.safetensors $work/two.safetensors
}
check threads_give_the_same_bits threads

raw_latent() {
    expect 0 decoded $harness decode --checkpoint $nano --latent $fixture --out $work/raw.safetensors --raw-latent &&
        expect 20 "outside the gate" $harness compare $work/raw.safetensors $fixture
}
check raw_latent_differs raw_latent

encode_clip() {
    pick $fixture clip $work/clip.safetensors && pick $fixture encoded $work/encoded.safetensors latent &&
        expect 0 "latent \[48\]\[3\]\[2\]\[3\]" $harness encode --checkpoint $nano --clip $work/clip.safetensors --out $work/latent.safetensors || return 1
    python3 - $work/latent.safetensors $work/encoded.safetensors <<'END'
import array, json, struct, sys
def load(p):
    raw = open(p, "rb").read(); n, = struct.unpack("<Q", raw[:8]); e = json.loads(raw[8:8 + n])["latent"]; a = array.array("f"); a.frombytes(raw[8 + n + e["data_offsets"][0]:8 + n + e["data_offsets"][1]]); return a
a, b = map(load, sys.argv[1:]); worst = max(abs(x - y) for x, y in zip(a, b)); print("largest difference", worst); sys.exit(not (len(a) == len(b) and worst <= 1e-4))
END
}
check encode_clip encode_clip
check encode_clip_u8 expect 0 "encoded 17 frames of 192x128 .* latent \[48\]\[5\]\[8\]\[12\]" $harness encode --checkpoint $tiny --clip assets/tiny/tiny_clip.safetensors --out $work/tiny_latent.safetensors
check encode_y4m expect 0 "encoded 9 frames of 48x32" $harness make-latent --clip $work/nano.y4m --checkpoint $nano --shape 3,2,3 --out $work/fromclip.safetensors

# A y4m of any size: y4m W H FRAMES
y4m() {
    printf 'YUV4MPEG2 W%d H%d F24:1 Cmono\n' "$1" "$2"
    for _ in $(seq "$3"); do printf 'FRAME\n'; head -c $(($1 * $2)) /dev/zero | tr '\0' 'P'; done
}
y4m 48 32 8 >$work/eight.y4m
y4m 40 32 5 >$work/narrow.y4m
check encode_says_which_frame_counts_fit expect 1 "8 frames, expected 1 \+ 4n: 5 or 9" $harness encode --checkpoint $nano --clip $work/eight.y4m --out $work/x.safetensors
check encode_says_which_sizes_fit expect 1 "40x32 pixels.*32x32" $harness encode --checkpoint $nano --clip $work/narrow.y4m --out $work/x.safetensors
check encode_from_a_pipe expect 0 "encoded 5 frames of 16x16" bash -c "$(declare -f y4m); y4m 16 16 5 | $harness encode --checkpoint $nano --clip - --out $work/piped.safetensors"

compare_nan() {
    python3 - $work/nano.safetensors $work/nan.safetensors <<'END'
import struct, sys
raw = bytearray(open(sys.argv[1], "rb").read()); raw[-4:] = struct.pack("<f", float("nan")); open(sys.argv[2], "wb").write(raw)
END
    expect 21 "1 values of A and 0 of B" $harness compare $work/nan.safetensors $fixture && expect 21 "0 values of A and 1 of B" $harness compare $work/nano.safetensors $work/nan.safetensors
}
check compare_refuses_nan compare_nan
check compare_refuses_other_sizes expect 1 "9 frames of 48x32.* 17 of 192x128" $harness compare $work/nano.safetensors tests/fixtures/tiny_decoded.safetensors

make_weights() {
    expect 0 "random weights" $harness make-weights --out $work/w.safetensors --decoder-width 4 --encoder-width 4 --seed 7 &&
        echo "5f29688bee81111e1dcf83445669bc937f8893354fdafd567e40c9e99f1f8b78  $work/w.safetensors" | sha256sum -c --quiet &&
        expect 0 "latent \[48\]\[2\]\[2\]\[3\]" $harness make-latent --shape 2,2,3 --out $work/z.safetensors &&
        expect 0 "decoded 5 frames of 48x32" $harness decode --checkpoint $work/w.safetensors --latent $work/z.safetensors --out $work/z.y4m &&
        expect 0 "encoded 5 frames" $harness encode --checkpoint $work/w.safetensors --clip $work/z.y4m --out $work/zz.safetensors &&
        expect 0 "random weights" $harness make-weights --out $work/w2.safetensors --decoder-width 4 --encoder-width 4 --seed 8 && ! cmp -s $work/w.safetensors $work/w2.safetensors
}
check make_weights_same_bytes_everywhere make_weights

ffmpeg_clip() {
    mkdir -p $work/bin
    printf '#!/bin/bash\nprintf "%%s\\n" "$*" >%s/ffmpeg.log\n%s\ny4m 32 16 5\n' "$PWD/$work" "$(declare -f y4m)" >$work/bin/ffmpeg
    chmod +x $work/bin/ffmpeg
    PATH=$PWD/$work/bin:$PATH expect 0 "encoded 5 frames of 32x16" $harness make-latent --clip film.mov --checkpoint $nano --shape 2,1,2 --start 30 --out $work/film.safetensors &&
        grep -q -- '-ss 30 -i film.mov -vf scale=32:16:.*crop=32:16 -frames:v 5 ' $work/ffmpeg.log
}
check make_latent_through_ffmpeg ffmpeg_clip
without_ffmpeg() {
    local out
    out=$(PATH=/nonexistent $harness make-latent --clip film.mov --checkpoint $nano --shape 2,1,2 --out $work/x.safetensors 2>&1) && return 1
    case $out in *"no ffmpeg program"*) ;; *) echo "$out"; return 1 ;; esac
}
check make_latent_without_ffmpeg without_ffmpeg

check missing_checkpoint expect 1 "absent.pth" $harness decode --checkpoint $work/absent.pth --latent $fixture --out $work/x.y4m
check wrong_latent expect 1 "tensor .decoded. is .*expected \[48\]" $harness decode --checkpoint $nano --latent $work/nano.safetensors --out $work/x.y4m
check latent_is_not_a_checkpoint expect 1 "$fixture" $harness decode --checkpoint $fixture --latent $fixture --out $work/x.y4m
check unknown_ending expect 2 "x.mp4: expected" $harness decode --checkpoint $nano --latent $fixture --out $work/x.mp4
check bad_pattern expect 2 "exactly one" $harness decode --checkpoint $nano --latent $fixture --out $work/x%s.png
check unknown_option expect 2 "unknown option --ouch" $harness decode --ouch
check missing_option expect 2 "usage: ./harness decode" $harness decode --checkpoint $nano
check missing_value expect 2 "needs a value" $harness encode --clip
check flag_with_value expect 2 "takes no value" $harness decode --raw-latent=1
check bad_threads expect 2 "threads 0" $harness decode --checkpoint $nano --latent $fixture --out $work/x.y4m --threads 0
check bad_shape expect 2 "shape 1,2" $harness make-latent --shape 1,2 --out $work/x.safetensors
check compare_needs_two expect 2 "expected 2 names" $harness compare $fixture
nothing_left() { [ -z "$(find $work -name '*.autoopt-tmp')" ] && [ ! -e $work/x.y4m ] && [ ! -e $work/x.safetensors ]; }
check failures_leave_nothing_behind nothing_left
report
