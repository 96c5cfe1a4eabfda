//! What the guests of `/dev/kvm` do: the boot loader's part while they are ordinary, then a script.

use std::collections::VecDeque;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use uv_core::GuestAddr;
use uv_s390::abi::diag308::Diag308;
use uv_s390::abi::diag308::Response;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::{Share, UvCommand};
use uv_s390::guest::stage3a::{BootImage, Loader, LoaderStep};
use uv_s390::hypervisor::kernel;
use uv_s390::sim::{GuestCode, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};
use zerocopy::IntoBytes as _;

use super::sclp;
use crate::log::{Log, Told};

/// What the guest loads at once while it looks for the image: a load begins anew after each page that is missing.
const CHUNK: usize = 16 << 12;
const PAGE: u64 = 0x1000;
/// STORE SUBCHANNEL.
const STSCH: u16 = 0xb234;
/// A short PSW: 64-bit addressing, address 0x10000.
const SHORT_PSW: u64 = 0x0008_0001_8001_0000;
/// Subchannel 0 of the first subchannel set.
const SUBCHANNEL: u32 = 0x1_0000;

/// One word of a script.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    Load,
    Store,
    Share,
    Sclp,
    Print(String),
    Io,
    Reset(u64),
}

/// What a protected guest does on its first CPU; then it waits for interruptions, as its other CPUs do from the start.
///
/// | word | what the guest does |
/// |---|---|
/// | `load` | loads the first page of its image |
/// | `store` | stores to the first page behind its image |
/// | `share` | shares the page after that one, and stores to it |
/// | `sclp` | READ SCP INFO |
/// | `print:TEXT` | writes a line to the console |
/// | `io` | STORE SUBCHANNEL |
/// | `reset:N` | stores a PSW to absolute 0 and issues DIAG 308 subcode N (1 or 3), at the first start only |
///
/// Words are separated by commas.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script(Vec<Word>);

impl Default for Script {
    fn default() -> Self {
        let hello = Word::Print(String::from("a protected guest runs"));
        Self(vec![Word::Load, Word::Store, Word::Share, Word::Sclp, hello, Word::Io])
    }
}

impl FromStr for Script {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        text.split(',').filter(|word| !word.is_empty()).map(word).collect::<Result<_, _>>().map(Self)
    }
}

fn word(text: &str) -> Result<Word, String> {
    let (name, rest) = text.split_once(':').unwrap_or((text, ""));
    Ok(match (name, rest) {
        ("load", "") => Word::Load,
        ("store", "") => Word::Store,
        ("share", "") => Word::Share,
        ("sclp", "") => Word::Sclp,
        ("io", "") => Word::Io,
        ("print", text) => Word::Print(text.into()),
        ("reset", "1") => Word::Reset(1),
        ("reset", "3") => Word::Reset(3),
        _ => return Err(format!("`{text}` is no word of a guest's script")),
    })
}

/// What the CPUs of one VM share.
#[derive(Clone, Debug)]
pub(super) struct GuestScript {
    script: Script,
    guest: Weak<kernel::Vm>,
    log: Arc<Log>,
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    /// End of the image and its first component, once the boot loader has found it.
    image: Option<(u64, u64)>,
    starts: u32,
}

/// What one CPU runs.
#[derive(Debug)]
pub(super) struct CpuScript {
    guest: GuestScript,
    number: u16,
}

impl GuestScript {
    pub(super) fn new(script: Script, guest: Weak<kernel::Vm>, log: Arc<Log>) -> Self {
        Self { script, guest, log, state: Arc::default() }
    }

    pub(super) fn cpu(&self, number: u16) -> CpuScript {
        CpuScript { guest: self.clone(), number }
    }

    fn tell(&self, name: String, code: Option<(u16, u16)>, value: u64) {
        let told = Told { name, codes: code, ..Told::default() };
        self.log.take("cpu", 0, &told, Ok(value));
    }

    /// The steps of the script, with what they are called.
    fn steps(&self) -> VecDeque<(String, Step<GuestInsn>)> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.starts += 1;
        let (end, first) = state.image.unwrap_or((0x10_0000, 0x1_0000));
        let call = |name: &str, insn| (name.to_owned(), Step::Call(insn));
        let mut steps = VecDeque::new();
        for word in &self.script.0 {
            match word {
                Word::Load => steps.push_back((String::from("load"), Step::load(GuestAddr(first), 0x1000))),
                Word::Store => {
                    steps.push_back((String::from("store"), Step::store(GuestAddr(end), b"private to the guest")));
                }
                Word::Share => {
                    let at = end + PAGE;
                    let block = Share::new(UvCommand::SET_SHARED_ACCESS, at).as_bytes().to_vec();
                    steps.push_back(call("SET_SHARED_ACCESS", GuestInsn::Uvc { block }));
                    steps.push_back((String::from("store"), Step::store(GuestAddr(at), b"shared with the host")));
                }
                Word::Sclp => steps.push_back(call("SERVC READ_SCP_INFO", sclp::read_scp_info())),
                Word::Print(text) => {
                    steps.push_back(call("SERVC WRITE_EVENT_MASK", sclp::write_event_mask()));
                    steps.push_back(call("SERVC WRITE_EVENT_DATA", sclp::write_console(text)));
                }
                Word::Io => {
                    let insn = GuestInsn::ChannelIo { opcode: STSCH, subchannel: SUBCHANNEL, operand: Vec::new() };
                    steps.push_back(call("STSCH", insn));
                }
                Word::Reset(subcode) if state.starts == 1 => {
                    // Subcode 1 keeps the storage, and begins at the short PSW in absolute 0.
                    let psw = Step::store(GuestAddr(0), &SHORT_PSW.to_be_bytes());
                    steps.push_back((String::from("store PSW"), psw));
                    let insn = GuestInsn::Diag308 { subcode: *subcode, address: 0, ipib: Vec::new() };
                    steps.push_back(call(&format!("DIAG 308 subcode {subcode}"), insn));
                }
                Word::Reset(_) => {}
            }
        }
        steps
    }
}

impl GuestCode for CpuScript {
    fn start(&mut self, psw: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        let protected = self.guest.guest.upgrade().is_some_and(|guest| guest.is_protected());
        tracing::debug!(cpu = self.number, protected, psw = %format_args!("{psw:?}"), "a program begins");
        match (protected, self.number) {
            (true, 0) => Box::new(protected_program(self.guest.clone(), self.guest.steps())),
            (true, _) => Box::new(protected_program(self.guest.clone(), VecDeque::new())),
            (false, _) => Box::new(Ordinary::new(self.guest.clone())),
        }
    }
}

/// Carries the steps out, then waits for ever with all interruptions open.
fn protected_program(
    guest: GuestScript,
    mut steps: VecDeque<(String, Step<GuestInsn>)>,
) -> impl FnMut(Outcome<InsnResult>) -> Step<GuestInsn> + Send {
    let open = [
        GuestInsn::SetCr { number: 0, value: u64::MAX },
        GuestInsn::SetCr { number: 6, value: u64::MAX },
        GuestInsn::SetMask { mask: u64::MAX },
    ];
    let mut waiting = open.map(Step::Call).into_iter();
    let mut name = String::new();
    let mut asks = false;
    move |last| {
        if !name.is_empty() {
            let (codes, value) = ending(&last);
            guest.tell(core::mem::take(&mut name), codes, value);
        }
        if let Some((next, step)) = steps.pop_front() {
            name = next;
            return step;
        }
        waiting.next().unwrap_or_else(|| {
            asks = !asks;
            Step::Call(if asks { GuestInsn::Wait } else { GuestInsn::Interruptions })
        })
    }
}

/// What an instruction ended with: rc and rrc of a UV call, or the condition code, or what DIAG 308 answered.
fn ending(last: &Outcome<InsnResult>) -> (Option<(u16, u16)>, u64) {
    match last {
        Outcome::Returned(InsnResult::Data { bytes, .. }) if bytes.len() == size_of::<Share>() => {
            let code = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
            (Some((code(4), code(6))), 0)
        }
        Outcome::Returned(InsnResult::Data { cc, .. } | InsnResult::Condition { cc, .. }) => (None, u64::from(*cc)),
        Outcome::Returned(InsnResult::Ipl { response, .. }) => (None, *response),
        _ => (None, 0),
    }
}

/// The boot loader: finds the image that it is part of, sets its IPIB, asks for protection.
struct Ordinary {
    guest: GuestScript,
    found: Vec<u8>,
    loader: Option<Loader>,
    asked: Option<Diag308>,
}

impl Ordinary {
    fn new(guest: GuestScript) -> Self {
        Self { guest, found: Vec::new(), loader: None, asked: None }
    }

    /// What is loaded next of the storage that the image may be in; `None` at its end.
    fn look(&self) -> Option<Step<GuestInsn>> {
        let guest = self.guest.guest.upgrade()?;
        let end = usize::try_from(guest.slots().end().0.checked_mul(PAGE)?).ok()?;
        let length = CHUNK.min(end.checked_sub(self.found.len())?);
        let at = u64::try_from(self.found.len()).ok()?;
        (length > 0).then(|| Step::load(GuestAddr(at), length))
    }

    fn find(&mut self, bytes: &[u8]) {
        self.found.extend_from_slice(bytes);
        // At each doubling: the image is in what is there, or not all of it yet.
        if !self.found.len().is_power_of_two() {
            return;
        }
        let Ok(image) = BootImage::find(self.found.clone()) else { return };
        let ends = image.components().iter().map(|component| component.address.get() + component.length.get());
        let end = ends.max().unwrap_or(0).next_multiple_of(PAGE);
        let first = image.components().first().map_or(0, |component| component.address.get());
        self.guest.state.lock().unwrap_or_else(PoisonError::into_inner).image = Some((end, first));
        self.loader = Some(Loader::new(&image));
    }
}

impl Program<GuestInsn, InsnResult> for Ordinary {
    fn next(&mut self, last: Outcome<InsnResult>) -> Step<GuestInsn> {
        if let Outcome::Loaded(bytes) = &last {
            self.find(bytes);
        }
        let answer = self.asked.take().map(|asked| {
            let (_, response) = ending(&last);
            self.guest.tell(format!("DIAG 308 subcode {}", asked.subcode), None, response);
            Response(response)
        });
        let Some(loader) = &mut self.loader else {
            return self.look().unwrap_or(Step::Halt);
        };
        match loader.next(answer) {
            LoaderStep::Store { at, bytes } => Step::store(at, &bytes),
            LoaderStep::Diag308(call) => {
                let insn = GuestInsn::Diag308 { subcode: call.subcode, address: call.address, ipib: Vec::new() };
                self.asked = Some(call);
                Step::Call(insn)
            }
            LoaderStep::Wait => Step::Halt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_words() {
        assert_eq!(
            "load,print:a: b,reset:3".parse(),
            Ok(Script(vec![Word::Load, Word::Print(String::from("a: b")), Word::Reset(3)]))
        );
        assert_eq!("".parse(), Ok(Script(Vec::new())));
        for bad in ["halt", "reset:2", "load:1"] {
            assert_eq!(bad.parse::<Script>(), Err(format!("`{bad}` is no word of a guest's script")));
        }
    }
}
