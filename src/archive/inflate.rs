//! The compression layer of a tar: none, gzip or Zstandard, one step at a time.
//!
//! After the last member or frame nothing may follow but zeros that fill the file up to
//! a whole 512-byte record: bsdtar writes such padding behind the *compressed* data when
//! its output is a pipe (`bsdtar czf - . | ssh …`, the tar of macOS and the BSDs).

use super::gzip::Gunzip;
use super::zst::Unzst;
use super::{Format, Reason, Refusal};

/// What one step took and gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Input bytes used up.
    pub(super) taken: usize,
    /// Output bytes written to the front of the buffer.
    pub(super) given: usize,
}

/// A decoder that is pushed. A step that takes and gives nothing wants more input.
#[derive(Debug)]
pub(super) struct Inflate {
    decoder: Decoder,
    /// Input bytes taken in all.
    taken: u64,
    /// Zeros taken after the end.
    padding: u64,
}

#[derive(Debug)]
enum Decoder {
    /// `.tar`.
    Plain,
    /// `.tar.gz`.
    Gzip(Box<Gunzip>),
    /// `.tar.zst`.
    Zstd(Unzst),
}

impl Inflate {
    /// The decoder for a tar format; zip inflates its entries itself.
    pub(super) fn new(format: Format) -> Result<Self, Refusal> {
        let decoder = match format {
            Format::Tar | Format::Zip => Decoder::Plain,
            Format::TarGz => Decoder::Gzip(Box::new(Gunzip::new())),
            Format::TarZst => Decoder::Zstd(Unzst::new()?),
        };
        Ok(Self { decoder, taken: 0, padding: 0 })
    }

    /// Decodes from `input` into `out`.
    pub(super) fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        let step = if self.padding > 0 || (self.is_over() && input.first() == Some(&0)) {
            self.pad(input)?
        } else {
            self.decoder.step(input, out)?
        };
        self.taken += step.taken as u64;
        Ok(step)
    }

    /// The input is over: was the container?
    pub(super) fn finish(&self) -> Result<(), Refusal> {
        match &self.decoder {
            Decoder::Plain => {}
            Decoder::Gzip(gunzip) => gunzip.finish()?,
            Decoder::Zstd(unzst) => unzst.finish()?,
        }
        if self.padding > 0 && !self.taken.is_multiple_of(RECORD) {
            return Err(Refusal::new(Reason::GzipTrailing));
        }
        Ok(())
    }

    /// Whether the decoder has seen a whole container.
    fn is_over(&self) -> bool {
        match &self.decoder {
            Decoder::Plain => false,
            Decoder::Gzip(gunzip) => gunzip.is_over(),
            Decoder::Zstd(unzst) => unzst.is_over(),
        }
    }

    fn pad(&mut self, input: &[u8]) -> Result<Step, Refusal> {
        self.padding += input.len() as u64;
        if self.padding > PADDING_MAX || input.iter().any(|b| *b != 0) {
            return Err(Refusal::new(Reason::GzipTrailing));
        }
        Ok(Step { taken: input.len(), given: 0 })
    }
}

impl Decoder {
    fn step(&mut self, input: &[u8], out: &mut [u8]) -> Result<Step, Refusal> {
        match self {
            Self::Plain => {
                let count = input.len().min(out.len());
                if let (Some(from), Some(to)) = (input.get(..count), out.get_mut(..count)) {
                    to.copy_from_slice(from);
                }
                Ok(Step { taken: count, given: count })
            }
            Self::Gzip(gunzip) => gunzip.step(input, out),
            Self::Zstd(unzst) => unzst.step(input, out),
        }
    }
}

/// What padding fills up: `tar -b` counts in these.
pub(super) const RECORD: u64 = 512;

/// The largest padding: one byte less than bsdtar's largest record, 8192 blocks.
pub(super) const PADDING_MAX: u64 = 8192 * RECORD;
