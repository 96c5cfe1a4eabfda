//! Known answers (s390-formats §11), shared by the unit tests of the formats.

use alloc::vec::Vec;

use super::{CustomerKeyPair, HostPrivateKey, KeySlot, RequestKey};

pub(crate) const HOST_X: &str = "0126f7e6a6df7087c94b0c1b0b194a85669ee810fda2eae12ca64160ded6b26c46475ebedcceae4011da8edd5c6394e0b0bd4209a15227f2574656256854a7eb6e46";
pub(crate) const HOST_Y: &str = "01b9a248cd4017ddd4c2f6cc27cf0a307a1838ee9237913d8a501760b7a638c9573b9a0a08ced30befa7a3c0938bbaaa770a7bc37dd175957cb3a45ebde3c9826eeb";
pub(crate) const CUSTOMER_X: &str = "01313aa166b8833dc9177df6a3b0a4dea197fb41280d9047cbe95abb67e142adace884a6362f48b18a4669b512d391908ebd3f010d0c5eb2b8bd6a27cb8268be925d";
pub(crate) const CUSTOMER_Y: &str = "0090abe51a6558cc7574da753cd0e2b189e68cd1615a16308fc7cf35240044b91ba73b98a98c5d7c8a1d6cc9ba34838720fab9cccdee64d82d388f26b6b7b729fab4";
pub(crate) const PHKH: &str = "859785248413380e2dbcbc91e954d450753f86609dc92e24e2c9ac788f5b9847";
pub(crate) const Z: &str = "00c5fddfffde1dfd560564c257f21ba39241f6b4a3bd126cd4ff92f2621ee19652939715e3bfecab1b2f2e4010bb725744ee0e85ac986aa42f41963acce3f444826c";
pub(crate) const WRAPPING_KEY: &str = "f32b2173f72fb31ab698889333d5d490270fb157bf63a9e18c6101ed2ecb45d3";
pub(crate) const WRAPPED: &str = "ebb2182bdfd4492092aa6818821216111ba38080fc39aa6895902b88869fbb8d";
pub(crate) const SLOT_TAG: &str = "b03f25f25096d34791311a5768cdcfbd";

pub(crate) const PLD: &str = "ed77a1a7bb51dc313f5c0b52b856c07083dc278d099ed2552918666bb1e530a85c7848632121925987a5978d9c2078514b40c3d05cdb366a2eb2ae92d302a035";
pub(crate) const ALD: &str = "756233ebe18b8b6660317980c09429e42e0c7baabd12ea019625078c9fd079d0c472fe99c732f595bfc233ef43ce265d49b775a72ea7aed017ac5e1ceeba87c5";
pub(crate) const TLD: &str = "ea3f641aa515ffeb6dbd0467ec97c32c6e1af9a758660cf47d4e6c9b35fe26fa716001373daca415115464bfbe0578ae2a44ab3397ee47d266389eb0ddc43560";
pub(crate) const HEADER_TAG: &str = "ad1eaeca90c2f06fe58992225683fb4e";

/// `N` bytes counting up from `first`.
pub(crate) fn seq<const N: usize>(first: u8) -> [u8; N] {
    let mut next = first;
    core::array::from_fn(|_| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    })
}

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

pub(crate) fn host_private() -> HostPrivateKey {
    HostPrivateKey::from_scalar(&seq::<65>(1)).unwrap()
}

pub(crate) fn customer_pair() -> CustomerKeyPair {
    let mut scalar = seq::<65>(1);
    scalar.reverse();
    CustomerKeyPair::from_scalar(&scalar).unwrap()
}

/// The slot of the vectors: request key 00 01 .. 1f.
pub(crate) fn slot() -> KeySlot {
    KeySlot::seal(&customer_pair(), &host_private().public(), &RequestKey::new(seq(0)))
}
