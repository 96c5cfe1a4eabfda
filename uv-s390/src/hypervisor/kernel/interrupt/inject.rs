//! Making interruptions pending, and whom to wake for a floating one.

use super::{Irq, MachineCheckIrq, ProgramIrq};
use crate::abi::sie::{ExecutionControl, InterceptionCode};
use crate::hypervisor::kernel::cpu::Cpu;
use crate::hypervisor::kernel::ordinary::instruction_length;
use crate::hypervisor::kernel::{HostError, StatusPlace, Vm};

impl Vm {
    /// Makes an interruption pending, for a CPU or with `None` for the VM. It is delivered before the guest is entered, when
    /// the CPU is enabled for it; a CPU that runs right now is asked to leave the guest as soon as it is. A thread whose CPU waits
    /// has to run it again.
    ///
    /// | interruption | `cpu` | refused |
    /// |---|---|---|
    /// | restart, clock comparator, CPU timer, program | a CPU | no |
    /// | emergency signal | a CPU | unknown source |
    /// | external call | a CPU | unknown source; one is pending |
    /// | stop | a CPU; one that is stopped at most stores its status | one is pending |
    /// | set prefix | a CPU | it is not stopped |
    /// | machine check | either; of a floating one only the channel-report subclass counts | no |
    /// | service signal | `None`; an answer is dropped while another one is pending | no |
    /// | I/O | `None` | 266250 are pending |
    /// | virtio, resolved page fault | `None` | a protected VM; 87381, 16320 are pending |
    ///
    /// A program interruption that a protected CPU cannot take is refused when it is delivered, as KVM does, by the next
    /// run: any code but 0x06 and 0x15, and these where no instruction is to be answered. Which of the two an instruction may be
    /// answered with is the machine's to know (§6.4): a wrong one ends the guest with a validity interception.
    ///
    /// The kernel here has no clock: clock comparator and CPU timer are pending when they are injected, and until they are
    /// delivered (UNSURE: KVM looks at both conditions anew before each entry).
    ///
    /// # Errors
    /// [`HostError::Cpu`]; [`HostError::InterruptionPending`]; [`HostError::InterruptionRefused`] for an unknown source, and for a
    /// kind that is not for a CPU, or not for the VM; [`HostError::Access`].
    pub fn inject(&self, cpu: Option<u16>, irq: Irq) -> Result<(), HostError> {
        match cpu {
            Some(number) => {
                let cpu = self.cpu(number)?;
                let flag = self.inject_local(&cpu, irq)?;
                self.change_flags(&cpu, |flags| flags | flag)
            }
            None => {
                let flag = self.inject_floating(irq)?;
                self.wake_one(flag)
            }
        }
    }

    /// Takes away all floating interruptions, as user space does (with the floating-interruption controller) when it resets
    /// the machine.
    pub fn clear_floating_interruptions(&self) {
        self.floating.lock().clear();
    }

    /// The flag with which the CPU is asked to leave the guest.
    fn inject_local(&self, cpu: &Cpu, irq: Irq) -> Result<ExecutionControl, HostError> {
        // Held to the end: a stop that is processed meanwhile would leave its request behind.
        let stopped = cpu.stopped.lock();
        let known = |source| self.cpu(source).map(|_| source).map_err(|_| HostError::InterruptionRefused);
        let none = ExecutionControl::empty();
        let external = ExecutionControl::EXTERNAL_INTERCEPT;
        let mut local = cpu.local.lock();
        Ok(match irq {
            Irq::Restart => {
                local.restart = true;
                none
            }
            Irq::Emergency { source } => {
                local.emergency.insert(known(source)?);
                external
            }
            Irq::ExternalCall { source } => {
                local.add_external_call(known(source)?)?;
                external
            }
            Irq::ClockComparator => {
                local.clock_comparator = true;
                external
            }
            Irq::CpuTimer => {
                local.cpu_timer = true;
                external
            }
            Irq::Program(program) => {
                local.add_program(self.with_length(cpu, program)?);
                none
            }
            Irq::Stop if *stopped => none,
            Irq::StopAndStoreStatus if *stopped => {
                drop(local);
                self.store_cpu_status(cpu, StatusPlace::Absolute)?;
                none
            }
            Irq::Stop | Irq::StopAndStoreStatus => {
                local.add_stop(irq == Irq::StopAndStoreStatus)?;
                ExecutionControl::STOP_INTERCEPT
            }
            Irq::SetPrefix { .. } if !*stopped => return Err(HostError::InterruptionPending),
            Irq::SetPrefix { address } => {
                local.prefix = Some(address);
                none
            }
            Irq::MachineCheck(check) => {
                local.add_machine_check(&check);
                none
            }
            Irq::Service { .. } | Irq::Io(_) | Irq::Virtio { .. } | Irq::PfaultDone { .. } => {
                return Err(HostError::InterruptionRefused);
            }
        })
    }

    /// The flag with which a CPU is asked to leave the guest.
    fn inject_floating(&self, irq: Irq) -> Result<ExecutionControl, HostError> {
        // UNSURE: KVM takes these for a protected VM too, and cannot deliver them.
        if matches!(irq, Irq::Virtio { .. } | Irq::PfaultDone { .. }) && self.is_protected() {
            return Err(HostError::InterruptionRefused);
        }
        let mut floating = self.floating.lock();
        match irq {
            Irq::Service { parameter } => floating.add_service(parameter),
            Irq::Io(io) => {
                floating.add_io(io)?;
                return Ok(ExecutionControl::IO_INTERCEPT);
            }
            Irq::Virtio { parameter, parameter64 } => floating.add_virtio(parameter, parameter64)?,
            Irq::PfaultDone { token } => floating.add_pfault(token)?,
            Irq::MachineCheck(check) => {
                floating.add_machine_check(&MachineCheckIrq {
                    cr14: check.cr14,
                    mcic: check.mcic,
                    ..Default::default()
                });
                return Ok(ExecutionControl::STOP_INTERCEPT);
            }
            _ => return Err(HostError::InterruptionRefused),
        }
        Ok(ExecutionControl::EXTERNAL_INTERCEPT)
    }

    /// Asks one CPU to leave the guest: one that waits, else the next one in turn that is not stopped.
    fn wake_one(&self, flag: ExecutionControl) -> Result<(), HostError> {
        let cpus = self.cpus.read();
        let mut chosen = None;
        for cpu in cpus.iter() {
            if !*cpu.stopped.lock() && self.flags(cpu)?.contains(ExecutionControl::WAIT) {
                chosen = Some(cpu);
                break;
            }
        }
        if chosen.is_none() && !cpus.is_empty() {
            let first = {
                let mut floating = self.floating.lock();
                let first = floating.next_cpu % cpus.len();
                floating.next_cpu = first + 1;
                first
            };
            chosen = cpus.iter().cycle().skip(first).take(cpus.len()).find(|cpu| !*cpu.stopped.lock());
        }
        let Some(cpu) = chosen else { return Ok(()) };
        if flag == ExecutionControl::STOP_INTERCEPT {
            cpu.local.lock().kicked = true;
        }
        self.change_flags(cpu, |flags| flags | flag)
    }

    /// The length of the instruction that an ordinary CPU was intercepted with, where user space does not say.
    fn with_length(&self, cpu: &Cpu, program: ProgramIrq) -> Result<ProgramIrq, HostError> {
        if program.length.is_some() {
            return Ok(program);
        }
        let state = self.host.hardware.read_state(cpu.block.origin())?;
        let [opcode, _] = state.ipa.get().to_be_bytes();
        let length = match state.interception() {
            InterceptionCode::INSTRUCTION | InterceptionCode::OPERATION_EXCEPTION => instruction_length(opcode),
            _ => 0,
        };
        Ok(ProgramIrq { length: Some(length), ..program })
    }
}
