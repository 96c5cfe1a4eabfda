//! The file in which requests and answers travel between the owner and the guest (s390-formats §8.4).

use alloc::vec::Vec;

use thiserror::Error;
use zerocopy::byteorder::big_endian::U32;
use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout, Unaligned};

use super::measure::{MAX_USER_DATA_SIZE, MEASUREMENT_SIZE};
use crate::owner::request::{ConfigUid, MAX_REQUEST_SIZE};

const MAGIC: [u8; 8] = *b"pvattest";
const VERSION: u32 = 0x0000_0100;
const HEAD: usize = 64;
const MAX_AREA: usize = 0x8000;

/// Size and offset of one entry, 8 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Place {
    size: U32,
    offset: U32,
}

/// Head of the file, 64 bytes.
#[derive(Debug, Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
struct Head {
    magic: [u8; 8],
    version: U32,
    size: U32,
    reserved16: [u8; 8],
    arcb: Place,
    measurement: Place,
    additional: Place,
    user_data: Place,
    cuid: Place,
}

const _: () = {
    assert!(size_of::<Head>() == HEAD);
    assert!(core::mem::offset_of!(Head, magic) == 0);
    assert!(core::mem::offset_of!(Head, version) == 8);
    assert!(core::mem::offset_of!(Head, size) == 12);
    assert!(core::mem::offset_of!(Head, reserved16) == 16);
    assert!(core::mem::offset_of!(Head, arcb) == 24);
    assert!(core::mem::offset_of!(Head, measurement) == 32);
    assert!(core::mem::offset_of!(Head, additional) == 40);
    assert!(core::mem::offset_of!(Head, user_data) == 48);
    assert!(core::mem::offset_of!(Head, cuid) == 56);
};

/// An exchange file cannot be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The file does not begin with `pvattest`.
    #[error("not an attestation exchange file")]
    Magic,
    /// Another version than 0x100.
    #[error("unsupported exchange file version {0:#x}")]
    Version(u32),
    /// The file is shorter than it says, or an entry points outside.
    #[error("the exchange file is cut short")]
    Truncated,
    /// An entry is longer than its limit, or has a length it cannot have.
    #[error("the {entry} has a length of {size} bytes")]
    Size {
        /// Which entry.
        entry: &'static str,
        /// Its size in bytes.
        size: usize,
    },
    /// The file is no answer: this entry is missing.
    #[error("the exchange file holds no {0}")]
    Missing(&'static str),
}

/// One entry of the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Entry {
    /// Not there.
    #[default]
    Absent,
    /// Only the size to be expected is known, in bytes (requests).
    Expected(u32),
    /// The data.
    Present(Vec<u8>),
}

/// An exchange file, request or answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeFile {
    /// The attestation request.
    pub arcb: Vec<u8>,
    /// The measurement.
    pub measurement: Entry,
    /// Additional data.
    pub additional: Entry,
    /// Data the guest added.
    pub user_data: Entry,
    /// Id of the guest.
    pub cuid: Option<ConfigUid>,
}

/// An answer: all a verification needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExchangeResponse {
    /// The attestation request.
    pub arcb: Vec<u8>,
    /// The measurement; 64 bytes with the one algorithm there is.
    pub measurement: Vec<u8>,
    /// Additional data, empty if there is none.
    pub additional: Vec<u8>,
    /// Data the guest added, empty if there is none.
    pub user_data: Vec<u8>,
    /// Id of the guest.
    pub cuid: ConfigUid,
}

impl From<ExchangeResponse> for ExchangeFile {
    fn from(response: ExchangeResponse) -> Self {
        let entry = |data: Vec<u8>| if data.is_empty() { Entry::Absent } else { Entry::Present(data) };
        Self {
            arcb: response.arcb,
            measurement: entry(response.measurement),
            additional: entry(response.additional),
            user_data: entry(response.user_data),
            cuid: Some(response.cuid),
        }
    }
}

impl ExchangeFile {
    /// A file that carries a request, and says how long the answers will be. `additional_size` as given by
    /// [`AdditionalData::expected_size`](super::AdditionalData::expected_size).
    ///
    /// # Errors
    /// [`ExchangeError::Size`] if `additional_size` is more than 32768.
    pub fn request(arcb: Vec<u8>, additional_size: usize) -> Result<Self, ExchangeError> {
        let expected = |entry, size: usize| match u32::try_from(size) {
            Ok(0) => Ok(Entry::Absent),
            Ok(expected) if size <= MAX_AREA => Ok(Entry::Expected(expected)),
            _ => Err(ExchangeError::Size { entry, size }),
        };
        Ok(Self {
            arcb,
            measurement: expected("measurement", MEASUREMENT_SIZE)?,
            additional: expected("additional data", additional_size)?,
            user_data: Entry::Absent,
            cuid: None,
        })
    }

    /// Reads a file. Bytes after the stated size are ignored.
    ///
    /// # Errors
    /// [`ExchangeError`], all but `Missing`.
    pub fn parse(bytes: &[u8]) -> Result<Self, ExchangeError> {
        if !bytes.starts_with(&MAGIC) {
            return Err(ExchangeError::Magic);
        }
        let (head, _) = Head::ref_from_prefix(bytes).map_err(|_| ExchangeError::Truncated)?;
        if head.version.get() != VERSION {
            return Err(ExchangeError::Version(head.version.get()));
        }
        let size = usize::try_from(head.size.get()).map_err(|_| ExchangeError::Truncated)?;
        let file = bytes.get(..size).filter(|_| size >= HEAD).ok_or(ExchangeError::Truncated)?;
        let arcb = match read(file, head.arcb, "attestation request", MAX_REQUEST_SIZE)? {
            Entry::Present(arcb) => arcb,
            _ => return Err(ExchangeError::Missing("attestation request")),
        };
        let cuid = match read(file, head.cuid, "configuration id", size_of::<ConfigUid>())? {
            Entry::Present(cuid) => {
                let size = cuid.len();
                let entry = "configuration id";
                Some(ConfigUid(cuid.try_into().map_err(|_| ExchangeError::Size { entry, size })?))
            }
            _ => None,
        };
        Ok(Self {
            arcb,
            measurement: read(file, head.measurement, "measurement", MAX_AREA)?,
            additional: read(file, head.additional, "additional data", MAX_AREA)?,
            user_data: read(file, head.user_data, "user data", MAX_USER_DATA_SIZE)?,
            cuid,
        })
    }

    /// Writes the file: the entries follow the head in their order, without padding.
    ///
    /// # Errors
    /// [`ExchangeError::Size`] if an entry is longer than its limit.
    pub fn encode(&self) -> Result<Vec<u8>, ExchangeError> {
        let mut data = Vec::new();
        let mut head = Head::new_zeroed();
        head.magic = MAGIC;
        head.version = U32::new(VERSION);
        head.arcb = place(&mut data, "attestation request", &self.arcb, MAX_REQUEST_SIZE)?;
        for (slot, name, entry, limit) in [
            (&mut head.measurement, "measurement", &self.measurement, MAX_AREA),
            (&mut head.additional, "additional data", &self.additional, MAX_AREA),
            (&mut head.user_data, "user data", &self.user_data, MAX_USER_DATA_SIZE),
        ] {
            match entry {
                Entry::Absent => {}
                Entry::Expected(size) => slot.size = U32::new(*size),
                Entry::Present(bytes) => *slot = place(&mut data, name, bytes, limit)?,
            }
        }
        if let Some(cuid) = &self.cuid {
            head.cuid = place(&mut data, "configuration id", &cuid.0, size_of::<ConfigUid>())?;
        }
        let size = HEAD + data.len();
        head.size = U32::new(u32::try_from(size).map_err(|_| ExchangeError::Size { entry: "file", size })?);
        let mut file = head.as_bytes().to_vec();
        file.append(&mut data);
        Ok(file)
    }

    /// Takes the file as an answer.
    ///
    /// # Errors
    /// [`ExchangeError::Missing`] without a measurement or a configuration id.
    pub fn into_response(self) -> Result<ExchangeResponse, ExchangeError> {
        let present = |entry| match entry {
            Entry::Present(data) => Some(data),
            _ => None,
        };
        Ok(ExchangeResponse {
            arcb: self.arcb,
            measurement: present(self.measurement).ok_or(ExchangeError::Missing("measurement"))?,
            additional: present(self.additional).unwrap_or_default(),
            user_data: present(self.user_data).unwrap_or_default(),
            cuid: self.cuid.ok_or(ExchangeError::Missing("configuration id"))?,
        })
    }
}

/// Reads one entry, within the file and its limit.
fn read(file: &[u8], place: Place, entry: &'static str, limit: usize) -> Result<Entry, ExchangeError> {
    let to_usize = |value: U32| usize::try_from(value.get()).map_err(|_| ExchangeError::Truncated);
    let (size, offset) = (to_usize(place.size)?, to_usize(place.offset)?);
    match (size, offset) {
        (0, _) => Ok(Entry::Absent),
        (size, _) if size > limit => Err(ExchangeError::Size { entry, size }),
        (_, 0) => Ok(Entry::Expected(place.size.get())),
        (_, ..HEAD) => Err(ExchangeError::Truncated),
        _ => {
            let end = offset.checked_add(size).ok_or(ExchangeError::Truncated)?;
            let data = file.get(offset..end).ok_or(ExchangeError::Truncated)?;
            Ok(Entry::Present(data.to_vec()))
        }
    }
}

/// Appends one entry.
fn place(data: &mut Vec<u8>, entry: &'static str, bytes: &[u8], limit: usize) -> Result<Place, ExchangeError> {
    let size = bytes.len();
    let wrong = ExchangeError::Size { entry, size };
    if size > limit {
        return Err(wrong);
    }
    let number = |value: usize| u32::try_from(value).map(U32::new).map_err(|_| wrong);
    let place = Place { size: number(size)?, offset: number(HEAD + data.len())? };
    data.extend_from_slice(bytes);
    Ok(place)
}
