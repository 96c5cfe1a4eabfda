//! Two calls that meet at a chosen point: one stops where it looks the hypervisor's tables up, the other is issued there.

extern crate std;

use alloc::sync::Arc;
use std::sync::Barrier;
use std::thread;

use uv_core::{GuestAddr, HostAddr, NormalMemory, PageState};
use uv_sim::guest::Step;

use super::random::check;
use crate::abi::sie::{AddressSpaces, GuestMap, HostMapping, MappingSize};
use crate::abi::uvc::{Cc, UvRc, UvRrc};
use crate::abi::uvcb::{ConvertTo, CpuState, Share, UvCommand};
use crate::sim::rig::{Codes, Guest, OK, Rig, Tables, refused, uvc};
use crate::sim::{Generation, GuestInsn};

const PAGE: u64 = 0x1_0000;
/// Another frame for it.
const ELSEWHERE: u64 = 0x20_0000;
const BUSY: Codes = (Cc::Busy, UvRc(0), UvRrc(0));

/// Tables that let a test in whenever [`PAGE`] is looked up.
struct Gate {
    tables: Arc<Tables>,
    reached: Barrier,
    go: Barrier,
}

impl GuestMap for Gate {
    fn translate(&self, addr: GuestAddr) -> Option<HostMapping> {
        if addr.0 == PAGE {
            self.reached.wait();
            self.go.wait();
        }
        self.tables.translate(addr)
    }
}

/// Issues an import of [`PAGE`], does `inside` while it is under way, and gives its answer.
fn during_import<R>(rig: &Arc<Rig>, guest: &Guest, inside: impl FnOnce() -> R) -> (Codes, R) {
    let gate = Gate { tables: Arc::clone(&guest.tables), reached: Barrier::new(2), go: Barrier::new(2) };
    let gate = Arc::new(gate);
    rig.machine.attach(guest.asce, Arc::clone(&gate) as Arc<dyn GuestMap>);
    let (other, conf) = (Arc::clone(rig), guest.conf);
    let import = thread::spawn(move || other.call(&mut ConvertTo::new(UvCommand::CONV_TO_SEC_STOR, conf, PAGE)));
    gate.reached.wait();
    let result = inside();
    gate.go.wait();
    let codes = import.join().unwrap();
    rig.machine.attach(guest.asce, Arc::clone(&guest.tables) as Arc<dyn GuestMap>);
    (codes, result)
}

/// A stopped guest whose shared page was exported, and is mapped to another frame now.
fn withdrawn(rig: &Rig) -> Guest {
    let share = uvc(&Share::new(UvCommand::SET_SHARED_ACCESS, PAGE));
    let steps = [Step::store(GuestAddr(PAGE), b"open"), share, Step::Call(GuestInsn::Wait)];
    let (guest, cpu, _) = rig.booted(0, steps);
    rig.serve(&guest, cpu);
    assert_eq!(rig.set_state(cpu, CpuState::STOPPED), OK);
    assert_eq!(rig.export(guest.base + PAGE), OK);
    let frame = HostAddr(guest.base + ELSEWHERE);
    rig.host.write(frame, b"new").unwrap();
    guest.tables.moved.lock().insert(PAGE, Some(HostMapping { frame, writable: true, size: MappingSize::Page }));
    guest
}

#[test]
fn no_import_brings_a_page_back_that_unshare_all_has_seen_withdrawn() {
    let rig = Arc::new(Rig::ready(Generation::Z17));
    let guest = withdrawn(&rig);
    let conf = rig.machine.conf(guest.conf).unwrap();
    let gfn = conf.gfn(GuestAddr(PAGE)).unwrap();
    let unshare = || rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf);
    assert_eq!(during_import(&rig, &guest, unshare), (OK, BUSY), "one of the two");
    assert_eq!(conf.space.state(gfn), Ok(PageState::Shared));
    check(&rig);
    assert_eq!(unshare(), OK);
    assert_eq!(conf.space.state(gfn), Ok(PageState::Secure), "it is the guest's, in its new frame");
    assert!(rig.is_closed(guest.base + ELSEWHERE) && !rig.is_closed(guest.base + PAGE));
    check(&rig);
}

#[test]
fn nothing_is_imported_while_all_pages_are_unshared() {
    let rig = Rig::ready(Generation::Z17);
    let guest = withdrawn(&rig);
    let conf = rig.machine.conf(guest.conf).unwrap();
    let unshare = || rig.no_data(UvCommand::SET_UNSHARE_ALL, guest.conf);
    let at_work = conf.dump.write();
    assert_eq!([rig.import(&guest, PAGE), unshare()], [BUSY; 2]);
    drop(at_work);
    assert_eq!(unshare(), OK);
    assert_eq!(conf.space.state(conf.gfn(GuestAddr(PAGE)).unwrap()), Ok(PageState::Absent), "not trusted: gone");
    check(&rig);
    assert_eq!(rig.import(&guest, PAGE), OK);
    assert!(rig.is_closed(guest.base + ELSEWHERE));
}

#[test]
fn the_slower_of_two_imports_is_done_too() {
    let rig = Arc::new(Rig::ready(Generation::Z17));
    let (guest, cpu, _) = rig.booted(0, [Step::load(GuestAddr(PAGE), 1)]);
    let conf = rig.machine.conf(guest.conf).unwrap();
    let both = during_import(&rig, &guest, || {
        // The faster one, through tables of its own.
        rig.machine.attach(guest.asce, Arc::clone(&guest.tables) as Arc<dyn GuestMap>);
        rig.import(&guest, PAGE)
    });
    assert_eq!(both, (OK, OK));
    assert_eq!(conf.space.state(conf.gfn(GuestAddr(PAGE)).unwrap()), Ok(PageState::Secure));
    check(&rig);
    assert_eq!(rig.icpt(&guest, cpu), crate::abi::sie::InterceptionCode::WAIT);
    guest.tables.moved.lock().insert(PAGE, None);
    assert_eq!(rig.import(&guest, PAGE), refused(UvRc::NOT_MAPPED));
}
