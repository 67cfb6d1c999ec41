//! Which nodes a cluster has: read from text or from a file.
//!
//! Text is `100xcpus:64;mem:256GiB;gpus:8`, several kinds with a comma between them, `model:T4` for the model of the GPUs. A file is JSON lines
//! (`{"node":"a","count":10,"cpus":64,...}`) or the openb table `sn,cpu_milli,memory_mib,gpu,model`. A resource that no node of the
//! cluster speaks of (memory and disk) is not counted: jobs get as much of it as they ask for.

use std::{collections::HashSet, io::Read};

use tepui_protocol::Resources;

use crate::{
    amounts::{self, Amounts, DISK, MEM},
    trace::{Lines, NodeLine, Problem, Table, Workload, parse_node},
};

/// The most nodes of a cluster.
pub const NODES_MAX: u32 = 4_000_000;
/// The most GPUs of a node.
pub const GPUS_MAX: u32 = 32;

/// Equal nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeKind {
    /// The node's name; with a number behind it if there are several.
    pub name: String,
    /// How many.
    pub count: u32,
    /// What each has.
    pub total: Amounts,
    /// The model of its GPUs, an index of [`Workload::models`].
    pub model: Option<u8>,
}

/// The nodes of a cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Nodes {
    /// In order; equal neighbours may be one kind.
    pub kinds: Vec<NodeKind>,
    /// Whether any node speaks of the lane; others are not counted.
    pub counted: [bool; amounts::LANES],
}

impl Nodes {
    /// How many nodes there are.
    pub fn count(&self) -> u32 {
        self.kinds.iter().map(|kind| kind.count).sum()
    }

    /// Reads text such as `100xcpus:64;mem:256GiB;gpus:8`. GPU models are entered in `workload`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str, workload: &mut Workload) -> Result<Self, String> {
        let mut nodes = Nodes::default();
        for part in text.split(',') {
            let wrong = |what: &str| {
                format!("nodes {part:?}: {what}; write e.g. 100xcpus:64;mem:256GiB;gpus:8")
            };
            let (count, resources) = match part.split_once('x') {
                Some((count, rest)) if count.trim().bytes().all(|b| b.is_ascii_digit()) => {
                    let count = count
                        .trim()
                        .parse()
                        .map_err(|_| wrong("the number of nodes is not one"))?;
                    (count, rest)
                }
                _ => (1, part),
            };
            let mut lanes: [Option<u32>; amounts::LANES] = [Some(0), None, Some(0), None];
            let mut model = None;
            for item in resources.split(';').filter(|item| !item.trim().is_empty()) {
                let (name, value) = item
                    .split_once(':')
                    .ok_or_else(|| wrong(&format!("{item:?} has no value")))?;
                if name.trim() == "model" {
                    let known = workload.model(value.trim());
                    model = Some(known.ok_or_else(|| wrong("more than 64 GPU models"))?);
                    continue;
                }
                let lane = amounts::NAMES.iter().position(|lane| *lane == name.trim());
                let lane = lane.ok_or_else(|| wrong(&format!("no resource is called {name:?}")))?;
                lanes[lane] = Some(amount(lane, value.trim()).map_err(|what| wrong(&what))?);
            }
            let name = if count == 1 {
                format!("n{}", nodes.count())
            } else {
                format!("n{}-", nodes.kinds.len())
            };
            nodes
                .add(name, count, lanes, model)
                .map_err(|what| wrong(&what))?;
        }
        Ok(nodes)
    }

    /// Reads a file of nodes: JSON lines, or the openb table.
    ///
    /// # Errors
    /// [`Problem`] with its line.
    pub fn read(name: &str, input: impl Read, workload: &mut Workload) -> Result<Self, Problem> {
        let mut lines = Lines::open(name, input)?;
        let (mut nodes, mut names) = (Nodes::default(), HashSet::new());
        let mut table = Table::new(["sn", "cpu_milli", "memory_mib", "gpu", "model"]);
        let mut is_table = None;
        while let Some(line) = lines.next()? {
            let blank = line.trim_ascii().is_empty() || line.starts_with(b"#");
            if blank {
                continue;
            }
            let is_table = *is_table.get_or_insert(!line.trim_ascii().starts_with(b"{"));
            let added = if is_table {
                nodes.table_line(line, &mut table, &mut names, workload)
            } else {
                parse_node(line).and_then(|line| nodes.json_line(line, &mut names, workload))
            };
            added.map_err(|what| lines.problem(what))?;
        }
        if nodes.kinds.is_empty() {
            return Err(lines.problem("no node in it".to_owned()));
        }
        Ok(nodes)
    }

    /// The machine of a trace: `processors` over `nodes`, cpus only.
    pub fn of_machine((nodes, processors): (u32, u32)) -> Self {
        let mut made = Nodes::default();
        let (each, more) = (processors / nodes.max(1), processors % nodes.max(1));
        for (count, cpus) in [(more, each + 1), (nodes - more, each)] {
            let cpus = cpus.min(Amounts::LANE_MAX / 1000) * 1000;
            if count > 0 {
                let name = format!("n{}-", made.kinds.len());
                made.add(
                    name,
                    count.min(NODES_MAX / 2),
                    [Some(cpus), None, Some(0), None],
                    None,
                )
                .expect("both kinds are within the bounds");
            }
        }
        made
    }

    fn table_line(
        &mut self,
        line: &[u8],
        table: &mut Table<5>,
        names: &mut HashSet<String>,
        workload: &mut Workload,
    ) -> Result<(), String> {
        let Some(cells) = table.cells(line)? else {
            return Ok(());
        };
        let [name, cpus, mem, gpus, model] =
            cells.map(|cell| String::from_utf8_lossy(cell).into_owned());
        let whole = |field: &str, text: &str| {
            text.parse::<u32>()
                .map_err(|_| format!("{field} {text:?}: must be a whole number >= 0"))
        };
        let gpus = whole("gpu", &gpus)?;
        self.json_line(
            NodeLine {
                node: name,
                count: 1,
                cpus: f64::from(whole("cpu_milli", &cpus)?) / 1000.0,
                mem_mib: Some(f64::from(whole("memory_mib", &mem)?)),
                gpus,
                disk_mib: None,
                gpu_model: (gpus > 0 && !model.is_empty()).then_some(model),
            },
            names,
            workload,
        )
    }

    fn json_line(
        &mut self,
        line: NodeLine,
        names: &mut HashSet<String>,
        workload: &mut Workload,
    ) -> Result<(), String> {
        let name = line.node;
        if name.is_empty() || name.contains(|c: char| c.is_control() || c == ',' || c == '"') {
            return Err(format!(
                "node {name:?}: must be a name without commas and quotation marks"
            ));
        }
        if !names.insert(name.clone()) {
            return Err(format!("node {name:?}: the name was used before"));
        }
        let down = |field: &str, value: f64, factor: f64| {
            let most = f64::from(Amounts::LANE_MAX);
            let is_amount = (0.0..=most / factor).contains(&value);
            let near = (value * factor + 1e-6).floor();
            is_amount
                .then_some(near as u32)
                .ok_or_else(|| format!("{field} {value}: must be from 0 to {:.0}", most / factor))
        };
        if line.gpus > GPUS_MAX {
            return Err(format!("gpus {}: a node has at most {GPUS_MAX}", line.gpus));
        }
        let lanes = [
            Some(down("cpus", line.cpus, 1000.0)?),
            line.mem_mib
                .map(|mem| down("mem_mib", mem, 1.0))
                .transpose()?,
            Some(line.gpus * 1000),
            line.disk_mib
                .map(|disk| down("disk_mib", disk, 1.0))
                .transpose()?,
        ];
        let model = match line.gpu_model {
            Some(model) => Some(workload.model(&model).ok_or("more than 64 GPU models")?),
            None => None,
        };
        let name = if line.count == 1 {
            name
        } else {
            format!("{name}-")
        };
        self.add(name, line.count, lanes, model)
    }

    fn add(
        &mut self,
        name: String,
        count: u32,
        lanes: [Option<u32>; amounts::LANES],
        model: Option<u8>,
    ) -> Result<(), String> {
        if count == 0 || self.count().saturating_add(count) > NODES_MAX {
            return Err(format!("there must be from 1 to {NODES_MAX} nodes"));
        }
        for (counted, lane) in self.counted.iter_mut().zip(lanes) {
            *counted |= lane.is_some();
        }
        let total = Amounts::new(lanes.map(Option::unwrap_or_default))
            .ok_or("more than a node can have")?;
        if total.is_zero() {
            return Err("a node has nothing".to_owned());
        }
        self.kinds.push(NodeKind {
            name,
            count,
            total,
            model,
        });
        Ok(())
    }

    /// What jobs ask for of lanes that are counted.
    pub(crate) fn counted_of(&self, demand: Amounts) -> Amounts {
        let open = [MEM, DISK].into_iter().filter(|&lane| !self.counted[lane]);
        open.fold(demand, Amounts::without)
    }
}

/// Reads amounts such as `cpus:4;mem:8GiB`; what is not named is nothing.
pub(crate) fn parse_amounts(text: &str) -> Result<Amounts, String> {
    let mut lanes = [0; amounts::LANES];
    for item in text.split(';').filter(|item| !item.trim().is_empty()) {
        let (name, value) = item
            .split_once(':')
            .ok_or_else(|| format!("{item:?} has no value"))?;
        let lane = amounts::NAMES.iter().position(|lane| *lane == name.trim());
        let lane = lane.ok_or_else(|| format!("no resource is called {name:?}"))?;
        lanes[lane] = amount(lane, value.trim())?;
    }
    Amounts::new(lanes).ok_or_else(|| format!("{text:?} is more than a node can have"))
}

/// An amount of a lane as people write it.
fn amount(lane: usize, text: &str) -> Result<u32, String> {
    let name = amounts::NAMES[lane];
    let wrong = || format!("{name}:{text} is not an amount");
    if lane == amounts::GPUS {
        let gpus: u32 = text.parse().map_err(|_| wrong())?;
        return if gpus <= GPUS_MAX {
            Ok(gpus * 1000)
        } else {
            Err(format!("{text} GPUs: a node has at most {GPUS_MAX}"))
        };
    }
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match (lane, &text[digits.len()..]) {
        (amounts::CPUS, "") => 1000.0,
        (MEM | DISK, "" | "MiB" | "Mi") => 1.0,
        (MEM | DISK, "GiB" | "Gi") => 1024.0,
        (MEM | DISK, "TiB" | "Ti") => 1024.0 * 1024.0,
        _ => return Err(wrong()),
    };
    let quantities = Resources::parse(&format!("{name}:{digits}")).map_err(|_| wrong())?;
    let value = quantities.scalar(name).as_f64() * factor;
    if value > f64::from(Amounts::LANE_MAX) {
        return Err(format!("{name}:{text} is more than a node can have"));
    }
    Ok(value.floor() as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Nodes, String> {
        Nodes::parse(text, &mut Workload::default())
    }

    #[test]
    fn text_names_kinds_of_nodes() {
        let nodes = parse("100xcpus:64;mem:256GiB;gpus:8;model:T4,cpus:0.5").unwrap();
        assert_eq!((nodes.count(), nodes.kinds.len()), (101, 2));
        assert_eq!(nodes.kinds[0].total.lanes(), [64_000, 262_144, 8000, 0]);
        assert_eq!(
            (nodes.kinds[0].model, nodes.kinds[1].total.lane(0)),
            (Some(0), 500)
        );
        assert_eq!(nodes.counted, [true, true, true, false]);
        let demand = Amounts::new([1, 2, 3, 4]).unwrap();
        assert_eq!(nodes.counted_of(demand).lanes(), [1, 2, 3, 0]);
    }

    #[test]
    fn text_that_is_wrong_is_told_with_an_example() {
        for bad in [
            "",
            "0xcpus:1",
            "10x",
            "cpus:-1",
            "cpus:NaN",
            "cpus:1e99",
            "foo:1",
            "cpus",
            "gpus:33",
            "gpus:1.5",
            "5000000xcpus:1",
            "mem:3XB",
            "99999999999xcpus:1",
        ] {
            let error = parse(bad).unwrap_err();
            assert!(
                error.contains("write e.g. 100xcpus:64") && !error.contains('\n'),
                "{bad}: {error}"
            );
        }
    }

    #[test]
    fn files_are_json_lines_or_the_openb_table() {
        let read = |text: &str| {
            Nodes::read("n", text.as_bytes(), &mut Workload::default()).map_err(|e| e.to_string())
        };
        let table = "sn,cpu_milli,memory_mib,gpu,model\na,32000,262144,0,\nb,96000,1024,2,P100\n";
        let json = "{\"node\":\"a\",\"cpus\":32,\"mem_mib\":262144}\n{\"node\":\"b\",\"cpus\":96,\"mem_mib\":1024,\"gpus\":2,\"gpu_model\":\"P100\"}\n";
        assert_eq!(read(table), read(json));
        assert_eq!(
            read(table).unwrap().kinds[1].total.lanes(),
            [96_000, 1024, 2000, 0]
        );
        for (bad, what) in [
            ("", "n:1: no node in it"),
            (
                "{\"node\":\"a\",\"cpus\":-1}",
                "n:1: cpus -1: must be from 0",
            ),
            (
                "{\"node\":\"a\",\"cpus\":1}\n{\"node\":\"a\",\"cpus\":1}",
                "n:2: node \"a\": the name was used before",
            ),
            ("{\"node\":\"a\",\"cpu\":1}", "unknown field `cpu`"),
            ("sn,cpu_milli\n", "has no column memory_mib"),
            (
                "sn,cpu_milli,memory_mib,gpu,model\na,x,1,0,\n",
                "n:2: cpu_milli \"x\"",
            ),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }

    #[test]
    fn a_machine_has_all_of_its_processors() {
        let nodes = Nodes::of_machine((3, 8));
        let cpus: u32 = nodes
            .kinds
            .iter()
            .map(|kind| kind.count * kind.total.lane(0))
            .sum();
        assert_eq!((nodes.count(), cpus), (3, 8000));
    }
}
