//! Images written by the real image builder, compared in full with what is known about them.

#![cfg(feature = "owner")]

use std::fs;
use std::path::PathBuf;

use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uv_s390::abi::se_header::{HeaderError, PlaintextControlFlags, SeHeader, SecretControlFlags};
use uv_s390::owner::crypto::{Cck, HostPrivateKey, PageKey, RequestKey};
use uv_s390::owner::image::{
    BootLoader, HeaderInfo, Image, ImageBuilder, ImageError, Measurement, MeasurementError, Stage3aArgs, Stage3bArgs,
};
use uv_s390::owner::se_header::HeaderContent;
use zerocopy::FromBytes;

const CASES: [&str; 3] = ["a-kernel-only", "b-odd-sizes", "d-all-keys-flags"];

fn read(name: &str) -> Vec<u8> {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "../tests/fixtures/pvimg", name].iter().collect();
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn host(name: &str) -> HostPrivateKey {
    let pem = String::from_utf8(read(&format!("keys/{name}.key.pem"))).expect("PEM is text");
    HostPrivateKey::from_pem(&pem).expect("fixture key")
}

fn json_of(name: &str) -> Value {
    serde_json::from_slice(&read(name)).expect("fixture JSON")
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn word(value: u64) -> String {
    format!("{value:016x}")
}

/// Everything that our reader knows about an image, in the form of `expected.json`.
fn describe(file: &[u8], host: &HostPrivateKey) -> Value {
    let image = Image::parse(file).expect("fixture image");
    let header = image.header();
    let fixed = header.fixed();
    let opened = header.open(host).expect("fixture host key");
    let secret = &opened.confidential;
    let ipib = image.ipib();
    let metadata = image.metadata().expect("fixture images have metadata");
    let stage3a_size = read("bootloader/stage3a.bin").len();
    let (_, stage3a_args) = Stage3aArgs::read_from_suffix(&file[0x10000..0x10000 + stage3a_size]).expect("24 bytes");
    let plain = image.extract(secret).expect("fixture components");
    let (args, _) = Stage3bArgs::find(plain.last().expect("stage3b").pages()).expect("fixture stage3b");
    let source =
        |source: &uv_s390::owner::image::Stage3bSource| json!({"src": source.address.get(), "size": source.size.get()});
    let reserved_is_zero = ipib.fixed().reserved_05 == [0; 2]
        && ipib.fixed().reserved_0e == [0; 2]
        && ipib.fixed().reserved_18 == [0; 87]
        && ipib.fixed().reserved_70 == [0; 4];
    json!({
        "file": "image.bin",
        "file_size": file.len(),
        "file_sha256": sha256(file),
        "short_psw_hex": hex::encode(&file[..8]),
        "metadata": {
            "offset": 0xc000,
            "magic": String::from_utf8_lossy(&metadata.magic),
            "version": metadata.version.get(),
            "hdr_off": metadata.header_offset.get(),
            "ipib_off": metadata.ipib_offset.get(),
        },
        "stage3a": {
            "offset": 0x10000,
            "size": stage3a_size,
            "args": {
                "hdr_offs": stage3a_args.header_offset.get(),
                "hdr_size": stage3a_args.header_size.get(),
                "ipib_offs": stage3a_args.ipib_offset.get(),
            },
        },
        "ipib": {
            "hdr_len": ipib.total_length(),
            "flags": ipib.flags(),
            "hdr_ver": ipib.version(),
            "pv_len": ipib.block_length(),
            "pbt": ipib.block_type().0,
            "loadparm": hex::encode(ipib.loadparm()),
            "pv_ver": ipib.pv_version(),
            "num_comp": ipib.component_count(),
            "pv_hdr_addr": ipib.header_address(),
            "pv_hdr_size": ipib.header_length(),
            "res_zero": reserved_is_zero,
            "used_bytes": ipib.required_length(),
        },
        "header": {
            "offset": image.header_offset(),
            "size": fixed.size.get(),
            "version": fixed.version.get(),
            "iv_hex": hex::encode(fixed.iv),
            "nks": fixed.slot_count.get(),
            "sea": fixed.encrypted_size.get(),
            "nep": fixed.page_count.get(),
            "pcf_hex": word(fixed.pcf().bits()),
            "cust_pub_key_hex": hex::encode(fixed.customer_key),
            "pld_hex": hex::encode(fixed.page_digest),
            "ald_hex": hex::encode(fixed.address_digest),
            "tld_hex": hex::encode(fixed.tweak_digest),
            "tag_hex": hex::encode(header.tag()),
            "slots": header.slots().map(|slot| json!({
                "phkh_hex": hex::encode(slot.phkh.0),
                "wrpk_hex": hex::encode(slot.wrapped_key),
                "kst_hex": hex::encode(slot.tag),
            })).collect::<Vec<_>>(),
        },
        "secret": {
            "hdr_key_hex": hex::encode(opened.header_key.expose()),
            "cck_hex": hex::encode(secret.cck),
            "image_key_hex": hex::encode(secret.image_key),
            "psw_mask_hex": word(secret.psw.mask.get()),
            "psw_addr_hex": word(secret.psw.address.get()),
            "scf_hex": word(secret.scf().bits()),
            "noi": secret.optional_items.get(),
            "res2": u32::from_be_bytes(secret.reserved_7c),
        },
        "stage3b_args": {
            "kernel": source(&args.kernel),
            "cmdline": source(&args.command_line),
            "initrd": source(&args.ramdisk),
            "psw_mask_hex": word(args.psw.mask.get()),
            "psw_addr_hex": word(args.psw.address.get()),
        },
        "components": plain.iter().zip(image.components()).map(|(plain, (entry, stored))| json!({
            "kind": plain.kind().expect("known kind").name(),
            "tweak_prefix_hex": word(entry.tweak_prefix.get()),
            "addr": entry.address.get(),
            "padded_len": entry.length.get(),
            "orig_len": plain.original_length().expect("known length"),
            "sha256_plain": sha256(plain.contents()),
            "sha256_plain_padded": sha256(plain.pages()),
            "sha256_stored": sha256(stored),
        })).collect::<Vec<_>>(),
    })
}

#[test]
fn images_are_read_as_expected() {
    for case in CASES {
        let file = read(&format!("{case}/image.bin"));
        assert_eq!(describe(&file, &host("host1")), json_of(&format!("{case}/expected.json")), "{case}");
    }
}

#[test]
fn header_info_is_that_of_the_image_tool() {
    for case in CASES {
        let file = read(&format!("{case}/image.bin"));
        let (_, header) = uv_s390::owner::image::read_header(&file).unwrap();
        let opened = header.open(&host("host1")).unwrap();
        let info = HeaderInfo::new(&header, Some(&opened.confidential));
        let secret = info.secret.as_ref().unwrap();
        let told = json!({
            "kind": info.kind(),
            "verified": info.verified,
            "magic_hex": info.magic_hex,
            "version": info.version,
            "sehs": info.sehs,
            "iv_hex": info.iv_hex,
            "nks": info.nks,
            "sea": info.sea,
            "nep": info.nep,
            "pcf_hex": info.pcf_hex,
            "cust_pub_key": {"coord_hex": info.coord_hex},
            "pld_hex": info.pld_hex,
            "ald_hex": info.ald_hex,
            "tld_hex": info.tld_hex,
            "keyslots": info.keyslots.iter().map(|slot| json!({
                "phkh_hex": slot.phkh_hex, "wrpk_hex": slot.wrpk_hex, "kst_hex": slot.kst_hex,
            })).collect::<Vec<_>>(),
            "cck_hex": *secret.cck_hex,
            "xts_hex": *secret.xts_hex,
            "psw": {"mask_hex": secret.psw_mask_hex, "addr_hex": secret.psw_addr_hex},
            "scf_hex": secret.scf_hex,
            "tag_hex": info.tag_hex,
        });
        assert_eq!(told, json_of(&format!("{case}/pvimg-info-data.json")), "{case}");
        let plain = HeaderInfo::new(&header, None);
        assert_eq!((plain.kind(), plain.verified, plain.cipher_data.len()), ("se_hdr", false, 128));
    }
}

#[test]
fn given_keys_open_the_image_and_other_machines_do_not() {
    let file = read("d-all-keys-flags/image.bin");
    let image = Image::parse(&file).unwrap();
    let header_key = RequestKey::from_slice(&read("keys/hdr_key.bin")).unwrap();
    let area = image.header().open_with_header_key(&header_key).unwrap();
    assert_eq!(area.cck[..], read("keys/cck.bin"));
    assert_eq!(area.image_key[..], read("keys/image_key.bin"));
    assert_eq!(area.scf(), SecretControlFlags::CCK_EXTENSION_SECRET);
    use PlaintextControlFlags as Pcf;
    assert_eq!(image.header().pcf(), Pcf::ALLOW_DUMP | Pcf::PCKMO_HMAC | Pcf::BACKUP_KEYS);
    for stranger in ["host2", "host3"] {
        assert_eq!(image.header().open(&host(stranger)).unwrap_err(), HeaderError::NoMatchingSlot);
    }
}

/// Builds a fixture again from its inputs: all of it but the header (whose customer key is not known)
/// must be equal byte by byte, and the header must be equal when it is sealed again from its parts.
#[test]
fn images_are_built_as_the_real_builder_does() {
    let inputs = [
        ("a-kernel-only", "kernel-aligned.bin", None, None),
        ("b-odd-sizes", "kernel-odd.bin", Some("ramdisk-odd.bin"), Some("cmdline.txt")),
        ("d-all-keys-flags", "kernel-odd.bin", Some("ramdisk-2pages.bin"), Some("cmdline.txt")),
    ];
    for (case, kernel, ramdisk, command_line) in inputs {
        let file = read(&format!("{case}/image.bin"));
        let image = Image::parse(&file).unwrap();
        let opened = image.header().open(&host("host1")).unwrap();
        let component = |name: &str| read(&format!("components/{name}"));
        let (kernel, ramdisk, command_line) = (component(kernel), ramdisk.map(component), command_line.map(component));
        let boot_loader =
            BootLoader::new(read("bootloader/stage3a.bin"), read("bootloader/stage3b_reloc.bin")).unwrap();
        let mut builder = ImageBuilder::new(&kernel)
            .boot_loader(boot_loader)
            .host_key(host("host1").public())
            .pcf(image.header().pcf())
            .scf(opened.confidential.scf())
            .header_key(opened.header_key.clone())
            .image_key(PageKey::new(opened.confidential.image_key))
            .cck(Cck::new(opened.confidential.cck));
        if let Some(ramdisk) = &ramdisk {
            builder = builder.ramdisk(ramdisk);
        }
        if let Some(command_line) = &command_line {
            builder = builder.command_line(command_line);
        }
        for plain in image.extract(&opened.confidential).unwrap() {
            let prefix = plain.entry().tweak_prefix.get().to_be_bytes();
            builder = builder.prefix_bytes(plain.kind().unwrap(), prefix[2..].try_into().unwrap());
        }
        let built = builder.build(&mut ChaCha20Rng::from_seed([1; 32])).unwrap().bytes;
        let header = 0x14000..0x14000 + 640;
        assert_eq!(built.len(), file.len(), "{case}");
        assert!(built[..header.start] == file[..header.start], "{case}: before the header");
        assert!(built[header.end..] == file[header.end..], "{case}: behind the header");

        let ours = Image::parse(&built).unwrap();
        let again = ours.header().open(&host("host1")).unwrap().confidential;
        assert_eq!(Measurement::stated_by(ours.header().fixed()), Measurement::stated_by(image.header().fixed()));
        let sealed = SeHeader::seal(&HeaderContent {
            iv: image.header().fixed().iv,
            header_key: &opened.header_key,
            customer_key: image.header().customer_key(),
            slots: &image.header().slots().collect::<Vec<_>>(),
            pcf: image.header().pcf(),
            measurement: &ours.measure(),
            confidential: &again,
        })
        .unwrap();
        assert!(sealed == *image.header(), "{case}: header");
    }
}

#[test]
fn a_changed_bit_of_a_component_is_noticed() {
    let file = read("b-odd-sizes/image.bin");
    let image = Image::parse(&file).unwrap();
    let area = image.header().open(&host("host1")).unwrap().confidential;
    for (entry, _) in image.components() {
        let mut changed = file.clone();
        changed[usize::try_from(entry.address.get()).unwrap() + 100] ^= 0x10;
        let error = Image::parse(&changed).unwrap().extract(&area).unwrap_err();
        assert_eq!(error, ImageError::Measurement(MeasurementError::Pages));
    }
}

#[test]
fn cut_off_images_are_refused() {
    let file = read("b-odd-sizes/image.bin");
    let lengths = (0..file.len()).step_by(509).chain(file.len() - 300..file.len());
    for length in lengths {
        assert!(Image::parse(&file[..length]).is_err(), "{length} bytes");
    }
}

/// One bit of the metadata block, the IPIB and the header at a time. Reading must give a value; what
/// the header covers must not open.
#[test]
fn changed_bits_outside_the_components_never_panic() {
    let file = read("a-kernel-only/image.bin");
    let original = Image::parse(&file).unwrap();
    let key = original.header().open(&host("host1")).unwrap().header_key;
    let ipib = usize::try_from(original.ipib_offset()).unwrap();
    let mut changed = file.clone();
    for place in [0xc000..0xc01c, ipib..file.len(), 0x14000..0x14000 + 640] {
        let in_header = place.start == 0x14000;
        for bit in place.start * 8..place.end * 8 {
            changed[bit / 8] ^= 0x80 >> (bit % 8);
            let result = Image::parse(&changed);
            if in_header {
                assert!(result.is_err() || open_fails(&changed, &key), "header bit {bit}");
            } else if let Ok(image) = result {
                let _ = image.check_measurement();
            }
            changed[bit / 8] ^= 0x80 >> (bit % 8);
        }
    }
}

fn open_fails(file: &[u8], key: &RequestKey) -> bool {
    Image::parse(file).is_ok_and(|image| image.header().open_with_header_key(key).err() == Some(HeaderError::Tag))
}
