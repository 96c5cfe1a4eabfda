//! A page that the host takes away while a call of the guest is at work: the host hears of it, the guest issues the call
//! again, and no part of the answer is missing.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use uv_core::GuestAddr;
use uv_sim::guest::Step;
use uv_sim::rng::SimRng;

use crate::abi::secret::SecretList;
use crate::abi::sie::{AddressSpaces, GuestMap, HostMapping};
use crate::abi::uvc::{Block, PgmCode};
use crate::abi::uvcb::{AddSecret, Attest, ListSecrets, RetrieveSecret};
use crate::owner::attest::{AttestationFlags, AttestationRequest};
use crate::owner::request::RequestSecrets;
use crate::sim::calls::secret::tests::{adding, plaintext, request, sealed};
use crate::sim::rig::{ANSWER, REQUEST, Rig, Tables, diag, loaded, requesting, returned, uvc};
use crate::sim::{Generation, GuestInsn};

/// Tables in which a page is mapped for so many look-ups.
struct Fading {
    tables: Arc<Tables>,
    page: u64,
    left: AtomicU64,
}

impl GuestMap for Fading {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        let take = |left: u64| left.checked_sub(1);
        let gone =
            addr.0 & !0xfff == self.page && self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_err();
        if gone { None } else { self.tables.translate(addr) }
    }
}

/// A guest does `before`, then issues a call while `page` can be looked up 0 times, once, twice and so on until the call is
/// done; then it loads what is at [`ANSWER`]. Gives the rc and the bytes.
fn answer(before: Vec<Step<GuestInsn>>, call: &impl Block, page: u64) -> (u16, Vec<u8>) {
    let rig = Rig::ready(Generation::Z17);
    let stop = || diag(0x44, [0; 5]);
    let steps = before.into_iter().chain([stop(), uvc(call), stop(), Step::load(GuestAddr(ANSWER), 0x2000)]);
    let (guest, cpu, seen) = rig.booted(0, steps);
    assert_eq!(rig.serve(&guest, cpu).gr(5), 0x44);
    let before = seen.lock().len() + 1;
    let mut times = 0;
    loop {
        let tables = Arc::clone(&guest.tables);
        rig.machine.attach(guest.asce, Arc::new(Fading { tables, page, left: AtomicU64::new(times) }));
        let Err(interruption) = rig.machine_enter(&guest, cpu) else { break };
        assert_eq!(interruption.code, PgmCode::PAGE_TRANSLATION);
        assert_eq!(interruption.teid.unwrap().page(), page);
        assert_eq!(seen.lock().len(), before, "the call is not done");
        times += 1;
    }
    assert!(times > 0, "the page is not needed");
    rig.machine.attach(guest.asce, Arc::clone(&guest.tables) as Arc<dyn GuestMap>);
    rig.serve(&guest, cpu);
    let seen = seen.lock();
    (returned(&seen[before]).1, loaded(&seen[before + 2]))
}

/// A request that the rig's machine opens: it has the same host key every time.
fn secret() -> Vec<u8> {
    let rig = Rig::ready(Generation::Z17);
    sealed(&rig, &request(&rig, plaintext("hello")))
}

fn added() -> Vec<Step<GuestInsn>> {
    adding([&secret()[..]])
}

#[test]
fn attestation() {
    let rig = Rig::ready(Generation::Z17);
    let mut rng = SimRng::from_seed(4).fork("request");
    let asked = AttestationRequest::random(AttestationFlags::ATTESTATION_PHKH, &mut rng);
    let host = rig.machine.host_key.public();
    let bytes = asked.seal(&RequestSecrets::random(&mut rng), core::slice::from_ref(&host)).unwrap();
    let mut block = Attest::new();
    (block.arcb_addr, block.meas_addr, block.add_data_addr) = (REQUEST.into(), ANSWER.into(), (ANSWER + 0x1000).into());
    (block.meas_len, block.add_data_len) = (64.into(), 32.into());
    for page in [REQUEST, ANSWER, ANSWER + 0x1000] {
        let mut before = requesting(&bytes, &block);
        before.pop();
        let (rc, bytes) = answer(before, &block, page);
        assert_eq!(rc, 1);
        assert!(bytes[..64].chunks_exact(8).all(|word| word != [0; 8]), "the measurement");
        assert_eq!(bytes[0x1000..0x1020], host.phkh().0, "the additional data");
    }
}

#[test]
fn adding_a_secret() {
    let mut before = added();
    before.pop();
    assert_eq!(answer(before, &AddSecret::new(REQUEST), REQUEST).0, 1);
}

#[test]
fn listing_secrets() {
    let (rc, bytes) = answer(added(), &ListSecrets::new(0, ANSWER), ANSWER);
    assert_eq!((rc, SecretList::decode(&bytes[..0x1000]).unwrap().total), (1, 1));
}

#[test]
fn retrieving_a_secret() {
    let (rc, bytes) = answer(added(), &RetrieveSecret::new(0, ANSWER, 0x1000), ANSWER);
    assert_eq!((rc, &bytes[..7]), (1, &b"\0\x05hello"[..]));
}
