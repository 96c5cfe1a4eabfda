//! Paging calls (power-pef §3.10–3.12). The order argument is always 16: there is no other.

use uv_core::{GuestAddr, HostAddr};

use super::{Ultracall, UvError, checked};
use crate::abi::numbers::{PAGE_ORDER, UltracallNumber};
use crate::abi::regs::Lpid;

/// `UV_PAGE_IN`: gives the ultravisor the normal page at `src` for guest page `dest`.
///
/// What becomes of it depends on the state of the guest page: plaintext is copied while the VM is becoming secure, a
/// page that was out is decrypted and checked, a shared page is mapped onto `src`. `flags` is 0 or
/// [`UvPageInFlags`](crate::abi::numbers::UvPageInFlags).
///
/// # Errors
/// [`UvError`]: `U_P2` bad `src`, or the page is secure already; `U_PARAMETER` unknown VM; `U_STATE` the transition failed;
/// `U_P3` bad `dest`, or the content is not the newest that went out: the page stays out, the right bytes are still taken;
/// `U_P4` unknown flags.
pub fn page_in(uv: &dyn Ultracall, lpid: Lpid, src: HostAddr, dest: GuestAddr, flags: u64) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_PAGE_IN, &[lpid.0.into(), src.0, dest.0, flags, PAGE_ORDER]).map(drop)
}

/// `UV_PAGE_OUT`: moves guest page `src`, encrypted, to the normal page at `dest`. `flags` is 0 or
/// [`UvPageOutFlags`](crate::abi::numbers::UvPageOutFlags).
///
/// # Errors
/// [`UvError`]: `U_P2` bad `dest`; `U_PARAMETER` unknown VM, or the page is not secure; `U_P3` bad `src`; `U_RETRY` or
/// `U_BUSY` the page is on its way from shared to secure; `U_P4` unknown flags. The page is still secure then.
pub fn page_out(uv: &dyn Ultracall, lpid: Lpid, dest: HostAddr, src: GuestAddr, flags: u64) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_PAGE_OUT, &[lpid.0.into(), dest.0, src.0, flags, PAGE_ORDER]).map(drop)
}

/// `UV_PAGE_INVAL`: the normal page behind shared guest page `gpa` goes away; the guest faults at its next access.
///
/// # Errors
/// [`UvError`]: `U_PARAMETER` unknown VM; `U_STATE`; `U_P2` or `U_P3` bad address; `U_P2` the page is not shared.
pub fn page_inval(uv: &dyn Ultracall, lpid: Lpid, gpa: GuestAddr) -> Result<(), UvError> {
    checked(uv, UltracallNumber::UV_PAGE_INVAL, &[lpid.0.into(), gpa.0, PAGE_ORDER]).map(drop)
}
