//! Numbers of ultracalls and hypercalls (power-pef §1.3), made from the rows of [`calls`](super::calls), and their flags.
//!
//! Who uses it: everybody who makes or answers a call.

use bitflags::bitflags;

use super::calls::hypercalls::hypercalls;
use super::calls::ultracalls::ultracalls;

/// An open number: constants with names, every other value allowed.
macro_rules! open_number {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $call:ident = $value:expr;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub u64);

        impl $name {
            $($(#[$doc])* pub const $call: Self = Self($value);)*

            /// Every number that has a name here, in order.
            pub const ALL: &[Self] = &[$(Self::$call),*];

            /// The name of the call; `None` for an unknown number.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                [$((Self::$call, stringify!($call))),*].into_iter().find(|(call, _)| *call == self).map(|(_, name)| name)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => f.write_str(name),
                    None => write!(f, "{:#x}", self.0),
                }
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }
    };
}

macro_rules! ultracall_numbers {
    ($($(#[$doc:meta])* $call:ident = $number:literal, $caller:ident, $profiles:ident, $file:ident :: $handler:ident;)*) => {
        open_number! {
            /// The number of an ultracall, in R3.
            UltracallNumber {
                $($(#[$doc])* #[doc = concat!("\n\nCaller: [`", stringify!($caller), "`](super::calls::Caller::", stringify!($caller), ").")]
                $call = $number;)*
            }
        }
    };
}
ultracalls!(ultracall_numbers);

macro_rules! hypercall_numbers {
    ($($(#[$doc:meta])* $call:ident = $number:literal, $handler:ident $(($inputs:literal, $outputs:literal))?;)*) => {
        open_number! {
            /// The number of a hypercall, in R3.
            HvCall {
                $($(#[$doc])* #[doc = concat!("\n\nR3 = ", stringify!($number), ".")] $call = $number;)*
            }
        }
    };
}
hypercalls!(hypercall_numbers);

/// The page size of every paging call as a power of two: 64 KiB.
pub const PAGE_ORDER: u64 = 16;

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 1 << PAGE_ORDER;

/// The bit of a real address that marks secure memory (PPC bit 15).
pub const SECURE_ADDRESS: u64 = 1 << 48;

/// Number of memory slots a VM can have: slot numbers are below.
pub const MEM_SLOTS: u16 = 512;

bitflags! {
    /// R5 of `H_SVM_PAGE_IN`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct PageInFlags: u64 {
        /// The page is to be shared; without the flag it is to be secure.
        const SHARED = 1;
    }
}

bitflags! {
    /// R7 of `UV_PAGE_IN`. The API document names these cache attributes; no source gives numbers, so they are chosen here.
    /// Hypervisors pass 0.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UvPageInFlags: u64 {
        /// The mapping is cache inhibited.
        const CACHE_INHIBITED = 1;
        /// The mapping is cached.
        const CACHE_ENABLED = 1 << 1;
        /// The mapping is write protected.
        const WRITE_PROTECTION = 1 << 2;
    }
}

bitflags! {
    /// R7 of `UV_PAGE_OUT`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct UvPageOutFlags: u64 {
        /// Copy the page out encrypted and keep it mapped (`UV_SNAPSHOT`). The API document names it; no source gives a
        /// number, so it is chosen here.
        const SNAPSHOT = 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn numbers_know_their_names() {
        assert_eq!(format!("{} {}", UltracallNumber::UV_ESM, UltracallNumber(0xf154)), "UV_ESM 0xf154");
        assert_eq!(HvCall(0xef08).name(), Some("H_SVM_INIT_START"));
        assert_eq!(format!("{} {:?}", HvCall::H_PUT_TERM_CHAR, HvCall(0x5)), "H_PUT_TERM_CHAR 0x5");
    }
}
