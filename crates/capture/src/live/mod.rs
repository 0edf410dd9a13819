//! Live capture: TPACKET_V3 rings of libpcap, one per worker and interface, spread over the workers by the kernel.
//!
//! [`open`] needs root or `CAP_NET_RAW`; after it, call [`drop_privileges`](crate::privileges::drop_privileges), then give every worker
//! thread its [`LiveSource`]. An interface that goes down, is renamed, or is removed and made again is captured again by
//! itself (F008); what was missed is told by [`Notice`]. Capture follows the interface and not its name: after renaming it goes
//! on under the old name in the records.
//!
//! With several workers and without `CAP_NET_RAW` an interface that was *removed and made again* is captured by the first
//! worker alone ([`Notice::Gap`] says so): a fanout group cannot be moved to the new interface and a new group needs the
//! right to open sockets. Keep the right ([`Privileges::keep_net_raw`](crate::privileges::Privileges::keep_net_raw)) or
//! restart where that matters. Down/up and renaming need no rights.

mod port;
mod stop;

use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use umbra_wire::{Packet, Timestamp};

use self::port::{Group, Port};
use crate::{Error, sys};

pub use self::stop::StopHandle;

/// What to capture, and how.
#[derive(Clone, Debug)]
pub struct LiveConfig {
    /// Interface names. [`Packet::interface`] is the place in this list.
    pub interfaces: Vec<String>,
    /// Sources to open; the kernel sends both directions of a flow to the same one.
    pub workers: usize,
    /// BPF filter in the syntax of `pcap-filter(7)`; see [`exclude_filter`](crate::filter::exclude_filter).
    pub filter: Option<String>,
    /// Also packets for other hosts: what a mirror port gives.
    pub promiscuous: bool,
    /// Ring in the kernel, in bytes, for each worker and interface.
    pub buffer_bytes: usize,
    /// Bytes captured of a packet, at most 262,144.
    pub snaplen: u32,
    /// After this time the kernel hands on a block of the ring that is not full: the latency at low rates.
    pub timeout: Duration,
    /// One more ring for each interface, when there are several workers: the way back to a removed interface without
    /// rights.
    pub spare: bool,
}

impl Default for LiveConfig {
    fn default() -> LiveConfig {
        LiveConfig {
            interfaces: Vec::new(),
            workers: 1,
            filter: None,
            promiscuous: true,
            // A second of 250 Mbit/s.
            buffer_bytes: 32 * 1024 * 1024,
            snaplen: 262_144,
            timeout: Duration::from_millis(50),
            spare: true,
        }
    }
}

/// Opens all interfaces for all workers.
///
/// # Errors
/// An interface that does not exist or is down, a filter with wrong syntax, no rights.
pub fn open(config: LiveConfig) -> Result<Vec<LiveSource>, Error> {
    if config.interfaces.is_empty() {
        return Err(Error::Live {
            interface: "-".to_owned(),
            action: "open",
            message: "no interface given".to_owned(),
            permission: false,
        });
    }
    let workers = config.workers.max(1);
    let config = Arc::new(LiveConfig { workers, ..config });
    let groups: Vec<Option<Group>> = config.interfaces.iter().map(|_| (workers > 1).then(Group::default)).collect();
    let mut sources = Vec::with_capacity(workers);
    for worker in 0..workers {
        let mut ports = Vec::with_capacity(groups.len());
        for (number, group) in (0_u32..).zip(&groups) {
            ports.push(Port::open(&config, worker, number, group.clone())?);
        }
        sources.push(LiveSource::new(&config, ports)?);
    }
    // Until here a worker got what is meant for one that was not there yet.
    let complete = clock();
    for source in &mut sources {
        source.ports.iter_mut().for_each(|port| port.start(complete));
    }
    Ok(sources)
}

/// The packets of one worker.
pub struct LiveSource {
    config: Arc<LiveConfig>,
    ports: Vec<Port>,
    stop: StopHandle,
    notices: Vec<Notice>,
    waits: Vec<libc::pollfd>,
    /// The last poll gave packets: there may be more.
    busy: bool,
    looked: Instant,
}

/// What [`LiveSource::poll`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Polled {
    /// Packets handed on; 0 when `max_wait` passed or the source was stopped.
    pub packets: usize,
    /// No packet before this time will come any more, as far as the kernel's clock goes: what timeouts may be run with when no
    /// packets come. Behind the clock by the time a packet may wait in the ring.
    pub time: Timestamp,
    /// [`StopHandle::stop`] was called. Packets still in the ring can be had by polling until `packets` is 0.
    pub stopped: bool,
}

/// Why packets were missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapCause {
    /// The interface was down.
    Down,
    /// The interface did not exist.
    Removed,
    /// Reading failed though the interface was up.
    Error,
}

/// Something the operator and the records must know. Each worker tells of its own view; those of worker 0 stand for the interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Notice {
    /// An interface stopped giving packets.
    Lost {
        /// Place in [`LiveConfig::interfaces`].
        interface: u32,
        /// Which worker noticed.
        worker: usize,
        /// When.
        at: Timestamp,
        /// Why, as far as it shows by now: the kernel takes an interface down before it removes it, so [`GapCause::Down`] may
        /// end as a [`Notice::Gap`] of [`GapCause::Removed`].
        cause: GapCause,
    },
    /// The interface gives packets again: a capture gap with its start and end.
    Gap {
        /// Place in [`LiveConfig::interfaces`].
        interface: u32,
        /// Which worker noticed.
        worker: usize,
        /// First moment without capture.
        start: Timestamp,
        /// Capturing again.
        end: Timestamp,
        /// Why.
        cause: GapCause,
        /// This worker now takes all packets of the interface; see the module.
        alone: bool,
    },
}

/// Counters of one worker, since the start, over all its interfaces.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LiveStats {
    /// Packets the kernel had for this worker after the filter, with those dropped.
    pub received: u64,
    /// Of those, dropped because the ring was full.
    pub dropped: u64,
    /// Dropped by the interfaces; counted by worker 0 for all.
    pub interface_dropped: u64,
    /// Not handed on: captured before all workers were there.
    pub early: u64,
}

/// Packets handed on before the other interfaces get their turn.
const TURN: usize = 4096;

/// How often interfaces are looked at although nothing was reported: libpcap may have taken the report.
const LOOK: Duration = Duration::from_millis(200);

impl LiveSource {
    fn new(config: &Arc<LiveConfig>, ports: Vec<Port>) -> Result<LiveSource, Error> {
        let stop = StopHandle::new().map_err(|error| Error::Live {
            interface: config.interfaces.first().cloned().unwrap_or_default(),
            action: "make a stop handle",
            message: error.to_string(),
            permission: false,
        })?;
        let config = Arc::clone(config);
        let mut source = LiveSource {
            config,
            ports,
            stop,
            notices: Vec::new(),
            waits: Vec::new(),
            busy: true,
            looked: Instant::now(),
        };
        source.watch();
        Ok(source)
    }

    fn watch(&mut self) {
        let loops = self.ports.iter_mut().filter_map(Port::break_loop).collect();
        self.stop.watch(loops);
    }

    /// Interface names, in the order of [`Packet::interface`].
    pub fn interfaces(&self) -> &[String] {
        &self.config.interfaces
    }

    /// Hands on the packets there are; waits for some at most `max_wait`.
    ///
    /// Packets of one interface come in order; those of several are not merged.
    ///
    /// # Errors
    /// An interface came back but may not be opened again ([`Error::Live`] with `permission`). Other interfaces go on when
    /// `poll` is called again.
    pub fn poll(&mut self, max_wait: Duration, handler: &mut dyn FnMut(Packet<'_>)) -> Result<Polled, Error> {
        let mut changed = false;
        let mut error = None;
        for port in &mut self.ports {
            match port.mend(&mut self.notices) {
                Ok(other) => changed |= other,
                Err(found) => error = Some(found),
            }
        }
        if changed {
            self.watch();
        }
        if let Some(error) = error {
            return Err(error);
        }
        self.wait(if self.busy || self.stop.is_stopped() { Duration::ZERO } else { max_wait });
        // Before the read: a packet that arrives after it is later than this.
        let before = clock();
        let packets = self.read_all(handler);
        self.busy = packets > 0;
        let behind = self.config.timeout * 2;
        let time = Timestamp(before.nanos().saturating_sub(u64::try_from(behind.as_nanos()).unwrap_or(u64::MAX)));
        Ok(Polled { packets, time, stopped: self.stop.is_stopped() })
    }

    fn read_all(&mut self, handler: &mut dyn FnMut(Packet<'_>)) -> usize {
        let known = self.notices.len();
        let packets = self.ports.iter_mut().map(|port| port.read(TURN, handler, &mut self.notices)).sum();
        if self.stop.is_stopped() {
            // Being interrupted looks like a failure when libpcap has an old message at hand.
            self.notices.truncate(known);
        }
        packets
    }

    fn wait(&mut self, max_wait: Duration) {
        let now = Instant::now();
        let next = self.ports.iter().filter_map(Port::next_try).min();
        let wait = next.map_or(max_wait, |next| max_wait.min(next.saturating_duration_since(now)));
        let entry = |fd: i32| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        self.waits.clear();
        self.waits.push(entry(self.stop.wake_fd().as_raw_fd()));
        // A negative descriptor is passed over by poll(2): the places stay those of the ports.
        let fd = |port: &Port| port.waitable().map_or(-1, |handle| handle.as_fd().as_raw_fd());
        self.waits.extend(self.ports.iter().map(|port| entry(fd(port))));
        let milliseconds = wait.as_nanos().div_ceil(1_000_000).min(60_000) as i32;
        // Fails only for want of memory; then this is a short wait less.
        let _ = sys::wait(&mut self.waits, milliseconds);
        for (port, wait) in self.ports.iter_mut().zip(self.waits.iter().skip(1)) {
            if wait.revents & !libc::POLLIN != 0 {
                port.look_at_error(&mut self.notices);
            }
        }
        let now = Instant::now();
        if now.duration_since(self.looked) > LOOK {
            self.looked = now;
            self.ports.iter_mut().for_each(|port| port.look_at_interface(&mut self.notices));
        }
    }

    /// Notices since the last call.
    pub fn take_notices(&mut self) -> Vec<Notice> {
        std::mem::take(&mut self.notices)
    }

    /// A handle to stop this source.
    pub fn stop_handle(&self) -> StopHandle {
        self.stop.clone()
    }

    /// Counters up to now: reads the kernel's.
    pub fn stats(&mut self) -> LiveStats {
        self.ports.iter_mut().map(Port::stats).fold(LiveStats::default(), |sum, port| LiveStats {
            received: sum.received + port.received,
            dropped: sum.dropped + port.dropped,
            interface_dropped: sum.interface_dropped + port.interface_dropped,
            early: sum.early + port.early,
        })
    }
}

fn clock() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::from_parts(since.as_secs(), since.subsec_nanos())
}
