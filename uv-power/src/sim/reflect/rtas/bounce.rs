//! An RTAS call through bounce memory (power-pef §9.1): the hypervisor never sees the guest's own block.
//!
//! A block is {u32 token, u32 nargs, u32 nret, u32 args[16]}, big endian; what comes back follows the arguments.

use alloc::vec::Vec;

use uv_core::GuestAddr;

use super::buffers::{self, BLOCK, Transfer};
use crate::abi::codes::UvCode;
use crate::abi::numbers::HvCall;
use crate::sim::flow::{FlowEnd, Uv};
use crate::sim::sharing::buffer::Lost;
use crate::sim::svm::cookies::{Holder, Start};
use crate::sim::svm::rtas::Rtas;
use crate::sim::svm::tokens::Service;

/// Words of arguments and results.
const WORDS: u32 = 16;
/// Blocks there are.
const BLOCKS: u32 = 64;
/// Bytes of one slot of the stop-self page: a block with one word.
const STOP_SELF_SLOT: u64 = 16;
const STOP_SELF_WORDS: u32 = 1;

/// Why a call was not made.
pub(super) enum Failed {
    /// The guest's block is wrong.
    Block,
    /// All bounce blocks are in use.
    NoBounce,
    /// The VM cannot go on.
    Lost(&'static str),
}

impl From<Lost> for Failed {
    fn from(Lost(why): Lost) -> Self {
        Self::Lost(why)
    }
}

/// Makes the call. R3 of the guest stays as it is: the status of the service is in the block.
///
/// A block with more than 16 words, or one of stop-self with more than its slot holds, is refused with `U_PARAMETER` in R3:
/// the published code does not bound it.
pub(super) async fn call(uv: Uv, block: GuestAddr, vcpu: u32) -> FlowEnd {
    match bounced(&uv, block, vcpu).await {
        Ok(()) => FlowEnd::Keep,
        Err(Failed::Block) => FlowEnd::Result(UvCode::U_PARAMETER),
        Err(Failed::NoBounce) => FlowEnd::Result(UvCode::U_BUSY),
        Err(Failed::Lost(why)) => FlowEnd::Kill(why),
    }
}

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|word| word.try_into().map_or(0, u32::from_be_bytes)).collect()
}

fn bytes(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

async fn bounced(uv: &Uv, block: GuestAddr, vcpu: u32) -> Result<(), Failed> {
    let header = words(&uv.fetch(block, 12).await.map_err(|_| Failed::Block)?);
    let &[token, nargs, nret] = header.as_slice() else { return Err(Failed::Block) };
    let service = with_rtas(uv, |rtas| rtas.tokens.service(token))?;
    let most = if service == Some(Service::StopSelf) { STOP_SELF_WORDS } else { WORDS };
    if nargs.checked_add(nret).is_none_or(|sum| sum > most) {
        return Err(Failed::Block);
    }
    let arguments = GuestAddr(block.0.saturating_add(12));
    let mut args = words(&uv.fetch(arguments, u64::from(nargs) * 4).await.map_err(|_| Failed::Block)?);
    let (at, taken) = if service == Some(Service::StopSelf) {
        (GuestAddr(with_rtas(uv, |rtas| rtas.stop_self.0)? + u64::from(vcpu) * STOP_SELF_SLOT), None)
    } else {
        let (at, bit) = take(uv)?;
        (at, Some(bit))
    };
    let done = exchange(uv, service, &header, &mut args, (at, block)).await;
    release(uv, taken);
    done
}

/// Fills the bounce block, calls, copies back.
async fn exchange(
    uv: &Uv,
    service: Option<Service>,
    header: &[u32],
    args: &mut [u32],
    (at, block): (GuestAddr, GuestAddr),
) -> Result<(), Failed> {
    let &[_, nargs, nret] = header else { return Err(Failed::Block) };
    let original = args.to_vec();
    let buffer = match service.map(|service| buffers::transfer(service, args)) {
        Some(Ok(Some(transfer))) => Some((transfer, take(uv)?)),
        Some(Err(why)) => {
            refused(service, why);
            None
        }
        _ => None,
    };
    let result =
        with_buffer(uv, service, header, args, &original, at, buffer.as_ref().map(|(t, (b, _))| (t, *b))).await;
    release(uv, buffer.map(|(_, (_, bit))| bit));
    let results = result?;
    if nret > 0 {
        let back = GuestAddr(block.0.saturating_add(12 + u64::from(nargs) * 4));
        uv.write(back, &bytes(&results)).await.map_err(|_| Failed::Block)?;
    }
    Ok(())
}

/// A handler that refuses is only noted: the call is made with the guest's own arguments.
fn refused(service: Option<Service>, why: &'static str) {
    tracing::warn!(?service, why, "RTAS handler refuses; the call is made nevertheless");
}

async fn with_buffer(
    uv: &Uv,
    service: Option<Service>,
    header: &[u32],
    args: &mut [u32],
    original: &[u32],
    at: GuestAddr,
    buffer: Option<(&Transfer, GuestAddr)>,
) -> Result<Vec<u32>, Failed> {
    let &[_, nargs, nret] = header else { return Err(Failed::Block) };
    if let Some((transfer, bounce)) = buffer {
        match buffers::content_in(uv, transfer).await {
            Ok(content) => {
                uv.put(bounce, &content).await?;
                if let Some(argument) = args.get_mut(transfer.argument) {
                    *argument = u32::try_from(bounce.0).map_err(|_| Failed::Lost("bounce page above 4 GiB"))?;
                }
            }
            Err(why) => refused(service, why),
        }
    }
    let mut cookie = None;
    if let (Some(Service::StartCpu), [cpu, address, r3, ..]) = (service, &mut *args) {
        let start = Start { cpu: (*cpu).into(), address: (*address).into(), r3: (*r3).into() };
        let issued = uv.svm.cookies.lock().issue(Holder::Start(start));
        *r3 = issued;
        cookie = Some(issued);
    }
    uv.put(at, &bytes(&[header, args].concat())).await?;
    uv.hypercall(HvCall::H_RTAS, &[at.0]).await;
    let back = GuestAddr(at.0 + 12 + u64::from(nargs) * 4);
    let results = words(&uv.get(back, u64::from(nret) * 4).await?);
    let status = results.first().map(|status| status.cast_signed());
    if let (Some(cookie), Some(status)) = (cookie, status)
        && status != 0
    {
        uv.svm.cookies.lock().take(cookie.into());
    }
    if let (Some(Service::NmiRegister), Some(0), Some(address)) = (service, status, original.get(1))
        && let Some(rtas) = &mut *uv.svm.rtas.write()
    {
        rtas.machine_check = Some((*address).into());
    }
    if let Some((transfer, bounce)) = buffer {
        let head = uv.get(bounce, 2).await?;
        if let Some(len) = buffers::length_out(transfer, &results, &head) {
            let content = uv.get(bounce, len).await?;
            uv.write(transfer.guest, &content).await.map_err(|_| Failed::Block)?;
        }
    }
    Ok(results)
}

fn with_rtas<T>(uv: &Uv, read: impl FnOnce(&Rtas) -> T) -> Result<T, Failed> {
    uv.svm.rtas.read().as_ref().map(read).ok_or(Failed::Lost("no RTAS"))
}

/// Takes a free bounce block.
fn take(uv: &Uv) -> Result<(GuestAddr, u32), Failed> {
    let mut rtas = uv.svm.rtas.write();
    let rtas = rtas.as_mut().ok_or(Failed::Lost("no RTAS"))?;
    let bit = (!rtas.in_use).trailing_zeros();
    if bit >= BLOCKS {
        return Err(Failed::NoBounce);
    }
    rtas.in_use |= 1 << bit;
    Ok((GuestAddr(rtas.bounce.0 + u64::from(bit) * BLOCK), bit))
}

fn release(uv: &Uv, bit: Option<u32>) {
    if let (Some(bit), Some(rtas)) = (bit, &mut *uv.svm.rtas.write()) {
        rtas.in_use &= !(1 << bit);
    }
}
