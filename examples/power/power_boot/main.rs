//! A VM of POWER becomes secure: `UV_ESM`, its ESM blob, its files.
//!
//! ```text
//! power_boot                                            a sample with keys that are thrown away
//! power_boot --blob full.dtb --machine-key machine1.pem --kernel vmlinux --initrd initrd.img \
//!            --bootargs "root=/dev/sda1 rw svm=on console=hvc0" [--rtas FILE] [--blob-in-initrd]
//!            [--profile documented|firmware] [--json]
//! ```
//!
//! Exit status: 0 the VM is secure, 1 the ultravisor refused it, 2 unusable input.
//!
//! | file | party | what |
//! |---|---|---|
//! | `input` | whoever starts the program | options, files, the sample |
//! | `guest` | guest | its program: `UV_ESM`, then its files |
//! | `steps` | whoever looks on | the calls between hypervisor and ultravisor, as they happen |
//! | `main` | VMM | the machine, the VM, the run loop |
//! | `report` | whoever started the program | JSON and text |

mod guest;
mod input;
mod report;
mod steps;

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use uv_core::{EnterSecureMode as _, Exit, GuestAddr, NormalMemory, PageIn as _, PageSize, SecureVm as _, Vcpu as _};
use uv_power::abi::HvCode;
use uv_power::abi::regs::Lpid;
use uv_power::dev::{Rig, RigConfig};
use uv_power::hypervisor::kernel::{KvmError, KvmVcpu, Vm, VmConfig};
use uv_power::hypervisor::vmm::PefGuest;
use uv_power::sim::{Machine, MachineConfig};
use uv_power::wrap::Watched;
use uv_programs::{Failure, output};

use input::Cli;
use report::Report;
use steps::Steps;

/// The partition of the VM.
const LPID: Lpid = Lpid(1);
/// Secure pages beyond the VM's own, for the ultravisor's needs.
const SPARE_PAGES: u64 = 128;
/// More exits than a boot has.
const MOST_EXITS: u32 = 100_000;

fn main() -> ExitCode {
    uv_programs::run(|| boot(&Cli::parse()))
}

fn boot(cli: &Cli) -> Result<ExitCode, Failure> {
    let input = cli.read()?;
    let steps = Arc::new(Steps::new(cli.json));

    // The machine: the hypervisor's memory, and an ultravisor with secure memory for the VM. The host's kernel, its calls watched.
    let layout = input.files.layout()?;
    let pages = layout.memory >> PageSize::K64.shift();
    let mut config = RigConfig::with_machine(MachineConfig {
        secure_pages: u32::try_from(pages + SPARE_PAGES).map_err(Failure::unusable)?,
        ..MachineConfig::new(input.files.machine_key.clone()).with_profile(input.profile)
    });
    config.guest_bytes = layout.memory;
    let shown = Arc::clone(&steps);
    let watched = |machine: &Machine| Arc::new(Watched::new(machine.clone(), move |call| shown.call(call)));
    let rig = Rig::over(config, |memory| Arc::new(memory), watched);

    // The VMM puts the guest into its memory.
    let slots = rig.slots(pages).map_err(Failure::unusable)?;
    layout.load(&*rig.memory, Rig::GUESTS).map_err(Failure::unusable)?;
    steps.loaded(&layout, input.profile);

    // What the guest's boot CPU will do.
    let (program, seen) = guest::program(layout.request(), layout.free, input.names);
    rig.machine.add_vcpu(LPID, 0, program);

    // The VM.
    let vm = Arc::new(Vm::new(rig.host.clone(), VmConfig { lpid: LPID, radix: true, slots }));
    let _pef_guest = PefGuest::new(Arc::clone(&vm)).map_err(Failure::unusable)?;
    let mut cpu = KvmVcpu::new(Arc::clone(&vm), 0).starting_at(layout.kernel.at);

    steps.tell(&format!("guest: UV_ESM, kernel {}, device tree {}", layout.kernel.at, layout.tree));
    let refusal =
        run(&vm, &mut cpu, &steps).map_err(|error| Failure::unusable(format_args!("the VM cannot run: {error}")))?;

    let seen = core::mem::take(&mut *seen.lock().map_err(|_| Failure::unusable("the guest's program ended badly"))?);
    let states = report::page_states(&rig.machine, LPID, pages);
    let found = seen.read_back.as_ref().map(|mark| look(&vm, &*rig.memory, layout.free, mark.len()));
    let report = Report::new(seen, report::Stop::new(&rig.machine, LPID, refusal), states, found, steps.pages_in());
    output::print(&if cli.json { report.json().to_string() } else { report.text() })?;
    Ok(if report.is_secure() { ExitCode::SUCCESS } else { ExitCode::from(Failure::REFUSED) })
}

/// Runs the guest to its end; gives why its wish to become secure was refused, if it was.
fn run(vm: &Vm, cpu: &mut KvmVcpu, steps: &Steps) -> Result<Option<KvmError>, KvmError> {
    let mut refusal = None;
    for _ in 0..MOST_EXITS {
        match cpu.run()? {
            Exit::EnterSecureMode => {
                refusal = vm.enter_secure_mode(cpu).err();
                steps.tell(match refusal {
                    None => "guest: runs in secure mode",
                    Some(_) => "guest: goes on as a normal VM",
                });
            }
            Exit::EnterAborted => {
                steps.tell("ultravisor: gives up");
                refusal = Some(KvmError::Refused(HvCode::H_STATE));
                vm.terminate()?;
            }
            Exit::Halted => break,
            Exit::PageMissing { gfn, .. } => vm.page_in(gfn)?,
            // There are no devices here.
            exit => {
                steps.tell(&format!("  guest to hypervisor: {exit:?}"));
                cpu.complete(HvCode::H_FUNCTION, &[]);
            }
        }
    }
    Ok(refusal)
}

/// What the hypervisor finds in a page of the guest: nothing if it cannot have the page.
fn look(vm: &Vm, memory: &dyn NormalMemory, at: GuestAddr, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    let mut read = || memory.read(vm.slots().host_addr(at)?, &mut bytes).ok();
    let there = vm.host_touches(PageSize::K64.gfn(at)).is_ok() && read().is_some();
    if there { bytes } else { Vec::new() }
}
