//! `cargo bench --bench remote`: what `benches/peers/remote.rs` measures.

mod peers;

fn main() {
    peers::run("remote");
}
