//! What a list carries and a published tree never needs: ACLs, extended attributes, names of
//! owners. Read to its end, kept nowhere.

use super::Shape;
use crate::rsync::error::Error;
use crate::rsync::options::Options;
use crate::rsync::wire::Take;

/// Names and attributes of one item at most; Linux lists 64 KiB of names.
const ITEMS: i32 = 65_536;
/// Longest name of an attribute, longest value that is sent whole, and the sum sent instead.
const NAME: i32 = 1024;
const WHOLE: i32 = 32;
const DIGEST: u64 = 16;
/// Largest value that an attribute may declare.
const VALUE: i32 = 64 << 20;

/// Passes over the ACLs of an entry that is not a link: one, two of a directory.
pub(super) fn acl<T: Take + ?Sized>(input: &mut T, dir: bool) -> Result<(), Error> {
    for _ in 0..if dir { 2 } else { 1 } {
        if known(input)? {
            continue;
        }
        let flags = input.byte()?;
        for bit in [1, 2, 4, 8] {
            if flags & bit != 0 {
                input.varint()?;
            }
        }
        if flags & 16 != 0 {
            acl_names(input)?;
        }
    }
    Ok(())
}

fn acl_names<T: Take + ?Sized>(input: &mut T) -> Result<(), Error> {
    for _ in 0..bounded(input.varint()?, ITEMS)? {
        input.varint()?;
        if input.varint()? & 1 != 0 {
            short_name(input)?;
        }
    }
    Ok(())
}

/// Passes over the extended attributes of an entry.
pub(super) fn xattrs<T: Take + ?Sized>(input: &mut T) -> Result<(), Error> {
    if known(input)? {
        return Ok(());
    }
    for _ in 0..bounded(input.varint()?, ITEMS)? {
        let name = bounded(input.varint()?, NAME)?;
        let value = bounded(input.varint()?, VALUE)?;
        input.skip(u64::from(name))?;
        input.skip(if value > WHOLE as u32 { DIGEST } else { u64::from(value) })?;
    }
    Ok(())
}

/// A reference to a set sent before; nothing follows.
fn known<T: Take + ?Sized>(input: &mut T) -> Result<bool, Error> {
    bounded(input.varint()?, i32::MAX).map(|index| index != 0)
}

/// Passes over the lists of ids and names behind the entries.
pub(super) fn id_lists<T: Take + ?Sized>(
    input: &mut T,
    options: &Options,
    shape: &Shape,
    limit: u32,
) -> Result<(), Error> {
    if options.numeric_ids {
        return Ok(());
    }
    for asked in [options.owner, options.group] {
        if asked || options.acls {
            id_list(input, shape, limit)?;
        }
    }
    Ok(())
}

fn id_list<T: Take + ?Sized>(input: &mut T, shape: &Shape, limit: u32) -> Result<(), Error> {
    let mut count = 0;
    while input.varint30(shape.protocol)? != 0 {
        count += 1;
        if count > limit {
            return Err(Error::protocol("more owners than files are allowed"));
        }
        short_name(input)?;
    }
    if shape.id0_names {
        short_name(input)?;
    }
    Ok(())
}

/// A name behind one byte of length.
pub(super) fn short_name<T: Take + ?Sized>(input: &mut T) -> Result<(), Error> {
    let length = input.byte()?;
    input.skip(u64::from(length))
}

fn bounded(value: i32, most: i32) -> Result<u32, Error> {
    u32::try_from(value)
        .ok()
        .filter(|value| *value <= most as u32)
        .ok_or_else(|| Error::protocol(format!("a count of {value} in ACLs or attributes")))
}
