//! Characters that look like others: what a user meant by a character that no address contains.

/// The symbols of the alphabet that an ASCII character is mistaken for, as words of an error; empty if
/// there are none.
pub(super) const fn in_alphabet(symbol: char) -> &'static str {
    match symbol {
        'b' => "`6` or `h`",
        'B' => "`8`",
        'i' | '1' | '|' | '!' => "`l` or `j`",
        'I' => "`L` or `J`",
        'o' | 'O' => "`0`",
        '$' => "`s` or `5`",
        _ => "",
    }
}

/// The ASCII character that a character of another script looks like.
pub(super) fn in_ascii(symbol: char) -> Option<char> {
    // Full-width forms repeat ASCII at a fixed distance.
    if ('\u{ff01}'..='\u{ff5e}').contains(&symbol) {
        let ascii = u32::from(symbol).checked_sub(FULL_WIDTH_DISTANCE)?;
        return char::from_u32(ascii);
    }
    let pairs = LOOKALIKES.iter();
    pairs
        .flat_map(|(ascii, others)| others.chars().map(move |other| (*ascii, other)))
        .find_map(|(ascii, other)| (other == symbol).then_some(ascii))
}

const FULL_WIDTH_DISTANCE: u32 = 0xfee0;

/// For each ASCII character the characters that look like it: Cyrillic, Greek, Latin letters with marks
/// that word processors insert, and dashes.
const LOOKALIKES: &[(char, &str)] = &[
    ('a', "\u{430}\u{3b1}\u{e0}\u{e1}\u{e4}"),
    ('c', "\u{441}\u{3f2}\u{e7}"),
    ('d', "\u{501}"),
    ('e', "\u{435}\u{451}\u{e8}\u{e9}\u{ea}"),
    ('g', "\u{261}"),
    ('h', "\u{4bb}"),
    ('j', "\u{458}\u{3f3}"),
    ('k', "\u{43a}\u{3ba}"),
    ('l', "\u{4cf}\u{2113}\u{7c}"),
    ('m', "\u{43c}"),
    ('n', "\u{578}\u{f1}"),
    ('p', "\u{440}\u{3c1}"),
    ('q', "\u{51b}"),
    ('s', "\u{455}\u{17f}\u{df}"),
    ('u', "\u{57d}\u{3c5}\u{fc}"),
    ('v', "\u{475}\u{3bd}"),
    ('w', "\u{51d}\u{461}\u{3c9}"),
    ('x', "\u{445}\u{3c7}\u{d7}"),
    ('y', "\u{443}\u{3b3}"),
    ('z', "\u{290}"),
    ('A', "\u{410}\u{391}\u{c0}\u{c1}\u{c4}"),
    ('C', "\u{421}\u{3f9}"),
    ('E', "\u{415}\u{395}"),
    ('H', "\u{41d}\u{397}"),
    ('J', "\u{408}"),
    ('K', "\u{41a}\u{39a}\u{212a}"),
    ('M', "\u{41c}\u{39c}"),
    ('N', "\u{39d}"),
    ('P', "\u{420}\u{3a1}"),
    ('S', "\u{405}"),
    ('T', "\u{422}\u{3a4}"),
    ('X', "\u{425}\u{3a7}"),
    ('Y', "\u{423}\u{3a5}\u{4ae}"),
    ('Z', "\u{396}"),
    ('0', "\u{43e}\u{3bf}\u{41e}\u{39f}\u{f6}\u{660}\u{6f0}"),
    ('3', "\u{437}\u{417}"),
    ('6', "\u{431}"),
    ('-', "\u{2010}\u{2011}\u{2012}\u{2013}\u{2014}\u{2212}"),
];
