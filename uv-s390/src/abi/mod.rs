//! What all parties share: numbers, layouts, codes, and the seams. Definitions only, nothing here acts.
//!
//! Who uses it: all parties; a program names it where it reads a code or makes a control block of its own.
//!
//! | part | what |
//! |---|---|
//! | [`uvcb`] | control blocks of the UV call, the table of commands |
//! | [`uvc`] | the UV call itself: the seam, condition codes, rc and rrc, program interruptions |
//! | [`sie`] | the SIE instruction: the second seam, state description, SIDA, interception codes |
//! | [`psw`] | program status words, load controls |
//! | [`ap`] | crypto queues as a guest sees them: PQAP, NQAP, DQAP |
//! | [`dat`] | entries of translation tables |
//! | [`diag308`] | the instruction with which a guest resets itself or asks to be protected |
//! | [`ipib`] | the IPL information block |
//! | [`image`] | the metadata block of an image file |
//! | [`se_header`] | the Secure Execution header, its plain part and its checks |
//! | [`dump`] | a protected dump on its way to the owner, and its file |
//! | [`secret`] | types and ids of secrets, the secret list |
//! | [`Errno`] | error numbers of the kernels on both sides |

pub mod ap;
pub mod dat;
pub mod diag308;
pub mod dump;
mod errno;
pub mod image;
pub mod ipib;
pub mod psw;
pub mod se_header;
pub mod secret;
pub mod sie;
pub mod uvc;
pub mod uvcb;

pub use errno::Errno;
