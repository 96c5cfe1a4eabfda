//! A call that no ultravisor has, to show what adding one takes: a row and a function.

use super::*;

/// The file of the call.
mod double {
    use super::*;

    /// `UV_DOUBLE` (R4 a number → R4 twice that).
    ///
    /// | # | check | result |
    /// |---|---|---|
    /// | 1 | R4 too large | `U_PARAMETER` |
    pub(super) fn double(_: &Inner, regs: &mut Regs) -> UvCode {
        let Some(twice) = regs.gpr[4].checked_mul(2) else { return UvCode::U_PARAMETER };
        regs.gpr[4] = twice;
        UvCode::U_SUCCESS
    }
}

/// The table with the row of the call, and one that only the firmware has.
macro_rules! fictional {
    ($each:ident) => {
        $each! {
            /// Doubles a number.
            UV_DOUBLE = 0xf154, Supervisor, ALL, double::double;
            /// The same, of the firmware.
            UV_DOUBLE_FIRMWARE = 0xf158, Hypervisor, FIRMWARE, double::double;
        }
    };
}

const FICTIONAL: &[Row] = fictional!(rows);

/// R3 and R4 after a call.
fn made(profile: Profile, rows: &[Row], msr: Msr, number: u64, argument: u64) -> (Option<UvCode>, u64) {
    let (machine, _) = plain(profile);
    let mut regs = Regs { msr: msr.bits(), ..Regs::default() }.with_call(UltracallNumber(number), &[argument]);
    match by_row(rows, machine.inner(), &mut regs) {
        Effect::Result(code) => (Some(code), regs.gpr[4]),
        _ => (None, regs.gpr[4]),
    }
}

#[test]
fn a_row_and_a_function_are_a_call() {
    let supervisor = Msr::empty();
    for profile in Profile::ALL {
        let call = |msr, number, argument| made(profile, FICTIONAL, msr, number, argument);
        assert_eq!(call(supervisor, 0xf154, 21), (Some(UvCode::U_SUCCESS), 42));
        assert_eq!(call(supervisor, 0xf154, u64::MAX), (Some(UvCode::U_PARAMETER), u64::MAX));
        assert_eq!(call(Msr::PR, 0xf154, 21), (Some(UvCode::U_PERMISSION), 21), "its row says who may call");
        assert_eq!(call(Msr::HV, 0xf154, 21), (Some(UvCode::U_PERMISSION), 21));
        assert_eq!(call(Msr::HV | Msr::TS_T, 0xf154, 21), (Some(UvCode::U_BAD_MODE), 21));
        let firmware = if profile == Profile::Firmware { (UvCode::U_SUCCESS, 42) } else { (UvCode::U_FUNCTION, 21) };
        assert_eq!(call(Msr::HV, 0xf158, 21), (Some(firmware.0), firmware.1), "its row says who has it");
        assert_eq!(call(supervisor, 0xf110, 21), (Some(UvCode::U_FUNCTION), 21), "no row, no call");
        assert_eq!(made(profile, ROWS, supervisor, 0xf154, 21), (Some(UvCode::U_FUNCTION), 21));
    }
}

#[test]
fn every_public_row_is_served() {
    let served = ROWS.iter().map(|row| (row.call, row.caller, row.profiles));
    assert!(served.eq(crate::abi::calls::ULTRACALLS.iter().map(|row| (row.call, row.caller, row.profiles))));
}
