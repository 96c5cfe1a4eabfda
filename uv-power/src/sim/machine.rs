//! The simulated machine.

use super::calls::{self, Effect};
use super::config::MachineConfig;
use super::platform::{Platform, PlatformRange, Scom};
use super::svm::{GfnState, Svm, SvmState};
use super::vcpu::{self, GuestProgram, Stop, Vcpu};
use super::{EsmFailure, Interrupt, reflect};
use crate::abi::Profile;
use crate::abi::entry::GuestEntry;
use crate::abi::msr::{Msr, Privilege};
use crate::abi::numbers::UvCall;
use crate::abi::regs::{Lpid, Regs};
use crate::abi::ultracall::Ultracall;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use spin::RwLock;
use uv_core::{Gfn, MemSlots, NormalMemory, PageCounts, PageState};

/// A simulated POWER machine with an ultravisor. Cloning gives another handle of the same machine.
///
/// Three parties reach it, each through its own door: hypervisors through [`Ultracall`] and [`GuestEntry`]; owners of guests
/// through [`Machine::add_vcpu`] (what the guest does); whoever builds and tests machines through everything else.
#[derive(Clone)]
pub struct Machine(Arc<Inner>);

pub(crate) struct Inner {
    pub(crate) platform: Arc<Platform>,
    svms: RwLock<BTreeMap<Lpid, Arc<Svm>>>,
    vcpus: RwLock<BTreeMap<(Lpid, u32), Arc<Vcpu>>>,
    partitions: RwLock<BTreeMap<Lpid, MemSlots>>,
}

impl Machine {
    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }
}

impl core::fmt::Debug for Machine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let vms: alloc::vec::Vec<u32> = self.0.svms.read().keys().map(|lpid| lpid.0).collect();
        f.debug_struct("Machine").field("profile", &self.0.platform.profile).field("svms", &vms).finish_non_exhaustive()
    }
}

impl Inner {
    /// The object of a VM by the value of an argument register.
    pub(crate) fn svm(&self, lpid: u64) -> Option<Arc<Svm>> {
        self.svms.read().get(&Lpid::from_register(lpid)?).cloned()
    }

    /// Makes an object known; `false` when the partition has one.
    pub(crate) fn insert_svm(&self, svm: Arc<Svm>) -> bool {
        let mut svms = self.svms.write();
        if svms.contains_key(&svm.lpid) {
            return false;
        }
        svms.insert(svm.lpid, svm);
        true
    }

    pub(crate) fn remove_svm(&self, lpid: Lpid) -> Option<Arc<Svm>> {
        self.svms.write().remove(&lpid)
    }

    pub(crate) fn vcpu(&self, lpid: Lpid, id: u32) -> Option<Arc<Vcpu>> {
        self.vcpus.read().get(&(lpid, id)).cloned()
    }

    /// The virtual CPU of that number; one without a program if nobody added it.
    pub(crate) fn vcpu_or_idle(&self, lpid: Lpid, id: u32) -> Arc<Vcpu> {
        let mut vcpus = self.vcpus.write();
        Arc::clone(vcpus.entry((lpid, id)).or_insert_with(|| Arc::new(Vcpu::idle(lpid, id))))
    }

    pub(crate) fn vcpus_of(&self, lpid: Lpid) -> alloc::vec::Vec<Arc<Vcpu>> {
        self.vcpus.read().range((lpid, 0)..=(lpid, u32::MAX)).map(|(_, vcpu)| Arc::clone(vcpu)).collect()
    }

    /// What lies behind the guest addresses of a partition that is not secure. A partition whose entry was set to (0, 0) has no page
    /// table, so it has nothing; one whose entry nobody has written yet has what the hypervisor told the machine.
    pub(crate) fn partition_memory(&self, lpid: Lpid) -> Option<MemSlots> {
        if self.platform.is_cleared(lpid) {
            return None;
        }
        self.partitions.read().get(&lpid).cloned()
    }
}

impl Machine {
    /// A machine whose normal memory is `memory`: real addresses are addresses in it.
    #[must_use]
    pub fn new(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Self {
        Self(Arc::new(Inner {
            platform: Arc::new(Platform::new(config, memory)),
            svms: RwLock::default(),
            vcpus: RwLock::default(),
            partitions: RwLock::default(),
        }))
    }

    /// Which ultravisor runs.
    #[must_use]
    pub fn profile(&self) -> Profile {
        self.0.platform.profile
    }

    /// **Guest owner's side.** Gives virtual CPU `vcpu` of partition `lpid` what it will do. A virtual CPU of that number
    /// that was there before is replaced: that is what a reset does to it.
    pub fn add_vcpu(&self, lpid: Lpid, vcpu: u32, program: GuestProgram) {
        let made = Arc::new(Vcpu::new(lpid, vcpu, program));
        self.0.vcpus.write().insert((lpid, vcpu), made);
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
        let number = UvCall(regs.gpr[3]);
        let caller = regs.msr().privilege();
        tracing::trace!(call = %number, ?caller, lpid = regs.lpidr.0, "sc 2");
        if number == UvCall::UV_RETURN && caller == Privilege::Hypervisor {
            return calls::uv_return::uv_return(&self.0, regs);
        }
        match calls::dispatch(&self.0, regs) {
            Effect::Result(code) => regs.gpr[3] = code.to_register(),
            Effect::Keep => {}
            // A guest's call made by registers alone, without a program that issued it.
            Effect::Flow(svm, port, flow) => {
                let vcpu = self.0.vcpu_or_idle(regs.lpidr, regs.vcpu);
                let mut st = vcpu.state.lock();
                st.regs = regs.clone();
                if vcpu::poll_flow(&self.0, &svm, &mut st, regs, flow, port) == Stop::No {
                    vcpu::go_on(&self.0, &mut st, regs);
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
            regs.nip = reflect::vectors::INSTRUCTION_STORAGE;
            return;
        }
        if st.secure.take().is_some() {
            st.context = None;
        }
        st.regs = regs.clone();
        st.regs.nip = regs.hsrr0;
        st.regs.msr = Msr::from_register(regs.hsrr1).difference(Msr::S | Msr::HV).bits();
        st.finish_call();
        vcpu::go_on(&self.0, &mut st, regs);
    }

    fn set_partition_memory(&self, lpid: Lpid, slots: Option<&MemSlots>) {
        let mut partitions = self.0.partitions.write();
        match slots {
            Some(slots) => partitions.insert(lpid, slots.clone()),
            None => partitions.remove(&lpid),
        };
    }
}
