//! `#[routes]`: HTTP routes for the `#[route]` methods of an actor.

use proc_macro2::TokenStream;
use quote::{quote, quote_spanned};
use syn::{
    Ident, ItemImpl, LitStr, Path, Token,
    parse::{Parse, ParseStream},
    spanned::Spanned,
};

use crate::method::{self, Method};

const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS"];

/// `GET, "/count"`.
struct Route {
    method: Ident,
    path: LitStr,
}

impl Parse for Route {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let usage = "write #[route(GET, \"/path\")]";
        let method: Ident = input
            .parse()
            .map_err(|e| syn::Error::new(e.span(), usage))?;
        if !METHODS.contains(&&*method.to_string()) {
            let why = format!(
                "`{method}` is no HTTP method; one of {}",
                METHODS.join(", ")
            );
            return Err(syn::Error::new(method.span(), why));
        }
        input
            .parse::<Token![,]>()
            .map_err(|e| syn::Error::new(e.span(), usage))?;
        let path: LitStr = input
            .parse()
            .map_err(|e| syn::Error::new(e.span(), usage))?;
        if !path.value().starts_with('/') {
            let why = "a path begins with `/`; it is what follows the actor's name";
            return Err(syn::Error::new(path.span(), why));
        }
        Ok(Self { method, path })
    }
}

pub(crate) fn expand(mut block: ItemImpl) -> syn::Result<TokenStream> {
    let root = crate::root();
    let methods = method::take(&mut block, &["route"])?;
    if methods.is_empty() {
        let why = "no method is marked; write `#[route(GET, \"/path\")] fn name(&mut self) -> ...`";
        return Err(syn::Error::new_spanned(&block.self_ty, why));
    }
    let methods: Vec<&Method> = methods.iter().collect();
    let serve = serve(&block, &methods, &root)?;
    Ok(quote! { #block #serve })
}

/// `impl Serves` with all `methods`.
pub(crate) fn serve(
    block: &ItemImpl,
    methods: &[&Method],
    root: &Path,
) -> syn::Result<TokenStream> {
    let mut routes = TokenStream::new();
    for method in methods {
        let Route { method: verb, path } = method.mark.parse_args()?;
        let arguments = method.arguments(0, &["request", "ctx"])?;
        let (name, doc, conditions) = (&method.name, &method.doc, &method.conditions);
        let output = method.output.as_ref().map_or(name.span(), Spanned::span);
        let call = quote_spanned!(output=> Self::#name(actor #arguments));
        let (register, call) = match method.is_async {
            true => (
                quote!(on_async),
                quote!(::std::boxed::Box::pin(async move {
                    #root::http::IntoHttp::into_http(#call.await)
                })),
            ),
            false => (quote!(on), call),
        };
        routes.extend(quote! {
            #(#conditions)*
            #[allow(unused_variables)]
            routes.#register(
                #root::http::Method::#verb,
                #path,
                #doc,
                |actor: &mut Self, request, ctx| #call,
            );
        });
    }
    let (generics, _, bounds) = block.generics.split_for_impl();
    let actor = &block.self_ty;
    Ok(quote! {
        impl #generics #root::http::Serves for #actor #bounds {
            fn serve(routes: &mut #root::http::HttpRoutes<Self>) {
                #routes
            }
        }
    })
}
