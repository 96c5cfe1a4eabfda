//! AP queues of the machine: who they are assigned to, who has bound them, with which secret.
//!
//! | who | does | here |
//! |---|---|---|
//! | operator | plugs a card's queue in | [`Machine::install_ap_queue`] |
//! | hypervisor | assigns it to a configuration; resets it | [`Machine::assign_ap_queue`], [`Machine::zeroize_ap_queue`] |
//! | guest | tests, binds, associates, resets; sends and receives | `instruction` |
//!
//! A hypervisor of a real machine assigns through the masks of the crypto control block, which a state description names.
//! An assignment does not touch the binding: a queue that its guest has bound stays bound to it, unusable for everybody else,
//! until it is reset. A configuration with bound queues cannot be destroyed.
//!
//! The machine has no AP interruptions and no compatibility query: PQAP(AQIC) and PQAP(QACT) end with a specification
//! exception, and a guest has to poll.

mod card;
mod instruction;
mod queue;

#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;

use spin::Mutex;

pub use card::{ApCard, ApResult};
pub(crate) use queue::Queue;

use super::conf::Conf;
use super::machine::Machine;
use crate::abi::ap::{ApMode, Apqn};

impl Machine {
    /// Plugs a queue in, unbound and not assigned. A queue that was there under this number is gone, with its binding.
    pub fn install_ap_queue(&self, queue: Apqn, mode: ApMode, card: impl ApCard + 'static) {
        let new = Arc::new(Mutex::new(Queue::new(mode, Box::new(card))));
        self.ap.write().insert(queue, new);
    }

    /// Assigns a queue to a configuration, and takes it away from the one that had it; `None` only takes it away. Whoever has
    /// bound it keeps it bound. Returns whether queue and handle exist.
    pub fn assign_ap_queue(&self, queue: Apqn, conf_handle: Option<u64>) -> bool {
        let owner = match conf_handle.map(|handle| self.confs.read().get(&handle).map(|conf| conf.id)) {
            Some(None) => return false,
            found => found.flatten(),
        };
        self.ap_queue(queue).map(|queue| queue.lock().assigned = owner).is_some()
    }

    /// Resets a queue as the host's PQAP(ZAPQ) does: it is empty and unbound. Returns whether there is such a queue.
    pub fn zeroize_ap_queue(&self, queue: Apqn) -> bool {
        self.ap_queue(queue).map(|queue| queue.lock().reset(true, true)).is_some()
    }

    pub(super) fn ap_queue(&self, queue: Apqn) -> Option<Arc<Mutex<Queue>>> {
        self.ap.read().get(&queue).cloned()
    }

    /// Whether a configuration has bound a queue.
    pub(crate) fn has_bound_ap_queues(&self, conf: &Conf) -> bool {
        self.ap.read().values().any(|queue| queue.lock().is_bound_to(conf.id))
    }

    /// A configuration has ended: its queues are nobody's. `None`: all have.
    pub(crate) fn unassign_ap_queues(&self, conf: Option<&Conf>) {
        for queue in self.ap.read().values() {
            let mut queue = queue.lock();
            if conf.is_none() {
                queue.reset(true, true);
            }
            if conf.is_none_or(|conf| queue.assigned == Some(conf.id)) {
                queue.assigned = None;
            }
        }
    }
}
