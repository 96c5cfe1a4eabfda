//! What all parties share: numbers, registers, codes, and the seams. Definitions only, nothing here acts.
//!
//! Who uses it: all parties.
//!
//! | part | what |
//! |---|---|
//! | [`calls`] | the tables of ultracalls and hypercalls: one row a call |
//! | [`numbers`] | their numbers, and flags |
//! | [`codes`] | return codes |
//! | [`regs`], [`msr`] | registers, special purpose registers, the machine state |
//! | [`ultracall`] | the seam: one `sc 2`; typed calls on top |
//! | [`entry`] | the second seam: one guest entry |
//! | [`tpm`] | the third seam: the host's TPM behind `H_SVM_TPM_COMM` |
//! | [`profile`] | which ultravisor is meant where documents and code disagree |
//! | [`differences`] | every such point, with what each profile does |

pub mod calls;
pub mod codes;
pub mod differences;
pub mod entry;
pub mod msr;
pub mod numbers;
pub mod profile;
pub mod regs;
pub mod tpm;
pub mod ultracall;

pub use codes::{HvCode, UvCode};
pub use entry::GuestEntry;
pub use msr::{Msr, Privilege};
pub use profile::Profile;
pub use regs::Regs;
pub use ultracall::{Ultracall, UvError};
