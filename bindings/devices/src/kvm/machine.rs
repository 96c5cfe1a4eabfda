//! The machine behind `/dev/kvm`, and the device itself.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::SystemTime;

use uv_core::HostAddr;
use uv_programs::{Failure, random};
use uv_s390::abi::Errno;
use uv_s390::abi::uvc::CallError;
use uv_s390::guest::sysfs::{self, SysFile};
use uv_s390::hypervisor::kernel::{Hardware, Host, HostPages};
use uv_s390::hypervisor::uapi::{System, SystemAnswer, request};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::sim::{Machine, MachineConfig};

use super::memory::SharedMemory;
use super::script::Script;
use super::vm::Vm;
use crate::daemon::memory_file;
use crate::log::Log;
use crate::object::{Answer, Call, Object};

/// Where the kernel's own storage begins: INIT_UV wants it at or above 2 GiB.
const KERNEL: u64 = 2 << 30;
/// How much the kernel has.
const KERNEL_BYTES: u64 = 1 << 30;
/// End of host memory.
const END: u64 = 64 << 30;
/// From the beginning of the TOD clock (1900) to that of Unix time, in seconds.
const UNIX_EPOCH_IN_TOD: u64 = 2_208_988_800;

/// A machine with an initialized Ultravisor and the kernel of a hypervisor.
#[derive(Debug)]
pub struct Platform {
    pub(super) machine: Arc<Machine>,
    pub(super) host: Arc<Host>,
    pub(super) memory: Arc<SharedMemory>,
    pub(super) script: Script,
    pub(super) log: Arc<Log>,
}

impl Platform {
    /// A machine of the newest generation with this host key. Its guests do what the script says.
    ///
    /// # Errors
    /// Status 2 if the Ultravisor cannot be initialized.
    pub fn new(host_key: HostPrivateKey, script: Script, log: Arc<Log>) -> Result<Self, Failure> {
        let seed = rand_core::Rng::next_u64(&mut random::rng(None)?);
        let memory = Arc::new(SharedMemory::new(KERNEL + KERNEL_BYTES, END));
        let config = MachineConfig { memory: END, host_key, ..MachineConfig::new(seed) };
        let machine = Arc::new(Machine::with_memory(config, memory.clone()));
        let hardware = Hardware { clock: Arc::new(tod), ..Hardware::new(&machine, machine.host_memory()) };
        let pages = HostPages::new([(HostAddr(KERNEL), KERNEL_BYTES)]);
        let host = Host::start(hardware, pages).map_err(Failure::unusable)?;
        Ok(Self { machine, host, memory, script, log })
    }

    /// What `/sys/firmware/uv` shows in the host.
    ///
    /// # Errors
    /// Those of the queries.
    pub fn sysfs(&self) -> Result<Vec<SysFile>, CallError> {
        sysfs::read(&*self.machine)
    }
}

/// The time of day in units of the TOD clock.
fn tod() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let microseconds = since.as_secs().wrapping_add(UNIX_EPOCH_IN_TOD).wrapping_mul(1_000_000);
    microseconds.wrapping_add(since.subsec_micros().into()).wrapping_mul(uv_s390::sim::TOD_PER_MICROSECOND)
}

/// `/dev/kvm`, opened.
#[derive(Debug)]
pub struct Kvm {
    platform: Arc<Platform>,
    system: System,
}

impl Kvm {
    /// Opens the device.
    #[must_use]
    pub fn open(platform: &Arc<Platform>) -> Self {
        Self { platform: platform.clone(), system: System::open(platform.host.clone()) }
    }
}

impl Object for Kvm {
    fn device(&self) -> &'static str {
        "kvm"
    }

    fn ioctl(&self, call: &mut Call<'_>) -> Result<Answer, Errno> {
        call.told.name = request::name(call.request).map_or_else(|| format!("{:#x}", call.request), str::to_owned);
        call.told.argument("value", call.argument);
        // The structures of a little-endian program are not those of s390.
        if call.request == request::CREATE_VM && !call.hello.big_endian {
            return Err(Errno::EINVAL);
        }
        match self.system.ioctl(call.request, call.argument)? {
            SystemAnswer::Value(value) => Ok(Answer::Value(value)),
            SystemAnswer::Vm(guest) => {
                let vm = Arc::new_cyclic(|this| Vm::new(this.clone(), self.platform.clone(), guest));
                Ok(Answer::Object(vm, file(0)?))
            }
        }
    }
}

/// The file of a new object.
pub(super) fn file(length: u64) -> Result<OwnedFd, Errno> {
    memory_file(length).map_err(|_| Errno::ENOMEM)
}
