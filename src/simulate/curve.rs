//! How the actas of a night arrive: shares in millionths, time in seconds, no floats.

/// The cumulative curve by which actas arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Curve {
    /// As measured in Quintana Roo 2019: 13.8 % before 20:00, the last at 05:45.
    #[default]
    Qroo2019,
    /// Nothing for three hours, then the same stretched until hour 20.
    Late,
    /// As Guerrero 2021: it stops at 37.5 %.
    Guerrero,
}

impl Curve {
    /// The name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Qroo2019 => "qroo2019",
            Self::Late => "late",
            Self::Guerrero => "guerrero",
        }
    }

    /// The curve of this name.
    pub fn parse(name: &str) -> Option<Self> {
        [Self::Qroo2019, Self::Late, Self::Guerrero].into_iter().find(|curve| curve.name() == name)
    }

    /// Millionths of all actas that have arrived `seconds` after the opening.
    pub(super) fn share(self, seconds: u32) -> u32 {
        match self {
            Self::Qroo2019 => share_2019(seconds),
            Self::Late => late(seconds).map_or(0, share_2019),
            Self::Guerrero => share_2019(seconds).min(GUERRERO),
        }
    }

    /// When the acta arrived that completes this share; seconds after the opening,
    /// negative before it.
    pub(super) fn arrival(self, share: u32) -> i32 {
        let at = arrival_2019(share);
        match self {
            Self::Qroo2019 | Self::Guerrero => at,
            Self::Late => {
                (i64::from(at.max(0)) * i64::from(LATE_LENGTH) / i64::from(LENGTH)) as i32 + LATE_START
            }
        }
    }
}

fn late(seconds: u32) -> Option<u32> {
    let since = seconds.checked_sub(LATE_START as u32)?;
    Some((i64::from(since) * i64::from(LENGTH) / i64::from(LATE_LENGTH)) as u32)
}

fn share_2019(seconds: u32) -> u32 {
    let steps = MEASURED.iter().zip(MEASURED.iter().skip(1));
    let step = steps.into_iter().find(|(_, to)| seconds < to.0);
    let Some(((from, low), (to, high))) = step else { return WHOLE };
    low + (u64::from(high - low) * u64::from(seconds - from) / u64::from(to - from)) as u32
}

fn arrival_2019(share: u32) -> i32 {
    let Some(&(_, first)) = MEASURED.first() else { return 0 };
    if share <= first {
        // Those before the opening: verified from 18:49 on.
        return (i64::from(BEFORE_OPENING) * i64::from(share) / i64::from(first)) as i32 - BEFORE_OPENING;
    }
    let steps = MEASURED.iter().zip(MEASURED.iter().skip(1));
    let step = steps.into_iter().find(|(_, to)| share <= to.1);
    let Some(((from, low), (to, high))) = step else { return LENGTH };
    let part = u64::from(to - from) * u64::from(share - low) / u64::from(high - low);
    *from as i32 + part as i32
}

/// All of them, in millionths.
pub(super) const WHOLE: u32 = 1_000_000;
/// Where Guerrero 2021 closed.
pub(super) const GUERRERO: u32 = 375_000;
/// Seconds after 20:00 and millionths of all actas, Quintana Roo 2019.
const MEASURED: [(u32, u32); 12] = [
    (0, 138_000),
    (1_800, 218_000),
    (3_600, 289_000),
    (7_200, 469_000),
    (10_800, 636_000),
    (14_400, 731_000),
    (18_000, 797_000),
    (21_600, 853_000),
    (25_200, 899_000),
    (28_800, 942_000),
    (32_400, 989_000),
    (35_100, WHOLE),
];
const LENGTH: i32 = 35_100;
/// From 18:49 to 20:00.
const BEFORE_OPENING: i32 = 71 * 60;
const LATE_START: i32 = 3 * 3600;
const LATE_LENGTH: i32 = 17 * 3600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_points_come_out() {
        let hours = [0, 1, 2, 6, 9].map(|h| Curve::Qroo2019.share(h * 3600));
        assert_eq!(hours, [138_000, 289_000, 469_000, 853_000, 989_000]);
        assert_eq!(Curve::Qroo2019.share(35_100), WHOLE);
        assert_eq!(Curve::Guerrero.share(86_400), GUERRERO);
        assert_eq!([10_799, 10_800, 72_000].map(|s| Curve::Late.share(s)), [0, 138_000, WHOLE]);
    }

    #[test]
    fn an_acta_is_never_verified_after_the_cut_that_shows_it() {
        for curve in [Curve::Qroo2019, Curve::Late, Curve::Guerrero] {
            for seconds in (0..86_400).step_by(137) {
                assert!(curve.arrival(curve.share(seconds)) <= seconds as i32 || curve.share(seconds) == 0);
            }
        }
    }
}
