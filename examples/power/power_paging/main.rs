//! Two secure VMs of POWER that have more memory than there is secure memory.
//!
//! ```text
//! power_paging [--memory MIB] [--pool MIB] [--steps N] [--seed N] [--json]
//! ```
//!
//! Each guest writes and reads its pages in random order. The ultravisor asks for pages to go out when its memory is used up,
//! the hypervisor takes pages away as it likes, and at the end each guest compares every byte of its memory.
//! Exit status: 0 every byte is right, 1 a byte is wrong, 2 unusable input.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use uv_power_programs::paging;
use uv_programs::run;

/// Without a terminal, one line in so many ticks is shown.
const LINES: u32 = 10;

fn main() -> ExitCode {
    let terminal = std::io::stderr().is_terminal();
    let mut ticks = 0_u32;
    let mut live = |line: &str| {
        if terminal {
            eprint!("\r\x1b[2K{line}");
        } else if ticks.is_multiple_of(LINES) {
            eprintln!("{line}");
        }
        ticks += 1;
    };
    let ended = run(|| {
        let mut shown = Vec::new();
        let ended = paging::main(std::env::args_os(), &mut shown, &mut live);
        if terminal {
            eprintln!();
        }
        let text = String::from_utf8_lossy(&shown);
        uv_programs::output::print(text.trim_end())?;
        ended
    });
    let _ = std::io::stderr().flush();
    ended
}
