//! Which task gets which GPU, and keeps it.

use tepui_protocol::GpuShare;

use super::*;

fn with_gpus(task: TaskInfo, gpus: &str) -> TaskInfo {
    TaskInfo {
        resources: format!("cpus:0.1;gpus:{gpus}").parse().unwrap(),
        ..task
    }
}

/// Runs a task with GPUs, and tells which it got, and its variables.
fn run(bench: &mut Bench, name: &str, gpus: &str) -> (ExecutorRun, Vec<GpuShare>, [String; 2]) {
    let out = bench.run_task(framework(), with_gpus(task(name), gpus));
    let launch = launch(&out).expect("a launch");
    let variable = |name: &str| launch.environment[name].clone();
    let variables = ["NVIDIA_VISIBLE_DEVICES", "CUDA_VISIBLE_DEVICES"].map(variable);
    (launch.run.clone(), launch.gpus.clone(), variables)
}

fn share(uuid: &str, milli: u32) -> GpuShare {
    GpuShare {
        uuid: uuid.to_owned(),
        milli,
    }
}

#[test]
fn a_task_gets_gpus_of_its_own_and_is_told_which() {
    let mut bench = Bench::admitted();
    let (_, gpus, variables) = run(&mut bench, "whole", "1");
    assert_eq!(gpus, [share("GPU-a", 1000)]);
    assert_eq!(variables, ["GPU-a", "GPU-a"]);
    let (_, gpus, _) = run(&mut bench, "part", "0.4");
    assert_eq!(gpus, [share("GPU-b", 400)]);
    let (_, gpus, _) = run(&mut bench, "other", "0.6");
    assert_eq!(gpus, [share("GPU-b", 600)], "parts share a GPU");
    let (_, gpus, variables) = run(&mut bench, "none", "0");
    assert_eq!(
        (gpus, variables),
        (vec![], ["void".to_owned(), String::new()])
    );
    let out = bench.run_task(framework(), with_gpus(task("late"), "0.1"));
    assert_eq!(launch(&out), None);
    assert_eq!(states(&out), [TaskState::Dropped]);
    let reason = sent(&out)[0].status.reason;
    assert_eq!(reason, Some(Reason::ResourcesUnknown));
}

#[test]
fn a_gpu_is_free_when_its_task_is_over() {
    let mut bench = Bench::admitted();
    let (first, ..) = run(&mut bench, "1", "2");
    bench.launched(&first);
    bench.register(&first);
    bench.update(&first, "1", TaskState::Finished);
    assert_eq!(run(&mut bench, "2", "2").1.len(), 2);
}

#[test]
fn a_task_keeps_its_gpus_over_a_restart_of_the_agent() {
    let mut bench = Bench::admitted();
    let (first, ..) = run(&mut bench, "1", "1");
    let (second, ..) = run(&mut bench, "2", "1");
    for run in [&first, &second] {
        bench.launched(run);
        bench.register(run);
    }
    // The first is free before, the second is not.
    bench.update(&first, "1", TaskState::Finished);
    let mut bench = bench.restart();
    bench.start();
    bench.register_with(&first, Vec::new(), Vec::new());
    bench.register_with(&second, vec![with_gpus(task("2"), "1")], Vec::new());
    bench.reregistered(Vec::new());
    assert_eq!(run(&mut bench, "3", "1").1, [share("GPU-a", 1000)]);
    let out = bench.run_task(framework(), with_gpus(task("4"), "1"));
    assert_eq!(states(&out), [TaskState::Dropped]);
}

#[test]
fn a_frameworks_own_executor_is_told_the_gpus_of_each_task() {
    let mut bench = Bench::admitted();
    let run = bench.run(framework(), with_gpus(custom("1"), "1"));
    bench.launched(&run);
    bench.register(&run);
    let out = bench.run_task(framework(), with_gpus(custom("2"), "0.5"));
    let given = to_executors(&out)
        .into_iter()
        .find_map(|message| match message {
            ToExecutor::Launch(launch) => Some(launch.gpus.clone()),
            _ => None,
        });
    assert_eq!(given, Some(vec![share("GPU-b", 500)]));
    let resized = out.iter().find_map(|effect| match effect {
        Effect::Resize(_, _, gpus) => Some(gpus.clone()),
        _ => None,
    });
    let both = vec![share("GPU-a", 1000), share("GPU-b", 500)];
    assert_eq!(resized, Some(both));
    let mut greedy = custom("3");
    greedy.executor.as_mut().unwrap().resources = "gpus:1".parse().unwrap();
    let out = bench.run_task(framework(), greedy);
    assert_eq!(states(&out), [TaskState::Error]);
}
