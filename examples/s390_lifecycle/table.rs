//! Pages by state, a row for each step.

use ultravisor::s390_vm::Vm;
use ultravisor::{Failure, output};
use uv_core::{SecureVm as _, VmState};

use crate::guest::Story;

/// The table on the standard output.
pub(crate) struct Table;

impl Table {
    /// Prints the head.
    ///
    /// # Errors
    /// Status 2 if the output cannot be written.
    pub(crate) fn new() -> Result<Self, Failure> {
        output::print(&format!(
            "{:<48} {:>9} {:>7} {:>7} {:>7} {:>9} {:>8}",
            "step", "VM", "secure", "sealed", "shared", "withdrawn", "absent"
        ))?;
        Ok(Self)
    }

    /// Prints a row, as the hypervisor can tell the states.
    ///
    /// # Errors
    /// Status 2 if the output cannot be written.
    pub(crate) fn row(&mut self, step: &str, vm: &Vm) -> Result<(), Failure> {
        let (counts, pages) = vm.page_counts()?;
        let state = if vm.guest().vm_state() == VmState::Secure { "protected" } else { "ordinary" };
        output::print(&format!(
            "{step:<48} {state:>9} {:>7} {:>7} {:>7} {:>9} {:>8}",
            counts.secure,
            counts.sealed,
            counts.shared,
            counts.withdrawn,
            pages - counts.total()
        ))
    }

    /// Says whether the guest was content.
    ///
    /// # Errors
    /// Status 1 if the guest read something else than it had written.
    pub(crate) fn end(self, story: &Story) -> Result<(), Failure> {
        if story.is_content() {
            output::print("the guest found its own bytes at every step, and zeros where it had not written")
        } else {
            Err(Failure::refused("the guest read something else than it had written"))
        }
    }
}
