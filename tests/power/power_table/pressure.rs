//! Secure memory runs out: the documented ultravisor asks the hypervisor to page out (power-pef §16).

use uv_power::abi::numbers::HvCall;
use uv_power::abi::{HvCode, Profile};
use uv_power::sim::MachineConfig;

use crate::rig::*;

const FIRST: u64 = 0x100_0000;
const PAGES: u64 = 96;

fn small(pages: u32) -> Rig {
    let rig = Rig::with(MachineConfig { secure_pages: pages, ..config(Profile::Documented) });
    rig.load(&Image::default());
    rig
}

fn pattern(page: u64) -> [u8; 8] {
    (page.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1).to_be_bytes()
}

pub(crate) fn bigger_than_secure_memory() {
    let mut rig = small(40);
    let at = |page: u64| FIRST + page * PAGE + page * 8;
    let mut steps: Vec<_> = (0..PAGES).map(|page| store(at(page), &pattern(page))).collect();
    steps.extend((0..PAGES).rev().map(|page| load(at(page), 8)));
    rig.make_secure(steps);
    assert_eq!(rig.machine.esm_failure(VM), None);
    for (step, page) in (PAGES as usize..).zip((0..PAGES).rev()) {
        assert_eq!(rig.loaded(step), pattern(page), "page {page}");
    }
    let count = |number: HvCall| rig.seen.iter().filter(|seen| seen.number == number.0).count() as u64;
    assert!(count(HvCall::H_SVM_PAGE_OUT) >= PAGES - 40, "the ultravisor asked for page-outs");
    assert!(count(HvCall::H_SVM_PAGE_IN) >= PAGES - 40);
    let (used, all) = rig.machine.secure_pages();
    assert!(used <= all && all == 40);
    assert!(rig.machine.page_counts(VM).unwrap().sealed >= PAGES - 40);
    // What the hypervisor holds of a page that is out is not what the guest wrote.
    let out = (0..PAGES).find(|page| rig.gfn(FIRST / PAGE + page) == Some(uv_power::sim::GfnState::PagedOut)).unwrap();
    assert!(!rig.normal(HOST + FIRST + out * PAGE).windows(8).any(|bytes| bytes == pattern(out)));
}

pub(crate) fn refused() {
    let mut rig = small(40);
    let steps = (0..PAGES).map(|page| store(FIRST + page * PAGE, &pattern(page))).collect();
    rig.hook = Some(Box::new(|_, seen| (seen.number == HvCall::H_SVM_PAGE_OUT.0).then_some(HvCode::H_PARAMETER)));
    rig.make_secure(steps);
    assert_eq!(rig.regs.nip, 0x980, "the guest cannot go on yet, and nothing is lost");
    let stuck = rig.steps();
    assert!(stuck < PAGES as usize);
    rig.hook = None;
    rig.resume(HvCode::H_SUCCESS, &[]);
    rig.run();
    assert_eq!(rig.steps(), PAGES as usize);
}
