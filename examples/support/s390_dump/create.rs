//! `create`: boots a guest, lets it work, dumps it.

use std::fs::File;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use rand_core::Rng as _;
use uv_s390::abi::dump::CpuState;
use uv_s390::abi::dump::elf::{DumpSink as _, MemoryBlock};
use uv_s390::abi::se_header::PlaintextControlFlags;
use uv_s390::abi::uvc::UvRc;
use uv_s390::hypervisor::vmm::dump::{DumpStep, GuestDump};
use uv_s390::owner::crypto::{Cck, HostPrivateKey};
use uv_s390::owner::image::ImageBuilder;

use super::program::{Busy, busy_guest, read_memory};
use super::{FileSink, progress};
use crate::files::{FileMode, write_atomic, write_atomic_with};
use crate::output::print;
use crate::s390_guest::{Booted, GuestRequest};
use crate::s390_vm::Vm;
use crate::{Failure, random};

/// Options of `create`.
#[derive(Args, Debug)]
pub struct Create {
    /// Image to boot; it must allow dumps (default: a sample image with throw-away keys)
    #[arg(long, value_name = "FILE", requires = "host_key")]
    pub image: Option<PathBuf>,
    /// Private host key of the machine (P-521, PEM)
    #[arg(long, value_name = "PEM", requires = "image")]
    pub host_key: Option<PathBuf>,
    /// Where the dump goes
    #[arg(long, alias = "output", value_name = "DUMP")]
    pub out: PathBuf,
    /// Where the memory goes as the guest sees it
    #[arg(long, value_name = "FILE")]
    pub plain: Option<PathBuf>,
    /// Where the customer communication key of the sample image goes (default: the name of the dump and `.cck`)
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    pub cck_out: Option<PathBuf>,
}

/// What was dumped.
#[derive(Debug, Clone, Copy)]
pub struct Dumped {
    /// Bytes of guest memory.
    pub memory: u64,
    /// What the guest had done before.
    pub busy: Busy,
}

impl Create {
    /// Boots, works, dumps. On a refusal no file is left behind.
    ///
    /// # Errors
    /// Files that cannot be used; status 1 if the image does not boot or must not be dumped.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let (mut booted, cck) = match (&self.image, &self.host_key) {
            (Some(image), Some(host_key)) => {
                let request = GuestRequest { image: image.clone(), host_key: host_key.clone(), cuid: None };
                (request.boot()?, None)
            }
            _ => {
                let (booted, cck) = sample()?;
                (booted, Some(cck))
            }
        };
        let busy = busy_guest(&mut booted)?;
        let memory = write_atomic_with(&self.out, FileMode::Plain, |file| {
            let memory = dump(&booted.vm, file)?;
            if let Some(path) = &self.plain {
                write_plain(&mut booted, memory, path)?;
            }
            if let Some(cck) = &cck {
                write_atomic(&self.cck_path(), cck.expose(), FileMode::Secret)?;
            }
            Ok(memory)
        })?;
        let Busy { dirty, exported, shared, zero } = busy;
        print(&format!(
            "{}: {memory} bytes of memory; the guest wrote {dirty} private pages ({exported} of them paged out before), \
             shared {shared} and touched {zero} more",
            self.out.display()
        ))?;
        if cck.is_some() {
            print(&format!("{}: key of the sample image", self.cck_path().display()))?;
        }
        Ok(ExitCode::SUCCESS)
    }

    fn cck_path(&self) -> PathBuf {
        self.cck_out.clone().unwrap_or_else(|| {
            let mut name = self.out.clone().into_os_string();
            name.push(".cck");
            name.into()
        })
    }
}

/// Boots a sample image that allows dumps.
fn sample() -> Result<(Booted, Cck), Failure> {
    let mut rng = random::rng(None)?;
    let host_key = HostPrivateKey::generate(&mut rng);
    let cck = Cck::random(&mut rng);
    let mut kernel = vec![0; 300_000];
    rng.fill_bytes(&mut kernel);
    let built = ImageBuilder::new(&kernel)
        .command_line(b"console=ttysclp0")
        .host_key(host_key.public())
        .cck(cck.clone())
        .pcf(PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP)
        .skip_component_check()
        .build(&mut rng)
        .map_err(Failure::unusable)?;
    Ok((Booted::new(built.bytes.to_vec(), host_key, None)?, cck))
}

/// Dumps a protected guest into `file`, as its hypervisor does, and gives the number of bytes of its memory.
///
/// # Errors
/// Status 1 if the guest must not be dumped; status 2 if the file cannot be written.
pub fn dump(vm: &Vm, file: &mut File) -> Result<u64, Failure> {
    let guest = vm.guest();
    let begun = GuestDump::begin(&**guest).map_err(|error| match error.rc {
        UvRc::NOT_ALLOWED => Failure::refused("the owner does not allow dumps of this guest"),
        _ => Failure::refused(error),
    })?;
    let memory = guest.slots().end().0 * 0x1000;
    let mut cpus = Vec::new();
    for number in guest.cpu_numbers() {
        cpus.push((number, visible(vm, number)?));
    }
    let bar = progress("dumping", 2 * memory);
    let sink = begun.write(
        &cpus,
        &[MemoryBlock { address: 0, size: memory }],
        &mut |at, into| guest.host_read(at, into),
        FileSink::new(file),
        &mut |step| match step {
            DumpStep::Memory(done) => bar.set_position(done),
            DumpStep::StorageState(done) => bar.set_position(memory + done),
            DumpStep::Cpu(_) | DumpStep::Complete => {}
        },
    );
    bar.finish_and_clear();
    sink.map_err(|error| Failure::refused(format_args!("the dump failed: {error}")))?.finish()?;
    Ok(memory)
}

/// What the hypervisor sees of a CPU: the filtered PSW and the prefix.
fn visible(vm: &Vm, number: u16) -> Result<CpuState, Failure> {
    let state = vm.guest().vcpu(number).and_then(|cpu| cpu.state()).map_err(Failure::refused)?;
    Ok(CpuState {
        psw_mask: state.psw.mask.get(),
        psw_address: state.psw.address.get(),
        prefix: u32::try_from(state.prefix_address()).unwrap_or_default(),
        ..CpuState::default()
    })
}

fn write_plain(booted: &mut Booted, memory: u64, path: &std::path::Path) -> Result<(), Failure> {
    write_atomic_with(path, FileMode::Secret, |file| {
        let mut sink = FileSink::new(file);
        let bar = progress("reading", memory);
        read_memory(&mut booted.session, memory, |bytes| {
            bar.inc(u64::try_from(bytes.len()).unwrap_or(0));
            sink.write(bytes)
                .map_err(|error| Failure::unusable(format_args!("cannot write {}: {error}", path.display())))
        })?;
        bar.finish_and_clear();
        sink.finish()
    })
}
