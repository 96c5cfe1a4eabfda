//! The reference blobs of `tests/fixtures/svm-tool` for unit tests.

use serde_json::Value;

macro_rules! fixture {
    ($path:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/svm-tool/", $path)).as_slice()
    };
}

pub(crate) const FULL: &[u8] = fixture!("blobs/full.dtb");
pub(crate) const STEP_1: &[u8] = fixture!("blobs/step-1-created.dtb");
pub(crate) const STEP_2: &[u8] = fixture!("blobs/step-2-authorized.dtb");
pub(crate) const STEP_3: &[u8] = fixture!("blobs/step-3-attached.dtb");
pub(crate) const BLOBS: [(&str, &[u8]); 4] = [
    ("full.dtb", FULL),
    ("step-1-created.dtb", STEP_1),
    ("step-2-authorized.dtb", STEP_2),
    ("step-3-attached.dtb", STEP_3),
];
pub(crate) const INNER_DIGESTS: &[u8] = fixture!("inner/full.digests.dtb");
pub(crate) const INNER_FILES: &[u8] = fixture!("inner/full.files.dtb");

/// The tampered blobs: name and bytes.
pub(crate) const TAMPERED: [(&str, &[u8]); 4] = [
    ("t01-digest-ciphertext-bit.dtb", fixture!("tampered/t01-digest-ciphertext-bit.dtb")),
    ("t04-lockbox1-wrapped-bit.dtb", fixture!("tampered/t04-lockbox1-wrapped-bit.dtb")),
    ("t08-bad-magic.dtb", fixture!("tampered/t08-bad-magic.dtb")),
    ("t14-resealed-kernel-digest.dtb", fixture!("tampered/t14-resealed-kernel-digest.dtb")),
];

pub(crate) const OWNER_PUB: &[u8] = fixture!("keys/ownerpub.pem");
pub(crate) const OWNER: &[u8] = fixture!("keys/owner.pem");
pub(crate) const OWNER2_PUB: &[u8] = fixture!("keys/owner2pub.pem");
pub(crate) const OWNER2_ENCRYPTED: &[u8] = fixture!("keys/owner2-encrypted.pem");
pub(crate) const MACHINE1_PUB: &[u8] = fixture!("keys/machine1pub.pem");
pub(crate) const MACHINE1: &[u8] = fixture!("keys/machine1.pem");
pub(crate) const MACHINE2_PUB: &[u8] = fixture!("keys/machine2pub.pem");
pub(crate) const MACHINE2: &[u8] = fixture!("keys/machine2.pem");
pub(crate) const VMLINUX: &[u8] = fixture!("boot/vmlinux");
pub(crate) const VMLINUX_FLAT: &[u8] = fixture!("boot/vmlinux.bin");
pub(crate) const INITRD: &[u8] = fixture!("boot/initrd.img");

/// `expected.json`.
pub(crate) fn expected() -> Value {
    serde_json::from_slice(fixture!("expected.json")).unwrap()
}

/// A hex text of `expected.json`.
pub(crate) fn hex(value: &Value) -> alloc::vec::Vec<u8> {
    hex::decode(value.as_str().unwrap()).unwrap()
}

/// A seeded generator: tests are reproducible.
pub(crate) fn rng(seed: u8) -> rand_chacha::ChaCha20Rng {
    use rand_chacha::rand_core::SeedableRng as _;
    rand_chacha::ChaCha20Rng::from_seed([seed; 32])
}

/// A tree with the padding after its property values set to zero.
///
/// The reference files have left-over bytes there (values were moved inside the file while it was made); we write zeros.
pub(crate) fn zero_padding(tree: &[u8]) -> alloc::vec::Vec<u8> {
    let word = |at: usize| usize::try_from(u32::from_be_bytes(tree[at..at + 4].try_into().unwrap())).unwrap();
    let mut bytes = tree.to_vec();
    let mut at = word(8);
    loop {
        at += match word(at) {
            1 => (4 + tree[at + 4..].iter().position(|byte| *byte == 0).unwrap() + 1).next_multiple_of(4),
            3 => {
                let end = at + 12 + word(at + 4);
                bytes[end..end.next_multiple_of(4)].fill(0);
                end.next_multiple_of(4) - at
            }
            9 => return bytes,
            _ => 4,
        };
    }
}
