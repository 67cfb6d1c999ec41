//! The macros' errors say what to write. `make ui` runs this; a macro's own words are also tested,
//! without a compiler, in `runtime/macros`.

#[test]
#[ignore = "builds all dependencies once more, which takes minutes; make ui"]
fn errors_say_what_to_write() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
