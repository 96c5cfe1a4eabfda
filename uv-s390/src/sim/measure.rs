//! The digests over an image that is being unpacked, and who computes them.
//!
//! The digest of the pages is one serial hash: it costs several times what all else of an unpack does. A thread that the user
//! of the machine lends ([`Machine::help`]) takes it off the CPU that unpacks: pages wait for it in their order. When too many
//! wait, or nobody helps, who unpacks computes it.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use spin::{Mutex, MutexGuard};

use super::conf::Conf;
use super::machine::Machine;
use crate::owner::image::{Measurement, PageHasher};

/// Pages that may wait (1 MiB): more than a helper takes up while it is not looked at, and less than a cache.
const WAITING: usize = 256;

/// A page that waits.
struct Page {
    stored: [u8; 4096],
    address: u64,
    tweak: [u8; 16],
}

#[derive(Default)]
struct Queue {
    waiting: VecDeque<Box<Page>>,
    /// Used before, so that no page needs fresh memory.
    free: Vec<Box<Page>>,
}

/// The digests of one configuration's image.
#[derive(Default)]
pub(crate) struct Measure {
    /// Held by the one that unpacks a page.
    turn: Mutex<()>,
    hasher: Mutex<PageHasher>,
    queue: Mutex<Queue>,
}

/// The right to add a page, or to see what all of them measure to.
pub(crate) struct Turn<'a> {
    measure: &'a Measure,
    _turn: MutexGuard<'a, ()>,
}

impl Measure {
    /// Begins to unpack a page or to verify; `None` while somebody else does.
    pub(crate) fn turn(&self) -> Option<Turn<'_>> {
        Some(Turn { measure: self, _turn: self.turn.try_lock()? })
    }

    /// Takes the pages that wait into the digests; `false` when there were none, or another thread is at it.
    fn help(&self) -> bool {
        self.hasher.try_lock().is_some_and(|mut hasher| self.drain(&mut hasher))
    }

    fn drain(&self, hasher: &mut PageHasher) -> bool {
        let mut any = false;
        loop {
            let Some(page) = self.queue.lock().waiting.pop_front() else { return any };
            hasher.page(&page.stored, page.address, &page.tweak);
            self.queue.lock().free.push(page);
            any = true;
        }
    }
}

impl Turn<'_> {
    /// What all pages so far measure to.
    pub(crate) fn measured(&self) -> Measurement {
        let mut hasher = self.measure.hasher.lock();
        self.measure.drain(&mut hasher);
        hasher.clone().finish()
    }

    /// Adds a page as it is stored; with `helped` it waits for the helper.
    pub(crate) fn page(&mut self, stored: &[u8; 4096], address: u64, tweak: [u8; 16], helped: bool) {
        let measure = self.measure;
        if !helped {
            let mut hasher = measure.hasher.lock();
            measure.drain(&mut hasher);
            return hasher.page(stored, address, &tweak);
        }
        while measure.queue.lock().waiting.len() >= WAITING {
            // Either the helper is at work on them, or this takes them.
            if !measure.help() {
                core::hint::spin_loop();
            }
        }
        let used = measure.queue.lock().free.pop();
        let mut page = used.unwrap_or_else(|| Box::new(Page { stored: [0; 4096], address, tweak }));
        page.stored = *stored;
        (page.address, page.tweak) = (address, tweak);
        measure.queue.lock().waiting.push_back(page);
    }
}

impl Machine {
    /// Says that a thread calls [`Machine::help`] again and again. While it does, images are unpacked as fast as their
    /// digest is computed, and nothing else of it costs the CPU that unpacks; without it nothing changes but the time.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicBool, Ordering};
    /// use uv_s390::sim::{Machine, MachineConfig};
    ///
    /// let machine = Machine::new(MachineConfig::new(1));
    /// let done = AtomicBool::new(false);
    /// std::thread::scope(|scope| {
    ///     machine.set_helped(true);
    ///     scope.spawn(|| {
    ///         while !done.load(Ordering::Relaxed) {
    ///             if !machine.help() {
    ///                 std::thread::yield_now();
    ///             }
    ///         }
    ///     });
    ///     // ... unpack and verify images ...
    ///     machine.set_helped(false);
    ///     done.store(true, Ordering::Relaxed);
    /// });
    /// ```
    pub fn set_helped(&self, helped: bool) {
        self.helped.store(helped, Ordering::Relaxed);
    }

    /// Computes digests of pages that were unpacked. `false` when there was nothing to do.
    pub fn help(&self) -> bool {
        let confs: Vec<Arc<Conf>> = self.confs.read().values().cloned().collect();
        confs.iter().fold(false, |any, conf| conf.measure.help() | any)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages() -> impl Iterator<Item = ([u8; 4096], u64, [u8; 16])> {
        (0..600_u64).map(|n| ([n.to_le_bytes()[0]; 4096], n << 12, u128::from(n).to_be_bytes()))
    }

    fn alone() -> Measurement {
        let mut hasher = PageHasher::new();
        pages().for_each(|(page, address, tweak)| hasher.page(&page, address, &tweak));
        hasher.finish()
    }

    #[test]
    fn digests_do_not_depend_on_who_helps() {
        for helped in [|_| false, |_| true, |n: u64| n.is_multiple_of(3)] {
            let measure = Measure::default();
            for ((page, address, tweak), n) in pages().zip(0..) {
                measure.turn().unwrap().page(&page, address, tweak, helped(n));
            }
            assert_eq!(measure.turn().unwrap().measured(), alone());
            assert!(!measure.help(), "nothing waits any more");
        }
    }

    #[test]
    fn a_helper_works_beside_who_unpacks() {
        extern crate std;
        let (measure, done) = (Measure::default(), core::sync::atomic::AtomicBool::new(false));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    if !measure.help() {
                        std::thread::yield_now();
                    }
                }
            });
            pages().for_each(|(page, address, tweak)| measure.turn().unwrap().page(&page, address, tweak, true));
            assert_eq!(measure.turn().unwrap().measured(), alone());
            done.store(true, Ordering::Relaxed);
        });
    }

    #[test]
    fn one_unpacks_or_verifies_at_a_time() {
        let measure = Measure::default();
        let turn = measure.turn().unwrap();
        assert!(measure.turn().is_none());
        drop(turn);
        assert_eq!(measure.turn().unwrap().measured().page_count, 0);
    }
}
