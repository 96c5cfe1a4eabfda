//! ADD_SECRET: takes an add-secret request of the guest's owner.
//!
//! | # | check | rc |
//! |---|---|---|
//! | 1 | the operator allows changes of the store (UNSURE: who decides on a real machine is not known) | 0x0101 |
//! | 2 | the store is not locked | 0x0102 |
//! | 3 | the head of the request is in guest storage | 0x0103 |
//! | 4 | version | 0x0104 |
//! | 5 | sizes; slots at all | 0x0105; 0x0106 |
//! | 6 | flags | 0x0107 |
//! | 7 | all of the request is in guest storage | 0x0103 |
//! | 8 | it opens with a host key of this machine | 0x0108 |
//! | 9 | the type is one of this machine's | 0x0109 |
//! | 10 | the length fits the type | 0x010a |
//! | 11 | room for one more of its class | 0x010b |
//! | 12 | made for this image and this guest | 0x010c (UNSURE) |
//! | 13 | the extension secret is the one the first request fixed; with SCF bit 1 the one derived from the CCK | 0x010c (UNSURE) |
//! | 14 | update of the CCK: SCF bit 2 | 0x010c (UNSURE) |
//! | 15 | no dump is in progress | 0x010d |
//!
//! While another request of the guest is at work the answer is cc 2. A null secret and an update of the CCK take no index;
//! their tags count in the store's hash as all others.

use uv_core::GuestAddr;
use zerocopy::{FromZeros, IntoBytes};

use crate::abi::se_header::SecretControlFlags;
use crate::abi::secret::{SecretEntry, SecretType};
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{AddSecret, bit};
use crate::owner::crypto::Cck;
use crate::owner::request::{ConfigUid, ImageIdentity};
use crate::owner::secret::{AddSecretFlags, Asrcb, AsrcbError, AsrcbHead, ExtensionSecret, OpenedAsrcb};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::{Conf, Image};
use crate::sim::profile::{MAX_ASSOCIATION, MAX_RETRIEVABLE};
use crate::sim::secrets::{SecretStore, Stored};
use crate::sim::view::{GuestView, outside};

pub(in crate::sim) fn add(view: &GuestView<'_>, block: &mut AddSecret) -> Answer {
    let (machine, conf) = (view.machine, view.conf);
    // Held to the end: requests come one after the other, and none slips past the lock or the limits.
    let mut store = conf.secrets.try_lock().ok_or(Refusal::Busy)?;
    if store.closed {
        return Err(UvRc::SECRET_NOT_ALLOWED.into());
    }
    if store.locked {
        return Err(UvRc::SECRET_LOCKED.into());
    }
    let at = GuestAddr(block.addr.get());
    let mut head = AsrcbHead::new_zeroed();
    view.read(at, head.as_mut_bytes()).map_err(outside(UvRc::SECRET_ACCESS))?;
    let code = |error: AsrcbError| Refusal::from(UvRc(error.rc()));
    let layout = head.check_layout().map_err(code)?;
    let supported = AddSecretFlags::from_bits_retain(machine.generation.add_secret_flags());
    let flags = head.check_flags(supported).map_err(code)?;
    let mut bytes = alloc::vec![0; layout.size];
    view.read(at, &mut bytes).map_err(outside(UvRc::SECRET_ACCESS))?;
    let request = Asrcb::parse(&bytes).map_err(code)?;
    let kind = request.secret_type();
    let known = kind.0 < 64 && machine.generation.secret_types() & bit(kind.0.into()) != 0;
    let opened = match request.open(machine.host_keys()) {
        Ok((opened, _)) if known => opened,
        Err(AsrcbError::Decrypt(_)) => return Err(UvRc::SECRET_OPEN.into()),
        Ok(_) | Err(_) if !known => return Err(UvRc::SECRET_TYPE.into()),
        Ok((opened, _)) => opened,
        Err(error) => return Err(code(error)),
    };
    let limit = if kind.is_retrievable() { MAX_RETRIEVABLE } else { MAX_ASSOCIATION };
    if kind.is_listed() && super::count_like(&store, kind) >= usize::from(limit) {
        return Err(UvRc::SECRET_FULL.into());
    }
    let image = conf.image.read().clone().ok_or(UvRc::STATE)?;
    check_owner(conf, &store, &image, request.head(), &opened)?;
    if conf.life.lock().dumping {
        return Err(UvRc::SECRET_DUMPING.into());
    }
    keep(&mut store, flags, opened, *request.tag());
    Ok(())
}

/// Checks 12 to 14.
fn check_owner(conf: &Conf, store: &SecretStore, image: &Image, head: &AsrcbHead, opened: &OpenedAsrcb) -> Answer {
    let identity = ImageIdentity::from_header(image.header.as_bytes()).map_err(|_| UvRc::STATE)?;
    let scf = image.opened.confidential.scf();
    let cck = store.cck.clone().unwrap_or_else(|| Cck::new(image.opened.confidential.cck));
    let derived = ExtensionSecret::derive(&cck, &identity.tag);
    let fixed = store.extension.as_ref().is_none_or(|extension| *extension == opened.extension);
    let update = opened.secret.kind() != SecretType::UPDATE_CCK || scf.contains(SecretControlFlags::CCK_UPDATE);
    let ours = head.is_for_image(&identity) && head.is_for_guest(&ConfigUid(conf.uid));
    // With SCF bit 1 the derived value is the fixed one, and follows a new CCK.
    let bound =
        if scf.contains(SecretControlFlags::CCK_EXTENSION_SECRET) { opened.extension == derived } else { fixed };
    if ours && bound && update { Ok(()) } else { Err(UvRc::SECRET_UNABLE.into()) }
}

fn keep(store: &mut SecretStore, flags: AddSecretFlags, opened: OpenedAsrcb, tag: [u8; 16]) {
    store.tags.push(tag);
    store.extension.get_or_insert(opened.extension);
    store.no_dump |= flags.contains(AddSecretFlags::DISABLE_DUMP);
    let secret = opened.secret;
    if secret.kind() == SecretType::UPDATE_CCK {
        store.cck = Cck::from_slice(secret.expose()).ok();
    } else if secret.kind().is_listed() {
        let index = u16::try_from(store.secrets.len()).expect("the classes together hold fewer than 65536 secrets");
        let len = u32::try_from(super::retrieved_len(&secret)).expect("a secret has at most 8224 bytes");
        let entry = SecretEntry::new(index, secret.kind(), len, secret.id());
        store.secrets.push(Stored { entry, secret });
    }
    tracing::debug!(requests = store.tags.len(), "secret added");
}
