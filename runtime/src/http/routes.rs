//! The routes of an actor: which request is which handler's.

use std::{future::Future, marker::PhantomData, pin::Pin};

use hyper::Method;

use super::{
    HttpReply, HttpRequest, HttpResponse, IntoHttp,
    pattern::{Parameters, Pattern},
};
use crate::rt::{ActixActor, Context};

/// An actor that answers HTTP. [`accepts!`](crate::accepts) takes the routes along.
pub trait Serves: Sized + 'static {
    /// Lists the routes.
    fn serve(routes: &mut HttpRoutes<Self>)
    where
        Self: ActixActor<Context = Context<Self>>;
}

/// A handler's answer to be, which holds the actor until it is there.
pub type Holding<'a> = Pin<Box<dyn Future<Output = HttpResponse> + 'a>>;

/// What a route does.
pub(crate) enum Handle<A: ActixActor<Context = Context<A>>> {
    Now(Box<NowFn<A>>),
    Holding(Box<HoldingFn<A>>),
}

type NowFn<A> = dyn Fn(&mut A, HttpRequest, &mut Context<A>, HttpReply) + Send + Sync;

type HoldingFn<A> =
    dyn for<'a> Fn(&'a mut A, HttpRequest, &'a mut Context<A>) -> Holding<'a> + Send + Sync;

/// The routes of actors of type `A`.
pub struct HttpRoutes<A: ActixActor<Context = Context<A>>> {
    infos: Vec<RouteInfo>,
    handles: Vec<Handle<A>>,
}

/// What is known of a route without the actor's type.
#[derive(Clone, Debug)]
pub(crate) struct RouteInfo {
    pub(crate) method: Method,
    pub(crate) path: String,
    pub(crate) doc: String,
    pattern: Pattern,
}

/// Which handler a request is for.
pub(crate) struct Call {
    pub(crate) index: usize,
    pub(crate) parameters: Parameters,
}

/// Why a request is for none.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Miss {
    NoPath,
    /// The path exists with these methods.
    NoMethod(Vec<Method>),
}

impl<A: ActixActor<Context = Context<A>>> HttpRoutes<A> {
    pub(crate) fn new() -> Self {
        Self {
            infos: Vec::new(),
            handles: Vec::new(),
        }
    }

    /// `handler` answers `method` on `path`, below `/<actor>`. In `path`, `{name}` stands for one
    /// segment and `{*name}` at the end for all that is left. `doc` goes on the help page.
    ///
    /// # Panics
    /// When there is such a route already, or `path` is no path.
    pub fn on<F, R>(&mut self, method: Method, path: &str, doc: &str, handler: F)
    where
        F: Fn(&mut A, HttpRequest, &mut Context<A>) -> R + Send + Sync + 'static,
        R: IntoHttp,
    {
        self.later(method, path, doc, move |actor, request, ctx, reply| {
            reply.send(handler(actor, request, ctx));
        });
    }

    /// `handler` answers `GET`, as [`HttpRoutes::on`].
    ///
    /// # Panics
    /// As [`HttpRoutes::on`].
    pub fn get<F, R>(&mut self, path: &str, doc: &str, handler: F)
    where
        F: Fn(&mut A, HttpRequest, &mut Context<A>) -> R + Send + Sync + 'static,
        R: IntoHttp,
    {
        self.on(Method::GET, path, doc, handler);
    }

    /// `handler` answers `POST`, as [`HttpRoutes::on`].
    ///
    /// # Panics
    /// As [`HttpRoutes::on`].
    pub fn post<F, R>(&mut self, path: &str, doc: &str, handler: F)
    where
        F: Fn(&mut A, HttpRequest, &mut Context<A>) -> R + Send + Sync + 'static,
        R: IntoHttp,
    {
        self.on(Method::POST, path, doc, handler);
    }

    /// As [`HttpRoutes::on`], for handlers that answer when they can: the reply may be kept.
    ///
    /// # Panics
    /// As [`HttpRoutes::on`].
    pub fn later<F>(&mut self, method: Method, path: &str, doc: &str, handler: F)
    where
        F: Fn(&mut A, HttpRequest, &mut Context<A>, HttpReply) + Send + Sync + 'static,
    {
        self.add(method, path, doc, Handle::Now(Box::new(handler)));
    }

    /// As [`HttpRoutes::on`], for handlers that wait: as with an
    /// [`AsyncHandler`](crate::rt::AsyncHandler), the actor does nothing else meanwhile.
    ///
    /// # Panics
    /// As [`HttpRoutes::on`].
    pub fn on_async<F>(&mut self, method: Method, path: &str, doc: &str, handler: F)
    where
        F: for<'a> Fn(&'a mut A, HttpRequest, &'a mut Context<A>) -> Holding<'a>
            + Send
            + Sync
            + 'static,
    {
        self.add(method, path, doc, Handle::Holding(Box::new(handler)));
    }

    fn add(&mut self, method: Method, path: &str, doc: &str, handle: Handle<A>) {
        let pattern = Pattern::new(path);
        let double = |r: &RouteInfo| {
            r.method == method && r.pattern.rank() == pattern.rank() && r.path == path
        };
        assert!(!self.infos.iter().any(double), "two routes {method} {path}");
        self.infos.push(RouteInfo {
            method,
            path: path.to_owned(),
            doc: doc.trim().to_owned(),
            pattern,
        });
        self.handles.push(handle);
    }

    pub(crate) fn infos(&self) -> &[RouteInfo] {
        &self.infos
    }

    /// What the route `index` does.
    pub(crate) fn handle(&self, index: usize) -> &Handle<A> {
        &self.handles[index]
    }
}

/// The route for `method` on `path` (decoded segments below the actor).
pub(super) fn find(routes: &[RouteInfo], method: &Method, path: &[String]) -> Result<Call, Miss> {
    let fitting = routes.iter().enumerate().filter_map(|(index, route)| {
        let parameters = route.pattern.fit(path)?;
        Some((route, Call { index, parameters }))
    });
    let mut fitting: Vec<_> = fitting.collect();
    fitting.sort_by_key(|(route, _)| route.pattern.rank());
    let methods: Vec<Method> = fitting.iter().map(|(r, _)| r.method.clone()).collect();
    let asked = |m: &Method| m == method || (method == Method::HEAD && m == Method::GET);
    let found = fitting.into_iter().find(|(route, _)| asked(&route.method));
    match found {
        Some((_, call)) => Ok(call),
        None if methods.is_empty() => Err(Miss::NoPath),
        None => Err(Miss::NoMethod(methods)),
    }
}

/// What [`accepts!`](crate::accepts) asks whether an actor [`Serves`]: method lookup prefers
/// [`ProbeServes`], which exists for those that do.
#[doc(hidden)]
pub struct Probe<A>(PhantomData<A>);

impl<A> Probe<A> {
    /// The question.
    #[expect(clippy::new_without_default, reason = "for the macro alone")]
    pub fn new() -> Self {
        Self(PhantomData)
    }
}

#[doc(hidden)]
pub trait ProbeServes<A: ActixActor<Context = Context<A>>> {
    /// Takes the routes.
    fn serve(&self, routes: &mut HttpRoutes<A>);
}

#[doc(hidden)]
pub trait ProbeNone<A: ActixActor<Context = Context<A>>> {
    /// There are none.
    fn serve(&self, routes: &mut HttpRoutes<A>);
}

impl<A: Serves + ActixActor<Context = Context<A>>> ProbeServes<A> for Probe<A> {
    fn serve(&self, routes: &mut HttpRoutes<A>) {
        A::serve(routes);
    }
}

impl<A: ActixActor<Context = Context<A>>> ProbeNone<A> for &Probe<A> {
    fn serve(&self, _: &mut HttpRoutes<A>) {}
}
