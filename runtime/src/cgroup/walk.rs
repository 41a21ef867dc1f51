//! A walk through a cgroup and all below it.
//!
//! What is below was made by the container, where it may write to its cgroups: names of any bytes but a line break, and
//! levels without end. So names are taken as the kernel gives them, and one directory is open at a time.

use std::ffi::{CStr, CString};

use super::Error;
use super::dir::Dir;

/// A directory on the way down, and those in it that were not visited yet.
struct Level {
    name: CString,
    rest: Vec<CString>,
}

/// Calls `enter` with each directory before those below it, and `leave` with its parent and its name after them. `top`
/// is entered only. Directories that go away meanwhile are passed over.
pub(super) fn walk(
    top: &Dir,
    enter: &mut dyn FnMut(&Dir) -> Result<(), Error>,
    leave: &mut dyn FnMut(&Dir, &CStr) -> Result<(), Error>,
) -> Result<(), Error> {
    enter(top)?;
    let mut levels = vec![Level { name: CString::default(), rest: top.children()? }];
    // Where the last level is, but for the first, which is `top`.
    let mut below: Option<Dir> = None;
    while let Some(level) = levels.last_mut() {
        let here = below.as_ref().unwrap_or(top);
        if let Some(name) = level.rest.pop() {
            // The whole path would grow with the depth.
            let above = if levels.len() == 1 { "" } else { "/..." };
            let shown = format!("{}{above}/{}", top.name, name.to_bytes().escape_ascii());
            let Some(child) = here.child(&name, shown)? else { continue };
            enter(&child)?;
            let rest = child.children()?;
            levels.push(Level { name, rest });
            below = Some(child);
            continue;
        }
        let done = levels.pop();
        if levels.is_empty() {
            break;
        }
        let parent = if levels.len() == 1 { None } else { Some(here.parent()?) };
        if let Some(Level { name, .. }) = done {
            leave(parent.as_ref().unwrap_or(top), &name)?;
        }
        below = parent;
    }
    Ok(())
}
