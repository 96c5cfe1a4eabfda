//! Adjunct processors (AP): crypto queues, as a guest's instructions PQAP, NQAP and DQAP see them.
//!
//! Who uses it: the guest's drivers for crypto cards, and the machine.
//!
//! A queue is one domain of one card. A guest under Secure Execution may use the queues that its hypervisor assigned to it
//! after it has *bound* them, and secure keys on them after it has *associated* them with an association secret (type 2) of
//! its store, which it names by its index in the secret list.
//!
//! | bind state | TAPQ | usable for |
//! |---|---|---|
//! | assigned | [`BindState::AVAILABLE`] | nothing: NQAP and DQAP get [`ApResponse::NOT_BOUND`] |
//! | bound (BAPQ) | [`BindState::NO_SECURE_KEY`] | requests without secure keys |
//! | associated (AAPQ) | [`BindState::USABLE`] | everything |
//! | another guest's | [`BindState::UNUSABLE`] | nothing |
//!
//! Names and numbers are those of Linux (`asm/ap.h`, `ap_bus.h`).

mod apqn;
mod codes;
mod config;
mod queue;

pub use apqn::Apqn;
pub use codes::{ApResponse, PqapFunction};
pub use config::ApConfigInfo;
pub use queue::{ApMode, ApQueueInfo, ApQueueStatus, BindState};
