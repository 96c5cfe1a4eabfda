//! Exit status of the example programs.
//!
//! | status | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | the ultravisor refused, or a check of authentic input said no |
//! | 2 | unusable input: missing, too large, not the expected format, wrong option; an output that exists or cannot be written |
//!
//! `s390_attest` has 1 for both, since its 2 says that a measurement differs.

use core::fmt;
use std::process::ExitCode;

use crate::{logging, outputs};

/// Why a program ends early: an exit status and one sentence for the person at the terminal.
///
/// The sentence never holds a key, a pass phrase or plaintext.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    status: u8,
    sentence: String,
}

impl Failure {
    /// Exit status of [`Failure::refused`].
    pub const REFUSED: u8 = 1;
    /// Exit status of [`Failure::unusable`].
    pub const UNUSABLE: u8 = 2;

    /// Ends with status 1: the input was understood and refused.
    pub fn refused(sentence: impl fmt::Display) -> Self {
        Self { status: Self::REFUSED, sentence: sentence.to_string() }
    }

    /// Ends with status 2: the input cannot be used.
    pub fn unusable(sentence: impl fmt::Display) -> Self {
        Self { status: Self::UNUSABLE, sentence: sentence.to_string() }
    }

    /// The exit status.
    #[must_use]
    pub const fn status(&self) -> u8 {
        self.status
    }

    /// The sentence shown on the standard error stream.
    #[must_use]
    pub fn sentence(&self) -> &str {
        &self.sentence
    }

    /// The same failure with `place: ` in front of its sentence, such as a file name.
    #[must_use]
    pub fn at(self, place: impl fmt::Display) -> Self {
        Self { sentence: format!("{place}: {}", self.sentence), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.sentence)
    }
}

impl core::error::Error for Failure {}

/// Runs a program: prints the sentence of a failure on the standard error stream and gives the exit status.
///
/// Signals take back what is half written, and `RUST_LOG` shows the libraries' events.
///
/// `program` returns its own [`ExitCode`] when it ends by itself, so that a program which already told the
/// outcome on its standard output (as `--json` does) can still end with status 1.
pub fn run(program: impl FnOnce() -> Result<ExitCode, Failure>) -> ExitCode {
    outputs::catch_signals();
    logging::start();
    match program() {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{ExitCode, Failure, run};

    #[test]
    fn failure_becomes_the_exit_status() {
        assert_eq!(run(|| Ok(ExitCode::SUCCESS)), ExitCode::SUCCESS);
        assert_eq!(run(|| Err(Failure::unusable("no"))), ExitCode::from(2));
        assert_eq!(run(|| Err(Failure::refused("no"))), ExitCode::from(1));
    }

    #[test]
    fn place_stands_in_front_and_keeps_the_status() {
        let failure = Failure::refused("is not mine").at("a.bin");
        assert_eq!((failure.status(), failure.sentence()), (1, "a.bin: is not mine"));
    }
}
