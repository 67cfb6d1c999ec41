//! The macros of `tepui-runtime`: `#[derive(Message)]`, `#[derive(Actor)]`, `#[handlers]`,
//! `#[routes]` and `#[test]`. Each writes what can be written by hand as well; what they mean is documented where
//! the runtime re-exports them.

mod actor;
mod handlers;
mod message;
mod method;
mod routes;
mod test;
#[cfg(test)]
mod tests;

use proc_macro::TokenStream;
use syn::{DeriveInput, ItemImpl, Path, parse_macro_input, parse_quote};

/// Derives `tepui_runtime::Message` and `actix::Message`.
#[proc_macro_derive(Message, attributes(message))]
pub fn derive_message(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    or_error(message::expand(&input))
}

/// Derives `actix::Actor` with the runtime's context.
#[proc_macro_derive(Actor, attributes(actor))]
pub fn derive_actor(input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as DeriveInput);
    or_error(actor::expand(&input))
}

/// Makes the methods marked `#[on]`, `#[on_exit]` and `#[route]` the actor's handlers.
#[proc_macro_attribute]
pub fn handlers(attribute: TokenStream, input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as ItemImpl);
    or_error(no_arguments("handlers", attribute).and_then(|()| handlers::expand(input)))
}

/// Makes the methods marked `#[route]` the actor's HTTP routes.
#[proc_macro_attribute]
pub fn routes(attribute: TokenStream, input: TokenStream) -> TokenStream {
    let input = parse_macro_input!(input as ItemImpl);
    or_error(no_arguments("routes", attribute).and_then(|()| routes::expand(input)))
}

fn no_arguments(name: &str, attribute: TokenStream) -> syn::Result<()> {
    let given = proc_macro2::TokenStream::from(attribute);
    if given.is_empty() {
        return Ok(());
    }
    let why = format!("#[{name}] takes no arguments; mark methods with #[on] and #[route]");
    Err(syn::Error::new_spanned(given, why))
}

fn or_error(expanded: syn::Result<proc_macro2::TokenStream>) -> TokenStream {
    expanded
        .unwrap_or_else(|error| error.to_compile_error())
        .into()
}

/// The crate that the expansions name.
fn root() -> Path {
    parse_quote!(::tepui_runtime)
}

/// `#[tepui_runtime::test]`.
#[proc_macro_attribute]
pub fn test(options: TokenStream, function: TokenStream) -> TokenStream {
    expand_test(options, function, &root())
}

/// The same, as the facade has it: `#[tepui::test]`.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn facade_test(options: TokenStream, function: TokenStream) -> TokenStream {
    expand_test(options, function, &parse_quote!(::tepui::runtime))
}

fn expand_test(options: TokenStream, function: TokenStream, runtime: &Path) -> TokenStream {
    let options = parse_macro_input!(options as test::Options);
    let function = parse_macro_input!(function as syn::ItemFn);
    or_error(test::expand(&options, &function, runtime))
}
