//! What ends the head of every answer over HTTP/1: the date, and whether the connection does. Made once a second.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;

use super::condition::http_date;
use crate::clock::Clock;

/// The dates of answers.
#[derive(Debug)]
pub(super) struct Dates {
    clock: Clock,
    current: ArcSwap<Tails>,
}

/// Whether an answer is the last of its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    No,
    /// Not, and the reader of HTTP/1.0 is told that its wish is granted.
    NoAsAsked,
    Yes,
}

#[derive(Debug)]
struct Tails {
    second: i64,
    no: Bytes,
    as_asked: Bytes,
    yes: Bytes,
}

impl Dates {
    pub(super) fn new(clock: Clock) -> Self {
        let current = ArcSwap::from_pointee(Tails::of(clock.now().as_second()));
        Self { clock, current }
    }

    /// The last lines of a head and the empty one.
    pub(super) fn tail(&self, close: Close) -> Bytes {
        let second = self.clock.now().as_second();
        let current = self.current.load();
        if current.second == second {
            return current.choose(close);
        }
        let made = Tails::of(second);
        let tail = made.choose(close);
        self.current.store(Arc::new(made));
        tail
    }
}

impl Tails {
    fn of(second: i64) -> Self {
        let date = http_date(u64::try_from(second).unwrap_or(0));
        let with = |more: &str| Bytes::from(format!("date: {date}\r\n{more}\r\n"));
        Self {
            second,
            no: with(""),
            as_asked: with("connection: keep-alive\r\n"),
            yes: with("connection: close\r\n"),
        }
    }

    fn choose(&self, close: Close) -> Bytes {
        match close {
            Close::No => self.no.clone(),
            Close::NoAsAsked => self.as_asked.clone(),
            Close::Yes => self.yes.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_head_ends_with_the_second_it_was_written_in() {
        let clock = Clock::at(Timestamp::from_second(1_717_380_000).unwrap());
        let dates = Dates::new(clock.clone());
        assert_eq!(dates.tail(Close::No), "date: Mon, 03 Jun 2024 02:00:00 GMT\r\n\r\n");
        clock.set(Timestamp::from_second(1_717_380_001).unwrap());
        let expected = "date: Mon, 03 Jun 2024 02:00:01 GMT\r\nconnection: close\r\n\r\n";
        assert_eq!(dates.tail(Close::Yes), expected);
    }
}
