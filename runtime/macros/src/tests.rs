//! What the macros say of input that makes no sense.

use proc_macro2::TokenStream;
use syn::parse_quote;

fn refusal(expanded: syn::Result<TokenStream>) -> String {
    expanded.expect_err("a refusal").to_string()
}

#[test]
fn handlers_name_the_signature_that_they_want() {
    let wants_message = refusal(crate::handlers::expand(parse_quote! {
        impl Counter { #[on] fn add(&mut self) {} }
    }));
    assert!(
        wants_message.contains("#[on] fn name(&mut self, message: M"),
        "{wants_message}"
    );
    let wants_self = refusal(crate::handlers::expand(parse_quote! {
        impl Counter { #[on] fn add(&self, add: Add) {} }
    }));
    assert!(
        wants_self.contains("takes `&mut self` first"),
        "{wants_self}"
    );
    let twice = refusal(crate::handlers::expand(parse_quote! {
        impl Counter {
            #[on] fn one(&mut self, add: Add) {}
            #[on] async fn two(&mut self, add: Add) {}
        }
    }));
    assert_eq!(twice, "Add has a handler already");
    let unmarked = refusal(crate::handlers::expand(parse_quote! { impl Counter {} }));
    assert!(unmarked.starts_with("no method is marked"), "{unmarked}");
    let of_trait = refusal(crate::handlers::expand(parse_quote! { impl A for B {} }));
    assert!(
        of_trait.contains("not into the impl of a trait"),
        "{of_trait}"
    );
    let arguments = refusal(crate::handlers::expand(parse_quote! {
        impl Counter { #[on(Add)] fn add(&mut self, add: Add) {} }
    }));
    assert!(arguments.starts_with("no arguments here"), "{arguments}");
}

#[test]
fn routes_name_methods_and_paths() {
    let method = refusal(crate::routes::expand(parse_quote! {
        impl Counter { #[route(FETCH, "/x")] fn x(&mut self) {} }
    }));
    assert!(
        method.starts_with("`FETCH` is no HTTP method; one of GET"),
        "{method}"
    );
    let path = refusal(crate::routes::expand(parse_quote! {
        impl Counter { #[route(GET, "x")] fn x(&mut self) {} }
    }));
    assert!(path.starts_with("a path begins with `/`"), "{path}");
    let bare = refusal(crate::routes::expand(parse_quote! {
        impl Counter { #[route(GET)] fn x(&mut self) {} }
    }));
    assert_eq!(bare, "write #[route(GET, \"/path\")]");
}

#[test]
fn derives_name_their_options() {
    let message = refusal(crate::message::expand(&parse_quote! {
        #[message(nam = "x")] struct M;
    }));
    assert!(
        message.starts_with("unknown option; write #[message("),
        "{message}"
    );
    let actor = refusal(crate::actor::expand(&parse_quote! {
        #[actor(overflow = "explode")] struct A;
    }));
    assert!(actor.contains("one of \"wait\", \"fail\""), "{actor}");
}
