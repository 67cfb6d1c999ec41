//! How the binary is linked.

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    let is_linux = std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux");
    if is_linux {
        // At a fixed address. Otherwise each start has 37,000 addresses to set, on 150 pages of its own: half
        // a millisecond for each executor and each launcher, and again for each process that these fork.
        println!("cargo:rustc-link-arg-bins=-no-pie");
    }
}
