//! Which log records are annotations, and what they say: DogStatsD's events always, others by the rules of
//! `[[annotations.from_logs]]`.

use std::sync::Arc;

use taffrail_collector::model::LogRecord;
use taffrail_ingest::catalog::annotations::{Annotation, DEPLOY};
use taffrail_ingest::log_store::{CompiledFilter, Field, Filter, RecordId};

use crate::api::record_json::record_id_text;

/// What DogStatsD's events have and other records do not.
pub const EVENT_FIELD: &str = "event.title";

/// Words by which an event is a deploy, unless it says its kind.
const DEPLOY_WORDS: [&str; 6] = ["deploy", "deployed", "deployment", "release", "released", "rollout"];

/// So much of a record is an annotation's text, in bytes.
const TEXT_BYTES_MAX: usize = 2_000;
/// So much of a record is a service or a version, in bytes.
const NAME_BYTES_MAX: usize = 200;

/// A rule that makes annotations of log records.
#[derive(Clone, Debug)]
pub struct AnnotationRule {
    /// Which records.
    pub filter: Filter,
    /// The same, ready to be asked.
    pub matching: Arc<CompiledFilter>,
    /// Of what kind the annotation is.
    pub kind: String,
    /// The fields that say service, version, author and text.
    pub fields: AnnotationFields,
}

/// Where a record says what an annotation says.
#[derive(Clone, Debug)]
pub struct AnnotationFields {
    /// Its service.
    pub service: Field,
    /// Its version.
    pub version: Field,
    /// Its author.
    pub author: Field,
    /// Its text.
    pub text: Field,
}

impl AnnotationRule {
    /// What the record says by this rule; none when it is not meant.
    pub fn annotation(&self, id: RecordId, record: &LogRecord) -> Option<Annotation> {
        self.matching.matches(record).then(|| self.fields.read(id, record, self.kind.clone(), "log"))
    }
}

impl Default for AnnotationFields {
    fn default() -> AnnotationFields {
        AnnotationFields {
            service: Field::named("service"),
            version: Field::named("version"),
            author: Field::named("author"),
            text: Field::named("message"),
        }
    }
}

impl AnnotationFields {
    fn read(&self, id: RecordId, record: &LogRecord, kind: String, source: &str) -> Annotation {
        let say = |field: &Field, bytes_max: usize| {
            let mut said = String::new();
            field.visit_values(record, &mut |value| {
                if said.is_empty() {
                    said.push_str(&value[..value.floor_char_boundary(bytes_max)]);
                }
            });
            said
        };
        Annotation {
            id: format!("log-{}", record_id_text(id)),
            time: id.time,
            end: None,
            kind,
            service: say(&self.service, NAME_BYTES_MAX),
            version: say(&self.version, NAME_BYTES_MAX),
            text: say(&self.text, TEXT_BYTES_MAX),
            author: say(&self.author, NAME_BYTES_MAX),
            links: Vec::new(),
            source: source.to_owned(),
        }
    }
}

/// The annotation that a DogStatsD event is; none for other records. Its kind is its tag `kind`, or `deploy` when its title, source
/// or aggregation key speaks of one, else `event`; tags give service, version and author.
pub fn of_event(id: RecordId, record: &LogRecord) -> Option<Annotation> {
    let text = |name: &str| {
        let found = record.attributes.iter().find(|(key, _)| &**key == name);
        found.and_then(|(_, value)| value.as_str())
    };
    let title = text(EVENT_FIELD)?;
    let speaks_of_deploy = || {
        let said = [Some(title), text("event.source_type"), text("event.aggregation_key")];
        let words = said.into_iter().flatten().flat_map(|text| text.split(|c: char| !c.is_alphanumeric()));
        words.into_iter().any(|word| DEPLOY_WORDS.iter().any(|known| word.eq_ignore_ascii_case(known)))
    };
    let kind = match text("kind") {
        Some(kind) if !kind.is_empty() && kind.len() <= 64 => kind.to_owned(),
        _ if speaks_of_deploy() => DEPLOY.to_owned(),
        _ => "event".to_owned(),
    };
    Some(AnnotationFields::default().read(id, record, kind, "statsd"))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use taffrail_collector::model::{Resource, Timestamp};
    use taffrail_collector::source::statsd::event;
    use taffrail_query::log_search;

    use super::*;

    fn id() -> RecordId {
        RecordId { time: Timestamp::from_unix_seconds(7), seq: 3 }
    }

    fn record(line: &str) -> LogRecord {
        event::parse(line, Timestamp::from_unix_seconds(7), &Arc::new(Resource::default())).unwrap().record
    }

    fn shown(annotation: Option<Annotation>) -> String {
        annotation.map_or_else(String::new, |one| {
            format!("{} {}/{} {:?} by {:?} ({})", one.kind, one.service, one.version, one.text, one.author, one.source)
        })
    }

    #[test]
    fn statsd_events_are_annotations_and_those_that_speak_of_deploys_are_deploys() {
        let check = |line: &str, expected: &str| assert_eq!(shown(of_event(id(), &record(line))), expected, "{line}");
        check(
            "_e{11,4}:Deployed it|done|#service:web,version:1.2,author:ann",
            r#"deploy web/1.2 "Deployed it: done" by "ann" (statsd)"#,
        );
        check("_e{4,1}:boom|x|k:Release", r#"deploy / "boom: x" by "" (statsd)"#);
        check("_e{4,1}:boom|x|s:rollouts", r#"event / "boom: x" by "" (statsd)"#);
        check("_e{8,1}:released|x|#kind:note", r#"note / "released: x" by "" (statsd)"#);
        check("_sc|db.deploy|0", "");
    }

    #[test]
    fn a_rule_says_which_records_and_where_they_say_what() {
        let filter = log_search::parse("event.title:shipped").unwrap();
        let fields = AnnotationFields { service: Field::named("app"), ..AnnotationFields::default() };
        let matching = Arc::new(filter.compile().unwrap());
        let rule = AnnotationRule { filter, matching, kind: "deploy".to_owned(), fields };
        let check = |line: &str, expected: &str| assert_eq!(shown(rule.annotation(id(), &record(line))), expected);
        check("_e{7,1}:shipped|x|#app:shop,version:7", r#"deploy shop/7 "shipped: x" by "" (log)"#);
        check("_e{4,1}:boom|x|#app:shop,version:7", "");
    }
}
