//! `whisht top`: the view without a terminal, and a terminal that is restored.

use serde_json::Value;

use crate::terminal::Terminal;
use crate::{Running, fails, scratch, succeeds};

#[test]
fn view_without_a_terminal_is_printed_once_within_a_screen() {
    let data = scratch();
    let node = Running::start(&data.path, &["--no-listen"]);
    let view = succeeds(&node.run(&["top", "--once"]));
    for row in [
        "peers",
        "relays",
        "guard",
        "tor",
        "bandwidth",
        "cells",
        "mix",
        "cover",
        "pool",
        "hush",
    ] {
        let label = format!("LOCAL {row} ");
        assert!(view.contains(&label), "{row}: {view}");
    }
    assert!(view.contains("KB/s in"), "{view}");
    assert!(view.lines().count() <= 23, "{view}");
    assert!(!view.contains('\x1b'), "{view}");

    let refused = fails(&node.run(&["top"]), 2);
    assert!(refused.contains("--once"), "{refused}");

    let json: Value =
        serde_json::from_str(&succeeds(&node.run(&["top", "--once", "--json"]))).unwrap();
    assert!(json["flow"]["mix_waiting"].is_u64(), "{json}");
}

#[test]
fn quit_key_restores_the_terminal() {
    let data = scratch();
    let _node = Running::start(&data.path, &["--no-listen"]);
    for key in ["q", "\x03"] {
        let mut terminal = Terminal::open(&data.path, "top");
        terminal.until("\x1b[?1049h");
        terminal.until("q quits");
        assert!(terminal.hides(), "keys are read one by one, without echo");
        terminal.presses(key);
        terminal.until("\x1b[?25h\x1b[?1049l");
        let (code, shown) = terminal.end();
        assert_eq!(code, Some(0), "{shown}");
    }
}
