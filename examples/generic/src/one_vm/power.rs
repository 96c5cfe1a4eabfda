//! A VM of POWER, with the sample kernel and blob.

use std::sync::Arc;

use uv_core::{GuestAddr, PageSize};
use uv_power::abi::Profile;
use uv_power::abi::numbers::UltracallNumber;
use uv_power::dev::{Rig, RigConfig};
use uv_power::guest::EsmRequest;
use uv_power::hypervisor::kernel::Vm;
use uv_power::sim::{GuestInsn, MachineConfig};
use uv_sim::guest::Step;

use super::{Guest, Memory, Op, Ready, WORK, work};
use uv_power_programs::SvmFiles;
use uv_programs::Failure;

/// A VM of a machine whose ultravisor is the documented one or the published firmware.
///
/// # Errors
/// Status 2 if machine or guest memory cannot be made.
pub fn power(profile: Profile) -> Result<Ready<Arc<Vm>>, Failure> {
    let files = SvmFiles::sample()?;
    let size = PageSize::K64;
    let layout = files.layout()?.with_free((WORK + 1) << size.shift()).map_err(Failure::unusable)?;
    let machine = MachineConfig::new(files.machine_key.clone()).with_profile(profile);
    let rig = Rig::with(RigConfig::with_machine(machine));
    let vm = rig.vm_with(&layout).map_err(Failure::unusable)?;

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
    let cpu = rig.boot_cpu(&vm, &layout, Box::new(move |last| guest.next(last)));
    Ok(Ready { vm, cpu, memory: Memory(rig.memory), shared, found })
}
