//! RETR_SECRET: gives a retrievable secret to the guest.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the buffer is in guest storage | 0x0102 |
//! | 2 | there is a secret at all | 0x010f |
//! | 3 | there is one with this index | 0x0110 |
//! | 4 | it is of a retrievable type | 0x0111 |
//! | 5 | the buffer is large enough | 0x0109 (UNSURE: another source says 0x0009) |
//!
//! The order of the checks is not known (UNSURE). A plaintext secret comes as it was sent. A key comes wrapped by the machine:
//! opaque bytes, 32 more than the key.

use rand_core::Rng;
use uv_core::GuestAddr;
use zeroize::Zeroizing;

use crate::abi::secret::SecretType;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::RetrieveSecret;
use crate::owner::crypto::gcm;
use crate::owner::secret::GuestSecret;
use crate::sim::answer::Answer;
use crate::sim::machine::Machine;
use crate::sim::view::{GuestView, outside};

/// Where the wrapped key begins, after the initialization vector and zeros.
const KEY: usize = 16;

pub(in crate::sim) fn retrieve(view: &GuestView<'_>, block: &mut RetrieveSecret) -> Answer {
    let (machine, conf) = (view.machine, view.conf);
    let (at, size) = (GuestAddr(block.buf_addr.get()), block.buf_size.get());
    view.check(at, size.into()).map_err(outside(UvRc::RETRIEVE_ACCESS))?;
    let store = conf.secrets.lock();
    if store.secrets.is_empty() {
        return Err(UvRc::RETRIEVE_EMPTY.into());
    }
    let stored = store.secrets.get(usize::from(block.secret_idx.get())).ok_or(UvRc::RETRIEVE_INDEX)?;
    if !stored.secret.kind().is_retrievable() {
        return Err(UvRc::RETRIEVE_TYPE.into());
    }
    if size < stored.entry.length.get() {
        return Err(UvRc::RETRIEVE_SIZE.into());
    }
    let bytes = if stored.secret.kind() == SecretType::PLAINTEXT {
        Zeroizing::new(stored.secret.expose().to_vec())
    } else {
        wrap(machine, &stored.secret)
    };
    drop(store);
    view.write(at, &bytes).map_err(outside(UvRc::RETRIEVE_ACCESS))
}

/// Initialization vector, four zeros, ciphertext, tag; type and id are authenticated.
fn wrap(machine: &Machine, secret: &GuestSecret) -> Zeroizing<alloc::vec::Vec<u8>> {
    let mut iv = [0; gcm::IV_SIZE];
    machine.rng.lock().fill_bytes(&mut iv);
    let mut aad = secret.kind().0.to_be_bytes().to_vec();
    aad.extend_from_slice(&secret.id().0);
    let mut wrapped = Zeroizing::new(alloc::vec![0; KEY]);
    wrapped[..iv.len()].copy_from_slice(&iv);
    wrapped.extend_from_slice(secret.expose());
    let tag = gcm::seal(&machine.wrapping_key, &iv, &aad, &mut wrapped[KEY..]);
    wrapped.extend_from_slice(&tag);
    wrapped
}
