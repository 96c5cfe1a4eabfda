//! Both machines over the memory of a VMM on rust-vmm: the VMM's own accesses and the machine's are to the same bytes.

use std::sync::Arc;

use uv_core::{AccessError, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotId, VmMemory};
use uv_sim::guest::{Script, Step};
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Two regions with a gap between them.
fn two_regions() -> Arc<GuestMemoryMmap> {
    let ranges = [(GuestAddress(0), 0x10_0000), (GuestAddress(0x20_0000), 0x10_0000)];
    Arc::new(GuestMemoryMmap::from_ranges(&ranges).expect("mapped"))
}

#[test]
fn a_gap_is_unmapped_and_nothing_is_written_beside_it() {
    let regions = two_regions();
    let memory = VmMemory(Arc::clone(&regions));
    let at = HostAddr(0xf_fffe);
    let gap = |len| Err(AccessError::Unmapped { at, len });
    assert_eq!(memory.write(at, b"four"), gap(4));
    assert_eq!(regions.read_obj::<u16>(GuestAddress(at.0)).unwrap(), 0, "all or nothing");
    assert_eq!(memory.read(at, &mut [0; 4]), gap(4));
    assert_eq!((memory.check(at, 3), memory.check(at, 2)), (gap(3), Ok(())));
    assert_eq!(memory.write(at, b"ok"), Ok(()));
    let mut seen = [0; 2];
    regions.read_slice(&mut seen, GuestAddress(at.0)).unwrap();
    assert_eq!(&seen, b"ok");
    assert_eq!((memory.check(HostAddr(0x10_0000), 0), memory.check(HostAddr(0x20_0000), 0x10_0000)), (Ok(()), Ok(())));
    assert!(memory.check(HostAddr(u64::MAX), 2).is_err());
}

mod s390 {
    use super::*;
    use uv_s390::abi::sie::{AddressSpaces, GuestMap, HostMapping, MappingSize};
    use uv_s390::abi::uvc::{Retries, call};
    use uv_s390::abi::uvcb::{ConvertFrom, ConvertTo, CreateConf, InitUv, Role, UvCommand};
    use uv_s390::sim::{Machine, MachineConfig};

    const GUEST: u64 = 0x20_0000;
    const ASCE: u64 = 0x28_0107;
    const UV_BASE: u64 = 3 << 30;

    struct OneToOne;

    impl GuestMap for OneToOne {
        fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
            Some(HostMapping { frame: HostAddr(GUEST + addr.0), writable: true, size: MappingSize::Page })
        }
    }

    #[test]
    fn pages_are_sealed_into_the_memory_of_the_vmm() {
        let ranges =
            [(GuestAddress(0), 0x10_0000), (GuestAddress(GUEST), 0x10_0000), (GuestAddress(UV_BASE), 0x80_0000)];
        let regions = Arc::new(GuestMemoryMmap::<()>::from_ranges(&ranges).unwrap());
        let machine = Machine::with_memory(MachineConfig::new(5), Arc::new(VmMemory(Arc::clone(&regions))));
        let info = machine.generation().query(Role::Host);
        call(&machine, &mut InitUv::new(UV_BASE, info.uv_base_stor_len.get()), Retries::NONE).unwrap();
        let mut create = CreateConf::new();
        create.conf_base_stor_origin = 0x4000.into();
        create.conf_virt_stor_origin = 0x2_0000.into();
        create.guest_stor_len = 0x8_0000.into();
        create.guest_sca = 0x1_0000.into();
        create.guest_asce = ASCE.into();
        call(&machine, &mut create, Retries::NONE).unwrap();
        machine.attach(ASCE, Arc::new(OneToOne));

        let handle = create.guest_handle.get();
        regions.write_slice(b"the host's", GuestAddress(GUEST)).unwrap();
        call(&machine, &mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, handle, 0), Retries::NONE).unwrap();
        assert!(machine.closed_frames().is_closed(HostAddr(GUEST)));
        call(&machine, &mut ConvertFrom::new(UvCommand::CONV_FROM_SEC_STOR, GUEST), Retries::NONE).unwrap();
        let mut sealed = [0; 0x1000];
        regions.read_slice(&mut sealed, GuestAddress(GUEST)).unwrap();
        assert!(!sealed.starts_with(b"the host's") && sealed != [0; 0x1000], "a sealed page of zeros");
        // What was not changed opens again; what the VMM has changed does not.
        call(&machine, &mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, handle, 0), Retries::NONE).unwrap();
        call(&machine, &mut ConvertFrom::new(UvCommand::CONV_FROM_SEC_STOR, GUEST), Retries::NONE).unwrap();
        let byte: u8 = regions.read_obj(GuestAddress(GUEST + 9)).unwrap();
        regions.write_obj(byte ^ 1, GuestAddress(GUEST + 9)).unwrap();
        let changed = call(&machine, &mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, handle, 0), Retries::NONE);
        assert!(changed.is_err());
    }
}

mod power {
    use super::*;
    use uv_power::abi::entry::GuestEntry;
    use uv_power::abi::regs::{Lpid, Regs};
    use uv_power::owner::keys::PrivateKey;
    use uv_power::sim::{Machine, MachineConfig};

    const KEY: &str = include_str!("../fixtures/svm-tool/keys/machine1.pem");

    #[test]
    fn a_guest_stores_to_the_memory_of_the_vmm() {
        let regions = two_regions();
        let key = PrivateKey::from_pem(KEY.as_bytes(), None).unwrap();
        let machine = Machine::new(MachineConfig::new(key), Arc::new(VmMemory(Arc::clone(&regions))));
        let mut slots = MemSlots::new(PageSize::K64);
        let slot = MemSlot { first: Gfn(0), pages: 4, host: HostAddr(0x20_0000) };
        slots.insert(SlotId(0), slot).unwrap();
        machine.set_partition_memory(Lpid(7), Some(&slots));
        let (script, _) = Script::new([Step::store(GuestAddr(0x1_0040), b"stored")]);
        machine.add_vcpu(Lpid(7), 0, Box::new(script));
        let mut regs = Regs { lpidr: Lpid(7), hsrr0: 0x100, hsrr1: 1 << 63 | 1, ..Regs::hypervisor() };
        machine.enter(&mut regs);
        let mut seen = [0; 6];
        regions.read_slice(&mut seen, GuestAddress(0x21_0040)).unwrap();
        assert_eq!(&seen, b"stored");
    }
}
