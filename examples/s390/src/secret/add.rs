//! `add`: boots the image and hands requests to the Ultravisor.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::store::{AddResult, Store, list_json, list_text};
use crate::guest::GuestRequest;
use uv_programs::Failure;
use uv_programs::files::read_file_limited;
use uv_programs::output::print;

/// Options of `add`.
#[derive(Args, Debug)]
pub struct Add {
    /// What is booted where.
    #[command(flatten)]
    pub guest: GuestRequest,
    /// Lock the secret store afterwards
    #[arg(long)]
    pub lock: bool,
    /// Print one JSON object and nothing else
    #[arg(long)]
    pub json: bool,
    /// Requests, added in this order
    #[arg(value_name = "REQUEST", required = true)]
    pub requests: Vec<PathBuf>,
}

impl Add {
    /// Boots, adds all requests even if some are refused, and shows the list. Status 1 if one was refused.
    ///
    /// # Errors
    /// Files that cannot be used, before anything is booted; an image that does not boot.
    pub fn run(&self) -> Result<ExitCode, Failure> {
        let requests = read_requests(&self.requests)?;
        let mut store = Store::new(self.guest.boot()?);
        let mut results = Vec::new();
        for (path, request) in self.requests.iter().zip(&requests) {
            let result = store.add(request)?;
            if !self.json {
                print(&format!("{}: rc {}, rrc {}: {}", path.display(), result.rc, result.rrc, result.meaning()))?;
            }
            results.push(result);
        }
        let mut done = results.iter().all(|result| result.is_done());
        if self.lock {
            done &= store.lock()?.is_done();
        }
        let list = store.list()?;
        if self.json {
            let results: Value =
                self.requests.iter().zip(&results).map(|(path, result)| entry(path, *result)).collect();
            let object = json!({ "results": results, "list": list_json(&list), "locked": store.is_locked() });
            print(&object.to_string())?;
        } else {
            print(&list_text(&list))?;
            print(if store.is_locked() { "the secret store is locked" } else { "the secret store is open" })?;
        }
        Ok(if done { ExitCode::SUCCESS } else { ExitCode::from(Failure::REFUSED) })
    }
}

fn entry(path: &std::path::Path, result: AddResult) -> Value {
    json!({
        "request": path.display().to_string(),
        "rc": format!("{:#06x}", result.rc.0),
        "rrc": format!("{:#06x}", result.rrc.0),
    })
}

/// Reads all requests; what they hold is for the Ultravisor to judge.
pub(super) fn read_requests(paths: &[PathBuf]) -> Result<Vec<Vec<u8>>, Failure> {
    let read = |path: &PathBuf| match read_file_limited(path, super::MAX_REQUEST)? {
        request if request.is_empty() => Err(Failure::unusable("the request is empty").at(path.display())),
        request => Ok(request),
    };
    paths.iter().map(read).collect()
}
