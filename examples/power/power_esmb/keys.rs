//! Keys from files, with pass phrases.

use std::path::Path;

use uv_power::owner::blob::Blob;
use uv_power::owner::keys::{KeyError, PrivateKey, PublicKey};
use uv_power::owner::sealed::MasterKey;
use zeroize::Zeroizing;

use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::pem;

/// Longest key file that is read, in bytes.
const KEY_FILE_MAX: u64 = 1 << 16;

/// Reads a public key.
///
/// # Errors
/// Status 2 with a sentence that names the file.
pub(crate) fn public_key(path: &Path) -> Result<PublicKey, Failure> {
    let file = read_file_limited(path, KEY_FILE_MAX)?;
    PublicKey::from_pem(&file).map_err(|error| pem::unusable(path, &file, "a public key", error))
}

/// Where the pass phrase of an encrypted key comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Passphrase<'a> {
    /// Name of an environment variable; `None` asks at the terminal.
    pub(crate) variable: Option<&'a str>,
}

/// Reads a private key. Only if it is encrypted, a pass phrase is asked for.
///
/// # Errors
/// Status 2 with a sentence that names the file: unusable key, wrong pass phrase, unset variable, no terminal.
pub(crate) fn private_key(path: &Path, phrase: Passphrase<'_>) -> Result<PrivateKey, Failure> {
    let file = Zeroizing::new(read_file_limited(path, KEY_FILE_MAX)?);
    let failure = |error: KeyError| match error {
        KeyError::NotPem | KeyError::NotRsa | KeyError::PublicGiven => {
            pem::unusable(path, &file, "a private key", error)
        }
        _ => Failure::unusable(error).at(path.display()),
    };
    match PrivateKey::from_pem(&file, None) {
        Err(KeyError::PassphraseNeeded) => {
            let phrase = ask(path, phrase)?;
            PrivateKey::from_pem(&file, Some(phrase.as_bytes())).map_err(failure)
        }
        other => other.map_err(failure),
    }
}

/// The key of a blob, which a private key opens.
///
/// # Errors
/// Those of [`private_key`]; status 2 when the blob has no lockbox for it.
pub(crate) fn unlock(blob: &Blob, path: &Path, secret: &Path, phrase: Passphrase<'_>) -> Result<MasterKey, Failure> {
    let secret = private_key(secret, phrase)?;
    blob.unlock(&secret).map_err(|error| Failure::unusable(error).at(path.display()))
}

fn ask(path: &Path, from: Passphrase<'_>) -> Result<Zeroizing<String>, Failure> {
    match from.variable {
        Some(name) => std::env::var(name).ok().map(Zeroizing::new).ok_or_else(|| {
            Failure::unusable(format_args!("the environment variable {name} holds no pass phrase")).at(path.display())
        }),
        None => rpassword::prompt_password(format!("Pass phrase of {}: ", path.display())).map(Zeroizing::new).map_err(
            |error| {
                let hint = "name a variable with --passphrase-env";
                Failure::unusable(format_args!("no terminal to ask for the pass phrase ({error}): {hint}"))
                    .at(path.display())
            },
        ),
    }
}
