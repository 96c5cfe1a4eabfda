//! The ultravisor's own buffers: pages shared implicitly, through which it talks to the hypervisor (power-pef §15.5).

use alloc::vec::Vec;

use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory, PageSize};

use crate::abi::codes::HvCode;
use crate::abi::numbers::{PAGE_BYTES, PageInFlags};
use crate::sim::flow::Uv;
use crate::sim::svm::GfnState;

/// How often a page that the hypervisor took away is asked for.
const ROUNDS: u32 = 10;

/// A buffer cannot be reached: why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Lost(pub(crate) &'static str);

impl Uv {
    /// Has a bounce page that the hypervisor took away given back, and lets `act` reach it in normal memory. The page's lock is held, so
    /// the page cannot be taken away again before `act` is done.
    pub(crate) async fn reach_shared<T>(
        &self,
        at: GuestAddr,
        act: impl FnOnce(&dyn NormalMemory, HostAddr) -> Result<T, AccessError>,
    ) -> Result<T, Lost> {
        let gfn = PageSize::K64.gfn(at);
        for _ in 0..ROUNDS {
            {
                let _held = self.svm.hold(gfn).ok_or(Lost("bounce page in no memory slot"))?;
                match (self.svm.gfn_state(gfn), self.svm.space.shared_at(gfn)) {
                    (GfnState::SharedImplicit, Some(page)) => {
                        let there = HostAddr(page.0 + PageSize::K64.offset(at.0));
                        return act(&*self.platform.memory, there).map_err(|_| Lost("bounce page not there"));
                    }
                    (GfnState::SharedImplicitInv, _) => {}
                    _ => return Err(Lost("bounce page not shared")),
                }
            }
            let code = self.page_in(gfn, PageInFlags::SHARED).await;
            if code != HvCode::H_SUCCESS {
                tracing::debug!(%gfn, %code, "bounce page not given back");
            }
        }
        Err(Lost("bounce page not given back"))
    }

    /// Writes into a buffer.
    pub(crate) async fn put(&self, at: GuestAddr, content: &[u8]) -> Result<(), Lost> {
        self.reach_shared(at, |memory, there| memory.write(there, content)).await
    }

    /// Copies out of a buffer, once: the hypervisor can change it at any time.
    pub(crate) async fn get(&self, at: GuestAddr, len: u64) -> Result<Vec<u8>, Lost> {
        let len = usize::try_from(len.min(PAGE_BYTES)).unwrap_or(0);
        let mut content = alloc::vec![0; len];
        self.reach_shared(at, |memory, there| memory.read(there, &mut content)).await?;
        Ok(content)
    }
}
