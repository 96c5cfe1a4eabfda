//! The ultracalls: one call, one file, one row of [`abi::calls`](crate::abi::calls). The dispatcher decides who may call before any argument is
//! looked at.
//!
//! | # | condition, in order (power-pef §3.2) | result |
//! |---|---|---|
//! | 1 | the caller is in HV state with a transaction active or suspended, any call but `UV_RETURN` | `U_BAD_MODE` |
//! | 2 | a hypervisor's call, and (MSR and (HV or PR)) is not exactly HV | `U_PERMISSION`; documented for `UV_RETURN`: `U_INVALID` |
//! | 3 | a share call from a VM that is not secure | `U_PERMISSION`; documented: `U_INVALID` |
//! | 4 | a share call or `UV_ESM` with HV or PR | `U_PERMISSION` |
//! | 5 | `UV_ESMB_GET_FILE` of anybody but a secure VM (its user code included) | documented: `U_PERMISSION`; firmware: no check |
//! | 6 | a number without a row, or one that the profile does not have | `U_FUNCTION` |
//!
//! Step 5: the files of a blob are the guest's secrets. The document means them for the secure VM; the published code asks nobody,
//! so a hypervisor that loads the VM's number into LPIDR reads them.
//!
//! The documented `U_INVALID` of step 3 is for the kernel of a normal VM, the one caller the document speaks of there.

pub(crate) mod checks;
pub(crate) mod effect;
mod esm;
mod get_file;
mod page_in;
mod page_inval;
mod page_out;
mod platform_memory;
mod register_mem_slot;
mod sbe;
mod scom;
mod share;
mod spr;
mod svm_terminate;
mod unregister_mem_slot;
mod uv_return;
mod write_pate;

use super::inner::Inner;
use crate::abi::Profile;
use crate::abi::calls::Caller;
use crate::abi::calls::ultracalls::ultracalls;
use crate::abi::codes::UvCode;
use crate::abi::msr::{Msr, Privilege};
use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::Regs;
use effect::Effect;

/// A call with who may make it, who has it and what it does.
struct Row {
    call: UltracallNumber,
    caller: Caller,
    profiles: &'static [Profile],
    serve: fn(&Inner, &mut Regs) -> Effect,
}

/// Rows of calls with the functions that they name.
macro_rules! rows {
    ($($(#[$doc:meta])* $call:ident = $number:literal, $caller:ident, $profiles:ident, $file:ident :: $handler:ident;)*) => {
        &[$(Row {
            call: UltracallNumber($number),
            caller: Caller::$caller,
            profiles: &Profile::$profiles,
            serve: |machine, regs| $file::$handler(machine, regs).into(),
        }),*]
    };
}

const ROWS: &[Row] = ultracalls!(rows);

/// Decides who may call, and calls.
pub(crate) fn dispatch(machine: &Inner, regs: &mut Regs) -> Effect {
    by_row(ROWS, machine, regs)
}

fn by_row(rows: &[Row], machine: &Inner, regs: &mut Regs) -> Effect {
    let (number, msr, profile) = (UltracallNumber(regs.gpr[3]), regs.msr(), machine.platform.profile);
    if msr.contains(Msr::HV) && msr.in_transaction() && number != UltracallNumber::UV_RETURN {
        return UvCode::U_BAD_MODE.into();
    }
    let row = rows.iter().find(|row| row.call == number && row.profiles.contains(&profile));
    let Some(row) = row else { return UvCode::U_FUNCTION.into() };
    match permission(row, profile, msr) {
        Ok(()) => (row.serve)(machine, regs),
        Err(code) => code.into(),
    }
}

fn permission(row: &Row, profile: Profile, msr: Msr) -> Result<(), UvCode> {
    let firmware = profile == Profile::Firmware;
    let documented = |code| if firmware { UvCode::U_PERMISSION } else { code };
    let mode = msr.intersection(Msr::HV | Msr::PR);
    match row.caller {
        Caller::SecureVm => match msr.privilege() {
            Privilege::SecureSupervisor | Privilege::SecureProblem => Ok(()),
            _ if firmware => Ok(()),
            _ => Err(UvCode::U_PERMISSION),
        },
        Caller::SecureSupervisor => match (mode.is_empty(), msr.contains(Msr::S)) {
            (true, true) => Ok(()),
            (true, false) => Err(documented(UvCode::U_INVALID)),
            (false, _) => Err(UvCode::U_PERMISSION),
        },
        Caller::Supervisor if mode.is_empty() => Ok(()),
        // S with HV is the ultravisor itself: no caller.
        Caller::Hypervisor if mode == Msr::HV && !msr.contains(Msr::S) => Ok(()),
        Caller::Hypervisor if row.call == UltracallNumber::UV_RETURN => Err(documented(UvCode::U_INVALID)),
        Caller::Supervisor | Caller::Hypervisor => Err(UvCode::U_PERMISSION),
    }
}

#[cfg(test)]
mod tests;
