//! `#[handlers]`: one `Handler` for each `#[on]` method, and the table of what the actor accepts.

use std::collections::BTreeSet;

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::{ItemImpl, Path, spanned::Spanned};

use crate::{
    method::{self, Method},
    routes,
};

pub(crate) fn expand(mut block: ItemImpl) -> syn::Result<TokenStream> {
    let root = crate::root();
    let methods = method::take(&mut block, &["on", "on_exit", "route"])?;
    if methods.is_empty() {
        let why = "no method is marked; write `#[on] fn name(&mut self, message: M, \
                   ctx: &mut Context<Self>) -> Reply`";
        return Err(syn::Error::new_spanned(&block.self_ty, why));
    }
    let (served, handled): (Vec<_>, Vec<_>) = methods
        .iter()
        .partition(|m| m.mark.path().is_ident("route"));
    let mut seen = BTreeSet::new();
    let mut implementations = TokenStream::new();
    let mut accepted = TokenStream::new();
    for method in handled {
        let message = message(method, &root)?;
        if !seen.insert(message.to_string()) {
            let why = format!("{message} has a handler already");
            return Err(syn::Error::new_spanned(&method.name, why));
        }
        implementations.extend(handler(&block, method, &message, &root)?);
        let conditions = &method.conditions;
        accepted.extend(quote!(#(#conditions)* routes.message::<#message>();));
    }
    if !served.is_empty() {
        implementations.extend(routes::serve(&block, &served, &root)?);
    }
    let (generics, _, bounds) = block.generics.split_for_impl();
    let actor = &block.self_ty;
    Ok(quote! {
        #block
        #implementations

        impl #generics #root::rt::Accepts for #actor #bounds {
            fn accepts(routes: &mut #root::Routes<Self>) {
                #accepted
                #[allow(unused_imports)]
                use #root::http::{ProbeNone as _, ProbeServes as _};
                (&#root::http::Probe::<Self>::new()).serve(routes.http());
            }
        }
    })
}

/// The type of the method's message.
fn message(method: &Method, root: &Path) -> syn::Result<TokenStream> {
    if let syn::Meta::List(list) = &method.mark.meta {
        return Err(syn::Error::new_spanned(
            &list.tokens,
            "no arguments here: the message is the type of the parameter behind `&mut self`",
        ));
    }
    if method.mark.path().is_ident("on_exit") {
        return Ok(quote!(#root::Exited));
    }
    method.arguments(1, &["message", "ctx"])?;
    Ok(method.parameters[0].to_token_stream())
}

fn handler(
    block: &ItemImpl,
    method: &Method,
    message: &TokenStream,
    root: &Path,
) -> syn::Result<TokenStream> {
    let arguments = method.arguments(1, &["message", "ctx"])?;
    let (generics, _, bounds) = block.generics.split_for_impl();
    let (actor, name, conditions) = (&block.self_ty, &method.name, &method.conditions);
    let declared = method.output.as_ref().map_or(name.span(), Spanned::span);
    let reply = quote!(<#message as #root::Message>::Reply);
    let parameters = quote!(&mut self, message: #message, ctx: &mut #root::Context<Self>);
    Ok(if method.is_async {
        // Where it is not the message's reply type, the error stands at what the method returns.
        let call = quote_spanned! {declared=>
            let reply: #reply = Self::#name(self #arguments).await;
        };
        quote! {
            #(#conditions)*
            impl #generics #root::rt::AsyncHandler<#message> for #actor #bounds {
                #[allow(unused_variables)]
                async fn handle(#parameters) -> #reply {
                    #call
                    reply
                }
            }

            #(#conditions)*
            impl #generics #root::rt::Handler<#message> for #actor #bounds {
                type Result = #root::rt::AsyncReply<Self, #message>;

                fn handle(&mut self, message: #message, _: &mut #root::Context<Self>) -> Self::Result {
                    #root::rt::AsyncReply::to(message)
                }
            }
        }
    } else {
        let call = quote_spanned! {declared=>
            let reply: #reply = Self::#name(self #arguments);
        };
        quote! {
            #(#conditions)*
            impl #generics #root::rt::Handler<#message> for #actor #bounds {
                type Result = #root::rt::MessageResult<#message>;

                #[allow(unused_variables, clippy::let_unit_value)]
                fn handle(#parameters) -> Self::Result {
                    #call
                    #root::rt::MessageResult(reply)
                }
            }
        }
    })
}
