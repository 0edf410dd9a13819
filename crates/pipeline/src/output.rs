//! Records on their way out of a worker.

use umbra_discovery::EndpointKey;
use umbra_event::{Event, EventWriter};

/// Turns an event into bytes of some format.
pub trait Encode: Send {
    /// Appends the event to `out`, which holds whole records and nothing else. False if the format cannot say it. `key` is what the
    /// event's endpoint is known by, `None` if it has none.
    fn encode(&mut self, event: &Event<'_>, key: Option<EndpointKey<'_>>, out: &mut Vec<u8>) -> bool;
}

/// One JSON event a line.
#[derive(Clone, Debug, Default)]
pub struct JsonLine {
    writer: EventWriter,
}

impl Encode for JsonLine {
    fn encode(&mut self, event: &Event<'_>, _: Option<EndpointKey<'_>>, out: &mut Vec<u8>) -> bool {
        self.writer.write(event, out);
        true
    }
}

/// Whole records, ready to be written.
#[derive(Debug, Default)]
pub struct Output {
    /// The records.
    pub bytes: Vec<u8>,
    /// How many.
    pub count: u64,
}

impl Output {
    /// Forgets what has been written, keeping the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.count = 0;
    }
}
