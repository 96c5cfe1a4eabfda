//! What each party may see at the end.

use uv_core::{GuestAddr, SecureVm as _, VmState};
use uv_programs::{Failure, output};
use uv_s390_programs::vm::Vm;

/// Shows what a read of the first component's first bytes gives, and how many pages stand in each state.
///
/// # Errors
/// Status 2 if the output cannot be written.
pub(crate) fn show(vm: &Vm) -> Result<(), Failure> {
    let secure = vm.guest().vm_state() == VmState::Secure;
    let first = vm.image().components().first().map_or(0, |component| component.address.get());
    let mut bytes = [0; 16];
    let read = vm.guest().storage().read(GuestAddr(first), &mut bytes);
    let hypervisor = match read {
        Ok(()) => format!("reads {}", hex::encode(bytes)),
        Err(error) => format!("reads nothing: {error}"),
    };
    output::print(&format!(
        "what each party sees at guest address {first:#x}\n  guest       {}\n  hypervisor  {hypervisor}\n  ultravisor  {}",
        if secure { "its own plain bytes" } else { "what is left of the image" },
        if secure { "the keys, and every page in transit" } else { "nothing: it has forgotten the guest" },
    ))?;
    let (counts, pages) = vm.page_counts()?;
    let absent = pages - counts.total();
    output::print(&format!("pages: {counts}, {absent} not touched, {pages} in all"))
}
