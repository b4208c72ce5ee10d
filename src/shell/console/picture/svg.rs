//! Writes SVG: a few shapes, numbers with one decimal, text that is escaped.

use core::fmt::{self, Display, Write};

use crate::printable::one_line;

/// A finished picture: SVG to be placed inside a page. Everything in it that came from outside is escaped.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::shell::console) struct Picture(String);

impl Display for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Pages show it as it is.
impl askama::filters::HtmlSafe for Picture {}

/// A picture that is being drawn. Lengths are in units of the picture, which the page scales.
pub(super) struct Canvas {
    svg: String,
}

/// Where a text stands with respect to its point.
#[derive(Clone, Copy, Debug)]
pub(super) enum Anchor {
    /// The text begins there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

impl Canvas {
    /// An empty picture of this size. `title` is read aloud in place of the picture.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut canvas = Self { svg: String::new() };
        canvas.add(format_args!(
            "<svg class=\"picture\" role=\"img\" viewBox=\"0 0 {width:.0} {height:.0}\"><title>{}</title>",
            Escaped(title)
        ));
        canvas
    }

    /// A rectangle by its corner and its size.
    pub(super) fn rect(&mut self, class: &str, (x, y): (f64, f64), (width, height): (f64, f64)) {
        self.add(format_args!(
            "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>"
        ));
    }

    /// A circle by its centre and radius.
    pub(super) fn circle(&mut self, class: &str, (x, y): (f64, f64), radius: f64) {
        self.add(format_args!(
            "<circle class=\"{class}\" cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius:.1}\"/>"
        ));
    }

    /// A straight line.
    pub(super) fn line(&mut self, class: &str, (x1, y1): (f64, f64), (x2, y2): (f64, f64)) {
        self.add(format_args!(
            "<line class=\"{class}\" x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\"/>"
        ));
    }

    /// A filled outline. `data` consists of commands with numbers, not of text from outside.
    pub(super) fn path(&mut self, class: &str, data: &str) {
        self.add(format_args!("<path class=\"{class}\" d=\"{data}\"/>"));
    }

    /// A text on one line, with characters made visible that would change the order of others.
    pub(super) fn text(&mut self, class: &str, (x, y): (f64, f64), anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        self.add(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
            Escaped(text)
        ));
    }

    /// The finished picture.
    pub(super) fn finish(mut self) -> Picture {
        self.svg.push_str("</svg>");
        Picture(self.svg)
    }

    fn add(&mut self, element: fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = self.svg.write_fmt(element);
    }
}

/// Text in which nothing has a meaning in SVG.
struct Escaped<'a>(&'a str);

impl Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for c in one_line(self.0).chars() {
            match c {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                c => f.write_char(c)?,
            }
        }
        Ok(())
    }
}

/// A count as a length. Counts above 2^32 do not occur in pictures, and saturate.
pub(super) fn length(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
