//! A protected guest that does, step by step, what its owner asks: the programs' and tests' stand-in for a shell inside the
//! guest.
//!
//! The guest runs on its own virtual CPU and its own memory; when it has nothing to do it yields (DIAG 0x44), and the
//! hypervisor returns from running it.

mod booted;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use uv_core::{Exit, GuestAddr};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::{Block, Cc, PgmCode, UvRc, UvRrc};
use uv_s390::hypervisor::kernel::{S390Exit, S390Vcpu};
use uv_s390::sim::{GuestCode, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Step};
use zeroize::Zeroizing;

use crate::vm::Vm;
use uv_programs::Failure;

pub use booted::{Booted, GuestRequest, read_cuid};

/// DIAGNOSE "time slice end": the guest has nothing to do.
const YIELD: u16 = 0x44;

#[derive(Debug, Default)]
struct Shared {
    steps: VecDeque<Step<GuestInsn>>,
    outcomes: Vec<Outcome<InsnResult>>,
}

/// The owner's line into a guest, from before its boot on.
#[derive(Debug, Clone, Default)]
pub struct Console(Arc<Mutex<Shared>>);

/// How a guest's UV call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Called {
    /// Condition code.
    pub cc: Cc,
    /// Response code.
    pub rc: UvRc,
    /// Reason code.
    pub rrc: UvRrc,
}

impl Called {
    /// Whether the call was done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.cc == Cc::Done && self.rc == UvRc::EXECUTED
    }
}

impl Console {
    /// Puts the guest into a VM that has not booted yet.
    ///
    /// # Errors
    /// Status 2 if the VM has no CPU 0.
    pub fn install(vm: &Vm) -> Result<Self, Failure> {
        let console = Self::default();
        vm.set_guest_code(Code(console.clone()))?;
        Ok(console)
    }

    /// Talks to the guest, once its VM has booted.
    ///
    /// # Errors
    /// Status 1 if the VM has no CPU 0.
    pub fn attach(self, vm: &Vm) -> Result<Session, Failure> {
        let cpu = vm.guest().vcpu(0).map_err(Failure::refused)?;
        Ok(Session { cpu, console: self })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Shared) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

struct Code(Console);

impl GuestCode for Code {
    fn start(&mut self, _: Psw) -> Box<dyn Program<GuestInsn, InsnResult>> {
        let console = self.0.clone();
        let mut idle = true;
        Box::new(move |last: Outcome<InsnResult>| {
            console.with(|shared| {
                // What came of a yield is nobody's answer.
                if !idle {
                    shared.outcomes.push(last);
                }
                let step = shared.steps.pop_front();
                idle = step.is_none();
                step.unwrap_or(Step::Call(GuestInsn::Diag { code: YIELD, gr: [0; 5] }))
            })
        })
    }
}

/// A running guest with its console.
#[derive(Debug)]
pub struct Session {
    cpu: S390Vcpu,
    console: Console,
}

impl Session {
    /// Lets the guest do one thing.
    ///
    /// # Errors
    /// Status 1 if the guest cannot run, or leaves for something that this hypervisor does not emulate.
    pub fn step(&mut self, step: Step<GuestInsn>) -> Result<Outcome<InsnResult>, Failure> {
        self.console.with(|shared| shared.steps.push_back(step));
        loop {
            match self.cpu.run_served().map_err(Failure::refused)? {
                Exit::PageMissing { .. } => {}
                Exit::Arch(S390Exit::Yield(_)) => {
                    if let Some(outcome) = self.console.with(|shared| shared.outcomes.pop()) {
                        return Ok(outcome);
                    }
                }
                exit => return Err(Failure::refused(format_args!("the guest left unexpectedly: {exit:?}"))),
            }
        }
    }

    /// Lets the guest store bytes.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn store(&mut self, at: u64, bytes: &[u8]) -> Result<(), Failure> {
        self.step(Step::store(GuestAddr(at), bytes)).map(|_| ())
    }

    /// Lets the guest read bytes.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn load(&mut self, at: u64, len: usize) -> Result<Zeroizing<Vec<u8>>, Failure> {
        match self.step(Step::load(GuestAddr(at), len))? {
            Outcome::Loaded(bytes) => Ok(bytes),
            other => Err(Failure::refused(format_args!("the guest did not load: {other:?}"))),
        }
    }

    /// Lets the guest issue an instruction.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn instruction(&mut self, instruction: GuestInsn) -> Result<InsnResult, Failure> {
        match self.step(Step::Call(instruction))? {
            Outcome::Returned(result) => Ok(result),
            other => Err(Failure::refused(format_args!("the guest did not return: {other:?}"))),
        }
    }

    /// Lets the guest issue a UV call with these bytes, and stores the answer in them. An exception in the guest is `Err` inside.
    ///
    /// # Errors
    /// As [`Session::step`].
    pub fn raw_call(&mut self, block: &mut [u8], problem_state: bool) -> Result<Result<Cc, PgmCode>, Failure> {
        let call = GuestInsn::Uvc { block: block.to_vec() };
        match self.instruction(if problem_state { call.in_problem_state() } else { call })? {
            InsnResult::Data { cc, bytes } if bytes.len() == block.len() => {
                block.copy_from_slice(&bytes);
                Ok(Ok(Cc::try_from(cc).map_err(Failure::refused)?))
            }
            InsnResult::Exception(code) => Ok(Err(code)),
            other => Err(Failure::refused(format_args!("a UV call ended with {other:?}"))),
        }
    }

    /// Lets the guest issue a UV call until it is not busy.
    ///
    /// # Errors
    /// As [`Session::step`]; status 1 for an exception in the guest.
    pub fn call<B: Block>(&mut self, block: &mut B) -> Result<Called, Failure> {
        loop {
            let cc = self.raw_call(block.as_mut_bytes(), false)?;
            let cc = cc.map_err(|code| Failure::refused(format_args!("UV call: exception {code} in the guest")))?;
            if !matches!(cc, Cc::Busy | Cc::Partial) {
                return Ok(Called { cc, rc: block.header().rc(), rrc: block.header().rrc() });
            }
        }
    }
}
