//! What one specification may cost: every table that a document can make grow has its bound here.

/// Bounds while reading one specification with the files it refers to. Reaching one leaves out what is past it and says
/// so in an [`Issue`](crate::Issue), except `bytes` and `nodes`, where nothing useful is left: the document is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Longest document, in bytes. The largest specification published by a big cloud is about 20 MB.
    pub bytes: usize,
    /// Values in one document, 40 bytes each with its key. A 20 MB specification has about a million.
    pub nodes: usize,
    /// Containers inside containers. Below the 128 at which `serde_json` stops; real specifications stay under 40.
    pub depth: usize,
    /// Files that one specification may be spread over.
    pub files: usize,
    /// Bytes of all files together.
    pub total_bytes: usize,
    /// `$ref` that leads to another `$ref`, and so on.
    pub reference_chain: usize,
    /// Entries copied by YAML merge keys (`<<`), and parts of operations read through shared references: both let a short
    /// document stand for a very long one.
    pub shared_parts: usize,
    /// Operations.
    pub operations: usize,
    /// Parameters of one operation (F068). Generated filters reach about 600.
    pub parameters: usize,
    /// Responses of one operation, and media types of one body.
    pub responses: usize,
    /// Longest path template, in bytes.
    pub template_bytes: usize,
    /// Base addresses that the variables of one server may expand to, and servers in one list.
    pub bases: usize,
    /// Values kept of one `enum`; a longer one counts as open.
    pub enumeration: usize,
    /// Issues told of one specification; the rest is counted.
    pub issues: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            bytes: 32 << 20,
            nodes: 3_000_000,
            depth: 100,
            files: 256,
            total_bytes: 64 << 20,
            reference_chain: 32,
            shared_parts: 2_000_000,
            operations: 50_000,
            parameters: 1024,
            responses: 128,
            template_bytes: 4096,
            bases: 64,
            enumeration: 256,
            issues: 100,
        }
    }
}
