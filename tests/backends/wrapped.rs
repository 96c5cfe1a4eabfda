//! Any backend behind the wrappers of `uv_sim::wrap`: a generic hypervisor sees no difference but calls that are busy.

use uv_conformance::{Ability, Backend, GuestOp, Host, Saw};
use uv_core::{Gfn, Vcpu};
use uv_sim::wrap::{EventLog, FlakyError, FlakyVcpu, FlakyVm, TracedVcpu, TracedVm};

/// Of 256 calls this many are refused.
const CHANCE: u8 = 64;

/// A backend whose calls are refused at random for a moment.
pub(crate) struct Disturbed<B: Backend> {
    inner: B,
    vms: [FlakyVm<B::Vm>; 2],
    seed: u64,
}

/// A backend whose calls are recorded.
pub(crate) struct Recorded<B: Backend> {
    inner: B,
    vms: [TracedVm<B::Vm>; 2],
    log: EventLog,
}

macro_rules! as_inside {
    () => {
        const SHARING_KEEPS_CONTENT: bool = B::SHARING_KEEPS_CONTENT;
        const ABILITIES: &'static [Ability] = B::ABILITIES;

        fn vm(&self, index: usize) -> &Self::Vm {
            &self.vms[index]
        }

        fn refusals(&self) -> Vec<&'static str> {
            self.inner.refusals()
        }

        fn test_pages(&self) -> Gfn {
            self.inner.test_pages()
        }

        fn host(&self) -> Host<'_> {
            self.inner.host()
        }

        fn tell(&self, index: usize, ops: Vec<GuestOp>) {
            self.inner.tell(index, ops);
        }

        fn saw(&self, index: usize) -> Vec<Saw> {
            self.inner.saw(index)
        }
    };
}

impl<B: Backend<Vm: Clone>> Backend for Disturbed<B> {
    type Error = FlakyError<B::Error>;
    type Vm = FlakyVm<B::Vm>;
    type Cpu = FlakyVcpu<B::Cpu>;

    as_inside!();

    fn new(seed: u64) -> Self {
        let inner = B::new(seed);
        let vms = [0, 1].map(|index| FlakyVm::new(inner.vm(index).clone(), seed + index as u64, CHANCE));
        Self { inner, vms, seed }
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> Self::Cpu {
        FlakyVcpu::new(self.inner.boot(index, refusal), self.seed ^ 0x55, CHANCE)
    }

    fn serve(&self, index: usize, cpu: &mut Self::Cpu, exit: <B::Cpu as Vcpu>::Arch) -> Result<(), Self::Error> {
        self.inner.serve(index, cpu.inner_mut(), exit).map_err(FlakyError::Inner)
    }
}

impl<B: Backend<Vm: Clone>> Backend for Recorded<B> {
    type Error = B::Error;
    type Vm = TracedVm<B::Vm>;
    type Cpu = TracedVcpu<B::Cpu>;

    as_inside!();

    fn new(seed: u64) -> Self {
        let (inner, log) = (B::new(seed), EventLog::default());
        let vms = [0, 1].map(|index| TracedVm::new(inner.vm(index).clone(), log.clone()));
        Self { inner, vms, log }
    }

    fn boot(&self, index: usize, refusal: Option<&str>) -> Self::Cpu {
        TracedVcpu::new(self.inner.boot(index, refusal), &self.log)
    }

    fn serve(&self, index: usize, cpu: &mut Self::Cpu, exit: <B::Cpu as Vcpu>::Arch) -> Result<(), Self::Error> {
        self.inner.serve(index, cpu.inner_mut(), exit)
    }
}
