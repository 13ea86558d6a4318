//! The Home screen.

use crate::app::overview::Overview;

#[derive(Debug, Default)]
pub struct Home {
    /// `None` before the first answer.
    pub overview: Option<Box<Overview>>,
    /// Line of what needs attention under the cursor.
    pub row: usize,
    /// Why there are no figures.
    pub problem: Option<String>,
}
