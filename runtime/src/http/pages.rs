//! The node's own pages: index, help, the tree of actors. For browsers HTML without any outside
//! asset, for everybody else the same as JSON.

use std::fmt::Write as _;

use serde::Serialize;

use super::{Html, HttpError, HttpResponse, IntoHttp, dispatch::json};
use crate::{
    Node,
    cell::AnyCell,
    node::{ActorInfo, tree},
};

const STYLE: &str = include_str!("style.css");

/// What an actor answers.
#[derive(Debug, Serialize)]
pub(super) struct Help {
    name: String,
    #[serde(rename = "type")]
    kind: String,
    routes: Vec<RouteHelp>,
}

#[derive(Debug, Serialize)]
struct RouteHelp {
    method: String,
    path: String,
    help: String,
}

impl Help {
    pub(super) fn of(cell: &dyn AnyCell) -> Self {
        let name = cell.pid().name().to_owned();
        let routes = cell.http_routes().iter().map(|route| RouteHelp {
            method: route.method.to_string(),
            path: format!("/{name}{}", route.path),
            help: route.doc.clone(),
        });
        Self {
            routes: routes.collect(),
            kind: cell.type_name().to_owned(),
            name,
        }
    }
}

/// What the node answers itself.
fn own_routes() -> Vec<RouteHelp> {
    let routes = [
        ("/", "What there is on this node."),
        ("/help", "All routes of the node and its actors."),
        ("/{actor}/help", "The routes of an actor."),
        (
            "/__actors__",
            "The tree of actors: mailboxes, work done, exits.",
        ),
        (
            "/metrics",
            "Numbers of the node in Prometheus's text format.",
        ),
    ];
    let route = |(path, help): (&str, &str)| RouteHelp {
        method: "GET".to_owned(),
        path: path.to_owned(),
        help: help.to_owned(),
    };
    routes.map(route).into()
}

fn helps(node: &Node) -> Vec<Help> {
    let cells = node.cells().into_iter();
    cells
        .filter(|cell| !cell.http_routes().is_empty())
        .map(|cell| Help::of(&*cell))
        .collect()
}

/// `/`.
pub(super) fn index(node: &Node, html: bool) -> HttpResponse {
    #[derive(Serialize)]
    struct Index {
        node: String,
        actors: usize,
        routes: Vec<RouteHelp>,
        serving: Vec<Help>,
    }
    let serving = helps(node);
    if !html {
        return json(&Index {
            node: node.addr().to_string(),
            actors: node.cells().len(),
            routes: own_routes(),
            serving,
        });
    }
    let mut body = format!(
        "<p class=lead>Actors on this node: <a href=\"/__actors__\">{}</a></p>{}",
        node.cells().len(),
        routes_table(&own_routes()),
    );
    if !serving.is_empty() {
        body.push_str("<h2>Actors that answer HTTP</h2><ul>");
        for help in &serving {
            let _ = write!(
                body,
                "<li><a href=\"{}/help\">{}</a> <span class=dim>{} routes</span>",
                link(&help.name),
                escape(&help.name),
                help.routes.len(),
            );
        }
        body.push_str("</ul>");
    }
    page(&format!("Node {}", node.addr()), &body)
}

/// `/help`.
pub(super) fn help(node: &Node, html: bool) -> HttpResponse {
    #[derive(Serialize)]
    struct All {
        node: String,
        routes: Vec<RouteHelp>,
        actors: Vec<Help>,
    }
    let actors = helps(node);
    if !html {
        let node = node.addr().to_string();
        return json(&All {
            node,
            routes: own_routes(),
            actors,
        });
    }
    let mut body = routes_table(&own_routes());
    for help in &actors {
        let _ = write!(
            body,
            "<h2>{}</h2><p class=dim>{}</p>{}",
            escape(&help.name),
            escape(&help.kind),
            routes_table(&help.routes),
        );
    }
    page(&format!("Help of {}", node.addr()), &body)
}

/// `/<actor>/help`.
pub(super) fn help_of(help: &Help, html: bool) -> HttpResponse {
    if !html {
        return json(help);
    }
    let routes = match help.routes.is_empty() {
        true => "<p>It answers no HTTP requests.</p>".to_owned(),
        false => routes_table(&help.routes),
    };
    let body = format!("<p class=dim>{}</p>{routes}", escape(&help.kind));
    page(&help.name, &body)
}

/// `/__actors__`.
pub(super) fn actors(node: &Node, html: bool) -> HttpResponse {
    #[derive(Serialize)]
    struct Actors {
        node: String,
        dead_letters: u64,
        actors: Vec<ActorInfo>,
    }
    let infos = node.inspect();
    let dead_letters = node.dead_letters();
    if !html {
        return json(&Actors {
            node: node.addr().to_string(),
            dead_letters,
            actors: infos,
        });
    }
    let mut body = format!(
        "<p class=lead>Actors: {}. Dead letters: {dead_letters}.</p><div class=wide><table><thead><tr>\
         <th>Actor<th>Type<th class=n>Mailbox<th class=n>Handled<th class=n>Busy<th class=n>Restarts\
         <th>Last exit<tbody>",
        infos.len()
    );
    for (depth, info) in tree(&infos) {
        row(&mut body, depth, info);
    }
    body.push_str("</table></div>");
    page(&format!("Actors of {}", node.addr()), &body)
}

fn row(body: &mut String, depth: usize, info: &ActorInfo) {
    let full = info.waiting.saturating_mul(10) >= info.capacity.saturating_mul(9);
    let _ = write!(
        body,
        "<tr><td style=\"padding-left:{}em\"><a href=\"{}/help\">{}</a>\
         <td class=dim>{}<td class=\"n{}\">{} / {}<td class=n>{}<td class=n>{}<td class=n>{}<td>{}",
        0.6 + 1.4 * depth.min(12) as f32,
        link(&info.name),
        escape(&info.name),
        escape(&info.kind),
        if full { " bad" } else { "" },
        info.waiting,
        info.capacity,
        info.handled,
        span(info.busy_micros),
        info.restarts,
        escape(info.last_exit.as_deref().unwrap_or("")),
    );
}

/// 404, with what there is.
pub(super) fn not_found(error: HttpError, there: Vec<String>, html: bool) -> HttpResponse {
    #[derive(Serialize)]
    struct Missing {
        error: String,
        fix: String,
        there_is: Vec<String>,
    }
    let status = error.status;
    if !html {
        let missing = Missing {
            error: error.error,
            fix: "use one of `there_is`; /help describes them".to_owned(),
            there_is: there,
        };
        return json(&missing).status(status);
    }
    let mut body = "<p>There is:<ul>".to_owned();
    for path in &there {
        let code = code(path);
        let _ = write!(body, "<li>{code}");
    }
    body.push_str("</ul><p><a href=\"/help\">Help</a> describes them.");
    page(&error.error, &body).status(status)
}

fn routes_table(routes: &[RouteHelp]) -> String {
    let mut table = "<div class=wide><table><tbody>".to_owned();
    for route in routes {
        let path = match route.method.as_str() {
            "GET" => code(&route.path),
            _ => format!("<code>{}</code>", escape(&route.path)),
        };
        let _ = write!(
            table,
            "<tr><td class=method>{}<td>{path}<td>{}",
            escape(&route.method),
            prose(&route.help),
        );
    }
    table.push_str("</table></div>");
    table
}

fn page(title: &str, body: &str) -> HttpResponse {
    let title = escape(title);
    Html(format!(
        "<!doctype html><html lang=en><meta charset=utf-8>\
         <meta name=viewport content=\"width=device-width, initial-scale=1\">\
         <title>{title}</title><style>{STYLE}</style>\
         <header><a href=\"/\">tepui</a><nav><a href=\"/__actors__\">actors</a>\
         <a href=\"/help\">help</a><a href=\"/metrics\">metrics</a></nav></header>\
         <main><h1>{title}</h1>{body}</main></html>\n"
    ))
    .into_http()
}

/// Text that stays text.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            letter => escaped.push(letter),
        }
    }
    escaped
}

/// A path, and a link where it is one.
fn code(path: &str) -> String {
    let text = format!("<code>{}</code>", escape(path));
    let target = path.strip_prefix("GET ").unwrap_or(path);
    match target.strip_prefix('/') {
        Some(target) if !target.contains(['{', ' ']) => {
            format!("<a href=\"{}\">{text}</a>", link(target))
        }
        _ => text,
    }
}

/// A doc comment: what stands between backticks is code.
fn prose(text: &str) -> String {
    let parts = text.split('`').enumerate();
    let parts = parts.map(|(n, part)| match n % 2 {
        0 => escape(part).replace('\n', "<br>"),
        _ => format!("<code>{}</code>", escape(part)),
    });
    parts.collect()
}

/// A time that was worked.
fn span(micros: u64) -> String {
    match micros {
        0..1000 => format!("{micros} µs"),
        1000..1_000_000 => format!("{:.1} ms", micros as f64 / 1e3),
        _ => format!("{:.1} s", micros as f64 / 1e6),
    }
}

/// A path from the root of the node, with its slashes.
fn link(path: &str) -> String {
    let mut link = "/".to_owned();
    for byte in path.bytes() {
        match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'-'
            | b'_'
            | b'.'
            | b'~'
            | b'/'
            | b'('
            | b')' => {
                link.push(char::from(byte));
            }
            byte => {
                let _ = write!(link, "%{byte:02X}");
            }
        }
    }
    link
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_text_and_links_whatever_they_hold() {
        assert_eq!(escape("<a href='x'>&"), "&lt;a href=&#39;x&#39;&gt;&amp;");
        assert_eq!(link("a/b\"é?"), "/a/b%22%C3%A9%3F");
    }
}
