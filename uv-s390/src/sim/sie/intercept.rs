//! What the host sees of an exit.

use alloc::vec::Vec;

use crate::abi::psw::Psw;
use crate::abi::sie::{InterceptionCode, StateDescription, Validity};
use crate::abi::uvc::ProgramInterruption;
use crate::sim::guest::InsnResult;

/// An interception as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Exit {
    pub(crate) code: InterceptionCode,
    pub(crate) ipa: u16,
    pub(crate) ipb: u32,
    /// The general registers that the instruction needs; all others are 0.
    pub(crate) gr: [u64; 16],
    /// The guest PSW as far as the host may know it; the PSW is left as it was when there is none.
    pub(crate) psw: Option<Psw>,
    /// Code of an external interruption.
    pub(crate) ext_code: Option<u16>,
}

impl Exit {
    /// An interception without an instruction.
    pub(crate) const fn plain(code: InterceptionCode) -> Self {
        Self { code, ipa: 0, ipb: 0, gr: [0; 16], psw: None, ext_code: None }
    }

    /// A validity interception.
    pub(crate) fn validity(validity: Validity) -> Self {
        Self { ipb: u32::from(validity.0) << 16, ..Self::plain(InterceptionCode::VALIDITY) }
    }

    /// A loop through the external-new PSW, with that PSW.
    pub(crate) fn external(code: u16, new: Psw) -> Self {
        Self { ext_code: Some(code), ..Self::plain(InterceptionCode::EXTERNAL).with_psw(filtered(new)) }
    }

    /// An instruction.
    pub(crate) fn instruction(code: InterceptionCode, shape: Shape) -> Self {
        let mut gr = [0; 16];
        for (number, value) in shape.gr {
            if let Some(slot) = gr.get_mut(number) {
                *slot = value;
            }
        }
        Self { ipa: shape.ipa, ipb: shape.ipb, gr, ..Self::plain(code) }
    }

    pub(crate) fn with_psw(self, psw: Psw) -> Self {
        Self { psw: Some(psw), ..self }
    }

    /// Stores code and instruction text: all that an ordinary guest's exit stores, whose registers are the host's anyway.
    pub(crate) fn store_code(&self, sd: &mut StateDescription) {
        sd.icptcode = self.code.0;
        sd.icptstatus = 0;
        sd.ipa = self.ipa.into();
        sd.ipb = self.ipb.into();
    }

    /// Stores the interception.
    pub(crate) fn store(self, sd: &mut StateDescription) {
        self.store_code(sd);
        if self.code == InterceptionCode::VALIDITY {
            return;
        }
        sd.save_area = self.gr.map(Into::into);
        if let Some(psw) = self.psw {
            sd.psw = psw;
        }
        if let Some(code) = self.ext_code {
            sd.ext_code = code.into();
        }
    }
}

/// How an entry ends: an interception to store, or a program interruption for the host.
pub(crate) type EntryResult = Result<Exit, ProgramInterruption>;

/// What became of an instruction.
pub(super) enum Issue {
    /// Done, without the host.
    Done(InsnResult),
    /// The guest exits.
    Exit(Exit),
    /// The guest waits.
    Wait,
    /// The host takes a program interruption; the guest issues the instruction again.
    Interrupted(ProgramInterruption),
}

/// An instruction in normalized form: text and registers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) ipa: u16,
    pub(crate) ipb: u32,
    pub(crate) gr: Vec<(usize, u64)>,
}

/// The masks for interruptions, the wait bit and the condition code: what the host may know of a guest PSW.
pub(crate) const PSW_VISIBLE: u64 = 0x0306_3000_0000_0000;

/// The part of a PSW that the host may know.
pub(crate) fn filtered(psw: Psw) -> Psw {
    Psw::new(psw.mask.get() & PSW_VISIBLE, 0)
}
