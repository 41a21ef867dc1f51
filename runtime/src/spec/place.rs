//! Where in a JSON document a byte is: the path to the value that a parser had before it when it stopped.
//!
//! serde_json tells line and column only. This walks the text once more, when there is an error to tell.

/// One open array or object.
enum Level {
    Array(usize),
    Object(String),
}

/// The path to the value that ends at `offset` or contains it, as `process.args[0]`; empty for the whole document.
///
/// The text before `offset` is taken for well-formed JSON, as it is where serde_json stopped.
pub fn path(text: &str, offset: usize) -> String {
    let bytes = text.as_bytes().get(..offset).unwrap_or(text.as_bytes());
    let mut levels: Vec<Level> = Vec::new();
    let mut at = 0;
    let mut key_is_next = false;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' => {
                levels.push(Level::Object(String::new()));
                key_is_next = true;
            }
            b'[' => levels.push(Level::Array(0)),
            // A value that ends with the last byte is the one that was judged; one further up is not.
            b'}' | b']' if at + 1 < bytes.len() || levels.len() == 1 => {
                levels.pop();
            }
            b',' => match levels.last_mut() {
                Some(Level::Array(index)) => *index += 1,
                _ => key_is_next = true,
            },
            b'"' => {
                let end = string_end(bytes, at + 1);
                if key_is_next {
                    key_is_next = false;
                    if let Some(Level::Object(key)) = levels.last_mut() {
                        *key = String::from_utf8_lossy(bytes.get(at + 1..end).unwrap_or_default()).into_owned();
                    }
                }
                at = end;
            }
            _ => {}
        }
        at += 1;
    }
    let mut path = String::new();
    for level in &levels {
        match level {
            Level::Array(index) => path.push_str(&format!("[{index}]")),
            Level::Object(key) if key.is_empty() => {}
            Level::Object(key) if path.is_empty() => path.push_str(key),
            Level::Object(key) => {
                path.push('.');
                path.push_str(key);
            }
        }
    }
    path
}

/// Where the string that starts at `from` has its closing quote, or the end of the text.
fn string_end(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'\\' => at += 1,
            b'"' => return at,
            _ => {}
        }
        at += 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::path;

    #[test]
    fn the_path_leads_to_the_value_that_ends_there() {
        let text = r#"{"a": {"b,": [1, {"c\"": "x"}, true]}, "d": 5}"#;
        for (upto, wanted) in
            [("true", "a.b,[2]"), (r#""x""#, r#"a.b,[1].c\""#), ("[1", "a.b,[0]"), (": 5", "d"), (r#""d""#, "d")]
        {
            let offset = text.find(upto).unwrap() + upto.len();
            assert_eq!(path(text, offset), wanted, "{upto}");
        }
        assert_eq!(path(text, text.len()), "");
    }
}
