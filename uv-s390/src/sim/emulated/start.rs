//! From an ordinary to a protected guest, in place: what KVM, QEMU and the Ultravisor do together (s390-ultravisor §5.4).

use alloc::collections::BTreeSet;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use rand_core::Rng;
use uv_core::{Gfn, GuestAddr, HostAddr, NormalMemory, PageSize};
use zeroize::Zeroizing;

use super::EmulatedGuest;
use crate::abi::diag308::{Response, StartFailure};
use crate::abi::ipib::IpibView;
use crate::abi::psw::Psw;
use crate::abi::uvc::{UvRc, UvRrc};
use crate::abi::uvcb::ConfFlags;
use crate::owner::image::{PageHasher, page_tweak};
use crate::sim::answer::{Answer, Refusal};
use crate::sim::calls::image::{accept, decipher};
use crate::sim::conf::{Conf, Image, NewConf, Phase};
use crate::sim::frames::ConfId;
use crate::sim::machine::Machine;

/// KVM's numbers of the commands that a failure is told of by.
const SET_PARAMETERS: u16 = 2;
const UNPACK: u16 = 3;
const VERIFY: u16 = 4;

/// Where the pages of an image go, and which were there.
struct Unpacking<'a> {
    guest: &'a EmulatedGuest,
    image: &'a Image,
    hasher: PageHasher,
    done: BTreeSet<Gfn>,
}

impl EmulatedGuest {
    /// Subcode 10, when all CPUs have stopped: takes the header that the stored IPIB names, deciphers its components where
    /// they lie, verifies.
    ///
    /// # Errors
    /// The response for the guest, with the command that failed and its codes. What was unpacked is gone then, as on a machine.
    pub(super) fn start(&self) -> Result<Psw, Response> {
        let mut state = self.state.lock();
        let ipib = state.stores.pv().map(<[u8]>::to_vec).ok_or(Response::NO_PV_CONFIGURATION)?;
        if state.conf.is_some() {
            return Err(Response::CANNOT_ENTER);
        }
        let ipib = IpibView::new(&ipib);
        let image = self.header(&ipib).map_err(|refusal| failed(SET_PARAMETERS, refusal))?;
        let mut unpacking = Unpacking { guest: self, image: &image, hasher: PageHasher::new(), done: BTreeSet::new() };
        if let Err(response) = unpacking.all(&ipib) {
            unpacking.undo();
            tracing::info!(%response, "start as a protected guest failed");
            return Err(response);
        }
        let psw = image.opened.confidential.psw;
        state.conf = Some(self.protect(image));
        Ok(psw)
    }

    fn header(&self, ipib: &IpibView<'_>) -> Result<Image, Refusal> {
        let len = usize::try_from(ipib.header_length()).map_err(|_| UvRc::HEADER_ACCESS)?;
        let mut bytes = alloc::vec![0; len];
        self.storage().read(GuestAddr(ipib.header_address()), &mut bytes).map_err(|_| UvRc::HEADER_ACCESS)?;
        accept(&self.machine, &bytes)
    }

    /// The configuration of a guest with a verified image: every page is private.
    pub(super) fn protect(&self, image: Image) -> Arc<Conf> {
        let machine = &self.machine;
        let mut uid = [0; 16];
        match machine.next_uid.lock().take() {
            Some(chosen) => uid = chosen.0,
            None => machine.rng.lock().fill_bytes(&mut uid),
        }
        let id = ConfId(machine.next_id.fetch_add(1, Ordering::Relaxed));
        let new = NewConf {
            id,
            handle: machine.fresh_handle(),
            flags: ConfFlags::empty(),
            asce: crate::abi::sie::Asce(0),
            mso: 0,
            msl: self.slots.end().0 << PageSize::K4.shift(),
            sca: 0,
            space: machine.engine.create_space(0, Machine::SUITE),
            uid,
            in_place: true,
        };
        let conf = Arc::new(Conf::new(new));
        *conf.image.write() = Some(Arc::new(image));
        conf.life.lock().phase = Phase::Verified;
        machine.confs.write().insert(conf.handle, Arc::clone(&conf));
        machine.storage.frames.closed().set_all(true);
        tracing::debug!(handle = conf.handle, "the guest is protected");
        conf
    }
}

impl Unpacking<'_> {
    fn all(&mut self, ipib: &IpibView<'_>) -> Result<(), Response> {
        for component in ipib.components() {
            let (address, prefix) = (component.address.get(), component.tweak_prefix.get());
            // A length of 0 KVM refuses itself, without codes.
            let pages = PageSize::K4.pages_for(component.length.get());
            if pages == 0 {
                return Err(failed(UNPACK, Refusal::code(UvRc(0), UvRrc(0))));
            }
            for offset in (0..pages).map(|page| page << PageSize::K4.shift()) {
                let addr = address.checked_add(offset).ok_or_else(|| failed(UNPACK, UvRc::ADDRESS.into()))?;
                self.page(addr, page_tweak(prefix, offset)).map_err(|refusal| failed(UNPACK, refusal))?;
            }
        }
        let measured = self.hasher.clone().finish();
        measured.check(self.image.header.fixed()).map_err(|error| failed(VERIFY, error.uv_code().into()))
    }

    /// One page, with the codes of UNPACK_IMG.
    fn page(&mut self, addr: u64, tweak: [u8; 16]) -> Answer {
        let gfn = PageSize::K4.gfn(GuestAddr(addr));
        if addr & 0xfff != 0 || gfn >= self.guest.slots.end() {
            return Err(UvRc::ADDRESS.into());
        }
        if self.done.contains(&gfn) {
            return Err(UvRc::ALREADY_SECURE.into());
        }
        let memory = &self.guest.machine.storage.bytes;
        let mut page = Zeroizing::new([0; 4096]);
        memory.read(HostAddr(addr), &mut *page).map_err(|_| UvRc::NOT_MAPPED)?;
        decipher(self.image, &mut self.hasher, &mut *page, addr, tweak)?;
        self.done.insert(gfn);
        memory.write(HostAddr(addr), &*page).map_err(|_| UvRc::NOT_MAPPED.into())
    }

    /// The configuration ends: its pages are the guest's again, and zero.
    fn undo(&self) {
        let pages: Vec<HostAddr> = self.done.iter().map(|gfn| HostAddr(PageSize::K4.addr(*gfn).0)).collect();
        pages.into_iter().for_each(|page| self.guest.machine.storage.clear(page));
    }
}

fn failed(command: u16, refusal: Refusal) -> Response {
    let (rc, rrc) = match refusal {
        Refusal::Code(rc, rrc) => (rc.0, rrc.0),
        _ => (0, 0),
    };
    StartFailure { command, rc, rrc }.response()
}
