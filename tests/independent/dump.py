#!/usr/bin/env python3
"""Decrypts a protected dump with the customer communication key and compares it with the plain memory."""

import argparse
import hashlib

from secure_execution import PAGE, check, done, equal, fields, hkdf, number, read, unseal, xts_decrypt, zero

INFO = b"IBM Z Ultravisor Dump"
COMPLETION = [
    ("version", -4), ("length", -4), ("reserved8", 8), ("seed", 64), ("iv", 12), ("reserved92", 4), ("area", 176),
    ("tag", 16),
]
CPU_NOTE = 0x30E
PT_LOAD, PT_NOTE = 1, 4


def sections(dump):
    count, names = number(dump, 60, 2), number(dump, 62, 2)
    table = number(dump, 40, 8)
    equal("size of a section header", number(dump, 58, 2), 64)

    def extent(index):
        at = table + 64 * index
        offset, size = number(dump, at + 24, 8), number(dump, at + 32, 8)
        check("a section within the file", offset + size <= len(dump))
        return dump[offset : offset + size]

    strings = extent(names)
    return {strings[number(dump, table + 64 * i, 4) :].split(b"\0")[0].decode(): extent(i) for i in range(1, count)}


def segments(dump):
    table, count = number(dump, 32, 8), number(dump, 56, 2)
    equal("size of a program header", number(dump, 54, 2), 56)
    for at in range(table, table + 56 * count, 56):
        kind, offset, address, size = (number(dump, at + o, s) for o, s in [(0, 4), (8, 8), (24, 8), (32, 8)])
        check("a segment within the file", offset + size <= len(dump))
        yield kind, address, dump[offset : offset + size]


def cpu_notes(notes):
    at = 0
    while at < len(notes):
        name, size, kind = (number(notes, at + 4 * i, 4) for i in range(3))
        at += 12 + -(-name // 4) * 4
        if kind == CPU_NOTE:
            yield notes[at : at + size]
        at += -(-size // 4) * 4


def open_completion(section, cck):
    block = fields(section, COMPLETION)
    equal("version and length", (block["version"], block["length"]), (1, 288))
    zero("reserved bytes", block["reserved8"] + block["reserved92"])
    zero("bytes behind the completion data", section[288:])
    key = hkdf(cck, block["seed"], INFO)
    area = unseal("completion data", key, block["iv"], section[:96], block["area"], block["tag"])
    zero("reserved bytes of the completion data", area[80:])
    return key, area[:16], area[16:80]


def open_cpu(note, key):
    equal("version of the CPU note", number(note, 0, 4), 1)
    check("size of the CPU note", 1568 <= len(note) <= 4096)
    zero("reserved bytes of the CPU note", note[20:32])
    area = unseal("CPU note", key, note[8:20], note[:32], note[32:1552], note[1552:1568])
    for start, end in [(176, 184), (192, 196), (216, 224), (928, 1448), (1472, 1536), (1538, 1552)]:
        zero(f"bytes {start} to {end} of the CPU note", area[start - 32 : end - 32])
    return area


def plain_page(stored, entry, nonce, key):
    if entry[:4] != b"\xff\xff\xff\xff":
        tweak = bytes(a | b for a, b in zip(entry, nonce))
        return "encrypted", xts_decrypt(key, tweak, stored)
    equal("byte 14 of a storage state entry", entry[14], 0)
    flags = entry[15]
    check(f"flags {flags:#x} of a page", flags in (1, 2, 5, 6))
    return ("zero", bytes(PAGE)) if flags & 1 else ("shared", stored)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cck", required=True, help="customer communication key")
    parser.add_argument("--plain", help="memory as the guest sees it")
    parser.add_argument("--sha256", help="file with the SHA-256 of the plain memory in hex")
    parser.add_argument("--kinds", action="store_true", help="there must be encrypted, shared and zero pages")
    parser.add_argument("file")
    options = parser.parse_args()

    dump = read(options.file)
    equal("ELF class, byte order, version", dump[:7], b"\x7fELF\x02\x02\x01")
    equal("type and machine", (number(dump, 16, 2), number(dump, 18, 2)), (4, 22))
    found = sections(dump)
    check("sections of a protected dump", {"pv_mem_meta", "pv_compl"} <= found.keys())
    key, nonce, memory_key = open_completion(found["pv_compl"], read(options.cck))
    state = found["pv_mem_meta"]

    memory, kinds, cpus = {}, set(), 0
    loads = [(address, data) for kind, address, data in segments(dump) if kind == PT_LOAD]
    for address, data in loads:
        equal("whole pages", (address % PAGE, len(data) % PAGE), (0, 0))
        first = 0 if len(loads) == 1 else address // PAGE
        for index in range(len(data) // PAGE):
            entry = state[16 * (first + index) :][:16]
            equal("a storage state entry", len(entry), 16)
            stored = data[PAGE * index : PAGE * (index + 1)]
            kind, memory[address + PAGE * index] = plain_page(stored, entry, nonce, memory_key)
            kinds.add(kind)
    for kind, _, data in segments(dump):
        if kind == PT_NOTE:
            for note in cpu_notes(data):
                open_cpu(note, key)
                cpus += 1
    check("a note for a CPU", cpus > 0)
    plain = b"".join(memory[address] for address in sorted(memory))
    if options.sha256:
        equal("SHA-256 of the memory", hashlib.sha256(plain).hexdigest(), read(options.sha256).split()[0].decode())
    if options.plain:
        expected = read(options.plain)
        equal("size of the memory", len(plain), len(expected))
        for at in range(0, len(plain), PAGE):
            equal(f"page at {at:#x}", plain[at : at + PAGE], expected[at : at + PAGE])
    if options.kinds:
        equal("kinds of pages", kinds, {"encrypted", "shared", "zero"})
    done(f"dump {options.file} ({cpus} CPUs, {len(memory)} pages)")


if __name__ == "__main__":
    main()
