//! SE headers, good and bad, and the component that goes with them.

use std::sync::OnceLock;

use uv_s390::abi::psw::Psw;
use uv_s390::abi::se_header::{ConfidentialArea, PlaintextControlFlags, SeHeader};
use uv_s390::owner::crypto::{CustomerKeyPair, HostPrivateKey, KeySlot, RequestKey};
use uv_s390::owner::image::{Measurement, PageCipher, PageHasher};
use uv_s390::owner::se_header::HeaderContent;
use uv_s390::sim::{Generation, MachineConfig};
use uv_sim::rng::SimRng;

use super::calls::Header;

/// Where the component of two pages belongs.
const COMPONENT: u64 = 0x3000;
/// The first half of the tweaks.
pub(super) const PREFIX: u64 = 0x0046_0102_0304_0506;

/// What all machines have in common.
pub(super) struct Sample {
    pub(super) config: MachineConfig,
    /// The component as it is stored.
    pub(super) stored: Vec<u8>,
    headers: Vec<(Header, Vec<u8>)>,
}

/// Seals a header for a host key.
fn header(
    key: &HostPrivateKey,
    pcf: PlaintextControlFlags,
    change: impl FnOnce(&mut ConfidentialArea, &mut Measurement),
) -> (Vec<u8>, Vec<u8>) {
    let mut rng = SimRng::from_seed(3).fork("model image");
    let customer = CustomerKeyPair::generate(&mut rng);
    let request = RequestKey::random(&mut rng);
    let slots = [KeySlot::seal(&customer, &key.public(), &request)];
    let mut area = ConfidentialArea {
        cck: [9; 32],
        image_key: core::array::from_fn(|i| u8::try_from(i).unwrap_or(0)),
        psw: Psw::at(COMPONENT),
        secret_flags: 0.into(),
        optional_items: 0.into(),
        reserved_7c: [0; 4],
    };
    let mut stored: Vec<u8> = [0xa1, 0xb2].iter().flat_map(|byte| [*byte; 4096]).collect();
    PageCipher::new(&area.image_key).encrypt_component(PREFIX, &mut stored);
    let mut hasher = PageHasher::new();
    hasher.component(&stored, COMPONENT, PREFIX);
    let mut measurement = hasher.finish();
    change(&mut area, &mut measurement);
    let content = HeaderContent {
        iv: [5; 12],
        header_key: &request,
        customer_key: customer.coordinates(),
        slots: &slots,
        pcf,
        measurement: &measurement,
        confidential: &area,
    };
    (SeHeader::seal(&content).map_or_else(|_| Vec::new(), |header| header.as_bytes().to_vec()), stored)
}

/// The sample, with dump allowed.
pub(super) fn sample() -> &'static Sample {
    static SAMPLE: OnceLock<Sample> = OnceLock::new();
    SAMPLE.get_or_init(|| {
        let config = MachineConfig::new(7);
        let foreign = MachineConfig::new(8).host_key;
        let pcf = PlaintextControlFlags::PCKMO;
        let (good, stored) = header(&config.host_key, pcf, |_, _| ());
        let changed = |at: usize, bytes: &[u8]| {
            let mut header = good.clone();
            header[at..at + bytes.len()].copy_from_slice(bytes);
            header
        };
        let last = good.len() - 1;
        let headers = vec![
            (Header::WrongCount, header(&config.host_key, pcf, |_, measurement| measurement.page_count += 1).0),
            (Header::Short, good[..400].to_vec()),
            (Header::Magic, changed(0, b"X")),
            (Header::NoSlots, changed(0x20, &0_u64.to_be_bytes())),
            (Header::AreaSize, changed(0x28, &64_u64.to_be_bytes())),
            (Header::Size, changed(0x0c, &0x1000_u32.to_be_bytes())),
            (Header::Flags, changed(0x38, &(1_u64 << 63).to_be_bytes())),
            (Header::ForeignKey, header(&foreign, pcf, |_, _| ()).0),
            (Header::CustomerKey, changed(0x40, &[0xff; 80])),
            (Header::Tag, changed(last, &[good[last] ^ 1])),
            (Header::Items, header(&config.host_key, pcf, |area, _| area.optional_items = 16.into()).0),
            (Header::SecretFlags, header(&config.host_key, pcf, |area, _| area.secret_flags = (1_u64 << 63).into()).0),
            (Header::Good, good),
        ];
        Sample { config, stored, headers }
    })
}

impl Sample {
    /// The bytes of a header.
    pub(super) fn header(&self, wanted: Header, generation: Generation) -> Vec<u8> {
        static DUMP: OnceLock<[Vec<u8>; 2]> = OnceLock::new();
        let allowed = || {
            let pcf = PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP;
            let count =
                |more: u64| header(&self.config.host_key, pcf, |_, measurement| measurement.page_count += more).0;
            [count(0), count(1)]
        };
        match wanted {
            Header::Good if generation >= Generation::Z16 => DUMP.get_or_init(allowed)[0].clone(),
            Header::WrongCount if generation >= Generation::Z16 => DUMP.get_or_init(allowed)[1].clone(),
            _ => self
                .headers
                .iter()
                .find(|(header, _)| *header == wanted)
                .map_or_else(Vec::new, |(_, bytes)| bytes.clone()),
        }
    }
}
