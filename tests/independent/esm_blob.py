#!/usr/bin/env python3
"""Opens ESM blobs made by `power_esmb` with an independent reader: libfdt and the Python package `cryptography`.

run.sh gives it the program: esm_blob.py target/debug/examples/power_esmb. Exit status 0: all as expected.
"""

import hashlib
import os
import subprocess
import sys
import tempfile

import libfdt
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "fixtures", "svm-tool")
BOOTARGS = b"root=/dev/sda1 rw svm=on console=hvc0"
RTAS = bytes.fromhex("7c641b783c6000006063f000440000224e800020")
FILES = ["nul.bin", "k65.bin", "k64.bin", "f200.txt", "crypttab", "rootd"]
OAEP = padding.OAEP(mgf=padding.MGF1(hashes.SHA256()), algorithm=hashes.SHA256(), label=None)
checks = 0


def check(what, good):
    """Ends the program at the first thing that is not as it must be."""
    global checks
    checks += 1
    if not good:
        sys.exit(f"esm_blob: FAILED: {what}")


def read(path):
    with open(os.path.join(FIXTURES, path), "rb") as file:
        return file.read()


def private(name, phrase=None):
    return serialization.load_pem_private_key(read(f"keys/{name}.pem"), phrase)


def tree(data):
    """A device tree that libfdt accepts in whole and that is packed."""
    fdt = libfdt.FdtRo(data)
    check("libfdt accepts the whole tree", libfdt.fdt_check_full(bytearray(data), len(data)) == 0)
    check("totalsize is the file's length", fdt.totalsize() == len(data))
    check("strings end the file", fdt.off_dt_strings() + fdt.size_dt_strings() == len(data))
    check("version 17, compatible with 16", (fdt.version(), fdt.last_comp_version()) == (17, 16))
    return fdt


def children(fdt, path):
    names = []
    node = fdt.first_subnode(fdt.path_offset(path), [libfdt.NOTFOUND])
    while node >= 0:
        names.append(fdt.get_name(node))
        node = fdt.next_subnode(node, [libfdt.NOTFOUND])
    return names


def value(fdt, path, name):
    return bytes(fdt.getprop(fdt.path_offset(path), name))


def unseal(fdt, path, key):
    check(f"{path}: algorithm", value(fdt, path, "algorithm") == b"AES256-GCM\0")
    iv, mac = value(fdt, path, "iv"), value(fdt, path, "mac")
    check(f"{path}: iv and mac of 16 bytes", (len(iv), len(mac)) == (16, 16))
    try:
        return AESGCM(key).decrypt(iv, value(fdt, path, "ciphertext") + mac, None)
    except InvalidTag:
        sys.exit(f"esm_blob: FAILED: {path} does not open")


def open_blob(blob, lockboxes):
    """Opens every lockbox with its key; gives the tree and the one master key."""
    fdt = tree(blob)
    check("root", value(fdt, "/", "compatible") == b"ibm,esm\0")
    check("parts", children(fdt, "/") == ["lockboxes", "digest", "file"])
    check("lockboxes", children(fdt, "/lockboxes") == [name for name, _, _ in lockboxes])
    keys = set()
    for name, public, key in lockboxes:
        path = f"/lockboxes/{name}"
        named = value(fdt, f"{path}/pubkey-fingerprint", "hash")
        check(f"{name}: fingerprint", named == hashlib.sha256(read(f"keys/{public}.pem")).digest())
        check(f"{name}: algorithm", value(fdt, f"{path}/pubkey-fingerprint", "algorithm") == b"SHA256\0")
        keys.add(key.decrypt(value(fdt, path, "encrypted-symkey"), OAEP))
    check("one master key of 32 bytes", [len(key) for key in keys] == [32])
    return fdt, keys.pop()


def check_full(blob):
    lockboxes = [
        ("lockbox-2", "machine2pub", private("machine2")),
        ("lockbox-1", "machine1pub", private("machine1")),
        ("origin-lockbox", "ownerpub", private("owner")),
    ]
    fdt, key = open_blob(blob, lockboxes)
    names = fdt.off_dt_strings()
    want = ["compatible", "untrusted-comment", "encrypted-symkey", "algorithm", "hash", "ciphertext", "iv", "mac", "files-fdt"]
    check("order of strings", blob[names:] == b"".join(name.encode() + b"\0" for name in want))

    digests = tree(unseal(fdt, "/digest/digests-fdt", key))
    check("digests: root", value(digests, "/", "compatible") == b"ibm,esm\0")
    check("digests: algorithm", value(digests, "/digests", "algorithm") == b"SHA512\0")
    kernel = read("boot/vmlinux.bin")
    check("digests: kernel-size", value(digests, "/digests", "kernel-size") == len(kernel).to_bytes(4, "big"))
    for name, data in [("rtas", RTAS), ("kernel", kernel), ("initrd", read("boot/initrd.img")), ("bootargs", BOOTARGS)]:
        check(f"digests: {name}", value(digests, "/digests", name) == hashlib.sha512(data).digest())

    files = tree(value(fdt, "/file", "files-fdt"))
    check("files: root", value(files, "/", "compatible") == b"ibm,esm-file\0")
    check("files: names", children(files, "/files") == FILES)
    for name in FILES:
        check(f"file {name}", unseal(files, f"/files/{name}", key) == read(f"attachments/{name}"))


def check_cpio(carried, blob, initrd):
    """Walks the archive in front of the initramfs."""
    at, members = 0, []
    while True:
        check("cpio: magic", carried[at : at + 6] == b"070701")
        size, name_size = int(carried[at + 54 : at + 62], 16), int(carried[at + 94 : at + 102], 16)
        name = carried[at + 110 : at + 110 + name_size - 1].decode()
        data = at + (110 + name_size + 3) // 4 * 4
        at = data + (size + 3) // 4 * 4
        if name == "TRAILER!!!":
            break
        members.append((name, carried[data : data + size]))
    folders = [(name, b"") for name in [".", "opt", "opt/ibm", "opt/ibm/pef"]]
    check("cpio: members", members == folders + [("opt/ibm/pef/blob.dtb", blob)])
    check("cpio: initramfs at the next 512 bytes", carried[(at + 511) // 512 * 512 :] == initrd)


def main():
    tool = os.path.abspath(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        blob = os.path.join(folder, "blob.dtb")

        def run(*arguments):
            environment = dict(os.environ, OWNER2_PHRASE="owner-pass")
            done = subprocess.run([tool, *arguments], cwd=FIXTURES, env=environment, capture_output=True, text=True)
            check(f"power_esmb {' '.join(arguments)}: {done.stderr}", done.returncode == 0)

        def content(path):
            with open(path, "rb") as file:
                return file.read()

        run("make", "-y", "svm_blob.yml", "-o", blob)
        check_full(content(blob))
        carried = os.path.join(folder, "carried.img")
        run("add", "-i", "boot/initrd.img", "-b", blob, "-o", carried)
        check_cpio(content(carried), content(blob), read("boot/initrd.img"))

        run("create", "--overwrite", "-b", blob, "-p", "keys/owner2pub.pem", "-c", "owner key 2")
        secret = ["-s", "keys/owner2-encrypted.pem", "--passphrase-env", "OWNER2_PHRASE"]
        run("authorize", "-b", blob, "-p", "keys/machine1pub.pem", *secret)
        run("attach", "-b", blob, "-f", "attachments/rootd", "-r", "rootd", *secret)
        owner2 = ("origin-lockbox", "owner2pub", private("owner2-encrypted", b"owner-pass"))
        fdt, key = open_blob(content(blob), [("lockbox-1", "machine1pub", private("machine1")), owner2])
        files = tree(value(fdt, "/file", "files-fdt"))
        check("attached file", unseal(files, "/files/rootd", key) == read("attachments/rootd"))
        run("detach", "-b", blob, "-r", "rootd", *secret)
        run("revoke", "-b", blob, "-p", "keys/machine1pub.pem")
        fdt, _ = open_blob(content(blob), [owner2])
        check("no files left", children(tree(value(fdt, "/file", "files-fdt")), "/files") == [])
    print(f"esm_blob: {checks} checks passed")


if __name__ == "__main__":
    main()
