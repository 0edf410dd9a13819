//! Several files at a time, and what becomes of the buffers.

use super::*;

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Folder {
        let path = std::env::temp_dir().join(format!("umbra-capture-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }
    fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn at_times(times: impl IntoIterator<Item = u64>, tag: u8) -> Vec<Written> {
    times.into_iter().map(|time| (time * 1000, vec![tag; 60], 60)).collect()
}

#[test]
fn several_files_in_packet_time_order() {
    let folder = Folder::new("merge");
    let (even, odd) = (at_times((0..5000).map(|n| n * 2), 0), at_times((0..5000).map(|n| n * 2 + 1), 1));
    let (later, same) = (at_times(20_000..20_500, 2), at_times([3, 3, 3], 3));
    let write = |name: &str, packets: &[Written]| folder.write(name, &classic(End::Little, 0xa1b2_c3d4, packets));
    write("b.pcap", &even);
    write("sub/a.pcap", &odd);
    write("c.pcap", &later);
    write("d.pcap", &same);
    folder.write("empty.pcap", &classic(End::Big, 0xa1b2_c3d4, &[]));
    folder.write("README.md", b"no capture");
    folder.write("z.pcap.gz", &gzip(&classic(End::Little, 0xa1b2_c3d4, &at_times([7], 9))));
    let options = Options { merge_batch_bytes: 4000, ..Options::default() };
    let outcome = drain(FileSet::open(std::slice::from_ref(&folder.0), options).unwrap());
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let mut expected = [even, later, same, odd, at_times([7], 9)].concat();
    expected.sort_by_key(|packet| packet.0); // stable: the order of the paths decides ties
    assert_eq!(outcome.packets.len(), expected.len());
    assert!(outcome.packets == expected);
    assert_eq!((outcome.counters.files_skipped, outcome.counters.files_late), (1, 0));
    assert_eq!(outcome.counters.packets, expected.len() as u64);
}

/// Files that follow each other are opened one after the other and their batches passed on without a copy.
#[test]
fn rotated_files_need_few_descriptors_and_no_copies() {
    let folder = Folder::new("rotated");
    let mut expected = Vec::new();
    for file in 0..300_u64 {
        let packets = at_times((0..10).map(|n| file * 10 + n), 5);
        folder.write(&format!("{file:03}.pcap"), &classic(End::Little, 0xa1b2_c3d4, &packets));
        expected.extend(packets);
    }
    let mut files = FileSet::open(std::slice::from_ref(&folder.0), Options::default()).unwrap();
    assert!(matches!(files.progress(), Progress { bytes_read: 0, bytes_total: Some(total) } if total > 300 * 24));
    let mut batches = 0;
    let mut seen = Vec::new();
    while let Some(batch) = files.next_batch().unwrap() {
        batches += 1;
        seen.extend(batch.packets().map(|packet| (packet.time.nanos(), packet.data.to_vec(), packet.wire_len)));
    }
    assert_eq!((batches, seen == expected), (300, true));
    assert!(files.counters().buffers_allocated <= 4, "{:?}", files.counters());
    let progress = files.progress();
    assert_eq!(Some(progress.bytes_read), progress.bytes_total);
}

#[test]
fn one_bad_file_does_not_stop_the_others() {
    let folder = Folder::new("bad");
    let good = at_times(0..100, 1);
    let one = folder.write("good.pcap", &classic(End::Little, 0xa1b2_c3d4, &good));
    let mut bytes = classic(End::Little, 0xa1b2_c3d4, &at_times([50], 2));
    bytes.extend([0xff; 16]);
    let two = folder.write("bad.pcap", &bytes);
    let outcome = drain(FileSet::open(&[one.clone(), two.clone()], Options::default()).unwrap());
    assert_eq!(outcome.packets.len(), 101);
    assert_eq!(outcome.counters.files_failed, 1);
    let Some(Error::Corrupt { file, offset: 100, .. }) = outcome.error else { panic!("{:?}", outcome.error) };
    assert_eq!(file, two.display().to_string());
    // Not found is known at once; so is that there is nothing.
    let none = folder.0.join("none.pcap");
    assert!(matches!(FileSet::open(&[one, none], Options::default()), Err(Error::Open { .. })));
    assert!(matches!(FileSet::open(&[], Options::default()), Err(Error::NoInput)));
}

#[test]
fn buffers_come_back() {
    let many = at_times(0..20_000, 1);
    let bytes = classic(End::Little, 0xa1b2_c3d4, &many);
    let options = Options { batch_bytes: 16 * 1024, ..Options::default() };
    let mut files = FileSet::from_reader("x", std::io::Cursor::new(bytes), options).unwrap();
    let (mut held, mut batches) = (None, 0);
    while let Some(batch) = files.next_batch().unwrap() {
        batches += 1;
        held = Some(batch.clone()); // one is still with a worker while the next is read
    }
    drop(held);
    assert!(batches > 50);
    assert_eq!(files.counters().buffers_allocated, 2);
}
