//! The style sheet and the script, which are parts of the program.

use axum::http::header;
use axum::response::IntoResponse;

pub(super) async fn style() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/css; charset=utf-8")],
        include_str!("templates/app.css"),
    )
}

pub(super) async fn script() -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, "text/javascript; charset=utf-8")],
        include_str!("templates/app.js"),
    )
}

#[cfg(test)]
mod tests;
