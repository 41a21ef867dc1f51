//! Lines of text: keys with values, wrapped lists, numbered steps.

/// Where values begin, in columns.
pub const KEY: usize = 15;
/// Where lists are wrapped, in columns.
pub const WIDTH: usize = 110;

/// Lines under way.
#[derive(Default)]
pub struct Page {
    /// What there is so far.
    pub lines: Vec<String>,
    /// Number of the first of the things that are to be listed.
    pub first: usize,
}

impl Page {
    /// A key and its value; without a key, more of the same.
    pub fn row(&mut self, key: &str, value: impl AsRef<str>) {
        self.lines.push(format!("{key:<KEY$}{}", value.as_ref()));
    }

    /// A line that begins a part.
    pub fn heading(&mut self, text: &str) {
        self.lines.push(String::new());
        self.lines.push(text.to_string());
    }

    /// One of a numbered list.
    pub fn step(&mut self, number: &str, what: impl AsRef<str>) {
        self.lines.push(format!("  {number:>7}  {}", what.as_ref()));
    }

    /// Numbered things, one a line; those of which `many` gives the same verb stand together behind it.
    pub fn folded<T>(
        &mut self,
        things: &[T],
        many: impl Fn(&T) -> Option<(&'static str, String)>,
        one: impl Fn(&T) -> String,
    ) {
        let mut rest = things;
        while let Some(thing) = rest.first() {
            let at = self.first + things.len() - rest.len();
            let Some((verb, _)) = many(thing) else {
                self.step(&at.to_string(), one(thing));
                rest = rest.get(1..).unwrap_or_default();
                continue;
            };
            let alike = rest.iter().map_while(|thing| many(thing).filter(|(v, _)| *v == verb).map(|(_, item)| item));
            let items: Vec<String> = alike.collect();
            let last = at + items.len() - 1;
            let number = if last == at { at.to_string() } else { format!("{at}-{last}") };
            for (nth, text) in wrap(&items, WIDTH - 12 - verb.len()).iter().enumerate() {
                let (number, verb_here) = if nth == 0 { (number.as_str(), verb) } else { ("", "") };
                self.step(number, format!("{verb_here:width$} {text}", width = verb.len()));
            }
            rest = rest.get(items.len()..).unwrap_or_default();
        }
    }

    /// A list with commas, wrapped below its first item.
    pub fn list(&mut self, key: &str, items: &[String]) {
        let mut lines = wrap(items, WIDTH - KEY).into_iter();
        self.row(key, lines.next().unwrap_or_else(|| "none".into()));
        lines.for_each(|line| self.row("", line));
    }
}

/// Items with commas between them, as lines of at most `width` columns where the items allow it.
pub fn wrap(items: &[String], width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for (i, item) in items.iter().enumerate() {
        let item = if i + 1 < items.len() { format!("{item},") } else { item.clone() };
        match lines.last_mut() {
            Some(line) if line.len() + 1 + item.len() <= width => {
                line.push(' ');
                line.push_str(&item);
            }
            _ => lines.push(item),
        }
    }
    lines
}
