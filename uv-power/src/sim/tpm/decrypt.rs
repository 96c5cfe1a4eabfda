//! The TPM's `TPM2_RSA_Decrypt`: policy and HMAC judged, decrypted, the response encrypted and acknowledged.
//!
//! | # | condition | response code |
//! |---|---|---|
//! | 1 | another key's handle | `TPM_RC_HANDLE` |
//! | 2 | the authorisation area is malformed | `TPM_RC_AUTHSIZE` |
//! | 3 | no such session | `TPM_RC_HANDLE` of the session |
//! | 4 | the session's policy is not the key's, which names this command and the password | `TPM_RC_POLICY_FAIL` |
//! | 5 | the HMAC is not the one of who knows the password | `TPM_RC_BAD_AUTH`: the key is exempt from the lockout |
//! | 6 | a scheme, a label or more bytes | `TPM_RC_SCHEME`, `TPM_RC_SIZE` |
//! | 7 | not as long as the modulus, not wrapped for the key | `TPM_RC_SIZE`, `TPM_RC_VALUE` of the first parameter |

use alloc::vec::Vec;

use uv_crypto::digest::{equal, sha256};

use super::chip::{Session, Tpm};
use super::key::name_of;
use super::session::{self, DIGEST, Digest, Nonces};
use super::wire::{self, Command, Reader, Writer, rc};

impl Tpm {
    pub(super) fn rsa_decrypt(&mut self, mut rest: Reader<'_>) -> Result<Vec<u8>, u32> {
        self.check_key(&mut rest)?;
        let area = rest.u32().and_then(|len| rest.bytes(usize::try_from(len).ok()?)).ok_or(rc::AUTHSIZE)?;
        let mut area = Reader(area);
        let handle = area.u32().ok_or(rc::AUTHSIZE)?;
        let nonce = area.sized().ok_or(rc::AUTHSIZE)?;
        let attributes = area.u8().ok_or(rc::AUTHSIZE)?;
        let given = area.sized().ok_or(rc::AUTHSIZE)?;
        if !area.is_empty() {
            return Err(rc::AUTHSIZE);
        }
        let mut session = self.sessions.remove(&handle).ok_or(rc::HANDLE | rc::SESSION_1)?;
        let done = self.decrypted(&session, rest.0, (nonce, attributes, given));
        if done.is_err() || attributes & wire::CONTINUE != 0 {
            // Its policy is used up by a success; the nonce is new then too.
            if let Ok((_, fresh)) = &done {
                session = Session { nonce: *fresh, policy: [0; DIGEST], command: None };
            }
            self.sessions.insert(handle, session);
        }
        done.map(|(response, _)| response)
    }

    /// Judges policy and HMAC, decrypts, and gives the response with the session's next nonce.
    fn decrypted(
        &mut self,
        session: &Session,
        parameters: &[u8],
        (caller, attributes, given): (&[u8], u8, &[u8]),
    ) -> Result<(Vec<u8>, Digest), u32> {
        if session.policy != self.policy {
            return Err(rc::POLICY_FAIL | rc::SESSION_1);
        }
        let code = Command::RsaDecrypt.code();
        let digest = sha256(&[&code, &name_of(&self.public), parameters]);
        // The key's policy asks for the password, so the session's secret is the password.
        let nonces = Nonces { newer: caller, older: &session.nonce };
        if !equal(&session::authorisation(&self.password, &digest, &nonces, attributes), given) {
            return Err(rc::BAD_AUTH | rc::SESSION_1);
        }
        let mut reader = Reader(parameters);
        let wrapped = reader.sized().ok_or(rc::INSUFFICIENT)?;
        let scheme = reader.u16().ok_or(rc::INSUFFICIENT)?;
        let label = reader.sized().ok_or(rc::INSUFFICIENT)?;
        if scheme != wire::ALG_NULL {
            return Err(rc::SCHEME | rc::PARAMETER_2);
        }
        if !label.is_empty() || !reader.is_empty() {
            return Err(rc::SIZE);
        }
        let (modulus, _) = self.key.public().numbers();
        if wrapped.len() != modulus.len() {
            return Err(rc::SIZE | rc::PARAMETER_1);
        }
        let mut plain = self.key.unwrap(wrapped).map_err(|_| rc::VALUE | rc::PARAMETER_1)?;
        let fresh = self.nonce();
        let nonces = Nonces { newer: &fresh, older: caller };
        if attributes & wire::ENCRYPT != 0 {
            session::encrypt(&self.password, &nonces, &mut plain);
        }
        let out = Writer::default().sized(&plain).done();
        let digest = sha256(&[&rc::SUCCESS.to_be_bytes(), &code, &out]);
        let acknowledged = session::authorisation(&self.password, &digest, &nonces, attributes);
        let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
        let rest = Writer::default().u32(len).bytes(&out).sized(&fresh).u8(attributes).sized(&acknowledged).done();
        Ok((wire::packet(wire::SESSIONS, rc::SUCCESS, &rest), fresh))
    }
}
