//! What a failed start means.

use super::{StartError, StartStep};
use crate::abi::diag308::StartFailure;
use crate::abi::uvc::{UvRc, UvRrc};

impl StartError {
    /// What the codes mean for the guest's owner and what to do about it, in a sentence, where the Ultravisor refused the image.
    #[must_use]
    pub fn meaning(&self) -> Option<&'static str> {
        meaning(self.step, self.rc, self.rrc)
    }
}

impl StartFailure {
    /// As [`StartError::meaning`], from what the guest was told.
    #[must_use]
    pub fn meaning(self) -> Option<&'static str> {
        let step = match self.command {
            2 => StartStep::SetParameters,
            4 => StartStep::Verify,
            _ => return None,
        };
        meaning(step, UvRc(self.rc), UvRrc(self.rrc))
    }
}

fn meaning(step: StartStep, rc: UvRc, rrc: UvRrc) -> Option<&'static str> {
    Some(match (step, rc, rrc) {
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
