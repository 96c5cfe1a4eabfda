//! From an ordinary to a protected guest: the boot loader's script, and the VMM that answers it.

use uv_core::GuestAddr;
use uv_s390::hypervisor::vmm::diag308::{self, Diag308, Machine, Operand, Outcome, ResetRequest, Response, Subcode};
use uv_s390::hypervisor::vmm::ipl::{self, IplOptions, StartError, StartStep, Started};
use uv_sim::guest::{GuestCpu, GuestEvent, NormalView, Script, Step};

use super::{Refusal, Vm};

/// Offset of header address and length in the IPIB.
const IPIB_HEADER: u64 = 0x78;

/// What happens during a boot, told as it happens.
#[derive(Debug, Clone, Copy)]
pub enum BootEvent {
    /// The guest stored header address and length in its IPIB.
    IpibReady,
    /// The guest issued DIAG 308 with this subcode.
    Diag308(Subcode),
    /// The VMM answered.
    Answer(Response),
    /// The VMM begins a step of the start.
    Step(StartStep),
}

/// How a boot ended.
#[derive(Debug, Clone)]
pub enum Boot {
    /// The protected guest runs.
    Running(Started),
    /// The guest is ordinary and has been told.
    Refused(Refusal),
}

impl Boot {
    /// Whether the protected guest runs.
    #[must_use]
    pub const fn is_running(&self) -> bool {
        matches!(self, Self::Running(_))
    }
}

impl Vm {
    /// Boots: the guest stores header address and length in the IPIB and issues DIAG 308 subcodes 8 and 10; the VMM checks,
    /// and carries out the start. On success CPU 0 is operating and has not run yet.
    pub fn boot(&mut self, report: &mut dyn FnMut(BootEvent)) -> Boot {
        let ipib = self.image.ipib_address();
        let mut pointer = self.image.header_address().to_be_bytes().to_vec();
        pointer.extend(self.image.header_length().to_be_bytes());
        let (script, _) = Script::<Diag308, Response>::new([
            Step::store(GuestAddr(ipib + IPIB_HEADER), &pointer),
            Step::Call(Diag308::new(Subcode::SET_PV, ipib)),
            Step::Call(Diag308::new(Subcode::START_PV, 0)),
        ]);
        let mut cpu = GuestCpu::new(Box::new(script));
        let memory = self.guest.host().hardware().memory.clone();
        let guest = self.guest.clone();
        let slots = guest.slots();
        let view = NormalView { slots: &slots, memory: &memory };
        let mut refusal = Refusal { response: None, start: None };
        loop {
            let call = match cpu.advance(&view) {
                GuestEvent::Call(call) => call,
                // A fault means that the IPIB is in no memory: the boot loader would hang.
                GuestEvent::Halted | GuestEvent::Fault(_) => return Boot::Refused(refusal),
            };
            if call.subcode == u64::from(Subcode::SET_PV.0) {
                report(BootEvent::IpibReady);
            }
            let subcode = Subcode(u16::try_from(call.subcode).unwrap_or(u16::MAX));
            report(BootEvent::Diag308(subcode));
            let machine = Machine { huge_pages: guest.has_huge_pages(), ..Machine::default() };
            let response = match diag308::handle(&mut self.stores, &machine, call, Operand::Guest(guest.storage())) {
                Outcome::Response(response) => response,
                Outcome::Reset(ResetRequest::Protected) => match self.start(report) {
                    Ok(started) => return Boot::Running(started),
                    Err(error) => {
                        refusal.start = Some(error);
                        error.response
                    }
                },
                Outcome::Reset(_) | Outcome::Program(_) => return Boot::Refused(refusal),
            };
            report(BootEvent::Answer(response));
            refusal.response = Some(response);
            if response != Response::OK {
                return Boot::Refused(refusal);
            }
            cpu.complete(response);
        }
    }

    /// How the VMM starts this VM: the CPU with number 0 is the one that asked.
    #[must_use]
    pub fn ipl_options(&self) -> IplOptions {
        let others = self.guest.cpu_numbers().into_iter().filter(|number| *number != 0).collect();
        IplOptions { others, ..IplOptions::default() }
    }

    fn start(&self, report: &mut dyn FnMut(BootEvent)) -> Result<Started, StartError> {
        let ipib = self.stores.pv().unwrap_or_default();
        let options = self.ipl_options();
        ipl::start(&*self.guest, &self.guest.storage(), ipib, &options, &mut |step| report(BootEvent::Step(step)))
    }
}
