//! What stands before every request: who may ask, how long a body may take, and what browsers are told about answers.
//!
//! - A page of a foreign site could reach us by a name of its own that it points to our address (DNS rebinding): only
//!   names we know are answered, unless other machines reach us and no name is set.
//! - State-changing requests that a browser sends for a foreign site are refused (`Sec-Fetch-Site`, `Origin`).
//! - Pages may load nothing from elsewhere, run no inline code, and stand in no frame: stored text is hostile.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http::{Extensions, HeaderMap, HeaderName, HeaderValue, StatusCode, header, uri::Authority};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{DefaultPredicate, Predicate};
use tower_http::csrf::CsrfLayer;
use tower_http::timeout::RequestBodyTimeoutLayer;

use crate::api_error::ApiError;

/// How long a sender may pause within a body.
const BODY_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Nothing from elsewhere, no inline code, no frames; scripts reach the page only as files of ours.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     img-src 'self' data:; font-src 'self'; manifest-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'; \
     require-trusted-types-for 'script'";

/// Which names this server answers to.
#[derive(Clone, Debug)]
pub struct Guard {
    names: Arc<Option<Vec<String>>>,
}

impl Guard {
    /// What a server at this address answers to: one that other machines reach, without names of its own, to every name,
    /// since they may call it whatever they like; any other as [`Guard::new`] says.
    pub fn of_listener(address: SocketAddr, names: &[String]) -> Guard {
        if names.is_empty() && !address.ip().is_loopback() {
            return Guard { names: Arc::new(None) };
        }
        Guard::new(names)
    }

    /// Answers to addresses, `localhost` and these names; `*` among them answers to every name.
    pub fn new(names: &[String]) -> Guard {
        let every = names.iter().any(|name| name == "*");
        Guard { names: Arc::new((!every).then(|| names.iter().map(|name| name.to_ascii_lowercase()).collect())) }
    }

    /// Stands before all routes of the router.
    pub fn protect(self, router: Router) -> Router {
        let compression =
            DefaultPredicate::new().and(|_, _, headers: &HeaderMap, _: &Extensions| !is_sent_as_it_comes(headers));
        router
            .layer(RequestBodyTimeoutLayer::new(BODY_PAUSE_MAX))
            .layer(CompressionLayer::new().compress_when(compression))
            .layer(CsrfLayer::new().with_rejection_response(|_| foreign_site()))
            .layer(from_fn_with_state(self, check_host))
            .layer(CatchPanicLayer::custom(|_| {
                ApiError::internal("this is a fault of Taffrail's; its log says more").into_response()
            }))
            .layer(from_fn(tell_browsers))
    }

    fn answers_to(&self, host: &str) -> bool {
        let Some(names) = &*self.names else { return true };
        let Ok(authority) = host.parse::<Authority>() else { return false };
        let name = authority.host().trim_end_matches('.').to_ascii_lowercase();
        let address = name.trim_start_matches('[').trim_end_matches(']');
        // A plain address names no site, so a foreign page cannot have it for its own.
        address.parse::<std::net::IpAddr>().is_ok()
            || name == "localhost"
            || name.ends_with(".localhost")
            || names.contains(&name)
    }
}

async fn check_host(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    let header = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or_default());
    // HTTP/2 carries the name in the request's target.
    let host = request.uri().authority().map(Authority::as_str).or(header);
    match host {
        Some(host) if !guard.answers_to(host) => {
            let message = format!("this server does not answer to the name `{host}`; add it to server.host_names");
            ApiError::new(StatusCode::MISDIRECTED_REQUEST, message).into_response()
        }
        _ => next.run(request).await,
    }
}

/// Whether the answer asks not to be held back: packing would hold it back until there is enough.
fn is_sent_as_it_comes(headers: &HeaderMap) -> bool {
    headers.get("x-accel-buffering").is_some_and(|value| value == "no")
}

fn foreign_site() -> Response {
    ApiError::new(StatusCode::FORBIDDEN, "a page of another site may not change anything here").into_response()
}

async fn tell_browsers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    #[test]
    fn only_without_names_does_a_reachable_server_answer_to_any() {
        let check = |address: &str, names: &[&str], host: &str, expected: bool| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let guard = Guard::of_listener(address.parse().unwrap(), &names);
            assert_eq!(guard.answers_to(host), expected, "{address} {names:?} {host}");
        };
        check("127.0.0.1:6464", &[], "evil.example", false);
        check("0.0.0.0:6464", &[], "any.example", true);
        check("0.0.0.0:6464", &["logs.example"], "logs.example:6464", true);
        check("0.0.0.0:6464", &["logs.example"], "evil.example", false);
        check("0.0.0.0:6464", &["*"], "any.example", true);
    }

    fn guarded(names: &[&str]) -> Router {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let page = async || "something to read that is long enough to be worth packing";
        Guard::new(&names).protect(
            Router::new()
                .route("/", get(page).post(async || "changed"))
                .route("/panic", get(async || -> &'static str { panic!("on purpose") })),
        )
    }

    async fn status(router: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    }

    #[tokio::test]
    async fn only_known_names_are_answered() {
        let router = guarded(&["taffrail.example"]);
        let check = async |host, expected| {
            assert_eq!(status(&router, "GET", "/", &[("host", host)]).await, expected, "{host}");
        };
        check("127.0.0.1:6464", 200).await;
        check("[::1]:6464", 200).await;
        check("localhost:1", 200).await;
        check("Taffrail.Example", 200).await;
        check("evil.example:6464", 421).await;
        check("127.0.0.1.evil.example", 421).await;
        check("", 421).await;
        assert_eq!(status(&router, "GET", "/", &[]).await, 200);
        assert_eq!(status(&guarded(&["*"]), "GET", "/", &[("host", "evil.example")]).await, 200);
    }

    #[tokio::test]
    async fn a_foreign_page_cannot_change_anything() {
        let router = guarded(&[]);
        let check = async |method, headers: &[(&str, &str)], expected| {
            assert_eq!(status(&router, method, "/", headers).await, expected, "{method} {headers:?}");
        };
        check("POST", &[], 200).await;
        check("POST", &[("sec-fetch-site", "same-origin")], 200).await;
        check("POST", &[("sec-fetch-site", "cross-site")], 403).await;
        check("POST", &[("host", "127.0.0.1:6464"), ("origin", "http://evil.example")], 403).await;
        check("POST", &[("host", "127.0.0.1:6464"), ("origin", "http://127.0.0.1:6464")], 200).await;
        check("GET", &[("sec-fetch-site", "cross-site")], 200).await;
    }

    #[tokio::test]
    async fn every_answer_carries_the_headers_and_a_panic_is_a_500() {
        let router = guarded(&[]);
        for (path, expected) in [("/", 200), ("/nothing", 404), ("/panic", 500)] {
            let request = Request::builder().uri(path).header("accept-encoding", "zstd").body(Body::empty()).unwrap();
            let response = router.clone().oneshot(request).await.unwrap();
            assert_eq!(response.status().as_u16(), expected, "{path}");
            let policy = response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
            assert!(
                policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
                "{policy}"
            );
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
            let packed = response.headers().get(header::CONTENT_ENCODING).map(|value| value.to_str().unwrap());
            assert_eq!(packed, (path == "/").then_some("zstd"), "{path}");
        }
    }
}
