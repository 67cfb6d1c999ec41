//! Jobs whose tasks begin together or not at all.

use super::*;

/// Runs `true` so many times on 1.5 cpus each, all at once or not at all.
fn gang(master: &str, instances: &str) -> Command {
    let size = "--gang --cpus 1.5 --mem 32 --instances";
    let words: Vec<&str> = size.split(' ').collect();
    let more = [instances, "--master", master, "--", "true"];
    tepui(&[&["run"][..], &words, &more].concat())
}

#[test]
fn a_gang_begins_when_there_is_room_for_all_of_it() {
    let (_running, master) = local();
    let run = gang(&master, "2").output().expect("the binary runs");
    let told = text(&run.stdout);
    assert!(run.status.success(), "{told}{}", text(&run.stderr));
    assert!(told.ends_with("2 of 2 tasks finished\n"), "{told}");
    let metrics = json(&["frameworks", "--json", "--master", &master]);
    assert_eq!(metrics[0]["info"]["gangs"]["*"]["tasks"], 2, "{metrics}");
}

#[test]
fn a_framework_is_told_what_its_gang_lacks() {
    let (_running, master) = local();
    let mut child = gang(&master, "3").spawn().expect("the binary runs");
    // It subscribes sooner or later, and is granted what both agents have.
    let told = (0..600).find_map(|_| {
        let frameworks = json(&["frameworks", "--json", "--master", &master]);
        let id = frameworks[0]["info"]["id"].as_str()?.to_owned();
        let told = text(&output(&["why", &id, "--master", &master]).stdout);
        told.contains("on 2 agents").then_some(told)
    });
    child.kill().expect("our child");
    child.wait().expect("our child");
    let told = told.expect("it gathers");
    for part in [
        "begins with all of a gang or not at all: 3 tasks of cpus:1.5;mem:32",
        "room for 2 tasks on 2 agents; lacks room for 1 task; gives up in",
    ] {
        assert!(told.contains(part), "{told}");
    }
}
