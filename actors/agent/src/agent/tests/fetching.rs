//! Launches that get files first.

use tepui_protocol::provision::CommandUri;

use super::*;

fn with_files() -> TaskInfo {
    let mut task = task("t");
    let command = task.command.as_mut().unwrap();
    command.uris = vec![CommandUri::new("http://h/x")];
    task
}

fn progress(bench: &mut Bench, run: &ExecutorRun, text: &str) -> Vec<Effect> {
    let text = Some(text.to_owned());
    bench.on(|a, now, out| a.on_progress(now, run, text, out))
}

fn give_ups(effects: &[Effect]) -> usize {
    let given = effects
        .iter()
        .filter(|effect| matches!(effect, Effect::GiveUp(_)));
    given.count()
}

#[test]
fn a_launch_is_told_which_files_to_get() {
    let mut bench = Bench::admitted();
    let out = bench.run_task(framework(), with_files());
    assert_eq!(launch(&out).unwrap().uris, [CommandUri::new("http://h/x")]);
    let mut own = custom("c");
    own.executor.as_mut().unwrap().command.uris = vec![CommandUri::new("/data")];
    let out = bench.run_task(framework(), own);
    assert_eq!(launch(&out).unwrap().uris, [CommandUri::new("/data")]);
}

#[test]
fn a_launch_tells_how_far_it_is_and_no_more_than_is_heard() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), with_files());
    let look = Timer::Progress(run.clone(), Duration::from_secs(1));
    let out = bench.timer(look);
    assert!(out.contains(&Effect::Progress(run.clone())), "{out:?}");
    let next = Timer::Progress(run.clone(), Duration::from_secs(2));
    assert!(out.contains(&Effect::Timer {
        after: Duration::from_secs(2),
        timer: next
    }));
    let out = progress(&mut bench, &run, "1 of 3 MiB");
    let (state, reason, message) = verdict(&out);
    assert_eq!((state, reason), (TaskState::Starting, None));
    assert_eq!(message, "1 of 3 MiB");
    let uuid = sent(&out)[0].status.uuid.unwrap();
    assert_eq!(
        progress(&mut bench, &run, "2 of 3 MiB"),
        [],
        "not acknowledged yet"
    );
    bench.acknowledge("t", uuid);
    assert_eq!(
        verdict(&progress(&mut bench, &run, "3 of 3 MiB")).2,
        "3 of 3 MiB"
    );
    // It runs: nothing more to tell.
    bench.launched(&run);
    assert_eq!(progress(&mut bench, &run, "late"), []);
    assert_eq!(
        bench.timer(Timer::Progress(run, Duration::from_secs(2))),
        []
    );
}

#[test]
fn the_time_to_register_begins_when_the_files_are_there() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), with_files());
    let out = bench.timer(Timer::Registration(run.clone()));
    assert!(
        matches!(
            out[..],
            [Effect::Timer {
                timer: Timer::Registration(_),
                ..
            }]
        ),
        "{out:?}"
    );
    bench.launched(&run);
    assert_eq!(kills(&bench.timer(Timer::Registration(run))), 1);
}

#[test]
fn a_kill_gives_the_launch_up() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), with_files());
    let out = bench.kill("t");
    assert_eq!(
        (verdict(&out).0, give_ups(&out), kills(&out)),
        (TaskState::Killed, 1, 0)
    );
    let out = bench.on(|a, now, out| a.on_launched(now, &run, Err("given up".to_owned()), out));
    assert_eq!(states(&out), [], "one terminal update");
    assert!(!bench.keys().iter().any(|key| key.starts_with("executor/")));
    // A launch without files is over soon anyway.
    bench.run_task(framework(), task("u"));
    assert_eq!(give_ups(&bench.kill("u")), 0);
}

#[test]
fn what_cannot_be_got_fails_the_task_with_its_reason() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), with_files());
    let problem = "cannot fetch http://h/x: h answers 404 Not Found".to_owned();
    let out = bench.on(|a, now, out| a.on_launched(now, &run, Err(problem), out));
    let (state, reason, message) = verdict(&out);
    assert_eq!(
        (state, reason),
        (TaskState::Failed, Some(Reason::ContainerLaunchFailed))
    );
    assert!(message.contains("http://h/x: h answers 404"), "{message}");
}
