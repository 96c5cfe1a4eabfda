//! Command codes, and what is the same for all commands: who may issue them, how long their blocks are, which bit says
//! that they are installed.

use core::fmt;

/// Command code of a UV call. Open: any value may come from outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UvCommand(pub u16);

/// Who may issue a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Only the host.
    Host,
    /// Only a protected guest.
    Guest,
    /// Both.
    Both,
}

/// Which lengths a block of a command may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Length {
    /// Exactly so many bytes.
    Exact(u16),
    /// So many bytes or more.
    AtLeast(u16),
}

impl Length {
    /// Whether a block of `len` bytes is accepted.
    #[must_use]
    pub const fn allows(self, len: u16) -> bool {
        match self {
            Self::Exact(exact) => len == exact,
            Self::AtLeast(least) => len >= least,
        }
    }
}

/// What is known about one command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommandInfo {
    /// The command.
    pub command: UvCommand,
    /// Its name.
    pub name: &'static str,
    /// Who may issue it.
    pub role: Role,
    /// Bit in the list of installed calls; `None` where no source names one.
    pub bit: Option<u32>,
    /// Length of its block in bytes.
    pub length: Length,
}

macro_rules! commands {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $role:ident, $bit:expr, $length:expr;)*) => {
        impl UvCommand {
            $($(#[$doc])* pub const $name: Self = Self($code);)*
        }

        /// Every command of the public sources, by code (s390-ultravisor §1.3).
        pub const COMMANDS: &[CommandInfo] = &[$(CommandInfo {
            command: UvCommand::$name,
            name: stringify!($name),
            role: Role::$role,
            bit: $bit,
            length: $length,
        }),*];
    };
}

use Length::{AtLeast, Exact};

commands! {
    /// Query UV information.
    QUI = 0x0001, Both, Some(0), AtLeast(0xa8);
    /// Hashes of the host keys.
    QUERY_KEYS = 0x0002, Both, Some(34), Exact(0x200);
    /// Initialize the Ultravisor.
    INIT_UV = 0x000f, Host, Some(1), Exact(0x48);
    /// Create a secure configuration.
    CREATE_SEC_CONF = 0x0100, Host, Some(2), Exact(0x80);
    /// Destroy a secure configuration.
    DESTROY_SEC_CONF = 0x0101, Host, Some(3), Exact(0x40);
    /// Destroy a secure configuration, its pages later.
    DESTROY_SEC_CONF_FAST = 0x0102, Host, Some(23), Exact(0x48);
    /// Create a secure CPU.
    CREATE_SEC_CPU = 0x0120, Host, Some(4), Exact(0x60);
    /// Destroy a secure CPU.
    DESTROY_SEC_CPU = 0x0121, Host, Some(5), Exact(0x40);
    /// Convert to secure storage (import).
    CONV_TO_SEC_STOR = 0x0200, Host, Some(6), Exact(0x28);
    /// Convert from secure storage (export).
    CONV_FROM_SEC_STOR = 0x0201, Host, Some(7), Exact(0x20);
    /// Destroy secure storage.
    DESTR_SEC_STOR = 0x0202, Host, None, Exact(0x20);
    /// Verify a 1 MiB frame.
    VERIFY_LARGE_FRAME = 0x0203, Host, Some(32), Exact(0x28);
    /// Give the SE header to a configuration.
    SET_SEC_CONF_PARAMS = 0x0300, Host, Some(11), Exact(0x50);
    /// Unpack one page of the image.
    UNPACK_IMG = 0x0301, Host, Some(13), Exact(0x50);
    /// Verify the unpacked image.
    VERIFY_IMG = 0x0302, Host, Some(14), Exact(0x40);
    /// CPU reset.
    CPU_RESET = 0x0310, Host, Some(15), Exact(0x40);
    /// Initial CPU reset.
    CPU_RESET_INITIAL = 0x0311, Host, Some(16), Exact(0x40);
    /// Prepare the reset of a configuration.
    PREPARE_RESET = 0x0320, Host, Some(18), Exact(0x40);
    /// Clear CPU reset.
    CPU_RESET_CLEAR = 0x0321, Host, Some(19), Exact(0x40);
    /// Set the state of a CPU.
    CPU_SET_STATE = 0x0330, Host, Some(17), Exact(0x50);
    /// Make all shared pages private.
    SET_UNSHARE_ALL = 0x0340, Host, Some(20), Exact(0x40);
    /// Pin a shared page.
    PIN_PAGE_SHARED = 0x0341, Host, Some(21), Exact(0x20);
    /// Unpin a shared page.
    UNPIN_PAGE_SHARED = 0x0342, Host, Some(22), Exact(0x28);
    /// Begin a dump.
    DUMP_INIT = 0x0400, Host, Some(24), Exact(0x40);
    /// Dump the tweaks of 1 MiB.
    DUMP_CONF_STOR_STATE = 0x0401, Host, Some(25), Exact(0x50);
    /// Dump a CPU.
    DUMP_CPU = 0x0402, Host, Some(26), Exact(0x50);
    /// End a dump.
    DUMP_COMPLETE = 0x0403, Host, Some(27), Exact(0x50);
    /// Share a page with the host.
    SET_SHARED_ACCESS = 0x1000, Guest, Some(8), Exact(0x30);
    /// Take a shared page back.
    REMOVE_SHARED_ACCESS = 0x1001, Guest, Some(9), Exact(0x30);
    /// Attestation.
    RETR_ATTEST = 0x1020, Guest, Some(28), Exact(0x188);
    /// Add a secret to the store.
    ADD_SECRET = 0x1031, Guest, Some(29), Exact(0x48);
    /// List the secrets.
    LIST_SECRETS = 0x1033, Guest, Some(30), Exact(0x48);
    /// Lock the secret store.
    LOCK_SECRETS = 0x1034, Guest, Some(31), Exact(0x40);
    /// Retrieve a secret.
    RETR_SECRET = 0x1035, Guest, Some(33), Exact(0x48);
}

impl UvCommand {
    /// What is known about the command; `None` for one that no public source names.
    #[must_use]
    pub fn info(self) -> Option<&'static CommandInfo> {
        COMMANDS.binary_search_by_key(&self, |info| info.command).ok().and_then(|index| COMMANDS.get(index))
    }

    /// The command's name.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        self.info().map(|info| info.name)
    }
}

impl fmt::Debug for UvCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UvCommand({self})")
    }
}

impl fmt::Display for UvCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "{:#06x}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_no_bit_is_used_twice() {
        assert!(COMMANDS.is_sorted_by(|a, b| a.command < b.command));
        let mut bits: alloc::vec::Vec<u32> = COMMANDS.iter().filter_map(|info| info.bit).collect();
        bits.sort_unstable();
        let all: alloc::vec::Vec<u32> = (0..=34).filter(|bit| ![10, 12].contains(bit)).collect();
        assert_eq!(bits, all);
    }

    #[test]
    fn known_and_unknown() {
        let attest = UvCommand(0x1020).info().unwrap();
        assert_eq!((attest.role, attest.bit, attest.length), (Role::Guest, Some(28), Length::Exact(0x188)));
        assert!(!attest.length.allows(0x187) && attest.length.allows(0x188));
        assert!(Length::AtLeast(0xa8).allows(0x120));
        assert_eq!(alloc::format!("{} {}", UvCommand(0x4242), UvCommand::VERIFY_IMG), "0x4242 VERIFY_IMG");
    }
}
