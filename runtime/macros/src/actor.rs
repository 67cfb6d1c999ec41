//! `#[derive(Actor)]`.

use proc_macro2::TokenStream;
use quote::{format_ident, quote};
use syn::{DeriveInput, Expr, Ident, LitStr, meta::ParseNestedMeta};

/// The overflow policies by their names.
const OVERFLOWS: [(&str, &str); 5] = [
    ("wait", "Wait"),
    ("fail", "Fail"),
    ("drop-newest", "DropNewest"),
    ("drop-oldest", "DropOldest"),
    ("stop-actor", "StopActor"),
];

#[derive(Default)]
struct Options {
    mailbox: Option<Expr>,
    overflow: Option<Ident>,
    started: Option<Ident>,
    stopped: Option<Ident>,
}

impl Options {
    fn read(input: &DeriveInput) -> syn::Result<Self> {
        let mut options = Self::default();
        for attribute in input.attrs.iter().filter(|a| a.path().is_ident("actor")) {
            attribute.parse_nested_meta(|meta| options.take(&meta))?;
        }
        Ok(options)
    }

    fn take(&mut self, meta: &ParseNestedMeta<'_>) -> syn::Result<()> {
        if meta.path.is_ident("mailbox") {
            self.mailbox = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("overflow") {
            self.overflow = Some(overflow(&meta.value()?.parse()?)?);
        } else if meta.path.is_ident("started") {
            self.started = Some(meta.value()?.parse()?);
        } else if meta.path.is_ident("stopped") {
            self.stopped = Some(meta.value()?.parse()?);
        } else {
            return Err(meta.error(
                "unknown option; write #[actor(mailbox = 1024, overflow = \"fail\", \
                 started = method, stopped = method)], each where it is needed",
            ));
        }
        Ok(())
    }
}

fn overflow(name: &LitStr) -> syn::Result<Ident> {
    let known = OVERFLOWS.iter().find(|(known, _)| *known == name.value());
    let (_, variant) = known.ok_or_else(|| {
        let names = OVERFLOWS.map(|(known, _)| format!("{known:?}")).join(", ");
        syn::Error::new(name.span(), format!("no such policy; one of {names}"))
    })?;
    Ok(Ident::new(variant, name.span()))
}

pub(crate) fn expand(input: &DeriveInput) -> syn::Result<TokenStream> {
    let options = Options::read(input)?;
    let root = crate::root();
    let ident = &input.ident;
    let (generics, arguments, bounds) = input.generics.split_for_impl();
    let hook = |name: &str, method: &Option<Ident>| {
        let name = format_ident!("{name}");
        let method = method.as_ref()?;
        Some(quote! {
            fn #name(&mut self, ctx: &mut Self::Context) {
                Self::#method(self, ctx)
            }
        })
    };
    let started = hook("started", &options.started);
    let stopped = hook("stopped", &options.stopped);
    let mailbox = options.mailbox.iter().map(|bound| quote!(.mailbox(#bound)));
    let overflow = options.overflow.iter();
    let overflow = overflow.map(|policy| quote!(.overflow(#root::Overflow::#policy)));
    let chain: TokenStream = mailbox.chain(overflow).collect();
    let spawn = (!chain.is_empty()).then(|| {
        quote! {
            impl #generics #ident #arguments #bounds {
                /// How the actor is spawned: `node.spawn_as(name, Self::SPAWN, factory)`.
                pub const SPAWN: #root::SpawnOptions = #root::SpawnOptions::new() #chain;
            }
        }
    });
    Ok(quote! {
        #spawn

        impl #generics #root::rt::ActixActor for #ident #arguments #bounds {
            type Context = #root::Context<Self>;
            #started
            #stopped
        }
    })
}
