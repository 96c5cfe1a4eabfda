//! Valid files that mutations start from: those of the real tools, and simulated documents.

use super::documents::Chain;

macro_rules! image {
    ($path:literal) => {
        include_bytes!(concat!("../../../tests/fixtures/pvimg/", $path)).as_slice()
    };
}
macro_rules! request {
    ($path:literal) => {
        include_bytes!(concat!("../../../uv-s390/tests/fixtures/", $path)).as_slice()
    };
}

pub(super) const IMAGE_HOST_KEY: &str = include_str!("../../../tests/fixtures/pvimg/keys/host1.key.pem");
pub(super) const HEADER_KEY: &[u8] = image!("keys/hdr_key.bin");
pub(super) const DUMP_CCK: &[u8] = request!("pvdump/p1-mixed/cck.bin");
pub(super) const REQUEST_HOST_KEY: &str = include_str!("../../../uv-s390/tests/fixtures/keys/host1.key.pem");
pub(super) const ATTESTATION_KEY: &[u8] = request!("pvattest/r1-default/arpk.bin");
pub(super) const ATTESTED_HEADER: &[u8] = request!("pvattest/se.hdr");
pub(super) const SIGNER: &[u8] = request!("keys/sign-ec521.crt.pem");

const DUMP: &[u8] = request!("pvdump/p1-mixed/dump.elf");
const IMAGES: [&[u8]; 3] =
    [image!("d-all-keys-flags/image.bin"), image!("a-kernel-only/image.bin"), image!("b-odd-sizes/image.bin")];

fn owned(seeds: &[&[u8]]) -> Vec<Vec<u8>> {
    seeds.iter().map(|seed| seed.to_vec()).collect()
}

/// A copy of what `found` picks in each image: header offset and length, or those of the IPIB.
fn of_images(found: impl Fn(&uv_s390::owner::image::Image<'_>) -> (u64, usize)) -> Vec<Vec<u8>> {
    let part = |file: &&[u8]| {
        let image = uv_s390::owner::image::Image::parse(file).expect("the fixture is an image");
        let (offset, length) = found(&image);
        let start = usize::try_from(offset).expect("offsets in a fixture are small");
        file[start..start + length].to_vec()
    };
    IMAGES.iter().map(part).collect()
}

pub(crate) fn headers() -> Vec<Vec<u8>> {
    let mut seeds = of_images(|image| (image.header_offset(), image.header().as_bytes().len()));
    seeds.push(ATTESTED_HEADER.to_vec());
    seeds
}

pub(crate) fn ipibs() -> Vec<Vec<u8>> {
    of_images(|image| (image.ipib_offset(), usize::try_from(image.ipib().total_length()).unwrap_or(0)))
}

pub(crate) fn images() -> Vec<Vec<u8>> {
    let mut seeds = owned(&IMAGES);
    seeds.push(image!("bootloader/stage3b_reloc.bin").to_vec());
    seeds
}

pub(crate) fn dumps() -> Vec<Vec<u8>> {
    owned(&[DUMP, request!("pvdump/bad-no-flag/dump.elf")])
}

/// A section or note of the reference dump, found by the bytes it begins with.
fn in_dump(begin: &[u8], length: usize) -> &'static [u8] {
    let at = DUMP.windows(begin.len()).rposition(|window| window == begin).expect("the reference dump has it");
    &DUMP[at..at + length]
}

/// The completion data of the reference dump: version 1, length 288.
pub(super) fn completion_block() -> &'static [u8] {
    in_dump(&[0, 0, 0, 1, 0, 0, 1, 32], 288)
}

pub(crate) fn dump_blocks() -> Vec<Vec<u8>> {
    // Name size 6, descriptor size, type 0x30e, name in 8 bytes; then the descriptor.
    let note = DUMP.windows(4).position(|window| window == [0, 0, 3, 0x0e]).expect("the reference dump has CPU notes");
    let note = &DUMP[note + 12..note + 12 + 1568];
    owned(&[completion_block(), note, &[0xff; 16], &[0; 32]])
}

pub(crate) fn attestation_requests() -> Vec<Vec<u8>> {
    // In the tool's files the request begins behind a head of 64 bytes.
    let requests = [request!("pvattest/r1-default/request.bin"), request!("pvattest/r3-phkh-both/request.bin")];
    requests.iter().map(|file| file[64..].to_vec()).collect()
}

pub(crate) fn exchange_files() -> Vec<Vec<u8>> {
    owned(&[
        request!("pvattest/r1-default/response-simulated.bin"),
        request!("pvattest/r3-phkh-both/response-simulated.bin"),
        request!("pvattest/r1-default/request.bin"),
    ])
}

pub(crate) fn add_secret_requests() -> Vec<Vec<u8>> {
    owned(&[
        request!("pvsecret/s01-meta/request.bin"),
        request!("pvsecret/s03-assoc-none/request.bin"),
        request!("pvsecret/s05-assoc-ext-cck/request.bin"),
        request!("pvsecret/s07-plain-odd/request.bin"),
        request!("pvsecret/s17-ec256/request.bin"),
        request!("pvsecret/inputs/cuid.yaml"),
    ])
}

pub(crate) fn secret_lists() -> Vec<Vec<u8>> {
    use uv_s390::abi::secret::{LIST_PAGE_SIZE, SecretEntry, SecretId, SecretList, SecretType};
    use uv_s390::owner::secret::encode_plaintext;
    let entry = |index| SecretEntry::new(index, SecretType::ASSOCIATION, 32, SecretId([1; 32]));
    let store: Vec<_> = (0..100).map(entry).collect();
    let mut page = vec![0; LIST_PAGE_SIZE];
    SecretList::page(&store, 0).and_then(|list| list.encode(&mut page)).expect("a page holds its entries");
    let plaintext = encode_plaintext(b"fourteen bytes").expect("a short secret");
    let answer = [&[0, 3], plaintext.as_slice()].concat();
    vec![page, plaintext.to_vec(), answer]
}

pub(crate) fn documents() -> Vec<Vec<u8>> {
    let mut seeds = Chain::documents();
    seeds.extend(owned(&[
        image!("keys/host1.crt.pem"),
        image!("keys/host2.crt.der"),
        request!("keys/sign-rsa2048.crt.pem"),
        request!("keys/sign-rsa3072.crt.pem"),
    ]));
    seeds
}

pub(crate) fn keys() -> Vec<Vec<u8>> {
    owned(&[
        image!("keys/host1.key.pem"),
        request!("keys/sign-ec521.pem"),
        request!("keys/sign-rsa2048.pem"),
        request!("keys/sign-rsa3072.pem"),
        request!("keys/sign-rsa2048.crt.pem"),
        SIGNER,
        request!("pvsecret/inputs/ec-prime256v1.pem"),
    ])
}
