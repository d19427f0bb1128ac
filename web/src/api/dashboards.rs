//! `/api/v1/dashboards`: the list; one of them as JSON or YAML, written and removed with a check of its version; a text checked
//! without being kept; a dashboard of Grafana turned into ours.
//!
//! A version stands in the header `ETag`; whoever writes says which one is replaced (`If-Match`), or that there is none
//! (`If-None-Match: *`), as RFC 9110, 13.1 has it.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};

use super::App;
use crate::api_error::ApiError;
use crate::dashboards::library::{Entry, Expected, WriteError};
use crate::dashboards::{Library, Problem, grafana, yaml};

const YAML: &str = "application/yaml";

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v1/dashboards", get(list))
        .route("/api/v1/dashboards/check", post(check))
        .route("/api/v1/dashboards/import", post(import))
        .route("/api/v1/dashboards/{slug}", get(one).put(put).delete(remove))
}

async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let (entries, problems) = blocking(&app, |library| library.list()).await?.map_err(failed)?;
    let listed: Vec<Value> = entries.iter().map(in_short).collect();
    Ok(Json(json!({ "dashboards": listed, "problems": problems })))
}

async fn one(State(app): State<Arc<App>>, Path(slug): Path<String>, headers: HeaderMap) -> Result<Response, ApiError> {
    let name = slug.clone();
    let entry = blocking(&app, move |library| library.get(&name)).await?.map_err(failed)?;
    let entry = entry.ok_or_else(|| ApiError::not_found(format!("there is no dashboard `{slug}`")))?;
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let as_yaml = accept.contains("yaml") && !accept.contains("json");
    let body = if as_yaml {
        ([(header::CONTENT_TYPE, HeaderValue::from_static(YAML))], entry.text.to_string()).into_response()
    } else {
        Json(whole(&entry)).into_response()
    };
    Ok(with_version(body, &entry))
}

async fn put(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Response> {
    let text = text_of(body).map_err(IntoResponse::into_response)?;
    let expected = expected(&headers);
    let written = blocking(&app, move |library| library.put(&slug, &text, &expected)).await;
    match written.map_err(IntoResponse::into_response)? {
        Ok(entry) => Ok(with_version(Json(whole(&entry)).into_response(), &entry)),
        Err(error) => Err(refusal(error)),
    }
}

async fn remove(
    State(app): State<Arc<App>>,
    Path(slug): Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Response> {
    let expected = expected(&headers);
    let name = slug.clone();
    let removed = blocking(&app, move |library| library.remove(&name, &expected)).await;
    match removed.map_err(IntoResponse::into_response)? {
        Ok(()) => Ok(Json(json!({ "removed": slug }))),
        Err(error) => Err(refusal(error)),
    }
}

/// Answers what a text says, or everything that is wrong with it: the editor's preview.
async fn check(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let text = text_of(body)?;
    let read = blocking(&app, move |_| yaml::read(&text)).await?;
    Ok(Json(match read {
        Ok(dashboard) => json!({ "dashboard": dashboard, "problems": [] }),
        Err(problems) => json!({ "dashboard": null, "problems": problems }),
    }))
}

/// Turns Grafana's JSON into our YAML; nothing is kept.
async fn import(State(app): State<Arc<App>>, body: Bytes) -> Result<Json<Value>, ApiError> {
    let text = text_of(body)?;
    let imported = blocking(&app, move |_| grafana::import(&text)).await?.map_err(ApiError::bad_request)?;
    Ok(Json(json!({
        "slug": imported.slug,
        "yaml": imported.yaml,
        "dashboard": imported.dashboard,
        "problems": imported.problems,
        "not_mapped": imported.not_mapped,
    })))
}

/// Runs what looks at files and the catalog where it may block.
async fn blocking<T: Send + 'static>(
    app: &App,
    work: impl FnOnce(&Library) -> T + Send + 'static,
) -> Result<T, ApiError> {
    let library = app.dashboards.clone();
    let done = tokio::task::spawn_blocking(move || work(&library)).await;
    done.map_err(|panic| ApiError::internal(panic.to_string()))
}

fn in_short(entry: &Entry) -> Value {
    let dashboard = entry.dashboard.as_deref();
    json!({
        "slug": entry.slug,
        "title": dashboard.map_or(entry.slug.as_str(), |dashboard| &dashboard.title.value),
        "description": dashboard.and_then(|dashboard| dashboard.description.as_deref()),
        "tags": dashboard.map_or(&[][..], |dashboard| &dashboard.tags),
        "panels": dashboard.map_or(0, |dashboard| dashboard.panels().count()),
        "origin": entry.origin,
        "path": entry.path,
        "covers_built_in": entry.covers_built_in,
        "version": entry.version,
        "changed": entry.changed,
        "problems": entry.problems,
    })
}

fn whole(entry: &Entry) -> Value {
    let mut value = in_short(entry);
    value["yaml"] = (*entry.text).into();
    value["dashboard"] = json!(entry.dashboard);
    value
}

fn with_version(mut response: Response, entry: &Entry) -> Response {
    let etag = HeaderValue::try_from(format!("\"{}\"", entry.version)).expect("hexadecimal digits are a header value");
    response.headers_mut().insert(header::ETAG, etag);
    response
}

fn text_of(body: Bytes) -> Result<String, ApiError> {
    String::from_utf8(body.into()).map_err(|_| ApiError::bad_request("the text is not UTF-8"))
}

fn expected(headers: &HeaderMap) -> Expected {
    let text = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok()).map(str::trim);
    match (text(header::IF_MATCH), text(header::IF_NONE_MATCH)) {
        (Some(version), _) => Expected::Version(version.trim_start_matches("W/").trim_matches('"').to_owned()),
        (None, Some("*")) => Expected::Absent,
        _ => Expected::Unsaid,
    }
}

fn failed(error: impl std::fmt::Display) -> ApiError {
    ApiError::internal(error.to_string())
}

/// The refusal; of a wrong text with every problem and its place.
fn refusal(error: WriteError) -> Response {
    let status = match &error {
        WriteError::BadSlug(_) | WriteError::Wrong(_) => StatusCode::BAD_REQUEST,
        WriteError::InFile(_) | WriteError::BuiltIn => StatusCode::CONFLICT,
        WriteError::Changed { .. } => StatusCode::PRECONDITION_FAILED,
        WriteError::Unsaid(_) => StatusCode::PRECONDITION_REQUIRED,
        WriteError::Missing(_) => StatusCode::NOT_FOUND,
        WriteError::Full => StatusCode::INSUFFICIENT_STORAGE,
        WriteError::Catalog(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let message = error.to_string();
    let WriteError::Wrong(problems) = error else { return ApiError::new(status, message).into_response() };
    let first = problems.first().map(Problem::to_string).unwrap_or_default();
    let mut body = ApiError::new(status, first).body();
    body["error"]["line"] = problems.first().map_or(0, |problem| problem.line).into();
    body["error"]["column"] = problems.first().map_or(0, |problem| problem.column).into();
    body["error"]["problems"] = json!(problems);
    (status, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    use super::*;
    use crate::api::world::World;

    const BOARD: &str = "# by hand\ntitle: Shop\nrows:\n- panels:\n  - queries: [{promql: up}]\n";

    async fn send(
        world: &World,
        method: &str,
        uri: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (u16, Value, String) {
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = world.router.clone().oneshot(request.body(Body::from(body.to_owned())).unwrap()).await.unwrap();
        let (status, etag) = (response.status().as_u16(), response.headers().get("etag").cloned());
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        let value = serde_json::from_slice(&bytes).unwrap_or_else(|_| String::from_utf8_lossy(&bytes).into());
        (status, value, etag.map(|etag| etag.to_str().unwrap().to_owned()).unwrap_or_default())
    }

    #[tokio::test]
    async fn a_dashboard_is_written_read_in_both_forms_changed_and_removed() {
        let world = World::empty().await;
        let uri = "/api/v1/dashboards/shop";
        let (status, written, etag) = send(&world, "PUT", uri, &[("if-none-match", "*")], BOARD).await;
        assert_eq!((status, &written["origin"], &written["panels"]), (200, &json!("catalog"), &json!(1)), "{written}");
        let (_, text, _) = send(&world, "GET", uri, &[("accept", "application/yaml")], "").await;
        assert_eq!(text, BOARD, "comments stay");
        let read = world.get(uri).await;
        assert_eq!(read["dashboard"]["rows"][0]["panels"][0]["queries"][0]["promql"], "up");
        let changed = BOARD.replace("Shop", "The shop");
        assert_eq!(send(&world, "PUT", uri, &[], &changed).await.0, 428, "it must be said what is replaced");
        let (status, _, newer) = send(&world, "PUT", uri, &[("if-match", &etag)], &changed).await;
        assert_eq!(status, 200);
        assert_eq!(send(&world, "PUT", uri, &[("if-match", &etag)], BOARD).await.0, 412, "that version is gone");
        assert_eq!(send(&world, "DELETE", uri, &[("if-match", &etag)], "").await.0, 412);
        let listed = world.get("/api/v1/dashboards").await;
        assert!(listed["dashboards"].as_array().unwrap().iter().any(|one| one["title"] == "The shop"), "{listed}");
        assert_eq!(send(&world, "DELETE", uri, &[("if-match", &newer)], "").await.0, 200);
        assert_eq!(world.text(uri).await.0, 404);
    }

    #[tokio::test]
    async fn a_wrong_text_is_refused_with_every_place() {
        let world = World::empty().await;
        let text = "title: x\nrows:\n- panels:\n  - queries: [{promql: 'sum('}]\n  - {}\n";
        let (status, refused, _) = send(&world, "PUT", "/api/v1/dashboards/x", &[], text).await;
        assert_eq!((status, &refused["error"]["line"]), (400, &json!(4)), "{refused}");
        assert_eq!(refused["error"]["problems"][1]["line"], 5);
        let (status, checked, _) = send(&world, "POST", "/api/v1/dashboards/check", &[], text).await;
        assert_eq!((status, checked["problems"].as_array().unwrap().len()), (200, 2), "{checked}");
        let (_, checked, _) = send(&world, "POST", "/api/v1/dashboards/check", &[], BOARD).await;
        assert_eq!(checked["dashboard"]["title"], "Shop");
    }
}
