//! Command codes. The rows stand in `table`; what is the same for all commands in `info`.

/// Command code of a UV call. Open: any value may come from outside.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UvCommand(pub u16);

macro_rules! commands {
    ($($(#[$meta:meta])* $name:ident = $code:literal, $since:ident, $role:ident, $bit:expr,
        $block:ident $(from $least:literal)?, $($handler:ident)::+;)*) => {
        impl UvCommand {
            $(
                $(#[$meta])*
                #[doc = concat!("\n\n", stringify!($code), ", issued by [", stringify!($role), "](super::Role::", stringify!($role), "),")]
                #[doc = concat!("block [`", stringify!($block), "`](crate::abi::uvcb::", stringify!($block), "),")]
                #[doc = concat!("simulated from ", stringify!($since), " on.")]
                pub const $name: Self = Self($code);
            )*
        }
    };
}

super::table::uv_calls!(commands);
