//! Standard input and output as streams of a session.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// Standard input, with a limit of silence.
pub(crate) struct Input {
    file: File,
    patience: Option<Duration>,
}

impl Input {
    /// A read that takes longer than `seconds` fails; 0 waits for ever.
    pub(crate) fn patient(mut self, seconds: u32) -> Self {
        self.patience = (seconds > 0).then(|| Duration::from_secs(seconds.into()));
        self
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(patience) = self.patience {
            let limit = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: 0 };
            let mut fds = [PollFd::new(&self.file, PollFlags::IN)];
            if poll(&mut fds, Some(&limit))? == 0 {
                return Err(io::ErrorKind::TimedOut.into());
            }
        }
        self.file.read(buffer)
    }
}

/// Both streams, blocking: some clients hand them over as non-blocking.
pub(crate) fn streams() -> (Input, File) {
    let input = blocking(io::stdin().as_fd().try_clone_to_owned());
    let output = blocking(io::stdout().as_fd().try_clone_to_owned());
    (Input { file: input, patience: None }, output)
}

fn blocking(fd: io::Result<OwnedFd>) -> File {
    let Ok(fd) = fd else { std::process::exit(i32::from(difusor::rsync::Exit::SocketIo.code())) };
    if let Ok(flags) = fcntl_getfl(&fd) {
        // Reads and writes fail with EAGAIN then, which ends the session with a sentence.
        let _ = fcntl_setfl(&fd, flags - OFlags::NONBLOCK);
    }
    File::from(fd)
}
