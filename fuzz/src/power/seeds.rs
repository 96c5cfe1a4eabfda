//! Valid files that mutations start from: those of the real tool.

use uv_power::owner::cpio;

macro_rules! svm {
    ($path:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/svm-tool/", $path)).as_slice()
    };
}
macro_rules! key {
    ($path:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/esm-keys/", $path)).as_slice()
    };
}

pub(super) const FULL: &[u8] = svm!("blobs/full.dtb");
pub(super) const MACHINE: &[u8] = svm!("keys/machine1.pem");
pub(super) const PASS_PHRASE: &[u8] = b"owner-pass";
pub(super) const INITRD: &[u8] = svm!("boot/initrd.img");
pub(super) const KERNEL: &[u8] = svm!("boot/vmlinux.bin");
pub(super) const BOOTARGS: &[u8] = b"root=/dev/sda1 rw svm=on console=hvc0\0";

fn owned(seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.to_vec()).collect()
}

pub(crate) fn blobs() -> Vec<Vec<u8>> {
    owned(&[FULL, svm!("blobs/step-1-created.dtb"), svm!("blobs/step-3-attached.dtb")])
}

pub(crate) fn trees() -> Vec<Vec<u8>> {
    owned(&[FULL, svm!("inner/full.digests.dtb"), svm!("inner/full.files.dtb")])
}

pub(crate) fn archives() -> Vec<Vec<u8>> {
    let mut carried = cpio::carrier(FULL, "blob.dtb").expect("the name is a name");
    carried.extend_from_slice(&INITRD[..512]);
    vec![carried, INITRD.to_vec()]
}

pub(crate) fn kernels() -> Vec<Vec<u8>> {
    owned(&[svm!("boot/vmlinux")])
}

pub(crate) fn yaml() -> Vec<Vec<u8>> {
    owned(&[svm!("svm_blob.yml")])
}

pub(crate) fn keys() -> Vec<Vec<u8>> {
    owned(&[
        MACHINE,
        svm!("keys/machine1pub.pem"),
        svm!("keys/owner2-encrypted.pem"),
        key!("owner2-pkcs1-aes256.pem"),
        key!("owner2-pkcs8-des3-sha1.pem"),
        key!("owner2-pkcs8-pbkdf2.pem"),
        key!("owner2-pkcs8-scrypt.pem"),
        key!("owner2-pkcs8-costly.pem"),
    ])
}
