//! A receiver just large enough to meet stock clients: greeting, negotiation, signatures and
//! tokens are the room's own; the tree is a list of byte strings.

use std::cell::RefCell;
use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use difusor::rsync::checksum::{Algorithm, BlockSum, FileSum};
use difusor::rsync::daemon::{Greeted, Module, Modules, greet};
use difusor::rsync::mux::{Input, Tag, frame};
use difusor::rsync::negotiate::{Agreed, negotiate};
use difusor::rsync::signature::{SumHead, sign};
use difusor::rsync::token::{Decoder, Token};
use difusor::rsync::wire::{NDX_DONE, NdxReader, NdxWriter, Take, put_short};
use difusor::rsync::{Basis, Error, Lang, Limits, Options};

pub const SEED: i32 = 0x7357_1234;

/// Bytes we hold.
pub struct Held(pub Vec<u8>);

impl Basis for Held {
    fn size(&self) -> u64 {
        self.0.len() as u64
    }
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let from = offset as usize;
        buffer.copy_from_slice(self.0.get(from..from + buffer.len()).ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// One module `m`, perhaps with a user `prep`.
#[derive(Default, Clone)]
pub struct Shop {
    pub module: Module,
    pub secret: Option<Vec<u8>>,
    pub full: Option<u32>,
    pub motd: Vec<String>,
}

impl Modules for Shop {
    fn motd(&self) -> Vec<String> {
        self.motd.clone()
    }
    fn list(&self) -> Vec<(String, String)> {
        vec![("m".into(), "resultados".into())]
    }
    fn find(&self, name: &[u8]) -> Option<Module> {
        (name == b"m").then(|| self.module.clone())
    }
    fn enter(&self, _: &[u8]) -> Result<(), u32> {
        self.full.map_or(Ok(()), Err)
    }
    fn secret(&self, _: &[u8], user: &[u8]) -> Option<Vec<u8>> {
        self.secret.clone().filter(|_| user == b"prep")
    }
    fn random(&self) -> [u8; 32] {
        *b"0123456789abcdefghijklmnopqrstuv"
    }
}

/// What a push did.
#[derive(Default, Debug)]
pub struct Got {
    pub greeted: Option<Greeted>,
    pub agreed: Option<Agreed>,
    pub files: Vec<(Vec<u8>, Vec<u8>)>,
    pub literal: u64,
    pub matched: u64,
    /// All that the client said.
    pub heard: Vec<u8>,
    pub error: Option<Error>,
}

/// What we hold of a name.
pub type Holding<'a> = &'a dyn Fn(&[u8]) -> Option<Vec<u8>>;

/// Answers one client of `listener`; `held(name)` are the bytes it signs.
fn answer(listener: &TcpListener, shop: &Shop, held: Holding<'_>) -> Got {
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream.set_nodelay(true).unwrap();
    let tap = Rc::new(RefCell::new(Vec::new()));
    let input = BufReader::with_capacity(64 << 10, Tap(&stream, Rc::clone(&tap)));
    let mut got = replay(input, &stream, shop, held);
    got.heard = tap.take();
    got
}

/// The same over any two halves, such as what a client once said.
pub fn replay(input: impl Read, output: impl Write, shop: &Shop, held: Holding<'_>) -> Got {
    let mut got = Got::default();
    got.error = push(input, output, shop, held, &mut got).err();
    got
}

fn push(
    mut input: impl Read,
    mut output: impl Write,
    shop: &Shop,
    held: Holding<'_>,
    got: &mut Got,
) -> Result<(), Error> {
    let Some(greeted) = greet(&mut input, &mut output, shop, &Limits::default(), Lang::En)? else {
        return Ok(());
    };
    got.greeted = Some(greeted.clone());
    let mut send = |bytes: &[u8]| Ok(output.write_all(bytes)?);
    if let Some(error) = greeted.refused {
        return refuse(error, &mut Input::new(input), &mut send, greeted.protocol);
    }
    let mut input = Input::new(input);
    let agreed = negotiate(&mut input, &mut send, Some(greeted.protocol), &greeted.options, SEED)?;
    got.agreed = Some(agreed);
    if agreed.framed_input {
        input.demultiplex(agreed.protocol);
    }
    let names = list(&mut input, &greeted, &agreed)?;
    transfer(&mut input, &mut output, &agreed, &names, held, got)
}

/// Says why there will be no push, with nothing but a seed agreed.
fn refuse(
    error: Error,
    input: &mut Input<impl Read>,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    protocol: u8,
) -> Result<(), Error> {
    let agreed = negotiate(input, send, Some(protocol), &Options::default(), SEED)?;
    let mut out = Vec::new();
    frame(
        if agreed.protocol >= 30 { Tag::Error } else { Tag::ErrorXfer },
        format!("{}\n", error.en).as_bytes(),
        &mut out,
    );
    if agreed.protocol >= 31 {
        frame(Tag::ErrorExit, &i32::from(error.exit.code()).to_le_bytes(), &mut out);
    }
    send(&out)?;
    // The client acknowledges an exit and then waits for us; below 31 it knows of none.
    let mut header = [0; 4];
    while agreed.protocol >= 31 && input.fill(&mut header).is_ok() && header[3] != 7 + Tag::ErrorExit as u8 {
        input.skip(u64::from(u32::from_le_bytes([header[0], header[1], header[2], 0])))?;
    }
    Err(error)
}

fn drain(input: &mut Input<impl Read>) {
    while let Ok(1..) = input.peek(1 << 16).map(<[u8]>::len) {
        input.consume(1 << 16);
    }
}

/// Keeps what was read.
struct Tap<R>(R, Rc<RefCell<Vec<u8>>>);

impl<R: Read> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.borrow_mut().extend_from_slice(&buffer[..n]);
        Ok(n)
    }
}

/// A list of plain files, in the client's order.
fn list(input: &mut impl Take, greeted: &Greeted, agreed: &Agreed) -> Result<Vec<Vec<u8>>, Error> {
    let protocol = agreed.protocol;
    let mut names: Vec<Vec<u8>> = Vec::new();
    loop {
        let flags = if agreed.shape.varint_flags {
            input.varint()?
        } else {
            let low = i32::from(input.byte()?);
            if protocol >= 28 && low & 4 != 0 { low | i32::from(input.byte()?) << 8 } else { low }
        };
        if flags == 0 {
            if agreed.shape.varint_flags {
                input.varint()?;
            }
            break;
        }
        let mut name = Vec::new();
        if flags & 0x20 != 0 {
            let same = usize::from(input.byte()?);
            let before = names.last().and_then(|name| name.get(..same));
            name.extend_from_slice(before.ok_or_else(|| Error::protocol("name"))?);
        }
        let rest =
            if flags & 0x40 != 0 { input.varint30(protocol)? as usize } else { usize::from(input.byte()?) };
        expect(rest < 4096 && names.len() < 10, "the list")?;
        name.extend(input.bytes(rest)?);
        input.varlong30(protocol, 3)?;
        if flags & 0x80 == 0 {
            if protocol >= 30 { input.varlong(4).map(drop)? } else { input.int().map(drop)? }
        }
        if flags & 0x2000 != 0 {
            input.varint()?;
        }
        if flags & 2 == 0 {
            input.int()?;
        }
        if greeted.options.checksum {
            input.bytes(agreed.shape.sum_len)?;
        }
        names.push(name);
    }
    if protocol < 30 {
        input.int()?;
    }
    names.sort();
    Ok(names)
}

fn transfer(
    input: &mut Input<impl Read>,
    output: &mut dyn Write,
    agreed: &Agreed,
    names: &[Vec<u8>],
    held: Holding<'_>,
    got: &mut Got,
) -> Result<(), Error> {
    let phases = if agreed.protocol >= 29 { 3 } else { 2 };
    let mut ndx = NdxWriter::new(agreed.protocol);
    let mut heads = Vec::new();
    let mut out = Vec::new();
    let sum = BlockSum::new(agreed.transfer_sum, agreed.seed, agreed.seed_fix);
    for (n, name) in names.iter().enumerate() {
        let basis = Held(held(name).unwrap_or_default());
        let head =
            SumHead::for_size(basis.size(), None, agreed.transfer_sum.len(), agreed.compression, false);
        ndx.write(n as i32, &mut out);
        if agreed.protocol >= 29 {
            put_short(&mut out, 0x8000);
        }
        head.put(&mut out);
        sign(&basis, &head, &sum, &mut |piece| {
            out.extend_from_slice(piece);
            Ok(())
        })?;
        heads.push((head, basis));
    }
    for _ in 0..phases {
        ndx.write(NDX_DONE, &mut out);
    }
    tell(output, &out)?;
    let mut decoder = Decoder::new(agreed.compression, &Limits::default());
    let mut reader = NdxReader::new(agreed.protocol);
    let mut done = 0;
    while done < phases {
        let n = reader.read(input)?;
        if n == NDX_DONE {
            done += 1;
            continue;
        }
        if agreed.protocol >= 29 {
            expect(input.short()? == 0x8000, "item flags")?;
        }
        let (head, basis) = heads.get(n as usize).ok_or_else(|| Error::protocol("index"))?;
        expect(SumHead::read(input, agreed.transfer_sum.len())? == *head, "the head is not echoed")?;
        let bytes = rebuild(input, &mut decoder, head, &basis.0, agreed, got)?;
        got.files.push((names[n as usize].clone(), bytes));
    }
    let mut out = Vec::new();
    if agreed.protocol >= 31 {
        ndx.write(NDX_DONE, &mut out);
        tell(output, &out)?;
        expect(reader.read(input)? == NDX_DONE, "no end")?;
        out.clear();
    }
    ndx.write(NDX_DONE, &mut out);
    tell(output, &out)?;
    drain(input);
    Ok(())
}

fn expect(fine: bool, what: &str) -> Result<(), Error> {
    if fine { Ok(()) } else { Err(Error::protocol(what)) }
}

fn tell(output: &mut dyn Write, bytes: &[u8]) -> Result<(), Error> {
    let mut frames = Vec::new();
    frame(Tag::Data, bytes, &mut frames);
    Ok(output.write_all(&frames)?)
}

fn rebuild(
    input: &mut Input<impl Read>,
    decoder: &mut Decoder,
    head: &SumHead,
    basis: &[u8],
    agreed: &Agreed,
    got: &mut Got,
) -> Result<Vec<u8>, Error> {
    let mut file = Vec::new();
    decoder.begin(head);
    loop {
        match decoder.next(input)? {
            Token::End => break,
            Token::Literal(bytes) => {
                got.literal += bytes.len() as u64;
                file.extend_from_slice(bytes);
            }
            Token::Blocks { first, count } => {
                let (from, length) = head.run(first, count).unwrap();
                let bytes = &basis[from as usize..(from + length) as usize];
                decoder.saw_block(bytes)?;
                got.matched += length;
                file.extend_from_slice(bytes);
            }
        }
    }
    let mut sum = FileSum::new(agreed.transfer_sum, agreed.protocol, agreed.seed);
    sum.update(&file);
    let theirs = input.bytes(agreed.transfer_sum.len())?;
    expect(agreed.transfer_sum == Algorithm::None || sum.finish().as_bytes() == theirs, "the file's sum")?;
    Ok(file)
}

/// Lets stock rsync with `args`, its sources in `dir`, meet us at `user@` and `path`.
pub fn meet(
    dir: &Path,
    args: &[&str],
    user: &str,
    path: &str,
    shop: &Shop,
    held: Holding<'_>,
) -> (Output, Got) {
    meet_with(dir, args, &[], user, path, shop, held)
}

/// The same with variables of the client's environment.
pub fn meet_with(
    dir: &Path,
    args: &[&str],
    variables: &[(&str, &str)],
    user: &str,
    path: &str,
    shop: &Shop,
    held: Holding<'_>,
) -> (Output, Got) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = Command::new("rsync");
    client.args(args).arg(format!("rsync://{user}{address}/{path}"));
    client.current_dir(dir).env("RSYNC_PASSWORD", "secreto").envs(variables.iter().copied());
    std::thread::scope(|scope| {
        let client = scope.spawn(move || {
            let output = client.output().expect("rsync runs");
            // A client that refuses its own options never comes: end the wait for it.
            drop(TcpStream::connect(address));
            output
        });
        let got = answer(&listener, shop, held);
        (client.join().unwrap(), got)
    })
}
