#!/usr/bin/env bash
# test_vendor.sh - the header, and the optimised decoder, copied into another folder and built the plainest way
set -u
. tests/check.sh
work=$PWD/build/tmp/vendor
nano=$PWD/assets/nano/nano_vae.pth
fixture=$PWD/tests/fixtures/nano.safetensors
rm -rf "$work"
mkdir -p "$work/header" "$work/fast"
cp autoopt.h tests/vendor/app.c "$work/header/"
cp autoopt.h optimize.c tests/vendor/fast.c "$work/fast/" 2>/dev/null

header_alone() { cd "$work/header" && gcc app.c -lm -o app && expect 0 "PSNR 1[0-9][0-9]\.. dB, median [0-9.]+ ms, [0-9]+ profile items" ./app "$nano" "$fixture"; }
check header_alone header_alone
no_stb() { cd "$work/header" && gcc -DAOPT_NO_IMAGES app.c -lm -o app2 && expect 0 "PSNR" ./app2 "$nano" "$fixture"; }
check header_without_stb no_stb
if [ -f optimize.c ]; then
    fast() { cd "$work/fast" && gcc fast.c optimize.c -lm -o fast && expect 0 "PSNR [0-9]+\.. dB with: " ./fast "$nano" "$fixture"; }
    check optimised_decoder fast
else
    skip optimised_decoder "no optimize.c"
fi
damaged() {
    cd "$work/header" && head -c 200000 "$nano" >damaged.pth && expect 1 "" ./app damaged.pth "$fixture"
}
check damaged_checkpoint_is_an_error damaged
report
