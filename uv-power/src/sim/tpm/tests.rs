//! The simulated TPM by itself: every refusal by its code, sessions, lengths.

use alloc::vec::Vec;

use uv_crypto::digest::sha256;

use super::chip::Tpm;
use super::key::{HANDLE, POLICY_B, TpmKey, numbers_of};
use super::session::{self, DIGEST, Nonces};
use super::wire::{self, Command, NO_SESSIONS, Reader, SESSIONS, Writer, packet, unpacked};
use crate::abi::tpm::{HostTpm, TpmError};
use crate::owner::keys::PrivateKey;
use crate::owner::samples;

const CALLER: [u8; DIGEST] = [0xca; DIGEST];

fn machine1() -> PrivateKey {
    PrivateKey::from_pem(samples::MACHINE1, None).unwrap()
}

fn tpm() -> (Tpm, TpmKey) {
    Tpm::provision(machine1(), 3)
}

/// Response code and what follows it.
fn asked(tpm: &mut Tpm, tag: u16, command: u32, rest: &[u8]) -> (u32, Vec<u8>) {
    let answer = tpm.respond(&packet(tag, command, rest));
    let (of, code, rest) = unpacked(&answer).unwrap();
    assert!(of == if code == 0 { tag } else { NO_SESSIONS });
    (code, rest.0.to_vec())
}

fn code(tpm: &mut Tpm, command: Command, rest: Writer) -> u32 {
    asked(tpm, NO_SESSIONS, command.into(), &rest.done()).0
}

/// What `TPM2_StartAuthSession` gets: handles, nonce, salt, kind, symmetric algorithm, hash.
fn start(handles: [u32; 2], nonce: &[u8], salt: &[u8], kind: u8, symmetric: [u16; 3], hash: u16) -> Writer {
    let [a, b] = handles;
    let [alg, bits, mode] = symmetric;
    let w = Writer::default().u32(a).u32(b).sized(nonce).sized(salt).u8(kind);
    w.u16(alg).u16(bits).u16(mode).u16(hash)
}

const AES: [u16; 3] = [wire::ALG_AES, 128, wire::ALG_CFB];
const NULL: [u32; 2] = [wire::RH_NULL; 2];

/// A session with the TPM's nonce.
fn session(tpm: &mut Tpm) -> (u32, Vec<u8>) {
    let parameters = start(NULL, &CALLER, &[], 1, AES, wire::ALG_SHA256).done();
    let (code, out) = asked(tpm, NO_SESSIONS, Command::StartAuthSession.into(), &parameters);
    let mut reader = Reader(&out);
    let opened = (reader.u32().unwrap(), reader.sized().unwrap().to_vec());
    assert!(code == 0 && reader.is_empty() && opened.1.len() == DIGEST);
    opened
}

/// Asserts the key's policy in a session.
fn assert_policy(tpm: &mut Tpm, handle: u32, policies: &[[u8; DIGEST]]) {
    let of = || Writer::default().u32(handle);
    assert_eq!(code(tpm, Command::PolicyCommandCode, of().u32(Command::RsaDecrypt.into())), 0);
    assert_eq!(code(tpm, Command::PolicyAuthValue, of()), 0);
    assert_eq!(code(tpm, Command::PolicyOr, or(handle, policies)), 0);
}

fn or(handle: u32, policies: &[[u8; DIGEST]]) -> Writer {
    let count = u32::try_from(policies.len()).unwrap();
    policies.iter().fold(Writer::default().u32(handle).u32(count), |writer, policy| writer.sized(policy))
}

/// `TPM2_RSA_Decrypt` with a proof made by who knows `secret`.
fn decrypt(
    key: &TpmKey,
    (handle, theirs): &(u32, Vec<u8>),
    secret: &[u8],
    attributes: u8,
    parameters: &[u8],
) -> Vec<u8> {
    let digest = sha256(&[&Command::RsaDecrypt.code(), &key.name, parameters]);
    let nonces = Nonces { newer: &CALLER, older: theirs };
    let proof = session::authorisation(secret, &digest, &nonces, attributes);
    let area = Writer::default().u32(*handle).sized(&CALLER).u8(attributes).sized(&proof).done();
    let len = u32::try_from(area.len()).unwrap();
    Writer::default().u32(HANDLE).u32(len).bytes(&area).bytes(parameters).done()
}

fn parameters(wrapped: &[u8]) -> Vec<u8> {
    Writer::default().sized(wrapped).u16(wire::ALG_NULL).sized(&[]).done()
}

#[test]
fn commands_that_are_none_are_refused_by_code() {
    let (mut tpm, _) = tpm();
    let whole = packet(NO_SESSIONS, Command::ReadPublic.into(), &HANDLE.to_be_bytes());
    for cut in [0, 1, 9, whole.len() - 1] {
        assert_eq!(tpm.respond(&whole[..cut])[6..], 0x142_u32.to_be_bytes(), "{cut} bytes");
    }
    assert_eq!(asked(&mut tpm, NO_SESSIONS, 0x17b, &[]).0, 0x143);
    let read = |tpm: &mut Tpm, tag, rest: &[u8]| {
        let answer = tpm.respond(&packet(tag, Command::ReadPublic.into(), rest));
        u32::from_be_bytes(answer[6..10].try_into().unwrap())
    };
    assert_eq!(read(&mut tpm, 0x8003, &HANDLE.to_be_bytes()), 0x01e);
    assert_eq!(read(&mut tpm, SESSIONS, &HANDLE.to_be_bytes()), 0x145);
    assert_eq!(read(&mut tpm, NO_SESSIONS, &[]), 0x09a);
    assert_eq!(read(&mut tpm, NO_SESSIONS, &0x8180_0000_u32.to_be_bytes()), 0x18b);
    assert_eq!(read(&mut tpm, NO_SESSIONS, &[&HANDLE.to_be_bytes()[..], &[0]].concat()), 0x095);
    assert_eq!(read(&mut tpm, NO_SESSIONS, &HANDLE.to_be_bytes()), 0);
    assert_eq!(asked(&mut tpm, NO_SESSIONS, Command::RsaDecrypt.into(), &HANDLE.to_be_bytes()).0, 0x125);
    let answer = tpm.respond(&packet(0x8003, Command::RsaDecrypt.into(), &HANDLE.to_be_bytes()));
    assert_eq!(answer[6..], 0x01e_u32.to_be_bytes());
}

#[test]
fn the_public_area_is_named_and_holds_the_modulus() {
    let (mut tpm, key) = tpm();
    let (_, out) = asked(&mut tpm, NO_SESSIONS, Command::ReadPublic.into(), &HANDLE.to_be_bytes());
    let mut reader = Reader(&out);
    let (public, name) = (reader.sized().unwrap(), reader.sized().unwrap());
    assert_eq!(reader.sized().map(<[u8]>::len), Some(34));
    assert!(reader.is_empty());
    assert_eq!(name, key.name);
    assert_eq!(name[..2], [0, 0x0b]);
    assert_eq!(name[2..], sha256(&[public]));
    let (modulus, exponent) = machine1().public().numbers();
    assert_eq!(numbers_of(public), Some((&*modulus, exponent)));
    // Type, name algorithm, attributes of the sheet; scheme; bits; the usual exponent.
    assert_eq!(public[..8], [0, 1, 0, 0x0b, 0, 2, 0x0c, 0x20]);
    assert_eq!(public[42..54], [0, 0x10, 0, 0x17, 0, 0x0b, 8, 0, 0, 0, 0, 0]);
    for byte in [1, 3, 43, 45, 47] {
        let mut other = public.to_vec();
        other[byte] ^= 1;
        assert_eq!(numbers_of(&other), None, "byte {byte}");
    }
    assert_eq!(numbers_of(&[public, &[0]].concat()), None);
    let mut odd = public.to_vec();
    odd[53] = 3;
    assert_eq!(numbers_of(&odd).map(|(_, exponent)| exponent), Some(3));
}

#[test]
fn sessions_are_judged_and_counted() {
    let (mut tpm, _) = tpm();
    let bad = |writer| code(&mut self::tpm().0, Command::StartAuthSession, writer);
    let sha = wire::ALG_SHA256;
    assert_eq!(bad(start([HANDLE, wire::RH_NULL], &CALLER, &[], 1, AES, sha)), 0x18b);
    assert_eq!(bad(start([wire::RH_NULL, HANDLE], &CALLER, &[], 1, AES, sha)), 0x18b);
    for (len, expected) in [(0, 0x1d5), (15, 0x1d5), (16, 0), (32, 0), (33, 0x1d5)] {
        assert_eq!(bad(start(NULL, &[1; 40][..len], &[], 1, AES, sha)), expected, "a nonce of {len} bytes");
    }
    assert_eq!(bad(start(NULL, &CALLER, &[1], 1, AES, sha)), 0x2c4);
    assert_eq!(bad(start(NULL, &CALLER, &[], 0, AES, sha)), 0x084);
    assert_eq!(bad(start(NULL, &CALLER, &[], 1, AES, 0x0c)), 0x084);
    assert_eq!(bad(start(NULL, &CALLER, &[], 1, [wire::ALG_AES, 256, wire::ALG_CFB], sha)), 0x4d6);
    assert_eq!(bad(Writer::default().u32(1)), 0x09a);

    let opened: Vec<u32> = (0..64).map(|_| session(&mut tpm).0).collect();
    assert!(opened.windows(2).all(|w| w[0] + 1 == w[1]) && opened[0] == 0x0300_0000);
    assert_eq!(code(&mut tpm, Command::StartAuthSession, start(NULL, &CALLER, &[], 1, AES, sha)), 0x905);
    assert_eq!(code(&mut tpm, Command::FlushContext, Writer::default().u32(opened[5])), 0);
    assert_eq!(code(&mut tpm, Command::FlushContext, Writer::default().u32(opened[5])), 0x1cb);
    assert_eq!(session(&mut tpm).0, opened[5]);
    tpm.close();
    assert_eq!(code(&mut tpm, Command::FlushContext, Writer::default().u32(opened[0])), 0x1cb);
}

#[test]
fn policies_are_extended_and_judged() {
    let (mut tpm, key) = tpm();
    let (handle, _) = session(&mut tpm);
    let of = || Writer::default().u32(handle);
    assert_eq!(code(&mut tpm, Command::PolicyAuthValue, Writer::default().u32(handle + 1)), 0x18b);
    assert_eq!(code(&mut tpm, Command::PolicyCommandCode, of()), 0x09a);
    assert_eq!(code(&mut tpm, Command::PolicyCommandCode, of().u32(0x159)), 0);
    assert_eq!(code(&mut tpm, Command::PolicyCommandCode, of().u32(0x15a)), 0x1c4, "another command");
    assert_eq!(code(&mut tpm, Command::PolicyOr, or(handle, &key.policies)), 0x1c4, "not there yet");
    assert_eq!(code(&mut tpm, Command::PolicyAuthValue, of()), 0);
    assert_eq!(code(&mut tpm, Command::PolicyOr, or(handle, &[key.policies[0]])), 0x1d5, "a list of one");
    assert_eq!(code(&mut tpm, Command::PolicyOr, or(handle, &[key.policies[0]; 9])), 0x1d5, "a list of nine");
    assert_eq!(code(&mut tpm, Command::PolicyOr, of().u32(2).sized(&key.policies[0]).sized(&[0; 31])), 0x1d5);
    assert_eq!(code(&mut tpm, Command::PolicyOr, or(handle, &[POLICY_B; 2])), 0x1c4);
    assert_eq!(code(&mut tpm, Command::PolicyOr, or(handle, &key.policies)), 0);
}

#[test]
fn the_key_is_used_by_policy_and_password_only() {
    let (mut tpm, key) = tpm();
    let wrapped = key_for(&[7; 32]);
    let command = |tpm: &mut Tpm, rest: &[u8]| asked(tpm, SESSIONS, Command::RsaDecrypt.into(), rest).0;
    let password = key.password.clone();
    let good = |session: &(u32, Vec<u8>), attributes, parameters: &[u8]| {
        decrypt(&key, session, &password, attributes, parameters)
    };
    let fresh = session(&mut tpm);
    assert_eq!(command(&mut tpm, &good(&fresh, 0x41, &parameters(&wrapped))), 0x99d, "no policy");
    let whole = good(&fresh, 0x41, &parameters(&wrapped));
    assert_eq!(command(&mut tpm, &whole[..7]), 0x144);
    let mut area = whole.clone();
    area[7] += 1;
    assert_eq!(command(&mut tpm, &area), 0x144);
    assert_eq!(command(&mut tpm, &good(&(9, fresh.1.clone()), 0x41, &parameters(&wrapped))), 0x98b);

    let opened = session(&mut tpm);
    assert_policy(&mut tpm, opened.0, &key.policies);
    let bad = [
        (decrypt(&key, &opened, b"guess", 0x41, &parameters(&wrapped)), 0x9a2),
        (decrypt(&key, &opened, &[], 0x41, &parameters(&wrapped)), 0x9a2),
        (good(&(opened.0, CALLER.to_vec()), 0x41, &parameters(&wrapped)), 0x9a2),
        (good(&opened, 0x41, &Writer::default().sized(&wrapped).u16(wire::ALG_OAEP).sized(&[]).done()), 0x2d2),
        (good(&opened, 0x41, &Writer::default().sized(&wrapped).u16(wire::ALG_NULL).sized(&[1]).done()), 0x095),
        (good(&opened, 0x41, &[&parameters(&wrapped)[..], &[0]].concat()), 0x095),
        (good(&opened, 0x41, &[0, 1]), 0x09a),
        (good(&opened, 0x41, &parameters(&wrapped[1..])), 0x1d5),
        (good(&opened, 0x41, &parameters(&[0; 256])), 0x1c4),
    ];
    for (rest, expected) in bad {
        assert_eq!(command(&mut tpm, &rest), expected, "the session stays as it was");
    }
    assert_eq!(command(&mut tpm, &good(&opened, 0x41, &parameters(&wrapped))), 0);
    // Once: the policy is used up, the nonce is another.
    assert_eq!(command(&mut tpm, &good(&opened, 0x41, &parameters(&wrapped))), 0x99d);
    // Without continueSession the session is gone.
    let opened = session(&mut tpm);
    assert_policy(&mut tpm, opened.0, &key.policies);
    assert_eq!(command(&mut tpm, &good(&opened, 0x40, &parameters(&wrapped))), 0);
    assert_eq!(code(&mut tpm, Command::FlushContext, Writer::default().u32(opened.0)), 0x1cb);
}

fn key_for(secret: &[u8]) -> Vec<u8> {
    machine1().public().wrap(secret, &mut samples::rng(1)).unwrap()
}

#[test]
fn who_asks_without_encryption_gets_the_key_in_the_clear() {
    let (mut tpm, key) = tpm();
    let opened = session(&mut tpm);
    assert_policy(&mut tpm, opened.0, &key.policies);
    let rest = decrypt(&key, &opened, &key.password, 0x01, &parameters(&key_for(b"a secret")));
    let (code, out) = asked(&mut tpm, SESSIONS, Command::RsaDecrypt.into(), &rest);
    assert_eq!((code, &out[4..14]), (0, &b"\0\x08a secret"[..]), "so the ultravisor asks for encryption");
}

#[test]
fn a_response_needs_its_room() {
    let (mut tpm, _) = tpm();
    let command = packet(NO_SESSIONS, Command::ReadPublic.into(), &HANDLE.to_be_bytes());
    let len = tpm.respond(&command).len();
    let mut room = [0; 4096];
    assert_eq!(HostTpm::execute(&mut tpm, &command, &mut room), Ok(len));
    assert_eq!(room[..len], tpm.respond(&command));
    assert_eq!(HostTpm::execute(&mut tpm, &command, &mut room[..len - 1]), Err(TpmError));
}

#[test]
fn passwords_are_made_anew_and_hold_no_zero() {
    let passwords: Vec<_> = (0..40).map(|seed| Tpm::provision(machine1(), seed).1.password).collect();
    assert!(passwords.iter().all(|password| password.len() == 16 && !password.contains(&0)));
    assert!((0..40).all(|one| (0..one).all(|other| passwords[one] != passwords[other])));
    let shown = alloc::format!("{:?} {:?}", tpm().0, tpm().1);
    assert_eq!(shown, "Tpm(..) TpmKey { handle: 2172649473, .. }");
}
