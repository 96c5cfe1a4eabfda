//! `uv-devices run`: socket, sysfs view, daemon, program, summary.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use std::{fs, io, thread};

use clap::Args;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use uv_programs::{Failure, random};
use uv_s390::abi::Errno;
use uv_s390::guest::sysfs::SysFile;
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::request::ConfigUid;
use uv_s390_programs::guest::{GuestRequest, read_cuid};
use uv_s390_programs::keys::read_host_private_key;

use crate::daemon::{self, Devices};
use crate::kvm::{Kvm, Platform, Script};
use crate::log::Log;
use crate::object::Object;
use crate::program::{self, Program};
use crate::uv::UvGuest;

/// Run a program with the devices of a simulated machine
#[derive(Args, Debug)]
pub struct Run {
    /// Image of the guest that the program runs in: gives it /dev/uv
    #[arg(long, value_name = "FILE", requires = "host_key")]
    pub image: Option<PathBuf>,
    /// Private host key of the machine (P-521, PEM; default: a random one)
    #[arg(long, value_name = "PEM")]
    pub host_key: Option<PathBuf>,
    /// Unique id that the machine gives to the guest, 32 hex digits (default: random)
    #[arg(long, value_name = "HEX", value_parser = read_cuid, requires = "image")]
    pub cuid: Option<ConfigUid>,
    /// What guests of /dev/kvm do once they are protected: load, store, share, sclp, print:TEXT, io, reset:1, reset:3
    #[arg(long, value_name = "WORDS", default_value = "load,store,share,sclp,print:a protected guest runs,io")]
    pub script: Script,
    /// Write a JSON line for each call
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// Folder with the libraries of a program for another processor, where its name is looked for too
    #[arg(long, value_name = "FOLDER")]
    pub root: Option<PathBuf>,
    /// Path of the daemon's socket (default: in a temporary folder)
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// The program's structures are big endian whatever its processor: it was written against uv-s390
    #[arg(long)]
    pub big_endian: bool,
    /// Do not show at the end what was asked and answered
    #[arg(long)]
    pub quiet: bool,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

/// How long a program that was told to end may take for it.
const PATIENCE: Duration = Duration::from_secs(5);

/// The device files of a run.
struct Machine {
    uv: Option<Arc<UvGuest>>,
    kvm: Arc<Platform>,
}

impl Devices for Machine {
    fn open(&self, path: &str) -> Result<Arc<dyn Object>, Errno> {
        match path {
            "/dev/kvm" => Ok(Arc::new(Kvm::open(&self.kvm))),
            "/dev/uv" => self.uv.clone().map(|uv| uv as Arc<dyn Object>).ok_or(Errno::ENOENT),
            _ => Err(Errno::ENOENT),
        }
    }
}

/// A socket file that is gone when the run is over.
struct Socket(PathBuf);

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

impl Run {
    /// Runs the program; gives its exit status.
    ///
    /// # Errors
    /// Status 2 for what is missing or cannot be used; status 1 for an image that the Ultravisor refuses.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM]).map_err(Failure::unusable)?;
        let log = Arc::new(Log::new(self.log.as_deref())?);
        let folder = tempfile::tempdir().map_err(Failure::unusable)?;
        let (machine, files) = self.machine(&log)?;
        let sysfs = folder.path().join("sysfs");
        view(&sysfs, &files).map_err(Failure::unusable)?;
        let path = self.socket.clone().unwrap_or_else(|| folder.path().join("socket"));
        daemon::start(&path, machine, log.clone())?;
        let socket = Socket(path);
        let mut environment = vec![("UV_DEVICES_SOCKET", &*socket.0), ("UV_DEVICES_SYSFS", &sysfs)];
        if self.big_endian {
            environment.push(("UV_DEVICES_BIG_ENDIAN", Path::new("1")));
        }
        let program = Program {
            command: &self.program,
            root: self.root.as_deref(),
            folder: folder.path(),
            environment: &environment,
        };
        let mut child = program.start()?;
        // The program is told; when it ends, so does this.
        let process = rustix::process::Pid::from_child(&child);
        thread::spawn(move || {
            for _ in signals.forever() {
                let _ = rustix::process::kill_process(process, rustix::process::Signal::TERM);
                thread::sleep(PATIENCE);
                let _ = rustix::process::kill_process(process, rustix::process::Signal::KILL);
            }
        });
        let ended = child.wait().map_err(Failure::unusable)?;
        let summary = log.summary();
        if !self.quiet && !summary.is_empty() {
            eprint!("uv-devices: calls, device, what was asked, how it ended\n{summary}");
        }
        Ok(ExitCode::from(program::status(ended)))
    }

    /// The machine, and what `/sys/firmware/uv` shows on it: what a guest sees where there is an image, else what the host does.
    fn machine(&self, log: &Arc<Log>) -> Result<(Machine, Vec<SysFile>), Failure> {
        let key = match &self.host_key {
            Some(path) => read_host_private_key(path)?,
            None => HostPrivateKey::generate(&mut random::rng(None)?),
        };
        let kvm = Arc::new(Platform::new(key, self.script.clone(), log.clone())?);
        let Some((image, host_key)) = self.image.clone().zip(self.host_key.clone()) else {
            let files = kvm.sysfs().map_err(Failure::unusable)?;
            return Ok((Machine { uv: None, kvm }, files));
        };
        let (uv, files) = UvGuest::new(GuestRequest { image, host_key, cuid: self.cuid }.boot()?)?;
        Ok((Machine { uv: Some(Arc::new(uv)), kvm }, files))
    }
}

/// Writes the files that stand for `/sys/firmware/uv`.
fn view(folder: &Path, files: &[SysFile]) -> io::Result<()> {
    for file in files {
        let path = folder.join(file.path);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, &file.content)?;
    }
    Ok(())
}
