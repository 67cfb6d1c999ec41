//! `/metrics`: numbers of the node, in the OpenMetrics text that Prometheus reads.
//!
//! | metric | labels | meaning |
//! |---|---|---|
//! | `tepui_actors` | `type` | actors that live |
//! | `tepui_actors_ended_total` | `type` | actors that have ended |
//! | `tepui_actor_restarts_total` | `type` | lives begun anew after a crash, of actors that live |
//! | `tepui_messages_handled_total` | `type` | messages handled |
//! | `tepui_busy_seconds_total` | `type` | time in handlers, estimated from a sample of turns |
//! | `tepui_mailbox_messages` | `type` | messages that wait in mailboxes |
//! | `tepui_mailbox_fill_ratio_max` | `type` | the fullest mailbox: 1 is at its bound |
//! | `tepui_dead_letters_total` | | messages that reached nobody |
//! | `tepui_asks_in_flight` | | questions to other nodes without an answer yet |
//! | `tepui_peers` | | nodes that this one has a link to |
//! | `tepui_frames_total` | `direction` | frames between nodes, `in` and `out` |
//! | `tepui_frame_bytes_total` | `direction` | their bytes |
//! | `tepui_http_connections` | | HTTP connections at the moment |
//! | `tepui_http_answers_total` | `class` | answers: `2xx`, `4xx`, ... |
//!
//! `type` is the actor's Rust type: there are as many as the program has, however many actors run.

use std::{collections::BTreeMap, fmt};

use hyper::StatusCode;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{counter::ConstCounter, gauge::ConstGauge},
    registry::Registry,
};

use super::{HttpError, HttpResponse, IntoHttp};
use crate::Node;

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// `/metrics`.
pub(super) fn answer(node: &Node, _html: bool) -> HttpResponse {
    let mut registry = Registry::with_prefix("tepui");
    registry.register_collector(Box::new(Numbers(node.clone())));
    let mut text = String::new();
    match encode(&mut text, &registry) {
        Ok(()) => HttpResponse::bytes(CONTENT_TYPE, text),
        Err(error) => {
            HttpError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_http()
        }
    }
}

#[derive(Debug)]
struct Numbers(Node);

/// The actors of a type.
#[derive(Debug, Default)]
struct Kind {
    alive: u64,
    ended: u64,
    restarts: u64,
    handled: u64,
    busy_micros: u64,
    waiting: u64,
    fill: f64,
}

type Labels = Vec<(&'static str, String)>;

impl Collector for Numbers {
    fn encode(&self, mut out: DescriptorEncoder<'_>) -> fmt::Result {
        let node = &self.0;
        let kinds = kinds(node);
        let of = |value: fn(&Kind) -> u64| -> Vec<(Labels, u64)> {
            kinds
                .iter()
                .map(|(k, v)| (vec![("type", k.clone())], value(v)))
                .collect()
        };
        let of_f64 = |value: fn(&Kind) -> f64| -> Vec<(Labels, f64)> {
            kinds
                .iter()
                .map(|(k, v)| (vec![("type", k.clone())], value(v)))
                .collect()
        };
        gauges(&mut out, "actors", "Actors that live", of(|k| k.alive))?;
        counters(
            &mut out,
            "actors_ended",
            "Actors that have ended",
            of(|k| k.ended),
        )?;
        let help = "Lives begun anew after a crash, of actors that live";
        counters(&mut out, "actor_restarts", help, of(|k| k.restarts))?;
        counters(
            &mut out,
            "messages_handled",
            "Messages handled",
            of(|k| k.handled),
        )?;
        let help = "Time in handlers, estimated from a sample of turns";
        let busy = of_f64(|k| k.busy_micros as f64 / 1e6);
        counters(&mut out, "busy_seconds", help, busy)?;
        gauges(
            &mut out,
            "mailbox_messages",
            "Messages that wait in mailboxes",
            of(|k| k.waiting),
        )?;
        let help = "The fullest mailbox: 1 is at its bound";
        gauges(&mut out, "mailbox_fill_ratio_max", help, of_f64(|k| k.fill))?;
        let one = |value: u64| vec![(Labels::new(), value)];
        let help = "Messages that reached nobody";
        counters(&mut out, "dead_letters", help, one(node.dead_letters()))?;
        let help = "Questions to other nodes without an answer yet";
        gauges(
            &mut out,
            "asks_in_flight",
            help,
            one(node.asks_in_flight() as u64),
        )?;
        let traffic = node.traffic();
        let help = "Nodes that this one has a link to";
        gauges(&mut out, "peers", help, one(traffic.peers as u64))?;
        let both = |inward, outward| {
            let direction = |text: &str| vec![("direction", text.to_owned())];
            vec![(direction("in"), inward), (direction("out"), outward)]
        };
        let frames = both(traffic.frames_in, traffic.frames_out);
        counters(&mut out, "frames", "Frames between nodes", frames)?;
        let bytes = both(traffic.bytes_in, traffic.bytes_out);
        counters(
            &mut out,
            "frame_bytes",
            "Bytes of frames between nodes",
            bytes,
        )?;
        let http = node.http();
        let help = "HTTP connections at the moment";
        gauges(
            &mut out,
            "http_connections",
            help,
            one(http.connections() as u64),
        )?;
        let class = |n: usize| vec![("class", format!("{}xx", n + 1))];
        let answers = http.counts().by_class().into_iter().enumerate();
        let answers = answers.map(|(n, count)| (class(n), count)).collect();
        counters(
            &mut out,
            "http_answers",
            "HTTP answers by class of status",
            answers,
        )
    }
}

fn kinds(node: &Node) -> BTreeMap<String, Kind> {
    let mut kinds: BTreeMap<String, Kind> = BTreeMap::new();
    for (name, ended) in node.ended_by_type() {
        let kind = kinds.entry(name.to_owned()).or_default();
        kind.ended += ended.count;
        kind.handled += ended.handled;
        kind.busy_micros += ended.busy_micros;
    }
    for info in node.inspect() {
        let kind = kinds.entry(info.kind).or_default();
        kind.alive += 1;
        kind.restarts += u64::from(info.restarts);
        kind.handled += info.handled;
        kind.busy_micros += info.busy_micros;
        kind.waiting += info.waiting as u64;
        kind.fill = kind
            .fill
            .max(info.waiting as f64 / info.capacity.max(1) as f64);
    }
    kinds
}

trait Value: Copy {
    fn counter(self) -> impl EncodeMetric;
    fn gauge(self) -> impl EncodeMetric;
}

impl Value for u64 {
    fn counter(self) -> impl EncodeMetric {
        ConstCounter::new(self)
    }
    fn gauge(self) -> impl EncodeMetric {
        ConstGauge::new(i64::try_from(self).unwrap_or(i64::MAX))
    }
}

impl Value for f64 {
    fn counter(self) -> impl EncodeMetric {
        ConstCounter::new(self)
    }
    fn gauge(self) -> impl EncodeMetric {
        ConstGauge::new(self)
    }
}

fn counters<V: Value>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(Labels, V)>,
) -> fmt::Result {
    family(out, name, help, values, V::counter)
}

fn gauges<V: Value>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(Labels, V)>,
) -> fmt::Result {
    family(out, name, help, values, V::gauge)
}

fn family<V, M: EncodeMetric>(
    out: &mut DescriptorEncoder<'_>,
    name: &str,
    help: &str,
    values: Vec<(Labels, V)>,
    metric: impl Fn(V) -> M,
) -> fmt::Result {
    let metrics: Vec<_> = values.into_iter().map(|(l, v)| (l, metric(v))).collect();
    let Some((_, first)) = metrics.first() else {
        return Ok(());
    };
    let mut family = out.encode_descriptor(name, help, None, first.metric_type())?;
    for (labels, metric) in &metrics {
        if labels.is_empty() {
            return metric.encode(family);
        }
        metric.encode(family.encode_family(labels)?)?;
    }
    Ok(())
}
