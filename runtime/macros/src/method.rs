//! The marked methods of an `impl` block, and what of their signature matters.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{
    Attribute, Expr, ExprLit, FnArg, Ident, ImplItem, ImplItemFn, ItemImpl, Lit, Meta, Type,
    spanned::Spanned,
};

/// A marked method.
pub(crate) struct Method {
    pub(crate) name: Ident,
    /// The mark, without `#[` and `]`.
    pub(crate) mark: Attribute,
    pub(crate) is_async: bool,
    /// The types of the parameters behind `&mut self`.
    pub(crate) parameters: Vec<Type>,
    /// What it returns, where that is said.
    pub(crate) output: Option<Type>,
    /// Its doc comment.
    pub(crate) doc: String,
    /// Attributes such as `#[cfg]` that what is generated for it needs, too.
    pub(crate) conditions: Vec<Attribute>,
}

/// Takes the methods that bear one of `marks` off `block`: the marks go, the methods stay.
///
/// # Errors
/// At methods with two marks or without `&mut self`.
pub(crate) fn take(block: &mut ItemImpl, marks: &[&str]) -> syn::Result<Vec<Method>> {
    if let Some((_, of, _)) = &block.trait_ {
        let why = "write the methods into `impl Actor { ... }`, not into the impl of a trait";
        return Err(syn::Error::new_spanned(of, why));
    }
    let mut methods = Vec::new();
    let mut errors: Option<syn::Error> = None;
    for item in &mut block.items {
        let ImplItem::Fn(function) = item else {
            continue;
        };
        match one(function, marks) {
            Ok(method) => methods.extend(method),
            Err(error) => match &mut errors {
                Some(errors) => errors.combine(error),
                none => *none = Some(error),
            },
        }
    }
    errors.map_or(Ok(methods), Err)
}

fn one(function: &mut ImplItemFn, marks: &[&str]) -> syn::Result<Option<Method>> {
    let is_mark = |a: &Attribute| marks.iter().any(|mark| a.path().is_ident(mark));
    let (mut marked, kept): (Vec<_>, Vec<_>) = function.attrs.drain(..).partition(is_mark);
    function.attrs = kept;
    let Some(mark) = marked.pop() else {
        return Ok(None);
    };
    if let Some(second) = marked.pop() {
        let why = "one mark a method: #[on], #[on_exit] or #[route(...)]";
        return Err(syn::Error::new_spanned(second, why));
    }
    let signature = &function.sig;
    let mut inputs = signature.inputs.iter();
    match inputs.next() {
        Some(FnArg::Receiver(this)) if this.reference.is_some() && this.mutability.is_some() => {}
        other => {
            let span = other.map_or(signature.ident.span(), Spanned::span);
            let why = format!("a handler takes `&mut self` first, as {}", usage(&mark));
            return Err(syn::Error::new(span, why));
        }
    }
    let typed = inputs.filter_map(|input| match input {
        FnArg::Typed(typed) => Some((*typed.ty).clone()),
        FnArg::Receiver(_) => None,
    });
    let conditions = |a: &&Attribute| a.path().is_ident("cfg");
    Ok(Some(Method {
        name: signature.ident.clone(),
        is_async: signature.asyncness.is_some(),
        parameters: typed.collect(),
        output: match &signature.output {
            syn::ReturnType::Default => None,
            syn::ReturnType::Type(_, output) => Some((**output).clone()),
        },
        doc: doc(&function.attrs),
        conditions: function.attrs.iter().filter(conditions).cloned().collect(),
        mark,
    }))
}

/// How a method with this mark is written.
pub(crate) fn usage(mark: &Attribute) -> &'static str {
    if mark.path().is_ident("route") {
        "`#[route(GET, \"/path\")] fn name(&mut self, request: HttpRequest, ctx: &mut Context<Self>) \
         -> Json<T>`"
    } else if mark.path().is_ident("on_exit") {
        "`#[on_exit] fn name(&mut self, exited: Exited, ctx: &mut Context<Self>)`"
    } else {
        "`#[on] fn name(&mut self, message: M, ctx: &mut Context<Self>) -> Reply`"
    }
}

fn doc(attributes: &[Attribute]) -> String {
    let lines = attributes.iter().filter_map(|attribute| {
        let Meta::NameValue(pair) = &attribute.meta else {
            return None;
        };
        let Expr::Lit(ExprLit {
            lit: Lit::Str(text),
            ..
        }) = &pair.value
        else {
            return None;
        };
        pair.path
            .is_ident("doc")
            .then(|| text.value().trim().to_owned())
    });
    lines.collect::<Vec<_>>().join("\n")
}

impl Method {
    /// The arguments of a call with the first `count` of `names`, which must be all parameters.
    pub(crate) fn arguments(&self, least: usize, names: &[&str]) -> syn::Result<TokenStream> {
        let count = self.parameters.len();
        if count < least || count > names.len() {
            let why = format!("write {}", usage(&self.mark));
            return Err(syn::Error::new_spanned(&self.name, why));
        }
        let names = names[..count]
            .iter()
            .map(|name| Ident::new(name, self.name.span()));
        Ok(quote!(#(, #names)*))
    }
}
