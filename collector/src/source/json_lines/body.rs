//! Decompression of a request's body, with a cap on what comes out: a bomb is stopped at the cap and costs no more than it.

use std::io::{self, Read};

use thiserror::Error;

/// Why a body could not be decompressed.
#[derive(Debug, Error)]
pub enum BodyError {
    /// More came out than may.
    #[error("the body has more than {0} bytes once decompressed")]
    TooLarge(usize),
    /// The encoding is none of those we read.
    #[error("the content encoding {0:?} is not supported: send gzip, zstd, deflate or identity")]
    UnknownEncoding(String),
    /// What was sent is not what its encoding says.
    #[error("the body is not valid {encoding}: {message}")]
    Invalid {
        /// The encoding that was named.
        encoding: &'static str,
        /// What is wrong.
        message: String,
    },
}

/// zstd windows beyond 2^27 bytes (what `zstd --ultra --long=27` makes) are refused: they are the decoder's memory.
const ZSTD_WINDOW_LOG_MAX: u32 = 27;

/// Whether a body of this `Content-Encoding` is what it says as it stands.
pub fn is_plain(encoding: &str) -> bool {
    let encoding = encoding.trim();
    encoding.is_empty() || encoding.eq_ignore_ascii_case("identity")
}

/// The body without its `Content-Encoding`, at most `bytes_max` bytes.
pub fn decoded(body: &[u8], encoding: &str, bytes_max: usize) -> Result<Vec<u8>, BodyError> {
    let invalid =
        |encoding: &'static str| move |error: io::Error| BodyError::Invalid { encoding, message: error.to_string() };
    match encoding.trim().to_ascii_lowercase().as_str() {
        plain if is_plain(plain) => Ok(body.to_vec()),
        "gzip" | "x-gzip" => {
            read_capped(flate2::read::MultiGzDecoder::new(body), body.len(), bytes_max, invalid("gzip"))
        }
        // What is called deflate is zlib by the standard and bare deflate by habit; the header tells.
        "deflate" if is_zlib(body) => {
            read_capped(flate2::read::ZlibDecoder::new(body), body.len(), bytes_max, invalid("deflate"))
        }
        "deflate" => read_capped(flate2::read::DeflateDecoder::new(body), body.len(), bytes_max, invalid("deflate")),
        "zstd" => {
            let mut decoder = zstd::stream::read::Decoder::with_buffer(body).map_err(invalid("zstd"))?;
            decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(invalid("zstd"))?;
            read_capped(decoder, body.len(), bytes_max, invalid("zstd"))
        }
        other => Err(BodyError::UnknownEncoding(other.to_owned())),
    }
    .and_then(|body| if body.len() > bytes_max { Err(BodyError::TooLarge(bytes_max)) } else { Ok(body) })
}

fn read_capped(
    decoder: impl Read,
    compressed_length: usize,
    bytes_max: usize,
    invalid: impl Fn(io::Error) -> BodyError,
) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::with_capacity(compressed_length.saturating_mul(4).min(bytes_max));
    decoder.take(bytes_max as u64 + 1).read_to_end(&mut body).map_err(invalid)?;
    Ok(body)
}

/// RFC 1950 §2.2: method 8 in the low half of the first byte, and the first two bytes a multiple of 31.
fn is_zlib(body: &[u8]) -> bool {
    matches!(body, [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;

    use super::*;

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn zlib(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    fn bare_deflate(body: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn every_encoding_comes_out_as_it_went_in() {
        let text = b"{\"msg\":\"hello\"}\n".repeat(100);
        let check = |encoding, sent: &[u8]| {
            let decoded = decoded(sent, encoding, 1 << 20).unwrap();
            assert_eq!(decoded, text, "{encoding}");
        };
        check("", &text);
        check("identity", &text);
        check("gzip", &gzip(&text));
        check("GZip", &[gzip(&text[..160]), gzip(&text[160..])].concat());
        check("deflate", &zlib(&text));
        check("deflate", &bare_deflate(&text));
        check("zstd", &zstd::stream::encode_all(&text[..], 1).unwrap());
    }

    #[test]
    fn bombs_stop_at_the_cap_and_lies_are_named() {
        let zeros = vec![0; 4 << 20];
        let check = |encoding, sent: &[u8], expected: &str| {
            let error = decoded(sent, encoding, 1 << 20).unwrap_err().to_string();
            assert!(error.contains(expected), "{encoding}: {error}");
        };
        check("gzip", &gzip(&zeros), "more than 1048576 bytes");
        check("zstd", &zstd::stream::encode_all(&zeros[..], 1).unwrap(), "more than 1048576 bytes");
        check("deflate", &zlib(&zeros), "more than 1048576 bytes");
        check("gzip", b"{\"msg\":\"hello\"}", "not valid gzip");
        check("zstd", b"{\"msg\":\"hello\"}", "not valid zstd");
        check("gzip", &gzip(b"hello")[..10], "not valid gzip");
        check("br", b"", "\"br\" is not supported");
        let exactly = vec![b'x'; 1 << 20];
        assert_eq!(decoded(&gzip(&exactly), "gzip", 1 << 20).unwrap(), exactly);
    }
}
