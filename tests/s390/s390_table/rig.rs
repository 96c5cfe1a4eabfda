//! A machine with a small hypervisor around it. It uses what a hypervisor can use, and the operator's and the guest
//! owner's methods of the machine.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::se_header::{ConfidentialArea, PlaintextControlFlags, SeHeader};
use uv_s390::abi::sie::{
    AddressSpaces, GuestMap, HostMapping, InterceptionCode, MappingSize, SidaDesignation, Sie, StateDescription,
    Validity, fields,
};
use uv_s390::abi::uvc::{Block, Cc, PgmCode, ProgramInterruption, UvCall, UvRc, UvRrc};
use uv_s390::abi::uvcb::{
    ConvertFrom, ConvertTo, CpuState, CreateConf, CreateCpu, InitUv, Length, NoData, QueryInfo, Role, SetCpuState,
    SetParams, Share, Unpack, UvCommand,
};
use uv_s390::owner::crypto::{CustomerKeyPair, HostPrivateKey, KeySlot, RequestKey};
use uv_s390::owner::image::{Measurement, PageCipher, PageHasher};
use uv_s390::owner::se_header::HeaderContent;
use uv_s390::sim::{Generation, GuestInsn, HostView, InsnResult, Machine, MachineConfig};
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

pub(crate) const MIB: u64 = 1 << 20;
pub(crate) const GIB: u64 = 1 << 30;
/// End of the machine's memory.
pub(crate) const END: u64 = 4 * GIB;
/// Storage for INIT_UV.
pub(crate) const UV_BASE: u64 = 3 * GIB;
/// Bytes of guest storage.
pub(crate) const GUEST_LEN: u64 = 4 * MIB;
/// Guest absolute address of the image component, two pages.
pub(crate) const COMPONENT: u64 = 0x3000;
const PREFIX: u64 = 0x0046_0102_0304_0506;
/// Where the image starts.
pub(crate) const START: u64 = 0x3010;

pub(crate) type Codes = (Cc, UvRc, UvRrc);
pub(crate) const OK: Codes = (Cc::Done, UvRc::EXECUTED, UvRrc(0));

pub(crate) fn refused(rc: u16) -> Codes {
    (Cc::Error, UvRc(rc), UvRrc(0))
}

/// Page tables: the page at MSO + n lies at `base` + n, with exceptions.
pub(crate) struct Tables {
    pub(crate) moved: Mutex<BTreeMap<u64, Option<HostMapping>>>,
    pub(crate) size: Mutex<MappingSize>,
    base: u64,
    mso: u64,
}

impl GuestMap for Tables {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let page = addr.0.checked_sub(self.mso).filter(|page| *page < GUEST_LEN)? & !0xfff;
        if let Some(moved) = self.moved.lock().unwrap().get(&page) {
            return *moved;
        }
        Some(HostMapping { frame: HostAddr(self.base + page), writable: true, size: *self.size.lock().unwrap() })
    }
}

/// One VM.
pub(crate) struct Guest {
    pub(crate) conf: u64,
    pub(crate) asce: u64,
    pub(crate) tables: Arc<Tables>,
    pub(crate) base: u64,
    pub(crate) mso: u64,
    pub(crate) create: CreateConf,
}

/// One CPU of a VM.
#[derive(Clone, Copy)]
pub(crate) struct Vcpu {
    pub(crate) handle: u64,
    pub(crate) state: HostAddr,
    pub(crate) storage: u64,
}

pub(crate) struct Rig {
    pub(crate) machine: Arc<Machine>,
    pub(crate) host: HostView,
    pub(crate) info: QueryInfo,
    pub(crate) key: HostPrivateKey,
}

/// Storage that belongs to VM number `n`: guest memory first, what is donated for it from 64 MiB on.
pub(crate) fn home(n: u64) -> u64 {
    GIB + n * 128 * MIB
}

impl Rig {
    /// A machine after power-on.
    pub(crate) fn new(generation: Generation) -> Self {
        Self::with_backup(generation, None)
    }

    /// As [`Rig::new`], with a backup host key.
    pub(crate) fn with_backup(generation: Generation, backup_key: Option<HostPrivateKey>) -> Self {
        static CONFIG: OnceLock<MachineConfig> = OnceLock::new();
        let config = CONFIG.get_or_init(|| MachineConfig::new(7)).clone();
        let key = config.host_key.clone();
        let machine = Arc::new(Machine::new(MachineConfig { generation, backup_key, ..config }));
        Self { host: machine.host_memory(), info: generation.query(Role::Host), machine, key }
    }

    /// A machine whose Ultravisor is initialized.
    pub(crate) fn ready() -> Self {
        Self::ready_on(Generation::Z17)
    }

    pub(crate) fn ready_on(generation: Generation) -> Self {
        let rig = Self::new(generation);
        assert_eq!(rig.init(UV_BASE, 0), OK);
        rig
    }

    /// INIT_UV with this origin and the right length less `less`.
    pub(crate) fn init(&self, origin: u64, less: u64) -> Codes {
        self.call(&mut InitUv::new(origin, self.info.uv_base_stor_len.get() - less))
    }

    /// A UVC on these bytes.
    pub(crate) fn bytes(&self, block: &mut [u8]) -> Result<Codes, ProgramInterruption> {
        let cc = self.machine.uv_call(block)?;
        let half = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
        Ok((cc, UvRc(half(4)), UvRrc(half(6))))
    }

    pub(crate) fn call<B: Block>(&self, block: &mut B) -> Codes {
        self.bytes(block.as_mut_bytes()).unwrap()
    }

    /// The call with another length in its header.
    pub(crate) fn call_len<B: Block>(&self, block: &mut B, len: u16) -> Codes {
        block.as_mut_bytes()[..2].copy_from_slice(&len.to_be_bytes());
        self.call(block)
    }

    pub(crate) fn no_data(&self, command: UvCommand, handle: u64) -> Codes {
        self.call(&mut NoData::new(command, handle))
    }

    /// A block that creates VM number `n`, with nothing wrong.
    pub(crate) fn create_block(&self, n: u64) -> CreateConf {
        let at = home(n);
        let mut block = CreateConf::new();
        block.conf_base_stor_origin = (at + 64 * MIB).into();
        block.conf_virt_stor_origin = (at + 65 * MIB).into();
        block.guest_stor_len = GUEST_LEN.into();
        block.guest_sca = (at + 68 * MIB).into();
        block.guest_asce = ((at + 69 * MIB) | 0x107).into();
        block
    }

    pub(crate) fn guest(&self, n: u64) -> Guest {
        self.guest_at(n, 0)
    }

    /// A VM whose storage begins at `mso` of its address space.
    pub(crate) fn guest_at(&self, n: u64, mso: u64) -> Guest {
        self.guest_with(n, |create| create.guest_stor_origin = mso.into())
    }

    /// A VM that is created with something else than usual.
    pub(crate) fn guest_with(&self, n: u64, change: impl FnOnce(&mut CreateConf)) -> Guest {
        let mut create = self.create_block(n);
        change(&mut create);
        assert_eq!(self.call(&mut create), OK);
        let mso = create.guest_stor_origin.get();
        let (base, asce) = (home(n), create.guest_asce.get());
        let (moved, size) = (Mutex::default(), Mutex::new(MappingSize::Page));
        let tables = Arc::new(Tables { base, mso, moved, size });
        self.machine.attach(asce, Arc::clone(&tables) as Arc<dyn GuestMap>);
        Guest { conf: create.guest_handle.get(), asce, tables, base, mso, create }
    }

    pub(crate) fn cpu_block(&self, guest: &Guest, number: u16) -> CreateCpu {
        let at = guest.base + 80 * MIB + u64::from(number) * 0x1_0000;
        CreateCpu::new(guest.conf, number, at, at + 0x8000)
    }

    pub(crate) fn cpu(&self, guest: &Guest, number: u16) -> Vcpu {
        let mut block = self.cpu_block(guest, number);
        let state = HostAddr(block.state_origin.get());
        let mut sd = StateDescription::new();
        sd.sidad = SidaDesignation::new(HostAddr(state.0 + 0x1000), 1).unwrap().0.into();
        self.host.write(state, sd.as_bytes()).unwrap();
        assert_eq!(self.call(&mut block), OK);
        let (handle, storage) = (block.cpu_handle.get(), block.stor_origin.get());
        sd.cpu_handle = handle.into();
        sd.conf_handle = guest.conf.into();
        sd.sdf = fields::SDF_PROTECTED;
        sd.ecb2 = fields::ECB2_EXTENDED_SCA;
        sd.set_sca_origin(guest.create.guest_sca.get());
        sd.mso = guest.mso.into();
        sd.msl = (guest.mso + GUEST_LEN - MIB).into();
        self.host.write(state, sd.as_bytes()).unwrap();
        Vcpu { handle, state, storage }
    }

    /// The SE header goes to host memory of the VM and from there to the machine.
    pub(crate) fn set_params(&self, guest: &Guest, header: &[u8]) -> Codes {
        let at = guest.base + 96 * MIB;
        self.host.write(HostAddr(at), header).unwrap();
        self.call(&mut SetParams::new(guest.conf, at, u32::try_from(header.len()).unwrap()))
    }

    pub(crate) fn unpack_block(&self, guest: &Guest, page: u64) -> Unpack {
        Unpack::new(guest.conf, COMPONENT + page * 0x1000, PREFIX, page * 0x1000)
    }

    /// The image is in and verified.
    pub(crate) fn verified(&self, guest: &Guest) {
        let (header, stored) = image(self.machine.generation());
        assert_eq!(self.set_params(guest, header), OK);
        self.host.write(HostAddr(guest.base + COMPONENT), stored).unwrap();
        for page in 0..2 {
            assert_eq!(self.call(&mut self.unpack_block(guest, page)), OK);
        }
        assert_eq!(self.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
    }

    pub(crate) fn set_state(&self, cpu: Vcpu, state: CpuState) -> Codes {
        self.call(&mut SetCpuState::new(cpu.handle, state))
    }

    /// Import of a guest absolute address.
    pub(crate) fn import(&self, guest: &Guest, addr: u64) -> Codes {
        self.convert(UvCommand::CONV_TO_SEC_STOR, guest, addr)
    }

    pub(crate) fn convert(&self, command: UvCommand, guest: &Guest, addr: u64) -> Codes {
        self.call(&mut ConvertTo::new(command, guest.conf, guest.mso + addr))
    }

    pub(crate) fn frame(&self, command: UvCommand, at: u64) -> Codes {
        self.call(&mut ConvertFrom::new(command, at))
    }

    pub(crate) fn export(&self, at: u64) -> Codes {
        self.frame(UvCommand::CONV_FROM_SEC_STOR, at)
    }

    /// A VM with one CPU that is ready to run a program, prefix pages in.
    pub(crate) fn booted(&self, n: u64, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Running {
        self.booted_at(n, 0, steps)
    }

    pub(crate) fn booted_at(&self, n: u64, mso: u64, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Running {
        self.boot(self.guest_at(n, mso), steps)
    }

    /// As [`Rig::booted`], for a VM that is there.
    pub(crate) fn boot(&self, guest: Guest, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Running {
        let cpu = self.cpu(&guest, 0);
        self.verified(&guest);
        let seen = self.program(cpu, steps);
        assert_eq!(self.set_state(cpu, CpuState::OPERATING_LOAD), OK);
        assert_eq!([self.import(&guest, 0), self.import(&guest, 0x1000)], [OK, OK]);
        (guest, cpu, seen)
    }

    /// What the CPU runs from its first PSW. From another PSW it issues DIAG 0x9c with the address of that PSW.
    pub(crate) fn program(
        &self,
        cpu: Vcpu,
        steps: impl IntoIterator<Item = Step<GuestInsn>>,
    ) -> Transcript<InsnResult> {
        let (script, seen) = Script::new(steps);
        let mut first = Some(script);
        let code = move |psw: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            match first.take() {
                Some(script) => Box::new(script),
                None => Box::new(Script::new([diag(0x9c, [psw.address.get(), 0, 0, 0, 0])]).0),
            }
        };
        self.machine.set_guest(cpu.state, code);
        seen
    }

    pub(crate) fn sd(&self, cpu: Vcpu) -> StateDescription {
        let mut sd = StateDescription::new();
        self.host.read(cpu.state, sd.as_mut_bytes()).unwrap();
        sd
    }

    pub(crate) fn change(&self, cpu: Vcpu, change: impl FnOnce(&mut StateDescription)) {
        let mut sd = self.sd(cpu);
        change(&mut sd);
        self.host.write(cpu.state, sd.as_bytes()).unwrap();
    }

    pub(crate) fn try_enter(&self, guest: &Guest, cpu: Vcpu) -> Result<StateDescription, ProgramInterruption> {
        self.machine.enter(cpu.state, guest.asce, &mut [0; 16])?;
        Ok(self.sd(cpu))
    }

    /// Enters the CPU and gives the state description after the exit.
    pub(crate) fn enter(&self, guest: &Guest, cpu: Vcpu) -> StateDescription {
        self.try_enter(guest, cpu).unwrap()
    }

    /// Enters the CPU and holds that the entry is refused with this validity.
    pub(crate) fn refuses_entry(&self, guest: &Guest, cpu: Vcpu, validity: Validity) {
        assert_eq!(self.enter(guest, cpu).validity(), Some(validity));
    }

    /// Runs the guest until it exits, giving it every page it asks for.
    pub(crate) fn serve(&self, guest: &Guest, cpu: Vcpu) -> StateDescription {
        loop {
            match self.try_enter(guest, cpu) {
                Ok(sd) => return sd,
                Err(interruption) => {
                    assert_eq!(interruption.code, PgmCode::NON_SECURE_STORAGE_ACCESS);
                    assert_eq!(self.import(guest, interruption.teid.unwrap().page() - guest.mso), OK);
                }
            }
        }
    }

    /// Boots VM 0 with a program, runs it to its end and gives what its instructions gave back.
    pub(crate) fn run(&self, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Vec<InsnResult> {
        let (guest, cpu, seen) = self.booted(0, steps);
        assert_eq!(self.serve(&guest, cpu).interception(), InterceptionCode::WAIT);
        results(&seen)
    }

    /// Whether reading and writing the byte at `at` raise secure-storage access (0x3d).
    pub(crate) fn is_closed(&self, at: u64) -> bool {
        let mut byte = [0];
        let read = self.host.read(HostAddr(at), &mut byte);
        let write = self.host.write(HostAddr(at), &byte);
        assert_eq!(read, write);
        match read {
            Err(AccessError::Secure { at: page }) => {
                assert_eq!(page.0, at & !0xfff);
                self.machine.secure_access(page).code == PgmCode(0x3d)
            }
            _ => false,
        }
    }

    pub(crate) fn word(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        self.host.read(HostAddr(at), &mut word).unwrap();
        u64::from_be_bytes(word)
    }

    pub(crate) fn put(&self, at: u64, bytes: &[u8]) {
        self.host.write(HostAddr(at), bytes).unwrap();
    }
}

/// VM, its CPU, and what the CPU's program sees.
pub(crate) type Running = (Guest, Vcpu, Transcript<InsnResult>);

/// What instructions gave back.
pub(crate) fn results(seen: &Transcript<InsnResult>) -> Vec<InsnResult> {
    let results = seen.lock();
    let results = results.iter().filter_map(|outcome| match outcome {
        Outcome::Returned(result) => Some(result.clone()),
        _ => None,
    });
    results.collect()
}

/// The address of a PSW that is loaded after a reset: what the program started there puts into DIAG 0x9c.
pub(crate) const RESET_PSW: u64 = 42;

/// An image of one component of two pages for the host key of all machines here. It may be dumped where the machine can.
fn image(generation: Generation) -> (&'static [u8], &'static [u8]) {
    static IMAGES: [OnceLock<(Vec<u8>, Vec<u8>)>; 2] = [const { OnceLock::new() }; 2];
    let dump = generation.plaintext_flags() & PlaintextControlFlags::ALLOW_DUMP;
    let (header, stored) = IMAGES[usize::from(dump.is_empty())].get_or_init(|| {
        let key = MachineConfig::new(7).host_key;
        let (header, stored) = sealed(&[&key], PlaintextControlFlags::PCKMO | dump, |_, _| ());
        (header.as_bytes().to_vec(), stored)
    });
    (header, stored)
}

/// A header for these host keys, and the component as stored.
pub(crate) fn sealed(
    keys: &[&HostPrivateKey],
    pcf: PlaintextControlFlags,
    change: impl FnOnce(&mut ConfidentialArea, &mut Measurement),
) -> (SeHeader, Vec<u8>) {
    let mut rng = SimRng::from_seed(3).fork("image");
    let customer = CustomerKeyPair::generate(&mut rng);
    let key = RequestKey::random(&mut rng);
    let slots: Vec<KeySlot> = keys.iter().map(|host| KeySlot::seal(&customer, &host.public(), &key)).collect();
    let mut area = ConfidentialArea {
        cck: [9; 32],
        image_key: core::array::from_fn(|i| u8::try_from(i).unwrap()),
        psw: Psw::at(START),
        secret_flags: 0.into(),
        optional_items: 0.into(),
        reserved_7c: [0; 4],
    };
    let mut stored: Vec<u8> = [0xa1, 0xb2].iter().flat_map(|byte| [*byte; 4096]).collect();
    PageCipher::new(&area.image_key).encrypt_component(PREFIX, &mut stored);
    let mut hasher = PageHasher::new();
    hasher.component(&stored, COMPONENT, PREFIX);
    let mut measurement = hasher.finish();
    change(&mut area, &mut measurement);
    let header = SeHeader::seal(&HeaderContent {
        iv: [5; 12],
        header_key: &key,
        customer_key: customer.coordinates(),
        slots: &slots,
        pcf,
        measurement: &measurement,
        confidential: &area,
    });
    (header.unwrap(), stored)
}

pub(crate) fn diag(code: u16, gr: [u64; 5]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag { code, gr })
}

pub(crate) fn uvc(block: &impl Block) -> Step<GuestInsn> {
    uvc_bytes(block.as_bytes())
}

pub(crate) fn uvc_bytes(block: &[u8]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Uvc { block: block.to_vec() })
}

pub(crate) fn share(page: u64) -> Step<GuestInsn> {
    uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, page))
}

/// A block with nothing but a header.
pub(crate) fn header_only(command: UvCommand, len: u16) -> Vec<u8> {
    let mut block = vec![0; usize::from(len.max(8))];
    block[..2].copy_from_slice(&len.to_be_bytes());
    block[2..4].copy_from_slice(&command.0.to_be_bytes());
    block
}

/// cc and rc of a guest's call.
pub(crate) fn returned(result: &InsnResult) -> (u8, u16) {
    let InsnResult::Data { cc, bytes } = result else { panic!("{result:?}") };
    (*cc, u16::from_be_bytes([bytes[4], bytes[5]]))
}

/// The list H17 of the table: the host's commands that kvm-unit-tests goes through.
const HOST_COMMANDS: [(&str, UvCommand); 17] = [
    ("init", UvCommand::INIT_UV),
    ("create_conf", UvCommand::CREATE_SEC_CONF),
    ("destroy_conf", UvCommand::DESTROY_SEC_CONF),
    ("create_cpu", UvCommand::CREATE_SEC_CPU),
    ("destroy_cpu", UvCommand::DESTROY_SEC_CPU),
    ("conv_to", UvCommand::CONV_TO_SEC_STOR),
    ("conv_from", UvCommand::CONV_FROM_SEC_STOR),
    ("set_sec_conf_params", UvCommand::SET_SEC_CONF_PARAMS),
    ("unpack", UvCommand::UNPACK_IMG),
    ("verify", UvCommand::VERIFY_IMG),
    ("cpu_reset", UvCommand::CPU_RESET),
    ("cpu_reset_initial", UvCommand::CPU_RESET_INITIAL),
    ("prepare_reset", UvCommand::PREPARE_RESET),
    ("cpu_reset_clear", UvCommand::CPU_RESET_CLEAR),
    ("cpu_set_state", UvCommand::CPU_SET_STATE),
    ("pin", UvCommand::PIN_PAGE_SHARED),
    ("unpin", UvCommand::UNPIN_PAGE_SHARED),
];

/// The list H17 as items of a row: the command and the length of its block.
pub(crate) fn h17() -> impl Iterator<Item = (String, (UvCommand, u16))> {
    HOST_COMMANDS.into_iter().map(|(name, command)| {
        let (Length::Exact(len) | Length::AtLeast(len)) = command.info().unwrap().length;
        (name.to_owned(), (command, len))
    })
}

/// The list H16: H17 without INIT.
pub(crate) fn h16() -> impl Iterator<Item = (String, (UvCommand, u16))> {
    h17().skip(1)
}

/// Items with names of their own.
pub(crate) fn items<T>(named: impl IntoIterator<Item = (&'static str, T)>) -> Vec<(String, T)> {
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
