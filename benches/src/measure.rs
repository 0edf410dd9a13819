//! What a program costs, asked from the kernel when it ends.

use std::io;
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

/// Cost of one run of a program.
#[derive(Clone, Copy, Debug)]
pub struct Cost {
    /// User and system CPU time of the process and its threads.
    pub cpu: Duration,
    /// From start to end.
    pub wall: Duration,
    /// Peak resident memory in bytes.
    pub peak_bytes: u64,
    /// How it ended.
    pub status: ExitStatus,
}

/// Runs a program to its end.
///
/// # Errors
///
/// It could not be started or waited for.
pub fn run(command: &mut Command) -> io::Result<Cost> {
    let start = Instant::now();
    let child = command.spawn()?;
    let pid = libc::pid_t::try_from(child.id()).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: rusage is plain numbers, for which all zeros is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    // `Child::wait` gives no usage, and getrusage(RUSAGE_CHILDREN) gives the peak over all children. `child` is not
    // waited for again: dropping it does not.
    // SAFETY: both pointers are to live, writable values of the right types.
    while unsafe { libc::wait4(pid, &mut status, 0, &mut usage) } < 0 {
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    let wall = start.elapsed();
    let cpu = duration(usage.ru_utime) + duration(usage.ru_stime);
    // Linux gives kibibytes.
    let peak_bytes = u64::try_from(usage.ru_maxrss).unwrap_or(0) * 1024;
    Ok(Cost { cpu, wall, peak_bytes, status: std::os::unix::process::ExitStatusExt::from_raw(status) })
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.try_into().unwrap_or(0))
        + Duration::from_micros(time.tv_usec.try_into().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cost_of_a_program_that_works_and_of_one_that_sleeps() {
        let busy = run(Command::new("sh").args(["-c", "i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; exit 3"]));
        let idle = run(Command::new("sleep").arg("0.05"));
        let (busy, idle) = (busy.expect("sh runs"), idle.expect("sleep runs"));
        assert_eq!(busy.status.code(), Some(3));
        assert!(busy.cpu > idle.cpu && busy.cpu > Duration::ZERO);
        assert!(idle.wall >= Duration::from_millis(50));
        assert!(busy.peak_bytes > 100_000);
    }
}
