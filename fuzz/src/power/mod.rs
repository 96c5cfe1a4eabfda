//! Everything that the POWER half reads from outside.

mod machine;
pub(crate) mod seeds;

pub use machine::{ultracall_guest, ultracall_host};

use std::sync::LazyLock;

use uv_power::abi::Profile;
use uv_power::owner::blob::Blob;
use uv_power::owner::cpio;
use uv_power::owner::digests::{Digests, RTAS_STUB, Sha512Digest};
use uv_power::owner::files::Files;
use uv_power::owner::kernel::{self, FLAT_MAX};
use uv_power::owner::keys::{PrivateKey, PublicKey};
use uv_power::owner::sealed::MasterKey;
use uv_power::owner::tree::Node;
use uv_power::owner::verify::{self, Measured};
use uv_power_programs::esmb::display;
use uv_power_programs::esmb::input::EsmInput;

static MACHINE: LazyLock<PrivateKey> =
    LazyLock::new(|| PrivateKey::from_pem(seeds::MACHINE, None).expect("the fixture is an RSA key"));
static MASTER_KEY: LazyLock<MasterKey> = LazyLock::new(|| {
    let blob = Blob::parse(seeds::FULL).expect("the fixture is a blob");
    blob.unlock(&MACHINE).expect("the machine has a lockbox")
});
static MEASURED: LazyLock<Measured> = LazyLock::new(|| Measured {
    rtas: Sha512Digest::of(&RTAS_STUB),
    kernel: Sha512Digest::of(seeds::KERNEL),
    initrd: Sha512Digest::of(seeds::INITRD),
    bootargs: Measured::bootargs(seeds::BOOTARGS),
});

/// A flattened device tree, and what is written from it.
pub fn esm_tree(data: &[u8]) {
    let Ok(tree) = Node::parse(data) else { return };
    let _ = (Digests::parse(data), Files::parse(data));
    if let Ok(written) = tree.to_bytes(&[]) {
        assert_eq!(Node::parse(&written).as_ref(), Ok(&tree));
    }
}

/// An ESM blob as its owner and the `display` command read it.
pub fn esm_blob(data: &[u8]) {
    let Ok(blob) = Blob::parse(data) else { return };
    let written = blob.to_bytes().map(|bytes| Blob::parse(&bytes).is_ok());
    assert_ne!(written.ok(), Some(false), "a blob reads again");
    let _ = (display::json(&blob, data), display::text(&blob), blob.digests(&MASTER_KEY));
    for lockbox in blob.lockboxes().iter().flatten() {
        let _ = lockbox.is_for(MACHINE.public());
    }
    let Ok(files) = blob.files() else { return };
    let mut smaller = blob.clone();
    for name in files.names() {
        let _ = files.extract(name, &MASTER_KEY);
        let _ = smaller.detach(name);
    }
}

/// An ESM blob as a machine checks it, in both profiles.
pub fn esm_verify(data: &[u8]) {
    for profile in Profile::ALL {
        let Ok(opened) = verify::open(profile, data, &MACHINE) else { continue };
        let _ = opened.kernel_size();
        let Ok(store) = opened.check(&MEASURED) else { continue };
        for name in store.names() {
            let _ = store.read(name);
        }
    }
}

/// An initramfs that may carry a blob, at every alignment.
pub fn esm_cpio(data: &[u8]) {
    for address in [0, 1, 2, 3, u64::MAX] {
        if let Ok(carrier) = cpio::scan(data, address) {
            assert!(carrier.initrd <= data.len());
            let blob = data.get(carrier.blob).expect("the blob lies in the initramfs");
            let _ = Blob::parse(blob);
        }
    }
}

/// A kernel, ELF or flat.
pub fn esm_kernel(data: &[u8]) {
    if let Ok(flat) = kernel::flatten(data) {
        assert!(flat.len() <= FLAT_MAX);
    }
}

/// The YAML input of `power_esmb make`.
pub fn esm_yaml(data: &[u8]) {
    if let Ok(text) = str::from_utf8(data) {
        let _ = EsmInput::parse(text);
    }
}

/// RSA keys in every container, plain and encrypted.
pub fn esm_key(data: &[u8]) {
    let _ = PublicKey::from_pem(data).map(|key| key.to_pem());
    let _ = PrivateKey::from_pem(data, None);
    if let Ok(key) = PrivateKey::from_pem(data, Some(seeds::PASS_PHRASE)) {
        let again =
            key.to_pem().map(|pem| PrivateKey::from_pem(pem.as_bytes(), None).map(|key| key.public().fingerprint()));
        assert_eq!(again, Ok(Ok(key.public().fingerprint())));
    }
}
