//! Input that is wrong, on purpose or not: an error with its place, no panic, no hang.

use std::io::{Read, Write};

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;
use tepui_sim::Options;

use super::*;

fn read(format: Format, text: &[u8]) -> Result<Workload, String> {
    trace::read("t", text, &reading(format)).map_err(|problem| problem.to_string())
}

const SWF: &str = "1 0 -1 10 4 -1 -1 4 -1 -1 1 1 1 -1 -1 -1 -1 -1";

#[test]
fn swf_fields_are_read_as_the_format_says() {
    let text = "; MaxNodes: 8\n; MaxProcs: 16\n\
        1 5 -1 10 2 -1 2048 4 20 1024 1 7 3 -1 2 -1 -1 -1 extra 99\n\
        2 6.5 -1 -1 2 -1 2048 -1 -1 -1 1 -1 3 -1 2 -1 -1 -1\n";
    let workload = read(Format::Swf, text.as_bytes()).unwrap();
    assert_eq!(workload.machine, Some((8, 16)));
    let (first, second) = (&workload.jobs[0], &workload.jobs[1]);
    assert_eq!((first.tasks, first.demand.lanes()), (4, [1000, 1, 0, 0]));
    assert_eq!(
        (first.submit.0, first.run.0, first.estimate.0),
        (5_000_000, 10_000_000, 20_000_000)
    );
    assert_eq!(
        (second.tasks, second.demand.lanes(), second.submit.0),
        (2, [1000, 2, 0, 0], 6_500_000)
    );
    assert!(second.unfit.is_some());
    assert_eq!(workload.roles.name(second.role).as_str(), "user-unknown");
}

#[test]
fn a_line_that_is_wrong_is_told_with_file_line_and_reason() {
    for (field, value, what) in [
        (
            0,
            "x",
            "field 1 (job number) \"x\": must be a whole number >= 0",
        ),
        (1, "-1", "submit time -1: must be known"),
        (
            1,
            "-5",
            "field 2 (submit time) \"-5\": must be a number >= 0, or -1",
        ),
        (3, "NaN", "field 4 (run time) \"NaN\""),
        (3, "1e300", "run time"),
        (7, "1e15", "1000000000000000 processors"),
        (7, "2.5", "2.5 processors: must be a whole number"),
        (9, "1e18", "memory in KB"),
        (11, "root", "field 12 (user) \"root\": must be a number"),
        (17, "inf", "field 18 (think time) \"inf\": must be a number"),
    ] {
        let mut fields: Vec<&str> = SWF.split(' ').collect();
        fields[field] = value;
        let text = format!(
            "; a comment\n{SWF}\n{}\n",
            fields
                .join(" ")
                .replacen("1 ", "2 ", usize::from(field != 0))
        );
        let error = read(Format::Swf, text.as_bytes()).unwrap_err();
        assert!(
            error.starts_with("t:3: ") && error.contains(what),
            "{error}"
        );
        assert!(!error.contains('\n'));
    }
    let error = read(Format::Swf, b"1 2 3\n").unwrap_err();
    assert_eq!(error, "t:1: 3 fields: a job has 18 (SWF 2.2)");
    let error = read(Format::Swf, format!("{SWF}\n{SWF}\n").as_bytes()).unwrap_err();
    assert_eq!(error, "t:2: job 1: the name was used before");
}

#[test]
fn bad_lines_are_skipped_and_counted_when_asked() {
    let text = format!("{SWF}\nnonsense\n{}\n1 2 3\n", SWF.replacen('1', "2", 1));
    let reading = Reading {
        skip_bad: true,
        ..reading(Format::Swf)
    };
    let workload = trace::read("t", text.as_bytes(), &reading).unwrap();
    assert_eq!((workload.jobs.len(), workload.skipped), (2, 2));
    assert_eq!(
        workload.skipped_first[0].to_string(),
        "t:2: 1 fields: a job has 18 (SWF 2.2)"
    );
}

#[test]
fn openb_and_azure_tables_are_checked() {
    let pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n";
    let good = "p1,12000,16384,1,460,T4|P100,LS,Running,5,105,25\n";
    let workload = read(Format::Openb, format!("{pods}{good}").as_bytes()).unwrap();
    let job = &workload.jobs[0];
    assert_eq!(
        (job.demand.lanes(), job.models, job.run.0),
        ([12_000, 16_384, 460, 0], 0b11, 80_000_000)
    );
    for (row, what) in [
        (
            "p1,x,1,0,0,,LS,Running,0,1,0\n",
            "t:2: cpu_milli \"x\": must be a number >= 0",
        ),
        ("p1,1,1,1.5,0,,LS,Running,0,1,0\n", "t:2: num_gpu 1.5"),
        ("p1,1\n", "t:2: 2 cells: must be at least 11"),
        ("p1,1,1,0,0,,\"LS\",Running,0,1,0\n", "a quotation mark"),
    ] {
        let error = read(Format::Openb, format!("{pods}{row}").as_bytes()).unwrap_err();
        assert!(error.contains(what), "{error}");
    }
    let error = read(Format::Openb, b"a,b\n").unwrap_err();
    assert!(
        error.contains("t:1: the header \"a,b\" has no column name"),
        "{error}"
    );

    let vms = "vm_id,batch_id,arrival_s,vcpu,mem_gib,life_lo_s,life_hi_s,still_running\n";
    let workload = read(
        Format::AzureVm,
        format!("{vms}0,3,300,2,1.75,100,200,0\n1,3,300,2,3.5,100,,1\n").as_bytes(),
    )
    .unwrap();
    let run = workload.jobs[0].run.0;
    assert!((100_000_000..=200_000_000).contains(&run), "{run}");
    assert_eq!(
        (workload.jobs[0].demand.lanes(), workload.jobs[1].run),
        ([2000, 1792, 0, 0], tepui_sim::Time::NEVER)
    );
    let error = read(
        Format::AzureVm,
        format!("{vms}0,3,300,2,1,200,100,0\n").as_bytes(),
    )
    .unwrap_err();
    assert!(
        error.contains("t:2: life_hi_s 100: must be at least life_lo_s 200"),
        "{error}"
    );
}

#[test]
fn json_lines_are_checked() {
    for (line, what) in [
        ("{", "t:1: column 1: EOF"),
        (
            "{\"id\":1,\"submit_s\":0,\"run_s\":1,\"cpu\":1}",
            "unknown field `cpu`",
        ),
        (
            "{\"id\":1,\"submit_s\":-1,\"run_s\":1,\"cpus\":1}",
            "submit_s -1: must be from 0",
        ),
        (
            "{\"id\":1,\"submit_s\":0,\"run_s\":1,\"cpus\":1e300}",
            "cpus 1",
        ),
        (
            "{\"id\":1,\"submit_s\":0,\"run_s\":1,\"cpus\":NaN}",
            "column",
        ),
        (
            "{\"id\":1,\"submit_s\":0,\"run_s\":1,\"gpus\":1.5}",
            "1.5 GPUs a task: must be whole",
        ),
        (
            "{\"id\":1,\"submit_s\":0,\"run_s\":1,\"tasks\":0}",
            "tasks 0",
        ),
        ("{\"id\":\"\",\"submit_s\":0}", "id \"\""),
        ("{\"id\":1,\"submit_s\":0,\"role\":\"a//b\"}", "a//b"),
    ] {
        let error = read(Format::Jsonl, line.as_bytes()).unwrap_err();
        assert!(
            error.starts_with("t:1: ") && error.contains(what),
            "{line}: {error}"
        );
    }
}

#[test]
fn a_gigabyte_without_a_line_break_is_an_error_at_once() {
    let zeros = std::io::repeat(b'7').take(1 << 30);
    let error = trace::read("big", zeros, &reading(Format::Swf)).unwrap_err();
    assert_eq!(error.to_string(), "big:1: a line of more than 1024 KiB");
}

#[test]
fn a_gzip_file_cut_short_is_told_with_the_line() {
    let text: String = (1..20_000)
        .map(|id| format!("{}\n", SWF.replacen('1', &id.to_string(), 1)))
        .collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    let packed = encoder.finish().unwrap();
    let error = read(Format::Swf, &packed[..packed.len() * 2 / 3]).unwrap_err();
    assert!(error.contains("the compressed data ends early"), "{error}");
    assert!(read(Format::Swf, &packed).is_ok());
}

fn cases() -> ProptestConfig {
    let cases = std::env::var("TEPUI_FUZZ_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok());
    ProptestConfig::with_cases(cases.unwrap_or(256))
}

/// Lines of traces, with parts of them exchanged for what does not belong there.
fn mangled() -> impl Strategy<Value = (Format, Vec<u8>)> {
    let swf = (1..50)
        .map(|id| SWF.replacen('1', &id.to_string(), 1))
        .collect::<Vec<_>>()
        .join("\n");
    let json = "{\"id\":1,\"submit_s\":0,\"run_s\":1,\"cpus\":1,\"user\":\"a\"}\n{\"id\":2,\"submit_s\":3,\"run_s\":9,\"gpus\":0.5,\"tasks\":3}\n";
    let pods = "name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,creation_time,deletion_time,scheduled_time\np,1,1,1,500,T4,LS,0,9,\nq,5,1,2,1000,,LS,4,9,5\n";
    let vms = "vm_id,batch_id,arrival_s,vcpu,mem_gib,life_lo_s,life_hi_s,still_running\n0,0,0,8,14,900,900,0\n1,0,0,8,14,900,,1\n";
    let texts = [
        (Format::Swf, swf),
        (Format::Jsonl, json.to_owned()),
        (Format::Openb, pods.to_owned()),
        (Format::AzureVm, vms.to_owned()),
    ];
    let pieces = [
        "NaN",
        "-1",
        "-0",
        "1e308",
        "99999999999999999999",
        "0",
        "",
        "\u{0}",
        ",",
        "\n",
        "\"",
        "{}",
        " ",
        "inf",
        "2147483648",
        "\u{663}",
        "0.0000001",
    ];
    (
        prop::sample::select(texts.to_vec()),
        prop::collection::vec(
            (
                0..3000_usize,
                0..6_usize,
                prop::sample::select(pieces.to_vec()),
            ),
            0..6,
        ),
    )
        .prop_map(|((format, text), changes)| {
            let mut bytes = text.into_bytes();
            for (at, length, piece) in changes {
                let at = at % bytes.len();
                let end = (at + length).min(bytes.len());
                bytes.splice(at..end, piece.bytes());
                if bytes.is_empty() {
                    bytes.push(b'x');
                }
            }
            (format, bytes)
        })
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn fuzz_traces((format, bytes) in mangled(), skip_bad: bool) {
        let reading = Reading { skip_bad, ..reading(format) };
        match trace::read("t", bytes.as_slice(), &reading) {
            Ok(workload) => {
                for policy in [BuiltIn::Easy, BuiltIn::Hdrf] {
                    let outcome = run(workload.clone(), "4xcpus:64;mem:512GiB;gpus:2;model:T4", policy, Options::default());
                    prop_assert!(outcome.events <= 3 * workload.jobs.len() as u64);
                }
            }
            Err(problem) => prop_assert!(problem.line >= 1 && !problem.what.is_empty()),
        }
    }

    #[test]
    fn fuzz_nodes(text in "[0-9x:;,.a-zA-Z-]{0,40}|[1-9]{0,2}x?(cpus|mem|gpus|disk|model):[0-9.]{0,12}(GiB|MiB|TiB)?(;(cpus|mem|gpus):[0-9]{1,4}){0,2}") {
        let mut workload = Workload::default();
        if let Ok(nodes) = Nodes::parse(&text, &mut workload) {
            prop_assert!(nodes.count() >= 1);
        }
        let _ = Nodes::read("n", text.as_bytes(), &mut workload);
    }

    #[test]
    fn fuzz_compressed(mut bytes in prop::collection::vec(any::<u8>(), 0..300), magic in 0..3_usize) {
        let heads: [&[u8]; 3] = [&[], &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3], &[0x28, 0xb5, 0x2f, 0xfd]];
        bytes.splice(0..0, heads[magic].iter().copied());
        let _ = trace::read("t", bytes.as_slice(), &reading(Format::Jsonl));
    }
}
