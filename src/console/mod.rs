//! wip
pub struct Options {
    pub query: Option<String>,
    pub read_only: bool,
    pub write: bool,
    pub no_color: bool,
}
#[allow(clippy::unused_async)]
pub async fn run(
    _config: std::sync::Arc<crate::config::Config>,
    _operator: crate::admin::Operator,
    _options: Options,
) -> std::io::Result<()> {
    Ok(())
}
