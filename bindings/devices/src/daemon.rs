//! The daemon: a thread for each thread of a program that uses a device.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use rustix::fs::MemfdFlags;
use uv_programs::Failure;
use uv_s390::abi::Errno;

use crate::line::{Hello, Line, Wish};
use crate::log::{Log, Told};
use crate::object::{Answer, Call, Object};

/// Opens device files.
pub trait Devices: Send + Sync + 'static {
    /// The object of a device file that is opened.
    ///
    /// # Errors
    /// [`Errno::ENOENT`] where there is no such device.
    fn open(&self, path: &str) -> Result<Arc<dyn Object>, Errno>;
}

/// An object and the process that has it.
struct Held {
    process: u64,
    object: Arc<dyn Object>,
}

struct Daemon {
    devices: Box<dyn Devices>,
    log: Arc<Log>,
    objects: Mutex<BTreeMap<u64, Held>>,
    next: AtomicU64,
}

/// A file that nobody else has, `length` bytes long. It is gone with its last descriptor.
///
/// # Errors
/// Those of `memfd_create` and `ftruncate`.
pub fn memory_file(length: u64) -> io::Result<OwnedFd> {
    let file = rustix::fs::memfd_create("uv-devices", MemfdFlags::CLOEXEC)?;
    rustix::fs::ftruncate(&file, length)?;
    Ok(file)
}

/// Answers programs at a socket from now on, in threads of this process.
///
/// # Errors
/// Status 2 if the socket is in use or cannot be made.
pub fn start(socket: &Path, devices: impl Devices, log: Arc<Log>) -> Result<(), Failure> {
    let listener = UnixListener::bind(socket).map_err(|error| {
        let path = socket.display();
        match error.kind() {
            io::ErrorKind::AddrInUse => Failure::unusable(format_args!("the socket {path} is in use")),
            _ => Failure::unusable(format_args!("cannot make the socket {path}: {error}")),
        }
    })?;
    let daemon = Daemon { devices: Box::new(devices), log, objects: Mutex::default(), next: AtomicU64::new(1) };
    let daemon = Arc::new(daemon);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let daemon = daemon.clone();
            thread::spawn(move || daemon.serve(stream));
        }
    });
    Ok(())
}

impl Daemon {
    fn objects(&self) -> MutexGuard<'_, BTreeMap<u64, Held>> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn serve(&self, stream: UnixStream) {
        let Ok((mut line, hello)) = Line::greet(stream) else { return };
        loop {
            let wish = match line.wish() {
                Ok(Some(wish)) => wish,
                end => {
                    tracing::debug!(?hello, ?end, "line ended");
                    break;
                }
            };
            if let Err(error) = self.grant(&mut line, hello, wish) {
                tracing::debug!(?hello, %error, "line broke");
                break;
            }
        }
        if hello.whole_process {
            let gone: Vec<_> = self.objects().extract_if(.., |_, held| held.process == hello.process).collect();
            // Without the lock: a protected VM takes its time to end.
            drop(gone);
        }
    }

    fn grant(&self, line: &mut Line, hello: Hello, wish: Wish) -> io::Result<()> {
        match wish {
            Wish::Open(path) => match self.devices.open(&path) {
                Ok(object) => self.hand_out(line, hello, object, memory_file(0)?, 0),
                Err(errno) => line.end(Err(errno)),
            },
            Wish::Close(number) => {
                let gone = self.objects().remove(&number);
                drop(gone);
                line.end(Ok(0))
            }
            Wish::Touch(address) => {
                let objects = self
                    .objects()
                    .values()
                    .filter(|held| held.process == hello.process)
                    .map(|held| held.object.clone())
                    .collect::<Vec<_>>();
                let opened = objects.iter().any(|object| object.touch(line, address));
                line.end(Ok(opened.into()))
            }
            Wish::Ioctl { object, request, argument } => {
                let found = self.objects().get(&object).map(|held| held.object.clone());
                let Some(object) = found else { return line.end(Err(Errno::ENODEV)) };
                let mut call = Call { line, hello, request, argument, told: Told::default() };
                let answer = object.ioctl(&mut call);
                let value = answer.as_ref().map(|answer| match answer {
                    Answer::Value(value) => *value,
                    Answer::Object(..) | Answer::ObjectAt(..) => 0,
                });
                self.log.take(object.device(), request, &call.told, value.map_err(|errno| *errno));
                match answer {
                    Ok(Answer::Object(object, file)) => self.hand_out(line, hello, object, file, 0),
                    Ok(Answer::ObjectAt(object, file, at)) => self.hand_out(line, hello, object, file, at),
                    Ok(Answer::Value(value)) => line.end(Ok(value)),
                    Err(errno) => line.end(Err(errno)),
                }
            }
        }
    }

    /// Gives a file descriptor for an object; its number goes to an address of the program, or is the value for 0.
    fn hand_out(
        &self,
        line: &mut Line,
        hello: Hello,
        object: Arc<dyn Object>,
        file: OwnedFd,
        at: u64,
    ) -> io::Result<()> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        self.objects().insert(number, Held { process: hello.process, object });
        line.end_with(number, file.as_fd(), at)
    }
}
