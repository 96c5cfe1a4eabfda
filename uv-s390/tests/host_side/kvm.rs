//! The user API: numbers, errnos, codes, order.

use crate::rig::{BUSY, PAGES, Rig, Spoil, refuse};
use uv_s390::abi::Errno;
use uv_s390::abi::uvc::{Cc, UvRc, UvRrc};
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::MpState;
use uv_s390::hypervisor::uapi::{
    Argument, DeviceAttr, Dmp, InfoHeader, KvmPv, PvCmd, PvCommand, SecParm, Target, Unp, attr, capability, client,
    dump_sub, request,
};
use uv_s390::sim::Generation;
use zerocopy::{FromZeros, IntoBytes};

/// Issues a PV command with raw pieces; gives the result and the block as copied back.
fn pv(kvm: &dyn KvmPv, cmd: PvCmd, data: &mut [u8], buffer: &mut [u8]) -> (Result<u64, Errno>, PvCmd) {
    let mut cmd = cmd;
    let mut argument = Argument { value: 0, block: cmd.as_mut_bytes(), data, buffer };
    let result = kvm.ioctl(Target::Vm, request::PV_COMMAND, &mut argument);
    (result, cmd)
}

fn plain(kvm: &dyn KvmPv, command: PvCommand) -> Result<u64, Errno> {
    pv(kvm, PvCmd::new(command), &mut [], &mut []).0
}

#[test]
fn everything_but_info_needs_protection() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    for number in [1, 2, 3, 4, 5, 6, 8, 9, 10] {
        assert_eq!(plain(&*guest, PvCommand(number)), Err(Errno::EINVAL), "command {number}");
    }
    assert!(rig.log().is_empty(), "nothing was asked");
    assert_eq!(plain(&*guest, PvCommand(11)), Err(Errno::ENOTTY));
    let flags = PvCmd { flags: 1.into(), ..PvCmd::new(PvCommand::ENABLE) };
    assert_eq!(pv(&*guest, flags, &mut [], &mut []).0, Err(Errno::EINVAL));
    assert_eq!(guest.ioctl(Target::Vm, 0xdead, &mut Argument::default()), Err(Errno::ENOTTY));
    assert_eq!(guest.ioctl(Target::Vm, request::PV_COMMAND, &mut Argument::default()), Err(Errno::EFAULT));
    assert_eq!(client::info_vm(&*guest).unwrap().max_cpus.get(), u64::from(rig.host.info().max_guest_cpu_id.get()) + 1);
}

#[test]
fn enable_and_disable() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    guest.set_fatal_signal(true);
    assert_eq!(plain(&*guest, PvCommand::ENABLE), Err(Errno::EINTR));
    guest.set_fatal_signal(false);
    rig.uvc.plan(C::CREATE_SEC_CONF, [refuse(0x106)]);
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::ENABLE), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get()), (Err(Errno::EIO), 0x106), "the block is copied back with the error");
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::ENABLE), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get(), cmd.rrc.get()), (Ok(0), 1, 0));
    assert_eq!(plain(&*guest, PvCommand::ENABLE), Err(Errno::EINVAL));
    rig.uvc.plan(C::DESTROY_SEC_CPU, [refuse(0x77)]);
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::DISABLE), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get()), (Err(Errno::EIO), 0x77));
}

#[test]
fn a_refused_destroy_of_the_configuration_can_be_tried_again() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    client::enable(&*guest).unwrap();
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::DISABLE), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get()), (Err(Errno::EIO), 0x1f0));
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::ENABLE), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get()), (Err(Errno::EINVAL), 0), "it is protected");
    client::disable(&*guest).unwrap();
    client::enable(&*guest).unwrap();
}

/// A kernel that a signal interrupts so often before a command is done.
struct Interrupted<'a>(&'a dyn KvmPv, std::sync::Mutex<u32>);

impl KvmPv for Interrupted<'_> {
    fn ioctl(&self, target: Target, request: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let mut left = self.1.lock().expect("one thread");
        if *left > 0 {
            *left -= 1;
            return Err(Errno::EINTR);
        }
        self.0.ioctl(target, request, argument)
    }
}

#[test]
fn a_vm_command_is_issued_again_after_a_signal() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let kvm = Interrupted(&*guest, std::sync::Mutex::new(1000));
    client::enable(&kvm).unwrap();
    assert!(guest.is_protected());
    *kvm.1.lock().unwrap() = 3;
    assert_eq!(client::dump_cpu(&kvm, 0, 8).unwrap_err().errno, Errno::EINTR, "a vCPU's is not");
    assert_eq!(*kvm.1.lock().unwrap(), 2);
    // A process that is to die gets its command back in the end.
    let dying = rig.guest(0);
    dying.set_fatal_signal(true);
    assert_eq!(client::enable(&*dying).unwrap_err().errno, Errno::EINTR);
}

#[test]
fn image_commands() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    client::enable(&*guest).unwrap();
    let set = |length: u64, buffer: &mut [u8]| {
        let mut parm = SecParm { origin: 0.into(), length: length.into() };
        pv(&*guest, PvCmd::new(PvCommand::SET_SEC_PARMS), parm.as_mut_bytes(), buffer)
    };
    assert_eq!(set((1 << 20) + 1, &mut []).0, Err(Errno::EINVAL));
    assert_eq!(set(640, &mut [0; 639]).0, Err(Errno::EFAULT));
    assert_eq!(plain(&*guest, PvCommand::SET_SEC_PARMS), Err(Errno::EFAULT), "no structure");
    let (result, cmd) = set(640, &mut [0; 640]);
    assert_eq!((result, cmd.rc.get()), (Err(Errno::EINVAL), UvRc::HEADER_VERSION.0));
    client::set_sec_parms(&*guest, rig.header()).unwrap();

    let component = rig.components[0];
    let (address, tweak) = (component.address.get(), component.tweak_prefix.get());
    let unpack = |address: u64, size: u64| client::unpack(&*guest, address, size, tweak).map_err(|error| error.errno);
    for (address, size) in [(address + 1, 0x1000), (address, 0), (address, 0x1001)] {
        assert_eq!(unpack(address, size), Err(Errno::EINVAL));
    }
    assert_eq!(unpack(PAGES << 12, 0x1000), Err(Errno::EFAULT), "in no memory slot");
    rig.uvc.plan(C::UNPACK_IMG, [BUSY, BUSY]);
    guest.set_fatal_signal(true);
    assert_eq!(unpack(address, 0x1000), Err(Errno::EAGAIN));
    guest.set_fatal_signal(false);
    let mut unp = Unp { addr: address.into(), size: 0x1000.into(), tweak: tweak.into() };
    assert_eq!(
        pv(&*guest, PvCmd::new(PvCommand::UNPACK), &mut unp.as_mut_bytes()[..23], &mut []).0,
        Err(Errno::EFAULT)
    );
    for component in &rig.components {
        let (address, size) = (component.address.get(), component.length.get());
        client::unpack(&*guest, address, size, component.tweak_prefix.get()).unwrap();
    }
    assert_eq!(unpack(address, 0x1000), Err(Errno::EINVAL), "it is secure already");
    let error = client::verify(&*guest).err();
    assert_eq!(error.map(|error| error.errno), None);
}

#[test]
fn verify_tells_what_differs() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    client::enable(&*guest).unwrap();
    client::set_sec_parms(&*guest, rig.header()).unwrap();
    let error = client::verify(&*guest).unwrap_err();
    assert_eq!((error.errno, error.rc), (Errno::EINVAL, UvRc::VERIFY_MISMATCH));
    assert_ne!(error.rrc, UvRrc(0));
    assert_eq!(uv_core::Error::kind(&error), uv_core::ErrorKind::Integrity);
}

#[test]
fn info_checks_its_room() {
    let rig = Rig::new(Generation::Z16);
    let guest = rig.guest(1);
    let info = |id: u32, len_max: u32, room: usize| {
        let header = InfoHeader { id: id.into(), len_max: len_max.into(), ..InfoHeader::new_zeroed() };
        let mut data = vec![0; room];
        let header = header.as_bytes();
        let fits = header.len().min(room);
        data[..fits].copy_from_slice(&header[..fits]);
        let result = pv(&*guest, PvCmd::new(PvCommand::INFO), &mut data, &mut []).0;
        (result.err(), data.get(8..12).map(|bytes| u32::from_be_bytes(bytes.try_into().unwrap())))
    };
    assert_eq!(info(0, 15, 80).0, Some(Errno::EINVAL));
    assert_eq!(info(0, 79, 80).0, Some(Errno::EINVAL));
    assert_eq!(info(0, 80, 80), (None, Some(80)));
    assert_eq!(info(1, 39, 80).0, Some(Errno::EINVAL));
    assert_eq!(info(1, 4096, 80), (None, Some(40)));
    assert_eq!(info(2, 80, 80).0, Some(Errno::EINVAL));
    assert_eq!(info(0, 80, 15).0, Some(Errno::EFAULT));
    assert_eq!(info(0, 80, 79).0, Some(Errno::EFAULT));
    let dump = client::info_dump(&*guest).unwrap();
    assert_eq!(dump.cpu_buffer_len, rig.host.info().cpu_stor_len);
}

#[test]
fn capabilities_are_numbers() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(0);
    let of = |guest: &dyn KvmPv, number| client::capability(guest, number).unwrap();
    let highest = u64::from(rig.host.info().max_guest_cpu_id.get());
    // What QEMU asks for, by number.
    for (number, value) in [
        (3, 1),
        (9, 248.min(highest + 1)),
        (10, 32767),
        (14, 1),
        (16, 1),
        (21, 1),
        (30, 1),
        (66, 248.min(highest + 1)),
        (70, 1),
        (71, 1),
        (74, 1),
        (79, 1),
        (101, 1),
        (105, 1),
        (107, 1),
        (108, 65536),
        (110, 1),
        (113, 1),
        (118, 0),
        (121, 0),
        (128, 248.min(highest + 1)),
        (136, 1),
        (179, 1),
        (180, 1),
        (211, 3),
        (217, 0),
        (224, 1),
        (9999, 0),
        (u64::MAX, 0),
    ] {
        assert_eq!(of(&*guest, number), value, "capability {number}");
    }
    assert!(highest >= 7);
    let newer = Rig::new(Generation::Z16);
    assert_eq!(of(&*newer.guest(0), capability::PROTECTED_DUMP), 1);
    let guest = rig.guest_with(0, |config| config.async_destroy = false);
    assert_eq!(client::has_capability(&*guest, capability::PROTECTED_ASYNC_DISABLE), Ok(false));
    assert_eq!(client::has_capability(&*guest, capability::MEM_OP), Ok(true));
}

#[test]
fn requests_have_the_names_of_linux() {
    for (number, name) in [
        (request::RUN, "KVM_RUN"),
        (request::PV_COMMAND, "KVM_S390_PV_COMMAND"),
        (request::MEM_OP, "KVM_S390_MEM_OP"),
        (request::SET_SKEYS, "KVM_S390_SET_SKEYS"),
        (0xae03, "KVM_CHECK_EXTENSION"),
    ] {
        assert_eq!(request::name(number), Some(name));
    }
    assert_eq!(request::name(0xdead), None);
}

#[test]
fn cleanup_pretends_where_it_must() {
    let rig = Rig::new(Generation::Z15);
    let guest = rig.guest(1);
    rig.verified(&guest);
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::ASYNC_CLEANUP_PREPARE), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get(), cmd.rrc.get()), (Ok(0), 1, 42));
    guest.set_fatal_signal(true);
    let (result, cmd) = pv(&*guest, PvCmd::new(PvCommand::ASYNC_CLEANUP_PERFORM), &mut [], &mut []);
    assert_eq!((result, cmd.rc.get(), cmd.rrc.get()), (Ok(0), 1, 42));
    guest.set_fatal_signal(false);
    assert_eq!(plain(&*guest, PvCommand::ASYNC_CLEANUP_PERFORM), Err(Errno::EINVAL), "the rest waits for DISABLE");
    rig.load(&guest);
    rig.verified(&guest);
    client::cleanup_prepare(&*guest).unwrap();
    rig.load(&guest);
    rig.verified(&guest);
    assert_eq!(client::cleanup_prepare(&*guest).unwrap_err().errno, Errno::EINVAL);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    let error = client::cleanup_perform(&*guest).unwrap_err();
    assert_eq!((error.errno, error.rc), (Errno::EIO, UvRc(0x1f0)));
    client::disable(&*guest).unwrap();
}

#[test]
fn cleanup_has_codes_only_where_the_ultravisor_was_asked() {
    let sent = PvCmd { rc: 7.into(), rrc: 8.into(), ..PvCmd::new(PvCommand::ASYNC_CLEANUP_PERFORM) };
    for (generation, codes) in [(Generation::Z15, (1, 0)), (Generation::Z17, (7, 8))] {
        let rig = Rig::new(generation);
        let guest = rig.guest(1);
        rig.verified(&guest);
        client::cleanup_prepare(&*guest).unwrap();
        let (result, cmd) = pv(&*guest, sent, &mut [], &mut []);
        assert_eq!((result, (cmd.rc.get(), cmd.rrc.get())), (Ok(0), codes), "{generation:?}");
        let (result, cmd) = pv(&*guest, sent, &mut [], &mut []);
        assert_eq!((result, (cmd.rc.get(), cmd.rrc.get())), (Err(Errno::EINVAL), (7, 8)), "nothing waits");
    }
}

#[test]
fn cpu_states_resets_and_registers() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(2);
    let set = |cpu, state| client::set_mp_state(&*guest, cpu, state);
    assert_eq!(set(0, MpState::Load), Err(Errno::ENXIO), "an ordinary CPU");
    assert_eq!(set(0, MpState::CheckStop), Err(Errno::ENXIO));
    assert_eq!(set(7, MpState::Stopped), Err(Errno::EINVAL));
    rig.verified(&guest);
    rig.log();
    set(0, MpState::Stopped).unwrap();
    assert!(rig.log().is_empty(), "it is stopped already");
    assert_eq!(set(1, MpState::Operating), Err(Errno::EINVAL), "nothing was loaded yet");
    set(0, MpState::Load).unwrap();
    set(0, MpState::Operating).unwrap();
    set(0, MpState::Operating).unwrap();
    set(1, MpState::Operating).unwrap();
    assert_eq!(rig.log(), [C::CPU_SET_STATE; 4]);
    for (number, command) in [
        (request::NORMAL_RESET, C::CPU_RESET),
        (request::INITIAL_RESET, C::CPU_RESET_INITIAL),
        (request::CLEAR_RESET, C::CPU_RESET_CLEAR),
    ] {
        rig.uvc.plan(command, [refuse(0x1f0)]);
        assert_eq!(client::reset_cpu(&*guest, 1, number), Err(Errno::EINVAL));
        assert_eq!(rig.log(), [command]);
    }
    for number in [request::GET_ONE_REG, request::SET_ONE_REG] {
        assert_eq!(guest.ioctl(Target::Vcpu(0), number, &mut Argument::default()), Err(Errno::EINVAL));
    }
    let mut state = [0; 4];
    let mut argument = Argument { block: &mut state, ..Argument::default() };
    guest.ioctl(Target::Vcpu(0), request::GET_MP_STATE, &mut argument).unwrap();
    assert_eq!(u32::from_be_bytes(state), 7);
    argument = Argument { block: &mut state, ..Argument::default() };
    argument.block.copy_from_slice(&4_u32.to_be_bytes());
    assert_eq!(guest.ioctl(Target::Vcpu(0), request::SET_MP_STATE, &mut argument), Err(Errno::ENXIO));
}

#[test]
fn dump_commands_have_an_order() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    rig.verified(&guest);
    let info = client::info_dump(&*guest).unwrap();
    let (per_mib, complete, cpu) =
        (info.config_mem_buffer_per_1m.get(), info.config_finalize_len.get(), info.cpu_buffer_len.get());
    let invalid = |result: Result<Vec<u8>, client::PvError>| assert_eq!(result.unwrap_err().errno, Errno::EINVAL);
    invalid(client::dump_storage_state(&*guest, 0, per_mib));
    invalid(client::dump_complete(&*guest, complete));
    invalid(client::dump_cpu(&*guest, 0, cpu));
    let mut dmp = Dmp { subcmd: 4.into(), ..Dmp::new_zeroed() };
    assert_eq!(pv(&*guest, PvCmd::new(PvCommand::DUMP), dmp.as_mut_bytes(), &mut []).0, Err(Errno::ENOTTY));
    dmp.subcmd = dump_sub::CPU.into();
    assert_eq!(pv(&*guest, PvCmd::new(PvCommand::DUMP), dmp.as_mut_bytes(), &mut []).0, Err(Errno::ENOTTY));
    // The Ultravisor of this test does not dump: its answers are made up.
    for (command, times) in [(C::DUMP_INIT, 1), (C::DUMP_CONF_STOR_STATE, 2), (C::DUMP_CPU, 1), (C::DUMP_COMPLETE, 1)] {
        rig.uvc.plan(command, [crate::rig::Spoil::Instead(uv_s390::abi::uvc::Cc::Done, 1)].repeat(times));
    }
    client::dump_init(&*guest).unwrap();
    assert!(guest.is_dumping());
    assert_eq!(client::dump_init(&*guest).unwrap_err().errno, Errno::EINVAL);
    invalid(client::dump_storage_state(&*guest, 0x1000, per_mib));
    invalid(client::dump_storage_state(&*guest, 0, 0));
    invalid(client::dump_storage_state(&*guest, 0, per_mib + 16));
    assert_eq!(client::dump_storage_state(&*guest, 0, 2 * per_mib).unwrap().len() as u64, 2 * per_mib);
    invalid(client::dump_cpu(&*guest, 0, cpu - 1));
    assert_eq!(client::dump_cpu(&*guest, 0, cpu).unwrap().len() as u64, cpu);
    invalid(client::dump_complete(&*guest, complete - 1));
    assert!(guest.is_dumping());
    client::dump_complete(&*guest, complete).unwrap();
    assert!(!guest.is_dumping());
}

#[test]
fn storage_state_clears_the_codes_before_it_looks() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    rig.verified(&guest);
    let per_mib = rig.host.info().dump_storage_state_len.get();
    let step = usize::try_from(per_mib).unwrap();
    let dump = |gaddr: u64, len: u64, buffer: &mut [u8]| {
        let mut dmp = Dmp {
            subcmd: dump_sub::CONFIG_STOR_STATE.into(),
            gaddr: gaddr.into(),
            buff_len: len.into(),
            ..Dmp::new_zeroed()
        };
        let sent = PvCmd { rc: 7.into(), rrc: 8.into(), ..PvCmd::new(PvCommand::DUMP) };
        let (result, cmd) = pv(&*guest, sent, dmp.as_mut_bytes(), buffer);
        (result, cmd.rc.get(), cmd.rrc.get())
    };
    assert_eq!(dump(0, per_mib, &mut []), (Err(Errno::EINVAL), 7, 8), "no dump goes on");
    rig.uvc.plan(C::DUMP_INIT, [Spoil::Instead(Cc::Done, 1)]);
    client::dump_init(&*guest).unwrap();
    assert_eq!(dump(0x1000, per_mib, &mut []), (Err(Errno::EINVAL), 0, 0));
    assert_eq!(dump(0, 0, &mut []), (Err(Errno::EINVAL), 0, 0));
    assert_eq!(dump(0, per_mib + 1, &mut []), (Err(Errno::EINVAL), 0, 0));
    rig.uvc.plan(C::DUMP_CONF_STOR_STATE, [Spoil::Instead(Cc::Done, 1)]);
    let last = u64::MAX << 20;
    assert_eq!(dump(last, 2 * per_mib, &mut vec![0; 2 * step]), (Err(Errno::EINVAL), 1, 0), "past all addresses");
    let done = Spoil::Instead(Cc::Done, 1);
    rig.uvc.plan(C::DUMP_CONF_STOR_STATE, [done, done, refuse(0x1f0)]);
    assert_eq!(dump(0, per_mib, &mut vec![0; step - 1]), (Err(Errno::EFAULT), 1, 0), "the call was made");
    let mut buffer = vec![0xee; 3 * step];
    assert_eq!(dump(0, 3 * per_mib, &mut buffer), (Err(Errno::EINVAL), 0x1f0, 0));
    assert!(buffer.iter().all(|byte| *byte == 0xee), "all of a piece, or nothing");
}

#[test]
fn the_cpu_model_says_what_a_protected_life_has() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let (mine, machine) = (attr::PROCESSOR_UV_FEAT_GUEST, attr::MACHINE_UV_FEAT_GUEST);
    assert_eq!([mine, machine].map(|attr| client::cpu_model(&*guest, attr)), [Ok(0), Ok(0b11 << 58)], "AP is there");
    let attribute = |number: u32, group: u32, attr: u64, data: &mut [u8]| {
        let mut block = DeviceAttr { group: group.into(), ..DeviceAttr::cpu_model(attr) };
        let mut argument = Argument { block: block.as_mut_bytes(), data, ..Argument::default() };
        guest.ioctl(Target::Vm, number, &mut argument)
    };
    let has = |group, attr| attribute(request::HAS_DEVICE_ATTR, group, attr, &mut []);
    assert_eq!(
        [has(3, mine), has(3, machine), has(3, 8), has(2, mine)],
        [Ok(0), Ok(0), Err(Errno::ENXIO), Err(Errno::ENXIO)]
    );
    assert_eq!(client::set_cpu_model(&*guest, machine, 0), Err(Errno::ENXIO));
    assert_eq!(attribute(request::SET_DEVICE_ATTR, 3, mine, &mut [0; 7]), Err(Errno::EFAULT));
    assert_eq!(attribute(request::GET_DEVICE_ATTR, 3, mine, &mut [0; 7]), Err(Errno::EFAULT));
    assert_eq!(client::set_cpu_model(&*guest, mine, 1 << 63), Err(Errno::EINVAL), "misc is no guest's");
    client::set_cpu_model(&*guest, mine, 0b11 << 58).unwrap();
    assert_eq!(client::cpu_model(&*guest, mine), Ok(0b11 << 58));
    guest.add_cpu(0).unwrap();
    assert_eq!(client::set_cpu_model(&*guest, mine, 0), Err(Errno::EBUSY));
    guest.enable().unwrap();
    let old = Rig::new(Generation::Z15).guest(0);
    assert_eq!(client::set_cpu_model(&*old, mine, 1 << 59), Err(Errno::EINVAL), "no AP on this machine");
}
