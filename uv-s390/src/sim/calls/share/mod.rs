//! The guest's own sharing calls.

mod remove;
mod set;

pub(in crate::sim) use remove::remove;
pub(in crate::sim) use set::set;

use uv_core::{Gfn, GuestAddr, HostAddr};

use super::super::answer::{Answer, Refusal};
use super::super::conf::Conf;
use super::super::frames::FrameClaim;
use super::super::machine::Machine;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::Share;

/// In place, sharing is a bit: opens or closes the page that a call names. `None` for any other configuration.
fn in_place(machine: &Machine, conf: &Conf, block: &Share, closed: bool) -> Option<Answer> {
    conf.in_place.then(|| {
        let addr = GuestAddr(block.paddr.get());
        conf.gfn(addr).filter(|_| addr.0 & 0xfff == 0).ok_or(UvRc::SHARE_RANGE)?;
        machine.storage.frames.closed().set(HostAddr(addr.0), closed);
        Ok(())
    })
}

/// The page that a sharing call names, with its frame claimed; the host is asked for the page first when it is not secure.
fn page<'m>(machine: &'m Machine, conf: &Conf, block: &Share) -> Result<(Gfn, FrameClaim<'m>), Refusal> {
    let addr = GuestAddr(block.paddr.get());
    let gfn = conf.gfn(addr).filter(|_| addr.0 & 0xfff == 0).ok_or(UvRc::SHARE_RANGE)?;
    let frame = machine.locate(conf, addr, true).map_err(Refusal::Interrupted)?;
    let claim = machine.storage.claim(frame)?;
    if claim.old().page() == Some((conf.id, gfn)) { Ok((gfn, claim)) } else { Err(Refusal::Busy) }
}
