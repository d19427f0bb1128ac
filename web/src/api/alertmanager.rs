//! `/api/v2/…` as Alertmanager answers it (<https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>), as far
//! as people and their tools ask: silences, alerts and why they are not told, groups, receivers. `amtool` works with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::rejection::JsonRejection;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use taffrail_collector::model::Timestamp;

use super::App;
use super::parameters::Parameters;
use crate::api_error::ApiError;
use crate::notify::routing::matcher::{Matcher, all_match, parse_matchers};
use crate::notify::routing::plan::{Group, Muted, Routed};
use crate::notify::routing::silence::{Silence, WrittenMatcher};
use crate::notify::silences::SilenceError;

/// The routes of this subject.
pub fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/api/v2/status", get(status))
        .route("/api/v2/silences", get(silences).post(set_silence))
        .route("/api/v2/silence/{id}", get(silence).delete(expire))
        .route("/api/v2/alerts", get(alerts))
        .route("/api/v2/alerts/groups", get(groups))
        .route("/api/v2/receivers", get(receivers))
}

/// An error in Alertmanager's way: a JSON string.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(self.1)).into_response()
    }
}

impl From<SilenceError> for Refusal {
    fn from(error: SilenceError) -> Refusal {
        let status = match error {
            SilenceError::Bad(_) => StatusCode::BAD_REQUEST,
            SilenceError::Unknown(_) => StatusCode::NOT_FOUND,
            SilenceError::Store(_) => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Refusal(status, error.to_string())
    }
}

impl From<ApiError> for Refusal {
    fn from(error: ApiError) -> Refusal {
        Refusal(error.status, error.message)
    }
}

async fn status(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({
        "cluster": { "status": "disabled", "peers": [] },
        "config": { "original": "" },
        "uptime": app.started.to_string(),
        "versionInfo": {
            "version": env!("CARGO_PKG_VERSION"), "revision": "", "branch": "", "buildUser": "", "buildDate": "", "goVersion": "",
        },
    }))
}

async fn silences(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, Refusal> {
    let filter = filter(&parameters)?;
    let now = Timestamp::now();
    let mut all = app.notifier.silences().all();
    // A filter asks for silences with these very matchers' labels, as in Alertmanager.
    all.retain(|silence| {
        let labels: BTreeMap<String, String> =
            silence.matchers.iter().map(|matcher| (matcher.name.clone(), matcher.value.clone())).collect();
        all_match(&filter, &labels)
    });
    // Active ones first, those that end soonest before others; then pending, then ended.
    all.sort_by_key(|silence| (silence.state(now) as u8 == 2, silence.state(now) as u8 == 0, silence.ends_at));
    Ok(Json(all.iter().map(|silence| silence_json(silence, now)).collect()))
}

/// A silence as clients post it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct PostedSilence {
    #[serde(default)]
    id: Option<String>,
    matchers: Vec<WrittenMatcher>,
    #[serde(default)]
    starts_at: Option<String>,
    ends_at: String,
    #[serde(default)]
    created_by: String,
    #[serde(default)]
    comment: String,
}

async fn set_silence(
    State(app): State<Arc<App>>,
    posted: Result<Json<PostedSilence>, JsonRejection>,
) -> Result<Json<Value>, Refusal> {
    let Json(posted) = posted.map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.body_text()))?;
    let bad = |message: String| Refusal(StatusCode::BAD_REQUEST, message);
    let now = Timestamp::now();
    let moment = |name: &str, text: &str| {
        let read: Result<jiff::Timestamp, _> = text.parse();
        let read = read.map_err(|_| bad(format!("{name}: {text:?} is no time like 2026-11-21T10:00:00Z")))?;
        i64::try_from(read.as_nanosecond())
            .map(Timestamp::from_unix_nanos)
            .map_err(|_| bad(format!("{name}: {text:?} lies too far away")))
    };
    let matchers = posted.matchers.into_iter().map(Matcher::try_from).collect::<Result<Vec<_>, _>>().map_err(bad)?;
    let silence = Silence {
        id: posted.id.unwrap_or_default(),
        matchers,
        starts_at: posted.starts_at.map_or(Ok(now), |text| moment("startsAt", &text))?,
        ends_at: moment("endsAt", &posted.ends_at)?,
        updated_at: now,
        created_by: posted.created_by,
        comment: posted.comment,
        warned: false,
    };
    let silences = app.notifier.silences().clone();
    let set = tokio::task::spawn_blocking(move || silences.set(silence, now)).await;
    let id = set.map_err(|panic| Refusal(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string()))??;
    Ok(Json(json!({ "silenceID": id })))
}

async fn silence(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let found = app.notifier.silences().get(&id).ok_or(SilenceError::Unknown(id))?;
    Ok(Json(silence_json(&found, Timestamp::now())))
}

async fn expire(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let silences = app.notifier.silences().clone();
    let ended = tokio::task::spawn_blocking(move || silences.expire(&id, Timestamp::now())).await;
    ended.map_err(|panic| Refusal(StatusCode::INTERNAL_SERVER_ERROR, panic.to_string()))??;
    Ok(Json(Value::Null))
}

async fn alerts(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, Refusal> {
    let wanted = Wanted::read(&parameters)?;
    let plan = app.notifier.plan();
    let mut found: BTreeMap<String, (Arc<Routed>, Vec<&str>)> = BTreeMap::new();
    for group in plan.groups.iter().filter(|group| wanted.takes_receiver(group)) {
        for routed in group.alerts.iter().filter(|routed| wanted.takes(routed)) {
            found.entry(routed.notice.id()).or_insert_with(|| (routed.clone(), Vec::new())).1.push(&group.receiver);
        }
    }
    let alerts = found.values().map(|(routed, receivers)| alert_json(&app, routed, receivers));
    Ok(Json(alerts.collect()))
}

async fn groups(State(app): State<Arc<App>>, parameters: Parameters) -> Result<Json<Value>, Refusal> {
    let wanted = Wanted::read(&parameters)?;
    let plan = app.notifier.plan();
    let groups = plan.groups.iter().filter(|group| wanted.takes_receiver(group)).filter_map(|group| {
        let alerts = group.alerts.iter().filter(|routed| wanted.takes(routed));
        let alerts: Vec<Value> = alerts.map(|routed| alert_json(&app, routed, &[&group.receiver])).collect();
        let receiver = json!({ "name": group.receiver });
        (!alerts.is_empty()).then(|| json!({ "labels": group.key.labels, "receiver": receiver, "alerts": alerts }))
    });
    Ok(Json(groups.collect()))
}

async fn receivers(State(app): State<Arc<App>>) -> Json<Value> {
    Json(app.notifier.routing().receivers.keys().map(|name| json!({ "name": name })).collect())
}

/// Which alerts are asked for.
struct Wanted {
    filter: Vec<Matcher>,
    receiver: Option<Matcher>,
    active: bool,
    silenced: bool,
    inhibited: bool,
}

impl Wanted {
    fn read(parameters: &Parameters) -> Result<Wanted, Refusal> {
        let flag = |name: &str| match parameters.get(name) {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(Refusal(StatusCode::BAD_REQUEST, format!("{name} is true or false, not {other:?}"))),
        };
        let receiver = parameters.get("receiver").map(|pattern| {
            let operator = crate::notify::routing::matcher::Operator::Matches;
            Matcher::new("receiver", operator, pattern).map_err(|message| Refusal(StatusCode::BAD_REQUEST, message))
        });
        Ok(Wanted {
            filter: filter(parameters)?,
            receiver: receiver.transpose()?,
            active: flag("active")?,
            silenced: flag("silenced")?,
            inhibited: flag("inhibited")?,
        })
    }

    fn takes_receiver(&self, group: &Group) -> bool {
        let labels = BTreeMap::from([("receiver".to_owned(), group.receiver.clone())]);
        self.receiver.as_ref().is_none_or(|receiver| receiver.matches(&labels))
    }

    /// Alertmanager knows only what has not ended.
    fn takes(&self, routed: &Routed) -> bool {
        let of_state = match &routed.muted {
            None => self.active,
            Some(Muted::Silenced(_)) => self.silenced,
            Some(Muted::Inhibited(_)) => self.inhibited,
        };
        routed.firing && of_state && all_match(&self.filter, &routed.notice.labels)
    }
}

fn filter(parameters: &Parameters) -> Result<Vec<Matcher>, Refusal> {
    let mut matchers = Vec::new();
    for text in parameters.all("filter") {
        matchers.extend(parse_matchers(text).map_err(|message| Refusal(StatusCode::BAD_REQUEST, message))?);
    }
    Ok(matchers)
}

/// A silence as Alertmanager writes it.
pub(super) fn silence_json(silence: &Silence, now: Timestamp) -> Value {
    json!({
        "id": silence.id,
        "status": { "state": silence.state(now).name() },
        "matchers": silence.matchers.iter().map(WrittenMatcher::from).collect::<Vec<_>>(),
        "startsAt": silence.starts_at.to_string(),
        "endsAt": silence.ends_at.to_string(),
        "updatedAt": silence.updated_at.to_string(),
        "createdBy": silence.created_by,
        "comment": silence.comment,
        "annotations": {},
    })
}

fn alert_json(app: &App, routed: &Routed, receivers: &[&str]) -> Value {
    let (silenced, inhibited): (&[String], Vec<&String>) = match &routed.muted {
        None => (&[], Vec::new()),
        Some(Muted::Silenced(by)) => (by, Vec::new()),
        Some(Muted::Inhibited(by)) => (&[], vec![by]),
    };
    let notice = &routed.notice;
    // Until when an alert holds without another word: ours holds until its rule says otherwise.
    let ends_at = Timestamp::now().saturating_add(crate::notify::channel::alertmanager::RESEND_DELAY * 4);
    json!({
        "fingerprint": notice.id(),
        "labels": notice.labels,
        "annotations": notice.annotations,
        "startsAt": notice.began().to_string(),
        "updatedAt": Timestamp::now().to_string(),
        "endsAt": ends_at.to_string(),
        "generatorURL": crate::notify::channel::message::alert_link(app.notifier.external_url(), notice),
        "receivers": receivers.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
        "status": {
            "state": if routed.muted.is_some() { "suppressed" } else { "active" },
            "silencedBy": silenced,
            "inhibitedBy": inhibited,
            "mutedBy": [],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::world::World;
    use axum::body::Body;
    use http::Request;
    use http_body_util::BodyExt;
    use tower::ServiceExt;

    async fn post(world: &World, body: Value) -> (StatusCode, Value) {
        let request = Request::builder()
            .method("POST")
            .uri("/api/v2/silences")
            .header("content-type", "application/json")
            .body(Body::from(body.to_string()))
            .unwrap();
        let response = world.router.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let bytes = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&bytes).unwrap())
    }

    fn silence(matcher: (&str, &str), ends_at: &str, reason: &str) -> Value {
        let matcher = json!({ "name": matcher.0, "value": matcher.1, "isRegex": false, "isEqual": true });
        json!({ "matchers": [matcher], "endsAt": ends_at, "createdBy": "ann", "comment": reason })
    }

    const RULES: &str = "
groups:
  - name: always
    interval: 1s
    rules:
      - { alert: Fires, expr: 'vector(7) > 5', labels: {severity: page} }
";

    #[tokio::test(flavor = "multi_thread")]
    async fn silences_are_made_shown_and_ended() {
        let world = World::with_rules(RULES).await;
        let state = async || {
            let alerts = world.get("/api/v2/alerts").await;
            alerts[0]["status"]["state"].as_str().map(str::to_owned)
        };
        let until = async |expected: &str| {
            let began = std::time::Instant::now();
            while state().await.as_deref() != Some(expected) {
                assert!(began.elapsed() < std::time::Duration::from_secs(60), "{expected}");
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            }
        };
        until("active").await;
        let (status, made) = post(&world, silence(("alertname", "Fires"), "2199-01-01T00:00:00Z", "new disks")).await;
        assert_eq!(status, 200, "{made}");
        let id = made["silenceID"].as_str().unwrap().to_owned();
        until("suppressed").await;
        assert_eq!(world.get("/api/v2/alerts").await[0]["status"]["silencedBy"], json!([id]));
        assert_eq!(world.get("/api/v2/alerts?silenced=false").await, json!([]));
        assert_eq!(world.get("/api/v2/alerts?filter=severity%3Dticket").await, json!([]));
        let all = world.get("/api/v2/silences?filter=alertname%3DFires").await;
        assert_eq!((&all[0]["comment"], &all[0]["status"]["state"]), (&json!("new disks"), &json!("active")));
        assert_eq!(world.get(&format!("/api/v2/silence/{id}")).await["id"], json!(id));
        assert_eq!(world.ask("DELETE", &format!("/api/v2/silence/{id}")).await.status(), 200);
        until("active").await;
        let group = &world.get("/api/v2/alerts/groups").await[0];
        assert_eq!(
            (&group["labels"], &group["receiver"]["name"]),
            (&json!({"alertname": "Fires"}), &json!("webhooks"))
        );
        assert_eq!(world.get("/api/v2/receivers").await, json!([{ "name": "webhooks" }]));
    }

    #[tokio::test]
    async fn bad_silences_say_what_is_missing() {
        let world = World::empty().await;
        let check = async |body: Value, expected: &str| {
            let (status, answer) = post(&world, body).await;
            assert!(status == 400 && answer.as_str().is_some_and(|text| text.contains(expected)), "{status} {answer}");
        };
        check(silence(("a", "b"), "2199-01-01T00:00:00Z", ""), "says why").await;
        check(silence(("a", "b"), "2020-01-01T00:00:00Z", "x"), "lies in the past").await;
        check(silence(("a", "b"), "tomorrow", "x"), "no time like").await;
        check(silence(("a", ""), "2199-01-01T00:00:00Z", "x"), "everything").await;
        check(json!({ "matchers": [] }), "ends").await;
        assert_eq!(world.ask("DELETE", "/api/v2/silence/none").await.status(), 404);
        assert_eq!(world.text("/api/v2/alerts?silenced=perhaps").await.0, 400);
        assert_eq!(world.text("/api/v2/alerts?filter=a").await.0, 400);
    }
}
