//! An image of one component.

use alloc::vec::Vec;

use spin::Once;
use uv_core::{HostAddr, NormalMemory};
use uv_sim::rng::SimRng;

use super::{Codes, Guest, MIB, OK, Rig};
use crate::abi::psw::Psw;
use crate::abi::se_header::{ConfidentialArea, PlaintextControlFlags, SeHeader};
use crate::abi::uvcb::{SetParams, Unpack, UvCommand};
use crate::owner::crypto::{CustomerKeyPair, HostPrivateKey, KeySlot, RequestKey};
use crate::owner::image::{Measurement, PageCipher, PageHasher};
use crate::owner::se_header::HeaderContent;

/// Guest absolute address of the component, two pages.
pub const COMPONENT: u64 = 0x3000;
/// Where the image starts.
pub const START: u64 = 0x3010;
/// What the bytes of its two pages are.
pub const PLAIN: [u8; 2] = [0xa1, 0xb2];
/// Its tweak prefix.
const PREFIX: u64 = 0x0046_0102_0304_0506;

/// An image for these host keys: its header, and its component as stored. `change` sees what the header keeps secret, and what was
/// measured.
#[must_use]
pub fn sealed(
    keys: &[&HostPrivateKey],
    pcf: PlaintextControlFlags,
    change: impl FnOnce(&mut ConfidentialArea, &mut Measurement),
) -> (SeHeader, Vec<u8>) {
    let mut rng = SimRng::from_seed(3).fork("image");
    let customer = CustomerKeyPair::generate(&mut rng);
    let key = RequestKey::random(&mut rng);
    let slots: Vec<KeySlot> = keys.iter().map(|host| KeySlot::seal(&customer, &host.public(), &key)).collect();
    let mut area = ConfidentialArea {
        cck: [9; 32],
        image_key: core::array::from_fn(|i| u8::try_from(i).unwrap()),
        psw: Psw::at(START),
        secret_flags: 0.into(),
        optional_items: 0.into(),
        reserved_7c: [0; 4],
    };
    let mut stored: Vec<u8> = PLAIN.iter().flat_map(|byte| [*byte; 4096]).collect();
    PageCipher::new(&area.image_key).encrypt_component(PREFIX, &mut stored);
    let mut hasher = PageHasher::new();
    hasher.component(&stored, COMPONENT, PREFIX);
    let mut measurement = hasher.finish();
    change(&mut area, &mut measurement);
    let header = SeHeader::seal(&HeaderContent {
        iv: [5; 12],
        header_key: &key,
        customer_key: customer.coordinates(),
        slots: &slots,
        pcf,
        measurement: &measurement,
        confidential: &area,
    });
    (header.unwrap(), stored)
}

impl Rig {
    /// An image for these host keys, with these flags.
    #[must_use]
    pub fn image(&self, keys: &[&HostPrivateKey], pcf: PlaintextControlFlags) -> (SeHeader, Vec<u8>) {
        sealed(keys, pcf, |_, _| ())
    }

    /// As [`Rig::image`], with a change in what the header keeps secret.
    #[must_use]
    pub fn image_with(
        &self,
        keys: &[&HostPrivateKey],
        pcf: PlaintextControlFlags,
        change: impl FnOnce(&mut ConfidentialArea),
    ) -> (SeHeader, Vec<u8>) {
        sealed(keys, pcf, |area, _| change(area))
    }

    /// The SE header goes to host memory of the VM and from there to the machine.
    pub fn set_params(&self, guest: &Guest, header: &[u8]) -> Codes {
        let at = guest.base + 96 * MIB;
        self.host.write(HostAddr(at), header).unwrap();
        self.call(&mut SetParams::new(guest.conf, at, u32::try_from(header.len()).unwrap()))
    }

    /// A block that unpacks a page of the component.
    #[must_use]
    pub fn unpack_block(&self, guest: &Guest, page: u64) -> Unpack {
        Unpack::new(guest.conf, COMPONENT + page * 0x1000, PREFIX, page * 0x1000)
    }

    /// Header and component are taken; the image is not verified yet.
    pub fn unpacked(&self, guest: &Guest, pcf: PlaintextControlFlags) {
        let (header, stored) = self.image(&[&self.key], pcf);
        self.unpacked_image(guest, header.as_bytes(), &stored);
    }

    /// As [`Rig::unpacked`], of this image.
    pub fn unpacked_image(&self, guest: &Guest, header: &[u8], stored: &[u8]) {
        assert_eq!(self.set_params(guest, header), OK);
        self.host.write(HostAddr(guest.base + COMPONENT), stored).unwrap();
        for page in 0..2 {
            assert_eq!(self.call(&mut self.unpack_block(guest, page)), OK);
        }
    }

    /// The image is in and verified. It may be dumped where the machine can.
    pub fn verified(&self, guest: &Guest) {
        static IMAGES: [Once<(Vec<u8>, Vec<u8>)>; 2] = [const { Once::new() }; 2];
        let may_dump = self.machine.generation().plaintext_flags() & PlaintextControlFlags::ALLOW_DUMP;
        let pcf = PlaintextControlFlags::PCKMO | may_dump;
        let (header, stored) = IMAGES[usize::from(may_dump.is_empty())].call_once(|| {
            let (header, stored) = self.image(&[&Self::new(self.machine.generation()).key], pcf);
            (header.as_bytes().to_vec(), stored)
        });
        self.unpacked_image(guest, header, stored);
        assert_eq!(self.no_data(UvCommand::VERIFY_IMG, guest.conf), OK);
    }
}
