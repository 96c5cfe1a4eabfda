//! Where the API document and the published firmware differ (power-pef §18), row by row: what each profile does here.
//!
//! Who uses it: whoever chooses a [`Profile`], and the tests that show each difference.
//!
//! The tables in the calls say the same beside the code; this one lists all of it in one place, and names the rows of the
//! assertion table (§19) whose tests show the difference.

use crate::abi::Profile;

/// One row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Difference {
    /// Number in the fact sheet (power-pef §18); from 43 on, differences that stand in other sections of it.
    pub row: u8,
    /// What it is about.
    pub topic: &'static str,
    /// What [`Profile::Documented`] does.
    pub documented: &'static str,
    /// What [`Profile::Firmware`] does.
    pub firmware: &'static str,
    /// Rows of the assertion table that show it; empty where nothing can be seen from outside.
    pub shown_by: &'static [&'static str],
}

impl Difference {
    /// What a profile does.
    #[must_use]
    pub const fn in_profile(&self, profile: Profile) -> &'static str {
        match profile {
            Profile::Documented => self.documented,
            Profile::Firmware => self.firmware,
        }
    }

    /// The row of a number.
    #[must_use]
    pub fn row(number: u8) -> Option<&'static Self> {
        DIFFERENCES.iter().find(|difference| difference.row == number)
    }
}

const fn row(
    row: u8,
    topic: &'static str,
    documented: &'static str,
    firmware: &'static str,
    shown_by: &'static [&'static str],
) -> Difference {
    Difference { row, topic, documented, firmware, shown_by }
}

/// All rows, in order.
pub const DIFFERENCES: &[Difference] = &[
    row(
        1,
        "page cipher",
        "AES-256-CCM, in place of the AES-IAPM that the document names",
        "AES-128-GCM",
        &["f01", "e12"],
    ),
    row(2, "H_RANDOM of a secure guest", "H_SUCCESS and a number in R4", "H_FUNCTION", &["l01"]),
    row(3, "external interrupt", "reflected to the hypervisor", "given to the guest at 0x500", &["l11"]),
    row(4, "UV_ESM, R4 is 0", "U_PARAMETER", "U_P2", &["i01"]),
    row(5, "UV_ESM, R5 is 0", "U_P2", "U_P3", &["i02"]),
    row(6, "UV_ESM of a secure VM", "U_SUCCESS", "U_RETRY", &["i04"]),
    row(
        7,
        "UV_ESM, integrity",
        "U_PERMISSION is the verdict that is kept; the guest gets the hypervisor's answer to H_SVM_INIT_ABORT",
        "H_SVM_INIT_ABORT, the guest gets the hypervisor's answer",
        &["i18"],
    ),
    row(8, "UV_ESM without a key for this machine", "as row 7, verdict U_NO_KEY", "as row 7", &["n11"]),
    row(9, "resume address after UV_ESM", "R4, which is what every guest passes", "R4", &["i15"]),
    row(10, "UV_WRITE_PATE of a secure VM", "U_PERMISSION", "U_SUCCESS, only dw1 written", &["b03"]),
    row(11, "UV_WRITE_PATE, wrong doublewords", "U_P2, U_P3", "not checked", &["b01"]),
    row(12, "UV_REGISTER_MEM_SLOT errors", "by position", "U_PARAMETER", &["d01", "d03", "d04", "d05", "d06"]),
    row(13, "UV_UNREGISTER_MEM_SLOT, unused slot", "U_P2", "U_SUCCESS", &["d11"]),
    row(14, "UV_PAGE_OUT of a shared page", "U_SUCCESS, nothing done", "U_PARAMETER", &["f08"]),
    row(15, "UV_PAGE_OUT of a page that is out", "U_P3, by position: the document is silent", "U_PARAMETER", &["f09"]),
    row(16, "UV_SNAPSHOT", "encrypted copy, the page stays mapped", "flag ignored", &["f13"]),
    row(17, "unknown flags", "U_P4", "ignored", &["d05", "e08", "f13"]),
    row(
        18,
        "a page is in use for a moment, or on its way from one group to another",
        "U_BUSY (+1)",
        "waits; U_RETRY or U_PARAMETER where it cannot",
        &["e23", "f10", "f11", "f13", "g07"],
    ),
    row(19, "UV_PAGE_INVAL, wrong address", "U_P2", "U_P3", &["g04"]),
    row(20, "UV_SVM_TERMINATE, unknown or not secure", "U_PARAMETER, U_INVALID", "U_SUCCESS", &["h01"]),
    row(21, "share calls of a normal VM", "U_INVALID", "U_PERMISSION", &["a06"]),
    row(22, "result of share calls", "a code", "R3 not written", &["j01", "j03", "j06", "j10"]),
    row(
        23,
        "share of a shared page",
        "zeroed; asked for first where the hypervisor withdrew it",
        "left alone",
        &["j02", "a_withdrawn_page_that_is_shared_again_reads_zeros"],
    ),
    row(
        24,
        "share of a page that the hypervisor does not back yet",
        "asked for at once; the document would wait for the first access, which nobody can tell apart",
        "asked for at once",
        &["j01"],
    ),
    row(25, "unshare of a secure page", "zeroed", "left alone", &["j07"]),
    row(
        26,
        "UV_RETURN, R2",
        "an interrupt number; HSRR0 is looked at too, as hypervisors pass SRR1 here",
        "status bits of SRR1",
        &["l13"],
    ),
    row(27, "UV_RETURN not from the hypervisor", "U_INVALID", "U_PERMISSION", &["a11"]),
    row(
        28,
        "UV_READ_SCOM arguments",
        "chip, address, value in R4: no caller passes the buffer that the document puts first",
        "chip, address, value in R4",
        &["c08"],
    ),
    row(29, "SCOM access list", "enforced", "not enforced unless configured; reads never refused", &["c08"]),
    row(30, "several lockboxes", "the one whose fingerprint is this machine's", "lockbox-1 only", &["n11", "n12"]),
    row(31, "failed check in the published build", "abort; tolerated only if configured", "the same", &["i18", "i19"]),
    row(32, "secure memory runs out", "H_SVM_PAGE_OUT of a cold page", "reserved at registration", &["d09"]),
    row(
        33,
        "page-out after a failed transition",
        "the content goes out as it came",
        "U_SUCCESS without data",
        &["f12"],
    ),
    row(34, "AMR at a reflection", "cleared", "untouched", &["l08"]),
    row(35, "R0 at a reflected hypercall", "0", "random", &["l03"]),
    row(
        36,
        "H_SVM_INIT_START in the wrong state",
        "the hypervisor half answers as KVM: H_UNSUPPORTED, H_AUTHORITY, H_PARAMETER",
        "the same",
        &["i06"],
    ),
    row(37, "state table", "the code's", "the code's", &["g07", "g08", "e18"]),
    row(38, "MMCR0 and MMCRA at a reflection", "0 for the hypervisor", "0 for the hypervisor", &["l08"]),
    row(39, "text manual of the blob", "the tool's format", "the tool's format", &["n01"]),
    row(40, "SRR1 call level at H_SVM_INIT_ABORT", "1", "3", &["i07"]),
    row(
        41,
        "program interrupts for transactions",
        "status in the guest's SRR1",
        "status in the machine state; for UV_RETURN the hypervisor is hit",
        &["l21", "a13"],
    ),
    row(42, "wiped memory at power down", "every frame is wiped when its VM ends", "the same", &["h02"]),
    row(
        43,
        "UV_ESMB_GET_FILE of anybody but a secure VM",
        "U_PERMISSION",
        "answered: who has the VM's number in LPIDR gets its files",
        &["the_files_of_a_blob_are_the_secure_vms"],
    ),
    row(
        44,
        "UV_PAGE_IN, UV_PAGE_INVAL after a failed transition",
        "U_PARAMETER: their lists have no code of a state",
        "U_STATE",
        &["e06", "g03"],
    ),
    row(45, "UV_PAGE_IN of a resident page", "U_P3", "U_P2", &["e11"]),
    row(
        46,
        "UV_PAGE_IN, flags of the mapping",
        "write protection: a guest's store faults; cache inhibited and enabled: U_P4",
        "ignored",
        &["e08", "a_store_to_a_write_protected_page_is_reflected"],
    ),
    row(47, "UV_UNREGISTER_MEM_SLOT, slot number", "64 bits", "the low 16 bits", &["d10"]),
    row(
        48,
        "hypercall of user code",
        "the guest gets a program interrupt (privileged)",
        "as the kernel's; SRR1 tells the hypervisor",
        &["a_hypercall_of_user_code_is_not_served"],
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_complete_and_in_order() {
        assert!(DIFFERENCES.iter().map(|difference| difference.row).eq(1..=48));
        assert_eq!(Difference::row(14).map(|row| row.in_profile(Profile::Firmware)), Some("U_PARAMETER"));
        assert_eq!(Difference::row(49), None);
    }
}
