//! How a payload is shown: as JSON if it is JSON, else as text, else as base64 and said so. JSON that
//! was written in another way than it is shown comes `raw`, too.

use serde_json::{Map, Value};

/// Adds `payload` to `event`, and `encoding` if the payload is neither JSON nor text.
pub(crate) fn show(payload: &[u8], event: &mut Map<String, Value>) {
    let (shown, encoding) = match std::str::from_utf8(payload) {
        Ok(text) => match serde_json::from_str::<Value>(text) {
            Ok(json) => {
                let written = json.to_string();
                if json.is_string() || written != text {
                    event.insert("raw".into(), text.into());
                }
                (json, None)
            }
            Err(_) => (Value::from(text), None),
        },
        Err(_) => (Value::from(base64(payload)), Some("base64")),
    };
    event.insert("payload".into(), shown);
    if let Some(encoding) = encoding {
        event.insert("encoding".into(), encoding.into());
    }
}

/// Base64 with padding (RFC 4648, section 4).
fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group =
            chunk.iter().chain([0, 0].iter()).take(3).fold(0u32, |group, byte| group << 8 | u32::from(*byte));
        for position in 0..4 {
            if position <= chunk.len() {
                text.push(ALPHABET[(group >> (18 - 6 * position) & 63) as usize] as char);
            } else {
                text.push('=');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(payload: &[u8], expected: &str) {
        let mut event = Map::new();
        show(payload, &mut event);
        assert_eq!(Value::from(event).to_string(), expected);
    }

    #[test]
    fn payloads_are_shown_as_what_they_are() {
        check(br#"{"occupancy":true}"#, r#"{"payload":{"occupancy":true}}"#);
        check(b"23.5", r#"{"payload":23.5}"#);
        check(b"23.50", r#"{"payload":23.5,"raw":"23.50"}"#);
        check(br#""ON""#, r#"{"payload":"ON","raw":"\"ON\""}"#);
        check(b"ON", r#"{"payload":"ON"}"#);
        check(b"", r#"{"payload":""}"#);
        check("grün".as_bytes(), r#"{"payload":"grün"}"#);
        check(b"\xff", r#"{"encoding":"base64","payload":"/w=="}"#);
        check(b"\xff\xfe", r#"{"encoding":"base64","payload":"//4="}"#);
        check(b"\xff\xfe\xfd", r#"{"encoding":"base64","payload":"//79"}"#);
        check(b"\xff\xfe\xfd\x00", r#"{"encoding":"base64","payload":"//79AA=="}"#);
    }
}
