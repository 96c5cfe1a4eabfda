"""What the readers of Secure Execution files share: keys, key slots, ciphers. Written from the published formats, on the
Python package `cryptography`; none of the libraries' code is used."""

import hashlib
import sys

from cryptography import x509
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

PAGE = 4096
checks = 0


def check(what, good):
    """Ends the program at the first thing that is not as it must be."""
    global checks
    checks += 1
    if not good:
        sys.exit(f"{sys.argv[0]}: FAILED: {what}")


def equal(what, found, expected):
    def shown(value):
        return value.hex() if isinstance(value, bytes) else repr(value)

    global checks
    checks += 1
    if found != expected:
        sys.exit(f"{sys.argv[0]}: FAILED: {what} is {shown(found)[:200]}, not {shown(expected)[:200]}")


def done(what):
    print(f"{what}: {checks} checks passed")


def read(path):
    with open(path, "rb") as file:
        return file.read()


def number(data, offset, size):
    check(f"{size} bytes at {offset:#x}", 0 <= offset and offset + size <= len(data))
    return int.from_bytes(data[offset : offset + size], "big")


def fields(data, layout):
    """Cuts `data` into named parts; numbers where the size is given as a negative count of bytes."""
    found, at = {}, 0
    for name, size in layout:
        part = data[at : at + abs(size)]
        check(f"{name} is there", len(part) == abs(size))
        found[name] = int.from_bytes(part, "big") if size < 0 else part
        at += abs(size)
    return found


def zero(what, data):
    equal(what, bytes(data), bytes(len(data)))


def coordinates(public):
    numbers = public.public_numbers()
    return numbers.x.to_bytes(80, "big") + numbers.y.to_bytes(80, "big")


def private_key(path):
    key = serialization.load_pem_private_key(read(path), None)
    check(f"{path}: a P-521 key", isinstance(key.curve, ec.SECP521R1))
    return key


def certificate_key(path):
    data = read(path)
    load = x509.load_pem_x509_certificate if data.startswith(b"-----") else x509.load_der_x509_certificate
    return load(data).public_key()


def unseal(what, key, iv, aad, ciphertext, tag):
    try:
        return AESGCM(key).decrypt(iv, ciphertext + tag, aad)
    except InvalidTag:
        sys.exit(f"{sys.argv[0]}: FAILED: {what} does not open")


def open_slots(slots, customer, hosts):
    """The key that every one of `hosts` finds in its slot; it must be the same."""
    check("whole key slots", slots and len(slots) % 80 == 0)
    slots = [slots[at : at + 80] for at in range(0, len(slots), 80)]
    x, y = int.from_bytes(customer[:80], "big"), int.from_bytes(customer[80:], "big")
    customer = ec.EllipticCurvePublicNumbers(x, y, ec.SECP521R1()).public_key()
    keys = set()
    for host in hosts:
        name = hashlib.sha256(coordinates(host.public_key())).digest()
        mine = [slot for slot in slots if slot[:32] == name]
        check("a slot for the host key", mine)
        shared = host.exchange(ec.ECDH(), customer)
        equal("length of the shared secret", len(shared), 66)
        wrapping = hashlib.sha256(shared + bytes([0, 0, 0, 1])).digest()
        keys.update(unseal("key slot", wrapping, bytes(12), None, slot[32:64], slot[64:]) for slot in mine)
    equal("number of keys in the slots", len(keys), 1)
    return keys.pop()


def xts_decrypt(key, tweak, page):
    decryptor = Cipher(algorithms.AES(key), modes.XTS(tweak)).decryptor()
    return decryptor.update(page) + decryptor.finalize()


def hkdf(secret, salt, info):
    return HKDF(hashes.SHA512(), 32, salt, info).derive(secret)


def find_header(image):
    """Offset of the SE header in an image, or 0 for a bare header."""
    if image[0xC000:0xC008] == b"SeImgLnx":
        return number(image, 0xC008, 8)
    for at in range(0, 0x15000, 0x1000):
        if image[at : at + 8] == b"IBMSecEx":
            return at
    sys.exit(f"{sys.argv[0]}: FAILED: there is no SE header")


class Identity:
    """Digests and tag of an SE header: what requests name an image by."""

    def __init__(self, image):
        at = find_header(image)
        size = number(image, at + 12, 4)
        self.pld, self.ald, self.tld = (image[at + 0xE0 + 64 * i : at + 0x120 + 64 * i] for i in range(3))
        self.tag = image[at + size - 16 : at + size]
