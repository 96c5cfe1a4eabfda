//! ESM blobs at the command line: what a guest owner does before a POWER VM can become secure.
//!
//! ```text
//! power_esmb make -y svm_blob.yml -o blob.dtb                  all at once
//!
//! power_esmb create    -b blob.dtb -p ownerpub.pem             or step by step
//! power_esmb authorize -b blob.dtb -p machinepub.pem -s owner.pem
//! power_esmb attach    -b blob.dtb -f phrase -r rootd -s owner.pem
//!
//! power_esmb display -b blob.dtb --json
//! power_esmb add     -i initrd.img -b blob.dtb -o secure-initrd.img
//! ```
//!
//! `authorize`, `revoke`, `attach` and `detach` change the blob where it is; no other file is replaced without `--overwrite`.
//!
//! The work is done by `uv_power::owner`; the commands are in `examples/support/esmb`.

use std::process::ExitCode;

use uv_power_programs::esmb;
use uv_programs::run;

fn main() -> ExitCode {
    run(|| esmb::main(std::env::args_os(), &|name| std::env::var(name).ok(), &mut std::io::stdout().lock()))
}
