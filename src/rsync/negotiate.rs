//! Versions, compatibility flags, names of sums and compressions, seed: the head of a session.
//!
//! Imports the names ([`Algorithm`], [`Compression`]), the options and the wire. One flow:
//! [`negotiate`] runs once, before anything is framed, and returns what every later step reads.

use super::checksum::Algorithm;
use super::error::{Error, Exit};
use super::flist::Shape;
use super::options::Options;
use super::token::Compression;
use super::wire::{Take, put_int, put_varint, put_vstring};

/// The newest protocol we speak.
pub const NEWEST: u8 = 32;
/// The oldest: rsync 2.6.0, and openrsync.
pub const OLDEST: u8 = 27;

/// What was agreed.
#[derive(Clone, Copy, Debug)]
pub struct Agreed {
    /// Protocol of the session, 27 to 32.
    pub protocol: u8,
    /// Form of the file list.
    pub shape: Shape,
    /// Sum of blocks and of whole files.
    pub transfer_sum: Algorithm,
    /// Sum of `-c` in the list.
    pub list_sum: Algorithm,
    /// Packing of tokens.
    pub compression: Compression,
    /// Seed of block sums.
    pub seed: i32,
    /// MD5 block sums begin with the seed.
    pub seed_fix: bool,
    /// Frames from the client too (>= 30).
    pub framed_input: bool,
}

/// Compatibility flags. Bit 0 (incremental recursion) is never set: the client then sends the
/// whole list at once.
mod flag {
    pub(super) const SYMLINK_TIMES: i32 = 1 << 1;
    pub(super) const SYMLINK_ICONV: i32 = 1 << 2;
    pub(super) const SAFE_FLIST: i32 = 1 << 3;
    pub(super) const AVOID_XATTR_OPTIM: i32 = 1 << 4;
    pub(super) const CHECKSUM_SEED_FIX: i32 = 1 << 5;
    pub(super) const VARINT_FLIST: i32 = 1 << 7;
    pub(super) const ID0_NAMES: i32 = 1 << 8;
}

/// Longest list of names from the peer, bytes (the reference's own lists stay below 256).
const NAMES_BYTES: usize = 1024;

/// Runs the head: what we send goes through `send` at once. `version` is `None` over SSH
/// (integers are exchanged), the daemon's otherwise. `random_seed` is used without
/// `--checksum-seed`.
pub fn negotiate(
    input: &mut dyn Take,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
    version: Option<u8>,
    options: &Options,
    random_seed: i32,
) -> Result<Agreed, Error> {
    let protocol = match version {
        Some(version) => version.min(NEWEST),
        None => exchange_versions(input, send)?,
    };
    if protocol < OLDEST {
        return Err(too_old(i32::from(protocol)));
    }
    let compat = if protocol >= 30 { compat_flags(options) } else { 0 };
    let names = (compat & flag::VARINT_FLIST != 0)
        .then(|| exchange_names(compat, options, input, send))
        .transpose()?;
    if names.is_none() && protocol >= 30 {
        send_compat(compat, options, send)?;
    }
    let names = names.unwrap_or_default();
    let (transfer_sum, list_sum) = sums(options, protocol, names.sum)?;
    let compression = compression(options, names.compression)?;
    let seed = options.checksum_seed.filter(|seed| *seed != 0).unwrap_or_else(|| positive(random_seed));
    let mut four = Vec::with_capacity(4);
    put_int(&mut four, seed);
    send(&four)?;
    let shape = Shape {
        protocol,
        varint_flags: compat & flag::VARINT_FLIST != 0,
        safe_flist: compat & flag::SAFE_FLIST != 0 || protocol >= 31,
        id0_names: compat & flag::ID0_NAMES != 0,
        sum_len: list_sum.len(),
    };
    let seed_fix = compat & flag::CHECKSUM_SEED_FIX != 0;
    Ok(Agreed {
        protocol,
        shape,
        transfer_sum,
        list_sum,
        compression,
        seed,
        seed_fix,
        framed_input: protocol >= 30,
    })
}

/// xxh seeds are sign-extended by clients, and zero would be no seed.
fn positive(seed: i32) -> i32 {
    (seed & i32::MAX).max(1)
}

fn exchange_versions(
    input: &mut dyn Take,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<u8, Error> {
    let mut ours = Vec::with_capacity(4);
    put_int(&mut ours, i32::from(NEWEST));
    send(&ours)?;
    let theirs = input.int()?;
    // The reference's own bounds: beyond them it is not an rsync that speaks.
    if !(20..=40).contains(&theirs) {
        return Err(Error::new(
            Exit::Protocol,
            "lo recibido no es el protocolo de rsync: ¿el shell del otro lado escribe algo al entrar?",
            "protocol version mismatch: is the other side's shell clean?",
        ));
    }
    match u8::try_from(theirs) {
        Ok(theirs) if theirs >= OLDEST => Ok(theirs.min(NEWEST)),
        _ => Err(too_old(theirs)),
    }
}

fn too_old(version: i32) -> Error {
    Error::new(
        Exit::Protocol,
        format!(
            "el rsync del remitente habla el protocolo {version} y se necesita {OLDEST} o mayor: instale rsync 2.6 o posterior"
        ),
        format!(
            "the sender's rsync speaks protocol {version}, {OLDEST} or later is needed: install rsync 2.6 or later"
        ),
    )
}

/// The flags that the client offers and we want.
fn compat_flags(options: &Options) -> i32 {
    let offered = &options.capabilities;
    [
        (offered.symlink_times, flag::SYMLINK_TIMES),
        (offered.symlink_iconv, flag::SYMLINK_ICONV),
        (offered.safe_flist, flag::SAFE_FLIST),
        (offered.avoid_xattr_optim, flag::AVOID_XATTR_OPTIM),
        (offered.checksum_seed_fix, flag::CHECKSUM_SEED_FIX),
        // The pre-release 'V' meant the same.
        (offered.varint_flags || offered.pre_release, flag::VARINT_FLIST),
        (offered.id0_names, flag::ID0_NAMES),
    ]
    .into_iter()
    .fold(0, |flags, (offered, flag)| if offered { flags | flag } else { flags })
}

fn send_compat(
    compat: i32,
    options: &Options,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut out = Vec::with_capacity(4);
    put_compat(compat, options, &mut out);
    send(&out)
}

/// A pre-release client ('V') reads one plain byte.
fn put_compat(compat: i32, options: &Options, out: &mut Vec<u8>) {
    if options.capabilities.pre_release {
        out.extend(compat.to_le_bytes().first());
    } else {
        put_varint(out, compat);
    }
}

/// What two lists of names had in common.
#[derive(Clone, Copy, Default)]
struct Names {
    sum: Option<Algorithm>,
    compression: Option<Compression>,
}

/// Sends flags and lists in one write, then reads the client's lists. Both sides go by the
/// *client's* order: it takes the first of its own names that we offer.
fn exchange_names(
    compat: i32,
    options: &Options,
    input: &mut dyn Take,
    send: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<Names, Error> {
    let wants_sum = chosen(&options.checksum_choice).is_none();
    let wants_compression = options.compress && chosen(&options.compress_choice).is_none();
    let mut out = Vec::with_capacity(80);
    put_compat(compat, options, &mut out);
    if wants_sum {
        put_vstring(&mut out, Algorithm::OFFERED.map(Algorithm::name).join(" ").as_bytes());
    }
    if wants_compression {
        put_vstring(&mut out, Compression::OFFERED.map(Compression::name).join(" ").as_bytes());
    }
    send(&out)?;
    let mut names = Names::default();
    if wants_sum {
        let theirs = input.vstring(NAMES_BYTES)?;
        let ours = |name: &[u8]| {
            Algorithm::from_name(name)
                .filter(|sum| Algorithm::OFFERED.contains(sum) && sum.name().as_bytes() == name)
        };
        names.sum = Some(first(&theirs, ours).ok_or_else(|| nothing_shared("checksum", &theirs))?);
    }
    if wants_compression {
        let theirs = input.vstring(NAMES_BYTES)?;
        let ours =
            |name: &[u8]| Compression::from_name(name).filter(|packing| packing.name().as_bytes() == name);
        names.compression = Some(first(&theirs, ours).ok_or_else(|| nothing_shared("compress", &theirs))?);
    }
    Ok(names)
}

fn first<T>(theirs: &[u8], ours: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    theirs.split(u8::is_ascii_whitespace).find_map(ours)
}

fn nothing_shared(what: &str, theirs: &[u8]) -> Error {
    let theirs = theirs.escape_ascii();
    Error::new(
        Exit::Unsupported,
        format!("no hay opción de {what} en común; el remitente ofrece: {theirs}"),
        format!("failed to negotiate a {what} choice; the sender offers: {theirs}"),
    )
}

/// A choice that was made; `auto` is none.
fn chosen(choice: &Option<Vec<u8>>) -> Option<&[u8]> {
    choice.as_deref().filter(|choice| !choice.eq_ignore_ascii_case(b"auto"))
}

/// Sums of transfer and list: named (`one` or `transfer,list`), negotiated, or the protocol's.
fn sums(
    options: &Options,
    protocol: u8,
    negotiated: Option<Algorithm>,
) -> Result<(Algorithm, Algorithm), Error> {
    let usual = if protocol >= 30 { Algorithm::Md5 } else { Algorithm::Md4 };
    let Some(choice) = chosen(&options.checksum_choice) else {
        let sum = negotiated.unwrap_or(usual);
        return Ok((sum, sum));
    };
    let named = |name: &[u8]| match name {
        name if name.eq_ignore_ascii_case(b"auto") => Ok(usual),
        name => Algorithm::from_name(name).ok_or_else(|| unknown("--checksum-choice", name)),
    };
    let mut parts = choice.splitn(2, |byte| *byte == b',');
    let transfer = named(parts.next().unwrap_or_default())?;
    let list = parts.next().map_or(Ok(transfer), named)?;
    if list == Algorithm::None && options.checksum {
        return Err(unknown("--checksum-choice", b"none"));
    }
    Ok((transfer, list))
}

fn compression(options: &Options, negotiated: Option<Compression>) -> Result<Compression, Error> {
    let packing = match chosen(&options.compress_choice) {
        Some(name) => Compression::from_name(name).ok_or_else(|| unknown("--compress-choice", name))?,
        None if options.compress => negotiated.unwrap_or(Compression::Zlib),
        None => Compression::None,
    };
    // Level 0 of zlib means no packing at all, on both sides.
    let off = options.compress_level == Some(0) && matches!(packing, Compression::Zlib | Compression::Zlibx);
    Ok(if off { Compression::None } else { packing })
}

fn unknown(option: &str, name: &[u8]) -> Error {
    let name = name.escape_ascii();
    Error::new(
        Exit::Unsupported,
        format!("{option}={name} no se admite"),
        format!("{option}={name} is not supported"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsync::options::Capabilities;

    const MODERN: Capabilities = Capabilities {
        symlink_times: true,
        symlink_iconv: true,
        safe_flist: true,
        avoid_xattr_optim: true,
        checksum_seed_fix: true,
        inplace_partial: true,
        varint_flags: true,
        id0_names: true,
        pre_release: false,
        any: true,
    };

    fn modern() -> Options {
        Options { capabilities: MODERN, ..Options::default() }
    }

    /// What a client says, what we say.
    fn talk(said: &[u8], version: Option<u8>, options: &Options) -> (Result<Agreed, Error>, Vec<u8>) {
        let mut sent = Vec::new();
        let mut said = said;
        let agreed = negotiate(
            &mut said,
            &mut |bytes| {
                sent.extend_from_slice(bytes);
                Ok(())
            },
            version,
            options,
            7,
        );
        assert!(agreed.is_err() || said.is_empty(), "all was read");
        (agreed, sent)
    }

    fn names(lists: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for list in lists {
            put_vstring(&mut out, list.as_bytes());
        }
        out
    }

    /// As Debian's 3.5.0 says it with `-z` over SSH.
    #[test]
    fn a_modern_client_gets_all_flags_but_incremental_recursion() {
        let options = Options { compress: true, ..modern() };
        let mut said = 32_i32.to_le_bytes().to_vec();
        said.extend(names(&["xxh128 xxh3 xxh64 md5 md4 sha1", "zstd lz4 zlibx zlib"]));
        let (agreed, sent) = talk(&said, None, &options);
        let agreed = agreed.unwrap();
        assert_eq!(
            (agreed.protocol, agreed.transfer_sum, agreed.list_sum),
            (32, Algorithm::Xxh128, Algorithm::Xxh128)
        );
        assert_eq!((agreed.compression, agreed.seed, agreed.seed_fix), (Compression::Zstd, 7, true));
        let mut expected = 32_i32.to_le_bytes().to_vec();
        put_varint(&mut expected, 0x1be);
        expected.extend(names(&["xxh128 xxh3 xxh64 md5 sha1", "zstd lz4 zlibx zlib none"]));
        expected.extend(7_i32.to_le_bytes());
        assert_eq!(sent, expected);
    }

    #[test]
    fn the_clients_order_decides() {
        let options = Options { compress: true, ..modern() };
        let (agreed, _) = talk(&names(&["md4 crc32 sha1 xxh128", "bzip2 lz4 zstd"]), Some(32), &options);
        let agreed = agreed.unwrap();
        assert_eq!((agreed.transfer_sum, agreed.compression), (Algorithm::Sha1, Compression::Lz4));
    }

    #[test]
    fn nothing_in_common_is_said_with_both_names() {
        let (agreed, _) = talk(&names(&["crc32 \x1b[2J"]), Some(32), &modern());
        let error = agreed.unwrap_err();
        assert_eq!(error.exit, Exit::Unsupported);
        assert_eq!(error.en, r"failed to negotiate a checksum choice; the sender offers: crc32 \x1b[2J");
    }

    #[test]
    fn named_choices_are_not_negotiated() {
        let options = Options {
            compress: true,
            compress_choice: Some(b"zlibx".to_vec()),
            checksum_choice: Some(b"xxh64,MD5".to_vec()),
            checksum_seed: Some(-5),
            ..modern()
        };
        let (agreed, sent) = talk(b"", Some(31), &options);
        let agreed = agreed.unwrap();
        assert_eq!((agreed.transfer_sum, agreed.list_sum), (Algorithm::Xxh64, Algorithm::Md5));
        assert_eq!((agreed.compression, agreed.shape.sum_len, agreed.seed), (Compression::Zlibx, 16, -5));
        assert_eq!(sent.len(), 2 + 4, "flags and seed");
    }

    #[test]
    fn old_protocols_have_their_own_sums() {
        for (version, sum) in
            [(27, Algorithm::Md4), (29, Algorithm::Md4), (30, Algorithm::Md5), (31, Algorithm::Md5)]
        {
            let options = Options { compress: true, ..Options::default() };
            let (agreed, sent) = talk(&i32::from(version as i16).to_le_bytes(), None, &options);
            let agreed = agreed.unwrap();
            assert_eq!((agreed.transfer_sum, agreed.compression), (sum, Compression::Zlib));
            assert_eq!(agreed.framed_input, version >= 30);
            assert_eq!(sent.len(), if version >= 30 { 9 } else { 8 }, "version, perhaps flags, seed");
        }
    }

    #[test]
    fn a_pre_release_reads_one_plain_byte() {
        let options = Options {
            capabilities: Capabilities { pre_release: true, varint_flags: false, ..MODERN },
            ..modern()
        };
        let (agreed, sent) = talk(&names(&["md5"]), Some(31), &options);
        assert!(agreed.unwrap().shape.varint_flags);
        assert_eq!(sent[0], 0xbe);
    }

    #[test]
    fn what_is_no_rsync_and_what_is_too_old_are_told_apart() {
        let (agreed, _) = talk(b"Last login: Mon", None, &modern());
        assert!(agreed.unwrap_err().en.contains("is the other side's shell clean?"));
        let (agreed, _) = talk(&26_i32.to_le_bytes(), None, &modern());
        assert!(agreed.unwrap_err().en.contains("protocol 26, 27 or later is needed"));
    }

    #[test]
    fn choices_that_nobody_knows_are_refused_by_name() {
        let sum = Options { checksum_choice: Some(b"crc32".to_vec()), ..modern() };
        assert_eq!(talk(b"", Some(32), &sum).0.unwrap_err().en, "--checksum-choice=crc32 is not supported");
        let packing = Options {
            compress: true,
            compress_choice: Some(b"bzip2".to_vec()),
            checksum_choice: Some(b"md5".to_vec()),
            ..modern()
        };
        assert_eq!(
            talk(b"", Some(32), &packing).0.unwrap_err().en,
            "--compress-choice=bzip2 is not supported"
        );
        let list = Options { checksum: true, checksum_choice: Some(b"none".to_vec()), ..modern() };
        assert!(talk(b"", Some(32), &list).0.is_err());
    }

    #[test]
    fn the_seed_is_never_zero_nor_negative_by_chance() {
        assert_eq!(positive(0), 1);
        assert_eq!(positive(i32::MIN), 1);
        assert_eq!(positive(-1), i32::MAX);
    }
}
