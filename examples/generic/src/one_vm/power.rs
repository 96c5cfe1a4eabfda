//! A VM of POWER, with the sample kernel and blob.

use std::sync::Arc;

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId};
use uv_power::abi::Profile;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::Lpid;
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::{DevicePool, Host, KvmVcpu, Vm, VmConfig};
use uv_power::sim::{GuestInsn, Machine, MachineConfig};
use uv_sim::HostMemory;
use uv_sim::guest::Step;

use super::{Guest, Memory, Op, Ready, WORK, work};
use uv_power_programs::SvmFiles;
use uv_programs::Failure;

const LPID: Lpid = Lpid(1);
/// Where the VM's memory begins in the host's.
const HOST: u64 = 16 << 20;
/// Secure pages beyond those of the VM.
const SPARE: u64 = 128;

/// A VM of a machine whose ultravisor is the documented one or the published firmware.
///
/// # Errors
/// Status 2 if machine or guest memory cannot be made.
pub fn power(profile: Profile) -> Result<Ready<Arc<Vm>>, Failure> {
    let files = SvmFiles::sample()?;
    let size = PageSize::K64;
    let layout = files.layout()?.with_free((WORK + 1) << size.shift()).map_err(Failure::unusable)?;
    let pages = layout.memory >> size.shift();
    let memory = Arc::new(HostMemory::new(HOST + layout.memory));
    layout.load(&*memory, HostAddr(HOST)).map_err(Failure::unusable)?;
    let config = MachineConfig {
        secure_pages: u32::try_from(pages + SPARE).map_err(Failure::unusable)?,
        ..MachineConfig::new(files.machine_key.clone()).with_profile(profile)
    };
    let machine = Machine::new(config, memory.clone());
    let seam = Arc::new(machine.clone());
    let pool = DevicePool::new((pages + SPARE) << size.shift()).map(Arc::new);
    let host = Host { uv: seam.clone(), entry: seam, memory: memory.clone(), pool };
    let mut slots = MemSlots::new(size);
    slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages, host: HostAddr(HOST) }).map_err(Failure::unusable)?;
    let vm = Arc::new(Vm::new(host, VmConfig { lpid: LPID, radix: true, slots }));
    vm.enable_secure_guest_capability().map_err(Failure::unusable)?;

    let esm = || Op::Do(Step::Call(GuestInsn::ultracall(EsmRequest::NUMBER, &layout.request().arguments())));
    // The device tree is looked at before any other page moves. The published firmware does not give back what had moved, so
    // the guest writes the whole tree again.
    let tree = layout.device_tree().map_err(Failure::unusable)?;
    let set = |bytes: &[u8]| Op::Do(Step::store(layout.tree, bytes));
    let mut ops = vec![set(&[!tree[0]]), esm(), set(&tree), esm()];
    let shared = GuestAddr(layout.free.0 + (WORK << size.shift()));
    ops.extend(work(layout.free, size, GuestInsn::ultracall(UltracallNumber::UV_SHARE_PAGE, &[size.gfn(shared).0, 1])));
    let mut guest = Guest::new(ops);
    let found = guest.found.clone();
    machine.add_vcpu(LPID, 0, Box::new(move |last| guest.next(last)));
    let cpu = KvmVcpu::new(Arc::clone(&vm), 0).starting_at(layout.kernel.at);
    Ok(Ready { vm, cpu, memory: Memory(memory), shared, found })
}
