//! `create`: makes an add-secret request. Option names are those of `pvsecret create`.

mod secret;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{ArgGroup, Args, ValueEnum};
use uv_s390::owner::crypto::Cck;
use uv_s390::owner::request::{ConfigUid, RequestSecrets};
use uv_s390::owner::secret::{
    AddSecretFlags, AddSecretRequest, Asrcb, ExtensionSecret, UserData, UserDataSigner, policy_user_data, side_file,
    side_file_name,
};
use zeroize::Zeroizing;

use crate::attest::read_identity;
use crate::guest::read_cuid;
use crate::keys::{HostKeyArgs, read_key};
use secret::{Named, SecretKind};
use uv_programs::files::read_file_limited;
use uv_programs::output::print;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::{Failure, pem, random};

/// Flags of a request.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flag {
    /// From now on the guest must not be dumped
    DisableDump,
}

/// Options of `create`.
#[derive(Args, Debug)]
#[command(group(ArgGroup::new("extension").args(["cck", "extension_secret"])))]
pub struct Create {
    /// Host keys and their verification.
    #[command(flatten)]
    pub host_keys: HostKeyArgs,
    /// The image that the request is for, or its header
    #[arg(long, value_name = "FILE")]
    pub hdr: PathBuf,
    /// Taken for compatibility: this program never refuses to make a request
    #[arg(short, long)]
    pub force: bool,
    /// Where the request goes
    #[arg(short, long, alias = "out", value_name = "FILE")]
    pub output: PathBuf,
    /// Extension secret, 32 bytes
    #[arg(long, value_name = "FILE")]
    pub extension_secret: Option<PathBuf>,
    /// Customer communication key, 32 bytes: the extension secret is derived from it
    #[arg(long, value_name = "FILE")]
    pub cck: Option<PathBuf>,
    /// Unique id of the guest that the request is for, 32 hex digits (default: any guest)
    #[arg(long, value_name = "HEX", value_parser = read_cuid)]
    pub cuid_hex: Option<ConfigUid>,
    /// File with the unique id: 16 bytes, or YAML with an entry `cuid`
    #[arg(long, value_name = "FILE", conflicts_with = "cuid_hex")]
    pub cuid: Option<PathBuf>,
    /// Flags of the request
    #[arg(long, value_name = "FLAG", value_enum, value_delimiter = ',')]
    pub flags: Vec<Flag>,
    /// Set the whole word of flags (hex)
    #[arg(long, value_name = "HEX", hide = true, conflicts_with = "flags", value_parser = hex_word)]
    pub pcf: Option<u64>,
    /// User data: up to 512 bytes, signed 256, signed with RSA-3072 128
    #[arg(long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// Name a policy file in the user data
    #[arg(long, value_name = "FILE", conflicts_with_all = ["user_data", "user_sign_key"])]
    pub policy: Option<PathBuf>,
    /// Append the tag of the request to this file
    #[arg(long, value_name = "FILE")]
    pub toc_policy: Option<PathBuf>,
    /// Private key (EC P-521, RSA-2048, RSA-3072) that signs the request
    #[arg(long, value_name = "FILE")]
    pub user_sign_key: Option<PathBuf>,
    /// Take the name itself as id of the secret, not its hash
    #[arg(long)]
    pub use_name: bool,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
    /// Draw random numbers from this seed: for tests, the request protects nothing then
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub x_seed: Option<u64>,
    /// What the request carries.
    #[command(subcommand)]
    pub secret: SecretKind,
}

/// A 64-bit word in hex, with or without `0x`.
fn hex_word(text: &str) -> Result<u64, String> {
    u64::from_str_radix(text.strip_prefix("0x").unwrap_or(text), 16)
        .map_err(|_| String::from("not a 64-bit word in hex"))
}

impl Create {
    /// Writes the request, and the side file of a secret with a name.
    ///
    /// # Errors
    /// Those of the files and host keys. Nothing is written then.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs(self.host_keys.files().chain([&self.hdr]).chain(self.secret.files()))?;
        let more = [&self.extension_secret, &self.cck, &self.cuid, &self.user_data, &self.policy, &self.user_sign_key];
        outputs.inputs(more.into_iter().flatten())?;
        let output = outputs.file(&self.output, FileMode::Plain)?;
        let secret = self.secret.output().map(|path| outputs.file(path, FileMode::Secret)).transpose()?;
        let tags = self.toc_policy.as_ref().map(|path| outputs.append(path)).transpose()?;
        let folder = self.output.parent().unwrap_or_else(|| Path::new(""));
        let side = self.secret.side_file().map(|name| folder.join(side_file_name(name)));
        let side = side.map(|path| outputs.file(&path, FileMode::Plain)).transpose()?;

        let hosts = self.host_keys.load()?;
        let mut rng = random::rng(self.x_seed)?;
        let Named { secret: value, name, generated } = self.secret.read(self.use_name, &mut rng)?;
        let flags = self
            .flags
            .iter()
            .fold(AddSecretFlags::empty(), |flags, Flag::DisableDump| flags | AddSecretFlags::DISABLE_DUMP);
        let request = AddSecretRequest {
            image: read_identity(&self.hdr)?,
            cuid: self.cuid()?,
            flags: self.pcf.map_or(flags, AddSecretFlags::from_bits_retain),
            extension: self.extension()?,
            secret: value,
        };
        let secrets = RequestSecrets::random(&mut rng);
        let bytes = match (&self.user_sign_key, self.user_data()?) {
            (Some(path), data) => {
                let data = match data {
                    UserData::Unsigned(data) => data,
                    UserData::None => Vec::new(),
                };
                request.seal_signed(&data, &read_signer(path)?, &secrets, &hosts, &mut rng)
            }
            (None, data) => request.seal(&data, &secrets, &hosts),
        };
        let bytes = bytes.map_err(Failure::unusable)?;

        if let (Some(slot), Some(value)) = (secret, generated) {
            outputs.write(slot, &value)?;
        }
        outputs.write(output, &bytes)?;
        if let Some(slot) = tags {
            let tag = Asrcb::parse(&bytes).map_err(Failure::unusable)?.tag().to_vec();
            outputs.write(slot, format!("{}\n", hex::encode(tag)).as_bytes())?;
        }
        let told = name.and_then(|name| side_file(&name, &request.secret));
        if let (Some(slot), Some(text)) = (side, &told) {
            outputs.write(slot, text.as_bytes())?;
        }
        outputs.commit(|| match (side, told) {
            (None, Some(text)) => print(text.trim_end()),
            _ => Ok(()),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn cuid(&self) -> Result<ConfigUid, Failure> {
        let Some(path) = &self.cuid else { return Ok(self.cuid_hex.unwrap_or(ConfigUid::ANY)) };
        let cuid = ConfigUid::from_file(&read_file_limited(path, super::MAX_INPUT)?);
        cuid.ok_or_else(|| Failure::unusable("neither 16 bytes nor YAML with an entry `cuid`").at(path.display()))
    }

    fn extension(&self) -> Result<ExtensionSecret, Failure> {
        Ok(match (&self.extension_secret, &self.cck) {
            (Some(path), _) => ExtensionSecret::Given(read_key(path)?),
            (None, Some(path)) => ExtensionSecret::Derived(Cck::from(read_key::<32>(path)?)),
            (None, None) => ExtensionSecret::None,
        })
    }

    fn user_data(&self) -> Result<UserData, Failure> {
        match (&self.user_data, &self.policy) {
            (Some(path), _) => Ok(UserData::Unsigned(read_file_limited(path, super::MAX_INPUT)?)),
            (None, Some(path)) => {
                let policy = read_file_limited(path, super::MAX_INPUT)?;
                let name = path.to_str().ok_or_else(|| Failure::unusable("the path of the policy is not UTF-8"))?;
                policy_user_data(&policy, name).map_err(|error| Failure::unusable(error).at(name))
            }
            (None, None) => Ok(UserData::None),
        }
    }
}

/// Reads a signing key, PEM or DER.
fn read_signer(path: &Path) -> Result<UserDataSigner, Failure> {
    let bytes = Zeroizing::new(read_file_limited(path, super::MAX_INPUT)?);
    let unusable = |error| pem::unusable(path, &bytes, "a private key", error);
    if let Some(text) = std::str::from_utf8(&bytes).ok().filter(|text| text.contains("-----BEGIN ")) {
        return UserDataSigner::from_pem(text).map_err(unusable);
    }
    let mut last = uv_s390::owner::secret::SignatureError::Key;
    for label in ["PRIVATE KEY", "EC PRIVATE KEY", "RSA PRIVATE KEY"] {
        let Ok(text) = der::pem::encode_string(label, der::pem::LineEnding::LF, &bytes).map(Zeroizing::new) else {
            continue;
        };
        match UserDataSigner::from_pem(&text) {
            Ok(signer) => return Ok(signer),
            Err(error) => last = error,
        }
    }
    Err(unusable(last))
}
