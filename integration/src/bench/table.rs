//! Printing: the ratios first, then the figures they come from.

use super::contender::{Contender, Sample};
use super::{OPERATIONS, Samples};
use std::time::Duration;

/// Prints everything. `weights` hold peaks only; `waiting` holds, per contender, resident KiB and threads of a waiting
/// init, and the smallest memory limit in KiB.
pub fn print(contenders: &[Contender], samples: &Samples, weights: &Samples, waiting: &[((u64, u64), Option<u64>)]) {
    let first = contenders.first().map_or("", |contender| contender.name.as_str());
    println!("\nmedian wall time, as a multiple of {first}'s");
    header(contenders);
    for operation in OPERATIONS {
        let medians: Vec<f64> = samples.iter().map(|s| wall(s.get(operation), 50)).collect();
        let base = medians.first().copied().unwrap_or(f64::NAN);
        row(operation, medians.iter().map(|median| format!("{:.2}", median / base)));
    }
    println!("\nwall time in ms: least / 10th percentile / median");
    header(contenders);
    for operation in OPERATIONS {
        let show =
            |s: &Vec<Sample>| format!("{:.1} / {:.1} / {:.1}", wall(Some(s), 0), wall(Some(s), 10), wall(Some(s), 50));
        row(operation, samples.iter().map(|s| s.get(operation).map(show).unwrap_or_default()));
    }
    println!("\nCPU time in ms, user and system with children, median / peak resident set in KiB, median of 3");
    header(contenders);
    for operation in OPERATIONS {
        let cells = samples.iter().zip(weights).map(|(samples, weights)| {
            let of = |list: &std::collections::BTreeMap<&'static str, Vec<Sample>>| {
                list.get(operation).cloned().unwrap_or_default()
            };
            let cpu = percentile(of(samples).iter().map(|sample| sample.cpu).collect(), 50);
            let peak = percentile(of(weights).iter().map(|sample| sample.peak).collect(), 50);
            format!("{:.1} / {peak}", millis(cpu))
        });
        row(operation, cells);
    }
    println!("\nmemory");
    header(contenders);
    row("waiting init, resident KiB", waiting.iter().map(|((resident, _), _)| resident.to_string()));
    row("waiting init, threads", waiting.iter().map(|((_, threads), _)| threads.to_string()));
    let limit = |limit: &Option<u64>| limit.map_or_else(|| "none up to 16384".to_owned(), |kib| kib.to_string());
    row("smallest limit that works, KiB", waiting.iter().map(|(_, smallest)| limit(smallest)));
}

fn header(contenders: &[Contender]) {
    row("", contenders.iter().map(|contender| contender.name.clone()));
}

fn row(title: &str, cells: impl Iterator<Item = String>) {
    let cells: Vec<String> = cells.map(|cell| format!("{cell:>22}")).collect();
    println!("{title:<32}{}", cells.concat());
}

fn wall(samples: Option<&Vec<Sample>>, percent: usize) -> f64 {
    samples.map_or(f64::NAN, |samples| millis(percentile(samples.iter().map(|sample| sample.wall).collect(), percent)))
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The value that `percent` of the others are not above; the default value when there is none.
fn percentile<T: Ord + Copy + Default>(mut values: Vec<T>, percent: usize) -> T {
    values.sort_unstable();
    values.get(values.len().saturating_sub(1) * percent / 100).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_of_few_values_are_among_them() {
        assert_eq!(percentile::<u32>(vec![], 50), 0);
        assert_eq!(percentile(vec![7], 10), 7);
        assert_eq!(percentile(vec![3, 1, 2], 0), 1);
        assert_eq!(percentile(vec![3, 1, 2], 50), 2);
        assert_eq!(percentile((0..101).collect(), 10), 10);
    }
}
