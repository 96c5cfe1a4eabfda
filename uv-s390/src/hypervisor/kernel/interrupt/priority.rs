//! Which pending interruption is delivered next.

use super::enabled::{Enabled, cr0};
use super::{Floating, Local};

/// A kind of interruption that is delivered on its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A machine check that must be seen at once; repressible ones go with it.
    Exigent,
    Program,
    /// A machine check that can wait.
    Repressible,
    Emergency,
    ExternalCall,
    ClockComparator,
    CpuTimer,
    ServiceEvent,
    Service,
    PfaultDone,
    Virtio,
    /// Of this subclass.
    Io(usize),
    Restart,
    /// A new prefix, which is no interruption of the guest.
    SetPrefix,
}

/// KVM's order, the first one first. A stop is never delivered: the machine is asked to leave.
pub(super) const ORDER: [Kind; 21] = [
    Kind::Exigent,
    Kind::Program,
    Kind::Repressible,
    Kind::Emergency,
    Kind::ExternalCall,
    Kind::ClockComparator,
    Kind::CpuTimer,
    Kind::ServiceEvent,
    Kind::Service,
    Kind::PfaultDone,
    Kind::Virtio,
    Kind::Io(0),
    Kind::Io(1),
    Kind::Io(2),
    Kind::Io(3),
    Kind::Io(4),
    Kind::Io(5),
    Kind::Io(6),
    Kind::Io(7),
    Kind::Restart,
    Kind::SetPrefix,
];

/// Class of a kind, as the masks of a PSW have them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    MachineCheck,
    External,
    Io,
    /// Without a mask.
    Always,
}

impl Kind {
    pub(super) const fn class(self) -> Class {
        match self {
            Self::Exigent | Self::Repressible => Class::MachineCheck,
            Self::Program | Self::Restart | Self::SetPrefix => Class::Always,
            Self::Io(_) => Class::Io,
            _ => Class::External,
        }
    }
}

/// What is pending for a CPU and for its VM, and how the CPU takes it.
#[derive(Debug)]
pub(super) struct View<'a> {
    pub(super) local: &'a mut Local,
    pub(super) floating: &'a mut Floating,
    pub(super) enabled: Enabled,
    pub(super) protected: bool,
    /// The state description of a protected CPU asks for an injection already.
    pub(super) occupied: bool,
}

impl View<'_> {
    /// Whether an interruption of this kind is pending that the CPU can take at some time.
    pub(super) fn is_pending(&self, kind: Kind) -> bool {
        let (local, floating) = (&self.local, &self.floating);
        match kind {
            Kind::Exigent => local.exigent,
            Kind::Program => local.program.is_some(),
            Kind::Repressible => local.repressible || floating.repressible,
            Kind::Emergency => !local.emergency.is_empty(),
            Kind::ExternalCall => local.external_call.is_some(),
            Kind::ClockComparator => local.clock_comparator,
            Kind::CpuTimer => local.cpu_timer,
            Kind::ServiceEvent => floating.service_event,
            Kind::Service => floating.service && !(self.protected && floating.service_masked),
            // These need the prefix area of the guest.
            Kind::PfaultDone => !self.protected && !floating.pfault.is_empty(),
            Kind::Virtio => !self.protected && !floating.virtio.is_empty(),
            Kind::Io(subclass) => floating.io.get(subclass).is_some_and(|queue| !queue.is_empty()),
            Kind::Restart => local.restart,
            Kind::SetPrefix => local.prefix.is_some(),
        }
    }

    /// Whether the CPU has its masks open for this kind.
    fn is_open(&self, kind: Kind) -> bool {
        let enabled = self.enabled;
        match kind {
            Kind::Exigent => enabled.machine_check(),
            Kind::Repressible => {
                enabled.machine_check_subclass(self.local.machine_check.cr14 | self.floating.machine_check.cr14)
            }
            Kind::Emergency => enabled.external_subclass(cr0::EMERGENCY),
            Kind::ExternalCall => enabled.external_subclass(cr0::EXTERNAL_CALL),
            Kind::ClockComparator => enabled.external_subclass(cr0::CLOCK_COMPARATOR),
            Kind::CpuTimer => enabled.external_subclass(cr0::CPU_TIMER),
            Kind::ServiceEvent | Kind::Service => enabled.external_subclass(cr0::SERVICE),
            Kind::PfaultDone | Kind::Virtio => enabled.external(),
            Kind::Io(subclass) => enabled.io_subclass(subclass),
            Kind::Program | Kind::Restart | Kind::SetPrefix => true,
        }
    }

    /// Whether the kind of entry permits it: for an ordinary CPU always.
    fn is_permitted(&self, kind: Kind) -> bool {
        let entry = self.local.entry;
        !self.protected
            || match kind {
                // One that is not permitted is refused when it is delivered.
                Kind::Program | Kind::SetPrefix => true,
                Kind::Restart => !entry.incomplete && !self.occupied,
                _ => !entry.fenced && !entry.incomplete && !self.occupied,
            }
    }

    /// Whether an interruption of this kind can be delivered with the next entry.
    pub(super) fn is_deliverable(&self, kind: Kind) -> bool {
        self.is_pending(kind) && self.is_open(kind) && self.is_permitted(kind)
    }

    /// Whether one of this class is pending and open, and has to wait only for another entry.
    pub(super) fn has_open(&self, class: Class) -> bool {
        ORDER.into_iter().any(|kind| kind.class() == class && self.is_pending(kind) && self.is_open(kind))
    }

    /// Whether one of this class is pending.
    pub(super) fn has_pending(&self, class: Class) -> bool {
        ORDER.into_iter().any(|kind| kind.class() == class && self.is_pending(kind))
    }

    /// The next one.
    pub(super) fn next(&self) -> Option<Kind> {
        ORDER.into_iter().find(|kind| self.is_deliverable(*kind))
    }
}
