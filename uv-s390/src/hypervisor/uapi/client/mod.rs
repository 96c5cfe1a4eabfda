//! User space's side: each command as a function over [`KvmPv`]. The PV commands and those of the VM are here, those of a
//! vCPU in `vcpu`, interruptions in `interrupt`.
//!
//! Who uses it: the VMM.

mod interrupt;
mod vcpu;

use super::{
    Argument, DeviceAttr, Dmp, EnableCap, InfoDump, InfoHeader, InfoVm, KvmPv, MemoryRegion, PvCmd, PvCommand, SecParm,
    Target, Unp, attr, dump_sub, info_id, request,
};
use crate::abi::Errno;
use crate::abi::uvc::{UvRc, UvRrc};
use alloc::vec;
use alloc::vec::Vec;
use core::mem::size_of;
pub use interrupt::{
    inject, inject_cpu, inject_io, inject_machine_check, inject_program, inject_restart, inject_service,
};
use uv_core::{ErrorKind, GuestAddr, HostAddr};
pub use vcpu::{
    get_irq_state, get_one_reg, reset_cpu, run, set_initial_psw, set_irq_state, set_mp_state, set_one_reg, sida_read,
    sida_write, store_status,
};
use zerocopy::byteorder::big_endian::U64;
use zerocopy::{FromBytes, FromZeros, IntoBytes};

/// A command that failed, with the Ultravisor's codes where it was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{command}: {errno}, rc {rc}, rrc {rrc}")]
pub struct PvError {
    /// The command.
    pub command: PvCommand,
    /// The error number.
    pub errno: Errno,
    /// The Ultravisor's rc; 0 where it was not asked.
    pub rc: UvRc,
    /// Its rrc.
    pub rrc: UvRrc,
}

impl uv_core::Error for PvError {
    fn kind(&self) -> ErrorKind {
        match (self.command, self.errno, self.rc) {
            (_, Errno::ENOMEM, _) => ErrorKind::Exhausted,
            (_, Errno::EAGAIN | Errno::EINTR, _) => ErrorKind::Busy,
            (_, Errno::EFAULT, _) => ErrorKind::PageMissing,
            (_, Errno::ENOTTY, _) => ErrorKind::Unsupported,
            (PvCommand::VERIFY, _, UvRc::VERIFY_MISMATCH) | (PvCommand::SET_SEC_PARMS, _, UvRc::HEADER_CORRUPT) => {
                ErrorKind::Integrity
            }
            (PvCommand::SET_SEC_PARMS, _, UvRc::HEADER_KEY) => ErrorKind::Permission,
            (PvCommand::SET_SEC_PARMS, _, UvRc::HEADER_VERSION | UvRc::HEADER_PCF | UvRc::HEADER_SCF) => {
                ErrorKind::Unsupported
            }
            (_, _, UvRc(0)) => ErrorKind::WrongState,
            _ => ErrorKind::InvalidArgument,
        }
    }
}

/// How often a command is issued that a signal interrupts. QEMU goes on without end; a kernel whose process is to die would
/// answer so without end.
const INTERRUPTED_TRIES: u32 = 1 << 16;

/// Issues a PV command. One on the VM is issued again when a signal interrupted it (EINTR), with the same block.
fn pv(kvm: &dyn KvmPv, target: Target, command: PvCommand, data: &mut [u8], buffer: &mut [u8]) -> Result<(), PvError> {
    let mut cmd = PvCmd::new(command);
    let (number, tries) = match target {
        Target::Vm => (request::PV_COMMAND, INTERRUPTED_TRIES),
        Target::Vcpu(_) | Target::Flic => (request::PV_CPU_COMMAND, 1),
    };
    let mut result = Err(Errno::EINTR);
    for _ in 0..tries {
        let mut argument = Argument { value: 0, block: cmd.as_mut_bytes(), data: &mut *data, buffer: &mut *buffer };
        result = kvm.ioctl(target, number, &mut argument);
        if result != Err(Errno::EINTR) {
            break;
        }
    }
    result.map(|_| ()).map_err(|errno| PvError { command, errno, rc: UvRc(cmd.rc.get()), rrc: UvRrc(cmd.rrc.get()) })
}

macro_rules! plain {
    ($($(#[$doc:meta])* $name:ident => $command:ident;)*) => {$(
        $(#[$doc])*
        ///
        /// # Errors
        /// [`PvError`].
        pub fn $name(kvm: &dyn KvmPv) -> Result<(), PvError> {
            pv(kvm, Target::Vm, PvCommand::$command, &mut [], &mut [])
        }
    )*};
}

plain! {
    /// Begins protection.
    enable => ENABLE;
    /// Ends protection at once.
    disable => DISABLE;
    /// Verifies the unpacked image.
    verify => VERIFY;
    /// Prepares a reset.
    prepare_reset => PREP_RESET;
    /// Unshares all pages.
    unshare_all => UNSHARE_ALL;
    /// Sets the configuration aside.
    cleanup_prepare => ASYNC_CLEANUP_PREPARE;
    /// Ends what was set aside.
    cleanup_perform => ASYNC_CLEANUP_PERFORM;
}

/// Gives the SE header.
///
/// # Errors
/// [`PvError`] with the codes of SET_SEC_CONF_PARAMS.
pub fn set_sec_parms(kvm: &dyn KvmPv, header: &[u8]) -> Result<(), PvError> {
    let length = u64::try_from(header.len()).unwrap_or(u64::MAX);
    let mut parm = SecParm { origin: 0.into(), length: length.into() };
    let mut header = header.to_vec();
    pv(kvm, Target::Vm, PvCommand::SET_SEC_PARMS, parm.as_mut_bytes(), &mut header)
}

/// Unpacks a component.
///
/// # Errors
/// [`PvError`] with the codes of UNPACK_IMG.
pub fn unpack(kvm: &dyn KvmPv, address: u64, size: u64, tweak: u64) -> Result<(), PvError> {
    let mut unp = Unp { addr: address.into(), size: size.into(), tweak: tweak.into() };
    pv(kvm, Target::Vm, PvCommand::UNPACK, unp.as_mut_bytes(), &mut [])
}

/// Queries the limits of protected VMs.
///
/// # Errors
/// [`PvError`].
pub fn info_vm(kvm: &dyn KvmPv) -> Result<InfoVm, PvError> {
    info(kvm, info_id::VM)
}

/// Queries the buffer lengths of dumps.
///
/// # Errors
/// [`PvError`].
pub fn info_dump(kvm: &dyn KvmPv) -> Result<InfoDump, PvError> {
    info(kvm, info_id::DUMP)
}

fn info<T: FromBytes>(kvm: &dyn KvmPv, id: u32) -> Result<T, PvError> {
    let mut data = vec![0; size_of::<InfoHeader>() + size_of::<T>()];
    let len_max = u32::try_from(data.len()).unwrap_or(u32::MAX);
    let header = InfoHeader { id: id.into(), len_max: len_max.into(), ..InfoHeader::new_zeroed() };
    data[..size_of::<InfoHeader>()].copy_from_slice(header.as_bytes());
    pv(kvm, Target::Vm, PvCommand::INFO, &mut data, &mut [])?;
    T::read_from_bytes(&data[size_of::<InfoHeader>()..]).map_err(|_| PvError {
        command: PvCommand::INFO,
        errno: Errno::EFAULT,
        rc: UvRc(0),
        rrc: UvRrc(0),
    })
}

fn dump(kvm: &dyn KvmPv, target: Target, subcmd: u64, gaddr: u64, len: u64) -> Result<Vec<u8>, PvError> {
    let mut dmp = Dmp { subcmd: subcmd.into(), gaddr: gaddr.into(), buff_len: len.into(), ..Dmp::new_zeroed() };
    let mut buffer = vec![0; usize::try_from(len).unwrap_or(0)];
    pv(kvm, target, PvCommand::DUMP, dmp.as_mut_bytes(), &mut buffer).map(|()| buffer)
}

/// Begins a dump: no vCPU runs until it is complete.
///
/// # Errors
/// [`PvError`].
pub fn dump_init(kvm: &dyn KvmPv) -> Result<(), PvError> {
    dump(kvm, Target::Vm, dump_sub::INIT, 0, 0).map(|_| ())
}

/// Tweaks for `len` bytes of output, from the MiB at guest address `gaddr` on.
///
/// # Errors
/// [`PvError`].
pub fn dump_storage_state(kvm: &dyn KvmPv, gaddr: u64, len: u64) -> Result<Vec<u8>, PvError> {
    dump(kvm, Target::Vm, dump_sub::CONFIG_STOR_STATE, gaddr, len)
}

/// Ends a dump; `len` from [`info_dump`].
///
/// # Errors
/// [`PvError`].
pub fn dump_complete(kvm: &dyn KvmPv, len: u64) -> Result<Vec<u8>, PvError> {
    dump(kvm, Target::Vm, dump_sub::COMPLETE, 0, len)
}

/// Encrypted registers of a vCPU; `len` from [`info_dump`].
///
/// # Errors
/// [`PvError`].
pub fn dump_cpu(kvm: &dyn KvmPv, cpu: u16, len: u64) -> Result<Vec<u8>, PvError> {
    dump(kvm, Target::Vcpu(cpu), dump_sub::CPU, 0, len)
}

/// Whether the kernel has a capability.
///
/// # Errors
/// The error number.
pub fn has_capability(kvm: &dyn KvmPv, number: u64) -> Result<bool, Errno> {
    Ok(capability(kvm, number)? != 0)
}

/// How much the kernel has of a capability; 0 for nothing.
///
/// # Errors
/// The error number.
pub fn capability(kvm: &dyn KvmPv, number: u64) -> Result<u64, Errno> {
    let mut argument = Argument { value: number, ..Argument::default() };
    kvm.ioctl(Target::Vm, request::CHECK_EXTENSION, &mut argument)
}

/// Makes a vCPU.
///
/// # Errors
/// The error number: EINVAL for a number that is too high, EEXIST for one that is taken, EIO when the Ultravisor refused.
pub fn create_vcpu(kvm: &dyn KvmPv, cpu: u16) -> Result<(), Errno> {
    let mut argument = Argument { value: cpu.into(), ..Argument::default() };
    kvm.ioctl(Target::Vm, request::CREATE_VCPU, &mut argument).map(|_| ())
}

/// Switches a capability on, of the VM or of a vCPU.
///
/// # Errors
/// The error number: EINVAL for one that the kernel does not have; EBUSY for one that is too late.
pub fn enable_capability(kvm: &dyn KvmPv, target: Target, number: u64) -> Result<(), Errno> {
    let cap = u32::try_from(number).map_err(|_| Errno::EINVAL)?;
    let mut block = EnableCap { cap: cap.into(), ..EnableCap::new_zeroed() };
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(target, request::ENABLE_CAP, &mut argument).map(|_| ())
}

/// Adds a memory slot to an ordinary VM, moves it, or with a size of 0 takes it out. All three are multiples of 1 MiB;
/// `memory` is where the slot lies in user space, here host absolute.
///
/// # Errors
/// The error number.
pub fn set_memory(kvm: &dyn KvmPv, slot: u16, at: GuestAddr, size: u64, memory: HostAddr) -> Result<(), Errno> {
    let mut block = MemoryRegion {
        slot: u32::from(slot).into(),
        flags: 0.into(),
        guest_phys_addr: at.0.into(),
        memory_size: size.into(),
        userspace_addr: memory.0.into(),
    };
    let mut argument = Argument { block: block.as_mut_bytes(), ..Argument::default() };
    kvm.ioctl(Target::Vm, request::SET_USER_MEMORY_REGION, &mut argument).map(|_| ())
}

/// Reads an attribute of the CPU model; see [`attr`].
///
/// # Errors
/// The error number.
pub fn cpu_model(kvm: &dyn KvmPv, attr: u64) -> Result<u64, Errno> {
    let mut value = U64::new(0);
    device_attr(kvm, request::GET_DEVICE_ATTR, (attr::CPU_MODEL, attr), value.as_mut_bytes())?;
    Ok(value.get())
}

/// Sets an attribute of the CPU model.
///
/// # Errors
/// The error number.
pub fn set_cpu_model(kvm: &dyn KvmPv, attr: u64, value: u64) -> Result<(), Errno> {
    device_attr(kvm, request::SET_DEVICE_ATTR, (attr::CPU_MODEL, attr), U64::new(value).as_mut_bytes())
}

/// The highest guest address that the VM was made for, in bytes.
///
/// # Errors
/// The error number.
pub fn memory_limit(kvm: &dyn KvmPv) -> Result<u64, Errno> {
    let mut value = U64::new(0);
    device_attr(kvm, request::GET_DEVICE_ATTR, MEMORY_LIMIT, value.as_mut_bytes())?;
    Ok(value.get())
}

/// Lowers the highest address that the guest's tables reach, before there is a vCPU.
///
/// # Errors
/// The error number: E2BIG for more than [`memory_limit`], EBUSY with vCPUs.
pub fn set_memory_limit(kvm: &dyn KvmPv, limit: u64) -> Result<(), Errno> {
    device_attr(kvm, request::SET_DEVICE_ATTR, MEMORY_LIMIT, U64::new(limit).as_mut_bytes())
}

const MEMORY_LIMIT: (u32, u64) = (attr::MEM_CTRL, attr::LIMIT_SIZE);

fn device_attr(kvm: &dyn KvmPv, number: u32, (group, attr): (u32, u64), data: &mut [u8]) -> Result<(), Errno> {
    let mut block = DeviceAttr::new(group, attr);
    let mut argument = Argument { block: block.as_mut_bytes(), data, ..Argument::default() };
    kvm.ioctl(Target::Vm, number, &mut argument).map(|_| ())
}
