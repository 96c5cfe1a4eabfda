//! What a card does, and what an AP instruction gave back.

use alloc::vec::Vec;

use zeroize::Zeroizing;

use crate::abi::ap::ApQueueStatus;
use crate::owner::crypto::SecretBytes;

/// What a card does with the requests of one queue. A closure from request and association secret to reply is a card that
/// accepts every association. No method may call the machine.
pub trait ApCard: Send {
    /// The reply to a request. `secret` is the association secret of the guest that has the queue, if it has associated one:
    /// what makes secure keys of the queue that guest's.
    fn reply(&mut self, request: &[u8], secret: Option<&SecretBytes<32>>) -> Vec<u8>;

    /// Whether the card takes this secret; refused, the association fails
    /// ([`ASSOCIATION_FAILED`](crate::abi::ap::ApResponse::ASSOCIATION_FAILED)).
    fn associate(&mut self, secret: &SecretBytes<32>) -> bool {
        let _ = secret;
        true
    }

    /// The queue is reset; `zeroize`: what the card keeps for it is to be cleared, too.
    fn reset(&mut self, zeroize: bool) {
        let _ = zeroize;
    }
}

impl<F: FnMut(&[u8], Option<&SecretBytes<32>>) -> Vec<u8> + Send> ApCard for F {
    fn reply(&mut self, request: &[u8], secret: Option<&SecretBytes<32>>) -> Vec<u8> {
        self(request, secret)
    }
}

/// What an AP instruction gave back.
#[derive(Clone, PartialEq, Eq)]
pub struct ApResult {
    /// Condition code: 0 done, 1 a part of the reply is left (DQAP), 3 see the response code.
    pub cc: u8,
    /// Status, from GR1.
    pub status: ApQueueStatus,
    /// GR2: what TAPQ tells ([`ApQueueInfo`](crate::abi::ap::ApQueueInfo)); bytes that are left (DQAP); else 0.
    pub gr2: u64,
    /// Identifier of the message (DQAP).
    pub psmid: u64,
    /// The message, or as much of it as there was room for (DQAP).
    pub message: Zeroizing<Vec<u8>>,
}

impl core::fmt::Debug for ApResult {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "ApResult({}, {}, {} bytes)", self.cc, self.status.response(), self.message.len())
    }
}
