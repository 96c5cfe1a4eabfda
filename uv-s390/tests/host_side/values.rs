//! Values and errnos of ioctls that are easily taken for others, and what is left pending or stored by them.

use uv_core::{Gfn, GuestAddr, HostAddr, MemSlot, SlotId, Vcpu};
use uv_s390::abi::Errno;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::{HostError, HostPages, Irq, MpState, PFAULT_NONE, ProgramIrq, Registers, Vm};
use uv_s390::hypervisor::uapi::{
    Argument, Dmp, IrqBlock, KvmPv, KvmRun, PgmInfo, PvCmd, PvCommand, RegId, Target, attr, capability, client,
    dump_sub, irq_type, request,
};
use uv_s390::hypervisor::vmm::ipl::{NoDevices, unprotect};
use uv_s390::sim::Generation;
use zerocopy::{FromZeros, IntoBytes};

use crate::rig::{Rig, refuse};
use crate::scripted::{end, ordinary, scripted};

const MIB: u64 = 1 << 20;

/// A VM whose ioctls give 0 when they have no value.
struct Zero<'a>(&'a Vm);

impl KvmPv for Zero<'_> {
    fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let result = self.0.ioctl(target, number, argument);
        let valued = [request::CHECK_EXTENSION, request::CREATE_VCPU, request::GET_IRQ_STATE].contains(&number);
        assert!(valued || !matches!(result, Ok(1..)), "{number:#x}: {result:?}");
        result
    }
}

#[test]
fn what_has_no_value_gives_zero() {
    let rig = Rig::new(Generation::Z17);
    let (guest, _) = ordinary(&rig, 0, vec![(0x04, 0x8302, 0x5000_0000, vec![(5, 0x500)])]);
    let kvm = Zero(&guest);
    client::set_memory_limit(&kvm, 1 << 40).unwrap();
    client::memory_limit(&kvm).unwrap();
    client::set_cpu_model(&kvm, attr::PROCESSOR_UV_FEAT_GUEST, 0).unwrap();
    client::cpu_model(&kvm, attr::PROCESSOR_UV_FEAT_GUEST).unwrap();
    for number in [capability::VECTOR_REGISTERS, capability::USER_SIGP] {
        client::enable_capability(&kvm, Target::Vm, number).unwrap();
    }
    let huge = rig.guest_with(0, |config| config.huge_pages = true);
    client::enable_capability(&Zero(&huge), Target::Vm, capability::HPAGE_1M).unwrap();
    client::set_memory(&kvm, 3, GuestAddr(8 * MIB), MIB, HostAddr(1 << 30)).unwrap();
    client::set_memory(&kvm, 3, GuestAddr(8 * MIB), MIB, HostAddr(1 << 30)).unwrap();
    client::set_memory(&kvm, 3, GuestAddr(9 * MIB), MIB, HostAddr(1 << 30)).unwrap();
    client::set_memory(&kvm, 3, GuestAddr(0), 0, HostAddr(0)).unwrap();
    client::create_vcpu(&kvm, 0).unwrap();
    client::set_initial_psw(&kvm, 0, Psw::at(0x5000), &mut KvmRun::new()).unwrap();
    client::run(&kvm, 0, &mut KvmRun::new()).unwrap();
    client::store_status(&kvm, 0, u64::MAX).unwrap();
    client::set_one_reg(&kvm, 0, RegId::PP, 1).unwrap();
    client::get_one_reg(&kvm, 0, RegId::PP).unwrap();
    client::set_irq_state(&kvm, 0, &[IrqBlock::of(&Irq::CpuTimer)]).unwrap();
    client::inject_service(&kvm, 1).unwrap();
    client::inject_restart(&kvm, 0).unwrap();
    for number in [request::NORMAL_RESET, request::INITIAL_RESET, request::CLEAR_RESET] {
        client::reset_cpu(&kvm, 0, number).unwrap();
    }
    client::set_mp_state(&kvm, 0, MpState::Stopped).unwrap();
    let mut state = [0; 4];
    let mut argument = Argument { block: &mut state, ..Argument::default() };
    assert_eq!(kvm.ioctl(Target::Vcpu(0), request::GET_MP_STATE, &mut argument), Ok(0));
    client::enable(&kvm).unwrap();
    client::sida_write(&kvm, 0, 0, &[1]).unwrap();
    client::info_vm(&kvm).unwrap();
    client::disable(&kvm).unwrap();
}

#[test]
fn a_vcpus_dump_command_has_an_order() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    rig.verified(&guest);
    let len = rig.host.info().cpu_stor_len.get();
    let mut buffer = vec![0; usize::try_from(len).unwrap()];
    let mut dump = |flags: u32, subcmd: u64, data: usize| {
        let mut cmd = PvCmd { flags: flags.into(), ..PvCmd::new(PvCommand::DUMP) };
        let mut dmp = Dmp { subcmd: subcmd.into(), buff_len: len.into(), ..Dmp::new_zeroed() };
        let (block, data) = (cmd.as_mut_bytes(), &mut dmp.as_mut_bytes()[..data]);
        guest.ioctl(
            Target::Vcpu(0),
            request::PV_CPU_COMMAND,
            &mut Argument { value: 0, block, data, buffer: &mut buffer },
        )
    };
    let cpu = dump_sub::CPU;
    assert_eq!(dump(0, cpu, 0), Err(Errno::EINVAL), "no dump goes on");
    guest.dump_init().unwrap();
    assert_eq!([dump(0, cpu, 0), dump(1, cpu, 64)], [Err(Errno::EFAULT), Err(Errno::EINVAL)]);
    assert_eq!(dump(0, dump_sub::INIT, 64), Err(Errno::EINVAL), "another subcommand");
    assert_eq!(dump(0, cpu, 64), Ok(0));
    assert!(buffer.iter().any(|byte| *byte != 0), "what the Ultravisor stored");
}

#[test]
fn errnos_by_the_order_of_checks() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    rig.verified(&guest);
    guest.set_fatal_signal(true);
    let mut cmd = PvCmd::new(PvCommand::ENABLE);
    let mut argument = Argument { block: cmd.as_mut_bytes(), ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vm, request::PV_COMMAND, &mut argument), Err(Errno::EINVAL));
    guest.set_fatal_signal(false);
    rig.uvc.plan(C::DESTROY_SEC_CONF_FAST, [refuse(0x104)]);
    assert_eq!(client::cleanup_prepare(&*guest).unwrap_err().errno, Errno::EIO);
    guest.disable().unwrap();

    // Overlaps come before what is no whole MiB; a slot may move over itself.
    let set = |slot, at, size| client::set_memory(&*guest, slot, GuestAddr(at), size, HostAddr(1 << 30));
    assert_eq!(set(1, 3 * MIB + 0x1000, MIB), Err(Errno::EEXIST));
    set(1, 8 * MIB, 2 * MIB).unwrap();
    assert_eq!(set(1, 9 * MIB, 2 * MIB), Ok(()));
    assert_eq!(guest.slots().end(), Gfn(11 << 8));

    let clock = IrqBlock::of(&Irq::ClockComparator);
    assert_eq!(client::set_irq_state(&*guest, 0, &vec![clock; 288]), Err(Errno::EINVAL), "one too many");
    assert_eq!(client::set_irq_state(&*guest, 0, &vec![clock; 287]), Ok(()));
    assert_eq!(client::set_irq_state(&*guest, 0, &[clock]), Err(Errno::EBUSY));
    assert_eq!(guest.inject(None, Irq::Service { parameter: 1 }), Ok(()));
    assert_eq!(rig.guest(0).inject(None, Irq::Service { parameter: 1 }), Ok(()), "nobody to wake");
}

#[test]
fn capabilities_that_can_be_enabled_are_there() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    for number in [54, 85, 98, 99, 106, 109, 114, 130] {
        assert_eq!(client::capability(&*guest, number), Ok(1), "{number}");
    }
}

#[test]
fn an_access_and_a_per_event_are_one_interruption() {
    let rig = Rig::new(Generation::Z17);
    let full = |code, byte: u8| {
        let wide = u64::from(byte);
        ProgramIrq {
            code,
            length: Some(byte & 6),
            no_rewind: byte == 2,
            translation: wide,
            monitor_code: wide,
            monitor_class: byte.into(),
            data: byte.into(),
            per_code: byte,
            per_atmid: byte,
            per_address: wide,
            per_access: byte,
            exception_access: byte,
            operand_access: byte,
        }
    };
    let (access, per, both) = (full(0x10, 2), full(0x80, 4), full(0x90, 6));
    let of_per = |program: ProgramIrq, event: ProgramIrq| ProgramIrq {
        per_code: event.per_code,
        per_atmid: event.per_atmid,
        per_address: event.per_address,
        per_access: event.per_access,
        ..program
    };
    let joined = ProgramIrq { code: 0x90, ..of_per(access, per) };
    let late = ProgramIrq { length: per.length, no_rewind: per.no_rewind, ..joined };
    let alone = of_per(access, ProgramIrq::default());
    for (list, wanted) in [
        (vec![access], alone),
        (vec![access, per], late),
        (vec![per, access], joined),
        (vec![per, both], both),
        (vec![both, access], ProgramIrq { code: 0x90, ..of_per(access, both) }),
    ] {
        let guest = rig.guest(1);
        for program in &list {
            guest.inject(Some(0), Irq::Program(*program)).unwrap();
        }
        assert_eq!(guest.pending_interruptions(0).unwrap(), [Irq::Program(wanted)], "{list:x?}");
    }
    for program in [access, per] {
        let info = PgmInfo::from(program);
        assert_eq!((info.irq(), info.flags & 8 != 0), (program, program.no_rewind));
    }
    assert_eq!(IrqBlock::of(&Irq::Stop), IrqBlock::new(irq_type::SIGP_STOP, &[]));
    let registers = Registers::default();
    assert_eq!((registers.grs, registers.ars, registers.fpc), ([0; 16], [0; 16], 0));
    assert_eq!((registers.vrs, registers.pfault_token), ([[0; 2]; 32], PFAULT_NONE));
    assert_eq!((registers.pfault_select, registers.pfault_compare), (0, 0));
}

#[test]
fn a_wait_with_something_deliverable_is_none() {
    let rig = Rig::new(Generation::Z17);
    let (guest, script) = scripted(&rig, 1, vec![(0x1c, 0, 0, vec![]), end(), end()]);
    guest.inject(None, Irq::Service { parameter: 1 }).unwrap();
    let mut cpu = guest.vcpu(0).unwrap();
    assert!(matches!(cpu.run(), Ok(uv_core::Exit::Arch(_))));
    assert_eq!(script.entries().len(), 2);
    // Its answer to an instruction of one life is none in the next.
    guest.disable().unwrap();
    rig.load(&guest);
    rig.verified(&guest);
    guest.set_mp_state(0, MpState::Stopped).unwrap();
    guest.set_mp_state(0, MpState::Load).unwrap();
    guest.set_mp_state(0, MpState::Operating).unwrap();
    guest.inject(Some(0), Irq::Program(ProgramIrq { code: 6, ..ProgramIrq::default() })).unwrap();
    assert_eq!(cpu.run(), Err(HostError::InterruptionRefused));
}

#[test]
fn an_operand_without_a_base_register() {
    let rig = Rig::new(Generation::Z17);
    let tpi = (0x04, 0xb236, 0x0200_0000, vec![]);
    let (guest, _) = ordinary(&rig, 1, vec![tpi, (0x28, 0, 0, vec![])]);
    client::enable_capability(&*guest, Target::Vcpu(0), capability::CSS_SUPPORT).unwrap();
    guest.inject(None, Irq::Io(crate::interrupt::io(2, 9))).unwrap();
    guest
        .change_registers(0, |registers, state| {
            registers.grs[0] = 0x5000;
            state.crs[6] = 0xff00_0000.into();
        })
        .unwrap();
    assert!(guest.vcpu(0).unwrap().run().is_ok());
    let mut code = [0; 8];
    guest.storage().read(GuestAddr(0x200), &mut code).unwrap();
    assert_eq!(code, [0, 1, 0, 7, 0, 0, 0, 9]);
}

#[test]
fn a_fast_end_after_a_refused_one_frees_both_roots() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let before = rig.host.free_storage();
    rig.verified(&guest);
    rig.uvc.plan(C::DESTROY_SEC_CONF, [refuse(0x1f0)]);
    guest.disable().unwrap_err();
    assert_eq!(rig.attached().len(), 2);
    guest.set_aside().unwrap();
    assert_eq!((rig.attached(), rig.host.free_storage()), (vec![guest.asce().0], before));
    guest.cleanup(&mut |_| true).unwrap();

    // Storage for a half of what a configuration needs is given back.
    let guest = rig.guest(0);
    let before = rig.host.free_storage();
    let last = MemSlot { first: Gfn((1 << 30) - 256), pages: 256, host: HostAddr(1 << 40) };
    guest.add_slot(SlotId(1), last).unwrap();
    assert!(matches!(guest.enable(), Err(HostError::NoStorage(_))));
    assert_eq!((rig.host.free_storage(), guest.is_protected()), (before, false));
    let odd = HostPages::new([(HostAddr(0x1_0001), 0x3001)]);
    assert_eq!(odd.free_bytes(), 0x2000, "whole pages");
}

#[test]
fn what_a_machine_does_not_offer_is_not_tried() {
    let bit = C::VERIFY_LARGE_FRAME.info().and_then(|info| info.bit).and_then(|bit| u16::try_from(bit).ok());
    let rig = Rig::without(Generation::Z17, &[bit.expect("a bit")]);
    let guest = rig.guest(1);
    rig.verified(&guest);
    rig.log();
    assert_eq!((guest.merge(1), rig.log()), (Err(HostError::NotInstalled), vec![]));

    struct NoCleanup<'a>(&'a Vm);
    impl KvmPv for NoCleanup<'_> {
        fn ioctl(&self, target: Target, number: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
            assert_ne!((number, argument.block.get(3)), (request::PV_COMMAND, Some(&9)), "it has no such command");
            self.0.ioctl(target, number, argument)
        }
    }
    let guest = rig.guest_with(1, |config| config.async_destroy = false);
    guest.enable().unwrap();
    unprotect(&mut NoDevices, &NoCleanup(&guest), true).unwrap();
    assert!(!guest.is_protected());
}
