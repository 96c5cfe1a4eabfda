//! A machine whose UV calls are issued one by one, with a small hypervisor around it (feature `dev`).
//!
//! Who uses it: tests of single calls and entries. For a machine with a whole hypervisor see `uv_s390::dev`.
//!
//! | file | what |
//! |---|---|
//! | here | [`Rig`]: the machine, its memory, a call |
//! | `vm` | [`Guest`] and [`Vcpu`]: created, with nothing wrong; [`Tables`], its page tables |
//! | `image` | an image of one component: sealed, unpacked, verified |
//! | `run` | a CPU that runs a script |
//! | `script` | steps of scripts, and what became of them |
//!
//! Everything panics where something else happens than usual: what a test wants to see refused it asks of [`Rig::call`].
#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod image;
mod run;
mod script;
mod vm;

use alloc::sync::Arc;

use spin::Once;
use uv_core::{AccessError, HostAddr, NormalMemory};

pub use image::{COMPONENT, PLAIN, START, sealed};
pub use script::{ANSWER, REQUEST, diag, loaded, requesting, returned, uvc};
pub use vm::{GUEST_LEN, Guest, Tables, Vcpu, home};

use super::{Generation, HostView, Machine, MachineConfig};
use crate::abi::uvc::{Block, Cc, ProgramInterruption, UvCall, UvRc, UvRrc};
use crate::abi::uvcb::{ConvertFrom, ConvertTo, InitUv, NoData, QueryInfo, Role, UvCommand};
use crate::owner::crypto::HostPrivateKey;

/// 1 GiB.
pub const GIB: u64 = 1 << 30;
/// 1 MiB.
pub const MIB: u64 = 1 << 20;
/// Storage for INIT_UV.
pub const UV_BASE: u64 = 3 * GIB;

/// Condition code, rc and rrc of a call.
pub type Codes = (Cc, UvRc, UvRrc);
/// A call that was executed.
pub const OK: Codes = (Cc::Done, UvRc::EXECUTED, UvRrc(0));

/// A call that was refused with this rc and no reason code.
#[must_use]
pub const fn refused(rc: UvRc) -> Codes {
    (Cc::Error, rc, UvRrc(0))
}

/// A machine of 4 GiB, and its query.
#[derive(Debug)]
pub struct Rig {
    /// The machine.
    pub machine: Arc<Machine>,
    /// Its memory, as the hypervisor reaches it.
    pub host: HostView,
    /// What it answers to a host's query.
    pub info: QueryInfo,
    /// Its host key.
    pub key: HostPrivateKey,
}

impl Rig {
    /// A machine after power-on. All of them have the same host key.
    #[must_use]
    pub fn new(generation: Generation) -> Self {
        Self::with(|config| config.generation = generation)
    }

    /// As [`Rig::new`], of the newest generation, with something else than usual.
    #[must_use]
    pub fn with(change: impl FnOnce(&mut MachineConfig)) -> Self {
        Self::made(|mut config| {
            change(&mut config);
            Machine::new(config)
        })
    }

    /// A machine that is made of the usual configuration in another way.
    #[must_use]
    pub fn made(make: impl FnOnce(MachineConfig) -> Machine) -> Self {
        static USUAL: Once<MachineConfig> = Once::new();
        let machine = Arc::new(make(USUAL.call_once(|| MachineConfig::new(7)).clone()));
        let key = machine.host_key.clone();
        let info = machine.generation().query(Role::Host);
        Self { host: machine.host_memory(), machine, info, key }
    }

    /// A machine whose Ultravisor is initialized.
    #[must_use]
    pub fn ready(generation: Generation) -> Self {
        let rig = Self::new(generation);
        assert_eq!(rig.init(UV_BASE, 0), OK);
        rig
    }

    /// INIT_UV with this origin, and the right length less `less`.
    pub fn init(&self, origin: u64, less: u64) -> Codes {
        self.call(&mut InitUv::new(origin, self.info.uv_base_stor_len.get() - less))
    }

    /// A UVC on these bytes.
    ///
    /// # Errors
    /// The program interruption.
    pub fn bytes(&self, block: &mut [u8]) -> Result<Codes, ProgramInterruption> {
        let cc = self.machine.uv_call(block)?;
        let half = |at: usize| u16::from_be_bytes([block[at], block[at + 1]]);
        Ok((cc, UvRc(half(4)), UvRrc(half(6))))
    }

    /// A UVC.
    ///
    /// # Errors
    /// As [`Rig::bytes`].
    pub fn try_call<B: Block>(&self, block: &mut B) -> Result<Codes, ProgramInterruption> {
        self.bytes(block.as_mut_bytes())
    }

    /// A UVC that ends with a condition code.
    pub fn call<B: Block>(&self, block: &mut B) -> Codes {
        self.try_call(block).unwrap()
    }

    /// The call with another length in its header.
    pub fn call_len<B: Block>(&self, block: &mut B, len: u16) -> Codes {
        block.as_mut_bytes()[..2].copy_from_slice(&len.to_be_bytes());
        self.call(block)
    }

    /// A call whose block is a handle and nothing else.
    pub fn no_data(&self, command: UvCommand, handle: u64) -> Codes {
        self.call(&mut NoData::new(command, handle))
    }

    /// A call on the page at a guest absolute address.
    pub fn convert(&self, command: UvCommand, guest: &Guest, addr: u64) -> Codes {
        self.call(&mut ConvertTo::new(command, guest.conf, guest.mso + addr))
    }

    /// Import of the page at a guest absolute address.
    pub fn import(&self, guest: &Guest, addr: u64) -> Codes {
        self.convert(UvCommand::CONV_TO_SEC_STOR, guest, addr)
    }

    /// A call on the frame at a host absolute address.
    pub fn storage(&self, command: UvCommand, at: u64) -> Codes {
        self.call(&mut ConvertFrom::new(command, at))
    }

    /// Export of the frame at a host absolute address.
    pub fn export(&self, at: u64) -> Codes {
        self.storage(UvCommand::CONV_FROM_SEC_STOR, at)
    }

    /// Whether reading and writing the byte at `at` raise secure-storage access (0x3d).
    #[must_use]
    pub fn is_closed(&self, at: u64) -> bool {
        let mut byte = [0];
        let read = self.host.read(HostAddr(at), &mut byte);
        let write = self.host.write(HostAddr(at), &byte);
        assert_eq!(read, write);
        read == Err(AccessError::Secure { at: HostAddr(at & !0xfff) })
    }
}
