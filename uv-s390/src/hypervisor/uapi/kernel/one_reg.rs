//! `KVM_GET_ONE_REG`, `KVM_SET_ONE_REG`.

use super::super::one_reg::{OneReg, RegId};
use super::copy::from_user;
use crate::abi::Errno;
use crate::abi::sie::StateDescription;
use crate::hypervisor::kernel::Registers;
use crate::hypervisor::kernel::Vm;
use crate::hypervisor::uapi::Argument;

/// EINVAL for a protected CPU, whose registers are out of reach, and for an unknown id; EFAULT.
pub(super) fn get(guest: &Vm, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let id = id(guest, cpu, argument)?;
    let (mut registers, mut state) =
        (guest.registers(cpu).map_err(|_| Errno::EINVAL)?, guest.state(cpu).map_err(|_| Errno::EINVAL)?);
    let found = place(id, &mut registers, &mut state).map(|place| place.get());
    let value = found.ok_or(Errno::EINVAL)?.to_be_bytes();
    let bytes = argument.data.get_mut(..id.size()).ok_or(Errno::EFAULT)?;
    bytes.copy_from_slice(&value[8 - id.size()..]);
    Ok(0)
}

/// As [`get`].
pub(super) fn set(guest: &Vm, cpu: u16, argument: &mut Argument<'_>) -> Result<u64, Errno> {
    let id = id(guest, cpu, argument)?;
    let mut known = false;
    let mut value = [0; 8];
    let copied = argument.data.get(..id.size().min(8)).map(|bytes| value[8 - bytes.len()..].copy_from_slice(bytes));
    guest
        .change_registers(cpu, |registers, state| {
            if let Some(place) = place(id, registers, state) {
                known = true;
                if copied.is_some() {
                    place.set(u64::from_be_bytes(value));
                }
            }
        })
        .map_err(|_| Errno::EINVAL)?;
    match (known, copied) {
        (false, _) => Err(Errno::EINVAL),
        (true, None) => Err(Errno::EFAULT),
        (true, Some(())) => Ok(0),
    }
}

fn id(guest: &Vm, cpu: u16, argument: &Argument<'_>) -> Result<RegId, Errno> {
    if guest.is_cpu_protected(cpu) {
        return Err(Errno::EINVAL);
    }
    Ok(RegId(from_user::<OneReg>(argument.block)?.id.get()))
}

/// Where a register is kept.
enum Place<'a> {
    Word(&'a mut zerocopy::byteorder::big_endian::U32),
    Double(&'a mut zerocopy::byteorder::big_endian::U64),
    File(&'a mut u64),
}

impl Place<'_> {
    fn get(&self) -> u64 {
        match self {
            Self::Word(value) => value.get().into(),
            Self::Double(value) => value.get(),
            Self::File(value) => **value,
        }
    }

    fn set(self, new: u64) {
        match self {
            Self::Word(value) => {
                let [_, _, _, _, low @ ..] = new.to_be_bytes();
                *value = u32::from_be_bytes(low).into();
            }
            Self::Double(value) => *value = new.into(),
            Self::File(value) => *value = new,
        }
    }
}

fn place<'a>(id: RegId, registers: &'a mut Registers, state: &'a mut StateDescription) -> Option<Place<'a>> {
    Some(match id {
        RegId::TODPR => Place::Word(&mut state.todpr),
        RegId::EPOCHDIFF => Place::Double(&mut state.epoch),
        RegId::CPU_TIMER => Place::Double(&mut state.cpu_timer),
        RegId::CLOCK_COMP => Place::Double(&mut state.clock_comparator),
        RegId::PFTOKEN => Place::File(&mut registers.pfault_token),
        RegId::PFCOMPARE => Place::File(&mut registers.pfault_compare),
        RegId::PFSELECT => Place::File(&mut registers.pfault_select),
        RegId::PP => Place::Double(&mut state.pp),
        RegId::GBEA => Place::Double(&mut state.sidad),
        _ => return None,
    })
}
