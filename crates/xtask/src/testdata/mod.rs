//! Captures of `testdata/`, made by code so that anyone can see and change what is in them.

mod contract;
mod http1;
mod protocols;
mod shop;
mod transport;

use umbra_testkit::Trace;

use crate::step::{Outcome, root};

/// One folder of `testdata/`.
struct Case {
    name: &'static str,
    /// What the case shows: the text of its README.
    shows: &'static str,
    make: fn() -> Trace,
}

const CASES: &[Case] = &[
    Case {
        name: "demo",
        shows: "A quarter of an hour at a made-up web shop, for `make demo`: REST over HTTP/1.1 (chunked, keep-alive), an app over \
                HTTP/2, gRPC, GraphQL, a WebSocket, server-sent events, a forgotten `/v0` with Basic auth, a scanner and health \
                checks.",
        make: shop::capture,
    },
    Case {
        name: "http1-framing",
        shows: "One connection through the ways in which an HTTP/1 message ends: no body, length, chunks with extensions and \
                trailers, HEAD, 204, 304, an interim response, pipelining, and a last body that ends with the connection.",
        make: protocols::http1_framing,
    },
    Case {
        name: "http1-smuggling",
        shows: "Requests whose framing is ambiguous: Content-Length with Transfer-Encoding, two lengths, blanks before a colon, two \
                hosts. Read as RFC 9112 says and flagged; nothing read past the ambiguity confirms an endpoint.",
        make: protocols::http1_smuggling,
    },
    Case {
        name: "http2",
        shows: "HTTP/2 with prior knowledge: interleaved streams, padding, CONTINUATION, trailers, a reset stream, PING and GOAWAY.",
        make: protocols::http2,
    },
    Case {
        name: "grpc",
        shows: "gRPC: a unary call, client, server and two-way streaming, an error in the trailers and a trailers-only error.",
        make: protocols::grpc,
    },
    Case {
        name: "websocket",
        shows: "An accepted WebSocket upgrade with messages both ways, a fragmented one, ping, pong and close; and a refused upgrade \
                after which HTTP goes on.",
        make: protocols::websocket,
    },
    Case {
        name: "late-join",
        shows: "The capture begins in the middle: an HTTP/1 connection inside a response body, and an HTTP/2 connection whose first \
                eight requests were not seen, so that some HPACK references are unknown and must not be guessed.",
        make: transport::late_join,
    },
    Case {
        name: "loss",
        shows: "The capture missed packets: a segment of a response body, one with a request head, and one that ends an answer. What \
                was not touched is complete, what was touched says so.",
        make: transport::loss,
    },
    Case {
        name: "tcp",
        shows: "Odd but valid TCP: segments out of order, retransmitted, doubled by a SPAN port, sequence numbers that wrap, a reset, \
                a 5-tuple used again, and one direction only.",
        make: transport::tcp,
    },
    Case {
        name: "conflict",
        shows: "A retransmission that contradicts what was sent: the first bytes win and the transaction is marked.",
        make: transport::conflict,
    },
    Case {
        name: "vlan",
        shows: "The same conversation without a tag, with one, with two and with three tags, and over IPv6.",
        make: transport::vlan,
    },
    Case {
        name: "secrets",
        shows: "Credentials and personal data in every place where a request or response can hold them. No word that begins with \
                CANARY may be in any output.",
        make: protocols::secrets,
    },
    Case {
        name: "contract",
        shows: "A service that is not as its specification (`spec.yaml`, written by hand) says: parameters, members, types, media types, \
                codes and credentials. `umbra diff` names each difference, `umbra inventory --format openapi` writes what is true, and \
                no word that begins with CANARY is in either.",
        make: contract::contract,
    },
];

impl Case {
    fn files(&self) -> [(String, Vec<u8>); 2] {
        let readme = format!(
            "# {}\n\n{}\n\nAddresses, names and secrets are invented. `capture.pcap` and this file are made by `cargo xtask testdata` \
             (`crates/xtask/src/testdata/`);\na test compares them with what the code makes. `events.jsonl`, `inventory.txt` and `tree.txt` are what the sensor says\n\
             (`UMBRA_BLESS=1 cargo test -p umbra --test goldens` rewrites them).\n",
            self.name, self.shows
        );
        let path = |file| format!("testdata/{}/{file}", self.name);
        [(path("capture.pcap"), (self.make)().to_pcap()), (path("README.md"), readme.into_bytes())]
    }
}

/// Writes every capture and README; with `--check` only says whether the committed ones are what would be written.
pub(crate) fn run(args: &[&str]) -> Outcome {
    let check = match args {
        [] => false,
        ["--check"] => true,
        _ => return Err("usage: testdata [--check]".into()),
    };
    for (name, bytes) in CASES.iter().flat_map(Case::files) {
        let path = root().join(&name);
        if check {
            if std::fs::read(&path).ok() != Some(bytes) {
                return Err(format!("{name} is not what `cargo xtask testdata` makes"));
            }
        } else {
            let folder = path.parent().ok_or("no folder")?;
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &bytes)).map_err(|e| e.to_string())?;
            println!("{name}: {} bytes", bytes.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_files_are_what_the_code_makes() {
        assert_eq!(run(&["--check"]), Ok(()));
    }

    #[test]
    fn captures_stay_small_and_in_time_order() {
        for case in CASES {
            let trace = (case.make)();
            assert!(trace.to_pcap().len() <= 300_000, "{}", case.name);
            assert!(trace.frames.is_sorted_by_key(|(time, _)| *time), "{}", case.name);
        }
    }
}
