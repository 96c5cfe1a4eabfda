//! Images that this library builds: layouts, flags, limits, reproducibility, and files that are none.

#![cfg(feature = "owner")]

use proptest::prelude::*;
use rand_chacha::{ChaCha20Rng, rand_core::SeedableRng};
use uv_s390::abi::ipib::IpibView;
use uv_s390::abi::psw::Psw;
use uv_s390::abi::se_header::{HeaderError, PlaintextControlFlags, SecretControlFlags};
use uv_s390::owner::crypto::HostPrivateKey;
use uv_s390::owner::image::{
    BuildError, ComponentFault, ComponentKind, Image, ImageBuilder, ImageError, ImageLayout, IpibFault, KernelError,
    read_header,
};

fn rng(seed: u8) -> ChaCha20Rng {
    ChaCha20Rng::from_seed([seed; 32])
}

fn host(byte: u8) -> HostPrivateKey {
    HostPrivateKey::from_scalar(&[byte; 40]).expect("small scalars are in range")
}

/// A kernel that passes the checks.
fn kernel() -> Vec<u8> {
    let mut kernel = vec![0x5a; 0x11000];
    kernel[0x10008..0x1000e].copy_from_slice(b"S390EP");
    kernel[0x10430..0x10438].copy_from_slice(&100u64.to_be_bytes());
    kernel
}

/// A small image of both optional components.
fn small<'a>() -> ImageBuilder<'a> {
    ImageBuilder::new(b"kernel").ramdisk(b"").command_line(b"a\n").host_key(host(1).public()).skip_component_check()
}

#[test]
fn equal_seeds_give_equal_bytes() {
    let build = |seed| small().build(&mut rng(seed)).unwrap().bytes;
    assert!(build(1) == build(1));
    assert!(build(1) != build(2));
    let kept = small().header_key(uv_s390::owner::crypto::RequestKey::new([1; 32])).build(&mut rng(1)).unwrap();
    assert!(kept.bytes[0x15000..] == build(1)[0x15000..], "a given header key leaves everything else");
}

#[test]
fn both_layouts_come_back() {
    for (layout, kinds) in [
        (
            ImageLayout::Current,
            [ComponentKind::Kernel, ComponentKind::Ramdisk, ComponentKind::CommandLine, ComponentKind::Stage3b],
        ),
        (
            ImageLayout::Older,
            [ComponentKind::Kernel, ComponentKind::CommandLine, ComponentKind::Ramdisk, ComponentKind::Stage3b],
        ),
    ] {
        let built = small().layout(layout).build(&mut rng(1)).unwrap();
        let image = Image::parse(&built.bytes).unwrap();
        image.check_measurement().unwrap();
        let opened = image.header().open(&host(1)).unwrap();
        assert_eq!(opened.header_key, built.header_key);
        let plain = image.extract(&opened.confidential).unwrap();
        assert_eq!(plain.iter().map(|component| component.kind().unwrap()).collect::<Vec<_>>(), kinds);
        let contents = |kind| plain.iter().find(|component| component.kind() == Some(kind)).unwrap().contents();
        assert_eq!(contents(ComponentKind::Kernel), b"kernel");
        assert_eq!(contents(ComponentKind::Ramdisk), b"");
        assert_eq!(contents(ComponentKind::CommandLine), b"a\n\0");
        assert_eq!(contents(ComponentKind::Stage3b).len(), 128);
        assert_eq!(opened.confidential.psw, Psw::at(plain[3].entry().address.get()));
        assert_eq!(image.metadata().is_some(), layout == ImageLayout::Current);
        assert_eq!(image.header_offset(), 0x14000);
    }
}

#[test]
fn the_older_layout_has_its_ipib_before_the_header() {
    let built = small().layout(ImageLayout::Older).build(&mut rng(1)).unwrap();
    let ipib = IpibView::new(&built.bytes[0x13000..]);
    assert_eq!((ipib.total_length(), ipib.pv_version(), ipib.header_address()), (4096, 0, 0));
    let prefixes: Vec<u64> = ipib.components().map(|entry| entry.tweak_prefix.get() >> 48).collect();
    assert_eq!(prefixes, [0, 1, 2, 3]);
    assert_eq!(built.bytes.len(), 0x19000);
    assert!(built.bytes[0xc000..0x10000].iter().all(|&byte| byte == 0));
    assert_eq!(Image::parse(&built.bytes).unwrap().ipib_offset(), 0x13000);
}

#[test]
fn flags_address_and_slots_are_written() {
    let pcf = PlaintextControlFlags::ALLOW_DUMP | PlaintextControlFlags::from_bits_retain(1 << 40);
    let built = small()
        .host_key(host(2).public())
        .host_key(host(1).public())
        .pcf(pcf)
        .scf(SecretControlFlags::CCK_UPDATE)
        .psw_address(0x1234)
        .build(&mut rng(1))
        .unwrap();
    let image = Image::parse(&built.bytes).unwrap();
    assert_eq!(image.header().as_bytes().len(), 800);
    for key in [host(1), host(2)] {
        let opened = image.header().open(&key).unwrap();
        assert_eq!(opened.confidential.psw, Psw::at(0x1234));
        assert_eq!(opened.confidential.scf(), SecretControlFlags::CCK_UPDATE);
        assert_eq!(opened.host_key, key.public().phkh());
    }
    assert_eq!(image.header().pcf(), pcf);
    assert_eq!(image.header().open(&host(3)).unwrap_err(), HeaderError::NoMatchingSlot);
    assert_eq!(read_header(image.header().as_bytes()).unwrap().0, 0, "a bare header is a file, too");
}

#[test]
fn unencrypted_components_are_stored_as_they_are() {
    let pcf = PlaintextControlFlags::NO_COMPONENT_ENCRYPTION;
    let built = small().pcf(pcf).build(&mut rng(1)).unwrap();
    assert_eq!(&built.bytes[0x15000..0x15006], b"kernel");
    let image = Image::parse(&built.bytes).unwrap();
    let opened = image.header().open(&host(1)).unwrap();
    assert_eq!(image.extract(&opened.confidential).unwrap()[0].contents(), b"kernel");
    let encrypted = small().build(&mut rng(1)).unwrap();
    assert_ne!(&encrypted.bytes[0x15000..0x15006], b"kernel");
}

#[test]
fn a_large_header_moves_the_components() {
    let mut builder = ImageBuilder::new(b"k").skip_component_check();
    for _ in 0..95 {
        builder = builder.host_key(host(1).public());
    }
    let built = builder.build(&mut rng(1)).unwrap();
    let image = Image::parse(&built.bytes).unwrap();
    assert_eq!(image.header().as_bytes().len(), 8160);
    assert_eq!(image.components().next().unwrap().0.address.get(), 0x16000);
    assert!(image.header().open(&host(1)).is_ok());
    let error = builder.host_key(host(1).public()).build(&mut rng(1)).unwrap_err();
    assert_eq!(error, BuildError::Header(HeaderError::TooManySlots(96)));
    assert_eq!(
        ImageBuilder::new(b"k").skip_component_check().build(&mut rng(1)).unwrap_err(),
        BuildError::Header(HeaderError::NoSlots)
    );
}

#[test]
fn kernels_are_checked_unless_told_otherwise() {
    let kernel = kernel();
    let build = |builder: ImageBuilder<'_>| builder.host_key(host(1).public()).build(&mut rng(1)).map(|_| ());
    let fails = |error| Err(BuildError::Kernel(error));
    assert_eq!(build(ImageBuilder::new(&kernel)), Ok(()));
    assert_eq!(build(ImageBuilder::new(b"\x7fELF")), fails(KernelError::Elf));
    assert_eq!(build(ImageBuilder::new(b"k")), fails(KernelError::TooShort(1)));
    assert_eq!(build(ImageBuilder::new(&kernel).command_line(&[b'x'; 99])), Ok(()));
    let long = fails(KernelError::CommandLine { length: 101, maximum: 100 });
    assert_eq!(build(ImageBuilder::new(&kernel).command_line(&[b'x'; 100])), long);
    assert_eq!(build(ImageBuilder::new(&kernel).command_line(&[b'x'; 100]).skip_component_check()), Ok(()));
    let without_limit = &kernel[..0x10010];
    assert_eq!(build(ImageBuilder::new(without_limit)), Ok(()));
    assert_eq!(build(ImageBuilder::new(without_limit).command_line(b"x")), fails(KernelError::TooShort(0x10010)));
}

/// Patches a big-endian word of a good image.
fn patched(offset: usize, value: u64) -> Vec<u8> {
    let mut bytes = small().build(&mut rng(1)).expect("good inputs").bytes;
    bytes[offset..offset + 8].copy_from_slice(&value.to_be_bytes());
    bytes
}

#[test]
fn component_lists_that_break_a_rule_are_refused() {
    let ipib = 0x19000;
    let entry = |index: usize| ipib + 0x88 + 24 * index;
    let reason = |bytes: Vec<u8>| Image::parse(&bytes).unwrap_err();
    let component = |index, fault| ImageError::Component { index, fault };
    assert_eq!(reason(patched(entry(1), 0x28)), component(1, ComponentFault::PrefixOrder));
    assert_eq!(reason(patched(entry(0) + 8, 0x15001)), component(0, ComponentFault::Address));
    assert_eq!(reason(patched(entry(0) + 16, 0)), component(0, ComponentFault::Length));
    assert_eq!(reason(patched(entry(0) + 16, 0x1001)), component(0, ComponentFault::Length));
    assert_eq!(reason(patched(entry(1) + 8, 0x15000)), component(1, ComponentFault::Overlap));
    assert_eq!(reason(patched(entry(3) + 16, 0x2000)), component(3, ComponentFault::OutsideFile));
    assert_eq!(reason(patched(entry(3) + 16, u64::MAX - 0xfff)), component(3, ComponentFault::OutsideFile));
    assert_eq!(reason(patched(ipib + 0x78, 0x15000)), ImageError::Ipib(IpibFault::HeaderAddress));
    assert_eq!(reason(patched(ipib + 0x80, 641)), ImageError::Ipib(IpibFault::HeaderLength));
    assert_eq!(reason(patched(ipib + 0x70, 0)), ImageError::Ipib(IpibFault::NoComponents));
    assert_eq!(reason(patched(ipib + 0x70, 5)), ImageError::Ipib(IpibFault::TooShort));
    assert_eq!(reason(patched(ipib + 8, 0)), ImageError::Ipib(IpibFault::BlockType));
    assert_eq!(reason(patched(ipib, 4097 << 32)), ImageError::Ipib(IpibFault::TooLong));
    assert_eq!(reason(patched(0xc008, 0x15000)), ImageError::MetadataHeader(0x15000));
    assert_eq!(reason(patched(0xc008, u64::MAX)), ImageError::MetadataHeader(u64::MAX));
    assert_eq!(reason(patched(0xc014, u64::MAX)), ImageError::NoIpib);
    assert!(Image::parse(&patched(0xc010 - 4, 0)).is_err());
}

#[test]
fn files_that_are_no_images() {
    assert_eq!(Image::parse(b"").unwrap_err(), ImageError::NoHeader);
    assert_eq!(Image::parse(&vec![0; 1 << 20]).unwrap_err(), ImageError::NoHeader);
    let short = Image::parse(b"IBMSecEx").unwrap_err();
    assert_eq!(short, ImageError::Header(HeaderError::TooShort(8)));
    let bare = small().build(&mut rng(1)).unwrap().bytes[0x14000..0x14000 + 640].to_vec();
    assert_eq!(Image::parse(&bare).unwrap_err(), ImageError::NoIpib);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn garbage_gives_an_error(start in proptest::collection::vec(any::<u8>(), 0..600), at in 0usize..24) {
        let mut file = vec![0; at * 0x1000];
        file.extend_from_slice(b"IBMSecEx\0\0\x01\0");
        file.extend_from_slice(&start);
        prop_assert!(Image::parse(&file).is_err());
        file.splice(0..0, start);
        prop_assert!(Image::parse(&file).is_err());
    }

    #[test]
    fn damaged_images_give_a_value(damage in proptest::collection::vec((0usize..0x19100, any::<u8>()), 1..20)) {
        let mut file = small().build(&mut rng(1)).expect("good inputs").bytes;
        for (at, byte) in damage {
            if let Some(place) = file.get_mut(at) {
                *place = byte;
            }
        }
        if let Ok(image) = Image::parse(&file) {
            let _ = image.check_measurement();
        }
    }
}
