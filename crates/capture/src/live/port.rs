//! One interface as one worker sees it: the libpcap handle, and what happens when the interface goes away.
//!
//! ```text
//!            error of the handle                       up again, same interface
//!  Capturing ──────────────────► Gap ─────────────────────────────────────────► Capturing
//!                                 │   made again: new handle and fanout group ─► Capturing
//!                                 │   … no rights, no fanout: handle is bound anew ► Capturing
//!                                 │   … no rights, fanout, spare: spare is bound ─► Capturing (this worker alone)
//!                                 └── … no rights, fanout, no spare ─────────────► Retired
//! ```
//!
//! Why a spare: a socket in a fanout group can never be bound again (`packet_do_bind` refuses), and a new one needs
//! `CAP_NET_RAW`, which is gone after start. A socket outside any group can be bound without rights as often as needed.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pcap::{Active, Capture, Precision};
use umbra_wire::{LinkType, Packet, Timestamp};

use super::{GapCause, LiveConfig, LiveStats, Notice, clock};
use crate::{Error, sys};

/// Waits between looks at a lost interface: doubled from the first to the last.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LAST_WAIT: Duration = Duration::from_millis(500);

/// Errors in a row of a handle whose interface is up, before the handle is opened again.
const MAX_STRIKES: u32 = 3;

/// The fanout group of an interface, shared by the workers' ports on it.
pub(super) type Group = Arc<Mutex<Option<(u32, u16)>>>;

pub(super) struct Port {
    name: String,
    /// [`Packet::interface`].
    number: u32,
    worker: usize,
    config: Arc<LiveConfig>,
    handle: Option<Capture<Active>>,
    spare: Option<Capture<Active>>,
    /// `None` with one worker, and after falling back to the spare.
    group: Option<Group>,
    /// Kernel's index of the interface the handle is bound to.
    index: u32,
    hardware: u16,
    link: LinkType,
    /// Packets from before: of the time when the fanout group was not complete.
    not_before: Timestamp,
    gap: Option<Gap>,
    strikes: u32,
    /// Counters of earlier handles and of this one up to `read`.
    total: LiveStats,
    /// What the handle said last; its 32-bit counters wrap.
    read: pcap::Stat,
}

struct Gap {
    start: Timestamp,
    cause: GapCause,
    since: Instant,
    wait: Duration,
    next: Instant,
}

/// What became of going on without rights.
enum Rebound {
    /// Captures all packets of this worker.
    Whole,
    /// Captures all packets of all workers.
    Alone,
    /// Did not work this time.
    Later,
    /// Never will.
    Retired,
}

impl Port {
    pub(super) fn open(
        config: &Arc<LiveConfig>,
        worker: usize,
        number: u32,
        group: Option<Group>,
    ) -> Result<Port, Error> {
        let name = config.interfaces.get(number as usize).cloned().unwrap_or_default();
        let mut port = Port {
            name,
            number,
            worker,
            config: Arc::clone(config),
            handle: None,
            spare: None,
            group,
            index: 0,
            hardware: 0,
            link: LinkType::ETHERNET,
            not_before: Timestamp::default(),
            gap: None,
            strikes: 0,
            total: LiveStats::default(),
            read: EMPTY,
        };
        if port.group.is_some() && worker == 0 && config.spare {
            let spare = port.activate()?;
            sys::reject_all(spare.as_fd()).map_err(|error| port.failed("make a spare handle", &error))?;
            port.spare = Some(spare);
        }
        port.reopen()?;
        Ok(port)
    }

    /// Drops packets captured before `time`, when those were shared out among other workers.
    pub(super) fn start(&mut self, time: Timestamp) {
        if self.group.is_some() {
            self.not_before = time;
        }
    }

    /// The handle to wait on, unless in a gap.
    pub(super) fn waitable(&self) -> Option<&Capture<Active>> {
        if self.gap.is_none() { self.handle.as_ref() } else { None }
    }

    pub(super) fn break_loop(&mut self) -> Option<pcap::BreakLoop> {
        self.handle.as_mut().map(Capture::breakloop_handle)
    }

    /// When a lost interface is to be looked at again.
    pub(super) fn next_try(&self) -> Option<Instant> {
        self.gap.as_ref().map(|gap| gap.next)
    }

    /// Hands on up to `limit` packets that are in the ring. Gives how many.
    pub(super) fn read(
        &mut self,
        limit: usize,
        handler: &mut dyn FnMut(Packet<'_>),
        notices: &mut Vec<Notice>,
    ) -> usize {
        // In a gap too: what came before it may still be in the ring.
        let Some(handle) = self.handle.as_mut() else { return 0 };
        let (link, interface, not_before) = (self.link, self.number, self.not_before);
        // Counted here: an interrupted call hands packets on and reports none.
        let (mut early, mut packets) = (0, 0);
        let result = handle.dispatch(Some(limit), |packet| {
            let seconds = u64::try_from(packet.header.ts.tv_sec).unwrap_or(0);
            // Nanoseconds, whatever the field is called: the handle was opened so.
            let time = Timestamp::from_parts(seconds, u32::try_from(packet.header.ts.tv_usec).unwrap_or(0));
            if time < not_before {
                early += 1;
                return;
            }
            packets += 1;
            let wire_len = packet.header.len;
            handler(Packet { time, link, interface, wire_len, data: packet.data });
        });
        self.total.early += early;
        match result {
            Ok(0) => {}
            Ok(_) => self.strikes = 0,
            // breakloop: the source looks at its flag.
            Err(pcap::Error::PcapError(message)) if message.is_empty() => {}
            Err(_) if self.gap.is_none() => {
                self.strikes += 1;
                self.lose(GapCause::Error, notices);
            }
            Err(_) => {}
        }
        packets
    }

    /// Polling found an error at the socket.
    pub(super) fn look_at_error(&mut self, notices: &mut Vec<Notice>) {
        let Some(handle) = self.handle.as_ref().filter(|_| self.gap.is_none()) else { return };
        match sys::take_socket_error(handle.as_fd()) {
            Some(error) if error.raw_os_error() == Some(libc::ENETDOWN) => self.lose(GapCause::Down, notices),
            Some(_) => {
                self.strikes += 1;
                self.lose(GapCause::Error, notices);
            }
            // libpcap was faster: it takes the error too, and keeps it to itself.
            None => self.look_at_interface(notices),
        }
    }

    /// Looks whether the interface is there and up.
    pub(super) fn look_at_interface(&mut self, notices: &mut Vec<Notice>) {
        if self.gap.is_none() && self.handle.is_some() && !self.is_up() {
            self.lose(GapCause::Down, notices);
        }
    }

    /// `any` is all interfaces at once: it cannot go away.
    fn is_every_interface(&self) -> bool {
        self.name == "any"
    }

    /// Whether the interface the handle is bound to exists no more.
    fn is_removed(&self) -> bool {
        !self.is_every_interface() && sys::interface_name(self.index).is_none()
    }

    /// Whether the interface the handle is bound to is up, whatever its name is by now.
    fn is_up(&self) -> bool {
        if self.is_every_interface() {
            return true;
        }
        let name = sys::interface_name(self.index);
        name.is_some_and(|name| sys::interface_state(&name).is_ok_and(|(up, _)| up))
    }

    fn lose(&mut self, cause: GapCause, notices: &mut Vec<Notice>) {
        let cause = if self.is_removed() { GapCause::Removed } else { cause };
        let start = clock();
        let since = Instant::now();
        self.gap = Some(Gap { start, cause, since, wait: FIRST_WAIT, next: since + FIRST_WAIT });
        notices.push(Notice::Lost { interface: self.number, worker: self.worker, at: start, cause });
    }

    /// Looks after a lost interface if it is time. True when the handle is another one.
    pub(super) fn mend(&mut self, notices: &mut Vec<Notice>) -> Result<bool, Error> {
        let now = Instant::now();
        if self.gap.as_ref().is_none_or(|gap| gap.next > now) {
            return Ok(false);
        }
        let removed = self.is_removed();
        let Some(gap) = self.gap.as_mut() else { return Ok(false) };
        gap.wait = (gap.wait * 2).min(LAST_WAIT);
        gap.next = now + gap.wait;
        let since = gap.since;
        if removed {
            gap.cause = GapCause::Removed;
        } else if self.strikes < MAX_STRIKES {
            // The kernel attaches the socket again when its interface comes up, whatever its name is by now.
            if self.is_up() {
                self.close_gap(false, notices);
            }
            return Ok(false);
        }
        // The old handle is kept until what was in its ring has been read.
        let drained = now.duration_since(since) > self.config.timeout * 2 + FIRST_WAIT;
        let ready = self.is_every_interface() || sys::interface_state(&self.name).is_ok_and(|(up, _)| up);
        if !drained || !ready {
            return Ok(false);
        }
        let alone = match self.reopen() {
            Ok(()) => false,
            Err(Error::Live { permission: true, .. }) => match self.rebind()? {
                Rebound::Later => return Ok(false),
                Rebound::Retired => return Ok(true),
                Rebound::Whole => false,
                Rebound::Alone => true,
            },
            // Gone again, or half made: look later.
            Err(_) => return Ok(false),
        };
        self.close_gap(alone, notices);
        Ok(true)
    }

    fn close_gap(&mut self, alone: bool, notices: &mut Vec<Notice>) {
        if let Some(gap) = self.gap.take().filter(|_| self.handle.is_some()) {
            let (interface, worker, end) = (self.number, self.worker, clock());
            notices.push(Notice::Gap { interface, worker, start: gap.start, end, cause: gap.cause, alone });
        }
    }

    /// A new handle, in the fanout group of the interface.
    fn reopen(&mut self) -> Result<(), Error> {
        let mut handle = self.activate()?;
        let index = sys::interface_index(&self.name).unwrap_or(0);
        if let Some(group) = &self.group {
            self.join(&handle, group, index)?;
        }
        self.fold();
        self.read = base(&mut handle);
        self.link = LinkType(u16::try_from(handle.get_datalink().0).unwrap_or(u16::MAX));
        self.hardware = sys::interface_state(&self.name).map_or(0, |(_, hardware)| hardware);
        self.index = index;
        self.strikes = 0;
        self.start(clock());
        self.handle = Some(handle);
        Ok(())
    }

    /// Opens the interface: never in immediate mode, which makes libpcap fall back to TPACKET_V2.
    fn activate(&self) -> Result<Capture<Active>, Error> {
        let (config, name) = (&*self.config, self.name.as_str());
        let number = |value: u128| i32::try_from(value).unwrap_or(i32::MAX);
        let failed = |action| {
            move |error: pcap::Error| {
                let message = match error {
                    pcap::Error::PcapError(message) => message,
                    other => other.to_string(),
                };
                let permission = ["CAP_NET_RAW", "permi", "Permi"].iter().any(|word| message.contains(word));
                Error::Live { interface: name.to_owned(), action, message, permission }
            }
        };
        let handle = Capture::from_device(name)
            .map_err(failed("find the interface"))?
            .promisc(config.promiscuous)
            .snaplen(number(u128::from(config.snaplen)))
            .buffer_size(number(config.buffer_bytes as u128))
            .timeout(number(config.timeout.as_millis()).max(1))
            .precision(Precision::Nano)
            .open()
            .map_err(failed("open"))?;
        let mut handle = handle.setnonblock().map_err(failed("make non-blocking"))?;
        if let Some(filter) = &config.filter {
            let compiled = handle.filter(filter, true);
            compiled.map_err(|error| Error::Filter { filter: filter.clone(), message: text(error) })?;
        }
        Ok(handle)
    }

    /// Joins the group of the other workers, or makes one when the interface is not the one the group was made for.
    fn join(&self, handle: &Capture<Active>, group: &Group, index: u32) -> Result<(), Error> {
        let mut group = group.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_for, id)) = *group
            && made_for == index
            && sys::join_fanout(handle.as_fd(), Some(id)).is_ok()
        {
            return Ok(());
        }
        let id = sys::join_fanout(handle.as_fd(), None).map_err(|error| self.failed("join a fanout group", &error))?;
        *group = Some((index, id));
        Ok(())
    }

    /// Goes on without the right to open: see the module.
    fn rebind(&mut self) -> Result<Rebound, Error> {
        let index = sys::interface_index(&self.name).unwrap_or(0);
        let hardware = sys::interface_state(&self.name).map_or(0, |(_, hardware)| hardware);
        if self.group.is_some() {
            let Some(mut spare) = self.spare.take() else { return self.retire("open again") };
            self.fold();
            self.read = base(&mut spare);
            (self.handle, self.group) = (Some(spare), None);
        }
        if hardware != self.hardware {
            // Its packets start with other headers than those the handle was opened for.
            return self.retire("bind to an interface of another kind");
        }
        let filter = self.config.filter.as_deref().unwrap_or("");
        let Some(handle) = &mut self.handle else { return Ok(Rebound::Later) };
        // "Network is down" may wait at the socket, and libpcap would stumble over it.
        sys::take_socket_error(handle.as_fd());
        let promiscuous = self.config.promiscuous;
        let bound = handle.filter(filter, true).is_ok()
            && sys::bind_packet(handle.as_fd(), index).is_ok()
            && (!promiscuous || sys::make_promiscuous(handle.as_fd(), index).is_ok());
        if !bound {
            // Gone again meanwhile.
            return Ok(Rebound::Later);
        }
        (self.index, self.strikes) = (index, 0);
        Ok(if self.config.workers > 1 { Rebound::Alone } else { Rebound::Whole })
    }

    /// Gives the interface up: no packet will come here again. The first worker reports it.
    fn retire(&mut self, action: &'static str) -> Result<Rebound, Error> {
        self.fold();
        (self.handle, self.gap) = (None, None);
        if self.worker != 0 {
            return Ok(Rebound::Retired);
        }
        Err(self.failed(action, &std::io::Error::from_raw_os_error(libc::EPERM)))
    }

    fn failed(&self, action: &'static str, error: &std::io::Error) -> Error {
        let permission = error.raw_os_error() == Some(libc::EPERM);
        Error::Live { interface: self.name.clone(), action, message: error.to_string(), permission }
    }

    /// Adds what the handle counted since the last time.
    fn fold(&mut self) {
        let Some(now) = self.handle.as_mut().and_then(|handle| handle.stats().ok()) else { return };
        let more = |now: u32, before: u32| u64::from(now.wrapping_sub(before));
        self.total.received += more(now.received, self.read.received);
        self.total.dropped += more(now.dropped, self.read.dropped);
        // A counter of the interface, the same for every worker: the first one reports it.
        if self.worker == 0 {
            self.total.interface_dropped += more(now.if_dropped, self.read.if_dropped);
        }
        self.read = now;
    }

    pub(super) fn stats(&mut self) -> LiveStats {
        self.fold();
        self.total
    }
}

const EMPTY: pcap::Stat = pcap::Stat { received: 0, dropped: 0, if_dropped: 0 };

/// Where counting starts: at 0, also for what came before the handle was ready (`early`), except for the interface's drops.
fn base(handle: &mut Capture<Active>) -> pcap::Stat {
    let read = handle.stats().unwrap_or(EMPTY);
    pcap::Stat { received: 0, dropped: 0, ..read }
}

fn text(error: pcap::Error) -> String {
    match error {
        pcap::Error::PcapError(message) => message,
        other => other.to_string(),
    }
}
