//! `#[derive(Message)]`: gives a struct or enum its wire name, version and reply type.
//!
//! What the attribute means is documented at `tepui_runtime::Message`.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{DeriveInput, LitInt, LitStr, Path, Type};

#[derive(Default)]
struct Options {
    name: Option<LitStr>,
    version: Option<LitInt>,
    reply: Option<Type>,
    local: bool,
    positional: bool,
}

impl Options {
    fn read(input: &DeriveInput) -> syn::Result<Self> {
        let mut options = Self::default();
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident("message")) {
            attribute.parse_nested_meta(|meta| options.take(&meta))?;
        }
        Ok(options)
    }

    fn take(&mut self, meta: &syn::meta::ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("name") {
            self.name = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("version") {
            self.version = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("reply") {
            self.reply = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("local") {
            self.local = true;
        } else if meta.path.is_ident("positional") {
            self.positional = true;
        } else {
            return Err(meta.error(
                "unknown option; write #[message(name = \"acme.Add\", version = 1, reply = u64)], \
                 #[message(positional)] or #[message(local)]",
            ));
        }
        Ok(())
    }
}

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let options = Options::read(input)?;
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let name = match &options.name {
        Some(name) => quote!(#name),
        None => quote!(concat!(module_path!(), "::", stringify!(#ident))),
    };
    let version = match &options.version {
        Some(version) => quote!(#version),
        None => quote!(1),
    };
    let reply = match &options.reply {
        Some(reply) => quote!(#reply),
        None => quote!(()),
    };
    let root = crate::root();
    let codec = codec(&options, &root);
    Ok(quote! {
        impl #generics #root::actix::Message for #ident #arguments #bounds {
            type Result = #reply;
        }

        impl #generics #root::Message for #ident #arguments #bounds {
            type Reply = #reply;
            const NAME: &'static str = #name;
            const VERSION: u16 = #version;
            #codec
        }
    })
}

fn codec(options: &Options, root: &Path) -> TokenStream {
    let error = quote!(#root::message::CodecError);
    let local_only = quote! {
        ::core::result::Result::Err(#error::LocalOnly { name: Self::NAME })
    };
    let write = match options.positional {
        true => quote!(#root::message::write_positional),
        false => quote!(#root::message::write_named),
    };
    let (encode, decode, encode_reply, decode_reply) = if options.local {
        (
            local_only.clone(),
            local_only.clone(),
            local_only.clone(),
            local_only,
        )
    } else {
        (
            quote!(#write(self, _out)),
            quote!(#root::message::from_bytes(_body)),
            quote!(#write(_reply, _out)),
            quote!(#root::message::from_bytes(_body)),
        )
    };
    let result = quote!(::core::result::Result);
    let out = quote!(_out: &mut ::std::vec::Vec<u8>);
    quote! {
        fn encode_to(&self, #out) -> #result<(), #error> { #encode }
        fn decode(_body: &[u8]) -> #result<Self, #error> { #decode }
        fn encode_reply_to(_reply: &Self::Reply, #out) -> #result<(), #error> { #encode_reply }
        fn decode_reply(_body: &[u8]) -> #result<Self::Reply, #error> { #decode_reply }
    }
}
