//! `cargo bench --bench tls`: what `benches/peers/tls.rs` measures.

mod peers;

fn main() {
    peers::run("tls");
}
