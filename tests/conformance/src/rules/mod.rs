//! The rules, by subject.

pub(crate) mod isolation;
pub(crate) mod lifecycle;
pub(crate) mod paging;
pub(crate) mod random;
pub(crate) mod running;
pub(crate) mod sealing;
pub(crate) mod sharing;

/// What a guest writes when nobody else may see it.
pub(crate) const SECRET: &[u8] = b"<< a secret of the guest, 40 bytes long >>";
