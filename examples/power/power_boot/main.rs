//! A VM of POWER becomes secure: `UV_ESM`, its ESM blob, its files.
//!
//! ```text
//! power_boot                                            a sample with keys that are thrown away
//! power_boot --blob full.dtb --machine-key machine1.pem --kernel vmlinux --initrd initrd.img \
//!            --bootargs "root=/dev/sda1 rw svm=on console=hvc0" [--rtas FILE] [--blob-in-initrd]
//!            [--profile documented|firmware] [--json]
//! ```
//!
//! Exit status: 0 the VM is secure, 1 the ultravisor refused it, 2 unusable input. The work is done by `uv_power::hypervisor::kernel` (the
//! hypervisor) and `uv_power::sim` (the ultravisor); this program's own part is in `examples/support/power_boot`.

use std::process::ExitCode;

use uv_power_programs::boot;
use uv_programs::run;

fn main() -> ExitCode {
    run(|| boot::main(std::env::args_os(), std::io::stdout()))
}
