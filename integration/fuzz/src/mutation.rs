//! How inputs are changed. libFuzzer changes bytes, and puts in words of the dictionary; of a JSON document little is left
//! by that. So every second change of one is a change of its tree: a value put at a place that it has, taken away, moved
//! or repeated.

use libfuzzer_sys::fuzzer_mutate;
use serde_json::{Map, Value};
use std::sync::LazyLock;

/// The dictionary of the JSON targets, which libFuzzer gets too.
static WORDS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let quoted = include_str!("../dictionaries/json.dict").lines().filter(|line| line.starts_with('"'));
    quoted.map(|line| line.trim_matches('"').replace("\\\"", "\"").replace("\\\\", "\\")).collect()
});

/// xorshift64*: the same changes for the same seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit.max(1)
    }

    fn word(&mut self) -> String {
        let at = self.below(WORDS.len());
        WORDS.get(at).map_or_else(String::new, |word| word.trim_matches('"').to_owned())
    }

    fn scalar(&mut self) -> Value {
        const NUMBERS: [i64; 14] =
            [-1, 0, 1, 2, 3, 9, 16, 511, 1000, 4095, 65_536, i64::MAX, i64::MIN, u32::MAX as i64];
        match self.below(12) {
            0 => Value::Null,
            1 => Value::Bool(true),
            2 => Value::Bool(false),
            3 => Value::from(u64::MAX),
            4 | 5 => Value::from(NUMBERS[self.below(NUMBERS.len())]),
            6 => Value::from(self.below(1 << 20)),
            _ => Value::from(self.word()),
        }
    }
}

/// Changes the first `size` bytes of `data`; answers how many there are then.
pub fn mutate(data: &mut [u8], size: usize, max_size: usize, seed: u32, is_json: bool) -> usize {
    let mut draw = Draw(u64::from(seed) << 1 | 1);
    if is_json
        && draw.below(2) == 0
        && let Some(changed) = data.get(..size).and_then(|text| tree(text, &mut draw))
    {
        if changed.len() <= max_size {
            data[..changed.len()].copy_from_slice(&changed);
            return changed.len();
        }
    }
    fuzzer_mutate(data, size, max_size)
}

fn tree(text: &[u8], draw: &mut Draw) -> Option<Vec<u8>> {
    let mut document: Value = serde_json::from_slice(text).ok()?;
    for _ in 0..=draw.below(3) {
        let mut places = Vec::new();
        pointers(&document, String::new(), &mut places);
        let at = places.get(draw.below(places.len()))?.clone();
        let other = document.pointer(places.get(draw.below(places.len()))?)?.clone();
        change(document.pointer_mut(&at)?, other, draw);
    }
    serde_json::to_vec(&document).ok()
}

fn change(value: &mut Value, other: Value, draw: &mut Draw) {
    match (draw.below(6), &mut *value) {
        (0 | 1, Value::Object(map)) => drop(map.insert(draw.word(), draw.scalar())),
        (2, Value::Object(map)) => drop(map.insert(draw.word(), other)),
        (3, Value::Object(map)) => {
            let key = map.keys().nth(draw.below(map.len())).cloned();
            key.and_then(|key| map.remove(&key));
        }
        (0 | 1, Value::Array(list)) => list.push(draw.scalar()),
        (2, Value::Array(list)) if !list.is_empty() => {
            let at = draw.below(list.len());
            let again = vec![list[at].clone(); 1 + draw.below(3)];
            list.extend(again);
        }
        (3, Value::Array(list)) if !list.is_empty() => drop(list.remove(draw.below(list.len()))),
        (4, Value::String(text)) => text.push_str(&draw.word()),
        (4, _) => *value = other,
        (5, _) if draw.below(8) == 0 => *value = Value::Object(Map::new()),
        (5, _) if draw.below(8) == 0 => *value = Value::Array(Vec::new()),
        _ => *value = draw.scalar(),
    }
}

/// JSON pointers to all values below one.
fn pointers(value: &Value, at: String, all: &mut Vec<String>) {
    match value {
        Value::Object(map) => {
            for (key, below) in map {
                pointers(below, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(list) => {
            for (index, below) in list.iter().enumerate() {
                pointers(below, format!("{at}/{index}"), all);
            }
        }
        _ => {}
    }
    all.push(at);
}
