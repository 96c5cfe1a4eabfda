//! Which ultravisor is meant where its documents and its published code disagree.
//!
//! Who uses it: whoever builds a simulated machine or checks a blob.

/// The behaviour that is asked for at every point where the API document and the published firmware differ.
///
/// The points are the numbered rows of power-pef §18, and, for the check of an ESM blob, rows N11 and N14 of §19.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Profile {
    /// What the API document promises. Where it is silent, the careful reading: lengths and names are checked.
    #[default]
    Documented,
    /// What the published firmware does, defects included, as far as a defect can be followed without harm to
    /// the host: reads beyond a buffer and asserts become refusals.
    Firmware,
}

impl Profile {
    /// Both profiles, for tests and tables.
    pub const ALL: [Self; 2] = [Self::Documented, Self::Firmware];

    /// The firmware alone, for a call that the documents do not know.
    pub const FIRMWARE: [Self; 1] = [Self::Firmware];

    /// `documented` or `firmware`, as the example programs name them.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Documented => "documented",
            Self::Firmware => "firmware",
        }
    }
}
