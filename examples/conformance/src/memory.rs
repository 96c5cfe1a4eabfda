//! Wrappers around normal memory that the rules must not notice.

use std::sync::Arc;

use uv_core::NormalMemory;
use uv_sim::wrap::{EventLog, Stalled, Traced};

/// What stands around normal memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryWrap {
    /// Nothing.
    #[default]
    Plain,
    /// A log of every access.
    Traced,
    /// A gate that lets every access pass.
    Stalled,
}

impl MemoryWrap {
    /// Stands around this memory.
    pub fn around(self, memory: impl NormalMemory + 'static) -> Arc<dyn NormalMemory> {
        match self {
            Self::Plain => Arc::new(memory),
            Self::Traced => Arc::new(Traced::new(memory, EventLog::default())),
            Self::Stalled => Arc::new(Stalled::new(memory)),
        }
    }
}
