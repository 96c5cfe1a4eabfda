//! `UV_ESMB_GET_FILE` (R4 offset, R5 … R12 name → R4 … R11 data; power-pef §14).
//!
//! Who may call is the dispatcher's business: a secure VM only (documented), anybody (firmware).
//!
//! | # | check | both profiles |
//! |---|---|---|
//! | 1 | LPIDR has no object | `U_PARAMETER` |
//! | 2 | first call for the name: remembered with the caller's PIDR; too many names | `U_RETRY` |
//! | 3 | another process read the name first, or the offset lies before what was read | `U_PARAMETER` |
//! | 4 | offset ≥ 65536 | `U_PARAMETER` (the published code stops) |
//! | 5 | the blob has no such file | -1 |
//! | 6 | the file cannot be opened | `U_PARAMETER` |
//! | 7 | offset ≥ length | 0, R4 … unchanged |
//! | - | at most 64 bytes | their number |
//!
//! A blob without files, or with an unreadable tree of them: -9, what the device tree library of the published code gives
//! for a page of zeros.

use super::super::inner::Inner;
use super::super::svm::files::NAME;
use crate::abi::codes::UvCode;
use crate::abi::regs::Regs;
use crate::owner::files::FileError;

/// Bytes of data in one call.
const CHUNK: usize = 64;
/// First offset that no file reaches.
const END: u64 = 65536;
/// Names one VM can have asked for: the limit of what the ultravisor remembers.
const NAMES: usize = 1024;
/// No such file.
const NOT_FOUND: UvCode = UvCode(-1);
/// Not a device tree.
const BAD_MAGIC: UvCode = UvCode(-9);

pub(super) fn get_file(machine: &Inner, regs: &mut Regs) -> UvCode {
    let Some(svm) = machine.svm(regs.lpidr.0.into()) else { return UvCode::U_PARAMETER };
    let offset = regs.gpr[4];
    let mut name = [0; NAME];
    for (bytes, register) in name.chunks_exact_mut(8).zip(&regs.gpr[5..13]) {
        bytes.copy_from_slice(&register.to_be_bytes());
    }
    let mut files = svm.files.lock();
    let files = &mut *files;
    if files.reads.len() >= NAMES && !files.reads.contains_key(&name) {
        return UvCode::U_RETRY;
    }
    let (process, last) = files.reads.entry(name).or_insert((regs.pidr, 0));
    if *process != regs.pidr || offset < *last || offset >= END {
        return UvCode::U_PARAMETER;
    }
    let text = name.split(|byte| *byte == 0).next().and_then(|text| core::str::from_utf8(text).ok());
    let Some(store) = &files.store else { return BAD_MAGIC };
    let plain = match text.ok_or(FileError::NotFound).and_then(|text| store.read(text)) {
        Ok(plain) => plain,
        Err(FileError::NotFound) => return NOT_FOUND,
        Err(FileError::NoFiles) => return BAD_MAGIC,
        Err(FileError::Property(_) | FileError::TagMismatch | FileError::TooLong(_)) => return UvCode::U_PARAMETER,
    };
    let start = usize::try_from(offset).unwrap_or(usize::MAX).min(plain.len());
    let piece = &plain[start..plain.len().min(start + CHUNK)];
    *last = offset + piece.len() as u64;
    if piece.is_empty() {
        return UvCode::U_SUCCESS;
    }
    for (index, register) in regs.gpr[4..12].iter_mut().enumerate() {
        let mut word = [0; 8];
        let from = piece.get(index * 8..).unwrap_or(&[]);
        let len = from.len().min(8);
        word[..len].copy_from_slice(&from[..len]);
        *register = u64::from_be_bytes(word);
    }
    UvCode(i64::try_from(piece.len()).unwrap_or(0))
}
