//! Bodies of Prometheus remote write 1.0: protobuf written by hand, snappy around it.
//! <https://prometheus.io/docs/specs/prw/remote_write_spec/>

/// The time series of one request.
#[derive(Default)]
pub struct WriteRequest {
    message: Vec<u8>,
}

impl WriteRequest {
    /// Adds a series: its labels sorted by name, and samples as Unix milliseconds and value.
    pub fn add(&mut self, labels: &[u8], samples: impl IntoIterator<Item = (i64, f64)>) {
        let mut series = labels.to_vec();
        for (millis, value) in samples {
            let mut sample = vec![0x09];
            sample.extend(value.to_le_bytes());
            sample.push(0x10);
            put_varint(&mut sample, millis as u64);
            put_bytes(&mut series, 2, &sample);
        }
        put_bytes(&mut self.message, 1, &series);
    }

    /// The body.
    pub fn finish(self) -> Vec<u8> {
        snap::raw::Encoder::new().compress_vec(&self.message).expect("compress")
    }
}

/// Labels as [`WriteRequest::add`] takes them.
pub fn labels<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Vec<u8> {
    let mut labels = Vec::new();
    for (name, value) in pairs {
        let mut label = Vec::new();
        put_bytes(&mut label, 1, name.as_bytes());
        put_bytes(&mut label, 2, value.as_bytes());
        put_bytes(&mut labels, 1, &label);
    }
    labels
}

/// A length-delimited field of a protobuf message.
fn put_bytes(out: &mut Vec<u8>, field: u8, bytes: &[u8]) {
    out.push(field << 3 | 2);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
