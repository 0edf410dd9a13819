//! Records on their way out of a worker.

/// What a worker writes for each transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OutputKind {
    /// Nothing: only the inventory is wanted.
    #[default]
    None,
    /// One JSON event a line.
    JsonLines,
    /// HAR entries.
    Har,
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
