//! The kernel on a machine whose exits are scripted: what it does about exits that the simulated machine does not show.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use uv_core::{Exit, HostAddr, NormalMemory, Vcpu};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::{PSW_EXTERNAL, PSW_IO, PSW_MACHINE_CHECK, Psw, with_condition_code};
use uv_s390::abi::sie::{ExecutionControl, InjectionControl, InterceptionCode, Sie, StateDescription};
use uv_s390::abi::uvc::ProgramInterruption;
use uv_s390::abi::uvcb::{Share, UvCommand as C};
use uv_s390::hypervisor::kernel::{HostError, Irq, MachineCheckIrq, MpState, S390Exit, S390Vcpu, Vm};
use uv_s390::hypervisor::uapi::{ExitReason, KvmRun, Target, capability, client};
use uv_s390::sim::Generation;
use zerocopy::{FromZeros, IntoBytes};

use crate::rig::{BUSY, PARTIAL, Rig, refuse};

/// What the machine shows at an exit: code, IPA, IPB, and general registers of the save area.
pub(crate) type Shown = (u8, u16, u32, Vec<(usize, u64)>);

/// A SIE that plays a list of exits, and remembers what it found in the state description.
pub(crate) struct Script {
    memory: Arc<dyn NormalMemory>,
    exits: Mutex<VecDeque<Shown>>,
    entries: Mutex<Vec<StateDescription>>,
    /// PSW mask and control registers at an exit.
    open: Option<u64>,
}

/// A plain stop for the script's end.
pub(crate) fn end() -> Shown {
    (0x68, 0x8302, 0x5000_0000, vec![(5, 0x500)])
}

impl Sie for Script {
    fn enter(&self, state: HostAddr, _: u64, _: &mut [u64; 16]) -> Result<(), ProgramInterruption> {
        let mut sd = StateDescription::new_zeroed();
        self.memory.read(state, sd.as_mut_bytes()).expect("host memory");
        self.entries.lock().expect("one thread").push(sd);
        let (code, ipa, ipb, grs) = self.exits.lock().expect("one thread").pop_front().expect("one more exit");
        (sd.icptcode, sd.ipa, sd.ipb, sd.iictl) = (code, ipa.into(), ipb.into(), 0);
        // What SIGP answers is the kernel's to set.
        let mask = self.open.unwrap_or(PSW_EXTERNAL);
        sd.psw = Psw::new(with_condition_code(mask, if ipa == SIGP { 3 } else { 0 }), 0);
        sd.crs[0] = 0x200.into();
        if self.open.is_some() {
            sd.crs = [u64::MAX.into(); 16];
        }
        (0..16).for_each(|number| sd.set_gr(number, 0));
        grs.into_iter().for_each(|(number, value)| sd.set_gr(number, value));
        self.memory.write(state, sd.as_bytes()).expect("host memory");
        Ok(())
    }
}

const OPEN: Option<u64> = Some(PSW_EXTERNAL | PSW_IO | PSW_MACHINE_CHECK);

/// Puts a script in the place of the machine's SIE.
fn script(rig: &Rig, exits: Vec<Shown>, open: Option<u64>) -> Arc<Script> {
    let memory: Arc<dyn NormalMemory> = Arc::new(rig.machine.host_memory());
    let script = Arc::new(Script { memory, exits: Mutex::new(exits.into()), entries: Mutex::default(), open });
    rig.enter_by(script.clone());
    script
}

/// From now on the machine plays these exits.
pub(crate) fn play(rig: &Rig, exits: Vec<Shown>) {
    script(rig, exits, None);
}

/// As [`play`], and the guest is open for every interruption at every exit.
pub(crate) fn play_open(rig: &Rig, exits: Vec<Shown>) {
    script(rig, exits, OPEN);
}

/// An ordinary VM on a machine that plays these exits.
pub(crate) fn ordinary(rig: &Rig, cpus: u16, exits: Vec<Shown>) -> (Arc<Vm>, Arc<Script>) {
    let script = script(rig, exits, None);
    (rig.guest(cpus), script)
}

/// A VM that is protected and operating, on a machine that plays these exits.
pub(crate) fn scripted(rig: &Rig, cpus: u16, exits: Vec<Shown>) -> (Arc<Vm>, Arc<Script>) {
    protected(rig, cpus, exits, None)
}

/// As [`scripted`], and the guest is open for every interruption at every exit.
pub(crate) fn scripted_open(rig: &Rig, cpus: u16, exits: Vec<Shown>) -> (Arc<Vm>, Arc<Script>) {
    protected(rig, cpus, exits, OPEN)
}

fn protected(rig: &Rig, cpus: u16, exits: Vec<Shown>, open: Option<u64>) -> (Arc<Vm>, Arc<Script>) {
    let script = script(rig, exits, open);
    let guest = rig.guest(cpus);
    rig.verified(&guest);
    guest.set_mp_state(0, MpState::Load).expect("verified");
    (0..cpus).for_each(|number| guest.set_mp_state(number, MpState::Operating).expect("a CPU"));
    rig.log();
    (guest, script)
}

impl Script {
    pub(crate) fn entries(&self) -> Vec<StateDescription> {
        core::mem::take(&mut *self.entries.lock().expect("one thread"))
    }
}

fn is_end(exit: Result<Exit<S390Exit>, HostError>) -> bool {
    matches!(exit, Ok(Exit::Arch(S390Exit::Instruction(insn))) if insn.diagnose() == Some(0x500))
}

fn vcpu(guest: &Arc<Vm>) -> S390Vcpu {
    guest.vcpu(0).expect("a CPU")
}

const SERVC: u16 = 0xb220;
const UVC: u16 = 0xb9a4;
const SIGP: u16 = 0xae02;
const BASE5: u32 = 0x5000_0000;

fn yields() -> Shown {
    (0x6c, 0x8302, BASE5, vec![(5, 0x9c)])
}

fn sigp(code: u8, order: u64, target: u64) -> Shown {
    (code, SIGP, BASE5, vec![(5, order), (2, target)])
}

#[test]
fn only_the_notification_of_a_service_call_lets_its_signal_through() {
    let rig = Rig::new(Generation::Z17);
    let notified = || (0x6c, SERVC, 0x0012_0000, vec![]);
    let exits = vec![(0x68, SERVC, 0x0012_0000, vec![]), yields(), yields(), notified(), yields(), yields(), end()];
    let (guest, script) = scripted(&rig, 1, exits);
    let mut cpu = vcpu(&guest);
    let Ok(Exit::Arch(S390Exit::Instruction(insn))) = cpu.run() else { panic!() };
    assert_eq!((insn.code, insn.ipa), (InterceptionCode::PV_INSTRUCTION, SERVC));
    guest.inject(None, Irq::Service { parameter: 0x4000 }).unwrap();
    for _ in 0..4 {
        assert!(matches!(cpu.run(), Ok(Exit::Arch(S390Exit::Yield(_)))));
    }
    guest.inject(None, Irq::Service { parameter: 0x4000 }).unwrap();
    assert!(is_end(cpu.run()));
    let entries = script.entries();
    let asked: Vec<_> = entries.iter().map(|sd| (sd.iictl, sd.ext_params.get(), sd.ext_code.get())).collect();
    assert_eq!(asked[4], (InjectionControl::EXTERNAL.0, 0x4_7000, 0x2401), "{asked:x?}");
    let quiet: Vec<_> = [0, 1, 2, 3, 5, 6].into_iter().map(|entry: usize| asked[entry].0).collect();
    assert_eq!(quiet, [0; 6], "neither before nor after, without another one");
}

#[test]
fn a_prefix_interception_tries_both_pages_and_enters_again() {
    let rig = Rig::new(Generation::Z17);
    let prefix = || (0x70, 0, 0, vec![]);
    let (guest, script) = scripted(&rig, 1, vec![prefix(), prefix(), end()]);
    rig.uvc.plan(C::CONV_TO_SEC_STOR, [refuse(0x105); 4]);
    assert!(is_end(vcpu(&guest).run()));
    assert_eq!((rig.log(), script.entries().len()), (vec![C::CONV_TO_SEC_STOR; 4], 3));
}

/// Interception 0x2c is an ordinary guest's.
#[test]
fn operation_exceptions_are_the_guests_unless_they_repeat() {
    let rig = Rig::new(Generation::Z17);
    let illegal = || (0x2c, 0, 0, vec![]);
    let sthyi = (0x2c, 0xb256, 0x0024_0000, vec![]);
    let exits = vec![illegal(), illegal(), sthyi, illegal(), illegal(), illegal(), (0x04, 0x8302, BASE5, vec![])];
    let (guest, script) = ordinary(&rig, 1, exits);
    let new_psw = |mask, address| {
        guest.storage().write(uv_core::GuestAddr(0x1d0), Psw::new(mask, address).as_bytes()).unwrap();
    };
    let mut cpu = vcpu(&guest);
    cpu.change_registers(|registers, _| (registers.grs[4], registers.grs[5]) = (0x20_0000, 9)).unwrap();
    let is_other = |exit| matches!(exit, Ok(Exit::Arch(S390Exit::Other(other))) if other.code == InterceptionCode::OPERATION_EXCEPTION);
    // The script's PSW is at 0: six bytes before it is still a loop.
    new_psw(0, 0_u64.wrapping_sub(6));
    assert!(is_other(cpu.run()));
    client::enable_capability(&*guest, Target::Vm, capability::USER_INSTR0).unwrap();
    new_psw(0, 0x9000);
    assert!(is_other(cpu.run()), "user space asked for it");
    let other = rig.guest(1);
    other.change_registers(0, |registers, _| (registers.grs[4], registers.grs[5]) = (0x20_0000, 9)).unwrap();
    let new = Psw::new(0, 0_u64.wrapping_sub(7));
    other.storage().write(uv_core::GuestAddr(0x1d0), new.as_bytes()).unwrap();
    script.entries();
    let mut cpu = vcpu(&other);
    assert!(matches!(cpu.run(), Ok(Exit::Arch(S390Exit::Instruction(_)))));
    let entries = script.entries();
    assert_eq!(cpu.registers().grs[5], 0, "STHYI was served");
    let addresses: Vec<_> = entries.iter().skip(2).map(|sd| sd.psw.address.get()).collect();
    assert_eq!(addresses, [0_u64.wrapping_sub(7); 3], "the others began at the new PSW");
    let mut cause = [0; 4];
    other.storage().read(uv_core::GuestAddr(0x8c), &mut cause).unwrap();
    assert_eq!(cause, [0, 2, 0, 1]);
}

#[test]
fn an_unpin_that_is_busy_comes_back_with_eagain() {
    let rig = Rig::new(Generation::Z17);
    let unshare = || (0x6c, UVC, 0, vec![]);
    let exits = vec![unshare(), unshare(), unshare(), end(), unshare(), unshare(), end()];
    let (guest, _script) = scripted(&rig, 1, exits);
    let mut block = Share::new(C::REMOVE_SHARED_ACCESS, 0x8000);
    guest.sida_write(0, 0, block.as_bytes()).unwrap();
    rig.uvc.plan(C::UNPIN_PAGE_SHARED, [BUSY, PARTIAL, refuse(0x101)]);
    let mut area = KvmRun::new();
    for _ in 0..2 {
        assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EAGAIN));
        assert_eq!(area.exit_reason(), ExitReason::UNKNOWN);
    }
    assert_eq!(client::run(&*guest, 0, &mut area), Ok(()), "a refusal is the guest's to find out");
    assert_eq!(rig.log(), [C::UNPIN_PAGE_SHARED; 3], "once for each exit");
    block.paddr = 0x4000_0000.into();
    guest.sida_write(0, 0, block.as_bytes()).unwrap();
    assert_eq!(client::run(&*guest, 0, &mut area), Err(Errno::EFAULT), "no memory there");
    guest.sida_write(0, 0, Share::new(C::SET_SHARED_ACCESS, 0x8000).as_bytes()).unwrap();
    assert_eq!(client::run(&*guest, 0, &mut area), Ok(()), "another call is none of the kernel's");
    assert_eq!(rig.log(), []);
}

#[test]
fn an_external_call_to_nobody_is_no_exit_of_a_machine() {
    let rig = Rig::new(Generation::Z17);
    let exits = vec![sigp(0x6c, 2, 9), sigp(0x38, 2, 9), sigp(0x38, 2, 1), sigp(0x6c, 2, 1), sigp(0x38, 1, 1)];
    let (guest, _script) = scripted(&rig, 2, exits);
    let mut cpu = vcpu(&guest);
    assert_eq!(cpu.run(), Err(HostError::Cpu(9)));
    assert_eq!(client::run(&*guest, 0, &mut KvmRun::new()), Err(Errno::EINVAL));
    for _ in 0..2 {
        assert_eq!(cpu.run(), Ok(Exit::Arch(S390Exit::ExternalCall { target: 1 })));
        assert_eq!(cpu.state().unwrap().psw.mask.get(), with_condition_code(PSW_EXTERNAL, 0));
    }
    let Ok(Exit::Arch(S390Exit::Other(other))) = cpu.run() else { panic!() };
    assert_eq!((other.code, other.ipa), (InterceptionCode::PARTIAL_EXECUTION, SIGP), "any other order");
}

#[test]
fn signals_of_a_protected_cpu_are_the_kernels() {
    let rig = Rig::new(Generation::Z17);
    let orders = [(1, 1), (3, 1), (0x13, 1), (0x15, 1), (0x15, 0), (1, 9), (3, 9)];
    let mut exits: Vec<_> = orders.iter().map(|(order, target)| sigp(0x6c, *order, *target)).collect();
    exits.extend([sigp(0x6c, 5, 1), sigp(0x6c, 1, 1), sigp(0x6c, 4, 0), sigp(0x6c, 5, 0)]);
    let (guest, script) = scripted(&rig, 2, exits);
    let mut cpu = vcpu(&guest);
    let Ok(Exit::Arch(S390Exit::Notification(start))) = cpu.run() else { panic!() };
    assert_eq!((start.code, start.grs[5]), (InterceptionCode::PV_NOTIFICATION, 4), "start is user space's");
    let pending = guest.pending_interruptions(1).unwrap();
    assert_eq!(pending, [Irq::Stop, Irq::Emergency { source: 0 }], "one of a source");
    let cc: Vec<_> = script.entries().iter().skip(1).map(|sd| sd.psw.mask.get() >> 44 & 3).collect();
    assert_eq!(cc, [0, 0, 0, 1, 0, 3, 3, 0, 2], "by the kernel's book-keeping");
    client::enable_capability(&*guest, Target::Vm, capability::USER_SIGP).unwrap();
    let Ok(Exit::Arch(S390Exit::Notification(stop))) = cpu.run() else { panic!() };
    assert_eq!(stop.grs[5], 5, "now stop is, too");
}

#[test]
fn system_information_of_a_protected_cpu() {
    let rig = Rig::new(Generation::Z17);
    let stsi = |gr0: u64, gr1: u64| (0x68, 0xb27d, BASE5, vec![(0, gr0), (1, gr1), (5, 0x123)]);
    let sthyi = |ipb, code| (0x68, 0xb256, ipb, vec![(2, code), (4, 0x123), (5, 9)]);
    let exits = vec![
        stsi(0x3000_0002, 2),
        stsi(0xf000_0001, 2),
        stsi(0x1000_0101, 1),
        stsi(0x1000_0001, 0x1_0001),
        stsi(0x3000_0001, 2),
        stsi(0x3000_0002, 3),
        stsi(0x4000_0002, 2),
        stsi(0, 0),
        sthyi(0x0024_0000, 0xffff_0000),
        sthyi(0x0024_0000, 1),
        sthyi(0x0022_0000, 0),
        sthyi(0x0034_0000, 0),
        sthyi(0x0025_0000, 0),
        end(),
        stsi(0x3000_0002, 2),
    ];
    let (guest, script) = scripted(&rig, 3, exits);
    guest.sida_write(0, 0, &[0xee; 0x1000]).unwrap();
    assert!(is_end(vcpu(&guest).run()));
    let mut sida = [0; 0x1000];
    guest.sida_read(0, 0, &mut sida).unwrap();
    let mut block = [0; 0x1000];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    let name = |name: &[u8], len: usize| [name, &vec![0x40; len - name.len()]].concat();
    put(0, &[0x80]);
    put(8, &[0, 168, 0, 48, 0, 48, 0, 64, 0, 112, 0, 56]);
    put(50, &[0x40]);
    put(68, &[0xf3, 0xf9, 0xf3, 0xf1]);
    put(72, &name(&[0xc9, 0xc2, 0xd4], 16));
    put(88, &[&[0xf0; 15][..], &[0xf1]].concat());
    put(104, &name(&[0xf0, 0xf2], 4));
    put(114, &[0x10]);
    put(116, &[0, 1]);
    put(128, &name(&[0xd3, 0xd7, 0xc1, 0xd9, 0xf1], 8));
    assert!(sida == block, "what STHYI left: {:x?}", &sida[..176]);
    let answers: Vec<_> =
        script.entries().iter().skip(1).map(|sd| (sd.iictl, sd.psw.mask.get() >> 44 & 3, sd.gr(0), sd.gr(5))).collect();
    let specification = InjectionControl::SPECIFICATION.0;
    let exception = |gr0, gr5| (specification, 0, gr0, gr5);
    let expected = [
        (0, 0, 0, 0x123),
        (0, 3, 0xf000_0001, 0x123),
        exception(0x1000_0101, 0x123),
        exception(0x1000_0001, 0x123),
        (0, 3, 0x3000_0001, 0x123),
        (0, 3, 0x3000_0002, 0x123),
        (0, 3, 0x4000_0002, 0x123),
        (0, 0, 0x3000_0000, 0x123),
        (0, 0, 0, 0),
        (0, 3, 0, 4),
        exception(0, 9),
        exception(0, 9),
        exception(0, 9),
    ];
    assert_eq!(answers, expected);

    client::enable_capability(&*guest, Target::Vm, capability::USER_STSI).unwrap();
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    assert_eq!((area.exit_reason(), area.sieic(), area.tsch()), (ExitReason(25), None, None));
    let stsi = area.stsi().unwrap();
    assert_eq!((stsi.addr.get(), stsi.ar, stsi.fc, stsi.sel1, stsi.sel2.get()), (0x123, 0, 3, 2, 2));
    assert_eq!((area.gr(0), area.psw_mask.get() >> 44 & 3), (0, 0));
    guest.sida_read(0, 0, &mut sida).unwrap();
    let mut block = [0; 0x1000];
    let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
    // Three CPUs; KVMguest; the factor; KVM/Linux.
    put(31, &[1, 0, 0, 0, 0, 0, 3, 0, 3]);
    put(44, &[0xd2, 0xe5, 0xd4, 0x87, 0xa4, 0x85, 0xa2, 0xa3, 0, 0, 3, 0xe8]);
    put(56, &name(&[0xd2, 0xe5, 0xd4, 0x61, 0xd3, 0x89, 0x95, 0xa4, 0xa7], 16));
    assert!(sida == block, "{:x?}", &sida[..96]);
}

#[test]
fn channel_io_of_a_protected_cpu() {
    let rig = Rig::new(Generation::Z17);
    let tpi = || (0x68, 0xb236, BASE5, vec![]);
    let tsch = || (0x68, 0xb235, BASE5, vec![(1, 0x1_0007)]);
    let exits = vec![tpi(), tsch(), end(), tpi(), tsch(), (0x68, 0xb236, BASE5, vec![(5, 2)]), tpi(), end()];
    let (guest, script) = scripted(&rig, 1, exits);
    let mut cpu = vcpu(&guest);
    assert!(is_end(cpu.run()));
    let cc = |script: &Script| -> Vec<_> {
        script.entries().iter().skip(1).map(|sd| (sd.iictl, sd.psw.mask.get() >> 44 & 3)).collect()
    };
    assert_eq!(cc(&script), [(0, 3), (0, 3)], "no channel subsystem");

    client::enable_capability(&*guest, Target::Vcpu(0), capability::CSS_SUPPORT).unwrap();
    let io = crate::interrupt::io(2, 0xcafe);
    for io in [crate::interrupt::io(3, 1), io] {
        guest.inject(None, Irq::Io(io)).unwrap();
    }
    let mut area = KvmRun::new();
    client::run(&*guest, 0, &mut area).unwrap();
    let tsch = area.tsch().unwrap();
    assert_eq!((area.exit_reason(), area.stsi(), tsch.dequeued), (ExitReason(22), None, 1));
    assert_eq!((tsch.subchannel_id.get(), tsch.subchannel_nr.get(), tsch.ipb.get()), (1, 7, BASE5));
    assert_eq!((tsch.io_int_parm.get(), tsch.io_int_word.get()), (0xcafe, 2 << 27), "the highest subclass");
    client::run(&*guest, 0, &mut area).unwrap();
    // CR6 is closed in the script, so TPI finds nothing; a bad operand is found before.
    assert_eq!(cc(&script), [(0, 0), (0, 0), (InjectionControl::SPECIFICATION.0, 0), (0, 0)]);
}

#[test]
fn a_stop_waits_for_what_is_deliverable_and_is_no_wake_up() {
    let rig = Rig::new(Generation::Z17);
    let stop = || (0x28, 0, 0, vec![]);
    let (guest, script) = scripted(&rig, 1, vec![stop(), stop(), stop(), stop(), end()]);
    let mut cpu = vcpu(&guest);
    // Deliverable only once the guest has opened CR0, which the first exit shows.
    guest.inject(None, Irq::Service { parameter: 1 }).unwrap();
    guest.inject(Some(0), Irq::Stop).unwrap();
    assert_eq!(cpu.run(), Ok(Exit::Arch(S390Exit::Stop)));
    let asked: Vec<_> = script.entries().iter().map(|sd| (sd.iictl, sd.cpu_flags.get())).collect();
    assert_eq!(asked.iter().map(|(iictl, _)| *iictl).collect::<Vec<_>>(), [0, InjectionControl::EXTERNAL.0]);
    // A floating machine check kicks the CPU, which is to stop as well.
    let report = MachineCheckIrq { mcic: 1 << 54, cr14: 1 << 28, ..MachineCheckIrq::default() };
    guest.inject(None, Irq::MachineCheck(report)).unwrap();
    assert_eq!((cpu.run(), script.entries().len()), (Ok(Exit::Arch(S390Exit::Stop)), 1));
    // The kick alone is no stop, and is over then.
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    guest.inject(None, Irq::MachineCheck(report)).unwrap();
    assert!(is_end(cpu.run()));
    let flags: Vec<_> = script.entries().iter().map(|sd| sd.cpu_flags.get()).collect();
    let stop = ExecutionControl::STOP_INTERCEPT.bits();
    assert_eq!(flags.iter().map(|flags| flags & stop).collect::<Vec<_>>(), [stop, 0]);
}

#[test]
fn requests_ask_for_an_exit_by_class() {
    let rig = Rig::new(Generation::Z17);
    let (guest, script) = scripted(&rig, 1, vec![yields(), yields(), yields(), yields(), yields()]);
    let mut cpu = vcpu(&guest);
    assert!(cpu.run().is_ok());
    let (external, io) = (ExecutionControl::EXTERNAL_INTERCEPT, ExecutionControl::IO_INTERCEPT);
    guest.inject(None, Irq::Service { parameter: 1 }).unwrap();
    guest.inject(None, Irq::Io(crate::interrupt::io(2, 1))).unwrap();
    let (cr0, cr6) = (0x200, 1 << (31 - 2));
    for (mask, open, flags, lctl) in [
        (PSW_EXTERNAL | PSW_IO, (cr0, 0), external, 0x8200_u16),
        (PSW_EXTERNAL | PSW_IO, (0, cr6), io, 0x8200),
        (PSW_EXTERNAL, (0, 0), io, 0x8000),
        (PSW_IO, (0, 0), external, 0x0200),
    ] {
        cpu.change_registers(|_, state| {
            state.psw = Psw::new(mask, 0);
            (state.crs[0], state.crs[6]) = (open.0.into(), open.1.into());
            // User space has something for the guest already, so that the kernel has to wait.
            state.iictl = InjectionControl::RESTART.0;
        })
        .unwrap();
        script.entries();
        assert!(cpu.run().is_ok());
        let entry = script.entries()[0];
        let both = ExecutionControl::from_bits_retain(entry.cpu_flags.get()) & (external | io);
        assert_eq!((both, entry.lctl.get(), entry.iictl), (flags, lctl, InjectionControl::RESTART.0), "{mask:#x}");
    }
}
