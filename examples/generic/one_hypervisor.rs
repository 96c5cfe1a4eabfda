//! One hypervisor for all machines.
//!
//! ```text
//! one_hypervisor [--limit PAGES] [--json]
//! ```
//! [`supervise`] is written over `uv-core` alone. It runs the same guest on IBM Z, on both ultravisors of POWER, and on the bare
//! engine with and without sealing: the guest asks to become secure with a damaged image and is refused, mends it, asks again,
//! works on more pages than the hypervisor wants to keep in secure memory, shares one, and halts.
//!
//! Exit status: 0 every guest found its own bytes; 1 a machine refused; 2 unusable options.

use std::process::ExitCode;

use clap::Parser;
use serde_json::{Value, json};
use uv_core::{EnterSecureMode, Error, ErrorKind, Exit, Gfn, PageIn, SecureVm, Unsupported, Vcpu};
use uv_generic_programs::one_vm::{self, GREETING, Ready};
use uv_power::abi::Profile;
use uv_power::hypervisor::kernel::{KvmError, PowerExit};
use uv_programs::{Failure, output};
use uv_s390::hypervisor::kernel::S390Exit;
use uv_sim::bare::BareAbilities;

/// One hypervisor for all machines
#[derive(Parser, Debug)]
#[command(after_help = "Exit status: 0 right; 1 a machine refused; 2 unusable options.")]
struct Cli {
    /// Pages that the hypervisor keeps in secure memory (at least 4), where the machine can page out
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u64).range(4..))]
    limit: u64,
    /// Print one JSON array and nothing else
    #[arg(long)]
    json: bool,
}

/// What the hypervisor did, and the page that goes out next.
#[derive(Debug, Default)]
struct Done {
    refused: u32,
    entered: u32,
    pages_in: u32,
    pages_out: u32,
    hand: u64,
}

/// Runs a VM until its guest halts; `serve` has the exits of its machine.
fn supervise<V: EnterSecureMode + PageIn>(
    vm: &V,
    cpu: &mut V::Cpu,
    limit: u64,
    mut serve: impl FnMut(&mut V::Cpu, <V::Cpu as Vcpu>::Arch) -> Result<(), V::Error>,
) -> Result<Done, V::Error> {
    let mut done = Done::default();
    loop {
        match cpu.run()? {
            Exit::EnterSecureMode => match vm.enter_secure_mode(cpu) {
                Ok(_) => {
                    done.entered += 1;
                    make_room(vm, limit, &mut done)?;
                }
                // The guest is told, goes on as a normal one, and may ask again.
                Err(_) => done.refused += 1,
            },
            Exit::EnterAborted => vm.terminate()?,
            Exit::PageMissing { gfn, .. } => {
                make_room(vm, limit, &mut done)?;
                match vm.page_in(gfn) {
                    // The guest faults again.
                    Err(error) if error.kind() == ErrorKind::Busy => {}
                    other => other.map(|()| done.pages_in += 1)?,
                }
            }
            Exit::ShareRequest { pages, share } => {
                let sharing = vm.as_accept_sharing().ok_or(Unsupported)?;
                sharing.accept_sharing(pages, share).map_err(|stopped| stopped.error)?;
            }
            Exit::Halted => return Ok(done),
            Exit::Arch(exit) => serve(cpu, exit)?,
            _ => return Err(Unsupported.into()),
        }
    }
}

/// Takes pages away, one after the other, until there is room for one more under the limit.
fn make_room<V: SecureVm>(vm: &V, limit: u64, done: &mut Done) -> Result<(), V::Error> {
    let Some(out) = vm.as_page_out() else { return Ok(()) };
    let (slots, mut secure) = (vm.mem_slots(), vm.page_counts()?.secure);
    while secure >= limit {
        let gfn = Gfn(done.hand % slots.end().0);
        done.hand += 1;
        slots.find(gfn).map_or(Ok(()), |_| out.page_out(gfn))?;
        let left = vm.page_counts()?.secure;
        done.pages_out += u32::from(left < secure);
        secure = left;
    }
    Ok(())
}

/// Runs the VM of a machine, looks at what its guest shares, and ends it.
fn run<V: EnterSecureMode + PageIn>(
    name: &str,
    ready: Result<Ready<V>, Failure>,
    limit: u64,
    serve: impl FnMut(&mut V::Cpu, <V::Cpu as Vcpu>::Arch) -> Result<(), V::Error>,
) -> Result<Value, Failure> {
    let Ready { vm, mut cpu, memory, shared, found } = ready?;
    let refused = |error: V::Error| Failure::refused(format_args!("{name}: {error}"));
    let done = supervise(&vm, &mut cpu, limit, serve).map_err(refused)?;
    let mut greeting = vec![0; GREETING.len()];
    let at = vm.mem_slots().host_addr(shared).ok_or_else(|| Failure::unusable("no memory behind the shared page"))?;
    memory.0.read(at, &mut greeting).map_err(Failure::refused)?;
    let counts = vm.page_counts().map_err(refused)?;
    vm.terminate().map_err(refused)?;
    let [right, wrong] = found.pages();
    if (done.entered, u64::from(right), wrong) != (1, one_vm::WORK, 0) || greeting != GREETING {
        return Err(Failure::refused(format_args!("{name}: {right} pages are right, {wrong} wrong, {done:?}")));
    }
    Ok(json!({
        "machine": name, "refused": done.refused, "entered": done.entered, "pages_in": done.pages_in,
        "pages_out": done.pages_out, "pages_right": right, "secure_at_the_end": counts.secure,
        "shared": String::from_utf8_lossy(&greeting),
    }))
}

fn main() -> ExitCode {
    uv_programs::run(|| {
        let cli = Cli::parse();
        let z = |_: &mut _, exit| if let S390Exit::Yield(_) = exit { Ok(()) } else { Err(Unsupported.into()) };
        let power = |_: &mut _, exit| match exit {
            PowerExit::Hypercall { .. } => Ok(()), // unanswered: H_FUNCTION
            PowerExit::Interrupt(vector) => Err(KvmError::Vector(vector)),
        };
        let never = |_: &mut _, exit: core::convert::Infallible| match exit {};
        let all = vec![
            run("IBM Z", one_vm::s390(), cli.limit, z)?,
            run("POWER, documented", one_vm::power(Profile::Documented), cli.limit, power)?,
            run("POWER, firmware", one_vm::power(Profile::Firmware), cli.limit, power)?,
            run("bare engine", one_vm::bare(BareAbilities::ALL), cli.limit, never)?,
            run("bare engine without sealing", one_vm::bare(BareAbilities::NO_SEALING), cli.limit, never)?,
        ];
        for one in all.iter().filter(|_| !cli.json) {
            let text = |key: &str| one[key].to_string().replace('"', "");
            let [name, refused, entered] = ["machine", "refused", "entered"].map(text);
            let [ins, outs, shared] = ["pages_in", "pages_out", "shared"].map(text);
            let pages = format!("{ins} pages in, {outs} out; shared: {shared}");
            output::print(&format!("{name:28} refused {refused}, entered {entered}; {pages}"))?;
        }
        if cli.json { output::print(&Value::from(all).to_string()) } else { Ok(()) }.map(|()| ExitCode::SUCCESS)
    })
}
