//! `/api/v1/views`: views that somebody gave a name. A view is an address of the page, whose parameters are all there is to it
//! (question, time, columns and their widths); here it only gets a name, kept in the catalog for everybody.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::routing::{get, put};
use axum::{Json, Router};
use http::StatusCode;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::catalog::CatalogError;

use super::App;
use super::parameters::Parameters;
use crate::api_error::ApiError;

/// The kind of the catalog's documents that hold views; their keys are the names.
const KIND: &str = "view";
/// Characters of a name: it has to fit a menu.
const NAME_CHARACTERS_MAX: usize = 100;
/// Bytes of an address: what every browser and proxy lets through.
const ADDRESS_BYTES_MAX: usize = 8_000;
/// Views there may be: more than anybody finds again.
const VIEWS_MAX: usize = 1_000;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new().route("/api/v1/views", get(list)).route("/api/v1/views/{name}", put(save).delete(remove))
}

/// All of them, by name.
async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, ApiError> {
    let views = in_catalog(app, |app| app.ingest.catalog().documents(KIND)).await?;
    let views: Vec<Value> = views.into_iter().map(|(name, document)| shown(&name, &document)).collect();
    Ok(Json(json!({ "views": views })))
}

/// Keeps `address` under the name; what was there before is replaced.
async fn save(
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    parameters: Parameters,
) -> Result<Json<Value>, ApiError> {
    let name = check_name(&name)?;
    let address = check_address(parameters.required("address")?)?;
    let document = json!({ "address": address, "saved": Timestamp::now().to_string() }).to_string();
    let view = shown(&name, &document);
    let full = in_catalog(app, move |app| {
        let catalog = app.ingest.catalog();
        let known = catalog.documents(KIND)?;
        let full = known.len() >= VIEWS_MAX && known.iter().all(|(other, _)| *other != name);
        if !full {
            catalog.put_document(KIND, &name, &document)?;
        }
        Ok(full)
    })
    .await?;
    if full {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            format!("there are {VIEWS_MAX} views already, as many as there may be; remove one first"),
        ));
    }
    Ok(Json(json!({ "view": view })))
}

/// Forgets the name, and says what it stood for.
async fn remove(State(app): State<Arc<App>>, Path(name): Path<String>) -> Result<Json<Value>, ApiError> {
    let found = in_catalog(app, move |app| {
        let catalog = app.ingest.catalog();
        let found = catalog.document(KIND, &name)?;
        if found.is_some() {
            catalog.remove_document(KIND, &name)?;
        }
        Ok(found.map(|document| shown(&name, &document)))
    })
    .await?;
    let view = found.ok_or_else(|| ApiError::not_found("there is no view of this name"))?;
    Ok(Json(json!({ "view": view })))
}

/// The catalog waits for the disk, so a thread that may wait asks it.
async fn in_catalog<T: Send + 'static>(
    app: Arc<App>,
    work: impl FnOnce(&App) -> Result<T, CatalogError> + Send + 'static,
) -> Result<T, ApiError> {
    let done = tokio::task::spawn_blocking(move || work(&app)).await;
    done.map_err(|panic| ApiError::internal(panic.to_string()))?.map_err(|error| ApiError::internal(error.to_string()))
}

fn shown(name: &str, document: &str) -> Value {
    let document: Value = serde_json::from_str(document).unwrap_or_default();
    json!({
        "name": name,
        "address": document["address"].as_str().unwrap_or("/"),
        "saved": document["saved"].as_str().unwrap_or_default(),
    })
}

fn check_name(name: &str) -> Result<String, ApiError> {
    let name = name.trim();
    let length = name.chars().count();
    if length == 0 || length > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "a view's name has 1 to {NAME_CHARACTERS_MAX} characters and no control characters"
        )));
    }
    Ok(name.to_owned())
}

/// An address within the page: links made of it must lead nowhere else.
fn check_address(address: &str) -> Result<String, ApiError> {
    let inside = address.starts_with('/') && !address.starts_with("//") && !address.starts_with("/\\");
    if !inside || address.len() > ADDRESS_BYTES_MAX || address.chars().any(char::is_control) {
        return Err(ApiError::bad_request(format!(
            "`address` is a path of the page with its parameters, as /logs?q=level:error, of {ADDRESS_BYTES_MAX} bytes at most"
        )));
    }
    Ok(address.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;
    use http_body_util::BodyExt;

    async fn ask(world: &World, method: &str, uri: &str) -> (StatusCode, Value) {
        let response = world.ask(method, uri).await;
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    #[tokio::test]
    async fn a_view_is_kept_replaced_and_removed() {
        let world = World::empty().await;
        assert_eq!(world.get("/api/v1/views").await, json!({ "views": [] }));
        let (status, saved) =
            ask(&world, "PUT", "/api/v1/views/Late%2Forders?address=%2Flogs%3Fq%3Dlevel%3Aerror").await;
        assert_eq!((status, &saved["view"]["name"]), (StatusCode::OK, &json!("Late/orders")), "{saved}");
        assert_eq!(saved["view"]["address"], "/logs?q=level:error");
        ask(&world, "PUT", "/api/v1/views/Late%2Forders?address=%2Flogs").await;
        ask(&world, "PUT", "/api/v1/views/a?address=%2Fexplore").await;
        let views = world.get("/api/v1/views").await;
        let names: Vec<&str> =
            views["views"].as_array().unwrap().iter().map(|view| view["name"].as_str().unwrap()).collect();
        assert_eq!(names, ["Late/orders", "a"]);
        assert_eq!(views["views"][0]["address"], "/logs");
        let (status, removed) = ask(&world, "DELETE", "/api/v1/views/a").await;
        assert_eq!((status, &removed["view"]["address"]), (StatusCode::OK, &json!("/explore")));
        assert_eq!(ask(&world, "DELETE", "/api/v1/views/a").await.0, StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn what_leads_elsewhere_is_no_view() {
        let world = World::empty().await;
        let check = async |uri: &str, expected: &str| {
            let (status, answer) = ask(&world, "PUT", uri).await;
            assert_eq!(status, StatusCode::BAD_REQUEST, "{uri}");
            assert!(answer["error"]["message"].as_str().unwrap().contains(expected), "{uri}: {answer}");
        };
        check("/api/v1/views/a", "`address` is missing").await;
        check("/api/v1/views/a?address=https:%2F%2Felsewhere", "a path of the page").await;
        check("/api/v1/views/a?address=%2F%2Felsewhere", "a path of the page").await;
        check("/api/v1/views/a?address=%2F%5Celsewhere", "a path of the page").await;
        check("/api/v1/views/a?address=javascript:alert(1)", "a path of the page").await;
        check("/api/v1/views/%20?address=%2Flogs", "1 to 100 characters").await;
        check("/api/v1/views/a%00b?address=%2Flogs", "1 to 100 characters").await;
    }
}
