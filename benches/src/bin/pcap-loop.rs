//! The yardstick: reads capture files through libpcap and does nothing but count.

use std::process::ExitCode;

fn main() -> ExitCode {
    let (mut packets, mut bytes) = (0u64, 0u64);
    for path in std::env::args().skip(1) {
        let mut capture = match pcap::Capture::from_file(&path) {
            Ok(capture) => capture,
            Err(error) => {
                eprintln!("pcap-loop: {path}: {error}");
                return ExitCode::from(66);
            }
        };
        loop {
            match capture.next_packet() {
                Ok(packet) => {
                    packets += 1;
                    bytes += packet.data.len() as u64;
                }
                Err(pcap::Error::NoMorePackets) => break,
                Err(error) => {
                    eprintln!("pcap-loop: {path}: {error}");
                    return ExitCode::from(65);
                }
            }
        }
    }
    println!("{packets} packets {bytes} bytes");
    ExitCode::SUCCESS
}
