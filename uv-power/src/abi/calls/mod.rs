//! The tables of calls: one row for each ultracall and each hypercall.
//!
//! Who uses it: the simulated ultravisor, which dispatches by the rows; whoever wants to know what calls there are.
//!
//! Dispatch, names in events and the page `docs/power-calls.md` are made from the rows; a row names the function that serves it, so a row without
//! one does not compile, and a function without a row is dead code.

pub(crate) mod hypercalls;
pub(crate) mod ultracalls;

use super::numbers::{HvCall, UltracallNumber};
use super::profile::Profile;
use hypercalls::hypercalls;
use ultracalls::ultracalls;

/// Who may make an ultracall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Caller {
    /// The hypervisor: MSR has HV, and neither PR nor S.
    Hypervisor,
    /// The kernel of a VM, secure or not: neither HV nor PR.
    Supervisor,
    /// The kernel of a secure VM.
    SecureSupervisor,
    /// Kernel and user code of a secure VM; firmware: anybody.
    SecureVm,
}

/// One ultracall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UltracallRow {
    /// The call: its number and name.
    pub call: UltracallNumber,
    /// Who may make it.
    pub caller: Caller,
    /// Which ultravisors have it.
    pub profiles: &'static [Profile],
    /// The function of the simulated ultravisor that serves it.
    pub handler: &'static str,
}

/// How many registers of a hypercall go out and come back, counted from R3.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// R3 … R(2 + inputs) go to the hypervisor.
    pub inputs: usize,
    /// R3 … R(2 + outputs) come back.
    pub outputs: usize,
}

/// One hypercall.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HypercallRow {
    /// The call: its number and name.
    pub call: HvCall,
    /// Its window; `None`: a secure VM cannot use it.
    pub window: Option<Window>,
    /// The function of the simulated ultravisor that serves it for a secure guest.
    pub handler: &'static str,
}

/// A window, or none.
macro_rules! window_of {
    () => {
        None
    };
    ($inputs:literal, $outputs:literal) => {
        Some($crate::abi::calls::Window { inputs: $inputs, outputs: $outputs })
    };
}

macro_rules! ultracall_rows {
    ($($(#[$doc:meta])* $call:ident = $number:literal, $caller:ident, $profiles:ident, $file:ident :: $handler:ident;)*) => {
        /// Every ultracall, by number.
        pub const ULTRACALLS: &[UltracallRow] = &[$(UltracallRow {
            call: UltracallNumber::$call,
            caller: Caller::$caller,
            profiles: &Profile::$profiles,
            handler: concat!(stringify!($file), "::", stringify!($handler)),
        }),*];
    };
}
ultracalls!(ultracall_rows);

macro_rules! hypercall_rows {
    ($($(#[$doc:meta])* $call:ident = $number:literal, $handler:ident $(($inputs:literal, $outputs:literal))?;)*) => {
        /// Every hypercall that has a name, by number.
        pub const HYPERCALLS: &[HypercallRow] = &[$(HypercallRow {
            call: HvCall::$call,
            window: window_of!($($inputs, $outputs)?),
            handler: stringify!($handler),
        }),*];
    };
}
hypercalls!(hypercall_rows);

/// The row of a hypercall.
#[must_use]
pub fn hypercall(call: HvCall) -> Option<&'static HypercallRow> {
    let index = HYPERCALLS.binary_search_by_key(&call, |row| row.call).ok()?;
    HYPERCALLS.get(index)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_in_order_and_complete() {
        assert!(HYPERCALLS.windows(2).all(|w| w[0].call < w[1].call));
        assert_eq!(HYPERCALLS.iter().filter(|row| row.window.is_some()).count(), 100);
        assert_eq!(HYPERCALLS.len(), 159);
        let registers = |w: Window| (1..=10).contains(&w.inputs) && (1..=10).contains(&w.outputs);
        assert!(HYPERCALLS.iter().filter_map(|row| row.window).all(registers));
        assert!(ULTRACALLS.windows(2).all(|w| w[1].call.0 - w[0].call.0 == 4));
        assert_eq!(ULTRACALLS.len(), 20);
        assert!(ULTRACALLS.iter().map(|row| row.call).eq(UltracallNumber::ALL.iter().copied()));
        assert!(HYPERCALLS.iter().map(|row| row.call).eq(HvCall::ALL.iter().copied()));
    }

    #[test]
    fn some_rows() {
        let window = |number| hypercall(HvCall(number)).and_then(|row| row.window);
        assert_eq!(window(0x4), Some(Window { inputs: 6, outputs: 3 }));
        assert_eq!(window(0x54), Some(Window { inputs: 2, outputs: 4 }));
        assert_eq!(window(0xf000), Some(Window { inputs: 2, outputs: 2 }));
        assert_eq!(window(0x30), None);
        assert_eq!(window(0xef10), None);
        assert_eq!(hypercall(HvCall(0x5)), None);
    }
}
