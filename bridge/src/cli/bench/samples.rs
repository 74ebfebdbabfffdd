//! Percentiles and medians: the arithmetic of a measurement.

use std::time::Duration;

/// Durations of one kind, in milliseconds and in order.
#[derive(Clone, Debug, Default)]
pub(super) struct Samples(Vec<f64>);

impl Samples {
    pub(super) fn new(durations: impl IntoIterator<Item = Duration>) -> Samples {
        let mut sorted: Vec<f64> = durations.into_iter().map(milliseconds).collect();
        sorted.sort_by(f64::total_cmp);
        Samples(sorted)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The value that `percent` of the values do not exceed (nearest rank); none without values.
    pub(super) fn percentile(&self, percent: usize) -> Option<f64> {
        let rank = (self.0.len() * percent).div_ceil(100).max(1);
        self.0.get(rank - 1).copied()
    }
}

/// What several repeats of one measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Spread {
    pub(super) median: f64,
    pub(super) min: f64,
    pub(super) max: f64,
    pub(super) repeats: usize,
}

impl Spread {
    /// None without values.
    pub(super) fn of(values: impl IntoIterator<Item = f64>) -> Option<Spread> {
        let mut sorted: Vec<f64> = values.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (min, max) = (*sorted.first()?, *sorted.last()?);
        let middle = sorted.len() / 2;
        let median = match sorted.len() % 2 {
            1 => sorted[middle],
            _ => f64::midpoint(sorted[middle - 1], sorted[middle]),
        };
        Some(Spread { median, min, max, repeats: sorted.len() })
    }

    /// The spread of one percentile over several repeats.
    pub(super) fn of_percentile(repeats: &[Samples], percent: usize) -> Option<Spread> {
        Spread::of(repeats.iter().filter_map(|samples| samples.percentile(percent)))
    }
}

pub(super) fn milliseconds(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[u64], percent: usize, percentile: Option<f64>, median: Option<f64>) {
        let samples = Samples::new(values.iter().copied().map(Duration::from_millis));
        assert_eq!(samples.percentile(percent), percentile);
        assert_eq!(Spread::of(values.iter().map(|v| *v as f64)).map(|spread| spread.median), median);
    }

    #[test]
    fn percentiles_by_nearest_rank_and_medians_between() {
        check(&[], 50, None, None);
        check(&[7], 99, Some(7.0), Some(7.0));
        check(&[4, 1, 3, 2], 50, Some(2.0), Some(2.5));
        check(&[30, 10, 20], 95, Some(30.0), Some(20.0));
    }
}
