//! Which task gets which GPU.
//!
//! Whole numbers get whole GPUs, the first that nobody has. A part of one (`gpus:0.3`) goes where least is
//! left that is enough, so that others stay whole. What a task has it keeps until it is over, also over
//! restarts of the agent, as it is in the task's record. An agent that manages no devices
//! ([`AgentConfig::gpus`](crate::AgentConfig::gpus) is empty) counts GPUs and gives none.

use std::collections::BTreeMap;

use tepui_protocol::{GpuShare, Reason, Resources, TaskInfo, TaskState};

use super::Agent;
use crate::launcher::ExecutorRun;

/// All of a GPU, in thousandths.
const WHOLE: u32 = 1000;

/// Why a task gets no GPUs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) state: TaskState,
    pub(super) reason: Reason,
    pub(super) message: String,
}

/// Chooses GPUs for `resources` out of `all`, of which `taken` is taken, in thousandths.
fn choose(
    all: &[String],
    taken: &BTreeMap<String, u32>,
    resources: &Resources,
) -> Result<Vec<GpuShare>, Refusal> {
    let wanted = u32::try_from(resources.gpus().milli()).unwrap_or(u32::MAX);
    if all.is_empty() || wanted == 0 {
        return Ok(Vec::new());
    }
    if wanted > WHOLE && wanted % WHOLE != 0 {
        return Err(Refusal {
            state: TaskState::Error,
            reason: Reason::TaskInvalid,
            message: format!(
                "gpus:{}: must be whole GPUs, or a part of one, below 1",
                resources.gpus()
            ),
        });
    }
    let left = |uuid: &String| WHOLE.saturating_sub(taken.get(uuid).copied().unwrap_or_default());
    let (count, milli) = match wanted {
        part @ ..WHOLE => (1, part),
        whole => (whole / WHOLE, WHOLE),
    };
    let mut fit: Vec<&String> = all.iter().filter(|uuid| left(uuid) >= milli).collect();
    // A stable sort: among equals the first comes first.
    fit.sort_by_key(|uuid| left(uuid));
    let share = |uuid: &String| GpuShare {
        uuid: uuid.clone(),
        milli,
    };
    let chosen = fit.into_iter().take(count as usize).map(share);
    let chosen: Vec<GpuShare> = chosen.collect();
    match chosen.len() == count as usize {
        true => Ok(chosen),
        false => Err(Refusal {
            state: TaskState::Dropped,
            reason: Reason::ResourcesUnknown,
            message: format!(
                "gpus:{}: no GPUs of this agent have that much left; parts of different GPUs make no \
                 whole",
                resources.gpus()
            ),
        }),
    }
}

impl Agent {
    /// The GPUs for a new task.
    pub(super) fn gpus_for(&self, task: &TaskInfo) -> Result<Vec<GpuShare>, Refusal> {
        let own = task
            .executor
            .as_ref()
            .map(|executor| executor.resources.gpus());
        if !self.config.gpus.is_empty() && own.is_some_and(|own| !own.is_zero()) {
            return Err(Refusal {
                state: TaskState::Error,
                reason: Reason::TaskInvalid,
                message: "the executor asks for gpus: only its tasks can have GPUs".to_owned(),
            });
        }
        choose(&self.config.gpus, &self.gpus_taken(), &task.resources)
    }

    /// How much of each GPU live tasks have, in thousandths.
    pub(super) fn gpus_taken(&self) -> BTreeMap<String, u32> {
        let mut taken = BTreeMap::new();
        for (id, framework) in &self.frameworks {
            let live = framework
                .tasks
                .iter()
                .filter(|(task, _)| !self.is_over(id, task));
            for share in live.flat_map(|(_, entry)| &entry.gpus) {
                *taken.entry(share.uuid.clone()).or_default() += share.milli;
            }
        }
        taken
    }

    /// The GPUs of a run's live tasks, each once, by UUID.
    pub(super) fn gpus_of(&self, run: &ExecutorRun) -> Vec<GpuShare> {
        let mut shares: BTreeMap<String, u32> = BTreeMap::new();
        for task_id in self.live_tasks(run) {
            let framework = self.frameworks.get(&run.framework_id);
            let entry = framework.and_then(|framework| framework.tasks.get(&task_id));
            for share in entry.iter().flat_map(|entry| &entry.gpus) {
                *shares.entry(share.uuid.clone()).or_default() += share.milli;
            }
        }
        let shares = shares.into_iter();
        shares
            .map(|(uuid, milli)| GpuShare { uuid, milli })
            .collect()
    }

    /// The variables that name a run's GPUs to programs; none where the agent manages no GPUs.
    pub(super) fn gpu_variables(&self, run: &ExecutorRun) -> BTreeMap<String, String> {
        if self.config.gpus.is_empty() {
            return BTreeMap::new();
        }
        let uuids: Vec<String> = self
            .gpus_of(run)
            .into_iter()
            .map(|share| share.uuid)
            .collect();
        // "void" is NVIDIA's word for no GPU at all; to CUDA an empty list says the same.
        let (nvidia, cuda) = match uuids.is_empty() {
            true => ("void".to_owned(), String::new()),
            false => (uuids.join(","), uuids.join(",")),
        };
        BTreeMap::from([
            ("NVIDIA_VISIBLE_DEVICES".to_owned(), nvidia),
            ("CUDA_VISIBLE_DEVICES".to_owned(), cuda),
        ])
    }

    /// Whether no GPU is given beyond its whole.
    pub(super) fn gpus_are_given_once(&self) -> bool {
        self.gpus_taken().values().all(|milli| *milli <= WHOLE)
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng, rngs::StdRng};

    use super::*;

    fn all(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("GPU-{n}")).collect()
    }

    fn chosen(taken: &[(usize, u32)], resources: &str) -> Vec<(String, u32)> {
        let taken = taken.iter().map(|(n, milli)| (format!("GPU-{n}"), *milli));
        let shares = choose(&all(3), &taken.collect(), &resources.parse().unwrap());
        let shares = shares.unwrap_or_else(|refusal| panic!("{refusal:?}"));
        shares
            .into_iter()
            .map(|share| (share.uuid, share.milli))
            .collect()
    }

    #[test]
    fn whole_gpus_are_the_first_that_nobody_has() {
        let gpu = |n: usize, milli| (format!("GPU-{n}"), milli);
        assert_eq!(chosen(&[], "gpus:2"), [gpu(0, 1000), gpu(1, 1000)]);
        assert_eq!(chosen(&[(0, 1)], "gpus:2"), [gpu(1, 1000), gpu(2, 1000)]);
        assert_eq!(chosen(&[], "cpus:1"), []);
    }

    #[test]
    fn a_part_goes_where_least_is_left_that_is_enough() {
        let gpu = |n: usize, milli| vec![(format!("GPU-{n}"), milli)];
        assert_eq!(chosen(&[], "gpus:0.3"), gpu(0, 300));
        assert_eq!(chosen(&[(1, 500)], "gpus:0.3"), gpu(1, 300));
        assert_eq!(chosen(&[(1, 800), (2, 700)], "gpus:0.3"), gpu(2, 300));
    }

    #[test]
    fn what_does_not_fit_is_refused_with_the_reason() {
        let taken = (0..3).map(|n| (format!("GPU-{n}"), 600)).collect();
        let ask = |text: &str| choose(&all(3), &taken, &text.parse().unwrap()).unwrap_err();
        assert_eq!(ask("gpus:1.5").state, TaskState::Error);
        // 1.2 GPUs are free, but no half of one.
        let refusal = ask("gpus:0.5");
        assert_eq!(
            (refusal.state, refusal.reason),
            (TaskState::Dropped, Reason::ResourcesUnknown)
        );
        assert!(
            refusal.message.starts_with("gpus:0.5: no GPUs"),
            "{}",
            refusal.message
        );
        assert_eq!(ask("gpus:1").state, TaskState::Dropped);
        // Without devices GPUs are but a number.
        assert_eq!(
            choose(&[], &taken, &"gpus:1.5".parse().unwrap()),
            Ok(vec![])
        );
    }

    #[test]
    fn no_gpu_is_given_beyond_its_whole() {
        for seed in 0..100 {
            let mut rng = StdRng::seed_from_u64(seed);
            let (all, mut taken) = (all(4), BTreeMap::new());
            for _ in 0..40 {
                let milli = rng.random_range(1..3_000);
                let resources = format!("gpus:{}.{:03}", milli / 1000, milli % 1000);
                for share in choose(&all, &taken, &resources.parse().unwrap()).unwrap_or_default() {
                    *taken.entry(share.uuid).or_insert(0) += share.milli;
                }
                assert!(
                    taken.values().all(|milli| *milli <= WHOLE),
                    "{seed}: {taken:?}"
                );
            }
        }
    }
}
