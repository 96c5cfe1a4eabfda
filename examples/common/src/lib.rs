//! What the example programs have in common: files without surprises, events, exit status, random numbers, and words for
//! people who gave another key than they meant.

pub mod exit;
pub mod files;
pub mod logging;
pub mod output;
pub mod outputs;
pub mod pem;
pub mod random;

pub use exit::{Failure, run};
