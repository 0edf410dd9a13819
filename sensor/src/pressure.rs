//! How much to shed when the kernel drops packets: whole flows by hash, so that those that stay are whole (F101).

/// Seconds without a drop after which shedding is halved: from the highest level to none in 8 s.
const CALM: u32 = 2;

/// Watches the kernel's drop counter, once a second.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    dropped: u64,
    calm: u32,
    level: u8,
}

impl Pressure {
    /// Sixteenths of the flows to shed in the coming second.
    pub(crate) fn level(&mut self, dropped: u64) -> u8 {
        if dropped > self.dropped {
            self.calm = 0;
            self.level = (self.level + 1).min(umbra_pipeline::SHED_LEVELS - 1);
        } else {
            self.calm += 1;
            if self.calm >= CALM {
                self.calm = 0;
                self.level /= 2;
            }
        }
        self.dropped = dropped;
        self.level
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn f101_rises_while_the_kernel_drops_and_is_gone_ten_seconds_after() {
        let mut pressure = Pressure::default();
        let mut dropped = 0;
        for second in 1..=20u8 {
            dropped += 1000;
            assert_eq!(pressure.level(dropped), second.min(umbra_pipeline::SHED_LEVELS - 1));
        }
        let recovered = (1..).find(|_| pressure.level(dropped) == 0);
        assert!(recovered.is_some_and(|seconds| seconds <= 10), "{recovered:?} s");
    }
}
