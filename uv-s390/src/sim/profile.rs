//! What the generations of machines can do.
//!
//! The public sources give no numbers of real machines; sizes and maxima here are those of this simulated family, and differ
//! so that a caller who wires one in is found out. What belongs to which generation is as far as the sources tell.

use zerocopy::FromZeros;

use crate::abi::se_header::{PlaintextControlFlags as Pcf, SecretControlFlags as Scf};
use crate::abi::uvcb::table::uv_calls;
use crate::abi::uvcb::{COMMANDS, CommandInfo, Features, InstalledCalls, QueryInfo, Role, UvCommand, bit};

/// Generation of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Generation {
    /// The first with protected virtualization: no dump, no attestation, no secrets, no fast destroy; destroying a page that
    /// is not secure is an error.
    Z15,
    /// Adds dump, attestation, association secrets, fast destroy, key query.
    Z16,
    /// Adds retrievable secrets, AP for guests, 1 MiB frames.
    Z17,
}

macro_rules! installed {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $since:ident, $role:ident, $bit:expr,
        $block:ident $(from $least:literal)?, $($handler:ident)::+;)*) => {
        /// The first generation with each command, by row.
        #[allow(unused_doc_comments, reason = "the rows' documentation is that of the commands")]
        static SINCE: &[Generation] = &[$($(#[$meta])* Generation::$since),*];
    };
}

uv_calls!(installed);

impl Generation {
    /// Whether the machine has a command at all.
    #[must_use]
    pub fn installs(self, command: UvCommand) -> bool {
        command.row().and_then(|row| SINCE.get(row)).is_some_and(|since| self >= *since)
    }

    /// Whether the machine lets this role issue a command.
    #[must_use]
    pub fn allows(self, info: &CommandInfo, role: Role) -> bool {
        self.installs(info.command) && (info.role == Role::Both || info.role == role)
    }

    /// The feature indications.
    #[must_use]
    pub fn features(self) -> Features {
        match self {
            Self::Z15 => Features::empty(),
            Self::Z16 => Features::MISC | Features::AIV,
            Self::Z17 => Features::all().intersection(
                Features::MISC | Features::AIV | Features::AP | Features::AP_INTERRUPTIONS | Features::LARGE_FRAMES,
            ),
        }
    }

    /// Plaintext control flags of SE headers that the machine accepts.
    #[must_use]
    pub fn plaintext_flags(self) -> Pcf {
        match self {
            Self::Z15 => Pcf::PCKMO | Pcf::NO_COMPONENT_ENCRYPTION,
            Self::Z16 => Pcf::PCKMO | Pcf::NO_COMPONENT_ENCRYPTION | Pcf::ALLOW_DUMP | Pcf::BACKUP_KEYS,
            Self::Z17 => Pcf::KNOWN,
        }
    }

    /// Secret control flags of SE headers that the machine accepts.
    #[must_use]
    pub fn secret_flags(self) -> Scf {
        match self {
            Self::Z15 => Scf::empty(),
            Self::Z16 => Scf::CCK_EXTENSION_SECRET,
            Self::Z17 => Scf::KNOWN,
        }
    }

    /// The answer to a query in one role (s390-ultravisor §1.5).
    ///
    /// A protected guest gets the lengths of what only a host donates as zero: whether a real machine shows them is not known (UNSURE).
    #[must_use]
    pub fn query(self, role: Role) -> QueryInfo {
        let mut info = QueryInfo::new_zeroed();
        let installed = COMMANDS.iter().filter(|command| self.allows(command, role)).filter_map(|command| command.bit);
        info.calls = InstalledCalls::of(installed);
        let step = match self {
            Self::Z15 => 1,
            Self::Z16 => 2,
            Self::Z17 => 3,
        };
        if role == Role::Host {
            info.uv_base_stor_len = (step * 0x20_0000).into();
            info.conf_base_phys_stor_len = 0x4000.into();
            info.conf_base_virt_stor_len = (0x2000 + step * 0x1000).into();
            // kvm-unit-tests takes base and variable part of 42 MiB together and wants whole pages.
            info.conf_virt_var_stor_len = (step * 0x800).into();
            // Also the length of a CPU's dump, of which the owner's readers take at most 4096 bytes (s390-formats §7.5).
            info.cpu_stor_len = if self >= Self::Z16 { 0x1000 } else { 0x2000 }.into();
        }
        info.max_num_sec_conf = match self {
            Self::Z15 => 0x200,
            Self::Z16 => 0x400,
            Self::Z17 => 0x800,
        }
        .into();
        info.max_guest_stor_addr = MAX_GUEST_ADDRESS.into();
        info.max_guest_cpu_id = MAX_CPU.into();
        info.features = self.features().bits().into();
        info.supported_header_versions = bit(0).into();
        info.supported_header_flags = self.plaintext_flags().bits().into();
        if self >= Self::Z16 {
            info.dump_storage_state_len = DUMP_STORAGE_STATE.into();
            info.dump_finalize_len = DUMP_FINALIZE.into();
            info.supported_attest_versions = bit(0).into();
            info.supported_attest_flags = self.attest_flags().into();
            info.supported_secret_versions = bit(0).into();
            info.supported_secret_flags = self.add_secret_flags().into();
            info.supported_secret_types = self.secret_types().into();
            info.max_assoc_secrets = MAX_ASSOCIATION.into();
            info.max_retr_secrets = if self >= Self::Z17 { MAX_RETRIEVABLE } else { 0 }.into();
        }
        info
    }

    /// Plaintext flags of attestation requests: additional data of each kind and the nonce.
    #[must_use]
    pub fn attest_flags(self) -> u64 {
        let common = bit(1) | bit(2) | bit(3);
        match self {
            Self::Z15 => 0,
            Self::Z16 => common,
            Self::Z17 => common | bit(4) | bit(5),
        }
    }

    /// Plaintext flags of add-secret requests.
    #[must_use]
    pub fn add_secret_flags(self) -> u64 {
        if self >= Self::Z16 { bit(0) } else { 0 }
    }

    /// Types of secrets, bit n for type n.
    #[must_use]
    pub fn secret_types(self) -> u64 {
        let of = |types: &[u32]| types.iter().fold(0, |bits, number| bits | bit(*number));
        match self {
            Self::Z15 => 0,
            Self::Z16 => of(&[1, 2]),
            Self::Z17 => of(&[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16]),
        }
    }
}

/// Highest guest storage address: 4 TiB of guest storage.
pub(crate) const MAX_GUEST_ADDRESS: u64 = (1 << 42) - 1;
/// Highest CPU number.
pub(crate) const MAX_CPU: u16 = 247;
/// Bytes of tweaks for each MiB of a dump.
pub(crate) const DUMP_STORAGE_STATE: u64 = 0x1000;
/// Bytes of the completion data of a dump.
pub(crate) const DUMP_FINALIZE: u64 = 0x1000;
/// Most association secrets.
pub(crate) const MAX_ASSOCIATION: u16 = 0x80;
/// Most retrievable secrets.
pub(crate) const MAX_RETRIEVABLE: u16 = 0x80;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_see_their_own_calls() {
        for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
            let (host, guest) = (generation.query(Role::Host), generation.query(Role::Guest));
            assert!(host.calls.is_host() && !host.calls.is_guest() && !host.calls.bit(8) && !host.calls.bit(9));
            assert!(guest.calls.is_guest() && !guest.calls.is_host());
            assert!(host.calls.bit(0) && guest.calls.bit(0));
        }
    }

    #[test]
    fn variable_storage_is_whole_pages_for_an_even_number_of_mib() {
        for generation in [Generation::Z15, Generation::Z16, Generation::Z17] {
            let host = generation.query(Role::Host);
            let (base, each) = (host.conf_base_virt_stor_len.get(), host.conf_virt_var_stor_len.get());
            assert!(each > 0 && (base + 42 * each).is_multiple_of(0x1000), "{generation:?}");
            assert_eq!(host.variable_storage_len(42 << 20), Some(base + 42 * each));
        }
    }

    #[test]
    fn generations_differ() {
        assert_eq!(Generation::Z15.query(Role::Host).calls.has(UvCommand::DUMP_CPU), Some(false));
        assert_eq!(Generation::Z16.query(Role::Host).calls.has(UvCommand::DUMP_CPU), Some(true));
        assert_eq!(Generation::Z16.query(Role::Guest).calls.has(UvCommand::RETR_SECRET), Some(false));
        assert_eq!(Generation::Z17.query(Role::Guest).calls.has(UvCommand::RETR_SECRET), Some(true));
    }
}
