//! How a session ends: rsync's exit codes, and one sentence.

use std::io;

/// Language of what the peer's operator reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lang {
    /// Spanish.
    #[default]
    Es,
    /// English.
    En,
}

impl Lang {
    /// The text of this language.
    pub fn pick<T>(self, es: T, en: T) -> T {
        match self {
            Self::Es => es,
            Self::En => en,
        }
    }
}

/// Exit codes of rsync(1), "EXIT VALUES".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Exit {
    /// Success.
    Ok = 0,
    /// Syntax or usage error.
    Syntax = 1,
    /// Protocol incompatibility.
    Protocol = 2,
    /// Errors selecting input/output files, dirs.
    FileSelect = 3,
    /// Requested action not supported.
    Unsupported = 4,
    /// Error starting client-server protocol.
    Start = 5,
    /// Error in socket I/O.
    SocketIo = 10,
    /// Error in file I/O.
    FileIo = 11,
    /// Error in rsync protocol data stream.
    Stream = 12,
    /// Received SIGUSR1 or SIGINT.
    Signal = 20,
    /// Error allocating core memory buffers.
    Memory = 22,
    /// Partial transfer due to error.
    Partial = 23,
    /// Partial transfer due to vanished source files.
    Vanished = 24,
    /// The --max-delete limit stopped deletions.
    MaxDelete = 25,
    /// Timeout in data send/receive.
    Timeout = 30,
    /// Timeout waiting for daemon connection.
    ConnectTimeout = 35,
}

impl Exit {
    /// The number on the wire and to the caller.
    pub fn code(self) -> u8 {
        self as u8
    }
}

/// Why a session ended early. The sentences are for the peer's operator and the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{en}")]
pub struct Error {
    /// What the process would exit with.
    pub exit: Exit,
    /// One sentence in Spanish, no newline.
    pub es: String,
    /// The same in English.
    pub en: String,
}

impl Error {
    /// An error with its sentence in both languages.
    pub fn new(exit: Exit, es: impl Into<String>, en: impl Into<String>) -> Self {
        Self { exit, es: es.into(), en: en.into() }
    }

    /// The peer broke the protocol: exit 2 and what it broke, for the log.
    pub fn protocol(what: impl AsRef<str>) -> Self {
        let what = what.as_ref();
        Self::new(Exit::Protocol, format!("protocolo rsync: {what}"), format!("rsync protocol: {what}"))
    }

    /// The peer ended by itself, with this code.
    pub fn theirs(code: i32) -> Self {
        let known = [
            Exit::Partial,
            Exit::Vanished,
            Exit::Timeout,
            Exit::FileIo,
            Exit::Signal,
            Exit::Protocol,
            Exit::Memory,
        ];
        let exit = known.into_iter().find(|exit| i32::from(exit.code()) == code).unwrap_or(Exit::Stream);
        Self::new(
            exit,
            format!("el cliente terminó con el código {code}"),
            format!("the client ended with code {code}"),
        )
    }

    /// The sentence in a language.
    pub fn text(&self, lang: Lang) -> &str {
        lang.pick(&self.es, &self.en)
    }
}

impl From<io::Error> for Error {
    /// A failure of the peer's stream: 30 for a timeout, 12 for the rest.
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::new(
                Exit::Timeout,
                "el cliente dejó de enviar (tiempo agotado)",
                "the client went silent (timeout)",
            ),
            io::ErrorKind::UnexpectedEof => Self::new(
                Exit::Stream,
                "la conexión se cortó a la mitad",
                "the connection closed in the middle",
            ),
            _ => Self::new(Exit::Stream, format!("conexión: {error}"), format!("connection: {error}")),
        }
    }
}
