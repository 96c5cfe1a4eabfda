//! What comes before a running VM: `/dev/kvm`, vCPUs, the memory limit.

use std::sync::Arc;

use uv_core::{GuestAddr, HostAddr};
use uv_s390::abi::Errno;
use uv_s390::abi::uvcb::UvCommand as C;
use uv_s390::hypervisor::kernel::Vm;
use uv_s390::hypervisor::uapi::{
    Argument, DeviceAttr, KvmPv, System, SystemAnswer, Target, attr, capability, client, request,
};
use uv_s390::sim::Generation;
use zerocopy::IntoBytes;

use crate::rig::{Rig, refuse};

fn create(system: &System) -> Arc<Vm> {
    match system.ioctl(request::CREATE_VM, 0) {
        Ok(SystemAnswer::Vm(guest)) => guest,
        other => panic!("{other:?}"),
    }
}

fn value(system: &System, number: u32, argument: u64) -> Result<u64, Errno> {
    system.ioctl(number, argument).map(|answer| match answer {
        SystemAnswer::Value(value) => value,
        SystemAnswer::Vm(_) => panic!("a VM"),
    })
}

#[test]
fn the_system_answers_before_there_is_a_vm() {
    let rig = Rig::new(Generation::Z16);
    let system = System::open(rig.host.clone());
    assert_eq!(value(&system, 0xae00, 0), Ok(12));
    assert_eq!(value(&system, 0xae04, 0), Ok(4096));
    for number in [0xae00, 0xae01, 0xae04] {
        assert_eq!(system.ioctl(number, 1).err(), Some(Errno::EINVAL), "{number:#x}");
    }
    assert_eq!(value(&system, request::PV_COMMAND, 0), Err(Errno::EINVAL), "there is no ENOTTY here");
    for (number, has) in [(capability::MEM_OP, 65536), (capability::PROTECTED_DUMP, 1), (224, 1), (9999, 0)] {
        assert_eq!(value(&system, 0xae03, number), Ok(has), "capability {number}");
    }
}

#[test]
fn vms_of_one_system_are_of_one_process() {
    let rig = Rig::new(Generation::Z15);
    let system = System::open(rig.host.clone());
    let guests = [create(&system), create(&system)];
    for (guest, at) in guests.iter().zip([16 << 20, 32 << 20]) {
        client::set_memory(&**guest, 0, GuestAddr(0), 4 << 20, HostAddr(at)).unwrap();
        client::create_vcpu(&**guest, 0).unwrap();
        client::enable(&**guest).unwrap();
    }
    rig.log();
    uv_core::PageIn::page_in(&*guests[0], uv_core::Gfn(3)).unwrap();
    assert!(rig.log().contains(&C::CONV_FROM_SEC_STOR), "two protected VMs in one process");
    drop(guests);
    assert_eq!((rig.host.free_storage(), rig.host.protected_count()), (rig.free, 0));
}

#[test]
fn vcpus_are_created_by_number() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let highest = rig.host.info().max_guest_cpu_id.get();
    assert_eq!([client::create_vcpu(&*guest, 5), client::create_vcpu(&*guest, 5)], [Ok(()), Err(Errno::EEXIST)]);
    assert_eq!(client::create_vcpu(&*guest, highest), Ok(()));
    assert_eq!(client::create_vcpu(&*guest, highest + 1), Err(Errno::EINVAL));
    let mut argument = Argument { value: 1 << 32, ..Argument::default() };
    assert_eq!(guest.ioctl(Target::Vm, request::CREATE_VCPU, &mut argument), Err(Errno::EINVAL));
    argument.value = 6;
    assert_eq!(guest.ioctl(Target::Vm, request::CREATE_VCPU, &mut argument), Ok(6));
    assert_eq!(guest.cpu_numbers(), [5, highest, 6]);
    client::enable(&*guest).unwrap();
    rig.uvc.plan(C::CREATE_SEC_CPU, [refuse(0x105)]);
    assert_eq!(client::create_vcpu(&*guest, 7), Err(Errno::EIO));
    assert_eq!(client::create_vcpu(&*guest, 7), Ok(()));
    assert!(guest.is_cpu_protected(7));
}

#[test]
fn the_memory_limit_can_be_lowered_before_the_first_vcpu() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    assert_eq!(client::memory_limit(&*guest), Ok(1 << 42));
    assert_eq!(client::set_memory_limit(&*guest, (1 << 42) + 1), Err(Errno::E2BIG));
    assert_eq!(client::set_memory_limit(&*guest, 0), Err(Errno::EINVAL));
    let before = rig.host.free_storage();
    assert_eq!(client::set_memory_limit(&*guest, (2 << 30) + 1), Ok(()));
    assert!(!guest.asce().is_segment_type());
    assert_eq!(client::set_memory_limit(&*guest, 2 << 30), Ok(()));
    assert!(guest.asce().is_segment_type());
    assert_eq!(rig.host.free_storage(), before, "the old tables are free");
    assert_eq!(client::memory_limit(&*guest), Ok(1 << 42), "what the VM was made with");
    client::enable(&*guest).unwrap();
    assert_eq!(client::set_memory_limit(&*guest, 1 << 40), Err(Errno::EBUSY));
    assert_eq!(client::cleanup_prepare(&*guest).unwrap_err().errno, Errno::EINVAL, "a segment table");
    client::disable(&*guest).unwrap();
    guest.add_cpu(0).unwrap();
    assert_eq!(client::set_memory_limit(&*guest, 1 << 40), Err(Errno::EBUSY));

    let attribute = |number: u32, attr: u64, data: &mut [u8]| {
        let mut block = DeviceAttr::new(attr::MEM_CTRL, attr);
        let mut argument = Argument { block: block.as_mut_bytes(), data, ..Argument::default() };
        guest.ioctl(Target::Vm, number, &mut argument)
    };
    for (attr, result) in [(0, Err(Errno::ENXIO)), (1, Err(Errno::ENXIO)), (2, Ok(0)), (3, Err(Errno::ENXIO))] {
        assert_eq!(attribute(request::HAS_DEVICE_ATTR, attr, &mut []), result);
        assert_eq!(attribute(request::GET_DEVICE_ATTR, attr, &mut [0; 8]), result);
    }
    for attr in [0, 1, 3] {
        assert_eq!(attribute(request::SET_DEVICE_ATTR, attr, &mut [0; 8]), Err(Errno::ENXIO));
    }
    assert_eq!(attribute(request::SET_DEVICE_ATTR, 2, &mut [0; 7]), Err(Errno::EFAULT));
    assert_eq!(attribute(request::GET_DEVICE_ATTR, 2, &mut [0; 7]), Err(Errno::EFAULT));
}
