//! Where in a JSON document a byte is: the path to the value that a parser had before it when it stopped.
//!
//! serde_json tells line and column only. This walks the text once more, when there is an error to tell. The way back,
//! from a JSON pointer to a place, is for reports.

use std::ops::Range;

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

/// Where a value stands in a document: lines and columns from 1, columns in characters, the end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Place {
    /// Line of its first character.
    pub line: usize,
    /// Column of it.
    pub column: usize,
    /// Line of its last character.
    pub end_line: usize,
    /// Column behind that.
    pub end_column: usize,
}

/// The place of the value that a JSON pointer (RFC 6901) names. Where there is none, the first character of the
/// innermost value that is there: a field that is missing is missing from that.
///
/// The text is taken for well-formed JSON.
pub fn find(text: &str, pointer: &str) -> Place {
    let bytes = text.as_bytes();
    let mut at = behind_space(bytes, 0);
    let mut found = true;
    for part in pointer.split('/').skip(1) {
        match child(bytes, at, &part.replace("~1", "/").replace("~0", "~")) {
            Some(start) => at = start,
            None => {
                found = false;
                break;
            }
        }
    }
    let end = if found { value_end(bytes, at) } else { at + 1 };
    let ((line, column), (end_line, end_column)) = (position(text, at), position(text, end));
    Place { line, column, end_line, end_column }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}

fn behind_space(bytes: &[u8], from: usize) -> usize {
    let space = bytes.get(from..).unwrap_or_default().iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    from + space
}

/// Where the child `name` of the array or object at `at` starts.
fn child(bytes: &[u8], at: usize, name: &str) -> Option<usize> {
    let object = match bytes.get(at)? {
        b'{' => true,
        b'[' => false,
        _ => return None,
    };
    let mut next = behind_space(bytes, at + 1);
    for index in 0_usize.. {
        if matches!(bytes.get(next)?, b'}' | b']') {
            return None;
        }
        let is_it = if object {
            let key: Range<usize> = next..string_end(bytes, next + 1) + 1;
            next = behind_space(bytes, behind_space(bytes, key.end) + 1);
            serde_json::from_slice::<String>(bytes.get(key)?).ok()? == name
        } else {
            index.to_string() == name
        };
        if is_it {
            return Some(next);
        }
        next = behind_space(bytes, value_end(bytes, next));
        if bytes.get(next) == Some(&b',') {
            next = behind_space(bytes, next + 1);
        }
    }
    None
}

/// The offset behind the value that starts at `from`.
fn value_end(bytes: &[u8], from: usize) -> usize {
    let (mut at, mut depth) = (from, 0_usize);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'{' | b'[' => depth += 1,
            b'}' | b']' | b',' if depth == 0 => return at,
            b'}' | b']' => depth -= 1,
            b'"' => at = string_end(bytes, at + 1),
            byte if depth == 0 && byte.is_ascii_whitespace() => return at,
            _ => {}
        }
        at += 1;
        if depth == 0 && matches!(byte, b'}' | b']' | b'"') {
            return at;
        }
    }
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::{Place, find, path};

    #[test]
    fn a_pointer_leads_to_the_value_and_its_end() {
        let text = "{\n  \"a/b\": [1, {\"\u{fc}\": \"x,}\"} , true],\n  \"d\\u0065\" : {\n  },\"e\":5\n}\n";
        let place = |pointer: &str| {
            let Place { line, column, end_line, end_column } = find(text, pointer);
            (line, column, end_line, end_column)
        };
        assert_eq!(place("/a~1b/0"), (2, 11, 2, 12));
        assert_eq!(place("/a~1b/1/\u{fc}"), (2, 20, 2, 25));
        assert_eq!(place("/a~1b/2"), (2, 29, 2, 33));
        assert_eq!(place("/de"), (3, 15, 4, 4));
        assert_eq!(place("/e"), (4, 9, 4, 10));
        assert_eq!(place(""), (1, 1, 5, 2));
    }

    #[test]
    fn a_pointer_to_what_is_missing_leads_to_where_it_would_stand() {
        let text = "{\"a\": {\"b\": [1]}}";
        let at = |pointer| find(text, pointer).column;
        assert_eq!([at("/x"), at("/a/x/y"), at("/a/b/7"), at("/a/b/0/z")], [1, 7, 13, 14]);
        assert_eq!(find("{}", "/x"), Place { line: 1, column: 1, end_line: 1, end_column: 2 });
        for broken in ["", " ", "{", "{\"a", "[1,", "\"", "{\"x\"", "{\"x\":"] {
            find(broken, "/x/0");
        }
    }

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
