//! Captures of `testdata/`, made by code so that anyone can see and change what is in them.

mod http1;
mod shop;

use umbra_testkit::Trace;

use crate::step::{Outcome, root};

/// Path under `testdata/` and what makes it.
type Capture = (&'static str, fn() -> Trace);

const CAPTURES: &[Capture] = &[("demo/demo.pcap", shop::capture)];

/// Writes every capture; with `--check` only says whether the committed ones are what would be written.
pub(crate) fn run(args: &[&str]) -> Outcome {
    let check = match args {
        [] => false,
        ["--check"] => true,
        _ => return Err("usage: testdata [--check]".into()),
    };
    for (name, make) in CAPTURES {
        let path = root().join("testdata").join(name);
        let bytes = make().to_pcap();
        if check {
            if std::fs::read(&path).ok() != Some(bytes) {
                return Err(format!("testdata/{name} is not what `cargo xtask testdata` makes"));
            }
        } else {
            let folder = path.parent().ok_or("no folder")?;
            std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&path, &bytes)).map_err(|e| e.to_string())?;
            println!("testdata/{name}: {} bytes", bytes.len());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn committed_captures_are_what_the_code_makes() {
        assert_eq!(run(&["--check"]), Ok(()));
    }

    #[test]
    fn captures_stay_small() {
        for (name, make) in CAPTURES {
            assert!(make().to_pcap().len() <= 300_000, "{name}");
        }
    }
}
