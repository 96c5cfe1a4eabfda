//! Program interruptions that SIE leaves with, and host storage that fails.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use uv_core::{Exit, Gfn, GuestAddr, HostAddr, MemSlot, PageIn, PageState, SecureVm, SlotId, Vcpu};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::{PSW_EXTERNAL, PSW_IO, PSW_MACHINE_CHECK, Psw};
use uv_s390::abi::sie::{InjectionControl, Sie};
use uv_s390::abi::uvc::{PgmCode, ProgramInterruption, Teid, UvRc};
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{CpuReset, HostError, Irq, MachineCheckIrq, MpState, ProgramIrq, Vm};
use uv_s390::hypervisor::uapi::{KvmRun, RegId, client};
use uv_s390::sim::Generation;
use zerocopy::IntoBytes;

use crate::interrupt::{REPRESSIBLE, io};
use crate::rig::{Rig, Room, rc, refuse};
use crate::scripted::{Script, Shown, end, ordinary, play, play_open, scripted, scripted_open};

/// A SIE that is left with these interruptions before it does what another one does.
struct Raises {
    list: Mutex<VecDeque<ProgramInterruption>>,
    then: Arc<Script>,
}

impl Sie for Raises {
    fn enter(&self, state: HostAddr, asce: u64, grs: &mut [u64; 16]) -> Result<(), ProgramInterruption> {
        match self.list.lock().expect("one thread").pop_front() {
            Some(interruption) => Err(interruption),
            None => self.then.enter(state, asce, grs),
        }
    }
}

fn raise(rig: &Rig, then: &Arc<Script>, list: &[ProgramInterruption]) {
    rig.enter_by(Arc::new(Raises { list: Mutex::new(list.iter().copied().collect()), then: then.clone() }));
}

const PAGE: u64 = 0x30_0000;

fn at(code: PgmCode, address: u64, reliable: bool) -> ProgramInterruption {
    ProgramInterruption::access(code, Teid::new(address, reliable, Teid::HOME))
}

#[test]
fn a_page_that_is_not_the_guests_is_destroyed_and_its_own_is_exported() {
    for code in [PgmCode::SECURE_STORAGE_VIOLATION, PgmCode::SECURE_STORAGE_ACCESS] {
        let rig = Rig::new(Generation::Z17);
        let (guest, script) = scripted(&rig, 1, vec![end(), end(), end(), end()]);
        let mut cpu = guest.vcpu(0).unwrap();
        let gfn = Gfn(PAGE >> 12);
        let mut run = || {
            rig.log();
            raise(&rig, &script, &[at(code, PAGE, true)]);
            let exit = cpu.run();
            (exit.map(|_| ()), rig.log())
        };
        assert_eq!(run(), (Ok(()), vec![C::DESTR_SEC_STOR]), "{code:?}: not one that was imported");
        assert_eq!(guest.page_state(gfn), Ok(PageState::Absent));
        rig.uvc.plan(C::DESTR_SEC_STOR, [refuse(0x1f0)]);
        assert_eq!(run(), (Ok(()), vec![C::DESTR_SEC_STOR, C::CONV_FROM_SEC_STOR]));
        guest.page_in(gfn).unwrap();
        assert_eq!(run(), (Ok(()), vec![C::CONV_FROM_SEC_STOR]), "{code:?}: what the guest needs still");
        assert_eq!(guest.page_state(gfn), Ok(PageState::Sealed));
        guest.page_in(gfn).unwrap();
        rig.uvc.plan(C::CONV_FROM_SEC_STOR, [refuse(0x1f1)]);
        raise(&rig, &script, &[at(code, PAGE, true)]);
        assert_eq!(rc(cpu.run().unwrap_err()), UvRc(0x1f1));
        assert_eq!(guest.page_state(gfn), Ok(PageState::Secure));
    }
}

#[test]
fn an_address_that_is_not_reliable_is_believed_without_the_facility_only() {
    for (generation, believed) in [(Generation::Z15, true), (Generation::Z16, false), (Generation::Z17, false)] {
        for code in [PgmCode::SECURE_STORAGE_VIOLATION, PgmCode::SECURE_STORAGE_ACCESS] {
            let rig = Rig::new(generation);
            let (guest, script) = scripted(&rig, 1, vec![end()]);
            let raised = at(code, PAGE, false);
            raise(&rig, &script, &[raised]);
            let exit = guest.vcpu(0).unwrap().run();
            if believed {
                assert!(exit.is_ok(), "{exit:?}");
                assert_eq!(rig.log(), [C::DESTR_SEC_STOR]);
            } else {
                assert_eq!((exit, rig.log()), (Err(HostError::Interruption(raised)), vec![]), "{generation:?}");
            }
        }
    }
}

#[test]
fn other_interruptions_are_served_or_told() {
    let rig = Rig::new(Generation::Z17);
    let (guest, script) = scripted(&rig, 1, vec![end(), end()]);
    let mut cpu = guest.vcpu(0).unwrap();
    let gfn = Gfn(PAGE >> 12);
    let raised = at(PgmCode::NON_SECURE_STORAGE_ACCESS, PAGE + 0xabc, true);
    raise(&rig, &script, &[raised]);
    let access = uv_core::Access::Load;
    assert_eq!(cpu.run(), Ok(Exit::PageMissing { gfn, access }));
    for unserved in [
        at(PgmCode::PROTECTION, PAGE, true),
        ProgramInterruption::new(PgmCode::PAGE_TRANSLATION),
        ProgramInterruption::new(PgmCode::SECURE_STORAGE_ACCESS),
    ] {
        raise(&rig, &script, &[unserved]);
        assert_eq!(cpu.run(), Err(HostError::Interruption(unserved)));
    }
    guest.merge(3).unwrap();
    raise(&rig, &script, &[at(PgmCode::SECURE_PAGE_SIZE, PAGE, true), at(PgmCode::PAGE_TRANSLATION, PAGE, true)]);
    assert!(cpu.run().is_ok() && !guest.is_merged(3));
    rig.log();
    let absent = at(PgmCode::PAGE_TRANSLATION, 1 << 40, true);
    raise(&rig, &script, &[absent]);
    assert_eq!(cpu.run(), Err(HostError::InterruptionRefused), "a protected CPU takes no addressing exception");
}

#[test]
fn an_interruption_of_the_host_ends_the_answer_to_an_instruction() {
    let rig = Rig::new(Generation::Z17);
    let (guest, script) = scripted(&rig, 1, vec![end(), end(), end()]);
    let mut cpu = guest.vcpu(0).unwrap();
    let specification = Irq::Program(ProgramIrq { code: 6, ..ProgramIrq::default() });
    assert!(cpu.run().is_ok(), "an instruction");
    guest.inject(Some(0), specification).unwrap();
    assert!(cpu.run().is_ok());
    assert_eq!(script.entries().last().map(|sd| sd.iictl), Some(InjectionControl::SPECIFICATION.0));
    raise(&rig, &script, &[at(PgmCode::NON_SECURE_STORAGE_ACCESS, PAGE, true)]);
    assert!(matches!(cpu.run(), Ok(Exit::PageMissing { .. })));
    guest.inject(Some(0), specification).unwrap();
    assert_eq!(cpu.run(), Err(HostError::InterruptionRefused));
}

#[test]
fn what_an_old_life_left_is_not_touched_once_it_was_exported() {
    let rig = Rig::new(Generation::Z17);
    let high = Gfn(2 << 18);
    let guest = rig.guest(1);
    guest.add_slot(SlotId(1), MemSlot { first: high, pages: 256, host: HostAddr(0x400_0000) }).unwrap();
    rig.verified(&guest);
    for page in 0..3 {
        guest.page_in(high.add(page)).unwrap();
    }
    // One that the VMM has read is exported, and so none that is in reach as a shared one.
    let address = |page: u64| GuestAddr(high.add(page).0 << 12);
    guest.host_read(address(2), &mut [0; 8]).unwrap();
    assert_eq!(guest.page_state(high.add(2)), Ok(PageState::Sealed));
    guest.set_aside().unwrap();
    rig.log();
    // The VMM reads another one: it is the VM's own from then on.
    rig.uvc.plan(C::DESTR_SEC_STOR, [refuse(0x1f0)]);
    guest.host_write(address(0), b"mine").unwrap();
    assert_eq!(rig.log(), [C::PIN_PAGE_SHARED, C::CONV_FROM_SEC_STOR]);
    guest.cleanup(&mut |gfn| gfn != high.add(3)).unwrap();
    let destroyed = rig.uvc.blocks(C::DESTR_SEC_STOR);
    let frame = |block: &Vec<u8>| u64::from_be_bytes(block[0x18..0x20].try_into().unwrap());
    let of_high: Vec<_> =
        destroyed.iter().map(frame).filter(|frame| (0x400_0000..0x8000_0000).contains(frame)).collect();
    assert_eq!(of_high, [0x400_1000, 0x400_2000], "each once, and not the first");
    let mut back = [0; 4];
    guest.host_read(address(0), &mut back).unwrap();
    assert_eq!(&back, b"mine");
}

/// Everything that can be injected into a CPU that is stopped, but for what an ordinary one alone takes.
fn everything(guest: &Vm) {
    let exigent = MachineCheckIrq { mcic: 1 << 63, ..REPRESSIBLE };
    for irq in [
        Irq::Restart,
        Irq::Emergency { source: 0 },
        Irq::ExternalCall { source: 0 },
        Irq::ClockComparator,
        Irq::CpuTimer,
        Irq::MachineCheck(exigent),
    ] {
        guest.inject(Some(0), irq).expect("a CPU");
    }
    for irq in [Irq::Service { parameter: 0x5003 }, Irq::Io(io(3, 33))] {
        guest.inject(None, irq).expect("a VM");
    }
}

const OPEN: u64 = PSW_EXTERNAL | PSW_IO | PSW_MACHINE_CHECK;

fn open(guest: &Vm) {
    let change = |_: &mut _, state: &mut uv_s390::abi::sie::StateDescription| {
        state.psw = Psw::new(OPEN, 0x5000);
        state.crs = [u64::MAX.into(); 16];
    };
    guest.change_registers(0, change).expect("a CPU");
}

/// Repeats a scenario with one access after the other failing, until none is left to fail. The scenario calls its argument when
/// failures may begin, and tells whether it failed, or went well. How many there were.
fn each_is_told(rig: &Rig, room: Room, scenario: impl Fn(&dyn Fn()) -> (Result<(), bool>, Arc<Vm>)) -> u64 {
    let mut after = 0;
    loop {
        let (result, _guest) = scenario(&|| rig.fail(room, after));
        if rig.fails_still() {
            assert_eq!(result, Ok(()), "nothing fails");
            return after;
        }
        assert_eq!(result, Err(true), "{room:?}, access {after}");
        after += 1;
    }
}

fn told<T>(result: Result<T, HostError>) -> Result<(), bool> {
    result.map(|_| ()).map_err(|error| matches!(error, HostError::Access(_)))
}

/// CPU 0 as after a clear reset, with nothing pending.
fn afresh(guest: &Vm) {
    guest.set_mp_state(0, MpState::Stopped).expect("a CPU");
    guest.reset_cpu(0, CpuReset::Clear).expect("a CPU");
    guest.clear_floating_interruptions();
}

#[test]
fn no_delivery_to_an_ordinary_cpu_goes_on_past_a_failed_access() {
    let rig = Rig::new(Generation::Z17);
    let (guest, _) = ordinary(&rig, 1, vec![]);
    for room in [Room::Kernel, Room::Guest] {
        for runs in [false, true] {
            let count = each_is_told(&rig, room, |fail| {
                play(&rig, vec![(0x28, 0, 0, vec![])]);
                afresh(&guest);
                open(&guest);
                for new in [0x1a0, 0x1b0, 0x1d0, 0x1e0, 0x1f0] {
                    for prefix in [0, 0x8000] {
                        let psw = Psw::new(OPEN, 0x6000);
                        guest.storage().write(GuestAddr(prefix + new), psw.as_bytes()).unwrap();
                    }
                }
                everything(&guest);
                guest.inject(None, Irq::Virtio { parameter: 1, parameter64: 2 }).unwrap();
                guest.inject(None, Irq::PfaultDone { token: 3 }).unwrap();
                let code = if runs { 0x40 } else { 0x90 };
                guest.inject(Some(0), Irq::Program(ProgramIrq { code, ..ProgramIrq::default() })).unwrap();
                if !runs {
                    guest.inject(Some(0), Irq::SetPrefix { address: 0x8000 }).unwrap();
                }
                guest.set_mp_state(0, MpState::Operating).unwrap();
                if runs {
                    guest.inject(Some(0), Irq::StopAndStoreStatus).unwrap();
                }
                fail();
                (told(guest.vcpu(0).unwrap().run()), guest.clone())
            });
            assert!(count > 30, "{room:?}: {count}");
        }
    }
}

#[test]
fn no_service_to_a_protected_cpu_goes_on_past_a_failed_access() {
    let rig = Rig::new(Generation::Z17);
    let plain = |code| -> Shown { (code, 0, 0, vec![]) };
    let mut exits: Vec<Shown> = (0..10).map(|_| plain(0)).collect();
    exits.extend([
        (0x6c, 0xb210, 0, vec![]),
        (0x6c, 0xb220, 0, vec![]),
        plain(0),
        (0x6c, 0xae02, 0x5000_0000, vec![(5, 1), (2, 0)]),
        (0x68, 0xb27d, 0x5000_0000, vec![(0, 0x3000_0002), (1, 2)]),
        (0x68, 0xb256, 0x0024_0000, vec![]),
        (0x68, 0xb236, 0x5000_0000, vec![]),
        plain(0x70),
        plain(0),
        plain(0x28),
    ]);
    let (guest, _) = scripted_open(&rig, 1, vec![]);
    let count = each_is_told(&rig, Room::Kernel, |fail| {
        play_open(&rig, exits.clone());
        afresh(&guest);
        guest.set_mp_state(0, MpState::Operating).unwrap();
        everything(&guest);
        fail();
        (told(guest.vcpu(0).unwrap().run_served()), guest.clone())
    });
    assert!(count > 150, "{count}");
}

#[test]
fn a_life_that_cannot_begin_leaves_no_storage_behind() {
    let rig = Rig::new(Generation::Z17);
    let count = each_is_told(&rig, Room::Kernel, |fail| {
        let guest = rig.guest(2);
        let free = rig.host.free_storage();
        fail();
        let result = guest.enable();
        if result.is_err() {
            assert_eq!((rig.host.free_storage(), guest.is_protected(), rig.host.protected_count()), (free, false, 0));
            assert_eq!([0, 1].map(|cpu| guest.state(cpu).unwrap().sdf), [0; 2]);
        }
        (told(result), guest)
    });
    assert!(count >= 10, "{count}");
}

#[test]
fn what_fails_in_a_life_gives_its_storage_back() {
    let rig = Rig::new(Generation::Z17);
    type Work = fn(&Vm, &Rig) -> Result<(), bool>;
    let works: [(Work, u64); 6] = [
        (|guest, _| told(guest.dump_cpu(0)), 2),
        (|guest, rig| told(guest.set_parameters(rig.header())), 2),
        (|guest, _| told(guest.sida_read(0, 0, &mut [0; 8])), 1),
        (|guest, _| told(guest.sida_write(0, 0, &[0; 8])), 1),
        (|guest, _| told(guest.set_mp_state(0, MpState::Operating)), 2),
        (|guest, _| told(guest.reset_cpu(0, CpuReset::Initial)), 2),
    ];
    for (number, (work, least)) in works.into_iter().enumerate() {
        let count = each_is_told(&rig, Room::Kernel, |fail| {
            let guest = rig.guest(1);
            rig.verified(&guest);
            if number == 0 {
                guest.dump_init().unwrap();
            } else {
                guest.set_mp_state(0, MpState::Load).unwrap();
                guest.set_mp_state(0, MpState::Stopped).unwrap();
            }
            let free = rig.host.free_storage();
            fail();
            let result = work(&guest, &rig);
            assert_eq!(rig.host.free_storage(), free);
            // A second header is refused, when nothing fails before that.
            (if result == Err(false) { Ok(()) } else { result }, guest)
        });
        assert!(count >= least, "{number}: {count}");
    }
}

#[test]
fn user_space_is_told_of_a_failed_access() {
    let rig = Rig::new(Generation::Z17);
    type Act = fn(&Vm) -> Result<(), Errno>;
    let program = |guest: &Vm| client::inject_program(guest, 0, ProgramIrq { code: 1, ..ProgramIrq::default() }.into());
    let acts: [(Act, Errno); 8] = [
        (|guest| client::run(guest, 0, &mut KvmRun::new()), Errno::EFAULT),
        (|guest| client::get_one_reg(guest, 0, RegId::PP).map(|_| ()), Errno::EINVAL),
        (|guest| client::set_one_reg(guest, 0, RegId::PP, 1), Errno::EINVAL),
        (|guest| client::store_status(guest, 0, u64::MAX), Errno::EFAULT),
        (|guest| client::set_initial_psw(guest, 0, Psw::at(0), &mut KvmRun::new()), Errno::EINVAL),
        (|guest| client::set_mp_state(guest, 0, MpState::Stopped), Errno::EINVAL),
        (|guest| client::reset_cpu(guest, 0, uv_s390::hypervisor::uapi::request::CLEAR_RESET), Errno::EINVAL),
        (program, Errno::EFAULT),
    ];
    for (number, (act, errno)) in acts.into_iter().enumerate() {
        let count = each_is_told(&rig, Room::Kernel, |fail| {
            let (guest, _) = ordinary(&rig, 1, vec![(0x04, 0x8302, 0x5000_0000, vec![(5, 0x500)])]);
            if number == 5 {
                guest.set_mp_state(0, MpState::Operating).unwrap();
            }
            fail();
            (act(&guest).map_err(|error| error == errno), guest)
        });
        assert!(count > 0, "{number}");
    }
}
