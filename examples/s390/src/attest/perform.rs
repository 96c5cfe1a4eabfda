//! `perform`: boots the image and has the Ultravisor measure it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use uv_s390::abi::uvc::UvRc;
use uv_s390::abi::uvcb::Attest;
use uv_s390::owner::attest::{
    AdditionalData, ArcbHead, ExchangeFile, ExchangeResponse, MAX_USER_DATA_SIZE, MEASUREMENT_SIZE,
};
use uv_s390::owner::request::ConfigUid;
use zerocopy::FromBytes as _;

use crate::guest::{Booted, Called, GuestRequest};
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::outputs::{FileMode, OverwriteArg};

/// Options of `perform`.
#[derive(Args, Debug)]
pub struct Perform {
    /// What is booted where.
    #[command(flatten)]
    pub guest: GuestRequest,
    /// Request, as `create` writes it
    #[arg(long, alias = "input", value_name = "FILE")]
    pub request: PathBuf,
    /// Where the response goes
    #[arg(short, long, alias = "output", value_name = "FILE")]
    pub out: PathBuf,
    /// Data that is measured along, at most 256 bytes
    #[arg(short, long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
}

impl Perform {
    /// Boots, measures, writes the response.
    ///
    /// # Errors
    /// Files that cannot be used; status 1 if the image does not boot or the request is refused.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs(self.guest.files().into_iter().chain([&self.request]).chain(&self.user_data))?;
        let out = outputs.file(&self.out, FileMode::Plain)?;
        let file = read_file_limited(&self.request, super::MAX_FILE)?;
        let exchange = ExchangeFile::parse(&file);
        let exchange = exchange.map_err(|error| Failure::unusable(error).at(self.request.display()))?;
        let limit = u64::try_from(MAX_USER_DATA_SIZE).unwrap_or(u64::MAX);
        let user_data = match &self.user_data {
            Some(path) => read_file_limited(path, limit)?,
            None => Vec::new(),
        };
        let mut booted = self.guest.boot()?;
        let response = measure(&mut booted, exchange.arcb, user_data)?.map_err(|called| {
            let (rc, rrc) = (called.rc, called.rrc);
            let place = self.request.display();
            Failure::refused(format_args!("the Ultravisor refuses the request: {} (rc {rc}, rrc {rrc})", meaning(rc)))
                .at(place)
        })?;
        let response = ExchangeFile::from(response).encode().map_err(Failure::unusable)?;
        outputs.write(out, &response)?;
        outputs.commit(|| Ok(()))?;
        Ok(ExitCode::SUCCESS)
    }
}

/// What a refusal means to the owner of the request.
const fn meaning(rc: UvRc) -> &'static str {
    match rc {
        UvRc::ATTEST_VERSION => "unsupported version, or no attestation request",
        UvRc::ATTEST_LENGTH | UvRc::ATTEST_ENCRYPTED_SIZE => "its sizes do not fit",
        UvRc::ATTEST_SLOTS => "it has no key slot",
        UvRc::ATTEST_FLAGS => "it asks for data that this machine does not report",
        UvRc::ATTEST_ALGORITHM => "unsupported algorithm",
        UvRc::ATTEST_OPEN => "not for this machine's host key, or changed",
        _ => "this machine cannot answer it",
    }
}

/// Lets the guest have itself measured: the request, and the areas for the answer, lie in its free memory. `Err` inside is the
/// Ultravisor's refusal.
///
/// # Errors
/// As [`Session::call`](crate::guest::Session::call).
pub fn measure(
    booted: &mut Booted,
    arcb: Vec<u8>,
    user_data: Vec<u8>,
) -> Result<Result<ExchangeResponse, Called>, Failure> {
    const MEASUREMENT: u64 = 0x11_0000;
    const ADDITIONAL: u64 = 0x11_1000;
    let (at, session) = (booted.free, &mut booted.session);
    let flags = ArcbHead::ref_from_prefix(&arcb).map(|(head, _)| head.attestation_flags()).unwrap_or_default();
    let additional = AdditionalData::expected_size(flags);
    session.store(at, &arcb)?;
    let number = |size: usize| u32::try_from(size).map_err(Failure::unusable);
    let mut block = Attest::new();
    block.arcb_addr = at.into();
    block.meas_addr = (at + MEASUREMENT).into();
    block.meas_len = number(MEASUREMENT_SIZE)?.into();
    block.add_data_addr = (at + ADDITIONAL).into();
    block.add_data_len = number(additional)?.into();
    block.user_data_len = u16::try_from(user_data.len()).map_err(Failure::unusable)?.into();
    if let Some(area) = block.user_data.get_mut(..user_data.len()) {
        area.copy_from_slice(&user_data);
    }
    let called = session.call(&mut block)?;
    if !called.is_done() {
        return Ok(Err(called));
    }
    Ok(Ok(ExchangeResponse {
        measurement: session.load(at + MEASUREMENT, MEASUREMENT_SIZE)?.to_vec(),
        additional: session.load(at + ADDITIONAL, additional)?.to_vec(),
        cuid: ConfigUid(block.config_uid),
        arcb,
        user_data,
    }))
}
