use alloc::format;
use alloc::string::String;

use super::{KeyError, PrivateKey, PublicKey};
use crate::owner::samples::{
    MACHINE1, MACHINE1_PUB, MACHINE2, MACHINE2_PUB, OWNER, OWNER_PUB, OWNER2_ENCRYPTED, OWNER2_PUB, expected, hex, rng,
};
use rsa::pkcs8::EncodePrivateKey as _;

#[test]
fn public_files_have_the_fingerprints_of_the_blob() {
    let lockboxes = &expected()["blobs"]["full.dtb"]["lockboxes"];
    for (at, (file, private)) in
        [(MACHINE2_PUB, MACHINE2), (MACHINE1_PUB, MACHINE1), (OWNER_PUB, OWNER)].into_iter().enumerate()
    {
        let stored = hex(&lockboxes[at]["fingerprint_sha256"]);
        let public = PublicKey::from_pem(file).unwrap();
        assert_eq!(public.fingerprint().0, *stored);
        assert_eq!(public.to_pem().unwrap().as_bytes(), file);
        let private = PrivateKey::from_pem(private, None).unwrap();
        assert_eq!(private.public().fingerprint(), public.fingerprint());
    }
}

#[test]
fn other_forms_of_a_public_file_name_the_same_key() {
    let text = core::str::from_utf8(OWNER_PUB).unwrap();
    let windows = text.replace('\n', "\r\n");
    let noted = format!("note\n{text}\n");
    let body: String = text.lines().filter(|line| !line.starts_with('-')).collect();
    let one_line = format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----");
    let plain = PublicKey::from_pem(OWNER_PUB).unwrap();
    for form in [windows, noted, one_line] {
        let key = PublicKey::from_pem(form.as_bytes()).unwrap();
        assert_eq!(key.fingerprint(), plain.fingerprint());
        assert!(key.is_named_by(&plain.fingerprint().0));
        assert!(key.is_named_by(&key.as_given.0) && !plain.is_named_by(&key.as_given.0));
    }
}

#[test]
fn encrypted_pkcs1_opens_with_its_pass_phrase_only() {
    let public = PublicKey::from_pem(OWNER2_PUB).unwrap();
    let open =
        |phrase: Option<&[u8]>| PrivateKey::from_pem(OWNER2_ENCRYPTED, phrase).map(|key| key.public().fingerprint());
    assert_eq!(open(Some(b"owner-pass")), Ok(public.fingerprint()));
    assert_eq!(open(None), Err(KeyError::PassphraseNeeded));
    for wrong in [b"owner-pas".as_slice(), b"", b"owner-pass\n", b"Owner-pass"] {
        assert_eq!(open(Some(wrong)), Err(KeyError::WrongPassphrase));
    }
    let text = core::str::from_utf8(OWNER2_ENCRYPTED).unwrap();
    for (from, to) in [("DES-EDE3-CBC", "RC2-CBC"), ("DEK-Info", "Other"), ("4,ENCRYPTED", "4,MIC-ONLY")] {
        let result = PrivateKey::from_pem(text.replace(from, to).as_bytes(), Some(b"owner-pass"));
        assert_eq!(result.unwrap_err(), KeyError::UnsupportedEncryption);
    }
}

#[test]
fn pkcs8_and_generated_keys_work() {
    let owner = PrivateKey::from_pem(OWNER, None).unwrap();
    let pkcs8 = owner.key.to_pkcs8_pem(super::LineEnding::LF).unwrap();
    let same = PrivateKey::from_pem(pkcs8.as_bytes(), Some(b"unused")).unwrap();
    assert_eq!(same.public(), owner.public());

    let mut rng = rng(7);
    let made = PrivateKey::generate(&mut rng).unwrap();
    let again = PrivateKey::from_pem(made.to_pem().unwrap().as_bytes(), None).unwrap();
    let wrapped = made.public().wrap(&[9; 32], &mut rng).unwrap();
    assert_eq!(wrapped.len(), 256);
    assert_eq!(**again.unwrap(&wrapped).unwrap(), [9; 32]);
    assert_eq!(owner.unwrap(&wrapped), Err(KeyError::Unwrap));
    assert_eq!(owner.unwrap(&[]), Err(KeyError::Unwrap));
    assert_eq!(made.public().wrap(&[0; 191], &mut rng), Err(KeyError::Wrap));
}

#[test]
fn wrong_files_are_named() {
    assert_eq!(PublicKey::from_pem(OWNER), Err(KeyError::PrivateGiven));
    assert_eq!(PublicKey::from_pem(OWNER2_ENCRYPTED), Err(KeyError::PrivateGiven));
    assert_eq!(PrivateKey::from_pem(OWNER_PUB, None).unwrap_err(), KeyError::PublicGiven);
    let pem = |label: &str, body: &str| format!("-----BEGIN {label}-----\n{body}\n-----END {label}-----\n");
    let public = |text: String| PublicKey::from_pem(text.as_bytes()).unwrap_err();
    assert_eq!(public(pem("CERTIFICATE", "AAAA")), KeyError::NotRsa);
    assert_eq!(public(pem("PUBLIC KEY", "AAAA")), KeyError::Malformed);
    assert_eq!(public(pem("PUBLIC KEY", "!!!!")), KeyError::NotPem);
    assert_eq!(public(pem("PUBLIC KEY", "")), KeyError::NotPem);
    assert_eq!(public("-----BEGIN PUBLIC KEY-----\nAAAA\n".into()), KeyError::NotPem);
    assert_eq!(PublicKey::from_pem(&[0xff, 0]), Err(KeyError::NotPem));
    assert_eq!(PublicKey::from_pem(b""), Err(KeyError::NotPem));
}

#[test]
fn nothing_secret_is_printed() {
    let owner = PrivateKey::from_pem(OWNER, None).unwrap();
    assert_eq!(format!("{owner:?}"), format!("PrivateKey(.., {:?})", owner.public().fingerprint()));
}

#[test]
fn other_encrypted_forms_open_with_their_pass_phrase_only() {
    macro_rules! form {
        ($name:literal) => {
            include_bytes!(concat!("../../../../tests/fixtures/esm-keys/owner2-", $name, ".pem")).as_slice()
        };
    }
    let public = PublicKey::from_pem(OWNER2_PUB).unwrap();
    for file in [form!("pkcs8-pbkdf2"), form!("pkcs8-des3-sha1"), form!("pkcs8-scrypt"), form!("pkcs1-aes256")] {
        let open = |phrase: Option<&[u8]>| PrivateKey::from_pem(file, phrase).map(|key| key.public().fingerprint());
        assert_eq!(open(Some(b"owner-pass")), Ok(public.fingerprint()));
        assert_eq!(open(Some(b"owner-pas")), Err(KeyError::WrongPassphrase));
        assert_eq!(open(None), Err(KeyError::PassphraseNeeded));
    }
    let costly = PrivateKey::from_pem(form!("pkcs8-costly"), Some(b"owner-pass")).map(drop);
    assert_eq!(costly, Err(KeyError::UnsupportedEncryption));
}
