//! Divisible tasks over several servers: the least weighted share is made as large as can be, then the next, and so on;
//! a linear program for each step. The share is the global dominant one (DRFH), or the part that a user has of the tasks
//! that it could run alone on all servers (TSF). Users may be bound to some of the servers.
//
//= drfh-2014 §4
//= tsf-2016, task share fairness

use num_rational::BigRational;
use num_traits::{One, ToPrimitive, Zero};
use serde_json::Value;

use super::{
    Policy,
    cases::{self, User},
    limits,
    number::{Input, Problem, answer},
    simplex::maximise,
};

type Row = Vec<BigRational>;

pub(super) fn divisible(
    case: &Input<'_>,
    policy: Policy,
    explain: &mut dyn FnMut(&str),
) -> Result<Value, Problem> {
    let servers = servers(case)?;
    let resources = servers.first().map_or(0, Vec::len);
    let users = cases::users(case, resources, limits::USERS)?;
    if users.len() * servers.len() > limits::PAIRS {
        let what = format!("users times servers are more than {}", limits::PAIRS);
        return Err(case.problem(what));
    }
    let total = |j: usize| servers.iter().map(|server| &server[j]).sum();
    let total: Row = (0..resources).map(total).collect();
    let mut program = Program {
        rates: Vec::new(),
        allowed: allowed(case, servers.len())?,
        servers,
        users,
    };
    for (at, user) in program.users.iter().enumerate() {
        let rate = match policy {
            Policy::Tsf => one_of(&program.servers, user),
            _ => user.dominant(&total).filter(|rate| !rate.is_zero()),
        };
        let rate = rate.ok_or_else(|| {
            case.problem(format!("users[{at}] takes nothing, or what no server has"))
        })?;
        program.rates.push(rate);
    }
    let shares = program.fill(explain);
    Ok(shares.iter().map(answer).collect())
}

fn servers(case: &Input<'_>) -> Result<Vec<Row>, Problem> {
    let field = case.field("servers")?;
    let entries = field.list(limits::ENTRIES)?;
    let Some(first) = entries.first() else {
        return Err(field.problem("at least one server is needed"));
    };
    let resources = first.list(limits::RESOURCES)?.len();
    entries
        .iter()
        .map(|entry| entry.vector(resources))
        .collect()
}

/// On which servers each user may run.
fn allowed(case: &Input<'_>, servers: usize) -> Result<Vec<Vec<bool>>, Problem> {
    let users = case.field("users")?.list(limits::USERS)?;
    let mut allowed = Vec::new();
    for user in users {
        let Some(on) = user.optional("on")? else {
            allowed.push(vec![true; servers]);
            continue;
        };
        let mut may = vec![false; servers];
        for server in on.list(limits::ENTRIES)? {
            let number = server.number()?;
            let at = number.is_integer().then(|| number.to_integer().to_usize());
            let at = at.flatten().filter(|&at| at < servers);
            let at = at.ok_or_else(|| {
                server.problem(format!(
                    "must be the number of a server, from 0 to {}",
                    servers - 1
                ))
            })?;
            may[at] = true;
        }
        allowed.push(may);
    }
    Ok(allowed)
}

/// The part that one task is of those that all servers together could run of it; none if that is none, or without end.
fn one_of(servers: &[Row], user: &User) -> Option<BigRational> {
    let mut all = BigRational::zero();
    for server in servers {
        let used = server.iter().zip(&user.demand);
        let used = used.filter(|(_, each)| !each.is_zero());
        all += used.map(|(capacity, each)| capacity / each).min()?;
    }
    (!all.is_zero()).then(|| all.recip())
}

struct Program {
    servers: Vec<Row>,
    users: Vec<User>,
    /// By user and server.
    allowed: Vec<Vec<bool>>,
    /// A user's share of the whole for each task.
    rates: Vec<BigRational>,
}

impl Program {
    /// The weighted shares.
    fn fill(&self, explain: &mut dyn FnMut(&str)) -> Row {
        let mut fixed: Vec<Option<BigRational>> = vec![None; self.users.len()];
        while fixed.iter().any(Option::is_none) {
            let level = self.level(&fixed);
            let stuck: Vec<usize> = (0..self.users.len())
                .filter(|&user| fixed[user].is_none() && self.most(user, &fixed, &level) <= level)
                .collect();
            // At least one cannot rise: that is why the level is what it is.
            for user in stuck {
                fixed[user] = Some(level.clone());
            }
            explain(&format!("  level {level}"));
        }
        fixed.into_iter().flatten().collect()
    }

    /// How high all that are not fixed can rise together.
    fn level(&self, fixed: &[Option<BigRational>]) -> BigRational {
        let columns = self.columns() + 1;
        let (mut a, mut b) = self.bounds(columns);
        for (user, share) in fixed.iter().enumerate() {
            let mut row = self.share(user, columns);
            match share {
                Some(share) => b.push(-share.clone()),
                None => {
                    row[columns - 1] = BigRational::one();
                    b.push(BigRational::zero());
                }
            }
            a.push(row);
        }
        let mut c = vec![BigRational::zero(); columns];
        c[columns - 1] = BigRational::one();
        maximise(&c, &a, &b).map_or_else(BigRational::zero, |found| found.0)
    }

    /// How high one can rise while nobody falls below `level` or what is fixed.
    fn most(&self, who: usize, fixed: &[Option<BigRational>], level: &BigRational) -> BigRational {
        let columns = self.columns();
        let (mut a, mut b) = self.bounds(columns);
        for (user, share) in fixed.iter().enumerate() {
            a.push(self.share(user, columns));
            b.push(-share.as_ref().unwrap_or(level).clone());
        }
        let c = self.share(who, columns).into_iter().map(|x| -x).collect();
        maximise(&c, &a, &b).map_or_else(|| level.clone(), |found| found.0)
    }

    /// A variable for the tasks of each user on each server.
    fn columns(&self) -> usize {
        self.users.len() * self.servers.len()
    }

    /// The negated weighted share of a user.
    fn share(&self, user: usize, columns: usize) -> Row {
        let mut row = vec![BigRational::zero(); columns];
        let each = -(&self.rates[user] / &self.users[user].weight);
        let first = user * self.servers.len();
        row[first..first + self.servers.len()].fill(each);
        row
    }

    /// What servers have, and users want at most.
    fn bounds(&self, columns: usize) -> (Vec<Row>, Row) {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        for (at, server) in self.servers.iter().enumerate() {
            for (j, capacity) in server.iter().enumerate() {
                let mut row = vec![BigRational::zero(); columns];
                for (user, wanted) in self.users.iter().enumerate() {
                    row[user * self.servers.len() + at].clone_from(&wanted.demand[j]);
                }
                a.push(row);
                b.push(capacity.clone());
            }
        }
        let pairs = self.allowed.iter().flatten().enumerate();
        for (at, _) in pairs.filter(|(_, may)| !**may) {
            let mut row = vec![BigRational::zero(); columns];
            row[at] = BigRational::one();
            a.push(row);
            b.push(BigRational::zero());
        }
        for (user, wanted) in self.users.iter().enumerate() {
            let Some(cap) = &wanted.cap else { continue };
            let mut row = vec![BigRational::zero(); columns];
            let first = user * self.servers.len();
            row[first..first + self.servers.len()].fill(BigRational::one());
            a.push(row);
            b.push(cap.clone());
        }
        (a, b)
    }
}
