//! One AP queue.
//!
//! ```text
//! free ──BAPQ──▶ bound ──AAPQ──▶ associating ──time──▶ associated
//!   ▲                                 └──time──▶ failed: every instruction but a reset ends with the code
//!   └── ZAPQ, RAPQ with its unbind bit: from every state
//! ```
//!
//! UNSURE: that a reset without the unbind bit (RAPQ) leaves the binding, and ZAPQ never does. Linux unbinds with RAPQ and
//! that bit, and resets its queues without it and goes on using them; its host side lets a guest's queues go with ZAPQ alone.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use zeroize::Zeroizing;

use super::ApCard;
use crate::abi::ap::{ApMode, ApQueueInfo, ApQueueStatus, ApResponse, BindState};
use crate::owner::crypto::SecretBytes;
use crate::sim::TOD_PER_MICROSECOND;
use crate::sim::frames::ConfId;

/// Messages that a queue takes.
const DEPTH: u8 = 8;
/// Length of the longest message, in 4096 bytes.
const CHUNKS: u8 = 3;
/// Bytes of the longest message.
pub(super) const MESSAGE: usize = CHUNKS as usize * 4096;
/// CEX8.
const CARD_TYPE: u8 = 14;
/// How long an association takes, in units of the TOD clock.
const ASSOCIATION: u64 = 16 * TOD_PER_MICROSECOND;

/// How far a bound queue is associated.
enum Association {
    None,
    /// Done at this time: with the secret, or with this failure.
    Pending(u64, Result<SecretBytes<32>, ApResponse>),
    Done(SecretBytes<32>),
    Failed(ApResponse),
}

pub(crate) struct Queue {
    mode: ApMode,
    card: Box<dyn ApCard>,
    pub(super) assigned: Option<ConfId>,
    bound: Option<ConfId>,
    association: Association,
    /// Replies with the identifiers of their requests.
    replies: VecDeque<(u64, Zeroizing<Vec<u8>>)>,
}

impl Queue {
    pub(super) fn new(mode: ApMode, card: Box<dyn ApCard>) -> Self {
        Self { mode, card, assigned: None, bound: None, association: Association::None, replies: VecDeque::new() }
    }

    pub(super) fn is_bound_to(&self, conf: ConfId) -> bool {
        self.bound == Some(conf)
    }

    /// Takes note of the time: an association that was under way may be over.
    pub(super) fn at(&mut self, now: u64) {
        let secret = match core::mem::replace(&mut self.association, Association::None) {
            Association::Pending(done, result) if done <= now => result,
            other => {
                self.association = other;
                return;
            }
        };
        self.association = match secret {
            Ok(secret) if self.card.associate(&secret) => Association::Done(secret),
            Ok(_) => Association::Failed(ApResponse::ASSOCIATION_FAILED),
            Err(response) => Association::Failed(response),
        };
    }

    /// What an association that has failed makes of every instruction.
    pub(super) fn failure(&self) -> Option<ApQueueStatus> {
        match self.association {
            Association::Failed(response) => {
                Some(ApQueueStatus::new(self.flags() | ApQueueStatus::ASYNCHRONOUS, response))
            }
            _ => None,
        }
    }

    fn flags(&self) -> u32 {
        let full = self.replies.len() >= usize::from(DEPTH);
        match (self.replies.is_empty(), full) {
            (true, _) => ApQueueStatus::EMPTY,
            (false, false) => ApQueueStatus::REPLIES,
            (false, true) => ApQueueStatus::REPLIES | ApQueueStatus::FULL,
        }
    }

    /// The status for a guest: how full the queue is is shown to nobody while another guest has it bound.
    pub(super) fn status(&self, conf: ConfId, response: ApResponse) -> ApQueueStatus {
        let flags = if self.bound.is_some_and(|owner| owner != conf) { 0 } else { self.flags() };
        ApQueueStatus::new(flags, response)
    }

    /// What TAPQ tells a guest.
    pub(super) fn info(&self, conf: ConfId) -> ApQueueInfo {
        let bind = match (self.bound, &self.association) {
            _ if self.mode == ApMode::Cca => BindState::UNUSABLE,
            (None, _) => BindState::AVAILABLE,
            (Some(owner), _) if owner != conf => BindState::UNUSABLE,
            (Some(_), Association::Done(_)) => BindState::USABLE,
            (Some(_), _) => BindState::NO_SECURE_KEY,
        };
        ApQueueInfo::new(self.mode, bind, CARD_TYPE, DEPTH, CHUNKS)
    }

    /// Empties the queue.
    pub(super) fn reset(&mut self, zeroize: bool, unbind: bool) {
        self.replies.clear();
        self.card.reset(zeroize);
        if unbind {
            self.bound = None;
        }
        // An association that has failed ends with every reset.
        if unbind || !matches!(self.association, Association::Done(_)) {
            self.association = Association::None;
        }
    }

    /// A reset by a guest.
    pub(super) fn reset_by(&mut self, conf: ConfId, zeroize: bool, unbind: bool) -> Result<(), ApResponse> {
        if self.bound.is_some_and(|owner| owner != conf) {
            return Err(ApResponse::NOT_BOUND);
        }
        self.reset(zeroize, unbind);
        Ok(())
    }

    pub(super) fn bind(&mut self, conf: ConfId) -> Result<(), ApResponse> {
        match self.bound {
            Some(owner) if owner != conf => Err(ApResponse::BOUND_TO_ANOTHER),
            None if self.mode != ApMode::Cca => {
                self.bound = Some(conf);
                Ok(())
            }
            Some(_) | None => Err(ApResponse::BIND_ERROR),
        }
    }

    /// Whether a guest may use the queue for more than a test.
    pub(super) fn usable(&self, conf: ConfId) -> Result<(), ApResponse> {
        match (self.bound, &self.association) {
            (Some(owner), Association::Pending(..)) if owner == conf => Err(ApResponse::STATE_CHANGE_IN_PROGRESS),
            (Some(owner), _) if owner == conf => Ok(()),
            _ => Err(ApResponse::NOT_BOUND),
        }
    }

    /// Whether the guest that has bound the queue may associate it.
    pub(super) fn can_associate(&self) -> Result<(), ApResponse> {
        if self.mode != ApMode::Ep11 || matches!(self.association, Association::Done(_)) {
            return Err(ApResponse::NOT_AVAILABLE_FOR_ASSOCIATION);
        }
        if self.replies.is_empty() { Ok(()) } else { Err(ApResponse::NOT_EMPTY) }
    }

    /// Begins an association, which will end with this.
    pub(super) fn associate(&mut self, now: u64, result: Result<SecretBytes<32>, ApResponse>) {
        self.association = Association::Pending(now.saturating_add(ASSOCIATION), result);
    }

    pub(super) fn send(&mut self, psmid: u64, request: &[u8]) -> Result<(), ApResponse> {
        if request.len() > MESSAGE {
            return Err(ApResponse::MESSAGE_TOO_BIG);
        }
        if self.replies.len() >= usize::from(DEPTH) {
            return Err(ApResponse::QUEUE_FULL);
        }
        let secret = match &self.association {
            Association::Done(secret) => Some(secret),
            _ => None,
        };
        let reply = self.card.reply(request, secret);
        self.replies.push_back((psmid, Zeroizing::new(reply)));
        Ok(())
    }

    /// Takes up to `size` bytes of the first reply: identifier, bytes, and how many are left of it.
    pub(super) fn receive(&mut self, size: usize) -> Option<(u64, Zeroizing<Vec<u8>>, usize)> {
        let (psmid, reply) = self.replies.front_mut()?;
        let psmid = *psmid;
        let part = Zeroizing::new(reply[..size.min(reply.len())].to_vec());
        let left = Zeroizing::new(reply[part.len()..].to_vec());
        let len = left.len();
        if len == 0 {
            self.replies.pop_front();
        } else {
            *reply = left;
        }
        Some((psmid, part, len))
    }
}
