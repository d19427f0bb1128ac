//! The ports of OTLP's own: 4317 for gRPC and 4318 for HTTP, as senders expect them. Both take both.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;

use super::receiver::Receiver;
use super::{Config, grpc, routes};
use crate::config::ListenAddress;
use crate::http_server;
use crate::source::{Running, SourceContext, StartError};

/// How long stopping waits for requests that are open.
const DRAIN_TIME_MAX: Duration = Duration::from_secs(5);

/// Binds and starts what the section switches on; where that is `off`, its task ends at once. The ports share their limits.
pub fn start(config: &Config, context: &SourceContext) -> Result<[Running; 2], StartError> {
    let receiver = Arc::new(Receiver::new(config.clone(), context));
    let router = routes::routes_of(&receiver).fallback(grpc::unknown_method);
    let listen = |kind, setting, address| listen(kind, setting, address, &router, context);
    Ok([
        listen("otlp_grpc", "collector.otlp.grpc_address", config.grpc_address)?,
        listen("otlp_http", "collector.otlp.http_address", config.http_address)?,
    ])
}

fn listen(
    kind: &'static str,
    setting: &'static str,
    address: ListenAddress,
    router: &Router,
    context: &SourceContext,
) -> Result<Running, StartError> {
    let Some(address) = address.address() else {
        return Ok(Running { kind, address: None, task: tokio::spawn(async {}) });
    };
    let (listener, address) = bind(address).map_err(|error| StartError {
        setting,
        message: format!("cannot listen on {address}: {error}; choose another port, or off"),
    })?;
    let running = http_server::serve(listener, router.clone());
    let stop = context.stop.clone();
    let task = tokio::spawn(async move {
        stop.cancelled().await;
        running.stop(DRAIN_TIME_MAX).await;
    });
    Ok(Running { kind, address: Some(address), task })
}

fn bind(address: SocketAddr) -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = std::net::TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    Ok((TcpListener::from_std(listener)?, address))
}
