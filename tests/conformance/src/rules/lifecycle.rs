//! Where a VM stands.

use uv_core::{PageCounts, VmState};

use super::SECRET;
use crate::bench::{Bench, ensure, patient};
use crate::rule::{Act, rule};
use crate::{Ability, Rule, TEST_PAGES};

pub(super) const RULES: &[Rule] = &[
    rule(
        [
            "abilities",
            "a VM has the abilities that its machine declares, and no other, in every state",
            "SecureVm",
            "each answers the same for as long as the VM lives",
        ],
        &[Act::Entered, Act::Ended],
        abilities,
    ),
    rule(
        [
            "lifecycle",
            "normal, secure, normal again, and secure once more",
            "SecureVm::terminate",
            "The VM is VmState::Normal afterwards.",
        ],
        &[Act::Entered, Act::Ended, Act::Stored, Act::Loaded],
        lifecycle,
    ),
    rule(
        [
            "end-normal",
            "ending a VM that is normal is success, and leaves its memory",
            "SecureVm::terminate",
            "Ending a normal VM is success.",
        ],
        &[Act::HostRead, Act::Entered, Act::Ended],
        end_normal,
    ),
    rule(
        [
            "slots-stay",
            "memory slots and page size are the same before, in and after secure mode",
            "SecureVm::mem_slots",
            "Entering and ending secure mode do not change them.",
        ],
        &[Act::Entered, Act::Ended],
        slots_stay,
    ),
    rule(
        [
            "normal-is-open",
            "the pages of a normal VM are absent, uncounted and the hypervisor's to read and write",
            "VmState::Normal",
            "An ordinary VM: the hypervisor sees all of it.",
        ],
        &[Act::HostRead, Act::HostWrote],
        normal_is_open,
    ),
    rule(
        [
            "lives-apart",
            "a VM enters and ends without a change to the other one",
            "SecureVm",
            "What is done to one VM changes no other.",
        ],
        &[Act::Entered, Act::Ended, Act::Loaded],
        lives_apart,
    ),
];

fn abilities(b: &Bench) -> Result<(), String> {
    let as_declared = |when: &str| {
        for ability in Ability::ALL {
            let (shown, declared) = (b.vm(0).shows(ability), b.has(ability));
            ensure!(shown.is_none_or(|shown| shown == declared), "{ability:?}: {shown:?} when {when}");
        }
        Ok(())
    };
    as_declared("normal")?;
    b.enter(0)?;
    as_declared("secure")?;
    b.store(0, 0, SECRET)?;
    as_declared("secure and used")?;
    b.terminate(0)?;
    as_declared("ended")
}

fn lifecycle(b: &Bench) -> Result<(), String> {
    b.expect_vm(0, VmState::Normal)?;
    b.terminate(0)?;
    for _ in 0..2 {
        b.enter(0)?;
        b.expect_vm(0, VmState::Secure)?;
        b.store(0, 0, SECRET)?;
        b.expect(0, 0, SECRET)?;
        b.terminate(0)?;
        b.expect_vm(0, VmState::Normal)?;
        b.terminate(0)?;
    }
    Ok(())
}

fn end_normal(b: &Bench) -> Result<(), String> {
    b.host_writes(0, 0, SECRET)?;
    for _ in 0..3 {
        patient(|| b.vm(0).terminate()).map_err(|e| format!("a normal VM cannot be ended: {e}"))?;
        ensure!(b.host_reads(0, 0)?.starts_with(SECRET), "ending a normal VM changed its memory");
    }
    b.enter(0)?;
    b.terminate(0)?;
    b.terminate(0)
}

fn slots_stay(b: &Bench) -> Result<(), String> {
    let now = || {
        let slots = b.vm(0).mem_slots();
        (b.vm(0).page_size(), slots.page_size(), slots.iter().collect::<Vec<_>>())
    };
    let before = now();
    ensure!(before.0 == before.1, "the page size of the slots is {:?}, of the VM {:?}", before.1, before.0);
    for n in 0..TEST_PAGES {
        ensure!(b.vm(0).mem_slots().find(b.page(n)).is_some(), "test page {n} is in no slot");
    }
    b.enter(0)?;
    ensure!(now() == before, "the slots changed with secure mode");
    b.store(0, 0, SECRET)?;
    b.terminate(0)?;
    ensure!(now() == before, "the slots changed with the end of secure mode");
    Ok(())
}

fn normal_is_open(b: &Bench) -> Result<(), String> {
    let zero = |when: &str| {
        let counts = b.vm(0).page_counts().map_err(|e| e.to_string())?;
        ensure!(counts == PageCounts::default(), "a VM that is {when} has {counts}");
        for n in [0, 1, TEST_PAGES - 1] {
            b.expect_state(0, n, uv_core::PageState::Absent)?;
            b.host_writes(0, n, SECRET)?;
            ensure!(b.host_reads(0, n)?.starts_with(SECRET), "the hypervisor reads other bytes than it wrote");
        }
        Ok(())
    };
    zero("normal")?;
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.terminate(0)?;
    zero("normal again")
}

fn lives_apart(b: &Bench) -> Result<(), String> {
    b.enter(0)?;
    b.store(0, 0, SECRET)?;
    b.expect_vm(1, VmState::Normal)?;
    b.enter(1)?;
    b.store(1, 0, b"the other VM")?;
    b.terminate(0)?;
    b.expect_vm(1, VmState::Secure)?;
    b.expect(1, 0, b"the other VM")?;
    b.enter(0)?;
    b.terminate(1)?;
    b.expect_vm(0, VmState::Secure)?;
    b.store(0, 1, SECRET)?;
    b.expect(0, 1, SECRET)
}
