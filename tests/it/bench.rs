//! `cargo bench`: the analysis against the typed parse of the same bytes. It stands beside the tests,
//! with which it shares the generator of histories.

#![expect(clippy::unwrap_used, reason = "a bench that meets an error has failed")]
#![expect(clippy::print_stdout, reason = "figures are its result")]
#![expect(unreachable_pub, unused, reason = "shared with the tests, which use more of it")]

mod speed;
mod support {
    pub(crate) mod synth;
}

fn main() {
    for row in speed::measure(10) {
        row.print();
    }
}
