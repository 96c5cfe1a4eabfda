//! DUMP_CPU: registers of a CPU, sealed for the owner.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the handle is a CPU's | rc 0x0021 |
//! | 2 | a dump has begun | rc 0x01f0 (UNSURE) |
//! | 3 | the area (cpu_stor_len bytes) is accessible | rc 0x0030, 0x0031, 0x0032 |
//! | 4 | no other call is at work on the CPU | cc 2 |

use rand_core::Rng;
use zerocopy::IntoBytes;

use crate::abi::dump::CpuState;
use crate::abi::uvc::UvRc;
use crate::abi::uvcb::{DumpCpu, Role};
use crate::owner::crypto::gcm::IV_SIZE;
use crate::owner::dump::CpuNote;
use crate::sim::answer::{Answer, Refusal};
use crate::sim::cpu::{Core, Pending};
use crate::sim::machine::Machine;

pub(in crate::sim) fn cpu(machine: &Machine, block: &mut DumpCpu) -> Answer {
    let cpu = machine.cpu(block.cpu_handle.get())?;
    let conf = machine.owner(cpu.conf).ok_or(UvRc::INVALID_CPU_HANDLE)?;
    let _open = conf.open_whole()?;
    let dump = conf.dump.read();
    let session = dump.as_ref().ok_or(UvRc::STATE)?;
    let len = machine.generation.query(Role::Host).cpu_stor_len.get();
    super::check_area(machine, block.dump_area_origin.get(), len)?;
    let core = cpu.core.try_lock().ok_or(Refusal::Busy)?;
    let mut iv = [0; IV_SIZE];
    machine.rng.lock().fill_bytes(&mut iv);
    let note = CpuNote::seal(&session.key, iv, &registers(&core));
    super::put(machine, block.dump_area_origin.get(), len, note.as_bytes())
}

fn registers(core: &Core) -> CpuState {
    let from = &core.registers;
    CpuState {
        gprs: from.gr,
        psw_mask: from.psw.mask.get(),
        psw_address: from.psw.address.get(),
        prefix: from.prefix,
        fpc: from.fpc,
        tod_programmable: from.tod_programmable,
        cpu_timer: core.timer.map_or(0, |mark| mark.timer),
        clock_comparator: from.clock_comparator,
        access_registers: from.ar,
        control_registers: from.cr,
        vector_registers: from.vr,
        // A simulated guest has no guarded storage.
        guarded_storage: [0; 3],
        partial_instruction: !matches!(core.pending, Pending::None),
    }
}
