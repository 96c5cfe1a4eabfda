//! IBM Z.

pub mod calls;
mod images;
mod machine;
mod model;
mod table;

use std::collections::BTreeMap;

use uv_s390::sim::Generation;

use crate::{Machine, Seed};
use calls::{Answer, Call, Op, VMS};
use machine::Driver;
pub use model::{Content, Model};

/// The machine and its model.
pub struct Z {
    model: Model,
    driver: Driver,
    /// The bytes of each export, as they were first seen.
    exports: BTreeMap<u32, Vec<u8>>,
}

impl core::fmt::Debug for Z {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Z").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Z {
    /// Whether bytes are this content. A new export is remembered: it must be unlike all others.
    fn is(&mut self, bytes: &[u8], content: Content) -> bool {
        match content {
            Content::Fill(byte) => bytes.iter().all(|found| *found == byte),
            Content::Component(n) => {
                let from = usize::from(n) * 0x1000;
                bytes == &images::sample().stored[from..from + 0x1000]
            }
            Content::Cipher(export) => match self.exports.get(&export) {
                Some(known) => known == bytes,
                None => {
                    let fresh = !self.exports.values().any(|known| known == bytes);
                    let plain = bytes.windows(16).any(|block| block.iter().all(|byte| *byte == block[0]));
                    self.exports.insert(export, bytes.to_vec());
                    fresh && !plain
                }
            },
            Content::Noise => true,
        }
    }

    /// What the hypervisor and the last load see must be what the model says.
    fn compare(&mut self, call: &Call) -> Option<String> {
        for frame in Model::frames() {
            match (self.driver.read(frame), self.model.seen(frame)) {
                (None, None) => {}
                (Some(bytes), Some(content)) => {
                    if !self.is(&bytes, content) {
                        return Some(format!("frame {frame:?} is not {content:?} but {:?}...", &bytes[..8]));
                    }
                }
                (found, _) => return Some(format!("frame {frame:?} is open: {}", found.is_some())),
            }
        }
        for vm in 0..VMS {
            if let Some(secure) = self.model.secure(vm)
                && self.driver.secure(vm) != Some(secure)
            {
                return Some(format!("VM {vm} has {:?} secure pages, not {secure}", self.driver.secure(vm)));
            }
        }
        if let (Call::Enter { vm, op: Op::Load(_), .. }, Some(bytes)) = (call, self.driver.loaded.take())
            && let Some(page) = self.model.last_load()
            && let Some(content) = self.model.guest_content(*vm, page)
            && !self.is(&bytes, content)
        {
            return Some(format!("the guest's page {page} is not {content:?} but {:?}...", &bytes[..8]));
        }
        None
    }
}

impl Machine for Z {
    type Call = Call;
    type Answer = Answer;

    const VARIANTS: u8 = 3;

    fn new(variant: u8) -> Self {
        let (number, generation) =
            [(15, Generation::Z15), (16, Generation::Z16), (17, Generation::Z17)][usize::from(variant % 3)];
        Self { model: Model::new(number), driver: Driver::new(generation), exports: BTreeMap::new() }
    }

    /// Half of the calls lead a VM on, so that deep states are reached.
    fn choose(&self, seed: &mut Seed) -> Call {
        let on = if seed.one_in(2) { self.model.leads_on(seed.below(VMS)) } else { None };
        match on {
            Some(call) if seed.one_in(4) => calls::spoil(call, seed),
            Some(call) => call,
            None => calls::random(seed),
        }
    }

    fn call(&mut self, call: &Call) -> (Answer, Answer, Option<String>) {
        let model = self.model.call(call);
        let machine = self.driver.call(call);
        let other = if machine == model { self.compare(call) } else { None };
        (machine, model, other)
    }

    fn pair(call: &Call, answer: &Answer) -> Option<(String, String)> {
        table::pair(call, answer)
    }

    fn table() -> Vec<(String, String)> {
        table::table()
    }
}
