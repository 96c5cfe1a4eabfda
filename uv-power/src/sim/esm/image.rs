//! The check of what the guest starts with against its ESM blob (power-pef §13).

use alloc::vec::Vec;

use uv_core::{GuestAddr, PageRange, PageSize};
use zeroize::Zeroizing;

use super::tpm::Channel;
use super::tree::{GuestTree, number};
use crate::abi::numbers::PAGE_BYTES;
use crate::owner::cpio;
use crate::owner::digests::Sha512Digest;
use crate::owner::verify::{self, Measured, Unopened};
use crate::sim::failure::EsmFailure;
use crate::sim::flow::Uv;
use crate::sim::sharing::step::Kind;
use crate::sim::tpm::key::WrappingKey;

/// Brings in RTAS, initrd, blob and kernel and compares them; keeps the files of the blob for the guest. `tpm` is the page for commands of
/// the TPM.
pub(super) async fn check(uv: &Uv, tree: &GuestTree, kernel: GuestAddr, tpm: GuestAddr) -> Result<(), EsmFailure> {
    let rtas = rtas(uv, tree).await?;
    let (initrd, initrd_len) = initrd(tree)?;
    uv.bring(initrd, initrd_len).await?;
    let chosen = tree.root.child("chosen");
    let bootargs = chosen.and_then(|node| node.value("bootargs")).ok_or(EsmFailure::Property("/chosen bootargs"))?;
    let found = locate(uv, tree, initrd, initrd_len).await?;
    let unopened = verify::read(uv.platform.profile, &found.blob)?;
    let key = match &uv.platform.key {
        WrappingKey::Held(machine) => unopened.unwrap(machine)?,
        WrappingKey::Tpm(key) => unwrap(&Channel::new(uv, key, tpm), &unopened).await?,
    };
    let opened = unopened.open(&key)?;
    uv.bring(kernel, opened.kernel_size().into()).await?;
    let measured = Measured {
        rtas,
        kernel: uv.digest(kernel, opened.kernel_size().into()).await?,
        initrd: uv.digest(GuestAddr(initrd.0 + found.skip), initrd_len - found.skip).await?,
        bootargs: Measured::bootargs(bootargs),
    };
    uv.svm.files.lock().store = Some(opened.check(&measured)?);
    Ok(())
}

/// The key of the blob, by the TPM. A refused close counts as a failure, as in the published code.
async fn unwrap(tpm: &Channel<'_>, unopened: &Unopened) -> Result<Zeroizing<Vec<u8>>, EsmFailure> {
    let key = lockbox(tpm, unopened).await;
    let closed = tpm.close().await;
    let key = key?;
    closed?;
    Ok(key)
}

async fn lockbox(tpm: &Channel<'_>, unopened: &Unopened) -> Result<Zeroizing<Vec<u8>>, EsmFailure> {
    let machine = tpm.public().await?;
    let candidates = unopened.candidates(&machine)?;
    let key = tpm.decrypt(&candidates.wrapped).await?;
    Ok(key.ok_or(candidates.none_opens)?)
}

/// Brings RTAS in, shares its pages for the hypervisor's eyes, digests its code.
async fn rtas(uv: &Uv, tree: &GuestTree) -> Result<Sha512Digest, EsmFailure> {
    let base = GuestAddr(tree.number("/rtas", "linux,rtas-base", "/rtas linux,rtas-base")?);
    let size = tree.number("/rtas", "rtas-size", "/rtas rtas-size")?;
    let code = tree.number("/rtas", "slof,rtas-size", "/rtas slof,rtas-size")?;
    let pages = PageRange::new(PageSize::K64.gfn(base), size.div_ceil(PAGE_BYTES));
    uv.bring(base, size.next_multiple_of(PAGE_BYTES)).await?;
    let shared = uv.share(pages, Kind::Pseudo).await;
    shared.map_err(|error| EsmFailure::Share { at: base, why: alloc::format!("{error:?}") })?;
    if let Some(rtas) = &mut *uv.svm.rtas.write() {
        rtas.set_area(base.0, size, code);
    }
    uv.digest(base, code).await
}

fn initrd(tree: &GuestTree) -> Result<(GuestAddr, u64), EsmFailure> {
    let start = tree.number("/chosen", "linux,initrd-start", "/chosen linux,initrd-start")?;
    let end = tree.number("/chosen", "linux,initrd-end", "/chosen linux,initrd-end")?;
    match end.checked_sub(start) {
        Some(len) if len > 0 => Ok((GuestAddr(start), len)),
        _ => Err(EsmFailure::NoInitrd),
    }
}

/// A blob, and how many bytes of the initrd carry it.
struct Found {
    blob: Vec<u8>,
    skip: u64,
}

/// The blob that the device tree points to; if it names none, the one in front of the initrd.
async fn locate(uv: &Uv, tree: &GuestTree, initrd: GuestAddr, initrd_len: u64) -> Result<Found, EsmFailure> {
    let chosen = tree.root.child("chosen");
    let named = |name| chosen.and_then(|node| node.value(name)).and_then(number);
    if let (Some(start), Some(end)) = (named("linux,esm-blob-start"), named("linux,esm-blob-end"))
        && let Some(len) = end.checked_sub(start).filter(|len| *len > 0)
    {
        return Ok(Found { blob: uv.read(GuestAddr(start), len).await?, skip: 0 });
    }
    let bytes = uv.read(initrd, initrd_len).await?;
    let carrier = cpio::scan(&bytes, initrd.0).map_err(EsmFailure::NoBlob)?;
    let blob = bytes.get(carrier.blob).map(Vec::from).unwrap_or_default();
    Ok(Found { blob, skip: (carrier.initrd as u64).min(initrd_len) })
}
