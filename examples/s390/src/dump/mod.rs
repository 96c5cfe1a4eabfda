//! What `examples/s390_dump.rs` does: each subcommand in a file.

mod create;
mod decrypt;
mod file;
mod info;
mod program;

pub use create::{Create, Dumped, dump};
pub use decrypt::{Decrypt, Format};
pub use file::{FileSink, FileSource};
pub use info::Info;
pub use program::{Busy, busy_guest, read_memory};

use std::io::{IsTerminal as _, stderr};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A progress bar over bytes, on the standard error stream if that is a terminal.
fn progress(what: &str, bytes: u64) -> ProgressBar {
    if !stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
    if let Ok(style) =
        ProgressStyle::with_template(&format!("  {what} {{bar:40}} {{bytes}}/{{total_bytes}}, {{eta}} left"))
    {
        bar.set_style(style);
    }
    bar
}
