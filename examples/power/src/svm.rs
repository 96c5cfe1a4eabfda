//! What a VM that becomes secure is made of.

use uv_power::hypervisor::vmm::boot::{BootFiles, BootLayout};
use uv_power::owner::blob::{Blob, BlobError};
use uv_power::owner::digests::{Digests, RTAS_STUB};
use uv_power::owner::keys::PrivateKey;
use uv_programs::Failure;
use uv_programs::random::rng;

/// Cores the VM can have, of one thread each.
const CORES: u32 = 4;

/// The files of a VM, and the key of the machine that it is for.
#[derive(Clone, Debug)]
pub struct SvmFiles {
    /// The machine's key.
    pub machine_key: PrivateKey,
    /// The flat kernel.
    pub kernel: Vec<u8>,
    /// The initramfs.
    pub initrd: Vec<u8>,
    /// The ESM blob; `None` when it stands in front of the initramfs.
    pub blob: Option<Vec<u8>>,
    /// The RTAS code.
    pub rtas: Vec<u8>,
    /// The command line.
    pub bootargs: String,
}

impl SvmFiles {
    /// A guest of some pages, its blob with one file, and the keys of owner and machine, all new.
    ///
    /// # Errors
    /// Status 2 without random numbers from the system.
    pub fn sample() -> Result<Self, Failure> {
        let mut rng = rng(None)?;
        let bad = |what: &dyn core::fmt::Display| Failure::unusable(format_args!("the sample cannot be made: {what}"));
        let owner = PrivateKey::generate(&mut rng).map_err(|error| bad(&error))?;
        let machine_key = PrivateKey::generate(&mut rng).map_err(|error| bad(&error))?;
        let kernel: Vec<u8> = (0..100_000_u32).flat_map(|word| (0x6000_0000 | word).to_be_bytes()).collect();
        let initrd = b"the sample's initramfs\n".repeat(4096);
        let bootargs = "root=/dev/sda1 svm=on console=hvc0".to_owned();
        let made = || -> Result<Vec<u8>, BlobError> {
            let mut rng = rng;
            let mut blob = Blob::create(owner.public(), "sample owner", &mut rng)?;
            blob.authorize(machine_key.public(), "this machine", &owner, &mut rng)?;
            let key = blob.unlock(&owner)?;
            let digests = Digests::measure(&kernel, &initrd, &bootargs)?;
            blob.set_digests(&digests, &key, "sample", &mut rng)?;
            blob.attach("rootd", b"a pass phrase for the disk", &key, "sample", &mut rng)?;
            blob.to_bytes()
        };
        let blob = Some(made().map_err(|error| bad(&error))?);
        Ok(Self { machine_key, kernel, initrd, blob, rtas: RTAS_STUB.to_vec(), bootargs })
    }

    /// Where they go in guest memory.
    ///
    /// # Errors
    /// Status 2 when they are too large.
    pub fn layout(&self) -> Result<BootLayout<'_>, Failure> {
        let files = BootFiles {
            kernel: &self.kernel,
            initrd: &self.initrd,
            blob: self.blob.as_deref(),
            rtas: &self.rtas,
            bootargs: &self.bootargs,
            cores: CORES,
        };
        BootLayout::new(&files).map_err(Failure::unusable)
    }
}
