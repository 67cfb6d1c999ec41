//! `#[test]`: an async test on the test kit's paused clock, with seeds.
//!
//! What the attribute means is documented at `tepui_runtime::test`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Expr, ItemFn, Path, ReturnType, Token,
    parse::{Parse, ParseStream},
};

/// `seed = 7`, `seeds = 0..32`, or nothing.
#[derive(Default)]
pub(crate) struct Options {
    seeds: Option<TokenStream>,
}

impl Parse for Options {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let mut options = Self::default();
        while !input.is_empty() {
            let name: syn::Ident = input.parse()?;
            input.parse::<Token![=]>()?;
            let value: Expr = input.parse()?;
            if options.seeds.is_some() {
                return Err(syn::Error::new(name.span(), "the seeds are given twice"));
            }
            options.seeds = Some(match name.to_string().as_str() {
                "seed" => quote!({ let seed: u64 = #value; seed..seed + 1 }),
                "seeds" => quote!(#value),
                _ => {
                    let help = "unknown option; write #[test], #[test(seed = 7)] or \
                                #[test(seeds = 0..32)]";
                    return Err(syn::Error::new(name.span(), help));
                }
            });
            if !input.is_empty() {
                input.parse::<Token![,]>()?;
            }
        }
        Ok(options)
    }
}

/// The test; `runtime` is the path of the crate `tepui_runtime`.
pub(crate) fn expand(
    options: &Options,
    function: &ItemFn,
    runtime: &Path,
) -> syn::Result<TokenStream> {
    let signature = &function.sig;
    if signature.asyncness.is_none() {
        return Err(syn::Error::new_spanned(
            signature.fn_token,
            "the test must be an `async fn`; use the ordinary #[test] for others",
        ));
    }
    if !signature.generics.params.is_empty() {
        let error = "a test has no generic parameters";
        return Err(syn::Error::new_spanned(&signature.generics, error));
    }
    if signature.inputs.len() > 1 {
        let error = "a test takes the kit alone: `async fn name(kit: TestKit)`";
        return Err(syn::Error::new_spanned(&signature.inputs, error));
    }
    let (attributes, visibility, name) = (&function.attrs, &function.vis, &signature.ident);
    let (inputs, block) = (&signature.inputs, &function.block);
    let output = match &signature.output {
        ReturnType::Default => quote!(()),
        ReturnType::Type(_, output) => quote!(#output),
    };
    let call = match inputs.is_empty() {
        true => quote!(test()),
        false => quote!(test(kit)),
    };
    let seeds = options.seeds.iter();
    Ok(quote! {
        #[::core::prelude::v1::test]
        #(#attributes)*
        #visibility fn #name() {
            async fn test(#inputs) -> #output #block
            #runtime::testkit::Runs::new(
                ::core::env!("CARGO_PKG_NAME"),
                ::core::concat!(::core::module_path!(), "::", ::core::stringify!(#name)),
            )
            #(.seeds(#seeds))*
            .run(async |kit: #runtime::testkit::TestKit| {
                let _ = &kit;
                #call.await
            });
        }
    })
}
