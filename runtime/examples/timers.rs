//! Timers: once, again and again, and taken back.
//!
//! `cargo run -p tepui-runtime --example timers`

use std::time::Duration;

use tepui_runtime::{TimerHandle, prelude::*};

/// Beats until it has beaten five times. A watchdog would end it if it hung.
struct Heart {
    beats: u32,
    watchdog: Option<TimerHandle>,
}

/// Written by hand, where something is to happen at the start.
impl Actor for Heart {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Context<Self>) {
        ctx.run_interval(Duration::from_millis(10), Self::beat);
        let watchdog = ctx.run_later(Duration::from_secs(60), |_, ctx| ctx.fail("no beat"));
        self.watchdog = Some(watchdog);
    }
}

accepts!(Heart:);

impl Heart {
    fn beat(&mut self, ctx: &mut Context<Self>) {
        self.beats += 1;
        println!("beat {}", self.beats);
        if self.beats == 5 {
            let watchdog = self.watchdog.take();
            assert!(watchdog.is_some_and(|watchdog| ctx.cancel_timer(watchdog)));
            ctx.stop();
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let node = Node::builder(NodeAddr::new("127.0.0.1", 0)).start().await?;
    let heart = Heart {
        beats: 0,
        watchdog: None,
    };
    let heart = node.spawn("heart", heart)?;
    let exited = node.monitor(heart.as_any()).await;
    assert_eq!(exited.reason, ExitReason::Stopped);
    node.shutdown().await;
    Ok(())
}

#[test]
fn it_runs() {
    main().expect("the example runs");
}
