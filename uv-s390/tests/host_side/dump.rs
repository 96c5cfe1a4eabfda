//! The VMM's dump file on a kernel with small sizes: order of commands, places, what ends it.

use std::sync::Mutex;

use uv_core::GuestAddr;
use uv_s390::abi::Errno;
use uv_s390::abi::dump::CpuState;
use uv_s390::abi::dump::elf::{DumpSink, MemoryBlock};
use uv_s390::hypervisor::uapi::{Argument, Dmp, InfoDump, InfoHeader, KvmPv, PvCmd, PvCommand, Target};
use uv_s390::hypervisor::vmm::dump::{DumpError, DumpStep, GuestDump};
use zerocopy::{FromBytes, IntoBytes};

const MIB: u64 = 1 << 20;
const CPU: u64 = 16;
const PER_MIB: u64 = 32;
const COMPLETION: u64 = 64;

/// Subcommand, CPU or -1 for the VM, guest address, length.
type Asked = (u64, i32, u64, u64);

/// A kernel whose dump is as many bytes as it is asked for, each of them telling of what.
struct Kernel {
    log: Mutex<Vec<Asked>>,
    per_mib: u64,
    /// The command that is refused, by its place in the log.
    refuses: Option<usize>,
}

impl Kernel {
    fn new(refuses: Option<usize>) -> Self {
        Self { log: Mutex::default(), per_mib: PER_MIB, refuses }
    }

    fn log(&self) -> Vec<Asked> {
        core::mem::take(&mut *self.log.lock().expect("one thread"))
    }
}

impl KvmPv for Kernel {
    fn ioctl(&self, target: Target, _: u32, argument: &mut Argument<'_>) -> Result<u64, Errno> {
        let (cmd, _) = PvCmd::read_from_prefix(argument.block).expect("a PV command");
        if cmd.cmd.get() == PvCommand::INFO.0 {
            let sizes = InfoDump {
                cpu_buffer_len: CPU.into(),
                config_mem_buffer_per_1m: self.per_mib.into(),
                config_finalize_len: COMPLETION.into(),
            };
            argument.data[size_of::<InfoHeader>()..].copy_from_slice(sizes.as_bytes());
            return Ok(0);
        }
        let (dmp, _) = Dmp::read_from_prefix(argument.data).expect("a dump command");
        let cpu = if let Target::Vcpu(cpu) = target { i32::from(cpu) } else { -1 };
        let mut log = self.log.lock().expect("one thread");
        log.push((dmp.subcmd.get(), cpu, dmp.gaddr.get(), dmp.buff_len.get()));
        if self.refuses == Some(log.len() - 1) {
            return Err(Errno::EIO);
        }
        let tag = match dmp.subcmd.get() {
            1 => 0xa0 | u8::try_from(dmp.gaddr.get() / MIB).expect("small"),
            2 => 0xcc,
            _ => 0xb0 | u8::try_from(cpu.max(0)).expect("small"),
        };
        argument.buffer.fill(tag);
        Ok(0)
    }
}

/// Takes so many bytes and refuses the rest.
struct Sink(Vec<u8>, usize);

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("full")]
struct Full;

impl DumpSink for Sink {
    type Error = Full;

    fn write(&mut self, bytes: &[u8]) -> Result<(), Full> {
        if self.0.len() + bytes.len() > self.1 {
            return Err(Full);
        }
        self.0.extend_from_slice(bytes);
        Ok(())
    }
}

fn blocks(list: &[(u64, u64)]) -> Vec<MemoryBlock> {
    list.iter().map(|(address, size)| MemoryBlock { address: *address, size: *size }).collect()
}

fn cpus() -> [(u16, CpuState); 2] {
    [(3, CpuState::default()), (7, CpuState { psw_address: 0x7777_1234, ..CpuState::default() })]
}

type Written = Result<Vec<u8>, DumpError<Full, Full>>;

/// A dump of these blocks, into this much room; memory from an address on is out of reach.
fn dump(kernel: &Kernel, list: &[(u64, u64)], room: usize, end: u64) -> (Written, Vec<DumpStep>) {
    let mut steps = Vec::new();
    let mut memory = |at: GuestAddr, into: &mut [u8]| {
        assert_eq!(into.len() as u64, MIB);
        into.fill(u8::try_from(at.0 / MIB + 1).expect("small"));
        if at.0 >= end { Err(Full) } else { Ok(()) }
    };
    let begun = GuestDump::begin(kernel).expect("begins");
    let sink = Sink(Vec::new(), room);
    let written = begun.write(&cpus(), &blocks(list), &mut memory, sink, &mut |step| steps.push(step));
    (written.map(|sink| sink.0), steps)
}

const TWO: [(u64, u64); 2] = [(0, 2 * MIB), (4 * MIB, MIB)];
const ALL: usize = 64 << 20;
const COMPLETE: Asked = (2, -1, 0, COMPLETION);
const INIT: Asked = (0, -1, 0, 0);

fn orderly() -> [Asked; 7] {
    let state = |mib| (1, -1, mib * MIB, PER_MIB);
    [INIT, (3, 3, 0, CPU), (3, 7, 0, CPU), state(0), state(1), state(4), COMPLETE]
}

fn place(file: &[u8], part: &[u8]) -> Vec<usize> {
    file.windows(part.len()).enumerate().filter(|(_, window)| *window == part).map(|(at, _)| at).collect()
}

#[test]
fn the_parts_of_a_dump_come_in_their_order() {
    let kernel = Kernel::new(None);
    let (file, steps) = dump(&kernel, &TWO, ALL, u64::MAX);
    assert_eq!(kernel.log(), orderly());
    let (memory, state) = (DumpStep::Memory, DumpStep::StorageState);
    let wanted = [
        DumpStep::Cpu(3),
        DumpStep::Cpu(7),
        memory(MIB),
        memory(2 * MIB),
        memory(3 * MIB),
        state(MIB),
        state(2 * MIB),
        state(3 * MIB),
        DumpStep::Complete,
    ];
    assert_eq!(steps, wanted);
    let file = file.unwrap();
    let tags: Vec<u8> = [0xa0, 0xa1, 0, 0, 0xa4].iter().flat_map(|tag| [*tag; 32]).collect();
    assert_eq!(place(&file, &tags).len(), 1, "a hole between blocks has zeros");
    assert_eq!((place(&file, &[0xcc; 64]).len(), place(&file, &[0xcc; 65]).len()), (1, 0));
    let mut pages: Vec<u8> = [1, 2, 5].iter().flat_map(|mib| vec![*mib; 1 << 20]).collect();
    pages.truncate(3 << 20);
    let start = place(&file, &[1; 16])[0];
    assert!(file[start..start + (3 << 20)] == pages, "memory as it was read");
    // The notes of a CPU have its number plus 1, and what the Ultravisor sealed.
    let sealed = [place(&file, &[0xb3; 16]), place(&file, &[0xb7; 16])];
    assert_eq!(sealed.each_ref().map(Vec::len), [1, 1]);
    assert!(sealed[0] < sealed[1]);
    let notes = &file[..sealed[1][0]];
    for pid in [4_u32, 8] {
        assert!(!place(notes, &[&[0; 8][..], &pid.to_be_bytes()].concat()).is_empty(), "CPU {pid}");
    }
    assert_eq!(place(notes, &0x7777_1234_u64.to_be_bytes()).len(), 1);
}

#[test]
fn blocks_that_are_no_memory_of_a_protected_guest() {
    for list in [
        &[(0, 0x1000)][..],
        &[(0x1000, MIB)],
        &[(0, 0)],
        &[(0, 2 * MIB), (MIB, MIB)],
        &[(4 * MIB, MIB), (0, MIB)],
        &[(u64::MAX << 20, MIB)],
    ] {
        let kernel = Kernel::new(None);
        let (written, steps) = dump(&kernel, list, ALL, u64::MAX);
        assert_eq!((written, steps), (Err(DumpError::Alignment), vec![]), "{list:x?}");
        assert_eq!(kernel.log(), [INIT, COMPLETE], "it is ended");
    }
    let kernel = Kernel { per_mib: 0, ..Kernel::new(None) };
    assert_eq!(dump(&kernel, &TWO, ALL, u64::MAX).0, Err(DumpError::Alignment), "sizes of nothing");
    let kernel = Kernel { per_mib: u64::MAX, ..Kernel::new(None) };
    assert_eq!(dump(&kernel, &TWO, ALL, u64::MAX).0, Err(DumpError::Alignment), "sizes that are no file's");
}

#[test]
fn what_fails_ends_the_dump() {
    for refused in 1..orderly().len() {
        let kernel = Kernel::new(Some(refused));
        let (written, _) = dump(&kernel, &TWO, ALL, u64::MAX);
        let Err(DumpError::Command(error)) = written else { panic!("{refused}") };
        assert_eq!((error.command, error.errno), (PvCommand::DUMP, Errno::EIO));
        assert_eq!(kernel.log(), [&orderly()[..=refused], &[COMPLETE]].concat(), "{refused}");
    }
    let kernel = Kernel::new(Some(0));
    assert_eq!(GuestDump::begin(&kernel).unwrap_err().errno, Errno::EIO);
    assert_eq!(kernel.log(), [INIT], "nothing has begun");

    let kernel = Kernel::new(None);
    let (written, steps) = dump(&kernel, &TWO, ALL, MIB);
    assert_eq!(written, Err(DumpError::Memory { at: GuestAddr(MIB), error: Full }));
    assert_eq!(steps.last(), Some(&DumpStep::Memory(MIB)));
    assert_eq!(kernel.log(), [&orderly()[..3], &[COMPLETE]].concat());

    // A file without room: whatever it was for, the dump is ended once.
    let whole = dump(&kernel, &TWO, ALL, u64::MAX).0.unwrap().len();
    for room in [0, 100, 2 << 20, whole - 1] {
        kernel.log();
        let (written, _) = dump(&kernel, &TWO, room, u64::MAX);
        assert!(matches!(written, Err(DumpError::File(_))), "{room}");
        assert_eq!(kernel.log().iter().filter(|asked| **asked == COMPLETE).count(), 1, "{room}");
    }
    assert!(dump(&kernel, &TWO, whole, u64::MAX).0.is_ok());
}
