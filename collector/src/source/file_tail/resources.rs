//! Who said the lines of one file: this host, the group's service, the file, and a container's stream.

use std::path::Path;
use std::sync::Arc;

use super::assembly::Origin;
use crate::enrich::container_path;
use crate::model::{Resource, Value};

/// The resources of one file's records, one for each origin, shared by all of them.
pub(super) struct Resources([Arc<Resource>; 3]);

impl Resources {
    /// Those of the file that is shown as `path`.
    pub(super) fn new(host: &Resource, service: &str, path: &Path) -> Resources {
        let mut of_file = host.clone();
        let container = container_path(path);
        if !service.is_empty() {
            of_file.service = service.into();
        } else if let Some(service) = container.service {
            of_file.service = service.into();
        }
        of_file.attributes.extend(container.attributes);
        of_file.attributes.push(("log.file.path".into(), Value::String(path.display().to_string())));
        let of_stream = |name: &str| {
            let mut resource = of_file.clone();
            resource.attributes.push(("stream".into(), name.into()));
            Arc::new(resource)
        };
        let (stdout, stderr) = (of_stream("stdout"), of_stream("stderr"));
        Resources([Arc::new(of_file), stdout, stderr])
    }

    /// That of one origin.
    #[inline]
    pub(super) fn of(&self, origin: Origin) -> &Arc<Resource> {
        match origin {
            Origin::File => &self.0[0],
            Origin::Stdout => &self.0[1],
            Origin::Stderr => &self.0[2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_container_of_a_file_is_its_service_unless_the_group_names_one() {
        let check = |service: &str, expected: &str| {
            let path = Path::new("/var/log/pods/shop_cart-1_uid/cart/0.log");
            let resources = Resources::new(&Resource { host: "web-1".into(), ..Resource::default() }, service, path);
            let resource = resources.of(Origin::Stderr);
            assert_eq!((&*resource.host, &*resource.service), ("web-1", expected));
            let names: Vec<_> = resource.attributes.iter().map(|(name, _)| &**name).collect();
            let pod = [
                "k8s.namespace.name",
                "k8s.pod.name",
                "k8s.container.name",
                "k8s.pod.uid",
                "k8s.container.restart_count",
            ];
            assert_eq!(names, [&pod[..], &["log.file.path", "stream"]].concat());
        };
        check("", "cart");
        check("web", "web");
    }
}
