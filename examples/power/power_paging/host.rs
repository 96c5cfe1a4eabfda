//! The hypervisor's work on its VMs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand_core::Rng as _;
use spin::Mutex;
use uv_core::{
    EnterSecureMode as _, Error as _, ErrorKind, Exit, Gfn, HostAddr, MemSlot, MemSlots, PageIn as _, PageOut as _,
    PageRange, PageSize, SlotId, Vcpu as _,
};
use uv_power::abi::regs::Lpid;
use uv_power::hypervisor::kernel::{Host, KvmError, KvmVcpu, Vm, VmConfig};
use uv_power::hypervisor::vmm::boot::BootLayout;
use uv_power::sim::Machine;
use uv_programs::Failure;
use uv_sim::rng::SimRng;

use crate::guest::{self, Load, Tally};

/// Pages that the hypervisor takes away at once.
const TAKEN: u64 = 8;

/// A VM with its boot CPU and what its guest found.
pub(crate) struct Running {
    vm: Arc<Vm>,
    cpu: Mutex<KvmVcpu>,
    pub(crate) tally: Arc<Mutex<Tally>>,
}

/// Makes VM `number` of memory at `at`, where its guest is loaded, and takes it into secure mode.
///
/// # Errors
/// Status 1 when the ultravisor refuses it.
pub(crate) fn boot(
    machine: &Machine,
    host: &Host,
    layout: &BootLayout<'_>,
    at: HostAddr,
    number: u32,
    load: &Load,
) -> Result<Running, Failure> {
    let lpid = Lpid(number + 1);
    let (program, tally) = guest::program(layout, load);
    machine.add_vcpu(lpid, 0, program);
    let mut slots = MemSlots::new(PageSize::K64);
    let pages = layout.memory >> PageSize::K64.shift();
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host: at }).map_err(Failure::unusable)?;
    let vm = Vm::new(host.clone(), VmConfig { lpid, radix: true, slots });
    vm.enable_secure_guest_capability().map_err(Failure::unusable)?;
    let vm = Arc::new(vm);
    let mut cpu = KvmVcpu::new(Arc::clone(&vm), 0).starting_at(layout.kernel.at);
    let asks = cpu.run().map_err(Failure::refused)?;
    if asks != Exit::EnterSecureMode {
        return Err(Failure::refused(format_args!("VM {} does not ask to become secure: {asks:?}", lpid.0)));
    }
    vm.enter_secure_mode(&mut cpu).map_err(|error| match machine.esm_failure(lpid) {
        Some(failure) => Failure::refused(format_args!("VM {} is refused: {failure}", lpid.0)),
        None => Failure::refused(format_args!("VM {} is refused: {error}", lpid.0)),
    })?;
    Ok(Running { vm, cpu: Mutex::new(cpu), tally })
}

/// Runs a virtual CPU to its end and serves its exits. When secure memory is out, a page of the other VM has to go: of its
/// own the ultravisor has asked for one already.
pub(crate) fn serve(me: &Running, other: &Running, seed: u64) -> Result<(), Failure> {
    let mut rng = SimRng::from_seed(seed);
    let mut cpu = me.cpu.lock();
    let lost = |error: KvmError| Failure::refused(format_args!("a VM cannot go on: {error}"));
    loop {
        match cpu.run().map_err(lost)? {
            Exit::Halted => return Ok(()),
            Exit::PageMissing { gfn, .. } => match me.vm.page_in(gfn) {
                Ok(()) => {}
                // The guest faults on the page again.
                Err(error) if matches!(error.kind(), ErrorKind::Busy | ErrorKind::Exhausted) => {
                    take(&other.vm, other.vm.slots().end().0, &mut rng);
                }
                Err(error) => return Err(lost(error)),
            },
            exit => return Err(Failure::refused(format_args!("a VM cannot go on after {exit:?}"))),
        }
    }
}

/// Takes some pages of a VM away.
fn take(vm: &Vm, pages: u64, rng: &mut SimRng) {
    let first = rng.next_u64() % pages;
    let count = TAKEN.min(pages - first);
    // A page that the ultravisor does not give stays where it is.
    let _ = vm.page_out_range(PageRange::new(Gfn(first), count));
}

/// The hypervisor's own need for memory: it takes pages away while the guests run.
pub(crate) fn take_away(vms: &[Running; 2], pages: u64, seed: u64, done: &AtomicBool) {
    let mut rng = SimRng::from_seed(seed).fork("hypervisor");
    while !done.load(Ordering::Relaxed) {
        vms.iter().for_each(|vm| take(&vm.vm, pages, &mut rng));
        thread::sleep(Duration::from_millis(10));
    }
}
