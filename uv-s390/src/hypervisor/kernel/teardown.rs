//! Ending protection: at once, or set aside and ended later (s390-ultravisor §3.3).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use uv_core::Gfn;

use super::conf::ConfStorage;
use super::gmap::PageFlags;
use super::guest::Root;
use super::{Guest, HostError};
use crate::abi::uvcb::{DestroyFast, NoData, UvCommand};

/// Configurations that are set aside.
#[derive(Debug, Default)]
pub(super) struct Aside {
    set: Option<Leftover>,
    /// Those whose end was interrupted; ended with the next [`Guest::disable`].
    queue: Vec<Leftover>,
}

/// What is left of a configuration after it was set aside.
#[derive(Debug)]
struct Leftover {
    /// Handle, storage and old root, unless the configuration itself is gone already (fast path).
    conf: Option<(u64, ConfStorage, Option<Root>)>,
}

/// First page that the kernel leaves to the deferred part: 2 GiB.
const LOW_END: Gfn = Gfn(2 << 18);

impl Guest {
    /// KVM_PV_DISABLE: destroys the CPUs, destroys the configuration, ends what was set aside or queued, then destroys every page.
    ///
    /// After success the VM is ordinary, its memory is accessible and what was secure is zero. When a CPU cannot be
    /// destroyed nothing else is tried: the configuration could not be destroyed either.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; the first failure of DESTROY_SEC_CPU, of DESTROY_SEC_CONF, or of a leftover. After a failure
    /// of the latter two the VM is ordinary all the same, and what the Ultravisor still holds stays taken. A page that is not
    /// given back is told to the log only.
    pub fn disable(&self) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if !self.is_protected() {
            return Err(HostError::NotProtected);
        }
        self.destroy_secure_cpus()?;
        let ended = self.destroy_configuration();
        let result = ended.and(self.end_leftovers());
        for gfn in self.gmap.pages() {
            self.destroy_for_good(gfn, PageFlags::empty());
        }
        result
    }

    /// Ends everything set aside and queued; the first failure is reported.
    fn end_leftovers(&self) -> Result<(), HostError> {
        let mut aside = self.aside.lock();
        let mut leftovers: Vec<_> = aside.queue.drain(..).collect();
        leftovers.extend(aside.set.take());
        drop(aside);
        let mut result = Ok(());
        for leftover in leftovers {
            result = result.and(self.end_leftover(leftover));
        }
        result
    }

    /// KVM_PV_ASYNC_CLEANUP_PREPARE: the VM is ordinary at once and goes on with another page-table root, while its old
    /// configuration waits for [`Guest::cleanup`]. Pages below 2 GiB are destroyed here, since they are what the guest's
    /// boot needs next.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; [`HostError::NotInstalled`] when the kernel does not do it; the first failure of
    /// DESTROY_SEC_CPU; [`HostError::SetAside`] when one is waiting already; [`HostError::SegmentTable`];
    /// [`HostError::Call`] of DESTROY_SEC_CONF_FAST (0x0104: AP queues bound) — the caller falls back to [`Guest::disable`].
    pub fn set_aside(&self) -> Result<(), HostError> {
        let _lock = self.lock.lock();
        if !self.is_protected() {
            return Err(HostError::NotProtected);
        }
        if !self.async_destroy {
            return Err(HostError::NotInstalled);
        }
        self.destroy_secure_cpus()?;
        let mut aside = self.aside.lock();
        if aside.set.is_some() {
            return Err(HostError::SetAside);
        }
        if self.asce().is_segment_type() {
            return Err(HostError::SegmentTable);
        }
        let conf = if self.host.has(UvCommand::DESTROY_SEC_CONF_FAST) {
            self.destroy_fast()?;
            None
        } else {
            let old = self.replace_root()?;
            let conf = self.conf.write().take().ok_or(HostError::NotProtected)?;
            Some((conf.handle, conf.storage, old))
        };
        self.dumping.store(false, Ordering::Release);
        for gfn in self.gmap.pages() {
            let flags = self.gmap.flags(gfn);
            if flags.intersects(PageFlags::CONTENT) {
                self.gmap.change(gfn, PageFlags::LEFTOVER, PageFlags::CONTENT);
            }
            // A shared page is in reach, so nothing would tell when the ordinary VM begins to use it.
            if gfn < LOW_END || flags.contains(PageFlags::IMPORTED) && self.is_in_reach(gfn) {
                // What cannot be destroyed now is tried again by the deferred part.
                let _ = self.destroy_or_export(gfn);
            }
        }
        aside.set = Some(Leftover { conf });
        Ok(())
    }

    fn is_in_reach(&self, gfn: Gfn) -> bool {
        self.frame(gfn).is_ok_and(|frame| self.host.hardware.memory.check(frame, 0x1000).is_ok())
    }

    /// DESTROY_SEC_CONF_FAST. On failure nothing is given up: the configuration can still be destroyed the normal way.
    fn destroy_fast(&self) -> Result<(), HostError> {
        let handle = self.handle()?;
        self.host.call(&mut DestroyFast::new(handle))?;
        if let Some(conf) = self.conf.write().take() {
            self.free_conf_storage(conf.storage);
        }
        Ok(())
    }

    /// KVM_PV_ASYNC_CLEANUP_PERFORM: destroys all pages of what was set aside, then its configuration. Runs beside the VM, without
    /// its lock. `go_on` is asked before each page; when it says no the rest is queued for [`Guest::disable`] and the
    /// call counts as done.
    ///
    /// A page that the VM has taken into a new configuration is not touched: it belongs to that one.
    ///
    /// # Errors
    /// [`HostError::NotInstalled`], [`HostError::SetAside`] when nothing waits, [`HostError::Call`] of DESTROY_SEC_CONF (the
    /// storage stays taken).
    pub fn cleanup(&self, go_on: &mut dyn FnMut(Gfn) -> bool) -> Result<(), HostError> {
        if !self.async_destroy {
            return Err(HostError::NotInstalled);
        }
        let leftover = self.aside.lock().set.take().ok_or(HostError::SetAside)?;
        for gfn in self.gmap.pages() {
            if !go_on(gfn) {
                self.aside.lock().queue.push(leftover);
                return Ok(());
            }
            self.destroy_for_good(gfn, PageFlags::LEFTOVER);
        }
        self.end_leftover(leftover)
    }

    /// Destroys a page that has these flags; a failure ends in the log.
    fn destroy_for_good(&self, gfn: Gfn, flags: PageFlags) {
        if let Err(error) = self.destroy_if(gfn, flags) {
            tracing::warn!(%gfn, %error, "page not destroyed");
        }
    }

    fn end_leftover(&self, leftover: Leftover) -> Result<(), HostError> {
        let Some((handle, storage, root)) = leftover.conf else {
            // The configuration went the fast way; its pages counted until now.
            self.host.protected.fetch_sub(1, Ordering::Relaxed);
            return Ok(());
        };
        self.host.call(&mut NoData::new(UvCommand::DESTROY_SEC_CONF, handle)).inspect_err(|error| {
            tracing::error!(%error, "configuration not destroyed, its storage is lost");
        })?;
        self.host.protected.fetch_sub(1, Ordering::Relaxed);
        self.free_conf_storage(storage);
        if let Some(root) = root {
            self.host.drop_root(root);
        }
        Ok(())
    }

    /// Whether a configuration waits for [`Guest::cleanup`].
    #[must_use]
    pub fn has_set_aside(&self) -> bool {
        self.aside.lock().set.is_some()
    }

    /// What the kernel does when the process ends: CPUs destroyed, the configuration ended the fast way where there is one, all
    /// pages destroyed. Errors end in the log.
    pub(super) fn release(&self) {
        if self.is_protected() {
            let cpus = self.destroy_secure_cpus();
            let fast = self.host.has(UvCommand::DESTROY_SEC_CONF_FAST) && self.destroy_fast().is_ok();
            if fast {
                self.host.protected.fetch_sub(1, Ordering::Relaxed);
            }
            if cpus.is_ok() && !fast {
                let _ = self.destroy_configuration();
            }
        }
        let _ = self.end_leftovers();
        for gfn in self.gmap.pages() {
            if !self.gmap.flags(gfn).is_empty() {
                let _ = self.destroy_or_export(gfn);
            }
        }
    }
}
