//! The options of `cargo xtask accuracy`.

use std::path::PathBuf;
use std::str::FromStr;

pub(crate) const USAGE: &str = "\
Usage: cargo xtask accuracy [OPTION…]

Generates traffic of every specification in ../shared/accuracy/specs, replays it, and scores the endpoints and findings.

  --spec NAME…         only these specifications
  --seed SEED          of the generator (1)
  --requests FACTOR    times the usual number of requests: 0.25, 4 (1)
  --scale FACTOR       times the usual number of values of a parameter (1)
  --noise-share SHARE  of scanners, files, pages, wrong paths (0.08)
  --gateway            three services behind one host
  --workers N          of umbra (1)
  --jobs N             specifications at a time (1)
  --umbra PROGRAM      this binary instead of a release build
  --errors N           print so many of the endpoints missed and invented
  --keep               keep the traffic in target/accuracy, and use what is there
";

/// What is generated, and how it is replayed.
#[derive(Clone, Debug)]
pub(super) struct Options {
    pub(super) specs: Vec<String>,
    pub(super) seed: String,
    /// Times the generator's own number.
    pub(super) requests: f64,
    pub(super) scale: f64,
    pub(super) noise_share: f64,
    pub(super) gateway: bool,
    pub(super) workers: u16,
    pub(super) jobs: usize,
    pub(super) umbra: Option<PathBuf>,
    pub(super) errors: u32,
    pub(super) keep: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            specs: Vec::new(),
            seed: "1".into(),
            requests: 1.0,
            scale: 1.0,
            noise_share: 0.08,
            gateway: false,
            workers: 1,
            jobs: 1,
            umbra: None,
            errors: 0,
            keep: false,
        }
    }
}

impl Options {
    pub(super) fn parse(args: &[&str]) -> Result<Options, String> {
        let mut options = Options::default();
        let mut args = args.iter().copied().peekable();
        while let Some(arg) = args.next() {
            match arg {
                "--gateway" => options.gateway = true,
                "--keep" => options.keep = true,
                "--spec" => {
                    while let Some(name) = args.next_if(|next| !next.starts_with("--")) {
                        options.specs.push(name.to_owned());
                    }
                }
                _ => {
                    let text = args.next().ok_or_else(|| format!("{arg} needs a value"))?;
                    match arg {
                        "--seed" => options.seed = text.to_owned(),
                        "--requests" => options.requests = value(arg, text)?,
                        "--scale" => options.scale = value(arg, text)?,
                        "--noise-share" => options.noise_share = value(arg, text)?,
                        "--workers" => options.workers = value(arg, text)?,
                        "--jobs" => options.jobs = value::<usize>(arg, text)?.max(1),
                        "--umbra" => options.umbra = Some(text.into()),
                        "--errors" => options.errors = value(arg, text)?,
                        _ => return Err(format!("unknown option {arg}\n\n{USAGE}")),
                    }
                }
            }
        }
        Ok(options)
    }

    /// What differs from the usual traffic, for the heading and the folder.
    pub(super) fn title(&self) -> String {
        let mut title = format!("seed {}", self.seed);
        for (name, value, usual) in
            [("requests", self.requests, 1.0), ("scale", self.scale, 1.0), ("noise-share", self.noise_share, 0.08)]
        {
            if value != usual {
                title += &format!(", {name} {value}");
            }
        }
        if self.gateway {
            title += ", gateway";
        }
        title
    }
}

fn value<T: FromStr>(name: &str, text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("{name}: {text} is no number that fits"))
}
