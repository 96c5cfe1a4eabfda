//! `info`: shows a header.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use uv_programs::Failure;
use uv_programs::output::print;
use uv_s390::abi::se_header::HeaderError;
use uv_s390::owner::image::HeaderInfo;
use uv_s390_programs::keys::read_key;
use zeroize::Zeroizing;

use crate::{header_of, report};

/// Form of the output.
#[derive(ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text, the most important fields
    Text,
    /// Text, every field
    #[value(name = "text:full")]
    TextFull,
    /// JSON on several lines
    #[value(alias = "json:pretty")]
    Json,
    /// JSON on one line
    #[value(name = "json:minify")]
    JsonMinify,
}

/// Options of `info`.
#[derive(Args, Debug)]
pub(crate) struct Info {
    /// Header key, 32 bytes: check the tag with it; status 1 if it does not match
    #[arg(long, alias = "x-header-key", value_name = "FILE")]
    hdr_key: Option<PathBuf>,
    /// Show the decrypted part, keys included
    #[arg(long, requires = "hdr_key")]
    show_secrets: bool,
    /// Form of the output
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Short for --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// Image, or bare header
    image: PathBuf,
}

impl Info {
    /// Prints the header.
    pub(crate) fn run(&self) -> Result<ExitCode, Failure> {
        let header = header_of(&self.image)?;
        let opened = match &self.hdr_key {
            None => None,
            Some(path) => Some(header.open_with_header_key(&read_key(path)?).map_err(|error| {
                let at = self.image.display();
                if error == HeaderError::Tag { Failure::refused(error).at(at) } else { Failure::unusable(error).at(at) }
            })?),
        };
        let mut info = HeaderInfo::new(&header, opened.as_ref());
        if !self.show_secrets {
            info.secret = None;
        }
        let text = match if self.json { Format::Json } else { self.format } {
            Format::Text => report::text(&info, false),
            Format::TextFull => report::text(&info, true),
            Format::Json => format!("{:#}", report::json(&info)),
            Format::JsonMinify => report::json(&info).to_string(),
        };
        print(&Zeroizing::new(text))?;
        Ok(ExitCode::SUCCESS)
    }
}
