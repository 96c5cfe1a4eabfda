//! Secure Execution header, boot parameter block, image and dump.

use std::sync::LazyLock;

use uv_s390::abi::dump::StorageState;
use uv_s390::abi::ipib::{self, IpibForm, IpibView};
use uv_s390::abi::se_header::{HeaderView, SeHeader};
use uv_s390::owner::crypto::{Cck, HostPrivateKey, RequestKey};
use uv_s390::owner::dump::elf::{DecryptedDump, DumpReader};
use uv_s390::owner::dump::{CompletionBlock, CpuNote, DumpKey};
use uv_s390::owner::image::{
    HeaderInfo, Image, ImageMetadata, KeyHashes, Stage3bArgs, check_command_line, check_kernel, max_command_line,
    read_header,
};

use super::seeds;

static HOST: LazyLock<HostPrivateKey> =
    LazyLock::new(|| HostPrivateKey::from_pem(seeds::IMAGE_HOST_KEY).expect("the fixture is a P-521 key"));
static HEADER_KEY: LazyLock<RequestKey> =
    LazyLock::new(|| RequestKey::from_slice(seeds::HEADER_KEY).expect("the fixture has 32 bytes"));
static CCK: LazyLock<Cck> = LazyLock::new(|| Cck::from_slice(seeds::DUMP_CCK).expect("the fixture has 32 bytes"));
static DUMP_KEY: LazyLock<DumpKey> = LazyLock::new(|| {
    let block = CompletionBlock::parse(seeds::completion_block()).expect("the fixture is a completion block");
    block.open(&CCK).expect("the key is that of the fixture").0
});

/// An SE header: every check alone, the whole header, opened by its owner and by a machine.
pub fn se_header(data: &[u8]) {
    if let Ok(view) = HeaderView::new(data) {
        let alone = [view.check_magic(), view.check_slots(), view.check_encrypted_size(), view.check_length()];
        assert_eq!(view.check().is_ok(), alone.iter().all(Result::is_ok) && view.check_version().is_ok());
    }
    let Ok(header) = SeHeader::parse_prefix(data) else { return };
    assert!(data.starts_with(header.as_bytes()));
    assert_eq!(SeHeader::parse(header.as_bytes()).as_ref(), Ok(&header));
    assert!(header.slots().eq(header.slots()), "the slots are read, not made up");
    let owner = header.open_with_header_key(&HEADER_KEY);
    let machine = header.open(&HOST);
    if let (Ok(owner), Ok(machine)) = (&owner, &machine) {
        assert_eq!(owner.cck, machine.confidential.cck);
    }
    let _ = HeaderInfo::new(&header, owner.as_ref().ok());
    let _ = format!("{header:?} {machine:?}");
}

/// A boot parameter block, and the one that is built from what was read.
pub fn ipib(data: &[u8]) {
    let view = IpibView::new(data);
    let components: Vec<_> = view.components().collect();
    assert!(components.len() <= data.len() / size_of::<ipib::Component>());
    assert_eq!(view.component(view.component_count()), None);
    for form in [IpibForm::Exact, IpibForm::Page] {
        let Ok(built) = ipib::build(form, view.header_address(), view.header_length(), &components) else { continue };
        let again = IpibView::new(&built);
        assert!(again.components().eq(components.iter().copied()));
        assert_eq!(again.header_address(), view.header_address());
    }
    let _ = (view.required_length(), view.block_type(), view.loadparm(), format!("{view:?}"));
}

/// An image file: found, measured, extracted; its parts alone.
pub fn se_image(data: &[u8]) {
    let _ = (ImageMetadata::find(data), Stage3bArgs::find(data), check_kernel(data), max_command_line(data));
    let _ = check_command_line(data, 17);
    let header = read_header(data);
    if let (Ok(hashes), Ok((_, header))) = (KeyHashes::parse(data), &header) {
        let _ = hashes.any_in(header);
    }
    let Ok(image) = Image::parse(data) else { return };
    let found = header.expect("an image has a header").0;
    assert_eq!(image.header_offset(), found);
    let confidential = image.header().open_with_header_key(&HEADER_KEY);
    let measured = image.check_measurement();
    if let Ok(confidential) = confidential {
        let extracted = image.extract(&confidential);
        assert_eq!(extracted.is_ok(), measured.is_ok());
        for component in extracted.iter().flatten() {
            assert!(component.contents().len() <= component.pages().len());
        }
    }
}

/// A dump file: opened with the key of the reference dump and written in both forms.
pub fn dump_file(data: &[u8]) {
    let Ok(reader) = DumpReader::open(data) else { return };
    let memory: u64 = reader.memory().map(|block| block.size).sum();
    assert!(usize::try_from(memory).is_ok_and(|memory| memory <= data.len()), "memory is what the file holds");
    let _ = (reader.completion(), reader.cpu_notes());
    let Ok(dump) = DecryptedDump::open(reader, &CCK) else { return };
    let mut raw = Vec::new();
    let mut elf = Vec::new();
    let written = dump.write_raw(&mut raw).is_ok();
    assert_eq!(dump.write_elf(&mut elf).is_ok(), written);
    assert!(!written || elf.ends_with(&raw));
}

/// Completion data, a CPU note and storage state entries on their own.
pub fn dump_blocks(data: &[u8]) {
    if let Ok(block) = CompletionBlock::parse(data) {
        let _ = block.open(&CCK);
    }
    if let Ok(note) = CpuNote::parse(data) {
        let _ = note.open(&DUMP_KEY);
    }
    for entry in data.as_chunks::<16>().0.iter().take(64) {
        if let Ok(StorageState::Encrypted(component)) = StorageState::decode(entry) {
            assert_eq!(component.bytes(), entry);
        }
    }
}
