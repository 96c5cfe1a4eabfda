//! Codes in the state description.

use core::fmt;

use bitflags::bitflags;

/// Interception code. Open: any value may come from a machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct InterceptionCode(pub u8);

impl InterceptionCode {
    /// None: the host CPU was interrupted. The guest goes on at the next entry.
    pub const HOST_INTERRUPTION: Self = Self(0x00);
    /// Plain instruction; never seen for a protected guest.
    pub const INSTRUCTION: Self = Self(0x04);
    /// Program interruption: for a protected guest, only a loop of specification exceptions through a bad program-new PSW.
    pub const PROGRAM: Self = Self(0x08);
    /// External request.
    pub const EXTERNAL_REQUEST: Self = Self(0x10);
    /// External interruption: for a protected guest, only a loop through an external-new PSW that is enabled for it. That PSW
    /// is in the PSW field, the interruption code in its field.
    pub const EXTERNAL: Self = Self(0x14);
    /// I/O request.
    pub const IO_REQUEST: Self = Self(0x18);
    /// Wait state.
    pub const WAIT: Self = Self(0x1c);
    /// Validity: the state description was refused. The code is in the upper half of the IPB.
    pub const VALIDITY: Self = Self(0x20);
    /// Stop request.
    pub const STOP: Self = Self(0x28);
    /// Operation exception, of an ordinary guest.
    pub const OPERATION_EXCEPTION: Self = Self(0x2c);
    /// Partial execution.
    pub const PARTIAL_EXECUTION: Self = Self(0x38);
    /// The guest opened or closed its machine-check mask.
    pub const MACHINE_CHECK_REQUEST: Self = Self(0x60);
    /// The guest changed an interruption submask.
    pub const INTERRUPT_ENABLE: Self = Self(0x64);
    /// 104: a protected guest's instruction that the host must emulate; the next entry completes it.
    pub const PV_INSTRUCTION: Self = Self(0x68);
    /// 108: a protected guest's instruction that the host is told about.
    pub const PV_NOTIFICATION: Self = Self(0x6c);
    /// 112: a prefix page of a protected guest is not secure.
    pub const PV_PREFIX: Self = Self(0x70);
}

impl fmt::Debug for InterceptionCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InterceptionCode({:#04x})", self.0)
    }
}

/// Interruption-injection control (IICTL): what the host asks to be injected at the next entry. Open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct InjectionControl(pub u8);

impl InjectionControl {
    /// Nothing.
    pub const NONE: Self = Self(0x00);
    /// Machine check: MCIC, failing address and external damage code are in the state description.
    pub const MACHINE_CHECK: Self = Self(0x01);
    /// External interruption: code, CPU address and parameter are in the state description.
    pub const EXTERNAL: Self = Self(0x02);
    /// I/O interruption: subchannel and parameter are in the state description.
    pub const IO: Self = Self(0x03);
    /// Restart.
    pub const RESTART: Self = Self(0x04);
    /// Specification exception, when the instruction at work permits it.
    pub const SPECIFICATION: Self = Self(0x10);
    /// Operand exception, when the instruction at work permits it.
    pub const OPERAND: Self = Self(0x11);
}

impl fmt::Debug for InjectionControl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InjectionControl({:#04x})", self.0)
    }
}

/// Validity code: why a state description was refused. Open.
///
/// Public sources assert only that the Ultravisor's codes are 0x20xx; the low bytes of the constants here are this
/// library's own numbering, so that tests and traces can tell the reasons apart.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Validity(pub u16);

impl Validity {
    /// No such configuration, or a handle that does not belong to the CPU.
    pub const CONF_HANDLE: Self = Self(0x2001);
    /// No such CPU.
    pub const CPU_HANDLE: Self = Self(0x2002);
    /// The CPU belongs to another configuration, or to another state description.
    pub const FOREIGN: Self = Self(0x2003);
    /// The CPU is running already.
    pub const RUNNING: Self = Self(0x2004);
    /// Control register 1 is not the ASCE the configuration was created with.
    pub const ASCE: Self = Self(0x2005);
    /// The CPU is not operating.
    pub const CPU_STATE: Self = Self(0x2006);
    /// The CPU timer was changed by more than time did.
    pub const CPU_TIMER: Self = Self(0x2007);
    /// The guest is not enabled for the interruption to inject, or an injection is not allowed at this entry.
    pub const INJECTION: Self = Self(0x2008);
    /// The configuration is not verified, is being reset, or is being dumped.
    pub const CONF_STATE: Self = Self(0x2009);
    /// The SIDA designation is not the one the CPU was created with, or cannot be reached.
    pub const SIDA: Self = Self(0x200a);
    /// The state description is not of format 4.
    pub const FORMAT: Self = Self(0x200b);
    /// The SCA is not an extended one.
    pub const EXTENDED_SCA: Self = Self(0x200c);
    /// The SCA is not the one the configuration was created with.
    pub const SCA: Self = Self(0x200d);
    /// MSO is not the one the configuration was created with.
    pub const MSO: Self = Self(0x200e);
    /// MSL ends before the guest storage that the configuration was created with.
    pub const MSL: Self = Self(0x200f);

    /// Whether this is one of the Ultravisor's codes.
    #[must_use]
    pub const fn is_ultravisor(self) -> bool {
        self.0 & 0xff00 == 0x2000
    }
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validity({:#06x})", self.0)
    }
}

bitflags! {
    /// CPU flags of the state description (offset 0) that matter here.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub struct ExecutionControl: u32 {
        /// Stopped by the host's book-keeping.
        const STOPPED = 0x8000_0000;
        /// Waiting by the host's book-keeping.
        const WAIT = 0x1000_0000;
        /// Exit as soon as a stop was requested.
        const STOP_INTERCEPT = 0x0400_0000;
        /// Exit when the guest is enabled for I/O.
        const IO_INTERCEPT = 0x0200_0000;
        /// Exit when the guest is enabled for external interruptions.
        const EXTERNAL_INTERCEPT = 0x0100_0000;
        const _ = !0;
    }
}
