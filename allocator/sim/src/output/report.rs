//! One HTML file with everything in it: numbers and plots of one run, or of several side by side.

use std::fmt::Write;

use crate::{
    plot::escape,
    summary::{Distribution, Summary},
};

const HEAD: &str = "<!doctype html>
<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">
<style>
body { font: 15px/1.5 sans-serif; max-width: 960px; margin: 2em auto; padding: 0 1em; color: #222 }
table { border-collapse: collapse; margin: 1em 0 } th, td { padding: .2em .9em .2em 0; text-align: right }
th:first-child, td:first-child { text-align: left } tr { border-bottom: 1px solid #ddd }
svg { max-width: 100%; height: auto; display: block; margin: 1em 0 }
</style>
";

/// A run as the report shows it: its summary, and its plots as SVG.
#[derive(Clone, Debug)]
pub struct Section {
    /// The summary.
    pub summary: Summary,
    /// SVG documents.
    pub plots: Vec<String>,
}

/// The report.
pub fn report(sections: &[Section]) -> String {
    let mut html = HEAD.to_owned();
    let title = match sections {
        [one] => format!(
            "{}: {} with {}",
            one.summary.trace, one.summary.policy, one.summary.placement
        ),
        many => format!("{} simulations", many.len()),
    };
    let title = escape(&title);
    let _ = writeln!(
        html,
        "<title>{title}</title></head><body>\n<h1>{title}</h1>"
    );
    table(&mut html, sections);
    for section in sections {
        let summary = &section.summary;
        if sections.len() > 1 {
            let name = format!(
                "{} with {}, seed {}",
                summary.policy, summary.placement, summary.seed
            );
            let _ = writeln!(html, "<h2>{}</h2>", escape(&name));
        }
        for (reason, count) in &summary.rejections {
            let _ = writeln!(html, "<p>{count} rejected: {}</p>", escape(reason));
        }
        for plot in &section.plots {
            html.push_str(plot);
        }
    }
    html.push_str("</body></html>\n");
    html
}

fn table(html: &mut String, sections: &[Section]) {
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Summary) -> String| {
        rows.push((
            name.to_owned(),
            sections
                .iter()
                .map(|section| cell(&section.summary))
                .collect(),
        ));
    };
    row("trace", &|of| of.trace.clone());
    row("policy", &|of| of.policy.clone());
    row("placement", &|of| of.placement.clone());
    row("seed", &|of| of.seed.to_string());
    row("nodes", &|of| of.nodes.to_string());
    row("jobs submitted", &|of| of.jobs.submitted.to_string());
    row("completed", &|of| of.jobs.completed.to_string());
    row("rejected", &|of| of.jobs.rejected.to_string());
    row("unfinished", &|of| of.jobs.unfinished.to_string());
    row("makespan (s)", &|of| format!("{:.0}", of.makespan_s));
    for name in crate::amounts::NAMES {
        if sections
            .iter()
            .any(|section| section.summary.utilisation.contains_key(name))
        {
            let part = |of: &Summary| {
                of.utilisation
                    .get(name)
                    .map_or("-".to_owned(), |part| format!("{:.1} %", part * 100.0))
            };
            row(&format!("{name} in use"), &part);
        }
    }
    let mut spread = |name: &str, of: &dyn Fn(&Summary) -> Distribution| {
        row(&format!("{name}, mean"), &|summary| {
            format!("{:.2}", of(summary).mean)
        });
        row(&format!("{name}, median"), &|summary| {
            format!("{:.2}", of(summary).p50)
        });
        row(&format!("{name}, 95 %"), &|summary| {
            format!("{:.2}", of(summary).p95)
        });
        row(&format!("{name}, largest"), &|summary| {
            format!("{:.2}", of(summary).max)
        });
    };
    spread("wait (s)", &|of| of.wait_s);
    spread("bounded slowdown", &|of| of.slowdown);
    spread("finish-time fairness of roles", &|of| {
        of.fairness.finish_time_fairness
    });
    row("largest gap of keys", &|of| {
        format!("{:.3}", of.fairness.largest_key_gap)
    });
    row("violations of the sharing incentive", &|of| {
        of.fairness.sharing_incentive_violations.to_string()
    });
    if sections.iter().any(|section| section.summary.gpu.is_some()) {
        let gpu = |of: &Summary, part: &dyn Fn(&crate::summary::Gpus) -> f64| {
            of.gpu
                .as_ref()
                .map_or("-".to_owned(), |gpu| format!("{:.1} %", part(gpu) * 100.0))
        };
        row("GPUs allocated", &|of| gpu(of, &|gpu| gpu.allocated_ratio));
        row("GPU fragmentation", &|of| gpu(of, &|gpu| gpu.fragmentation));
    }
    html.push_str("<table>\n");
    for (name, cells) in rows {
        let _ = write!(html, "<tr><td>{}</td>", escape(&name));
        for cell in cells {
            let _ = write!(html, "<td>{}</td>", escape(&cell));
        }
        html.push_str("</tr>\n");
    }
    html.push_str("</table>\n");
}
