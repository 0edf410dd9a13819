//! A progress bar on a terminal, nothing elsewhere.

use std::io::IsTerminal as _;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::cli::{Color, Common};

/// How far a replay has come.
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar of `total` bytes; a spinner where the end is not known (stdin).
    pub(crate) fn new(common: &Common, total: Option<u64>) -> Progress {
        let wanted = match common.color {
            Color::Auto => std::io::stderr().is_terminal(),
            Color::Always => true,
            Color::Never => false,
        };
        let target = match wanted && !common.quiet {
            true => ProgressDrawTarget::stderr_with_hz(10),
            false => ProgressDrawTarget::hidden(),
        };
        let bar = ProgressBar::with_draw_target(total, target);
        let template = match total {
            Some(_) => "{bar:30} {bytes}/{total_bytes} {binary_bytes_per_sec} {msg} eta {eta}",
            None => "{spinner} {bytes} {binary_bytes_per_sec} {msg}",
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Progress { bar }
    }

    /// Shows where we are.
    pub(crate) fn show(&self, bytes: u64, packets: u64, transactions: u64) {
        if self.bar.is_hidden() {
            return;
        }
        let seconds = self.bar.elapsed().max(Duration::from_millis(1)).as_secs_f64();
        self.bar.set_position(bytes);
        self.bar.set_message(format!("{:.0} packets/s {transactions} transactions", packets as f64 / seconds));
    }

    /// Prints a line without tearing the bar.
    pub(crate) fn line(&self, text: &str) {
        if self.bar.is_hidden() { tell!("{text}") } else { self.bar.println(text) }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
