//! The section `collector.otlp`.

use serde::{Deserialize, Serialize};

use crate::config::ListenAddress;
use crate::enrich::Switch;

/// Ports, labels and limits of OpenTelemetry's protocol.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address of its own for gRPC (`127.0.0.1:4317` is where senders look); port 0 takes a free one. Default `off`. The server's own
    /// port takes gRPC too; an agent has no other.
    pub grpc_address: ListenAddress,
    /// Address of its own for HTTP (`127.0.0.1:4318` is where senders look). Default `off`, for the same reason.
    pub http_address: ListenAddress,
    /// Attributes of the resource that become labels of every series of it, beside `service`, `instance` and `host`. Default: the
    /// environment, and Kubernetes' namespace and pod. Each makes new series wherever its value changes; all others are found at
    /// `target_info`.
    pub resource_labels: Vec<String>,
    /// Largest body as it is sent, in bytes; a larger one is answered 413. Default 20 MiB.
    pub body_bytes_max: usize,
    /// Largest body once decompressed, in bytes; a larger one is answered 413 however small it came. Default 32 MiB.
    pub decompressed_bytes_max: usize,
    /// Most samples that one request may give; more are answered 413. Default 200,000. A histogram gives one for each bucket, and a
    /// sample takes some hundred bytes while it is stored.
    pub samples_max: usize,
    /// Most log records, or spans and events of spans, that one request may hold; more are answered 413. Default 200,000.
    pub records_max: usize,
    /// Largest text of one record, in bytes; what is beyond is cut and the record marked `taffrail.truncated`. Default 1 MiB.
    pub line_bytes_max: usize,
    /// Whether secrets are replaced in log records and spans, by the rules of `collector.lines`: `on` or `off`. Default `off`, as for
    /// other records that programs send; switch it on where they may hold secrets.
    pub redact: Switch,
    /// Longest labels of one series, names and values together, in bytes; a point beyond is rejected, its neighbours are stored.
    /// Default 16 KiB.
    pub labels_bytes_max: usize,
}

impl Default for Config {
    fn default() -> Config {
        let promoted = [
            "deployment.environment",
            "deployment.environment.name",
            "k8s.namespace.name",
            "k8s.pod.name",
            "service.namespace",
        ];
        Config {
            grpc_address: ListenAddress::Off,
            http_address: ListenAddress::Off,
            resource_labels: promoted.map(str::to_owned).to_vec(),
            body_bytes_max: 20 << 20,
            decompressed_bytes_max: 32 << 20,
            samples_max: 200_000,
            records_max: 200_000,
            line_bytes_max: 1 << 20,
            redact: Switch::Off,
            labels_bytes_max: 16 << 10,
        }
    }
}
