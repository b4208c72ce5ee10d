//! The simulator's table, as the program contains it: the output of `whisht sim anonymity table`.

/// A row: one network, one adversary, and the adversary's success.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// Honest senders.
    pub senders: u32,
    /// Relays, hostile ones included.
    pub relays: u32,
    /// Mean delay at each relay in seconds.
    pub delay: u32,
    /// Cells that a relay receives per second; a quarter of the relays receive less.
    pub rate: f64,
    /// Cells that wait at such a relay.
    pub pool: f64,
    /// Share of relays that disclose which cell became which.
    pub hostile: f64,
    /// Messages that the adversary knows to be of one sender.
    pub linked: u32,
    /// Mean probability of the best guess, with half the width of its 95 % confidence interval.
    pub best: Figure,
    /// How often the best guess is right.
    pub right: Figure,
    /// Mean entropy in bits.
    pub entropy: Figure,
    /// Share of messages with a best guess above 0.1.
    pub above_tenth: Figure,
    /// Share of messages with a best guess above 0.5.
    pub above_half: Figure,
}

/// A measured figure.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figure {
    /// The mean.
    pub mean: f64,
    /// Half the width of the 95 % confidence interval.
    pub plus_minus: f64,
}

impl Figure {
    /// The upper end of the interval, of a share.
    #[must_use]
    pub fn upper(self) -> f64 {
        (self.mean + self.plus_minus).min(1.0)
    }
}

impl Row {
    /// The figure that is stated: what the adversary believes, at the upper end of its confidence
    /// interval, or how often it is right, if that is more.
    #[must_use]
    pub fn guess(&self) -> f64 {
        // The frequency of success has a wide interval, so its mean counts.
        self.best.upper().max(self.right.mean).min(1.0)
    }

    /// The stated figure as "right once in so many", rounded down.
    #[must_use]
    pub fn one_in(&self) -> u32 {
        (1..=self.senders)
            .rev()
            .find(|times| f64::from(*times) * self.guess() <= 1.0)
            .unwrap_or(1)
    }
}

/// All rows of an adversary that recognises loops. A line that cannot be read is left out; a test refuses
/// such a line.
pub(super) fn rows() -> Vec<Row> {
    lines().filter_map(parse).collect()
}

/// The lines of rows.
pub(super) fn lines() -> impl Iterator<Item = &'static str> {
    content().skip(1)
}

fn content() -> impl Iterator<Item = &'static str> {
    let lines = TABLE.lines().map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// The value of a column in a line.
fn value<'a>(line: &'a str, column: &str) -> Option<&'a str> {
    let place = content()
        .next()?
        .split('\t')
        .position(|name| name == column)?;
    line.split('\t').nth(place)
}

/// Reads a line by the names of its columns.
pub(super) fn parse(line: &str) -> Option<Row> {
    let number = |column: &str| value(line, column)?.parse::<f64>().ok();
    let number = |column: &str| number(column).filter(|number| number.is_finite());
    let whole = |column: &str| value(line, column)?.parse::<u32>().ok();
    let figure = |column: &str| {
        Some(Figure {
            mean: number(column)?,
            plus_minus: number(&format!("{column}_ci"))?,
        })
    };
    value(line, "knowledge").filter(|known| *known == "loops")?;
    Some(Row {
        senders: whole("senders")?,
        relays: whole("relays")?,
        delay: whole("delay_seconds")?,
        rate: number("arrival_rate")?,
        pool: number("pool")?,
        hostile: number("hostile")?,
        linked: whole("linked")?,
        best: figure("best_guess")?,
        right: figure("right")?,
        entropy: figure("entropy_bits")?,
        above_tenth: figure("above_tenth")?,
        above_half: figure("above_half")?,
    })
}

const TABLE: &str = include_str!("../sim/anonymity/table.tsv");
