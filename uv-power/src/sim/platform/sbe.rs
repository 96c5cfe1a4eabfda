//! The self boot engine (power-pef §3.7).

/// The self boot engine of a chip: a mailbox with a timer.
#[derive(Debug, Default)]
pub(crate) struct Sbe {
    /// The mailbox takes nothing now.
    pub(crate) busy: bool,
    /// The timer that was set last.
    pub(crate) timer: u64,
    /// Interrupts that wait to be handled.
    pub(crate) interrupts: u64,
    /// Whether a dump was asked for.
    pub(crate) dump: bool,
}
