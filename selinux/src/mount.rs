//! Contexts as mount options (mount(8), "context=").

use crate::{Context, Invalid};

/// What of a filesystem gets the context.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountContext {
    /// Every file, instead of what is stored on it. This is what `linux.mountLabel` asks for.
    Context,
    /// The filesystem itself.
    Fscontext,
    /// Files that have none stored.
    Defcontext,
    /// The root directory, before it is visible.
    Rootcontext,
}

/// The longest value of fsconfig(2), FSCONFIG_SET_STRING, without its NUL.
const MAX_VALUE: usize = 255;

/// The key and the value for fsconfig(2). The value has no quotes: fsconfig passes it on as it is, unlike the data of
/// mount(2), where the commas between categories would separate options.
///
/// # Errors
/// [`Invalid::TooLong`] for a context of more than 255 bytes, which fsconfig(2) does not take.
pub fn mount_option(context: &Context, kind: MountContext) -> Result<(&'static str, String), Invalid> {
    let key = match kind {
        MountContext::Context => "context",
        MountContext::Fscontext => "fscontext",
        MountContext::Defcontext => "defcontext",
        MountContext::Rootcontext => "rootcontext",
    };
    let value = context.to_string();
    if value.len() > MAX_VALUE { Err(Invalid::TooLong(MAX_VALUE)) } else { Ok((key, value)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_value_is_the_context_without_quotes() {
        let context: Context = "system_u:object_r:container_file_t:s0:c2,c1".parse().unwrap();
        for (kind, key) in [
            (MountContext::Context, "context"),
            (MountContext::Fscontext, "fscontext"),
            (MountContext::Defcontext, "defcontext"),
            (MountContext::Rootcontext, "rootcontext"),
        ] {
            let value = "system_u:object_r:container_file_t:s0:c1,c2".to_string();
            assert_eq!(mount_option(&context, kind), Ok((key, value)));
        }
    }

    #[test]
    fn a_value_that_fsconfig_would_not_take_is_refused() {
        let of_length = |n: usize| -> Context { format!("u:r:{}:s0", "t".repeat(n - 7)).parse().unwrap() };
        assert!(mount_option(&of_length(255), MountContext::Context).is_ok());
        assert_eq!(mount_option(&of_length(256), MountContext::Context), Err(Invalid::TooLong(255)));
    }
}
