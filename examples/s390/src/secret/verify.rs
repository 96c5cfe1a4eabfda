//! `verify`: checks the form of a request and the signature of its user data.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use uv_s390::owner::secret::{Asrcb, SignatureError, UserDataKind, UserDataVerifier};

use uv_programs::files::read_file_limited;
use uv_programs::output::write;
use uv_programs::outputs::{FileMode, OverwriteArg};
use uv_programs::{Failure, pem};

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// Request
    #[arg(value_name = "REQUEST")]
    pub request: PathBuf,
    /// Certificate, or public key, of whoever signed the user data
    #[arg(long, value_name = "FILE")]
    pub user_cert: Option<PathBuf>,
    /// Where the user data goes, with its zero fill (default: standard output)
    #[arg(short, long, alias = "out", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
}

impl Verify {
    /// Verifies, and gives the user data away if there is some.
    ///
    /// # Errors
    /// Status 2 for a file that is no request or key; status 1 if the signature is missing or does not fit.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs([&self.request].into_iter().chain(&self.user_cert))?;
        let output = self.output.as_ref().map(|path| outputs.file(path, FileMode::Plain)).transpose()?;
        let place = self.request.display();
        let bytes = read_file_limited(&self.request, super::MAX_REQUEST)?;
        let asrcb = Asrcb::parse(&bytes).map_err(|error| Failure::unusable(error).at(&place))?;
        let kind = asrcb.head().user_data_kind();
        let data = match (&self.user_cert, kind) {
            (Some(path), _) => {
                let file = read_file_limited(path, super::MAX_INPUT)?;
                let key = UserDataVerifier::from_document(&file)
                    .map_err(|error| pem::unusable(path, &file, "a certificate", error))?;
                asrcb.verify_user_data(&key).map_err(|error| match error {
                    SignatureError::Key => Failure::unusable(error).at(&place),
                    _ => Failure::refused(error).at(&place),
                })?
            }
            (None, UserDataKind::NONE) => &[],
            (None, UserDataKind::UNSIGNED) => &asrcb.head().user_data[..],
            (None, kind) if kind.is_signed() => {
                return Err(Failure::unusable("the user data is signed: give --user-cert").at(&place));
            }
            (None, UserDataKind(kind)) => {
                return Err(Failure::unusable(format_args!("unknown kind of user data {kind}")).at(&place));
            }
        };
        match output {
            Some(slot) => {
                outputs.write(slot, data)?;
                outputs.commit(|| Ok(()))?;
            }
            None => write(data)?,
        }
        eprintln!("{place}: {}", if kind.is_signed() { "the signature fits" } else { "a request, not signed" });
        Ok(ExitCode::SUCCESS)
    }
}
