//! One program of a VMM and of a guest tool, on the library's own kernel or on the devices of Linux; prints what each call gives.
//!
//! ```text
//! transcript process IMAGE HOST-KEY
//! transcript nodes IMAGE
//! ```
//! Both print the same. `nodes` runs on a mainframe, or under `uv-devices run --big-endian --image IMAGE --host-key HOST-KEY`.

use std::path::Path;
use std::process::ExitCode;

use uv_core::{GuestAddr, HostAddr};
use uv_devices::uv::UvGuest;
use uv_linux::{Kvm, Uv};
use uv_programs::Failure;
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::guest::stage3a::BootImage;
use uv_s390::guest::uvdevice::{Ioctl, UvioNr};
use uv_s390::hypervisor::kernel::MpState;
use uv_s390::hypervisor::uapi::{Argument, KvmPv, KvmRun, Target, attr, capability, client, request};
use uv_s390_programs::guest::GuestRequest;
use uv_s390_programs::keys::read_host_private_key;
use uv_s390_programs::vm::Platform;

const MIB: usize = 1 << 20;

/// Prints what a call gave. Addresses and random data are not in it.
fn show(name: &str, result: impl std::fmt::Debug) {
    println!("{name}: {result:?}");
}

/// What a VMM does with a VM whose memory, with the image in it, lies at an address of user space.
fn vmm(kvm: &dyn KvmPv, image: &BootImage, memory: HostAddr, bytes: u64) {
    for number in [
        capability::PROTECTED,
        capability::PROTECTED_DUMP,
        capability::MEM_OP,
        capability::MEM_OP_EXTENSION,
        capability::IRQ_ROUTING,
        capability::MAX_VCPUS,
        9999,
    ] {
        show(&format!("capability {number}"), client::capability(kvm, number));
    }
    show("limit", client::memory_limit(kvm));
    show("features", client::cpu_model(kvm, attr::MACHINE_UV_FEAT_GUEST));
    show("info", client::info_vm(kvm));
    show("info dump", client::info_dump(kvm));
    show("slot", client::set_memory(kvm, 0, GuestAddr(0), bytes, memory));
    show("slot again", client::set_memory(kvm, 1, GuestAddr(0), bytes, memory));
    show("vCPU", client::create_vcpu(kvm, 0));
    show("vCPU again", client::create_vcpu(kvm, 0));
    show("vCPU too high", client::create_vcpu(kvm, 4000));
    show("limit with a vCPU", client::set_memory_limit(kvm, 1 << 31));
    show("vector registers", client::enable_capability(kvm, Target::Vm, capability::VECTOR_REGISTERS));
    let mut area = KvmRun::new();
    show("PSW", client::set_initial_psw(kvm, 0, Psw::at(0x1_0000), &mut area));

    show("unpack before", client::unpack(kvm, 0, 0x1000, 0));
    show("enable", client::enable(kvm));
    show("enable again", client::enable(kvm));
    let header = image.header_bytes().unwrap_or_default();
    show("short header", client::set_sec_parms(kvm, &header[..header.len() / 2]));
    show("header", client::set_sec_parms(kvm, header));
    for component in image.components() {
        let length = component.length.get().next_multiple_of(0x1000);
        show("unpack", client::unpack(kvm, component.address.get(), length, component.tweak_prefix.get()));
    }
    show("unpack nothing", client::unpack(kvm, 0, 0, 0));
    show("verify", client::verify(kvm));
    show("verify again", client::verify(kvm));
    show("SIDA", client::sida_write(kvm, 0, 0, b"eight..."));
    let mut bytes = [0; 8];
    show("SIDA back", (client::sida_read(kvm, 0, 0, &mut bytes), bytes));
    area.immediate_exit = 1;
    show("run", client::run(kvm, 0, &mut area));
    show("state", client::set_mp_state(kvm, 0, MpState::CheckStop));
    show("restart", client::inject_restart(kvm, 0));
    show("pending", client::get_irq_state(kvm, 0, 4));
    show("unknown", kvm.ioctl(Target::Vm, 0xae77, &mut Argument::default()));
    show("reset", client::reset_cpu(kvm, 0, request::NORMAL_RESET));
    show("prepare reset", client::prepare_reset(kvm));
    show("unshare all", client::unshare_all(kvm));
    show("disable", client::disable(kvm));
    show("disable again", client::disable(kvm));
}

/// What a tool in a guest does.
fn tool(uv: &dyn Fn(Ioctl) -> Result<Ioctl, Errno>) {
    for (name, ioctl) in [
        ("info", Ioctl::new(UvioNr::INFO, vec![0; 16])),
        ("list", Ioctl::new(UvioNr::LIST_SECRETS, vec![0; 4096])),
        ("list of no page", Ioctl::new(UvioNr::LIST_SECRETS, vec![0; 100])),
        ("retrieve", Ioctl::new(UvioNr::RETR_SECRET, vec![0; 64])),
        ("lock", Ioctl::new(UvioNr::LOCK_SECRETS, Vec::new())),
        ("lock again", Ioctl::new(UvioNr::LOCK_SECRETS, Vec::new())),
        ("no such", Ioctl::new(UvioNr(9), Vec::new())),
    ] {
        let done = uv(ioctl).map(|done| (done.control.uv_rc, done.control.uv_rrc, done.argument.to_vec()));
        show(name, done);
    }
}

fn process(image: &Path, key: &Path) -> Result<(), Failure> {
    let file = uv_programs::files::read_file_limited(image, 1 << 30)?;
    let found = BootImage::find(file).map_err(Failure::unusable)?;
    let mut platform = Platform::new(read_host_private_key(key)?, 1, found.file().len())?;
    let bytes = found.file().len().next_multiple_of(MIB);
    // Where guest memory is on this platform; the VM that it makes itself is not used.
    let vm = platform.load(&found)?;
    let at = vm.guest().slots().iter().next().map(|(_, slot)| slot.host);
    drop(vm);
    let system = uv_s390::hypervisor::uapi::System::open(platform.host().clone());
    let answer = system.ioctl(request::CREATE_VM, 0).map_err(Failure::refused)?;
    let uv_s390::hypervisor::uapi::SystemAnswer::Vm(guest) = answer else { return Err(Failure::refused("no VM")) };
    vmm(&*guest, &found, at.unwrap_or(HostAddr(0)), u64::try_from(bytes).unwrap_or(0));
    let request = GuestRequest { image: image.to_owned(), host_key: key.to_owned(), cuid: None };
    let (uv, _) = UvGuest::new(request.boot()?)?;
    tool(&|ioctl| uv.issue(ioctl));
    Ok(())
}

fn nodes(image: &Path) -> Result<(), Failure> {
    let file = uv_programs::files::read_file_limited(image, 1 << 30)?;
    let found = BootImage::find(file).map_err(Failure::unusable)?;
    let bytes = found.file().len().next_multiple_of(MIB);
    // Memory that begins at a MiB, as a slot wants it.
    let mut room = vec![0_u8; bytes + MIB];
    let skip = room.as_ptr().align_offset(MIB);
    let memory = room.get_mut(skip..skip + bytes).ok_or_else(|| Failure::refused("no memory"))?;
    memory[..found.file().len()].copy_from_slice(found.file());
    let at = HostAddr(u64::try_from(memory.as_mut_ptr().expose_provenance()).map_err(Failure::refused)?);
    let vm = Kvm::open().map_err(Failure::unusable)?.create_vm().map_err(Failure::refused)?;
    vmm(&vm, &found, at, u64::try_from(bytes).unwrap_or(0));
    drop(vm);
    let uv = Uv::open().map_err(Failure::unusable)?;
    tool(&|ioctl| uv.ioctl(ioctl));
    Ok(())
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments.as_slice() {
        ["process", image, key] => process(image.as_ref(), key.as_ref()),
        ["nodes", image] => nodes(image.as_ref()),
        _ => Err(Failure::unusable("transcript process IMAGE HOST-KEY | transcript nodes IMAGE")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.status())
        }
    }
}
