//! The CPU that guests see, and that of the machine. The conditions are those of `model`.

use super::super::model::{CPU_FEAT_BYTES, CPU_SUBFUNC_BYTES, CpuMachine, CpuProcessor, attr};
use super::copy::{from_user, to_user};
use crate::abi::Errno;
use crate::abi::uvcb::UvCommand;
use crate::hypervisor::kernel::CpuModel;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;
use zerocopy::byteorder::big_endian::U64;

/// The model of the machine.
fn machine(guest: &Vm) -> CpuModel {
    let host = guest.host();
    CpuModel::of(&host.hardware().system, host.has(UvCommand::INIT_UV))
}

pub(super) fn get(guest: &Vm, attribute: u64, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let model = match attribute {
        attr::PROCESSOR | attr::PROCESSOR_FEAT | attr::PROCESSOR_SUBFUNC => guest.cpu_model(),
        _ => machine(guest),
    };
    let words = model.facilities.map(U64::new);
    match attribute {
        attr::PROCESSOR => {
            let value = CpuProcessor { cpuid: model.id.into(), ibc: model.ibc.into(), pad: [0; 6], fac_list: words };
            to_user(argument.data, &value)
        }
        attr::MACHINE => {
            let (low, high) = guest.host().hardware().system.ibc;
            let ibc = (u32::from(low) << 16 | u32::from(high)).into();
            let value = CpuMachine { cpuid: model.id.into(), ibc, pad: [0; 4], fac_mask: words, fac_list: words };
            to_user(argument.data, &value)
        }
        attr::PROCESSOR_FEAT | attr::MACHINE_FEAT => to_user(argument.data, &model.features.map(U64::new)),
        _ => to_user(argument.data, &model.subfunctions),
    }
    .map(|()| 0)
}

pub(super) fn set(guest: &Vm, attribute: u64, argument: &Argument<'_>) -> Result<u64, Errno> {
    let done = match attribute {
        attr::PROCESSOR => {
            let value: CpuProcessor = from_user(argument.data)?;
            let (low, high) = guest.host().hardware().system.ibc;
            guest.change_cpu_model(|model| {
                model.id = value.cpuid.get();
                // 0 is no control at all.
                model.ibc = match value.ibc.get() {
                    0 => model.ibc,
                    wanted => wanted.clamp(low, high),
                };
                model.facilities = value.fac_list.map(|word| word.get());
            })
        }
        attr::PROCESSOR_FEAT => {
            let value: [U64; CPU_FEAT_BYTES / 8] = from_user(argument.data)?;
            let offered = machine(guest).features;
            if value.iter().zip(&offered).any(|(wanted, offered)| wanted.get() & !offered != 0) {
                return Err(Errno::EINVAL);
            }
            guest.change_cpu_model(|model| model.features = value.map(|word| word.get()))
        }
        attr::PROCESSOR_SUBFUNC => {
            let value: [u8; CPU_SUBFUNC_BYTES] = from_user(argument.data)?;
            guest.change_cpu_model(|model| model.subfunctions = value)
        }
        _ => return Err(Errno::ENXIO),
    };
    done.map(|()| 0).map_err(|_| Errno::EBUSY)
}
