//! Processes of a live test: the sensor, and those that run inside a namespace.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::{Duration, Instant};

/// A stop takes at most this long.
pub(super) const STOP: Duration = Duration::from_secs(10);

/// A running sensor; killed if a test fails.
pub(super) struct Sensor {
    pub(super) child: Child,
    pub(super) log: PathBuf,
}

impl Sensor {
    pub(super) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub(super) fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().unwrap()
    }

    /// Waits for a line on stderr.
    pub(super) fn expect(&self, line: &str) {
        assert!(wait_until(STOP, || self.log().contains(line)), "no {line:?} in {}", self.log());
    }

    /// SIGTERM, and what it printed: it ends in time with exit code 0.
    pub(super) fn stop(&mut self) -> String {
        self.stop_with(0)
    }

    pub(super) fn stop_with(&mut self, code: i32) -> String {
        let asked = Instant::now();
        signal(&self.child, "TERM");
        let ended = wait_until(STOP, || self.ended().is_some());
        println!("stopped in {:.1} s", asked.elapsed().as_secs_f64());
        assert!(ended, "still running {STOP:?} after SIGTERM: {}", self.log());
        let log = self.log();
        assert_eq!(self.ended().unwrap().code(), Some(code), "{log}");
        assert!(!log.contains("panicked") && !log.contains("internal error"), "{log}");
        println!("{log}");
        log
    }
}

impl Drop for Sensor {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub(super) fn sh(script: &str) -> bool {
    let script = format!("PATH=$PATH:/usr/sbin:/sbin; {script}");
    Command::new("sh").args(["-c", &script]).status().unwrap().success()
}

/// A command inside a namespace; its process id is the command's.
pub(super) fn inside(namespace: &str, words: &[String]) -> Command {
    let mut command = Command::new("ip");
    command.args(["netns", "exec", namespace]).args(words);
    command.env("PATH", format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default()));
    command
}

pub(super) fn signal(child: &Child, name: &str) {
    sh(&format!("kill -{name} {}", child.id()));
}

pub(super) fn wait_until(limit: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + limit;
    while !done() {
        if Instant::now() >= deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    true
}
