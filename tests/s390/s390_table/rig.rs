//! The rig of single calls, as the rows use it.

use std::ops::Deref;

use uv_core::{HostAddr, NormalMemory};
use uv_s390::abi::sie::{InterceptionCode, Validity};
use uv_s390::abi::uvc::{Cc, PgmCode, UvRc, UvRrc};
use uv_s390::abi::uvcb::{Length, Share, UvCommand};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::sim::rig;
use uv_s390::sim::{Generation, GuestInsn, InsnResult};
use uv_sim::guest::{Outcome, Step, Transcript};

pub(crate) use rig::{COMPONENT, Codes, GIB, GUEST_LEN, Guest, MIB, OK, UV_BASE, Vcpu, diag, home, sealed, uvc};

/// End of the machine's memory.
pub(crate) const END: u64 = 4 * GIB;

pub(crate) fn refused(rc: u16) -> Codes {
    (Cc::Error, UvRc(rc), UvRrc(0))
}

/// A machine and what the rows do with it, beyond what every rig does.
pub(crate) struct Rig(rig::Rig);

impl Deref for Rig {
    type Target = rig::Rig;

    fn deref(&self) -> &rig::Rig {
        &self.0
    }
}

impl Rig {
    /// A machine after power-on.
    pub(crate) fn new(generation: Generation) -> Self {
        Self(rig::Rig::new(generation))
    }

    /// As [`Rig::new`], with a backup host key.
    pub(crate) fn with_backup(generation: Generation, backup_key: Option<HostPrivateKey>) -> Self {
        Self(rig::Rig::with(|config| (config.generation, config.backup_key) = (generation, backup_key)))
    }

    /// A machine whose Ultravisor is initialized.
    pub(crate) fn ready() -> Self {
        Self::ready_on(Generation::Z17)
    }

    pub(crate) fn ready_on(generation: Generation) -> Self {
        Self(rig::Rig::ready(generation))
    }

    pub(crate) fn booted_at(&self, n: u64, mso: u64, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Running {
        self.boot(self.guest_at(n, mso), steps)
    }

    /// Enters the CPU and holds that the entry is refused with this validity.
    pub(crate) fn refuses_entry(&self, guest: &Guest, cpu: Vcpu, validity: Validity) {
        assert_eq!(self.enter(guest, cpu).validity(), Some(validity));
    }

    /// Boots VM 0 with a program, runs it to its end and gives what its instructions gave back.
    pub(crate) fn run(&self, steps: impl IntoIterator<Item = Step<GuestInsn>>) -> Vec<InsnResult> {
        let (guest, cpu, seen) = self.booted(0, steps);
        assert_eq!(self.serve(&guest, cpu).interception(), InterceptionCode::WAIT);
        results(&seen)
    }

    /// Whether reading and writing the byte at `at` raise secure-storage access (0x3d).
    pub(crate) fn is_closed(&self, at: u64) -> bool {
        let page = HostAddr(at & !0xfff);
        self.0.is_closed(at) && self.machine.secure_access(page).code == PgmCode(0x3d)
    }

    pub(crate) fn word(&self, at: u64) -> u64 {
        let mut word = [0; 8];
        self.host.read(HostAddr(at), &mut word).unwrap();
        u64::from_be_bytes(word)
    }

    pub(crate) fn put(&self, at: u64, bytes: &[u8]) {
        self.host.write(HostAddr(at), bytes).unwrap();
    }
}

/// VM, its CPU, and what the CPU's program sees.
pub(crate) type Running = (Guest, Vcpu, Transcript<InsnResult>);

/// What instructions gave back.
pub(crate) fn results(seen: &Transcript<InsnResult>) -> Vec<InsnResult> {
    let results = seen.lock();
    let results = results.iter().filter_map(|outcome| match outcome {
        Outcome::Returned(result) => Some(result.clone()),
        _ => None,
    });
    results.collect()
}

/// The address of a PSW that is loaded after a reset: what the program started there puts into DIAG 0x9c.
pub(crate) const RESET_PSW: u64 = 42;

pub(crate) fn uvc_bytes(block: &[u8]) -> Step<GuestInsn> {
    Step::Call(GuestInsn::Uvc { block: block.to_vec() })
}

pub(crate) fn share(page: u64) -> Step<GuestInsn> {
    uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, page))
}

/// A block with nothing but a header.
pub(crate) fn header_only(command: UvCommand, len: u16) -> Vec<u8> {
    let mut block = vec![0; usize::from(len.max(8))];
    block[..2].copy_from_slice(&len.to_be_bytes());
    block[2..4].copy_from_slice(&command.0.to_be_bytes());
    block
}

/// cc and rc of a guest's call.
pub(crate) fn returned(result: &InsnResult) -> (u8, u16) {
    let InsnResult::Data { cc, bytes } = result else { panic!("{result:?}") };
    (*cc, u16::from_be_bytes([bytes[4], bytes[5]]))
}

/// The list H17 of the table: the host's commands that kvm-unit-tests goes through.
const HOST_COMMANDS: [(&str, UvCommand); 17] = [
    ("init", UvCommand::INIT_UV),
    ("create_conf", UvCommand::CREATE_SEC_CONF),
    ("destroy_conf", UvCommand::DESTROY_SEC_CONF),
    ("create_cpu", UvCommand::CREATE_SEC_CPU),
    ("destroy_cpu", UvCommand::DESTROY_SEC_CPU),
    ("conv_to", UvCommand::CONV_TO_SEC_STOR),
    ("conv_from", UvCommand::CONV_FROM_SEC_STOR),
    ("set_sec_conf_params", UvCommand::SET_SEC_CONF_PARAMS),
    ("unpack", UvCommand::UNPACK_IMG),
    ("verify", UvCommand::VERIFY_IMG),
    ("cpu_reset", UvCommand::CPU_RESET),
    ("cpu_reset_initial", UvCommand::CPU_RESET_INITIAL),
    ("prepare_reset", UvCommand::PREPARE_RESET),
    ("cpu_reset_clear", UvCommand::CPU_RESET_CLEAR),
    ("cpu_set_state", UvCommand::CPU_SET_STATE),
    ("pin", UvCommand::PIN_PAGE_SHARED),
    ("unpin", UvCommand::UNPIN_PAGE_SHARED),
];

/// The list H17 as items of a row: the command and the length of its block.
pub(crate) fn h17() -> impl Iterator<Item = (String, (UvCommand, u16))> {
    HOST_COMMANDS.into_iter().map(|(name, command)| {
        let (Length::Exact(len) | Length::AtLeast(len)) = command.info().unwrap().length;
        (name.to_owned(), (command, len))
    })
}

/// The list H16: H17 without INIT.
pub(crate) fn h16() -> impl Iterator<Item = (String, (UvCommand, u16))> {
    h17().skip(1)
}

/// Items with names of their own.
pub(crate) fn items<T>(named: impl IntoIterator<Item = (&'static str, T)>) -> Vec<(String, T)> {
    named.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}
