//! A toy ultravisor that keeps all rules, and one for each way of breaking them.

mod backend;
mod cpu;
mod fault;
mod machine;
mod pages;
mod seal;
mod sharing;
mod vm;

use uv_conformance::Candidate;

pub use backend::Toy;
pub use cpu::ToyCpu;
pub use fault::Fault;
pub use machine::ToyError;
pub use vm::ToyVm;

/// The toy with nothing wrong.
#[must_use]
pub fn right() -> Candidate {
    Candidate::new("toy", |setup| Toy::new(None, setup))
}

/// A wrong backend for each fault.
pub fn all() -> impl Iterator<Item = (&'static str, Candidate)> {
    Fault::ALL.iter().map(|fault| (fault.name(), Candidate::new(fault.name(), |setup| Toy::new(Some(*fault), setup))))
}
