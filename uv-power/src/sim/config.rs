//! What a simulated machine is made of.

use super::tpm::key::WrappingKey;
use crate::abi::Profile;

/// Configuration of a [`Machine`](super::Machine). `Debug` shows neither key nor seed: keys come from the seed.
#[derive(Clone)]
pub struct MachineConfig {
    /// Which ultravisor runs on it.
    pub profile: Profile,
    /// Secure memory in pages of 64 KiB.
    pub secure_pages: u32,
    /// The wrapping key of the machine: held by the ultravisor, or in the host's TPM as on hardware.
    pub key: WrappingKey,
    /// Everything random comes from this number.
    pub seed: u64,
    /// Carry on to secure mode when the check of an ESM blob fails, as a published build of the firmware does (power-pef
    /// §18 row 31). A machine that has it on protects nobody; off by default.
    pub tolerate_failed_check: bool,
    /// Enforce the SCOM access list (power-pef §18 row 29). `None`: the profile's way, documented yes, firmware no.
    pub enforce_scom_list: Option<bool>,
}

impl MachineConfig {
    /// A machine of the documented profile with 1 GiB of secure memory.
    #[must_use]
    pub fn new(key: impl Into<WrappingKey>) -> Self {
        Self {
            profile: Profile::Documented,
            secure_pages: 16384,
            key: key.into(),
            seed: 0,
            tolerate_failed_check: false,
            enforce_scom_list: None,
        }
    }

    /// The same with another profile.
    #[must_use]
    pub const fn with_profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }
}

impl core::fmt::Debug for MachineConfig {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("MachineConfig")
            .field("profile", &self.profile)
            .field("secure_pages", &self.secure_pages)
            .field("tolerate_failed_check", &self.tolerate_failed_check)
            .field("enforce_scom_list", &self.enforce_scom_list)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::keys::PrivateKey;
    use crate::owner::samples;

    #[test]
    fn a_configuration_shows_neither_seed_nor_key() {
        let key = PrivateKey::from_pem(samples::MACHINE1, None).unwrap();
        let config = MachineConfig { seed: 0x5eed_5eed, ..MachineConfig::new(key) };
        let shown = alloc::format!("{config:?} {config:#?}");
        assert!(shown.contains("Documented") && shown.contains("16384"));
        for secret in ["seed", "key", "1592614637", "5eed5eed"] {
            assert!(!shown.to_lowercase().contains(secret), "{shown}");
        }
    }
}
