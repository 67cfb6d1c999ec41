//! GPUs device by device, in 1/1000 of one.

use super::Piece;

/// What is free of each device.
#[derive(Clone, Debug)]
pub(super) struct Devices {
    /// The devices of node `n` are `free[starts[n]..starts[n + 1]]`.
    starts: Vec<u32>,
    free: Vec<u16>,
}

const WHOLE: u16 = 1000;

impl Devices {
    pub(super) fn new(counts: impl Iterator<Item = u32>) -> Self {
        let mut starts = vec![0];
        for count in counts {
            starts.push(starts[starts.len() - 1] + count);
        }
        let free = vec![WHOLE; starts[starts.len() - 1] as usize];
        Self { starts, free }
    }

    /// What is free of each device of a node.
    pub(super) fn of(&self, node: usize) -> &[u16] {
        &self.free[self.starts[node] as usize..self.starts[node + 1] as usize]
    }

    pub(super) fn fits(&self, node: usize, milli: u32) -> bool {
        let free = self.of(node);
        if milli < 1000 {
            return free.iter().any(|&free| u32::from(free) >= milli);
        }
        free.iter().filter(|&&free| free == WHOLE).count() as u32 * 1000 >= milli
    }

    /// How many tasks of `milli` each fit.
    pub(super) fn count(&self, node: usize, milli: u32) -> u32 {
        let free = self.of(node);
        if milli < 1000 {
            return free.iter().map(|&free| u32::from(free) / milli).sum();
        }
        free.iter().filter(|&&free| free == WHOLE).count() as u32 * 1000 / milli
    }

    /// Takes devices for the pieces: whole ones from the first on; for a part of one, the fullest that fits.
    /// Tasks that share a device come in a piece of their own.
    pub(super) fn claim(&mut self, milli: u32, pieces: &[Piece]) -> Vec<Piece> {
        let mut claimed = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let start = self.starts[piece.node.at()] as usize;
            let end = self.starts[piece.node.at() + 1] as usize;
            let devices = &mut self.free[start..end];
            if milli >= 1000 {
                let mut wanted = piece.tasks * (milli / 1000);
                let mut gpus = 0;
                for (at, free) in devices.iter_mut().enumerate() {
                    if wanted > 0 && *free == WHOLE {
                        (*free, gpus, wanted) = (0, gpus | 1 << at, wanted - 1);
                    }
                }
                assert!(
                    wanted == 0,
                    "SI-2 whole GPUs are claimed where they are idle"
                );
                claimed.push(Piece { gpus, ..*piece });
                continue;
            }
            // A piece that names its device got it from the placement.
            let named = piece.gpus;
            for _ in 0..piece.tasks {
                let fitting = devices.iter().enumerate().filter(|(at, free)| {
                    u32::from(**free) >= milli && (named == 0 || named & 1 << at != 0)
                });
                let best = fitting
                    .min_by_key(|(at, free)| (**free, *at))
                    .map(|(at, _)| at);
                let best = best.expect("SI-2 a part of a GPU is claimed where it is free");
                devices[best] -= milli as u16;
                let gpus = 1 << best;
                match claimed.last_mut() {
                    Some(Piece {
                        node,
                        tasks,
                        gpus: same,
                    }) if *node == piece.node && *same == gpus => *tasks += 1,
                    _ => claimed.push(Piece {
                        node: piece.node,
                        tasks: 1,
                        gpus,
                    }),
                }
            }
        }
        claimed
    }

    pub(super) fn release(&mut self, node: usize, milli: u32, piece: &Piece) {
        if milli == 0 {
            return;
        }
        let start = self.starts[node] as usize;
        let end = self.starts[node + 1] as usize;
        for (at, free) in self.free[start..end].iter_mut().enumerate() {
            if piece.gpus & 1 << at != 0 {
                *free = if milli >= 1000 {
                    WHOLE
                } else {
                    *free + milli as u16 * piece.tasks as u16
                };
                debug_assert!(*free <= WHOLE, "SI-2 a device has one whole");
            }
        }
    }
}
