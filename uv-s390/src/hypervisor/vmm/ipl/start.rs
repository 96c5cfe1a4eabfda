//! DIAG 308 subcode 10: the start as a protected guest.

use alloc::vec;
use alloc::vec::Vec;

use uv_core::{GuestAddr, PageSize};

use super::{Devices, NoDevices, StartError, StartStep, Unprotected, unprotect};
use crate::abi::Errno;
use crate::abi::ipib::{Component, IpibView, MAX_SE_HEADER_LENGTH};
use crate::hypervisor::GuestStorage;
use crate::hypervisor::kernel::MpState;
use crate::hypervisor::uapi::{KvmPv, capability, client, request};

/// How to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IplOptions {
    /// The CPU that issued DIAG 308.
    pub initiator: u16,
    /// All other CPUs.
    pub others: Vec<u16>,
    /// Tell the guest which command failed and with which codes (newer QEMU).
    pub details: bool,
    /// On failure, end protection asynchronously where the kernel can.
    pub async_disable: bool,
}

impl Default for IplOptions {
    /// CPU 0 alone, with details, protection ended at once.
    fn default() -> Self {
        Self { initiator: 0, others: Vec::new(), details: true, async_disable: false }
    }
}

/// A protected guest that runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Started {
    /// Image pages handed over.
    pub pages: u64,
    /// The components of the IPIB, with lengths rounded up to pages.
    pub components: Vec<Component>,
}

/// [`start_with`] on a machine without devices.
///
/// # Errors
/// As [`start_with`].
pub fn start(
    kvm: &dyn KvmPv,
    storage: &GuestStorage<'_>,
    ipib: &[u8],
    options: &IplOptions,
    report: &mut dyn FnMut(StartStep),
) -> Result<Started, StartError> {
    start_with(&mut NoDevices, kvm, storage, ipib, options, report)
}

/// Carries out the request of DIAG 308 subcode 10 (s390-ultravisor §5.4).
///
/// Who calls: the VMM, when all CPUs have stopped. `ipib` is the block that subcode 8 stored; `storage` is guest storage as
/// the VMM reaches it, which the SE header is copied from. `report` is told each step before it begins.
///
/// After success the VM is protected and its initiating CPU is operating at the PSW of the SE header.
///
/// # Errors
/// [`StartError`]. Every step done before is undone: the VM is ordinary, migration and discarding are allowed again, the
/// initiating CPU is operating, and its GR r1+1 has to be set to the error's response.
pub fn start_with(
    devices: &mut dyn Devices,
    kvm: &dyn KvmPv,
    storage: &GuestStorage<'_>,
    ipib: &[u8],
    options: &IplOptions,
    report: &mut dyn FnMut(StartStep),
) -> Result<Started, StartError> {
    let result = prepare(devices, kvm, options, report).and_then(|()| {
        load_image(kvm, storage, ipib, options, report).inspect_err(|error| {
            tracing::info!(step = %error.step, rc = %error.rc, rrc = %error.rrc, "start as a protected guest failed");
        }).map_err(|error| undo(devices, kvm, options, error))
    });
    if result.is_err() {
        // The guest goes on behind its DIAG 308.
        let _ = client::set_mp_state(kvm, options.initiator, MpState::Operating);
    }
    result
}

/// Steps 1 to 6. Undoes its own.
fn prepare(
    devices: &mut dyn Devices,
    kvm: &dyn KvmPv,
    options: &IplOptions,
    report: &mut dyn FnMut(StartStep),
) -> Result<(), StartError> {
    report(StartStep::Reset);
    devices.reset_subsystems();
    devices.reset_crypto();
    let reset = |cpu, number| {
        let stopped = client::set_mp_state(kvm, cpu, MpState::Stopped);
        stopped
            .and_then(|()| client::reset_cpu(kvm, cpu, number))
            .map_err(|errno| StartError::errno(StartStep::Reset, errno))
    };
    for cpu in &options.others {
        reset(*cpu, request::CLEAR_RESET)?;
    }
    reset(options.initiator, request::NORMAL_RESET)?;

    report(StartStep::ForbidDiscard);
    devices.forbid_discard(true).map_err(|_| StartError::refused(StartStep::ForbidDiscard))?;
    report(StartStep::ForbidMigration);
    if devices.forbid_migration(true).is_err() {
        let _ = devices.forbid_discard(false);
        return Err(StartError::refused(StartStep::ForbidMigration));
    }
    report(StartStep::Enable);
    if let Err(error) = client::enable(kvm) {
        let _ = devices.forbid_migration(false);
        let _ = devices.forbid_discard(false);
        return Err(StartError::command(StartStep::Enable, error, options.details));
    }
    devices.set_protected(true);
    Ok(())
}

/// Steps 7 to 11.
fn load_image(
    kvm: &dyn KvmPv,
    storage: &GuestStorage<'_>,
    ipib: &[u8],
    options: &IplOptions,
    report: &mut dyn FnMut(StartStep),
) -> Result<Started, StartError> {
    let failed = |step, error| StartError::command(step, error, options.details);
    if client::has_capability(kvm, capability::PROTECTED_DUMP).unwrap_or(false) {
        report(StartStep::Info);
        client::info_vm(kvm).map_err(|error| failed(StartStep::Info, error))?;
        client::info_dump(kvm).map_err(|error| failed(StartStep::Info, error))?;
    }
    let ipib = IpibView::new(ipib);
    report(StartStep::SetParameters);
    let header =
        read_header(storage, &ipib).ok_or_else(|| StartError::errno(StartStep::SetParameters, Errno::EFAULT))?;
    client::set_sec_parms(kvm, &header).map_err(|error| failed(StartStep::SetParameters, error))?;

    let mut started = Started { pages: 0, components: Vec::new() };
    for (index, component) in (0..).zip(ipib.components()) {
        let step = StartStep::Unpack(index);
        report(step);
        let address = component.address.get();
        let length = round_up(component.length.get()).ok_or_else(|| StartError::errno(step, Errno::EINVAL))?;
        client::unpack(kvm, address, length, component.tweak_prefix.get()).map_err(|error| failed(step, error))?;
        started.pages += PageSize::K4.pages_for(length);
        started.components.push(Component { length: length.into(), ..component });
    }
    report(StartStep::Verify);
    client::verify(kvm).map_err(|error| failed(StartStep::Verify, error))?;

    report(StartStep::Load);
    for state in [MpState::Load, MpState::Operating] {
        client::set_mp_state(kvm, options.initiator, state)
            .map_err(|errno| StartError::errno(StartStep::Load, errno))?;
    }
    Ok(started)
}

/// Out of protection after a failure of steps 7 to 11.
fn undo(devices: &mut dyn Devices, kvm: &dyn KvmPv, options: &IplOptions, mut error: StartError) -> StartError {
    match unprotect(devices, kvm, options.async_disable) {
        Ok(Unprotected::Now) => {}
        Ok(Unprotected::SetAside) => error.cleanup_pending = true,
        Err(_) => error.fatal = true,
    }
    error
}

fn read_header(storage: &GuestStorage<'_>, ipib: &IpibView<'_>) -> Option<Vec<u8>> {
    let length = ipib.header_length();
    if length > MAX_SE_HEADER_LENGTH {
        return None;
    }
    let mut header = vec![0; usize::try_from(length).ok()?];
    storage.read(GuestAddr(ipib.header_address()), &mut header).ok()?;
    Some(header)
}

fn round_up(length: u64) -> Option<u64> {
    length.checked_next_multiple_of(PageSize::K4.size())
}
