//! Pages by state, a row for each step.

use serde_json::{Value, json};
use uv_core::{SecureVm as _, VmState};
use uv_programs::{Failure, output};
use uv_s390_programs::vm::Vm;

use crate::guest::LifecycleGuest;

/// The table on the standard output, or all of it as one JSON object at the end.
pub(crate) struct Table {
    /// With `--json`: the rows so far.
    steps: Option<Vec<Value>>,
}

impl Table {
    /// Prints the head.
    ///
    /// # Errors
    /// Status 2 if the output cannot be written.
    pub(crate) fn new(json: bool) -> Result<Self, Failure> {
        if !json {
            output::print(&format!(
                "{:<48} {:>9} {:>7} {:>7} {:>7} {:>9} {:>8}",
                "step", "VM", "secure", "sealed", "shared", "withdrawn", "absent"
            ))?;
        }
        Ok(Self { steps: json.then(Vec::new) })
    }

    /// Prints a row, as the hypervisor can tell the states.
    ///
    /// # Errors
    /// Status 2 if the output cannot be written.
    pub(crate) fn row(&mut self, step: &str, vm: &Vm) -> Result<(), Failure> {
        let (counts, pages) = vm.page_counts()?;
        let state = if vm.guest().vm_state() == VmState::Secure { "protected" } else { "ordinary" };
        let (secure, sealed, shared, withdrawn) = (counts.secure, counts.sealed, counts.shared, counts.withdrawn);
        let absent = pages - counts.total();
        if let Some(steps) = &mut self.steps {
            steps.push(json!({
                "step": step, "vm": state, "secure": secure, "sealed": sealed, "shared": shared,
                "withdrawn": withdrawn, "absent": absent,
            }));
            return Ok(());
        }
        output::print(&format!("{step:<48} {state:>9} {secure:>7} {sealed:>7} {shared:>7} {withdrawn:>9} {absent:>8}"))
    }

    /// Says whether the guest was content.
    ///
    /// # Errors
    /// Status 1 if the guest read something else than it had written.
    pub(crate) fn end(self, guest: &LifecycleGuest) -> Result<(), Failure> {
        let content = guest.is_content();
        if let Some(steps) = self.steps {
            output::print(&json!({ "steps": steps, "content_right": content }).to_string())?;
        } else if content {
            output::print("the guest found its own bytes at every step, and zeros where it had not written")?;
        }
        if content { Ok(()) } else { Err(Failure::refused("the guest read something else than it had written")) }
    }
}
