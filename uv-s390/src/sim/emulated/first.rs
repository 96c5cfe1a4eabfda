//! A guest that is protected from its first instruction on.

use alloc::sync::Arc;

use rand_core::Rng;
use uv_core::NormalMemory;

use super::EmulatedGuest;
use crate::abi::psw::Psw;
use crate::abi::se_header::{ConfidentialArea, HeaderError, PlaintextControlFlags, SeHeader};
use crate::owner::crypto::{CustomerKeyPair, KeySlot, RequestKey};
use crate::owner::image::PageHasher;
use crate::owner::se_header::HeaderContent;
use crate::sim::calls::image::accept;
use crate::sim::machine::{Machine, MachineConfig};

impl EmulatedGuest {
    /// A guest that was protected before its first instruction, for programs that want an Ultravisor and bring no image. It has an SE
    /// header of its own, for no pages ([`EmulatedGuest::se_header`]), so that its owner can attest it and give it secrets.
    ///
    /// # Errors
    /// Those of making that header: [`HeaderError`].
    pub fn protected(config: MachineConfig, memory: Arc<dyn NormalMemory>) -> Result<Self, HeaderError> {
        let guest = Self::new(config, memory);
        guest.protect_first()?;
        Ok(guest)
    }

    /// Makes an ordinary guest, before its first instruction, what [`EmulatedGuest::protected`] makes. A protected guest stays what
    /// it is.
    ///
    /// # Errors
    /// As [`EmulatedGuest::protected`].
    pub fn protect_first(&self) -> Result<(), HeaderError> {
        let mut state = self.state.lock();
        if state.conf.is_none() {
            let header = own_header(&self.machine)?;
            // The machine made it for itself.
            let image = accept(&self.machine, header.as_bytes()).map_err(|_| HeaderError::NoMatchingSlot)?;
            state.conf = Some(self.protect(image));
        }
        Ok(())
    }
}

fn own_header(machine: &Machine) -> Result<SeHeader, HeaderError> {
    let mut rng = machine.rng.lock();
    let customer = CustomerKeyPair::generate(&mut *rng);
    let key = RequestKey::random(&mut *rng);
    let slots = [KeySlot::seal(&customer, &machine.host_key.public(), &key)];
    let mut area = ConfidentialArea {
        cck: [0; 32],
        image_key: [0; 64],
        psw: Psw::at(0),
        secret_flags: 0.into(),
        optional_items: 0.into(),
        reserved_7c: [0; 4],
    };
    rng.fill_bytes(&mut area.cck);
    rng.fill_bytes(&mut area.image_key);
    let mut iv = [0; 12];
    rng.fill_bytes(&mut iv);
    SeHeader::seal(&HeaderContent {
        iv,
        header_key: &key,
        customer_key: customer.coordinates(),
        slots: &slots,
        pcf: PlaintextControlFlags::default(),
        measurement: &PageHasher::new().finish(),
        confidential: &area,
    })
}
