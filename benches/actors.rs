//! `cargo bench --bench actors`: what `benches/peers/actors.rs` measures.

mod peers;

fn main() {
    peers::run("actors");
}
