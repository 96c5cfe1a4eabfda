//! Transitions whose way the rows of the tree do not follow to the end.

use uv_core::{HostAddr, NormalMemory};
use uv_power::abi::numbers::{HvCall, UltracallNumber};
use uv_power::abi::{Profile, UvCode};
use uv_power::owner::tree::Property;
use uv_power::sim::{GfnState, SvmState};

use crate::rig::*;

rows! {
    a_tree_without_a_cpu_aborts a_tree_that_begins_inside_a_page_brings_two an_empty_area_aborts
    after_an_abort_the_firmware_has_lost_the_content
}

const RA: u64 = 0x400_0000;
const PAGE_IN: u64 = HvCall::H_SVM_PAGE_IN.0;

/// The transition of an image that a test changed, up to the abort.
fn aborts(profile: Profile, change: impl FnOnce(&mut Image)) -> Rig {
    let mut image = Image::default();
    change(&mut image);
    let mut rig = Rig::new(profile);
    rig.load(&image);
    rig.make_secure(vec![]);
    assert_eq!((rig.state(), rig.numbers().last()), (Some(SvmState::Abort), Some(&HvCall::H_SVM_INIT_ABORT.0)));
    rig
}

fn a_tree_without_a_cpu_aborts() {
    both(|p| {
        let rig = aborts(p, |image| image.tree.children.retain(|node| node.name != "cpus"));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "device-tree");
        aborts(p, |image| image.node("cpus").children[0].set(Property::text("device_type", "cpus")));
        // Wherever the node is; without a list of threads it has one.
        let mut image = Image::default();
        let mut cpu = image.node("cpus").children.remove(0);
        cpu.properties.retain(|property| property.name == "device_type");
        image.node("chosen").children.push(cpu);
        image.boot_cpu = 3;
        let mut rig = Rig::new(p);
        rig.load(&image);
        rig.make_secure(vec![]);
        assert_eq!(rig.state(), Some(SvmState::Secure), "four cores of one thread");
    });
}

fn a_tree_that_begins_inside_a_page_brings_two() {
    both(|p| {
        let at = TREE + 0x8000;
        let next = TREE + PAGE;
        let mut rig = Rig::new(p);
        rig.load(&Image::default());
        let tree = rig.normal(HOST + TREE);
        rig.memory.write(HostAddr(HOST + at), &tree[..0x4000]).unwrap();
        rig.fill(HOST + next, 0x5a);
        let mut all = vec![sc2(UltracallNumber::UV_ESM, &[KERNEL, at])];
        all.push(load(next, 8));
        rig.start(all);
        rig.run();
        assert_eq!(rig.machine.esm_failure(VM), None);
        let asked: Vec<u64> = rig.seen.iter().filter(|s| s.number == PAGE_IN).take(2).map(|s| s.args[0]).collect();
        assert_eq!(asked, [TREE, next]);
        assert_eq!(rig.loaded(0), [0x5a; 8]);
    });
}

fn an_empty_area_aborts() {
    both(|p| {
        let rig = aborts(p, |image| image.node("rtas").set(Property::new("rtas-size", [0; 4])));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "page-in");
        // No code to measure is a wrong digest.
        let rig = aborts(p, |image| image.node("rtas").set(Property::new("slof,rtas-size", [0; 4])));
        assert_eq!(rig.machine.esm_failure(VM).unwrap().stage(), "rtas");
    });
}

fn after_an_abort_the_firmware_has_lost_the_content() {
    both(|p| {
        // A host that takes a new page for every page-out, as Linux does: it was zeros.
        let rig = Rig::aborted(p);
        for gfn in (0..GUEST / PAGE).filter(|gfn| rig.gfn(*gfn) == Some(GfnState::Secure)) {
            assert_eq!(rig.page_out(RA + gfn * PAGE, gfn * PAGE), UvCode::U_SUCCESS);
        }
        assert_eq!(rig.call(UltracallNumber::UV_SVM_TERMINATE, &[7]), UvCode::U_SUCCESS);
        let kernel = rig.normal(RA + KERNEL);
        assert_eq!(kernel, pick(p, VMLINUX[..PAGE as usize].to_vec(), vec![0; PAGE as usize]));
    });
}
