//! Service calls of the guests' scripts: the blocks as Linux's guests make them.

use uv_s390::sim::GuestInsn;

const READ_SCP_INFO: u32 = 0x0002_0001;
const WRITE_EVENT_MASK: u32 = 0x0078_0005;
const WRITE_EVENT_DATA: u32 = 0x0076_0005;
/// Event type of the ASCII console.
const ASCII: u8 = 0x1a;
/// Length of the masks of event types.
const MASK: u16 = 4;

/// A block: length, function code and control mask 0, response code 0, and what follows.
fn block(rest: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + rest.len()).unwrap_or(u16::MAX);
    let mut block = length.to_be_bytes().to_vec();
    block.extend([0; 6]);
    block.extend(rest);
    block
}

/// What the machine is.
pub(super) fn read_scp_info() -> GuestInsn {
    GuestInsn::Servc { command: READ_SCP_INFO, sccb: block(&[0; 4096 - 8]) }
}

/// The guest takes and gives events of the ASCII console.
pub(super) fn write_event_mask() -> GuestInsn {
    let bit = (1_u32 << (32 - ASCII)).to_be_bytes();
    let mut rest = vec![0, 0];
    rest.extend(MASK.to_be_bytes());
    rest.extend(bit);
    rest.extend(bit);
    // Out: the masks of the machine.
    rest.extend([0; 8]);
    GuestInsn::Servc { command: WRITE_EVENT_MASK, sccb: block(&rest) }
}

/// A line of text.
pub(super) fn write_console(text: &str) -> GuestInsn {
    let text = format!("{text}\r\n");
    let length = u16::try_from(6 + text.len()).unwrap_or(u16::MAX);
    let mut rest = length.to_be_bytes().to_vec();
    rest.extend([ASCII, 0, 0, 0]);
    rest.extend(text.into_bytes());
    GuestInsn::Servc { command: WRITE_EVENT_DATA, sccb: block(&rest) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_have_their_length_in_front() {
        let GuestInsn::Servc { command, sccb } = write_console("hi") else { panic!("a service call") };
        assert_eq!(command, 0x76_0005);
        assert_eq!(sccb, [0, 18, 0, 0, 0, 0, 0, 0, 0, 10, 0x1a, 0, 0, 0, b'h', b'i', b'\r', b'\n']);
        let GuestInsn::Servc { sccb, .. } = write_event_mask() else { panic!("a service call") };
        assert_eq!((sccb.len(), &sccb[8..16]), (28, &[0, 0, 0, 4, 0, 0, 0, 0x40][..]));
    }
}
