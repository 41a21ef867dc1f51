//! What an image has in place of a file that a runtime reads: a device does something when it is opened, so what is not
//! an ordinary file is not opened at all. Seen from outside, by inotify(7).

use crate::bundle::Bundle;
use crate::case::Container;
use crate::escape::check::Verdict;
use crate::escape::created::Creation;
use crate::escape::scene::Scene;
use crate::holds;
use anyhow::{Result, bail};
use rustix::fs::{CWD, FileType, Mode, inotify, mknodat};
use rustix::io::Errno;
use serde_json::json;
use std::path::Path;

crate::checks! {
    "B12" a_user_database_that_is_no_ordinary_file_is_not_opened;
    "B12" a_terminal_multiplexer_that_is_none_is_not_opened;
}

/// Makes a container of `bundle` with a FIFO at `place` of its root filesystem; its `twin` is without.
fn with_fifo(s: &Scene, twin: &Bundle, bundle: &Bundle, place: &str) -> Result<Verdict> {
    let container = |bundle: &Bundle| Container { ground: &s.ground, id: s.ground.id(), bundle: bundle.clone() };
    match s.create_container(container(twin))? {
        Creation::Refused(attack) => bail!("the benign twin was refused: {}", attack.output),
        Creation::Made(created) => created.end()?,
    }
    let fifo = bundle.rootfs().join(place);
    std::fs::create_dir_all(fifo.parent().unwrap_or(Path::new("/")))?;
    let _missing = std::fs::remove_file(&fifo);
    mknodat(CWD, &fifo, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)?;
    let opened = inotify::init(inotify::CreateFlags::NONBLOCK | inotify::CreateFlags::CLOEXEC)?;
    // A look with O_PATH does not count.
    inotify::add_watch(&opened, &fifo, inotify::WatchFlags::OPEN)?;
    let verdict = match s.create_container(container(bundle))? {
        Creation::Refused(attack) => s.refused(&attack)?.unwrap_or(Verdict::safe()),
        Creation::Made(created) => {
            created.end()?;
            Verdict::safe()
        }
    };
    holds!(rustix::io::read(&opened, &mut [0; 512]) == Err(Errno::AGAIN), "the FIFO at /{place} was opened");
    Ok(verdict)
}

fn a_user_database_that_is_no_ordinary_file_is_not_opened(s: &Scene) -> Result<Verdict> {
    let mut bundle = s.bundle()?;
    // Without HOME in it.
    bundle.set("/process/env", json!(["PATH=/bin"]));
    with_fifo(s, &bundle.clone(), &bundle, "etc/passwd")
}

fn a_terminal_multiplexer_that_is_none_is_not_opened(s: &Scene) -> Result<Verdict> {
    let mut twin = s.bundle()?;
    twin.set("/process/terminal", json!(true));
    let mut bundle = s.bundle()?;
    super::volumes::without_dev(&mut bundle);
    super::volumes::fill_dev(&bundle.rootfs().join("dev"))?;
    bundle.set("/process/terminal", json!(true));
    with_fifo(s, &twin, &bundle, "dev/pts/ptmx")
}
