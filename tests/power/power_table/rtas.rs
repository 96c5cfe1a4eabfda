//! RTAS services through a guest: which buffer moves where, and what a handler refuses (power-pef §9.2, §9.3).

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::UltracallNumber;
use uv_power::abi::regs::Regs;
use uv_power::abi::ultracall::Ultracall;
use uv_power::abi::{HvCode, Profile, UvCode};
use uv_sim::guest::Script;

use crate::l_reflection::{BUFFER, answer_word, at, look, rtas, word, words};
use crate::rig::*;

rows! {
    check_exception_brings_its_log_when_it_succeeds event_scan_brings_its_log_when_it_succeeds
    get_system_parameter_brings_what_its_length_says set_system_parameter_takes_what_its_length_says
    nvram_store_takes_its_buffer configure_connector_moves_its_work_area_both_ways os_term_takes_its_text
    stop_self_has_a_slot_for_each_cpu start_cpu_knows_only_the_cpus_there_are start_cpu_that_failed_leaves_no_cookie
}

const MINUS_1: u32 = u32::MAX;
const MINUS_2: u32 = u32::MAX - 1;

/// What the guest has in its buffer before the call.
const BEFORE: [u8; 16] = *b"before the call.";

/// A guest that fills its buffer, makes the call, and looks at its buffer.
fn called(profile: Profile, block: &[u32], before: &[u8], look_at: usize) -> Rig {
    let mut steps = vec![store(BUFFER, before)];
    steps.extend(rtas(block, 1));
    steps.push(load(BUFFER, look_at));
    at(profile, steps)
}

/// Index of the step that looks at the buffer.
const LOOK: usize = 4;

/// The hypervisor's side of the buffer whose address stands at word `index` of the block.
fn bounce(rig: &Rig, index: u64) -> HostAddr {
    let address = u64::from(word(rig, index));
    assert_ne!(address, BUFFER, "the guest's own address is not told");
    HostAddr(HOST + address)
}

fn there(rig: &Rig, index: u64, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    rig.memory.read(bounce(rig, index), &mut bytes).unwrap();
    bytes
}

/// A service that brings `len` bytes if its status is 0: `index` of the buffer's word, `status` word.
fn brings(profile: Profile, block: &[u32], index: u64, status: u64) {
    for (code, expected) in [(0, *b"log of the host."), (MINUS_1, BEFORE), (1, BEFORE)] {
        let mut rig = called(profile, block, &BEFORE, 16);
        assert!(there(&rig, index, 16) != BEFORE, "nothing goes out");
        rig.memory.write(bounce(&rig, index), b"log of the host. and more").unwrap();
        answer_word(&rig, status, code);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.loaded(LOOK), expected, "status {code:#x}");
        assert_eq!(rig.loaded(LOOK - 1), words(&[code]));
    }
    // Longer than a bounce block: the handler refuses, the call goes out with the guest's own address.
    let mut long = block.to_vec();
    long[index as usize + 1] = 4097;
    let rig = called(profile, &long, &BEFORE, 16);
    assert_eq!(word(&rig, index), BUFFER as u32);
}

fn check_exception_brings_its_log_when_it_succeeds() {
    both(|p| {
        brings(p, &[0x2006, 6, 1, 0, 0, 0, 0, BUFFER as u32, 16], 7, 9);
        brings(p, &[0x2006, 7, 1, 0, 0, 0, 0, BUFFER as u32, 16, 0], 7, 10);
    });
}

fn event_scan_brings_its_log_when_it_succeeds() {
    both(|p| brings(p, &[0x2009, 4, 1, 0, 0, BUFFER as u32, 16], 5, 7));
}

fn get_system_parameter_brings_what_its_length_says() {
    both(|p| {
        for (length, given) in [(16, 6), (4, 60)] {
            let mut rig = called(p, &[0x200b, 3, 1, 20, BUFFER as u32, length], &BEFORE, 16);
            let answer = [&[0, given], b"abcdefghijklmnopq".as_slice()].concat();
            rig.memory.write(bounce(&rig, 4), &answer).unwrap();
            answer_word(&rig, 6, 0);
            rig.resume(HvCode::H_SUCCESS, &[]);
            let brought = usize::from(given).min(length as usize);
            assert_eq!(rig.loaded(LOOK), [&answer[..brought], &BEFORE[brought..]].concat());
            // A service that failed brings nothing.
            for status in [MINUS_1 - 2, 1] {
                let mut rig = called(p, &[0x200b, 3, 1, 20, BUFFER as u32, length], &BEFORE, 16);
                rig.memory.write(bounce(&rig, 4), &answer).unwrap();
                answer_word(&rig, 6, status);
                rig.resume(HvCode::H_SUCCESS, &[]);
                assert_eq!(rig.loaded(LOOK), BEFORE, "status {status:#x}");
            }
        }
    });
}

fn set_system_parameter_takes_what_its_length_says() {
    both(|p| {
        let rig = called(p, &[0x200c, 2, 1, 20, BUFFER as u32], b"\0\x06abcdefgh", 16);
        assert_eq!(there(&rig, 4, 10), *b"\0\x06abcd\0\0\0\0", "the length covers itself");
        let rig = called(p, &[0x200c, 2, 1, 20, BUFFER as u32], &[0x10, 0x01, b'x'], 16);
        assert_eq!(word(&rig, 4), BUFFER as u32, "4097 bytes are refused");
        let rig = called(p, &[0x200c, 2, 1, 20, 0xffff_0000], &BEFORE, 16);
        assert_eq!(word(&rig, 4), 0xffff_0000, "a buffer outside of the slots cannot be read");
    });
}

fn nvram_store_takes_its_buffer() {
    both(|p| {
        let mut rig = called(p, &[0x2003, 3, 1, 0, BUFFER as u32, 6], &BEFORE, 16);
        assert_eq!(there(&rig, 4, 8), *b"before\0\0");
        rig.memory.write(bounce(&rig, 4), b"changed").unwrap();
        answer_word(&rig, 6, 0);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.loaded(LOOK), BEFORE, "nothing comes back");
        let rig = called(p, &[0x2003, 3, 1, 0, BUFFER as u32, 4097], &BEFORE, 16);
        assert_eq!(word(&rig, 4), BUFFER as u32);
    });
}

fn configure_connector_moves_its_work_area_both_ways() {
    both(|p| {
        let back = *b"changed the call";
        for (status, expected) in [(0, back), (5, back), (MINUS_2, back), (MINUS_1, BEFORE), (MINUS_2 - 1, BEFORE)] {
            let mut rig = called(p, &[0x200a, 2, 1, BUFFER as u32, 0], &BEFORE, 16);
            assert_eq!(there(&rig, 3, 16), BEFORE);
            rig.memory.write(bounce(&rig, 3), &back).unwrap();
            answer_word(&rig, 5, status);
            rig.resume(HvCode::H_SUCCESS, &[]);
            assert_eq!(rig.loaded(LOOK), expected, "status {status:#x}");
        }
        let rig = called(p, &[0x200a, 2, 1, BUFFER as u32, 1], &BEFORE, 16);
        assert_eq!(word(&rig, 3), BUFFER as u32, "the second argument must be 0");
    });
}

fn os_term_takes_its_text() {
    both(|p| {
        let rig = called(p, &[0x201f, 1, 1, BUFFER as u32], b"panic\0secret", 16);
        assert_eq!(there(&rig, 3, 12), *b"panic\0\0\0\0\0\0\0", "up to the NUL");
        // The last bytes of guest memory.
        let last = GUEST - 4;
        let mut steps = vec![store(last, b"bye\0")];
        steps.extend(rtas(&[0x201f, 1, 1, last as u32], 1));
        let rig = at(p, steps);
        assert_eq!(there(&rig, 3, 8), *b"bye\0\0\0\0\0");
    });
}

const STOP_SELF: [u32; 3] = [0x2008, 0, 1];

/// Registers of a hypervisor that enters a virtual CPU.
fn uv_return(vcpu: u32, r0: u32, r31: u64) -> Regs {
    let mut regs = Regs { lpidr: VM, vcpu, ..Regs::hypervisor() };
    regs.gpr[0] = r0.into();
    regs.gpr[3] = UltracallNumber::UV_RETURN.0;
    regs.gpr[31] = r31;
    regs
}

/// The guest on CPU 0 asks for a CPU; gives the cookie that the hypervisor sees.
fn start_cpu(profile: Profile, cpu: u32) -> (Rig, u32) {
    let mut steps = rtas(&[0x2005, 3, 1, cpu, 0x4000, 0x77], 1);
    steps.extend(rtas(&STOP_SELF, 1));
    let rig = at(profile, steps);
    let cookie = word(&rig, 5);
    answer_word(&rig, 6, 0);
    (rig, cookie)
}

fn stop_self_has_a_slot_for_each_cpu() {
    both(|p| {
        let (script, transcript) = Script::new(rtas(&STOP_SELF, 1));
        let (mut rig, cookie) = start_cpu(p, 3);
        rig.machine.add_vcpu(VM, 3, Box::new(script));
        let mut third = uv_return(3, cookie, 0);
        rig.machine.ultracall(&mut third);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!((rig.regs.gpr[3], third.gpr[3]), (0xf000, 0xf000));
        assert_eq!((word(&rig, 0), word(&rig, 1), word(&rig, 2)), (0x2008, 0, 1));
        assert_eq!(third.gpr[4] - rig.regs.gpr[4], 3 * 16);
        assert_eq!(transcript.lock().len(), 1, "it waits in its call");
        // What it did before is given up when it is started again: its cookie is good for nothing.
        let mut again = uv_return(3, 0, third.gpr[31]);
        rig.machine.ultracall(&mut again);
        assert_eq!(transcript.lock().len(), 3, "the hypervisor comes back: stop-self failed");
        // A block that a slot does not hold would reach into that of another CPU.
        let rig = Rig::secure(p, rtas(&[0x2008, 1, 1, 0], 1));
        assert_eq!(UvCode::from_register(rig.returned(1).gpr[3]), UvCode::U_PARAMETER);
    });
}

fn start_cpu_knows_only_the_cpus_there_are() {
    both(|p| {
        for cpu in [4, 0x1000, u32::MAX] {
            let (rig, cookie) = start_cpu(p, cpu);
            let mut regs = uv_return(cpu, cookie, 0);
            rig.machine.ultracall(&mut regs);
            assert_eq!(UvCode::from_register(regs.gpr[3]), UvCode::U_PARAMETER);
        }
        // A CPU that waits in a call of its own and is started: the earlier context is gone.
        let (script, transcript) = Script::new([pause(), look(), look()]);
        let (rig, cookie) = start_cpu(p, 2);
        rig.machine.add_vcpu(VM, 2, Box::new(script));
        let mut regs = uv_return(2, cookie, 0);
        rig.machine.ultracall(&mut regs);
        assert_eq!((regs.nip, transcript.lock().len()), (0xc00, 0));
        let waiting = regs.gpr[31];
        let mut unknown = uv_return(2, cookie, 0);
        rig.machine.ultracall(&mut unknown);
        assert_eq!(UvCode::from_register(unknown.gpr[3]), UvCode::U_PARAMETER, "a cookie is used once");
        rig.machine.ultracall(&mut uv_return(2, 0, waiting));
        assert_eq!(transcript.lock().len(), 3);
    });
}

fn start_cpu_that_failed_leaves_no_cookie() {
    both(|p| {
        let (mut rig, cookie) = start_cpu(p, 1);
        answer_word(&rig, 6, MINUS_1);
        rig.resume(HvCode::H_SUCCESS, &[]);
        assert_eq!(rig.loaded(2), words(&[MINUS_1]));
        let mut regs = uv_return(1, cookie, 0);
        rig.machine.ultracall(&mut regs);
        assert_eq!(UvCode::from_register(regs.gpr[3]), UvCode::U_PARAMETER);
    });
}
