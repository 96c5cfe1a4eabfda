//! Creating, unpacking, converting: the kernel level.

use crate::rig::{BUSY, PAGES, PARTIAL, Rig, Spoil, rc, refuse};
use std::sync::Arc;
use uv_core::{
    DestroyPages, Error, ErrorKind, Gfn, GuestAddr, HostAddr, NormalMemory, PageIn, PageOut, PageState, SecureVm,
    VmState,
};
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{Hardware, Host, HostError, HostPages, MpState, Process};
use uv_s390::sim::{Generation, Machine, MachineConfig};

#[test]
fn init_takes_storage_above_2_gib_or_nothing() {
    let machine = std::sync::Arc::new(Machine::new(MachineConfig::new(1)));
    let hardware = || Hardware::new(&machine, machine.host_memory());
    let low = HostPages::new([(HostAddr(0), 1 << 30)]);
    assert!(matches!(Host::start(hardware(), low), Err(HostError::NoStorage(_))));
    machine.set_running_cpus(2);
    let pages = || HostPages::new([(HostAddr(3 << 30), 64 << 20)]);
    assert_eq!(rc(Host::start(hardware(), pages()).unwrap_err()), UvRc::INIT_CPUS);
    machine.set_running_cpus(1);
    let host = Host::start(hardware(), pages()).unwrap();
    assert_eq!(host.free_storage(), (64 << 20) - host.info().uv_base_stor_len.get());
    assert_eq!(
        rc(Host::start(hardware(), HostPages::new([(HostAddr(2 << 30), 64 << 20)])).unwrap_err()),
        UvRc::INIT_ALREADY
    );
}

#[test]
fn enabling_donates_and_disabling_gives_back() {
    let rig = Rig::new(Generation::Z16);
    let guest = rig.guest(2);
    let before = rig.host.free_storage();
    guest.enable().unwrap();
    assert_eq!(rig.log(), [C::CREATE_SEC_CONF, C::CREATE_SEC_CPU, C::CREATE_SEC_CPU]);
    assert_eq!((guest.vm_state(), rig.host.protected_count()), (VmState::Secure, 1));
    assert!(rig.host.free_storage() < before);
    assert_eq!(guest.enable(), Err(HostError::Protected));
    guest.add_cpu(5).unwrap();
    assert_eq!(rig.log(), [C::CREATE_SEC_CPU], "a CPU that comes later is secure at once");
    guest.disable().unwrap();
    let log = rig.log();
    assert_eq!(log[..4], [C::DESTROY_SEC_CPU, C::DESTROY_SEC_CPU, C::DESTROY_SEC_CPU, C::DESTROY_SEC_CONF]);
    assert!(log[4..].iter().all(|command| *command == C::DESTR_SEC_STOR));
    assert_eq!(u64::try_from(log.len()).unwrap(), 4 + PAGES);
    assert_eq!(rig.host.free_storage() + 0x1000, before, "but for the page of the third CPU");
    assert_eq!(guest.disable(), Err(HostError::NotProtected));
    assert_eq!(guest.add_cpu(5), Err(HostError::Cpu(5)));
    drop(guest);
    assert_eq!(rig.host.free_storage(), rig.free);
}

#[test]
fn a_refused_configuration_leaves_nothing() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let before = rig.host.free_storage();
    rig.uvc.plan(C::CREATE_SEC_CONF, [refuse(0x10c)]);
    assert_eq!(rc(guest.enable().unwrap_err()), UvRc::CONF_SCA_ZERO);
    assert_eq!(rig.log(), [C::CREATE_SEC_CONF]);
    assert_eq!((rig.host.free_storage(), rig.host.protected_count()), (before, 0));
    guest.enable().unwrap();
}

#[test]
fn a_half_made_configuration_is_destroyed_with_its_handle() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let before = rig.host.free_storage();
    rig.uvc.plan(C::CREATE_SEC_CONF, [Spoil::After(UvRc::DESTROY_FLAG)]);
    assert!(rc(guest.enable().unwrap_err()).needs_destroy());
    assert_eq!(rig.log(), [C::CREATE_SEC_CONF, C::DESTROY_SEC_CONF]);
    assert_eq!((rig.host.free_storage(), rig.host.protected_count()), (before, 0));
    assert!(!guest.is_protected());
    guest.enable().unwrap();
}

#[test]
fn a_half_made_configuration_that_stays_keeps_the_vm_protected() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let (before, asce) = (rig.host.free_storage(), guest.asce());
    rig.uvc.plan(C::CREATE_SEC_CONF, [Spoil::After(UvRc::DESTROY_FLAG)]);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    assert!(rc(guest.enable().unwrap_err()).needs_destroy(), "the first failure is told");
    assert!(guest.is_protected() && rig.host.free_storage() < before);
    assert_ne!(guest.asce(), asce, "the old ASCE still belongs to the configuration");
    assert_eq!(guest.enable(), Err(HostError::Protected));
    guest.disable().unwrap();
    assert_eq!((rig.host.free_storage(), rig.host.protected_count()), (before, 0));
    guest.enable().unwrap();
}

#[test]
fn a_cpu_that_cannot_be_made_undoes_all() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(3);
    let before = rig.host.free_storage();
    rig.uvc.plan(C::CREATE_SEC_CPU, [Spoil::Pass, refuse(0x105)]);
    assert_eq!(rc(guest.enable().unwrap_err()), UvRc::CPU_STORAGE);
    let log = rig.log();
    let made = [C::CREATE_SEC_CONF, C::CREATE_SEC_CPU, C::CREATE_SEC_CPU, C::DESTROY_SEC_CPU, C::DESTROY_SEC_CONF];
    assert_eq!(log, made);
    assert_eq!((rig.host.free_storage(), guest.is_protected()), (before, false));
}

#[test]
fn unpack_faults_in_retries_and_stops() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let component = rig.components[0];
    let (address, prefix) = (GuestAddr(component.address.get()), component.tweak_prefix.get());
    let unpack = |len, go_on: bool| guest.unpack(address, len, prefix, &mut || go_on);
    assert_eq!(unpack(0x1000, true), Err(HostError::NotProtected));
    guest.enable().unwrap();
    guest.set_parameters(rig.header()).unwrap();
    for len in [0, 0x1001, 0xfff] {
        assert!(matches!(unpack(len, true), Err(HostError::Argument(_))), "{len:#x}");
    }
    let outside = guest.unpack(GuestAddr(PAGES << 12), 0x1000, prefix, &mut || true);
    assert_eq!(outside.unwrap_err().kind(), ErrorKind::PageMissing);
    rig.log();
    rig.uvc.plan(C::UNPACK_IMG, [BUSY, PARTIAL, BUSY]);
    unpack(0x1000, true).unwrap();
    assert_eq!(rig.log().len(), 5, "three times busy, once not mapped, once done");
    rig.uvc.plan(C::UNPACK_IMG, [BUSY; 50]);
    assert_eq!(unpack(0x1000, false), Err(HostError::Stopped));
    assert_eq!(rig.log().len(), 1);

    let huge = rig.guest_with(1, |config| config.huge_pages = true);
    huge.enable().unwrap();
    huge.set_parameters(rig.header()).unwrap();
    let gfn = Gfn(address.0 >> 12);
    assert_eq!(huge.unpack(address, 0x1000, prefix, &mut || true), Err(HostError::Fault(gfn)));
}

#[test]
fn pages_move_and_the_kernel_knows_where_they_are() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    assert_eq!(guest.page_in(Gfn(500)), Err(HostError::NotProtected));
    rig.verified(&guest);
    let state = |gfn| guest.page_state(gfn).unwrap();
    let secret = Gfn(rig.components[0].address.get() >> 12);
    assert_eq!((state(secret), state(Gfn(500))), (PageState::Secure, PageState::Absent));
    let mut page = vec![0; 0x1000];
    let at = GuestAddr(secret.0 << 12);
    assert!(guest.storage().read(at, &mut page).is_err());

    // A host access exports the page: ciphertext, and other ciphertext than the image's.
    guest.host_read(at, &mut page).unwrap();
    let stored = usize::try_from(at.0).unwrap();
    assert!(page != rig.file[stored..stored + 0x1000] && page != vec![0x77; 0x1000]);
    assert_eq!(state(secret), PageState::Sealed);
    guest.page_in(secret).unwrap();
    guest.page_in(secret).unwrap();
    assert_eq!(state(secret), PageState::Secure);

    // Overwritten ciphertext never comes back; the right bytes do.
    guest.page_out(secret).unwrap();
    guest.storage().read(at, &mut page).unwrap();
    guest.storage().write(at, &[0; 16]).unwrap();
    assert_eq!(guest.page_in(secret).unwrap_err().kind(), ErrorKind::Integrity);
    guest.storage().write(at, &page).unwrap();
    guest.page_in(secret).unwrap();

    guest.destroy_range(secret.into()).unwrap();
    guest.storage().read(at, &mut page).unwrap();
    assert_eq!((state(secret), page.iter().all(|byte| *byte == 0)), (PageState::Absent, true));
    guest.page_in(Gfn(500)).unwrap();
    guest.page_out(Gfn(500)).unwrap();
    guest.destroy_range(Gfn(500).into()).unwrap();
    assert_eq!(state(Gfn(500)), PageState::Absent, "an exported page can be given up, too");
    assert!(guest.page_in(Gfn(PAGES)).is_err());
    assert_eq!(guest.pin(secret).unwrap_err().kind(), ErrorKind::WrongState);
}

#[test]
fn import_exports_first_only_beside_another_protected_vm_of_the_process() {
    for (generation, exports) in [(Generation::Z15, true), (Generation::Z16, false)] {
        let rig = Rig::new(generation);
        let process = Arc::new(Process::default());
        let [one, two] = [(); 2].map(|()| rig.guest_with(1, |config| config.process = process.clone()));
        let other = rig.guest(1);
        one.enable().unwrap();
        other.enable().unwrap();
        rig.log();
        one.page_in(Gfn(3)).unwrap();
        assert!(!rig.log().contains(&C::CONV_FROM_SEC_STOR), "alone in its process");
        two.enable().unwrap();
        assert_eq!((process.protected_count(), rig.host.protected_count()), (2, 3));
        rig.log();
        one.page_in(Gfn(4)).unwrap();
        assert_eq!(rig.log().contains(&C::CONV_FROM_SEC_STOR), exports);
        if exports {
            rig.uvc.plan(C::CONV_FROM_SEC_STOR, [refuse(0x1f3)]);
            one.page_in(Gfn(5)).unwrap();
            assert_eq!(rig.log()[..2], [C::CONV_FROM_SEC_STOR, C::CONV_TO_SEC_STOR], "its refusal does not matter");
        }
        two.disable().unwrap();
        assert_eq!(process.protected_count(), 1);
        rig.log();
        one.page_in(Gfn(6)).unwrap();
        assert!(!rig.log().contains(&C::CONV_FROM_SEC_STOR), "alone again");
    }
}

#[test]
fn an_unpin_is_tried_once() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    assert_eq!(guest.unpin(Gfn(3)), Err(HostError::NotProtected));
    guest.enable().unwrap();
    guest.page_in(Gfn(3)).unwrap();
    for spoil in [BUSY, PARTIAL] {
        rig.uvc.plan(C::UNPIN_PAGE_SHARED, [spoil]);
        rig.log();
        assert_eq!(guest.unpin(Gfn(3)), Err(HostError::Again));
        assert_eq!(rig.log(), [C::UNPIN_PAGE_SHARED]);
    }
    rig.uvc.plan(C::UNPIN_PAGE_SHARED, [refuse(UvRc::NOT_MAPPED.0)]);
    assert_eq!(guest.unpin(Gfn(3)), Err(HostError::Again), "mapped now");
    rig.uvc.plan(C::UNPIN_PAGE_SHARED, [Spoil::Instead(uv_s390::abi::uvc::Cc::Done, 1)]);
    guest.unpin(Gfn(3)).unwrap();
    assert_eq!(HostError::Again.kind(), ErrorKind::Busy);
}

#[test]
fn a_busy_import_is_tried_again() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    guest.enable().unwrap();
    rig.uvc.plan(C::CONV_TO_SEC_STOR, [BUSY, BUSY, PARTIAL]);
    guest.page_in(Gfn(3)).unwrap();
    guest.page_in(Gfn(3)).unwrap();
}

#[test]
fn every_refusal_of_an_import_is_one() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    guest.enable().unwrap();
    for code in [0x104, 0x101, 0x555] {
        rig.uvc.plan(C::CONV_TO_SEC_STOR, [refuse(code)]);
        rig.log();
        assert_eq!(rc(guest.page_in(Gfn(4)).unwrap_err()), UvRc(code));
        assert_eq!(rig.log(), [C::CONV_TO_SEC_STOR], "not tried again");
        assert_eq!(guest.page_state(Gfn(4)), Ok(PageState::Absent));
    }
    // "Not mapped" alone leads on: the page is faulted in.
    rig.uvc.plan(C::CONV_TO_SEC_STOR, [refuse(UvRc::NOT_MAPPED.0)]);
    guest.page_in(Gfn(4)).unwrap();
}

#[test]
fn dropping_a_protected_vm_gives_all_back() {
    for generation in [Generation::Z15, Generation::Z17] {
        let rig = Rig::new(generation);
        let guest = rig.guest(2);
        rig.verified(&guest);
        drop(guest);
        assert_eq!((rig.host.free_storage(), rig.host.protected_count()), (rig.free, 0), "{generation:?}");
        assert_eq!(rig.machine.secure_frames_in_use(), 0);
        let memory = rig.machine.host_memory();
        assert!(memory.check(HostAddr(16 << 20), PAGES << 12).is_ok());
    }
}

#[test]
fn a_machine_that_lacks_one_dump_call_does_not_dump() {
    for call in [C::DUMP_INIT, C::DUMP_CONF_STOR_STATE, C::DUMP_CPU, C::DUMP_COMPLETE] {
        let bit = call.info().and_then(|info| info.bit).and_then(|bit| u16::try_from(bit).ok()).expect("a bit");
        let rig = Rig::without(Generation::Z17, &[bit]);
        assert!(!rig.host.can_dump() && !rig.guest(0).can_dump(), "{call}");
    }
    assert!(Rig::new(Generation::Z17).guest(0).can_dump());
}

#[test]
fn states_that_the_ultravisor_is_told() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    rig.verified(&guest);
    for state in [MpState::Load, MpState::Operating, MpState::Stopped, MpState::Operating, MpState::Stopped] {
        guest.set_mp_state(0, state).unwrap();
    }
    let told: Vec<_> = rig.uvc.blocks(C::CPU_SET_STATE).iter().map(|block| block[0x20..0x28].to_vec()).collect();
    assert_eq!(told.concat(), [5, 1, 2, 1, 2].map(|state| [0, 0, 0, 0, 0, 0, 0, state]).concat());
}

#[test]
fn a_cpu_that_cannot_become_secure_is_as_it_was() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    rig.uvc.plan(C::CREATE_SEC_CPU, [Spoil::Pass, refuse(0x105)]);
    assert_eq!(rc(guest.enable().unwrap_err()), UvRc::CPU_STORAGE);
    for cpu in [0, 1] {
        let state = guest.state(cpu).unwrap();
        assert_eq!((state.sidad.get(), state.sdf, state.cpu_handle.get(), state.conf_handle.get()), (1, 0, 0, 0));
    }
    guest.enable().unwrap();
    let free = rig.host.free_storage();
    rig.uvc.plan(C::CREATE_SEC_CPU, [refuse(0x105)]);
    assert_eq!(rc(guest.add_cpu(5).unwrap_err()), UvRc::CPU_STORAGE);
    assert_eq!((rig.host.free_storage(), guest.cpu_count()), (free, 2), "nothing of it is left");
}

#[test]
fn storage_in_neighbouring_ranges_stays_two() {
    let pages = HostPages::new([(HostAddr(0x1_0000), 0x1000), (HostAddr(0x1_1000), 0x2000)]);
    let first = pages.allocate(0x1000, 0, HostAddr(0)).unwrap();
    assert_eq!((first.origin(), pages.free_bytes()), (HostAddr(0x1_0000), 0x2000));
    let second = pages.allocate(0x2000, 0, HostAddr(0)).unwrap();
    assert_eq!((second.origin(), pages.free_bytes()), (HostAddr(0x1_1000), 0));
    assert_eq!(pages.allocate(1, 0, HostAddr(0)), None);
    pages.free(second);
    pages.free(first);
    assert_eq!(pages.allocate(0x3000, 0x1000, HostAddr(0)).map(|all| all.origin()), Some(HostAddr(0x1_0000)));
}
