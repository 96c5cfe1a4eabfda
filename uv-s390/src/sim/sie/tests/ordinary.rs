//! CPUs of ordinary guests.

extern crate std;

use crate::abi::psw::Psw;
use crate::abi::sie::{
    AddressSpaces, ExecutionControl, HostMapping, InterceptionCode, MappingSize, Sie, StateDescription, Validity,
};
use crate::abi::uvc::{PgmCode, ProgramInterruption};
use crate::sim::rig::{MIB, Rig, Tables, diag, loaded, uvc};
use crate::sim::{Generation, GuestInsn, InsnResult};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use spin::Mutex;
use uv_core::{GuestAddr, HostAddr, NormalMemory};
use uv_sim::guest::{Outcome, Program, Script, Step};
use zerocopy::IntoBytes;

type Seen = Arc<Mutex<Vec<(Psw, uv_sim::guest::Transcript<InsnResult>)>>>;

/// Host address of the state description.
const STATE: HostAddr = HostAddr(8 * MIB);
const ASCE: u64 = (9 * MIB) | 0x107;
const START: u64 = 0x1_0000;
/// Guest pages lie here.
const BASE: u64 = 16 * MIB;

/// An ordinary CPU on its own.
struct Lone {
    rig: Rig,
    seen: Seen,
    grs: [u64; 16],
}

fn call(insn: GuestInsn) -> Step<GuestInsn> {
    Step::Call(insn)
}

impl Lone {
    /// A CPU that runs these programs, one for each start.
    fn new(programs: Vec<Vec<Step<GuestInsn>>>) -> Self {
        let rig = Rig::new(Generation::Z17);
        let map = Tables::new(BASE, 4 * MIB);
        rig.machine.attach(ASCE, Arc::new(map));
        let mut sd = StateDescription::new();
        sd.psw = Psw::at(START);
        sd.msl = (3 * MIB).into();
        rig.host.write(STATE, sd.as_bytes()).unwrap();
        let seen = Seen::default();
        let (log, mut programs) = (seen.clone(), programs.into_iter());
        rig.machine.set_guest(STATE, move |psw: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            let (script, transcript) = Script::new(programs.next().unwrap_or_default());
            log.lock().push((psw, transcript));
            Box::new(script)
        });
        Self { rig, seen, grs: core::array::from_fn(|n| 0x100 + n as u64) }
    }

    fn one(program: Vec<Step<GuestInsn>>) -> Self {
        Self::new(vec![program])
    }

    fn try_enter(&mut self) -> Result<StateDescription, ProgramInterruption> {
        self.rig.machine.enter(STATE, ASCE, &mut self.grs)?;
        Ok(self.sd())
    }

    fn enter(&mut self) -> StateDescription {
        self.try_enter().unwrap()
    }

    fn sd(&self) -> StateDescription {
        let mut sd = StateDescription::new();
        self.rig.host.read(STATE, sd.as_mut_bytes()).unwrap();
        sd
    }

    fn change(&self, change: impl FnOnce(&mut StateDescription)) {
        let mut sd = self.sd();
        change(&mut sd);
        self.rig.host.write(STATE, sd.as_bytes()).unwrap();
    }

    fn seen(&self, start: usize) -> Vec<Outcome<InsnResult>> {
        core::mem::take(&mut *self.seen.lock()[start].1.lock())
    }
}

fn shape(sd: &StateDescription) -> (u8, u16, u32) {
    (sd.icptcode, sd.ipa.get(), sd.ipb.get())
}

#[test]
fn storage_is_the_hosts() {
    let mut cpu = Lone::one(vec![
        Step::store(GuestAddr(0x1ffe), b"abcd"),
        Step::load(GuestAddr(0x5000), 2),
        Step::Fetch { at: GuestAddr(0x5000) },
    ]);
    cpu.rig.host.write(HostAddr(BASE + 0x5000), b"xy").unwrap();
    assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT);
    let mut stored = [0; 4];
    cpu.rig.host.read(HostAddr(BASE + 0x1ffe), &mut stored).unwrap();
    assert_eq!(&stored, b"abcd");
    assert_eq!(loaded(&cpu.seen(0)[1]), b"xy");
}

#[test]
fn every_diagnose_leaves_with_interception_04() {
    for (code, subcode) in [(0x44, 0), (0x9c, 0), (0x10, 0), (0x500, 0), (0x308, 0), (0x308, 4), (0x308, 10)] {
        let step = if code == 0x308 {
            call(GuestInsn::Diag308 { subcode, address: 0x7000, ipib: vec![] })
        } else {
            diag(code, [1, 2, 3, 4, 5])
        };
        let mut cpu = Lone::one(vec![step]);
        let sd = cpu.enter();
        assert_eq!(shape(&sd), (0x04, 0x8302, 0x5000_0000));
        assert_eq!(cpu.grs[5], u64::from(code));
        assert_eq!(sd.save_area, [0_u64; 16], "the save area is for protected guests");
        assert_eq!(sd.psw, Psw::at(START + 4), "behind the instruction");
        if code == 0x308 {
            assert_eq!((cpu.grs[0], cpu.grs[2]), (0x7000, subcode));
            cpu.grs[1] = 0x402;
        } else {
            assert_eq!(cpu.grs[..5], [1, 2, 3, 4, 5]);
            cpu.grs[2] = 77;
        }
        assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT);
        match &cpu.seen(0)[..] {
            [Outcome::Returned(InsnResult::Ipl { response: 0x402, .. })] if code == 0x308 => {}
            [Outcome::Returned(InsnResult::Registers([1, 2, 77, 4, 5]))] => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn registers_are_where_the_host_keeps_them() {
    let mut cpu = Lone::one(vec![
        call(GuestInsn::SetGr { number: 13, value: 0xd }),
        call(GuestInsn::SetGr { number: 14, value: 0xe }),
        call(GuestInsn::SetGr { number: 15, value: 0xf }),
        call(GuestInsn::SetCr { number: 6, value: 0x66 }),
        call(GuestInsn::SetMask { mask: 1 << 57 }),
        call(GuestInsn::Spx { prefix: 0x8000 }),
        call(GuestInsn::Spx { prefix: 0x40_0000 }),
        call(GuestInsn::Interruptions),
        call(GuestInsn::Sigp { order: 6, cpu: 3, parameter: 0x99 }),
    ]);
    cpu.change(|sd| sd.cpu_timer = 1_000_000.into());
    let sd = cpu.enter();
    assert_eq!(shape(&sd), (0x04, 0xae02, 0x5000_0000));
    assert_eq!((cpu.grs[1], cpu.grs[2], cpu.grs[5], cpu.grs[13]), (0x99, 3, 6, 0xd));
    assert_eq!((cpu.grs[14], cpu.grs[15]), (0x10e, 0x10f), "these two are not the host's");
    assert_eq!((sd.gr14.get(), sd.gr15.get(), sd.crs[6].get()), (0xe, 0xf, 0x66));
    assert_eq!((sd.prefix_address(), sd.psw.mask.get() >> 56 & 3), (0x8000, 2));
    assert_eq!(sd.psw.mask.get() & 1 << 57, 1 << 57);
    assert!(sd.cpu_timer.get() < 1_000_000);
    cpu.grs[0] = 0x40;
    cpu.change(|sd| sd.psw.mask = (sd.psw.mask.get() | 1 << 44).into());
    cpu.enter();
    let seen = cpu.seen(0);
    assert_eq!(seen[6], Outcome::Returned(InsnResult::Exception(PgmCode::ADDRESSING)));
    assert_eq!(seen[8], Outcome::Returned(InsnResult::Condition { cc: 1, value: 0x40 }));
}

#[test]
fn what_needs_an_ultravisor_is_no_operation() {
    let mut cpu = Lone::one(vec![uvc(&crate::abi::uvcb::QueryInfo::new())]);
    assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT);
    assert_eq!(cpu.seen(0), vec![Outcome::Returned(InsnResult::Exception(PgmCode::OPERATION))]);
}

#[test]
fn instructions_with_operands_in_storage_leave_with_interception_04() {
    let address = |number| call(GuestInsn::SetGr { number, value: 0x7000 });
    let mut cpu = Lone::one(vec![
        address(2),
        call(GuestInsn::Servc { command: 0x12_0001, sccb: vec![] }),
        address(5),
        call(GuestInsn::Stsi { gr0: 3, gr1: 4 }),
        address(4),
        call(GuestInsn::Sthyi { code: 9 }),
        address(5),
        call(GuestInsn::ChannelIo { opcode: 0xb234, subchannel: 1, operand: vec![] }),
    ]);
    for (cc, (ipa, ipb, registers)) in (0..).zip([
        (0xb220, 0x0012_0000, [(1, 0x12_0001), (2, 0x7000)]),
        (0xb27d, 0x5000_0000, [(0, 3), (5, 0x7000)]),
        (0xb256, 0x0024_0000, [(2, 9), (4, 0x7000)]),
        (0xb234, 0x5000_0000, [(1, 1), (5, 0x7000)]),
    ]) {
        assert_eq!(shape(&cpu.enter()), (0x04, ipa, ipb));
        assert_eq!(registers.map(|(number, _)| (number, cpu.grs[number])), registers);
        (cpu.grs[0], cpu.grs[1], cpu.grs[5]) = (0x40, 0x41, 0x45);
        cpu.change(|sd| sd.psw.mask = crate::abi::psw::with_condition_code(sd.psw.mask.get(), cc).into());
    }
    assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT);
    let answers: Vec<_> = cpu.seen(0).into_iter().skip(1).step_by(2).collect();
    let answer = |cc, value| Outcome::Returned(InsnResult::Condition { cc, value });
    assert_eq!(answers, [answer(0, 0x41), answer(1, 0x40), answer(2, 0x45), answer(3, 0x41)]);
}

#[test]
fn privileged_instructions_in_problem_state() {
    let query = crate::abi::uvcb::QueryInfo::new().as_bytes().to_vec();
    let problem = |insn: GuestInsn| call(insn.in_problem_state());
    let mut cpu = Lone::one(vec![
        problem(GuestInsn::Diag308 { subcode: 10, address: 0, ipib: vec![] }),
        problem(GuestInsn::Diag { code: 0x44, gr: [0; 5] }),
        problem(GuestInsn::Spx { prefix: 0 }),
        problem(GuestInsn::Stsi { gr0: 0, gr1: 0 }),
        problem(GuestInsn::Uvc { block: query }),
        problem(GuestInsn::SetGr { number: 3, value: 33 }),
        problem(GuestInsn::Wait),
    ]);
    assert_eq!((cpu.enter().icptcode, cpu.grs[3]), (0x1c, 33));
    let exceptions: Vec<_> = cpu.seen(0).into_iter().take(5).collect();
    let exception = |code| Outcome::Returned(InsnResult::Exception(code));
    assert_eq!(exceptions[..4], [(); 4].map(|()| exception(PgmCode::PRIVILEGED_OPERATION)));
    assert_eq!(exceptions[4], exception(PgmCode::OPERATION), "there is no such instruction in either state");
}

#[test]
fn waiting_and_requests() {
    let mut cpu = Lone::one(vec![
        call(GuestInsn::SetMask { mask: 1 << 56 }),
        call(GuestInsn::Wait),
        diag(0x44, [0; 5]),
        call(GuestInsn::Crash),
    ]);
    const WAIT: u64 = 1 << 49;
    let sd = cpu.enter();
    assert_eq!((sd.icptcode, sd.psw.mask.get() & (WAIT | 1 << 56)), (0x1c, WAIT | 1 << 56));
    assert_eq!(cpu.enter().icptcode, 0x1c, "still");
    cpu.change(|sd| sd.psw.mask = (sd.psw.mask.get() & !WAIT).into());
    for (flag, code) in [
        (ExecutionControl::STOP_INTERCEPT, InterceptionCode::STOP),
        (ExecutionControl::EXTERNAL_INTERCEPT, InterceptionCode::EXTERNAL_REQUEST),
    ] {
        cpu.change(|sd| sd.cpu_flags = flag.bits().into());
        assert_eq!(cpu.enter().interception(), code);
    }
    cpu.change(|sd| sd.cpu_flags = ExecutionControl::IO_INTERCEPT.bits().into());
    assert_eq!(cpu.enter().icptcode, 0x04, "not enabled for I/O");
    cpu.change(|sd| sd.cpu_flags = 0.into());
    assert_eq!(cpu.enter().icptcode, 0x08);
    assert_eq!(cpu.seen(0)[1], Outcome::Returned(InsnResult::Interruptions(vec![])));
}

#[test]
fn another_psw_begins_another_program() {
    let mut cpu =
        Lone::new(vec![vec![diag(0x44, [0; 5]), diag(0x44, [0; 5])], vec![diag(0x9c, [42, 0, 0, 0, 0])], vec![]]);
    assert_eq!(cpu.enter().psw.address.get(), START + 4);
    cpu.change(|sd| sd.psw.mask = (sd.psw.mask.get() | 3 << 44).into());
    assert_eq!(cpu.enter().psw.address.get(), START + 8, "a changed condition code begins nothing");
    cpu.change(|sd| sd.psw = Psw::at(0x2000));
    assert_eq!((cpu.enter().psw.address.get(), cpu.grs[0]), (0x2004, 42));
    cpu.change(|sd| sd.psw = Psw::at(START));
    assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT);
    let starts: Vec<_> = cpu.seen.lock().iter().map(|(psw, _)| psw.address.get()).collect();
    assert_eq!(starts, [START, 0x2000, START]);
}

#[test]
fn what_the_host_takes() {
    let mut cpu = Lone::one(vec![Step::store(GuestAddr(0x6123), b"new"), Step::load(GuestAddr(0x6123), 3)]);
    let taken = |cpu: &mut Lone| {
        let interruption = cpu.try_enter().unwrap_err();
        let teid = interruption.teid.map(|teid| (teid.page(), teid.space()));
        assert_eq!(cpu.sd().psw, Psw::at(START), "where it was");
        (interruption.code, teid)
    };
    let map = Arc::new(Tables::new(BASE, 4 * MIB));
    cpu.rig.machine.attach(ASCE, map.clone());
    let at = |frame, writable| Some(HostMapping { frame: HostAddr(frame), writable, size: MappingSize::Segment });
    for (mapping, code, teid) in [
        (None, PgmCode::PAGE_TRANSLATION, Some((0x6000, 0))),
        (at(BASE, false), PgmCode::PROTECTION, Some((0x6000, 0))),
        (at(1 << 40, true), PgmCode::ADDRESSING, None),
    ] {
        map.moved.lock().insert(0x6000, mapping);
        assert_eq!(taken(&mut cpu), (code, teid));
    }
    map.moved.lock().remove(&0x6000);
    assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT);
    assert_eq!(loaded(&cpu.seen(0)[1]), b"new");
    cpu.rig.machine.detach(ASCE);
    cpu.change(|sd| sd.psw = Psw::at(0x9000));
    assert_eq!(cpu.enter().interception(), InterceptionCode::WAIT, "the empty program touches nothing");
}

#[test]
fn a_cpu_runs_once() {
    let cpu = Lone::one(vec![]);
    let inside = Arc::new(core::sync::atomic::AtomicU32::new(0));
    let seen = inside.clone();
    cpu.rig.machine.set_guest(STATE, move |_: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
        let seen = seen.clone();
        Box::new(move |_: Outcome<InsnResult>| {
            use core::sync::atomic::Ordering::SeqCst;
            seen.store(1, SeqCst);
            while seen.load(SeqCst) != 2 {
                std::thread::yield_now();
            }
            Step::Halt
        })
    });
    std::thread::scope(|scope| {
        use core::sync::atomic::Ordering::SeqCst;
        let first = scope.spawn(|| cpu.rig.machine.enter(STATE, ASCE, &mut [0; 16]));
        while inside.load(SeqCst) != 1 {
            std::thread::yield_now();
        }
        cpu.rig.machine.enter(STATE, ASCE, &mut [0; 16]).unwrap();
        assert_eq!(cpu.sd().validity(), Some(Validity::RUNNING));
        inside.store(2, SeqCst);
        first.join().unwrap().unwrap();
    });
}

#[test]
fn guest_storage_ends_with_a_mib() {
    let load = |at| vec![Step::load(GuestAddr(at), 8)];
    let mut inside = Lone::one(load(4 * MIB - 8));
    assert_eq!(inside.enter().interception(), InterceptionCode::WAIT, "MSL is the address of the last MiB");
    let mut across = Lone::one(load(4 * MIB - 4));
    assert_eq!(across.enter().interception(), InterceptionCode::PROGRAM);
    let mut moved = Lone::one(load(3 * MIB - 8));
    moved.change(|sd| sd.mso = (MIB + 0x123).into());
    assert_eq!(moved.enter().interception(), InterceptionCode::WAIT, "the low bits of MSO have no meaning");
    let mut moved = Lone::one(load(3 * MIB - 4));
    moved.change(|sd| sd.mso = (MIB + 0x123).into());
    assert_eq!(moved.enter().interception(), InterceptionCode::PROGRAM);
}
