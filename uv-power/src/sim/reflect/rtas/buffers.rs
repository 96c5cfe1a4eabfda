//! Which services carry a buffer, where its address and length stand, and how much of it moves (power-pef §9.2).
//!
//! | service | address, length | direction | how much |
//! |---|---|---|---|
//! | check-exception | args 4, 5 | out | length, if the status is 0 |
//! | event-scan | args 2, 3 | out | length, if the status is 0 |
//! | ibm,configure-connector | arg 0, 4096 bytes; arg 1 must be 0 | in, out | all, back if the status is ≥ 0 or -2 |
//! | ibm,get-system-parameter | args 1, 2 | out | the smaller of length and the number in its first 2 bytes, if the status is 0 |
//! | ibm,set-system-parameter | arg 1 | in | the number in its first 2 bytes |
//! | ibm,os-term | arg 0 | in | up to the NUL, at most 4096 |
//! | nvram-fetch | args 1, 2 | out | the number that came back, if the status is 0 |
//! | nvram-store | args 1, 2 | in | length |
//!
//! A length above 4096 is refused.

use alloc::vec::Vec;

use uv_core::{GuestAddr, PageSize};

use crate::sim::flow::Uv;
use crate::sim::svm::tokens::Service;

/// Bytes of a bounce block.
pub(super) const BLOCK: u64 = 4096;

/// A buffer that a call carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Transfer {
    pub(super) service: Service,
    /// Index of the argument that holds the buffer's address.
    pub(super) argument: usize,
    /// The buffer in guest memory.
    pub(super) guest: GuestAddr,
    /// Bytes the caller gave as its length.
    pub(super) len: u64,
}

/// The buffer of a call, `None` for a service without one.
pub(super) fn transfer(service: Service, args: &[u32]) -> Result<Option<Transfer>, &'static str> {
    let (argument, length) = match service {
        Service::CheckException => (4, Some(5)),
        Service::EventScan => (2, Some(3)),
        Service::GetSystemParameter | Service::NvramFetch | Service::NvramStore => (1, Some(2)),
        Service::SetSystemParameter => (1, None),
        Service::OsTerm => (0, None),
        Service::ConfigureConnector if args.get(1) != Some(&0) => return Err("second argument is not 0"),
        Service::ConfigureConnector => (0, None),
        _ => return Ok(None),
    };
    let guest = GuestAddr((*args.get(argument).ok_or("too few arguments")?).into());
    let len = match length {
        Some(index) => (*args.get(index).ok_or("too few arguments")?).into(),
        None => BLOCK,
    };
    if len > BLOCK {
        return Err("buffer longer than 4096 bytes");
    }
    Ok(Some(Transfer { service, argument, guest, len }))
}

/// What goes to the hypervisor in the buffer.
pub(super) async fn content_in(uv: &Uv, transfer: &Transfer) -> Result<Vec<u8>, &'static str> {
    let len = match transfer.service {
        Service::ConfigureConnector | Service::NvramStore => transfer.len,
        Service::SetSystemParameter => match number(&read(uv, transfer.guest, 2).await?).into() {
            len if len > BLOCK => return Err("parameter longer than 4096 bytes"),
            len => len,
        },
        Service::OsTerm => return text(uv, transfer.guest).await,
        _ => return Ok(Vec::new()),
    };
    read(uv, transfer.guest, len).await
}

async fn read(uv: &Uv, at: GuestAddr, len: u64) -> Result<Vec<u8>, &'static str> {
    uv.fetch(at, len).await.map_err(|_| "buffer cannot be read")
}

/// A text up to its NUL, at most a block. It may end in the last page that the guest has.
async fn text(uv: &Uv, at: GuestAddr) -> Result<Vec<u8>, &'static str> {
    let in_page = (PageSize::K64.size() - PageSize::K64.offset(at.0)).min(BLOCK);
    let mut text = read(uv, at, in_page).await?;
    if !text.contains(&0) && in_page < BLOCK {
        text = read(uv, at, BLOCK).await?;
    }
    if let Some(end) = text.iter().position(|byte| *byte == 0) {
        text.truncate(end + 1);
    }
    Ok(text)
}

/// How many bytes come back; `None` for none. `head` are the buffer's first two bytes.
pub(super) fn length_out(transfer: &Transfer, results: &[u32], head: &[u8]) -> Option<u64> {
    let status = results.first()?.cast_signed();
    match transfer.service {
        Service::CheckException | Service::EventScan => (status == 0).then_some(transfer.len),
        Service::ConfigureConnector => (status >= 0 || status == -2).then_some(transfer.len),
        Service::GetSystemParameter if status == 0 => Some(transfer.len.min(number(head).into())),
        Service::NvramFetch if status == 0 => Some(transfer.len.min((*results.get(1)?).into())),
        _ => None,
    }
}

fn number(head: &[u8]) -> u16 {
    head.try_into().map_or(0, u16::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_stand_where_the_table_says() {
        let of = |service, args: &[u32]| transfer(service, args).map(|t| t.map(|t| (t.argument, t.guest.0, t.len)));
        assert_eq!(of(Service::CheckException, &[0, 0, 0, 0, 0x100, 64]), Ok(Some((4, 0x100, 64))));
        assert_eq!(of(Service::NvramFetch, &[0, 0x100, 5000]), Err("buffer longer than 4096 bytes"));
        assert_eq!(of(Service::ConfigureConnector, &[0x100, 0]), Ok(Some((0, 0x100, 4096))));
        assert_eq!(of(Service::ConfigureConnector, &[0x100, 1]), Err("second argument is not 0"));
        assert_eq!(of(Service::PowerOff, &[1, 2]), Ok(None));
        assert_eq!(of(Service::EventScan, &[1]), Err("too few arguments"));
    }

    #[test]
    fn what_comes_back_depends_on_the_status() {
        let out = |service, results: &[u32], head: &[u8]| {
            length_out(&Transfer { service, argument: 0, guest: GuestAddr(0), len: 100 }, results, head)
        };
        assert_eq!(out(Service::EventScan, &[0], &[0, 0]), Some(100));
        assert_eq!(out(Service::EventScan, &[u32::MAX], &[0, 0]), None);
        assert_eq!(out(Service::ConfigureConnector, &[(-2_i32).cast_unsigned()], &[0, 0]), Some(100));
        assert_eq!(out(Service::ConfigureConnector, &[(-3_i32).cast_unsigned()], &[0, 0]), None);
        assert_eq!(out(Service::GetSystemParameter, &[0], &[0, 7]), Some(7));
        assert_eq!(out(Service::GetSystemParameter, &[(-3_i32).cast_unsigned()], &[0, 7]), None);
        assert_eq!(out(Service::NvramFetch, &[0, 5000], &[0, 0]), Some(100));
        assert_eq!(out(Service::NvramFetch, &[1, 5], &[0, 0]), None);
        assert_eq!(out(Service::NvramStore, &[0], &[0, 0]), None);
    }
}
