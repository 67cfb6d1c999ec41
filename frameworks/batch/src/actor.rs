//! The actor `batch`: answers [`GetJob`] on the framework's node.

use tepui_runtime::prelude::*;

use crate::board::{Board, GetJob};

pub(crate) struct BatchActor {
    board: Board,
}

impl BatchActor {
    pub(crate) fn new(board: Board) -> Self {
        Self { board }
    }
}

impl Actor for BatchActor {
    type Context = Context<Self>;
}

accepts!(BatchActor: GetJob);

impl Handler<GetJob> for BatchActor {
    type Result = MessageResult<GetJob>;

    fn handle(&mut self, _: GetJob, _: &mut Context<Self>) -> Self::Result {
        MessageResult(self.board.progress())
    }
}
