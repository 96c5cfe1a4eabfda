//! Each check of s390-ultravisor §5.3 in its place, for ordinary and for protected guests.

use crate::abi::diag308::{Response, StartFailure};
use alloc::vec;
use alloc::vec::Vec;
use spin::Mutex;

use uv_core::{AccessError, Gfn, GuestAddr, HostAddr, MemSlot, MemSlots, NormalMemory, PageSize, SlotId};

use super::*;
use crate::abi::ipib::{self, Component, IpibForm};
use crate::hypervisor::GuestStorage;

/// Guest page n lies at host page n; the guest has 64 pages.
struct Guest {
    bytes: Mutex<Vec<u8>>,
    slots: MemSlots,
}

impl NormalMemory for Guest {
    fn read(&self, at: HostAddr, into: &mut [u8]) -> Result<(), AccessError> {
        self.check(at, into.len() as u64)?;
        into.copy_from_slice(&self.bytes.lock()[usize::try_from(at.0).unwrap()..][..into.len()]);
        Ok(())
    }

    fn write(&self, at: HostAddr, from: &[u8]) -> Result<(), AccessError> {
        self.check(at, from.len() as u64)?;
        self.bytes.lock()[usize::try_from(at.0).unwrap()..][..from.len()].copy_from_slice(from);
        Ok(())
    }

    fn check(&self, at: HostAddr, len: u64) -> Result<(), AccessError> {
        if at.0 / 4096 == 13 {
            return Err(AccessError::Secure { at });
        }
        if at.0.saturating_add(len) > 64 * 4096 {
            return Err(AccessError::Unmapped { at, len: usize::try_from(len).unwrap() });
        }
        Ok(())
    }
}

impl Guest {
    fn new() -> Self {
        let mut slots = MemSlots::new(PageSize::K4);
        slots.insert(SlotId(0), MemSlot { first: Gfn(0), pages: 64, host: HostAddr(0) }).unwrap();
        Self { bytes: Mutex::new(vec![0; 64 * 4096]), slots }
    }

    fn storage(&self) -> GuestStorage<'_> {
        GuestStorage { slots: alloc::sync::Arc::new(self.slots.clone()), memory: self }
    }

    fn put(&self, at: u64, bytes: &[u8]) {
        self.write(HostAddr(at), bytes).unwrap();
    }

    fn get<const N: usize>(&self, at: u64) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(HostAddr(at), &mut bytes).unwrap();
        bytes
    }

    fn call(&self, stores: &mut IplStores, subcode: Subcode) -> Outcome {
        handle(stores, &MachineModel::default(), Diag308::new(subcode, IPIB), Operand::Guest(self.storage()))
    }

    /// Puts a changed valid PV IPIB and issues subcode 8.
    fn set_pv(&self, stores: &mut IplStores, change: impl FnOnce(&mut Vec<u8>)) -> Outcome {
        let mut ipib = pv_ipib();
        change(&mut ipib);
        self.put(IPIB, &[0; 4096]);
        self.put(IPIB, &ipib);
        self.call(stores, Subcode::SET_PV)
    }
}

const IPIB: u64 = 0x3000;
const INVALID: Outcome = Outcome::Response(Response::INVALID_IPIB);
const OK: Outcome = Outcome::Response(Response::OK);
const SPECIFICATION: Outcome = Outcome::Program(PgmCode::SPECIFICATION);

fn pv_ipib() -> Vec<u8> {
    let components = [Component::new(5, 0x8000, 0x1000), Component::new(6, 0x9000, 0x2fff)];
    ipib::build(IpibForm::Exact, 0x5000, 640, &components).unwrap()
}

fn block(kind: u8, length: u32) -> Vec<u8> {
    let mut bytes = vec![0; 400];
    bytes[..4].copy_from_slice(&length.to_be_bytes());
    bytes[12] = kind;
    bytes
}

#[test]
fn problem_state_comes_before_everything() {
    let guest = Guest::new();
    for subcode in [0, 8, 0x1_0000, u64::MAX] {
        let call = Diag308 { problem_state: true, r1: 1, address: 1, subcode };
        let outcome = handle(&mut IplStores::new(), &MachineModel::default(), call, Operand::Guest(guest.storage()));
        assert_eq!(outcome, Outcome::Program(PgmCode::PRIVILEGED_OPERATION));
    }
}

#[test]
fn unknown_subcodes_are_specification_exceptions() {
    let guest = Guest::new();
    for subcode in [2, 4, 7, 11, 0x101, 0xffff, 0x1_0001, 0x1_0005, u64::MAX] {
        let call = Diag308 { problem_state: false, r1: 0, address: 0, subcode };
        let outcome = handle(&mut IplStores::new(), &MachineModel::default(), call, Operand::Guest(guest.storage()));
        assert_eq!(outcome, SPECIFICATION, "{subcode:#x}");
    }
}

#[test]
fn pv_subcodes_need_the_facility_before_their_operand() {
    let guest = Guest::new();
    let machine = MachineModel { unpack_facility: false, ..MachineModel::default() };
    for subcode in [8, 9, 10] {
        let call = Diag308 { problem_state: false, r1: 0, address: u64::MAX << 12, subcode };
        let outcome = handle(&mut IplStores::new(), &machine, call, Operand::Guest(guest.storage()));
        assert_eq!(outcome, SPECIFICATION);
    }
}

#[test]
fn resets_are_requests() {
    let guest = Guest::new();
    let stores = &mut IplStores::new();
    for (subcode, request) in [
        (Subcode::MODIFIED_CLEAR, ResetRequest::ModifiedClear),
        (Subcode::LOAD_NORMAL_RESET, ResetRequest::LoadNormal),
        (Subcode::LOAD_CLEAR, ResetRequest::ReIpl),
    ] {
        assert_eq!(guest.call(stores, subcode), Outcome::Reset(request));
        let protected = handle(stores, &MachineModel::default(), Diag308::new(subcode, 0), Operand::Sida(&mut []));
        assert_eq!(protected, Outcome::Reset(request));
    }
}

#[test]
fn only_a_re_ipl_is_a_reboot_of_the_guest() {
    for request in [ResetRequest::ModifiedClear, ResetRequest::LoadNormal, ResetRequest::Protected] {
        assert!(!request.is_guest_reboot(), "{request:?}");
    }
    assert!(ResetRequest::ReIpl.is_guest_reboot());
}

#[test]
fn operand_register_and_alignment_then_storage() {
    let guest = Guest::new();
    for subcode in [5, 6, 8, 9] {
        let go = |r1, address| {
            let call = Diag308 { problem_state: false, r1, address, subcode };
            handle(&mut IplStores::new(), &MachineModel::default(), call, Operand::Guest(guest.storage()))
        };
        assert_eq!(go(1, 0x3000), SPECIFICATION);
        assert_eq!(go(1, 1 << 40), SPECIFICATION);
        assert_eq!(go(2, 0x3001), SPECIFICATION);
        assert_eq!(go(2, 1 << 40), Outcome::Program(PgmCode::ADDRESSING));
        assert_eq!(go(2, 13 << 12), Outcome::Program(PgmCode::ADDRESSING));
        assert!(matches!(go(2, 0x3000), Outcome::Response(_)));
    }
}

#[test]
fn pv_ipib_is_kept_and_stored_byte_by_byte() {
    let guest = Guest::new();
    let stores = &mut IplStores::new();
    assert_eq!(guest.call(stores, Subcode::STORE_PV), Outcome::Response(Response::NO_CONFIGURATION));
    assert_eq!(guest.call(stores, Subcode::START_PV), Outcome::Response(Response::NO_PV_CONFIGURATION));
    assert_eq!(guest.set_pv(stores, |_| {}), OK);
    guest.put(IPIB, &[0xff; 4096]);
    assert_eq!(guest.call(stores, Subcode::STORE_PV), OK);
    let back: [u8; 185] = guest.get(IPIB);
    assert_eq!((&back[..184], back[184]), (pv_ipib().as_slice(), 0xff));
    assert_eq!(guest.call(stores, Subcode::STORE), Outcome::Response(Response::NO_CONFIGURATION), "separate stores");
    assert_eq!(guest.call(stores, Subcode::START_PV), Outcome::Reset(ResetRequest::Protected));
    let huge = MachineModel { huge_pages: true, ..MachineModel::default() };
    let call = Diag308::new(Subcode::START_PV, 0);
    let outcome = handle(stores, &huge, call, Operand::Guest(guest.storage()));
    assert_eq!(outcome, Outcome::Response(Response::CANNOT_ENTER));
    stores.external_reset();
    assert!(stores.pv_view().is_some(), "the PV IPIB survives");
}

#[test]
fn pv_ipib_is_checked() {
    let guest = Guest::new();
    let stores = &mut IplStores::new();
    let field =
        |at: usize, value: &'static [u8]| move |ipib: &mut Vec<u8>| ipib[at..at + value.len()].copy_from_slice(value);
    assert_eq!(guest.set_pv(stores, field(0, &[0, 0, 0x10, 1])), INVALID, "length over a page");
    assert_eq!(guest.set_pv(stores, field(12, &[2])), INVALID, "type");
    assert_eq!(guest.set_pv(stores, field(0, &[0, 0, 0, 147])), INVALID, "length under the minimum");
    assert_eq!(guest.set_pv(stores, field(0, &[0, 0, 0, 0])), INVALID, "no length");
    assert_eq!(guest.set_pv(stores, field(0x80, &[0, 0, 0, 0, 0, 0, 0x20, 1])), INVALID, "header over 8192");
    assert_eq!(guest.set_pv(stores, field(0x80, &[0, 0, 0, 0, 0, 0, 0x20, 0])), OK, "header of 8192");
    assert_eq!(guest.set_pv(stores, field(0x78, &[0, 0, 0, 0, 0, 3, 0xfd, 0x81])), INVALID, "header past the end");
    assert_eq!(guest.set_pv(stores, field(0x78, &[0xff; 8])), INVALID, "header wraps");
    assert_eq!(guest.set_pv(stores, field(0x78, &[0, 0, 0, 0, 0, 0, 0xcf, 0xff])), INVALID, "header on a secure page");
    assert_eq!(guest.set_pv(stores, field(0x77, &[0])), INVALID, "no components");
    assert_eq!(guest.set_pv(stores, field(0x77, &[3])), INVALID, "more components than the length holds");
    assert_eq!(guest.set_pv(stores, field(0x97, &[1])), INVALID, "unaligned component");
    assert_eq!(guest.set_pv(stores, field(0xa7, &[5])), INVALID, "equal tweak prefixes");
    assert_eq!(guest.set_pv(stores, field(0xa7, &[4])), INVALID, "falling tweak prefixes");
    assert_eq!(guest.set_pv(stores, field(0xb0, &[0; 8])), OK, "component sizes are not checked");
    guest.put(IPIB, &[]);
    let kept = stores.clone();
    assert_eq!(guest.set_pv(stores, field(12, &[2])), INVALID);
    assert_eq!(*stores, kept, "a refused block changes nothing");
}

#[test]
fn ordinary_ipib_by_type_and_length() {
    let guest = Guest::new();
    let stores = &mut IplStores::new();
    for (kind, length, outcome) in [
        (0, 384, OK),
        (0, 383, INVALID),
        (2, 200, OK),
        (2, 199, INVALID),
        (4, 376, OK),
        (4, 375, INVALID),
        (5, 384, INVALID),
        (1, 384, INVALID),
        (2, 4097, INVALID),
        (0xff, 4097, INVALID),
        (0xff, 200, OK),
    ] {
        guest.put(IPIB, &block(kind, length));
        assert_eq!(guest.call(stores, Subcode::SET), outcome, "type {kind} length {length}");
    }
    assert_eq!(stores.normal().map(<[u8]>::len), Some(200));
    let rebuild = |page: &mut [u8]| {
        assert_eq!(page.len(), 4096);
        page[..4].copy_from_slice(&384_u32.to_be_bytes());
        page[12] = 0;
    };
    let machine = MachineModel { rebuild: Some(&rebuild), ..MachineModel::default() };
    let call = Diag308::new(Subcode::SET, IPIB);
    assert_eq!(handle(stores, &machine, call, Operand::Guest(guest.storage())), OK);
    assert_eq!(stores.normal().map(|ipib| (ipib.len(), ipib[12])), Some((384, 0)));
    stores.external_reset();
    assert_eq!(guest.call(stores, Subcode::STORE), Outcome::Response(Response::NO_CONFIGURATION));
}

#[test]
fn protected_guest_uses_the_sida() {
    let stores = &mut IplStores::new();
    let mut go = |subcode, sida: &mut [u8]| {
        let call = Diag308 { problem_state: false, r1: 0, address: 0x1234_5678, subcode };
        handle(stores, &MachineModel::default(), call, Operand::Sida(sida))
    };
    for subcode in [2, 4, 7, 8, 9, 10, 11] {
        assert_eq!(go(subcode, &mut [0; 4096]), SPECIFICATION, "{subcode}");
    }
    let mut sida = vec![0; 4096];
    assert_eq!(go(6, &mut sida), Outcome::Response(Response::NO_CONFIGURATION));
    sida[..400].copy_from_slice(&block(2, 200));
    assert_eq!(go(5, &mut sida), OK);
    sida.fill(0xee);
    assert_eq!(go(6, &mut sida), OK);
    assert_eq!((sida[..200] == block(2, 200)[..200], sida[200]), (true, 0xee));
    assert_eq!(go(5, &mut []), INVALID, "an empty SIDA reads as zeros");
}

#[test]
fn failure_details_have_their_halfwords() {
    let failure = StartFailure { command: 4, rc: 0x102, rrc: 0x1b };
    assert_eq!(failure.response(), Response(0x0004_001b_0102_0a02));
    assert_eq!(failure.response().start_failure(), Some(failure));
    assert_eq!(failure.response().code(), Response::CANNOT_ENTER);
    assert_eq!(Response::CANNOT_ENTER.start_failure(), None);
    assert_eq!(Response(0x1_0000_0000_0402).start_failure(), None);
}

#[test]
fn guest_storage_needs_every_page() {
    let guest = Guest::new();
    let storage = guest.storage();
    storage.write(GuestAddr(0x1ffe), &[1, 2, 3, 4]).unwrap();
    let mut back = [0; 4];
    storage.read(GuestAddr(0x1ffe), &mut back).unwrap();
    assert_eq!(back, [1, 2, 3, 4]);
    assert!(storage.check(GuestAddr(u64::MAX), 2).is_err());
    assert!(storage.check(GuestAddr(0), u64::MAX).is_err());
    assert_eq!(storage.check(GuestAddr(0xcfff), 2), Err(AccessError::Secure { at: HostAddr(0xd000) }));
    assert!(storage.check(GuestAddr(u64::MAX), 0).is_ok(), "nothing is touched");
}
