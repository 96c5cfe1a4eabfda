//! `display`.

use clap::Args;
use uv_power_programs::esmb::display;
use uv_programs::{Failure, output};

use crate::{BlobArg, blob, unusable};

#[derive(Debug, Args)]
pub(crate) struct Display {
    #[command(flatten)]
    blob: BlobArg,
    /// Show one JSON object
    #[arg(long)]
    json: bool,
}

impl Display {
    pub(crate) fn run(self) -> Result<(), Failure> {
        let path = &self.blob.blob;
        let (bytes, blob) = blob::read_with_bytes(path)?;
        let shown = if self.json {
            display::json(&blob, &bytes).map(|value| format!("{value:#}\n"))
        } else {
            display::text(&blob)
        };
        output::write(shown.map_err(|error| unusable(error).at(path.display()))?.as_bytes())
    }
}
