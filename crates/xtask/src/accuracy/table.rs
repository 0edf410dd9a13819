//! The scores as a table, and whether they are good enough.

use super::case::{Counts, FINDINGS, Row};
use crate::step::Outcome;

/// Scores that are wanted, 0 to 1.
pub(super) struct Goal {
    /// Mean `api.f1`.
    pub(super) api: f64,
    /// `api.f1` of each case; where most operations cannot be told apart, `identifiable.f1`.
    pub(super) least_api: f64,
    /// Mean `identifiable.f1`.
    pub(super) identifiable: f64,
    /// Mean grouping accuracy.
    pub(super) grouping: f64,
    /// Of each kind of findings, over all cases.
    pub(super) precision: f64,
    /// The same.
    pub(super) recall: f64,
}

pub(super) const HEAD: &str = "\
case                     operations  told apart  api.f1  ident.f1  grouping  noise  shadow P/R   zombie P/R   orphan P/R";

/// A case as a line of the table, and what is wrong with it below.
pub(super) fn line(row: &Row) -> String {
    let mut line = format!(
        "{:<24} {:>10}  {:>10}  {}  {:>5}",
        row.name,
        row.operations,
        row.identifiable_operations,
        scores(row.api, row.identifiable, row.grouping),
        row.noise
    );
    for counts in row.conformance {
        line += &format!("  {}", ratios(counts));
    }
    for error in &row.errors {
        line += &format!("\n    {error}");
    }
    line
}

fn scores(api: f64, identifiable: f64, grouping: f64) -> String {
    format!("{api:>6.4}  {identifiable:>8.4}  {grouping:>8.4}")
}

fn ratios(counts: Counts) -> String {
    format!("{:.3}/{:.3}", counts.precision(), counts.recall())
}

impl Counts {
    fn precision(self) -> f64 {
        share(self.right, self.wrong)
    }

    fn recall(self) -> f64 {
        share(self.right, self.missed)
    }

    fn sum(rows: &[Row], kind: usize) -> Counts {
        let all = rows.iter().filter_map(|row| row.conformance.get(kind));
        all.fold(Counts::default(), |sum, counts| Counts {
            right: sum.right + counts.right,
            wrong: sum.wrong + counts.wrong,
            missed: sum.missed + counts.missed,
        })
    }
}

fn share(right: u64, not: u64) -> f64 {
    if right + not == 0 { 1.0 } else { right as f64 / (right + not) as f64 }
}

type Score = fn(&Row) -> f64;

fn mean(rows: &[Row], score: Score) -> f64 {
    rows.iter().map(score).sum::<f64>() / rows.len().max(1) as f64
}

fn least(rows: &[Row], score: Score) -> f64 {
    rows.iter().map(score).fold(1.0, f64::min)
}

/// What a case is judged by: of operations that nobody could tell apart none is missed.
fn judged(row: &Row) -> f64 {
    if row.identifiable_operations * 2 < row.operations { row.identifiable } else { row.api }
}

/// Means, minima, the worst three, and findings of all cases together.
pub(super) fn summary(rows: &[Row]) -> String {
    let all: [Score; 3] = [|row| row.api, |row| row.identifiable, |row| row.grouping];
    let line = |name: &str, of: fn(&[Row], Score) -> f64| {
        let [api, identifiable, grouping] = all.map(|score| of(rows, score));
        format!("{name:<24} {:>10}  {:>10}  {}", "", "", scores(api, identifiable, grouping))
    };
    let mut worst: Vec<&Row> = rows.iter().collect();
    worst.sort_by(|a, b| judged(a).total_cmp(&judged(b)));
    let worst: Vec<String> = worst.iter().take(3).map(|row| format!("{} {:.4}", row.name, judged(row))).collect();
    let findings: Vec<String> = FINDINGS
        .iter()
        .enumerate()
        .map(|(kind, name)| {
            let counts = Counts::sum(rows, kind);
            let Counts { right, wrong, missed } = counts;
            format!("{name} {} ({right} right, {wrong} wrong, {missed} missed)", ratios(counts))
        })
        .collect();
    let (mean, least) = (line("mean", mean), line("least", least));
    format!("{mean}\n{least}\nworst: {}\nfindings P/R: {}", worst.join(", "), findings.join("; "))
}

/// Which scores are lower than is wanted.
pub(super) fn check(rows: &[Row], goal: &Goal) -> Outcome {
    let mut low = Vec::new();
    let mut expect = |name: String, score: f64, wanted: f64| {
        if score < wanted {
            low.push(format!("{name} {score:.4} < {wanted}"));
        }
    };
    expect("mean api.f1".into(), mean(rows, |row| row.api), goal.api);
    expect("mean identifiable.f1".into(), mean(rows, |row| row.identifiable), goal.identifiable);
    expect("mean grouping".into(), mean(rows, |row| row.grouping), goal.grouping);
    for row in rows {
        expect(row.name.clone(), judged(row), goal.least_api);
    }
    for (kind, name) in FINDINGS.iter().enumerate() {
        let counts = Counts::sum(rows, kind);
        expect(format!("{name} precision"), counts.precision(), goal.precision);
        expect(format!("{name} recall"), counts.recall(), goal.recall);
    }
    if low.is_empty() { Ok(()) } else { Err(format!("lower than wanted: {}", low.join("; "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(name: &str, api: f64, told_apart: u64) -> Row {
        let counts = Counts { right: 9, wrong: 0, missed: 1 };
        let conformance = [counts, Counts::default(), counts];
        let (name, errors) = (name.to_owned(), Vec::new());
        Row {
            name,
            operations: 10,
            identifiable_operations: told_apart,
            api,
            identifiable: 0.95,
            grouping: 1.0,
            noise: 0,
            conformance,
            errors,
        }
    }

    #[test]
    fn scores_below_the_goal_fail() {
        let goal = Goal { api: 0.8, least_api: 0.7, identifiable: 0.9, grouping: 0.9, precision: 0.9, recall: 0.9 };
        assert_eq!(check(&[row("a", 0.99, 10), row("b", 0.75, 10)], &goal), Ok(()));
        // What nobody could tell apart is judged by the rest.
        assert_eq!(check(&[row("a", 1.0, 10), row("b", 0.6, 4)], &goal), Ok(()));
        assert!(check(&[row("a", 1.0, 10), row("b", 0.6, 6)], &goal).is_err_and(|why| why.contains("b 0.6")));
        assert!(check(&[row("a", 0.78, 10)], &goal).is_err());
        let strict = Goal { recall: 0.95, ..goal };
        assert!(check(&[row("a", 0.99, 10)], &strict).is_err_and(|why| why.contains("shadow recall")));
    }

    #[test]
    fn the_summary_names_the_worst() {
        let text = summary(&[row("a", 0.99, 10), row("b", 0.75, 10), row("c", 0.9, 10), row("d", 0.8, 10)]);
        assert!(text.contains("worst: b 0.7500, d 0.8000, c 0.9000"), "{text}");
        assert!(text.contains("zombie 1.000/1.000"), "{text}");
    }
}
