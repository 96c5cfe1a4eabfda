//! The simulated machine.

use super::calls;
use super::calls::effect::Effect;
use super::config::MachineConfig;
use super::failure::EsmFailure;
use super::flow::Next;
use super::inner::Inner;
use super::platform::{PlatformRange, Scom};
use super::run::{self, Stop};
use super::svm::{GfnState, SvmState};
use super::vcpu::insn::GuestProgram;
use super::vcpu::interrupt::Interrupt;
use super::vectors;
use crate::abi::Profile;
use crate::abi::entry::GuestEntry;
use crate::abi::msr::Msr;
use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::{Lpid, Regs};
use crate::abi::ultracall::Ultracall;
use alloc::sync::Arc;
use uv_core::{Gfn, MemSlots, NormalMemory, PageCounts, PageState};

/// A simulated POWER machine with an ultravisor. Cloning gives another handle of the same machine.
///
/// Three parties reach it, each through its own door: hypervisors through [`Ultracall`] and [`GuestEntry`]; owners of guests
/// through [`Machine::add_vcpu`] (what the guest does); whoever builds and tests machines through everything else.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

impl Machine {
    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl core::fmt::Debug for Machine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let profile = &self.0.platform.profile;
        f.debug_struct("Machine").field("profile", profile).field("svms", &self.0.lpids()).finish_non_exhaustive()
    }
}

impl Machine {
    /// A machine whose normal memory is `memory`: real addresses are addresses in it.
    #[must_use]
    pub fn new(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Self {
        Self(Arc::new(Inner::new(config, memory)))
    }

    /// Which ultravisor runs.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.0.platform.profile
    }

    /// **Guest owner's side.** Gives virtual CPU `vcpu` of partition `lpid` what it will do. A virtual CPU of that number
    /// that was there before is replaced: that is what a reset does to it.
    pub fn add_vcpu(&self, lpid: Lpid, vcpu: u32, program: GuestProgram) {
        self.0.add_vcpu(lpid, vcpu, program);
    }

    /// **Hardware's side.** An interrupt arrives at a virtual CPU and is taken before its next instruction: 0x100, 0x200, 0x500,
    /// 0x980, 0xe40, 0xe60, 0xe80, 0xea0 or 0xf80, with its cause or (a vector alone) without one. `false` when there is no such
    /// virtual CPU.
    #[must_use]
    pub fn interrupt(&self, lpid: Lpid, vcpu: u32, interrupt: impl Into<Interrupt>) -> bool {
        let found = self.0.vcpu(lpid, vcpu);
        if let Some(vcpu) = &found {
            vcpu.state.lock().interrupts.push_back(interrupt.into());
        }
        found.is_some()
    }

    /// **Tester's side.** State of the object of a partition; `None` when the ultravisor does not know it.
    #[must_use]
    pub fn svm_state(&self, lpid: Lpid) -> Option<SvmState> {
        self.0.svm(lpid.0.into()).map(|svm| svm.state())
    }

    /// **Tester's side.** State of a guest page; `None` outside of the slots.
    #[must_use]
    pub fn gfn_state(&self, lpid: Lpid, gfn: Gfn) -> Option<GfnState> {
        let svm = self.0.svm(lpid.0.into())?;
        let known = svm.slots.read().contains(gfn);
        known.then(|| svm.gfn_state(gfn))
    }

    /// **Tester's side.** What the engine holds of a guest page; `None` outside of the slots.
    #[must_use]
    pub fn page_state(&self, lpid: Lpid, gfn: Gfn) -> Option<PageState> {
        let svm = self.0.svm(lpid.0.into())?;
        let known = svm.slots.read().contains(gfn);
        svm.space.state(gfn).ok().filter(|_| known)
    }

    /// **Tester's side.** How many pages of a VM stand in each state of the engine.
    #[must_use]
    pub fn page_counts(&self, lpid: Lpid) -> Option<PageCounts> {
        self.0.svm(lpid.0.into()).map(|svm| svm.space.counts())
    }

    /// **Tester's side.** Secure pages in use and in all.
    #[must_use]
    pub fn secure_pages(&self) -> (u64, u64) {
        (self.0.platform.engine.frames_in_use(), self.0.platform.engine.frames())
    }

    /// **Tester's side.** Why the last `UV_ESM` of a partition failed, as the ultravisor's console tells.
    #[must_use]
    pub fn esm_failure(&self, lpid: Lpid) -> Option<EsmFailure> {
        self.0.platform.failures.read().get(&lpid).cloned()
    }

    /// **Tester's side.** The partition table entry (dw0, dw1).
    #[must_use]
    pub fn partition_entry(&self, lpid: Lpid) -> (u64, u64) {
        self.0.platform.entry(lpid)
    }

    /// **Tester's side.** How often the translations of a partition were flushed on this machine.
    #[must_use]
    pub fn flushes(&self) -> u64 {
        self.0.platform.flushes.load(core::sync::atomic::Ordering::Relaxed)
    }

    /// **Tester's side.** The registers that the ultravisor (or, for a normal VM, the CPU) last knew of a virtual CPU.
    #[must_use]
    pub fn guest_regs(&self, lpid: Lpid, vcpu: u32) -> Option<Regs> {
        self.0.vcpu(lpid, vcpu).map(|vcpu| vcpu.state.lock().regs.clone())
    }

    /// **Hardware's side.** The chips' configuration registers.
    pub fn with_scom<T>(&self, change: impl FnOnce(&mut Scom) -> T) -> T {
        change(&mut self.0.platform.scom.lock())
    }

    /// **Hardware's side.** Lists memory of the platform for `UV_READ_MEM` and `UV_WRITE_MEM`.
    pub fn add_platform_memory(&self, range: PlatformRange) {
        self.0.platform.regions.lock().add(range);
    }

    /// **Hardware's side.** The self boot engine takes no command, or takes commands again.
    pub fn set_sbe_busy(&self, busy: bool) {
        self.0.platform.sbe.lock().busy = busy;
    }

    /// **Hardware's side.** The self boot engine has interrupts to be handled.
    pub fn raise_sbe_interrupts(&self, bits: u64) {
        self.0.platform.sbe.lock().interrupts |= bits;
    }

    /// **Tester's side.** Another CPU of the ultravisor is at work on a page while `act` runs.
    pub fn while_page_is_held<T>(&self, lpid: Lpid, gfn: Gfn, act: impl FnOnce() -> T) -> Option<T> {
        let svm = self.0.svm(lpid.0.into())?;
        let _held = svm.lock(gfn);
        Some(act())
    }
}

impl Ultracall for Machine {
    fn ultracall(&self, regs: &mut Regs) {
        let number = UltracallNumber(regs.gpr[3]);
        tracing::trace!(call = %number, caller = ?regs.msr().privilege(), lpid = regs.lpidr.0, "sc 2");
        match calls::dispatch(&self.0, regs) {
            Effect::Result(code) => regs.gpr[3] = code.to_register(),
            Effect::Keep => {}
            Effect::Return => run::uv_return::uv_return(&self.0, regs),
            // A guest's call made by registers alone, without a program that issued it.
            Effect::Flow(svm, port, flow) => {
                let vcpu = self.0.vcpu_or_idle(regs.lpidr, regs.vcpu);
                let mut st = vcpu.state.lock();
                st.regs = regs.clone();
                if run::settle(&self.0, &mut st, regs, Next::Flow(svm, port, flow)) == Stop::No {
                    run::go_on(&self.0, &mut st, regs);
                }
            }
        }
    }
}

impl GuestEntry for Machine {
    fn enter(&self, regs: &mut Regs) {
        let vcpu = self.0.vcpu_or_idle(regs.lpidr, regs.vcpu);
        let mut st = vcpu.state.lock();
        if st.secure.as_ref().is_some_and(|svm| !svm.space.is_closed()) {
            // HRFID cannot set S: the context that the ultravisor keeps is not what runs. The registers are those of a
            // normal guest whose memory is not there, so its first fetch faults.
            regs.hdar = regs.hsrr0;
            regs.asdr = regs.hsrr0 & !0xffff;
            regs.nip = vectors::INSTRUCTION_STORAGE;
            return;
        }
        if st.secure.take().is_some() {
            st.context = None;
        }
        st.regs = regs.clone();
        st.regs.nip = regs.hsrr0;
        st.regs.msr = Msr::from_register(regs.hsrr1).difference(Msr::S | Msr::HV).bits();
        st.finish_call();
        run::go_on(&self.0, &mut st, regs);
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        self.0.set_partition_memory(lpid, slots);
    }
}
