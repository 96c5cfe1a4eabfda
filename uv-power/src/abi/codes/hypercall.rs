//! What hypercalls return in R3 (power-pef §1.2).

use super::open_code;

open_code! {
    /// The result of a hypercall. Positional rule: R4 [`HvCode::H_PARAMETER`], R5 [`HvCode::H_P2`] … R12 [`HvCode::H_P9`].
    HvCode {
        /// Done.
        H_SUCCESS = 0;
        /// Busy: call again.
        H_BUSY = 1;
        /// The resource is closed.
        H_CLOSED = 2;
        /// Not available.
        H_NOT_AVAILABLE = 3;
        /// The hardware failed.
        H_HARDWARE = -1;
        /// Unknown call.
        H_FUNCTION = -2;
        /// The caller has not the privilege.
        H_PRIVILEGE = -3;
        /// The argument in R4 is wrong.
        H_PARAMETER = -4;
        /// Wrong mode.
        H_BAD_MODE = -5;
        /// No memory.
        H_NO_MEM = -9;
        /// The caller has not the authority: secure guests are not enabled for this VM.
        H_AUTHORITY = -10;
        /// Not permitted.
        H_PERMISSION = -11;
        /// A resource is missing.
        H_RESOURCE = -16;
        /// The argument in R5 is wrong.
        H_P2 = -55;
        /// The argument in R6 is wrong.
        H_P3 = -56;
        /// The argument in R7 is wrong.
        H_P4 = -57;
        /// The argument in R8 is wrong.
        H_P5 = -58;
        /// The argument in R9 is wrong.
        H_P6 = -59;
        /// The argument in R10 is wrong.
        H_P7 = -60;
        /// The argument in R11 is wrong.
        H_P8 = -61;
        /// The argument in R12 is wrong.
        H_P9 = -62;
        /// Too big.
        H_TOO_BIG = -64;
        /// Not supported.
        H_UNSUPPORTED = -67;
        /// Wrong state.
        H_STATE = -75;
        /// Call again in about 1 ms.
        H_LONG_BUSY_ORDER_1_MSEC = 9900;
        /// Call again in about 10 ms.
        H_LONG_BUSY_ORDER_10_MSEC = 9901;
        /// Call again in about 100 ms.
        H_LONG_BUSY_ORDER_100_MSEC = 9902;
        /// Call again in about 1 s.
        H_LONG_BUSY_ORDER_1_SEC = 9903;
        /// Call again in about 10 s.
        H_LONG_BUSY_ORDER_10_SEC = 9904;
        /// Call again in about 100 s.
        H_LONG_BUSY_ORDER_100_SEC = 9905;
        /// The kernel hands the call to user space. Inside the hypervisor only.
        H_TOO_HARD = 9999;
    }
}
