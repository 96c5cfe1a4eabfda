//! Resets of a machine (s390-ultravisor §5.5).

use uv_core::GuestAddr;

use super::{Devices, IplOptions, Unprotected, unprotect};
use crate::abi::Errno;
use crate::abi::psw::Psw;
use crate::hypervisor::GuestStorage;
use crate::hypervisor::kernel::MpState;
use crate::hypervisor::uapi::client::{self, PvError};
use crate::hypervisor::uapi::{KvmPv, request};
use crate::hypervisor::vmm::diag308::{IplStores, ResetRequest};

/// How the machine goes on after a reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AfterReset {
    /// A protected guest: the Ultravisor loaded the PSW at guest absolute 0, the initiating CPU is operating.
    Running,
    /// An ordinary guest: the VMM puts this PSW into the initiating CPU. `None` when the eight bytes at 0 are no short PSW.
    Psw(Option<Psw>),
    /// The VM is ordinary and all its CPUs are stopped. The VMM loads it anew: boot loader and PSW for CPU 0, which it then sets
    /// operating.
    Ipl(Unprotected),
}

/// A reset that failed. A VMM ends itself: the machine is in no known state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ResetError {
    /// A PV command was refused.
    #[error(transparent)]
    Command(#[from] PvError),
    /// A CPU could not be reset or set to a state.
    #[error("vCPU {cpu}: {errno}")]
    Cpu {
        /// The CPU.
        cpu: u16,
        /// The error number.
        errno: Errno,
    },
    /// The start of guest storage cannot be read.
    #[error("no storage at guest address 0")]
    NoStorage,
    /// The request is a start as a protected guest, which is no reset.
    #[error("a start as a protected guest is no reset")]
    NoReset,
}

/// Carries out subcode 0, 1 or 3 of DIAG 308.
///
/// The subsystem reset comes first, so that devices have let go of shared pages before those become private.
///
/// # Errors
/// [`ResetError`].
pub fn reset(
    devices: &mut dyn Devices,
    kvm: &dyn KvmPv,
    storage: &GuestStorage<'_>,
    options: &IplOptions,
    protected: bool,
    request: ResetRequest,
) -> Result<AfterReset, ResetError> {
    match request {
        ResetRequest::Protected => Err(ResetError::NoReset),
        ResetRequest::ReIpl => reload(devices, kvm, options, protected),
        ResetRequest::ModifiedClear => {
            devices.reset_subsystems();
            devices.reset_crypto();
            prepare(kvm, options, protected)?;
            for cpu in cpus(options) {
                reset_cpu(kvm, cpu, request::CLEAR_RESET)?;
            }
            load_normal(kvm, storage, options.initiator, protected)
        }
        ResetRequest::LoadNormal => {
            devices.reset_subsystems();
            prepare(kvm, options, protected)?;
            for cpu in &options.others {
                reset_cpu(kvm, *cpu, request::NORMAL_RESET)?;
            }
            reset_cpu(kvm, options.initiator, request::INITIAL_RESET)?;
            load_normal(kvm, storage, options.initiator, protected)
        }
    }
}

/// A reset from outside: as a re-IPL, but the IPIB of subcode 5 is forgotten. The PV IPIB stays.
///
/// # Errors
/// [`ResetError`].
pub fn external_reset(
    devices: &mut dyn Devices,
    kvm: &dyn KvmPv,
    stores: &mut IplStores,
    options: &IplOptions,
    protected: bool,
) -> Result<AfterReset, ResetError> {
    let after = reload(devices, kvm, options, protected)?;
    stores.external_reset();
    Ok(after)
}

fn reload(
    devices: &mut dyn Devices,
    kvm: &dyn KvmPv,
    options: &IplOptions,
    protected: bool,
) -> Result<AfterReset, ResetError> {
    devices.reset_subsystems();
    let how = if protected { unprotect(devices, kvm, options.async_disable)? } else { Unprotected::Now };
    for cpu in cpus(options) {
        reset_cpu(kvm, cpu, request::CLEAR_RESET)?;
    }
    devices.reset_crypto();
    Ok(AfterReset::Ipl(how))
}

/// For a protected guest: all CPUs stopped, all pages private, the configuration prepared.
fn prepare(kvm: &dyn KvmPv, options: &IplOptions, protected: bool) -> Result<(), ResetError> {
    if protected {
        for cpu in cpus(options) {
            set_state(kvm, cpu, MpState::Stopped)?;
        }
        client::unshare_all(kvm)?;
        client::prepare_reset(kvm)?;
    }
    Ok(())
}

fn load_normal(
    kvm: &dyn KvmPv,
    storage: &GuestStorage<'_>,
    cpu: u16,
    protected: bool,
) -> Result<AfterReset, ResetError> {
    if protected {
        set_state(kvm, cpu, MpState::Load)?;
        set_state(kvm, cpu, MpState::Operating)?;
        return Ok(AfterReset::Running);
    }
    let mut word = [0; 8];
    storage.read(GuestAddr(0), &mut word).map_err(|_| ResetError::NoStorage)?;
    set_state(kvm, cpu, MpState::Operating)?;
    Ok(AfterReset::Psw(Psw::from_short(u64::from_be_bytes(word))))
}

fn cpus(options: &IplOptions) -> impl Iterator<Item = u16> {
    core::iter::once(options.initiator).chain(options.others.iter().copied())
}

/// Every reset of a CPU stops it first.
fn reset_cpu(kvm: &dyn KvmPv, cpu: u16, number: u32) -> Result<(), ResetError> {
    set_state(kvm, cpu, MpState::Stopped)?;
    client::reset_cpu(kvm, cpu, number).map_err(|errno| ResetError::Cpu { cpu, errno })
}

fn set_state(kvm: &dyn KvmPv, cpu: u16, state: MpState) -> Result<(), ResetError> {
    client::set_mp_state(kvm, cpu, state).map_err(|errno| ResetError::Cpu { cpu, errno })
}
