//! What a role asks for, as people write it.

use tepui_allocator::slo::{Class, Objective};
use tepui_protocol::Role;

use super::span;
use crate::{
    amounts::{Amounts, LANES},
    nodes,
    time::parse_span,
};

/// What a role asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The role.
    pub role: Role,
    /// Its objective.
    pub objective: Objective<LANES>,
    pub(super) unit: Amounts,
}

const EXAMPLE: &str =
    "write e.g. web=hard,16xcpus:4;mem:8GiB,10m/1h or web=soft,8xcpus:1,5m/1h,p95:30s";

impl Terms {
    /// Reads `ROLE=CLASS,TASKSxRESOURCES,LENGTH/PERIOD[,pPERCENT:SPAN]`.
    ///
    /// # Errors
    /// What is wrong with the text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |what: String| format!("service level {text:?}: {what}; {EXAMPLE}");
        let parsed = text.split_once('=').ok_or_else(|| "no role".to_owned());
        parsed
            .and_then(|(role, rest)| Self::of_role(role.trim(), rest))
            .map_err(wrong)
    }

    fn of_role(role: &str, text: &str) -> Result<Self, String> {
        let role = Role::new(role).map_err(|error| error.to_string())?;
        let parts: Vec<&str> = text.split(',').map(str::trim).collect();
        let (class, burst, times, promise) = match parts[..] {
            [class, burst, times] => (class, burst, times, "p100:0s"),
            [class, burst, times, promise] => (class, burst, times, promise),
            _ => return Err("it has not three or four parts with commas between them".to_owned()),
        };
        let known = Class::ALL.iter().find(|(name, _)| *name == class);
        let asked = known.map(|(_, class)| *class);
        let asked = asked.ok_or_else(|| format!("{class:?} is not hard, soft or elastic"))?;
        let (tasks, unit) = burst
            .split_once('x')
            .ok_or_else(|| format!("{burst:?} is not so many tasks of a size"))?;
        let tasks = tasks
            .trim()
            .parse()
            .map_err(|_| format!("{tasks:?} is not a number of tasks"))?;
        let unit = nodes::parse_amounts(unit)?;
        let (length, period) = times
            .split_once('/')
            .ok_or_else(|| format!("{times:?} is not a length and a period"))?;
        let (percent, within) = promise
            .strip_prefix('p')
            .and_then(|rest| rest.split_once(':'))
            .ok_or_else(|| format!("{promise:?} is not a percentile and a time"))?;
        let percent = percent
            .parse()
            .map_err(|_| format!("{percent:?} is not a percentile"))?;
        let objective = Objective {
            asked,
            unit: unit.lanes().map(u64::from),
            tasks,
            length: span(parse_span(length)?),
            period: span(parse_span(period)?),
            within: span(parse_span(within)?),
            percent,
        };
        objective.check().map_err(|error| error.to_string())?;
        Ok(Self {
            role,
            objective,
            unit,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn terms_are_read_and_what_is_wrong_is_told() {
        let terms = Terms::parse("eng/web=hard,16xcpus:4;mem:8GiB,10m/1h,p95:30s").unwrap();
        assert_eq!(terms.role.as_str(), "eng/web");
        let objective = terms.objective;
        assert_eq!((objective.asked, objective.tasks), (Class::Hard, 16));
        assert_eq!(objective.unit, [4000, 8192, 0, 0]);
        assert_eq!(objective.length, Duration::from_secs(600));
        assert_eq!(objective.percent, 95);
        for (bad, what) in [
            ("web", "no role"),
            ("web=hard", "three or four parts"),
            ("web=firm,1xcpus:1,1m/1h", "\"firm\" is not hard"),
            ("web=hard,cpus:1,1m/1h", "not so many tasks"),
            ("web=hard,-1xcpus:1,1m/1h", "not a number of tasks"),
            ("web=hard,1xcpu:1,1m/1h", "no resource is called"),
            ("web=hard,1xcpus:0,1m/1h", "takes nothing"),
            ("web=hard,1xcpus:1,2h/1h", "not longer than its period"),
            ("web=hard,1xcpus:1,1h", "a length and a period"),
            ("web=hard,1xcpus:1,1m/1h,95:1s", "not a percentile"),
            ("web=hard,1xcpus:1,1m/1h,p101:1s", "from 1 to 100"),
        ] {
            let error = Terms::parse(bad).unwrap_err();
            assert!(
                error.contains(what) && error.contains("write e.g."),
                "{error}"
            );
        }
    }
}
