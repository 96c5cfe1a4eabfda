//! Ending protection: at once, or set aside and ended later (s390-ultravisor §3.3).

use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use uv_core::Gfn;

use super::conf::SecureConf;
use super::gmap::PageFlags;
use super::{HostError, Vm};
use crate::abi::uvcb::{DestroyFast, NoData, UvCommand};

/// Configurations that are set aside.
#[derive(Debug, Default)]
pub(super) struct SetAside {
    set: Option<Leftover>,
    /// Those whose end was interrupted, oldest first; ended with the next [`Vm::disable`].
    queue: Vec<Leftover>,
}

/// What is left of a configuration after it was set aside.
#[derive(Debug)]
struct Leftover {
    /// The configuration, unless it is gone already (fast path).
    conf: Option<SecureConf>,
}

/// How the end of what was set aside went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cleanup {
    /// DESTROY_SEC_CONF is done.
    Destroyed,
    /// There was nothing to ask the Ultravisor: the configuration went the fast way before.
    Fast,
    /// The caller wanted no more; the rest is queued for [`Vm::disable`].
    Queued,
}

/// First page that the kernel leaves to the deferred part: 2 GiB.
const LOW_END: Gfn = Gfn(2 << 18);

impl Vm {
    /// KVM_PV_DISABLE: destroys the CPUs, destroys the configuration, ends what was set aside or queued, then destroys every page.
    ///
    /// After success the VM is ordinary, its memory is accessible and what was secure is zero. When a CPU cannot be
    /// destroyed nothing else is tried: the configuration could not be destroyed either.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; the first failure of DESTROY_SEC_CPU, of DESTROY_SEC_CONF, or of a leftover. After a failure
    /// of DESTROY_SEC_CONF the VM stays protected, without secure CPUs, and this can be called again; all the rest is done. What
    /// the Ultravisor still holds of a leftover stays taken. A page that is not given back is told to the log only.
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

    /// Ends everything set aside and queued, newest first; the first failure is reported.
    fn end_leftovers(&self) -> Result<(), HostError> {
        let mut aside = self.aside.lock();
        let mut leftovers: Vec<_> = aside.queue.drain(..).collect();
        leftovers.extend(aside.set.take());
        drop(aside);
        let mut result = Ok(());
        for leftover in leftovers.into_iter().rev() {
            result = result.and(self.end_leftover(leftover).map(|_| ()));
        }
        result
    }

    /// KVM_PV_ASYNC_CLEANUP_PREPARE: the VM is ordinary at once and goes on with another page-table root, while its old
    /// configuration waits for [`Vm::cleanup`]. Pages below 2 GiB are destroyed here, since they are what the guest's
    /// boot needs next.
    ///
    /// # Errors
    /// [`HostError::NotProtected`]; [`HostError::NotInstalled`] when the kernel does not do it; the first failure of
    /// DESTROY_SEC_CPU; [`HostError::SetAside`] when one is waiting already; [`HostError::SegmentTable`];
    /// [`HostError::Call`] of DESTROY_SEC_CONF_FAST (0x0104: AP queues bound) — the caller falls back to [`Vm::disable`].
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
            let mut conf = self.conf.write();
            let old = self.replace_root()?;
            let mut conf = conf.take().ok_or(HostError::NotProtected)?;
            match conf.old_root {
                // After a DESTROY_SEC_CONF that was refused the root of now is nobody's.
                Some(_) => old.into_iter().for_each(|root| self.host.drop_root(root)),
                None => conf.old_root = old,
            }
            Some(conf)
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
            conf.old_root.into_iter().for_each(|root| self.host.drop_root(root));
        }
        Ok(())
    }

    /// KVM_PV_ASYNC_CLEANUP_PERFORM: destroys all pages of what was set aside, then its configuration. Runs beside the VM, without
    /// its lock. `go_on` is asked before each page; when it says no the rest is queued and the call counts as done.
    ///
    /// A page that the VM has taken into a new configuration is not touched: it belongs to that one.
    ///
    /// # Errors
    /// [`HostError::NotInstalled`], [`HostError::SetAside`] when nothing waits, [`HostError::Call`] of DESTROY_SEC_CONF (the
    /// storage stays taken).
    pub fn cleanup(&self, go_on: &mut dyn FnMut(Gfn) -> bool) -> Result<Cleanup, HostError> {
        if !self.async_destroy {
            return Err(HostError::NotInstalled);
        }
        let leftover = self.aside.lock().set.take().ok_or(HostError::SetAside)?;
        for gfn in self.gmap.pages() {
            if !go_on(gfn) {
                self.aside.lock().queue.push(leftover);
                return Ok(Cleanup::Queued);
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

    fn end_leftover(&self, leftover: Leftover) -> Result<Cleanup, HostError> {
        let Some(conf) = leftover.conf else {
            // Its pages counted until now.
            self.uncount_protected();
            return Ok(Cleanup::Fast);
        };
        self.host.call(&mut NoData::new(UvCommand::DESTROY_SEC_CONF, conf.handle)).inspect_err(|error| {
            tracing::error!(%error, "configuration not destroyed, its storage is lost");
        })?;
        self.free_configuration(conf);
        Ok(Cleanup::Destroyed)
    }

    /// Whether a configuration waits for [`Vm::cleanup`].
    #[must_use]
    pub fn has_set_aside(&self) -> bool {
        self.aside.lock().set.is_some()
    }

    /// What the kernel does when the process ends: CPUs destroyed; if that went well, the configuration ended the fast way
    /// where there is one; all pages destroyed; then the configuration, if it is still there, and what was set aside. Errors
    /// end in the log.
    pub(super) fn release(&self) {
        let protected = self.is_protected();
        let cpus = self.destroy_secure_cpus();
        let can = protected && cpus.is_ok() && self.host.has(UvCommand::DESTROY_SEC_CONF_FAST);
        let fast = can && self.destroy_fast().is_ok();
        for gfn in self.gmap.pages() {
            if !self.gmap.flags(gfn).is_empty() {
                let _ = self.destroy_or_export(gfn);
            }
        }
        if fast {
            self.uncount_protected();
        } else if protected {
            let _ = self.destroy_configuration();
        }
        let _ = self.end_leftovers();
    }
}
