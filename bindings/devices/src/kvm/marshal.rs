//! An ioctl's structures between the program's memory and the kernel, as [`addresses`] says.

use uv_s390::abi::Errno;
use uv_s390::hypervisor::kernel;
use uv_s390::hypervisor::uapi::addresses::{self, Place};
use uv_s390::hypervisor::uapi::{
    Argument, DeviceAttr, Dmp, EnableCap, KvmPv as _, MemOp, MemoryRegion, PvCmd, PvCommand, SecParm, Target, Unp,
    request,
};
use zerocopy::FromBytes;

use crate::line::Line;
use crate::log::Told;
use crate::object::Call;

/// Most bytes of a buffer: the keys of a large guest, the tweaks of a dump.
const MAX: usize = 8 << 20;

/// The pieces of an argument, as they are copied in.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    pub(super) value: u64,
    pub(super) block: Vec<u8>,
    pub(super) data: Vec<u8>,
    pub(super) buffer: Vec<u8>,
    at: [Option<u64>; 3],
}

/// What cannot be copied is missing: the kernel finds that out where it copies.
fn fetch(line: &mut Line, at: Option<u64>, length: usize) -> Vec<u8> {
    at.and_then(|at| line.copy_in(at, length.min(MAX)).ok()).unwrap_or_default()
}

impl Pieces {
    /// Copies an argument in.
    pub(super) fn fetch(target: Target, call: &mut Call<'_>) -> Self {
        let (line, number) = (&mut *call.line, call.request);
        let Some(length) = addresses::block(number) else {
            return Self { value: call.argument, ..Self::default() };
        };
        let block = fetch(line, Some(call.argument), length);
        let place = addresses::data(target, number, &block);
        let address = |place: Option<Place>, data: &[u8]| place.and_then(|place| place.address(&block, data));
        let data_at = address(place, &[]);
        let mut data = fetch(line, data_at, place.map_or(0, |place| place.length));
        let whole = addresses::data_length(number, &block, &data);
        if whole > data.len() && !data.is_empty() {
            data = fetch(line, data_at, whole);
        }
        let place = addresses::buffer(number, &block, &data);
        let buffer_at = address(place, &data);
        let buffer = fetch(line, buffer_at, place.map_or(0, |place| place.length));
        let at = [Some(call.argument), data_at, buffer_at];
        Self { value: call.argument, block, data, buffer, at }
    }

    /// Issues the ioctl and copies back what it changed, whatever came of it.
    pub(super) fn issue(&mut self, guest: &kernel::Vm, target: Target, call: &mut Call<'_>) -> Result<u64, Errno> {
        let before = [self.block.clone(), self.data.clone(), self.buffer.clone()];
        let Self { value, block, data, buffer, at } = self;
        let mut argument = Argument { value: *value, block, data, buffer };
        let result = guest.ioctl(target, call.request, &mut argument);
        for ((now, before), at) in [&*block, &*data, &*buffer].into_iter().zip(&before).zip(at) {
            if let (true, Some(at)) = (now != before, *at) {
                call.line.copy_out(at, now)?;
            }
        }
        self.tell(&mut call.told, call.request);
        result
    }

    /// Tells the log what was asked, by the names of the fields.
    fn tell(&self, told: &mut Told, number: u32) {
        fn read<T: FromBytes>(bytes: &[u8]) -> Option<T> {
            T::read_from_prefix(bytes).ok().map(|(value, _)| value)
        }
        told.name = request::name(number).map_or_else(|| format!("{number:#x}"), str::to_owned);
        match number {
            request::PV_COMMAND | request::PV_CPU_COMMAND => {
                let Some(cmd) = read::<PvCmd>(&self.block) else { return };
                let command = PvCommand(cmd.cmd.get());
                told.name = format!("{} {command}", told.name);
                told.codes = Some((cmd.rc.get(), cmd.rrc.get()));
                match command {
                    PvCommand::SET_SEC_PARMS => {
                        let length = read::<SecParm>(&self.data).map_or(0, |parm| parm.length.get());
                        told.argument("length", length);
                    }
                    PvCommand::UNPACK => {
                        let Some(unp) = read::<Unp>(&self.data) else { return };
                        told.argument("addr", unp.addr.get());
                        told.argument("size", unp.size.get());
                        told.argument("tweak", unp.tweak.get());
                    }
                    PvCommand::DUMP => {
                        let Some(dmp) = read::<Dmp>(&self.data) else { return };
                        told.argument("subcmd", dmp.subcmd.get());
                        told.argument("buff_len", dmp.buff_len.get());
                        told.argument("gaddr", dmp.gaddr.get());
                    }
                    _ => {}
                }
            }
            request::SET_DEVICE_ATTR | request::GET_DEVICE_ATTR | request::HAS_DEVICE_ATTR => {
                let Some(named) = read::<DeviceAttr>(&self.block) else { return };
                told.argument("group", named.group.get());
                told.argument("attr", named.attr.get());
            }
            request::SET_USER_MEMORY_REGION => {
                let Some(region) = read::<MemoryRegion>(&self.block) else { return };
                told.argument("slot", region.slot.get());
                told.argument("flags", region.flags.get());
                told.argument("guest_phys_addr", region.guest_phys_addr.get());
                told.argument("memory_size", region.memory_size.get());
            }
            request::ENABLE_CAP => {
                told.argument("cap", read::<EnableCap>(&self.block).map_or(0, |block| block.cap.get()));
            }
            request::MEM_OP => {
                let Some(op) = read::<MemOp>(&self.block) else { return };
                told.argument("op", op.op.get());
                told.argument("gaddr", op.gaddr.get());
                told.argument("size", op.size.get());
                told.argument("flags", op.flags.get());
            }
            _ if addresses::block(number).is_none() => told.argument("value", self.value),
            _ => {}
        }
    }
}
