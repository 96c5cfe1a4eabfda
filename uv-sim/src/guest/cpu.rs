//! A virtual CPU that carries out a program.

use alloc::boxed::Box;

use uv_core::Access;
use zeroize::Zeroizing;

use super::program::{Outcome, Program, Step};
use super::view::GuestMemory;
use crate::fault::GuestFault;

/// Bytes one load or store may move: what a script can ask for at once.
const LONGEST: usize = 1 << 24;

/// Why a virtual CPU stopped.
#[derive(Debug, PartialEq, Eq)]
pub enum GuestEvent<C> {
    /// A page cannot be reached. Serve it and advance again: the access is repeated.
    Fault(GuestFault),
    /// The guest issued an instruction that leaves it. Give the result with [`GuestCpu::complete`] (or let the guest issue
    /// it again by advancing without a result).
    Call(C),
    /// The program has ended.
    Halted,
}

/// A virtual CPU and its program.
pub struct GuestCpu<C, R> {
    program: Box<dyn Program<C, R>>,
    /// The step at work: set until it is done.
    current: Option<Step<C>>,
    last: Option<Outcome<R>>,
    done: u64,
}

impl<C, R> core::fmt::Debug for GuestCpu<C, R> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("GuestCpu").field("done", &self.done).finish_non_exhaustive()
    }
}

impl<C: Clone, R> GuestCpu<C, R> {
    /// A virtual CPU at the start of a program.
    #[must_use]
    pub fn new(program: Box<dyn Program<C, R>>) -> Self {
        Self { program, current: None, last: Some(Outcome::Started), done: 0 }
    }

    /// How many steps are done. Stands for the instruction address: it moves on with each step.
    #[must_use]
    pub const fn done(&self) -> u64 {
        self.done
    }

    /// Goes on until something has to be served.
    pub fn advance(&mut self, memory: &dyn GuestMemory) -> GuestEvent<C> {
        loop {
            let program = &mut self.program;
            let last = &mut self.last;
            let step = self.current.get_or_insert_with(|| match last.take() {
                Some(outcome) => program.next(outcome),
                None => Step::Halt,
            });
            let outcome = match step {
                Step::Load { at, len } => {
                    let mut bytes = Zeroizing::new(alloc::vec![0; (*len).min(LONGEST)]);
                    memory.load(*at, &mut bytes, Access::Load).map(|()| Outcome::Loaded(bytes))
                }
                Step::Store { at, bytes } => memory.store(*at, bytes).map(|()| Outcome::Stored),
                Step::Fetch { at } => memory.load(*at, &mut [0; 2], Access::Fetch).map(|()| Outcome::Fetched),
                Step::Call(call) => return GuestEvent::Call(call.clone()),
                Step::Halt => return GuestEvent::Halted,
            };
            match outcome {
                Ok(outcome) => self.finish(outcome),
                Err(GuestFault::Busy(_)) => core::hint::spin_loop(),
                Err(fault) => return GuestEvent::Fault(fault),
            }
        }
    }

    /// Ends the instruction that [`GuestEvent::Call`] reported: the guest goes on after it. Without such an instruction at
    /// work nothing happens.
    pub fn complete(&mut self, result: R) {
        if matches!(self.current, Some(Step::Call(_))) {
            self.finish(Outcome::Returned(result));
        }
    }

    fn finish(&mut self, outcome: Outcome<R>) {
        self.current = None;
        self.last = Some(outcome);
        self.done += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guest::Script;
    use uv_core::{GuestAddr, PageState};

    /// One page of memory that is there or not.
    struct Memory(bool);

    impl GuestMemory for Memory {
        fn load(&self, at: GuestAddr, into: &mut [u8], access: Access) -> Result<(), GuestFault> {
            into.fill(7);
            let gfn = uv_core::Gfn(at.0 >> 12);
            if self.0 { Ok(()) } else { Err(GuestFault::Missing { gfn, state: PageState::Absent, access }) }
        }

        fn store(&self, at: GuestAddr, _: &[u8]) -> Result<(), GuestFault> {
            self.load(at, &mut [], Access::Store)
        }
    }

    #[test]
    fn an_access_is_repeated_until_it_works() {
        let (script, seen) = Script::<u32, u32>::new([
            Step::load(GuestAddr(0x1000), 2),
            Step::Call(5),
            Step::Fetch { at: GuestAddr(0) },
            Step::store(GuestAddr(0x2000), &[1]),
        ]);
        let mut cpu = GuestCpu::new(Box::new(script));
        let fault = |gfn, access| {
            GuestEvent::Fault(GuestFault::Missing { gfn: uv_core::Gfn(gfn), state: PageState::Absent, access })
        };
        cpu.complete(8);
        assert_eq!(cpu.advance(&Memory(false)), fault(1, Access::Load));
        cpu.complete(8);
        assert_eq!(cpu.advance(&Memory(false)), fault(1, Access::Load), "no call is at work");
        assert_eq!(cpu.advance(&Memory(true)), GuestEvent::Call(5));
        assert_eq!(cpu.advance(&Memory(true)), GuestEvent::Call(5), "issued again without a result");
        cpu.complete(9);
        assert_eq!(cpu.advance(&Memory(false)), fault(0, Access::Fetch));
        assert_eq!(cpu.advance(&Memory(true)), GuestEvent::Halted);
        assert_eq!(cpu.advance(&Memory(true)), GuestEvent::Halted);
        assert_eq!(cpu.done(), 4);
        let seen = seen.lock();
        let loaded = Outcome::Loaded(Zeroizing::new(alloc::vec![7, 7]));
        assert_eq!(*seen, [loaded, Outcome::Returned(9), Outcome::Fetched, Outcome::Stored]);
    }
}
