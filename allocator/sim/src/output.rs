//! What is written of a run: tables, series, plots, a report.
//!
//! Nothing written here differs between two runs of the same inputs and seed.

mod batsim;
#[cfg(feature = "parquet")]
mod parquet;
mod plots;
mod report;
mod rows;
mod tables;

use std::{
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
};

pub use self::{
    plots::plots,
    report::{Section, report},
};
use crate::{engine::Outcome, plot, summary::Summary};

/// What is written beside tables, summary, SVG plots and report.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extras {
    /// The plots as PNG, too; most of the time that writing takes. Needs the feature `png`.
    pub png: bool,
}

/// Writes the results of a run into `dir`, which exists.
///
/// # Errors
/// A file cannot be written; its name is in the error.
pub fn write(dir: &Path, outcome: &Outcome, summary: &Summary, extras: Extras) -> io::Result<()> {
    file(dir, "jobs.csv", |out| tables::jobs(out, outcome))?;
    file(dir, "out_jobs.csv", |out| batsim::jobs(out, outcome))?;
    file(dir, "shares.csv", |out| tables::shares(out, outcome))?;
    file(dir, "queue.csv", |out| tables::queue(out, outcome))?;
    #[cfg(feature = "parquet")]
    {
        file(dir, "jobs.parquet", |out| {
            parquet::jobs(out, outcome).map_err(io::Error::other)
        })?;
        file(dir, "shares.parquet", |out| {
            parquet::shares(out, outcome).map_err(io::Error::other)
        })?;
        file(dir, "queue.parquet", |out| {
            parquet::queue(out, outcome).map_err(io::Error::other)
        })?;
    }
    let mut drawings = Vec::new();
    for plot in plots(outcome) {
        let drawing = plot::svg(&plot);
        file(dir, &format!("{}.svg", plot.name), |out| {
            out.write_all(drawing.as_bytes())
        })?;
        #[cfg(feature = "png")]
        if extras.png {
            let bytes = plot::png(&plot).map_err(io::Error::other)?;
            file(dir, &format!("{}.png", plot.name), |out| {
                out.write_all(&bytes)
            })?;
        }
        #[cfg(not(feature = "png"))]
        if extras.png {
            return Err(io::Error::other("built without the feature png"));
        }
        drawings.push(drawing);
    }
    let section = Section {
        summary: summary.clone(),
        plots: drawings,
    };
    file(dir, "report.html", |out| {
        out.write_all(report(&[section]).as_bytes())
    })?;
    file(dir, "summary.json", |out| {
        serde_json::to_writer_pretty(&mut *out, summary)?;
        out.write_all(b"\n")
    })
}

fn file(
    dir: &Path,
    name: &str,
    write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>,
) -> io::Result<()> {
    let path = dir.join(name);
    let written = File::create(&path).and_then(|file| {
        let mut out = BufWriter::with_capacity(1 << 16, file);
        write(&mut out)?;
        out.flush()
    });
    written.map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}
