//! A machine, a hypervisor and a small guest, with a UV call that can be told to refuse.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, PageSize, SlotId};
use uv_s390::abi::ipib::{self, Component, IpibForm};
use uv_s390::abi::sie::Sie;
use uv_s390::abi::uvc::{Cc, ProgramInterruption, UvCall, UvRc};
use uv_s390::abi::uvcb::UvCommand;
use uv_s390::hypervisor::kernel::{Guest, GuestConfig, Hardware, Host, HostPages};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{Image, ImageBuilder};
use uv_s390::sim::{Generation, Machine, MachineConfig};
use uv_sim::rng::SimRng;

const KERNEL: u64 = 2 << 30;
const KERNEL_BYTES: u64 = 64 << 20;
const GUEST: u64 = 16 << 20;
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
    /// Commands with the double word at 0x18 of the block after the call: the handle, in those that have one there.
    handles: Mutex<Vec<(UvCommand, u64)>>,
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

    /// Handles of the calls of this command, oldest first.
    pub(crate) fn handles(&self, command: UvCommand) -> Vec<u64> {
        let handles = self.handles.lock().expect("one thread");
        handles.iter().filter(|(known, _)| *known == command).map(|(_, handle)| *handle).collect()
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
        if let Some(handle) = block.get(0x18..0x20) {
            let handle = u64::from_be_bytes(handle.try_into().expect("eight bytes"));
            self.handles.lock().expect("one thread").push((command, handle));
        }
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

pub(crate) struct Rig {
    pub(crate) machine: Arc<Machine>,
    pub(crate) uvc: Arc<Spoiler>,
    sie: Arc<Switch>,
    pub(crate) host: Arc<Host>,
    /// The image, as a file.
    pub(crate) file: Vec<u8>,
    pub(crate) ipib: Vec<u8>,
    pub(crate) components: Vec<Component>,
    /// Free kernel storage before there was a guest.
    pub(crate) free: u64,
    next: Mutex<u64>,
}

impl Rig {
    pub(crate) fn new(generation: Generation) -> Self {
        let mut rng = SimRng::from_seed(11);
        let key = HostPrivateKey::generate(&mut rng);
        let built = ImageBuilder::new(&[0x77; 20_000])
            .command_line(b"quiet")
            .host_key(key.public())
            .skip_component_check()
            .pcf(generation.plaintext_flags() & uv_s390::abi::se_header::PlaintextControlFlags::ALLOW_DUMP)
            .build(&mut rng)
            .expect("an image");
        let image = Image::parse(&built.bytes).expect("just built");
        let components: Vec<_> = image.components().map(|(component, _)| component).collect();
        let length = u64::try_from(image.header().as_bytes().len()).expect("small");
        let ipib = ipib::build(IpibForm::Exact, image.header_offset(), length, &components).expect("few components");
        let memory = KERNEL + KERNEL_BYTES;
        let config = MachineConfig { generation, memory, host_key: key, ..MachineConfig::new(3) };
        let machine = Arc::new(Machine::new(config));
        let uvc = Arc::new(Spoiler {
            machine: machine.clone(),
            plan: Mutex::default(),
            log: Mutex::default(),
            handles: Mutex::default(),
        });
        let sie = Arc::new(Switch { machine: machine.clone(), instead: Mutex::default() });
        let hardware =
            Hardware { uvc: uvc.clone(), sie: sie.clone(), ..Hardware::new(&machine, machine.host_memory()) };
        let host = Host::start(hardware, HostPages::new([(HostAddr(KERNEL), KERNEL_BYTES)])).expect("initialized");
        uvc.log();
        let free = host.free_storage();
        Self { machine, uvc, sie, host, file: built.bytes, ipib, components, free, next: Mutex::new(GUEST) }
    }

    /// An ordinary VM with this many CPUs and the image in its memory.
    pub(crate) fn guest_with(&self, cpus: u16, change: impl FnOnce(&mut GuestConfig)) -> Arc<Guest> {
        let mut next = self.next.lock().expect("one thread");
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: PAGES, host: HostAddr(*next) }).expect("one slot");
        *next += PAGES << 12;
        let mut config = GuestConfig::new(slots);
        change(&mut config);
        let guest = Guest::new(self.host.clone(), config).expect("storage");
        (0..cpus).try_for_each(|number| guest.add_cpu(number)).expect("CPUs");
        self.load(&guest);
        guest
    }

    pub(crate) fn guest(&self, cpus: u16) -> Arc<Guest> {
        self.guest_with(cpus, |_| {})
    }

    /// Puts another SIE in the place of the machine's.
    pub(crate) fn enter_by(&self, sie: Arc<dyn Sie>) {
        *self.sie.instead.lock().expect("nobody panics with it") = Some(sie);
    }

    pub(crate) fn load(&self, guest: &Guest) {
        guest.storage().write(GuestAddr(0), &self.file).expect("an ordinary guest");
    }

    pub(crate) fn header(&self) -> &[u8] {
        let image = ipib::IpibView::new(&self.ipib);
        let start = usize::try_from(image.header_address()).expect("small");
        &self.file[start..start + usize::try_from(image.header_length()).expect("small")]
    }

    /// Everything up to VERIFY_IMG, by the kernel level.
    pub(crate) fn verified(&self, guest: &Guest) {
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
