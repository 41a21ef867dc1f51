//! What is measured: the rows of the tables, and the samples of one contender for each.

use super::contender::Sample;
use std::collections::BTreeMap;
use std::time::Duration;

/// A row of the tables, in their order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Row {
    Run,
    RunFiltered,
    Create,
    Start,
    Delete,
    Whole,
    WholeFiltered,
    Exec,
    ExecFiltered,
    State,
    Kill,
    DeleteRunning,
    /// Of a tenth of the containers.
    ListSome,
    ListAll,
    Parallel,
}

impl Row {
    /// All of them.
    pub const ALL: [Self; 15] = [
        Self::Run,
        Self::RunFiltered,
        Self::Create,
        Self::Start,
        Self::Delete,
        Self::Whole,
        Self::WholeFiltered,
        Self::Exec,
        Self::ExecFiltered,
        Self::State,
        Self::Kill,
        Self::DeleteRunning,
        Self::ListSome,
        Self::ListAll,
        Self::Parallel,
    ];

    /// Its name; `containers` is how many the longer list has.
    pub fn title(self, containers: usize) -> String {
        match self {
            Self::Run => "run".into(),
            Self::RunFiltered => "run, profile".into(),
            Self::Create => "create".into(),
            Self::Start => "start".into(),
            Self::Delete => "delete".into(),
            Self::Whole => "create+start+delete".into(),
            Self::WholeFiltered => "create+start+delete, profile".into(),
            Self::Exec => "exec".into(),
            Self::ExecFiltered => "exec, profile".into(),
            Self::State => "state".into(),
            Self::Kill => "kill".into(),
            Self::DeleteRunning => "delete -f, running".into(),
            Self::ListSome => format!("list of {}", containers / 10),
            Self::ListAll => format!("list of {containers}"),
            Self::Parallel => format!("{} runs at a time", super::setup::PARALLEL),
        }
    }
}

/// What came before an operation.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Heat {
    /// The machine was left alone for 30 ms, as when a container is started now and then.
    Cold,
    /// The same operation of the same runtime, just before.
    Hot,
}

impl Heat {
    pub const BOTH: [Self; 2] = [Self::Cold, Self::Hot];

    /// As a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Cold => "cold",
            Self::Hot => "hot",
        }
    }
}

/// The samples of one contender.
#[derive(Debug, Default)]
pub struct Samples(BTreeMap<(Row, Heat), Vec<Sample>>);

impl Samples {
    pub fn add(&mut self, row: Row, heat: Heat, sample: Sample) {
        self.0.entry((row, heat)).or_default().push(sample);
    }

    /// Milliseconds of wall time that `percent` of the samples are not above.
    pub fn wall(&self, row: Row, heat: Heat, percent: usize) -> Option<f64> {
        self.at(row, heat, percent, |sample| sample.wall).map(millis)
    }

    /// The same of user and system time.
    pub fn cpu(&self, row: Row, heat: Heat, percent: usize) -> Option<f64> {
        self.at(row, heat, percent, |sample| sample.usage.cpu).map(millis)
    }

    /// Median number of page faults that needed no disk.
    pub fn faults(&self, row: Row, heat: Heat) -> Option<u64> {
        self.at(row, heat, 50, |sample| sample.usage.faults)
    }

    /// Median of the peaks in KiB.
    pub fn peak(&self, row: Row) -> Option<u64> {
        self.at(row, Heat::Cold, 50, |sample| sample.peak)
    }

    fn at<T: Ord>(&self, row: Row, heat: Heat, percent: usize, of: impl Fn(&Sample) -> T) -> Option<T> {
        percentile(self.0.get(&(row, heat))?.iter().map(of).collect(), percent)
    }
}

/// To the microsecond.
fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1_000_000.0).round() / 1000.0
}

/// The value that `percent` of the others are not above.
fn percentile<T: Ord>(mut values: Vec<T>, percent: usize) -> Option<T> {
    values.sort_unstable();
    let at = values.len().saturating_sub(1) * percent / 100;
    values.into_iter().nth(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_of_few_values_are_among_them() {
        assert_eq!(percentile::<u32>(vec![], 50), None);
        assert_eq!(percentile(vec![7], 10), Some(7));
        assert_eq!(percentile(vec![3, 1, 2], 0), Some(1));
        assert_eq!(percentile(vec![3, 1, 2], 50), Some(2));
        assert_eq!(percentile((0..101).collect(), 10), Some(10));
    }

    #[test]
    fn rows_are_in_the_order_of_the_tables() {
        assert!(Row::ALL.is_sorted());
    }
}
