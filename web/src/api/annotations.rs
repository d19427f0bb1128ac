//! `/api/v1/annotations`: what people and programs say happened at a moment (a deploy, an incident, a note), written down, found by time,
//! kind and service, and removed.
//!
//! Log records and StatsD events make annotations too: see [`watch`](crate::watch).

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_collector::random::random_bits;
use taffrail_ingest::catalog::annotations::{Annotation, AnnotationQuestion};
use taffrail_ingest::catalog::{Catalog, CatalogError};
use taffrail_query::time_range;

use super::App;
use super::parameters::Parameters;
use crate::api_error::ApiError;

/// Annotations in an answer when nobody says how many, and at most.
const LIMIT: (usize, usize) = (1_000, 10_000);
/// The longest annotation, in bytes of all its texts.
const TEXT_BYTES_MAX: usize = 16 << 10;
/// The longest name or kind, in bytes.
const NAME_BYTES_MAX: usize = 64;
/// The most links of one annotation.
const LINKS_MAX: usize = 20;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/annotations", get(list).post(add))
        .route("/api/v1/annotations/{id}", get(one).delete(remove))
}

/// Answers `from`, `to`, `kind` and `service` (both lists separated by commas) and `limit`.
async fn list(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let limit = parameters.count("limit", LIMIT.0, LIMIT.1)?;
    let wanted = AnnotationQuestion {
        range: parameters.range()?,
        kinds: parameters.list("kind"),
        services: parameters.list("service"),
        limit,
    };
    let (annotations, is_cut) = in_catalog(&app, move |catalog| catalog.annotations(&wanted)).await?;
    let partial = if is_cut { format!("`limit` = {limit}: there are older ones").into() } else { Value::Bool(false) };
    Ok(Json(json!({ "annotations": annotations, "partial": partial })))
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let annotation = find(&app, id).await?;
    Ok(Json(json!({ "annotation": annotation })))
}

/// Takes `kind`, `time`, `end`, `service`, `version`, `text`, `author`, `link` (may be repeated) or `links`, and `id`: who writes under
/// the same name again corrects what was said before.
async fn add(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, ApiError> {
    let annotation = read(&parameters, Timestamp::now())?;
    let (kept, count_max) = (annotation.clone(), app.watch.settings().annotations_max);
    in_catalog(&app, move |catalog| catalog.put_annotations(&[kept], count_max)).await?;
    app.watch.with(|watcher| watcher.deploy(&annotation));
    Ok(Json(json!({ "annotation": annotation })))
}

async fn remove(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, ApiError> {
    let annotation = find(&app, id.clone()).await?;
    in_catalog(&app, move |catalog| catalog.remove_annotation(&id)).await?;
    Ok(Json(json!({ "removed": annotation })))
}

/// The annotation of this name, or that there is none.
pub(super) async fn find(app: &App, id: String) -> Result<Annotation, ApiError> {
    let missing = ApiError::not_found(format!("there is no annotation `{id}`"));
    in_catalog(app, move |catalog| catalog.annotation(&id)).await?.ok_or(missing)
}

/// Asks the catalog, which may wait for the disk, on a thread of its own.
pub(super) async fn in_catalog<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Catalog) -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, ApiError> {
    let catalog = app.ingest.catalog().clone();
    let answer = tokio::task::spawn_blocking(move || work(&catalog)).await;
    answer
        .map_err(|panic| ApiError::internal(panic.to_string()))?
        .map_err(|error| ApiError::internal(error.to_string()))
}

fn read(parameters: &Parameters, now: Timestamp) -> Result<Annotation, ApiError> {
    let text = |name: &str| parameters.get(name).unwrap_or_default().to_owned();
    let moment = |name: &str| {
        let said = parameters.get(name).map(|text| time_range::parse_moment(text, now)).transpose();
        said.map_err(|why| ApiError::bad_request(format!("`{name}`: {why}")))
    };
    let name = |name: &str, otherwise: &dyn Fn() -> String| {
        let said = parameters.get(name).map_or_else(otherwise, str::to_owned);
        let is_good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b':');
        match said.len() <= NAME_BYTES_MAX && said.bytes().all(is_good) {
            true => Ok(said),
            false => Err(ApiError::bad_request(format!(
                "`{name}` is {said:?}: it may have {NAME_BYTES_MAX} letters, digits and -_.: at most"
            ))),
        }
    };
    let annotation = Annotation {
        id: name("id", &|| format!("{:016x}", random_bits()))?,
        time: moment("time")?.unwrap_or(now),
        end: moment("end")?,
        kind: name("kind", &|| "note".to_owned())?,
        service: text("service"),
        version: text("version"),
        text: text("text"),
        author: text("author"),
        links: links(parameters)?,
        source: "api".to_owned(),
    };
    if let Some(end) = annotation.end.filter(|end| *end < annotation.time) {
        return Err(ApiError::bad_request(format!("`end` ({end}) lies before `time` ({})", annotation.time)));
    }
    let Annotation { service, version, text, author, links, .. } = &annotation;
    let bytes = [service, version, text, author].into_iter().chain(links).map(String::len).sum::<usize>();
    if bytes > TEXT_BYTES_MAX {
        let message = format!("the texts of the annotation have {bytes} bytes, and may have {TEXT_BYTES_MAX} together");
        return Err(ApiError::bad_request(message));
    }
    Ok(annotation)
}

/// Links, each once; only such that a browser may follow without running anything.
fn links(parameters: &Parameters) -> Result<Vec<String>, ApiError> {
    let listed = parameters.get("links").map_or_else(
        || Ok(Vec::new()),
        |text| match serde_json::from_str::<Vec<String>>(text) {
            Ok(links) => Ok(links),
            Err(_) if text.starts_with(['[', '{']) => {
                Err(ApiError::bad_request("`links` must be a list of addresses".to_owned()))
            }
            Err(_) => Ok(text.split_whitespace().map(str::to_owned).collect()),
        },
    )?;
    let mut links = Vec::new();
    for link in parameters.all("link").map(str::to_owned).chain(listed) {
        let is_address = link.parse::<http::Uri>().is_ok_and(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        if !is_address {
            return Err(ApiError::bad_request(format!("the link {link:?} is not an address like https://host/path")));
        }
        if !links.contains(&link) {
            links.push(link);
        }
    }
    match links.len() {
        0..=LINKS_MAX => Ok(links),
        count => Err(ApiError::bad_request(format!("there are {count} links, and may be {LINKS_MAX} at most"))),
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use http_body_util::BodyExt;

    use super::*;
    use crate::api::world::World;

    async fn ask(world: &World, method: &str, uri: &str) -> (StatusCode, Value) {
        let response = world.ask(method, uri).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn annotations_are_written_found_and_removed() {
        let world = World::empty().await;
        let (status, answer) = ask(
            &world,
            "POST",
            "/api/v1/annotations?kind=deploy&id=d1&time=2026-05-01T10:00:00Z&service=web&version=1.2.3&text=hi&author=ann\
             &link=https://ci/1&links=https://ci/2%20https://ci/1",
        )
        .await;
        assert_eq!(status, 200, "{answer}");
        let expected = json!({
            "id": "d1", "time": "2026-05-01T10:00:00.000Z", "end": null, "kind": "deploy", "service": "web",
            "version": "1.2.3", "text": "hi", "author": "ann", "links": ["https://ci/1", "https://ci/2"], "source": "api",
        });
        assert_eq!(answer["annotation"], expected);
        let hour = "from=2026-05-01T09:30:00Z&to=2026-05-01T10:30:00Z";
        let all = world.get(&format!("/api/v1/annotations?{hour}&kind=deploy,note&service=web")).await;
        assert_eq!(all, json!({ "annotations": [expected], "partial": false }));
        assert_eq!(world.get(&format!("/api/v1/annotations?{hour}&service=db")).await["annotations"], json!([]));
        assert_eq!(world.get("/api/v1/annotations/d1").await["annotation"], expected);
        let (status, answer) = ask(&world, "POST", "/api/v1/annotations?text=later").await;
        assert_eq!((status.as_u16(), &answer["annotation"]["kind"]), (200, &json!("note")));
        assert_eq!(world.get("/api/v1/annotations").await["annotations"].as_array().unwrap().len(), 1);
        assert_eq!(ask(&world, "DELETE", "/api/v1/annotations/d1").await.1["removed"], expected);
        assert_eq!(ask(&world, "DELETE", "/api/v1/annotations/d1").await.0, 404);
        assert_eq!(world.text("/api/v1/annotations/d1").await.0, 404);
    }

    #[tokio::test]
    async fn what_cannot_be_kept_is_refused_with_the_reason() {
        let world = World::empty().await;
        let check = async |parameters: &str, expected: &str| {
            let (status, answer) = ask(&world, "POST", &format!("/api/v1/annotations?{parameters}")).await;
            assert_eq!(status, 400, "{parameters}: {answer}");
            let message = answer["error"]["message"].as_str().unwrap();
            assert!(message.contains(expected), "{parameters}: {message}");
        };
        check("kind=a%20b", "`kind`").await;
        check("id=../x", "`id`").await;
        check("time=whenever", "`time`").await;
        check("time=2026-05-01T10:00:00Z&end=2026-05-01T09:00:00Z", "lies before").await;
        check("link=javascript:alert(1)", "is not an address").await;
        check("links=%5B1%5D", "list of addresses").await;
        check(&format!("text={}", "x".repeat(TEXT_BYTES_MAX + 1)), "may have").await;
    }
}
