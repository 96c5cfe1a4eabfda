//! Any backend behind the wrappers of `uv_sim::wrap`: a generic hypervisor sees no difference but calls that are busy.

use uv_conformance::{Ability, Backend, Host, Refusal, Script};
use uv_core::{Gfn, Vcpu};
use uv_sim::wrap::{EventLog, FlakyError, FlakyVcpu, FlakyVm, TracedVcpu, TracedVm};

/// Of 256 calls this many are refused.
const CHANCE: u8 = 64;

/// A backend whose calls are refused at random for a moment.
pub struct Disturbed<B: Backend> {
    inner: B,
    vms: [FlakyVm<B::Vm>; 2],
    seed: u64,
}

/// A backend whose calls are recorded.
pub struct Recorded<B: Backend> {
    inner: B,
    vms: [TracedVm<B::Vm>; 2],
    log: EventLog,
}

impl<B: Backend<Vm: Clone>> Disturbed<B> {
    /// Disturbs a backend.
    pub fn new(inner: B, seed: u64) -> Self {
        let vms = [0, 1].map(|index| FlakyVm::new(inner.vm(index).clone(), seed + index as u64, CHANCE));
        Self { inner, vms, seed }
    }
}

impl<B: Backend<Vm: Clone>> Recorded<B> {
    /// Records a backend.
    pub fn new(inner: B) -> Self {
        let log = EventLog::default();
        let vms = [0, 1].map(|index| TracedVm::new(inner.vm(index).clone(), log.clone()));
        Self { inner, vms, log }
    }
}

macro_rules! shown {
    ($name:ident) => {
        impl<B: Backend> core::fmt::Debug for $name<B> {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(..)"))
            }
        }
    };
}
shown!(Disturbed);
shown!(Recorded);

macro_rules! as_inside {
    () => {
        fn abilities(&self) -> &[Ability] {
            self.inner.abilities()
        }

        fn sharing_keeps_content(&self) -> bool {
            self.inner.sharing_keeps_content()
        }

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

        fn script(&self, index: usize) -> &Script {
            self.inner.script(index)
        }

        fn code(&self, refusal: Refusal) -> Option<&'static str> {
            self.inner.code(refusal)
        }
    };
}

impl<B: Backend<Vm: Clone>> Backend for Disturbed<B> {
    type Error = FlakyError<B::Error>;
    type Vm = FlakyVm<B::Vm>;
    type Cpu = FlakyVcpu<B::Cpu>;

    as_inside!();

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

    fn boot(&self, index: usize, refusal: Option<&str>) -> Self::Cpu {
        TracedVcpu::new(self.inner.boot(index, refusal), &self.log)
    }

    fn serve(&self, index: usize, cpu: &mut Self::Cpu, exit: <B::Cpu as Vcpu>::Arch) -> Result<(), Self::Error> {
        self.inner.serve(index, cpu.inner_mut(), exit)
    }
}
