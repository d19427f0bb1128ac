//! What the path of a log file says of the container that writes it. Pure: the runtime is never asked.
//!
//! ```text
//! /var/log/containers/<pod>_<namespace>_<container>-<container id>.log
//! /var/log/pods/<namespace>_<pod>_<pod uid>/<container>/<restart count>.log[.<time of rotation>]
//! /var/lib/docker/containers/<container id>/<container id>-json.log
//! …/overlay-containers/<container id>/userdata/ctr.log                                          (Podman)
//! ```
//!
//! The attributes have OpenTelemetry's names (<https://opentelemetry.io/docs/specs/semconv/resource/k8s/>). Names of pods,
//! namespaces and containers have no `_` (RFC 1123), so that the parts are told apart for certain.

use std::path::Path;

use crate::model::{Attributes, Value};

/// What a path says.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContainerPath {
    /// `k8s.namespace.name`, `k8s.pod.name`, `k8s.pod.uid`, `k8s.container.name`, `k8s.container.restart_count`, `container.id`, as far as
    /// they are said.
    pub attributes: Attributes,
    /// The container's name, which stands for the service where nothing else is said.
    pub service: Option<String>,
}

/// Hexadecimal digits of a container's id.
const CONTAINER_ID_DIGITS: usize = 64;

/// Reads the path of a log file; nothing is said by those that no container runtime writes.
pub fn container_path(path: &Path) -> ContainerPath {
    let parts: Option<Vec<&str>> = path.iter().map(|part| part.to_str()).collect();
    let found = match parts.as_deref().unwrap_or_default() {
        [.., "containers", name] => of_container_link(name),
        [.., "pods", pod, container, name] => of_pod(pod, container, name),
        [.., "containers", id, name] if name.starts_with(id) => of_id(id),
        [.., "overlay-containers", id, "userdata", _] => of_id(id),
        _ => None,
    };
    found.unwrap_or_default()
}

fn of_container_link(name: &str) -> Option<ContainerPath> {
    let mut parts = name.strip_suffix(".log")?.split('_');
    let (pod, namespace, container) = (parts.next()?, parts.next()?, parts.next()?);
    let (container, id) = container.rsplit_once('-')?;
    let is_one = parts.next().is_none() && is_container_id(id) && [pod, namespace, container].into_iter().all(is_name);
    is_one.then(|| said(namespace, pod, container, [("container.id", id.into())]))
}

fn of_pod(pod: &str, container: &str, name: &str) -> Option<ContainerPath> {
    let mut parts = pod.split('_');
    let (namespace, pod, uid) = (parts.next()?, parts.next()?, parts.next()?);
    let (restarts, _) = name.split_once(".log")?;
    let restarts: i64 = restarts.parse().ok()?;
    let is_one = parts.next().is_none() && [namespace, pod, uid, container].into_iter().all(is_name);
    let more = [("k8s.pod.uid", uid.into()), ("k8s.container.restart_count", Value::Int(restarts))];
    is_one.then(|| said(namespace, pod, container, more))
}

fn of_id(id: &str) -> Option<ContainerPath> {
    let attributes = vec![("container.id".into(), id.into())];
    is_container_id(id).then_some(ContainerPath { attributes, service: None })
}

fn said<const N: usize>(namespace: &str, pod: &str, container: &str, more: [(&str, Value); N]) -> ContainerPath {
    let names = [("k8s.namespace.name", namespace), ("k8s.pod.name", pod), ("k8s.container.name", container)];
    let names = names.into_iter().map(|(name, value)| (name, Value::from(value)));
    ContainerPath {
        attributes: names.chain(more).map(|(name, value)| (name.into(), value)).collect(),
        service: Some(container.to_owned()),
    }
}

fn is_name(part: &str) -> bool {
    !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
}

fn is_container_id(id: &str) -> bool {
    id.len() == CONTAINER_ID_DIGITS && id.bytes().all(|b| b.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn paths_of_container_runtimes_say_whose_they_are() {
        let id = "0123456789abcdef".repeat(4);
        let check = |path: &str, expected: &str| {
            let said = container_path(Path::new(&path.replace("ID", &id)));
            let shown: Vec<_> = said.attributes.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let shown = format!("{}|{}", said.service.unwrap_or_default(), shown.join(" "));
            assert_eq!(shown, expected.replace("ID", &id), "{path}");
        };
        check(
            "/var/log/containers/cart-5d8f7b9c4-x2x7z_shop_cart-ID.log",
            "cart|k8s.namespace.name=shop k8s.pod.name=cart-5d8f7b9c4-x2x7z k8s.container.name=cart container.id=ID",
        );
        check(
            "/var/log/pods/shop_cart-5d8f7b9c4-x2x7z_123e4567-e89b-12d3-a456-426614174000/side-car/3.log",
            "side-car|k8s.namespace.name=shop k8s.pod.name=cart-5d8f7b9c4-x2x7z k8s.container.name=side-car \
             k8s.pod.uid=123e4567-e89b-12d3-a456-426614174000 k8s.container.restart_count=3",
        );
        check(
            "/var/log/pods/kube-system_etcd-node.1_0a1b/etcd/0.log.20261121-073300",
            "etcd|k8s.namespace.name=kube-system k8s.pod.name=etcd-node.1 k8s.container.name=etcd k8s.pod.uid=0a1b k8s.container.restart_count=0",
        );
        check("/var/lib/docker/containers/ID/ID-json.log", "|container.id=ID");
        check("/home/u/.local/share/containers/storage/overlay-containers/ID/userdata/ctr.log", "|container.id=ID");
        for path in [
            "/var/log/nginx/access.log",
            "/var/log/containers/readme.log",
            "/var/log/containers/pod_shop_cart-short.log",
            "/var/log/containers/pod_shop_more_cart-ID.log",
            "/var/log/containers/Pod_shop_cart-ID.log",
            "/var/log/pods/shop_cart/cart/0.log",
            "/var/log/pods/shop_cart_uid/cart/app.log",
            "/var/lib/docker/containers/ID/other.log",
            "/var/lib/docker/containers/x/x-json.log",
            "containers",
            "",
        ] {
            check(path, "|");
        }
    }

    proptest! {
        #[test]
        fn no_path_makes_it_panic(path in "\\PC{0,40}", parts in prop::collection::vec(
            prop::sample::select(vec!["/", "containers", "pods", "_", "-", "a", ".log", "0", "é", "overlay-containers", "userdata"]), 0..12)) {
            container_path(Path::new(&path));
            container_path(Path::new(&parts.concat()));
        }
    }
}
