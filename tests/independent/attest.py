#!/usr/bin/env python3
"""Opens an attestation exchange file with a host key and the request key, and computes the measurement of a response."""

import argparse
import hmac

from secure_execution import Identity, check, done, equal, fields, number, open_slots, private_key, read, unseal, zero

REQUEST = [
    ("magic", 8), ("version", -4), ("size", -4), ("iv", 12), ("reserved28", 11), ("slots", -1), ("reserved40", 4),
    ("encrypted", -4), ("flags", -8), ("algorithm", -4), ("reserved60", 4), ("customer", 160),
]
ADDITIONAL = [(1 << 61, 32), (1 << 60, 32), (1 << 59, 64), (1 << 58, 320)]
NONCE = 1 << 62


def exchange(file):
    """The entries of the file: bytes, or the expected size of what is not there yet."""
    head = fields(file, [("magic", 8), ("version", -4), ("size", -4), ("reserved", 8)])
    equal("magic", head["magic"], b"pvattest")
    equal("version", head["version"], 0x100)
    equal("size", head["size"], len(file))
    zero("reserved bytes", head["reserved"])
    entries, end = {}, 64
    for index, name in enumerate(["arcb", "measurement", "additional", "user", "cuid"]):
        size, offset = number(file, 24 + 8 * index, 4), number(file, 28 + 8 * index, 4)
        if offset == 0:
            entries[name] = size
            continue
        equal(f"place of {name}", offset, end)
        end += size
        entries[name] = file[offset:end]
        equal(f"size of {name}", len(entries[name]), size)
    equal("end of the entries", end, len(file))
    return entries


def open_request(arcb, options):
    head = fields(arcb, REQUEST)
    zero("magic", head["magic"])
    equal("version", head["version"], 0x100)
    equal("length", head["size"], len(arcb))
    equal("algorithm", head["algorithm"], 1)
    zero("reserved bytes", head["reserved28"] + head["reserved40"] + head["reserved60"])
    equal("length for its slots", len(arcb), 224 + 80 * head["slots"] + head["encrypted"] + 16)
    body = 224 + 80 * head["slots"]
    key = open_slots(arcb[224:body], head["customer"], [private_key(path) for path in options.host_key])
    if options.arpk:
        equal("request key", key, read(options.arpk))
    area = unseal("request", key, head["iv"], arcb[:body], arcb[body:-16], arcb[-16:])
    equal("encrypted area", len(area), 80 if head["flags"] & NONCE else 64)
    return head["flags"], area[:64], area[64:]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host-key", action="append", required=True, help="private key of a machine (PEM)")
    parser.add_argument("--arpk", help="request key")
    parser.add_argument("--hdr", help="image or SE header of the guest, for a response")
    parser.add_argument("--user-data", help="user data of a response")
    parser.add_argument("--differs", action="store_true", help="the measurement must not be right")
    parser.add_argument("file")
    options = parser.parse_args()

    entries = exchange(read(options.file))
    flags, key, nonce = open_request(entries["arcb"], options)
    additional_size = sum(size for flag, size in ADDITIONAL if flags & flag)
    if isinstance(entries["measurement"], int):
        equal("expected measurement", entries["measurement"], 64)
        equal("expected additional data", entries["additional"], additional_size)
        equal("user data and CUID", (entries["user"], entries["cuid"]), (0, 0))
        check("a response has a measurement", not options.hdr)
        return done(f"attest {options.file} (request)")

    image = Identity(read(options.hdr))
    user, additional = entries["user"] or b"", entries["additional"] or b""
    equal("length of the CUID", len(entries["cuid"]), 16)
    check("additional data asked for", len(additional) >= additional_size)
    if options.user_data:
        equal("user data", user, read(options.user_data))
    parts = [image.pld, image.ald, image.tld, image.tag, entries["cuid"], len(user).to_bytes(2, "big"), bytes(2)]
    parts += [len(additional).to_bytes(4, "big"), user, nonce, additional]
    right = hmac.digest(key, b"".join(parts), "sha512") == entries["measurement"]
    equal("measurement is right", right, not options.differs)
    done(f"attest {options.file} (response)")


if __name__ == "__main__":
    main()
