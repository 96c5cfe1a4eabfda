//! What is pending for a VM, to be taken by the first CPU that is enabled for it.

use super::{IoIrq, Irq, MachineCheckIrq};
use crate::hypervisor::kernel::{HostError, Vm};
use alloc::collections::VecDeque;
use alloc::vec::Vec;

/// Most I/O interruptions that can be pending.
const MAX_IO: usize = 266_250;
/// Most virtio interruptions.
const MAX_VIRTIO: usize = 87_381;
/// Most resolved page faults: 64 for each of 255 CPUs.
const MAX_PFAULT: usize = 64 * 255;
/// Bits of a service signal's parameter: the address of an SCCB.
const SCCB: u32 = 0xffff_fff8;
/// Bits of a service signal's parameter: events are pending.
const EVENT: u32 = 0x3;
/// What stands for the address of an SCCB when the kernel itself makes the signal pending; the Ultravisor knows the address.
const SCCB_DUMMY: u32 = 0x4_3000;
/// Control register 14 bit 35: channel-report-pending subclass.
const CHANNEL_REPORT: u64 = 1 << 28;

/// Pending floating interruptions.
#[derive(Debug, Default)]
pub(in crate::hypervisor::kernel) struct Floating {
    /// Parameter of the service signal: an SCCB, events.
    parameter: u32,
    /// An SCCB is answered.
    pub(super) service: bool,
    /// Events are pending.
    pub(super) service_event: bool,
    /// A protected guest has completed no SERVC since the last answer was delivered.
    pub(super) service_masked: bool,
    /// By interruption subclass.
    pub(super) io: [VecDeque<IoIrq>; 8],
    pub(super) virtio: VecDeque<(u32, u64)>,
    pub(super) pfault: VecDeque<u64>,
    pub(super) repressible: bool,
    pub(super) machine_check: MachineCheckIrq,
    /// Where the search for a CPU to wake goes on.
    pub(super) next_cpu: usize,
}

impl Floating {
    /// Service signals to a protected guest are held back until its next SERVC: protection begins, or a reset.
    pub(in crate::hypervisor::kernel) fn mask_service(&mut self) {
        self.service_masked = true;
    }

    /// The guest's SERVC is complete (interception 108): an answer is due, and if user space gave none the Ultravisor has its
    /// own.
    pub(in crate::hypervisor::kernel) fn service_notified(&mut self) {
        self.parameter |= SCCB_DUMMY;
        self.service = true;
        self.service_masked = false;
    }

    /// An answer while another one is pending is dropped; events add up. UNSURE: where KVM makes an answer without an SCCB pending
    /// beside each event, a parameter that has only events makes none here.
    pub(super) fn add_service(&mut self, parameter: u32) {
        self.parameter |= parameter & EVENT;
        self.service_event |= parameter & EVENT != 0;
        if self.parameter & SCCB != 0 || parameter & SCCB == 0 && parameter & EVENT != 0 {
            return;
        }
        self.parameter |= parameter & SCCB;
        self.service = true;
    }

    /// Takes the answer, with the events.
    pub(super) fn take_service(&mut self, protected: bool) -> u32 {
        (self.service, self.service_event) = (false, false);
        self.service_masked |= protected;
        core::mem::take(&mut self.parameter)
    }

    /// Takes the events alone.
    pub(super) fn take_service_event(&mut self) -> u32 {
        self.service_event = false;
        self.parameter &= !EVENT;
        EVENT
    }

    pub(super) fn add_io(&mut self, io: IoIrq) -> Result<(), HostError> {
        let pending: usize = self.io.iter().map(VecDeque::len).sum();
        add(&mut self.io[io.subclass()], io, pending < MAX_IO)
    }

    /// Takes the first interruption of the highest subclass that control register 6 is open for, of a subchannel if one is
    /// given (identification and number, in one word).
    fn take_io(&mut self, cr6: u64, subchannel: Option<u32>) -> Option<IoIrq> {
        let of = |io: &IoIrq| u32::from(io.subchannel_id) << 16 | u32::from(io.subchannel_nr);
        let open = self.io.iter_mut().enumerate().filter(|(subclass, _)| cr6 & 0x8000_0000 >> subclass != 0);
        for (_, queue) in open {
            if let Some(at) = queue.iter().position(|io| subchannel.is_none_or(|wanted| of(io) == wanted)) {
                return queue.remove(at);
            }
        }
        None
    }

    pub(super) fn add_virtio(&mut self, parameter: u32, parameter64: u64) -> Result<(), HostError> {
        let room = self.virtio.len() < MAX_VIRTIO;
        add(&mut self.virtio, (parameter, parameter64), room)
    }

    pub(super) fn add_pfault(&mut self, token: u64) -> Result<(), HostError> {
        let room = self.pfault.len() < MAX_PFAULT;
        add(&mut self.pfault, token, room)
    }

    /// Only channel reports float.
    pub(super) fn add_machine_check(&mut self, new: &MachineCheckIrq) {
        self.machine_check.cr14 |= new.cr14 & CHANNEL_REPORT;
        self.machine_check.mcic |= new.mcic;
        self.repressible = true;
    }

    /// Takes everything away; whether service signals are held back stays as it is.
    pub(super) fn clear(&mut self) {
        let Self { service_masked, next_cpu, .. } = *self;
        *self = Self { service_masked, next_cpu, ..Self::default() };
    }
}

/// All that is pending, I/O first.
pub(in crate::hypervisor::kernel) fn floating_list(floating: &Floating) -> Vec<Irq> {
    let service = floating.service || floating.service_event;
    let io = floating.io.iter().flatten().copied().map(Irq::Io);
    let virtio = floating.virtio.iter().map(|&(parameter, parameter64)| Irq::Virtio { parameter, parameter64 });
    let rest = [
        service.then_some(Irq::Service { parameter: floating.parameter }),
        floating.repressible.then_some(Irq::MachineCheck(floating.machine_check)),
    ];
    let pfault = floating.pfault.iter().map(|&token| Irq::PfaultDone { token });
    io.chain(rest.into_iter().flatten()).chain(virtio).chain(pfault).collect()
}

impl Vm {
    /// Takes an I/O interruption that an instruction clears: see [`Floating::take_io`].
    pub(in crate::hypervisor::kernel) fn take_io(&self, cr6: u64, subchannel: Option<u32>) -> Option<IoIrq> {
        self.floating.lock().take_io(cr6, subchannel)
    }

    /// Makes an interruption pending again whose instruction could not store it. There is room: it was pending before.
    pub(in crate::hypervisor::kernel) fn return_io(&self, io: IoIrq) {
        if let Err(error) = self.floating.lock().add_io(io) {
            tracing::warn!(%error, "an I/O interruption is lost");
        }
    }
}

fn add<T>(queue: &mut VecDeque<T>, new: T, room: bool) -> Result<(), HostError> {
    if !room {
        return Err(HostError::InterruptionPending);
    }
    queue.push_back(new);
    Ok(())
}
