//! The two jobs of the demo, as the files that `tepui run --job` takes.
//!
//! `analytics` counts jobs and node-seconds per user, and node-seconds by hour of the day: a map task
//! for each shard, and a reduce task that fetches their outputs with `tepui logs`. `background`
//! compresses shards again and again.

use std::path::Path;

/// Shards, and map tasks.
pub(super) const SHARDS: usize = 24;
/// Tasks of the stream; more than can run while the demo does.
const STREAM_LENGTH: usize = 5_000;

/// The group of the map tasks.
pub(super) const MAP: &str = "map";
/// The group of the reduce task.
pub(super) const REDUCE: &str = "reduce";
/// The group of the stream.
pub(super) const STREAM: &str = "compress";

/// The group that a task belongs to, by its id; none if it is not of the demo.
pub(super) fn group_of(task: &str) -> Option<&'static str> {
    [MAP, REDUCE, STREAM]
        .into_iter()
        .find(|group| task.contains(&format!(".{group}.")))
}

/// Walks through each job of a shard second by second.
const MAP_COMMAND: &str = r#"
set -e
gzip -dc "$SHARDS/shard-{index}.swf.gz" > shard.swf
awk '
    NF < 18 { print "line " NR " is no job" > "/dev/stderr"; exit 1 }
    {
        jobs[$12]++
        node_seconds[$12] += $4 * $5
        for (t = $2 + 3; t < $2 + 3 + $4; t++) hours[int(t / 3600) % 24] += $5
    }
    END {
        for (user in jobs) printf "user %d %d %.0f\n", user, jobs[user], node_seconds[user]
        for (hour in hours) printf "hour %d %.0f\n", hour, hours[hour]
    }' shard.swf
"#;

/// Merges what the map tasks wrote, wherever they ran.
const REDUCE_COMMAND: &str = r#"
set -e
for task in $TEPUI_TASKS_MAP; do
    "$TEPUI" logs --retry-for 60 "$TEPUI_FRAMEWORK_ID/$task" stdout
done > maps.txt
awk '
    $1 == "user" { jobs[$2] += $3; node_seconds[$2] += $4 }
    $1 == "hour" { hours[$2] += $3 }
    END {
        for (user in jobs) printf "user %d %.0f %.0f\n", user, jobs[user], node_seconds[user]
        for (hour in hours) printf "hour %d %.0f\n", hour, hours[hour]
    }' maps.txt | sort
"#;

/// Compresses a shard harder.
const STREAM_COMMAND: &str = r#"
set -e
gzip -dc "$SHARDS/shard-$(($TEPUI_INDEX % $COUNT)).swf.gz" | sort -n -k 4 | gzip -9 | wc -c
sleep 0.2
"#;

/// What the commands find in their environment.
pub(super) struct Surroundings<'a> {
    /// The directory with the shards.
    pub(super) shards: &'a Path,
    /// This program.
    pub(super) binary: &'a Path,
}

/// The job file of `analytics`.
pub(super) fn analytics(around: &Surroundings<'_>) -> String {
    let env = around.env();
    let map = group(
        MAP,
        MAP_COMMAND,
        SHARDS,
        "cpus = 1\nmem = 64\nretries = 5",
        &env,
    );
    let options = "cpus = 0.5\nmem = 64\nretries = 5\nafter = [\"map\"]";
    format!(
        "name = \"analytics\"\n{map}{}",
        group(REDUCE, REDUCE_COMMAND, 1, options, &env)
    )
}

/// The job file of `background`.
pub(super) fn background(around: &Surroundings<'_>) -> String {
    let options = "cpus = 0.5\nmem = 32\nretries = 5";
    let stream = group(
        STREAM,
        STREAM_COMMAND,
        STREAM_LENGTH,
        options,
        &around.env(),
    );
    format!("name = \"background\"\n{stream}")
}

impl Surroundings<'_> {
    fn env(&self) -> String {
        let variables = [
            ("SHARDS", self.shards.display().to_string()),
            ("COUNT", SHARDS.to_string()),
            ("TEPUI", self.binary.display().to_string()),
        ];
        // A JSON text is a TOML text, too.
        let pairs = variables.map(|(name, value)| format!("{name} = {}", serde_json::json!(value)));
        format!("{{ {} }}", pairs.join(", "))
    }
}

fn group(name: &str, command: &str, count: usize, options: &str, env: &str) -> String {
    format!(
        "\n[[group]]\nname = \"{name}\"\ncommand = '''{command}'''\ncount = {count}\n{options}\nenv = {env}\n"
    )
}

#[cfg(test)]
mod tests {
    use tepui_batch::job::Job;

    use super::*;

    #[test]
    fn the_job_files_are_valid() {
        let around = Surroundings {
            shards: Path::new("/a \"b\"/shards"),
            binary: Path::new("/bin/tepui"),
        };
        let job = Job::parse("analytics.toml", &analytics(&around)).unwrap();
        assert_eq!(job.groups.len(), 2);
        assert_eq!((job.groups[0].count, job.groups[1].after.len()), (24, 1));
        assert_eq!(job.groups[0].env["SHARDS"], "/a \"b\"/shards");
        let job = Job::parse("background.toml", &background(&around)).unwrap();
        assert_eq!(job.instances(), 5_000);
    }
}
