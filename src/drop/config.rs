//! Settings of the room. The configuration file fills them; every default has its reason.

use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;

use crate::archive::Limits;
use crate::model::Lang;

/// Settings of the room.
#[derive(Clone, Debug)]
pub struct DropConfig {
    /// Absolute paths of the institute's machines → paths in the virtual root.
    pub aliases: Vec<(PathBuf, String)>,
    /// Moment at which the process started, for the sweep.
    pub started: Timestamp,
    /// Language of the sentences that senders read.
    pub lang: Lang,
    /// Names that are packages: `*` and `?`, compared without regard to case.
    pub package_names: Vec<String>,
    /// Bounds of a package and of a pushed tree.
    pub limits: Limits,
    /// Finished packages that a sender goes on seeing. Twelve are three hours of
    /// quarter-hourly cuts: enough for any script that compares with the last one.
    pub visible: usize,
    /// How long a second writer to the site waits for the first; zero refuses it at once.
    pub tree_wait: Duration,
    /// Files being written at one moment by one key. lftp and rclone use four to ten.
    pub uploads_max: usize,
    /// Files and folders in one inbox. A site has about 6,000.
    pub names_max: u64,
    /// Bytes in one inbox that are not packages: partial uploads, unpacked trees.
    pub inbox_bytes: u64,
    /// Age from which a partial upload is removed: nobody resumes yesterday's cut.
    pub partial_age: Duration,
    /// Bytes kept of pushes that broke off, of all senders.
    pub partial_bytes: u64,
    /// Disk that stays free whatever comes: the ledger, and the unpacking of one cut.
    pub reserve_bytes: u64,
    /// Arrivals that may wait for the publisher.
    pub queue: usize,
    /// How long a full queue is waited for. What waits longer is durable all the same and
    /// found by the publisher at its next start.
    pub queue_wait: Duration,
    /// How long after a package its sum may come and still be compared with it.
    pub late_sums: Duration,
    /// How long a file in the watched directory must rest before it is taken.
    pub settle: Duration,
    /// How often the watched directory is read whole, whatever inotify says.
    pub rescan: Duration,
}

impl DropConfig {
    /// The defaults, for a process that started at `started`.
    pub fn new(started: Timestamp) -> Self {
        Self {
            aliases: Vec::new(),
            started,
            lang: Lang::default(),
            package_names: PACKAGE_NAMES.iter().map(|n| (*n).to_owned()).collect(),
            limits: Limits::default(),
            visible: 12,
            tree_wait: Duration::from_secs(30),
            uploads_max: 64,
            names_max: 20_000,
            inbox_bytes: 4 << 30,
            partial_age: Duration::from_secs(24 * 3600),
            partial_bytes: 2 << 30,
            reserve_bytes: 256 << 20,
            queue: QUEUE,
            queue_wait: Duration::from_secs(10),
            late_sums: Duration::from_secs(2 * 60),
            settle: Duration::from_secs(2),
            rescan: Duration::from_secs(5),
        }
    }
}

/// What the institutes call their packages, and the two other containers we read.
const PACKAGE_NAMES: [&str; 5] = ["*.tar.gz", "*.tgz", "*.tar", "*.tar.zst", "*.zip"];

/// Far more than senders who wait for their verdicts can bring together: a package that finds
/// no place here would not be looked at before the next start.
const QUEUE: usize = 4096;
