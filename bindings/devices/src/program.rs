//! The program that is run: its architecture, its preload object, its process.

use std::ffi::OsString;
use std::fs;
use std::io::Read as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use uv_programs::Failure;

/// The preload object's source.
const PRELOAD: &str = include_str!("../preload/preload.c");
/// Machine numbers in ELF headers.
const EM_S390: u16 = 22;
const EM_X86_64: u16 = 62;

/// What the program's processor is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Architecture {
    /// s390x.
    S390x,
    /// x86-64.
    X86_64,
}

impl Architecture {
    /// That of this machine.
    const NATIVE: Option<Self> = if cfg!(target_arch = "s390x") {
        Some(Self::S390x)
    } else if cfg!(target_arch = "x86_64") {
        Some(Self::X86_64)
    } else {
        None
    };

    /// Of a program file. What is no ELF file, such as a script, runs on this machine.
    ///
    /// # Errors
    /// Status 2 if the file cannot be read, or is for a processor that there is no preload object for.
    fn of(path: &Path) -> Result<Self, Failure> {
        let cannot = |error| Failure::unusable(format_args!("cannot run {}: {error}", path.display()));
        let mut head = Vec::new();
        fs::File::open(path).map_err(cannot)?.take(20).read_to_end(&mut head).map_err(cannot)?;
        let other = || Failure::unusable(format_args!("{} is for neither s390x nor x86-64", path.display()));
        let (Some(b"\x7fELF"), Some([low, high])) = (head.get(..4), head.get(18..20)) else {
            return Self::NATIVE.ok_or_else(other);
        };
        // Byte 5: 1 little endian, 2 big endian.
        let machine = if head.get(5) == Some(&2) { [*low, *high] } else { [*high, *low] };
        match u16::from_be_bytes(machine) {
            EM_S390 => Ok(Self::S390x),
            EM_X86_64 => Ok(Self::X86_64),
            _ => Err(other()),
        }
    }

    fn is_native(self) -> bool {
        Self::NATIVE == Some(self)
    }

    /// The compiler for its programs, and the packages that have it.
    fn compiler(self) -> (&'static str, &'static str) {
        match self {
            _ if self.is_native() => ("cc", "gcc and libc6-dev"),
            Self::S390x => ("s390x-linux-gnu-gcc", "gcc-s390x-linux-gnu and libc6-dev-s390x-cross"),
            Self::X86_64 => ("x86_64-linux-gnu-gcc", "gcc-x86-64-linux-gnu and libc6-dev-amd64-cross"),
        }
    }

    /// The user-mode emulator, and its package.
    fn emulator(self) -> (&'static str, &'static str) {
        match self {
            Self::S390x => ("qemu-s390x-static", "qemu-user-static"),
            Self::X86_64 => ("qemu-x86_64-static", "qemu-user-static"),
        }
    }
}

/// Where a program file is: a path is taken as it is; a name is looked for in the root, then where the shell looks.
fn find(name: &Path, root: Option<&Path>) -> Result<PathBuf, Failure> {
    if name.components().count() > 1 {
        return Ok(name.to_owned());
    }
    let roots = root.into_iter().flat_map(|root| ["usr/bin", "usr/sbin"].map(|folder| root.join(folder)));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = roots.chain(std::env::split_paths(&path)).map(|folder| folder.join(name)).find(|path| path.is_file());
    found.ok_or_else(|| Failure::unusable(format_args!("there is no program {}", name.display())))
}

/// Compiles the preload object into a folder.
fn compile(architecture: Architecture, folder: &Path) -> Result<PathBuf, Failure> {
    let (compiler, packages) = architecture.compiler();
    let (source, object) = (folder.join("preload.c"), folder.join("preload.so"));
    fs::write(&source, PRELOAD).map_err(Failure::unusable)?;
    let output = Command::new(compiler)
        .args(["-std=gnu11", "-O2", "-fPIC", "-shared", "-ftls-model=initial-exec", "-o"])
        .args([&object, &source])
        .args(["-ldl", "-lpthread"])
        .stdin(Stdio::null())
        .output()
        .map_err(|_| Failure::unusable(format_args!("{compiler} is missing: install {packages}")))?;
    if output.status.success() {
        return Ok(object);
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let first = text.lines().next().unwrap_or("no reason given").to_owned();
    Err(Failure::unusable(format_args!("the preload object cannot be compiled ({packages}): {first}")))
}

/// How a program is started.
#[derive(Debug)]
pub struct Program<'a> {
    /// Program and arguments.
    pub command: &'a [OsString],
    /// Folder with the libraries of a program for another processor.
    pub root: Option<&'a Path>,
    /// Folder for the preload object.
    pub folder: &'a Path,
    /// Variables for the preload object.
    pub environment: &'a [(&'static str, &'a Path)],
}

impl Program<'_> {
    /// Starts it.
    ///
    /// # Errors
    /// Status 2 with what is missing.
    pub fn start(&self) -> Result<Child, Failure> {
        let (name, arguments) = self.command.split_first().ok_or_else(|| Failure::unusable("no program is named"))?;
        let path = find(Path::new(name), self.root)?;
        let architecture = Architecture::of(&path)?;
        let preload = compile(architecture, self.folder)?;
        let mut command = if architecture.is_native() {
            let mut command = Command::new(&path);
            command.env("LD_PRELOAD", &preload);
            command
        } else {
            let (emulator, _) = architecture.emulator();
            let root = self.root.ok_or_else(|| {
                Failure::unusable(format_args!("{} needs --root: the folder with its libraries", path.display()))
            })?;
            let mut setting = OsString::from("LD_PRELOAD=");
            setting.push(&preload);
            let mut command = Command::new(emulator);
            command.arg("-L").arg(root).arg("-E").arg(setting).arg(&path);
            command
        };
        command.args(arguments).envs(self.environment.iter().copied());
        let emulator = (!architecture.is_native()).then(|| architecture.emulator());
        command.spawn().map_err(|error| match emulator {
            Some((emulator, package)) if error.kind() == std::io::ErrorKind::NotFound => {
                Failure::unusable(format_args!("{emulator} is missing: install {package}"))
            }
            _ => Failure::unusable(format_args!("cannot run {}: {error}", path.display())),
        })
    }
}

/// The exit status that a shell would tell of a process.
#[must_use]
pub fn status(ended: ExitStatus) -> u8 {
    let code = ended.code().or_else(|| ended.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
