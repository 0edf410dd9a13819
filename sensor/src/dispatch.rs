//! Hands decoded segments to the worker that owns their flow, a batch at a time, without copying payload.

use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use ahash::RandomState;
use crossbeam_channel::{Receiver, Sender, bounded};
use umbra_capture::file::Batch;
use umbra_pipeline::Worker;
use umbra_wire::{Decoder, Packet, Segment, SegmentHeader, Timestamp};

use crate::exit::Failure;
use crate::replay::{FLUSH_BYTES, flush, name_interfaces, worker_panicked};
use crate::session::Session;

/// Batches that wait for each worker: enough that neither side idles, few enough to stay in the cache.
const QUEUE: usize = 4;

/// One thing for a worker to do.
enum Item {
    /// A segment; its payload lies in the batch's buffer, or (a reassembled datagram) in `Work::extra`.
    Segment { header: SegmentHeader, start: u32, len: u32, extra: bool },
    /// Look for timeouts.
    Timeout(Timestamp),
}

/// What a worker gets at a time.
#[derive(Default)]
struct Work {
    buffer: Arc<Vec<u8>>,
    items: Vec<Item>,
    extra: Vec<u8>,
    interfaces: Option<Vec<String>>,
    /// The input ended at this time.
    end: Option<Timestamp>,
}

/// Feeds several workers.
pub(crate) struct Dispatcher<'scope> {
    decoder: Decoder,
    hasher: RandomState,
    named: usize,
    lanes: Vec<Lane<'scope>>,
}

struct Lane<'scope> {
    next: Work,
    queue: Sender<Work>,
    spare: Receiver<Work>,
    thread: ScopedJoinHandle<'scope, Worker>,
}

impl<'scope> Dispatcher<'scope> {
    /// Starts the workers; `prompt`: they hold nothing back while no packets come.
    pub(crate) fn start<'env>(
        scope: &'scope Scope<'scope, 'env>,
        session: &'env Session,
        count: usize,
        prompt: bool,
    ) -> Result<Self, Failure> {
        let [a, b, c, d] = session.pipeline.wire.hash_seed;
        let lanes = (0..count).map(|_| {
            let (queue, work) = bounded(QUEUE);
            let (give_back, spare) = bounded(QUEUE + 2);
            let thread = std::thread::Builder::new().name("umbra-worker".into());
            let thread = thread.spawn_scoped(scope, move || run(session, &work, &give_back, prompt));
            let thread =
                thread.map_err(|error| Failure::new(crate::exit::IO, format!("cannot start a thread: {error}")))?;
            Ok(Lane { next: Work::default(), queue, spare, thread })
        });
        Ok(Dispatcher {
            decoder: Decoder::new(session.pipeline.wire.clone()),
            hasher: RandomState::with_seeds(a, b, c, d),
            named: 0,
            lanes: lanes.collect::<Result<_, Failure>>()?,
        })
    }

    /// Begins a batch.
    pub(crate) fn begin(&mut self, interfaces: &[String]) {
        if self.named < interfaces.len() {
            self.named = interfaces.len();
            for lane in &mut self.lanes {
                lane.next.interfaces = Some(interfaces.to_vec());
            }
        }
    }

    /// Every worker looks for timeouts at this place.
    pub(crate) fn timeout(&mut self, now: Timestamp) {
        for lane in &mut self.lanes {
            lane.next.items.push(Item::Timeout(now));
        }
    }

    /// Decodes a packet of `batch` for the worker that owns its flow.
    #[inline]
    pub(crate) fn packet(&mut self, packet: &Packet<'_>, batch: &Batch) {
        let Some(segment) = self.decoder.decode(packet) else { return };
        let header = segment.header;
        // Order-free, so that both directions reach the same worker. Without VLAN and tunnel: where these are part of
        // the flow's key, more flows share a worker than need to, and nothing else.
        let (a, b) = ((header.src, header.src_port), (header.dst, header.dst_port));
        let hash = self.hasher.hash_one(if a <= b { (a, b) } else { (b, a) });
        let lane = (hash % self.lanes.len() as u64) as usize;
        let Some(lane) = self.lanes.get_mut(lane) else { return };
        let payload = segment.payload;
        let buffer = batch.buffer().as_ptr_range();
        let inside = buffer.contains(&payload.as_ptr());
        let start = if inside {
            payload.as_ptr() as usize - buffer.start as usize
        } else {
            let start = lane.next.extra.len();
            lane.next.extra.extend_from_slice(payload);
            start
        };
        lane.next.items.push(Item::Segment {
            header: *header,
            start: start as u32,
            len: payload.len() as u32,
            extra: !inside,
        });
    }

    /// Sends what the batch gave to each worker.
    pub(crate) fn send(&mut self, batch: &Batch) {
        for lane in &mut self.lanes {
            if lane.next.items.is_empty() {
                continue;
            }
            let next = lane.spare.try_recv().unwrap_or_default();
            let mut work = std::mem::replace(&mut lane.next, next);
            work.buffer = Arc::clone(batch.buffer());
            // A worker that has gone is found when it is joined.
            let _ = lane.queue.send(work);
        }
    }

    /// Ends the workers and gives their state back. Packet counters of the dispatcher's decoder are put into the first.
    pub(crate) fn finish(self, now: Timestamp) -> Result<Vec<Worker>, Failure> {
        for lane in &self.lanes {
            let _ = lane.queue.send(Work { end: Some(now), ..Work::default() });
        }
        let mut workers = Vec::with_capacity(self.lanes.len());
        for lane in self.lanes {
            drop(lane.queue);
            workers.push(lane.thread.join().map_err(|_| worker_panicked())?);
        }
        if let Some(first) = workers.first_mut() {
            first.add_wire_counters(self.decoder.counters());
        }
        Ok(workers)
    }
}

/// A worker's thread.
fn run(session: &Session, queue: &Receiver<Work>, give_back: &Sender<Work>, prompt: bool) -> Worker {
    let mut worker = session.worker();
    let mut named = 0;
    for mut work in queue {
        if let Some(names) = work.interfaces.take() {
            name_interfaces(&mut worker, &names, &mut named);
        }
        for item in work.items.drain(..) {
            match item {
                Item::Segment { header, start, len, extra } => {
                    let bytes = if extra { &work.extra } else { work.buffer.as_slice() };
                    let place = start as usize..start as usize + len as usize;
                    let payload = bytes.get(place).unwrap_or_default();
                    worker.handle_segment(&Segment { header: &header, payload });
                    flush(&mut worker, session, FLUSH_BYTES);
                }
                Item::Timeout(now) => worker.handle_timeout_into(now, &mut |output| session.write(output)),
            }
        }
        if let Some(now) = work.end {
            worker.finish_into(now, &mut |output| session.write(output));
        }
        work.extra.clear();
        // The reader can use the buffer again.
        work.buffer = Arc::default();
        let _ = give_back.try_send(work);
        if prompt && queue.is_empty() {
            flush(&mut worker, session, 0);
            session.output.flush();
        }
    }
    flush(&mut worker, session, 0);
    worker
}
