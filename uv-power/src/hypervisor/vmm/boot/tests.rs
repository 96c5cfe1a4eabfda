use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use uv_core::{AccessError, GuestAddr, HostAddr, NormalMemory as _};
use uv_sim::HostMemory;

use super::{BootError, BootFiles, BootLayout, RESERVED, RESERVED_BELOW, TREE_MAX};
use crate::guest::EsmTreeError;
use crate::owner::tree::Node;

const KERNEL: &[u8] = &[0x11; 0x1_0001];
const INITRD: &[u8] = &[0x22; 0x1_0000];
const BLOB: &[u8] = &[0x33; 5];
const RTAS: &[u8] = &[0x44; 20];
const FILES: BootFiles<'_> =
    BootFiles { kernel: KERNEL, initrd: INITRD, blob: Some(BLOB), rtas: RTAS, bootargs: "a b", cores: 4 };

#[test]
fn each_piece_has_pages_of_its_own() {
    let layout = BootLayout::new(&FILES).unwrap();
    let at = |layout: &BootLayout<'_>| layout.pieces().map(|piece| piece.at.0).collect::<Vec<_>>();
    assert_eq!(at(&layout), [0x40_0000, 0x42_0000, 0x44_0000, 0x43_0000]);
    assert_eq!((layout.tree, layout.free), (GuestAddr(0x45_0000), GuestAddr(0x55_0000)));
    assert_eq!(layout.memory, 0x160_0000, "16 MiB or more behind it, in units of 2 MiB");
    assert_eq!((layout.request().kernel, layout.request().tree), (GuestAddr(0x40_0000), GuestAddr(0x45_0000)));
    let without = BootLayout::new(&BootFiles { blob: None, ..FILES }).unwrap();
    assert_eq!((at(&without), without.tree), (vec![0x40_0000, 0x42_0000, 0x43_0000], GuestAddr(0x44_0000)));
    assert_eq!(layout.with_free(0x10_0000).unwrap().memory, 0x180_0000);
}

#[test]
fn what_is_loaded_is_what_the_tree_tells() {
    let layout = BootLayout::new(&FILES).unwrap().with_memory(1 << 30).unwrap();
    let memory = HostMemory::new(0x100_0000);
    let host = HostAddr(0x10_0000);
    layout.load(&memory, host).unwrap();
    let read = |at: u64, len: usize| {
        let mut bytes = vec![0; len];
        memory.read(HostAddr(host.0 + at), &mut bytes).unwrap();
        bytes
    };
    let tree = Node::parse(&read(layout.tree.0, layout.device_tree().unwrap().len())).unwrap();
    let wide = |path: &str, name: &str| {
        let value = tree.find(path).unwrap().value(name).unwrap();
        value.chunks(8).map(|cells| u64::from_be_bytes(cells.try_into().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(wide("/memory", "reg"), [0, 1 << 30]);
    let [initrd, initrd_end] = ["linux,initrd-start", "linux,initrd-end"].map(|name| wide("/chosen", name)[0]);
    assert_eq!(read(initrd, usize::try_from(initrd_end - initrd).unwrap()), INITRD);
    let [blob, blob_end] = ["linux,esm-blob-start", "linux,esm-blob-end"].map(|name| wide("/chosen", name)[0]);
    assert_eq!(read(blob, usize::try_from(blob_end - blob).unwrap()), BLOB);
    assert_eq!(read(layout.kernel.at.0, KERNEL.len()), KERNEL);
    assert_eq!(read(layout.rtas.at.0, RTAS.len()), RTAS);
    assert_eq!(read(layout.kernel.end().0, 0xffff), vec![0; 0xffff], "nothing behind the kernel's last byte");
}

#[test]
fn an_ultravisor_needs_ten_pages_above() {
    let layout = BootLayout::new(&FILES).unwrap();
    let least = layout.free.0 + RESERVED;
    assert_eq!(layout.with_memory(least).map(|layout| layout.memory), Ok(least));
    let limit = GuestAddr(least - 1);
    assert_eq!(layout.with_memory(least - 1), Err(BootError::NoRoom { end: layout.free, limit }));
    assert!(matches!(layout.with_free(u64::MAX), Err(BootError::NoRoom { .. })));
    // The largest initramfs: with the pages around it, it ends where the ultravisor's begin.
    let around = 0x40_0000 + 0x2_0000 + 0x1_0000 + 0x1_0000 + TREE_MAX + RESERVED;
    let initrd = vec![0; usize::try_from(RESERVED_BELOW - around).unwrap() + 1];
    let files = |initrd| BootFiles { initrd, ..FILES };
    assert_eq!(BootLayout::new(&files(&initrd[1..])).unwrap().free.0, RESERVED_BELOW - RESERVED);
    let refused = BootLayout::new(&files(&initrd)).unwrap_err();
    let limit = GuestAddr(RESERVED_BELOW);
    assert_eq!(refused, BootError::NoRoom { end: GuestAddr(RESERVED_BELOW - RESERVED + 0x1_0000), limit });
}

#[test]
fn what_cannot_be_loaded_is_refused() {
    let memory = HostMemory::new(0x100_0000);
    let long = "x".repeat(usize::try_from(TREE_MAX).unwrap());
    let load = |bootargs, host| {
        BootLayout::new(&BootFiles { bootargs, ..FILES }).unwrap().load(&memory, HostAddr(host)).unwrap_err()
    };
    assert!(matches!(load(&long, 0), BootError::TreeTooLong(bytes) if bytes > TREE_MAX));
    assert!(matches!(load("a\0b", 0), BootError::Tree(EsmTreeError::Write(_))));
    let mut first = [0];
    memory.read(HostAddr(0x40_0000), &mut first).unwrap();
    assert_eq!(first, [0], "nothing is written when there is no tree");
    assert!(matches!(load("", 0xc0_0000), BootError::Memory(AccessError::Unmapped { .. })));
    assert!(matches!(load("", u64::MAX), BootError::Memory(AccessError::Unmapped { .. })));
    let shown: String = alloc::format!("{:?}", BootLayout::new(&FILES).unwrap().kernel);
    assert_eq!(shown, "0x400000..0x410001", "content is never shown");
}
