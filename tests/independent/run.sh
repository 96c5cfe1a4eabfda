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

echo "-- requests, answers and dumps of s390_attest, s390_secret and s390_dump"
host=(--host-key $keys/host1.key.pem)
owner=(-k $keys/host1.crt.pem --no-verify)
said=(--user-data $secrets/inputs/user-100.bin)
arpk=(--arpk "$scratch/arpk")
"$examples/s390_attest" create "${owner[@]}" --add-data phkh-img --add-data secret-store-hash --add-data firmware-state \
    -o "$scratch/arcb" "${arpk[@]}"
reader attest "${host[@]}" "${arpk[@]}" "$scratch/arcb"
"$examples/s390_attest" perform --image "$scratch/all.img" "${host[@]}" --request "$scratch/arcb" --out "$scratch/answer" "${said[@]}"
reader attest "${host[@]}" "${arpk[@]}" --hdr "$scratch/all.img" "${said[@]}" "$scratch/answer"
refused attest "${host[@]}" "${arpk[@]}" --hdr $image/a-kernel-only/image.bin "$scratch/answer"

bound=(--hdr "$scratch/all.img" --cck $keys/cck.bin)
cuid=00112233445566778899aabbccddeeff
asrcb() { "$examples/s390_secret" create "${owner[@]}" "${bound[@]}" -o "$scratch/asrcb" --overwrite "$@"; }
secret() { reader secret "${host[@]}" "${bound[@]}" "$@" "$scratch/asrcb"; }
asrcb meta
secret --type 1
for sign in ec521 rsa2048 rsa3072; do
    asrcb --cuid-hex $cuid --flags disable-dump "${said[@]}" --user-sign-key $real/keys/sign-$sign.pem \
        association "a name" --input-secret $secrets/inputs/assoc.bin
    secret --type 2 --name "a name" --secret $secrets/inputs/assoc.bin --cuid $cuid --flags 8000000000000000 "${said[@]}" \
        --user-cert $real/keys/sign-$sign.crt.pem
done
while read -r type kind file; do
    asrcb --use-name retrievable key --type "$kind" --secret "$secrets/inputs/$file"
    secret --type "$type" --name key --use-name --secret "$secrets/inputs/$file"
done <<LIST
3 plain plain-max.bin
6 aes aes256.bin
8 aes-xts xts256.bin
10 hmac-sha hmac512.bin
17 ec ec-prime256v1.pem
18 ec ec-secp384r1.pem
19 ec ec-secp521r1.pem
20 ec ed25519.pem
21 ec ed448.pem
LIST
asrcb update-cck --secret $secrets/newcck.bin
secret --type 22 --secret $secrets/newcck.bin

"$examples/s390_dump" create --image "$scratch/all.img" "${host[@]}" --out "$scratch/dump" --plain "$scratch/memory" >/dev/null
reader dump --cck $keys/cck.bin --plain "$scratch/memory" --kinds "$scratch/dump"
refused dump --cck $secrets/newcck.bin "$scratch/dump"
