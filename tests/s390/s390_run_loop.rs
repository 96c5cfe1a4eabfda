//! A VMM's run loop against the user API alone: an ordinary guest under `KVM_RUN` asks to be protected, is answered, goes on
//! protected, asks for re-IPL and begins again; and a protected one gets its interruptions.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::{Arc, Mutex};
use uv_core::{GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotId};
use uv_s390::abi::Errno;
use uv_s390::abi::diag308::Diag308;
use uv_s390::abi::diag308::Response;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::InterceptionCode;
use uv_s390::abi::uvc::PgmCode;
use uv_s390::guest::stage3a::BootImage;
use uv_s390::hypervisor::GuestStorage;
use uv_s390::hypervisor::kernel::{CpuReset, IoIrq, MpState, Vm, VmConfig};
use uv_s390::hypervisor::uapi::{ExitReason, KvmPv, KvmRun, PgmInfo, client};
use uv_s390::hypervisor::vmm::diag308::{self, IplStores, MachineModel, Operand, Outcome as Answer, ResetRequest};
use uv_s390::hypervisor::vmm::ipl::{self, AfterReset, IplOptions, NoDevices, Unprotected};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::ImageBuilder;
use uv_s390::sim::{GuestInsn, InsnResult, Interruption};
use uv_s390_programs::vm::Platform;
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
use uv_sim::rng::SimRng;
use zerocopy::FromZeros;

/// Where the boot loader begins.
const LOADER: u64 = 0x1_0000;
/// Offset of header address and length in the IPIB.
const IPIB_HEADER: u64 = 0x78;
const MEMORY: u64 = 2 << 20;
/// IPA of SERVC.
const SERVC: u16 = 0xb220;
/// Machine type in block 1.1.1 of STSI, in EBCDIC.
const MACHINE_TYPE: [u8; 4] = [0xf3, 0xf9, 0xf3, 0xf1];
/// What stands for the address of an SCCB of a protected guest.
const SCCB_DUMMY: u32 = 0x4000;
/// First operand of DIAG 0x500 by which a guest asks for a program interruption; its code is in the second one.
const ASK_FOR_EXCEPTION: u64 = 0xe;

type Seen = Arc<Mutex<Vec<Transcript<InsnResult>>>>;

/// What a VMM has: the user API, its own memory, and what it remembers of DIAG 308.
struct Vmm {
    kvm: Arc<dyn KvmPv>,
    memory: Arc<dyn NormalMemory>,
    slots: Arc<MemSlots>,
    stores: IplStores,
    area: KvmRun,
    protected: bool,
    /// What the guest told with DIAG 0x500.
    told: Vec<[u64; 4]>,
}

/// Why the loop ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The guest waits for an interruption.
    Waiting,
    /// The guest waits with nothing to wait for.
    DisabledWait,
    /// The guest asked for re-IPL.
    ReIpl,
    /// The kernel cannot run the CPU as it is.
    Refused,
}

impl Vmm {
    fn new(kvm: Arc<dyn KvmPv>, memory: Arc<dyn NormalMemory>, base: HostAddr) -> Self {
        client::set_memory(&*kvm, 0, GuestAddr(0), MEMORY, base).unwrap();
        let mut slots = MemSlots::new(PageSize::K4);
        let slot = MemSlot { first: uv_core::Gfn(0), pages: MEMORY >> 12, host: base };
        slots.insert(SlotId(0), slot).unwrap();
        let (stores, area) = (IplStores::new(), KvmRun::new());
        Self { kvm, memory, slots: Arc::new(slots), stores, area, protected: false, told: Vec::new() }
    }

    fn storage(&self) -> GuestStorage<'_> {
        GuestStorage { slots: self.slots.clone(), memory: &*self.memory }
    }

    /// Puts the image into memory and the boot loader to work.
    fn load(&mut self, file: &[u8]) {
        for page in (0..MEMORY).step_by(0x1000) {
            self.storage().write(GuestAddr(page), &[0; 0x1000]).unwrap();
        }
        self.storage().write(GuestAddr(0), file).unwrap();
        self.area.reset(CpuReset::Clear);
        self.area.set_psw(Psw::at(LOADER));
    }

    fn run(&mut self) -> End {
        loop {
            match client::run(&*self.kvm, 0, &mut self.area) {
                Err(Errno::EINTR) => {
                    assert_eq!(self.area.exit_reason(), ExitReason::INTR);
                    return End::Waiting;
                }
                Err(Errno::EINVAL) => return End::Refused,
                result => result.unwrap(),
            }
            let Some(exit) = self.area.sieic() else {
                assert_eq!(self.area.exit_reason(), ExitReason::S390_RESET);
                return End::ReIpl;
            };
            match (exit.icptcode, self.area.diagnose()) {
                (InterceptionCode::WAIT, _) => return End::DisabledWait,
                (InterceptionCode::INSTRUCTION, Some(0x308)) => self.diag308(),
                (InterceptionCode::PV_INSTRUCTION, Some(0x500)) if self.area.gr(1) == ASK_FOR_EXCEPTION => {
                    let code = u16::try_from(self.area.gr(2)).unwrap();
                    let program = PgmInfo { code: code.into(), ..PgmInfo::new_zeroed() };
                    client::inject_program(&*self.kvm, 0, program).unwrap();
                }
                (InterceptionCode::INSTRUCTION | InterceptionCode::PV_INSTRUCTION, Some(0x500)) => {
                    self.told.push(core::array::from_fn(|n| self.area.gr(n + 1)));
                    self.area.set_gr(2, 0x600d);
                }
                (InterceptionCode::PV_INSTRUCTION, None) if exit.ipa == SERVC => self.service_call(),
                other => panic!("{other:?}"),
            }
        }
    }

    /// The SCCB is answered in place; the service signal follows.
    fn service_call(&mut self) {
        let mut sccb = [0; 8];
        client::sida_read(&*self.kvm, 0, 0, &mut sccb).unwrap();
        assert_eq!(sccb, [0, 8, 1, 2, 3, 4, 0, 0], "as the guest sent it");
        // Response code: normal completion.
        client::sida_write(&*self.kvm, 0, 6, &[0x00, 0x20]).unwrap();
        client::inject_service(&*self.kvm, SCCB_DUMMY).unwrap();
    }

    fn diag308(&mut self) {
        let exit = self.area.sieic().unwrap();
        let (r1, r3) = (usize::from(exit.ipa >> 4 & 15), usize::from(exit.ipa & 15));
        let call = Diag308 {
            problem_state: false,
            r1: u8::try_from(r1).unwrap(),
            address: self.area.gr(r1),
            subcode: self.area.gr(r3),
        };
        let mut stores = core::mem::take(&mut self.stores);
        let answer = diag308::handle(&mut stores, &MachineModel::default(), call, Operand::Guest(self.storage()));
        self.stores = stores;
        let response = match answer {
            Answer::Response(response) => response,
            Answer::Reset(ResetRequest::Protected) => {
                self.area.reset(CpuReset::Normal);
                let ipib = self.stores.pv().unwrap();
                match ipl::start(&*self.kvm, &self.storage(), ipib, &IplOptions::default(), &mut |_| {}) {
                    Ok(_) => {
                        self.protected = true;
                        return;
                    }
                    Err(error) => error.response,
                }
            }
            other => panic!("{other:?}"),
        };
        self.area.set_gr(r1 + 1, response.0);
    }

    fn re_ipl(&mut self) {
        let options = IplOptions { async_disable: true, ..IplOptions::default() };
        let after =
            ipl::reset(&mut NoDevices, &*self.kvm, &self.storage(), &options, self.protected, ResetRequest::ReIpl);
        assert_eq!(after, Ok(AfterReset::Ipl(Unprotected::SetAside)));
        client::set_mp_state(&*self.kvm, 0, MpState::Operating).unwrap();
        self.protected = false;
    }
}

/// A machine, a VM without memory, its VMM, and an image.
fn vmm(programs: impl FnOnce(&BootImage) -> Vec<Vec<Step<GuestInsn>>>) -> (Platform, Vmm, BootImage, Seen) {
    let mut rng = SimRng::from_seed(5);
    let key = HostPrivateKey::generate(&mut rng);
    let kernel = vec![0x6b; 50_000];
    let built = ImageBuilder::new(&kernel).host_key(key.public()).skip_component_check().build(&mut rng).unwrap();
    let image = BootImage::find(built.bytes).unwrap();
    let platform = Platform::new(key, 5, image.file().len()).unwrap();
    let guest = Vm::new(platform.host().clone(), VmConfig::new(MemSlots::new(PageSize::K4))).unwrap();
    guest.add_cpu(0).unwrap();
    let seen = Seen::default();
    let (log, mut programs) = (seen.clone(), programs(&image).into_iter());
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        let (script, transcript) = Script::new(programs.next().expect("one more start"));
        log.lock().unwrap().push(transcript);
        Box::new(script)
    };
    platform.machine().set_guest(guest.state_address(0).unwrap(), code);
    let memory = Arc::new(platform.machine().host_memory());
    let vmm = Vmm::new(guest, memory, platform.end_of_kernel_storage());
    (platform, vmm, image, seen)
}

fn diag308(subcode: u64, address: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag308 { subcode, address, ipib: Vec::new() })
}

fn tell(words: [u64; 4]) -> Step<GuestInsn> {
    let [a, b, c, d] = words;
    Step::Call(GuestInsn::Diag { code: 0x500, gr: [0, a, b, c, d] })
}

/// What the boot loader does: header address and length into the IPIB, then subcodes 8 and 10.
fn loader(image: &BootImage) -> Vec<Step<GuestInsn>> {
    let ipib = image.ipib_address();
    let pointer = [image.header_address().to_be_bytes(), image.header_length().to_be_bytes()].concat();
    vec![Step::store(GuestAddr(ipib + IPIB_HEADER), &pointer), diag308(8, ipib), diag308(10, 0)]
}

fn seen_by(seen: &Seen, start: usize) -> Vec<Outcome<InsnResult>> {
    seen.lock().unwrap()[start].lock().clone()
}

#[test]
fn from_ordinary_to_protected_and_again() {
    let secret = GuestAddr(0x18_0000);
    let (platform, mut vmm, image, seen) = vmm(|image| {
        let protected = vec![
            Step::load(GuestAddr(image.components()[0].address.get()), 16),
            Step::store(secret, b"nobody else's"),
            tell([0x1, 0x2, 0x3, 0x4]),
            Step::Call(GuestInsn::Stsi { gr0: 0x1000_0001, gr1: 1 }),
            Step::Call(GuestInsn::SetMask { mask: 1 << 56 }),
            Step::Call(GuestInsn::Wait),
        ];
        let last = vec![Step::load(secret, 13), diag308(3, 0)];
        let mut again = loader(image);
        again.insert(0, Step::load(secret, 13));
        vec![loader(image), protected, again, last, vec![tell([9, 9, 9, 9])]]
    });
    vmm.load(image.file());
    assert_eq!(vmm.run(), End::Waiting);
    assert!(vmm.protected);
    assert_eq!(vmm.told, [[1, 2, 3, 4]]);
    let loader = seen_by(&seen, 0);
    assert!(matches!(&loader[1], Outcome::Returned(InsnResult::Ipl { response, .. }) if *response == Response::OK.0));
    let protected = seen_by(&seen, 1);
    assert_eq!(protected[2], Outcome::Returned(InsnResult::Registers([0, 1, 0x600d, 3, 4])));
    assert!(
        matches!(&protected[3], Outcome::Returned(InsnResult::Data { cc: 0, bytes }) if bytes[48..52] == MACHINE_TYPE),
        "the kernel's answer"
    );
    let mut bytes = [0; 13];
    assert!(vmm.storage().read(secret, &mut bytes).is_err(), "the VMM cannot look");
    assert_eq!(vmm.run(), End::Waiting, "still");

    // A reset from outside, then the same image again; what was secret is gone.
    vmm.re_ipl();
    client::set_mp_state(&*vmm.kvm, 0, uv_s390::hypervisor::kernel::MpState::Operating).unwrap();
    vmm.load(image.file());
    assert_eq!(vmm.run(), End::ReIpl, "this time the protected guest asks for it");
    for start in [2, 3] {
        assert!(matches!(&seen_by(&seen, start)[0], Outcome::Loaded(bytes) if bytes[..] == [0; 13]));
    }
    client::cleanup_perform(&*vmm.kvm).unwrap();
    vmm.re_ipl();
    vmm.load(image.file());
    assert_eq!(vmm.run(), End::DisabledWait);
    assert_eq!(vmm.told[1], [9; 4], "an ordinary guest is answered the same way");
    client::cleanup_perform(&*vmm.kvm).unwrap();
    assert_eq!(platform.machine().secure_frames_in_use(), 0);
}

#[test]
fn a_guest_that_is_refused_goes_on_behind_its_instruction() {
    let (platform, mut vmm, image, seen) = vmm(|image| {
        let mut program =
            vec![Step::Call(GuestInsn::Uvc { block: vec![0; 0x40] }), diag308(9, 0x17_0000), diag308(10, 0)];
        program.extend(loader(image));
        program.push(diag308(9, 0x17_0000));
        program.push(Step::load(GuestAddr(0x17_0000), 4));
        vec![program]
    });
    let mut file = image.file().to_vec();
    let component = usize::try_from(image.components()[0].address.get()).unwrap();
    file[component + 0x1234] ^= 1;
    vmm.load(&file);
    assert_eq!(vmm.run(), End::DisabledWait);
    assert!(!vmm.protected);
    let responses: Vec<_> = seen_by(&seen, 0)
        .iter()
        .filter_map(|outcome| match outcome {
            Outcome::Returned(InsnResult::Ipl { response, .. }) => Some(Response(*response)),
            _ => None,
        })
        .collect();
    let [none, no_pv, set, refused, stored] = responses[..] else { panic!("{responses:?}") };
    assert_eq!(none, Response::NO_CONFIGURATION);
    assert_eq!(no_pv, Response::NO_PV_CONFIGURATION);
    assert_eq!((set, stored), (Response::OK, Response::OK));
    assert_eq!(refused.code(), Response::CANNOT_ENTER);
    let failure = refused.start_failure().unwrap();
    assert_eq!((failure.command, failure.rc, failure.rrc), (4, 0x102, 0x1b));
    let seen = seen_by(&seen, 0);
    assert_eq!(seen[0], Outcome::Returned(InsnResult::Exception(PgmCode::OPERATION)), "no facility 158");
    assert!(matches!(seen.last(), Some(Outcome::Loaded(bytes)) if bytes[3] != 0), "the IPIB that subcode 8 kept");
    assert_eq!(platform.machine().secure_frames_in_use(), 0);
}

#[test]
fn a_protected_guest_gets_its_interruptions() {
    let (platform, mut vmm, image, seen) = vmm(|image| {
        let protected = vec![
            Step::store(GuestAddr(0x1b0), &[0; 16]),
            Step::Call(GuestInsn::SetCr { number: 0, value: 1 << 9 }),
            Step::Call(GuestInsn::SetCr { number: 6, value: 1 << (31 - 3) }),
            Step::Call(GuestInsn::SetMask { mask: 1 << 56 }),
            Step::Call(GuestInsn::Servc { command: 0x2_0001, sccb: vec![0, 8, 1, 2, 3, 4, 0, 0] }),
            Step::Call(GuestInsn::Wait),
            Step::Call(GuestInsn::Wait),
            Step::Call(GuestInsn::SetMask { mask: 1 << 57 }),
            Step::Call(GuestInsn::Wait),
            tell([ASK_FOR_EXCEPTION, 0x06, 0, 0]),
            tell([ASK_FOR_EXCEPTION, 0x15, 0, 0]),
            tell([ASK_FOR_EXCEPTION, 0x05, 0, 0]),
            tell([7, 7, 7, 7]),
        ];
        vec![loader(image), protected]
    });
    vmm.load(image.file());
    assert_eq!(vmm.run(), End::Waiting, "the second wait");
    let outcomes = || seen_by(&seen, 1);
    let Outcome::Returned(InsnResult::Data { cc: 0, bytes }) = &outcomes()[4] else { panic!("{:?}", outcomes()) };
    assert_eq!(bytes[..], [0, 8, 1, 2, 3, 4, 0, 0x20]);
    let delivered = |list: &[Interruption]| Outcome::Returned(InsnResult::Interruptions(list.to_vec()));
    // The kernel adds its own dummy when the call is told complete.
    let signal = Interruption::External { code: 0x2401, cpu: 0, parameter: SCCB_DUMMY | 0x4_3000 };
    assert_eq!(outcomes()[5], delivered(&[signal]));

    // The I/O interruption does not end a wait that is closed for it; an event does.
    let io = IoIrq { subchannel_id: 1, subchannel_nr: 5, parameter: 0xcafe, word: 3 << 27 };
    client::inject_io(&*vmm.kvm, io).unwrap();
    assert_eq!(vmm.run(), End::Waiting);
    client::inject_service(&*vmm.kvm, 1).unwrap();
    assert_eq!(vmm.run(), End::Refused, "a code that no protected guest can be given");
    assert_eq!(outcomes()[6], delivered(&[Interruption::External { code: 0x2401, cpu: 0, parameter: 3 }]));
    assert_eq!(
        outcomes()[8],
        delivered(&[Interruption::Io { subchannel: 0x1_0005, parameter: 0xcafe, word: 3 << 27 }])
    );
    let exception = |code| Outcome::Returned(InsnResult::Exception(code));
    assert_eq!(outcomes()[9..], [exception(PgmCode::SPECIFICATION), exception(PgmCode::OPERAND)]);
    assert_eq!(vmm.run(), End::DisabledWait, "the instruction is completed without it");
    assert_eq!(vmm.told, [[7; 4]]);
    vmm.re_ipl();
    client::cleanup_perform(&*vmm.kvm).unwrap();
    assert_eq!(platform.machine().secure_frames_in_use(), 0);
}
