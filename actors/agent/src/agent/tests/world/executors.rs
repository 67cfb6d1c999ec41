//! Executors of a world: their state machines, their links, the processes of their tasks.

use super::*;

impl World {
    pub(super) fn start_executor(&mut self, launch: &ExecutorLaunch) -> u32 {
        let number = 1 + self.processes.keys().max().copied().unwrap_or(0);
        let place = ExecutorPlace::from_variables(|name| launch.environment.get(name).cloned());
        let rng = StdRng::seed_from_u64(self.rng.random());
        let config = ExecutorConfig::new(place.unwrap());
        let process = Process {
            run: launch.run.clone(),
            state: Some(state::Executor::new(
                config,
                world_executor_pid(number),
                rng,
            )),
            timers: Vec::new(),
            tasks: BTreeSet::new(),
            to: VecDeque::new(),
            from: VecDeque::new(),
            watches_agent: false,
            child: true,
        };
        self.processes.insert(number, process);
        self.executor(number, |e, _, out| e.on_start(out));
        number
    }

    pub(super) fn executor(
        &mut self,
        number: u32,
        event: impl FnOnce(&mut state::Executor, Timestamp, &mut Vec<Wish>),
    ) {
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        let Some(state) = &mut process.state else {
            return;
        };
        let mut out = Vec::new();
        event(state, self.now, &mut out);
        assert_eq!(state.violated(), None);
        for wish in out {
            self.grant(number, wish);
        }
    }

    pub(super) fn grant(&mut self, number: u32, wish: Wish) {
        let (now, up) = (self.now, self.agent.is_some());
        let starts = !self.one_in(8);
        let heeds = self.one_in(2);
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        match wish {
            Wish::Register(_, message) if up => process.from.push_back(News::Register(message)),
            Wish::Update(_, message) if up => process.from.push_back(News::Update(message)),
            // No task here has checks.
            Wish::Register(..) | Wish::Update(..) | Wish::Probe(..) => {}
            // Nor has any a session.
            Wish::HangUp(_) | Wish::KillSession(_) | Wish::ForgetSession(_) => {}
            Wish::Monitor(_) => process.watches_agent = true,
            Wish::Timer { after, timer } => process.timers.push((now + after, timer)),
            Wish::Start(start) => {
                let id = start.task_id;
                let started = if starts {
                    Ok(())
                } else {
                    Err("no such program".to_owned())
                };
                if starts {
                    assert!(process.tasks.insert(id.clone()), "{id} runs twice");
                }
                self.executor(number, |e, now, out| {
                    e.on_started(now, &id, started.map(|()| None), out)
                });
            }
            Wish::Signal(id, signal) => {
                let ended = Ended::Signalled { signal: 9 };
                if (signal == Signal::Kill || heeds) && process.tasks.remove(&id) {
                    self.executor(number, |e, now, out| e.on_ended(now, &id, ended, out));
                }
            }
            Wish::Stop { .. } => self.executor_dies(number),
        }
    }

    /// The executor's process ends; processes of its tasks stay.
    pub(super) fn executor_dies(&mut self, number: u32) {
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        process.state = None;
        (process.to, process.timers) = (VecDeque::new(), Vec::new());
        // What it had sent still arrives.
        while let Some(news) = self
            .processes
            .get_mut(&number)
            .and_then(|p| p.from.pop_front())
        {
            self.hear(news);
        }
        let (run, child) = {
            let process = &self.processes[&number];
            (process.run.clone(), process.child)
        };
        if self.watched.remove(&world_executor_pid(number)) {
            self.tell(|a, now, out| a.on_exited(now, &world_executor_pid(number), out));
        }
        if child {
            self.tell(|a, now, out| a.on_executor_ended(now, &run, Ended::Exited { code: 0 }, out));
        }
    }

    pub(super) fn break_link(&mut self, number: u32) {
        let Some(process) = self.processes.get_mut(&number) else {
            return;
        };
        process.to.clear();
        process.from.clear();
        if std::mem::take(&mut process.watches_agent) {
            let agent: AnyPid = "agent@h:2".parse().unwrap();
            self.executor(number, |e, now, out| e.on_agent_exited(now, &agent, out));
        }
        let pid = world_executor_pid(number);
        if self.watched.remove(&pid) {
            self.tell(|a, now, out| a.on_exited(now, &pid, out));
        }
    }

    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Register(message) => self.tell(|a, now, out| a.on_register(now, message, out)),
            News::Update(message) => self.tell(|a, _, out| a.on_update(message, out)),
        }
    }

    pub(super) fn receive(&mut self, number: u32, message: ToExecutor) {
        self.executor(number, |e, now, out| match message {
            ToExecutor::Registered(m) => e.on_registered(m, out),
            ToExecutor::Reconnect(m) => e.on_reconnect(m, out),
            ToExecutor::Launch(m) => e.on_launch(now, m.task, out),
            ToExecutor::LaunchGroup(m) => e.on_launch_group(now, m.tasks, out),
            ToExecutor::Kill(m) => e.on_kill(now, &m, out),
            ToExecutor::Acknowledged(m) => e.on_acknowledged(&m, out),
            ToExecutor::Shutdown(_) => e.on_shutdown(now, out),
            ToExecutor::Close(m) => e.on_close(m.session, out),
        });
    }
}
