//! The hypervisor's work on its VMs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use rand_core::Rng as _;
use spin::Mutex;
use uv_core::{
    EnterSecureMode as _, Error as _, ErrorKind, Exit, Gfn, PageIn as _, PageOut as _, PageRange, Vcpu as _,
};
use uv_power::dev::Rig;
use uv_power::hypervisor::kernel::{KvmError, KvmVcpu, Vm};
use uv_power::hypervisor::vmm::boot::BootLayout;
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

/// Makes a VM with its guest loaded, and takes it into secure mode.
///
/// # Errors
/// Status 1 when the ultravisor refuses it.
pub(crate) fn boot(rig: &Rig, layout: &BootLayout<'_>, load: &Load) -> Result<Running, Failure> {
    let (program, tally) = guest::program(layout, load);
    let vm = rig.vm_with(layout).map_err(Failure::unusable)?;
    let lpid = vm.lpid();
    let mut cpu = rig.boot_cpu(&vm, layout, program);
    let asks = cpu.run().map_err(Failure::refused)?;
    if asks != Exit::EnterSecureMode {
        return Err(Failure::refused(format_args!("VM {} does not ask to become secure: {asks:?}", lpid.0)));
    }
    vm.enter_secure_mode(&mut cpu).map_err(|error| match rig.machine.esm_failure(lpid) {
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
