//! Counts packets and bytes of capture files: `count [-f FILTER] FILE|DIR|-…`. Shows what reading costs.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use umbra_capture::file::{FileSet, Options};

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let mut options = Options::default();
    if arguments.next_if(|first| first == "-f").is_some() {
        options.filter = arguments.next().and_then(|filter| filter.into_string().ok());
    }
    let paths: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
    let start = Instant::now();
    let mut files = match FileSet::open(&paths, options) {
        Ok(files) => files,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(66);
        }
    };
    let (mut packets, mut bytes, mut code) = (0_u64, 0_u64, ExitCode::SUCCESS);
    loop {
        match files.next_batch() {
            Ok(Some(batch)) => {
                packets += batch.len() as u64;
                bytes += batch.packets().map(|packet| packet.data.len() as u64).sum::<u64>();
            }
            Ok(None) => break,
            Err(error) => {
                eprintln!("{error}");
                code = ExitCode::from(65);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{packets} packets, {bytes} bytes, {:.1} ns a packet", seconds * 1e9 / packets.max(1) as f64);
    println!("{:?}", files.counters());
    code
}
