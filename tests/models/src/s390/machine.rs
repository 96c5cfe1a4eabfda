//! The simulated machine, driven by the same calls as the model.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::{
    AddressSpaces, GuestMap, HostMapping, MappingSize, SidaDesignation, Sie, StateDescription, fields,
};
use uv_s390::abi::uvc::{Block, UvCall};
use uv_s390::abi::uvcb::{
    ConvertFrom, ConvertTo, CpuState, CreateConf, CreateCpu, DestroyFast, DumpComplete, DumpCpu, DumpStorageState,
    InitUv, NoData, QueryInfo, Role, SetCpuState, SetParams, Share, Unpack, UvCommand,
};
use uv_s390::sim::{Generation, GuestInsn, HostView, InsnResult, Machine, MachineConfig};
use uv_sim::guest::{Outcome, Program, Step};
use zerocopy::IntoBytes;

use super::calls::{Addr, Answer, Call, Create, CreateCpu as CpuKind, Done, Header, Init, LENGTHS, MapTo, Named, Op};
use super::images::{PREFIX, sample};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const END: u64 = 4 * GIB;
const UV_BASE: u64 = 3 * GIB;
const GUEST_LEN: u64 = 4 * MIB;

/// Storage of VM `n`: guest memory first, what is donated for it from 64 MiB on.
fn home(vm: u8) -> u64 {
    GIB + u64::from(vm) * 128 * MIB
}

/// Where a frame lies.
fn at((vm, page): (u8, u8)) -> HostAddr {
    HostAddr(home(vm) + u64::from(page) * 0x1000)
}

type Maps = Arc<Mutex<BTreeMap<(u8, u8), MapTo>>>;

/// The tables of a VM.
struct Tables {
    vm: u8,
    maps: Maps,
}

impl GuestMap for Tables {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let page = Some(addr.0 >> 12).filter(|page| *page < GUEST_LEN >> 12)?;
        let own = HostAddr(home(self.vm) + (page << 12));
        let known = u8::try_from(page).ok();
        let maps = self.maps.lock().unwrap_or_else(PoisonError::into_inner);
        let to = known.and_then(|page| maps.get(&(self.vm, page)).copied()).unwrap_or(MapTo::Home);
        let (frame, writable, size) = match to {
            MapTo::Home => (own, true, MappingSize::Page),
            MapTo::ReadOnly => (own, false, MappingSize::Page),
            MapTo::Segment => (own, true, MappingSize::Segment),
            MapTo::Region => (own, true, MappingSize::Region),
            MapTo::Frame(vm, page) => (at((vm, page)), true, MappingSize::Page),
            MapTo::Unmapped => return None,
            MapTo::Outside => (HostAddr(END), true, MappingSize::Page),
            MapTo::Donated => (HostAddr(UV_BASE), true, MappingSize::Page),
        };
        Some(HostMapping { frame, writable, size })
    }
}

/// What a guest's program has to do, and what it saw.
#[derive(Default)]
struct Desk {
    todo: VecDeque<Op>,
    working: bool,
    saw: VecDeque<(Op, Outcome<InsnResult>)>,
    now: Option<Op>,
}

type SharedDesk = Arc<Mutex<Desk>>;

fn share(command: UvCommand, addr: Addr) -> Step<GuestInsn> {
    let at = address(addr);
    Step::Call(GuestInsn::Uvc { block: Share::new(command, at).as_bytes().to_vec() })
}

fn address(addr: Addr) -> u64 {
    match addr {
        Addr::Page(page) => u64::from(page) << 12,
        Addr::Unaligned => 0x2008,
        Addr::Beyond => GUEST_LEN,
    }
}

/// Does what is on the desk, then gives up its time.
fn program(desk: SharedDesk) -> Box<dyn Program<GuestInsn, InsnResult>> {
    Box::new(move |last: Outcome<InsnResult>| {
        let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
        if desk.working
            && !matches!(last, Outcome::Started)
            && let Some(op) = desk.now.take()
        {
            desk.saw.push_back((op, last));
            desk.working = false;
            return Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] });
        }
        desk.now = desk.todo.pop_front();
        desk.working = desk.now.is_some();
        match desk.now {
            None => Step::Call(GuestInsn::Diag { code: 0x44, gr: [0; 5] }),
            Some(Op::Load(page)) => Step::load(GuestAddr(u64::from(page) << 12), 0x1000),
            Some(Op::Store(page, byte)) => Step::store(GuestAddr(u64::from(page) << 12), &[byte; 0x1000]),
            Some(Op::Share(addr)) => share(UvCommand::SET_SHARED_ACCESS, addr),
            Some(Op::Unshare(addr)) => share(UvCommand::REMOVE_SHARED_ACCESS, addr),
            Some(Op::HostCommand) => {
                let block = NoData::new(UvCommand::VERIFY_IMG, 0).as_bytes().to_vec();
                Step::Call(GuestInsn::Uvc { block })
            }
        }
    })
}

/// The machine with its hypervisor.
pub(super) struct Driver {
    machine: Arc<Machine>,
    pub(super) host: HostView,
    info: QueryInfo,
    maps: Maps,
    confs: BTreeMap<u8, u64>,
    cpus: BTreeMap<(u8, u8), u64>,
    desks: BTreeMap<(u8, u8), SharedDesk>,
    generation: Generation,
    kept: Vec<u8>,
    /// What the last load of a guest gave.
    pub(super) loaded: Option<Vec<u8>>,
}

/// A number that is no handle.
const NO_HANDLE: u64 = 0x7777_0000;

impl Driver {
    pub(super) fn new(generation: Generation) -> Self {
        let machine = Arc::new(Machine::new(MachineConfig { generation, ..sample().config.clone() }));
        Self {
            host: machine.host_memory(),
            machine,
            info: generation.query(Role::Host),
            maps: Maps::default(),
            confs: BTreeMap::new(),
            cpus: BTreeMap::new(),
            desks: BTreeMap::new(),
            generation,
            kept: vec![0; 0x1000],
            loaded: None,
        }
    }

    /// The secure pages of a VM.
    pub(super) fn secure(&self, vm: u8) -> Option<u64> {
        self.machine.page_counts(*self.confs.get(&vm)?).map(|counts| counts.secure)
    }

    /// What the hypervisor reads in a frame, if it may.
    pub(super) fn read(&self, frame: (u8, u8)) -> Option<Vec<u8>> {
        let mut bytes = vec![0; 0x1000];
        self.host.read(at(frame), &mut bytes).ok().map(|()| bytes)
    }

    fn conf(&self, vm: u8, bad: bool) -> u64 {
        if bad { NO_HANDLE } else { self.confs.get(&vm).copied().unwrap_or(NO_HANDLE) }
    }

    fn cpu(&self, vm: u8, cpu: u8, bad: bool) -> u64 {
        if bad { NO_HANDLE } else { self.cpus.get(&(vm, cpu)).copied().unwrap_or(NO_HANDLE) }
    }

    fn bytes(&self, block: &mut [u8]) -> Answer {
        match self.machine.uv_call(block) {
            Ok(cc) => {
                let half = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
                Answer::Codes(cc.into(), half(4), half(6))
            }
            Err(interruption) => Answer::Program(interruption.code.0),
        }
    }

    fn uvc<B: Block>(&self, block: &mut B) -> Answer {
        self.bytes(block.as_mut_bytes())
    }

    fn no_data(&self, command: UvCommand, handle: u64) -> Answer {
        self.uvc(&mut NoData::new(command, handle))
    }

    fn header(command: u16, length: u16) -> Vec<u8> {
        let mut block = vec![0; usize::from(length)];
        block[..2].copy_from_slice(&length.to_be_bytes());
        block[2..4].copy_from_slice(&command.to_be_bytes());
        block
    }

    fn named(&self, named: Named) -> u64 {
        match named {
            Named::Frame(vm, page) => at((vm, page)).0,
            Named::Outside => END,
            Named::Unaligned => home(0) + 8,
            Named::Donated => UV_BASE,
        }
    }

    fn frame(&self, command: UvCommand, named: Named) -> Answer {
        self.uvc(&mut ConvertFrom::new(command, self.named(named)))
    }

    pub(super) fn call(&mut self, call: &Call) -> Answer {
        let area = |outside: bool| if outside { END } else { home(0) + 100 * MIB };
        match *call {
            Call::BadCommand => self.bytes(&mut Self::header(0x0666, 0x40)),
            Call::BadLength(command) => {
                let length = LENGTHS.iter().find(|(code, _)| *code == command).map_or(0x40, |(_, length)| *length);
                self.bytes(&mut Self::header(command, length + 8))
            }
            Call::Init(how) => self.init(how),
            Call::CreateConf(vm, how) => self.create(vm, how),
            Call::DestroyConf { vm, bad } => self.no_data(UvCommand::DESTROY_SEC_CONF, self.conf(vm, bad)),
            Call::DestroyConfFast { vm, bad } => self.uvc(&mut DestroyFast::new(self.conf(vm, bad))),
            Call::CreateCpu { vm, cpu, how, bad } => self.create_cpu(vm, cpu, how, bad),
            Call::DestroyCpu { vm, cpu, bad } => self.no_data(UvCommand::DESTROY_SEC_CPU, self.cpu(vm, cpu, bad)),
            Call::SetParams { vm, header, bad } => self.set_params(vm, header, bad),
            Call::Unpack { vm, at, tweak, bad } => {
                let tweak = u64::from(tweak) * 0x1000;
                self.uvc(&mut Unpack::new(self.conf(vm, bad), address(at), PREFIX, tweak))
            }
            Call::Verify { vm, bad } => self.no_data(UvCommand::VERIFY_IMG, self.conf(vm, bad)),
            Call::SetState { vm, cpu, state, bad } => {
                self.uvc(&mut SetCpuState::new(self.cpu(vm, cpu, bad), CpuState(state)))
            }
            Call::Reset { vm, cpu, kind, bad } => {
                let commands = [UvCommand::CPU_RESET, UvCommand::CPU_RESET_INITIAL, UvCommand::CPU_RESET_CLEAR];
                self.no_data(commands[usize::from(kind % 3)], self.cpu(vm, cpu, bad))
            }
            Call::PrepareReset { vm, bad } => self.no_data(UvCommand::PREPARE_RESET, self.conf(vm, bad)),
            Call::UnshareAll { vm, bad } => self.no_data(UvCommand::SET_UNSHARE_ALL, self.conf(vm, bad)),
            Call::Import { vm, at, bad } => self.convert(UvCommand::CONV_TO_SEC_STOR, vm, at, bad),
            Call::Export(named) => self.frame(UvCommand::CONV_FROM_SEC_STOR, named),
            Call::DestroyPage(named) => self.frame(UvCommand::DESTR_SEC_STOR, named),
            Call::Pin(named) => self.frame(UvCommand::PIN_PAGE_SHARED, named),
            Call::Unpin { vm, at, bad } => self.convert(UvCommand::UNPIN_PAGE_SHARED, vm, at, bad),
            Call::DumpInit { vm, bad } => self.no_data(UvCommand::DUMP_INIT, self.conf(vm, bad)),
            Call::DumpCpu { vm, cpu, outside, bad } => {
                self.uvc(&mut DumpCpu::new(self.cpu(vm, cpu, bad), area(outside)))
            }
            Call::DumpStorage { vm, at, outside, bad } => {
                self.uvc(&mut DumpStorageState::new(self.conf(vm, bad), area(outside), address(at)))
            }
            Call::DumpComplete { vm, outside, bad } => {
                self.uvc(&mut DumpComplete::new(self.conf(vm, bad), area(outside)))
            }
            Call::VerifyLarge { vm, at, bad } => self.convert(UvCommand::VERIFY_LARGE_FRAME, vm, at, bad),
            Call::Map(vm, page, to) => {
                self.maps.lock().unwrap_or_else(PoisonError::into_inner).insert((vm, page), to);
                Answer::Nothing
            }
            Call::PutComponent { vm, page, component } => {
                let from = usize::from(component) * 0x1000;
                self.write((vm, page), &sample().stored[from..from + 0x1000])
            }
            Call::HostWrite(vm, page, byte) => self.write((vm, page), &[byte; 0x1000]),
            Call::HostRead(vm, page) => {
                let found = self.read((vm, page));
                let open = found.is_some();
                if let Some(found) = found {
                    self.kept = found;
                }
                Answer::Host(open)
            }
            Call::HostPut(vm, page) => self.write((vm, page), &self.kept),
            Call::Enter { vm, cpu, op } => self.enter(vm, cpu, op),
        }
    }

    fn write(&self, frame: (u8, u8), bytes: &[u8]) -> Answer {
        Answer::Host(self.host.write(at(frame), bytes).is_ok())
    }

    fn convert(&self, command: UvCommand, vm: u8, at: Addr, bad: bool) -> Answer {
        self.uvc(&mut ConvertTo::new(command, self.conf(vm, bad), address(at)))
    }

    fn init(&self, how: Init) -> Answer {
        let length = self.info.uv_base_stor_len.get();
        let (origin, length) = match how {
            Init::Good | Init::TwoCpus => (UV_BASE, length),
            Init::Length => (UV_BASE, length - 0x1000),
            Init::Unaligned => (UV_BASE + 0x1000, length),
            Init::Missing => (END, length),
            Init::Low => (GIB, length),
        };
        self.machine.set_running_cpus(if how == Init::TwoCpus { 2 } else { 1 });
        let answer = self.uvc(&mut InitUv::new(origin, length));
        self.machine.set_running_cpus(1);
        answer
    }

    fn create(&mut self, vm: u8, how: Create) -> Answer {
        let home = home(vm);
        let highest = self.info.max_guest_stor_addr.get();
        let mut block = CreateConf::new();
        block.conf_base_stor_origin = (home + 64 * MIB).into();
        block.conf_virt_stor_origin = (home + 65 * MIB).into();
        block.guest_stor_len = GUEST_LEN.into();
        block.guest_sca = (home + 68 * MIB).into();
        block.guest_asce = ((home + 69 * MIB) | 0x107).into();
        match how {
            Create::Good => {}
            Create::MsoHigh => block.guest_stor_origin = ((highest | 0xfff) + 1).into(),
            Create::MsoUnaligned => block.guest_stor_origin = 8.into(),
            Create::NoLength => block.guest_stor_len = 0.into(),
            Create::LengthHigh => block.guest_stor_len = ((highest | 0xfff) + 0x1001).into(),
            Create::Asce => block.guest_asce = ((home + 69 * MIB) | 0x7).into(),
            Create::BaseMissing => block.conf_base_stor_origin = END.into(),
            Create::BaseLow => block.conf_base_stor_origin = 0x1000.into(),
            Create::Flags => block.flags = 0x8000.into(),
            Create::NoSca => block.guest_sca = 0.into(),
            Create::ScaMissing => block.guest_sca = END.into(),
            Create::VariableTaken => block.conf_virt_stor_origin = UV_BASE.into(),
        }
        let answer = self.uvc(&mut block);
        if block.guest_handle.get() != 0 && matches!(answer, Answer::Codes(_, 1 | 0x810a, _)) {
            self.confs.insert(vm, block.guest_handle.get());
            let tables = Arc::new(Tables { vm, maps: Arc::clone(&self.maps) });
            self.machine.attach(block.guest_asce.get(), tables);
        }
        answer
    }

    fn create_cpu(&mut self, vm: u8, cpu: u8, how: CpuKind, bad: bool) -> Answer {
        let storage = home(vm) + 80 * MIB + u64::from(cpu) * 0x1_0000;
        let state = HostAddr(storage + 0x8000);
        let number = if how == CpuKind::Number { u16::MAX } else { u16::from(cpu) };
        let (origin, described) = match how {
            CpuKind::Missing => (END, state.0),
            CpuKind::Low => (0, state.0),
            CpuKind::State => (storage, state.0 + 8),
            CpuKind::Good | CpuKind::Number => (storage, state.0),
        };
        let mut block = CreateCpu::new(self.conf(vm, bad), number, origin, described);
        let mut sd = StateDescription::new();
        if how == CpuKind::Good && !self.cpus.contains_key(&(vm, cpu)) {
            sd.sidad = SidaDesignation::new(HostAddr(state.0 + 0x1000), 1).map_or(0, |sida| sida.0).into();
            let _ = self.host.write(state, sd.as_bytes());
        }
        let answer = self.uvc(&mut block);
        if !matches!(answer, Answer::Codes(0, ..)) {
            return answer;
        }
        sd.sidad = SidaDesignation::new(HostAddr(state.0 + 0x1000), 1).map_or(0, |sida| sida.0).into();
        sd.cpu_handle = block.cpu_handle;
        sd.conf_handle = self.conf(vm, false).into();
        sd.sdf = fields::SDF_PROTECTED;
        sd.ecb2 = fields::ECB2_EXTENDED_SCA;
        sd.set_sca_origin(home(vm) + 68 * MIB);
        sd.mso = 0.into();
        sd.msl = (GUEST_LEN - MIB).into();
        let _ = self.host.write(state, sd.as_bytes());
        self.cpus.insert((vm, cpu), block.cpu_handle.get());
        let desk = SharedDesk::default();
        self.desks.insert((vm, cpu), Arc::clone(&desk));
        self.machine.set_guest(state, move |_: Psw| {
            // What an earlier program was at is lost.
            let mut now = desk.lock().unwrap_or_else(PoisonError::into_inner);
            (now.now, now.working) = (None, false);
            drop(now);
            program(Arc::clone(&desk))
        });
        answer
    }

    fn set_params(&self, vm: u8, header: Header, bad: bool) -> Answer {
        let origin = home(vm) + 96 * MIB;
        let wanted = if header == Header::Inaccessible { Header::Good } else { header };
        let bytes = sample().header(wanted, self.generation);
        let _ = self.host.write(HostAddr(origin), &bytes);
        let origin = if header == Header::Inaccessible { END } else { origin };
        self.uvc(&mut SetParams::new(self.conf(vm, bad), origin, u32::try_from(bytes.len()).unwrap_or(0)))
    }

    fn enter(&mut self, vm: u8, cpu: u8, op: Op) -> Answer {
        self.loaded = None;
        let Some(desk) = self.desks.get(&(vm, cpu)) else { return Answer::Nothing };
        {
            let mut desk = desk.lock().unwrap_or_else(PoisonError::into_inner);
            if desk.todo.is_empty() && !desk.working {
                desk.todo.push_back(op);
            }
        }
        let state = HostAddr(home(vm) + 80 * MIB + u64::from(cpu) * 0x1_0000 + 0x8000);
        let left = self.machine.enter(state, (home(vm) + 69 * MIB) | 0x107, &mut [0; 16]);
        if let Err(interruption) = left {
            return Answer::Program(interruption.code.0);
        }
        let mut sd = StateDescription::new();
        let _ = self.host.read(state, sd.as_mut_bytes());
        if let Some(validity) = sd.validity() {
            return Answer::Validity(validity.0);
        }
        let done = desk.lock().unwrap_or_else(PoisonError::into_inner).saw.pop_front();
        let done = done.map(|(_, outcome)| match outcome {
            Outcome::Returned(InsnResult::Data { cc, bytes }) => {
                Done::Call(cc, u16::from_be_bytes([bytes[4], bytes[5]]))
            }
            Outcome::Loaded(bytes) => {
                self.loaded = Some(bytes.to_vec());
                Done::Access
            }
            _ => Done::Access,
        });
        Answer::Intercept(sd.interception().0, done)
    }
}
