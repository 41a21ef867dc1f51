//! What is wrong with the text of a context.

use std::fmt;

/// A field of a context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The SELinux user.
    User,
    /// The role.
    Role,
    /// The type, called domain for processes.
    Type,
}

impl fmt::Display for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Part::User => "user",
            Part::Role => "role",
            Part::Type => "type",
        })
    }
}

/// Why a text is not a context, or a context not usable for what it was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invalid {
    /// There are fewer than three fields, or an empty one.
    Missing(Part),
    /// A field is not a name: a letter, then letters, digits, `_`, `-` and `.`.
    Name(Part),
    /// A level does not begin with a sensitivity, `s0` to `s15`.
    Sensitivity(String),
    /// Not a list of categories, `c0` to `c1023`, and ascending runs of them, `c0.c9`.
    Categories(String),
    /// The upper level of a range does not dominate the lower one.
    Range(String),
    /// Two categories that are the same, or beyond `c1023`, are no pair.
    Pair,
    /// Longer than this many bytes.
    TooLong(usize),
}

impl fmt::Display for Invalid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Invalid::Missing(part) => write!(f, "the {part} is missing; a context is user:role:type:level"),
            Invalid::Name(part) => {
                write!(
                    f,
                    "the {part} is not a name of letters, digits, \"_\", \"-\" and \".\" that begins with a letter"
                )
            }
            Invalid::Sensitivity(text) => write!(f, "level {text:?} does not begin with a sensitivity, s0 to s15"),
            Invalid::Categories(text) => {
                write!(f, "{text:?} is not a list of categories, c0 to c1023, or of ascending runs such as c0.c9")
            }
            Invalid::Range(text) => write!(f, "in range {text:?} the upper level does not dominate the lower"),
            Invalid::Pair => f.write_str("an mcs pair is two different categories of c0 to c1023"),
            Invalid::TooLong(bytes) => write!(f, "longer than {bytes} bytes"),
        }
    }
}

impl std::error::Error for Invalid {}
