//! The hypervisor's loop.

use uv_core::{Exit, PageIn as _, Vcpu as _};
use uv_programs::Failure;
use uv_s390::hypervisor::kernel::S390Exit;
use uv_s390_programs::vm::{Boot, Vm};

/// Boots or says why not.
///
/// # Errors
/// Status 1 if the Ultravisor refuses.
pub(crate) fn boot(vm: &mut Vm) -> Result<(), Failure> {
    match vm.boot(&mut |_| {}) {
        Boot::Running(_) => Ok(()),
        Boot::Refused(refusal) => Err(Failure::refused(format_args!("the image is refused: {refusal}"))),
    }
}

/// Runs CPU 0 and pages in what it misses, until it halts or exits otherwise. Gives the number of faults.
///
/// # Errors
/// Status 1 if the guest cannot go on.
pub(crate) fn run(vm: &Vm) -> Result<(u64, Option<S390Exit>), Failure> {
    let mut cpu = vm.guest().vcpu(0).map_err(Failure::refused)?;
    let mut faults = 0;
    loop {
        match cpu.run().map_err(Failure::refused)? {
            Exit::PageMissing { gfn, .. } => {
                vm.guest().page_in(gfn).map_err(Failure::refused)?;
                faults += 1;
            }
            Exit::Halted => return Ok((faults, None)),
            Exit::Arch(exit) => return Ok((faults, Some(exit))),
            exit => return Err(Failure::refused(format_args!("the guest cannot go on after {exit:?}"))),
        }
    }
}

/// Runs until the guest yields, which ends a part of its program. Gives the number of faults.
///
/// # Errors
/// Status 1 if the guest ends its part otherwise.
pub(crate) fn next_yield(vm: &Vm) -> Result<u64, Failure> {
    match run(vm)? {
        (faults, Some(S390Exit::Yield(_))) => Ok(faults),
        (_, other) => Err(Failure::refused(format_args!("the guest does not yield but {other:?}"))),
    }
}
