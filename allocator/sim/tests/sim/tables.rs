//! The tables say what happened, in every form.

use parquet::{
    file::reader::{FileReader, SerializedFileReader},
    record::RowAccessor,
};
use tepui_sim::{Options, output, summary};

use super::*;

const JOBS: &str = r#"
{"id":"a","submit_s":0,"run_s":10.5,"cpus":1.5,"user":"ann"}
{"id":"b, \"c\"","submit_s":1,"run_s":10,"cpus":0.5,"tasks":2,"user":"bob"}
{"id":"d","submit_s":2,"run_s":10,"cpus":9,"user":"bob"}
"#;

#[test]
fn jobs_are_the_same_in_csv_batsims_columns_and_parquet() {
    let outcome = run(jobs(JOBS), "cpus:2", BuiltIn::Fifo, Options::default());
    let summary = summary::summarise(&outcome, "t", "fifo", "first-fit", 0);
    let dir = tempfile::tempdir().unwrap();
    output::write(dir.path(), &outcome, &summary, output::Extras::default()).unwrap();
    let text = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    let expected = "job,role,state,submit_s,start_s,end_s,wait_s,run_s,estimate_s,tasks,cpus,mem_mib,gpus,disk_mib,attempts,nodes,reason\n\
        a,ann,completed,0,0,10.5,0,10.5,10.5,1,1.5,0,0,0,1,1,\n\
        \"b, \"\"c\"\"\",bob,completed,1,10.5,20.5,9.5,10,10,2,0.5,0,0,0,1,1,\n\
        d,bob,rejected,2,,,,10,10,1,9,0,0,0,0,0,a task of cpus:9 is larger than every node: the most cpus of one is cpus:2\n";
    assert_eq!(text("jobs.csv"), expected);
    let batsim = text("out_jobs.csv");
    let rows: Vec<&str> = batsim.lines().collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        rows[1],
        "a,w0,0,0,1,10.5,1,COMPLETED_SUCCESSFULLY,0,10.5,10.5,0,10.5,1,0,-1,"
    );
    assert!(
        rows[2].ends_with(",10.5,10,20.5,9.5,19.5,1.95,0-1,-1,"),
        "{}",
        rows[2]
    );

    let file = std::fs::File::open(dir.path().join("jobs.parquet")).unwrap();
    let reader = SerializedFileReader::new(file).unwrap();
    let rows: Vec<_> = reader
        .get_row_iter(None)
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[1].get_string(0).unwrap(), "b, \"c\"");
    assert_eq!(
        (
            rows[1].get_double(4).unwrap(),
            rows[1].get_double(5).unwrap()
        ),
        (10.5, 20.5)
    );
    assert_eq!(
        (rows[1].get_long(6).unwrap(), rows[0].get_double(7).unwrap()),
        (2, 1.5)
    );
    assert!(
        rows[2].get_double(4).is_err(),
        "a rejected job did not start"
    );
    for (name, columns) in [("shares", 9), ("queue", 8)] {
        let file = std::fs::File::open(dir.path().join(format!("{name}.parquet"))).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        let lines = text(&format!("{name}.csv")).lines().count() as i64;
        assert_eq!(
            reader.metadata().file_metadata().num_rows(),
            lines - 1,
            "{name}"
        );
        assert_eq!(
            reader
                .metadata()
                .file_metadata()
                .schema_descr()
                .num_columns(),
            columns
        );
    }
}
