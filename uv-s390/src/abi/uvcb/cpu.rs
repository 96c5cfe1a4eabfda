//! Blocks that make CPUs and set their state.

use core::fmt;

use zerocopy::byteorder::big_endian::{U16, U64};
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::{UvCommand, UvcbHeader};

/// Block of CREATE_SEC_CPU (0x60 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct CreateCpu {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Out: handle of the CPU.
    pub cpu_handle: U64,
    /// Handle of the configuration.
    pub guest_handle: U64,
    /// CPU storage: host absolute address.
    pub stor_origin: U64,
    _reserved_30: [u8; 6],
    /// CPU number (address).
    pub num: U16,
    /// State description: host absolute address.
    pub state_origin: U64,
    _reserved_40: [u8; 32],
}

block!(
    CreateCpu, 0x60,
    cpu_handle at 0x18,
    guest_handle at 0x20,
    stor_origin at 0x28,
    num at 0x36,
    state_origin at 0x38,
);

impl CreateCpu {
    /// A block for CPU `num` of a configuration.
    #[must_use]
    pub fn new(guest_handle: u64, num: u16, stor_origin: u64, state_origin: u64) -> Self {
        Self {
            header: UvcbHeader::new(UvCommand::CREATE_SEC_CPU, 0x60),
            guest_handle: guest_handle.into(),
            stor_origin: stor_origin.into(),
            num: num.into(),
            state_origin: state_origin.into(),
            ..Self::new_zeroed()
        }
    }
}

/// State of a CPU as CPU_SET_STATE knows it. Open: any value may come from outside.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct CpuState(pub u8);

impl CpuState {
    /// Operating: the guest runs when it is entered.
    pub const OPERATING: Self = Self(1);
    /// Stopped: the guest cannot be entered.
    pub const STOPPED: Self = Self(2);
    /// Check-stop: the CPU is broken.
    pub const CHECK_STOP: Self = Self(3);
    /// Operating after loading the start PSW: from the SE header after VERIFY_IMG, from guest absolute 0 after
    /// PREPARE_RESET.
    pub const OPERATING_LOAD: Self = Self(5);
}

impl fmt::Debug for CpuState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::OPERATING => f.write_str("operating"),
            Self::STOPPED => f.write_str("stopped"),
            Self::CHECK_STOP => f.write_str("check-stop"),
            Self::OPERATING_LOAD => f.write_str("operating-load"),
            Self(other) => write!(f, "CpuState({other})"),
        }
    }
}

/// Block of CPU_SET_STATE (0x50 bytes).
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub struct SetCpuState {
    /// Header.
    pub header: UvcbHeader,
    _reserved_08: [u8; 16],
    /// Handle of the CPU.
    pub cpu_handle: U64,
    _reserved_20: [u8; 7],
    /// [`CpuState`].
    pub state: u8,
    _reserved_28: [u8; 40],
}

block!(SetCpuState, 0x50, cpu_handle at 0x18, state at 0x27);

impl SetCpuState {
    /// A block that sets the state of a CPU.
    #[must_use]
    pub fn new(cpu_handle: u64, state: CpuState) -> Self {
        let header = UvcbHeader::new(UvCommand::CPU_SET_STATE, 0x50);
        Self { header, cpu_handle: cpu_handle.into(), state: state.0, ..Self::new_zeroed() }
    }
}
