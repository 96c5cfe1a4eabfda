//! The life of a protected guest on a simulated IBM Z machine, with the pages by state after each step.
//!
//! ```text
//! s390_lifecycle [--pages N] [--json]
//! ```
//! Boot; page out half of the guest and in again on fault; share a bounce buffer; reset; re-IPL; end protection
//! asynchronously, then at once.
//!
//! Exit status: 0 every step went well; 1 a step was refused, or the guest read wrong bytes; 2 unusable options.

mod guest;
mod host;
mod table;

use std::process::ExitCode;

use clap::Parser;
use rand_core::Rng as _;
use uv_core::{Gfn, PageOut as _, PageState};
use uv_programs::{Failure, random};
use uv_s390::guest::stage3a::BootImage;
use uv_s390::hypervisor::kernel::S390Exit;
use uv_s390::hypervisor::uapi::client;
use uv_s390::hypervisor::vmm::diag308::ResetRequest;
use uv_s390::hypervisor::vmm::ipl::{AfterReset, NoDevices, Unprotected, reset, unprotect};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::ImageBuilder;
use uv_s390_programs::vm::{Platform, Vm};

use crate::host::{boot, next_yield, run};
use crate::table::Table;

/// Walk a protected guest through its life
#[derive(Parser, Debug)]
#[command(
    name = "s390_lifecycle",
    after_help = "Exit status: 0 every step went well; 1 a step was refused, or the guest read wrong bytes; 2 unusable options."
)]
struct Cli {
    /// How many pages the guest uses besides its image, 2 to 200
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(2..=200))]
    pages: u64,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    uv_programs::run(|| live(&Cli::parse()))
}

fn live(cli: &Cli) -> Result<ExitCode, Failure> {
    let pages = cli.pages;
    let (mut platform, image) = machine()?;
    let mut vm = platform.load(&image)?;
    let guest = guest::LifecycleGuest::new(&image, pages);
    vm.set_guest_code(guest.clone())?;
    let mut table = Table::new(cli.json)?;

    boot(&mut vm)?;
    table.row("boot: image unpacked and verified", &vm)?;

    let faults = next_yield(&vm)?;
    table.row(&format!("guest uses {pages} more pages, {faults} faults"), &vm)?;

    let out = page_out_half(&vm)?;
    table.row(&format!("hypervisor pages out {out} pages"), &vm)?;

    let faults = next_yield(&vm)?;
    table.row(&format!("guest reads all it has, {faults} faults"), &vm)?;

    next_yield(&vm)?;
    table.row("guest shares a bounce buffer", &vm)?;
    talk(&vm, &guest)?;

    expect_reset_notice(&vm)?;
    let after =
        reset(&mut NoDevices, &**vm.guest(), &vm.guest().storage(), &vm.ipl_options(), true, ResetRequest::LoadNormal);
    if after.map_err(Failure::refused)? != AfterReset::Running {
        return Err(Failure::refused("the guest does not run after its reset"));
    }
    table.row("guest resets itself (load normal)", &vm)?;

    expect_re_ipl(&vm)?;
    let after =
        reset(&mut NoDevices, &**vm.guest(), &vm.guest().storage(), &vm.ipl_options(), true, ResetRequest::ReIpl);
    if after.map_err(Failure::refused)? != AfterReset::Ipl(Unprotected::Now) {
        return Err(Failure::refused("the guest is still protected after its re-IPL"));
    }
    table.row("guest asks for re-IPL: ordinary again", &vm)?;

    vm.reload(&image)?;
    boot(&mut vm)?;
    next_yield(&vm)?;
    table.row("image loaded and booted again", &vm)?;

    if unprotect(&mut NoDevices, &**vm.guest(), true).map_err(Failure::refused)? != Unprotected::SetAside {
        return Err(Failure::refused("the configuration was not set aside"));
    }
    table.row("configuration set aside, VM ordinary at once", &vm)?;
    client::cleanup_perform(&**vm.guest()).map_err(Failure::refused)?;
    table.row("leftovers destroyed", &vm)?;

    vm.reload(&image)?;
    boot(&mut vm)?;
    next_yield(&vm)?;
    table.row("booted a third time", &vm)?;
    client::disable(&**vm.guest()).map_err(Failure::refused)?;
    table.row("protection ended at once", &vm)?;
    if platform.machine().secure_frames_in_use() != 0 {
        return Err(Failure::refused("secure frames are left over"));
    }
    table.end(&guest)?;
    Ok(ExitCode::SUCCESS)
}

/// A machine with a new host key and an image for it.
fn machine() -> Result<(Platform, BootImage), Failure> {
    let mut rng = random::rng(None)?;
    let key = HostPrivateKey::generate(&mut rng);
    let mut kernel = vec![0; 100_000];
    rng.fill_bytes(&mut kernel);
    let built = ImageBuilder::new(&kernel)
        .command_line(b"quiet")
        .host_key(key.public())
        .skip_component_check()
        .build(&mut rng)
        .map_err(Failure::unusable)?;
    let image = BootImage::find(built.bytes).map_err(Failure::unusable)?;
    let platform = Platform::new(key, rng.next_u64(), image.file().len())?;
    Ok((platform, image))
}

/// Every second secure page goes out, but for the prefix pages.
fn page_out_half(vm: &Vm) -> Result<u64, Failure> {
    let mut out = 0;
    for gfn in (2..vm.guest().slots().end().0).step_by(2).map(Gfn) {
        if vm.page_state(gfn)? == PageState::Secure {
            vm.guest().page_out(gfn).map_err(Failure::refused)?;
            out += 1;
        }
    }
    Ok(out)
}

/// The hypervisor finds the guest's words in the shared page and answers there.
fn talk(vm: &Vm, guest: &guest::LifecycleGuest) -> Result<(), Failure> {
    let mut heard = [0; guest::WORDS.len()];
    vm.guest().host_read(guest.buffer(), &mut heard).map_err(Failure::refused)?;
    if heard != *guest::WORDS {
        return Err(Failure::refused("the hypervisor does not find the guest's words in the shared page"));
    }
    vm.guest().host_write(guest.buffer(), guest::ANSWER).map_err(Failure::refused)
}

/// The guest issued DIAG 308 subcode 1: notification 108.
fn expect_reset_notice(vm: &Vm) -> Result<(), Failure> {
    match run(vm)?.1 {
        Some(S390Exit::Notification(notice)) if notice.diagnose() == Some(0x308) && notice.grs[2] == 1 => Ok(()),
        other => Err(Failure::refused(format_args!("no reset request but {other:?}"))),
    }
}

/// The guest issued DIAG 308 subcode 3: KVM's reset exit.
fn expect_re_ipl(vm: &Vm) -> Result<(), Failure> {
    match run(vm)?.1 {
        Some(S390Exit::Reset(_)) => Ok(()),
        other => Err(Failure::refused(format_args!("no re-IPL request but {other:?}"))),
    }
}
