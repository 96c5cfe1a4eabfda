//! Ordinary CPUs in the kernel.

use std::sync::{Arc, Mutex};

use uv_core::{Exit, Gfn, GuestAddr, HostAddr, MemSlot, NormalMemory, PageIn, SlotId, Vcpu};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::sie::{ExecutionControl, InterceptionCode};
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::diag308::ResetFlags;
use uv_s390::hypervisor::kernel::{
    CR0_INITIAL, CR14_INITIAL, CpuReset, HostError, MpState, PFAULT_NONE, S390Exit, S390Vcpu, Vm,
};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Program, Script, Step, Transcript};
use zerocopy::IntoBytes;

use crate::rig::Rig;

type Seen = Arc<Mutex<Vec<Transcript<InsnResult>>>>;

/// First page behind 2 GiB: not destroyed when a configuration is set aside.
const HIGH: u64 = 2 << 30;
const START: u64 = 0x1_0000;

pub(crate) fn diag(code: u16, gr: [u64; 5]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag { code, gr })
}

pub(crate) fn diag308(subcode: u64, address: u64) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Diag308 { subcode, address, ipib: Vec::new() })
}

/// Lets CPU `number` run these programs, one for each start.
pub(crate) fn programs(rig: &Rig, guest: &Vm, number: u16, programs: Vec<Vec<Step<GuestInsn>>>) -> Seen {
    let seen = Seen::default();
    let (log, mut programs) = (seen.clone(), programs.into_iter());
    let code = move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        let (script, transcript) = Script::new(programs.next().unwrap_or_default());
        log.lock().expect("one thread").push(transcript);
        Box::new(script)
    };
    rig.machine.set_guest(guest.state_address(number).expect("a CPU"), code);
    seen
}

/// What the program of a start saw.
pub(crate) fn outcomes(seen: &Seen, start: usize) -> Vec<Outcome<InsnResult>> {
    seen.lock().expect("one thread")[start].lock().clone()
}

fn at(cpu: &mut S390Vcpu, address: u64) {
    cpu.change_registers(|_, state| state.psw = Psw::at(address)).expect("a state description");
}

#[test]
fn an_ordinary_cpu_runs_in_the_kernel() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let program = vec![
        Step::store(GuestAddr(0x20_0000), b"mine"),
        Step::load(GuestAddr(0x20_0000), 4),
        diag(0x44, [0; 5]),
        diag(0x9c, [1, 0, 0, 0, 0]),
        diag(0x500, [0, 3, 0x77, 8, 9]),
        diag308(5, 0x9000),
        diag308(3, 0),
    ];
    let seen = programs(&rig, &guest, 0, vec![program]);
    let mut cpu = guest.vcpu(0).unwrap();
    at(&mut cpu, START);
    assert!(guest.is_stopped(0).unwrap() && !guest.has_user_cpu_states());
    assert!(matches!(cpu.run().unwrap(), Exit::Arch(S390Exit::Yield(yielded)) if yielded.diagnose() == Some(0x44)));
    assert!(!guest.is_stopped(0).unwrap(), "running a CPU starts it");
    assert!(matches!(cpu.run().unwrap(), Exit::Arch(S390Exit::Yield(to)) if to.grs[0] == 1));
    let Exit::Arch(S390Exit::Instruction(insn)) = cpu.run().unwrap() else { panic!() };
    assert_eq!((insn.code, insn.ipa, insn.ipb), (InterceptionCode::INSTRUCTION, 0x8302, 0x5000_0000));
    assert_eq!(
        (insn.diagnose(), &insn.grs[1..5], insn.psw.address.get()),
        (Some(0x500), &[3, 0x77, 8, 9][..], START + 20)
    );
    cpu.answer(|answer| answer.set_gr(2, 0xcafe)).unwrap();
    let Exit::Arch(S390Exit::Instruction(insn)) = cpu.run().unwrap() else { panic!() };
    assert_eq!((insn.diagnose(), insn.gr_r1(), insn.gr_r3()), (Some(0x308), 0x9000, 5));
    assert_eq!(cpu.registers().grs[5], 0x308);
    cpu.answer(|answer| answer.set_gr(1, 0x402)).unwrap();
    let reset = ResetFlags::CLEAR | ResetFlags::SUBSYSTEM | ResetFlags::CPU_INIT | ResetFlags::IPL;
    assert_eq!(cpu.run().unwrap(), Exit::Arch(S390Exit::Reset(reset)));
    assert!(guest.is_stopped(0).unwrap(), "the reset exit stops it");
    assert_eq!(cpu.run().unwrap(), Exit::Halted);
    let mut stored = [0; 4];
    guest.storage().read(GuestAddr(0x20_0000), &mut stored).unwrap();
    assert_eq!(&stored, b"mine");
    let seen = outcomes(&seen, 0);
    assert_eq!(seen[4], Outcome::Returned(InsnResult::Registers([0, 3, 0xcafe, 8, 9])));
    assert!(matches!(&seen[5], Outcome::Returned(InsnResult::Ipl { response: 0x402, .. })));
    assert!(rig.log().is_empty(), "the Ultravisor has no part in it");
}

#[test]
fn what_ends_a_run() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let program =
        vec![Step::Call(GuestInsn::Wait), diag308(4, 0), diag(0x500, [0; 5]), Step::load(GuestAddr(0x4000_0000), 1)];
    programs(&rig, &guest, 0, vec![program]);
    let mut cpu = guest.vcpu(0).unwrap();
    assert_eq!(cpu.run().unwrap(), Exit::Halted);
    cpu.change_registers(|_, state| {
        state.psw.mask = 0.into();
        state.cpu_flags = ExecutionControl::STOP_INTERCEPT.bits().into();
    })
    .unwrap();
    assert_eq!(cpu.run().unwrap(), Exit::Arch(S390Exit::Stop));
    assert!(guest.is_stopped(0).unwrap(), "the kernel has the states");
    assert_eq!(cpu.state().unwrap().cpu_flags.get(), 0, "and the request is processed");
    let reset = ResetFlags::SUBSYSTEM | ResetFlags::CPU_INIT | ResetFlags::IPL;
    assert_eq!(cpu.run().unwrap(), Exit::Arch(S390Exit::Reset(reset)));
    assert!(matches!(cpu.run().unwrap(), Exit::Arch(S390Exit::Instruction(_))));
    // There is no memory: an addressing exception. One that would be repeated forever ends the run.
    let here = cpu.state().unwrap().psw;
    guest.storage().write(GuestAddr(0x1d0), here.as_bytes()).unwrap();
    assert_eq!(cpu.run(), Err(HostError::Fault(Gfn(0x4_0000))));
    guest.storage().write(GuestAddr(0x1d0), Psw::at(0x7000).as_bytes()).unwrap();
    assert_eq!(cpu.run().unwrap(), Exit::Halted);
    let mut cause = [0; 2];
    guest.storage().read(GuestAddr(0x8e), &mut cause).unwrap();
    assert_eq!(cause, [0, 5]);
}

#[test]
fn user_space_may_take_the_states() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    programs(&rig, &guest, 0, vec![vec![diag308(3, 0)]]);
    let mut cpu = guest.vcpu(0).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    assert!(guest.has_user_cpu_states());
    assert_eq!(cpu.run(), Err(HostError::CannotRun));
    guest.set_mp_state(0, MpState::Operating).unwrap();
    assert!(matches!(cpu.run().unwrap(), Exit::Arch(S390Exit::Reset(_))));
    assert!(!guest.is_stopped(0).unwrap(), "stopping is user space's matter");
    guest.reset_cpu(0, CpuReset::Clear).unwrap();
    assert!(!guest.is_stopped(0).unwrap());
    cpu.change_registers(|_, state| state.cpu_flags = ExecutionControl::STOP_INTERCEPT.bits().into()).unwrap();
    assert_eq!(cpu.run().unwrap(), Exit::Arch(S390Exit::Stop));
    assert!(!guest.is_stopped(0).unwrap());
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    assert_eq!(cpu.state().unwrap().cpu_flags.get(), 0);

    let other = rig.guest(1);
    assert_eq!(other.set_mp_state(0, MpState::Load), Err(HostError::NotProtected));
    assert!(other.has_user_cpu_states(), "also by a setting that fails");
    let third = rig.guest(1);
    third.enable().unwrap();
    assert!(third.has_user_cpu_states());
}

#[test]
fn resets_do_what_the_architecture_says() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let mut cpu = guest.vcpu(0).unwrap();
    let state = cpu.state().unwrap();
    assert_eq!((state.crs[0].get(), state.crs[14].get()), (CR0_INITIAL, CR14_INITIAL));
    assert_eq!((CR0_INITIAL, CR14_INITIAL), (0xe0, 0xc200_0000));
    let fill = |cpu: &mut S390Vcpu| {
        cpu.change_registers(|registers, state| {
            registers.grs = [1; 16];
            registers.ars = [2; 16];
            registers.vrs = [[3; 2]; 32];
            (registers.fpc, registers.pfault_token) = (4, 5);
            state.psw = Psw::at(0x1234);
            state.set_prefix_address(0x6000);
            state.crs = [6.into(); 16];
            (state.cpu_timer, state.clock_comparator) = (7.into(), 8.into());
            (state.todpr, state.pp, state.sidad) = (9.into(), 10.into(), 11.into());
        })
        .unwrap();
    };
    for kind in [CpuReset::Normal, CpuReset::Initial, CpuReset::Clear] {
        fill(&mut cpu);
        cpu.answer(|answer| answer.state().iictl = 4).unwrap();
        guest.reset_cpu(0, kind).unwrap();
        let (registers, state) = (cpu.registers(), cpu.state().unwrap());
        assert_eq!((registers.pfault_token, state.iictl), (PFAULT_NONE, 0));
        let initial = kind != CpuReset::Normal;
        assert_eq!(registers.fpc == 0, initial);
        assert_eq!(state.psw == Psw::new(0, 0), initial);
        assert_eq!(state.prefix_address() == 0, initial);
        assert_eq!((state.crs[0].get(), state.crs[6].get()) == (0xe0, 0), initial);
        assert_eq!(state.crs[14].get() == 0xc200_0000, initial);
        assert_eq!((state.cpu_timer.get(), state.clock_comparator.get()) == (0, 0), initial);
        assert_eq!((state.todpr.get(), state.pp.get(), state.sidad.get()) == (0, 0, 1), initial);
        let clear = kind == CpuReset::Clear;
        assert_eq!(
            (registers.grs == [0; 16], registers.ars == [0; 16], registers.vrs == [[0; 2]; 32]),
            (clear, clear, clear)
        );
    }
    // A reset stops the CPU while the kernel has the states, and ends a wait.
    assert_eq!(cpu.run().unwrap(), Exit::Halted);
    assert!(!guest.is_stopped(0).unwrap());
    cpu.change_registers(|_, state| state.cpu_flags = ExecutionControl::WAIT.bits().into()).unwrap();
    guest.reset_cpu(0, CpuReset::Normal).unwrap();
    assert_eq!((guest.is_stopped(0), cpu.state().unwrap().cpu_flags.get()), (Ok(true), 0));
    // What lies under fields of format 4 is left alone.
    guest.enable().unwrap();
    let sidad = cpu.state().unwrap().sidad;
    guest.reset_cpu(0, CpuReset::Clear).unwrap();
    assert_eq!(cpu.state().unwrap().sidad, sidad);
}

#[test]
fn a_restart_swaps_psws() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let seen = programs(&rig, &guest, 0, vec![vec![Step::Call(GuestInsn::Wait)], vec![diag(0x9c, [42, 0, 0, 0, 0])]]);
    let mut cpu = guest.vcpu(0).unwrap();
    at(&mut cpu, START);
    cpu.change_registers(|_, state| state.set_prefix_address(0x4000)).unwrap();
    let new = [0_u64.to_be_bytes(), 0x8000_u64.to_be_bytes()].concat();
    guest.storage().write(GuestAddr(0x41a0), &new).unwrap();
    assert_eq!(cpu.run().unwrap(), Exit::Halted);
    guest.restart(0).unwrap();
    assert!(matches!(cpu.run().unwrap(), Exit::Arch(S390Exit::Yield(to)) if to.grs[0] == 42));
    let mut old = [0; 16];
    guest.storage().read(GuestAddr(0x4120), &mut old).unwrap();
    assert_eq!(old[8..], (START + 4).to_be_bytes(), "behind the wait");
    assert_eq!(seen.lock().unwrap().len(), 2);
}

#[test]
fn huge_pages_serve_an_ordinary_guest_only() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest_with(1, |config| config.huge_pages = true);
    programs(&rig, &guest, 0, vec![vec![Step::store(GuestAddr(0x20_0000), b"mine")]]);
    let mut cpu = guest.vcpu(0).unwrap();
    assert_eq!(cpu.run().unwrap(), Exit::Halted);
    guest.enable().unwrap();
    assert_eq!(PageIn::page_in(&*guest, Gfn(0x200)), Err(HostError::Fault(Gfn(0x200))));
    guest.disable().unwrap();
    let mut bytes = [0; 4];
    guest.storage().read(GuestAddr(0x20_0000), &mut bytes).unwrap();
    assert_eq!(&bytes, b"mine");
}

/// s390-ultravisor §4.3: 0x3d in SIE.
#[test]
fn leftovers_of_a_dead_configuration_are_destroyed_under_the_next_guest() {
    for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
        let rig = Rig::new(generation);
        let high = HostAddr(1 << 30);
        let guest = rig.guest_with(1, |config| {
            let slot = MemSlot { first: Gfn(HIGH >> 12), pages: 256, host: high };
            config.slots.insert(SlotId(1), slot).expect("behind the first");
        });
        let secret = GuestAddr(HIGH + 0x5000);
        let shared = GuestAddr(HIGH + 0x6000);
        let protected = vec![Step::store(secret, b"secret"), Step::store(shared, b"secret"), Step::load(secret, 6)];
        let next =
            vec![Step::load(secret, 6), Step::store(shared, b"m"), Step::load(shared, 6), Step::load(GuestAddr(0), 8)];
        let seen = programs(&rig, &guest, 0, vec![protected, next]);
        rig.verified(&guest);
        guest.set_mp_state(0, MpState::Load).unwrap();
        guest.set_mp_state(0, MpState::Operating).unwrap();
        let mut cpu = guest.vcpu(0).unwrap();
        assert_eq!(cpu.run_served().unwrap(), Exit::Halted);
        guest.set_aside().unwrap();
        let memory = rig.machine.host_memory();
        assert!(memory.check(HostAddr(high.0 + 0x5000), 1).is_err(), "left over");
        rig.log();

        guest.reset_cpu(0, CpuReset::Clear).unwrap();
        at(&mut cpu, START);
        assert_eq!(cpu.run().unwrap(), Exit::Halted);
        let found = outcomes(&seen, 1);
        let bytes = |outcome: &Outcome<InsnResult>| match outcome {
            Outcome::Loaded(bytes) => bytes.to_vec(),
            other => panic!("{other:?}"),
        };
        assert_eq!(bytes(&found[0]), [0; 6], "{generation:?}: nothing of the dead guest");
        assert_eq!(bytes(&found[2]), b"m\0\0\0\0\0");
        assert_eq!(rig.log(), [C::DESTR_SEC_STOR, C::DESTR_SEC_STOR], "one for each page");
        guest.cleanup(&mut |_| true).unwrap();
        assert!(memory.check(high, 1 << 20).is_ok());
        let mut kept = [0; 1];
        guest.storage().read(shared, &mut kept).unwrap();
        assert_eq!(&kept, b"m", "a page that the next guest has is not touched");
    }
}
