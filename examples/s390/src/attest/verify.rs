//! `verify`: checks a response.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Map, Value, json};
use uv_s390::owner::attest::{ExchangeFile, Verdict, Verification, verify};

use crate::keys::read_key;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::output::print;
use uv_programs::outputs::{FileMode, OverwriteArg};

/// Options of `verify`.
#[derive(Args, Debug)]
pub struct Verify {
    /// Response, as `perform` writes it
    #[arg(short = 'i', long, alias = "input", value_name = "FILE")]
    pub response: PathBuf,
    /// Request key, as `create` wrote it
    #[arg(long, value_name = "FILE")]
    pub arpk: PathBuf,
    /// The image that should run, or its header
    #[arg(long, value_name = "FILE")]
    pub hdr: PathBuf,
    /// Where the result goes as YAML (default: standard output)
    #[arg(short, long, alias = "out", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Where the user data goes
    #[arg(short, long, value_name = "FILE")]
    pub user_data: Option<PathBuf>,
    /// Print one JSON object instead
    #[arg(long)]
    pub json: bool,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
}

/// Exit status of a measurement that differs.
const DIFFERS: u8 = 2;

impl Verify {
    /// Verifies and shows the result. What a response says whose measurement differs is not shown.
    ///
    /// # Errors
    /// Files that cannot be used, or a request that the key does not open.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let mut outputs = self.overwrite.outputs();
        outputs.inputs([&self.response, &self.arpk, &self.hdr])?;
        let mut plan =
            |path: &Option<PathBuf>| path.as_ref().map(|path| outputs.file(path, FileMode::Plain)).transpose();
        let (output, user_data) = (plan(&self.output)?, plan(&self.user_data)?);
        let file = read_file_limited(&self.response, super::MAX_FILE)?;
        let response = ExchangeFile::parse(&file).and_then(ExchangeFile::into_response);
        let response = response.map_err(|error| Failure::unusable(error).at(self.response.display()))?;
        let image = super::read_identity(&self.hdr)?;
        let result = verify(&response, &read_key(&self.arpk)?, &image);
        let result = result.map_err(|error| Failure::refused(error).at(self.response.display()))?;
        if result.verdict == Verdict::Differs {
            eprintln!("error: the measurement differs: not the guest, image or request that it should be");
            if self.json {
                print(&json!({ "verified": false }).to_string())?;
            }
            return Ok(ExitCode::from(DIFFERS));
        }
        if let Some(slot) = user_data {
            if result.user_data.is_empty() {
                eprintln!("warning: the response has no user data");
            }
            outputs.write(slot, &result.user_data)?;
        }
        let yaml = result.to_yaml();
        if let Some(slot) = output {
            outputs.write(slot, yaml.as_bytes())?;
        }
        outputs.commit(|| {
            if self.json {
                print(&to_json(&result).to_string())
            } else if self.output.is_none() {
                print(yaml.trim_end())
            } else {
                Ok(())
            }
        })?;
        Ok(ExitCode::SUCCESS)
    }
}

/// The result with the keys of the YAML form; absent data has no key.
fn to_json(result: &Verification) -> Value {
    let text = |bytes: &[u8]| Value::from(format!("0x{}", hex::encode(bytes)));
    let mut object = Map::new();
    object.insert("verified".into(), Value::from(true));
    object.insert("cuid".into(), text(&result.cuid.0));
    if !result.additional.is_empty() {
        let fields: Map<_, _> = result.fields.named().map(|(name, value)| (name.into(), text(value))).collect();
        object.insert("add".into(), text(&result.additional));
        object.insert("add_fields".into(), fields.into());
    }
    if !result.user_data.is_empty() {
        object.insert("user_data".into(), text(&result.user_data));
    }
    object.into()
}
