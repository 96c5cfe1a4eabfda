//! `list`: shows the secrets of a guest.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use uv_s390::abi::secret::{LIST_PAGE_SIZE, SecretEntry, SecretList};

use super::add::read_requests;
use super::store::{Store, list_json, list_text};
use crate::guest::{GuestRequest, read_cuid};
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::output::write;
use uv_programs::outputs::{FileMode, Outputs, OverwriteArg, Slot};
use uv_s390::owner::request::ConfigUid;

/// Form of the list.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// For people
    Human,
    /// YAML
    Yaml,
    /// JSON
    Json,
    /// As the Ultravisor writes it, in whole pages; needs --output
    Bin,
}

/// Options of `list`.
#[derive(Args, Debug)]
pub struct List {
    /// A list that was stored in the Ultravisor's format, instead of a guest
    #[arg(long, value_name = "FILE", conflicts_with_all = ["image", "requests"], required_unless_present = "image")]
    pub input: Option<PathBuf>,
    /// Image to boot
    #[arg(long, value_name = "FILE", requires = "host_key")]
    pub image: Option<PathBuf>,
    /// Private host key of the machine (P-521, PEM)
    #[arg(long, value_name = "PEM", requires = "image")]
    pub host_key: Option<PathBuf>,
    /// Unique id that the machine gives to the guest, 32 hex digits (default: random)
    #[arg(long, value_name = "HEX", value_parser = read_cuid, requires = "image")]
    pub cuid: Option<ConfigUid>,
    /// Form of the list
    #[arg(long, value_enum, default_value = "human")]
    pub format: Format,
    /// Where the list goes (default: standard output)
    #[arg(short, long, alias = "out", value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Whether files may be replaced.
    #[command(flatten)]
    pub overwrite: OverwriteArg,
    /// Requests that are added first
    #[arg(value_name = "REQUEST")]
    pub requests: Vec<PathBuf>,
}

impl List {
    /// Shows the list. Status 1 if a request was refused.
    ///
    /// # Errors
    /// Files that cannot be used; an image that does not boot.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        if self.format == Format::Bin && self.output.is_none() {
            return Err(Failure::unusable("--format bin needs --output"));
        }
        let mut outputs = self.overwrite.outputs();
        outputs.inputs(self.image.iter().chain(&self.host_key).chain(&self.input).chain(&self.requests))?;
        let output = self.output.as_ref().map(|path| outputs.file(path, FileMode::Plain)).transpose()?;
        let mut done = true;
        let list = match (&self.input, &self.image, &self.host_key) {
            (None, Some(image), Some(host_key)) => {
                let requests = read_requests(&self.requests)?;
                let guest = GuestRequest { image: image.clone(), host_key: host_key.clone(), cuid: self.cuid };
                let mut store = Store::new(guest.boot()?);
                for (path, request) in self.requests.iter().zip(&requests) {
                    let result = store.add(request)?;
                    if !result.is_done() {
                        eprintln!("{}: rc {}: {}", path.display(), result.rc, result.meaning());
                        done = false;
                    }
                }
                store.list()?
            }
            (Some(input), ..) => SecretList::decode(&read_file_limited(input, super::MAX_INPUT)?)
                .map_err(|error| Failure::unusable(error).at(input.display()))?,
            _ => return Err(Failure::unusable("give --input, or --image and --host-key")),
        };
        self.write(&list, outputs, output)?;
        Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(Failure::REFUSED) })
    }

    fn write(&self, list: &SecretList, mut outputs: Outputs, output: Option<Slot>) -> Result<(), Failure> {
        let bytes = match self.format {
            Format::Human => list_text(list).into_bytes(),
            Format::Yaml => yaml(list).into_bytes(),
            Format::Json => list_json(list).to_string().into_bytes(),
            Format::Bin => {
                let bytes = 16 + list.entries.len() * size_of::<SecretEntry>();
                let mut pages = vec![0; bytes.next_multiple_of(LIST_PAGE_SIZE)];
                list.encode(&mut pages).map_err(Failure::unusable)?;
                pages
            }
        };
        let end: &[u8] = if self.format == Format::Bin { b"" } else { b"\n" };
        match output {
            Some(slot) => {
                outputs.write(slot, &[&bytes, end].concat())?;
                outputs.commit(|| Ok(()))
            }
            None => write(&[&bytes, end].concat()),
        }
    }
}

fn yaml(list: &SecretList) -> String {
    let mut text = format!("total: {}\nsecrets:", list.total);
    if list.entries.is_empty() {
        text.push_str(" []");
    }
    for entry in &list.entries {
        let (index, kind, length) = (entry.index.get(), entry.kind.get(), entry.length.get());
        text.push_str(&format!("\n- index: {index}\n  type: {kind}\n  length: {length}\n  id: {}", entry.id));
    }
    text
}
