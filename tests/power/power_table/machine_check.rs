//! Machine checks of a guest that registered an address for them (power-pef §8.6 step 6, §9.4).

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::HvCall;
use uv_power::abi::regs::{Regs, Spr};
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_power::owner::digests::RTAS_STUB;
use uv_power::sim::GuestInsn;
use uv_sim::guest::Step;

use crate::l_reflection::{answer_word, look, rtas, word};
use crate::rig::*;

rows! {
    a_machine_check_goes_to_the_registered_address_with_its_log an_address_below_the_rtas_data_or_at_its_end_is_ignored
    a_malformed_log_kills only_machine_checks_have_a_log only_the_registered_address_is_injected without_a_registered_address_no_log_is_copied
}

/// Where the guest wants its machine checks: a multiple of 16 that is no interrupt vector of another kind.
const HANDLER: u64 = 0x5010;
/// Where the hypervisor puts its log.
const LOG: u64 = RTAS + 0x1000;
const OLD_R3: u64 = 0x1234_5678_9abc_def0;

/// A log as a hypervisor writes it: room for R3, header, a section that is not for the guest, the machine check.
fn log() -> Vec<u8> {
    let mut log = vec![0; 8 + 24];
    log[8] = 6;
    log[8 + 10] = 14;
    log[8 + 20..8 + 24].copy_from_slice(b"IBM\0");
    log.extend(b"PH\0\x0c\0\0\0\0priv");
    log.extend(b"MC\0\x20\0\0\0\0aaaabbbbccccddddeeeeeeee");
    let extended = (log.len() - 16) as u32;
    log[12..16].copy_from_slice(&extended.to_be_bytes());
    log
}

/// A guest that asked for its handler and was answered `status`, at a machine check. Its data address register is `dar`.
fn checked(profile: Profile, status: u32, dar: u64) -> Rig {
    checked_at(profile, status, dar, HANDLER)
}

/// The same with its handler elsewhere.
fn checked_at(profile: Profile, status: u32, dar: u64, handler: u64) -> Rig {
    let mut steps = rtas(&[0x2010, 2, 1, 0x4000, handler as u32], 1);
    let mut registers = Regs::default();
    registers.spr.set(Spr::DAR, dar);
    steps.extend([Step::Call(GuestInsn::Load(Box::new(registers))), pause(), look(), load(LOG, 64)]);
    let mut rig = Rig::secure(profile, steps);
    assert_eq!([word(&rig, 0), word(&rig, 3), word(&rig, 4)], [0x2010, 0x4000, handler as u32]);
    answer_word(&rig, 5, status);
    rig.resume(HvCode::H_SUCCESS, &[]);
    assert!(rig.machine.interrupt(VM, 0, 0x200));
    rig.resume(HvCode(OLD_R3.cast_signed()), &[]);
    assert_eq!(rig.regs.nip, 0x200);
    rig
}

/// Steps of [`checked`].
const LOOK: usize = 5;
const LOADED: usize = 6;

/// The hypervisor's answer: a log in its page of the RTAS area, the address it tells, the vector it injects.
fn deliver(rig: &mut Rig, log: &[u8], at: u64, vector: u64) {
    rig.memory.write(HostAddr(HOST + LOG), log).unwrap();
    rig.regs.hsrr0 = vector;
    rig.resume(HvCode(at.cast_signed()), &[]);
}

fn a_machine_check_goes_to_the_registered_address_with_its_log() {
    both(|p| {
        for dar in [0, 0xd00d_0000_1234] {
            let mut rig = checked(p, 0, dar);
            let interrupted = rig.machine.guest_regs(VM, 0).unwrap().nip;
            deliver(&mut rig, &log(), LOG, HANDLER);
            let regs = rig.returned(LOOK);
            assert_eq!((regs.nip, regs.srr0, regs.gpr[3]), (HANDLER + 4, interrupted, LOG));
            let copy = rig.loaded(LOADED);
            assert_eq!(copy[..8], OLD_R3.to_be_bytes());
            assert_eq!((copy[8], &copy[8 + 20..8 + 24]), (6, b"IBM\0".as_slice()));
            assert_eq!(copy[12..16], 48_u32.to_be_bytes(), "what was left out is not counted");
            assert_eq!(copy[32..56], *b"MC\0\x20\0\0\0\0aaaabbbbccccdddd");
            let address = if dar == 0 { interrupted } else { dar };
            assert_eq!(copy[56..64], address.to_be_bytes());
        }
    });
}

fn an_address_below_the_rtas_data_or_at_its_end_is_ignored() {
    both(|p| {
        let code = RTAS_STUB.len() as u64;
        for (at, taken) in [
            (0, false),
            (RTAS + code - 1, false),
            (RTAS + PAGE - 16, false),
            (RTAS + PAGE, false),
            (u64::MAX, false),
            (LOG, true),
        ] {
            let mut rig = checked(p, 0, 0);
            deliver(&mut rig, &log(), at, HANDLER);
            let regs = rig.returned(LOOK);
            assert_eq!(regs.nip, HANDLER + 4, "the interrupt comes anyway");
            assert_eq!(regs.gpr[3], if taken { LOG } else { OLD_R3 });
            assert_eq!(rig.loaded(LOADED) != [0; 64], taken);
        }
    });
}

fn a_malformed_log_kills() {
    both(|p| {
        let refused = |log: &[u8], at: u64| {
            let mut rig = checked(p, 0, 0);
            deliver(&mut rig, log, at, HANDLER);
            assert_eq!((rig.regs.nip, rig.regs.gpr[3]), (0xc00, HvCall::H_RTAS.0));
            let steps = rig.steps();
            assert_eq!((word(&rig, 0), steps < LOOK), (0x201f, true));
            // The VM is dead when the hypervisor comes back.
            rig.resume(HvCode::H_SUCCESS, &[]);
            rig.resume(HvCode::H_SUCCESS, &[]);
            assert_eq!(UvCode::from_register(rig.regs.gpr[3]), UvCode::U_STATE);
            assert_eq!(rig.steps(), steps, "the guest does nothing any more");
        };
        for (at, value) in [(8, 5), (8 + 10, 13), (8 + 20, b'X'), (12, 0xff), (32 + 3, 0xff), (44, b'X')] {
            let mut log = log();
            log[at] = value;
            refused(&log, LOG);
        }
        // One that does not fit between its address and the end of the RTAS area.
        refused(&[], RTAS + PAGE - 17);
    });
}

fn only_the_registered_address_is_injected() {
    both(|p| {
        for vector in [0x200, HANDLER + 16, HANDLER + 4, 0x100, 0x900] {
            let mut rig = checked(p, 0, 0);
            let interrupted = rig.machine.guest_regs(VM, 0).unwrap().nip;
            deliver(&mut rig, &log(), LOG, vector);
            let regs = rig.returned(LOOK);
            assert_eq!((regs.nip, regs.gpr[3]), (interrupted + 4, OLD_R3), "{vector:#x}");
        }
        // An address that is no multiple of 16 is none.
        let mut rig = checked_at(p, 0, 0, HANDLER + 8);
        deliver(&mut rig, &log(), LOG, HANDLER + 8);
        assert_eq!(rig.returned(LOOK).gpr[3], OLD_R3);
    });
}

fn without_a_registered_address_no_log_is_copied() {
    both(|p| {
        // The hypervisor's RTAS refused the address.
        let mut rig = checked(p, u32::MAX, 0);
        deliver(&mut rig, &log(), LOG, 0x200);
        let regs = rig.returned(LOOK);
        assert_eq!((regs.nip, regs.gpr[3]), (0x204, OLD_R3));
        assert_eq!(rig.loaded(LOADED), [0; 64]);
        let mut rig = checked(p, u32::MAX, 0);
        deliver(&mut rig, &log(), LOG, HANDLER);
        assert_ne!(rig.returned(LOOK).nip, HANDLER + 4);
    });
}

fn only_machine_checks_have_a_log() {
    both(|p| {
        // The handler is at a vector that other interrupts have too.
        let mut steps = rtas(&[0x2010, 2, 1, 0x4000, 0x400], 1);
        steps.extend([pause(), look(), load(LOG, 64)]);
        let mut rig = Rig::secure(p, steps);
        answer_word(&rig, 5, 0);
        rig.resume(HvCode::H_SUCCESS, &[]);
        deliver(&mut rig, &log(), LOG, 0x400);
        assert_eq!((rig.returned(4).nip, rig.returned(4).gpr[3]), (0x404, LOG), "R3 is the hypercall's result");
        assert_eq!(rig.loaded(5), [0; 64]);
    });
}
