//! What is the same for all commands: who may issue them, how long their blocks are, which bit says that they are installed.

use core::fmt;

use super::block::Block;
use super::command::UvCommand;

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

macro_rules! infos {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $since:ident, $role:ident, $bit:expr,
        $block:ident $(from $least:literal)?, $($handler:ident)::+;)*) => {
        /// Every command of the public sources, by code (s390-ultravisor §1.3).
        #[allow(unused_doc_comments, reason = "the rows' documentation is that of the constants")]
        pub const COMMANDS: &[CommandInfo] = &[$(
            $(#[$meta])*
            CommandInfo {
                command: UvCommand::$name,
                name: stringify!($name),
                role: Role::$role,
                bit: $bit,
                length: length!($block $(from $least)?),
            }
        ),*];
    };
}

/// Length of a block: that of its layout, or as short as `from`.
macro_rules! length {
    ($block:ident) => {
        Length::Exact(<super::$block as Block>::LEN)
    };
    ($block:ident from $least:literal) => {
        Length::AtLeast($least)
    };
}

super::table::uv_calls!(infos);

/// In the order of their codes, as [`UvCommand::info`] needs them.
const _: () = {
    let mut i = 1;
    while i < COMMANDS.len() {
        assert!(COMMANDS[i - 1].command.0 < COMMANDS[i].command.0, "rows stand in the order of their codes");
        i += 1;
    }
};

impl UvCommand {
    /// What is known about the command; `None` for one that no public source names.
    #[must_use]
    pub fn info(self) -> Option<&'static CommandInfo> {
        self.row().and_then(|index| COMMANDS.get(index))
    }

    /// Its row in the table.
    pub(crate) fn row(self) -> Option<usize> {
        COMMANDS.binary_search_by_key(&self, |info| info.command).ok()
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
    use alloc::borrow::ToOwned;
    use alloc::format;
    use alloc::string::{String, ToString};
    use alloc::vec::Vec;

    /// The command table of the fact sheet, §1.3.
    const SHEET: &str = include_str!("../../../../docs/machines/s390-ultravisor.md");

    /// A row as the sheet writes it.
    fn written(info: &CommandInfo) -> [String; 5] {
        let role = match info.role {
            Role::Host => "H",
            Role::Guest => "G",
            Role::Both => "H/G",
        };
        let length = match info.length {
            Length::Exact(len) => format!("{len:#x}"),
            Length::AtLeast(len) => format!(">={len:#x}"),
        };
        let bit = info.bit.map_or_else(|| "none".to_owned(), |bit| bit.to_string());
        [format!("{:#06x}", info.command.0), info.name.to_owned(), role.to_owned(), bit, length]
    }

    #[test]
    fn rows_are_those_of_the_sheet() {
        let table = SHEET.split("### 1.3 ").nth(1).and_then(|rest| rest.split("### ").next()).unwrap();
        let sheet: Vec<[String; 5]> = table
            .lines()
            .filter(|line| line.starts_with("| 0x"))
            .map(|line| {
                let mut cells = line.trim_matches('|').split('|').map(|cell| first_word(cell).to_owned());
                core::array::from_fn(|_| cells.next().unwrap())
            })
            .collect();
        let rows: Vec<_> = COMMANDS.iter().filter(|info| info.command != UvCommand::TEST_COUNT).map(written).collect();
        assert_eq!(rows, sheet);
    }

    fn first_word(cell: &str) -> &str {
        cell.trim().split([' ', ',']).next().unwrap_or_default()
    }

    #[test]
    fn no_bit_is_used_twice() {
        let mut bits: Vec<u32> = COMMANDS.iter().filter_map(|info| info.bit).collect();
        bits.sort_unstable();
        let all: Vec<u32> = (0..=34).filter(|bit| ![10, 12].contains(bit)).chain([255]).collect();
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
