//! Error numbers of Linux system calls.

use core::fmt;

/// Error number of a failed ioctl. Open: any number may come from a kernel.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl Errno {
            $($(#[$doc])* pub const $name: Self = Self($value);)*

            /// The name, where it is one that these commands give.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

errnos! {
    /// No such entry: there is no such secret.
    ENOENT = 2;
    /// Interrupted by a signal.
    EINTR = 4;
    /// Input or output error: the Ultravisor refused to begin or end protection.
    EIO = 5;
    /// No such device or address: the CPU is not protected.
    ENXIO = 6;
    /// Argument too long.
    E2BIG = 7;
    /// Try again.
    EAGAIN = 11;
    /// Out of memory.
    ENOMEM = 12;
    /// Bad address.
    EFAULT = 14;
    /// Busy: such an interruption is pending already; too late to choose the CPU model.
    EBUSY = 16;
    /// There already: memory slots would overlap, or a vCPU has the number.
    EEXIST = 17;
    /// No such device: the call is not installed.
    ENODEV = 19;
    /// Invalid argument, or a refusal of the Ultravisor.
    EINVAL = 22;
    /// No such command.
    ENOTTY = 25;
    /// Not supported by this machine.
    EOPNOTSUPP = 95;
    /// The buffer is too small for what is pending.
    ENOBUFS = 105;
}

impl core::error::Error for Errno {}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "errno {}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use alloc::boxed::Box;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn an_error_number_is_an_error() {
        let error: Box<dyn core::error::Error> = Box::new(Errno::E2BIG);
        assert_eq!(error.to_string(), "E2BIG");
        assert_eq!((Errno(5).name(), Errno(200).name()), (Some("EIO"), None));
        assert_eq!(Errno(200).to_string(), "errno 200");
    }
}
