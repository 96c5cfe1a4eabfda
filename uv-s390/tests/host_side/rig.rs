//! A machine, a hypervisor and a small guest, with a UV call and host storage that can be told to refuse.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory};
use uv_s390::abi::ipib::{self, Component, IpibForm};
use uv_s390::abi::sie::{AddressSpaces, GuestMap, Sie};
use uv_s390::abi::uvc::{Cc, ProgramInterruption, UvCall, UvRc};
use uv_s390::abi::uvcb::UvCommand;
use uv_s390::dev::{self, RigConfig};
use uv_s390::hypervisor::kernel::{Hardware, Host, Vm, VmConfig};
use uv_s390::sim::{Generation, Machine, MachineConfig};

/// Where the kernel's own storage ends.
const KERNEL_END: u64 = dev::Rig::KERNEL.0 + (64 << 20);
/// Guest memory: 4 MiB.
pub(crate) const PAGES: u64 = 1024;

/// What to do with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoil {
    /// Let it through.
    Pass,
    /// Answer with this condition code and rc, without asking the machine.
    Instead(Cc, u16),
    /// Ask the machine, then answer with cc 1 and the rc it stored with this OR-ed on.
    After(u16),
}

/// A UV call that remembers commands, and spoils some.
#[derive(Debug)]
pub(crate) struct Spoiler {
    machine: Arc<Machine>,
    plan: Mutex<Vec<(UvCommand, VecDeque<Spoil>)>>,
    log: Mutex<Vec<UvCommand>>,
    /// Blocks as they were after the call.
    blocks: Mutex<Vec<(UvCommand, Vec<u8>)>>,
    /// Bits of calls that a query does not tell.
    missing: Vec<u16>,
}

impl Spoiler {
    /// The next calls of a command go like this; the ones after them pass.
    pub(crate) fn plan(&self, command: UvCommand, spoils: impl IntoIterator<Item = Spoil>) {
        self.plan.lock().expect("one thread").push((command, spoils.into_iter().collect()));
    }

    /// The commands since last asked, without QUI.
    pub(crate) fn log(&self) -> Vec<UvCommand> {
        core::mem::take(&mut *self.log.lock().expect("one thread"))
    }

    /// Blocks of the calls of this command, oldest first, as they were after the call.
    pub(crate) fn blocks(&self, command: UvCommand) -> Vec<Vec<u8>> {
        let blocks = self.blocks.lock().expect("one thread");
        blocks.iter().filter(|(known, _)| *known == command).map(|(_, block)| block.clone()).collect()
    }

    /// Handles of the calls of this command, oldest first: the double word at 0x18, in those that have one there.
    pub(crate) fn handles(&self, command: UvCommand) -> Vec<u64> {
        let handle = |block: &Vec<u8>| u64::from_be_bytes(block[0x18..0x20].try_into().expect("eight bytes"));
        self.blocks(command).iter().map(handle).collect()
    }

    fn next(&self, command: UvCommand) -> Spoil {
        let mut plan = self.plan.lock().expect("one thread");
        let entry = plan.iter_mut().find(|(planned, spoils)| *planned == command && !spoils.is_empty());
        entry.and_then(|(_, spoils)| spoils.pop_front()).unwrap_or(Spoil::Pass)
    }
}

impl UvCall for Spoiler {
    fn uv_call(&self, block: &mut [u8]) -> Result<Cc, ProgramInterruption> {
        let command = UvCommand(u16::from_be_bytes([block[2], block[3]]));
        if command != UvCommand::QUI {
            self.log.lock().expect("one thread").push(command);
        }
        let done = match self.next(command) {
            Spoil::Pass => self.machine.uv_call(block),
            Spoil::Instead(cc, rc) => {
                if cc == Cc::Error {
                    block[4..6].copy_from_slice(&rc.to_be_bytes());
                }
                Ok(cc)
            }
            Spoil::After(flag) => {
                self.machine.uv_call(block)?;
                let rc = u16::from_be_bytes([block[4], block[5]]) | flag;
                block[4..6].copy_from_slice(&rc.to_be_bytes());
                Ok(Cc::Error)
            }
        };
        if command == UvCommand::QUI {
            for bit in self.missing.iter().map(|bit| usize::from(*bit)) {
                block[0x10 + bit / 8] &= !(0x80 >> (bit % 8));
            }
        }
        self.blocks.lock().expect("one thread").push((command, block.to_vec()));
        done
    }
}

/// The machine's SIE, or another one in its place.
struct Switch {
    machine: Arc<Machine>,
    instead: Mutex<Option<Arc<dyn Sie>>>,
}

impl Sie for Switch {
    fn enter(&self, state: HostAddr, asce: u64, grs: &mut [u64; 16]) -> Result<(), ProgramInterruption> {
        let instead = self.instead.lock().expect("nobody panics with it").clone();
        match instead {
            Some(sie) => sie.enter(state, asce, grs),
            None => self.machine.enter(state, asce, grs),
        }
    }
}

/// The address spaces of the machine, and which of them are attached.
struct Spaces {
    machine: Arc<Machine>,
    attached: Mutex<BTreeSet<u64>>,
}

impl AddressSpaces for Spaces {
    fn attach(&self, asce: u64, map: Arc<dyn GuestMap>) {
        self.attached.lock().expect("one thread").insert(asce);
        self.machine.attach(asce, map);
    }

    fn detach(&self, asce: u64) {
        self.attached.lock().expect("one thread").remove(&asce);
        self.machine.detach(asce);
    }
}

/// Where an access can be told to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// The kernel's own storage.
    Kernel,
    /// What guests have for theirs.
    Guest,
}

/// Host memory, of which one access can be told to fail.
struct Memory {
    inner: Arc<dyn NormalMemory>,
    /// Where, and how many accesses there go well before the one that does not.
    fails: Mutex<Option<(Room, u64)>>,
}

impl Memory {
    fn pass(&self, at: HostAddr, len: usize) -> Result<(), AccessError> {
        let mut fails = self.fails.lock().expect("nobody panics with it");
        let room = if at.0 < KERNEL_END { Room::Kernel } else { Room::Guest };
        match &mut *fails {
            Some((wanted, 0)) if *wanted == room => {
                *fails = None;
                Err(AccessError::Unmapped { at, len })
            }
            Some((wanted, left)) if *wanted == room => {
                *left -= 1;
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

impl NormalMemory for Memory {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.pass(at, into.len())?;
        self.inner.read(at, into)
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.pass(at, from.len())?;
        self.inner.write(at, from)
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        self.inner.check(at, len)
    }
}

/// What stands between the hypervisor and the machine.
struct Wrappers {
    uvc: Arc<Spoiler>,
    sie: Arc<Switch>,
    spaces: Arc<Spaces>,
    memory: Arc<Memory>,
}

fn wrap(machine: &Arc<Machine>, missing: &[u16]) -> (Hardware, Wrappers) {
    let uvc = Arc::new(Spoiler {
        machine: machine.clone(),
        plan: Mutex::default(),
        log: Mutex::default(),
        blocks: Mutex::default(),
        missing: missing.to_vec(),
    });
    let sie = Arc::new(Switch { machine: machine.clone(), instead: Mutex::default() });
    let spaces = Arc::new(Spaces { machine: machine.clone(), attached: Mutex::default() });
    let memory = Arc::new(Memory { inner: Arc::new(machine.host_memory()), fails: Mutex::default() });
    let hardware = Hardware {
        uvc: uvc.clone(),
        sie: sie.clone(),
        spaces: spaces.clone(),
        memory: memory.clone(),
        ..Hardware::new(machine, machine.host_memory())
    };
    (hardware, Wrappers { uvc, sie, spaces, memory })
}

pub(crate) struct Rig {
    rig: dev::Rig,
    pub(crate) machine: Arc<Machine>,
    pub(crate) uvc: Arc<Spoiler>,
    sie: Arc<Switch>,
    spaces: Arc<Spaces>,
    memory: Arc<Memory>,
    pub(crate) host: Arc<Host>,
    /// The image, as a file.
    pub(crate) file: Vec<u8>,
    pub(crate) ipib: Vec<u8>,
    pub(crate) components: Vec<Component>,
    /// Free kernel storage before there was a guest.
    pub(crate) free: u64,
}

impl Rig {
    pub(crate) fn new(generation: Generation) -> Self {
        Self::without(generation, &[])
    }

    /// A machine whose query does not tell these calls, by their bits.
    pub(crate) fn without(generation: Generation, missing: &[u16]) -> Self {
        let mut config = RigConfig::with_machine(MachineConfig { generation, ..MachineConfig::new(3) });
        config.guest_bytes = 1 << 30;
        let mut made = None;
        let rig = dev::Rig::over(config, |machine| {
            let (hardware, wrappers) = wrap(machine, missing);
            made = Some(wrappers);
            hardware
        })
        .expect("initialized");
        let Wrappers { uvc, sie, spaces, memory } = made.expect("made with the rig");
        uvc.log();
        let free = rig.host.free_storage();
        let image = rig.image(&[0x77; 20_000]);
        let components = image.components().to_vec();
        let form = IpibForm::Exact;
        let ipib =
            ipib::build(form, image.header_address(), image.header_length(), &components).expect("few components");
        let (machine, host, file) = (rig.machine.clone(), rig.host.clone(), image.file().to_vec());
        Self { rig, machine, uvc, sie, spaces, memory, host, file, ipib, components, free }
    }

    /// An ordinary VM with this many CPUs and the image in its memory.
    pub(crate) fn guest_with(&self, cpus: u16, change: impl FnOnce(&mut VmConfig)) -> Arc<Vm> {
        let mut config = VmConfig::new(self.rig.slots(PAGES).expect("memory for one more"));
        change(&mut config);
        let guest = self.rig.vm_of(config, cpus).expect("storage");
        self.load(&guest);
        guest
    }

    pub(crate) fn guest(&self, cpus: u16) -> Arc<Vm> {
        self.guest_with(cpus, |_| {})
    }

    /// Puts another SIE in the place of the machine's.
    pub(crate) fn enter_by(&self, sie: Arc<dyn Sie>) {
        *self.sie.instead.lock().expect("nobody panics with it") = Some(sie);
    }

    /// Lets the next access there fail after so many that go well.
    pub(crate) fn fail(&self, room: Room, after: u64) {
        *self.memory.fails.lock().expect("nobody panics with it") = Some((room, after));
    }

    /// Calls this off; whether it was still to come.
    pub(crate) fn fails_still(&self) -> bool {
        self.memory.fails.lock().expect("nobody panics with it").take().is_some()
    }

    /// The address spaces that are attached, by ASCE.
    pub(crate) fn attached(&self) -> Vec<u64> {
        self.spaces.attached.lock().expect("one thread").iter().copied().collect()
    }

    pub(crate) fn load(&self, guest: &Vm) {
        guest.storage().write(GuestAddr(0), &self.file).expect("an ordinary guest");
    }

    pub(crate) fn header(&self) -> &[u8] {
        let image = ipib::IpibView::new(&self.ipib);
        let start = usize::try_from(image.header_address()).expect("small");
        &self.file[start..start + usize::try_from(image.header_length()).expect("small")]
    }

    /// Everything up to VERIFY_IMG, by the kernel level.
    pub(crate) fn verified(&self, guest: &Vm) {
        guest.enable().expect("enabled");
        guest.set_parameters(self.header()).expect("a good header");
        for component in &self.components {
            let (address, length) = (GuestAddr(component.address.get()), component.length.get());
            guest.unpack(address, length, component.tweak_prefix.get(), &mut || true).expect("unpacked");
        }
        guest.verify().expect("verified");
    }

    /// The commands since last asked.
    pub(crate) fn log(&self) -> Vec<UvCommand> {
        self.uvc.log()
    }
}

/// A refusal with this rc, made up.
pub(crate) fn refuse(rc: u16) -> Spoil {
    Spoil::Instead(Cc::Error, rc)
}

pub(crate) const BUSY: Spoil = Spoil::Instead(Cc::Busy, 0);
pub(crate) const PARTIAL: Spoil = Spoil::Instead(Cc::Partial, 0);

/// The rc of a host error.
pub(crate) fn rc(error: uv_s390::hypervisor::kernel::HostError) -> UvRc {
    error.codes().0
}
