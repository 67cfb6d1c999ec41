//! Worked examples with known answers, and documents that are wrong.

use serde_json::{Value, json};
use tepui_allocator::solve::{Policy, solve};

fn answer_with(policy: Policy, mut case: Value) -> Value {
    case["id"] = json!("x");
    let document = json!({ "cases": [case] });
    let answers = solve(&document, policy, &mut |_| {});
    answers.unwrap_or_else(|problem| panic!("{problem}"))["x"].clone()
}

fn answer(case: Value) -> Value {
    answer_with(Policy::Hdrf, case)
}

fn users(kind: &str, capacity: Value, users: Value) -> Value {
    answer(json!({ "kind": kind, "capacity": capacity, "users": users }))
}

fn tree(children: &Value, capacity: &Value, policy: Policy) -> Value {
    let case = json!({
        "kind": "tree-tasks", "capacity": capacity, "tree": { "name": "root", "children": children },
    });
    answer_with(policy, case)
}

//= drf-2011 §4.1
#[test]
fn the_example_of_the_drf_paper() {
    let pair = json!([{ "demand": [1, 4] }, { "demand": [3, 1] }]);
    assert_eq!(
        users("flat-divisible", json!([9, 18]), pair.clone()),
        json!([3, 2])
    );
    assert_eq!(users("flat-tasks", json!([9, 18]), pair), json!([3, 2]));
}

#[test]
fn weights_and_caps() {
    let weighted = json!([{ "demand": [1, 4], "weight": 2 }, { "demand": [3, 1] }]);
    assert_eq!(
        users("flat-divisible", json!([9, 18]), weighted),
        json!(["54/13", "18/13"])
    );
    let capped = json!([{ "demand": [1, 4], "cap": 1 }, { "demand": [3, 1], "cap": null }]);
    assert_eq!(
        users("flat-divisible", json!([9, 18]), capped),
        json!([1, "8/3"])
    );
    let second = json!([{ "demand": [1, 3] }, { "demand": [1, 1] }]);
    assert_eq!(
        users("flat-divisible", json!([30, 30]), second),
        json!([5, 15])
    );
    let three = json!([{ "demand": [1], "cap": 10 }, { "demand": [1] }, { "demand": [1] }]);
    assert_eq!(
        users("flat-divisible", json!([100]), three),
        json!([10, 45, 45])
    );
}

//= hdrf-2013 §3
#[test]
fn a_tree_by_three_orders() {
    let children = json!([
        { "name": "n1", "demand": [1, 1] },
        { "name": "n2", "children": [
            { "name": "n21", "demand": [1, 0] }, { "name": "n22", "demand": [0, 1] },
        ] },
    ]);
    let capacity = json!([480, 480]);
    let half = json!({ "n1": 240, "n21": 240, "n22": 240 });
    assert_eq!(tree(&children, &capacity, Policy::Hdrf), half);
    let mut collapsed = children.clone();
    collapsed[1]["weight"] = json!(0.5);
    let thirds = json!({ "n1": 320, "n21": 160, "n22": 160 });
    assert_eq!(tree(&collapsed, &capacity, Policy::Drf), thirds);
}

//= hdrf-2013 §3
#[test]
fn churn_by_two_orders() {
    let events: Vec<Value> = (0..40)
        .map(|turn| json!({ "ends": if turn % 2 == 0 { "n22" } else { "n1" } }))
        .collect();
    let case = json!({
        "kind": "tree-churn", "capacity": [10, 10], "events": events,
        "tree": { "name": "root", "children": [
            { "name": "n1", "demand": [0, 1] },
            { "name": "n2", "children": [
                { "name": "n21", "demand": [1, 0] }, { "name": "n22", "demand": [0, 1] },
            ] },
        ] },
    });
    let fair = json!({ "final": { "n1": 5, "n21": 10, "n22": 5 } });
    assert_eq!(answer_with(Policy::Hdrf, case.clone()), fair);
    // Each task of n22 that ends goes to n1: the group looks full because of its other resource.
    let starved = json!({ "final": { "n1": 10, "n21": 10, "n22": 0 } });
    let mut naive = case.clone();
    let ends: Vec<Value> = (0..4).map(|_| json!({ "ends": "n22" })).collect();
    naive["events"] = json!(ends);
    assert_eq!(answer_with(Policy::Mesos, naive), starved);
}

//= drfh-2014 §3
#[test]
fn two_servers_are_shared_as_one() {
    let case = json!({
        "kind": "servers-divisible", "servers": [[2, 12], [12, 2]],
        "users": [{ "demand": [0.2, 1] }, { "demand": [1, "1/5"] }],
    });
    assert_eq!(answer(case), json!(["5/7", "5/7"]));
    let capped = json!({
        "kind": "servers-divisible", "servers": [[4], [4]],
        "users": [{ "demand": [1], "cap": 2 }, { "demand": [1] }, { "demand": [1], "weight": 2 }],
    });
    assert_eq!(answer(capped), json!(["1/4", "1/4", "1/4"]));
}

/// Two servers of four; who may not run everywhere is not served worse for it, nor better.
//= tsf-2016, task share fairness
#[test]
fn task_shares_with_users_bound_to_servers() {
    let bound = |users: Value| {
        answer_with(
            Policy::Tsf,
            json!({ "kind": "servers-divisible", "servers": [[4], [4]], "users": users }),
        )
    };
    let free = json!({ "demand": [1] });
    let pinned = json!({ "demand": [1], "on": [0] });
    assert_eq!(bound(json!([pinned, free])), json!(["1/2", "1/2"]));
    assert_eq!(
        bound(json!([pinned, pinned, free])),
        json!(["1/4", "1/4", "1/2"])
    );
    // Alone the one could run 4 tasks and the other 14: dominant shares, 1/14 for a task of either, do not see that.
    let unlike = json!({
        "kind": "servers-divisible", "servers": [[2, 12], [12, 2]],
        "users": [{ "demand": [1, 1] }, { "demand": [1, 0] }],
    });
    let by = |policy| answer_with(policy, unlike.clone());
    assert_eq!(by(Policy::Tsf), json!(["7/9", "7/9"]));
    assert_eq!(by(Policy::Drf), json!(["2/7", "5/7"]));
    let problem = solve(
        &json!({ "cases": [{ "id": "x", "kind": "servers-divisible", "servers": [[4]],
            "users": [{ "demand": [1], "on": [1] }] }] }),
        Policy::Tsf,
        &mut |_| {},
    );
    let problem = problem.unwrap_err().to_string();
    assert!(
        problem.contains("users[0].on[0]: must be the number of a server"),
        "{problem}"
    );
}

#[test]
fn whole_tasks_by_task_shares() {
    let case = json!({ "kind": "flat-tasks", "capacity": [10, 10],
        "users": [{ "demand": [1, 0] }, { "demand": [1, 2] }] });
    assert_eq!(answer_with(Policy::Tsf, case), json!([7, 3]));
    let tree = json!({ "cases": [{ "id": "x", "kind": "tree-tasks", "capacity": [1],
        "tree": { "name": "r", "children": [{ "name": "a", "demand": [1] }] } }] });
    let problem = solve(&tree, Policy::Tsf, &mut |_| {}).unwrap_err();
    assert!(
        problem.to_string().contains("tsf knows no tree"),
        "{problem}"
    );
}

//= kash-2014 §4
#[test]
fn users_arrive_and_nothing_is_taken_back() {
    let demands = json!([[1, 0.5, 0.75], [0.5, 1, 0.75], [0.5, 0.5, 1]]);
    let case = json!({ "kind": "dynamic-arrivals", "demands_per_dominant_share": demands });
    assert_eq!(
        answer(case),
        json!([["1/3"], ["4/9", "4/9"], ["4/9", "4/9", "1/3"]])
    );
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let flat = |capacity: Value, users: Value| {
        json!({ "cases": [{
        "id": "x", "kind": "flat-tasks", "capacity": capacity, "users": users,
    }] })
    };
    let children = |children: Value| {
        json!({ "cases": [{
        "id": "x", "kind": "tree-tasks", "capacity": [1], "tree": { "name": "r", "children": children },
    }] })
    };
    let wrong = [
        (json!([]), "the document: must be an object"),
        (json!({}), "the document: \"cases\" is missing"),
        (
            json!({ "cases": [{ "kind": "x" }] }),
            "cases[0]: \"id\" is missing",
        ),
        (
            json!({ "cases": [{ "id": "x", "kind": "flat" }] }),
            "cases[0].kind: \"flat\" is not a kind; write one of flat-divisible",
        ),
        (
            flat(json!([-1]), json!([])),
            "cases[0].capacity[0]: -1 is negative",
        ),
        (flat(json!(["NaN"]), json!([])), "\"NaN\" is not a number"),
        (flat(json!(["1/0"]), json!([])), "\"1/0\" is not a number"),
        (flat(json!([1e300]), json!([])), "is not a number"),
        (flat(json!([]), json!([])), "at least one resource"),
        (
            flat(json!([1, 1]), json!([{ "demand": [1] }])),
            "cases[0].users[0].demand: 1 numbers for 2 resources",
        ),
        (
            flat(json!([1]), json!([{ "demand": [0] }])),
            "needs a \"cap\"",
        ),
        (
            flat(json!([1]), json!([{ "demand": [1], "weight": 0 }])),
            "users[0].weight: must be greater than 0",
        ),
        (
            flat(json!([1e9]), json!([{ "demand": [1] }])),
            "takes more than 2000000 steps",
        ),
        (
            flat(json!(["1e30"]), json!([{ "demand": [1] }])),
            "is too large",
        ),
        (
            children(json!([{ "name": "a", "demand": [1] }, { "name": "a", "demand": [1] }])),
            "children[1].name: \"a\" is the name of an earlier node",
        ),
    ];
    for (document, expected) in wrong {
        let problem = solve(&document, Policy::Hdrf, &mut |_| {}).unwrap_err();
        assert!(
            problem.to_string().contains(expected),
            "{problem} for {document}"
        );
    }
}

#[test]
fn each_decision_is_explained() {
    let document = json!({ "cases": [{
        "id": "paper", "kind": "flat-tasks", "capacity": [9, 18],
        "users": [{ "demand": [1, 4] }, { "demand": [3, 1] }],
    }] });
    let mut lines = Vec::new();
    solve(&document, Policy::Drf, &mut |line| {
        lines.push(line.to_owned())
    })
    .unwrap();
    assert_eq!(lines.len(), 6, "{lines:?}");
    assert_eq!(lines[0], "case paper");
    assert!(lines[1].contains("user 0 gets a task"), "{lines:?}");
}
