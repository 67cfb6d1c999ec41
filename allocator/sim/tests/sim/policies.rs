//! What each policy promises, on cases small enough to be worked by hand and on random ones.

use proptest::prelude::*;
use tepui_allocator::Weight;
use tepui_protocol::Role;
use tepui_sim::{
    Options, Settings, Summary, Time,
    recommend::estimate_from_history,
    slo::{Grant, ServiceLevel, Terms, grants, kept},
    summary,
};

use super::{
    properties::{NODES, check_never_over_allocated, random_jobs, workload},
    *,
};

fn run_with(
    mut workload: Workload,
    nodes: &str,
    policy: BuiltIn,
    settings: &Settings,
    options: Options,
) -> (Outcome, Vec<Grant>) {
    let nodes = Nodes::parse(nodes, &mut workload).expect("good nodes");
    let world = engine::world(Arc::new(workload), nodes);
    let grants = grants(&world, &settings.slo).expect("good service levels");
    let made = policy.make_with(&world, options.seed, settings);
    let mut policy = made.expect("a policy that can do this");
    let outcome = engine::run(world, policy.as_mut(), options, &mut |_| {});
    (outcome.expect("a policy that goes on"), grants)
}

fn until(secs: u64) -> Options {
    Options {
        until: Some(Time::from_secs(secs)),
        ..Options::default()
    }
}

/// How many jobs of each user run.
fn running<const N: usize>(outcome: &Outcome, users: [&str; N]) -> [usize; N] {
    let world = &outcome.world;
    users.map(|user| {
        let ids = (0..world.workload().jobs.len() as u32).map(JobId);
        ids.filter(|&job| {
            let role = world.workload().roles.name(world.job(job).role);
            role.as_str() == user && world.state(job).phase == Phase::Running
        })
        .count()
    })
}

/// Equal jobs, a line each; ids are unique in one text.
fn lines(count: usize, job: &str) -> String {
    let id = |nth| job.replace('"', "'") + &format!("#{nth}");
    let line = |nth| format!("{{\"id\":\"{}\",{job}}}\n", id(nth));
    (0..count).map(line).collect()
}

#[test]
fn estimates_from_history_cover_what_comes_next() {
    // Each job is submitted when the one before has ended; run times go round from 10 to 100 s.
    let (mut text, mut at) = (String::new(), 0);
    for id in 0..400 {
        let run = 10 * (1 + id * 7 % 10);
        text += &format!(
            "{{\"id\":{id},\"submit_s\":{at},\"run_s\":{run},\"estimate_s\":1,\"cpus\":1,\"user\":\"a\"}}\n"
        );
        at += run;
    }
    let mut workload = jobs(&text);
    estimate_from_history(&mut workload, Time::from_secs(100_000));
    assert_eq!(
        workload.jobs[0].estimate,
        Time::from_secs(1),
        "nothing is known yet"
    );
    let outcome = run(workload, "cpus:1", BuiltIn::Fifo, Options::default());
    let estimates = counts(&outcome).estimates;
    assert!((0.95..1.0).contains(&estimates.covered), "{estimates:?}");
    // Not more than a sixteenth above the longest.
    assert!(
        estimates.ratio.max <= 10.0 * 17.0 / 16.0 + 0.1,
        "{estimates:?}"
    );
}

#[test]
fn a_burst_is_held_against_its_owner_by_half_after_each_half_life() {
    // The one has had all 8 cpus for a half-life: half of that is left at its end, a quarter is what counts a half-life ahead. Both
    // ask for all of them k half-lives later: the other is given cpus, 1/16 each, until it is level, and then they take turns.
    let half_life = 3600;
    for (k, expected) in [(0, [2, 6]), (1, [3, 5]), (2, [4, 4])] {
        let later = half_life * (k + 1);
        let mut text = lines(8, "\"submit_s\":0,\"run_s\":3600,\"cpus\":1,\"user\":\"a\"");
        for user in ["a", "b"] {
            let job = format!("\"submit_s\":{later},\"run_s\":100,\"cpus\":1,\"user\":\"{user}\"");
            text += &lines(8, &job);
        }
        let settings = Settings {
            half_life: Time::from_secs(half_life),
            ..Settings::default()
        };
        let held = |policy| {
            let (outcome, _) = run_with(
                jobs(&text),
                "8xcpus:1",
                policy,
                &settings,
                until(later + 50),
            );
            running(&outcome, ["a", "b"])
        };
        assert_eq!(held(BuiltIn::History), expected, "after {k}");
        assert_eq!(held(BuiltIn::Drf), [4, 4], "without a memory");
    }
}

/// The one's tasks leave a cpu of each node: alone it could run 2 of them, the other 6.
//= tsf-2016, task share fairness
#[test]
fn task_shares_count_what_one_could_run_alone() {
    let text = lines(9, "\"submit_s\":0,\"run_s\":100,\"cpus\":2,\"user\":\"a\"")
        + &lines(9, "\"submit_s\":0,\"run_s\":100,\"cpus\":1,\"user\":\"b\"");
    let held = |policy| {
        let outcome = run(jobs(&text), "2xcpus:3", policy, until(50));
        running(&outcome, ["a", "b"])
    };
    assert_eq!(
        held(BuiltIn::Tsf),
        [1, 4],
        "halves: 1 of 2, and 4 of 6 as nothing else fits"
    );
    assert_eq!(held(BuiltIn::Drf), [2, 2]);
}

//= tsf-2016, task share fairness
#[test]
fn task_shares_with_users_bound_to_some_nodes() {
    let bound = |user| {
        let job = "\"submit_s\":0,\"run_s\":100,\"gpus\":1,\"gpu_models\":[\"T4\"]";
        lines(9, &format!("{job},\"user\":\"{user}\""))
    };
    let free = lines(
        9,
        "\"submit_s\":0,\"run_s\":100,\"gpus\":1,\"user\":\"free\"",
    );
    let nodes = "gpus:4;model:A100,gpus:4;model:T4";
    let outcome = run(jobs(&(bound("a") + &free)), nodes, BuiltIn::Tsf, until(50));
    assert_eq!(running(&outcome, ["a", "free"]), [4, 4]);
    let three = bound("a") + &bound("b") + &free;
    let outcome = run(jobs(&three), nodes, BuiltIn::Tsf, until(50));
    assert_eq!(running(&outcome, ["a", "b", "free"]), [2, 2, 4]);
}

//= drfh-2014 §3
#[test]
fn best_fit_drfh_puts_tasks_where_their_shape_is() {
    // The paper's servers and tasks, memory five times as large so that it is whole: 10 of the one fit into the first server, 10 of the
    // other into the second, and by dominant shares of the whole both have 5/7.
    let text = lines(
        20,
        "\"submit_s\":0,\"run_s\":100,\"cpus\":0.2,\"mem_mib\":5,\"user\":\"a\"",
    ) + &lines(
        20,
        "\"submit_s\":0,\"run_s\":100,\"cpus\":1,\"mem_mib\":1,\"user\":\"b\"",
    );
    let nodes = "cpus:2;mem:60,cpus:12;mem:10";
    let held = |policy| {
        let outcome = run(jobs(&text), nodes, policy, until(50));
        running(&outcome, ["a", "b"])
    };
    assert_eq!(held(BuiltIn::Drfh), [10, 10]);
}

fn slo(level: &str) -> Settings {
    Settings {
        slo: vec![Terms::parse(level).expect("a service level")],
        ..Settings::default()
    }
}

/// A day: each hour a burst of 8 tasks for 5 minutes, and always more batch work than there is room for.
fn bursts(web: u64) -> Workload {
    let mut lines = Vec::new();
    for hour in 0..24 {
        for id in 0..8 {
            let at = hour * 3600 + 600 + id;
            lines.push((at, format!("{{\"id\":\"w{hour}-{id}\",\"submit_s\":{at},\"run_s\":300,\"cpus\":1,\"user\":\"web\"}}\n")));
        }
    }
    for id in 0..570 {
        let (at, run) = (id * 150, 1800 + id * 7 % 3600);
        lines.push((at, format!("{{\"id\":\"b{id}\",\"submit_s\":{at},\"run_s\":{run},\"cpus\":1,\"user\":\"batch\"}}\n")));
    }
    lines.sort();
    let text: String = lines.into_iter().map(|(_, line)| line).collect();
    let weight = Weight::from_milli(web).expect("a weight");
    let mapping = Mapping {
        weights: [(Role::new("web").expect("a role"), weight)].into(),
        ..Mapping::default()
    };
    let reading = Reading {
        mapping,
        ..reading(Format::Jsonl)
    };
    trace::read("jobs", text.as_bytes(), &reading).expect("good jobs")
}

fn service(policy: BuiltIn, level: &str, options: Options) -> ServiceLevel {
    service_of(bursts(1000), policy, level, options)
}

fn service_of(jobs: Workload, policy: BuiltIn, level: &str, options: Options) -> ServiceLevel {
    let (outcome, grants) = run_with(jobs, "16xcpus:1", policy, &slo(level), options);
    kept(&outcome, &grants, options.latency).remove(0)
}

#[test]
fn a_hard_level_that_was_admitted_is_kept_in_every_period() {
    let hard = "web=hard,8xcpus:1,310s/1h";
    let level = service(BuiltIn::Slo, hard, Options::default());
    assert_eq!(
        (level.class.as_str(), level.reason.as_str()),
        ("hard", "as asked")
    );
    assert_eq!((level.periods, level.held, level.beyond), (24, 24, 0));
    assert_eq!((level.jobs, level.first_offer_s.max), (192, 0.0));
    // The same promise under an order that does not know of it, and one that keeps nothing free.
    let level = service(BuiltIn::Drf, hard, Options::default());
    assert!(level.held < 12, "{level:?}");
    let soft = service(
        BuiltIn::Slo,
        "web=soft,8xcpus:1,310s/1h",
        Options::default(),
    );
    assert!(soft.held < 24, "{soft:?}");
    // Messages take their time, but the allocator takes none.
    let slow = Options {
        latency: Time::from_secs(2),
        ..Options::default()
    };
    let level = service(BuiltIn::Slo, "web=hard,8xcpus:1,320s/1h", slow);
    assert_eq!((level.held, level.first_offer_s.max), (24, 0.0));
}

#[test]
fn a_soft_level_goes_before_those_who_are_owed_more() {
    // With a twentieth of the other's weight it is owed three quarters of a cpu, which is what its bursts are on average.
    let by = |policy| {
        let level = service_of(
            bursts(50),
            policy,
            "web=soft,8xcpus:1,310s/1h",
            Options::default(),
        );
        assert_eq!(level.class, "soft", "{}", level.reason);
        level.first_offer_s.mean
    };
    assert!(
        by(BuiltIn::Slo) < by(BuiltIn::Drf),
        "{} {}",
        by(BuiltIn::Slo),
        by(BuiltIn::Drf)
    );
}

#[test]
fn what_has_no_room_beside_hard_levels_is_rejected() {
    let text = r#"
{"id":1,"submit_s":0,"run_s":10,"cpus":1,"user":"web"}
{"id":2,"submit_s":0,"run_s":10,"tasks":5,"cpus":1,"user":"a"}
{"id":3,"submit_s":1,"run_s":10,"tasks":4,"cpus":1,"user":"a"}
"#;
    let level = slo("web=hard,4xcpus:1,10s/1m");
    let (outcome, _) = run_with(
        jobs(text),
        "8xcpus:1",
        BuiltIn::Slo,
        &level,
        Options::default(),
    );
    assert_eq!(
        times(&outcome),
        [Some((0.0, 10.0)), None, Some((1.0, 11.0))]
    );
    let reason = outcome.reason(JobId(1)).unwrap();
    assert!(
        reason.contains("no room beside what is kept for hard service levels"),
        "{reason}"
    );
}

#[test]
fn a_level_that_cannot_be_promised_says_why() {
    for (asked, class, reason) in [
        (
            "web=hard,17xcpus:1,5m/1h",
            "soft",
            "the burst takes cpus:17, and cpus:16 are left",
        ),
        (
            "web=hard,16xcpus:1,31m/1h",
            "elastic",
            "takes cpus:8.267 on average, the role's fair share is cpus:8",
        ),
        (
            "web=hard,8xcpus:2,5m/1h",
            "soft",
            "the nodes have room for 0 of its tasks of cpus:2",
        ),
        ("web=elastic,8xcpus:1,5m/1h", "elastic", "as asked"),
    ] {
        let level = service(BuiltIn::Slo, asked, until(10));
        assert_eq!(level.class, class, "{asked}");
        assert!(level.reason.contains(reason), "{asked}: {}", level.reason);
    }
}

#[test]
fn what_goes_beyond_the_burst_is_promised_nothing() {
    // Each job comes a second after the one before, so that the fifth finds four of the burst running.
    let level = service(BuiltIn::Slo, "web=hard,4xcpus:1,5m/1h", Options::default());
    assert_eq!((level.periods, level.held), (24, 24));
    assert_eq!((level.jobs, level.beyond), (96, 96));
}

#[test]
fn levels_of_roles_that_are_not_there_are_refused() {
    let mut workload = bursts(1000);
    let nodes = Nodes::parse("16xcpus:1", &mut workload).unwrap();
    let world = engine::world(Arc::new(workload), nodes);
    let refused = |settings: &Settings, policy: BuiltIn| match policy.make_with(&world, 0, settings)
    {
        Ok(_) => panic!("it was made"),
        Err(error) => error.to_string(),
    };
    let error = refused(&slo("nobody=hard,1xcpus:1,5m/1h"), BuiltIn::Slo);
    assert!(
        error.contains("role nobody: no job is in it; roles are"),
        "{error}"
    );
    let mut twice = slo("web=hard,1xcpus:1,5m/1h");
    twice.slo.extend(twice.slo.clone());
    let error = refused(&twice, BuiltIn::Slo);
    assert!(error.contains("role web has two service levels"), "{error}");
    let error = refused(&Settings::default(), BuiltIn::Slo);
    assert!(
        error.contains("no role asks for a service level"),
        "{error}"
    );
    let revoke = Settings {
        revoke: Some(Time::from_secs(30)),
        ..Settings::default()
    };
    let error = refused(&revoke, BuiltIn::Fifo);
    assert!(error.contains("--revoke is for drf, drfh, tsf"), "{error}");
}

fn revoking(grace: u64) -> Settings {
    Settings {
        revoke: Some(Time::from_secs(grace)),
        ..Settings::default()
    }
}

/// One has all 8 cpus when the other comes, which is guaranteed half of them.
fn taken(first: &str, wanted: usize) -> Workload {
    jobs(
        &(first.to_owned()
            + &lines(
                wanted,
                "\"submit_s\":5,\"run_s\":100,\"cpus\":1,\"user\":\"b\"",
            )),
    )
}

#[test]
fn who_claims_its_fair_share_has_it_when_the_grace_is_over() {
    // One job each 100 ms, so that they differ in age.
    let first: String = (0..8)
        .map(|id| format!("{{\"id\":\"a{id}\",\"submit_s\":0.{id},\"run_s\":1000,\"cpus\":1,\"user\":\"a\"}}\n"))
        .collect();
    let after = |wanted, secs| {
        let (outcome, _) = run_with(
            taken(&first, wanted),
            "8xcpus:1",
            BuiltIn::Drf,
            &revoking(30),
            until(secs),
        );
        (running(&outcome, ["a", "b"]), outcome.revoked, outcome)
    };
    let (held, revoked, _) = after(6, 34);
    assert_eq!((held, revoked), ([8, 0], 0), "they have their grace");
    let (held, revoked, outcome) = after(6, 36);
    assert_eq!(
        (held, revoked),
        ([4, 4], 4),
        "and nobody falls below its own fair share"
    );
    let waits = |id| outcome.world.state(JobId(id)).phase == Phase::Pending;
    assert_eq!(
        (0..8).filter(|id| waits(*id)).collect::<Vec<_>>(),
        [4, 5, 6, 7],
        "the youngest go"
    );
    let (held, revoked, _) = after(3, 36);
    assert_eq!((held, revoked), ([5, 3], 3), "and no more than are needed");
    let (outcome, _) = run_with(
        taken(&first, 6),
        "8xcpus:1",
        BuiltIn::Drf,
        &Settings::default(),
        until(900),
    );
    assert_eq!(
        (running(&outcome, ["a", "b"]), outcome.revoked),
        ([8, 0], 0),
        "without revocation"
    );
    let (outcome, _) = run_with(
        taken(&first, 6),
        "8xcpus:1",
        BuiltIn::Drf,
        &revoking(30),
        Options::default(),
    );
    let counts = summary::summarise(&outcome, "t", "drf", "first-fit", 0);
    assert_eq!(
        (counts.jobs.completed, counts.revoked),
        (14, 4),
        "who was revoked runs again"
    );
}

#[test]
fn gangs_go_as_a_whole_and_what_ends_by_itself_is_spared() {
    let gang = |id, run| {
        format!(
            "{{\"id\":\"g{id}\",\"submit_s\":{id},\"run_s\":{run},\"tasks\":2,\"cpus\":1,\"user\":\"a\"}}\n"
        )
    };
    let first: String = (0..4).map(|id| gang(id, 1000)).collect();
    let (outcome, _) = run_with(
        taken(&first, 3),
        "8xcpus:1",
        BuiltIn::Drf,
        &revoking(30),
        until(40),
    );
    // Three tasks are two gangs: four cpus are free, and the claim was for three.
    assert_eq!(
        (running(&outcome, ["a", "b"]), outcome.revoked),
        ([2, 3], 2)
    );
    let first: String = (0..4)
        .map(|id| gang(id, if id < 3 { 1000 } else { 20 }))
        .collect();
    let (outcome, _) = run_with(
        taken(&first, 2),
        "8xcpus:1",
        BuiltIn::Drf,
        &revoking(30),
        until(40),
    );
    assert_eq!(
        (running(&outcome, ["a", "b"]), outcome.revoked),
        ([3, 2], 0),
        "it ended within its grace"
    );
}

#[test]
fn room_is_made_on_one_node_for_a_task_that_needs_it_there() {
    // Two nodes full of tasks of 1 cpu; the other's task needs 4 of one node.
    let first: String = (0..16)
        .map(|id| format!("{{\"id\":\"a{id}\",\"submit_s\":0.{id:02},\"run_s\":1000,\"cpus\":1,\"user\":\"a\"}}\n"))
        .collect();
    let text = first + "{\"id\":\"b\",\"submit_s\":5,\"run_s\":10,\"cpus\":4,\"user\":\"b\"}\n";
    let (outcome, _) = run_with(
        jobs(&text),
        "2xcpus:8",
        BuiltIn::Drf,
        &revoking(30),
        until(36),
    );
    assert_eq!(
        (running(&outcome, ["a", "b"]), outcome.revoked),
        ([12, 1], 4)
    );
}

fn counts(outcome: &Outcome) -> Summary {
    summary::summarise(outcome, "t", "p", "f", 0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever else runs: a hard level is kept in every period, and nothing is over-allocated beside what is set aside.
    #[test]
    fn hard_levels_hold_on_random_workloads(
        random in random_jobs(),
        tasks in 1..4_u32,
        unit in prop::sample::select(vec!["cpus:2;mem:2", "cpus:1;mem:3;gpus:1", "cpus:3"]),
        length in 5..20_u64,
    ) {
        let level = format!("g0/u0=hard,{tasks}x{unit},{length}s/20s");
        let has_role = random.iter().any(|job| job.user == 0);
        if has_role {
            let (outcome, grants) =
                run_with(workload(&random), NODES, BuiltIn::Slo, &slo(&level), Options::default());
            check_never_over_allocated(&outcome)?;
            let level = kept(&outcome, &grants, Time::ZERO).remove(0);
            if level.class == "hard" {
                prop_assert_eq!(level.held, level.periods, "{:?}", level);
            }
            let counts = counts(&outcome).jobs;
            prop_assert_eq!(counts.completed + counts.rejected + counts.unfinished, random.len() as u64);
        }
    }

    /// Revocation loses no job, over-allocates nothing and comes to an end.
    #[test]
    fn revoked_jobs_run_again(
        random in random_jobs(),
        policy in prop::sample::select(vec![BuiltIn::Drf, BuiltIn::Hdrf, BuiltIn::Tsf, BuiltIn::History]),
        grace in 0..10_u64,
    ) {
        let (outcome, _) =
            run_with(workload(&random), NODES, policy, &revoking(grace), Options::default());
        check_never_over_allocated(&outcome)?;
        let counts = counts(&outcome).jobs;
        prop_assert_eq!(counts.completed + counts.rejected, random.len() as u64);
        prop_assert_eq!(outcome.world.cluster().used(), [0; 4]);
    }
}
