//! The jobs that wait: one list of all, one for each role, linked through tables, so that each change is O(1).

use crate::trace::JobId;

const NONE: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
    len: u32,
}

const EMPTY: Ends = Ends {
    first: NONE,
    last: NONE,
    len: 0,
};

/// Neighbours of a job in the list of all and in that of its role.
#[derive(Clone, Copy, Debug)]
struct Links {
    before: [u32; 2],
    after: [u32; 2],
}

/// All lists.
#[derive(Debug)]
pub(crate) struct Queues {
    links: Vec<Links>,
    all: Ends,
    roles: Vec<Ends>,
}

const ALL: usize = 0;
const ROLE: usize = 1;

impl Queues {
    pub(crate) fn new(jobs: usize, roles: usize) -> Self {
        let unlinked = Links {
            before: [NONE; 2],
            after: [NONE; 2],
        };
        Self {
            links: vec![unlinked; jobs],
            all: EMPTY,
            roles: vec![EMPTY; roles],
        }
    }

    pub(crate) fn push_back(&mut self, job: JobId, role: u32) {
        for list in [ALL, ROLE] {
            let ends = self.ends(list, role);
            let last = ends.last;
            ends.last = job.0;
            ends.len += 1;
            if last == NONE {
                ends.first = job.0;
            } else {
                self.links[last as usize].after[list] = job.0;
            }
            self.links[job.at()].before[list] = last;
            self.links[job.at()].after[list] = NONE;
        }
    }

    pub(crate) fn push_front(&mut self, job: JobId, role: u32) {
        for list in [ALL, ROLE] {
            let ends = self.ends(list, role);
            let first = ends.first;
            ends.first = job.0;
            ends.len += 1;
            if first == NONE {
                ends.last = job.0;
            } else {
                self.links[first as usize].before[list] = job.0;
            }
            self.links[job.at()].after[list] = first;
            self.links[job.at()].before[list] = NONE;
        }
    }

    pub(crate) fn remove(&mut self, job: JobId, role: u32) {
        for list in [ALL, ROLE] {
            let (before, after) = (
                self.links[job.at()].before[list],
                self.links[job.at()].after[list],
            );
            let ends = self.ends(list, role);
            ends.len -= 1;
            if before == NONE {
                ends.first = after;
            }
            if after == NONE {
                ends.last = before;
            }
            if before != NONE {
                self.links[before as usize].after[list] = after;
            }
            if after != NONE {
                self.links[after as usize].before[list] = before;
            }
        }
    }

    fn ends(&mut self, list: usize, role: u32) -> &mut Ends {
        if list == ALL {
            &mut self.all
        } else {
            &mut self.roles[role as usize]
        }
    }

    pub(crate) fn all(&self) -> Pending<'_> {
        Pending {
            queues: self,
            list: ALL,
            next: self.all.first,
        }
    }

    /// The job behind one that is in the list of all.
    pub(crate) fn after(&self, job: JobId) -> Option<JobId> {
        let next = self.links[job.at()].after[ALL];
        (next != NONE).then_some(JobId(next))
    }

    pub(crate) fn of(&self, role: u32) -> Pending<'_> {
        Pending {
            queues: self,
            list: ROLE,
            next: self.roles[role as usize].first,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.all.len as usize
    }

    pub(crate) fn len_of(&self, role: u32) -> usize {
        self.roles[role as usize].len as usize
    }
}

/// Jobs that wait, in order.
#[derive(Clone, Debug)]
pub struct Pending<'a> {
    queues: &'a Queues,
    list: usize,
    next: u32,
}

impl Iterator for Pending<'_> {
    type Item = JobId;

    fn next(&mut self) -> Option<JobId> {
        let job = self.next;
        if job == NONE {
            return None;
        }
        self.next = self.queues.links[job as usize].after[self.list];
        Some(JobId(job))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lists_keep_the_order_of_a_plain_queue(steps in prop::collection::vec((0..20_u32, 0..3_u8), 1..80)) {
            let role = |job: u32| job % 3;
            let (mut queues, mut plain) = (Queues::new(20, 3), VecDeque::new());
            for (job, what) in steps {
                if let Some(at) = plain.iter().position(|&waiting| waiting == job) {
                    plain.remove(at);
                    queues.remove(JobId(job), role(job));
                } else if what == 0 {
                    plain.push_front(job);
                    queues.push_front(JobId(job), role(job));
                } else {
                    plain.push_back(job);
                    queues.push_back(JobId(job), role(job));
                }
                let all: Vec<u32> = queues.all().map(|job| job.0).collect();
                prop_assert_eq!(&all, &plain.iter().copied().collect::<Vec<_>>());
                prop_assert_eq!(queues.len(), all.len());
                for of in 0..3 {
                    let found: Vec<u32> = queues.of(of).map(|job| job.0).collect();
                    let expected: Vec<u32> = all.iter().copied().filter(|&job| role(job) == of).collect();
                    prop_assert_eq!(queues.len_of(of), expected.len());
                    prop_assert_eq!(found, expected);
                }
            }
        }
    }
}
