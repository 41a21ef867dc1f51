//! What `--version` prints.

use crate::spec;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of this build, or `unknown` for a build from an archive.
pub const COMMIT: &str = match option_env!("CASEMATE_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

/// Three lines, in the form in which engines look for a version, a commit and a spec.
pub fn text() -> String {
    format!("casemate version {VERSION}\ncommit: {COMMIT}\nspec: {}\n", spec::VERSION)
}

#[cfg(test)]
mod tests {
    #[test]
    fn lines_are_the_ones_engines_look_for() {
        let text = super::text();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("casemate version ") && lines[1].starts_with("commit: "));
        assert_eq!(lines[2], "spec: 1.3.0");
    }
}
