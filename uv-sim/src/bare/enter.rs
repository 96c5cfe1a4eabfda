//! A bare VM becomes secure.

use uv_core::{EnterSecureMode, VmState, check_in_slots};

use super::{BareError, BareVcpu, BareVm, Image};
use crate::SpaceError;
use crate::seal::Suite;

impl BareVm {
    /// Makes the VM secure with these pages of its normal memory, without a guest that asks: as if one had.
    ///
    /// # Errors
    /// As [`EnterSecureMode::enter_secure_mode`].
    pub fn secure_with(&self, image: Image) -> Result<(), BareError> {
        let mut current = self.0.space.write();
        if current.is_some() {
            return Err(BareError::State(VmState::Secure));
        }
        check_in_slots(&self.0.slots, image.pages)?;
        let space = self.0.engine.create_space(self.0.slots.end().0, Suite::Aes256Ccm);
        for gfn in image.pages.iter() {
            let host = self.0.host(gfn)?;
            space.fill::<SpaceError>(gfn.into(), &self.0.memory, host, |_, _| Ok(())).map_err(|e| e.error)?;
        }
        *current = Some(space);
        Ok(())
    }
}

impl EnterSecureMode for BareVm {
    type Cpu = BareVcpu;
    type Entry = ();

    fn enter_secure_mode(&self, cpu: &mut BareVcpu) -> Result<(), BareError> {
        let image = cpu.asks_to_enter(&self.0).ok_or(BareError::NotAsked)?;
        let result = self.secure_with(image);
        cpu.answer(result);
        result
    }
}
