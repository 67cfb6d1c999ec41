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

use std::cell::Cell;

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

/// [`macro@Message`], as the facade `tepui` has it.
#[doc(hidden)]
#[proc_macro_derive(FacadeMessage, attributes(message))]
pub fn facade_message(input: TokenStream) -> TokenStream {
    for_facade(|| derive_message(input))
}

/// [`macro@Actor`], as the facade has it.
#[doc(hidden)]
#[proc_macro_derive(FacadeActor, attributes(actor))]
pub fn facade_actor(input: TokenStream) -> TokenStream {
    for_facade(|| derive_actor(input))
}

/// [`macro@handlers`], as the facade has it.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn facade_handlers(attribute: TokenStream, input: TokenStream) -> TokenStream {
    for_facade(|| handlers(attribute, input))
}

/// [`macro@routes`], as the facade has it.
#[doc(hidden)]
#[proc_macro_attribute]
pub fn facade_routes(attribute: TokenStream, input: TokenStream) -> TokenStream {
    for_facade(|| routes(attribute, input))
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

thread_local! {
    /// The expansion at hand is for those who depend on `tepui` alone.
    static FACADE: Cell<bool> = const { Cell::new(false) };
}

/// Expands for those who depend on the facade alone.
fn for_facade<T>(expand: impl FnOnce() -> T) -> T {
    FACADE.set(true);
    let expanded = expand();
    FACADE.set(false);
    expanded
}

/// The crate that the expansions name.
fn root() -> Path {
    match FACADE.get() {
        false => parse_quote!(::tepui_runtime),
        true => parse_quote!(::tepui::runtime),
    }
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
    for_facade(|| expand_test(options, function, &root()))
}

fn expand_test(options: TokenStream, function: TokenStream, runtime: &Path) -> TokenStream {
    let options = parse_macro_input!(options as test::Options);
    let function = parse_macro_input!(function as syn::ItemFn);
    or_error(test::expand(&options, &function, runtime))
}
