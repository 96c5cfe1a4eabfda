//! The seam to the ultravisor: one `sc 2`, and typed calls over it for hypervisors.
//!
//! Who uses it: the host's kernel makes the calls; a machine, real or simulated, or a wrapper implements [`Ultracall`].
//!
//! The typed calls load the registers, make the call, read the result; a result other than success is an [`UvError`]. They
//! are for the hypervisor: calls of guests are made by guests. `UV_RETURN` has no typed form, it does not return to its
//! caller as a call does; see [`GuestEntry`](crate::abi::GuestEntry).

mod error;
mod memory;
mod paging;
mod platform;

use crate::abi::codes::UvCode;
use crate::abi::numbers::UltracallNumber;
use crate::abi::regs::Regs;

pub use error::UvError;
pub use memory::{register_mem_slot, svm_terminate, unregister_mem_slot, write_pate};
pub use paging::{page_in, page_inval, page_out};
pub use platform::{
    read_mem, read_scom, restricted_spr_read, restricted_spr_write, send_sbe_command, write_mem, write_scom,
};

/// One `sc 2`.
///
/// The registers are the whole state of the CPU that executes it: R3 the number, R4 … the arguments, the privilege in
/// `msr`, the partition in `lpidr`. Afterwards R3 is the result and R4 … the outputs; all other registers are as before,
/// but for `UV_RETURN`, after which they are those of the next entry of the hypervisor.
///
/// Real hardware, the simulated machine, a tracer, a recorder or a fault injector implement it. Every thread that
/// stands for a CPU may call at the same time.
pub trait Ultracall: Send + Sync {
    /// Executes `sc 2`.
    fn ultracall(&self, regs: &mut Regs);
}

impl<T: Ultracall + ?Sized> Ultracall for alloc::sync::Arc<T> {
    fn ultracall(&self, regs: &mut Regs) {
        (**self).ultracall(regs);
    }
}

/// Makes a call as the hypervisor: number and at most nine arguments. Gives the result and the registers with the
/// outputs, whatever the result is.
pub fn call(uv: &dyn Ultracall, number: UltracallNumber, args: &[u64]) -> (UvCode, Regs) {
    let mut regs = Regs::hypervisor().with_call(number, args);
    uv.ultracall(&mut regs);
    let code = UvCode::from_register(regs.gpr[3]);
    tracing::trace!(call = %number, code = code.0, "ultracall");
    (code, regs)
}

/// [`call`], with every result but success as an error.
fn checked(uv: &dyn Ultracall, number: UltracallNumber, args: &[u64]) -> Result<Regs, UvError> {
    match call(uv, number, args) {
        (UvCode::U_SUCCESS, regs) => Ok(regs),
        (code, _) => Err(UvError { call: number, code }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::abi::regs::Lpid;
    use spin::Mutex;
    use uv_core::{Error, ErrorKind, GuestAddr, HostAddr};

    /// Notes what was asked and answers with a number.
    struct Fixed(i64, Mutex<[u64; 10]>);

    impl Ultracall for Fixed {
        fn ultracall(&self, regs: &mut Regs) {
            self.1.lock().copy_from_slice(&regs.gpr[3..13]);
            regs.gpr[3] = self.0.cast_unsigned();
            regs.gpr[4] = 44;
            regs.gpr[5] = 55;
        }
    }

    fn fixed(code: i64) -> Fixed {
        Fixed(code, Mutex::new([0; 10]))
    }

    #[test]
    fn arguments_stand_in_their_registers() {
        let uv = fixed(0);
        page_in(&uv, Lpid(7), HostAddr(0x1_0000), GuestAddr(0x2_0000), 0).unwrap();
        assert_eq!(uv.1.lock()[..6], [0xf128, 7, 0x1_0000, 0x2_0000, 0, 16]);
        page_out(&uv, Lpid(7), HostAddr(0x1_0000), GuestAddr(0x2_0000), 1).unwrap();
        assert_eq!(uv.1.lock()[..6], [0xf12c, 7, 0x1_0000, 0x2_0000, 1, 16]);
        page_inval(&uv, Lpid(7), GuestAddr(0x2_0000)).unwrap();
        assert_eq!(uv.1.lock()[..4], [0xf138, 7, 0x2_0000, 16]);
        register_mem_slot(&uv, Lpid(7), GuestAddr(0), 0x10_0000, 0, 3).unwrap();
        assert_eq!(uv.1.lock()[..6], [0xf120, 7, 0, 0x10_0000, 0, 3]);
        assert_eq!(read_scom(&uv, 1, 2), Ok(44));
        assert_eq!(restricted_spr_read(&uv, crate::abi::regs::Spr::DAWR), Ok(55));
    }

    #[test]
    fn a_code_keeps_its_number_and_gets_a_kind() {
        let refused = |code| page_in(&fixed(code), Lpid(1), HostAddr(0), GuestAddr(0), 0).unwrap_err();
        assert_eq!(refused(-56), UvError { call: UltracallNumber::UV_PAGE_IN, code: UvCode::U_P3 });
        assert_eq!(refused(-56).kind(), ErrorKind::Integrity);
        assert_eq!(refused(-55).kind(), ErrorKind::WrongState);
        assert_eq!(refused(1).kind(), ErrorKind::Busy);
        assert_eq!(refused(-5).kind(), ErrorKind::Busy);
        assert_eq!(refused(-75).kind(), ErrorKind::WrongState);
        assert_eq!(refused(-4).kind(), ErrorKind::InvalidArgument);
        assert_eq!(refused(-11).kind(), ErrorKind::Permission);
        assert_eq!(refused(-2).kind(), ErrorKind::Unsupported);
        assert_eq!(refused(-12).kind(), ErrorKind::Fatal);
        assert_eq!(alloc::format!("{}", refused(-55)), "UV_PAGE_IN: U_P2 (-55)");
    }
}
