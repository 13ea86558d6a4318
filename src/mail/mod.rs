//! wip
pub async fn deliver(
    _app: crate::app::App,
    _config: std::sync::Arc<crate::config::Config>,
    shutdown: impl Future<Output = ()> + Send,
) {
    shutdown.await;
}
