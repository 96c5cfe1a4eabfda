//! QEMU's sequences: every failure finds its way back.

use std::sync::Mutex;

use uv_core::{Error, ErrorKind, Exit, Gfn, GuestAddr, PageOut, SecureVm, VmState};
use uv_s390::abi::Errno;
use uv_s390::abi::diag308::{Response, StartFailure};
use uv_s390::abi::ipib::{self, Component, IpibForm};
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvc::{UvRc, UvRrc};
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{S390Exit, Vm};
use uv_s390::hypervisor::uapi::{Argument, KvmPv, PvCommand, Target, request};
use uv_s390::hypervisor::vmm::VmmError;
use uv_s390::hypervisor::vmm::diag308::{IplStores, ResetRequest};
use uv_s390::hypervisor::vmm::ipl::{
    AfterReset, Devices, IplOptions, NoDevices, Refused, StartStep, Unprotected, external_reset, reset, start_with,
    unprotect,
};
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Program, Script, Step};

use crate::rig::{Rig, refuse};

/// What the machine model was asked, and what it refuses.
#[derive(Default)]
struct Model {
    asked: Vec<&'static str>,
    refuses: Option<&'static str>,
}

impl Model {
    fn ask(&mut self, name: &'static str) -> Result<(), Refused> {
        self.asked.push(name);
        if self.refuses == Some(name) { Err(Refused) } else { Ok(()) }
    }
}

impl Devices for Model {
    fn reset_subsystems(&mut self) {
        self.asked.push("subsystems");
    }

    fn reset_crypto(&mut self) {
        self.asked.push("crypto");
    }

    fn forbid_discard(&mut self, forbid: bool) -> Result<(), Refused> {
        self.ask(if forbid { "no discard" } else { "discard" })
    }

    fn forbid_migration(&mut self, forbid: bool) -> Result<(), Refused> {
        self.ask(if forbid { "no migration" } else { "migration" })
    }

    fn set_protected(&mut self, protected: bool) {
        self.asked.push(if protected { "protected" } else { "ordinary" });
    }
}

/// A kernel that logs the ioctls, PV commands by their number.
struct Logged<'a> {
    guest: &'a Vm,
    log: Mutex<Vec<(Target, u32)>>,
}

impl KvmPv for Logged<'_> {
    fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let shown = match number {
            request::PV_COMMAND => u32::from_be_bytes(argument.block[..4].try_into().map_err(|_| Errno::EFAULT)?),
            request::SET_MP_STATE => 1000 + u32::from(argument.block[3]),
            other => other,
        };
        self.log.lock().expect("one thread").push((target, shown));
        self.guest.ioctl(target, number, argument)
    }
}

fn options(others: &[u16]) -> IplOptions {
    IplOptions { others: others.to_vec(), ..IplOptions::default() }
}

#[test]
fn the_start_goes_step_by_step() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let kvm = Logged { guest: &guest, log: Mutex::default() };
    let mut model = Model::default();
    let mut steps = Vec::new();
    let started =
        start_with(&mut model, &kvm, &guest.storage(), &rig.ipib, &options(&[1]), &mut |step| steps.push(step))
            .unwrap();
    assert_eq!(model.asked, ["subsystems", "crypto", "no discard", "no migration", "protected"]);
    let parts = rig.components.len();
    let (vm, cpu) = (|number| (Target::Vm, number), |number, what| (Target::Vcpu(number), what));
    let mut wanted =
        vec![cpu(1, 1005), cpu(1, request::CLEAR_RESET), cpu(0, 1005), cpu(0, request::NORMAL_RESET), vm(0)];
    wanted.extend([vm(request::CHECK_EXTENSION), vm(7), vm(7), vm(2)]);
    wanted.extend(vec![vm(3); parts]);
    wanted.extend([vm(4), cpu(0, 1008), cpu(0, 1007)]);
    assert_eq!(*kvm.log.lock().unwrap(), wanted);
    assert_eq!(steps.first(), Some(&StartStep::Reset));
    assert_eq!(steps.last(), Some(&StartStep::Load));
    assert!(steps.is_sorted());
    assert_eq!(started.pages, rig.components.iter().map(|component| component.length.get() >> 12).sum::<u64>());
    assert_eq!(guest.unpacked_pages(), started.pages);
}

#[test]
fn each_failure_finds_its_way_back() {
    let all = ["subsystems", "crypto", "no discard", "no migration", "protected", "ordinary", "migration", "discard"];
    let cases = [
        (StartStep::Enable, C::CREATE_SEC_CONF, &["migration", "discard"][..], false),
        (StartStep::SetParameters, C::SET_SEC_CONF_PARAMS, &all[4..], true),
        (StartStep::Unpack(0), C::UNPACK_IMG, &all[4..], true),
        (StartStep::Verify, C::VERIFY_IMG, &all[4..], true),
        (StartStep::Load, C::CPU_SET_STATE, &all[4..], false),
    ];
    for (step, command, back, told) in cases {
        let rig = Rig::new(Generation::Z17);
        let guest = rig.guest(1);
        let free = rig.host.free_storage();
        rig.uvc.plan(command, [refuse(0x1ab)]);
        let mut model = Model::default();
        let error =
            start_with(&mut model, &*guest, &guest.storage(), &rig.ipib, &options(&[]), &mut |_| {}).unwrap_err();
        assert_eq!(error.step, step);
        assert_eq!(model.asked, [&all[..4], back].concat(), "{step}");
        let number = match step {
            StartStep::SetParameters => 2,
            StartStep::Unpack(_) => 3,
            _ => 4,
        };
        let details = StartFailure { command: number, rc: 0x1ab, rrc: 0 }.response();
        assert_eq!(error.response, if told { details } else { Response::CANNOT_ENTER }, "{step}");
        assert!(!error.fatal && !error.cleanup_pending);
        assert_eq!((guest.vm_state(), rig.host.free_storage()), (VmState::Normal, free));
        assert!(!guest.is_stopped(0).unwrap(), "the guest goes on");
        // Nothing stands in the way of a second try.
        rig.load(&guest);
        start_with(&mut Model::default(), &*guest, &guest.storage(), &rig.ipib, &options(&[]), &mut |_| {}).unwrap();
    }
}

#[test]
fn the_machine_model_may_refuse() {
    for (refuses, step, asked) in [
        ("no discard", StartStep::ForbidDiscard, &["subsystems", "crypto", "no discard"][..]),
        (
            "no migration",
            StartStep::ForbidMigration,
            &["subsystems", "crypto", "no discard", "no migration", "discard"][..],
        ),
    ] {
        let rig = Rig::new(Generation::Z17);
        let guest = rig.guest(1);
        let mut model = Model { refuses: Some(refuses), ..Model::default() };
        let error =
            start_with(&mut model, &*guest, &guest.storage(), &rig.ipib, &options(&[]), &mut |_| {}).unwrap_err();
        assert_eq!((error.step, error.response, error.errno), (step, Response::CANNOT_ENTER, None));
        assert_eq!(model.asked, asked);
        assert!(rig.log().is_empty());
    }
}

#[test]
fn a_failure_can_be_undone_later_or_not_at_all() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let asynchronous = IplOptions { async_disable: true, details: false, ..IplOptions::default() };
    rig.uvc.plan(C::VERIFY_IMG, [refuse(0x102)]);
    let error =
        start_with(&mut NoDevices, &*guest, &guest.storage(), &rig.ipib, &asynchronous, &mut |_| {}).unwrap_err();
    assert!(error.cleanup_pending && guest.has_set_aside() && !guest.is_protected());
    assert_eq!(error.response, Response::CANNOT_ENTER, "without details");
    assert_eq!(error.kind(), ErrorKind::Integrity);
    guest.cleanup(&mut |_| true).unwrap();

    rig.load(&guest);
    rig.uvc.plan(C::VERIFY_IMG, [refuse(0x102)]);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    let error =
        start_with(&mut NoDevices, &*guest, &guest.storage(), &rig.ipib, &options(&[]), &mut |_| {}).unwrap_err();
    assert!(error.fatal);
    assert_eq!(error.kind(), ErrorKind::Fatal);
}

#[test]
fn entering_through_the_core_trait_keeps_the_codes() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    guest.storage().write(GuestAddr(rig.components[0].address.get()), &[1]).unwrap();
    match guest.start_protected(&rig.ipib) {
        Err(VmmError::Start(error)) => {
            assert_eq!((error.step, error.rc, error.rrc), (StartStep::Verify, UvRc::VERIFY_MISMATCH, UvRrc::PAGE_LIST));
        }
        other => panic!("{other:?}"),
    }
    rig.load(&guest);
    guest.start_protected(&rig.ipib).unwrap();
    assert_eq!(guest.start_protected(&rig.ipib).unwrap_err().kind(), ErrorKind::WrongState);
    assert!(guest.is_protected(), "a second try leaves the guest alone");
}

#[test]
fn resets_of_a_protected_guest() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(3);
    let options = options(&[1, 2]);
    guest.start_protected(&rig.ipib).unwrap();
    for number in [1, 2] {
        guest.set_mp_state(number, uv_s390::hypervisor::kernel::MpState::Operating).unwrap();
    }
    let stopped = [C::CPU_SET_STATE; 3];
    let prepared = [C::SET_UNSHARE_ALL, C::PREPARE_RESET];
    let load = [C::CPU_SET_STATE, C::CPU_SET_STATE];
    for (kind, resets) in [
        (ResetRequest::ModifiedClear, [C::CPU_RESET_CLEAR; 3]),
        (ResetRequest::LoadNormal, [C::CPU_RESET, C::CPU_RESET, C::CPU_RESET_INITIAL]),
    ] {
        for number in [1, 2] {
            let _ = guest.set_mp_state(number, uv_s390::hypervisor::kernel::MpState::Operating);
        }
        rig.log();
        let mut model = Model::default();
        let after = reset(&mut model, &*guest, &guest.storage(), &options, true, kind).unwrap();
        assert_eq!(after, AfterReset::Running);
        assert_eq!(rig.log(), [&stopped[..], &prepared, &resets, &load].concat());
        let crypto = kind == ResetRequest::ModifiedClear;
        assert_eq!(model.asked, if crypto { vec!["subsystems", "crypto"] } else { vec!["subsystems"] });
    }
    rig.uvc.plan(C::SET_UNSHARE_ALL, [refuse(0x1f0)]);
    assert!(reset(&mut NoDevices, &*guest, &guest.storage(), &options, true, ResetRequest::LoadNormal).is_err());
}

#[test]
fn a_reset_moves_the_prefix_back_for_the_kernel_too() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let short = Psw::at(0x6000).short().unwrap().to_be_bytes();
    rig.machine.set_guest(
        guest.state_address(0).unwrap(),
        move |psw: Psw| -> Box<dyn Program<GuestInsn, InsnResult>> {
            let again = psw.address.get() == 0x6000;
            let ask = GuestInsn::Diag308 { subcode: 1, address: 0, ipib: vec![] };
            let steps = [
                Step::store(GuestAddr(0), &short),
                Step::Call(GuestInsn::Spx { prefix: 0x2_0000 }),
                Step::load(GuestAddr(0x2_0000), 1),
                Step::load(GuestAddr(0x2_1000), 1),
                Step::Call(ask),
            ];
            Box::new(Script::new(steps.into_iter().filter(move |_| !again)).0)
        },
    );
    guest.start_protected(&rig.ipib).unwrap();
    let mut cpu = guest.vcpu(0).unwrap();
    assert!(matches!(cpu.run_served().unwrap(), Exit::Arch(S390Exit::Notification(_))));
    assert_eq!(cpu.state().unwrap().prefix_address(), 0x2_0000);
    // Both prefix pages of the time after the reset are out.
    guest.page_out(Gfn(0)).unwrap();
    guest.page_out(Gfn(1)).unwrap();
    let kind = ResetRequest::LoadNormal;
    reset(&mut NoDevices, &*guest, &guest.storage(), &options(&[]), true, kind).unwrap();
    assert_eq!(cpu.state().unwrap().prefix_address(), 0);
    assert!(matches!(cpu.run_served().unwrap(), Exit::Halted));
}

#[test]
fn re_ipl_and_reset_from_outside_leave_protection() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let mut stores = IplStores::new();
    stores.set_normal(vec![0; 200]);
    guest.start_protected(&rig.ipib).unwrap();
    let mut model = Model::default();
    let after = reset(&mut model, &*guest, &guest.storage(), &options(&[]), true, ResetRequest::ReIpl).unwrap();
    assert_eq!(after, AfterReset::Ipl(Unprotected::Now));
    assert_eq!(model.asked, ["subsystems", "ordinary", "migration", "discard", "crypto"]);
    assert!(!guest.is_protected());
    rig.load(&guest);
    guest.start_protected(&rig.ipib).unwrap();
    external_reset(&mut NoDevices, &*guest, &mut stores, &options(&[]), true).unwrap();
    assert!(stores.normal().is_none() && !guest.is_protected());

    // An ordinary guest goes on at the short PSW.
    rig.load(&guest);
    let after =
        reset(&mut NoDevices, &*guest, &guest.storage(), &options(&[]), false, ResetRequest::LoadNormal).unwrap();
    assert_eq!(after, AfterReset::Psw(Some(Psw::at(0x11000))));
    assert_eq!(guest.is_stopped(0), Ok(false), "it goes on at once");
    guest.storage().write(GuestAddr(0), &[0; 8]).unwrap();
    let after =
        reset(&mut NoDevices, &*guest, &guest.storage(), &options(&[]), false, ResetRequest::LoadNormal).unwrap();
    assert_eq!(after, AfterReset::Psw(None));
    assert_eq!(
        unprotect(&mut NoDevices, &*guest, false).map_err(|error| (error.command, error.errno)),
        Err((PvCommand::DISABLE, Errno::EINVAL))
    );
}

/// A kernel that does all it is asked, and has these capabilities.
struct Willing {
    dumps: bool,
    log: Mutex<Vec<(Target, u32, Vec<u8>)>>,
}

impl KvmPv for Willing {
    fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let command = argument.block.get(3).copied().map_or(number, u32::from);
        self.log.lock().expect("one thread").push((target, command, argument.data.to_vec()));
        Ok(u64::from(number == request::CHECK_EXTENSION && self.dumps))
    }
}

#[test]
fn the_image_is_read_as_the_ipib_describes_it() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let storage = guest.storage();
    let component = |address: u64, length: u64| {
        let mut component = rig.components[0];
        (component.address, component.length) = (address.into(), length.into());
        component
    };
    let build = |header, length, components: &[Component]| {
        ipib::build(IpibForm::Exact, header, length, components).expect("few components")
    };
    let start =
        |kvm: &Willing, block: &[u8]| start_with(&mut NoDevices, kvm, &storage, block, &options(&[]), &mut |_| {});
    let willing = |dumps| Willing { dumps, log: Mutex::default() };
    let components = [component(0x1000, 0x1001), component(0x4000, 0x2000)];
    let sizes = |kvm: &Willing| -> Vec<u64> {
        let log = kvm.log.lock().expect("one thread");
        let unpacks = log.iter().filter(|(target, number, _)| (*target, *number) == (Target::Vm, 3));
        unpacks.map(|(_, _, data)| u64::from_be_bytes(data[8..16].try_into().expect("eight bytes"))).collect()
    };
    for dumps in [false, true] {
        let kvm = willing(dumps);
        let started = start(&kvm, &build(0, 640, &components)).unwrap();
        assert_eq!((started.pages, sizes(&kvm)), (4, vec![0x2000, 0x2000]), "whole pages");
        assert_eq!(started.components.iter().map(|part| part.length.get()).collect::<Vec<_>>(), [0x2000, 0x2000]);
        let infos =
            kvm.log.lock().unwrap().iter().filter(|(target, number, _)| (*target, *number) == (Target::Vm, 7)).count();
        assert_eq!(infos, if dumps { 2 } else { 0 }, "sizes are asked for where dumps are");
    }
    let end = crate::rig::PAGES << 12;
    for (header, length, parts, step, errno) in [
        (end - 639, 640, &components[..], StartStep::SetParameters, Errno::EFAULT),
        (0, ipib::MAX_SE_HEADER_LENGTH + 1, &components[..], StartStep::SetParameters, Errno::EFAULT),
        (0, 640, &[component(0x1000, u64::MAX)], StartStep::Unpack(0), Errno::EINVAL),
    ] {
        let error = start(&willing(true), &build(header, length, parts)).unwrap_err();
        assert_eq!((error.step, error.errno, error.response), (step, Some(errno), Response::CANNOT_ENTER));
        assert_eq!((error.rc, error.rrc, error.kind()), (UvRc(0), UvRrc(0), ErrorKind::WrongState));
    }
    for (header, length) in [(end - 640, 640), (0, ipib::MAX_SE_HEADER_LENGTH)] {
        assert!(start(&willing(true), &build(header, length, &components)).is_ok());
    }
}
