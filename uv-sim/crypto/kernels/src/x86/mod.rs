//! Kernels over VAES-512.

mod ccm;
mod keys;
mod polyval;
mod sha512;
mod vector;
mod xts;

pub use ccm::Ccm;
pub use polyval::Polyval;
pub use sha512::sha512;
pub use xts::Xts;

cpufeatures::new!(units, "aes", "avx2", "bmi1", "bmi2", "avx512f", "avx512bw", "avx512vl", "vaes", "vpclmulqdq");

/// Shows that the processor and the operating system have all units which the kernels are compiled for.
#[derive(Clone, Copy)]
struct Found(());

impl Found {
    fn new() -> Option<Self> {
        units::get().then_some(Self(()))
    }
}
