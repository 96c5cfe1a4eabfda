//! What each interruption of an ordinary CPU stores in its prefix area, byte by byte.

use uv_core::{GuestAddr, Vcpu};
use uv_s390::abi::psw::{PSW_EXTERNAL, PSW_IO, PSW_MACHINE_CHECK, Psw};
use uv_s390::hypervisor::kernel::{IoIrq, Irq, MachineCheckIrq, ProgramIrq, Registers};
use uv_s390::sim::Generation;
use zerocopy::IntoBytes;

use crate::rig::Rig;
use crate::scripted::ordinary;

const PREFIX: u64 = 0x20_0000;
const OPEN: u64 = PSW_EXTERNAL | PSW_IO | PSW_MACHINE_CHECK;
const OLD: Psw = Psw::new(OPEN, 0x5008);
const NEW: Psw = Psw::new(0, 0x6000);

type Write<'a> = (usize, &'a [u8]);
type Case<'a> = (Option<u16>, Irq, Vec<Write<'a>>);

/// Delivers one interruption. Places of the prefix area that are changed by it, joined, and the PSW that is entered with.
fn changed(rig: &Rig, cpu: Option<u16>, irq: Irq) -> (Vec<(usize, Vec<u8>)>, Psw) {
    let (guest, script) = ordinary(rig, 2, vec![(0x28, 0, 0, vec![])]);
    guest
        .change_registers(0, |registers, state| {
            *registers = registers_of_the_test();
            state.psw = OLD;
            state.crs = core::array::from_fn(|number| (0xffff_ff00 | number as u64).into());
            state.set_prefix_address(0x20_0000);
            (state.todpr, state.cpu_timer, state.clock_comparator) = (0x71.into(), 0x72.into(), 0x7300.into());
            state.sidad = 0x74.into();
        })
        .expect("a CPU");
    let mut before = vec![0xee; 0x2000];
    for new in [0x1a0, 0x1b0, 0x1d0, 0x1e0, 0x1f0] {
        before[new..new + 16].copy_from_slice(NEW.as_bytes());
    }
    guest.storage().write(GuestAddr(PREFIX), &before).expect("guest storage");
    guest.inject(cpu, irq).expect("an ordinary VM");
    guest.vcpu(0).expect("a CPU").run().expect("a stop");
    let mut after = vec![0; 0x2000];
    guest.storage().read(GuestAddr(PREFIX), &mut after).expect("guest storage");
    let mut places: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, byte) in after.iter().enumerate().filter(|(at, byte)| before[*at] != **byte) {
        match places.last_mut() {
            Some((start, bytes)) if *start + bytes.len() == at => bytes.push(*byte),
            _ => places.push((at, vec![*byte])),
        }
    }
    (places, script.entries()[0].psw)
}

fn registers_of_the_test() -> Registers {
    Registers {
        grs: core::array::from_fn(|number| 0x100 + number as u64),
        ars: core::array::from_fn(|number| 0x200 + u32::try_from(number).expect("small")),
        vrs: core::array::from_fn(|number| [0x300 + number as u64, 0x4444]),
        fpc: 0x55,
        ..Registers::default()
    }
}

/// Places written, in ascending order; neighbours are joined.
fn places(writes: &[Write<'_>]) -> Vec<(usize, Vec<u8>)> {
    let mut writes: Vec<_> = writes.to_vec();
    writes.sort_unstable();
    let mut joined: Vec<(usize, Vec<u8>)> = Vec::new();
    for (at, bytes) in writes {
        match joined.last_mut() {
            Some((start, there)) if *start + there.len() == at => there.extend(bytes),
            _ => joined.push((at, bytes.to_vec())),
        }
    }
    joined
}

#[test]
fn external_io_and_restart() {
    let rig = Rig::new(Generation::Z17);
    let old = OLD.as_bytes();
    let double = [0, 0, 0, 0, 0, 0, 0, 0x77];
    let io = IoIrq { subchannel_id: 0x0102, subchannel_nr: 0x0304, parameter: 0x0506_0708, word: 0x1112_1314 };
    let cases: [Case<'_>; 9] = [
        (Some(0), Irq::Emergency { source: 1 }, vec![(0x84, &[0, 1, 0x12, 1]), (0x130, old)]),
        (Some(0), Irq::ExternalCall { source: 1 }, vec![(0x84, &[0, 1, 0x12, 2]), (0x130, old)]),
        (Some(0), Irq::ClockComparator, vec![(0x84, &[0, 0, 0x10, 4]), (0x130, old)]),
        (Some(0), Irq::CpuTimer, vec![(0x84, &[0, 0, 0x10, 5]), (0x130, old)]),
        (None, Irq::Service { parameter: 0x5000 }, vec![(0x80, &[0, 0, 0x50, 0, 0, 0, 0x24, 1]), (0x130, old)]),
        (
            None,
            Irq::Virtio { parameter: 0x0102_0304, parameter64: 0x77 },
            vec![(0x80, &[1, 2, 3, 4, 0x0d, 0, 0x26, 3]), (0x130, old), (0x11b8, &double)],
        ),
        (None, Irq::PfaultDone { token: 0x77 }, vec![(0x84, &[6, 0x80, 0x26, 3]), (0x130, old), (0x11b8, &double)]),
        (None, Irq::Io(io), vec![(0xb8, &[1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14]), (0x170, old)]),
        (Some(0), Irq::Restart, vec![(0x120, old)]),
    ];
    for (cpu, irq, writes) in cases {
        assert_eq!(changed(&rig, cpu, irq), (places(&writes), NEW), "{irq:?}");
    }
    // An event alone comes before what a service call has to say.
    let event = changed(&rig, None, Irq::Service { parameter: 2 });
    assert_eq!(event.0[0], (0x80, vec![0, 0, 0, 3, 0, 0, 0x24, 1]));
}

#[test]
fn machine_checks_store_the_whole_status() {
    let rig = Rig::new(Generation::Z17);
    let registers = registers_of_the_test();
    let bytes = |values: Vec<u64>| values.iter().flat_map(|value| value.to_be_bytes()).collect::<Vec<u8>>();
    let vrs = bytes(registers.vrs[..16].iter().map(|[left, _]| *left).collect());
    let grs = bytes(registers.grs.to_vec());
    let ars: Vec<u8> = registers.ars.iter().flat_map(|ar| ar.to_be_bytes()).collect();
    let crs = bytes((0..16).map(|number| 0xffff_ff00 | number).collect());
    let extended = 1 << (63 - 25) | 1 << (63 - 36);
    let code = 1 << 63 | 1 << 58 | 3;
    for mcic in [code, code | extended] {
        let check = MachineCheckIrq {
            cr14: 0,
            mcic,
            failing_address: 0x0102_0304_0506_0708,
            external_damage: 0x1112_1314,
            fixed_logout: [0x5f; 16],
        };
        let writes: [Write<'_>; 13] = [
            (0xa3, &[1]),
            (0xe8, &u64::to_be_bytes(code)),
            (0xf4, &[0x11, 0x12, 0x13, 0x14]),
            (0xf8, &[1, 2, 3, 4, 5, 6, 7, 8]),
            (0x160, OLD.as_bytes()),
            (0x1200, &vrs),
            (0x1280, &grs),
            (0x1300, &[0x5f; 16]),
            (0x131c, &[0, 0, 0, 0x55]),
            (0x1324, &[0, 0, 0, 0x71, 0, 0, 0, 0, 0, 0, 0, 0x72]),
            (0x1330, &[0, 0, 0, 0, 0, 0, 0, 0x73]),
            (0x1340, &ars),
            (0x1380, &crs),
        ];
        assert_eq!(changed(&rig, Some(0), Irq::MachineCheck(check)), (places(&writes), NEW), "{mcic:#x}");
    }
    // One that floats has no more than its code, and needs its subclass open.
    let report = MachineCheckIrq { cr14: 1 << 28, mcic: 1 << 54, external_damage: 7, ..MachineCheckIrq::default() };
    let (written, psw) = changed(&rig, None, Irq::MachineCheck(report));
    let at = |wanted: usize| written.iter().find(|(start, _)| *start == wanted).map(|(_, bytes)| bytes.clone());
    assert_eq!((at(0xe8), psw), (Some((1_u64 << 54).to_be_bytes().to_vec()), NEW));
    assert_eq!(at(0xf4), Some(vec![0; 12]));
}

#[test]
fn program_interruptions_store_what_their_code_has() {
    let rig = Rig::new(Generation::Z17);
    let [teid, access, operand, monitor, data]: [&[usize]; 5] = [&[0xa8], &[0xa0], &[0xa2], &[0x94, 0xb0], &[0x90]];
    let mut rows: Vec<(u16, Vec<usize>, bool)> = Vec::new();
    let mut row = |codes: core::ops::RangeInclusive<u16>, fields: &[&[usize]], nullified| {
        rows.extend(codes.map(|code| (code, fields.concat(), nullified)));
    };
    row(1..=3, &[], false);
    row(4..=4, &[teid, access], false);
    row(5..=6, &[], false);
    row(7..=7, &[data], false);
    row(8..=0xf, &[], false);
    row(0x10..=0x11, &[teid, access, operand], true);
    row(0x12..=0x15, &[], false);
    row(0x16..=0x16, &[], true);
    row(0x17..=0x1a, &[], false);
    row(0x1b..=0x1b, &[data], false);
    row(0x1c..=0x1c, &[teid], false);
    row(0x1d..=0x1f, &[], false);
    row(0x20..=0x27, &[teid], true);
    row(0x28..=0x28, &[], false);
    row(0x29..=0x2d, &[access], true);
    row(0x2e..=0x2e, &[teid], true);
    row(0x2f..=0x2f, &[access], true);
    row(0x30..=0x34, &[], true);
    row(0x35..=0x37, &[], false);
    row(0x38..=0x3b, &[teid, access, operand], true);
    row(0x40..=0x40, &[monitor], false);
    row(0x119..=0x119, &[], true);
    for (code, fields, nullified) in rows {
        for (per, no_rewind) in [(0, false), (0x80, true)] {
            let program = ProgramIrq {
                code: code | per,
                length: Some(4),
                no_rewind,
                translation: 0x0102_0304_0506_0708,
                monitor_code: 0x1112_1314_1516_1718,
                monitor_class: 0x2122,
                data: 0x3132_3334,
                per_code: 0x41,
                per_atmid: 0x42,
                per_address: 0x5152_5354_5556_5758,
                per_access: 0x61,
                exception_access: 0x62,
                operand_access: 0x63,
            };
            let back = if nullified && !no_rewind { 4 } else { 0 };
            let old = Psw::new(OPEN, 0x5008 - back);
            let number = (code | per).to_be_bytes();
            let all: [Write<'_>; 6] = [
                (0x90, &[0x31, 0x32, 0x33, 0x34]),
                (0x94, &[0x21, 0x22]),
                (0xa0, &[0x62]),
                (0xa2, &[0x63]),
                (0xa8, &[1, 2, 3, 4, 5, 6, 7, 8]),
                (0xb0, &[0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18]),
            ];
            let mut writes: Vec<Write<'_>> = all.into_iter().filter(|(at, _)| fields.contains(at)).collect();
            writes.extend([(0x8c, &[0, 4][..]), (0x8e, &number), (0x110, &[0, 0, 0, 0, 0, 0, 0, 0x74])]);
            writes.push((0x150, old.as_bytes()));
            if per != 0 {
                let address = &[0x51, 0x52, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58];
                writes.extend([(0x96, &[0x41, 0x42][..]), (0x98, address), (0xa1, &[0x61])]);
            }
            let found = changed(&rig, Some(0), Irq::Program(program));
            assert_eq!(found, (places(&writes), NEW), "code {:#x}", program.code);
        }
    }
}
