#!/usr/bin/env bash
# Opens a dump that `s390_dump` makes with the real `zgetdump` and compares the memory with what the guest saw, byte by byte;
# then compares what both programs write.
#
#   tests/independent/zgetdump.sh ROOT
#
# ROOT is a folder with the s390x packages `s390-tools` and what it depends on, unpacked (Debian: trixie or newer). The
# program is for s390x, so on other machines it runs under `qemu-s390x-static` (package qemu-user-static).
# Needs python3. Exit status 0 if everything is the same.
set -euo pipefail
[ $# -eq 1 ] || { sed -n '2,/^set /{s/^# \{0,1\}//;/^set /d;p}' "$0" >&2; exit 2; }
root=$(cd "$1" && pwd)
cd "$(dirname "$0")/../.."

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cargo build -q --example s390_dump
program=${CARGO_TARGET_DIR:-target}/debug/examples/s390_dump
zgetdump=(qemu-s390x-static -L "$root" "$root/usr/sbin/zgetdump")
[ "$(uname -m)" != s390x ] || zgetdump=("$root/usr/sbin/zgetdump")

compare() {
    python3 - "$@" <<'PY'
import struct, sys

def parts(path):
    data = open(path, "rb").read()
    table, count = struct.unpack(">Q", data[32:40])[0], struct.unpack(">H", data[56:58])[0]
    found = {}
    for index in range(count):
        kind, _, offset, _, address, size, _, _ = struct.unpack_from(">IIQQQQQQ", data, table + 56 * index)
        found[kind] = (address, data[offset : offset + size])
    return found

def notes(data):
    at, found = 0, []
    while at < len(data):
        name, size, kind = struct.unpack_from(">III", data, at)
        at += 12 + (name + 3) // 4 * 4
        found.append((kind, data[at : at + size]))
        at += (size + 3) // 4 * 4
    return found

plain, theirs, ours = open(sys.argv[1], "rb").read(), parts(sys.argv[2]), parts(sys.argv[3])
assert theirs[1] == (0, plain), "memory as zgetdump reads it"
assert ours[1] == (0, plain), "memory as s390_dump reads it"
NT_PRPSINFO, NT_PRSTATUS = 3, 1
registers = lambda found: [note for note in notes(found[4][1]) if note[0] not in (NT_PRPSINFO, NT_PRSTATUS)]
assert registers(theirs) == registers(ours), "notes of the registers"
status = lambda found: [data[112:] for kind, data in notes(found[4][1]) if kind == NT_PRSTATUS]
assert status(theirs) == status(ours), "PSW, general and access registers"
print(f"{len(plain)} bytes of memory and {len(status(ours))} CPUs are the same")
PY
}

"$program" create --out "$scratch/dump" --plain "$scratch/plain"
"${zgetdump[@]}" -i -k "$scratch/dump.cck" "$scratch/dump"
"${zgetdump[@]}" -k "$scratch/dump.cck" "$scratch/dump" "$scratch/theirs"
"$program" decrypt --key "$scratch/dump.cck" "$scratch/dump" "$scratch/ours"
compare "$scratch/plain" "$scratch/theirs" "$scratch/ours"

head -c 32 /dev/zero >"$scratch/wrong"
if "${zgetdump[@]}" -k "$scratch/wrong" "$scratch/dump" "$scratch/none" >/dev/null 2>&1; then
    echo "zgetdump takes a wrong key"
    exit 1
fi
