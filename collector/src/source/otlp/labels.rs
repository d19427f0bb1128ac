//! Attributes become labels; those that tie a point to a trace become its exemplar's ids.

use std::sync::Arc;

use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::resource::v1::Resource;

use super::Config;
use super::attributes::value_text;
use crate::model::LabelSet;
use crate::model::label_set::NAME_LABEL;

/// The series that holds what is known of a resource.
pub const TARGET_INFO: &str = "target_info";

/// Attributes that have a label of another name.
const RENAMED: [(&str, &str); 3] =
    [("service.name", "service"), ("service.instance.id", "instance"), ("host.name", "host")];

/// Name and value.
pub type Label = (String, String);

/// The labels of a resource.
#[derive(Clone, Debug, Default)]
pub struct ResourceLabels {
    /// Those of all its series.
    pub shared: Vec<Label>,
    /// What else is known of it.
    pub others: Vec<Label>,
}

impl ResourceLabels {
    /// Of a resource, by the settings.
    pub fn of(resource: Option<&Resource>, config: &Config) -> ResourceLabels {
        let mut labels = ResourceLabels::default();
        for attribute in resource.iter().flat_map(|resource| &resource.attributes) {
            let value = value_text(attribute.value.as_ref());
            let name = &attribute.key;
            match RENAMED.iter().find(|(renamed, _)| renamed == name) {
                Some((_, label)) => labels.shared.push(((*label).to_owned(), value)),
                None if config.resource_labels.contains(name) => labels.shared.push((name.clone(), value)),
                None => labels.others.push((name.clone(), value)),
            }
        }
        labels
    }
}

/// The labels of a series: of two with one name the last given stands, the name cannot be taken. None when they are too long.
pub fn label_set(name: &str, labels: &[&[Label]], bytes_max: usize) -> Option<Arc<LabelSet>> {
    let all = || labels.iter().copied().flatten().filter(|(name, _)| name != NAME_LABEL && !name.is_empty());
    let bytes: usize = all().map(|(name, value)| name.len() + value.len()).sum();
    let name = [(NAME_LABEL, name)];
    let pairs = all().map(|(name, value)| (name.as_str(), value.as_str())).chain(name);
    (bytes + name[0].1.len() <= bytes_max).then(|| Arc::new(LabelSet::new(pairs)))
}

/// An attribute as a label.
pub fn label(attribute: &KeyValue) -> Label {
    (attribute.key.clone(), value_text(attribute.value.as_ref()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attributes(json: serde_json::Value) -> Vec<KeyValue> {
        serde_json::from_value(json).unwrap()
    }

    #[test]
    fn values_of_every_type_have_a_text() {
        let attributes = attributes(serde_json::json!([
            { "key": "text", "value": { "stringValue": "a b" } },
            { "key": "truth", "value": { "boolValue": true } },
            { "key": "whole", "value": { "intValue": "-7" } },
            { "key": "double", "value": { "doubleValue": 1.5 } },
            { "key": "list", "value": { "arrayValue": { "values": [{ "intValue": "1" }, { "stringValue": "x" }] } } },
            { "key": "none" },
        ]));
        let found: Vec<Label> = attributes.iter().map(label).collect();
        let expected = [
            ("text", "a b"),
            ("truth", "true"),
            ("whole", "-7"),
            ("double", "1.5"),
            ("list", "[1,\"x\"]"),
            ("none", ""),
        ];
        assert_eq!(found, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn the_points_own_labels_stand_before_the_resources() {
        let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let resource = [label("host", "web-1"), label("service", "shop")];
        let point = [label("host", "db-1"), label("__name__", "other"), label("empty", ""), label("", "x")];
        let labels = label_set("a.b", &[&resource, &point], 1_000).unwrap();
        assert_eq!(labels.to_string(), r#"{"a.b", host="db-1", service="shop"}"#);
        assert!(label_set("a.b", &[&resource, &point], 20).is_none());
    }
}
