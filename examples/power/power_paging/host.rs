//! The hypervisor with its two VMs.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use rand_core::Rng as _;
use spin::Mutex;
use uv_core::{
    EnterSecureMode as _, Error as _, ErrorKind, Exit, Gfn, HostAddr, MemSlot, MemSlots, PageIn as _, PageOut as _,
    PageRange, PageSize, SlotId, Vcpu as _,
};
use uv_power::abi::regs::Lpid;
use uv_power::hypervisor::kernel::{Defects, DevicePool, Host, KvmError, KvmVcpu, Vm, VmConfig};
use uv_power::sim::{Machine, MachineConfig};
use uv_sim::HostMemory;
use uv_sim::rng::SimRng;

use super::count::Counted;
use super::guest::{self, Tally};
use crate::boot::{Input, Layout};
use uv_programs::Failure;

/// Where guest memory begins in the host's.
const HOST: u64 = 16 << 20;
/// How often the live line changes.
const TICK: Duration = Duration::from_millis(100);
/// Pages that the hypervisor takes away at once.
const TAKEN: u64 = 8;
/// Secure pages that a transition needs: what is loaded, and the ultravisor's own.
const LEAST: u64 = 64;

/// The load.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    /// Pages each guest works on.
    pub work_pages: u64,
    /// Secure pages of the machine.
    pub pool_pages: u64,
    /// Pages each guest writes or reads.
    pub steps: u32,
    /// Everything random comes from this number.
    pub seed: u64,
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Result {
    /// Pages of each VM.
    pub vm_pages: u64,
    /// Pages that came in.
    pub pages_in: u64,
    /// Pages that went out.
    pub pages_out: u64,
    /// Pages that the ultravisor asked to take out.
    pub asked_out: u64,
    /// The most secure pages that were in use when somebody looked.
    pub most_in_use: u64,
    /// What the guests found.
    pub guests: [Tally; 2],
}

impl Result {
    /// Both guests compared everything and found nothing wrong.
    #[must_use]
    pub fn is_right(&self) -> bool {
        self.guests.iter().all(|guest| guest.secure && guest.finished && guest.wrong == 0)
    }
}

/// A VM with its boot CPU and what its guest found.
struct Running {
    vm: Arc<Vm>,
    cpu: Mutex<KvmVcpu>,
    tally: Arc<Mutex<Tally>>,
}

/// Boots both VMs, runs the load, and gives what the guests found; `live` gets a line every tick.
///
/// # Errors
/// Status 2 when the pool is too small for a transition; status 1 when a VM is refused or cannot go on.
pub fn run(load: &Load, live: &mut dyn FnMut(&str)) -> core::result::Result<Result, Failure> {
    if load.work_pages == 0 || load.pool_pages < LEAST {
        return Err(Failure::unusable(format_args!("the pool needs {LEAST} pages of 64 KiB, each guest at least one")));
    }
    let input = Input::sample()?;
    let layout = Layout::new(&input)?.with_work(load.work_pages << PageSize::K64.shift());
    let pages = layout.memory >> PageSize::K64.shift();
    let memory = Arc::new(HostMemory::new(HOST + 2 * layout.memory));
    let config = MachineConfig {
        secure_pages: u32::try_from(load.pool_pages).map_err(Failure::unusable)?,
        seed: load.seed,
        ..MachineConfig::new(input.machine_key.clone())
    };
    let machine = Machine::new(config, memory.clone());
    let seam = Arc::new(Counted::new(machine.clone()));
    // KVM gives every page a device page when a VM becomes secure, so the host is told of as much secure memory as the
    // VMs have. The ultravisor has less and asks for pages to go out.
    let pool = DevicePool::new((2 * pages) << PageSize::K64.shift()).map(Arc::new);
    let host = Host { uv: seam.clone(), entry: seam.clone(), memory: memory.clone(), pool };
    let boot = |number: u32| {
        let at = HostAddr(HOST + u64::from(number) * layout.memory);
        layout.load(&*memory, at, &input.bootargs)?;
        let mut slots = MemSlots::new(PageSize::K64);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host: at }).map_err(Failure::unusable)?;
        let lpid = Lpid(number + 1);
        let (program, tally) =
            guest::program(&layout, load.work_pages, load.steps, load.seed ^ u64::from(number) << 32);
        machine.add_vcpu(lpid, 0, program);
        let vm = Vm::new(host.clone(), VmConfig { lpid, radix: true, slots, defects: Defects::empty() });
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
    };
    let vms = [boot(0)?, boot(1)?];
    let most = AtomicU64::new(0);
    let line = || {
        let ((pages_in, pages_out), (used, all)) = (seam.pages(), machine.secure_pages());
        most.fetch_max(used, Ordering::Relaxed);
        let compared: u64 = vms.iter().map(|vm| vm.tally.lock().compared).sum();
        format!(
            "{pages_in} pages in, {pages_out} out; secure pool {used} of {all} pages; {} MiB compared",
            compared >> 20
        )
    };
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let threads = [0, 1].map(|me: usize| {
            let (vms, load) = (&vms, *load);
            scope.spawn(move || serve(&vms[me], &vms[1 - me], load.seed ^ me as u64))
        });
        let taker = scope.spawn(|| take_away(&vms, pages, load.seed, &done));
        while !threads.iter().all(thread::ScopedJoinHandle::is_finished) {
            live(&line());
            thread::sleep(TICK);
        }
        done.store(true, Ordering::Relaxed);
        live(&line());
        let ended =
            threads.map(|thread| thread.join().unwrap_or(Err(Failure::refused("a virtual CPU's thread ended"))));
        taker.join().map_err(|_| Failure::refused("the hypervisor's thread ended"))?;
        ended.into_iter().collect::<core::result::Result<(), _>>()
    })?;
    let (pages_in, pages_out) = seam.pages();
    let guests = vms.each_ref().map(|vm| *vm.tally.lock());
    Ok(Result { vm_pages: pages, pages_in, pages_out, asked_out: seam.asked(), most_in_use: most.into_inner(), guests })
}

/// Runs a virtual CPU to its end and serves its exits. When secure memory is out, a page of the other VM has to go: of its
/// own the ultravisor has asked for one already.
fn serve(me: &Running, other: &Running, seed: u64) -> core::result::Result<(), Failure> {
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
fn take_away(vms: &[Running; 2], pages: u64, seed: u64, done: &AtomicBool) {
    let mut rng = SimRng::from_seed(seed).fork("hypervisor");
    while !done.load(Ordering::Relaxed) {
        vms.iter().for_each(|vm| take(&vm.vm, pages, &mut rng));
        thread::sleep(Duration::from_millis(10));
    }
}
