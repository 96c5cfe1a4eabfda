#!/usr/bin/env python3
"""Opens an add-secret request: secret, id, extension secret, flags, target, signature of the user data."""

import argparse
import hashlib

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding

from secure_execution import Identity, certificate_key, check, done, equal, fields, hkdf, number, open_slots, private_key
from secure_execution import read, unseal, zero

REQUEST = [
    ("magic", 6), ("kind", -2), ("version", -4), ("size", -4), ("iv", 12), ("reserved28", 11), ("slots", -1),
    ("reserved40", 4), ("encrypted", -4), ("flags", -8), ("pld", 64), ("ald", 64), ("tld", 64), ("tag", 16),
    ("cuid", 16), ("reserved280", 256), ("user", 512), ("customer", 160),
]
USER_DATA = 0x218
NULL, PLAINTEXT, UPDATE_CCK = 1, 3, 0x16
SCALARS = {0x11: 32, 0x12: 48, 0x13: 80}
EDWARDS = {0x14: 32, 0x15: 64}
INFO = b"IBM Z Ultravisor Add-Secret"


def decoded(kind, secret):
    """The content of a secret."""
    if kind != PLAINTEXT:
        return secret
    size = number(secret, 0, 2)
    equal("padded length", len(secret), -(-(size + 2) // 16) * 16)
    zero("padding", secret[2 + size :])
    return secret[2 : 2 + size]


def given(kind, path):
    """What a file says the content is: raw bytes, or the private part of an EC key in PEM."""
    data = read(path)
    if kind not in SCALARS | EDWARDS:
        return data
    key = serialization.load_pem_private_key(data, None)
    if kind in EDWARDS:
        return key.private_bytes_raw().rjust(EDWARDS[kind], b"\0")
    return key.private_numbers().private_value.to_bytes(SCALARS[kind], "big")


def check_signature(request, head, options):
    """Verifies over the request without tag and without what follows the data in the user-data field."""
    key = certificate_key(options.user_cert)
    size = {2: 256, 3: 256, 4: 128}[head["kind"]]
    rest = head["user"][size:]
    message = request[: USER_DATA + size] + bytes(512 - size) + request[USER_DATA + 512 : -16]
    try:
        if head["kind"] == 2:
            length = int.from_bytes(rest[144:146], "big")
            check("length of the signature", 0 < length <= 139)
            zero("bytes around the signature", rest[length:144] + rest[146:])
            key.verify(rest[:length], message, ec.ECDSA(hashes.SHA512()))
        else:
            equal("size of the RSA key", key.key_size, {3: 2048, 4: 3072}[head["kind"]])
            scheme = padding.PSS(padding.MGF1(hashes.SHA512()), padding.PSS.AUTO)
            key.verify(rest, message, scheme, hashes.SHA512())
    except InvalidSignature:
        check("signature of the user data", False)
    data = read(options.user_data) if options.user_data else b""
    equal("signed user data", head["user"][:size], data.ljust(size, b"\0"))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--host-key", action="append", required=True, help="private key of a machine (PEM)")
    parser.add_argument("--hdr", help="image or SE header that the request is for")
    parser.add_argument("--type", type=lambda text: int(text, 0), help="type of the secret")
    parser.add_argument("--secret", help="content of the secret: a file, PEM for an EC key")
    parser.add_argument("--name", help="name of the secret")
    parser.add_argument("--use-name", action="store_true", help="the id is the name itself")
    parser.add_argument("--cuid", default="", help="configuration id in hex")
    parser.add_argument("--extension-secret", help="extension secret: a file")
    parser.add_argument("--cck", help="key that the extension secret is derived from")
    parser.add_argument("--flags", default="0", help="flags in hex")
    parser.add_argument("--user-cert", help="certificate of the signer of the user data")
    parser.add_argument("--user-data", help="user data: a file")
    parser.add_argument("file")
    options = parser.parse_args()

    request = read(options.file)
    head = fields(request, REQUEST)
    equal("magic", head["magic"], b"asrcbM")
    equal("version", head["version"], 0x100)
    equal("length", head["size"], len(request))
    zero("reserved bytes", head["reserved28"] + head["reserved40"] + head["reserved280"])
    equal("flags", head["flags"], int(options.flags, 16))
    equal("CUID", head["cuid"], bytes.fromhex(options.cuid.removeprefix("0x")).ljust(16, b"\0"))
    if options.hdr:
        image = Identity(read(options.hdr))
        named = tuple(head[name] for name in ("pld", "ald", "tld", "tag"))
        equal("target", named, (image.pld, image.ald, image.tld, image.tag))

    keys = 1208 + 80 * head["slots"]
    body = len(request) - 16 - head["encrypted"]
    key = open_slots(request[1208:keys], head["customer"], [private_key(path) for path in options.host_key])
    area = unseal("request", key, head["iv"], request[:body], request[body:-16], request[-16:])

    secret_head = request[keys:body]
    kind, length = number(secret_head, 2, 2), number(secret_head, 4, 4)
    equal("length of the secret header", len(secret_head), 16 if kind == NULL else 48)
    zero("reserved bytes of the secret header", secret_head[:2] + secret_head[8:16])
    equal("length of the encrypted area", len(area), length + 32)
    secret, extension = area[:length], area[length:]
    if options.type is not None:
        equal("type", kind, options.type)
    if kind == UPDATE_CCK:
        zero("id", secret_head[16:])
    if options.name:
        name = options.name.encode()
        expected = name[:31].ljust(32, b"\0") if options.use_name else hashlib.sha256(name).digest()
        equal("id", secret_head[16:], expected)
    if options.secret:
        equal("secret", decoded(kind, secret), given(kind, options.secret))
    if options.extension_secret:
        equal("extension secret", extension, read(options.extension_secret))
    elif options.cck:
        equal("extension secret", extension, hkdf(read(options.cck), head["tag"], INFO))
    else:
        zero("extension secret", extension)
    if options.user_cert:
        check_signature(request, head, options)
    elif options.user_data:
        equal("user data kind", head["kind"], 1)
        equal("user data", head["user"], read(options.user_data).ljust(512, b"\0"))
    else:
        equal("user data kind", head["kind"], 0)
        zero("user data", head["user"])
    done(f"secret {options.file} (type {kind:#x})")


if __name__ == "__main__":
    main()
