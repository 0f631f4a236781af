//! The figures of the five calls that a machine can be measured by.

use jiff::SignedDuration;

use crate::config::Profile;

/// What a call asks of machine, link and store. Figures that it does not give are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Processors (Quintana Roo III.c, Durango II.a).
    pub processors: usize,
    /// Memory in GB (Quintana Roo III.c, Durango II.a).
    pub memory_gb: u64,
    /// Size of the disk in GB (Quintana Roo III.c, Durango II.a).
    pub disk_gb: u64,
    /// GB to be free for packages (INE II.a.ii.3, Tamaulipas II.c).
    pub free_gb: u64,
    /// Mbit/s of the link that packages come by (INE II.a.iii.2, Tamaulipas II.b, Quintana Roo II.3.2, Durango network a).
    pub mbps: u64,
    /// The longest a package may be on its way (Quintana Roo III.b); zero where none is said.
    pub transfer: SignedDuration,
    /// Shortest time between cuts that has to be reckoned with.
    pub period: SignedDuration,
    /// Bytes of a package, before any has come (packages as the calls describe them).
    pub package: u64,
    /// Hour at which results may be seen, in the instance's zone.
    pub opens_hour: i8,
    /// How long results must stay after the opening: to 23:59 of the last day that the call names.
    pub shown: SignedDuration,
}

/// How long packages come: calls speak of 24 hours.
pub(super) const NIGHT: SignedDuration = SignedDuration::from_hours(24);

impl Call {
    /// The figures of a call.
    pub fn of(profile: Profile) -> Self {
        let days = |n: i64| SignedDuration::from_hours(24 * n + 3) + SignedDuration::from_mins(59);
        let any = Self {
            processors: 0,
            memory_gb: 0,
            disk_gb: 0,
            free_gb: 0,
            mbps: 0,
            transfer: SignedDuration::ZERO,
            period: SignedDuration::from_mins(15),
            package: 36_700_160,
            opens_hour: 20,
            shown: days(7),
        };
        match profile {
            Profile::QuintanaRoo => Self {
                processors: 2,
                memory_gb: 8,
                disk_gb: 100,
                mbps: 50,
                transfer: SignedDuration::from_mins(3),
                ..any
            },
            // The call ends 24 hours after the opening, or with 100 % of the actas.
            Profile::Durango => {
                Self { processors: 8, memory_gb: 16, disk_gb: 100, mbps: 100, shown: NIGHT, ..any }
            }
            Profile::Ine => Self {
                free_gb: 30,
                mbps: 50,
                period: SignedDuration::from_mins(5),
                package: 80_000_000,
                ..any
            },
            Profile::NuevoLeon => any,
            Profile::Tamaulipas => Self { free_gb: 15, mbps: 30, shown: days(13), ..any },
        }
    }
}
