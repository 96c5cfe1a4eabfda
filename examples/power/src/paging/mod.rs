//! The program `power_paging`: two secure VMs with more memory than there is secure memory, under load.
//!
//! | file | party | what |
//! |---|---|---|
//! | `guest` | guest | writes and reads its pages in random order; compares every byte at the end |
//! | `host` | hypervisor | machine, VMs, one thread for each virtual CPU and one that takes pages away |
//! | `count` | whoever looks on | pages in and out at the seam |

mod count;
mod guest;
mod host;

use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};

pub use host::{Load, Result as LoadResult, run};

use uv_programs::Failure;

/// Run two secure VMs of POWER with more memory than the secure pool.
#[derive(Debug, Parser)]
#[command(
    name = "power_paging",
    after_help = "Exit status: 0 every byte is right, 1 a byte is wrong, 2 unusable input."
)]
struct Cli {
    /// Memory that each guest works on, in MiB.
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=4096))]
    memory: u32,
    /// Secure memory of the machine, in MiB.
    #[arg(long, default_value_t = 24, value_parser = clap::value_parser!(u32).range(4..=8192))]
    pool: u32,
    /// Pages that each guest writes or reads, before it compares everything.
    #[arg(long, default_value_t = 4000)]
    steps: u32,
    /// Everything random comes from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Show one JSON object in place of text.
    #[arg(long)]
    json: bool,
}

/// Runs the program; `live` gets the line that changes while the load runs, `out` what stays.
///
/// # Errors
/// Status 2 and a sentence for options that cannot be used.
pub fn main(
    arguments: impl IntoIterator<Item = OsString>,
    out: &mut dyn Write,
    live: &mut dyn FnMut(&str),
) -> Result<ExitCode, Failure> {
    let cannot = |error: std::io::Error| Failure::unusable(format_args!("cannot write the output: {error}"));
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) if error.use_stderr() => {
            return Err(Failure::unusable(error.to_string().trim_start_matches("error: ").trim_end()));
        }
        Err(help) => {
            writeln!(out, "{help}").map_err(cannot)?;
            return Ok(ExitCode::SUCCESS);
        }
    };
    let pages = |mib: u32| u64::from(mib) << 4;
    let load = Load { work_pages: pages(cli.memory), pool_pages: pages(cli.pool), steps: cli.steps, seed: cli.seed };
    let result = run(&load, live)?;
    let right = result.is_right();
    if cli.json {
        writeln!(out, "{}", json(&load, &result)).map_err(cannot)?;
        return Ok(ExitCode::from(u8::from(!right)));
    }
    writeln!(
        out,
        "two VMs of {} pages each on {} secure pages: {} pages in, {} pages out ({} asked for by the ultravisor), at most {} secure pages in use",
        result.vm_pages, load.pool_pages, result.pages_in, result.pages_out, result.asked_out, result.most_in_use
    )
    .map_err(cannot)?;
    for (number, guest) in (1..).zip(result.guests) {
        writeln!(
            out,
            "VM {number}: {} pages written, {} read under load; then {} bytes compared, {} wrong",
            guest.written, guest.read, guest.compared, guest.wrong
        )
        .map_err(cannot)?;
    }
    writeln!(out, "{}", if right { "every byte is as the guests wrote it" } else { "BYTES ARE WRONG" })
        .map_err(cannot)?;
    Ok(ExitCode::from(u8::from(!right)))
}

/// The result as JSON.
fn json(load: &Load, result: &LoadResult) -> Value {
    let guest = |guest: &guest::Tally| {
        json!({
            "pages_written": guest.written,
            "pages_read": guest.read,
            "bytes_compared": guest.compared,
            "bytes_wrong": guest.wrong,
        })
    };
    json!({
        "result": if result.is_right() { "right" } else { "wrong" },
        "vm_pages": result.vm_pages,
        "secure_pages": load.pool_pages,
        "pages_in": result.pages_in,
        "pages_out": result.pages_out,
        "asked_out": result.asked_out,
        "most_in_use": result.most_in_use,
        "guests": result.guests.iter().map(guest).collect::<Value>(),
    })
}
