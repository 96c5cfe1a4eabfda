//! VERIFY_IMG: the unpacked image is the one that the header describes.
//!
//! | # | check | rc, rrc |
//! |---|---|---|
//! | 1 | the handle is a whole configuration's | 0x0020; 0x01f0 (UNSURE) |
//! | 2 | a header was taken, the image is not verified yet | 0x01f0 (UNSURE) |
//! | 3 | nobody is unpacking | cc 2 |
//! | 4 | digest of the addresses | 0x0102, 0x001a |
//! | 5 | digest of the pages | 0x0102, 0x001b |
//! | 6 | digest of the tweaks | 0x0102, 0x001c |
//! | 7 | number of pages | 0x0102, 0x001d |
//!
//! A page that the host has destroyed since it was unpacked counts as a difference of the pages, after all others (UNSURE:
//! its next import would be zero, and the guest would start with a hole in what was verified). In which order a real machine compares is not known (UNSURE). After a difference nothing leads on but the end of the
//! configuration.

use core::sync::atomic::Ordering;

use crate::abi::uvc::UvRc;
use crate::abi::uvcb::NoData;
use crate::owner::image::MeasurementError;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::conf::Phase;
use crate::sim::machine::Machine;

pub(in crate::sim) fn verify(machine: &Machine, block: &mut NoData) -> Answer {
    let conf = machine.conf(block.handle.get())?;
    let _open = conf.open_whole()?;
    let turn = conf.measure.turn().ok_or(Refusal::Busy)?;
    // The image before the configuration's life: the order in which every call locks.
    let image = conf.image.read().clone().ok_or(UvRc::STATE)?;
    let mut life = conf.life.lock();
    if life.phase != Phase::Unpacking {
        return Err(UvRc::STATE.into());
    }
    match turn.measured().check(image.header.fixed()) {
        Ok(()) if conf.lost.load(Ordering::Acquire) => {
            life.phase = Phase::Failed;
            Err(MeasurementError::Pages.uv_code().into())
        }
        Ok(()) => {
            life.phase = Phase::Verified;
            tracing::debug!(handle = conf.handle, "image verified");
            Ok(())
        }
        Err(error) => {
            life.phase = Phase::Failed;
            Err(error.uv_code().into())
        }
    }
}
