//! Annotations as the catalog keeps them: what people and programs say happened at a moment (a deploy, an incident, a note),
//! until they delete it or newer ones take its place.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::Serialize;
use taffrail_collector::model::Timestamp;

use super::{Catalog, CatalogError, TENANT};
use crate::scan::TimeRange;

/// The kind of annotation that outlives all others when there is no room: the questions of months later are about deploys.
pub const DEPLOY: &str = "deploy";

/// Something that happened, besides what logs and metrics say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Annotation {
    /// Its name; one that is written again under the same name takes the place of the first.
    pub id: String,
    /// When it happened.
    #[serde(serialize_with = "as_text")]
    pub time: Timestamp,
    /// When it was over, when it took a while.
    #[serde(serialize_with = "perhaps_as_text")]
    pub end: Option<Timestamp>,
    /// Of what kind it is: `deploy`, `note`, `event` …
    pub kind: String,
    /// The service that it is about; empty when it is about all.
    pub service: String,
    /// The version that was deployed; empty when none is said.
    pub version: String,
    /// What people read.
    pub text: String,
    /// Who said so.
    pub author: String,
    /// Where more is told.
    pub links: Vec<String>,
    /// Where it came from: `api`, `statsd` or `log`.
    pub source: String,
}

/// Which annotations.
#[derive(Clone, Debug)]
pub struct AnnotationQuestion {
    /// Those that happened, or lasted, in this time.
    pub range: TimeRange,
    /// Of these kinds; of any when empty.
    pub kinds: Vec<String>,
    /// About these services, and those about all; about any when empty.
    pub services: Vec<String>,
    /// The newest so many.
    pub limit: usize,
}

const COLUMNS: &str = "id, time, end_time, kind, service, version, text, author, links, source";

impl Catalog {
    /// Writes annotations down, all or none; durable when this returns. Returns how many others had to leave so that there are
    /// `count_max` at most: the oldest, and deploys after all others.
    pub fn put_annotations(&self, annotations: &[Annotation], count_max: u64) -> Result<u64, CatalogError> {
        let mut connection = self.connection.lock();
        let transaction = connection.transaction()?;
        annotations.iter().try_for_each(|annotation| insert(&transaction, annotation))?;
        let left = make_room(&transaction, count_max)?;
        transaction.commit()?;
        Ok(left)
    }

    /// The newest annotations that are asked for, by rising time, and whether there are older ones.
    pub fn annotations(&self, wanted: &AnnotationQuestion) -> Result<(Vec<Annotation>, bool), CatalogError> {
        let connection = self.connection.lock();
        let sql = format!(
            "SELECT {COLUMNS} FROM annotations
             WHERE tenant = ?1 AND time < ?3 AND COALESCE(end_time, time) >= ?2 ORDER BY time DESC, id DESC"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let (start, end) = (wanted.range.start.unix_nanos(), wanted.range.end.unix_nanos());
        let mut rows = statement.query(params![TENANT, start, end])?;
        let mut found = Vec::new();
        let is_one_of = |allowed: &[String], value: &str| allowed.is_empty() || allowed.iter().any(|one| one == value);
        while let Some(row) = rows.next()? {
            let annotation = annotation(row)?;
            let of_service = annotation.service.is_empty() || is_one_of(&wanted.services, &annotation.service);
            if !of_service || !is_one_of(&wanted.kinds, &annotation.kind) {
                continue;
            }
            if found.len() == wanted.limit {
                found.reverse();
                return Ok((found, true));
            }
            found.push(annotation);
        }
        found.reverse();
        Ok((found, false))
    }

    /// The annotation of this name.
    pub fn annotation(&self, id: &str) -> Result<Option<Annotation>, CatalogError> {
        let connection = self.connection.lock();
        let sql = format!("SELECT {COLUMNS} FROM annotations WHERE tenant = ?1 AND id = ?2");
        let mut statement = connection.prepare_cached(&sql)?;
        let mut rows = statement.query(params![TENANT, id])?;
        rows.next()?.map(annotation).transpose()
    }

    /// Removes an annotation; whether it was there.
    pub fn remove_annotation(&self, id: &str) -> Result<bool, CatalogError> {
        let sql = "DELETE FROM annotations WHERE tenant = ?1 AND id = ?2";
        Ok(self.connection.lock().execute(sql, params![TENANT, id])? > 0)
    }
}

/// Writes one down in the place of one of the same name.
pub(super) fn insert(connection: &Connection, annotation: &Annotation) -> Result<(), CatalogError> {
    let Annotation { id, time, end, kind, service, version, text, author, links, source } = annotation;
    let links = serde_json::to_string(links).map_err(|error| CatalogError(error.to_string()))?;
    let sql =
        "REPLACE INTO annotations (tenant, id, time, end_time, kind, service, version, text, author, links, source)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)";
    let end = end.map(Timestamp::unix_nanos);
    let values = params![TENANT, id, time.unix_nanos(), end, kind, service, version, text, author, links, source];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Removes what is beyond `count_max`, the oldest first and deploys last; returns how many.
pub(super) fn make_room(connection: &Connection, count_max: u64) -> Result<u64, CatalogError> {
    let count = "SELECT COUNT(*) FROM annotations WHERE tenant = ?1";
    let count: Option<i64> =
        connection.prepare_cached(count)?.query_row(params![TENANT], |row| row.get(0)).optional()?;
    let excess = count.unwrap_or(0).saturating_sub(i64::try_from(count_max).unwrap_or(i64::MAX));
    if excess <= 0 {
        return Ok(0);
    }
    let sql = "DELETE FROM annotations WHERE tenant = ?1 AND id IN
                   (SELECT id FROM annotations WHERE tenant = ?1 ORDER BY kind = ?2, time, id LIMIT ?3)";
    Ok(connection.prepare_cached(sql)?.execute(params![TENANT, DEPLOY, excess])? as u64)
}

fn annotation(row: &Row<'_>) -> Result<Annotation, CatalogError> {
    let id: String = row.get(0)?;
    let links: String = row.get(8)?;
    let links = serde_json::from_str(&links);
    let links = links.map_err(|_| CatalogError(format!("annotation {id}: its links cannot be read")))?;
    Ok(Annotation {
        id,
        time: Timestamp::from_unix_nanos(row.get(1)?),
        end: row.get::<_, Option<i64>>(2)?.map(Timestamp::from_unix_nanos),
        kind: row.get(3)?,
        service: row.get(4)?,
        version: row.get(5)?,
        text: row.get(6)?,
        author: row.get(7)?,
        links,
        source: row.get(9)?,
    })
}

fn as_text<S: serde::Serializer>(moment: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(moment)
}

fn perhaps_as_text<S: serde::Serializer>(moment: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match moment {
        Some(moment) => serializer.collect_str(moment),
        None => serializer.serialize_none(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(id: &str, second: i64, kind: &str, service: &str) -> Annotation {
        Annotation {
            id: id.to_owned(),
            time: Timestamp::from_unix_seconds(second),
            kind: kind.to_owned(),
            service: service.to_owned(),
            links: vec!["https://ci/1".to_owned()],
            ..Annotation::default()
        }
    }

    fn ids(catalog: &Catalog, seconds: (i64, i64), kinds: &[&str], services: &[&str], limit: usize) -> (String, bool) {
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let moment = Timestamp::from_unix_seconds;
        let range = TimeRange { start: moment(seconds.0), end: moment(seconds.1) };
        let wanted = AnnotationQuestion { range, kinds: owned(kinds), services: owned(services), limit };
        let (found, is_cut) = catalog.annotations(&wanted).unwrap();
        (found.into_iter().map(|one| one.id).collect::<Vec<_>>().join(" "), is_cut)
    }

    #[test]
    fn annotations_are_found_by_time_kind_and_service() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("catalog.sqlite");
        let catalog = Catalog::open(&path).unwrap();
        let long = Annotation { end: Some(Timestamp::from_unix_seconds(25)), ..at("c", 5, "incident", "") };
        let all = [at("b", 20, DEPLOY, "web"), at("a", 10, DEPLOY, "db"), long.clone(), at("d", 30, "note", "web")];
        assert_eq!(catalog.put_annotations(&all, 10).unwrap(), 0);
        drop(catalog);
        let catalog = Catalog::open(&path).unwrap();
        let check = |seconds, kinds: &[&str], services: &[&str], limit, expected: &str, cut| {
            assert_eq!(ids(&catalog, seconds, kinds, services, limit), (expected.to_owned(), cut));
        };
        check((0, 100), &[], &[], 10, "c a b d", false);
        check((0, 100), &[], &[], 2, "b d", true);
        check((22, 30), &[], &[], 10, "c", false);
        check((26, 31), &[], &[], 10, "d", false);
        check((0, 100), &[DEPLOY], &[], 10, "a b", false);
        check((0, 100), &[], &["web"], 10, "c b d", false);
        assert_eq!(catalog.annotation("c").unwrap(), Some(long));
        assert!(catalog.remove_annotation("c").unwrap());
        assert!(!catalog.remove_annotation("c").unwrap());
        assert_eq!(catalog.annotation("c").unwrap(), None);
        catalog.put_annotations(&[at("a", 99, "note", "")], 10).unwrap();
        check((0, 100), &[], &[], 10, "b d a", false);
    }

    #[test]
    fn the_oldest_leave_for_the_newest_and_deploys_last() {
        let directory = tempfile::tempdir().unwrap();
        let catalog = Catalog::open(&directory.path().join("catalog.sqlite")).unwrap();
        let all = [at("a", 1, DEPLOY, ""), at("b", 2, "event", ""), at("c", 3, "event", ""), at("d", 4, DEPLOY, "")];
        assert_eq!(catalog.put_annotations(&all, 3).unwrap(), 1);
        assert_eq!(ids(&catalog, (0, 9), &[], &[], 9).0, "a c d");
        assert_eq!(catalog.put_annotations(&[at("e", 5, DEPLOY, "")], 2).unwrap(), 2);
        assert_eq!(ids(&catalog, (0, 9), &[], &[], 9).0, "d e");
    }
}
