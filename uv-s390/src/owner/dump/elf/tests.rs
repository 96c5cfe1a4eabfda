//! Dumps made by an independent generator and checked with the real reader, and round trips.

use alloc::vec;
use alloc::vec::Vec;

use sha2::{Digest, Sha256};
use zerocopy::IntoBytes;

use super::*;
use crate::abi::dump::elf::*;
use crate::abi::dump::*;
use crate::owner::crypto::{Cck, PageKey};
use crate::owner::dump::{CompletionBlock, CompletionSecrets, CpuNote, DumpKey, DumpMemoryKey};

const GOOD: &[u8] = include_bytes!("../../../../tests/fixtures/pvdump/p1-mixed/dump.elf");
const GOOD_CCK: &[u8] = include_bytes!("../../../../tests/fixtures/pvdump/p1-mixed/cck.bin");
const GOOD_SHA256: &str = include_str!("../../../../tests/fixtures/pvdump/p1-mixed/memory.sha256");
const BAD: &[u8] = include_bytes!("../../../../tests/fixtures/pvdump/bad-no-flag/dump.elf");
const BAD_CCK: &[u8] = include_bytes!("../../../../tests/fixtures/pvdump/bad-no-flag/cck.bin");

type Error = DumpFileError<OutOfRange>;

fn open<'a>(file: &'a [u8], cck: &[u8]) -> Result<DecryptedDump<&'a [u8]>, Error> {
    DecryptedDump::open(DumpReader::open(file)?, &Cck::from_slice(cck).unwrap())
}

fn raw(file: &[u8], cck: &[u8]) -> Result<Vec<u8>, Error> {
    let mut memory = Vec::new();
    open(file, cck)?.write_raw(&mut memory)?;
    Ok(memory)
}

/// Notes as (name, type, descriptor).
fn notes(mut bytes: &[u8]) -> Vec<(&[u8], u32, &[u8])> {
    let mut notes = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(12) {
        let word = |at: usize| u32::from_be_bytes(head[at..at + 4].try_into().unwrap());
        let (name, size) = (usize::try_from(word(0)).unwrap(), usize::try_from(word(4)).unwrap());
        let (name_bytes, rest) = rest.split_at(name.next_multiple_of(4));
        let (descriptor, rest) = rest.split_at(size.next_multiple_of(4));
        notes.push((&name_bytes[..name], word(8), &descriptor[..size]));
        bytes = rest;
    }
    notes
}

#[test]
fn memory_of_a_real_dump() {
    let memory = raw(GOOD, GOOD_CCK).unwrap();
    assert_eq!(hex::encode(Sha256::digest(&memory)), GOOD_SHA256.trim());
    let dump = open(GOOD, GOOD_CCK).unwrap();
    assert_eq!(dump.memory().collect::<Vec<_>>(), [MemoryBlock { address: 0, size: 262_144 }]);
    assert_eq!(dump.cpus().len(), 2);
}

#[test]
fn a_page_without_flags_is_refused() {
    let expected = DumpFileError::StorageState { address: 0x3000, error: StorageStateError::NoFlag };
    assert_eq!(raw(BAD, BAD_CCK).unwrap_err(), expected);
}

#[test]
fn wrong_keys_and_damage() {
    let wrong = DumpFileError::Block(BlockError::Authentication);
    assert_eq!(open(GOOD, &[0; 32]).unwrap_err(), wrong);
    // Completion data, CPU note.
    for place in [274_432 + 100, 432 + 12 + 8 + 336 + 12 + 8 + 40] {
        let mut changed = GOOD.to_vec();
        changed[place] ^= 1;
        assert_eq!(open(&changed, GOOD_CCK).unwrap_err(), wrong, "{place}");
    }
    let mut plain = GOOD.to_vec();
    let name = plain.windows(8).position(|window| window == b"pv_compl").unwrap();
    plain[name] = b'x';
    assert_eq!(open(&plain, GOOD_CCK).unwrap_err(), DumpFileError::NotProtected);
    for (at, value) in [(0, 0), (4, 1), (5, 1), (17, 3), (19, 62)] {
        let mut other = GOOD.to_vec();
        other[at] = value;
        assert_eq!(open(&other, GOOD_CCK).unwrap_err(), DumpFileError::NotS390Core);
    }
    assert_eq!(open(&GOOD[..63], GOOD_CCK).unwrap_err(), DumpFileError::NotS390Core);
    for length in (64..GOOD.len()).step_by(997) {
        assert!(matches!(open(&GOOD[..length], GOOD_CCK).unwrap_err(), DumpFileError::Damaged(_)), "{length}");
    }
    // Storage state: no whole entry, one entry too few, empty.
    for (size, whole) in [(1023u64, 1024), (1008, 1024), (0, 1024)] {
        let mut other = GOOD.to_vec();
        let field = 176 + 64 + 32;
        other[field..field + 8].copy_from_slice(&size.to_be_bytes());
        assert_eq!(open(&other, GOOD_CCK).unwrap_err(), DumpFileError::StorageStateSize { size, needed: whole });
    }
}

/// No header byte may make the reader panic or read outside.
#[test]
fn changed_headers_never_panic() {
    for at in 0..820 {
        for value in [0, 1, 0x7f, 0x80, 0xff] {
            let mut changed = BAD.to_vec();
            changed[at] = value;
            // Whatever was found lies inside the file and can be read.
            if let Ok(reader) = DumpReader::open(changed.as_slice()) {
                let read = reader.cpu_notes().map(|_| ()).and_then(|()| reader.completion().map(|_| ()));
                assert!(!matches!(read, Err(DumpFileError::Io(_))), "byte {at}");
                if at % 16 == 0 && value == 0xff {
                    let outcome = raw(&changed, BAD_CCK);
                    assert!(!matches!(outcome, Ok(_) | Err(DumpFileError::Io(_))), "byte {at}");
                }
            }
        }
    }
}

#[test]
fn an_ordinary_dump_comes_out() {
    let dump = open(GOOD, GOOD_CCK).unwrap();
    let mut file = Vec::new();
    dump.write_elf(&mut file).unwrap();
    let word = |at: usize| usize::try_from(u64::from_be_bytes(file[at..at + 8].try_into().unwrap())).unwrap();
    assert_eq!((word(32), word(40)), (64, 0), "program headers and no sections");
    assert_eq!(file[16..20], [0, 4, 0, 22]);
    assert_eq!(file[54..58], [0, 56, 0, 2]);
    let (notes_at, notes_size) = (word(64 + 8), word(64 + 32));
    assert_eq!(notes_at, 64 + 2 * 56);
    assert_eq!((word(120 + 8), word(120 + 32)), (notes_at + notes_size, 262_144));
    let memory = &file[notes_at + notes_size..];
    assert_eq!(hex::encode(Sha256::digest(memory)), GOOD_SHA256.trim());

    let notes = notes(&file[notes_at..notes_at + notes_size]);
    let kinds: Vec<u32> = notes.iter().map(|(_, kind, _)| *kind).collect();
    let cpu = [1, 2, 0x301, 0x302, 0x303, 0x304, 0x305, 0x309, 0x30a, 0x30b];
    assert_eq!(kinds, [&[3][..], &cpu, &cpu].concat());
    let sizes: Vec<usize> = notes[..11].iter().map(|(_, _, descriptor)| descriptor.len()).collect();
    assert_eq!(sizes, [136, 336, 136, 8, 8, 4, 128, 4, 128, 256, 32]);
    let state = &dump.cpus()[0];
    assert_eq!(notes[1].2[112..120], state.psw_mask.to_be_bytes());
    assert_eq!(notes[1].2[120..128], state.psw_address.to_be_bytes());
    assert_eq!(notes[1].2[128 + 15 * 8..256], state.gprs[15].to_be_bytes());
    assert_eq!(notes[1].2[256..260], state.access_registers[0].to_be_bytes());
    assert_eq!(notes[2].2[8..16], state.vector_registers[0][..8]);
    assert_eq!(notes[8].2[..8], state.vector_registers[0][8..]);
    assert_eq!(notes[9].2[..16], state.vector_registers[16]);
    assert_eq!(notes[10].2[..8], [0; 8]);
    assert_eq!(notes[10].2[8..16], state.guarded_storage[0].to_be_bytes());
    assert!(notes[..3].iter().all(|(name, ..)| *name == b"CORE\0"));
    assert!(notes[3..11].iter().all(|(name, ..)| *name == b"LINUX\0"));
}

/// Two blocks of memory with a hole, three pages in all, one of each state.
struct Made {
    file: Vec<u8>,
    plain: Vec<u8>,
    state: CpuState,
}

const MIB: u64 = 1 << 20;

fn made(cck: &Cck) -> Made {
    let secrets = CompletionSecrets { nonce: [0x80; 16], memory_key: PageKey::new([7; 64]) };
    let seed = [9; 64];
    let key = DumpKey::derive(cck, &seed);
    let state = CpuState { psw_address: 0x1234, partial_instruction: true, ..CpuState::default() };
    let mut notes = Vec::new();
    append_note(&mut notes, b"CORE\0", 1, &[0; 336]).unwrap();
    append_note(&mut notes, b"LINUX\0", NT_S390_PV_CPU_DATA, CpuNote::seal(&key, [1; 12], &state).as_bytes()).unwrap();

    let blocks = [MemoryBlock { address: 0, size: 8192 }, MemoryBlock { address: MIB, size: 4096 }];
    let states = [
        StorageState::Encrypted(TweakComponent::new([1; 16]).unwrap()),
        StorageState::Zero { mapped: true },
        StorageState::Shared { mapped: false },
    ];
    let plain = [[0x11; 4096], [0; 4096], [0x33; 4096]];
    let memory_key = DumpMemoryKey::new(&secrets);
    let mut storage = vec![0; 8192];
    let pv = PvSizes { storage_state: 8192, completion: 4096 };
    let mut writer = DumpWriter::begin(Vec::new(), &notes, &blocks, Some(pv)).unwrap();
    for ((state, plain), entry) in states.iter().zip(&plain).zip([0, 16, 4096]) {
        let mut page = *plain;
        memory_key.encrypt_page(state, &mut page);
        writer.memory(&page).unwrap();
        storage[entry..entry + 16].copy_from_slice(&state.encode());
    }
    writer.storage_state(&storage[..4096]).unwrap();
    writer.storage_state(&storage[4096..]).unwrap();
    let mut completion = CompletionBlock::seal(cck, seed, [2; 12], &secrets).as_bytes().to_vec();
    completion.resize(4096, 0);
    writer.completion(&completion).unwrap();
    Made { file: writer.finish().unwrap(), plain: plain.as_flattened().to_vec(), state }
}

#[test]
fn what_is_written_is_read() {
    let cck = Cck::new([5; 32]);
    let made = made(&cck);
    let dump = open(&made.file, cck.expose()).unwrap();
    assert_eq!(dump.cpus(), [made.state]);
    let mut addresses = Vec::new();
    let mut plain = Vec::new();
    dump.for_each_chunk(|address, bytes| {
        addresses.push((address, bytes.len()));
        plain.extend_from_slice(bytes);
        Ok(())
    })
    .unwrap();
    assert_eq!(addresses, [(0, 8192), (MIB, 4096)]);
    assert_eq!(plain, made.plain);
    // Order in the file: sections 64, programs 320, notes.
    assert_eq!(made.file[40..48], 64u64.to_be_bytes());
    assert_eq!(made.file[32..40], 320u64.to_be_bytes());
    assert!(made.file.ends_with(b"\0pv_mem_meta\0pv_compl\0\0\0\0.shstrtab\0"));
}

#[test]
fn a_writer_keeps_to_its_announcement() {
    let blocks = [MemoryBlock { address: 0, size: 4096 }];
    let begin = || DumpWriter::begin(Vec::new(), &[], &blocks, Some(PvSizes { storage_state: 16, completion: 288 }));
    let mut writer = begin().unwrap();
    assert_eq!(writer.storage_state(&[0; 16]).unwrap_err(), DumpFileError::Sequence("storage state"));
    assert_eq!(writer.memory(&[0; 4097]).unwrap_err(), DumpFileError::Sequence("memory"));
    writer.memory(&[0; 4096]).unwrap();
    assert_eq!(writer.completion(&[0; 288]).unwrap_err(), DumpFileError::Sequence("completion data"));
    writer.storage_state(&[0; 16]).unwrap();
    assert_eq!(writer.finish().unwrap_err(), DumpFileError::Sequence("end of the file"));
}

#[test]
fn a_refused_dump_is_an_ordinary_one() {
    let blocks = [MemoryBlock { address: 0, size: 4096 }];
    let mut writer = DumpWriter::begin(Vec::new(), &[], &blocks, None).unwrap();
    writer.memory(&[0; 4096]).unwrap();
    let file = writer.finish().unwrap();
    assert_eq!(DumpReader::open(file.as_slice()).unwrap_err(), DumpFileError::NotProtected);
}

#[test]
fn very_many_blocks() {
    let blocks: Vec<MemoryBlock> = (0..0xffff).map(|page| MemoryBlock { address: page * 4096, size: 0 }).collect();
    let pv = PvSizes { storage_state: 16 * 0xffff, completion: 0 };
    let mut writer = DumpWriter::begin(Vec::new(), &[], &blocks, Some(pv)).unwrap();
    writer.storage_state(&vec![0; 16 * 0xffff]).unwrap();
    let file = writer.finish().unwrap();
    assert_eq!(file[56..58], [0xff, 0xff]);
    let reader = DumpReader::open(file.as_slice()).unwrap();
    assert_eq!(reader.memory().count(), 0xffff);
}

#[test]
fn segments_may_not_name_more_than_the_file_holds() {
    // The program header of the memory, once more in the place of that of the notes.
    let mut file = GOOD.to_vec();
    let table = usize::try_from(u64::from_be_bytes(GOOD[32..40].try_into().unwrap())).unwrap();
    assert_eq!(GOOD[table..table + 4], [0, 0, 0, 4]);
    assert_eq!(GOOD[table + 56..table + 60], [0, 0, 0, 1]);
    file.copy_within(table + 56..table + 112, table);
    assert_eq!(DumpReader::open(file.as_slice()).unwrap_err(), DumpFileError::Damaged("segments overlap"));
}
