//! The browser's files, embedded in the binary by `build.rs`, and the rules for caching them.
//!
//! - `/assets/*` carry a hash in their names and are cached for ever; one that is missing is a 404, so that a page from
//!   before an update can say "new version, reload".
//! - `index.html` is asked for anew each time (`no-cache` and an `ETag`), and answers for every page route.
//! - Files embedded as brotli are sent as they are to who accepts that, and unpacked for who does not.

use std::io::Read;

use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use rust_embed::{EmbeddedFile, RustEmbed};

/// The routes that the page itself draws: each is answered with `index.html`.
pub const PAGE_ROUTES: &[&str] = &[
    "/",
    "/logs",
    "/explore",
    "/d",
    "/d/{slug}",
    "/trace",
    "/trace/{id}",
    "/alerts",
    "/alerts/{id}",
    "/errors",
    "/errors/{id}",
    "/hosts",
    "/hosts/{host}",
    "/ingest",
    "/settings",
];

#[derive(RustEmbed)]
#[folder = "$OUT_DIR/ui"]
struct Embedded;

/// Answers a page route.
pub async fn page(headers: HeaderMap) -> Response {
    let found = find("index.html").expect("build.rs always lays out an index.html");
    answer("index.html", found, "no-cache", &headers)
}

/// Answers any other path with the file of that name, or 404.
pub async fn file(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let found = if path == "index.html" || path.ends_with(".br") { None } else { find(path) };
    match found {
        Some(found) if path.starts_with("assets/") => {
            answer(path, found, "public, max-age=31536000, immutable", request.headers())
        }
        Some(found) => answer(path, found, "no-cache", request.headers()),
        None => (StatusCode::NOT_FOUND, "There is nothing here.\n").into_response(),
    }
}

enum Found {
    Plain(EmbeddedFile),
    Brotli(EmbeddedFile),
}

fn answer(path: &str, found: Found, caching: &'static str, headers: &HeaderMap) -> Response {
    let (Found::Plain(file) | Found::Brotli(file)) = &found;
    let etag = etag(&file.metadata.sha256_hash());
    let mut response = if is_known(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)))];
        match found {
            Found::Plain(file) => (content_type, file.data).into_response(),
            Found::Brotli(file) if accepts_brotli(headers) => {
                let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("br"))];
                (content_type, encoding, file.data).into_response()
            }
            Found::Brotli(file) => (content_type, unpacked(&file.data)).into_response(),
        }
    };
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(caching));
    headers.insert(header::ETAG, etag);
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    response
}

fn find(path: &str) -> Option<Found> {
    Embedded::get(&format!("{path}.br")).map(Found::Brotli).or_else(|| Embedded::get(path).map(Found::Plain))
}

fn unpacked(data: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(data.len() * 4);
    brotli::Decompressor::new(data, 4096)
        .read_to_end(&mut plain)
        .expect("the embedded files were compressed by our own build");
    plain
}

fn etag(digest: &[u8; 32]) -> HeaderValue {
    let hex: String = digest[..12].iter().map(|byte| format!("{byte:02x}")).collect();
    HeaderValue::try_from(format!("\"{hex}\"")).expect("hexadecimal digits are a header value")
}

fn is_known(headers: &HeaderMap, etag: &HeaderValue) -> bool {
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    known.split(',').map(|one| one.trim().trim_start_matches("W/")).any(|one| one.as_bytes() == etag.as_bytes())
}

fn accepts_brotli(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT_ENCODING)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .any(|coding| {
            let (name, weight) = coding.split_once(';').unwrap_or((coding, ""));
            name.trim().eq_ignore_ascii_case("br") && !matches!(weight.trim(), "q=0" | "q=0.0" | "q=0.00" | "q=0.000")
        })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" | "mjs" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" | "map" | "webmanifest" => "application/json",
        "txt" => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: header::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_str(value).unwrap())])
    }

    #[test]
    fn brotli_goes_only_to_who_accepts_it() {
        let check = |value, expected| {
            assert_eq!(accepts_brotli(&headers(header::ACCEPT_ENCODING, value)), expected, "{value}");
        };
        check("gzip, deflate, br, zstd", true);
        check("BR;q=0.5", true);
        check("br;q=0", false);
        check("gzip", false);
        check("brotli", false);
    }

    #[tokio::test]
    async fn the_page_is_revalidated_and_a_missing_asset_is_404() {
        let first = page(HeaderMap::new()).await;
        assert_eq!(first.status(), StatusCode::OK);
        let etag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
        let again = page(headers(header::IF_NONE_MATCH, &format!("\"x\", W/{etag}"))).await;
        assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
        assert_eq!(again.headers()[header::CACHE_CONTROL], "no-cache");

        for path in ["/assets/gone.js", "/index.html", "/assets/../index.html", "/nothing"] {
            let request = Request::builder().uri(path).body(axum::body::Body::empty()).unwrap();
            assert_eq!(file(request).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
    }
}
