//! Zstandard (RFC 8878), read to its last byte.
//!
//! The published codes know one compression layer by the name of gzip: damaged frames
//! are `GzipCrc`, foreign bytes after them `GzipTrailing`, and the detail says zstd.

use std::fmt;

use zstd::stream::raw::{DParameter, Decoder, Operation as _};

use super::inflate::Step;
use super::{Reason, Refusal};

/// A Zstandard decoder that is pushed.
pub(super) struct Unzst {
    decoder: Decoder<'static>,
    /// Between two frames: what comes next must be a frame, or nothing.
    between: bool,
    frames: u64,
}

impl Unzst {
    pub(super) fn new() -> Result<Self, Refusal> {
        let mut decoder = Decoder::new().map_err(|error| damaged(&error.to_string()))?;
        decoder
            .set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))
            .map_err(|error| damaged(&error.to_string()))?;
        Ok(Self { decoder, between: true, frames: 0 })
    }

    /// Decodes from `input` into `out`.
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        let Some(&first) = input.first() else { return self.flush(out) };
        // The first byte of a frame's magic number, or of a skippable frame's.
        if self.between && first != 0x28 && !(0x50..=0x5f).contains(&first) {
            return Err(self.no_frame());
        }
        self.run(input, out)
    }

    /// The input is over; it must have been so between two frames.
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        if self.is_over() {
            return Ok(());
        }
        Err(Refusal::new(Reason::Truncated)
            .detail(("el zstd termina a mitad de un bloque", "zstd ends inside a frame")))
    }

    /// Whether a frame has ended and no other begun.
    pub(super) fn is_over(&self) -> bool {
        self.between && self.frames > 0
    }

    /// What the decoder still holds when there is no more input.
    fn flush(&mut self, out: &mut [u8]) -> Result<Step, Refusal> {
        if self.between { Ok(Step { taken: 0, given: 0 }) } else { self.run(&[], out) }
    }

    fn no_frame(&self) -> Refusal {
        match self.frames {
            0 => {
                Refusal::new(Reason::FormatMismatch).detail(("el contenido no es zstd", "content is no zstd"))
            }
            _ => Refusal::new(Reason::GzipTrailing),
        }
    }

    fn run(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        let status = self.decoder.run_on_buffers(input, out).map_err(|error| {
            let text = error.to_string();
            if text.contains("frame descriptor") {
                return self.no_frame();
            }
            if text.contains("too much memory") {
                let window = 1_u64 << WINDOW_LOG_MAX;
                return Refusal::new(Reason::HeaderBad).detail(format!("zstd: > {window} B"));
            }
            damaged(&text)
        })?;
        let moved = status.bytes_read > 0 || status.bytes_written > 0;
        self.frames += u64::from(moved && status.remaining == 0);
        if moved {
            self.between = status.remaining == 0;
        }
        Ok(Step { taken: status.bytes_read, given: status.bytes_written })
    }
}

impl fmt::Debug for Unzst {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unzst").field("between", &self.between).field("frames", &self.frames).finish()
    }
}

fn damaged(text: &str) -> Refusal {
    Refusal::new(Reason::GzipCrc).detail(format!("zstd: {text}"))
}

/// Memory bound: 32 MiB. Levels up to 19 use 8 MiB; only `--long` and `--ultra` ask for more.
const WINDOW_LOG_MAX: u32 = 25;
