//! Known answers (s390-formats §11).

use sha2::{Digest, Sha256};
use zerocopy::{FromBytes, IntoBytes};

use super::*;
use crate::abi::dump::{BlockError, CpuState, StorageState};
use crate::owner::crypto::{Cck, PageKey, vectors};

fn cck() -> Cck {
    Cck::new(vectors::seq(0x80))
}

fn secrets() -> CompletionSecrets {
    let nonce = vectors::bytes("8899aabbccddeeff0000000000000000").try_into().unwrap();
    CompletionSecrets { nonce, memory_key: PageKey::new(vectors::seq(0)) }
}

fn completion() -> CompletionBlock {
    CompletionBlock::seal(&cck(), vectors::seq(0), vectors::seq(0x10), &secrets())
}

fn sha256(bytes: &[u8]) -> alloc::string::String {
    hex::encode(Sha256::digest(bytes))
}

#[test]
fn known_completion_data() {
    let block = completion();
    assert_eq!(hex::encode(block.tag), "cbf53dc3b6a918e10a10f8c191d87e71");
    assert_eq!(sha256(block.as_bytes()), "1ce6c5386383640598059fa16116e9eaaa777628a758ae28631404bf86720cb4");
    let (key, opened) = CompletionBlock::parse(block.as_bytes()).unwrap().open(&cck()).unwrap();
    assert_eq!(hex::encode(key.key().expose()), "166c8706fde79b0ef6002d165bfda5c017eb25e4f5614d9655ebfc1c2f1b7e9a");
    assert_eq!(opened, secrets());
}

#[test]
fn known_page() {
    let entry = vectors::bytes("00000000000000000000000012345000").try_into().unwrap();
    let state = StorageState::decode(&entry).unwrap();
    let StorageState::Encrypted(component) = state else { panic!("encrypted") };
    assert_eq!(hex::encode(component.tweak(&secrets().nonce)), "8899aabbccddeeff0000000012345000");
    let key = DumpMemoryKey::new(&secrets());
    let mut page = [0x5a; 4096];
    key.encrypt_page(&state, &mut page);
    assert_eq!(hex::encode(&page[..16]), "d8ca0d69dc85070d1894ed06aae59013");
    assert_eq!(sha256(&page), "a20efbdef6c600025178dd2d588d3f76fe302eb6650cf6f1fe5be2bacb609b30");
    key.decrypt_page(&state, &mut page);
    assert_eq!(page, [0x5a; 4096]);
    key.decrypt_page(&StorageState::Shared { mapped: true }, &mut page);
    assert_eq!(page, [0x5a; 4096]);
    key.decrypt_page(&StorageState::Zero { mapped: false }, &mut page);
    assert_eq!(page, [0; 4096]);
}

#[test]
fn known_cpu_note() {
    let key = DumpKey::derive(&cck(), &vectors::seq(0));
    let note = CpuNote::seal(&key, vectors::seq(0x10), &CpuState::default());
    assert_eq!(hex::encode(note.tag), "8e8d853c71c80cfa9105c8c4bc9da6db");
    assert_eq!(sha256(note.as_bytes()), "d4333fe34f612fb9b455f0865037876d3852c8d6aa29ac4bd2f076330068d955");
    assert_eq!(note.open(&key).unwrap(), CpuState::default());
}

#[test]
fn registers_round_trip() {
    let state = CpuState {
        gprs: core::array::from_fn(|n| 0x1111 * u64::try_from(n).unwrap()),
        psw_mask: 0x0705_0001_8000_0000,
        psw_address: 0x10_0000,
        prefix: 0x7fff_e000,
        fpc: 0x0008_0000,
        tod_programmable: 3,
        cpu_timer: 4,
        clock_comparator: 5,
        access_registers: [6; 16],
        control_registers: [7; 16],
        vector_registers: core::array::from_fn(|n| [u8::try_from(n).unwrap(); 16]),
        guarded_storage: [8, 9, 10],
        partial_instruction: true,
    };
    let key = DumpKey::derive(&cck(), &vectors::seq(0));
    let note = CpuNote::seal(&key, [3; 12], &state);
    let mut padded = note.as_bytes().to_vec();
    padded.resize(4096, 0xee);
    assert_eq!(CpuNote::parse(&padded).unwrap().open(&key).unwrap(), state);
    assert_eq!(state.floating_point_registers()[15], [15; 8]);
    assert_eq!(alloc::format!("{state:?}"), "CpuState(..)");
}

#[test]
fn every_changed_bit_is_refused() {
    let good = completion();
    for bit in 0..COMPLETION_SIZE * 8 {
        let mut bytes = good.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        let error = CompletionBlock::parse(&bytes).and_then(|block| block.open(&cck())).unwrap_err();
        let expected = match bit / 8 {
            0..4 => matches!(error, BlockError::Version(_)),
            4..8 => matches!(error, BlockError::Length(_)),
            _ => error == BlockError::Authentication,
        };
        assert!(expected, "bit {bit}: {error}");
    }
    let key = DumpKey::derive(&cck(), &vectors::seq(0));
    let note = CpuNote::seal(&key, [0; 12], &CpuState::default());
    for bit in 0..CPU_NOTE_SIZE * 8 {
        let mut bytes = note.as_bytes().to_vec();
        bytes[bit / 8] ^= 1 << (bit % 8);
        assert!(CpuNote::parse(&bytes).and_then(|note| note.open(&key)).is_err(), "bit {bit}");
    }
}

#[test]
fn sizes_and_keys() {
    let good = completion();
    let mut section = good.as_bytes().to_vec();
    assert_eq!(CompletionBlock::parse(&section[..287]).unwrap_err(), BlockError::Size(287));
    section.resize(4097, 0);
    assert_eq!(CompletionBlock::parse(&section).unwrap_err(), BlockError::Size(4097));
    assert_eq!(CompletionBlock::parse(&section[..4096]).unwrap(), good);
    assert_eq!(CpuNote::parse(&[0; 1567]).unwrap_err(), BlockError::Size(1567));
    assert_eq!(CpuNote::parse(&[0; 4097]).unwrap_err(), BlockError::Size(4097));
    assert_eq!(CpuNote::parse(&[0; 1568]).unwrap_err(), BlockError::Version(0));
    assert_eq!(good.open(&Cck::new([0; 32])).unwrap_err(), BlockError::Authentication);
    let other = CompletionBlock::read_from_bytes(good.as_bytes()).unwrap();
    assert_eq!(other, good);
}
