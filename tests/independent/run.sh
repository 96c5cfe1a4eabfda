#!/usr/bin/env bash
# Opens files of the real tools, then files that our examples write, with readers that share no code with the libraries:
# Python with the packages `cryptography` and `pylibfdt`. Exit status 0 if everything is as it must be.
set -euo pipefail
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export PYTHONDONTWRITEBYTECODE=1

python3 -m venv "$scratch/venv"
"$scratch/venv/bin/pip" -q --disable-pip-version-check install cryptography pylibfdt
cargo build -q --examples
examples=${CARGO_TARGET_DIR:-target}/debug/examples

reader() { "$scratch/venv/bin/python" "tests/independent/$1.py" "${@:2}"; }
refused() {
    if reader "$@" >/dev/null 2>&1; then
        echo "$*: accepted, but must be refused"
        exit 1
    fi
}

image=tests/fixtures/pvimg
real=uv-s390/tests/fixtures
host1=(--host-key $image/keys/host1.key.pem)
parts=(--kernel $image/components/kernel-odd.bin --parmfile $image/components/cmdline.txt)

echo "-- files of the real tools"
reader se_image "${host1[@]}" --kernel $image/components/kernel-aligned.bin --bootloader-dir $image/bootloader \
    $image/a-kernel-only/image.bin
reader se_image "${host1[@]}" "${parts[@]}" --ramdisk $image/components/ramdisk-odd.bin \
    --bootloader-dir $image/bootloader $image/b-odd-sizes/image.bin
reader se_image "${host1[@]}" "${parts[@]}" --ramdisk $image/components/ramdisk-2pages.bin --cck $image/keys/cck.bin \
    --hdr-key $image/keys/hdr_key.bin --image-key $image/keys/image_key.bin --pcf 20000012 --scf 4000000000000000 \
    --bootloader-dir $image/bootloader $image/d-all-keys-flags/image.bin
refused se_image --host-key $image/keys/host2.key.pem $image/a-kernel-only/image.bin

host1=(--host-key $real/keys/host1.key.pem)
for case in r1-default r3-phkh-both; do
    folder=$real/pvattest/$case
    reader attest "${host1[@]}" --arpk "$folder/arpk.bin" "$folder/request.bin"
    answer=("${host1[@]}" --arpk "$folder/arpk.bin" --hdr $real/pvattest/se.hdr)
    reader attest "${answer[@]}" "$folder/response-simulated.bin"
    reader attest "${answer[@]}" --differs "$folder/response-tampered.bin"
    refused attest "${answer[@]}" "$folder/response-tampered.bin"
done

secrets=$real/pvsecret
reader secret "${host1[@]}" --type 1 $secrets/s01-meta/request.bin
association=("${host1[@]}" --type 2 --name my-assoc --secret $secrets/inputs/assoc.bin)
reader secret "${association[@]}" $secrets/s03-assoc-none/request.bin
reader secret "${association[@]}" --cck $secrets/cck.bin --cuid 00112233445566778899aabbccddeeff \
    $secrets/s05-assoc-ext-cck/request.bin
reader secret "${host1[@]}" --type 3 --name plain-odd --secret $secrets/inputs/plain-odd.bin $secrets/s07-plain-odd/request.bin
reader secret "${host1[@]}" --type 17 --name ec256 --secret $secrets/inputs/ec-prime256v1.pem $secrets/s17-ec256/request.bin
refused secret "${association[@]}" $secrets/s05-assoc-ext-cck/request.bin

dump=$real/pvdump
reader dump --cck $dump/p1-mixed/cck.bin --sha256 $dump/p1-mixed/memory.sha256 --kinds $dump/p1-mixed/dump.elf
refused dump --cck $dump/bad-no-flag/cck.bin $dump/bad-no-flag/dump.elf

echo "-- images of s390_image"
keys=$image/keys
create() { "$examples/s390_image" create --no-verify "$@" >/dev/null; }
create --kernel $image/components/kernel-aligned.bin -k $keys/host1.crt.pem -o "$scratch/kernel.img"
reader se_image --host-key $keys/host1.key.pem --kernel $image/components/kernel-aligned.bin --pcf e0 --scf 0 "$scratch/kernel.img"
whole=("${parts[@]}" --ramdisk $image/components/ramdisk-odd.bin --bootloader-dir $image/bootloader --cck $keys/cck.bin)
given=(--hdr-key $keys/hdr_key.bin --image-key $keys/image_key.bin)
create "${whole[@]}" "${given[@]}" -k $keys/host1.crt.pem -k $keys/host2.crt.der -k $keys/host3.crt.pem --enable-dump \
    --enable-cck-extension-secret -o "$scratch/all.img"
for host in 1 2 3; do
    reader se_image --host-key $keys/host$host.key.pem "${whole[@]}" "${given[@]}" --pcf 200000e0 --scf 4000000000000000 \
        "$scratch/all.img"
done
create "${whole[@]}" -k $keys/host1.crt.pem --disable-image-encryption --enable-pckmo-hmac --enable-backup-keys -o "$scratch/plain.img"
reader se_image --host-key $keys/host1.key.pem "${whole[@]}" --pcf 100000f2 --scf 0 "$scratch/plain.img"
refused se_image --host-key $keys/host2.key.pem "$scratch/plain.img"

echo "-- blobs of power_esmb"
reader esm_blob "$examples/power_esmb"
