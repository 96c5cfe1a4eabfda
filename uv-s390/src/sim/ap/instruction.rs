//! PQAP, NQAP and DQAP of a protected guest. The machine does them alone: the hypervisor sees none of them.
//!
//! | # | check | result |
//! |---|---|---|
//! | 1 | the guest may use AP instructions: flag of CREATE_SEC_CONF | operation exception (UNSURE) |
//! | 2 | PQAP: the function is TAPQ, RAPQ, ZAPQ, QCI, BAPQ or AAPQ | specification exception |
//! | 3 | the queue is there, and assigned to the guest (not for QCI) | response 0x01 |
//! | 4 | no association has failed (not for RAPQ, ZAPQ and QCI) | 0x35 or 0x36, asynchronous |
//! | 5 | BAPQ: not bound to another guest; bindable, and not bound | 0x09; 0x30 (UNSURE) |
//! | 6 | AAPQ, NQAP, DQAP: bound to this guest; no association under way | 0x0b; 0x0a |
//! | 7 | AAPQ: EP11, not associated; empty; the index is that of an association secret | 0x31; 0x32; 0x34 |
//! | 8 | NQAP: not too long; not full | 0x15; 0x10 |
//! | 9 | DQAP: a reply is there | 0x10 |
//!
//! A response other than 0x00 comes with condition code 3. RAPQ and ZAPQ of a queue that another guest has bound get 0x0b
//! (UNSURE): nobody takes a queue from a guest but the host. An association goes on for a while; TAPQ shows when it is done.
//! It fails with 0x35 when another secret of the store has the same value (UNSURE what the code means), with 0x36 when
//! the card refuses the secret.

use alloc::sync::Arc;
use alloc::vec::Vec;

use uv_core::GuestAddr;
use zerocopy::IntoBytes;
use zeroize::Zeroizing;

use super::{ApResult, Queue};
use crate::abi::ap::{ApConfigInfo, ApQueueStatus, ApResponse, Apqn, PqapFunction};
use crate::abi::secret::SecretType;
use crate::abi::uvc::{PgmCode, ProgramInterruption};
use crate::abi::uvcb::ConfFlags;
use crate::owner::crypto::SecretBytes;
use crate::sim::conf::Conf;
use crate::sim::guest::{GuestInsn, InsnResult};
use crate::sim::machine::Machine;
use crate::sim::secrets::SecretStore;
use crate::sim::view::{GuestView, ViewError};

/// Condition code of every response but 0x00.
const EXCEPTIONAL: u8 = 3;

impl ApResult {
    /// A status alone.
    fn of(status: ApQueueStatus) -> Self {
        let cc = if status.response() == ApResponse::NORMAL { 0 } else { EXCEPTIONAL };
        Self { cc, status, gr2: 0, psmid: 0, message: Zeroizing::new(Vec::new()) }
    }
}

impl Machine {
    /// Executes an AP instruction.
    ///
    /// # Errors
    /// What the host takes: a page that PQAP(QCI) stores to is not secure.
    pub(in crate::sim) fn ap_instruction(
        &self,
        conf: &Arc<Conf>,
        insn: &GuestInsn,
    ) -> Result<InsnResult, ProgramInterruption> {
        if !conf.flags.contains(ConfFlags::AP) {
            return Ok(InsnResult::Exception(PgmCode::OPERATION));
        }
        let result = match insn {
            GuestInsn::Pqap { gr0, gr2 } => match PqapFunction::of(*gr0) {
                PqapFunction::QUERY_CONFIGURATION => return self.query_configuration(conf, GuestAddr(*gr2)),
                function @ (PqapFunction::TEST
                | PqapFunction::RESET
                | PqapFunction::ZEROIZE
                | PqapFunction::BIND
                | PqapFunction::ASSOCIATE) => {
                    self.on_queue(conf, *gr0, resets(function), |queue| self.pqap(conf, queue, function, *gr0, *gr2))
                }
                _ => return Ok(InsnResult::Exception(PgmCode::SPECIFICATION)),
            },
            GuestInsn::Nqap { queue, psmid, message } => self.on_queue(conf, queue.0.into(), false, |queue| {
                let sent = queue.usable(conf.id).and_then(|()| queue.send(*psmid, message));
                ApResult::of(queue.status(conf.id, response(sent)))
            }),
            GuestInsn::Dqap { queue, size } => {
                self.on_queue(conf, queue.0.into(), false, |queue| dqap(conf, queue, *size))
            }
            _ => return Ok(InsnResult::Exception(PgmCode::OPERATION)),
        };
        tracing::trace!(?result, "AP instruction");
        Ok(InsnResult::Ap(result))
    }

    /// Checks 3 and 4.
    fn on_queue(&self, conf: &Conf, gr0: u64, resets: bool, act: impl FnOnce(&mut Queue) -> ApResult) -> ApResult {
        let queue = self.ap_queue(Apqn::of(gr0));
        let mut queue = queue.as_ref().map(|queue| queue.lock()).filter(|queue| queue.assigned == Some(conf.id));
        let Some(queue) = &mut queue else {
            return ApResult::of(ApQueueStatus::new(0, ApResponse::NOT_AVAILABLE));
        };
        queue.at(self.clock.now());
        let failure = queue.failure().filter(|_| !resets && queue.is_bound_to(conf.id));
        failure.map_or_else(|| act(queue), ApResult::of)
    }

    fn pqap(&self, conf: &Conf, queue: &mut Queue, function: PqapFunction, gr0: u64, gr2: u64) -> ApResult {
        let done = match function {
            PqapFunction::BIND => queue.bind(conf.id),
            PqapFunction::ASSOCIATE => self.associate(conf, queue, gr2),
            _ if resets(function) => {
                let zeroize = function == PqapFunction::ZEROIZE;
                queue.reset_by(conf.id, zeroize, zeroize || gr0 & PqapFunction::UNBIND != 0)
            }
            _ => Ok(()),
        };
        let mut result = ApResult::of(queue.status(conf.id, response(done)));
        if function == PqapFunction::TEST {
            let info = queue.info(conf.id);
            let all = gr0 & PqapFunction::TEST_FACILITIES != 0;
            result.gr2 = if all { info } else { info.without_facilities() }.0;
        }
        result
    }

    /// AAPQ.
    fn associate(&self, conf: &Conf, queue: &mut Queue, index: u64) -> Result<(), ApResponse> {
        queue.usable(conf.id)?;
        queue.can_associate()?;
        let store = conf.secrets.lock();
        let secret = association(&store, index).ok_or(ApResponse::INVALID_ASSOCIATION_SECRET)?;
        let unique = (0..store.secrets.len() as u64)
            .all(|other| other == index || association(&store, other).is_none_or(|other| other != secret));
        let result = if unique { Ok(secret) } else { Err(ApResponse::ASSOCIATION_SECRET_NOT_UNIQUE) };
        queue.associate(self.clock.now(), result);
        Ok(())
    }

    fn query_configuration(&self, conf: &Arc<Conf>, at: GuestAddr) -> Result<InsnResult, ProgramInterruption> {
        let ours: Vec<Apqn> = {
            let queues = self.ap.read();
            let ours = queues.iter().filter(|(_, queue)| queue.lock().assigned == Some(conf.id));
            ours.map(|(queue, _)| *queue).collect()
        };
        loop {
            match GuestView::new(self, conf).write(at, ApConfigInfo::new(ours.iter().copied()).as_bytes()) {
                Ok(()) => return Ok(InsnResult::Ap(ApResult::of(ApQueueStatus(0)))),
                Err(ViewError::Host(interruption)) => return Err(interruption),
                Err(ViewError::Outside) => return Ok(InsnResult::Exception(PgmCode::ADDRESSING)),
                Err(ViewError::Busy) => core::hint::spin_loop(),
            }
        }
    }
}

fn dqap(conf: &Conf, queue: &mut Queue, size: usize) -> ApResult {
    if let Err(response) = queue.usable(conf.id) {
        return ApResult::of(queue.status(conf.id, response));
    }
    let Some((psmid, message, left)) = queue.receive(size) else {
        return ApResult::of(queue.status(conf.id, ApResponse::NO_PENDING_REPLY));
    };
    let status = queue.status(conf.id, ApResponse::NORMAL);
    ApResult { cc: u8::from(left > 0), status, gr2: left as u64, psmid, message }
}

/// Whether a function ends a failed association.
const fn resets(function: PqapFunction) -> bool {
    matches!(function, PqapFunction::RESET | PqapFunction::ZEROIZE)
}

fn response(done: Result<(), ApResponse>) -> ApResponse {
    done.err().unwrap_or(ApResponse::NORMAL)
}

/// The association secret with this index.
fn association(store: &SecretStore, index: u64) -> Option<SecretBytes<32>> {
    let stored = store.secrets.get(usize::try_from(index).ok()?)?;
    let is_association = stored.secret.kind() == SecretType::ASSOCIATION;
    is_association.then(|| SecretBytes::from_slice(stored.secret.expose()).ok()).flatten()
}
