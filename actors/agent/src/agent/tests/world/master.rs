//! The master of a world: gives out tasks, forgets acknowledgements, tears its framework down.

use super::*;

impl World {
    pub(super) fn break_master_link(&mut self) {
        self.master.connected = false;
        self.master.to_agent.clear();
        self.master.from_agent.clear();
        self.tell(|a, now, out| a.on_exited(now, &"master@h:1#1".parse().unwrap(), out));
    }

    pub(super) fn master_hears(&mut self, message: ToMaster) {
        let master_id = MasterId::new("m").unwrap();
        match message {
            ToMaster::Register(_) => {
                self.master.connected = true;
                let answer = agent::Registered {
                    agent_id: agent_id(),
                    master_id,
                };
                self.master.to_agent.push_back(Letter::Registered(answer));
            }
            ToMaster::Reregister(message) => {
                self.master.connected = true;
                let named: BTreeSet<_> = message.tasks.iter().map(|t| &t.info.id).collect();
                let open = self.master.tasks.iter().filter(|(_, end)| end.is_none());
                let missing = open.filter(|(id, _)| !named.contains(id));
                let reconcile = missing.map(|(id, _)| (fid(), id.clone())).collect();
                let answer = agent::Reregistered {
                    agent_id: agent_id(),
                    master_id,
                    reconcile,
                };
                self.master.to_agent.push_back(Letter::Reregistered(answer));
                if self.master.torn_down && !message.frameworks.is_empty() {
                    self.order_shutdown();
                }
            }
            ToMaster::Unregister(_) => self.unregistered = true,
            ToMaster::StatusUpdate(update) => self.master_hears_of_task(update),
            ToMaster::Pong(_) | ToMaster::ExecutorExited(_) => {}
        }
    }

    pub(super) fn master_hears_of_task(&mut self, update: agent::StatusUpdate) {
        let (task_id, uuid) = (update.status.task_id.clone(), update.status.uuid.unwrap());
        if update.status.state.is_terminal() {
            let runs = self
                .processes
                .values()
                .any(|process| process.tasks.contains(&task_id));
            assert!(!runs, "{task_id} runs, but is {}", update.status.state);
            let Some(end) = self.master.tasks.get_mut(&task_id) else {
                return;
            };
            assert!(
                end.is_none_or(|known| known == uuid),
                "{task_id} ends twice: {update:?}"
            );
            *end = Some(uuid);
        }
        if self.master.torn_down {
            return;
        }
        let framework_id = update.framework_id;
        let answer = agent::StatusUpdateAcknowledged {
            framework_id,
            task_id,
            uuid,
        };
        if self.calm || !self.one_in(4) {
            self.master.to_agent.push_back(Letter::Acknowledged(answer));
        }
    }

    pub(super) fn agent_hears(&mut self, letter: Letter) {
        self.tell(|a, now, out| match letter {
            Letter::Run(m) => a.on_run_task(now, m, out),
            Letter::Kill(m) => a.on_kill_task(now, &m, out),
            Letter::Acknowledged(m) => a.on_acknowledged(&m, out),
            Letter::Registered(m) => a.on_registered(now, m, out),
            Letter::Reregistered(m) => a.on_reregistered(now, m, out),
            Letter::Ping(m) => a.on_ping(now, &m, out),
            Letter::Shutdown(m) => a.on_shutdown_framework(&m, out),
        });
    }

    pub(super) fn give_out(&mut self) {
        if !self.master.connected || self.agent.is_none() || self.master.torn_down {
            return;
        }
        let name = format!("t{}", self.master.tasks.len());
        let own = self.one_in(3).then(|| custom(&name).executor).flatten();
        let resources = ["cpus:1", "gpus:0.4", "gpus:1"][self.master.tasks.len() % 3];
        // Executors of both kinds are the same here, and want a command.
        let task = TaskInfo {
            executor: own,
            resources: resources.parse().unwrap(),
            ..task(&name)
        };
        self.master.tasks.insert(tid(&name), None);
        let order = agent::RunTask {
            framework: framework(),
            task,
        };
        self.master.to_agent.push_back(Letter::Run(order));
    }

    pub(super) fn tear_down(&mut self) {
        if self.master.connected && self.agent.is_some() {
            self.master.torn_down = true;
            // They are over for the master, whatever comes of them.
            self.master.tasks.clear();
            self.order_shutdown();
        }
    }

    pub(super) fn order_shutdown(&mut self) {
        let order = agent::ShutdownFramework {
            framework_id: fid(),
        };
        self.master.to_agent.push_back(Letter::Shutdown(order));
    }

    pub(super) fn kill_one(&mut self) {
        let open: Vec<TaskId> = self
            .master
            .tasks
            .iter()
            .filter(|(_, end)| end.is_none())
            .map(|(id, _)| id.clone())
            .collect();
        if open.is_empty() || !self.master.connected || self.agent.is_none() {
            return;
        }
        let task_id = open[self.rng.random_range(0..open.len())].clone();
        let kill = agent::KillTask {
            framework_id: fid(),
            task_id,
            kill_policy: None,
        };
        self.master.to_agent.push_back(Letter::Kill(kill));
    }
}
