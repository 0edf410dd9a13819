//! Writes made-up captures in the corpus' layout: `make-captures DIR SCALE`. Scale 1 is about 2 GB.

use std::path::Path;
use std::process::ExitCode;

use umbra_benches::made;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [dir, scale] = args.as_slice() else {
        eprintln!("Usage: make-captures DIR SCALE");
        return ExitCode::from(64);
    };
    let Some(scale) = scale.parse::<f64>().ok().filter(|scale| *scale > 0.0) else {
        eprintln!("make-captures: {scale}: not a scale");
        return ExitCode::from(64);
    };
    for name in made::NAMES {
        if let Err(error) = write(Path::new(dir), name, scale) {
            eprintln!("make-captures: {dir}: {error}");
            return ExitCode::from(74);
        }
    }
    ExitCode::SUCCESS
}

fn write(dir: &Path, name: &str, scale: f64) -> std::io::Result<()> {
    let full = match name {
        "http1-big" => 40_000.0,
        "many-conns" => 200_000.0,
        _ => 500_000.0,
    };
    let Some(made) = made::make(name, ((full * scale) as usize).max(50)) else { return Ok(()) };
    std::fs::create_dir_all(dir)?;
    std::fs::write(dir.join(format!("{name}.pcap")), made.trace.to_pcap())?;
    std::fs::write(dir.join(format!("{name}.access.tsv")), made.log)?;
    let truth = format!("{{\"name\": \"{name}\", \"transactions\": {}}}\n", made.transactions);
    std::fs::write(dir.join(format!("{name}.truth.json")), truth)
}
