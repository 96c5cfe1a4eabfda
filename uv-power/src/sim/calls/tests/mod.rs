//! What no caller sees by codes alone: who may call, how refusals of the engine are told, what a call leaves behind.

mod fictional;
mod pages;

use alloc::{string::ToString, sync::Arc, vec::Vec};

use uv_core::{AccessError, Gfn, HostAddr, NormalMemory, PageState};
use uv_sim::seal::Suite;
use uv_sim::{HostMemory, SpaceError};

use super::checks::*;
use super::*;
use crate::abi::codes::HvCode;
use crate::abi::numbers::HvCall;
use crate::abi::regs::Lpid;
use crate::abi::ultracall::{self, Ultracall};
use crate::owner::keys::PrivateKey;
use crate::owner::samples;
use crate::sim::sharing::step::ShareError;
use crate::sim::svm::Svm;
use crate::sim::{Machine, MachineConfig, PlatformRange};

const VM: Lpid = Lpid(7);
const RA: HostAddr = HostAddr(0x8_0000);
/// A page of the slot, and where there is no normal memory.
const GPA: u64 = 0x2_0000;
const GFN: Gfn = Gfn(2);
const NOWHERE: HostAddr = HostAddr(1 << 40);

fn machine(profile: Profile, memory: Arc<dyn NormalMemory>) -> Machine {
    let key = PrivateKey::from_pem(samples::MACHINE1, None).unwrap();
    Machine::new(MachineConfig { secure_pages: 128, ..MachineConfig::new(key).with_profile(profile) }, memory)
}

fn plain(profile: Profile) -> (Machine, Arc<HostMemory>) {
    let memory = Arc::new(HostMemory::new(1 << 20));
    (machine(profile, memory.clone()), memory)
}

/// A call with a machine state; the registers afterwards.
fn call(machine: &Machine, msr: Msr, lpid: Lpid, number: UltracallNumber, args: &[u64]) -> Regs {
    let mut regs = Regs { lpidr: lpid, ..Regs::default() }.with_call(number, args);
    regs.msr = (msr | Msr::SF | Msr::ME).bits();
    machine.ultracall(&mut regs);
    regs
}

fn code(machine: &Machine, msr: Msr, lpid: Lpid, number: UltracallNumber, args: &[u64]) -> UvCode {
    UvCode::from_register(call(machine, msr, lpid, number, args).gpr[3])
}

fn hv(machine: &Machine, number: UltracallNumber, args: &[u64]) -> UvCode {
    ultracall::call(machine, number, args).0
}

/// The object of a VM that has asked to become secure and has one slot of four pages.
fn active(machine: &Machine) -> Arc<Svm> {
    let asked = call(machine, Msr::empty(), VM, UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]);
    assert_eq!((asked.nip, asked.gpr[3]), (0xc00, HvCall::H_SVM_INIT_START.0));
    assert_eq!(hv(machine, UltracallNumber::UV_REGISTER_MEM_SLOT, &[7, 0, 0x4_0000, 0, 0]), UvCode::U_SUCCESS);
    machine.inner().svm(7).unwrap()
}

fn page_in(machine: &Machine, from: HostAddr) -> UvCode {
    hv(machine, UltracallNumber::UV_PAGE_IN, &[7, from.0, GPA, 0, 16])
}

fn page_out(machine: &Machine, to: HostAddr) -> UvCode {
    hv(machine, UltracallNumber::UV_PAGE_OUT, &[7, to.0, GPA, 0, 16])
}

#[test]
fn transactions_matter_in_hypervisor_state_only() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        let told = |code| if profile == Profile::Firmware { UvCode::U_PERMISSION } else { code };
        for state in [Msr::TS_T, Msr::TS_S] {
            let code = |mode: Msr, number| code(&machine, mode | state, Lpid(9), number, &[0, 1]);
            assert_eq!(code(Msr::HV, UltracallNumber::UV_PAGE_IN), UvCode::U_BAD_MODE);
            assert_eq!(code(Msr::HV | Msr::PR, UltracallNumber(0xf100)), UvCode::U_BAD_MODE);
            assert_eq!(code(Msr::HV | Msr::PR, UltracallNumber::UV_RETURN), told(UvCode::U_INVALID));
            assert_eq!(code(Msr::PR, UltracallNumber::UV_ESM), UvCode::U_PERMISSION);
            assert_eq!(code(Msr::empty(), UltracallNumber::UV_SHARE_PAGE), told(UvCode::U_INVALID));
        }
        // No such VM, for each of the three calls.
        let none = if profile == Profile::Firmware { UvCode::U_FUNCTION } else { UvCode::U_INVALID };
        for number in
            [UltracallNumber::UV_SHARE_PAGE, UltracallNumber::UV_UNSHARE_PAGE, UltracallNumber::UV_UNSHARE_ALL_PAGES]
        {
            assert_eq!(code(&machine, Msr::S, Lpid(9), number, &[0, 1]), none);
            assert_eq!(code(&machine, Msr::S | Msr::TS_S, Lpid(9), number, &[0, 1]), none);
        }
        // A number that is none is told to everybody.
        for mode in [Msr::empty(), Msr::PR, Msr::S, Msr::S | Msr::PR, Msr::HV, Msr::HV | Msr::PR] {
            assert_eq!(code(&machine, mode, Lpid(9), UltracallNumber(0xf100), &[]), UvCode::U_FUNCTION);
        }
        // The ultravisor's own mode is no caller's.
        for mode in [Msr::HV | Msr::S, Msr::HV | Msr::S | Msr::PR] {
            assert_eq!(code(&machine, mode, Lpid(9), UltracallNumber::UV_READ_SCOM, &[0]), UvCode::U_PERMISSION);
        }
    }
}

#[test]
fn refusals_of_the_engine_have_codes() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        let platform = &machine.inner().platform;
        let firmware = profile == Profile::Firmware;
        let busy = if firmware { UvCode::U_RETRY } else { UvCode::U_BUSY };
        let state = SpaceError::State { gfn: GFN, state: PageState::Shared };
        let memory = SpaceError::Memory(AccessError::Secure { at: RA });
        for (error, code) in [
            (SpaceError::Busy(GFN), busy),
            (SpaceError::NoFrame, busy),
            (memory, UvCode::U_P2),
            (SpaceError::Unaligned(RA), UvCode::U_P2),
            (SpaceError::Closed, UvCode::U_PARAMETER),
            (SpaceError::OutOfRange(GFN), UvCode::U_P3),
            (state, UvCode::U_P3),
            (SpaceError::Integrity(GFN), UvCode::U_P3),
        ] {
            assert_eq!(refused(platform, error), code, "{error}");
        }
        assert_eq!(aborted(platform), if firmware { UvCode::U_STATE } else { UvCode::U_PARAMETER });
    }
    let pages = [0, 1 << 48 | 0x1_0000, 0x1_0001, 0x8000].map(normal_page);
    assert_eq!((pages, normal_page(0x1_0000)), ([None; 4], Some(HostAddr(0x1_0000))));
}

#[test]
fn a_page_is_locked_and_then_looked_at_again() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        let svm = active(&machine);
        let platform = &machine.inner().platform;
        assert!(lock(platform, &svm, GFN, UvCode::U_P3).is_ok());
        assert_eq!(lock(platform, &svm, Gfn(4), UvCode::U_P3).err(), Some(UvCode::U_P3));
        assert_eq!(lock(platform, &svm, Gfn(4), UvCode::U_P2).err(), Some(UvCode::U_P2));
        if profile == Profile::Documented {
            let _held = svm.lock(GFN);
            assert_eq!(lock(platform, &svm, GFN, UvCode::U_P3).err(), Some(UvCode::U_BUSY));
            assert_eq!(page_in(&machine, RA), UvCode::U_BUSY);
        }
    }
}

#[test]
fn what_a_share_came_to_is_told_by_the_documented_ultravisor_only() {
    use crate::sim::flow::FlowEnd;
    for (done, code) in [
        (Ok(()), UvCode::U_SUCCESS),
        (Err(ShareError::First), UvCode::U_PARAMETER),
        (Err(ShareError::Ultravisors), UvCode::U_PARAMETER),
        (Err(ShareError::Count), UvCode::U_P2),
        (Err(ShareError::Refused), UvCode::U_P2),
        (Err(ShareError::InMotion), UvCode::U_BUSY),
    ] {
        assert!(matches!(share::end(false, done), FlowEnd::Result(told) if told == code), "{done:?}");
        assert!(matches!(share::end(true, done), FlowEnd::Keep));
    }
    for firmware in [false, true] {
        assert!(matches!(share::end(firmware, Err(ShareError::Lost("why"))), FlowEnd::Kill("why")));
    }
}

/// Normal memory at every address: zeros, which nobody can change; or none of it can be reached after all.
struct Everywhere {
    reachable: bool,
}

impl Everywhere {
    fn access(&self, at: HostAddr, len: usize) -> Result<(), AccessError> {
        if self.reachable { Ok(()) } else { Err(AccessError::Unmapped { at, len }) }
    }
}

impl NormalMemory for Everywhere {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        into.fill(0);
        self.access(at, into.len())
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.access(at, from.len())
    }

    fn check(&self, _: HostAddr, _: u64) -> Result<(), AccessError> {
        Ok(())
    }
}

#[test]
fn platform_memory_judges_the_buffer_before_the_handle() {
    for profile in Profile::ALL {
        let calls = [(UltracallNumber::UV_READ_MEM, 3 << 32 | 2), (UltracallNumber::UV_WRITE_MEM, 2 << 32 | 3)];
        let codes = |machine: &Machine, buffer: u64, known: bool| {
            let range = PlatformRange {
                id: 3,
                kind: 2,
                bytes: alloc::vec![0; 16],
                readable: alloc::vec![(0, 16)],
                writable: alloc::vec![(0, 16)],
            };
            machine.add_platform_memory(range);
            calls.map(|(number, handle)| hv(machine, number, &[buffer, if known { handle } else { 9 }, 0, 8]))
        };
        let (normal, _) = plain(profile);
        for known in [false, true] {
            assert_eq!(codes(&normal, NOWHERE.0, known), [UvCode::U_PARAMETER; 2]);
            assert_eq!(codes(&normal, (1 << 20) - 7, known), [UvCode::U_PARAMETER; 2], "its last byte is not there");
        }
        assert_eq!(codes(&normal, (1 << 20) - 8, true), [UvCode::U_SUCCESS; 2]);
        assert_eq!(codes(&normal, (1 << 20) - 8, false), [UvCode::U_PERMISSION; 2]);
        let all = machine(profile, Arc::new(Everywhere { reachable: true }));
        assert_eq!(codes(&all, 1 << 48 | 0x1000, true), [UvCode::U_PARAMETER; 2], "secure memory");
        assert_eq!(codes(&all, 1 << 40, true), [UvCode::U_SUCCESS; 2]);
        let gone = machine(profile, Arc::new(Everywhere { reachable: false }));
        assert_eq!(codes(&gone, 0x1000, true), [UvCode::U_PARAMETER; 2]);
    }
}

#[test]
fn a_vm_gets_the_suite_of_its_ultravisor_and_no_old_failure() {
    for (profile, suite) in [(Profile::Documented, Suite::Aes256Ccm), (Profile::Firmware, Suite::Aes128Gcm)] {
        let (machine, _) = plain(profile);
        let svm = active(&machine);
        assert_eq!((svm.space.sealer().suite(), svm.space.pages()), (suite, 1 << 26));
        // The first page does not come: the transition fails.
        let mut regs = call(&machine, Msr::empty(), Lpid(8), UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]);
        (regs.gpr[0], regs.gpr[3]) = (HvCode::H_PARAMETER.to_register(), UltracallNumber::UV_RETURN.0);
        regs.msr = Regs::hypervisor().msr;
        machine.ultracall(&mut regs);
        assert!(machine.esm_failure(Lpid(8)).is_some());
        assert_eq!(hv(&machine, UltracallNumber::UV_SVM_TERMINATE, &[8]), UvCode::U_SUCCESS);
        call(&machine, Msr::empty(), Lpid(8), UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]);
        assert!(machine.esm_failure(Lpid(8)).is_none(), "that was the one before");
    }
}

/// `UV_ESMB_GET_FILE` of a secure VM.
fn get_file(machine: &Machine, pidr: u32, offset: u64, name: &str) -> UvCode {
    let mut bytes = [0; 64];
    bytes[..name.len()].copy_from_slice(name.as_bytes());
    let mut args: Vec<u64> = alloc::vec![offset];
    args.extend(bytes.chunks_exact(8).map(|word| u64::from_be_bytes(word.try_into().unwrap())));
    let mut regs = Regs { lpidr: VM, pidr, ..Regs::default() }.with_call(UltracallNumber::UV_ESMB_GET_FILE, &args);
    regs.msr = (Msr::SF | Msr::S).bits();
    machine.ultracall(&mut regs);
    UvCode::from_register(regs.gpr[3])
}

#[test]
fn names_of_files_are_remembered_up_to_a_limit() {
    const NO_FILES: UvCode = UvCode(-9);
    let (machine, _) = plain(Profile::Documented);
    active(&machine);
    for (offset, code) in [(65535, NO_FILES), (65536, UvCode::U_PARAMETER), (u64::MAX, UvCode::U_PARAMETER)] {
        assert_eq!(get_file(&machine, 0, offset, "0"), code);
    }
    for name in 1..1024 {
        assert_eq!(get_file(&machine, 3, 0, &name.to_string()), NO_FILES);
    }
    assert_eq!(get_file(&machine, 3, 0, "1024"), UvCode::U_RETRY);
    assert_eq!(get_file(&machine, 3, 0, "1023"), NO_FILES, "a name that is known");
    assert_eq!(get_file(&machine, 4, 0, "1023"), UvCode::U_PARAMETER, "of another process");
}

#[test]
fn the_byte_order_of_interrupts_is_the_last_callers() {
    use core::sync::atomic::Ordering;
    let (machine, _) = plain(Profile::Documented);
    let little = || machine.inner().platform.hv_little_endian.load(Ordering::Relaxed);
    let write =
        |mode: Msr, lpid: u64, dw1| code(&machine, mode, Lpid(0), UltracallNumber::UV_WRITE_PATE, &[lpid, 0, dw1]);
    assert!(little());
    assert_eq!((write(Msr::HV, 5, 1 << 62), little()), (UvCode::U_P3, true), "a refused call changes nothing");
    assert_eq!((write(Msr::HV, 5, 0), little()), (UvCode::U_SUCCESS, false));
    active(&machine);
    assert_eq!((write(Msr::HV | Msr::LE, 7, 0), little()), (UvCode::U_SUCCESS, false), "a VM that has an object");
    assert_eq!((write(Msr::HV | Msr::LE, 5, 0), little()), (UvCode::U_SUCCESS, true));
    let asked = |lpid| call(&machine, Msr::empty(), lpid, UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]).msr();
    assert!(asked(Lpid(8)).contains(Msr::LE));
    write(Msr::HV, 5, 0);
    assert!(!asked(Lpid(9)).contains(Msr::LE));
}

#[test]
fn a_virtual_cpu_that_was_reset_has_no_context() {
    for profile in Profile::ALL {
        let (machine, _) = plain(profile);
        let mut asked = call(&machine, Msr::empty(), VM, UltracallNumber::UV_ESM, &[0x1_0000, 0x2_0000]);
        machine.add_vcpu(VM, 0, alloc::boxed::Box::new(|_| uv_sim::guest::Step::Halt));
        for _ in 0..2 {
            asked.gpr[3] = UltracallNumber::UV_RETURN.0;
            asked.msr = Regs::hypervisor().msr;
            machine.ultracall(&mut asked);
            assert_eq!(UvCode::from_register(asked.gpr[3]), UvCode::U_PARAMETER);
        }
    }
}
