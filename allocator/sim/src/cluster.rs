//! The simulated cluster: what each node has free, and claiming it.
//!
//! Free amounts are one word a node; GPUs are also kept device by device, because a task's part of a GPU is of one device and
//! whole GPUs are idle ones. Where tasks go is decided in `cluster/place.rs`, with the index of `cluster/index.rs`.

mod aside;
mod fragmentation;
mod gpus;
mod index;
mod place;

pub use self::{fragmentation::Typical, place::Placement};
use self::{gpus::Devices, index::Index};
use crate::{
    amounts::{self, Amounts, GPUS, LANES},
    nodes::Nodes,
    trace::{Job, Workload},
};

/// A node's place in the list of nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub u32);

impl NodeId {
    pub(crate) fn at(self) -> usize {
        self.0 as usize
    }
}

/// Some tasks of a job on one node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Where.
    pub node: NodeId,
    /// How many tasks.
    pub tasks: u32,
    /// Which of the node's GPUs they use, as bits.
    pub gpus: u32,
}

/// What one task asks for, and how many tasks there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// What one task takes.
    pub demand: Amounts,
    /// How many tasks, all or none.
    pub tasks: u32,
    /// GPU models that will do, as bits; 0 for any.
    pub models: u64,
}

/// The nodes and what is free on them.
#[derive(Clone, Debug)]
pub struct Cluster {
    nodes: Nodes,
    /// The first node of each kind.
    kind_starts: Vec<u32>,
    total: Vec<Amounts>,
    free: Vec<Amounts>,
    /// What was free on nodes that are down; they have nothing free meanwhile.
    down: Vec<Option<Amounts>>,
    /// Bit of the node's GPU model; all bits if it has none that is known.
    models: Vec<u64>,
    devices: Devices,
    index: Index,
    capacity: [u64; LANES],
    free_sum: [u64; LANES],
    typical: Typical,
    /// One over the largest amount of a node, by lane.
    scale: [f64; LANES],
}

impl Cluster {
    /// A cluster with everything free.
    pub fn new(nodes: Nodes) -> Self {
        let (mut total, mut models, mut kind_starts) = (Vec::new(), Vec::new(), Vec::new());
        for kind in &nodes.kinds {
            kind_starts.push(u32::try_from(total.len()).expect("at most NODES_MAX"));
            total.resize(total.len() + kind.count as usize, kind.total);
            models.resize(total.len(), kind.model.map_or(0, |model| 1 << model));
        }
        let largest = nodes
            .kinds
            .iter()
            .fold(Amounts::ZERO, |most, kind| most.larger(kind.total));
        let mut capacity = [0; LANES];
        for amounts in &total {
            for (sum, lane) in capacity.iter_mut().zip(amounts.lanes()) {
                *sum += u64::from(lane);
            }
        }
        Self {
            kind_starts,
            free: total.clone(),
            down: vec![None; total.len()],
            models,
            devices: Devices::new(total.iter().map(|total| total.lane(GPUS) / 1000)),
            index: Index::new(&total),
            capacity,
            free_sum: capacity,
            total,
            nodes,
            typical: Typical::default(),
            scale: largest.lanes().map(|most| {
                if most == 0 {
                    0.0
                } else {
                    1.0 / f64::from(most)
                }
            }),
        }
    }

    /// Says which jobs are to be expected; the measure of fragmentation asks for it.
    pub fn expect(&mut self, workload: &Workload) {
        self.typical = Typical::of(workload, &self.nodes);
    }

    /// How many nodes there are.
    pub fn len(&self) -> usize {
        self.total.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.total.is_empty()
    }

    /// The nodes, by name.
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// A node's name.
    pub fn name(&self, node: NodeId) -> String {
        let kind = self.kind_starts.partition_point(|&start| start <= node.0) - 1;
        let (kind, start) = (&self.nodes.kinds[kind], self.kind_starts[kind]);
        if kind.count == 1 {
            kind.name.clone()
        } else {
            format!("{}{}", kind.name, node.0 - start)
        }
    }

    /// All that a node has.
    pub fn total(&self, node: NodeId) -> Amounts {
        self.total[node.at()]
    }

    /// What is free on a node.
    pub fn free(&self, node: NodeId) -> Amounts {
        self.free[node.at()]
    }

    /// Whether a node is up.
    pub fn is_up(&self, node: NodeId) -> bool {
        self.down[node.at()].is_none()
    }

    /// What all nodes have together, by lane.
    pub fn capacity(&self) -> [u64; LANES] {
        self.capacity
    }

    /// What is in use, by lane.
    pub fn used(&self) -> [u64; LANES] {
        std::array::from_fn(|lane| self.capacity[lane] - self.free_sum[lane])
    }

    /// What is free on all nodes that are up together, by lane.
    pub fn free_sum(&self) -> [u64; LANES] {
        self.free_sum
    }

    /// What a job asks for here: of resources that are counted.
    pub fn ask(&self, job: &Job) -> Ask {
        Ask {
            demand: self.nodes.counted_of(job.demand),
            tasks: job.tasks,
            models: job.models,
        }
    }

    /// Whether a task of this kind fits on a node now.
    #[inline]
    pub fn fits_on(&self, node: NodeId, ask: &Ask) -> bool {
        self.free[node.at()].fits(ask.demand)
            && (ask.demand.lane(GPUS) == 0 || self.gpus_fit(node, ask))
    }

    fn gpus_fit(&self, node: NodeId, ask: &Ask) -> bool {
        let accepted = ask.models == 0 || self.models[node.at()] & ask.models != 0;
        accepted && self.devices.fits(node.at(), ask.demand.lane(GPUS))
    }

    /// How many tasks of this kind fit on a node now.
    pub fn count_on(&self, node: NodeId, ask: &Ask) -> u32 {
        let count = self.free[node.at()].count_of(ask.demand);
        if count == 0 || ask.demand.lane(GPUS) == 0 {
            return count;
        }
        if !self.gpus_fit(node, ask) {
            return 0;
        }
        count.min(self.devices.count(node.at(), ask.demand.lane(GPUS)))
    }

    /// Why a job can never run here, were everything free; none if it can.
    pub fn never(&self, ask: &Ask) -> Option<String> {
        let mut room = 0_u64;
        let mut largest = [0_u32; LANES];
        for (kind, &start) in self.nodes.kinds.iter().zip(&self.kind_starts) {
            for (most, lane) in largest.iter_mut().zip(kind.total.lanes()) {
                *most = (*most).max(lane);
            }
            let accepted = ask.models == 0 || self.models[start as usize] & ask.models != 0;
            let gpus = ask.demand.lane(GPUS);
            let by_device = match gpus {
                0 => u32::MAX,
                _ if !accepted => 0,
                1..=999 => kind.total.lane(GPUS) / 1000 * (1000 / gpus),
                _ => kind.total.lane(GPUS) / gpus,
            };
            room +=
                u64::from(kind.total.count_of(ask.demand).min(by_device)) * u64::from(kind.count);
        }
        if room >= u64::from(ask.tasks) {
            return None;
        }
        if let Some(lane) = (0..LANES).find(|&lane| ask.demand.lane(lane) > largest[lane]) {
            let mut most = [0; LANES];
            most[lane] = largest[lane];
            let most = Amounts::new(most).unwrap_or_default();
            let name = amounts::NAMES[lane];
            return Some(format!(
                "a task of {} is larger than every node: the most {name} of one is {most}",
                ask.demand
            ));
        }
        if room == 0 {
            return Some(format!("a task of {} fits on no node", ask.demand));
        }
        Some(format!(
            "{} tasks of {}: the whole cluster has room for {room}",
            ask.tasks, ask.demand
        ))
    }

    /// Takes what the pieces need; their devices are chosen here and entered.
    pub(crate) fn claim(&mut self, ask: &Ask, pieces: &mut Vec<Piece>) {
        let gpus = ask.demand.lane(GPUS);
        if gpus > 0 {
            *pieces = self.devices.claim(gpus, pieces);
        }
        for piece in pieces.iter() {
            let amounts = ask.demand.times(piece.tasks);
            let free = &mut self.free[piece.node.at()];
            *free = free.minus(amounts);
            for (sum, lane) in self.free_sum.iter_mut().zip(amounts.lanes()) {
                *sum -= u64::from(lane);
            }
        }
    }

    /// Gives back what pieces held.
    pub(crate) fn release(&mut self, ask: &Ask, pieces: &[Piece]) {
        for piece in pieces {
            let amounts = ask.demand.times(piece.tasks);
            let at = piece.node.at();
            if let Some(kept) = &mut self.down[at] {
                *kept = kept.plus(amounts);
            } else {
                self.free[at] = self.free[at].plus(amounts);
                self.index.raise(at, self.free[at]);
                for (sum, lane) in self.free_sum.iter_mut().zip(amounts.lanes()) {
                    *sum += u64::from(lane);
                }
            }
            debug_assert!(self.total[at].fits(self.free[at]), "SI-1 free <= total");
            self.devices.release(at, ask.demand.lane(GPUS), piece);
        }
    }

    /// Takes a node down: nothing of it can be claimed until it is up again.
    pub(crate) fn set_down(&mut self, node: NodeId) {
        let free = std::mem::take(&mut self.free[node.at()]);
        self.down[node.at()] = Some(free);
        for (sum, lane) in self.free_sum.iter_mut().zip(free.lanes()) {
            *sum -= u64::from(lane);
        }
    }

    /// Brings a node up.
    pub(crate) fn set_up(&mut self, node: NodeId) {
        let Some(free) = self.down[node.at()].take() else {
            return;
        };
        self.free[node.at()] = free;
        self.index.raise(node.at(), free);
        for (sum, lane) in self.free_sum.iter_mut().zip(free.lanes()) {
            *sum += u64::from(lane);
        }
    }
}
