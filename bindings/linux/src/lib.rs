//! The user APIs of [`uv_s390`] on the devices of a real Linux, so that a Rust VMM or guest tool written against the library runs
//! on a mainframe unchanged.
//!
//! | type | device | side |
//! |---|---|---|
//! | [`Kvm`] | `/dev/kvm` | the hypervisor's user space: makes a [`Vm`] |
//! | [`Vm`] | its file descriptors | [`KvmPv`](uv_s390::hypervisor::uapi::KvmPv): all ioctls of the library |
//! | [`Uv`] | `/dev/uv` | a program in a protected guest: [`Ioctl`](uv_s390::guest::uvdevice::Ioctl)s |
//!
//! Which field of which structure is an address is said by [`addresses`](uv_s390::hypervisor::uapi::addresses), which also says how
//! much the kernel copies there: an ioctl is issued only when all of it lies in the caller's slices, and one that the table does
//! not have is not issued at all. Structures are those of s390, big endian.
//!
//! What is tested without the hardware: the same program, once on the simulated machine in its own process and once through the
//! device nodes of `uv-devices`, gives the same results. What is not: a real kernel.

mod call;
mod kvm;
mod map;
mod uv;
mod vm;

pub use kvm::Kvm;
pub use uv::Uv;
pub use vm::Vm;
