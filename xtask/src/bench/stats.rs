//! Medians and the table.

use std::time::{Duration, Instant};

use anyhow::Result;

/// One thing to time. Returns an error when the run itself fails.
pub struct Case<'a> {
    /// Row title.
    pub name: String,
    /// One run.
    pub run: Box<dyn FnMut() -> Result<()> + 'a>,
}

/// Runs all cases in turn, `rounds` times after one warm-up, `pause` between runs; milliseconds each.
pub fn interleave(cases: &mut [Case], rounds: usize, pause: Duration) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::with_capacity(rounds); cases.len()];
    for round in 0..=rounds {
        for (case, times) in cases.iter_mut().zip(&mut times) {
            std::thread::sleep(pause);
            let begin = Instant::now();
            (case.run)()?;
            if round > 0 {
                times.push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times)
}

/// The middle value.
pub fn median(times: &[f64]) -> f64 {
    let mut sorted = times.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How many times the median of case `a` that of case `b` is; `None` without either.
pub fn ratio(cases: &[Case], times: &[Vec<f64>], a: &str, b: &str) -> Option<f64> {
    let of = |name: &str| cases.iter().position(|case| case.name == name).map(|at| median(&times[at]));
    Some(of(a)? / of(b)?)
}

/// Prints medians, minima and the ratio to the first row.
pub fn table(title: &str, cases: &[Case], times: &[Vec<f64>]) {
    println!("\n### {title}\n\n| | median ms | min ms | x {} |\n|---|---|---|---|", cases[0].name);
    let base = median(&times[0]);
    for (case, times) in cases.iter().zip(times) {
        let min = times.iter().copied().fold(f64::INFINITY, f64::min);
        println!("| {} | {:.2} | {min:.2} | {:.2} |", case.name, median(times), median(times) / base);
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(super::median(&[3.0, 1.0, 2.0]), 2.0);
        assert!(super::median(&[]).is_nan());
    }
}
