//! What the tests of the owner's programs share: fixtures of the real tools, small images, subcommands as a user calls them.

use std::path::{Path, PathBuf};

use clap::{Args, Parser};
use uv_programs::random;
use uv_s390::abi::se_header::{PlaintextControlFlags, SecretControlFlags};
use uv_s390::owner::crypto::{Cck, HostPrivateKey};
use uv_s390::owner::image::ImageBuilder;
use uv_s390::owner::request::{ConfigUid, ImageIdentity};
use uv_s390::sim::{Generation, MachineConfig};
use uv_s390_programs::guest::Booted;
use uv_s390_programs::keys::read_host_private_key;
use uv_test_support::file;

/// A file of the libraries' fixtures.
pub(crate) fn fixture(name: &str) -> PathBuf {
    file("uv-s390/tests/fixtures").join(name)
}

/// A file of the image fixtures.
pub(crate) fn image_fixture(name: &str) -> PathBuf {
    file("tests/fixtures/pvimg").join(name)
}

/// The real image whose header the real requests are made for; it allows dumps and wants derived extension secrets.
pub(crate) fn real_image() -> PathBuf {
    image_fixture("d-all-keys-flags/image.bin")
}

/// Private host key that opens the real image and the real requests.
pub(crate) fn real_key() -> PathBuf {
    fixture("keys/host1.key.pem")
}

/// Its certificate.
pub(crate) fn real_certificate() -> PathBuf {
    fixture("keys/host1.crt.pem")
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().expect("a UTF-8 path")
}

#[derive(Parser)]
struct Cli<A: Args> {
    #[command(flatten)]
    args: A,
}

/// Options of a subcommand as a user writes them.
pub(crate) fn options<A: Args>(arguments: &[&str]) -> A {
    let arguments = ["program"].iter().chain(arguments);
    Cli::<A>::try_parse_from(arguments).unwrap_or_else(|error| panic!("{error}")).args
}

/// An image made for a test, and what its owner knows.
pub(crate) struct Owned {
    pub(crate) file: Vec<u8>,
    pub(crate) identity: ImageIdentity,
    pub(crate) cck: Cck,
    pub(crate) host: HostPrivateKey,
}

impl Owned {
    pub(crate) fn new(pcf: PlaintextControlFlags, scf: SecretControlFlags) -> Self {
        let mut rng = random::rng(Some(11)).expect("the test's own input works");
        let host = HostPrivateKey::generate(&mut rng);
        let cck = Cck::random(&mut rng);
        let builder = ImageBuilder::new(&[0x11; 0x2000]).host_key(host.public()).cck(cck.clone()).pcf(pcf).scf(scf);
        let file = builder.skip_component_check().build(&mut rng).expect("the test's own input works").bytes.to_vec();
        let (_, header) = uv_s390::owner::image::read_header(&file).expect("the test's own input works");
        let identity = ImageIdentity::from_header(header.as_bytes()).expect("the test's own input works");
        Self { file, identity, cck, host }
    }

    /// An image without special rights.
    pub(crate) fn plain() -> Self {
        Self::new(PlaintextControlFlags::PCKMO, SecretControlFlags::empty())
    }

    /// An image whose guest may be dumped.
    pub(crate) fn dumpable() -> Self {
        Self::new(PlaintextControlFlags::PCKMO | PlaintextControlFlags::ALLOW_DUMP, SecretControlFlags::CCK_UPDATE)
    }

    pub(crate) fn boot(&self) -> Booted {
        self.boot_on(Generation::Z17, None)
    }

    pub(crate) fn boot_on(&self, generation: Generation, cuid: Option<ConfigUid>) -> Booted {
        let config = MachineConfig { generation, host_key: self.host.clone(), ..MachineConfig::new(5) };
        Booted::on(config, self.file.clone(), cuid).expect("the test's own input works")
    }
}

/// Boots the real image.
pub(crate) fn boot_real(cuid: Option<ConfigUid>) -> Booted {
    let file = std::fs::read(real_image()).expect("the test's own input works");
    Booted::new(file, read_host_private_key(&real_key()).expect("the test's own input works"), cuid)
        .expect("the test's own input works")
}

/// Calls `check` with every version of `bytes` in which one bit is the other one.
pub(crate) fn each_flip(bytes: &[u8], mut check: impl FnMut(usize, u8, &[u8])) {
    let mut changed = bytes.to_vec();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            changed[at] ^= 1 << bit;
            check(at, bit, &changed);
            changed[at] ^= 1 << bit;
        }
    }
}
