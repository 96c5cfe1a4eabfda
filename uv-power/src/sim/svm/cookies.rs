//! Cookies: what the hypervisor holds of a guest's context (power-pef §8.2).
//!
//! A cookie is a random number of 32 bits, a multiple of 4, at least 0x2000, unique in its VM, good for one use.

use alloc::collections::BTreeMap;

use rand_core::Rng;
use uv_sim::rng::SimRng;

/// Lowest cookie: below are interrupt vectors.
const LOWEST: u32 = 0x2000;

/// What a new virtual CPU starts with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Start {
    pub(crate) cpu: u64,
    pub(crate) address: u64,
    pub(crate) r3: u64,
}

/// What a cookie stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The context of the virtual CPU with this number.
    Context(u32),
    /// A virtual CPU that is to start.
    Start(Start),
}

/// The live cookies of a VM.
pub(crate) struct Cookies {
    rng: SimRng,
    live: BTreeMap<u32, Holder>,
}

impl Cookies {
    pub(crate) const fn new(rng: SimRng) -> Self {
        Self { rng, live: BTreeMap::new() }
    }

    /// Makes a cookie.
    pub(crate) fn issue(&mut self, holder: Holder) -> u32 {
        loop {
            let cookie = self.rng.next_u32() & !3;
            if cookie >= LOWEST && !self.live.contains_key(&cookie) {
                self.live.insert(cookie, holder);
                return cookie;
            }
        }
    }

    /// Takes a cookie, whatever it stands for.
    pub(crate) fn take(&mut self, cookie: u64) -> Option<Holder> {
        self.live.remove(&u32::try_from(cookie).ok()?)
    }

    /// Takes the cookie of a context.
    pub(crate) fn take_context(&mut self, cookie: u64) -> Option<u32> {
        self.take_if(cookie, |holder| match holder {
            Holder::Context(vcpu) => Some(vcpu),
            Holder::Start(_) => None,
        })
    }

    /// Takes the cookie of a virtual CPU that is to start.
    pub(crate) fn take_start(&mut self, cookie: u64) -> Option<Start> {
        self.take_if(cookie, |holder| match holder {
            Holder::Start(start) => Some(start),
            Holder::Context(_) => None,
        })
    }

    /// Takes a cookie if it stands for what is wanted.
    fn take_if<T>(&mut self, cookie: u64, wanted: impl FnOnce(Holder) -> Option<T>) -> Option<T> {
        let cookie = u32::try_from(cookie).ok()?;
        let found = self.live.get(&cookie).copied().and_then(wanted)?;
        self.live.remove(&cookie);
        Some(found)
    }

    pub(crate) fn clear(&mut self) {
        self.live.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_used_once_and_for_what_it_is() {
        let mut cookies = Cookies::new(SimRng::from_seed(1));
        let context = cookies.issue(Holder::Context(3));
        let start = Start { cpu: 1, address: 2, r3: 3 };
        let new = cookies.issue(Holder::Start(start));
        assert!(context >= LOWEST && context.is_multiple_of(4) && context != new);
        assert_eq!(cookies.take_start(context.into()), None);
        assert_eq!(cookies.take_context(new.into()), None);
        assert_eq!(cookies.take_context(u64::from(context) | 1 << 32), None);
        assert_eq!(cookies.take_context(context.into()), Some(3));
        assert_eq!(cookies.take_context(context.into()), None);
        assert_eq!(cookies.take_start(new.into()), Some(start));
    }
}
