#!/usr/bin/env python3
"""Opens a Secure Execution image: header, slots, encrypted area, boot parameter block, components, the three digests."""

import argparse
import hashlib

from secure_execution import PAGE, check, done, equal, fields, find_header, number, open_slots, private_key, read, unseal
from secure_execution import xts_decrypt, zero

HEADER = [
    ("magic", 8), ("version", -4), ("size", -4), ("iv", 12), ("reserved", 4), ("slots", -8), ("encrypted", -8),
    ("pages", -8), ("pcf", -8), ("customer", 160), ("pld", 64), ("ald", 64), ("tld", 64),
]
AREA = [("cck", 32), ("image_key", 64), ("mask", -8), ("address", -8), ("scf", -8), ("items", -4), ("reserved", 4)]
IPIB = [
    ("length", -4), ("flags", -1), ("reserved5", 2), ("version", -1), ("block_length", -4), ("type", -1),
    ("reserved13", 3), ("loadparm", 8), ("reserved24", 87), ("block_version", -1), ("reserved112", 4),
    ("components", -4), ("header", -8), ("header_size", -8),
]
MASK = 0x180000000
UNENCRYPTED = 0x10000000
NUMBERS = {0x28: "kernel", 0x32: "ramdisk", 0x3C: "cmdline", 0x46: "stage3b"}


def open_header(image, at, options):
    header = fields(image[at:], HEADER)
    equal("magic", header["magic"], b"IBMSecEx")
    equal("version", header["version"], 0x100)
    equal("header size", header["size"], 560 + 80 * header["slots"])
    equal("size of the encrypted area", header["encrypted"], 128)
    zero("reserved bytes", header["reserved"])
    whole = image[at : at + header["size"]]
    slots = whole[416 : 416 + 80 * header["slots"]]
    key = open_slots(slots, header["customer"], [private_key(path) for path in options.host_key])
    if options.hdr_key:
        equal("header key", key, read(options.hdr_key))
    area = unseal("header", key, header["iv"], whole[:-144], whole[-144:-16], whole[-16:])
    area = fields(area, AREA)
    equal("PSW mask", area["mask"], MASK)
    equal("optional items", area["items"], 0)
    zero("reserved bytes of the encrypted area", area["reserved"])
    for name, given in [("cck", options.cck), ("image_key", options.image_key)]:
        if given:
            equal(name, area[name], read(given))
    for name, found, given in [("PCF", header["pcf"], options.pcf), ("SCF", area["scf"], options.scf)]:
        if given is not None:
            equal(name, f"{found:016x}", f"{int(given, 16):016x}")
    return header, area


def read_ipib(image, at, header_at, header):
    ipib = fields(image[at:], IPIB)
    count = ipib["components"]
    check("there are components", count > 0)
    equal("length of the IPIB", ipib["length"], 136 + 24 * count)
    equal("length of its block", ipib["block_length"], 128 + 24 * count)
    equal("type and versions", (ipib["type"], ipib["version"], ipib["block_version"]), (5, 1, 1))
    equal("header named", (ipib["header"], ipib["header_size"]), (header_at, header["size"]))
    zero("other fields", bytes([ipib["flags"]]) + b"".join(ipib[name] for name in ipib if name.startswith(("reserved", "load"))))
    equal("end of the file", len(image), at + ipib["length"])
    entries = range(at + 136, at + 136 + 24 * count, 24)
    return [tuple(number(image, entry + 8 * i, 8) for i in range(3)) for entry in entries]


def measure(image, components, header):
    pld, ald, tld, pages = hashlib.sha512(), hashlib.sha512(), hashlib.sha512(), 0
    for prefix, address, length in components:
        for offset in range(0, length, PAGE):
            pld.update(image[address + offset : address + offset + PAGE])
            ald.update((address + offset).to_bytes(8, "big"))
            tld.update(prefix.to_bytes(8, "big") + offset.to_bytes(8, "big"))
            pages += 1
    found = (pld.digest(), ald.digest(), tld.digest(), pages)
    for name, digest in zip(["pld", "ald", "tld", "pages"], found):
        equal(name, digest, header[name])


def decrypt(image, component, key, encrypted):
    prefix, address, length = component
    pages = []
    for offset in range(0, length, PAGE):
        page = image[address + offset : address + offset + PAGE]
        tweak = prefix.to_bytes(8, "big") + offset.to_bytes(8, "big")
        pages.append(xts_decrypt(key, tweak, page) if encrypted else page)
    return b"".join(pages)


def contents(plain, places, stage3b, options):
    """Compares the components with stage3b's arguments and with the files they were made from."""
    arguments = stage3b.rstrip(b"\0")
    # The arguments end in the address of the kernel's entry, 0x10000.
    end = len(arguments) + 2
    arguments = [number(stage3b, end - 64 + 8 * i, 8) for i in range(8)]
    equal("entry of the kernel", arguments[6:], [MASK, 0x10000])
    named = {"kernel": arguments[0:2], "cmdline": arguments[2:4], "ramdisk": arguments[4:6]}
    given = {"kernel": options.kernel, "cmdline": options.parmfile, "ramdisk": options.ramdisk}
    for name, (address, size) in named.items():
        if name not in plain:
            equal(f"{name} in stage3b's arguments", (address, size), (0, 0))
            continue
        equal(f"address of {name}", address, places[name])
        zero(f"padding of {name}", plain[name][size:])
        equal(f"pages of {name}", len(plain[name]), max(1, -(-size // PAGE)) * PAGE)
        if given[name]:
            expected = read(given[name])
            if name == "cmdline" and not expected.endswith(b"\0"):
                expected += b"\0"
            equal(name, plain[name][:size], expected)
    if options.bootloader_dir:
        blob = read(f"{options.bootloader_dir}/stage3b_reloc.bin")
        equal("code of stage3b", stage3b[: len(blob) - 64], blob[:-64])
        zero("padding of stage3b", stage3b[len(blob) :])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host-key", action="append", required=True, help="private key of a machine (PEM)")
    for name in ["kernel", "ramdisk", "parmfile", "bootloader-dir", "hdr-key", "image-key", "cck", "pcf", "scf"]:
        parser.add_argument(f"--{name}", help="what the image was made from")
    parser.add_argument("image")
    options = parser.parse_args()

    image = read(options.image)
    equal("short PSW", image[:8].hex(), "0008000180011000")
    at = find_header(image)
    metadata = fields(image[0xC000:], [("magic", 8), ("header", -8), ("version", -4), ("ipib", -8)])
    equal("metadata", (metadata["magic"], metadata["header"], metadata["version"]), (b"SeImgLnx", at, 1))
    header, area = open_header(image, at, options)
    components = read_ipib(image, metadata["ipib"], at, header)

    zero("bytes up to the metadata", image[8:0xC000])
    zero("bytes up to stage3a", image[0xC01C:0x10000])
    free = -(-(at + header["size"]) // PAGE) * PAGE
    zero("bytes behind the header", image[at + header["size"] : free])
    plain, places, last = {}, {}, 0
    for prefix, address, length in components:
        name = NUMBERS.get(prefix >> 48)
        check("known component numbers", name is not None)
        check("growing prefixes", prefix > last)
        check("whole pages", length > 0 and length % PAGE == 0)
        equal(f"place of {name}", address, free)
        free, last = address + length, prefix
        encrypted = not header["pcf"] & UNENCRYPTED
        plain[name] = decrypt(image, (prefix, address, length), area["image_key"], encrypted)
        places[name] = address
    equal("place of the IPIB", metadata["ipib"], free)
    equal("last component", NUMBERS[last >> 48], "stage3b")
    equal("start of the guest", area["address"], places["stage3b"])
    measure(image, components, header)
    contents(plain, places, plain["stage3b"], options)

    if options.bootloader_dir:
        blob = read(f"{options.bootloader_dir}/stage3a.bin")
        end = 0x10000 + len(blob)
        equal("code of stage3a", image[0x10000 : end - 24], blob[:-24])
        base = end - 24
        found = [number(image, base + 8 * i, 8) for i in range(3)]
        equal("arguments of stage3a", found, [at - base, header["size"], metadata["ipib"] - base])
    done(f"se_image {options.image}")


if __name__ == "__main__":
    main()
