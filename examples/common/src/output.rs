//! Standard output of the example programs.

use std::io::{ErrorKind, Write as _, stdout};

use crate::exit::Failure;

/// Writes `text` and a line feed to the standard output. A reader that went away is no failure.
///
/// # Errors
/// Status 2 if the output cannot be written.
pub fn print(text: &str) -> Result<(), Failure> {
    write(text.as_bytes())?;
    write(b"\n")
}

/// Writes bytes to the standard output, as [`print()`].
///
/// # Errors
/// Status 2 if the output cannot be written.
pub fn write(bytes: &[u8]) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(bytes).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(Failure::unusable(format_args!("cannot write the output: {error}")))
        }
        _ => Ok(()),
    }
}
