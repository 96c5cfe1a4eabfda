//! Response and reason codes. The first group holds for all commands; codes from 0x0100 on mean something else for each
//! command, and carry its name.

use core::fmt;

/// Response code (rc) of a UV call. Open: any value may come from a machine.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UvRc(pub u16);

/// Response reason code (rrc) of a UV call. Open; 0 where the sources name none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct UvRrc(pub u16);

macro_rules! codes {
    ($type:ident: $($(#[$doc:meta])* $name:ident = $value:literal;)*) => {
        impl $type {
            $($(#[$doc])* pub const $name: Self = Self($value);)*
        }
    };
}

codes! { UvRc:
    /// Done.
    EXECUTED = 0x0001;
    /// The command is unknown, not installed, or not for this role.
    INVALID_COMMAND = 0x0002;
    /// The Ultravisor is not in the state for this command, for example not initialized.
    INVALID_STATE = 0x0003;
    /// The length in the header is not the command's.
    INVALID_LENGTH = 0x0005;
    /// A partial operation cannot be continued.
    NO_RESUME = 0x0007;
    /// No configuration has this handle.
    INVALID_CONF_HANDLE = 0x0020;
    /// No CPU has this handle.
    INVALID_CPU_HANDLE = 0x0021;
    /// The home address space is a real space.
    HOME_REAL_SPACE = 0x0030;
    /// An address in the block cannot be translated.
    TRANSLATION = 0x0031;
    /// An address in the block translates to an invalid absolute address.
    INVALID_ABSOLUTE = 0x0032;
    /// Query and list: there is more than fits; what was stored is valid.
    MORE_DATA = 0x0100;

    /// INIT_UV: done before.
    INIT_ALREADY = 0x0101;
    /// INIT_UV: more than one host CPU is running.
    INIT_CPUS = 0x0102;
    /// INIT_UV: the storage length is not the one from the query.
    INIT_LENGTH = 0x0103;
    /// INIT_UV: the storage origin is not 1 MiB aligned.
    INIT_ORIGIN = 0x0104;
    /// INIT_UV: the storage, or its end, is not available.
    INIT_STORAGE = 0x0105;
    /// INIT_UV: the storage is below 2 GiB.
    INIT_BELOW_2G = 0x0108;

    /// CREATE_SEC_CONF: guest storage begins beyond the highest guest address.
    CONF_MSO = 0x0101;
    /// CREATE_SEC_CONF: guest storage ends beyond the highest guest address.
    CONF_MSL = 0x0102;
    /// CREATE_SEC_CONF: the ASCE belongs to another configuration.
    CONF_ASCE_USED = 0x0104;
    /// CREATE_SEC_CONF: the ASCE is malformed: private bit off or a reserved bit on.
    CONF_ASCE = 0x0105;
    /// CREATE_SEC_CONF: exists, meaning not published.
    CONF_0106 = 0x0106;
    /// CREATE_SEC_CONF: base storage is not available.
    CONF_BASE = 0x0108;
    /// CREATE_SEC_CONF: base storage overlaps the lowcore.
    CONF_BASE_LOWCORE = 0x0109;
    /// CREATE_SEC_CONF: exists, meaning not published; here: variable storage is not available.
    CONF_VARIABLE = 0x010a;
    /// CREATE_SEC_CONF: exists, meaning not published; here: flags that the machine does not support.
    CONF_FLAGS = 0x010b;
    /// CREATE_SEC_CONF: the SCA origin is 0.
    CONF_SCA_ZERO = 0x010c;
    /// CREATE_SEC_CONF: the SCA is not accessible.
    CONF_SCA = 0x010d;

    /// DESTROY_SEC_CONF_FAST: AP queues are still bound.
    DESTROY_FAST_AP = 0x0104;

    /// CREATE_SEC_CPU: the number is above the highest CPU number.
    CPU_NUMBER = 0x0103;
    /// CREATE_SEC_CPU: the number is taken.
    CPU_DEFINED = 0x0104;
    /// CREATE_SEC_CPU: CPU storage is not available.
    CPU_STORAGE = 0x0105;
    /// CREATE_SEC_CPU: CPU storage overlaps the lowcore.
    CPU_STORAGE_LOWCORE = 0x0106;
    /// CREATE_SEC_CPU: the state description is not available.
    CPU_STATE_DESCRIPTION = 0x0107;

    /// SET_SEC_CONF_PARAMS: the SE header cannot be read.
    HEADER_ACCESS = 0x0103;
    /// SET_SEC_CONF_PARAMS: unknown version of the SE header.
    HEADER_VERSION = 0x0104;
    /// SET_SEC_CONF_PARAMS: unsupported plaintext control flag.
    HEADER_PCF = 0x0106;
    /// SET_SEC_CONF_PARAMS: no key slot opens.
    HEADER_KEY = 0x0108;
    /// SET_SEC_CONF_PARAMS: unsupported secret control flag.
    HEADER_SCF = 0x0109;
    /// SET_SEC_CONF_PARAMS: the SE header is corrupt.
    HEADER_CORRUPT = 0x010a;

    /// UNPACK_IMG and CONV_TO_SEC_STOR: the host mapping is missing or not writable; fault it in and call again.
    NOT_MAPPED = 0x010a;
    /// VERIFY_IMG: the image is not the one the header describes.
    VERIFY_MISMATCH = 0x0102;
    /// UNPACK_IMG: the page is or was secure. CONV_TO_SEC_STOR: it is secure already, where a machine refuses that.
    ALREADY_SECURE = 0x0104;
    /// DESTR_SEC_STOR on older firmware: the page is not secure.
    NOT_SECURE = 0x0107;

    /// VERIFY_LARGE_FRAME: the address is outside the guest's storage.
    LARGE_RANGE = 0x0103;
    /// VERIFY_LARGE_FRAME: the 4 KiB pages are not those of one frame in order.
    LARGE_ORDER = 0x0104;
    /// VERIFY_LARGE_FRAME: not all 256 pages are secure.
    LARGE_INCOMPLETE = 0x0106;
    /// VERIFY_LARGE_FRAME: the host mapping does not match.
    LARGE_MAPPING = 0x0107;
    /// VERIFY_LARGE_FRAME: mapped by a 2 GiB region entry.
    LARGE_REGION = 0x0108;

    /// SET_SHARED_ACCESS and REMOVE_SHARED_ACCESS: the address is not in guest storage.
    SHARE_RANGE = 0x0101;

    /// RETR_ATTEST: bad continuation token.
    ATTEST_TOKEN = 0x0101;
    /// RETR_ATTEST: user data longer than 256 bytes.
    ATTEST_USER_DATA = 0x0102;
    /// RETR_ATTEST: the request cannot be read.
    ATTEST_ACCESS = 0x0103;
    /// RETR_ATTEST: the measurement area cannot be written.
    ATTEST_MEASUREMENT_ACCESS = 0x0104;
    /// RETR_ATTEST: the additional-data area cannot be written.
    ATTEST_ADDITIONAL_ACCESS = 0x0105;
    /// RETR_ATTEST: unsupported version of the request.
    ATTEST_VERSION = 0x0106;
    /// RETR_ATTEST: the length of the request does not fit its version and slots.
    ATTEST_LENGTH = 0x0107;
    /// RETR_ATTEST: no key slot, or too many.
    ATTEST_SLOTS = 0x0108;
    /// RETR_ATTEST: wrong size of the encrypted area.
    ATTEST_ENCRYPTED_SIZE = 0x0109;
    /// RETR_ATTEST: unsupported plaintext flag.
    ATTEST_FLAGS = 0x010a;
    /// RETR_ATTEST: unsupported measurement algorithm.
    ATTEST_ALGORITHM = 0x010b;
    /// RETR_ATTEST: the request cannot be opened: no matching slot, or wrong tag.
    ATTEST_OPEN = 0x010c;
    /// RETR_ATTEST: the measurement buffer is too small.
    ATTEST_MEASUREMENT_SIZE = 0x010d;
    /// RETR_ATTEST: the additional-data buffer is too small.
    ATTEST_ADDITIONAL_SIZE = 0x010e;

    /// ADD_SECRET and LOCK_SECRETS: the secret store may not be changed.
    SECRET_NOT_ALLOWED = 0x0101;
    /// ADD_SECRET and LOCK_SECRETS: the store is locked.
    SECRET_LOCKED = 0x0102;
    /// ADD_SECRET: the request cannot be read.
    SECRET_ACCESS = 0x0103;
    /// ADD_SECRET: unsupported version.
    SECRET_VERSION = 0x0104;
    /// ADD_SECRET: the sizes do not fit.
    SECRET_SIZE = 0x0105;
    /// ADD_SECRET: wrong number of key slots.
    SECRET_SLOTS = 0x0106;
    /// ADD_SECRET: unsupported flag.
    SECRET_FLAGS = 0x0107;
    /// ADD_SECRET: the request cannot be opened.
    SECRET_OPEN = 0x0108;
    /// ADD_SECRET: unsupported type of secret.
    SECRET_TYPE = 0x0109;
    /// ADD_SECRET: wrong length of the secret.
    SECRET_LENGTH = 0x010a;
    /// ADD_SECRET: the store is full.
    SECRET_FULL = 0x010b;
    /// ADD_SECRET: the secret cannot be added.
    SECRET_UNABLE = 0x010c;
    /// ADD_SECRET: a dump is in progress.
    SECRET_DUMPING = 0x010d;
    /// RETR_SECRET: the buffer cannot be written.
    RETRIEVE_ACCESS = 0x0102;
    /// RETR_SECRET: the buffer is too small.
    RETRIEVE_SIZE = 0x0109;
    /// RETR_SECRET: the store is empty.
    RETRIEVE_EMPTY = 0x010f;
    /// RETR_SECRET: there is no secret with this index.
    RETRIEVE_INDEX = 0x0110;
    /// RETR_SECRET: the secret is not one that can be retrieved.
    RETRIEVE_TYPE = 0x0111;

    /// Not published, chosen here: the configuration, CPU or page is in a state in which this command is refused.
    STATE = 0x01f0;
    /// Not published, chosen here: import of a page whose content is not the newest that was exported for it.
    STORAGE_INTEGRITY = 0x01f1;
    /// Not published, chosen here: the frame belongs to another configuration, or to another address of this one.
    FOREIGN_FRAME = 0x01f3;
    /// Not published, chosen here: an address is not aligned or lies outside the guest's storage.
    ADDRESS = 0x01f4;
    /// Not published, chosen here: the guest's owner did not allow this (a dump without PCF bit 34).
    NOT_ALLOWED = 0x01f5;
}

codes! { UvRrc:
    /// SET_SEC_CONF_PARAMS 0104: the version is not supported.
    HEADER_VERSION = 0x0001;
    /// SET_SEC_CONF_PARAMS 0108: no key slot is for this machine's host key.
    NO_SLOT = 0x0005;
    /// SET_SEC_CONF_PARAMS 0108: the customer key is not valid.
    CUSTOMER_KEY = 0x000b;
    /// DESTR_SEC_STOR 0107: the page is not secure.
    NOT_SECURE = 0x000d;
    /// VERIFY_IMG 0102: digest of the addresses.
    ADDRESS_LIST = 0x001a;
    /// VERIFY_IMG 0102: digest of the pages.
    PAGE_LIST = 0x001b;
    /// VERIFY_IMG 0102: digest of the tweaks.
    TWEAK_LIST = 0x001c;
    /// VERIFY_IMG 0102: number of pages.
    PAGE_COUNT = 0x001d;
    /// SET_SEC_CONF_PARAMS 0106: plaintext control flag.
    PCF = 0x0030;
    /// SET_SEC_CONF_PARAMS 010a: length of the header.
    HEADER_LENGTH = 0x0031;
    /// SET_SEC_CONF_PARAMS 0108: the backup host key does not match.
    BACKUP_KEY = 0x0034;
    /// SET_SEC_CONF_PARAMS 010a: size of the encrypted area.
    ENCRYPTED_SIZE = 0x0039;
    /// SET_SEC_CONF_PARAMS 010a: no key slots.
    NO_SLOTS = 0x0040;
}

impl UvRc {
    /// Flag on an error of CREATE_SEC_CONF: the configuration exists in part, the returned handle is live, and
    /// DESTROY_SEC_CONF must be issued before the donated storage is used again.
    pub const DESTROY_FLAG: u16 = 0x8000;

    /// Whether [`UvRc::DESTROY_FLAG`] is set.
    #[must_use]
    pub const fn needs_destroy(self) -> bool {
        self.0 & Self::DESTROY_FLAG != 0
    }

    /// The code without [`UvRc::DESTROY_FLAG`].
    #[must_use]
    pub const fn base(self) -> Self {
        Self(self.0 & !Self::DESTROY_FLAG)
    }

    /// The code with [`UvRc::DESTROY_FLAG`].
    #[must_use]
    pub const fn with_destroy(self) -> Self {
        Self(self.0 | Self::DESTROY_FLAG)
    }
}

macro_rules! shown {
    ($($type:ident),*) => {$(
        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($type), "({:#06x})"), self.0)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:#06x}", self.0)
            }
        }
    )*};
}
shown!(UvRc, UvRrc);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_destroy_flag_comes_off() {
        let rc = UvRc::CONF_SCA.with_destroy();
        assert_eq!(rc, UvRc(0x810d));
        assert!(rc.needs_destroy() && !rc.base().needs_destroy());
        assert_eq!(rc.base(), UvRc::CONF_SCA);
    }
}
