//! Who said the lines of one file: this host, the group's service, the file, and a container's stream.

use std::path::Path;
use std::sync::Arc;

use super::assembly::Origin;
use crate::model::{Resource, Value};

/// The resources of one file's records, one for each origin, shared by all of them.
pub(super) struct Resources([Arc<Resource>; 3]);

impl Resources {
    /// Those of the file that is shown as `path`.
    pub(super) fn new(host: &Resource, service: &str, path: &Path) -> Resources {
        let mut of_file = host.clone();
        if !service.is_empty() {
            of_file.service = service.into();
        }
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
