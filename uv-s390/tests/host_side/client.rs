//! What user space's half sends to a kernel, and what it makes of the answer.

use std::sync::Mutex;

use uv_core::{AccessError, ArgumentError, Error, ErrorKind, Gfn, GuestAddr, HostAddr, SlotError, SlotId};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::Validity;
use uv_s390::abi::uvc::{PgmCode, ProgramInterruption, UvRc, UvRrc};
use uv_s390::hypervisor::kernel::{CpuReset, HostError, IoIrq, Irq, MachineCheckIrq, MpState, ProgramIrq};
use uv_s390::hypervisor::uapi::client::{self, PvError};
use uv_s390::hypervisor::uapi::{Argument, IrqBlock, KvmPv, KvmRun, PvCommand, RegId, Target, request};
use zerocopy::IntoBytes;

/// What an ioctl came with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sent {
    value: u64,
    block: Vec<u8>,
    data: Vec<u8>,
    buffer: Vec<u8>,
}

/// A kernel that does nothing but remember, and that answers with a number and bytes.
struct Kernel {
    sent: Mutex<Vec<(Target, u32, Sent)>>,
    answer: Result<u64, Errno>,
    data: Vec<u8>,
}

impl KvmPv for Kernel {
    fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let sent = Sent {
            value: argument.value,
            block: argument.block.to_vec(),
            data: argument.data.to_vec(),
            buffer: argument.buffer.to_vec(),
        };
        self.sent.lock().expect("one thread").push((target, number, sent));
        let answered = self.data.len().min(argument.data.len());
        argument.data[..answered].copy_from_slice(&self.data[..answered]);
        self.answer
    }
}

/// The one ioctl that `act` issues.
fn sent(answer: Result<u64, Errno>, act: impl FnOnce(&Kernel)) -> (Target, u32, Sent) {
    let kernel = Kernel { sent: Mutex::default(), answer, data: Vec::new() };
    act(&kernel);
    let mut all = kernel.sent.into_inner().expect("one thread");
    assert_eq!(all.len(), 1);
    all.remove(0)
}

/// Big-endian double words.
fn words(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

fn of(block: Vec<u8>) -> Sent {
    Sent { block, ..Sent::default() }
}

/// A PV command of this number, with what it points to.
fn pv(number: u64, data: Vec<u8>, buffer: Vec<u8>) -> Sent {
    Sent { data, buffer, ..of(words(&[number << 32, 0, 0, 0])) }
}

#[test]
fn pv_commands_are_sent_as_the_header_has_them() {
    let ok = |act: fn(&Kernel)| sent(Ok(0), act);
    let vm = |sent| (Target::Vm, 0xc020_aec5, sent);
    let none = Vec::new;
    for (number, act) in [
        (0, (|kvm| client::enable(kvm).unwrap()) as fn(&Kernel)),
        (1, |kvm| client::disable(kvm).unwrap()),
        (4, |kvm| client::verify(kvm).unwrap()),
        (5, |kvm| client::prepare_reset(kvm).unwrap()),
        (6, |kvm| client::unshare_all(kvm).unwrap()),
        (9, |kvm| client::cleanup_prepare(kvm).unwrap()),
        (10, |kvm| client::cleanup_perform(kvm).unwrap()),
    ] {
        assert_eq!(ok(act), vm(pv(number, none(), none())));
    }
    assert_eq!(ok(|kvm| client::set_sec_parms(kvm, &[7; 3]).unwrap()), vm(pv(2, words(&[0, 3]), vec![7; 3])));
    assert_eq!(ok(|kvm| client::unpack(kvm, 1, 2, 3).unwrap()), vm(pv(3, words(&[1, 2, 3]), none())));
    assert_eq!(ok(|kvm| _ = client::info_vm(kvm).unwrap()), vm(pv(7, [words(&[80, 0]), vec![0; 64]].concat(), none())));
    let info = [words(&[1 << 32 | 40, 0]), vec![0; 24]].concat();
    assert_eq!(ok(|kvm| _ = client::info_dump(kvm).unwrap()), vm(pv(7, info, none())));
    let dump = |sub: u64, len: u64, address: u64, room: usize| {
        pv(8, words(&[sub, 0, len, address, 0, 0, 0, 0]), vec![0; room])
    };
    assert_eq!(ok(|kvm| client::dump_init(kvm).unwrap()), vm(dump(0, 0, 0, 0)));
    assert_eq!(ok(|kvm| _ = client::dump_storage_state(kvm, 0x10_0000, 6).unwrap()), vm(dump(1, 6, 0x10_0000, 6)));
    assert_eq!(ok(|kvm| _ = client::dump_complete(kvm, 5).unwrap()), vm(dump(2, 5, 0, 5)));
    let cpu = ok(|kvm| assert_eq!(client::dump_cpu(kvm, 3, 4), Ok(vec![0; 4])));
    assert_eq!(cpu, (Target::Vcpu(3), 0xc020_aed0, dump(3, 4, 0, 4)));
}

#[test]
fn ioctls_of_a_vm_are_sent_as_the_header_has_them() {
    let ok = |act: fn(&Kernel)| sent(Ok(0), act);
    let vm = |number: u32, sent: Sent| (Target::Vm, number, sent);
    let value = |value| Sent { value, ..Sent::default() };
    assert_eq!(ok(|kvm| assert_eq!(client::capability(kvm, 180), Ok(0))), vm(0xae03, value(180)));
    assert_eq!(ok(|kvm| assert_eq!(client::has_capability(kvm, 180), Ok(false))), vm(0xae03, value(180)));
    assert_eq!(sent(Ok(7), |kvm| assert_eq!(client::has_capability(kvm, 1), Ok(true))), vm(0xae03, value(1)));
    assert_eq!(ok(|kvm| client::create_vcpu(kvm, 9).unwrap()), vm(0xae41, value(9)));
    let cap = [words(&[106 << 32]), vec![0; 96]].concat();
    assert_eq!(ok(|kvm| client::enable_capability(kvm, Target::Vm, 106).unwrap()), vm(0x4068_aea3, of(cap)));
    let kernel = Kernel { sent: Mutex::default(), answer: Ok(0), data: Vec::new() };
    assert_eq!(client::enable_capability(&kernel, Target::Vm, 1 << 32), Err(Errno::EINVAL), "no such number");
    assert!(kernel.sent.lock().unwrap().is_empty());
    let region = words(&[7 << 32, 0x1000, 0x2000, 0x3000]);
    let set = |kvm: &Kernel| client::set_memory(kvm, 7, GuestAddr(0x1000), 0x2000, HostAddr(0x3000)).unwrap();
    assert_eq!(ok(set), vm(0x4020_ae46, of(region)));
    let attribute = |group: u64, attr: u64, data: u64| Sent { data: words(&[data]), ..of(words(&[group, attr, 0])) };
    let model = |kvm: &Kernel| assert_eq!(client::cpu_model(kvm, 7), Ok(0));
    assert_eq!(ok(model), vm(0x4018_aee2, attribute(3, 7, 0)));
    assert_eq!(ok(|kvm| client::set_cpu_model(kvm, 6, 5).unwrap()), vm(0x4018_aee1, attribute(3, 6, 5)));
    assert_eq!(ok(|kvm| assert_eq!(client::memory_limit(kvm), Ok(0))), vm(0x4018_aee2, attribute(0, 2, 0)));
    assert_eq!(ok(|kvm| client::set_memory_limit(kvm, 9).unwrap()), vm(0x4018_aee1, attribute(0, 2, 9)));
    assert_eq!(
        ok(|kvm| client::inject_service(kvm, 5).unwrap()),
        vm(0x4010_ae94, of(words(&[0xffff_2401_0000_0005, 0])))
    );
    let io = IoIrq { subchannel_id: 1, subchannel_nr: 2, parameter: 3, word: 4 };
    let block = of(words(&[0x2_0001_0002, 0x3_0000_0004]));
    assert_eq!(sent(Ok(0), |kvm| client::inject_io(kvm, io).unwrap()), vm(0x4010_ae94, block));
}

#[test]
fn ioctls_of_a_vcpu_are_sent_as_the_header_has_them() {
    let ok = |act: fn(&Kernel)| sent(Ok(0), act);
    let cpu = |number: u32, sent: Sent| (Target::Vcpu(2), number, sent);
    assert_eq!(ok(|kvm| client::set_mp_state(kvm, 2, MpState::Load).unwrap()), cpu(0x4004_ae99, of(vec![0, 0, 0, 8])));
    assert_eq!(ok(|kvm| client::reset_cpu(kvm, 2, request::CLEAR_RESET).unwrap()), cpu(0xaec4, Sent::default()));
    let area = of(KvmRun::new().as_bytes().to_vec());
    assert_eq!(ok(|kvm| client::run(kvm, 2, &mut KvmRun::new()).unwrap()), cpu(0xae80, area));
    let reg = |id: RegId, data: &[u8]| Sent { data: data.to_vec(), ..of(words(&[id.0, 0])) };
    assert_eq!(
        ok(|kvm| assert_eq!(client::get_one_reg(kvm, 2, RegId::PP), Ok(0))),
        cpu(0x4010_aeab, reg(RegId::PP, &[0; 8]))
    );
    let set = |kvm: &Kernel| client::set_one_reg(kvm, 2, RegId::TODPR, 0x1_0203_0405).unwrap();
    assert_eq!(ok(set), cpu(0x4010_aeac, reg(RegId::TODPR, &[2, 3, 4, 5])));
    let sida = |op: u64, data: &[u8]| {
        let block = words(&[0, 0, (data.len() as u64) << 32 | op, 0, 6 << 32, 0, 0, 0]);
        cpu(0x4040_aeb1, Sent { data: data.to_vec(), ..of(block) })
    };
    assert_eq!(ok(|kvm| client::sida_read(kvm, 2, 6, &mut [9; 3]).unwrap()), sida(2, &[9; 3]));
    assert_eq!(ok(|kvm| client::sida_write(kvm, 2, 6, &[8; 4]).unwrap()), sida(3, &[8; 4]));
    let state = |len: u64, data: Vec<u8>| Sent { data, ..of(words(&[0, len, 0, 0])) };
    assert_eq!(
        ok(|kvm| assert_eq!(client::get_irq_state(kvm, 2, 2), Ok(vec![]))),
        cpu(0x4020_aeb6, state(144, vec![0; 144]))
    );
    let restart = IrqBlock::of(&Irq::Restart);
    let bytes = restart.as_bytes().to_vec();
    assert_eq!(
        sent(Ok(0), |kvm| client::set_irq_state(kvm, 2, &[restart]).unwrap()),
        cpu(0x4020_aeb5, state(72, bytes.clone()))
    );
    // The kernel says how many bytes it stored.
    for (answer, result) in [
        (Ok(72), Ok(vec![IrqBlock::new(0, &[])])),
        (Ok(144), Ok(vec![IrqBlock::new(0, &[]); 2])),
        (Ok(145), Err(Errno::EFAULT)),
        (Err(Errno::ENOBUFS), Err(Errno::ENOBUFS)),
    ] {
        sent(answer, |kvm| assert_eq!(client::get_irq_state(kvm, 2, 2), result));
    }
    assert_eq!(
        ok(|kvm| client::store_status(kvm, 2, 5).unwrap()),
        cpu(0x4008_ae95, Sent { value: 5, ..Sent::default() })
    );
    let mut area = KvmRun::new();
    let psw = Psw::new(1, 2);
    let asked = sent(Err(Errno::EBUSY), |kvm| {
        assert_eq!(client::set_initial_psw(kvm, 2, psw, &mut area), Err(Errno::EBUSY));
    });
    assert_eq!((asked, area.psw()), (cpu(0x4010_ae96, of(words(&[1, 2]))), Psw::new(0, 0)));
    sent(Ok(0), |kvm| client::set_initial_psw(kvm, 2, psw, &mut area).unwrap());
    assert_eq!(area.psw(), psw);
    assert_eq!(ok(|kvm| client::inject_restart(kvm, 2).unwrap()), cpu(0x4048_aeb4, of(bytes)));
    let program = ProgramIrq { code: 6, length: Some(4), no_rewind: true, ..ProgramIrq::default() };
    let check = MachineCheckIrq { cr14: 1, mcic: 2, failing_address: 3, external_damage: 4, fixed_logout: [5; 16] };
    let block = |irq| of(IrqBlock::of(&irq).as_bytes().to_vec());
    assert_eq!(
        sent(Ok(0), |kvm| client::inject_program(kvm, 2, program.into()).unwrap()),
        cpu(0x4048_aeb4, block(Irq::Program(program)))
    );
    assert_eq!(
        sent(Ok(0), |kvm| client::inject_machine_check(kvm, 2, check.into()).unwrap()),
        cpu(0x4048_aeb4, block(Irq::MachineCheck(check)))
    );
}

#[test]
fn answers_are_read_from_where_the_kernel_puts_them() {
    let data: Vec<u8> = (1..=80).collect();
    let kernel = Kernel { sent: Mutex::default(), answer: Ok(0), data };
    let info = client::info_vm(&kernel).unwrap();
    assert_eq!(
        (info.inst_calls[0].get(), info.feature_indication.get()),
        (0x1112_1314_1516_1718, 0x494a_4b4c_4d4e_4f50)
    );
    assert_eq!(client::get_one_reg(&kernel, 0, RegId::TODPR), Ok(0x0102_0304));
    assert_eq!(client::get_one_reg(&kernel, 0, RegId::PP), Ok(0x0102_0304_0506_0708));
    assert_eq!(client::cpu_model(&kernel, 6), Ok(0x0102_0304_0506_0708));
    assert_eq!(client::memory_limit(&kernel), Ok(0x0102_0304_0506_0708));
    let mut bytes = [0; 3];
    client::sida_read(&kernel, 0, 0, &mut bytes).unwrap();
    assert_eq!(bytes, [1, 2, 3]);
}

#[test]
fn failures_have_kinds() {
    let kind = |command, errno, rc| PvError { command, errno, rc, rrc: UvRrc(0) }.kind();
    let (set, verify, unpack) = (PvCommand::SET_SEC_PARMS, PvCommand::VERIFY, PvCommand::UNPACK);
    let none = UvRc(0);
    for (command, errno, rc, wanted) in [
        (unpack, Errno::ENOMEM, none, ErrorKind::Exhausted),
        (unpack, Errno::EAGAIN, none, ErrorKind::Busy),
        (unpack, Errno::EINTR, none, ErrorKind::Busy),
        (unpack, Errno::EFAULT, none, ErrorKind::PageMissing),
        (unpack, Errno::ENOTTY, none, ErrorKind::Unsupported),
        (verify, Errno::EINVAL, UvRc::VERIFY_MISMATCH, ErrorKind::Integrity),
        (unpack, Errno::EINVAL, UvRc::VERIFY_MISMATCH, ErrorKind::InvalidArgument),
        (set, Errno::EINVAL, UvRc::HEADER_CORRUPT, ErrorKind::Integrity),
        (set, Errno::EINVAL, UvRc::HEADER_KEY, ErrorKind::Permission),
        (set, Errno::EINVAL, UvRc::HEADER_VERSION, ErrorKind::Unsupported),
        (set, Errno::EINVAL, UvRc::HEADER_PCF, ErrorKind::Unsupported),
        (set, Errno::EINVAL, UvRc::HEADER_SCF, ErrorKind::Unsupported),
        (verify, Errno::EINVAL, none, ErrorKind::WrongState),
        (verify, Errno::EINVAL, UvRc(0x1f0), ErrorKind::InvalidArgument),
    ] {
        assert_eq!(kind(command, errno, rc), wanted, "{command}, {errno}, {rc}");
    }
    let at = HostAddr(0x1000);
    for (error, wanted) in [
        (HostError::NoStorage(1), ErrorKind::Exhausted),
        (HostError::Access(AccessError::Secure { at }), ErrorKind::PageMissing),
        (HostError::Fault(Gfn(1)), ErrorKind::PageMissing),
        (HostError::Argument(ArgumentError::Wraps), ErrorKind::InvalidArgument),
        (HostError::Slot(SlotError::Wraps), ErrorKind::InvalidArgument),
        (HostError::NoSuchSlot(SlotId(1)), ErrorKind::InvalidArgument),
        (HostError::Cpu(1), ErrorKind::InvalidArgument),
        (HostError::InterruptionRefused, ErrorKind::InvalidArgument),
        (HostError::NoUltravisor, ErrorKind::Unsupported),
        (HostError::NotInstalled, ErrorKind::Unsupported),
        (HostError::NotProtected, ErrorKind::WrongState),
        (HostError::Protected, ErrorKind::WrongState),
        (HostError::SetAside, ErrorKind::WrongState),
        (HostError::SegmentTable, ErrorKind::WrongState),
        (HostError::CannotRun, ErrorKind::WrongState),
        (HostError::Dump, ErrorKind::WrongState),
        (HostError::NotShared(Gfn(1)), ErrorKind::WrongState),
        (HostError::Busy, ErrorKind::WrongState),
        (HostError::Validity(Validity::SIDA), ErrorKind::WrongState),
        (HostError::Interruption(ProgramInterruption::new(PgmCode::PROTECTION)), ErrorKind::Fatal),
        (HostError::Stopped, ErrorKind::Busy),
        (HostError::Again, ErrorKind::Busy),
        (HostError::InterruptionPending, ErrorKind::Busy),
    ] {
        assert_eq!((error.kind(), error.codes()), (wanted, (UvRc(0), UvRrc(0))), "{error}");
    }
}

#[test]
fn a_reset_of_the_area_does_what_the_kernel_does() {
    let mut full = KvmRun::new();
    full.regs.as_mut_bytes().fill(0x5a);
    full.set_psw(Psw::new(3, 4));
    for kind in [CpuReset::Normal, CpuReset::Initial, CpuReset::Clear] {
        let mut area = full;
        area.reset(kind);
        let mut wanted = full;
        wanted.regs.pft = u64::MAX.into();
        wanted.regs.riccb = [0; 64];
        if kind != CpuReset::Normal {
            wanted.set_psw(Psw::new(0, 0));
            let regs = &mut wanted.regs;
            regs.prefix = 0.into();
            regs.crs = [0.into(); 16];
            (regs.crs[0], regs.crs[14]) = (0xe0.into(), 0xc200_0000.into());
            (regs.todpr, regs.cputm, regs.ckc, regs.pp) = (0.into(), 0.into(), 0.into(), 0.into());
            (regs.gbea, regs.fpc) = (1.into(), 0.into());
        }
        if kind == CpuReset::Clear {
            let regs = &mut wanted.regs;
            (regs.gprs, regs.acrs, regs.vrs) = ([0.into(); 16], [0.into(); 16], [[0.into(); 2]; 32]);
            regs.sdnx = [0; 256];
        }
        assert_eq!(area, wanted, "{kind:?}");
    }
    let fields = |run: &KvmRun| (run.regs.fpc.get(), run.regs.gbea.get(), run.regs.pft.get(), run.psw());
    assert_eq!(fields(&KvmRun::new()), (0, 1, u64::MAX, Psw::new(0, 0)));
}
