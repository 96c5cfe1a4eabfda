//! The program `power_boot`: a VM of POWER with an ESM blob becomes secure, or is told why not.
//!
//! | file | party | what |
//! |---|---|---|
//! | `input` | whoever starts the program | options, files, the sample |
//! | `layout` | hypervisor | what lies where in guest memory |
//! | `guest` | guest | its program: `UV_ESM`, then its files |
//! | `watch` | whoever looks on | the calls between hypervisor and ultravisor, as they happen |
//! | `boot` | hypervisor | the machine, the VM, the run loop |
//! | `report` | whoever started the program | JSON and text |

mod enter;
mod guest;
mod input;
mod layout;
mod report;
mod watch;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

pub use enter::{Entry, Outcome, Refused, boot};
pub use guest::GuestFiles;
pub use input::Input;
pub use layout::Layout;
pub use report::json;
pub use watch::Teller;

use uv_programs::Failure;

/// Runs the program: `arguments` with the program's name in front, `out` for everything that is shown.
///
/// # Errors
/// Status 2 and a sentence for options or files that cannot be used.
pub fn main<W: Write + Send + 'static>(
    arguments: impl IntoIterator<Item = OsString>,
    out: W,
) -> Result<ExitCode, Failure> {
    let out = Arc::new(Mutex::new(out));
    let cannot = |error: std::io::Error| Failure::unusable(format_args!("cannot write the output: {error}"));
    let write = |text: &str| match out.lock() {
        Ok(mut out) => writeln!(out, "{text}").or_else(gone),
        Err(_) => Ok(()),
    };
    let (input, as_json) = match input::Asked::from_arguments(arguments)? {
        input::Asked::Help(text) => {
            write(&text).map_err(cannot)?;
            return Ok(ExitCode::SUCCESS);
        }
        input::Asked::Boot(input, as_json) => (*input, as_json),
    };
    let tell: Teller = if as_json {
        Box::new(|_| {})
    } else {
        let out = Arc::clone(&out);
        Box::new(move |line| {
            if let Ok(mut out) = out.lock() {
                // A reader that went away ends the telling, not the boot.
                let _ = writeln!(out, "{line}");
            }
        })
    };
    let outcome = boot(&input, tell)?;
    write(&if as_json { json(&outcome).to_string() } else { report::text(&outcome) }).map_err(cannot)?;
    Ok(ExitCode::from(u8::from(outcome.entry.is_none())))
}

fn gone(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}
