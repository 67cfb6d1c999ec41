//! `cargo bench --bench supervision`: what `benches/peers/supervision.rs` measures.

mod peers;

fn main() {
    peers::run("supervision");
}
