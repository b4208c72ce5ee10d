//! The contrast of every pair of colours that the style sheet puts together, by WCAG 2's formula.

use std::collections::BTreeMap;

const STYLE: &str = include_str!("../templates/app.css");

/// Text and its background: 4.5 or more.
const TEXTS: [(&str, &str); 24] = [
    ("text", "ground"),
    ("text", "panel"),
    ("soft", "ground"),
    ("soft", "panel"),
    ("link", "ground"),
    ("link", "panel"),
    ("good", "ground"),
    ("good", "panel"),
    ("warn", "ground"),
    ("warn", "panel"),
    ("bad", "ground"),
    ("bad", "panel"),
    ("text", "own"),
    ("soft", "own"),
    ("link", "own"),
    ("good", "own"),
    ("warn", "own"),
    ("text", "new"),
    ("soft", "new"),
    ("link", "new"),
    ("warn", "new"),
    ("on-accent", "accent"),
    ("panel", "bad"),
    ("text", "line"),
];
/// Shapes that carry a meaning, and what they stand on: 3 or more.
const SHAPES: [(&str, &str); 5] = [
    ("soft", "ground"),
    ("soft", "panel"),
    ("accent", "line"),
    ("accent", "panel"),
    ("bad", "panel"),
];

/// The colours of a block, by name.
fn colours(block: &str) -> BTreeMap<&str, [f64; 3]> {
    let declarations = block.split(';').filter_map(|declaration| {
        let (_, declaration) = declaration.rsplit_once("--")?;
        let (name, value) = declaration.split_once(": #")?;
        let digits = hex::decode(value.trim()).ok()?;
        let bytes: [u8; 3] = digits.try_into().ok()?;
        Some((name, bytes.map(|byte| f64::from(byte) / 255.0)))
    });
    declarations.collect()
}

/// The relative luminance of a colour.
fn luminance(colour: [f64; 3]) -> f64 {
    let [red, green, blue] = colour.map(|part| {
        if part <= 0.040_45 {
            part / 12.92
        } else {
            ((part + 0.055) / 1.055).powf(2.4)
        }
    });
    0.2126 * red + 0.7152 * green + 0.0722 * blue
}

fn contrast(one: [f64; 3], other: [f64; 3]) -> f64 {
    let (a, b) = (luminance(one) + 0.05, luminance(other) + 0.05);
    if a > b { a / b } else { b / a }
}

#[test]
fn every_text_has_contrast_under_both_colour_schemes() {
    let (light, rest) = STYLE
        .split_once("@media (prefers-color-scheme: dark)")
        .unwrap();
    let (dark, _) = rest.split_once("* {").unwrap();
    for (scheme, block) in [("light", light), ("dark", dark)] {
        let colours = colours(block);
        let pairs = TEXTS.map(|pair| (pair, 4.5));
        for ((front, back), least) in pairs.into_iter().chain(SHAPES.map(|pair| (pair, 3.0))) {
            let found = contrast(colours[front], colours[back]);
            assert!(found >= least, "{scheme}: {front} on {back} has {found:.2}");
        }
    }
}

#[test]
fn contrast_of_black_and_white_is_21() {
    assert!((contrast([0.0; 3], [1.0; 3]) - 21.0).abs() < 1e-9);
    assert!((contrast([1.0; 3], [1.0; 3]) - 1.0).abs() < 1e-9);
}

#[test]
fn style_sheet_loads_nothing() {
    for word in ["url(", "@import", "http"] {
        assert!(!STYLE.contains(word), "{word}");
    }
}
