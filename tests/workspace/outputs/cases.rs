//! The commands that write files.

/// A command line. `<` stands before an input, a file of the sources that is copied; `>` before an output.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) program: &'static str,
    pub(crate) arguments: &'static [&'static str],
    /// Outputs for the owner's eyes only.
    pub(crate) secrets: &'static [&'static str],
    /// Exit status for what cannot be used.
    pub(crate) unusable: i32,
    /// Whether an output is longer than 1 KiB.
    pub(crate) large: bool,
    /// Whether the command says on its standard output what it wrote.
    pub(crate) tells: bool,
}

impl Case {
    fn marked(&self, mark: char) -> impl Iterator<Item = &'static str> {
        self.arguments.iter().filter_map(move |argument| argument.strip_prefix(mark))
    }

    pub(crate) fn inputs(&self) -> impl Iterator<Item = &'static str> {
        self.marked('<')
    }

    pub(crate) fn outputs(&self) -> impl Iterator<Item = &'static str> {
        self.marked('>')
    }
}

const CERTIFICATE: &str = "<uv-s390/tests/fixtures/keys/host1.crt.pem";
const HOST_KEY: &str = "<uv-s390/tests/fixtures/keys/host1.key.pem";
const IMAGE: &str = "<tests/fixtures/pvimg/d-all-keys-flags/image.bin";
const BLOB: &str = "<tests/fixtures/svm-tool/blobs/full.dtb";
const PLAIN: Case = Case { program: "", arguments: &[], secrets: &[], unusable: 2, large: false, tells: false };

pub(crate) const CASES: &[Case] = &[
    Case {
        program: "s390_image",
        arguments: &[
            "create",
            "--kernel",
            "<tests/fixtures/pvimg/components/kernel-odd.bin",
            "--ramdisk",
            "<tests/fixtures/pvimg/components/ramdisk-odd.bin",
            "--parmfile",
            "<tests/fixtures/pvimg/components/cmdline.txt",
            "-k",
            CERTIFICATE,
            "--no-verify",
            "--cck",
            "<tests/fixtures/pvimg/keys/cck.bin",
            "--hdr-key",
            "<tests/fixtures/pvimg/keys/hdr_key.bin",
            "--image-key",
            "<tests/fixtures/pvimg/keys/image_key.bin",
            "-o",
            ">image",
        ],
        secrets: &["image"],
        large: true,
        tells: true,
        ..PLAIN
    },
    Case {
        program: "s390_attest",
        arguments: &["create", "-k", CERTIFICATE, "--no-verify", "-o", ">request", "--arpk", ">arpk"],
        secrets: &["arpk"],
        unusable: 1,
        ..PLAIN
    },
    Case {
        program: "s390_attest",
        arguments: &[
            "perform",
            "--image",
            IMAGE,
            "--host-key",
            HOST_KEY,
            "--request",
            "<uv-s390/tests/fixtures/pvattest/r1-default/request.bin",
            "--out",
            ">response",
        ],
        unusable: 1,
        ..PLAIN
    },
    Case {
        program: "s390_attest",
        arguments: &[
            "verify",
            "--response",
            "<uv-s390/tests/fixtures/pvattest/r1-default/response-simulated.bin",
            "--arpk",
            "<uv-s390/tests/fixtures/pvattest/r1-default/arpk.bin",
            "--hdr",
            "<uv-s390/tests/fixtures/pvattest/se.hdr",
            "--json",
            "-o",
            ">result",
        ],
        unusable: 1,
        tells: true,
        ..PLAIN
    },
    Case {
        program: "s390_dump",
        arguments: &["create", "--out", ">dump", "--plain", ">plain", "--cck-out", ">cck"],
        secrets: &["plain", "cck"],
        large: true,
        tells: true,
        ..PLAIN
    },
    Case {
        program: "s390_dump",
        arguments: &[
            "decrypt",
            "--key",
            "<uv-s390/tests/fixtures/pvdump/p1-mixed/cck.bin",
            "<uv-s390/tests/fixtures/pvdump/p1-mixed/dump.elf",
            ">plain",
        ],
        secrets: &["plain"],
        large: true,
        tells: true,
        ..PLAIN
    },
    Case {
        program: "s390_secret",
        arguments: &[
            "create",
            "-k",
            CERTIFICATE,
            "--no-verify",
            "--hdr",
            IMAGE,
            "--cck",
            "<tests/fixtures/pvimg/keys/cck.bin",
            "-o",
            ">request",
            "association",
            "name",
            "--stdout",
            "--output-secret",
            ">secret",
        ],
        secrets: &["secret"],
        tells: true,
        ..PLAIN
    },
    Case {
        program: "s390_secret",
        arguments: &["list", "--image", IMAGE, "--host-key", HOST_KEY, "--format", "bin", "-o", ">list"],
        large: true,
        ..PLAIN
    },
    Case {
        program: "power_esmb",
        arguments: &["create", "-b", ">blob", "-p", "<tests/fixtures/svm-tool/keys/ownerpub.pem"],
        ..PLAIN
    },
    Case {
        program: "power_esmb",
        arguments: &[
            "extract",
            "-b",
            BLOB,
            "-r",
            "rootd",
            "-s",
            "<tests/fixtures/svm-tool/keys/machine1.pem",
            "-o",
            ">file",
        ],
        secrets: &["file"],
        ..PLAIN
    },
    Case {
        program: "power_esmb",
        arguments: &["add", "-i", "<tests/fixtures/svm-tool/boot/initrd.img", "-b", BLOB, "-o", ">joined"],
        large: true,
        ..PLAIN
    },
];
