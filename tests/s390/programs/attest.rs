//! Attestation from both ends: files of the real tool, the guest's call row by row, the program's subcommands.

use std::fs;
use std::process::ExitCode;

use crate::owner::{
    Owned, boot_real, each_flip, fixture, image_fixture, options, real_certificate, real_image, real_key, text,
};
use tempfile::tempdir;
use uv_s390::abi::uvc::{Cc, PgmCode, UvRc};
use uv_s390::abi::uvcb::{Attest, COMMANDS, Length, QueryInfo, Role, Share, UvCommand};
use uv_s390::owner::attest::{Arcb, ArcbError, AttestationFlags, AttestationRequest, ExchangeFile};
use uv_s390::owner::crypto::{HostPrivateKey, RequestKey, SlotError};
use uv_s390::owner::request::{ConfigUid, OpenError, RequestSecrets};
use uv_s390_programs::attest::{Create, Perform, Verify, measure};
use uv_s390_programs::guest::Booted;
use zerocopy::IntoBytes;

const CASES: [&str; 2] = ["r1-default", "r3-phkh-both"];
const DIFFERS: u8 = 2;

fn verify(arguments: &[&str]) -> Result<ExitCode, uv_programs::Failure> {
    options::<Verify>(arguments).run()
}

#[test]
fn answers_that_the_real_verifier_takes_and_refuses() {
    let out = tempdir().unwrap();
    let yaml = out.path().join("yaml");
    for case in CASES {
        let file = |name: &str| fixture(&format!("pvattest/{case}/{name}"));
        let (arpk, hdr) = (file("arpk.bin"), fixture("pvattest/se.hdr"));
        let status = |response: &str, hdr: &std::path::Path| {
            let response = file(response);
            let arguments = [
                "--response",
                text(&response),
                "--arpk",
                text(&arpk),
                "--hdr",
                text(hdr),
                "-o",
                text(&yaml),
                "--overwrite",
            ];
            verify(&arguments).unwrap()
        };
        assert_eq!(status("response-simulated.bin", &hdr), ExitCode::SUCCESS);
        let value = |path: &std::path::Path| {
            let documents = yaml_rust2::YamlLoader::load_from_str(&fs::read_to_string(path).unwrap()).unwrap();
            documents.into_iter().next().unwrap()
        };
        assert_eq!(value(&yaml), value(&file("verify-result.yaml")));
        assert_eq!(
            status("response-simulated.bin", &real_image()),
            ExitCode::SUCCESS,
            "the image instead of its header"
        );
        fs::remove_file(&yaml).unwrap();
        assert_eq!(status("response-tampered.bin", &hdr), ExitCode::from(DIFFERS));
        let other = image_fixture("a-kernel-only/image.bin");
        assert_eq!(status("response-simulated.bin", &other), ExitCode::from(DIFFERS));
        assert!(!yaml.exists(), "nothing is said of what is not verified");
    }
}

#[test]
fn a_real_request_is_performed_and_its_answer_verifies() {
    let out = tempdir().unwrap();
    let (response, user_data) = (out.path().join("response"), out.path().join("user"));
    fs::write(&user_data, b"what the guest says").unwrap();
    let cuid = "00112233445566778899aabbccddeeff";
    for case in CASES {
        let file = |name: &str| fixture(&format!("pvattest/{case}/{name}"));
        let (request, arpk, image, key) = (file("request.bin"), file("arpk.bin"), real_image(), real_key());
        let arguments = [
            "--image",
            text(&image),
            "--host-key",
            text(&key),
            "--request",
            text(&request),
            "--out",
            text(&response),
            "--user-data",
            text(&user_data),
            "--cuid",
            cuid,
            "--overwrite",
        ];
        assert_eq!(options::<Perform>(&arguments).run().unwrap(), ExitCode::SUCCESS);
        let hdr = fixture("pvattest/se.hdr");
        let mut arguments = vec!["--response", text(&response), "--arpk", text(&arpk), "--hdr", text(&hdr)];
        let back = out.path().join("back");
        arguments.extend(["-u", text(&back), "--json", "--overwrite"]);
        assert_eq!(verify(&arguments).unwrap(), ExitCode::SUCCESS);
        assert_eq!(fs::read(&back).unwrap(), b"what the guest says");
        let other = image_fixture("b-odd-sizes/image.bin");
        let arguments = ["--response", text(&response), "--arpk", text(&arpk), "--hdr", text(&other)];
        assert_eq!(verify(&arguments).unwrap(), ExitCode::from(DIFFERS));
        let parsed = ExchangeFile::parse(&fs::read(&response).unwrap()).unwrap().into_response().unwrap();
        assert_eq!(parsed.cuid, ConfigUid::from_hex(cuid).unwrap());
    }
}

#[test]
fn own_requests_with_all_additional_data() {
    let out = tempdir().unwrap();
    let (request, arpk, response) = (out.path().join("request"), out.path().join("arpk"), out.path().join("response"));
    let (certificate, image, key) = (real_certificate(), real_image(), real_key());
    let mut arguments = vec!["-k", text(&certificate), "--no-verify", "-o", text(&request), "--arpk", text(&arpk)];
    for data in ["phkh-img", "phkh-att", "secret-store-hash", "firmware-state"] {
        arguments.extend(["--add-data", data]);
    }
    assert_eq!(options::<Create>(&arguments).run().unwrap(), ExitCode::SUCCESS);
    assert_eq!(fs::metadata(&arpk).unwrap().len(), 32);
    let arguments =
        ["--image", text(&image), "--host-key", text(&key), "--request", text(&request), "--out", text(&response)];
    assert_eq!(options::<Perform>(&arguments).run().unwrap(), ExitCode::SUCCESS);
    let parsed = ExchangeFile::parse(&fs::read(&response).unwrap()).unwrap().into_response().unwrap();
    assert_eq!(parsed.additional.len(), 32 + 32 + 64 + 320);
    assert!(parsed.additional[128..].starts_with(b"SIMULATED"), "no real machine's firmware state");
    let arguments = ["--response", text(&response), "--arpk", text(&arpk), "--hdr", text(&image), "--json"];
    assert_eq!(verify(&arguments).unwrap(), ExitCode::SUCCESS);
    let wrong = fixture("pvattest/r1-default/arpk.bin");
    let arguments = ["--response", text(&response), "--arpk", text(&wrong), "--hdr", text(&image)];
    assert_eq!(verify(&arguments).unwrap_err().status(), 1, "not of this key");
}

#[test]
fn another_machine_does_not_answer() {
    let owned = Owned::plain();
    let mut booted = owned.boot();
    let file = fs::read(fixture("pvattest/r1-default/request.bin")).unwrap();
    let arcb = ExchangeFile::parse(&file).unwrap().arcb;
    let called = measure(&mut booted, arcb, Vec::new()).unwrap().unwrap_err();
    assert_eq!((called.cc, called.rc), (Cc::Error, UvRc::ATTEST_OPEN));
}

/// What the owner's reader says to each bit that is not the owner's.
#[test]
fn every_single_bit_of_a_request_counts() {
    let file = fs::read(fixture("pvattest/r3-phkh-both/request.bin")).unwrap();
    let arcb = ExchangeFile::parse(&file).unwrap().arcb;
    let key = RequestKey::from_slice(&fs::read(fixture("pvattest/r3-phkh-both/arpk.bin")).unwrap()).unwrap();
    each_flip(&arcb, |at, bit, changed| {
        let error = Arcb::parse(changed)
            .and_then(|arcb| arcb.head().check_algorithm().and_then(|()| arcb.open_with_key(&key)).map(|_| ()))
            .expect_err("refused");
        let nonce = at == 48 && bit == 6;
        let expected = match at {
            0..12 => 0x106,
            // 400 becomes 384, the length without a nonce.
            15 if bit == 4 => 0x109,
            12..16 => 0x107,
            39 => {
                if changed[39] == 0 {
                    0x108
                } else {
                    0x107
                }
            }
            44..48 => 0x109,
            48 if nonce => 0x109,
            56..60 => 0x10b,
            _ => 0x10c,
        };
        assert_eq!(error.rc(), expected, "byte {at}, bit {bit}: {error}");
    });
}

/// The machine's reader: slots and customer key, which the owner's does not need.
#[test]
fn every_byte_of_the_slots_counts_for_the_machine() {
    let file = fs::read(fixture("pvattest/r1-default/request.bin")).unwrap();
    let arcb = ExchangeFile::parse(&file).unwrap().arcb;
    let host = HostPrivateKey::from_pem(&fs::read_to_string(real_key()).unwrap()).unwrap();
    let open = |bytes: &[u8]| Arcb::parse(bytes).and_then(|arcb| arcb.open([&host]).map(|_| ()));
    open(&arcb).unwrap();
    for at in 64..arcb.len() {
        let mut changed = arcb.clone();
        changed[at] ^= 1;
        let expected = match at {
            64..224 => SlotError::CustomerKey.into(),
            224..256 => SlotError::NoMatchingSlot.into(),
            256..304 => SlotError::Tag.into(),
            _ => OpenError::Tag,
        };
        assert_eq!(open(&changed), Err(ArcbError::Unseal(expected)), "byte {at}");
    }
}

/// Rows of the table "pv-attest": one request with one key slot and without nonce, one thing wrong in each.
mod pv_attest {
    use super::*;

    struct Row {
        booted: Booted,
        arcb: Vec<u8>,
        block: Attest,
    }

    impl Row {
        fn new() -> Self {
            let owned = Owned::plain();
            let booted = owned.boot();
            let mut rng = uv_programs::random::rng(Some(3)).expect("the test's own input works");
            let mut request = AttestationRequest::random(AttestationFlags::ATTESTATION_PHKH, &mut rng);
            request.nonce = None;
            let arcb = request
                .seal(&RequestSecrets::random(&mut rng), &[owned.host.public()])
                .expect("the test's own input works");
            let mut block = Attest::new();
            block.arcb_addr = booted.free.into();
            block.meas_addr = (booted.free + 0x10_0000).into();
            block.meas_len = 64.into();
            block.add_data_addr = (booted.free + 0x10_1000).into();
            block.add_data_len = 32.into();
            Self { booted, arcb, block }
        }

        fn call(mut self) -> (Cc, UvRc) {
            self.booted.session.store(self.booted.free, &self.arcb).expect("the test's own input works");
            let called = self.booted.session.call(&mut self.block).expect("the test's own input works");
            (called.cc, called.rc)
        }
    }

    macro_rules! rows {
        ($($name:ident: $rc:ident, |$row:ident| $change:expr;)*) => {$(
            #[test]
            fn $name() {
                let mut $row = Row::new();
                $change;
                assert_eq!($row.call(), (Cc::Error, UvRc::$rc));
            }
        )*};
    }

    rows! {
        uvcb_length_0x187: INVALID_LENGTH, |row| row.block.header.len = 0x187.into();
        continuation_token: ATTEST_TOKEN, |row| row.block.cont_token = 0xff.into();
        user_data_length: ATTEST_USER_DATA, |row| row.block.user_data_len = 257.into();
        arcb_not_accessible: ATTEST_ACCESS, |row| row.block.arcb_addr = (1 << 40).into();
        measurement_not_accessible: ATTEST_MEASUREMENT_ACCESS, |row| row.block.meas_addr = (1 << 40).into();
        additional_data_not_accessible: ATTEST_ADDITIONAL_ACCESS, |row| row.block.add_data_addr = (1 << 40).into();
        arcb_version: ATTEST_VERSION, |row| row.arcb[8..12].fill(0);
        arcb_length_one_more: ATTEST_LENGTH, |row| row.arcb[15] += 1;
        arcb_length_of_one_slot_with_two: ATTEST_LENGTH, |row| row.arcb[39] = 2;
        no_key_slots: ATTEST_SLOTS, |row| row.arcb[39] = 0;
        encrypted_size_80: ATTEST_ENCRYPTED_SIZE, |row| row.arcb[47] = 80;
        encrypted_size_17: ATTEST_ENCRYPTED_SIZE, |row| row.arcb[47] = 17;
        unsupported_flag: ATTEST_FLAGS, |row| row.arcb[55] |= 1;
        unsupported_algorithm: ATTEST_ALGORITHM, |row| row.arcb[59] = 0;
        cannot_unseal: ATTEST_OPEN, |row| *row.arcb.last_mut().unwrap() ^= 1;
        measurement_too_small: ATTEST_MEASUREMENT_SIZE, |row| row.block.meas_len = 63.into();
        additional_data_too_small: ATTEST_ADDITIONAL_SIZE, |row| row.block.add_data_len = 31.into();
        sizes_before_the_seal: ATTEST_MEASUREMENT_SIZE, |row| {
            *row.arcb.last_mut().unwrap() ^= 1;
            row.block.meas_len = 63.into();
        };
    }

    #[test]
    fn uvcb_length_0x189() {
        let mut row = Row::new();
        row.block.header.len = 0x189.into();
        let mut block = row.block.as_bytes().to_vec();
        block.push(0);
        assert_eq!(row.booted.session.raw_call(&mut block, false).unwrap(), Ok(Cc::Error));
        assert_eq!(block[4..6], UvRc::INVALID_LENGTH.0.to_be_bytes());
    }

    #[test]
    fn a_version_is_supported() {
        let mut row = Row::new();
        assert_ne!(row.booted.query().unwrap().supported_attest_versions.get(), 0);
    }

    #[test]
    fn nothing_wrong() {
        assert_eq!(Row::new().call(), (Cc::Done, UvRc::EXECUTED));
    }
}

/// Rows of the table "uv-guest".
mod uv_guest {
    use super::*;

    fn call(booted: &mut Booted, command: UvCommand, len: u16) -> (Cc, UvRc) {
        let mut block = vec![0; usize::from(len)];
        block[..2].copy_from_slice(&len.to_be_bytes());
        block[2..4].copy_from_slice(&command.0.to_be_bytes());
        let cc = booted
            .session
            .raw_call(&mut block, false)
            .expect("the test's own input works")
            .expect("the test's own input works");
        (cc, UvRc(u16::from_be_bytes([block[4], block[5]])))
    }

    fn length(command: UvCommand) -> u16 {
        let info = COMMANDS.iter().find(|info| info.command == command).expect("the test's own input works");
        let (Length::Exact(len) | Length::AtLeast(len)) = info.length;
        len
    }

    #[test]
    fn share_bits_and_query_indicated() {
        let query = Owned::plain().boot().query().unwrap();
        assert!(query.calls.bit(8) && query.calls.bit(9) && query.calls.bit(0));
    }

    #[test]
    fn privileged() {
        let mut booted = Owned::plain().boot();
        for command in
            [UvCommand::QUI, UvCommand::SET_SHARED_ACCESS, UvCommand::REMOVE_SHARED_ACCESS, UvCommand::RETR_ATTEST]
        {
            let len = length(command);
            let mut block = vec![0; usize::from(len)];
            block[..2].copy_from_slice(&len.to_be_bytes());
            block[2..4].copy_from_slice(&command.0.to_be_bytes());
            let result = booted.session.raw_call(&mut block, true).unwrap();
            assert_eq!(result, Err(PgmCode::PRIVILEGED_OPERATION), "{command}");
        }
    }

    #[test]
    fn invalid() {
        let mut booted = Owned::plain().boot();
        let query = booted.query().unwrap();
        assert_eq!(call(&mut booted, UvCommand(0x4242), 8), (Cc::Error, UvRc::INVALID_COMMAND));
        let host = COMMANDS.iter().filter(|info| info.role == Role::Host);
        for info in host {
            assert_eq!(
                call(&mut booted, info.command, length(info.command)),
                (Cc::Error, UvRc::INVALID_COMMAND),
                "{}",
                info.name
            );
            assert!(info.bit.is_none_or(|bit| !query.calls.bit(bit)), "{}", info.name);
        }
    }

    #[test]
    fn lengths() {
        let mut booted = Owned::plain().boot();
        for (command, len) in
            [(UvCommand::QUI, 0xa0), (UvCommand::SET_SHARED_ACCESS, 0x28), (UvCommand::REMOVE_SHARED_ACCESS, 0x28)]
        {
            assert_eq!(call(&mut booted, command, len), (Cc::Error, UvRc::INVALID_LENGTH), "{command}");
        }
    }

    #[test]
    fn share_and_unshare() {
        let mut booted = Owned::plain().boot();
        let page = booted.free;
        booted.session.store(page, b"mine").unwrap();
        let end = booted.vm.guest().slots().end().0 * 0x1000;
        let mut share = |command, at| {
            let called = booted.session.call(&mut Share::new(command, at)).unwrap();
            (called.cc, called.rc)
        };
        let done = (Cc::Done, UvRc::EXECUTED);
        assert_eq!(share(UvCommand::SET_SHARED_ACCESS, page), done);
        assert_eq!(share(UvCommand::SET_SHARED_ACCESS, end + 0x1000), (Cc::Error, UvRc::SHARE_RANGE));
        assert_eq!(share(UvCommand::REMOVE_SHARED_ACCESS, page), done);
        assert_eq!(*booted.session.load(page, 4).unwrap(), *b"mine");
    }

    #[test]
    fn the_query_of_a_short_block_says_that_there_is_more() {
        let mut booted = Owned::plain().boot();
        let mut block = QueryInfo::new();
        block.header.len = 0xa8.into();
        let called = booted.session.call(&mut block).unwrap();
        assert_eq!((called.cc, called.rc), (Cc::Error, UvRc::MORE_DATA));
    }
}

#[test]
fn the_real_image_measures_the_same_every_time_but_for_the_guest() {
    let file = fs::read(fixture("pvattest/r1-default/request.bin")).unwrap();
    let arcb = ExchangeFile::parse(&file).unwrap().arcb;
    let perform = |cuid| measure(&mut boot_real(Some(ConfigUid([cuid; 16]))), arcb.clone(), vec![1]).unwrap().unwrap();
    assert_eq!(perform(1), perform(1));
    assert_ne!(perform(1).measurement, perform(2).measurement);
}
