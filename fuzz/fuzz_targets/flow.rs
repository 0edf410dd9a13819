//! The flow table against the naive model (a conversation, captured badly), and against hostile segments.
#![no_main]

#[path = "../../crates/flow/tests/support/mod.rs"]
mod support;

use libfuzzer_sys::fuzz_target;
use support::hostile;
use support::plan::{Draw, Mishaps, Plan};
use umbra_flow::Config;

fuzz_target!(|data: &[u8]| {
    let Some((mode, data)) = data.split_first() else { return };
    let all = Mishaps { loss: true, overlap: true, reorder: true, repeat: true };
    match mode % 4 {
        0 => {
            let plan = Plan::draw(data, Mishaps { loss: false, ..all });
            plan.check_complete(&support::run(Config::default(), &plan.segments));
        }
        1 => {
            let plan = Plan::draw(data, all);
            plan.check_lossy(&support::run(Config::default(), &plan.segments));
        }
        2 => {
            let mut draw = Draw(data);
            let config = hostile::tight(&mut draw);
            hostile::check(&config, &hostile::ops(&mut draw, false));
        }
        _ => hostile::check_sweeps(&hostile::ops(&mut Draw(data), true)),
    }
});
