//! The machine's secure memory: one frame pool, many VMs.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

use uv_core::PageSize;

use crate::pool::FramePool;
use crate::rng::SimRng;
use crate::seal::{PageSealer, Suite};
use crate::space::{OwnerId, SecureSpace};

/// What a machine is made of. `Debug` does not show the seed: every key follows from it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct EngineConfig {
    /// The page size of every VM.
    pub page_size: PageSize,
    /// How many secure frames there are. Memory for a frame is taken from the heap when it is first used.
    pub frames: u32,
    /// Everything random comes from this number: the same seed and the same calls give the same bytes.
    pub seed: u64,
}

impl core::fmt::Debug for EngineConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let Self { page_size, frames, seed: _ } = self;
        f.debug_struct("EngineConfig").field("page_size", page_size).field("frames", frames).finish_non_exhaustive()
    }
}

/// The secure memory of a simulated machine.
pub struct Engine {
    pool: Arc<FramePool>,
    rng: SimRng,
    owners: AtomicU64,
}

impl core::fmt::Debug for Engine {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Engine").field("frames", &self.frames()).field("in_use", &self.frames_in_use()).finish()
    }
}

impl Engine {
    /// A machine without VMs.
    #[must_use]
    pub fn new(config: EngineConfig) -> Self {
        Self {
            pool: Arc::new(FramePool::new(config.page_size, config.frames)),
            rng: SimRng::from_seed(config.seed),
            owners: AtomicU64::new(1),
        }
    }

    /// The page size of every VM.
    #[must_use]
    pub fn page_size(&self) -> PageSize {
        self.pool.page_size()
    }

    /// Makes the secure memory of a new VM: pages 0 .. `pages`, all absent, sealed with fresh keys of the suite.
    ///
    /// # Panics
    /// When the heap cannot hold the root of the page table, 16 bytes for each 4096 pages.
    #[must_use]
    pub fn create_space(&self, pages: u64, suite: Suite) -> Arc<SecureSpace> {
        let owner = self.owners.fetch_add(1, Ordering::Relaxed);
        let mut rng = self.rng.fork(&alloc::format!("vm {owner}"));
        let sealer = PageSealer::generate(suite, self.page_size().bytes(), owner, &mut rng)
            .expect("both page sizes are powers of two from 4 KiB on");
        tracing::debug!(owner, pages, ?suite, "secure memory for a new VM");
        Arc::new(SecureSpace::new(OwnerId(owner), Arc::clone(&self.pool), pages, sealer))
    }

    /// An independent stream of random numbers for a purpose of its own.
    #[must_use]
    pub fn rng(&self, label: &str) -> SimRng {
        self.rng.fork(label)
    }

    /// How many secure frames there are.
    #[must_use]
    pub fn frames(&self) -> u64 {
        self.pool.capacity()
    }

    /// How many secure frames are in use.
    #[must_use]
    pub fn frames_in_use(&self) -> u64 {
        self.pool.in_use()
    }
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::string::ToString;

    use super::*;

    #[test]
    fn no_debug_output_shows_the_seed() {
        let config = EngineConfig { page_size: PageSize::K4, frames: 3, seed: 0x5eed_5eed };
        let engine = Engine::new(config);
        let space = engine.create_space(1, Suite::Aes256Ccm);
        let shown = format!("{config:?} {engine:?} {space:?} {:?} {:?}", space.sealer(), engine.rng("a"));
        for seed in [config.seed.to_string(), format!("{:x}", config.seed)] {
            assert!(!shown.contains(&seed), "{shown}");
        }
        assert!(shown.contains("frames: 3"));
    }

    #[test]
    fn every_vm_has_a_number_and_pages_of_its_own() {
        let engine = Engine::new(EngineConfig { page_size: PageSize::K64, frames: 3, seed: 1 });
        assert_eq!((engine.frames(), engine.frames_in_use(), engine.page_size()), (3, 0, PageSize::K64));
        let spaces = [5, 4097].map(|pages| engine.create_space(pages, Suite::Aes128Gcm));
        assert_eq!(
            spaces.each_ref().map(|space| (space.owner(), space.pages())),
            [(OwnerId(1), 5), (OwnerId(2), 4097)]
        );
        let [one, two] = &spaces;
        for (gfn, in_use) in [(0, 1), (4, 2)] {
            one.zero_in(uv_core::Gfn(gfn)).unwrap();
            assert_eq!(engine.frames_in_use(), in_use);
        }
        two.zero_in(uv_core::Gfn(4096)).unwrap();
        assert_eq!((engine.frames_in_use(), two.pages()), (3, 4097));
        assert_eq!(two.page_size(), PageSize::K64);
        drop(spaces);
        assert_eq!(engine.frames_in_use(), 0, "a VM that nobody holds any more is ended");
    }

    #[test]
    fn a_vm_of_one_tebibyte_costs_its_root_only() {
        let engine = Engine::new(EngineConfig { page_size: PageSize::K4, frames: 3, seed: 1 });
        let space = engine.create_space(1 << 28, Suite::Aes256Ccm);
        space.zero_in(uv_core::Gfn((1 << 28) - 1)).expect("the last page");
        assert_eq!(space.used().count(), 1);
    }
}
