use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use rand_core::TryRng;

use super::*;
use crate::rng::SimRng;
use uv_crypto::{BATCH, XtsKey};

const SUITES: [Suite; 3] = [Suite::Aes256XtsPolyval, Suite::Aes256Ccm, Suite::Aes128Gcm];
const VM: u64 = 0x1122_3344_5566_7788;

fn sealer(suite: Suite, page_bytes: usize) -> PageSealer {
    PageSealer::generate(suite, page_bytes, VM, &mut SimRng::from_seed(1).fork("sealer")).unwrap()
}

fn slices(pages: &[Vec<u8>]) -> Vec<&[u8]> {
    pages.iter().map(Vec::as_slice).collect()
}

fn slices_mut(pages: &mut [Vec<u8>]) -> Vec<&mut [u8]> {
    pages.iter_mut().map(Vec::as_mut_slice).collect()
}

fn plain(pages: usize, page_bytes: usize) -> Vec<Vec<u8>> {
    (0..pages).map(|page| (0..page_bytes).map(|i| (i * 13 + page).to_le_bytes()[0]).collect()).collect()
}

#[test]
fn ranges_come_back_and_equal_single_pages() {
    for suite in SUITES {
        for (pages, page_bytes) in [(0, 4096), (1, 4096), (5, 65536), (BATCH, 4096)] {
            let sealer = sealer(suite, page_bytes);
            let plain = plain(pages, page_bytes);
            let mut sealed = vec![vec![0; page_bytes]; pages];
            let mut records = vec![SealRecord::default(); pages];
            let versions = |index| 100 + index as u64;
            sealer.seal_range(7, versions, &slices(&plain), &mut slices_mut(&mut sealed), &mut records).unwrap();
            for (index, record) in records.iter().enumerate() {
                assert_eq!(record.version, versions(index));
                let mut alone = vec![0; page_bytes];
                let again = sealer.seal_page(7 + index as u64, versions(index), &plain[index], &mut alone).unwrap();
                assert_eq!((&again, &alone), (record, &sealed[index]));
                assert_ne!(alone, plain[index]);
            }
            let mut opened = vec![vec![0xee; page_bytes]; pages];
            let failed = sealer.open_range(7, &records, &slices(&sealed), &mut slices_mut(&mut opened)).unwrap();
            assert!(failed.is_none());
            assert_eq!(opened, plain);
        }
    }
}

#[test]
fn changed_moved_and_old_pages_are_refused_and_zeroed() {
    for suite in SUITES {
        let sealer = sealer(suite, 4096);
        let page = vec![0x5a; 4096];
        let (mut sealed, mut newer) = (vec![0; 4096], vec![0; 4096]);
        let record = sealer.seal_page(9, 1, &page, &mut sealed).unwrap();
        let newer_record = sealer.seal_page(9, 2, &page, &mut newer).unwrap();
        assert_ne!(sealed, newer);

        let refused = |gfn, record: &SealRecord, sealed: &[u8]| {
            let mut out = vec![0xee; 4096];
            let result = sealer.open_page(gfn, record, sealed, &mut out);
            assert_eq!(result, Err(OpenError::Page(BadPage { index: 0 })), "{suite:?}");
            assert_eq!(out, vec![0; 4096]);
        };
        for at in [0, 1, 2048, 4095] {
            for bit in [1, 0x80] {
                let mut flipped = sealed.clone();
                flipped[at] ^= bit;
                refused(9, &record, &flipped);
            }
        }
        // An older page under the newer record, and the other way round.
        refused(9, &newer_record, &sealed);
        refused(9, &record, &newer);
        refused(9, &SealRecord { version: 2, ..record }, &sealed);
        refused(9, &SealRecord { version: 1 + (1 << 32), ..record }, &sealed);
        let mut tag = record.tag;
        tag[15] ^= 1;
        refused(9, &SealRecord { tag, ..record }, &sealed);
        // The GCM suite leaves the frame to the record's place.
        if suite != Suite::Aes128Gcm {
            refused(10, &record, &sealed);
        }
        let mut out = vec![0; 4096];
        sealer.open_page(9, &record, &sealed, &mut out).unwrap();
        assert_eq!(out, page);
    }
}

#[test]
fn a_bad_page_does_not_touch_its_neighbours() {
    for suite in SUITES {
        let sealer = sealer(suite, 4096);
        let plain = plain(BATCH, 4096);
        let mut sealed = vec![vec![0; 4096]; BATCH];
        let mut records = [SealRecord::default(); BATCH];
        sealer
            .seal_range(0, |index| index as u64, &slices(&plain), &mut slices_mut(&mut sealed), &mut records)
            .unwrap();
        sealed.swap(4, 5);
        sealed[31][0] ^= 1;
        let mut opened = vec![vec![0xee; 4096]; BATCH];
        let failed = sealer.open_range(0, &records, &slices(&sealed), &mut slices_mut(&mut opened)).unwrap();
        assert_eq!(failed.iter().collect::<Vec<_>>(), [4, 5, 31]);
        assert_eq!(failed.count(), 3);
        assert_eq!(failed.first(), Err(BadPage { index: 4 }));
        for (index, page) in opened.iter().enumerate() {
            let expected = if failed.page(index).is_err() { &vec![0; 4096] } else { &plain[index] };
            assert_eq!(page, expected, "{suite:?} page {index}");
        }
    }
}

#[test]
fn the_ccm_tag_holds_the_vm() {
    let page = vec![1; 4096];
    let mut out = vec![0; 4096];
    // Another VM with the same key: the CCM suite tells them apart.
    let material = SealMaterial::generate(Suite::Aes256Ccm, &mut SimRng::from_seed(2));
    let one = PageSealer::from_material(&material, 4096, 1).unwrap();
    let two = PageSealer::from_material(&material, 4096, 2).unwrap();
    let record = one.seal_page(1, 1, &page, &mut out).unwrap();
    assert!(two.open_page(1, &record, &out, &mut [0; 4096]).is_err());
    assert!(one.open_page(1, &record, &out, &mut [0; 4096]).is_ok());
}

#[test]
fn the_xts_entry_holds_address_and_version() {
    let entry = |gfn, version| hex::encode(xts_entry(gfn, 4096, version).unwrap());
    assert_eq!(entry(0, 0), "00000000000000000000000000000000");
    assert_eq!(entry(0x12345, 0xabc), "00000000000000000000000012345abc");
    assert_eq!(entry(1, 0x1000), "00000000000000000000100000001000");
    assert_eq!(entry(0xffff_ffff, 0xffff_ffff), "0000000000000000ffffffffffffffff");
    assert_eq!(entry(0, 0x1_0000_0000), entry(0, 0));
    assert_eq!(xts_entry(1 << 32, 4096, 0), Err(CryptoError::FrameRange(1 << 32)));
    assert_eq!(xts_entry(u64::MAX, 65536, 0), Err(CryptoError::FrameRange(u64::MAX)));
    assert!(xts_entry((1 << 28) - 1, 65536, 0).is_ok());
}

#[test]
fn the_dump_key_opens_sealed_pages() {
    let sealer = sealer(Suite::Aes256XtsPolyval, 4096);
    let (page, mut sealed, mut opened) = (vec![3; 4096], vec![0; 4096], vec![0; 4096]);
    sealer.seal_page(0x77, 0x1234_5678, &page, &mut sealed).unwrap();
    let export = sealer.dump_key_export().unwrap();
    let (nonce, entry) = (sealer.xts_nonce().unwrap(), sealer.xts_entry(0x77, 0x1234_5678).unwrap());
    assert_eq!(nonce, export.nonce());
    assert_eq!(nonce[8..], [0; 8]);
    assert_eq!(entry[..8], [0; 8]);
    let tweak = core::array::from_fn(|i| nonce[i] | entry[i]);
    XtsKey::new(export.expose_key()).decrypt_page(tweak, &sealed, &mut opened).unwrap();
    assert_eq!(opened, page);
    for suite in [Suite::Aes256Ccm, Suite::Aes128Gcm] {
        let other = super::tests::sealer(suite, 4096);
        assert!(other.dump_key_export().is_none() && other.xts_nonce().is_none() && other.xts_entry(0, 0).is_none());
    }
}

#[test]
fn wrong_calls_are_refused_and_write_nothing() {
    for bytes in [0, 16, 2048, 4097, 12288, 2 * PAGE_BYTES_LIMIT] {
        let made = PageSealer::generate(Suite::Aes256Ccm, bytes, VM, &mut SimRng::from_seed(1));
        assert_eq!(made.map(|_| ()), Err(CryptoError::PageLength(bytes)));
    }
    for suite in SUITES {
        let sealer = sealer(suite, 4096);
        let page = vec![1; 8192];
        let mut out = vec![9; 8192];
        let mut call = |gfn, from: usize, to: usize, records: usize| {
            let mut kept = vec![SealRecord::default(); records];
            let drawn = core::cell::Cell::new(0);
            let versions = |_| {
                drawn.set(drawn.get() + 1);
                1
            };
            let result = sealer.seal_range(gfn, versions, &[&page[..from]], &mut [&mut out[..to]], &mut kept);
            (result, drawn.get())
        };
        assert_eq!(call(0, 8192, 8192, 1), (Err(CryptoError::LengthMismatch { expected: 4096, found: 8192 }), 0));
        assert_eq!(call(0, 4096, 8192, 1), (Err(CryptoError::LengthMismatch { expected: 4096, found: 8192 }), 0));
        assert_eq!(call(0, 4096, 4096, 2), (Err(CryptoError::CountMismatch { expected: 1, found: 2 }), 0));
        if suite == Suite::Aes256XtsPolyval {
            assert_eq!(call(1 << 32, 4096, 4096, 1), (Err(CryptoError::FrameRange(1 << 32)), 0));
        }
        assert_eq!(out, vec![9; 8192]);
    }
    let ccm = sealer(Suite::Aes256Ccm, 4096);
    let (page, mut out) = (vec![1; 4096], vec![vec![0; 4096]; 2]);
    let mut records = [SealRecord::default(); 2];
    let pair = [page.as_slice(), &page];
    assert_eq!(
        ccm.seal_range(u64::MAX, |_| 1, &pair, &mut slices_mut(&mut out), &mut records),
        Err(CryptoError::FrameRange(u64::MAX))
    );
    assert!(ccm.seal_page(u64::MAX, 1, &page, &mut out[0]).is_ok());
}

#[test]
fn debug_shows_no_key() {
    assert_eq!(
        format!("{:?}", sealer(Suite::Aes128Gcm, 4096)),
        "PageSealer { suite: Aes128Gcm, page_bytes: 4096, .. }"
    );
    let material = SealMaterial::generate(Suite::Aes256Ccm, &mut SimRng::from_seed(1));
    assert_eq!(format!("{material:?}"), "SealMaterial(Aes256Ccm, ..)");
    let xts = sealer(Suite::Aes256XtsPolyval, 4096);
    assert_eq!(format!("{:?}", xts.dump_key_export().unwrap()), "DumpKey(..)");
}

/// Every suite opened with the bare cipher, from what the table of suites says is key, nonce and additional data.
#[test]
fn sealed_pages_are_what_the_suites_say() {
    let page = plain(2, 4096);
    let (gfn, version) = (0x0102_0304_u64, 0x1112_1314_1516_1718_u64);
    let mut key = [0; 64];
    SimRng::from_seed(4).try_fill_bytes(&mut key).unwrap();
    let sealed = |material: &SealMaterial| {
        let sealer = PageSealer::from_material(material, 4096, VM).unwrap();
        assert_eq!((sealer.suite(), sealer.page_bytes()), (material.suite(), 4096));
        let (mut out, mut records) = (vec![vec![0; 4096]; 2], [SealRecord::default(); 2]);
        let versions = |index| version + index as u64;
        sealer.seal_range(gfn, versions, &slices(&page), &mut slices_mut(&mut out), &mut records).unwrap();
        (out, records)
    };
    let mut back = vec![0; 4096];
    let mut opened = |open: &dyn Fn(&mut [u8]) -> Result<FailedPages, CryptoError>| {
        back.fill(0xee);
        assert_eq!(open(&mut back), Ok(FailedPages::NONE));
        back.clone()
    };
    let short = |record: &SealRecord| [record.tag];

    let ccm_key = key.first_chunk::<32>().unwrap();
    let (out, records) = sealed(&SealMaterial::Aes256Ccm { key: *ccm_key, fixed: *b"part" });
    for ((index, out), record) in (0..).zip(&out).zip(&records) {
        let (mut nonce, mut aad) = ([0; 12], [0; 16]);
        nonce[..8].copy_from_slice(&(version + index).to_be_bytes());
        nonce[8..].copy_from_slice(b"part");
        aad[..8].copy_from_slice(&(gfn + index).to_be_bytes());
        aad[8..].copy_from_slice(&VM.to_be_bytes());
        let cipher = uv_crypto::CcmKey::new(ccm_key);
        let open = |to: &mut [u8]| cipher.open_pages(&[nonce], &[aad], &[out], &mut [to], &short(record));
        assert!(page.contains(&opened(&open)));
    }
    let gcm_key = key.first_chunk::<16>().unwrap();
    let (out, records) = sealed(&SealMaterial::Aes128Gcm { key: *gcm_key, fixed: *b"part" });
    for ((index, out), record) in (0..).zip(&out).zip(&records) {
        let mut iv = *b"part--------";
        iv[4..].copy_from_slice(&(version + index).to_be_bytes());
        let cipher = uv_crypto::Gcm128Key::new(gcm_key);
        let open = |to: &mut [u8]| cipher.open_pages(&[iv], &[b""], &[out], &mut [to], &short(record));
        assert!(page.contains(&opened(&open)));
    }
    let (out, records) =
        sealed(&SealMaterial::Aes256Xts { key, nonce: *b"vm nonce", mac: *key.first_chunk().unwrap() });
    for ((index, out), record) in (0..).zip(&out).zip(&records) {
        let mut tweak = xts_entry(gfn + index, 4096, version + index).unwrap();
        let mut end = [0; 16];
        end[..8].copy_from_slice(&(gfn + index).to_be_bytes());
        end[8..].copy_from_slice(&(version + index).to_be_bytes());
        let mut tag = [[0; 16]];
        uv_crypto::MacKey::new(key.first_chunk().unwrap()).tags(&[out], &[end], &mut tag).unwrap();
        assert_eq!(record.tag, tag[0]);
        tweak[..8].copy_from_slice(b"vm nonce");
        let open = |to: &mut [u8]| XtsKey::new(&key).decrypt_page(tweak, out, to).map(|()| FailedPages::NONE);
        assert!(page.contains(&opened(&open)));
    }
}

#[test]
fn fresh_material_is_drawn_key_first() {
    let mut drawn = [0; 120];
    SimRng::from_seed(9).try_fill_bytes(&mut drawn).unwrap();
    for suite in SUITES {
        let material = SealMaterial::generate(suite, &mut SimRng::from_seed(9));
        let (key, part): (&[u8], &[u8]) = match &material {
            SealMaterial::Aes256Xts { key, nonce, mac } => {
                assert_eq!(mac, &drawn[72..]);
                (key, nonce)
            }
            SealMaterial::Aes256Ccm { key, fixed } => (key, fixed),
            SealMaterial::Aes128Gcm { key, fixed } => (key, fixed),
        };
        assert_eq!((material.suite(), key), (suite, &drawn[..key.len()]));
        assert_eq!(part, &drawn[key.len()..key.len() + part.len()]);
    }
}

#[test]
fn wrong_calls_open_nothing_and_write_nothing() {
    for suite in SUITES {
        let sealer = sealer(suite, 4096);
        let (sealed, mut out) = (vec![1; 8192], vec![9; 8192]);
        let mut call = |gfn, from: usize, to: usize, records: usize| {
            let records = vec![SealRecord::default(); records];
            sealer.open_range(gfn, &records, &[&sealed[..from]], &mut [&mut out[..to]]).map(drop)
        };
        let length = Err(CryptoError::LengthMismatch { expected: 4096, found: 8192 });
        assert_eq!(call(0, 8192, 8192, 1), length, "{suite:?}");
        assert_eq!(call(0, 4096, 8192, 1), length, "{suite:?}");
        for records in [0, 2] {
            let count = CryptoError::CountMismatch { expected: 1, found: records };
            assert_eq!(call(0, 4096, 4096, records), Err(count), "{suite:?}");
        }
        if suite == Suite::Aes256XtsPolyval {
            assert_eq!(call(1 << 32, 4096, 4096, 1), Err(CryptoError::FrameRange(1 << 32)));
        }
        assert_eq!(out, vec![9; 8192], "{suite:?}");
        assert_eq!(sealer.seal_range(u64::MAX, |_| 1, &[], &mut [], &mut []), Ok(()), "no page, no frame");
        let short = sealer.seal_page(0, 1, &sealed[..4080], &mut out[..4080]);
        assert_eq!(short, Err(CryptoError::LengthMismatch { expected: 4096, found: 4080 }));
    }
}
