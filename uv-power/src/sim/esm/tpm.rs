//! The ultravisor's end: has the TPM decrypt a wrapped key, through the hypervisor.

use alloc::vec::Vec;

use uv_core::GuestAddr;
use uv_crypto::digest::{equal, sha256};
use zeroize::Zeroizing;

use crate::abi::codes::HvCode;
use crate::abi::numbers::HvCall;
use crate::abi::tpm::{TPM_BUFFER, TPM_CLOSE, TPM_EXECUTE};
use crate::owner::keys::PublicKey;
use crate::sim::flow::Uv;
use crate::sim::sharing::buffer::Lost;
use crate::sim::tpm::failure::TpmFailure;
use crate::sim::tpm::key::{TpmKey, name_of, numbers_of};
use crate::sim::tpm::session::{self, DIGEST, Digest, Nonces};
use crate::sim::tpm::wire::{self, Command, Reader, Writer, rc};

/// The way to the TPM for one transition.
pub(crate) struct Channel<'a> {
    uv: &'a Uv,
    key: &'a TpmKey,
    /// The page that the hypervisor sees, for commands and responses.
    bounce: GuestAddr,
}

impl From<Lost> for TpmFailure {
    fn from(Lost(why): Lost) -> Self {
        Self::Buffer(why)
    }
}

/// A session as `TPM2_StartAuthSession` gave it.
struct Session {
    handle: u32,
    nonce: Vec<u8>,
}

impl<'a> Channel<'a> {
    pub(crate) const fn new(uv: &'a Uv, key: &'a TpmKey, bounce: GuestAddr) -> Self {
        Self { uv, key, bounce }
    }

    /// The public half of the key in the TPM, when it is the one that firmware named.
    pub(crate) async fn public(&self) -> Result<PublicKey, TpmFailure> {
        let command = Command::ReadPublic;
        let answer = self.plain(command, &Writer::default().u32(self.key.handle).done()).await?;
        let mut reader = Reader(&answer);
        let (public, name) = (reader.sized(), reader.sized());
        let (Some(public), Some(name)) = (public, name) else { return Err(TpmFailure::Malformed(command.name())) };
        if name != self.key.name || name_of(public) != self.key.name {
            return Err(TpmFailure::Name);
        }
        let (modulus, exponent) = numbers_of(public).ok_or(TpmFailure::Name)?;
        Ok(PublicKey::from_numbers(modulus, exponent)?)
    }

    /// Has wrapped keys decrypted, in this order until one can be; `None` when the TPM can decrypt none.
    pub(crate) async fn decrypt(&self, wrapped: &[&[u8]]) -> Result<Option<Zeroizing<Vec<u8>>>, TpmFailure> {
        let session = self.start().await?;
        let done = self.in_session(&session, wrapped).await;
        let flushed = self.plain(Command::FlushContext, &Writer::default().u32(session.handle).done()).await;
        let plain = done?;
        flushed.map(|_| plain)
    }

    /// Closes the TPM: its sessions are forgotten.
    pub(crate) async fn close(&self) -> Result<(), TpmFailure> {
        match self.uv.hypercall(HvCall::H_SVM_TPM_COMM, &[TPM_CLOSE]).await.code {
            HvCode::H_SUCCESS => Ok(()),
            code => Err(TpmFailure::Hypercall(code)),
        }
    }

    async fn start(&self) -> Result<Session, TpmFailure> {
        let command = Command::StartAuthSession;
        let parameters = Writer::default()
            .u32(wire::RH_NULL)
            .u32(wire::RH_NULL)
            .sized(&self.nonce())
            .sized(&[])
            .u8(wire::SE_POLICY)
            .u16(wire::ALG_AES)
            .u16(wire::AES_BITS)
            .u16(wire::ALG_CFB)
            .u16(wire::ALG_SHA256);
        let answer = self.plain(command, &parameters.done()).await?;
        let mut reader = Reader(&answer);
        match (reader.u32(), reader.sized()) {
            (Some(handle), Some(nonce)) if reader.is_empty() => Ok(Session { handle, nonce: nonce.into() }),
            _ => Err(TpmFailure::Malformed(command.name())),
        }
    }

    async fn in_session(&self, session: &Session, wrapped: &[&[u8]]) -> Result<Option<Zeroizing<Vec<u8>>>, TpmFailure> {
        let of_session = || Writer::default().u32(session.handle);
        self.plain(Command::PolicyCommandCode, &of_session().bytes(&Command::RsaDecrypt.code()).done()).await?;
        self.plain(Command::PolicyAuthValue, &of_session().done()).await?;
        let [a, b] = &self.key.policies;
        self.plain(Command::PolicyOr, &of_session().u32(2).sized(a).sized(b).done()).await?;
        for wrapped in wrapped {
            match self.rsa_decrypt(session, wrapped).await {
                Ok(key) => return Ok(Some(key)),
                // Not wrapped for this key. The session stays as it was.
                Err(TpmFailure::Refused { code, .. })
                    if [rc::VALUE | rc::PARAMETER_1, rc::SIZE | rc::PARAMETER_1].contains(&code) => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(None)
    }

    async fn rsa_decrypt(&self, session: &Session, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, TpmFailure> {
        let command = Command::RsaDecrypt;
        let parameters = Writer::default().sized(wrapped).u16(wire::ALG_NULL).sized(&[]).done();
        let nonce = self.nonce();
        let attributes = wire::CONTINUE | wire::ENCRYPT;
        let digest = sha256(&[&command.code(), &self.key.name, &parameters]);
        let nonces = Nonces { newer: &nonce, older: &session.nonce };
        let proof = session::authorisation(&self.key.password, &digest, &nonces, attributes);
        let area = Writer::default().u32(session.handle).sized(&nonce).u8(attributes).sized(&proof).done();
        let len = u32::try_from(area.len()).unwrap_or(u32::MAX);
        let rest = Writer::default().u32(self.key.handle).u32(len).bytes(&area).bytes(&parameters).done();
        let answer = self.execute(command, wire::SESSIONS, &rest).await?;

        let malformed = TpmFailure::Malformed(command.name());
        let mut reader = Reader(&answer);
        let out = reader.u32().and_then(|len| reader.bytes(usize::try_from(len).ok()?)).ok_or(malformed)?;
        let theirs = reader.sized().ok_or(malformed)?;
        let (attributes, proof) = (reader.u8().ok_or(malformed)?, reader.sized().ok_or(malformed)?);
        if !reader.is_empty() {
            return Err(malformed);
        }
        let digest = sha256(&[&rc::SUCCESS.to_be_bytes(), &command.code(), out]);
        let nonces = Nonces { newer: theirs, older: &nonce };
        let expected = session::authorisation(&self.key.password, &digest, &nonces, attributes);
        if !equal(&expected, proof) {
            return Err(TpmFailure::Authentication);
        }
        let mut message = Reader(out);
        let mut key = Zeroizing::new(message.sized().map(Vec::from).ok_or(malformed)?);
        session::decrypt(&self.key.password, &nonces, &mut key);
        if message.is_empty() { Ok(key) } else { Err(malformed) }
    }

    /// A new nonce of the ultravisor.
    fn nonce(&self) -> Digest {
        let mut nonce = [0; DIGEST];
        for bytes in nonce.chunks_exact_mut(8) {
            bytes.copy_from_slice(&self.uv.platform.random().to_be_bytes());
        }
        nonce
    }

    /// A command without sessions: handles and parameters. Gives what follows the header of the response.
    async fn plain(&self, command: Command, rest: &[u8]) -> Result<Vec<u8>, TpmFailure> {
        self.execute(command, wire::NO_SESSIONS, rest).await
    }

    async fn execute(&self, command: Command, tag: u16, rest: &[u8]) -> Result<Vec<u8>, TpmFailure> {
        let answer = self.transmit(&wire::packet(tag, command.into(), rest)).await?;
        match wire::unpacked(&answer) {
            Some((of, rc::SUCCESS, rest)) if of == tag => Ok(rest.0.into()),
            Some((wire::NO_SESSIONS, code, rest)) if code != rc::SUCCESS && rest.is_empty() => {
                Err(TpmFailure::Refused { command: command.name(), code })
            }
            _ => Err(TpmFailure::Malformed(command.name())),
        }
    }

    /// One `H_SVM_TPM_COMM`: the command goes through the bounce page, the response comes back there. It is copied once, then the page
    /// is cleared.
    async fn transmit(&self, command: &[u8]) -> Result<Vec<u8>, TpmFailure> {
        let (uv, at) = (self.uv, self.bounce);
        uv.put(at, command).await?;
        let args = [TPM_EXECUTE, at.0, command.len() as u64, at.0, TPM_BUFFER];
        let answer = uv.hypercall(HvCall::H_SVM_TPM_COMM, &args).await;
        if answer.code != HvCode::H_SUCCESS {
            return Err(TpmFailure::Hypercall(answer.code));
        }
        let [len, ..] = answer.out;
        if len > TPM_BUFFER {
            return Err(TpmFailure::Malformed("H_SVM_TPM_COMM"));
        }
        let response = uv.get(at, len).await?;
        uv.put(at, &[0; 4096]).await?;
        Ok(response)
    }
}
