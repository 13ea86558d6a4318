//! wip
pub struct HttpServer(tokio::net::TcpListener);
pub async fn bind(_app: crate::app::App, config: std::sync::Arc<crate::config::Config>) -> std::io::Result<(HttpServer, std::net::SocketAddr)> {
    let listener = tokio::net::TcpListener::bind(config.server.listen).await?;
    let address = listener.local_addr()?;
    Ok((HttpServer(listener), address))
}
impl HttpServer {
    pub async fn serve(self, shutdown: impl Future<Output = ()>) {
        shutdown.await;
        drop(self.0);
    }
}
