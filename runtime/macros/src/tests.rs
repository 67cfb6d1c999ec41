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

#[test]
fn tests_name_the_signature_and_the_options_that_they_want() {
    let of = |function: syn::ItemFn| {
        let (options, runtime) = (Default::default(), parse_quote!(::tepui_runtime));
        refusal(crate::test::expand(&options, &function, &runtime))
    };
    let sync = of(parse_quote! { fn test(kit: TestKit) {} });
    assert!(sync.starts_with("the test must be an `async fn`"), "{sync}");
    let generic = of(parse_quote! { async fn test<T>(kit: TestKit) {} });
    assert_eq!(generic, "a test has no generic parameters");
    let more = of(parse_quote! { async fn test(kit: TestKit, seed: u64) {} });
    assert!(more.starts_with("a test takes the kit alone"), "{more}");

    let option = |text: &str| syn::parse_str::<crate::test::Options>(text).map(|_| ());
    assert!(option("seed = 7").is_ok() && option("seeds = 0..32,").is_ok());
    let unknown = option("sede = 7").unwrap_err().to_string();
    assert!(
        unknown.starts_with("unknown option; write #[test], #[test(seed = 7)]"),
        "{unknown}"
    );
    let twice = option("seed = 7, seeds = 0..2").unwrap_err().to_string();
    assert_eq!(twice, "the seeds are given twice");
}

#[test]
fn the_facade_s_expansions_name_the_facade() {
    let message = || crate::message::expand(&parse_quote! { struct M; });
    let handlers = || {
        crate::handlers::expand(parse_quote! {
            impl A { #[on] fn on(&mut self, message: M) {} #[route(GET, "/")] fn get(&mut self) {} }
        })
    };
    let actor = || crate::actor::expand(&parse_quote! { struct A; });
    let routes = || {
        crate::routes::expand(parse_quote! { impl A { #[route(GET, "/")] fn get(&mut self) {} } })
    };
    let expansions: [&dyn Fn() -> syn::Result<proc_macro2::TokenStream>; 4] =
        [&message, &handlers, &actor, &routes];
    for expand in expansions {
        let text = |tokens: syn::Result<proc_macro2::TokenStream>| tokens.unwrap().to_string();
        let (direct, facade) = (text(expand()), text(crate::for_facade(expand)));
        assert!(direct.contains(":: tepui_runtime ::"), "{direct}");
        assert_eq!(
            direct.replace("tepui_runtime ::", "tepui :: runtime ::"),
            facade
        );
    }
}
