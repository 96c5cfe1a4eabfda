//! Verification of an answer by the guest owner (s390-formats §8.5).

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::{self, Write};

use thiserror::Error;

use super::additional::AdditionalData;
use super::arcb::Arcb;
use super::error::ArcbError;
use super::exchange::ExchangeResponse;
use super::measure::{Measured, Measurement};
use crate::owner::crypto::{BadLength, RequestKey};
use crate::owner::request::{ConfigUid, ImageIdentity};

/// An answer cannot be checked at all. (One that was checked and found wrong is a [`Verdict::Differs`].)
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// The attestation request in the answer is damaged, or not opened by this request key.
    #[error(transparent)]
    Request(#[from] ArcbError),
    /// A part of the answer is too long or too short.
    #[error(transparent)]
    Length(#[from] BadLength),
}

/// Result of a check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// The measurement is the one to be expected.
    Verified,
    /// The measurement differs: another image, another guest, another request, or changed data.
    Differs,
}

/// A checked answer. The other fields can be trusted only if the verdict is [`Verdict::Verified`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// Does the measurement fit?
    pub verdict: Verdict,
    /// Id of the guest.
    pub cuid: ConfigUid,
    /// Additional data as reported.
    pub additional: Vec<u8>,
    /// Additional data by field.
    pub fields: AdditionalData,
    /// Data the guest added.
    pub user_data: Vec<u8>,
}

/// Checks an answer against the request key kept by the owner and the image the guest should run. The measurement is
/// compared in constant time.
///
/// # Errors
/// [`VerifyError`] if there is nothing to compare: request damaged or of another key, additional data shorter than asked for.
pub fn verify(
    response: &ExchangeResponse,
    key: &RequestKey,
    image: &ImageIdentity,
) -> Result<Verification, VerifyError> {
    let arcb = Arcb::parse(&response.arcb)?;
    arcb.head().check_algorithm()?;
    let request = arcb.open_with_key(key)?;
    let expected = Measured {
        image,
        cuid: &response.cuid,
        user_data: &response.user_data,
        nonce: request.nonce.as_ref(),
        additional: &response.additional,
    }
    .measure(&request.measurement_key)?;
    let verdict = match <[u8; 64]>::try_from(response.measurement.as_slice()) {
        Ok(measurement) if Measurement(measurement) == expected => Verdict::Verified,
        _ => Verdict::Differs,
    };
    tracing::debug!(cuid = %response.cuid, ?verdict, "attestation checked");
    let fields = match verdict {
        Verdict::Verified => AdditionalData::split(request.flags, &response.additional)?,
        // What was changed may be the length.
        Verdict::Differs => AdditionalData::split(request.flags, &response.additional).unwrap_or_else(|_| {
            AdditionalData { unrecognized: response.additional.clone(), ..AdditionalData::default() }
        }),
    };
    Ok(Verification {
        verdict,
        cuid: response.cuid,
        additional: response.additional.clone(),
        fields,
        user_data: response.user_data.clone(),
    })
}

/// Bytes as YAML text: `0x` and hex digits, quoted where a YAML reader would take them for a number.
struct YamlHex<'a>(&'a [u8]);

impl fmt::Display for YamlHex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = hex::encode(self.0);
        let number = !digits.is_empty() && digits.trim_start_matches('0').len() <= 32;
        if number { write!(f, "'0x{digits}'") } else { write!(f, "0x{digits}") }
    }
}

impl Verification {
    /// The result as YAML text with the keys `cuid`, `add`, `add_fields` and `user_data`; absent data has no key.
    #[must_use]
    pub fn to_yaml(&self) -> String {
        let mut text = String::new();
        // Writing to a `String` cannot fail.
        let _ = self.write_yaml(&mut text);
        text
    }

    fn write_yaml(&self, text: &mut String) -> fmt::Result {
        writeln!(text, "cuid: {}", YamlHex(&self.cuid.0))?;
        if !self.additional.is_empty() {
            writeln!(text, "add: {}", YamlHex(&self.additional))?;
            writeln!(text, "add_fields:")?;
            for (name, value) in self.fields.named() {
                writeln!(text, "  {name}: {}", YamlHex(value))?;
            }
        }
        if !self.user_data.is_empty() {
            writeln!(text, "user_data: {}", YamlHex(&self.user_data))?;
        }
        Ok(())
    }
}
