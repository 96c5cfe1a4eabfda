//! What several programs on POWER share, and fuzz targets and tests with them.

pub mod esmb;
mod svm;

pub use svm::SvmFiles;
