//! What a machine does not declare must be refused.

use uv_core::PageRange;

use crate::bench::{Bench, ensure, patient};
use crate::{Ability, Refusal, TEST_PAGES};

/// The machine must lack what it does not declare, whatever state its VM is in.
pub(crate) fn check(b: &Bench, ability: Ability) -> Result<(), String> {
    match ability {
        Ability::LimitedMemory => all_pages_fit(b),
        Ability::RawCodes => {
            ensure!(b.code(Refusal::Tampered).is_none(), "a machine without codes has a code");
            Ok(())
        }
        _ => {
            let absent = |b: &Bench, when: &str| {
                ensure!(b.vm(0).shows(ability) == Some(false), "{ability:?} is not declared and there ({when})");
                Ok(())
            };
            absent(b, "normal")?;
            b.enter(0)?;
            absent(b, "secure")?;
            b.store(0, 0, b"a page")?;
            absent(b, "secure, with a page")?;
            b.terminate(0)?;
            absent(b, "ended")
        }
    }
}

/// The test pages of both VMs are in secure memory at once.
fn all_pages_fit(b: &Bench) -> Result<(), String> {
    for index in 0..2 {
        b.enter(index)?;
        let range = PageRange::new(b.page(0), TEST_PAGES);
        patient(|| b.vm(index).page_in_range(range)).map_err(|e| format!("memory is limited: {e}"))?;
    }
    Ok(())
}
