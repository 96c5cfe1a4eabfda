//! `create`: boots a guest, lets it work, dumps it.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use rand_core::Rng as _;
use uv_s390::abi::dump::CpuState;
use uv_s390::abi::dump::elf::MemoryBlock;
use uv_s390::abi::se_header::PlaintextControlFlags;
use uv_s390::abi::uvc::UvRc;
use uv_s390::hypervisor::vmm::dump::{DumpStep, GuestDump};
use uv_s390::owner::crypto::{Cck, HostPrivateKey};
use uv_s390::owner::image::ImageBuilder;

use super::program::{Busy, busy_guest, read_memory};
use super::{FileSink, progress};
use crate::guest::{Booted, GuestRequest};
use crate::vm::Vm;
use uv_programs::output::print;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::{Failure, random};

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
    #[arg(short, long, alias = "output", value_name = "DUMP")]
    pub out: PathBuf,
    /// Where the memory goes as the guest sees it
    #[arg(long, value_name = "FILE")]
    pub plain: Option<PathBuf>,
    /// Where the customer communication key of the sample image goes (default: the name of the dump and `.cck`)
    #[arg(long, value_name = "FILE", conflicts_with = "image")]
    pub cck_out: Option<PathBuf>,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
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
        let mut outputs = self.overwrite.outputs();
        outputs.inputs(self.image.iter().chain(&self.host_key))?;
        let out = outputs.file(&self.out, FileMode::Plain)?;
        let plain = self.plain.as_ref().map(|path| outputs.file(path, FileMode::Secret)).transpose()?;
        let key = match &self.image {
            None => Some(outputs.file(&self.cck_path(), FileMode::Secret)?),
            Some(_) => None,
        };
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
        let memory = outputs.fill(out, |file| dump_into(&booted.vm, FileSink::new(file, &self.out)))?;
        if let (Some(slot), Some(path)) = (plain, &self.plain) {
            outputs.fill(slot, |file| write_plain(&mut booted, memory, file, path))?;
        }
        if let (Some(slot), Some(cck)) = (key, &cck) {
            outputs.write(slot, cck.expose())?;
        }
        let Busy { dirty, exported, shared, zero } = busy;
        let mut told = format!(
            "{}: {memory} bytes of memory; the guest wrote {dirty} private pages ({exported} of them paged out before), \
             shared {shared} and touched {zero} more",
            self.out.display()
        );
        if cck.is_some() {
            told.push_str(&format!("\n{}: key of the sample image", self.cck_path().display()));
        }
        outputs.commit(|| print(&told))?;
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
    dump_into(vm, FileSink::new(file, Path::new("the dump")))
}

fn dump_into(vm: &Vm, mut sink: FileSink<'_>) -> Result<u64, Failure> {
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
    let written = begun.write(
        &cpus,
        &[MemoryBlock { address: 0, size: memory }],
        &mut |at, into| guest.host_read(at, into),
        &mut sink,
        &mut |step| match step {
            DumpStep::Memory(done) => bar.set_position(done),
            DumpStep::StorageState(done) => bar.set_position(memory + done),
            DumpStep::Cpu(_) | DumpStep::Complete => {}
        },
    );
    bar.finish_and_clear();
    let written = written.map(drop).map_err(|error| Failure::refused(format_args!("the dump failed: {error}")));
    sink.finish(written)?;
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

fn write_plain(booted: &mut Booted, memory: u64, file: &mut File, shown: &Path) -> Result<(), Failure> {
    let mut sink = FileSink::new(file, shown);
    let bar = progress("reading", memory);
    let read = read_memory(&mut booted.session, memory, |bytes| {
        bar.inc(u64::try_from(bytes.len()).unwrap_or(0));
        sink.write(bytes).map_err(Failure::unusable)
    });
    bar.finish_and_clear();
    sink.finish(read)
}
