//! `create`: makes an attestation request and its key.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use uv_s390::owner::attest::{AdditionalData, AttestationFlags, AttestationRequest, ExchangeFile};
use uv_s390::owner::request::RequestSecrets;

use crate::keys::HostKeyArgs;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::{Failure, random};

/// Additional data that the Ultravisor can report.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum AddData {
    /// Hash of the public host key that opened the image
    PhkhImg,
    /// Hash of the public host key that opened the attestation request
    PhkhAtt,
    /// Hash over the add-secret requests that the guest has taken
    SecretStoreHash,
    /// State of the firmware, readable by its vendor
    FirmwareState,
}

impl From<AddData> for AttestationFlags {
    fn from(data: AddData) -> Self {
        match data {
            AddData::PhkhImg => Self::IMAGE_PHKH,
            AddData::PhkhAtt => Self::ATTESTATION_PHKH,
            AddData::SecretStoreHash => Self::SECRET_STORE_HASH,
            AddData::FirmwareState => Self::FIRMWARE_STATE,
        }
    }
}

/// Options of `create`.
#[derive(Args, Debug)]
pub struct Create {
    /// Host keys and their verification.
    #[command(flatten)]
    pub host_keys: HostKeyArgs,
    /// Where the request goes
    #[arg(short, long, alias = "out", value_name = "FILE")]
    pub output: PathBuf,
    /// Where the request key goes; who has it can forge measurements
    #[arg(long, value_name = "FILE")]
    pub arpk: PathBuf,
    /// Additional data to report; may be given more than once
    #[arg(long, value_name = "DATA", value_enum)]
    pub add_data: Vec<AddData>,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
    /// Draw random numbers from this seed: for tests, the request protects nothing then
    #[arg(long, value_name = "NUMBER", hide = true)]
    pub x_seed: Option<u64>,
}

impl Create {
    /// Writes request and key.
    ///
    /// # Errors
    /// Those of the files and of the host keys; nothing is written then.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs(self.host_keys.files())?;
        let arpk = outputs.file(&self.arpk, FileMode::Secret)?;
        let output = outputs.file(&self.output, FileMode::Plain)?;
        let hosts = self.host_keys.load()?;
        let mut rng = random::rng(self.x_seed)?;
        let flags = self.add_data.iter().fold(AttestationFlags::empty(), |flags, data| flags | (*data).into());
        let secrets = RequestSecrets::random(&mut rng);
        let arcb = AttestationRequest::random(flags, &mut rng).seal(&secrets, &hosts).map_err(Failure::unusable)?;
        let file = ExchangeFile::request(arcb, AdditionalData::expected_size(flags)).map_err(Failure::unusable)?;
        let file = file.encode().map_err(Failure::unusable)?;
        outputs.write(arpk, secrets.key.expose())?;
        outputs.write(output, &file)?;
        outputs.commit(|| Ok(()))?;
        Ok(ExitCode::SUCCESS)
    }
}
