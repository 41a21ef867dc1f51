//! The log: where the final error of a command goes.
//!
//! With `--log FILE` an error is one line in the file, in the format of `--log-format`, and the
//! bare message on stderr. Without it, the line itself is on stderr. A file is opened when there
//! is something to write, so a command that succeeds leaves none.
//!
//! Nothing but the final error is written to the file. containerd's shim takes the last line of
//! level "error" for the cause, but Podman and conmon read the whole file as one JSON object: one
//! warning in it, and the cause is lost. Warnings go to stderr: without `--log` always, with it
//! only under `--debug`, as debug messages do, because such a caller takes what is on stderr for
//! the error. CRI-O reads the stderr of `features` as part of the JSON; that command warns of nothing.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::error::{Call as _, Result};

/// The form of a line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Format {
    /// `time="2026-01-02T03:04:05Z" level=error msg="..."`.
    #[default]
    Text,
    /// `{"level":"error","msg":"...","time":"2026-01-02T03:04:05Z"}`.
    Json,
}

/// How serious a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Level {
    Debug,
    Warning,
    Error,
}

impl Level {
    fn as_str(self) -> &'static str {
        match self {
            Level::Debug => "debug",
            Level::Warning => "warning",
            Level::Error => "error",
        }
    }
}

/// Where messages of one command go.
#[derive(Debug, Clone, Default)]
pub struct Log {
    path: Option<PathBuf>,
    format: Format,
    debug: bool,
}

impl Log {
    /// A log to the file at `path`, or without one to stderr. With `debug` warnings and debug
    /// messages are printed, too.
    pub fn new(path: Option<PathBuf>, format: Format, debug: bool) -> Log {
        Log { path, format, debug }
    }

    /// Writes the final error. To be called once, with the whole chain of causes in `message`.
    ///
    /// Cannot fail: with nowhere left to write to, the exit status says it.
    pub fn error(&self, message: &str) {
        self.error_to(message, now(), &mut io::stderr().lock());
    }

    /// Tells the administrator of something to act on: on stderr, unless `--log` is given without `--debug`.
    pub fn warn(&self, message: &str) {
        self.note_to(Level::Warning, message, now(), &mut io::stderr().lock());
    }

    /// Tells of a decision, if `--debug` is given.
    pub fn debug(&self, message: &str) {
        self.note_to(Level::Debug, message, now(), &mut io::stderr().lock());
    }

    fn error_to(&self, message: &str, seconds: u64, stderr: &mut dyn Write) {
        let line = line(self.format, Level::Error, message, seconds);
        let Some(path) = &self.path else {
            return print(stderr, &line);
        };
        let mut bare = escaped(message);
        if let Err(error) = append(path, &line) {
            // Still one line: who reads stderr has to learn why the log is empty.
            bare.push_str(&escaped(&format!(" (log: {error})")));
        }
        bare.push('\n');
        print(stderr, &bare);
    }

    fn note_to(&self, level: Level, message: &str, seconds: u64, stderr: &mut dyn Write) {
        let seen = self.debug || (level == Level::Warning && self.path.is_none());
        if seen {
            print(stderr, &line(Format::Text, level, message, seconds));
        }
    }
}

/// Writes to stderr, in one write(2) where it takes that much.
#[expect(clippy::let_underscore_must_use, reason = "there is no other place to complain")]
fn print(stderr: &mut dyn Write, text: &str) {
    // Engines close the stderr of commands they do not read (EPIPE, EBADF). The work is done or
    // undone by now, and the exit status says so.
    let _ = stderr.write_all(text.as_bytes()).and_then(|()| stderr.flush());
}

/// Appends to the log file in one write(2), so that lines of commands that share it stay whole.
fn append(path: &Path, line: &str) -> Result<()> {
    // O_NONBLOCK: a FIFO without a reader gives ENXIO in place of a hang. O_NOCTTY: a terminal
    // given as the log must not become ours.
    let mut file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o644)
        .custom_flags(libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY)
        .open(path)
        .call("open", path.display())?;
    file.write_all(line.as_bytes()).call("write", path.display())
}

fn line(format: Format, level: Level, message: &str, seconds: u64) -> String {
    let level = level.as_str();
    let time = rfc3339(seconds);
    match format {
        Format::Json => {
            // A Value renders infallibly; its keys come out sorted: level, msg, time.
            format!("{}\n", serde_json::json!({"level": level, "msg": message, "time": time}))
        }
        Format::Text => format!("time=\"{time}\" level={level} msg={}\n", quoted(message)),
    }
}

/// The message as a logfmt value: bare when it has only harmless characters, else in quotes.
fn quoted(message: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || "-._/@^+".contains(c);
    if !message.is_empty() && message.chars().all(bare) {
        return message.to_owned();
    }
    let mut text = String::from("\"");
    for c in message.chars() {
        match c {
            '"' | '\\' => {
                text.push('\\');
                text.push(c);
            }
            _ => push_escaped(&mut text, c),
        }
    }
    text.push('"');
    text
}

/// The message on one line, without characters that steer a terminal: parts of it may come from
/// an image or a configuration.
fn escaped(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    message.chars().for_each(|c| push_escaped(&mut text, c));
    text
}

fn push_escaped(text: &mut String, c: char) {
    match c {
        '\n' => text.push_str("\\n"),
        '\r' => text.push_str("\\r"),
        '\t' => text.push_str("\\t"),
        // Line and paragraph separators, and what turns the direction of text around.
        '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => push_code(text, c),
        c if c.is_control() => push_code(text, c),
        c => text.push(c),
    }
}

fn push_code(text: &mut String, c: char) {
    let code = u32::from(c);
    let digits = if code < 0x80 { format!("\\x{code:02x}") } else { format!("\\u{code:04x}") };
    text.push_str(&digits);
}

fn now() -> u64 {
    // A clock before 1970 gives 1970: a log without a valid time could not be read at all.
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Seconds since 1970 as RFC 3339 in UTC, for example `2026-01-02T03:04:05Z`.
///
/// Years are right up to 9999; leap seconds do not exist in this count.
pub fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    // Counted in eras of 400 years from 1 March of the year 0, leap days come last in their year.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    fn error(log: &Log, message: &str) -> String {
        let mut stderr = Vec::new();
        log.error_to(message, 1_700_000_000, &mut stderr);
        String::from_utf8(stderr).unwrap()
    }

    fn scratch(name: &str) -> PathBuf {
        let dir = std::env::temp_dir().join(format!("casemate-log-{}-{name}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        dir
    }

    #[test]
    fn without_a_file_the_line_is_on_stderr() {
        assert_eq!(
            error(&Log::default(), "container \"a\" does not exist"),
            "time=\"2023-11-14T22:13:20Z\" level=error msg=\"container \\\"a\\\" does not exist\"\n"
        );
        assert_eq!(
            error(&Log::new(None, Format::Json, false), "gone"),
            "{\"level\":\"error\",\"msg\":\"gone\",\"time\":\"2023-11-14T22:13:20Z\"}\n"
        );
    }

    #[test]
    fn with_a_file_the_line_is_there_and_the_message_on_stderr() {
        let dir = scratch("file");
        let path = dir.join("log.json");
        let log = Log::new(Some(path.clone()), Format::Json, true);
        log.note_to(Level::Warning, "w", 0, &mut Vec::new());
        log.note_to(Level::Debug, "d", 0, &mut Vec::new());
        assert!(!path.exists(), "only an error makes the file");

        assert_eq!(error(&log, "exec: \"x\":\n no"), "exec: \"x\":\\n no\n");
        let text = fs::read_to_string(&path).unwrap();
        assert_eq!(text.lines().count(), 1);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["level"], "error");
        assert_eq!(value["msg"], "exec: \"x\":\n no");
        assert_eq!(value["time"], "2023-11-14T22:13:20Z");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o644);

        error(&log, "again");
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), 2, "appended");
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_written_is_told_on_the_same_line() {
        let dir = scratch("bad");
        let fifo = dir.join("fifo");
        nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
        for path in [dir.join("no/such"), dir.clone(), fifo] {
            let text = error(&Log::new(Some(path.clone()), Format::Json, false), "gone");
            assert!(text.starts_with(&format!("gone (log: open \"{}\": ", path.display())), "{text}");
            assert!(!text.contains("os error"), "{text}");
            assert_eq!(text.lines().count(), 1, "{text}");
        }
        fs::remove_dir_all(&dir).unwrap();
    }

    #[test]
    fn a_closed_stderr_does_no_harm() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        Log::default().error_to("gone", 0, &mut writer);
    }

    #[test]
    fn warnings_are_seen_unless_an_engine_reads_stderr() {
        let file = || Some(PathBuf::from("/nonexistent/log"));
        for (path, debug, lines) in [(None, false, 1), (None, true, 2), (file(), false, 0), (file(), true, 2)] {
            let log = Log::new(path, Format::Json, debug);
            let mut stderr = Vec::new();
            log.note_to(Level::Warning, "a", 0, &mut stderr);
            log.note_to(Level::Debug, "b c", 0, &mut stderr);
            let text = String::from_utf8(stderr).unwrap();
            assert_eq!(text.lines().count(), lines, "{text}");
            assert_eq!(text.contains("time=\"1970-01-01T00:00:00Z\" level=warning msg=a\n"), lines > 0);
        }
    }

    #[test]
    fn a_message_is_one_line_and_cannot_steer_a_terminal() {
        let hostile = "a\nb\r\t\u{1b}[2J\u{9b}\u{202e}\u{2028}\0";
        let bare = r"a\nb\r\t\x1b[2J\u009b\u202e\u2028\x00";
        assert_eq!(escaped(hostile), bare);
        assert_eq!(quoted(hostile), format!("\"{bare}\""));
        assert_eq!(quoted("plain-word./@^+"), "plain-word./@^+");
        assert_eq!(quoted(""), "\"\"");
        assert_eq!(quoted(r"a\b"), r#""a\\b""#);
        assert_eq!(quoted("grün"), "\"grün\"");
    }

    #[test]
    fn times_are_rfc_3339_in_utc() {
        for (seconds, want) in [
            (0, "1970-01-01T00:00:00Z"),
            (86_399, "1970-01-01T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_704_067_199, "2023-12-31T23:59:59Z"),
            (1_709_164_800, "2024-02-29T00:00:00Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(seconds), want);
        }
    }
}
