//! The host's TPM: the part of TPM 2.0 that a lockbox needs, with the wrapping key in it.
//!
//! It is hardware of the host, not of the ultravisor: the hypervisor holds it and passes it what the ultravisor sends. What protects the key is
//! its policy (power-pef §13): `TPM2_RSA_Decrypt` only, by who knows the password.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use rand_core::Rng as _;
use uv_sim::rng::SimRng;
use zeroize::Zeroizing;

use super::key::{HANDLE, POLICY_B, TpmKey, USUAL_EXPONENT, name_of};
use super::session::{self, DIGEST, Digest};
use super::wire::{self, Command, Reader, Writer, rc};
use crate::abi::tpm::{HostTpm, TpmError};
use crate::owner::keys::PrivateKey;

/// Handle of the first policy session.
const FIRST_SESSION: u32 = 0x0300_0000;
/// Sessions that can be open.
const SESSIONS: usize = 64;
/// Bytes of the password that firmware makes.
const PASSWORD: usize = 16;
/// noDA, encryptedDuplication, sensitiveDataOrigin, decrypt.
const ATTRIBUTES: u32 = 1 << 10 | 1 << 11 | 1 << 5 | 1 << 17;

/// A policy session.
pub(super) struct Session {
    pub(super) nonce: Digest,
    pub(super) policy: Digest,
    /// The command that the policy allows.
    pub(super) command: Option<u32>,
}

/// A simulated TPM 2.0 with one key. `Debug` shows nothing of it.
///
/// A hypervisor gives it to its VM: [`Vm::attach_tpm`](crate::hypervisor::kernel::Vm::attach_tpm).
pub struct Tpm {
    pub(super) key: PrivateKey,
    pub(super) password: Zeroizing<Vec<u8>>,
    pub(super) public: Vec<u8>,
    /// The policy of the key.
    pub(super) policy: Digest,
    pub(super) sessions: BTreeMap<u32, Session>,
    rng: SimRng,
}

impl core::fmt::Debug for Tpm {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Tpm(..)")
    }
}

impl Tpm {
    /// A TPM with this wrapping key, as firmware leaves it at the start of the machine, and what firmware tells the ultravisor of it: a new
    /// password among others. Everything random comes from `seed`.
    #[must_use]
    pub fn provision(key: PrivateKey, seed: u64) -> (Self, TpmKey) {
        let mut rng = SimRng::from_seed(seed).fork("tpm");
        let mut password = Zeroizing::new(alloc::vec![0; PASSWORD]);
        // No byte is 0: the password travels as a text.
        for byte in password.iter_mut() {
            while *byte == 0 {
                [*byte, ..] = rng.next_u32().to_be_bytes();
            }
        }
        let decrypt = session::extended(&[0; DIGEST], Command::PolicyCommandCode, &Command::RsaDecrypt.code());
        let policies = [session::extended(&decrypt, Command::PolicyAuthValue, &[]), POLICY_B];
        let policy = session::any_of(&policies);
        let (modulus, exponent) = key.public().numbers();
        let bits = u16::try_from(modulus.len() * 8).unwrap_or(0);
        let public = Writer::default()
            .u16(wire::ALG_RSA)
            .u16(wire::ALG_SHA256)
            .u32(ATTRIBUTES)
            .sized(&policy)
            .u16(wire::ALG_NULL)
            .u16(wire::ALG_OAEP)
            .u16(wire::ALG_SHA256)
            .u16(bits)
            .u32(if exponent == USUAL_EXPONENT { 0 } else { exponent })
            .sized(&modulus)
            .done();
        let known = TpmKey { handle: HANDLE, password: password.clone(), name: name_of(&public), policies };
        (Self { key, password, public, policy, sessions: BTreeMap::new(), rng }, known)
    }

    /// Executes a command and gives the response: what a TPM does with bytes on its bus.
    pub fn respond(&mut self, command: &[u8]) -> Vec<u8> {
        match self.run(command) {
            Ok(response) => response,
            Err(code) => {
                tracing::debug!(code, "TPM refuses");
                wire::packet(wire::NO_SESSIONS, code, &[])
            }
        }
    }

    fn run(&mut self, command: &[u8]) -> Result<Vec<u8>, u32> {
        let (tag, code, mut rest) = wire::unpacked(command).ok_or(rc::COMMAND_SIZE)?;
        let code = Command::try_from(code).map_err(|_| rc::COMMAND_CODE)?;
        tracing::trace!(command = code.name(), "TPM");
        if code == Command::RsaDecrypt {
            return match tag {
                wire::SESSIONS => self.rsa_decrypt(rest),
                wire::NO_SESSIONS => Err(rc::AUTH_MISSING),
                _ => Err(rc::BAD_TAG),
            };
        }
        if tag != wire::NO_SESSIONS {
            return Err(if tag == wire::SESSIONS { rc::AUTH_CONTEXT } else { rc::BAD_TAG });
        }
        let out = match code {
            Command::ReadPublic => self.read_public(&mut rest),
            Command::StartAuthSession => self.start(&mut rest),
            Command::FlushContext => self.flush(&mut rest),
            _ => self.policy(code, &mut rest),
        }?;
        if !rest.is_empty() {
            return Err(rc::SIZE);
        }
        Ok(wire::packet(wire::NO_SESSIONS, rc::SUCCESS, &out))
    }

    fn read_public(&self, rest: &mut Reader<'_>) -> Result<Vec<u8>, u32> {
        self.check_key(rest)?;
        let name = name_of(&self.public);
        // The parent is not modelled: the qualified name is that of a key without one.
        let qualified = name_of(&name);
        Ok(Writer::default().sized(&self.public).sized(&name).sized(&qualified).done())
    }

    pub(super) fn check_key(&self, rest: &mut Reader<'_>) -> Result<(), u32> {
        let handle = rest.u32().ok_or(rc::INSUFFICIENT)?;
        if handle == HANDLE { Ok(()) } else { Err(rc::HANDLE | rc::HANDLE_1) }
    }

    fn start(&mut self, rest: &mut Reader<'_>) -> Result<Vec<u8>, u32> {
        let handles = (rest.u32().ok_or(rc::INSUFFICIENT)?, rest.u32().ok_or(rc::INSUFFICIENT)?);
        let nonce = rest.sized().ok_or(rc::INSUFFICIENT)?;
        let salt = rest.sized().ok_or(rc::INSUFFICIENT)?;
        let kind = rest.u8().ok_or(rc::INSUFFICIENT)?;
        let symmetric = [rest.u16(), rest.u16(), rest.u16()];
        let hash = rest.u16().ok_or(rc::INSUFFICIENT)?;
        if handles != (wire::RH_NULL, wire::RH_NULL) {
            return Err(rc::HANDLE | rc::HANDLE_1);
        }
        if !(DIGEST / 2..=DIGEST).contains(&nonce.len()) {
            return Err(rc::SIZE | rc::PARAMETER_1);
        }
        if !salt.is_empty() {
            return Err(rc::VALUE | rc::PARAMETER_2);
        }
        if kind != wire::SE_POLICY || hash != wire::ALG_SHA256 {
            return Err(rc::VALUE);
        }
        if symmetric != [wire::ALG_AES, wire::AES_BITS, wire::ALG_CFB].map(Some) {
            return Err(rc::SYMMETRIC | rc::PARAMETER_4);
        }
        let handle = (FIRST_SESSION..).take(SESSIONS).find(|handle| !self.sessions.contains_key(handle));
        let handle = handle.ok_or(rc::SESSION_HANDLES)?;
        let session = Session { nonce: self.nonce(), policy: [0; DIGEST], command: None };
        let out = Writer::default().u32(handle).sized(&session.nonce).done();
        self.sessions.insert(handle, session);
        Ok(out)
    }

    pub(super) fn nonce(&mut self) -> Digest {
        let mut nonce = [0; DIGEST];
        self.rng.fill_bytes(&mut nonce);
        nonce
    }

    fn flush(&mut self, rest: &mut Reader<'_>) -> Result<Vec<u8>, u32> {
        let handle = rest.u32().ok_or(rc::INSUFFICIENT)?;
        self.sessions.remove(&handle).map(|_| Vec::new()).ok_or(rc::HANDLE | rc::PARAMETER_1)
    }

    fn policy(&mut self, code: Command, rest: &mut Reader<'_>) -> Result<Vec<u8>, u32> {
        let handle = rest.u32().ok_or(rc::INSUFFICIENT)?;
        let session = self.sessions.get_mut(&handle).ok_or(rc::HANDLE | rc::HANDLE_1)?;
        match code {
            Command::PolicyCommandCode => {
                let allowed = rest.u32().ok_or(rc::INSUFFICIENT)?;
                if session.command.is_some_and(|before| before != allowed) {
                    return Err(rc::VALUE | rc::PARAMETER_1);
                }
                session.command = Some(allowed);
                session.policy = session::extended(&session.policy, code, &allowed.to_be_bytes());
            }
            Command::PolicyAuthValue => {
                session.policy = session::extended(&session.policy, code, &[]);
            }
            Command::PolicyOr => {
                let count = rest.u32().ok_or(rc::INSUFFICIENT)?;
                if !(2..=8).contains(&count) {
                    return Err(rc::SIZE | rc::PARAMETER_1);
                }
                let mut list = Vec::new();
                for _ in 0..count {
                    let policy = rest.sized().and_then(|policy| policy.try_into().ok());
                    list.push(policy.ok_or(rc::SIZE | rc::PARAMETER_1)?);
                }
                if !list.contains(&session.policy) {
                    return Err(rc::VALUE | rc::PARAMETER_1);
                }
                session.policy = session::any_of(&list);
            }
            _ => return Err(rc::COMMAND_CODE),
        }
        Ok(Vec::new())
    }
}

impl HostTpm for Tpm {
    fn execute(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, TpmError> {
        let answer = self.respond(command);
        response.get_mut(..answer.len()).ok_or(TpmError)?.copy_from_slice(&answer);
        Ok(answer.len())
    }

    /// The resource manager forgets the sessions of who closes.
    fn close(&mut self) {
        self.sessions.clear();
    }
}
