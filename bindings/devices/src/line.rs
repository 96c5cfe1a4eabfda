//! The line to a thread of the program: what the preload object sends, and what it is asked to do.
//!
//! A message is five big-endian numbers of 8 bytes, `kind`, `a`, `b`, `c` and the length of the bytes behind them.
//!
//! | kind | from | a | b | c | bytes |
//! |---|---|---|---|---|---|
//! | 1 HELLO | program | 1: big endian | process id | 1: stands for the process | |
//! | 2 OPEN | program | | | | path |
//! | 3 IOCTL | program | object | request | argument | |
//! | 4 CLOSE | program | object | | | |
//! | 5 TOUCH | program | address | | | |
//! | 6 SIGNAL | program, while it waits | | | | |
//! | 7 DONE | program | error number | | | what was read |
//! | 16 READ | daemon | address | bytes | | |
//! | 17 WRITE | daemon | address | | | the bytes |
//! | 18 PROTECT | daemon | address | bytes | 1: open, 0: closed | |
//! | 19 SHARE | daemon, with a file | address | bytes | | |
//! | 20 RETURN | daemon, with a file for an object | value; for an object the address for the file descriptor, or 0 | error number | object | |
//!
//! OPEN, IOCTL, CLOSE and TOUCH are answered by any number of READ, WRITE, PROTECT, SHARE, each with its DONE, then RETURN.

use std::io::{self, ErrorKind, IoSlice, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags};
use uv_s390::abi::Errno;

/// Kinds of messages.
mod kind {
    pub(super) const HELLO: u64 = 1;
    pub(super) const OPEN: u64 = 2;
    pub(super) const IOCTL: u64 = 3;
    pub(super) const CLOSE: u64 = 4;
    pub(super) const TOUCH: u64 = 5;
    pub(super) const SIGNAL: u64 = 6;
    pub(super) const DONE: u64 = 7;
    pub(super) const READ: u64 = 16;
    pub(super) const WRITE: u64 = 17;
    pub(super) const PROTECT: u64 = 18;
    pub(super) const SHARE: u64 = 19;
    pub(super) const RETURN: u64 = 20;
}

/// Most bytes that are copied at once: what the largest argument of an ioctl has.
const MAX_BYTES: u64 = 16 << 20;

/// What a program wants.
#[derive(Debug)]
pub enum Wish {
    /// It opens a device file.
    Open(String),
    /// It issues an ioctl.
    Ioctl {
        /// The object that its file descriptor stands for.
        object: u64,
        /// Request number.
        request: u32,
        /// The argument as it is.
        argument: u64,
    },
    /// It closes the file descriptor of an object.
    Close(u64),
    /// It touched a page that is closed to it, or that is not there.
    Touch(u64),
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hello {
    /// Its structures are big endian.
    pub big_endian: bool,
    /// Process id.
    pub process: u64,
    /// The line stands for the process: its end is the end of the process.
    pub whole_process: bool,
}

/// The line.
#[derive(Debug)]
pub struct Line {
    stream: UnixStream,
    /// A signal came since the wish.
    signal: bool,
}

impl Line {
    /// A line that was just opened, and who is at its end.
    ///
    /// # Errors
    /// The line broke, or something else than a preload object is there.
    pub fn greet(stream: UnixStream) -> io::Result<(Self, Hello)> {
        let mut line = Self { stream, signal: false };
        let ([kind, big_endian, process, whole], _) = line.receive()?;
        if kind != kind::HELLO {
            return Err(ErrorKind::InvalidData.into());
        }
        Ok((line, Hello { big_endian: big_endian == 1, process, whole_process: whole == 1 }))
    }

    fn receive(&mut self) -> io::Result<([u64; 4], Vec<u8>)> {
        let mut bytes = [0; 40];
        self.stream.read_exact(&mut bytes)?;
        let mut numbers = [0; 5];
        for (number, bytes) in numbers.iter_mut().zip(bytes.chunks_exact(8)) {
            *number = u64::from_be_bytes(bytes.try_into().unwrap_or_default());
        }
        let [kind, a, b, c, length] = numbers;
        if length > MAX_BYTES {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut bytes = vec![0; usize::try_from(length).map_err(|_| ErrorKind::InvalidData)?];
        self.stream.read_exact(&mut bytes)?;
        Ok(([kind, a, b, c], bytes))
    }

    fn send(&mut self, numbers: [u64; 4], bytes: &[u8], file: Option<BorrowedFd<'_>>) -> io::Result<()> {
        let length = u64::try_from(bytes.len()).map_err(|_| ErrorKind::InvalidInput)?;
        let [kind, a, b, c] = numbers;
        let head: Vec<u8> = [kind, a, b, c, length].into_iter().flat_map(u64::to_be_bytes).collect();
        match file {
            Some(file) => {
                let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
                let mut control = SendAncillaryBuffer::new(&mut space);
                let files = [file];
                control.push(SendAncillaryMessage::ScmRights(&files));
                let sent =
                    rustix::net::sendmsg(&self.stream, &[IoSlice::new(&head)], &mut control, SendFlags::NOSIGNAL)?;
                self.stream.write_all(head.get(sent..).unwrap_or_default())?;
            }
            None => self.stream.write_all(&head)?,
        }
        self.stream.write_all(bytes)
    }

    /// The next wish; `None` when the program has ended or has closed the line.
    ///
    /// # Errors
    /// The line broke in the middle, or what came is no wish.
    pub fn wish(&mut self) -> io::Result<Option<Wish>> {
        loop {
            let ([kind, a, b, c], bytes) = match self.receive() {
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                other => other?,
            };
            self.signal = false;
            return Ok(Some(match kind {
                kind::OPEN => Wish::Open(String::from_utf8_lossy(&bytes).into_owned()),
                kind::IOCTL => {
                    let request = u32::try_from(b).map_err(|_| ErrorKind::InvalidData)?;
                    Wish::Ioctl { object: a, request, argument: c }
                }
                kind::CLOSE => Wish::Close(a),
                kind::TOUCH => Wish::Touch(a),
                // It came while the answer was under way.
                kind::SIGNAL => continue,
                _ => return Err(ErrorKind::InvalidData.into()),
            }));
        }
    }

    /// Lets the program do something and gives what it answers.
    fn ask(&mut self, numbers: [u64; 4], bytes: &[u8], file: Option<BorrowedFd<'_>>) -> Result<Vec<u8>, Errno> {
        let broken = |_| Errno::EIO;
        self.send(numbers, bytes, file).map_err(broken)?;
        loop {
            let ([kind, error, ..], bytes) = self.receive().map_err(broken)?;
            match (kind, error) {
                (kind::SIGNAL, _) => self.signal = true,
                (kind::DONE, 0) => return Ok(bytes),
                (kind::DONE, error) => return Err(Errno(i32::try_from(error).unwrap_or(Errno::EIO.0))),
                _ => return Err(Errno::EIO),
            }
        }
    }

    /// Copies from the program's memory.
    ///
    /// # Errors
    /// [`Errno::EFAULT`]; [`Errno::EIO`] when the program has ended, here and below.
    pub fn copy_in(&mut self, at: u64, length: usize) -> Result<Vec<u8>, Errno> {
        let wanted = u64::try_from(length).map_err(|_| Errno::EFAULT)?;
        if wanted == 0 {
            return Ok(Vec::new());
        }
        let bytes = self.ask([kind::READ, at, wanted, 0], &[], None)?;
        if bytes.len() == length { Ok(bytes) } else { Err(Errno::EIO) }
    }

    /// Copies to the program's memory.
    ///
    /// # Errors
    /// [`Errno::EFAULT`].
    pub fn copy_out(&mut self, at: u64, bytes: &[u8]) -> Result<(), Errno> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.ask([kind::WRITE, at, 0, 0], bytes, None).map(|_| ())
    }

    /// Opens or closes pages of the program's memory to it.
    ///
    /// # Errors
    /// Those of `mprotect`.
    pub fn protect(&mut self, at: u64, length: u64, open: bool) -> Result<(), Errno> {
        self.ask([kind::PROTECT, at, length, open.into()], &[], None).map(|_| ())
    }

    /// Puts a shared file in the place of the program's memory, with what is in that.
    ///
    /// # Errors
    /// Those of `mmap`.
    pub fn share(&mut self, at: u64, length: u64, file: BorrowedFd<'_>) -> Result<(), Errno> {
        self.ask([kind::SHARE, at, length, 0], &[], Some(file)).map(|_| ())
    }

    /// Ends the wish with a value.
    ///
    /// # Errors
    /// The line broke.
    pub fn end(&mut self, result: Result<u64, Errno>) -> io::Result<()> {
        let numbers = match result {
            Ok(value) => [kind::RETURN, value, 0, 0],
            Err(errno) => [kind::RETURN, 0, u64::try_from(errno.0).unwrap_or(5), 0],
        };
        self.send(numbers, &[], None)
    }

    /// Ends the wish with a file descriptor for an object; its number goes to an address of the program, or is the value for 0.
    ///
    /// # Errors
    /// The line broke.
    pub fn end_with(&mut self, object: u64, file: BorrowedFd<'_>, at: u64) -> io::Result<()> {
        self.send([kind::RETURN, at, 0, object], &[], Some(file))
    }

    /// Waits a while for a signal to the program's thread; `true` when there was one since the wish.
    ///
    /// # Errors
    /// [`Errno::EIO`] when the program has ended.
    pub fn wait_for_signal(&mut self, time: Duration) -> Result<bool, Errno> {
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        let mut polled = [PollFd::new(&self.stream, PollFlags::IN)];
        if !self.signal && rustix::event::poll(&mut polled, Some(&time)).unwrap_or(0) > 0 {
            match self.receive() {
                Ok(([kind::SIGNAL, ..], _)) => self.signal = true,
                _ => return Err(Errno::EIO),
            }
        }
        Ok(self.signal)
    }
}
