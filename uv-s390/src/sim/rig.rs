//! A machine with a small hypervisor around it, for the tests of the calls.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use spin::Mutex;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
use uv_sim::rng::SimRng;
use zerocopy::IntoBytes;

use super::{Generation, GuestInsn, HostView, InsnResult, Machine, MachineConfig};
use crate::abi::psw::Psw;
use crate::abi::se_header::{ConfidentialArea, PlaintextControlFlags, SeHeader};
use crate::abi::sie::{
    AddressSpaces, GuestMap, HostMapping, InterceptionCode, MappingSize, SidaDesignation, Sie, StateDescription, fields,
};
use crate::abi::uvc::{Block, Cc, ProgramInterruption, UvCall, UvRc, UvRrc};
use crate::abi::uvcb::{
    ConvertFrom, ConvertTo, CpuState, CreateConf, CreateCpu, InitUv, NoData, QueryInfo, Role, SetCpuState, SetParams,
    Unpack, UvCommand,
};
use crate::owner::crypto::{CustomerKeyPair, HostPrivateKey, KeySlot, RequestKey};
use crate::owner::image::{PageCipher, PageHasher};
use crate::owner::se_header::HeaderContent;

pub(crate) const GIB: u64 = 1 << 30;
pub(crate) const MIB: u64 = 1 << 20;
/// Storage for INIT_UV.
pub(crate) const UV_BASE: u64 = 3 * GIB;
/// Where guest number n has its memory and everything donated for it.
const GUEST: u64 = GIB;
const GUEST_STEP: u64 = 64 * MIB;
pub(crate) const GUEST_LEN: u64 = 4 * MIB;
/// Guest absolute address of the image component, two pages.
pub(crate) const COMPONENT: u64 = 0x3000;
const PREFIX: u64 = 0x0046_0102_0304_0506;
/// Where the guest's image starts.
pub(crate) const START: u64 = 0x3010;
pub(crate) const PLAIN: [u8; 2] = [0xa1, 0xb2];

pub(crate) struct Rig {
    pub(crate) machine: Arc<Machine>,
    pub(crate) host: HostView,
    pub(crate) info: QueryInfo,
}

/// Page tables: guest page n lies at `base` + 4096 n, with exceptions.
#[derive(Default)]
pub(crate) struct Tables {
    pub(crate) moved: Mutex<alloc::collections::BTreeMap<u64, Option<HostMapping>>>,
    pub(crate) large: Mutex<Option<MappingSize>>,
    base: u64,
    len: u64,
}

impl Tables {
    /// `len` bytes from host address `base` on.
    pub(crate) fn new(base: u64, len: u64) -> Self {
        Self { base, len, ..Self::default() }
    }
}

impl GuestMap for Tables {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        if let Some(moved) = self.moved.lock().get(&(addr.0 & !0xfff)) {
            return *moved;
        }
        let size = self.large.lock().unwrap_or(MappingSize::Page);
        let frame = HostAddr(self.base + (addr.0 & !0xfff));
        (addr.0 < self.len).then_some(HostMapping { frame, writable: true, size })
    }
}

/// One VM of the rig.
pub(crate) struct Guest {
    pub(crate) conf: u64,
    pub(crate) asce: u64,
    pub(crate) tables: Arc<Tables>,
    pub(crate) base: u64,
    pub(crate) create: CreateConf,
}

/// One CPU of a VM.
#[derive(Clone, Copy)]
pub(crate) struct Vcpu {
    pub(crate) handle: u64,
    pub(crate) state: HostAddr,
    pub(crate) storage: u64,
}

pub(crate) type Codes = (Cc, UvRc, UvRrc);
pub(crate) const OK: Codes = (Cc::Done, UvRc::EXECUTED, UvRrc(0));
pub(crate) fn refused(rc: UvRc) -> Codes {
    (Cc::Error, rc, UvRrc(0))
}

impl Rig {
    pub(crate) fn new(generation: Generation) -> Self {
        Self::with(|config| config.generation = generation)
    }

    pub(crate) fn with(change: impl FnOnce(&mut MachineConfig)) -> Self {
        let mut config = MachineConfig::new(7);
        change(&mut config);
        let machine = Arc::new(Machine::new(config));
        let info = machine.generation().query(Role::Host);
        Self { host: machine.host_memory(), machine, info }
    }

    /// A machine whose Ultravisor is initialized.
    pub(crate) fn ready(generation: Generation) -> Self {
        let rig = Self::new(generation);
        assert_eq!(rig.call(&mut InitUv::new(UV_BASE, rig.info.uv_base_stor_len.get())), OK);
        rig
    }

    pub(crate) fn try_call<B: Block>(&self, block: &mut B) -> Result<Codes, ProgramInterruption> {
        let cc = self.machine.uv_call(block.as_mut_bytes())?;
        Ok((cc, block.header().rc(), block.header().rrc()))
    }

    pub(crate) fn call<B: Block>(&self, block: &mut B) -> Codes {
        self.try_call(block).unwrap()
    }

    pub(crate) fn no_data(&self, command: UvCommand, handle: u64) -> Codes {
        self.call(&mut NoData::new(command, handle))
    }

    /// A block that creates VM number `n`, with nothing wrong.
    pub(crate) fn create_block(&self, n: u64) -> CreateConf {
        let at = GUEST + n * GUEST_STEP;
        let mut block = CreateConf::new();
        block.conf_base_stor_origin = (at + 16 * MIB).into();
        block.conf_virt_stor_origin = (at + 17 * MIB).into();
        block.guest_stor_len = GUEST_LEN.into();
        block.guest_sca = (at + 18 * MIB).into();
        block.guest_asce = Self::asce(n).into();
        block
    }

    pub(crate) fn asce(n: u64) -> u64 {
        (GUEST + n * GUEST_STEP + 19 * MIB) | 0x107
    }

    pub(crate) fn guest(&self, n: u64) -> Guest {
        self.guest_with(n, |_| ())
    }

    pub(crate) fn guest_with(&self, n: u64, change: impl FnOnce(&mut CreateConf)) -> Guest {
        let mut create = self.create_block(n);
        change(&mut create);
        assert_eq!(self.call(&mut create), OK);
        let base = GUEST + n * GUEST_STEP;
        let tables = Arc::new(Tables::new(base, GUEST_LEN));
        self.machine.attach(Self::asce(n), Arc::clone(&tables) as Arc<dyn GuestMap>);
        Guest { conf: create.guest_handle.get(), asce: Self::asce(n), tables, base, create }
    }

    pub(crate) fn cpu_block(&self, guest: &Guest, number: u16) -> CreateCpu {
        let at = guest.base + 20 * MIB + u64::from(number) * 0x10_000;
        CreateCpu::new(guest.conf, number, at, at + 0x8000)
    }

    pub(crate) fn cpu(&self, guest: &Guest, number: u16) -> Vcpu {
        let mut block = self.cpu_block(guest, number);
        assert_eq!(self.call(&mut block), OK);
        let state = HostAddr(block.state_origin.get());
        let (handle, storage) = (block.cpu_handle.get(), block.stor_origin.get());
        let mut sd = StateDescription::new();
        sd.cpu_handle = handle.into();
        sd.conf_handle = guest.conf.into();
        sd.sdf = fields::SDF_PROTECTED;
        sd.ecb2 = fields::ECB2_EXTENDED_SCA;
        sd.set_sca_origin(guest.create.guest_sca.get());
        sd.mso = guest.create.guest_stor_origin;
        sd.msl = (guest.create.guest_stor_origin.get() + GUEST_LEN - fields::MSL_BLOCK).into();
        sd.sidad = SidaDesignation::new(HostAddr(state.0 + 0x1000), 1).unwrap().0.into();
        self.host.write(state, sd.as_bytes()).unwrap();
        Vcpu { handle, state, storage }
    }

    /// Header for an image of one component of two pages, and the component as stored.
    pub(crate) fn image(&self, keys: &[&HostPrivateKey], pcf: PlaintextControlFlags) -> (SeHeader, Vec<u8>) {
        self.image_with(keys, pcf, |_| ())
    }

    /// As [`Rig::image`], with a change in what the header keeps secret.
    pub(crate) fn image_with(
        &self,
        keys: &[&HostPrivateKey],
        pcf: PlaintextControlFlags,
        change: impl FnOnce(&mut ConfidentialArea),
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
        change(&mut area);
        let mut stored: Vec<u8> = PLAIN.iter().flat_map(|byte| [*byte; 4096]).collect();
        PageCipher::new(&area.image_key).encrypt_component(PREFIX, &mut stored);
        let mut hasher = PageHasher::new();
        hasher.component(&stored, COMPONENT, PREFIX);
        let header = SeHeader::seal(&HeaderContent {
            iv: [5; 12],
            header_key: &key,
            customer_key: customer.coordinates(),
            slots: &slots,
            pcf,
            measurement: &hasher.finish(),
            confidential: &area,
        });
        (header.unwrap(), stored)
    }

    /// The SE header goes to host memory of the VM and from there to the machine.
    pub(crate) fn set_params(&self, guest: &Guest, header: &[u8]) -> Codes {
        let at = guest.base + 24 * MIB;
        self.host.write(HostAddr(at), header).unwrap();
        self.call(&mut SetParams::new(guest.conf, at, u32::try_from(header.len()).unwrap()))
    }

    pub(crate) fn unpack_block(&self, guest: &Guest, page: u64) -> Unpack {
        Unpack::new(guest.conf, COMPONENT + page * 0x1000, PREFIX, page * 0x1000)
    }

    /// Header and component are taken; the image is not verified yet.
    pub(crate) fn unpacked(&self, guest: &Guest, pcf: PlaintextControlFlags) {
        let (header, stored) = self.image(&[&self.machine.host_key], pcf);
        self.unpacked_image(guest, &header, &stored);
    }

    pub(crate) fn unpacked_image(&self, guest: &Guest, header: &SeHeader, stored: &[u8]) {
        assert_eq!(self.set_params(guest, header.as_bytes()), OK);
        self.host.write(HostAddr(guest.base + COMPONENT), stored).unwrap();
        for page in 0..2 {
            assert_eq!(self.call(&mut self.unpack_block(guest, page)), OK);
        }
    }

    pub(crate) fn verified(&self, guest: &Guest) {
        let may_dump = self.machine.generation().plaintext_flags() & PlaintextControlFlags::ALLOW_DUMP;
        self.unpacked(guest, PlaintextControlFlags::PCKMO | may_dump);
        assert_eq!(self.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
    }

    pub(crate) fn set_state(&self, cpu: Vcpu, state: CpuState) -> Codes {
        self.call(&mut SetCpuState::new(cpu.handle, state))
    }

    pub(crate) fn import(&self, guest: &Guest, addr: u64) -> Codes {
        self.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, guest.conf, addr))
    }

    pub(crate) fn storage(&self, command: UvCommand, at: u64) -> Codes {
        self.call(&mut ConvertFrom::new(command, at))
    }

    pub(crate) fn export(&self, at: u64) -> Codes {
        self.storage(UvCommand::CONV_FROM_SEC_STOR, at)
    }

    /// A VM with one CPU that is ready to run a script, prefix pages in.
    pub(crate) fn booted(
        &self,
        n: u64,
        steps: impl IntoIterator<Item = Step<GuestInsn>>,
    ) -> (Guest, Vcpu, Transcript<InsnResult>) {
        self.boot(self.guest(n), steps)
    }

    /// As [`Rig::booted`], for a VM that is there.
    pub(crate) fn boot(
        &self,
        guest: Guest,
        steps: impl IntoIterator<Item = Step<GuestInsn>>,
    ) -> (Guest, Vcpu, Transcript<InsnResult>) {
        let cpu = self.cpu(&guest, 0);
        self.verified(&guest);
        let seen = self.script(cpu, steps);
        assert_eq!(self.set_state(cpu, CpuState::OPERATING_LOAD), OK);
        assert_eq!(self.import(&guest, 0), OK);
        assert_eq!(self.import(&guest, 0x1000), OK);
        (guest, cpu, seen)
    }

    /// What the CPU runs when it is first started; started again, it issues DIAG 0x9c with 42.
    pub(crate) fn script(&self, cpu: Vcpu, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Transcript<InsnResult> {
        let (script, seen) = Script::new(steps);
        let mut first = Some(script);
        let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            match first.take() {
                Some(script) => Box::new(script),
                None => Box::new(Script::new([diag(0x9c, [42, 0, 0, 0, 0])]).0),
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

    /// Enters the CPU and gives the state description after the exit.
    pub(crate) fn enter(&self, guest: &Guest, cpu: Vcpu) -> StateDescription {
        self.machine_enter(guest, cpu).unwrap();
        self.sd(cpu)
    }

    pub(crate) fn machine_enter(&self, guest: &Guest, cpu: Vcpu) -> Result<(), ProgramInterruption> {
        let mut grs = [0x5a; 16];
        let result = self.machine.enter(cpu.state, guest.asce, &mut grs);
        assert_eq!(grs, [0x5a; 16], "a protected guest's registers are not the host's");
        result
    }

    /// Runs the guest until it exits, giving it every page it asks for.
    pub(crate) fn serve(&self, guest: &Guest, cpu: Vcpu) -> StateDescription {
        loop {
            match self.machine_enter(guest, cpu) {
                Ok(()) => return self.sd(cpu),
                Err(interruption) => {
                    assert_eq!(interruption.code, crate::abi::uvc::PgmCode::NON_SECURE_STORAGE_ACCESS);
                    assert_eq!(self.import(guest, interruption.teid.unwrap().page()), OK);
                }
            }
        }
    }

    /// Boots VM number `n` with a program, runs it to its end and gives what it saw.
    pub(crate) fn run(&self, n: u64, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Vec<Outcome<InsnResult>> {
        let (guest, cpu, seen) = self.booted(n, steps);
        assert_eq!(self.serve(&guest, cpu).interception(), InterceptionCode::WAIT);
        core::mem::take(&mut *seen.lock())
    }

    pub(crate) fn icpt(&self, guest: &Guest, cpu: Vcpu) -> InterceptionCode {
        self.enter(guest, cpu).interception()
    }

    pub(crate) fn is_closed(&self, at: u64) -> bool {
        let mut byte = [0];
        let read = self.host.read(HostAddr(at), &mut byte);
        let write = self.host.write(HostAddr(at), &byte);
        assert_eq!(read, write);
        read == Err(uv_core::AccessError::Secure { at: HostAddr(at & !0xfff) })
    }
}

/// A program that stores a request in its page 0x8000 and issues one call; the page after it is for answers.
pub(crate) fn requesting(request: &[u8], block: &impl Block) -> Vec<Step<GuestInsn>> {
    let pages = (0x8..0x10).map(|page| Step::store(GuestAddr(page << 12), &[0]));
    pages.chain([Step::store(GuestAddr(REQUEST), request), uvc(block)]).collect()
}

/// Where a program of [`requesting`] has its request, and the room for the answer.
pub(crate) const REQUEST: u64 = 0x8000;
pub(crate) const ANSWER: u64 = 0xc000;

pub(crate) fn diag(code: u16, gr: [u64; 5]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag { code, gr })
}

pub(crate) fn uvc(block: &impl Block) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Uvc { block: block.as_bytes().to_vec() })
}

/// cc, rc and control block that a guest's call returned.
pub(crate) fn returned(outcome: &Outcome<InsnResult>) -> (u8, u16, Vec<u8>) {
    match outcome {
        Outcome::Returned(InsnResult::Data { cc, bytes }) => {
            (*cc, u16::from_be_bytes([bytes[4], bytes[5]]), bytes.to_vec())
        }
        other => panic!("{other:?}"),
    }
}

/// The bytes that a guest loaded.
pub(crate) fn loaded(outcome: &Outcome<InsnResult>) -> Vec<u8> {
    match outcome {
        Outcome::Loaded(bytes) => bytes.to_vec(),
        other => panic!("{other:?}"),
    }
}
