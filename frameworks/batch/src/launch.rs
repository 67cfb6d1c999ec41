//! From an instance to a task: its id, command and environment.

use std::collections::BTreeMap;

use tepui_framework::protocol::{CommandInfo, KillPolicy, TaskId};

use crate::job::{Group, Job, variable_of};

/// The longest list of task ids that is put into a variable; the system takes 128 KiB.
const VARIABLE_MAX: usize = 100_000;

/// The id of an attempt: `<job>.<group>.<index>.<attempt>`.
pub(crate) fn task_id(job: &str, group: &str, index: u32, attempt: u32) -> TaskId {
    TaskId::new(format!("{job}.{group}.{index}.{attempt}")).expect("names of jobs make ids")
}

/// What a task id of `job` names: group, index, attempt.
pub(crate) fn parts<'a>(job: &str, id: &'a TaskId) -> Option<(&'a str, u32, u32)> {
    let rest = id.as_str().strip_prefix(job)?.strip_prefix('.')?;
    let (rest, attempt) = rest.rsplit_once('.')?;
    let (group, index) = rest.rsplit_once('.')?;
    Some((group, index.parse().ok()?, attempt.parse().ok()?))
}

/// What an instance runs. `finals` gives the final task ids of a group, joined by blanks.
pub(crate) fn command<'a>(
    job: &Job,
    group: &Group,
    index: u32,
    master: &str,
    finals: impl Fn(&str) -> &'a str,
) -> CommandInfo {
    let mut environment = BTreeMap::from([
        ("TEPUI_MASTER".to_owned(), master.to_owned()),
        ("TEPUI_JOB".to_owned(), job.name.clone()),
        ("TEPUI_GROUP".to_owned(), group.name.clone()),
        ("TEPUI_INDEX".to_owned(), index.to_string()),
        ("TEPUI_COUNT".to_owned(), group.count.to_string()),
    ]);
    for name in &group.after {
        let ids = finals(name);
        if ids.len() <= VARIABLE_MAX {
            environment.insert(variable_of(name), ids.to_owned());
        }
    }
    environment.extend(group.env.clone());
    let value = with_index(&group.command, index);
    CommandInfo {
        environment,
        uris: group.uris.clone(),
        image: group.image.clone(),
        // Without a line it is what the image runs.
        shell: !group.command.is_empty(),
        arguments: group
            .words
            .iter()
            .map(|word| with_index(word, index))
            .collect(),
        value,
    }
}

pub(crate) fn kill_policy(group: &Group) -> KillPolicy {
    KillPolicy {
        grace_period: group.kill_grace,
    }
}

/// Puts the index in place of `{index}`; the shell's own `${index}` stays.
fn with_index(command: &str, index: u32) -> String {
    let mut pieces = command.split("{index}");
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        match text.ends_with('$') {
            true => text.push_str("{index}"),
            false => text.push_str(&index.to_string()),
        }
        text.push_str(piece);
    }
    text
}

#[cfg(test)]
mod tests {
    use tepui_framework::protocol::Resources;

    use super::*;

    #[test]
    fn the_index_is_put_in_but_not_into_the_shells_own_variables() {
        assert_eq!(with_index("cat {index}.txt > {index}", 7), "cat 7.txt > 7");
        assert_eq!(with_index("echo ${index} {index}", 7), "echo ${index} 7");
        assert_eq!(with_index("true", 7), "true");
    }

    #[test]
    fn task_ids_are_read_back() {
        let id = task_id("job", "map", 3, 1);
        assert_eq!(id.as_str(), "job.map.3.1");
        assert_eq!(parts("job", &id), Some(("map", 3, 1)));
        assert_eq!(parts("jo", &id), None);
        assert_eq!(parts("job", &TaskId::new("job.map.x.1").unwrap()), None);
        assert_eq!(parts("job", &TaskId::new("job.1").unwrap()), None);
    }

    #[test]
    fn tasks_learn_where_they_belong_and_what_came_before() {
        let mut reduce = Group::new("reduce", "sort", 2, Resources::new());
        reduce.after = vec!["map-1".to_owned(), "huge".to_owned()];
        reduce.env.insert("LC_ALL".to_owned(), "C".to_owned());
        let job = Job {
            name: "job".to_owned(),
            groups: vec![reduce.clone()],
        };
        let huge = "x ".repeat(VARIABLE_MAX);
        let finals = |name: &str| if name == "huge" { huge.as_str() } else { "a b" };
        let command = command(&job, &reduce, 1, "host:1", finals);
        let expected = [
            ("LC_ALL", "C"),
            ("TEPUI_COUNT", "2"),
            ("TEPUI_GROUP", "reduce"),
            ("TEPUI_INDEX", "1"),
            ("TEPUI_JOB", "job"),
            ("TEPUI_MASTER", "host:1"),
            ("TEPUI_TASKS_MAP_1", "a b"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(command.environment, BTreeMap::from(expected));
    }
}
