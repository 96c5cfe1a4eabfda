//! INFO.

use core::mem::size_of;

use zerocopy::IntoBytes;

use super::super::{InfoDump, InfoHeader, InfoVm, info_id};
use super::copy::{from_user, to_user};
use crate::abi::Errno;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

/// The VM need not be protected. EINVAL for less room than header and payload, and for an unknown id.
pub(super) fn info(guest: &Vm, argument: &mut Argument<'_>) -> Result<(), Errno> {
    let mut header: InfoHeader = from_user(argument.data)?;
    if usize::try_from(header.len_max.get()).unwrap_or(usize::MAX) < size_of::<InfoHeader>() {
        return Err(Errno::EINVAL);
    }
    let query = guest.host().info();
    match header.id.get() {
        info_id::VM => {
            let payload = InfoVm {
                inst_calls: query.calls.words,
                max_cpus: (u64::from(query.max_guest_cpu_id.get()) + 1).into(),
                max_guests: u64::from(query.max_num_sec_conf.get()).into(),
                max_guest_addr: query.max_guest_address().into(),
                feature_indication: query.features,
            };
            store(argument.data, &mut header, payload.as_bytes())
        }
        info_id::DUMP => {
            let payload = InfoDump {
                cpu_buffer_len: query.cpu_stor_len,
                config_mem_buffer_per_1m: query.dump_storage_state_len,
                config_finalize_len: query.dump_finalize_len,
            };
            store(argument.data, &mut header, payload.as_bytes())
        }
        _ => Err(Errno::EINVAL),
    }
}

fn store(data: &mut [u8], header: &mut InfoHeader, payload: &[u8]) -> Result<(), Errno> {
    let length = size_of::<InfoHeader>() + payload.len();
    let written = u32::try_from(length).map_err(|_| Errno::EINVAL)?;
    if header.len_max.get() < written {
        return Err(Errno::EINVAL);
    }
    header.len_written = written.into();
    to_user(data, header)?;
    data.get_mut(size_of::<InfoHeader>()..length).ok_or(Errno::EFAULT)?.copy_from_slice(payload);
    Ok(())
}
