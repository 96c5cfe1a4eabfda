//! Why a guest does not run protected, in words.

use core::fmt;

use uv_s390::abi::uvc::{UvRc, UvRrc};
use uv_s390::hypervisor::vmm::diag308::Response;
use uv_s390::hypervisor::vmm::ipl::{StartError, StartStep};

/// Why a guest does not run protected. Shown, it says what to do about it, with the codes behind.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// What DIAG 308 answered; `None` when it ended with a program interruption.
    pub response: Option<Response>,
    /// The failure of the start, if it came that far.
    pub start: Option<StartError>,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.start {
            None => f.write_str("the hypervisor refuses the IPIB"),
            Some(start) => match meaning(start) {
                Some(meaning) => write!(f, "{meaning} ({start})"),
                None => start.fmt(f),
            },
        }
    }
}

fn meaning(start: &StartError) -> Option<&'static str> {
    Some(match (start.step, start.rc, start.rrc) {
        (StartStep::SetParameters, rc, rrc) => match (rc, rrc) {
            (UvRc::HEADER_KEY, UvRrc::NO_SLOT) => {
                "the image has no key slot for this machine's host key; give the key of a machine that it was made for"
            }
            (UvRc::HEADER_KEY, UvRrc::BACKUP_KEY) => {
                "the image has no key slot for this machine's host key or backup host key; give the key of a machine that it \
                 was made for"
            }
            (UvRc::HEADER_KEY, UvRrc::CUSTOMER_KEY) => "the customer key in the SE header is not valid: it was changed",
            (UvRc::HEADER_VERSION, _) => "this machine does not know the version of the SE header",
            (UvRc::HEADER_PCF, _) => "the image has plaintext control flags that this machine does not support",
            (UvRc::HEADER_SCF, _) => "the image has secret control flags that this machine does not support",
            (UvRc::HEADER_CORRUPT, _) => "the SE header was changed, or is damaged",
            _ => return None,
        },
        (StartStep::Verify, UvRc::VERIFY_MISMATCH, rrc) => match rrc {
            UvRrc::ADDRESS_LIST => "a component lies elsewhere than its owner measured",
            UvRrc::PAGE_LIST => "a component holds something else than its owner measured",
            UvRrc::TWEAK_LIST => "a component has another tweak than its owner measured",
            UvRrc::PAGE_COUNT => "the components have another number of pages than their owner measured",
            _ => "the image is not what its owner measured",
        },
        _ => return None,
    })
}
