//! What happens next in a world, and how it comes to rest.

use super::*;

impl World {
    pub(super) fn step(&mut self) {
        match self.rng.random_range(0..100) {
            0..=11 => self.give_out(),
            12..=14 => self.kill_one(),
            15..=34 => self.deliver_to_agent(),
            35..=49 => self.deliver_to_master(),
            50..=69 => self.deliver_around_executors(),
            70..=77 => self.finish_launch(),
            78..=83 => self.finish_kill(),
            84..=88 => self.end_a_process(),
            89..=93 => self.pass_time(),
            94 => self.with_some_executor(Self::break_link),
            95 => self.with_some_executor(Self::executor_dies),
            96 => self.break_master_link(),
            97 => self.crash_agent(),
            98 if self.one_in(20) => self.tear_down(),
            _ if self.agent.is_none() => self.start_agent(),
            _ => self
                .master
                .to_agent
                .push_back(Letter::Ping(agent::Ping { connected: true })),
        }
    }

    pub(super) fn deliver_to_agent(&mut self) {
        if self.agent.is_some()
            && let Some(letter) = self.master.to_agent.pop_front()
        {
            self.agent_hears(letter);
        }
    }

    pub(super) fn deliver_to_master(&mut self) {
        if let Some(message) = self.master.from_agent.pop_front() {
            self.master_hears(message);
        }
    }

    pub(super) fn deliver_around_executors(&mut self) {
        self.with_some_executor(|world, number| {
            let Some(process) = world.processes.get_mut(&number) else {
                return;
            };
            if let Some(message) = process.to.pop_front() {
                return world.receive(number, message);
            }
            if world.agent.is_some()
                && let Some(news) = process.from.pop_front()
            {
                world.hear(news);
            }
        });
    }

    pub(super) fn with_some_executor(&mut self, act: impl FnOnce(&mut Self, u32)) {
        let live = self
            .processes
            .iter()
            .filter(|(_, process)| process.state.is_some());
        let live: Vec<u32> = live.map(|(number, _)| *number).collect();
        if !live.is_empty() {
            let number = live[self.rng.random_range(0..live.len())];
            act(self, number);
        }
    }

    pub(super) fn finish_launch(&mut self) {
        let Some(launch) = self.launches.pop() else {
            return;
        };
        let launched = match !self.calm && self.one_in(10) {
            true => Err("no disk".to_owned()),
            false => {
                let pid = self.start_executor(&launch);
                Ok(ProcessIdentity { pid, start_time: 1 })
            }
        };
        self.tell(|a, now, out| a.on_launched(now, &launch.run, launched, out));
    }

    pub(super) fn finish_kill(&mut self) {
        let Some(run) = self.kills.pop() else { return };
        let of_run = self
            .processes
            .iter()
            .filter(|(_, process)| process.run == run);
        let numbers: Vec<u32> = of_run.map(|(number, _)| *number).collect();
        for number in numbers {
            if let Some(process) = self.processes.get_mut(&number) {
                process.tasks.clear();
                process.from.clear();
            }
            if self.processes[&number].state.is_some() {
                self.executor_dies(number);
            }
        }
        self.tell(|a, now, out| a.on_killed(now, &run, out));
    }

    pub(super) fn end_a_process(&mut self) {
        let code = self.rng.random_range(0..2);
        self.with_some_executor(|world, number| {
            let Some(process) = world.processes.get_mut(&number) else {
                return;
            };
            if let Some(id) = process.tasks.pop_first() {
                let ended = Ended::Exited { code };
                world.executor(number, |e, now, out| e.on_ended(now, &id, ended, out));
            }
        });
    }

    /// Up to a second passes, and the timers in it fire.
    pub(super) fn pass_time(&mut self) {
        let span = Duration::from_millis(self.rng.random_range(0..1000));
        self.now = self.now + span;
        self.fire_timers();
    }

    pub(super) fn fire_timers(&mut self) {
        let now = self.now;
        let mut due: Vec<_> = self.timers.extract_if(.., |(at, _)| *at <= now).collect();
        due.sort_by_key(|(at, _)| *at);
        for (_, timer) in due {
            self.tell(|a, now, out| a.on_timer(now, timer, out));
        }
        let numbers: Vec<u32> = self.processes.keys().copied().collect();
        for number in numbers {
            let Some(process) = self.processes.get_mut(&number) else {
                continue;
            };
            let due: Vec<_> = process
                .timers
                .extract_if(.., |(at, _)| *at <= now)
                .collect();
            for (_, timer) in due {
                self.executor(number, |e, now, out| e.on_timer(now, timer, out));
            }
        }
    }

    pub(super) fn is_quiet(&self) -> bool {
        self.master.tasks.values().all(Option::is_some)
            && self
                .processes
                .values()
                .all(|p| p.state.is_none() && p.tasks.is_empty())
            && self.stored.keys().eq(["agent"])
    }

    /// No more faults: everything is delivered, and an hour passes if it must.
    pub(super) fn calm_down(&mut self) {
        self.calm = true;
        if self.agent.is_none() {
            self.start_agent();
        }
        for _ in 0..3600 {
            for _ in 0..200 {
                self.deliver_to_agent();
                self.deliver_to_master();
                self.deliver_around_executors();
            }
            (0..3).for_each(|_| self.finish_launch());
            (0..3).for_each(|_| self.finish_kill());
            (0..3).for_each(|_| self.end_a_process());
            let left = self.stopped && self.unregistered;
            if left || (!self.leaving && self.is_quiet()) {
                return;
            }
            self.now = self.now + Duration::from_secs(1);
            self.fire_timers();
        }
    }
}
