//! The pool of device pages (power-pef §6.2): one for each 64 KiB of secure memory, so that the kernel does not ask for more
//! than the ultravisor has.

use alloc::vec::Vec;

use spin::Mutex;

/// Number of a device page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DevicePage(pub u32);

/// All device pages of the host, shared by its VMs. The first free one is used.
pub struct DevicePool {
    pages: Mutex<Pages>,
}

struct Pages {
    used: Vec<bool>,
    /// No page below this one is free.
    lowest: usize,
}

impl core::fmt::Debug for DevicePool {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("DevicePool").field("free", &self.free()).field("pages", &self.pages()).finish()
    }
}

impl DevicePool {
    /// A pool for `secure_bytes` of secure memory, as the device tree tells the sum. Without a whole page there is no
    /// pool: the host cannot run secure VMs.
    #[must_use]
    pub fn new(secure_bytes: u64) -> Option<Self> {
        let pages = u32::try_from(secure_bytes >> 16).unwrap_or(u32::MAX);
        let pages = usize::try_from(pages).ok().filter(|pages| *pages > 0)?;
        Some(Self { pages: Mutex::new(Pages { used: alloc::vec![false; pages], lowest: 0 }) })
    }

    /// Takes the first free page; `None` when all are in use.
    pub(super) fn take(&self) -> Option<DevicePage> {
        let mut pages = self.pages.lock();
        let lowest = pages.lowest;
        let index = lowest + pages.used.get(lowest..)?.iter().position(|used| !used)?;
        pages.used[index] = true;
        pages.lowest = index + 1;
        u32::try_from(index).ok().map(DevicePage)
    }

    /// Gives a page back.
    pub(super) fn give_back(&self, page: DevicePage) {
        let mut pages = self.pages.lock();
        let index = page.0 as usize;
        if let Some(used) = pages.used.get_mut(index) {
            *used = false;
            pages.lowest = pages.lowest.min(index);
        }
    }

    /// How many pages there are.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.pages.lock().used.len() as u64
    }

    /// How many pages are free.
    #[must_use]
    pub fn free(&self) -> u64 {
        self.pages.lock().used.iter().filter(|used| !**used).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_free_page_is_used() {
        assert!(DevicePool::new(0xffff).is_none());
        let pool = DevicePool::new(3 << 16).unwrap();
        assert_eq!([pool.take(), pool.take()], [Some(DevicePage(0)), Some(DevicePage(1))]);
        pool.give_back(DevicePage(0));
        assert_eq!([pool.take(), pool.take(), pool.take()], [Some(DevicePage(0)), Some(DevicePage(2)), None]);
        assert_eq!((pool.pages(), pool.free()), (3, 0));
    }
}
