//! The guest's program: it asks to become secure, then reads the files of its blob.

use std::sync::{Arc, Mutex};

use uv_core::GuestAddr;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::{Msr, Regs};
use uv_power::guest::EsmRequest;
use uv_power::sim::{GuestInsn, GuestProgram, GuestStep};
use uv_sim::guest::{Outcome, Step};
use zeroize::Zeroizing;

/// Bytes of a name, and of data, in the registers of one call.
const CHUNK: usize = 64;
/// No file is longer for an ultravisor.
const FILE_MAX: usize = 1 << 16;

/// A file that the guest asked for: its name, and its content unless it could not be read.
pub(crate) type GuestFiles = Vec<(String, Option<Zeroizing<Vec<u8>>>)>;

/// What the guest saw: its own screen.
#[derive(Default)]
pub(crate) struct Seen {
    /// The registers after `UV_ESM`.
    pub(crate) after_esm: Option<Box<Regs>>,
    pub(crate) files: GuestFiles,
    /// The guest's own mark, as it read it back.
    pub(crate) read_back: Option<Zeroizing<Vec<u8>>>,
}

impl Seen {
    /// The registers after `UV_ESM`, if the guest runs in secure mode.
    pub(crate) fn secure(&self) -> Option<&Regs> {
        self.after_esm.as_deref().filter(|regs| regs.msr().contains(Msr::S))
    }
}

/// The guest writes this to its memory once it is secure.
pub(crate) const MARK: &[u8] = b"only the guest may read this line";

struct Guest {
    request: EsmRequest,
    /// A page of its own.
    work: GuestAddr,
    /// Names not asked for yet, last one first.
    names: Vec<String>,
    /// The file at work.
    reading: Option<(String, Zeroizing<Vec<u8>>)>,
    marked: bool,
    seen: Arc<Mutex<Seen>>,
}

/// The program of the boot CPU and what it sees.
pub(crate) fn program(
    request: EsmRequest,
    work: GuestAddr,
    mut names: Vec<String>,
) -> (GuestProgram, Arc<Mutex<Seen>>) {
    let seen = Arc::default();
    names.reverse();
    let mut guest = Guest { request, work, names, reading: None, marked: false, seen: Arc::clone(&seen) };
    (Box::new(move |last| guest.next(last)), seen)
}

impl Guest {
    fn next(&mut self, last: Outcome<Box<Regs>>) -> GuestStep {
        match last {
            Outcome::Started => Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &self.request.arguments())),
            Outcome::Returned(regs) => self.returned(regs),
            Outcome::Stored => Step::load(self.work, MARK.len()),
            Outcome::Loaded(bytes) => {
                self.with_seen(|seen| seen.read_back = Some(bytes));
                Step::Halt
            }
            Outcome::Fetched => Step::Halt,
        }
    }

    fn with_seen(&self, act: impl FnOnce(&mut Seen)) {
        if let Ok(mut seen) = self.seen.lock() {
            act(&mut seen);
        }
    }

    fn returned(&mut self, regs: Box<Regs>) -> GuestStep {
        let secure = regs.msr().contains(Msr::S);
        match self.reading.take() {
            None => self.with_seen(|seen| seen.after_esm = Some(regs)),
            Some((name, mut bytes)) => match usize::try_from(regs.gpr[3].cast_signed()) {
                Ok(got) if got <= CHUNK && bytes.len() < FILE_MAX => {
                    let data =
                        Zeroizing::new(regs.gpr[4..12].iter().flat_map(|r| r.to_be_bytes()).collect::<Vec<u8>>());
                    bytes.extend_from_slice(&data[..got]);
                    if got == CHUNK {
                        return self.read(name, bytes);
                    }
                    self.with_seen(|seen| seen.files.push((name, Some(bytes))));
                }
                _ => self.with_seen(|seen| seen.files.push((name, None))),
            },
        }
        if !secure {
            return Step::Halt;
        }
        while let Some(name) = self.names.pop() {
            if name.len() <= CHUNK {
                return self.read(name, Zeroizing::default());
            }
            // A name that the registers cannot hold.
            self.with_seen(|seen| seen.files.push((name, None)));
        }
        if core::mem::replace(&mut self.marked, true) { Step::Halt } else { Step::store(self.work, MARK) }
    }

    /// Asks for the next bytes of a file.
    fn read(&mut self, name: String, bytes: Zeroizing<Vec<u8>>) -> GuestStep {
        let mut padded = [0; CHUNK];
        padded[..name.len()].copy_from_slice(name.as_bytes());
        let words = padded.chunks_exact(8).map(|word| word.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
        let args: Vec<u64> = core::iter::once(bytes.len() as u64).chain(words).collect();
        self.reading = Some((name, bytes));
        Step::Call(GuestInsn::ultracall(UltracallNumber::UV_ESMB_GET_FILE, &args))
    }
}
