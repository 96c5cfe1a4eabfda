//! A program of a protected guest that uses its `/dev/uv` through IBM's crate `s390_pv_core`. Nothing of this library is in it.
//!
//! ```text
//! uv-device-client info
//! uv-device-client attest REQUEST MEASUREMENT-BYTES ADDITIONAL-BYTES USER-DATA OUTPUT
//! uv-device-client add REQUEST
//! uv-device-client list
//! uv-device-client retrieve INDEX OUTPUT
//! uv-device-client lock
//! ```
//! `attest` writes measurement, additional data and configuration UID, one behind the other. Exit status: 0 done; 1 refused,
//! with the crate's own words.

use std::error::Error;
use std::fs::{self, File};
use std::process::ExitCode;

use s390_pv_core::uv::{AddCmd, AttestationCmd, ListCmd, LockCmd, RetrieveCmd, SecretList, UvDevice, UvDeviceInfo};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match work(&arguments) {
        Ok(text) => {
            println!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: &[&str]) -> Result<String, Box<dyn Error>> {
    // The crate looks for this itself, but on s390x only.
    if fs::read_to_string("/sys/firmware/uv/prot_virt_guest").unwrap_or_default().trim() != "1" {
        return Err("this is no protected guest".into());
    }
    let uv = UvDevice::open()?;
    match arguments {
        ["info"] => Ok(format!("{:?}", UvDeviceInfo::get(&uv)?)),
        ["attest", request, measurement, additional, user, output] => {
            let request = fs::read(request)?.into_boxed_slice();
            let user = Some(user.as_bytes().to_vec());
            let mut command = AttestationCmd::new_request(request, user, measurement.parse()?, additional.parse()?)?;
            uv.send_cmd(&mut command)?;
            let mut bytes = command.measurement().to_vec();
            bytes.extend(command.additional_owned().unwrap_or_default());
            bytes.extend(command.cuid());
            fs::write(output, bytes)?;
            Ok("attested".into())
        }
        ["add", request] => {
            uv.send_cmd(&mut AddCmd::new(&mut File::open(request)?)?)?;
            Ok("added".into())
        }
        ["list"] => Ok(list(&uv)?.to_string()),
        ["retrieve", index, output] => {
            let index: u16 = index.parse()?;
            let list = list(&uv)?;
            let entry = list.iter().find(|entry| entry.index() == index).ok_or("no secret has this index")?.clone();
            let mut command = RetrieveCmd::from_entry(entry)?;
            uv.send_cmd(&mut command)?;
            fs::write(output, command.into_key().value())?;
            Ok("retrieved".into())
        }
        ["lock"] => {
            uv.send_cmd(&mut LockCmd)?;
            Ok("locked".into())
        }
        _ => Err("unknown arguments".into()),
    }
}

fn list(uv: &UvDevice) -> Result<SecretList, Box<dyn Error>> {
    let mut command = ListCmd::default();
    uv.send_cmd(&mut command)?;
    Ok(command.try_into()?)
}
