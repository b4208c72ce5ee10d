//! QR codes of addresses: modules, rows of half blocks for a terminal, and SVG.
//!
//! Error correction level M, a quiet zone of four modules on each side, as the standard requires. The
//! colours of a terminal and the encoding of PNG belong to the command line.

use qrcode::render::svg;
use qrcode::{Color, EcLevel, QrCode};

/// A QR code.
pub struct QrMatrix {
    code: QrCode,
    dark: Vec<bool>,
}

impl QrMatrix {
    /// Modules of the quiet zone on each side.
    pub const QUIET_ZONE: usize = 4;

    /// The code of a text.
    ///
    /// # Errors
    ///
    /// [`QrTooLong`] if the text does not fit in a code.
    pub fn new(text: &str) -> Result<Self, QrTooLong> {
        let code = QrCode::with_error_correction_level(text, EcLevel::M).map_err(|_| QrTooLong)?;
        let colors = code.to_colors();
        let dark = colors.iter().map(|color| *color == Color::Dark).collect();
        Ok(Self { code, dark })
    }

    /// Modules on one side, the quiet zone included.
    #[must_use]
    pub fn side(&self) -> usize {
        self.code.width() + 2 * Self::QUIET_ZONE
    }

    /// Whether a module is dark. `column` and `row` count from the corner of the quiet zone; a module
    /// outside of the code is light.
    #[must_use]
    pub fn is_dark(&self, column: usize, row: usize) -> bool {
        let width = self.code.width();
        let inside = |at: usize| {
            at.checked_sub(Self::QUIET_ZONE)
                .filter(|inner| *inner < width)
        };
        let (Some(column), Some(row)) = (inside(column), inside(row)) else {
            return false;
        };
        self.dark.get(row * width + column) == Some(&true)
    }

    /// Rows of text, each for two rows of modules: a dark half is drawn, a light half is background. The
    /// terminal has to print dark on light.
    #[must_use]
    pub fn half_blocks(&self) -> Vec<String> {
        let row = |upper: usize| {
            let block =
                |column| match (self.is_dark(column, upper), self.is_dark(column, upper + 1)) {
                    (false, false) => ' ',
                    (true, false) => '\u{2580}',
                    (false, true) => '\u{2584}',
                    (true, true) => '\u{2588}',
                };
            (0..self.side()).map(block).collect()
        };
        (0..self.side()).step_by(2).map(row).collect()
    }

    /// The code as an SVG document of 8 units a module.
    #[must_use]
    pub fn svg(&self) -> String {
        self.code
            .render::<svg::Color<'_>>()
            .quiet_zone(true)
            .module_dimensions(8, 8)
            .build()
    }
}

/// The text does not fit in a QR code.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the text is too long for a QR code")]
pub struct QrTooLong;

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "SHH:SHH1Q8Z7Y0G0D69EKU582FFHK0PC4NW8HVLEXG9PQ3KW0ZVL79JSZ9NHSA46GRY";

    #[test]
    fn address_fits_in_version_4_with_quiet_zone() {
        let code = QrMatrix::new(TEXT).unwrap();
        assert_eq!(code.side(), 33 + 8);
        for at in 0..code.side() {
            for edge in [0, 3, 37, 40] {
                assert!(!code.is_dark(at, edge) && !code.is_dark(edge, at));
            }
        }
        // The finder pattern in the corner: seven dark modules, then a light one.
        assert!((4..11).all(|at| code.is_dark(at, 4)) && !code.is_dark(11, 4));
        assert!(!code.is_dark(100, 100));
    }

    #[test]
    fn half_blocks_show_every_module() {
        let code = QrMatrix::new(TEXT).unwrap();
        let rows = code.half_blocks();
        assert_eq!(rows.len(), 21);
        for (row, line) in rows.iter().enumerate() {
            for (column, block) in line.chars().enumerate() {
                let upper = matches!(block, '\u{2580}' | '\u{2588}');
                let lower = matches!(block, '\u{2584}' | '\u{2588}');
                assert_eq!(upper, code.is_dark(column, 2 * row));
                assert_eq!(lower, code.is_dark(column, 2 * row + 1));
            }
        }
    }

    #[test]
    fn svg_has_the_size_of_its_modules() {
        let svg = QrMatrix::new(TEXT).unwrap().svg();
        assert!(svg.starts_with("<?xml"), "{svg}");
        assert!(svg.contains("width=\"328\" height=\"328\""), "{svg}");
    }

    #[test]
    fn text_too_long_for_a_code_is_refused() {
        assert_eq!(QrMatrix::new(&"x".repeat(3_000)).err(), Some(QrTooLong));
    }
}
