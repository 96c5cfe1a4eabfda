//! What ultracalls return in R3 (power-pef §1.1).

use super::open_code;

open_code! {
    /// The result of an ultracall.
    ///
    /// Some results are not codes: `UV_ESMB_GET_FILE` gives a number of bytes.
    ///
    /// Positional rule: an error without a code of its own is named after the register of the bad argument: R4
    /// [`UvCode::U_PARAMETER`], R5 [`UvCode::U_P2`] … R8 [`UvCode::U_P5`].
    UvCode {
        /// Done.
        U_SUCCESS = 0;
        /// Unknown call.
        U_FUNCTION = -2;
        /// The argument in R4 is wrong.
        U_PARAMETER = -4;
        /// Not now: call again later. Known to the firmware only.
        U_RETRY = -5;
        /// The caller may not make this call.
        U_PERMISSION = -11;
        /// The argument in R5 is wrong.
        U_P2 = -55;
        /// The argument in R6 is wrong.
        U_P3 = -56;
        /// The argument in R7 is wrong.
        U_P4 = -57;
        /// The argument in R8 is wrong.
        U_P5 = -58;
        /// The caller runs a transaction. Known to the firmware only.
        U_BAD_MODE = -59;
        /// The VM's transition to secure mode failed and waits for its end. Known to the firmware only.
        U_STATE = -75;
        /// The page is in use for a moment: the number that hypervisors know (`H_BUSY`).
        U_BUSY = 1;
        /// Not available. In the hypervisor's header only, never returned.
        U_NOT_AVAILABLE = 3;
        /// The VM is not in a state for the call. The API document names the code, no public source gives its
        /// number: this one is chosen here, outside of every range in use.
        U_INVALID = -1001;
        /// No lockbox of the blob is for this machine. Number chosen here, as for [`UvCode::U_INVALID`].
        U_NO_KEY = -1002;
        /// A chip's control is off line. Number chosen here, as for [`UvCode::U_INVALID`].
        U_XSCOM_CTR_OFFLINED = -1003;
        /// SCOM: the hardware did not complete an indirect access.
        U_HARDWARE = -6;
        /// SCOM: this form of indirect access does not exist here.
        U_UNSUPPORTED = -7;
        /// SCOM: the chiplet is off, or in the wrong state.
        U_XSCOM_CHIPLET_OFF = -14;
        /// SCOM: only a part of the chip is good.
        U_XSCOM_PARTIAL_GOOD = -25;
        /// SCOM: no register has the address.
        U_XSCOM_ADDR_ERROR = -26;
        /// SCOM: clock error.
        U_XSCOM_CLOCK_ERROR = -27;
        /// SCOM: parity error.
        U_XSCOM_PARITY_ERROR = -28;
        /// SCOM: no answer in time.
        U_XSCOM_TIMEOUT = -29;
        /// SCOM and SBE: busy. The firmware's own number, which equals [`UvCode::U_FUNCTION`].
        U_XSCOM_BUSY = -2;
    }
}

impl UvCode {
    /// The code of the positional rule for the argument in R4 + `index`.
    #[must_use]
    pub const fn for_argument(index: usize) -> Self {
        match index {
            0 => Self::U_PARAMETER,
            1 => Self::U_P2,
            2 => Self::U_P3,
            3 => Self::U_P4,
            _ => Self::U_P5,
        }
    }
}
