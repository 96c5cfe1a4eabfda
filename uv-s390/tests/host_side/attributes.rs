//! CPU model, clock, cryptography, the floating interruption controller, notifications, routes: value and error number of each.

use uv_s390::abi::Errno;
use uv_s390::hypervisor::kernel::{IoIrq, Irq, KeyWrapping, Notification, Vm};
use uv_s390::hypervisor::uapi::addresses::{self, In, Place};
use uv_s390::hypervisor::uapi::{
    Argument, CpuMachine, CpuProcessor, CreateDevice, DeviceAttr, Dmp, IoAdapter, IoAdapterReq, IoEventFd, IrqBlock,
    KvmPv, MemOp, OneReg, PvCmd, PvCommand, RegId, SKeys, SecParm, Target, TodClock, attr, capability, client,
    dump_sub, flic_group, mem_op, request,
};
use uv_s390::sim::Generation;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

use crate::rig::Rig;

const SET: u32 = request::SET_DEVICE_ATTR;
const GET: u32 = request::GET_DEVICE_ATTR;
const HAS: u32 = request::HAS_DEVICE_ATTR;

/// An attribute ioctl.
fn ask(guest: &Vm, target: Target, number: u32, (group, attr): (u32, u64), data: &mut [u8]) -> Result<u64, Errno> {
    let mut block = DeviceAttr::new(group, attr);
    guest.ioctl(target, number, &mut Argument { block: block.as_mut_bytes(), data, ..Argument::default() })
}

fn vm(guest: &Vm, number: u32, named: (u32, u64), data: &mut [u8]) -> Result<u64, Errno> {
    ask(guest, Target::Vm, number, named, data)
}

fn get<T: FromBytes + FromZeros + IntoBytes>(guest: &Vm, named: (u32, u64)) -> T {
    let mut value = T::new_zeroed();
    assert_eq!(vm(guest, GET, named, value.as_mut_bytes()), Ok(0), "{named:?}");
    value
}

#[test]
fn the_cpu_of_a_vm_is_the_machines_until_it_is_set() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let model = |attr| (attr::CPU_MODEL, attr);
    let machine: CpuMachine = get(&guest, model(attr::MACHINE));
    assert_eq!((machine.cpuid.get(), machine.ibc.get()), (0xff00_0000_3931_0000, 0x0270_0370));
    let unpack = |list: &[zerocopy::byteorder::big_endian::U64]| list[161 / 64].get() & 1 << (63 - 161 % 64) != 0;
    assert!(unpack(&machine.fac_list) && machine.fac_mask == machine.fac_list, "protected guests can be started");
    let mut processor: CpuProcessor = get(&guest, model(attr::PROCESSOR));
    assert_eq!((processor.cpuid, processor.ibc.get()), (machine.cpuid, 0x370));
    assert_eq!(processor.fac_list, machine.fac_list);

    for (wanted, given) in [(0x100, 0x270), (0x400, 0x370), (0x300, 0x300), (0, 0x300)] {
        processor.ibc = wanted.into();
        processor.cpuid = 7.into();
        assert_eq!(vm(&guest, SET, model(attr::PROCESSOR), processor.as_mut_bytes()), Ok(0));
        let now: CpuProcessor = get(&guest, model(attr::PROCESSOR));
        assert_eq!((now.ibc.get(), now.cpuid.get()), (given, 7), "{wanted:#x}");
    }
    let mut features: [u8; 128] = get(&guest, model(attr::MACHINE_FEAT));
    assert_eq!(get::<[u8; 128]>(&guest, model(attr::PROCESSOR_FEAT)), features);
    features[0] = 0x80;
    assert_eq!(vm(&guest, SET, model(attr::PROCESSOR_FEAT), &mut features), Ok(0), "fewer");
    assert_eq!(get::<[u8; 128]>(&guest, model(attr::PROCESSOR_FEAT)), features);
    features[127] = 1;
    assert_eq!(vm(&guest, SET, model(attr::PROCESSOR_FEAT), &mut features), Err(Errno::EINVAL), "what there is not");
    let mut functions = [5; 2048];
    assert_eq!(vm(&guest, SET, model(attr::PROCESSOR_SUBFUNC), &mut functions), Ok(0));
    assert_eq!(get::<[u8; 2048]>(&guest, model(attr::PROCESSOR_SUBFUNC)), functions);
    assert_eq!(get::<[u8; 2048]>(&guest, model(attr::MACHINE_SUBFUNC))[336..], [0; 1712]);

    for machines in [attr::MACHINE, attr::MACHINE_FEAT, attr::MACHINE_SUBFUNC] {
        assert_eq!(vm(&guest, SET, model(machines), &mut [0; 4112]), Err(Errno::ENXIO));
    }
    for (attr, length) in [(0, 2064), (1, 4112), (2, 128), (3, 128), (4, 2048), (5, 2048)] {
        assert_eq!(vm(&guest, HAS, model(attr), &mut []), Ok(0));
        assert_eq!(vm(&guest, GET, model(attr), &mut vec![0; length - 1]), Err(Errno::EFAULT), "{attr}");
    }
    assert_eq!(vm(&guest, HAS, model(8), &mut []), Err(Errno::ENXIO));
    client::create_vcpu(&*guest, 0).unwrap();
    for (attr, length) in [(0, 2064), (2, 128), (4, 2048)] {
        assert_eq!(vm(&guest, SET, model(attr), &mut vec![0; length]), Err(Errno::EBUSY), "with a vCPU: {attr}");
    }
}

#[test]
fn the_clock_of_a_vm() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let tod = |attr| (attr::TOD, attr);
    let set = |attr, value: &[u8]| vm(&guest, SET, tod(attr), &mut value.to_vec());
    // The clock of this machine stands.
    assert_eq!(set(attr::TOD_LOW, &[1; 8]), Ok(0));
    assert_eq!(get::<[u8; 8]>(&guest, tod(attr::TOD_LOW)), [1; 8]);
    assert_eq!(get::<[u8; 1]>(&guest, tod(attr::TOD_HIGH)), [0]);
    let clock = |epoch_idx, tod: u64| TodClock { epoch_idx, pad: [0; 7], tod: tod.into() };
    assert_eq!(set(attr::TOD_EXT, clock(3, 9).as_bytes()), Ok(0));
    assert_eq!(get::<TodClock>(&guest, tod(attr::TOD_EXT)), clock(3, 9));
    assert_eq!([set(attr::TOD_HIGH, &[0]), set(attr::TOD_HIGH, &[1])], [Ok(0), Err(Errno::EINVAL)]);
    assert_eq!([set(attr::TOD_LOW, &[0; 7]), set(attr::TOD_EXT, &[0; 15])], [Err(Errno::EFAULT); 2]);
    assert_eq!([set(attr::TOD_HIGH, &[]), set(3, &[])], [Err(Errno::EFAULT), Err(Errno::ENXIO)]);
    assert_eq!(vm(&guest, GET, tod(3), &mut []), Err(Errno::ENXIO));
    let has = [0, 1, 2, 3].map(|attr| vm(&guest, HAS, tod(attr), &mut []));
    assert_eq!(has, [Ok(0), Ok(0), Err(Errno::ENXIO), Err(Errno::ENXIO)], "as the kernel tells it");
    guest.enable().unwrap();
    assert_eq!(set(attr::TOD_LOW, &[1; 8]), Err(Errno::EOPNOTSUPP), "a protected guest's is the Ultravisor's");
    guest.disable().unwrap();

    let without = rig.guest(0);
    let mut processor: CpuProcessor = get(&without, (attr::CPU_MODEL, attr::PROCESSOR));
    processor.fac_list = FromZeros::new_zeroed();
    assert_eq!(vm(&without, SET, (attr::CPU_MODEL, attr::PROCESSOR), processor.as_mut_bytes()), Ok(0));
    let refused = vm(&without, SET, tod(attr::TOD_EXT), clock(1, 0).as_mut_bytes());
    assert_eq!(refused, Err(Errno::EINVAL), "no facility for more epochs");
    assert_eq!(
        vm(&without, SET, (attr::CRYPTO, attr::ENABLE_AES_KW), &mut []),
        Err(Errno::EINVAL),
        "nor for wrapped keys"
    );
}

#[test]
fn wrapped_keys_are_switched_on_and_off() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let set = |attr| vm(&guest, SET, (attr::CRYPTO, attr), &mut []);
    let wrapping = |aes, dea| KeyWrapping { aes, dea };
    for (attr, now) in [(0, (true, false)), (1, (true, true)), (2, (false, true)), (3, (false, false))] {
        assert_eq!((set(attr), guest.key_wrapping()), (Ok(0), wrapping(now.0, now.1)), "{attr}");
        assert_eq!(vm(&guest, HAS, (attr::CRYPTO, attr), &mut []), Ok(0));
    }
    for attr in [attr::ENABLE_APIE, attr::DISABLE_APIE] {
        assert_eq!(set(attr), Err(Errno::EOPNOTSUPP));
        assert_eq!(vm(&guest, HAS, (attr::CRYPTO, attr), &mut []), Err(Errno::ENXIO));
    }
    assert_eq!([set(6), vm(&guest, GET, (attr::CRYPTO, 0), &mut [])], [Err(Errno::ENXIO); 2]);
}

#[test]
fn the_floating_interruption_controller() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(1);
    let flic = |number, group, attr, data: &mut [u8]| ask(&guest, Target::Flic, number, (group, attr), data);
    assert_eq!(flic(SET, flic_group::CLEAR_IRQS, 0, &mut []), Err(Errno::EINVAL), "there is none");
    let create = |kind: u32, flags: u32| {
        let mut device = CreateDevice { kind: kind.into(), fd: 0.into(), flags: flags.into() };
        let mut argument = Argument { block: device.as_mut_bytes(), ..Argument::default() };
        guest.ioctl(Target::Vm, request::CREATE_DEVICE, &mut argument)
    };
    assert_eq!([create(5, 0), create(6, CreateDevice::TEST)], [Err(Errno::ENODEV), Ok(0)]);
    assert_eq!([create(CreateDevice::FLIC, 0), create(CreateDevice::FLIC, 0)], [Ok(0), Err(Errno::EINVAL)]);

    let io = Irq::Io(IoIrq { subchannel_id: 1, subchannel_nr: 7, parameter: 0x1234, word: 0x1800_0000 });
    let service = Irq::Service { parameter: 0x4000 };
    let mut blocks = [IrqBlock::of(&io), IrqBlock::of(&service)];
    assert_eq!(flic(SET, flic_group::ENQUEUE, 144, blocks.as_mut_bytes()), Ok(0));
    assert_eq!(guest.floating_interruptions(), [io, service]);
    assert_eq!(flic(SET, flic_group::ENQUEUE, 100, blocks.as_mut_bytes()), Err(Errno::EINVAL), "no whole number");
    assert_eq!(flic(SET, flic_group::ENQUEUE, 216, blocks.as_mut_bytes()), Err(Errno::EFAULT));
    let mut local = IrqBlock::of(&Irq::Restart);
    assert_eq!(flic(SET, flic_group::ENQUEUE, 72, local.as_mut_bytes()), Err(Errno::EINVAL), "it does not float");
    let mut room = [0; 144];
    assert_eq!(flic(GET, flic_group::GET_ALL_IRQS, 144, &mut room), Ok(2));
    assert_eq!(room, blocks.as_bytes());
    assert_eq!(flic(GET, flic_group::GET_ALL_IRQS, 143, &mut room[..143]), Err(Errno::ENOMEM));
    let clear = |attr, subchannel: u32| flic(SET, flic_group::CLEAR_IO_IRQ, attr, &mut subchannel.to_be_bytes());
    assert_eq!([clear(4, 0x1_0008), clear(3, 0x1_0007)], [Ok(0), Err(Errno::EINVAL)]);
    assert_eq!(guest.floating_interruptions().len(), 2);
    assert_eq!((clear(4, 0x1_0007), guest.floating_interruptions()), (Ok(0), vec![service]));
    assert_eq!(flic(SET, flic_group::CLEAR_IRQS, 0, &mut []), Ok(0));
    assert_eq!(guest.floating_interruptions(), []);

    let adapter = |id: u32, maskable| IoAdapter { id: id.into(), isc: 3, maskable, swap: 0, flags: 0 };
    let register = |mut adapter: IoAdapter| flic(SET, flic_group::ADAPTER_REGISTER, 0, adapter.as_mut_bytes());
    assert_eq!(register(adapter(IoAdapter::MAX, 0)), Err(Errno::EINVAL));
    assert_eq!(
        [register(adapter(1, 1)), register(adapter(1, 1)), register(adapter(2, 0))],
        [Ok(0), Err(Errno::EINVAL), Ok(0)]
    );
    let modify = |id: u32, kind, mask| {
        let mut change = IoAdapterReq { id: id.into(), kind, mask, pad0: 0.into(), addr: 0x5000.into() };
        flic(SET, flic_group::ADAPTER_MODIFY, 0, change.as_mut_bytes())
    };
    let bad = Err(Errno::EINVAL);
    assert_eq!([modify(9, 1, 1), modify(2, 1, 1), modify(1, 4, 0), modify(1, 2, 0)], [bad, bad, bad, Ok(0)]);
    let inject = |id| flic(SET, flic_group::AIRQ_INJECT, id, &mut []);
    assert_eq!([modify(1, 1, 1), inject(1), inject(9)], [Ok(0), Ok(0), bad]);
    assert_eq!(guest.floating_interruptions(), [], "a masked adapter");
    assert_eq!([modify(1, 1, 0), inject(1)], [Ok(0), Ok(0)]);
    let expected = Irq::Io(IoIrq { word: 0x9800_0000, ..IoIrq::default() });
    assert_eq!(guest.floating_interruptions(), [expected]);

    for group in [flic_group::AISM, flic_group::AISM_ALL] {
        assert_eq!(flic(SET, group, 0, &mut [0; 4]), Err(Errno::EOPNOTSUPP));
    }
    assert_eq!(flic(GET, flic_group::AISM_ALL, 0, &mut [0; 2]), Err(Errno::EOPNOTSUPP));
    assert_eq!(
        [flic(SET, flic_group::APF_ENABLE, 0, &mut []), flic(SET, flic_group::APF_DISABLE_WAIT, 0, &mut [])],
        [Ok(0); 2]
    );
    assert_eq!([flic(HAS, 1, 0, &mut []), flic(HAS, 11, 0, &mut [])], [Ok(0); 2]);
    assert_eq!([flic(HAS, 0, 0, &mut []), flic(HAS, 12, 0, &mut [])], [Err(Errno::ENXIO); 2]);
    assert_eq!([flic(SET, 12, 0, &mut []), flic(GET, 2, 0, &mut []), flic(SET, 1, 0, &mut [])], [bad; 3]);
    assert_eq!(flic(request::RUN, 1, 0, &mut []), Err(Errno::ENOTTY));
}

#[test]
fn notifications_and_routes() {
    let rig = Rig::new(Generation::Z17);
    let guest = rig.guest(0);
    let assign = |flags: u32, addr: u64, len: u32| {
        let mut event =
            IoEventFd { addr: addr.into(), len: len.into(), flags: flags.into(), ..IoEventFd::new_zeroed() };
        guest.ioctl(
            Target::Vm,
            request::IOEVENTFD,
            &mut Argument { block: event.as_mut_bytes(), ..Argument::default() },
        )
    };
    let ccw = IoEventFd::VIRTIO_CCW_NOTIFY;
    let off = ccw | IoEventFd::DEASSIGN;
    let bad = Err(Errno::EINVAL);
    assert_eq!([assign(0, 1, 8), assign(ccw | 2, 1, 8), assign(ccw, 1, 3), assign(ccw, 1 << 32, 8)], [bad; 4]);
    assert_eq!(
        [assign(ccw, 1, 8), assign(ccw, 1, 8), assign(ccw | IoEventFd::DATAMATCH, 1, 8)],
        [Ok(0), Err(Errno::EEXIST), Ok(0)]
    );
    assert_eq!([assign(off, 1, 8), assign(off, 1, 8)], [Ok(0), Err(Errno::ENOENT)]);
    assert!(
        !guest.add_notification(Notification { subchannel: 1, queue: Some(0) }),
        "the one for a queue is still there"
    );

    let routes = |count: u32, flags: u32| {
        let mut block: Vec<u8> = [count, flags].into_iter().flat_map(u32::to_be_bytes).collect();
        guest.ioctl(Target::Vm, request::SET_GSI_ROUTING, &mut Argument { block: &mut block, ..Argument::default() })
    };
    assert_eq!([routes(4096, 0), routes(4097, 0), routes(0, 1)], [Ok(0), bad, bad]);
    assert_eq!(client::capability(&*guest, capability::IRQ_ROUTING), Ok(4096), "or QEMU runs stopped CPUs");
    assert_eq!(
        guest.ioctl(Target::Vm, request::IRQFD, &mut Argument { block: &mut [0; 32], ..Argument::default() }),
        bad
    );
    for number in [capability::DEVICE_CTRL, capability::IRQFD, capability::IOEVENTFD, capability::INTERNAL_ERROR_DATA] {
        assert_eq!(client::capability(&*guest, number), Ok(1), "{number}");
    }
}

#[test]
fn where_addresses_are() {
    let place = |piece, offset, length| Some(Place { piece, offset, length });
    assert_eq!([addresses::block(request::RUN), addresses::block(request::CREATE_VCPU)], [None; 2]);
    // The size is in the number of a request.
    for number in 0..=u32::from(u8::MAX) {
        for high in [0, 0x4000_0000, 0x8000_0000, 0xc000_0000_u32] {
            for size in 1..128_u32 {
                let request = high | size << 16 | 0xae00 | number;
                assert!(addresses::block(request).is_none_or(|length| length == size as usize), "{request:#x}");
            }
        }
    }
    let command = |command| PvCmd::new(command).as_bytes().to_vec();
    let data = |number, block: &[u8]| addresses::data(Target::Vm, number, block);
    let (pv, block) = (request::PV_COMMAND, command(PvCommand::SET_SEC_PARMS));
    assert_eq!(data(pv, &block), place(In::Block, 8, 16));
    let parm = SecParm { origin: 0x5000.into(), length: 0x280.into() };
    let header = addresses::buffer(pv, &block, parm.as_bytes());
    assert_eq!(header, place(In::Data, 0, 0x280));
    assert_eq!(header.unwrap().address(&block, parm.as_bytes()), Some(0x5000));
    assert_eq!(
        [data(pv, &command(PvCommand::UNPACK)), data(pv, &command(PvCommand::VERIFY))],
        [place(In::Block, 8, 24), None]
    );
    let info = command(PvCommand::INFO);
    assert_eq!(data(pv, &info), place(In::Block, 8, 16));
    let mut head = [0; 16];
    head[7] = 80;
    assert_eq!([addresses::data_length(pv, &info, &head), addresses::data_length(pv, &block, &head)], [80, 16]);
    let dump = command(PvCommand::DUMP);
    let dmp = |subcmd: u64| Dmp { subcmd: subcmd.into(), buff_len: 0x1000.into(), ..Dmp::new_zeroed() };
    assert_eq!(data(request::PV_CPU_COMMAND, &dump), place(In::Block, 8, 64));
    assert_eq!(addresses::buffer(pv, &dump, dmp(dump_sub::COMPLETE).as_bytes()), place(In::Data, 8, 0x1000));
    assert_eq!(addresses::buffer(pv, &dump, dmp(dump_sub::INIT).as_bytes()), None);

    let attribute = |target, group, attr| {
        addresses::data(target, GET, DeviceAttr::new(group, attr).as_bytes()).map_or(0, |place| place.length)
    };
    let lengths = [(3, 0), (3, 1), (3, 2), (3, 4), (3, 7), (1, 0), (1, 1), (1, 2), (0, 2), (2, 0), (9, 9)];
    let vm = lengths.map(|(group, attr)| attribute(Target::Vm, group, attr));
    assert_eq!(vm, [2064, 4112, 128, 2048, 8, 8, 1, 16, 8, 0, 0]);
    let flic = [(1, 144), (2, 72), (3, 5), (6, 0), (7, 0), (8, 4), (10, 1)];
    assert_eq!(flic.map(|(group, attr)| attribute(Target::Flic, group, attr)), [144, 72, 0, 8, 16, 4, 0]);
    assert_eq!(addresses::data(Target::Vm, HAS, DeviceAttr::new(3, 0).as_bytes()), None);

    let exchange = MemOp::new(mem_op::ABSOLUTE_CMPXCHG, 0, 16);
    assert_eq!(data(request::MEM_OP, exchange.as_bytes()), place(In::Block, 24, 16));
    assert_eq!(addresses::buffer(request::MEM_OP, exchange.as_bytes(), &[]), place(In::Block, 40, 16));
    let read = MemOp::new(mem_op::ABSOLUTE_READ, 0, 16);
    assert_eq!(addresses::buffer(request::MEM_OP, read.as_bytes(), &[]), None);
    assert_eq!(data(request::MEM_OP, read.with_flags(1).as_bytes()), None, "only a check");
    assert_eq!(data(request::GET_SKEYS, SKeys::new(0, 300).as_bytes()), place(In::Block, 16, 300));
    let reg = OneReg { id: RegId::PP.0.into(), addr: 0.into() };
    assert_eq!(data(request::GET_ONE_REG, reg.as_bytes()), place(In::Block, 8, 8));
    assert_eq!(data(request::INTERRUPT, &[0; 16]), None);
}
