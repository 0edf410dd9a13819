//! Giving up what only opening the capture needed.
//!
//! Order: open the capture ([`crate::live::open`](crate)), call [`drop_privileges`], then start threads. Capabilities belong to a thread; a
//! thread that already runs would keep its own, so the check at the end looks at all of them and refuses to go on.

use std::fs;
use std::io;

use crate::{Error, sys};

/// What to become.
#[derive(Clone, Debug, Default)]
pub struct Privileges {
    /// User to run as; `None` keeps the user (a service manager has set it) and gives up capabilities only.
    pub user: Option<String>,
    /// Keeps `CAP_NET_RAW`, so that every worker can reopen an interface that was removed and made again. Without it
    /// such an interface is captured again by one worker only (see [`crate::live`](crate)).
    pub keep_net_raw: bool,
}

/// User id and primary group of a user; `None` if the system does not know it.
///
/// # Errors
/// The user database cannot be read.
pub fn user_ids(name: &str) -> io::Result<Option<(u32, u32)>> {
    sys::user(name)
}

/// Becomes `privileges.user`, empties all capability sets, sets no-new-privileges, and checks the outcome in every thread.
///
/// # Errors
/// [`Error::Privileges`]: a step failed, or a thread still has rights. The process must then not go on.
pub fn drop_privileges(privileges: &Privileges) -> Result<(), Error> {
    let failed = |step| move |error: io::Error| Error::Privileges { step, message: error.to_string() };
    let unknown = |message: String| Error::Privileges { step: "look up the user", message };
    let target = match &privileges.user {
        None => None,
        Some(name) => {
            let found = sys::user(name).map_err(failed("look up the user"))?;
            Some(found.ok_or_else(|| unknown(format!("no user `{name}`")))?)
        }
    };
    let kept = if privileges.keep_net_raw { 1 << sys::CAP_NET_RAW } else { 0 };
    // First what needs rights itself. Without CAP_SETPCAP it fails, and no-new-privileges does the same job.
    for capability in 0..64 {
        if !matches!(sys::drop_bounding(capability), Ok(true)) {
            break;
        }
    }
    if let Some((uid, gid)) = target {
        sys::keep_capabilities(privileges.keep_net_raw).map_err(failed("keep CAP_NET_RAW"))?;
        sys::become_user(uid, gid).map_err(failed("change the user"))?;
        sys::keep_capabilities(false).map_err(failed("keep CAP_NET_RAW"))?;
    }
    sys::set_capabilities(kept).map_err(failed("empty the capability sets"))?;
    sys::no_new_privileges().map_err(failed("set no-new-privileges"))?;
    verify(target, kept)
}

/// The state the kernel shows for every thread.
fn verify(target: Option<(u32, u32)>, kept: u32) -> Result<(), Error> {
    let wrong = |message: String| Error::Privileges { step: "check", message };
    let unreadable = |error: io::Error| wrong(format!("/proc/self/task: {error}"));
    for task in fs::read_dir("/proc/self/task").map_err(unreadable)? {
        let task = task.map_err(unreadable)?.path();
        let status = match fs::read_to_string(task.join("status")) {
            Ok(status) => status,
            // The thread ended meanwhile.
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) => continue,
            Err(error) => return Err(unreadable(error)),
        };
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        for (set, allowed) in [("CapInh:", 0), ("CapPrm:", kept), ("CapEff:", kept), ("CapAmb:", 0)] {
            let value = field(set).and_then(|value| u64::from_str_radix(value, 16).ok());
            if value != Some(u64::from(allowed)) {
                let message = format!("{set} {value:#x?} in {}; drop privileges before threads start", task.display());
                return Err(wrong(message));
            }
        }
        if field("NoNewPrivs:") != Some("1") {
            return Err(wrong(format!("no-new-privileges is not set in {}", task.display())));
        }
        let Some((uid, gid)) = target else { continue };
        for (name, id) in [("Uid:", uid), ("Gid:", gid)] {
            let all = field(name).unwrap_or_default();
            if all.is_empty() || all.split_whitespace().any(|part| part.parse() != Ok(id)) {
                return Err(wrong(format!("{name} {all} in {}", task.display())));
            }
        }
    }
    Ok(())
}
