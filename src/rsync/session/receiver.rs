//! The receiver: reads the client's answers, rebuilds files from tokens, proves them by their
//! sums. It waits for input and for nothing else.

use std::io::Read;
use std::sync::atomic::Ordering;

use super::item::{BASIS_FOLLOWS, IS_NEW, NAME_FOLLOWS, TRANSFER};
use super::meeting::{Asked, aborted};
use super::push::{IO_GENERAL, IO_VANISHED, Push};
use super::rebuilt::{Ended, Rebuilt};
use crate::rsync::checksum::FileSum;
use crate::rsync::error::{Error, Exit};
use crate::rsync::flist::{Entry, EntryKind};
use crate::rsync::mux::{Input, Message};
use crate::rsync::signature::SumHead;
use crate::rsync::token::{Decoder, Token};
use crate::rsync::tree::Refused;
use crate::rsync::wire::{NDX_DONE, NdxReader, Take};

/// Longest name in an echoed item.
const XNAME_MAX: usize = 4096;
/// Matched blocks are copied in pieces of at most this size.
const COPY: usize = 128 << 10;

/// The receiver of one push.
pub(super) struct Receiver<'p, 'a, R> {
    push: &'p Push<'a>,
    input: &'p mut Input<R>,
    ndx: NdxReader,
    decoder: Decoder,
    /// Small pieces are gathered here before they are written.
    gathered: Vec<u8>,
    copy: Vec<u8>,
    phases: u32,
    received: u64,
}

impl<'p, 'a, R: Read> Receiver<'p, 'a, R> {
    pub(super) fn new(push: &'p Push<'a>, input: &'p mut Input<R>) -> Self {
        Self {
            push,
            input,
            ndx: NdxReader::new(push.agreed.protocol),
            decoder: Decoder::new(push.agreed.compression, &push.settings.limits),
            gathered: Vec::new(),
            copy: Vec::new(),
            phases: 0,
            received: 0,
        }
    }

    /// Reads answers until the client closed its last phase.
    pub(super) fn run(&mut self) -> Result<(), Error> {
        let last = match self.push.agreed.protocol {
            ..=28 => 2,
            29 | 30 => 3,
            _ => 4,
        };
        while self.phases < last {
            let ndx = self.ndx.read(self.input)?;
            self.messages()?;
            if ndx == NDX_DONE {
                self.phase_ends()?;
            } else {
                self.item(ndx)?;
            }
        }
        Ok(())
    }

    fn phase_ends(&mut self) -> Result<(), Error> {
        self.phases += 1;
        for ndx in self.push.meeting.done()? {
            self.lost(ndx);
        }
        Ok(())
    }

    /// A file was asked for and will not come: the client has said why to its user.
    fn lost(&self, ndx: u32) {
        let Some(entry) = self.push.list.get(ndx as usize) else { return };
        let name = super::generator::shown(&entry.name());
        self.push.tally.unsent(self.push.settings.lang.pick(
            format!("el cliente no pudo leer \"{name}\""),
            format!("the client could not read \"{name}\""),
        ));
    }

    fn messages(&mut self) -> Result<(), Error> {
        if !self.input.has_messages() {
            return Ok(());
        }
        for message in self.input.messages() {
            match message {
                Message::IoError(bits) => self.push.tally.source_error(bits & (IO_GENERAL | IO_VANISHED)),
                Message::NoSend(ndx) => self.not_sent(ndx)?,
                Message::Exit | Message::Noop => {}
            }
        }
        Ok(())
    }

    fn not_sent(&self, ndx: i32) -> Result<(), Error> {
        let index = u32::try_from(ndx).ok();
        let asked = index.and_then(|index| Some((index, self.push.meeting.answered(index)?)));
        let Some((index, _)) = asked else {
            return Err(Error::protocol(format!("file {ndx} will not be sent, and was not asked for")));
        };
        self.push.meeting.fail(index);
        self.lost(index);
        Ok(())
    }

    fn item(&mut self, ndx: i32) -> Result<(), Error> {
        let push = self.push;
        let flags = if push.agreed.protocol >= 29 { self.input.short()? } else { TRANSFER };
        let behind = usize::try_from(ndx).is_ok_and(|ndx| ndx == push.list.len());
        if behind && flags == IS_NEW && push.agreed.protocol < 30 {
            return Ok(());
        }
        if flags & BASIS_FOLLOWS != 0 {
            self.input.byte()?;
        }
        if flags & NAME_FOLLOWS != 0 {
            self.input.vstring(XNAME_MAX)?;
        }
        let index = u32::try_from(ndx).map_err(|_| Error::protocol(format!("index {ndx}")))?;
        let entry = push
            .list
            .get(index as usize)
            .ok_or_else(|| Error::protocol(format!("index {ndx} is not in the list")))?;
        if flags & TRANSFER == 0 {
            return Ok(());
        }
        if entry.kind() != EntryKind::File {
            return Err(Error::protocol(format!("data for entry {ndx}, which is not a file")));
        }
        let asked = push.meeting.answered(index);
        let asked =
            asked.ok_or_else(|| Error::protocol(format!("data for entry {ndx}, which was not asked for")))?;
        if push.options.dry_run {
            return Ok(());
        }
        SumHead::read(self.input, push.agreed.transfer_sum.len())?;
        self.file(index, entry, &asked)
    }

    fn file(&mut self, ndx: u32, entry: Entry<'_>, asked: &Asked) -> Result<(), Error> {
        let push = self.push;
        let path = push.path(entry);
        let (file, refused) = match push.tree.create(&path, entry.size()) {
            Ok(file) => (Some(file), None),
            Err(refused) => (None, Some(refused)),
        };
        let mut rebuilt = Rebuilt::new(file, refused, std::mem::take(&mut self.gathered));
        let ended = self.tokens(asked, &mut rebuilt);
        let whole = match ended {
            Ok(whole) => whole,
            Err(error) => {
                let keeps = push.options.partial && !push.options.partial_dir;
                rebuilt.broken(keeps || push.settings.keeps_broken);
                return Err(error);
            }
        };
        if !whole {
            return self.wrong(ndx, entry, asked, rebuilt);
        }
        let (ended, gathered) = rebuilt.finish(&push.meta(entry));
        self.gathered = gathered;
        match ended {
            Ended::Whole => {
                push.tally.transferred.fetch_add(1, Ordering::Relaxed);
                push.succeeded(ndx);
                Ok(())
            }
            Ended::Refused(refused) => {
                push.meeting.fail(ndx);
                push.soft_at(&entry.name(), &refused)
            }
        }
    }

    /// Reads one file's tokens and sum. `false`: the sum is wrong.
    fn tokens(&mut self, asked: &Asked, rebuilt: &mut Rebuilt) -> Result<bool, Error> {
        let agreed = &self.push.agreed;
        let mut sum = FileSum::new(agreed.transfer_sum, agreed.protocol, agreed.seed);
        let (mut literal, mut matched) = (0u64, 0u64);
        let limit = self.push.settings.limits.total_bytes.saturating_sub(self.received);
        self.decoder.begin(&asked.head);
        loop {
            match self.decoder.next(self.input)? {
                Token::Literal(bytes) => {
                    literal += bytes.len() as u64;
                    sum.update(bytes);
                    rebuilt.write(bytes);
                }
                Token::Blocks { first, count } => {
                    let Some((from, length)) = asked.head.run(first, count) else { return Err(aborted()) };
                    matched += length;
                    self.copy(asked, from, length, &mut sum, rebuilt)?;
                }
                Token::End => break,
            }
            if literal + matched > limit {
                return Err(too_much(self.push.settings.limits.total_bytes));
            }
        }
        self.received += literal + matched;
        let tally = &self.push.tally;
        tally.literal.fetch_add(literal, Ordering::Relaxed);
        tally.matched.fetch_add(matched, Ordering::Relaxed);
        let theirs = self.input.bytes(agreed.transfer_sum.len())?;
        Ok(sum.finish().as_bytes() == theirs)
    }

    /// Takes blocks from the basis.
    fn copy(
        &mut self,
        asked: &Asked,
        mut from: u64,
        length: u64,
        sum: &mut FileSum,
        rebuilt: &mut Rebuilt,
    ) -> Result<(), Error> {
        let Some(basis) = &asked.basis else {
            return Err(Error::protocol("blocks of a file that was asked for whole"));
        };
        let end = from + length;
        while from < end {
            let want = usize::try_from(end - from).map_or(COPY, |rest| rest.min(COPY));
            if self.copy.len() < want {
                self.copy.resize(want, 0);
            }
            let Some(piece) = self.copy.get_mut(..want) else { break };
            if let Err(error) = basis.read_at(piece, from) {
                // The tokens must be read to their end all the same.
                piece.fill(0);
                rebuilt.refuse(Refused::from(error));
            }
            sum.update(piece);
            rebuilt.write(piece);
            self.decoder.saw_block(piece)?;
            from += want as u64;
        }
        Ok(())
    }

    /// The sum was wrong: once more, or not at all.
    fn wrong(&mut self, ndx: u32, entry: Entry<'_>, asked: &Asked, rebuilt: Rebuilt) -> Result<(), Error> {
        let push = self.push;
        let name = &*entry.name();
        let (kept, refused, gathered) = rebuilt.into_basis();
        self.gathered = gathered;
        if let Some(refused) = refused {
            push.meeting.fail(ndx);
            return push.soft_at(name, &refused);
        }
        if !asked.again {
            push.meeting.redo(ndx, kept.map(Into::into));
            let told = push.options.verbose > 0 || push.itemizes() > 0;
            let text =
                [b"WARNING: ", name, b" failed verification -- update discarded (will try again)."].concat();
            return if told { push.warn(&text) } else { Ok(()) };
        }
        push.meeting.fail(ndx);
        let name = String::from_utf8_lossy(name);
        push.soft(&Refused::partial(format!("ERROR: {name} failed verification -- update discarded.")))
    }
}

fn too_much(limit: u64) -> Error {
    Error::new(
        Exit::FileIo,
        format!("el envío pasa del límite de {limit} bytes"),
        format!("the push is longer than the limit of {limit} bytes"),
    )
}
