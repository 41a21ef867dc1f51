//! A security context.

use crate::{Invalid, McsPair, Part, Range};
use std::fmt;
use std::str::FromStr;

/// `user:role:type:range`, or `user:role:type` under a policy without MLS. A value is well-formed; whether the loaded
/// policy knows its names is the kernel's to say, when it is written.
///
/// It is printed as the kernel prints it, never longer than it was read, so what is read back from the kernel can be compared with what was written.
/// Its text holds no blank, no quote, no line break and no NUL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Context {
    user: String,
    role: String,
    r#type: String,
    range: Option<Range>,
}

impl Context {
    /// The longest text that is read, in bytes. The kernel takes a page; contexts of containers have some 50.
    pub const MAX_BYTES: usize = 1023;

    /// The SELinux user, `system_u`.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The role: `system_r` for processes, `object_r` for files.
    pub fn role(&self) -> &str {
        &self.role
    }

    /// The type, on which nearly every rule of a policy is: `container_t`.
    pub fn r#type(&self) -> &str {
        &self.r#type
    }

    /// The level or range; none under a policy without MLS.
    pub fn range(&self) -> Option<&Range> {
        self.range.as_ref()
    }

    /// The two categories that set a container apart, when the context has exactly two and no wider clearance.
    pub fn mcs_pair(&self) -> Option<McsPair> {
        let range = self.range.as_ref().filter(|range| range.low() == range.high())?;
        McsPair::of(range.low().categories())
    }
}

impl FromStr for Context {
    type Err = Invalid;

    fn from_str(text: &str) -> Result<Context, Invalid> {
        if text.len() > Context::MAX_BYTES {
            return Err(Invalid::TooLong(Context::MAX_BYTES));
        }
        let mut fields = text.splitn(4, ':');
        let mut field = |part| name(fields.next(), part);
        let (user, role, r#type) = (field(Part::User)?, field(Part::Role)?, field(Part::Type)?);
        let range = fields.next().map(str::parse).transpose()?;
        Ok(Context { user, role, r#type, range })
    }
}

/// Identifiers of the policy language (checkpolicy(8), secilc(8)).
fn name(field: Option<&str>, part: Part) -> Result<String, Invalid> {
    let name = field.filter(|name| !name.is_empty()).ok_or(Invalid::Missing(part))?;
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    if name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(ok) {
        Ok(name.to_string())
    } else {
        Err(Invalid::Name(part))
    }
}

impl fmt::Display for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.user, self.role, self.r#type)?;
        self.range.as_ref().map_or(Ok(()), |range| write!(f, ":{range}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Context, Invalid> {
        text.parse()
    }

    #[test]
    fn contexts_that_engines_write_are_read_and_printed_the_same() {
        for text in [
            "system_u:system_r:container_t:s0:c107,c392",
            "system_u:object_r:container_file_t:s0:c107,c392",
            "system_u:system_r:container_init_t:s0:c1,c1023",
            "unconfined_u:system_r:spc_t:s0",
            "unconfined_u:unconfined_r:unconfined_t:s0-s0:c0.c1023",
            "system_u:system_r:container_t",
            "staff_u:staff_r:my.block.type-1:s15",
        ] {
            assert_eq!(parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn fields_are_told_apart() {
        let context = parse("a_u:b_r:c_t:s0-s0:c0.c9").unwrap();
        assert_eq!((context.user(), context.role(), context.r#type()), ("a_u", "b_r", "c_t"));
        assert_eq!(context.range().unwrap().to_string(), "s0-s0:c0.c9");
    }

    #[test]
    fn a_missing_or_empty_field_is_named() {
        for (text, part) in [
            ("", Part::User),
            (":r:t:s0", Part::User),
            ("u", Part::Role),
            ("u::t:s0", Part::Role),
            ("u:r", Part::Type),
            ("u:r::s0", Part::Type),
        ] {
            assert_eq!(parse(text), Err(Invalid::Missing(part)), "{text:?}");
        }
    }

    #[test]
    fn what_could_break_out_of_the_text_is_refused() {
        for bad in ["u ", " u", "u\n", "u\0", "u\"", "u'", "u,v", "u=v", "u/v", "1u", "_u", "ü", "u\u{a0}"] {
            assert_eq!(parse(&format!("{bad}:r:t:s0")), Err(Invalid::Name(Part::User)), "{bad:?}");
            assert_eq!(parse(&format!("u:r:{bad}:s0")), Err(Invalid::Name(Part::Type)), "{bad:?}");
            assert!(parse(&format!("u:r:t:s0{bad}")).is_err(), "{bad:?}");
        }
        assert!(parse("u:r:t:").is_err());
        assert!(parse("u:r:t:s0:c1,c2\n").is_err());
    }

    #[test]
    fn the_length_is_limited() {
        let long = |n: usize| format!("u:r:{}:s0", "t".repeat(n));
        assert!(parse(&long(Context::MAX_BYTES - 7)).is_ok());
        assert_eq!(parse(&long(Context::MAX_BYTES - 6)), Err(Invalid::TooLong(Context::MAX_BYTES)));
    }

    #[test]
    fn the_pair_of_a_container_is_found_and_a_clearance_is_no_pair() {
        let pair = parse("u:r:t:s0:c9,c4").unwrap().mcs_pair().unwrap();
        assert_eq!(pair, McsPair::new(4, 9).unwrap());
        for text in ["u:r:t", "u:r:t:s0", "u:r:t:s0:c1", "u:r:t:s0-s0:c1,c2", "u:r:t:s0:c0.c1023"] {
            assert_eq!(parse(text).unwrap().mcs_pair(), None, "{text}");
        }
    }

    #[test]
    fn two_spellings_of_one_context_are_equal() {
        assert_eq!(parse("u:r:t:s0:c2,c1"), parse("u:r:t:s0:c1.c2"));
        assert_eq!(parse("u:r:t:s0-s0"), parse("u:r:t:s0"));
        assert_ne!(parse("u:r:t:s0"), parse("u:r:t"));
    }
}
