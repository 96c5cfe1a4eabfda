//! The mark on everything that stands for a simulated machine.

use der::oid::ObjectIdentifier;
use x509_cert::name::Name;

use super::name::text;

/// The text that every simulated certificate bears in its subject and in the extension [`SIMULATION_MARK_OID`].
pub const SIMULATION_MARK: &str = "SIMULATED, NOT A REAL MACHINE";

/// The extension that marks a simulated certificate; its value is [`SIMULATION_MARK`] as UTF8String.
///
/// The arc is the one that RFC 5612 keeps for examples, so it can never mean anything in a certificate of a real
/// issuer. It is not critical: readers that do not know it are to see an ordinary certificate, which then fails for
/// the reason that counts, that its chain ends in no root they trust.
pub const SIMULATION_MARK_OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.6.1.4.1.32473.390.1");

/// Whether one of the attributes of a name holds the mark.
pub(super) fn is_marked(name: &Name) -> bool {
    name.iter().filter_map(|atv| text(&atv.value)).any(|value| value.contains(SIMULATION_MARK))
}
