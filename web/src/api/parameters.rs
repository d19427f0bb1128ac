//! A request's parameters, from wherever it carries them: the query of its address, a form body, or a JSON object.
//!
//! Grafana and `promtool` send forms by POST where a browser sends GET; both mean the same question.

use axum::Form;
use axum::extract::{FromRequest, Query, Request};
use http::{HeaderMap, Method, header};
use taffrail_collector::model::Timestamp;
use taffrail_ingest::TimeRange;
use taffrail_ingest::log_store::{Order, RecordId};
use taffrail_query::time_range;

use super::record_json::parse_record_id;
use crate::api_error::ApiError;

/// Names and values in the order they came; a name may stand several times (`match[]`).
#[derive(Clone, Debug, Default)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// The parameters of these pairs.
    pub fn new(pairs: Vec<(String, String)>) -> Parameters {
        Parameters(pairs)
    }

    /// The last value of the name; an empty one counts as absent.
    pub fn get(&self, name: &str) -> Option<&str> {
        let of_name = self.0.iter().rev().find(|(key, _)| key == name);
        of_name.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Every value of the name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// The value of the name, or an error that asks for it.
    pub fn required(&self, name: &str) -> Result<&str, ApiError> {
        self.get(name).ok_or_else(|| ApiError::bad_request(format!("the parameter `{name}` is missing")))
    }

    /// A count between 0 and `max`; `default` when absent.
    pub fn count(&self, name: &str, default: usize, max: usize) -> Result<usize, ApiError> {
        let Some(text) = self.get(name) else { return Ok(default) };
        match text.parse::<usize>() {
            Ok(count) if count <= max => Ok(count),
            Ok(_) => Err(ApiError::bad_request(format!("`{name}` is {text}, and may be {max} at most"))),
            Err(_) => Err(ApiError::bad_request(format!("`{name}` must be a whole number, not `{text}`"))),
        }
    }

    /// The names in a list separated by commas; none when absent.
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.get(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// `from` and `to`: the last hour when absent.
    pub fn range(&self) -> Result<TimeRange, ApiError> {
        time_range::parse_range(self.get("from"), self.get("to"), Timestamp::now()).map_err(ApiError::bad_request)
    }

    /// The two stretches of time of a comparison: `before_from` to `before_to`, and `after_from` to `after_to`.
    pub fn two_ranges(&self) -> Result<(TimeRange, TimeRange), ApiError> {
        let now = Timestamp::now();
        let range = |from: &str, to: &str| {
            time_range::parse_range(Some(self.required(from)?), Some(self.required(to)?), now)
                .map_err(|why| ApiError::bad_request(format!("`{from}` and `{to}`: {why}")))
        };
        Ok((range("before_from", "before_to")?, range("after_from", "after_to")?))
    }

    /// `order`: the newest first when absent.
    pub fn order(&self) -> Result<Order, ApiError> {
        match self.get("order") {
            None | Some("newest") => Ok(Order::NewestFirst),
            Some("oldest") => Ok(Order::OldestFirst),
            Some(other) => Err(ApiError::bad_request(format!("`order` is `newest` or `oldest`, not `{other}`"))),
        }
    }

    /// A record's id, as an answer gave it.
    pub fn record_id(&self, name: &str) -> Result<Option<RecordId>, ApiError> {
        let Some(text) = self.get(name) else { return Ok(None) };
        parse_record_id(text).map(Some).ok_or_else(|| {
            ApiError::bad_request(format!("`{name}` must be the id of a record (`<time>-<sequence>`), not `{text}`"))
        })
    }
}

impl<S: Send + Sync> FromRequest<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Parameters, ApiError> {
        let Query(mut pairs) = Query::<Vec<(String, String)>>::try_from_uri(request.uri())
            .map_err(|error| ApiError::bad_request(error.body_text()))?;
        if request.method() == Method::POST {
            if has_content_type(request.headers(), "application/x-www-form-urlencoded") {
                let Form(form) = Form::<Vec<(String, String)>>::from_request(request, state)
                    .await
                    .map_err(|error| ApiError::new(error.status(), error.body_text()))?;
                pairs.extend(form);
            } else if has_content_type(request.headers(), "application/json") {
                let axum::Json(object) =
                    axum::Json::<serde_json::Map<String, serde_json::Value>>::from_request(request, state)
                        .await
                        .map_err(|error| ApiError::new(error.status(), error.body_text()))?;
                pairs.extend(object.into_iter().map(|(name, value)| match value {
                    serde_json::Value::String(text) => (name, text),
                    other => (name, other.to_string()),
                }));
            }
        }
        Ok(Parameters(pairs))
    }
}

fn has_content_type(headers: &HeaderMap, expected: &str) -> bool {
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    value.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(expected))
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;

    #[tokio::test]
    async fn address_form_and_json_carry_the_same_parameters() {
        let check = async |method: Method, uri: &str, kind: &str, body: &'static str| {
            let request = Request::builder().method(method).uri(uri).header(header::CONTENT_TYPE, kind);
            let request = request.body(Body::from(body)).unwrap();
            let parameters = Parameters::from_request(request, &()).await.unwrap();
            assert_eq!(parameters.get("q"), Some("a b"), "{uri} {body}");
            assert_eq!(parameters.get("limit"), Some("5"), "{uri} {body}");
        };
        check(Method::GET, "/?q=x&q=a%20b&limit=5", "text/plain", "").await;
        check(Method::POST, "/?limit=5", "application/x-www-form-urlencoded; charset=utf-8", "q=a+b").await;
        check(Method::POST, "/", "application/json", r#"{"q":"a b","limit":5}"#).await;
    }

    #[test]
    fn counts_outside_their_bounds_are_explained() {
        let parameters = Parameters::new(vec![("limit".into(), "70".into()), ("before".into(), "x".into())]);
        assert_eq!(parameters.count("after", 20, 50).unwrap(), 20);
        assert_eq!(parameters.count("limit", 20, 50).unwrap_err().message, "`limit` is 70, and may be 50 at most");
        assert_eq!(parameters.count("before", 20, 50).unwrap_err().message, "`before` must be a whole number, not `x`");
    }
}
