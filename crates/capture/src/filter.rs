//! BPF filters in the syntax of tcpdump, for files of any link type and for keeping our own traffic out.

use std::net::SocketAddr;

#[cfg(feature = "live")]
use umbra_wire::LinkType;

use crate::Error;
#[cfg(feature = "live")]
use crate::file::PacketMeta;

/// A filter that matches everything except traffic with `endpoints` (F107: the sensor's own Kafka and API
/// connections must not be fed back to it), joined with the user's filter.
///
/// `None` when there is nothing to filter. TCP and UDP of the address and port are excluded, in both directions.
pub fn exclude_filter(user: Option<&str>, endpoints: &[SocketAddr]) -> Option<String> {
    let user = user.map(str::trim).filter(|filter| !filter.is_empty());
    // Before the user's filter: `vlan` in it moves the offsets of everything behind it.
    let mut clauses: Vec<String> =
        endpoints.iter().map(|at| format!("not (host {} and port {})", at.ip().to_canonical(), at.port())).collect();
    clauses.extend(user.map(|filter| format!("({filter})")));
    if clauses.is_empty() { None } else { Some(clauses.join(" and ")) }
}

/// Does the filter compile?
///
/// # Errors
/// It does not ([`Error::Filter`]), or this build has no libpcap ([`Error::NoBpf`]).
pub fn check(text: &str) -> Result<(), Error> {
    Filter::new(text).map(drop)
}

/// Compiled programs of one filter, one per link type seen.
pub(crate) struct Filter {
    #[cfg_attr(not(feature = "live"), allow(dead_code))]
    text: String,
    #[cfg(feature = "live")]
    programs: Vec<(LinkType, Option<pcap::BpfProgram>)>,
}

#[cfg(feature = "live")]
impl Filter {
    /// Checks the syntax of `text`.
    pub(crate) fn new(text: &str) -> Result<Filter, Error> {
        // `ether host …` does not compile on raw IP, and nothing else is known yet: one link type that takes it is enough.
        let first = compile(text, LinkType::ETHERNET);
        if let Err(message) = first
            && compile(text, LinkType::RAW).is_err()
        {
            return Err(Error::Filter { filter: text.to_owned(), message });
        }
        Ok(Filter { text: text.to_owned(), programs: Vec::new() })
    }

    /// Keeps the packets that match. Gives the number removed, the number of them that could not be tested because
    /// the filter does not compile for their link type, and the error to report the first time that happens.
    pub(crate) fn retain(&mut self, data: &[u8], packets: &mut Vec<PacketMeta>) -> (u64, u64, Option<Error>) {
        let (mut removed, mut untested, mut error) = (0, 0, None);
        let mut last = 0;
        packets.retain(|meta| {
            if self.programs.get(last).is_none_or(|(link, _)| *link != meta.link) {
                last = match self.programs.iter().position(|(link, _)| *link == meta.link) {
                    Some(found) => found,
                    None => {
                        let program = compile(&self.text, meta.link).map_err(|message| {
                            let filter = self.text.clone();
                            error = Some(Error::FilterLink { filter, link: meta.link, message });
                        });
                        self.programs.push((meta.link, program.ok()));
                        self.programs.len() - 1
                    }
                };
            }
            let keep = match self.programs.get(last) {
                Some((_, Some(program))) => program.filter(meta.bytes(data)),
                _ => {
                    untested += 1;
                    false
                }
            };
            removed += u64::from(!keep);
            keep
        });
        (removed, untested, error)
    }
}

#[cfg(feature = "live")]
fn compile(text: &str, link: LinkType) -> Result<pcap::BpfProgram, String> {
    // libpcap wants a DLT; the two numberings differ only for these (pcap-common.c).
    let dlt = match link {
        LinkType::RAW => 12,
        LinkType(100) => 11,
        LinkType(102) => 15,
        LinkType(103) => 16,
        LinkType(106) => 19,
        LinkType(other) => i32::from(other),
    };
    let dead = pcap::Capture::dead(pcap::Linktype(dlt)).map_err(|error| error.to_string())?;
    dead.compile(text, true).map_err(|error| match error {
        pcap::Error::PcapError(message) => message,
        other => other.to_string(),
    })
}

#[cfg(not(feature = "live"))]
impl Filter {
    pub(crate) fn new(_text: &str) -> Result<Filter, Error> {
        Err(Error::NoBpf)
    }

    pub(crate) fn retain(
        &mut self,
        _data: &[u8],
        _packets: &mut Vec<crate::file::PacketMeta>,
    ) -> (u64, u64, Option<Error>) {
        (0, 0, None)
    }
}

#[cfg(test)]
mod tests {
    use super::exclude_filter;

    #[test]
    fn f107_own_traffic_is_excluded_before_the_users_filter() {
        let endpoints = ["192.0.2.1:9092".parse().expect("an address"), "[2001:db8::1]:443".parse().expect("one")];
        let own = "not (host 192.0.2.1 and port 9092) and not (host 2001:db8::1 and port 443)";
        assert_eq!(exclude_filter(None, &endpoints).as_deref(), Some(own));
        let both = format!("{own} and (tcp or vlan)");
        assert_eq!(exclude_filter(Some(" tcp or vlan "), &endpoints), Some(both));
        assert_eq!(exclude_filter(Some("tcp"), &[]).as_deref(), Some("(tcp)"));
        assert_eq!(exclude_filter(Some("  "), &[]), None);
    }
}
