//! The border: no panic crosses it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::status::{Done, UVSIM_E_PANIC, UVSIM_OK, remember};

/// Runs the body of a function of the interface: its status, and the text of a failure for `uvsim_last_error`.
pub(crate) fn guard(body: impl FnOnce() -> Done) -> i32 {
    // Whatever was shared with the body is behind locks that let go when it unwinds.
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => UVSIM_OK,
        Ok(Err(failure)) => {
            remember(&failure.text);
            failure.status
        }
        Err(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
            remember(&format!("defect of the library: {}", text.unwrap_or_default()));
            UVSIM_E_PANIC
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::status::{Failure, UVSIM_E_KEY, uvsim_last_error};

    fn last() -> String {
        let mut text = [0_u8; 64];
        // SAFETY: the buffer has 64 bytes.
        let len = unsafe { uvsim_last_error(text.as_mut_ptr().cast(), text.len()) };
        String::from_utf8(text[..len].to_vec()).unwrap()
    }

    #[test]
    fn a_panic_ends_at_the_border() {
        assert_eq!(guard(|| panic!("number {}", 7)), UVSIM_E_PANIC);
        assert_eq!(last(), "defect of the library: number 7");
        assert_eq!(guard(|| Err(Failure::new(UVSIM_E_KEY, "no key"))), UVSIM_E_KEY);
        assert_eq!(last(), "no key");
        assert_eq!(guard(|| Ok(())), UVSIM_OK);
        assert_eq!(last(), "no key", "the last failure");
    }

    #[test]
    fn a_text_is_cut_to_its_room() {
        remember("four");
        let mut text = [9_u8; 4];
        // SAFETY: three of the four bytes may be written.
        assert_eq!(unsafe { uvsim_last_error(text.as_mut_ptr().cast(), 3) }, 4);
        assert_eq!(text, [b'f', b'o', 0, 9]);
        // SAFETY: nothing is written.
        assert_eq!(unsafe { uvsim_last_error(core::ptr::null_mut(), 0) }, 4);
    }
}
