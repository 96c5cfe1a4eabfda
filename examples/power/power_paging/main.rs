//! Two secure VMs of POWER that have more memory than there is secure memory.
//!
//! ```text
//! power_paging [--memory MIB] [--pool MIB] [--steps N] [--seed N] [--json]
//! ```
//!
//! Each guest writes and reads its pages in random order. The ultravisor asks for pages to go out when its memory is used up,
//! the hypervisor takes pages away as it likes, and at the end each guest compares every byte of its memory.
//! Exit status: 0 every byte is right, 1 a byte is wrong, 2 unusable input.
//!
//! | file | party | what |
//! |---|---|---|
//! | `guest` | guest | writes and reads its pages in random order; compares every byte at the end |
//! | `main` | hypervisor | machine, VMs, one thread for each virtual CPU and one that takes pages away |
//! | `host` | hypervisor | boots a VM, serves its exits, takes its pages |
//! | `live` | whoever looks on | counts pages at the seam, shows a line |
//! | `report` | whoever started the program | JSON and text |

mod guest;
mod host;
mod live;
mod report;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use clap::Parser;
use uv_core::PageSize;
use uv_power::dev::{Rig, RigConfig};
use uv_power::sim::{Machine, MachineConfig};
use uv_power::wrap::Watched;
use uv_power_programs::SvmFiles;
use uv_programs::{Failure, output};

use guest::Load;
use host::{serve, take_away};
use live::{Counts, Line};
use report::Report;

/// Secure pages that a transition needs: what is loaded, and the ultravisor's own.
const LEAST: u64 = 64;

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

fn main() -> ExitCode {
    uv_programs::run(|| page(&Cli::parse()))
}

fn page(cli: &Cli) -> Result<ExitCode, Failure> {
    let mib = |mib: u32| u64::from(mib) << (20 - PageSize::K64.shift());
    let (work, secure) = (mib(cli.memory), mib(cli.pool));
    if work == 0 || secure < LEAST {
        return Err(Failure::unusable(format_args!("the pool needs {LEAST} pages of 64 KiB, each guest at least one")));
    }
    let files = SvmFiles::sample()?;
    let layout = files.layout()?.with_free(work << PageSize::K64.shift()).map_err(Failure::unusable)?;
    let pages = layout.memory >> PageSize::K64.shift();

    // The machine.
    let mut config = RigConfig::with_machine(MachineConfig {
        secure_pages: u32::try_from(secure).map_err(Failure::unusable)?,
        seed: cli.seed,
        ..MachineConfig::new(files.machine_key.clone())
    });
    config.guest_bytes = 2 * layout.memory;

    // The host. KVM gives every page a device page when a VM becomes secure, so it is told of as much secure memory as the VMs
    // have. The ultravisor has less and asks for pages to go out.
    config.device_pages = Some(2 * pages);
    let counts = Arc::new(Counts::default());
    let counted = Arc::clone(&counts);
    let watched = |machine: &Machine| Arc::new(Watched::new(machine.clone(), move |call| counted.count(call)));
    let rig = Rig::over(config, |memory| Arc::new(memory), watched);

    // Two VMs, each with a guest that becomes secure.
    let boot = |number: u32| {
        let load = Load { pages: work, steps: cli.steps, seed: cli.seed ^ u64::from(number) << 32 };
        host::boot(&rig, &layout, &load)
    };
    let vms = [boot(0)?, boot(1)?];

    // Both run, while the hypervisor takes pages away.
    let mut line = Line::new(&rig.machine, &counts, &vms);
    let done = AtomicBool::new(false);
    let ended = thread::scope(|scope| {
        let threads = [0, 1].map(|me: usize| {
            let (vms, seed) = (&vms, cli.seed ^ me as u64);
            scope.spawn(move || serve(&vms[me], &vms[1 - me], seed))
        });
        let taker = scope.spawn(|| take_away(&vms, pages, cli.seed, &done));
        line.show_while(|| !threads.iter().all(thread::ScopedJoinHandle::is_finished));
        done.store(true, Ordering::Relaxed);
        let ended =
            threads.map(|thread| thread.join().unwrap_or(Err(Failure::refused("a virtual CPU's thread ended"))));
        taker.join().map_err(|_| Failure::refused("the hypervisor's thread ended"))?;
        ended.into_iter().collect::<Result<(), _>>()
    });
    let most_in_use = line.end();
    ended?;

    let report = Report::new(pages, secure, &counts, most_in_use, &vms);
    output::print(&if cli.json { report.json().to_string() } else { report.text() })?;
    Ok(if report.is_right() { ExitCode::SUCCESS } else { ExitCode::from(Failure::REFUSED) })
}
