//! Every backend by name.

use uv_conformance::Candidate;
use uv_core::PageSize;
use uv_power::abi::Profile;
use uv_s390::sim::Generation;

use crate::engine::{Bare, EngineKind};
use crate::memory::MemoryWrap;
use crate::power::{Power, PowerKind};
use crate::s390::{UvcWrap, Z, ZKind};
use crate::wrapped::{Disturbed, Recorded};
use crate::wrong;

/// The engines: their names and what they are made of.
fn engines() -> [(&'static str, EngineKind); 3] {
    let kind = |page_size, sealing| EngineKind { page_size, sealing, memory: MemoryWrap::Plain };
    [
        ("engine-4k", kind(PageSize::K4, true)),
        ("engine-64k", kind(PageSize::K64, true)),
        ("engine-4k-no-sealing", kind(PageSize::K4, false)),
    ]
}

/// The generations of IBM Z.
fn generations() -> [(&'static str, ZKind); 3] {
    let kind = |generation| ZKind { generation, memory: MemoryWrap::Plain, uvc: UvcWrap::Plain };
    [("s390-z15", kind(Generation::Z15)), ("s390-z16", kind(Generation::Z16)), ("s390-z17", kind(Generation::Z17))]
}

/// The ultravisors of POWER.
fn profiles() -> [(&'static str, PowerKind); 2] {
    let kind = |profile| PowerKind { profile, memory: MemoryWrap::Plain };
    [("power-documented", kind(Profile::Documented)), ("power-firmware", kind(Profile::Firmware))]
}

/// Every machine as it is, and the toy that the wrong ones are made from.
#[must_use]
pub fn plain() -> Vec<Candidate> {
    let engines = engines().map(|(name, kind)| Candidate::new(name, move |setup| Bare::new(kind, setup)));
    let z = generations().map(|(name, kind)| Candidate::new(name, move |setup| Z::new(kind, setup)));
    let power = profiles().map(|(name, kind)| Candidate::new(name, move |setup| Power::new(kind, setup)));
    engines.into_iter().chain(z).chain(power).chain([wrong::right()]).collect()
}

/// The machine of a name, as it is.
///
/// # Panics
/// When there is none.
#[must_use]
pub fn named(name: &str) -> Candidate {
    let found = plain().into_iter().find(|candidate| candidate.name() == name);
    found.unwrap_or_else(|| panic!("there is no backend {name}"))
}

/// A backend's name with that of its wrapper.
fn behind(name: &str, wrapper: &str) -> String {
    format!("{name}+{wrapper}")
}

const MEMORY_WRAPS: [(&str, MemoryWrap); 2] =
    [("traced-memory", MemoryWrap::Traced), ("stalled-memory", MemoryWrap::Stalled)];
const UVC_WRAPS: [(&str, UvcWrap); 3] =
    [("traced-uvc", UvcWrap::Traced), ("recorded-uvc", UvcWrap::Recorded), ("disturbed-uvc", UvcWrap::Disturbed)];

/// Every machine behind every wrapper.
#[must_use]
pub fn wrapped() -> Vec<Candidate> {
    let mut all = Vec::new();
    for (name, kind) in engines() {
        all.push(Candidate::new(behind(name, "disturbed"), move |s| Disturbed::new(Bare::new(kind, s), s.seed)));
        all.push(Candidate::new(behind(name, "recorded"), move |s| Recorded::new(Bare::new(kind, s))));
        all.extend(MEMORY_WRAPS.map(|(wrapper, memory)| {
            Candidate::new(behind(name, wrapper), move |s| Bare::new(EngineKind { memory, ..kind }, s))
        }));
    }
    for (name, kind) in generations() {
        all.push(Candidate::new(behind(name, "disturbed"), move |s| Disturbed::new(Z::new(kind, s), s.seed)));
        all.push(Candidate::new(behind(name, "recorded"), move |s| Recorded::new(Z::new(kind, s))));
        all.extend(MEMORY_WRAPS.map(|(wrapper, memory)| {
            Candidate::new(behind(name, wrapper), move |s| Z::new(ZKind { memory, ..kind }, s))
        }));
        all.extend(
            UVC_WRAPS
                .map(|(wrapper, uvc)| Candidate::new(behind(name, wrapper), move |s| Z::new(ZKind { uvc, ..kind }, s))),
        );
    }
    for (name, kind) in profiles() {
        all.push(Candidate::new(behind(name, "disturbed"), move |s| Disturbed::new(Power::new(kind, s), s.seed)));
        all.push(Candidate::new(behind(name, "recorded"), move |s| Recorded::new(Power::new(kind, s))));
        all.extend(MEMORY_WRAPS.map(|(wrapper, memory)| {
            Candidate::new(behind(name, wrapper), move |s| Power::new(PowerKind { memory, ..kind }, s))
        }));
    }
    all
}
