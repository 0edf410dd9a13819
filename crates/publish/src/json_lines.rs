//! JSON lines to a file or stdout.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{EventSink, SinkCounters};

/// Buffered up to here before a write: few system calls, little delay.
const WRITE_BYTES: usize = 128 << 10;
/// A call's lines of this size are worth a write of their own: no copy.
const PASS_BYTES: usize = 32 << 10;
/// Kept for another try while writing fails; what comes on top is lost and counted.
const KEEP_BYTES: usize = 4 << 20;
/// Pause after a failure (F102: no spin).
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// When a file is full, `events.jsonl` becomes `events.jsonl.1`, that `.2`, and so on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// A file grows to this many bytes at most (a single buffer that is larger goes into a file of its own).
    pub max_bytes: u64,
    /// Files kept beside the current one; the oldest is deleted.
    pub max_files: u32,
}

impl Default for Rotation {
    fn default() -> Self {
        Rotation { max_bytes: 256 << 20, max_files: 8 }
    }
}

/// What to do with a file that is there already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Open {
    /// Start anew: a replay.
    Truncate,
    /// Go on behind its end: a daemon.
    Append,
}

/// Writes lines through a buffer. A line is written whole or not at all: after a failed write (disk full) a file is cut back to its
/// last whole line, and the buffer is tried again a second later. Dropping it flushes.
pub struct JsonLines {
    output: Output,
    /// Lines not written yet; of a stream, possibly the rest of a line.
    buffer: Vec<u8>,
    buffered: u64,
    counters: SinkCounters,
    failed_at: Option<Instant>,
    closed: bool,
}

enum Output {
    Stream(Box<dyn Write + Send>),
    File(LinesFile),
}

impl JsonLines {
    /// To standard output.
    pub fn stdout() -> JsonLines {
        JsonLines::stream(Box::new(io::stdout()))
    }

    /// To any writer; it should not buffer.
    pub fn stream(writer: Box<dyn Write + Send>) -> JsonLines {
        JsonLines::new(Output::Stream(writer))
    }

    /// To a file, made readable to owner and group only.
    ///
    /// # Errors
    /// The file cannot be opened.
    pub fn file(path: &Path, open: Open, rotation: Option<Rotation>) -> io::Result<JsonLines> {
        LinesFile::open(path, open, rotation).map(|file| JsonLines::new(Output::File(file)))
    }

    fn new(output: Output) -> JsonLines {
        JsonLines {
            output,
            buffer: Vec::with_capacity(WRITE_BYTES),
            buffered: 0,
            counters: SinkCounters::default(),
            failed_at: None,
            closed: false,
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let (taken, result) = self.output.put(&self.buffer, &mut self.counters.rotations);
        self.buffer.drain(..taken.min(self.buffer.len()));
        self.settle(taken, result)
    }

    /// Writes lines past the buffer, which is empty; what is not taken is buffered.
    fn pass(&mut self, lines: &[u8], count: u64) -> io::Result<()> {
        let (taken, result) = self.output.put(lines, &mut self.counters.rotations);
        self.buffer.extend_from_slice(lines.get(taken..).unwrap_or_default());
        self.buffered += count;
        self.settle(taken, result)
    }

    fn settle(&mut self, taken: usize, result: io::Result<()>) -> io::Result<()> {
        self.counters.written_bytes += taken as u64;
        match result {
            Ok(()) => {
                self.counters.written += std::mem::take(&mut self.buffered);
                self.failed_at = None;
                Ok(())
            }
            Err(error) => {
                self.counters.errors += 1;
                self.failed_at = Some(Instant::now());
                if error.kind() == ErrorKind::BrokenPipe {
                    self.closed = true;
                    self.buffer = Vec::new();
                    self.counters.lost += std::mem::take(&mut self.buffered);
                }
                Err(error)
            }
        }
    }
}

impl Output {
    /// Writes; says how many bytes were taken for good.
    fn put(&mut self, bytes: &[u8], rotations: &mut u64) -> (usize, io::Result<()>) {
        match self {
            Output::Stream(writer) => write_stream(writer.as_mut(), bytes),
            Output::File(file) => match file.write(bytes, rotations) {
                Ok(()) => (bytes.len(), Ok(())),
                Err(error) => (0, Err(error)),
            },
        }
    }
}

impl EventSink for JsonLines {
    fn write(&mut self, events_json: &[u8], count: u64) -> io::Result<()> {
        if self.closed {
            self.counters.lost += count;
            return Err(ErrorKind::BrokenPipe.into());
        }
        if self.failed_at.is_some_and(|at| at.elapsed() < RETRY_AFTER) {
            if self.buffer.len() + events_json.len() > KEEP_BYTES {
                self.counters.lost += count;
            } else {
                self.buffer.extend_from_slice(events_json);
                self.buffered += count;
            }
            return Ok(()); // the failure was reported when it happened
        }
        let mut result = Ok(());
        if self.buffer.len() + events_json.len() > WRITE_BYTES {
            result = self.drain();
        }
        if self.closed || self.buffer.len() + events_json.len() > KEEP_BYTES.max(events_json.len()) {
            self.counters.lost += count;
            return result;
        }
        if result.is_ok() && self.buffer.is_empty() && events_json.len() >= PASS_BYTES {
            return self.pass(events_json, count);
        }
        self.buffer.extend_from_slice(events_json);
        self.buffered += count;
        if result.is_ok() && self.buffer.len() >= WRITE_BYTES {
            result = self.drain();
        }
        result
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.closed {
            return Err(ErrorKind::BrokenPipe.into());
        }
        self.drain()
    }

    fn counters(&self) -> SinkCounters {
        self.counters
    }

    fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Drop for JsonLines {
    fn drop(&mut self) {
        // Who wants to know calls `flush`.
        let _ = self.drain();
    }
}

/// Says how much the stream took: the rest of a line must follow, whenever that is.
fn write_stream(writer: &mut dyn Write, bytes: &[u8]) -> (usize, io::Result<()>) {
    let mut written = 0;
    let result = loop {
        let rest = bytes.get(written..).unwrap_or_default();
        if rest.is_empty() {
            break writer.flush();
        }
        match writer.write(rest) {
            Ok(0) => break Err(ErrorKind::WriteZero.into()),
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(error),
        }
    };
    (written.min(bytes.len()), result)
}

/// A file of whole lines.
struct LinesFile {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines; the file is never longer for long.
    len: u64,
    rotation: Option<Rotation>,
    /// A failed write may have left a part of a line behind `len`.
    torn: bool,
}

impl LinesFile {
    fn open(path: &Path, open: Open, rotation: Option<Rotation>) -> io::Result<LinesFile> {
        let mut file = open_file(path, open)?;
        // Of what cannot be sought (a FIFO, /dev/null) the length is what we wrote.
        let regular = file.metadata()?.is_file();
        let mut len = if regular { file.seek(SeekFrom::End(0))? } else { 0 };
        if len > 0 {
            // A crash may have cut the last line: ours start on a new one.
            let mut last = [0];
            file.seek(SeekFrom::End(-1))?;
            file.read_exact(&mut last)?;
            if last != *b"\n" {
                file.write_all(b"\n")?;
                len += 1;
            }
        }
        Ok(LinesFile { path: path.to_owned(), file, len, rotation: rotation.filter(|_| regular), torn: false })
    }

    fn write(&mut self, lines: &[u8], rotations: &mut u64) -> io::Result<()> {
        if self.torn {
            self.cut_back()?;
        }
        if let Some(rotation) = self.rotation
            && self.len > 0
            && self.len.saturating_add(lines.len() as u64) > rotation.max_bytes
        {
            self.rotate(rotation)?;
            *rotations += 1;
        }
        match self.file.write_all(lines) {
            Ok(()) => {
                self.len += lines.len() as u64;
                Ok(())
            }
            Err(error) => {
                self.torn = true;
                let _ = self.cut_back(); // tried again before the next write
                Err(error)
            }
        }
    }

    fn cut_back(&mut self) -> io::Result<()> {
        if self.file.metadata()?.is_file() {
            self.file.set_len(self.len)?;
            self.file.seek(SeekFrom::Start(self.len))?;
        }
        self.torn = false;
        Ok(())
    }

    fn rotate(&mut self, rotation: Rotation) -> io::Result<()> {
        // Somebody took the file away, or it could not be opened the last time: what is open has another name already.
        if rotation.max_files > 0 && self.path.try_exists()? {
            self.make_way(rotation)?;
        }
        // Should this fail, it is tried again with the next lines.
        self.file = open_file(&self.path, Open::Truncate)?;
        self.len = 0;
        Ok(())
    }

    /// Gives the file and those before it the next number.
    fn make_way(&self, rotation: Rotation) -> io::Result<()> {
        let numbered = |number: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{number}"));
            PathBuf::from(name)
        };
        for number in (1..rotation.max_files).rev() {
            match std::fs::rename(numbered(number), numbered(number + 1)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        std::fs::rename(&self.path, numbered(1))
    }
}

fn open_file(path: &Path, open: Open) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).write(true).truncate(open == Open::Truncate).read(open == Open::Append);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o640);
    options.open(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::{Arc, Mutex};

    use super::*;

    fn directory(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("umbra-publish-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).unwrap();
        path
    }

    fn line(number: usize) -> Vec<u8> {
        format!("{{\"n\":{number},\"pad\":\"{}\"}}\n", "x".repeat(1000)).into_bytes()
    }

    #[test]
    fn rotates_by_size_and_keeps_so_many() {
        let directory = directory("rotate");
        let path = directory.join("events.jsonl");
        let mut sink =
            JsonLines::file(&path, Open::Append, Some(Rotation { max_bytes: 300_000, max_files: 2 })).unwrap();
        for number in 0..2000 {
            sink.write(&line(number), 1).unwrap();
        }
        sink.flush().unwrap();
        let counters = sink.counters();
        assert_eq!((counters.written, counters.lost, counters.errors), (2000, 0, 0));
        assert!(counters.rotations >= 5);
        let mut files: Vec<_> = std::fs::read_dir(&directory).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        assert_eq!(files, [path.clone(), directory.join("events.jsonl.1"), directory.join("events.jsonl.2")]);
        let mut next = None;
        for file in ["events.jsonl.2", "events.jsonl.1", "events.jsonl"] {
            let text = std::fs::read_to_string(directory.join(file)).unwrap();
            assert!(text.len() <= 300_000 && text.ends_with('\n'));
            for line in text.lines() {
                let number = serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap();
                assert!(next.is_none_or(|next| next == number));
                next = Some(number + 1);
            }
        }
        assert_eq!(next, Some(2000));
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// Rotation goes on where others meddle: a file that was moved away, or an open that failed the last time.
    #[test]
    fn rotates_without_the_current_file() {
        let directory = directory("moved");
        let path = directory.join("events.jsonl");
        let rotation = Some(Rotation { max_bytes: 5_000, max_files: 2 });
        let mut sink = JsonLines::file(&path, Open::Append, rotation).unwrap();
        for number in 0..22 {
            if number % 7 == 3 {
                std::fs::rename(&path, directory.join(format!("taken.{number}"))).unwrap();
            }
            sink.write(&line(number), 1).unwrap();
            sink.flush().unwrap();
        }
        assert_eq!((sink.counters().written, sink.counters().errors), (22, 0));
        assert!(std::fs::read_to_string(&path).unwrap().ends_with("}\n"));
        std::fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn append_starts_on_a_new_line_and_truncate_anew() {
        let directory = directory("append");
        let path = directory.join("e.jsonl");
        std::fs::write(&path, b"{\"a\":1}\n{\"cut").unwrap();
        JsonLines::file(&path, Open::Append, None).unwrap().write(b"{}\n", 1).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"a\":1}\n{\"cut\n{}\n");
        JsonLines::file(&path, Open::Truncate, None).unwrap().write(b"{}\n", 1).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{}\n");
        std::fs::remove_dir_all(directory).unwrap();
    }

    /// A stream that takes so many bytes, then fails.
    #[derive(Default)]
    struct StreamState {
        taken: Vec<u8>,
        room: usize,
        error: Option<ErrorKind>,
        calls: u64,
    }

    #[derive(Clone, Default)]
    struct Stream(Arc<Mutex<StreamState>>);

    impl Stream {
        fn with_room(room: usize, error: ErrorKind) -> Stream {
            Stream(Arc::new(Mutex::new(StreamState { room, error: Some(error), ..StreamState::default() })))
        }
    }

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let mut state = self.0.lock().unwrap();
            state.calls += 1;
            let room = state.room.min(bytes.len());
            if room == 0 {
                return Err(state.error.unwrap().into());
            }
            state.room -= room;
            state.taken.extend_from_slice(&bytes[..room]);
            Ok(room)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// F102: stdout closed: said once as an error kind the caller can tell, all the rest counted, no system call more.
    #[test]
    fn f102_closed_stdout() {
        let stream = Stream::with_room(200_000, ErrorKind::BrokenPipe);
        let mut sink = JsonLines::stream(Box::new(stream.clone()));
        let results: Vec<_> = (0..1000).map(|number| sink.write(&line(number), 1)).collect();
        let failed = results.iter().position(Result::is_err).unwrap();
        assert!(results[failed..].iter().all(|r| r.as_ref().is_err_and(|e| e.kind() == ErrorKind::BrokenPipe)));
        assert!(sink.is_closed());
        let counters = sink.counters();
        assert_eq!(counters.written + counters.lost, 1000);
        assert_eq!(counters.errors, 1);
        assert!(stream.0.lock().unwrap().calls <= 5);
    }

    /// A buffer of lines that is larger than ours goes past it; what the stream did not take follows later.
    #[test]
    fn large_buffers_pass_and_their_rest_is_kept() {
        let lines: Vec<u8> = (0..400).flat_map(line).collect();
        for room in [usize::MAX, lines.len() / 3, 0] {
            let stream = Stream::with_room(room, ErrorKind::Other);
            let mut sink = JsonLines::stream(Box::new(stream.clone()));
            let first = sink.write(&lines, 400);
            assert_eq!(first.is_ok(), room == usize::MAX);
            assert_eq!(sink.buffer.len(), lines.len().saturating_sub(room));
            stream.0.lock().unwrap().room = usize::MAX;
            sink.write(b"{}\n", 1).unwrap();
            sink.flush().unwrap();
            assert_eq!((sink.counters().written, sink.counters().lost), (401, 0));
            assert_eq!(stream.0.lock().unwrap().taken, [&lines[..], b"{}\n"].concat());
        }
    }

    /// F102: while the stream fails nothing is tried more than once a second, memory is bounded, and what was kept
    /// comes out whole once it works again.
    #[test]
    fn f102_failing_stream_recovers_without_spin() {
        let stream = Stream::with_room(100_000, ErrorKind::Other);
        let mut sink = JsonLines::stream(Box::new(stream.clone()));
        let errors = (0..20_000).filter(|number| sink.write(&line(*number), 1).is_err()).count();
        // A slow machine may see a few seconds pass.
        assert!((1..=20).contains(&errors), "{errors}");
        assert!(stream.0.lock().unwrap().calls <= 2 + errors as u64);
        assert!(sink.buffer.len() <= KEEP_BYTES);
        assert!(sink.counters().lost > 10_000);
        stream.0.lock().unwrap().room = usize::MAX;
        sink.flush().unwrap();
        let counters = sink.counters();
        assert_eq!(counters.written + counters.lost, 20_000);
        let text = String::from_utf8(stream.0.lock().unwrap().taken.clone()).unwrap();
        assert_eq!(text.lines().count() as u64, counters.written);
        for (number, line) in text.lines().enumerate() {
            assert_eq!(serde_json::from_str::<serde_json::Value>(line).unwrap()["n"], number);
        }
    }

    /// F091 for the file sink: a full disk. No line is ever written in part.
    #[test]
    fn f091_full_disk() {
        let Ok(mut sink) = JsonLines::file(Path::new("/dev/full"), Open::Truncate, None) else {
            println!("skipped: no /dev/full");
            return;
        };
        let errors = (0..20_000).filter(|number| sink.write(&line(*number), 1).is_err()).count();
        assert!((1..=20).contains(&errors));
        let counters = sink.counters();
        assert_eq!(counters.written, 0);
        assert!(counters.lost > 10_000);
        assert!(sink.flush().is_err());
    }

    #[test]
    fn part_of_a_line_is_cut_back() {
        let directory = directory("torn");
        let path = directory.join("e.jsonl");
        let mut file = LinesFile::open(&path, Open::Truncate, None).unwrap();
        let mut rotations = 0;
        file.write(b"{\"a\":1}\n", &mut rotations).unwrap();
        // As a write that failed half way leaves it.
        file.file.write_all(b"{\"b").unwrap();
        file.torn = true;
        file.write(b"{\"c\":1}\n", &mut rotations).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"{\"a\":1}\n{\"c\":1}\n");
        std::fs::remove_dir_all(directory).unwrap();
    }
}
