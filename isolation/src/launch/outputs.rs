//! The files for a program's output on their way to the launcher: a message of one byte that carries
//! their descriptors, before the plan.

use std::{
    io::{self, IoSlice, IoSliceMut},
    mem::MaybeUninit,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::UnixStream,
    },
};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

/// What the byte says: standard output and standard error.
const OUTPUTS: [u8; 1] = [2];

/// Sends the two files.
pub(super) fn send_outputs(to: &UnixStream, outputs: [BorrowedFd<'_>; 2]) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    if !message.push(SendAncillaryMessage::ScmRights(&outputs)) {
        return Err(io::Error::other("two descriptors do not fit"));
    }
    let sent = sendmsg(
        to.as_fd(),
        &[IoSlice::new(&OUTPUTS)],
        &mut message,
        SendFlags::NOSIGNAL,
    )?;
    match sent {
        0 => Err(io::ErrorKind::WriteZero.into()),
        _ => Ok(()),
    }
}

/// Takes the two files; none when the other side has gone.
pub(super) fn receive_outputs(from: &UnixStream) -> io::Result<Option<[OwnedFd; 2]>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let received = recvmsg(
        from.as_fd(),
        &mut [IoSliceMut::new(&mut byte)],
        &mut message,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    if received.bytes == 0 {
        return Ok(None);
    }
    let mut files = message.drain().flat_map(|part| match part {
        RecvAncillaryMessage::ScmRights(files) => files.collect(),
        _ => Vec::new(),
    });
    match (byte, files.next(), files.next()) {
        (OUTPUTS, Some(stdout), Some(stderr)) => Ok(Some([stdout, stderr])),
        _ => Err(io::Error::other("it is told no output files")),
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        io::{Read as _, Write as _},
    };

    use super::*;

    #[test]
    fn files_arrive_in_order_and_an_end_is_told() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let (mut first, first_in) = io::pipe().unwrap();
        let (mut second, second_in) = io::pipe().unwrap();
        send_outputs(&ours, [first_in.as_fd(), second_in.as_fd()]).unwrap();
        drop((first_in, second_in));
        let received = receive_outputs(&theirs).unwrap().unwrap();
        let [stdout, stderr] = received.map(File::from);
        (&stdout).write_all(b"out").unwrap();
        (&stderr).write_all(b"err").unwrap();
        drop((stdout, stderr));
        let mut text = String::new();
        first.read_to_string(&mut text).unwrap();
        second.read_to_string(&mut text).unwrap();
        assert_eq!(text, "outerr");
        (&ours).write_all(b"x").unwrap();
        assert!(receive_outputs(&theirs).is_err(), "a byte without files");
        drop(ours);
        assert!(receive_outputs(&theirs).unwrap().is_none());
        assert_eq!(theirs.read(&mut [0]).unwrap(), 0);
    }
}
