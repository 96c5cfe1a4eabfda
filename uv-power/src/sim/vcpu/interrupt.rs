//! An interrupt with its cause, as the hardware delivers it.

/// What arrives at a virtual CPU. A vector alone is an interrupt without a cause: `Interrupt::from(0x980)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interrupt {
    /// The vector.
    pub vector: u64,
    /// Status bits of SRR1 or HSRR1: why a system reset, a machine check or a maintenance interrupt came. Only bits of
    /// [`INTERRUPT_STATUS`](crate::abi::msr::INTERRUPT_STATUS) count.
    pub status: u64,
    /// 0xf80: the facility that is not available, the first byte of HFSCR; 5 is transactional memory.
    pub facility: u8,
    /// 0xe40: the instruction, as HEIR holds it.
    pub instruction: u32,
    /// 0x200: DSISR and DAR; `None` leaves what the guest has there.
    pub data: Option<(u64, u64)>,
}

impl From<u64> for Interrupt {
    fn from(vector: u64) -> Self {
        Self { vector, ..Self::default() }
    }
}
