//! Which field of which structure is an address, and how much lies there: what turns an ioctl with addresses into an
//! [`Argument`](super::Argument), and back.
//!
//! Who uses it: user space and kernel.
//!
//! A kernel's side reads the block from user space, asks [`data`] with it, reads the head of the data, asks [`data_length`] and
//! [`buffer`] with both. User space's side asks the same, and stores the addresses of its slices in the fields that are named.
//!
//! | ioctl | data | buffer |
//! |---|---|---|
//! | KVM_S390_PV_COMMAND, KVM_S390_PV_CPU_COMMAND | the command's structure, at `data` | the SE header, at `origin`; the dump's buffer, at `buff_addr` |
//! | KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR | the value, at `addr` | |
//! | KVM_GET_ONE_REG, KVM_SET_ONE_REG | the register, at `addr` | |
//! | KVM_S390_MEM_OP | the bytes, at `buf` | the old value, at `old_addr` |
//! | KVM_S390_GET_SKEYS, KVM_S390_SET_SKEYS | the keys, at `skeydata_addr` | |
//! | KVM_S390_GET_IRQ_STATE, KVM_S390_SET_IRQ_STATE | the interruptions, at `buf` | |

use core::mem::{offset_of, size_of};

use zerocopy::FromBytes;

use super::flic::{IoAdapter, IoAdapterReq, flic_group};
use super::model::{CPU_FEAT_BYTES, CPU_SUBFUNC_BYTES, CpuMachine, CpuProcessor, DeviceAttr, TodClock, attr};
use super::storage::{MemOp, SKeys, mem_op, mem_op_flags};
use super::structs::{
    CreateDevice, Dmp, EnableCap, InfoHeader, IoEventFd, IrqState, MemoryRegion, PvCmd, SecParm, Unp, dump_sub,
};
use super::{Interrupt, IrqBlock, OneReg, PvCommand, RegId, Target, request};
use crate::abi::psw::Psw;

/// Which piece of an argument a field is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum In {
    /// The ioctl's structure.
    Block,
    /// What its address field points to.
    Data,
}

/// An address field, and what lies at the address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// Where the field is.
    pub piece: In,
    /// Offset of the field, 8 bytes.
    pub offset: usize,
    /// Bytes at the address.
    pub length: usize,
}

impl Place {
    const fn block(offset: usize, length: usize) -> Self {
        Self { piece: In::Block, offset, length }
    }

    /// The address that the field holds; `None` where the piece is too short.
    #[must_use]
    pub fn address(&self, block: &[u8], data: &[u8]) -> Option<u64> {
        let piece = if self.piece == In::Block { block } else { data };
        let bytes = piece.get(self.offset..)?.first_chunk()?;
        Some(u64::from_be_bytes(*bytes))
    }
}

/// Bytes of the structure that the argument of a request points to; `None` where the argument is a number, and for a request
/// that is not known. [`KVM_RUN`](request::RUN) has no argument: its area is mapped.
#[must_use]
pub const fn block(number: u32) -> Option<usize> {
    Some(match number {
        request::SET_USER_MEMORY_REGION => size_of::<MemoryRegion>(),
        request::SET_DEVICE_ATTR | request::GET_DEVICE_ATTR | request::HAS_DEVICE_ATTR => size_of::<DeviceAttr>(),
        request::PV_COMMAND | request::PV_CPU_COMMAND => size_of::<PvCmd>(),
        request::GET_MP_STATE | request::SET_MP_STATE => 4,
        request::GET_ONE_REG | request::SET_ONE_REG => size_of::<OneReg>(),
        request::ENABLE_CAP => size_of::<EnableCap>(),
        request::SET_INITIAL_PSW => size_of::<Psw>(),
        request::GET_IRQ_STATE | request::SET_IRQ_STATE => size_of::<IrqState>(),
        request::INTERRUPT => size_of::<Interrupt>(),
        request::IRQ => size_of::<IrqBlock>(),
        request::MEM_OP => size_of::<MemOp>(),
        request::GET_SKEYS | request::SET_SKEYS => size_of::<SKeys>(),
        // The head; the routes behind it are not looked at.
        request::SET_GSI_ROUTING => 8,
        request::CREATE_DEVICE => size_of::<CreateDevice>(),
        request::IOEVENTFD => size_of::<IoEventFd>(),
        _ => return None,
    })
}

/// What the structure points to; of INFO only the head, see [`data_length`].
#[must_use]
pub fn data(target: Target, number: u32, block: &[u8]) -> Option<Place> {
    let usize = |length: u64| usize::try_from(length).unwrap_or(usize::MAX);
    match number {
        request::PV_COMMAND | request::PV_CPU_COMMAND => {
            let (cmd, _) = PvCmd::read_from_prefix(block).ok()?;
            let length = match PvCommand(cmd.cmd.get()) {
                PvCommand::SET_SEC_PARMS => size_of::<SecParm>(),
                PvCommand::UNPACK => size_of::<Unp>(),
                PvCommand::INFO => size_of::<InfoHeader>(),
                PvCommand::DUMP => size_of::<Dmp>(),
                _ => return None,
            };
            Some(Place::block(offset_of!(PvCmd, data), length))
        }
        request::SET_DEVICE_ATTR | request::GET_DEVICE_ATTR => {
            let (named, _) = DeviceAttr::read_from_prefix(block).ok()?;
            let (group, attr) = (named.group.get(), named.attr.get());
            let length = if target == Target::Flic { flic_value(group, attr) } else { vm_value(group, attr) };
            (length > 0).then_some(Place::block(offset_of!(DeviceAttr, addr), length))
        }
        request::GET_ONE_REG | request::SET_ONE_REG => {
            let (reg, _) = OneReg::read_from_prefix(block).ok()?;
            Some(Place::block(offset_of!(OneReg, addr), RegId(reg.id.get()).size()))
        }
        request::MEM_OP => {
            let (op, _) = MemOp::read_from_prefix(block).ok()?;
            let none = op.flags.get() & mem_op_flags::CHECK_ONLY != 0;
            (!none).then_some(Place::block(offset_of!(MemOp, buf), usize(op.size.get().into())))
        }
        request::GET_SKEYS | request::SET_SKEYS => {
            let (keys, _) = SKeys::read_from_prefix(block).ok()?;
            Some(Place::block(offset_of!(SKeys, skeydata_addr), usize(keys.count.get())))
        }
        request::GET_IRQ_STATE | request::SET_IRQ_STATE => {
            let (state, _) = IrqState::read_from_prefix(block).ok()?;
            Some(Place::block(offset_of!(IrqState, buf), usize(state.len.get().into())))
        }
        _ => None,
    }
}

/// How long the data are in all, once their head is there.
#[must_use]
pub fn data_length(number: u32, block: &[u8], head: &[u8]) -> usize {
    let info = number == request::PV_COMMAND && command(block) == Some(PvCommand::INFO);
    let whole = InfoHeader::read_from_prefix(head).ok().filter(|_| info);
    let stated = whole.and_then(|(header, _)| usize::try_from(header.len_max.get()).ok());
    stated.map_or(head.len(), |stated| stated.max(head.len()))
}

/// What the data point to, or for an exchange the second address field of the structure.
#[must_use]
pub fn buffer(number: u32, block: &[u8], data: &[u8]) -> Option<Place> {
    let within = |offset, length: u64| {
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        (length > 0).then_some(Place { piece: In::Data, offset, length })
    };
    match number {
        request::PV_COMMAND | request::PV_CPU_COMMAND => match command(block)? {
            PvCommand::SET_SEC_PARMS => {
                let (parm, _) = SecParm::read_from_prefix(data).ok()?;
                within(offset_of!(SecParm, origin), parm.length.get())
            }
            PvCommand::DUMP => {
                let (dmp, _) = Dmp::read_from_prefix(data).ok()?;
                let length = if dmp.subcmd.get() == dump_sub::INIT { 0 } else { dmp.buff_len.get() };
                within(offset_of!(Dmp, buff_addr), length)
            }
            _ => None,
        },
        request::MEM_OP => {
            let (op, _) = MemOp::read_from_prefix(block).ok()?;
            let length = usize::try_from(op.size.get()).unwrap_or(usize::MAX);
            (op.op.get() == mem_op::ABSOLUTE_CMPXCHG).then_some(Place::block(offset_of!(MemOp, old_addr), length))
        }
        _ => None,
    }
}

fn command(block: &[u8]) -> Option<PvCommand> {
    PvCmd::read_from_prefix(block).ok().map(|(cmd, _)| PvCommand(cmd.cmd.get()))
}

/// Bytes of the value of an attribute of the VM.
fn vm_value(group: u32, attr: u64) -> usize {
    match (group, attr) {
        (attr::MEM_CTRL, attr::LIMIT_SIZE) | (attr::TOD, attr::TOD_LOW) => 8,
        (attr::TOD, attr::TOD_HIGH) => 1,
        (attr::TOD, attr::TOD_EXT) => size_of::<TodClock>(),
        (attr::CPU_MODEL, attr::PROCESSOR) => size_of::<CpuProcessor>(),
        (attr::CPU_MODEL, attr::MACHINE) => size_of::<CpuMachine>(),
        (attr::CPU_MODEL, attr::PROCESSOR_FEAT | attr::MACHINE_FEAT) => CPU_FEAT_BYTES,
        (attr::CPU_MODEL, attr::PROCESSOR_SUBFUNC | attr::MACHINE_SUBFUNC) => CPU_SUBFUNC_BYTES,
        (attr::CPU_MODEL, attr::PROCESSOR_UV_FEAT_GUEST | attr::MACHINE_UV_FEAT_GUEST) => 8,
        _ => 0,
    }
}

/// Bytes of the value of an attribute of the floating interruption controller.
fn flic_value(group: u32, attr: u64) -> usize {
    match group {
        flic_group::GET_ALL_IRQS | flic_group::ENQUEUE => usize::try_from(attr).unwrap_or(usize::MAX),
        flic_group::ADAPTER_REGISTER => size_of::<IoAdapter>(),
        flic_group::ADAPTER_MODIFY => size_of::<IoAdapterReq>(),
        flic_group::CLEAR_IO_IRQ => 4,
        _ => 0,
    }
}
