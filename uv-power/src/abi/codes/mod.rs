//! Return codes of ultracalls and hypercalls: R3 as a signed 64-bit number. Unknown values survive.
//!
//! Who uses it: everybody who makes or answers a call.

mod hypercall;
mod ultracall;

pub use hypercall::HvCode;
pub use ultracall::UvCode;

/// An open code: constants with names, every other value allowed.
macro_rules! open_code {
    ($(#[$about:meta])* $name:ident { $($(#[$doc:meta])* $code:ident = $value:expr;)* }) => {
        $(#[$about])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(pub i64);

        impl $name {
            $($(#[$doc])* pub const $code: Self = Self($value);)*

            /// The code that a register holds.
            #[must_use]
            pub const fn from_register(register: u64) -> Self {
                Self(register.cast_signed())
            }

            /// The code as a register holds it.
            #[must_use]
            pub const fn to_register(self) -> u64 {
                self.0.cast_unsigned()
            }

            /// The name of the code; the first one where several share a number, `None` for an unknown code.
            #[must_use]
            pub fn name(self) -> Option<&'static str> {
                [$((Self::$code, stringify!($code))),*].into_iter().find(|(code, _)| *code == self).map(|(_, name)| name)
            }
        }

        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                core::fmt::Display::fmt(self, f)
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                match self.name() {
                    Some(name) => write!(f, "{name} ({})", self.0),
                    None => write!(f, "{}", self.0),
                }
            }
        }
    };
}
use open_code;

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn codes_keep_their_number_and_know_their_name() {
        assert_eq!(UvCode::from_register(0xffff_ffff_ffff_ffc9), UvCode::U_P2);
        assert_eq!(UvCode::U_P2.to_register(), 0xffff_ffff_ffff_ffc9);
        assert_eq!(format!("{} {:?}", UvCode::U_STATE, UvCode(-12)), "U_STATE (-75) -12");
        assert_eq!(format!("{}", HvCode::H_LONG_BUSY_ORDER_100_SEC), "H_LONG_BUSY_ORDER_100_SEC (9905)");
        assert_eq!(HvCode(12345).name(), None);
    }

    #[test]
    fn shared_numbers_of_the_two_families() {
        assert_eq!(UvCode::U_FUNCTION.0, HvCode::H_FUNCTION.0);
        assert_eq!(UvCode::U_PERMISSION.0, HvCode::H_PERMISSION.0);
        assert_eq!(UvCode::U_RETRY.0, HvCode::H_BAD_MODE.0);
        assert_eq!(UvCode::U_BAD_MODE.0, HvCode::H_P6.0);
    }
}
