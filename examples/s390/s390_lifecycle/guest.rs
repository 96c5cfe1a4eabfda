//! What the guest does, part by part. A part ends with DIAG 0x44, which the hypervisor sees as a yield.

use std::sync::{Arc, Mutex, PoisonError};

use uv_core::GuestAddr;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::sim::{GuestCode, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
use zerocopy::IntoBytes as _;

/// What the guest says through the bounce buffer.
pub(crate) const WORDS: &[u8; 21] = b"read sector 7, please";
/// What the hypervisor answers.
pub(crate) const ANSWER: &[u8; 20] = b"sector 7: all zeroes";

/// The guest's program, for all its starts.
#[derive(Clone)]
pub(crate) struct LifecycleGuest {
    /// First page behind the image.
    first: u64,
    pages: u64,
    starts: u32,
    seen: Arc<Mutex<Vec<Transcript<InsnResult>>>>,
}

impl LifecycleGuest {
    /// A guest that uses `pages` pages behind its image.
    pub(crate) fn new(image: &BootImage, pages: u64) -> Self {
        let first = u64::try_from(image.file().len()).unwrap_or(u64::MAX).div_ceil(0x1000);
        Self { first, pages, starts: 0, seen: Arc::default() }
    }

    /// The page that the guest shares.
    pub(crate) const fn buffer(&self) -> GuestAddr {
        self.page(self.pages - 1)
    }

    const fn page(&self, index: u64) -> GuestAddr {
        GuestAddr((self.first + index) << 12)
    }

    /// The image's first start: everything up to the reset.
    fn first_start(&self, psw: Psw) -> Vec<Step<GuestInsn>> {
        let mut steps = Vec::new();
        let fill = |index: u64| Step::store(self.page(index), &index.to_be_bytes());
        steps.extend((0..self.pages).map(fill));
        steps.push(yields());
        steps.extend((0..self.pages).map(|index| Step::load(self.page(index), 8)));
        steps.push(yields());
        steps.push(Step::Call(GuestInsn::Uvc {
            block: Share::new(UvCommand::SET_SHARED_ACCESS, self.buffer().0).as_bytes().to_vec(),
        }));
        steps.push(Step::store(self.buffer(), WORDS));
        steps.push(yields());
        steps.push(Step::load(self.buffer(), ANSWER.len()));
        // Where the guest wants to go on after its reset.
        steps.push(Step::store(GuestAddr(0), &psw.short().unwrap_or_default().to_be_bytes()));
        steps.push(diag308(1));
        steps
    }

    /// After the reset: the memory is still there; then the guest wants to be loaded anew.
    fn after_reset(&self) -> Vec<Step<GuestInsn>> {
        vec![Step::load(self.page(0), 8), Step::load(self.buffer(), ANSWER.len()), diag308(3)]
    }

    /// Later boots: the memory must be new.
    fn later_start(&self) -> Vec<Step<GuestInsn>> {
        vec![Step::load(self.page(0), 8), Step::store(self.page(0), b"mine"), yields()]
    }

    /// Whether the guest read what it should in all its parts.
    pub(crate) fn is_content(&self) -> bool {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let loads = |start: usize| -> Vec<Vec<u8>> {
            let Some(transcript) = seen.get(start) else { return Vec::new() };
            let transcript = transcript.lock();
            let bytes = |outcome: &Outcome<InsnResult>| match outcome {
                Outcome::Loaded(bytes) => Some(bytes.to_vec()),
                _ => None,
            };
            transcript.iter().filter_map(bytes).collect()
        };
        let mut first: Vec<Vec<u8>> = (0..self.pages).map(|index| index.to_be_bytes().to_vec()).collect();
        first.push(ANSWER.to_vec());
        loads(0) == first
            && loads(1) == [vec![0; 8], ANSWER.to_vec()]
            && (2..4).all(|start| loads(start) == [vec![0; 8]])
    }
}

impl GuestCode for LifecycleGuest {
    fn start(&mut self, psw: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        let steps = match self.starts {
            0 => self.first_start(psw),
            1 => self.after_reset(),
            _ => self.later_start(),
        };
        self.starts += 1;
        let (script, transcript) = Script::new(steps);
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).push(transcript);
        Box::new(script)
    }
}

fn yields() -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] })
}

fn diag308(subcode: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag308 { subcode, address: 0, ipib: Vec::new() })
}
