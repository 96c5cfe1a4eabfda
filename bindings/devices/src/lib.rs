//! `/dev/kvm` and `/dev/uv` of a simulated IBM Z machine, for programs that nobody changed.
//!
//! ```text
//!  program ── preload object ══ socket ══ daemon: one thread for each of the program's ── uv-s390
//!     │ open, ioctl, close        │ copy from and to the program's memory
//!     │ /sys/firmware/uv          │ close and open its pages, share them
//! ```
//! The preload object (`preload/preload.c`) knows no ioctl. The daemon reads an ioctl's structures from the program's memory as
//! a kernel does, and hands them to [`uv_s390`]: what a device answers is said there, not here.
//!
//! | module | job |
//! |---|---|
//! | [`run`] | the command |
//! | [`program`] | the program's architecture, preload object and process |
//! | [`daemon`], [`object`] | what stands behind a file descriptor |
//! | [`mod@line`] | the messages |
//! | [`uv`], [`byte_order`] | `/dev/uv` |
//! | [`kvm`] | `/dev/kvm` |
//! | [`log`] | what was asked and answered |

pub mod byte_order;
pub mod daemon;
pub mod kvm;
pub mod line;
pub mod log;
pub mod object;
pub mod program;
pub mod run;
pub mod uv;
