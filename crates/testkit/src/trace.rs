//! A list of timed frames and what a network or a capture can do to it.

use std::time::Duration;

use umbra_wire::{LinkType, Packet, Timestamp};

use crate::pcap::pcap_file;
use crate::random::Random;

/// Packets in the order in which they are captured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    /// Link type of every frame.
    pub link: LinkType,
    /// Capture time and whole frame.
    pub frames: Vec<(Timestamp, Vec<u8>)>,
}

impl Trace {
    /// An Ethernet trace of these frames.
    pub fn ethernet(frames: Vec<(Timestamp, Vec<u8>)>) -> Trace {
        Trace { link: LinkType::ETHERNET, frames }
    }

    /// Number of packets.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// No packet at all.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The packets as a capture source gives them, uncut, interface 0.
    pub fn packets(&self) -> impl Iterator<Item = Packet<'_>> {
        self.frames.iter().map(|(time, data)| Packet {
            time: *time,
            link: self.link,
            interface: 0,
            wire_len: u32::try_from(data.len()).unwrap(),
            data,
        })
    }

    /// The packets cut to `snap` bytes, wire length kept.
    pub fn cut_packets(&self, snap: usize) -> impl Iterator<Item = Packet<'_>> {
        self.packets().map(move |packet| Packet { data: &packet.data[..packet.data.len().min(snap)], ..packet })
    }

    /// Without the packets at these positions (of the trace before the call).
    pub fn dropping(mut self, positions: &[usize]) -> Trace {
        let mut position = 0;
        self.frames.retain(|_| {
            position += 1;
            !positions.contains(&(position - 1))
        });
        self
    }

    /// Loses each packet with a probability of `percent` in 100.
    pub fn losing(mut self, percent: u8, random: &mut Random) -> Trace {
        self.frames.retain(|_| !random.chance(percent));
        self
    }

    /// The packet at each of these positions is captured twice in a row, the copy 1 µs later.
    pub fn duplicating(self, positions: &[usize]) -> Trace {
        let mut frames = Vec::with_capacity(self.frames.len() + positions.len());
        for (position, (time, data)) in self.frames.into_iter().enumerate() {
            if positions.contains(&position) {
                frames.push((time, data.clone()));
                frames.push((time.after(Duration::from_micros(1)), data));
            } else {
                frames.push((time, data));
            }
        }
        Trace { link: self.link, frames }
    }

    /// Every packet captured twice, as a SPAN port with ingress and egress copies does.
    pub fn doubled(self) -> Trace {
        let all: Vec<usize> = (0..self.frames.len()).collect();
        self.duplicating(&all)
    }

    /// Exchanges the frames at two positions; the capture times stay in order.
    pub fn swapping(mut self, a: usize, b: usize) -> Trace {
        let (time_a, time_b) = (self.frames[a].0, self.frames[b].0);
        self.frames.swap(a, b);
        self.frames[a].0 = time_a;
        self.frames[b].0 = time_b;
        self
    }

    /// Moves each frame by at most `distance` places; the capture times stay in order.
    pub fn jittering(mut self, distance: usize, random: &mut Random) -> Trace {
        let times: Vec<Timestamp> = self.frames.iter().map(|(time, _)| *time).collect();
        let mut keyed: Vec<(usize, Vec<u8>)> = self
            .frames
            .drain(..)
            .enumerate()
            .map(|(position, (_, data))| (position + random.below(distance + 1), data))
            .collect();
        keyed.sort_by_key(|(key, _)| *key);
        self.frames = times.into_iter().zip(keyed.into_iter().map(|(_, data)| data)).collect();
        self
    }

    /// All packets of both traces in time order; at equal times those of `self` first.
    pub fn merging(mut self, other: Trace) -> Trace {
        assert_eq!(self.link, other.link, "one link type per trace");
        self.frames.extend(other.frames);
        self.frames.sort_by_key(|(time, _)| *time);
        self
    }

    /// All packets later by `by`.
    pub fn delayed(mut self, by: Duration) -> Trace {
        for (time, _) in &mut self.frames {
            *time = time.after(by);
        }
        self
    }

    /// A classic pcap file of the trace.
    pub fn to_pcap(&self) -> Vec<u8> {
        pcap_file(self.link, self.packets().map(|packet| (packet.time, packet.wire_len, packet.data)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbered(count: u8) -> Trace {
        Trace::ethernet((0..count).map(|n| (Timestamp(u64::from(n) * 1_000_000), vec![n])).collect())
    }

    fn order(trace: &Trace) -> Vec<u8> {
        assert!(trace.frames.is_sorted_by_key(|(time, _)| *time));
        trace.frames.iter().map(|(_, data)| data[0]).collect()
    }

    #[test]
    fn changes_keep_times_in_order() {
        assert_eq!(order(&numbered(5).dropping(&[1, 3])), [0, 2, 4]);
        assert_eq!(order(&numbered(3).duplicating(&[1])), [0, 1, 1, 2]);
        assert_eq!(order(&numbered(2).doubled()), [0, 0, 1, 1]);
        assert_eq!(order(&numbered(4).swapping(1, 3)), [0, 3, 2, 1]);
        assert_eq!(order(&numbered(2).merging(numbered(2).delayed(Duration::from_micros(500)))), [0, 0, 1, 1]);
        let moved = order(&numbered(50).jittering(3, &mut Random::new(1)));
        assert!(moved.iter().enumerate().all(|(at, &n)| at.abs_diff(usize::from(n)) <= 3), "{moved:?}");
        assert_ne!(moved, (0..50).collect::<Vec<u8>>());
    }

    #[test]
    fn pcap_has_every_packet() {
        let file = numbered(3).to_pcap();
        assert_eq!(file.len(), 24 + 3 * (16 + 1));
        assert_eq!(file[24 + 17 + 4..24 + 17 + 8], 1_000_000u32.to_le_bytes());
    }
}
