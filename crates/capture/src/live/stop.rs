//! Ending a capture from another thread.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::sys;

/// Makes [`LiveSource::poll`](super::LiveSource::poll) return and stay ended. Can be cloned and sent to any thread; not for use inside a
/// signal handler.
#[derive(Clone)]
pub struct StopHandle {
    inner: Arc<Inner>,
}

struct Inner {
    stopped: AtomicBool,
    /// Wakes a source that waits.
    wake: File,
    /// Ends a source that is handing on packets, at the next packet.
    loops: Mutex<Vec<pcap::BreakLoop>>,
}

impl StopHandle {
    pub(super) fn new() -> io::Result<StopHandle> {
        let (stopped, wake) = (AtomicBool::new(false), File::from(sys::event()?));
        Ok(StopHandle { inner: Arc::new(Inner { stopped, wake, loops: Mutex::default() }) })
    }

    /// Stops the source.
    pub fn stop(&self) {
        self.inner.stopped.store(true, Ordering::Release);
        // Cannot fail: the counter overflows after 2^64 stops.
        let _ = (&self.inner.wake).write(&1_u64.to_ne_bytes());
        for handle in self.inner.loops.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            handle.breakloop();
        }
    }

    /// Whether [`stop`](StopHandle::stop) was called.
    pub fn is_stopped(&self) -> bool {
        self.inner.stopped.load(Ordering::Acquire)
    }

    /// Registers the handles in use, after one was opened again.
    pub(super) fn watch(&self, loops: Vec<pcap::BreakLoop>) {
        *self.inner.loops.lock().unwrap_or_else(PoisonError::into_inner) = loops;
    }

    pub(super) fn wake_fd(&self) -> BorrowedFd<'_> {
        self.inner.wake.as_fd()
    }
}
