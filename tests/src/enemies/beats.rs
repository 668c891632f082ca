//! Heart-beats, more than anybody needs.

use super::arena::{Arena, Shown};
use super::line::{Line, send};
use super::trouble::Trouble;

/// A million line ends between two frames.
pub(super) fn heart_beats(_: bool) -> Result<Shown, Trouble> {
    const BEATS: usize = 1_000_000;
    const CLIENTS: usize = 4;
    let arena = Arena::open(&[])?;
    let mut lines = Vec::new();
    for _ in 0..CLIENTS {
        lines.push(Line::connected_with(arena.stomp, "heart-beat:100,0\n")?);
    }
    let (beats, returns) = (vec![b'\n'; BEATS / 2], b"\r\n".repeat(BEATS / 2));
    for line in &mut lines {
        line.write(&beats)?;
        line.write(&returns)?;
    }
    arena.is_well()?;
    for line in &mut lines {
        line.ask(&send("/topic/nobody", "receipt:r\n", ""), "r")?;
    }
    drop(lines);
    arena.close(
        0,
        format!("{CLIENTS} times a million heart-beats; the frame behind them is confirmed"),
    )
}
