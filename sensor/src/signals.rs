//! Signals: INT and TERM stop, HUP reloads, USR1 prints counters.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};
use signal_hook::flag;

use crate::exit::{self, Failure};

struct Flags {
    stop: Arc<AtomicBool>,
    reload: Arc<AtomicBool>,
    counters: Arc<AtomicBool>,
}

static FLAGS: OnceLock<Flags> = OnceLock::new();

/// Takes the signals over. A second INT or TERM ends the process at once.
pub(crate) fn install() -> Result<(), Failure> {
    let flags = FLAGS.get_or_init(|| Flags {
        stop: Arc::new(AtomicBool::new(false)),
        reload: Arc::new(AtomicBool::new(false)),
        counters: Arc::new(AtomicBool::new(false)),
    });
    let register = || {
        for signal in [SIGINT, SIGTERM] {
            flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flags.stop))?;
            flag::register(signal, Arc::clone(&flags.stop))?;
        }
        flag::register(SIGHUP, Arc::clone(&flags.reload))?;
        flag::register(SIGUSR1, Arc::clone(&flags.counters))
    };
    register().map_err(|error| Failure::new(exit::SOFTWARE, format!("cannot take signals: {error}")))?;
    Ok(())
}

/// Becomes true when a stop is asked for; `None` before [`install`].
pub(crate) fn stop_flag() -> Option<Arc<AtomicBool>> {
    FLAGS.get().map(|flags| Arc::clone(&flags.stop))
}

/// Was a stop asked for?
pub(crate) fn stopped() -> bool {
    FLAGS.get().is_some_and(|flags| flags.stop.load(Ordering::Relaxed))
}

/// Was a reload asked for since the last call?
#[cfg(feature = "live")]
pub(crate) fn take_reload() -> bool {
    FLAGS.get().is_some_and(|flags| flags.reload.swap(false, Ordering::Relaxed))
}

/// Were counters asked for since the last call?
#[cfg(feature = "live")]
pub(crate) fn take_counters() -> bool {
    FLAGS.get().is_some_and(|flags| flags.counters.swap(false, Ordering::Relaxed))
}
