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

/// Runs all cases `rounds` times after one warm-up, `pause` between runs; milliseconds each. Every round has an order of its own:
/// what a run leaves to be done behind its answer meets each of the others alike.
pub fn interleave(cases: &mut [Case], rounds: usize, pause: Duration) -> Result<Vec<Vec<f64>>> {
    let mut times = vec![Vec::with_capacity(rounds); cases.len()];
    let mut dice = 1;
    for round in 0..=rounds {
        for at in shuffled(cases.len(), &mut dice) {
            std::thread::sleep(pause);
            let begin = Instant::now();
            (cases[at].run)()?;
            if round > 0 {
                times[at].push(begin.elapsed().as_secs_f64() * 1e3);
            }
        }
    }
    Ok(times)
}

/// The numbers below `count`, in an order that follows from `dice` (Knuth's linear congruence) and changes it.
fn shuffled(count: usize, dice: &mut u64) -> Vec<usize> {
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        *dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        order.swap(last, (*dice >> 33) as usize % (last + 1));
    }
    order
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

    #[test]
    fn every_order_has_all_and_no_two_rounds_are_alike() {
        let mut dice = 1;
        let orders: Vec<Vec<usize>> = (0..3).map(|_| super::shuffled(6, &mut dice)).collect();
        for order in &orders {
            let mut all = order.clone();
            all.sort_unstable();
            assert_eq!(all, [0, 1, 2, 3, 4, 5]);
        }
        assert!(orders[0] != orders[1] && orders[1] != orders[2]);
    }
}
