//! Plots of measured figures, as SVG.
//!
//! A plot is a string; the command line writes it to a file. Texts are left to the viewer's fonts, so
//! equal figures give equal files.

use plotters::prelude::{
    ChartBuilder, Circle, Color, DrawingAreaErrorKind, ErrorBar, IntoDrawingArea, IntoLogRange,
    LineSeries, Palette, Palette99, PathElement, SVGBackend, SeriesLabelPosition, WHITE,
};

use super::trial::score::Interval;

/// A figure as a function of one quantity, for several networks or adversaries.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What is shown.
    pub title: String,
    /// The quantity on the horizontal axis, with its unit. The axis is logarithmic.
    pub across: String,
    /// The figure on the vertical axis, with its unit. The axis is logarithmic.
    pub up: String,
    /// The curves.
    pub curves: Vec<Curve>,
}

/// One curve of a plot.
#[derive(Clone, Debug)]
pub struct Curve {
    /// Its name in the legend.
    pub name: String,
    /// Points with their confidence intervals, in ascending order.
    pub points: Vec<(f64, Interval)>,
}

/// A plot cannot be drawn.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is no point with positive values, which logarithmic axes need.
    #[error("the plot has no point with positive values")]
    Empty,
    /// The drawing failed.
    #[error("cannot draw the plot: {0}")]
    Drawing(String),
}

impl Plot {
    /// The plot as the text of an SVG file, 800 by 500 pixels.
    ///
    /// # Errors
    ///
    /// [`PlotError`] if there is no point, or the drawing fails.
    pub fn svg(&self) -> Result<String, PlotError> {
        let mut text = String::new();
        self.draw(&mut text)?;
        Ok(text)
    }

    fn draw(&self, text: &mut String) -> Result<(), PlotError> {
        let (across, up) = self.ranges().ok_or(PlotError::Empty)?;
        let area = SVGBackend::with_string(text, SIZE).into_drawing_area();
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(&area)
            .caption(&self.title, (FONT, 18))
            .margin(12)
            .x_label_area_size(44)
            .y_label_area_size(64)
            .build_cartesian_2d((across.0..across.1).log_scale(), (up.0..up.1).log_scale())?;
        chart
            .configure_mesh()
            .x_desc(&self.across)
            .y_desc(&self.up)
            .label_style((FONT, 13))
            .x_label_formatter(&|value| short(*value))
            .y_label_formatter(&|value| short(*value))
            .draw()?;
        for (number, curve) in self.curves.iter().enumerate() {
            let color = Palette99::pick(number).to_rgba();
            let points = || {
                curve
                    .points
                    .iter()
                    .filter(|(x, y)| *x > 0.0 && y.mean > 0.0)
            };
            let line = points().map(|(x, y)| (*x, y.mean));
            chart
                .draw_series(LineSeries::new(line.clone(), color.stroke_width(2)))?
                .label(&curve.name)
                .legend(move |(x, y)| PathElement::new([(x, y), (x + 16, y)], color));
            chart.draw_series(line.map(|point| Circle::new(point, 3, color.filled())))?;
            chart.draw_series(points().map(|(x, y)| {
                let low = (y.mean - y.plus_minus).max(up.0);
                ErrorBar::new_vertical(*x, low, y.mean, y.mean + y.plus_minus, color.filled(), 6)
            }))?;
        }
        chart
            .configure_series_labels()
            .position(SeriesLabelPosition::UpperLeft)
            .label_font((FONT, 13))
            .background_style(WHITE.mix(0.8))
            .draw()?;
        area.present()?;
        Ok(())
    }

    /// The ranges of both axes, with some room.
    fn ranges(&self) -> Option<((f64, f64), (f64, f64))> {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let across = range(points().map(|(x, _)| *x))?;
        let up = range(points().flat_map(|(_, y)| [y.mean, y.mean + y.plus_minus]))?;
        Some((across, up))
    }
}

impl<E: std::error::Error + Send + Sync> From<DrawingAreaErrorKind<E>> for PlotError {
    fn from(error: DrawingAreaErrorKind<E>) -> Self {
        Self::Drawing(error.to_string())
    }
}

/// A logarithmic range of the positive values.
fn range(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let positive = values.filter(|value| *value > 0.0 && value.is_finite());
    let (low, high) = positive.fold((f64::INFINITY, 0.0_f64), |(low, high), value| {
        (low.min(value), high.max(value))
    });
    (high > 0.0).then_some((low / 1.3, high * 1.3))
}

/// A number with few digits.
fn short(value: f64) -> String {
    if value >= 1.0 {
        format!("{value:.0}")
    } else {
        format!("{value:.4}").trim_end_matches('0').to_owned()
    }
}

const SIZE: (u32, u32) = (800, 500);
const FONT: &str = "sans-serif";

#[cfg(test)]
mod tests {
    use super::*;

    fn plot(points: Vec<(f64, Interval)>) -> Plot {
        Plot {
            title: "Best guess".to_owned(),
            across: "linked messages".to_owned(),
            up: "probability".to_owned(),
            curves: vec![Curve {
                name: "600 senders".to_owned(),
                points,
            }],
        }
    }

    #[test]
    fn plot_names_its_axes_and_curves() {
        let at = |mean| Interval {
            mean,
            plus_minus: mean / 10.0,
        };
        let plot = plot(vec![(1.0, at(0.005)), (10.0, at(0.03))]);
        let svg = plot.svg().unwrap();
        assert!(svg.starts_with("<svg") && svg.trim_end().ends_with("</svg>"));
        for text in [
            "Best guess",
            "linked messages",
            "probability",
            "600 senders",
        ] {
            assert!(svg.contains(text), "{text}");
        }
        assert_eq!(svg, plot.svg().unwrap());
    }

    #[test]
    fn plot_without_points_is_refused() {
        assert!(matches!(plot(Vec::new()).svg(), Err(PlotError::Empty)));
    }
}
