//! The one thread that writes the log and counts: hits from the sink → lines → file → engine → disk.
//!
//! A line is counted when it is in the file, never before. As long as nobody else wrote, lines go to the
//! engine as they were made; after a start, or when a second process of this instance wrote, the engine reads
//! the file instead until it is level. What it cannot do costs readers nothing: hits that find no room are
//! counted as lost, and the log says so itself.

use std::borrow::Cow;
use std::io;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::engine::{Engine, Fact};
use super::hit::Hit;
use super::line::{self, Hours, Line, Read};
use super::live::{Live, Traffic};
use super::query::Class;
use super::reader::{self, Key, Keyed};
use super::shelf::{Day, Place, Shelf};
use super::sink::Sink;
use super::store::{self, Resumed, Settled, Store};
use super::{LOCAL, LogConfig};
use crate::clock::Clock;
use crate::durable::Dir;

/// What may be asked of the thread.
pub(super) enum Command {
    /// Who reads what.
    Traffic(oneshot::Sender<Traffic>),
    /// Count to the end of the log and write the figures down.
    Settle(oneshot::Sender<()>),
    /// Write everything down and end.
    Stop,
}

/// The thread's state.
pub(super) struct Writer {
    config: LogConfig,
    clock: Clock,
    sink: Sink,
    commands: mpsc::Receiver<Command>,
    shelf: Shelf,
    stats: Dir,
    key: Key,
    hours: Hours,
    classes: Keyed<Class>,
    day: Option<Day>,
    /// The day of the lines that are being gathered, and the first second behind it.
    gathered: Option<(String, i64)>,
    store: Option<Store>,
    engine: Engine,
    live: Live,
    /// How far the engine has counted, and how far the figures on disk are.
    place: Option<Place>,
    settled: Option<Place>,
    lost_told: u64,
    unsynced_since: Option<Instant>,
    last_settled: Instant,
    last_complaint: Option<Instant>,
    waiting: Vec<oneshot::Sender<()>>,
}

/// What was written and is to be counted.
enum Item<'a> {
    Hit(Fact<'a>),
    Lost(i64, u64),
}

impl Writer {
    pub(super) fn open(
        config: LogConfig,
        clock: Clock,
        sink: Sink,
        commands: mpsc::Receiver<Command>,
    ) -> io::Result<Self> {
        let shelf = Shelf::new(private(&config.log)?);
        let stats = private(&config.stats)?;
        let key = Key::open(&stats, config.keep, clock.now())?;
        let hours = Hours::new(config.zone.clone());
        let mut writer = Self {
            engine: Engine::new(config.bounds),
            live: Live::default(),
            clock,
            sink,
            commands,
            shelf,
            stats,
            key,
            hours,
            classes: Keyed::default(),
            day: None,
            gathered: None,
            store: None,
            place: None,
            settled: None,
            lost_told: 0,
            unsynced_since: None,
            last_settled: Instant::now(),
            last_complaint: None,
            waiting: Vec::new(),
            config,
        };
        writer.open_store();
        Ok(writer)
    }

    /// Runs until it is told to stop.
    pub(super) fn run(mut self) {
        self.sink.wakes_this_thread();
        let mut blocks = Vec::new();
        loop {
            std::thread::park_timeout(TURN);
            let is_last = self.hear();
            self.turn(&mut blocks);
            if is_last {
                // A neighbour may have counted meanwhile: then once more from where it is.
                for _ in 0..SETTLED_TRIES_MAX {
                    while !self.is_level() && self.catch_up() {}
                    if self.settle() {
                        break;
                    }
                }
                self.sync(Duration::ZERO);
                return;
            }
        }
    }

    /// Takes what is asked; whether it is to end.
    fn hear(&mut self) -> bool {
        loop {
            match self.commands.try_recv() {
                Ok(Command::Traffic(back)) => {
                    let traffic = {
                        let now = self.now();
                        self.live.traffic(&self.engine, &mut self.hours, now)
                    };
                    // Who asked may have gone away.
                    let _ = back.send(Traffic { lost: self.lost(), ..traffic });
                }
                Ok(Command::Settle(back)) => self.waiting.push(back),
                Ok(Command::Stop) | Err(mpsc::TryRecvError::Disconnected) => return true,
                Err(mpsc::TryRecvError::Empty) => return false,
            }
        }
    }

    /// Writes what waits in the sink, counts, and does what is due.
    fn turn(&mut self, blocks: &mut Vec<Vec<u8>>) {
        self.sink.take(blocks);
        self.write(blocks);
        // What cannot be read further is half a line that somebody has yet to end.
        let is_level = self.is_level() || !self.catch_up();
        self.sync(self.config.sync);
        let is_asked = !self.waiting.is_empty() && is_level;
        let is_due = is_asked || self.last_settled.elapsed() >= self.config.settle;
        let is_settled = is_due && self.settle();
        if is_asked && is_settled {
            self.waiting.drain(..).for_each(|back| _ = back.send(()));
        }
    }

    fn now(&self) -> i64 {
        self.clock.now().as_second()
    }

    fn lost(&self) -> u64 {
        self.sink.lost()
    }

    /// Makes lines of hits, appends them to the file of their day, and counts them.
    fn write(&mut self, blocks: &[Vec<u8>]) {
        let hits = in_order(blocks);
        let (mut lines, mut items) = (Vec::with_capacity(hits.len() * LINE_BYTES), Vec::new());
        let lost = self.lost();
        if lost > self.lost_told {
            let (now, more) = (self.now(), lost - self.lost_told);
            tracing::warn!(lost = more, "requests that are not in the access log: the queue was full");
            self.turn_to_day(now, &mut lines, &mut items);
            line::write_lost(now, more, &mut lines);
            items.push(Item::Lost(now, more));
            self.lost_told = lost;
        }
        for hit in &hits {
            let at = hit.at.as_second();
            self.turn_to_day(at, &mut lines, &mut items);
            let address = reader::client(hit.peer, hit.forwarded, &self.config.proxies);
            let visitor = self.key.visitor(address, hit.agent);
            let class = self.class(visitor, address, hit.agent);
            let line = Line {
                at,
                address: self.config.addresses.keep(address),
                method: Cow::Borrowed(hit.method),
                target: Cow::Borrowed(hit.target),
                protocol: hit.protocol.name(),
                status: hit.status,
                sent: hit.sent,
                referer: Cow::Borrowed(hit.referer),
                agent: Cow::Borrowed(hit.agent),
                taken_micros: hit.taken_micros,
                host: Cow::Borrowed(hit.host),
                tls: hit.tls.name(),
                cut: Cow::Borrowed(hit.cut),
                class,
                visitor,
                encoding: Cow::Borrowed(hit.encoding),
                is_whole: hit.is_whole,
                id: Cow::Borrowed(b""),
            };
            line.write(&mut self.hours, &mut lines);
            items.push(Item::Hit(Fact {
                at,
                visitor,
                class,
                status: hit.status,
                sent: hit.sent,
                is_get: hit.method == b"GET",
                target: hit.target,
            }));
        }
        self.flush(&mut lines, &mut items);
    }

    /// The class of a reader; a reader is an address with an agent, so it is found once.
    fn class(&mut self, visitor: u64, address: std::net::IpAddr, agent: &[u8]) -> Class {
        if let Some(class) = self.classes.get(&visitor) {
            return *class;
        }
        if self.classes.len() >= CLASSES_MAX {
            self.classes.clear();
        }
        let class = self.config.classes.of(address, agent);
        self.classes.insert(visitor, class);
        class
    }

    /// Lines from here on belong to the file of this second's day: what was gathered before goes to its own. A
    /// clock that goes back does not go back in the files.
    fn turn_to_day(&mut self, second: i64, lines: &mut Vec<u8>, items: &mut Vec<Item<'_>>) {
        if self.gathered.as_ref().is_some_and(|(_, end)| second < *end) {
            return;
        }
        self.flush(lines, items);
        let day = self.hours.day(second).to_string();
        self.gathered = Some((day, self.hours.day_end()));
    }

    /// Appends what was gathered, and counts it.
    fn flush(&mut self, lines: &mut Vec<u8>, items: &mut Vec<Item<'_>>) {
        if lines.is_empty() {
            return;
        }
        match self.append(lines) {
            Ok(Some(place)) => {
                for item in items.iter() {
                    match item {
                        Item::Hit(fact) => count(&mut self.engine, &mut self.live, &mut self.hours, fact),
                        Item::Lost(at, count) => self.engine.lost(*at, *count),
                    }
                }
                self.place = Some(place);
            }
            // The engine will read them.
            Ok(None) => {}
            Err(error) => {
                for item in items.iter() {
                    match item {
                        Item::Hit(_) => self.sink.lose(1),
                        // To be said again.
                        Item::Lost(_, count) => self.lost_told -= count,
                    }
                }
                self.complain(&error, "the access log cannot be written; requests are lost to it");
            }
        }
        lines.clear();
        items.clear();
    }

    /// Appends lines to the newest file, which is theirs or one that somebody else has begun. Gives the new place
    /// of the engine if it may count them without reading.
    fn append(&mut self, lines: &[u8]) -> io::Result<Option<Place>> {
        // Until this is dropped no other process of this instance writes or begins a file.
        let _turn = self.shelf.lock()?;
        let newest = self.shelf.newest()?.unwrap_or_default();
        let day = self.gathered.as_ref().map(|(day, _)| day.clone()).unwrap_or_default().max(newest);
        if self.day.as_ref().is_none_or(|open| open.day != day) {
            self.sync(Duration::ZERO);
            self.day = Some(self.shelf.append(&day)?);
        }
        let Some(file) = &mut self.day else { return Err(io::ErrorKind::NotFound.into()) };
        let before = file.len()?;
        file.write(lines)?;
        self.unsynced_since.get_or_insert_with(Instant::now);
        let was_level = self.place.as_ref().is_some_and(|at| at.day == day && at.offset == before);
        Ok(was_level.then(|| Place { day, offset: before + lines.len() as u64 }))
    }

    /// Whether the engine has counted all there is.
    fn is_level(&self) -> bool {
        match (self.shelf.newest(), &self.place) {
            (Ok(None), _) => true,
            (Ok(Some(day)), Some(place)) => {
                place.day == day && self.shelf.len(&day).is_ok_and(|len| len == place.offset)
            }
            _ => false,
        }
    }

    /// Counts some of what is in the files. Whether there was anything.
    fn catch_up(&mut self) -> bool {
        let (engine, live, hours) = (&mut self.engine, &mut self.live, &mut self.hours);
        let read = self.shelf.read_on(self.place.as_ref(), None, CATCH_UP_BYTES, |_, read| match read {
            Read::Hit(line) => count(engine, live, hours, &Fact::of(&line)),
            Read::Lost(at, count) => engine.lost(at, count),
            Read::Remark => {}
            Read::Bad => engine.bad(),
        });
        match read {
            Ok(place) => {
                let is_further = place != self.place;
                self.place = place;
                is_further
            }
            Err(error) => {
                self.complain(&error, "the access log cannot be read");
                false
            }
        }
    }

    /// Writes the figures down. Not done is only what has to be tried again at once: somebody else wrote
    /// them down meanwhile, and what they have not counted comes first.
    fn settle(&mut self) -> bool {
        self.last_settled = Instant::now();
        if self.store.is_none() {
            self.open_store();
        }
        let now = self.now();
        let (Some(store), Some(place)) = (&mut self.store, &self.place) else { return true };
        if self.settled.as_ref() == Some(place) {
            return true;
        }
        match store.settle(LOCAL, &mut self.engine, (self.settled.as_ref(), place), now) {
            Ok(Settled::Yes) => {
                self.settled = Some(place.clone());
                self.live.settled = Some(now);
            }
            Ok(Settled::Overtaken) => {
                tracing::info!("statistics were counted by somebody else meanwhile; going on from there");
                self.resume();
                return false;
            }
            Err(error) => {
                self.complain(&io::Error::other(error), "statistics cannot be written down");
            }
        }
        true
    }

    fn open_store(&mut self) {
        let path = self.stats.path().join(store::FILE);
        let opened = Store::open(&path).or_else(|error| {
            tracing::error!(%error, file = %path.display(), "statistics cannot be read; they are made again from the log");
            set_aside(&self.stats).map_err(|_| error)?;
            Store::open(&path)
        });
        match opened {
            Ok(store) => {
                if let Err(error) = store.keep_names(&self.config.names) {
                    tracing::warn!(%error, "names of pages are not kept");
                }
                self.store = Some(store);
                self.resume();
            }
            Err(error) => self.complain(&io::Error::other(error), "there are no statistics"),
        }
    }

    /// Goes on where the figures on disk stand.
    fn resume(&mut self) {
        let Some(store) = &self.store else { return };
        let now = self.clock.now().as_second();
        let resumed = store.resume(LOCAL, self.config.bounds);
        let seeded = resumed
            .and_then(|resumed| Ok((Live::seed(store, &resumed.engine, &mut self.hours, now)?, resumed)));
        match seeded {
            Ok((live, Resumed { engine, place, settled })) => {
                self.engine = engine;
                self.live = live;
                self.live.settled = settled;
                (self.settled, self.place) = (place.clone(), place);
            }
            Err(error) => {
                self.store = None;
                self.complain(&io::Error::other(error), "there are no statistics");
            }
        }
    }

    /// Makes durable what has waited for so long.
    fn sync(&mut self, after: Duration) {
        if self.unsynced_since.is_none_or(|since| since.elapsed() < after) {
            return;
        }
        self.unsynced_since = None;
        if let Some(Err(error)) = self.day.as_ref().map(Day::sync) {
            self.complain(&error, "the access log is not durable");
        }
    }

    /// Once a minute is enough.
    fn complain(&mut self, error: &io::Error, what: &str) {
        if self.last_complaint.is_none_or(|at| at.elapsed() >= COMPLAIN_EVERY) {
            tracing::error!(%error, "{what}");
            self.last_complaint = Some(Instant::now());
        }
    }
}

fn count(engine: &mut Engine, live: &mut Live, hours: &mut Hours, fact: &Fact<'_>) {
    let seen = engine.hit(fact);
    live.hit(fact, &seen, hours);
}

/// A folder for the owner and its group: who read what is nobody else's business. One that is there already was
/// given its owner and mode by whoever set the instance up.
fn private(path: &std::path::Path) -> io::Result<Dir> {
    use std::os::unix::fs::PermissionsExt;
    let is_new = !path.exists();
    let dir = Dir::create(path)?;
    if is_new {
        std::fs::set_permissions(path, PermissionsExt::from_mode(0o750))?;
    }
    Ok(dir)
}

/// Puts a damaged file out of the way, where somebody may look at it.
fn set_aside(stats: &Dir) -> io::Result<()> {
    for suffix in ["-wal", "-shm"] {
        let name = format!("{}{suffix}", store::FILE);
        if stats.exists(&name) {
            stats.remove_file(&name)?;
        }
    }
    stats.rename(store::FILE, format!("{}.damaged", store::FILE))
}

/// The hits of all blocks in the order in which they ended.
fn in_order(blocks: &[Vec<u8>]) -> Vec<Hit<'_>> {
    let mut hits = Vec::new();
    let mut used = 0;
    for block in blocks.iter().filter(|b| !b.is_empty()) {
        used += 1;
        let mut rest = block.as_slice();
        while let Some((hit, after)) = Hit::read(rest) {
            hits.push(hit);
            rest = after;
        }
    }
    if used > 1 {
        hits.sort_by_key(|hit| hit.at);
    }
    hits
}

/// How often figures are written down at the stop while a neighbour does the same.
const SETTLED_TRIES_MAX: usize = 8;
/// Between two looks at the sink.
const TURN: Duration = Duration::from_millis(50);
/// A line of usual length.
const LINE_BYTES: usize = 320;
/// Read at a time while the engine is behind; between two of these the sink is emptied.
const CATCH_UP_BYTES: u64 = 8 << 20;
/// Readers whose class is remembered.
const CLASSES_MAX: usize = 1 << 18;
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);
