//! What hypervisor and guest of IBM Z can do, and what can come of it.

use crate::Seed;

/// VMs.
pub const VMS: u8 = 2;
/// CPU numbers of a VM.
pub const CPUS: u8 = 2;
/// Pages of a VM that are used; 0 and 1 are the prefix area, 3 and 4 the image.
pub const PAGES: u8 = 10;

/// What is wrong with an INIT_UV.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// Nothing.
    Good,
    /// Two host CPUs run.
    TwoCpus,
    /// Another length.
    Length,
    /// Not at 1 MiB.
    Unaligned,
    /// Past the end of storage.
    Missing,
    /// Below 2 GiB.
    Low,
}

/// What is wrong with a CREATE_SEC_CONF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Nothing.
    Good,
    /// MSO beyond the highest guest address.
    MsoHigh,
    /// MSO inside a page.
    MsoUnaligned,
    /// No storage.
    NoLength,
    /// Storage beyond the highest guest address.
    LengthHigh,
    /// ASCE without the private bit.
    Asce,
    /// Base storage past the end of storage.
    BaseMissing,
    /// Base storage in the lowcore.
    BaseLow,
    /// Flags that are not known.
    Flags,
    /// No SCA.
    NoSca,
    /// SCA past the end of storage.
    ScaMissing,
    /// Variable storage is what INIT_UV took.
    VariableTaken,
}

/// What is wrong with a CREATE_SEC_CPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateCpu {
    /// Nothing.
    Good,
    /// The number is too high.
    Number,
    /// CPU storage past the end of storage.
    Missing,
    /// CPU storage in the lowcore.
    Low,
    /// State description not at 512 bytes.
    State,
}

/// What is wrong with an SE header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the rows of SET_SEC_CONF_PARAMS")]
pub enum Header {
    Good,
    WrongCount,
    Inaccessible,
    Short,
    Magic,
    NoSlots,
    AreaSize,
    Size,
    Flags,
    ForeignKey,
    CustomerKey,
    Tag,
    Items,
    SecretFlags,
}

/// Where the hypervisor's tables lead a guest page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapTo {
    /// To its own frame.
    Home,
    /// To its own frame, read-only.
    ReadOnly,
    /// To its own frame, by a 1 MiB entry.
    Segment,
    /// To its own frame, by a 2 GiB entry.
    Region,
    /// To the own frame of a page of a VM.
    Frame(u8, u8),
    /// Nowhere.
    Unmapped,
    /// Past the end of storage.
    Outside,
    /// To storage that INIT_UV took.
    Donated,
}

/// Which frame a call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Named {
    /// The own frame of a page of a VM.
    Frame(u8, u8),
    /// None: past the end of storage.
    Outside,
    /// None: inside a frame.
    Unaligned,
    /// Storage that INIT_UV took.
    Donated,
}

/// Which guest address a call names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addr {
    /// A page.
    Page(u8),
    /// The middle of page 2.
    Unaligned,
    /// Beyond guest storage.
    Beyond,
}

/// What a guest does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Reads a page.
    Load(u8),
    /// Fills a page.
    Store(u8, u8),
    /// SET_SHARED_ACCESS.
    Share(Addr),
    /// REMOVE_SHARED_ACCESS.
    Unshare(Addr),
    /// A host's command.
    HostCommand,
}

/// One call. `bad` names a handle that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are those of the commands")]
pub enum Call {
    /// A command code that is none.
    BadCommand,
    /// A block one byte too long, of this command.
    BadLength(u16),
    Init(Init),
    CreateConf(u8, Create),
    DestroyConf {
        vm: u8,
        bad: bool,
    },
    DestroyConfFast {
        vm: u8,
        bad: bool,
    },
    CreateCpu {
        vm: u8,
        cpu: u8,
        how: CreateCpu,
        bad: bool,
    },
    DestroyCpu {
        vm: u8,
        cpu: u8,
        bad: bool,
    },
    SetParams {
        vm: u8,
        header: Header,
        bad: bool,
    },
    Unpack {
        vm: u8,
        at: Addr,
        tweak: u8,
        bad: bool,
    },
    Verify {
        vm: u8,
        bad: bool,
    },
    SetState {
        vm: u8,
        cpu: u8,
        state: u8,
        bad: bool,
    },
    Reset {
        vm: u8,
        cpu: u8,
        kind: u8,
        bad: bool,
    },
    PrepareReset {
        vm: u8,
        bad: bool,
    },
    UnshareAll {
        vm: u8,
        bad: bool,
    },
    Import {
        vm: u8,
        at: Addr,
        bad: bool,
    },
    Export(Named),
    DestroyPage(Named),
    Pin(Named),
    Unpin {
        vm: u8,
        at: Addr,
        bad: bool,
    },
    DumpInit {
        vm: u8,
        bad: bool,
    },
    DumpCpu {
        vm: u8,
        cpu: u8,
        outside: bool,
        bad: bool,
    },
    DumpStorage {
        vm: u8,
        at: Addr,
        outside: bool,
        bad: bool,
    },
    DumpComplete {
        vm: u8,
        outside: bool,
        bad: bool,
    },
    VerifyLarge {
        vm: u8,
        at: Addr,
        bad: bool,
    },
    /// The tables lead a page there.
    Map(u8, u8, MapTo),
    /// The component of the image is put into a frame.
    PutComponent {
        vm: u8,
        page: u8,
        component: u8,
    },
    /// The hypervisor fills a frame.
    HostWrite(u8, u8, u8),
    /// The hypervisor reads a frame, and keeps what it finds.
    HostRead(u8, u8),
    /// The hypervisor writes what it has kept.
    HostPut(u8, u8),
    /// The CPU is entered; when nothing is left to do, its guest does this.
    Enter {
        vm: u8,
        cpu: u8,
        op: Op,
    },
}

/// What came of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Condition code, rc, rrc.
    Codes(u8, u16, u16),
    /// An entry ended with a validity interception.
    Validity(u16),
    /// An entry ended with this interception code; whether the guest's operation was done, and how: cc and rc of a call.
    Intercept(u8, Option<Done>),
    /// An entry ended with this program interruption for the host.
    Program(u16),
    /// Host memory: read or written, or closed (0x3d).
    Host(bool),
    /// Not a call of the machine's.
    Nothing,
}

/// What a guest's operation gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// A load or store.
    Access,
    /// A call: condition code and rc.
    Call(u8, u16),
}

fn addr(seed: &mut Seed) -> Addr {
    match seed.below(16) {
        0 => Addr::Unaligned,
        1 => Addr::Beyond,
        _ => Addr::Page(seed.below(PAGES)),
    }
}

fn named(seed: &mut Seed) -> Named {
    match seed.below(24) {
        0 => Named::Outside,
        1 => Named::Unaligned,
        2 => Named::Donated,
        _ => Named::Frame(seed.below(VMS), seed.below(PAGES)),
    }
}

/// Once in a while something is wrong.
fn kind<T: Copy>(seed: &mut Seed, good: T, wrong: &[T]) -> T {
    if seed.one_in(3) { seed.pick(wrong) } else { good }
}

const CREATES: [Create; 11] = [
    Create::MsoHigh,
    Create::MsoUnaligned,
    Create::NoLength,
    Create::LengthHigh,
    Create::Asce,
    Create::BaseMissing,
    Create::BaseLow,
    Create::Flags,
    Create::NoSca,
    Create::ScaMissing,
    Create::VariableTaken,
];
const INITS: [Init; 5] = [Init::TwoCpus, Init::Length, Init::Unaligned, Init::Missing, Init::Low];
const CREATE_CPUS: [CreateCpu; 4] = [CreateCpu::Number, CreateCpu::Missing, CreateCpu::Low, CreateCpu::State];
const HEADERS: [Header; 13] = [
    Header::WrongCount,
    Header::Inaccessible,
    Header::Short,
    Header::Magic,
    Header::NoSlots,
    Header::AreaSize,
    Header::Size,
    Header::Flags,
    Header::ForeignKey,
    Header::CustomerKey,
    Header::Tag,
    Header::Items,
    Header::SecretFlags,
];
/// Commands with a fixed length, and it.
pub const LENGTHS: [(u16, u16); 20] = [
    (0x000f, 0x48),
    (0x0100, 0x80),
    (0x0101, 0x40),
    (0x0120, 0x60),
    (0x0121, 0x40),
    (0x0200, 0x28),
    (0x0201, 0x20),
    (0x0202, 0x20),
    (0x0300, 0x50),
    (0x0301, 0x50),
    (0x0302, 0x40),
    (0x0310, 0x40),
    (0x0311, 0x40),
    (0x0320, 0x40),
    (0x0321, 0x40),
    (0x0330, 0x50),
    (0x0340, 0x40),
    (0x0341, 0x20),
    (0x0342, 0x28),
    (0x0104, 0x18),
];

/// The same call with something wrong, where there is something to get wrong.
pub(super) fn spoil(call: Call, seed: &mut Seed) -> Call {
    match call {
        Call::Init(_) => Call::Init(seed.pick(&INITS)),
        Call::CreateConf(vm, _) => Call::CreateConf(vm, seed.pick(&CREATES)),
        Call::CreateCpu { vm, cpu, bad, .. } => Call::CreateCpu { vm, cpu, how: seed.pick(&CREATE_CPUS), bad },
        Call::SetParams { vm, bad, .. } => Call::SetParams { vm, header: seed.pick(&HEADERS), bad },
        Call::Unpack { vm, at: Addr::Page(page), .. } if page > 1 && seed.one_in(2) => Call::Map(vm, page, far(seed)),
        Call::Unpack { vm, at, tweak, bad } => {
            Call::Unpack { vm, at: addr(seed), tweak: tweak ^ seed.below(2), bad: bad || at == Addr::Page(0) }
        }
        Call::DumpComplete { vm, bad, .. } => {
            let (at, outside, cpu) = (Addr::Page(seed.below(2)), seed.one_in(2), seed.below(CPUS));
            seed.pick(&[
                Call::DumpStorage { vm, at, outside, bad },
                Call::DumpCpu { vm, cpu, outside, bad },
                Call::DumpComplete { vm, outside: true, bad },
            ])
        }
        // The page is not mapped as it should be.
        Call::Map(vm, 0, _) => Call::VerifyLarge { vm, at: Addr::Page(0), bad: false },
        Call::Map(vm, page, _) => Call::Unpack { vm, at: Addr::Page(page), tweak: 0, bad: false },
        // The configuration is not whole.
        Call::DestroyConf { vm, .. } => seed.pick(&[
            Call::VerifyLarge { vm, at: Addr::Page(0), bad: false },
            Call::CreateCpu { vm, cpu: 0, how: CreateCpu::Good, bad: false },
            Call::Unpin { vm, at: Addr::Page(2), bad: false },
        ]),
        Call::Import { vm, .. } => Call::Map(vm, 0, if seed.one_in(2) { MapTo::Region } else { MapTo::Home }),
        other => other,
    }
}

fn far(seed: &mut Seed) -> MapTo {
    seed.pick(&[MapTo::Unmapped, MapTo::Outside, MapTo::Donated, MapTo::ReadOnly, MapTo::Segment, MapTo::Region])
}

/// A random call.
pub(super) fn random(seed: &mut Seed) -> Call {
    let (vm, cpu, bad) = (seed.below(VMS), seed.below(CPUS), seed.one_in(24));
    let outside = seed.one_in(6);
    match seed.below(56) {
        0 => Call::BadCommand,
        1 => Call::BadLength(seed.pick(&LENGTHS).0),
        2 => Call::Init(kind(seed, Init::Good, &INITS)),
        3 | 4 => Call::CreateConf(vm, kind(seed, Create::Good, &CREATES)),
        5 if seed.one_in(4) => Call::DestroyConf { vm, bad },
        6 if seed.one_in(4) => Call::DestroyConfFast { vm, bad },
        7 => Call::CreateCpu { vm, cpu, how: kind(seed, CreateCpu::Good, &CREATE_CPUS), bad },
        8 if seed.one_in(3) => Call::DestroyCpu { vm, cpu, bad },
        9 | 10 => Call::SetParams { vm, header: kind(seed, Header::Good, &HEADERS), bad },
        11 | 12 => Call::Unpack { vm, at: addr(seed), tweak: seed.below(3), bad },
        13 if seed.one_in(4) => Call::Verify { vm, bad },
        14 => Call::SetState { vm, cpu, state: seed.pick(&[1, 2, 5, 5, 3, 4, 0]), bad },
        15 => Call::Reset { vm, cpu, kind: seed.below(3), bad },
        16 if seed.one_in(2) => Call::PrepareReset { vm, bad },
        17 if seed.one_in(2) => Call::UnshareAll { vm, bad },
        18..=23 => Call::Import { vm, at: addr(seed), bad },
        24..=27 => Call::Export(named(seed)),
        28 => Call::DestroyPage(named(seed)),
        29 => Call::Pin(named(seed)),
        30 => Call::Unpin { vm, at: addr(seed), bad },
        31 if seed.one_in(3) => Call::DumpInit { vm, bad },
        32 => Call::DumpCpu { vm, cpu, outside, bad },
        33 => Call::DumpStorage { vm, at: addr(seed), outside, bad },
        34 => Call::DumpComplete { vm, outside, bad },
        35 => Call::VerifyLarge { vm, at: addr(seed), bad },
        36 | 37 => {
            let elsewhere = MapTo::Frame(seed.below(VMS), 2 + seed.below(PAGES - 2));
            let to = match seed.below(6) {
                0 => far(seed),
                1 | 2 => elsewhere,
                _ => MapTo::Home,
            };
            Call::Map(vm, 2 + seed.below(PAGES - 2), to)
        }
        38 => Call::HostWrite(vm, seed.below(PAGES), seed.below(7)),
        39 | 40 => Call::HostRead(vm, seed.below(PAGES)),
        41 => Call::HostPut(vm, seed.below(PAGES)),
        _ => {
            let page = 2 + seed.below(PAGES - 2);
            let op = match seed.below(8) {
                0 | 1 => Op::Load(page),
                2 | 3 => Op::Store(page, 1 + seed.below(6)),
                4 | 5 => Op::Share(if seed.one_in(8) { Addr::Unaligned } else { Addr::Page(page) }),
                6 => Op::Unshare(if seed.one_in(8) { Addr::Beyond } else { Addr::Page(page) }),
                _ => Op::HostCommand,
            };
            Call::Enter { vm, cpu, op }
        }
    }
}
